/*
 * ip4_ifroute: the routes that an address brings along and takes away again.
 *
 * An address wants: itself in table local; its subnet in table main; its broadcast addresses in
 * table local. Two addresses of a device may want the same route, so one goes only when nobody else
 * on the device wants it. All have the primary address of the subnet as preferred source.
 */
#include <arpa/inet.h>

#include "ip/ip4_core.h"

struct wanted {
	uint8_t type, len;
	uint32_t dst, prefsrc, metric;
};

#define WANTED_MAX 4

static bool same_subnet(const struct in_ifaddr *a, const struct in_ifaddr *b)
{
	return a->mask == b->mask && !((a->address ^ b->address) & a->mask);
}

/* The primary that a secondary stands behind. */
static const struct in_ifaddr *primary_of(const struct in_ifaddr *ifa)
{
	struct in_ifaddr *i;

	if (!(ifa->flags & IFA_F_SECONDARY))
		return ifa;
	cds_list_for_each_entry (i, &ifa->in_dev->addrs, link)
		if (!(i->flags & IFA_F_SECONDARY) && same_subnet(i, ifa))
			return i;
	return NULL;
}

static bool has_prefix_route(const struct in_ifaddr *ifa)
{
	uint32_t prefix = ifa->address & ifa->mask;

	return prefix && !(ifa->flags & IFA_F_SECONDARY) &&
	       (prefix != ifa->local || ifa->prefixlen < 32);
}

/* What ifa wants, with prim as its primary; the first is always the address itself. */
static unsigned wanted_of(const struct in_ifaddr *ifa, const struct in_ifaddr *prim,
			  struct wanted *w)
{
	bool lo = ifa->in_dev->dev->flags & IFF_LOOPBACK;
	uint32_t prefix = ifa->address & ifa->mask, src = prim->local;
	unsigned n = 0;

	w[n++] = (struct wanted){RTN_LOCAL, 32, ifa->local, src, 0};
	if (ifa->broadcast && ifa->broadcast != INADDR_BROADCAST)
		w[n++] = (struct wanted){RTN_BROADCAST, 32, ifa->broadcast, src, 0};
	if (!has_prefix_route(ifa))
		return n;
	if (!(ifa->flags & IFA_F_NOPREFIXROUTE))
		w[n++] = (struct wanted){lo ? RTN_LOCAL : RTN_UNICAST, ifa->prefixlen, prefix, src,
					 ifa->metric};
	if (ifa->prefixlen < 31 && (prefix | ~ifa->mask) != ifa->broadcast)
		w[n++] = (struct wanted){RTN_BROADCAST, 32, prefix | ~ifa->mask, src, 0};
	return n;
}

static struct route_config config_of(const struct in_dev *in, const struct wanted *w)
{
	return (struct route_config){
		.table = w->type == RTN_UNICAST ? RT_TABLE_MAIN : RT_TABLE_LOCAL,
		.type = w->type,
		.dst = w->dst,
		.dst_len = w->len,
		.prefsrc = w->prefsrc,
		.priority = w->metric,
		.protocol = RTPROT_KERNEL,
		.scope = w->type == RTN_LOCAL ? RT_SCOPE_HOST : RT_SCOPE_LINK,
		.oif = in->dev->ifindex,
		.has_oif = true,
		.nl_flags = NLM_F_CREATE | NLM_F_APPEND,
	};
}

void ip4_ifroute_add(struct in_ifaddr *ifa)
{
	const struct in_ifaddr *prim = primary_of(ifa);
	struct wanted w[WANTED_MAX];
	unsigned n;

	if (!prim)
		return;
	n = wanted_of(ifa, prim, w);
	/* Down, only the address itself is ours already. */
	if (!netdev_running(ifa->in_dev->dev))
		n = 1;
	for (unsigned i = 0; i < n; i++) {
		struct route_config cfg = config_of(ifa->in_dev, &w[i]);
		/* EEXIST: another address brought it. */
		route4_add(ifa->in_dev->dev->net, &cfg, NULL);
	}
}

static bool equal(const struct wanted *a, const struct wanted *b)
{
	return a->type == b->type && a->len == b->len && a->dst == b->dst &&
	       a->prefsrc == b->prefsrc;
}

/* Does an address other than ifa want the route? Those of the subnet of `leaving` are about to get
 * theirs anew and do not count. */
static bool wanted_by_other(const struct in_ifaddr *ifa, const struct in_ifaddr *leaving,
			    const struct wanted *w)
{
	struct in_ifaddr *i;

	cds_list_for_each_entry (i, &ifa->in_dev->addrs, link) {
		const struct in_ifaddr *prim;
		struct wanted other[WANTED_MAX];
		if (i == ifa || (leaving && same_subnet(i, leaving)))
			continue;
		prim = primary_of(i);
		if (!prim)
			continue;
		for (unsigned k = wanted_of(i, prim, other); k--;)
			if (equal(&other[k], w))
				return true;
	}
	return false;
}

/* Takes a route away unless another address wants it. */
static bool unwant(const struct in_ifaddr *ifa, const struct in_ifaddr *leaving,
		   const struct wanted *w)
{
	struct in_dev *in = ifa->in_dev;
	struct route_config cfg = config_of(in, w);

	if (!in->dead && wanted_by_other(ifa, leaving, w))
		return false;
	cfg.priority = 0; /* any */
	route4_del(in->dev->net, &cfg, NULL);
	return true;
}

void ip4_ifroute_del(struct in_ifaddr *ifa, struct in_ifaddr *iprim)
{
	struct in_dev *in = ifa->in_dev;
	struct net *net = in->dev->net;
	const struct in_ifaddr *prim = iprim ? iprim : primary_of(ifa);
	struct wanted w[WANTED_MAX];
	bool local_gone;

	if (!prim)
		return;
	unsigned n = wanted_of(ifa, prim, w);
	/* The subnet first, the address last: what it carries goes with it. */
	for (unsigned i = 1; i < n; i++)
		if (w[i].len < 32 || w[i].type == RTN_UNICAST)
			unwant(ifa, iprim, &w[i]);
	for (unsigned i = 1; i < n; i++)
		if (w[i].len == 32 && w[i].type != RTN_UNICAST)
			unwant(ifa, iprim, &w[i]);
	local_gone = unwant(ifa, iprim, &w[0]);
	if (local_gone && !iprim && ip4_addr_type(net, ifa->local) != RTN_LOCAL)
		route4_sync_down_addr(net, ifa->local);
}

void ip4_ifroute_metric(struct in_ifaddr *ifa, uint32_t metric)
{
	struct wanted w = {RTN_UNICAST, ifa->prefixlen, ifa->address & ifa->mask, ifa->local,
			   metric};
	struct net *net = ifa->in_dev->dev->net;
	struct route_config cfg;

	if (!has_prefix_route(ifa) || (ifa->flags & IFA_F_NOPREFIXROUTE) ||
	    !netdev_running(ifa->in_dev->dev))
		return;
	if (ifa->in_dev->dev->flags & IFF_LOOPBACK)
		w.type = RTN_LOCAL;
	/* The new before the old: never without one. */
	cfg = config_of(ifa->in_dev, &w);
	route4_add(net, &cfg, NULL);
	cfg.priority = ifa->metric;
	route4_del_metric(net, &cfg);
}
