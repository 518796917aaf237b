/*
 * sysctl: the values behind /proc/sys/net, kept in plain structs that workers read.
 *
 * A module declares rows: path below /proc/sys ("net/ipv4/ip_forward"), type, where the value
 * lives, range, and a hook for what a change entails. Rows with a "%s" in their path exist once a
 * device and for "all" and "default" (net/ipv4/conf/%s/forwarding). ctl/procfs.c lists, shows and
 * stores them; nothing else reads this table on the packet path.
 *
 * Control thread. Values are single words, stored with WRITE_ONCE.
 */
#pragma once

#include "base/extack.h"
#include "net/net.h"

enum sysctl_type {
	SYSCTL_INT,	/* decimal int in [min, max] */
	SYSCTL_UINT,	/* decimal unsigned (uint32_t) */
	SYSCTL_INT2,	/* two ints, tab between */
	SYSCTL_INT3,	/* three ints, tabs between */
	SYSCTL_MS,	/* shown in ms, stored in ns (uint64_t) */
	SYSCTL_SEC,	/* shown in s, stored in ns (uint64_t) */
	SYSCTL_JIFFIES, /* shown in USER_HZ (1/100 s), stored in ns (uint64_t) */
	SYSCTL_ULONG,	/* uint64_t */
	SYSCTL_ULONG3,	/* three uint64_t, tabs between */
	SYSCTL_STRING,	/* through show and store */
};

/* What Linux keeps for the whole machine can be changed in its first namespace only; the others see
 * it read-only, or not at all. */
enum sysctl_scope { SYSCTL_NET, SYSCTL_FIRST_WRITES, SYSCTL_FIRST };

struct sysctl_row {
	const char *path; /* "net/ipv4/ip_forward", "net/ipv4/conf/%s/rp_filter" */
	enum sysctl_type type;
	uint16_t mode; /* 0644, 0444, ... */
	int64_t min, max;
	/* Where the value is. dev: the device of a "%s" row, NULL with which = "all" or "default".
	 * NULL means the row does not exist for it. */
	void *(*where)(struct net *net, struct netdev *dev, const char *which);
	/* After a store that changed the value: old and new (first int). Optional. */
	void (*changed)(struct net *net, struct netdev *dev, const char *which, int64_t old,
			int64_t now);
	/* SYSCTL_STRING: write the text (with newline) or take it; -errno. */
	void (*show)(struct net *net, struct netdev *dev, FILE *out);
	int (*store)(struct net *net, struct netdev *dev, const char *text);
	enum sysctl_scope scope;
};

/* Adds a module's rows (static memory, path NULL ends them) to an instance's table. */
struct sysctl_table;
struct sysctl_table *sysctl_table_new(void);
void sysctl_table_free(struct sysctl_table *t);
int sysctl_add(struct sysctl_table *t, const struct sysctl_row *rows);
/* All rows added so far, in order of adding; index from 0; NULL at the end. */
const struct sysctl_row *sysctl_row_at(const struct sysctl_table *t, unsigned index);

/* Where the row's value is as seen from net, NULL: it has none there; and the file's mode. */
void *sysctl_where(struct net *net, const struct sysctl_row *r, struct netdev *dev,
		   const char *which);
uint16_t sysctl_mode(const struct net *net, const struct sysctl_row *r);

/* Reads and writes one value as text, as cat and echo would. 0 or -errno (-EINVAL for a bad value;
 * of several, those before it are stored, as in Linux). */
int sysctl_show(struct net *net, const struct sysctl_row *r, struct netdev *dev, const char *which,
		FILE *out);
int sysctl_store(struct net *net, const struct sysctl_row *r, struct netdev *dev, const char *which,
		 const char *text);
