/*
 * tcp_bbr: BBR version 1 (Cardwell, Cheng et al.: BBR: Congestion-Based Congestion Control, ACM
 * Queue 2016; draft-cardwell-iccrg-bbr-congestion-control-00), with Linux's parameters.
 *
 * Two things are measured: the bottleneck's bandwidth (the greatest rate of delivery of the last
 * ten rounds) and the path's RTT without queues (the least of ten seconds). Data is paced at
 * pacing_gain times the bandwidth, and the window is cwnd_gain times their product. The modes:
 *
 *	STARTUP    gains 2/ln 2: doubles each round until three rounds brought less than 25 % more
 *	DRAIN      the inverse, until the queue that STARTUP made is gone
 *	PROBE_BW   cruises; of eight phases of one RTT one probes with 5/4 and one drains with 3/4
 *	PROBE_RTT  4 packets for 200 ms, when no lower RTT was seen for ten seconds
 *
 * Besides: a policer's token bucket is recognised by two loss-ridden intervals of the same rate
 * (lt_bw), and the window grows by what ACKs are seen to be bunched (extra_acked). Bandwidths are
 * in packets a us << BW_SCALE. tcp_bbr_model.c measures, tcp_bbr.c acts.
 */
#include "tcp/tcp_bbr.h"

#include <linux/inet_diag.h>

#define HIGH_GAIN	   (BBR_UNIT * 2885 / 1000 + 1)
#define DRAIN_GAIN	   (BBR_UNIT * 1000 / 2885)
#define CWND_GAIN	   (BBR_UNIT * 2)
#define CWND_MIN	   4u
#define MARGIN_PERCENT	   1	   /* paced below what was measured, lest a queue builds up */
#define MIN_TSO_RATE	   1200000 /* bit/s */
#define PACING_SHIFT	   10	   /* data of about a ms in a burst */
#define TSO_BYTES_MAX	   (65536 - 1 - 320)
#define PROBE_RTT_MS	   200
#define MIN_RTT_WIN_MS	   10000
#define EXTRA_ACKED_MAX_US 100000

static const uint16_t pacing_gains[BBR_CYCLE_LEN] = {BBR_UNIT * 5 / 4, BBR_UNIT * 3 / 4, BBR_UNIT,
						     BBR_UNIT,	       BBR_UNIT,	 BBR_UNIT,
						     BBR_UNIT,	       BBR_UNIT};

/* ---- rates ---- */

uint64_t bbr_rate_bytes_per_sec(const struct tcp_sock *tp, uint64_t rate, unsigned gain)
{
	rate *= tp->mss_cache;
	rate = rate * gain >> BBR_SCALE;
	rate *= 1000000 / 100 * (100 - MARGIN_PERCENT);
	return rate >> BW_SCALE;
}

static uint64_t to_pacing_rate(const struct tcp_sock *tp, uint64_t bw, unsigned gain)
{
	return MIN(bbr_rate_bytes_per_sec(tp, bw, gain), tp->max_pacing_rate);
}

/* The initial window over the RTT, or over 1 ms. */
static void pace_from_rtt(struct tcp_sock *tp)
{
	uint32_t rtt_us = 1000;

	if (tp->srtt_us) {
		rtt_us = MAX(tp->srtt_us >> 3, 1u);
		bbr_priv(tp)->has_seen_rtt = true;
	}
	tp->pacing_rate = to_pacing_rate(tp, (uint64_t)tp->snd_cwnd * BW_UNIT / rtt_us, HIGH_GAIN);
}

/* Until the pipe is full the rate does not fall: the estimate still limps behind. */
static void set_pacing_rate(struct tcp_sock *tp, uint32_t bw, unsigned gain)
{
	const struct bbr *bbr = bbr_priv(tp);
	uint64_t rate = to_pacing_rate(tp, bw, gain);

	if (!bbr->has_seen_rtt && tp->srtt_us)
		pace_from_rtt(tp);
	if (bbr->full_bw_reached || rate > tp->pacing_rate)
		tp->pacing_rate = rate;
}

