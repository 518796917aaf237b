/*
 * kind: what a driver declares. One `struct dev_kind` a driver, NAME_kind in folder NAME; the
 * table is drivers/meson.build's: a new driver is one folder and one row there.
 *
 * A driver knows nothing of netlink. Its settings are a plain struct; a table of struct dev_param
 * says which IFLA_<KIND>_* attribute is which member, so that `ip link add ... type KIND ...`,
 * `ip -d link`, strict validation and the manual all come from that one table.
 */
#pragma once

#include "dev/netdev.h"

enum param_type {
	PARAM_U8,
	PARAM_U16,
	PARAM_BE16,
	PARAM_U32,
	PARAM_S32,
	PARAM_U64,
	PARAM_FLAG,   /* presence; bool member */
	PARAM_STRING, /* char[max + 1] member */
	PARAM_BYTES,  /* exactly max bytes */
	PARAM_BITS,   /* struct {uint32_t flags, mask} (struct ifla_vlan_flags and its like) */
	PARAM_PAIRS,  /* struct dev_pairs: a list of at most max; min is the attribute of each */
};

/* A map as user space writes it: struct ifla_vlan_qos_mapping and its like. */
#define DEV_PAIRS_MAX 64
struct dev_pairs {
	uint32_t n;
	struct dev_pair {
		uint32_t from, to;
	} v[DEV_PAIRS_MAX];
};

struct dev_param {
	uint16_t attr; /* IFLA_VLAN_ID, ... */
	uint8_t type;  /* enum param_type */
	uint8_t flags;
	uint16_t off; /* of the member in the parameter struct */
	uint32_t min, max;
	const char *name; /* "id": for the manual and messages */
	const char *unit; /* "s", "packets", NULL */
};

#define PARAM_RDONLY   1 /* shown, not set */
#define PARAM_CREATE   2 /* only when the device is made */
#define PARAM_REQUIRED 4 /* must be given when the device is made */

struct dev_new {
	struct net *net;      /* where the device goes */
	struct net *link_net; /* where `link` is looked up */
	struct netdev *link;  /* IFLA_LINK, or NULL */
	const char *name;     /* may hold %d; NULL: kind->name "%d" */
	int ifindex;
	const void *params;	/* the kind's struct, defaults filled in */
	uint64_t given[2];	/* bit i: params table row i was given */
	const uint8_t *address; /* or NULL: the driver's choice */
	unsigned mtu;		/* 0: the driver's choice */
	unsigned n_txq, n_rxq;	/* 0: the driver's choice */
	/* The peer of a pair (veth): where and how; name NULL: chosen */
	struct net *peer_net;
	const char *peer_name;
	int peer_ifindex;
	const uint8_t *peer_address;
	unsigned peer_mtu;
	unsigned peer_n_txq, peer_n_rxq;
};

struct dev_kind {
	const char *name;    /* IFLA_INFO_KIND */
	const char *devtype; /* DEVTYPE in sysfs' uevent; NULL: none */
	size_t priv_size;
	size_t params_size;
	const struct dev_param *params; /* n_params rows, or NULL */
	unsigned n_params;
	bool has_peer; /* pairs: IFLA_INFO_DATA holds VETH_INFO_PEER */
	const struct netdev_ops *ops;

	/* Fills type, flags, MTU limits, features; called by netdev_alloc. */
	void (*setup)(struct netdev *dev);
	/* Fills *params with defaults before the user's are parsed over them. Optional. */
	void (*defaults)(void *params);
	/* Makes and registers the device (and a peer). NULL: netdev_alloc + netdev_register.
	 * *out borrows. */
	int (*create)(struct dev_core *core, const struct dev_new *n, struct netdev **out,
		      struct extack *ext);
	/* Changes settings of a live device: only rows that were given. NULL: EOPNOTSUPP. */
	int (*change)(struct netdev *dev, const void *params, const uint64_t given[2],
		      struct extack *ext);
	/* Reads the settings back. NULL: none are shown. */
	void (*get)(const struct netdev *dev, void *params);
	/* The user may not delete it (lo). */
	bool permanent;
};

/* By name; kinds the user may not make (lo) are not found. NULL. */
const struct dev_kind *dev_kind_find(const struct dev_core *core, const char *name);
/* The name a device of the kind gets by itself: "veth%d". */
const char *dev_kind_pattern(const struct dev_kind *kind, char buf[IFNAMSIZ]);
/* Runs kind->create or the default; what RTM_NEWLINK and tests call. */
int dev_create(struct dev_core *core, const struct dev_kind *kind, const struct dev_new *n,
	       struct netdev **out, struct extack *ext);
