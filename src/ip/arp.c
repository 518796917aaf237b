/*
 * arp: Address Resolution Protocol (RFC 826, 5227) over the neighbour table.
 *
 * What the settings of /proc/sys/net/ipv4/conf mean here is Linux's: arp_ignore (whose requests are
 * answered), arp_announce (which source a request carries), arp_filter, arp_accept and
 * drop_gratuitous_arp (unasked-for news), arp_notify, proxy_arp, proxy_arp_pvlan, medium_id.
 *
 * Control does all of it; other workers post what they receive. Frames are checked before that, so
 * that rubbish stays where it came in.
 */
#include <linux/if_arp.h>

#include "ip/ip4_path.h"

#define ARP_LEN 28 /* of Ethernet and IPv4 */

struct arp_frame {
	uint16_t op;
	uint8_t sha[ETH_ALEN], tha[ETH_ALEN];
	uint32_t sip, tip; /* be32 */
};

/* Flags of a delayed request (pkt.cb is the neighbour table's while it waits): PKT_REINJECT. */

static bool conf_or(const struct in_dev *in, int row)
{
	return conf_get(&in->dev->net->ip4->conf_all, row) || conf_get(&in->conf, row);
}

static int conf_max(const struct in_dev *in, int row)
{
	return MAX(conf_get(&in->dev->net->ip4->conf_all, row), conf_get(&in->conf, row));
}

/* ---- sending ---- */

/* dst NULL: broadcast; tha NULL: zeroes. */
static void arp_send(struct worker *w, struct netdev *dev, uint16_t op, uint32_t tip, uint32_t sip,
		     const uint8_t *dst, const uint8_t *tha)
{
	uint8_t f[ETH_HLEN + ARP_LEN], *a = f + ETH_HLEN;
	struct batch b;
	struct pkt *p;

	if ((dev->flags & IFF_NOARP) || dev->addr_len != ETH_ALEN || dev->type != ARPHRD_ETHER)
		return;
	memcpy(f, dst ? dst : dev->broadcast, ETH_ALEN);
	memcpy(f + 6, dev->addr, ETH_ALEN);
	put_be16(f + 12, ETH_P_ARP);
	put_be16(a, ARPHRD_ETHER);
	put_be16(a + 2, ETH_P_IP);
	a[4] = ETH_ALEN;
	a[5] = 4;
	put_be16(a + 6, op);
	memcpy(a + 8, dev->addr, ETH_ALEN);
	memcpy(a + 14, &sip, 4);
	if (tha)
		memcpy(a + 18, tha, ETH_ALEN);
	else
		memset(a + 18, 0, ETH_ALEN);
	memcpy(a + 24, &tip, 4);

	p = pkt_new(w);
	if (!p)
		return;
	if (pkt_append(&w->cache, p, f, sizeof(f))) {
		pkt_free(&w->cache, p);
		return;
	}
	p->l2 = p->off;
	p->l3 = (uint16_t)(p->off + ETH_HLEN);
	p->protocol = __builtin_bswap16(ETH_P_ARP);
	p->flags |= PKT_LOCAL;
	p->dev = dev;
	batch_one(&b, p);
	netdev_xmit(w, dev, &b);
}

void arp_announce(struct netdev *dev, uint32_t addr)
{
	struct worker *w = dev->weft->worker[0];

	arp_send(w, dev, ARPOP_REQUEST, addr, addr, NULL, NULL);
}

/* ---- addresses of a device ---- */

/* Has in's device a subnet with a (and b, unless 0) in it? */
static bool addr_onlink(const struct in_dev *in, uint32_t a, uint32_t b)
{
	struct in_ifaddr *ifa;

	cds_list_for_each_entry_rcu (ifa, &((struct in_dev *)in)->addrs, link)
		if (!((ifa->address ^ a) & ifa->mask) && (!b || !((ifa->address ^ b) & ifa->mask)))
			return true;
	return false;
}

