/*
 * tx: the way out: taps, then in software what the device's features do not cover (segmentation,
 * checksum, VLAN tag), then the driver.
 *
 * A batch of which no packet asks for anything, on a device nobody captures from, costs one pass
 * that looks at two fields a packet.
 */
#include "dev/netdev.h"
#include "pkt/gso.h"

static void show_taps(struct worker *w, struct netdev *dev, struct pkt *p,
		      struct cds_list_head *taps)
{
	struct tap *t;

	cds_list_for_each_entry_rcu (t, taps, link)
		if (t->protocol == __builtin_bswap16(ETH_P_ALL) && !t->incoming_only)
			t->fn(w, t, dev, p, true);
}

/* Puts the tag between the addresses and the ethertype. */
static bool insert_tag(struct worker *w, struct pkt *p)
{
	if (p->len < ETH_HLEN || !pkt_writable(&w->cache, p, 4))
		return false;
	uint8_t *d = pkt_push(p, 4);
	memmove(d, d + 4, 2 * ETH_ALEN);
	memcpy(d + 12, &p->vlan_proto, 2);
	put_be16(d + 14, p->vlan_tci);
	p->l2 = p->off;
	p->flags &= (uint16_t)~PKT_VLAN;
	return true;
}

static bool can_segment(const struct netdev *dev, const struct pkt *p)
{
	if (p->total >= READ_ONCE(((struct netdev *)dev)->gso_max_size))
		return false;
	switch (p->gso) {
	case PKT_GSO_TCP4:
		return dev->features & DEV_F_TSO4;
	case PKT_GSO_TCP6:
		return dev->features & DEV_F_TSO6;
	default:
		return dev->features & DEV_F_UDP_SEG;
	}
}

/* Tag and checksum; takes p, adds it to out or drops it. */
static void finish_one(struct worker *w, struct netdev *dev, struct pkt *p, struct batch *out)
{
	if ((p->flags & PKT_CSUM_PARTIAL) && !(dev->features & DEV_F_TX_CSUM) &&
	    !pkt_csum_finish(&w->cache, p)) {
		dev_counter(dev, w)->tx_dropped++;
		pkt_drop(w, p, DROP_NOMEM);
		return;
	}
	if ((p->flags & PKT_VLAN) && !(dev->features & DEV_F_VLAN_TX) && !insert_tag(w, p)) {
		dev_counter(dev, w)->tx_dropped++;
		pkt_drop(w, p, DROP_NOMEM);
		return;
	}
	if (batch_full(out))
		dev->ops->xmit(w, dev, out);
	batch_add(out, p);
}

static void finish_batch(struct worker *w, struct netdev *dev, struct batch *b, struct batch *out)
{
	for (unsigned i = 0; i < b->n; i++) {
		struct pkt *p = b->p[i], *s;
		struct pkt_queue segments;

		if (!p->gso || can_segment(dev, p)) {
			finish_one(w, dev, p, out);
			continue;
		}
		pktq_init(&segments);
		if (gso_segment(&w->cache, p, &segments)) {
			dev_counter(dev, w)->tx_dropped++;
			pkt_drop(w, p, DROP_NOMEM);
			continue;
		}
		while ((s = pktq_pop(&segments)))
			finish_one(w, dev, s, out);
	}
	b->n = 0;
}

/* Does no packet ask for what the device does not do? */
static bool plain(const struct netdev *dev, const struct batch *b)
{
	unsigned ours = (dev->features & DEV_F_TX_CSUM ? 0 : PKT_CSUM_PARTIAL) |
			(dev->features & DEV_F_VLAN_TX ? 0 : PKT_VLAN);
	unsigned asks = 0;

	for (unsigned i = 0; i < b->n; i++)
		asks |= (b->p[i]->flags & ours) | b->p[i]->gso;
	return !asks;
}

static void drop_all(struct worker *w, struct netdev *dev, struct batch *b, enum drop why)
{
	dev_counter(dev, w)->tx_dropped += b->n;
	for (unsigned i = 0; i < b->n; i++)
		pkt_drop(w, b->p[i], why);
	b->n = 0;
}

void netdev_xmit(struct worker *w, struct netdev *dev, struct batch *b)
{
	if (unlikely(!netdev_running(dev))) {
		drop_all(w, dev, b, DROP_DEV_DOWN);
		return;
	}
	if (unlikely(!READ_ONCE(dev->carrier))) {
		drop_all(w, dev, b, DROP_DEV_NO_CARRIER);
		return;
	}
	if (unlikely(READ_ONCE(w->trace)))
		for (unsigned i = 0; i < b->n; i++)
			trace_pkt(w, b->p[i], "driver-tx");
	bool all = dev->all_taps && READ_ONCE(*dev->n_all_taps);
	if (unlikely(READ_ONCE(dev->n_taps) || all)) {
		for (unsigned i = 0; i < b->n; i++) {
			show_taps(w, dev, b->p[i], &dev->taps);
			if (all)
				show_taps(w, dev, b->p[i], dev->all_taps);
		}
	}
	enum stage prev = stage_enter(w, STAGE_DRIVER_TX, b->n);
	if (likely(plain(dev, b))) {
		dev->ops->xmit(w, dev, b);
	} else {
		struct batch out;

		batch_init(&out);
		finish_batch(w, dev, b, &out);
		if (out.n)
			dev->ops->xmit(w, dev, &out);
	}
	stage_leave(w, prev);
}
