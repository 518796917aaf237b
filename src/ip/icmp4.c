/*
 * icmp4: ICMP for IPv4 (RFC 792, 1122 3.2.2, 1812 4.3): echo, time stamps, errors in and out.
 *
 * Workers answer echo requests; everything else is control's: errors that reach sockets, and errors
 * sent, whose rate is one for the namespace. icmp4_error() on another worker copies what will be
 * quoted and posts it.
 *
 * An echo is answered in the packet it came in.
 */
#include "ip/ip4_path.h"

#define ICMP_QUOTE_MAX	  576	     /* of the whole answer: RFC 1812 4.3.2.3 */
#define ICMP_DUMMY_SOURCE 0xc0000008 /* 192.0.0.8 (RFC 7600): a router without an address */

/* Is a message of this type an error (about which no error is sent)? */
static bool is_error(unsigned type)
{
	switch (type) {
	case ICMP_ECHOREPLY:
	case ICMP_ECHO:
	case ICMP_TIMESTAMP:
	case ICMP_TIMESTAMPREPLY:
	case ICMP_INFO_REQUEST:
	case ICMP_INFO_REPLY:
	case ICMP_ADDRESS:
	case ICMP_ADDRESSREPLY:
		return false;
	}
	return true; /* unknown ones count as such */
}

void icmp4_count_out(struct worker *w, struct net *net, uint8_t type)
{
	static const uint16_t row[NR_ICMP_TYPES + 1] = {
		[ICMP_ECHOREPLY] = MIB_Icmp_OutEchoReps,
		[ICMP_DEST_UNREACH] = MIB_Icmp_OutDestUnreachs,
		[ICMP_SOURCE_QUENCH] = MIB_Icmp_OutSrcQuenchs,
		[ICMP_REDIRECT] = MIB_Icmp_OutRedirects,
		[ICMP_ECHO] = MIB_Icmp_OutEchos,
		[ICMP_TIME_EXCEEDED] = MIB_Icmp_OutTimeExcds,
		[ICMP_PARAMETERPROB] = MIB_Icmp_OutParmProbs,
		[ICMP_TIMESTAMP] = MIB_Icmp_OutTimestamps,
		[ICMP_TIMESTAMPREPLY] = MIB_Icmp_OutTimestampReps,
		[ICMP_ADDRESS] = MIB_Icmp_OutAddrMasks,
		[ICMP_ADDRESSREPLY] = MIB_Icmp_OutAddrMaskReps,
	};
	uint64_t *mib = ip4_mib(net, w);

	mib[MIB_Icmp_OutMsgs]++;
	net->ip4->mib[w->id].icmp_out[type]++;
	if (type <= NR_ICMP_TYPES && row[type])
		mib[row[type]]++;
}

static void count_in(struct worker *w, struct net *net, uint8_t type)
{
	static const uint16_t row[NR_ICMP_TYPES + 1] = {
		[ICMP_ECHOREPLY] = MIB_Icmp_InEchoReps,
		[ICMP_DEST_UNREACH] = MIB_Icmp_InDestUnreachs,
		[ICMP_SOURCE_QUENCH] = MIB_Icmp_InSrcQuenchs,
		[ICMP_REDIRECT] = MIB_Icmp_InRedirects,
		[ICMP_ECHO] = MIB_Icmp_InEchos,
		[ICMP_TIME_EXCEEDED] = MIB_Icmp_InTimeExcds,
		[ICMP_PARAMETERPROB] = MIB_Icmp_InParmProbs,
		[ICMP_TIMESTAMP] = MIB_Icmp_InTimestamps,
		[ICMP_TIMESTAMPREPLY] = MIB_Icmp_InTimestampReps,
		[ICMP_ADDRESS] = MIB_Icmp_InAddrMasks,
		[ICMP_ADDRESSREPLY] = MIB_Icmp_InAddrMaskReps,
	};

	net->ip4->mib[w->id].icmp_in[type]++;
	if (type <= NR_ICMP_TYPES && row[type])
		ip4_mib(net, w)[row[type]]++;
}

/* ---- errors out ---- */

