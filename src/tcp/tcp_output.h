/*
 * tcp_output: the send queue and its timers, between the files that send. On the connection's
 * worker.
 */
#pragma once

#include "tcp/tcp_xmit.h"

#define PROBE_INTERVAL (500 * NSEC_PER_MSEC) /* after a failure for lack of memory */

/* Where packets are scarce, a connection may have a little in each of its queues: what is
 * acknowledged or read makes room. */
static inline bool tcp_scarce(const struct tcp_sock *tp, size_t queued)
{
	return queued > 16384 && pool_is_low(tp->w->cache.pool);
}

/* ---- tcp_output.c ---- */

/* What a segment is charged to the send buffer: its bytes, which Linux keeps in pages, and a
 * header's worth of room and of bookkeeping. Programs size SO_SNDBUF by that. */
static inline uint32_t tcp_seg_truesize(uint32_t len)
{
	return len + 896;
}

/* A record of the packet's data at write_seq, not queued yet. */
struct tcp_seg *tcp_seg_new(struct tcp_sock *tp, struct pkt *p, uint8_t flags);
/* Counts what it makes on the wire. */
void tcp_seg_count(struct tcp_seg *s, uint32_t mss);
/* The same for one in flight, now that the mss may be another. */
void tcp_seg_recount(struct tcp_sock *tp, struct tcp_seg *s, uint32_t mss);
/* Appends it; write_seq moves behind it. 0 or -ENOMEM. */
int tcp_queue_seg(struct tcp_sock *tp, struct tcp_seg *s);
/* Gives up one that is out of the queue. */
void tcp_free_seg(struct tcp_sock *tp, struct tcp_seg *s);
/* Cuts segment i after len bytes. 0 or -errno, the segment then as it was. */
int tcp_split_seg(struct tcp_sock *tp, unsigned i, uint32_t len, uint32_t mss);
/* Takes the first len bytes, which were acknowledged, off s; the caller counts it anew. */
void tcp_trim_seg(struct tcp_sock *tp, struct tcp_seg *s, uint32_t len);
/* The first that waits was sent: it is in flight now. */
void tcp_new_data_sent(struct tcp_sock *tp, struct tcp_seg *s);
uint32_t tcp_tso_segs(struct tcp_sock *tp, uint32_t mss);
uint32_t tcp_current_ssthresh(const struct tcp_sock *tp);
/* RFC 5681 4.1: an old window says nothing about the path. Before new data is queued. */
void tcp_cwnd_restart_if_idle(struct tcp_sock *tp);
/* nonagle: enum tcp_nonagle. push_one: 1 one segment, 2 one whatever the window. True: something
 * waits, and nothing is in flight. */
bool tcp_write_xmit(struct tcp_sock *tp, uint32_t mss, int nonagle, int push_one);
void tcp_push(struct tcp_sock *tp, uint32_t mss, int nonagle);

/* ---- tcp_retransmit.c ---- */

/* A segment is taken for lost, or all is begun anew: where retransmission looks first. */
static inline void tcp_clear_hints(struct tcp_sock *tp)
{
	tp->retransmit_hint = tp->snd_una;
}
/* Arms the retransmission timer by what is in flight. */
void tcp_rearm_rto(struct tcp_sock *tp);
/* Time until the first segment in flight times out, us; may be negative. */
int64_t tcp_rto_delta_us(const struct tcp_sock *tp);

static inline uint64_t tcp_rto_min(const struct tcp_sock *tp)
{
	if (unlikely(tp->rt_rto_min))
		return tp->rt_rto_min * NSEC_PER_MSEC;
	return (uint64_t)tcp_net(tp->in.sk.net)->tcp_rto_min_us * NSEC_PER_USEC;
}
static inline uint64_t tcp_rto_max(const struct tcp_sock *tp)
{
	return (uint64_t)tcp_net(tp->in.sk.net)->tcp_rto_max_ms * NSEC_PER_MSEC;
}
static inline uint64_t tcp_probe0_base(const struct tcp_sock *tp)
{
	return MAX(tp->rto, tcp_rto_min(tp));
}
static inline uint64_t tcp_probe0_when(const struct tcp_sock *tp)
{
	return MIN(tcp_probe0_base(tp) << MIN(tp->backoff, 20), tcp_rto_max(tp));
}

/* tcp_timer.c: no later than TCP_USER_TIMEOUT. */
uint64_t tcp_clamp_probe0(const struct tcp_sock *tp, uint64_t after);
/* tcp_recovery.c */
void tcp_mark_seg_lost(struct tcp_sock *tp, struct tcp_seg *s);

/* ---- what limits the connection: tcp_info's busy_time and its like ---- */

enum { TCP_CHRONO_NONE, TCP_CHRONO_BUSY, TCP_CHRONO_RWND_LIMITED, TCP_CHRONO_SNDBUF_LIMITED };

void tcp_chrono_start(struct tcp_sock *tp, uint8_t type);
void tcp_chrono_stop(struct tcp_sock *tp, uint8_t type);
