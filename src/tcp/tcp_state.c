/*
 * tcp_state: segments for a connection that is not established (RFC 9293 3.10.7.3 and .4): being
 * opened, being closed; and how a connection begins to carry data and ends.
 */
#include "tcp/tcp_ack.h"
#include "tcp/tcp_data.h"
#include "tcp/tcp_input.h"
#include "tcp/tcp_mtup.h"
#include "tcp/tcp_output.h"
#include "tcp/tcp_rcvq.h"

/* ---- states ---- */

void tcp_set_state(struct tcp_sock *tp, enum tcp_state s)
{
	enum tcp_state was = tp->node.state;
	uint64_t *mib = tcp_mib(tp);

	if (s == TCP_ESTABLISHED && was != TCP_ESTABLISHED)
		mib[MIB_Tcp_CurrEstab]++;
	if (s == TCP_CLOSE && (was == TCP_CLOSE_WAIT || was == TCP_ESTABLISHED))
		mib[MIB_Tcp_EstabResets]++;
	if (was == TCP_ESTABLISHED && s != TCP_ESTABLISHED && s != TCP_CLOSE_WAIT)
		mib[MIB_Tcp_CurrEstab]--;
	else if (was == TCP_CLOSE_WAIT && s != TCP_CLOSE_WAIT)
		mib[MIB_Tcp_CurrEstab]--;
	WRITE_ONCE(tp->node.state, (uint8_t)s);
	if (s == TCP_CLOSE && was != TCP_CLOSE) {
		tp->in.sk.listens = false;
		tcp_hash_del(tp->in.sk.weft->tcp, &tp->node);
		if (tp->port && !tp->in.port_bound)
			tcp_port_put(tp);
	}
}

void tcp_done(struct tcp_sock *tp)
{
	if (TCPF(tp->node.state) & (TCPF(TCP_SYN_SENT) | TCPF(TCP_SYN_RECV)))
		tcp_mib(tp)[MIB_Tcp_AttemptFails]++;
	tcp_set_state(tp, TCP_CLOSE);
	tcp_timers_stop(tp);
	tcp_child_gone(tp);
	tp->in.sk.shut = 3;
	if (tp->orphan) {
		tcp_destroy(tp);
		return;
	}
	tcp_data_ready(tp);
}

/* The last of an orphan. */
void tcp_destroy(struct tcp_sock *tp)
{
	struct tcp_core *core = tp->in.sk.weft->tcp;

	if (!tp->orphan)
		return;
	tp->orphan = false;
	core->n_orphans--;
	tcp_timers_stop(tp);
	tcp_child_gone(tp);
	tcp_sndq_purge(tp);
	tcp_data_purge(tp);
	cc_release(tp);
	tcp_errq_free(tp);
	free(tp->saved_syn);
	free(tp->fo_cookie);
	free(tp->fastopen_ctx);
	tcp_hash_del(core, &tp->node);
	if (tp->port)
		tcp_port_put(tp);
	sock_put_later(&tp->in.sk);
}

void tcp_done_error(struct tcp_sock *tp, int err)
{
	if (!tp->orphan)
		tp->in.sk.error = err;
	tcp_sndq_purge(tp);
	tcp_done(tp);
}

void tcp_reset(struct tcp_sock *tp, int err)
{
	switch (tp->node.state) {
	case TCP_SYN_SENT:
		err = ECONNREFUSED;
		break;
	case TCP_CLOSE_WAIT:
		err = EPIPE;
		break;
	case TCP_CLOSE:
		return;
	default:
		err = err ? err : ECONNRESET;
	}
	tcp_done_error(tp, err);
}

/* ---- a connection begins to carry data ---- */

uint32_t tcp_init_cwnd(const struct tcp_sock *tp, const struct fib_info *fi)
{
	struct route_result res;
	uint32_t cwnd = 0;

	if (!fi && !tp_af(tp)->route((struct tcp_sock *)tp, &res))
		fi = res.fi;
	if (fi)
		cwnd = fi->metrics[RTAX_INITCWND];
	return MIN(cwnd ? cwnd : TCP_INIT_CWND, tp->snd_cwnd_clamp);
}

void tcp_init_transfer(struct tcp_sock *tp)
{
	tcp_mtup_init(tp);
	tcp_metrics_load(tp);
	/* RFC 5681, 6298: more than one SYN lost means a narrow path */
	if (tp->total_retrans > 1 && tp->undo_marker)
		tp->snd_cwnd = 1;
	else
		tp->snd_cwnd = tcp_init_cwnd(tp, NULL);
	tp->snd_cwnd_stamp = tcp_now(tp);
	if (!tp->cc_initialized)
		cc_init(tp);
	tcp_init_buffer_space(tp);
}

