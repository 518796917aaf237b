/*
 * tcp_xmit: makes a segment and gives it to the network layer: header, options, window, and what
 * is remembered of the fact that it was sent.
 *
 * What is in the send queue stays there until it is acknowledged; on the wire goes a header packet
 * followed by clones of the data (or by a copy, when that is as cheap). One that spans several mss
 * goes as a GSO packet and is cut by the device, if at all.
 */
#include "tcp/tcp_core.h"

#include "base/csum.h"
#include "tcp/tcp_xmit.h"
#include "wire/tcp_hdr.h"

#define COPY_MAX 512u /* bytes of data that are copied rather than shared */

/* ---- options ---- */

static void opt_timestamp(const struct tcp_sock *tp, struct tcp_tx_opts *o)
{
	o->ts = true;
	o->tsval = tcp_time_stamp(tp) + tp->tsoffset;
	o->tsecr = tp->rx_opt.ts_recent;
}

/* RFC 2018, 2883: the duplicate first, then the most recent blocks, as many as there is room for.
 */
static void opt_sack(const struct tcp_sock *tp, struct tcp_tx_opts *o)
{
	unsigned room = (40 - (o->ts ? 12 : 0) - 4) / 8, n = 0;

	if (tp->rx_opt.dsack)
		o->sack[n++] = tp->duplicate_sack;
	for (unsigned i = 0; i < tp->rx_opt.num_sacks && n < MIN(room, (unsigned)TCP_MAX_SACKS);
	     i++)
		o->sack[n++] = tp->selective_acks[i];
	o->n_sack = n;
}

static void opts_established(const struct tcp_sock *tp, struct tcp_tx_opts *o)
{
	*o = (struct tcp_tx_opts){0};
	if (tp->rx_opt.tstamp_ok)
		opt_timestamp(tp, o);
	if (unlikely(tp->rx_opt.num_sacks || tp->rx_opt.dsack))
		opt_sack(tp, o);
}

/* The path may have become narrower since the MSS was chosen. */
static uint16_t advertise_mss(struct tcp_sock *tp)
{
	struct route_result res;

	if (!tp_af(tp)->route(tp, &res))
		tp->advmss =
			(uint16_t)MIN(tcp_ip4_advmss(tp->in.sk.net, &res), (uint32_t)tp->advmss);
	return tp->advmss;
}

static void opts_syn(struct tcp_sock *tp, struct tcp_tx_opts *o)
{
	const struct tcp_net *tn = tcp_net(tp->in.sk.net);

	*o = (struct tcp_tx_opts){.mss = advertise_mss(tp)};
	if (tn->tcp_timestamps)
		opt_timestamp(tp, o);
	o->wscale_ok = tn->tcp_window_scaling;
	o->wscale = tp->rx_opt.rcv_wscale;
	o->sack_perm = tn->tcp_sack;
	if (tp->fo_cookie && tp->fo_cookie->len >= 0) {
		o->fo = tp->fo_cookie;
		tp->syn_fastopen = true;
	}
}

/* Of a SYN-ACK that a socket sends: only what was offered. */
static void opts_synack(struct tcp_sock *tp, struct tcp_tx_opts *o)
{
	*o = (struct tcp_tx_opts){.mss = advertise_mss(tp)};
	if (tp->rx_opt.tstamp_ok)
		opt_timestamp(tp, o);
	o->wscale_ok = tp->rx_opt.wscale_ok;
	o->wscale = tp->rx_opt.rcv_wscale;
	o->sack_perm = tp->rx_opt.sack_ok;
	if (tp->fo_cookie && tp->fo_cookie->len >= 0)
		o->fo = tp->fo_cookie;
}

unsigned tcp_established_size(const struct tcp_sock *tp)
{
	struct tcp_tx_opts o;

	if (likely(!tp->rx_opt.num_sacks && !tp->rx_opt.dsack))
		return tp->rx_opt.tstamp_ok ? 12 : 0;
	opts_established(tp, &o);
	return tcp_opts_size(&o);
}

