/*
 * Tests of fragmentation and reassembly: what is cut up at random and comes in any order is whole
 * again, what cannot be whole is thrown away, and nothing is kept for long or leaked.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ip/path_fixture.h"

#define PROTO	 253 /* for experiments (RFC 3692) */
#define MAX_CUTS 64

struct world {
	struct fx f;
	struct net *net;
	struct netdev *a;
	struct ip4_proto proto;
	unsigned n_got;
	size_t got_len;
	uint8_t got[65800], frame[65800], data[65800];
	struct rng r;
};

static struct world *the_world;

static void got(struct worker *w, struct netdev *dev, struct pkt *p)
{
	struct world *x = the_world;
	const struct ip4_hdr *ip = pkt_l3(p);

	assert_ptr_equal(dev, x->a);
	assert_int_equal(csum_ip4(ip, ip->ihl), 0);
	assert_int_equal(get_be16(&ip->tot_len), p->total + ip->ihl * 4u);
	assert_int_equal(get_be16(&ip->frag_off) & (IP4_MF | IP4_OFFSET), 0);
	x->n_got++;
	x->got_len = pkt_copy_out(p, 0, x->got, sizeof(x->got));
	assert_int_equal(x->got_len, p->total);
	pkt_free(&w->cache, p);
}

static int setup(void **state)
{
	struct world *x = calloc(1, sizeof(*x));

	the_world = x;
	fx_init(&x->f, 8192);
	x->net = fx_net(&x->f);
	x->a = fx_dev(x->net, "w1", "10.1.0.1", 24);
	fx_neigh(x->a, "10.1.0.2", 0x11);
	x->proto.input = got;
	x->f.weft.ip4->hooks.proto[PROTO] = &x->proto;
	fx_settle(&x->f);
	fx_tx_flush(&x->f, x->a);
	x->f.baseline = pool_in_use(x->f.weft.pool);
	rng_seed(&x->r, 1234);
	for (unsigned i = 0; i < sizeof(x->data); i++)
		x->data[i] = (uint8_t)rng_u32(&x->r);
	*state = x;
	return 0;
}

static int teardown(void **state)
{
	struct world *x = *state;

	fx_fini(&x->f);
	free(x);
	return 0;
}

static uint64_t mib(struct world *x, enum ip4_mib m)
{
	return x->net->ip4->mib[0].v[m];
}

static void send_frag(struct world *x, uint16_t id, unsigned at, unsigned len, bool more)
{
	struct fx_ip4 h = {.to = x->a,
			   .saddr = "10.1.0.2",
			   .daddr = "10.1.0.1",
			   .proto = PROTO,
			   .id = id,
			   .frag = (uint16_t)(at / 8 | (more ? IP4_MF : 0))};
	size_t n = fx_frame(x->frame, &h, x->data + at, len);

	fx_rx(&x->f, x->a, x->frame, n);
}

static void expect_whole(struct world *x, unsigned len)
{
	assert_int_equal(x->n_got, 1);
	assert_int_equal(x->got_len, len);
	assert_memory_equal(x->got, x->data, len);
	assert_int_equal(pool_in_use(x->f.weft.pool), x->f.baseline);
	assert_int_equal(x->net->ip4->frags->mem, 0);
	x->n_got = 0;
}

struct cut {
	unsigned at, len;
	bool more;
};

/* Lets every queue time out; what is said about it is not looked at. */
static void expire(struct world *x)
{
	fx_advance(&x->f, 31 * NSEC_PER_SEC);
	fx_tx_flush(&x->f, x->a);
	assert_int_equal(pool_in_use(x->f.weft.pool), x->f.baseline);
}

/* Cuts [0, len) at random multiples of eight. */
static unsigned cut_up(struct world *x, unsigned len, struct cut *c)
{
	unsigned n = 0, at = 0;

	while (at < len) {
		unsigned piece = 8 * (1 + rng_below(&x->r, rng_below(&x->r, 4) ? 40 : 1000));

		if (n == MAX_CUTS - 1 || at + piece > len)
			piece = len - at;
		c[n++] = (struct cut){at, piece, at + piece < len};
		at += piece;
	}
	return n;
}

