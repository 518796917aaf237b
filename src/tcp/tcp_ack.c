/*
 * tcp_ack: an acknowledgement: the window, what leaves the retransmission queue, the round trip
 * (RFC 6298, 7323), and then the states of congestion control (tcp_recovery.c) and the window they
 * leave.
 */
#include "tcp/tcp_ack.h"

#include "tcp/tcp_data.h"
#include "tcp/tcp_input.h"
#include "tcp/tcp_mtup.h"
#include "tcp/tcp_output.h"

/* ---- round trips ---- */

uint32_t tcp_min_rtt_us(const struct tcp_sock *tp)
{
	return tp->rtt_min_us[0];
}

/* The windowed minimum by three samples (Nichols): the best, and the best of what came later. */
static void update_min_rtt(struct tcp_sock *tp, int64_t rtt_us, int flag)
{
	uint32_t now = tcp_time_stamp(tp), *v = tp->rtt_min_us, *at = tp->rtt_min_at;
	uint32_t wlen = (uint32_t)tcp_net(tp->in.sk.net)->tcp_min_rtt_wlen * 1000;
	uint32_t rtt = rtt_us > 0 ? (uint32_t)rtt_us : 1000;

	if (flag & FLAG_ACK_MAYBE_DELAYED && rtt_us > (int64_t)tcp_min_rtt_us(tp))
		return;
	if (rtt <= v[0] || now - at[2] > wlen) {
		v[0] = v[1] = v[2] = rtt;
		at[0] = at[1] = at[2] = now;
		return;
	}
	if (rtt <= v[1]) {
		v[1] = v[2] = rtt;
		at[1] = at[2] = now;
	} else if (rtt <= v[2]) {
		v[2] = rtt;
		at[2] = now;
	}
	uint32_t age = now - at[0];

	if (age > wlen) {
		v[0] = v[1], at[0] = at[1];
		v[1] = v[2], at[1] = at[2];
		v[2] = rtt, at[2] = now;
		if (now - at[0] > wlen) {
			v[0] = v[1], at[0] = at[1];
			v[1] = v[2], at[1] = at[2];
		}
	} else if (at[1] == at[0] && age > wlen / 4) {
		v[1] = v[2] = rtt;
		at[1] = at[2] = now;
	} else if (at[2] == at[1] && age > wlen / 2) {
		v[2] = rtt;
		at[2] = now;
	}
}

void tcp_rtt_estimator(struct tcp_sock *tp, int64_t mrtt_us)
{
	int64_t m = mrtt_us, srtt = tp->srtt_us;
	uint32_t rto_min = (uint32_t)(tcp_rto_min(tp) / NSEC_PER_USEC);

	if (!srtt) {
		tp->mdev_us = (uint32_t)m << 1;
		tp->rttvar_us = MAX(tp->mdev_us, rto_min);
		tp->mdev_max_us = tp->rttvar_us;
		tp->rtt_seq = tp->snd_nxt;
		tp->srtt_us = MAX((uint32_t)m << 3, 1u);
		return;
	}
	m -= srtt >> 3;
	srtt += m;
	if (m < 0) {
		/* a round trip that shortens makes the deviation grow slowly only */
		m = -m - (tp->mdev_us >> 2);
		if (m > 0)
			m >>= 3;
	} else {
		m -= tp->mdev_us >> 2;
	}
	tp->mdev_us = (uint32_t)((int64_t)tp->mdev_us + m);
	if (tp->mdev_us > tp->mdev_max_us) {
		tp->mdev_max_us = tp->mdev_us;
		tp->rttvar_us = MAX(tp->rttvar_us, tp->mdev_max_us);
	}
	if (after(tp->snd_una, tp->rtt_seq)) {
		if (tp->mdev_max_us < tp->rttvar_us)
			tp->rttvar_us -= (tp->rttvar_us - tp->mdev_max_us) >> 2;
		tp->rtt_seq = tp->snd_nxt;
		tp->mdev_max_us = rto_min;
	}
	tp->srtt_us = MAX((uint32_t)srtt, 1u);
}

