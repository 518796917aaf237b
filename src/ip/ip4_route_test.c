/* Routing tables: a naive twin, sharing, walks under change, ids, events, path MTU. */
#include <arpa/inet.h>
#include <pthread.h>
#include <stdio.h>

#include "ip/ip4_test.h"

#define IP(a, b, c, d) htonl((uint32_t)(a) << 24 | (b) << 16 | (c) << 8 | (d))

static struct bed *bed_with_v0(struct netdev **dev)
{
	struct bed *b = bed_new();
	struct in_ifaddr ifa = {
		.local = IP(10, 1, 1, 1),
		.prefixlen = 24,
		.valid_lft = UINT32_MAX,
		.preferred_lft = UINT32_MAX,
	};

	*dev = bed_dev(b, "v0");
	bed_up(*dev);
	assert_int_equal(ip4_addr_add(*dev, &ifa, false, true, NULL), 0);
	return b;
}

static struct route_config via(uint32_t dst, uint8_t len, uint32_t gateway)
{
	return (struct route_config){
		.dst = dst,
		.dst_len = len,
		.gateway = gateway,
		.has_gateway = true,
		.table = RT_TABLE_MAIN,
		.type = RTN_UNICAST,
		.protocol = RTPROT_STATIC,
		.nl_flags = NLM_F_CREATE | NLM_F_EXCL,
	};
}

/* ---- many routes, one next hop ---- */

static void test_sharing(void **state)
{
	enum { N = 100000 };
	struct netdev *dev;
	struct bed *b = bed_with_v0(&dev);
	struct ip4_core *core = b->weft.ip4;
	uint32_t live = core->n_fib_live;
	size_t before = route4_count(b->net, RT_TABLE_MAIN);

	for (uint32_t i = 0; i < N; i++) {
		struct route_config cfg = via(htonl(0x14000000 + (i << 8)), 24, IP(10, 1, 1, 2));
		assert_int_equal(route4_add(b->net, &cfg, NULL), 0);
	}
	assert_int_equal(core->n_fib_live, live + 1);
	assert_int_equal(route4_count(b->net, RT_TABLE_MAIN), before + N);
	for (uint32_t i = 0; i < N; i += 97) {
		uint32_t addr = 0x14000000 + (i << 8) + 5, val;
		route4_lookup_bulk(b->net, &addr, &val, 1);
		assert_int_equal(route4_val_len(val), 24);
		assert_int_equal(fib_info_by_id(core, val)->nh.gateway, IP(10, 1, 1, 2));
		assert_int_equal(fib_info_by_id(core, val)->refs, N);
	}
	for (uint32_t i = 0; i < N / 2; i++) {
		struct route_config cfg = via(htonl(0x14000000 + (i << 8)), 24, IP(10, 1, 1, 2));
		assert_int_equal(route4_del(b->net, &cfg, NULL), 0);
	}
	assert_int_equal(route4_count(b->net, RT_TABLE_MAIN), before + N / 2);
	/* The device's end takes the other half. */
	netdev_set_flags(dev, 0, IFF_UP, NULL);
	assert_int_equal(route4_count(b->net, RT_TABLE_MAIN), 0);
	assert_int_equal(core->n_fib_live, 1); /* the address itself */
	assert_int_equal(fib4_size(b->net->ip4->routes->fib), 1);
	bed_free(b);
}

/* ---- the naive twin ---- */

struct twin_route {
	bool used;
	uint32_t prefix, table, gateway, priority, stamp;
	uint8_t len, tos;
};

#define TWIN_MAX 600

static uint32_t twin_mask(unsigned len)
{
	return len ? ~0u << (32 - len) : 0;
}

/* Does a beat b for a packet that both match? */
static bool twin_better(const struct twin_route *a, const struct twin_route *b)
{
	if (a->len != b->len)
		return a->len > b->len;
	if (a->table != b->table)
		return a->table == RT_TABLE_LOCAL;
	if (a->tos != b->tos)
		return a->tos > b->tos;
	if (a->priority != b->priority)
		return a->priority < b->priority;
	return a->stamp > b->stamp;
}

