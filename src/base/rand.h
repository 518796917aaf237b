/*
 * rand: seeded pseudo-random numbers (splitmix64) and keyed hashes (SipHash).
 *
 * Every random choice of an instance comes from a `struct rng` seeded at its start, so that the
 * same seed gives the same run. Tables indexed by outside bytes hash with the instance's key.
 * Not for cryptography beyond what SipHash promises. Owner: one thread an rng.
 */
#pragma once

#include "base/util.h"

struct rng {
	uint64_t s;
};

static inline void rng_seed(struct rng *r, uint64_t seed)
{
	r->s = seed;
}

static inline uint64_t rng_u64(struct rng *r)
{
	uint64_t z = (r->s += 0x9e3779b97f4a7c15ULL);
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
	return z ^ (z >> 31);
}

static inline uint32_t rng_u32(struct rng *r)
{
	return (uint32_t)(rng_u64(r) >> 32);
}

/* Uniform below n (n > 0), without the bias of a modulo. */
static inline uint32_t rng_below(struct rng *r, uint32_t n)
{
	return (uint32_t)(((uint64_t)rng_u32(r) * n) >> 32);
}

struct hash_key {
	uint64_t k[2];
};

uint64_t siphash(const void *p, size_t len, const struct hash_key *key);
/* SipHash-2-4, for what others must not be able to make up (cookies). */
uint64_t siphash24(const void *p, size_t len, const struct hash_key *key);

/* A keyed mix of two words, by the multiplication that wyhash folds: for tables whose keys
 * outsiders choose and whose order they do not see. Ten times as fast as siphash(). */
static inline uint64_t hash_pair(uint64_t a, uint64_t b, const struct hash_key *key)
{
	unsigned __int128 m = (unsigned __int128)(a ^ key->k[0]) * (b ^ key->k[1]);

	m = (unsigned __int128)((uint64_t)m ^ key->k[1]) * ((uint64_t)(m >> 64) ^ key->k[0]);
	return (uint64_t)m ^ (uint64_t)(m >> 64);
}

/* A fast mix of one word for tables whose keys outsiders cannot choose freely. */
static inline uint32_t hash_u64(uint64_t v)
{
	v *= 0x9e3779b97f4a7c15ULL;
	return (uint32_t)(v >> 32);
}
