/*
 * tcp_timer: the four timers of a connection: retransmission (which also stands for loss probes,
 * reordering and window probes: only one of these is ever due), delayed ACKs, keep-alive (and the
 * life of FIN_WAIT2), pacing. RFC 6298, 1122 4.2.3.6, 5482.
 */
#include "tcp/tcp_data.h"
#include "tcp/tcp_mtup.h"
#include "tcp/tcp_output.h"

#define ORPHAN_RETRIES 8

/* ---- arming ---- */

void tcp_reset_rto_timer(struct tcp_sock *tp, int what, uint64_t after)
{
	after = MIN(after, tcp_rto_max(tp));
	tp->icsk_pending = (uint8_t)what;
	timer_set(&tp->w->wheel, &tp->rto_timer, tcp_now(tp) + after);
}

void tcp_clear_rto_timer(struct tcp_sock *tp)
{
	/* the timer stays: most often it is set again soon, and else it fires in vain, once */
	tp->icsk_pending = ICSK_TIME_NONE;
}

void tcp_reset_delack_timer(struct tcp_sock *tp, uint64_t at)
{
	tp->ack.pending |= ICSK_ACK_TIMER;
	tp->ack.timeout = at;
	timer_set(&tp->w->wheel, &tp->delack_timer, at);
}

void tcp_reset_keepalive_timer(struct tcp_sock *tp, uint64_t after)
{
	timer_set(&tp->w->wheel, &tp->keep_timer, tcp_now(tp) + after);
}

uint64_t tcp_keepalive_time_when(const struct tcp_sock *tp)
{
	int s = tp->keepalive_time ? (int)tp->keepalive_time
				   : tcp_net(tp->in.sk.net)->tcp_keepalive_time;

	return (uint64_t)s * NSEC_PER_SEC;
}

static uint64_t keepalive_intvl_when(const struct tcp_sock *tp)
{
	int s = tp->keepalive_intvl ? (int)tp->keepalive_intvl
				    : tcp_net(tp->in.sk.net)->tcp_keepalive_intvl;

	return (uint64_t)s * NSEC_PER_SEC;
}

void tcp_set_keepalive(struct tcp_sock *tp, bool on)
{
	if (TCPF(tp->node.state) & (TCPF(TCP_CLOSE) | TCPF(TCP_LISTEN)))
		return;
	if (on && !timer_pending(&tp->keep_timer))
		tcp_reset_keepalive_timer(tp, tcp_keepalive_time_when(tp));
	else if (!on)
		timer_del(&tp->keep_timer);
}

uint64_t tcp_fin_time(const struct tcp_sock *tp)
{
	int s = tp->linger2 ? tp->linger2 : tcp_net(tp->in.sk.net)->tcp_fin_timeout;
	uint64_t ns = (uint64_t)s * NSEC_PER_SEC;

	/* at least 3.5 RTO: the FIN is to be acknowledged */
	return MAX(ns, (tp->rto << 2) - (tp->rto >> 1));
}

/* ---- giving up ---- */

void tcp_write_err(struct tcp_sock *tp)
{
	tcp_mib(tp)[MIB_TcpExt_TCPAbortOnTimeout]++;
	tcp_done_error(tp, tp->soft_error ? tp->soft_error : ETIMEDOUT);
}

/* Too many orphans or too much memory: the peer is not waited for. True: the socket is gone. */
static bool out_of_resources(struct tcp_sock *tp, bool do_reset)
{
	const struct tcp_core *core = tp->in.sk.weft->tcp;
	int shift = 0;

	/* a peer that opens no window, or a silent one, counts twice */
	if (tcp_now(tp) - tp->lsndtime > 2 * TCP_RTO_MAX || !do_reset)
		shift++;
	if (tp->soft_error)
		shift++;
	if ((int)(core->n_orphans << shift) <= core->max_orphans)
		return false;
	if (tcp_now(tp) - tp->lsndtime <= TCP_TIMEWAIT_LEN || (!tp->snd_wnd && !tp->packets_out))
		do_reset = true;
	if (do_reset)
		tcp_send_active_reset(tp);
	tcp_done(tp);
	tcp_mib(tp)[MIB_TcpExt_TCPAbortOnMemory]++;
	return true;
}

