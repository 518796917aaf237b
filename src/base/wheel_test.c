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

/* ---- a naive twin: an array searched for what is due, in order of (tick, adding) ---- */

struct twin {
	struct timer t;
	uint64_t due; /* tick at which it must fire; 0: not armed */
	uint64_t seq; /* order of adding */
};

static struct {
	struct wheel w;
	struct twin t[64];
	struct rng r;
	uint64_t seq, now;
	unsigned n_fired;
} duel;

static uint64_t duel_tick_up(uint64_t ns)
{
	return (ns + (1u << WHEEL_TICK_SHIFT) - 1) >> WHEEL_TICK_SHIFT;
}

static void duel_set(struct twin *t, uint64_t expires)
{
	uint64_t tick = duel_tick_up(expires);
	bool stays = t->due && tick == duel_tick_up(t->t.expires);

	timer_set(&duel.w, &t->t, expires);
	if (stays)
		return; /* in its place */
	t->due = MAX(tick, duel.w.tick + 1);
	t->seq = ++duel.seq;
}

static struct twin *duel_first(void)
{
	struct twin *best = NULL;

	for (unsigned i = 0; i < ARRAY_SIZE(duel.t); i++) {
		struct twin *t = &duel.t[i];
		if (!t->due)
			continue;
		if (!best || t->due < best->due || (t->due == best->due && t->seq < best->seq))
			best = t;
	}
	return best;
}

static void duel_change(void)
{
	struct twin *t = &duel.t[rng_below(&duel.r, ARRAY_SIZE(duel.t))];
	/* most lie close together, so that many share a tick; some lie in the past, some far off */
	uint64_t far = rng_u64(&duel.r) >> (16 + rng_below(&duel.r, 44));

	if (!rng_below(&duel.r, 4)) {
		timer_del(&t->t);
		t->due = 0;
	} else if (!rng_below(&duel.r, 5)) {
		duel_set(t, duel.now - MIN(far, duel.now));
	} else {
		duel_set(t, duel.now + far);
	}
}

static void duel_fire(struct timer *timer, uint64_t now)
{
	struct twin *t = container_of(timer, struct twin, t);

	assert_ptr_equal(t, duel_first());
	assert_true(t->due <= now >> WHEEL_TICK_SHIFT);
	t->due = 0;
	duel.n_fired++;
	/* a callback may add, move and delete any timer, its own too */
	if (!rng_below(&duel.r, 3))
		duel_change();
}

static void test_twin(void **state)
{
	rng_seed(&duel.r, 7);
	duel.now = 1ull << 40;
	wheel_init(&duel.w, duel.now);
	for (unsigned i = 0; i < ARRAY_SIZE(duel.t); i++)
		timer_init(&duel.t[i].t, duel_fire);
	for (unsigned round = 0; round < 60000; round++) {
		duel_change();
		if (rng_below(&duel.r, 2))
			continue;
		duel.now += rng_u64(&duel.r) >> (18 + rng_below(&duel.r, 44));
		/* a budget only postpones */
		unsigned budget = rng_below(&duel.r, 3), fired;
		do
			fired = wheel_run(&duel.w, duel.now, budget);
		while (budget && fired == budget);
		const struct twin *first = duel_first();
		assert_true(!first || first->due > duel.now >> WHEEL_TICK_SHIFT);
		/* and the wheel asks to be run no later than that */
		uint64_t next = wheel_next(&duel.w);
		assert_true(first ? next <= first->due << WHEEL_TICK_SHIFT : next == UINT64_MAX);
		assert_true(next > duel.now);
	}
	assert_true(duel.n_fired > 10000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_duel),
		cmocka_unit_test(test_rearm),
		cmocka_unit_test(test_twin),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
