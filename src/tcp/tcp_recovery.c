/*
 * tcp_recovery: the states of congestion control: Open, Disorder (something is missing, no loss
 * proven), CWR (the window is being reduced for ECN or a loss probe), Recovery (fast
 * retransmission), Loss (after a timeout); what takes the connection from one to another, and the
 * way back when a reduction proves needless.
 *
 * RFC 5681, 6675, 6582 (without SACK), 6937 (proportional rate reduction), 5682 (F-RTO), 4015 and
 * 3708 (undo by time stamps and by D-SACK), 8985 (loss by time: tcp_rack.c).
 */
#include "tcp/tcp_ack.h"
#include "tcp/tcp_mtup.h"
#include "tcp/tcp_output.h"

#define RACK_RECOVERY_THRESH 16

static bool in_reduction(const struct tcp_sock *tp)
{
	return tp->ca_state == TCP_CA_CWR || tp->ca_state == TCP_CA_Recovery;
}

static bool any_retrans_done(const struct tcp_sock *tp)
{
	return tp->retrans_out || (tp->n_rtx && segs_at(&tp->sndq, 0)->sacked & TCPCB_EVER_RETRANS);
}

/* ---- the window shrinks: RFC 6937 ---- */

static void init_reduction(struct tcp_sock *tp)
{
	tp->high_seq = tp->snd_nxt;
	tp->tlp_high_seq = 0;
	tp->snd_cwnd_cnt = 0;
	tp->prior_cwnd = tp->snd_cwnd;
	tp->prr_delivered = 0;
	tp->prr_out = 0;
	tp->snd_ssthresh = tp->cc->ssthresh(tp);
	tcp_ecn_queue_cwr(tp);
}

void tcp_cwnd_reduction(struct tcp_sock *tp, int delivered, int lost, int flag)
{
	int delta = (int)(tp->snd_ssthresh - tcp_packets_in_flight(tp)), n;

	if (delivered <= 0 || !tp->prior_cwnd)
		return;
	tp->prr_delivered += (uint32_t)delivered;
	if (delta < 0) {
		uint64_t dividend =
			(uint64_t)tp->snd_ssthresh * tp->prr_delivered + tp->prior_cwnd - 1;

		n = (int)(dividend / tp->prior_cwnd) - (int)tp->prr_out;
	} else {
		n = MAX((int)(tp->prr_delivered - tp->prr_out), delivered);
		if (flag & FLAG_SND_UNA_ADVANCED && !lost)
			n++;
		n = MIN(delta, n);
	}
	n = MAX(n, tp->prr_out ? 0 : 1);
	tp->snd_cwnd = MAX(tcp_packets_in_flight(tp) + (uint32_t)n, 1u);
}

static void end_reduction(struct tcp_sock *tp)
{
	if (tp->cc->cong_control)
		return;
	if (tp->snd_ssthresh < TCP_INF_SSTHRESH &&
	    (tp->ca_state == TCP_CA_CWR || tp->undo_marker)) {
		tp->snd_cwnd = tp->snd_ssthresh;
		tp->snd_cwnd_stamp = tcp_now(tp);
	}
	cc_event(tp, CA_EVENT_COMPLETE_CWR);
}

void tcp_enter_cwr(struct tcp_sock *tp)
{
	tp->prior_ssthresh = 0;
	if (tp->ca_state < TCP_CA_CWR) {
		tp->undo_marker = 0;
		init_reduction(tp);
		cc_set_state(tp, TCP_CA_CWR);
	}
}

/* ---- undo ---- */

static void init_undo(struct tcp_sock *tp)
{
	tp->undo_marker = tp->snd_una;
	/* each may come back as a D-SACK */
	tp->undo_retrans = (int32_t)tp->retrans_out;
	if (tp->tlp_high_seq && tp->tlp_retrans)
		tp->undo_retrans++;
	if (!tp->undo_retrans)
		tp->undo_retrans = -1; /* 0 would mean that all have come back */
}

