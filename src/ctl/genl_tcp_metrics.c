/*
 * genl_tcp_metrics: the family "tcp_metrics": what TCP remembers of peers (`ip tcp_metrics`).
 */
#include <linux/in6.h>

#include "ctl/genl_core.h"
#include "net/net.h"
#include "tcp/tcp_metrics.h"

#define ROW(attr, k, ...) [attr] = {attr, NLA_K_##k, .name = #attr, ##__VA_ARGS__}

static const struct nla_policy policy[] = {
	ROW(TCP_METRICS_ATTR_ADDR_IPV4, U32),
	ROW(TCP_METRICS_ATTR_ADDR_IPV6, BINARY, .len = sizeof(struct in6_addr)),
	ROW(TCP_METRICS_ATTR_SADDR_IPV4, U32),
	ROW(TCP_METRICS_ATTR_SADDR_IPV6, BINARY, .len = sizeof(struct in6_addr)),
};

/* The most a record takes: addresses, age, seven values in a nest, Fast Open. */
#define RECORD_SIZE 256

/* Both units of the two that are times; 0 is not told. */
static void put_value(struct nlmsghdr *nlh, unsigned i, uint32_t v)
{
	if (!v)
		return;
	if (i == TCP_METRIC_RTT || i == TCP_METRIC_RTTVAR) {
		unsigned us = i == TCP_METRIC_RTT ? TCP_METRIC_RTT_US : TCP_METRIC_RTTVAR_US;

		mnl_attr_put_u32(nlh, (uint16_t)(us + 1), v);
		v = MAX(v / 1000, 1u);
	}
	mnl_attr_put_u32(nlh, (uint16_t)(i + 1), v);
}

static void fill(struct nlmsghdr *nlh, const struct tcp_metrics_entry *e, uint64_t now)
{
	bool any = false;

	mnl_attr_put_u32(nlh, TCP_METRICS_ATTR_ADDR_IPV4, e->raddr);
	mnl_attr_put_u32(nlh, TCP_METRICS_ATTR_SADDR_IPV4, e->laddr);
	mnl_attr_put_u64(nlh, TCP_METRICS_ATTR_AGE, (now - e->stamp) / NSEC_PER_MSEC);
	for (unsigned i = 0; i < TCP_METRICS_KEPT; i++)
		any |= e->val[i] != 0;
	if (any) {
		struct nlattr *nest = nl_nest(nlh, TCP_METRICS_ATTR_VALS);

		for (unsigned i = 0; i < TCP_METRICS_KEPT; i++)
			put_value(nlh, i, e->val[i]);
		mnl_attr_nest_end(nlh, nest);
	}
	if (e->fo_mss)
		mnl_attr_put_u16(nlh, TCP_METRICS_ATTR_FOPEN_MSS, e->fo_mss);
	if (e->fo_syn_loss) {
		mnl_attr_put_u16(nlh, TCP_METRICS_ATTR_FOPEN_SYN_DROPS, e->fo_syn_loss);
		mnl_attr_put_u64(nlh, TCP_METRICS_ATTR_FOPEN_SYN_DROP_TS,
				 (now - e->fo_last_syn_loss) / NSEC_PER_MSEC);
	}
	if (e->fo_cookie.len > 0)
		mnl_attr_put(nlh, TCP_METRICS_ATTR_FOPEN_COOKIE, (size_t)e->fo_cookie.len,
			     e->fo_cookie.val);
}

/* An address of either family: 4 or 6; 0: none is given; -EINVAL. */
static int read_addr(const struct genl_info *info, unsigned v4, unsigned v6, uint32_t *addr)
{
	if (info->tb[v4]) {
		*addr = nl_get_u32(info->tb[v4]);
		return 4;
	}
	if (!info->tb[v6])
		return 0;
	return mnl_attr_get_payload_len(info->tb[v6]) == sizeof(struct in6_addr) ? 6 : -EINVAL;
}

/* Whom a request is about: as read_addr. */
static int read_peer(const struct genl_info *info, uint32_t *raddr, bool *laddr_given,
		     uint32_t *laddr)
{
	*laddr_given = read_addr(info, TCP_METRICS_ATTR_SADDR_IPV4, TCP_METRICS_ATTR_SADDR_IPV6,
				 laddr) == 4;
	return read_addr(info, TCP_METRICS_ATTR_ADDR_IPV4, TCP_METRICS_ATTR_ADDR_IPV6, raddr);
}

static int metrics_get(struct genl_info *info)
{
	uint32_t raddr = 0, laddr = 0;
	struct tcp_metrics_entry e;
	struct nlmsghdr *nlh;
	bool laddr_given;
	size_t pos = 0;
	int family = read_peer(info, &raddr, &laddr_given, &laddr);

	if (family < 0)
		return family;
	if (!family)
		return -EAFNOSUPPORT;
	while (tcp_metrics_next(info->r->net, &pos, &e)) {
		if (family != 4 || e.raddr != raddr || (laddr_given && e.laddr != laddr))
			continue;
		nlh = genl_reply_new(info, TCP_METRICS_CMD_GET, RECORD_SIZE);
		if (!nlh)
			return -ENOBUFS;
		fill(nlh, &e, info->r->weft->worker[0]->now);
		return genl_reply(info, nlh);
	}
	return -ESRCH;
}

static int metrics_del(struct genl_info *info)
{
	uint32_t raddr = 0, laddr = 0;
	bool laddr_given;
	int family = read_peer(info, &raddr, &laddr_given, &laddr);

	if (family < 0)
		return family;
	if (!family) {
		tcp_metrics_flush(info->r->net, 0, false, 0);
		return 0;
	}
	if (family != 4 || !raddr)
		return -ESRCH;
	return tcp_metrics_flush(info->r->net, raddr, laddr_given, laddr) ? 0 : -ESRCH;
}

/* state[0]: where the walk is. */
static int metrics_dump(struct nl_dump *d)
{
	struct tcp_metrics_entry e;
	size_t pos = d->state[0];

	while (tcp_metrics_next(d->req.net, &pos, &e)) {
		struct nlmsghdr *nlh = genl_dump_msg(d, &genl_tcp_metrics_family,
						     TCP_METRICS_CMD_GET, RECORD_SIZE);

		if (!nlh)
			return 1;
		fill(nlh, &e, d->req.weft->worker[0]->now);
		nl_dump_end(d, nlh, true);
		d->state[0] = pos;
	}
	return 0;
}

static const struct genl_op ops[] = {
	{.cmd = TCP_METRICS_CMD_GET,
	 .policy = policy,
	 .n_policy = ARRAY_SIZE(policy),
	 .maxattr = TCP_METRICS_ATTR_MAX,
	 .doit = metrics_get,
	 .dump = metrics_dump},
	{.cmd = TCP_METRICS_CMD_DEL,
	 .flags = GENL_ADMIN_PERM,
	 .policy = policy,
	 .n_policy = ARRAY_SIZE(policy),
	 .maxattr = TCP_METRICS_ATTR_MAX,
	 .doit = metrics_del},
};

const struct genl_family genl_tcp_metrics_family = {
	.name = TCP_METRICS_GENL_NAME,
	.version = TCP_METRICS_GENL_VERSION,
	.maxattr = TCP_METRICS_ATTR_MAX,
	.ops = ops,
	.n_ops = ARRAY_SIZE(ops),
	.resv_start_op = TCP_METRICS_CMD_DEL + 1,
};
