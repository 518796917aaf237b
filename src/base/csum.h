/*
 * csum: the Internet checksum (RFC 1071) and its incremental update (RFC 1624).
 *
 * Partial sums are 32-bit, in the byte order of memory: summing the words as they lie gives a
 * result that can be stored as it lies. Any thread; pure functions.
 */
#pragma once

#include "base/util.h"

/* Adds the bytes to a partial sum; an odd last byte is padded with zero. */
uint32_t csum_partial(const void *p, size_t len, uint32_t sum);

/* Folds to 16 bits and complements: the value to store in a checksum field. */
static inline uint16_t csum_fold(uint32_t sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

static inline uint32_t csum_add(uint32_t a, uint32_t b)
{
	uint32_t r = a + b;
	return r + (r < b);
}

/* Sum of a block that starts at an odd offset of the whole. */
static inline uint32_t csum_shift(uint32_t sum, size_t offset)
{
	return offset & 1 ? (sum >> 8) | (sum << 24) : sum;
}

/* Checksum of an IPv4 header of ihl (5 to 15) 32-bit words; 0 means "correct" when the field is
 * included. */
static inline uint16_t csum_ip4(const void *hdr, unsigned ihl)
{
	const uint8_t *p = hdr;
	uint64_t a, b, sum;
	uint32_t w;

	/* the fixed 20 bytes in three words, of which the first two may carry */
	memcpy(&a, p, 8);
	memcpy(&b, p + 8, 8);
	memcpy(&w, p + 16, 4);
	sum = a + b;
	sum += sum < b;
	sum = (sum & 0xffffffff) + (sum >> 32) + w;
	for (unsigned i = 5; i < ihl; i++) {
		memcpy(&w, p + 4 * i, 4);
		sum += w;
	}
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffffffff) + (sum >> 32);
	return csum_fold((uint32_t)sum);
}

/* IPv4 pseudo header: addresses in network order, len in host order. */
static inline uint32_t csum_pseudo4(uint32_t saddr, uint32_t daddr, uint8_t proto, uint16_t len)
{
	uint64_t sum = (uint64_t)saddr + daddr + __builtin_bswap16(proto) + __builtin_bswap16(len);
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffffffff) + (sum >> 32);
	return (uint32_t)sum;
}

/* RFC 1624: new checksum after a 16-bit word went from `from` to `to` (all as in memory). */
static inline uint16_t csum_replace2(uint16_t csum, uint16_t from, uint16_t to)
{
	return csum_fold((uint32_t)(uint16_t)~csum + (uint16_t)~from + to);
}
