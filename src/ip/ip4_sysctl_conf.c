/*
 * ip4_sysctl_conf: /proc/sys/net/ipv4/conf/<dev>/ and ip_forward.
 *
 * A value stored for "default" reaches the devices whose user has not set it for themselves; one
 * stored for "all" is merged with each device's (ip4_conf()), save forwarding, which is a switch
 * for everything.
 */
#include <linux/netconf.h>

#include "ip/ip4_sysctl.h"

static struct ip4_conf *conf_of(struct net *net, struct netdev *dev, const char *which)
{
	if (dev)
		return dev->in_dev ? &dev->in_dev->conf : NULL;
	return !strcmp(which, "all") ? &net->ip4->conf_all : &net->ip4->conf_default;
}

void ip4_netconf_notify(struct net *net, struct netdev *dev, unsigned which, int attr)
{
	struct event e = {
		.type = EVENT_NETCONF,
		.net = net,
		.dev = dev,
		.arg = (uint64_t)attr,
		.arg2 = which,
	};

	event_emit(ip4_core(net)->events, &e);
}

/* The attribute of RTM_NEWNETCONF that tells of a setting; 0: none does. */
static int netconf_attr(int devconf)
{
	switch (devconf) {
	case IPV4_DEVCONF_FORWARDING:
		return NETCONFA_FORWARDING;
	case IPV4_DEVCONF_RP_FILTER:
		return NETCONFA_RP_FILTER;
	case IPV4_DEVCONF_MC_FORWARDING:
		return NETCONFA_MC_FORWARDING;
	case IPV4_DEVCONF_PROXY_ARP:
		return NETCONFA_PROXY_NEIGH;
	case IPV4_DEVCONF_IGNORE_ROUTES_WITH_LINKDOWN:
		return NETCONFA_IGNORE_ROUTES_WITH_LINKDOWN;
	case IPV4_DEVCONF_BC_FORWARDING:
		return NETCONFA_BC_FORWARDING;
	}
	return 0;
}

static void dev_changed(struct net *net, struct netdev *dev, int devconf)
{
	if (devconf == IPV4_DEVCONF_IGNORE_ROUTES_WITH_LINKDOWN)
		route4_digest_dev(net, dev);
}

static void copy_default(struct net *net, int devconf, int value)
{
	struct netdev *dev;

	cds_list_for_each_entry (dev, &net->devs, net_link) {
		struct in_dev *in = dev->in_dev;
		if (!in || (in->conf_set >> devconf & 1))
			continue;
		WRITE_ONCE(in->conf.v[devconf - 1], value);
		dev_changed(net, dev, devconf);
	}
}

/* Forwarding for all: the default, every device, and hosts listen to redirects, routers do not. */
static void forward_all(struct net *net, int on)
{
	struct ip4_net *n = net->ip4;
	struct netdev *dev;

	WRITE_ONCE(n->conf_all.v[IPV4_DEVCONF_FORWARDING - 1], on);
	WRITE_ONCE(n->conf_all.v[IPV4_DEVCONF_ACCEPT_REDIRECTS - 1], !on);
	WRITE_ONCE(n->ip_forward, on);
	bool changed = n->conf_default.v[IPV4_DEVCONF_FORWARDING - 1] != on;
	WRITE_ONCE(n->conf_default.v[IPV4_DEVCONF_FORWARDING - 1], on);
	ip4_netconf_notify(net, NULL, NETCONF_ALL, NETCONFA_FORWARDING);
	if (changed)
		ip4_netconf_notify(net, NULL, NETCONF_DEFAULT, NETCONFA_FORWARDING);
	cds_list_for_each_entry (dev, &net->devs, net_link) {
		if (!dev->in_dev)
			continue;
		WRITE_ONCE(dev->in_dev->conf.v[IPV4_DEVCONF_FORWARDING - 1], on);
		ip4_netconf_notify(net, dev, NETCONF_DEV, NETCONFA_FORWARDING);
	}
}

static void conf_changed(struct net *net, struct netdev *dev, const char *which, int devconf,
			 int64_t now)
{
	bool is_default = !dev && strcmp(which, "all");
	int attr = netconf_attr(devconf);

	if (devconf == IPV4_DEVCONF_FORWARDING && !dev && !is_default) {
		forward_all(net, (int)now);
		return;
	}
	if (dev && dev->in_dev) {
		dev->in_dev->conf_set |= 1ULL << devconf;
		dev_changed(net, dev, devconf);
	}
	/* The default of forwarding is for devices to come. */
	if (is_default && devconf != IPV4_DEVCONF_FORWARDING)
		copy_default(net, devconf, (int)now);
	if (attr)
		ip4_netconf_notify(net, dev, is_default ? NETCONF_DEFAULT : 0, attr);
}

#define CONF(NAME, file, mode)                                                                     \
	static void *where_##NAME(struct net *net, struct netdev *dev, const char *which)          \
	{                                                                                          \
		struct ip4_conf *c = conf_of(net, dev, which);                                     \
		return c ? &c->v[IPV4_DEVCONF_##NAME - 1] : NULL;                                  \
	}                                                                                          \
	static void changed_##NAME(struct net *net, struct netdev *dev, const char *which,         \
				   int64_t old, int64_t now)                                       \
	{                                                                                          \
		conf_changed(net, dev, which, IPV4_DEVCONF_##NAME, now);                           \
	}
#include "ip/ip4_conf.def"
#undef CONF

static void *where_ip_forward(struct net *net, struct netdev *dev, const char *which)
{
	return &net->ip4->conf_all.v[IPV4_DEVCONF_FORWARDING - 1];
}

static void changed_ip_forward(struct net *net, struct netdev *dev, const char *which, int64_t old,
			       int64_t now)
{
	forward_all(net, (int)now);
}

const struct sysctl_row ip4_sysctl_conf[] = {
	{"net/ipv4/ip_forward", SYSCTL_INT, 0644, INT32_MIN, INT32_MAX, where_ip_forward,
	 changed_ip_forward},
#define CONF(NAME, file, mode)                                                                     \
	{"net/ipv4/conf/%s/" file,                                                                 \
	 SYSCTL_INT,                                                                               \
	 mode,                                                                                     \
	 INT32_MIN,                                                                                \
	 INT32_MAX,                                                                                \
	 where_##NAME,                                                                             \
	 changed_##NAME},
#include "ip/ip4_conf.def"
#undef CONF
	{0},
};
