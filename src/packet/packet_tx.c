/*
 * packet_tx: frames that a program made, from sendmsg(2) or a transmit ring.
 */
#include "packet/packet_core.h"

#include <linux/virtio_net.h>

#define VLAN_LEN 4
#define TAGS_MAX 8

/* One frame on its way out. */
struct frame_tx {
	struct netdev *dev;
	uint16_t proto;	     /* be16 */
	const uint8_t *addr; /* SOCK_DGRAM: the link address to send to; NULL: none was given */
	uint32_t reserve;    /* link header that the data begins with */
};

/* Which device, and how: by the name or as the socket is bound. */
static int read_name(struct packet_sock *po, const struct sock_msg *m, struct frame_tx *tx)
{
	const struct sockaddr_ll *sll = m->name;
	size_t fixed = offsetof(struct sockaddr_ll, sll_addr);

	if (!m->name || !m->name_len) {
		tx->dev = po->dev;
		tx->proto = po->num;
	} else {
		if (m->name_len < sizeof(*sll) || m->name_len < sll->sll_halen + fixed)
			return -EINVAL;
		tx->proto = sll->sll_protocol;
		tx->dev = net_dev_by_index(po->sk.net, sll->sll_ifindex);
		if (po->sk.type == SOCK_DGRAM) {
			if (tx->dev && m->name_len < tx->dev->addr_len + fixed)
				return -EINVAL;
			tx->addr = sll->sll_addr;
		}
	}
	if (!tx->dev)
		return -ENXIO;
	if (!netdev_running(tx->dev))
		return -ENETDOWN;
	tx->reserve = po->sk.type == SOCK_RAW ? tx->dev->hard_header_len : 0;
	return 0;
}

/* The link header of an Ethernet device; 0 or -EINVAL. Others have none. */
static int push_header(const struct frame_tx *tx, struct pkt *p)
{
	static const uint8_t zero[ETH_ALEN];
	const struct netdev *dev = tx->dev;
	const uint8_t *to = tx->addr;
	uint16_t proto = __builtin_bswap16(tx->proto);
	uint32_t len = p->total;

	if (dev->hard_header_len < ETH_HLEN)
		return 0;
	if (!to) {
		if (!(dev->flags & (IFF_LOOPBACK | IFF_NOARP)))
			return -EINVAL;
		to = zero;
	}
	uint8_t *h = pkt_push(p, ETH_HLEN);

	memcpy(h, to, ETH_ALEN);
	memcpy(h + ETH_ALEN, dev->addr, ETH_ALEN);
	/* These two stand for IEEE 802.3 frames, which have their length there. */
	put_be16(h + 2 * ETH_ALEN,
		 proto == ETH_P_802_3 || proto == ETH_P_802_2 ? (uint16_t)len : proto);
	return 0;
}

static uint16_t frame_proto(const struct frame_tx *tx, const struct pkt *p)
{
	uint16_t be;

	if (tx->proto && tx->proto != __builtin_bswap16(ETH_P_ALL))
		return tx->proto;
	if (tx->dev->hard_header_len < ETH_HLEN || pkt_copy_out(p, 12, &be, 2) != 2)
		return 0;
	return be;
}

static bool is_tagged(const struct netdev *dev, const struct pkt *p)
{
	uint8_t proto[2];

	return dev->type == ARPHRD_ETHER && pkt_copy_out(p, 12, proto, 2) == 2 &&
	       get_be16(proto) == ETH_P_8021Q;
}

static bool is_vlan(uint16_t proto)
{
	return proto == __builtin_bswap16(ETH_P_8021Q) || proto == __builtin_bswap16(ETH_P_8021AD);
}

/* How many bytes precede the network header: the link header, and tags if the frame begins with
 * some that are whole. */
static uint16_t head_len(const struct netdev *dev, const struct pkt *p)
{
	uint16_t proto = p->protocol, at = ETH_HLEN;
	unsigned left = TAGS_MAX;

	if (dev->type != ARPHRD_ETHER)
		return dev->hard_header_len;
	while (is_vlan(proto)) {
		if (!--left || pkt_copy_out(p, at + 2u, &proto, 2) != 2)
			return ETH_HLEN;
		at += VLAN_LEN;
	}
	return at;
}

