/*
 * table: a hash table of things that have a number: namespaces by ino, tokens by inode,
 * connections by process.
 *
 * Chained, intrusive, doubling as it fills; several items may have one number. For the control
 * thread alone (what workers read is in cds_lfht). Items are their owners'.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <urcu/list.h>

struct table_item {
	struct cds_list_head link;
	uint64_t key;
};

struct table {
	struct cds_list_head *heads;
	unsigned bits;
	size_t n;
};

/* 0 or -ENOMEM. */
int table_init(struct table *t);
/* Of an empty table, or one that never was. */
void table_fini(struct table *t);
void table_add(struct table *t, struct table_item *i, uint64_t key);
void table_del(struct table *t, struct table_item *i);
/* The first item of key; the next one with the key of i. NULL: none. */
struct table_item *table_first(const struct table *t, uint64_t key);
struct table_item *table_next(const struct table *t, const struct table_item *i);
