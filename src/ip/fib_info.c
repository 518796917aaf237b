/*
 * fib_info: the part of a route that many routes share: type, scope, metrics and next hop.
 *
 * What a new route asks for is checked, filled in on the stack, and looked for in a hash by
 * content; 10^6 routes over one gateway hold one. Each has an id, the index into core->fibs; memory
 * and id go back into use together, when a grace period has passed since the last route let go, so
 * a worker that holds an id never sees another fib_info behind it.
 */
#include "ip/ip4_core.h"

#define FIB_ID_MAX (1u << 25) /* an id and a prefix length make a 31-bit value */
#define NH_STATE   (RTNH_F_DEAD | RTNH_F_LINKDOWN) /* flags that are not content */

struct route_type {
	int error;
	uint8_t scope;
};

static const struct route_type types[RTN_MAX + 1] = {
	[RTN_UNSPEC] = {0, RT_SCOPE_NOWHERE},
	[RTN_UNICAST] = {0, RT_SCOPE_UNIVERSE},
	[RTN_LOCAL] = {0, RT_SCOPE_HOST},
	[RTN_BROADCAST] = {0, RT_SCOPE_LINK},
	[RTN_ANYCAST] = {0, RT_SCOPE_LINK},
	[RTN_MULTICAST] = {0, RT_SCOPE_UNIVERSE},
	[RTN_BLACKHOLE] = {-EINVAL, RT_SCOPE_UNIVERSE},
	[RTN_UNREACHABLE] = {-EHOSTUNREACH, RT_SCOPE_UNIVERSE},
	[RTN_PROHIBIT] = {-EACCES, RT_SCOPE_UNIVERSE},
	[RTN_THROW] = {-EAGAIN, RT_SCOPE_UNIVERSE},
	[RTN_NAT] = {-EINVAL, RT_SCOPE_NOWHERE},
	[RTN_XRESOLVE] = {-EINVAL, RT_SCOPE_NOWHERE},
};

int fib_type_error(unsigned type)
{
	return type <= RTN_MAX ? types[type].error : -EINVAL;
}

uint8_t fib_type_scope(unsigned type)
{
	return type <= RTN_MAX ? types[type].scope : RT_SCOPE_NOWHERE;
}

bool fib_info_alive(const struct fib_info *fi, bool ignore_linkstate)
{
	unsigned flags = READ_ONCE(((struct fib_info *)fi)->nh.flags);

	if (flags & RTNH_F_DEAD)
		return false;
	if (!(flags & RTNH_F_LINKDOWN) || ignore_linkstate || !fi->nh.dev)
		return true;
	return !ip4_conf(fi->nh.dev, IPV4_DEVCONF_IGNORE_ROUTES_WITH_LINKDOWN);
}

/* ---- content ---- */

static uint32_t content_hash(const struct fib_info *fi)
{
	uint64_t h = (uintptr_t)fi->net ^ (uint64_t)fi->type << 8 ^ fi->scope;

	h = hash_u64(h) ^ (uint64_t)fi->protocol << 40 ^ fi->priority;
	h = hash_u64(h) ^ (uint64_t)fi->prefsrc << 16 ^ fi->tb_id;
	h = hash_u64(h) ^ (uint64_t)fi->nh.gateway << 20 ^ (uintptr_t)fi->nh.dev;
	return hash_u64(h ^ fi->metrics[RTAX_MTU]);
}

static bool content_equal(const struct fib_info *a, const struct fib_info *b)
{
	return a->net == b->net && a->type == b->type && a->scope == b->scope &&
	       a->protocol == b->protocol && a->priority == b->priority &&
	       a->prefsrc == b->prefsrc && a->tb_id == b->tb_id && a->flow == b->flow &&
	       !((a->flags ^ b->flags) & ~NH_STATE) && a->nh.dev == b->nh.dev &&
	       a->nh.gateway == b->nh.gateway && a->nh.scope == b->nh.scope &&
	       a->nh.weight == b->nh.weight && !((a->nh.flags ^ b->nh.flags) & ~NH_STATE) &&
	       !a->dead && !b->dead && !memcmp(a->metrics, b->metrics, sizeof(a->metrics));
}

static int fib_match(struct cds_lfht_node *node, const void *key)
{
	return content_equal(container_of(node, struct fib_info, node), key);
}

/* ---- ids ---- */

int fib_infos_init(struct ip4_core *core)
{
	core->fibs = calloc(1, sizeof(*core->fibs) + 64 * sizeof(struct fib_info *));
	core->fib_hash = cds_lfht_new(64, 64, 0, CDS_LFHT_AUTO_RESIZE, NULL);
	if (!core->fibs || !core->fib_hash) {
		free(core->fibs);
		if (core->fib_hash)
			rcu_hash_free(core->fib_hash);
		return -ENOMEM;
	}
	core->fibs->cap = 64;
	core->n_fibs = 1;
	return 0;
}

