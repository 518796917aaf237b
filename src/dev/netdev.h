/*
 * netdev: the device core.
 *
 * A device has a name and an index in a namespace, flags, an MTU, a link address, features, queues
 * and per-worker counters; a driver (dev/kind.h) gives it life through netdev_ops.
 *
 * The way in: a driver calls netdev_rx() with a batch whose packets start at the link header; the
 * core counts, shows the frames to taps (packet sockets), reads the Ethernet header, takes a VLAN
 * tag off, offers the packets to the device's rx handler (bridge, team, macvlan), and hands what is
 * left to the protocol registered for the ethertype. Virtual devices that turn a transmit into a
 * receive use netdev_rx_later(), which queues on the worker's backlog, so that no loop of devices
 * can recurse.
 *
 * The way out: netdev_xmit() takes a batch with complete link headers, shows it to taps and calls
 * the driver's xmit. The driver *takes* the packets and counts them.
 *
 * Threads: configuration is control's alone; a device is unpublished (its hash entries, its
 * pollers) before it is freed after a grace period. rx and xmit run on any worker; everything
 * they read is written by control with single stores.
 */
#pragma once

#include <linux/if.h>
#include <linux/if_arp.h>
#include <linux/if_ether.h>
#include <linux/if_link.h>
#include <linux/netdevice.h>
#include <stdio.h>

#include "base/extack.h"
#include "dev/event.h"
#include "run/worker.h"

struct dev_kind;
struct net;
struct in_dev;
struct netdev;

#define NETDEV_ALEN	  32 /* MAX_ADDR_LEN */
#define NETDEV_QUEUES_MAX 4096

/* Per worker and device; summed on read into struct rtnl_link_stats64. */
struct dev_count {
	uint64_t rx_packets, rx_bytes, rx_errors, rx_dropped, multicast, rx_nohandler;
	uint64_t tx_packets, tx_bytes, tx_errors, tx_dropped;
	uint64_t rx_length_errors, rx_crc_errors, rx_over_errors, rx_frame_errors;
	uint64_t collisions, tx_carrier_errors;
} __attribute__((aligned(CACHE_LINE)));

struct queue_count {
	uint64_t packets, bytes;
};

/* Features, the subset of NETIF_F_* that exists here; names for ethtool in dev/features.def. */
enum dev_feature {
	DEV_F_SG = 1 << 0,
	DEV_F_TX_CSUM = 1 << 1,
	DEV_F_RX_CSUM = 1 << 2,
	DEV_F_TSO4 = 1 << 3,
	DEV_F_TSO6 = 1 << 4,
	DEV_F_GSO = 1 << 5,
	DEV_F_GRO = 1 << 6,
	DEV_F_VLAN_TX = 1 << 7,
	DEV_F_VLAN_RX = 1 << 8,
	DEV_F_LLTX = 1 << 9, /* xmit may run on several workers at once */
	DEV_F_LOOPBACK = 1 << 10,
	DEV_F_NETNS_LOCAL = 1 << 11,
	DEV_F_UDP_SEG = 1 << 12,
};

struct netdev_ops {
	/* After the core has filled the device in, before it is visible; 0 or -errno. Optional. */
	int (*init)(struct netdev *dev, struct extack *ext);
	/* Undoes init; no worker uses the device any more. Optional. */
	void (*fini)(struct netdev *dev);
	/* IFF_UP going on and off. Optional. */
	int (*open)(struct netdev *dev, struct extack *ext);
	void (*stop)(struct netdev *dev);
	/* Sends; takes the batch. May run on any worker. */
	void (*xmit)(struct worker *w, struct netdev *dev, struct batch *b);
	/* The rest is optional; what is missing takes the core's default. */
	int (*set_mtu)(struct netdev *dev, unsigned mtu, struct extack *ext);
	int (*set_address)(struct netdev *dev, const uint8_t *addr, struct extack *ext);
	void (*set_rx_mode)(struct netdev *dev);
	int (*set_features)(struct netdev *dev, uint32_t features);
	/* IFLA_LINK of the device: index in *net (its own namespace unless set); 0: its own index.
	 */
	int (*iflink)(const struct netdev *dev, struct net **net);
	/* The device is about to leave with `lower`; e.g. veth takes its peer along. */
	struct netdev *(*companion)(const struct netdev *dev);
	/* Counters a device keeps besides the core's, added to *st. */
	void (*stats)(const struct netdev *dev, struct rtnl_link_stats64 *st);
	/* ethtool -i, -S */
	void (*drvinfo)(const struct netdev *dev, char *driver, char *version, char *bus,
			size_t len);
	unsigned (*ethtool_stats)(const struct netdev *dev, const char *const **names,
				  uint64_t *vals);
	bool no_link_state; /* ethtool is not told whether there is a link */
	bool has_channels;  /* its queues can be counted and limited */
	/* The user says whether there is carrier (IFLA_CARRIER). */
	int (*set_carrier)(struct netdev *dev, bool on);
	/* Something happened to the device this one is stacked on. */
	void (*lower_event)(struct netdev *dev, struct netdev *lower, enum event_type what);
};

