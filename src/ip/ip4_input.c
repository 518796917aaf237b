/*
 * ip4_input: from the device to forwarding or delivery.
 *
 * The hot loop is cut into three passes over a batch, so that each keeps few things at hand:
 * headers are checked and destinations collected; the FIB answers for all at once; the answers are
 * sorted. A packet that needs more than that (options, addresses of classes with rules of their
 * own, routes by TOS) leaves the batch for ip4_input_one() (ip4_input_one.c).
 *
 * What it costs: `weft-bench forward` (64-byte frames, 10,000 routes and flows, batches of 256; TSC
 * cycles a packet of an EPYC at 2.6 GHz, driver to driver): 75 in all, of which ethernet 9, this
 * file 24, the look-up 13, forwarding 23, netdev_xmit 5; some 320 instructions. With headers in the
 * last level of the cache, where a card puts them, 86. What made a difference, measured one by one:
 *  - one line of memory of everything a packet meets: its metadata (pkt.h: PKT_SHARED), its route
 *    and its neighbour (static_asserts), and the link header written without touching the line in
 *    front of it: 35 of the cold packet's 120 cycles;
 *  - the rules that few packets meet joined by "or" to one branch (needs_care), and the header's
 *    sum in three words: 15;
 *  - decision, neighbour and link header in one pass of ip4_forward_batch() where there were two:
 * 15;
 *  - routes and neighbours asked for ahead: nothing with 16 next hops, a quarter with 10,000;
 *  - 10,000 neighbours on the link, looked up in a table of lines (htab.h) in steps over the batch:
 *    130, where a list of nodes each made it a thousand.
 */
#include "ip/ip4_path.h"

#define AHEAD 6

/* First octets with rules of their own, as source or destination. */
static const bool odd_octet[256] = {
	[0] = true,
	[127] = true,
	[224 ... 239] = true,
	[255] = true,
};

bool ip4_rx_init(struct ip4_rx *rx, struct worker *w, struct netdev *dev)
{
	struct net *net = dev->net;
	const struct in_dev *in = in_dev_get(dev);

	if (unlikely(!in || !net->ip4))
		return false;
	const struct ip4_conf *all = &net->ip4->conf_all, *c = &in->conf;

	*rx = (struct ip4_rx){
		.net = net,
		.core = ip4_core(net),
		.dev = dev,
		.in_dev = (struct in_dev *)in,
		.mib = ip4_mib(net, w),
	};
	rx->forwarding = conf_get(c, IPV4_DEVCONF_FORWARDING);
	rx->rp_filter =
		MAX(conf_get(all, IPV4_DEVCONF_RP_FILTER), conf_get(c, IPV4_DEVCONF_RP_FILTER));
	rx->accept_local =
		conf_get(all, IPV4_DEVCONF_ACCEPT_LOCAL) || conf_get(c, IPV4_DEVCONF_ACCEPT_LOCAL);
	rx->route_localnet = conf_get(all, IPV4_DEVCONF_ROUTE_LOCALNET) ||
			     conf_get(c, IPV4_DEVCONF_ROUTE_LOCALNET);
	rx->tx_redirects = conf_get(all, IPV4_DEVCONF_SEND_REDIRECTS) ||
			   conf_get(c, IPV4_DEVCONF_SEND_REDIRECTS);
	rx->accept_source_route = conf_get(all, IPV4_DEVCONF_ACCEPT_SOURCE_ROUTE) &&
				  conf_get(c, IPV4_DEVCONF_ACCEPT_SOURCE_ROUTE);
	rx->drop_unicast_l2mc = conf_get(all, IPV4_DEVCONF_DROP_UNICAST_IN_L2_MULTICAST) ||
				conf_get(c, IPV4_DEVCONF_DROP_UNICAST_IN_L2_MULTICAST);
	rx->bc_forwarding = conf_get(all, IPV4_DEVCONF_BC_FORWARDING) &&
			    conf_get(c, IPV4_DEVCONF_BC_FORWARDING);
	return true;
}

/* ---- headers ---- */

static enum drop bad_header(uint64_t *mib, enum drop why)
{
	mib[MIB_Ip_InHdrErrors]++;
	return why;
}

/* Everything the fast check did not like: says what it was, or that it is fine (N_DROPS). */
static enum drop check_header(struct worker *w, uint64_t *mib, struct pkt *p)
{
	if (!pkt_may_pull(&w->cache, p, sizeof(struct ip4_hdr)))
		return bad_header(mib, DROP_IP_INHDR);
	p->l3 = p->off;
	const struct ip4_hdr *ip = pkt_l3(p);

	if (ip->version != 4 || ip->ihl < 5)
		return bad_header(mib, DROP_IP_INHDR);
	unsigned hlen = ip->ihl * 4;

	if (!pkt_may_pull(&w->cache, p, hlen))
		return bad_header(mib, DROP_IP_INHDR);
	p->l3 = p->off;
	ip = pkt_l3(p);
	if (csum_ip4(ip, ip->ihl)) {
		mib[MIB_IpExt_InCsumErrors]++;
		return bad_header(mib, DROP_IP_CSUM);
	}
	unsigned len = get_be16(&ip->tot_len);

