/*
 * rtnl_route_dump: routes told: one in a message, all of them in a dump, changes to listeners.
 *
 * A dump keeps route4_walk()'s cookie between datagrams, so a table of 10^6 routes is walked once.
 */
#include "ctl/rtnl_route.h"

/* The flags a next hop has now; a link that is down counts as dead where the user said so. */
static uint32_t nexthop_flags(const struct ip4_nexthop *nh)
{
	uint32_t flags = nh->flags & (RTNH_F_DEAD | RTNH_F_LINKDOWN | RTNH_F_ONLINK |
				      RTNH_F_OFFLOAD | RTNH_F_TRAP);

	if ((flags & RTNH_F_LINKDOWN) && nh->dev && nh->dev->in_dev &&
	    ip4_conf(nh->dev, IPV4_DEVCONF_IGNORE_ROUTES_WITH_LINKDOWN))
		flags |= RTNH_F_DEAD;
	return flags;
}

void rtnl_route_fill(struct nlmsghdr *nlh, const struct route *rt, uint32_t table)
{
	const struct fib_info *fi = rt->fi;
	struct rtmsg *rtm = mnl_nlmsg_put_extra_header(nlh, sizeof(*rtm));

	*rtm = (struct rtmsg){.rtm_family = AF_INET,
			      .rtm_dst_len = rt->dst_len,
			      .rtm_tos = rt->tos,
			      .rtm_table = (uint8_t)(table < 256 ? table : RT_TABLE_COMPAT),
			      .rtm_protocol = fi->protocol,
			      .rtm_scope = fi->scope,
			      .rtm_type = rt->type,
			      .rtm_flags = nexthop_flags(&fi->nh)};
	mnl_attr_put_u32(nlh, RTA_TABLE, table);
	if (rt->dst_len)
		mnl_attr_put_u32(nlh, RTA_DST, rt->dst);
	if (fi->priority)
		mnl_attr_put_u32(nlh, RTA_PRIORITY, fi->priority);
	rtnl_route_put_metrics(nlh, fi->metrics);
	if (fi->prefsrc)
		mnl_attr_put_u32(nlh, RTA_PREFSRC, fi->prefsrc);
	if (fi->nh.gateway)
		mnl_attr_put_u32(nlh, RTA_GATEWAY, fi->nh.gateway);
	if (fi->nh.dev)
		mnl_attr_put_u32(nlh, RTA_OIF, (uint32_t)fi->nh.dev->ifindex);
	if (fi->flow)
		mnl_attr_put_u32(nlh, RTA_FLOW, fi->flow);
}

void rtnl_route_notify(struct net *net, const struct route *rt, uint16_t type, uint16_t flags,
		       const struct event_cause *cause)
{
	bool echo = cause && cause->echo;

	if (!echo && !nl_has_listeners(net, NETLINK_ROUTE, RTNLGRP_IPV4_ROUTE))
		return;
	struct nlmsghdr *nlh = rtnl_msg_new(type, flags, cause ? cause->portid : 0,
					    cause ? cause->seq : 0, RTNL_ROUTE_SIZE);
	if (!nlh)
		return;
	rtnl_route_fill(nlh, rt, rt->table);
	rtnl_notify(net, RTNLGRP_IPV4_ROUTE, cause, nlh);
}

/* ---- dumps ---- */

/* Lives in nl_dump.state. */
struct route_dump {
	struct route4_cookie cookie;
	uint32_t table; /* 0: all */
	int oif;	/* 0: all */
	uint8_t protocol, type;
	bool begun, empty;
	bool cached;	   /* what ICMP has told of paths, instead of routes */
	unsigned cache_at; /* where among these */
};
_Static_assert(sizeof(struct route_dump) <= sizeof(((struct nl_dump *)0)->state), "state");

static int strict_filter(struct nl_dump *d, struct route_dump *s)
{
	const struct nlattr *tb[RTNL_ROUTE_MAX + 1];
	const struct rtmsg *rtm = mnl_nlmsg_get_payload(d->req.nlh);
	struct extack *ext = &d->req.ext;

	if (mnl_nlmsg_get_payload_len(d->req.nlh) < sizeof(*rtm))
		return extack_set(ext, -EINVAL, "Invalid header for FIB dump request");
	if (rtm->rtm_dst_len || rtm->rtm_src_len || rtm->rtm_tos || rtm->rtm_scope)
		return extack_set(ext, -EINVAL, "Invalid values in header for FIB dump request");
	if (rtm->rtm_flags & ~(RTM_F_CLONED | RTM_F_PREFIX))
		return extack_set(ext, -EINVAL, "Invalid flags for FIB dump request");
	s->protocol = rtm->rtm_protocol;
	s->type = rtm->rtm_type;
	s->table = rtm->rtm_table;
	int err = rtnl_parse(&d->req, sizeof(*rtm), tb, RTNL_ROUTE_MAX, rtnl_route_policy,
			     rtnl_route_n_policy, NL_DSTRICT);
	if (err)
		return err;
	for (unsigned i = 0; i <= RTNL_ROUTE_MAX; i++) {
		if (!tb[i])
			continue;
		if (i == RTA_TABLE) {
			s->table = nl_get_u32(tb[i]);
		} else if (i == RTA_OIF) {
			s->oif = (int)nl_get_u32(tb[i]);
			if (!net_dev_by_index(d->req.net, s->oif))
				return -ENODEV;
		} else {
			return extack_set(ext, -EINVAL, "Unsupported attribute in dump request");
		}
	}
	d->filtered = rtm->rtm_flags || s->protocol || s->type || s->table || s->oif;
	return 0;
}

