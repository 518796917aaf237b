/*
 * rtnl_stats: RTM_GETSTATS: counters of devices, by group (`ip stats`, `ifstat`).
 *
 * Groups that belong to kinds of devices or to hardware are answered as Linux answers for devices
 * that have none: left out, or empty.
 */
#include "ctl/rtnl.h"

#define FILTER_ALL ((1u << IFLA_STATS_MAX) - 1)

static const struct nla_policy filter_rows[] = {
	[IFLA_STATS_LINK_OFFLOAD_XSTATS] = {IFLA_STATS_LINK_OFFLOAD_XSTATS, NLA_K_U32,
					    .name = "IFLA_STATS_LINK_OFFLOAD_XSTATS"},
};

static const struct nla_policy stats_policy[] = {
	[IFLA_STATS_GET_FILTERS] = {IFLA_STATS_GET_FILTERS, NLA_K_NESTED, .nested = filter_rows,
				    .n_nested = ARRAY_SIZE(filter_rows),
				    .name = "IFLA_STATS_GET_FILTERS"},
};

struct stats_filter {
	uint32_t groups;  /* IFLA_STATS_FILTER_BIT() */
	uint32_t offload; /* the same of IFLA_OFFLOAD_XSTATS_* */
};

static int check_request(struct nl_req *r, bool dump)
{
	const struct if_stats_msg *m = mnl_nlmsg_get_payload(r->nlh);

	if (mnl_nlmsg_get_payload_len(r->nlh) < sizeof(*m))
		return extack_set(&r->ext, -EINVAL, "Invalid header for stats dump");
	if (!r->strict)
		return 0;
	if (m->pad1 || m->pad2 || (dump && m->ifindex))
		return extack_set(&r->ext, -EINVAL,
				  "Invalid values in header for stats dump request");
	if (m->filter_mask > FILTER_ALL)
		return extack_set(&r->ext, -EINVAL, "Invalid stats requested through filter mask");
	return 0;
}

static int read_filters(struct nl_req *r, struct stats_filter *f)
{
	const struct if_stats_msg *m = mnl_nlmsg_get_payload(r->nlh);
	const struct nlattr *tb[IFLA_STATS_GETSET_MAX + 1], *sub[IFLA_STATS_MAX + 1];
	int err;

	f->groups = m->filter_mask;
	f->offload = ~0u;
	err = rtnl_parse(r, sizeof(*m), tb, IFLA_STATS_GETSET_MAX, stats_policy,
			 ARRAY_SIZE(stats_policy), NL_STRICT);
	if (err || !tb[IFLA_STATS_GET_FILTERS])
		return err;
	err = nl_parse_nested(sub, IFLA_STATS_MAX, tb[IFLA_STATS_GET_FILTERS], filter_rows,
			      ARRAY_SIZE(filter_rows), NL_STRICT, r->nlh, &r->ext);
	if (err)
		return err;
	if (sub[IFLA_STATS_LINK_OFFLOAD_XSTATS])
		f->offload = nl_get_u32(sub[IFLA_STATS_LINK_OFFLOAD_XSTATS]);
	return 0;
}

/* No device counts in hardware: that, for those who ask. */
static void fill_offload(struct nlmsghdr *nlh, uint32_t which)
{
	struct nlattr *nest, *info, *l3;

	if (!(which & IFLA_STATS_FILTER_BIT(IFLA_OFFLOAD_XSTATS_HW_S_INFO)))
		return;
	nest = nl_nest(nlh, IFLA_STATS_LINK_OFFLOAD_XSTATS);
	info = nl_nest(nlh, IFLA_OFFLOAD_XSTATS_HW_S_INFO | NLA_F_NESTED);
	l3 = nl_nest(nlh, IFLA_OFFLOAD_XSTATS_L3_STATS | NLA_F_NESTED);
	mnl_attr_put_u8(nlh, IFLA_OFFLOAD_XSTATS_HW_S_INFO_REQUEST, 0);
	mnl_attr_put_u8(nlh, IFLA_OFFLOAD_XSTATS_HW_S_INFO_USED, 0);
	mnl_attr_nest_end(nlh, l3);
	mnl_attr_nest_end(nlh, info);
	mnl_attr_nest_end(nlh, nest);
}

#define STATS_SIZE (sizeof(struct if_stats_msg) + sizeof(struct rtnl_link_stats64) + 128)

static void fill(struct nlmsghdr *nlh, const struct netdev *dev, const struct stats_filter *f)
{
	struct if_stats_msg *m = mnl_nlmsg_put_extra_header(nlh, sizeof(*m));

	m->ifindex = (uint32_t)dev->ifindex;
	m->filter_mask = f->groups;
	if (f->groups & IFLA_STATS_FILTER_BIT(IFLA_STATS_LINK_64)) {
		struct rtnl_link_stats64 st = {0};
		netdev_stats(dev, &st);
		mnl_attr_put(nlh, IFLA_STATS_LINK_64, sizeof(st), &st);
	}
	if (f->groups & IFLA_STATS_FILTER_BIT(IFLA_STATS_LINK_OFFLOAD_XSTATS))
		fill_offload(nlh, f->offload);
	if (f->groups & IFLA_STATS_FILTER_BIT(IFLA_STATS_AF_SPEC))
		mnl_attr_nest_end(nlh, nl_nest(nlh, IFLA_STATS_AF_SPEC));
}

static int stats_get(struct nl_req *r)
{
	const struct if_stats_msg *m = mnl_nlmsg_get_payload(r->nlh);
	struct stats_filter f;
	struct netdev *dev;
	int err = check_request(r, false);

	if (err)
		return err;
	if (!m->ifindex)
		return -EINVAL;
	dev = net_dev_by_index(r->net, (int)m->ifindex);
	if (!dev)
		return -ENODEV;
	if (!m->filter_mask)
		return extack_set(&r->ext, -EINVAL, "Filter mask must be set for stats get");
	err = read_filters(r, &f);
	if (err)
		return err;
	struct nlmsghdr *nlh =
		rtnl_msg_new(RTM_NEWSTATS, 0, r->portid, r->nlh->nlmsg_seq, STATS_SIZE);
	if (!nlh)
		return -ENOBUFS;
	fill(nlh, dev, &f);
	return rtnl_reply(r, nlh);
}

static int stats_dump(struct nl_dump *d)
{
	const struct if_stats_msg *m = mnl_nlmsg_get_payload(d->req.nlh);
	struct stats_filter f;
	struct netdev *dev;
	int err = check_request(&d->req, true);

	if (err)
		return err;
	if (!m->filter_mask)
		return extack_set(&d->req.ext, -EINVAL, "Filter mask must be set for stats dump");
	err = read_filters(&d->req, &f);
	if (err)
		return err;
	d->seq = d->req.net->dev_seq;
	cds_list_for_each_entry (dev, &d->req.net->devs, net_link) {
		if ((uint64_t)dev->ifindex <= d->state[0])
			continue;
		struct nlmsghdr *nlh = nl_dump_msg(d, RTM_NEWSTATS, STATS_SIZE);
		if (!nlh)
			return 1;
		fill(nlh, dev, &f);
		nl_dump_end(d, nlh, true);
		d->state[0] = (uint64_t)dev->ifindex;
	}
	return 0;
}

const struct nl_handler rtnl_stats_handlers[] = {
	{RTM_GETSTATS, AF_UNSPEC, stats_get, stats_dump, 0},
	{0},
};
