/*
 * ip4_forward: from one device to another (RFC 1812 5.2, 5.3).
 *
 * The batch goes through once: MTU, TTL, the neighbour's link header, the checksum; then out by
 * device. Whatever has a reason to be looked at twice goes to ip4_forward_one(), which knows all
 * rules.
 */
#include "ip/ip4_path.h"

#define AHEAD 6

/* The MTU that a forwarded packet meets (the kernel's ip_dst_mtu_maybe_forward). */
static inline uint32_t forward_mtu(const struct ip4_rx *rx, const struct fib_info *fi,
				   uint32_t daddr, uint64_t now)
{
	if (unlikely(READ_ONCE(rx->net->ip4->fwd_use_pmtu)))
		return route4_mtu(rx->net, fi, daddr, now);
	return fi->metrics[RTAX_MTU] ? fi->metrics[RTAX_MTU] : fi->nh.dev->mtu;
}

/* TTL minus one; the checksum follows (RFC 1624 with the carry of a word that shrinks by 256). */
static inline void decrease_ttl(struct ip4_hdr *ip)
{
	uint32_t sum = (uint32_t)ip->check + __builtin_bswap16(0x0100);

	ip->check = (uint16_t)(sum + (sum >= 0xffff));
	ip->ttl--;
}

/* What a packet weighs on the wire of the next link: large GSO packets are cut later. */
static inline uint32_t wire_size(const struct pkt *p)
{
	if (likely(!p->gso))
		return p->total;
	return (uint32_t)(p->l4 - p->l3) + 20 + p->gso_size;
}

/* Tells the sender of a better router on its own link (RFC 1812 5.2.7.2), at the kernel's pace: the
 * rate limit of ICMP applies. */
static void forward_redirect(struct worker *w, const struct ip4_rx *rx, struct pkt *p,
			     const struct fib_info *fi)
{
	const struct ip4_hdr *ip = pkt_l3(p);
	uint32_t gw = fi->nh.gateway ? fi->nh.gateway : ip->daddr;

	if (!rx->tx_redirects)
		return;
	/* Nobody is told about himself, nor of a router on another wire. */
	if (ip4_conf(rx->dev, IPV4_DEVCONF_SHARED_MEDIA) <= 0 &&
	    route4_validate_source(rx->net, gw, 0, 0, rx->dev) != 1)
		return;
	icmp4_error(w, p, ICMP_REDIRECT, ICMP_REDIR_HOST, gw);
}

static void forward_send(struct worker *w, const struct ip4_rx *rx, struct pkt *p,
			 struct fib_info *fi, uint32_t gw)
{
	rx->mib[MIB_Ip_OutTransmits]++;
	rx->mib[MIB_IpExt_OutOctets] += p->total;
	if (unlikely(fi->type == RTN_BROADCAST)) {
		rx->mib[MIB_IpExt_OutBcastPkts]++;
		rx->mib[MIB_IpExt_OutBcastOctets] += p->total;
	}
	ip4_output_fi(w, fi, p, gw);
}

/* Sends what was decided, and fragments where it must. Takes. */
static void forward_out(struct worker *w, const struct ip4_rx *rx, struct pkt *p,
			struct fib_info *fi, uint32_t gw, uint32_t mtu)
{
	uint64_t *mib = rx->mib;
	struct pkt_queue frags;

	if (likely(wire_size(p) <= mtu)) {
		forward_send(w, rx, p, fi, gw);
		return;
	}
	pktq_init(&frags);
	if (ip4_fragment(w, p, mtu, &frags)) {
		mib[MIB_Ip_FragFails]++;
		return;
	}
	mib[MIB_Ip_FragOKs]++;
	mib[MIB_Ip_FragCreates] += frags.n;
	while ((p = pktq_pop(&frags)))
		forward_send(w, rx, p, fi, gw);
}

