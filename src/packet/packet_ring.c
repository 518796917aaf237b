/*
 * packet_ring: receive rings in memory shared with the program (TPACKET_V1 to V3), and the memory
 * of transmit rings. Worker 0 alone.
 *
 * Layout as in linux/if_packet.h: a frame of V1 and V2 is a header, padding, struct sockaddr_ll,
 * then the bytes, so placed that the network header is aligned. A frame belongs to the program
 * while its status has TP_STATUS_USER; the status is written last, with release order, and read
 * with acquire. The receive ring lies first in the memory, the transmit ring behind it, as mmap(2)
 * shows them.
 */
#include "packet/packet_core.h"

#include <fcntl.h>
#include <linux/virtio_net.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGE	 4096u
#define RING_MAX (1ull << 32)

/* ---- memory ---- */

static void mem_free(struct packet_mem *m)
{
	if (m->base)
		munmap(m->base, m->size);
	if (m->fd >= 0)
		close(m->fd);
	*m = (struct packet_mem){.fd = -1};
}

/* Zeroed memory that the program cannot make shorter under our feet. */
static int mem_new(struct packet_mem *m, size_t size)
{
	*m = (struct packet_mem){.size = size};
	m->fd = memfd_create("weft-packet-ring", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (m->fd < 0)
		return -ENOMEM;
	if (ftruncate(m->fd, (off_t)size) ||
	    fcntl(m->fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)) {
		mem_free(m);
		return -ENOMEM;
	}
	void *base = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, m->fd, 0);

	if (base == MAP_FAILED) {
		mem_free(m);
		return -ENOMEM;
	}
	m->base = base;
	return 0;
}

/* Lays both rings out anew, with these sizes; what a ring that stays holds is kept. */
static int mem_layout(struct packet_sock *po, size_t rx_size, size_t tx_size)
{
	struct packet_mem old = po->mem, new = {.fd = -1};

	if (rx_size + tx_size) {
		int err = mem_new(&new, rx_size + tx_size);

		if (err)
			return err;
		if (rx_size && po->rx.mem)
			memcpy(new.base, po->rx.mem, rx_size);
		if (tx_size && po->tx.mem)
			memcpy(new.base + rx_size, po->tx.mem, tx_size);
	}
	po->mem = new;
	mem_free(&old);
	WRITE_ONCE(po->rx.mem, rx_size ? new.base : NULL);
	po->tx.mem = tx_size ? new.base + rx_size : NULL;
	po->rx.size = rx_size;
	po->tx.size = tx_size;
	return 0;
}

int packet_ring_fd(struct sock *sk, size_t *size)
{
	struct packet_sock *po = packet_sk(sk);

	if (!po->mem.base)
		return -EINVAL;
	po->mem.shown = true;
	*size = po->mem.size;
	return po->mem.fd;
}

void packet_ring_free(struct packet_sock *po)
{
	packet_ring3_close(po);
	WRITE_ONCE(po->rx.mem, NULL);
	po->tx.mem = NULL;
	mem_free(&po->mem);
}

/* ---- making ---- */

static uint32_t hdrlen_of(int version)
{
	return version == TPACKET_V1   ? TPACKET_HDRLEN
	       : version == TPACKET_V2 ? TPACKET2_HDRLEN
				       : TPACKET3_HDRLEN;
}

/* Linux's checks of the geometry. Fills r but for memory. */
static int check_req(const struct packet_sock *po, const struct tpacket_req3 *req,
		     struct packet_ring *r)
{
	uint32_t min_frame = hdrlen_of(po->version) + po->reserve;
	uint64_t priv = align_up(sizeof(struct tpacket_block_desc), 8) +
			align_up((size_t)req->tp_sizeof_priv, 8);

	if ((int)req->tp_block_size <= 0 || req->tp_block_size % PAGE)
		return -EINVAL;
	if (po->version >= TPACKET_V3 && req->tp_block_size < priv + min_frame)
		return -EINVAL;
	if (req->tp_frame_size < min_frame || req->tp_frame_size % TPACKET_ALIGNMENT)
		return -EINVAL;
	r->frames_per_block = req->tp_block_size / req->tp_frame_size;
	if (!r->frames_per_block || r->frames_per_block > UINT32_MAX / req->tp_block_nr ||
	    r->frames_per_block * req->tp_block_nr != req->tp_frame_nr)
		return -EINVAL;
	if ((uint64_t)req->tp_block_size * req->tp_block_nr > RING_MAX)
		return -ENOMEM;
	r->block_size = req->tp_block_size;
	r->block_nr = req->tp_block_nr;
	r->frame_size = req->tp_frame_size;
	r->frame_nr = req->tp_frame_nr;
	r->head = 0;
	return 0;
}

