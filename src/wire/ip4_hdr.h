/*
 * ip4_hdr: the IPv4 header as it lies in a frame (RFC 791 3.1): behind an Ethernet header it is not
 * aligned, which linux/ip.h's struct iphdr would promise to the compiler. Members have the same
 * names and byte order as there.
 */
#pragma once

#include <assert.h>
#include <stdint.h>

struct ip4_hdr {
	uint8_t ihl : 4, version : 4;
	uint8_t tos;
	uint16_t tot_len, id, frag_off; /* be16 */
	uint8_t ttl, protocol;
	uint16_t check;	       /* as in memory */
	uint32_t saddr, daddr; /* be32 */
} __attribute__((packed));

static_assert(sizeof(struct ip4_hdr) == 20, "the IPv4 header has 20 octets");

/* The priority that a TOS stands for (TC_PRIO_*). */
static inline uint8_t ip4_tos_prio(uint8_t tos)
{
	static const uint8_t prio[16] = {0, 0, 0, 0, 2, 2, 2, 2, 6, 6, 6, 6, 4, 4, 4, 4};

	return prio[(tos & 0x1e) >> 1];
}
