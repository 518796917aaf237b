/*
 * fib4: a multibit trie with strides of 6 bits (Srinivasan & Varghese, 1998), not leaf-pushed
 * across nodes.
 *
 * A node covers 6 bits of the address. `exact` holds the prefixes that end in it, as a heap: a
 * prefix of l bits within the node (0 to 6) with bits b is at (1 << l) + b. `val` is the same
 * expanded to the 64 slots: each slot has the value of the longest of them that covers it. A lookup
 * walks at most six nodes and keeps the last value it met, so a change touches one node only,
 * whatever lies below: 10^6 routes load in about a second, and readers see single stores. Nodes are
 * not taken away when they empty before the table goes; a later structure, with compressed nodes,
 * is to replace this one.
 */
#include "fib/fib4.h"

#include <errno.h>

#include "base/rcu.h"
#include "base/util.h"

#define STRIDE 6u
#define SLOTS  (1u << STRIDE)
#define DEPTH  6u /* 5 * 6 + 2 bits */

struct node {
	uint32_t val[SLOTS];
	struct node *child[SLOTS];
	uint32_t exact[2 * SLOTS];
};

struct fib4 {
	struct node *root;
	size_t n_prefixes, n_nodes;
};

/* The 6 bits of addr at a depth; the last node has 2, at its top. */
static inline unsigned slot_of(uint32_t addr, unsigned depth)
{
	return (unsigned)(((uint64_t)addr << 32) >> (64 - STRIDE * (depth + 1))) & (SLOTS - 1);
}

struct fib4 *fib4_new(void)
{
	return calloc(1, sizeof(struct fib4));
}

static void node_free(struct node *n)
{
	if (!n)
		return;
	for (unsigned i = 0; i < SLOTS; i++)
		node_free(n->child[i]);
	free(n);
}

void fib4_free(struct fib4 *f)
{
	if (!f)
		return;
	node_free(f->root);
	free(f);
}

static unsigned depth_of(unsigned len)
{
	return len ? (len - 1) / STRIDE : 0;
}

static bool prefix_ok(uint32_t prefix, unsigned len)
{
	return len <= 32 && !(len < 32 && prefix & (0xffffffffu >> len));
}

/* The node in which a prefix of this length ends; made on the way when `make`. */
static struct node *node_at(struct fib4 *f, uint32_t prefix, unsigned len, bool make)
{
	struct node **at = &f->root;

	for (unsigned d = 0;; d++) {
		if (!*at) {
			if (!make)
				return NULL;
			struct node *n = calloc(1, sizeof(*n));
			if (!n)
				return NULL;
			f->n_nodes++;
			rcu_assign_pointer(*at, n);
		}
		if (d == depth_of(len))
			return *at;
		at = &(*at)->child[slot_of(prefix, d)];
	}
}

/* Place of the prefix in its node's heap. */
static unsigned heap_index(uint32_t prefix, unsigned len)
{
	unsigned d = depth_of(len), l = len - d * STRIDE;

	return (1u << l) + (slot_of(prefix, d) >> (STRIDE - l));
}

/* Gives the slots below heap place h their value again. */
static void expand(struct node *n, unsigned h)
{
	unsigned l = 31u - (unsigned)__builtin_clz(h);
	unsigned first = (h << (STRIDE - l)) - SLOTS, count = SLOTS >> l;

	for (unsigned s = first; s < first + count; s++) {
		unsigned i = SLOTS + s;
		while (i && !n->exact[i])
			i >>= 1;
		WRITE_ONCE(n->val[s], i ? n->exact[i] : 0);
	}
}

int fib4_set(struct fib4 *f, uint32_t prefix, unsigned len, uint32_t val)
{
	if (!prefix_ok(prefix, len) || !val || val > 0x7fffffff)
		return -EINVAL;
	struct node *n = node_at(f, prefix, len, true);
	if (!n)
		return -ENOMEM;
	unsigned h = heap_index(prefix, len);
	f->n_prefixes += !n->exact[h];
	n->exact[h] = val;
	expand(n, h);
	return 0;
}

int fib4_del(struct fib4 *f, uint32_t prefix, unsigned len)
{
	if (!prefix_ok(prefix, len))
		return -ESRCH;
	struct node *n = node_at(f, prefix, len, false);
	unsigned h = heap_index(prefix, len);
	if (!n || !n->exact[h])
		return -ESRCH;
	n->exact[h] = 0;
	f->n_prefixes--;
	expand(n, h);
	return 0;
}

