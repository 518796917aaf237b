/*
 * files: /proc/net, /proc/sys/net and /sys/class/net as one table of (path, show, store).
 *
 * Rows of fixed paths; rows below /sys/class/net/<dev>/ and /proc/net/dev_snmp6/<dev> exist once a
 * device; /proc/sys/net comes from the sysctl table (net/sysctl.h). The daemon asks by path, as a
 * program in a namespace would; nothing here does I/O.
 *
 * Control thread.
 */
#pragma once

#include "net/net.h"

struct files;

enum file_kind { FILE_NONE, FILE_REG, FILE_DIR, FILE_LINK };

struct file_stat {
	enum file_kind kind;
	uint16_t mode;
	char target[128]; /* of a link */
};

int files_init(struct weft *weft);
void files_fini(struct weft *weft);

/* What is at an absolute, normalised path, seen from net; kind FILE_NONE: ENOENT. */
int files_stat(struct net *net, const char *path, struct file_stat *st);
/* Writes the content. 0 or -errno. */
int files_show(struct net *net, const char *path, FILE *out);
/* One write(2) of text. 0 or -errno. */
int files_store(struct net *net, const char *path, const char *text, size_t len);
/* Names in a directory; calls fn for each. 0, -ENOENT, -ENOTDIR. */
int files_list(struct net *net, const char *path,
	       void (*fn)(void *arg, const char *name, const struct file_stat *st), void *arg);
