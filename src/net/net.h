/*
 * net: a network namespace: its devices, its settings, and a slot for each protocol's own part.
 *
 * Reference counted: files, processes, sockets and devices in transit hold it; with the last
 * reference gone its devices are deleted and it is freed. Made and changed by control; workers read
 * it under RCU.
 *
 * Protocols hang their part on net->ip4, net->sock, ... in their net_init and take it off in
 * net_fini; weft.c calls these in written order, and in mirror order at the end.
 */
#pragma once

#include <urcu/list.h>

#include "dev/netdev.h"

struct weft;
struct ip4_net;
struct sock_net;
struct tcp_net;
struct nl_net;
struct sysctl_net;

struct nsid {
	struct cds_list_head link;	/* in the giver's nsids, by id */
	struct cds_list_head peer_link; /* in peer->named_by */
	struct net *net, *peer;
	int id;
};

struct net {
	struct weft *weft;
	struct dev_core *core;
	uint64_t ino;  /* identity shown to user space; unique in the instance's life */
	unsigned refs; /* control thread only */
	bool dying;
	struct netdev *loopback;

	struct cds_list_head devs; /* struct netdev.net_link, by ifindex */
	struct cds_lfht *by_index, *by_name;
	int last_ifindex;
	unsigned n_devs;
	uint32_t dev_seq;	   /* changes with every device change: consistent dumps */
	struct cds_list_head taps; /* of all devices; RCU */
	unsigned n_taps;

	struct cds_list_head nsids;    /* ids this namespace gave to others */
	struct cds_list_head named_by; /* ids others gave to this one */
	struct cds_list_head link;     /* in net_set.nets */
	struct cds_lfht_node ino_node;

	struct ip4_net *ip4;
	struct sock_net *sock;
	struct tcp_net *tcp;
	struct nl_net *nl;
	struct sysctl_net *sysctl;
	struct dev_reap reap;
};

struct net_module {
	const char *name;
	int (*init)(struct net *net); /* 0 or -errno */
	void (*fini)(struct net *net);
};

struct net_set {
	struct weft *weft;
	struct dev_core *core;
	struct cds_list_head nets;
	struct cds_lfht *by_ino;
	unsigned n;
	uint64_t last_ino;
	const struct net_module *modules; /* name NULL ends the table */
	struct net *first;
};

void net_set_init(struct net_set *s, struct weft *weft, struct dev_core *core,
		  const struct net_module *modules);
/* Ends every namespace; nothing may hold one any more. */
void net_set_fini(struct net_set *s);

/* A new namespace with a loopback device, one reference; NULL with *err = -errno. */
struct net *net_new(struct net_set *s, int *err);
struct net *net_get(struct net *net);
void net_put(struct net *net);				 /* NULL is fine */
struct net *net_by_ino(struct net_set *s, uint64_t ino); /* borrows; NULL */

/* Ids (RTM_NEWNSID): the id of `peer` as seen in `net`, NETNSA_NSID_NOT_ASSIGNED if it has none. */
int net_id_of(struct net *net, struct net *peer);
/* Gives one (id -1: first free): 0.., -EEXIST (peer has one), -ENOSPC (id taken), -ENOMEM. */
int net_id_alloc(struct net *net, struct net *peer, int id);
struct net *net_by_id(struct net *net, int id); /* borrows */

/* Look-ups; under RCU from workers, freely on control. Borrow. */
struct netdev *net_dev_by_index(const struct net *net, int ifindex);
struct netdev *net_dev_by_name(const struct net *net, const char *name); /* altnames too */

/* Emits an event about a device, address, ... of net on its chain. */
void net_event(struct net *net, enum event_type type, struct netdev *dev, void *obj, uint64_t arg);
