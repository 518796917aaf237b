/*
 * rtnl: the family NETLINK_ROUTE, and notifications.
 */
#include <linux/netconf.h>

#include "ctl/rtnl.h"

#include "ctl/nl_sock.h"

static const struct nl_handler *const handlers[] = {
	rtnl_link_handlers,	rtnl_linkprop_handlers,
	rtnl_stats_handlers,	rtnl_addr_handlers,
	rtnl_route_handlers,	rtnl_neigh_handlers,
	rtnl_neightbl_handlers, rtnl_nsid_handlers,
	rtnl_netconf_handlers,	rtnl_rule_handlers,
	rtnl_tc_handlers,	rtnl_fdb_handlers,
	rtnl_nexthop_handlers,	NULL,
};

static const struct nl_family rtnl_family = {
	.protocol = NETLINK_ROUTE,
	.n_groups = RTNLGRP_MAX,
	.handlers = handlers,
};

/* ---- messages ---- */

struct nlmsghdr *rtnl_msg_new(uint16_t type, uint16_t flags, uint32_t portid, uint32_t seq,
			      size_t payload)
{
	/* zeroes: what pads attributes must tell nothing */
	void *buf = calloc(1, NLMSG_SPACE(payload));

	if (!buf)
		return NULL;
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	nlh->nlmsg_type = type;
	nlh->nlmsg_flags = flags;
	nlh->nlmsg_pid = portid;
	nlh->nlmsg_seq = seq;
	return nlh;
}

int rtnl_reply(struct nl_req *r, struct nlmsghdr *nlh)
{
	int err = nl_reply(r, nlh, nlh->nlmsg_len);

	free(nlh);
	return err;
}

void rtnl_notify(struct net *net, unsigned group, const struct event_cause *cause,
		 struct nlmsghdr *nlh)
{
	bool echo = cause && cause->echo;

	nl_multicast(net, NETLINK_ROUTE, group, nlh, nlh->nlmsg_len, echo ? cause->portid : 0);
	if (echo)
		nl_unicast(net, NETLINK_ROUTE, cause->portid, nlh, nlh->nlmsg_len);
	free(nlh);
}

/* ---- requests ---- */

const void *rtnl_header(struct nl_req *r, size_t len)
{
	if (mnl_nlmsg_get_payload_len(r->nlh) < len) {
		r->ext.msg = "Invalid header length";
		return NULL;
	}
	return mnl_nlmsg_get_payload(r->nlh);
}

int rtnl_parse(struct nl_req *r, size_t header, const struct nlattr **tb, unsigned max,
	       const struct nla_policy *policy, unsigned n_policy, enum nl_strict strict)
{
	size_t len = mnl_nlmsg_get_payload_len(r->nlh);
	size_t skip = MIN(MNL_ALIGN(header), len);

	if (len < header)
		return extack_set(&r->ext, -EINVAL, "Invalid header length");
	return nl_parse(tb, max, (const uint8_t *)mnl_nlmsg_get_payload(r->nlh) + skip, len - skip,
			policy, n_policy, strict, r->nlh, &r->ext);
}

struct net *rtnl_target_net(struct nl_req *r, const struct nlattr *nsid, int *err)
{
	struct net *net = net_by_id(r->net, (int)nl_get_u32(nsid));

	if (!net) {
		*err = -EINVAL;
		return NULL;
	}
	return net_get(net);
}

struct net *rtnl_net_by(struct nl_req *r, const struct nlattr *pid, const struct nlattr *fd,
			int *err)
{
	const struct nl_resolver *res = nl_resolver(r->weft);

	if (pid && res && res->by_pid)
		return res->by_pid(r->weft, nl_get_u32(pid), err);
	if (!pid && res && res->by_fd)
		return res->by_fd(r->weft, r->pid, (int)nl_get_u32(fd), err);
	*err = pid ? -ESRCH : -EBADF;
	return NULL;
}

/* ---- events ---- */

/* A new device whose news waits until its maker has set it up: true. */
static bool held_back(struct nl *nl, const struct event *e)
{
	if (e->type != EVENT_DEV_NEW || !nl->holding)
		return false;
	for (unsigned i = 0; i < ARRAY_SIZE(nl->held); i++) {
		if (nl->held[i])
			continue;
		nl->held[i] = e->dev;
		return true;
	}
	return false;
}

/* Something happened to a device nobody has heard of yet: true when that must stay so. */
static bool unheard_of(struct nl *nl, const struct event *e)
{
	for (unsigned i = 0; nl->holding && i < ARRAY_SIZE(nl->held); i++) {
		if (nl->held[i] != e->dev)
			continue;
		if (e->type == EVENT_DEV_GONE)
			nl->held[i] = NULL;
		return true;
	}
	return false;
}

