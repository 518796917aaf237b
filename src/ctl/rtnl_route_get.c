/*
 * rtnl_route_get: RTM_GETROUTE for one destination: `ip route get`.
 *
 * The answer is the route a packet would take (flag RTM_F_CLONED, as of an entry in a cache), or,
 * with RTM_F_FIB_MATCH, the route of the table that decided it.
 */
#include <arpa/inet.h>
#include <linux/in_route.h>

#include "ctl/rtnl_route.h"

#define UID_NONE UINT32_MAX

struct query {
	struct flow4 fl;
	const struct rtmsg *rtm;
	struct netdev *in; /* `iif`; NULL: the packet starts here */
	uint32_t uid;
	struct route_result res;
	uint32_t table; /* shown */
};

static bool may_ask_by(unsigned attr)
{
	switch (attr) {
	case RTA_IIF:
	case RTA_OIF:
	case RTA_SRC:
	case RTA_DST:
	case RTA_IP_PROTO:
	case RTA_SPORT:
	case RTA_DPORT:
	case RTA_MARK:
	case RTA_UID:
		return true;
	default:
		return false;
	}
}

static int check_strict(struct nl_req *r, const struct rtmsg *rtm, const struct nlattr **tb)
{
	if ((rtm->rtm_src_len && rtm->rtm_src_len != 32) ||
	    (rtm->rtm_dst_len && rtm->rtm_dst_len != 32) || rtm->rtm_table || rtm->rtm_protocol ||
	    rtm->rtm_scope || rtm->rtm_type)
		return extack_set(&r->ext, -EINVAL,
				  "ipv4: Invalid values in header for route get request");
	if (rtm->rtm_flags & ~(RTM_F_NOTIFY | RTM_F_LOOKUP_TABLE | RTM_F_FIB_MATCH))
		return extack_set(&r->ext, -EINVAL,
				  "ipv4: Unsupported rtm_flags for route get request");
	int err = rtnl_parse(r, sizeof(*rtm), tb, RTNL_ROUTE_MAX, rtnl_route_policy,
			     rtnl_route_n_policy, NL_DSTRICT);
	if (err)
		return err;
	if ((tb[RTA_SRC] && !rtm->rtm_src_len) || (tb[RTA_DST] && !rtm->rtm_dst_len))
		return extack_set(&r->ext, -EINVAL,
				  "ipv4: rtm_src_len and rtm_dst_len must be 32 for IPv4");
	for (unsigned i = 0; i <= RTNL_ROUTE_MAX; i++)
		if (tb[i] && !may_ask_by(i))
			return extack_set(&r->ext, -EINVAL,
					  "ipv4: Unsupported attribute in route get request");
	return 0;
}

static uint16_t get_port(const struct nlattr *a)
{
	return a && mnl_attr_get_payload_len(a) >= 2 ? mnl_attr_get_u16(a) : 0;
}

static int read_query(struct nl_req *r, const struct nlattr **tb, struct query *q)
{
	struct flow4 *fl = &q->fl;
	int iif = tb[RTA_IIF] ? (int)nl_get_u32(tb[RTA_IIF]) : 0;

	fl->daddr = tb[RTA_DST] ? nl_get_u32(tb[RTA_DST]) : 0;
	fl->saddr = tb[RTA_SRC] ? nl_get_u32(tb[RTA_SRC]) : 0;
	fl->oif = tb[RTA_OIF] ? (int)nl_get_u32(tb[RTA_OIF]) : 0;
	fl->mark = tb[RTA_MARK] ? nl_get_u32(tb[RTA_MARK]) : 0;
	fl->tos = q->rtm->rtm_tos & 0x1c;
	fl->proto = IPPROTO_UDP;
	if (tb[RTA_IP_PROTO]) {
		fl->proto = nl_get_u8(tb[RTA_IP_PROTO]);
		if (fl->proto != IPPROTO_TCP && fl->proto != IPPROTO_UDP &&
		    fl->proto != IPPROTO_ICMP)
			return extack_set(&r->ext, -EOPNOTSUPP, "Unsupported ip proto");
	}
	fl->sport = get_port(tb[RTA_SPORT]);
	fl->dport = get_port(tb[RTA_DPORT]);
	if (tb[RTA_UID])
		q->uid = nl_get_u32(tb[RTA_UID]);
	else
		q->uid = iif ? UID_NONE : r->sk->uid;
	if (iif) {
		q->in = net_dev_by_index(r->net, iif);
		if (!q->in)
			return -ENODEV;
		fl->iif = iif;
	}
	return 0;
}

