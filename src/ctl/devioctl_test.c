/* devioctl: what ifconfig, route, arp and ethtool ask, on a made-up instance; answers are the
 * kernel's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <linux/if_vlan.h>
#include <linux/route.h>
#include <linux/sockios.h>

#include "ctl/devioctl.h"
#include "ctl/ethtool.h"
#include "dev/kind.h"
#include "ip/ip4_core.h"
#include "sock/sock.h"
#include "weft.h"

struct bed {
	struct weft *weft;
	struct net *net;
	struct netdev *v;
	struct sock *sk;
};

static struct netdev *make(struct bed *b, const char *kind, const char *name)
{
	struct dev_new n = {.net = b->net, .link_net = b->net, .name = name};
	struct netdev *dev;

	assert_int_equal(
		dev_create(b->weft->dev, dev_kind_find(b->weft->dev, kind), &n, &dev, NULL), 0);
	return dev;
}

static int setup(void **state)
{
	struct weft_config c = {.n_packets = 1024, .seed = 1, .now = NSEC_PER_SEC};
	struct bed *b = calloc(1, sizeof(*b));
	int err;

	assert_non_null(b);
	b->weft = weft_new(&c, &err);
	assert_non_null(b->weft);
	b->net = b->weft->nets->first;
	b->v = make(b, "veth", "v0");
	make(b, "dummy", "d0");
	netdev_set_flags(b->net->loopback, IFF_UP, IFF_UP, NULL);
	netdev_set_flags(b->v, IFF_UP, IFF_UP, NULL);
	netdev_set_flags(net_dev_by_name(b->net, "veth0"), IFF_UP, IFF_UP, NULL);
	assert_int_equal(sock_new(b->net, AF_INET, SOCK_DGRAM, 0, &b->sk), 0);
	*state = b;
	return 0;
}

static int teardown(void **state)
{
	struct bed *b = *state;

	sock_put(b->sk);
	net_put(b->net);
	weft_free(b->weft);
	free(b);
	return 0;
}

static int call(struct bed *b, unsigned long cmd, const char *name, struct ifreq *r)
{
	snprintf(r->ifr_name, IFNAMSIZ, "%s", name);
	return sock_ioctl(b->sk, cmd, r, sizeof(*r));
}

static int set_sin(struct bed *b, unsigned long cmd, const char *name, const char *addr)
{
	struct sockaddr_in sin = {.sin_family = AF_INET, .sin_addr.s_addr = inet_addr(addr)};
	struct ifreq r = {0};

	memcpy(&r.ifr_addr, &sin, sizeof(sin));
	return call(b, cmd, name, &r);
}

static void expect_sin(struct bed *b, unsigned long cmd, const char *name, const char *want)
{
	const struct sockaddr_in *sin;
	struct ifreq r = {0};

	assert_int_equal(call(b, cmd, name, &r), 0);
	sin = (const struct sockaddr_in *)&r.ifr_addr;
	assert_int_equal(sin->sin_family, AF_INET);
	assert_string_equal(inet_ntoa(*(const struct in_addr *)&sin->sin_addr), want);
}

/* ---- links ---- */