static int orphan_retries(const struct tcp_sock *tp, bool alive)
{
	int retries = tcp_net(tp->in.sk.net)->tcp_orphan_retries;

	/* what an ICMP message has told us about makes waiting idle */
	if (tp->soft_error && !alive)
		return 0;
	return retries || !alive ? retries : ORPHAN_RETRIES;
}

/* The time that `boundary` retransmissions with exponential backoff take. */
static uint64_t model_timeout(const struct tcp_sock *tp, unsigned boundary, uint64_t base)
{
	unsigned thresh = 0;
	uint64_t max = tcp_rto_max(tp);

	while (thresh < 63 && (base << (thresh + 1)) <= max)
		thresh++;
	if (boundary <= thresh)
		return ((2ULL << boundary) - 1) * base;
	return ((2ULL << thresh) - 1) * base + (boundary - thresh) * max;
}

static bool timed_out(const struct tcp_sock *tp, unsigned boundary, uint64_t timeout)
{
	uint32_t elapsed;

	if (!tp->retransmits)
		return false;
	if (!timeout) {
		uint64_t base = tcp_rto_min(tp);

		if (TCPF(tp->node.state) & (TCPF(TCP_SYN_SENT) | TCPF(TCP_SYN_RECV)))
			base = TCP_TIMEOUT_INIT;
		timeout = model_timeout(tp, boundary, base);
	}
	elapsed = tcp_time_stamp(tp) - tp->retrans_stamp;
	return elapsed >= timeout / NSEC_PER_MSEC;
}

/* Is it time to give up? True: the socket is gone. */
static bool write_timeout(struct tcp_sock *tp)
{
	const struct tcp_net *tn = tcp_net(tp->in.sk.net);
	bool syn = TCPF(tp->node.state) & (TCPF(TCP_SYN_SENT) | TCPF(TCP_SYN_RECV)),
	     expired = false;
	int retry_until;

	if (syn) {
		retry_until = tp->user_syn_retries ? tp->user_syn_retries : tn->tcp_syn_retries;
		unsigned max = (unsigned)retry_until;

		if (tp->node.state == TCP_SYN_SENT)
			max += (unsigned)tn->tcp_syn_linear_timeouts;
		expired = tp->retransmits >= max;
	} else {
		retry_until = tn->tcp_retries2;
		if (timed_out(tp, (unsigned)tn->tcp_retries1, 0)) {
			tcp_mtup_black_hole(tp);
		}
		if (tp->orphan) {
			bool alive = tp->rto < tcp_rto_max(tp);

			retry_until = orphan_retries(tp, alive);
			bool reset = alive || !timed_out(tp, (unsigned)retry_until, 0);

			if (out_of_resources(tp, reset))
				return true;
		}
	}
	if (!expired)
		expired = timed_out(tp, (unsigned)retry_until, tp->user_timeout * NSEC_PER_MSEC);
	tcp_fastopen_active_detect_blackhole(tp, expired);
	if (expired)
		tcp_write_err(tp);
	return expired;
}

/* ---- retransmission ---- */

/* The wait until TCP_USER_TIMEOUT ends, if that is sooner. */
static uint64_t clamp_rto(const struct tcp_sock *tp)
{
	uint64_t user = tp->user_timeout * NSEC_PER_MSEC;

	if (!user)
		return tp->rto;
	uint32_t elapsed = tcp_time_stamp(tp) - tp->retrans_stamp;
	int64_t left = (int64_t)user - (int64_t)(elapsed * NSEC_PER_MSEC);

	return left <= 0 ? NSEC_PER_MSEC : MIN(tp->rto, (uint64_t)left);
}

