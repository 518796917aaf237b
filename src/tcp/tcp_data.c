/*
 * tcp_data: data that came in: into order, and duplicates told (RFC 2883); FIN; urgent data.
 *
 * In order: rcvq, where the application reads. Out of order: ofo, sorted, without overlaps, from
 * which SACK blocks are made (RFC 2018): the block that changed last comes first.
 */
#include "tcp/tcp_data.h"

#include "tcp/tcp_output.h"
#include "tcp/tcp_rcvq.h"

#define JOIN_MAX 512u /* bytes that are copied into the packet before */

/* ---- D-SACK ---- */

void tcp_dsack_set(struct tcp_sock *tp, uint32_t seq, uint32_t end_seq)
{
	const struct tcp_net *tn = tcp_net(tp->in.sk.net);

	if (!tcp_is_sack(tp) || !tn->tcp_dsack)
		return;
	tcp_mib(tp)[before(seq, tp->rcv_nxt) ? MIB_TcpExt_TCPDSACKOldSent
					     : MIB_TcpExt_TCPDSACKOfoSent]++;
	tp->rx_opt.dsack = true;
	tp->duplicate_sack = (struct tcp_sack_block){seq, end_seq};
}

static bool sack_extend(struct tcp_sack_block *b, uint32_t seq, uint32_t end_seq)
{
	if (after(seq, b->end_seq) || after(b->start_seq, end_seq))
		return false;
	if (before(seq, b->start_seq))
		b->start_seq = seq;
	if (after(end_seq, b->end_seq))
		b->end_seq = end_seq;
	return true;
}

static void dsack_extend(struct tcp_sock *tp, uint32_t seq, uint32_t end_seq)
{
	if (!tp->rx_opt.dsack)
		tcp_dsack_set(tp, seq, end_seq);
	else
		sack_extend(&tp->duplicate_sack, seq, end_seq);
}

void tcp_send_dupack(struct tcp_sock *tp, const struct tcp_rx *rx)
{
	const struct tcp_net *tn = tcp_net(tp->in.sk.net);

	if (rx->end_seq != rx->seq && before(rx->seq, tp->rcv_nxt)) {
		tcp_mib(tp)[MIB_TcpExt_DelayedACKLost]++;
		tcp_enter_quickack(tp, TCP_MAX_QUICKACKS);
		if (tcp_is_sack(tp) && tn->tcp_dsack)
			tcp_dsack_set(tp, rx->seq,
				      after(rx->end_seq, tp->rcv_nxt) ? tp->rcv_nxt : rx->end_seq);
	}
	tcp_send_ack(tp);
}

/* ---- our SACK blocks ---- */

/* The first block has grown: those it now touches become part of it. */
static void sack_coalesce(struct tcp_sock *tp)
{
	struct tcp_sack_block *sp = tp->selective_acks;

	for (unsigned i = 1; i < tp->rx_opt.num_sacks;) {
		if (!sack_extend(&sp[0], sp[i].start_seq, sp[i].end_seq)) {
			i++;
			continue;
		}
		tp->rx_opt.num_sacks--;
		memmove(sp + i, sp + i + 1, (tp->rx_opt.num_sacks - i) * sizeof(*sp));
	}
}

static void sack_new(struct tcp_sock *tp, uint32_t seq, uint32_t end_seq)
{
	struct tcp_sack_block *sp = tp->selective_acks;
	unsigned n = tp->rx_opt.num_sacks;

	for (unsigned i = 0; i < n; i++) {
		if (!sack_extend(&sp[i], seq, end_seq))
			continue;
		/* the newest comes first */
		struct tcp_sack_block b = sp[i];

		memmove(sp + 1, sp, i * sizeof(*sp));
		sp[0] = b;
		if (n > 1)
			sack_coalesce(tp);
		return;
	}
	if (n >= TCP_MAX_SACKS) {
		/* the oldest leaves; what was held back about it is told first */
		if (tp->compressed_ack)
			tcp_send_ack(tp);
		n = TCP_MAX_SACKS - 1;
	}
	memmove(sp + 1, sp, n * sizeof(*sp));
	sp[0] = (struct tcp_sack_block){seq, end_seq};
	tp->rx_opt.num_sacks = (uint8_t)(n + 1);
}

/* What rcv_nxt has reached is no block any more. */
static void sack_remove(struct tcp_sock *tp)
{
	struct tcp_sack_block *sp = tp->selective_acks;
	unsigned kept = 0;

	if (!tp->ofo.n) {
		tp->rx_opt.num_sacks = 0;
		return;
	}
	for (unsigned i = 0; i < tp->rx_opt.num_sacks; i++)
		if (before(tp->rcv_nxt, sp[i].start_seq))
			sp[kept++] = sp[i];
	tp->rx_opt.num_sacks = (uint8_t)kept;
}

