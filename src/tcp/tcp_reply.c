/*
 * tcp_reply: what those do who are no sockets (tcp_req, tcp_tw): check a segment's place in
 * sequence space and time, and answer with a bare ACK.
 */
#include "tcp/tcp_listen.h"
#include "wire/tcp_hdr.h"

bool tcp_seg_in_window(const struct tcp_rx *rx, uint32_t from, uint32_t to)
{
	if (rx->seq == from)
		return true;
	if (after(rx->end_seq, from) && before(rx->seq, to))
		return true;
	return rx->seq == to && rx->seq == rx->end_seq;
}

bool tcp_opts_paws_reject(const struct tcp_rx_opts *o, bool rst, uint64_t now)
{
	uint64_t s = tcp_seconds(now);

	if ((int32_t)(o->ts_recent - o->rcv_tsval) <= 0)
		return false;
	/* A stamp of 24 days ago says nothing; nor does 0, which some send in their SYNs. */
	if (s >= o->ts_recent_stamp + TCP_PAWS_24DAYS || !o->ts_recent)
		return false;
	/* A peer that has restarted may reset what it knows nothing of, a little later. */
	return !(rst && s >= o->ts_recent_stamp + TCP_PAWS_MSL);
}

bool tcp_oow_answer(struct worker *w, const struct net *net, const struct tcp_rx *rx,
		    uint64_t *last, int mib)
{
	if (rx->seq != rx->end_seq && !(rx->flags & TCPHDR_SYN))
		return true;
	return tcp_oow_ok(w, tcp_net(net), last, mib);
}

void tcp_reply_ack(struct worker *w, const struct tcp_node *n, const struct tcp_reply *r)
{
	const struct tcp_tx_opts o = {.ts = r->ts, .tsval = r->tsval, .tsecr = r->tsecr};
	unsigned hlen = 20 + tcp_opts_size(&o);
	struct pkt *p = pkt_new(w);

	if (!p)
		return;
	uint8_t *h = pkt_data(p);

	p->len = (uint16_t)hlen;
	p->total = hlen;
	tcp_hdr_put(h, n->lport, n->rport, r->seq, r->ack, TCPHDR_ACK, hlen, r->win);
	tcp_opts_write(h + 20, &o);
	ip4_mib(n->net, w)[MIB_Tcp_OutSegs]++;
	tcp_ip4_send_node(w, n, p, r->tos, r->mark, r->oif, 0, r->opt, r->opt_len);
}
