/*
 * fib4 against a naive twin: an array of 33 sorted tables would be a trie again, so the twin keeps
 * prefixes in a plain list and looks up by comparing with each of them.
 */
#include "fib/fib4.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/rand.h"
#include "base/rcu.h"

struct route {
	uint32_t prefix;
	unsigned len;
	uint32_t val;
};

struct twin {
	struct route *r;
	size_t n, cap;
};

static uint32_t mask(unsigned len)
{
	return len ? ~0u << (32 - len) : 0;
}

static struct route *twin_find(struct twin *t, uint32_t prefix, unsigned len)
{
	for (size_t i = 0; i < t->n; i++)
		if (t->r[i].prefix == prefix && t->r[i].len == len)
			return &t->r[i];
	return NULL;
}

static void twin_set(struct twin *t, uint32_t prefix, unsigned len, uint32_t val)
{
	struct route *r = twin_find(t, prefix, len);
	if (!r) {
		if (t->n == t->cap) {
			t->cap = t->cap ? 2 * t->cap : 64;
			t->r = realloc(t->r, t->cap * sizeof(*t->r));
			assert_non_null(t->r);
		}
		r = &t->r[t->n++];
	}
	*r = (struct route){prefix, len, val};
}

static uint32_t twin_lookup(const struct twin *t, uint32_t addr)
{
	uint32_t val = 0;
	int best = -1;
	for (size_t i = 0; i < t->n; i++) {
		const struct route *r = &t->r[i];
		if ((int)r->len > best && (addr & mask(r->len)) == r->prefix) {
			best = (int)r->len;
			val = r->val;
		}
	}
	return val;
}

/* An address near a prefix: its ends, one beside them, or anywhere inside. */
static uint32_t near(struct rng *g, const struct route *r)
{
	uint32_t last = r->prefix | ~mask(r->len);
	switch (rng_below(g, 6)) {
	case 0:
		return r->prefix;
	case 1:
		return last;
	case 2:
		return r->prefix - 1;
	case 3:
		return last + 1;
	default:
		return r->prefix | (rng_u32(g) & ~mask(r->len));
	}
}

static void check(const struct fib4 *f, const struct twin *t, struct rng *g, unsigned n)
{
	uint32_t addr[100], val[100];

	assert_true(n <= 100);
	for (unsigned i = 0; i < n; i++)
		addr[i] = t->n && rng_below(g, 4) ? near(g, &t->r[rng_below(g, (uint32_t)t->n)])
						  : rng_u32(g);
	fib4_lookup_bulk(f, addr, val, n);
	for (unsigned i = 0; i < n; i++) {
		uint32_t want = twin_lookup(t, addr[i]);
		assert_int_equal(fib4_lookup(f, addr[i]), want);
		assert_int_equal(val[i], want);
	}
}

static int by_prefix(const void *a, const void *b)
{
	const struct route *x = a, *y = b;
	if (x->prefix != y->prefix)
		return x->prefix < y->prefix ? -1 : 1;
	return (int)x->len - (int)y->len;
}

static void check_walk(const struct fib4 *f, struct twin *t)
{
	uint32_t prefix, val;
	unsigned len;
	bool next = false;

	qsort(t->r, t->n, sizeof(*t->r), by_prefix);
	for (size_t i = 0; i < t->n; i++, next = true) {
		assert_true(fib4_walk(f, next, &prefix, &len, &val));
		assert_int_equal(prefix, t->r[i].prefix);
		assert_int_equal(len, t->r[i].len);
		assert_int_equal(val, t->r[i].val);
		assert_int_equal(fib4_get(f, prefix, len), val);
	}
	assert_false(fib4_walk(f, next, &prefix, &len, &val));
	assert_int_equal(fib4_size(f), t->n);
}

/* How prefixes of a duel are drawn: `spread` bits of the address are random, so that a small one
 * makes tables with much overlap. */
struct style {
	unsigned shortest, longest, spread;
	size_t most;
};

