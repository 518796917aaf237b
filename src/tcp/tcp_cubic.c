/*
 * tcp_cubic: CUBIC (RFC 9438), with HyStart (Ha, Rhee: Taming the Elephants, 2011) for its slow
 * start.
 *
 * After a loss at window W_max the window is cut to beta W_max and then follows
 *
 *	W(t) = C (t - K)^3 + W_max,	K = cbrt((W_max - cwnd) / C)
 *
 * which is flat around the window at which the last loss came, and does not depend on the RTT.
 * Where Reno of the same loss rate would be faster, its estimate is followed instead (4.3).
 *
 * Arithmetic is in integers as in Linux, so that windows agree: time in 1/1024 s, beta in 1/1024
 * (717: 0.7), C = 41/1024 * 10 = 0.4. What comes out is cnt: for how many acknowledged packets the
 * window grows by one.
 *
 * HyStart leaves slow start before the queue overflows, when ACKs of a round come in a train longer
 * than half the smallest RTT, or when the round's smallest RTT has risen by an eighth.
 */
#include "tcp/tcp_core.h"

#define BETA_SCALE 1024u
#define BETA	   717u
#define TIME_BITS  10	/* of a second */
#define C_SCALED   410u /* C in 1/1024 */
#define CUBE_BITS  (TIME_BITS + 3 * TIME_BITS)
#define CUBE_UNIT  ((1ULL << CUBE_BITS) / C_SCALED) /* 1/C as a cube of 1/1024 s */
/* 8 times the packets acknowledged for which Reno with this beta grows by one, per window: (1 +
 * beta) / 3 (1 - beta) */
#define RENO_SCALE (8 * (BETA_SCALE + BETA) / 3 / (BETA_SCALE - BETA))

#define HYSTART_SAMPLES	     8
#define HYSTART_DELAY_MIN    4000u /* us */
#define HYSTART_DELAY_MAX    16000u
#define HYSTART_LOW_WINDOW   16
#define HYSTART_ACK_DELTA_US 2000
#define GSO_MAX_SIZE	     65536ULL

struct cubic {
	/* zeroed by a timeout */
	uint32_t cnt;
	uint32_t last_max_cwnd;
	uint32_t last_cwnd, last_time; /* of the last calculation; ms */
	uint32_t origin;	       /* W_max of the epoch */
	uint32_t k;
	uint32_t delay_min; /* us */
	uint32_t epoch;	    /* ms; 0: none */
	uint32_t ack_cnt, reno_cwnd;
	bool found; /* HyStart has ended slow start */

	/* a round of HyStart */
	uint8_t sample_cnt;
	uint32_t round_start, last_ack; /* us */
	uint32_t end_seq;
	uint32_t curr_rtt; /* us, the smallest */
};
static_assert(sizeof(struct cubic) <= CC_PRIV, "fits");

static struct cubic *priv(struct tcp_sock *tp)
{
	return (struct cubic *)(void *)tp->cc_priv;
}

static uint32_t now_ms(const struct tcp_sock *tp)
{
	return (uint32_t)(tcp_now(tp) / NSEC_PER_MSEC);
}

static uint32_t now_us(const struct tcp_sock *tp)
{
	return (uint32_t)(tcp_now(tp) / NSEC_PER_USEC);
}

static void hystart_reset(struct tcp_sock *tp)
{
	struct cubic *ca = priv(tp);

	ca->round_start = ca->last_ack = now_us(tp);
	ca->end_seq = tp->snd_nxt;
	ca->curr_rtt = UINT32_MAX;
	ca->sample_cnt = 0;
}

static void cubic_init(struct tcp_sock *tp)
{
	*priv(tp) = (struct cubic){0};
	hystart_reset(tp);
}

