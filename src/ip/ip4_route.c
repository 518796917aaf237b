/*
 * ip4_route: the routing tables of a namespace: adding, deleting, walking, flushing.
 *
 * A change goes to the table's trie and from there to the digest that workers use (ip4_core.h).
 * Routes of one prefix stand in the order in which a look-up tries them: TOS, largest first, then
 * priority; among equals the latest comes first unless it was appended.
 */
#include <arpa/inet.h>

#include "ip/ip4_core.h"

static void route_free_rcu(struct rcu_head *h)
{
	free(container_of(h, struct route, rcu));
}

/* ---- tables ---- */

struct route4_table *route4_table_find(const struct net *net, uint32_t id)
{
	struct route4_tables *ts = net->ip4->routes;
	struct route4_table *t;

	switch (id) {
	case RT_TABLE_UNSPEC:
	case RT_TABLE_MAIN:
		return ts->main;
	case RT_TABLE_LOCAL:
		return ts->local;
	case RT_TABLE_DEFAULT:
		return ts->dflt;
	}
	cds_list_for_each_entry (t, &ts->tables, link)
		if (t->id == id)
			return t;
	return NULL;
}

/* Dumps show tables by the low byte of their number, as the kernel's hash of tables has it. */
static struct route4_table *table_make(struct route4_tables *ts, uint32_t id)
{
	struct route4_table *t = route4_table_new(id), *i;
	struct cds_list_head *at = &ts->tables;

	if (!t)
		return NULL;
	cds_list_for_each_entry (i, &ts->tables, link) {
		if ((i->id & 0xff) >= (id & 0xff)) {
			at = &i->link;
			break;
		}
	}
	cds_list_add_tail_rcu(&t->link, at);
	return t;
}

int route4_net_init(struct net *net)
{
	struct route4_tables *ts = calloc(1, sizeof(*ts));

	if (!ts)
		return -ENOMEM;
	net->ip4->routes = ts;
	CDS_INIT_LIST_HEAD(&ts->tables);
	ts->fib = fib4_new();
	ts->fib_default = fib4_new();
	ts->dflt = table_make(ts, RT_TABLE_DEFAULT);
	ts->main = table_make(ts, RT_TABLE_MAIN);
	ts->local = table_make(ts, RT_TABLE_LOCAL);
	if (ts->fib && ts->fib_default && ts->dflt && ts->main && ts->local && !pmtu_net_init(net))
		return 0;
	route4_net_fini(net);
	return -ENOMEM;
}

void route4_net_fini(struct net *net)
{
	struct route4_tables *ts = net->ip4->routes;
	struct route4_table *t, *next;

	if (!ts)
		return;
	if (ts->fib && ts->fib_default && ts->dflt && ts->main && ts->local)
		route4_flush(net, true);
	cds_list_for_each_entry_safe (t, next, &ts->tables, link)
		route4_table_free(t);
	pmtu_net_fini(net);
	fib4_free(ts->fib);
	fib4_free(ts->fib_default);
	free(ts);
	net->ip4->routes = NULL;
}

/* ---- the digest ---- */

static const struct fib_info *node_best(struct route4_table *t, uint32_t prefix, unsigned len)
{
	struct route4_node *n = route4_node_get(t, prefix, len, false);
	struct route *r;

	if (!n)
		return NULL;
	cds_list_for_each_entry (r, &n->routes, link)
		if (!r->tos && fib_info_alive(r->fi, false))
			return r->fi;
	return NULL;
}

static int digest_try(struct net *net, struct route4_table *t, uint32_t prefix, unsigned len)
{
	struct route4_tables *ts = net->ip4->routes;
	const struct fib_info *fi;
	struct fib4 *fib = ts->fib;
	uint32_t val, was;

	if (t == ts->local || t == ts->main) {
		fi = node_best(ts->local, prefix, len);
		if (!fi)
			fi = node_best(ts->main, prefix, len);
	} else if (t == ts->dflt) {
		fi = node_best(t, prefix, len);
		fib = ts->fib_default;
	} else {
		return 0;
	}
	val = fi ? fi->id << 6 | len : 0;
	was = fib4_get(fib, prefix, len);
	if (val == was)
		return 0;
	int err = val ? fib4_set(fib, prefix, len, val) : fib4_del(fib, prefix, len);
	if (!err && fib == ts->fib_default)
		WRITE_ONCE(ts->n_default, ts->n_default + !!val - !!was);
	return err;
}

void route4_digest(struct net *net, struct route4_table *t, uint32_t prefix, unsigned len)
{
	/* Out of memory while a route goes: the packets are lost with the route's own end (its
	 * fib_info stays readable), and the next change of the prefix puts it right. */
	digest_try(net, t, prefix, len);
}

