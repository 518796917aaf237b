/*
 * rtnl_neigh: RTM_NEWNEIGH, RTM_DELNEIGH and RTM_GETNEIGH of neighbour tables (`ip neigh`), and the
 * addresses answered for others (`ip neigh ... proxy`).
 *
 * The state machine is src/net's; here is what a request may say, and how an entry is told. A dump
 * goes by device and by the order in which entries were made; it holds the entry it stands on, so
 * that a table of 10^6 entries is walked once. Forwarding databases (AF_BRIDGE) are rtnl_fdb.c's.
 */
#include "ctl/rtnl.h"

#define NTF_EXT_SHIFT 8 /* NTF_EXT_* in one word with NTF_* */
#define NTF_MANAGED_  (NTF_EXT_MANAGED << NTF_EXT_SHIFT)

#define NEIGH_SIZE (sizeof(struct ndmsg) + 128)

#define ROW(attr, k, ...) [attr] = {attr, NLA_K_##k, .name = #attr, ##__VA_ARGS__}

static const struct nla_policy neigh_policy[] = {
	ROW(NDA_DST, BINARY, .len = NETDEV_ALEN),
	ROW(NDA_LLADDR, BINARY, .len = NETDEV_ALEN),
	ROW(NDA_CACHEINFO, UNSPEC, .len = sizeof(struct nda_cacheinfo)),
	ROW(NDA_PROBES, U32),
	ROW(NDA_VLAN, U16),
	ROW(NDA_PORT, U16),
	ROW(NDA_VNI, U32),
	ROW(NDA_IFINDEX, U32),
	ROW(NDA_MASTER, U32),
	ROW(NDA_PROTOCOL, U8),
	ROW(NDA_NH_ID, U32, .strict_start = 1),
	ROW(NDA_FDB_EXT_ATTRS, NESTED),
	ROW(NDA_FLAGS_EXT, U32, .mask = NTF_EXT_MANAGED),
};

static struct neigh_table *find_table(struct weft *weft, unsigned family)
{
	return family == AF_INET ? arp_table(weft) : NULL;
}

/* ---- telling ---- */

/* How long ago, in hundredths of a second, as Linux shows times to programs. */
static uint32_t ago(uint64_t now, uint64_t then)
{
	return (uint32_t)((now - then) / (10 * NSEC_PER_MSEC));
}

static void fill(struct nlmsghdr *nlh, struct neigh *n)
{
	struct ndmsg *m = mnl_nlmsg_put_extra_header(nlh, sizeof(*m));
	uint64_t now = n->table->w0->now;

	*m = (struct ndmsg){.ndm_family = (uint8_t)n->table->ops->family,
			    .ndm_flags = n->flags,
			    .ndm_type = n->type,
			    .ndm_ifindex = n->dev->ifindex,
			    .ndm_state = n->state};
	mnl_attr_put(nlh, NDA_DST, n->table->ops->key_len, n->key);
	if (n->state & NUD_VALID)
		mnl_attr_put(nlh, NDA_LLADDR, n->dev->addr_len, n->lladdr);
	mnl_attr_put_u32(nlh, NDA_PROBES, (uint32_t)n->probes);
	const struct nda_cacheinfo ci = {.ndm_confirmed = ago(now, READ_ONCE(n->confirmed)),
					 .ndm_used = ago(now, READ_ONCE(n->used)),
					 .ndm_updated = ago(now, n->updated),
					 /* a timer counts, as it does in Linux */
					 .ndm_refcnt = n->refs - 1 + timer_pending(&n->timer)};
	mnl_attr_put(nlh, NDA_CACHEINFO, sizeof(ci), &ci);
	if (n->protocol)
		mnl_attr_put_u8(nlh, NDA_PROTOCOL, n->protocol);
	if (n->flags_ext)
		mnl_attr_put_u32(nlh, NDA_FLAGS_EXT, n->flags_ext);
}

static void fill_proxy(struct nlmsghdr *nlh, const struct neigh_table *t,
		       const struct neigh_proxy *x)
{
	struct ndmsg *m = mnl_nlmsg_put_extra_header(nlh, sizeof(*m));

	*m = (struct ndmsg){.ndm_family = (uint8_t)t->ops->family,
			    .ndm_flags = x->flags | NTF_PROXY,
			    .ndm_type = RTN_UNICAST,
			    .ndm_ifindex = x->dev ? x->dev->ifindex : 0,
			    .ndm_state = NUD_NONE};
	mnl_attr_put(nlh, NDA_DST, t->ops->key_len, x->key);
	if (x->protocol)
		mnl_attr_put_u8(nlh, NDA_PROTOCOL, x->protocol);
}