static void undo_reduction(struct tcp_sock *tp, bool unmark_loss)
{
	if (unmark_loss) {
		for (unsigned i = 0; i < tp->n_rtx; i++)
			segs_at(&tp->sndq, i)->sacked &= ~TCPCB_LOST;
		tp->lost_out = 0;
		tcp_clear_hints(tp);
	}
	if (tp->prior_ssthresh) {
		tp->snd_cwnd = tp->cc->undo_cwnd(tp);
		if (tp->prior_ssthresh > tp->snd_ssthresh) {
			tp->snd_ssthresh = tp->prior_ssthresh;
			tp->ecn_flags &= ~TCP_ECN_QUEUE_CWR;
		}
	}
	tp->snd_cwnd_stamp = tcp_now(tp);
	tp->undo_marker = 0;
	tp->rack.advanced = true; /* losses are looked at anew */
}

/* RFC 3522: does the echoed time stamp tell of the original, sent before its retransmission? */
static bool packet_delayed(const struct tcp_sock *tp)
{
	if (tp->retrans_stamp)
		return tp->rx_opt.saw_tstamp && tp->rx_opt.rcv_tsecr &&
		       before(tp->rx_opt.rcv_tsecr, tp->retrans_stamp);
	/* nothing was retransmitted, so what arrived was the original; but for these: */
	if (!tcp_is_sack(tp) && !before(tp->snd_una, tp->high_seq))
		return false;
	return tp->node.state != TCP_SYN_SENT;
}

static bool may_undo(const struct tcp_sock *tp)
{
	return tp->undo_marker && (!tp->undo_retrans || packet_delayed(tp));
}

/* Without SACK the state holds until something above high_seq is acknowledged (RFC 6582): else
 * duplicates of the same loss would start another recovery. */
static bool reno_holds(struct tcp_sock *tp)
{
	if (tp->snd_una != tp->high_seq || tcp_is_sack(tp))
		return false;
	if (!any_retrans_done(tp))
		tp->retrans_stamp = 0;
	return true;
}

/* The recovery is over. True: the state is to be held. */
static bool try_undo_recovery(struct tcp_sock *tp)
{
	if (may_undo(tp)) {
		tcp_mib(tp)[tp->ca_state == TCP_CA_Loss ? MIB_TcpExt_TCPLossUndo
							: MIB_TcpExt_TCPFullUndo]++;
		undo_reduction(tp, false);
	} else if (tp->rack.reo_wnd_persist) {
		tp->rack.reo_wnd_persist--;
	}
	if (reno_holds(tp))
		return true;
	cc_set_state(tp, TCP_CA_Open);
	tp->is_sack_reneg = false;
	return false;
}

static bool try_undo_dsack(struct tcp_sock *tp)
{
	if (!tp->undo_marker || tp->undo_retrans)
		return false;
	tp->rack.reo_wnd_persist = (uint8_t)MIN(RACK_RECOVERY_THRESH, tp->rack.reo_wnd_persist + 1);
	undo_reduction(tp, false);
	tcp_mib(tp)[MIB_TcpExt_TCPDSACKUndo]++;
	return true;
}

static bool try_undo_loss(struct tcp_sock *tp, bool frto)
{
	if (!frto && !may_undo(tp))
		return false;
	undo_reduction(tp, true);
	tcp_mib(tp)[MIB_TcpExt_TCPLossUndo]++;
	if (frto)
		tcp_mib(tp)[MIB_TcpExt_TCPSpuriousRTOs]++;
	tp->retransmits = 0;
	if (reno_holds(tp))
		return true;
	if (frto || tcp_is_sack(tp)) {
		cc_set_state(tp, TCP_CA_Open);
		tp->is_sack_reneg = false;
	}
	return true;
}