static void test_links(void **state)
{
	struct bed *b = *state;
	struct ifreq r = {0};

	assert_int_equal(call(b, SIOCGIFINDEX, "v0", &r), 0);
	assert_int_equal(r.ifr_ifindex, b->v->ifindex);
	r.ifr_ifindex = 99;
	assert_int_equal(call(b, SIOCGIFNAME, "", &r), -ENODEV);
	r.ifr_ifindex = b->v->ifindex;
	assert_int_equal(call(b, SIOCGIFNAME, "", &r), 0);
	assert_string_equal(r.ifr_name, "v0");
	assert_int_equal(call(b, SIOCGIFFLAGS, "v0", &r), 0);
	assert_int_equal(r.ifr_flags, IFF_UP | IFF_BROADCAST | IFF_RUNNING | IFF_MULTICAST);
	assert_int_equal(call(b, SIOCGIFMTU, "v0", &r), 0);
	assert_int_equal(r.ifr_mtu, 1500);
	r.ifr_mtu = 1400;
	assert_int_equal(call(b, SIOCSIFMTU, "v0", &r), 0);
	assert_int_equal(b->v->mtu, 1400);
	r.ifr_mtu = -1;
	assert_int_equal(call(b, SIOCSIFMTU, "v0", &r), -EINVAL);
	assert_int_equal(call(b, SIOCGIFTXQLEN, "v0", &r), 0);
	assert_int_equal(r.ifr_qlen, 1000);
	assert_int_equal(call(b, SIOCGIFHWADDR, "v0", &r), 0);
	assert_int_equal(r.ifr_hwaddr.sa_family, ARPHRD_ETHER);
	assert_memory_equal(r.ifr_hwaddr.sa_data, b->v->addr, ETH_ALEN);
	assert_int_equal(call(b, SIOCGIFINDEX, "nodev", &r), -ENODEV);
	assert_int_equal(call(b, SIOCGIFSLAVE, "v0", &r), -EINVAL);
	assert_int_equal(call(b, SIOCGIFPFLAGS, "v0", &r), -EINVAL);
	assert_int_equal(call(b, SIOCSIFMETRIC, "v0", &r), -EOPNOTSUPP);
	assert_int_equal(call(b, SIOCGMIIPHY, "v0", &r), -EOPNOTSUPP);
	assert_int_equal(call(b, SIOCGIFMEM, "v0", &r), -ENOTTY);
	assert_int_equal(call(b, SIOCBRADDBR, "v0", &r), -ENOPKG);
	/* a request that is cut short is not read */
	assert_int_equal(sock_ioctl(b->sk, SIOCGIFMTU, &r, 16), -EFAULT);
}

static void test_link_changes(void **state)
{
	struct bed *b = *state;
	struct ifreq r = {.ifr_hwaddr = {.sa_family = ARPHRD_ETHER, .sa_data = {2, 0, 0, 0, 0, 9}}};

	assert_int_equal(call(b, SIOCSIFHWADDR, "v0", &r), 0);
	assert_int_equal(b->v->addr[5], 9);
	r.ifr_hwaddr.sa_family = ARPHRD_LOOPBACK;
	assert_int_equal(call(b, SIOCSIFHWADDR, "v0", &r), -EINVAL);
	r.ifr_hwaddr.sa_family = AF_UNSPEC;
	memcpy(r.ifr_hwaddr.sa_data, "\x01\x00\x5e\x01\x02\x03", 6);
	assert_int_equal(call(b, SIOCADDMULTI, "v0", &r), 0);
	assert_int_equal(call(b, SIOCADDMULTI, "v0", &r), 0); /* once is enough */
	assert_int_equal(call(b, SIOCDELMULTI, "v0", &r), 0);
	assert_int_equal(call(b, SIOCDELMULTI, "v0", &r), -ENOENT);
	assert_int_equal(call(b, SIOCADDMULTI, "lo", &r), -EINVAL);
	strcpy(r.ifr_newname, "w0");
	assert_int_equal(call(b, SIOCSIFNAME, "v0", &r), 0);
	assert_string_equal(b->v->name, "w0");
	r.ifr_flags = 0;
	assert_int_equal(call(b, SIOCSIFFLAGS, "w0", &r), 0);
	assert_false(netdev_running(b->v));
}

/* ---- addresses ---- */

