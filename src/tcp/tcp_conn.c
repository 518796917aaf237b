/*
 * tcp_conn: bind, connect, disconnect and the names of a socket.
 *
 * Errors, and the order in which they are looked for, are Linux's. connect(2) never waits: it
 * returns -EINPROGRESS, and, asked again, -EALREADY until the answer is there, then 0 or what went
 * wrong. ss_state is what Linux keeps beside the connection's state to know which of these is due.
 *
 * With Fast Open (RFC 7413) and a cookie at hand, TCP_FASTOPEN_CONNECT puts the SYN off until there
 * is data to go with it: connect(2) returns 0 and defer_connect is set.
 */
#include "tcp/tcp_list.h"
#include "tcp/tcp_listen.h"

/* ---- bind ---- */

int tcp_bind(struct sock *sk, const struct sockaddr *a, size_t len)
{
	const struct sockaddr_in *sin = (const struct sockaddr_in *)a;
	struct tcp_sock *tp = tcp_sk(sk);
	struct inet_sock *in = &tp->in;
	bool group;
	int err;

	err = inet_check_bind(in, a, len, &group);
	if (err)
		return err;
	if (!inet_port_allowed(in, __builtin_bswap16(sin->sin_port)))
		return -EACCES;
	if (tp->node.state != TCP_CLOSE || in->num)
		return -EINVAL;
	in->rcv_saddr = sin->sin_addr.s_addr;
	in->saddr = group ? 0 : in->rcv_saddr;
	if (sin->sin_port || !in->bind_no_port) {
		err = tcp_port_get(tp, __builtin_bswap16(sin->sin_port));
		if (err) {
			in->rcv_saddr = in->saddr = 0;
			return err;
		}
	}
	in->addr_bound = in->rcv_saddr;
	in->port_bound = sin->sin_port;
	in->daddr = 0;
	in->dport = 0;
	return 0;
}

int tcp_getname(struct sock *sk, bool peer, struct sockaddr *a, size_t *len)
{
	const struct tcp_sock *tp = tcp_sk(sk);

	if (peer && TCPF(tp->node.state) & (TCPF(TCP_CLOSE) | TCPF(TCP_SYN_SENT)))
		return -ENOTCONN;
	return inet_getname(sk, peer, a, len);
}

int tcp_accepted_name(struct sock *sk, struct sockaddr *a, size_t *len)
{
	return inet_getname(sk, true, a, len);
}

/* ---- connect ---- */

static void set_window_clamp(struct tcp_sock *tp)
{
	uint32_t full = tcp_full_space(tp);

	if (!tp->window_clamp)
		tp->window_clamp = tcp_route_metric(&tp->rt, RTAX_WINDOW);
	/* no more than fits where the program has set the buffer */
	if ((tp->in.sk.buf_lock & SOCK_RCVBUF_LOCK) &&
	    (tp->window_clamp > full || !tp->window_clamp))
		tp->window_clamp = full;
}

/* Values of a connection whose SYN is about to go (Linux's tcp_connect_init). */
static void connect_init(struct tcp_sock *tp, const struct route_result *res)
{
	const struct tcp_net *tn = tcp_net(tp->in.sk.net);
	unsigned ts_len = tn->tcp_timestamps ? 12 : 0;

	tp->tcp_header_len = (uint16_t)(20 + ts_len);
	if (tp->rx_opt.user_mss)
		tp->rx_opt.mss_clamp = tp->rx_opt.user_mss;
	tp->max_window = 0;
	tcp_sync_mss(tp, MIN(res->mtu, 65535u));
	set_window_clamp(tp);
	tp->advmss = (uint16_t)tcp_mss_clamp(tp, tcp_ip4_advmss(tp->in.sk.net, res));
	tcp_initialize_rcv_mss(tp);
	tcp_select_initial_window(
		tn, tcp_full_space(tp), tp->advmss - (tp->rx_opt.ts_recent_stamp ? ts_len : 0),
		&tp->rcv_wnd, &tp->window_clamp, tn->tcp_window_scaling, &tp->rx_opt.rcv_wscale,
		tcp_route_metric(res, RTAX_INITRWND), sock_rmem_max(tp->in.sk.weft));
	tp->rcv_ssthresh = tp->rcv_wnd;
	tp->in.sk.error = 0;
	tp->snd_wnd = 0;
	tp->snd_wl1 = 0;
	tp->snd_una = tp->snd_sml = tp->snd_up = tp->snd_nxt = tp->write_seq;
	if (!tp->repair)
		tp->rcv_nxt = 0;
	else
		tp->rcv_tstamp = tcp_now(tp);
	tp->rcv_wup = tp->copied_seq = tp->rcv_nxt;
	tp->rto = TCP_TIMEOUT_INIT;
	tp->retransmits = 0;
	tp->retrans_out = tp->lost_out = tp->sacked_out = 0;
	tp->undo_marker = 0;
	tp->undo_retrans = -1;
}

