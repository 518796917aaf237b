/*
 * pkt: the packet buffer.
 *
 * A packet is a chain of segments; the first carries the metadata that counts for the whole. Each
 * segment is a `struct pkt` with its view [off, off+len) of a buffer of PKT_BUF_SIZE bytes:
 *
 *	buf                off            off+len          PKT_BUF_SIZE
 *	 |--- headroom -----|---- data ------|---- tailroom ----|
 *
 * Offsets l2, l3, l4 count from buf, so they survive push and pull. A clone shares its owner's
 * buffer (the owner's `ref` counts the sharers, itself while it lives) and must not write to it:
 *call pkt_writable() first.
 *
 * Line 0 is what every stage touches; line 1 what few do: a packet that is forwarded as it came has
 * its line 1 read by nobody (so PKT_SHARED stands for "look at ref", and is never taken back). `cb`
 *belongs to the stage that holds the packet and has no meaning once it is handed on.
 *
 * Functions whose text says *takes* own the packet from then on; *borrows* leaves it with the
 * caller. Packets are allocated and freed through a worker's cache (pool.h), so only by the thread
 * that runs that worker; a packet changes worker over a worker's inbox (run/worker.h).
 */
#pragma once

#include <linux/if_packet.h>

#include "base/bytes.h"
#include "base/rcu.h"
#include "base/util.h"

struct netdev;
struct pool;
struct pool_cache;
struct worker;

#define PKT_HEADROOM  192
#define PKT_BUF_SIZE  2496 /* with the 128 bytes of struct pkt an odd number of cache lines */
#define PKT_MAX_SEG   (PKT_BUF_SIZE - PKT_HEADROOM)
#define PKT_MAX_TOTAL (65535 + 64) /* the largest packet: an IP datagram and its link header */

enum pkt_flags {
	PKT_CSUM_OK = 1 << 0,	   /* the L4 checksum was verified */
	PKT_CSUM_PARTIAL = 1 << 1, /* to be finished: csum_start (from buf), csum_off */
	PKT_VLAN = 1 << 2,     /* vlan_tci and vlan_proto hold a tag taken off, or to be put on */
	PKT_CLONE = 1 << 3,    /* buf belongs to `owner` */
	PKT_LOCAL = 1 << 4,    /* made by this instance: not received from outside */
	PKT_TRACE = 1 << 5,    /* followed by `weft trace` */
	PKT_HASH_L4 = 1 << 6,  /* hash covers ports */
	PKT_REINJECT = 1 << 7, /* came back from the slow path: do not hand over twice */
	PKT_SHARED = 1 << 8,   /* clones were made of it: `ref` knows whether some are left */
};

enum pkt_gso { PKT_GSO_NONE, PKT_GSO_TCP4, PKT_GSO_TCP6, PKT_GSO_UDP };

struct pkt {
	/* line 0 */
	union {
		struct pkt *next;	    /* queue link of whoever holds the packet */
		struct cds_wfcq_node inbox; /* while in a worker's inbox */
	};
	uint8_t *buf;
	uint16_t off;
	uint16_t len;	     /* bytes in this segment */
	uint32_t total;	     /* bytes in all segments (first segment only) */
	struct netdev *dev;  /* received on; on the way out: to be sent on */
	uint16_t l2, l3, l4; /* offsets from buf; 0: not known */
	uint16_t protocol;   /* be16 ethertype of what l3 points to */
	uint32_t hash;	     /* flow hash; 0: none yet */
	uint16_t flags;	     /* enum pkt_flags */
	uint8_t type;	     /* PACKET_HOST, PACKET_BROADCAST, ... (linux/if_packet.h) */
	uint8_t gso;	     /* enum pkt_gso */
	uint16_t vlan_tci;   /* host order */
	uint16_t vlan_proto; /* be16 */
	uint32_t mark;

	/* line 1 */
	struct pkt *seg;			     /* next segment */
	struct pkt *owner;			     /* of buf, when PKT_CLONE */
	uint64_t tstamp;			     /* ns since 1970, 0: none */
	void (*post)(struct worker *, struct pkt *); /* what a worker's inbox does with it */
	uint32_t ref;	   /* sharers of this buffer, atomic; the packet itself counts 1 */
	uint16_t gso_size; /* payload bytes a segment */
	uint16_t queue;	   /* rx queue it came from, tx queue it goes to */
	uint16_t csum_start, csum_off;
	uint32_t prio;	/* SO_PRIORITY, TOS class */
	uint64_t cb[2]; /* the holding stage's own */
} __attribute__((aligned(CACHE_LINE)));

static_assert(sizeof(struct pkt) == 2 * CACHE_LINE, "struct pkt is two cache lines");

static inline uint8_t *pkt_data(const struct pkt *p)
{
	return p->buf + p->off;
}

static inline void *pkt_l2(const struct pkt *p)
{
	return p->buf + p->l2;
}

static inline void *pkt_l3(const struct pkt *p)
{
	return p->buf + p->l3;
}