uint64_t tcp_clamp_probe0(const struct tcp_sock *tp, uint64_t after)
{
	uint64_t user = tp->user_timeout * NSEC_PER_MSEC;

	if (!user || !tp->probes_tstamp)
		return after;
	int64_t left = (int64_t)(tp->probes_tstamp + user) - (int64_t)tcp_now(tp);

	return MIN(after, (uint64_t)MAX(left, (int64_t)TCP_TIMEOUT_MIN));
}

static bool wnd_probe_timed_out(const struct tcp_sock *tp)
{
	uint64_t timeout = tp->user_timeout ? tp->user_timeout * NSEC_PER_MSEC : 2 * TCP_RTO_MAX;
	uint32_t since = tp->retrans_stamp
				 ? tp->retrans_stamp
				 : (uint32_t)(segs_at(&tp->sndq, 0)->sent / NSEC_PER_MSEC);

	return tcp_now(tp) - tp->rcv_tstamp > timeout &&
	       tcp_time_stamp(tp) - since > timeout / NSEC_PER_MSEC;
}

static void count_timeout(struct tcp_sock *tp)
{
	int mib = -1;

	if (tp->retransmits)
		return;
	if (tp->ca_state == TCP_CA_Recovery)
		mib = tcp_is_sack(tp) ? MIB_TcpExt_TCPSackRecoveryFail
				      : MIB_TcpExt_TCPRenoRecoveryFail;
	else if (tp->ca_state == TCP_CA_Loss)
		mib = MIB_TcpExt_TCPLossFailures;
	else if (tp->ca_state == TCP_CA_Disorder || tp->sacked_out)
		mib = tcp_is_sack(tp) ? MIB_TcpExt_TCPSackFailures : MIB_TcpExt_TCPRenoFailures;
	if (mib >= 0)
		tcp_mib(tp)[mib]++;
}

static bool is_thin(const struct tcp_sock *tp)
{
	return tp->packets_out < 4 && !tcp_in_initial_slowstart(tp);
}

static void backoff(struct tcp_sock *tp)
{
	const struct tcp_net *tn = tcp_net(tp->in.sk.net);

	if (tp->node.state == TCP_ESTABLISHED && (tp->thin_lto || tn->tcp_thin_linear_timeouts) &&
	    is_thin(tp) && tcp_is_sack(tp) && tp->retransmits <= 6) {
		tp->backoff = 0;
		tcp_set_rto(tp);
		tp->rto = MIN(MAX(tp->rto, tcp_rto_min(tp)), tcp_rto_max(tp));
	} else if (tp->node.state != TCP_SYN_SENT ||
		   tp->total_rto > (unsigned)tn->tcp_syn_linear_timeouts) {
		tp->backoff++;
		tp->rto = MIN(tp->rto << 1, tcp_rto_max(tp));
	}
}

static void retransmit_timeout(struct tcp_sock *tp)
{
	if (!tp->packets_out || !tp->n_rtx)
		return;
	tp->tlp_high_seq = 0;
	if (!tp->snd_wnd && !tp->orphan &&
	    !(TCPF(tp->node.state) & (TCPF(TCP_SYN_SENT) | TCPF(TCP_SYN_RECV)))) {
		/* the peer has shrunk its window to nothing: the first segment probes it */
		if (wnd_probe_timed_out(tp)) {
			tcp_write_err(tp);
			return;
		}
		tcp_enter_loss(tp);
		tcp_retransmit_seg(tp, 0, 1);
		goto rearm;
	}
	tcp_mib(tp)[MIB_TcpExt_TCPTimeouts]++;
	if (write_timeout(tp))
		return;
	count_timeout(tp);
	tcp_enter_loss(tp);
	tp->total_rto++;
	tp->retransmits++;
	if (tcp_retransmit_seg(tp, 0, 1) == -ENOBUFS) {
		/* local trouble: soon again, and without backoff */
		tcp_reset_rto_timer(tp, ICSK_TIME_RETRANS, PROBE_INTERVAL);
		return;
	}
	backoff(tp);
rearm:
	tcp_reset_rto_timer(tp, ICSK_TIME_RETRANS, clamp_rto(tp));
	if (timed_out(tp, (unsigned)tcp_net(tp->in.sk.net)->tcp_retries1 + 1, 0))
		tp->pmtu_cookie = 0;
}

