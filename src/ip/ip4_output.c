/*
 * ip4_output: from here to the wire: header, fragments, copies to ourselves, next hop.
 *
 * The identification field follows the kernel: 0 where DF forbids fragments, otherwise from one of
 * a few thousand counters chosen by a keyed hash of (source, destination, protocol), which moves on
 * by a random step for the time it lay idle, so that others cannot count our packets.
 */
#include "ip/ip4_path.h"
#include "run/trace.h"

uint16_t ip4_new_id(struct worker *w, struct ip4_path *path, uint32_t saddr, uint32_t daddr,
		    uint8_t proto)
{
	uint32_t key[3] = {saddr, daddr, proto};
	unsigned i = siphash(key, sizeof(key), &w->key) % IP4_IDS;
	uint32_t now = (uint32_t)(w->now / (4 * NSEC_PER_MSEC)), step = 1;
	uint32_t last = READ_ONCE(path->id_stamp[i]);

	if (now != last && __atomic_compare_exchange_n(&path->id_stamp[i], &last, now, false,
						       __ATOMIC_RELAXED, __ATOMIC_RELAXED))
		step += rng_below(&w->rng, now - last);
	return (uint16_t)__atomic_fetch_add(&path->id[i], step, __ATOMIC_RELAXED);
}

/* ---- next hop ---- */

static void output_drop(struct worker *w, struct net *net, struct pkt *p, enum drop why)
{
	ip4_mib(net, w)[MIB_Ip_OutDiscards]++;
	pkt_drop(w, p, why);
}

/* Control's half: makes the entry, and lets the packet wait there. */
static void output_resolve(struct worker *w, struct netdev *dev, struct pkt *p, uint32_t key,
			   struct fib_info *fi)
{
	struct neigh_table *arp = &ip4_core(dev->net)->arp;
	int err = 0;
	struct neigh *n = neigh_get(arp, dev, &key, &err);

	if (!n) {
		output_drop(w, dev->net, p, DROP_NEIGH_CREATEFAIL);
		return;
	}
	if (fi && fi->nh.gateway && fi->nh.neigh != n && !fi->dead)
		fib_info_set_neigh(fi, n);
	p->dev = dev;
	neigh_resolve(w, n, p);
}

static void output_posted(struct worker *w, struct pkt *p)
{
	uint32_t gw = (uint32_t)p->cb[0];

	p->flags |= PKT_REINJECT;
	ip4_finish_output(w, p->dev, p, gw);
}

/* A gateway's neighbour is kept by its route. NULL: not there (yet). */
static inline struct neigh *gateway(struct fib_info *fi)
{
	struct neigh *n = fi->nh.gateway ? rcu_dereference(fi->nh.neigh) : NULL;

	return n && !READ_ONCE(n->dead) ? n : NULL;
}

static void finish(struct worker *w, struct netdev *dev, struct pkt *p, uint32_t gw,
		   struct fib_info *fi)
{
	enum stage prev = stage_enter(w, STAGE_NEIGH, 1);
	uint32_t key = dev->flags & (IFF_LOOPBACK | IFF_POINTOPOINT) ? 0 : gw;

	if (unlikely(p->flags & PKT_TRACE)) {
		p->dev = dev;
		trace_point(w, p, "neigh-output");
	}
	struct neigh *n = fi ? gateway(fi) : NULL;
	struct batch b;

	if (!n)
		n = neigh_lookup_one(w, &ip4_core(dev->net)->arp, dev, &key);
	if (n && fi && fi->nh.gateway && fi->nh.neigh != n && !w->id && !fi->dead)
		fib_info_set_neigh(fi, n);
	if (likely(n && rcu_dereference(n->hh))) {
		if (unlikely(!neigh_header(w, n, p))) {
			output_drop(w, dev->net, p, DROP_NOMEM);
			stage_leave(w, prev);
			return;
		}
		p->dev = dev;
		batch_one(&b, p);
		stage_leave(w, prev);
		netdev_xmit(w, dev, &b);
		return;
	}
	if (w->id) {
		p->dev = dev;
		p->cb[0] = gw;
		worker_post(w->weft->worker[0], p, output_posted);
	} else {
		output_resolve(w, dev, p, key, fi);
	}
	stage_leave(w, prev);
}

void ip4_finish_output(struct worker *w, struct netdev *dev, struct pkt *p, uint32_t gw)
{
	finish(w, dev, p, gw, NULL);
}

