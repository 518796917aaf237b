/*
 * tcp_input: a segment arrives: whose it is, whether it may be believed (RFC 9293 3.10.7.4, 5961,
 * 7323 PAWS), and what an established connection does with it. All other states: tcp_state.c.
 */
#include "tcp/tcp_input.h"

#include <linux/icmp.h>

#include "ip/ip4_core.h"
#include "tcp/tcp_ack.h"
#include "tcp/tcp_data.h"
#include "tcp/tcp_output.h"
#include "wire/ip4_hdr.h"
#include "wire/tcp_hdr.h"

/* ---- what is answered, and how often ---- */

bool tcp_oow_ok(struct worker *w, const struct tcp_net *tn, uint64_t *last, int mib)
{
	uint64_t gap = (uint64_t)tn->tcp_invalid_ratelimit * NSEC_PER_MSEC;

	if (*last && w->now - *last < gap) {
		ip4_mib(tn->net, w)[mib]++;
		return false;
	}
	*last = w->now;
	return true;
}

/* Data is no part of a loop of ACKs, and always answered. */
static bool oow_ok(struct tcp_sock *tp, const struct tcp_rx *rx, int mib)
{
	if (rx->seq != rx->end_seq && !(rx->flags & TCPHDR_SYN))
		return true;
	return tcp_oow_ok(tp->w, tcp_net(tp->in.sk.net), &tp->last_oow_ack_time, mib);
}

void tcp_send_challenge_ack(struct tcp_sock *tp)
{
	const struct tcp_net *tn = tcp_net(tp->in.sk.net);
	struct tcp_core *core = tp->in.sk.weft->tcp;
	uint32_t limit = (uint32_t)tn->tcp_challenge_ack_limit;

	if (!tcp_oow_ok(tp->w, tn, &tp->last_oow_ack_time, MIB_TcpExt_TCPACKSkippedChallenge))
		return;
	if (limit < INT32_MAX) {
		uint64_t now = tcp_now(tp) / NSEC_PER_SEC + 1;

		/* a count that cannot be guessed: it would tell of other connections */
		if (now != core->challenge_stamp) {
			core->challenge_stamp = now;
			core->challenge_count = (limit + 1) / 2 + rng_below(&tp->w->rng, limit);
		}
		if (!core->challenge_count)
			return;
		core->challenge_count--;
	}
	tcp_mib(tp)[MIB_TcpExt_TCPChallengeACK]++;
	tcp_send_ack(tp);
}

/* ---- time stamps ---- */

void tcp_store_ts_recent(struct tcp_sock *tp)
{
	tp->rx_opt.ts_recent = tp->rx_opt.rcv_tsval;
	tp->rx_opt.ts_recent_stamp = tcp_now(tp) / NSEC_PER_SEC + 1;
}

bool tcp_paws_ok(const struct tcp_sock *tp, uint32_t window)
{
	const struct tcp_rx_opts *o = &tp->rx_opt;

	if ((int32_t)(o->ts_recent - o->rcv_tsval) <= (int32_t)window)
		return true;
	/* idle for so long that the clock may have wrapped; or none was ever kept */
	return tcp_now(tp) / NSEC_PER_SEC + 1 >= o->ts_recent_stamp + TCP_PAWS_24DAYS ||
	       !o->ts_recent;
}

void tcp_replace_ts_recent(struct tcp_sock *tp, uint32_t seq)
{
	if (tp->rx_opt.saw_tstamp && !after(seq, tp->rcv_wup) && tcp_paws_ok(tp, 0))
		tcp_store_ts_recent(tp);
}

/* A pure ACK that only came out of order says nothing wrong. */
static bool disordered_ack(const struct tcp_sock *tp, const struct tcp_rx *rx)
{
	uint32_t win = rx->win << tp->rx_opt.snd_wscale;
	uint32_t replay = (uint32_t)(tp->rto / NSEC_PER_MSEC * 12 / 10);

	return rx->flags & TCPHDR_ACK && rx->seq == rx->end_seq && rx->seq == tp->rcv_nxt &&
	       rx->ack == tp->snd_una &&
	       !(after(rx->seq, tp->snd_wl1) ||
		 (rx->seq == tp->snd_wl1 && (win > tp->snd_wnd || !win))) &&
	       (int32_t)(tp->rx_opt.ts_recent - tp->rx_opt.rcv_tsval) <= (int32_t)replay;
}