/* What a bridge, team or macvlan does with a batch that arrived on its port. It takes what it
 * consumes and leaves in b what the stack should go on with. */
typedef void rx_handler_fn(struct worker *w, struct netdev *dev, struct batch *b);

/* A packet socket or a capture: sees every frame, in (before the rx handler) and out; from the link
 * header on. Borrows. */
struct tap {
	struct cds_list_head link; /* in dev->taps or net's all-taps; RCU */
	uint16_t protocol;	   /* be16, ETH_P_ALL or one ethertype */
	bool incoming_only; /* one ethertype: sees received frames, when no handler took them */
	void (*fn)(struct worker *w, struct tap *t, struct netdev *dev, struct pkt *p, bool out);
};

/* A name in a namespace's table: a device's own, or one of its alternative ones. */
struct dev_name {
	struct cds_lfht_node node;
	struct netdev *dev;
	char name[ALTIFNAMSIZ];
};

struct altname {
	struct cds_list_head link;
	char name[ALTIFNAMSIZ];
	struct dev_name *entry;
};

/* Memory that packets under way may still point to: freed a second after it left every table (all
 * backlogs and inboxes have run by then), and after a grace period. With one worker the grace
 * period alone does. */
struct dev_reap {
	struct timer timer;
	struct rcu_head rcu;
	struct cds_list_head link;
	void (*free)(struct rcu_head *);
};

/* A link address the device listens to besides its own (multicast list, secondary unicast). */
struct dev_maddr {
	struct cds_list_head link;
	uint8_t addr[NETDEV_ALEN];
	unsigned refs;
	bool global; /* a user asked for it, once (SIOCADDMULTI) */
};

struct vlan_group;

struct netdev {
	/* read on the packet path */
	const struct netdev_ops *ops;
	struct net *net;
	struct dev_core *core;
	uint32_t flags; /* IFF_*; PROMISC and ALLMULTI: anyone asks */
	uint32_t mtu;
	int ifindex;
	uint16_t type; /* ARPHRD_* */
	uint8_t addr_len;
	uint8_t hard_header_len;
	uint8_t addr[NETDEV_ALEN];
	uint8_t broadcast[NETDEV_ALEN];
	uint32_t features; /* enum dev_feature, in force */
	uint32_t n_taps;   /* taps that may want frames of this device: one branch when 0 */
	struct cds_list_head *all_taps; /* of the namespace it is registered in; NULL: none */
	const unsigned *n_all_taps;
	uint32_t *net_seq; /* the namespace's dev_seq; NULL: not registered */
	rx_handler_fn *rx_handler;
	void *rx_handler_data;
	struct vlan_group *vlans; /* of the VLAN driver */
	struct in_dev *in_dev;	  /* of IPv4 */
	void *in6_dev;		  /* of IPv6 */
	struct dev_count *count;  /* [worker] */
	bool carrier;
	bool vlan_challenged;

