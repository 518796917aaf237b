/*
 * ip4_addr: the addresses of devices: adding, deleting, promotion of secondaries, lifetimes.
 *
 * A device's list holds the primaries by scope, widest first in order of adding, then the
 * secondaries (addresses whose subnet has a primary already). Deleting a primary deletes its
 * secondaries, or makes the first of them primary where promote_secondaries says so.
 */
#include <arpa/inet.h>

#include "ip/ip4_core.h"

#define INFINITE UINT32_MAX
/* Flags of IPv6 that mean nothing here. */
#define IP6_FLAGS                                                                                  \
	(IFA_F_NODAD | IFA_F_OPTIMISTIC | IFA_F_DADFAILED | IFA_F_HOMEADDRESS | IFA_F_TENTATIVE |  \
	 IFA_F_MANAGETEMPADDR | IFA_F_STABLE_PRIVACY)

static uint64_t now_of(const struct net *net)
{
	return net->weft->worker[0]->now;
}

static bool same_subnet(const struct in_ifaddr *a, const struct in_ifaddr *b)
{
	return a->mask == b->mask && !((a->address ^ b->address) & a->mask);
}

static void ifa_free_rcu(struct rcu_head *h)
{
	free(container_of(h, struct in_ifaddr, rcu));
}

/* ---- lifetimes ---- */

static uint64_t expiry(const struct in_ifaddr *ifa, uint32_t lft)
{
	return lft == INFINITE ? UINT64_MAX : ifa->updated + lft * NSEC_PER_SEC;
}

static uint64_t next_ageing(const struct in_ifaddr *ifa)
{
	uint64_t at = expiry(ifa, ifa->valid_lft);

	if (!(ifa->flags & IFA_F_DEPRECATED))
		at = MIN(at, expiry(ifa, ifa->preferred_lft));
	return at;
}

static void lifetime_watch(struct ip4_core *core, const struct in_ifaddr *ifa)
{
	uint64_t at = next_ageing(ifa);
	struct timer *t = &core->lifetime;

	if (at != UINT64_MAX && (!timer_pending(t) || at < t->expires))
		timer_set(&core->weft->worker[0]->wheel, t, at);
}

static void set_lifetime(struct in_ifaddr *ifa, uint32_t valid, uint32_t preferred, uint64_t now)
{
	ifa->flags &= ~(IFA_F_PERMANENT | IFA_F_DEPRECATED);
	if (valid == INFINITE)
		ifa->flags |= IFA_F_PERMANENT;
	if (!preferred)
		ifa->flags |= IFA_F_DEPRECATED;
	ifa->valid_lft = valid;
	ifa->preferred_lft = preferred;
	ifa->updated = now;
	if (!ifa->created)
		ifa->created = now;
}

/* ---- adding ---- */

/* Finds the place of a new address; marks it secondary when its subnet is here already. */
static int place(struct in_dev *in, struct in_ifaddr *ifa, struct cds_list_head **after,
		 struct extack *ext)
{
	struct cds_list_head *primaries_end = &in->addrs;
	struct in_ifaddr *i;

	ifa->flags &= ~IFA_F_SECONDARY;
	cds_list_for_each_entry (i, &in->addrs, link) {
		if (!(i->flags & IFA_F_SECONDARY) && ifa->scope <= i->scope)
			primaries_end = &i->link;
		if (!same_subnet(i, ifa))
			continue;
		if (i->local == ifa->local)
			return -EEXIST;
		if (i->scope != ifa->scope)
			return extack_set(ext, -EINVAL, "ipv4: Invalid scope value");
		ifa->flags |= IFA_F_SECONDARY;
	}
	*after = ifa->flags & IFA_F_SECONDARY ? in->addrs.prev : primaries_end;
	return 0;
}

static void filter_count(struct ip4_net *n, uint32_t local, int by)
{
	uint8_t *slot = &n->addr_filter[ip4_addr_slot(local)];

	if (*slot != UINT8_MAX)
		WRITE_ONCE(*slot, (uint8_t)(*slot + by));
}

static void ifa_link(struct in_dev *in, struct in_ifaddr *ifa, struct cds_list_head *after)
{
	cds_list_add_rcu(&ifa->link, after);
	cds_lfht_node_init(&ifa->node);
	cds_lfht_add(in->dev->net->ip4->addr_hash, hash_u64(ifa->local), &ifa->node);
	filter_count(in->dev->net->ip4, ifa->local, 1);
	in->n_addrs++;
}

static struct in_ifaddr *find_same(struct in_dev *in, const struct in_ifaddr *ifa)
{
	struct in_ifaddr *i;

	cds_list_for_each_entry (i, &in->addrs, link)
		if (i->local == ifa->local && same_subnet(i, ifa))
			return i;
	return NULL;
}

