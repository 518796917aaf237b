/*
 * rtnl: rtnetlink: what `ip`, `bridge` and `tc` speak.
 *
 * One file a kind of object (rtnl_link*, rtnl_addr, rtnl_route, rtnl_neigh, rtnl_rule, ...), each
 * with its attribute tables, its handlers and the filling of its messages; rtnl.c gathers the
 * handler tables into the family, and turns the instance's events into notifications. A request's
 * port id and sequence number reach its notifications through the event chain's cause.
 *
 * A message that is not part of a dump is built in a buffer from rtnl_msg_new(), made for the bytes
 * its builder says it may need, and sent with rtnl_reply() or rtnl_notify(), which free it.
 *
 * Control thread.
 */
#pragma once

#include <linux/rtnetlink.h>

#include "ctl/nl.h"
#include "dev/kind.h"
#include "ip/ip4.h"
#include "run/instance.h"

/* Attributes of links and routes younger than the headers this builds with. */
enum {
	RTNL_LINK_GSO_IPV4_MAX_SIZE = 63,
	RTNL_LINK_GRO_IPV4_MAX_SIZE = 64,
	RTNL_LINK_DPLL_PIN = 65,
	RTNL_LINK_MAX_PACING_OFFLOAD_HORIZON = 66,
	RTNL_LINK_NETNS_IMMUTABLE = 67,
	RTNL_LINK_HEADROOM = 68,
	RTNL_LINK_TAILROOM = 69,
	RTNL_LINK_MAX = RTNL_LINK_TAILROOM,
	RTNL_ROUTE_FLOWLABEL = 31,
	RTNL_ROUTE_MAX = RTNL_ROUTE_FLOWLABEL,
};

/* Registers NETLINK_ROUTE and subscribes to events; after nl_init(). 0 or -errno. */
int rtnl_init(struct weft *weft);
void rtnl_fini(struct weft *weft);

extern const struct nl_handler rtnl_link_handlers[];
extern const struct nl_handler rtnl_linkprop_handlers[];
extern const struct nl_handler rtnl_stats_handlers[];
extern const struct nl_handler rtnl_addr_handlers[];
extern const struct nl_handler rtnl_route_handlers[];
extern const struct nl_handler rtnl_neigh_handlers[];
extern const struct nl_handler rtnl_neightbl_handlers[];
extern const struct nl_handler rtnl_fdb_handlers[];
extern const struct nl_handler rtnl_nexthop_handlers[];
extern const struct nl_handler rtnl_nsid_handlers[];
extern const struct nl_handler rtnl_netconf_handlers[];
extern const struct nl_handler rtnl_rule_handlers[];
extern const struct nl_handler rtnl_tc_handlers[];

/* ---- messages ---- */

/* A header with room for payload bytes behind it. NULL when out of memory. */
struct nlmsghdr *rtnl_msg_new(uint16_t type, uint16_t flags, uint32_t portid, uint32_t seq,
			      size_t payload);
/* Answers the requester; takes the message. */
int rtnl_reply(struct nl_req *r, struct nlmsghdr *nlh);
/* To a group and, when cause asked for echo, to the requester; takes. cause NULL: nobody asked. */
void rtnl_notify(struct net *net, unsigned group, const struct event_cause *cause,
		 struct nlmsghdr *nlh);

/* ---- requests ---- */

/* A fixed header that every message of a type starts with; NULL: too short (ext is set). */
const void *rtnl_header(struct nl_req *r, size_t len);
/* nl_parse() of what follows a header of len bytes. */
int rtnl_parse(struct nl_req *r, size_t header, const struct nlattr **tb, unsigned max,
	       const struct nla_policy *policy, unsigned n_policy, enum nl_strict strict);
/* The namespace that IFLA_TARGET_NETNSID and its like name. A reference; NULL with *err. */
struct net *rtnl_target_net(struct nl_req *r, const struct nlattr *nsid, int *err);
/* The namespace given by pid or descriptor. A reference; NULL with *err. */
struct net *rtnl_net_by(struct nl_req *r, const struct nlattr *pid, const struct nlattr *fd,
			int *err);

