/*
 * pool: elements, the depot, and the end of packets.
 *
 * The depot is a stack of chunks: POOL_CHUNK packets linked by `next`, the first of them linked to
 * the next chunk by `seg`. Its head is one 64-bit word, element index + 1 in the low half and a tag
 * in the high half that grows with every change, so a chunk that left and came back cannot fool a
 * compare-and-swap. Elements that were never used are taken from a watermark, which touches no page
 * before its time. A partial chunk (at the end of a cache) is a chunk with fewer packets.
 */
#include "pkt/pool.h"

#include <sys/mman.h>
#include <unistd.h>

#define POOL_CACHES 128

struct pool {
	uint8_t *base;
	size_t size;
	unsigned n;
	int fd;
	uint64_t depot;	 /* atomic */
	uint32_t fresh;	 /* atomic: elements handed out for the first time */
	int32_t outside; /* atomic: elements in caches and in use, kept by chunk moves */
	struct pool_cache *caches[POOL_CACHES]; /* registered, for exact counts */
};

struct pool *pool_new(unsigned n)
{
	if (!n || n > 1u << 24) {
		errno = EINVAL;
		return NULL;
	}
	struct pool *pool = calloc(1, sizeof(*pool));
	if (!pool)
		return NULL;
	pool->n = n;
	pool->size = (size_t)n * PKT_ELEM_SIZE;
	pool->fd = memfd_create("weft-packets", MFD_CLOEXEC);
	if (pool->fd < 0)
		goto fail;
	if (ftruncate(pool->fd, (off_t)pool->size))
		goto fail_fd;
	pool->base = mmap(NULL, pool->size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE,
			  pool->fd, 0);
	if (pool->base == MAP_FAILED)
		goto fail_fd;
	return pool;
fail_fd:
	close(pool->fd);
fail:
	free(pool);
	return NULL;
}

void pool_free(struct pool *pool)
{
	if (!pool)
		return;
	munmap(pool->base, pool->size);
	close(pool->fd);
	free(pool);
}

unsigned pool_size(const struct pool *pool)
{
	return pool->n;
}

unsigned pool_in_use(const struct pool *pool)
{
	int32_t n = __atomic_load_n(&pool->outside, __ATOMIC_ACQUIRE);

	for (unsigned i = 0; i < POOL_CACHES; i++) {
		const struct pool_cache *c = __atomic_load_n(&pool->caches[i], __ATOMIC_ACQUIRE);
		if (c)
			n -= (int32_t)READ_ONCE(c->n);
	}
	return (unsigned)n;
}

bool pool_is_low(const struct pool *pool)
{
	int32_t n = __atomic_load_n(&pool->outside, __ATOMIC_RELAXED);

	return n > 0 && (unsigned)n > pool_size(pool) / 4 * 3;
}

int pool_memfd(const struct pool *pool, void **base, size_t *size)
{
	*base = pool->base;
	*size = pool->size;
	return pool->fd;
}

static struct pkt *element(const struct pool *pool, uint32_t index)
{
	return (struct pkt *)(void *)(pool->base + (size_t)index * PKT_ELEM_SIZE);
}

static uint32_t index_of(const struct pool *pool, const struct pkt *p)
{
	return (uint32_t)((size_t)((const uint8_t *)p - pool->base) / PKT_ELEM_SIZE);
}

static void depot_push(struct pool *pool, struct pkt *chunk)
{
	uint64_t old = __atomic_load_n(&pool->depot, __ATOMIC_ACQUIRE), new;

	do {
		uint32_t below = (uint32_t)old;
		struct pkt *next = below ? element(pool, below - 1) : NULL;
		__atomic_store_n(&chunk->seg, next, __ATOMIC_RELAXED);
		new = ((old >> 32) + 1) << 32 | (index_of(pool, chunk) + 1);
	} while (!__atomic_compare_exchange_n(&pool->depot, &old, new, false, __ATOMIC_ACQ_REL,
					      __ATOMIC_ACQUIRE));
}

/* The chunk below one that may meanwhile have been taken by another thread and be in use as
 * packets: what is read is then worthless, and the tag lets the exchange that would use it fail. A
 * race by design, hidden from the thread sanitizer here alone. */
__attribute__((no_sanitize("thread"), noinline)) static struct pkt *
chunk_below(const struct pkt *chunk)
{
	return READ_ONCE(chunk->seg);
}

