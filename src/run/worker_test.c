/* worker: posts between threads arrive, in order, and wake a sleeper; timers end a sleep;
 * descriptors are served under load, and never after they were taken back; stages, drops and traces
 * add up. */
#include "run/worker.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cmocka.h>

#include "run/stats.h"
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

	w.count_cycles = true;
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

/* ---- a worker with a thread ---- */

static struct {
	struct worker w;
	struct pool *pool;
	pthread_t thread;
} lone;

static void lone_start(void)
{
	rcu_register_thread();
	lone.pool = pool_new(256);
	assert_int_equal(worker_init(&lone.w, 1, NULL, lone.pool, 1, clock_mono()), 0);
	assert_int_equal(worker_open_fds(&lone.w), 0);
}

static void lone_stop(void)
{
	__atomic_store_n(&lone.w.stop, 1, __ATOMIC_SEQ_CST);
	worker_wake(&lone.w);
	rcu_thread_offline();
	pthread_join(lone.thread, NULL);
	rcu_thread_online();
	worker_fini(&lone.w);
	assert_int_equal(pool_in_use(lone.pool), 0);
	pool_free(lone.pool);
	rcu_barrier();
	rcu_unregister_thread();
}

static unsigned answered;

static void answer(struct worker *w, struct worker_msg *m)
{
	__atomic_add_fetch(&answered, 1, __ATOMIC_RELEASE);
}

/* Each message finds the worker asleep or about to sleep: none may be missed. */
static void test_wake(void **state)
{
	struct worker_msg m = {.fn = answer};

	lone_start();
	assert_int_equal(pthread_create(&lone.thread, NULL, loop, &lone.w), 0);
	for (unsigned i = 1; i <= 20000; i++) {
		uint64_t limit = clock_mono() + 10 * NSEC_PER_SEC;
		worker_post_msg(&lone.w, &m);
		while (__atomic_load_n(&answered, __ATOMIC_ACQUIRE) < i)
			assert_true(clock_mono() < limit);
	}
	lone_stop();
}

static uint64_t rang;

static void ring(struct timer *t, uint64_t now)
{
	__atomic_store_n(&rang, now, __ATOMIC_RELEASE);
}

static void set_alarm(struct worker *w, struct worker_msg *m)
{
	static struct timer t;

	timer_init(&t, ring);
	timer_set(&w->wheel, &t, w->now + 60 * NSEC_PER_MSEC);
	answered++;
}

/* Nothing due: no wake at all. A timer: one, in time. */
static void test_idle(void **state)
{
	struct worker_msg m = {.fn = set_alarm};

	lone_start();
	assert_int_equal(pthread_create(&lone.thread, NULL, loop, &lone.w), 0);
	usleep(50000);
	uint64_t steps = __atomic_load_n(&lone.w.n_steps, __ATOMIC_RELAXED);
	usleep(200000);
	assert_int_equal(__atomic_load_n(&lone.w.n_steps, __ATOMIC_RELAXED), steps);
	uint64_t t0 = clock_mono();
	worker_post_msg(&lone.w, &m);
	while (!__atomic_load_n(&rang, __ATOMIC_ACQUIRE))
		usleep(1000);
	assert_true(rang >= t0 + 60 * NSEC_PER_MSEC);
	/* woken for the message and for the timer: a round to work and one to see that all is done
	 */
	assert_in_range(__atomic_load_n(&lone.w.n_steps, __ATOMIC_RELAXED) - steps, 2, 6);
	lone_stop();
}

struct door {
	struct worker_fd f;
	struct door *other;
	unsigned n;
};

static struct door *survivor;

static void open_door(struct worker *w, struct worker_fd *f, uint32_t events)
{
	struct door *d = container_of(f, struct door, f);
	uint64_t v;

	assert_int_equal(read(f->fd, &v, sizeof(v)), sizeof(v));
	__atomic_add_fetch(&d->n, 1, __ATOMIC_RELEASE);
	if (!d->other)
		return;
	survivor = d;
	worker_fd_del(w, &d->other->f);
	close(d->other->f.fd);
	free(d->other);
}