void route4_digest_dev(struct net *net, const struct netdev *dev)
{
	struct route4_tables *ts = net->ip4->routes;
	struct route4_table *tables[] = {ts->local, ts->main, ts->dflt};

	for (unsigned i = 0; i < ARRAY_SIZE(tables); i++) {
		struct route4_table *t = tables[i];
		for (struct route4_node *n = route4_node_from(t, 0, 0); n;
		     n = route4_node_from(t, n->prefix, n->len + 1u)) {
			struct route *r;
			cds_list_for_each_entry (r, &n->routes, link) {
				if (r->fi->nh.dev == dev) {
					route4_digest(net, t, n->prefix, n->len);
					break;
				}
			}
		}
	}
}

/* ---- one route ---- */

static void routes_changed(struct net *net)
{
	net->ip4->routes->seq++;
}

static int check_key(const struct route_config *cfg, struct extack *ext)
{
	uint32_t key = ntohl(cfg->dst);

	if (cfg->dst_len > 32)
		return extack_set(ext, -EINVAL, "Invalid prefix length");
	if (cfg->dst_len < 32 && key << cfg->dst_len)
		return extack_set(ext, -EINVAL, "Invalid prefix for given prefix length");
	return 0;
}

/* Where a route of (tos, priority) belongs: before the entry returned (the head: at the end). */
static struct cds_list_head *place(struct route4_node *n, uint8_t tos, uint32_t priority)
{
	struct route *r;

	cds_list_for_each_entry (r, &n->routes, link) {
		if (r->tos > tos)
			continue;
		if (r->tos < tos || r->fi->priority >= priority)
			return &r->link;
	}
	return &n->routes;
}

static bool same_rank(const struct route4_node *n, const struct cds_list_head *at, uint8_t tos,
		      uint32_t priority)
{
	if (at == &n->routes)
		return false;
	const struct route *r = cds_list_entry(at, struct route, link);
	return r->tos == tos && r->fi->priority == priority;
}

static void count_route(struct net *net, struct route4_table *t, const struct route *r, int delta)
{
	struct route4_tables *ts = net->ip4->routes;

	t->n_routes += delta;
	t->used = true;
	if (r->tos && (t == ts->main || t == ts->local || t == ts->dflt))
		WRITE_ONCE(ts->n_tos, ts->n_tos + delta);
}

/* Takes r out; the node may go with it. Emits nothing. */
static void route_unlink(struct net *net, struct route4_table *t, struct route4_node *n,
			 struct route *r)
{
	uint32_t prefix = n->prefix;
	unsigned len = n->len;

	cds_list_del_rcu(&r->link);
	count_route(net, t, r, -1);
	/* The digest first: a reader must not find the id of a fib_info given up. */
	route4_digest(net, t, prefix, len);
	if (cds_list_empty(&n->routes)) {
		t->n_prefixes--;
		route4_node_gone(t, n);
	}
	routes_changed(net);
}

static void route_drop(struct route *r)
{
	fib_info_release(r->fi);
	call_rcu(&r->rcu, route_free_rcu);
}

/* How a new route goes among those of its rank. */
struct insertion {
	struct cds_list_head *before;
	struct route *replaces;
	uint16_t nl_flags; /* what listeners are told */
	bool done;	   /* nothing to do: it is there */
};

static int choose_insertion(struct route4_node *n, const struct route_config *cfg,
			    const struct fib_info *fi, struct insertion *in)
{
	struct route *first, *same = NULL;
	struct cds_list_head *at = place(n, cfg->tos, cfg->priority), *i = at;

	*in = (struct insertion){.before = at, .nl_flags = NLM_F_EXCL};
	if (same_rank(n, at, cfg->tos, cfg->priority)) {
		if (cfg->nl_flags & NLM_F_EXCL)
			return -EEXIST;
		in->nl_flags = 0;
		first = cds_list_entry(at, struct route, link);
		for (; same_rank(n, i, cfg->tos, cfg->priority); i = i->next) {
			struct route *r = cds_list_entry(i, struct route, link);
			if (r->type == cfg->type && r->fi == fi) {
				same = r;
				break;
			}
		}
		if (cfg->nl_flags & NLM_F_REPLACE) {
			if (same && same != first)
				return -EEXIST;
			in->done = same;
			in->replaces = first;
			in->nl_flags = NLM_F_REPLACE;
			return 0;
		}
		if (same)
			return -EEXIST;
		if (cfg->nl_flags & NLM_F_APPEND) {
			in->nl_flags = NLM_F_APPEND;
			in->before = i;
		}
	}
	if (!(cfg->nl_flags & NLM_F_CREATE))
		return -ENOENT;
	in->nl_flags |= NLM_F_CREATE;
	return 0;
}

