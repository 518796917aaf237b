/*
 * htab: the writer's half.
 *
 * The array's index is the hash's top bits, so that growth spreads each bucket over two that lie
 * side by side, and a copy runs through both arrays in order. The lowest bit of a hash is lost (it
 * says that the slot is taken); the rest is all that a copy needs, entries are not touched.
 */
#include "base/htab.h"

#define HTAB_MIN_SHIFT 28 /* 16 buckets */
#define HTAB_STEP      16 /* buckets copied by each add and del */
#define HTAB_FULL      3  /* entries a bucket, at which the table grows; at a sixth it shrinks */

/* ---- arrays ---- */

static struct htab_array *array_new(unsigned shift)
{
	size_t n = (size_t)1 << (32 - shift);
	struct htab_array *a = calloc(1, sizeof(*a));

	if (!a)
		return NULL;
	/* calloc, and not line_alloc: the pages of a large one are zeroed as they are used */
	a->mem = calloc(1, n * sizeof(*a->bucket) + CACHE_LINE - 1);
	if (!a->mem) {
		free(a);
		return NULL;
	}
	a->bucket = (void *)align_up((uintptr_t)a->mem, CACHE_LINE);
	a->mask = n - 1;
	a->shift = shift;
	return a;
}

static void array_free(struct htab_array *a)
{
	free(a->mem);
	free(a);
}

static void array_free_rcu(struct rcu_head *head)
{
	array_free(container_of(head, struct htab_array, rcu));
}

/* There is room. */
static void array_add(struct htab_array *a, uint32_t tag, void *p)
{
	struct htab_bucket *b;
	unsigned s;

	for (size_t at = htab_home(a, tag);; at = (at + 1) & a->mask) {
		b = &a->bucket[at];
		for (s = 0; s < HTAB_SLOTS && b->tag[s]; s++)
			;
		if (s < HTAB_SLOTS)
			break;
		__atomic_store_n(&b->passed, b->passed + 1, __ATOMIC_RELEASE);
	}
	__atomic_store_n(&b->p[s], p, __ATOMIC_RELEASE);
	__atomic_store_n(&b->tag[s], tag, __ATOMIC_RELEASE);
}

/* Where p is: its bucket, and its slot in *slot; NULL: it is not there. */
static struct htab_bucket *array_where(struct htab_array *a, uint32_t tag, const void *p,
				       unsigned *slot)
{
	size_t at = htab_home(a, tag);

	for (size_t i = 0; i <= a->mask; i++, at = (at + 1) & a->mask) {
		struct htab_bucket *b = &a->bucket[at];

		for (*slot = 0; *slot < HTAB_SLOTS; ++*slot)
			if (b->tag[*slot] == tag && b->p[*slot] == p)
				return b;
		if (!b->passed)
			break;
	}
	return NULL;
}

static bool array_del(struct htab_array *a, uint32_t tag, const void *p)
{
	unsigned s;
	struct htab_bucket *b = array_where(a, tag, p, &s);

	if (!b)
		return false;
	__atomic_store_n(&b->tag[s], 0, __ATOMIC_RELEASE);
	__atomic_store_n(&b->p[s], NULL, __ATOMIC_RELEASE);
	for (size_t at = htab_home(a, tag); &a->bucket[at] != b; at = (at + 1) & a->mask)
		__atomic_store_n(&a->bucket[at].passed, a->bucket[at].passed - 1, __ATOMIC_RELEASE);
	return true;
}

/* ---- from one array to the next ---- */

static void copy_some(struct htab_array *a)
{
	struct htab_array *was = a->was;

	for (unsigned i = 0; i < HTAB_STEP && a->copied <= was->mask; i++, a->copied++) {
		const struct htab_bucket *b = &was->bucket[a->copied];

		for (unsigned s = 0; s < HTAB_SLOTS; s++)
			if (b->tag[s])
				array_add(a, b->tag[s], b->p[s]);
	}
	if (a->copied > was->mask) {
		__atomic_store_n(&a->was, NULL, __ATOMIC_RELEASE);
		call_rcu(&was->rcu, array_free_rcu);
	}
}

/* Copies on, or begins to when it is time. Without memory the table stays as it is. */
static void keep_size(struct htab *h)
{
	struct htab_array *a = h->now, *new;
	size_t n_buckets = a->mask + 1;
	unsigned shift = a->shift;

	if (a->was) {
		copy_some(a);
		return;
	}
	if (h->n >= n_buckets * HTAB_FULL && shift > 1)
		shift--;
	else if (h->n < n_buckets * HTAB_FULL / 6 && shift < HTAB_MIN_SHIFT)
		shift++;
	if (shift == a->shift)
		return;
	new = array_new(shift);
	if (!new)
		return;
	h->grows += shift < a->shift;
	new->was = a;
	rcu_assign_pointer(h->now, new);
}

/* ---- the table ---- */

int htab_init(struct htab *h)
{
	*h = (struct htab){.now = array_new(HTAB_MIN_SHIFT)};
	return h->now ? 0 : -ENOMEM;
}

void htab_fini(struct htab *h)
{
	struct htab_array *a = h->now;

	h->now = NULL;
	h->n = 0;
	if (a && a->was)
		call_rcu(&a->was->rcu, array_free_rcu);
	if (a)
		call_rcu(&a->rcu, array_free_rcu);
}

int htab_add(struct htab *h, uint32_t hash, void *p)
{
	keep_size(h);
	/* One bucket's worth stays free: searches end. */
	if (h->n >= (h->now->mask + 1) * HTAB_SLOTS - HTAB_SLOTS)
		return -ENOMEM;
	array_add(h->now, htab_tag(hash), p);
	h->n++;
	return 0;
}

bool htab_del(struct htab *h, uint32_t hash, const void *p)
{
	uint32_t tag = htab_tag(hash);
	struct htab_array *was;
	bool had;

	keep_size(h);
	was = h->now->was;
	had = array_del(h->now, tag, p);
	if (was)
		had |= array_del(was, tag, p);
	h->n -= had;
	return had;
}