static void parse_established(struct tcp_sock *tp, struct tcp_rx *rx)
{
	const struct tcp_net *tn = tcp_net(tp->in.sk.net);
	const uint8_t *o = rx->opts;

	rx->n_sack = 0;
	if (rx->hlen == 20) {
		tp->rx_opt.saw_tstamp = false;
		return;
	}
	/* nothing but a time stamp, in the layout everyone uses */
	if (likely(tp->rx_opt.tstamp_ok && rx->hlen == 32 && get_be32(o) == 0x0101080a)) {
		tp->rx_opt.saw_tstamp = true;
		tp->rx_opt.rcv_tsval = get_be32(o + 4);
		tp->rx_opt.rcv_tsecr = get_be32(o + 8);
	} else {
		tcp_parse_opts(rx, &tp->rx_opt, true, NULL, tn);
	}
	if (tp->rx_opt.saw_tstamp && tp->rx_opt.rcv_tsecr)
		tp->rx_opt.rcv_tsecr -= tp->tsoffset;
}

/* ---- is it acceptable? ---- */

/* After its FIN the peer's RST may come from one before what we expect. */
static bool reset_after_fin(const struct tcp_sock *tp, const struct tcp_rx *rx)
{
	return rx->seq == tp->rcv_nxt - 1 &&
	       TCPF(tp->node.state) &
		       (TCPF(TCP_CLOSE_WAIT) | TCPF(TCP_LAST_ACK) | TCPF(TCP_CLOSING));
}

/* RFC 5961 3.2, and the right edge of what we have SACKed. */
static bool reset_exact(const struct tcp_sock *tp, const struct tcp_rx *rx)
{
	if (rx->seq == tp->rcv_nxt || reset_after_fin(tp, rx))
		return true;
	if (!tcp_is_sack(tp) || !tp->rx_opt.num_sacks)
		return false;
	uint32_t max = tp->selective_acks[0].end_seq;

	for (unsigned i = 1; i < tp->rx_opt.num_sacks; i++)
		if (after(tp->selective_acks[i].end_seq, max))
			max = tp->selective_acks[i].end_seq;
	return rx->seq == max;
}

static void challenge_syn(struct tcp_sock *tp, bool is_error)
{
	if (is_error)
		tcp_mib(tp)[MIB_Tcp_InErrs]++;
	tcp_mib(tp)[MIB_TcpExt_TCPSYNChallenge]++;
	tcp_send_challenge_ack(tp);
}

bool tcp_validate_incoming(struct tcp_sock *tp, struct tcp_rx *rx, bool syn_is_error)
{
	parse_established(tp, rx);
	if (tp->rx_opt.saw_tstamp && unlikely(!tcp_paws_ok(tp, TCP_PAWS_WINDOW)) &&
	    !disordered_ack(tp, rx) && !(rx->flags & TCPHDR_RST)) {
		tcp_mib(tp)[MIB_TcpExt_PAWSEstab]++;
		if (oow_ok(tp, rx, MIB_TcpExt_TCPACKSkippedPAWS))
			tcp_send_dupack(tp, rx);
		return false;
	}
	if (unlikely(before(rx->end_seq, tp->rcv_wup) ||
		     after(rx->seq, tp->rcv_nxt + tcp_receive_window(tp)))) {
		if (rx->flags & TCPHDR_RST) {
			if (reset_after_fin(tp, rx))
				tcp_reset(tp, 0);
		} else if (rx->flags & TCPHDR_SYN) {
			challenge_syn(tp, syn_is_error);
		} else if (oow_ok(tp, rx, MIB_TcpExt_TCPACKSkippedSeq)) {
			tcp_send_dupack(tp, rx);
		}
		return false;
	}
	if (unlikely(rx->flags & TCPHDR_RST)) {
		if (reset_exact(tp, rx)) {
			tcp_reset(tp, 0);
			return false;
		}
		/* what follows a SYN with data, out of place, may be a middle box that dislikes it
		 */
		if (tp->syn_fastopen && !tp->data_segs_in && tp->node.state == TCP_ESTABLISHED)
			tcp_fastopen_active_disable(tp);
		tcp_send_challenge_ack(tp);
		return false;
	}
	if (unlikely(rx->flags & TCPHDR_SYN)) {
		if (tp->node.state == TCP_SYN_RECV && !tp->fast_open_child &&
		    rx->flags & TCPHDR_ACK && rx->seq + 1 == rx->end_seq &&
		    rx->seq + 1 == tp->rcv_nxt && rx->ack == tp->snd_nxt)
			return true; /* SYNs crossed, and this is the peer's SYN-ACK */
		challenge_syn(tp, syn_is_error);
		return false;
	}
	return true;
}

