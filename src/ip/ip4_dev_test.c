/* Addresses and settings of devices: lifetimes, merging, sysctls and their news; IGMP. */
#include <arpa/inet.h>
#include <linux/igmp.h>
#include <linux/netconf.h>
#include <stdio.h>

#include "base/csum.h"
#include "ip/ip4_test.h"

#define IP(a, b, c, d) htonl((uint32_t)(a) << 24 | (b) << 16 | (c) << 8 | (d))

static void add(struct netdev *dev, uint32_t local, uint8_t len, uint32_t valid, uint32_t preferred)
{
	struct in_ifaddr ifa = {
		.local = local,
		.prefixlen = len,
		.valid_lft = valid,
		.preferred_lft = preferred,
	};

	assert_int_equal(ip4_addr_add(dev, &ifa, true, false, NULL), 0);
}

static unsigned n_addrs(const struct netdev *dev)
{
	return dev->in_dev->n_addrs;
}

static struct in_ifaddr *first(const struct netdev *dev)
{
	return cds_list_first_entry(&dev->in_dev->addrs, struct in_ifaddr, link);
}

static void run_until(struct bed *b, uint64_t until)
{
	while (b->worker.now < until) {
		uint64_t next = worker_next(&b->worker);
		next = MAX(next, b->worker.now + 1);
		bed_step(b, MIN(next, until));
	}
}

static void test_lifetimes(void **state)
{
	struct bed *b = bed_new();
	struct netdev *dev = bed_dev(b, "v0");
	uint64_t t0 = b->worker.now;

	bed_up(dev);
	add(dev, IP(10, 1, 1, 1), 24, 20, 10);
	add(dev, IP(10, 2, 1, 1), 24, 5, 5);
	add(dev, IP(10, 1, 1, 2), 24, UINT32_MAX, UINT32_MAX); /* secondary */
	assert_int_equal(first(dev)->flags & IFA_F_PERMANENT, 0);
	run_until(b, t0 + 4 * NSEC_PER_SEC);
	assert_int_equal(n_addrs(dev), 3);
	run_until(b, t0 + 6 * NSEC_PER_SEC);
	assert_int_equal(n_addrs(dev), 2);
	assert_int_equal(first(dev)->flags & IFA_F_DEPRECATED, 0);
	run_until(b, t0 + 11 * NSEC_PER_SEC);
	assert_int_not_equal(first(dev)->flags & IFA_F_DEPRECATED, 0);
	/* Given anew, it lives on. */
	add(dev, IP(10, 1, 1, 1), 24, 20, 20);
	assert_int_equal(first(dev)->flags & IFA_F_DEPRECATED, 0);
	run_until(b, t0 + 22 * NSEC_PER_SEC);
	assert_int_equal(n_addrs(dev), 2);
	/* The primary's end is its secondary's. */
	run_until(b, t0 + 32 * NSEC_PER_SEC);
	assert_int_equal(n_addrs(dev), 0);
	assert_int_equal(route4_count(b->net, 0), 0);
	bed_free(b);
}

static void test_bad_addrs(void **state)
{
	struct bed *b = bed_new();
	struct netdev *dev = bed_dev(b, "v0");
	struct extack ext = {0};
	struct in_ifaddr ifa = {.local = IP(10, 1, 1, 1), .prefixlen = 33, .valid_lft = 1};

	assert_int_equal(ip4_addr_add(dev, &ifa, false, false, &ext), -EINVAL);
	assert_string_equal(ext.msg, "ipv4: Invalid prefix length");
	ifa.prefixlen = 24;
	ifa.preferred_lft = 2;
	assert_int_equal(ip4_addr_add(dev, &ifa, false, false, &ext), -EINVAL);
	ifa.valid_lft = 0;
	assert_int_equal(ip4_addr_add(dev, &ifa, false, false, &ext), -EINVAL);
	assert_string_equal(ext.msg, "ipv4: address valid lifetime is zero");
	assert_int_equal(ip4_addr_del(dev, NULL, NULL, 0, NULL), -EADDRNOTAVAIL);
	/* 68 bytes are just enough for IPv4. */
	add(dev, IP(10, 1, 1, 1), 24, UINT32_MAX, UINT32_MAX);
	assert_int_equal(netdev_set_mtu(dev, 68, NULL), 0);
	assert_ptr_equal(ip4_addr_dev(b->net, IP(10, 1, 1, 1)), dev);
	bed_free(b);
}

