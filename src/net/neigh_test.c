/*
 * Tests of the neighbour table with operations of the test's own: the transitions of NUD_* under a
 * virtual clock, queues, collection, news, workers' messages.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "net/neigh_core.h"

#define SEC NSEC_PER_SEC

struct world {
	struct weft weft;
	struct worker *w;
	struct event_chain events;
	struct event_sub sub;
	struct net net;
	struct netdev dev;
	struct netdev_ops ops;
	struct dev_core core;
	struct dev_count *count;
	struct neigh_table t;
	struct neigh_parms *parms;
	uint64_t now;
	unsigned n_unicast, n_broadcast, n_unreachable, n_sent, n_app;
	unsigned n_events, n_deleted;
	uint8_t last_state;
	uint8_t first_byte[512]; /* of payloads sent, in order */
	uint8_t last_dst[6];
};

static struct world *the_world;

static void count_event(void *arg, const struct event *e)
{
	struct world *x = arg;
	const struct neigh *n = e->obj;

	if (e->type == EVENT_NEIGH) {
		x->n_events++;
		x->last_state = n->state;
	} else if (e->type == EVENT_NEIGH_DEL) {
		x->n_deleted++;
	} else if (e->type == EVENT_NEIGH_PROBE) {
		x->n_app++;
	}
}

static void solicit(struct worker *w, struct neigh *n, struct pkt *hint, bool unicast)
{
	struct world *x = the_world;

	(void)w;
	(void)hint;
	if (unicast)
		assert_true(n->state & NUD_PROBE);
	*(unicast ? &x->n_unicast : &x->n_broadcast) += 1;
}

static int construct(struct neigh *n)
{
	n->parms = the_world->parms;
	n->type = RTN_UNICAST;
	if (n->key[0] == 224) {
		n->state = NUD_NOARP;
		n->type = RTN_MULTICAST;
		n->lladdr[0] = 1;
	}
	return n->key[0] == 0 ? -EINVAL : 0;
}

static void unreachable(struct worker *w, struct neigh *n, struct pkt *p)
{
	(void)n;
	the_world->n_unreachable++;
	pkt_free(&w->cache, p);
}

static const struct neigh_ops ops = {
	.family = AF_INET,
	.key_len = 4,
	.id = "test",
	.solicit = solicit,
	.construct = construct,
	.unreachable = unreachable,
};

static void xmit(struct worker *w, struct netdev *dev, struct batch *b)
{
	struct world *x = the_world;

	(void)dev;
	for (unsigned i = 0; i < b->n; i++) {
		assert_true(b->p[i]->len >= ETH_HLEN + 1);
		memcpy(x->last_dst, pkt_data(b->p[i]), 6);
		if (x->n_sent < sizeof(x->first_byte))
			x->first_byte[x->n_sent] = pkt_data(b->p[i])[ETH_HLEN];
		x->n_sent++;
		pkt_free(&w->cache, b->p[i]);
	}
	b->n = 0;
}

static int setup(void **state)
{
	struct world *x = calloc(1, sizeof(*x));

	the_world = x;
	x->now = 5 * SEC; /* near the clock's start: times wrap */
	x->weft.pool = pool_new(4096);
	x->weft.n_workers = 1;
	x->w = aligned_alloc(CACHE_LINE, sizeof(*x->w));
	assert_int_equal(worker_init(x->w, 0, &x->weft, x->weft.pool, 1, x->now), 0);
	x->w->now = x->now;
	x->weft.worker[0] = x->w;
	event_chain_init(&x->events);
	event_subscribe(&x->events, &x->sub, count_event, x);
	x->weft.events = &x->events;
	x->net.weft = &x->weft;
	x->ops.xmit = xmit;
	x->dev.ops = &x->ops;
	x->dev.net = &x->net;
	x->dev.weft = &x->weft;
	x->dev.core = &x->core;
	x->core.n_workers = 1;
	x->core.events = &x->events;
	x->count = aligned_alloc(CACHE_LINE, sizeof(*x->count));
	memset(x->count, 0, sizeof(*x->count));
	x->dev.count = x->count;
	x->dev.flags = IFF_UP;
	x->dev.carrier = true;
	x->dev.mtu = 1500;
	x->dev.type = ARPHRD_ETHER;
	x->dev.addr_len = 6;
	x->dev.hard_header_len = ETH_HLEN;
	CDS_INIT_LIST_HEAD(&x->dev.taps);
	CDS_INIT_LIST_HEAD(&x->net.taps);
	assert_int_equal(neigh_table_init(&x->t, &ops, &x->weft, x->w, &x->events), 0);
	assert_non_null(neigh_parms_new(&x->t, &x->net, NULL));
	x->parms = neigh_parms_new(&x->t, &x->net, &x->dev);
	x->parms->reachable_time = 30 * SEC;
	*state = x;
	return 0;
}