static void try_keep_open(struct tcp_sock *tp)
{
	enum tcp_ca_state s = TCP_CA_Open;

	if (tp->sacked_out + tp->lost_out || any_retrans_done(tp))
		s = TCP_CA_Disorder;
	if (tp->ca_state != s) {
		cc_set_state(tp, s);
		tp->high_seq = tp->snd_nxt;
	}
}

static void try_to_open(struct tcp_sock *tp, int flag)
{
	if (!any_retrans_done(tp))
		tp->retrans_stamp = 0;
	if (flag & FLAG_ECE)
		tcp_enter_cwr(tp);
	if (tp->ca_state != TCP_CA_CWR)
		try_keep_open(tp);
}

/* A partial ACK. True: only wait, all that arrives is delayed, not lost. */
static bool try_undo_partial(struct tcp_sock *tp, uint32_t prior_snd_una)
{
	if (!tp->undo_marker || !packet_delayed(tp))
		return false;
	tcp_check_sack_reordering(tp, prior_snd_una, true);
	if (tp->retrans_out)
		return true;
	if (!any_retrans_done(tp))
		tp->retrans_stamp = 0;
	undo_reduction(tp, true);
	tcp_mib(tp)[MIB_TcpExt_TCPPartialUndo]++;
	try_keep_open(tp);
	return false;
}

/* ---- loss ---- */

/* Without SACK the first segment is lost after enough duplicates, and after each partial ACK. */
static void reno_mark_lost(struct tcp_sock *tp, bool advanced)
{
	if (!((tp->ca_state < TCP_CA_Recovery && tp->sacked_out >= tp->reordering) ||
	      (tp->ca_state == TCP_CA_Recovery && advanced)))
		return;
	struct tcp_seg *s = segs_at(&tp->sndq, 0);

	if (s->sacked & TCPCB_LOST)
		return;
	if (s->n > 1 && s->p->total > tp->mss_cache)
		tcp_split_seg(tp, 0, tp->mss_cache, tp->mss_cache);
	tcp_mark_seg_lost(tp, s);
}

static void identify_loss(struct tcp_sock *tp, int *flag)
{
	if (!tp->n_rtx)
		return;
	if (!tcp_is_sack(tp)) {
		reno_mark_lost(tp, *flag & FLAG_SND_UNA_ADVANCED);
		return;
	}
	uint32_t was = tp->retrans_out;

	if (tcp_rack_mark_lost(tp))
		*flag &= ~FLAG_SET_XMIT_TIMER;
	if (was > tp->retrans_out)
		*flag |= FLAG_LOST_RETRANS;
}

void tcp_enter_recovery(struct tcp_sock *tp, bool ece)
{
	if (!any_retrans_done(tp))
		tp->retrans_stamp = 0;
	tcp_mib(tp)[tcp_is_sack(tp) ? MIB_TcpExt_TCPSackRecovery : MIB_TcpExt_TCPRenoRecovery]++;
	tp->prior_ssthresh = 0;
	init_undo(tp);
	if (!in_reduction(tp)) {
		if (!ece)
			tp->prior_ssthresh = tcp_current_ssthresh(tp);
		init_reduction(tp);
	}
	cc_set_state(tp, TCP_CA_Recovery);
}

/* A timeout: all but what was sent so lately that it may still be on its way is lost. */
static void timeout_mark_lost(struct tcp_sock *tp)
{
	bool reneg = tp->n_rtx && segs_at(&tp->sndq, 0)->sacked & TCPCB_SACKED_ACKED;

	if (reneg) {
		/* the peer has dropped what it had SACKed (RFC 2018 8) */
		tcp_mib(tp)[MIB_TcpExt_TCPSACKReneging]++;
		tp->sacked_out = 0;
		tp->is_sack_reneg = true;
		memset(tp->recv_sack_cache, 0, sizeof(tp->recv_sack_cache));
	} else if (!tcp_is_sack(tp)) {
		tp->sacked_out = 0;
	}
	for (unsigned i = 0; i < tp->n_rtx; i++) {
		struct tcp_seg *s = segs_at(&tp->sndq, i);

		if (reneg)
			s->sacked &= ~TCPCB_SACKED_ACKED;
		else if (i && tcp_is_sack(tp) && tcp_rack_timeout(tp, s, 0) > 0)
			continue;
		tcp_mark_seg_lost(tp, s);
	}
	tcp_clear_hints(tp);
}