static int addr_change(struct in_ifaddr *old, const struct in_ifaddr *ifa)
{
	struct net *net = old->in_dev->dev->net;

	if (old->metric != ifa->metric) {
		ip4_ifroute_metric(old, ifa->metric);
		old->metric = ifa->metric;
	}
	old->proto = ifa->proto;
	set_lifetime(old, ifa->valid_lft, ifa->preferred_lft, now_of(net));
	lifetime_watch(ip4_core(net), old);
	net_event(net, EVENT_ADDR_NEW, old->in_dev->dev, old, 0);
	return 0;
}

static int addr_insert(struct in_dev *in, struct in_ifaddr *ifa, struct extack *ext)
{
	struct net *net = in->dev->net;
	struct cds_list_head *after;
	int err = place(in, ifa, &after, ext);

	if (err)
		return err;
	ifa_link(in, ifa, after);
	lifetime_watch(ip4_core(net), ifa);
	net_event(net, EVENT_ADDR_NEW, in->dev, ifa, 0);
	ip4_ifroute_add(ifa);
	return 0;
}

static void ifa_normalise(struct in_ifaddr *ifa, const struct netdev *dev)
{
	ifa->in_dev = dev->in_dev;
	ifa->mask = ifa->prefixlen ? htonl(~0u << (32 - ifa->prefixlen)) : 0;
	if (!ifa->address)
		ifa->address = ifa->local;
	ifa->flags &= ~IP6_FLAGS;
	if (!ifa->label[0])
		memcpy(ifa->label, dev->name, IFNAMSIZ);
	ifa->label[IFNAMSIZ - 1] = 0;
}

int ip4_addr_add(struct netdev *dev, const struct in_ifaddr *want, bool replace, bool excl,
		 struct extack *ext)
{
	struct in_dev *in = dev->in_dev;
	struct in_ifaddr *ifa, *old;
	int err;

	if (want->prefixlen > 32)
		return extack_set(ext, -EINVAL, "ipv4: Invalid prefix length");
	if (!want->valid_lft)
		return extack_set(ext, -EINVAL, "ipv4: address valid lifetime is zero");
	if (want->preferred_lft > want->valid_lft)
		return extack_set(
			ext, -EINVAL,
			"ipv4: address preferred lifetime is greater than valid lifetime");
	if (!in)
		return -ENOBUFS;
	/* 0.0.0.0 is nobody's, which Linux takes without a word. */
	if (!want->local)
		return 0;
	ifa = calloc(1, sizeof(*ifa));
	if (!ifa)
		return -ENOBUFS;
	*ifa = *want;
	ifa->created = 0;
	ifa_normalise(ifa, dev);
	old = find_same(in, ifa);
	if (old) {
		if (excl || !replace)
			err = extack_set(ext, -EEXIST, "ipv4: Address already assigned");
		else
			err = addr_change(old, ifa);
		free(ifa);
		return err;
	}
	set_lifetime(ifa, want->valid_lft, want->preferred_lft, now_of(dev->net));
	err = addr_insert(in, ifa, ext);
	if (err)
		free(ifa);
	return err;
}

void ip4_addr_autoconf_lo(struct netdev *dev)
{
	struct in_ifaddr ifa = {
		.local = htonl(INADDR_LOOPBACK),
		.address = htonl(INADDR_LOOPBACK),
		.prefixlen = 8,
		.scope = RT_SCOPE_HOST,
		.valid_lft = INFINITE,
		.preferred_lft = INFINITE,
	};

	if (!dev->in_dev || !cds_list_empty(&dev->in_dev->addrs))
		return;
	/* From now on "default" does not reach its settings. */
	dev->in_dev->conf_set = ~0ULL;
	ip4_addr_add(dev, &ifa, false, true, NULL);
}

/* ---- deleting ---- */

static void addr_remove(struct in_ifaddr *ifa)
{
	struct in_dev *in = ifa->in_dev;
	struct net *net = in->dev->net;

	cds_list_del_rcu(&ifa->link);
	cds_lfht_del(net->ip4->addr_hash, &ifa->node);
	filter_count(net->ip4, ifa->local, -1);
	in->n_addrs--;
	net_event(net, EVENT_ADDR_DEL, in->dev, ifa, 0);
	ip4_ifroute_del(ifa, NULL);
	/* Without an address the device speaks no IPv4: nothing leads over it. */
	if (cds_list_empty(&in->addrs) && fib_sync_down_dev(in->dev, EVENT_DEV_DOWN, true))
		route4_flush(net, false);
	call_rcu(&ifa->rcu, ifa_free_rcu);
}

/* The first secondary of ifa's subnet behind `from`. */
static struct in_ifaddr *secondary_of(struct in_ifaddr *ifa, struct in_ifaddr *from)
{
	struct in_dev *in = ifa->in_dev;
	struct cds_list_head *l = from->link.next;

	for (; l != &in->addrs; l = l->next) {
		struct in_ifaddr *i = cds_list_entry(l, struct in_ifaddr, link);
		if ((i->flags & IFA_F_SECONDARY) && same_subnet(i, ifa))
			return i;
	}
	return NULL;
}