static int teardown(void **state)
{
	struct world *x = *state;

	neigh_flush_dev(&x->t, &x->dev, false);
	assert_int_equal(x->t.entries, 0);
	assert_int_equal(x->t.gc_entries, 0);
	neigh_table_fini(&x->t);
	rcu_thread_offline();
	rcu_barrier();
	rcu_thread_online();
	assert_int_equal(pool_in_use(x->weft.pool), 0);
	worker_fini(x->w);
	pool_free(x->weft.pool);
	free(x->w);
	free(x->count);
	free(x);
	return 0;
}

static void advance(struct world *x, uint64_t ns)
{
	uint64_t until = x->now + ns;

	while (x->now < until) {
		uint64_t next = worker_next(x->w);

		if (next <= x->now)
			next = x->now + (1ULL << WHEEL_TICK_SHIFT);
		x->now = MIN(next, until);
		for (int i = 0; i < 1000 && worker_step(x->w, x->now); i++)
			;
	}
}

static struct neigh *get(struct world *x, uint32_t host)
{
	uint8_t key[4];
	int err = 0;

	put_be32(key, host);
	return neigh_get(&x->t, &x->dev, key, &err);
}

static void transmit(struct world *x, struct neigh *n, uint8_t byte)
{
	struct pkt *p = pkt_new(x->w);

	assert_non_null(p);
	assert_int_equal(pkt_append(&x->w->cache, p, &byte, 1), 0);
	neigh_resolve(x->w, n, p);
}

static const uint8_t mac1[6] = {2, 0, 0, 0, 0, 1}, mac2[6] = {2, 0, 0, 0, 0, 2};

#define A 0x0a000001u

/* NONE -> INCOMPLETE -> FAILED, and again; who waited is told. */
static void fails(void **state)
{
	struct world *x = *state;
	struct neigh *n = get(x, A);

	assert_int_equal(n->state, NUD_NONE);
	assert_null(n->hh);
	transmit(x, n, 1);
	transmit(x, n, 2);
	assert_int_equal(n->state, NUD_INCOMPLETE);
	assert_int_equal(x->n_broadcast, 1);
	advance(x, 2900 * NSEC_PER_MSEC);
	assert_int_equal(x->n_broadcast, 3);
	assert_int_equal(n->state, NUD_INCOMPLETE);
	assert_int_equal(x->n_unreachable, 0);
	advance(x, 200 * NSEC_PER_MSEC);
	assert_int_equal(n->state, NUD_FAILED);
	assert_int_equal(x->n_unreachable, 2);
	assert_int_equal(x->n_events, 1);
	assert_int_equal(x->n_unicast, 0);
	assert_int_equal(x->t.stats.res_failed, 1);
	transmit(x, n, 3);
	assert_int_equal(n->state, NUD_INCOMPLETE);
	assert_int_equal(x->n_broadcast, 4);
	neigh_update(n, NULL, NUD_FAILED, NEIGH_UPDATE_ADMIN);
	assert_int_equal(x->n_unreachable, 3);
}