void rtnl_neigh_notify(struct net *net, struct neigh *n, uint16_t type, uint16_t flags)
{
	struct nlmsghdr *nlh;

	if (!nl_has_listeners(net, NETLINK_ROUTE, RTNLGRP_NEIGH))
		return;
	/* Only a change that a program asked for bears its port; there is no echo of it. */
	nlh = rtnl_msg_new(type, flags, type == RTM_NEWNEIGH ? net->weft->events->cause.portid : 0,
			   0, NEIGH_SIZE);
	if (!nlh)
		return;
	fill(nlh, n);
	rtnl_notify(net, RTNLGRP_NEIGH, NULL, nlh);
}

/* ---- changing ---- */

struct neigh_request {
	const struct ndmsg *ndm;
	struct neigh_table *table;
	struct netdev *dev; /* NULL: not given */
	const void *dst, *lladdr;
	uint32_t flags; /* NTF_*, and NTF_EXT_* above them */
	uint8_t protocol;
};

static int find_dev(struct nl_req *r, struct neigh_request *q)
{
	if (!q->ndm->ndm_ifindex)
		return 0;
	q->dev = net_dev_by_index(r->net, q->ndm->ndm_ifindex);
	return q->dev ? 0 : -ENODEV;
}

static int find_dst(struct nl_req *r, struct neigh_request *q, const struct nlattr *dst)
{
	q->table = find_table(r->weft, q->ndm->ndm_family);
	if (!q->table)
		return -EAFNOSUPPORT;
	if (mnl_attr_get_payload_len(dst) < q->table->ops->key_len)
		return extack_set(&r->ext, -EINVAL, "Invalid network address");
	q->dst = mnl_attr_get_payload(dst);
	return 0;
}

static int read_new(struct nl_req *r, struct neigh_request *q)
{
	const struct nlattr *tb[NDA_MAX + 1];
	int err = rtnl_parse(r, sizeof(*q->ndm), tb, NDA_MAX, neigh_policy,
			     ARRAY_SIZE(neigh_policy), NL_LIBERAL);

	if (err)
		return err;
	if (!tb[NDA_DST])
		return extack_set(&r->ext, -EINVAL, "Network address not specified");
	q->ndm = mnl_nlmsg_get_payload(r->nlh);
	q->flags = q->ndm->ndm_flags;
	if (tb[NDA_FLAGS_EXT])
		q->flags |= nl_get_u32(tb[NDA_FLAGS_EXT]) << NTF_EXT_SHIFT;
	err = find_dev(r, q);
	if (err)
		return err;
	if (q->dev && tb[NDA_LLADDR] && mnl_attr_get_payload_len(tb[NDA_LLADDR]) < q->dev->addr_len)
		return extack_set(&r->ext, -EINVAL, "Invalid link address");
	err = find_dst(r, q, tb[NDA_DST]);
	if (err)
		return err;
	if (tb[NDA_LLADDR])
		q->lladdr = mnl_attr_get_payload(tb[NDA_LLADDR]);
	if (tb[NDA_PROTOCOL])
		q->protocol = nl_get_u8(tb[NDA_PROTOCOL]);
	return 0;
}

static int new_proxy(struct nl_req *r, const struct neigh_request *q)
{
	if (q->flags & NTF_MANAGED_)
		return extack_set(&r->ext, -EINVAL, "Invalid NTF_* flag combination");
	return neigh_proxy_add(q->table, r->net, q->dev, q->dst, (uint8_t)q->flags, q->protocol,
			       q->ndm->ndm_state & NUD_PERMANENT);
}