/* An epoch does not go on while the connection is idle (5.8). */
static void cubic_event(struct tcp_sock *tp, enum tcp_ca_event ev)
{
	struct cubic *ca = priv(tp);
	uint32_t now = now_ms(tp);
	int32_t idle = (int32_t)(now - (uint32_t)(tp->lsndtime / NSEC_PER_MSEC));

	if (ev != CA_EVENT_TX_START || !ca->epoch || idle <= 0)
		return;
	ca->epoch += (uint32_t)idle;
	if (after(ca->epoch, now))
		ca->epoch = now;
}

/* floor(cbrt(a)), a bit at a time: (y + 1)^3 - y^3 for y shifted by the bits still to come. */
static uint32_t cube_root(uint64_t a)
{
	uint64_t y = 0;

	for (int s = 63; s >= 0; s -= 3) {
		uint64_t b;

		y *= 2;
		b = 3 * y * (y + 1) + 1;
		if (a >> s >= b) {
			a -= b << s;
			y++;
		}
	}
	return (uint32_t)y;
}

static void start_epoch(struct cubic *ca, uint32_t cwnd, uint32_t acked, uint32_t now)
{
	ca->epoch = now;
	ca->ack_cnt = acked;
	ca->reno_cwnd = cwnd;
	ca->origin = MAX(cwnd, ca->last_max_cwnd);
	ca->k = cube_root(CUBE_UNIT * (ca->origin - cwnd));
}

/* The window that W() gives one RTT from now, as cnt. */
static void follow_cubic(struct cubic *ca, uint32_t cwnd, uint32_t now)
{
	uint64_t t = (uint32_t)(now - ca->epoch) + (ca->delay_min + 999) / 1000;
	uint64_t off;
	uint32_t delta, target;

	t = (t << TIME_BITS) / 1000;
	off = t < ca->k ? ca->k - t : t - ca->k;
	delta = (uint32_t)((C_SCALED * off * off * off) >> CUBE_BITS);
	target = t < ca->k ? ca->origin - delta : ca->origin + delta;
	ca->cnt = target > cwnd ? cwnd / (target - cwnd) : 100 * cwnd;
	/* nothing is known of the path yet: at least 5 % a round */
	if (!ca->last_max_cwnd && ca->cnt > 20)
		ca->cnt = 20;
}

/* No slower than Reno would be. */
static void follow_reno(struct cubic *ca, uint32_t cwnd)
{
	uint32_t per_step = (cwnd * RENO_SCALE) >> 3;

	if (ca->ack_cnt > per_step) {
		uint32_t steps = (ca->ack_cnt - 1) / per_step;

		ca->ack_cnt -= steps * per_step;
		ca->reno_cwnd += steps;
	}
	if (ca->reno_cwnd > cwnd)
		ca->cnt = MIN(ca->cnt, cwnd / (ca->reno_cwnd - cwnd));
}

static void update(struct tcp_sock *tp, uint32_t acked)
{
	struct cubic *ca = priv(tp);
	uint32_t cwnd = tp->snd_cwnd, now = now_ms(tp);

	ca->ack_cnt += acked;
	if (ca->last_cwnd == cwnd && (int32_t)(now - ca->last_time) <= 1000 / 32)
		return;
	if (!ca->epoch || now != ca->last_time) {
		ca->last_cwnd = cwnd;
		ca->last_time = now;
		if (!ca->epoch)
			start_epoch(ca, cwnd, acked, now);
		follow_cubic(ca, cwnd, now);
	}
	follow_reno(ca, cwnd);
	ca->cnt = MAX(ca->cnt, 2u); /* at most half as much again in a round */
}

static void cubic_cong_avoid(struct tcp_sock *tp, uint32_t ack, uint32_t acked)
{
	if (!tcp_is_cwnd_limited(tp))
		return;
	if (tcp_in_slow_start(tp)) {
		acked = tcp_slow_start(tp, acked);
		if (!acked)
			return;
	}
	update(tp, acked);
	tcp_cong_avoid_ai(tp, priv(tp)->cnt, acked);
}