uint32_t fib4_get(const struct fib4 *f, uint32_t prefix, unsigned len)
{
	if (!prefix_ok(prefix, len))
		return 0;
	const struct node *n = node_at((struct fib4 *)f, prefix, len, false);
	return n ? n->exact[heap_index(prefix, len)] : 0;
}

uint32_t fib4_lookup(const struct fib4 *f, uint32_t addr)
{
	const struct node *n = rcu_dereference(f->root);
	uint32_t best = 0;

	for (unsigned d = 0; n; d++) {
		unsigned s = slot_of(addr, d);
		uint32_t v = READ_ONCE(n->val[s]);
		best = v ? v : best;
		n = rcu_dereference(n->child[s]);
	}
	return best;
}

/* Eight addresses go down together, a level at a time, so that their cache misses overlap. */
void fib4_lookup_bulk(const struct fib4 *f, const uint32_t *addr, uint32_t *val, unsigned n)
{
	enum { LANES = 8 };

	while (n) {
		unsigned k = MIN(n, (unsigned)LANES), live = k;
		const struct node *at[LANES];

		for (unsigned i = 0; i < k; i++) {
			at[i] = rcu_dereference(f->root);
			val[i] = 0;
		}
		for (unsigned d = 0; live && d < DEPTH; d++) {
			live = 0;
			for (unsigned i = 0; i < k; i++) {
				if (!at[i])
					continue;
				unsigned s = slot_of(addr[i], d);
				uint32_t v = READ_ONCE(at[i]->val[s]);
				val[i] = v ? v : val[i];
				at[i] = rcu_dereference(at[i]->child[s]);
				if (!at[i])
					continue;
				live++;
				s = d + 1 < DEPTH ? slot_of(addr[i], d + 1) : 0;
				__builtin_prefetch(&at[i]->val[s]);
				__builtin_prefetch(&at[i]->child[s]);
			}
		}
		addr += k;
		val += k;
		n -= k;
	}
}

/* ---- the walk ---- */

struct place {
	uint32_t prefix;
	unsigned len;
};

static bool after(uint32_t prefix, unsigned len, const struct place *p)
{
	return !p || prefix > p->prefix || (prefix == p->prefix && len > p->len);
}

/* First prefix after `from` in node n (at a depth, for addresses that begin with base), in the
 * order of (prefix, length): heap place h, then its two halves; behind a full place, the child
 * node. */
static bool walk_node(const struct node *n, uint32_t base, unsigned depth, unsigned h,
		      const struct place *from, struct place *out, uint32_t *val)
{
	unsigned l = 31u - (unsigned)__builtin_clz(h), len = depth * STRIDE + l;

	if (len > 32)
		return false;
	uint32_t bits = h - (1u << l);
	uint32_t prefix = len ? base | (uint32_t)((uint64_t)bits << (32 - len)) : 0;
	uint32_t last = len < 32 ? prefix | (0xffffffffu >> len) : prefix;

	if (from && last < from->prefix)
		return false; /* everything here comes before */
	/* a whole stride of 0 bits belongs to the node above, but for the root */
	if ((l || !depth) && n->exact[h] && after(prefix, len, from)) {
		*out = (struct place){prefix, len};
		*val = n->exact[h];
		return true;
	}
	if (l < STRIDE)
		return walk_node(n, base, depth, 2 * h, from, out, val) ||
		       walk_node(n, base, depth, 2 * h + 1, from, out, val);
	const struct node *c = n->child[bits];
	return c && walk_node(c, prefix, depth + 1, 1, from, out, val);
}

bool fib4_walk(const struct fib4 *f, bool next, uint32_t *prefix, unsigned *len, uint32_t *val)
{
	struct place from = {*prefix, *len}, out;

	if (!f->root || !walk_node(f->root, 0, 0, 1, next ? &from : NULL, &out, val))
		return false;
	*prefix = out.prefix;
	*len = out.len;
	return true;
}

size_t fib4_size(const struct fib4 *f)
{
	return f->n_prefixes;
}

size_t fib4_bytes(const struct fib4 *f)
{
	return sizeof(*f) + f->n_nodes * sizeof(struct node);
}