/* The SYN-ACK of a Fast Open child. */
static void fastopen_synack_timeout(struct tcp_sock *tp)
{
	const struct tcp_net *tn = tcp_net(tp->in.sk.net);

	if (tp->timeouts_synack >=
	    (tp->user_syn_retries ? tp->user_syn_retries : tn->tcp_synack_retries)) {
		tcp_write_err(tp);
		return;
	}
	tcp_retransmit_synack(tp);
	tp->timeouts_synack++;
	tp->retransmits++;
	if (!tp->retrans_stamp)
		tp->retrans_stamp = tcp_time_stamp(tp);
	tcp_reset_rto_timer(tp, ICSK_TIME_RETRANS, TCP_TIMEOUT_INIT << MIN(tp->timeouts_synack, 7));
}

static void probe_timeout(struct tcp_sock *tp)
{
	const struct tcp_net *tn = tcp_net(tp->in.sk.net);
	int max_probes = tn->tcp_retries2;

	if (tp->packets_out || tp->n_rtx == tp->sndq.n) {
		tp->probes_out = 0;
		tp->probes_tstamp = 0;
		return;
	}
	if (!tp->probes_tstamp)
		tp->probes_tstamp = tcp_now(tp);
	else if (tp->user_timeout &&
		 tcp_now(tp) - tp->probes_tstamp >= tp->user_timeout * NSEC_PER_MSEC) {
		tcp_write_err(tp);
		return;
	}
	if (tp->orphan) {
		bool alive = tcp_probe0_when(tp) < tcp_rto_max(tp);

		max_probes = orphan_retries(tp, alive);
		if (!alive && tp->backoff >= max_probes) {
			tcp_write_err(tp);
			return;
		}
		if (out_of_resources(tp, true))
			return;
	}
	if (tp->probes_out >= max_probes)
		tcp_write_err(tp);
	else
		tcp_send_probe0(tp);
}

static void on_rto(struct timer *t, uint64_t now)
{
	struct tcp_sock *tp = container_of(t, struct tcp_sock, rto_timer);
	int what = tp->icsk_pending;

	if (TCPF(tp->node.state) & (TCPF(TCP_CLOSE) | TCPF(TCP_LISTEN)))
		return;
	if (tp->fast_open_child && what == ICSK_TIME_RETRANS) {
		fastopen_synack_timeout(tp);
		return;
	}
	switch (what) {
	case ICSK_TIME_REO_TIMEOUT:
		tcp_rack_reo_timeout(tp);
		break;
	case ICSK_TIME_LOSS_PROBE:
		tcp_send_loss_probe(tp);
		break;
	case ICSK_TIME_RETRANS:
		tp->icsk_pending = ICSK_TIME_NONE;
		retransmit_timeout(tp);
		break;
	case ICSK_TIME_PROBE0:
		tp->icsk_pending = ICSK_TIME_NONE;
		probe_timeout(tp);
		break;
	}
}

/* ---- delayed ACKs ---- */

static void on_delack(struct timer *t, uint64_t now)
{
	struct tcp_sock *tp = container_of(t, struct tcp_sock, delack_timer);

	if (TCPF(tp->node.state) & (TCPF(TCP_CLOSE) | TCPF(TCP_LISTEN)))
		return;
	if (tp->compressed_ack) {
		/* the one that is sent now is not one that was saved */
		tp->compressed_ack--;
		tcp_send_ack(tp);
		return;
	}
	if (!(tp->ack.pending & ICSK_ACK_TIMER))
		return;
	tp->ack.pending &= ~ICSK_ACK_TIMER;
	if (!(tp->ack.pending & ICSK_ACK_SCHED))
		return;
	if (!tcp_pingpong(tp)) {
		/* it was late: the estimate was too short */
		tp->ack.ato = MIN(tp->ack.ato << 1, tp->rto);
	} else {
		/* the application does not answer as it used to */
		tp->ack.pingpong = 0;
		tp->ack.ato = TCP_ATO_MIN;
	}
	tcp_send_ack(tp);
	tcp_mib(tp)[MIB_TcpExt_DelayedACKs]++;
}