/* A flow whose maximum shrinks gives way: fast convergence (4.7). */
static uint32_t cubic_ssthresh(struct tcp_sock *tp)
{
	struct cubic *ca = priv(tp);
	uint32_t cwnd = tp->snd_cwnd;

	ca->epoch = 0;
	if (cwnd < ca->last_max_cwnd)
		ca->last_max_cwnd = cwnd * (BETA_SCALE + BETA) / (2 * BETA_SCALE);
	else
		ca->last_max_cwnd = cwnd;
	return MAX(cwnd * BETA / BETA_SCALE, 2u);
}

static void cubic_set_state(struct tcp_sock *tp, enum tcp_ca_state now)
{
	if (now == TCP_CA_Loss)
		cubic_init(tp);
}

/* ---- HyStart ---- */

/* By how much a sender's own bursts stretch a train. */
static uint32_t burst_us(const struct tcp_sock *tp)
{
	if (!tp->pacing_rate)
		return 0;
	return (uint32_t)MIN(GSO_MAX_SIZE * 4 * 1000000 / tp->pacing_rate, 1000ULL);
}

static void leave_slow_start(struct tcp_sock *tp, int mib_n, int mib_cwnd)
{
	priv(tp)->found = true;
	tcp_mib(tp)[mib_n]++;
	tcp_mib(tp)[mib_cwnd] += tp->snd_cwnd;
	tp->snd_ssthresh = tp->snd_cwnd;
}

static void check_train(struct tcp_sock *tp)
{
	struct cubic *ca = priv(tp);
	uint32_t now = now_us(tp), limit;

	if ((int32_t)(now - ca->last_ack) > HYSTART_ACK_DELTA_US)
		return;
	ca->last_ack = now;
	limit = ca->delay_min + burst_us(tp);
	/* pacing spreads the packets of slow start over half a round by itself */
	if (!tp->pacing_needed)
		limit >>= 1;
	if ((int32_t)(now - ca->round_start) > (int32_t)limit)
		leave_slow_start(tp, MIB_TcpExt_TCPHystartTrainDetect,
				 MIB_TcpExt_TCPHystartTrainCwnd);
}

static void check_delay(struct tcp_sock *tp, uint32_t delay)
{
	struct cubic *ca = priv(tp);
	uint32_t rise = MAX(ca->delay_min >> 3, HYSTART_DELAY_MIN);

	ca->curr_rtt = MIN(ca->curr_rtt, delay);
	if (ca->sample_cnt < HYSTART_SAMPLES)
		ca->sample_cnt++;
	else if (ca->curr_rtt > ca->delay_min + MIN(rise, HYSTART_DELAY_MAX))
		leave_slow_start(tp, MIB_TcpExt_TCPHystartDelayDetect,
				 MIB_TcpExt_TCPHystartDelayCwnd);
}

static void cubic_acked(struct tcp_sock *tp, const struct ack_sample *s)
{
	struct cubic *ca = priv(tp);
	uint32_t delay = (uint32_t)MAX(s->rtt_us, 1);

	if (s->rtt_us < 0)
		return;
	/* right after recovery the RTT still tells of the queue that overflowed */
	if (ca->epoch && (int32_t)(now_ms(tp) - ca->epoch) < 1000)
		return;
	if (!ca->delay_min || ca->delay_min > delay)
		ca->delay_min = delay;
	if (ca->found || !tcp_in_slow_start(tp) || tp->snd_cwnd < HYSTART_LOW_WINDOW)
		return;
	if (after(tp->snd_una, ca->end_seq))
		hystart_reset(tp);
	check_train(tp);
	check_delay(tp, delay);
}

const struct cc_ops cc_cubic = {
	.name = "cubic",
	.non_restricted = true,
	.init = cubic_init,
	.ssthresh = cubic_ssthresh,
	.cong_avoid = cubic_cong_avoid,
	.set_state = cubic_set_state,
	.undo_cwnd = reno_undo_cwnd,
	.cwnd_event = cubic_event,
	.pkts_acked = cubic_acked,
};