/* INCOMPLETE -> REACHABLE: what waited goes out in order; then STALE, DELAY, PROBE, FAILED. */
static void life(void **state)
{
	struct world *x = *state;
	struct neigh *n = get(x, A);

	for (uint8_t i = 0; i < 10; i++)
		transmit(x, n, i);
	assert_int_equal(neigh_update(n, mac1, NUD_REACHABLE, NEIGH_UPDATE_OVERRIDE), 0);
	assert_int_equal(x->n_sent, 10);
	for (uint8_t i = 0; i < 10; i++)
		assert_int_equal(x->first_byte[i], i);
	assert_memory_equal(x->last_dst, mac1, 6);
	assert_non_null(n->hh);
	assert_int_equal(n->hh->len, 14);

	advance(x, 29 * SEC);
	assert_int_equal(n->state, NUD_REACHABLE);
	advance(x, 2 * SEC);
	assert_int_equal(n->state, NUD_STALE);
	assert_non_null(n->hh);
	advance(x, 20 * SEC);
	assert_int_equal(n->state, NUD_STALE);
	transmit(x, n, 1);
	assert_int_equal(n->state, NUD_DELAY);
	assert_int_equal(x->n_sent, 11);
	advance(x, 4900 * NSEC_PER_MSEC);
	assert_int_equal(n->state, NUD_DELAY);
	assert_int_equal(x->n_unicast, 0);
	advance(x, 200 * NSEC_PER_MSEC);
	assert_int_equal(n->state, NUD_PROBE);
	assert_int_equal(x->n_unicast, 1);
	transmit(x, n, 1); /* still goes out */
	assert_int_equal(x->n_sent, 12);
	assert_int_equal(neigh_update(n, mac1, NUD_REACHABLE, NEIGH_UPDATE_OVERRIDE), 0);
	assert_int_equal(n->state, NUD_REACHABLE);

	/* Used to the end: REACHABLE goes to DELAY without being STALE. */
	advance(x, 29 * SEC);
	transmit(x, n, 1);
	advance(x, 1500 * NSEC_PER_MSEC);
	assert_int_equal(n->state, NUD_DELAY);
	/* An upper layer's word is as good as an answer. */
	neigh_confirm(n, x->now);
	advance(x, 5 * SEC);
	assert_int_equal(n->state, NUD_REACHABLE);

	advance(x, 26 * SEC);
	transmit(x, n, 1);
	x->n_unicast = x->n_broadcast = 0;
	advance(x, 12 * SEC);
	assert_int_equal(n->state, NUD_FAILED);
	assert_int_equal(x->n_unicast, 3);
	assert_int_equal(x->n_broadcast, 0);
	assert_null(n->hh);
}

