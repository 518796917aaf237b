/*
 * packet_rx: a frame passes a tap and goes to a socket's queue or ring.
 *
 * A frame is shown as Linux shows it: a VLAN tag is not in the bytes but in the auxiliary data, the
 * filter starts at the link header (SOCK_DGRAM: behind it), and what the filter returns cuts the
 * frame off. The tap borrows its packet; what is kept is copied.
 */
#include "packet/packet_core.h"

#include <linux/virtio_net.h>

#define VLAN_LEN 4
#define LINK_MIN 16 /* room for a link header that a ring leaves at least */

/* ---- the view ---- */

static bool is_vlan(uint16_t proto)
{
	return proto == __builtin_bswap16(ETH_P_8021Q) || proto == __builtin_bswap16(ETH_P_8021AD);
}

/* The protocol a received Ethernet frame carries, as be16. */
static uint16_t ether_proto(const struct pkt *v)
{
	uint8_t b[4] = {0};

	if (pkt_copy_out(v, 12, b, 4) < 2)
		return 0;
	if (get_be16(b) >= ETH_P_802_3_MIN) {
		uint16_t be;

		memcpy(&be, b, 2);
		return be;
	}
	/* IEEE 802.3 lengths: raw IPX, or LLC */
	return __builtin_bswap16(get_be16(b + 2) == 0xffff ? ETH_P_802_3 : ETH_P_802_2);
}

static uint8_t ether_type(const struct pkt *v, const struct netdev *dev)
{
	uint8_t dst[ETH_ALEN] = {0};

	pkt_copy_out(v, 0, dst, sizeof(dst));
	if (dst[0] & 1)
		return memcmp(dst, dev->broadcast, ETH_ALEN) ? PACKET_MULTICAST : PACKET_BROADCAST;
	return memcmp(dst, dev->addr, ETH_ALEN) ? PACKET_OTHERHOST : PACKET_HOST;
}

/* Takes the tag out of a private copy of the frame. */
static bool untag(struct worker *w, struct packet_frame *f, struct pkt *p, uint16_t tpid)
{
	uint8_t tci[2];
	struct pkt *c;

	/* The tag, and the type of what is in it: without, nobody gets to see the frame. */
	if (p->total < ETH_HLEN + VLAN_LEN + 2)
		return false;
	c = pkt_copy(&w->cache, p, PKT_HEADROOM);
	if (!c || !pkt_may_pull(&w->cache, c, 2 * ETH_ALEN + VLAN_LEN)) {
		pkt_free(&w->cache, c);
		return false;
	}
	uint8_t *d = pkt_data(c);

	memcpy(tci, d + 2 * ETH_ALEN + 2, 2);
	memmove(d + VLAN_LEN, d, 2 * ETH_ALEN);
	pkt_pull(c, VLAN_LEN);
	c->flags |= PKT_VLAN;
	c->vlan_proto = tpid;
	c->vlan_tci = get_be16(tci);
	f->own = c;
	f->v = *c;
	return true;
}

/* `typed`: the core has read the header already, and done away with the tag. False: not to be shown
 * (a tag cut short, no packet left for a copy). The caller frees f->own. */
static bool make_view(struct worker *w, struct packet_frame *f, struct netdev *dev, struct pkt *p,
		      bool out, bool typed)
{
	bool ether = dev->hard_header_len >= ETH_HLEN;

	f->v = *p;
	f->own = NULL;
	f->dev = dev;
	f->out = out;
	f->maclen = ether ? ETH_HLEN : dev->hard_header_len;
	if (ether && out && p->l3 >= p->off + ETH_HLEN)
		f->maclen = p->l3 - (uint32_t)p->off; /* tags included */
	if (typed) {
		/* as they are */
	} else if (ether) {
		uint16_t proto = out && p->protocol ? p->protocol : ether_proto(&f->v);

		if (!out && is_vlan(proto) && !(p->flags & PKT_VLAN)) {
			if (!untag(w, f, p, proto))
				return false;
			proto = ether_proto(&f->v);
		}
		f->v.protocol = proto;
		f->v.type = out ? PACKET_OUTGOING : ether_type(&f->v, dev);
	} else if (out) {
		f->v.type = PACKET_OUTGOING;
	}
	f->v.dev = dev;
	f->v.l2 = f->v.off;
	f->v.l3 = (uint16_t)(f->v.off + f->maclen);
	f->orig_len = f->v.total;
	f->stamped = p->tstamp;
	return true;
}

