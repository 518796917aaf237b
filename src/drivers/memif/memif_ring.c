/*
 * memif_ring: packets in and out of rings. The other end's counter is read once a batch, each
 * descriptor once; what they say is checked before it is used. Our own counter is kept here and
 * only published in the ring.
 *
 * Lines that both ends write cost a packet alone the most. So who sends looks at the other's
 * counter only when what it knew of is used up, and who gave buffers gives them back an eighth of
 * the ring at a time, or when nothing comes.
 */
#include <sys/eventfd.h>
#include <unistd.h>

#include "drivers/memif/memif.h"
#include "run/instance.h"

enum { IDLE_POLLS = 256 };

/* Where a descriptor points to, if that is all within the link's memory; else NULL. */
static uint8_t *place(const struct memif_link *l, const struct memif_desc *d)
{
	if (unlikely(d->region >= l->n_regions ||
		     (uint64_t)d->offset + d->length > l->region[d->region].size))
		return NULL;
	return l->region[d->region].addr + d->offset;
}

/* A copy of the descriptor as it is now. */
static struct memif_desc look(const struct memif_queue *q, uint16_t i)
{
	const volatile struct memif_desc *d = &q->ring->desc[i & q->mask];

	return (struct memif_desc){d->flags, d->region, d->length, d->offset, 0};
}

static uint16_t load(const uint16_t *counter)
{
	return __atomic_load_n(counter, __ATOMIC_ACQUIRE);
}

/* ---- in ---- */

/* The client's buffers up to `to` go into the ring (again), whatever was written into their
 * descriptors. */
static void offer(struct memif_queue *q, uint16_t to)
{
	for (; q->offered != to; q->offered++) {
		uint32_t slot = q->offered & q->mask;

		q->ring->desc[slot] =
			(struct memif_desc){.length = q->link->buf_size,
					    .offset = q->buf_offset + slot * q->link->buf_size};
	}
	__atomic_store_n(&q->ring->head, to, __ATOMIC_RELEASE);
}

void memif_ring_offer(struct memif_queue *q)
{
	q->offered = q->next;
	offer(q, (uint16_t)(q->next + q->size));
}

/* Those that were read count on, behind the last. */
static void give_back(struct memif_queue *q)
{
	uint16_t all = (uint16_t)(q->next + q->size);

	if ((uint16_t)(all - q->offered) >= MAX(q->size / 8, 1))
		offer(q, all);
}

/* What waits to be read; more than the ring holds: the counter makes no sense. */
static uint16_t waiting(const struct memif_queue *q)
{
	return (uint16_t)(load(q->link->server ? &q->ring->head : &q->ring->tail) - q->next);
}

/* Reads one packet of at most n descriptors; *used is set. NULL: dropped. */
static struct pkt *read_packet(struct worker *w, struct memif_queue *q, uint16_t n, uint16_t *used)
{
	struct dev_count *c = dev_counter(q->link->dev, w);
	struct pkt *p = pkt_new(w);
	bool bad = false, more = true;
	uint16_t i = 0;

	for (; more && i < n; i++) {
		struct memif_desc d = look(q, (uint16_t)(q->next + i));
		const uint8_t *from = place(q->link, &d);

		more = d.flags & MEMIF_DESC_NEXT;
		if (unlikely(!from)) {
			bad = true;
		} else if (likely(p && !bad && !p->total && d.length <= PKT_MAX_SEG)) {
			memcpy(pkt_data(p), from, d.length);
			p->len = (uint16_t)d.length;
			p->total = d.length;
		} else if (p && !bad && pkt_append(&w->cache, p, from, d.length)) {
			bad = true;
		}
	}
	*used = i;
	if (likely(p && !bad && !more && p->total >= ETH_HLEN))
		return p;
	if (!p) {
		w->drops[DROP_NOMEM]++;
		c->rx_dropped++;
		return NULL;
	}
	memif_dev(q->link->dev)->rx_bad++;
	c->rx_errors++;
	c->rx_frame_errors++;
	pkt_drop(w, p, DROP_PKT_TOO_SMALL);
	return NULL;
}

