/*
 * packet_ring3: the blocks of TPACKET_V3. Worker 0 alone.
 *
 * Frames of any size are packed into a block; the block goes to the program as a whole, when the
 * next frame does not fit or when its first frame has waited for the time the program set; an empty
 * block needs no timer. When the next block still belongs to the program the ring is frozen: frames
 * are dropped until that block comes back.
 *
 * What is needed to go on filling is kept here and only mirrored into the shared block header.
 */
#include "packet/packet_core.h"

#define RETIRE_DEFAULT (8 * NSEC_PER_MSEC)
#define BLK_HDR	       align_up(sizeof(struct tpacket_block_desc), 8)

static struct tpacket_block_desc *block_at(const struct packet_sock *po, uint32_t i)
{
	return (struct tpacket_block_desc *)(po->rx.mem + (size_t)i * po->rx.block_size);
}

static bool in_use(struct tpacket_block_desc *b)
{
	return __atomic_load_n(&b->hdr.bh1.block_status, __ATOMIC_ACQUIRE) & TP_STATUS_USER;
}

static void stamp_now(const struct packet_sock *po, struct tpacket_bd_ts *ts)
{
	const struct worker *w = po->sk.weft->worker[0];
	uint64_t wall = w->now + (uint64_t)w->wall;

	ts->ts_sec = (uint32_t)(wall / NSEC_PER_SEC);
	ts->ts_nsec = (uint32_t)(wall % NSEC_PER_SEC);
}

static void arm(struct packet_sock *po)
{
	struct worker *w = po->sk.weft->worker[0];

	timer_set(&w->wheel, &po->r3.timer, w->now + po->r3.retire_tov);
}

/* Starts filling the active block. */
static void open_block(struct packet_sock *po)
{
	struct packet_ring3 *r = &po->r3;
	struct tpacket_block_desc *b = block_at(po, r->active);
	struct tpacket_hdr_v1 *h = &b->hdr.bh1;

	r->blk_len = (uint32_t)(BLK_HDR + align_up(r->sizeof_priv, 8));
	r->next_off = r->prev_off = r->blk_len;
	r->num_pkts = 0;
	r->frozen = false;
	b->version = TPACKET_V3;
	b->offset_to_priv = (uint32_t)BLK_HDR;
	h->seq_num = r->next_seq++;
	h->num_pkts = 0;
	h->blk_len = r->blk_len;
	h->offset_to_first_pkt = r->blk_len;
	stamp_now(po, &h->ts_first_pkt);
	timer_del(&r->timer);
}

/* Gives the active block to the program and goes on to the next. */
static void close_block(struct packet_sock *po, uint32_t status)
{
	struct packet_ring3 *r = &po->r3;
	struct tpacket_block_desc *b = block_at(po, r->active);
	struct tpacket_hdr_v1 *h = &b->hdr.bh1;

	status |= TP_STATUS_USER;
	if (po->n_drops)
		status |= TP_STATUS_LOSING;
	if (r->num_pkts) {
		struct tpacket3_hdr *last = (void *)((uint8_t *)b + r->prev_off);

		last->tp_next_offset = 0;
		h->ts_last_pkt.ts_sec = r->last_sec;
		h->ts_last_pkt.ts_nsec = r->last_nsec;
	} else {
		stamp_now(po, &h->ts_last_pkt);
	}
	h->num_pkts = r->num_pkts;
	h->blk_len = r->blk_len;
	__atomic_store_n(&h->block_status, status, __ATOMIC_RELEASE);
	r->active = r->active + 1 == po->rx.block_nr ? 0 : r->active + 1;
	packet_ring_wake(po);
}

/* Opens the block after the one just closed; false: it is the program's still. */
static bool next_block(struct packet_sock *po)
{
	if (in_use(block_at(po, po->r3.active))) {
		po->r3.frozen = true;
		po->r3.freezes++;
		return false;
	}
	open_block(po);
	return true;
}

/* The block has been open for long enough since its first frame. */
static void retire_fn(struct timer *t, uint64_t now)
{
	struct packet_sock *po = container_of(t, struct packet_sock, r3.timer);

	if (po->r3.frozen || !po->r3.num_pkts)
		return;
	close_block(po, TP_STATUS_BLK_TMO);
	next_block(po);
}

uint8_t *packet_ring3_place(struct packet_sock *po, const struct packet_frame *f, uint32_t len)
{
	struct packet_ring3 *r = &po->r3;
	uint32_t total = (uint32_t)align_up(len, 8);

	if (r->frozen) {
		if (in_use(block_at(po, r->active)))
			return NULL;
		open_block(po);
	}
	if (r->next_off + total >= po->rx.block_size && r->num_pkts) {
		close_block(po, 0);
		if (!next_block(po))
			return NULL;
	}
	if (r->next_off + total > po->rx.block_size)
		return NULL;
	struct tpacket3_hdr *h = (void *)((uint8_t *)block_at(po, r->active) + r->next_off);

	memset(h, 0, sizeof(*h));
	h->tp_next_offset = total;
	h->tp_status = TP_STATUS_AVAILABLE;
	uint16_t tci, tpid;

	if (packet_vlan(po, f, &tci, &tpid)) {
		h->hv1.tp_vlan_tci = tci;
		h->hv1.tp_vlan_tpid = tpid;
		h->tp_status = TP_STATUS_VLAN_VALID | TP_STATUS_VLAN_TPID_VALID;
	}
	if (r->feature_req_word & TP_FT_REQ_FILL_RXHASH)
		h->hv1.tp_rxhash = f->v.hash;
	r->prev_off = r->next_off;
	r->next_off += total;
	r->blk_len += total;
	if (!r->num_pkts++)
		arm(po);
	return (uint8_t *)h;
}

void packet_ring3_done(struct packet_sock *po, uint32_t sec, uint32_t nsec)
{
	struct tpacket_hdr_v1 *h = &block_at(po, po->r3.active)->hdr.bh1;

	po->r3.last_sec = sec;
	po->r3.last_nsec = nsec;
	h->num_pkts = po->r3.num_pkts;
	h->blk_len = po->r3.blk_len;
}

void packet_ring3_open(struct packet_sock *po, const struct tpacket_req3 *req)
{
	struct packet_ring3 *r = &po->r3;

	*r = (struct packet_ring3){
		.sizeof_priv = req->tp_sizeof_priv,
		.feature_req_word = req->tp_feature_req_word,
		.retire_tov = req->tp_retire_blk_tov ? req->tp_retire_blk_tov * NSEC_PER_MSEC
						     : RETIRE_DEFAULT,
		.next_seq = 1,
	};
	r->max_frame_len =
		po->rx.block_size - (uint32_t)(BLK_HDR + align_up((size_t)r->sizeof_priv, 8));
	timer_init(&r->timer, retire_fn);
	open_block(po);
}

void packet_ring3_close(struct packet_sock *po)
{
	if (po->r3.timer.fn)
		timer_del(&po->r3.timer);
}
