/*
 * rtnl_nexthop: `ip nexthop`: next hops as objects of their own. There are none, and none can be
 * made yet; a route says its next hop itself.
 */
#include <linux/nexthop.h>

#include "ctl/rtnl.h"

/* younger than the headers this builds with */
enum { NEXTHOP_OP_FLAGS = 14, NEXTHOP_MAX = 14 };

#define ROW(attr, k, ...) [attr] = {attr, NLA_K_##k, .name = #attr, ##__VA_ARGS__}

static const struct nla_policy get_policy[] = {
	ROW(NHA_ID, U32),
	ROW(NEXTHOP_OP_FLAGS, U32, .mask = 3),
};

static const struct nla_policy dump_policy[] = {
	ROW(NHA_OIF, U32),
	ROW(NHA_GROUPS, FLAG),
	ROW(NHA_MASTER, U32),
	ROW(NHA_FDB, FLAG),
	ROW(NEXTHOP_OP_FLAGS, U32, .mask = 3),
};

static int check_header(struct nl_req *r, const char *text)
{
	const struct nhmsg *m = mnl_nlmsg_get_payload(r->nlh);

	if (m->nh_protocol || m->resvd || m->nh_scope || m->nh_flags)
		return extack_set(&r->ext, -EINVAL, text);
	return 0;
}

static int nexthop_dump(struct nl_dump *d)
{
	const struct nlattr *tb[NEXTHOP_MAX + 1];
	int err = rtnl_parse(&d->req, sizeof(struct nhmsg), tb, NEXTHOP_MAX, dump_policy,
			     ARRAY_SIZE(dump_policy), NL_STRICT);

	return err ? err
		   : check_header(&d->req, "Invalid values in header for nexthop dump request");
}

static int nexthop_find(struct nl_req *r)
{
	const struct nlattr *tb[NEXTHOP_MAX + 1];
	int err = rtnl_parse(r, sizeof(struct nhmsg), tb, NEXTHOP_MAX, get_policy,
			     ARRAY_SIZE(get_policy), NL_STRICT);

	if (!err)
		err = check_header(r, "Invalid values in header");
	if (err)
		return err;
	if (!tb[NHA_ID])
		return extack_set(&r->ext, -EINVAL, "Nexthop id is missing");
	if (!nl_get_u32(tb[NHA_ID]))
		return extack_set(&r->ext, -EINVAL, "Invalid nexthop id");
	return -ENOENT;
}

static int nexthop_new(struct nl_req *r)
{
	if (!rtnl_header(r, sizeof(struct nhmsg)))
		return -EINVAL;
	return extack_set(&r->ext, -EOPNOTSUPP, "nexthop objects are not supported yet");
}

const struct nl_handler rtnl_nexthop_handlers[] = {
	{RTM_NEWNEXTHOP, AF_UNSPEC, nexthop_new, NULL, 0},
	{RTM_DELNEXTHOP, AF_UNSPEC, nexthop_find, NULL, 0},
	{RTM_GETNEXTHOP, AF_UNSPEC, nexthop_find, nexthop_dump, 0},
	{0},
};
