/*
 * fib4: a compressed trie after Poptrie (H. Asai, Y. Ohara: "Poptrie: A Compressed Trie with
 * Population Count for Fast and Scalable Software IP Routing Table Lookup", SIGCOMM 2015).
 *
 * Poptrie walks six address bits at a time. A node has a vector of 64 bits that says which slots
 * have a child, and one that says where runs of equal leaves begin; counting ones gives the index
 * into the packed arrays. Prefixes are pushed down to the leaves, so a walk remembers nothing on
 * its way. A direct-pointing array in front replaces the first levels.
 *
 * What is different here:
 *  - Poptrie keeps children of a node as one array of nodes, so that changing one of them copies
 * all. Here a node, its children's addresses and its values are one block of memory (mostly one
 * cache line), replaced by a single store in its parent: that is what lets readers go on
 * undisturbed.
 *  - The size of the direct array follows the number of prefixes: 1, 2^6, 2^12 or 2^18 entries. A
 *    namespace with five routes costs a few cache lines, a full table gets its first 18 bits in one
 *    load and mostly ends in one node more.
 *  - The writer's own trie has the same shape (six bits a node, each node with the prefixes of six
 *    lengths) instead of a binary one: an update is a walk of at most six nodes and a repaint of 64
 *    slots.
 *  - 0/0 is kept apart, so that a changing default route does not repaint the table. Other short
 *    prefixes cost what lies below them.
 */
#include "fib/fib4_core.h"

/* Prefixes from which a root of so many bits is used; it is given up at a quarter of that. */
static const struct {
	unsigned bits;
	size_t n;
} root_steps[] = {{0, 0}, {6, 16}, {12, 128}, {18, 2048}};

struct fib4 *fib4_new(void)
{
	struct fib4 *f = aligned_alloc(CACHE_LINE, align_up(sizeof(*f), CACHE_LINE));
	if (!f)
		return NULL;
	memset(f, 0, sizeof(*f));
	f->popcnt = __builtin_cpu_supports("popcnt");
	f->arena = fib4_arena_new();
	if (!f->arena)
		goto fail;
	f->root = fib4_root_new(0);
	if (!f->root)
		goto fail_arena;
	/* an empty table: one entry, without a node */
	f->root->entry[0] = fib4_leaf(0);
	return f;
fail_arena:
	fib4_arena_put(f->arena);
fail:
	free(f);
	return NULL;
}

void fib4_free(struct fib4 *f)
{
	if (!f)
		return;
	fib4_arena_put(f->arena);
	fib4_root_free(f->root);
	free(f->todo);
	free(f);
}

/* ---- arrays of the writer's nodes: room is kept when they shrink by little ---- */

/* Makes an array of n elements out of one of class *class; NULL: no memory, all as before. */
static void *array_fit(struct fib4 *f, void *old, uint8_t *class, unsigned n, size_t elem)
{
	unsigned want = n ? fib4_class(n * elem) : 0;
	size_t have = fib4_class_bytes(*class);

	if (want == *class || (want && want < *class && n * elem * 2 > have))
		return old;
	void *p = NULL;
	if (want) {
		p = fib4_alloc(f->arena, want);
		if (!p)
			return want < *class ? old : NULL;
		if (old)
			memcpy(p, old, MIN(have, fib4_class_bytes(want)));
	}
	fib4_idle(f->arena, *class, old);
	*class = (uint8_t)want;
	return p;
}

static bool own_add(struct fib4 *f, struct fib4_wnode *n, unsigned code, uint32_t val)
{
	unsigned count = fib4_n_own(n), at = fib4_own_rank(n, code);
	uint32_t *v = array_fit(f, n->val, &n->val_class, count + 1, sizeof(*v));
	if (!v)
		return false;
	memmove(v + at + 1, v + at, (count - at) * sizeof(*v));
	v[at] = val;
	n->val = v;
	n->own[code >> 6] |= 1ULL << (code & 63);
	return true;
}

/* Leaves the array as large as it is: adding it back cannot fail. */
static void own_del(struct fib4_wnode *n, unsigned code)
{
	unsigned count = fib4_n_own(n), at = fib4_own_rank(n, code);
	memmove(n->val + at, n->val + at + 1, (count - at - 1) * sizeof(*n->val));
	n->own[code >> 6] &= ~(1ULL << (code & 63));
}

static bool kid_add(struct fib4 *f, struct fib4_wnode *n, struct fib4_wnode *kid)
{
	unsigned count = fib4_n_kids(n), at = fib4_rank(n->kids, kid->slot);
	struct fib4_wnode **k = array_fit(f, n->kid, &n->kid_class, count + 1, sizeof(*k));
	if (!k)
		return false;
	memmove(k + at + 1, k + at, (count - at) * sizeof(*k));
	k[at] = kid;
	n->kid = k;
	n->kids |= 1ULL << kid->slot;
	return true;
}

