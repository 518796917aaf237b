/*
 * ip4_sysctl: the tables of /proc/sys/net/ipv4, one a file: the namespace's own settings
 * (ip4_sysctl.c, ip4_sysctl_ports.c), those of a device (ip4_sysctl_conf.c), of neighbour tables
 * (ip4_sysctl_neigh.c), of routes (ip4_sysctl_route.c). Control thread.
 */
#pragma once

#include "ip/ip4_core.h"

extern const struct sysctl_row ip4_sysctl_conf[], ip4_sysctl_neigh[], ip4_sysctl_ports[],
	ip4_sysctl_route[];

/* Tells listeners of RTM_NEWNETCONF (EVENT_NETCONF). attr: NETCONFA_*, or NETCONFA_ALL for a device
 * that got or lost its settings. which is the event's arg2. */
#define NETCONF_ALL	0 /* dev NULL: settings of "all" */
#define NETCONF_DEFAULT 1 /* dev NULL: those of "default" */
#define NETCONF_DEV	0 /* dev's */
void ip4_netconf_notify(struct net *net, struct netdev *dev, unsigned which, int attr);
