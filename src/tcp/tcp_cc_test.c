/* tcp_cc: windows against what the formulas say, computed in floating point; BBR on a small path.
 */
#include "tcp/tcp_core.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "ip/ip4_core.h"
#include "tcp/tcp_bbr.h"

struct bed {
	struct worker w;
	struct weft weft;
	struct tcp_core core;
	struct net net;
	struct ip4_net ip4;
	struct ip4_mibs mib;
	struct tcp_sock tp;
};

/* ---- what the algorithms ask the rest for ---- */

bool tcp_is_cwnd_limited(const struct tcp_sock *tp)
{
	return tp->is_cwnd_limited;
}

uint32_t tcp_min_rtt_us(const struct tcp_sock *tp)
{
	return tp->rtt_min_us[0];
}

static uint32_t acked_at; /* what the last ACK of tcp_send_ack_at() said */

void tcp_send_ack_at(struct tcp_sock *tp, uint32_t rcv_nxt)
{
	acked_at = rcv_nxt;
}

static struct bed *bed_new(const struct cc_ops *ops)
{
	struct bed *b = calloc(1, sizeof(*b));

	assert_non_null(b);
	b->ip4.mib = &b->mib;
	b->net.ip4 = &b->ip4;
	b->net.weft = &b->weft;
	b->weft.tcp = &b->core;
	b->w.now = 1000 * NSEC_PER_SEC;
	rng_seed(&b->w.rng, 1);
	b->tp.w = &b->w;
	b->tp.in.sk.net = &b->net;
	b->tp.node.state = TCP_ESTABLISHED;
	b->tp.mss_cache = 1000;
	b->tp.snd_cwnd = 10;
	b->tp.snd_cwnd_clamp = UINT32_MAX;
	b->tp.snd_ssthresh = TCP_INF_SSTHRESH;
	b->tp.is_cwnd_limited = true;
	b->tp.max_pacing_rate = UINT64_MAX;
	b->tp.rtt_min_us[0] = UINT32_MAX;
	cc_assign(&b->tp, ops);
	return b;
}

static void loss(struct bed *b)
{
	b->tp.prior_cwnd = b->tp.snd_cwnd;
	b->tp.snd_ssthresh = b->tp.cc->ssthresh(&b->tp);
	b->tp.snd_cwnd = b->tp.snd_ssthresh;
	b->tp.snd_cwnd_cnt = 0;
}

/* A round: each packet of the window acknowledged by itself, evenly over the RTT. */
static void round_of(struct bed *b, uint64_t rtt_us)
{
	uint32_t n = b->tp.snd_cwnd;

	for (uint32_t i = 0; i < n; i++) {
		const struct ack_sample s = {.pkts_acked = 1, .rtt_us = (int32_t)rtt_us};

		b->w.now += rtt_us * NSEC_PER_USEC / n;
		b->tp.snd_una += 1000;
		b->tp.snd_nxt = b->tp.snd_una + 1000 * n;
		if (b->tp.cc->pkts_acked)
			b->tp.cc->pkts_acked(&b->tp, &s);
		b->tp.cc->cong_avoid(&b->tp, b->tp.snd_una, 1);
	}
}

/* ---- Reno ---- */

static void test_reno(void **state)
{
	struct bed *b = bed_new(&cc_reno);

	/* doubles each round up to ssthresh, then one more each round */
	b->tp.snd_ssthresh = 50;
	round_of(b, 1000);
	assert_int_equal(b->tp.snd_cwnd, 20);
	round_of(b, 1000);
	assert_int_equal(b->tp.snd_cwnd, 40);
	round_of(b, 1000);
	assert_int_equal(b->tp.snd_cwnd, 50);
	b->tp.snd_cwnd_cnt = 0;
	for (unsigned i = 1; i <= 20; i++) {
		round_of(b, 1000);
		assert_int_equal(b->tp.snd_cwnd, 50 + i);
	}
	loss(b);
	assert_int_equal(b->tp.snd_cwnd, 35);
	assert_int_equal(b->tp.cc->undo_cwnd(&b->tp), 70);
	b->tp.snd_cwnd = 3;
	loss(b);
	assert_int_equal(b->tp.snd_cwnd, 2);
	/* does not grow while it is not what limits */
	b->tp.is_cwnd_limited = false;
	round_of(b, 1000);
	assert_int_equal(b->tp.snd_cwnd, 2);
	free(b);
}