static int route_insert(struct net *net, struct route4_table *t, struct route4_node *n,
			struct route *r, const struct insertion *in)
{
	struct route *old = in->replaces;
	bool first = cds_list_empty(&n->routes);

	cds_list_add_rcu(&r->link, old ? &old->link : in->before->prev);
	if (old)
		cds_list_del_rcu(&old->link);
	int err = digest_try(net, t, n->prefix, n->len);
	if (err) {
		if (old)
			cds_list_add_rcu(&old->link, &r->link);
		cds_list_del_rcu(&r->link);
		return -ENOBUFS;
	}
	t->n_prefixes += first;
	count_route(net, t, r, 1);
	if (old) {
		count_route(net, t, old, -1);
		route_drop(old);
	}
	routes_changed(net);
	return 0;
}

static struct route *route_new(const struct route_config *cfg, uint32_t table, struct fib_info *fi)
{
	struct route *r = calloc(1, sizeof(*r));

	if (!r)
		return NULL;
	r->fi = fi;
	r->table = table;
	r->dst = cfg->dst;
	r->dst_len = cfg->dst_len;
	r->tos = cfg->tos;
	r->type = cfg->type;
	return r;
}

int route4_add(struct net *net, const struct route_config *config, struct extack *ext)
{
	struct route_config cfg = *config;
	struct route4_table *t = NULL;
	struct route4_node *n = NULL;
	struct route *r = NULL;
	struct insertion in;
	int err;

	if (!cfg.table)
		cfg.table = RT_TABLE_MAIN;
	err = check_key(&cfg, ext);
	if (err)
		return err;
	struct fib_info *fi = fib_info_create(net, &cfg, &err, ext);
	if (!fi)
		return err;
	err = -ENOBUFS;
	t = route4_table_find(net, cfg.table);
	if (!t)
		t = table_make(net->ip4->routes, cfg.table);
	if (t)
		n = route4_node_get(t, ntohl(cfg.dst), cfg.dst_len, true);
	if (!n)
		goto release;
	err = choose_insertion(n, &cfg, fi, &in);
	if (err || in.done)
		goto release_node;
	err = -ENOBUFS;
	r = route_new(&cfg, t->id, fi);
	if (!r)
		goto release_node;
	err = route_insert(net, t, n, r, &in);
	if (err)
		goto release_route;
	net_event(net, EVENT_ROUTE_NEW, fi->nh.dev, r, in.nl_flags);
	return 0;

release_route:
	call_rcu(&r->rcu, route_free_rcu);
release_node:
	if (cds_list_empty(&n->routes))
		route4_node_gone(t, n);
release:
	fib_info_release(fi);
	return err;
}

static int route_del(struct net *net, const struct route_config *cfg, bool exact,
		     struct extack *ext)
{
	struct route4_table *t;
	struct route4_node *n;
	struct route *r;
	int err = check_key(cfg, ext);

	if (err)
		return err;
	t = route4_table_find(net, cfg->table);
	if (!t)
		return extack_set(ext, -ESRCH, "FIB table does not exist");
	n = route4_node_get(t, ntohl(cfg->dst), cfg->dst_len, false);
	if (!n)
		return -ESRCH;
	cds_list_for_each_entry (r, &n->routes, link) {
		if (r->tos != cfg->tos || !fib_info_matches(r->fi, cfg) ||
		    (exact && r->fi->priority != cfg->priority))
			continue;
		route_unlink(net, t, n, r);
		net_event(net, EVENT_ROUTE_DEL, r->fi->nh.dev, r, 0);
		route_drop(r);
		return 0;
	}
	return -ESRCH;
}

int route4_del(struct net *net, const struct route_config *cfg, struct extack *ext)
{
	return route_del(net, cfg, false, ext);
}

int route4_del_metric(struct net *net, const struct route_config *cfg)
{
	return route_del(net, cfg, true, NULL);
}

/* ---- many routes ---- */

static unsigned node_flush(struct net *net, struct route4_table *t, struct route4_node *n, bool all)
{
	struct route *r, *next;
	unsigned gone = 0;

	cds_list_for_each_entry_safe (r, next, &n->routes, link) {
		if (!all && !(r->fi->flags & RTNH_F_DEAD))
			continue;
		/* The last one may take n along. */
		bool last = next == cds_list_entry(&n->routes, struct route, link);
		route_unlink(net, t, n, r);
		route_drop(r);
		gone++;
		if (last)
			break;
	}
	return gone;
}