void tcp_enter_loss(struct tcp_sock *tp)
{
	const struct tcp_net *tn = tcp_net(tp->in.sk.net);
	bool fresh = tp->ca_state < TCP_CA_Recovery;

	timeout_mark_lost(tp);
	if (tp->ca_state <= TCP_CA_Disorder || !after(tp->high_seq, tp->snd_una) ||
	    (tp->ca_state == TCP_CA_Loss && !tp->retransmits)) {
		tp->prior_ssthresh = tcp_current_ssthresh(tp);
		tp->prior_cwnd = tp->snd_cwnd;
		tp->snd_ssthresh = tp->cc->ssthresh(tp);
		cc_event(tp, CA_EVENT_LOSS);
		init_undo(tp);
	}
	tp->snd_cwnd = tcp_packets_in_flight(tp) + 1;
	tp->snd_cwnd_cnt = 0;
	tp->snd_cwnd_stamp = tcp_now(tp);
	/* so many duplicates and yet a timeout: reordering was overestimated */
	if (tp->ca_state <= TCP_CA_Disorder && tp->sacked_out >= (uint32_t)tn->tcp_reordering)
		tp->reordering = MIN(tp->reordering, (uint32_t)tn->tcp_reordering);
	cc_set_state(tp, TCP_CA_Loss);
	tp->high_seq = tp->snd_nxt;
	tp->tlp_high_seq = 0;
	tcp_ecn_queue_cwr(tp);
	tp->frto = tn->tcp_frto && (fresh || tp->retransmits) && !tp->mtup.probe_size;
}

/* RFC 5682 3.1: is the timeout spurious? First new data is sent; what is acknowledged then without
 * having been retransmitted tells. */
static void process_loss(struct tcp_sock *tp, int flag, unsigned n_dupack, enum rexmit *rexmit)
{
	bool recovered = !before(tp->snd_una, tp->high_seq);

	if ((flag & FLAG_SND_UNA_ADVANCED || tp->fast_open_child) && try_undo_loss(tp, false))
		return;
	if (tp->frto) {
		if (flag & FLAG_ORIG_SACK_ACKED && try_undo_loss(tp, true))
			return;
		if (after(tp->snd_nxt, tp->high_seq)) {
			if (flag & FLAG_DATA_SACKED || n_dupack)
				tp->frto = false; /* the loss was real */
		} else if (flag & FLAG_SND_UNA_ADVANCED && !recovered) {
			tp->high_seq = tp->snd_nxt;
			if (tp->n_rtx < tp->sndq.n && after(tcp_wnd_end(tp), tp->snd_nxt)) {
				*rexmit = REXMIT_NEW;
				return;
			}
			tp->frto = false;
		}
	}
	if (recovered) {
		try_undo_recovery(tp);
		return;
	}
	if (!tcp_is_sack(tp)) {
		if (after(tp->snd_nxt, tp->high_seq) && n_dupack)
			tcp_add_reno_sack(tp, n_dupack, flag & FLAG_ECE);
		else if (flag & FLAG_SND_UNA_ADVANCED)
			tp->sacked_out = 0;
	}
	*rexmit = REXMIT_LOST;
}

/* RFC 2018 8: SACKed data at the left edge that is not acknowledged: soon a timeout. */
static bool check_reneging(struct tcp_sock *tp, int *flag)
{
	const int both = FLAG_SACK_RENEGING | FLAG_SND_UNA_ADVANCED;

	if ((*flag & both) != both)
		return false;
	tcp_reset_rto_timer(tp, ICSK_TIME_RETRANS,
			    MAX((tp->srtt_us >> 4) * NSEC_PER_USEC, 10 * NSEC_PER_MSEC));
	*flag &= ~FLAG_SET_XMIT_TIMER;
	return true;
}