static const struct twin_route *twin_lookup(const struct twin_route *t, uint32_t addr, uint8_t tos,
					    bool dflt)
{
	const struct twin_route *best = NULL;

	for (unsigned i = 0; i < TWIN_MAX; i++) {
		if (!t[i].used || ((addr ^ t[i].prefix) & twin_mask(t[i].len)) ||
		    (t[i].tos && t[i].tos != tos) || dflt != (t[i].table == RT_TABLE_DEFAULT))
			continue;
		if (!best || twin_better(&t[i], best))
			best = &t[i];
	}
	return best;
}

static void twin_check(struct bed *b, const struct twin_route *t, uint32_t addr, uint8_t tos)
{
	struct flow4 fl = {.daddr = htonl(addr), .tos = tos};
	const struct twin_route *want = twin_lookup(t, addr, tos, false);
	const struct fib_info *fi = NULL;
	uint8_t len;
	uint32_t val;

	if (!want)
		want = twin_lookup(t, addr, tos, true);
	int err = route4_full_lookup(b->net, &fl, false, &fi, &len);
	if (!want) {
		assert_int_equal(err, -ENETUNREACH);
	} else {
		assert_int_equal(err, 0);
		assert_int_equal(len, want->len);
		assert_int_equal(fi->nh.gateway, want->gateway);
		assert_int_equal(fi->tb_id, want->table);
	}
	if (tos)
		return;
	/* The digest says the same. */
	route4_lookup_bulk(b->net, &addr, &val, 1);
	assert_int_equal(!!val, !!want);
	if (val)
		assert_ptr_equal(fib_info_by_id(b->weft.ip4, val), fi);
}

static uint32_t few_addresses(struct rng *r)
{
	/* Few bits vary, so that prefixes nest and collide. */
	uint32_t a = rng_u32(r);
	return 0x50000000 | (a & 0x0f00000f) | (a & 0x00300300);
}

static void twin_step(struct bed *b, struct twin_route *t, struct rng *r, uint32_t stamp)
{
	static const uint32_t tables[] = {RT_TABLE_MAIN, RT_TABLE_LOCAL, RT_TABLE_DEFAULT};
	struct twin_route *e = &t[rng_below(r, TWIN_MAX)];
	struct route_config cfg;
	int err;

	if (e->used) {
		cfg = via(htonl(e->prefix), e->len, e->gateway);
		cfg.tos = e->tos;
		cfg.priority = e->priority;
		cfg.table = e->table;
		assert_int_equal(route4_del_metric(b->net, &cfg), 0);
		e->used = false;
		return;
	}
	e->len = (uint8_t)rng_below(r, 33);
	e->prefix = few_addresses(r) & twin_mask(e->len);
	e->tos = rng_below(r, 4) ? 0 : (uint8_t)(4 * rng_below(r, 4));
	e->priority = rng_below(r, 3);
	e->gateway = IP(10, 1, 1, 2 + rng_below(r, 9));
	e->table = tables[rng_below(r, 3)];
	e->stamp = stamp;
	cfg = via(htonl(e->prefix), e->len, e->gateway);
	cfg.tos = e->tos;
	cfg.priority = e->priority;
	cfg.table = e->table;
	err = route4_add(b->net, &cfg, NULL);
	for (unsigned i = 0; i < TWIN_MAX; i++)
		if (&t[i] != e && t[i].used && t[i].prefix == e->prefix && t[i].len == e->len &&
		    t[i].tos == e->tos && t[i].priority == e->priority && t[i].table == e->table) {
			assert_int_equal(err, -EEXIST);
			return;
		}
	assert_int_equal(err, 0);
	e->used = true;
}

