/*
 * ip4: the IPv4 of an instance and of a namespace comes to life and ends here.
 */
#include "ip/ip4_core.h"

struct ip4_hooks *ip4_hooks(struct weft *weft)
{
	return &weft->ip4->hooks;
}

struct neigh_table *arp_table(struct weft *weft)
{
	return &weft->ip4->arp;
}

/* ---- events ---- */

/* An entry ends: next hops that remember it must forget it. */
static void forget_neigh(struct ip4_core *core, struct neigh *n)
{
	struct cds_list_head *at;
	struct fib_info *fi;

	/* The table itself counts one. */
	if (n->table != &core->arp || n->refs < 2 || !n->dev->in_dev)
		return;
	list_for_each_line (fi, at, &n->dev->in_dev->fibs, link)
		if (fi->nh.neigh == n)
			fib_info_set_neigh(fi, NULL);
}

static void ip4_event(void *arg, const struct event *e)
{
	struct ip4_core *core = arg;

	switch (e->type) {
	case EVENT_DEV_NEW:
	case EVENT_DEV_DEL:
	case EVENT_DEV_UP:
	case EVENT_DEV_DOWN:
	case EVENT_DEV_CARRIER:
	case EVENT_DEV_MTU:
	case EVENT_DEV_ADDR:
	case EVENT_DEV_NAME:
		/* While a namespace is made or ends, its devices speak no IPv4. */
		if (!e->net->ip4)
			break;
		ip4_dev_event(core, e);
		e->net->ip4->routes->dev_gen++;
		break;
	case EVENT_NETCONF:
		if (e->net->ip4)
			e->net->ip4->routes->dev_gen++;
		break;
	case EVENT_NEIGH_DEL:
		forget_neigh(core, e->obj);
		break;
	default:
		break;
	}
}

/* ---- the instance ---- */

int ip4_init(struct weft *weft)
{
	struct ip4_core *core = calloc(1, sizeof(*core));
	int err;

	if (!core)
		return -ENOMEM;
	core->weft = weft;
	core->events = weft->events;
	timer_init(&core->lifetime, ip4_lifetime_run);
	core->error_cost = 250;
	core->error_burst = 5 * 250;
	core->redirect_load = 5;
	core->redirect_number = 9;
	core->redirect_silence = 5 << 10;
	weft->ip4 = core;
	err = fib_infos_init(core);
	if (err)
		goto free_core;
	err = arp_init(core);
	if (err)
		goto fini_fibs;
	err = icmp4_init(core);
	if (err)
		goto fini_arp;
	err = igmp_init(core);
	if (err)
		goto fini_icmp;
	err = ip4_sysctl_init(weft);
	if (err)
		goto fini_icmp;
	event_subscribe(core->events, &core->sub, ip4_event, core);
	return 0;

fini_icmp:
	icmp4_fini(core);
fini_arp:
	arp_fini(core);
fini_fibs:
	fib_infos_fini(core);
free_core:
	free(core);
	weft->ip4 = NULL;
	return err;
}

void ip4_fini(struct weft *weft)
{
	struct ip4_core *core = weft->ip4;

	if (!core)
		return;
	event_unsubscribe(&core->sub);
	timer_del(&core->lifetime);
	icmp4_fini(core);
	arp_fini(core);
	fib_infos_fini(core);
	free(core);
	weft->ip4 = NULL;
}

/* ---- a namespace ---- */

/* A new namespace starts with what conf/all and conf/default of the first one are now, as Linux
 * has it for IPv4. */
static void set_conf(struct net *net, struct ip4_net *n)
{
	const struct net *first = net->weft->nets->first;

	ip4_conf_init(n);
	if (!first || first == net || !first->ip4)
		return;
	n->conf_all = first->ip4->conf_all;
	n->conf_default = first->ip4->conf_default;
	n->ip_forward = n->conf_all.v[IPV4_DEVCONF_FORWARDING - 1];
}

static void set_defaults(struct ip4_net *n)
{
	n->default_ttl = 64;
	n->ip_early_demux = 1;
	n->fwd_update_priority = 1;
	n->icmp_echo_ignore_broadcasts = 1;
	n->icmp_ignore_bogus_error_responses = 1;
	n->icmp_ratelimit = 1000;
	n->icmp_ratemask =
		0x1818; /* unreachable, source quench, time exceeded, parameter problem */
	n->icmp_msgs_per_sec = 1000;
	n->icmp_msgs_burst = 50;
	n->ping_group_range[0] = 1; /* an empty range: no group */
	n->ping_group_range[1] = 0;
	n->local_port_range[0] = 32768;
	n->local_port_range[1] = 60999;
	n->unprivileged_port_start = 1024;
	n->frag_high_thresh = 4 << 20;
	n->frag_low_thresh = 3 << 20;
	n->frag_max_dist = 64;
	n->frag_time = 30 * NSEC_PER_SEC;
	n->min_pmtu = 552;
	n->min_adv_mss = 256;
	n->mtu_expires = 600 * NSEC_PER_SEC;
	n->igmp_max_memberships = 20;
	n->igmp_max_msf = 10;
	n->igmp_qrv = 2;
	n->igmp_link_local_mcast_reports = 1;
}

static int net_alloc(struct ip4_net *n, struct weft *weft)
{
	size_t size = weft->n_workers * sizeof(*n->mib);

	n->mib = aligned_alloc(CACHE_LINE, size);
	if (!n->mib)
		return -ENOMEM;
	memset(n->mib, 0, size);
	n->addr_hash = cds_lfht_new(8, 8, 0, CDS_LFHT_AUTO_RESIZE, NULL);
	return n->addr_hash ? 0 : -ENOMEM;
}

static void net_free(struct net *net)
{
	struct ip4_net *n = net->ip4;

	if (n->addr_hash)
		rcu_hash_free(n->addr_hash);
	free(n->mib);
	free(n->reserved_ports);
	free(n);
	net->ip4 = NULL;
}

int ip4_net_init(struct net *net)
{
	struct ip4_core *core = ip4_core(net);
	struct ip4_net *n = calloc(1, sizeof(*n));
	struct netdev *dev;
	int err;

	if (!n)
		return -ENOMEM;
	n->net = net;
	net->ip4 = n;
	set_conf(net, n);
	set_defaults(n);
	err = net_alloc(n, net->weft);
	if (err)
		goto free_net;
	err = route4_net_init(net);
	if (err)
		goto free_net;
	err = ip4_frag_net_init(net);
	if (err)
		goto fini_routes;
	n->arp_default = neigh_parms_new(&core->arp, net, NULL);
	if (!n->arp_default) {
		err = -ENOMEM;
		goto fini_frags;
	}
	n->arp_default_was = *n->arp_default;
	cds_list_for_each_entry (dev, &net->devs, net_link)
		if (!dev->in_dev)
			in_dev_new(dev);
	return 0;

fini_frags:
	ip4_frag_net_fini(net);
fini_routes:
	route4_net_fini(net);
free_net:
	net_free(net);
	return err;
}

void ip4_net_fini(struct net *net)
{
	struct netdev *dev;

	if (!net->ip4)
		return;
	cds_list_for_each_entry (dev, &net->devs, net_link)
		if (dev->in_dev)
			in_dev_destroy(dev->in_dev);
	/* Workers may still be busy with a packet of a device that left. */
	if (net->weft->n_workers > 1)
		synchronize_rcu();
	neigh_parms_free(&ip4_core(net)->arp, net->ip4->arp_default);
	ip4_frag_net_fini(net);
	route4_net_fini(net);
	net_free(net);
}
