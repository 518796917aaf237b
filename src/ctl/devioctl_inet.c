/*
 * devioctl_inet: addresses (SIOCGIFADDR and its like, SIOCGIFCONF) and routes (SIOCADDRT): what
 * ifconfig and route ask of an AF_INET socket.
 *
 * An address is named by its label: "eth0", or "eth0:1" for a further one. Its class gives a new
 * one its mask (RFC 791), as ifconfig's users expect; SIOCSIFNETMASK corrects it.
 */
#include <arpa/inet.h>
#include <linux/route.h>
#include <linux/sockios.h>

#include "ctl/devioctl.h"
#include "ip/ip4_core.h"

#define ENOIOCTLCMD 515
#define INFINITE    UINT32_MAX

/* ---- addresses: finding ---- */

/* The bits of a class's network; 0 for none and all, -1 where there is none. */
static int class_bits(uint32_t addr)
{
	uint32_t a = ntohl(addr);

	if (!(a >> 24) || a == UINT32_MAX)
		return 0;
	if (!(a >> 31))
		return 8;
	if (a >> 30 == 2)
		return 16;
	if (a >> 29 == 6)
		return 24;
	return a >> 28 == 14 ? -1 : 32;
}

/* Is it no mask, or has addr bits outside of it? */
static bool bad_mask(uint32_t mask, uint32_t addr)
{
	uint32_t m = ~ntohl(mask);

	return (ntohl(addr) & m) || (m & (m + 1));
}

static uint8_t mask_bits(uint32_t mask)
{
	return (uint8_t)__builtin_popcount(mask);
}

/* By label and address first (4.4BSD), else by label alone. */
static struct in_ifaddr *find(struct in_dev *in, const char *label, bool by_addr, uint32_t addr)
{
	struct in_ifaddr *ifa;

	if (by_addr)
		cds_list_for_each_entry (ifa, &in->addrs, link)
			if (!strcmp(ifa->label, label) && ifa->local == addr)
				return ifa;
	cds_list_for_each_entry (ifa, &in->addrs, link)
		if (!strcmp(ifa->label, label))
			return ifa;
	return NULL;
}

static int get(const struct in_ifaddr *ifa, unsigned long cmd, struct sockaddr_in *sin)
{
	switch (cmd) {
	case SIOCGIFADDR:
		sin->sin_addr.s_addr = ifa->local;
		break;
	case SIOCGIFBRDADDR:
		sin->sin_addr.s_addr = ifa->broadcast;
		break;
	case SIOCGIFDSTADDR:
		sin->sin_addr.s_addr = ifa->address;
		break;
	default:
		sin->sin_addr.s_addr = ifa->mask;
	}
	return 0;
}

/* ---- addresses: changing ---- */

/* Takes an address off and puts `now`, a changed copy of it, in its place. */
static int replace(struct netdev *dev, const struct in_ifaddr *old, const struct in_ifaddr *now)
{
	/* the entry goes away under its own members */
	const struct in_ifaddr was = *old;
	int err = ip4_addr_del(dev, &was.local, &was.address, was.prefixlen, was.label);

	if (err || !now->local)
		return err;
	return ip4_addr_add(dev, now, false, false, NULL);
}

static int set_addr(struct netdev *dev, const struct in_ifaddr *ifa, const char *label,
		    uint32_t addr)
{
	struct in_ifaddr now = {.valid_lft = INFINITE, .preferred_lft = INFINITE};
	int bits = class_bits(addr);

	if (bits < 0)
		return -EINVAL;
	if (!dev->in_dev)
		return -ENOBUFS;
	if (ifa && ifa->local == addr)
		return 0;
	if (ifa)
		now.flags = ifa->flags & ~(uint32_t)IFA_F_SECONDARY;
	memcpy(now.label, ifa ? ifa->label : label, IFNAMSIZ);
	now.local = now.address = addr;
	now.prefixlen = dev->flags & IFF_POINTOPOINT ? 32 : (uint8_t)bits;
	now.scope = ip4_is_loopback(addr) ? RT_SCOPE_HOST : RT_SCOPE_UNIVERSE;
	now.flags |= IFA_F_PERMANENT;
	if ((dev->flags & IFF_BROADCAST) && now.prefixlen < 31)
		now.broadcast = addr | htonl(~0u >> now.prefixlen);
	if (ifa)
		return replace(dev, ifa, &now);
	return addr ? ip4_addr_add(dev, &now, false, false, NULL) : 0;
}

static int set_broadcast(struct netdev *dev, const struct in_ifaddr *ifa, uint32_t addr)
{
	struct in_ifaddr now = *ifa;

	if (ifa->broadcast == addr)
		return 0;
	now.broadcast = addr;
	return replace(dev, ifa, &now);
}

static int set_peer(struct netdev *dev, const struct in_ifaddr *ifa, uint32_t addr)
{
	struct in_ifaddr now = *ifa;

	if (ifa->address == addr)
		return 0;
	if (class_bits(addr) < 0)
		return -EINVAL;
	now.address = addr;
	return replace(dev, ifa, &now);
}