/* Gives p to those who asked for router alerts; false: nobody did. Takes p then. */
static bool alert(struct worker *w, const struct ip4_rx *rx, struct pkt *p)
{
	const struct ip4_hooks *hooks = &rx->core->hooks;
	const struct ip4_hdr *ip = pkt_l3(p);

	if (!hooks->router_alert || !hooks->router_alert(w, rx->dev, p, false))
		return false;
	if (get_be16(&ip->frag_off) & (IP4_MF | IP4_OFFSET)) {
		p = ip4_reasm(w, rx->net, rx->dev, p);
		if (!p)
			return true;
	}
	hooks->router_alert(w, rx->dev, p, true);
	pkt_free(&w->cache, p);
	return true;
}

void ip4_forward_one(struct worker *w, const struct ip4_rx *rx, struct pkt *p, struct fib_info *fi,
		     struct ip4_opt *o, bool on_link)
{
	struct ip4_hdr *ip = pkt_l3(p);
	uint64_t *mib = rx->mib;

	if (p->type != PACKET_HOST) {
		pkt_drop(w, p, DROP_OTHERHOST);
		return;
	}
	if (o && o->router_alert && alert(w, rx, p))
		return;
	if (ip->ttl <= 1) {
		mib[MIB_Ip_InHdrErrors]++;
		icmp4_error(w, p, ICMP_TIME_EXCEEDED, ICMP_EXC_TTL, 0);
		pkt_drop(w, p, DROP_IP_TTL);
		return;
	}
	if (o && o->srr && o->strict && fi->nh.gateway) {
		icmp4_error(w, p, ICMP_DEST_UNREACH, ICMP_SR_FAILED, 0);
		pkt_drop(w, p, DROP_IP_OPTIONS);
		return;
	}
	uint32_t dst = o && o->srr_hit ? o->nexthop : ip->daddr;
	uint32_t mtu = forward_mtu(rx, fi, dst, w->now);

	mib[MIB_Ip_ForwDatagrams]++;
	if (wire_size(p) > mtu && (get_be16(&ip->frag_off) & IP4_DF)) {
		mib[MIB_Ip_FragFails]++;
		icmp4_error(w, p, ICMP_DEST_UNREACH, ICMP_FRAG_NEEDED, __builtin_bswap32(mtu));
		pkt_drop(w, p, DROP_FRAG_NEEDED);
		return;
	}
	if (!pkt_writable(&w->cache, p, 32)) {
		mib[MIB_Ip_OutDiscards]++;
		pkt_drop(w, p, DROP_NOMEM);
		return;
	}
	decrease_ttl(pkt_l3(p));
	uint32_t gw = fi->nh.gateway ? fi->nh.gateway : dst;

	if (on_link && fi->nh.dev == rx->dev && !(o && o->srr))
		forward_redirect(w, rx, p, fi);
	if (o)
		ip4_options_forward(rx->net, p, o, fi->nh.dev, gw);
	forward_out(w, rx, p, fi, gw, mtu);
}

/* ---- the batch ---- */

/* Sends what leaves by different devices, one batch a device. Takes. */
static void output_mixed(struct worker *w, struct batch *b)
{
	while (b->n) {
		struct netdev *dev = b->p[0]->dev;
		struct batch out;
		unsigned rest = 0;

		batch_init(&out);
		for (unsigned i = 0; i < b->n; i++) {
			if (b->p[i]->dev == dev)
				batch_add(&out, b->p[i]);
			else
				b->p[rest++] = b->p[i];
		}
		b->n = rest;
		netdev_xmit(w, dev, &out);
	}
}

/* The key of a neighbour of dev. */
static inline uint32_t neigh_key(const struct netdev *dev, uint32_t daddr)
{
	return dev->flags & (IFF_LOOPBACK | IFF_POINTOPOINT) ? 0 : daddr;
}

/* Finds the neighbours of packets that end on a link, in steps over the batch, so that each has the
 * line of the next one under way: the table's, the entry's, its header's. */
static __attribute__((noinline)) void neighs_on_link(struct neigh_table *arp, const struct batch *b,
						     struct fib_info **fi, struct neigh **nb)
{
	uint32_t hash[BATCH_MAX], key[BATCH_MAX];
	unsigned i;