static void duel(uint64_t seed, const struct style *s, unsigned rounds)
{
	struct fib4 *f = fib4_new();
	struct twin t = {0};
	struct rng g;

	rng_seed(&g, seed);
	for (unsigned i = 0; i < rounds; i++) {
		unsigned len = s->shortest + rng_below(&g, s->longest - s->shortest + 1);
		uint32_t prefix = (0x0a000000 ^ (rng_u32(&g) & ~mask(32 - s->spread))) & mask(len);
		if (s->spread == 32)
			prefix = rng_u32(&g) & mask(len);
		uint32_t val = 1 + rng_below(&g, rng_below(&g, 2) ? 5 : INT32_MAX);
		/* grow to the size, then swing around it, then empty the table */
		bool del = t.n && (i > rounds * 3 / 4 || t.n > s->most || !rng_below(&g, 3));
		if (!del) {
			assert_int_equal(fib4_set(f, prefix, len, val), 0);
			twin_set(&t, prefix, len, val);
		} else if (rng_below(&g, 8)) {
			struct route *r = &t.r[rng_below(&g, (uint32_t)t.n)];
			assert_int_equal(fib4_del(f, r->prefix, r->len), 0);
			*r = t.r[--t.n];
		} else if (!twin_find(&t, prefix, len)) {
			assert_int_equal(fib4_del(f, prefix, len), -ESRCH);
		}
		assert_int_equal(fib4_size(f), t.n);
		if (i % 8 == 0)
			check(f, &t, &g, 1 + rng_below(&g, 32));
		if (i % 997 == 0)
			check_walk(f, &t);
	}
	check(f, &t, &g, 100);
	check_walk(f, &t);
	while (t.n) {
		struct route *r = &t.r[rng_below(&g, (uint32_t)t.n)];
		assert_int_equal(fib4_del(f, r->prefix, r->len), 0);
		*r = t.r[--t.n];
		if (t.n % 16 == 0)
			check(f, &t, &g, 20);
	}
	check_walk(f, &t);
	free(t.r);
	fib4_free(f);
}

static void test_duels(void **state)
{
	static const struct style styles[] = {
		{0, 32, 32, 300},  {0, 32, 8, 100},    {24, 32, 10, 200}, {1, 12, 32, 400},
		{28, 32, 32, 600}, {16, 24, 20, 3000}, {0, 32, 16, 50},	  {30, 32, 6, 40},
	};
	for (unsigned i = 0; i < ARRAY_SIZE(styles); i++)
		for (uint64_t seed = 1; seed <= 3; seed++)
			duel(seed * 1000 + i, &styles[i], styles[i].most > 1000 ? 9000 : 3000);
}

static void test_arguments(void **state)
{
	struct fib4 *f = fib4_new();
	uint32_t prefix, val;
	unsigned len;

	assert_int_equal(fib4_set(f, 0, 33, 1), -EINVAL);
	assert_int_equal(fib4_set(f, 0x0a000001, 8, 1), -EINVAL);
	assert_int_equal(fib4_set(f, 1, 0, 1), -EINVAL);
	assert_int_equal(fib4_set(f, 0x0a000000, 8, 0), -EINVAL);
	assert_int_equal(fib4_set(f, 0x0a000000, 8, 0x80000000), -EINVAL);
	assert_int_equal(fib4_set(f, 0x0a000000, 8, INT32_MAX), 0);
	assert_int_equal(fib4_lookup(f, 0x0a010203), INT32_MAX);
	assert_int_equal(fib4_lookup(f, 0x0b010203), 0);
	assert_int_equal(fib4_del(f, 0x0a000000, 9), -ESRCH);
	assert_int_equal(fib4_del(f, 0x0a000001, 8), -ESRCH);
	assert_int_equal(fib4_del(f, 0, 0), -ESRCH);
	assert_int_equal(fib4_set(f, 0, 0, 7), 0);
	assert_int_equal(fib4_set(f, 0, 0, 8), 0);
	assert_int_equal(fib4_size(f), 2);
	assert_int_equal(fib4_lookup(f, 0x0b010203), 8);
	prefix = len = 0xffff; /* not looked at for the first */
	assert_true(fib4_walk(f, false, &prefix, &len, &val));
	assert_int_equal(len, 0);
	assert_int_equal(val, 8);
	assert_int_equal(fib4_del(f, 0, 0), 0);
	assert_int_equal(fib4_lookup(f, 0x0b010203), 0);
	fib4_free(f);
	fib4_free(NULL);
}

/* A walk goes on from a prefix that is gone meanwhile. */
static void test_walk_survives(void **state)
{
	struct fib4 *f = fib4_new();
	uint32_t prefix = 0, val;
	unsigned len = 0, seen = 0;

	for (uint32_t i = 0; i < 300; i++)
		assert_int_equal(fib4_set(f, i << 20, 12 + i % 3, i + 1), 0);
	for (bool next = false; fib4_walk(f, next, &prefix, &len, &val); next = true) {
		assert_int_equal(fib4_del(f, prefix, len), 0);
		seen++;
	}
	assert_int_equal(seen, 300);
	assert_int_equal(fib4_size(f), 0);
	fib4_free(f);
}