/* ---- the route in its table ---- */

struct match {
	const struct fib_info *fi;
	uint32_t dst;
	uint8_t len, tos;
	struct route found;
};

static int match_one(const struct route *rt, void *arg)
{
	struct match *m = arg;

	if (rt->dst != m->dst || rt->dst_len != m->len)
		return 1;
	/* routes for several TOS may share what they say */
	if (rt->fi != m->fi || (rt->tos && rt->tos != m->tos))
		return 0;
	m->found.tos = rt->tos;
	return 1;
}

/* The route that was found, with the TOS it is for. */
static struct route matched(struct net *net, const struct query *q)
{
	const struct route_result *res = &q->res;
	unsigned len = res->prefixlen;
	uint32_t host = len ? ntohl(q->fl.daddr) & (~0u << (32 - len)) : 0;
	struct match m = {
		.fi = res->fi, .dst = htonl(host), .len = res->prefixlen, .tos = q->fl.tos};
	/* The walk begins at the prefix itself. */
	struct route4_cookie c = {
		.table = res->fi->tb_id, .dst = host, .len = len, .started = true};

	m.found = (struct route){.fi = (struct fib_info *)res->fi,
				 .dst = m.dst,
				 .dst_len = m.len,
				 .type = res->type};
	route4_walk(net, c.table, &c, match_one, &m);
	return m.found;
}

static uint8_t matched_tos(struct net *net, const struct query *q)
{
	return q->res.fi ? matched(net, q).tos : 0;
}

static int match_fill(struct nlmsghdr *nlh, struct net *net, const struct query *q)
{
	if (!q->res.fi)
		return -EHOSTUNREACH;
	struct route found = matched(net, q);
	rtnl_route_fill(nlh, &found, q->table);
	return 0;
}

/* ---- the route that a packet takes ---- */

static uint32_t cached_flags(const struct query *q)
{
	uint32_t flags = RTM_F_CLONED;

	switch (q->res.type) {
	case RTN_LOCAL:
		flags |= RTCF_LOCAL;
		break;
	case RTN_BROADCAST:
		flags |= RTCF_BROADCAST | RTCF_LOCAL;
		break;
	case RTN_MULTICAST:
		flags |= RTCF_MULTICAST;
		if (q->in || ip4_igmp_member(q->res.dev, q->fl.daddr))
			flags |= RTCF_LOCAL;
		break;
	}
	if (!q->in && (q->res.dev->flags & IFF_LOOPBACK))
		flags |= RTCF_LOCAL;
	if (q->rtm->rtm_flags & RTM_F_NOTIFY)
		flags |= RTM_F_NOTIFY | RTCF_NOTIFY;
	return flags;
}

/* Metrics of the route, and the MTU of the path where ICMP told one. */
static void put_cached_metrics(struct nlmsghdr *nlh, const struct query *q, uint32_t pmtu)
{
	uint32_t metrics[RTAX_MAX + 1] = {0};

	if (q->res.fi)
		memcpy(metrics, q->res.fi->metrics, sizeof(metrics));
	if (pmtu)
		metrics[RTAX_MTU] = pmtu;
	rtnl_route_put_metrics(nlh, metrics);
}

