/*
 * tcp_req: a request: its SYN-ACK until somebody answers, and the segment that does.
 *
 * The checks are those of RFC 9293 3.10.7.4 for SYN-RECEIVED with the changes that experience made
 * (RFC 1122 4.2.2.20, RFC 7323, RFC 5961's rate limit of answers), in Linux's order. SYN-ACKs are
 * sent again after 1, 2, 4, ... s, tcp_synack_retries times; fewer when more than half of the
 * backlog waits and most of it is old. With TCP_DEFER_ACCEPT a bare ACK is not the end: data is.
 */
#include "tcp/tcp_listen.h"

#include <linux/icmp.h>

/* ---- life ---- */

static void req_lapsed(struct rcu_head *head)
{
	free(container_of(head, struct tcp_req, rcu));
}

void tcp_req_free(struct tcp_req *r)
{
	free(r->saved_syn);
	r->saved_syn = NULL;
	/* Others may still look at a node that was in the hash. */
	if (r->timer.fn)
		call_rcu(&r->rcu, req_lapsed);
	else
		free(r);
}

static uint64_t timeout(const struct tcp_req *r)
{
	uint64_t max = (uint64_t)tcp_net(r->node.net)->tcp_rto_max_ms * NSEC_PER_MSEC;

	uint64_t after = TCP_TIMEOUT_INIT << MIN(r->num_timeout, 20);

	return MIN(after, max);
}

static void req_timeout(struct timer *t, uint64_t now);

int tcp_req_add(struct tcp_req *r)
{
	struct tcp_listen *l = r->listener->listen;
	int err = tcp_hash_add(r->node.net->weft->tcp, &r->node, NULL);

	if (err)
		return err;
	timer_init(&r->timer, req_timeout);
	cds_list_add_tail(&r->link, &l->reqs);
	l->n_reqs++;
	l->n_young++;
	timer_set(&r->w->wheel, &r->timer, r->w->now + timeout(r));
	return 0;
}

void tcp_req_drop(struct tcp_req *r)
{
	struct tcp_listen *l = r->listener->listen;

	timer_del(&r->timer);
	tcp_hash_del(r->node.net->weft->tcp, &r->node);
	cds_list_del(&r->link);
	l->n_reqs--;
	if (!r->num_timeout)
		l->n_young--;
	tcp_req_free(r);
}

/* ---- the SYN-ACK ---- */

int tcp_req_send_synack(struct tcp_req *r, struct tcp_sock *sk, const struct tcp_fo_cookie *fo)
{
	uint8_t tos = sk->in.tos, ttl = sk->in.ttl < 0 ? 0 : (uint8_t)sk->in.ttl;
	struct pkt *p = tcp_make_synack(r->w, sk, r, fo && fo->len >= 0 ? fo : NULL);

	if (!p)
		return -ENOBUFS;
	if (r->tstamp_ok) {
		r->snt_tsval_last = tcp_cookie_tsval(r, r->w->now);
		if (!r->snt_synack)
			r->snt_tsval_first = r->snt_tsval_last;
	}
	if (!r->snt_synack)
		r->snt_synack = r->w->now;
	if (tcp_net(r->node.net)->tcp_reflect_tos)
		tos = (uint8_t)((r->tos & ~3) | (tos & 3));
	return tcp_ip4_send_node(r->w, &r->node, p, tos, r->mark, r->ifindex, ttl, r->opt,
				 r->opt_len);
}

int tcp_req_rtx_synack(struct tcp_req *r, struct tcp_sock *sk)
{
	int err = tcp_req_send_synack(r, sk, NULL);

	if (err)
		return err;
	r->num_retrans++;
	tcp_req_mib(r)[MIB_Tcp_RetransSegs]++;
	tcp_req_mib(r)[MIB_TcpExt_TCPSynRetrans]++;
	return 0;
}

/* How often it may be sent again. A young request most often needs no second; when the queue gets
 * full of old ones these are given up earlier, so that there is room for the young. */
static unsigned max_retries(const struct tcp_sock *tp)
{
	const struct tcp_net *tn = tcp_net(tp->in.sk.net);
	const struct tcp_listen *l = tp->listen;
	unsigned max =
		tp->user_syn_retries ? tp->user_syn_retries : (unsigned)tn->tcp_synack_retries;
	unsigned young = l->n_young << 1;

	if (l->n_reqs << 1 <= MAX(8u, l->backlog))
		return max;
	for (; max > 2 && l->n_reqs >= young; young <<= 1)
		max--;
	return max;
}