/* ---- established ---- */

void tcp_data_snd_check(struct tcp_sock *tp)
{
	tcp_push_pending(tp);
	tcp_write_space(tp);
}

/* Does it only bring what was to be expected: the next data or a plain ACK, the window as it was?
 */
static bool predicted(const struct tcp_sock *tp, const struct tcp_rx *rx)
{
	return rx->seq == tp->rcv_nxt && (rx->flags & ~TCPHDR_PSH) == TCPHDR_ACK && !rx->n_sack &&
	       rx->win << tp->rx_opt.snd_wscale == tp->snd_wnd && !tp->ofo.n && !tp->urg_data;
}

static void rcv_established(struct tcp_sock *tp, struct pkt *p, struct tcp_rx *rx)
{
	int flag = FLAG_UPDATE_TS_RECENT;

	if (!tcp_validate_incoming(tp, rx, true)) {
		pkt_drop(tp->w, p, DROP_TCP_INVALID_SEQUENCE);
		return;
	}
	if (unlikely(!(rx->flags & TCPHDR_ACK))) {
		pkt_drop(tp->w, p, DROP_TCP_FLAGS);
		return;
	}
	if (unlikely(!predicted(tp, rx)))
		flag |= FLAG_SLOWPATH;
	else
		tcp_mib(tp)[MIB_TcpExt_TCPHPHits] += rx->len != 0;
	int r = tcp_ack(tp, p, rx, flag);

	if (unlikely(r < 0)) {
		pkt_drop(tp->w, p, (enum drop) - r);
		return;
	}
	if (rx->len && tp->rx_opt.rcv_tsecr && tp->rx_opt.saw_tstamp)
		tcp_rcv_rtt_measure_ts(tp, rx->len);
	if (unlikely(rx->flags & TCPHDR_URG || tp->urg_data))
		tcp_urg(tp, p, rx);
	tcp_data_queue(tp, p, rx);
	if (tp->node.state == TCP_CLOSE || tp->node.state == TCP_TIME_WAIT)
		return;
	tcp_data_snd_check(tp);
	tcp_ack_snd_check(tp);
}

void tcp_rcv(struct tcp_sock *tp, struct netdev *dev, struct pkt *p, struct tcp_rx *rx)
{
	struct pkt keep;

	tp->segs_in += p->gso_size ? (rx->len + p->gso_size - 1) / p->gso_size : 1;
	if (rx->len)
		tp->data_segs_in += p->gso_size ? (rx->len + p->gso_size - 1) / p->gso_size : 1;
	/* the socket may end with this segment */
	sock_get(&tp->in.sk);
	if (likely(tp->node.state == TCP_ESTABLISHED)) {
		pkt_pull(p, rx->hlen);
		rcv_established(tp, p, rx);
	} else {
		keep = *p;
		pkt_pull(p, rx->hlen);
		if (tcp_rcv_state(tp, dev, p, rx)) {
			p->off = keep.off;
			p->len = keep.len;
			p->total = keep.total;
			tcp_send_reset(tp->w, dev, p, rx);
			pkt_drop(tp->w, p, DROP_TCP_FLAGS);
		}
	}
	sock_put_later(&tp->in.sk);
}

/* ---- whose is it? ---- */

static void input_posted(struct worker *w, struct pkt *p)
{
	p->flags |= PKT_REINJECT;
	tcp_input(w, p->dev, p);
}

static void to_listener(struct worker *w, struct netdev *dev, struct pkt *p, struct tcp_rx *rx)
{
	const struct ip4_hdr *ip = pkt_l3(p);
	const struct tcp_hdr *h = (const struct tcp_hdr *)pkt_data(p);
	struct tcp_sock *tp =
		tcp_lookup_listener(w, dev->net, ip->daddr, h->dest, ip->saddr, h->source, dev, p);

	if (tp) {
		tcp_listen_input(w, tp, dev, p, rx);
		return;
	}
	if (!(rx->flags & TCPHDR_RST))
		tcp_send_reset(w, dev, p, rx);
	pkt_drop(w, p, DROP_NO_SOCKET);
}

static void to_sock(struct worker *w, struct tcp_sock *tp, struct netdev *dev, struct pkt *p,
		    struct tcp_rx *rx)
{
	const struct ip4_hdr *ip = pkt_l3(p);