static struct pkt *depot_pop(struct pool *pool)
{
	uint64_t old = __atomic_load_n(&pool->depot, __ATOMIC_ACQUIRE), new;
	struct pkt *chunk;

	do {
		if (!(uint32_t)old)
			return NULL;
		chunk = element(pool, (uint32_t)old - 1);
		struct pkt *next = chunk_below(chunk);
		new = ((old >> 32) + 1) << 32 | (next ? index_of(pool, next) + 1 : 0);
	} while (!__atomic_compare_exchange_n(&pool->depot, &old, new, false, __ATOMIC_ACQ_REL,
					      __ATOMIC_ACQUIRE));
	return chunk;
}

void pool_cache_init(struct pool_cache *c, struct pool *pool)
{
	c->pool = pool;
	c->n = 0;
	for (unsigned i = 0; i < POOL_CACHES; i++) {
		struct pool_cache *none = NULL;
		if (__atomic_compare_exchange_n(&pool->caches[i], &none, c, false, __ATOMIC_ACQ_REL,
						__ATOMIC_RELAXED))
			return;
	}
}

/* Takes up to POOL_CHUNK elements off the top of the cache into the depot. */
static void give_chunk(struct pool_cache *c)
{
	struct pkt *chunk = NULL;
	unsigned n = MIN(c->n, (unsigned)POOL_CHUNK);

	for (unsigned i = 0; i < n; i++) {
		struct pkt *p = c->p[--c->n];
		p->next = chunk;
		chunk = p;
	}
	if (!n)
		return;
	chunk->len = (uint16_t)n;
	__atomic_sub_fetch(&c->pool->outside, (int32_t)n, __ATOMIC_ACQ_REL);
	depot_push(c->pool, chunk);
}

void pool_cache_flush(struct pool_cache *c)
{
	give_chunk(c);
}

void pool_cache_fini(struct pool_cache *c)
{
	while (c->n)
		give_chunk(c);
	for (unsigned i = 0; i < POOL_CACHES; i++)
		if (c->pool->caches[i] == c)
			__atomic_store_n(&c->pool->caches[i], NULL, __ATOMIC_RELEASE);
}

static bool refill_fresh(struct pool_cache *c)
{
	struct pool *pool = c->pool;
	uint32_t at = __atomic_load_n(&pool->fresh, __ATOMIC_RELAXED), n;

	do {
		if (at >= pool->n)
			return false;
		n = MIN(pool->n - at, (uint32_t)POOL_CHUNK);
	} while (!__atomic_compare_exchange_n(&pool->fresh, &at, at + n, false, __ATOMIC_RELAXED,
					      __ATOMIC_RELAXED));
	for (uint32_t i = n; i-- > 0;)
		c->p[c->n++] = element(pool, at + i);
	__atomic_add_fetch(&pool->outside, (int32_t)n, __ATOMIC_ACQ_REL);
	return true;
}

bool pool_cache_refill(struct pool_cache *c)
{
	struct pkt *chunk = depot_pop(c->pool);

	if (!chunk)
		return refill_fresh(c);
	__atomic_add_fetch(&c->pool->outside, chunk->len, __ATOMIC_ACQ_REL);
	while (chunk) {
		struct pkt *next = chunk->next;
		c->p[c->n++] = chunk;
		chunk = next;
	}
	return true;
}

/* One element back into the cache. */
static void put(struct pool_cache *c, struct pkt *p)
{
	if (c->n == POOL_CACHE)
		pool_cache_flush(c);
	c->p[c->n++] = p;
}

void pkt_unref(struct pool_cache *c, struct pkt *owner)
{
	if (!__atomic_sub_fetch(&owner->ref, 1, __ATOMIC_ACQ_REL))
		put(c, owner);
}

void pkt_free_slow(struct pool_cache *c, struct pkt *p)
{
	while (p) {
		struct pkt *seg = p->seg;
		if (p->flags & PKT_CLONE)
			pkt_unref(c, p->owner);
		pkt_unref(c, p);
		p = seg;
	}
}

unsigned pkt_alloc_bulk(struct pool_cache *c, struct batch *b, unsigned n)
{
	unsigned got = 0;

	for (; got < n && !batch_full(b); got++) {
		struct pkt *p = pkt_alloc(c);
		if (!p)
			break;
		batch_add(b, p);
	}
	return got;
}

void pkt_free_bulk(struct pool_cache *c, struct batch *b)
{
	for (unsigned i = 0; i < b->n; i++)
		pkt_free(c, b->p[i]);
	b->n = 0;
}