/* The entry the request is about, made when it may be; NULL with *err. */
static struct neigh *find_or_make(struct nl_req *r, const struct neigh_request *q, unsigned *update,
				  int *err)
{
	struct neigh *n = neigh_lookup(q->table, q->dev, q->dst);
	bool permanent = q->ndm->ndm_state & NUD_PERMANENT;

	if (n) {
		*err = -EEXIST;
		if (r->nlh->nlmsg_flags & NLM_F_EXCL)
			return NULL;
		if (!(r->nlh->nlmsg_flags & NLM_F_REPLACE))
			*update &= ~(NEIGH_UPDATE_OVERRIDE | NEIGH_UPDATE_OVERRIDE_ISROUTER);
		return n;
	}
	*err = -ENOENT;
	if (!(r->nlh->nlmsg_flags & NLM_F_CREATE))
		return NULL;
	if (permanent && (q->flags & NTF_MANAGED_)) {
		*err = extack_set(&r->ext, -EINVAL, "Invalid NTF_* flag for permanent entry");
		return NULL;
	}
	if (permanent || (q->flags & NTF_EXT_LEARNED))
		return neigh_get_exempt(q->table, q->dev, q->dst, err);
	return neigh_get(q->table, q->dev, q->dst, err);
}

static unsigned update_flags(const struct neigh_request *q)
{
	unsigned f = 0;

	if (q->flags & NTF_EXT_LEARNED)
		f |= NEIGH_UPDATE_EXT_LEARNED;
	if (q->flags & NTF_ROUTER)
		f |= NEIGH_UPDATE_ISROUTER;
	if (q->flags & NTF_MANAGED_)
		f |= NEIGH_UPDATE_MANAGED;
	if (q->flags & NTF_USE)
		f |= NEIGH_UPDATE_USE;
	return f;
}

static int rtnl_newneigh(struct nl_req *r)
{
	unsigned update =
		NEIGH_UPDATE_ADMIN | NEIGH_UPDATE_OVERRIDE | NEIGH_UPDATE_OVERRIDE_ISROUTER;
	struct neigh_request q = {0};
	int err = read_new(r, &q);

	if (err)
		return err;
	if (q.flags & NTF_PROXY)
		return new_proxy(r, &q);
	if (!q.dev)
		return extack_set(&r->ext, -EINVAL, "Device not specified");
	struct neigh *n = find_or_make(r, &q, &update, &err);
	if (!n)
		return err;
	if (q.protocol)
		n->protocol = q.protocol;
	err = neigh_update(n, q.lladdr, (uint8_t)q.ndm->ndm_state, update | update_flags(&q));
	if (err == -EINVAL)
		return extack_set(&r->ext, err, "No link layer address given");
	if (!err && (q.flags & (NTF_USE | NTF_MANAGED_)))
		neigh_probe_start(n);
	return err;
}

static int rtnl_delneigh(struct nl_req *r)
{
	struct neigh_request q = {.ndm = mnl_nlmsg_get_payload(r->nlh)};
	const struct nlattr *tb[NDA_DST + 1];
	size_t len = mnl_nlmsg_get_payload_len(r->nlh);
	int err;

	if (len < sizeof(*q.ndm))
		return -EINVAL;
	/* The one attribute that matters is taken as it is, whatever else is there. */
	nl_parse(tb, NDA_DST, q.ndm + 1, len - sizeof(*q.ndm), NULL, 0, NL_LIBERAL, NULL, NULL);
	if (!tb[NDA_DST])
		return extack_set(&r->ext, -EINVAL, "Network address not specified");
	err = find_dev(r, &q);
	if (!err)
		err = find_dst(r, &q, tb[NDA_DST]);
	if (err)
		return err;
	if (q.ndm->ndm_flags & NTF_PROXY)
		return neigh_proxy_del(q.table, r->net, q.dev, q.dst);
	if (!q.dev)
		return -EINVAL;
	struct neigh *n = neigh_lookup(q.table, q.dev, q.dst);
	if (!n)
		return -ENOENT;
	/* Listeners see it fail before it goes. */
	neigh_hold(n);
	err = neigh_update(n, NULL, NUD_FAILED, NEIGH_UPDATE_OVERRIDE | NEIGH_UPDATE_ADMIN);
	neigh_del(n);
	neigh_put(n);
	return err;
}

/* ---- one entry ---- */