static int ring_end(struct packet_sock *po, const struct tpacket_req3 *req, bool tx)
{
	if (req->tp_frame_nr)
		return -EINVAL;
	if (!tx)
		packet_ring3_close(po);
	return mem_layout(po, tx ? po->rx.size : 0, tx ? 0 : po->tx.size);
}

int packet_ring_set(struct packet_sock *po, const void *val, size_t len, bool tx)
{
	struct packet_ring *r = tx ? &po->tx : &po->rx, new = *r;
	struct tpacket_req3 req = {0};
	size_t need = po->version == TPACKET_V3 ? sizeof(req) : sizeof(struct tpacket_req);
	int err;

	if (len < need)
		return -EINVAL;
	memcpy(&req, val, need);
	if (!req.tp_block_nr)
		return ring_end(po, &req, tx);
	/* The other ring's memory would move away under a program that has it mapped. */
	if (r->mem || po->mem.shown)
		return -EBUSY;
	err = check_req(po, &req, &new);
	if (!err && tx && po->version == TPACKET_V3 &&
	    (req.tp_retire_blk_tov || req.tp_sizeof_priv || req.tp_feature_req_word))
		err = -EINVAL;
	if (err)
		return err;
	size_t size = (size_t) new.block_size *new.block_nr;

	po->hdrlen = hdrlen_of(po->version);
	new.mem = r->mem;
	*r = new;
	err = mem_layout(po, tx ? po->rx.size : size, tx ? size : po->tx.size);
	if (err) {
		r->mem = NULL;
		return err;
	}
	if (!tx && po->version == TPACKET_V3)
		packet_ring3_open(po, &req);
	return 0;
}

/* ---- status words ---- */

static uint8_t *frame_at(const struct packet_ring *r, uint32_t i)
{
	return r->mem + (size_t)(i / r->frames_per_block) * r->block_size +
	       (size_t)(i % r->frames_per_block) * r->frame_size;
}

static uint64_t status_get(const struct packet_sock *po, uint8_t *frame)
{
	if (po->version == TPACKET_V1)
		return __atomic_load_n(&((struct tpacket_hdr *)frame)->tp_status, __ATOMIC_ACQUIRE);
	return __atomic_load_n(&((struct tpacket2_hdr *)frame)->tp_status, __ATOMIC_ACQUIRE);
}

static void status_set(const struct packet_sock *po, uint8_t *frame, uint32_t status)
{
	if (po->version == TPACKET_V1)
		__atomic_store_n(&((struct tpacket_hdr *)frame)->tp_status, status,
				 __ATOMIC_RELEASE);
	else
		__atomic_store_n(&((struct tpacket2_hdr *)frame)->tp_status, status,
				 __ATOMIC_RELEASE);
}

int packet_has_room(const struct packet_sock *po)
{
	size_t used = __atomic_load_n(&po->sk.rx_bytes, __ATOMIC_RELAXED);

	if (!po->rx.mem)
		return used >= po->sk.rcvbuf ? 0 : po->sk.rcvbuf - used > po->sk.rcvbuf / 4 ? 2 : 1;
	if (po->version == TPACKET_V3) {
		struct tpacket_block_desc *b =
			(void *)(po->rx.mem + (size_t)po->r3.active * po->rx.block_size);

		if (!po->r3.frozen)
			return 2;
		return __atomic_load_n(&b->hdr.bh1.block_status, __ATOMIC_ACQUIRE) & TP_STATUS_USER
			       ? 0
			       : 1;
	}
	uint32_t ahead = (po->rx.head + po->rx.frame_nr / 4) % po->rx.frame_nr;

	if (status_get(po, frame_at(&po->rx, po->rx.head)) & TP_STATUS_USER)
		return 0;
	return status_get(po, frame_at(&po->rx, ahead)) & TP_STATUS_USER ? 1 : 2;
}

/* ---- wake ---- */

