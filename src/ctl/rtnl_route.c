/*
 * rtnl_route: RTM_NEWROUTE and RTM_DELROUTE of IPv4: from a request to a struct route_config.
 *
 * What a route may be is judged by src/ip (fib_info.c, ip4_route.c); here are the checks of the
 * message itself. Routes over several next hops, tunnels and next hop objects are refused with a
 * sentence; a list of one next hop is that next hop.
 */
#include "ctl/rtnl_route.h"

#define USER_HZ 100

#define ROW(attr, k, ...) [attr] = {attr, NLA_K_##k, .name = #attr, ##__VA_ARGS__}

const struct nla_policy rtnl_route_policy[] = {
	ROW(RTA_DST, U32),
	ROW(RTA_SRC, U32),
	ROW(RTA_IIF, U32),
	ROW(RTA_OIF, U32),
	ROW(RTA_GATEWAY, U32),
	ROW(RTA_PRIORITY, U32),
	ROW(RTA_PREFSRC, U32),
	ROW(RTA_METRICS, NESTED),
	ROW(RTA_MULTIPATH, UNSPEC, .len = sizeof(struct rtnexthop)),
	ROW(RTA_FLOW, U32),
	ROW(RTA_TABLE, U32),
	ROW(RTA_MARK, U32),
	ROW(RTA_ENCAP_TYPE, U16),
	ROW(RTA_ENCAP, NESTED),
	ROW(RTA_UID, U32),
	ROW(RTA_IP_PROTO, U8),
	ROW(RTA_SPORT, U16),
	ROW(RTA_DPORT, U16),
	ROW(RTA_NH_ID, U32, .strict_start = 1),
};
const unsigned rtnl_route_n_policy = ARRAY_SIZE(rtnl_route_policy);

/* ---- metrics ---- */

static const char *const cc_algos[] = {"reno", "cubic"};

static int read_cc_algo(struct nl_req *r, const struct nlattr *a, uint32_t *val)
{
	char name[16];

	nl_get_str(name, sizeof(name), a);
	for (unsigned i = 0; i < ARRAY_SIZE(cc_algos); i++) {
		if (!strcmp(name, cc_algos[i])) {
			*val = i + 1;
			return 0;
		}
	}
	return extack_set(&r->ext, -EINVAL, "Unknown tcp congestion algorithm");
}

static int read_metric(struct nl_req *r, const struct nlattr *a, uint32_t *metrics)
{
	unsigned type = mnl_attr_get_type(a);
	uint32_t val;

	if (!type)
		return 0;
	if (type > RTAX_MAX)
		return extack_set(&r->ext, -EINVAL, "Invalid metric type");
	if (type == RTAX_CC_ALGO)
		return read_cc_algo(r, a, &metrics[type]);
	if (mnl_attr_get_payload_len(a) != sizeof(uint32_t))
		return nl_bad_attr(r, a, -EINVAL, "Invalid attribute in metrics");
	val = nl_get_u32(a);
	/* What an IPv4 header and its options leave, as Linux bounds it. */
	if (type == RTAX_ADVMSS)
		val = MIN(val, 65535u - 40);
	if (type == RTAX_MTU)
		val = MIN(val, 65535u - 15);
	if (type == RTAX_HOPLIMIT)
		val = MIN(val, 255u);
	if (type == RTAX_FEATURES && (val & ~RTAX_FEATURE_MASK))
		return extack_set(&r->ext, -EINVAL,
				  "Unknown flag set in feature mask in metrics attribute");
	metrics[type] = val;
	return 0;
}

static int read_metrics(struct nl_req *r, const struct nlattr *nest, uint32_t *metrics)
{
	const struct nlattr *a;

	mnl_attr_for_each_nested (a, nest) {
		int err = read_metric(r, a, metrics);
		if (err)
			return err;
	}
	return 0;
}

void rtnl_route_put_metrics(struct nlmsghdr *nlh, const uint32_t *metrics)
{
	struct nlattr *nest = NULL;

	for (unsigned i = 1; i <= RTAX_MAX; i++) {
		uint32_t val = metrics[i];
		if (i == RTAX_FEATURES)
			val &= RTAX_FEATURE_MASK;
		if (!val || (i == RTAX_CC_ALGO && val > ARRAY_SIZE(cc_algos)))
			continue;
		if (!nest)
			nest = nl_nest(nlh, RTA_METRICS);
		if (i == RTAX_CC_ALGO)
			mnl_attr_put_strz(nlh, (uint16_t)i, cc_algos[val - 1]);
		else
			mnl_attr_put_u32(nlh, (uint16_t)i, val);
	}
	if (nest)
		mnl_attr_nest_end(nlh, nest);
}