static void test_twin(void **state)
{
	struct bed *b = bed_new();
	struct netdev *dev = bed_dev(b, "v0");
	struct twin_route *t = calloc(TWIN_MAX, sizeof(*t));
	struct route_config link = {.dst = IP(10, 1, 1, 0),
				    .dst_len = 24,
				    .type = RTN_UNICAST,
				    .scope = RT_SCOPE_LINK,
				    .table = RT_TABLE_MAIN,
				    .nl_flags = NLM_F_CREATE};
	struct rng r;

	rng_seed(&r, 42);
	bed_up(dev);
	link.oif = dev->ifindex;
	assert_int_equal(route4_add(b->net, &link, NULL), 0);
	for (uint32_t i = 0; i < 20000; i++) {
		twin_step(b, t, &r, i);
		twin_check(b, t, few_addresses(&r), 0);
		twin_check(b, t, few_addresses(&r), (uint8_t)(4 * rng_below(&r, 4)));
	}
	free(t);
	bed_free(b);
}

/* ---- walks ---- */

struct walk {
	struct bed *b;
	uint64_t seen[64];
	uint32_t n, stop_after;
};

static int walk_fn(const struct route *r, void *arg)
{
	struct walk *w = arg;

	if (w->stop_after && w->stop_after-- == 1)
		return 1;
	w->seen[w->n++] = (uint64_t)ntohl(r->dst) << 6 | r->dst_len;
	return 0;
}

static void test_walk(void **state)
{
	struct netdev *dev;
	struct bed *b = bed_with_v0(&dev);
	struct walk all = {.b = b}, parts = {.b = b};
	struct route4_cookie c = {0};
	struct route_config cfg;

	for (unsigned i = 0; i < 16; i++) {
		cfg = via(htonl(0x14000000 + (i / 4 << 24)), (uint8_t)(8 + i % 4 * 8),
			  IP(10, 1, 1, 2));
		assert_int_equal(route4_add(b->net, &cfg, NULL), 0);
	}
	assert_int_equal(route4_walk(b->net, RT_TABLE_MAIN, &c, walk_fn, &all), 0);
	assert_int_equal(all.n, 17);
	/* One at a time gives the same. */
	c = (struct route4_cookie){0};
	do
		parts.stop_after = 2;
	while (route4_walk(b->net, RT_TABLE_MAIN, &c, walk_fn, &parts));
	assert_int_equal(parts.n, all.n);
	assert_memory_equal(parts.seen, all.seen, sizeof(all.seen));
	/* Changes between the parts: what stays is seen once, in order; the dump can tell. */
	uint32_t seq = route4_seq(b->net);
	parts = (struct walk){.b = b, .stop_after = 8};
	c = (struct route4_cookie){0};
	assert_int_equal(route4_walk(b->net, RT_TABLE_MAIN, &c, walk_fn, &parts), 1);
	cfg = via(htonl(0x14000000), 32, IP(10, 1, 1, 2)); /* seen already */
	assert_int_equal(route4_del(b->net, &cfg, NULL), 0);
	cfg = via(htonl(0x15000000), 8, IP(10, 1, 1, 2)); /* where the walk stands */
	assert_int_equal(route4_del(b->net, &cfg, NULL), 0);
	assert_int_not_equal(route4_seq(b->net), seq);
	assert_int_equal(route4_walk(b->net, RT_TABLE_MAIN, &c, walk_fn, &parts), 0);
	for (unsigned i = 1; i < parts.n; i++) {
		uint64_t p = parts.seen[i - 1], q = parts.seen[i];
		assert_true(p >> 6 < q >> 6 || (p >> 6 == q >> 6 && (p & 63) > (q & 63)));
	}
	assert_int_equal(parts.n, 16);
	bed_free(b);
}

/* ---- ids ---- */

