/*
 * tcp_rcvq: packets in order, waiting to be read: which sequence numbers they stand for is kept in
 * the holder's words of the packet.
 */
#pragma once

#include "tcp/tcp_core.h"

enum { TCP_URG_VALID = 0x0100, TCP_URG_NOTYET = 0x0200, TCP_URG_READ = 0x0400 };

static inline void rcvq_set(struct pkt *p, uint32_t seq, uint32_t end)
{
	p->cb[0] = seq | (uint64_t)end << 32;
}
static inline uint32_t rcvq_seq(const struct pkt *p)
{
	return (uint32_t)p->cb[0];
}
static inline uint32_t rcvq_end(const struct pkt *p)
{
	return (uint32_t)(p->cb[0] >> 32);
}
static inline struct pkt *rcvq_last(const struct pkt_queue *q)
{
	return q->head ? container_of(q->tail, struct pkt, next) : NULL;
}

/* What a packet with len bytes is charged to the receive buffer: as the kernel's buffers would be,
 * which are slabs where they are small, and pages with a head where they are large. */
static inline uint32_t tcp_rcv_truesize(uint32_t len)
{
	return len <= 2048 ? (uint32_t)sock_truesize(len) : len + 1280;
}

/* Drops the byte at copied_seq unread. */
void tcp_skip_byte(struct tcp_sock *tp);