/* ---- queues ---- */

/* Into rcvq, joined with the packet before when it is small. Takes. */
static void queue_in_order(struct tcp_sock *tp, struct pkt *p, uint32_t seq, uint32_t end)
{
	struct pool_cache *c = &tp->w->cache;
	struct pkt *last = rcvq_last(&tp->rcvq);
	uint32_t len = p->total;

	tp->bytes_received += end - tp->rcv_nxt;
	tp->rcv_nxt = end;
	if (!len) {
		pkt_free(c, p);
		return;
	}
	if (last && !last->seg && len <= JOIN_MAX && rcvq_end(last) == seq &&
	    len <= pkt_tailroom(last) && pkt_private(last)) {
		size_t was = tcp_rcv_truesize(last->total);

		pkt_copy_out(p, 0, pkt_data(last) + last->len, len);
		last->len = (uint16_t)(last->len + len);
		last->total += len;
		rcvq_set(last, rcvq_seq(last), end);
		tp->rcvq.bytes += len;
		tp->rmem += tcp_rcv_truesize(last->total) - was;
		pkt_free(c, p);
		return;
	}
	rcvq_set(p, seq, end);
	tp->rmem += tcp_rcv_truesize(len);
	pktq_push(&tp->rcvq, p);
}

static void free_ofo(struct tcp_sock *tp, unsigned i)
{
	struct tcp_seg *s = segs_remove(&tp->ofo, i);

	tp->rmem -= s->truesize;
	pkt_free(&tp->w->cache, s->p);
}

/* Room is made by giving up what is out of order, from its end. */
static void prune_ofo(struct tcp_sock *tp)
{
	if (!tp->ofo.n)
		return;
	tcp_mib(tp)[MIB_TcpExt_OfoPruned]++;
	size_t most = pool_is_low(tp->w->cache.pool) ? 0 : tp->in.sk.rcvbuf / 8 * 7;

	while (tp->ofo.n && tp->rmem > most)
		free_ofo(tp, tp->ofo.n - 1);
	if (tcp_is_sack(tp))
		tp->rx_opt.num_sacks = 0;
}

/* Is there room for more? */
static bool rmem_ok(struct tcp_sock *tp)
{
	bool scarce = tcp_scarce(tp, tp->rmem);

	if (likely(tp->rmem <= tp->in.sk.rcvbuf && !scarce))
		return true;
	if (scarce) {
		tcp_mib(tp)[MIB_TcpExt_TCPMemoryPressures]++;
		tp->rcv_ssthresh = MIN(tp->rcv_ssthresh, 4u * tp->advmss);
		prune_ofo(tp);
		return !tp->rcvq.n;
	}
	tcp_mib(tp)[MIB_TcpExt_PruneCalled]++;
	tcp_clamp_window(tp);
	if (tp->rmem > tp->in.sk.rcvbuf)
		prune_ofo(tp);
	if (tp->rmem <= tp->in.sk.rcvbuf)
		return true;
	tcp_mib(tp)[MIB_TcpExt_RcvPruned]++;
	return false;
}

/* RFC 9293 3.10.7.4, eighth: the peer has no more to say. */
static void fin_received(struct tcp_sock *tp)
{
	tcp_schedule_ack(tp);
	tp->in.sk.shut |= 1;
	switch (tp->node.state) {
	case TCP_SYN_RECV:
	case TCP_ESTABLISHED:
		tcp_set_state(tp, TCP_CLOSE_WAIT);
		tp->ack.pingpong = (uint8_t)tcp_net(tp->in.sk.net)->tcp_pingpong_thresh;
		break;
	case TCP_FIN_WAIT1:
		tcp_send_ack(tp);
		tcp_set_state(tp, TCP_CLOSING);
		break;
	case TCP_FIN_WAIT2:
		tcp_send_ack(tp);
		tcp_time_wait(tp, TCP_TIME_WAIT, TCP_TIMEWAIT_LEN);
		break;
	}
	while (tp->ofo.n)
		free_ofo(tp, tp->ofo.n - 1);
	tp->rx_opt.num_sacks = 0;
	if (!tp->orphan)
		tcp_data_ready(tp);
}

