/*
 * rtnl_link: RTM_GETLINK, one device or all, and what the link requests have in common.
 */
#include "ctl/rtnl.h"

static const struct nla_policy info_policy[] = {
	[IFLA_INFO_KIND] = {IFLA_INFO_KIND, NLA_K_STRING, .name = "IFLA_INFO_KIND"},
	[IFLA_INFO_DATA] = {IFLA_INFO_DATA, NLA_K_NESTED, .name = "IFLA_INFO_DATA"},
	[IFLA_INFO_SLAVE_KIND] = {IFLA_INFO_SLAVE_KIND, NLA_K_STRING,
				  .name = "IFLA_INFO_SLAVE_KIND"},
	[IFLA_INFO_SLAVE_DATA] = {IFLA_INFO_SLAVE_DATA, NLA_K_NESTED,
				  .name = "IFLA_INFO_SLAVE_DATA"},
};

#define LINK_GSO_MIN 193 /* more than the headers of a TCP segment */

#define ROW(attr, k, ...) [attr] = {attr, NLA_K_##k, .name = #attr, ##__VA_ARGS__}

const struct nla_policy rtnl_link_policy[] = {
	ROW(IFLA_ADDRESS, BINARY, .len = NETDEV_ALEN),
	ROW(IFLA_BROADCAST, BINARY, .len = NETDEV_ALEN),
	ROW(IFLA_IFNAME, STRING, .len = IFNAMSIZ - 1),
	ROW(IFLA_MTU, U32),
	ROW(IFLA_LINK, U32),
	ROW(IFLA_MASTER, U32),
	ROW(IFLA_TXQLEN, U32),
	ROW(IFLA_MAP, UNSPEC, .len = sizeof(struct rtnl_link_ifmap)),
	ROW(IFLA_WEIGHT, U32),
	ROW(IFLA_OPERSTATE, U8),
	ROW(IFLA_LINKMODE, U8),
	ROW(IFLA_LINKINFO, NESTED),
	ROW(IFLA_NET_NS_PID, U32),
	ROW(IFLA_IFALIAS, BINARY, .len = IFALIASZ - 1), /* may be empty */
	ROW(IFLA_VFINFO_LIST, NESTED),
	ROW(IFLA_VF_PORTS, NESTED),
	ROW(IFLA_PORT_SELF, NESTED),
	ROW(IFLA_AF_SPEC, NESTED),
	ROW(IFLA_GROUP, U32),
	ROW(IFLA_NET_NS_FD, U32),
	ROW(IFLA_EXT_MASK, U32),
	ROW(IFLA_PROMISCUITY, U32),
	ROW(IFLA_NUM_TX_QUEUES, U32),
	ROW(IFLA_NUM_RX_QUEUES, U32),
	ROW(IFLA_CARRIER, U8),
	ROW(IFLA_PHYS_PORT_ID, BINARY, .len = 32),
	ROW(IFLA_CARRIER_CHANGES, U32),
	ROW(IFLA_PHYS_SWITCH_ID, BINARY, .len = 32),
	ROW(IFLA_LINK_NETNSID, S32),
	ROW(IFLA_PROTO_DOWN, U8),
	ROW(IFLA_GSO_MAX_SEGS, U32),
	ROW(IFLA_GSO_MAX_SIZE, U32, .min = LINK_GSO_MIN),
	ROW(IFLA_XDP, NESTED),
	ROW(IFLA_EVENT, U32),
	ROW(IFLA_TARGET_NETNSID, S32),
	ROW(IFLA_CARRIER_UP_COUNT, U32),
	ROW(IFLA_CARRIER_DOWN_COUNT, U32),
	ROW(IFLA_NEW_IFINDEX, S32, .min = 1),
	ROW(IFLA_MIN_MTU, U32),
	ROW(IFLA_MAX_MTU, U32),
	ROW(IFLA_PROP_LIST, NESTED),
	ROW(IFLA_ALT_IFNAME, STRING, .len = ALTIFNAMSIZ - 1),
	ROW(IFLA_PERM_ADDRESS, REJECT),
	ROW(IFLA_PROTO_DOWN_REASON, NESTED),
	ROW(IFLA_GRO_MAX_SIZE, U32),
	ROW(IFLA_TSO_MAX_SIZE, REJECT),
	ROW(IFLA_TSO_MAX_SEGS, REJECT),
	ROW(IFLA_ALLMULTI, REJECT),
	ROW(IFLA_PARENT_DEV_NAME, NUL_STRING),
	ROW(RTNL_LINK_GSO_IPV4_MAX_SIZE, U32, .min = LINK_GSO_MIN),
	ROW(RTNL_LINK_GRO_IPV4_MAX_SIZE, U32),
	ROW(RTNL_LINK_DPLL_PIN, UNSPEC, .strict_start = 1),
	ROW(RTNL_LINK_NETNS_IMMUTABLE, REJECT),
	ROW(RTNL_LINK_HEADROOM, REJECT),
	ROW(RTNL_LINK_TAILROOM, REJECT),
};
const unsigned rtnl_link_n_policy = ARRAY_SIZE(rtnl_link_policy);

