/*
 * fib4_trie: from the writer's prefixes to the nodes that readers see.
 *
 * An update changes the prefixes or the children of one writer's node. Planning paints the 64 slots
 * of that node (what covers it from above, then its own prefixes, shorter first), goes down into
 * the children whose slot got another colour, and makes new published nodes for all whose vectors
 * change. It may run out of memory and then undoes itself. Committing only stores: a new node's
 * address in its parent (or in the root), single values in nodes whose vectors stay as they are.
 * Each store takes every destination it concerns from its old value to its new one.
 */
#include "fib/fib4_core.h"

#include <sys/mman.h>

unsigned fib4_depth(unsigned len)
{
	return FIB4_STRIDE * ((len - 1) / FIB4_STRIDE);
}

unsigned fib4_code(uint32_t prefix, unsigned len)
{
	unsigned r = len - fib4_depth(len);
	return 1u << r | fib4_slot(prefix, fib4_depth(len)) >> (FIB4_STRIDE - r);
}

bool fib4_has(const struct fib4_wnode *n, unsigned code)
{
	return n->own[code >> 6] >> (code & 63) & 1;
}

unsigned fib4_own_rank(const struct fib4_wnode *n, unsigned code)
{
	if (code < 64)
		return fib4_rank(n->own[0], code);
	return (unsigned)__builtin_popcountll(n->own[0]) + fib4_rank(n->own[1], code - 64);
}

unsigned fib4_n_own(const struct fib4_wnode *n)
{
	return (unsigned)(__builtin_popcountll(n->own[0]) + __builtin_popcountll(n->own[1]));
}

unsigned fib4_n_kids(const struct fib4_wnode *n)
{
	return (unsigned)__builtin_popcountll(n->kids);
}

struct fib4_wnode *fib4_kid(const struct fib4_wnode *n, unsigned slot)
{
	return n->kids >> slot & 1 ? n->kid[fib4_rank(n->kids, slot)] : NULL;
}

/* ---- painting ---- */

static void paint(const struct fib4_wnode *n, uint32_t leaf[FIB4_SLOTS])
{
	const uint32_t *val = n->val;

	for (unsigned i = 0; i < FIB4_SLOTS; i++)
		leaf[i] = n->inherit;
	for (unsigned half = 0; half < 2; half++) {
		for (uint64_t left = n->own[half]; left; left &= left - 1) {
			unsigned code = 64 * half + (unsigned)__builtin_ctzll(left);
			unsigned r = 31 - (unsigned)__builtin_clz(code);
			unsigned width = 1u << (FIB4_STRIDE - r);
			unsigned first = (code - (1u << r)) * width;
			for (unsigned i = 0; i < width; i++)
				leaf[first + i] = *val;
			val++;
		}
	}
}

/* Where runs of equal values start; slots with a child are skipped. */
static uint64_t runs_of(uint64_t kids, const uint32_t leaf[FIB4_SLOTS])
{
	uint64_t leaves = ~kids, runs = 1;
	uint32_t last = leaves ? leaf[__builtin_ctzll(leaves)] : 0;

	for (uint64_t left = leaves; left; left &= left - 1) {
		unsigned i = (unsigned)__builtin_ctzll(left);
		if (leaf[i] != last)
			runs |= 1ULL << i;
		last = leaf[i];
	}
	return runs;
}

/* The value of each run, in order. */
static void run_values(const struct fib4_node *n, const uint32_t leaf[FIB4_SLOTS])
{
	uint32_t *val = fib4_values(n);
	for (uint64_t left = n->runs; left; left &= left - 1) {
		unsigned i = (unsigned)__builtin_ctzll(left);
		/* bit 0 may stand for a slot with a child: the run's first leaf comes later */
		uint64_t leaves = ~n->kids >> i << i;
		uint32_t v = leaves ? leaf[__builtin_ctzll(leaves)] : 0;
		if (READ_ONCE(*val) != v)
			WRITE_ONCE(*val, v);
		val++;
	}
}

static struct fib4_node *node_build(struct fib4 *f, const struct fib4_wnode *w, uint64_t runs,
				    const uint32_t leaf[FIB4_SLOTS])
{
	unsigned n_kids = fib4_n_kids(w);
	unsigned n_runs = (unsigned)__builtin_popcountll(runs);
	struct fib4_node *n = fib4_alloc(f->arena, fib4_class(fib4_node_bytes(n_kids, n_runs)));
	if (!n)
		return NULL;
	n->kids = w->kids;
	n->runs = runs;
	for (unsigned i = 0; i < n_kids; i++)
		n->kid[i] = w->kid[i]->pub;
	run_values(n, leaf);
	return n;
}