static void test_addresses(void **state)
{
	struct bed *b = *state;
	struct ifreq r = {0};

	assert_int_equal(call(b, SIOCGIFADDR, "v0", &r), -EADDRNOTAVAIL);
	assert_int_equal(set_sin(b, SIOCSIFADDR, "v0", "10.1.2.3"), 0);
	expect_sin(b, SIOCGIFADDR, "v0", "10.1.2.3");
	expect_sin(b, SIOCGIFNETMASK, "v0", "255.0.0.0"); /* class A */
	expect_sin(b, SIOCGIFBRDADDR, "v0", "10.255.255.255");
	assert_int_equal(set_sin(b, SIOCSIFNETMASK, "v0", "255.255.255.0"), 0);
	expect_sin(b, SIOCGIFNETMASK, "v0", "255.255.255.0");
	expect_sin(b, SIOCGIFBRDADDR, "v0", "10.1.2.255"); /* follows */
	assert_int_equal(set_sin(b, SIOCSIFNETMASK, "v0", "255.0.255.0"), -EINVAL);
	assert_int_equal(set_sin(b, SIOCSIFADDR, "v0", "224.0.0.1"), -EINVAL);
	assert_int_equal(set_sin(b, SIOCSIFBRDADDR, "v0", "10.1.2.0"), 0);
	expect_sin(b, SIOCGIFBRDADDR, "v0", "10.1.2.0");
	/* an alias comes, is a second address of the device, and goes when it is taken down */
	assert_int_equal(set_sin(b, SIOCSIFADDR, "v0:1", "192.168.7.1"), 0);
	expect_sin(b, SIOCGIFADDR, "v0:1", "192.168.7.1");
	expect_sin(b, SIOCGIFADDR, "v0", "10.1.2.3");
	assert_int_equal(b->v->in_dev->n_addrs, 2);
	r.ifr_flags = 0;
	assert_int_equal(call(b, SIOCSIFFLAGS, "v0:1", &r), 0);
	assert_true(netdev_running(b->v));
	assert_int_equal(b->v->in_dev->n_addrs, 1);
	assert_int_equal(call(b, SIOCSIFFLAGS, "v0:1", &r), -EADDRNOTAVAIL);
	/* 0.0.0.0 takes the address away */
	assert_int_equal(set_sin(b, SIOCSIFADDR, "v0", "0.0.0.0"), 0);
	assert_int_equal(b->v->in_dev->n_addrs, 0);
}

static void test_ifconf(void **state)
{
	struct bed *b = *state;
	struct ifreq r[8];
	uint32_t room = sizeof(r);

	assert_int_equal(set_sin(b, SIOCSIFADDR, "v0", "10.1.2.3"), 0);
	memcpy(r, &room, sizeof(room));
	assert_int_equal(sock_ioctl(b->sk, SIOCGIFCONF, r, sizeof(r)), 2 * sizeof(r[0]));
	assert_string_equal(r[0].ifr_name, "lo");
	assert_string_equal(r[1].ifr_name, "v0");
	room = sizeof(r[0]) + 5; /* only whole ones */
	memcpy(r, &room, sizeof(room));
	assert_int_equal(sock_ioctl(b->sk, SIOCGIFCONF, r, sizeof(r)), sizeof(r[0]));
}

/* ---- routes ---- */

static struct sockaddr sin_of(const char *addr)
{
	struct sockaddr_in sin = {.sin_family = AF_INET, .sin_addr.s_addr = inet_addr(addr)};
	struct sockaddr a;

	memcpy(&a, &sin, sizeof(a));
	return a;
}

static int route(struct bed *b, unsigned long cmd, const char *dst, const char *mask,
		 const char *gw, const char *dev, unsigned flags)
{
	struct {
		struct rtentry rt;
		char name[IFNAMSIZ];
	} q = {.rt = {.rt_dst = sin_of(dst),
		      .rt_genmask = sin_of(mask),
		      .rt_flags = (unsigned short)(RTF_UP | flags)}};

	if (gw)
		q.rt.rt_gateway = sin_of(gw);
	if (dev)
		strcpy(q.name, dev);
	return sock_ioctl(b->sk, cmd, &q, sizeof(q));
}

static void test_routes(void **state)
{
	struct bed *b = *state;
	size_t n;

	assert_int_equal(set_sin(b, SIOCSIFADDR, "v0", "10.1.2.3"), 0);
	n = route4_count(b->net, RT_TABLE_MAIN);
	assert_int_equal(route(b, SIOCADDRT, "0.0.0.0", "0.0.0.0", "10.0.0.1", NULL, RTF_GATEWAY),
			 0);
	assert_int_equal(route4_count(b->net, RT_TABLE_MAIN), n + 1);
	assert_int_equal(route(b, SIOCADDRT, "0.0.0.0", "0.0.0.0", "10.0.0.1", NULL, RTF_GATEWAY),
			 -EEXIST);
	assert_int_equal(route(b, SIOCADDRT, "192.168.1.0", "255.255.255.0", NULL, "v0", 0), 0);
	assert_int_equal(route(b, SIOCADDRT, "192.168.1.1", "255.255.255.0", NULL, "v0", 0),
			 -EINVAL); /* host bits */
	assert_int_equal(route(b, SIOCADDRT, "192.168.2.0", "255.255.255.0", NULL, "no", 0),
			 -ENODEV);
	assert_int_equal(
		route(b, SIOCADDRT, "192.168.2.0", "255.255.255.0", NULL, NULL, RTF_GATEWAY),
		-EINVAL);
	assert_int_equal(route(b, SIOCADDRT, "192.168.2.0", "255.255.255.0", "172.16.0.1", NULL,
			       RTF_GATEWAY),
			 -ENETUNREACH); /* a gateway must be on a link */
	assert_int_equal(route(b, SIOCDELRT, "192.168.1.0", "255.255.255.0", NULL, NULL, 0), 0);
	assert_int_equal(route(b, SIOCDELRT, "192.168.1.0", "255.255.255.0", NULL, NULL, 0),
			 -ESRCH);
	assert_int_equal(route(b, SIOCDELRT, "0.0.0.0", "0.0.0.0", NULL, NULL, 0), 0);
}