void packet_tap(struct worker *w, struct tap *t, struct netdev *dev, struct pkt *p, bool out)
{
	struct packet_hook *h = container_of(t, struct packet_hook, tap);
	struct packet_core *core = w->weft->packet;
	struct packet_frame f;
	struct packet_sock *po = h->po;

	if (p->type == PACKET_LOOPBACK && !out)
		return;
	if (out && (t->incoming_only || READ_ONCE(h->ignore_outgoing)))
		return;
	/* Nobody sees what he sent himself. */
	if (out && !w->id && core->sending &&
	    (h->fanout ? core->sending->fanout == h->fanout : core->sending == po))
		return;
	enum stage prev = stage_enter(w, STAGE_PACKET, 1);

	if (make_view(w, &f, dev, p, out, t->incoming_only)) {
		if (h->fanout)
			po = packet_fanout_choose(w, h->fanout, &f);
		if (po)
			packet_rcv(w, po, &f);
		pkt_free(&w->cache, f.own);
	}
	stage_leave(w, prev);
}

/* ---- what a frame tells ---- */

/* A frame that goes out has its tags in the bytes still; to a socket that does not see the link
 * header they are told like those taken off. */
static bool hides_tag(const struct packet_sock *po, const struct packet_frame *f)
{
	return po->sk.type == SOCK_DGRAM && is_vlan(f->v.protocol);
}

bool packet_vlan(const struct packet_sock *po, const struct packet_frame *f, uint16_t *tci,
		 uint16_t *tpid)
{
	uint8_t b[2];

	if (f->v.flags & PKT_VLAN) {
		*tci = f->v.vlan_tci;
		*tpid = __builtin_bswap16(f->v.vlan_proto);
		return true;
	}
	if (!hides_tag(po, f) || pkt_copy_out(&f->v, ETH_HLEN, b, 2) != 2)
		return false;
	*tci = get_be16(b);
	*tpid = __builtin_bswap16(f->v.protocol);
	return true;
}

/* What is in the tags. */
static uint16_t inner_proto(const struct packet_frame *f)
{
	uint16_t proto = f->v.protocol;

	for (size_t at = ETH_HLEN + 2; is_vlan(proto); at += VLAN_LEN)
		if (pkt_copy_out(&f->v, at, &proto, 2) != 2)
			return 0;
	return proto;
}

struct sockaddr_ll packet_sll(const struct packet_sock *po, const struct packet_frame *f)
{
	struct sockaddr_ll sll = {
		.sll_family = AF_PACKET,
		.sll_protocol = hides_tag(po, f) ? inner_proto(f) : f->v.protocol,
		.sll_ifindex = f->dev->ifindex,
		.sll_hatype = f->dev->type,
		.sll_pkttype = f->v.type,
	};

	if (f->maclen >= ETH_HLEN &&
	    pkt_copy_out(&f->v, ETH_ALEN, sll.sll_addr, ETH_ALEN) == ETH_ALEN)
		sll.sll_halen = ETH_ALEN;
	return sll;
}

uint32_t packet_status(const struct packet_frame *f)
{
	uint32_t status = 0;

	if (f->v.flags & PKT_CSUM_PARTIAL)
		status |= TP_STATUS_CSUMNOTREADY;
	else if (!f->out && (f->v.flags & PKT_CSUM_OK))
		status |= TP_STATUS_CSUM_VALID;
#ifdef TP_STATUS_GSO_TCP
	if (f->v.gso == PKT_GSO_TCP4 || f->v.gso == PKT_GSO_TCP6)
		status |= TP_STATUS_GSO_TCP;
#endif
	return status;
}

void packet_count_drop(struct packet_sock *po)
{
	__atomic_fetch_add(&po->n_drops, 1, __ATOMIC_RELAXED);
}