static void node_idle(struct fib4 *f, struct fib4_node *n)
{
	size_t size = fib4_node_bytes((unsigned)__builtin_popcountll(n->kids),
				      (unsigned)__builtin_popcountll(n->runs));
	fib4_idle(f->arena, fib4_class(size), n);
}

/* ---- planning ---- */

static struct fib4_todo *todo_add(struct fib4 *f)
{
	if (f->n_todo == f->todo_cap) {
		size_t cap = f->todo_cap ? 2 * f->todo_cap : 4;
		struct fib4_todo *more = realloc(f->todo, cap * sizeof(*more));
		if (!more)
			return NULL;
		f->todo = more;
		f->todo_cap = cap;
	}
	return &f->todo[f->n_todo++];
}

/* Children before parents: a parent's new node holds their new addresses. */
static bool plan_node(struct fib4 *f, struct fib4_wnode *n, uint32_t inherit)
{
	struct fib4_node *old = n->pub;
	uint32_t leaf[FIB4_SLOTS], old_inherit = n->inherit;
	bool replaced = false;

	n->inherit = inherit;
	paint(n, leaf);
	for (uint64_t left = n->kids; left; left &= left - 1) {
		unsigned slot = (unsigned)__builtin_ctzll(left);
		struct fib4_wnode *kid = fib4_kid(n, slot);
		if (kid->inherit != leaf[slot] && !plan_node(f, kid, leaf[slot]))
			goto undo;
	}
	if (n->depth >= f->root->bits) {
		uint64_t runs = runs_of(n->kids, leaf);
		if (!old || old->kids != n->kids || old->runs != runs) {
			n->pub = node_build(f, n, runs, leaf);
			if (!n->pub)
				goto undo;
			replaced = true;
		}
	}
	struct fib4_todo *t = todo_add(f);
	if (t) {
		*t = (struct fib4_todo){n, old, old_inherit, replaced};
		return true;
	}
	if (replaced)
		node_idle(f, n->pub);
undo:
	n->pub = old;
	n->inherit = old_inherit;
	return false;
}

static void plan_undo(struct fib4 *f)
{
	for (size_t i = 0; i < f->n_todo; i++) {
		struct fib4_todo *t = &f->todo[i];
		if (t->replaced)
			node_idle(f, t->node->pub);
		t->node->pub = t->old;
		t->node->inherit = t->old_inherit;
	}
	f->n_todo = 0;
}

bool fib4_plan(struct fib4 *f, struct fib4_wnode *n)
{
	f->n_todo = 0;
	/* what is retired besides: the nodes of a pruned chain, one a depth */
	if (plan_node(f, n, n->inherit) &&
	    fib4_retire_reserve(f->arena, (unsigned)f->n_todo + 32 / FIB4_STRIDE + 1))
		return true;
	plan_undo(f);
	return false;
}

/* ---- committing ---- */

/* Address bits in front of a node, left aligned. */
static uint32_t node_prefix(const struct fib4_wnode *n)
{
	uint32_t prefix = 0;
	for (; n->parent; n = n->parent)
		prefix |= (uint32_t)((uint64_t)n->slot << (30 - n->parent->depth) >> 4);
	return prefix;
}

static void entry_set(uintptr_t *entry, uintptr_t e)
{
	__atomic_store_n(entry, e, __ATOMIC_RELEASE);
}

/* Shows a node above the root's depth: its slots are entries of the root. */
static void root_fill(struct fib4_root *r, const struct fib4_wnode *n)
{
	uint32_t leaf[FIB4_SLOTS];
	size_t at = (uint64_t)node_prefix(n) >> (32 - r->bits);
	size_t span = (size_t)1 << (r->bits - n->depth - FIB4_STRIDE);

	paint(n, leaf);
	for (unsigned slot = 0; slot < FIB4_SLOTS; slot++, at += span) {
		uintptr_t e = fib4_leaf(leaf[slot]);
		const struct fib4_wnode *kid = fib4_kid(n, slot);
		if (kid && kid->depth < r->bits)
			continue; /* shows itself */
		if (kid)
			e = (uintptr_t)kid->pub;
		for (size_t i = at; i < at + span; i++)
			if (READ_ONCE(r->entry[i]) != e)
				entry_set(&r->entry[i], e);
	}
}

static void node_show(struct fib4 *f, const struct fib4_wnode *n)
{
	struct fib4_root *r = f->root;
	const struct fib4_wnode *up = n->parent;

	if (n->depth == r->bits)
		entry_set(&r->entry[(uint64_t)node_prefix(n) >> (32 - r->bits)], (uintptr_t)n->pub);
	else if (up->pub->kids >> n->slot & 1)
		rcu_set_pointer(&up->pub->kid[fib4_rank(up->pub->kids, n->slot)], n->pub);
}

