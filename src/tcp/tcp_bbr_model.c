/*
 * tcp_bbr_model: what BBR measures of a path: its bandwidth, whether the pipe is full, whether a
 * policer is in the way, and how ACKs are bunched. See tcp_bbr.c.
 */
#include "tcp/tcp_bbr.h"

#define BW_ROUNDS	      (BBR_CYCLE_LEN + 2)
#define FULL_BW_THRESH	      (BBR_UNIT * 5 / 4)
#define FULL_BW_CNT	      3
#define LT_MIN_ROUNDS	      4
#define LT_LOSS_THRESH	      50	     /* of 256: a fifth lost */
#define LT_BW_RATIO	      (BBR_UNIT / 8) /* rates this near are the same */
#define LT_BW_DIFF	      (4000 / 8)     /* bytes/s; so are these */
#define LT_BW_MAX_ROUNDS      48
#define EXTRA_ACKED_ROUNDS    5
#define ACK_EPOCH_ACKED_RESET (1u << 20)

/* ---- the greatest of the last rounds (Kathleen Nichols' windowed filter) ---- */

static void fill_bw(struct bbr *bbr, uint32_t round, uint32_t bw)
{
	for (unsigned i = 0; i < 3; i++) {
		bbr->bw[i].round = round;
		bbr->bw[i].bw = bw;
	}
}

void bbr_reset_bw(struct bbr *bbr)
{
	fill_bw(bbr, bbr->rounds, 0);
}

static void shift_bw(struct bbr *bbr, uint32_t round, uint32_t bw)
{
	bbr->bw[0] = bbr->bw[1];
	bbr->bw[1] = bbr->bw[2];
	bbr->bw[2].round = round;
	bbr->bw[2].bw = bw;
}

/* bw[0] is the best of the window, bw[1] and bw[2] the best since; when a quarter, or half, of the
 * window has passed without a successor, the present sample becomes it. */
static void filter_bw(struct bbr *bbr, uint32_t bw)
{
	uint32_t now = bbr->rounds, age;

	if (bw >= bbr->bw[0].bw || now - bbr->bw[2].round > BW_ROUNDS) {
		fill_bw(bbr, now, bw);
		return;
	}
	if (bw >= bbr->bw[1].bw) {
		bbr->bw[2].round = now;
		bbr->bw[2].bw = bw;
		bbr->bw[1] = bbr->bw[2];
	} else if (bw >= bbr->bw[2].bw) {
		bbr->bw[2].round = now;
		bbr->bw[2].bw = bw;
	}
	age = now - bbr->bw[0].round;
	if (age > BW_ROUNDS) {
		shift_bw(bbr, now, bw);
		if (now - bbr->bw[0].round > BW_ROUNDS)
			shift_bw(bbr, now, bw);
	} else if (bbr->bw[1].round == bbr->bw[0].round && age > BW_ROUNDS / 4) {
		bbr->bw[2].round = now;
		bbr->bw[2].bw = bw;
		bbr->bw[1] = bbr->bw[2];
	} else if (bbr->bw[2].round == bbr->bw[1].round && age > BW_ROUNDS / 2) {
		bbr->bw[2].round = now;
		bbr->bw[2].bw = bw;
	}
}

void bbr_update_bw(struct tcp_sock *tp, const struct rate_sample *rs)
{
	struct bbr *bbr = bbr_priv(tp);
	uint64_t bw;

	bbr->round_start = false;
	if (rs->delivered < 0 || rs->interval_us <= 0)
		return;
	if (!before(rs->prior_delivered, bbr->next_rtt_delivered)) {
		bbr->next_rtt_delivered = tp->delivered;
		bbr->rounds++;
		bbr->round_start = true;
		bbr->packet_conservation = false;
	}
	bbr_sample_lt_bw(tp, rs);
	bw = (uint64_t)rs->delivered * BW_UNIT / (uint64_t)rs->interval_us;
	/* an application that sends little makes a low sample, but not a high one */
	if (!rs->is_app_limited || bw >= bbr_max_bw(bbr))
		filter_bw(bbr, (uint32_t)bw);
}

void bbr_check_full_bw(struct tcp_sock *tp, const struct rate_sample *rs)
{
	struct bbr *bbr = bbr_priv(tp);

	if (bbr->full_bw_reached || !bbr->round_start || rs->is_app_limited)
		return;
	if (bbr_max_bw(bbr) >= (uint64_t)bbr->full_bw * FULL_BW_THRESH >> BBR_SCALE) {
		bbr->full_bw = bbr_max_bw(bbr);
		bbr->full_bw_cnt = 0;
		return;
	}
	bbr->full_bw_reached = ++bbr->full_bw_cnt >= FULL_BW_CNT;
}