void tcp_set_rto(struct tcp_sock *tp)
{
	/* in whole ms, as the kernel's clock ticks */
	uint64_t us = (tp->srtt_us >> 3) + tp->rttvar_us;

	tp->rto = MIN((us + 999) / 1000 * NSEC_PER_MSEC, tcp_rto_max(tp));
}

int64_t tcp_rtt_tsopt_us(const struct tcp_sock *tp, uint32_t min_delta)
{
	uint32_t delta = tcp_time_stamp(tp) - tp->rx_opt.rcv_tsecr;

	if (delta >= INT32_MAX / 1000)
		return -1;
	return (int64_t)(delta ? delta : min_delta) * 1000;
}

static bool update_rtt(struct tcp_sock *tp, int flag, int64_t seq_rtt, int64_t sack_rtt,
		       int64_t ca_rtt, struct rate_sample *rs)
{
	if (seq_rtt < 0)
		seq_rtt = sack_rtt;
	if (seq_rtt < 0 && tp->rx_opt.saw_tstamp && tp->rx_opt.rcv_tsecr && flag & FLAG_ACKED)
		seq_rtt = ca_rtt = tcp_rtt_tsopt_us(tp, 1);
	rs->rtt_us = ca_rtt;
	if (seq_rtt < 0)
		return false;
	update_min_rtt(tp, ca_rtt, flag);
	tcp_rtt_estimator(tp, seq_rtt);
	tcp_set_rto(tp);
	tp->backoff = 0;
	return true;
}

void tcp_synack_rtt(struct tcp_sock *tp, uint64_t sent)
{
	struct rate_sample rs;
	int64_t rtt = sent ? (int64_t)((tcp_now(tp) - sent) / NSEC_PER_USEC) : -1;

	update_rtt(tp, FLAG_SYN_ACKED, rtt, -1, rtt, &rs);
}

/* ---- the window ---- */

static bool may_update_window(const struct tcp_sock *tp, const struct tcp_rx *rx, uint32_t nwin)
{
	return after(rx->ack, tp->snd_una) || after(rx->seq, tp->snd_wl1) ||
	       (rx->seq == tp->snd_wl1 && (nwin > tp->snd_wnd || !nwin));
}

static void snd_una_update(struct tcp_sock *tp, uint32_t ack)
{
	tp->bytes_acked += ack - tp->snd_una;
	tp->snd_una = ack;
}

static int update_window(struct tcp_sock *tp, const struct tcp_rx *rx)
{
	uint32_t nwin = rx->flags & TCPHDR_SYN ? rx->win : rx->win << tp->rx_opt.snd_wscale;
	int flag = 0;

	if (may_update_window(tp, rx, nwin)) {
		flag |= FLAG_WIN_UPDATE;
		tp->snd_wl1 = rx->seq;
		if (tp->snd_wnd != nwin) {
			tp->snd_wnd = nwin;
			if (tp->n_rtx < tp->sndq.n)
				tcp_cwnd_restart_if_idle(tp);
			if (nwin > tp->max_window) {
				tp->max_window = nwin;
				tcp_sync_mss(tp, tp->pmtu_cookie);
			}
		}
	}
	snd_una_update(tp, rx->ack);
	return flag;
}

/* ---- the retransmission queue ---- */

struct clean {
	uint64_t first_ackt, last_ackt;
	uint32_t reord, prior_sacked, pkts;
	bool fully;
	int flag;
};

/* Counts the (part of the) segment that was acknowledged. */
static void ack_seg(struct tcp_sock *tp, struct tcp_seg *s, uint32_t n, struct clean *k,
		    struct ack_state *st, bool ece)
{
	const uint8_t retrans = TCPCB_SACKED_RETRANS | TCPCB_EVER_RETRANS;