/* A connection that could not be begun. */
static void connect_undo(struct tcp_sock *tp)
{
	struct tcp_core *core = tp->in.sk.weft->tcp;

	tcp_set_state(tp, TCP_CLOSE);
	tcp_hash_del(core, &tp->node);
	if (!tp->in.port_bound)
		tcp_port_put(tp);
	if (!tp->in.addr_bound)
		tp->in.rcv_saddr = tp->in.saddr = 0;
	tp->in.connected = false;
	tp->in.dport = 0;
}

int tcp_connect_start(struct tcp_sock *tp)
{
	struct route_result res;
	int err = tcp_ip4.route(tp, &res) ? -EHOSTUNREACH : 0;

	if (!err) {
		connect_init(tp, &res);
		err = tcp_send_syn(tp);
	}
	if (err)
		connect_undo(tp);
	return err;
}

/* With a cookie the SYN waits for data: true. Without, the SYN asks for one. */
static bool put_off(struct tcp_sock *tp)
{
	struct tcp_fo_cookie c = {.len = 0};
	uint16_t mss;

	if (!tp->fastopen_connect || tp->fo_cookie || tp->fo_msg)
		return false;
	if (tcp_fastopen_cookie_check(tp, &mss, &c)) {
		tp->defer_connect = true;
		return true;
	}
	tp->fo_cookie = malloc(sizeof(*tp->fo_cookie));
	if (tp->fo_cookie)
		*tp->fo_cookie = c;
	return false;
}

/* The path, and the addresses it gives. */
static int find_path(struct tcp_sock *tp, const struct sockaddr_in *sin)
{
	struct inet_sock *in = &tp->in;
	struct net *net = in->sk.net;
	uint32_t daddr = sin->sin_addr.s_addr, hop = tcp_ip4_first_hop(in->opt, in->opt_len, daddr);
	struct route_result res;
	const struct flow4 fl = {
		.daddr = hop,
		.saddr = in->saddr,
		.oif = in->sk.bound_if ? in->sk.bound_if : in->uc_index,
		.mark = in->sk.mark,
		.tos = in->tos & 0x1c,
		.scope = in->sk.dontroute ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE,
		.proto = IPPROTO_TCP,
		.flags = in->transparent ? FLOW4_ANYSRC : 0,
		.sport = in->sport,
		.dport = sin->sin_port,
	};

	if (hop != daddr && !daddr)
		return -EINVAL;
	int err = route4_output(net, &fl, &res);
	if (err) {
		if (err == -ENETUNREACH)
			tcp_mib(tp)[MIB_Ip_OutNoRoutes]++;
		return err;
	}
	if (res.type == RTN_MULTICAST || res.type == RTN_BROADCAST)
		return -ENETUNREACH;
	if (!in->saddr)
		in->saddr = res.saddr;
	in->rcv_saddr = in->saddr;
	if (hop == daddr && !daddr)
		daddr = res.saddr; /* this host */
	if (tp->rx_opt.ts_recent_stamp && in->daddr != daddr) {
		/* what was left of another peer */
		tp->rx_opt.ts_recent = 0;
		tp->rx_opt.ts_recent_stamp = 0;
		if (!tp->repair)
			tp->write_seq = 0;
	}
	in->daddr = daddr;
	in->dport = sin->sin_port;
	return 0;
}