/* ---- the states ---- */

/* What ends with high_seq acknowledged. True: the state is held. */
static bool leave_state(struct tcp_sock *tp)
{
	if (tp->ca_state == TCP_CA_Open) {
		tp->retrans_stamp = 0;
	} else if (!before(tp->snd_una, tp->high_seq)) {
		if (tp->ca_state == TCP_CA_CWR) {
			if (tp->snd_una != tp->high_seq) {
				end_reduction(tp);
				cc_set_state(tp, TCP_CA_Open);
			}
		} else if (tp->ca_state == TCP_CA_Recovery) {
			if (!tcp_is_sack(tp))
				tp->sacked_out = 0;
			if (try_undo_recovery(tp))
				return true;
			end_reduction(tp);
		}
	}
	return false;
}

void tcp_fastretrans_alert(struct tcp_sock *tp, uint32_t prior_snd_una, unsigned n_dupack,
			   int *ack_flag, enum rexmit *rexmit)
{
	int flag = *ack_flag;
	bool ece = flag & FLAG_ECE;

	if (!tp->packets_out)
		tp->sacked_out = 0;
	if (ece)
		tp->prior_ssthresh = 0; /* no undo: the reduction is due */
	if (check_reneging(tp, ack_flag) || leave_state(tp))
		return;
	switch (tp->ca_state) {
	case TCP_CA_Recovery:
		if (!(flag & FLAG_SND_UNA_ADVANCED)) {
			if (!tcp_is_sack(tp))
				tcp_add_reno_sack(tp, n_dupack, ece);
		} else if (try_undo_partial(tp, prior_snd_una)) {
			return;
		}
		if (try_undo_dsack(tp))
			try_to_open(tp, flag);
		identify_loss(tp, ack_flag);
		if (tp->ca_state != TCP_CA_Recovery) {
			if (!tp->lost_out)
				return;
			tcp_enter_recovery(tp, ece);
		}
		break;
	case TCP_CA_Loss:
		process_loss(tp, flag, n_dupack, rexmit);
		identify_loss(tp, ack_flag);
		if (tp->ca_state != TCP_CA_Open && !(*ack_flag & FLAG_LOST_RETRANS))
			return;
		/* fall through */
	default:
		if (!tcp_is_sack(tp)) {
			if (flag & FLAG_SND_UNA_ADVANCED)
				tp->sacked_out = 0;
			tcp_add_reno_sack(tp, n_dupack, ece);
		}
		if (tp->ca_state <= TCP_CA_Disorder)
			try_undo_dsack(tp);
		identify_loss(tp, ack_flag);
		if (!tp->lost_out) {
			try_to_open(tp, flag);
			return;
		}
		if (tcp_mtup_lost(tp))
			return;
		tcp_enter_recovery(tp, ece);
	}
	*rexmit = REXMIT_LOST;
}

/* RFC 8985 7.4: did the loss probe repair a loss? */
void tcp_process_tlp_ack(struct tcp_sock *tp, uint32_t ack, int flag)
{
	if (before(ack, tp->tlp_high_seq))
		return;
	if (!tp->tlp_retrans || flag & FLAG_DSACK_TLP) {
		tp->tlp_high_seq = 0;
	} else if (after(ack, tp->tlp_high_seq)) {
		init_reduction(tp);
		cc_set_state(tp, TCP_CA_CWR);
		end_reduction(tp);
		try_keep_open(tp);
		tcp_mib(tp)[MIB_TcpExt_TCPLossProbeRecovery]++;
	} else if (!(flag & (FLAG_SND_UNA_ADVANCED | FLAG_NOT_DUP | FLAG_DATA_SACKED))) {
		tp->tlp_high_seq = 0;
	}
}
