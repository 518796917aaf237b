/* Tests of the mem device: both directions, full rings, links within and between instances. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "drivers/mem/mem.h"
#include "net/net.h"
#include "run/instance.h"

static const struct dev_kind *const kinds[] = {&lo_kind, &mem_kind, NULL};

struct bed {
	struct weft weft;
	struct worker worker;
	struct event_chain events;
	struct dev_core core;
	struct net_set nets;
	struct net *net;
};

static struct {
	unsigned n, calls;
	struct netdev *dev;
	uint16_t queue;
	uint8_t last[64];
	size_t len;
} seen;

static void swallow(struct worker *w, struct netdev *dev, struct batch *b)
{
	const struct pkt *p = b->p[b->n - 1];

	seen.n += b->n;
	seen.calls++;
	seen.dev = dev;
	seen.queue = p->queue;
	seen.len = pkt_copy_out(p, 0, seen.last, sizeof(seen.last));
	pkt_free_bulk(&w->cache, b);
}

static struct bed *bed_new(void)
{
	static const struct net_module none[] = {{0}};
	struct bed *b = aligned_alloc(CACHE_LINE, align_up(sizeof(*b), CACHE_LINE));
	int err;

	memset(b, 0, sizeof(*b));
	b->weft.pool = pool_new(4096);
	b->weft.n_workers = 1;
	b->weft.worker[0] = &b->worker;
	b->weft.events = &b->events;
	b->weft.dev = &b->core;
	b->weft.nets = &b->nets;
	event_chain_init(&b->events);
	assert_int_equal(worker_init(&b->worker, 0, &b->weft, b->weft.pool, 1, NSEC_PER_SEC), 0);
	b->worker.backlog_run = netdev_backlog_run;
	b->core = (struct dev_core){
		.weft = &b->weft,
		.n_workers = 1,
		.events = &b->events,
		.kinds = kinds,
		.workers = b->weft.worker,
		.arp_input = swallow,
	};
	net_set_init(&b->nets, &b->weft, &b->core, none);
	b->net = net_new(&b->nets, &err);
	assert_non_null(b->net);
	memset(&seen, 0, sizeof(seen));
	return b;
}

static void bed_free(struct bed *b)
{
	net_set_fini(&b->nets);
	dev_core_fini(&b->core);
	rcu_barrier();
	assert_int_equal(pool_in_use(b->weft.pool), 0);
	worker_fini(&b->worker);
	pool_free(b->weft.pool);
	free(b);
}

static void settle(struct bed *b)
{
	while (worker_step(&b->worker, b->worker.now))
		;
	rcu_quiescent_state();
}

static struct netdev *mem_new(struct bed *b, const char *name, unsigned n_rxq)
{
	struct dev_new n = {.net = b->net, .name = name, .n_rxq = n_rxq};
	struct netdev *dev = NULL;

	assert_int_equal(dev_create(&b->core, &mem_kind, &n, &dev, NULL), 0);
	assert_int_equal(netdev_set_flags(dev, IFF_UP, IFF_UP, NULL), 0);
	return dev;
}

/* A broadcast frame of the protocol under test with a number in it. */
static size_t frame_of(uint8_t f[64], uint8_t number)
{
	memset(f, 0, 64);
	memset(f, 0xff, 6);
	put_be16(f + 12, ETH_P_ARP);
	f[14] = number;
	return 60;
}

static void put(struct netdev *dev, unsigned queue, uint8_t number)
{
	uint8_t f[64];

	assert_int_equal(mem_put(dev, queue, f, frame_of(f, number)), 0);
}

static void send_one(struct bed *b, struct netdev *dev, uint8_t number)
{
	struct pkt *p = pkt_new(&b->worker);
	struct batch one;
	uint8_t f[64];

	assert_int_equal(pkt_append(&b->worker.cache, p, f, frame_of(f, number)), 0);
	batch_one(&one, p);
	netdev_xmit(&b->worker, dev, &one);
}

static void test_in(void **state)
{
	struct bed *b = bed_new();
	struct netdev *dev = mem_new(b, "m0", 4);

	put(dev, 0, 1);
	put(dev, 3, 2);
	assert_int_equal(seen.n, 0);
	settle(b);
	assert_int_equal(seen.n, 2);
	assert_int_equal(seen.queue, 3);
	assert_int_equal(seen.len, 46);
	assert_int_equal(seen.last[0], 2);
	assert_ptr_equal(seen.dev, dev);
	/* what came stays in order, in batches */
	seen.calls = 0;
	for (unsigned i = 0; i < 300; i++)
		put(dev, 1, (uint8_t)i);
	settle(b);
	assert_int_equal(seen.n, 302);
	assert_int_equal(seen.calls, 2);
	assert_int_equal(seen.last[0], 299 & 0xff);
	bed_free(b);
}

