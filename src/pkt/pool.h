/*
 * pool: where packets come from.
 *
 * One pool an instance: a memfd (so that it can be shared with another process or registered with
 * AF_XDP) of `n` elements of PKT_ELEM_SIZE bytes: struct pkt, then its buffer. Pages are touched
 * only when an element is first used, and caches are LIFO, so an idle instance holds few pages.
 *
 * Each worker owns a pool_cache: alloc and free are a pop and a push on an array. An empty or full
 * cache exchanges POOL_CHUNK elements with the depot, a lock-free stack of chunks (tagged head, so
 * that a chunk that comes back does not fool a compare-and-swap). A cache is used by one thread at
 * a time. Running dry is an answer (NULL), never an abort: the caller drops with PKT_NOMEM.
 */
#pragma once

#include "pkt/batch.h"
#include "pkt/pkt.h"

#define PKT_ELEM_SIZE (sizeof(struct pkt) + PKT_BUF_SIZE)
#define POOL_CHUNK    64
#define POOL_CACHE    (4 * POOL_CHUNK)
#define POOL_DEFAULT  32768u

struct pool_cache {
	struct pool *pool;
	unsigned n;
	struct pkt *p[POOL_CACHE];
};

/* n elements (1 to 2^24); NULL with errno. The memory is reserved, not touched. */
struct pool *pool_new(unsigned n);
/* Every packet must have come back. NULL is fine. */
void pool_free(struct pool *pool);
/* Elements out of the pool and its caches: what packets in flight and queues hold. Any thread;
 * exact when the workers stand still. */
unsigned pool_in_use(const struct pool *pool);
unsigned pool_size(const struct pool *pool);
/* Is less than a quarter left? Queues that can wait should, so that what empties them has packets.
 * Any thread; one load. */
bool pool_is_low(const struct pool *pool);
/* The memfd and the base address of its mapping. */
int pool_memfd(const struct pool *pool, void **base, size_t *size);

void pool_cache_init(struct pool_cache *c, struct pool *pool);
/* Gives everything back to the pool. */
void pool_cache_fini(struct pool_cache *c);

/* Moves a chunk between cache and depot; refill returns false when the pool is empty. */
bool pool_cache_refill(struct pool_cache *c);
void pool_cache_flush(struct pool_cache *c);

/* Zeroes the metadata. In 16-byte stores: for a memset of this size gcc takes `rep stos`, which
 * costs as much as all the rest of an allocation. */
static inline void pkt_clear(struct pkt *p)
{
	typedef uint64_t pair __attribute__((vector_size(16), may_alias));
	pair *line = (pair *)(void *)p;

	for (unsigned i = 0; i < sizeof(*p) / sizeof(pair); i++)
		line[i] = (pair){0, 0};
}

/* An empty packet: off = PKT_HEADROOM, len = 0, metadata zero, ref 1; NULL when the pool is dry. */
static inline struct pkt *pkt_alloc(struct pool_cache *c)
{
	if (unlikely(c->n == 0) && !pool_cache_refill(c))
		return NULL;
	struct pkt *p = c->p[--c->n];
	uint8_t *buf = (uint8_t *)(p + 1);
	pkt_clear(p);
	p->buf = buf;
	p->off = PKT_HEADROOM;
	p->ref = 1;
	return p;
}

/* Drops one share of an element; the last one frees it. For pkt.c. */
void pkt_unref(struct pool_cache *c, struct pkt *owner);
/* Takes: frees all segments; a shared buffer goes back with its last sharer. NULL is fine. */
void pkt_free_slow(struct pool_cache *c, struct pkt *p);
static inline void pkt_free(struct pool_cache *c, struct pkt *p)
{
	if (likely(p && !(p->flags & (PKT_CLONE | PKT_SHARED)) && !p->seg && c->n < POOL_CACHE)) {
		c->p[c->n++] = p;
		return;
	}
	pkt_free_slow(c, p);
}

/* n empty packets into b (added to what it holds); returns how many there were. */
unsigned pkt_alloc_bulk(struct pool_cache *c, struct batch *b, unsigned n);
/* Takes all of b. */
void pkt_free_bulk(struct pool_cache *c, struct batch *b);