static void kid_del(struct fib4_wnode *n, unsigned slot)
{
	unsigned count = fib4_n_kids(n), at = fib4_rank(n->kids, slot);
	memmove(n->kid + at, n->kid + at + 1, (count - at - 1) * sizeof(*n->kid));
	n->kids &= ~(1ULL << slot);
}

static void arrays_shrink(struct fib4 *f, struct fib4_wnode *n)
{
	n->val = array_fit(f, n->val, &n->val_class, fib4_n_own(n), sizeof(*n->val));
	n->kid = array_fit(f, n->kid, &n->kid_class, fib4_n_kids(n), sizeof(*n->kid));
}

/* ---- nodes ---- */

static struct fib4_wnode *wnode_new(struct fib4 *f, struct fib4_wnode *parent, unsigned slot)
{
	struct fib4_wnode *n = fib4_alloc(f->arena, fib4_class(sizeof(*n)));
	if (!n)
		return NULL;
	*n = (struct fib4_wnode){
		.parent = parent,
		.inherit = FIB4_NO_VAL,
		.depth = (uint8_t)(parent->depth + FIB4_STRIDE),
		.slot = (uint8_t)slot,
	};
	if (!kid_add(f, parent, n)) {
		fib4_idle(f->arena, fib4_class(sizeof(*n)), n);
		return NULL;
	}
	return n;
}

/* Takes nodes without prefixes and children off, from n up to `stop`, not included. */
static void chain_drop(struct fib4 *f, struct fib4_wnode *n, struct fib4_wnode *stop)
{
	while (n != stop) {
		struct fib4_wnode *up = n->parent;
		if (fib4_kid(up, n->slot) == n)
			kid_del(up, n->slot);
		fib4_idle(f->arena, n->val_class, n->val);
		fib4_idle(f->arena, n->kid_class, n->kid);
		fib4_idle(f->arena, fib4_class(sizeof(*n)), n);
		n = up;
	}
}

static struct fib4_wnode *wnode_find(const struct fib4 *f, uint32_t prefix, unsigned len)
{
	struct fib4_wnode *n = (struct fib4_wnode *)(uintptr_t)&f->top;
	while (n && n->depth != fib4_depth(len))
		n = fib4_kid(n, fib4_slot(prefix, n->depth));
	return n;
}

/* The node of a prefix, made where missing; *start is the deepest that was there. */
static struct fib4_wnode *wnode_make(struct fib4 *f, uint32_t prefix, unsigned len,
				     struct fib4_wnode **start)
{
	struct fib4_wnode *n = &f->top, *kid;

	while (n->depth != fib4_depth(len) && (kid = fib4_kid(n, fib4_slot(prefix, n->depth))))
		n = kid;
	*start = n;
	while (n->depth != fib4_depth(len)) {
		kid = wnode_new(f, n, fib4_slot(prefix, n->depth));
		if (!kid) {
			chain_drop(f, n, *start);
			return NULL;
		}
		n = kid;
	}
	return n;
}

/* The root for the number of prefixes there are now. Without memory it stays as it is. */
static void root_fit(struct fib4 *f)
{
	unsigned i = ARRAY_SIZE(root_steps) - 1;
	while (root_steps[i].bits != f->root->bits)
		i--;
	if (i + 1 < ARRAY_SIZE(root_steps) && f->n >= root_steps[i + 1].n)
		fib4_reroot(f, root_steps[i + 1].bits);
	else if (i && f->n < root_steps[i].n / 4)
		fib4_reroot(f, root_steps[i - 1].bits);
}

/* ---- the interface ---- */

static bool prefix_valid(uint32_t prefix, unsigned len)
{
	return len <= 32 && !((uint64_t)prefix << len & UINT32_MAX);
}

int fib4_set(struct fib4 *f, uint32_t prefix, unsigned len, uint32_t val)
{
	struct fib4_wnode *start, *n;

	if (!prefix_valid(prefix, len) || !val || val > INT32_MAX)
		return -EINVAL;
	if (!len) {
		f->n += !f->dflt;
		WRITE_ONCE(f->dflt, val);
		return 0;
	}
	fib4_reclaim(f->arena);
	n = wnode_make(f, prefix, len, &start);
	if (!n)
		return -ENOMEM;
	unsigned code = fib4_code(prefix, len);
	uint32_t was = fib4_has(n, code) ? n->val[fib4_own_rank(n, code)] : 0;
	if (was == val)
		return 0;
	if (was)
		n->val[fib4_own_rank(n, code)] = val;
	else if (!own_add(f, n, code, val))
		goto undo_chain;
	if (!fib4_plan(f, start))
		goto undo_own;
	fib4_commit(f);
	f->n += !was;
	root_fit(f);
	return 0;
undo_own:
	if (was)
		n->val[fib4_own_rank(n, code)] = was;
	else
		own_del(n, code);
undo_chain:
	chain_drop(f, n, start);
	return -ENOMEM;
}

