/*
 * pool: packets taken and given back on one worker, beside malloc() of the same size: in pairs, by
 * the batch (the cache's own stack), and more than a cache holds (chunks to and from the depot).
 */
#include "pkt/pool.h"

#include "bench.h"

#define PAIRS 256u
#define DEEP  4096u

struct state {
	struct pool_cache cache;
	struct batch batch;
	void *held[DEEP];
};

static void pairs(void *arg)
{
	struct state *s = arg;

	for (unsigned i = 0; i < PAIRS; i++) {
		struct pkt *p = pkt_alloc(&s->cache);

		bench_use((uintptr_t)p);
		pkt_free(&s->cache, p);
	}
}

static void malloc_pairs(void *arg)
{
	for (unsigned i = 0; i < PAIRS; i++) {
		void *p = malloc(PKT_ELEM_SIZE);

		bench_use((uintptr_t)p);
		free(p);
	}
}

static void bulk(void *arg)
{
	struct state *s = arg;

	batch_init(&s->batch);
	pkt_alloc_bulk(&s->cache, &s->batch, PAIRS);
	pkt_free_bulk(&s->cache, &s->batch);
}

static void malloc_bulk(void *arg)
{
	struct state *s = arg;

	for (unsigned i = 0; i < PAIRS; i++)
		s->held[i] = malloc(PKT_ELEM_SIZE);
	for (unsigned i = 0; i < PAIRS; i++)
		free(s->held[i]);
}

static void deep(void *arg)
{
	struct state *s = arg;

	for (unsigned i = 0; i < DEEP; i++)
		s->held[i] = pkt_alloc(&s->cache);
	for (unsigned i = 0; i < DEEP; i++)
		pkt_free(&s->cache, s->held[i]);
}

static void malloc_deep(void *arg)
{
	struct state *s = arg;

	for (unsigned i = 0; i < DEEP; i++)
		s->held[i] = malloc(PKT_ELEM_SIZE);
	for (unsigned i = 0; i < DEEP; i++)
		free(s->held[i]);
}

static void pool_run(const struct bench_options *o)
{
	static struct state s;
	static const struct {
		const char *name;
		void (*fn)(void *), (*peer)(void *);
		unsigned operations;
	} cases[] = {{"one after the other", pairs, malloc_pairs, PAIRS},
		     {"batches of 256", bulk, malloc_bulk, PAIRS},
		     {"4096 at a time", deep, malloc_deep, DEEP}};
	struct pool *pool = pool_new(2 * DEEP);

	if (!pool) {
		bench_skip("pool", strerror(errno));
		return;
	}
	pool_cache_init(&s.cache, pool);
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		struct bench_loop l = {
			.fn = cases[i].fn, .arg = &s, .operations = cases[i].operations};
		struct bench_loop peer = l;

		peer.fn = cases[i].peer;
		bench_loops(o, "pool", cases[i].name, &l, "malloc and free", &peer);
	}
	pool_cache_fini(&s.cache);
	pool_free(pool);
}

const struct bench bench_pool = {
	.name = "pool",
	.text = "packets taken from the pool and given back",
	.run = pool_run,
};
