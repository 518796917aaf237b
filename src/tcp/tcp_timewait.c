/*
 * tcp_timewait: the little that stays of a closed connection: a tcp_tw.
 *
 * In TIME-WAIT it answers the peer's FIN again and keeps old segments from a new connection (RFC
 * 9293 3.6.1, RFC 1337); as a stand-in for FIN_WAIT2 it waits for the FIN of a connection whose
 * application has gone. A SYN that can be told from an old one, by its number or its time stamp
 * (RFC 6191), opens a new connection at once. Nobody can fill memory with them: beyond
 * tcp_max_tw_buckets a connection closes without.
 */
#include "tcp/tcp_listen.h"

static uint64_t *tw_mib(const struct tcp_tw *tw)
{
	return ip4_mib(tw->node.net, tw->w);
}

static void tw_lapsed(struct rcu_head *head)
{
	free(container_of(head, struct tcp_tw, rcu));
}

void tcp_tw_end(struct tcp_tw *tw)
{
	struct tcp_core *core = tw->node.net->weft->tcp;

	timer_del(&tw->timer);
	tcp_hash_del(core, &tw->node);
	tcp_port_tw_put(tw);
	cds_list_del(&tw->link);
	tcp_net(tw->node.net)->n_tw--;
	core->n_tw--;
	call_rcu(&tw->rcu, tw_lapsed);
}

static void tw_expired(struct timer *t, uint64_t now)
{
	tcp_tw_end(container_of(t, struct tcp_tw, timer));
}

void tcp_tw_purge(struct net *net)
{
	struct tcp_tw *tw, *next;

	cds_list_for_each_entry_safe (tw, next, &tcp_net(net)->tws, link)
		tcp_tw_end(tw);
}

/* ---- a socket becomes one ---- */

static struct tcp_tw *tw_new(struct tcp_sock *tp)
{
	struct tcp_net *tn = tcp_net(tp->in.sk.net);
	struct tcp_tw *tw;

	if (tn->n_tw >= (unsigned)MAX(tn->tcp_max_tw_buckets, 0))
		return NULL;
	tw = calloc(1, sizeof(*tw));
	if (!tw)
		return NULL;
	tw->node = (struct tcp_node){
		.net = tp->in.sk.net,
		.laddr = tp->node.laddr,
		.raddr = tp->node.raddr,
		.lport = tp->node.lport,
		.rport = tp->node.rport,
		.state = TCP_TIME_WAIT,
	};
	tw->w = tp->w;
	timer_init(&tw->timer, tw_expired);
	tw->mark = tp->in.sk.mark;
	tw->tos = tp->in.tos;
	tw->uid = tp->in.sk.uid;
	tw->bound_if = tp->in.sk.bound_if;
	tw->rcv_wscale = tp->rx_opt.rcv_wscale;
	tw->entry_stamp = tcp_now(tp);
	tw->rcv_nxt = tp->rcv_nxt;
	tw->snd_nxt = tp->snd_nxt;
	int32_t win = (int32_t)(tp->rcv_wup + tp->rcv_wnd - tp->rcv_nxt);
	tw->rcv_wnd = (uint32_t)MAX(win, 0);
	tw->ts_recent = tp->rx_opt.ts_recent;
	tw->ts_recent_stamp = tp->rx_opt.ts_recent_stamp;
	tw->ts_offset = tp->tsoffset;
	cds_list_add_tail(&tw->link, &tn->tws);
	tn->n_tw++;
	tp->in.sk.weft->tcp->n_tw++;
	return tw;
}

void tcp_time_wait(struct tcp_sock *tp, enum tcp_state state, uint64_t timeo)
{
	struct tcp_tw *tw = tp->node.hashed ? tw_new(tp) : NULL;

	if (tw) {
		tw->substate_fin_wait2 = state == TCP_FIN_WAIT2;
		/* long enough for the peer to send its FIN a few times */
		timeo = MAX(timeo, (tp->rto << 2) - (tp->rto >> 1));
		if (state == TCP_TIME_WAIT)
			timeo = TCP_TIMEWAIT_LEN;
		tcp_port_tw(tw, tp);
		tcp_hash_add(tp->in.sk.weft->tcp, &tw->node, &tp->node);
		tcp_mib(tp)[timeo <= 4 * NSEC_PER_SEC ? MIB_TcpExt_TWKilled : MIB_TcpExt_TW]++;
		timer_set(&tw->w->wheel, &tw->timer, tcp_now(tp) + timeo);
	} else {
		tcp_mib(tp)[MIB_TcpExt_TCPTimeWaitOverflow]++;
	}
	tcp_metrics_save(tp);
	tcp_done(tp);
}

/* ---- segments ---- */

enum tw_verdict { TW_DROP, TW_ACK, TW_RST, TW_SYN, TW_KILL };

static void restart(struct tcp_tw *tw)
{
	timer_set(&tw->w->wheel, &tw->timer, tw->w->now + TCP_TIMEWAIT_LEN);
}

static void new_tsval(struct tcp_tw *tw, const struct tcp_rx_opts *o)
{
	if (!o->saw_tstamp)
		return;
	tw->ts_recent = o->rcv_tsval;
	tw->ts_recent_stamp = tcp_seconds(tw->w->now);
}

static enum tw_verdict out_of_window(struct tcp_tw *tw, const struct tcp_rx *rx, int mib)
{
	return tcp_oow_answer(tw->w, tw->node.net, rx, &tw->last_oow_ack_time, mib) ? TW_ACK
										    : TW_DROP;
}