static int connect_new(struct tcp_sock *tp, const struct sockaddr *a, size_t len)
{
	const struct sockaddr_in *sin = (const struct sockaddr_in *)a;
	struct inet_sock *in = &tp->in;
	int err;

	if (len < sizeof(*sin))
		return -EINVAL;
	if (sin->sin_family != AF_INET)
		return -EAFNOSUPPORT;
	err = find_path(tp, sin);
	if (err)
		return err;
	in->connected = true;
	tp->ext_hdr_len = in->opt_len;
	tp->rx_opt.mss_clamp = TCP_MSS_DEFAULT;
	tp->rt_until = 0;
	tcp_set_state(tp, TCP_SYN_SENT);
	err = tcp_hash_connect(tp);
	if (err) {
		connect_undo(tp);
		return err;
	}
	if (!tp->repair) {
		if (!tp->write_seq)
			tp->write_seq =
				tcp_isn(tp->w, in->saddr, in->daddr, in->sport, in->dport, NULL);
		tp->tsoffset = tcp_ts_off(in->sk.net, in->saddr, in->daddr);
	}
	return put_off(tp) ? 0 : tcp_connect_start(tp);
}

/* The answer has come: it was no. */
static int connect_failed(struct tcp_sock *tp)
{
	int err = sock_take_error(&tp->in.sk);

	tp->ss_state = SS_UNCONNECTED;
	tcp_disconnect(tp);
	return err ? err : -ECONNABORTED;
}

int tcp_stream_connect(struct sock *sk, const struct sockaddr *a, size_t len, bool is_sendmsg)
{
	struct tcp_sock *tp = tcp_sk(sk);
	int err;

	if (a) {
		if (len < sizeof(a->sa_family))
			return -EINVAL;
		if (a->sa_family == AF_UNSPEC) {
			err = tcp_disconnect(tp);
			tp->ss_state = err ? SS_DISCONNECTING : SS_UNCONNECTED;
			return err;
		}
	}
	switch (tp->ss_state) {
	case SS_CONNECTED:
		return -EISCONN;
	case SS_CONNECTING:
		err = !tp->defer_connect ? -EALREADY : is_sendmsg ? -EINPROGRESS : -EISCONN;
		break;
	case SS_UNCONNECTED:
		if (tp->node.state != TCP_CLOSE)
			return -EISCONN;
		if (!a)
			return -EINVAL;
		err = connect_new(tp, a, len);
		if (err)
			return err;
		tp->ss_state = SS_CONNECTING;
		if (tp->defer_connect)
			return 0;
		err = -EINPROGRESS;
		break;
	default:
		return -EINVAL;
	}
	if (TCPF(tp->node.state) & (TCPF(TCP_SYN_SENT) | TCPF(TCP_SYN_RECV)))
		return err;
	if (tp->node.state == TCP_CLOSE)
		return connect_failed(tp);
	tp->ss_state = SS_CONNECTED;
	return 0;
}

int tcp_connect(struct sock *sk, const struct sockaddr *a, size_t len)
{
	return tcp_stream_connect(sk, a, len, false);
}

/* ---- disconnect ---- */

/* Has it a peer that must be told when it ends before its time? */
static bool needs_reset(unsigned state)
{
	return TCPF(state) & (TCPF(TCP_ESTABLISHED) | TCPF(TCP_CLOSE_WAIT) | TCPF(TCP_FIN_WAIT1) |
			      TCPF(TCP_FIN_WAIT2) | TCPF(TCP_SYN_RECV));
}

/* Tells the peer, if there is one, that all is over. What so_error then says. */
static int abort_peer(struct tcp_sock *tp, unsigned old)
{
	if (tp->repair)
		return ECONNABORTED;
	if (needs_reset(old) || (tp->snd_nxt != tp->write_seq &&
				 TCPF(old) & (TCPF(TCP_CLOSING) | TCPF(TCP_LAST_ACK)))) {
		tcp_send_active_reset(tp);
		return ECONNRESET;
	}
	return old == TCP_SYN_SENT ? ECONNRESET : 0;
}

static void forget_congestion(struct tcp_sock *tp)
{
	cc_release(tp);
	memset(tp->cc_priv, 0, sizeof(tp->cc_priv));
	tp->cc_initialized = false;
	tp->ca_state = TCP_CA_Open;
	tp->snd_ssthresh = TCP_INF_SSTHRESH;
	tp->snd_cwnd = TCP_INIT_CWND;
	tp->snd_cwnd_cnt = 0;
	tp->is_cwnd_limited = tp->is_sack_reneg = false;
	tp->max_packets_out = 0;
	tp->packets_out = tp->retrans_out = tp->lost_out = tp->sacked_out = 0;
	tp->undo_marker = 0;
	tp->undo_retrans = -1;
	tp->total_retrans = tp->tlp_high_seq = tp->reord_seen = 0;
	tp->app_limited = UINT32_MAX;
	tp->rate_app_limited = true;
	tp->rate_delivered = tp->rate_interval_us = 0;
	tp->delivered = tp->delivered_ce = 0;
	memset(&tp->rack, 0, sizeof(tp->rack));
	tp->rack.reo_wnd_steps = 1;
}

