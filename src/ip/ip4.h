/*
 * ip4: the IPv4 of a namespace: addresses, settings, input, output.
 *
 * Files of src/ip: ip4_dev (addresses and per-device settings), ip4_route (tables, next hops, route
 * get), ip4_input, ip4_forward, ip4_output, ip4_frag (fragment and reassemble), ip4_options, icmp4,
 * arp, igmp. All addresses in these headers are be32 (as on the wire) unless they say "host order".
 *
 * Threads: addresses and routes change on control; input, forward and output run on any worker.
 */
#pragma once

#include <linux/in.h>
#include <linux/ip.h>
#include <linux/rtnetlink.h>

#include "net/neigh.h"
#include "net/net.h"
#include "net/sysctl.h"

struct in_dev;
struct ip4_net;
struct route4_tables;
struct weft;

/* One address of a device; kernel's struct in_ifaddr. Shown by RTM_GETADDR. */
struct in_ifaddr {
	struct cds_list_head link; /* in in_dev->addrs, primaries before their secondaries; RCU */
	struct cds_lfht_node node; /* in ip4_net->addr_hash by local */
	struct in_dev *in_dev;
	uint32_t local, address /* peer on point-to-point */, broadcast, mask; /* be32 */
	uint8_t prefixlen, scope, proto;
	uint32_t flags;	 /* IFA_F_* */
	uint32_t metric; /* IFA_RT_PRIORITY */
	char label[IFNAMSIZ];
	uint32_t valid_lft, preferred_lft; /* s; 0xffffffff for ever */
	uint64_t created, updated;	   /* ns */
	struct rcu_head rcu;
};

/* /proc/sys/net/ipv4/conf: index as IPV4_DEVCONF_* of linux/ip.h (1-based: conf[i - 1]). */
struct ip4_conf {
	int v[IPV4_DEVCONF_MAX];
};

struct in_dev {
	struct netdev *dev;
	struct cds_list_head addrs; /* struct in_ifaddr; RCU */
	unsigned n_addrs;
	struct ip4_conf conf;
	uint64_t conf_set; /* bit i: the user set conf.v[i] himself */
	struct neigh_parms *arp_parms;
	struct cds_list_head mc;   /* groups joined: igmp.c; RCU */
	struct igmp_dev *igmp;	   /* control: igmp.c's timers and querier state */
	struct cds_list_head fibs; /* control: fib_infos whose next hop is on dev */
	bool dead;
	struct rcu_head rcu;
};

/* MIB counters, per worker: names of /proc/net/snmp and netstat. */
enum ip4_mib {
#define MIB(group, name) MIB_##group##_##name,
#include "ip/mib.def"
#undef MIB
	N_MIBS
};

struct ip4_mibs {
	uint64_t v[N_MIBS];
	uint64_t icmp_in[256], icmp_out[256]; /* IcmpMsg: by ICMP type */
} __attribute__((aligned(CACHE_LINE)));

#define IP4_ADDR_FILTER 1024

static inline unsigned ip4_addr_slot(uint32_t addr)
{
	return (addr * 0x9e3779b1u) >> 22;
}