/* The highest node that goes with the last prefix of n; NULL: n stays. */
static struct fib4_wnode *prune_top(struct fib4_wnode *n)
{
	struct fib4_wnode *top = NULL;
	unsigned going = 0; /* children that go with the node */

	for (; n->parent && !fib4_n_own(n) && fib4_n_kids(n) == going; n = n->parent) {
		top = n;
		going = 1;
	}
	return top;
}

int fib4_del(struct fib4 *f, uint32_t prefix, unsigned len)
{
	if (!fib4_get(f, prefix, len))
		return -ESRCH;
	if (!len) {
		WRITE_ONCE(f->dflt, 0);
		f->n--;
		return 0;
	}
	fib4_reclaim(f->arena);
	struct fib4_wnode *n = wnode_find(f, prefix, len);
	unsigned code = fib4_code(prefix, len);
	uint32_t was = n->val[fib4_own_rank(n, code)];
	own_del(n, code);
	struct fib4_wnode *pruned = prune_top(n), *start = pruned ? pruned->parent : n;
	if (pruned)
		kid_del(start, pruned->slot);
	if (!fib4_plan(f, start)) {
		if (pruned)
			kid_add(f, start, pruned);
		own_add(f, n, code, was);
		return -ENOMEM;
	}
	fib4_commit(f);
	if (pruned) {
		for (struct fib4_wnode *gone = n; gone != start; gone = gone->parent)
			fib4_retire(f->arena, gone->pub);
		chain_drop(f, n, start);
	}
	arrays_shrink(f, start);
	f->n--;
	root_fit(f);
	return 0;
}

uint32_t fib4_get(const struct fib4 *f, uint32_t prefix, unsigned len)
{
	if (!prefix_valid(prefix, len))
		return 0;
	if (!len)
		return f->dflt;
	const struct fib4_wnode *n = wnode_find(f, prefix, len);
	unsigned code = fib4_code(prefix, len);
	return n && fib4_has(n, code) ? n->val[fib4_own_rank(n, code)] : 0;
}

/* ---- walking ---- */

/* Comes in as where to go on from, goes out as what was found. */
struct walk {
	uint32_t prefix;
	unsigned len;
	uint32_t val;
};

/* The first own prefix of n that starts at slot and comes after w. */
static bool walk_own(const struct fib4_wnode *n, uint32_t at, unsigned slot, struct walk *w)
{
	unsigned most = n->depth == 30 ? 2 : FIB4_STRIDE;
	unsigned least = slot ? FIB4_STRIDE - (unsigned)__builtin_ctz(slot) : 1;
	for (unsigned r = MAX(least, 1u); r <= most; r++) {
		unsigned code = 1u << r | slot >> (FIB4_STRIDE - r);
		unsigned len = n->depth + r;
		if (!fib4_has(n, code) || (at == w->prefix && len <= w->len))
			continue;
		*w = (struct walk){at, len, n->val[fib4_own_rank(n, code)]};
		return true;
	}
	return false;
}

/* base: the address bits in front of n. */
static bool walk_node(const struct fib4_wnode *n, uint32_t base, struct walk *w)
{
	unsigned shift = 30 - n->depth;
	unsigned slot = w->prefix > base ? fib4_slot(w->prefix, n->depth) : 0;

	for (; slot < FIB4_SLOTS; slot++) {
		uint32_t at = base | (uint32_t)((uint64_t)slot << shift >> 4);
		if (at >= w->prefix && (n->depth != 30 || !(slot & 15)) && walk_own(n, at, slot, w))
			return true;
		const struct fib4_wnode *kid = fib4_kid(n, slot);
		if (!kid)
			continue;
		uint32_t last = at | (uint32_t)(((1ULL << shift) - 1) >> 4);
		if (last >= w->prefix && walk_node(kid, at, w))
			return true;
	}
	return false;
}

bool fib4_walk(const struct fib4 *f, bool next, uint32_t *prefix, unsigned *len, uint32_t *val)
{
	struct walk w = {0};

	if (!next && f->dflt) {
		*prefix = *len = 0;
		*val = f->dflt;
		return true;
	}
	if (next) {
		w.prefix = *prefix;
		w.len = *len;
	}
	if (!walk_node(&f->top, 0, &w))
		return false;
	*prefix = w.prefix;
	*len = w.len;
	*val = w.val;
	return true;
}

size_t fib4_size(const struct fib4 *f)
{
	return f->n;
}

size_t fib4_bytes(const struct fib4 *f)
{
	return sizeof(*f) + fib4_root_bytes(f->root) + sizeof(*f->arena) + f->arena->bytes +
	       f->todo_cap * sizeof(*f->todo);
}
