/* tcp_metrics: what a connection leaves behind, and how the next one begins. */
#include "tcp/tcp_metrics.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "ip/ip4_core.h"

struct bed {
	struct worker w;
	struct weft weft;
	struct tcp_core core;
	struct net net, other;
	struct tcp_net tn;
	struct tcp_sock tp;
};

static struct fib_info route; /* of all there are */

static int find_route(struct tcp_sock *tp, struct route_result *res)
{
	*res = (struct route_result){.fi = &route};
	return 0;
}

const struct tcp_af tcp_ip4 = {.route = find_route};

static struct bed *bed_new(void)
{
	struct bed *b = calloc(1, sizeof(*b));

	assert_non_null(b);
	route = (struct fib_info){0};
	b->weft.tcp = &b->core;
	b->weft.worker[0] = &b->w;
	b->core.weft = &b->weft;
	b->net.weft = b->other.weft = &b->weft;
	b->net.ino = 1;
	b->other.ino = 2;
	b->net.tcp = b->other.tcp = &b->tn;
	b->tn.tcp_reordering = 3;
	b->tn.tcp_rto_min_us = 200000;
	b->w.now = 100 * NSEC_PER_SEC;
	assert_int_equal(tcp_metrics_init(&b->core), 0);
	return b;
}

static void bed_free(struct bed *b)
{
	tcp_metrics_fini(&b->core);
	free(b);
}

/* A fresh connection to a peer. */
static struct tcp_sock *to(struct bed *b, struct net *net, uint32_t raddr)
{
	b->tp = (struct tcp_sock){
		.w = &b->w,
		.snd_cwnd = 10,
		.snd_cwnd_clamp = UINT32_MAX,
		.snd_ssthresh = TCP_INF_SSTHRESH,
		.reordering = 3,
		.rto = NSEC_PER_SEC,
	};
	b->tp.in.sk.net = net;
	b->tp.in.daddr = raddr;
	b->tp.in.saddr = 9;
	return &b->tp;
}

static void test_rtt(void **state)
{
	struct bed *b = bed_new();
	struct tcp_sock *tp = to(b, &b->net, 1);
	struct tcp_metrics_entry e;
	size_t pos = 0;

	/* nothing is known, and the handshake gave no sample */
	tcp_metrics_load(tp);
	assert_int_equal(tp->rto, TCP_TIMEOUT_FALLBACK);
	assert_int_equal(tp->mdev_us, 3000000);
	assert_false(tcp_metrics_peer_ok(&b->net, 1, 9));
	tp->srtt_us = 800000; /* 100 ms */
	tp->mdev_us = 40000;
	tcp_metrics_save(tp);
	assert_true(tcp_metrics_peer_ok(&b->net, 1, 9));
	assert_false(tcp_metrics_peer_ok(&b->net, 1, 8));
	assert_false(tcp_metrics_peer_ok(&b->other, 1, 9));
	/* a smaller RTT is approached by an eighth */
	tp = to(b, &b->net, 1);
	tp->srtt_us = 80000;
	tp->mdev_us = 100;
	tcp_metrics_save(tp);
	assert_true(tcp_metrics_next(&b->net, &pos, &e));
	assert_int_equal(e.val[TCP_METRIC_RTT], 800000 - (800000 - 80000) / 8);
	/* half of the difference is what the variance is at least, and it was 400000 at first */
	assert_int_equal(e.val[TCP_METRIC_RTTVAR], 400000 - ((400000 - 360000) >> 2));
	/* the next connection's RTO is that of the larger RTT: 88.75 ms + 200 ms */
	tp = to(b, &b->net, 1);
	tp->srtt_us = 80000;
	tcp_metrics_load(tp);
	assert_int_equal(tp->rto, 88750000 + 200000000);
	tp = to(b, &b->net, 1);
	tp->srtt_us = 8000000;
	tcp_metrics_load(tp);
	assert_int_equal(tp->rto, NSEC_PER_SEC);
	/* one that got no answer makes us forget */
	tp = to(b, &b->net, 1);
	tcp_metrics_save(tp);
	assert_false(tcp_metrics_peer_ok(&b->net, 1, 9));
	bed_free(b);
}

