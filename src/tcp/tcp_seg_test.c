/* A queue of segments against a plain array that does the same without thought. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "base/rand.h"
#include "tcp/tcp_seg.h"

#define MOST  600
#define STEPS 200000

struct twin {
	struct tcp_seg *v[MOST];
	unsigned n;
};

static struct pool *pool;
static struct pool_cache cache;

static struct tcp_seg *seg_new(uint32_t seq, uint32_t len)
{
	struct pkt *p = pkt_alloc(&cache);

	assert_non_null(p);
	*tcp_seg_of(p) = (struct tcp_seg){.p = p, .seq = seq, .end_seq = seq + len};
	return tcp_seg_of(p);
}

static void seg_free(struct tcp_seg *s)
{
	pkt_free(&cache, s->p);
}

static void twin_insert(struct twin *t, unsigned i, struct tcp_seg *s)
{
	for (unsigned k = t->n; k > i; k--)
		t->v[k] = t->v[k - 1];
	t->v[i] = s;
	t->n++;
}

static struct tcp_seg *twin_remove(struct twin *t, unsigned i)
{
	struct tcp_seg *s = t->v[i];

	for (unsigned k = i; k + 1 < t->n; k++)
		t->v[k] = t->v[k + 1];
	t->n--;
	return s;
}

static unsigned twin_find(const struct twin *t, uint32_t seq)
{
	unsigned i = 0;

	while (i < t->n && (int32_t)(t->v[i]->end_seq - seq) <= 0)
		i++;
	return i;
}

static void same(const struct tcp_segs *q, const struct twin *t)
{
	assert_int_equal(q->n, t->n);
	assert_true(q->first + q->n <= q->cap);
	for (unsigned i = 0; i < t->n; i++)
		assert_ptr_equal(segs_at(q, i), t->v[i]);
	assert_ptr_equal(segs_last(q), t->n ? t->v[t->n - 1] : NULL);
	/* an empty queue has little memory */
	if (!t->n)
		assert_true(q->cap <= 8);
}

/* A segment into the gap in front of the one at place i; the space wraps around 2^32. */
static void insert(struct rng *r, struct tcp_segs *q, struct twin *t, uint32_t start)
{
	unsigned i = rng_below(r, 3) ? t->n : (unsigned)rng_below(r, t->n + 1);
	uint32_t from = i ? t->v[i - 1]->end_seq : t->n ? t->v[0]->seq - 50 : start;
	uint32_t to = i < t->n ? t->v[i]->seq : from + 2000;

	if (to - from < 3)
		return;
	uint32_t gap = (uint32_t)rng_below(r, (to - from) / 3);
	struct tcp_seg *s = seg_new(from + gap, 1 + (uint32_t)rng_below(r, (to - from) / 2));

	assert_int_equal(segs_insert(q, i, s), 0);
	twin_insert(t, i, s);
}

static void drop(struct rng *r, struct tcp_segs *q, struct twin *t)
{
	unsigned k = (unsigned)rng_below(r, t->n + 1);

	for (unsigned i = 0; i < k; i++)
		seg_free(twin_remove(t, 0));
	segs_drop(q, k);
}

static void test_duel(void **state)
{
	struct tcp_segs q = {0};
	struct twin t = {.n = 0};
	uint32_t start = 0xffff0000;
	struct rng r;

	rng_seed(&r, 7);
	for (unsigned step = 0; step < STEPS; step++) {
		/* now it grows, now it shrinks */
		bool grow = step / 2000 % 2 == 0;

		if (t.n < MOST && rng_below(&r, 10) < (grow ? 8u : 3u)) {
			insert(&r, &q, &t, start);
		} else if (t.n && rng_below(&r, 20)) {
			unsigned i = rng_below(&r, 2) ? 0 : (unsigned)rng_below(&r, t.n);
			struct tcp_seg *s = segs_remove(&q, i);

			assert_ptr_equal(s, twin_remove(&t, i));
			seg_free(s);
		} else if (!rng_below(&r, 20)) {
			drop(&r, &q, &t);
		}
		uint32_t seq = (t.n ? t.v[0]->seq : start) - 100 + (uint32_t)rng_below(&r, 3000);

		assert_int_equal(segs_find(&q, seq), twin_find(&t, seq));
		if (step % 16 == 0)
			same(&q, &t);
		assert_int_equal(pool_in_use(pool), t.n);
	}
	same(&q, &t);
	segs_free(&cache, &q);
	assert_null(q.v);
	assert_int_equal(q.n, 0);
	assert_int_equal(pool_in_use(pool), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_duel)};

	pool = pool_new(2048);
	pool_cache_init(&cache, pool);
	int err = cmocka_run_group_tests(tests, NULL, NULL);

	pool_cache_fini(&cache);
	pool_free(pool);
	return err;
}
