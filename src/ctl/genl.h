/*
 * genl: generic netlink: families of commands found by name.
 *
 * A family is a table: its commands, what attributes they take (an nla_policy table, which drives
 * parsing, validation, and what `genl ctrl policy` shows), its multicast groups. genl gives it an
 * id, checks each request as Linux's genetlink.c does, and calls the command's function. The family
 * "nlctrl" (genl_ctrl.c) tells programs of all of them.
 *
 * A new family is one file and one row of `families` in genl.c. One that comes and goes while the
 * instance runs calls genl_register() and genl_unregister(), and listeners of nlctrl's group hear
 * of it.
 *
 * A command's `dump` is nl.h's; `start`, when there is one, sees the request first and may refuse
 * it; what it keeps in nl_dump.ptr, nl_dump.done frees. Attributes point into the dump's own copy
 * of the request, so they may be kept as long as the dump lives.
 *
 * Who may use a socket of the instance may configure it: GENL_ADMIN_PERM is shown, not enforced.
 *
 * Control thread.
 */
#pragma once

#include <linux/genetlink.h>

#include "ctl/nl.h"

struct genl_info {
	struct nl_req *r;
	const struct genl_family *family;
	const struct genlmsghdr *hdr;
	const void *user_hdr;	  /* family->hdrsize bytes; NULL: it has none */
	const struct nlattr **tb; /* [op->maxattr + 1] */
};

/* One command; `doit` and `dump` of one command whose rules differ are two rows. */
struct genl_op {
	uint8_t cmd;
	uint8_t flags;		  /* GENL_ADMIN_PERM, GENL_UNS_ADMIN_PERM */
	enum nl_strict doit_mode; /* NL_LIBERAL: from before attributes were checked strictly */
	enum nl_strict dump_mode;
	const struct nla_policy *policy;
	unsigned n_policy, maxattr;
	int (*doit)(struct genl_info *info);
	int (*start)(struct nl_dump *d, const struct genl_info *info);
	int (*dump)(struct nl_dump *d);
};

struct genl_family {
	const char *name; /* up to GENL_NAMSIZ - 1 */
	uint8_t version;
	unsigned hdrsize; /* of a header of its own behind struct genlmsghdr */
	unsigned maxattr; /* what nlctrl shows of it */
	uint16_t id;	  /* 0: given at registration; one below GENL_START_ALLOC: fixed */
	const struct genl_op *ops;
	unsigned n_ops;
	uint8_t resv_start_op; /* commands from here on: reserved fields must be 0 */
	const char *const *groups;
	unsigned n_groups;
};

/* Registers NETLINK_GENERIC and the families there are; after nl_init(). 0 or -errno. */
int genl_init(struct weft *weft);
void genl_fini(struct weft *weft);
/* f borrows, until it is unregistered. 0, -EEXIST (the name is taken), -ENOSPC (no groups are
 * left), -ENOMEM. */
int genl_register(struct weft *weft, const struct genl_family *f);
void genl_unregister(struct weft *weft, const struct genl_family *f);

/* ---- messages ---- */

/* A message of f with its headers and room for payload bytes. NULL: out of memory, or f is not
 * registered. */
struct nlmsghdr *genl_msg_new(struct weft *weft, const struct genl_family *f, uint8_t cmd,
			      uint32_t portid, uint32_t seq, size_t payload);
/* An answer to the request. */
struct nlmsghdr *genl_reply_new(const struct genl_info *info, uint8_t cmd, size_t payload);
/* Sends the answer; takes. 0 or -errno. */
int genl_reply(const struct genl_info *info, struct nlmsghdr *nlh);
/* nl_dump_msg() with f's headers; end with nl_dump_end(). */
struct nlmsghdr *genl_dump_msg(struct nl_dump *d, const struct genl_family *f, uint8_t cmd,
			       size_t payload);
/* group: an index into f->groups. */
bool genl_has_listeners(struct net *net, const struct genl_family *f, unsigned group);
/* To all who listen in net; takes. portid: who is left out; 0: nobody. */
void genl_multicast(struct net *net, const struct genl_family *f, unsigned group,
		    struct nlmsghdr *nlh, uint32_t portid);
