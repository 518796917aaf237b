/*
 * rtnl_tc: what `tc` sees while no device has a queueing discipline to choose: each that has been
 * up has "noqueue" at its root, as Linux gives devices that need no queue.
 */
#include "ctl/rtnl.h"

#define QDISC_SIZE (sizeof(struct tcmsg) + 64)

static void fill(struct nlmsghdr *nlh, const struct netdev *dev)
{
	struct tcmsg *t = mnl_nlmsg_put_extra_header(nlh, sizeof(*t));

	t->tcm_family = AF_UNSPEC;
	t->tcm_ifindex = dev->ifindex;
	t->tcm_parent = 0xffffffff; /* TC_H_ROOT */
	t->tcm_info = 2;	    /* references */
	mnl_attr_put_strz(nlh, TCA_KIND, "noqueue");
}

static int qdisc_dump(struct nl_dump *d)
{
	const struct tcmsg *t = mnl_nlmsg_get_payload(d->req.nlh);
	bool one = mnl_nlmsg_get_payload_len(d->req.nlh) >= sizeof(*t) && t->tcm_ifindex;
	struct netdev *dev;

	d->seq = d->req.net->dev_seq;
	cds_list_for_each_entry (dev, &d->req.net->devs, net_link) {
		if ((uint64_t)dev->ifindex <= d->state[0] || !dev->was_up ||
		    (one && dev->ifindex != t->tcm_ifindex))
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

const struct nl_handler rtnl_tc_handlers[] = {
	{RTM_GETQDISC, AF_UNSPEC, NULL, qdisc_dump, 0},
	{0},
};