/* How far ACKs run ahead of what the bandwidth explains, the greatest of five to ten rounds. */
void bbr_update_aggregation(struct tcp_sock *tp, const struct rate_sample *rs)
{
	struct bbr *bbr = bbr_priv(tp);
	uint32_t expected, extra;

	if (!rs->acked_sacked || rs->delivered < 0 || rs->interval_us <= 0)
		return;
	if (bbr->round_start && ++bbr->extra_acked_rounds >= EXTRA_ACKED_ROUNDS) {
		bbr->extra_acked_rounds = 0;
		bbr->extra_acked_idx ^= 1;
		bbr->extra_acked[bbr->extra_acked_idx] = 0;
	}
	expected = (uint32_t)(bbr_bw(bbr) *
			      bbr_us_since(tp->delivered_mstamp, bbr->ack_epoch_mstamp) / BW_UNIT);
	if (bbr->ack_epoch_acked <= expected ||
	    bbr->ack_epoch_acked + rs->acked_sacked >= ACK_EPOCH_ACKED_RESET) {
		bbr->ack_epoch_acked = 0;
		bbr->ack_epoch_mstamp = tp->delivered_mstamp;
		expected = 0;
	}
	bbr->ack_epoch_acked =
		MIN(ACK_EPOCH_ACKED_RESET - 1, bbr->ack_epoch_acked + rs->acked_sacked);
	extra = MIN(bbr->ack_epoch_acked - expected, tp->snd_cwnd);
	if (extra > bbr->extra_acked[bbr->extra_acked_idx])
		bbr->extra_acked[bbr->extra_acked_idx] = (uint16_t)extra;
}

/* ---- policers ---- */

static void start_lt_interval(struct tcp_sock *tp)
{
	struct bbr *bbr = bbr_priv(tp);

	bbr->lt_last_stamp = (uint32_t)(tp->delivered_mstamp / NSEC_PER_MSEC);
	bbr->lt_last_delivered = tp->delivered;
	bbr->lt_last_lost = tp->lost;
	bbr->lt_rounds = 0;
}

void bbr_reset_lt_bw(struct tcp_sock *tp)
{
	struct bbr *bbr = bbr_priv(tp);

	bbr->lt_bw = 0;
	bbr->lt_use_bw = false;
	bbr->lt_is_sampling = false;
	start_lt_interval(tp);
}

static void end_lt_interval(struct tcp_sock *tp, uint32_t bw)
{
	struct bbr *bbr = bbr_priv(tp);

	if (bbr->lt_bw) {
		uint32_t diff = bw > bbr->lt_bw ? bw - bbr->lt_bw : bbr->lt_bw - bw;

		if ((uint64_t)diff * BBR_UNIT <= (uint64_t)LT_BW_RATIO * bbr->lt_bw ||
		    bbr_rate_bytes_per_sec(tp, diff, BBR_UNIT) <= LT_BW_DIFF) {
			bbr->lt_bw = (uint32_t)(((uint64_t)bw + bbr->lt_bw) >> 1);
			bbr->lt_use_bw = true;
			bbr->pacing_gain = BBR_UNIT;
			bbr->lt_rounds = 0;
			return;
		}
	}
	bbr->lt_bw = bw;
	start_lt_interval(tp);
}

/* An interval begins and ends with a loss, lasts 4 to 16 rounds, and lost a fifth. */
static void measure_lt_interval(struct tcp_sock *tp)
{
	struct bbr *bbr = bbr_priv(tp);
	uint32_t lost = tp->lost - bbr->lt_last_lost;
	uint32_t delivered = tp->delivered - bbr->lt_last_delivered;
	uint32_t ms = (uint32_t)(tp->delivered_mstamp / NSEC_PER_MSEC) - bbr->lt_last_stamp;

	if (!delivered || (uint64_t)lost << BBR_SCALE < (uint64_t)LT_LOSS_THRESH * delivered)
		return;
	if ((int32_t)ms < 1)
		return;
	if (ms >= UINT32_MAX / 1000) {
		bbr_reset_lt_bw(tp);
		return;
	}
	end_lt_interval(tp, (uint32_t)((uint64_t)delivered * BW_UNIT / (ms * 1000)));
}

void bbr_sample_lt_bw(struct tcp_sock *tp, const struct rate_sample *rs)
{
	struct bbr *bbr = bbr_priv(tp);

	if (bbr->lt_use_bw) {
		if (bbr->mode == BBR_PROBE_BW && bbr->round_start &&
		    ++bbr->lt_rounds >= LT_BW_MAX_ROUNDS) {
			bbr_reset_lt_bw(tp);
			bbr_enter_probe_bw(tp);
		}
		return;
	}
	if (!bbr->lt_is_sampling) {
		if (!rs->losses)
			return;
		start_lt_interval(tp);
		bbr->lt_is_sampling = true;
	}
	if (rs->is_app_limited) {
		bbr_reset_lt_bw(tp);
		return;
	}
	bbr->lt_rounds = (uint8_t)(bbr->lt_rounds + bbr->round_start);
	if (bbr->lt_rounds < LT_MIN_ROUNDS)
		return;
	if (bbr->lt_rounds > 4 * LT_MIN_ROUNDS) {
		bbr_reset_lt_bw(tp);
		return;
	}
	if (rs->losses)
		measure_lt_interval(tp);
}
