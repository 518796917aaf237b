/*
 * tcp_child: from a request and the segment that answers it to a connection.
 *
 * The child is a copy of its listener's socket options; all that is state begins afresh, with the
 * numbers of the handshake. It is left in SYN_RECV: the same segment, given to it again, makes it
 * established.
 */
#include "tcp/tcp_listen.h"

#include "wire/ip4_hdr.h"

/* What a program has set on the listener goes on in its children. */
static void inherit_options(struct tcp_sock *c, const struct tcp_sock *l)
{
	c->nonagle = l->nonagle;
	c->notsent_lowat = l->notsent_lowat;
	c->user_syn_retries = l->user_syn_retries;
	c->user_timeout = l->user_timeout;
	c->keepalive_time = l->keepalive_time;
	c->keepalive_intvl = l->keepalive_intvl;
	c->keepalive_probes = l->keepalive_probes;
	c->thin_lto = l->thin_lto;
	c->recvmsg_inq = l->recvmsg_inq;
	c->linger2 = l->linger2;
	c->save_syn = l->save_syn;
	c->tcp_tx_delay = l->tcp_tx_delay;
	c->fastopen_connect = l->fastopen_connect;
	c->fastopen_no_cookie = l->fastopen_no_cookie;
	c->rx_opt.user_mss = l->rx_opt.user_mss;
	c->snd_cwnd_clamp = l->snd_cwnd_clamp;
	c->max_pacing_rate = l->max_pacing_rate;
	c->pacing_rate = l->pacing_rate;
	c->pacing_needed = l->pacing_needed;
	c->reordering = l->reordering;
	c->scaling_ratio = l->scaling_ratio;
	c->ack.pingpong = l->ack.pingpong;
	c->cc_setsockopt = l->cc_setsockopt;
	c->cc_dst_locked = l->cc_dst_locked;
	if (l->cc_setsockopt)
		c->cc = l->cc;
}

/* The listener's copy, with the connection's state as of a new socket. */
static struct tcp_sock *child_alloc(const struct tcp_sock *listener)
{
	struct sock *sk = sock_clone(&listener->in.sk);
	struct tcp_sock *c;

	if (!sk)
		return NULL;
	c = tcp_sk(sk);
	memset((char *)c + offsetof(struct tcp_sock, node), 0,
	       sizeof(*c) - offsetof(struct tcp_sock, node));
	CDS_INIT_LIST_HEAD(&c->in.members);
	c->in.n_members = 0;
	tcp_init_sock(c);
	sk->accept_handed = 0;
	sk->sndbuf = listener->in.sk.sndbuf;
	sk->rcvbuf = listener->in.sk.rcvbuf;
	inherit_options(c, listener);
	sk->weft->tcp->n_socks++;
	return c;
}

static void set_addresses(struct tcp_sock *c, const struct tcp_req *r, const struct pkt *p)
{
	const struct ip4_hdr *ip = pkt_l3(p);
	struct inet_sock *in = &c->in;

	in->sk.bound_if = r->ifindex;
	in->sk.mark = r->mark;
	in->rcv_saddr = in->saddr = r->node.laddr;
	in->daddr = r->node.raddr;
	in->sport = r->node.lport;
	in->dport = r->node.rport;
	in->num = __builtin_bswap16(r->node.lport);
	in->connected = true;
	in->port_bound = false; /* it goes with the connection */
	in->mc_index = p->dev ? p->dev->ifindex : 0;
	in->mc_ttl = ip->ttl;
	in->opt_len = r->opt_len;
	memcpy(in->opt, r->opt, sizeof(in->opt));
	if (tcp_net(in->sk.net)->tcp_reflect_tos)
		in->tos = r->tos & (uint8_t)~3;
	c->ext_hdr_len = r->opt_len;
	c->node.laddr = r->node.laddr;
	c->node.raddr = r->node.raddr;
	c->node.lport = r->node.lport;
	c->node.rport = r->node.rport;
}

static void set_numbers(struct tcp_sock *c, const struct tcp_req *r)
{
	uint32_t seq = r->snt_isn + 1;

	c->rcv_isn = r->rcv_isn;
	c->snt_isn = r->snt_isn;
	c->rcv_wup = c->copied_seq = c->rcv_nxt = r->rcv_isn + 1;
	c->segs_in = 1;
	c->snd_sml = c->snd_una = c->snd_nxt = c->snd_up = seq;
	c->write_seq = c->pushed_seq = seq;
	c->snd_wl1 = r->rcv_isn;
	c->lsndtime = c->ack.lrcvtime = tcp_now(c);
	c->total_retrans = r->num_retrans;
	if (r->num_timeout) {
		/* Was the SYN-ACK lost, or slow? Its echo will tell. */
		c->undo_marker = r->snt_isn;
		c->retrans_stamp = (uint32_t)(r->snt_synack / NSEC_PER_MSEC);
	}
}