static inline void *pkt_l4(const struct pkt *p)
{
	return p->buf + p->l4;
}

/* Asks for what a received packet is read by first: its line 0, and the line of its own buffer in
 * which a driver puts the frame. Neither is waited for. */
static inline void pkt_prefetch(const struct pkt *p)
{
	__builtin_prefetch(p);
	__builtin_prefetch((const uint8_t *)(p + 1) + PKT_HEADROOM);
}

static inline unsigned pkt_headroom(const struct pkt *p)
{
	return p->off;
}

static inline unsigned pkt_tailroom(const struct pkt *p)
{
	return PKT_BUF_SIZE - p->off - p->len;
}

/* Takes n bytes off the front of the first segment; the caller knows that len >= n. */
static inline uint8_t *pkt_pull(struct pkt *p, unsigned n)
{
	p->off = (uint16_t)(p->off + n);
	p->len = (uint16_t)(p->len - n);
	p->total -= n;
	return pkt_data(p);
}

/* Adds n bytes in front; the caller knows that headroom >= n and that the buffer is private. */
static inline uint8_t *pkt_push(struct pkt *p, unsigned n)
{
	p->off = (uint16_t)(p->off - n);
	p->len = (uint16_t)(p->len + n);
	p->total += n;
	return pkt_data(p);
}

/* Is the data private to this packet (so that it may be written)? */
static inline bool pkt_private(const struct pkt *p)
{
	if (likely(!(p->flags & (PKT_CLONE | PKT_SHARED))))
		return true;
	const struct pkt *holder = p->flags & PKT_CLONE ? p->owner : p;
	return __atomic_load_n(&holder->ref, __ATOMIC_ACQUIRE) == 1;
}

/* Makes the first n bytes contiguous in the first segment; false if the packet is shorter or no
 * buffer is left (the packet is then unchanged). Borrows. */
bool pkt_pull_slow(struct pool_cache *c, struct pkt *p, unsigned n);
static inline bool pkt_may_pull(struct pool_cache *c, struct pkt *p, unsigned n)
{
	return likely(p->len >= n) || pkt_pull_slow(c, p, n);
}

/* Makes the first segment private with at least `room` bytes of headroom and keeps offsets valid;
 * false when no buffer is left. Borrows. */
bool pkt_writable_slow(struct pool_cache *c, struct pkt *p, unsigned room);
static inline bool pkt_writable(struct pool_cache *c, struct pkt *p, unsigned room)
{
	return likely(pkt_private(p) && pkt_headroom(p) >= room) || pkt_writable_slow(c, p, room);
}

/* Appends bytes, adding segments where needed; 0, -ENOBUFS or -EMSGSIZE (beyond PKT_MAX_TOTAL; the
 * packet then has its old size). Borrows. */
int pkt_append(struct pool_cache *c, struct pkt *p, const void *data, size_t len);
/* Copies len bytes from offset `at` of the packet's data out; returns bytes copied (less at the
 * end of the packet). Borrows. */
size_t pkt_copy_out(const struct pkt *p, size_t at, void *to, size_t len);
/* Overwrites len bytes at offset `at`; the range must exist and be private. Borrows. */
void pkt_copy_in(struct pkt *p, size_t at, const void *from, size_t len);
/* Cuts the data to len bytes (no-op when shorter), freeing segments behind. Borrows. */
void pkt_trim(struct pool_cache *c, struct pkt *p, uint32_t len);
/* Checksum over len bytes at offset `at` added to sum (base/csum.h). Borrows. */
uint32_t pkt_csum(const struct pkt *p, size_t at, size_t len, uint32_t sum);
/* Computes the checksum a PKT_CSUM_PARTIAL packet still owes and stores it; false when the
 * offsets lie outside the packet or no buffer is left. Borrows. */
bool pkt_csum_finish(struct pool_cache *c, struct pkt *p);

/* A packet that shares the data of p, with its own metadata; NULL when the pool is empty. Borrows.
 */
struct pkt *pkt_clone(struct pool_cache *c, struct pkt *p);
/* A packet with a private copy of the data, `headroom` bytes in front of it. Borrows. */
struct pkt *pkt_copy(struct pool_cache *c, const struct pkt *p, unsigned headroom);

/* A FIFO of packets by `next`. One thread. */
struct pkt_queue {
	struct pkt *head, **tail;
	unsigned n;
	size_t bytes;
};

static inline void pktq_init(struct pkt_queue *q)
{
	q->head = NULL;
	q->tail = &q->head;
	q->n = 0;
	q->bytes = 0;
}

static inline void pktq_push(struct pkt_queue *q, struct pkt *p)
{
	p->next = NULL;
	*q->tail = p;
	q->tail = &p->next;
	q->n++;
	q->bytes += p->total;
}

static inline struct pkt *pktq_pop(struct pkt_queue *q)
{
	struct pkt *p = q->head;
	if (!p)
		return NULL;
	q->head = p->next;
	if (!q->head)
		q->tail = &q->head;
	q->n--;
	q->bytes -= p->total;
	p->next = NULL;
	return p;
}