void fib4_commit(struct fib4 *f)
{
	uint32_t leaf[FIB4_SLOTS];

	for (size_t i = 0; i < f->n_todo; i++) {
		struct fib4_todo *t = &f->todo[i];
		struct fib4_wnode *n = t->node;
		if (n->depth < f->root->bits) {
			root_fill(f->root, n);
		} else if (t->replaced) {
			node_show(f, n);
			fib4_retire(f->arena, t->old);
		} else {
			paint(n, leaf);
			run_values(n->pub, leaf);
		}
	}
	f->n_todo = 0;
	if (f->todo_cap > 4096) { /* a short prefix over a large table: not every day */
		free(f->todo);
		f->todo = NULL;
		f->todo_cap = 0;
	}
}

/* ---- another root ---- */

void fib4_root_free(struct fib4_root *r)
{
	if (r)
		free(r->entry);
	free(r);
}

static void root_lapse(struct rcu_head *head)
{
	fib4_root_free(container_of(head, struct fib4_root, rcu));
}

size_t fib4_root_bytes(const struct fib4_root *r)
{
	return sizeof(*r) + (sizeof(uintptr_t) << r->bits);
}

struct fib4_root *fib4_root_new(unsigned bits)
{
	size_t bytes = sizeof(uintptr_t) << bits, huge = (size_t)2 << 20;
	struct fib4_root *r = malloc(sizeof(*r));

	if (!r)
		return NULL;
	r->bits = bits;
	if (bytes < huge) {
		r->entry = malloc(bytes);
	} else { /* one TLB entry for many random reads */
		r->entry = aligned_alloc(huge, bytes);
		if (r->entry)
			madvise(r->entry, bytes, MADV_HUGEPAGE);
	}
	if (!r->entry) {
		free(r);
		return NULL;
	}
	return r;
}

/* Makes the published nodes that a smaller root needs. They enter the todo list. */
static bool nodes_make(struct fib4 *f, struct fib4_wnode *n, unsigned from, unsigned to)
{
	uint32_t leaf[FIB4_SLOTS];

	if (n->depth >= to)
		return true;
	for (unsigned i = 0; i < fib4_n_kids(n); i++)
		if (!nodes_make(f, n->kid[i], from, to))
			return false;
	if (n->depth < from)
		return true;
	paint(n, leaf);
	n->pub = node_build(f, n, runs_of(n->kids, leaf), leaf);
	if (!n->pub)
		return false;
	struct fib4_todo *t = todo_add(f);
	if (t) {
		*t = (struct fib4_todo){n, NULL, n->inherit, true};
		return true;
	}
	node_idle(f, n->pub);
	n->pub = NULL;
	return false;
}

/* Fills a root from the nodes above its depth; they need no published node then. */
static void nodes_above(struct fib4 *f, struct fib4_root *r, struct fib4_wnode *n, bool retire)
{
	if (n->depth >= r->bits) {
		if (!n->parent)
			r->entry[0] = (uintptr_t)n->pub;
		return;
	}
	if (retire) {
		fib4_retire(f->arena, n->pub);
		n->pub = NULL;
	} else {
		root_fill(r, n);
	}
	for (unsigned i = 0; i < fib4_n_kids(n); i++)
		nodes_above(f, r, n->kid[i], retire);
}

static unsigned nodes_count(const struct fib4_wnode *n, unsigned below)
{
	unsigned count = n->depth < below;
	if (count)
		for (unsigned i = 0; i < fib4_n_kids(n); i++)
			count += nodes_count(n->kid[i], below);
	return count;
}

bool fib4_reroot(struct fib4 *f, unsigned bits)
{
	struct fib4_root *old = f->root, *r = fib4_root_new(bits);

	f->n_todo = 0;
	if (!r || !fib4_retire_reserve(f->arena, nodes_count(&f->top, bits)))
		goto fail;
	if (bits < old->bits && !nodes_make(f, &f->top, bits, old->bits))
		goto fail;
	f->n_todo = 0;
	/* readers are moved over before the nodes they no longer need are let go */
	nodes_above(f, r, &f->top, false);
	rcu_set_pointer(&f->root, r);
	if (bits)
		nodes_above(f, r, &f->top, true);
	call_rcu(&old->rcu, root_lapse);
	return true;
fail:
	plan_undo(f);
	fib4_root_free(r);
	return false;
}