static void test_ids(void **state)
{
	struct netdev *dev;
	struct bed *b = bed_with_v0(&dev);
	struct ip4_core *core = b->weft.ip4;
	uint32_t addr = 0x14000001, val, used = core->n_fibs, again;
	struct route_config cfg = via(htonl(0x14000000), 24, IP(10, 1, 1, 2));

	assert_int_equal(route4_add(b->net, &cfg, NULL), 0);
	route4_lookup_bulk(b->net, &addr, &val, 1);
	assert_int_equal(route4_del(b->net, &cfg, NULL), 0);
	/* Within the grace period the id is nobody else's. */
	cfg.gateway = IP(10, 1, 1, 3);
	assert_int_equal(route4_add(b->net, &cfg, NULL), 0);
	route4_lookup_bulk(b->net, &addr, &again, 1);
	assert_int_not_equal(val, again);
	assert_int_equal(fib_info_by_id(core, val)->nh.gateway, IP(10, 1, 1, 2));
	/* Afterwards memory does not grow. */
	for (unsigned i = 0; i < 200; i++) {
		assert_int_equal(route4_del(b->net, &cfg, NULL), 0);
		rcu_barrier();
		cfg.gateway = IP(10, 1, 1, 2 + i % 50);
		assert_int_equal(route4_add(b->net, &cfg, NULL), 0);
	}
	assert_true(core->n_fibs <= used + 3);
	/* The table of ids grows. */
	for (unsigned i = 0; i < 500; i++) {
		cfg = via(htonl(0x15000000 + (i << 8)), 24, IP(10, 1, 1, 2));
		cfg.priority = i;
		assert_int_equal(route4_add(b->net, &cfg, NULL), 0);
	}
	for (uint32_t i = 0; i < 500; i++) {
		addr = 0x15000000 + (i << 8);
		route4_lookup_bulk(b->net, &addr, &val, 1);
		assert_int_equal(fib_info_by_id(core, val)->priority, i);
	}
	bed_free(b);
}

/* A next hop forgets its neighbour when that ends. */
static void test_neigh(void **state)
{
	struct netdev *dev;
	struct bed *b = bed_with_v0(&dev);
	struct route_config cfg = via(htonl(0x14000000), 24, IP(10, 1, 1, 2));
	uint32_t addr = 0x14000001, val, gateway = IP(10, 1, 1, 2);
	int err;
	unsigned refs;
	struct neigh *n = neigh_get(&b->weft.ip4->arp, dev, &gateway, &err);

	assert_non_null(n);
	assert_int_equal(route4_add(b->net, &cfg, NULL), 0);
	route4_lookup_bulk(b->net, &addr, &val, 1);
	struct fib_info *fi = fib_info_by_id(b->weft.ip4, val);
	refs = n->refs;
	fib_info_set_neigh(fi, n);
	assert_int_equal(n->refs, refs + 1);
	neigh_del(n);
	assert_null(fi->nh.neigh);
	n = neigh_get(&b->weft.ip4->arp, dev, &gateway, &err);
	assert_non_null(n);
	fib_info_set_neigh(fi, n);
	assert_int_equal(route4_del(b->net, &cfg, NULL), 0);
	assert_int_equal(n->refs, refs);
	bed_free(b);
}

/* ---- a reader beside the writer ---- */

struct reader {
	struct bed *b;
	int stop;
	uint64_t n, bad;
};

/* Every address below 20.0.0.0/8 has a way at any time, over some gateway in 10.1.1.0/24. */
static void *read_routes(void *arg)
{
	struct reader *r = arg;
	struct rng rng;

	rcu_register_thread();
	rng_seed(&rng, 7);
	while (!__atomic_load_n(&r->stop, __ATOMIC_RELAXED)) {
		uint32_t addr = 0x14000000 | (rng_u32(&rng) & 0xffffff), val;
		struct flow4 fl = {.daddr = htonl(addr)};
		const struct fib_info *fi = NULL;
		uint8_t len = 0;

		r->bad += route4_full_lookup(r->b->net, &fl, false, &fi, &len) != 0 || len < 8 ||
			  (fi->nh.gateway & htonl(0xffffff00)) != IP(10, 1, 1, 0);
		route4_lookup_bulk(r->b->net, &addr, &val, 1);
		fi = val ? fib_info_by_id(r->b->weft.ip4, val) : NULL;
		r->bad += !fi || (fi->nh.gateway & htonl(0xffffff00)) != IP(10, 1, 1, 0);
		r->n++;
		rcu_quiescent_state();
	}
	rcu_unregister_thread();
	return NULL;
}