/* ---- keep-alive ---- */

static void keepalive(struct tcp_sock *tp)
{
	const struct tcp_net *tn = tcp_net(tp->in.sk.net);
	uint64_t after = tcp_keepalive_time_when(tp), user = tp->user_timeout * NSEC_PER_MSEC;
	uint64_t idle = tcp_now(tp) - MAX(tp->rcv_tstamp, tp->ack.lrcvtime);
	int probes = tp->keepalive_probes ? tp->keepalive_probes : tn->tcp_keepalive_probes;

	/* data under way asks by itself */
	if (tp->packets_out || tp->n_rtx < tp->sndq.n) {
		tcp_reset_keepalive_timer(tp, after);
		return;
	}
	if (idle < after) {
		tcp_reset_keepalive_timer(tp, after - idle);
		return;
	}
	if ((user && idle >= user && tp->keepalive_probes_out > 0) ||
	    (!user && tp->keepalive_probes_out >= probes)) {
		tcp_send_active_reset(tp);
		tcp_write_err(tp);
		return;
	}
	if (tcp_write_wakeup(tp, MIB_TcpExt_TCPKeepAlive) <= 0) {
		tp->keepalive_probes_out++;
		after = keepalive_intvl_when(tp);
	} else {
		after = PROBE_INTERVAL;
	}
	tcp_reset_keepalive_timer(tp, after);
}

static void on_keep(struct timer *t, uint64_t now)
{
	struct tcp_sock *tp = container_of(t, struct tcp_sock, keep_timer);

	if (TCPF(tp->node.state) & (TCPF(TCP_LISTEN) | TCPF(TCP_CLOSE) | TCPF(TCP_SYN_SENT)))
		return;
	if (tp->node.state == TCP_FIN_WAIT2 && tp->orphan) {
		if (tp->linger2 >= 0) {
			int64_t left = (int64_t)tcp_fin_time(tp) - (int64_t)TCP_TIMEWAIT_LEN;

			if (left > 0) {
				tcp_time_wait(tp, TCP_FIN_WAIT2, (uint64_t)left);
				return;
			}
		}
		tcp_send_active_reset(tp);
		tcp_done(tp);
		return;
	}
	if (tp->in.sk.keepalive)
		keepalive(tp);
}

/* ---- pacing ---- */

/* The pace allows more, or memory may be there again. */
static void on_pace(struct timer *t, uint64_t now)
{
	struct tcp_sock *tp = container_of(t, struct tcp_sock, pace_timer);

	if (TCPF(tp->node.state) & (TCPF(TCP_CLOSE) | TCPF(TCP_LISTEN) | TCPF(TCP_SYN_SENT)))
		return;
	if (tp->fin_wanted && !tp->fin_queued) {
		tcp_send_fin(tp);
		return;
	}
	if (tp->lost_out > tp->retrans_out)
		tcp_xmit_retransmit_queue(tp);
	tcp_push_pending(tp);
}

/* ---- life ---- */

void tcp_timers_init(struct tcp_sock *tp)
{
	timer_init(&tp->rto_timer, on_rto);
	timer_init(&tp->delack_timer, on_delack);
	timer_init(&tp->keep_timer, on_keep);
	timer_init(&tp->pace_timer, on_pace);
}

void tcp_timers_stop(struct tcp_sock *tp)
{
	tp->icsk_pending = ICSK_TIME_NONE;
	tp->ack.pending = 0;
	timer_del(&tp->rto_timer);
	timer_del(&tp->delack_timer);
	timer_del(&tp->keep_timer);
	timer_del(&tp->pace_timer);
}