/* A hole was filled: what follows is in order now. */
static void ofo_queue(struct tcp_sock *tp)
{
	uint32_t dsack_high = tp->rcv_nxt;

	while (tp->ofo.n) {
		struct tcp_seg *s = segs_at(&tp->ofo, 0);

		if (after(s->seq, tp->rcv_nxt))
			break;
		if (before(s->seq, dsack_high)) {
			uint32_t dsack = dsack_high;

			if (before(s->end_seq, dsack_high))
				dsack_high = s->end_seq;
			dsack_extend(tp, s->seq, dsack);
		}
		bool fin = s->flags & TCPHDR_FIN;

		segs_drop(&tp->ofo, 1);
		tp->rmem -= s->truesize;
		if (!after(s->end_seq, tp->rcv_nxt)) {
			pkt_free(&tp->w->cache, s->p);
			continue;
		}
		queue_in_order(tp, s->p, s->seq, s->end_seq);
		if (fin) {
			fin_received(tp);
			break;
		}
	}
}

/* A packet whose first buffer is its own, so that it can hold the record. Takes p, NULL: freed. */
static struct pkt *own_head(struct worker *w, struct pkt *p)
{
	if (likely(!(p->flags & PKT_CLONE) && p->off >= sizeof(struct tcp_seg)))
		return p;
	struct pkt *h = pkt_new(w);

	if (!h) {
		pkt_free(&w->cache, p);
		return NULL;
	}
	h->seg = p;
	h->total = p->total;
	return h;
}

/* Puts s in its place among the others; what both have is a duplicate. False: all of it was there.
 */
static bool ofo_insert(struct tcp_sock *tp, struct tcp_seg *s)
{
	unsigned i = segs_find(&tp->ofo, s->seq);

	if (i < tp->ofo.n) {
		struct tcp_seg *o = segs_at(&tp->ofo, i);

		if (!before(s->seq, o->seq)) {
			if (!after(s->end_seq, o->end_seq)) {
				tcp_mib(tp)[MIB_TcpExt_TCPOFOMerge]++;
				tcp_dsack_set(tp, s->seq, s->end_seq);
				return false;
			}
			if (after(s->seq, o->seq)) {
				tcp_dsack_set(tp, s->seq, o->end_seq);
				i++;
			}
		}
	}
	if (segs_insert(&tp->ofo, i, s))
		return false;
	tp->rmem += s->truesize;
	while (i + 1 < tp->ofo.n) {
		struct tcp_seg *o = segs_at(&tp->ofo, i + 1);

		if (!after(s->end_seq, o->seq))
			break;
		if (before(s->end_seq, o->end_seq)) {
			dsack_extend(tp, o->seq, s->end_seq);
			break;
		}
		dsack_extend(tp, o->seq, o->end_seq);
		tcp_mib(tp)[MIB_TcpExt_TCPOFOMerge]++;
		free_ofo(tp, i + 1);
	}
	return true;
}

static void queue_ofo(struct tcp_sock *tp, struct pkt *p, const struct tcp_rx *rx)
{
	tcp_ecn_check_ce(tp, rx);
	if (!rmem_ok(tp)) {
		tcp_mib(tp)[MIB_TcpExt_TCPOFODrop]++;
		if (!tp->orphan)
			tcp_data_ready(tp);
		pkt_drop(tp->w, p, DROP_SOCKET_RCVBUFF);
		return;
	}
	tcp_schedule_ack(tp);
	tp->rcv_ooopack += p->gso_size ? (rx->len + p->gso_size - 1) / p->gso_size : 1;
	tcp_mib(tp)[MIB_TcpExt_TCPOFOQueue]++;
	p = own_head(tp->w, p);
	if (!p)
		return;
	struct tcp_seg *s = tcp_seg_of(p);

	*s = (struct tcp_seg){.p = p,
			      .seq = rx->seq,
			      .end_seq = rx->end_seq,
			      .flags = rx->flags,
			      .truesize = tcp_rcv_truesize(p->total)};
	bool kept = ofo_insert(tp, s);

	if (tcp_is_sack(tp)) {
		sack_new(tp, rx->seq, rx->end_seq);
		if (kept)
			tcp_grow_window(tp, rx->len, tcp_rcv_truesize(rx->len));
	}
	if (!kept)
		pkt_free(&tp->w->cache, p);
}

static void out_of_window(struct tcp_sock *tp, struct pkt *p, enum drop why)
{
	tcp_enter_quickack(tp, TCP_MAX_QUICKACKS);
	tcp_schedule_ack(tp);
	pkt_drop(tp->w, p, why);
}