/* ---- common ---- */

static struct netdev *find_by_attr(struct net *net, const struct nlattr **tb)
{
	char name[ALTIFNAMSIZ];

	nl_get_str(name, sizeof(name), tb[IFLA_IFNAME] ? tb[IFLA_IFNAME] : tb[IFLA_ALT_IFNAME]);
	return net_dev_by_name(net, name);
}

struct netdev *rtnl_link_find(struct nl_req *r, struct net *net, const struct ifinfomsg *ifm,
			      const struct nlattr **tb, int *err)
{
	struct netdev *dev;

	if (ifm->ifi_index > 0) {
		dev = net_dev_by_index(net, ifm->ifi_index);
	} else if (tb[IFLA_IFNAME] || tb[IFLA_ALT_IFNAME]) {
		dev = find_by_attr(net, tb);
	} else {
		*err = -EINVAL;
		return NULL;
	}
	if (!dev)
		*err = -ENODEV;
	return dev;
}

int rtnl_link_one_netns(struct nl_req *r, const struct nlattr **tb, bool id_only)
{
	unsigned n = !!tb[IFLA_NET_NS_PID] + !!tb[IFLA_NET_NS_FD] + !!tb[IFLA_TARGET_NETNSID];

	if (id_only) {
		if (!tb[IFLA_NET_NS_PID] && !tb[IFLA_NET_NS_FD])
			return 0;
		return extack_set(&r->ext, -EOPNOTSUPP, "specified netns attribute not supported");
	}
	if (n > 1)
		return extack_set(&r->ext, -EINVAL,
				  "multiple netns identifying attributes specified");
	return 0;
}

struct net *rtnl_link_dest_net(struct nl_req *r, const struct nlattr **tb, int *err)
{
	if (tb[IFLA_NET_NS_PID] || tb[IFLA_NET_NS_FD])
		return rtnl_net_by(r, tb[IFLA_NET_NS_PID], tb[IFLA_NET_NS_FD], err);
	if (tb[IFLA_TARGET_NETNSID])
		return rtnl_target_net(r, tb[IFLA_TARGET_NETNSID], err);
	return net_get(r->net);
}

/* ---- one device ---- */