static uint32_t bbr_min_tso_segs(struct tcp_sock *tp)
{
	return tp->pacing_rate < (MIN_TSO_RATE >> 3) ? 1 : 2;
}

static uint32_t tso_segs_goal(struct tcp_sock *tp)
{
	uint32_t bytes = (uint32_t)MIN(tp->pacing_rate >> PACING_SHIFT, (uint64_t)TSO_BYTES_MAX);
	uint32_t segs = MAX(bytes / tp->mss_cache, bbr_min_tso_segs(tp));

	return MIN(segs, 0x7fu);
}

/* ---- windows ---- */

/* The product of bandwidth and delay, in packets. */
static uint32_t bdp(struct tcp_sock *tp, uint32_t bw, unsigned gain)
{
	const struct bbr *bbr = bbr_priv(tp);

	if (bbr->min_rtt_us == UINT32_MAX) /* no sample: a SYN that was retransmitted */
		return TCP_INIT_CWND;
	uint64_t w = (uint64_t)bw * bbr->min_rtt_us;

	return (uint32_t)(((w * gain >> BBR_SCALE) + BW_UNIT - 1) / BW_UNIT);
}

/* Room for bursts at the sender and the receiver, and for delayed ACKs. */
static uint32_t add_quantum(struct tcp_sock *tp, uint32_t cwnd)
{
	const struct bbr *bbr = bbr_priv(tp);

	cwnd += 3 * tso_segs_goal(tp);
	cwnd = (cwnd + 1) & ~1u;
	if (bbr->mode == BBR_PROBE_BW && bbr->cycle_idx == 0)
		cwnd += 2; /* so that probing is felt when the product is small */
	return cwnd;
}

static uint32_t inflight_for(struct tcp_sock *tp, uint32_t bw, unsigned gain)
{
	return add_quantum(tp, bdp(tp, bw, gain));
}

/* What will be in the network when the next packet leaves: by then some will have been delivered.
 */
static uint32_t in_net_at_departure(struct tcp_sock *tp, uint32_t inflight)
{
	const struct bbr *bbr = bbr_priv(tp);
	uint64_t at = MAX(tp->pacing_next, tcp_now(tp));
	uint64_t us = (at - tcp_now(tp)) / NSEC_PER_USEC;
	uint32_t delivered = (uint32_t)(bbr_bw(bbr) * us >> BW_SCALE);

	if (bbr->pacing_gain > BBR_UNIT)
		inflight += tso_segs_goal(tp);
	return delivered >= inflight ? 0 : inflight - delivered;
}

static uint32_t aggregation(const struct bbr *bbr)
{
	uint32_t most, extra = MAX(bbr->extra_acked[0], bbr->extra_acked[1]);

	if (!bbr->full_bw_reached)
		return 0;
	most = (uint32_t)(bbr_bw(bbr) * EXTRA_ACKED_MAX_US / BW_UNIT);
	return MIN(extra, most);
}

static void save_cwnd(struct tcp_sock *tp)
{
	struct bbr *bbr = bbr_priv(tp);

	if (bbr->prev_ca_state < TCP_CA_Recovery && bbr->mode != BBR_PROBE_RTT)
		bbr->prior_cwnd = tp->snd_cwnd;
	else
		bbr->prior_cwnd = MAX(bbr->prior_cwnd, tp->snd_cwnd);
}

/* In the first round of recovery a packet goes for each delivered, then two, and at the end the
 * window is what it was. True: *cwnd is the window. */