/* The echo shows that the first SYN had arrived: its retransmission was needless. */
static void undo_spurious_syn(struct tcp_sock *tp)
{
	if (tp->undo_marker && tp->retrans_stamp && tp->rx_opt.saw_tstamp &&
	    tp->retrans_stamp == tp->rx_opt.rcv_tsecr)
		tp->undo_marker = 0;
}

/* What the peer's SYN says, beyond its options. */
static void take_syn(struct tcp_sock *tp, const struct tcp_rx *rx)
{
	tp->rcv_nxt = rx->seq + 1;
	tp->rcv_wup = rx->seq + 1;
	tp->copied_seq = tp->rcv_nxt;
	tp->snd_wnd = rx->win; /* RFC 7323 2.2: never scaled */
	tp->snd_wl1 = rx->seq;
	tp->tcp_header_len = 20;
	if (tp->rx_opt.saw_tstamp) {
		tp->rx_opt.tstamp_ok = true;
		tp->tcp_header_len += 12;
		tcp_store_ts_recent(tp);
	}
}

static void finish_connect(struct tcp_sock *tp)
{
	tcp_set_state(tp, TCP_ESTABLISHED);
	tp->ack.lrcvtime = tcp_now(tp);
	tcp_init_transfer(tp);
	tp->lsndtime = tcp_now(tp);
	if (tp->in.sk.keepalive)
		tcp_reset_keepalive_timer(tp, tcp_keepalive_time_when(tp));
}

/* ---- SYN_SENT ---- */

/* Options of a segment that is not taken are forgotten. */
static void discard_options(struct tcp_sock *tp, uint16_t mss_clamp)
{
	tp->rx_opt.tstamp_ok = tp->rx_opt.sack_ok = tp->rx_opt.wscale_ok = false;
	tp->rx_opt.snd_wscale = 0;
	tp->rx_opt.mss_clamp = mss_clamp;
}

static void synack_received(struct tcp_sock *tp, struct pkt *p, struct tcp_rx *rx,
			    struct tcp_fo_cookie *foc)
{
	const uint8_t ecn = TCPHDR_ECE | TCPHDR_CWR;

	if ((rx->flags & ecn) != TCPHDR_ECE)
		tp->ecn_flags &= ~TCP_ECN_OK;
	tp->snd_wl1 = rx->seq;
	undo_spurious_syn(tp);
	tcp_ack(tp, p, rx, FLAG_SLOWPATH);
	take_syn(tp, rx);
	if (!tp->rx_opt.wscale_ok) {
		tp->rx_opt.snd_wscale = tp->rx_opt.rcv_wscale = 0;
		tp->window_clamp = MIN(tp->window_clamp, 65535u);
	}
	if (tp->rx_opt.tstamp_ok)
		tp->advmss -= 12;
	tcp_mtup_init(tp);
	tcp_sync_mss(tp, tp->pmtu_cookie);
	tcp_initialize_rcv_mss(tp);
	finish_connect(tp);
	tcp_data_ready(tp);
	bool fast = tp->syn_fastopen || tp->syn_data;

	if (tcp_fastopen_synack(tp, rx, foc))
		return;
	if (fast)
		tcp_fastopen_add_data(tp, p, rx);
	if (tp->in.sk.write_pending || tp->n_rtx < tp->sndq.n || tp->defer_accept ||
	    tcp_pingpong(tp)) {
		/* an ACK is saved if data goes soon */
		tcp_schedule_ack(tp);
		tcp_enter_quickack(tp, TCP_MAX_QUICKACKS);
		tcp_reset_delack_timer(tp, tcp_now(tp) + TCP_DELACK_MAX);
		return;
	}
	tcp_send_ack(tp);
}