static void shuffle(struct world *x, struct cut *c, unsigned n)
{
	for (unsigned i = n; i > 1; i--) {
		unsigned j = rng_below(&x->r, i);
		struct cut t = c[i - 1];

		c[i - 1] = c[j];
		c[j] = t;
	}
}

/* Any cut, any order, any repetition: the same datagram. */
static void duel(void **state)
{
	struct world *x = *state;
	struct cut c[MAX_CUTS];

	for (int round = 0; round < 1500; round++) {
		unsigned len = 16 + rng_below(&x->r, round % 10 ? 4000 : 65000);
		unsigned n = cut_up(x, len, c);

		if (n < 2)
			continue;
		shuffle(x, c, n);
		for (unsigned i = 0; i < n; i++) {
			unsigned again = rng_below(&x->r, i + 1);

			send_frag(x, (uint16_t)round, c[i].at, c[i].len, c[i].more);
			if (i + 1 < n && !rng_below(&x->r, 4)) /* a repetition is harmless */
				send_frag(x, (uint16_t)round, c[again].at, c[again].len,
					  c[again].more);
		}
		expect_whole(x, len);
	}
	assert_int_equal(mib(x, MIB_Ip_ReasmFails), 0);
}

/* Many datagrams at once, their fragments mixed. */
static void interleaved(void **state)
{
	struct world *x = *state;

	x->net->ip4->frag_max_dist = 0;
	for (unsigned at = 0; at < 64; at += 8)
		for (unsigned id = 0; id < 100; id++)
			send_frag(x, (uint16_t)id, 56 - at, 8, at > 0);
	assert_int_equal(x->n_got, 100);
	assert_int_equal(pool_in_use(x->f.weft.pool), x->f.baseline);
}

/* A fragment that overlaps another in part ends the datagram, wherever it lies. */
static void overlaps(void **state)
{
	struct world *x = *state;
	unsigned ends = 0;

	for (unsigned at = 0; at < 96; at += 8) {
		for (unsigned len = 8; at + len <= 96; len += 8) {
			bool inside = (at >= 32 && at + len <= 64);
			bool apart = at + len <= 32 || at >= 64;
			uint64_t over = mib(x, MIB_IpExt_ReasmOverlaps);
			uint16_t id = (uint16_t)(at * 100 + len);

			send_frag(x, id, 32, 32, true);
			send_frag(x, id, at, len, true);
			if (inside || apart) {
				assert_int_equal(mib(x, MIB_IpExt_ReasmOverlaps), over);
				assert_true(pool_in_use(x->f.weft.pool) > x->f.baseline);
				/* One that lies across ends it. */
				send_frag(x, id, 24, 16, true);
			} else {
				ends++;
			}
			if (pool_in_use(x->f.weft.pool) != x->f.baseline)
				expire(x);
			assert_int_equal(pool_in_use(x->f.weft.pool), x->f.baseline);
		}
	}
	assert_true(ends > 10);
	assert_int_equal(x->n_got, 0);
}

static void malformed(void **state)
{
	struct world *x = *state;
	unsigned fails = 0;

	/* An end before what has come; two ends; beyond the end; nothing in it; beyond 65535. */
	send_frag(x, 1, 64, 8, true);
	send_frag(x, 1, 8, 8, false);
	assert_int_equal(mib(x, MIB_Ip_ReasmFails), ++fails);
	send_frag(x, 2, 64, 8, false);
	send_frag(x, 2, 72, 8, false);
	assert_int_equal(mib(x, MIB_Ip_ReasmFails), ++fails);
	send_frag(x, 3, 64, 8, false);
	send_frag(x, 3, 80, 8, true);
	assert_int_equal(mib(x, MIB_Ip_ReasmFails), ++fails);
	send_frag(x, 4, 64, 0, true);
	assert_int_equal(mib(x, MIB_Ip_ReasmFails), ++fails);
	send_frag(x, 5, 65528, 100, false);
	assert_int_equal(mib(x, MIB_Ip_ReasmFails), ++fails);
	/* An odd length in the middle is cut to blocks. */
	send_frag(x, 6, 0, 13, true);
	send_frag(x, 6, 8, 5, false);
	expect_whole(x, 13);
	assert_int_equal(pool_in_use(x->f.weft.pool), x->f.baseline);
}

