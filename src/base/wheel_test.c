/* wheel: a seeded duel with a naive list of expiries. */
#include "base/wheel.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "base/rand.h"

#define N 400

struct probe {
	struct timer t;
	uint64_t expires; /* 0: not armed */
	unsigned fired;
};

static struct probe probes[N];
static uint64_t last_tick;

static void fire(struct timer *t, uint64_t now)
{
	struct probe *p = container_of(t, struct probe, t);
	uint64_t tick = p->expires >> WHEEL_TICK_SHIFT;

	assert_true(p->expires && now >= p->expires);
	assert_false(timer_pending(t));
	/* in order of expiry, to the tick */
	assert_true(tick + 1 >= last_tick);
	last_tick = MAX(last_tick, tick);
	p->expires = 0;
	p->fired++;
}

static void test_duel(void **state)
{
	static struct wheel w;
	struct rng r;
	uint64_t now = 123456789;

	rng_seed(&r, 42);
	wheel_init(&w, now);
	for (unsigned i = 0; i < N; i++)
		timer_init(&probes[i].t, fire);
	for (unsigned round = 0; round < 20000; round++) {
		struct probe *p = &probes[rng_below(&r, N)];
		switch (rng_below(&r, 4)) {
		case 0:
			timer_del(&p->t);
			p->expires = 0;
			break;
		default:
			/* distances from now to centuries, evenly over the magnitudes */
			p->expires = now + 1 + (rng_u64(&r) >> (8 + rng_below(&r, 50)));
			timer_set(&w, &p->t, p->expires);
		}
		if (rng_below(&r, 3))
			continue;
		now += rng_u64(&r) >> (14 + rng_below(&r, 40));
		last_tick = 0;
		wheel_run(&w, now, 0);
		uint64_t first = UINT64_MAX, n = 0;
		for (unsigned i = 0; i < N; i++) {
			if (!probes[i].expires)
				continue;
			n++;
			first = MIN(first, probes[i].expires);
			/* late by a tick at most */
			assert_true(probes[i].expires + (1u << WHEEL_TICK_SHIFT) > now);
		}
		assert_int_equal(w.n_timers, n);
		uint64_t next = wheel_next(&w);
		if (n)
			assert_true(next < first + (1u << WHEEL_TICK_SHIFT));
		else
			assert_true(next == UINT64_MAX);
	}
}

static void rearm(struct timer *t, uint64_t now)
{
	struct probe *p = container_of(t, struct probe, t);
	struct wheel *w = (struct wheel *)(uintptr_t)p->expires;

	if (++p->fired < 100)
		timer_set(w, t, now + (1u << WHEEL_TICK_SHIFT));
}

/* A callback may arm its own timer again. */
static void test_rearm(void **state)
{
	static struct wheel w;
	struct probe p = {.fired = 0};

	wheel_init(&w, 0);
	timer_init(&p.t, rearm);
	p.expires = (uintptr_t)&w;
	timer_set(&w, &p.t, 5);
	for (uint64_t now = 0; now < 1000ull << WHEEL_TICK_SHIFT; now += 1u << WHEEL_TICK_SHIFT)
		wheel_run(&w, now, 10);
	assert_int_equal(p.fired, 100);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_duel),
		cmocka_unit_test(test_rearm),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