static void test_memory(void **state)
{
	struct fib4 *f = fib4_new();
	struct rng g;

	assert_true(fib4_bytes(f) < 1024);
	/* what a namespace with one address has */
	fib4_set(f, 0x7f000000, 8, 1);
	fib4_set(f, 0x7f000001, 32, 2);
	fib4_set(f, 0x7fffffff, 32, 3);
	fib4_set(f, 0x0a000000, 24, 4);
	fib4_set(f, 0x0a000001, 32, 5);
	fib4_set(f, 0x0a0000ff, 32, 6);
	assert_true(fib4_bytes(f) < 6144);

	rng_seed(&g, 1);
	for (unsigned i = 0; i < 200000; i++) {
		unsigned len = 16 + rng_below(&g, 9);
		assert_int_equal(fib4_set(f, rng_u32(&g) & mask(len), len, 1 + i % 64), 0);
		if (i % 64 == 0)
			rcu_quiescent_state();
	}
	size_t full = fib4_bytes(f);
	assert_true(full / fib4_size(f) < 256);
	/* the same again and again does not grow it */
	for (unsigned round = 0; round < 20; round++) {
		for (uint32_t i = 0; i < 5000; i++) {
			assert_int_equal(fib4_set(f, 0xe0000000 | i << 8, 24, 1 + i), 0);
			if (i % 64 == 0)
				rcu_quiescent_state();
		}
		for (uint32_t i = 0; i < 5000; i++)
			assert_int_equal(fib4_del(f, 0xe0000000 | i << 8, 24), 0);
		rcu_barrier();
	}
	assert_true(fib4_bytes(f) < full + (8u << 20));
	fib4_free(f);
}

/* ---- readers against a writer ---- */

enum { FLIPPED = 64 };

struct race {
	struct fib4 *f;
	int stop;
	uint64_t lookups, wrong;
};

/* 10.0.0.0/8 always has a route: 1 by the /8, or the value of one of the longer ones around it. */
static void *reader(void *arg)
{
	struct race *r = arg;
	struct rng g;
	uint32_t addr[64], val[64];

	rcu_register_thread();
	rng_seed(&g, 99);
	while (!__atomic_load_n(&r->stop, __ATOMIC_ACQUIRE)) {
		for (unsigned i = 0; i < 64; i++)
			addr[i] = 0x0a000000 | rng_below(&g, 1u << 24);
		fib4_lookup_bulk(r->f, addr, val, 64);
		for (unsigned i = 0; i < 64; i++) {
			/* values name the /16 they may stand for; 1 and 2 are the /8's */
			if (val[i] != 1 && val[i] != 2 && val[i] >> 8 != (addr[i] >> 16 & 0xff))
				r->wrong++;
			if (fib4_lookup(r->f, addr[i]) == 0)
				r->wrong++;
		}
		r->lookups += 64;
		rcu_quiescent_state();
	}
	rcu_unregister_thread();
	return NULL;
}

static void test_reader_against_writer(void **state)
{
	struct race r = {.f = fib4_new()};
	struct rng g;
	pthread_t id;

	rng_seed(&g, 5);
	fib4_set(r.f, 0x0a000000, 8, 1);
	assert_int_equal(pthread_create(&id, NULL, reader, &r), 0);
	for (unsigned i = 0; i < 300000; i++) {
		uint32_t net = rng_below(&g, 256);
		unsigned len = 16 + rng_below(&g, 17);
		uint32_t prefix = (0x0a000000 | net << 16 | rng_below(&g, 1u << 16)) & mask(len);
		if (i % 1024 == 0) /* the cover changes, but is always there */
			assert_int_equal(fib4_set(r.f, 0x0a000000, 8, 1 + i / 1024 % 2), 0);
		/* phases of growing and of shrinking cross the sizes of the root */
		if (rng_below(&g, 10) < (i / 20000 % 2 ? 2u : 8u)) {
			assert_int_equal(fib4_set(r.f, prefix, len, net << 8 | (1 + i % 255)), 0);
		} else {
			uint32_t at = prefix, val;
			if (!fib4_walk(r.f, true, &at, &len, &val) || len < 9)
				continue;
			assert_int_equal(fib4_del(r.f, at, len), 0);
		}
		rcu_quiescent_state();
	}
	__atomic_store_n(&r.stop, 1, __ATOMIC_RELEASE);
	rcu_thread_offline();
	pthread_join(id, NULL);
	rcu_thread_online();
	assert_int_equal(r.wrong, 0);
	assert_true(r.lookups > 0);
	fib4_free(r.f);
}

static int setup(void **state)
{
	rcu_register_thread();
	return 0;
}

static int teardown(void **state)
{
	rcu_barrier();
	rcu_unregister_thread();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_arguments),
		cmocka_unit_test(test_duels),
		cmocka_unit_test(test_walk_survives),
		cmocka_unit_test(test_memory),
		cmocka_unit_test(test_reader_against_writer),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