	if (unlikely(ip->ttl < tp->in.minttl)) {
		tcp_mib(tp)[MIB_TcpExt_TCPMinTTLDrop]++;
		pkt_drop(w, p, DROP_TCP_MINTTL);
		return;
	}
	uint32_t keep = sock_filter(&tp->in.sk, p, dev);

	if (unlikely(keep < p->total)) {
		if (keep < rx->hlen) {
			pkt_drop(w, p, DROP_SOCKET_FILTER);
			return;
		}
		pkt_trim(&w->cache, p, keep);
		rx->end_seq -= rx->len - (p->total - rx->hlen);
		rx->len = p->total - rx->hlen;
	}
	tcp_rcv(tp, dev, p, rx);
}

static void demux(struct worker *w, struct tcp_node *n, struct netdev *dev, struct pkt *p,
		  struct tcp_rx *rx)
{
	struct tcp_tw *tw;

	switch (n->state) {
	case TCP_TIME_WAIT:
		tw = container_of(n, struct tcp_tw, node);
		if (tcp_tw_input(w, tw, dev, p, rx, &rx->tw_isn))
			to_listener(w, dev, p, rx);
		return;
	case TCP_NEW_SYN_RECV:
		tcp_req_input(w, container_of(n, struct tcp_req, node), dev, p, rx);
		return;
	default:
		to_sock(w, container_of(n, struct tcp_sock, node), dev, p, rx);
	}
}

/* Reads and verifies the header. N_DROPS: it is good. */
static enum drop check(struct worker *w, struct netdev *dev, struct pkt *p, struct tcp_rx *rx)
{
	if (p->type != PACKET_HOST)
		return DROP_OTHERHOST;
	if (!tcp_parse(w, p, rx)) {
		ip4_mib(dev->net, w)[MIB_Tcp_InErrs]++;
		return DROP_PKT_TOO_SMALL;
	}
	if (!(p->flags & (PKT_CSUM_OK | PKT_CSUM_PARTIAL)) && !tcp_ip4_csum_ok(p)) {
		ip4_mib(dev->net, w)[MIB_Tcp_InCsumErrors]++;
		ip4_mib(dev->net, w)[MIB_Tcp_InErrs]++;
		return DROP_TCP_CSUM;
	}
	return N_DROPS;
}

void tcp_input(struct worker *w, struct netdev *dev, struct pkt *p)
{
	enum stage prev = stage_enter(w, STAGE_TCP, 1);
	struct tcp_core *core = w->weft->tcp;
	struct tcp_rx rx;

	trace_pkt(w, p, "tcp");
	if (!(p->flags & PKT_REINJECT))
		ip4_mib(dev->net, w)[MIB_Tcp_InSegs] +=
			p->gso_size ? MAX(p->total / p->gso_size, 1u) : 1;
	enum drop why = check(w, dev, p, &rx);

	if (unlikely(why != N_DROPS)) {
		pkt_drop(w, p, why);
		stage_leave(w, prev);
		return;
	}
	/* connections live on worker 0 */
	if (w->id) {
		p->dev = dev;
		worker_post(w->weft->worker[0], p, input_posted);
		stage_leave(w, prev);
		return;
	}
	const struct ip4_hdr *ip = pkt_l3(p);
	const struct tcp_hdr *h = (const struct tcp_hdr *)pkt_data(p);

	rx.ip_dsfield = ip->tos;
	rx.tw_isn = 0;
	struct tcp_node *n =
		tcp_lookup(core, dev->net, ip->daddr, h->dest, ip->saddr, h->source, dev->ifindex);

	if (n)
		demux(w, n, dev, p, &rx);
	else
		to_listener(w, dev, p, &rx);
	stage_leave(w, prev);
}

/* ---- resets (RFC 9293 3.10.7.1) ---- */