static void forget_times(struct tcp_sock *tp)
{
	tp->srtt_us = 0;
	tp->mdev_us = (uint32_t)(TCP_TIMEOUT_INIT / NSEC_PER_USEC);
	tp->rto = TCP_TIMEOUT_INIT;
	tp->backoff = tp->probes_out = tp->retransmits = 0;
	tp->probes_tstamp = 0;
	tp->last_oow_ack_time = 0;
	memset(&tp->ack, 0, sizeof(tp->ack));
	tp->ack.rcv_mss = TCP_MIN_MSS;
}

static void forget_counters(struct tcp_sock *tp)
{
	tp->segs_in = tp->segs_out = tp->data_segs_in = tp->data_segs_out = 0;
	tp->dsack_dups = tp->rcv_ooopack = 0;
	tp->bytes_acked = tp->bytes_received = tp->bytes_sent = tp->bytes_retrans = 0;
	tp->compressed_ack = tp->dup_ack_counter = 0;
}

static void leave_tables(struct tcp_sock *tp)
{
	struct inet_sock *in = &tp->in;

	tcp_hash_del(in->sk.weft->tcp, &tp->node);
	if (!in->port_bound)
		tcp_port_put(tp);
	in->dport = 0;
	in->connected = false;
	if (!in->addr_bound)
		in->rcv_saddr = in->saddr = 0;
}

int tcp_disconnect(struct tcp_sock *tp)
{
	unsigned old = tp->node.state;
	int err = 0;

	if (old != TCP_CLOSE && old != TCP_LISTEN)
		err = abort_peer(tp, old);
	if (old != TCP_CLOSE)
		tcp_set_state(tp, TCP_CLOSE);
	if (old == TCP_LISTEN)
		tcp_listen_stop(tp);
	tcp_timers_stop(tp);
	tcp_child_gone(tp);
	tcp_fastopen_active_disable_ofo_check(tp);
	tcp_data_purge(tp);
	tp->copied_seq = tp->rcv_nxt;
	tp->urg_data = 0;
	tcp_sndq_purge(tp);
	leave_tables(tp);
	tp->in.sk.shut = 0;
	tp->write_seq += tp->max_window + 2;
	if (!tp->write_seq)
		tp->write_seq = 1;
	tp->window_clamp = 0;
	forget_times(tp);
	forget_congestion(tp);
	forget_counters(tp);
	memset(&tp->rx_opt, 0, sizeof(tp->rx_opt));
	tp->rt_until = 0;
	free(tp->saved_syn);
	tp->saved_syn = NULL;
	tp->saved_syn_len = 0;
	tp->syn_data_acked = tp->defer_connect = false;
	tp->fastopen_client_fail = 0;
	tp->fin_queued = tp->fin_wanted = false;
	tcp_fastopen_free(tp);
	if (err)
		sock_error(&tp->in.sk, err);
	else if (tp->in.sk.wake)
		tp->in.sk.wake(&tp->in.sk);
	return 0;
}

int tcp_abort(struct tcp_node *n, int err)
{
	struct tcp_sock *tp = container_of(n, struct tcp_sock, node);

	switch (n->state) {
	case TCP_NEW_SYN_RECV:
		tcp_req_drop(container_of(n, struct tcp_req, node));
		return 0;
	case TCP_TIME_WAIT:
		tcp_tw_end(container_of(n, struct tcp_tw, node));
		return 0;
	case TCP_CLOSE:
		return -ENOENT;
	case TCP_LISTEN:
		tcp_set_state(tp, TCP_CLOSE);
		tcp_listen_stop(tp);
		break;
	}
	if (needs_reset(n->state))
		tcp_send_active_reset(tp);
	tcp_done_error(tp, err);
	return 0;
}