void ip4_output_fi(struct worker *w, struct fib_info *fi, struct pkt *p, uint32_t gw)
{
	finish(w, fi->nh.dev, p, gw, fi);
}

/* ---- to ourselves ---- */

static void loop_back(struct worker *w, struct pkt *p)
{
	struct batch b;

	batch_one(&b, p);
	ip4_input(w, p->dev, &b);
}

/* A copy of a multicast or broadcast comes in again on the device it leaves by. Borrows. */
static void output_loop_copy(struct worker *w, struct netdev *dev, struct pkt *p)
{
	struct pkt *c = pkt_copy(&w->cache, p, PKT_HEADROOM);

	if (!c)
		return;
	c->dev = dev;
	c->type = PACKET_LOOPBACK;
	c->flags |= PKT_CSUM_OK;
	if (c->flags & PKT_CSUM_PARTIAL)
		pkt_csum_finish(&w->cache, c);
	/* Over the inbox, so that input does not run inside of output. */
	worker_post(w, c, loop_back);
}

/* ---- output ---- */

/* What leaves, each fragment for itself. */
static void count_out(uint64_t *mib, const struct route_result *res, const struct pkt *p)
{
	mib[MIB_Ip_OutTransmits]++;
	mib[MIB_IpExt_OutOctets] += p->total;
	if (unlikely(res->type == RTN_MULTICAST)) {
		mib[MIB_IpExt_OutMcastPkts]++;
		mib[MIB_IpExt_OutMcastOctets] += p->total;
	} else if (unlikely(res->type == RTN_BROADCAST)) {
		mib[MIB_IpExt_OutBcastPkts]++;
		mib[MIB_IpExt_OutBcastOctets] += p->total;
	}
}

static int output_fragments(struct worker *w, struct net *net, const struct route_result *res,
			    struct pkt *p, uint32_t mtu)
{
	enum stage prev = stage_enter(w, STAGE_IP4_FRAG, 1);
	uint64_t *mib = ip4_mib(net, w);
	struct pkt_queue frags;
	int err;

	pktq_init(&frags);
	err = ip4_fragment(w, p, mtu, &frags);
	stage_leave(w, prev);
	if (err) {
		mib[MIB_Ip_FragFails]++;
		return err;
	}
	mib[MIB_Ip_FragOKs]++;
	mib[MIB_Ip_FragCreates] += frags.n;
	while ((p = pktq_pop(&frags))) {
		count_out(mib, res, p);
		finish(w, res->dev, p, res->gateway, (struct fib_info *)res->fi);
	}
	return 0;
}

int ip4_output(struct worker *w, struct net *net, const struct route_result *res, struct pkt *p,
	       bool mc_loop)
{
	const struct ip4_hdr *ip = pkt_l3(p);
	uint32_t mtu = res->mtu ? res->mtu : res->dev->mtu;

	p->dev = res->dev;
	trace_mark(w, p);
	trace_pkt(w, p, "ip4-output");
	if (unlikely(res->type == RTN_MULTICAST)) {
		if (mc_loop && !(res->dev->flags & IFF_LOOPBACK) &&
		    ip4_igmp_member(res->dev, ip->daddr))
			output_loop_copy(w, res->dev, p);
		if (!ip->ttl) { /* not beyond this host */
			pkt_free(&w->cache, p);
			return 0;
		}
	} else if (unlikely(res->type == RTN_BROADCAST)) {
		if (!(res->dev->flags & IFF_LOOPBACK))
			output_loop_copy(w, res->dev, p);
	}
	if (unlikely(p->total > mtu && !p->gso))
		return output_fragments(w, net, res, p, mtu);
	count_out(ip4_mib(net, w), res, p);
	/* A broadcast's or multicast's next hop is no gateway's. */
	finish(w, res->dev, p, res->gateway,
	       res->type == RTN_UNICAST ? (struct fib_info *)res->fi : NULL);
	return 0;
}

static const struct route_result *find_route(const struct ip4_tx *tx, uint32_t daddr,
					     struct route_result *own, int *err)
{
	const struct flow4 fl = {
		.daddr = daddr,
		.saddr = tx->saddr,
		.mark = tx->mark,
		.tos = tx->tos & 0x1c,
		.proto = tx->proto,
		.oif = ip4_is_multicast(daddr) ? tx->multicast_if : 0,
		.scope = tx->dontroute ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE,
	};