static void req_timeout(struct timer *t, uint64_t now)
{
	struct tcp_req *r = container_of(t, struct tcp_req, timer);
	struct tcp_sock *tp = r->listener;
	unsigned max = max_retries(tp), defer = tp->defer_accept;
	bool expire = r->num_timeout >= max, resend = true;

	if (defer) {
		/* The peer has answered: waits for its data, then asks for the ACK once more. */
		expire = expire && (!r->acked || r->num_timeout >= defer);
		resend = !r->acked || r->num_timeout + 1u >= defer;
	}
	tcp_req_mib(r)[MIB_TcpExt_TCPTimeouts]++;
	if (expire || (resend && tcp_req_rtx_synack(r, tp) && !r->acked)) {
		tcp_req_drop(r);
		return;
	}
	if (r->num_timeout++ == 0)
		tp->listen->n_young--;
	timer_set(&r->w->wheel, &r->timer, now + timeout(r));
}

/* ---- segments ---- */

static uint32_t window(const struct tcp_req *r)
{
	return MIN(r->rsk_rcv_wnd, 65535u);
}

static void send_ack(const struct tcp_req *r, const struct tcp_sock *child, const struct tcp_rx *rx)
{
	const struct tcp_reply reply = {
		.seq = child ? child->snd_nxt : r->snt_isn + 1,
		.ack = r->rcv_nxt,
		.win = (uint16_t)(window(r) >> r->rcv_wscale),
		.ts = r->ts_recent,
		.tsval = (uint32_t)(r->w->now / NSEC_PER_MSEC) + r->ts_off,
		.tsecr = r->ts_recent,
		.tos = rx->ip_dsfield,
		.mark = r->mark,
		.oif = r->ifindex,
		.opt = r->opt,
		.opt_len = r->opt_len,
	};

	tcp_reply_ack(r->w, &r->node, &reply);
}

/* The SYN has come again: so does its answer, instead of the timer's. */
static void syn_again(struct tcp_req *r, struct tcp_sock *child, const struct tcp_rx *rx)
{
	if (!tcp_oow_answer(r->w, r->node.net, rx, &r->last_oow_ack_time,
			    MIB_TcpExt_TCPACKSkippedSynRecv))
		return;
	if (tcp_req_rtx_synack(r, child ? child : r->listener) || child)
		return;
	timer_set(&r->w->wheel, &r->timer, r->w->now + timeout(r));
}

struct clock_check {
	bool paws_reject, tsecr_reject;
};

static struct clock_check check_clock(const struct tcp_req *r, bool child, struct tcp_rx *rx,
				      struct tcp_rx_opts *seen)
{
	struct clock_check c = {false, false};

	*seen = (struct tcp_rx_opts){0};
	if (rx->hlen <= 20)
		return c;
	tcp_parse_opts(rx, seen, false, NULL, tcp_net(r->node.net));
	if (!seen->saw_tstamp)
		return c;
	seen->ts_recent = r->ts_recent;
	if (seen->rcv_tsecr && r->tstamp_ok && !child)
		c.tsecr_reject = !between(seen->rcv_tsecr, r->snt_tsval_first, r->snt_tsval_last);
	/* The true stamp is not kept; about when the last SYN-ACK went is near enough. */
	uint64_t s = tcp_seconds(r->w->now), ago = timeout(r) / NSEC_PER_SEC;

	seen->ts_recent_stamp = s > ago ? s - ago : 0;
	c.paws_reject = tcp_opts_paws_reject(seen, rx->flags & TCPHDR_RST, r->w->now);
	return c;
}

/* Not acceptable: says what would be, unless it is an RST. */
static void reject(struct tcp_req *r, struct tcp_sock *child, const struct tcp_rx *rx,
		   const struct clock_check *c)
{
	if (!(rx->flags & TCPHDR_RST) &&
	    tcp_oow_answer(r->w, r->node.net, rx, &r->last_oow_ack_time,
			   MIB_TcpExt_TCPACKSkippedSynRecv))
		send_ack(r, child, rx);
	if (c->paws_reject)
		tcp_req_mib(r)[MIB_TcpExt_PAWSEstab]++;
	else if (c->tsecr_reject)
		tcp_req_mib(r)[MIB_TcpExt_TSEcrRejected]++;
}

/* A SYN or an RST where none belongs ends the request. A Fast Open child, which has an application
 * already, is ended by an RST alone. */