/* ---- ARP ---- */

static void test_arp(void **state)
{
	struct bed *b = *state;
	struct arpreq r = {.arp_pa = sin_of("10.1.2.9"),
			   .arp_ha = {.sa_family = ARPHRD_ETHER, .sa_data = {2, 0, 0, 0, 0, 7}},
			   .arp_flags = ATF_PERM,
			   .arp_dev = "v0"};

	assert_int_equal(set_sin(b, SIOCSIFADDR, "v0", "10.1.2.3"), 0);
	assert_int_equal(sock_ioctl(b->sk, SIOCGARP, &r, sizeof(r)), -ENXIO);
	r.arp_dev[0] = 0; /* found by its route */
	assert_int_equal(sock_ioctl(b->sk, SIOCSARP, &r, sizeof(r)), 0);
	memset(&r.arp_ha, 0, sizeof(r.arp_ha));
	strcpy(r.arp_dev, "v0");
	assert_int_equal(sock_ioctl(b->sk, SIOCGARP, &r, sizeof(r)), 0);
	assert_int_equal(r.arp_flags, ATF_PERM | ATF_COM);
	assert_int_equal(r.arp_ha.sa_data[5], 7);
	r.arp_flags = 0;
	assert_int_equal(sock_ioctl(b->sk, SIOCDARP, &r, sizeof(r)), 0);
	assert_int_equal(sock_ioctl(b->sk, SIOCDARP, &r, sizeof(r)), -ENXIO);
	r.arp_pa.sa_family = AF_UNSPEC;
	assert_int_equal(sock_ioctl(b->sk, SIOCGARP, &r, sizeof(r)), -EPFNOSUPPORT);
	r.arp_pa.sa_family = AF_INET;
	r.arp_flags = ATF_NETMASK;
	assert_int_equal(sock_ioctl(b->sk, SIOCSARP, &r, sizeof(r)), -EINVAL);
	r.arp_flags = ATF_PUBL;
	assert_int_equal(sock_ioctl(b->sk, SIOCSARP, &r, sizeof(r)), 0);
	assert_int_equal(sock_ioctl(b->sk, SIOCDARP, &r, sizeof(r)), 0);
}

/* ---- ethtool ---- */

static int ethtool(struct bed *b, const char *name, void *data, size_t len)
{
	char *flat = calloc(1, sizeof(struct ifreq) + len);

	assert_non_null(flat);
	snprintf(flat, IFNAMSIZ, "%s", name);
	memcpy(flat + sizeof(struct ifreq), data, len);
	int ret = sock_ioctl(b->sk, SIOCETHTOOL, flat, sizeof(struct ifreq) + len);
	memcpy(data, flat + sizeof(struct ifreq), len);
	free(flat);
	return ret;
}

static int ethtool_value(struct bed *b, const char *name, uint32_t cmd, uint32_t in, uint32_t *out)
{
	struct ethtool_value v = {cmd, in};
	int ret = ethtool(b, name, &v, sizeof(v));

	*out = v.data;
	return ret;
}