/* Which news changes what: state and address before and after neigh_update(). */
static void news(void **state)
{
	static const struct {
		uint8_t from, to;
		bool other; /* another link address */
		unsigned flags;
		int err;
		uint8_t state;
		bool taken; /* the address is the new one */
	} table[] = {
		{NUD_REACHABLE, NUD_STALE, false, 0, 0, NUD_REACHABLE, false},
		{NUD_REACHABLE, NUD_STALE, true, 0, 0, NUD_REACHABLE, false},
		{NUD_REACHABLE, NUD_STALE, true, NEIGH_UPDATE_OVERRIDE, 0, NUD_STALE, true},
		{NUD_REACHABLE, NUD_REACHABLE, true, NEIGH_UPDATE_WEAK_OVERRIDE, 0, NUD_STALE,
		 false},
		{NUD_STALE, NUD_REACHABLE, true, NEIGH_UPDATE_WEAK_OVERRIDE, 0, NUD_STALE, false},
		{NUD_STALE, NUD_REACHABLE, false, 0, 0, NUD_REACHABLE, false},
		{NUD_STALE, NUD_REACHABLE, true, NEIGH_UPDATE_OVERRIDE, 0, NUD_REACHABLE, true},
		{NUD_DELAY, NUD_STALE, false, 0, 0, NUD_DELAY, false},
		{NUD_PROBE, NUD_REACHABLE, false, 0, 0, NUD_REACHABLE, false},
		{NUD_PERMANENT, NUD_REACHABLE, true, NEIGH_UPDATE_OVERRIDE, -EPERM, NUD_PERMANENT,
		 false},
		{NUD_PERMANENT, NUD_REACHABLE, true, NEIGH_UPDATE_OVERRIDE | NEIGH_UPDATE_ADMIN, 0,
		 NUD_REACHABLE, true},
		{NUD_REACHABLE, NUD_STALE, false, NEIGH_UPDATE_ADMIN, 0, NUD_STALE, false},
		{NUD_NOARP, NUD_STALE, true, NEIGH_UPDATE_OVERRIDE, -EPERM, NUD_NOARP, false},
		{NUD_REACHABLE, NUD_FAILED, false, NEIGH_UPDATE_ADMIN, 0, NUD_FAILED, false},
		{NUD_REACHABLE, NUD_PERMANENT, false, NEIGH_UPDATE_ADMIN, 0, NUD_PERMANENT, false},
	};
	struct world *x = *state;

	for (unsigned i = 0; i < ARRAY_SIZE(table); i++) {
		struct neigh *n = get(x, A + i);

		assert_int_equal(neigh_update(n, mac1, table[i].from,
					      NEIGH_UPDATE_OVERRIDE | NEIGH_UPDATE_ADMIN),
				 0);
		assert_int_equal(n->state, table[i].from);
		int err =
			neigh_update(n, table[i].other ? mac2 : mac1, table[i].to, table[i].flags);

		if (err != table[i].err || n->state != table[i].state)
			fail_msg("row %u: error %d, state %#x", i, err, n->state);
		assert_memory_equal(n->lladdr, table[i].taken ? mac2 : mac1, 6);
		assert_int_equal(!!n->hh, !!(n->state & NUD_VALID));
		if (n->hh)
			assert_memory_equal(n->hh->hdr + 18, n->lladdr, 6);
	}
	/* No address known and none given. */
	assert_int_equal(neigh_update(get(x, A + 99), NULL, NUD_REACHABLE, 0), -EINVAL);
}

/* The queue holds unres_qlen_bytes; the oldest go. */
static void queue_limit(void **state)
{
	struct world *x = *state;
	struct neigh *n = get(x, A);
	unsigned fit = 5;

	x->parms->queue_len_bytes = (int)(fit * PKT_ELEM_SIZE + 10);
	for (uint8_t i = 0; i < 20; i++)
		transmit(x, n, i);
	assert_int_equal(n->queue.n, fit);
	assert_int_equal(x->t.stats.unres_discards, 15);
	assert_int_equal(x->w->drops[DROP_NEIGH_QUEUEFULL], 15);
	assert_int_equal(pool_in_use(x->weft.pool), fit);
	neigh_update(n, mac1, NUD_REACHABLE, NEIGH_UPDATE_OVERRIDE);
	assert_int_equal(x->n_sent, fit);
	assert_int_equal(x->first_byte[0], 15);
	assert_int_equal(n->queue_bytes, 0);
	/* Dropped with the entry. */
	n = get(x, A + 1);
	transmit(x, n, 1);
	neigh_del(n);
	assert_int_equal(x->w->drops[DROP_NEIGH_DEAD], 1);
	assert_int_equal(pool_in_use(x->weft.pool), 0);
}

static void app_probes(void **state)
{
	struct world *x = *state;
	struct neigh *n = get(x, A);

	x->parms->app_probes = 2;
	x->parms->mcast_probes = 1;
	transmit(x, n, 1);
	advance(x, 2500 * NSEC_PER_MSEC);
	assert_int_equal(x->n_app, 2);
	assert_int_equal(x->n_broadcast, 1);
	advance(x, SEC);
	assert_int_equal(n->state, NUD_FAILED);
	x->parms->app_probes = x->parms->mcast_probes = 0;
	transmit(x, n, 1);
	assert_int_equal(n->state, NUD_FAILED);
	assert_int_equal(x->w->drops[DROP_NEIGH_FAILED], 1);
}