/* Nothing comes for a while: all buffers go back, a packet may need every one. */
static void settle(struct memif_queue *q)
{
	uint16_t all = (uint16_t)(q->next + q->size);

	if (!q->link->server && q->offered != all)
		offer(q, all);
}

/* Nothing there: from now on an interrupt is wanted. False: something came meanwhile. */
static bool rest(struct memif_queue *q)
{
	if (!q->rx.watched || !(READ_ONCE(q->ring->flags) & MEMIF_RING_MASK_INT))
		return true;
	settle(q);
	__atomic_store_n(&q->ring->flags, 0, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return !waiting(q);
}

static unsigned take_in(struct worker *w, struct memif_queue *q, unsigned budget)
{
	uint16_t n = waiting(q), used;
	unsigned got = 0;
	struct batch b;

	if (unlikely(n > q->size)) {
		memif_broken(q->link->dev);
		return 0;
	}
	if (unlikely(!(READ_ONCE(q->ring->flags) & MEMIF_RING_MASK_INT)))
		__atomic_store_n(&q->ring->flags, MEMIF_RING_MASK_INT, __ATOMIC_RELAXED);
	batch_init(&b);
	for (; n && got < budget; got++, n = (uint16_t)(n - used)) {
		struct pkt *p = read_packet(w, q, n, &used);

		q->next = (uint16_t)(q->next + used);
		if (likely(p))
			batch_add(&b, p);
	}
	if (q->link->server)
		__atomic_store_n(&q->ring->tail, q->next, __ATOMIC_RELEASE);
	else
		give_back(q);
	q->packets += b.n;
	if (b.n)
		netdev_rx(w, q->link->dev, &b);
	return got;
}

unsigned memif_poll(struct worker *w, struct poller *poller, unsigned budget)
{
	struct memif_queue *q = container_of(poller, struct memif_queue, rx.poller);

	if (likely(!waiting(q))) {
		if (unlikely(q->idle < IDLE_POLLS) && ++q->idle == IDLE_POLLS)
			settle(q);
		if (rest(q))
			return 0;
	}
	q->idle = 0;
	enum stage prev = stage_enter(w, STAGE_DRIVER_RX, 0);
	unsigned n = take_in(w, q, MIN(budget, (unsigned)BATCH_MAX));

	w->stages[STAGE_DRIVER_RX].packets += n;
	stage_leave(w, prev);
	return n;
}

void memif_ready(struct worker *w, struct worker_fd *f, uint32_t events)
{
	eventfd_t n;

	if (eventfd_read(f->fd, &n))
		return; /* the next step polls in any case */
}

/* ---- out ---- */

/* Descriptors that may be filled, as the other end's counter was last seen; more than there are: it
 * made no sense. */
static uint16_t room(const struct memif_queue *q)
{
	if (q->link->server)
		return (uint16_t)(q->seen - q->next);
	uint16_t under_way = (uint16_t)(q->next - q->seen);

	return under_way > q->size ? UINT16_MAX : (uint16_t)(q->size - under_way);
}

static uint16_t room_now(struct memif_queue *q)
{
	q->seen = load(q->link->server ? &q->ring->head : &q->ring->tail);
	return room(q);
}

/* The buffer of a descriptor to be filled, and how much it holds (0: none, it makes no sense). */
static uint8_t *buffer(const struct memif_queue *q, uint16_t i, uint32_t *size)
{
	if (!q->link->server) {
		*size = q->link->buf_size;
		return q->buffers + (size_t)(i & q->mask) * q->link->buf_size;
	}
	struct memif_desc d = look(q, i);
	uint8_t *to = place(q->link, &d);

	*size = to ? d.length : 0;
	return to;
}

static void fill(struct memif_queue *q, uint16_t i, uint32_t len, bool more)
{
	struct memif_desc *d = &q->ring->desc[i & q->mask];

	if (!q->link->server)
		*d = (struct memif_desc){.offset =
						 q->buf_offset + (i & q->mask) * q->link->buf_size};
	d->length = len;
	d->flags = more ? MEMIF_DESC_NEXT : 0;
}

enum sent { SENT, NO_ROOM, BAD };

struct piece {
	uint8_t *to;
	uint32_t len;
};

/* Finds room for all of p before anything is written: what a descriptor says of its size must stay
 * for the next one who tries. */
static enum sent find_room(const struct memif_queue *q, uint32_t len, uint16_t free,
			   struct piece *piece, unsigned max, unsigned *n)
{
	for (*n = 0; len; ++*n) {
		struct piece *x = &piece[*n];

		if (*n == free || *n == max)
			return NO_ROOM;
		x->to = buffer(q, (uint16_t)(q->next + *n), &x->len);
		if (unlikely(!x->len))
			return BAD;
		x->len = MIN(x->len, len);
		len -= x->len;
	}
	return SENT;
}

#define PIECES_MAX 1100 /* the largest packet in the smallest buffers */

static enum sent write_packet(struct memif_queue *q, const struct pkt *p, uint16_t *free)
{
	struct piece piece[PIECES_MAX];
	unsigned n;
	enum sent r = find_room(q, p->total, *free, piece, PIECES_MAX, &n);
	size_t at = 0;

	if (unlikely(r != SENT))
		return r;
	for (unsigned i = 0; i < n; i++) {
		at += pkt_copy_out(p, at, piece[i].to, piece[i].len);
		fill(q, (uint16_t)(q->next + i), piece[i].len, i + 1 < n);
	}
	q->next = (uint16_t)(q->next + n);
	*free = (uint16_t)(*free - n);
	return SENT;
}

static void ring_bell(const struct memif_queue *q)
{
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	/* full: it has been rung already */
	if (!(READ_ONCE(q->ring->flags) & MEMIF_RING_MASK_INT) && eventfd_write(q->fd, 1))
		return;
}

static void lock(struct memif_queue *q)
{
	while (__atomic_exchange_n(&q->busy, 1, __ATOMIC_ACQUIRE))
		__builtin_ia32_pause();
}

static void unlock(struct memif_queue *q)
{
	__atomic_store_n(&q->busy, 0, __ATOMIC_RELEASE);
}

void memif_xmit(struct worker *w, struct netdev *dev, struct batch *b)
{
	struct dev_count *c = dev_counter(dev, w);
	struct memif_link *l = rcu_dereference(memif_dev(dev)->link);

	if (unlikely(!l)) {
		c->tx_dropped += b->n;
		w->drops[DROP_DEV_NO_CARRIER] += b->n;
		pkt_free_bulk(&w->cache, b);
		return;
	}
	struct memif_queue *q = &l->tx[(w->id ? w->id - 1 : 0) % l->n_tx];

	lock(q);
	uint16_t free = room(q), was = q->next;
	bool bad = free > q->size;

	for (unsigned i = 0; i < b->n; i++) {
		struct pkt *p = b->p[i];
		enum sent r = bad ? BAD : write_packet(q, p, &free);

		if (unlikely(r == NO_ROOM)) {
			free = room_now(q);
			r = free > q->size ? BAD : write_packet(q, p, &free);
		}
		if (likely(r == SENT)) {
			c->tx_packets++;
			c->tx_bytes += p->total;
			q->packets++;
			continue;
		}
		bad |= r == BAD;
		c->tx_dropped++;
		w->drops[DROP_FULL_RING]++;
	}
	if (likely(q->next != was)) {
		__atomic_store_n(l->server ? &q->ring->tail : &q->ring->head, q->next,
				 __ATOMIC_RELEASE);
		ring_bell(q);
	}
	unlock(q);
	if (unlikely(bad))
		memif_broken(dev);
	pkt_free_bulk(&w->cache, b);
}
