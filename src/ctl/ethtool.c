/* ethtool: features, strings, statistics and queues of devices. */
#include "ctl/ethtool.h"

#include <stdio.h>
#include <sys/utsname.h>

#include "dev/kind.h"

/* ---- features ---- */

const char ethtool_feature_names[ETHTOOL_N_FEATURES][ETH_GSTRING_LEN] = {
	[0] = "tx-scatter-gather",
	[1] = "tx-checksum-ipv4",
	[3] = "tx-checksum-ip-generic",
	[4] = "tx-checksum-ipv6",
	[5] = "highdma",
	[6] = "tx-scatter-gather-fraglist",
	[7] = "tx-vlan-hw-insert",
	[8] = "rx-vlan-hw-parse",
	[9] = "rx-vlan-filter",
	[10] = "vlan-challenged",
	[11] = "tx-generic-segmentation",
	[14] = "rx-gro",
	[15] = "rx-lro",
	[16] = "tx-tcp-segmentation",
	[17] = "tx-gso-robust",
	[18] = "tx-tcp-ecn-segmentation",
	[19] = "tx-tcp-mangleid-segmentation",
	[20] = "tx-tcp6-segmentation",
	[21] = "tx-fcoe-segmentation",
	[22] = "tx-gre-segmentation",
	[23] = "tx-gre-csum-segmentation",
	[24] = "tx-ipxip4-segmentation",
	[25] = "tx-ipxip6-segmentation",
	[26] = "tx-udp_tnl-segmentation",
	[27] = "tx-udp_tnl-csum-segmentation",
	[28] = "tx-gso-partial",
	[29] = "tx-tunnel-remcsum-segmentation",
	[30] = "tx-sctp-segmentation",
	[31] = "tx-esp-segmentation",
	[33] = "tx-udp-segmentation",
	[34] = "tx-gso-list",
	[35] = "tx-tcp-accecn-segmentation",
	[36] = "tx-checksum-fcoe-crc",
	[37] = "tx-checksum-sctp",
	[38] = "rx-ntuple-filter",
	[39] = "rx-hashing",
	[40] = "rx-checksum",
	[41] = "tx-nocache-copy",
	[42] = "loopback",
	[43] = "rx-fcs",
	[44] = "rx-all",
	[45] = "tx-vlan-stag-hw-insert",
	[46] = "rx-vlan-stag-hw-parse",
	[47] = "rx-vlan-stag-filter",
	[48] = "l2-fwd-offload",
	[49] = "hw-tc-offload",
	[50] = "esp-hw-offload",
	[51] = "esp-tx-csum-hw-offload",
	[52] = "rx-udp_tunnel-port-offload",
	[53] = "tls-hw-tx-offload",
	[54] = "tls-hw-rx-offload",
	[55] = "rx-gro-hw",
	[56] = "tls-hw-record",
	[57] = "rx-gro-list",
	[58] = "macsec-hw-offload",
	[59] = "rx-udp-gro-forwarding",
	[60] = "hsr-tag-ins-offload",
	[61] = "hsr-tag-rm-offload",
	[62] = "hsr-fwd-offload",
	[63] = "hsr-dup-offload",
};

/* Which bits a feature of ours is: the tags of 802.1Q and 802.1ad are handled alike. */
static const struct {
	uint32_t dev;
	uint64_t bits;
} feature_map[] = {
	{DEV_F_SG, 1ULL << 0},
	{DEV_F_TX_CSUM, 1ULL << 3},
	{DEV_F_VLAN_TX, 1ULL << 7 | 1ULL << 45},
	{DEV_F_VLAN_RX, 1ULL << 8 | 1ULL << 46},
	{DEV_F_GSO, 1ULL << 11},
	{DEV_F_GRO, 1ULL << 14},
	{DEV_F_TSO4, 1ULL << 16},
	{DEV_F_TSO6, 1ULL << 20},
	{DEV_F_UDP_SEG, 1ULL << 33},
	{DEV_F_RX_CSUM, 1ULL << 40},
	{DEV_F_LOOPBACK, 1ULL << 42},
};

uint64_t ethtool_features(uint32_t dev_features)
{
	uint64_t bits = 0;

	for (unsigned i = 0; i < ARRAY_SIZE(feature_map); i++)
		if (dev_features & feature_map[i].dev)
			bits |= feature_map[i].bits;
	return bits;
}

uint32_t ethtool_dev_features(uint64_t bits)
{
	uint32_t f = 0;

	for (unsigned i = 0; i < ARRAY_SIZE(feature_map); i++)
		if (bits & feature_map[i].bits)
			f |= feature_map[i].dev;
	return f;
}

uint64_t ethtool_active(const struct netdev *dev)
{
	uint64_t bits = ethtool_features(dev->features);

	return dev->vlan_challenged ? bits | 1ULL << ETHTOOL_F_VLAN_CHALLENGED : bits;
}

uint64_t ethtool_changeable(const struct netdev *dev)
{
	return ethtool_features(dev->features_hw);
}

