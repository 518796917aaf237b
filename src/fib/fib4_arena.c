/*
 * fib4_arena: memory of one trie: chunks cut into size classes with a free list each.
 *
 * Nodes of up to a cache line do not straddle one, larger ones start at one. Small tables have
 * small chunks: the first has 1 KiB, and each doubles what there is up to 1 MiB.
 *
 * What readers may still see is retired: collected in a batch, which goes through call_rcu() when
 * it is full and comes back on an atomic stack, to be taken over by the writer. A retired node is
 * not written to (readers are in it), so the batch holds its address. Batches hold a reference to
 * the arena: a trie can be freed while some are under way.
 */
#include "fib/fib4_core.h"

#include <urcu/uatomic.h>

#define CHUNK_MIN	1024u
#define CHUNK_MAX	(1u << 20)
#define BATCH_MIN	8
#define BATCH_MAX_NODES 256

struct fib4_chunk {
	struct fib4_chunk *next;
} __attribute__((aligned(CACHE_LINE)));

struct fib4_batch {
	struct rcu_head rcu;
	struct fib4_batch *next;
	struct fib4_arena *arena;
	unsigned n, cap;
	struct fib4_node *node[];
};

static const uint16_t class_bytes[FIB4_CLASSES] = {0,	8,   16,  32,  64,  128, 192,
						   256, 320, 384, 448, 512, 576, 640};

struct fib4_arena *fib4_arena_new(void)
{
	struct fib4_arena *a = calloc(1, sizeof(*a));
	if (!a)
		return NULL;
	a->refs = 1;
	a->batch_cap = BATCH_MIN;
	return a;
}

static void arena_destroy(struct fib4_arena *a)
{
	struct fib4_batch *b = a->returned;
	while (b) {
		struct fib4_batch *next = b->next;
		free(b);
		b = next;
	}
	struct fib4_chunk *c = a->chunks;
	while (c) {
		struct fib4_chunk *next = c->next;
		free(c);
		c = next;
	}
	free(a);
}

void fib4_arena_put(struct fib4_arena *a)
{
	struct fib4_batch *b = a->open;
	while (b) {
		struct fib4_batch *next = b->next;
		free(b);
		b = next;
	}
	a->open = NULL;
	if (uatomic_sub_return(&a->refs, 1) == 0)
		arena_destroy(a);
}

unsigned fib4_class(size_t size)
{
	if (size > 64)
		return 4 + (unsigned)((size - 1) / 64);
	return size > 32 ? 4 : size > 16 ? 3 : size > 8 ? 2 : 1;
}

size_t fib4_class_bytes(unsigned class)
{
	return class_bytes[class];
}

static bool chunk_add(struct fib4_arena *a)
{
	size_t size = MAX(a->bytes, (size_t)CHUNK_MIN);
	size = MIN(size, (size_t)CHUNK_MAX);
	struct fib4_chunk *c = aligned_alloc(CACHE_LINE, size);
	if (!c)
		return false;
	/* what is left of the last chunk is too small for this request, not for others */
	for (unsigned class = FIB4_CLASSES; class -- > 1;) {
		size_t bytes = class_bytes[class];
		size_t align = MIN(bytes, (size_t)CACHE_LINE);
		while ((size_t)(a->end - a->fresh) >= bytes &&
		       !((uintptr_t)a->fresh & (align - 1))) {
			fib4_idle(a, class, a->fresh);
			a->fresh += bytes;
		}
	}
	c->next = a->chunks;
	a->chunks = c;
	a->fresh = (uint8_t *)(c + 1);
	a->end = (uint8_t *)c + size;
	a->bytes += size;
	return true;
}

void *fib4_alloc(struct fib4_arena *a, unsigned class)
{
	void **p = a->idle[class];
	if (p) {
		a->idle[class] = *p;
		return p;
	}
	size_t bytes = class_bytes[class];
	size_t align = MIN(bytes, (size_t)CACHE_LINE);
	for (;;) {
		uintptr_t at = align_up((uintptr_t)a->fresh, align);
		if (a->fresh && at + bytes <= (uintptr_t)a->end) {
			/* the gap in front becomes small pieces */
			while ((uintptr_t)a->fresh < at) {
				size_t piece = (uintptr_t)a->fresh & -(uintptr_t)a->fresh;
				fib4_idle(a, fib4_class(piece), a->fresh);
				a->fresh += piece;
			}
			a->fresh += bytes;
			return (void *)at;
		}
		if (!chunk_add(a))
			return NULL;
	}
}

void fib4_idle(struct fib4_arena *a, unsigned class, void *p)
{
	if (!class)
		return;
	*(void **)p = a->idle[class];
	a->idle[class] = p;
}

/* RCU's thread. */
static void batch_return(struct rcu_head *head)
{
	struct fib4_batch *b = container_of(head, struct fib4_batch, rcu);
	struct fib4_arena *a = b->arena;
	struct fib4_batch *old = uatomic_read(&a->returned), *seen;

	for (;;) {
		b->next = old;
		seen = uatomic_cmpxchg(&a->returned, old, b);
		if (seen == old)
			break;
		old = seen;
	}
	if (uatomic_sub_return(&a->refs, 1) == 0)
		arena_destroy(a);
}

bool fib4_retire_reserve(struct fib4_arena *a, unsigned n)
{
	unsigned room = 0;
	for (struct fib4_batch *b = a->open; b; b = b->next)
		room += b->cap - b->n;
	while (room < n) {
		struct fib4_batch *b = malloc(sizeof(*b) + a->batch_cap * sizeof(b->node[0]));
		if (!b)
			return false;
		b->arena = a;
		b->n = 0;
		b->cap = a->batch_cap;
		b->next = NULL;
		/* behind those that are being filled */
		struct fib4_batch **at = &a->open;
		while (*at)
			at = &(*at)->next;
		*at = b;
		room += b->cap;
		a->batch_cap = MIN(2 * a->batch_cap, (unsigned)BATCH_MAX_NODES);
	}
	return true;
}

void fib4_retire(struct fib4_arena *a, struct fib4_node *n)
{
	struct fib4_batch *b = a->open;
	if (!n)
		return;
	b->node[b->n++] = n;
	if (b->n < b->cap)
		return;
	a->open = b->next;
	uatomic_inc(&a->refs);
	call_rcu(&b->rcu, batch_return);
}

void fib4_reclaim(struct fib4_arena *a)
{
	if (likely(!uatomic_read(&a->returned)))
		return;
	struct fib4_batch *b = uatomic_xchg(&a->returned, NULL);
	while (b) {
		struct fib4_batch *next = b->next;
		for (unsigned i = 0; i < b->n; i++) {
			const struct fib4_node *n = b->node[i];
			size_t size = fib4_node_bytes((unsigned)__builtin_popcountll(n->kids),
						      (unsigned)__builtin_popcountll(n->runs));
			fib4_idle(a, fib4_class(size), b->node[i]);
		}
		free(b);
		b = next;
	}
}