void fib_infos_fini(struct ip4_core *core)
{
	rcu_barrier();
	for (uint32_t i = 1; i < core->n_fibs; i++)
		free(core->fibs->fi[i]);
	free(core->fibs);
	rcu_hash_free(core->fib_hash);
}

static int fibs_grow(struct ip4_core *core)
{
	struct fib_array *old = core->fibs;
	uint32_t cap = old->cap * 2;
	struct fib_array *a;

	if (core->n_fibs == FIB_ID_MAX)
		return -ENOBUFS;
	a = calloc(1, sizeof(*a) + cap * sizeof(a->fi[0]));
	if (!a)
		return -ENOBUFS;
	a->cap = cap;
	memcpy(a->fi, old->fi, old->cap * sizeof(a->fi[0]));
	rcu_assign_pointer(core->fibs, a);
	rcu_free(old);
	return 0;
}

/* An unused fib_info with an id. */
static struct fib_info *fib_alloc(struct ip4_core *core)
{
	if (!core->fib_idle)
		core->fib_idle = __atomic_exchange_n(&core->fib_lapsed, NULL, __ATOMIC_ACQUIRE);
	struct fib_info *fi = core->fib_idle;
	if (fi) {
		uint32_t id = fi->id;
		core->fib_idle = fi->next;
		memset(fi, 0, sizeof(*fi));
		fi->id = id;
		return fi;
	}
	if (core->n_fibs == core->fibs->cap && fibs_grow(core))
		return NULL;
	fi = line_alloc(sizeof(*fi));
	if (!fi)
		return NULL;
	fi->id = core->n_fibs++;
	/* Readers learn the id from the FIB, whose store comes later. */
	rcu_assign_pointer(core->fibs->fi[fi->id], fi);
	return fi;
}

/* Runs on liburcu's thread: the memory and the id may be used again. */
static void fib_lapse(struct rcu_head *h)
{
	struct fib_info *fi = container_of(h, struct fib_info, rcu);
	struct ip4_core *core = fi->net->weft->ip4;

	fi->next = __atomic_load_n(&core->fib_lapsed, __ATOMIC_RELAXED);
	while (!__atomic_compare_exchange_n(&core->fib_lapsed, &fi->next, fi, true,
					    __ATOMIC_RELEASE, __ATOMIC_RELAXED))
		;
}

void fib_info_release(struct fib_info *fi)
{
	struct ip4_core *core = ip4_core(fi->net);

	if (--fi->refs)
		return;
	fi->dead = true;
	core->n_fib_live--;
	cds_lfht_del(core->fib_hash, &fi->node);
	if (fi->nh.dev)
		cds_list_del(&fi->link);
	neigh_put(fi->nh.neigh);
	call_rcu(&fi->rcu, fib_lapse);
}

void fib_info_set_neigh(struct fib_info *fi, struct neigh *n)
{
	struct neigh *old = fi->nh.neigh;

	if (old == n)
		return;
	if (n)
		neigh_hold(n);
	rcu_assign_pointer(fi->nh.neigh, n);
	neigh_put(old);
}

/* ---- checks ---- */

static int check_onlink_gateway(struct net *net, struct fib_info *fi,
				const struct route_config *cfg, struct extack *ext)
{
	struct netdev *dev = net_dev_by_index(net, cfg->oif);

	if (cfg->scope >= RT_SCOPE_LINK)
		return extack_set(ext, -EINVAL, "Nexthop has invalid scope");
	if (!dev || !dev->in_dev)
		return extack_set(ext, -ENODEV, "Nexthop device required for onlink");
	if (!netdev_running(dev))
		return extack_set(ext, -ENETDOWN, "Nexthop device is not up");
	if (ip4_addr_type(net, cfg->gateway) != RTN_UNICAST)
		return extack_set(ext, -EINVAL, "Nexthop has invalid gateway");
	fi->nh.dev = dev;
	fi->nh.scope = RT_SCOPE_LINK;
	return 0;
}

/* The gateway must itself be reached over a route of narrower scope: on the link, or our own. */
static int check_gateway(struct net *net, struct fib_info *fi, const struct route_config *cfg,
			 struct extack *ext)
{
	struct flow4 fl = {
		.daddr = cfg->gateway,
		.oif = cfg->oif,
		.scope = MAX(cfg->scope + 1, RT_SCOPE_LINK),
	};
	const struct fib_info *via;
	struct route4_table *t = NULL;
	uint8_t len;
	int err = -ENETUNREACH;