static void test_ethtool_link(void **state)
{
	struct ethtool_drvinfo info = {.cmd = ETHTOOL_GDRVINFO};
	struct ethtool_cmd set = {.cmd = ETHTOOL_GSET};
	struct {
		struct ethtool_link_settings s;
		uint32_t masks[3 * 4];
	} link = {.s = {.cmd = ETHTOOL_GLINKSETTINGS}};
	struct bed *b = *state;
	uint32_t v;

	assert_int_equal(ethtool(b, "v0", &info, sizeof(info)), 0);
	assert_string_equal(info.driver, "veth");
	assert_string_equal(info.version, "1.0");
	assert_int_equal(ethtool(b, "lo", &info, sizeof(info)), -EOPNOTSUPP);
	assert_int_equal(ethtool_value(b, "v0", ETHTOOL_GLINK, 0, &v), 0);
	assert_int_equal(v, 1);
	assert_int_equal(ethtool_value(b, "d0", ETHTOOL_GLINK, 0, &v), -EOPNOTSUPP);
	assert_int_equal(ethtool(b, "v0", &set, sizeof(set)), 0);
	assert_int_equal(ethtool_cmd_speed(&set), 10000);
	assert_int_equal(ethtool(b, "lo", &set, sizeof(set)), -EOPNOTSUPP);
	assert_int_equal(ethtool(b, "v0", &link, sizeof(link)), 0);
	assert_int_equal(link.s.link_mode_masks_nwords, -4);
	link.s.link_mode_masks_nwords = 4;
	assert_int_equal(ethtool(b, "v0", &link, sizeof(link)), 0);
	assert_int_equal(link.s.speed, 10000);
	assert_int_equal(link.s.duplex, DUPLEX_FULL);
	assert_int_equal(ethtool_value(b, "v0", ETHTOOL_GMSGLVL, 0, &v), -EOPNOTSUPP);
	assert_int_equal(ethtool_value(b, "v0", ETHTOOL_GRINGPARAM, 0, &v), -EOPNOTSUPP);
	assert_int_equal(ethtool_value(b, "no", ETHTOOL_GLINK, 0, &v), -ENODEV);
	assert_int_equal(ethtool(b, "v0", &info, 64), -EFAULT);
}

static void test_ethtool_strings(void **state)
{
	struct {
		struct ethtool_sset_info i;
		uint32_t n[8];
	} q = {.i = {.cmd = ETHTOOL_GSSET_INFO,
		     .sset_mask = 1 << ETH_SS_STATS | 1 << ETH_SS_FEATURES | 1 << ETH_SS_TEST}};
	struct {
		struct ethtool_gstrings g;
		char s[64][ETH_GSTRING_LEN];
	} g = {.g = {.cmd = ETHTOOL_GSTRINGS, .string_set = ETH_SS_FEATURES}};
	struct {
		struct ethtool_stats s;
		uint64_t v[8];
	} st = {.s = {.cmd = ETHTOOL_GSTATS}};
	struct bed *b = *state;

	assert_int_equal(ethtool(b, "v0", &q, sizeof(q)), 0);
	assert_int_equal(q.i.sset_mask, 1 << ETH_SS_STATS | 1 << ETH_SS_FEATURES);
	assert_int_equal(q.n[1], 64);
	assert_int_equal(ethtool(b, "v0", &g, sizeof(g)), 0);
	assert_string_equal(g.s[16], "tx-tcp-segmentation");
	assert_int_equal(ethtool(b, "v0", &g, sizeof(g) - 1), -EFAULT);
	assert_int_equal(ethtool(b, "v0", &st, sizeof(st)), 0);
	assert_int_equal(st.s.n_stats, 1);
	assert_int_equal(st.v[0], net_dev_by_name(b->net, "veth0")->ifindex);
	assert_int_equal(ethtool(b, "lo", &st, sizeof(st)), -EOPNOTSUPP);
}