/* The whole may not be larger than IP allows, header included. */
static void oversize(void **state)
{
	struct world *x = *state;

	for (unsigned at = 0; at < 65520; at += 8 * 1365)
		send_frag(x, 1, at, 8 * 1365 > 65520 - at ? 65520 - at : 8 * 1365, true);
	send_frag(x, 1, 65520, 8, false);
	assert_int_equal(x->n_got, 0);
	assert_int_equal(mib(x, MIB_Ip_ReasmFails), 1);
	assert_int_equal(pool_in_use(x->f.weft.pool), x->f.baseline);
}

/* ICMP 11/1 goes out when the first fragment had come, and only then. */
static void times_out(void **state)
{
	struct world *x = *state;
	uint8_t out[2000];

	send_frag(x, 1, 8, 800, true);
	fx_advance(&x->f, 29 * NSEC_PER_SEC);
	assert_true(pool_in_use(x->f.weft.pool) > x->f.baseline);
	fx_advance(&x->f, 2 * NSEC_PER_SEC);
	assert_int_equal(pool_in_use(x->f.weft.pool), x->f.baseline);
	assert_int_equal(mib(x, MIB_Ip_ReasmTimeout), 1);
	assert_int_equal(fx_tx_count(x->a), 0);

	send_frag(x, 2, 800, 80, true);
	send_frag(x, 2, 0, 800, true);
	fx_advance(&x->f, 31 * NSEC_PER_SEC);
	assert_int_equal(fx_tx(&x->f, x->a, out, sizeof(out)), 14 + 576);
	assert_int_equal(out[34], ICMP_TIME_EXCEEDED);
	assert_int_equal(out[35], ICMP_EXC_FRAGTIME);
	assert_memory_equal(out + 42, x->frame + 14, 576 - 28);
	assert_int_equal(pool_in_use(x->f.weft.pool), x->f.baseline);
	/* A device that is gone by then. */
	struct netdev *b = fx_dev(x->net, "w2", "10.9.0.1", 24);
	struct fx_ip4 h = {
		.to = b, .saddr = "10.9.0.2", .daddr = "10.9.0.1", .proto = PROTO, .frag = IP4_MF};
	size_t n = fx_frame(x->frame, &h, x->data, 64);

	fx_rx(&x->f, b, x->frame, n);
	netdev_unregister(b);
	fx_advance(&x->f, 31 * NSEC_PER_SEC);
	assert_int_equal(pool_in_use(x->f.weft.pool), x->f.baseline);
}

/* A flood of beginnings holds no more than the limit, and the rest of the world goes on. */
static void memory_bound(void **state)
{
	struct world *x = *state;
	unsigned peak = 0;

	x->net->ip4->frag_high_thresh = 256 * 1024;
	for (unsigned id = 0; id < 5000; id++) {
		send_frag(x, (uint16_t)id, 8 * (id & 7), 8, true);
		peak = MAX(peak, pool_in_use(x->f.weft.pool) - x->f.baseline);
	}
	assert_in_range(peak * PKT_ELEM_SIZE, 250 * 1024, 256 * 1024 + 3 * PKT_ELEM_SIZE);
	assert_true(x->f.w->drops[DROP_FRAG_MEM] > 4000);
	expire(x);
	send_frag(x, 9, 8, 8, false);
	send_frag(x, 9, 0, 8, true);
	expect_whole(x, 16);
	x->net->ip4->frag_high_thresh = 0; /* none at all */
	send_frag(x, 9, 0, 8, true);
	assert_int_equal(pool_in_use(x->f.weft.pool), x->f.baseline);
}

/* An id that comes round too soon starts anew. */
static void too_far(void **state)
{
	struct world *x = *state;

	x->net->ip4->frag_max_dist = 4;
	send_frag(x, 1, 0, 8, true);
	for (unsigned id = 2; id < 10; id++)
		send_frag(x, (uint16_t)id, 0, 8, true);
	send_frag(x, 1, 8, 8, false);
	assert_int_equal(x->n_got, 0);
	assert_int_equal(mib(x, MIB_Ip_ReasmFails), 1);
	send_frag(x, 1, 0, 8, true);
	assert_int_equal(x->n_got, 1);
	expire(x);
}

