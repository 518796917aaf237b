/*
 * files_core: the tree that files.c walks, shared by files*.c alone.
 *
 * The tree is made of rows (struct file_row), a table of them a directory. A place in it is a
 * struct file_at: a row and what it is about there: the same rows of "/sys/class/net/<dev>" serve
 * every device, the place says which. Directories whose names are made of devices, queues or
 * settings have a find() and a list() besides their rows, so that a look-up is one step a
 * component, whatever number of devices there is.
 *
 * A new file below /proc/net is one row in files_proc.c and one show function; a new attribute of
 * devices is one row in files_sys.c; a new setting needs nothing here (net/sysctl.h).
 *
 * Control thread.
 */
#pragma once

#include <stdio.h>

#include "ctl/files.h"
#include "run/instance.h"

struct file_row;
struct sysctl_node;

struct file_at {
	struct net *net;
	const struct file_row *row;
	struct netdev *dev;		/* below a device, or the device a name stands for */
	struct netdev *other;		/* of a link to a device above or below dev */
	unsigned index;			/* of a queue */
	const struct sysctl_node *node; /* below /proc/sys/net */
	const char *which;		/* there: "all", "default"; NULL: dev */
};

/* Collects names for files_list(). */
struct file_emit {
	void (*fn)(void *arg, const char *name, const struct file_stat *st);
	void *arg;
};

struct file_dir {
	const struct file_row *rows; /* name NULL ends; may be NULL */
	/* Moves *at from the directory to the entry; false: no such name. Optional. */
	bool (*find)(struct file_at *at, const char *name);
	/* Calls file_emit() for each entry that is not a row. Optional. */
	void (*list)(const struct file_at *dir, const struct file_emit *e);
};

/* A directory has dir, a link has target, a file has show, print or store. */
struct file_row {
	const char *name;
	uint16_t mode;
	uint16_t (*mode_in)(const struct file_at *at); /* NULL: mode, everywhere */
	const struct file_dir *dir;
	/* What readlink(2) says, and the step to what that is. */
	void (*target)(const struct file_at *at, char *to, size_t room);
	void (*follow)(struct file_at *at);
	int (*show)(const struct file_at *at, FILE *out);
	/* For files that are about the whole namespace. */
	void (*print)(struct net *net, FILE *out);
	/* text ends with NUL, len is without it. */
	int (*store)(const struct file_at *at, const char *text, size_t len);
	bool (*exists)(const struct file_at *at); /* NULL: it does */
};

struct files {
	struct sysctl_node *sysctls; /* "net" */
};

/* Tells of one entry; at is where it is. */
void file_emit(const struct file_emit *e, const char *name, const struct file_at *at);
/* A file of a row of a directory; NULL. */
const struct file_row *file_row_find(const struct file_row *rows, const char *name);
/* A device of exactly this name; alternative names are no files. */
struct netdev *file_dev_find(struct net *net, const char *name);
/* The number that a store gives, read as the kernel does: base by prefix, one newline. */
int file_read_ulong(const char *text, unsigned long *v);

/* files_proc.c */
extern const struct file_dir files_proc_net;
/* files_ip4.c */
void files_route(struct net *net, FILE *out);
void files_arp(struct net *net, FILE *out);
void files_snmp(struct net *net, FILE *out);
void files_netstat(struct net *net, FILE *out);
void files_igmp(struct net *net, FILE *out);
void files_mcfilter(struct net *net, FILE *out);
void files_arp_cache(struct net *net, FILE *out);
void files_rt_cache(struct net *net, FILE *out);
void files_rt_stat(struct net *net, FILE *out);
/* files_fib_trie.c */
void files_fib_trie(struct net *net, FILE *out);
void files_fib_triestat(struct net *net, FILE *out);
/* files_vlan.c */
extern const struct file_dir files_proc_vlan;
bool files_has_vlan(const struct file_at *at);
/* files_sysctl.c */
extern const struct file_dir files_proc_sys;
int files_sysctl_init(struct files *f, struct weft *weft);
void files_sysctl_fini(struct files *f);
/* files_sys.c */
extern const struct file_row files_sys_roots[]; /* /sys/class/net first; name NULL ends */
/* files_queues.c */
extern const struct file_dir files_queues;