/* A view of p that starts at its IP header, wherever its data starts now. */
static struct pkt at_l3(const struct pkt *p)
{
	struct pkt v = *p;
	int back = (int)p->off - (int)p->l3;

	v.off = p->l3;
	v.len = (uint16_t)(p->len + back);
	v.total = (uint32_t)((int)p->total + back);
	return v;
}

/* May an error be sent about this packet at all (RFC 1122 3.2.2)? hdr: its IP header. */
static bool error_deserved(const struct pkt *v, const struct ip4_hdr *ip, uint8_t type)
{
	uint8_t itype;

	if (v->type != PACKET_HOST || ip4_is_multicast(ip->daddr) || ip->daddr == UINT32_MAX)
		return false;
	if (!ip->saddr || ip4_is_multicast(ip->saddr) || ip->saddr == UINT32_MAX)
		return false;
	if (get_be16(&ip->frag_off) & IP4_OFFSET)
		return false;
	if (is_error(type) && ip->protocol == IPPROTO_ICMP) {
		if (pkt_copy_out(v, ip->ihl * 4u, &itype, 1) != 1 || is_error(itype))
			return false;
	}
	return true;
}

/* The address an error about a packet to daddr comes from; 0: the route's choice. */
static uint32_t error_source(struct net *net, const struct netdev *in, const struct ip4_hdr *ip,
			     unsigned dtype)
{
	if (dtype == RTN_LOCAL)
		return ip->daddr;
	if (READ_ONCE(net->ip4->icmp_errors_use_inbound_ifaddr) && in)
		return ip4_select_source(net, in, ip->saddr, RT_SCOPE_LINK);
	return 0;
}

static void error_send(struct worker *w, const struct pkt *v, const struct ip4_tx *tx,
		       const struct icmphdr *head)
{
	uint8_t msg[ICMP_QUOTE_MAX];
	uint32_t mtu = tx->route->mtu ? tx->route->mtu : tx->route->dev->mtu;
	int room = (int)MIN(mtu, (uint32_t)ICMP_QUOTE_MAX) - 20 - tx->opt_len - (int)sizeof(*head);

	if (room <= (int)sizeof(struct ip4_hdr))
		return;
	size_t len = MIN((size_t)room, (size_t)v->total);
	struct pkt *p = pkt_new(w);

	if (!p)
		return;
	memcpy(msg, head, sizeof(*head));
	len = sizeof(*head) + pkt_copy_out(v, 0, msg + sizeof(*head), len);
	uint16_t sum = csum_fold(csum_partial(msg, len, 0));

	memcpy(msg + offsetof(struct icmphdr, checksum), &sum, 2);
	if (pkt_append(&w->cache, p, msg, len)) {
		pkt_free(&w->cache, p);
		return;
	}
	icmp4_count_out(w, tx->net, head->type);
	ip4_send(w, tx, p);
}

/* Control's half. v starts at the IP header. */
static void error_decide(struct worker *w, const struct pkt *v, uint8_t type, uint8_t code,
			 uint32_t info, bool no_route)
{
	struct icmphdr head = {.type = type, .code = code, .un.gateway = info};
	struct net *net = v->dev->net;
	uint8_t hdr[60] = {0}, opts[40];
	struct ip4_hdr *ip = (struct ip4_hdr *)hdr;
	struct route_result res;
	uint32_t faddr = 0;
	unsigned dtype;

	if (pkt_copy_out(v, 0, hdr, sizeof(*ip)) != sizeof(*ip) || ip->ihl < 5 ||
	    pkt_copy_out(v, 0, hdr, ip->ihl * 4u) != ip->ihl * 4u)
		return;
	if (no_route && !icmp4_allow_route_error(w, net, ip->saddr))
		return;
	if (!error_deserved(v, ip, type))
		return;
	dtype = ip4_addr_type(net, ip->daddr);
	if (dtype == RTN_BROADCAST || dtype == RTN_MULTICAST)
		return;
	if (!(v->dev->flags & IFF_LOOPBACK) && !icmp4_allow_global(w, net, type, code))
		return;
	if (type == ICMP_REDIRECT && !icmp4_allow_redirect(w, net, ip->saddr))
		return;
	unsigned opt_len = ip4_options_echo(hdr, opts, &faddr);
	struct ip4_tx tx = {
		.net = net,
		.saddr = error_source(net, v->dev, ip, dtype),
		.daddr = faddr ? faddr : ip->saddr,
		.proto = IPPROTO_ICMP,
		.tos = is_error(type) ? (ip->tos & 0x1e) | 0xc0 : ip->tos,
		.options = opts,
		.opt_len = (uint8_t)opt_len,
		.route = &res,
	};
	struct flow4 fl = {
		.daddr = tx.daddr, .saddr = tx.saddr, .tos = tx.tos & 0x1c, .proto = IPPROTO_ICMP};

	if (route4_output(net, &fl, &res))
		return;
	if (!icmp4_allow_peer(w, net, res.dev, tx.daddr, type, code))
		return;
	tx.saddr = tx.saddr ? tx.saddr : res.saddr;
	if (!tx.saddr)
		tx.saddr = __builtin_bswap32(ICMP_DUMMY_SOURCE);
	tx.daddr = ip->saddr;
	error_send(w, v, &tx, &head);
}

