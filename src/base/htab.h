/*
 * htab: a hash table of pointers for look-ups by many threads, one cache line each.
 *
 * What liburcu's cds_lfht does with lists of nodes, a chain of misses a look-up, is here an array
 * of buckets, a line each: five entries, and 32 bits of each one's hash, so that an entry is
 * touched only when it is (almost certainly) the one. A full bucket sends what comes later to the
 * next one and counts what passed it by; a look-up goes on while that count is not zero. So nothing
 * ever moves within an array, and removal leaves no grave behind (Bronson, Shi: F14, 2019).
 *
 * One thread writes (control), and any number read, inside of RCU sections. What is in the table
 * while a reader looks is found:
 *  - An entry's pointer is written before its hash, and the counts on its way before both.
 *  - A table that grows or shrinks has two arrays for a while. New entries go to the new one; each
 *    add and del copies a few buckets from the old one, which keeps what it has, for there are
 *    readers who know of it alone. Copied whole, it is freed after a grace period. So a table of
 *    10^6 entries is never rebuilt in one go.
 *
 * An entry is a pointer to memory that outlives its removal by a grace period. Hashes must be keyed
 * when others choose the keys. The table knows entries by (hash, pointer) and does not keep two
 * with equal keys apart from each other: look before you add.
 *
 * Batches look up in steps, each over all packets before the next: htab_prefetch() the buckets,
 * htab_guess() and prefetch the entries, htab_find().
 */
#pragma once

#include "base/rcu.h"
#include "base/util.h"

enum { HTAB_SLOTS = 5 };

struct htab_bucket {
	uint32_t tag[HTAB_SLOTS]; /* 0: free */
	uint32_t passed;	  /* entries that would be here or before, and are behind */
	void *p[HTAB_SLOTS];
};

static_assert(sizeof(struct htab_bucket) == CACHE_LINE, "a look-up meets one line");

struct htab_array {
	struct htab_bucket *bucket; /* 2^k, aligned, in mem */
	struct htab_array *was;	    /* RCU; what is copied from, or NULL */
	size_t mask;
	unsigned shift; /* 32 - k */
	size_t copied;	/* buckets of was */
	void *mem;
	struct rcu_head rcu;
};

struct htab {
	struct htab_array *now; /* RCU */
	size_t n;
	uint64_t grows;
};

/* 0 or -ENOMEM. */
int htab_init(struct htab *h);
/* Entries that are still there are forgotten. Once is enough, twice does no harm. */
void htab_fini(struct htab *h);
/* The writer: 0, or -ENOMEM: full, and no memory to grow. */
int htab_add(struct htab *h, uint32_t hash, void *p);
/* The writer: false: there is no such entry. */
bool htab_del(struct htab *h, uint32_t hash, const void *p);

static inline uint32_t htab_tag(uint32_t hash)
{
	return hash | 1;
}

static inline size_t htab_home(const struct htab_array *a, uint32_t hash)
{
	return hash >> a->shift;
}

/* Which slots hold the tag, a bit each: without a branch, for nobody can foretell which. */
static inline unsigned htab_match(const struct htab_bucket *b, uint32_t tag)
{
	unsigned m = 0;

	for (unsigned s = 0; s < HTAB_SLOTS; s++)
		m |= (unsigned)(__atomic_load_n(&b->tag[s], __ATOMIC_ACQUIRE) == tag) << s;
	return m;
}

static inline __attribute__((always_inline)) void *
htab_array_find(const struct htab_array *a, uint32_t hash,
		bool (*match)(const void *entry, const void *arg), const void *arg)
{
	size_t at = htab_home(a, hash);
	uint32_t tag = htab_tag(hash);

	for (size_t i = 0; i <= a->mask; i++, at = (at + 1) & a->mask) {
		const struct htab_bucket *b = &a->bucket[at];

		for (unsigned m = htab_match(b, tag); m; m &= m - 1) {
			void *p = __atomic_load_n(&b->p[__builtin_ctz(m)], __ATOMIC_ACQUIRE);

			if (likely(p && match(p, arg)))
				return p;
		}
		if (likely(!__atomic_load_n(&b->passed, __ATOMIC_ACQUIRE)))
			break;
	}
	return NULL;
}

/* Any thread, under RCU: the entry that match() knows by arg; NULL: there is none. */
static inline __attribute__((always_inline)) void *
htab_find(const struct htab *h, uint32_t hash, bool (*match)(const void *entry, const void *arg),
	  const void *arg)
{
	const struct htab_array *a = rcu_dereference(((struct htab *)h)->now);
	/* Before the look into a: what has been copied by then is there. */
	const struct htab_array *was = __atomic_load_n(&a->was, __ATOMIC_ACQUIRE);
	void *p = htab_array_find(a, hash, match, arg);

	if (unlikely(!p && was))
		p = htab_array_find(was, hash, match, arg);
	return p;
}

static inline void htab_prefetch(const struct htab *h, uint32_t hash)
{
	const struct htab_array *a = rcu_dereference(((struct htab *)h)->now);

	__builtin_prefetch(&a->bucket[htab_home(a, hash)]);
}

/* Most likely the entry, if there is one: worth a prefetch. NULL: no idea. */
static inline void *htab_guess(const struct htab *h, uint32_t hash)
{
	const struct htab_array *a = rcu_dereference(((struct htab *)h)->now);
	const struct htab_bucket *b = &a->bucket[htab_home(a, hash)];
	unsigned m = htab_match(b, htab_tag(hash));

	return m ? READ_ONCE(b->p[__builtin_ctz(m)]) : NULL;
}