static void embryonic_reset(struct tcp_req *r, struct tcp_sock *child, struct netdev *dev,
			    struct pkt *p, const struct tcp_rx *rx)
{
	if (!(rx->flags & TCPHDR_RST))
		tcp_send_reset(r->w, dev, p, rx);
	else if (child)
		tcp_fastopen_reset(child);
	if (!child) {
		tcp_req_mib(r)[MIB_TcpExt_EmbryonicRsts]++;
		tcp_req_drop(r);
	}
}

enum tcp_verdict tcp_req_check(struct tcp_req *r, struct tcp_sock *child, struct netdev *dev,
			       struct pkt *p, struct tcp_rx *rx, struct tcp_rx_opts *seen)
{
	uint8_t flags = rx->flags & (TCPHDR_RST | TCPHDR_SYN | TCPHDR_ACK);
	struct clock_check c = check_clock(r, child, rx, seen);

	if (rx->seq == r->rcv_isn && flags == TCPHDR_SYN && !c.paws_reject) {
		syn_again(r, child, rx);
		return TCP_REQ_DROP;
	}
	/* An ACK of something else is answered as if there were no request. */
	if ((flags & TCPHDR_ACK) && !child && rx->ack != r->snt_isn + 1)
		return TCP_REQ_LISTEN;
	if (c.paws_reject || c.tsecr_reject ||
	    !tcp_seg_in_window(rx, r->rcv_nxt, r->rcv_nxt + window(r))) {
		reject(r, child, rx, &c);
		return TCP_REQ_DROP;
	}
	if (seen->saw_tstamp && !after(rx->seq, r->rcv_nxt))
		r->ts_recent = seen->rcv_tsval;
	if (rx->seq == r->rcv_isn)
		flags &= (uint8_t)~TCPHDR_SYN; /* before the window: cut off */
	if (flags & (TCPHDR_RST | TCPHDR_SYN)) {
		tcp_req_mib(r)[MIB_Tcp_AttemptFails]++;
		embryonic_reset(r, child, dev, p, rx);
		return TCP_REQ_DROP;
	}
	if (!(flags & TCPHDR_ACK))
		return TCP_REQ_DROP;
	if (child)
		return TCP_REQ_CHILD;
	if (r->num_timeout < r->listener->defer_accept && rx->end_seq == r->rcv_isn + 1) {
		r->acked = true;
		tcp_req_mib(r)[MIB_TcpExt_TCPDeferAcceptDrop]++;
		return TCP_REQ_DROP;
	}
	return TCP_REQ_CHILD;
}

/* There is no room for the child: lets the peer try again, or tells it. */
static void overflow(struct tcp_req *r, struct netdev *dev, struct pkt *p, const struct tcp_rx *rx)
{
	if (tcp_net(r->node.net)->tcp_abort_on_overflow)
		embryonic_reset(r, NULL, dev, p, rx);
	else
		r->acked = true;
}

void tcp_req_input(struct worker *w, struct tcp_req *r, struct netdev *dev, struct pkt *p,
		   struct tcp_rx *rx)
{
	struct tcp_sock *listener = r->listener, *child;
	struct tcp_rx_opts seen;
	uint32_t rcv_nxt = r->rcv_nxt;

	switch (tcp_req_check(r, NULL, dev, p, rx, &seen)) {
	case TCP_REQ_DROP:
		break;
	case TCP_REQ_LISTEN:
		tcp_listen_input(w, listener, dev, p, rx);
		return;
	case TCP_REQ_CHILD:
		child = tcp_child_new(listener, r, p, rx);
		if (!child) {
			overflow(r, dev, p, rx);
			break;
		}
		if (seen.saw_tstamp && !after(rx->seq, rcv_nxt))
			child->rx_opt.ts_recent = seen.rcv_tsval;
		tcp_synack_rtt(child, r->num_retrans ? 0 : r->snt_synack);
		tcp_req_drop(r);
		tcp_accept_add(listener, child);
		tcp_child_process(listener, child, dev, p, rx);
		return;
	}
	pkt_free(&w->cache, p);
}

void tcp_req_error(struct tcp_req *r, uint32_t seq, uint8_t type, uint8_t code)
{
	bool hard = type == ICMP_PARAMETERPROB || type == ICMP_TIME_EXCEEDED ||
		    (type == ICMP_DEST_UNREACH &&
		     (code == ICMP_NET_UNREACH || code == ICMP_HOST_UNREACH));

	if (seq != r->snt_isn) {
		tcp_req_mib(r)[MIB_TcpExt_OutOfWindowIcmps]++;
	} else if (hard) {
		/* Nobody can be told: accept(2) knows no errors of the network. */
		tcp_req_mib(r)[MIB_TcpExt_ListenDrops]++;
		tcp_req_drop(r);
	}
}
