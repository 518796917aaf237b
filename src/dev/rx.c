/*
 * rx: the way in: counters, taps, the link header, VLAN, the rx handler, the protocol.
 *
 * Two entries share the way: netdev_rx() for frames that begin at their link header, and
 * netdev_rx_stacked() for frames whose header has been read and which now belong to a device on
 * top (vlan, macvlan). A batch of plain IPv4 without taps goes through in one pass that reads the
 * header of each frame once; the cache line of the frame four further on is asked for meanwhile.
 */
#include "dev/netdev.h"
#include "run/trace.h"

#define VLAN_HLEN 4
#define AHEAD	  6 /* frames whose lines are on their way while one is read */

#define BE(v) ((uint16_t)__builtin_bswap16(v))

/* ---- taps ---- */

static void show_list(struct worker *w, struct netdev *dev, struct pkt *p,
		      struct cds_list_head *taps, bool typed)
{
	struct tap *t;

	cds_list_for_each_entry_rcu (t, taps, link)
		if (t->incoming_only == typed && (!typed || t->protocol == p->protocol))
			t->fn(w, t, dev, p, false);
}

static bool tapped(const struct netdev *dev)
{
	return READ_ONCE(dev->n_taps) || (dev->all_taps && READ_ONCE(*dev->n_all_taps));
}

static void show_one(struct worker *w, struct netdev *dev, struct pkt *p, bool typed)
{
	show_list(w, dev, p, &dev->taps, typed);
	if (dev->all_taps)
		show_list(w, dev, p, dev->all_taps, typed);
}

/* A tap sees a frame from its link header on, `header` bytes before the data. Those of one
 * ethertype are asked last, as the protocols are: they see what the VLAN devices and the handler
 * have left. */
static void show_taps(struct worker *w, struct netdev *dev, struct batch *b, unsigned header,
		      bool typed)
{
	for (unsigned i = 0; i < b->n; i++) {
		struct pkt *p = b->p[i];

		if (header)
			pkt_push(p, header);
		show_one(w, dev, p, typed);
		if (header)
			pkt_pull(p, header);
	}
}

/* ---- the link header ---- */

static inline bool is_vlan(uint16_t proto)
{
	return proto == BE(ETH_P_8021Q) || proto == BE(ETH_P_8021AD);
}

/* Is a the device's address? Both are at least 8 readable bytes; the last two do not count. */
static inline bool same_addr(const uint8_t *a, const uint8_t *b)
{
	uint64_t x, y;

	memcpy(&x, a, 8);
	memcpy(&y, b, 8);
	return !((x ^ y) << 16);
}

static inline uint8_t frame_type(const struct netdev *dev, const uint8_t *dst)
{
	if (likely(same_addr(dst, dev->addr)))
		return PACKET_HOST;
	if (dst[0] & 1)
		return same_addr(dst, dev->broadcast) ? PACKET_BROADCAST : PACKET_MULTICAST;
	/* lo's frames bear no addresses to speak of */
	return dev->flags & IFF_LOOPBACK ? PACKET_HOST : PACKET_OTHERHOST;
}

/* The protocol behind a type/length field: IEEE 802.3 lengths mean raw IPX or LLC. */
static uint16_t length_proto(const struct pkt *p)
{
	uint8_t ipx[2] = {0};

	pkt_copy_out(p, ETH_HLEN, ipx, sizeof(ipx));
	return ipx[0] == 0xff && ipx[1] == 0xff ? BE(ETH_P_802_3) : BE(ETH_P_802_2);
}

/* Reads the Ethernet header and moves the data behind it. False: there is none. */
static inline bool read_header(struct worker *w, struct netdev *dev, struct pkt *p)
{
	if (unlikely(p->len < ETH_HLEN) && !pkt_may_pull(&w->cache, p, ETH_HLEN))
		return false;
	uint8_t *e = pkt_data(p);
	uint16_t proto;

	memcpy(&proto, e + 2 * ETH_ALEN, 2);
	if (unlikely(proto != BE(ETH_P_IP)) && BE(proto) < ETH_P_802_3_MIN)
		proto = length_proto(p);
	p->dev = dev;
	p->protocol = proto;
	p->type = frame_type(dev, e);
	p->l2 = p->off;
	pkt_pull(p, ETH_HLEN);
	p->l3 = p->off;
	return true;
}

/* Moves a tag from the bytes to the metadata; the addresses close up to what is behind it. */
static bool untag(struct worker *w, struct pkt *p)
{
	uint8_t *d;

	if (!pkt_may_pull(&w->cache, p, VLAN_HLEN + 2) || !pkt_writable(&w->cache, p, ETH_HLEN))
		return false;
	d = pkt_data(p);
	p->vlan_proto = p->protocol;
	p->vlan_tci = get_be16(d);
	p->flags |= PKT_VLAN;
	memcpy(&p->protocol, d + 2, 2);
	memmove(d - ETH_HLEN + VLAN_HLEN, d - ETH_HLEN, 2 * ETH_ALEN);
	pkt_pull(p, VLAN_HLEN);
	p->l2 = (uint16_t)(p->off - ETH_HLEN);
	p->l3 = p->off;
	if (BE(p->protocol) < ETH_P_802_3_MIN)
		p->protocol = BE(ETH_P_802_2);
	return true;
}