struct ip4_net {
	struct net *net;
	struct ip4_conf conf_all, conf_default;
	struct cds_lfht *addr_hash;
	/* How many local addresses fall into each slot (255: many, for good): 0 saves the input
	 * path the look-up of a source. */
	uint8_t addr_filter[IP4_ADDR_FILTER];
	struct route4_tables *routes;
	struct ip4_mibs *mib;	 /* [worker] */
	struct ip4_frags *frags; /* [worker] */
	/* settings: one word each */
	int ip_forward, default_ttl, no_pmtu_disc, fwd_use_pmtu, nonlocal_bind, autobind_reuse;
	int ip_early_demux, fwd_update_priority;
	int icmp_echo_ignore_all, icmp_echo_ignore_broadcasts, icmp_echo_enable_probe;
	int icmp_ignore_bogus_error_responses, icmp_errors_use_inbound_ifaddr;
	int icmp_ratelimit /* ms */, icmp_ratemask, icmp_msgs_per_sec, icmp_msgs_burst;
	uint64_t icmp_stamp; /* control: icmp4.c's bucket of messages, when it was last filled */
	uint32_t icmp_credit;
	int ping_group_range[2];
	uint64_t *reserved_ports; /* control: a bitmap of ports not given by themselves, or NULL */
	int local_port_range[2], unprivileged_port_start;
	int frag_high_thresh, frag_low_thresh, frag_max_dist;
	uint64_t frag_time;
	int min_pmtu;
	uint64_t mtu_expires;
	int min_adv_mss;
	struct neigh_parms *arp_default;    /* control: net/ipv4/neigh/default */
	struct neigh_parms arp_default_was; /* control: before the last change */
	int igmp_max_memberships, igmp_max_msf, igmp_qrv, igmp_link_local_mcast_reports;
};

static inline uint64_t *ip4_mib(struct net *net, const struct worker *w)
{
	return net->ip4->mib[w->id].v;
}

/* Names and sums over all workers, for /proc/net: mib.c. */
struct ip4_mib_name {
	const char *group, *name;
};
extern const struct ip4_mib_name ip4_mib_names[N_MIBS];
uint64_t ip4_mib_sum(const struct net *net, enum ip4_mib m);
uint64_t ip4_icmpmsg_sum(const struct net *net, uint8_t type, bool out);

static inline bool ip4_is_multicast(uint32_t be)
{
	return (be & __builtin_bswap32(0xf0000000)) == __builtin_bswap32(0xe0000000);
}

static inline bool ip4_is_loopback(uint32_t be)
{
	return (be & __builtin_bswap32(0xff000000)) == __builtin_bswap32(0x7f000000);
}

/* ---- life ---- */
int ip4_init(struct weft *weft); /* tables of the instance: arp, handlers, sysctls, events */
void ip4_fini(struct weft *weft);
int ip4_net_init(struct net *net);
void ip4_net_fini(struct net *net);

/* ---- addresses: control ---- */

/* Adds (ifa is copied; the fields local, address, prefixlen, broadcast (0: none), scope, flags,
 * label, lifetimes and metric count). 0, -EEXIST, -EINVAL, -ENOBUFS. `replace`: NLM_F_REPLACE. */
int ip4_addr_add(struct netdev *dev, const struct in_ifaddr *ifa, bool replace, bool excl,
		 struct extack *ext);
/* Removes the address that matches local (and address/prefixlen and label where given). */
int ip4_addr_del(struct netdev *dev, const uint32_t *local, const uint32_t *address, int prefixlen,
		 const char *label);
/* The device that has this local address; NULL. Workers, RCU. */
struct netdev *ip4_addr_dev(struct net *net, uint32_t addr);
/* The source address for a destination reached over dev (RFC 1122 with Linux's scopes). 0: none. */
uint32_t ip4_select_source(struct net *net, const struct netdev *dev, uint32_t dst, unsigned scope);
/* The device's settings merged with "all" as the kernel merges them (or/and/max as each needs). */
int ip4_conf(const struct netdev *dev, int devconf);
/* A user of the group comes, who wants all sources but some (mode MCAST_EXCLUDE) or some alone
 * (MCAST_INCLUDE); which, ip4_igmp_filter() tells. */
int ip4_igmp_join(struct netdev *dev, uint32_t group, unsigned mode);
/* A user leaves, who had this mode and these n sources. */
int ip4_igmp_leave(struct netdev *dev, uint32_t group, unsigned mode, unsigned n,
		   const uint32_t *srcs);
/* A user's sources are added or deleted; whole: and the user's mode with them. 0, -ENOBUFS, or, for
 * what is not there, -ESRCH and -EINVAL. */
int ip4_igmp_filter(struct netdev *dev, uint32_t group, bool add, unsigned mode, unsigned n,
		    const uint32_t *srcs, bool whole);