static void set_options(struct tcp_sock *c, const struct tcp_req *r)
{
	c->rx_opt.tstamp_ok = r->tstamp_ok;
	c->rx_opt.sack_ok = r->sack_ok;
	c->rx_opt.wscale_ok = r->wscale_ok;
	c->rx_opt.mss_clamp = r->mss;
	c->tcp_header_len = 20;
	c->tsoffset = r->ts_off;
	c->ecn_flags = r->ecn_ok ? TCP_ECN_OK : 0;
	if (r->tstamp_ok) {
		c->rx_opt.ts_recent = r->ts_recent;
		c->rx_opt.ts_recent_stamp = tcp_seconds(tcp_now(c));
		c->tcp_header_len += 12;
	}
}

static void set_window(struct tcp_sock *c, const struct tcp_req *r, const struct tcp_rx *rx)
{
	c->window_clamp = r->rsk_window_clamp;
	c->rcv_ssthresh = c->rcv_wnd = r->rsk_rcv_wnd;
	if (r->wscale_ok) {
		c->rx_opt.snd_wscale = r->snd_wscale;
		c->rx_opt.rcv_wscale = r->rcv_wscale;
	} else {
		c->window_clamp = MIN(c->window_clamp, 65535u);
	}
	c->snd_wnd = c->max_window = rx->win << c->rx_opt.snd_wscale;
	if (rx->len + rx->hlen >= TCP_MSS_DEFAULT + c->tcp_header_len)
		c->ack.last_seg_size = (uint16_t)(rx->len + rx->hlen - c->tcp_header_len);
}

static int set_path(struct tcp_sock *c, const struct tcp_sock *listener)
{
	struct route_result res;
	int err = tcp_ip4.route(c, &res);

	if (err)
		return err;
	tcp_sync_mss(c, MIN(res.mtu, 65535u));
	c->advmss = (uint16_t)tcp_mss_clamp(listener, tcp_ip4_advmss(c->in.sk.net, &res));
	tcp_initialize_rcv_mss(c);
	return 0;
}

/* One that never was: no word to its peer. */
static void discard(struct tcp_sock *c)
{
	c->node.state = TCP_CLOSE;
	tcp_timers_stop(c);
	tcp_port_put(c);
	sock_put(&c->in.sk);
}

struct tcp_sock *tcp_child_new(struct tcp_sock *listener, struct tcp_req *r, const struct pkt *p,
			       const struct tcp_rx *rx)
{
	struct tcp_core *core = listener->in.sk.weft->tcp;
	struct tcp_sock *c;

	if (tcp_accept_full(listener)) {
		tcp_mib(listener)[MIB_TcpExt_ListenOverflows]++;
		goto drop;
	}
	c = child_alloc(listener);
	if (!c)
		goto drop;
	c->node.state = TCP_SYN_RECV;
	set_addresses(c, r, p);
	set_numbers(c, r);
	set_options(c, r);
	set_window(c, r, rx);
	if (set_path(c, listener) || tcp_port_inherit(c, listener) ||
	    tcp_hash_add(core, &c->node, r->node.hashed ? &r->node : NULL)) {
		discard(c);
		goto drop;
	}
	c->saved_syn = r->saved_syn;
	c->saved_syn_len = r->saved_syn_len;
	r->saved_syn = NULL;
	if (c->in.sk.keepalive)
		tcp_reset_keepalive_timer(c, tcp_keepalive_time_when(c));
	tcp_mib(c)[MIB_Tcp_PassiveOpens]++;
	return c;
drop:
	tcp_mib(listener)[MIB_TcpExt_ListenDrops]++;
	return NULL;
}

void tcp_child_process(struct tcp_sock *listener, struct tcp_sock *child, struct netdev *dev,
		       struct pkt *p, struct tcp_rx *rx)
{
	struct sock *sk = &listener->in.sk;

	/* The accept queue's reference keeps it, whatever happens to the connection. */
	tcp_rcv(child, dev, p, rx);
	if (child->node.state != TCP_SYN_RECV && sk->wake)
		sk->wake(sk);
}
