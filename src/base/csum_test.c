/* csum and rand: against naive twins and published vectors. */
#include "base/csum.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "base/rand.h"

static uint16_t naive(const uint8_t *p, size_t n)
{
	uint32_t sum = 0;

	for (size_t i = 0; i < n; i++)
		sum += i & 1 ? p[i] : (uint32_t)p[i] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

static void test_csum(void **state)
{
	uint8_t b[300];
	struct rng r;

	rng_seed(&r, 1);
	for (unsigned round = 0; round < 20000; round++) {
		unsigned at = rng_below(&r, 8), n = rng_below(&r, 290);
		for (unsigned i = 0; i < n; i++)
			b[at + i] = round % 3 ? (uint8_t)rng_u32(&r) : 0xff;
		uint16_t got = csum_fold(csum_partial(b + at, n, 0)), want = naive(b + at, n);
		assert_int_equal(__builtin_bswap16(got), want);
		/* an update in place equals a new sum, in one's complement */
		if (n < 4)
			continue;
		uint16_t from, to = (uint16_t)rng_u32(&r);
		memcpy(&from, b + at + 2, 2);
		memcpy(b + at + 2, &to, 2);
		uint16_t updated = csum_replace2(got, from, to);
		uint16_t again = csum_fold(csum_partial(b + at, n, 0));
		assert_true(updated == again || (uint16_t)(updated + again) == 0xffff);
	}
}

/* First outputs of SipHash-1-3 with key 00..0f over 00, 01, ... differ per length and are stable.
 */
static void test_siphash(void **state)
{
	struct hash_key k = {{0x0706050403020100ULL, 0x0f0e0d0c0b0a0908ULL}};
	uint8_t in[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};

	assert_true(siphash(in, 0, &k) == 0xabac0158050fc4dcULL);
	for (unsigned i = 1; i <= sizeof(in); i++)
		assert_true(siphash(in, i, &k) != siphash(in, i - 1, &k));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_csum),
		cmocka_unit_test(test_siphash),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