void packet_ring_wake(struct packet_sock *po)
{
	struct sock_rx *rx;

	if (po->wake_queued)
		return;
	rx = sock_rx_bytes(&po->sk, NULL, 0);
	if (!rx)
		return;
	rx->meta.kind = WEFT_DGRAM_WAKE;
	rx->truesize = 0;
	po->wake_queued = true;
	/* When the queue is full of copies, the program is awake without this. */
	if (!sock_deliver(po->sk.weft->worker[0], &po->sk, rx))
		po->wake_queued = false;
}

/* ---- a frame into the ring ---- */

struct place {
	uint32_t mac, net, snaplen, status;
	uint64_t stamp;
	uint32_t len; /* of the frame, for tp_len */
};

/* Where in its slot the frame will lie; false: nowhere. */
static bool place_frame(struct packet_sock *po, const struct packet_frame *f, struct place *at)
{
	if (po->sk.type == SOCK_DGRAM) {
		at->mac = at->net = TPACKET_ALIGN(po->hdrlen) + 16 + po->reserve;
	} else {
		at->net = TPACKET_ALIGN(po->hdrlen + MAX(f->maclen, 16u)) + po->reserve;
		at->net += po->vnet_hdr_sz;
		at->mac = at->net - f->maclen;
	}
	return at->net <= UINT16_MAX;
}

static void put_sll(const struct packet_sock *po, const struct packet_frame *f, uint8_t *to)
{
	struct sockaddr_ll sll = packet_sll(po, f);

	memcpy(to, &sll, offsetof(struct sockaddr_ll, sll_addr) + sll.sll_halen);
}

static void put_vnet(const struct packet_sock *po, const struct packet_frame *f, uint8_t *to)
{
	struct virtio_net_hdr_mrg_rxbuf h = {0};

	if (f->v.flags & PKT_CSUM_PARTIAL) {
		h.hdr.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
		h.hdr.csum_start = (uint16_t)(f->v.csum_start - f->v.off);
		h.hdr.csum_offset = f->v.csum_off;
	}
	if (f->v.gso == PKT_GSO_TCP4 || f->v.gso == PKT_GSO_TCP6) {
		h.hdr.gso_type = f->v.gso == PKT_GSO_TCP4 ? VIRTIO_NET_HDR_GSO_TCPV4
							  : VIRTIO_NET_HDR_GSO_TCPV6;
		h.hdr.gso_size = f->v.gso_size;
	}
	memcpy(to, &h, po->vnet_hdr_sz);
}

static void fill_v1(const struct place *at, uint8_t *frame)
{
	struct tpacket_hdr *h = (struct tpacket_hdr *)frame;

	h->tp_len = at->len;
	h->tp_snaplen = at->snaplen;
	h->tp_mac = (uint16_t)at->mac;
	h->tp_net = (uint16_t)at->net;
	h->tp_sec = (uint32_t)(at->stamp / NSEC_PER_SEC);
	h->tp_usec = (uint32_t)(at->stamp % NSEC_PER_SEC / NSEC_PER_USEC);
}

static void fill_v2(const struct packet_sock *po, const struct packet_frame *f, struct place *at,
		    uint8_t *frame)
{
	struct tpacket2_hdr *h = (struct tpacket2_hdr *)frame;

	h->tp_len = at->len;
	h->tp_snaplen = at->snaplen;
	h->tp_mac = (uint16_t)at->mac;
	h->tp_net = (uint16_t)at->net;
	h->tp_sec = (uint32_t)(at->stamp / NSEC_PER_SEC);
	h->tp_nsec = (uint32_t)(at->stamp % NSEC_PER_SEC);
	h->tp_vlan_tci = h->tp_vlan_tpid = 0;
	if (packet_vlan(po, f, &h->tp_vlan_tci, &h->tp_vlan_tpid))
		at->status |= TP_STATUS_VLAN_VALID | TP_STATUS_VLAN_TPID_VALID;
	memset(h->tp_padding, 0, sizeof(h->tp_padding));
}

