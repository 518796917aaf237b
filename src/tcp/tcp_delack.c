/*
 * tcp_delack: when data that came in is acknowledged (RFC 1122 4.2.3.2, RFC 5681 4.2).
 *
 * At once in the beginning and after losses (quick ACKs), later every second full segment, or when
 * the delay ends: `ato`, which follows the gaps between segments. An application that answers soon
 * lets the ACK wait for its data (pingpong). Behind a hole every segment is told, but for what
 * would only repeat itself (compressed ACKs). RFC 3168: marks are echoed at once.
 */
#include "tcp/tcp_data.h"

#include "tcp/tcp_output.h"
#include "tcp/tcp_rcvq.h"

/* ---- acknowledging ---- */

static void incr_quickack(struct tcp_sock *tp, unsigned max)
{
	unsigned n = tp->rcv_wnd / (2u * MAX(tp->ack.rcv_mss, (uint16_t)1));

	n = MIN(n ? n : 2, max);
	tp->ack.quick = (uint8_t)MAX(tp->ack.quick, (uint8_t)n);
}

void tcp_enter_quickack(struct tcp_sock *tp, unsigned max)
{
	incr_quickack(tp, max);
	tp->ack.pingpong = 0;
	tp->ack.ato = TCP_ATO_MIN;
}

static bool quickack_mode(const struct tcp_sock *tp)
{
	return tp->quickack_route || (tp->ack.quick && !tcp_pingpong(tp));
}

static void send_delayed_ack(struct tcp_sock *tp)
{
	uint64_t now = tcp_now(tp), ato = tp->ack.ato, at;

	if (ato > TCP_DELACK_MIN) {
		uint64_t max = 500 * NSEC_PER_MSEC;

		if (tcp_pingpong(tp) || tp->ack.pending & ICSK_ACK_PUSHED)
			max = TCP_DELACK_MAX;
		if (tp->srtt_us)
			max = MIN(max, MAX((tp->srtt_us >> 3) * NSEC_PER_USEC, TCP_DELACK_MIN));
		ato = MIN(ato, max);
	}
	ato = MIN(ato, TCP_DELACK_MAX);
	at = now + ato;
	if (tp->ack.pending & ICSK_ACK_TIMER) {
		if (tp->ack.timeout <= now + (ato >> 2)) {
			tcp_send_ack(tp);
			return;
		}
		at = MIN(at, tp->ack.timeout);
	}
	tcp_schedule_ack(tp);
	tcp_reset_delack_timer(tp, at);
}

/* Many segments behind a hole would each make a duplicate ACK: after a few they are joined. */
static void compress_ack(struct tcp_sock *tp)
{
	const struct tcp_net *tn = tcp_net(tp->in.sk.net);
	uint32_t rtt = tp->rcv_rtt_est.rtt_us;

	tp->compressed_ack++;
	if (tp->compressed_ack > 1 || tp->ack.pending & ICSK_ACK_TIMER)
		return; /* the timer is set */
	if (tp->srtt_us && tp->srtt_us < rtt)
		rtt = tp->srtt_us;
	uint64_t delay = MIN((uint64_t)tn->tcp_comp_sack_delay_ns, rtt * (NSEC_PER_USEC >> 3) / 20);

	timer_set(&tp->w->wheel, &tp->delack_timer, tcp_now(tp) + delay);
}

static void ack_snd_check(struct tcp_sock *tp)
{
	const struct tcp_net *tn = tcp_net(tp->in.sk.net);

	if ((tp->rcv_nxt - tp->rcv_wup > tp->ack.rcv_mss &&
	     (tp->rcv_nxt - tp->copied_seq < (uint32_t)tp->in.sk.rcvlowat ||
	      tcp_new_window(tp) >= tp->rcv_wnd)) ||
	    quickack_mode(tp) || tp->ack.pending & ICSK_ACK_NOW) {
		tcp_send_ack(tp);
		return;
	}
	if (!tp->ofo.n) {
		send_delayed_ack(tp);
		return;
	}
	if (!tcp_is_sack(tp) || tp->compressed_ack >= tn->tcp_comp_sack_nr) {
		tcp_send_ack(tp);
		return;
	}
	if (tp->compressed_ack_rcv_nxt != tp->rcv_nxt) {
		tp->compressed_ack_rcv_nxt = tp->rcv_nxt;
		tp->dup_ack_counter = 0;
	}
	if (tp->dup_ack_counter < TCP_FASTRETRANS_THRESH) {
		tp->dup_ack_counter++;
		tcp_send_ack(tp);
		return;
	}
	compress_ack(tp);
}