	if (s->sacked & retrans) {
		if (s->sacked & TCPCB_SACKED_RETRANS)
			tp->retrans_out -= n;
		k->flag |= FLAG_RETRANS_DATA_ACKED;
	} else if (!(s->sacked & TCPCB_SACKED_ACKED)) {
		k->last_ackt = s->sent;
		if (!k->first_ackt)
			k->first_ackt = s->sent;
		if (before(s->seq, k->reord))
			k->reord = s->seq;
		if (!after(s->end_seq, tp->high_seq))
			k->flag |= FLAG_ORIG_SACK_ACKED;
	}
	if (s->sacked & TCPCB_SACKED_ACKED) {
		tp->sacked_out -= n;
	} else if (tcp_is_sack(tp)) {
		tcp_count_delivered(tp, n, ece);
		/* the original arrived although it was sent again */
		if (!(s->sacked & retrans && tp->rx_opt.saw_tstamp && tp->rx_opt.rcv_tsecr &&
		      before(tp->rx_opt.rcv_tsecr, (uint32_t)(s->sent / NSEC_PER_MSEC))))
			tcp_rack_advance(tp, s);
	}
	if (s->sacked & TCPCB_LOST)
		tp->lost_out -= n;
	tp->packets_out -= n;
	k->pkts += n;
	tcp_rate_seg_delivered(tp, s, &st->rate);
	if (likely(!(s->flags & TCPHDR_SYN))) {
		k->flag |= FLAG_DATA_ACKED;
	} else {
		k->flag |= FLAG_SYN_ACKED;
		tp->retrans_stamp = 0;
	}
}

/* Of a segment of several mss only the front was acknowledged. */
static void ack_part(struct tcp_sock *tp, struct tcp_seg *s, struct clean *k, struct ack_state *st,
		     bool ece)
{
	uint32_t len = tp->snd_una - s->seq, mss = MAX(s->size, (uint16_t)1);

	if (s->n == 1 || !after(tp->snd_una, s->seq))
		return;
	k->fully = false;
	/* at least 1: of all that is left the FIN */
	uint32_t left = MAX((s->p->total - len + mss - 1) / mss, 1u);

	if (s->n > left)
		ack_seg(tp, s, s->n - left, k, st, ece);
	s->n = (uint16_t)left;
	tcp_trim_seg(tp, s, len);
}

/* Takes off what is acknowledged; where one of several mss is cut, its front. */
static void take_off(struct tcp_sock *tp, struct clean *k, struct ack_state *st, bool ece)
{
	unsigned done = 0;

	for (; done < tp->n_rtx; done++) {
		struct tcp_seg *s = segs_at(&tp->sndq, done);

		if (after(s->end_seq, tp->snd_una)) {
			ack_part(tp, s, k, st, ece);
			break;
		}
		ack_seg(tp, s, s->n, k, st, ece);
		tcp_free_seg(tp, s);
	}
	if (!done)
		return;
	tp->n_rtx -= done;
	segs_drop(&tp->sndq, done);
}

static int clean_rtx_queue(struct tcp_sock *tp, uint32_t prior_fack, uint32_t prior_snd_una,
			   struct ack_state *st, bool ece)
{
	struct clean k = {.reord = tp->snd_nxt, .prior_sacked = tp->sacked_out, .fully = true};
	int64_t sack_rtt = -1, seq_rtt = -1, ca_rtt = -1;
	uint64_t now = tcp_now(tp);

	tcp_errq_acked(tp);
	take_off(tp, &k, st, ece);
	struct tcp_seg *s = tp->n_rtx ? segs_at(&tp->sndq, 0) : NULL;

