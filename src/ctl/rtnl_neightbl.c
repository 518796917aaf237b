/*
 * rtnl_neightbl: RTM_GETNEIGHTBL and RTM_SETNEIGHTBL: settings and counters of neighbour tables
 * (`ip ntable`).
 *
 * A table's thresholds and its first set of settings are the whole instance's, as in Linux: they
 * are seen from every namespace, and changed from the first one alone.
 */
#include "ctl/rtnl.h"

#define FRAME_TRUESIZE 2090 /* what a queued frame is charged: turns frames into bytes and back */
#define PARMS_SIZE     256
#define TABLE_SIZE     (sizeof(struct ndtmsg) + 256 + PARMS_SIZE)

#define ROW(attr, k, ...) [attr] = {attr, NLA_K_##k, .name = #attr, ##__VA_ARGS__}

static const struct nla_policy table_policy[] = {
	ROW(NDTA_NAME, STRING), ROW(NDTA_THRESH1, U32),	 ROW(NDTA_THRESH2, U32),
	ROW(NDTA_THRESH3, U32), ROW(NDTA_PARMS, NESTED), ROW(NDTA_GC_INTERVAL, U64),
};

/* The settings, in the order in which Linux tells them. */
enum member_kind { NUMBER, MSECS, FRAMES };

static const struct member {
	uint16_t attr;
	uint8_t kind; /* enum member_kind */
	bool settable;
	uint16_t off;
} members[] = {
#define M(attr, kind, settable, field)                                                             \
	{                                                                                          \
		attr, kind, settable, offsetof(struct neigh_parms, field)                          \
	}
	M(NDTPA_QUEUE_LENBYTES, NUMBER, true, queue_len_bytes),
	M(NDTPA_QUEUE_LEN, FRAMES, true, queue_len_bytes),
	M(NDTPA_PROXY_QLEN, NUMBER, true, proxy_qlen),
	M(NDTPA_APP_PROBES, NUMBER, true, app_probes),
	M(NDTPA_UCAST_PROBES, NUMBER, true, ucast_probes),
	M(NDTPA_MCAST_PROBES, NUMBER, true, mcast_probes),
	M(NDTPA_MCAST_REPROBES, NUMBER, true, mcast_reprobes),
	M(NDTPA_REACHABLE_TIME, MSECS, false, reachable_time),
	M(NDTPA_BASE_REACHABLE_TIME, MSECS, true, base_reachable_time),
	M(NDTPA_GC_STALETIME, MSECS, true, gc_staletime),
	M(NDTPA_DELAY_PROBE_TIME, MSECS, true, delay_probe_time),
	M(NDTPA_RETRANS_TIME, MSECS, true, retrans_time),
	M(NDTPA_ANYCAST_DELAY, MSECS, true, anycast_delay),
	M(NDTPA_PROXY_DELAY, MSECS, true, proxy_delay),
	M(NDTPA_LOCKTIME, MSECS, true, locktime),
	M(NDTPA_INTERVAL_PROBE_TIME_MS, MSECS, true, interval_probe_time),
#undef M
};

static const struct nla_policy parms_policy[] = {
	ROW(NDTPA_IFINDEX, U32),
	ROW(NDTPA_QUEUE_LEN, U32),
	ROW(NDTPA_QUEUE_LENBYTES, U32),
	ROW(NDTPA_PROXY_QLEN, U32),
	ROW(NDTPA_APP_PROBES, U32),
	ROW(NDTPA_UCAST_PROBES, U32),
	ROW(NDTPA_MCAST_PROBES, U32),
	ROW(NDTPA_MCAST_REPROBES, U32),
	ROW(NDTPA_BASE_REACHABLE_TIME, U64),
	ROW(NDTPA_GC_STALETIME, U64),
	ROW(NDTPA_DELAY_PROBE_TIME, U64),
	ROW(NDTPA_RETRANS_TIME, U64),
	ROW(NDTPA_ANYCAST_DELAY, U64),
	ROW(NDTPA_PROXY_DELAY, U64),
	ROW(NDTPA_LOCKTIME, U64),
	ROW(NDTPA_INTERVAL_PROBE_TIME_MS, U64, .min = 1),
};

static bool is_first(const struct net *net)
{
	return net == net->weft->nets->first;
}

/* ---- telling ---- */

static void fill_parms(struct nlmsghdr *nlh, const struct neigh_parms *p)
{
	struct nlattr *nest = nl_nest(nlh, NDTA_PARMS);

	if (p->dev)
		mnl_attr_put_u32(nlh, NDTPA_IFINDEX, (uint32_t)p->dev->ifindex);
	mnl_attr_put_u32(nlh, NDTPA_REFCNT, 1 + p->n_entries);
	for (unsigned i = 0; i < ARRAY_SIZE(members); i++) {
		const void *at = (const char *)p + members[i].off;

		if (members[i].kind == MSECS)
			mnl_attr_put_u64(nlh, members[i].attr,
					 *(const uint64_t *)at / NSEC_PER_MSEC);
		else
			mnl_attr_put_u32(nlh, members[i].attr,
					 *(const uint32_t *)at /
						 (members[i].kind == FRAMES ? FRAME_TRUESIZE : 1));
	}
	mnl_attr_nest_end(nlh, nest);
}

