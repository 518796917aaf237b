/*
 * tcp_retransmit: sends again what was lost, and what makes a silent peer speak: loss probes
 * (RFC 8985 7), probes of a closed window (RFC 9293 3.8.6.1); and the ends of a connection that
 * take sequence space, SYN and FIN.
 */
#include "tcp/tcp_output.h"

/* ---- the timer ---- */

int64_t tcp_rto_delta_us(const struct tcp_sock *tp)
{
	uint64_t at = segs_at(&tp->sndq, 0)->sent + tp->rto;

	return ((int64_t)at - (int64_t)tcp_now(tp)) / 1000;
}

void tcp_rearm_rto(struct tcp_sock *tp)
{
	uint64_t rto = tp->rto;

	if (tp->fast_open_child)
		return;
	if (!tp->packets_out) {
		tcp_clear_rto_timer(tp);
		return;
	}
	if (tp->icsk_pending == ICSK_TIME_REO_TIMEOUT || tp->icsk_pending == ICSK_TIME_LOSS_PROBE) {
		int64_t left = tcp_rto_delta_us(tp);

		rto = (uint64_t)MAX(left, (int64_t)1000) * NSEC_PER_USEC;
	}
	tcp_reset_rto_timer(tp, ICSK_TIME_RETRANS, rto);
}

/* ---- retransmission ---- */

/* What was acknowledged in the meantime is not sent again. False: nothing is left of it. */
static bool trim(struct tcp_sock *tp, struct tcp_seg *s)
{
	uint32_t n = tp->snd_una - s->seq;

	if (s->flags & TCPHDR_SYN) {
		s->flags &= ~TCPHDR_SYN;
		s->seq++;
		n--;
	}
	if (!before(s->seq, tp->snd_una))
		return true;
	if (!before(tp->snd_una, s->end_seq))
		return false;
	tcp_trim_seg(tp, s, n);
	tcp_seg_recount(tp, s, MAX(s->size, (uint16_t)1));
	return true;
}

/* RFC 3168 6.1.1.1: a path that loses SYNs with ECN bits gets one without. */
static void ecn_clear_syn(const struct tcp_sock *tp, struct tcp_seg *s)
{
	const uint8_t ecn = TCPHDR_SYN | TCPHDR_ECE | TCPHDR_CWR;

	if ((s->flags & ecn) == ecn && tcp_net(tp->in.sk.net)->tcp_ecn_fallback)
		s->flags &= ~(TCPHDR_ECE | TCPHDR_CWR);
}

static int send_again(struct tcp_sock *tp, unsigned i, uint32_t segs)
{
	struct tcp_seg *s = segs_at(&tp->sndq, i);
	uint32_t mss, len, n;

	tp->mtup.probe_size = 0;
	if (before(s->seq, tp->snd_una) && !trim(tp, s))
		return -EINVAL;
	mss = tcp_current_mss(tp);
	if (unlikely(tcp_urg_mode(tp)))
		segs = 1; /* the pointer counts from each segment's own number */
	int32_t wnd = (int32_t)(tcp_wnd_end(tp) - s->seq);

	/* Beyond a window that has shrunk: only the first, which then probes it. */
	if (wnd <= 0) {
		if (s->seq != tp->snd_una)
			return -EAGAIN;
		wnd = (int32_t)mss;
	}
	len = mss * segs;
	if (len > (uint32_t)wnd) {
		len = (uint32_t)wnd / mss * mss;
		len = len ? len : (uint32_t)wnd;
	}
	if (s->p->total > len) {
		int err = tcp_split_seg(tp, i, len, mss);

		if (err)
			return err;
	} else {
		tcp_seg_recount(tp, s, mss);
	}
	ecn_clear_syn(tp, s);
	n = s->n;
	tcp_mib(tp)[MIB_Tcp_RetransSegs] += n;
	if (s->flags & TCPHDR_SYN)
		tcp_mib(tp)[MIB_TcpExt_TCPSynRetrans]++;
	tp->total_retrans += n;
	tp->bytes_retrans += s->p->total;
	int err = tcp_transmit_seg(tp, s);

	s->sacked |= TCPCB_EVER_RETRANS;
	if (err)
		tcp_mib(tp)[MIB_TcpExt_TCPRetransFail] += n;
	return err;
}