/* ---- settings ---- */

struct heard {
	struct event_sub sub;
	unsigned n, per_dev, all, dflt;
	uint64_t attr;
};

static void hear(void *arg, const struct event *e)
{
	struct heard *h = arg;

	if (e->type != EVENT_NETCONF)
		return;
	h->n++;
	h->attr = e->arg;
	if (e->dev)
		h->per_dev++;
	else if (e->arg2)
		h->dflt++;
	else
		h->all++;
}

static int conf(struct bed *b, const char *name, const char *value)
{
	char path[96];

	snprintf(path, sizeof(path), "net.ipv4.%s", name);
	return bed_sysctl(b, path, value);
}

static void test_settings(void **state)
{
	struct bed *b = bed_new();
	struct netdev *v0 = bed_dev(b, "v0"), *v1 = bed_dev(b, "v1");
	struct heard h = {0};

	event_subscribe(&b->events, &h.sub, hear, &h);
	assert_int_equal(conf(b, "ip_forward", "1\n"), 0);
	assert_int_equal(h.per_dev, 3); /* lo too */
	assert_int_equal(h.all, 1);
	assert_int_equal(h.dflt, 1);
	assert_int_equal(h.attr, NETCONFA_FORWARDING);
	assert_int_equal(ip4_conf(v0, IPV4_DEVCONF_FORWARDING), 1);
	assert_int_equal(b->net->ip4->ip_forward, 1);
	assert_int_equal(ip4_conf(v0, IPV4_DEVCONF_ACCEPT_REDIRECTS), 0);
	assert_int_equal(conf(b, "conf.v0.forwarding", "0\n"), 0);
	assert_int_equal(ip4_conf(v0, IPV4_DEVCONF_FORWARDING), 0);
	assert_int_equal(ip4_conf(v0, IPV4_DEVCONF_ACCEPT_REDIRECTS), 1);
	assert_int_equal(ip4_conf(v1, IPV4_DEVCONF_FORWARDING), 1);
	h = (struct heard){.sub = h.sub};
	/* Or, and, the larger. */
	assert_int_equal(conf(b, "conf.all.proxy_arp", "1\n"), 0);
	assert_int_equal(h.attr, NETCONFA_PROXY_NEIGH);
	assert_int_equal(ip4_conf(v0, IPV4_DEVCONF_PROXY_ARP), 1);
	assert_int_equal(conf(b, "conf.all.accept_source_route", "1\n"), 0);
	assert_int_equal(ip4_conf(v0, IPV4_DEVCONF_ACCEPT_SOURCE_ROUTE), 1);
	assert_int_equal(conf(b, "conf.v0.accept_source_route", "0\n"), 0);
	assert_int_equal(ip4_conf(v0, IPV4_DEVCONF_ACCEPT_SOURCE_ROUTE), 0);
	assert_int_equal(conf(b, "conf.all.rp_filter", "1\n"), 0);
	assert_int_equal(conf(b, "conf.v0.rp_filter", "2\n"), 0);
	assert_int_equal(ip4_conf(v0, IPV4_DEVCONF_RP_FILTER), 2);
	assert_int_equal(ip4_conf(v1, IPV4_DEVCONF_RP_FILTER), 1);
	/* The default reaches who has not chosen. */
	assert_int_equal(conf(b, "conf.default.rp_filter", "1\n"), 0);
	assert_int_equal(conf_get(&v1->in_dev->conf, IPV4_DEVCONF_RP_FILTER), 1);
	assert_int_equal(conf_get(&v0->in_dev->conf, IPV4_DEVCONF_RP_FILTER), 2);
	/* Ranges. */
	assert_int_equal(conf(b, "ip_default_ttl", "256\n"), -EINVAL);
	assert_int_equal(conf(b, "ip_default_ttl", "0\n"), -EINVAL);
	assert_int_equal(conf(b, "route.min_pmtu", "67\n"), -EINVAL);
	assert_int_equal(conf(b, "ip_local_port_range", "500 600\n"), -EINVAL);
	assert_int_equal(conf(b, "ip_local_port_range", "2000 1999\n"), -EINVAL);
	assert_int_equal(conf(b, "ip_local_port_range", "2000 2999 1\n"), -EINVAL);
	assert_int_equal(conf(b, "ip_local_port_range", "2000\t2999\n"), 0);
	assert_int_equal(b->net->ip4->local_port_range[1], 2999);
	assert_int_equal(conf(b, "ip_unprivileged_port_start", "3000\n"), -EINVAL);
	assert_int_equal(conf(b, "ping_group_range", "5 3\n"), 0);
	assert_int_equal(b->net->ip4->ping_group_range[0], 1);
	assert_int_equal(conf(b, "ipfrag_low_thresh", "60000000\n"), -EINVAL);
	assert_int_equal(conf(b, "ipfrag_high_thresh", "5\n"), -EINVAL);
	assert_int_equal(conf(b, "ipfrag_time", "7\n"), 0);
	assert_int_equal(b->net->ip4->frag_time, 7 * NSEC_PER_SEC);
	event_unsubscribe(&h.sub);
	bed_free(b);
}