static void test_in_full(void **state)
{
	struct bed *b = bed_new();
	struct netdev *dev = mem_new(b, "m0", 1);
	uint8_t f[64];

	for (unsigned i = 0; i < MEM_RING; i++)
		put(dev, 0, 0);
	assert_int_equal(mem_put(dev, 0, f, frame_of(f, 0)), -ENOBUFS);
	settle(b);
	assert_int_equal(seen.n, MEM_RING);
	put(dev, 0, 0);
	/* nothing is received while down, and nothing is left when it goes */
	assert_int_equal(netdev_set_flags(dev, 0, IFF_UP, NULL), 0);
	settle(b);
	assert_int_equal(seen.n, MEM_RING);
	bed_free(b);
}

static void test_out(void **state)
{
	struct bed *b = bed_new();
	struct netdev *dev = mem_new(b, "m0", 1);
	struct rtnl_link_stats64 st;
	uint8_t f[64];

	assert_int_equal(mem_take(dev, f, sizeof(f)), 0);
	for (unsigned i = 0; i < MEM_RING + 5; i++)
		send_one(b, dev, (uint8_t)i);
	netdev_stats(dev, &st);
	assert_int_equal(st.tx_packets, MEM_RING);
	assert_int_equal(st.tx_dropped, 5);
	assert_int_equal(b->worker.drops[DROP_FULL_RING], 5);
	assert_int_equal(mem_take(dev, f, sizeof(f)), 60);
	assert_int_equal(f[14], 0);
	assert_int_equal(mem_take(dev, f, 4), 60);
	bed_free(b);
}

static void count_xmit(void *arg, struct worker *w, struct netdev *dev, struct batch *b)
{
	*(unsigned *)arg += b->n;
	pkt_free_bulk(&w->cache, b);
}

static void test_out_function(void **state)
{
	struct bed *b = bed_new();
	struct netdev *dev = mem_new(b, "m0", 1);
	unsigned n = 0;
	uint8_t f[64];

	mem_on_xmit(dev, count_xmit, &n);
	send_one(b, dev, 1);
	assert_int_equal(n, 1);
	assert_int_equal(mem_take(dev, f, sizeof(f)), 0);
	bed_free(b);
}

static void test_link(void **state)
{
	struct bed *b = bed_new();
	struct netdev *m0 = mem_new(b, "m0", 1), *m1 = mem_new(b, "m1", 1);

	assert_int_equal(mem_link(m0, m0), -EINVAL);
	assert_int_equal(mem_link(m0, m1), 0);
	assert_int_equal(mem_link(m0, m1), -EBUSY);
	send_one(b, m0, 7);
	settle(b);
	assert_int_equal(seen.n, 1);
	assert_ptr_equal(seen.dev, m1);
	assert_int_equal(seen.last[0], 7);
	/* one end goes: the other has no far end any more */
	netdev_unregister(m1);
	send_one(b, m0, 8);
	settle(b);
	assert_int_equal(seen.n, 1);
	assert_int_equal(mem_link(m0, mem_new(b, "m2", 1)), 0);
	bed_free(b);
}

static void test_link_instances(void **state)
{
	struct bed *a = bed_new(), *b = bed_new();
	struct netdev *m0 = mem_new(a, "m0", 1), *m1 = mem_new(b, "m1", 2);
	uint8_t f[64];

	assert_int_equal(mem_link(m0, m1), 0);
	send_one(a, m0, 9);
	assert_int_equal(pool_in_use(a->weft.pool), 0);
	assert_int_equal(pool_in_use(b->weft.pool), 1);
	settle(b);
	assert_int_equal(seen.n, 1);
	assert_ptr_equal(seen.dev, m1);
	assert_int_equal(seen.last[0], 9);
	/* and back */
	send_one(b, m1, 10);
	settle(a);
	assert_ptr_equal(seen.dev, m0);
	assert_int_equal(seen.last[0], 10);
	bed_free(a);
	send_one(b, m1, 11);
	assert_int_equal(mem_take(m1, f, sizeof(f)), 60);
	bed_free(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_in),   cmocka_unit_test(test_in_full),
		cmocka_unit_test(test_out),  cmocka_unit_test(test_out_function),
		cmocka_unit_test(test_link), cmocka_unit_test(test_link_instances),
	};

	rcu_register_thread();
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	rcu_unregister_thread();
	return failed;
}