/* ---- the queue ---- */

static void fill_meta(const struct worker *w, const struct packet_sock *po,
		      const struct packet_frame *f, struct sock_rx *rx, uint32_t snaplen)
{
	struct weft_dgram *m = &rx->meta;
	struct sockaddr_ll sll = packet_sll(po, f);

	memcpy(m->name, &sll, sizeof(sll));
	m->name_len = sizeof(sll);
	m->tstamp = f->v.tstamp;
	m->ifindex = f->dev->ifindex;
	if (po->auxdata) {
		m->cmsgs |= WEFT_CMSG_AUXDATA;
		m->aux_status = TP_STATUS_USER | packet_status(f);
		m->aux_len = f->orig_len - packet_skip(po, f);
		m->aux_snaplen = snaplen;
		m->aux_net = (uint16_t)(po->sk.type == SOCK_DGRAM ? 0 : f->maclen);
		if (packet_vlan(po, f, &m->aux_vlan_tci, &m->aux_vlan_tpid))
			m->aux_status |= TP_STATUS_VLAN_VALID | TP_STATUS_VLAN_TPID_VALID;
	}
	sock_rx_meta(w, &po->sk, rx);
}

/* struct virtio_net_hdr of the frame: what the sender left to be done. */
static void fill_vnet(const struct packet_frame *f, struct virtio_net_hdr_mrg_rxbuf *h)
{
	memset(h, 0, sizeof(*h));
	switch (f->v.gso) {
	case PKT_GSO_TCP4:
		h->hdr.gso_type = VIRTIO_NET_HDR_GSO_TCPV4;
		break;
	case PKT_GSO_TCP6:
		h->hdr.gso_type = VIRTIO_NET_HDR_GSO_TCPV6;
		break;
	}
	if (h->hdr.gso_type)
		h->hdr.gso_size = f->v.gso_size;
	if (f->v.flags & PKT_CSUM_PARTIAL) {
		h->hdr.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
		h->hdr.csum_start = (uint16_t)(f->v.csum_start - f->v.off);
		h->hdr.csum_offset = f->v.csum_off;
	} else if (f->v.flags & PKT_CSUM_OK) {
		h->hdr.flags = VIRTIO_NET_HDR_F_DATA_VALID;
	}
}

/* A packet with `len` bytes of the view from `at` on, metadata included; NULL: none left. */
static struct pkt *copy_frame(struct worker *w, const struct packet_frame *f, const void *head,
			      size_t head_len, uint32_t at, uint32_t len)
{
	struct pkt *c = pkt_new(w);
	uint8_t part[1024];

	if (!c)
		return NULL;
	if (head_len && pkt_append(&w->cache, c, head, head_len))
		goto free;
	while (len) {
		size_t n = pkt_copy_out(&f->v, at, part, MIN(len, (uint32_t)sizeof(part)));

		if (!n || pkt_append(&w->cache, c, part, n))
			goto free;
		at += (uint32_t)n;
		len -= (uint32_t)n;
	}
	c->dev = f->dev;
	c->flags = f->v.flags & (PKT_VLAN | PKT_CSUM_OK | PKT_CSUM_PARTIAL | PKT_LOCAL);
	c->type = f->v.type;
	c->gso = f->v.gso;
	c->gso_size = f->v.gso_size;
	c->hash = f->v.hash;
	c->protocol = f->v.protocol;
	c->l3 = (uint16_t)(c->off + f->maclen);
	c->vlan_tci = f->v.vlan_tci;
	c->vlan_proto = f->v.vlan_proto;
	c->tstamp = f->v.tstamp ? f->v.tstamp : w->now + (uint64_t)w->wall;
	return c;
free:
	pkt_free(&w->cache, c);
	return NULL;
}