/* ---- what sending means for the rest ---- */

/* An answer soon after data came in: the application talks in turns, so ACKs may wait for it. */
static void event_data_sent(struct tcp_sock *tp)
{
	uint64_t now = tcp_now(tp);

	if (!tcp_packets_in_flight(tp))
		cc_event(tp, CA_EVENT_TX_START);
	tp->lsndtime = now;
	if (now - tp->ack.lrcvtime < tp->ack.ato && tp->ack.pingpong < UINT8_MAX)
		tp->ack.pingpong++;
}

static void event_ack_sent(struct tcp_sock *tp, uint32_t rcv_nxt)
{
	if (unlikely(tp->compressed_ack)) {
		tcp_mib(tp)[MIB_TcpExt_TCPAckCompressed] += tp->compressed_ack;
		tp->compressed_ack = 0;
		timer_del(&tp->delack_timer);
	}
	if (unlikely(rcv_nxt != tp->rcv_nxt))
		return; /* of a probe */
	if (tp->ack.quick) {
		if (tp->ack.pending & ICSK_ACK_SCHED && --tp->ack.quick == 0)
			tp->ack.ato = TCP_ATO_MIN;
	}
	tp->ack.pending = 0;
	tp->ack.retry = 0; /* a timer that is set fires in vain */
}

/* RFC 3168 6.1: new data may be marked on its way, and says when the window was reduced. */
static void ecn_send(struct tcp_sock *tp, uint32_t seq, bool data, uint8_t *flags)
{
	if (likely(!(tp->ecn_flags & TCP_ECN_OK)))
		return;
	if (data && !before(seq, tp->snd_nxt)) {
		tp->in.tos |= 2; /* ECT(0) */
		if (tp->ecn_flags & TCP_ECN_QUEUE_CWR) {
			tp->ecn_flags &= ~TCP_ECN_QUEUE_CWR;
			*flags |= TCPHDR_CWR;
		}
	} else if (!tp->cc->needs_ecn) {
		tp->in.tos &= ~3;
	}
	if (tp->ecn_flags & TCP_ECN_DEMAND_CWR)
		*flags |= TCPHDR_ECE;
}

/* RFC 9293 3.8.5, the pointer as BSD and Linux have it: behind the urgent byte. */
static uint16_t urgent(const struct tcp_sock *tp, uint32_t seq, uint8_t *flags)
{
	if (likely(!tcp_urg_mode(tp)) || !before(seq, tp->snd_up))
		return 0;
	if (before(tp->snd_up, seq + 0x10000)) {
		*flags |= TCPHDR_URG;
		return (uint16_t)(tp->snd_up - seq);
	}
	if (!after(seq + 0xffff, tp->snd_nxt))
		return 0;
	*flags |= TCPHDR_URG;
	return 0xffff;
}

/* ---- the packet ---- */

/* A packet with hlen bytes for the header and the data of s behind; NULL without memory. */
static struct pkt *build(struct tcp_sock *tp, const struct tcp_seg *s, unsigned hlen)
{
	struct pool_cache *c = &tp->w->cache;
	struct pkt *h = pkt_new(tp->w), *data;
	uint32_t len = s ? s->p->total : 0;

	if (!h)
		return NULL;
	h->len = (uint16_t)hlen;
	h->total = hlen;
	if (!len)
		return h;
	if (len <= COPY_MAX) {
		pkt_copy_out(s->p, 0, pkt_data(h) + hlen, len);
		h->len = (uint16_t)(hlen + len);
		h->total = h->len;
		return h;
	}
	data = pkt_clone(c, s->p);
	if (!data) {
		pkt_free(c, h);
		return NULL;
	}
	h->seg = data;
	h->total += data->total;
	if (s->n > 1) {
		h->gso = PKT_GSO_TCP4;
		h->gso_size = s->size;
	}
	return h;
}