/* Takes tags off; false when the batch holds no tagged frame. */
static bool untag_batch(struct worker *w, struct netdev *dev, struct batch *b)
{
	unsigned n = 0;
	bool any = false;

	for (unsigned i = 0; i < b->n; i++) {
		struct pkt *p = b->p[i];

		if (is_vlan(p->protocol) && !(p->flags & PKT_VLAN) && !untag(w, p)) {
			dev_counter(dev, w)->rx_dropped++;
			pkt_drop(w, p, DROP_DEV_HDR);
			continue;
		}
		any |= !!(p->flags & PKT_VLAN);
		b->p[n++] = p;
	}
	b->n = n;
	return any;
}

/* ---- to the protocol ---- */

static void unhandled(struct worker *w, struct netdev *dev, struct batch *b)
{
	dev_counter(dev, w)->rx_dropped += b->n;
	for (unsigned i = 0; i < b->n; i++)
		pkt_drop(w, b->p[i], DROP_UNHANDLED_PROTO);
	b->n = 0;
}

static void deliver_run(struct worker *w, struct netdev *dev, struct batch *b)
{
	const struct dev_core *core = dev->core;
	proto_input_fn *input = NULL;

	switch (b->p[0]->protocol) {
	case BE(ETH_P_IP):
		input = core->ip4_input;
		break;
	case BE(ETH_P_ARP):
		input = core->arp_input;
		break;
	case BE(ETH_P_IPV6):
		input = core->ip6_input;
		break;
	}
	if (likely(input))
		input(w, dev, b);
	else
		unhandled(w, dev, b);
}

void netdev_deliver(struct worker *w, struct netdev *dev, struct batch *b)
{
	unsigned same = 1;

	if (!b->n)
		return;
	while (same < b->n && b->p[same]->protocol == b->p[0]->protocol)
		same++;
	if (likely(same == b->n)) {
		deliver_run(w, dev, b);
		return;
	}
	for (unsigned i = 0; i < b->n;) {
		struct batch run;

		batch_init(&run);
		do
			batch_add(&run, b->p[i++]);
		while (i < b->n && b->p[i]->protocol == run.p[0]->protocol);
		deliver_run(w, dev, &run);
	}
	b->n = 0;
}

/* A tag that no device claimed: a priority tag (VLAN 0) is as good as none. */
static void drop_unclaimed(struct worker *w, struct netdev *dev, struct batch *b)
{
	unsigned n = 0;

	for (unsigned i = 0; i < b->n; i++) {
		struct pkt *p = b->p[i];

		if ((p->flags & PKT_VLAN) && (p->vlan_tci & 0xfff)) {
			p->flags &= (uint16_t)~PKT_VLAN;
			p->type = PACKET_OTHERHOST;
			if (tapped(dev)) {
				pkt_push(p, ETH_HLEN);
				show_one(w, dev, p, true);
				pkt_pull(p, ETH_HLEN);
			}
			dev_counter(dev, w)->rx_dropped++;
			pkt_drop(w, p, DROP_VLAN_UNKNOWN);
			continue;
		}
		p->flags &= (uint16_t)~PKT_VLAN;
		b->p[n++] = p;
	}
	b->n = n;
}

/* What follows the link header. flags: all that the packets have; other: 0 when each is IPv4. */
static void go_on(struct worker *w, struct netdev *dev, struct batch *b, unsigned flags,
		  unsigned other)
{
	bool tagged = (other || (flags & PKT_VLAN)) && untag_batch(w, dev, b);

	if (unlikely(tagged) && dev->core->vlan_input)
		dev->core->vlan_input(w, dev, b);
	rx_handler_fn *handler = rcu_dereference(dev->rx_handler);
	if (unlikely(handler) && b->n)
		handler(w, dev, b);
	if (unlikely(tagged))
		drop_unclaimed(w, dev, b);
	if (unlikely(tapped(dev)))
		show_taps(w, dev, b, dev->hard_header_len ? ETH_HLEN : 0, true);
	if (likely(!other && b->n))
		deliver_run(w, dev, b);
	else
		netdev_deliver(w, dev, b);
}

/* ---- entries ---- */

static void drop_all(struct worker *w, struct netdev *dev, struct batch *b, enum drop why)
{
	dev_counter(dev, w)->rx_dropped += b->n;
	for (unsigned i = 0; i < b->n; i++)
		pkt_drop(w, b->p[i], why);
	b->n = 0;
}