/* Above gc_thresh3 nothing is made unless something can go; PERMANENT never goes. */
static void forced_gc(void **state)
{
	struct world *x = *state;

	x->t.gc_thresh1 = 8;
	x->t.gc_thresh2 = 16;
	x->t.gc_thresh3 = 32;
	for (unsigned i = 0; i < 40; i++)
		assert_int_equal(neigh_update(get(x, 0x0b000000 + i), mac1, NUD_PERMANENT,
					      NEIGH_UPDATE_ADMIN),
				 0);
	assert_int_equal(x->t.gc_entries, 0);
	for (unsigned i = 0; i < 32; i++)
		neigh_update(get(x, A + i), mac1, NUD_REACHABLE, NEIGH_UPDATE_OVERRIDE);
	assert_int_equal(x->t.gc_entries, 32);
	assert_null(get(x, A + 100));
	assert_int_equal(x->t.stats.table_fulls, 1);
	advance(x, 6 * SEC); /* now they have not changed for 5 s */
	assert_non_null(get(x, A + 100));
	assert_int_equal(x->t.gc_entries, 17);
	assert_int_equal(x->n_deleted, 16);
	uint8_t key[4];

	put_be32(key, A); /* the oldest went */
	assert_null(neigh_lookup(&x->t, &x->dev, key));
	put_be32(key, A + 31);
	assert_non_null(neigh_lookup(&x->t, &x->dev, key));
	put_be32(key, 0x0b000000);
	assert_non_null(neigh_lookup(&x->t, &x->dev, key));
}

/* Unused entries go after gc_stale_time; below gc_thresh1 nothing does. */
static void periodic_gc(void **state)
{
	struct world *x = *state;

	x->t.gc_thresh1 = 10;
	for (unsigned i = 0; i < 9; i++)
		neigh_update(get(x, A + i), mac1, NUD_STALE, NEIGH_UPDATE_OVERRIDE);
	advance(x, 200 * SEC);
	assert_int_equal(x->t.entries, 9);
	struct neigh *used = get(x, A + 20), *perm = get(x, A + 21);

	neigh_update(used, mac1, NUD_STALE, NEIGH_UPDATE_OVERRIDE);
	neigh_update(perm, mac1, NUD_PERMANENT, NEIGH_UPDATE_ADMIN);
	advance(x, 20 * SEC);
	assert_int_equal(x->t.entries, 2);
	assert_false(used->dead);
	assert_true(x->t.stats.periodic_gc_runs > 10);
}

/* 100,000 entries: made, found, collected slice by slice. */
static void many(void **state)
{
	struct world *x = *state;
	unsigned n = 100000;
	uint8_t key[4];

	x->t.gc_thresh2 = x->t.gc_thresh3 = 1 << 20;
	for (unsigned i = 0; i < n; i++) {
		struct neigh *e = get(x, A + i);

		if (i & 1)
			e->state = NUD_STALE;
	}
	assert_int_equal(x->t.entries, n);
	for (unsigned i = 0; i < n; i++) {
		put_be32(key, A + i);
		assert_non_null(neigh_lookup(&x->t, &x->dev, key));
	}
	advance(x, 100 * SEC);
	assert_int_equal(x->t.entries, 0);
	assert_int_equal(x->n_deleted, n);
}