	if (p->total < len) {
		mib[MIB_IpExt_InTruncatedPkts]++;
		return DROP_PKT_TOO_SMALL;
	}
	if (len < hlen)
		return bad_header(mib, DROP_IP_INHDR);
	pkt_trim(&w->cache, p, len);
	p->l4 = (uint16_t)(p->l3 + hlen);
	return N_DROPS;
}

/* A plain header that may stay as it is: no options, right length, right sum. */
static inline bool header_plain(const struct pkt *p)
{
	if (unlikely(p->len < sizeof(struct ip4_hdr)))
		return false;
	const uint8_t *ip = pkt_data(p);

	return likely(ip[0] == 0x45) && likely(get_be16(ip + 2) == p->total) &&
	       likely(p->total >= sizeof(struct ip4_hdr)) && likely(csum_ip4(ip, 5) == 0);
}

/* ---- sources ---- */

static int own_match(struct cds_lfht_node *node, const void *key)
{
	return container_of(node, struct in_ifaddr, node)->local == *(const uint32_t *)key;
}

__attribute__((noinline)) bool ip4_own_address_slow(const struct ip4_net *n, uint32_t addr)
{
	struct cds_lfht_iter it;

	cds_lfht_lookup(n->addr_hash, hash_u64(addr), own_match, &addr, &it);
	return cds_lfht_iter_get_node(&it);
}

void ip4_input_martian(struct worker *w, const struct ip4_rx *rx, struct pkt *p, int err)
{
	rx->mib[MIB_RtStat_InMartianSrc]++;
	if (err == -EXDEV)
		rx->mib[MIB_TcpExt_IPReversePathFilter]++;
	pkt_drop(w, p, err == -EXDEV ? DROP_IP_RPFILTER : DROP_IP_INVALID_SOURCE);
}

/* ---- local delivery ---- */

static void deliver_proto(struct worker *w, struct net *net, struct netdev *dev, struct pkt *p)
{
	const struct ip4_hooks *hooks = &ip4_core(net)->hooks;
	const struct ip4_hdr *ip = pkt_l3(p);
	uint64_t *mib = ip4_mib(net, w);
	uint8_t proto = ip->protocol;
	unsigned hlen = ip->ihl * 4;

	pkt_pull(p, hlen);
	p->l4 = p->off;
	bool raw = hooks->raw && hooks->raw(w, dev, p, proto);

	if (likely(hooks->proto[proto])) {
		mib[MIB_Ip_InDelivers]++;
		hooks->proto[proto]->input(w, dev, p);
	} else if (raw) {
		mib[MIB_Ip_InDelivers]++;
		pkt_free(&w->cache, p);
	} else {
		mib[MIB_Ip_InUnknownProtos]++;
		icmp4_error(w, p, ICMP_DEST_UNREACH, ICMP_PROT_UNREACH, 0);
		pkt_drop(w, p, DROP_IP_NOPROTO);
	}
}

void ip4_deliver(struct worker *w, struct net *net, struct netdev *dev, struct pkt *p)
{
	const struct ip4_hdr *ip = pkt_l3(p);

	if (unlikely(get_be16(&ip->frag_off) & (IP4_MF | IP4_OFFSET))) {
		p = ip4_reasm(w, net, dev, p);
		if (!p)
			return;
	}
	deliver_proto(w, net, dev, p);
}

void ip4_deliver_one(struct worker *w, const struct ip4_rx *rx, struct pkt *p)
{
	enum stage prev = stage_enter(w, STAGE_IP4_LOCAL, 1);

	trace_pkt(w, p, "ip4-local");
	ip4_deliver(w, rx->net, rx->dev, p);
	stage_leave(w, prev);
}

/* ---- the fast path ---- */

/* Is there a rule for p that only the slow twin knows? by_tos: the bits of TOS that routes look at.
 */
static inline bool needs_care(const struct ip4_rx *rx, const struct pkt *p,
			      const struct ip4_hdr *ip, uint8_t by_tos)
{
	unsigned odd = odd_octet[*(const uint8_t *)&ip->saddr] |
		       odd_octet[*(const uint8_t *)&ip->daddr] | (ip->tos & by_tos) |
		       (ip->ihl ^ 5u) | (p->type ^ PACKET_HOST);

	return unlikely(odd) || unlikely(ip4_own_address(rx, ip->saddr));
}