static void test_parts(void **state)
{
	struct bed *b = bed_new(&cc_reno);
	struct tcp_sock *tp = &b->tp;

	/* what slow start does not use is left for what follows */
	tp->snd_ssthresh = 15;
	assert_int_equal(tcp_slow_start(tp, 8), 3);
	assert_int_equal(tp->snd_cwnd, 15);
	/* a stretch ACK counts for all its packets */
	tcp_cong_avoid_ai(tp, 15, 47);
	assert_int_equal(tp->snd_cwnd, 18);
	assert_int_equal(tp->snd_cwnd_cnt, 2);
	/* credit of a larger w is worth one packet, not many */
	tp->snd_cwnd_cnt = 100;
	tcp_cong_avoid_ai(tp, 10, 1);
	assert_int_equal(tp->snd_cwnd, 19);
	tp->snd_cwnd_clamp = 20;
	tcp_cong_avoid_ai(tp, 1, 50);
	assert_int_equal(tp->snd_cwnd, 20);
	free(b);
}

/* ---- CUBIC ---- */

static double cube(double v)
{
	return v * v * v;
}

static double cube_root(double v)
{
	double low = 0, high = v + 1;

	while (high - low > 1e-9 * high) {
		double mid = (low + high) / 2;

		if (cube(mid) < v)
			low = mid;
		else
			high = mid;
	}
	return low;
}

/* W(t) of RFC 9438 4.2 after a loss at wmax, and Reno's estimate (4.3). */
static double cubic_w(double t, double wmax, double start)
{
	double k = cube_root((wmax - start) / 0.4);

	return 0.4 * cube(t - k) + wmax;
}

static double reno_w(double t, double start, double rtt)
{
	return start + 3 * (1 - 0.7) / (1 + 0.7) * t / rtt;
}

static void follow(uint32_t wmax, uint64_t rtt_us, double secs)
{
	struct bed *b = bed_new(&cc_cubic);
	double rtt = (double)rtt_us / 1e6;
	unsigned n = 0;

	b->tp.snd_cwnd = wmax;
	b->tp.snd_ssthresh = wmax;
	loss(b);
	assert_int_equal(b->tp.snd_cwnd, wmax * 717 / 1024);
	double start = b->tp.snd_cwnd, t0 = (double)b->w.now / 1e9, t;

	do {
		round_of(b, rtt_us);
		t = (double)b->w.now / 1e9 - t0;
		/* the window is on its way to what the curve says one RTT later; while it stays the
		 * same it is worked out anew every 31 ms */
		double late = t - 2 * rtt - 0.04;
		double low =
			MAX(cubic_w(late > 0 ? late : 0, wmax, start), reno_w(late, start, rtt));
		double high = MAX(cubic_w(t + rtt, wmax, start), reno_w(t + rtt, start, rtt));

		assert_true(b->tp.snd_cwnd >= low * 0.98 - 2);
		assert_true(b->tp.snd_cwnd <= high * 1.02 + 2);
		n++;
	} while (t < secs);
	assert_true(n > 5 && b->tp.snd_cwnd > wmax);
	free(b);
}

static void test_cubic_curve(void **state)
{
	follow(100, 100000, 8);	 /* the curve's shape: K = 4.2 s */
	follow(1000, 50000, 12); /* K = 9 s */
	follow(10, 200000, 5);
	follow(20, 10000, 1); /* Reno is faster here */
	follow(100, 2000, 0.5);
}

static void test_cubic_rules(void **state)
{
	struct bed *b = bed_new(&cc_cubic);
	uint32_t before_idle;

	b->tp.snd_cwnd = 100;
	loss(b);
	assert_int_equal(b->tp.snd_cwnd, 70);
	/* fast convergence: a maximum that shrank is taken for 85 % of itself: K is that of 59, not
	 * of 70, so the curve is back there sooner */
	b->tp.snd_cwnd = 70;
	loss(b);
	assert_int_equal(b->tp.snd_cwnd, 49);
	for (unsigned i = 0; i < 7; i++)
		round_of(b, 400000);
	assert_in_range(b->tp.snd_cwnd, 56, 61);
	/* time spent idle does not count */
	before_idle = b->tp.snd_cwnd;
	b->tp.lsndtime = b->w.now;
	b->w.now += 3600 * NSEC_PER_SEC;
	b->tp.cc->cwnd_event(&b->tp, CA_EVENT_TX_START);
	round_of(b, 400000);
	assert_true(b->tp.snd_cwnd <= before_idle + 2);
	free(b);
}

