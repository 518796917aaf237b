/*
 * rtnl_nsid: RTM_NEWNSID and RTM_GETNSID: the numbers a namespace gives to others.
 */
#include <linux/net_namespace.h>

#include "ctl/rtnl.h"

#define ROW(attr, k) [attr] = {attr, NLA_K_##k, .name = #attr}

static const struct nla_policy nsid_policy[] = {
	ROW(NETNSA_NSID, S32),
	ROW(NETNSA_PID, U32),
	ROW(NETNSA_FD, U32),
	ROW(NETNSA_TARGET_NSID, S32),
};

#define NSID_SIZE (sizeof(struct rtgenmsg) + 32)
#define NO_ID	  INT32_MIN

static void fill(struct nlmsghdr *nlh, int nsid, int current)
{
	struct rtgenmsg *m = mnl_nlmsg_put_extra_header(nlh, sizeof(*m));

	m->rtgen_family = AF_UNSPEC;
	mnl_attr_put_u32(nlh, NETNSA_NSID, (uint32_t)nsid);
	if (current != NO_ID)
		mnl_attr_put_u32(nlh, NETNSA_CURRENT_NSID, (uint32_t)current);
}

void rtnl_nsid_notify(struct net *net, int nsid, uint16_t type, const struct event_cause *cause)
{
	bool echo = cause && cause->echo;

	if (!echo && !nl_has_listeners(net, NETLINK_ROUTE, RTNLGRP_NSID))
		return;
	struct nlmsghdr *nlh =
		rtnl_msg_new(type, 0, cause ? cause->portid : 0, cause ? cause->seq : 0, NSID_SIZE);
	if (!nlh)
		return;
	fill(nlh, nsid, NO_ID);
	rtnl_notify(net, RTNLGRP_NSID, cause, nlh);
}

/* The namespace a request is about: a reference, and the attribute that named it. */
static struct net *find_peer(struct nl_req *r, const struct nlattr **tb, bool by_id,
			     const struct nlattr **by, int *err)
{
	struct net *peer;

	if (tb[NETNSA_PID] || tb[NETNSA_FD]) {
		*by = tb[NETNSA_PID] ? tb[NETNSA_PID] : tb[NETNSA_FD];
		peer = rtnl_net_by(r, tb[NETNSA_PID], tb[NETNSA_FD], err);
	} else if (by_id && tb[NETNSA_NSID]) {
		*by = tb[NETNSA_NSID];
		peer = net_by_id(r->net, (int)nl_get_u32(*by));
		*err = -ENOENT;
		if (peer)
			net_get(peer);
	} else {
		*err = extack_set(&r->ext, -EINVAL, "Peer netns reference is missing");
		return NULL;
	}
	if (!peer)
		*err = nl_bad_attr(r, *by, *err, "Peer netns reference is invalid");
	return peer;
}

static int nsid_new(struct nl_req *r)
{
	const struct nlattr *tb[NETNSA_MAX + 1], *by;
	struct net *peer;
	int err = rtnl_parse(r, sizeof(struct rtgenmsg), tb, NETNSA_MAX, nsid_policy,
			     ARRAY_SIZE(nsid_policy), NL_LIBERAL);

	if (err)
		return err;
	if (!tb[NETNSA_NSID])
		return extack_set(&r->ext, -EINVAL, "nsid is missing");
	int nsid = (int)nl_get_u32(tb[NETNSA_NSID]);
	peer = find_peer(r, tb, false, &by, &err);
	if (!peer)
		return err;
	err = net_id_alloc(r->net, peer, nsid < 0 ? -1 : nsid);
	if (err == -EEXIST)
		nl_bad_attr(r, by, err, "Peer netns already has a nsid assigned");
	else if (err == -ENOSPC && nsid >= 0)
		err = nl_bad_attr(r, tb[NETNSA_NSID], -EEXIST,
				  "The specified nsid is already used");
	net_put(peer);
	return err < 0 ? err : 0;
}

