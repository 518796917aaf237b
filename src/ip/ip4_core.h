/*
 * ip4_core: what the files of src/ip share and nobody else sees.
 *
 * An instance has one struct ip4_core: the ARP table, the handlers of upper protocols, and the
 * table of all fib_infos. A namespace has one struct route4_tables.
 *
 * Two structures hold the routes. The *trie* (one a table, route4_trie.c) is the truth: every
 * prefix with all its routes, dead ones included; control changes it, and slow paths that look at
 * TOS, scope or an output device read it under RCU. The *fib4* (src/fib) is the fast path's digest:
 * for each prefix one value, that of the route which a packet without any such wish takes; prefixes
 * whose routes are all dead are not in it, so that the next shorter one is found. Tables local and
 * main share one fib4 (local wins at equal prefix), as they do in Linux while only the default
 * rules exist; table default stands behind it.
 *
 * A fib4 value is (fib_info id << 6) | prefix length. An id is an index into the RCU array
 * core->fibs; it is given to another fib_info only after a grace period.
 */
#pragma once

#include "fib/fib4.h"
#include "ip/ip4.h"
#include "run/instance.h"

/* ---- the instance's part ---- */

/* The unit of settings that Linux shows in raw ticks, here of 250 a second. */
#define IP4_JIFFY (4 * NSEC_PER_MSEC)

/* fib_infos by id; slot 0 is empty. Replaced whole when it grows. */
struct fib_array {
	uint32_t cap;
	struct fib_info *fi[];
};

struct ip4_core {
	struct weft *weft;
	struct neigh_table arp;
	struct ip4_hooks hooks;
	struct event_sub sub;
	struct event_chain *events;

	struct fib_array *fibs;	     /* RCU */
	uint32_t n_fibs;	     /* slots in use or idle, the empty one included */
	struct cds_lfht *fib_hash;   /* struct fib_info.node */
	struct fib_info *fib_idle;   /* control: ready for use again */
	struct fib_info *fib_lapsed; /* atomic stack: their grace period is over */
	uint32_t n_fib_live;	     /* fib_infos that routes refer to */

	struct ip4_proto igmp_proto, icmp_proto;
	struct ip4_path *path; /* ip4_path.h: what the packet path shares; icmp4_init makes it */
	struct timer lifetime; /* the next address to age */
	/* net/ipv4/route: ICMP errors about routes and redirects, in IP4_JIFFY */
	int error_cost, error_burst, redirect_load, redirect_number, redirect_silence;
};

/* ---- a namespace's routes ---- */

/* A node of a table's trie: a prefix with routes, or a fork. */
struct route4_node {
	struct route4_node *child[2]; /* RCU */
	struct cds_list_head routes;  /* struct route, by tos (largest first), priority; RCU */
	uint32_t prefix;	      /* host order */
	uint8_t len;
	struct rcu_head rcu;
};

struct route4_table {
	struct cds_list_head link; /* in route4_tables.tables, by id */
	uint32_t id;
	struct route4_node *root; /* RCU; the node 0/0, always there */
	size_t n_prefixes, n_routes;
	bool used; /* has held a route: from then on it is there, also when empty */
};

struct route4_tables {
	struct fib4 *fib;	  /* local and main */
	struct fib4 *fib_default; /* table 253 */
	uint32_t n_default;	  /* prefixes in fib_default: 0 saves a look-up */
	uint32_t n_tos;		  /* routes with a TOS: the digest does not know them */
	struct cds_list_head tables;
	struct route4_table *local, *main, *dflt; /* always there */
	uint32_t seq, pmtu_gen, dev_gen;
	struct pmtu_cache *pmtu;
};

/* ---- the fast path ---- */

/* Borrows; RCU. val is not 0. */
static inline struct fib_info *fib_info_by_id(const struct ip4_core *core, uint32_t val)
{
	return rcu_dereference(core->fibs)->fi[val >> 6];
}

static inline unsigned route4_val_len(uint32_t val)
{
	return val & 63;
}