static int set_mask(struct netdev *dev, const struct in_ifaddr *ifa, uint32_t mask)
{
	struct in_ifaddr now = *ifa;

	if (bad_mask(mask, 0))
		return -EINVAL;
	if (ifa->mask == mask)
		return 0;
	now.prefixlen = mask_bits(mask);
	/* a broadcast address that fitted the old mask shall fit the new one */
	if ((dev->flags & IFF_BROADCAST) && now.prefixlen < 31 &&
	    ifa->broadcast == (ifa->local | ~ifa->mask))
		now.broadcast = ifa->local | ~mask;
	return replace(dev, ifa, &now);
}

/* An alias that goes down goes away; the device itself stays. */
static int set_flags(struct netdev *dev, const struct in_ifaddr *ifa, bool alias, short flags)
{
	struct in_ifaddr gone = {0};

	if (!alias)
		return netdev_set_flags(dev, (uint16_t)flags, UINT16_MAX, NULL);
	if (!ifa)
		return -EADDRNOTAVAIL;
	return flags & IFF_UP ? 0 : replace(dev, ifa, &gone);
}

static int set(struct netdev *dev, unsigned long cmd, const struct in_ifaddr *ifa,
	       const struct ifreq *r, uint32_t addr)
{
	switch (cmd) {
	case SIOCSIFFLAGS:
		return set_flags(dev, ifa, strchr(r->ifr_name, ':'), r->ifr_flags);
	case SIOCSIFADDR:
		return set_addr(dev, ifa,
				strchr(r->ifr_name, ':') ? r->ifr_name : (const char *)dev->name,
				addr);
	case SIOCSIFBRDADDR:
		return set_broadcast(dev, ifa, addr);
	case SIOCSIFDSTADDR:
		return set_peer(dev, ifa, addr);
	}
	return set_mask(dev, ifa, addr);
}

static bool is_get(unsigned long cmd)
{
	return cmd == SIOCGIFADDR || cmd == SIOCGIFBRDADDR || cmd == SIOCGIFDSTADDR ||
	       cmd == SIOCGIFNETMASK;
}

static int addr_ioctl(struct net *net, unsigned long cmd, struct ifreq *r)
{
	struct sockaddr_in asked, *sin = (struct sockaddr_in *)&r->ifr_addr;
	struct in_ifaddr *ifa = NULL;
	struct netdev *dev;

	r->ifr_name[IFNAMSIZ - 1] = 0;
	memcpy(&asked, sin, sizeof(asked));
	if (is_get(cmd))
		*sin = (struct sockaddr_in){.sin_family = AF_INET};
	else if (cmd != SIOCSIFFLAGS && sin->sin_family != AF_INET)
		return -EINVAL;
	dev = devioctl_dev(net, r);
	if (!dev)
		return -ENODEV;
	if (dev->in_dev)
		ifa = find(dev->in_dev, r->ifr_name, is_get(cmd) && asked.sin_family == AF_INET,
			   asked.sin_addr.s_addr);
	if (!ifa && cmd != SIOCSIFADDR && cmd != SIOCSIFFLAGS)
		return -EADDRNOTAVAIL;
	if (is_get(cmd))
		return get(ifa, cmd, sin);
	return set(dev, cmd, ifa, r, sin->sin_addr.s_addr);
}

/* ---- all addresses ---- */

int devioctl_ifconf(struct net *net, void *arg, size_t len)
{
	struct ifreq *r = arg;
	struct netdev *dev;
	uint32_t room;
	size_t n = 0;

	if (len < sizeof(room))
		return -EFAULT;
	memcpy(&room, arg, sizeof(room));
	room = MIN(room, (uint32_t)len);
	cds_list_for_each_entry (dev, &net->devs, net_link) {
		const struct in_ifaddr *ifa;

		if (!dev->in_dev)
			continue;
		cds_list_for_each_entry (ifa, &dev->in_dev->addrs, link) {
			struct sockaddr_in sin = {.sin_family = AF_INET,
						  .sin_addr.s_addr = ifa->local};

			if ((n + 1) * sizeof(*r) > room)
				return (int)(n * sizeof(*r));
			memset(&r[n], 0, sizeof(*r));
			memcpy(r[n].ifr_name, ifa->label, IFNAMSIZ);
			memcpy(&r[n++].ifr_addr, &sin, sizeof(sin));
		}
	}
	return (int)(n * sizeof(*r));
}

/* ---- routes ---- */

static uint32_t addr_of(const struct sockaddr *a)
{
	return ((const struct sockaddr_in *)a)->sin_addr.s_addr;
}

static int read_prefix(const struct rtentry *rt, struct route_config *cfg)
{
	uint32_t mask = addr_of(&rt->rt_genmask);

	if (rt->rt_dst.sa_family != AF_INET)
		return -EAFNOSUPPORT;
	cfg->dst = addr_of(&rt->rt_dst);
	cfg->dst_len = 32;
	if (rt->rt_flags & RTF_HOST)
		return 0;
	if (rt->rt_genmask.sa_family != AF_INET && (mask || rt->rt_genmask.sa_family))
		return -EAFNOSUPPORT;
	if (bad_mask(mask, cfg->dst))
		return -EINVAL;
	cfg->dst_len = mask_bits(mask);
	return 0;
}