static void queue_rcv(struct worker *w, struct packet_sock *po, struct packet_frame *f,
		      uint32_t snaplen)
{
	struct virtio_net_hdr_mrg_rxbuf vnet;
	size_t vlen = po->vnet_hdr_sz;
	struct sock_rx *rx = NULL;
	struct pkt *c;

	if (vlen)
		fill_vnet(f, &vnet);
	c = copy_frame(w, f, &vnet, vlen, packet_skip(po, f), snaplen);
	if (c)
		rx = sock_rx_pkt(&po->sk, c, c->total);
	if (!rx) {
		pkt_free(&w->cache, c);
		packet_count_drop(po);
		__atomic_fetch_add(&po->sk.rx_drops, 1, __ATOMIC_RELAXED);
		w->drops[DROP_NOMEM]++;
		return;
	}
	fill_meta(w, po, f, rx, snaplen);
	if (sock_deliver(w, &po->sk, rx))
		__atomic_fetch_add(&po->n_packets, 1, __ATOMIC_RELAXED);
	else
		packet_count_drop(po);
}

/* ---- to worker 0, whose the rings are ---- */

#define STAMPED (1u << 31) /* in the word with snaplen */

static void ring_posted(struct worker *w, struct pkt *p)
{
	struct packet_sock *po = (struct packet_sock *)(uintptr_t)p->cb[0];
	uint32_t orig_len = (uint32_t)p->cb[1], snaplen = (uint32_t)(p->cb[1] >> 32) & ~STAMPED;
	struct packet_frame f = {.v = *p, .dev = p->dev, .orig_len = orig_len};

	__atomic_fetch_sub(&po->sk.rx_bytes, sock_truesize(p->total), __ATOMIC_RELAXED);
	f.out = p->type == PACKET_OUTGOING;
	f.stamped = p->cb[1] >> 32 & STAMPED;
	f.maclen = p->l3 - (uint32_t)p->off;
	f.v.l2 = p->off;
	if (!po->sk.dead && po->rx.mem)
		packet_ring_rcv(w, po, &f, snaplen);
	sock_drop_inflight(&po->sk);
	pkt_free(&w->cache, p);
}

static void ring_post(struct worker *w, struct packet_sock *po, struct packet_frame *f,
		      uint32_t snaplen)
{
	uint32_t len = MIN(packet_skip(po, f) + snaplen, f->v.total);
	struct pkt *c = sock_has_room(&po->sk) ? copy_frame(w, f, NULL, 0, 0, len) : NULL;

	if (!c) {
		packet_count_drop(po);
		return;
	}
	__atomic_fetch_add(&po->sk.rx_bytes, sock_truesize(c->total), __ATOMIC_RELAXED);
	sock_hold_inflight(&po->sk);
	c->cb[0] = (uintptr_t)po;
	c->cb[1] = f->orig_len | (uint64_t)(snaplen | (f->stamped ? STAMPED : 0)) << 32;
	worker_post(w->weft->worker[0], c, ring_posted);
}

/* ---- both ---- */

/* The filter's word on the frame, as the socket sees it. Without one, all there is is wanted; of a
 * frame that has nothing to show, nothing. */
static uint32_t run_filter(const struct packet_sock *po, const struct packet_frame *f)
{
	struct pkt v = f->v;
	uint32_t skip = packet_skip(po, f);

	if (!READ_ONCE(((struct packet_sock *)po)->sk.filter))
		return f->v.total - skip;
	if (skip > v.len)
		return 0;
	if (skip)
		pkt_pull(&v, skip);
	return sock_filter(&po->sk, &v, f->dev);
}

void packet_rcv(struct worker *w, struct packet_sock *po, struct packet_frame *f)
{
	uint32_t snaplen = f->v.total - packet_skip(po, f);
	uint32_t keep = run_filter(po, f);

	if (!keep)
		return;
	snaplen = MIN(snaplen, keep);
	if (!READ_ONCE(po->rx.mem)) {
		if (!sock_has_room(&po->sk)) {
			packet_count_drop(po);
			__atomic_fetch_add(&po->sk.rx_drops, 1, __ATOMIC_RELAXED);
			w->drops[DROP_SOCKET_RCVBUFF]++;
			return;
		}
		queue_rcv(w, po, f, snaplen);
	} else if (!w->id) {
		packet_ring_rcv(w, po, f, snaplen);
	} else {
		ring_post(w, po, f, snaplen);
	}
}