/* Checks headers; keeps in b what the bulk look-up may answer for, its destinations in addr. */
static void input_check(struct worker *w, const struct ip4_rx *rx, struct batch *b, uint32_t *addr)
{
	uint8_t by_tos = READ_ONCE(rx->net->ip4->routes->n_tos) ? 0x1c : 0;
	unsigned n = b->n, kept = 0, others = 0;
	uint64_t octets = 0;
	uint32_t ecn[4] = {0};

	for (unsigned i = 0; i < n; i++) {
		struct pkt *p = b->p[i];

		if (unlikely(p->type == PACKET_OTHERHOST)) {
			others++;
			pkt_drop(w, p, DROP_OTHERHOST);
			continue;
		}
		octets += p->total;
		trace_pkt(w, p, "ip4-input");
		if (unlikely(!header_plain(p))) {
			enum drop why = check_header(w, rx->mib, p);

			if (why != N_DROPS) {
				pkt_drop(w, p, why);
				continue;
			}
		}
		const struct ip4_hdr *ip = pkt_l3(p);

		p->l4 = (uint16_t)(p->l3 + ip->ihl * 4);
		ecn[ip->tos & 3]++;
		if (needs_care(rx, p, ip, by_tos)) {
			ip4_input_one(w, rx, p);
			continue;
		}
		addr[kept] = __builtin_bswap32(ip->daddr);
		b->p[kept++] = p;
	}
	b->n = kept;
	rx->mib[MIB_Ip_InReceives] += n - others;
	rx->mib[MIB_IpExt_InOctets] += octets;
	for (unsigned i = 0; i < 4; i++)
		rx->mib[MIB_IpExt_InNoECTPkts + i] += ecn[i];
}

/* A packet that is not simply forwarded. Takes, unless it says that p goes on to forwarding. */
static bool sort_one(struct worker *w, const struct ip4_rx *rx, struct pkt *p, struct fib_info *f,
		     struct batch *local)
{
	const struct ip4_hdr *ip = pkt_l3(p);
	unsigned type = f ? f->type : RTN_UNSPEC;
	int err;

	if (type == RTN_UNICAST && rx->forwarding) {
		err = ip4_check_source(rx, ip, ip->daddr, f->nh.dev);
		if (!err)
			return true;
		if (err < 0)
			ip4_input_martian(w, rx, p, err);
		else
			ip4_forward_one(w, rx, p, f, NULL, true);
	} else if (type == RTN_LOCAL) {
		err = ip4_check_source(rx, ip, ip->daddr, NULL);
		if (unlikely(err < 0 && !(rx->dev->flags & IFF_LOOPBACK)))
			ip4_input_martian(w, rx, p, err);
		else
			batch_add(local, p);
	} else {
		ip4_input_one(w, rx, p);
	}
	return false;
}

/* Sorts by the routes found: what is to be forwarded stays in b with its route in fi. Sources were
 * looked at in needs_care(); the reverse path matters where it is filtered, and to packets that go
 * back where they came from. */
static void input_sort(struct worker *w, const struct ip4_rx *rx, struct batch *b,
		       const uint32_t *val, struct fib_info **fi, struct batch *local)
{
	const struct fib_array *fibs = rcu_dereference(rx->core->fibs);
	const struct netdev *back = rx->tx_redirects ? rx->dev : NULL;
	bool simple = rx->forwarding && !rx->rp_filter;
	unsigned kept = 0;

	for (unsigned i = 0; i < b->n; i++) {
		struct pkt *p = b->p[i];
		struct fib_info *f = fibs->fi[val[i] >> 6]; /* no route: the empty slot */

		if (i + AHEAD < b->n)
			__builtin_prefetch(fibs->fi[val[i + AHEAD] >> 6]);
		if (unlikely(!f || f->type != RTN_UNICAST || !simple || f->nh.dev == back) &&
		    !sort_one(w, rx, p, f, local))
			continue;
		__builtin_prefetch(f->nh.neigh);
		fi[kept] = f;
		b->p[kept++] = p;
	}
	b->n = kept;
}

void ip4_input(struct worker *w, struct netdev *dev, struct batch *b)
{
	enum stage prev = stage_enter(w, STAGE_IP4_INPUT, b->n);
	uint32_t addr[BATCH_MAX], val[BATCH_MAX];
	struct fib_info *fi[BATCH_MAX];
	struct batch local;
	struct ip4_rx rx;

	batch_init(&local);
	if (unlikely(!ip4_rx_init(&rx, w, dev))) {
		for (unsigned i = 0; i < b->n; i++)
			pkt_drop(w, b->p[i], DROP_UNHANDLED_PROTO);
		b->n = 0;
		stage_leave(w, prev);
		return;
	}
	input_check(w, &rx, b, addr);
	if (b->n) {
		enum stage in = stage_enter(w, STAGE_IP4_LOOKUP, b->n);

		route4_lookup_bulk(rx.net, addr, val, b->n);
		stage_leave(w, in);
		input_sort(w, &rx, b, val, fi, &local);
	}
	if (b->n)
		ip4_forward_batch(w, &rx, b, fi);
	if (local.n) {
		enum stage in = stage_enter(w, STAGE_IP4_LOCAL, local.n);

		for (unsigned i = 0; i < local.n; i++) {
			trace_pkt(w, local.p[i], "ip4-local");
			ip4_deliver(w, rx.net, dev, local.p[i]);
		}
		stage_leave(w, in);
	}
	b->n = 0;
	stage_leave(w, prev);
}