int tcp_retransmit_seg(struct tcp_sock *tp, unsigned i, unsigned segs)
{
	int err = send_again(tp, i, segs);
	struct tcp_seg *s = segs_at(&tp->sndq, i);

	/* a first segment whose loss probe is on its way is counted already when the timer sends it
	 */
	if (!err && !(s->sacked & TCPCB_SACKED_RETRANS)) {
		s->sacked |= TCPCB_SACKED_RETRANS;
		tp->retrans_out += s->n;
	}
	if (!tp->retrans_stamp)
		tp->retrans_stamp = tcp_time_stamp(tp);
	if (tp->undo_retrans < 0)
		tp->undo_retrans = 0;
	tp->undo_retrans += s->n;
	return err;
}

/* RFC 6675 NextSeg(): what is lost and not sent again yet, in order, as the window allows. */
void tcp_xmit_retransmit_queue(struct tcp_sock *tp)
{
	bool rearm = false, hole = false;

	if (!tp->packets_out)
		return;
	uint32_t max_segs = tcp_tso_segs(tp, tcp_current_mss(tp));
	unsigned i = segs_find(&tp->sndq, tp->retransmit_hint);

	for (; i < tp->n_rtx; i++) {
		struct tcp_seg *s = segs_at(&tp->sndq, i);
		int32_t room = (int32_t)(tp->snd_cwnd - tcp_packets_in_flight(tp));

		if (tp->pacing_needed && tp->pacing_next > tcp_now(tp)) {
			timer_set(&tp->w->wheel, &tp->pace_timer, tp->pacing_next);
			break;
		}
		if (!hole)
			tp->retransmit_hint = s->seq;
		if (room <= 0 || tp->retrans_out >= tp->lost_out)
			break;
		if (!(s->sacked & TCPCB_LOST)) {
			hole |= !(s->sacked & (TCPCB_SACKED_RETRANS | TCPCB_SACKED_ACKED));
			continue;
		}
		if (s->sacked & (TCPCB_SACKED_ACKED | TCPCB_SACKED_RETRANS))
			continue;
		if (tcp_retransmit_seg(tp, i, MIN((uint32_t)room, max_segs)))
			break;
		tcp_mib(tp)[tp->ca_state == TCP_CA_Loss ? MIB_TcpExt_TCPSlowStartRetrans
							: MIB_TcpExt_TCPFastRetrans] += s->n;
		if (tp->ca_state == TCP_CA_CWR || tp->ca_state == TCP_CA_Recovery)
			tp->prr_out += s->n;
		rearm |= i == 0 && tp->icsk_pending != ICSK_TIME_REO_TIMEOUT;
	}
	if (rearm)
		tcp_reset_rto_timer(tp, ICSK_TIME_RETRANS, tp->rto);
}

/* Linux's tcp_simple_retransmit: the path's MTU shrank: what is too large is lost. */
void tcp_simple_retransmit(struct tcp_sock *tp)
{
	uint32_t mss = tcp_current_mss(tp), lost = tp->lost_out;
	/* A SYN and its data are one packet, but two segments here. */
	bool syn = tp->syn_data && tp->node.state == TCP_SYN_SENT;

	for (unsigned i = 0; i < tp->n_rtx; i++) {
		struct tcp_seg *s = segs_at(&tp->sndq, i);

		if (syn || (s->size > mss && s->p->total > mss))
			tcp_mark_seg_lost(tp, s);
	}
	if (lost == tp->lost_out)
		return;
	if (!tcp_is_sack(tp))
		tp->sacked_out = MIN(tp->sacked_out, tp->packets_out - 1);
	/* No congestion: the window stays, but undo must not happen. */
	if (tp->ca_state != TCP_CA_Loss) {
		tp->high_seq = tp->snd_nxt;
		tp->snd_ssthresh = tcp_current_ssthresh(tp);
		tp->prior_ssthresh = 0;
		tp->undo_marker = 0;
		cc_set_state(tp, TCP_CA_Loss);
	}
	tcp_xmit_retransmit_queue(tp);
}

/* ---- loss probes ---- */

