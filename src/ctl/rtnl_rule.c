/*
 * rtnl_rule: `ip rule`: which tables a look-up asks, and in which order.
 *
 * The order is what src/ip's look-up does: local, main, default, for every packet. It cannot be
 * changed yet, and a request to do so is told that; reading it back answers as Linux does.
 */
#include <linux/fib_rules.h>

#include "ctl/rtnl.h"

static const struct rule {
	uint32_t priority, table;
} rules[] = {
	{0, RT_TABLE_LOCAL},
	{32766, RT_TABLE_MAIN},
	{32767, RT_TABLE_DEFAULT},
};

#define RULE_SIZE (sizeof(struct fib_rule_hdr) + 64)

static bool family_known(unsigned family)
{
	return family == AF_INET;
}

static void fill(struct nlmsghdr *nlh, const struct rule *rule)
{
	struct fib_rule_hdr *h = mnl_nlmsg_put_extra_header(nlh, sizeof(*h));

	h->family = AF_INET;
	h->table = (uint8_t)rule->table;
	h->action = FR_ACT_TO_TBL;
	mnl_attr_put_u32(nlh, FRA_TABLE, rule->table);
	mnl_attr_put_u32(nlh, FRA_SUPPRESS_PREFIXLEN, UINT32_MAX);
	mnl_attr_put_u8(nlh, FRA_PROTOCOL, RTPROT_KERNEL);
	if (rule->priority)
		mnl_attr_put_u32(nlh, FRA_PRIORITY, rule->priority);
}

static int check_dump(struct nl_req *r)
{
	const struct fib_rule_hdr *h = mnl_nlmsg_get_payload(r->nlh);
	size_t len = mnl_nlmsg_get_payload_len(r->nlh);

	if (!r->strict)
		return 0;
	if (len < sizeof(*h))
		return extack_set(&r->ext, -EINVAL, "Invalid header for fib rule dump request");
	if (h->dst_len || h->src_len || h->tos || h->table || h->res1 || h->res2 || h->action ||
	    h->flags)
		return extack_set(&r->ext, -EINVAL,
				  "Invalid values in header for fib rule dump request");
	if (len > sizeof(*h))
		return extack_set(&r->ext, -EINVAL,
				  "Invalid data after header in fib rule dump request");
	return 0;
}

/* state[0]: how many were told. */
static int rule_dump(struct nl_dump *d)
{
	const struct rtgenmsg *g = mnl_nlmsg_get_payload(d->req.nlh);
	int err = check_dump(&d->req);

	if (err)
		return err;
	if (g->rtgen_family != AF_UNSPEC && !family_known(g->rtgen_family))
		return -EAFNOSUPPORT;
	for (; d->state[0] < ARRAY_SIZE(rules); d->state[0]++) {
		struct nlmsghdr *nlh = nl_dump_msg(d, RTM_NEWRULE, RULE_SIZE);
		if (!nlh)
			return 1;
		fill(nlh, &rules[d->state[0]]);
		nl_dump_end(d, nlh, true);
	}
	return 0;
}

static int rule_change(struct nl_req *r)
{
	const struct fib_rule_hdr *h = mnl_nlmsg_get_payload(r->nlh);

	if (mnl_nlmsg_get_payload_len(r->nlh) < sizeof(*h))
		return extack_set(&r->ext, -EINVAL, "Invalid msg length");
	if (!family_known(h->family))
		return extack_set(&r->ext, -EAFNOSUPPORT, "Rule family not supported");
	return extack_set(&r->ext, -EOPNOTSUPP, "policy rules are not supported yet");
}

const struct nl_handler rtnl_rule_handlers[] = {
	{RTM_NEWRULE, AF_UNSPEC, rule_change, NULL, 0},
	{RTM_DELRULE, AF_UNSPEC, rule_change, NULL, 0},
	{RTM_GETRULE, AF_UNSPEC, NULL, rule_dump, 0},
	{0},
};
