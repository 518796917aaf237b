/* fib4: a seeded duel with a list of prefixes searched from end to end. */
#include "fib/fib4.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "base/rand.h"

#define N 600

struct row {
	uint32_t prefix;
	unsigned len;
	uint32_t val; /* 0: not there */
};

static struct row rows[N];

static uint32_t naive(uint32_t addr)
{
	int best = -1;

	for (unsigned i = 0; i < N; i++) {
		uint32_t mask = rows[i].len ? ~0u << (32 - rows[i].len) : 0;
		if (rows[i].val && !((addr ^ rows[i].prefix) & mask) &&
		    (best < 0 || rows[i].len > rows[best].len))
			best = (int)i;
	}
	return best < 0 ? 0 : rows[best].val;
}

/* Does an earlier row have the prefix of row i? */
static bool taken(unsigned i)
{
	for (unsigned j = 0; j < i; j++)
		if (rows[j].prefix == rows[i].prefix && rows[j].len == rows[i].len)
			return true;
	return false;
}

static void check_walk(const struct fib4 *f)
{
	uint32_t prefix = 0, val, seen = 0, last = 0;
	unsigned len = 0, last_len = 0;
	bool next = false;

	while (fib4_walk(f, next, &prefix, &len, &val)) {
		assert_true(!next || prefix > last || (prefix == last && len > last_len));
		assert_int_equal(fib4_get(f, prefix, len), val);
		last = prefix;
		last_len = len;
		next = true;
		seen++;
	}
	assert_int_equal(seen, fib4_size(f));
}

static void test_duel(void **state)
{
	struct fib4 *f = fib4_new();
	struct rng r;
	uint32_t addr[64], got[64];

	rng_seed(&r, 11);
	for (unsigned i = 0; i < N; i++) {
		/* few bits, so that prefixes cover each other; every length */
		rows[i].len = i == 0 ? 0 : 8 + rng_below(&r, 25);
		uint32_t mask = rows[i].len ? ~0u << (32 - rows[i].len) : 0;
		rows[i].prefix = (rng_u32(&r) & 0xc0a08183) & mask;
		if (taken(i))
			i--;
	}
	for (unsigned round = 0; round < 20000; round++) {
		struct row *x = &rows[rng_below(&r, N)];
		if (rng_below(&r, 2)) {
			x->val = 1 + rng_below(&r, 1000000);
			assert_int_equal(fib4_set(f, x->prefix, x->len, x->val), 0);
		} else {
			assert_int_equal(fib4_del(f, x->prefix, x->len), x->val ? 0 : -ESRCH);
			x->val = 0;
		}
		assert_int_equal(fib4_get(f, x->prefix, x->len), x->val);
		for (unsigned i = 0; i < 64; i++)
			addr[i] = i % 2 ? rng_u32(&r)
					: rows[rng_below(&r, N)].prefix | (rng_u32(&r) & 0x41);
		unsigned n = round % 8 ? 3 : 64;
		fib4_lookup_bulk(f, addr, got, n);
		for (unsigned i = 0; i < n; i++) {
			assert_int_equal(got[i], naive(addr[i]));
			assert_int_equal(fib4_lookup(f, addr[i]), got[i]);
		}
		if (!(round % 500))
			check_walk(f);
	}
	fib4_free(f);
}

static void test_bad(void **state)
{
	struct fib4 *f = fib4_new();

	assert_int_equal(fib4_set(f, 0, 33, 1), -EINVAL);
	assert_int_equal(fib4_set(f, 1, 8, 1), -EINVAL);
	assert_int_equal(fib4_set(f, 0, 0, 0), -EINVAL);
	assert_int_equal(fib4_set(f, 0, 0, 0x80000000), -EINVAL);
	assert_int_equal(fib4_del(f, 0, 0), -ESRCH);
	assert_int_equal(fib4_lookup(f, 0x01020304), 0);
	assert_true(fib4_bytes(f) < 1024);
	fib4_free(f);
	fib4_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_duel),
		cmocka_unit_test(test_bad),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