/* The device, and an alias's address as the preferred source. */
static int read_dev(struct net *net, const char *name, struct route_config *cfg)
{
	struct ifreq r = {0};
	struct in_ifaddr *ifa;

	memcpy(r.ifr_name, name, IFNAMSIZ);
	struct netdev *dev = devioctl_dev(net, &r);
	if (!dev)
		return -ENODEV;
	cfg->oif = dev->ifindex;
	cfg->has_oif = true;
	if (!strchr(name, ':'))
		return 0;
	ifa = dev->in_dev ? find(dev->in_dev, name, false, 0) : NULL;
	if (!ifa)
		return -ENODEV;
	cfg->prefsrc = ifa->local;
	return 0;
}

static void read_metrics(const struct rtentry *rt, struct route_config *cfg)
{
	if (rt->rt_flags & RTF_MTU)
		cfg->metrics[RTAX_ADVMSS] = (uint32_t)rt->rt_mtu - 40;
	if (rt->rt_flags & RTF_WINDOW)
		cfg->metrics[RTAX_WINDOW] = (uint32_t)rt->rt_window;
	if (rt->rt_flags & RTF_IRTT)
		cfg->metrics[RTAX_RTT] = (uint32_t)rt->rt_irtt << 3;
}

static int read_route(struct net *net, const struct rtentry *rt, const char *name, bool add,
		      struct route_config *cfg)
{
	int err = read_prefix(rt, cfg);

	if (err)
		return err;
	cfg->table = RT_TABLE_MAIN;
	if (add) {
		cfg->nl_flags = NLM_F_CREATE;
		cfg->protocol = RTPROT_BOOT;
	}
	if (rt->rt_metric) {
		cfg->priority = (uint32_t)rt->rt_metric - 1;
		cfg->has_priority = true;
	}
	if (rt->rt_flags & RTF_REJECT) {
		cfg->scope = RT_SCOPE_HOST;
		cfg->type = RTN_UNREACHABLE;
		return 0;
	}
	cfg->scope = RT_SCOPE_NOWHERE;
	cfg->type = RTN_UNICAST;
	err = name[0] ? read_dev(net, name, cfg) : 0;
	if (err)
		return err;
	if (rt->rt_gateway.sa_family == AF_INET && addr_of(&rt->rt_gateway)) {
		cfg->gateway = addr_of(&rt->rt_gateway);
		cfg->has_gateway = true;
		if ((rt->rt_flags & RTF_GATEWAY) && ip4_addr_type(net, cfg->gateway) == RTN_UNICAST)
			cfg->scope = RT_SCOPE_UNIVERSE;
	}
	if (!add)
		return 0;
	if ((rt->rt_flags & RTF_GATEWAY) && !cfg->has_gateway)
		return -EINVAL;
	if (cfg->scope == RT_SCOPE_NOWHERE)
		cfg->scope = RT_SCOPE_LINK;
	read_metrics(rt, cfg);
	return 0;
}

static int route_ioctl(struct net *net, bool add, const void *arg, size_t len)
{
	struct route_config cfg = {0};
	struct rtentry rt;
	char name[IFNAMSIZ] = "";

	if (len < sizeof(rt))
		return -EFAULT;
	memcpy(&rt, arg, sizeof(rt));
	memcpy(name, (const char *)arg + sizeof(rt), MIN(len - sizeof(rt), sizeof(name) - 1));
	int err = read_route(net, &rt, name, add, &cfg);
	if (err)
		return err;
	return add ? route4_add(net, &cfg, NULL) : route4_del(net, &cfg, NULL);
}

/* ---- dispatch ---- */

int devioctl_inet(struct net *net, unsigned long cmd, void *arg, size_t len)
{
	switch (cmd) {
	case SIOCADDRT:
	case SIOCDELRT:
		return route_ioctl(net, cmd == SIOCADDRT, arg, len);
	case SIOCGARP:
	case SIOCSARP:
	case SIOCDARP:
		return devioctl_arp(net, cmd, arg, len);
	case SIOCRTMSG:
	case SIOCGIFPFLAGS:
	case SIOCSIFPFLAGS:
		return -EINVAL;
	case SIOCGIFADDR:
	case SIOCGIFBRDADDR:
	case SIOCGIFDSTADDR:
	case SIOCGIFNETMASK:
	case SIOCSIFADDR:
	case SIOCSIFBRDADDR:
	case SIOCSIFDSTADDR:
	case SIOCSIFNETMASK:
	case SIOCSIFFLAGS:
		return len < sizeof(struct ifreq) ? -EFAULT : addr_ioctl(net, cmd, arg);
	}
	return -ENOIOCTLCMD;
}
