/*
 * ethtool: what devices are to ethtool(8), whoever asks: features by the kernel's numbers and
 * names, string sets, statistics.
 *
 * The kernel has 64 features (NETIF_F_*_BIT), of which few exist here (enum dev_feature); the
 * others are never on and cannot be changed. Control thread.
 */
#pragma once

#include <linux/ethtool.h>

#include "dev/netdev.h"

enum { ETHTOOL_N_FEATURES = 64, ETHTOOL_F_VLAN_CHALLENGED = 10 };

/* The name of a feature by bit; "" where the kernel has none. */
extern const char ethtool_feature_names[ETHTOOL_N_FEATURES][ETH_GSTRING_LEN];

/* Bits of the kernel for features of ours, and back. */
uint64_t ethtool_features(uint32_t dev_features);
uint32_t ethtool_dev_features(uint64_t bits);
/* What is on, what the user may change, what he wants of that. */
uint64_t ethtool_active(const struct netdev *dev);
uint64_t ethtool_changeable(const struct netdev *dev);
uint64_t ethtool_wanted(const struct netdev *dev);
/* Turns the features in mask, all of them changeable, on or off. 0 or -errno. */
int ethtool_set_features(struct netdev *dev, uint64_t wanted, uint64_t mask);

/* The strings of a set (ETH_SS_*): how many, 0: there is no such set; string i of it. */
unsigned ethtool_n_strings(const struct netdev *dev, unsigned set);
void ethtool_string(const struct netdev *dev, unsigned set, unsigned i, char to[ETH_GSTRING_LEN]);
/* The device's own statistics: values for ETH_SS_STATS. */
void ethtool_stats(const struct netdev *dev, uint64_t *vals);
/* Driver, version, bus. -EOPNOTSUPP: it has none. */
int ethtool_drvinfo(const struct netdev *dev, struct ethtool_drvinfo *info);
/* Queues of a device whose kind lets them be counted; -EOPNOTSUPP. Setting: -EINVAL beyond what it
 * was made with. */
int ethtool_get_channels(const struct netdev *dev, struct ethtool_channels *c);
int ethtool_set_channels(struct netdev *dev, const struct ethtool_channels *c);