static void test_reader(void **state)
{
	struct netdev *dev;
	struct bed *b = bed_with_v0(&dev);
	struct reader r = {.b = b};
	struct route_config cfg = via(IP(20, 0, 0, 0), 8, IP(10, 1, 1, 2));
	struct rng rng;
	pthread_t t;

	rng_seed(&rng, 3);
	assert_int_equal(route4_add(b->net, &cfg, NULL), 0);
	assert_int_equal(pthread_create(&t, NULL, read_routes, &r), 0);
	for (unsigned i = 0; i < 40000; i++) {
		uint8_t len = (uint8_t)(9 + rng_below(&rng, 6));
		uint32_t prefix = (0x14000000 | (rng_u32(&rng) & 0xffffff)) & twin_mask(len);
		cfg = via(htonl(prefix), len, IP(10, 1, 1, 2 + rng_below(&rng, 200)));
		if (rng_below(&rng, 2)) {
			cfg.nl_flags = NLM_F_CREATE | NLM_F_REPLACE;
			assert_int_equal(route4_add(b->net, &cfg, NULL), 0);
		} else {
			cfg.has_gateway = false;
			cfg.gateway = 0;
			route4_del(b->net, &cfg, NULL);
		}
		rcu_quiescent_state();
	}
	__atomic_store_n(&r.stop, 1, __ATOMIC_RELAXED);
	rcu_thread_offline();
	pthread_join(t, NULL);
	rcu_thread_online();
	assert_true(r.n > 0);
	assert_int_equal(r.bad, 0);
	bed_free(b);
}

/* ---- events ---- */

struct heard {
	struct event_sub sub;
	unsigned n[EVENT_NSID + 1];
	uint64_t arg, arg2;
	const struct netdev *dev;
};

static void hear(void *arg, const struct event *e)
{
	struct heard *h = arg;

	h->n[e->type]++;
	h->arg = e->arg;
	h->arg2 = e->arg2;
	h->dev = e->dev;
}

static void test_events(void **state)
{
	struct netdev *dev;
	struct bed *b = bed_with_v0(&dev);
	struct heard h = {0};
	struct route_config cfg = via(htonl(0x14000000), 24, IP(10, 1, 1, 2));

	event_subscribe(&b->events, &h.sub, hear, &h);
	assert_int_equal(route4_add(b->net, &cfg, NULL), 0);
	assert_int_equal(h.n[EVENT_ROUTE_NEW], 1);
	assert_int_equal(h.arg, NLM_F_CREATE | NLM_F_EXCL);
	assert_int_equal(route4_add(b->net, &cfg, NULL), -EEXIST);
	cfg.nl_flags = NLM_F_CREATE | NLM_F_REPLACE;
	assert_int_equal(route4_add(b->net, &cfg, NULL),
			 0); /* nothing to replace: it is the same */
	assert_int_equal(h.n[EVENT_ROUTE_NEW], 1);
	cfg.gateway = IP(10, 1, 1, 3);
	assert_int_equal(route4_add(b->net, &cfg, NULL), 0);
	assert_int_equal(h.n[EVENT_ROUTE_NEW], 2);
	assert_int_equal(h.arg, NLM_F_REPLACE);
	cfg.gateway = IP(10, 1, 1, 4);
	cfg.nl_flags = NLM_F_CREATE | NLM_F_APPEND;
	assert_int_equal(route4_add(b->net, &cfg, NULL), 0);
	assert_int_equal(h.arg, NLM_F_CREATE | NLM_F_APPEND);
	assert_int_equal(route4_del(b->net, &cfg, NULL), 0);
	assert_int_equal(h.n[EVENT_ROUTE_DEL], 1);
	/* A device going down takes its routes in silence, as in Linux. */
	netdev_set_flags(dev, 0, IFF_UP, NULL);
	assert_int_equal(h.n[EVENT_ROUTE_DEL], 1);
	assert_int_equal(h.n[EVENT_ADDR_DEL], 0);
	/* Its end takes the addresses aloud. */
	netdev_unregister(dev);
	assert_int_equal(h.n[EVENT_ADDR_DEL], 1);
	event_unsubscribe(&h.sub);
	bed_free(b);
}

