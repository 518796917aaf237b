/*
 * ethtool_ioctl: SIOCETHTOOL: ethtool(8)'s first way to ask, and that of many other programs.
 *
 * A command without a row is one that no virtual device answers (EOPNOTSUPP): wake-on-LAN,
 * registers, EEPROMs, rings, coalescing, pause frames, receive hashing and filters, modules, EEE,
 * PHYs. Answers are as long as the data that came; what a struct has no room for is not written.
 */
#include <linux/net_tstamp.h>

#include "ctl/devioctl.h"
#include "ctl/ethtool.h"

#define FEATURE_WORDS (ETHTOOL_N_FEATURES / 32)
#define LINK_WORDS    4 /* of 32 link modes each, as Linux 6.18 knows them */

static int value(void *data, bool on)
{
	((struct ethtool_value *)data)->data = on;
	return 0;
}

/* ---- the driver and its link ---- */

static int get_drvinfo(struct netdev *dev, void *data, size_t len)
{
	return ethtool_drvinfo(dev, data);
}

static int get_link(struct netdev *dev, void *data, size_t len)
{
	if (dev->ops->no_link_state)
		return -EOPNOTSUPP;
	return value(data, netdev_running(dev) && dev->carrier);
}

static int get_settings(struct netdev *dev, void *data, size_t len)
{
	const struct netdev *src = netdev_link_source(dev);
	struct ethtool_cmd *c = data;

	if (!src)
		return -EOPNOTSUPP;
	*c = (struct ethtool_cmd){.cmd = ETHTOOL_GSET, .duplex = src->duplex, .port = src->port};
	ethtool_cmd_speed_set(c, src->speed);
	return 0;
}

/* The caller learns first how many words the masks have, then asks again. */
static int get_link_settings(struct netdev *dev, void *data, size_t len)
{
	const struct netdev *src = netdev_link_source(dev);
	struct ethtool_link_settings *s = data;
	bool asks_size;

	if (!src)
		return -EOPNOTSUPP;
	asks_size = s->link_mode_masks_nwords != LINK_WORDS;
	if (!asks_size && len < sizeof(*s) + 3 * LINK_WORDS * sizeof(uint32_t))
		return -EFAULT;
	memset(s, 0, asks_size ? sizeof(*s) : sizeof(*s) + 3 * LINK_WORDS * sizeof(uint32_t));
	s->cmd = ETHTOOL_GLINKSETTINGS;
	s->link_mode_masks_nwords = asks_size ? -LINK_WORDS : LINK_WORDS;
	if (asks_size)
		return 0;
	s->speed = src->speed;
	s->duplex = src->duplex;
	s->port = src->port;
	return 0;
}

static int get_perm_addr(struct netdev *dev, void *data, size_t len)
{
	struct ethtool_perm_addr *p = data;

	if (p->size < dev->addr_len)
		return -EINVAL;
	if (len < sizeof(*p) + dev->addr_len)
		return -EFAULT;
	p->size = dev->addr_len;
	memcpy(p->data, dev->perm_addr, dev->addr_len);
	return 0;
}

/* Packets are stamped as they are received, by software. */
static int get_ts_info(struct netdev *dev, void *data, size_t len)
{
	struct ethtool_ts_info *t = data;

	*t = (struct ethtool_ts_info){
		.cmd = ETHTOOL_GET_TS_INFO,
		.so_timestamping = SOF_TIMESTAMPING_RX_SOFTWARE | SOF_TIMESTAMPING_SOFTWARE,
		.phc_index = -1,
	};
	return 0;
}

/* ---- queues ---- */

static int get_channels(struct netdev *dev, void *data, size_t len)
{
	return ethtool_get_channels(dev, data);
}

static int set_channels(struct netdev *dev, void *data, size_t len)
{
	return ethtool_set_channels(dev, data);
}

/* ---- strings, statistics ---- */

static int get_sset_info(struct netdev *dev, void *data, size_t len)
{
	struct ethtool_sset_info *s = data;
	size_t room = (len - sizeof(*s)) / sizeof(uint32_t), n = 0;
	uint64_t have = 0;

	for (unsigned set = 0; set < 64; set++) {
		unsigned strings = s->sset_mask >> set & 1 ? ethtool_n_strings(dev, set) : 0;
		if (!strings)
			continue;
		if (n == room)
			return -EFAULT;
		have |= 1ULL << set;
		s->data[n++] = strings;
	}
	s->reserved = 0;
	s->sset_mask = have;
	return 0;
}