static int check_getlink(struct nl_req *r, const struct nlattr **tb)
{
	const struct ifinfomsg *ifm = mnl_nlmsg_get_payload(r->nlh);

	if (mnl_nlmsg_get_payload_len(r->nlh) < sizeof(*ifm))
		return extack_set(&r->ext, -EINVAL, "Invalid header for get link");
	if (!r->strict)
		return rtnl_parse(r, sizeof(*ifm), tb, RTNL_LINK_MAX, rtnl_link_policy,
				  rtnl_link_n_policy, NL_LIBERAL);
	if (ifm->__ifi_pad || ifm->ifi_type || ifm->ifi_flags || ifm->ifi_change)
		return extack_set(&r->ext, -EINVAL,
				  "Invalid values in header for get link request");
	int err = rtnl_parse(r, sizeof(*ifm), tb, RTNL_LINK_MAX, rtnl_link_policy,
			     rtnl_link_n_policy, NL_DSTRICT);
	for (unsigned i = 0; !err && i <= RTNL_LINK_MAX; i++)
		if (tb[i] && i != IFLA_IFNAME && i != IFLA_ALT_IFNAME && i != IFLA_EXT_MASK &&
		    i != IFLA_TARGET_NETNSID)
			err = extack_set(&r->ext, -EINVAL,
					 "Unsupported attribute in get link request");
	return err;
}

static int rtnl_getlink(struct nl_req *r)
{
	const struct nlattr *tb[RTNL_LINK_MAX + 1];
	struct rtnl_link_new how = {.target_nsid = -1};
	int err = check_getlink(r, tb);

	if (err)
		return err;
	err = rtnl_link_one_netns(r, tb, true);
	if (err)
		return err;
	const struct ifinfomsg *ifm = mnl_nlmsg_get_payload(r->nlh);
	struct net *net = net_get(r->net);
	if (tb[IFLA_TARGET_NETNSID]) {
		net_put(net);
		net = rtnl_target_net(r, tb[IFLA_TARGET_NETNSID], &err);
		if (!net)
			return err;
		how.target_nsid = (int)nl_get_u32(tb[IFLA_TARGET_NETNSID]);
	}
	if (tb[IFLA_EXT_MASK])
		how.ext_mask = nl_get_u32(tb[IFLA_EXT_MASK]);
	struct netdev *dev = rtnl_link_find(r, net, ifm, tb, &err);
	if (dev) {
		struct nlmsghdr *nlh = rtnl_msg_new(RTM_NEWLINK, 0, r->portid, r->nlh->nlmsg_seq,
						    rtnl_link_size(dev));
		err = -ENOBUFS;
		if (nlh) {
			rtnl_link_fill(nlh, dev, r->net, &how);
			err = rtnl_reply(r, nlh);
		}
	}
	net_put(net);
	return err;
}

/* ---- all of them ---- */

/* What a dump was asked to leave out; kept behind nl_dump.ptr. */
struct link_filter {
	struct net *net;
	struct rtnl_link_new how;
	uint32_t master; /* ifindex; UINT32_MAX: only those without one; 0: any */
	const struct dev_kind *kind;
	bool no_kind; /* asked for a kind that is not known: then nothing is left out */
};

static void link_dump_done(struct nl_dump *d)
{
	struct link_filter *f = d->ptr;

	if (f)
		net_put(f->net);
	free(f);
}

static int check_linkdump(struct nl_req *r, const struct nlattr **tb)
{
	size_t len = mnl_nlmsg_get_payload_len(r->nlh);
	const struct ifinfomsg *ifm = mnl_nlmsg_get_payload(r->nlh);

	if (!r->strict) {
		/* Programs older than struct ifinfomsg here send struct rtgenmsg. */
		size_t header = len < sizeof(*ifm) ? sizeof(struct rtgenmsg) : sizeof(*ifm);
		return rtnl_parse(r, header, tb, RTNL_LINK_MAX, rtnl_link_policy,
				  rtnl_link_n_policy, NL_LIBERAL);
	}
	if (len < sizeof(*ifm))
		return extack_set(&r->ext, -EINVAL, "Invalid header for link dump");
	if (ifm->__ifi_pad || ifm->ifi_type || ifm->ifi_flags || ifm->ifi_change)
		return extack_set(&r->ext, -EINVAL,
				  "Invalid values in header for link dump request");
	if (ifm->ifi_index)
		return extack_set(&r->ext, -EINVAL,
				  "Filter by device index not supported for link dumps");
	return rtnl_parse(r, sizeof(*ifm), tb, RTNL_LINK_MAX, rtnl_link_policy, rtnl_link_n_policy,
			  NL_DSTRICT);
}

