/*
 * udp_input: datagrams and ICMP errors that came in.
 */
#include "udp/udp_core.h"

#include <linux/icmp.h>

#include "base/csum.h"
#include "ip/ip4_core.h"
#include "pkt/gso.h"
#include "wire/ip4_hdr.h"

#define UDP_HLEN 8

/* Cuts p to the datagram and verifies its checksum. */
static enum drop check(struct worker *w, struct pkt *p, const struct ip4_hdr *ip)
{
	if (!pkt_may_pull(&w->cache, p, UDP_HLEN))
		return DROP_PKT_TOO_SMALL;
	const uint8_t *h = pkt_data(p);
	unsigned len = get_be16(h + 4);

	if (len < UDP_HLEN || len > p->total)
		return DROP_PKT_TOO_SMALL;
	pkt_trim(&w->cache, p, len);
	ip = pkt_l3(p);
	if (!get_be16(h + 6) || (p->flags & (PKT_CSUM_OK | PKT_CSUM_PARTIAL)))
		return N_DROPS;
	uint32_t sum = csum_pseudo4(ip->saddr, ip->daddr, IPPROTO_UDP, (uint16_t)len);

	return csum_fold(pkt_csum(p, 0, len, sum)) ? DROP_UDP_CSUM : N_DROPS;
}

/* Was it sent to more than one host? */
static bool to_group(const struct netdev *dev, const struct pkt *p, uint32_t daddr)
{
	if (ip4_is_multicast(daddr) || daddr == UINT32_MAX)
		return true;
	if (likely(p->type == PACKET_HOST && !(dev->flags & IFF_LOOPBACK)))
		return false;
	return ip4_addr_type(dev->net, daddr) == RTN_BROADCAST;
}

static void count_delivery(uint64_t *mib, bool ok)
{
	if (ok) {
		mib[MIB_Udp_InDatagrams]++;
	} else {
		mib[MIB_Udp_RcvbufErrors]++;
		mib[MIB_Udp_InErrors]++;
	}
}

/* One datagram, or several of gso_size bytes that the socket takes together (UDP_GRO). Takes p,
 * data at the UDP header. */
static void deliver_one(struct worker *w, struct udp_sock *us, struct netdev *dev, struct pkt *p,
			uint16_t port)
{
	uint64_t *mib = ip4_mib(dev->net, w);
	struct sock *sk = &us->in.sk;
	uint32_t keep = sock_filter(sk, p, dev);
	struct sock_rx *rx;

	if (unlikely(!keep)) {
		__atomic_fetch_add(&sk->rx_drops, 1, __ATOMIC_RELAXED);
		mib[MIB_Udp_InErrors]++;
		pkt_drop(w, p, DROP_SOCKET_FILTER);
		return;
	}
	pkt_trim(&w->cache, p, MAX(keep, (uint32_t)UDP_HLEN));
	pkt_pull(p, UDP_HLEN);
	rx = sock_rx_pkt(sk, p, p->total);
	if (!rx) {
		count_delivery(mib, false);
		pkt_drop(w, p, DROP_NOMEM);
		return;
	}
	inet_rx_meta(w, &us->in, rx, pkt_l3(p), dev, port);
	if (unlikely(p->gso)) {
		rx->meta.cmsgs |= WEFT_CMSG_GRO;
		rx->meta.gso_size = p->gso_size;
	}
	count_delivery(mib, sock_deliver(w, sk, rx));
}

/* A packet of many datagrams for a socket that wants them one by one. Takes. */
static void deliver_segments(struct worker *w, struct udp_sock *us, struct netdev *dev,
			     struct pkt *p, uint16_t port)
{
	struct pkt_queue segments;
	struct pkt *s;

	pktq_init(&segments);
	pkt_push(p, p->off - p->l3);
	if (gso_segment(&w->cache, p, &segments)) {
		count_delivery(ip4_mib(dev->net, w), false);
		pkt_drop(w, p, DROP_NOMEM);
		return;
	}
	while ((s = pktq_pop(&segments))) {
		pkt_pull(s, s->l4 - s->off);
		deliver_one(w, us, dev, s, port);
	}
}

static void deliver(struct worker *w, struct udp_sock *us, struct netdev *dev, struct pkt *p,
		    uint16_t port)
{
	if (unlikely(p->gso && !READ_ONCE(us->gro)))
		deliver_segments(w, us, dev, p, port);
	else
		deliver_one(w, us, dev, p, port);
}

/* Does this socket take what was sent to a group? */
static bool wants_group(const struct udp_entry *e, const struct udp_flow *f)
{
	const struct inet_sock *in = &e->us->in;
	int bound = READ_ONCE(((struct inet_sock *)in)->sk.bound_if);

	if (e->connected && (e->raddr != f->raddr || (e->rport && e->rport != f->rport)))
		return false;
	if (e->laddr && e->laddr != f->laddr)
		return false;
	if (bound && bound != f->ifindex)
		return false;
	return ip_mc_wants(in, f->laddr, f->raddr, f->ifindex);
}