/* Of two descriptors that are ready at once, the first takes the second back and frees it. */
static void test_fd_del(void **state)
{
	static struct worker w;
	struct pool *pool = pool_new(16);
	uint64_t one = 1;

	rcu_register_thread();
	assert_int_equal(worker_init(&w, 0, NULL, pool, 1, clock_mono()), 0);
	assert_int_equal(worker_open_fds(&w), 0);
	struct door *d[2] = {calloc(1, sizeof(struct door)), calloc(1, sizeof(struct door))};
	for (unsigned i = 0; i < 2; i++) {
		d[i]->f = (struct worker_fd){.fd = eventfd(0, EFD_NONBLOCK), .ready = open_door};
		d[i]->other = d[!i];
		assert_int_equal(worker_fd_add(&w, &d[i]->f, EPOLLIN), 0);
		assert_int_equal(write(d[i]->f.fd, &one, sizeof(one)), sizeof(one));
	}
	uint64_t before = w.now;
	w.count_cycles = true;
	worker_sleep(&w, UINT64_MAX);
	assert_true(w.now > before);
	/* whichever came first is left */
	uint64_t n_sleeps = w.n_sleeps;
	worker_sleep(&w, clock_mono() + NSEC_PER_MSEC);
	assert_int_equal(w.n_sleeps, n_sleeps + 1);
	/* who was woken while awake looks at its pollers once more before it sleeps */
	worker_wake(&w);
	worker_sleep(&w, UINT64_MAX);
	assert_int_equal(w.n_sleeps, n_sleeps + 1);
	/* the time asleep is in no stage */
	assert_int_equal(w.stages[STAGE_IDLE].packets, 1);
	assert_true(w.stages[STAGE_IDLE].cycles <= w.busy_cycles);
	worker_fd_del(&w, &survivor->f);
	close(survivor->f.fd);
	free(survivor);
	worker_fini(&w);
	pool_free(pool);
	rcu_barrier();
	rcu_unregister_thread();
}

static unsigned poll_always(struct worker *w, struct poller *p, unsigned budget)
{
	return 1;
}

/* Traffic that never ends does not shut out descriptors; what is taken back from another thread's
 * set may be freed at once. */
static void test_busy(void **state)
{
	struct poller p = {.poll = poll_always};
	struct door *d;
	uint64_t one = 1;

	lone_start();
	assert_int_equal(poller_attach(&lone.w, &p), 0);
	assert_int_equal(pthread_create(&lone.thread, NULL, loop, &lone.w), 0);
	for (unsigned i = 0; i < 200; i++) {
		d = calloc(1, sizeof(*d));
		d->f = (struct worker_fd){.fd = eventfd(0, 0), .ready = open_door};
		assert_int_equal(worker_fd_add(&lone.w, &d->f, EPOLLIN), 0);
		assert_int_equal(write(d->f.fd, &one, sizeof(one)), sizeof(one));
		uint64_t limit = clock_mono() + 10 * NSEC_PER_SEC;
		while (i % 2 && !__atomic_load_n(&d->n, __ATOMIC_ACQUIRE))
			assert_true(clock_mono() < limit);
		worker_fd_del(&lone.w, &d->f);
		close(d->f.fd);
		free(d);
	}
	poller_detach(&p);
	lone_stop();
}

static struct poller leaver, stayer;
static unsigned stayed;

static unsigned poll_leave(struct worker *w, struct poller *p, unsigned budget)
{
	poller_detach(p);
	return 0;
}

static unsigned poll_stay(struct worker *w, struct poller *p, unsigned budget)
{
	stayed++;
	return 0;
}

/* A poller may end itself in the middle of a round; the others go on. */
static void test_detach(void **state)
{
	static struct worker w;
	struct pool *pool = pool_new(16);

	rcu_register_thread();
	assert_int_equal(worker_init(&w, 0, NULL, pool, 1, 0), 0);
	leaver.poll = poll_leave;
	stayer.poll = poll_stay;
	assert_int_equal(poller_attach(&w, &leaver), 0);
	assert_int_equal(poller_attach(&w, &stayer), 0);
	assert_int_equal(worker_step(&w, 1), 1);
	assert_int_equal(worker_step(&w, 2), 0);
	assert_int_equal(stayed, 1);
	poller_detach(&stayer);
	poller_detach(&stayer);
	worker_step(&w, 3);
	assert_int_equal(stayed, 1);
	worker_fini(&w);
	pool_free(pool);
	rcu_barrier();
	rcu_unregister_thread();
}