static int read_filter(struct nl_req *r, const struct nlattr **tb, struct link_filter *f)
{
	const struct nlattr *info[IFLA_INFO_MAX + 1];
	int err;

	for (unsigned i = 0; i <= RTNL_LINK_MAX; i++) {
		if (!tb[i])
			continue;
		if (i == IFLA_TARGET_NETNSID) {
			net_put(f->net);
			f->net = rtnl_target_net(r, tb[i], &err);
			if (!f->net)
				return extack_set(&r->ext, err,
						  "Invalid target network namespace id");
			f->how.target_nsid = (int)nl_get_u32(tb[i]);
		} else if (i == IFLA_EXT_MASK) {
			f->how.ext_mask = nl_get_u32(tb[i]);
		} else if (i == IFLA_MASTER) {
			f->master = nl_get_u32(tb[i]);
		} else if (i == IFLA_LINKINFO) {
			char kind[64];
			err = nl_parse_nested(info, IFLA_INFO_MAX, tb[i], info_policy,
					      ARRAY_SIZE(info_policy), NL_LIBERAL, r->nlh, NULL);
			if (err || !info[IFLA_INFO_KIND])
				continue;
			nl_get_str(kind, sizeof(kind), info[IFLA_INFO_KIND]);
			f->kind = dev_kind_find(r->weft->dev, kind);
		} else if (r->strict) {
			return extack_set(&r->ext, -EINVAL,
					  "Unsupported attribute in link dump request");
		}
	}
	return 0;
}

static bool left_out(const struct link_filter *f, const struct netdev *dev)
{
	/* 0 stands for not asked, so who asks for devices without a master says -1 */
	if (f->master == UINT32_MAX
		    ? dev->master != NULL
		    : f->master && (!dev->master || (uint32_t)dev->master->ifindex != f->master))
		return true;
	return f->kind && dev->kind != f->kind;
}

static int rtnl_dumplink(struct nl_dump *d)
{
	struct link_filter *f = d->ptr;
	struct netdev *dev;

	if (!f) {
		const struct nlattr *tb[RTNL_LINK_MAX + 1];
		int bad = check_linkdump(&d->req, tb);
		if (bad && d->req.strict)
			return bad;
		f = calloc(1, sizeof(*f));
		if (!f)
			return -ENOBUFS;
		d->ptr = f;
		d->done = link_dump_done;
		f->how.target_nsid = -1;
		f->net = net_get(d->req.net);
		/* A request that cannot be read asks for everything. */
		int err = bad ? 0 : read_filter(&d->req, tb, f);
		if (err)
			return err;
		d->filtered = f->master || f->kind;
	}
	d->seq = f->net->dev_seq;
	cds_list_for_each_entry (dev, &f->net->devs, net_link) {
		if ((uint64_t)dev->ifindex <= d->state[0] || left_out(f, dev))
			continue;
		struct nlmsghdr *nlh = nl_dump_msg(d, RTM_NEWLINK, rtnl_link_size(dev));
		if (!nlh)
			return 1;
		rtnl_link_fill(nlh, dev, d->req.net, &f->how);
		nl_dump_end(d, nlh, true);
		d->state[0] = (uint64_t)dev->ifindex;
	}
	return 0;
}

const struct nl_handler rtnl_link_handlers[] = {
	{RTM_GETLINK, AF_UNSPEC, rtnl_getlink, rtnl_dumplink, NL_H_SPLIT_DONE},
	{RTM_NEWLINK, AF_UNSPEC, rtnl_link_newlink, NULL, 0},
	{RTM_SETLINK, AF_UNSPEC, rtnl_link_setlink, NULL, 0},
	{RTM_DELLINK, AF_UNSPEC, rtnl_link_dellink, NULL, 0},
	{0},
};
