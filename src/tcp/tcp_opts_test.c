/* tcp_opts: the layouts of Linux, round trips, and bytes that no stack sends. */
#include "tcp/tcp_core.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "base/rand.h"

static const struct tcp_net all_on = {.tcp_window_scaling = 1, .tcp_sack = 1, .tcp_timestamps = 1};

static void check_layout(const struct tcp_tx_opts *o, const char *want, unsigned n)
{
	uint8_t got[40];

	memset(got, 0xee, sizeof(got));
	assert_int_equal(tcp_opts_size(o), n);
	tcp_opts_write(got, o);
	assert_memory_equal(got, want, n);
	for (unsigned i = n; i < sizeof(got); i++)
		assert_int_equal(got[i], 0xee);
}

static void test_layouts(void **state)
{
	struct tcp_tx_opts o = {.mss = 1460,
				.ts = true,
				.sack_perm = true,
				.wscale_ok = true,
				.wscale = 7,
				.tsval = 0x01020304};
	struct tcp_fo_cookie fo = {.len = 0};

	check_layout(&o, "\2\4\5\xb4\4\2\x8\xa\1\2\3\4\0\0\0\0\1\3\3\7", 20);
	o.fo = &fo;
	check_layout(&o, "\2\4\5\xb4\4\2\x8\xa\1\2\3\4\0\0\0\0\1\3\3\7\x22\2\1\1", 24);
	fo = (struct tcp_fo_cookie){.len = 8, .val = "abcdefgh", .exp = true};
	check_layout(&o,
		     "\2\4\5\xb4\4\2\x8\xa\1\2\3\4\0\0\0\0\1\3\3\7\xfe\xc\xf9\x89"
		     "abcdefgh",
		     32);
	o.ts = false;
	check_layout(&o,
		     "\2\4\5\xb4\1\1\4\2\1\3\3\7\xfe\xc\xf9\x89"
		     "abcdefgh",
		     24);
	o = (struct tcp_tx_opts){.mss = 536};
	check_layout(&o, "\2\4\2\x18", 4);
	o = (struct tcp_tx_opts){.n_sack = 1, .sack = {{1, 2}}};
	check_layout(&o, "\1\1\5\xa\0\0\0\1\0\0\0\2", 12);
	/* with a time stamp three blocks fit, four without */
	o.n_sack = 4;
	assert_int_equal(tcp_opts_size(&o), 36);
	o.ts = true;
	check_layout(&o,
		     "\1\1\x8\xa\0\0\0\0\0\0\0\0\1\1\5\x1a\0\0\0\1\0\0\0\2\0\0\0\0\0\0\0\0"
		     "\0\0\0\0\0\0\0\0",
		     40);
}

static void random_opts(struct rng *r, struct tcp_tx_opts *o, struct tcp_fo_cookie *fo)
{
	*o = (struct tcp_tx_opts){
		.mss = (uint16_t)(rng_below(r, 2) ? 1 + rng_below(r, 65535) : 0),
		.ts = rng_below(r, 2),
		.sack_perm = rng_below(r, 2),
		.wscale_ok = rng_below(r, 2),
		.wscale = (uint8_t)rng_below(r, TCP_MAX_WSCALE + 1),
		.tsval = rng_u32(r),
		.tsecr = rng_u32(r),
		.n_sack = rng_below(r, 2) ? rng_below(r, TCP_MAX_SACKS + 1) : 0,
		.fo = rng_below(r, 2) ? fo : NULL,
	};
	for (unsigned i = 0; i < o->n_sack; i++)
		o->sack[i] = (struct tcp_sack_block){rng_u32(r), rng_u32(r)};
	*fo = (struct tcp_fo_cookie){.len = (int8_t)(rng_below(r, 8) * 2 + 2),
				     .exp = rng_below(r, 2)};
	if (fo->len == 2)
		fo->len = 0;
	for (int i = 0; i < fo->len; i++)
		fo->val[i] = (uint8_t)rng_u32(r);
}