	if (!s)
		tcp_chrono_stop(tp, TCP_CHRONO_BUSY);
	if (between(tp->snd_up, prior_snd_una, tp->snd_una))
		tp->snd_up = tp->snd_una;
	if (s && s->sacked & TCPCB_SACKED_ACKED)
		k.flag |= FLAG_SACK_RENEGING;
	if (k.first_ackt && !(k.flag & FLAG_RETRANS_DATA_ACKED)) {
		seq_rtt = (int64_t)((now - k.first_ackt) / NSEC_PER_USEC);
		ca_rtt = (int64_t)((now - k.last_ackt) / NSEC_PER_USEC);
		if (k.pkts == 1 && k.fully && !k.prior_sacked &&
		    tp->snd_una - prior_snd_una < tp->mss_cache &&
		    st->rate.prior_delivered + 1 == tp->delivered &&
		    !(k.flag & (FLAG_CA_ALERT | FLAG_SYN_ACKED)))
			k.flag |= FLAG_ACK_MAYBE_DELAYED;
	}
	if (st->first_sackt) {
		sack_rtt = (int64_t)((now - st->first_sackt) / NSEC_PER_USEC);
		ca_rtt = (int64_t)((now - st->last_sackt) / NSEC_PER_USEC);
	}
	bool rtt = update_rtt(tp, k.flag, seq_rtt, sack_rtt, ca_rtt, &st->rate);

	if (k.flag & FLAG_ACKED) {
		k.flag |= FLAG_SET_XMIT_TIMER;
		tcp_mtup_acked(tp);
		if (!tcp_is_sack(tp)) {
			tcp_remove_reno_sacks(tp, k.pkts, ece);
			if (k.flag & FLAG_RETRANS_DATA_ACKED)
				k.flag &= ~FLAG_ORIG_SACK_ACKED;
		} else if (before(k.reord, prior_fack)) {
			tcp_check_sack_reordering(tp, k.reord, false);
		}
	} else if (s && rtt && sack_rtt >= 0 &&
		   sack_rtt > (int64_t)((now - s->sent) / NSEC_PER_USEC)) {
		k.flag |= FLAG_SET_XMIT_TIMER;
	}
	if (tp->cc->pkts_acked) {
		struct ack_sample a = {.pkts_acked = k.pkts,
				       .rtt_us = (int32_t)st->rate.rtt_us,
				       .in_flight = tp->mss_cache *
						    (tp->delivered - st->rate.prior_delivered)};

		tp->cc->pkts_acked(tp, &a);
	}
	return k.flag;
}

/* ---- what follows ---- */

void tcp_update_pacing_rate(struct tcp_sock *tp)
{
	const struct tcp_net *tn = tcp_net(tp->in.sk.net);
	uint64_t rate = (uint64_t)tp->mss_cache * ((1000000 / 100) << 3);

	rate *= (uint64_t)(tp->snd_cwnd < tp->snd_ssthresh / 2 ? tn->tcp_pacing_ss_ratio
							       : tn->tcp_pacing_ca_ratio);
	rate *= MAX(tp->snd_cwnd, tp->packets_out);
	if (tp->srtt_us)
		rate /= tp->srtt_us;
	tp->pacing_rate = MIN(rate, tp->max_pacing_rate);
}

static void cong_control(struct tcp_sock *tp, uint32_t ack, uint32_t delivered, int flag,
			 const struct rate_sample *rs)
{
	const struct tcp_net *tn = tcp_net(tp->in.sk.net);

	if (tp->cc->cong_control) {
		tp->cc->cong_control(tp, ack, flag, rs);
		return;
	}
	bool reordered = tp->reordering > (uint32_t)tn->tcp_reordering;

	if (tp->ca_state == TCP_CA_CWR || tp->ca_state == TCP_CA_Recovery) {
		tcp_cwnd_reduction(tp, (int)delivered, rs->losses, flag);
	} else if (flag & (reordered ? FLAG_FORWARD_PROGRESS : FLAG_DATA_ACKED)) {
		tp->cc->cong_avoid(tp, ack, delivered);
		tp->snd_cwnd_stamp = tcp_now(tp);
	}
	tcp_update_pacing_rate(tp);
}