bool tcp_schedule_loss_probe(struct tcp_sock *tp, bool advancing_rto)
{
	const struct tcp_net *tn = tcp_net(tp->in.sk.net);
	uint64_t after = TCP_TIMEOUT_INIT;

	if (tp->fast_open_child)
		return false;
	if ((tn->tcp_early_retrans != 3 && tn->tcp_early_retrans != 4) || !tp->packets_out ||
	    !tcp_is_sack(tp) || (tp->ca_state != TCP_CA_Open && tp->ca_state != TCP_CA_CWR))
		return false;
	if (tp->srtt_us) {
		after = (tp->srtt_us >> 2) * NSEC_PER_USEC;
		/* one segment alone may meet a delayed ACK */
		after += tp->packets_out == 1 ? tcp_rto_min(tp) : TCP_TIMEOUT_MIN;
	}
	int64_t rto =
		advancing_rto ? (int64_t)tp->rto : tcp_rto_delta_us(tp) * (int64_t)NSEC_PER_USEC;

	if (rto > 0)
		after = MIN(after, (uint64_t)rto);
	tcp_reset_rto_timer(tp, ICSK_TIME_LOSS_PROBE, after);
	return true;
}

/* New data if there is some, else the last segment once more. */
static bool loss_probe(struct tcp_sock *tp)
{
	uint32_t mss = tcp_current_mss(tp), was = tp->packets_out;

	tp->tlp_retrans = false;
	if (tp->n_rtx < tp->sndq.n) {
		const struct tcp_seg *s = segs_at(&tp->sndq, tp->n_rtx);
		uint32_t end = s->p->total > mss ? s->seq + mss : s->end_seq;

		if (!after(end, tcp_wnd_end(tp))) {
			tcp_write_xmit(tp, mss, TCP_NAGLE_OFF, 2);
			return tp->packets_out > was;
		}
	}
	if (!tp->n_rtx)
		return false;
	unsigned i = tp->n_rtx - 1;
	struct tcp_seg *s = segs_at(&tp->sndq, i);

	if (s->n > 1 && s->p->total > (s->n - 1u) * mss) {
		if (tcp_split_seg(tp, i, (s->n - 1u) * mss, mss))
			return false;
		i++;
	}
	if (send_again(tp, i, 1))
		return false;
	tp->tlp_retrans = true;
	return true;
}

void tcp_send_loss_probe(struct tcp_sock *tp)
{
	if (!tp->tlp_high_seq && loss_probe(tp)) {
		tp->tlp_high_seq = tp->snd_nxt;
		tcp_mib(tp)[MIB_TcpExt_TCPLossProbes]++;
		tp->icsk_pending = ICSK_TIME_NONE;
	}
	tcp_rearm_rto(tp);
}

/* ---- a window that is closed ---- */

int tcp_write_wakeup(struct tcp_sock *tp, int mib)
{
	if (tp->node.state == TCP_CLOSE)
		return -1;
	struct tcp_seg *s = tp->n_rtx < tp->sndq.n ? segs_at(&tp->sndq, tp->n_rtx) : NULL;

	if (s && before(s->seq, tcp_wnd_end(tp))) {
		uint32_t mss = tcp_current_mss(tp), room = tcp_wnd_end(tp) - s->seq;

		if (before(tp->pushed_seq, s->end_seq))
			tp->pushed_seq = s->end_seq;
		tcp_seg_count(s, mss);
		s->flags |= TCPHDR_PSH;
		if (room < s->end_seq - s->seq || s->p->total > mss) {
			if (tcp_split_seg(tp, tp->n_rtx, MIN(room, mss), mss))
				return -1;
			s->flags |= TCPHDR_PSH;
		}
		int err = tcp_transmit_seg(tp, s);

		if (!err)
			tcp_new_data_sent(tp, s);
		return err;
	}
	if (tcp_urg_mode(tp) && between(tp->snd_up, tp->snd_una + 1, tp->snd_una + 0xffff))
		tcp_xmit_probe(tp, true, mib);
	return tcp_xmit_probe(tp, false, mib);
}

void tcp_send_probe0(struct tcp_sock *tp)
{
	const struct tcp_net *tn = tcp_net(tp->in.sk.net);
	int err = tcp_write_wakeup(tp, MIB_TcpExt_TCPWinProbe);
	uint64_t after = PROBE_INTERVAL;

	if (tp->packets_out || tp->n_rtx == tp->sndq.n) {
		tp->probes_out = 0;
		tp->backoff = 0;
		tp->probes_tstamp = 0;
		return;
	}
	tp->probes_out++;
	if (err <= 0) {
		if (tp->backoff < tn->tcp_retries2)
			tp->backoff++;
		after = tcp_probe0_when(tp);
	}
	tcp_reset_rto_timer(tp, ICSK_TIME_PROBE0, tcp_clamp_probe0(tp, after));
}