/* To everyone who wants it. Takes. */
static void deliver_group(struct worker *w, const struct udp_flow *f, struct netdev *dev,
			  struct pkt *p)
{
	struct udp_port *port = udp_port_find(w->weft->udp, f->net, __builtin_bswap16(f->lport));
	struct udp_sock *last = NULL;
	struct udp_entry *e;

	if (port) {
		cds_list_for_each_entry_rcu (e, &port->entries, link) {
			if (!wants_group(e, f))
				continue;
			if (last) {
				struct pkt *c = pkt_copy(&w->cache, p, PKT_HEADROOM);

				if (c && pkt_may_pull(&w->cache, c, UDP_HLEN))
					deliver(w, last, dev, c, f->rport);
				else
					pkt_free(&w->cache, c);
			}
			last = e->us;
		}
	}
	if (last) {
		deliver(w, last, dev, p, f->rport);
	} else {
		ip4_mib(f->net, w)[MIB_Udp_IgnoredMulti]++;
		pkt_drop(w, p, DROP_NO_SOCKET);
	}
}

void udp_input(struct worker *w, struct netdev *dev, struct pkt *p)
{
	enum stage prev = stage_enter(w, STAGE_UDP, 1);
	const struct ip4_hdr *ip = pkt_l3(p);
	uint64_t *mib = ip4_mib(dev->net, w);
	enum drop why = check(w, p, ip);

	trace_pkt(w, p, "udp");
	if (unlikely(why != N_DROPS)) {
		if (why == DROP_UDP_CSUM)
			mib[MIB_Udp_InCsumErrors]++;
		mib[MIB_Udp_InErrors]++;
		pkt_drop(w, p, why);
		stage_leave(w, prev);
		return;
	}
	ip = pkt_l3(p);
	struct udp_flow f = {.net = dev->net,
			     .raddr = ip->saddr,
			     .laddr = ip->daddr,
			     .ifindex = inet_iif(dev, ip->daddr)};

	memcpy(&f.rport, pkt_data(p), 2);
	memcpy(&f.lport, pkt_data(p) + 2, 2);
	if (unlikely(to_group(dev, p, f.laddr))) {
		deliver_group(w, &f, dev, p);
	} else {
		struct udp_sock *us = udp_lookup(w, &f, p);

		if (likely(us)) {
			deliver(w, us, dev, p, f.rport);
		} else {
			mib[MIB_Udp_NoPorts]++;
			icmp4_error(w, p, ICMP_DEST_UNREACH, ICMP_PORT_UNREACH, 0);
			pkt_drop(w, p, DROP_NO_SOCKET);
		}
	}
	stage_leave(w, prev);
}

/* An ICMP error about a datagram of ours; p's data is at the quoted IP header. */
void udp_error(struct worker *w, struct netdev *dev, struct pkt *p, uint8_t type, uint8_t code,
	       uint32_t info)
{
	const struct ip4_hdr *inner = (const struct ip4_hdr *)pkt_data(p);
	unsigned hlen = inner->ihl * 4u;
	struct udp_flow f = {.net = dev->net,
			     .raddr = inner->daddr,
			     .laddr = inner->saddr,
			     .ifindex = dev->ifindex};
	struct inet_sock *in;
	struct udp_sock *us;
	uint16_t ports[2];
	bool hard;
	int err;

	if (pkt_copy_out(p, hlen, ports, sizeof(ports)) != sizeof(ports))
		return;
	f.lport = ports[0];
	f.rport = ports[1];
	us = udp_lookup(w, &f, NULL);
	if (!us) {
		ip4_mib(dev->net, w)[MIB_Icmp_InErrors]++;
		return;
	}
	in = &us->in;
	route4_pmtu_error(w, dev->net, inner, type, code, info);
	if (type == ICMP_SOURCE_QUENCH || type == ICMP_REDIRECT)
		return;
	err = inet_icmp_errno(in, type, code, &hard);
	if (type == ICMP_DEST_UNREACH && code == ICMP_FRAG_NEEDED && !hard)
		return;
	if (!in->recverr) {
		if (!hard || !in->connected)
			return;
	} else {
		const struct sock_extended_err ee = {
			.ee_errno = (uint32_t)err,
			.ee_origin = SO_EE_ORIGIN_ICMP,
			.ee_type = type,
			.ee_code = code,
			.ee_info = info,
		};
		inet_icmp_error(w, in, dev, p, &ee, f.rport, hlen + UDP_HLEN);
	}
	sock_error(&in->sk, err);
}
