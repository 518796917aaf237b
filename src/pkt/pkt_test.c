/* pkt and pool: a duel with a flat array of bytes; exact accounting. */
#include "pkt/pkt.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "base/csum.h"
#include "base/rand.h"
#include "pkt/flowkey.h"
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

/* Metadata starts out zero, whatever the last owner left. */
static void test_clean(void **state)
{
	struct pool *pool = pool_new(4);
	struct pool_cache c;

	pool_cache_init(&c, pool);
	for (unsigned i = 0; i < 8; i++) {
		struct pkt *p = pkt_alloc(&c), want = {.off = PKT_HEADROOM, .ref = 1};
		want.buf = (uint8_t *)(p + 1);
		assert_memory_equal(p, &want, sizeof(want));
		memset(p, 0xff, sizeof(*p));
		p->ref = 1;
		p->seg = NULL;
		p->flags = 0;
		pkt_free(&c, p);
	}
	pool_cache_fini(&c);
	pool_free(pool);
}

/* A copy brings the headers along that were pulled, and forgets offsets it has no bytes for. */
static void test_copy_front(void **state)
{
	struct pool *pool = pool_new(16);
	struct pool_cache c;
	uint8_t bytes[200];

	pool_cache_init(&c, pool);
	for (unsigned i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)i;
	for (unsigned headroom = 0; headroom < 300; headroom += 7) {
		struct pkt *p = pkt_alloc(&c);
		assert_int_equal(pkt_append(&c, p, bytes, sizeof(bytes)), 0);
		p->l2 = p->off;
		p->l3 = (uint16_t)(p->off + 14);
		p->l4 = (uint16_t)(p->off + 34);
		pkt_pull(p, 34);
		struct pkt *q = pkt_copy(&c, p, headroom);
		assert_non_null(q);
		assert_int_equal(q->off, headroom);
		assert_memory_equal(pkt_data(q), bytes + 34, 166);
		assert_memory_equal(pkt_l4(q), bytes + 34, 166);
		assert_int_equal(q->l2 != 0, headroom > 34);
		assert_int_equal(q->l3 != 0, headroom > 20);
		if (q->l2)
			assert_memory_equal(pkt_l2(q), bytes, 34);
		if (q->l3)
			assert_memory_equal(pkt_l3(q), bytes + 14, 20);
		/* and so does a clone made private */
		struct pkt *k = pkt_clone(&c, p);
		assert_non_null(k);
		assert_true(pkt_writable(&c, k, 200) && pkt_private(k));
		assert_memory_equal(pkt_l2(k), bytes, sizeof(bytes));
		pkt_free(&c, k);
		pkt_free(&c, q);
		pkt_free(&c, p);
	}
	assert_int_equal(pool_in_use(pool), 0);
	pool_cache_fini(&c);
	pool_free(pool);
}

/* A checksum owed is finished right, over segments and for clones, and never outside the packet. */
static void test_csum_finish(void **state)
{
	struct pool *pool = pool_new(64);
	struct pool_cache c;
	struct rng r;
	static uint8_t b[8000];

	pool_cache_init(&c, pool);
	rng_seed(&r, 5);
	for (unsigned round = 0; round < 2000; round++) {
		uint32_t n = 1 + rng_below(&r, sizeof(b)), head = rng_below(&r, 100);
		uint32_t at = rng_below(&r, 30);
		for (unsigned i = 0; i < n; i++)
			b[i] = (uint8_t)rng_u32(&r);
		struct pkt *p = pkt_alloc(&c), *clone = NULL;
		assert_int_equal(pkt_append(&c, p, b, n), 0);
		p->flags |= PKT_CSUM_PARTIAL;
		p->csum_start = (uint16_t)(p->off + head);
		p->csum_off = (uint16_t)at;
		if (rng_below(&r, 2))
			clone = pkt_clone(&c, p);
		bool fits = head < n && head + at + 2 <= n;
		assert_int_equal(pkt_csum_finish(&c, p), fits);
		if (fits) {
			uint16_t sum = csum_fold(csum_partial(b + head, n - head, 0)), got;
			sum = sum ? sum : 0xffff;
			pkt_copy_out(p, head + at, &got, 2);
			assert_int_equal(got, sum);
			assert_int_equal(p->flags & ~(PKT_CLONE | PKT_SHARED), PKT_CSUM_OK);
		}
		if (clone)
			check_bytes(clone, b, n);
		pkt_free(&c, clone);
		pkt_free(&c, p);
		assert_int_equal(pool_in_use(pool), 0);
	}
	pool_cache_fini(&c);
	pool_free(pool);
}

