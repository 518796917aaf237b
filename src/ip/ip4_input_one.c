/*
 * ip4_input_one: input's slow twin: one packet, by all the rules, in the kernel's order.
 *
 * First the way by its addresses, on which what cannot be ends without a word; then the options,
 * which may refuse the packet or, by a source route, change the way; then what came as a frame for
 * all and should not; and then forwarding, delivery, or the word that there is no way on.
 */
#include "ip/ip4_path.h"

/* ---- what has no way on ---- */

/* The kernel's ip_error(): tells the sender of a packet without route, when we are a router. Takes.
 */
static void input_error(struct worker *w, const struct ip4_rx *rx, struct pkt *p, int err,
			enum drop why)
{
	if (!rx->forwarding) {
		if (err == -ENETUNREACH)
			rx->mib[MIB_IpExt_InNoRoutes]++;
		else if (err == -EHOSTUNREACH)
			rx->mib[MIB_Ip_InAddrErrors]++;
		pkt_drop(w, p, why);
		return;
	}
	switch (err) {
	case -EHOSTUNREACH:
		icmp4_route_error(w, p, ICMP_HOST_UNREACH);
		break;
	case -ENETUNREACH:
		rx->mib[MIB_IpExt_InNoRoutes]++;
		icmp4_route_error(w, p, ICMP_NET_UNREACH);
		break;
	case -EACCES:
		icmp4_route_error(w, p, ICMP_PKT_FILTERED);
		break;
	}
	pkt_drop(w, p, why);
}

/* Where a packet goes. */
struct way {
	unsigned type;	     /* RTN_*: LOCAL, BROADCAST, MULTICAST, UNICAST; UNREACHABLE: nowhere */
	struct fib_info *fi; /* UNICAST, and a BROADCAST that goes on */
	bool on_link;	     /* the source is a neighbour on the device's link */
	int err;	     /* UNREACHABLE: what is said */
	enum drop why;
};

/* A route that carries no packets, or none (type RTN_UNSPEC). */
static struct way no_way(const struct ip4_rx *rx, unsigned type)
{
	struct way way = {.type = RTN_UNREACHABLE, .err = -ENETUNREACH, .why = DROP_IP_INNOROUTES};

	switch (type) {
	case RTN_BLACKHOLE:
		way.err = -EINVAL;
		way.why = DROP_IP_BLACKHOLE;
		break;
	case RTN_UNREACHABLE:
		way.err = -EHOSTUNREACH;
		way.why = DROP_IP_UNREACHABLE;
		break;
	case RTN_PROHIBIT:
		way.err = -EACCES;
		way.why = DROP_IP_PROHIBIT;
		break;
	case RTN_UNICAST:
		way.why = DROP_IP_FORWARDING;
		break;
	}
	/* A host says nothing and counts every such packet as misaddressed. */
	if (!rx->forwarding)
		way.err = -EHOSTUNREACH;
	return way;
}

/* ---- ways ---- */

/* Multicast: for us when a group of the device. 0 or <0. */
static int multicast_source(const struct ip4_rx *rx, const struct pkt *p)
{
	const struct ip4_hdr *ip = pkt_l3(p);
	unsigned s0 = *(const uint8_t *)&ip->saddr;
	bool local_group =
		(ip->daddr & __builtin_bswap32(0xffffff00)) == __builtin_bswap32(0xe0000000);

	if (s0 >= 224 && (s0 < 240 || ip->saddr == UINT32_MAX))
		return -EINVAL;
	if (s0 == 127 && !rx->route_localnet && !(rx->dev->flags & IFF_LOOPBACK))
		return -EINVAL;
	if (s0 == 0)
		return local_group || ip->protocol == IPPROTO_IGMP ? 0 : -EINVAL;
	/* our own copy, and all there is on lo, comes from an address of ours */
	if (p->type == PACKET_LOOPBACK || (rx->dev->flags & IFF_LOOPBACK))
		return 0;
	return ip4_check_source(rx, ip, 0, NULL);
}