static void queue_and_out(struct tcp_sock *tp, struct pkt *p, const struct tcp_rx *rx)
{
	if (!rmem_ok(tp)) {
		tp->ack.pending |= ICSK_ACK_NOMEM | ICSK_ACK_NOW;
		tcp_schedule_ack(tp);
		if (!tp->orphan)
			tcp_data_ready(tp);
		if (tp->rcvq.n && rx->len) {
			tcp_mib(tp)[MIB_TcpExt_TCPRcvQDrop]++;
			pkt_drop(tp->w, p, DROP_SOCKET_RCVBUFF);
			return;
		}
	}
	if (rx->len)
		tcp_event_data_recv(tp, p, rx);
	if (rx->len) {
		queue_in_order(tp, p, rx->seq, rx->seq + rx->len);
	} else {
		pkt_free(&tp->w->cache, p);
	}
	if (rx->flags & TCPHDR_FIN) {
		tp->rcv_nxt = rx->end_seq;
		fin_received(tp);
	}
	if (tp->node.state == TCP_TIME_WAIT)
		return;
	if (tp->ofo.n) {
		ofo_queue(tp);
		if (!tp->ofo.n)
			tp->ack.pending |= ICSK_ACK_NOW;
	}
	if (tp->rx_opt.num_sacks)
		sack_remove(tp);
	if (!tp->orphan)
		tcp_data_ready(tp);
}

void tcp_data_queue(struct tcp_sock *tp, struct pkt *p, const struct tcp_rx *rx)
{
	if (rx->seq == rx->end_seq) {
		pkt_free(&tp->w->cache, p);
		return;
	}
	tp->rx_opt.dsack = false;
	if (rx->seq == tp->rcv_nxt) {
		if (!tcp_receive_window(tp) && !(!rx->len && rx->flags & TCPHDR_FIN)) {
			tcp_mib(tp)[MIB_TcpExt_TCPZeroWindowDrop]++;
			out_of_window(tp, p, DROP_TCP_ZEROWINDOW);
			return;
		}
		queue_and_out(tp, p, rx);
		return;
	}
	if (!after(rx->end_seq, tp->rcv_nxt)) {
		tcp_mib(tp)[MIB_TcpExt_DelayedACKLost]++;
		tcp_dsack_set(tp, rx->seq, rx->end_seq);
		out_of_window(tp, p, DROP_TCP_OLD_DATA);
		return;
	}
	if (!before(rx->seq, tp->rcv_nxt + tcp_receive_window(tp))) {
		out_of_window(tp, p, DROP_TCP_OVERWINDOW);
		return;
	}
	if (before(rx->seq, tp->rcv_nxt)) {
		tcp_dsack_set(tp, rx->seq, tp->rcv_nxt);
		if (!tcp_receive_window(tp)) {
			tcp_mib(tp)[MIB_TcpExt_TCPZeroWindowDrop]++;
			out_of_window(tp, p, DROP_TCP_ZEROWINDOW);
			return;
		}
		queue_and_out(tp, p, rx);
		return;
	}
	queue_ofo(tp, p, rx);
}

void tcp_data_purge(struct tcp_sock *tp)
{
	struct pkt *p;

	while ((p = pktq_pop(&tp->rcvq)))
		pkt_free(&tp->w->cache, p);
	segs_free(&tp->w->cache, &tp->ofo);
	tp->rmem = 0;
}

/* ---- urgent data (tcp(7), RFC 6093) ---- */

static void check_urg(struct tcp_sock *tp, const struct tcp_rx *rx)
{
	uint32_t at = rx->urg;

	if (at && !tcp_net(tp->in.sk.net)->tcp_stdurg)
		at--;
	at += rx->seq;
	if (after(tp->copied_seq, at) || before(at, tp->rcv_nxt) ||
	    (tp->urg_data && !after(at, tp->urg_seq)))
		return;
	if (tp->in.sk.wake && !tp->orphan)
		tp->in.sk.wake(&tp->in.sk);
	/* the urgent byte before this one is skipped by who reads on */
	if (tp->urg_seq == tp->copied_seq && tp->urg_data && !tp->in.sk.oobinline &&
	    tp->copied_seq != tp->rcv_nxt)
		tcp_skip_byte(tp);
	tp->urg_data = TCP_URG_NOTYET;
	tp->urg_seq = at;
}

void tcp_urg(struct tcp_sock *tp, struct pkt *p, const struct tcp_rx *rx)
{
	if (unlikely(rx->flags & TCPHDR_URG))
		check_urg(tp, rx);
	if (likely(tp->urg_data != TCP_URG_NOTYET))
		return;
	uint32_t at = tp->urg_seq - rx->seq;
	uint8_t byte;

	if (at >= rx->len || pkt_copy_out(p, at, &byte, 1) != 1)
		return;
	tp->urg_data = TCP_URG_VALID | byte;
	if (!tp->orphan)
		tcp_data_ready(tp);
}