/* What a struct virtio_net_hdr asks for. len: bytes behind it. */
static int check_vnet(struct virtio_net_hdr *h, size_t len)
{
	if ((h->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) &&
	    (size_t)h->csum_start + h->csum_offset + 2 > len)
		return -EINVAL;
	switch (h->gso_type & ~VIRTIO_NET_HDR_GSO_ECN) {
	case VIRTIO_NET_HDR_GSO_NONE:
		return 0;
	case VIRTIO_NET_HDR_GSO_TCPV4:
	case VIRTIO_NET_HDR_GSO_TCPV6:
		return h->gso_size && (h->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) ? 0 : -EINVAL;
	}
	return -EINVAL;
}

static void apply_vnet(const struct virtio_net_hdr *h, struct pkt *p)
{
	if (h->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) {
		p->flags |= PKT_CSUM_PARTIAL;
		p->csum_start = (uint16_t)(p->off + h->csum_start);
		p->csum_off = h->csum_offset;
		p->l4 = p->csum_start;
	}
	switch (h->gso_type & ~VIRTIO_NET_HDR_GSO_ECN) {
	case VIRTIO_NET_HDR_GSO_TCPV4:
		p->gso = PKT_GSO_TCP4;
		p->gso_size = h->gso_size;
		break;
	case VIRTIO_NET_HDR_GSO_TCPV6:
		p->gso = PKT_GSO_TCP6;
		p->gso_size = h->gso_size;
		break;
	}
}

/* Sends `len` bytes at data. 0 or -errno. */
static int send_frame(struct packet_sock *po, const struct frame_tx *tx, const void *data,
		      size_t len, const struct virtio_net_hdr *vnet)
{
	struct packet_core *core = po->sk.weft->packet;
	struct worker *w = po->sk.weft->worker[0];
	struct netdev *dev = tx->dev;
	bool gso = vnet && vnet->gso_type;
	struct batch b;
	struct pkt *p;
	int err = -EINVAL;

	if (!gso && len > dev->mtu + tx->reserve + VLAN_LEN)
		return -EMSGSIZE;
	if (po->sk.type == SOCK_RAW && (!len || len < dev->hard_header_len))
		return -EINVAL;
	p = pkt_new(w);
	if (!p)
		return -ENOBUFS;
	if (pkt_append(&w->cache, p, data, len)) {
		err = -ENOBUFS;
		goto free;
	}
	if (vnet)
		apply_vnet(vnet, p);
	if (po->sk.type == SOCK_DGRAM && push_header(tx, p))
		goto free;
	p->protocol = frame_proto(tx, p);
	/* The four bytes beyond the MTU are for a tag alone. */
	if (!gso && len > dev->mtu + tx->reserve && !is_tagged(dev, p)) {
		err = -EMSGSIZE;
		goto free;
	}
	p->flags |= PKT_LOCAL;
	p->dev = dev;
	p->mark = po->sk.mark;
	p->prio = po->sk.prio;
	p->l2 = p->off;
	p->l3 = (uint16_t)(p->off + head_len(dev, p));
	batch_one(&b, p);
	core->sending = po;
	netdev_xmit(w, dev, &b);
	core->sending = NULL;
	return 0;
free:
	pkt_free(&w->cache, p);
	return err;
}

/* ---- the transmit ring ---- */

struct ring_frame {
	uint64_t status;
	uint32_t len, next;
	uint32_t mac, net; /* where the data is, with PACKET_TX_HAS_OFF */
};

static void *slot_at(const struct packet_ring *r, uint32_t i)
{
	return r->mem + (size_t)(i / r->frames_per_block) * r->block_size +
	       (size_t)(i % r->frames_per_block) * r->frame_size;
}

/* Each word of a header is read once: the program may change it at any time. */
static struct ring_frame slot_read(const struct packet_sock *po, void *slot)
{
	struct ring_frame f = {0};

	if (po->version == TPACKET_V1) {
		struct tpacket_hdr *h = slot;

		f.status = __atomic_load_n(&h->tp_status, __ATOMIC_ACQUIRE);
		f.len = READ_ONCE(h->tp_len);
		f.mac = READ_ONCE(h->tp_mac);
		f.net = READ_ONCE(h->tp_net);
	} else if (po->version == TPACKET_V2) {
		struct tpacket2_hdr *h = slot;

		f.status = __atomic_load_n(&h->tp_status, __ATOMIC_ACQUIRE);
		f.len = READ_ONCE(h->tp_len);
		f.mac = READ_ONCE(h->tp_mac);
		f.net = READ_ONCE(h->tp_net);
	} else {
		struct tpacket3_hdr *h = slot;

		f.status = __atomic_load_n(&h->tp_status, __ATOMIC_ACQUIRE);
		f.len = READ_ONCE(h->tp_len);
		f.next = READ_ONCE(h->tp_next_offset);
		f.mac = READ_ONCE(h->tp_mac);
		f.net = READ_ONCE(h->tp_net);
	}
	return f;
}

