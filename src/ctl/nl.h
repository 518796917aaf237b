/*
 * nl: netlink sockets and the request machinery behind every family.
 *
 * A family (rtnetlink, generic netlink) registers handlers by message type. nl checks the header,
 * parses attributes against the handler's policy with the kernel's rules (strict where the kernel
 * is strict, NETLINK_GET_STRICT_CHK for dumps), calls the handler, and sends what it built, then
 * the ACK or error as a datagram of its own. Errors carry the kernel's extended ACK when the socket
 * asked (NETLINK_EXT_ACK, NETLINK_CAP_ACK).
 *
 * Dumps: `dump` is called again and again with the same nl_dump until it returns 0; it stops when
 * nl_dump_msg() says that the buffer is full. A dump goes on only while the reader keeps up, so it
 * holds bounded memory. If d->seq changes between calls the messages from then on bear
 * NLM_F_DUMP_INTR.
 *
 * Messages are built with libmnl (mnl_nlmsg_put_*, mnl_attr_put_*). All on control.
 */
#pragma once

#include <libmnl/libmnl.h>
#include <linux/netlink.h>

#include "sock/sock.h"

#define NL_MSG_MAX (128 * 1024) /* the largest message built */

struct nl_sock; /* a netlink socket: struct sock first */
struct nl;
struct nl_req;

/* ---- attributes ---- */

enum nla_kind {
	NLA_K_UNSPEC, /* any bytes, at least `len` */
	NLA_K_U8,
	NLA_K_U16,
	NLA_K_U32,
	NLA_K_U64,
	NLA_K_S32, /* min and max as int32_t */
	NLA_K_FLAG,
	NLA_K_STRING,	  /* at most len bytes, NUL optional */
	NLA_K_NUL_STRING, /* must end in NUL, at most len + 1 */
	NLA_K_BINARY,	  /* at most len bytes */
	NLA_K_EXACT,	  /* exactly len bytes */
	NLA_K_NESTED,	  /* by `nested` (n_nested rows), or any when NULL */
	NLA_K_REJECT,
	NLA_K_BITFIELD32,
};

/* One row an attribute type; drives parsing, validation and documentation. */
struct nla_policy {
	uint16_t type;
	uint8_t kind;
	uint8_t strict_start; /* this and greater types are checked strictly by all */
	uint32_t len;	      /* limit by kind */
	uint32_t min, max;    /* integers: range when max > 0 */
	uint32_t mask;	      /* U32: the bits that may be set; 0: all */
	const struct nla_policy *nested;
	uint16_t n_nested;
	const char *name; /* "IFLA_MTU" */
};

enum nl_strict {
	NL_LIBERAL, /* unknown types ignored, trailing bytes ignored */
	NL_STRICT, /* unknown types, trailing bytes and bad lengths refused, with the kernel's texts
		    */
	NL_DSTRICT, /* unknown types and trailing bytes refused: what older dumps check */
};

/* Parses attributes into tb[0..max] by type. 0 or -EINVAL/-ERANGE/-EOPNOTSUPP with ext set as the
 * kernel's __nla_parse does. Depth of nesting is bounded. base: start of the message, for offsets.
 */
int nl_parse(const struct nlattr **tb, unsigned max, const void *attrs, size_t len,
	     const struct nla_policy *policy, unsigned n_policy, enum nl_strict strict,
	     const void *base, struct extack *ext);
int nl_parse_nested(const struct nlattr **tb, unsigned max, const struct nlattr *nest,
		    const struct nla_policy *policy, unsigned n_policy, enum nl_strict strict,
		    const void *base, struct extack *ext);

/* Checked reads: an attribute shorter than the type yields 0. */
static inline uint32_t nl_get_u32(const struct nlattr *a)
{
	return mnl_attr_get_payload_len(a) >= 4 ? mnl_attr_get_u32(a) : 0;
}

static inline uint8_t nl_get_u8(const struct nlattr *a)
{
	return mnl_attr_get_payload_len(a) >= 1 ? mnl_attr_get_u8(a) : 0;
}

/* Copies a string attribute, always ending it; the length it had. */
size_t nl_get_str(char *to, size_t room, const struct nlattr *a);
/* A nest without NLA_F_NESTED, as the older families write them; end with mnl_attr_nest_end(). */
struct nlattr *nl_nest(struct nlmsghdr *nlh, uint16_t type);