/* Is `local` an address of in's device, of at most this scope, and `dst` (unless 0) in one of its
 * subnets together with it? */
static bool addr_confirm(const struct in_dev *in, uint32_t dst, uint32_t local, unsigned scope)
{
	bool have = false, same = false;
	struct in_ifaddr *ifa;

	cds_list_for_each_entry_rcu (ifa, &((struct in_dev *)in)->addrs, link) {
		have |= ifa->local == local && ifa->scope <= scope;
		same |= !((ifa->address ^ local) & ifa->mask) &&
			(!dst || !((ifa->address ^ dst) & ifa->mask));
	}
	return have && same;
}

static bool addr_confirm_any(struct net *net, uint32_t local, unsigned scope)
{
	struct netdev *dev;

	cds_list_for_each_entry_rcu (dev, &net->devs, net_link) {
		const struct in_dev *in = in_dev_get(dev);

		if (in && addr_confirm(in, 0, local, scope))
			return true;
	}
	return false;
}

/* ---- the neighbour table's calls ---- */

/* The source of a request for target, by arp_announce; hint: a packet that waits, or NULL. */
static uint32_t solicit_source(struct net *net, const struct in_dev *in, uint32_t target,
			       const struct pkt *hint)
{
	uint32_t saddr = hint ? ((const struct ip4_hdr *)pkt_data(hint))->saddr : 0;
	int mode = conf_max(in, IPV4_DEVCONF_ARP_ANNOUNCE);

	if (mode >= 2 || (saddr && ip4_addr_type(net, saddr) != RTN_LOCAL))
		saddr = 0;
	if (mode == 1 && saddr && !addr_onlink(in, target, saddr))
		saddr = 0;
	return saddr ? saddr : ip4_select_source(net, in->dev, target, RT_SCOPE_LINK);
}

static void arp_solicit(struct worker *w, struct neigh *n, struct pkt *hint, bool unicast)
{
	const struct in_dev *in = in_dev_get(n->dev);
	uint32_t target;

	if (!in)
		return;
	memcpy(&target, n->key, 4);
	arp_send(w, n->dev, ARPOP_REQUEST, target, solicit_source(n->dev->net, in, target, hint),
		 unicast ? n->lladdr : NULL, NULL);
}

/* RFC 1112 6.4. */
static void multicast_map(uint32_t group, const struct netdev *dev, uint8_t *lladdr)
{
	if (dev->type != ARPHRD_ETHER) {
		memcpy(lladdr, dev->broadcast, dev->addr_len);
		return;
	}
	uint32_t low = __builtin_bswap32(group) & 0x7fffff;

	lladdr[0] = 0x01;
	lladdr[1] = 0x00;
	lladdr[2] = 0x5e;
	lladdr[3] = (uint8_t)(low >> 16);
	lladdr[4] = (uint8_t)(low >> 8);
	lladdr[5] = (uint8_t)low;
}

static int arp_construct(struct neigh *n)
{
	struct netdev *dev = n->dev;
	const struct in_dev *in = in_dev_get(dev);
	uint32_t addr;

	if (!in || in->dead)
		return -EINVAL;
	if (dev->flags & (IFF_LOOPBACK | IFF_POINTOPOINT))
		memset(n->key, 0, 4); /* all neighbours are one */
	memcpy(&addr, n->key, 4);
	n->parms = in->arp_parms;
	n->type = ip4_is_multicast(addr) ? RTN_MULTICAST : (uint8_t)ip4_addr_type(dev->net, addr);
	if (addr == UINT32_MAX)
		n->type = RTN_BROADCAST;
	if (dev->type != ARPHRD_ETHER && dev->type != ARPHRD_LOOPBACK) {
		n->state = NUD_NOARP;
	} else if (n->type == RTN_MULTICAST) {
		n->state = NUD_NOARP;
		multicast_map(addr, dev, n->lladdr);
	} else if (dev->flags & (IFF_NOARP | IFF_LOOPBACK)) {
		n->state = NUD_NOARP;
		memcpy(n->lladdr, dev->addr, dev->addr_len);
	} else if (n->type == RTN_BROADCAST || (dev->flags & IFF_POINTOPOINT)) {
		n->state = NUD_NOARP;
		memcpy(n->lladdr, dev->broadcast, dev->addr_len);
	}
	return 0;
}