static void test_ethtool_features(void **state)
{
	struct {
		struct ethtool_gfeatures g;
		struct ethtool_get_features_block b[2];
	} g = {.g = {.cmd = ETHTOOL_GFEATURES, .size = 2}};
	struct {
		struct ethtool_sfeatures s;
		struct ethtool_set_features_block b[2];
	} s = {.s = {.cmd = ETHTOOL_SFEATURES, .size = 2}};
	struct bed *b = *state;
	uint32_t v;

	assert_int_equal(ethtool(b, "v0", &g, sizeof(g)), 0);
	assert_true(g.b[0].active & 1 << 16);
	assert_int_equal(g.b[0].never_changed, 1 << ETHTOOL_F_VLAN_CHALLENGED);
	assert_int_equal(ethtool(b, "lo", &g, sizeof(g)), 0);
	assert_true(g.b[0].active & 1 << ETHTOOL_F_VLAN_CHALLENGED);
	assert_int_equal(ethtool_value(b, "v0", ETHTOOL_STSO, 0, &v), 0);
	assert_int_equal(ethtool_value(b, "v0", ETHTOOL_GTSO, 0, &v), 0);
	assert_int_equal(v, 0);
	assert_int_equal(ethtool_value(b, "lo", ETHTOOL_SRXCSUM, 0, &v), -EOPNOTSUPP);
	s.b[0] = (struct ethtool_set_features_block){.valid = 1 << 16, .requested = 1 << 16};
	assert_int_equal(ethtool(b, "v0", &s, sizeof(s)), 0);
	assert_true(b->v->features & DEV_F_TSO4);
	/* what cannot be changed is said to be so, and the rest done */
	s.b[0].valid |= 1 << 5;
	s.b[0].requested = 0;
	assert_int_equal(ethtool(b, "v0", &s, sizeof(s)), ETHTOOL_F_UNSUPPORTED);
	assert_false(b->v->features & DEV_F_TSO4);
	/* segmentation needs scattered buffers: the wish stays one */
	s.b[0] = (struct ethtool_set_features_block){.valid = 1 | 1 << 16, .requested = 1 << 16};
	assert_int_equal(ethtool(b, "v0", &s, sizeof(s)), ETHTOOL_F_WISH);
	s.b[0].valid = 1 << ETHTOOL_F_VLAN_CHALLENGED;
	assert_int_equal(ethtool(b, "v0", &s, sizeof(s)), -EINVAL);
	s.s.size = 1;
	assert_int_equal(ethtool(b, "v0", &s, sizeof(s)), -EINVAL);
}

/* ---- VLANs ---- */

static void test_vlan(void **state)
{
	struct vlan_ioctl_args a = {.cmd = ADD_VLAN_CMD, .device1 = "v0", .u.VID = 7};
	struct bed *b = *state;

	assert_int_equal(sock_ioctl(b->sk, SIOCSIFVLAN, &a, sizeof(a)), 0);
	assert_non_null(net_dev_by_name(b->net, "v0.7"));
	assert_int_equal(sock_ioctl(b->sk, SIOCSIFVLAN, &a, sizeof(a)), -EEXIST);
	a = (struct vlan_ioctl_args){.cmd = GET_VLAN_VID_CMD, .device1 = "v0.7"};
	assert_int_equal(sock_ioctl(b->sk, SIOCGIFVLAN, &a, sizeof(a)), 0);
	assert_int_equal(a.u.VID, 7);
	a.cmd = GET_VLAN_REALDEV_NAME_CMD;
	assert_int_equal(sock_ioctl(b->sk, SIOCGIFVLAN, &a, sizeof(a)), 0);
	assert_string_equal(a.u.device2, "v0");
	a = (struct vlan_ioctl_args){.cmd = GET_VLAN_VID_CMD, .device1 = "v0"};
	assert_int_equal(sock_ioctl(b->sk, SIOCGIFVLAN, &a, sizeof(a)), -EINVAL);
	a = (struct vlan_ioctl_args){.cmd = DEL_VLAN_CMD, .device1 = "v0.7"};
	assert_int_equal(sock_ioctl(b->sk, SIOCSIFVLAN, &a, sizeof(a)), 0);
	assert_null(net_dev_by_name(b->net, "v0.7"));
	a.u.VID = 4096;
	a.cmd = ADD_VLAN_CMD;
	strcpy(a.device1, "v0");
	assert_int_equal(sock_ioctl(b->sk, SIOCSIFVLAN, &a, sizeof(a)), -ERANGE);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_links),	 TEST(test_link_changes),    TEST(test_addresses),
		TEST(test_ifconf),	 TEST(test_routes),	     TEST(test_arp),
		TEST(test_ethtool_link), TEST(test_ethtool_strings), TEST(test_ethtool_features),
		TEST(test_vlan),
	};

	rcu_register_thread();
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	rcu_unregister_thread();
	return failed;
}
