/* gso: segments put together again are the original; every checksum is right. */
#include "pkt/gso.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "base/csum.h"
#include "base/rand.h"
#include "pkt/pool.h"

static struct pool *pool;
static struct pool_cache cache;

static int setup(void **state)
{
	pool = pool_new(1024);
	pool_cache_init(&cache, pool);
	return !pool;
}

static int teardown(void **state)
{
	pool_cache_fini(&cache);
	assert_int_equal(pool_in_use(pool), 0);
	pool_free(pool);
	return 0;
}

/* An Ethernet, IPv4 and TCP or UDP packet with n bytes of payload. */
static struct pkt *packet(struct rng *r, unsigned n, bool udp, uint8_t flags)
{
	uint8_t h[54] = {[12] = 8, [14] = 0x45, [22] = 64, [23] = udp ? 17 : 6};
	unsigned len = udp ? 42 : 54;
	put_be32(h + 26, 0x0a000001);
	put_be32(h + 30, 0x0a000002);
	put_be16(h + 18, 0xfffe);
	if (!udp) {
		put_be32(h + 38, 0xfffffff0);
		h[46] = 0x50;
		h[47] = flags;
	}
	struct pkt *p = pkt_alloc(&cache);
	assert_int_equal(pkt_append(&cache, p, h, len), 0);
	for (unsigned i = 0; i < n; i++) {
		uint8_t b = (uint8_t)rng_u32(r);
		assert_int_equal(pkt_append(&cache, p, &b, 1), 0);
	}
	p->l3 = (uint16_t)(p->off + 14);
	p->gso = udp ? PKT_GSO_UDP : PKT_GSO_TCP4;
	return p;
}

static void check_segment(struct pkt *s, bool udp)
{
	const uint8_t *ip = pkt_l3(s);
	uint32_t a, b;
	assert_int_equal(csum_ip4(ip, 5), 0);
	assert_int_equal(get_be16(ip + 2), s->total - 14);
	memcpy(&a, ip + 12, 4);
	memcpy(&b, ip + 16, 4);
	uint16_t len = (uint16_t)(s->total - 34);
	assert_int_equal(csum_fold(pkt_csum(s, 34, len, csum_pseudo4(a, b, udp ? 17 : 6, len))), 0);
}

static void duel(bool udp)
{
	struct rng r;
	rng_seed(&r, 7);
	for (int round = 0; round < 300; round++) {
		unsigned n = 1 + rng_below(&r, 20000), mss = 1 + rng_below(&r, 5000);
		unsigned hdr = udp ? 42 : 54;
		if (n / mss > 200)
			continue;
		static uint8_t want[32768], got[32768];
		struct pkt *p = packet(&r, n, udp, 0x80 | 0x10 | 0x08 | 0x01);
		p->gso_size = (uint16_t)mss;
		pkt_copy_out(p, hdr, want, n);
		struct pkt_queue q;
		pktq_init(&q);
		assert_int_equal(gso_segment(&cache, p, &q), 0);
		assert_int_equal(q.n, (n + mss - 1) / mss);
		unsigned at = 0, i = 0, all = q.n;
		struct pkt *s;
		while ((s = pktq_pop(&q))) {
			check_segment(s, udp);
			const uint8_t *d = pkt_data(s);
			assert_int_equal(get_be16(d + 18), (uint16_t)(0xfffe + i));
			if (!udp) {
				assert_int_equal(get_be32(d + 38), 0xfffffff0 + at);
				assert_int_equal(d[47],
						 0x10 | (i ? 0 : 0x80) | (i + 1 == all ? 0x09 : 0));
			}
			at += (unsigned)pkt_copy_out(s, hdr, got + at, s->total - hdr);
			pkt_free(&cache, s);
			i++;
		}
		assert_int_equal(at, n);
		assert_memory_equal(want, got, n);
	}
}

static void test_tcp(void **state)
{
	duel(false);
}

static void test_udp(void **state)
{
	duel(true);
}

/* Headers that are not what gso says are refused, and nothing is lost. */
static void test_bad(void **state)
{
	struct rng r;
	rng_seed(&r, 9);
	for (unsigned cut = 0; cut < 60; cut++) {
		struct pkt *p = packet(&r, 100, false, 0x10);
		struct pkt_queue q;
		pktq_init(&q);
		p->gso_size = 10;
		pkt_trim(&cache, p, cut);
		if (cut < 54) {
			assert_int_equal(gso_segment(&cache, p, &q), -EINVAL);
			pkt_free(&cache, p);
		} else {
			assert_int_equal(gso_segment(&cache, p, &q), 0);
			while ((p = pktq_pop(&q)))
				pkt_free(&cache, p);
		}
	}
	struct pkt *p = packet(&r, 100, true, 0);
	struct pkt_queue q;
	pktq_init(&q);
	p->gso = PKT_GSO_TCP4;
	p->gso_size = 10;
	assert_int_equal(gso_segment(&cache, p, &q), -EINVAL);
	pkt_free(&cache, p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tcp),
		cmocka_unit_test(test_udp),
		cmocka_unit_test(test_bad),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