static enum tw_verdict fin_wait2(struct tcp_tw *tw, const struct tcp_rx *rx,
				 const struct tcp_rx_opts *o, bool paws_reject)
{
	if (paws_reject || !tcp_seg_in_window(rx, tw->rcv_nxt, tw->rcv_nxt + tw->rcv_wnd))
		return out_of_window(tw, rx, MIB_TcpExt_TCPACKSkippedFinWait2);
	if (rx->flags & TCPHDR_RST)
		return TW_KILL;
	if ((rx->flags & TCPHDR_SYN) && !before(rx->seq, tw->rcv_nxt))
		return TW_RST;
	if (!(rx->flags & TCPHDR_ACK) || !after(rx->end_seq, tw->rcv_nxt) || rx->end_seq == rx->seq)
		return TW_DROP;
	/* Data that nobody will read. */
	if (!(rx->flags & TCPHDR_FIN) || rx->end_seq != tw->rcv_nxt + 1)
		return TW_RST;
	tw->substate_fin_wait2 = false;
	tw->rcv_nxt = rx->end_seq;
	if (o->saw_tstamp) {
		tw->entry_stamp = tw->w->now;
		new_tsval(tw, o);
	}
	restart(tw);
	return TW_ACK;
}

/* Is it a SYN that cannot be an old duplicate? */
static bool opens_anew(const struct tcp_tw *tw, const struct tcp_rx *rx,
		       const struct tcp_rx_opts *o)
{
	if ((rx->flags & (TCPHDR_SYN | TCPHDR_RST | TCPHDR_ACK)) != TCPHDR_SYN)
		return false;
	return after(rx->seq, tw->rcv_nxt) ||
	       (o->saw_tstamp && (int32_t)(tw->ts_recent - o->rcv_tsval) < 0);
}

static enum tw_verdict time_wait(struct tcp_tw *tw, const struct tcp_rx *rx,
				 const struct tcp_rx_opts *o, bool paws_reject)
{
	const struct tcp_net *tn = tcp_net(tw->node.net);
	bool rst = rx->flags & TCPHDR_RST;

	if (!paws_reject && rx->seq == tw->rcv_nxt && (rx->seq == rx->end_seq || rst)) {
		if (!rst)
			restart(tw);
		else if (!tn->tcp_rfc1337)
			return TW_KILL;
		new_tsval(tw, o);
		return TW_DROP;
	}
	if (!paws_reject && opens_anew(tw, rx, o))
		return TW_SYN;
	if (paws_reject)
		tw_mib(tw)[MIB_TcpExt_PAWSTimewait]++;
	if (rst)
		return TW_DROP;
	/* A SYN alone may be a new one with a number below: that is no reason to wait longer. */
	if (paws_reject || (rx->flags & TCPHDR_ACK))
		restart(tw);
	return out_of_window(tw, rx, MIB_TcpExt_TCPACKSkippedTimeWait);
}

static enum tw_verdict decide(struct tcp_tw *tw, struct tcp_rx *rx)
{
	struct tcp_rx_opts o = {0};
	bool paws_reject = false;

	if (rx->hlen > 20 && tw->ts_recent_stamp) {
		tcp_parse_opts(rx, &o, false, NULL, tcp_net(tw->node.net));
		if (o.saw_tstamp) {
			o.ts_recent = tw->ts_recent;
			o.ts_recent_stamp = tw->ts_recent_stamp;
			paws_reject = tcp_opts_paws_reject(&o, rx->flags & TCPHDR_RST, tw->w->now);
		}
	}
	return tw->substate_fin_wait2 ? fin_wait2(tw, rx, &o, paws_reject)
				      : time_wait(tw, rx, &o, paws_reject);
}

static void send_ack(struct tcp_tw *tw)
{
	const struct tcp_reply r = {
		.seq = tw->snd_nxt,
		.ack = tw->rcv_nxt,
		.win = (uint16_t)MIN(tw->rcv_wnd >> tw->rcv_wscale, 65535u),
		.ts = tw->ts_recent,
		.tsval = (uint32_t)(tw->w->now / NSEC_PER_MSEC) + tw->ts_offset,
		.tsecr = tw->ts_recent,
		.tos = tw->tos,
		.mark = tw->mark,
		.oif = tw->bound_if,
	};

	tcp_reply_ack(tw->w, &tw->node, &r);
}

/* Is there somebody whom a new connection is for? */
static bool has_listener(const struct tcp_tw *tw, struct netdev *dev, const struct pkt *p)
{
	const struct tcp_node *n = &tw->node;

	return tcp_lookup_listener(tw->w, n->net, n->laddr, n->lport, n->raddr, n->rport, dev, p);
}

bool tcp_tw_input(struct worker *w, struct tcp_tw *tw, struct netdev *dev, struct pkt *p,
		  struct tcp_rx *rx, uint32_t *isn)
{
	enum tw_verdict v = decide(tw, rx);

	if (v == TW_SYN && !has_listener(tw, dev, p))
		v = TW_ACK;
	switch (v) {
	case TW_SYN:
		*isn = tw->snd_nxt + 65535 + 2;
		if (!*isn)
			*isn = 1;
		rx->tw_isn = *isn;
		tcp_tw_end(tw);
		return true;
	case TW_ACK:
		send_ack(tw);
		break;
	case TW_RST:
		tcp_send_reset(w, dev, p, rx);
		tcp_tw_end(tw);
		break;
	case TW_KILL:
		tcp_tw_end(tw);
		break;
	case TW_DROP:
		break;
	}
	pkt_free(&w->cache, p);
	return false;
}
