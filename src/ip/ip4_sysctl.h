/*
 * ip4_sysctl: the tables of /proc/sys/net/ipv4, one a file: the namespace's own settings
 * (ip4_sysctl.c), those of a device (ip4_sysctl_conf.c), those of neighbour tables
 * (ip4_sysctl_neigh.c). Control thread.
 */
#pragma once

#include "ip/ip4_core.h"

extern const struct sysctl_row ip4_sysctl_conf[], ip4_sysctl_neigh[];

/* Tells listeners of RTM_NEWNETCONF; dev NULL: "all" or "default". attr: NETCONFA_*. */
void ip4_netconf_notify(struct net *net, struct netdev *dev, bool is_default, int attr);