	/* control's */
	char name[IFNAMSIZ];
	const struct dev_kind *kind; /* NULL: none (lo has kind "") */
	struct weft *weft;
	uint32_t features_hw; /* what the user may change */
	uint32_t features_wanted;
	uint32_t n_txq, n_rxq;
	uint32_t num_txq_max, num_rxq_max;
	uint32_t txqlen, group;
	uint32_t min_mtu, max_mtu;
	uint32_t gso_max_size, gso_max_segs, gro_max_size, tso_max_size, tso_max_segs;
	uint32_t gso_ipv4_max_size, gro_ipv4_max_size;
	uint8_t operstate, linkmode, dormant, testing;
	uint8_t addr_assign_type; /* NET_ADDR_* */
	uint8_t name_assign_type; /* NET_NAME_* */
	uint8_t duplex, port;	  /* DUPLEX_*, PORT_*: with speed */
	uint32_t speed;		  /* Mbit/s; 0: the driver knows none (that of `lower` counts) */
	uint8_t perm_addr[NETDEV_ALEN];
	uint8_t proto_down;
	bool proto_down_ok; /* the kind lets protocols hold it down */
	uint32_t proto_down_reason;
	unsigned promiscuity, allmulti;
	uint32_t gflags; /* of IFF_PROMISC and IFF_ALLMULTI: what the user set */
	bool xnet_moved;
	unsigned carrier_up_count, carrier_down_count;
	char *alias; /* malloc'ed or NULL */
	struct cds_list_head altnames;
	struct cds_list_head maddrs; /* struct dev_maddr */
	struct cds_list_head uaddrs;
	struct cds_list_head taps;     /* struct tap bound to this device */
	struct cds_list_head net_link; /* in net->devs, by ifindex */
	struct cds_lfht_node index_node;
	struct dev_name *name_entry;
	struct netdev *master;
	struct cds_list_head uppers; /* devices stacked on this one: struct netdev.lower_link */
	struct cds_list_head lower_link;
	struct netdev *lower; /* the device this one is stacked on (vlan, macvlan), or NULL */
	int link_netnsid;
	struct netdev *reg_link; /* list of devices being unregistered together */
	bool registered, dismantling;
	bool was_up; /* has been up: its qdisc is attached, and stays; ctl's */
	struct dev_reap reap;
	void *priv; /* the driver's, kind->priv_size zeroed bytes */
};

/* Handlers by ethertype: one table an instance, filled by weft.c before the first device. Takes. */
typedef void proto_input_fn(struct worker *w, struct netdev *dev, struct batch *b);

struct dev_core {
	struct weft *weft;
	unsigned n_workers;
	struct event_chain *events;
	const struct dev_kind *const *kinds; /* NULL-terminated */
	proto_input_fn *ip4_input, *ip6_input, *arp_input;
	/* VLAN driver's hook, set with the first VLAN device: takes the tagged packets that one
	 * claims out of b */
	void (*vlan_input)(struct worker *w, struct netdev *dev, struct batch *b);
	struct worker **workers;      /* [n_workers] */
	struct cds_list_head reaping; /* struct dev_reap.link; empty or NULLs before first use */
};

/* ---- life: control thread ---- */

/* Allocates an unregistered device of a kind: queues as asked (>= 1), defaults of an Ethernet
 * device. NULL when out of memory. */
struct netdev *netdev_alloc(struct dev_core *core, const struct dev_kind *kind, unsigned n_txq,
			    unsigned n_rxq);
/* Frees a device that was never registered. NULL is fine. */
void netdev_free(struct netdev *dev);
/* A random, locally administered address. */
void netdev_random_address(struct netdev *dev);
/* An address the user gave a new device; -EADDRNOTAVAIL. NULL is fine. */
int netdev_first_address(struct netdev *dev, const uint8_t *addr, struct extack *ext);
/* The MTU the user gave a new device (0: none), checked against its limits. */
int netdev_first_mtu(struct netdev *dev, unsigned mtu, struct extack *ext);
/* See struct dev_reap. */
void dev_reap(struct dev_core *core, struct dev_reap *r, void (*free)(struct rcu_head *));
/* Frees at once what still waits: the workers stand still. */
void dev_core_fini(struct dev_core *core);
/* Puts it into a namespace. name may hold one "%d" (first free number). ifindex 0: next free.
 * 0, -EEXIST, -EINVAL (bad name), -EBUSY (index taken), -ENOMEM, or what ops->init says. On failure
 * the device is still the caller's to free. */
int netdev_register(struct netdev *dev, struct net *net, const char *name, int ifindex,
		    struct extack *ext);
/* Takes it down and out, with everything stacked on it, and frees it after a grace period. */
void netdev_unregister(struct netdev *dev);
/* Moves to another namespace, under `name` (NULL: its own; "dev%d" when that is taken and
 * `name` NULL asks for a fallback), index kept if free. Addresses and routes are lost as in Linux.
 */
int netdev_change_net(struct netdev *dev, struct net *net, const char *name, int ifindex,
		      struct extack *ext);

/* ---- settings: control thread; 0 or -errno, kernel's texts ---- */