void tcp_ack_snd_check(struct tcp_sock *tp)
{
	if (tp->ack.pending & ICSK_ACK_SCHED)
		ack_snd_check(tp);
}

/* ---- delayed ACKs learn from data ---- */

static void measure_mss(struct tcp_sock *tp, const struct pkt *p, const struct tcp_rx *rx)
{
	uint16_t last = tp->ack.last_seg_size;
	uint32_t len = p->gso ? p->gso_size : rx->len;
	const uint8_t remnant = TCPHDR_FIN | TCPHDR_URG | TCPHDR_SYN | TCPHDR_PSH;

	tp->ack.last_seg_size = 0;
	if (len >= tp->ack.rcv_mss) {
		if (len != tp->ack.rcv_mss) {
			uint64_t ratio = ((uint64_t)rx->len << 8) / tcp_rcv_truesize(rx->len);

			tp->scaling_ratio = (uint8_t)MIN(MAX(ratio, 1ULL), 255ULL);
		}
		tp->ack.rcv_mss = (uint16_t)MIN(len, (uint32_t)tp->advmss);
		if (rx->len == tp->ack.rcv_mss && rx->flags & TCPHDR_PSH)
			tp->ack.pending |= ICSK_ACK_PUSHED;
		return;
	}
	len += rx->hlen;
	if (len >= TCP_MSS_DEFAULT + 20 || (len >= TCP_MIN_MSS + 20 && !(rx->flags & remnant))) {
		len -= tp->tcp_header_len;
		tp->ack.last_seg_size = (uint16_t)len;
		if (len == last) {
			tp->ack.rcv_mss = (uint16_t)len;
			return;
		}
	}
	if (tp->ack.pending & ICSK_ACK_PUSHED)
		tp->ack.pending |= ICSK_ACK_PUSHED2;
	tp->ack.pending |= ICSK_ACK_PUSHED;
}

/* RFC 3168 6.1.3: what the IP header says about congestion. */
void tcp_ecn_check_ce(struct tcp_sock *tp, const struct tcp_rx *rx)
{
	if (!(tp->ecn_flags & TCP_ECN_OK))
		return;
	switch (rx->ip_dsfield & 3) {
	case 0:
		/* a retransmission, which bears no ECT: it may tell of a loss of our ACKs */
		if (tp->ecn_flags & TCP_ECN_SEEN)
			tcp_enter_quickack(tp, 2);
		break;
	case 3:
		if (tp->cc->needs_ecn)
			cc_event(tp, CA_EVENT_ECN_IS_CE);
		if (!(tp->ecn_flags & TCP_ECN_DEMAND_CWR)) {
			tcp_enter_quickack(tp, 2);
			tp->ecn_flags |= TCP_ECN_DEMAND_CWR;
		}
		tp->ecn_flags |= TCP_ECN_SEEN;
		break;
	default:
		if (tp->cc->needs_ecn)
			cc_event(tp, CA_EVENT_ECN_NO_CE);
		tp->ecn_flags |= TCP_ECN_SEEN;
	}
}

void tcp_event_data_recv(struct tcp_sock *tp, const struct pkt *p, const struct tcp_rx *rx)
{
	uint64_t now = tcp_now(tp), gap = now - tp->ack.lrcvtime;

	tcp_schedule_ack(tp);
	measure_mss(tp, p, rx);
	tcp_rcv_rtt_measure(tp);
	if (!tp->ack.ato) {
		incr_quickack(tp, TCP_MAX_QUICKACKS);
		tp->ack.ato = TCP_ATO_MIN;
	} else if (gap <= TCP_ATO_MIN / 2) {
		tp->ack.ato = (tp->ack.ato >> 1) + TCP_ATO_MIN / 2;
	} else if (gap < tp->ack.ato) {
		tp->ack.ato = MIN((tp->ack.ato >> 1) + gap, tp->rto);
	} else if (gap > tp->rto) {
		incr_quickack(tp, TCP_MAX_QUICKACKS);
	}
	tp->ack.lrcvtime = now;
	tcp_ecn_check_ce(tp, rx);
	if (rx->len >= 128)
		tcp_grow_window(tp, rx->len, tcp_rcv_truesize(rx->len));
}