static void xmit_recovery(struct tcp_sock *tp, enum rexmit rexmit)
{
	if (rexmit == REXMIT_NONE || tp->node.state == TCP_SYN_SENT)
		return;
	if (rexmit == REXMIT_NEW) {
		tcp_push(tp, tcp_current_mss(tp), TCP_NAGLE_OFF);
		if (after(tp->snd_nxt, tp->high_seq))
			return;
		tp->frto = false;
	}
	tcp_xmit_retransmit_queue(tp);
}

/* A window that opens ends the probing, one that stays shut goes on with it. */
static void ack_probe(struct tcp_sock *tp)
{
	if (tp->n_rtx == tp->sndq.n)
		return;
	if (!after(segs_at(&tp->sndq, tp->n_rtx)->end_seq, tcp_wnd_end(tp))) {
		tp->backoff = 0;
		tp->probes_tstamp = 0;
		if (tp->icsk_pending == ICSK_TIME_PROBE0)
			tcp_clear_rto_timer(tp);
	} else {
		tcp_reset_rto_timer(tp, ICSK_TIME_PROBE0,
				    tcp_clamp_probe0(tp, tcp_probe0_when(tp)));
	}
}

static void count_newly_delivered(struct tcp_sock *tp, uint32_t n, int flag)
{
	tcp_mib(tp)[MIB_TcpExt_TCPDelivered] += n;
	if (flag & FLAG_ECE)
		tcp_mib(tp)[MIB_TcpExt_TCPDeliveredCE] += n;
}

static void in_ack_event(struct tcp_sock *tp, int flag)
{
	uint32_t ev = 0;

	if (!tp->cc->in_ack_event)
		return;
	if (flag & FLAG_WIN_UPDATE)
		ev |= CA_ACK_WIN_UPDATE;
	if (flag & FLAG_SLOWPATH) {
		ev |= CA_ACK_SLOWPATH;
		if (flag & FLAG_ECE)
			ev |= CA_ACK_ECE;
	}
	tp->cc->in_ack_event(tp, ev);
}

static bool is_dubious(const struct tcp_sock *tp, int flag)
{
	return !(flag & FLAG_NOT_DUP) || flag & FLAG_CA_ALERT || tp->ca_state != TCP_CA_Open;
}

/* RFC 3168 6.1.3: the peer has reduced: no need to say it again; and ACK at once. */
static void ecn_accept_cwr(struct tcp_sock *tp, const struct tcp_rx *rx)
{
	if (!(rx->flags & TCPHDR_CWR))
		return;
	tp->ecn_flags &= ~TCP_ECN_DEMAND_CWR;
	if (rx->seq != rx->end_seq)
		tp->ack.pending |= ICSK_ACK_NOW;
}

/* ---- tcp_ack ---- */

static int old_ack(struct tcp_sock *tp, struct tcp_rx *rx, int flag)
{
	struct ack_state st = {.rate.rtt_us = -1};
	uint32_t una = tp->snd_una, delivered = tp->delivered;
	uint64_t window = MIN((uint64_t)tp->max_window, tp->bytes_acked);
	enum rexmit rexmit = REXMIT_NONE;

	/* RFC 5961 5.2: so old that it may be made up */
	if (before(rx->ack, una - (uint32_t)window)) {
		if (!(flag & FLAG_NO_CHALLENGE_ACK))
			tcp_send_challenge_ack(tp);
		return -DROP_TCP_TOO_OLD_ACK;
	}
	if (rx->n_sack) {
		flag |= tcp_sack_input(tp, rx, una, &st);
		tcp_fastretrans_alert(tp, una, 0, &flag, &rexmit);
		count_newly_delivered(tp, tp->delivered - delivered, flag);
		xmit_recovery(tp, rexmit);
	}
	return 0;
}