static uint32_t hash_of(struct pool_cache *c, const uint8_t *ip, size_t n, size_t first,
			uint16_t *flags)
{
	static const struct hash_key key = {{1, 2}};
	struct pkt *p = pkt_alloc(c);

	/* in two segments, cut at `first` */
	assert_int_equal(pkt_append(c, p, ip, first), 0);
	if (first < n) {
		p->seg = pkt_alloc(c);
		assert_int_equal(pkt_append(c, p->seg, ip + first, n - first), 0);
		p->total = (uint32_t)n;
	}
	p->l3 = p->off;
	uint32_t h = pkt_flow_hash(p, &key);
	assert_int_equal(h, p->hash);
	assert_int_not_equal(h, 0);
	*flags = p->flags;
	pkt_free(c, p);
	return h;
}

/* The flow hash depends on what makes a flow and on nothing else. */
static void test_flow_hash(void **state)
{
	static const uint8_t udp4[] = {0x45, 0, 0,  28, 1, 2, 0, 0, 64, 17, 0, 0, 10, 0,
				       0,    1, 10, 0,	0, 2, 4, 1, 0,	53, 0, 8, 0,  0};
	static const uint8_t flow[] = {9, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23};
	static const uint8_t other[] = {1, 4, 5, 8, 10, 11, 24, 25, 26, 27};
	uint8_t b[sizeof(udp4)], v6[40 + 8 + 8] = {0x60};
	struct pool *pool = pool_new(16);
	struct pool_cache c;
	uint16_t f;

	pool_cache_init(&c, pool);
	uint32_t h = hash_of(&c, udp4, sizeof(udp4), sizeof(udp4), &f);
	assert_int_equal(f, PKT_HASH_L4);
	for (size_t cut = 1; cut < sizeof(udp4); cut++)
		assert_int_equal(hash_of(&c, udp4, sizeof(udp4), cut, &f), h);
	for (unsigned i = 0; i < sizeof(flow); i++) {
		memcpy(b, udp4, sizeof(b));
		b[flow[i]] ^= 0x40;
		assert_int_not_equal(hash_of(&c, b, sizeof(b), sizeof(b), &f), h);
	}
	for (unsigned i = 0; i < sizeof(other); i++) {
		memcpy(b, udp4, sizeof(b));
		b[other[i]] ^= 0x40;
		assert_int_equal(hash_of(&c, b, sizeof(b), sizeof(b), &f), h);
	}
	/* fragments hash alike, the first too: without ports */
	memcpy(b, udp4, sizeof(b));
	b[6] = 0x20;
	uint32_t frag = hash_of(&c, b, sizeof(b), sizeof(b), &f);
	assert_int_equal(f, 0);
	assert_int_not_equal(frag, h);
	b[6] = 0;
	b[7] = 9;
	b[20] = 77;
	assert_int_equal(hash_of(&c, b, sizeof(b), sizeof(b), &f), frag);
	/* IPv6: past a hop-by-hop header to the ports */
	v6[40] = 17;
	v6[40 + 8 + 1] = 7;
	v6[40 + 8 + 3] = 9;
	v6[6] = 0;
	hash_of(&c, v6, sizeof(v6), sizeof(v6), &f);
	assert_int_equal(f, PKT_HASH_L4);
	v6[6] = 44; /* the same as a fragment header */
	hash_of(&c, v6, sizeof(v6), sizeof(v6), &f);
	assert_int_equal(f, 0);
	/* cut short anywhere: an answer, no read past the end */
	for (size_t n = 0; n < sizeof(v6); n++)
		hash_of(&c, v6, n, n, &f);
	for (size_t n = 0; n < sizeof(udp4); n++)
		hash_of(&c, udp4, n, n, &f);
	pool_cache_fini(&c);
	pool_free(pool);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_duel),	    cmocka_unit_test(test_dry),
		cmocka_unit_test(test_clean),	    cmocka_unit_test(test_copy_front),
		cmocka_unit_test(test_csum_finish), cmocka_unit_test(test_flow_hash),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