/* What listeners hear of an address, in the order in which Linux tells it. */
static void note(void *arg, const struct event *e)
{
	FILE *out = arg;
	const struct route *r = e->obj;

	if (e->type == EVENT_ADDR_NEW || e->type == EVENT_ADDR_DEL)
		fprintf(out, "%ca ", e->type == EVENT_ADDR_NEW ? '+' : '-');
	if (e->type == EVENT_ROUTE_NEW || e->type == EVENT_ROUTE_DEL)
		fprintf(out, "%c%u/%u ", e->type == EVENT_ROUTE_NEW ? '+' : '-', r->type,
			r->dst_len);
	if (e->type == EVENT_NETCONF)
		fprintf(out, "c%d ", (int)e->arg);
}

static void test_news(void **state)
{
	struct bed *b = bed_new();
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);
	struct event_sub sub;
	struct netdev *dev;
	uint32_t local = IP(10, 1, 1, 1);

	event_subscribe(&b->events, &sub, note, out);
	dev = bed_dev(b, "v0");
	bed_up(dev);
	add(dev, local, 24, UINT32_MAX, UINT32_MAX);
	add(dev, IP(10, 1, 1, 2), 24, UINT32_MAX, UINT32_MAX);
	assert_int_equal(conf(b, "conf.v0.promote_secondaries", "1\n"), 0);
	fprintf(out, "| ");
	assert_int_equal(ip4_addr_del(dev, &local, NULL, 0, NULL), 0);
	fprintf(out, "| ");
	netdev_unregister(dev);
	event_unsubscribe(&sub);
	fclose(out);
	assert_string_equal(text, "c-1 +a +2/32 +1/24 +3/32 +a +2/32 "
				  "| -2/32 -a -1/24 -3/32 -2/32 +a +2/32 +1/24 +3/32 "
				  "| -a -2/32 ");
	free(text);
	bed_free(b);
}

static void test_neigh_settings(void **state)
{
	struct bed *b = bed_new();
	struct netdev *v0 = bed_dev(b, "v0"), *v1 = bed_dev(b, "v1");
	struct neigh_parms *p0 = v0->in_dev->arp_parms, *p1 = v1->in_dev->arp_parms;

	assert_int_equal(conf(b, "neigh.v0.ucast_solicit", "7\n"), 0);
	assert_int_equal(conf(b, "neigh.default.ucast_solicit", "9\n"), 0);
	assert_int_equal(p0->ucast_probes, 7);
	assert_int_equal(p1->ucast_probes, 9);
	assert_int_equal(conf(b, "neigh.v0.base_reachable_time", "10\n"), 0);
	assert_true(p0->reachable_time >= 5 * NSEC_PER_SEC &&
		    p0->reachable_time <= 15 * NSEC_PER_SEC);
	assert_int_equal(conf(b, "neigh.v0.unres_qlen", "10\n"), 0);
	assert_int_equal(p0->queue_len_bytes, 20900);
	assert_int_equal(conf(b, "neigh.default.gc_thresh3", "77\n"), 0);
	assert_int_equal(b->weft.ip4->arp.gc_thresh3, 77);
	assert_int_equal(conf(b, "neigh.v0.gc_thresh3", "78\n"), -ENOENT);
	bed_free(b);
}