static int check_get(struct nl_req *r, const struct nlattr **tb)
{
	const struct ndmsg *m = mnl_nlmsg_get_payload(r->nlh);
	struct extack *ext = &r->ext;

	if (mnl_nlmsg_get_payload_len(r->nlh) < sizeof(*m))
		return extack_set(ext, -EINVAL, "Invalid header for neighbor get request");
	if (m->ndm_pad1 || m->ndm_pad2 || m->ndm_state || m->ndm_type)
		return extack_set(ext, -EINVAL,
				  "Invalid values in header for neighbor get request");
	if (m->ndm_flags & ~NTF_PROXY)
		return extack_set(ext, -EINVAL, "Invalid flags in header for neighbor get request");
	if (!(m->ndm_flags & NTF_PROXY) && !m->ndm_ifindex)
		return extack_set(ext, -EINVAL, "No device specified");
	int err = rtnl_parse(r, sizeof(*m), tb, NDA_MAX, neigh_policy, ARRAY_SIZE(neigh_policy),
			     NL_DSTRICT);
	if (err)
		return err;
	if (!tb[NDA_DST]) {
		ext->has_miss = 1;
		ext->miss_type = NDA_DST;
		return -EINVAL;
	}
	for (unsigned i = 0; i <= NDA_MAX; i++)
		if (tb[i] && i != NDA_DST)
			return extack_set(ext, -EINVAL,
					  "Unsupported attribute in neighbor get request");
	return 0;
}

static int rtnl_getneigh(struct nl_req *r)
{
	const struct nlattr *tb[NDA_MAX + 1];
	struct netdev *dev = NULL;
	struct neigh_proxy *x = NULL;
	struct neigh *n = NULL;
	int err = check_get(r, tb);

	if (err)
		return err;
	const struct ndmsg *m = mnl_nlmsg_get_payload(r->nlh);
	struct neigh_table *t = find_table(r->weft, m->ndm_family);
	if (!t)
		return extack_set(&r->ext, -EAFNOSUPPORT,
				  "Unsupported family in header for neighbor get request");
	if (mnl_attr_get_payload_len(tb[NDA_DST]) != t->ops->key_len)
		return extack_set(&r->ext, -EINVAL,
				  "Invalid network address in neighbor get request");
	const void *dst = mnl_attr_get_payload(tb[NDA_DST]);
	if (m->ndm_ifindex) {
		dev = net_dev_by_index(r->net, m->ndm_ifindex);
		if (!dev)
			return extack_set(&r->ext, -ENODEV, "Unknown device ifindex");
	}
	if (m->ndm_flags & NTF_PROXY) {
		x = neigh_proxy_find(t, r->net, dev, dst);
		if (!x)
			return extack_set(&r->ext, -ENOENT, "Proxy neighbour entry not found");
	} else {
		n = neigh_lookup(t, dev, dst);
		if (!n)
			return extack_set(&r->ext, -ENOENT, "Neighbour entry not found");
	}
	struct nlmsghdr *nlh =
		rtnl_msg_new(RTM_NEWNEIGH, 0, r->portid, r->nlh->nlmsg_seq, NEIGH_SIZE);
	if (!nlh)
		return -ENOBUFS;
	if (x)
		fill_proxy(nlh, t, x);
	else
		fill(nlh, n);
	return rtnl_reply(r, nlh);
}

/* ---- all of them ---- */

/* Behind nl_dump.ptr. */
struct neigh_dump {
	uint32_t ifindex, master; /* 0: any; master UINT32_MAX: those without one */
	bool proxy;
	int at;		    /* the device it stands on */
	uint64_t id;	    /* told up to this one of it */
	struct neigh *last; /* that one, held; NULL: none */
};

static void dump_done(struct nl_dump *d)
{
	struct neigh_dump *s = d->ptr;

	neigh_put(s->last);
	free(s);
}

static int check_dump(struct nl_req *r, struct neigh_dump *s)
{
	const struct nlattr *tb[NDA_MAX + 1];
	const struct ndmsg *m = mnl_nlmsg_get_payload(r->nlh);
	size_t len = mnl_nlmsg_get_payload_len(r->nlh);
	struct extack *ext = &r->ext;

	s->proxy = len >= sizeof(*m) && m->ndm_flags == NTF_PROXY;
	if (r->strict) {
		if (len < sizeof(*m))
			return extack_set(ext, -EINVAL, "Invalid header for neighbor dump request");
		if (m->ndm_pad1 || m->ndm_pad2 || m->ndm_ifindex || m->ndm_state || m->ndm_type)
			return extack_set(ext, -EINVAL,
					  "Invalid values in header for neighbor dump request");
		if (m->ndm_flags & ~NTF_PROXY)
			return extack_set(ext, -EINVAL,
					  "Invalid flags in header for neighbor dump request");
	}
	int err = rtnl_parse(r, sizeof(*m), tb, NDA_MAX, neigh_policy, ARRAY_SIZE(neigh_policy),
			     r->strict ? NL_DSTRICT : NL_LIBERAL);
	if (err)
		return r->strict ? err : 0;
	for (unsigned i = 0; i <= NDA_MAX; i++) {
		if (!tb[i])
			continue;
		if (i == NDA_IFINDEX)
			s->ifindex = nl_get_u32(tb[i]);
		else if (i == NDA_MASTER)
			s->master = nl_get_u32(tb[i]);
		else if (r->strict)
			return extack_set(ext, -EINVAL,
					  "Unsupported attribute in neighbor dump request");
	}
	return 0;
}

