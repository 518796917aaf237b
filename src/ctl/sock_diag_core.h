/*
 * sock_diag_core: what the files of sock_diag share.
 */
#pragma once

#include <linux/inet_diag.h>
#include <linux/sock_diag.h>

#include "ctl/nl.h"
#include "ctl/sock_diag.h"
#include "sock/inet.h"

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

/* id: sock.id, or what else names it. */
void sock_diag_cookie(uint64_t id, uint32_t cookie[2]);
/* -ESTALE: the request was about another socket. */
int sock_diag_check_cookie(uint64_t id, const uint32_t cookie[2]);
/* The array SK_MEMINFO_*; bytes that wait to be read and to be sent. */
void sock_diag_put_meminfo(struct nlmsghdr *nlh, uint16_t type, const struct sock *sk, size_t rmem,
			   size_t wmem);

/* ---- sock_diag_inet.c: AF_INET; sock_diag_tcp.c ---- */

struct sock_diag_query {
	const struct inet_diag_req_v2 *req;
	uint32_t protocol;
	const void *bytecode; /* checked; NULL: none */
	size_t bytecode_len;
};

/* A protocol's part. */
struct sock_diag_proto {
	uint32_t protocol;
	/* As those of struct nl_handler. */
	int (*start)(struct nl_dump *d, const struct sock_diag_query *q);
	int (*dump)(struct nl_dump *d, const struct sock_diag_query *q);
	/* The message about the one that is asked for, its header made. 0 or -errno. */
	int (*get)(struct nl_req *r, const struct sock_diag_query *q, struct nlmsghdr *nlh);
	int (*destroy)(struct nl_req *r, const struct sock_diag_query *q);
};
extern const struct sock_diag_proto sock_diag_tcp;

enum { SOCK_DIAG_MSG_ROOM = sizeof(struct inet_diag_msg) + 1024 }; /* and all attributes */

static inline bool sock_diag_wants(const struct sock_diag_query *q, unsigned what)
{
	return q->req->idiag_ext & (1u << (what - 1));
}
struct sock_diag_entry;
/* Do ports and filter take it? */
bool sock_diag_selected(const struct sock_diag_query *q, const struct sock_diag_entry *e);
/* A socket's attributes that are asked for, in the kernel's order: those of all protocols. */
void sock_diag_put_inet(struct nlmsghdr *nlh, const struct sock_diag_query *q,
			const struct inet_sock *in, size_t rmem, size_t wmem);

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