static bool recover_or_restore(struct tcp_sock *tp, const struct rate_sample *rs, uint32_t acked,
			       uint32_t *cwnd)
{
	struct bbr *bbr = bbr_priv(tp);
	uint8_t prev = bbr->prev_ca_state, state = tp->ca_state;

	*cwnd = tp->snd_cwnd;
	if (rs->losses > 0)
		*cwnd = (uint32_t)MAX((int32_t)*cwnd - rs->losses, 1);
	if (state == TCP_CA_Recovery && prev != TCP_CA_Recovery) {
		bbr->packet_conservation = true;
		bbr->next_rtt_delivered = tp->delivered;
		*cwnd = tcp_packets_in_flight(tp) + acked;
	} else if (prev >= TCP_CA_Recovery && state < TCP_CA_Recovery) {
		*cwnd = MAX(*cwnd, bbr->prior_cwnd);
		bbr->packet_conservation = false;
	}
	bbr->prev_ca_state = state;
	if (bbr->packet_conservation)
		*cwnd = MAX(*cwnd, tcp_packets_in_flight(tp) + acked);
	return bbr->packet_conservation;
}

static void set_cwnd(struct tcp_sock *tp, const struct rate_sample *rs, uint32_t acked, uint32_t bw,
		     unsigned gain)
{
	struct bbr *bbr = bbr_priv(tp);
	uint32_t cwnd = tp->snd_cwnd;

	if (acked && !recover_or_restore(tp, rs, acked, &cwnd)) {
		uint32_t target = add_quantum(tp, bdp(tp, bw, gain) + aggregation(bbr));

		if (bbr->full_bw_reached)
			cwnd = MIN(cwnd + acked, target);
		else if (cwnd < target || tp->delivered < TCP_INIT_CWND)
			cwnd += acked;
		cwnd = MAX(cwnd, CWND_MIN);
	}
	tp->snd_cwnd = MIN(cwnd, tp->snd_cwnd_clamp);
	if (bbr->mode == BBR_PROBE_RTT)
		tp->snd_cwnd = MIN(tp->snd_cwnd, CWND_MIN);
}

/* ---- modes ---- */

void bbr_enter_probe_bw(struct tcp_sock *tp)
{
	struct bbr *bbr = bbr_priv(tp);

	bbr->mode = BBR_PROBE_BW;
	/* any phase but the draining one, so that flows do not probe together */
	bbr->cycle_idx = (uint8_t)(BBR_CYCLE_LEN - 1 - rng_below(&tp->w->rng, 7));
	bbr->cycle_idx = (bbr->cycle_idx + 1) % BBR_CYCLE_LEN;
	bbr->cycle_mstamp = tp->delivered_mstamp;
}

static bool is_next_phase(struct tcp_sock *tp, const struct rate_sample *rs)
{
	const struct bbr *bbr = bbr_priv(tp);
	bool full = bbr_us_since(tp->delivered_mstamp, bbr->cycle_mstamp) > bbr->min_rtt_us;
	uint32_t inflight, bw = bbr_max_bw(bbr);

	if (bbr->pacing_gain == BBR_UNIT)
		return full;
	inflight = in_net_at_departure(tp, rs->prior_in_flight);
	if (bbr->pacing_gain > BBR_UNIT)
		return full && (rs->losses || inflight >= inflight_for(tp, bw, bbr->pacing_gain));
	return full || inflight <= inflight_for(tp, bw, BBR_UNIT);
}

static void update_cycle(struct tcp_sock *tp, const struct rate_sample *rs)
{
	struct bbr *bbr = bbr_priv(tp);

	if (bbr->mode != BBR_PROBE_BW || !is_next_phase(tp, rs))
		return;
	bbr->cycle_idx = (bbr->cycle_idx + 1) % BBR_CYCLE_LEN;
	bbr->cycle_mstamp = tp->delivered_mstamp;
}

static void check_drain(struct tcp_sock *tp)
{
	struct bbr *bbr = bbr_priv(tp);
	uint32_t bw = bbr_max_bw(bbr);

	if (bbr->mode == BBR_STARTUP && bbr->full_bw_reached) {
		bbr->mode = BBR_DRAIN;
		tp->snd_ssthresh = inflight_for(tp, bw, BBR_UNIT);
	}
	if (bbr->mode == BBR_DRAIN &&
	    in_net_at_departure(tp, tcp_packets_in_flight(tp)) <= inflight_for(tp, bw, BBR_UNIT))
		bbr_enter_probe_bw(tp);
}

