/*
 * sock_core: what the files of src/sock share.
 *
 * An instance has one struct sock_core: the families, the counter of ids, the limits of
 * net.core (which Linux keeps for the whole machine), and the device ioctls that ctl/ sets. A
 * namespace has one struct sock_net: the list of its sockets.
 */
#pragma once

#include "sock/sock.h"

#define SOCK_FAMILIES_MAX 8
#define INET_ROWS_MAX	  8
/* The least the kernel grants: two, or one, of its smallest TCP buffers. */
#define SOCK_MIN_SNDBUF (2 * (2048 + 256))
#define SOCK_MIN_RCVBUF (2048 + 256)

struct inet_row;

struct sock_core {
	struct weft *weft;
	struct sock_family family[SOCK_FAMILIES_MAX];
	unsigned n_families;
	uint64_t last_id;
	sock_ioctl_fn *dev_ioctl;
	const struct inet_row *inet_row[INET_ROWS_MAX]; /* inet.c */
	unsigned n_inet_rows;
	struct cds_list_head late; /* sock.link, of closed ones: to be put */
	struct timer put_late;
	/* net.core */
	int rmem_default, rmem_max, wmem_default, wmem_max, optmem_max, busy_read;
};

struct sock_net {
	struct cds_list_head socks;
	struct cds_list_head walks; /* struct sock_walk under way */
	unsigned n_socks;
	int somaxconn; /* what listen(2) will be held to */
};

/* sock_opt.c, sock_opt_get.c: SOL_SOCKET. */
int sock_opt_set(struct sock *sk, int name, const void *val, size_t len);
int sock_opt_get(struct sock *sk, int name, void *val, size_t *len);
