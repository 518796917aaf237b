/*
 * ip4_dev: the IPv4 side of a device, and what the device's life means for addresses and routes.
 *
 * A device has an in_dev from its registration to its end, save while its MTU is too small for IPv4
 * (below 68, RFC 791). Order matters: addresses come before the routes over them and go after them.
 */
#include <linux/netconf.h>

#include "ip/ip4_sysctl.h"

#define MIN_MTU 68

/* ---- settings ---- */

enum merge { MERGE_DEV, MERGE_AND, MERGE_OR, MERGE_MAX };

/* How a device's setting and that of "all" make one. */
static const uint8_t merges[IPV4_DEVCONF_MAX + 1] = {
	[IPV4_DEVCONF_FORWARDING] = MERGE_DEV,
	[IPV4_DEVCONF_MC_FORWARDING] = MERGE_AND,
	[IPV4_DEVCONF_PROXY_ARP] = MERGE_OR,
	[IPV4_DEVCONF_SECURE_REDIRECTS] = MERGE_OR,
	[IPV4_DEVCONF_SEND_REDIRECTS] = MERGE_OR,
	[IPV4_DEVCONF_SHARED_MEDIA] = MERGE_OR,
	[IPV4_DEVCONF_RP_FILTER] = MERGE_MAX,
	[IPV4_DEVCONF_ACCEPT_SOURCE_ROUTE] = MERGE_AND,
	[IPV4_DEVCONF_BOOTP_RELAY] = MERGE_AND,
	[IPV4_DEVCONF_LOG_MARTIANS] = MERGE_OR,
	[IPV4_DEVCONF_ARPFILTER] = MERGE_OR,
	[IPV4_DEVCONF_NOXFRM] = MERGE_OR,
	[IPV4_DEVCONF_FORCE_IGMP_VERSION] = MERGE_MAX,
	[IPV4_DEVCONF_ARP_ANNOUNCE] = MERGE_MAX,
	[IPV4_DEVCONF_ARP_IGNORE] = MERGE_MAX,
	[IPV4_DEVCONF_PROMOTE_SECONDARIES] = MERGE_OR,
	[IPV4_DEVCONF_ARP_ACCEPT] = MERGE_MAX,
	[IPV4_DEVCONF_ARP_NOTIFY] = MERGE_MAX,
	[IPV4_DEVCONF_ACCEPT_LOCAL] = MERGE_OR,
	[IPV4_DEVCONF_SRC_VMARK] = MERGE_OR,
	[IPV4_DEVCONF_ROUTE_LOCALNET] = MERGE_OR,
	[IPV4_DEVCONF_DROP_UNICAST_IN_L2_MULTICAST] = MERGE_OR,
	[IPV4_DEVCONF_DROP_GRATUITOUS_ARP] = MERGE_OR,
	[IPV4_DEVCONF_BC_FORWARDING] = MERGE_AND,
	[IPV4_DEVCONF_ARP_EVICT_NOCARRIER] = MERGE_AND,
};

int ip4_conf(const struct netdev *dev, int devconf)
{
	const struct in_dev *in = in_dev_get(dev);

	if (unlikely(!in))
		return 0;
	int d = conf_get(&in->conf, devconf);
	int all = conf_get(&dev->net->ip4->conf_all, devconf);
	/* A router listens to redirects only if both say so, a host if either does. */
	if (devconf == IPV4_DEVCONF_ACCEPT_REDIRECTS)
		return conf_get(&in->conf, IPV4_DEVCONF_FORWARDING) ? d && all : d || all;
	switch (merges[devconf]) {
	case MERGE_AND:
		return d && all;
	case MERGE_OR:
		return d || all;
	case MERGE_MAX:
		return MAX(d, all);
	}
	return d;
}

void ip4_conf_init(struct ip4_net *n)
{
	int *v = n->conf_all.v;

	v[IPV4_DEVCONF_ACCEPT_REDIRECTS - 1] = 1;
	v[IPV4_DEVCONF_SEND_REDIRECTS - 1] = 1;
	v[IPV4_DEVCONF_SECURE_REDIRECTS - 1] = 1;
	v[IPV4_DEVCONF_SHARED_MEDIA - 1] = 1;
	v[IPV4_DEVCONF_IGMPV2_UNSOLICITED_REPORT_INTERVAL - 1] = 10000;
	v[IPV4_DEVCONF_IGMPV3_UNSOLICITED_REPORT_INTERVAL - 1] = 1000;
	v[IPV4_DEVCONF_ARP_EVICT_NOCARRIER - 1] = 1;
	n->conf_default = n->conf_all;
	n->conf_default.v[IPV4_DEVCONF_ACCEPT_SOURCE_ROUTE - 1] = 1;
}

/* ---- life ---- */

struct in_dev *in_dev_new(struct netdev *dev)
{
	struct ip4_core *core = ip4_core(dev->net);
	struct in_dev *in = calloc(1, sizeof(*in));

