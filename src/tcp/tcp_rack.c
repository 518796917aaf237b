/*
 * tcp_rack: loss by time (RFC 8985): a segment is lost when one sent later has been delivered and
 * a round trip plus some room for reordering has passed since it was sent. Sent segments are kept
 * in the order of sending, so that a look stops at the first that is too young.
 */
#include "tcp/tcp_ack.h"
#include "tcp/tcp_output.h"

#define RACK_RECOVERY_THRESH 16
enum { RACK_STATIC_REO_WND = 2, RACK_NO_DUPTHRESH = 4 };

void tcp_mark_seg_lost(struct tcp_sock *tp, struct tcp_seg *s)
{
	if (s->sacked & TCPCB_SACKED_ACKED)
		return;
	if (before(s->seq, tp->retransmit_hint))
		tp->retransmit_hint = s->seq;
	if (!(s->sacked & TCPCB_LOST)) {
		tp->lost_out += s->n;
		s->sacked |= TCPCB_LOST;
		tp->lost += s->n;
	} else if (s->sacked & TCPCB_SACKED_RETRANS) {
		/* its retransmission is lost, too */
		s->sacked &= ~TCPCB_SACKED_RETRANS;
		tp->retrans_out -= s->n;
		tcp_mib(tp)[MIB_TcpExt_TCPLostRetransmit] += s->n;
		tp->lost += s->n;
	}
}

static uint32_t reo_wnd(const struct tcp_sock *tp)
{
	int mode = tcp_net(tp->in.sk.net)->tcp_recovery;

	if (!tp->reord_seen) {
		if (tp->ca_state >= TCP_CA_Recovery)
			return 0;
		if (tp->sacked_out >= tp->reordering && !(mode & RACK_NO_DUPTHRESH))
			return 0;
	}
	uint64_t wnd = (uint64_t)(tcp_min_rtt_us(tp) >> 2) * tp->rack.reo_wnd_steps;

	return (uint32_t)MIN(wnd, (uint64_t)(tp->srtt_us >> 3));
}

int64_t tcp_rack_timeout(const struct tcp_sock *tp, const struct tcp_seg *s, uint32_t wnd)
{
	int64_t age = (int64_t)((tcp_now(tp) - s->sent) / NSEC_PER_USEC);

	return (int64_t)tp->rack.rtt_us + wnd - age;
}

/* Marks what is lost; the longest wait (us) for those that may yet be. */
static uint32_t detect_loss(struct tcp_sock *tp)
{
	uint32_t wnd = reo_wnd(tp), wait = 0;
	struct tcp_seg *s, *next;

	cds_list_for_each_entry_safe (s, next, &tp->tsorted, tsorted) {
		if ((s->sacked & TCPCB_LOST) && !(s->sacked & TCPCB_SACKED_RETRANS))
			continue;
		if (!tcp_sent_after(tp->rack.mstamp, s->sent, tp->rack.end_seq, s->end_seq))
			break;
		int64_t left = tcp_rack_timeout(tp, s, wnd);

		if (left > 0) {
			wait = MAX(wait, (uint32_t)left);
			continue;
		}
		tcp_mark_seg_lost(tp, s);
		cds_list_del(&s->tsorted);
		CDS_INIT_LIST_HEAD(&s->tsorted);
	}
	return wait;
}

bool tcp_rack_mark_lost(struct tcp_sock *tp)
{
	if (!tp->rack.advanced)
		return false;
	tp->rack.advanced = false;
	uint32_t wait = detect_loss(tp);

	if (wait)
		tcp_reset_rto_timer(tp, ICSK_TIME_REO_TIMEOUT,
				    MIN(wait * NSEC_PER_USEC + TCP_TIMEOUT_MIN, tp->rto));
	return wait;
}

void tcp_rack_advance(struct tcp_sock *tp, const struct tcp_seg *s)
{
	uint32_t rtt = (uint32_t)((tcp_now(tp) - s->sent) / NSEC_PER_USEC);

	/* too soon for the retransmission: it is the original that has arrived */
	if (rtt < tcp_min_rtt_us(tp) && s->sacked & (TCPCB_SACKED_RETRANS | TCPCB_EVER_RETRANS))
		return;
	tp->rack.advanced = true;
	tp->rack.rtt_us = rtt;
	if (tcp_sent_after(s->sent, tp->rack.mstamp, s->end_seq, tp->rack.end_seq)) {
		tp->rack.mstamp = s->sent;
		tp->rack.end_seq = s->end_seq;
	}
}

void tcp_rack_reo_timeout(struct tcp_sock *tp)
{
	uint32_t in_flight = tcp_packets_in_flight(tp), lost = tp->lost;

	detect_loss(tp);
	if (in_flight != tcp_packets_in_flight(tp)) {
		if (tp->ca_state != TCP_CA_Recovery) {
			tcp_enter_recovery(tp, false);
			if (!tp->cc->cong_control)
				tcp_cwnd_reduction(tp, 1, (int)(tp->lost - lost), 0);
		}
		tcp_xmit_retransmit_queue(tp);
	}
	if (tp->icsk_pending != ICSK_TIME_RETRANS)
		tcp_rearm_rto(tp);
}

void tcp_rack_update_reo_wnd(struct tcp_sock *tp, const struct rate_sample *rs)
{
	int mode = tcp_net(tp->in.sk.net)->tcp_recovery;

	if (mode & RACK_STATIC_REO_WND || !rs->prior_delivered)
		return;
	if (before(rs->prior_delivered, tp->rack.last_delivered))
		tp->rack.dsack_seen = false;
	if (tp->rack.dsack_seen) {
		tp->rack.reo_wnd_steps += tp->rack.reo_wnd_steps < UINT8_MAX;
		tp->rack.dsack_seen = false;
		tp->rack.last_delivered = tp->delivered;
		tp->rack.reo_wnd_persist = RACK_RECOVERY_THRESH;
	} else if (!tp->rack.reo_wnd_persist) {
		tp->rack.reo_wnd_steps = 1;
	}
}