/* ---- path MTU ---- */

static uint32_t mtu_to(struct bed *b, uint32_t daddr)
{
	struct flow4 fl = {.daddr = daddr};
	struct route_result res;

	assert_int_equal(route4_output(b->net, &fl, &res), 0);
	return res.mtu;
}

static void test_pmtu(void **state)
{
	struct netdev *dev;
	struct bed *b = bed_with_v0(&dev);
	struct route_config cfg = via(0, 0, IP(10, 1, 1, 2));
	uint64_t now = b->worker.now, expires = 0;
	uint32_t far = IP(9, 9, 9, 9), known = 0;

	assert_int_equal(route4_add(b->net, &cfg, NULL), 0);
	assert_int_equal(mtu_to(b, far), 1500);
	assert_int_equal(route4_pmtu(b->net, far, now, &expires), 0);
	route4_update_pmtu(b->net, far, 1400, now);
	assert_int_equal(mtu_to(b, far), 1400);
	route4_update_pmtu(b->net, far, 1450, now); /* larger: no news */
	assert_int_equal(mtu_to(b, far), 1400);
	route4_update_pmtu(b->net, far, 100, now); /* below what is believed */
	assert_int_equal(mtu_to(b, far), 552);
	assert_int_equal(mtu_to(b, IP(9, 9, 9, 8)), 1500);
	assert_int_equal(route4_pmtu(b->net, far, now + 599 * NSEC_PER_SEC, &expires), 552);
	assert_int_equal(route4_pmtu(b->net, far, now + 601 * NSEC_PER_SEC, &expires), 0);
	assert_int_equal(bed_sysctl(b, "net.ipv4.route.flush", "1\n"), 0);
	assert_int_equal(mtu_to(b, far), 1500);
	/* Another route is another path. */
	route4_update_pmtu(b->net, far, 1400, now);
	assert_int_equal(mtu_to(b, far), 1400);
	cfg.gateway = IP(10, 1, 1, 3);
	cfg.nl_flags = NLM_F_REPLACE;
	assert_int_equal(route4_add(b->net, &cfg, NULL), 0);
	assert_int_equal(mtu_to(b, far), 1500);
	/* Outsiders can make it forget, not grow. */
	for (uint32_t i = 1; i <= 100000; i++)
		route4_update_pmtu(b->net, htonl(i), 1300, now);
	for (uint32_t i = 1; i <= 100000; i++)
		known += route4_pmtu(b->net, htonl(i), now, &expires) != 0;
	assert_true(known > 1000 && known <= 1024 * 5);
	/* What the user locked holds. */
	cfg = via(IP(20, 0, 0, 0), 8, IP(10, 1, 1, 2));
	cfg.metrics[RTAX_MTU] = 1200;
	cfg.metrics[RTAX_LOCK] = 1u << RTAX_MTU;
	assert_int_equal(route4_add(b->net, &cfg, NULL), 0);
	route4_update_pmtu(b->net, IP(20, 1, 1, 1), 600, now);
	assert_int_equal(mtu_to(b, IP(20, 1, 1, 1)), 1200);
	bed_free(b);
}

/* ---- input ---- */

static int input(struct bed *b, struct netdev *in, uint32_t saddr, uint32_t daddr)
{
	struct flow4 fl = {.saddr = saddr, .daddr = daddr, .iif = in->ifindex};
	struct route_result res;
	int err = route4_input(b->net, &fl, in, &res);

	return err ? err : res.type;
}