	if (cfg->nh_flags & RTNH_F_ONLINK)
		return check_onlink_gateway(net, fi, cfg, ext);
	if (cfg->table && cfg->table != RT_TABLE_MAIN)
		t = route4_table_find(net, cfg->table);
	if (t)
		err = route4_table_lookup(net, t, &fl, true, &via, &len);
	if (!t || err)
		err = route4_full_lookup(net, &fl, true, &via, &len);
	if (err)
		return extack_set(ext, err, "Nexthop has invalid gateway");
	if (via->type != RTN_UNICAST && via->type != RTN_LOCAL)
		return extack_set(ext, -EINVAL, "Nexthop has invalid gateway");
	if (!via->nh.dev)
		return extack_set(ext, -EINVAL, "No egress device for nexthop");
	fi->nh.scope = via->scope;
	fi->nh.dev = via->nh.dev;
	return netdev_running(fi->nh.dev) ? 0 : -ENETDOWN;
}

static int check_link(struct net *net, struct fib_info *fi, const struct route_config *cfg,
		      struct extack *ext)
{
	struct netdev *dev = net_dev_by_index(net, cfg->oif);

	if (cfg->nh_flags & (RTNH_F_PERVASIVE | RTNH_F_ONLINK))
		return extack_set(
			ext, -EINVAL,
			"Invalid flags for nexthop - PERVASIVE and ONLINK can not be set");
	if (!dev || !dev->in_dev)
		return -ENODEV;
	if (!netdev_running(dev))
		return extack_set(ext, -ENETDOWN, "Device for nexthop is not up");
	fi->nh.dev = dev;
	fi->nh.scope = RT_SCOPE_HOST;
	return 0;
}

static int check_host(struct net *net, struct fib_info *fi, const struct route_config *cfg,
		      struct extack *ext)
{
	if (cfg->has_gateway)
		return extack_set(ext, -EINVAL, "Route with host scope can not have a gateway");
	fi->nh.scope = RT_SCOPE_NOWHERE;
	fi->nh.dev = net_dev_by_index(net, cfg->oif);
	return fi->nh.dev && fi->nh.dev->in_dev ? 0 : -ENODEV;
}

static bool prefsrc_valid(struct net *net, const struct route_config *cfg)
{
	struct flow4 fl = {.daddr = cfg->prefsrc};
	const struct fib_info *fi;
	uint8_t len;

	if (cfg->type == RTN_LOCAL && cfg->dst && cfg->prefsrc == cfg->dst)
		return true;
	if (cfg->table != RT_TABLE_MAIN && cfg->table != RT_TABLE_LOCAL) {
		struct route4_table *t = route4_table_find(net, cfg->table);
		if (t && !route4_table_lookup(net, t, &fl, true, &fi, &len) &&
		    fi->type == RTN_LOCAL)
			return true;
	}
	return ip4_addr_type(net, cfg->prefsrc) == RTN_LOCAL;
}

static int check_config(const struct route_config *cfg, struct extack *ext)
{
	if (cfg->type > RTN_MAX)
		return -EINVAL;
	if (fib_type_scope(cfg->type) > cfg->scope)
		return extack_set(ext, -EINVAL, "Invalid scope");
	if ((cfg->flags | cfg->nh_flags) & NH_STATE)
		return extack_set(ext, -EINVAL,
				  "Invalid rtm_flags - can not contain DEAD or LINKDOWN");
	return 0;
}

/* Fills nh and says whether cfg makes sense. */
static int check_nexthop(struct net *net, struct fib_info *fi, const struct route_config *cfg,
			 struct extack *ext)
{
	int err;

	if (fib_type_error(cfg->type)) {
		if (cfg->has_gateway || cfg->oif)
			return extack_set(ext, -EINVAL,
					  "Gateway, device and multipath can not be specified for "
					  "this route type");
		return 0;
	}
	if (cfg->type == RTN_UNSPEC || cfg->type > RTN_MULTICAST)
		return extack_set(ext, -EINVAL, "Invalid route type");
	if (cfg->scope > RT_SCOPE_HOST)
		return extack_set(ext, -EINVAL, "Invalid scope");
	if (cfg->scope == RT_SCOPE_HOST) {
		err = check_host(net, fi, cfg, ext);
	} else {
		err = cfg->has_gateway ? check_gateway(net, fi, cfg, ext)
				       : check_link(net, fi, cfg, ext);
		if (!err && !fi->nh.dev->carrier) {
			fi->nh.flags |= RTNH_F_LINKDOWN;
			fi->flags |= RTNH_F_LINKDOWN;
		}
	}
	if (err)
		return err;
	if (cfg->prefsrc && !prefsrc_valid(net, cfg))
		return extack_set(ext, -EINVAL, "Invalid prefsrc address");
	return 0;
}

