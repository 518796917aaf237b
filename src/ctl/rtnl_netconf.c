/*
 * rtnl_netconf: RTM_GETNETCONF: the few settings of /proc/sys/net/ipv4/conf that routing daemons
 * follow, and the news of them.
 */
#include <linux/netconf.h>

#include "ctl/rtnl.h"

#define NETCONF_MAX  9 /* NETCONFA_FORCE_FORWARDING */
#define NETCONF_SIZE (sizeof(struct netconfmsg) + 80)

/* Attributes of a message, in order, and the settings they show. */
static const struct {
	int attr, devconf;
} shown[] = {
	{NETCONFA_FORWARDING, IPV4_DEVCONF_FORWARDING},
	{NETCONFA_RP_FILTER, IPV4_DEVCONF_RP_FILTER},
	{NETCONFA_MC_FORWARDING, IPV4_DEVCONF_MC_FORWARDING},
	{NETCONFA_BC_FORWARDING, IPV4_DEVCONF_BC_FORWARDING},
	{NETCONFA_PROXY_NEIGH, IPV4_DEVCONF_PROXY_ARP},
	{NETCONFA_IGNORE_ROUTES_WITH_LINKDOWN, IPV4_DEVCONF_IGNORE_ROUTES_WITH_LINKDOWN},
};

static const struct nla_policy netconf_policy[] = {
	[NETCONFA_IFINDEX] = {NETCONFA_IFINDEX, NLA_K_UNSPEC, .len = 4, .name = "NETCONFA_IFINDEX"},
	[NETCONFA_FORWARDING] = {NETCONFA_FORWARDING, NLA_K_UNSPEC, .len = 4,
				 .name = "NETCONFA_FORWARDING"},
	[NETCONFA_RP_FILTER] = {NETCONFA_RP_FILTER, NLA_K_UNSPEC, .len = 4,
				.name = "NETCONFA_RP_FILTER"},
	[NETCONFA_PROXY_NEIGH] = {NETCONFA_PROXY_NEIGH, NLA_K_UNSPEC, .len = 4,
				  .name = "NETCONFA_PROXY_NEIGH"},
	[NETCONFA_IGNORE_ROUTES_WITH_LINKDOWN] = {NETCONFA_IGNORE_ROUTES_WITH_LINKDOWN,
						  NLA_K_UNSPEC, .len = 4,
						  .name = "NETCONFA_IGNORE_ROUTES_WITH_LINKDOWN"},
};

/* conf NULL: nothing but the index. */
static void fill(struct nlmsghdr *nlh, int ifindex, const struct ip4_conf *conf, int what)
{
	struct netconfmsg *m = mnl_nlmsg_put_extra_header(nlh, sizeof(*m));

	m->ncm_family = AF_INET;
	mnl_attr_put_u32(nlh, NETCONFA_IFINDEX, (uint32_t)ifindex);
	for (unsigned i = 0; conf && i < ARRAY_SIZE(shown); i++)
		if (what == NETCONFA_ALL || what == shown[i].attr)
			mnl_attr_put_u32(nlh, (uint16_t)shown[i].attr,
					 (uint32_t)conf->v[shown[i].devconf - 1]);
}

static void notify(struct net *net, uint16_t type, int ifindex, const struct ip4_conf *conf,
		   int what)
{
	if (!nl_has_listeners(net, NETLINK_ROUTE, RTNLGRP_IPV4_NETCONF))
		return;
	struct nlmsghdr *nlh = rtnl_msg_new(type, 0, 0, 0, NETCONF_SIZE);
	if (!nlh)
		return;
	fill(nlh, ifindex, conf, what);
	rtnl_notify(net, RTNLGRP_IPV4_NETCONF, NULL, nlh);
}

void rtnl_netconf_notify(struct net *net, const struct netdev *dev, bool dflt, int what)
{
	if (dev && dev->in_dev)
		notify(net, RTM_NEWNETCONF, dev->ifindex, &dev->in_dev->conf, what);
	else if (!dev && net->ip4)
		notify(net, RTM_NEWNETCONF, dflt ? NETCONFA_IFINDEX_DEFAULT : NETCONFA_IFINDEX_ALL,
		       dflt ? &net->ip4->conf_default : &net->ip4->conf_all, what);
}

void rtnl_netconf_gone(struct net *net, const struct netdev *dev)
{
	notify(net, RTM_DELNETCONF, dev->ifindex, NULL, 0);
}