static void slot_status(const struct packet_sock *po, void *slot, uint32_t status)
{
	if (po->version == TPACKET_V1)
		__atomic_store_n(&((struct tpacket_hdr *)slot)->tp_status, status,
				 __ATOMIC_RELEASE);
	else if (po->version == TPACKET_V2)
		__atomic_store_n(&((struct tpacket2_hdr *)slot)->tp_status, status,
				 __ATOMIC_RELEASE);
	else
		__atomic_store_n(&((struct tpacket3_hdr *)slot)->tp_status, status,
				 __ATOMIC_RELEASE);
}

/* Offset of the data in its slot, or -errno. */
static int slot_data(const struct packet_sock *po, const struct ring_frame *f, uint32_t max)
{
	uint32_t off = po->hdrlen - (uint32_t)sizeof(struct sockaddr_ll), least = off;

	if (f->next)
		return -EINVAL;
	if (f->len > max)
		return -EMSGSIZE;
	if (po->has_off) {
		off = po->sk.type == SOCK_DGRAM ? f->net : f->mac;
		if (off < least || off > po->tx.frame_size - f->len)
			return -EINVAL;
	}
	return (int)off;
}

/* Bytes of the frame, or -errno. */
static int send_slot(struct packet_sock *po, const struct frame_tx *tx, const uint8_t *slot,
		     const struct ring_frame *f, uint32_t max)
{
	int off = slot_data(po, f, max);
	struct virtio_net_hdr h, *vnet = NULL;
	uint32_t len = f->len;

	if (off < 0)
		return off;
	if (po->vnet_hdr_sz) {
		if (len < po->vnet_hdr_sz)
			return -EINVAL;
		memcpy(&h, slot + off, sizeof(h));
		off += po->vnet_hdr_sz;
		len -= po->vnet_hdr_sz;
		if (check_vnet(&h, len))
			return -EINVAL;
		vnet = &h;
	}
	int err = send_frame(po, tx, slot + off, len, vnet);

	return err ? err : (int)len;
}

static ssize_t send_ring(struct packet_sock *po, const struct frame_tx *tx)
{
	struct packet_ring *r = &po->tx;
	uint32_t max = r->frame_size - (po->hdrlen - (uint32_t)sizeof(struct sockaddr_ll));
	ssize_t sum = 0;

	/* Once round at most: the program may fill as fast as this empties. */
	for (uint32_t n = 0; n < r->frame_nr; n++) {
		uint8_t *slot = slot_at(r, r->head);
		struct ring_frame f = slot_read(po, slot);
		int n_sent;

		if ((f.status & (TP_STATUS_SEND_REQUEST | TP_STATUS_SENDING)) !=
		    TP_STATUS_SEND_REQUEST)
			break;
		n_sent = send_slot(po, tx, slot, &f, max);
		if (n_sent == -ENOBUFS)
			return sum ? sum : n_sent;
		if (n_sent < 0 && !po->loss) {
			slot_status(po, slot, TP_STATUS_WRONG_FORMAT);
			return n_sent;
		}
		slot_status(po, slot, TP_STATUS_AVAILABLE);
		r->head = r->head + 1 == r->frame_nr ? 0 : r->head + 1;
		sum += MAX(n_sent, 0);
	}
	return sum;
}

/* ---- sendmsg ---- */

ssize_t packet_sendmsg(struct sock *sk, const struct sock_msg *m)
{
	struct packet_sock *po = packet_sk(sk);
	struct frame_tx tx = {0};
	struct virtio_net_hdr h;
	const uint8_t *data = m->data;
	size_t len = m->len;
	int err = read_name(po, m, &tx);

	if (err)
		return err;
	if (po->tx.mem)
		return send_ring(po, &tx);
	err = sock_take_error(sk);
	if (err)
		return err;
	if (po->vnet_hdr_sz) {
		if (len < po->vnet_hdr_sz)
			return -EINVAL;
		memcpy(&h, data, sizeof(h));
		data += po->vnet_hdr_sz;
		len -= po->vnet_hdr_sz;
		if (check_vnet(&h, len))
			return -EINVAL;
	}
	err = send_frame(po, &tx, data, len, po->vnet_hdr_sz ? &h : NULL);
	return err ? err : (ssize_t)m->len;
}