static void dev_gone(const struct event *e, bool quiet, const struct event_cause *cause)
{
	struct rtnl_link_new how = {.target_nsid = -1, .change = ~0u};

	rtnl_netconf_gone(e->net, e->dev);
	e->dev->was_up = false; /* its qdisc goes first */
	if (quiet)
		return;
	if (e->dev->net != e->net) {
		/* Those left behind learn where it went by an id, so there must be one. */
		net_id_alloc(e->net, e->dev->net, -1);
		how.new_net = e->dev->net;
		how.new_ifindex = (int)e->arg;
		cause = NULL;
	}
	rtnl_link_notify(e->net, e->dev, RTM_DELLINK, &how, cause);
}

/* A new name: labels of addresses follow it, and the settings are those of the new name. */
static void dev_renamed(struct netdev *dev)
{
	struct in_ifaddr *ifa;

	if (!dev->in_dev)
		return;
	cds_list_for_each_entry (ifa, &dev->in_dev->addrs, link)
		rtnl_addr_notify(dev->net, ifa, RTM_NEWADDR, NULL);
	rtnl_netconf_gone(dev->net, dev);
	rtnl_netconf_notify(dev->net, dev, false, NETCONFA_ALL);
}

static void dev_event(struct nl *nl, const struct event *e, const struct event_cause *cause)
{
	struct rtnl_link_new how = {.target_nsid = -1};
	bool quiet = unheard_of(nl, e);

	switch (e->type) {
	case EVENT_DEV_NEW:
		how.change = ~0u;
		if (!held_back(nl, e))
			rtnl_link_notify(e->net, e->dev, RTM_NEWLINK, &how, NULL);
		return;
	case EVENT_DEV_GONE:
		dev_gone(e, quiet, cause);
		return;
	case EVENT_DEV_UP:
		/* told of by the change of flags that came before */
		e->dev->was_up = true;
		return;
	case EVENT_DEV_CHANGE:
		how.change = (uint32_t)e->arg;
		break;
	default:
		break;
	}
	if (!quiet)
		rtnl_link_notify(e->net, e->dev, RTM_NEWLINK, &how, NULL);
	if (!quiet && e->type == EVENT_DEV_NAME)
		dev_renamed(e->dev);
}

static void on_event(void *arg, const struct event *e)
{
	struct weft *weft = arg;
	const struct event_cause *cause = &weft->events->cause;

	if (!e->net || !e->net->nl)
		return;
	switch (e->type) {
	case EVENT_DEV_NEW:
	case EVENT_DEV_GONE:
	case EVENT_DEV_UP:
	case EVENT_DEV_CARRIER:
	case EVENT_DEV_MTU:
	case EVENT_DEV_ADDR:
	case EVENT_DEV_NAME:
	case EVENT_DEV_CHANGE:
		dev_event(weft->nl, e, cause);
		break;
	case EVENT_ADDR_NEW:
	case EVENT_ADDR_DEL:
		rtnl_addr_notify(e->net, e->obj,
				 e->type == EVENT_ADDR_NEW ? RTM_NEWADDR : RTM_DELADDR, cause);
		break;
	case EVENT_ROUTE_NEW:
		rtnl_route_notify(e->net, e->obj, RTM_NEWROUTE, (uint16_t)e->arg, cause);
		break;
	case EVENT_ROUTE_DEL:
		rtnl_route_notify(e->net, e->obj, RTM_DELROUTE, 0, cause);
		break;
	case EVENT_NEIGH:
		rtnl_neigh_notify(e->net, e->obj, RTM_NEWNEIGH, 0);
		break;
	case EVENT_NEIGH_DEL:
		rtnl_neigh_notify(e->net, e->obj, RTM_DELNEIGH, 0);
		break;
	case EVENT_NEIGH_PROBE:
		rtnl_neigh_notify(e->net, e->obj, RTM_GETNEIGH, NLM_F_REQUEST);
		break;
	case EVENT_NETCONF:
		rtnl_netconf_notify(e->net, e->dev, e->arg2 == 1, (int)e->arg);
		break;
	case EVENT_NSID:
		rtnl_nsid_notify(e->net, (int)e->arg, e->arg2 ? RTM_NEWNSID : RTM_DELNSID, cause);
		break;
	default:
		break;
	}
}

int rtnl_init(struct weft *weft)
{
	int err = nl_register(weft, &rtnl_family);

	if (err)
		return err;
	event_subscribe(weft->events, &weft->nl->sub, on_event, weft);
	return 0;
}

void rtnl_fini(struct weft *weft)
{
	if (weft->nl && weft->nl->sub.fn)
		event_unsubscribe(&weft->nl->sub);
}