bool ip4_igmp_member(const struct netdev *dev, uint32_t group);
/* Does anyone on this device want what src sends to the group? RCU. */
bool ip4_igmp_wants(const struct netdev *dev, uint32_t group, uint32_t src, uint8_t proto);
/* The groups of a device, for /proc/net/igmp: calls fn until it returns non-zero. timer: ns until
 * the next report. */
int ip4_igmp_walk(const struct netdev *dev,
		  int (*fn)(void *arg, uint32_t group, unsigned users, uint64_t timer,
			    bool reporter),
		  void *arg);
/* The sources of all groups, for /proc/net/mcfilter. */
void ip4_igmp_walk_sources(const struct netdev *dev,
			   void (*fn)(void *arg, uint32_t group, uint32_t src, unsigned n_include,
				      unsigned n_exclude),
			   void *arg);
unsigned ip4_igmp_version(const struct netdev *dev); /* 1 to 3: what it speaks now */

/* Datagrams that wait for fragments, and the memory they take; for /proc/net/sockstat. */
void ip4_frag_use(const struct net *net, unsigned *n, uint64_t *mem);

/* ---- routes: ip4_route.c ---- */

struct ip4_nexthop {
	struct netdev *dev;  /* NULL for blackhole and its like */
	struct neigh *neigh; /* of the gateway: set when first resolved; RCU */
	uint32_t gateway;    /* be32; 0: on link */
	uint8_t scope, flags /* RTNH_F_* */;
	uint8_t weight;
	uint16_t encap_type;
};

/* What all routes with equal treatment share; immutable but for nh.flags and nh.neigh. */
struct fib_info {
	/* line 0: what a packet on its way looks at */
	struct ip4_nexthop nh;
	uint8_t type; /* RTN_* */
	uint8_t scope, protocol;
	bool dead;
	uint32_t metrics[RTAX_MAX + 1]; /* 0: not set */

	uint32_t priority, prefsrc, tb_id, flags;
	uint32_t flow;		   /* RTA_FLOW: realms, from << 16 | to */
	struct cds_list_head link; /* by device */
	uint32_t id;		   /* value in the FIB: index into the instance's table */
	unsigned refs;		   /* control */
	struct net *net;
	struct cds_lfht_node node; /* by content: equal ones are shared */
	struct fib_info *next;	   /* while idle */
	struct rcu_head rcu;
} __attribute__((aligned(CACHE_LINE)));

static_assert(offsetof(struct fib_info, metrics) + 4 * RTAX_MTU < CACHE_LINE,
	      "a packet meets one line of its route");

/* One route as the user gave it; what dumps and events show. */
struct route {
	struct cds_list_head link; /* routes of one prefix, by tos, priority */
	struct fib_info *fi;
	uint32_t table;
	uint32_t dst; /* be32 */
	uint8_t dst_len, tos, type;
	struct rcu_head rcu;
};

struct route_config {
	uint32_t table, dst, gateway, prefsrc, priority, flow; /* be32 where addresses */
	uint8_t dst_len, tos, protocol, scope, type;
	uint8_t nh_flags; /* RTNH_F_ONLINK, ... */
	bool has_gateway, has_priority, has_oif;
	int oif;
	uint32_t metrics[RTAX_MAX + 1];
	uint32_t flags;	   /* RTM_F_* / RTNH_F_* */
	uint16_t nl_flags; /* NLM_F_CREATE, _EXCL, _REPLACE, _APPEND */
};

int route4_add(struct net *net, const struct route_config *cfg, struct extack *ext);
int route4_del(struct net *net, const struct route_config *cfg, struct extack *ext);
/* Calls fn for each route of a table (0: all tables), by table, prefix, length; stops when fn
 * returns non-zero, and returns that. *cookie lets a dump go on where it stopped (zeroed at first).
 */
struct route4_cookie {
	uint32_t table;
	uint32_t dst; /* host order */
	unsigned len, skip;
	bool started;
};
int route4_walk(struct net *net, uint32_t table, struct route4_cookie *c,
		int (*fn)(const struct route *r, void *arg), void *arg);