	*err = route4_output(tx->net, &fl, own);
	return *err ? NULL : own;
}

/* The route of tx: given, or looked up into *own. NULL with *err. */
static inline const struct route_result *tx_route(const struct ip4_tx *tx, uint32_t daddr,
						  struct route_result *own, int *err)
{
	return likely(tx->route) ? tx->route : find_route(tx, daddr, own, err);
}

static uint8_t tx_ttl(const struct ip4_tx *tx, const struct route_result *res)
{
	if (res->type == RTN_MULTICAST)
		return tx->multicast_ttl;
	if (tx->ttl)
		return tx->ttl;
	if (res->fi && res->fi->metrics[RTAX_HOPLIMIT])
		return (uint8_t)res->fi->metrics[RTAX_HOPLIMIT];
	return (uint8_t)READ_ONCE(tx->net->ip4->default_ttl);
}

/* Copies the user's options in; a source route's first hop becomes the destination and the final
 * destination its last entry. Returns the address for the header. */
static uint32_t tx_options(const struct ip4_tx *tx, uint8_t *to)
{
	uint32_t daddr = tx->daddr, hop;

	memcpy(to, tx->options, tx->opt_len);
	for (unsigned i = 0; i < tx->opt_len;) {
		if (to[i] == IPOPT_END)
			break;
		if (to[i] == IPOPT_NOOP) {
			i++;
			continue;
		}
		if (i + 1 >= tx->opt_len || to[i + 1] < 2 || i + to[i + 1] > tx->opt_len)
			break;
		unsigned len = to[i + 1];

		if ((to[i] == IPOPT_LSRR || to[i] == IPOPT_SSRR) && len >= 7 && to[i + 2] == 4) {
			memcpy(&hop, to + i + 3, 4);
			memmove(to + i + 3, to + i + 7, len - 7);
			memcpy(to + i + len - 4, &daddr, 4);
			daddr = hop;
		}
		i += len;
	}
	return daddr;
}

/* Puts the header in front of p, which has room for it. */
static void tx_header(struct worker *w, const struct ip4_tx *tx, const struct route_result *res,
		      struct pkt *p, uint32_t daddr, const uint8_t *opts)
{
	unsigned hlen = sizeof(struct ip4_hdr) + tx->opt_len;
	struct ip4_hdr *ip;

	p->l4 = p->off;
	ip = (struct ip4_hdr *)pkt_push(p, hlen);
	p->l3 = p->off;
	p->protocol = __builtin_bswap16(ETH_P_IP);
	p->flags |= PKT_LOCAL;
	p->mark = tx->mark;
	p->prio = tx->prio;
	*ip = (struct ip4_hdr){
		.version = 4,
		.ihl = (uint8_t)(hlen / 4),
		.tos = tx->tos,
		.tot_len = __builtin_bswap16((uint16_t)p->total),
		.ttl = tx_ttl(tx, res),
		.protocol = tx->proto,
		.saddr = tx->saddr ? tx->saddr : res->saddr,
		.daddr = daddr,
		.frag_off = tx->df ? __builtin_bswap16(IP4_DF) : 0,
	};
	if (!tx->df)
		ip->id = __builtin_bswap16(
			ip4_new_id(w, ip4_core(tx->net)->path, ip->saddr, daddr, tx->proto));
	if (tx->opt_len) {
		struct ip4_opt o;

		/* Who sends a record of its route is the first on it. */
		memcpy(ip + 1, opts, tx->opt_len);
		ip4_options_parse(w, tx->net, (uint8_t *)ip, &o, ip->saddr, false);
		ip->check = 0;
	}
	ip->check = csum_ip4(ip, ip->ihl);
}

void ip4_frame(struct worker *w, const struct ip4_tx *tx, struct pkt *p)
{
	const struct route_result *res = tx->route;
	uint32_t daddr = tx->daddr, key = res->gateway;
	uint8_t opts[40];

	if (tx->opt_len)
		daddr = tx_options(tx, opts);
	tx_header(w, tx, res, p, daddr, opts);
	if (res->dev->flags & (IFF_LOOPBACK | IFF_POINTOPOINT))
		key = 0;
	struct neigh *n = neigh_lookup_one(w, &ip4_core(tx->net)->arp, res->dev, &key);

	if (n && neigh_header(w, n, p))
		return;
	memset(pkt_push(p, ETH_HLEN), 0, ETH_HLEN);
	put_be16(pkt_data(p) + 2 * ETH_ALEN, ETH_P_IP);
}

