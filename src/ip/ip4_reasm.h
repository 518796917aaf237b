/*
 * ip4_reasm: incomplete datagrams (RFC 791, RFC 815; the limits are Linux's).
 *
 * Each worker keeps the fragments that came to it; a queue is found by (namespace, source,
 * destination, id, protocol). It lives in a packet of the pool, so that reassembly allocates
 * nothing else and what it holds is seen in one place; the namespace's `mem` counts the pool memory
 * of all its queues and fragments against ipfrag_high_thresh.
 *
 * Which octets have come is a bitmap of 8-octet blocks (what a fragment's offset counts in), so a
 * fragment costs the same whatever has come before; the fragments are sorted once, when all are
 * there. One that repeats what is there is dropped; one that overlaps in part ends the datagram
 * (RFC 5722's reasoning, applied to IPv4 by Linux since 4.20).
 */
#pragma once

#include "ip/ip4_path.h"

struct ip4_frags_msg {
	struct worker_msg msg;
	struct ip4_frags *frags;
};

struct fragq {
	struct cds_list_head link; /* in the worker's hash */
	struct pkt *self;	   /* the packet whose buffer this is */
	struct ip4_frags *frags;
	struct worker *w;
	struct timer timer;
	int iif; /* of the last fragment: the device may be gone by the time out */
	uint32_t saddr, daddr;
	uint16_t id;
	uint8_t proto, ecn;
	bool first_in, last_in;
	uint32_t len, meat; /* end of the datagram so far; octets of it that have come */
	uint32_t rid;	    /* of the source's fragments, when one of this queue last came */
	uint32_t max_size, max_df_size;
	size_t mem;
	struct pkt *head;  /* fragments, latest first, by next; cb[0]: offset; data at payload */
	struct pkt *first; /* the one with offset 0 */
	uint64_t have[65536 / 8 / 64];
};

static_assert(sizeof(struct fragq) <= PKT_BUF_SIZE, "a queue fits into a packet's buffer");

/* Throws away every queue that worker w holds for f. */
void ip4_reasm_purge(struct worker *w, struct ip4_frags *f);
void ip4_reasm_purge_msg(struct worker *w, struct worker_msg *m);
void ip4_frags_put(struct ip4_frags *f);
