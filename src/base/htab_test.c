/* htab: a seeded duel with a naive table, and readers who miss nothing while it changes. */
#include "base/htab.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "base/rand.h"

#define N_KEYS 300000u

struct entry {
	uint32_t key, hash;
	bool in;
};

static struct entry entries[N_KEYS];

static bool is_key(const void *entry, const void *arg)
{
	return ((const struct entry *)entry)->key == *(const uint32_t *)arg;
}

static struct entry *find(const struct htab *h, uint32_t key)
{
	return htab_find(h, entries[key].hash, is_key, &key);
}

/* Hashes of which only the bits in `mask` differ: the fewer, the more pile up. */
static void draw_hashes(struct rng *r, uint32_t mask)
{
	for (unsigned i = 0; i < N_KEYS; i++)
		entries[i] = (struct entry){.key = i, .hash = rng_u32(r) & mask};
}

/* The twin is the flag of each key. */
static void check_all(const struct htab *h, unsigned n_keys)
{
	size_t n = 0;

	for (unsigned i = 0; i < n_keys; i++) {
		assert_ptr_equal(find(h, i), entries[i].in ? &entries[i] : NULL);
		n += entries[i].in;
	}
	assert_int_equal(h->n, n);
}

static void change(struct htab *h, struct entry *e)
{
	if (e->in)
		assert_true(htab_del(h, e->hash, e));
	else
		assert_int_equal(htab_add(h, e->hash, e), 0);
	e->in = !e->in;
}

static void duel(uint64_t seed, uint32_t mask, unsigned n_keys, unsigned rounds)
{
	struct rng r;
	struct htab h;

	rng_seed(&r, seed);
	draw_hashes(&r, mask);
	assert_int_equal(htab_init(&h), 0);
	for (unsigned round = 0; round < rounds; round++) {
		/* Phases that fill and phases that empty, so that it grows and shrinks. */
		bool filling = (round / (n_keys * 2)) % 2 == 0;
		uint32_t key = rng_below(&r, n_keys);
		struct entry *e = &entries[key];

		if (e->in != filling || !rng_below(&r, 8))
			change(&h, e);
		else if (!e->in)
			assert_false(htab_del(&h, e->hash, e));
		key = rng_below(&r, n_keys);
		assert_ptr_equal(find(&h, key), entries[key].in ? &entries[key] : NULL);
		if (round % (n_keys / 2 + 1) == 0) {
			check_all(&h, n_keys);
			rcu_quiescent_state();
		}
	}
	check_all(&h, n_keys);
	for (unsigned i = 0; i < n_keys; i++)
		if (entries[i].in)
			change(&h, &entries[i]);
	check_all(&h, n_keys);
	htab_fini(&h);
	htab_fini(&h);
}

static void test_duel(void **state)
{
	for (uint64_t seed = 1; seed <= 4; seed++) {
		duel(seed, UINT32_MAX, 3000, 60000);
		duel(seed, 0xfff00000, 3000, 60000);
		duel(seed, 0x00000fff, 300, 6000); /* all in one bucket */
		duel(seed, 0xc0000003, 300, 6000);
		duel(seed, 0xfffffffe, 20, 2000);
	}
}

/* Memory follows what is in the table, both ways. */
static void test_size(void **state)
{
	struct rng r;
	struct htab h;

	rng_seed(&r, 9);
	draw_hashes(&r, UINT32_MAX);
	assert_int_equal(htab_init(&h), 0);
	for (unsigned i = 0; i < N_KEYS; i++) {
		change(&h, &entries[i]);
		if (i % 1024 == 0)
			rcu_quiescent_state();
	}
	check_all(&h, N_KEYS);
	assert_in_range(h.now->mask + 1, N_KEYS / 3, N_KEYS);
	assert_in_range(h.grows, 10, 20);
	for (unsigned i = 0; i < N_KEYS - 100; i++) {
		change(&h, &entries[i]);
		if (i % 1024 == 0)
			rcu_quiescent_state();
	}
	check_all(&h, N_KEYS);
	for (unsigned i = 0; i < 100000; i++)
		change(&h, &entries[i & 1]);
	assert_in_range(h.now->mask + 1, 16, 256);
	check_all(&h, N_KEYS);
	htab_fini(&h);
}

/* ---- readers ---- */

#define N_STAY 64u

struct reader {
	struct htab *h;
	unsigned stop; /* atomic */
	uint64_t looks, missed, wrong;
};

/* The first N_STAY never leave. */
static void *read_on(void *arg)
{
	struct reader *rd = arg;

	rcu_register_thread();
	while (!__atomic_load_n(&rd->stop, __ATOMIC_ACQUIRE)) {
		for (uint32_t i = 0; i < N_STAY; i++) {
			const struct entry *e = find(rd->h, i);

			rd->missed += !e;
			rd->wrong += e && e != &entries[i];
			rd->looks++;
			(void)htab_guess(rd->h, entries[i].hash);
		}
		rcu_quiescent_state();
	}
	rcu_unregister_thread();
	return NULL;
}

static void test_readers(void **state)
{
	struct reader rd = {0};
	struct htab h;
	struct rng r;
	pthread_t t;

	rng_seed(&r, 11);
	/* few bits, so that those who stay lie among those who come and go */
	draw_hashes(&r, 0xfff00007);
	assert_int_equal(htab_init(&h), 0);
	for (unsigned i = 0; i < N_STAY; i++)
		change(&h, &entries[i]);
	rd.h = &h;
	assert_int_equal(pthread_create(&t, NULL, read_on, &rd), 0);
	for (unsigned round = 0; round < 400000; round++) {
		bool filling = (round / 20000) % 2 == 0;
		struct entry *e = &entries[N_STAY + rng_below(&r, 4000)];

		if (e->in != filling)
			change(&h, e);
		if (round % 64 == 0)
			rcu_quiescent_state();
	}
	__atomic_store_n(&rd.stop, 1, __ATOMIC_RELEASE);
	rcu_thread_offline();
	pthread_join(t, NULL);
	rcu_thread_online();
	assert_true(rd.looks > N_STAY);
	assert_int_equal(rd.missed, 0);
	assert_int_equal(rd.wrong, 0);
	htab_fini(&h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_duel),
		cmocka_unit_test(test_size),
		cmocka_unit_test(test_readers),
	};
	int ret;

	rcu_register_thread();
	ret = cmocka_run_group_tests(tests, NULL, NULL);
	rcu_unregister_thread();
	return ret;
}