static void flushes(void **state)
{
	struct world *x = *state;
	struct neigh *perm = get(x, A);

	neigh_update(perm, mac1, NUD_PERMANENT, NEIGH_UPDATE_ADMIN);
	for (unsigned i = 1; i < 20; i++)
		transmit(x, get(x, A + i), 1);
	neigh_flush_dev(&x->t, &x->dev, true);
	assert_int_equal(x->t.entries, 1);
	assert_int_equal(pool_in_use(x->weft.pool), 0);
	neigh_dev_addr(&x->t, &x->dev);
	assert_int_equal(x->t.entries, 0);
	/* A next hop's reference keeps the memory, not the entry. */
	perm = get(x, A);
	neigh_hold(perm);
	neigh_del(perm);
	assert_true(perm->dead);
	assert_null(perm->hh);
	assert_int_equal(neigh_update(perm, mac1, NUD_REACHABLE, 0), -EPERM);
	neigh_put(perm);
	/* No entry for what construct() refuses; none to resolve for a group. */
	assert_null(get(x, 1));
	struct neigh *group = get(x, 0xe0000001);

	assert_int_equal(group->state, NUD_NOARP);
	transmit(x, group, 7);
	assert_int_equal(x->n_sent, 1);
}

/* A worker that uses a STALE entry tells control once, and freeing waits for the message. */
static void stale_by_worker(void **state)
{
	struct world *x = *state;
	struct worker *other = aligned_alloc(CACHE_LINE, sizeof(*other));
	struct neigh *n = get(x, A);
	struct pkt *p;

	*other = *x->w;
	other->id = 1;
	neigh_update(n, mac1, NUD_STALE, NEIGH_UPDATE_OVERRIDE);
	for (int i = 0; i < 5; i++) {
		p = pkt_new(x->w);
		pkt_append(&x->w->cache, p, "x", 1);
		other->cache = x->w->cache;
		assert_true(neigh_header(other, n, p));
		pkt_free(&x->w->cache, p);
	}
	assert_int_equal(n->state, NUD_STALE);
	worker_step(x->w, x->now);
	assert_int_equal(n->state, NUD_DELAY);
	assert_int_equal(n->msg_state, 0);
	/* Deleted with a message under way. */
	n->state = NUD_STALE;
	neigh_used_stale(other, n);
	neigh_del(n);
	rcu_thread_offline();
	rcu_barrier();
	rcu_thread_online();
	worker_step(x->w, x->now);
	free(other);
}

static void proxies(void **state)
{
	struct world *x = *state;
	uint8_t key[4] = {10, 0, 0, 5};

	assert_int_equal(neigh_proxy_add(&x->t, &x->net, &x->dev, key, NTF_PROXY, 0, true), 0);
	assert_non_null(neigh_proxy_find(&x->t, &x->net, &x->dev, key));
	assert_int_equal(neigh_proxy_del(&x->t, &x->net, NULL, key), -ENOENT);
	assert_int_equal(neigh_proxy_add(&x->t, &x->net, NULL, key, NTF_PROXY, 0, true), 0);
	assert_int_equal(neigh_proxy_del(&x->t, &x->net, &x->dev, key), 0);
	assert_non_null(neigh_proxy_find(&x->t, &x->net, &x->dev, key)); /* of any device */
	assert_int_equal(neigh_proxy_del(&x->t, &x->net, NULL, key), 0);
	assert_null(neigh_proxy_find(&x->t, &x->net, &x->dev, key));
	assert_int_equal(neigh_proxy_add(&x->t, &x->net, &x->dev, key, NTF_PROXY, 0, true), 0);
	neigh_flush_dev(&x->t, &x->dev, true);
	assert_non_null(neigh_proxy_find(&x->t, &x->net, &x->dev, key));
	neigh_flush_dev(&x->t, &x->dev, false);
	assert_null(neigh_proxy_find(&x->t, &x->net, &x->dev, key));
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(fails),     T(life),	      T(news), T(queue_limit), T(app_probes),
		T(forced_gc), T(periodic_gc), T(many), T(flushes),     T(stale_by_worker),
		T(proxies),
	};
	int err;

	rcu_register_thread();
	err = cmocka_run_group_tests_name("neigh", tests, NULL, NULL);
	rcu_unregister_thread();
	return err;
}