static void test_input(void **state)
{
	struct netdev *v0, *v1;
	struct bed *b = bed_with_v0(&v0);
	struct in_ifaddr ifa = {.local = IP(10, 2, 1, 1),
				.prefixlen = 24,
				.valid_lft = UINT32_MAX,
				.preferred_lft = UINT32_MAX};
	uint32_t near = IP(10, 1, 1, 9), far = IP(10, 2, 1, 9);

	v1 = bed_dev(b, "v1");
	bed_up(v1);
	assert_int_equal(ip4_addr_add(v1, &ifa, false, true, NULL), 0);
	assert_int_equal(input(b, v0, near, IP(10, 1, 1, 1)), RTN_LOCAL);
	assert_int_equal(input(b, v0, near, IP(10, 2, 1, 1)), RTN_LOCAL);
	assert_int_equal(input(b, v0, near, IP(10, 1, 1, 255)), RTN_BROADCAST);
	assert_int_equal(input(b, v0, near, INADDR_BROADCAST), RTN_BROADCAST);
	assert_int_equal(input(b, v0, near, IP(224, 0, 0, 1)), RTN_MULTICAST);
	assert_int_equal(input(b, v0, near, IP(224, 0, 0, 9)), -EINVAL);
	assert_int_equal(input(b, v0, near, far), -EHOSTUNREACH); /* no router */
	assert_int_equal(bed_sysctl(b, "net.ipv4.ip_forward", "1\n"), 0);
	assert_int_equal(input(b, v0, near, far), RTN_UNICAST);
	assert_int_equal(input(b, v0, near, IP(77, 0, 0, 1)), -ENETUNREACH);
	/* Martians. */
	assert_int_equal(input(b, v0, IP(10, 1, 1, 1), far), -EINVAL);
	assert_int_equal(input(b, v0, IP(127, 0, 0, 1), IP(10, 1, 1, 1)), -EINVAL);
	assert_int_equal(input(b, v0, near, IP(127, 0, 0, 1)), -EINVAL);
	assert_int_equal(input(b, v0, IP(224, 0, 0, 1), IP(10, 1, 1, 1)), -EINVAL);
	assert_int_equal(input(b, v0, INADDR_BROADCAST, IP(10, 1, 1, 1)), -EINVAL);
	assert_int_equal(input(b, v0, 0, IP(10, 1, 1, 1)), -EINVAL);
	/* Without a filter nobody looks at what else a source could be. */
	assert_int_equal(input(b, v0, IP(10, 1, 1, 255), IP(10, 1, 1, 1)), RTN_LOCAL);
	/* The reverse path. */
	assert_int_equal(input(b, v1, near, IP(10, 2, 1, 1)), RTN_LOCAL);
	assert_int_equal(input(b, v1, IP(77, 0, 0, 1), IP(10, 2, 1, 1)), RTN_LOCAL);
	assert_int_equal(bed_sysctl(b, "net.ipv4.conf.v1.rp_filter", "2\n"), 0);
	assert_int_equal(input(b, v1, near, IP(10, 2, 1, 1)), RTN_LOCAL);
	assert_int_equal(input(b, v1, IP(77, 0, 0, 1), IP(10, 2, 1, 1)), -EXDEV);
	assert_int_equal(bed_sysctl(b, "net.ipv4.conf.all.rp_filter", "1\n"), 0);
	assert_int_equal(input(b, v0, far, IP(10, 1, 1, 1)), -EXDEV);
	assert_int_equal(input(b, v0, IP(10, 1, 1, 255), IP(10, 1, 1, 1)), -EINVAL);
	assert_int_equal(input(b, v1, near, IP(10, 2, 1, 1)), RTN_LOCAL); /* 2 is more than 1 */
	bed_free(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sharing), cmocka_unit_test(test_twin),
		cmocka_unit_test(test_walk),	cmocka_unit_test(test_ids),
		cmocka_unit_test(test_neigh),	cmocka_unit_test(test_reader),
		cmocka_unit_test(test_events),	cmocka_unit_test(test_pmtu),
		cmocka_unit_test(test_input),
	};
	int ret;

	rcu_register_thread();
	ret = cmocka_run_group_tests(tests, NULL, NULL);
	rcu_unregister_thread();
	return ret;
}
