/*
 * tcp_seg: a stretch of sequence space with its data, and an ordered queue of such.
 *
 * A segment's record lies in the headroom of its packet's first buffer (nothing else uses it: what
 * is sent is a header packet followed by clones), so a segment costs no allocation of its own.
 * Both the send queue and the queue of data that came out of order are struct tcp_segs: an array of
 * pointers sorted by sequence number, which gives order, binary search for SACK, and O(1) at both
 * ends; an insertion in the middle, which is rare, moves pointers.
 */
#pragma once

#include <urcu/list.h>

#include "pkt/pkt.h"
#include "pkt/pool.h"

enum tcp_sacked {
	TCPCB_SACKED_ACKED = 0x01,   /* acknowledged by a SACK block */
	TCPCB_SACKED_RETRANS = 0x02, /* retransmitted, and that is in flight */
	TCPCB_LOST = 0x04,	     /* taken for lost */
	TCPCB_TAGBITS = 0x07,
	TCPCB_REPAIRED = 0x10,
	TCPCB_EVER_RETRANS = 0x80, /* retransmitted at least once */
};

struct tcp_seg {
	struct pkt *p; /* the data, may be empty; this record lies in p->buf */
	uint32_t seq, end_seq;
	uint8_t flags;	/* TCPHDR_* to be sent with it; SYN and FIN count in seq..end_seq */
	uint8_t sacked; /* enum tcp_sacked */
	bool eor;	/* nothing may be joined behind it */
	bool app_limited;
	uint16_t n;    /* segments of mss bytes it makes on the wire (gso_segs), at least 1 */
	uint16_t size; /* the mss of that count (gso_size) */
	uint32_t truesize;
	/* of its last transmission */
	uint64_t sent; /* ns; 0: never */
	uint64_t first_tx_mstamp, delivered_mstamp;
	uint32_t delivered, delivered_ce, in_flight;
	struct cds_list_head tsorted; /* in tcp_sock.tsorted while sent and not (s)acked */
};
static_assert(sizeof(struct tcp_seg) <= PKT_HEADROOM, "lies in the headroom");

/* An empty segment around a packet whose headroom is free. */
static inline struct tcp_seg *tcp_seg_of(struct pkt *p)
{
	return (struct tcp_seg *)(void *)p->buf;
}

/* Sequence numbers (RFC 9293 3.4). */
static inline bool before(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) < 0;
}
static inline bool after(uint32_t a, uint32_t b)
{
	return before(b, a);
}
/* Is s2 <= s1 <= s3? */
static inline bool between(uint32_t s1, uint32_t s2, uint32_t s3)
{
	return s3 - s2 >= s1 - s2;
}

struct tcp_segs {
	struct tcp_seg **v; /* v[first] ... v[first + n - 1] */
	unsigned first, n, cap;
};

static inline struct tcp_seg *segs_at(const struct tcp_segs *q, unsigned i)
{
	return q->v[q->first + i];
}
static inline struct tcp_seg *segs_last(const struct tcp_segs *q)
{
	return q->n ? segs_at(q, q->n - 1) : NULL;
}
/* The first segment that ends behind seq (n: none): the one that holds it, or that follows. */
unsigned segs_find(const struct tcp_segs *q, uint32_t seq);
/* Puts s at place i (n: at the end). 0 or -ENOMEM. */
int segs_insert(struct tcp_segs *q, unsigned i, struct tcp_seg *s);
/* Takes the one at place i out. */
struct tcp_seg *segs_remove(struct tcp_segs *q, unsigned i);
/* Takes the first k out at once; the caller has freed them. */
void segs_drop(struct tcp_segs *q, unsigned k);
/* Forgets all, whom the caller has freed, and frees the array. */
void segs_reset(struct tcp_segs *q);
/* The same, and frees the segments. */
void segs_free(struct pool_cache *c, struct tcp_segs *q);
