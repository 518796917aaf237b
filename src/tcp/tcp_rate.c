/*
 * tcp_rate: how fast the path delivers (draft-cheng-iccrg-delivery-rate-estimation): each segment
 * remembers, when it is sent, how much had been delivered and when; its acknowledgement gives the
 * amount delivered in between. The time taken is the longer of sending and acknowledging, so that
 * neither bursts nor compressed ACKs make it look faster than it is.
 */
#include "tcp/tcp_ack.h"
#include "tcp/tcp_xmit.h"

void tcp_rate_seg_sent(struct tcp_sock *tp, struct tcp_seg *s)
{
	if (!tp->packets_out) {
		tp->first_tx_mstamp = s->sent;
		tp->delivered_mstamp = s->sent;
	}
	s->first_tx_mstamp = tp->first_tx_mstamp;
	s->delivered_mstamp = tp->delivered_mstamp;
	s->delivered = tp->delivered;
	s->delivered_ce = tp->delivered_ce;
	s->app_limited = tp->app_limited;
}

void tcp_rate_seg_delivered(struct tcp_sock *tp, struct tcp_seg *s, struct rate_sample *rs)
{
	if (!s->delivered_mstamp)
		return;
	if (!rs->prior_delivered ||
	    tcp_sent_after(s->sent, tp->first_tx_mstamp, s->end_seq, rs->last_end_seq)) {
		rs->prior_delivered_ce = s->delivered_ce;
		rs->prior_delivered = s->delivered;
		rs->prior_mstamp = s->delivered_mstamp;
		rs->is_app_limited = s->app_limited;
		rs->is_retrans = s->sacked & (TCPCB_SACKED_RETRANS | TCPCB_EVER_RETRANS);
		rs->last_end_seq = s->end_seq;
		tp->first_tx_mstamp = s->sent;
		rs->interval_us = (int64_t)((s->sent - s->first_tx_mstamp) / NSEC_PER_USEC);
	}
	if (s->sacked & TCPCB_SACKED_ACKED)
		s->delivered_mstamp = 0;
}

void tcp_rate_gen(struct tcp_sock *tp, uint32_t delivered, uint32_t lost, bool reneg,
		  struct rate_sample *rs)
{
	if (tp->app_limited && after(tp->delivered, tp->app_limited))
		tp->app_limited = 0;
	if (delivered)
		tp->delivered_mstamp = tcp_now(tp);
	rs->acked_sacked = delivered;
	rs->losses = (int)lost;
	if (!rs->prior_mstamp || reneg) {
		rs->delivered = -1;
		rs->interval_us = -1;
		return;
	}
	rs->delivered = (int32_t)(tp->delivered - rs->prior_delivered);
	rs->delivered_ce = (int32_t)(tp->delivered_ce - rs->prior_delivered_ce);
	int64_t snd = rs->interval_us;
	int64_t ack = (int64_t)((tcp_now(tp) - rs->prior_mstamp) / NSEC_PER_USEC);

	rs->interval_us = MAX(snd, ack);
	rs->snd_interval_us = (uint32_t)snd;
	rs->rcv_interval_us = (uint32_t)ack;
	if (rs->interval_us < (int64_t)tcp_min_rtt_us(tp)) {
		rs->interval_us = -1;
		return;
	}
	if (!rs->is_app_limited ||
	    (uint64_t)rs->delivered * tp->rate_interval_us >=
		    (uint64_t)tp->rate_delivered * (uint64_t)rs->interval_us) {
		tp->rate_delivered = (uint32_t)rs->delivered;
		tp->rate_interval_us = (uint32_t)rs->interval_us;
		tp->rate_app_limited = rs->is_app_limited;
	}
}

void tcp_rate_check_app_limited(struct tcp_sock *tp)
{
	uint32_t in_flight = tcp_packets_in_flight(tp);

	if (tp->write_seq - tp->snd_nxt < tp->mss_cache && in_flight < tp->snd_cwnd &&
	    tp->lost_out <= tp->retrans_out)
		tp->app_limited = tp->delivered + in_flight ? tp->delivered + in_flight : 1;
}