struct fib_info *fib_info_create(struct net *net, const struct route_config *cfg, int *err,
				 struct extack *ext)
{
	struct ip4_core *core = ip4_core(net);
	struct fib_info want = {
		.net = net,
		.type = cfg->type,
		.scope = cfg->scope,
		.protocol = cfg->protocol,
		.priority = cfg->priority,
		.prefsrc = cfg->prefsrc,
		.tb_id = cfg->table,
		.flags = cfg->flags,
		.flow = cfg->flow,
		.nh = {.gateway = cfg->gateway, .flags = cfg->nh_flags, .weight = 1},
	};

	memcpy(want.metrics, cfg->metrics, sizeof(want.metrics));
	*err = check_config(cfg, ext);
	if (!*err)
		*err = check_nexthop(net, &want, cfg, ext);
	if (*err)
		return NULL;

	uint32_t hash = content_hash(&want);
	struct cds_lfht_iter iter;
	cds_lfht_lookup(core->fib_hash, hash, fib_match, &want, &iter);
	struct cds_lfht_node *node = cds_lfht_iter_get_node(&iter);
	if (node) {
		struct fib_info *shared = container_of(node, struct fib_info, node);
		shared->refs++;
		return shared;
	}
	struct fib_info *fi = fib_alloc(core);
	if (!fi) {
		*err = -ENOBUFS;
		return NULL;
	}
	want.id = fi->id;
	*fi = want;
	fi->refs = 1;
	core->n_fib_live++;
	cds_lfht_node_init(&fi->node);
	cds_lfht_add(core->fib_hash, hash, &fi->node);
	if (fi->nh.dev)
		cds_list_add_tail(&fi->link, &fi->nh.dev->in_dev->fibs);
	return fi;
}

bool fib_info_matches(const struct fib_info *fi, const struct route_config *cfg)
{
	if (cfg->scope != RT_SCOPE_NOWHERE && fi->scope != cfg->scope)
		return false;
	if ((cfg->type && fi->type != cfg->type) || (cfg->prefsrc && fi->prefsrc != cfg->prefsrc) ||
	    (cfg->protocol && fi->protocol != cfg->protocol) ||
	    (cfg->priority && fi->priority != cfg->priority))
		return false;
	if (cfg->oif && (!fi->nh.dev || fi->nh.dev->ifindex != cfg->oif))
		return false;
	if (cfg->has_gateway && fi->nh.gateway != cfg->gateway)
		return false;
	if ((cfg->oif || cfg->has_gateway) && cfg->flow && fi->flow != cfg->flow)
		return false;
	for (unsigned i = 1; i <= RTAX_MAX; i++)
		if (cfg->metrics[i] && cfg->metrics[i] != fi->metrics[i])
			return false;
	return true;
}

/* ---- devices come and go ---- */

unsigned fib_sync_down_dev(struct netdev *dev, enum event_type why, bool force)
{
	bool dead = why != EVENT_DEV_CARRIER;
	unsigned flags = RTNH_F_LINKDOWN | (dead ? RTNH_F_DEAD : 0), n = 0;
	struct cds_list_head *at;
	struct fib_info *fi;

	if (!dev->in_dev)
		return 0;
	list_for_each_line (fi, at, &dev->in_dev->fibs, link) {
		/* Local addresses outlive their device's going down. */
		if (!force && fi->nh.scope == RT_SCOPE_NOWHERE)
			continue;
		if (!(fi->nh.flags & RTNH_F_DEAD)) {
			WRITE_ONCE(fi->nh.flags, (uint8_t)(fi->nh.flags | flags));
			fi->flags |= flags;
		}
		n++;
	}
	return n;
}

bool fib_sync_up(struct netdev *dev, uint32_t flags)
{
	struct cds_list_head *at;
	struct fib_info *fi;
	bool changed = false;

	if (!netdev_running(dev) || !dev->in_dev)
		return false;
	if ((flags & RTNH_F_DEAD) && dev->carrier)
		flags |= RTNH_F_LINKDOWN;
	list_for_each_line (fi, at, &dev->in_dev->fibs, link) {
		if (!(fi->nh.flags & flags))
			continue;
		WRITE_ONCE(fi->nh.flags, (uint8_t)(fi->nh.flags & ~flags));
		fi->flags &= ~flags;
		changed = true;
	}
	return changed;
}