static void error_posted(struct worker *w, struct pkt *p)
{
	error_decide(w, p, (uint8_t)p->cb[0], (uint8_t)(p->cb[0] >> 8), (uint32_t)p->cb[1],
		     p->cb[0] >> 16);
	pkt_free(&w->cache, p);
}

static void error_out(struct worker *w, const struct pkt *p, uint8_t type, uint8_t code,
		      uint32_t info, bool no_route)
{
	struct pkt v = at_l3(p);

	if (v.l3 == 0 || v.total < sizeof(struct ip4_hdr) || !v.dev)
		return;
	if (!w->id) {
		error_decide(w, &v, type, code, info, no_route);
		return;
	}
	uint8_t quoted[ICMP_QUOTE_MAX];
	size_t len = pkt_copy_out(&v, 0, quoted, sizeof(quoted));
	struct pkt *c = pkt_new(w);

	if (!c)
		return;
	if (pkt_append(&w->cache, c, quoted, len)) {
		pkt_free(&w->cache, c);
		return;
	}
	c->dev = v.dev;
	c->type = v.type;
	c->l3 = c->off;
	c->cb[0] = (uint64_t)no_route << 16 | (uint64_t)code << 8 | type;
	c->cb[1] = info;
	worker_post(w->weft->worker[0], c, error_posted);
}

void icmp4_error(struct worker *w, const struct pkt *p, uint8_t type, uint8_t code, uint32_t info)
{
	error_out(w, p, type, code, info, false);
}

void icmp4_route_error(struct worker *w, const struct pkt *p, uint8_t code)
{
	error_out(w, p, ICMP_DEST_UNREACH, code, 0, true);
}

/* ---- answers ---- */

/* The address to answer from: the one that was asked, or for a group one on the way back. */
static uint32_t reply_source(struct net *net, struct netdev *dev, const struct ip4_hdr *ip)
{
	if (ip4_addr_type(net, ip->daddr) == RTN_LOCAL)
		return ip->daddr;
	return ip4_answer_source(net, dev, ip->saddr, ip->tos);
}