static void arp_unreachable(struct worker *w, struct neigh *n, struct pkt *p)
{
	(void)n;
	icmp4_error(w, p, ICMP_DEST_UNREACH, ICMP_HOST_UNREACH, 0);
	pkt_drop(w, p, DROP_NEIGH_FAILED);
}

/* ---- receiving ---- */

/* Is a request for tip not to be answered? */
static bool arp_ignored(struct net *net, const struct in_dev *in, uint32_t sip, uint32_t tip)
{
	switch (conf_max(in, IPV4_DEVCONF_ARP_IGNORE)) {
	case 0:
		return false;
	case 1: /* only addresses of the device asked */
		return !addr_confirm(in, 0, tip, RT_SCOPE_HOST);
	case 2: /* and only from their subnet */
		return !addr_confirm(in, sip, tip, RT_SCOPE_HOST);
	case 3: /* not those of scope host */
		return !addr_confirm_any(net, tip, RT_SCOPE_LINK);
	case 8:
		return true;
	}
	return false;
}

/* arp_filter: would we answer sip over another device? */
static bool arp_filtered(struct net *net, const struct netdev *dev, uint32_t sip, uint32_t tip)
{
	struct flow4 fl = {.daddr = sip, .saddr = tip};
	struct route_result res;

	return route4_output(net, &fl, &res) || res.dev != dev;
}

static bool arp_accepts(const struct in_dev *in, uint32_t sip)
{
	switch (conf_max(in, IPV4_DEVCONF_ARP_ACCEPT)) {
	case 1:
		return true;
	case 2:
		return addr_onlink(in, sip, 0);
	}
	return false;
}

/* proxy_arp: may dev's link be answered for what lies over `out`? */
static bool proxy_for(const struct in_dev *in, const struct netdev *out)
{
	const struct in_dev *other;
	int medium, their;

	if (out == in->dev || !conf_or(in, IPV4_DEVCONF_PROXY_ARP))
		return false;
	medium = conf_get(&in->conf, IPV4_DEVCONF_MEDIUM_ID);
	if (medium == 0)
		return true;
	if (medium == -1)
		return false;
	other = in_dev_get(out);
	their = other ? conf_get(&other->conf, IPV4_DEVCONF_MEDIUM_ID) : 0;
	return their != medium && their != -1;
}

/* Private VLAN: ports of one segment that do not hear each other are answered for. */
static bool proxy_pvlan(const struct in_dev *in, const struct netdev *out, uint32_t sip,
			uint32_t tip)
{
	return out == in->dev && sip != tip && conf_get(&in->conf, IPV4_DEVCONF_PROXY_ARP_PVLAN);
}

static void arp_reply(struct worker *w, struct netdev *dev, const struct arp_frame *f)
{
	arp_send(w, dev, ARPOP_REPLY, f->sip, f->tip, f->sha, f->sha);
}

/* A request for an address of ours. */
static void request_local(struct worker *w, const struct in_dev *in, const struct arp_frame *f)
{
	struct netdev *dev = in->dev;

	if (arp_ignored(dev->net, in, f->sip, f->tip))
		return;
	if (conf_or(in, IPV4_DEVCONF_ARPFILTER) && arp_filtered(dev->net, dev, f->sip, f->tip)) {
		ip4_mib(dev->net, w)[MIB_TcpExt_ArpFilter]++;
		return;
	}
	if (neigh_heard(&ip4_core(dev->net)->arp, dev, &f->sip, f->sha))
		arp_reply(w, dev, f);
}