/* True: answer with RST. */
static bool rcv_syn_sent(struct tcp_sock *tp, struct pkt *p, struct tcp_rx *rx)
{
	uint16_t clamp = tp->rx_opt.mss_clamp;
	struct tcp_fo_cookie foc = {.len = -1};

	tp->rx_opt.saw_tstamp = false;
	tcp_parse_opts(rx, &tp->rx_opt, false, &foc, tcp_net(tp->in.sk.net));
	if (tp->rx_opt.saw_tstamp && tp->rx_opt.rcv_tsecr)
		tp->rx_opt.rcv_tsecr -= tp->tsoffset;
	if (rx->flags & TCPHDR_ACK) {
		if (!after(rx->ack, tp->snd_una) || after(rx->ack, tp->snd_nxt)) {
			/* of an earlier connection: reset it and try soon */
			if (!tp->retransmits)
				tcp_reset_rto_timer(tp, ICSK_TIME_RETRANS, TCP_TIMEOUT_MIN);
			discard_options(tp, clamp);
			return true;
		}
		if (tp->rx_opt.saw_tstamp && tp->rx_opt.rcv_tsecr &&
		    !between(tp->rx_opt.rcv_tsecr, tp->retrans_stamp, tcp_time_stamp(tp))) {
			tcp_mib(tp)[MIB_TcpExt_PAWSActive]++;
			discard_options(tp, clamp);
			return true;
		}
		if (rx->flags & TCPHDR_RST) {
			tcp_reset(tp, 0);
			goto free;
		}
		if (rx->flags & TCPHDR_SYN) {
			synack_received(tp, p, rx, &foc);
			if (tp->node.state != TCP_CLOSE)
				tcp_data_snd_check(tp);
			goto free;
		}
	} else if (!(rx->flags & TCPHDR_RST) && rx->flags & TCPHDR_SYN) {
		if (tp->rx_opt.ts_recent_stamp && tp->rx_opt.saw_tstamp && !tcp_paws_ok(tp, 0))
			goto discard;
		/* SYNs have crossed (RFC 9293 3.5, figure 7) */
		const uint8_t ecn = TCPHDR_ECE | TCPHDR_CWR;

		tcp_set_state(tp, TCP_SYN_RECV);
		take_syn(tp, rx);
		tp->max_window = tp->snd_wnd;
		if ((rx->flags & ecn) != ecn)
			tp->ecn_flags &= ~TCP_ECN_OK;
		tcp_mtup_init(tp);
		tcp_sync_mss(tp, tp->pmtu_cookie);
		tcp_initialize_rcv_mss(tp);
		tcp_send_synack(tp);
		goto free;
	}
discard:
	discard_options(tp, clamp);
free:
	pkt_free(&tp->w->cache, p);
	return false;
}

/* ---- the others ---- */

/* SYN_RECV: our SYN-ACK is acknowledged. */
static void synack_acked(struct tcp_sock *tp, struct tcp_rx *rx)
{
	bool fast = tp->fast_open_child;

	tp->delivered++;
	if (fast) {
		if (!tp->srtt_us && tp->fastopen_rsk && !tp->fastopen_rsk->num_retrans)
			tcp_synack_rtt(tp, tp->fastopen_rsk->snt_synack);
		tcp_fastopen_established(tp);
		tp->retrans_stamp = 0;
		tp->undo_marker = 0;
		if (tp->ca_state == TCP_CA_Loss)
			cc_set_state(tp, TCP_CA_Open);
		tcp_rearm_rto(tp);
	} else {
		undo_spurious_syn(tp);
		tp->retrans_stamp = 0;
		tcp_init_transfer(tp);
		tp->copied_seq = tp->rcv_nxt;
	}
	tcp_set_state(tp, TCP_ESTABLISHED);
	tp->snd_una = rx->ack;
	tp->snd_wnd = rx->win << tp->rx_opt.snd_wscale;
	tp->snd_wl1 = rx->seq;
	if (tp->rx_opt.tstamp_ok)
		tp->advmss -= 12;
	if (!tp->cc->cong_control)
		tcp_update_pacing_rate(tp);
	tp->lsndtime = tcp_now(tp);
	tcp_initialize_rcv_mss(tp);
	tcp_data_ready(tp);
	if (tp->in.sk.shut & 2)
		tcp_shutdown(&tp->in.sk, SHUT_WR);
}

/* Data for a socket that nobody reads any more. */
static bool data_after_close(const struct tcp_sock *tp, const struct tcp_rx *rx)
{
	return rx->end_seq != rx->seq &&
	       after(rx->end_seq - !!(rx->flags & TCPHDR_FIN), tp->rcv_nxt);
}

enum next { GO_ON, GONE, ANSWER_RST };

/* FIN_WAIT1: our FIN is acknowledged. */
static enum next fin_acked(struct tcp_sock *tp, const struct tcp_rx *rx)
{
	if (tp->fast_open_child)
		tcp_fastopen_established(tp);
	if (tp->snd_una != tp->write_seq)
		return GO_ON;
	tcp_set_state(tp, TCP_FIN_WAIT2);
	tp->in.sk.shut |= 2;
	if (!tp->orphan) {
		tcp_data_ready(tp);
		return GO_ON;
	}
	if (tp->linger2 < 0 || data_after_close(tp, rx)) {
		if (tp->syn_fastopen && rx->flags & TCPHDR_FIN)
			tcp_fastopen_active_disable(tp);
		tcp_mib(tp)[MIB_TcpExt_TCPAbortOnData]++;
		tcp_done(tp);
		return ANSWER_RST;
	}
	uint64_t tmo = tcp_fin_time(tp);

