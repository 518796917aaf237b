/*
 * event: how modules of equal rank hear of each other.
 *
 * One chain an instance; weft.c subscribes every module in written order. An event names a thing
 * and what happened to it; subscribers run at once, on the control thread, and may not fail (the
 * few that may veto have their own calls). Objects named in an event live until the last subscriber
 * has returned.
 */
#pragma once

#include <urcu/list.h>

#include "base/util.h"

struct net;
struct netdev;

enum event_type {
	EVENT_DEV_NEW,	/* registered, in its namespace */
	EVENT_DEV_DEL,	/* going: addresses, routes, neighbours of it must go; still registered */
	EVENT_DEV_GONE, /* left its namespace (`net` is the one it left); unregistered or moving */
	EVENT_DEV_UP,	/* IFF_UP set */
	EVENT_DEV_GOING_DOWN,
	EVENT_DEV_DOWN,
	EVENT_DEV_CARRIER, /* carrier or operstate changed */
	EVENT_DEV_MTU,
	EVENT_DEV_ADDR, /* link address changed */
	EVENT_DEV_NAME,
	EVENT_DEV_CHANGE, /* anything else that `ip link` shows; arg1: IFF_* bits that changed */
	EVENT_ADDR_NEW,	  /* obj: struct in_ifaddr */
	EVENT_ADDR_DEL,
	EVENT_ROUTE_NEW, /* obj: struct route; arg: NLM_F_* flags that made it */
	EVENT_ROUTE_DEL,
	EVENT_NEIGH,	 /* obj: struct neigh; its state changed (NUD_FAILED or deleted included) */
	EVENT_NEIGH_DEL, /* obj: struct neigh */
	EVENT_NEIGH_PROBE, /* obj: struct neigh; user space is asked to resolve (app_probes) */
	EVENT_NETCONF,	   /* arg: NETCONFA_* that changed; dev NULL: arg2 0 all, 1 default */
	EVENT_NET_NEW,
	EVENT_NET_DEL, /* all its devices are gone */
	EVENT_NSID,    /* arg: nsid, arg2: 1 new, 0 gone */
};

/* Who asked, so that netlink can echo it: port id and sequence number; zeroes otherwise. */
struct event_cause {
	uint32_t portid, seq;
	bool echo;
};

struct event {
	enum event_type type;
	struct net *net;
	struct netdev *dev;
	void *obj;
	uint64_t arg, arg2;
};

typedef void event_fn(void *arg, const struct event *e);

struct event_sub {
	struct cds_list_head link;
	event_fn *fn;
	void *arg;
};

struct event_chain {
	struct cds_list_head subs;
	struct event_cause cause; /* of the request being served now */
};

void event_chain_init(struct event_chain *c);
void event_subscribe(struct event_chain *c, struct event_sub *s, event_fn *fn, void *arg);
void event_unsubscribe(struct event_sub *s);
void event_emit(struct event_chain *c, const struct event *e);