/* Slow start ends where the RTT rises by more than an eighth, or 16 ms, or where ACKs come in a
 * train longer than half the RTT. */
static void test_hystart(void **state)
{
	struct bed *b = bed_new(&cc_cubic);

	while (b->tp.snd_cwnd < 100) /* 4 ms and more between ACKs: no train */
		round_of(b, 400000);
	round_of(b, 415000);
	assert_int_equal(b->tp.snd_ssthresh, TCP_INF_SSTHRESH);
	b->tp.snd_cwnd = 100;
	round_of(b, 418000);
	assert_int_equal(b->mib.v[MIB_TcpExt_TCPHystartDelayDetect], 1);
	assert_int_equal(b->mib.v[MIB_TcpExt_TCPHystartDelayCwnd], b->tp.snd_ssthresh);
	assert_in_range(b->tp.snd_ssthresh, 100, 120);
	free(b);

	b = bed_new(&cc_cubic);
	b->tp.snd_cwnd = 15; /* below the least window it looks at */
	round_of(b, 20000);
	for (unsigned i = 0; i < 3 && b->tp.snd_ssthresh == TCP_INF_SSTHRESH; i++)
		round_of(b, 20000);
	assert_int_equal(b->mib.v[MIB_TcpExt_TCPHystartTrainDetect], 1);
	assert_int_equal(b->mib.v[MIB_TcpExt_TCPHystartTrainCwnd], b->tp.snd_ssthresh);
	assert_in_range(b->tp.snd_ssthresh, 16, 60);
	free(b);
}

/* ---- DCTCP ---- */

static void test_dctcp(void **state)
{
	struct bed *b = bed_new(&cc_dctcp);
	double alpha = 1;

	/* without ECN it is Reno */
	assert_ptr_equal(b->tp.cc, &cc_dctcp_reno);
	assert_int_equal(b->tp.in.tos & 3, 0);
	b->tp.ecn_flags = TCP_ECN_OK;
	cc_assign(&b->tp, &cc_dctcp);
	assert_ptr_equal(b->tp.cc, &cc_dctcp);
	assert_int_equal(b->tp.in.tos & 3, 2);
	b->tp.snd_cwnd = 100;
	for (unsigned i = 0; i < 40; i++) {
		b->tp.snd_una = b->tp.snd_nxt;
		b->tp.snd_nxt += 100000;
		b->tp.delivered += 100;
		b->tp.delivered_ce += 25;
		b->tp.cc->in_ack_event(&b->tp, 0);
		alpha = alpha * 15 / 16 + 0.25 / 16;
		assert_in_range(b->tp.cc->ssthresh(&b->tp), (unsigned)(100 - 50 * alpha - 2),
				(unsigned)(100 - 50 * alpha + 3));
	}
	/* a change of marks sends what is owed with the old mark */
	b->tp.rcv_nxt = 5000;
	b->tp.cc->cwnd_event(&b->tp, CA_EVENT_ECN_NO_CE);
	b->tp.rcv_nxt = 6000;
	b->tp.ack.pending = ICSK_ACK_SCHED | ICSK_ACK_TIMER;
	b->tp.cc->cwnd_event(&b->tp, CA_EVENT_ECN_IS_CE);
	assert_int_equal(acked_at, 5000);
	assert_true(b->tp.ack.pending & ICSK_ACK_NOW);
	assert_true(b->tp.ecn_flags & TCP_ECN_DEMAND_CWR);
	free(b);
}

/* ---- BBR ---- */

/* A path of 1 packet a ms (of 1000 bytes: 1 MB/s) and 40 ms, with a queue without end. Sends what
 * window and pacing let go, a step a ms. */
struct path {
	double credit;
	uint32_t in_net; /* sent and not delivered */
	uint64_t round_end;
	struct {
		uint64_t sent;
		uint32_t delivered;
		uint64_t delivered_at;
	} pkt[1 << 16];
	uint32_t head, tail;
	uint64_t next_out; /* when the bottleneck is free */
};