	for (i = 0; i < b->n; i++) {
		const struct ip4_hdr *ip = pkt_l3(b->p[i]);
		const struct netdev *dev = fi[i]->nh.dev;

		if (fi[i]->nh.gateway)
			continue;
		key[i] = neigh_key(dev, ip->daddr);
		hash[i] = neigh_hash(arp, dev, &key[i]);
		neigh_prefetch(arp, hash[i]);
	}
	for (i = 0; i < b->n; i++) {
		if (fi[i]->nh.gateway)
			continue;
		nb[i] = neigh_guess(arp, hash[i]);
		__builtin_prefetch(nb[i]);
	}
	for (i = 0; i < b->n; i++) {
		const struct netdev *dev = fi[i]->nh.dev;

		if (fi[i]->nh.gateway)
			continue;
		if (unlikely(!nb[i] || !neigh_is(nb[i], dev, &key[i], 4)))
			nb[i] = neigh_find(arp, hash[i], dev, &key[i]);
		if (likely(nb[i]))
			__builtin_prefetch(nb[i]->hh);
	}
}

/* The neighbour of each packet, or NULL. */
static inline void forward_neighs(struct ip4_core *core, const struct batch *b,
				  struct fib_info **fi, struct neigh **nb)
{
	bool on_link = false;

	for (unsigned i = 0; i < b->n; i++) {
		nb[i] = rcu_dereference(fi[i]->nh.neigh);
		on_link |= !fi[i]->nh.gateway;
	}
	if (on_link)
		neighs_on_link(&core->arp, b, fi, nb);
}

/* Everything a plain packet needs: fit, hops left, a neighbour with a header. False: p is as it
 * was, and ip4_forward_one() finds out what to do. */
static inline bool forward_plain(struct worker *w, struct pkt *p, const struct fib_info *f,
				 struct neigh *nb)
{
	uint32_t mtu = f->metrics[RTAX_MTU] ? f->metrics[RTAX_MTU] : f->nh.dev->mtu;
	const struct ip4_hdr *ip = pkt_l3(p);

	if (unlikely(ip->ttl <= 1 || p->total > mtu))
		return false;
	if (unlikely(!nb || READ_ONCE(nb->dead) || !neigh_header(w, nb, p)))
		return false;
	decrease_ttl(pkt_l3(p));
	p->dev = nb->dev;
	return true;
}

void ip4_forward_batch(struct worker *w, const struct ip4_rx *rx, struct batch *b,
		       struct fib_info **fi)
{
	enum stage prev = stage_enter(w, STAGE_IP4_FORWARD, b->n);
	bool use_pmtu = READ_ONCE(rx->net->ip4->fwd_use_pmtu);
	struct netdev *first = fi[0]->nh.dev;
	struct neigh *nb[BATCH_MAX];
	unsigned kept = 0, n = b->n;
	uint64_t octets = 0;
	bool mixed = false;

	forward_neighs(rx->core, b, fi, nb);
	for (unsigned i = 0; i < n; i++) {
		struct pkt *p = b->p[i];
		uint32_t size = p->total;

		if (i + AHEAD < n && nb[i + AHEAD])
			__builtin_prefetch(nb[i + AHEAD]->hh);
		trace_pkt(w, p, "ip4-forward");
		if (unlikely(use_pmtu || !forward_plain(w, p, fi[i], nb[i]))) {
			ip4_forward_one(w, rx, p, fi[i], NULL, false);
			continue;
		}
		octets += size;
		mixed |= p->dev != first;
		b->p[kept++] = p;
	}
	b->n = kept;
	if (unlikely(READ_ONCE(w->trace)))
		for (unsigned i = 0; i < kept; i++)
			trace_pkt(w, b->p[i], "neigh-output");
	rx->mib[MIB_Ip_ForwDatagrams] += kept;
	rx->mib[MIB_Ip_OutTransmits] += kept;
	rx->mib[MIB_IpExt_OutOctets] += octets;
	if (unlikely(mixed))
		output_mixed(w, b);
	else if (kept)
		netdev_xmit(w, first, b);
	stage_leave(w, prev);
}
