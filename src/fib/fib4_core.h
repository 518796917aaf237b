/*
 * fib4_core: what the files of the IPv4 trie share: fib4.c (the interface), fib4_trie.c (painting,
 * planning, publishing), fib4_lookup.c (the readers), fib4_arena.c (memory).
 *
 * Depths are bits of the address already used: 0, 6, 12, 18, 24, 30. A prefix of length L (1 to 32)
 * lives in the node of depth 6 * ((L - 1) / 6), where it has a code: a one, then its bits below
 * that depth; so /1 is 2 or 3, /6 is 64 to 127. Prefix 0/0 stands apart.
 */
#pragma once

#include "base/rcu.h"
#include "base/util.h"
#include "fib/fib4.h"

#define FIB4_STRIDE 6
#define FIB4_SLOTS  64
#define FIB4_NO_VAL UINT32_MAX /* an inherited value that no node can have: painted never */

struct fib4_batch;

/* ---- what readers see ---- */

/*
 * A node as readers see it: 64 slots, each a child or a leaf. `kids` marks the slots with a child;
 * `runs` marks where a run of equal leaves starts (bit 0 always; slots with a child go on with the
 * run they lie in). Behind the two vectors lie the children's addresses, then one value a run. The
 * vectors never change; single children and values are replaced by single stores.
 */
struct fib4_node {
	uint64_t kids, runs;
	struct fib4_node *kid[];
};

/* An entry of the root: a node's address, or a value shifted left with bit 0 set. */
struct fib4_root {
	struct rcu_head rcu;
	unsigned bits;	  /* 0, 6, 12 or 18: depth of the nodes it points to */
	uintptr_t *entry; /* [1 << bits] */
};

static inline uintptr_t fib4_leaf(uint32_t val)
{
	return (uintptr_t)val << 1 | 1;
}

/* The slot of an address in a node of this depth. The address counts as 36 bits, 4 of them below
 * its end, so that depth 30 has six bits too. */
static inline unsigned fib4_slot(uint32_t addr, unsigned depth)
{
	return (unsigned)(((uint64_t)addr << 4) >> (30 - depth)) & (FIB4_SLOTS - 1);
}

static inline uint32_t *fib4_values(const struct fib4_node *n)
{
	return (uint32_t *)(uintptr_t)(n->kid + __builtin_popcountll(n->kids));
}

/* Index of the run that slot lies in. */
static inline unsigned fib4_run(const struct fib4_node *n, unsigned slot)
{
	return (unsigned)__builtin_popcountll(n->runs & ((2ULL << slot) - 1)) - 1;
}

static inline unsigned fib4_rank(uint64_t bits, unsigned slot)
{
	return (unsigned)__builtin_popcountll(bits & ((1ULL << slot) - 1));
}

static inline size_t fib4_node_bytes(unsigned n_kids, unsigned n_runs)
{
	return sizeof(struct fib4_node) + n_kids * sizeof(void *) + n_runs * sizeof(uint32_t);
}

/* ---- what the writer keeps ---- */

/* A node of the writer's trie: the prefixes of its six lengths, and its children. */
struct fib4_wnode {
	uint64_t own[2]; /* by code */
	uint64_t kids;
	uint32_t *val;		 /* of own, in order of code */
	struct fib4_wnode **kid; /* in order of slot */
	struct fib4_wnode *parent;
	struct fib4_node *pub;	      /* as published; NULL above the root's depth */
	uint32_t inherit;	      /* what covers the whole node from above; 0: nothing */
	uint8_t depth, slot;	      /* slot: in parent */
	uint8_t val_class, kid_class; /* sizes of the arrays; 0: none */
};

static_assert(sizeof(struct fib4_wnode) == CACHE_LINE, "a writer's node is one cache line");

/* Memory for nodes and arrays: fib4_arena.c. */
#define FIB4_CLASSES 14

struct fib4_arena {
	struct fib4_chunk *chunks;
	uint8_t *fresh, *end;
	void *idle[FIB4_CLASSES];
	size_t bytes;		     /* of all chunks */
	struct fib4_batch *open;     /* retired nodes, not yet handed to RCU */
	struct fib4_batch *returned; /* atomic stack: their grace period is over */
	unsigned batch_cap;
	unsigned refs; /* atomic: the fib4 and the batches under way */
};

struct fib4_arena *fib4_arena_new(void);
/* Lets go; the memory goes when RCU has returned the last batch. */
void fib4_arena_put(struct fib4_arena *a);
unsigned fib4_class(size_t size); /* 1 to FIB4_CLASSES - 1; size > 0 */
size_t fib4_class_bytes(unsigned class);
void *fib4_alloc(struct fib4_arena *a, unsigned class);	       /* not zeroed; NULL */
void fib4_idle(struct fib4_arena *a, unsigned class, void *p); /* class 0: nothing */
/* Makes sure that n nodes can be retired without asking for memory; false: -ENOMEM. */
bool fib4_retire_reserve(struct fib4_arena *a, unsigned n);
void fib4_retire(struct fib4_arena *a, struct fib4_node *n); /* NULL is fine */
/* Takes back what RCU returned. */
void fib4_reclaim(struct fib4_arena *a);

/* One node that an update changes. */
struct fib4_todo {
	struct fib4_wnode *node;
	struct fib4_node *old; /* node->pub before */
	uint32_t old_inherit;
	bool replaced; /* node->pub is new; else values are patched in place */
};

struct fib4 {
	struct fib4_root *root; /* RCU */
	uint32_t dflt;		/* value of 0/0 */
	bool popcnt;		/* the processor counts bits itself */
	size_t n;
	struct fib4_arena *arena;
	struct fib4_todo *todo;
	size_t n_todo, todo_cap;
	struct fib4_wnode top;
};

/* ---- fib4_trie.c ---- */

unsigned fib4_code(uint32_t prefix, unsigned len);
unsigned fib4_depth(unsigned len);
bool fib4_has(const struct fib4_wnode *n, unsigned code);
unsigned fib4_own_rank(const struct fib4_wnode *n, unsigned code);
unsigned fib4_n_own(const struct fib4_wnode *n);
unsigned fib4_n_kids(const struct fib4_wnode *n);
struct fib4_wnode *fib4_kid(const struct fib4_wnode *n, unsigned slot); /* NULL */
/* Works out what must change below n, which has got other prefixes or children; false: no memory,
 * and nothing is changed. Then fib4_commit() shows it to readers. */
bool fib4_plan(struct fib4 *f, struct fib4_wnode *n);
void fib4_commit(struct fib4 *f);
struct fib4_root *fib4_root_new(unsigned bits); /* entries not filled; NULL */
void fib4_root_free(struct fib4_root *r);
size_t fib4_root_bytes(const struct fib4_root *r);
/* A root of so many bits; false: no memory, it stays as it was. */
bool fib4_reroot(struct fib4 *f, unsigned bits);
