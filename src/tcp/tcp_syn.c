/*
 * tcp_syn: a segment for a listener: most often a SYN.
 *
 * A SYN makes a request, which is all that a connection costs until its last ACK. When as many wait
 * as the backlog allows, SYNs are answered by cookies, which cost nothing (tcp_cookie.c), or not at
 * all; when the application does not accept what is ready, they are dropped: the peer will send
 * them again. The order of these decisions, and what is counted, is Linux's tcp_conn_request.
 */
#include "tcp/tcp_listen.h"

#include "ip/ip4_path.h"

/* ---- a request from a SYN ---- */

struct tcp_req *tcp_req_new(struct tcp_sock *listener)
{
	struct tcp_req *r = calloc(1, sizeof(*r));

	if (!r)
		return NULL;
	r->node.net = listener->in.sk.net;
	r->node.state = TCP_NEW_SYN_RECV;
	r->w = listener->w;
	r->listener = listener;
	r->ifindex = listener->in.sk.bound_if;
	CDS_INIT_LIST_HEAD(&r->link);
	return r;
}

void tcp_req_addresses(struct tcp_req *r, const struct tcp_sock *listener, const struct pkt *p)
{
	const struct ip4_hdr *ip = pkt_l3(p);
	const struct tcp_net *tn = tcp_net(r->node.net);
	uint32_t hop;

	r->node.laddr = ip->daddr;
	r->node.raddr = ip->saddr;
	memcpy(&r->node.rport, pkt_data(p), 2);
	memcpy(&r->node.lport, pkt_data(p) + 2, 2);
	r->mark = listener->in.sk.mark;
	if (!r->mark && tn->tcp_fwmark_accept)
		r->mark = p->mark;
	if (unlikely(ip->ihl > 5))
		r->opt_len = (uint8_t)ip4_options_echo((const uint8_t *)ip, r->opt, &hop);
}

int tcp_req_route(const struct tcp_req *r, const struct tcp_sock *listener,
		  struct route_result *res)
{
	const struct flow4 fl = {
		.daddr = tcp_ip4_first_hop(r->opt, r->opt_len, r->node.raddr),
		.saddr = r->node.laddr,
		.oif = r->ifindex,
		.mark = r->mark,
		.tos = listener->in.tos & 0x1c,
		.proto = IPPROTO_TCP,
		.flags = FLOW4_ANYSRC,
		.sport = r->node.lport,
		.dport = r->node.rport,
	};

	return route4_output(r->node.net, &fl, res);
}

void tcp_req_window(struct tcp_req *r, const struct tcp_sock *listener,
		    const struct route_result *res, uint32_t mss)
{
	uint32_t full = tcp_full_space(listener);

	r->rsk_window_clamp = listener->window_clamp ? listener->window_clamp
						     : tcp_route_metric(res, RTAX_WINDOW);
	if ((listener->in.sk.buf_lock & SOCK_RCVBUF_LOCK) &&
	    (r->rsk_window_clamp > full || !r->rsk_window_clamp))
		r->rsk_window_clamp = full;
	tcp_select_initial_window(tcp_net(r->node.net), full, mss, &r->rsk_rcv_wnd,
				  &r->rsk_window_clamp, r->wscale_ok, &r->rcv_wscale,
				  tcp_route_metric(res, RTAX_INITRWND),
				  sock_rmem_max(listener->in.sk.weft));
}

static void from_options(struct tcp_req *r, const struct tcp_rx *rx, const struct tcp_rx_opts *o)
{
	r->rcv_isn = rx->seq;
	r->rcv_nxt = rx->seq + 1;
	r->mss = o->mss_clamp;
	r->ts_recent = o->saw_tstamp ? o->rcv_tsval : 0;
	r->tstamp_ok = o->tstamp_ok;
	r->sack_ok = o->sack_ok;
	r->snd_wscale = o->snd_wscale;
	r->wscale_ok = o->wscale_ok;
	r->tos = rx->ip_dsfield;
}