unsigned route4_flush(struct net *net, bool all)
{
	struct route4_table *t;
	unsigned gone = 0;

	cds_list_for_each_entry (t, &net->ip4->routes->tables, link) {
		struct route4_node *n = route4_node_from(t, 0, 0);
		while (n) {
			uint32_t prefix = n->prefix;
			unsigned len = n->len;
			gone += node_flush(net, t, n, all);
			n = route4_node_from(t, prefix, len + 1);
		}
	}
	return gone;
}

void route4_sync_down_addr(struct net *net, uint32_t local)
{
	struct netdev *dev;
	struct cds_list_head *at;
	struct fib_info *fi;
	bool any = false;

	cds_list_for_each_entry (dev, &net->devs, net_link) {
		if (!dev->in_dev)
			continue;
		list_for_each_line (fi, at, &dev->in_dev->fibs, link) {
			if (fi->prefsrc != local || fi->tb_id != RT_TABLE_MAIN)
				continue;
			fi->flags |= RTNH_F_DEAD;
			any = true;
		}
	}
	if (any)
		route4_flush(net, false);
}

/* Calls fn for the routes of one prefix, longest first as the kernel has it, from the cookie on. */
static int walk_prefix(struct route4_table *t, struct route4_node *n, struct route4_cookie *c,
		       int (*fn)(const struct route *r, void *arg), void *arg)
{
	struct route4_node *same[33];
	uint32_t prefix = n->prefix;
	unsigned k = 0;

	if (prefix != c->dst) {
		c->dst = prefix;
		c->len = 32;
		c->skip = 0;
	}
	for (; n && n->prefix == prefix; n = route4_node_from(t, prefix, n->len + 1u))
		same[k++] = n;
	while (k--) {
		struct route *r;
		unsigned i = 0;
		if (same[k]->len > c->len)
			continue;
		if (same[k]->len < c->len) {
			c->len = same[k]->len;
			c->skip = 0;
		}
		cds_list_for_each_entry (r, &same[k]->routes, link) {
			if (i++ < c->skip)
				continue;
			int ret = fn(r, arg);
			if (ret)
				return ret;
			c->skip = i;
		}
	}
	return 0;
}

static int walk_table(struct route4_table *t, struct route4_cookie *c,
		      int (*fn)(const struct route *r, void *arg), void *arg)
{
	struct route4_node *n;

	while ((n = route4_node_from(t, c->dst, 0))) {
		uint32_t prefix = n->prefix;
		int ret = walk_prefix(t, n, c, fn, arg);
		if (ret)
			return ret;
		if (prefix == UINT32_MAX)
			break;
		c->dst = prefix + 1;
		c->len = 32;
		c->skip = 0;
	}
	return 0;
}

int route4_walk(struct net *net, uint32_t table, struct route4_cookie *c,
		int (*fn)(const struct route *r, void *arg), void *arg)
{
	struct route4_table *t;

	cds_list_for_each_entry (t, &net->ip4->routes->tables, link) {
		if (table && t->id != table)
			continue;
		if (c->started && t->id != c->table)
			continue;
		if (!c->started)
			*c = (struct route4_cookie){.table = t->id, .len = 32, .started = true};
		int ret = walk_table(t, c, fn, arg);
		if (ret)
			return ret;
		c->started = false;
	}
	return 0;
}

uint32_t route4_seq(const struct net *net)
{
	return net->ip4->routes->seq;
}

uint32_t route4_gen(const struct net *net)
{
	const struct route4_tables *t = net->ip4->routes;

	return READ_ONCE(((struct route4_tables *)t)->seq) +
	       READ_ONCE(((struct route4_tables *)t)->pmtu_gen) +
	       READ_ONCE(((struct route4_tables *)t)->dev_gen);
}

bool route4_table_there(const struct net *net, uint32_t table)
{
	const struct route4_table *t = route4_table_find(net, table);

	return t && (t->used || t == net->ip4->routes->main || t == net->ip4->routes->local);
}

size_t route4_count(const struct net *net, uint32_t table)
{
	struct route4_table *t;
	size_t n = 0;

	if (table) {
		t = route4_table_find(net, table);
		return t ? t->n_prefixes : 0;
	}
	cds_list_for_each_entry (t, &net->ip4->routes->tables, link)
		n += t->n_prefixes;
	return n;
}

/* ---- what an address is ---- */

unsigned ip4_addr_type(struct net *net, uint32_t addr)
{
	uint32_t host = ntohl(addr), val;

	if (!host || addr == INADDR_BROADCAST)
		return RTN_BROADCAST;
	if (ip4_is_multicast(addr))
		return RTN_MULTICAST;
	val = fib4_lookup(net->ip4->routes->fib, host);
	if (!val)
		return RTN_UNICAST;
	const struct fib_info *fi = fib_info_by_id(ip4_core(net), val);
	return fib_type_error(fi->type) ? RTN_UNICAST : fi->type;
}