	if (!in)
		return NULL;
	in->dev = dev;
	in->conf = dev->net->ip4->conf_default;
	CDS_INIT_LIST_HEAD(&in->addrs);
	CDS_INIT_LIST_HEAD(&in->mc);
	CDS_INIT_LIST_HEAD(&in->fibs);
	if (dev->flags & IFF_LOOPBACK) {
		in->conf.v[IPV4_DEVCONF_NOXFRM - 1] = 1;
		in->conf.v[IPV4_DEVCONF_NOPOLICY - 1] = 1;
	}
	in->arp_parms = neigh_parms_new(&core->arp, dev->net, dev);
	if (!in->arp_parms) {
		free(in);
		return NULL;
	}
	rcu_assign_pointer(dev->in_dev, in);
	ip4_netconf_notify(dev->net, dev, NETCONF_DEV, NETCONFA_ALL);
	if (netdev_running(dev))
		igmp_dev_up(in);
	return in;
}

static void in_dev_free_rcu(struct rcu_head *h)
{
	free(container_of(h, struct in_dev, rcu));
}

/* Marks what leads over dev; takes the routes out. */
static void routes_down(struct netdev *dev, bool force)
{
	if (fib_sync_down_dev(dev, EVENT_DEV_DOWN, force))
		route4_flush(dev->net, false);
}

void in_dev_destroy(struct in_dev *in)
{
	struct netdev *dev = in->dev;
	struct ip4_core *core = ip4_core(dev->net);

	in->dead = true;
	igmp_dev_destroy(in);
	ip4_addr_flush(in);
	routes_down(dev, true);
	neigh_flush_dev(&core->arp, dev, false);
	rcu_set_pointer(&dev->in_dev, NULL);
	neigh_parms_free(&core->arp, in->arp_parms);
	call_rcu(&in->rcu, in_dev_free_rcu);
}

/* ---- events ---- */

static void announce_addrs(struct in_dev *in)
{
	struct in_ifaddr *ifa;

	if (!ip4_conf(in->dev, IPV4_DEVCONF_ARP_NOTIFY))
		return;
	cds_list_for_each_entry (ifa, &in->addrs, link)
		arp_announce(in->dev, ifa->local);
}

static void dev_up(struct in_dev *in)
{
	struct in_ifaddr *ifa;

	if (in->dev->flags & IFF_LOOPBACK)
		ip4_addr_autoconf_lo(in->dev);
	igmp_dev_up(in);
	announce_addrs(in);
	cds_list_for_each_entry (ifa, &in->addrs, link)
		ip4_ifroute_add(ifa);
	if (fib_sync_up(in->dev, RTNH_F_DEAD))
		route4_digest_dev(in->dev->net, in->dev);
}

static void dev_down(struct ip4_core *core, struct in_dev *in)
{
	igmp_dev_down(in);
	routes_down(in->dev, false);
	neigh_flush_dev(&core->arp, in->dev, false);
}

static void dev_carrier(struct ip4_core *core, struct in_dev *in)
{
	struct netdev *dev = in->dev;
	bool changed;

	if (dev->carrier) {
		changed = fib_sync_up(dev, RTNH_F_LINKDOWN);
	} else {
		changed = fib_sync_down_dev(dev, EVENT_DEV_CARRIER, false);
		if (ip4_conf(dev, IPV4_DEVCONF_ARP_EVICT_NOCARRIER))
			neigh_flush_dev(&core->arp, dev, true);
	}
	if (changed && ip4_conf(dev, IPV4_DEVCONF_IGNORE_ROUTES_WITH_LINKDOWN))
		route4_digest_dev(dev->net, dev);
}

/* Labels follow the device's name: the first is the name, others keep what follows their colon. */
static void dev_name(struct in_dev *in)
{
	struct in_ifaddr *ifa;
	unsigned n = 0;

	cds_list_for_each_entry (ifa, &in->addrs, link) {
		const char *colon = strchr(ifa->label, ':');
		char tail[IFNAMSIZ];
		size_t len, keep;
		n++;
		if (colon)
			snprintf(tail, sizeof(tail), "%s", colon);
		else
			snprintf(tail, sizeof(tail), ":%u", n);
		memcpy(ifa->label, in->dev->name, IFNAMSIZ);
		if (n == 1)
			continue;
		len = strlen(tail);
		keep = MIN(strlen(ifa->label), IFNAMSIZ - 1 - len);
		memcpy(ifa->label + keep, tail, len + 1);
	}
}

static void dev_mtu(struct netdev *dev)
{
	if (dev->mtu < MIN_MTU && dev->in_dev)
		in_dev_destroy(dev->in_dev);
	else if (dev->mtu >= MIN_MTU && !dev->in_dev)
		in_dev_new(dev);
}

void ip4_dev_event(struct ip4_core *core, const struct event *e)
{
	struct in_dev *in = e->dev->in_dev;

	if (e->type == EVENT_DEV_NEW && !in)
		in_dev_new(e->dev);
	else if (e->type == EVENT_DEV_MTU)
		dev_mtu(e->dev);
	if (!in)
		return;
	switch (e->type) {
	case EVENT_DEV_DEL:
		in_dev_destroy(in);
		break;
	case EVENT_DEV_UP:
		dev_up(in);
		break;
	case EVENT_DEV_DOWN:
		dev_down(core, in);
		break;
	case EVENT_DEV_CARRIER:
		dev_carrier(core, in);
		break;
	case EVENT_DEV_ADDR:
		neigh_dev_addr(&core->arp, e->dev);
		announce_addrs(in);
		break;
	case EVENT_DEV_NAME:
		dev_name(in);
		break;
	default:
		break;
	}
}