static void fill_header(struct nlmsghdr *nlh, const struct neigh_table *t)
{
	struct ndtmsg *m = mnl_nlmsg_put_extra_header(nlh, sizeof(*m));

	m->ndtm_family = (uint8_t)t->ops->family;
	mnl_attr_put_strz(nlh, NDTA_NAME, t->ops->id);
}

static void fill_counters(struct nlmsghdr *nlh, const struct neigh_table *t)
{
	const struct neigh_stats *st = &t->stats;
	const struct ndt_stats s = {.ndts_allocs = st->allocs,
				    .ndts_destroys = st->destroys,
				    .ndts_hash_grows = st->hash_grows,
				    .ndts_res_failed = st->res_failed,
				    .ndts_lookups = st->lookups,
				    .ndts_hits = st->hits,
				    .ndts_rcv_probes_mcast = st->rcv_probes_mcast,
				    .ndts_rcv_probes_ucast = st->rcv_probes_ucast,
				    .ndts_periodic_gc_runs = st->periodic_gc_runs,
				    .ndts_forced_gc_runs = st->forced_gc_runs,
				    .ndts_table_fulls = st->table_fulls};

	mnl_attr_put(nlh, NDTA_STATS, sizeof(s), &s);
}

static void fill_table(struct nlmsghdr *nlh, struct net *net, struct neigh_table *t)
{
	struct net *first = net->weft->nets->first;
	uint64_t now = t->w0->now;
	const struct ndt_config c = {
		.ndtc_key_len = t->ops->key_len,
		.ndtc_entry_size = sizeof(struct neigh),
		.ndtc_entries = t->entries,
		.ndtc_last_flush = (uint32_t)((now - t->last_flush) / NSEC_PER_MSEC),
		.ndtc_last_rand = (uint32_t)((now - t->last_rand) / NSEC_PER_MSEC),
		.ndtc_proxy_qlen = t->proxy_queue.n,
	};

	fill_header(nlh, t);
	mnl_attr_put_u64(nlh, NDTA_GC_INTERVAL, t->gc_interval / NSEC_PER_MSEC);
	mnl_attr_put_u32(nlh, NDTA_THRESH1, (uint32_t)t->gc_thresh1);
	mnl_attr_put_u32(nlh, NDTA_THRESH2, (uint32_t)t->gc_thresh2);
	mnl_attr_put_u32(nlh, NDTA_THRESH3, (uint32_t)t->gc_thresh3);
	mnl_attr_put(nlh, NDTA_CONFIG, sizeof(c), &c);
	fill_counters(nlh, t);
	fill_parms(nlh, neigh_parms_default(t, first ? first : net));
}

static int check_dump(struct nl_req *r)
{
	const struct ndtmsg *m = mnl_nlmsg_get_payload(r->nlh);
	size_t len = mnl_nlmsg_get_payload_len(r->nlh);

	if (!r->strict)
		return 0;
	if (len < sizeof(*m))
		return extack_set(&r->ext, -EINVAL,
				  "Invalid header for neighbor table dump request");
	if (m->ndtm_pad1 || m->ndtm_pad2)
		return extack_set(&r->ext, -EINVAL,
				  "Invalid values in header for neighbor table dump request");
	if (len > sizeof(*m))
		return extack_set(&r->ext, -EINVAL,
				  "Invalid data after header in neighbor table dump request");
	return 0;
}

/* The table, then devices, the newest first; state[0]: the table was told, state[1]: the last
 * device that was. */
static int neightbl_dump(struct nl_dump *d)
{
	const struct rtgenmsg *g = mnl_nlmsg_get_payload(d->req.nlh);
	struct neigh_table *t = arp_table(d->req.weft);
	struct nlmsghdr *nlh;
	struct netdev *dev;
	int err = check_dump(&d->req);

	if (err)
		return err;
	if (g->rtgen_family != AF_UNSPEC && g->rtgen_family != t->ops->family)
		return 0;
	if (!d->state[0]) {
		nlh = nl_dump_msg(d, RTM_NEWNEIGHTBL, TABLE_SIZE);
		if (!nlh)
			return 1;
		fill_table(nlh, d->req.net, t);
		nl_dump_end(d, nlh, true);
		d->state[0] = 1;
		d->state[1] = UINT64_MAX;
	}
	cds_list_for_each_entry_reverse (dev, &d->req.net->devs, net_link) {
		if ((uint64_t)dev->ifindex >= d->state[1] || !dev->in_dev)
			continue;
		nlh = nl_dump_msg(d, RTM_NEWNEIGHTBL, TABLE_SIZE);
		if (!nlh)
			return 1;
		fill_header(nlh, t);
		fill_parms(nlh, dev->in_dev->arp_parms);
		nl_dump_end(d, nlh, true);
		d->state[1] = (uint64_t)dev->ifindex;
	}
	return 0;
}