/* Sends p, whose data is the ICMP message, back to where hdr came from. Takes. */
static void reply(struct worker *w, struct netdev *dev, const uint8_t *hdr, struct pkt *p,
		  uint8_t type)
{
	const struct ip4_hdr *ip = (const struct ip4_hdr *)hdr;
	struct net *net = dev->net;
	struct route_result res;
	uint32_t faddr = 0;
	uint8_t opts[40];
	unsigned opt_len = ip4_options_echo(hdr, opts, &faddr);
	struct ip4_tx tx = {
		.net = net,
		.saddr = reply_source(net, dev, ip),
		.daddr = ip->saddr,
		.proto = IPPROTO_ICMP,
		.tos = ip->tos,
		.options = opts,
		.opt_len = (uint8_t)opt_len,
		.route = &res,
	};
	struct flow4 fl = {.daddr = faddr ? faddr : ip->saddr,
			   .saddr = tx.saddr,
			   .tos = ip->tos & 0x1c,
			   .proto = IPPROTO_ICMP};
	if (!ip->saddr) /* asked of all by nobody: the answer stays here */
		tx.daddr = fl.daddr = tx.saddr;
	if (ip4_is_multicast(ip->saddr) || route4_output(net, &fl, &res)) {
		pkt_drop(w, p, DROP_IP_OUTNOROUTES);
		return;
	}
	if (!w->id && (!icmp4_allow_global(w, net, type, 0) ||
		       !icmp4_allow_peer(w, net, res.dev, tx.daddr, type, 0))) {
		pkt_drop(w, p, DROP_NOT_SPECIFIED);
		return;
	}
	p->type = PACKET_HOST;
	p->flags &= (uint16_t) ~(PKT_CSUM_OK | PKT_VLAN | PKT_HASH_L4);
	p->hash = 0;
	p->mark = 0;
	p->tstamp = 0;
	/* Linux counts every answer as one to an echo. */
	icmp4_count_out(w, net, ICMP_ECHOREPLY);
	ip4_send(w, &tx, p);
}

static bool reply_allowed(const struct net *net, const struct ip4_hdr *ip)
{
	return ip->saddr != UINT32_MAX && net->ip4;
}

/* Writes head over the message's own; the checksum follows. */
static void replace_head(uint8_t *h, const struct icmphdr *head)
{
	const uint8_t *to = (const uint8_t *)head;
	uint16_t was, is, sum;

	memcpy(&sum, h + 2, 2);
	for (unsigned i = 0; i < sizeof(*head); i += 2) {
		if (i == offsetof(struct icmphdr, checksum))
			continue;
		memcpy(&was, h + i, 2);
		memcpy(&is, to + i, 2);
		sum = csum_replace2(sum, was, is);
		memcpy(h + i, &is, 2);
	}
	memcpy(h + 2, &sum, 2);
}

/* An echo request, plain or extended. */
static void echo(struct worker *w, struct netdev *dev, struct pkt *p)
{
	uint8_t hdr[60];
	const struct ip4_hdr *ip = pkt_l3(p);
	struct icmphdr head;

	if (READ_ONCE(dev->net->ip4->icmp_echo_ignore_all) || !reply_allowed(dev->net, ip)) {
		pkt_free(&w->cache, p);
		return;
	}
	memcpy(&head, pkt_data(p), sizeof(head));
	if (head.type == ICMP_ECHO) {
		head.type = ICMP_ECHOREPLY;
	} else if (!icmp4_probe(dev->net, p, &head)) {
		pkt_free(&w->cache, p);
		return;
	}
	memcpy(hdr, ip, ip->ihl * 4u);
	if (!pkt_writable(&w->cache, p, IP4_TX_ROOM)) {
		pkt_drop(w, p, DROP_NOMEM);
		return;
	}
	replace_head(pkt_data(p), &head);
	reply(w, dev, hdr, p, head.type);
}

static void timestamp(struct worker *w, struct netdev *dev, struct pkt *p)
{
	const struct ip4_hdr *ip = pkt_l3(p);
	uint8_t hdr[60], msg[20];
	uint64_t wall = w->now + (uint64_t)w->wall;
	uint32_t ms = (uint32_t)(wall / NSEC_PER_MSEC % 86400000);

	if (p->total < sizeof(struct icmphdr) + 4) {
		ip4_mib(dev->net, w)[MIB_Icmp_InErrors]++;
		pkt_drop(w, p, DROP_PKT_TOO_SMALL);
		return;
	}
	memcpy(hdr, ip, ip->ihl * 4u);
	pkt_copy_out(p, 0, msg, 12); /* id, sequence, originate time */
	pkt_free(&w->cache, p);
	msg[0] = ICMP_TIMESTAMPREPLY;
	memset(msg + 2, 0, 2);
	put_be32(msg + 12, ms);
	put_be32(msg + 16, ms);
	uint16_t sum = csum_fold(csum_partial(msg, sizeof(msg), 0));

	memcpy(msg + 2, &sum, 2);
	p = pkt_new(w);
	if (p && !pkt_append(&w->cache, p, msg, sizeof(msg)))
		reply(w, dev, hdr, p, ICMP_TIMESTAMPREPLY);
	else
		pkt_free(&w->cache, p);
}

