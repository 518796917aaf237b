/*
 * rtnl_tc: what `tc` sees while no device has a queueing discipline to choose: each that has been
 * up has "noqueue" at its root, as Linux gives devices that need no queue.
 */
#include <linux/gen_stats.h>
#include <linux/pkt_sched.h>

#include "ctl/rtnl.h"

#define QDISC_SIZE (sizeof(struct tcmsg) + 192)

/* It holds nothing and counts nothing. */
static void put_counters(struct nlmsghdr *nlh)
{
	static const struct gnet_stats_basic basic;
	static const struct gnet_stats_queue queue;
	static const struct tc_stats old;
	struct nlattr *nest = nl_nest(nlh, TCA_STATS2);

	mnl_attr_put(nlh, TCA_STATS_BASIC, sizeof(basic), &basic);
	mnl_attr_put(nlh, TCA_STATS_QUEUE, sizeof(queue), &queue);
	mnl_attr_nest_end(nlh, nest);
	mnl_attr_put(nlh, TCA_STATS, sizeof(old), &old);
}

static void fill(struct nlmsghdr *nlh, const struct netdev *dev)
{
	struct tcmsg *t = mnl_nlmsg_put_extra_header(nlh, sizeof(*t));

	t->tcm_family = AF_UNSPEC;
	t->tcm_ifindex = dev->ifindex;
	t->tcm_parent = 0xffffffff; /* TC_H_ROOT */
	t->tcm_info = 2;	    /* references */
	mnl_attr_put_strz(nlh, TCA_KIND, "noqueue");
	mnl_attr_put_u8(nlh, TCA_HW_OFFLOAD, 0);
	put_counters(nlh);
}

static int qdisc_dump(struct nl_dump *d)
{
	const struct nlattr *tb[TCA_MAX + 1];
	struct netdev *dev;
	int err = rtnl_parse(&d->req, sizeof(struct tcmsg), tb, TCA_MAX, NULL, 0, NL_LIBERAL);

	if (err)
		return err;
	d->seq = d->req.net->dev_seq;
	cds_list_for_each_entry (dev, &d->req.net->devs, net_link) {
		if ((uint64_t)dev->ifindex <= d->state[0] || !dev->was_up)
			continue;
		struct nlmsghdr *nlh = nl_dump_msg(d, RTM_NEWQDISC, QDISC_SIZE);
		if (!nlh)
			return 1;
		fill(nlh, dev);
		nl_dump_end(d, nlh, true);
		d->state[0] = (uint64_t)dev->ifindex;
	}
	return 0;
}

/* Classes, filters, chains, actions: there are none. */
static int empty_dump(struct nl_dump *d)
{
	return 0;
}

static int qdisc_change(struct nl_req *r)
{
	const struct nlattr *tb[TCA_MAX + 1];
	const struct tcmsg *t = mnl_nlmsg_get_payload(r->nlh);
	int err = rtnl_parse(r, sizeof(*t), tb, TCA_MAX, NULL, 0, NL_LIBERAL);

	if (err)
		return err;
	if (!net_dev_by_index(r->net, t->tcm_ifindex))
		return -ENODEV;
	if (r->nlh->nlmsg_type == RTM_DELQDISC && !t->tcm_handle)
		return extack_set(&r->ext, -ENOENT, "Cannot delete qdisc with handle of zero");
	if (r->nlh->nlmsg_type == RTM_DELQDISC)
		return extack_set(&r->ext, -ENOENT, "Failed to find qdisc with specified handle");
	if (!(r->nlh->nlmsg_flags & NLM_F_CREATE))
		return extack_set(&r->ext, -ENOENT,
				  "Qdisc not found. To create specify NLM_F_CREATE flag");
	return extack_set(&r->ext, -ENOENT, "Specified qdisc kind is unknown");
}

const struct nl_handler rtnl_tc_handlers[] = {
	{RTM_GETQDISC, AF_UNSPEC, NULL, qdisc_dump, 0},
	{RTM_NEWQDISC, AF_UNSPEC, qdisc_change, NULL, 0},
	{RTM_DELQDISC, AF_UNSPEC, qdisc_change, NULL, 0},
	{RTM_GETTCLASS, AF_UNSPEC, NULL, empty_dump, 0},
	{RTM_GETTFILTER, AF_UNSPEC, NULL, empty_dump, 0},
	{RTM_GETCHAIN, AF_UNSPEC, NULL, empty_dump, 0},
	{RTM_GETACTION, AF_UNSPEC, NULL, empty_dump, 0},
	{0},
};
