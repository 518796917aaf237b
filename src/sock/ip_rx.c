/*
 * ip_rx: what a program is shown of a datagram that came for it, and of errors about those it sent.
 */
#include "sock/inet.h"

#include <linux/icmp.h>

#include "ip/ip4_core.h"
#include "ip/ip4_path.h"
#include "wire/ip4_hdr.h"

static void put_name(uint8_t *to, uint32_t addr, uint16_t port)
{
	struct sockaddr_in sin = {.sin_family = AF_INET, .sin_port = port, .sin_addr.s_addr = addr};

	memcpy(to, &sin, sizeof(sin));
}

/* The address of ours that an answer should come from. */
static uint32_t spec_dst(const struct netdev *dev, const struct ip4_hdr *ip)
{
	if (ip4_addr_dev(dev->net, ip->daddr))
		return ip->daddr;
	return ip4_answer_source(dev->net, dev, ip->saddr, ip->tos);
}

int inet_iif(const struct netdev *dev, uint32_t daddr)
{
	const struct netdev *own = dev->flags & IFF_LOOPBACK ? ip4_addr_dev(dev->net, daddr) : NULL;

	return own ? own->ifindex : dev->ifindex;
}

static void show(struct worker *w, const struct inet_sock *in, struct sock_rx *rx,
		 const struct ip4_hdr *ip, const struct netdev *dev)
{
	unsigned want = READ_ONCE(((struct inet_sock *)in)->show);
	struct weft_dgram *m = &rx->meta;

	m->ttl_tos = ip->ttl | (uint32_t)ip->tos << 8;
	if (want & INET_SHOW_TTL)
		m->cmsgs |= WEFT_CMSG_TTL;
	if (want & INET_SHOW_TOS)
		m->cmsgs |= WEFT_CMSG_TOS;
	if (want & INET_SHOW_PKTINFO) {
		m->cmsgs |= WEFT_CMSG_PKTINFO;
		m->ifindex = inet_iif(dev, ip->daddr);
		m->dst = ip->daddr;
		m->spec_dst = spec_dst(dev, ip);
	}
	if ((want & (INET_SHOW_RETOPTS | INET_SHOW_RECVOPTS)) && ip->ihl > 5) {
		uint32_t faddr;
		int n;

		if (want & INET_SHOW_RETOPTS) {
			n = (int)ip4_options_echo((const uint8_t *)ip, m->opts, &faddr);
		} else {
			n = ip->ihl * 4 - 20;
			memcpy(m->opts, ip + 1, (size_t)n);
		}
		if (n > 0) {
			m->cmsgs |= WEFT_CMSG_RETOPTS;
			m->opts_len = (uint8_t)n;
		}
	}
}

void inet_rx_meta(struct worker *w, const struct inet_sock *in, struct sock_rx *rx, const void *hdr,
		  const struct netdev *dev, uint16_t port)
{
	const struct ip4_hdr *ip = hdr;

	put_name(rx->meta.name, ip->saddr, port);
	rx->meta.name_len = sizeof(struct sockaddr_in);
	if (unlikely(in->show))
		show(w, in, rx, ip, dev);
	sock_rx_meta(w, &in->sk, rx);
}

struct pkt inet_at_l3(const struct pkt *p)
{
	struct pkt v = *p;
	int back = (int)p->off - (int)p->l3;

	v.off = p->l3;
	v.len = (uint16_t)(p->len + back);
	v.total = (uint32_t)((int)p->total + back);
	return v;
}

bool inet_deliver_copy(struct worker *w, struct inet_sock *in, struct netdev *dev, struct pkt *p,
		       const void *ip, uint16_t port)
{
	struct sock *sk = &in->sk;
	struct sock_rx *rx = NULL;
	uint32_t keep = sock_filter(sk, p, dev);
	struct pkt *c;

	if (!keep) {
		__atomic_fetch_add(&sk->rx_drops, 1, __ATOMIC_RELAXED);
		w->drops[DROP_SOCKET_FILTER]++;
		return false;
	}
	c = sock_has_room(sk) ? pkt_copy(&w->cache, p, PKT_HEADROOM) : NULL;
	if (c) {
		pkt_trim(&w->cache, c, keep);
		rx = sock_rx_pkt(sk, c, c->total);
	}
	if (!rx) {
		pkt_free(&w->cache, c);
		__atomic_fetch_add(&sk->rx_drops, 1, __ATOMIC_RELAXED);
		w->drops[DROP_SOCKET_RCVBUFF]++;
		return false;
	}
	inet_rx_meta(w, in, rx, ip, dev, port);
	return sock_deliver(w, sk, rx);
}