static void check_probe_rtt_done(struct tcp_sock *tp)
{
	struct bbr *bbr = bbr_priv(tp);

	if (!bbr->probe_rtt_done || !after(bbr_now_ms(tp), bbr->probe_rtt_done))
		return;
	bbr->min_rtt_at = bbr_now_ms(tp);
	tp->snd_cwnd = MAX(tp->snd_cwnd, bbr->prior_cwnd);
	if (bbr->full_bw_reached)
		bbr_enter_probe_bw(tp);
	else
		bbr->mode = BBR_STARTUP;
}

static void probe_rtt(struct tcp_sock *tp)
{
	struct bbr *bbr = bbr_priv(tp);
	uint32_t inflight = tcp_packets_in_flight(tp);

	/* what is measured now says nothing of the bandwidth */
	tp->app_limited = tp->delivered + inflight;
	if (!tp->app_limited)
		tp->app_limited = 1;
	if (!bbr->probe_rtt_done && inflight <= CWND_MIN) {
		bbr->probe_rtt_done = bbr_now_ms(tp) + PROBE_RTT_MS;
		bbr->probe_rtt_round_done = false;
		bbr->next_rtt_delivered = tp->delivered;
	} else if (bbr->probe_rtt_done) {
		bbr->probe_rtt_round_done |= bbr->round_start;
		if (bbr->probe_rtt_round_done)
			check_probe_rtt_done(tp);
	}
}

static void update_min_rtt(struct tcp_sock *tp, const struct rate_sample *rs)
{
	struct bbr *bbr = bbr_priv(tp);
	bool expired = after(bbr_now_ms(tp), bbr->min_rtt_at + MIN_RTT_WIN_MS);

	if (rs->rtt_us >= 0 && (rs->rtt_us < bbr->min_rtt_us || (expired && !rs->is_ack_delayed))) {
		bbr->min_rtt_us = (uint32_t)rs->rtt_us;
		bbr->min_rtt_at = bbr_now_ms(tp);
	}
	if (expired && !bbr->idle_restart && bbr->mode != BBR_PROBE_RTT) {
		bbr->mode = BBR_PROBE_RTT;
		save_cwnd(tp);
		bbr->probe_rtt_done = 0;
	}
	if (bbr->mode == BBR_PROBE_RTT)
		probe_rtt(tp);
	if (rs->delivered > 0)
		bbr->idle_restart = false;
}

static void update_gains(struct bbr *bbr)
{
	switch (bbr->mode) {
	case BBR_STARTUP:
		bbr->pacing_gain = HIGH_GAIN;
		bbr->cwnd_gain = HIGH_GAIN;
		break;
	case BBR_DRAIN:
		bbr->pacing_gain = DRAIN_GAIN;
		bbr->cwnd_gain = HIGH_GAIN; /* keeps the window */
		break;
	case BBR_PROBE_BW:
		bbr->pacing_gain = bbr->lt_use_bw ? BBR_UNIT : pacing_gains[bbr->cycle_idx];
		bbr->cwnd_gain = CWND_GAIN;
		break;
	default:
		bbr->pacing_gain = BBR_UNIT;
		bbr->cwnd_gain = BBR_UNIT;
	}
}

/* ---- the table's functions ---- */

static void bbr_cong_control(struct tcp_sock *tp, uint32_t ack, int flag,
			     const struct rate_sample *rs)
{
	struct bbr *bbr = bbr_priv(tp);

	bbr_update_bw(tp, rs);
	bbr_update_aggregation(tp, rs);
	update_cycle(tp, rs);
	bbr_check_full_bw(tp, rs);
	check_drain(tp);
	update_min_rtt(tp, rs);
	update_gains(bbr);
	set_pacing_rate(tp, bbr_bw(bbr), bbr->pacing_gain);
	set_cwnd(tp, rs, rs->acked_sacked, bbr_bw(bbr), bbr->cwnd_gain);
}