static void rcv_v12(struct packet_sock *po, struct packet_frame *f, struct place *at)
{
	struct packet_ring *r = &po->rx;
	uint8_t *frame = frame_at(r, r->head);
	size_t hdr = po->version == TPACKET_V1 ? sizeof(struct tpacket_hdr)
					       : sizeof(struct tpacket2_hdr);

	if (at->mac + at->snaplen > r->frame_size)
		at->snaplen = at->mac < r->frame_size ? r->frame_size - at->mac : 0;
	if (status_get(po, frame)) {
		packet_count_drop(po);
		packet_ring_wake(po);
		return;
	}
	r->head = r->head + 1 == r->frame_nr ? 0 : r->head + 1;
	/* Said until the statistics are read, which forgets the drops. */
	if (po->n_drops)
		at->status |= TP_STATUS_LOSING;
	po->n_packets++;
	if (po->vnet_hdr_sz && at->mac <= r->frame_size)
		put_vnet(po, f, frame + at->mac - po->vnet_hdr_sz);
	pkt_copy_out(&f->v, packet_skip(po, f), frame + at->mac, at->snaplen);
	if (po->version == TPACKET_V1)
		fill_v1(at, frame);
	else
		fill_v2(po, f, at, frame);
	put_sll(po, f, frame + TPACKET_ALIGN(hdr));
	status_set(po, frame, at->status);
	packet_ring_wake(po);
}

static void rcv_v3(struct packet_sock *po, struct packet_frame *f, struct place *at)
{
	if (at->mac + at->snaplen > po->r3.max_frame_len) {
		at->snaplen = at->mac < po->r3.max_frame_len ? po->r3.max_frame_len - at->mac : 0;
		at->mac = MIN(at->mac, po->r3.max_frame_len);
	}
	uint8_t *frame = packet_ring3_place(po, f, at->mac + at->snaplen);

	if (!frame) {
		packet_count_drop(po);
		packet_ring_wake(po);
		return;
	}
	struct tpacket3_hdr *h = (struct tpacket3_hdr *)frame;

	po->n_packets++;
	if (po->vnet_hdr_sz)
		put_vnet(po, f, frame + at->mac - po->vnet_hdr_sz);
	pkt_copy_out(&f->v, packet_skip(po, f), frame + at->mac, at->snaplen);
	h->tp_status |= at->status;
	h->tp_len = at->len;
	h->tp_snaplen = at->snaplen;
	h->tp_mac = (uint16_t)at->mac;
	h->tp_net = (uint16_t)at->net;
	h->tp_sec = (uint32_t)(at->stamp / NSEC_PER_SEC);
	h->tp_nsec = (uint32_t)(at->stamp % NSEC_PER_SEC);
	memset(h->tp_padding, 0, sizeof(h->tp_padding));
	put_sll(po, f, frame + TPACKET_ALIGN(sizeof(*h)));
	packet_ring3_done(po, h->tp_sec, h->tp_nsec);
}

/* A frame that a slot cut short goes whole to the queue as well (PACKET_COPY_THRESH). */
static bool queue_copy(struct worker *w, struct packet_sock *po, struct packet_frame *f)
{
	uint32_t skip = packet_skip(po, f);
	struct pkt *c;
	struct sock_rx *rx;

	if (!po->copy_thresh || !sock_has_room(&po->sk))
		return false;
	c = pkt_copy(&w->cache, &f->v, PKT_HEADROOM);
	if (!c)
		return false;
	if (skip && pkt_may_pull(&w->cache, c, skip))
		pkt_pull(c, skip);
	rx = sock_rx_pkt(&po->sk, c, c->total);
	if (!rx) {
		pkt_free(&w->cache, c);
		return false;
	}
	/* The rest of the address is in the ring. */
	struct sockaddr_ll sll = {.sll_family = AF_PACKET, .sll_protocol = f->v.protocol};

	memcpy(rx->meta.name, &sll, sizeof(sll));
	rx->meta.name_len = sizeof(sll);
	sock_rx_meta(w, &po->sk, rx);
	return sock_deliver(w, &po->sk, rx);
}

void packet_ring_rcv(struct worker *w, struct packet_sock *po, struct packet_frame *f,
		     uint32_t snaplen)
{
	struct place at = {
		.snaplen = snaplen,
		.status = TP_STATUS_USER | (f->stamped ? TP_STATUS_TS_SOFTWARE : 0) |
			  packet_status(f),
		.stamp = f->v.tstamp ? f->v.tstamp : w->now + (uint64_t)w->wall,
		.len = f->orig_len - packet_skip(po, f),
	};

	if (!place_frame(po, f, &at)) {
		packet_count_drop(po);
		return;
	}
	if (po->version == TPACKET_V3) {
		rcv_v3(po, f, &at);
		return;
	}
	if (at.mac + snaplen > po->rx.frame_size &&
	    !status_get(po, frame_at(&po->rx, po->rx.head)) && queue_copy(w, po, f))
		at.status |= TP_STATUS_COPY;
	rcv_v12(po, f, &at);
}