static void cached_fill(struct nlmsghdr *nlh, struct net *net, const struct query *q)
{
	const struct route_result *res = &q->res;
	struct rtmsg *rtm = mnl_nlmsg_put_extra_header(nlh, sizeof(*rtm));
	uint32_t dst = q->fl.daddr ? q->fl.daddr : (q->in ? 0 : res->saddr);
	uint64_t now = net->weft->worker[0]->now, expires = 0;
	uint32_t pmtu = q->in ? 0 : route4_pmtu(net, dst, now, &expires);
	const struct netdev *dev = res->dev;

	/* What is for us leaves for no device but ours. */
	if (q->in && res->type != RTN_UNICAST)
		dev = net->loopback;

	*rtm = (struct rtmsg){.rtm_family = AF_INET,
			      .rtm_dst_len = 32,
			      .rtm_tos = q->fl.tos ? matched_tos(net, q) : 0,
			      .rtm_table = (uint8_t)(q->table < 256 ? q->table : RT_TABLE_COMPAT),
			      .rtm_type = res->type,
			      .rtm_scope = RT_SCOPE_UNIVERSE,
			      .rtm_flags = cached_flags(q)};
	mnl_attr_put_u32(nlh, RTA_TABLE, q->table);
	mnl_attr_put_u32(nlh, RTA_DST, q->fl.daddr);
	if (q->fl.saddr) {
		rtm->rtm_src_len = 32;
		mnl_attr_put_u32(nlh, RTA_SRC, q->fl.saddr);
	}
	if (dev)
		mnl_attr_put_u32(nlh, RTA_OIF, (uint32_t)dev->ifindex);
	if (res->fi && res->fi->flow)
		mnl_attr_put_u32(nlh, RTA_FLOW, res->fi->flow);
	if (!q->in && res->saddr != q->fl.saddr)
		mnl_attr_put_u32(nlh, RTA_PREFSRC, res->saddr);
	if (res->fi && res->fi->nh.gateway && res->fi->nh.scope == RT_SCOPE_LINK &&
	    (res->type == RTN_UNICAST || res->type == RTN_MULTICAST))
		mnl_attr_put_u32(nlh, RTA_GATEWAY, res->fi->nh.gateway);
	put_cached_metrics(nlh, q, pmtu);
	if (q->fl.mark)
		mnl_attr_put_u32(nlh, RTA_MARK, q->fl.mark);
	if (q->uid != UID_NONE)
		mnl_attr_put_u32(nlh, RTA_UID, q->uid);
	if (q->in)
		mnl_attr_put_u32(nlh, RTA_IIF, (uint32_t)q->fl.iif);
	rtnl_route_put_cacheinfo(nlh, pmtu ? expires - now : 0);
}

int rtnl_route_get(struct nl_req *r)
{
	const struct nlattr *tb[RTNL_ROUTE_MAX + 1];
	struct query q = {.table = RT_TABLE_MAIN};
	int err;

	if (mnl_nlmsg_get_payload_len(r->nlh) < sizeof(*q.rtm))
		return extack_set(&r->ext, -EINVAL, "ipv4: Invalid header for route get request");
	q.rtm = mnl_nlmsg_get_payload(r->nlh);
	if (r->strict)
		err = check_strict(r, q.rtm, tb);
	else
		err = rtnl_parse(r, sizeof(*q.rtm), tb, RTNL_ROUTE_MAX, rtnl_route_policy,
				 rtnl_route_n_policy, NL_LIBERAL);
	if (!err)
		err = read_query(r, tb, &q);
	if (!err)
		err = q.in ? route4_input(r->net, &q.fl, q.in, &q.res)
			   : route4_output(r->net, &q.fl, &q.res);
	if (err)
		return err;
	if (q.rtm->rtm_flags & RTM_F_LOOKUP_TABLE)
		q.table = q.res.table;
	struct nlmsghdr *nlh =
		rtnl_msg_new(RTM_NEWROUTE, 0, r->portid, r->nlh->nlmsg_seq, RTNL_ROUTE_SIZE);
	if (!nlh)
		return -ENOBUFS;
	if (q.rtm->rtm_flags & RTM_F_FIB_MATCH)
		err = match_fill(nlh, r->net, &q);
	else
		cached_fill(nlh, r->net, &q);
	if (err) {
		free(nlh);
		return err;
	}
	return rtnl_reply(r, nlh);
}
