/* pkt and pool: a duel with a flat array of bytes; exact accounting. */
#include "pkt/pkt.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "base/csum.h"
#include "base/rand.h"
#include "pkt/pool.h"

static void check_bytes(struct pkt *p, const uint8_t *want, uint32_t n)
{
	static uint8_t got[PKT_MAX_TOTAL];

	assert_int_equal(p->total, n);
	assert_int_equal(pkt_copy_out(p, 0, got, sizeof(got)), n);
	assert_memory_equal(got, want, n);
}

static void test_duel(void **state)
{
	static uint8_t flat[PKT_MAX_TOTAL], data[9000], clone_flat[PKT_MAX_TOTAL];
	struct pool *pool = pool_new(512);
	struct pool_cache c;
	struct rng r;

	pool_cache_init(&c, pool);
	rng_seed(&r, 3);
	for (unsigned round = 0; round < 300; round++) {
		struct pkt *p = pkt_alloc(&c), *clone = NULL;
		uint32_t n = 0, clone_n = 0;
		assert_non_null(p);
		for (unsigned step = 0; step < 40; step++) {
			unsigned k = rng_below(&r, 9000);
			switch (rng_below(&r, 7)) {
			case 0: /* append */
			case 1:
				for (unsigned i = 0; i < k; i++)
					data[i] = (uint8_t)rng_u32(&r);
				int err = pkt_append(&c, p, data, k);
				assert_int_equal(err, n + k > PKT_MAX_TOTAL ? -EMSGSIZE : 0);
				if (!err) {
					memcpy(flat + n, data, k);
					n += k;
				}
				break;
			case 2: /* trim */
				k = rng_below(&r, n + 1);
				pkt_trim(&c, p, k);
				n = k;
				break;
			case 3: /* pull */
				k = rng_below(&r, MIN(n, 300u) + 1);
				assert_true(pkt_may_pull(&c, p, k));
				pkt_pull(p, k);
				memmove(flat, flat + k, n - k);
				n -= k;
				break;
			case 4: /* write and push in front */
				assert_true(pkt_writable(&c, p, 64));
				assert_true(pkt_private(p) && p->off >= 64);
				memset(pkt_push(p, 10), (int)step, 10);
				memmove(flat + 10, flat, n);
				memset(flat, (int)step, 10);
				n += 10;
				break;
			case 5: /* clone, or end the clone */
				if (clone) {
					check_bytes(clone, clone_flat, clone_n);
					pkt_free(&c, clone);
					clone = NULL;
				} else if ((clone = pkt_clone(&c, p))) {
					memcpy(clone_flat, flat, n);
					clone_n = n;
				}
				break;
			case 6: /* checksum of any part */
				k = rng_below(&r, n + 1);
				uint32_t len = rng_below(&r, n - k + 1);
				assert_int_equal(csum_fold(pkt_csum(p, k, len, 0)),
						 csum_fold(csum_partial(flat + k, len, 0)));
			}
			check_bytes(p, flat, n);
		}
		struct pkt *copy = pkt_copy(&c, p, 100);
		assert_non_null(copy);
		check_bytes(copy, flat, n);
		pkt_free(&c, copy);
		/* the owner may go before its clone */
		pkt_free(&c, p);
		if (clone)
			check_bytes(clone, clone_flat, clone_n);
		pkt_free(&c, clone);
		assert_int_equal(pool_in_use(pool), 0);
	}
	pool_cache_fini(&c);
	pool_free(pool);
}

/* Running dry is an answer, and everything comes back. */
static void test_dry(void **state)
{
	enum { SIZE = 1000 };
	struct pkt *held[SIZE];
	struct pool *pool = pool_new(SIZE);
	struct pool_cache a, b;

	pool_cache_init(&a, pool);
	pool_cache_init(&b, pool);
	for (unsigned round = 0; round < 3; round++) {
		for (unsigned i = 0; i < SIZE; i++) {
			held[i] = pkt_alloc(&a);
			assert_non_null(held[i]);
		}
		assert_null(pkt_alloc(&a));
		assert_null(pkt_alloc(&b));
		assert_int_equal(pool_in_use(pool), SIZE);
		for (unsigned i = 0; i < SIZE; i++)
			pkt_free(&b, held[i]);
		assert_int_equal(pool_in_use(pool), 0);
		/* what b holds is b's until it flushes */
		while (b.n)
			pool_cache_flush(&b);
	}
	pool_cache_fini(&a);
	pool_cache_fini(&b);
	pool_free(pool);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_duel),
		cmocka_unit_test(test_dry),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