uint32_t route4_seq(const struct net *net); /* changes with every change: DUMP_INTR */
/* Changes with every change, and with all news about the MTU of a path. */
uint32_t route4_gen(const struct net *net);
/* rt_cache-less statistics for /proc/net/route and fib_trie: number of prefixes. */
size_t route4_count(const struct net *net, uint32_t table);
/* Is there such a table? One comes with its first route, and stays when the last one goes. */
bool route4_table_there(const struct net *net, uint32_t table);

struct flow4 {
	uint32_t daddr, saddr; /* be32 */
	int oif, iif;
	uint32_t mark;
	uint8_t tos, proto, scope;
	uint8_t flags;	       /* FLOW4_* */
	uint16_t sport, dport; /* be16 */
};
#define FLOW4_ANYSRC 1 /* source need not be local */

struct route_result {
	const struct fib_info *fi; /* RCU; NULL when err */
	struct netdev *dev;
	uint32_t saddr;	  /* chosen source, be32 */
	uint32_t gateway; /* be32; the address to resolve */
	uint32_t mtu;
	uint32_t table;
	uint8_t type; /* RTN_* (RTN_BROADCAST, RTN_MULTICAST worked out) */
	uint8_t prefixlen;
	int err; /* -ENETUNREACH, -EHOSTUNREACH, -EACCES, -EINVAL, ... */
};

/* The route of a packet that starts here. Returns res->err. Worker or control, RCU. */
int route4_output(struct net *net, const struct flow4 *fl, struct route_result *res);
/* The same for who asks for one flow again and again: the answer is kept until something changes,
 * for a millisecond at most. Zeroed at first. 0 with c->res, or -errno. Control. */
struct route_cache {
	struct flow4 fl;
	struct route_result res;
	uint32_t gen;
	uint64_t until; /* ns; 0: none */
};
int route4_output_again(struct net *net, const struct flow4 *fl, struct route_cache *c,
			uint64_t now);
/* The route of a packet that came in on iif (route get ... iif; slow twin of ip4_input). */
int route4_input(struct net *net, const struct flow4 *fl, struct netdev *in,
		 struct route_result *res);
/* Path MTU news from ICMP and its use. */
/* What an ICMP error about a packet (inner) that its sender knows of says about the path. Called by
 * those who sent it, so that nobody learns from made-up errors about packets that never were. */
struct ip4_hdr;
void route4_pmtu_error(struct worker *w, struct net *net, const struct ip4_hdr *inner, uint8_t type,
		       uint8_t code, uint32_t info);
void route4_update_pmtu(struct net *net, uint32_t daddr, uint32_t mtu, uint64_t now);
/* 0: none known; *expires is when it is forgotten. */
uint32_t route4_pmtu(struct net *net, uint32_t daddr, uint64_t now, uint64_t *expires);
struct route4_pmtu {
	const struct fib_info *fi; /* the route it holds on */
	uint32_t daddr, mtu;
	uint64_t expires;
};
/* Calls fn for what is known of paths, from *at on (0 at first), until it returns non-zero, and
 * returns that; *at is then the one it was called for. Control. */
int route4_pmtu_walk(struct net *net, unsigned *at, uint64_t now,
		     int (*fn)(const struct route4_pmtu *m, void *arg), void *arg);

/* ---- packets ---- */

/* From netdev_deliver: frames with ethertype 0x0800, l3 set, data at l3. Takes. */
void ip4_input(struct worker *w, struct netdev *dev, struct batch *b);
void arp_input(struct worker *w, struct netdev *dev, struct batch *b);

struct ip4_tx {
	struct net *net;
	uint32_t saddr, daddr; /* be32 */
	uint8_t proto, tos, ttl;
	bool df; /* set DF and refuse what is too big (-EMSGSIZE) */
	bool dontroute;
	const uint8_t *options; /* IPv4 options to put in, padded to 4; opt_len bytes */
	uint8_t opt_len;
	uint32_t mark, prio;
	int multicast_if;
	uint8_t multicast_ttl;
	bool multicast_loop;
	const struct route_result *route;
};