/* A request for what others have: true when it was answered (or will be: p was taken). */
static bool request_proxy(struct worker *w, const struct in_dev *in, const struct arp_frame *f,
			  const struct route_result *res, struct pkt *p, bool *taken)
{
	struct netdev *dev = in->dev;
	struct neigh_table *t = &ip4_core(dev->net)->arp;

	if (res->type != RTN_UNICAST)
		return false;
	if (!proxy_for(in, res->dev) && !proxy_pvlan(in, res->dev, f->sip, f->tip) &&
	    (res->dev == dev || !neigh_proxy_find(t, dev->net, dev, &f->tip)))
		return false;
	neigh_heard(t, dev, &f->sip, f->sha);
	if ((p->flags & PKT_REINJECT) || p->type == PACKET_HOST || !in->arp_parms->proxy_delay) {
		arp_reply(w, dev, f);
	} else {
		*taken = true;
		neigh_proxy_enqueue(t, in->arp_parms, p);
	}
	return true;
}

/* News about its sender: what an unasked-for frame may change. */
static void arp_learn(struct worker *w, const struct in_dev *in, const struct arp_frame *f,
		      const struct pkt *p)
{
	struct netdev *dev = in->dev;
	struct neigh_table *t = &ip4_core(dev->net)->arp;
	struct neigh *n = neigh_lookup(t, dev, &f->sip);
	bool accept = arp_accepts(in, f->sip), garp = false;
	int err;

	if (!n && !accept)
		return;
	garp = f->tip == f->sip && (f->op != ARPOP_REPLY || !memcmp(f->tha, f->sha, ETH_ALEN));
	bool unicast = ip4_addr_type(dev->net, f->sip) == RTN_UNICAST;

	garp &= unicast;
	if (!n && (garp || (f->op == ARPOP_REPLY && unicast)))
		n = neigh_get(t, dev, &f->sip, &err);
	if (!n)
		return;
	/* Of several answers in a row the first counts: proxies come late. */
	bool override = garp || w->now > n->updated + n->parms->locktime;
	/* Only an answer to us says that the way there works both ways. */
	bool confirms = f->op == ARPOP_REPLY && p->type == PACKET_HOST;

	neigh_update(n, f->sha, confirms ? NUD_REACHABLE : NUD_STALE,
		     override ? NEIGH_UPDATE_OVERRIDE : 0);
}

/* RFC 5227: somebody asks whether an address is in use, from 0.0.0.0. */
static void arp_probe(struct worker *w, const struct in_dev *in, const struct arp_frame *f)
{
	struct net *net = in->dev->net;

	if (f->op == ARPOP_REQUEST && ip4_addr_type(net, f->tip) == RTN_LOCAL &&
	    !arp_ignored(net, in, f->sip, f->tip))
		arp_reply(w, in->dev, f);
}

/* The route a packet from sip to tip would take: what a request is answered by. False: none. */
static bool request_route(const struct in_dev *in, const struct arp_frame *f,
			  struct route_result *res)
{
	struct flow4 fl = {.daddr = f->tip, .saddr = f->sip, .iif = in->dev->ifindex};

	return !route4_input(in->dev->net, &fl, in->dev, res);
}

/* A well-formed frame. True: p was taken. */
static bool arp_process(struct worker *w, const struct in_dev *in, const struct arp_frame *f,
			struct pkt *p)
{
	struct route_result res;
	bool taken = false;

	if (ip4_is_multicast(f->tip) ||
	    (ip4_is_loopback(f->tip) && !conf_or(in, IPV4_DEVCONF_ROUTE_LOCALNET)))
		return false;
	if (f->sip == f->tip && conf_or(in, IPV4_DEVCONF_DROP_GRATUITOUS_ARP))
		return false;
	if (!f->sip) {
		arp_probe(w, in, f);
		return false;
	}
	if (f->op == ARPOP_REQUEST && request_route(in, f, &res)) {
		if (res.type == RTN_LOCAL) {
			request_local(w, in, f);
			return false;
		}
		if (conf_get(&in->conf, IPV4_DEVCONF_FORWARDING) &&
		    request_proxy(w, in, f, &res, p, &taken))
			return taken;
	}
	arp_learn(w, in, f, p);
	return false;
}