static int get_strings(struct netdev *dev, void *data, size_t len)
{
	struct ethtool_gstrings *g = data;
	unsigned n = ethtool_n_strings(dev, g->string_set);

	if (!n)
		return -EOPNOTSUPP;
	if ((len - sizeof(*g)) / ETH_GSTRING_LEN < n)
		return -EFAULT;
	g->len = n;
	for (unsigned i = 0; i < n; i++)
		ethtool_string(dev, g->string_set, i, (char *)g->data + i * ETH_GSTRING_LEN);
	return 0;
}

static int get_stats(struct netdev *dev, void *data, size_t len)
{
	struct ethtool_stats *s = data;
	unsigned n = ethtool_n_strings(dev, ETH_SS_STATS);

	if (!n)
		return -EOPNOTSUPP;
	if ((len - sizeof(*s)) / sizeof(uint64_t) < n)
		return -EFAULT;
	s->n_stats = n;
	ethtool_stats(dev, (uint64_t *)s->data);
	return 0;
}

/* ---- features, all of them ---- */

static int get_features(struct netdev *dev, void *data, size_t len)
{
	const uint64_t never = 1ULL << ETHTOOL_F_VLAN_CHALLENGED;
	struct ethtool_gfeatures *g = data;
	size_t room = (len - sizeof(*g)) / sizeof(g->features[0]);
	unsigned n = MIN(g->size, (uint32_t)FEATURE_WORDS);

	if (room < n)
		return -EFAULT;
	for (unsigned i = 0; i < n; i++)
		g->features[i] = (struct ethtool_get_features_block){
			.available = (uint32_t)(ethtool_changeable(dev) >> 32 * i),
			.requested = (uint32_t)(ethtool_wanted(dev) >> 32 * i),
			.active = (uint32_t)(ethtool_active(dev) >> 32 * i),
			.never_changed = (uint32_t)(never >> 32 * i),
		};
	g->size = FEATURE_WORDS;
	return 0;
}

static int set_features(struct netdev *dev, void *data, size_t len)
{
	const struct ethtool_sfeatures *s = data;
	uint64_t valid = 0, wanted = 0;
	int ret = 0;

	if (s->size != FEATURE_WORDS)
		return -EINVAL;
	if (len < sizeof(*s) + FEATURE_WORDS * sizeof(s->features[0]))
		return -EFAULT;
	for (unsigned i = 0; i < FEATURE_WORDS; i++) {
		valid |= (uint64_t)s->features[i].valid << 32 * i;
		wanted |= (uint64_t)s->features[i].requested << 32 * i;
	}
	for (unsigned i = 0; i < ETHTOOL_N_FEATURES; i++)
		if ((valid >> i & 1) &&
		    (!ethtool_feature_names[i][0] || i == ETHTOOL_F_VLAN_CHALLENGED))
			return -EINVAL;
	if (valid & ~ethtool_changeable(dev)) {
		valid &= ethtool_changeable(dev);
		ret |= ETHTOOL_F_UNSUPPORTED;
	}
	int err = ethtool_set_features(dev, wanted, valid);
	if (err)
		return err;
	if ((ethtool_wanted(dev) ^ ethtool_active(dev)) & valid)
		ret |= ETHTOOL_F_WISH;
	return ret;
}

/* ---- features, one by one: older programs ---- */

static uint32_t old_feature(uint32_t cmd)
{
	switch (cmd) {
	case ETHTOOL_GTXCSUM:
	case ETHTOOL_STXCSUM:
		return DEV_F_TX_CSUM;
	case ETHTOOL_GRXCSUM:
	case ETHTOOL_SRXCSUM:
		return DEV_F_RX_CSUM;
	case ETHTOOL_GSG:
	case ETHTOOL_SSG:
		return DEV_F_SG;
	case ETHTOOL_GTSO:
	case ETHTOOL_STSO:
		return DEV_F_TSO4 | DEV_F_TSO6;
	case ETHTOOL_GGSO:
	case ETHTOOL_SGSO:
		return DEV_F_GSO;
	}
	return DEV_F_GRO;
}

static int get_feature(struct netdev *dev, void *data, size_t len)
{
	uint32_t f = old_feature(((struct ethtool_value *)data)->cmd);

	return value(data, dev->features & f);
}

static int set_feature(struct netdev *dev, void *data, size_t len)
{
	const struct ethtool_value *v = data;
	uint32_t f = old_feature(v->cmd) & dev->features_hw;

	if (!f)
		return -EOPNOTSUPP;
	return netdev_set_features(dev, v->data ? f : 0, f);
}