/* The clock ticks in steps: what came late by up to one goes together, so that the rate holds. */
static void pace(struct tcp_sock *tp, uint32_t len)
{
	uint64_t rate = tp->pacing_rate, least = tcp_now(tp) - (1u << WHEEL_TICK_SHIFT);

	if (!tp->pacing_needed || rate == UINT64_MAX || !rate)
		return;
	tp->pacing_next = MAX(tp->pacing_next, least) + (uint64_t)len * NSEC_PER_SEC / rate;
}

static void after_send(struct tcp_sock *tp, struct tcp_seg *s)
{
	s->sent = tcp_now(tp);
	cds_list_del(&s->tsorted);
	cds_list_add_tail(&s->tsorted, &tp->tsorted);
	if (tp->data_segs_out >= TCP_INIT_CWND)
		pace(tp, s->p->total + tp->tcp_header_len + 20 * s->n);
}

static void count(struct tcp_sock *tp, const struct tcp_seg *s, uint32_t seq, uint32_t end_seq,
		  uint32_t len)
{
	uint32_t n = s ? MAX(s->n, (uint16_t)1) : 1;

	if (len) {
		event_data_sent(tp);
		tp->data_segs_out += n;
		tp->bytes_sent += len;
	}
	if (after(end_seq, tp->snd_nxt) || seq == end_seq)
		tcp_mib(tp)[MIB_Tcp_OutSegs] += n;
	tp->segs_out += n;
}

static int transmit(struct tcp_sock *tp, struct tcp_seg *s, uint32_t seq, uint8_t flags,
		    uint32_t rcv_nxt)
{
	uint32_t end_seq = s ? s->end_seq : seq, len = s ? s->p->total : 0;
	struct tcp_tx_opts o;

	if (unlikely(flags & TCPHDR_SYN)) {
		if (flags & TCPHDR_ACK)
			opts_synack(tp, &o);
		else
			opts_syn(tp, &o);
	} else {
		opts_established(tp, &o);
	}
	unsigned hlen = 20 + tcp_opts_size(&o);
	struct pkt *p = build(tp, s, hlen);

	if (!p)
		return -ENOBUFS;
	uint8_t *h = pkt_data(p);
	uint16_t urg = urgent(tp, seq, &flags);

	/* A receiver's GRO hands on at once what ends in PSH; of single segments it may wait for
	 * more, so that they are acknowledged together. */
	if (s && s->n > 1)
		flags |= TCPHDR_PSH;

	if (likely(!(flags & TCPHDR_SYN)))
		ecn_send(tp, seq, len, &flags);
	uint16_t win =
		(uint16_t)(flags & TCPHDR_SYN ? MIN(tp->rcv_wnd, 65535u) : tcp_select_window(tp));

	tcp_hdr_put(h, tp->in.sport, tp->in.dport, seq, flags & TCPHDR_ACK ? rcv_nxt : 0, flags,
		    hlen, win);
	put_be16(h + 18, urg);
	tcp_opts_write(h + 20, &o);
	if (likely(flags & TCPHDR_ACK))
		event_ack_sent(tp, rcv_nxt);
	count(tp, s, seq, end_seq, len);
	int err = tp_af(tp)->xmit(tp, p);

	if (unlikely(err == -ENOBUFS))
		tcp_enter_cwr(tp);
	return err;
}

/* ---- segments of the stream ---- */

int tcp_transmit_seg(struct tcp_sock *tp, struct tcp_seg *s)
{
	int err = transmit(tp, s, s->seq, s->flags, tp->rcv_nxt);

	/* What was not sent for lack of memory is taken for sent: the timer will see to it. */
	after_send(tp, s);
	if (!err) {
		tcp_rate_seg_sent(tp, s);
		tcp_errq_xmit(tp, s);
	}
	return err;
}