static void bbr_init(struct tcp_sock *tp)
{
	struct bbr *bbr = bbr_priv(tp);

	tp->snd_ssthresh = TCP_INF_SSTHRESH;
	*bbr = (struct bbr){
		.next_rtt_delivered = tp->delivered,
		.prev_ca_state = TCP_CA_Open,
		.min_rtt_us = tcp_min_rtt_us(tp),
		.min_rtt_at = bbr_now_ms(tp),
		.mode = BBR_STARTUP,
		.ack_epoch_mstamp = tcp_now(tp),
	};
	bbr_reset_bw(bbr);
	pace_from_rtt(tp);
	bbr_reset_lt_bw(tp);
	tp->pacing_needed = true;
}

static void bbr_event(struct tcp_sock *tp, enum tcp_ca_event ev)
{
	struct bbr *bbr = bbr_priv(tp);

	if (ev != CA_EVENT_TX_START || !tp->app_limited)
		return;
	bbr->idle_restart = true;
	bbr->ack_epoch_mstamp = tcp_now(tp);
	bbr->ack_epoch_acked = 0;
	if (bbr->mode == BBR_PROBE_BW)
		set_pacing_rate(tp, bbr_bw(bbr), BBR_UNIT);
	else if (bbr->mode == BBR_PROBE_RTT)
		check_probe_rtt_done(tp);
}

static uint32_t bbr_sndbuf_expand(struct tcp_sock *tp)
{
	return 3; /* twice the window may be in flight, even in recovery */
}

static uint32_t bbr_undo_cwnd(struct tcp_sock *tp)
{
	struct bbr *bbr = bbr_priv(tp);

	bbr->full_bw = 0;
	bbr->full_bw_cnt = 0;
	bbr_reset_lt_bw(tp);
	return tp->snd_cwnd;
}

static uint32_t bbr_ssthresh(struct tcp_sock *tp)
{
	save_cwnd(tp);
	return tp->snd_ssthresh;
}

static void bbr_set_state(struct tcp_sock *tp, enum tcp_ca_state now)
{
	struct bbr *bbr = bbr_priv(tp);
	const struct rate_sample rs = {.losses = 1};

	if (now != TCP_CA_Loss)
		return;
	bbr->prev_ca_state = TCP_CA_Loss;
	bbr->full_bw = 0;
	bbr->round_start = true; /* a timeout ends a round */
	bbr_sample_lt_bw(tp, &rs);
}

static size_t bbr_get_info(struct tcp_sock *tp, int *attr, void *info, size_t room)
{
	const struct bbr *bbr = bbr_priv(tp);
	uint64_t bw = (uint64_t)bbr_bw(bbr) * tp->mss_cache * 1000000 >> BW_SCALE;
	struct tcp_bbr_info i = {
		.bbr_bw_lo = (uint32_t)bw,
		.bbr_bw_hi = (uint32_t)(bw >> 32),
		.bbr_min_rtt = bbr->min_rtt_us,
		.bbr_pacing_gain = bbr->pacing_gain,
		.bbr_cwnd_gain = bbr->cwnd_gain,
	};

	*attr = INET_DIAG_BBRINFO;
	room = MIN(room, sizeof(i));
	memcpy(info, &i, room);
	return room;
}

const struct cc_ops cc_bbr = {
	.name = "bbr",
	.init = bbr_init,
	.cong_control = bbr_cong_control,
	.sndbuf_expand = bbr_sndbuf_expand,
	.undo_cwnd = bbr_undo_cwnd,
	.cwnd_event = bbr_event,
	.ssthresh = bbr_ssthresh,
	.min_tso_segs = bbr_min_tso_segs,
	.get_info = bbr_get_info,
	.set_state = bbr_set_state,
};