static int get_flags(struct netdev *dev, void *data, size_t len)
{
	struct ethtool_value *v = data;

	v->data = (dev->features & DEV_F_VLAN_TX ? ETH_FLAG_TXVLAN : 0) |
		  (dev->features & DEV_F_VLAN_RX ? ETH_FLAG_RXVLAN : 0);
	return 0;
}

static int set_flags(struct netdev *dev, void *data, size_t len)
{
	const uint32_t all = ETH_FLAG_LRO | ETH_FLAG_RXVLAN | ETH_FLAG_TXVLAN | ETH_FLAG_NTUPLE |
			     ETH_FLAG_RXHASH;
	uint32_t flags = ((struct ethtool_value *)data)->data, want, changed;

	if (flags & ~all)
		return -EINVAL;
	want = (flags & ETH_FLAG_TXVLAN ? DEV_F_VLAN_TX : 0) |
	       (flags & ETH_FLAG_RXVLAN ? DEV_F_VLAN_RX : 0);
	changed = (want ^ dev->features) & (DEV_F_VLAN_TX | DEV_F_VLAN_RX);
	if (flags & ~(uint32_t)(ETH_FLAG_TXVLAN | ETH_FLAG_RXVLAN))
		return changed & dev->features_hw ? -EINVAL : -EOPNOTSUPP;
	if (changed & ~dev->features_hw)
		return changed & dev->features_hw ? -EINVAL : -EOPNOTSUPP;
	return netdev_set_features(dev, want, changed);
}

/* ---- the table ---- */

struct command {
	uint32_t cmd;
	size_t size; /* least bytes of data */
	int (*fn)(struct netdev *dev, void *data, size_t len);
};

#define VALUE sizeof(struct ethtool_value)

static const struct command commands[] = {
	{ETHTOOL_GSET, sizeof(struct ethtool_cmd), get_settings},
	{ETHTOOL_GDRVINFO, sizeof(struct ethtool_drvinfo), get_drvinfo},
	{ETHTOOL_GLINK, VALUE, get_link},
	{ETHTOOL_GRXCSUM, VALUE, get_feature},
	{ETHTOOL_SRXCSUM, VALUE, set_feature},
	{ETHTOOL_GTXCSUM, VALUE, get_feature},
	{ETHTOOL_STXCSUM, VALUE, set_feature},
	{ETHTOOL_GSG, VALUE, get_feature},
	{ETHTOOL_SSG, VALUE, set_feature},
	{ETHTOOL_GTSO, VALUE, get_feature},
	{ETHTOOL_STSO, VALUE, set_feature},
	{ETHTOOL_GGSO, VALUE, get_feature},
	{ETHTOOL_SGSO, VALUE, set_feature},
	{ETHTOOL_GGRO, VALUE, get_feature},
	{ETHTOOL_SGRO, VALUE, set_feature},
	{ETHTOOL_GFLAGS, VALUE, get_flags},
	{ETHTOOL_SFLAGS, VALUE, set_flags},
	{ETHTOOL_GSTRINGS, sizeof(struct ethtool_gstrings), get_strings},
	{ETHTOOL_GSTATS, sizeof(struct ethtool_stats), get_stats},
	{ETHTOOL_GPERMADDR, sizeof(struct ethtool_perm_addr), get_perm_addr},
	{ETHTOOL_GSSET_INFO, sizeof(struct ethtool_sset_info), get_sset_info},
	{ETHTOOL_GFEATURES, sizeof(struct ethtool_gfeatures), get_features},
	{ETHTOOL_SFEATURES, sizeof(struct ethtool_sfeatures), set_features},
	{ETHTOOL_GCHANNELS, sizeof(struct ethtool_channels), get_channels},
	{ETHTOOL_SCHANNELS, sizeof(struct ethtool_channels), set_channels},
	{ETHTOOL_GET_TS_INFO, sizeof(struct ethtool_ts_info), get_ts_info},
	{ETHTOOL_GLINKSETTINGS, sizeof(struct ethtool_link_settings), get_link_settings},
};

int ethtool_ioctl(struct netdev *dev, void *data, size_t len)
{
	uint32_t cmd;

	if (len < sizeof(cmd))
		return -EFAULT;
	memcpy(&cmd, data, sizeof(cmd));
	for (unsigned i = 0; i < ARRAY_SIZE(commands); i++)
		if (commands[i].cmd == cmd)
			return len < commands[i].size ? -EFAULT : commands[i].fn(dev, data, len);
	return -EOPNOTSUPP;
}