int ip4_send(struct worker *w, const struct ip4_tx *tx, struct pkt *p)
{
	enum stage prev = stage_enter(w, STAGE_IP4_OUTPUT, 1);
	unsigned hlen = sizeof(struct ip4_hdr) + tx->opt_len;
	uint64_t *mib = ip4_mib(tx->net, w);
	uint32_t daddr = tx->daddr;
	const struct route_result *res;
	struct route_result own;
	uint8_t opts[40];
	int err = -EINVAL;

	if (tx->opt_len > sizeof(opts) || (tx->opt_len & 3))
		goto drop;
	if (tx->opt_len)
		daddr = tx_options(tx, opts);
	res = tx_route(tx, daddr, &own, &err);
	if (!res) {
		mib[MIB_Ip_OutNoRoutes]++;
		pkt_drop(w, p, DROP_IP_OUTNOROUTES);
		stage_leave(w, prev);
		return err;
	}
	err = -EMSGSIZE;
	if (p->total + hlen > 0xffff ||
	    (tx->df && !p->gso && p->total + hlen > (res->mtu ? res->mtu : res->dev->mtu)))
		goto drop;
	err = -ENOBUFS;
	if (!pkt_writable(&w->cache, p, hlen + 32))
		goto drop;
	tx_header(w, tx, res, p, daddr, opts);
	mib[MIB_Ip_OutRequests]++;
	err = ip4_output(w, tx->net, res, p, tx->multicast_loop);
	stage_leave(w, prev);
	return err;
drop:
	output_drop(w, tx->net, p, err == -EMSGSIZE ? DROP_PKT_TOO_BIG : DROP_NOMEM);
	stage_leave(w, prev);
	return err;
}

int ip4_send_raw(struct worker *w, const struct ip4_tx *tx, struct pkt *p)
{
	enum stage prev = stage_enter(w, STAGE_IP4_OUTPUT, 1);
	struct net *net = tx->net;
	uint64_t *mib = ip4_mib(net, w);
	const struct route_result *res;
	struct route_result own;
	int err = -EINVAL;

	if (!pkt_may_pull(&w->cache, p, sizeof(struct ip4_hdr)))
		goto drop;
	struct ip4_hdr *ip = (struct ip4_hdr *)pkt_data(p);
	unsigned hlen = ip->ihl * 4;

	if (hlen < sizeof(*ip) || hlen > p->total || !pkt_may_pull(&w->cache, p, hlen))
		goto drop;
	ip = (struct ip4_hdr *)pkt_data(p);
	res = tx_route(tx, tx->daddr ? tx->daddr : ip->daddr, &own, &err);
	if (!res) {
		mib[MIB_Ip_OutNoRoutes]++;
		pkt_drop(w, p, DROP_IP_OUTNOROUTES);
		stage_leave(w, prev);
		return err;
	}
	p->l3 = p->off;
	p->l4 = (uint16_t)(p->off + hlen);
	p->protocol = __builtin_bswap16(ETH_P_IP);
	p->flags |= PKT_LOCAL;
	/* The sender wrote the header himself: what does not fit is refused, not cut up. */
	err = -EMSGSIZE;
	if (p->total > (res->mtu ? res->mtu : res->dev->mtu) && !p->gso)
		goto drop;
	err = -ENOBUFS;
	if (!pkt_writable(&w->cache, p, 32))
		goto drop;
	/* What raw(7) says is always filled in, or when zero. */
	ip = pkt_l3(p);
	put_be16(&ip->tot_len, (uint16_t)p->total);
	if (!ip->saddr)
		ip->saddr = res->saddr;
	if (!ip->id)
		ip->id = __builtin_bswap16(
			ip4_new_id(w, ip4_core(net)->path, ip->saddr, ip->daddr, ip->protocol));
	ip->check = 0;
	ip->check = csum_ip4(ip, ip->ihl);
	mib[MIB_Ip_OutRequests]++;
	err = ip4_output(w, net, res, p, tx->multicast_loop);
	stage_leave(w, prev);
	return err;
drop:
	output_drop(w, net, p, err == -EMSGSIZE ? DROP_PKT_TOO_BIG : DROP_IP_INHDR);
	stage_leave(w, prev);
	return err;
}