static void path_ack(struct bed *b, struct path *q)
{
	struct tcp_sock *tp = &b->tp;
	unsigned i = q->head++ % ARRAY_SIZE(q->pkt);
	struct rate_sample rs = {
		.prior_mstamp = q->pkt[i].delivered_at,
		.prior_delivered = q->pkt[i].delivered,
		.prior_in_flight = tp->packets_out,
		.acked_sacked = 1,
		.rtt_us = (int64_t)(b->w.now - q->pkt[i].sent) / 1000,
	};

	tp->packets_out--;
	tp->delivered++;
	tp->delivered_mstamp = b->w.now;
	rs.delivered = (int32_t)(tp->delivered - rs.prior_delivered);
	rs.interval_us = (int64_t)(b->w.now - rs.prior_mstamp) / 1000;
	if (!tp->srtt_us)
		tp->srtt_us = (uint32_t)rs.rtt_us << 3;
	tp->cc->cong_control(tp, 0, 0, &rs);
}

static void path_ms(struct bed *b, struct path *q)
{
	struct tcp_sock *tp = &b->tp;

	b->w.now += NSEC_PER_MSEC;
	q->credit = MIN(q->credit + (double)tp->pacing_rate / 1e6, 64.0);
	while (q->credit >= 1 && tp->packets_out < tp->snd_cwnd) {
		unsigned i = q->tail++ % ARRAY_SIZE(q->pkt);

		q->credit -= 1;
		if (!tp->packets_out)
			tp->delivered_mstamp = b->w.now;
		q->pkt[i].sent = b->w.now;
		q->pkt[i].delivered = tp->delivered;
		q->pkt[i].delivered_at = tp->delivered_mstamp;
		tp->packets_out++;
	}
	/* one leaves the bottleneck each ms, 40 ms behind its sending at the earliest */
	if (q->head != q->tail &&
	    q->pkt[q->head % ARRAY_SIZE(q->pkt)].sent + 40 * NSEC_PER_MSEC <= b->w.now)
		path_ack(b, q);
}

static void test_bbr(void **state)
{
	struct bed *b = bed_new(&cc_bbr);
	struct path *q = calloc(1, sizeof(*q));
	const struct bbr *bbr = bbr_priv(&b->tp);
	unsigned probing = 0, probe_rtt = 0;

	assert_true(b->tp.pacing_needed);
	assert_int_equal(bbr->mode, BBR_STARTUP);
	for (unsigned ms = 0; ms < 3000; ms++)
		path_ms(b, q);
	assert_int_equal(bbr->mode, BBR_PROBE_BW);
	/* 1 packet a ms is 2^24 / 1000 */
	assert_in_range(bbr_max_bw(bbr), 16777 * 95 / 100, 16777 * 106 / 100);
	assert_in_range(bbr->min_rtt_us, 40000, 41000);
	for (unsigned ms = 0; ms < 30000; ms++) {
		path_ms(b, q);
		probing += bbr->pacing_gain == BBR_UNIT * 5 / 4;
		probe_rtt += bbr->mode == BBR_PROBE_RTT;
		if (bbr->mode == BBR_PROBE_BW)
			assert_in_range(b->tp.packets_out, 1, 2 * 42 + 12);
		else if (probe_rtt > 100 && bbr->mode == BBR_PROBE_RTT)
			assert_true(b->tp.snd_cwnd <= 4);
	}
	assert_in_range(probing, 1500, 6000);
	/* about every ten seconds, 200 ms and a round */
	assert_in_range(probe_rtt, 400, 1200);
	/* SO_MAX_PACING_RATE is a lid */
	b->tp.max_pacing_rate = 300000;
	for (unsigned ms = 0; ms < 1000; ms++)
		path_ms(b, q);
	assert_true(b->tp.pacing_rate <= 300000);
	free(q);
	free(b);
}

static void test_table(void **state)
{
	struct bed *b = bed_new(&cc_reno);
	const struct cc_ops *ops;
	unsigned n = 0;

	for (; (ops = cc_at(n)); n++) {
		assert_ptr_equal(cc_find(ops->name), ops);
		b->core.cc_unrestricted = 1u << n;
		assert_true(cc_allowed(&b->net, ops));
		b->core.cc_unrestricted = ~(1u << n);
		assert_false(cc_allowed(&b->net, ops));
	}
	assert_int_equal(n, 4);
	assert_null(cc_find("vegas"));
	assert_null(cc_find("dctcp-reno"));
	free(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reno),	    cmocka_unit_test(test_parts),
		cmocka_unit_test(test_cubic_curve), cmocka_unit_test(test_cubic_rules),
		cmocka_unit_test(test_hystart),	    cmocka_unit_test(test_dctcp),
		cmocka_unit_test(test_bbr),	    cmocka_unit_test(test_table),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