/* RFC 3168 6.1.1; a SYN that is itself ECT is one of nobody who speaks it. */
static void negotiate_ecn(struct tcp_req *r, const struct tcp_sock *listener,
			  const struct route_result *res, const struct pkt *p,
			  const struct tcp_rx *rx)
{
	const uint8_t both = TCPHDR_ECE | TCPHDR_CWR;
	bool route = tcp_route_metric(res, RTAX_FEATURES) & RTAX_FEATURE_ECN;
	bool wanted = tcp_net(r->node.net)->tcp_ecn || route;
	bool reserved = pkt_data(p)[12] & 0x0f;

	if ((rx->flags & both) != both)
		return;
	if (((!tcp_ecn_is_ect(rx->ip_dsfield) || reserved) && wanted) || listener->cc->needs_ecn)
		r->ecn_ok = true;
}

/* Keeps the SYN's headers for TCP_SAVED_SYN: from the IP header, or (2) the link's. */
static void record_syn(struct tcp_req *r, const struct tcp_sock *listener, const struct pkt *p,
		       const struct tcp_rx *rx)
{
	unsigned from = p->l3, to = p->off + rx->hlen;

	if (!listener->save_syn)
		return;
	if (listener->save_syn == 2 && p->l2 && p->l2 < p->l3)
		from = p->l2;
	r->saved_syn = malloc(to - from);
	if (!r->saved_syn)
		return;
	memcpy(r->saved_syn, p->buf + from, to - from);
	r->saved_syn_len = to - from;
}

/* ---- what becomes of a SYN ---- */

static bool cookies_instead(struct tcp_sock *tp)
{
	if (tcp_net(tp->in.sk.net)->tcp_syncookies) {
		tcp_mib(tp)[MIB_TcpExt_TCPReqQFullDoCookies]++;
		return true;
	}
	tcp_mib(tp)[MIB_TcpExt_TCPReqQFullDrop]++;
	return false;
}

/* Is there room? *cookie: for a cookie only. */
static bool admit(struct tcp_sock *tp, const struct tcp_rx *rx, bool *cookie)
{
	const struct tcp_net *tn = tcp_net(tp->in.sk.net);
	const struct tcp_listen *l = tp->listen;

	*cookie = false;
	/* One behind a tcp_tw takes no more than that did, and its peer is real. */
	if (!rx->tw_isn && (tn->tcp_syncookies == 2 || l->n_reqs > l->backlog)) {
		*cookie = cookies_instead(tp);
		if (!*cookie)
			return false;
	}
	if (tcp_accept_full(tp)) {
		tcp_mib(tp)[MIB_TcpExt_ListenOverflows]++;
		return false;
	}
	return true;
}

/* Without cookies the last quarter of the backlog is for peers that are known to exist. */
static bool last_quarter(const struct tcp_sock *tp, const struct tcp_req *r)
{
	const struct tcp_net *tn = tcp_net(r->node.net);
	int max = tn->tcp_max_syn_backlog;

	return !tn->tcp_syncookies && max - (int)tp->listen->n_reqs < max >> 2 &&
	       !tcp_metrics_peer_ok(r->node.net, r->node.raddr, r->node.laddr);
}

/* Reads the SYN into r. 0 or -errno: it is dropped. */
static int read_syn(struct tcp_req *r, struct tcp_sock *tp, struct pkt *p, struct tcp_rx *rx,
		    struct tcp_fo_cookie *foc)
{
	const struct tcp_net *tn = tcp_net(r->node.net);
	struct tcp_rx_opts o = {.mss_clamp = TCP_MSS_DEFAULT, .user_mss = tp->rx_opt.user_mss};
	struct route_result res;