/* Martians, by their first octets alone: true: p was dropped. */
static bool route_martian(struct worker *w, const struct ip4_rx *rx, struct pkt *p, uint32_t daddr)
{
	const struct ip4_hdr *ip = pkt_l3(p);
	unsigned s0 = *(const uint8_t *)&ip->saddr, d0 = *(const uint8_t *)&daddr;

	if (ip4_is_multicast(ip->saddr) || ip->saddr == UINT32_MAX) {
		rx->mib[MIB_RtStat_InMartianSrc]++;
		pkt_drop(w, p, DROP_IP_INVALID_SOURCE);
		return true;
	}
	if (daddr == UINT32_MAX || (!ip->saddr && !daddr))
		return false;
	if (!s0 || !d0) {
		rx->mib[!s0 ? MIB_RtStat_InMartianSrc : MIB_RtStat_InMartianDst]++;
		pkt_drop(w, p, !s0 ? DROP_IP_INVALID_SOURCE : DROP_IP_INVALID_DEST);
		return true;
	}
	/* On lo these are at home. */
	if ((s0 == 127 || d0 == 127) && !rx->route_localnet && !(rx->dev->flags & IFF_LOOPBACK)) {
		rx->mib[d0 == 127 ? MIB_RtStat_InMartianDst : MIB_RtStat_InMartianSrc]++;
		pkt_drop(w, p, d0 == 127 ? DROP_IP_INVALID_DEST : DROP_IP_LOCALNET);
		return true;
	}
	return false;
}

/* The route of one packet, TOS looked at where routes have one. NULL with *type. */
static struct fib_info *input_lookup(const struct ip4_rx *rx, const struct ip4_hdr *ip,
				     uint32_t daddr, uint32_t mark, unsigned *type)
{
	struct route4_tables *t = rx->net->ip4->routes;
	const struct fib_info *fi = NULL;
	uint32_t host = __builtin_bswap32(daddr), val;
	uint8_t len;

	if (unlikely(READ_ONCE(t->n_tos))) {
		struct flow4 fl = {.daddr = daddr,
				   .saddr = ip->saddr,
				   .iif = rx->dev->ifindex,
				   .tos = ip->tos & 0x1c,
				   .mark = mark,
				   .proto = ip->protocol};
		int err = route4_full_lookup(rx->net, &fl, false, &fi, &len);

		*type = err == -EINVAL	       ? RTN_BLACKHOLE
			: err == -EHOSTUNREACH ? RTN_UNREACHABLE
			: err == -EACCES       ? RTN_PROHIBIT
			: err		       ? RTN_UNSPEC
					       : fi->type;
		return err ? NULL : (struct fib_info *)fi;
	}
	route4_lookup_bulk(rx->net, &host, &val, 1);
	if (!val) {
		*type = RTN_UNSPEC;
		return NULL;
	}
	struct fib_info *found = fib_info_by_id(rx->core, val);

	*type = found->type == RTN_THROW ? RTN_UNSPEC : found->type;
	return found;
}

/* What the FIB says of p as a packet to daddr. <0: its source cannot be. */
static int route_by_fib(const struct ip4_rx *rx, const struct pkt *p, uint32_t daddr,
			struct way *way)
{
	const struct ip4_hdr *ip = pkt_l3(p);
	unsigned type = RTN_BROADCAST;
	struct fib_info *fi = NULL;
	int err;

	if (daddr != UINT32_MAX && (ip->saddr || daddr))
		fi = input_lookup(rx, ip, daddr, p->mark, &type);
	if (type == RTN_LOCAL) {
		*way = (struct way){.type = RTN_LOCAL};
		err = ip4_check_source(rx, ip, daddr, NULL);
		return rx->dev->flags & IFF_LOOPBACK ? 0 : err; /* lo: all there is from us */
	}
	if (type == RTN_BROADCAST && !(fi && rx->bc_forwarding && p->type != PACKET_LOOPBACK)) {
		*way = (struct way){.type = RTN_BROADCAST};
		if (!*(const uint8_t *)&ip->saddr || p->type == PACKET_LOOPBACK)
			return 0;
		return ip4_check_source(rx, ip, 0, NULL);
	}
	if (type == RTN_BROADCAST || (type == RTN_UNICAST && rx->forwarding)) {
		/* a directed broadcast (RFC 1812 5.3.5.2), or any packet for others */
		err = ip4_check_source(rx, ip, daddr, fi->nh.dev);
		*way = (struct way){.type = type, .fi = fi, .on_link = err > 0};
		return err;
	}
	*way = no_way(rx, type);
	return 0;
}

/* Finds the way of p as a packet to daddr. False: it has none for it cannot be (dropped). */
static bool input_route(struct worker *w, const struct ip4_rx *rx, struct pkt *p, uint32_t daddr,
			struct way *way)
{
	const struct ip4_hdr *ip = pkt_l3(p);
	int err;

	if (ip4_is_multicast(daddr)) {
		if (!ip4_igmp_wants(rx->dev, daddr, ip->saddr, ip->protocol)) {
			pkt_drop(w, p, DROP_IP_INVALID_DEST);
			return false;
		}
		*way = (struct way){.type = RTN_MULTICAST};
		err = multicast_source(rx, p);
	} else if (route_martian(w, rx, p, daddr)) {
		return false;
	} else {
		err = route_by_fib(rx, p, daddr, way);
	}
	if (err < 0)
		ip4_input_martian(w, rx, p, err);
	return err >= 0;
}

