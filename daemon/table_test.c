/* The table against an array, by seeded random steps. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/rand.h"
#include "base/util.h"
#include "table.h"

#define N     2000
#define KEYS  700
#define STEPS 200000

static size_t count_by_table(const struct table *t, uint64_t key, bool seen[N],
			     const struct table_item *items)
{
	size_t n = 0;

	for (struct table_item *i = table_first(t, key); i; i = table_next(t, i), n++) {
		assert_int_equal(i->key, key);
		assert_false(seen[i - items]);
		seen[i - items] = true;
	}
	return n;
}

static void test_duel(void **state)
{
	static struct table_item items[N];
	static bool in[N], seen[N];
	struct table t;
	struct rng r;
	size_t n = 0;

	rng_seed(&r, 7);
	assert_int_equal(table_init(&t), 0);
	for (int step = 0; step < STEPS; step++) {
		size_t i = rng_u64(&r) % N;
		if (in[i])
			table_del(&t, &items[i]);
		else
			table_add(&t, &items[i], rng_u64(&r) % KEYS);
		in[i] = !in[i];
		n += in[i] ? 1 : -1;
		assert_int_equal(t.n, n);
		if (step % 100)
			continue;
		uint64_t key = rng_u64(&r) % KEYS;
		size_t want = 0;
		memset(seen, 0, sizeof(seen));
		for (i = 0; i < N; i++)
			want += in[i] && items[i].key == key;
		assert_int_equal(count_by_table(&t, key, seen, items), want);
		for (i = 0; i < N; i++)
			assert_true(!seen[i] || in[i]);
	}
	table_fini(&t);
	table_fini(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_duel)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