	tcp_parse_opts(rx, &o, false, r->syncookie ? NULL : foc, tn);
	/* Without a time stamp there is nowhere to keep options in a cookie. */
	if (r->syncookie && !o.saw_tstamp) {
		o.sack_ok = o.wscale_ok = false;
		o.snd_wscale = 0;
	}
	o.tstamp_ok = o.saw_tstamp;
	from_options(r, rx, &o);
	tcp_req_addresses(r, tp, p);
	int err = tcp_req_route(r, tp, &res);
	if (err)
		return err;
	if (r->tstamp_ok)
		r->ts_off = tcp_ts_off(r->node.net, r->node.laddr, r->node.raddr);
	if (!r->syncookie && !rx->tw_isn && last_quarter(tp, r))
		return -ENOBUFS;
	negotiate_ecn(r, tp, &res, p, rx);
	if (r->syncookie) {
		r->snt_isn = tcp_cookie_isn(tp, r);
		r->ecn_ok &= r->tstamp_ok;
	} else {
		r->snt_isn = rx->tw_isn ? rx->tw_isn
					: tcp_isn(r->w, r->node.laddr, r->node.raddr, r->node.lport,
						  r->node.rport, NULL);
	}
	r->advmss = (uint16_t)tcp_mss_clamp(tp, tcp_ip4_advmss(r->node.net, &res));
	tcp_req_window(r, tp, &res, r->advmss - (r->tstamp_ok ? 12u : 0));
	return 0;
}

static void open_fast(struct tcp_sock *tp, struct tcp_sock *child, struct tcp_fo_cookie *foc)
{
	tcp_req_send_synack(child->fastopen_rsk, child, foc);
	tcp_accept_add(tp, child);
	if (tp->in.sk.wake)
		tp->in.sk.wake(&tp->in.sk);
}

/* A SYN was admitted. False: it is dropped, and counted so. */
static bool answer_syn(struct tcp_sock *tp, struct tcp_req *r, struct pkt *p, struct tcp_rx *rx)
{
	struct tcp_fo_cookie foc = {.len = -1};
	struct tcp_sock *child;

	if (read_syn(r, tp, p, rx, &foc)) {
		tcp_req_free(r);
		return false;
	}
	if (r->syncookie) {
		tcp_req_send_synack(r, tp, NULL);
		tcp_req_free(r);
		return true;
	}
	record_syn(r, tp, p, rx);
	child = tcp_fastopen_try(tp, r, p, rx, &foc);
	if (child) {
		open_fast(tp, child, &foc);
		return true;
	}
	if (tcp_req_add(r)) {
		tcp_req_free(r);
		return true;
	}
	tcp_req_send_synack(r, tp, &foc);
	return true;
}

static void syn_input(struct tcp_sock *tp, struct pkt *p, struct tcp_rx *rx)
{
	const struct ip4_hdr *ip = pkt_l3(p);
	struct tcp_req *r;
	bool cookie;

	if (ip4_is_multicast(ip->daddr) || ip4_addr_type(tp->in.sk.net, ip->daddr) == RTN_BROADCAST)
		goto drop;
	if (!admit(tp, rx, &cookie))
		goto drop;
	r = tcp_req_new(tp);
	if (!r)
		goto drop;
	r->syncookie = cookie;
	if (answer_syn(tp, r, p, rx))
		return;
drop:
	tcp_mib(tp)[MIB_TcpExt_ListenDrops]++;
}

void tcp_listen_input(struct worker *w, struct tcp_sock *tp, struct netdev *dev, struct pkt *p,
		      struct tcp_rx *rx)
{
	bool dropped = false;

	if (!(rx->flags & TCPHDR_SYN)) {
		struct tcp_sock *child = tcp_cookie_check(tp, p, rx, &dropped);

		if (child) {
			tcp_child_process(tp, child, dev, p, rx);
			return;
		}
	}
	if (!dropped) {
		if (rx->flags & TCPHDR_ACK)
			tcp_send_reset(w, dev, p, rx);
		else if ((rx->flags & (TCPHDR_RST | TCPHDR_SYN | TCPHDR_FIN)) == TCPHDR_SYN)
			syn_input(tp, p, rx);
	}
	pkt_free(&w->cache, p);
}