/* Finds the routes of n destinations (host order); val 0: none. It is the caller's to look at
 * fib_info.type: a throw route (RTN_THROW) means "none" too. TOS is not looked at: while
 * tables->n_tos is not 0, packets with IPTOS_RT bits (0x1c) need route4_input(). */
static inline void route4_lookup_bulk(const struct net *net, const uint32_t *daddr_host_order,
				      uint32_t *val, unsigned n)
{
	const struct route4_tables *t = net->ip4->routes;
	fib4_lookup_bulk(t->fib, daddr_host_order, val, n);
	if (likely(!READ_ONCE(t->n_default)))
		return;
	for (unsigned i = 0; i < n; i++)
		if (!val[i])
			val[i] = fib4_lookup(t->fib_default, daddr_host_order[i]);
}

/* The neighbour of a next hop, for later packets: counts a reference (control). */
void fib_info_set_neigh(struct fib_info *fi, struct neigh *n);

/* Is saddr (be32) a possible source for what came in on `in`? 1: and it is a neighbour on the link,
 * 0: yes, -EINVAL: martian, -EXDEV: the reverse path is another (rp_filter). RCU. */
int route4_validate_source(struct net *net, uint32_t saddr, uint32_t daddr, uint8_t tos,
			   struct netdev *in);
/* The address to answer saddr from, who sent to all or to a group on dev's link (the kernel's
 * fib_compute_spec_dst). RCU. */
uint32_t ip4_answer_source(struct net *net, const struct netdev *dev, uint32_t saddr, uint8_t tos);
/* May a packet of this size class leave over res: path MTU, route MTU or device MTU. RCU. */
uint32_t route4_mtu(struct net *net, const struct fib_info *fi, uint32_t daddr, uint64_t now);

static inline struct ip4_core *ip4_core(const struct net *net)
{
	return net->weft->ip4;
}

static inline struct in_dev *in_dev_get(const struct netdev *dev)
{
	return rcu_dereference(((struct netdev *)dev)->in_dev);
}

static inline int conf_get(const struct ip4_conf *c, int devconf)
{
	return READ_ONCE(((struct ip4_conf *)c)->v[devconf - 1]);
}

/* ---- between the files of control: ip4.c calls these ---- */

/* arp.c: neigh_table_init(&core->arp, ...) with ARP's ops; its defaults for a new namespace's and a
 * device's parms come through neigh_parms_new. ip4.c itself flushes and refreshes the table on
 * device events. */
int arp_init(struct ip4_core *core);
void arp_fini(struct ip4_core *core);
/* Tells the link that dev has addr (be32): address added or device up, with arp_notify. */
void arp_announce(struct netdev *dev, uint32_t addr);
/* icmp4.c: fills core->hooks.proto[IPPROTO_ICMP]. */
int icmp4_init(struct ip4_core *core);
/* Frees core->path; no namespace is left. */
void icmp4_fini(struct ip4_core *core);
/* ip4_frag.c: net->ip4->frags, one a worker. */
int ip4_frag_net_init(struct net *net);
void ip4_frag_net_fini(struct net *net);

/* ip4_dev.c */
struct in_dev *in_dev_new(struct netdev *dev);
void in_dev_destroy(struct in_dev *in);
void ip4_dev_event(struct ip4_core *core, const struct event *e);
void ip4_conf_init(struct ip4_net *n);

/* ip4_addr.c */
/* Ages addresses: core->lifetime fires. */
void ip4_lifetime_run(struct timer *t, uint64_t now);
/* Puts the loopback address on a device that has none: lo going up. */
void ip4_addr_autoconf_lo(struct netdev *dev);
void ip4_addr_flush(struct in_dev *in);

/* ip4_ifroute.c: the routes that addresses bring and take along. */
void ip4_ifroute_add(struct in_ifaddr *ifa);
/* ifa is off the list already (or about to be); `iprim`: the primary it belonged to, or NULL. */
void ip4_ifroute_del(struct in_ifaddr *ifa, struct in_ifaddr *iprim);
/* The metric of a prefix route changed. */
void ip4_ifroute_metric(struct in_ifaddr *ifa, uint32_t metric);