/* ---- IGMP ---- */

#define GROUP IP(239, 1, 2, 3)

/* The IGMP message of the last frame sent, whose headers must be right. */
static const uint8_t *last_igmp(struct bed *b, uint32_t to, size_t *len)
{
	const uint8_t *ip = b->last + 14;
	uint32_t daddr;

	assert_true(b->last_len >= 14 + 24 + 8);
	assert_int_equal(get_be16(b->last + 12), ETH_P_IP);
	assert_int_equal(b->last[0], 1); /* a multicast link address */
	assert_int_equal(ip[0], 0x46);
	assert_int_equal(ip[1], 0xc0);
	assert_int_equal(ip[8], 1);
	assert_int_equal(get_be32(ip + 20), 0x94040000);
	assert_int_equal(csum_ip4(ip, 6), 0);
	memcpy(&daddr, ip + 16, 4);
	assert_int_equal(daddr, to);
	*len = get_be16(ip + 2) - 24u;
	assert_int_equal(csum_fold(csum_partial(ip + 24, *len, 0)), 0);
	return ip + 24;
}

/* Hands a query to the device as a neighbour would. */
static void query(struct bed *b, struct netdev *dev, uint8_t code, uint32_t group, size_t len)
{
	uint8_t f[14 + 24 + 12] = {1, 0, 0x5e, 0, 0, 1, 2, 9, 9, 9, 9, 9, 8, 0};
	uint8_t *ip = f + 14, *igmp = ip + 24;
	uint32_t saddr = IP(10, 1, 1, 9), daddr = group ? group : IP(224, 0, 0, 1);
	struct pkt *p = pkt_new(&b->worker);
	struct batch batch;
	uint16_t sum;

	ip[0] = 0x46;
	put_be16(ip + 2, (uint16_t)(24 + len));
	ip[8] = 1;
	ip[9] = IPPROTO_IGMP;
	put_be32(ip + 20, 0x94040000);
	memcpy(ip + 12, &saddr, 4);
	memcpy(ip + 16, &daddr, 4);
	sum = csum_ip4(ip, 6);
	memcpy(ip + 10, &sum, 2);
	igmp[0] = IGMP_HOST_MEMBERSHIP_QUERY;
	igmp[1] = code;
	memcpy(igmp + 4, &group, 4);
	sum = csum_fold(csum_partial(igmp, len, 0));
	memcpy(igmp + 2, &sum, 2);
	assert_int_equal(pkt_append(&b->worker.cache, p, f, 14 + 24 + len), 0);
	batch_one(&batch, p);
	netdev_rx(&b->worker, dev, &batch);
	bed_step(b, b->worker.now);
}

