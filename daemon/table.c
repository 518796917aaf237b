/* table: see table.h. */
#include "table.h"

#include <errno.h>
#include <stdlib.h>

#include "base/rand.h"

#define BITS_MIN 6
#define BITS_MAX 24

static struct cds_list_head *heads_new(unsigned bits)
{
	struct cds_list_head *heads = malloc(sizeof(*heads) << bits);

	for (size_t i = 0; heads && i < (size_t)1 << bits; i++)
		CDS_INIT_LIST_HEAD(&heads[i]);
	return heads;
}

static struct cds_list_head *head_of(const struct table *t, uint64_t key)
{
	return &t->heads[hash_u64(key) >> (32 - t->bits)];
}

int table_init(struct table *t)
{
	t->bits = BITS_MIN;
	t->n = 0;
	t->heads = heads_new(t->bits);
	return t->heads ? 0 : -ENOMEM;
}

void table_fini(struct table *t)
{
	free(t->heads);
	t->heads = NULL;
}

/* Without memory it stays as it is, and slower. */
static void grow(struct table *t)
{
	struct table old = *t;
	struct table_item *i, *next;

	t->heads = heads_new(++t->bits);
	if (!t->heads) {
		*t = old;
		return;
	}
	for (size_t at = 0; at < (size_t)1 << old.bits; at++)
		cds_list_for_each_entry_safe (i, next, &old.heads[at], link)
			cds_list_add_tail(&i->link, head_of(t, i->key));
	free(old.heads);
}

void table_add(struct table *t, struct table_item *i, uint64_t key)
{
	if (t->n >> t->bits && t->bits < BITS_MAX)
		grow(t);
	i->key = key;
	cds_list_add_tail(&i->link, head_of(t, key));
	t->n++;
}

void table_del(struct table *t, struct table_item *i)
{
	cds_list_del(&i->link);
	t->n--;
}

static struct table_item *from(const struct table *t, struct cds_list_head *at, uint64_t key)
{
	struct cds_list_head *head = head_of(t, key);

	for (; at != head; at = at->next) {
		struct table_item *i = caa_container_of(at, struct table_item, link);
		if (i->key == key)
			return i;
	}
	return NULL;
}

struct table_item *table_first(const struct table *t, uint64_t key)
{
	return from(t, head_of(t, key)->next, key);
}

struct table_item *table_next(const struct table *t, const struct table_item *i)
{
	return from(t, i->link.next, i->key);
}