/* Puts an IPv4 header on p (data starts at the L4 header), routes by tx->route, fragments,
 * resolves, sends. Takes. 0 or -errno (EMSGSIZE, ENOBUFS, EINVAL, ...). Any worker. */
int ip4_send(struct worker *w, const struct ip4_tx *tx, struct pkt *p);
/* The same for a packet that has its header already (IP_HDRINCL, forwarding slow path). Takes. */
int ip4_send_raw(struct worker *w, const struct ip4_tx *tx, struct pkt *p);
/* Puts on p, a copy of what ip4_send() gets, the headers that it will have on the wire, the link's
 * included (zeroes where the neighbour is not known yet). tx->route is given. Borrows. */
void ip4_frame(struct worker *w, const struct ip4_tx *tx, struct pkt *p);
/* A packet with header in place, to be sent to next hop `gw` (be32) over dev. Takes. */
void ip4_finish_output(struct worker *w, struct netdev *dev, struct pkt *p, uint32_t gw);
/* Splits p (header in place, l3 = data) into fragments of at most mtu bytes, adding them to out.
 * Takes. 0 or -errno. */
int ip4_fragment(struct worker *w, struct pkt *p, uint32_t mtu, struct pkt_queue *out);

/* Sends an ICMP error about p (l3 set), by RFC 1122 and 1812: never about errors, fragments but the
 * first, broadcasts; rate limited; quotes as the kernel does. info: network order word. Borrows. */
void icmp4_error(struct worker *w, const struct pkt *p, uint8_t type, uint8_t code, uint32_t info);

/* Counts an ICMP message that goes out (raw and ping sockets call it too). */
void icmp4_count_out(struct worker *w, struct net *net, uint8_t type);

/* Is it one of ip_local_reserved_ports, which are given only to those who ask for them? Control. */
static inline bool ip4_port_reserved(const struct net *net, uint16_t num)
{
	const uint64_t *map = net->ip4->reserved_ports;

	return map && map[num / 64] >> (num % 64) & 1;
}

/* ---- upper protocols ---- */

/* What a protocol above IP registers: input for datagrams addressed to us (data at the L4 header,
 * l3 set; takes) and errors (ICMP about a datagram of ours: p's data is at the quoted IP header;
 * borrows; info: the next hop's MTU for ICMP_FRAG_NEEDED, the pointer for parameter problems, the
 * new gateway (be32) for redirects; host order but for the gateway). */
struct ip4_proto {
	void (*input)(struct worker *w, struct netdev *dev, struct pkt *p);
	void (*error)(struct worker *w, struct netdev *dev, struct pkt *p, uint8_t type,
		      uint8_t code, uint32_t info);
};

struct ip4_hooks {
	const struct ip4_proto *proto[256];
	/* Shows every local datagram to raw sockets before its protocol does; true if one took a
	 * copy. Data at the L4 header, l3 set. Borrows. */
	bool (*raw)(struct worker *w, struct netdev *dev, struct pkt *p, uint8_t proto);
	void (*raw_error)(struct worker *w, struct netdev *dev, struct pkt *p, uint8_t type,
			  uint8_t code, uint32_t info);
	/* A datagram to be forwarded that bears the router alert option (RFC 2113): does a socket
	 * want it? With `give` it gets it instead of its destination. Data at l3. Borrows. */
	bool (*router_alert)(struct worker *w, struct netdev *dev, struct pkt *p, bool give);
	/* ICMP messages for ping sockets (echo replies). Borrows. */
	void (*ping)(struct worker *w, struct netdev *dev, struct pkt *p);
	void (*ping_error)(struct worker *w, struct netdev *dev, struct pkt *p, uint8_t type,
			   uint8_t code, uint32_t info);
};

struct ip4_hooks *ip4_hooks(struct weft *weft);
struct neigh_table *arp_table(struct weft *weft);