static bool left_out(const struct neigh_dump *s, const struct netdev *dev)
{
	const struct netdev *master = dev ? dev->master : NULL;

	if (s->ifindex && (!dev || (uint32_t)dev->ifindex != s->ifindex))
		return true;
	if (!s->master)
		return false;
	if (s->master == UINT32_MAX)
		return master;
	return !master || (uint32_t)master->ifindex != s->master;
}

/* The entry to go on with after s->last. */
static struct cds_list_head *resume(const struct neigh_dump *s, struct neigh_parms *parms)
{
	struct cds_list_head *pos;

	if (s->last && !s->last->dead && s->last->parms == parms)
		return s->last->dev_link.next;
	for (pos = parms->entries.next; pos != &parms->entries; pos = pos->next)
		if (cds_list_entry(pos, struct neigh, dev_link)->id > s->id)
			break;
	return pos;
}

/* 1: the datagram is full. */
static int dump_dev(struct nl_dump *d, struct neigh_dump *s, struct neigh_parms *parms)
{
	for (struct cds_list_head *pos = resume(s, parms); pos != &parms->entries;
	     pos = pos->next) {
		struct neigh *n = cds_list_entry(pos, struct neigh, dev_link);
		struct nlmsghdr *nlh = nl_dump_msg(d, RTM_NEWNEIGH, NEIGH_SIZE);

		if (!nlh)
			return 1;
		fill(nlh, n);
		nl_dump_end(d, nlh, true);
		s->id = n->id;
		neigh_put(s->last);
		neigh_hold(n);
		s->last = n;
	}
	return 0;
}

static int dump_entries(struct nl_dump *d, struct neigh_dump *s)
{
	struct netdev *dev;

	cds_list_for_each_entry (dev, &d->req.net->devs, net_link) {
		if (dev->ifindex < s->at || !dev->in_dev || left_out(s, dev))
			continue;
		if (dev->ifindex != s->at) {
			s->at = dev->ifindex;
			s->id = 0;
			neigh_put(s->last);
			s->last = NULL;
		}
		if (dump_dev(d, s, dev->in_dev->arp_parms))
			return 1;
	}
	return 0;
}

static int dump_proxies(struct nl_dump *d, struct neigh_dump *s, struct neigh_table *t)
{
	struct neigh_proxy *x;

	cds_list_for_each_entry (x, &t->proxies, link) {
		if (x->id <= s->id || x->net != d->req.net || left_out(s, x->dev))
			continue;
		struct nlmsghdr *nlh = nl_dump_msg(d, RTM_NEWNEIGH, NEIGH_SIZE);
		if (!nlh)
			return 1;
		fill_proxy(nlh, t, x);
		nl_dump_end(d, nlh, true);
		s->id = x->id;
	}
	return 0;
}

static int rtnl_dumpneigh(struct nl_dump *d)
{
	const struct rtgenmsg *g = mnl_nlmsg_get_payload(d->req.nlh);
	struct neigh_dump *s = d->ptr;

	if (!s) {
		s = calloc(1, sizeof(*s));
		if (!s)
			return -ENOBUFS;
		d->ptr = s;
		d->done = dump_done;
		int err = check_dump(&d->req, s);
		if (err)
			return err;
		d->filtered = s->ifindex || s->master;
	}
	if (g->rtgen_family != AF_INET && g->rtgen_family != AF_UNSPEC)
		return 0;
	if (s->proxy)
		return dump_proxies(d, s, arp_table(d->req.weft));
	return dump_entries(d, s);
}

const struct nl_handler rtnl_neigh_handlers[] = {
	{RTM_NEWNEIGH, AF_UNSPEC, rtnl_newneigh, NULL, 0},
	{RTM_DELNEIGH, AF_UNSPEC, rtnl_delneigh, NULL, 0},
	{RTM_GETNEIGH, AF_UNSPEC, rtnl_getneigh, rtnl_dumpneigh, 0},
	{0},
};
