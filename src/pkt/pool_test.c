/* pool: threads that allocate, clone, hand over and free against each other; nothing is lost,
 * nothing is given out twice, no clone sees bytes that are not its own. */
#include "pkt/pool.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "base/rand.h"

#define THREADS 3
#define SHELF	64 /* places where threads leave packets for each other */
#define ROUNDS	60000
#define SIZE	700

static struct pool *pool;
static struct pkt *shelf[SHELF];
static unsigned wrong, dry;

/* The payload says whose it is: every byte the same, and the length in line with it. */
static void stamp(struct pool_cache *c, struct pkt *p, uint32_t v)
{
	uint8_t b[600];
	unsigned n = 1 + v % sizeof(b);

	memset(b, (int)(v & 0xff), n);
	if (pkt_append(c, p, b, n))
		__atomic_add_fetch(&wrong, 1, __ATOMIC_RELAXED);
	p->cb[0] = v;
}

static void check(const struct pkt *p)
{
	uint32_t v = (uint32_t)p->cb[0];
	uint8_t b[600];
	unsigned n = 1 + v % sizeof(b);
	bool ok = p->total == n && pkt_copy_out(p, 0, b, sizeof(b)) == n;

	for (unsigned i = 0; ok && i < n; i++)
		ok = b[i] == (uint8_t)v;
	if (!ok)
		__atomic_add_fetch(&wrong, 1, __ATOMIC_RELAXED);
}

static void *juggle(void *arg)
{
	struct pool_cache *c = arg;
	struct rng r;

	pool_cache_init(c, pool);
	rng_seed(&r, (uintptr_t)arg);
	for (unsigned i = 0; i < ROUNDS; i++) {
		struct pkt **place = &shelf[rng_below(&r, SHELF)], *p;
		switch (rng_below(&r, 4)) {
		case 0:
		case 1: /* a new one onto the shelf */
			p = pkt_alloc(c);
			if (p)
				stamp(c, p, rng_u32(&r));
			else
				__atomic_add_fetch(&dry, 1, __ATOMIC_RELAXED);
			break;
		case 2: /* a clone goes on, its origin ends here; or the other way round */
			p = __atomic_exchange_n(place, NULL, __ATOMIC_ACQ_REL);
			if (p) {
				struct pkt *q = pkt_clone(c, p);
				check(p);
				if (q && rng_below(&r, 2)) {
					struct pkt *t = p;
					p = q;
					q = t;
				}
				/* the origin may write only when nobody shares it */
				if (q && rng_below(&r, 2) && pkt_writable(c, q, 0))
					memset(pkt_data(q), 0xa5, q->len);
				pkt_free(c, q);
			}
			break;
		default: /* off the shelf and away */
			p = __atomic_exchange_n(place, NULL, __ATOMIC_ACQ_REL);
			if (p)
				check(p);
			pkt_free(c, p);
			p = NULL;
		}
		p = __atomic_exchange_n(place, p, __ATOMIC_ACQ_REL);
		pkt_free(c, p);
	}
	return NULL;
}

static void test_threads(void **state)
{
	static struct pool_cache c[THREADS];
	pthread_t id[THREADS];

	pool = pool_new(SIZE);
	for (unsigned i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&id[i], NULL, juggle, &c[i]), 0);
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(id[i], NULL);
	for (unsigned i = 0; i < SHELF; i++)
		pkt_free(&c[0], shelf[i]);
	assert_int_equal(wrong, 0);
	assert_int_equal(pool_in_use(pool), 0);
	for (unsigned i = 0; i < THREADS; i++)
		pool_cache_fini(&c[i]);
	assert_int_equal(pool_in_use(pool), 0);

	/* all elements are there, each once */
	static struct pkt *all[SIZE];
	static bool seen[SIZE];
	void *base;
	size_t size;
	pool_memfd(pool, &base, &size);
	pool_cache_init(&c[0], pool);
	for (unsigned i = 0; i < SIZE; i++) {
		all[i] = pkt_alloc(&c[0]);
		assert_non_null(all[i]);
		size_t at = (size_t)((uint8_t *)all[i] - (uint8_t *)base) / PKT_ELEM_SIZE;
		assert_true(at < SIZE && !seen[at]);
		seen[at] = true;
	}
	assert_null(pkt_alloc(&c[0]));
	for (unsigned i = 0; i < SIZE; i++)
		pkt_free(&c[0], all[i]);
	pool_cache_fini(&c[0]);
	pool_free(pool);
}

/* Bad sizes are refused, and memory is taken only when it is used. */
static void test_size(void **state)
{
	struct pool_cache c;
	void *base;
	size_t size;

	assert_null(pool_new(0));
	assert_null(pool_new((1u << 24) + 1));
	pool = pool_new(100000);
	assert_non_null(pool);
	assert_int_equal(pool_size(pool), 100000);
	assert_true(pool_memfd(pool, &base, &size) >= 0);
	assert_true(size == 100000 * PKT_ELEM_SIZE);
	pool_cache_init(&c, pool);
	for (unsigned i = 0; i < 1000; i++) {
		struct batch b = {.n = 0};
		assert_int_equal(pkt_alloc_bulk(&c, &b, 32), 32);
		assert_int_equal(pool_in_use(pool), 32);
		pkt_free_bulk(&c, &b);
		assert_int_equal(b.n, 0);
	}
	/* the same few elements went round: the cache never grew beyond one chunk */
	assert_int_equal(c.n, POOL_CHUNK);
	pool_cache_fini(&c);
	pool_free(pool);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_threads),
		cmocka_unit_test(test_size),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