static int dump_begin(struct nl_dump *d, struct route_dump *s)
{
	const struct rtmsg *rtm = mnl_nlmsg_get_payload(d->req.nlh);
	bool header = mnl_nlmsg_get_payload_len(d->req.nlh) >= sizeof(*rtm);

	s->begun = true;
	if (d->req.strict) {
		int err = strict_filter(d, s);
		if (err)
			return err;
	}
	/* Prefixes are a matter of IPv6. */
	if (header && (rtm->rtm_flags & RTM_F_PREFIX))
		s->empty = true;
	s->cached = header && (rtm->rtm_flags & RTM_F_CLONED);
	if (!s->table || route4_table_there(d->req.net, s->table))
		return 0;
	s->empty = true;
	if (header && rtm->rtm_family == AF_INET)
		return extack_set(&d->req.ext, -ENOENT, "ipv4: FIB table does not exist");
	return 0;
}

static bool left_out(const struct route_dump *s, const struct fib_info *fi, uint8_t type)
{
	return (s->protocol && fi->protocol != s->protocol) || (s->type && type != s->type) ||
	       (s->oif && (!fi->nh.dev || fi->nh.dev->ifindex != s->oif));
}

static int dump_one(const struct route *rt, void *arg)
{
	struct nl_dump *d = arg;

	if (left_out((const struct route_dump *)d->state, rt->fi, rt->type))
		return 0;
	struct nlmsghdr *nlh = nl_dump_msg(d, RTM_NEWROUTE, RTNL_ROUTE_SIZE);
	if (!nlh)
		return 1;
	rtnl_route_fill(nlh, rt, rt->table);
	nl_dump_end(d, nlh, true);
	return 0;
}

static int dump_cached(const struct route4_pmtu *m, void *arg)
{
	struct nl_dump *d = arg;
	const struct route_dump *s = (const struct route_dump *)d->state;
	uint32_t metrics[RTAX_MAX + 1], table = m->fi->tb_id;

	if (left_out(s, m->fi, m->fi->type) || (s->table && table != s->table))
		return 0;
	struct nlmsghdr *nlh = nl_dump_msg(d, RTM_NEWROUTE, RTNL_ROUTE_SIZE);
	if (!nlh)
		return 1;
	struct rtmsg *rtm = mnl_nlmsg_put_extra_header(nlh, sizeof(*rtm));
	*rtm = (struct rtmsg){.rtm_family = AF_INET,
			      .rtm_dst_len = 32,
			      .rtm_table = (uint8_t)(table < 256 ? table : RT_TABLE_COMPAT),
			      .rtm_type = m->fi->type,
			      .rtm_flags = RTM_F_CLONED};
	mnl_attr_put_u32(nlh, RTA_TABLE, table);
	mnl_attr_put_u32(nlh, RTA_DST, m->daddr);
	if (m->fi->nh.dev)
		mnl_attr_put_u32(nlh, RTA_OIF, (uint32_t)m->fi->nh.dev->ifindex);
	if (m->fi->nh.gateway)
		mnl_attr_put_u32(nlh, RTA_GATEWAY, m->fi->nh.gateway);
	memcpy(metrics, m->fi->metrics, sizeof(metrics));
	metrics[RTAX_MTU] = m->mtu;
	rtnl_route_put_metrics(nlh, metrics);
	rtnl_route_put_cacheinfo(nlh, m->expires - d->req.weft->worker[0]->now);
	nl_dump_end(d, nlh, true);
	return 0;
}

/* Of any family: who asks for one that is not there gets what there is, and looks for himself. */
int rtnl_route_dump(struct nl_dump *d)
{
	struct route_dump *s = (struct route_dump *)d->state;
	if (!s->begun) {
		int err = dump_begin(d, s);
		if (err)
			return err;
	}
	if (s->empty)
		return 0;
	d->seq = route4_seq(d->req.net);
	if (s->cached)
		return route4_pmtu_walk(d->req.net, &s->cache_at, d->req.weft->worker[0]->now,
					dump_cached, d);
	return route4_walk(d->req.net, s->table, &s->cookie, dump_one, d);
}
