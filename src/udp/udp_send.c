/*
 * udp_send: datagrams out: corked, many in one packet that is cut late (UDP_SEGMENT), or one by
 * one.
 */
#include "udp/udp_core.h"

#include "base/csum.h"

#define UDP_HLEN	 8
#define UDP_SEGMENTS_MAX 128
#define UDP_MAX		 (0xffff - UDP_HLEN - 20)

/* The sum is left to whoever sends or cuts the packet; of the pseudo header it is there. */
static void leave_csum(struct pkt *p, uint32_t pseudo)
{
	uint16_t c = (uint16_t)~csum_fold(pseudo);

	memcpy(pkt_data(p) + 6, &c, 2);
	p->flags |= PKT_CSUM_PARTIAL;
	p->csum_start = p->off;
	p->csum_off = 6;
}

/* One datagram; or, gso not 0, as many of that size as there are, in one packet. */
static int send_one(struct udp_sock *us, struct inet_tx *t, const uint8_t *data, size_t len,
		    uint16_t gso)
{
	struct inet_sock *in = &us->in;
	struct worker *w = in->sk.weft->worker[0];
	uint64_t *mib = ip4_mib(in->sk.net, w);
	uint16_t ulen = (uint16_t)(len + UDP_HLEN);
	struct pkt *p;
	int err = inet_tx_size(t, in, gso ? gso + UDP_HLEN : len + UDP_HLEN);

	if (err)
		return err;
	p = inet_tx_pkt(in, UDP_HLEN, data, len);
	if (!p) {
		mib[MIB_Udp_SndbufErrors]++;
		return -ENOBUFS;
	}
	uint8_t *h = pkt_data(p);

	memcpy(h, &in->sport, 2);
	memcpy(h + 2, &t->dport, 2);
	put_be16(h + 4, ulen);
	if (gso) {
		p->gso = PKT_GSO_UDP;
		p->gso_size = gso;
	}
	if (!in->sk.no_check) {
		leave_csum(p, csum_pseudo4(t->saddr, t->daddr, IPPROTO_UDP, ulen));
		/* what will be cut is summed as a whole, now */
		if (!gso && 20u + t->tx.opt_len + ulen > t->res.mtu &&
		    !pkt_csum_finish(&w->cache, p)) {
			pkt_free(&w->cache, p);
			return -ENOBUFS;
		}
	}
	err = inet_tx_send(t, in, p);
	if (err == -ENOBUFS) {
		mib[MIB_Udp_SndbufErrors]++;
		return in->recverr ? err : 0;
	}
	if (!err)
		mib[MIB_Udp_OutDatagrams]++;
	return err;
}

static uint16_t segment_size(const struct udp_sock *us, const struct sock_msg *m)
{
	return m->meta && m->meta->gso_size ? m->meta->gso_size : us->gso_size;
}

/* Each must fit, and they must not be too many (Linux's udp_send_skb). */
static int check_segments(const struct udp_sock *us, const struct inet_tx *t, size_t len,
			  uint16_t gso)
{
	uint32_t mtu = t->res.mtu ? t->res.mtu : READ_ONCE(t->res.dev->mtu);

	if (len > UDP_MAX || 20 + t->tx.opt_len + UDP_HLEN + MIN(len, (size_t)gso) > mtu)
		return -EMSGSIZE;
	return len > (size_t)gso * UDP_SEGMENTS_MAX || us->in.sk.no_check ? -EINVAL : 0;
}

static ssize_t send_now(struct udp_sock *us, const struct sock_msg *m)
{
	uint16_t gso = segment_size(us, m);
	struct inet_tx t;
	int err = inet_tx_init(&t, &us->in, m, IPPROTO_UDP);

	if (err)
		return err;
	if (!t.dport)
		return -EINVAL;
	err = gso ? check_segments(us, &t, m->len, gso) : 0;
	if (!err)
		err = send_one(us, &t, m->data, m->len, m->len > gso ? gso : 0);
	return err ? err : (ssize_t)m->len;
}

/* ---- corks ---- */

static void cork_free(struct udp_sock *us)
{
	if (us->cork)
		free(us->cork->data);
	free(us->cork);
	us->cork = NULL;
}

/* Where it goes is said by the first piece. */
static int cork_start(struct udp_sock *us, const struct sock_msg *m)
{
	struct udp_cork *c = calloc(1, sizeof(*c));

	if (!c)
		return -ENOBUFS;
	if (m->name && m->name_len >= sizeof(c->name)) {
		memcpy(&c->name, m->name, sizeof(c->name));
		c->has_name = true;
	} else if (!us->in.connected) {
		free(c);
		return m->name_len ? -EINVAL : -EDESTADDRREQ;
	}
	if (m->meta) {
		c->meta = *m->meta;
		c->has_meta = true;
	}
	us->cork = c;
	return 0;
}

static int cork_add(struct udp_sock *us, const void *data, size_t len)
{
	struct udp_cork *c = us->cork;
	uint8_t *more;

	if (c->len + len > UDP_MAX) {
		cork_free(us);
		return -EMSGSIZE;
	}
	more = realloc(c->data, c->len + len + 1);
	if (!more)
		return -ENOBUFS;
	if (len)
		memcpy(more + c->len, data, len);
	c->data = more;
	c->len += len;
	return 0;
}

int udp_uncork(struct udp_sock *us)
{
	struct udp_cork *c = us->cork;
	ssize_t n;

	if (!c)
		return 0;
	struct sock_msg m = {
		.name = c->has_name ? &c->name : NULL,
		.name_len = c->has_name ? sizeof(c->name) : 0,
		.data = c->data ? c->data : (const void *)"",
		.len = c->len,
		.meta = c->has_meta ? &c->meta : NULL,
	};

	n = send_now(us, &m);
	cork_free(us);
	return n < 0 ? (int)n : 0;
}

/* ---- sendmsg ---- */

ssize_t udp_sendmsg(struct sock *sk, const struct sock_msg *m)
{
	struct udp_sock *us = udp_sk(sk);
	bool more = us->corked || (m->flags & MSG_MORE);
	int err;

	if (m->len > 0xffff)
		return -EMSGSIZE;
	if (!us->port && udp_port_get(us, 0))
		return -EAGAIN;
	if (!more && !us->cork)
		return send_now(us, m);
	err = us->cork ? 0 : cork_start(us, m);
	if (!err)
		err = cork_add(us, m->data, m->len);
	if (!err && !more)
		err = udp_uncork(us);
	return err ? err : (ssize_t)m->len;
}
