/*
 * tcp_data: receiving, between the files that do it. On the connection's worker.
 */
#pragma once

#include "tcp/tcp_core.h"

/* ---- tcp_window.c ---- */

/* The window that could be offered now. */
uint32_t tcp_new_window(struct tcp_sock *tp);
/* A segment of len bytes, truesize in memory, was taken in: more may be offered. */
void tcp_grow_window(struct tcp_sock *tp, uint32_t len, uint32_t truesize);
void tcp_clamp_window(struct tcp_sock *tp);
/* Round trips as the receiver sees them: by the window, by time stamps. */
void tcp_rcv_rtt_measure(struct tcp_sock *tp);
void tcp_rcv_rtt_measure_ts(struct tcp_sock *tp, uint32_t len);

/* ---- tcp_delack.c ---- */

/* Sends an ACK now or later, as the state of delayed ACKs says. */
void tcp_ack_snd_check(struct tcp_sock *tp);
void tcp_enter_quickack(struct tcp_sock *tp, unsigned max);
/* The segment carried data in order: delayed ACKs, mss, ECN. */
void tcp_event_data_recv(struct tcp_sock *tp, const struct pkt *p, const struct tcp_rx *rx);

/* RFC 3168 6.1.3: what the segment's IP header says about congestion. */
void tcp_ecn_check_ce(struct tcp_sock *tp, const struct tcp_rx *rx);

/* ---- tcp_data.c ---- */

/* Remembers a duplicate, to be told by D-SACK (RFC 2883). */
void tcp_dsack_set(struct tcp_sock *tp, uint32_t seq, uint32_t end_seq);
/* A duplicate or out-of-window segment gets its ACK with D-SACK. */
void tcp_send_dupack(struct tcp_sock *tp, const struct tcp_rx *rx);

/* ---- tcp_ack.c ---- */

/* The round trip that the echoed time stamp tells, us; -1: none. */
int64_t tcp_rtt_tsopt_us(const struct tcp_sock *tp, uint32_t min_delta);
/* ---- tcp_send.c ---- */
void tcp_sndbuf_expand(struct tcp_sock *tp);
/* Is there so much room that who waits for it is told? shift 1: to be told now. */
bool tcp_writable(const struct tcp_sock *tp, unsigned shift);
/* More can be read, or the end, or an error. */
void tcp_data_ready(struct tcp_sock *tp);

static inline bool tcp_pingpong(const struct tcp_sock *tp)
{
	return tp->ack.pingpong >= tcp_net(tp->in.sk.net)->tcp_pingpong_thresh;
}
static inline void tcp_schedule_ack(struct tcp_sock *tp)
{
	tp->ack.pending |= ICSK_ACK_SCHED;
}