/* ---- requests ---- */

static int check_get(struct nl_req *r, const struct nlattr **tb)
{
	size_t header = sizeof(struct netconfmsg);
	int err;

	if (mnl_nlmsg_get_payload_len(r->nlh) < header)
		return extack_set(&r->ext, -EINVAL, "ipv4: Invalid header for netconf get request");
	err = rtnl_parse(r, header, tb, NETCONF_MAX, netconf_policy, ARRAY_SIZE(netconf_policy),
			 r->strict ? NL_DSTRICT : NL_LIBERAL);
	for (unsigned i = 0; !err && r->strict && i <= NETCONF_MAX; i++)
		if (tb[i] && i != NETCONFA_IFINDEX)
			err = extack_set(&r->ext, -EINVAL,
					 "ipv4: Unsupported attribute in netconf get request");
	return err;
}

static int netconf_get(struct nl_req *r)
{
	const struct nlattr *tb[NETCONF_MAX + 1];
	const struct ip4_conf *conf;
	int err = check_get(r, tb);

	if (err)
		return err;
	if (!tb[NETCONFA_IFINDEX])
		return -EINVAL;
	int index = (int)nl_get_u32(tb[NETCONFA_IFINDEX]);
	if (index == NETCONFA_IFINDEX_ALL) {
		conf = &r->net->ip4->conf_all;
	} else if (index == NETCONFA_IFINDEX_DEFAULT) {
		conf = &r->net->ip4->conf_default;
	} else {
		struct netdev *dev = net_dev_by_index(r->net, index);
		if (!dev)
			return -ENODEV;
		if (!dev->in_dev)
			return -EINVAL;
		conf = &dev->in_dev->conf;
	}
	struct nlmsghdr *nlh =
		rtnl_msg_new(RTM_NEWNETCONF, 0, r->portid, r->nlh->nlmsg_seq, NETCONF_SIZE);
	if (!nlh)
		return -ENOBUFS;
	fill(nlh, index, conf, NETCONFA_ALL);
	return rtnl_reply(r, nlh);
}

static int check_dump(struct nl_req *r)
{
	size_t len = mnl_nlmsg_get_payload_len(r->nlh), header = sizeof(struct netconfmsg);

	if (!r->strict)
		return 0;
	if (len < header)
		return extack_set(&r->ext, -EINVAL,
				  "ipv4: Invalid header for netconf dump request");
	if (len != MNL_ALIGN(header))
		return extack_set(&r->ext, -EINVAL,
				  "ipv4: Invalid data after header in netconf dump request");
	return 0;
}

static bool dump_one(struct nl_dump *d, int ifindex, const struct ip4_conf *conf)
{
	struct nlmsghdr *nlh = nl_dump_msg(d, RTM_NEWNETCONF, NETCONF_SIZE);

	if (!nlh)
		return false;
	fill(nlh, ifindex, conf, NETCONFA_ALL);
	nl_dump_end(d, nlh, true);
	return true;
}

/* Devices (state[0]: the last told of), then "all", then "default" (state[1]: how many of these).
 */
static int netconf_dump(struct nl_dump *d)
{
	struct net *net = d->req.net;
	struct netdev *dev;
	int err = check_dump(&d->req);

	if (err)
		return err;
	d->seq = net->dev_seq;
	cds_list_for_each_entry (dev, &net->devs, net_link) {
		if ((uint64_t)dev->ifindex <= d->state[0] || !dev->in_dev || d->state[1])
			continue;
		if (!dump_one(d, dev->ifindex, &dev->in_dev->conf))
			return 1;
		d->state[0] = (uint64_t)dev->ifindex;
	}
	if (d->state[1] == 0) {
		if (!dump_one(d, NETCONFA_IFINDEX_ALL, &net->ip4->conf_all))
			return 1;
		d->state[1]++;
	}
	if (d->state[1] == 1) {
		if (!dump_one(d, NETCONFA_IFINDEX_DEFAULT, &net->ip4->conf_default))
			return 1;
		d->state[1]++;
	}
	return 0;
}

const struct nl_handler rtnl_netconf_handlers[] = {
	{RTM_GETNETCONF, AF_INET, netconf_get, netconf_dump, 0},
	{RTM_GETNETCONF, AF_UNSPEC, NULL, netconf_dump, 0},
	{0},
};