/* ---- errors ---- */

/* What a code of "destination unreachable" says, and whether it is for good (RFC 1122 4.2.3.9). */
static const struct {
	uint8_t err;
	bool hard;
} unreach[NR_ICMP_UNREACH + 1] = {
	[ICMP_NET_UNREACH] = {ENETUNREACH, false},    [ICMP_HOST_UNREACH] = {EHOSTUNREACH, false},
	[ICMP_PROT_UNREACH] = {ENOPROTOOPT, true},    [ICMP_PORT_UNREACH] = {ECONNREFUSED, true},
	[ICMP_FRAG_NEEDED] = {EMSGSIZE, false},	      [ICMP_SR_FAILED] = {EOPNOTSUPP, false},
	[ICMP_NET_UNKNOWN] = {ENETUNREACH, true},     [ICMP_HOST_UNKNOWN] = {EHOSTDOWN, true},
	[ICMP_HOST_ISOLATED] = {ENONET, true},	      [ICMP_NET_ANO] = {ENETUNREACH, true},
	[ICMP_HOST_ANO] = {EHOSTUNREACH, true},	      [ICMP_NET_UNR_TOS] = {ENETUNREACH, false},
	[ICMP_HOST_UNR_TOS] = {EHOSTUNREACH, false},  [ICMP_PKT_FILTERED] = {EHOSTUNREACH, true},
	[ICMP_PREC_VIOLATION] = {EHOSTUNREACH, true}, [ICMP_PREC_CUTOFF] = {EHOSTUNREACH, true},
};

int inet_icmp_errno(const struct inet_sock *in, uint8_t type, uint8_t code, bool *hard)
{
	*hard = false;
	switch (type) {
	case ICMP_PARAMETERPROB:
		*hard = true;
		return EPROTO;
	case ICMP_DEST_UNREACH:
		if (code > NR_ICMP_UNREACH)
			return EHOSTUNREACH;
		*hard = unreach[code].hard;
		if (code == ICMP_FRAG_NEEDED)
			*hard = in->pmtudisc != IP_PMTUDISC_DONT;
		return unreach[code].err;
	}
	return EHOSTUNREACH;
}

static void put_error(struct sock_rx *rx, const struct sock_extended_err *ee, uint32_t daddr,
		      uint16_t port)
{
	struct weft_dgram *m = &rx->meta;

	m->kind = WEFT_DGRAM_ERRQ;
	m->cmsgs |= WEFT_CMSG_EXTERR;
	put_name(m->name, daddr, port);
	m->name_len = sizeof(struct sockaddr_in);
	m->ee_errno = ee->ee_errno;
	m->ee_origin = ee->ee_origin;
	m->ee_type = ee->ee_type;
	m->ee_code = ee->ee_code;
	m->ee_info = ee->ee_info;
	m->ee_data = ee->ee_data;
}

void inet_icmp_error(struct worker *w, struct inet_sock *in, struct netdev *dev, struct pkt *p,
		     const struct sock_extended_err *ee, uint16_t port, size_t skip)
{
	const struct ip4_hdr *outer = pkt_l3(p), *inner = (const struct ip4_hdr *)pkt_data(p);
	size_t len = p->total > skip ? p->total - skip : 0;
	struct sock_rx *rx = sock_rx_bytes(&in->sk, NULL, len);

	if (!rx)
		return;
	pkt_copy_out(p, skip, rx->data, len);
	put_name(rx->meta.offender, outer->saddr, 0);
	if (in->show)
		show(w, in, rx, outer, dev);
	put_error(rx, ee, inner->daddr, port);
	rx->meta.tstamp = p->tstamp;
	sock_rx_meta(w, &in->sk, rx);
	sock_deliver(w, &in->sk, rx);
}

void inet_local_error(struct inet_sock *in, int err, uint32_t daddr, uint16_t port, uint32_t info)
{
	const struct sock_extended_err ee = {
		.ee_errno = (uint32_t)err, .ee_origin = SO_EE_ORIGIN_LOCAL, .ee_info = info};
	struct worker *w = in->sk.weft->worker[0];
	struct sock_rx *rx;

	if (!in->recverr)
		return;
	rx = sock_rx_bytes(&in->sk, NULL, 0);
	if (!rx)
		return;
	put_error(rx, &ee, daddr, port);
	sock_rx_meta(w, &in->sk, rx);
	sock_deliver(w, &in->sk, rx);
}
