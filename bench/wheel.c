/* wheel: the timer wheel with 10^6 timers pending: setting, moving, taking back, firing. */
#include "base/wheel.h"

#include "bench.h"

#define N_TIMERS 1000000u
#define N_TOUCH	 1000u
#define SPAN	 (600 * NSEC_PER_SEC) /* over which expiries are spread */

struct state {
	struct wheel wheel;
	struct timer *timer;
	struct rng rng;
	uint64_t now;
	unsigned fired;
};

static struct state *the_state;

/* As a protocol's timers do: each fires and is set again. */
static void again(struct timer *t, uint64_t now)
{
	the_state->fired++;
	timer_set(&the_state->wheel, t, now + rng_below(&the_state->rng, UINT32_MAX) % SPAN);
}

static uint64_t draw(struct state *s)
{
	return s->now + (uint64_t)rng_u32(&s->rng) * (SPAN >> 32 ? SPAN >> 32 : 1) % SPAN;
}

static void move(void *arg)
{
	struct state *s = arg;

	for (unsigned i = 0; i < N_TOUCH; i++)
		timer_set(&s->wheel, &s->timer[rng_below(&s->rng, N_TIMERS)], draw(s));
}

static void take_and_set(void *arg)
{
	struct state *s = arg;

	for (unsigned i = 0; i < N_TOUCH; i++) {
		struct timer *t = &s->timer[rng_below(&s->rng, N_TIMERS)];

		timer_del(t);
		timer_set(&s->wheel, t, draw(s));
	}
}

/* One tick of virtual time after the other: what a worker's step pays when timers are due. */
static double fire(struct state *s)
{
	uint64_t start = cycles();

	s->fired = 0;
	for (unsigned i = 0; i < 2000; i++) {
		s->now += 1ULL << WHEEL_TICK_SHIFT;
		wheel_run(&s->wheel, s->now, 0);
	}
	return s->fired ? (double)(cycles() - start) / s->fired : 0;
}

static void wheel_run_bench(const struct bench_options *o)
{
	struct state *s = the_state = calloc(1, sizeof(*s));
	struct bench_loop l = {.arg = s, .operations = N_TOUCH};
	double v[BENCH_RUNS_MAX];

	if (s)
		s->timer = calloc(N_TIMERS, sizeof(*s->timer));
	if (!s || !s->timer) {
		bench_skip("wheel", "out of memory");
		free(s);
		return;
	}
	rng_seed(&s->rng, 3);
	s->now = NSEC_PER_SEC;
	wheel_init(&s->wheel, s->now);
	for (unsigned i = 0; i < N_TIMERS; i++) {
		timer_init(&s->timer[i], again);
		timer_set(&s->wheel, &s->timer[i], draw(s));
	}
	l.fn = move;
	bench_loops(o, "wheel", "10^6 timers: move one", &l, NULL, NULL);
	l.fn = take_and_set;
	bench_loops(o, "wheel", "10^6 timers: delete and set one", &l, NULL, NULL);
	for (unsigned i = 0; i < o->runs; i++)
		v[i] = fire(s);
	bench_cycles(o, "wheel", "10^6 timers: fire one and set it again", "cycles/operation", v,
		     o->runs);
	free(s->timer);
	free(s);
}

const struct bench bench_wheel = {
	.name = "wheel",
	.text = "the timer wheel with 10^6 timers",
	.run = wheel_run_bench,
};