/* ---- options ---- */

/* A source route in a packet that has found its way to us, or past us: where it goes next (RFC 791
 * 3.1, RFC 1812 5.2.4.1). False: refused (dropped). */
static bool input_srr(struct worker *w, const struct ip4_rx *rx, struct pkt *p, struct ip4_opt *o,
		      struct way *way)
{
	struct ip4_hdr *ip = pkt_l3(p);
	const uint8_t *opt = (const uint8_t *)ip + o->srr;
	unsigned fault = 0;

	if (p->type != PACKET_HOST)
		goto refuse;
	if (way->type == RTN_UNICAST) {
		if (!o->strict)
			return true;
		fault = offsetof(struct ip4_hdr, daddr); /* a strict route may not pass here */
		goto refuse;
	}
	if (way->type != RTN_LOCAL)
		goto refuse;
	for (unsigned ptr = opt[2]; ptr <= opt[1]; ptr += 4) {
		uint32_t hop;

		if (ptr + 3 > opt[1]) {
			fault = o->srr + 2u;
			goto refuse;
		}
		memcpy(&hop, opt + ptr - 1, 4);
		if (!input_route(w, rx, p, hop, way))
			return false;
		o->changed = true;
		if (way->type == RTN_UNICAST) {
			o->srr_hit = true;
			o->nexthop = hop;
			return true;
		}
		if (way->type != RTN_LOCAL)
			goto refuse;
		ip->daddr = hop; /* ours too */
	}
	return true; /* the list ends here */
refuse:
	if (fault)
		icmp4_error(w, p, ICMP_PARAMETERPROB, 0, __builtin_bswap32(fault << 24));
	pkt_drop(w, p, DROP_IP_OPTIONS);
	return false;
}

/* Options of a packet received: false: refused (dropped, and said so). */
static bool input_options(struct worker *w, const struct ip4_rx *rx, struct pkt *p,
			  struct ip4_opt *o, struct way *way)
{
	if (!pkt_writable(&w->cache, p, 0)) {
		rx->mib[MIB_Ip_InDiscards]++;
		pkt_drop(w, p, DROP_NOMEM);
		return false;
	}
	const struct ip4_hdr *ip = pkt_l3(p);
	uint32_t spec = way->type == RTN_LOCAL
				? ip->daddr
				: ip4_answer_source(rx->net, rx->dev, ip->saddr, ip->tos);
	int at = ip4_options_parse(w, rx->net, pkt_l3(p), o, spec, true);

	if (at) {
		icmp4_error(w, p, ICMP_PARAMETERPROB, 0, __builtin_bswap32((uint32_t)at << 24));
		rx->mib[MIB_Ip_InHdrErrors]++;
		pkt_drop(w, p, DROP_IP_OPTIONS);
		return false;
	}
	if (!o->srr)
		return true;
	if (!rx->accept_source_route) {
		pkt_drop(w, p, DROP_IP_OPTIONS);
		return false;
	}
	return input_srr(w, rx, p, o, way);
}

void ip4_input_one(struct worker *w, const struct ip4_rx *rx, struct pkt *p)
{
	const struct ip4_hdr *ip = pkt_l3(p);
	struct ip4_opt opt, *o = NULL;
	struct way way;

	if (!input_route(w, rx, p, ip->daddr, &way))
		return;
	if (ip->ihl > 5) {
		if (!input_options(w, rx, p, &opt, &way))
			return;
		o = &opt;
	}
	if (way.type == RTN_MULTICAST) {
		rx->mib[MIB_IpExt_InMcastPkts]++;
		rx->mib[MIB_IpExt_InMcastOctets] += p->total;
	} else if (way.type == RTN_BROADCAST) {
		rx->mib[MIB_IpExt_InBcastPkts]++;
		rx->mib[MIB_IpExt_InBcastOctets] += p->total;
	} else if (rx->drop_unicast_l2mc &&
		   (p->type == PACKET_BROADCAST || p->type == PACKET_MULTICAST)) {
		pkt_drop(w, p, DROP_UNICAST_IN_L2_MULTICAST);
		return;
	}
	if (way.fi)
		ip4_forward_one(w, rx, p, way.fi, o, way.on_link);
	else if (way.type == RTN_UNREACHABLE)
		input_error(w, rx, p, way.err, way.why);
	else
		ip4_deliver_one(w, rx, p);
}