void rtnl_route_put_cacheinfo(struct nlmsghdr *nlh, uint64_t left)
{
	struct rta_cacheinfo ci = {.rta_expires = (int32_t)(left / (NSEC_PER_SEC / USER_HZ))};

	mnl_attr_put(nlh, RTA_CACHEINFO, sizeof(ci), &ci);
}

/* ---- next hops ---- */

static int read_via(struct nl_req *r, const struct nlattr *a, struct route_config *cfg)
{
	const struct rtvia *via = mnl_attr_get_payload(a);
	size_t len = mnl_attr_get_payload_len(a);

	if (len < offsetof(struct rtvia, rtvia_addr))
		return extack_set(&r->ext, -EINVAL, "Invalid attribute length for RTA_VIA");
	len -= offsetof(struct rtvia, rtvia_addr);
	switch (via->rtvia_family) {
	case AF_INET:
		if (len != sizeof(uint32_t))
			return extack_set(&r->ext, -EINVAL, "Invalid IPv4 address in RTA_VIA");
		memcpy(&cfg->gateway, via->rtvia_addr, sizeof(cfg->gateway));
		cfg->has_gateway = true;
		return 0;
	case AF_INET6:
		return extack_set(&r->ext, -EINVAL, "IPv6 support not enabled in kernel");
	default:
		return extack_set(&r->ext, -EINVAL, "Unsupported address family in RTA_VIA");
	}
}

static int read_nexthop(struct nl_req *r, const struct nlattr *gateway, const struct nlattr *via,
			struct route_config *cfg)
{
	if (gateway && via)
		return extack_set(&r->ext, -EINVAL,
				  "Nexthop configuration can not contain both GATEWAY and VIA");
	if (via)
		return read_via(r, via, cfg);
	if (gateway) {
		cfg->gateway = nl_get_u32(gateway);
		cfg->has_gateway = cfg->gateway != 0;
	}
	return 0;
}

/* RTA_MULTIPATH: a list of one is an ordinary route. */
static int read_multipath(struct nl_req *r, const struct nlattr *a, struct route_config *cfg)
{
	const struct rtnexthop *nh = mnl_attr_get_payload(a);
	const struct nlattr *tb[RTNL_ROUTE_MAX + 1];
	size_t len = mnl_attr_get_payload_len(a);

	if (nh->rtnh_len < sizeof(*nh) || nh->rtnh_len > len)
		return extack_set(&r->ext, -EINVAL,
				  "Invalid nexthop configuration - extra data after nexthops");
	if (MNL_ALIGN((size_t)nh->rtnh_len) < len)
		return extack_set(&r->ext, -EOPNOTSUPP, "Multipath routes are not supported");
	if (cfg->has_gateway || cfg->oif)
		return extack_set(&r->ext, -EINVAL, "Nexthop gateway does not match RTA_GATEWAY");
	int err = nl_parse(tb, RTNL_ROUTE_MAX, nh + 1, nh->rtnh_len - sizeof(*nh),
			   rtnl_route_policy, rtnl_route_n_policy, NL_LIBERAL, r->nlh, &r->ext);
	if (err)
		return err;
	if (nh->rtnh_flags & (RTNH_F_DEAD | RTNH_F_LINKDOWN))
		return extack_set(&r->ext, -EINVAL,
				  "Invalid flags for nexthop - can not contain DEAD or LINKDOWN");
	cfg->nh_flags |= nh->rtnh_flags;
	cfg->oif = nh->rtnh_ifindex;
	cfg->has_oif = cfg->oif;
	return read_nexthop(r, tb[RTA_GATEWAY], tb[RTA_VIA], cfg);
}

static int refuse_unknown(struct nl_req *r, const struct nlattr **tb,
			  const struct route_config *cfg)
{
	if (tb[RTA_NH_ID] && nl_get_u32(tb[RTA_NH_ID])) {
		if (cfg->oif || cfg->has_gateway || tb[RTA_ENCAP] || tb[RTA_MULTIPATH])
			return extack_set(
				&r->ext, -EINVAL,
				"Nexthop specification and nexthop id are mutually exclusive");
		return extack_set(&r->ext, -EINVAL, "Nexthop id does not exist");
	}
	bool encap = tb[RTA_ENCAP] && r->nlh->nlmsg_type == RTM_NEWROUTE;
	const struct nlattr *type = tb[RTA_ENCAP_TYPE];
	if (encap || (type && mnl_attr_get_payload_len(type) >= 2 && mnl_attr_get_u16(type)))
		return extack_set(&r->ext, -EOPNOTSUPP,
				  "CONFIG_LWTUNNEL is not enabled in this kernel");
	return 0;
}