static void test_window(void **state)
{
	struct bed *b = bed_new();
	struct tcp_sock *tp = to(b, &b->net, 1);
	struct tcp_metrics_entry e;
	size_t pos = 0;

	tp->srtt_us = 8000;
	tp->snd_cwnd = 80;
	tp->snd_ssthresh = 60; /* congestion avoidance */
	tcp_metrics_save(tp);
	assert_true(tcp_metrics_next(&b->net, &pos, &e));
	assert_int_equal(e.val[TCP_METRIC_CWND], 40);
	assert_int_equal(e.val[TCP_METRIC_SSTHRESH], 60);
	tp = to(b, &b->net, 1);
	tp->snd_ssthresh = 7;
	tcp_metrics_load(tp);
	assert_int_equal(tp->snd_ssthresh, 60);
	b->tn.tcp_no_ssthresh_metrics_save = 1;
	tcp_metrics_load(tp);
	assert_int_equal(tp->snd_ssthresh, TCP_INF_SSTHRESH);
	/* in recovery, with reordering seen */
	tp->srtt_us = 8000;
	tp->ca_state = TCP_CA_Recovery;
	tp->snd_ssthresh = 20;
	tp->snd_cwnd = 20;
	tp->reordering = 30;
	tcp_metrics_save(tp);
	tp = to(b, &b->net, 1);
	tcp_metrics_load(tp);
	assert_int_equal(tp->reordering, 30);
	/* with tcp_no_metrics_save nothing is kept */
	b->tn.tcp_no_metrics_save = 1;
	tp = to(b, &b->net, 5);
	tp->srtt_us = 8000;
	tcp_metrics_save(tp);
	assert_false(tcp_metrics_peer_ok(&b->net, 5, 9));
	bed_free(b);
}

/* The route's word: where a record begins, and what is locked. */
static void test_route(void **state)
{
	struct bed *b = bed_new();
	struct tcp_sock *tp = to(b, &b->net, 1);

	route.metrics[RTAX_REORDERING] = 12;
	route.metrics[RTAX_CWND] = 33;
	route.metrics[RTAX_LOCK] = 1u << RTAX_CWND;
	tcp_metrics_load(tp); /* no record yet */
	assert_int_equal(tp->reordering, 3);
	tp->srtt_us = 8000;
	tcp_metrics_save(tp);
	tp = to(b, &b->net, 1);
	tcp_metrics_load(tp);
	assert_int_equal(tp->reordering, 12);
	assert_int_equal(tp->snd_cwnd_clamp, 33);
	/* after an hour it is asked again */
	route.metrics[RTAX_REORDERING] = 13;
	route.metrics[RTAX_LOCK] = 0;
	b->w.now += 3601 * NSEC_PER_SEC;
	tp = to(b, &b->net, 1);
	tcp_metrics_load(tp);
	assert_int_equal(tp->reordering, 13);
	assert_int_equal(tp->snd_cwnd_clamp, UINT32_MAX);
	bed_free(b);
}

static void test_fastopen(void **state)
{
	struct bed *b = bed_new();
	struct tcp_sock *tp = to(b, &b->net, 1);
	struct tcp_fo_cookie c = {.len = 8, .val = "abcdefg"}, got = {.len = -1};
	uint16_t mss = 500;

	tcp_metrics_fastopen_get(tp, &mss, &got);
	assert_int_equal(mss, 500);
	assert_int_equal(got.len, -1);
	tcp_metrics_fastopen_failed(tp, 1400, false, 1);
	tcp_metrics_fastopen_get(tp, &mss, &got);
	assert_int_equal(mss, 1400);
	assert_true(got.len == 0 && got.exp);
	tcp_metrics_fastopen_failed(tp, 1400, false, 2);
	tcp_metrics_fastopen_get(tp, &mss, &got);
	assert_false(got.exp);
	tcp_metrics_fastopen_set(tp, 1460, &c);
	tcp_metrics_fastopen_get(tp, &mss, &got);
	assert_int_equal(mss, 1460);
	assert_memory_equal(&got, &c, sizeof(c));
	bed_free(b);
}

/* More peers than there is room for: the table does not grow, and the newest are there. */
static void test_bounded(void **state)
{
	struct bed *b = bed_new();
	struct tcp_metrics_entry e;
	const unsigned n = 200000;
	unsigned known = 0, left = 0;

	for (uint32_t i = 1; i <= n; i++) {
		struct tcp_sock *tp = to(b, i % 2 ? &b->net : &b->other, i);

		b->w.now += 1000;
		tp->srtt_us = 8000;
		tcp_metrics_save(tp);
		assert_true(tcp_metrics_peer_ok(tp->in.sk.net, i, 9));
	}
	for (uint32_t i = n - 1000; i <= n; i++)
		known += tcp_metrics_peer_ok(i % 2 ? &b->net : &b->other, i, 9);
	assert_int_equal(known, 1001);
	for (size_t pos = 0; tcp_metrics_next(&b->net, &pos, &e); left++)
		assert_true(e.net_ino == 1 && e.raddr % 2);
	assert_in_range(left, 19000, 21500);
	assert_int_equal(tcp_metrics_flush(&b->net, n - 1, true, 8), 0);
	assert_int_equal(tcp_metrics_flush(&b->net, n - 1, false, 0), 1);
	assert_int_equal(tcp_metrics_flush(&b->net, 0, false, 0), left - 1);
	assert_true(tcp_metrics_peer_ok(&b->other, n, 9));
	bed_free(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rtt),	cmocka_unit_test(test_window),
		cmocka_unit_test(test_route),	cmocka_unit_test(test_fastopen),
		cmocka_unit_test(test_bounded),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