static void test_igmp_v3(void **state)
{
	struct bed *b = bed_new();
	struct netdev *dev = bed_dev(b, "v0");
	uint32_t all3 = IP(224, 0, 0, 22), group = GROUP;
	const uint8_t *m;
	size_t len;

	bed_up(dev);
	add(dev, IP(10, 1, 1, 1), 24, UINT32_MAX, UINT32_MAX);
	assert_true(ip4_igmp_member(dev, IP(224, 0, 0, 1)));
	run_until(b, b->worker.now + NSEC_PER_SEC);
	assert_int_equal(b->n_sent, 0); /* all hosts is never told */
	assert_int_equal(ip4_igmp_join(dev, IP(10, 1, 1, 1), MCAST_EXCLUDE), -EINVAL);
	assert_int_equal(ip4_igmp_join(dev, group, MCAST_EXCLUDE), 0);
	assert_int_equal(ip4_igmp_join(dev, group, MCAST_EXCLUDE), 0);
	run_until(b, b->worker.now + 5 * NSEC_PER_SEC);
	assert_int_equal(b->n_sent, 2); /* robustness */
	m = last_igmp(b, all3, &len);
	assert_int_equal(len, 16);
	assert_int_equal(m[0], IGMPV3_HOST_MEMBERSHIP_REPORT);
	assert_int_equal(get_be16(m + 6), 1);
	assert_int_equal(m[8], IGMPV3_CHANGE_TO_EXCLUDE);
	assert_memory_equal(m + 12, &group, 4);
	/* A general query. */
	query(b, dev, 100, 0, 12);
	run_until(b, b->worker.now + 11 * NSEC_PER_SEC);
	assert_int_equal(b->n_sent, 3);
	m = last_igmp(b, all3, &len);
	assert_int_equal(m[8], IGMPV3_MODE_IS_EXCLUDE);
	/* One of the group. */
	query(b, dev, 10, group, 12);
	run_until(b, b->worker.now + 2 * NSEC_PER_SEC);
	assert_int_equal(b->n_sent, 4);
	assert_int_equal(ip4_igmp_leave(dev, group, MCAST_EXCLUDE, 0, NULL), 0);
	assert_true(ip4_igmp_member(dev, group));
	assert_int_equal(ip4_igmp_leave(dev, group, MCAST_EXCLUDE, 0, NULL), 0);
	assert_false(ip4_igmp_member(dev, group));
	assert_int_equal(ip4_igmp_leave(dev, group, MCAST_EXCLUDE, 0, NULL), -EADDRNOTAVAIL);
	run_until(b, b->worker.now + 5 * NSEC_PER_SEC);
	assert_int_equal(b->n_sent, 6);
	m = last_igmp(b, all3, &len);
	assert_int_equal(m[8], IGMPV3_CHANGE_TO_INCLUDE);
	/* Nothing is left to tell. */
	assert_int_equal(worker_next(&b->worker) > b->worker.now + NSEC_PER_SEC, 1);
	bed_free(b);
}

static void test_igmp_v2(void **state)
{
	struct bed *b = bed_new();
	struct netdev *dev = bed_dev(b, "v0");
	uint32_t group = GROUP;
	const uint8_t *m;
	size_t len;

	bed_up(dev);
	add(dev, IP(10, 1, 1, 1), 24, UINT32_MAX, UINT32_MAX);
	query(b, dev, 100, 0, 8);
	assert_int_equal(ip4_igmp_version(dev), 2);
	assert_int_equal(ip4_igmp_join(dev, group, MCAST_EXCLUDE), 0);
	run_until(b, b->worker.now + 15 * NSEC_PER_SEC);
	assert_int_equal(b->n_sent, 2);
	m = last_igmp(b, group, &len);
	assert_int_equal(len, 8);
	assert_int_equal(m[0], IGMPV2_HOST_MEMBERSHIP_REPORT);
	assert_memory_equal(m + 4, &group, 4);
	query(b, dev, 20, group, 8);
	run_until(b, b->worker.now + 3 * NSEC_PER_SEC);
	assert_int_equal(b->n_sent, 3);
	assert_int_equal(ip4_igmp_leave(dev, group, MCAST_EXCLUDE, 0, NULL), 0);
	assert_int_equal(b->n_sent, 4);
	m = last_igmp(b, IP(224, 0, 0, 2), &len);
	assert_int_equal(m[0], IGMP_HOST_LEAVE_MESSAGE);
	/* Old routers are forgotten. */
	run_until(b, b->worker.now + 500 * NSEC_PER_SEC);
	assert_int_equal(ip4_igmp_version(dev), 3);
	/* Groups survive a device that is down. */
	assert_int_equal(ip4_igmp_join(dev, group, MCAST_EXCLUDE), 0);
	netdev_set_flags(dev, 0, IFF_UP, NULL);
	assert_false(ip4_igmp_member(dev, IP(224, 0, 0, 1)));
	assert_true(ip4_igmp_member(dev, group));
	bed_up(dev);
	assert_true(ip4_igmp_member(dev, IP(224, 0, 0, 1)));
	bed_free(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lifetimes),      cmocka_unit_test(test_bad_addrs),
		cmocka_unit_test(test_settings),       cmocka_unit_test(test_news),
		cmocka_unit_test(test_neigh_settings), cmocka_unit_test(test_igmp_v3),
		cmocka_unit_test(test_igmp_v2),
	};
	int ret;

	rcu_register_thread();
	ret = cmocka_run_group_tests(tests, NULL, NULL);
	rcu_unregister_thread();
	return ret;
}