	if (tmo > TCP_TIMEWAIT_LEN) {
		tcp_reset_keepalive_timer(tp, tmo - TCP_TIMEWAIT_LEN);
	} else if (rx->flags & TCPHDR_FIN) {
		/* the FIN is yet to be taken in */
		tcp_reset_keepalive_timer(tp, tmo);
	} else {
		tcp_time_wait(tp, TCP_FIN_WAIT2, tmo);
		return GONE;
	}
	return GO_ON;
}

static enum next check_ack(struct tcp_sock *tp, struct pkt *p, struct tcp_rx *rx)
{
	int r = tcp_ack(tp, p, rx, FLAG_SLOWPATH | FLAG_UPDATE_TS_RECENT | FLAG_NO_CHALLENGE_ACK);

	if (r <= 0) {
		if (tp->node.state == TCP_SYN_RECV)
			return ANSWER_RST;
		if (r < 0) {
			tcp_send_challenge_ack(tp);
			return GONE;
		}
	}
	switch (tp->node.state) {
	case TCP_SYN_RECV:
		synack_acked(tp, rx);
		break;
	case TCP_FIN_WAIT1:
		return fin_acked(tp, rx);
	case TCP_CLOSING:
		if (tp->snd_una == tp->write_seq) {
			tcp_time_wait(tp, TCP_TIME_WAIT, TCP_TIMEWAIT_LEN);
			return GONE;
		}
		break;
	case TCP_LAST_ACK:
		if (tp->snd_una == tp->write_seq) {
			tcp_metrics_save(tp);
			tcp_done(tp);
			return GONE;
		}
		break;
	}
	return GO_ON;
}

/* The seventh step; takes p unless it is to be answered. */
static enum next take_text(struct tcp_sock *tp, struct pkt *p, struct tcp_rx *rx)
{
	switch (tp->node.state) {
	case TCP_CLOSE_WAIT:
	case TCP_CLOSING:
	case TCP_LAST_ACK:
		if (!before(rx->seq, tp->rcv_nxt))
			break;
		/* fall through */
	case TCP_FIN_WAIT1:
	case TCP_FIN_WAIT2:
		/* RFC 1122 4.2.2.13: data that nobody will read */
		if (tp->in.sk.shut & 1 && data_after_close(tp, rx)) {
			tcp_mib(tp)[MIB_TcpExt_TCPAbortOnData]++;
			tcp_reset(tp, 0);
			return ANSWER_RST;
		}
		/* fall through */
	case TCP_ESTABLISHED:
		tcp_data_queue(tp, p, rx);
		return GO_ON;
	}
	pkt_free(&tp->w->cache, p);
	return GO_ON;
}

bool tcp_rcv_state(struct tcp_sock *tp, struct netdev *dev, struct pkt *p, struct tcp_rx *rx)
{
	enum next next;

	if (tp->node.state == TCP_CLOSE || tp->node.state == TCP_LISTEN) {
		pkt_drop(tp->w, p, DROP_TCP_CLOSE);
		return false;
	}
	if (tp->node.state == TCP_SYN_SENT)
		return rcv_syn_sent(tp, p, rx);
	tp->rx_opt.saw_tstamp = false;
	if (tp->fast_open_child && !tcp_fastopen_check(tp, dev, p, rx)) {
		pkt_drop(tp->w, p, DROP_TCP_FLAGS);
		return false;
	}
	if (!(rx->flags & (TCPHDR_ACK | TCPHDR_RST | TCPHDR_SYN)) ||
	    !tcp_validate_incoming(tp, rx, false) || !(rx->flags & TCPHDR_ACK)) {
		pkt_drop(tp->w, p, DROP_TCP_FLAGS);
		return false;
	}
	next = check_ack(tp, p, rx);
	if (next != GO_ON) {
		if (next == GONE)
			pkt_free(&tp->w->cache, p);
		return next == ANSWER_RST;
	}
	tcp_urg(tp, p, rx);
	next = take_text(tp, p, rx);
	if (next == ANSWER_RST)
		return true;
	if (tp->node.state != TCP_CLOSE && tp->node.state != TCP_TIME_WAIT) {
		tcp_data_snd_check(tp);
		tcp_ack_snd_check(tp);
	}
	return false;
}