/* Moves a secondary up to the primaries: behind the last one of its scope or wider. */
static void promote(struct in_ifaddr *ifa, struct cds_list_head *after)
{
	struct in_dev *in = ifa->in_dev;
	struct in_ifaddr *i = ifa;

	/* Readers of the list may miss the address for a moment, as in any change of order. */
	cds_list_del_rcu(&ifa->link);
	cds_list_add_rcu(&ifa->link, after);
	ifa->flags &= ~IFA_F_SECONDARY;
	net_event(in->dev->net, EVENT_ADDR_NEW, in->dev, ifa, 0);
	ip4_ifroute_add(ifa);
	while ((i = secondary_of(ifa, i)))
		ip4_ifroute_add(i);
}

static void addr_del(struct in_ifaddr *ifa)
{
	struct in_dev *in = ifa->in_dev;
	struct in_ifaddr *heir = NULL, *i;
	struct cds_list_head *after = ifa->link.prev;

	if (!in->dead && !(ifa->flags & IFA_F_SECONDARY)) {
		if (ip4_conf(in->dev, IPV4_DEVCONF_PROMOTE_SECONDARIES))
			heir = secondary_of(ifa, ifa);
		else
			while ((i = secondary_of(ifa, ifa)))
				addr_remove(i);
	}
	for (i = heir; i; i = secondary_of(ifa, i))
		ip4_ifroute_del(i, ifa);
	for (struct cds_list_head *l = ifa->link.next; heir && l != &in->addrs; l = l->next) {
		i = cds_list_entry(l, struct in_ifaddr, link);
		if (!(i->flags & IFA_F_SECONDARY) && ifa->scope <= i->scope)
			after = l;
	}
	addr_remove(ifa);
	if (heir)
		promote(heir, after);
}

int ip4_addr_del(struct netdev *dev, const uint32_t *local, const uint32_t *address, int prefixlen,
		 const char *label)
{
	struct in_ifaddr *ifa;

	if (!dev->in_dev)
		return -ENODEV;
	cds_list_for_each_entry (ifa, &dev->in_dev->addrs, link) {
		if (local && ifa->local != *local)
			continue;
		if (label && strcmp(label, ifa->label))
			continue;
		if (address &&
		    (prefixlen != ifa->prefixlen || ((*address ^ ifa->address) & ifa->mask)))
			continue;
		addr_del(ifa);
		return 0;
	}
	return -EADDRNOTAVAIL;
}

void ip4_addr_flush(struct in_dev *in)
{
	while (!cds_list_empty(&in->addrs))
		addr_del(cds_list_entry(in->addrs.next, struct in_ifaddr, link));
}

/* ---- ageing ---- */

/* True: the address went. */
static bool addr_age(struct in_ifaddr *ifa, uint64_t now)
{
	if (expiry(ifa, ifa->valid_lft) <= now) {
		addr_del(ifa);
		return true;
	}
	if (expiry(ifa, ifa->preferred_lft) <= now && !(ifa->flags & IFA_F_DEPRECATED)) {
		ifa->flags |= IFA_F_DEPRECATED;
		net_event(ifa->in_dev->dev->net, EVENT_ADDR_NEW, ifa->in_dev->dev, ifa, 0);
	}
	return false;
}

static void dev_age(struct ip4_core *core, struct in_dev *in, uint64_t now)
{
	struct in_ifaddr *ifa;
again:
	cds_list_for_each_entry (ifa, &in->addrs, link) {
		/* A primary's end may end its secondaries too. */
		if (addr_age(ifa, now))
			goto again;
		lifetime_watch(core, ifa);
	}
}

void ip4_lifetime_run(struct timer *t, uint64_t now)
{
	struct ip4_core *core = container_of(t, struct ip4_core, lifetime);
	struct net *net;
	struct netdev *dev;

	cds_list_for_each_entry (net, &core->weft->nets->nets, link)
		cds_list_for_each_entry (dev, &net->devs, net_link)
			if (dev->in_dev)
				dev_age(core, dev->in_dev, now);
}

/* ---- look-ups ---- */

static int local_match(struct cds_lfht_node *node, const void *key)
{
	return container_of(node, struct in_ifaddr, node)->local == *(const uint32_t *)key;
}

struct netdev *ip4_addr_dev(struct net *net, uint32_t addr)
{
	struct cds_lfht_iter iter;
	struct cds_lfht_node *node;
	uint32_t val;

	cds_lfht_lookup(net->ip4->addr_hash, hash_u64(addr), local_match, &addr, &iter);
	node = cds_lfht_iter_get_node(&iter);
	if (node)
		return container_of(node, struct in_ifaddr, node)->in_dev->dev;
	/* A subnet that is local as a whole: 127.0.0.0/8. */
	val = fib4_lookup(net->ip4->routes->fib, ntohl(addr));
	if (!val)
		return NULL;
	const struct fib_info *fi = fib_info_by_id(ip4_core(net), val);
	return fi->type == RTN_LOCAL ? fi->nh.dev : NULL;
}
