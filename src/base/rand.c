/* rand: SipHash (Aumasson & Bernstein, 2012): 2-4 as published, 1-3 reduced, for tables. */
#include "base/rand.h"

static inline uint64_t rotl(uint64_t x, int b)
{
	return (x << b) | (x >> (64 - b));
}

static inline void sip_round(uint64_t v[4])
{
	v[0] += v[1];
	v[1] = rotl(v[1], 13) ^ v[0];
	v[0] = rotl(v[0], 32);
	v[2] += v[3];
	v[3] = rotl(v[3], 16) ^ v[2];
	v[0] += v[3];
	v[3] = rotl(v[3], 21) ^ v[0];
	v[2] += v[1];
	v[1] = rotl(v[1], 17) ^ v[2];
	v[2] = rotl(v[2], 32);
}

static inline uint64_t sip(const void *p, size_t len, const struct hash_key *key, int mix, int end)
{
	const uint8_t *b = p;
	uint64_t v[4] = {
		key->k[0] ^ 0x736f6d6570736575ULL,
		key->k[1] ^ 0x646f72616e646f6dULL,
		key->k[0] ^ 0x6c7967656e657261ULL,
		key->k[1] ^ 0x7465646279746573ULL,
	};
	uint64_t last = (uint64_t)len << 56, m;

	for (; len >= 8; b += 8, len -= 8) {
		memcpy(&m, b, 8);
		v[3] ^= m;
		for (int i = 0; i < mix; i++)
			sip_round(v);
		v[0] ^= m;
	}
	for (size_t i = 0; i < len; i++)
		last |= (uint64_t)b[i] << (8 * i);
	v[3] ^= last;
	for (int i = 0; i < mix; i++)
		sip_round(v);
	v[0] ^= last;
	v[2] ^= 0xff;
	for (int i = 0; i < end; i++)
		sip_round(v);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

uint64_t siphash(const void *p, size_t len, const struct hash_key *key)
{
	return sip(p, len, key, 1, 3);
}

uint64_t siphash24(const void *p, size_t len, const struct hash_key *key)
{
	return sip(p, len, key, 2, 4);
}