static void test_round_trip(void **state)
{
	struct rng r;

	rng_seed(&r, 7);
	for (unsigned round = 0; round < 20000; round++) {
		struct tcp_tx_opts o;
		struct tcp_fo_cookie fo, foc;
		uint8_t b[40];

		random_opts(&r, &o, &fo);
		unsigned n = tcp_opts_size(&o);

		assert_true(n <= 40 && n % 4 == 0);
		tcp_opts_write(b, &o);
		struct tcp_rx rx = {.flags = TCPHDR_SYN, .hlen = (uint8_t)(20 + n), .opts = b};
		struct tcp_rx_opts opt = {.sack_ok = o.n_sack > 0};

		tcp_parse_opts(&rx, &opt, false, &foc, &all_on);
		assert_int_equal(opt.mss_clamp, o.mss);
		assert_int_equal(opt.saw_tstamp, o.ts);
		assert_int_equal(opt.rcv_tsval, o.ts ? o.tsval : 0);
		assert_int_equal(opt.rcv_tsecr, o.ts ? o.tsecr : 0);
		assert_int_equal(opt.wscale_ok, o.wscale_ok);
		assert_int_equal(opt.snd_wscale, o.wscale_ok ? o.wscale : 0);
		assert_int_equal(opt.sack_ok, o.sack_perm || o.n_sack);
		assert_true(rx.n_sack <= o.n_sack && (rx.n_sack || !o.n_sack || n > 28));
		for (unsigned i = 0; i < rx.n_sack; i++) {
			assert_int_equal(get_be32(rx.sack + 8 * i), o.sack[i].start_seq);
			assert_int_equal(get_be32(rx.sack + 8 * i + 4), o.sack[i].end_seq);
		}
		if (foc.len >= 0) {
			assert_int_equal(foc.len, fo.len);
			assert_int_equal(foc.exp, fo.exp);
			assert_memory_equal(foc.val, fo.val, (size_t)fo.len);
		} else {
			assert_true(!o.fo || n + (unsigned)fo.len + 2 > 38);
		}
	}
}

/* Any bytes, in a buffer that ends where the header does: sanitizers see a step beyond. */
static void test_random_bytes(void **state)
{
	struct rng r;
	unsigned sacks = 0, cookies = 0;

	rng_seed(&r, 11);
	for (unsigned round = 0; round < 200000; round++) {
		unsigned n = rng_below(&r, 11) * 4;
		uint8_t *b = malloc(MAX(n, 1u));
		static const uint8_t kinds[] = {1, 2, 3, 4, 5, 8, 34, 254};

		for (unsigned i = 0; i < n; i++)
			b[i] = rng_below(&r, 2)	  ? (uint8_t)rng_u32(&r)
			       : rng_below(&r, 2) ? kinds[rng_below(&r, sizeof(kinds))]
						  : (uint8_t)rng_below(&r, 20);
		struct tcp_rx rx = {
			.flags = (uint8_t)rng_u32(&r), .hlen = (uint8_t)(20 + n), .opts = b};
		struct tcp_rx_opts opt = {.sack_ok = rng_below(&r, 2),
					  .tstamp_ok = rng_below(&r, 2)};
		struct tcp_fo_cookie foc;
		bool estab = rng_below(&r, 2);

		tcp_parse_opts(&rx, &opt, estab, &foc, &all_on);
		assert_true(opt.snd_wscale <= TCP_MAX_WSCALE);
		assert_true(foc.len == -1 || foc.len == 0 || (foc.len >= 4 && foc.len <= 16));
		assert_true(!estab || (!opt.mss_clamp && !opt.wscale_ok));
		if (rx.sack) {
			assert_true(rx.n_sack && rx.sack >= b && rx.sack + 8 * rx.n_sack <= b + n);
			sacks++;
		}
		cookies += foc.len > 0;
		free(b);
	}
	assert_true(sacks > 50 && cookies > 10);
}