/* ip4_sysctl.c */
int ip4_sysctl_init(struct weft *weft);

/* ip4_route.c */
int route4_net_init(struct net *net);
void route4_net_fini(struct net *net);
/* As route4_del, but a priority of 0 means 0, not any. */
int route4_del_metric(struct net *net, const struct route_config *cfg);
struct route4_table *route4_table_find(const struct net *net, uint32_t id);
/* Computes the digest's value of a prefix again. */
void route4_digest(struct net *net, struct route4_table *t, uint32_t prefix, unsigned len);
/* Computes the digest of every prefix whose fib_info's next hop is on dev again. */
void route4_digest_dev(struct net *net, const struct netdev *dev);
/* Removes every route whose fib_info is dead; `all`: all. Returns how many. */
unsigned route4_flush(struct net *net, bool all);
/* Removes routes with this preferred source. */
void route4_sync_down_addr(struct net *net, uint32_t local);
/* The type of an address by table local: RTN_UNICAST, RTN_LOCAL, RTN_BROADCAST, ... */
unsigned ip4_addr_type(struct net *net, uint32_t addr);

/* route4_trie.c */
struct route4_table *route4_table_new(uint32_t id);
void route4_table_free(struct route4_table *t);
/* The node of exactly this prefix; NULL. `make`: makes it; NULL then means out of memory. */
struct route4_node *route4_node_get(struct route4_table *t, uint32_t prefix, unsigned len,
				    bool make);
/* Takes a node without routes out. */
void route4_node_gone(struct route4_table *t, struct route4_node *n);
/* The first node with routes at or after (prefix, len) in order of prefix, then length. */
struct route4_node *route4_node_from(struct route4_table *t, uint32_t prefix, unsigned len);
/* Nodes with routes that cover addr, shortest first, into out[33]; returns how many. RCU. */
unsigned route4_node_cover(struct route4_table *t, uint32_t addr, struct route4_node **out);

/* fib_info.c */
int fib_infos_init(struct ip4_core *core);
void fib_infos_fini(struct ip4_core *core);
/* A checked and shared fib_info for cfg, one reference; NULL with *err and ext. */
struct fib_info *fib_info_create(struct net *net, const struct route_config *cfg, int *err,
				 struct extack *ext);
void fib_info_release(struct fib_info *fi);
/* Is fi what cfg (of a delete) describes? */
bool fib_info_matches(const struct fib_info *fi, const struct route_config *cfg);
/* dev goes down (`force`: or leaves) or loses carrier: marks next hops; number of dead fib_infos.
 */
unsigned fib_sync_down_dev(struct netdev *dev, enum event_type why, bool force);
/* dev came up, or its carrier did: clears `flags`; whether any changed. */
bool fib_sync_up(struct netdev *dev, uint32_t flags);
/* Can this route carry a packet now? RCU. */
bool fib_info_alive(const struct fib_info *fi, bool ignore_linkstate);
/* The error that a route of this type means (RTN_BLACKHOLE: -EINVAL); 0: it carries packets. */
int fib_type_error(unsigned type);
uint8_t fib_type_scope(unsigned type);

/* ip4_lookup.c */
/* Full look-up in one table by TOS, scope and oif; 0 or the route's error (-EAGAIN: throw). */
int route4_table_lookup(struct net *net, struct route4_table *t, const struct flow4 *fl,
			bool ignore_linkstate, const struct fib_info **fi, uint8_t *len);
/* The same over the default rules. */
int route4_full_lookup(struct net *net, const struct flow4 *fl, bool ignore_linkstate,
		       const struct fib_info **fi, uint8_t *len);

/* ip4_pmtu.c */
int pmtu_net_init(struct net *net);
void pmtu_net_fini(struct net *net);
void pmtu_flush(struct net *net);
/* How many paths' MTU are known. */
unsigned pmtu_count(const struct net *net);

/* igmp.c */
int igmp_init(struct ip4_core *core);
void igmp_dev_up(struct in_dev *in);
void igmp_dev_down(struct in_dev *in);
void igmp_dev_destroy(struct in_dev *in);