static void describe(const struct netdev *dev, struct trace_event *e)
{
	e->ifindex = 7;
	e->net = 5;
	strcpy(e->dev, "v\"0");
}

static const char *name_of(void *arg, uint64_t ino)
{
	return ino == 5 ? arg : NULL;
}

/* What is shown is what was counted, summed over the workers. */
static void test_show(void **state)
{
	static struct worker w[2];
	struct pool *pool = pool_new(16);
	struct weft weft = {.n_workers = 2, .worker = {&w[0], &w[1]}};
	char *text = NULL;
	size_t size;

	rcu_register_thread();
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(worker_init(&w[i], i, &weft, pool, i, 0), 0);
	w[0].stages[STAGE_ARP] = (struct stage_count){.calls = 1, .packets = 3, .cycles = 100};
	w[1].stages[STAGE_ARP] = (struct stage_count){.calls = 2, .packets = 5, .cycles = 60};
	w[0].drops[DROP_IP_TTL] = 4;
	w[1].drops[DROP_IP_TTL] = 5;
	FILE *f = open_memstream(&text, &size);
	stats_show(&weft, f, true);
	fclose(f);
	assert_string_equal(text, "{\"workers\":2,\"stages\":[{\"name\":\"arp\",\"calls\":3,"
				  "\"packets\":8,\"cycles\":160,\"cycles_per_packet\":20.0}],"
				  "\"drops\":[{\"name\":\"IP_TTL\",\"text\":\"time to live "
				  "exceeded\",\"count\":9}]}\n");
	free(text);
	f = open_memstream(&text, &size);
	stats_show(&weft, f, false);
	fclose(f);
	assert_non_null(strstr(text, "arp"));
	assert_non_null(strstr(text, "time to live exceeded"));
	free(text);

	/* an address that is used again is another packet; a full store counts what it loses */
	assert_int_equal(trace_start_all(&weft, 2, describe), 0);
	for (unsigned i = 0; i < 2; i++) {
		struct pkt *p = pkt_new(&w[1]);
		p->dev = (struct netdev *)&weft;
		trace_mark(&w[1], p);
		pkt_drop(&w[1], p, DROP_IP_TTL);
	}
	struct pkt *p = pkt_new(&w[1]);
	trace_mark(&w[1], p);
	assert_int_equal(p->flags & PKT_TRACE, 0);
	p->flags |= PKT_TRACE;
	for (unsigned i = 0; i < TRACE_EVENTS; i++)
		trace_pkt(&w[1], p, "again");
	pkt_free(&w[1].cache, p);
	assert_int_equal(w[1].trace->n, TRACE_EVENTS);
	assert_int_equal(w[1].trace->lost, 4);
	f = open_memstream(&text, &size);
	trace_show_all(&weft, name_of, (char *)"far", f);
	fclose(f);
	assert_non_null(strstr(text, "{\"workers\":[{\"worker\":0,\"packets\":0,\"lost\":0,"
				     "\"events\":[]},{\"worker\":1,\"packets\":2,\"lost\":4,"));
	assert_non_null(strstr(text, "\"at\":\"IP_TTL\",\"bytes\":0,\"ifindex\":7,"
				     "\"dev\":\"v\\\"0\",\"net\":5,\"netns\":\"far\","
				     "\"drop\":\"time to live exceeded\"},{\"packet\":2,"));
	assert_null(strstr(text, "\"packet\":3"));
	free(text);
	trace_stop_all(&weft);
	assert_null(w[1].trace);
	for (unsigned i = 0; i < 2; i++)
		worker_fini(&w[i]);
	pool_free(pool);
	rcu_barrier();
	rcu_unregister_thread();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_post),   cmocka_unit_test(test_step),
		cmocka_unit_test(test_wake),   cmocka_unit_test(test_idle),
		cmocka_unit_test(test_fd_del), cmocka_unit_test(test_busy),
		cmocka_unit_test(test_detach), cmocka_unit_test(test_show),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