int netdev_set_flags(struct netdev *dev, unsigned flags, unsigned mask, struct extack *ext);
int netdev_set_mtu(struct netdev *dev, unsigned mtu, struct extack *ext);
int netdev_set_address(struct netdev *dev, const void *addr, unsigned len, struct extack *ext);
int netdev_set_name(struct netdev *dev, const char *name, struct extack *ext);
int netdev_set_alias(struct netdev *dev, const char *alias, size_t len);
int netdev_set_txqlen(struct netdev *dev, uint32_t len);
int netdev_set_group(struct netdev *dev, uint32_t group);
int netdev_set_features(struct netdev *dev, uint32_t wanted, uint32_t mask);
int netdev_set_proto_down(struct netdev *dev, bool down);
int netdev_add_altname(struct netdev *dev, const char *name);
int netdev_del_altname(struct netdev *dev, const char *name);
void netdev_set_carrier(struct netdev *dev, bool on);
void netdev_set_operstate(struct netdev *dev, uint8_t operstate);
/* Works operstate out from carrier, dormant and testing. */
void netdev_refresh_operstate(struct netdev *dev);
void netdev_promiscuity(struct netdev *dev, int delta);
void netdev_allmulti(struct netdev *dev, int delta);
int netdev_maddr_add(struct netdev *dev, const uint8_t *addr);
int netdev_maddr_del(struct netdev *dev, const uint8_t *addr);
/* The same for the user's one reference; -ENOENT: he holds none. */
int netdev_maddr_add_global(struct netdev *dev, const uint8_t *addr);
int netdev_maddr_del_global(struct netdev *dev, const uint8_t *addr);
/* The device whose speed and duplex dev has; NULL: nobody knows. */
const struct netdev *netdev_link_source(const struct netdev *dev);
/* The same for a user who asks once (`bridge fdb ... self`): -EEXIST when it is there; of either
 * list. */
int netdev_hwaddr_add(struct netdev *dev, const uint8_t *addr, bool multicast);
int netdev_hwaddr_del(struct netdev *dev, const uint8_t *addr, bool multicast);
/* IFF_* as user space sees them (with RUNNING, LOWER_UP, DORMANT worked out). */
unsigned netdev_user_flags(const struct netdev *dev);
/* Stacks upper on lower (vlan, macvlan): sets upper->lower, the list; -EBUSY on a loop or depth
 * > 8. */
int netdev_link_lower(struct netdev *upper, struct netdev *lower, struct extack *ext);
void netdev_unlink_lower(struct netdev *upper);
bool netdev_name_valid(const char *name);
/* Tells the chain, and the devices stacked on dev, that something happened to it. */
void netdev_event(struct netdev *dev, enum event_type what, uint64_t arg);

/* Sums the workers' counters. Any thread that may read the device. */
void netdev_stats(const struct netdev *dev, struct rtnl_link_stats64 *st);

/* Taps: dev NULL means all devices of net. Control thread; after del a grace period must pass
 * before the memory goes. */
void tap_add(struct net *net, struct netdev *dev, struct tap *t);
void tap_del(struct net *net, struct netdev *dev, struct tap *t);

/* ---- packets: any worker ---- */

/* Takes a batch received on dev's queue; packets start at the link header (l2 is set here). */
void netdev_rx(struct worker *w, struct netdev *dev, struct batch *b);
/* Takes; the frames are received by b->p[i]->dev at the end of this step, or dropped (CPU_BACKLOG).
 */
void netdev_rx_later(struct worker *w, struct batch *b);
/* Takes frames whose link header has been read (l2, l3 and protocol set, data at l3) and which
 * belong to `dev`, a device on top of the one they came by. */
void netdev_rx_stacked(struct worker *w, struct netdev *dev, struct batch *b);
/* A device leaves: what waits for it in w's backlog goes. */
void netdev_backlog_purge(struct worker *w, const struct netdev *dev);
/* Runs the backlog: worker->backlog_run. */
void netdev_backlog_run(struct worker *w, unsigned budget);
/* Takes a batch with link headers in place, to be sent on dev (PKT_VLAN, PKT_CSUM_PARTIAL and gso
 * may be set: the core resolves what dev's features do not cover). */
void netdev_xmit(struct worker *w, struct netdev *dev, struct batch *b);
/* Goes on after the rx handler with packets whose l3 and protocol are set: by ethertype. Takes. */
void netdev_deliver(struct worker *w, struct netdev *dev, struct batch *b);

static inline struct dev_count *dev_counter(struct netdev *dev, const struct worker *w)
{
	return &dev->count[w->id];
}

static inline bool netdev_running(const struct netdev *dev)
{
	return READ_ONCE(dev->flags) & IFF_UP;
}