/* ---- requests ---- */

static int check_prefix(struct nl_req *r, const struct route_config *cfg)
{
	if (cfg->dst_len > 32)
		return extack_set(&r->ext, -EINVAL, "Invalid prefix length");
	if (cfg->dst_len < 32 && (__builtin_bswap32(cfg->dst) << cfg->dst_len) != 0)
		return extack_set(&r->ext, -EINVAL, "Invalid prefix for given prefix length");
	return 0;
}

static void read_header(const struct nl_req *r, struct route_config *cfg)
{
	const struct rtmsg *rtm = mnl_nlmsg_get_payload(r->nlh);

	*cfg = (struct route_config){.table = rtm->rtm_table,
				     .dst_len = rtm->rtm_dst_len,
				     .tos = rtm->rtm_tos,
				     .protocol = rtm->rtm_protocol,
				     .scope = rtm->rtm_scope,
				     .type = rtm->rtm_type,
				     .flags = rtm->rtm_flags,
				     .nh_flags = (uint8_t)rtm->rtm_flags,
				     .nl_flags = r->nlh->nlmsg_flags};
}

static void read_plain(const struct nlattr **tb, struct route_config *cfg)
{
	if (tb[RTA_DST])
		cfg->dst = nl_get_u32(tb[RTA_DST]);
	if (tb[RTA_OIF])
		cfg->oif = (int)nl_get_u32(tb[RTA_OIF]);
	cfg->has_oif = tb[RTA_OIF];
	if (tb[RTA_PRIORITY])
		cfg->priority = nl_get_u32(tb[RTA_PRIORITY]);
	cfg->has_priority = tb[RTA_PRIORITY];
	if (tb[RTA_PREFSRC])
		cfg->prefsrc = nl_get_u32(tb[RTA_PREFSRC]);
	if (tb[RTA_FLOW])
		cfg->flow = nl_get_u32(tb[RTA_FLOW]);
	if (tb[RTA_TABLE])
		cfg->table = nl_get_u32(tb[RTA_TABLE]);
	if (!cfg->table)
		cfg->table = RT_TABLE_MAIN;
}

static int read_config(struct nl_req *r, struct route_config *cfg)
{
	const struct nlattr *tb[RTNL_ROUTE_MAX + 1];

	if (mnl_nlmsg_get_payload_len(r->nlh) < sizeof(struct rtmsg))
		return -EINVAL;
	int err = rtnl_parse(r, sizeof(struct rtmsg), tb, RTNL_ROUTE_MAX, rtnl_route_policy,
			     rtnl_route_n_policy, NL_LIBERAL);
	if (err)
		return err;
	read_header(r, cfg);
	if (cfg->tos & 3)
		return extack_set(&r->ext, -EINVAL, "Invalid dsfield (tos): ECN bits must be 0");
	if (cfg->type > RTN_MAX)
		return extack_set(&r->ext, -EINVAL, "Invalid route type");
	read_plain(tb, cfg);
	err = read_nexthop(r, tb[RTA_GATEWAY], tb[RTA_VIA], cfg);
	if (!err)
		err = check_prefix(r, cfg);
	if (!err)
		err = refuse_unknown(r, tb, cfg);
	if (!err && tb[RTA_MULTIPATH]) {
		err = read_multipath(r, tb[RTA_MULTIPATH], cfg);
		/* No route has such next hops, so there is none to delete. */
		if (err && r->nlh->nlmsg_type == RTM_DELROUTE) {
			r->ext = (struct extack){0};
			err = -ESRCH;
		}
	}
	if (!err && tb[RTA_METRICS])
		err = read_metrics(r, tb[RTA_METRICS], cfg->metrics);
	return err;
}

static int rtnl_newroute(struct nl_req *r)
{
	struct route_config cfg;
	int err = read_config(r, &cfg);

	return err ? err : route4_add(r->net, &cfg, &r->ext);
}

static int rtnl_delroute(struct nl_req *r)
{
	struct route_config cfg;
	int err = read_config(r, &cfg);

	return err ? err : route4_del(r->net, &cfg, &r->ext);
}

const struct nl_handler rtnl_route_handlers[] = {
	{RTM_NEWROUTE, AF_INET, rtnl_newroute, NULL, 0},
	{RTM_DELROUTE, AF_INET, rtnl_delroute, NULL, 0},
	{RTM_GETROUTE, AF_INET, rtnl_route_get, rtnl_route_dump, 0},
	{RTM_GETROUTE, AF_UNSPEC, NULL, rtnl_route_dump, 0},
	{0},
};