/* RFC 3168 5.3. */
static void ecn(void **state)
{
	static const struct {
		uint8_t a, b;
		bool whole;
	} table[] = {{0, 0, true}, {1, 1, true}, {2, 2, true},	{1, 2, true},  {1, 3, true},
		     {3, 2, true}, {3, 3, true}, {0, 1, false}, {2, 0, false}, {0, 3, false}};
	struct world *x = *state;

	for (unsigned i = 0; i < ARRAY_SIZE(table); i++) {
		struct fx_ip4 h = {.to = x->a,
				   .saddr = "10.1.0.2",
				   .daddr = "10.1.0.1",
				   .proto = PROTO,
				   .id = (uint16_t)i,
				   .frag = IP4_MF,
				   .tos = table[i].a};

		fx_rx(&x->f, x->a, x->frame, fx_frame(x->frame, &h, x->data, 8));
		h.frag = 1;
		h.tos = table[i].b;
		fx_rx(&x->f, x->a, x->frame, fx_frame(x->frame, &h, x->data + 8, 8));
		assert_int_equal(x->n_got, table[i].whole);
		x->n_got = 0;
		assert_int_equal(pool_in_use(x->f.weft.pool), x->f.baseline);
	}
}

/* What ip4_fragment() cuts, ip4_reasm() joins: every MTU, with and without options. */
static void there_and_back(void **state)
{
	struct world *x = *state;

	for (unsigned round = 0; round < 400; round++) {
		uint8_t opts[12] = {IPOPT_NOOP, IPOPT_RA, 4, 0, 0, IPOPT_RR, 7, 8};
		struct fx_ip4 h = {.to = x->a,
				   .saddr = "10.1.0.2",
				   .daddr = "10.1.0.1",
				   .proto = PROTO,
				   .id = (uint16_t)round,
				   .opts = opts,
				   .opt_len = round & 1 ? 12 : 0};
		uint32_t mtu = 60 + rng_below(&x->r, 3000);
		unsigned len = rng_below(&x->r, 9000);
		size_t n = fx_frame(x->frame, &h, x->data, len), hlen = 20 + h.opt_len;
		struct pkt *p = pkt_new(x->f.w);
		struct pkt_queue q;

		assert_int_equal(pkt_append(&x->f.w->cache, p, x->frame, n), 0);
		p->dev = x->a;
		pkt_pull(p, 14);
		p->l3 = p->off;
		pktq_init(&q);
		assert_int_equal(ip4_fragment(x->f.w, p, mtu, &q), 0);
		assert_int_equal(q.n, len <= mtu - hlen
					      ? (len ? 1 : 0)
					      : 1 + (len - (mtu - hlen) + ((mtu - hlen) & ~7u) -
						     1) / ((mtu - hlen) & ~7u));
		for (unsigned i = 0; (p = pktq_pop(&q)); i++) {
			size_t got_n = pkt_copy_out(p, 0, x->frame + 14, 60000);

			assert_true(got_n <= mtu);
			if (h.opt_len) /* only copied options go with the later ones */
				assert_int_equal(x->frame[14 + 25], i ? IPOPT_NOOP : IPOPT_RR);
			pkt_free(&x->f.w->cache, p);
			fx_rx(&x->f, x->a, x->frame, 14 + got_n);
		}
		if (len)
			expect_whole(x, len);
	}
}

/* A namespace may go while datagrams are incomplete. */
static void net_goes(void **state)
{
	struct world *x = *state;
	struct net *net = fx_net(&x->f);
	struct netdev *b = fx_dev(net, "w2", "10.9.0.1", 24);
	struct fx_ip4 h = {
		.to = b, .saddr = "10.9.0.2", .daddr = "10.9.0.1", .proto = PROTO, .frag = IP4_MF};

	fx_rx(&x->f, b, x->frame, fx_frame(x->frame, &h, x->data, 64));
	fx_tx_flush(&x->f, b);
	net_put(net);
	fx_settle(&x->f);
	assert_int_equal(pool_in_use(x->f.weft.pool), x->f.baseline);
	fx_advance(&x->f, 31 * NSEC_PER_SEC);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(duel),     T(interleaved),	T(overlaps),	 T(malformed),
		T(oversize), T(times_out),	T(memory_bound), T(too_far),
		T(ecn),	     T(there_and_back), T(net_goes),
	};
	int err;

	rcu_register_thread();
	err = cmocka_run_group_tests_name("ip4_reasm", tests, NULL, NULL);
	rcu_unregister_thread();
	return err;
}