/* ---- errors in ---- */

/* RFC 1191 7.1: what the MTU may be when an old router does not say. */
static uint32_t plateau(uint32_t was)
{
	static const uint16_t mtus[] = {32000, 17914, 8166, 4352, 2002, 1492, 1006, 508, 296, 68};

	for (unsigned i = 0; i < ARRAY_SIZE(mtus); i++)
		if (mtus[i] < was)
			return mtus[i];
	return 68;
}

/* Hands an error to whoever sent the quoted packet; p's data is at the quoted header. Borrows. */
static void error_deliver(struct worker *w, struct netdev *dev, struct pkt *p, uint8_t type,
			  uint8_t code, uint32_t info)
{
	const struct ip4_hooks *hooks = &ip4_core(dev->net)->hooks;
	const struct ip4_hdr *inner = (const struct ip4_hdr *)pkt_data(p);
	unsigned need = inner->ihl * 4u + 8;

	if (!pkt_may_pull(&w->cache, p, need)) {
		ip4_mib(dev->net, w)[MIB_Icmp_InErrors]++;
		return;
	}
	inner = (const struct ip4_hdr *)pkt_data(p);
	uint8_t proto = inner->protocol;

	if (hooks->raw_error)
		hooks->raw_error(w, dev, p, type, code, info);
	if (proto == IPPROTO_ICMP) {
		/* an answer of the stack's own, which no socket will miss */
		if (pkt_data(p)[inner->ihl * 4u] == ICMP_ECHOREPLY)
			route4_pmtu_error(w, dev->net, inner, type, code, info);
		if (hooks->ping_error)
			hooks->ping_error(w, dev, p, type, code, info);
	} else if (hooks->proto[proto] && hooks->proto[proto]->error) {
		hooks->proto[proto]->error(w, dev, p, type, code, info);
	}
}

/* Destination unreachable, source quench, time exceeded, parameter problem, redirect. Takes. */
static void error_input(struct worker *w, struct netdev *dev, struct pkt *p)
{
	struct icmphdr h;
	struct net *net = dev->net;
	uint32_t info = 0;

	memcpy(&h, pkt_data(p), sizeof(h));
	pkt_pull(p, sizeof(h));
	const struct ip4_hdr *inner = (const struct ip4_hdr *)pkt_data(p);

	if (!pkt_may_pull(&w->cache, p, sizeof(*inner)))
		goto bad;
	inner = (const struct ip4_hdr *)pkt_data(p);
	if (inner->ihl < 5) {
		if (h.type != ICMP_REDIRECT || p->total < inner->ihl * 4u + 8)
			goto bad;
		goto out; /* a redirect of no packet, which nobody counts */
	}
	if (h.type == ICMP_DEST_UNREACH) {
		if (h.code > NR_ICMP_UNREACH)
			goto out;
		if (h.code == ICMP_FRAG_NEEDED && READ_ONCE(net->ip4->no_pmtu_disc) == 0)
			info = h.un.frag.mtu ? get_be16(&h.un.frag.mtu)
					     : plateau(get_be16(&inner->tot_len));
	} else if (h.type == ICMP_PARAMETERPROB) {
		info = get_be32(&h.un.gateway) >> 24;
	} else if (h.type == ICMP_REDIRECT) {
		info = h.un.gateway;
	} else if (h.type == ICMP_TIME_EXCEEDED && h.code == ICMP_EXC_FRAGTIME) {
		goto out;
	}
	if (!READ_ONCE(net->ip4->icmp_ignore_bogus_error_responses) &&
	    ip4_addr_type(net, inner->daddr) == RTN_BROADCAST)
		goto out;
	error_deliver(w, dev, p, h.type, h.code, info);
out:
	pkt_free(&w->cache, p);
	return;
bad:
	ip4_mib(net, w)[MIB_Icmp_InErrors]++;
	pkt_drop(w, p, DROP_IP_INHDR);
}