/* False: not an ARP frame for Ethernet and IPv4, or not asking or answering. */
static bool arp_parse(const struct netdev *dev, const struct pkt *p, struct arp_frame *f)
{
	uint8_t raw[ARP_LEN];
	struct view v = view_of(raw, pkt_copy_out(p, 0, raw, sizeof(raw)));
	uint16_t hrd = view_be16(&v), pro = view_be16(&v);
	uint8_t hln = view_u8(&v), pln = view_u8(&v);

	f->op = view_be16(&v);
	const uint8_t *sha = view_take(&v, ETH_ALEN), *sip = view_take(&v, 4);
	const uint8_t *tha = view_take(&v, ETH_ALEN), *tip = view_take(&v, 4);

	if (!view_ok(&v) || hln != dev->addr_len || hln != ETH_ALEN || pln != 4)
		return false;
	if ((hrd != ARPHRD_ETHER && hrd != ARPHRD_IEEE802) || pro != ETH_P_IP)
		return false;
	if (f->op != ARPOP_REQUEST && f->op != ARPOP_REPLY)
		return false;
	memcpy(f->sha, sha, ETH_ALEN);
	memcpy(f->tha, tha, ETH_ALEN);
	memcpy(&f->sip, sip, 4);
	memcpy(&f->tip, tip, 4);
	return true;
}

/* Control: takes p, whose data is at the ARP header. */
static void arp_control(struct worker *w, struct pkt *p)
{
	const struct in_dev *in = in_dev_get(p->dev);
	struct arp_frame f;

	if (!in || !arp_parse(p->dev, p, &f))
		pkt_drop(w, p, in ? DROP_ARP_MALFORMED : DROP_ARP_IGNORED);
	else if (!arp_process(w, in, &f, p))
		pkt_free(&w->cache, p);
}

static void arp_redo(struct worker *w, struct pkt *p)
{
	p->flags |= PKT_REINJECT;
	arp_control(w, p);
}

void arp_input(struct worker *w, struct netdev *dev, struct batch *b)
{
	enum stage prev = stage_enter(w, STAGE_ARP, b->n);
	struct arp_frame f;

	for (unsigned i = 0; i < b->n; i++) {
		struct pkt *p = b->p[i];

		trace_pkt(w, p, "arp");
		if ((dev->flags & IFF_NOARP) || p->type == PACKET_OTHERHOST ||
		    p->type == PACKET_LOOPBACK || !in_dev_get(dev)) {
			pkt_drop(w, p,
				 p->type == PACKET_OTHERHOST ? DROP_OTHERHOST : DROP_ARP_IGNORED);
			continue;
		}
		if (!arp_parse(dev, p, &f)) {
			pkt_drop(w, p, DROP_ARP_MALFORMED);
			continue;
		}
		p->dev = dev;
		p->flags &= (uint16_t)~PKT_REINJECT;
		if (w->id)
			worker_post(w->weft->worker[0], p, arp_control);
		else
			arp_control(w, p);
	}
	b->n = 0;
	stage_leave(w, prev);
}

/* ---- life ---- */

static const struct neigh_ops arp_ops = {
	.family = AF_INET,
	.key_len = 4,
	.id = "arp_cache",
	.solicit = arp_solicit,
	.construct = arp_construct,
	.unreachable = arp_unreachable,
	.proxy_redo = arp_redo,
};

int arp_init(struct ip4_core *core)
{
	return neigh_table_init(&core->arp, &arp_ops, core->weft, core->weft->worker[0],
				core->events);
}

void arp_fini(struct ip4_core *core)
{
	neigh_table_fini(&core->arp);
}