static void slow_ack(struct tcp_sock *tp, struct tcp_rx *rx, uint32_t una, struct ack_state *st,
		     int *flag)
{
	if (rx->seq != rx->end_seq)
		*flag |= FLAG_DATA;
	else
		tcp_mib(tp)[MIB_TcpExt_TCPPureAcks]++;
	*flag |= update_window(tp, rx);
	if (rx->n_sack)
		*flag |= tcp_sack_input(tp, rx, una, st);
	if (rx->flags & TCPHDR_ECE && !(rx->flags & TCPHDR_SYN) && tp->ecn_flags & TCP_ECN_OK)
		*flag |= FLAG_ECE;
	if (st->sack_delivered)
		tcp_count_delivered(tp, st->sack_delivered, *flag & FLAG_ECE);
}

int tcp_ack(struct tcp_sock *tp, struct pkt *p, struct tcp_rx *rx, int flag)
{
	struct ack_state st = {.rate.rtt_us = -1};
	uint32_t una = tp->snd_una, prior = tp->packets_out, fack;
	uint32_t delivered = tp->delivered, lost = tp->lost;
	bool reneg = tp->is_sack_reneg;
	enum rexmit rexmit = REXMIT_NONE;
	unsigned n_dupack = 0;

	if (before(rx->ack, una))
		return old_ack(tp, rx, flag);
	if (after(rx->ack, tp->snd_nxt))
		return -DROP_TCP_ACK_UNSENT_DATA;
	if (after(rx->ack, una)) {
		flag |= FLAG_SND_UNA_ADVANCED;
		tp->retransmits = 0;
	}
	fack = tcp_is_sack(tp) ? tcp_highest_sack(tp) : una;
	st.rate.prior_in_flight = tcp_packets_in_flight(tp);
	if (flag & FLAG_UPDATE_TS_RECENT)
		tcp_replace_ts_recent(tp, rx->seq);
	if ((flag & (FLAG_SLOWPATH | FLAG_SND_UNA_ADVANCED)) == FLAG_SND_UNA_ADVANCED) {
		tp->snd_wl1 = rx->seq;
		snd_una_update(tp, rx->ack);
		flag |= FLAG_WIN_UPDATE;
		tcp_mib(tp)[MIB_TcpExt_TCPHPAcks]++;
	} else {
		slow_ack(tp, rx, una, &st, &flag);
	}
	in_ack_event(tp, flag);
	ecn_accept_cwr(tp, rx);
	tp->soft_error = 0;
	tp->probes_out = 0;
	tp->keepalive_probes_out = 0;
	tp->rcv_tstamp = tcp_now(tp);
	if (!prior) {
		if (flag & FLAG_DSACKING_ACK) {
			tcp_fastretrans_alert(tp, una, 0, &flag, &rexmit);
			count_newly_delivered(tp, tp->delivered - delivered, flag);
		}
		ack_probe(tp);
		if (tp->tlp_high_seq)
			tcp_process_tlp_ack(tp, rx->ack, flag);
		return 1;
	}
	flag |= clean_rtx_queue(tp, fack, una, &st, flag & FLAG_ECE);
	tcp_rack_update_reo_wnd(tp, &st.rate);
	if (tp->tlp_high_seq)
		tcp_process_tlp_ack(tp, rx->ack, flag);
	if (is_dubious(tp, flag)) {
		if (!(flag & (FLAG_SND_UNA_ADVANCED | FLAG_NOT_DUP | FLAG_DSACKING_ACK)))
			n_dupack = 1;
		tcp_fastretrans_alert(tp, una, n_dupack, &flag, &rexmit);
	}
	if (flag & FLAG_SET_XMIT_TIMER && !tcp_schedule_loss_probe(tp, true))
		tcp_rearm_rto(tp);
	delivered = tp->delivered - delivered;
	count_newly_delivered(tp, delivered, flag);
	st.rate.is_ack_delayed = flag & FLAG_ACK_MAYBE_DELAYED;
	tcp_rate_gen(tp, delivered, tp->lost - lost, reneg, &st.rate);
	cong_control(tp, rx->ack, delivered, flag, &st.rate);
	xmit_recovery(tp, rexmit);
	return 1;
}