/* Devices without a link header (tun): the first nibble tells the protocol. */
static bool read_raw(struct worker *w, struct netdev *dev, struct pkt *p)
{
	if (!pkt_may_pull(&w->cache, p, 1))
		return false;
	p->dev = dev;
	p->type = PACKET_HOST;
	p->l2 = p->l3 = p->off;
	p->protocol = pkt_data(p)[0] >> 4 == 6 ? BE(ETH_P_IPV6) : BE(ETH_P_IP);
	return true;
}

void netdev_rx(struct worker *w, struct netdev *dev, struct batch *b)
{
	if (unlikely(!netdev_running(dev))) {
		drop_all(w, dev, b, DROP_DEV_DOWN);
		return;
	}
	enum stage prev = stage_enter(w, STAGE_ETHER, b->n);

	if (unlikely(READ_ONCE(w->trace))) {
		for (unsigned i = 0; i < b->n; i++) {
			b->p[i]->dev = dev;
			trace_pkt(w, b->p[i], "ethernet");
			trace_mark(w, b->p[i]);
		}
	}
	if (unlikely(tapped(dev)))
		show_taps(w, dev, b, 0, false);

	struct dev_count *c = dev_counter(dev, w);
	unsigned n = 0, flags = 0, other = 0;
	bool ether = dev->hard_header_len != 0, wire = !(dev->flags & IFF_LOOPBACK);
	uint64_t bytes = 0;

	for (unsigned i = 0; i < b->n; i++) {
		struct pkt *p = b->p[i];

		if (i + AHEAD < b->n)
			pkt_prefetch(b->p[i + AHEAD]);
		bytes += p->total;
		if (unlikely(ether ? !read_header(w, dev, p) : !read_raw(w, dev, p))) {
			c->rx_errors++;
			c->rx_length_errors++;
			pkt_drop(w, p, DROP_DEV_HDR);
			continue;
		}
		flags |= p->flags;
		other |= p->protocol ^ BE(ETH_P_IP);
		b->p[n++] = p;
	}
	c->rx_packets += n;
	c->rx_bytes += likely(wire) ? bytes : bytes - n * ETH_HLEN;
	b->n = n;
	go_on(w, dev, b, flags, other);
	stage_leave(w, prev);
}

void netdev_rx_stacked(struct worker *w, struct netdev *dev, struct batch *b)
{
	if (unlikely(!netdev_running(dev))) {
		drop_all(w, dev, b, DROP_DEV_DOWN);
		return;
	}
	struct dev_count *c = dev_counter(dev, w);
	unsigned flags = 0, other = 0;

	for (unsigned i = 0; i < b->n; i++) {
		struct pkt *p = b->p[i];

		p->dev = dev;
		p->type = frame_type(dev, pkt_l2(p));
		c->rx_packets++;
		c->rx_bytes += p->total;
		c->multicast += p->type == PACKET_MULTICAST;
		flags |= p->flags;
		other |= p->protocol ^ BE(ETH_P_IP);
		trace_pkt(w, p, "stacked-rx");
	}
	if (unlikely(tapped(dev)))
		show_taps(w, dev, b, ETH_HLEN, false);
	go_on(w, dev, b, flags, other);
}

/* ---- the backlog ---- */

void netdev_rx_later(struct worker *w, struct batch *b)
{
	unsigned max = (unsigned)READ_ONCE(w->backlog_max);

	for (unsigned i = 0; i < b->n; i++) {
		struct pkt *p = b->p[i];

		if (unlikely(w->backlog.n >= max)) {
			dev_counter(p->dev, w)->rx_dropped++;
			pkt_drop(w, p, DROP_CPU_BACKLOG);
			continue;
		}
		pktq_push(&w->backlog, p);
	}
	b->n = 0;
}

void netdev_backlog_run(struct worker *w, unsigned budget)
{
	struct batch b;

	while (budget && w->backlog.head) {
		struct netdev *dev = w->backlog.head->dev;

		/* what one device sent another in a row stays a batch */
		batch_init(&b);
		do {
			batch_add(&b, pktq_pop(&w->backlog));
			budget--;
		} while (budget && !batch_full(&b) && w->backlog.head &&
			 w->backlog.head->dev == dev);
		netdev_rx(w, dev, &b);
	}
}

/* A device leaves: what waits for it goes. */
void netdev_backlog_purge(struct worker *w, const struct netdev *dev)
{
	struct pkt_queue keep;
	struct pkt *p;

	pktq_init(&keep);
	while ((p = pktq_pop(&w->backlog))) {
		if (p->dev == dev)
			pkt_drop(w, p, DROP_DEV_READY);
		else
			pktq_push(&keep, p);
	}
	pktq_init(&w->backlog);
	while ((p = pktq_pop(&keep)))
		pktq_push(&w->backlog, p);
}