/* ---- input ---- */

static bool to_group(struct net *net, const struct ip4_hdr *ip)
{
	unsigned type;

	if (ip4_is_multicast(ip->daddr) || ip->daddr == UINT32_MAX)
		return true;
	type = ip4_addr_type(net, ip->daddr);
	return type == RTN_BROADCAST || type == RTN_MULTICAST;
}

/* What a group may be sent (RFC 1122 3.2.2.6, 3.2.2.8). */
static bool group_allowed(const struct net *net, uint8_t type)
{
	switch (type) {
	case ICMP_ECHO:
	case ICMP_TIMESTAMP:
		return !READ_ONCE(net->ip4->icmp_echo_ignore_broadcasts);
	case ICMP_ADDRESS:
	case ICMP_ADDRESSREPLY:
		return true;
	}
	return false;
}

static void input_posted(struct worker *w, struct pkt *p)
{
	icmp4_input(w, p->dev, p);
}

/* A checked message. Takes. */
static void input_type(struct worker *w, struct netdev *dev, struct pkt *p, uint8_t type)
{
	const struct ip4_hooks *hooks = &ip4_core(dev->net)->hooks;

	switch (type) {
	case ICMP_ECHO:
	case ICMP_EXT_ECHO:
		echo(w, dev, p);
		return;
	case ICMP_TIMESTAMP:
		timestamp(w, dev, p);
		return;
	case ICMP_DEST_UNREACH:
	case ICMP_SOURCE_QUENCH:
	case ICMP_TIME_EXCEEDED:
	case ICMP_PARAMETERPROB:
	case ICMP_REDIRECT:
		error_input(w, dev, p);
		return;
	case ICMP_ECHOREPLY:
	case ICMP_EXT_ECHOREPLY:
		if (hooks->ping)
			hooks->ping(w, dev, p);
		break;
	}
	pkt_free(&w->cache, p);
}

void icmp4_input(struct worker *w, struct netdev *dev, struct pkt *p)
{
	enum stage prev = stage_enter(w, STAGE_ICMP4, 1);
	struct net *net = dev->net;
	uint64_t *mib = ip4_mib(net, w);
	enum drop why = DROP_INVALID_PROTO;

	p->dev = dev;
	if (w->id && p->len && pkt_data(p)[0] != ICMP_ECHO) {
		worker_post(w->weft->worker[0], p, input_posted);
		goto out;
	}
	mib[MIB_Icmp_InMsgs]++;
	trace_pkt(w, p, "icmp4");
	if (!(p->flags & PKT_CSUM_OK) && csum_fold(pkt_csum(p, 0, p->total, 0))) {
		mib[MIB_Icmp_InCsumErrors]++;
		why = DROP_ICMP_CSUM;
		goto error;
	}
	if (!pkt_may_pull(&w->cache, p, sizeof(struct icmphdr)))
		goto error;
	uint8_t type = pkt_data(p)[0];

	count_in(w, net, type);
	/* The extended ones lie beyond the kernel's table of types, and so beyond the rules of
	 * groups. */
	if (type == ICMP_EXT_ECHO || type == ICMP_EXT_ECHOREPLY) {
		input_type(w, dev, p, type);
		goto out;
	}
	if (type > NR_ICMP_TYPES)
		goto error;
	if (unlikely(to_group(net, pkt_l3(p))) && !group_allowed(net, type))
		goto error;
	input_type(w, dev, p, type);
out:
	stage_leave(w, prev);
	return;
error:
	mib[MIB_Icmp_InErrors]++;
	pkt_drop(w, p, why);
	stage_leave(w, prev);
}

int icmp4_init(struct ip4_core *core)
{
	core->path = ip4_path_new(core->weft);
	if (!core->path)
		return -ENOMEM;
	core->icmp_proto.input = icmp4_input;
	core->hooks.proto[IPPROTO_ICMP] = &core->icmp_proto;
	return 0;
}

void icmp4_fini(struct ip4_core *core)
{
	core->hooks.proto[IPPROTO_ICMP] = NULL;
	ip4_path_free(core->weft, core->path);
	core->path = NULL;
}