/* ---- changing ---- */

static struct neigh_parms *find_parms(struct nl_req *r, struct neigh_table *t, int ifindex)
{
	struct netdev *dev;

	if (!ifindex)
		return is_first(r->net) ? neigh_parms_default(t, r->net) : NULL;
	dev = net_dev_by_index(r->net, ifindex);
	return dev && dev->in_dev ? dev->in_dev->arp_parms : NULL;
}

static void set_member(struct neigh_table *t, struct neigh_parms *p, const struct member *m,
		       const struct nlattr *a)
{
	void *at = (char *)p + m->off;

	if (m->kind != MSECS) {
		uint32_t v = nl_get_u32(a) * (m->kind == FRAMES ? FRAME_TRUESIZE : 1);
		/* A limit beyond what Linux keeps is the greatest there is. */
		WRITE_ONCE(*(int *)at, (int)MIN(v, (uint32_t)INT32_MAX));
		return;
	}
	uint64_t ms = MIN(mnl_attr_get_u64(a), (uint64_t)INT32_MAX);
	WRITE_ONCE(*(uint64_t *)at, ms * NSEC_PER_MSEC);
	if (m->attr == NDTPA_BASE_REACHABLE_TIME)
		neigh_parms_randomise(t, p);
}

static int set_parms(struct nl_req *r, struct neigh_table *t, const struct nlattr *nest)
{
	const struct nlattr *tb[NDTPA_MAX + 1];
	int err = nl_parse_nested(tb, NDTPA_MAX, nest, parms_policy, ARRAY_SIZE(parms_policy),
				  NL_LIBERAL, r->nlh, &r->ext);

	if (err)
		return err;
	struct neigh_parms *p =
		find_parms(r, t, tb[NDTPA_IFINDEX] ? (int)nl_get_u32(tb[NDTPA_IFINDEX]) : 0);
	if (!p)
		return -ENOENT;
	/* In the order of attribute numbers: of two that mean the same the later one wins. */
	for (unsigned type = 1; type <= NDTPA_MAX; type++)
		for (unsigned i = 0; tb[type] && i < ARRAY_SIZE(members); i++)
			if (members[i].attr == type && members[i].settable)
				set_member(t, p, &members[i], tb[type]);
	return 0;
}

static void set_threshold(int *to, const struct nlattr *a)
{
	if (a)
		*to = (int)nl_get_u32(a);
}

static int neightbl_set(struct nl_req *r)
{
	const struct nlattr *tb[NDTA_MAX + 1];
	struct neigh_table *t = arp_table(r->weft);
	char name[32];
	int err = rtnl_parse(r, sizeof(struct ndtmsg), tb, NDTA_MAX, table_policy,
			     ARRAY_SIZE(table_policy), NL_LIBERAL);

	if (err)
		return err;
	if (!tb[NDTA_NAME])
		return -EINVAL;
	const struct ndtmsg *m = mnl_nlmsg_get_payload(r->nlh);
	nl_get_str(name, sizeof(name), tb[NDTA_NAME]);
	if ((m->ndtm_family && m->ndtm_family != t->ops->family) || strcmp(name, t->ops->id))
		return -ENOENT;
	if (tb[NDTA_PARMS]) {
		err = set_parms(r, t, tb[NDTA_PARMS]);
		if (err)
			return err;
	}
	if ((tb[NDTA_THRESH1] || tb[NDTA_THRESH2] || tb[NDTA_THRESH3] || tb[NDTA_GC_INTERVAL]) &&
	    !is_first(r->net))
		return -ENOENT;
	set_threshold(&t->gc_thresh1, tb[NDTA_THRESH1]);
	set_threshold(&t->gc_thresh2, tb[NDTA_THRESH2]);
	set_threshold(&t->gc_thresh3, tb[NDTA_THRESH3]);
	if (tb[NDTA_GC_INTERVAL])
		t->gc_interval = MIN(mnl_attr_get_u64(tb[NDTA_GC_INTERVAL]), (uint64_t)INT32_MAX) *
				 NSEC_PER_MSEC;
	return 0;
}

const struct nl_handler rtnl_neightbl_handlers[] = {
	{RTM_GETNEIGHTBL, AF_UNSPEC, NULL, neightbl_dump, 0},
	{RTM_SETNEIGHTBL, AF_UNSPEC, neightbl_set, NULL, 0},
	{0},
};
