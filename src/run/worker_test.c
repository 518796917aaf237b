/* worker: posts between threads arrive, in order, and wake a sleeper; timers end a sleep. */
#include "run/worker.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "run/trace.h"

#define N 20000

static unsigned seen;
static uint64_t expected;

static void got_packet(struct worker *w, struct pkt *p)
{
	assert_true(p->cb[0] == expected);
	expected++;
	pkt_free(&w->cache, p);
	__atomic_add_fetch(&seen, 1, __ATOMIC_RELEASE);
}

static void *loop(void *arg)
{
	worker_loop(arg, 0);
	return NULL;
}

static void test_post(void **state)
{
	static struct worker a, b;
	struct pool *pool = pool_new(4096);
	pthread_t thread;

	rcu_register_thread();
	assert_int_equal(worker_init(&a, 0, NULL, pool, 1, clock_mono()), 0);
	assert_int_equal(worker_init(&b, 1, NULL, pool, 2, clock_mono()), 0);
	assert_int_equal(worker_open_fds(&b), 0);
	assert_int_equal(pthread_create(&thread, NULL, loop, &b), 0);
	for (uint64_t i = 0; i < N;) {
		struct pkt *p = pkt_new(&a);
		if (!p)
			continue; /* the other side returns them */
		p->cb[0] = i++;
		worker_post(&b, p, got_packet);
	}
	while (__atomic_load_n(&seen, __ATOMIC_ACQUIRE) < N)
		;
	__atomic_store_n(&b.stop, 1, __ATOMIC_SEQ_CST);
	worker_wake(&b);
	rcu_thread_offline();
	pthread_join(thread, NULL);
	rcu_thread_online();
	worker_fini(&a);
	worker_fini(&b);
	assert_int_equal(pool_in_use(pool), 0);
	pool_free(pool);
	rcu_unregister_thread();
}

static unsigned polls;

static unsigned poll_twice(struct worker *w, struct poller *p, unsigned budget)
{
	return polls++ < 2;
}

static void test_step(void **state)
{
	static struct worker w;
	struct pool *pool = pool_new(64);
	struct poller p = {.poll = poll_twice};

	rcu_register_thread();
	assert_int_equal(worker_init(&w, 0, NULL, pool, 1, 0), 0);
	assert_int_equal(poller_attach(&w, &p), 0);
	assert_int_equal(worker_step(&w, 1), 1);
	assert_int_equal(worker_step(&w, 2), 1);
	assert_int_equal(worker_step(&w, 3), 0);
	poller_detach(&p);
	worker_step(&w, 4);
	assert_int_equal(polls, 3);

	/* a traced packet leaves its way behind, an untraced one nothing */
	assert_int_equal(trace_start(&w, 1), 0);
	struct pkt *one = pkt_new(&w), *two = pkt_new(&w);
	trace_mark(&w, one);
	trace_mark(&w, two);
	pkt_drop(&w, two, DROP_NO_SOCKET);
	pkt_drop(&w, one, DROP_IP_CSUM);
	assert_int_equal(w.trace->n, 2);
	assert_string_equal(w.trace->event[1].what, "IP_CSUM");
	assert_int_equal(w.drops[DROP_NO_SOCKET], 1);

	/* stages: cycles go to the innermost */
	enum stage prev = stage_enter(&w, STAGE_ETHER, 3);
	enum stage inner = stage_enter(&w, STAGE_ARP, 1);
	stage_leave(&w, inner);
	stage_leave(&w, prev);
	assert_int_equal(w.stage_cur, STAGE_IDLE);
	assert_int_equal(w.stages[STAGE_ETHER].packets, 3);
	assert_int_equal(w.stages[STAGE_ARP].calls, 1);
	worker_fini(&w);
	pool_free(pool);
	rcu_barrier();
	rcu_unregister_thread();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_post),
		cmocka_unit_test(test_step),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
