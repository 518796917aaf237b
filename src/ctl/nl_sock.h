/*
 * nl_sock: the inside of a netlink socket, shared by nl*.c alone.
 *
 * A socket is known by (namespace, protocol, port id), and by being on its namespace's list of
 * members while it has joined a group. One request is served at a time, on control; a dump under
 * way is kept in the socket and goes on whenever the reader has made room.
 */
#pragma once

#include <linux/rtnetlink.h>

#include "ctl/nl.h"
#include "run/instance.h"

#define NL_GROUPS_MAX	512
#define NL_PROTOCOLS	32
#define NL_HANDLERS_MAX 8 /* families that serve one message type */

struct nl_dump_run;

struct nl_sock {
	struct sock sk; /* first */
	struct cds_lfht_node node;
	struct cds_list_head member; /* in nl_net.members; empty: joined nothing */
	struct cds_list_head all_nsid_link;
	uint32_t portid;
	bool bound, connected, member_on, hashed;
	uint32_t dst_portid, dst_group;
	uint64_t groups[NL_GROUPS_MAX / 64];
	unsigned n_joined;
	bool pktinfo, broadcast_error, no_enobufs, all_nsid, cap_ack, ext_ack, strict;
	bool congested; /* ENOBUFS was said; multicasts are lost until the queue is empty */
	struct nl_dump_run *dump;
};

/* A dump under way. */
struct nl_dump_run {
	struct nl_dump d;
	const struct nl_handler *h;
	bool over;  /* the handler has said its last; DONE is still to be sent */
	int status; /* for DONE */
	bool busy;  /* inside nl_dump_go_on(), whose send may run the reader */
	struct nlmsghdr *nlh;
};

/* A protocol that somebody serves. */
struct nl_proto {
	const struct nl_family *family;
	unsigned n_types;
	const struct nl_handler *(*by_type)[NL_HANDLERS_MAX];
};

struct nl {
	struct weft *weft;
	struct cds_lfht *socks; /* by (net, protocol, port id) */
	struct nl_proto proto[NL_PROTOCOLS];
	struct cds_list_head all_nsid; /* sockets that listen to all namespaces */
	int32_t rover;
	const struct nl_resolver *resolver;
	void *ctrl;	      /* genl's */
	struct event_sub sub; /* rtnl's */
	bool holding;	      /* rtnl_link_new: news of new devices waits */
	struct netdev *held[2];
};

struct nl_net {
	struct cds_list_head members[2]; /* of NETLINK_ROUTE, of all else */
};

static inline struct nl_sock *nl_sk(struct sock *sk)
{
	return container_of(sk, struct nl_sock, sk);
}

static inline struct cds_list_head *nl_members(struct net *net, int protocol)
{
	return &net->nl->members[protocol != NETLINK_ROUTE];
}

struct nl_sock *nl_find(struct nl *nl, const struct net *net, int protocol, uint32_t portid);
/* Gives an unbound socket its port id: the process's, or a random one. */
int nl_autobind(struct nl_sock *s);

/* Queues one datagram from port `from`, of `group`; false: the reader is full and was told. */
bool nl_queue(struct nl_sock *to, uint32_t from, uint32_t group, const void *msgs, size_t len,
	      int nsid);
/* The reader lost something: ENOBUFS, once. */
void nl_overrun(struct nl_sock *s);

/* Serves what a program sent to the kernel. */
void nl_serve(struct nl_sock *s, const void *data, size_t len);
int nl_ack(struct nl_req *r, int err);
/* Bytes of extended ACK, and writing them; see nl_ack(). */
size_t nl_ext_size(const struct nl_sock *s, const struct extack *ext, int err);
void nl_ext_put(struct nlmsghdr *nlh, const struct extack *ext, int err, size_t req_len);

/* 0: started (its answers follow); -errno. */
int nl_dump_start(struct nl_req *r, const struct nl_handler *h);
/* Fills and sends the next datagram while the reader has room. */
void nl_dump_go_on(struct nl_sock *s);
void nl_dump_drop(struct nl_sock *s);
/* What s dumps is no more: its next datagram is the last, with err. */
void nl_dump_end_now(struct nl_sock *s, int err);
/* Whatever protocol served by messages of `type`, and groups group0 to group0 + n - 1, is gone:
 * dumps of it end, members leave. */
void nl_type_gone(struct weft *weft, int protocol, uint16_t type, unsigned group0, unsigned n);