uint64_t ethtool_wanted(const struct netdev *dev)
{
	return ethtool_features(dev->features_wanted & dev->features_hw);
}

int ethtool_set_features(struct netdev *dev, uint64_t wanted, uint64_t mask)
{
	return netdev_set_features(dev, ethtool_dev_features(wanted & mask),
				   ethtool_dev_features(mask));
}

/* ---- strings and statistics ---- */

static const char hash_names[][ETH_GSTRING_LEN] = {"toeplitz", "xor", "crc32"};
static const char tunable_names[][ETH_GSTRING_LEN] = {
	"Unspec", "rx-copybreak", "tx-copybreak", "pfc-prevention-tout", "tx-copybreak-buf-size"};
static const char phy_tunable_names[][ETH_GSTRING_LEN] = {
	"Unspec", "phy-downshift", "phy-fast-link-down", "phy-energy-detect-power-down"};

/* The sets that are the same for every device. */
static const char (*fixed_set(unsigned set, unsigned *n))[ETH_GSTRING_LEN]
{
	switch (set) {
	case ETH_SS_FEATURES:
		*n = ETHTOOL_N_FEATURES;
		return ethtool_feature_names;
	case ETH_SS_RSS_HASH_FUNCS:
		*n = ARRAY_SIZE(hash_names);
		return hash_names;
	case ETH_SS_TUNABLES:
		*n = ARRAY_SIZE(tunable_names);
		return tunable_names;
	case ETH_SS_PHY_TUNABLES:
		*n = ARRAY_SIZE(phy_tunable_names);
		return phy_tunable_names;
	}
	*n = 0;
	return NULL;
}

unsigned ethtool_n_strings(const struct netdev *dev, unsigned set)
{
	const char *const *names;
	unsigned n;

	if (fixed_set(set, &n))
		return n;
	if (set != ETH_SS_STATS || !dev->ops->ethtool_stats)
		return 0;
	return dev->ops->ethtool_stats(dev, &names, NULL);
}

void ethtool_string(const struct netdev *dev, unsigned set, unsigned i, char to[ETH_GSTRING_LEN])
{
	const char(*fixed)[ETH_GSTRING_LEN];
	const char *const *names;
	unsigned n;

	fixed = fixed_set(set, &n);
	if (fixed) {
		memcpy(to, fixed[i], ETH_GSTRING_LEN);
		return;
	}
	dev->ops->ethtool_stats(dev, &names, NULL);
	memset(to, 0, ETH_GSTRING_LEN);
	memcpy(to, names[i], strnlen(names[i], ETH_GSTRING_LEN - 1));
}

void ethtool_stats(const struct netdev *dev, uint64_t *vals)
{
	const char *const *names;

	dev->ops->ethtool_stats(dev, &names, vals);
}

/* ---- the driver ---- */

int ethtool_drvinfo(const struct netdev *dev, struct ethtool_drvinfo *info)
{
	struct utsname uts;
	uint32_t cmd = info->cmd;

	if (!dev->ops->drvinfo && (dev->kind->permanent || !dev->kind->name))
		return -EOPNOTSUPP;
	memset(info, 0, sizeof(*info));
	info->cmd = cmd;
	snprintf(info->driver, sizeof(info->driver), "%s", dev->kind->name);
	/* drivers of the kernel's own tree have its version */
	if (!uname(&uts))
		snprintf(info->version, sizeof(info->version), "%.*s",
			 (int)sizeof(info->version) - 1, uts.release);
	if (dev->ops->drvinfo)
		dev->ops->drvinfo(dev, info->driver, info->version, info->bus_info,
				  sizeof(info->driver));
	info->n_stats = ethtool_n_strings(dev, ETH_SS_STATS);
	return 0;
}

/* ---- queues ---- */

int ethtool_get_channels(const struct netdev *dev, struct ethtool_channels *c)
{
	if (!dev->ops->has_channels)
		return -EOPNOTSUPP;
	*c = (struct ethtool_channels){.cmd = c->cmd,
				       .max_rx = dev->num_rxq_max,
				       .max_tx = dev->num_txq_max,
				       .rx_count = dev->n_rxq,
				       .tx_count = dev->n_txq};
	return 0;
}

int ethtool_set_channels(struct netdev *dev, const struct ethtool_channels *c)
{
	if (!dev->ops->has_channels)
		return -EOPNOTSUPP;
	if (c->rx_count == dev->n_rxq && c->tx_count == dev->n_txq && !c->combined_count &&
	    !c->other_count)
		return 0;
	if (c->rx_count > dev->num_rxq_max || c->tx_count > dev->num_txq_max || c->combined_count ||
	    c->other_count || !c->rx_count || !c->tx_count)
		return -EINVAL;
	dev->n_rxq = c->rx_count;
	dev->n_txq = c->tx_count;
	netdev_event(dev, EVENT_DEV_CHANGE, 0);
	return 0;
}
