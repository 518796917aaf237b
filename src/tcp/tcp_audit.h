/*
 * tcp_audit: what must be true of a connection whenever nobody is at work on it. For tests.
 *
 * tcp_audit() looks at one socket and returns a sentence about the first thing that is wrong, or
 * NULL; tcp_audit_all() at every connection of an instance. Nothing is changed. The counters of the
 * scoreboard are counted again from the segments they stand for, the charges of both buffers from
 * the packets in them, and sequence numbers must meet without gap or overlap.
 *
 * Threads: the connections' own worker, between two steps.
 */
#pragma once

#include <urcu/rculfhash.h>

#include "tcp/tcp_core.h"
#include "tcp/tcp_rcvq.h"

#define TCP_AUDIT(cond)                                                                            \
	do {                                                                                       \
		if (!(cond))                                                                       \
			return #cond;                                                              \
	} while (0)

static inline const char *tcp_audit_scoreboard(const struct tcp_sock *tp)
{
	uint32_t packets = 0, sacked = 0, lost = 0, retrans = 0, listed = 0, unsacked = 0;
	const struct tcp_seg *s;

	for (unsigned i = 0; i < tp->n_rtx; i++) {
		s = segs_at(&tp->sndq, i);
		TCP_AUDIT(s->n >= 1);
		TCP_AUDIT(!(s->sacked & TCPCB_SACKED_ACKED) || !(s->sacked & TCPCB_LOST));
		packets += s->n;
		sacked += s->sacked & TCPCB_SACKED_ACKED ? s->n : 0;
		unsacked += !(s->sacked & TCPCB_SACKED_ACKED);
		lost += s->sacked & TCPCB_LOST ? s->n : 0;
		retrans += s->sacked & TCPCB_SACKED_RETRANS ? s->n : 0;
	}
	TCP_AUDIT(tp->packets_out == packets);
	TCP_AUDIT(tp->lost_out == lost);
	TCP_AUDIT(tp->retrans_out == retrans);
	if (tcp_is_sack(tp))
		TCP_AUDIT(tp->sacked_out == sacked);
	TCP_AUDIT(tp->sacked_out + tp->lost_out <= tp->packets_out);
	TCP_AUDIT((int32_t)tcp_packets_in_flight(tp) >= 0);
	cds_list_for_each_entry (s, &tp->tsorted, tsorted) {
		TCP_AUDIT(!(s->sacked & TCPCB_SACKED_ACKED));
		listed++;
	}
	TCP_AUDIT(listed <= unsacked);
	return NULL;
}

static inline const char *tcp_audit_sndq(const struct tcp_sock *tp)
{
	const struct tcp_seg *s, *last = NULL;
	size_t wmem = 0;

	TCP_AUDIT(tp->n_rtx <= tp->sndq.n);
	TCP_AUDIT(!before(tp->snd_nxt, tp->snd_una));
	TCP_AUDIT(!before(tp->write_seq, tp->snd_nxt));
	for (unsigned i = 0; i < tp->sndq.n; i++) {
		s = segs_at(&tp->sndq, i);
		TCP_AUDIT(s == tcp_seg_of(s->p));
		TCP_AUDIT(s->end_seq - s->seq ==
			  s->p->total + !!(s->flags & (TCPHDR_SYN | TCPHDR_FIN)));
		TCP_AUDIT(s->end_seq != s->seq);
		TCP_AUDIT(!last || last->end_seq == s->seq);
		TCP_AUDIT(!(s->flags & TCPHDR_FIN) || i + 1 == tp->sndq.n);
		wmem += s->truesize;
		last = s;
	}
	TCP_AUDIT(tp->wmem == wmem);
	if (!last)
		return NULL;
	TCP_AUDIT(last->end_seq == tp->write_seq);
	s = segs_at(&tp->sndq, 0);
	TCP_AUDIT(!after(s->seq, tp->snd_una));
	TCP_AUDIT(after(s->end_seq, tp->snd_una));
	if (tp->n_rtx)
		TCP_AUDIT(segs_at(&tp->sndq, tp->n_rtx - 1)->end_seq == tp->snd_nxt);
	if (tp->n_rtx < tp->sndq.n)
		TCP_AUDIT(segs_at(&tp->sndq, tp->n_rtx)->seq == tp->snd_nxt);
	return NULL;
}