void tcp_send_reset(struct worker *w, struct netdev *dev, const struct pkt *p,
		    const struct tcp_rx *rx)
{
	const struct ip4_hdr *ip = pkt_l3(p);
	struct tcp_node n = {.net = dev->net, .laddr = ip->daddr, .raddr = ip->saddr};
	struct pkt *r;

	if (rx->flags & TCPHDR_RST || ip4_addr_type(dev->net, ip->daddr) != RTN_LOCAL)
		return;
	r = pkt_new(w);
	if (!r)
		return;
	const struct tcp_hdr *of = (const struct tcp_hdr *)pkt_data(p);

	n.rport = of->source;
	n.lport = of->dest;
	r->len = sizeof(struct tcp_hdr);
	r->total = r->len;
	if (rx->flags & TCPHDR_ACK)
		tcp_hdr_put(pkt_data(r), n.lport, n.rport, rx->ack, 0, TCPHDR_RST, r->len, 0);
	else
		tcp_hdr_put(pkt_data(r), n.lport, n.rport, 0, rx->end_seq, TCPHDR_RST | TCPHDR_ACK,
			    r->len, 0);
	uint64_t *mib = ip4_mib(dev->net, w);

	mib[MIB_Tcp_OutSegs]++;
	mib[MIB_Tcp_OutRsts]++;
	tcp_ip4_send_node(w, &n, r, ip->tos & ~3, p->mark, 0, 0, NULL, 0);
}

/* ---- ICMP errors (RFC 5927) ---- */

static void frag_needed(struct tcp_sock *tp, struct worker *w, const struct ip4_hdr *inner,
			uint8_t type, uint8_t code, uint32_t info)
{
	struct route_result res;

	route4_pmtu_error(w, tp->in.sk.net, inner, type, code, info);
	if (tp->node.state == TCP_LISTEN || tp->in.pmtudisc == IP_PMTUDISC_DONT ||
	    tp->in.pmtudisc == IP_PMTUDISC_INTERFACE || tp_af(tp)->route(tp, &res))
		return;
	uint32_t mtu = res.mtu ? res.mtu : res.dev->mtu;

	if (mtu < tp->pmtu_cookie) {
		tcp_sync_mss(tp, mtu);
		tcp_simple_retransmit(tp);
	}
}

static void on_error(struct tcp_sock *tp, struct worker *w, const struct ip4_hdr *inner,
		     uint32_t seq, uint8_t type, uint8_t code, uint32_t info)
{
	uint32_t una = tp->fastopen_rsk ? tp->fastopen_rsk->snt_isn : tp->snd_una;
	uint8_t state = tp->node.state;
	bool hard;

	if (state == TCP_CLOSE || (state != TCP_LISTEN && !between(seq, una, tp->snd_nxt))) {
		tcp_mib(tp)[MIB_TcpExt_OutOfWindowIcmps] += state != TCP_CLOSE;
		return;
	}
	if (type == ICMP_SOURCE_QUENCH || type == ICMP_REDIRECT)
		return;
	if (type == ICMP_DEST_UNREACH && code == ICMP_FRAG_NEEDED) {
		frag_needed(tp, w, inner, type, code, info);
		return;
	}
	int err = inet_icmp_errno(&tp->in, type, code, &hard);

	if (type == ICMP_TIME_EXCEEDED)
		err = EHOSTUNREACH;
	/* A Fast Open child that was accepted counts as connected. */
	if (TCPF(state) & (TCPF(TCP_SYN_SENT) | TCPF(TCP_SYN_RECV)) &&
	    !(tp->fast_open_child && !tp->parent)) {
		tcp_done_error(tp, err);
		return;
	}
	/* An established connection is not brought down by ICMP: it may be made up. */
	if (!tp->orphan && tp->in.recverr)
		sock_error(&tp->in.sk, err);
	else
		tp->soft_error = (uint16_t)err;
}

void tcp_error(struct worker *w, struct netdev *dev, struct pkt *p, uint8_t type, uint8_t code,
	       uint32_t info)
{
	const struct ip4_hdr *inner = (const struct ip4_hdr *)pkt_data(p);
	uint8_t l4[8];

	if (pkt_copy_out(p, inner->ihl * 4u, l4, sizeof(l4)) != sizeof(l4))
		return;
	uint16_t sport, dport;

	memcpy(&sport, l4, 2);
	memcpy(&dport, l4 + 2, 2);
	struct tcp_node *n = tcp_lookup(w->weft->tcp, dev->net, inner->saddr, sport, inner->daddr,
					dport, dev->ifindex);

	if (!n) {
		ip4_mib(dev->net, w)[MIB_Icmp_InErrors]++;
		return;
	}
	if (w->id || n->state == TCP_TIME_WAIT)
		return;
	if (n->state == TCP_NEW_SYN_RECV) {
		tcp_req_error(container_of(n, struct tcp_req, node), get_be32(l4 + 4), type, code);
		return;
	}
	on_error(container_of(n, struct tcp_sock, node), w, inner, get_be32(l4 + 4), type, code,
		 info);
}
