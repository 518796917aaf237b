/*
 * tcp_ack: what one acknowledgement says, as it passes through the files that work on it. On the
 * connection's worker.
 */
#pragma once

#include "tcp/tcp_core.h"

enum ack_flag {
	FLAG_DATA = 0x01,		/* the segment bore data */
	FLAG_WIN_UPDATE = 0x02,		/* and changed the window */
	FLAG_DATA_ACKED = 0x04,		/* acknowledged new data */
	FLAG_RETRANS_DATA_ACKED = 0x08, /* some of which was retransmitted */
	FLAG_SYN_ACKED = 0x10,
	FLAG_DATA_SACKED = 0x20, /* new SACK */
	FLAG_ECE = 0x40,
	FLAG_LOST_RETRANS = 0x80,     /* marks a retransmission lost */
	FLAG_SLOWPATH = 0x100,	      /* not what was predicted */
	FLAG_ORIG_SACK_ACKED = 0x200, /* never retransmitted data was (s)acked */
	FLAG_SND_UNA_ADVANCED = 0x400,
	FLAG_DSACKING_ACK = 0x800,
	FLAG_SET_XMIT_TIMER = 0x1000,
	FLAG_SACK_RENEGING = 0x2000, /* snd_una went up to SACKed data that was taken back */
	FLAG_UPDATE_TS_RECENT = 0x4000,
	FLAG_NO_CHALLENGE_ACK = 0x8000,
	FLAG_ACK_MAYBE_DELAYED = 0x10000,
	FLAG_DSACK_TLP = 0x20000, /* the duplicate was our loss probe */
	FLAG_ACKED = FLAG_DATA_ACKED | FLAG_SYN_ACKED,
	FLAG_NOT_DUP = FLAG_DATA | FLAG_WIN_UPDATE | FLAG_ACKED,
	FLAG_CA_ALERT = FLAG_DATA_SACKED | FLAG_ECE | FLAG_DSACKING_ACK,
	FLAG_FORWARD_PROGRESS = FLAG_ACKED | FLAG_DATA_SACKED,
};

enum rexmit { REXMIT_NONE, REXMIT_LOST, REXMIT_NEW };

struct ack_state {
	uint32_t reord;			  /* lowest sequence number that was SACKed late */
	uint64_t first_sackt, last_sackt; /* ns, when the SACKed ones were sent; 0: none */
	int flag;
	unsigned sack_delivered;
	struct rate_sample rate;
};

/* ---- tcp_sack.c ---- */
/* Takes in the SACK blocks of a segment: returns flags. */
int tcp_sack_input(struct tcp_sock *tp, const struct tcp_rx *rx, uint32_t prior_snd_una,
		   struct ack_state *st);
void tcp_check_sack_reordering(struct tcp_sock *tp, uint32_t low_seq, bool ts);
static inline uint32_t tcp_highest_sack(const struct tcp_sock *tp)
{
	if (!tp->sacked_out || before(tp->highest_sack, tp->snd_una))
		return tp->snd_una;
	return tp->highest_sack;
}
/* Without SACK, duplicate ACKs stand for it. */
void tcp_add_reno_sack(struct tcp_sock *tp, unsigned n, bool ece);
void tcp_remove_reno_sacks(struct tcp_sock *tp, unsigned acked, bool ece);

/* ---- tcp_rack.c (RFC 8985) ---- */
void tcp_rack_advance(struct tcp_sock *tp, const struct tcp_seg *s);
bool tcp_rack_mark_lost(struct tcp_sock *tp);
void tcp_rack_update_reo_wnd(struct tcp_sock *tp, const struct rate_sample *rs);
/* us until this segment counts as lost when nothing later than it is waited for. */
int64_t tcp_rack_timeout(const struct tcp_sock *tp, const struct tcp_seg *s, uint32_t reo_wnd);

/* ---- tcp_recovery.c ---- */
void tcp_fastretrans_alert(struct tcp_sock *tp, uint32_t prior_snd_una, unsigned n_dupack,
			   int *flag, enum rexmit *rexmit);
void tcp_cwnd_reduction(struct tcp_sock *tp, int delivered, int lost, int flag);
void tcp_enter_recovery(struct tcp_sock *tp, bool ece);
void tcp_process_tlp_ack(struct tcp_sock *tp, uint32_t ack, int flag);

/* ---- tcp_ack.c ---- */
/* What the window would send in a round trip, and half as much again while it grows. */
void tcp_update_pacing_rate(struct tcp_sock *tp);

/* ---- tcp_rate.c ---- */
void tcp_rate_seg_delivered(struct tcp_sock *tp, struct tcp_seg *s, struct rate_sample *rs);
void tcp_rate_gen(struct tcp_sock *tp, uint32_t delivered, uint32_t lost, bool reneg,
		  struct rate_sample *rs);
void tcp_rate_check_app_limited(struct tcp_sock *tp);

static inline void tcp_count_delivered(struct tcp_sock *tp, uint32_t n, bool ece)
{
	tp->delivered += n;
	if (ece)
		tp->delivered_ce += n;
}
/* Was the segment sent at t1 sent later than the one at t2? Equal times: by sequence. */
static inline bool tcp_sent_after(uint64_t t1, uint64_t t2, uint32_t seq1, uint32_t seq2)
{
	return t1 > t2 || (t1 == t2 && after(seq1, seq2));
}
static inline void tcp_ecn_queue_cwr(struct tcp_sock *tp)
{
	if (tp->ecn_flags & TCP_ECN_OK)
		tp->ecn_flags |= TCP_ECN_QUEUE_CWR;
}