static inline const char *tcp_audit_rcvq(const struct tcp_sock *tp)
{
	size_t rmem = 0, bytes = 0;
	uint32_t seq = 0;

	for (const struct pkt *p = tp->rcvq.head; p; p = p->next) {
		TCP_AUDIT(p->total);
		TCP_AUDIT(p == tp->rcvq.head || !after(rcvq_seq(p), seq));
		seq = rcvq_seq(p) + p->total;
		TCP_AUDIT(after(seq, tp->copied_seq));
		rmem += tcp_rcv_truesize(p->total);
		bytes += p->total;
	}
	TCP_AUDIT(tp->rcvq.bytes == bytes);
	if (tp->rcvq.head) {
		TCP_AUDIT(!after(rcvq_seq(tp->rcvq.head), tp->copied_seq));
		TCP_AUDIT(tp->rcv_nxt - seq <= 1); /* the FIN */
	}
	TCP_AUDIT(!after(tp->copied_seq, tp->rcv_nxt));
	for (unsigned i = 0; i < tp->ofo.n; i++) {
		const struct tcp_seg *s = segs_at(&tp->ofo, i);

		TCP_AUDIT(after(s->seq, tp->rcv_nxt));
		TCP_AUDIT(!i || (after(s->seq, segs_at(&tp->ofo, i - 1)->seq) &&
				 after(s->end_seq, segs_at(&tp->ofo, i - 1)->end_seq)));
		rmem += s->truesize;
	}
	TCP_AUDIT(tp->rmem == rmem);
	TCP_AUDIT(tp->rx_opt.num_sacks <= TCP_MAX_SACKS);
	return NULL;
}

/* Somebody must come back to what is under way: a segment, an ACK that is owed, a FIN. */
static inline const char *tcp_audit_timers(const struct tcp_sock *tp)
{
	bool rto = timer_pending(&tp->rto_timer), pace = timer_pending(&tp->pace_timer);

	if (TCPF(tp->node.state) & (TCPF(TCP_CLOSE) | TCPF(TCP_LISTEN))) {
		TCP_AUDIT(!rto);
		TCP_AUDIT(!pace);
		TCP_AUDIT(!timer_pending(&tp->delack_timer));
		TCP_AUDIT(!timer_pending(&tp->keep_timer));
		return NULL;
	}
	TCP_AUDIT(!tp->icsk_pending || rto);
	TCP_AUDIT(!tp->packets_out || tp->icsk_pending);
	TCP_AUDIT(!tp->sndq.n || tp->icsk_pending || pace || tp->defer_connect);
	TCP_AUDIT(!(tp->ack.pending & ICSK_ACK_TIMER) || timer_pending(&tp->delack_timer));
	TCP_AUDIT(!tp->compressed_ack || timer_pending(&tp->delack_timer));
	return NULL;
}

static inline const char *tcp_audit(const struct tcp_sock *tp)
{
	const char *wrong = NULL;

	if (TCPF(tp->node.state) & ~(TCPF(TCP_CLOSE) | TCPF(TCP_LISTEN))) {
		TCP_AUDIT(tp->node.hashed);
		TCP_AUDIT(tp->port);
		TCP_AUDIT(tp->snd_cwnd >= 1);
		wrong = tcp_audit_sndq(tp);
		if (!wrong)
			wrong = tcp_audit_scoreboard(tp);
		if (!wrong && tp->node.state != TCP_SYN_SENT)
			wrong = tcp_audit_rcvq(tp);
	} else {
		TCP_AUDIT(!tp->node.hashed);
		TCP_AUDIT(!tp->orphan);
	}
	return wrong ? wrong : tcp_audit_timers(tp);
}

/* Every connection of the instance. *bad: whose sentence it is. */
static inline const char *tcp_audit_all(struct tcp_core *core, const struct tcp_sock **bad)
{
	struct cds_lfht_iter it;
	struct cds_lfht_node *at;

	cds_lfht_first(core->conns, &it);
	while ((at = cds_lfht_iter_get_node(&it))) {
		const struct tcp_node *n = container_of(at, struct tcp_node, node);

		if (n->state != TCP_TIME_WAIT && n->state != TCP_NEW_SYN_RECV) {
			*bad = container_of(n, struct tcp_sock, node);
			const char *wrong = tcp_audit(*bad);

			if (wrong)
				return wrong;
		}
		cds_lfht_next(core->conns, &it);
	}
	return NULL;
}