static int check_get(struct nl_req *r, const struct nlattr **tb)
{
	int err = rtnl_parse(r, sizeof(struct rtgenmsg), tb, NETNSA_MAX, nsid_policy,
			     ARRAY_SIZE(nsid_policy), r->strict ? NL_DSTRICT : NL_LIBERAL);

	if (err || !r->strict)
		return err;
	return tb[NETNSA_CURRENT_NSID]
		       ? extack_set(&r->ext, -EINVAL,
				    "Unsupported attribute in peer netns getid request")
		       : 0;
}

static int nsid_get(struct nl_req *r)
{
	const struct nlattr *tb[NETNSA_MAX + 1], *by;
	struct net *peer, *target = NULL;
	int err = check_get(r, tb), current = NO_ID;

	if (err)
		return err;
	peer = find_peer(r, tb, true, &by, &err);
	if (!peer)
		return err;
	if (tb[NETNSA_TARGET_NSID]) {
		target = rtnl_target_net(r, tb[NETNSA_TARGET_NSID], &err);
		if (!target) {
			nl_bad_attr(r, tb[NETNSA_TARGET_NSID], err,
				    "Target netns reference is invalid");
			goto put;
		}
		current = net_id_of(r->net, peer);
	}
	struct nlmsghdr *nlh =
		rtnl_msg_new(RTM_NEWNSID, 0, r->portid, r->nlh->nlmsg_seq, NSID_SIZE);
	err = -ENOMEM;
	if (nlh) {
		fill(nlh, net_id_of(target ? target : r->net, peer), current);
		err = rtnl_reply(r, nlh);
	}
	net_put(target);
put:
	net_put(peer);
	return err;
}

/* ---- all of them ---- */

static void dump_done(struct nl_dump *d)
{
	net_put(d->ptr);
}

/* Whose ids are asked for: kept in d->ptr; state[1]: by way of NETNSA_TARGET_NSID. */
static int dump_target(struct nl_dump *d)
{
	const struct nlattr *tb[NETNSA_MAX + 1];
	struct nl_req *r = &d->req;
	struct net *net = NULL;
	int err = 0;

	if (r->strict) {
		err = rtnl_parse(r, sizeof(struct rtgenmsg), tb, NETNSA_MAX, nsid_policy,
				 ARRAY_SIZE(nsid_policy), NL_DSTRICT);
		if (err)
			return err;
		for (unsigned i = 0; i <= NETNSA_MAX; i++) {
			if (!tb[i] || i == NETNSA_TARGET_NSID)
				continue;
			return nl_bad_attr(r, tb[i], -EINVAL,
					   "Unsupported attribute in dump request");
		}
		if (tb[NETNSA_TARGET_NSID]) {
			net = rtnl_target_net(r, tb[NETNSA_TARGET_NSID], &err);
			if (!net)
				return nl_bad_attr(r, tb[NETNSA_TARGET_NSID], err,
						   "Invalid target network namespace id");
			d->state[1] = 1;
		}
	}
	d->ptr = net ? net : net_get(r->net);
	d->done = dump_done;
	return 0;
}

static int nsid_dump(struct nl_dump *d)
{
	const struct nsid *i;
	int err = d->ptr ? 0 : dump_target(d);

	if (err)
		return err;
	struct net *net = d->ptr;
	cds_list_for_each_entry (i, &net->nsids, link) {
		if ((uint64_t)i->id < d->state[0]) /* state[0]: one above the last that was told */
			continue;
		struct nlmsghdr *nlh = nl_dump_msg(d, RTM_NEWNSID, NSID_SIZE);
		if (!nlh)
			return 1;
		fill(nlh, i->id, d->state[1] ? net_id_of(d->req.net, i->peer) : NO_ID);
		nl_dump_end(d, nlh, true);
		d->state[0] = (uint64_t)i->id + 1;
	}
	return 0;
}

const struct nl_handler rtnl_nsid_handlers[] = {
	{RTM_NEWNSID, AF_UNSPEC, nsid_new, NULL, 0},
	{RTM_GETNSID, AF_UNSPEC, nsid_get, nsid_dump, 0},
	{0},
};
