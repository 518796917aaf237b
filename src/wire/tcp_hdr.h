/*
 * tcp_hdr: the TCP header as it lies in a frame (RFC 9293 3.1), not aligned; members named and
 * ordered as in linux/tcp.h's struct tcphdr, the flags as the byte they are in.
 */
#pragma once

#include <assert.h>
#include <stdint.h>

struct tcp_hdr {
	uint16_t source, dest; /* be16 */
	uint32_t seq, ack_seq; /* be32 */
	uint8_t doff;	       /* header's length in words << 4 */
	uint8_t flags;
	uint16_t window;  /* be16 */
	uint16_t check;	  /* as in memory */
	uint16_t urg_ptr; /* be16 */
} __attribute__((packed));

static_assert(sizeof(struct tcp_hdr) == 20, "the TCP header has 20 octets");

/* What goes into one: ports be16, the rest in host order; hlen with options; check and urg_ptr are
 * 0. */
static inline void tcp_hdr_put(void *to, uint16_t source, uint16_t dest, uint32_t seq, uint32_t ack,
			       uint8_t flags, unsigned hlen, uint16_t window)
{
	*(struct tcp_hdr *)to = (struct tcp_hdr){
		.source = source,
		.dest = dest,
		.seq = __builtin_bswap32(seq),
		.ack_seq = __builtin_bswap32(ack),
		.doff = (uint8_t)(hlen / 4 << 4),
		.flags = flags,
		.window = __builtin_bswap16(window),
	};
}