static void test_rules(void **state)
{
	static const struct tcp_net off;
	const uint8_t b[] = {2, 4, 5, 0xb4, 1, 3, 3, 200, 2, 4, 0, 0, 4, 2, 0, 0};
	struct tcp_rx rx = {.flags = TCPHDR_SYN, .hlen = 20 + sizeof(b), .opts = b};
	struct tcp_rx_opts opt = {.user_mss = 1000};

	tcp_parse_opts(&rx, &opt, false, NULL, &all_on);
	assert_int_equal(opt.mss_clamp, 1000); /* an MSS of 0 is not one */
	assert_int_equal(opt.snd_wscale, TCP_MAX_WSCALE);
	assert_true(opt.sack_ok);
	opt = (struct tcp_rx_opts){0};
	tcp_parse_opts(&rx, &opt, false, NULL, &off);
	assert_int_equal(opt.mss_clamp, 1460);
	assert_false(opt.wscale_ok || opt.sack_ok);
	rx.flags = TCPHDR_ACK; /* only a SYN speaks of these */
	opt = (struct tcp_rx_opts){0};
	tcp_parse_opts(&rx, &opt, false, NULL, &all_on);
	assert_false(opt.mss_clamp || opt.wscale_ok || opt.sack_ok);
}

/* A header that lies in many segments of a packet, and ones that lie. */
static void test_parse(void **state)
{
	struct pool *pool = pool_new(256);
	struct worker w = {0};
	struct tcp_rx rx;
	const uint8_t h[32] = {0, 80, 0, 81, 1, 2, 3, 4, 5, 6,	7, 8, 0x80, TCPHDR_SYN | TCPHDR_ACK,
			       1, 0,  0, 0,  0, 9, 1, 1, 8, 10, 0, 0, 0,    7,
			       0, 0,  0, 6};
	const uint8_t ip[20] = {0x45, 0x02};

	pool_cache_init(&w.cache, pool);
	for (unsigned cut = 0; cut <= sizeof(h); cut++) {
		struct pkt *p = pkt_alloc(&w.cache), *tail = pkt_alloc(&w.cache);

		memcpy(p->buf + p->off - sizeof(ip), ip, sizeof(ip));
		p->l3 = (uint16_t)(p->off - sizeof(ip));
		assert_int_equal(pkt_append(&w.cache, p, h, cut), 0);
		assert_int_equal(pkt_append(&w.cache, tail, h + cut, sizeof(h) - cut), 0);
		assert_int_equal(pkt_append(&w.cache, tail, "data", 4), 0);
		p->seg = tail;
		p->total += tail->total;
		assert_true(tcp_parse(&w, p, &rx));
		assert_int_equal(rx.seq, 0x01020304);
		assert_int_equal(rx.ack, 0x05060708);
		assert_int_equal(rx.end_seq, 0x01020304 + 5);
		assert_int_equal(rx.len, 4);
		assert_int_equal(rx.win, 256);
		assert_int_equal(rx.urg, 9);
		assert_int_equal(rx.ip_dsfield, 2);
		assert_memory_equal(rx.opts, h + 20, 12);
		pkt_trim(&w.cache, p, 31);
		assert_false(tcp_parse(&w, p, &rx));
		pkt_free(&w.cache, p);
	}
	struct pkt *p = pkt_alloc(&w.cache);

	assert_int_equal(pkt_append(&w.cache, p, h, sizeof(h)), 0);
	pkt_data(p)[12] = 0x40; /* a header of 16 bytes */
	assert_false(tcp_parse(&w, p, &rx));
	pkt_trim(&w.cache, p, 19);
	assert_false(tcp_parse(&w, p, &rx));
	pkt_free(&w.cache, p);
	pool_cache_fini(&w.cache);
	pool_free(pool);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_layouts),	     cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_random_bytes), cmocka_unit_test(test_rules),
		cmocka_unit_test(test_parse),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