/* Refuses the request because of one attribute: text and its offset. */
int nl_bad_attr(struct nl_req *r, const struct nlattr *a, int err, const char *msg);

/* ---- requests ---- */

struct nl_req {
	struct nl_sock *nlsk;
	struct sock *sk;
	struct net *net; /* the socket's */
	struct weft *weft;
	const struct nlmsghdr *nlh;
	uint32_t portid;
	bool strict; /* NETLINK_GET_STRICT_CHK */
	struct extack ext;
	uint32_t pid; /* of the client process: for IFLA_NET_NS_FD and its like */
};

/* Queues a datagram (one or more whole messages) for the requester. 0 or -ENOBUFS. */
int nl_reply(struct nl_req *r, const void *msgs, size_t len);

struct nl_dump {
	struct nl_req req; /* nlh points to a copy of the request */
	uint8_t *buf;	   /* one datagram being filled */
	size_t len, room;
	uint32_t seq, prev_seq; /* set seq each call: a change marks DUMP_INTR */
	uint64_t state[16];	/* the handler's, zero at first */
	void *ptr;		/* the handler's own, freed by done */
	void (*done)(struct nl_dump *d);
	bool filtered; /* NLM_F_DUMP_FILTERED */
	bool intr;     /* NLM_F_DUMP_INTR from now on */
	bool started;  /* prev_seq holds */
};

/* Starts a message in the dump's datagram: type, flags NLM_F_MULTI, the requester's seq and port;
 * NULL: the datagram is full, return 1 and be called again. `payload`: most bytes it may take. */
struct nlmsghdr *nl_dump_msg(struct nl_dump *d, uint16_t type, size_t payload);
/* Ends it (nlh->nlmsg_len is final); `false` undoes the message. */
void nl_dump_end(struct nl_dump *d, struct nlmsghdr *nlh, bool keep);

/* ---- families ---- */

struct nl_handler {
	uint16_t type; /* RTM_NEWLINK, ... */
	int family;    /* AF_* that it serves; AF_UNSPEC: any without its own row */
	int (*doit)(struct nl_req *r);
	/* 0: finished; 1: datagram full, call again; -errno. */
	int (*dump)(struct nl_dump *d);
	uint8_t flags;
	/* Optional: a dump begins; an error refuses it as a request that is no dump would be. */
	int (*start)(struct nl_dump *d);
};
#define NL_H_BULK_DEL	1
#define NL_H_SPLIT_DONE 2 /* NLMSG_DONE never shares a datagram with the dump's messages */

struct nl_family {
	int protocol; /* NETLINK_ROUTE, NETLINK_GENERIC, ... */
	unsigned n_groups;
	/* One request; called with nlh checked. Default (NULL): looks into handlers. */
	int (*rcv)(struct nl_req *r);
	/* First handler rows are found by hash of (type, family). */
	const struct nl_handler *const
		*handlers; /* NULL-terminated array of tables, type 0 ends one */
	/* May this group be joined? NULL: yes. */
	int (*bind_group)(struct net *net, unsigned group);
};

int nl_init(struct weft *weft); /* registers AF_NETLINK */
void nl_fini(struct weft *weft);
int nl_net_init(struct net *net);
void nl_net_fini(struct net *net);
int nl_register(struct weft *weft, const struct nl_family *f);

/* The content of /proc/net/netlink. */
void nl_show(struct net *net, FILE *out);

/* Is anyone listening? Saves building what nobody reads. */
bool nl_has_listeners(struct net *net, int protocol, unsigned group);
/* Sends to all members of the group in net (and to LISTEN_ALL_NSID sockets of other namespaces).
 * Listeners that are full get ENOBUFS. `except`: port id that is left out unless it asked for echo.
 */
void nl_multicast(struct net *net, int protocol, unsigned group, const void *msgs, size_t len,
		  uint32_t except);
/* One datagram to one port. */
int nl_unicast(struct net *net, int protocol, uint32_t portid, const void *msgs, size_t len);

/* The namespace that a request names by descriptor or pid: set by the daemon, which alone knows
 * its clients. Returns a reference; NULL with *err. */
struct nl_resolver {
	struct net *(*by_fd)(struct weft *weft, uint32_t pid, int fd, int *err);
	struct net *(*by_pid)(struct weft *weft, uint32_t pid, int *err);
};
void nl_set_resolver(struct weft *weft, const struct nl_resolver *r);
const struct nl_resolver *nl_resolver(struct weft *weft);
