/*
 * bed: what the tests of drivers stand on: an instance of one worker and two namespaces under a
 * virtual clock, with all drivers that are built in. ARP ends in swallow(), which counts.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "drivers/kinds.h"
#include "net/net.h"
#include "run/instance.h"

struct bed {
	struct weft weft;
	struct worker worker;
	struct event_chain events;
	struct event_sub sub;
	struct dev_core core;
	struct net_set nets;
	struct net *a, *b;
	unsigned n_arp; /* frames that reached the protocol */
	struct netdev *arp_dev;
	unsigned n_new, n_gone;
};

static struct bed *the_bed;

static inline void swallow(struct worker *w, struct netdev *dev, struct batch *b)
{
	the_bed->n_arp += b->n;
	the_bed->arp_dev = dev;
	pkt_free_bulk(&w->cache, b);
}

static inline void on_event(void *arg, const struct event *e)
{
	struct bed *b = arg;

	b->n_new += e->type == EVENT_DEV_NEW;
	b->n_gone += e->type == EVENT_DEV_GONE;
}

static inline int setup(void **state)
{
	static const struct net_module none[] = {{0}};
	struct bed *b = aligned_alloc(CACHE_LINE, align_up(sizeof(*b), CACHE_LINE));
	int err;

	memset(b, 0, sizeof(*b));
	*state = the_bed = b;
	b->weft.pool = pool_new(4096);
	b->weft.n_workers = 1;
	b->weft.worker[0] = &b->worker;
	b->weft.events = &b->events;
	b->weft.dev = &b->core;
	b->weft.nets = &b->nets;
	event_chain_init(&b->events);
	event_subscribe(&b->events, &b->sub, on_event, b);
	assert_int_equal(worker_init(&b->worker, 0, &b->weft, b->weft.pool, 1, NSEC_PER_SEC), 0);
	b->worker.backlog_run = netdev_backlog_run;
	b->core = (struct dev_core){
		.weft = &b->weft,
		.n_workers = 1,
		.events = &b->events,
		.kinds = weft_kinds,
		.workers = b->weft.worker,
		.arp_input = swallow,
	};
	net_set_init(&b->nets, &b->weft, &b->core, none);
	b->a = net_new(&b->nets, &err);
	b->b = net_new(&b->nets, &err);
	assert_true(b->a && b->b);
	return 0;
}

static inline int teardown(void **state)
{
	struct bed *b = *state;

	net_set_fini(&b->nets);
	worker_deliver(&b->worker);
	dev_core_fini(&b->core);
	rcu_barrier();
	assert_int_equal(pool_in_use(b->weft.pool), 0);
	worker_fini(&b->worker);
	pool_free(b->weft.pool);
	free(b);
	return 0;
}

static inline void settle(struct bed *b)
{
	while (worker_step(&b->worker, b->worker.now))
		;
	rcu_quiescent_state();
}

/* Virtual time goes on to `until`, stopping at every timer. */
static inline void run_until(struct bed *b, uint64_t until)
{
	uint64_t next;

	settle(b);
	while ((next = worker_next(&b->worker)) <= until) {
		b->worker.now = MAX(next, b->worker.now + 1);
		settle(b);
	}
	b->worker.now = until;
	settle(b);
}

static inline void up(struct netdev *dev)
{
	assert_int_equal(netdev_set_flags(dev, IFF_UP, IFF_UP, NULL), 0);
}
