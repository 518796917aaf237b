/*
 * fib4: longest-prefix match: look-ups of random and of repeated destinations, one by one and in
 * bulk, and what inserting and holding a table costs. Prefix lengths are roughly the Internet's.
 */
#include "fib/fib4.h"

#include "base/rcu.h"
#include "bench.h"

#define N_ADDR 4096u
#define BULK   256u

struct state {
	struct fib4 *fib;
	struct rng rng;
	uint32_t addr[N_ADDR], val[BULK];
};

static unsigned draw_len(struct rng *rng)
{
	static const uint8_t len[] = {24, 24, 24, 24, 24, 24, 24, 24, 24, 24,
				      24, 24, 23, 23, 22, 22, 22, 21, 20, 16};

	return len[rng_below(rng, ARRAY_SIZE(len))];
}

static void one_by_one(void *arg)
{
	struct state *s = arg;

	for (unsigned i = 0; i < N_ADDR; i++)
		bench_use(fib4_lookup(s->fib, s->addr[i]));
}

static void in_bulk(void *arg)
{
	struct state *s = arg;

	for (unsigned i = 0; i < N_ADDR; i += BULK) {
		fib4_lookup_bulk(s->fib, s->addr + i, s->val, BULK);
		bench_use(s->val[0]);
	}
}

/* Random ones are drawn anew before each piece, so that no piece finds its lines in the cache. */
static void draw_random(void *arg)
{
	struct state *s = arg;

	for (unsigned i = 0; i < N_ADDR; i++)
		s->addr[i] = rng_u32(&s->rng);
}

static void draw_repeated(struct state *s)
{
	uint32_t few[16];

	for (unsigned i = 0; i < ARRAY_SIZE(few); i++)
		few[i] = rng_u32(&s->rng);
	for (unsigned i = 0; i < N_ADDR; i++)
		s->addr[i] = few[rng_below(&s->rng, ARRAY_SIZE(few))];
}

/* Fills the table; cycles a prefix. */
static double fill(struct state *s, unsigned n)
{
	uint64_t start = cycles();

	while (fib4_size(s->fib) < n) {
		unsigned len = draw_len(&s->rng);
		uint32_t prefix = rng_u32(&s->rng) & ~0u << (32 - len);

		if (fib4_set(s->fib, prefix, len, 1 + rng_below(&s->rng, 1000)))
			break;
		if (fib4_size(s->fib) % 1024 == 0)
			rcu_quiescent_state();
	}
	return (double)(cycles() - start) / n;
}

static void one_size(const struct bench_options *o, unsigned n)
{
	static struct state s;
	struct bench_loop l = {.arg = &s, .operations = N_ADDR};
	char name[64];

	s.fib = fib4_new();
	rng_seed(&s.rng, 11);
	if (!s.fib) {
		bench_skip("fib4", "out of memory");
		return;
	}
	double insert = fill(&s, n);

	snprintf(name, sizeof(name), "%u prefixes: insert", n);
	bench_once(o, "fib4", name, "cycles/prefix", "TSC cycles", insert);
	snprintf(name, sizeof(name), "%u prefixes: memory", n);
	bench_once(o, "fib4", name, "bytes/prefix", "bytes", (double)fib4_bytes(s.fib) / n);
	for (unsigned bulk = 0; bulk < 2; bulk++) {
		l.fn = bulk ? in_bulk : one_by_one;
		l.before = draw_random;
		snprintf(name, sizeof(name), "%u prefixes: random%s", n, bulk ? ", bulk" : "");
		bench_loops(o, "fib4", name, &l, NULL, NULL);
		l.before = NULL;
		draw_repeated(&s);
		snprintf(name, sizeof(name), "%u prefixes: repeated%s", n, bulk ? ", bulk" : "");
		bench_loops(o, "fib4", name, &l, NULL, NULL);
	}
	fib4_free(s.fib);
}

static void fib4_run(const struct bench_options *o)
{
	one_size(o, 10000);
	one_size(o, 1000000);
}

const struct bench bench_fib4 = {
	.name = "fib4",
	.text = "longest-prefix match for IPv4",
	.run = fib4_run,
};
