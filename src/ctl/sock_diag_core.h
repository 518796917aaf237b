/*
 * sock_diag_core: what the files of sock_diag share.
 */
#pragma once

#include <linux/inet_diag.h>
#include <linux/sock_diag.h>

#include "ctl/nl.h"
#include "ctl/sock_diag.h"

/* A family of sockets. */
struct sock_diag_family {
	int family;
	size_t req_size;
	struct nl_handler dump; /* start checks the request */
	/* Optional. An error refuses any request, dumps too. */
	int (*check)(struct nl_req *r);
	/* About one socket; NULL: -EOPNOTSUPP. */
	int (*get)(struct nl_req *r);
	int (*destroy)(struct nl_req *r);
};

extern const struct sock_diag_family sock_diag_inet, sock_diag_inet6, sock_diag_packet,
	sock_diag_netlink;

/* Dumps sockets one by one: `fill` adds the message of sk (0, or 1: the datagram is full), or
 * leaves it out (0). For nl_handler.dump; sock_diag_dump_start() first. */
int sock_diag_dump(struct nl_dump *d, int (*fill)(struct nl_dump *d, struct sock *sk));
int sock_diag_dump_start(struct nl_dump *d);

void sock_diag_cookie(const struct sock *sk, uint32_t cookie[2]);
/* -ESTALE: the request was about another socket. */
int sock_diag_check_cookie(const struct sock *sk, const uint32_t cookie[2]);
/* The array SK_MEMINFO_*. */
void sock_diag_put_meminfo(struct nlmsghdr *nlh, uint16_t type, const struct sock *sk);

/* ---- sock_diag_bc.c: filters ---- */

/* What a filter looks at. Ports in host order, addresses be32. */
struct sock_diag_entry {
	uint32_t saddr, daddr;
	uint16_t sport, dport;
	uint32_t ifindex, mark;
	bool auto_port; /* the port was not the program's choice */
};

/* 0, or -EINVAL: no such code, or a jump that leads nowhere. */
int sock_diag_bc_check(const void *bytecode, size_t len);
/* len as it was checked. */
bool sock_diag_bc_run(const void *bytecode, size_t len, const struct sock_diag_entry *e);