int tcp_transmit_syn_data(struct tcp_sock *tp, struct tcp_seg *syn, struct tcp_seg *data)
{
	struct tcp_seg both = *data;

	both.seq = syn->seq;
	both.n = 1;
	int err = transmit(tp, &both, both.seq, syn->flags, 0);

	after_send(tp, syn);
	after_send(tp, data);
	if (!err) {
		tcp_rate_seg_sent(tp, syn);
		tcp_rate_seg_sent(tp, data);
		tcp_errq_xmit(tp, data);
	}
	return err;
}

/* The number of a segment without data: a peer that has shrunk its window below what is sent would
 * not take one behind it, and if both have done so, neither would ever hear the other's ACKs. */
static uint32_t acceptable_seq(const struct tcp_sock *tp)
{
	uint32_t end = tcp_wnd_end(tp), seq = tp->snd_nxt;

	if (before(end, seq) &&
	    !(tp->rx_opt.wscale_ok && seq - end < (1u << tp->rx_opt.rcv_wscale)))
		return end;
	return seq;
}

void tcp_send_ack_at(struct tcp_sock *tp, uint32_t rcv_nxt)
{
	if (tp->node.state == TCP_CLOSE)
		return;
	if (transmit(tp, NULL, acceptable_seq(tp), TCPHDR_ACK, rcv_nxt) != -ENOBUFS)
		return;
	/* no memory: later */
	tp->ack.pending |= ICSK_ACK_SCHED;
	tp->ack.ato = TCP_ATO_MIN;
	tcp_reset_delack_timer(tp, tcp_now(tp) + (TCP_DELACK_MAX << MIN(tp->ack.retry, 8)));
	tp->ack.retry++;
}

void tcp_send_ack(struct tcp_sock *tp)
{
	tcp_send_ack_at(tp, tp->rcv_nxt);
}

/* A bare segment at an old sequence number, so that it is answered. */
int tcp_xmit_probe(struct tcp_sock *tp, bool urgent_probe, int mib)
{
	tcp_mib(tp)[mib]++;
	return transmit(tp, NULL, tp->snd_una - !urgent_probe, TCPHDR_ACK, tp->rcv_nxt);
}

void tcp_send_active_reset(struct tcp_sock *tp)
{
	tcp_mib(tp)[MIB_Tcp_OutRsts]++;
	if (transmit(tp, NULL, acceptable_seq(tp), TCPHDR_ACK | TCPHDR_RST, tp->rcv_nxt))
		tcp_mib(tp)[MIB_TcpExt_TCPAbortFailed]++;
}

/* ---- segments without a socket of their own ---- */

struct pkt *tcp_make_synack(struct worker *w, struct tcp_sock *listener, struct tcp_req *r,
			    const struct tcp_fo_cookie *fo)
{
	struct tcp_tx_opts o = {
		.mss = r->advmss,
		.ts = r->tstamp_ok,
		.tsval = tcp_cookie_tsval(r, w->now),
		.tsecr = r->ts_recent,
		.wscale_ok = r->wscale_ok,
		.wscale = r->rcv_wscale,
		.sack_perm = r->sack_ok,
		.fo = fo,
	};
	uint8_t flags = TCPHDR_SYN | TCPHDR_ACK;
	unsigned hlen = 20 + tcp_opts_size(&o);
	struct pkt *p = pkt_new(w);

	if (!p)
		return NULL;
	p->len = (uint16_t)hlen;
	p->total = hlen;
	uint8_t *h = pkt_data(p);

	if (r->ecn_ok)
		flags |= TCPHDR_ECE;
	tcp_hdr_put(h, r->node.lport, r->node.rport, r->snt_isn, r->rcv_nxt, flags, hlen,
		    (uint16_t)MIN(r->rsk_rcv_wnd, 65535u));
	tcp_opts_write(h + 20, &o);
	ip4_mib(r->node.net, w)[MIB_Tcp_OutSegs]++;
	return p;
}
