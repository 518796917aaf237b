/* csum: 64-bit accumulation of 32-bit words, folded at the end (RFC 1071, section 2). */
#include "base/csum.h"

uint32_t csum_partial(const void *p, size_t len, uint32_t sum)
{
	const uint8_t *b = p;
	uint64_t acc = sum;

	while (len >= 16) {
		uint64_t x, y;
		memcpy(&x, b, 8);
		memcpy(&y, b + 8, 8);
		acc += (x & 0xffffffff) + (x >> 32);
		acc += (y & 0xffffffff) + (y >> 32);
		b += 16;
		len -= 16;
	}
	while (len >= 4) {
		uint32_t x;
		memcpy(&x, b, 4);
		acc += x;
		b += 4;
		len -= 4;
	}
	if (len) {
		uint32_t x = 0;
		memcpy(&x, b, len);
		acc += x;
	}
	acc = (acc & 0xffffffff) + (acc >> 32);
	acc = (acc & 0xffffffff) + (acc >> 32);
	return (uint32_t)acc;
}