/* ---- SYN and FIN ---- */

static int send_first(struct tcp_sock *tp, uint8_t flags)
{
	struct pkt *p = pkt_new(tp->w);
	int err;

	if (!p)
		return -ENOBUFS;
	struct tcp_seg *s = tcp_seg_new(tp, p, flags);

	if (tcp_queue_seg(tp, s)) {
		pkt_free(&tp->w->cache, p);
		return -ENOBUFS;
	}
	tp->n_rtx = 1;
	tp->packets_out = 1;
	tp->retrans_stamp = tcp_time_stamp(tp);
	err = tp->fo_msg ? tcp_send_syn_data(tp) : tcp_transmit_seg(tp, s);
	tp->snd_nxt = tp->pushed_seq = tp->write_seq;
	return err;
}

int tcp_send_syn(struct tcp_sock *tp)
{
	const struct tcp_net *tn = tcp_net(tp->in.sk.net);
	uint8_t flags = TCPHDR_SYN;

	tp->ecn_flags = 0;
	if (tn->tcp_ecn == 1 || tp->cc->needs_ecn) {
		flags |= TCPHDR_ECE | TCPHDR_CWR;
		tp->ecn_flags = TCP_ECN_OK;
		if (tp->cc->needs_ecn)
			tp->in.tos |= 2;
	}
	int err = send_first(tp, flags);

	if (err == -ENOBUFS && !tp->n_rtx)
		return err;
	tcp_mib(tp)[MIB_Tcp_ActiveOpens]++;
	tcp_reset_rto_timer(tp, ICSK_TIME_RETRANS, tp->rto);
	return err == -ECONNREFUSED ? err : 0;
}

int tcp_send_synack(struct tcp_sock *tp)
{
	uint8_t flags = TCPHDR_SYN | TCPHDR_ACK;

	if (tp->ecn_flags & TCP_ECN_OK)
		flags |= TCPHDR_ECE;
	/* SYNs have crossed: ours is on the queue */
	if (tp->n_rtx) {
		struct tcp_seg *s = segs_at(&tp->sndq, 0);

		if (!(s->flags & TCPHDR_SYN))
			return -EFAULT;
		s->flags = flags;
		return tcp_transmit_seg(tp, s);
	}
	return send_first(tp, flags);
}

void tcp_send_fin(struct tcp_sock *tp)
{
	struct tcp_seg *s = tp->n_rtx < tp->sndq.n ? segs_last(&tp->sndq) : NULL;

	if (s) {
		s->flags |= TCPHDR_FIN;
		s->end_seq++;
		tp->write_seq++;
		tp->fin_queued = true;
	} else {
		struct pkt *p = pkt_new(tp->w);

		s = p ? tcp_seg_new(tp, p, TCPHDR_ACK | TCPHDR_FIN) : NULL;
		if (!s || tcp_queue_seg(tp, s)) {
			/* without memory: a little later */
			pkt_free(&tp->w->cache, p);
			tp->fin_wanted = true;
			timer_set(&tp->w->wheel, &tp->pace_timer, tcp_now(tp) + 20 * NSEC_PER_MSEC);
			return;
		}
		tp->fin_queued = true;
	}
	tcp_push(tp, tcp_current_mss(tp), TCP_NAGLE_OFF);
}

/* ---- what limits the connection ---- */

static void chrono_set(struct tcp_sock *tp, uint8_t type)
{
	uint64_t now = tcp_now(tp);

	if (tp->chrono_type)
		tp->chrono_stat[tp->chrono_type - 1] += now - tp->chrono_start;
	tp->chrono_start = now;
	tp->chrono_type = type;
}

void tcp_chrono_start(struct tcp_sock *tp, uint8_t type)
{
	if (type > tp->chrono_type)
		chrono_set(tp, type);
}

void tcp_chrono_stop(struct tcp_sock *tp, uint8_t type)
{
	if (!tp->sndq.n)
		chrono_set(tp, TCP_CHRONO_NONE);
	else if (type == tp->chrono_type)
		chrono_set(tp, TCP_CHRONO_BUSY);
}