/* ---- links, for each other and for notifications ---- */

struct rtnl_link_new {
	uint32_t change;     /* ifi_change */
	uint32_t ext_mask;   /* RTEXT_FILTER_* */
	int target_nsid;     /* -1: none */
	struct net *new_net; /* where it moved; NULL */
	int new_ifindex;
};

/* Bytes a link's message may take. */
size_t rtnl_link_size(const struct netdev *dev);
/* net: for whom ids of namespaces are meant. */
void rtnl_link_fill(struct nlmsghdr *nlh, struct netdev *dev, struct net *net,
		    const struct rtnl_link_new *how);
void rtnl_link_notify(struct net *net, struct netdev *dev, uint16_t type,
		      const struct rtnl_link_new *how, const struct event_cause *cause);

extern const struct nla_policy rtnl_link_policy[];
extern const unsigned rtnl_link_n_policy;
/* The device a link request means: index, else name or altname. NULL with *err. */
struct netdev *rtnl_link_find(struct nl_req *r, struct net *net, const struct ifinfomsg *ifm,
			      const struct nlattr **tb, int *err);
/* At most one of the three ways to name a namespace. */
int rtnl_link_one_netns(struct nl_req *r, const struct nlattr **tb, bool id_only);
/* Where the device goes: a reference to the named or the request's own namespace. */
struct net *rtnl_link_dest_net(struct nl_req *r, const struct nlattr **tb, int *err);
int rtnl_link_newlink(struct nl_req *r);
int rtnl_link_setlink(struct nl_req *r);
int rtnl_link_dellink(struct nl_req *r);
/* Applies a request's settings to a device: IFLA_* and ifi_flags. */
int rtnl_link_apply(struct nl_req *r, struct netdev *dev, const struct ifinfomsg *ifm,
		    const struct nlattr **tb);
/* The checks before anything changes; dev NULL: of a device to be made. */
int rtnl_link_check(struct nl_req *r, const struct netdev *dev, const struct nlattr **tb);
/* IFLA_GSO_MAX_SIZE and its like, cut to what the device can. */
void rtnl_link_set_offload_sizes(struct netdev *dev, const struct nlattr **tb);
int rtnl_link_set_flags(struct nl_req *r, struct netdev *dev, const struct ifinfomsg *ifm);
/* 0, -EINVAL (length), -EADDRNOTAVAIL. */
int rtnl_link_address_ok(const struct nlattr *a, unsigned addr_len);
/* While devices are made by request: their first news waits until all of it is set. */
void rtnl_link_hold(struct weft *weft);
/* Tells of a held device, whose first flags may have been set; cause may be NULL. */
void rtnl_link_tell(struct weft *weft, struct netdev *dev, const struct event_cause *cause);
/* Ends the hold; tells of what was not told of. */
void rtnl_link_unhold(struct weft *weft);

/* Kinds' parameters (struct dev_param). */
int rtnl_kind_parse(struct nl_req *r, const struct dev_kind *kind, const struct nlattr *data,
		    void *params, uint64_t given[2], bool create);
void rtnl_kind_fill(struct nlmsghdr *nlh, const struct dev_kind *kind, const void *params);
size_t rtnl_kind_size(const struct dev_kind *kind);

/* ---- notifications of the other objects ---- */

void rtnl_addr_notify(struct net *net, const struct in_ifaddr *ifa, uint16_t type,
		      const struct event_cause *cause);
void rtnl_route_notify(struct net *net, const struct route *rt, uint16_t type, uint16_t flags,
		       const struct event_cause *cause);
void rtnl_neigh_notify(struct net *net, struct neigh *n, uint16_t type, uint16_t flags);
void rtnl_nsid_notify(struct net *net, int nsid, uint16_t type, const struct event_cause *cause);
void rtnl_netconf_notify(struct net *net, const struct netdev *dev, bool dflt, int what);
/* The device left: its settings are gone. */
void rtnl_netconf_gone(struct net *net, const struct netdev *dev);
