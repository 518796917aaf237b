/*
 * tcp_bbr: what BBR keeps of a connection, and its model of the path (tcp_bbr_model.c), which
 * tcp_bbr.c acts on. Runs on the connection's worker.
 */
#pragma once

#include "tcp/tcp_core.h"

#define BW_SCALE      24
#define BW_UNIT	      (1u << BW_SCALE)
#define BBR_SCALE     8 /* of gains */
#define BBR_UNIT      (1u << BBR_SCALE)
#define BBR_CYCLE_LEN 8

enum bbr_mode { BBR_STARTUP, BBR_DRAIN, BBR_PROBE_BW, BBR_PROBE_RTT };

struct bbr {
	uint32_t min_rtt_us, min_rtt_at; /* us; ms */
	uint32_t probe_rtt_done;	 /* ms; 0: not yet known */
	struct {
		uint32_t round, bw;
	} bw[3]; /* the greatest of a window of rounds, and those that may follow it */
	uint32_t rounds, next_rtt_delivered;
	uint64_t cycle_mstamp;
	uint8_t mode; /* enum bbr_mode */
	uint8_t prev_ca_state, cycle_idx, full_bw_cnt;
	bool packet_conservation, round_start, idle_restart, probe_rtt_round_done, full_bw_reached,
		has_seen_rtt;
	uint16_t pacing_gain, cwnd_gain;
	uint32_t prior_cwnd, full_bw;
	/* the policer's rate */
	bool lt_is_sampling, lt_use_bw;
	uint8_t lt_rounds;
	uint32_t lt_bw, lt_last_delivered, lt_last_stamp /* ms */, lt_last_lost;
	/* how ACKs are bunched */
	uint8_t extra_acked_rounds, extra_acked_idx;
	uint16_t extra_acked[2];
	uint32_t ack_epoch_acked;
	uint64_t ack_epoch_mstamp;
};
static_assert(sizeof(struct bbr) <= CC_PRIV, "fits");

static inline struct bbr *bbr_priv(struct tcp_sock *tp)
{
	return (struct bbr *)(void *)tp->cc_priv;
}

static inline uint32_t bbr_now_ms(const struct tcp_sock *tp)
{
	return (uint32_t)(tcp_now(tp) / NSEC_PER_MSEC);
}

/* us from one time in ns to another; 0 if it lies before. */
static inline uint64_t bbr_us_since(uint64_t t, uint64_t from)
{
	return t > from ? (t - from) / NSEC_PER_USEC : 0;
}

/* The measured bandwidth; and the one to act on. */
static inline uint32_t bbr_max_bw(const struct bbr *bbr)
{
	return bbr->bw[0].bw;
}
static inline uint64_t bbr_bw(const struct bbr *bbr)
{
	return bbr->lt_use_bw ? bbr->lt_bw : bbr_max_bw(bbr);
}

/* tcp_bbr_model.c */
void bbr_reset_bw(struct bbr *bbr);
void bbr_update_bw(struct tcp_sock *tp, const struct rate_sample *rs);
void bbr_update_aggregation(struct tcp_sock *tp, const struct rate_sample *rs);
void bbr_check_full_bw(struct tcp_sock *tp, const struct rate_sample *rs);
void bbr_reset_lt_bw(struct tcp_sock *tp);
void bbr_sample_lt_bw(struct tcp_sock *tp, const struct rate_sample *rs);

/* tcp_bbr.c */
uint64_t bbr_rate_bytes_per_sec(const struct tcp_sock *tp, uint64_t rate, unsigned gain);
void bbr_enter_probe_bw(struct tcp_sock *tp);
