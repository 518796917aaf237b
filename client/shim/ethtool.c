/* ethtool: how much SIOCETHTOOL's ifr_data points to. */
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>

#include "ioctl.h"

/* A struct, then as many units as the number at `count` says. */
struct shape {
	uint32_t cmd;
	uint16_t size, count, unit;
};

#define FIXED(cmd, type)                                                                           \
	{                                                                                          \
		cmd, sizeof(struct type), 0, 0                                                     \
	}
#define ARRAY(cmd, type, field, unit)                                                              \
	{                                                                                          \
		cmd, sizeof(struct type), offsetof(struct type, field), unit                       \
	}

/* What is not here is struct ethtool_value. */
static const struct shape shapes[] = {
	FIXED(ETHTOOL_GSET, ethtool_cmd),
	FIXED(ETHTOOL_SSET, ethtool_cmd),
	FIXED(ETHTOOL_GDRVINFO, ethtool_drvinfo),
	ARRAY(ETHTOOL_GREGS, ethtool_regs, len, 1),
	FIXED(ETHTOOL_GWOL, ethtool_wolinfo),
	FIXED(ETHTOOL_SWOL, ethtool_wolinfo),
	ARRAY(ETHTOOL_GEEPROM, ethtool_eeprom, len, 1),
	ARRAY(ETHTOOL_SEEPROM, ethtool_eeprom, len, 1),
	ARRAY(ETHTOOL_GMODULEEEPROM, ethtool_eeprom, len, 1),
	FIXED(ETHTOOL_GCOALESCE, ethtool_coalesce),
	FIXED(ETHTOOL_SCOALESCE, ethtool_coalesce),
	FIXED(ETHTOOL_GRINGPARAM, ethtool_ringparam),
	FIXED(ETHTOOL_SRINGPARAM, ethtool_ringparam),
	FIXED(ETHTOOL_GPAUSEPARAM, ethtool_pauseparam),
	FIXED(ETHTOOL_SPAUSEPARAM, ethtool_pauseparam),
	ARRAY(ETHTOOL_TEST, ethtool_test, len, 8),
	ARRAY(ETHTOOL_GPERMADDR, ethtool_perm_addr, size, 1),
	FIXED(ETHTOOL_GRXFH, ethtool_rxnfc),
	FIXED(ETHTOOL_SRXFH, ethtool_rxnfc),
	FIXED(ETHTOOL_GRXRINGS, ethtool_rxnfc),
	FIXED(ETHTOOL_GRXCLSRLCNT, ethtool_rxnfc),
	FIXED(ETHTOOL_GRXCLSRULE, ethtool_rxnfc),
	ARRAY(ETHTOOL_GRXCLSRLALL, ethtool_rxnfc, rule_cnt, 4),
	FIXED(ETHTOOL_SRXCLSRLDEL, ethtool_rxnfc),
	FIXED(ETHTOOL_SRXCLSRLINS, ethtool_rxnfc),
	FIXED(ETHTOOL_FLASHDEV, ethtool_flash),
	FIXED(ETHTOOL_SRXNTUPLE, ethtool_rx_ntuple),
	ARRAY(ETHTOOL_GRXFHINDIR, ethtool_rxfh_indir, size, 4),
	ARRAY(ETHTOOL_SRXFHINDIR, ethtool_rxfh_indir, size, 4),
	ARRAY(ETHTOOL_GFEATURES, ethtool_gfeatures, size,
	      sizeof(struct ethtool_get_features_block)),
	ARRAY(ETHTOOL_SFEATURES, ethtool_sfeatures, size,
	      sizeof(struct ethtool_set_features_block)),
	FIXED(ETHTOOL_GCHANNELS, ethtool_channels),
	FIXED(ETHTOOL_SCHANNELS, ethtool_channels),
	FIXED(ETHTOOL_SET_DUMP, ethtool_dump),
	FIXED(ETHTOOL_GET_DUMP_FLAG, ethtool_dump),
	ARRAY(ETHTOOL_GET_DUMP_DATA, ethtool_dump, len, 1),
	FIXED(ETHTOOL_GET_TS_INFO, ethtool_ts_info),
	FIXED(ETHTOOL_GMODULEINFO, ethtool_modinfo),
	FIXED(ETHTOOL_GEEE, ethtool_eee),
	FIXED(ETHTOOL_SEEE, ethtool_eee),
	ARRAY(ETHTOOL_GTUNABLE, ethtool_tunable, len, 1),
	ARRAY(ETHTOOL_STUNABLE, ethtool_tunable, len, 1),
	ARRAY(ETHTOOL_PHY_GTUNABLE, ethtool_tunable, len, 1),
	ARRAY(ETHTOOL_PHY_STUNABLE, ethtool_tunable, len, 1),
	FIXED(ETHTOOL_GFECPARAM, ethtool_fecparam),
	FIXED(ETHTOOL_SFECPARAM, ethtool_fecparam),
};

static size_t shape_size(const struct shape *s, const void *data)
{
	uint32_t n;

	if (!s->unit)
		return s->size;
	memcpy(&n, (const char *)data + s->count, sizeof(n));
	return s->size + (size_t)n * s->unit;
}

/* How many strings the device has in a set. */
static uint32_t count_strings(const struct shim_sock *s, const struct ifreq *ifr, uint32_t set)
{
	struct {
		struct ethtool_sset_info info;
		uint32_t n;
	} q = {.info = {.cmd = ETHTOOL_GSSET_INFO, .sset_mask = 1ULL << (set & 63)}};
	struct ifreq back;
	struct shim_req r = {.op = WEFT_OP_IOCTL,
			     .sock = s->id,
			     .arg = {SIOCETHTOOL},
			     .data = ifr,
			     .len = sizeof(*ifr),
			     .data2 = &q,
			     .len2 = sizeof(q),
			     .room = &back,
			     .room_len = sizeof(back),
			     .room2 = &q,
			     .room2_len = sizeof(q)};

	return !shim_call(&r) && q.info.sset_mask ? q.n : 0;
}

static size_t strings_size(const struct shim_sock *s, const struct ifreq *ifr)
{
	const struct ethtool_gstrings *g = (const void *)ifr->ifr_data;
	uint32_t n = g->len ? g->len : count_strings(s, ifr, g->string_set);

	return sizeof(*g) + (size_t)n * ETH_GSTRING_LEN;
}

static size_t stats_size(const struct shim_sock *s, const struct ifreq *ifr, uint32_t set)
{
	const struct ethtool_stats *e = (const void *)ifr->ifr_data;
	uint32_t n = e->n_stats ? e->n_stats : count_strings(s, ifr, set);

	return sizeof(*e) + (size_t)n * 8;
}

static size_t rxfh_size(const struct ethtool_rxfh *h)
{
	/* one value asks for no table to be set */
	uint32_t n = h->indir_size == ETH_RXFH_INDIR_NO_CHANGE ? 0 : h->indir_size;

	return sizeof(*h) + (size_t)n * 4 + h->key_size;
}

static size_t link_size(const struct ethtool_link_settings *l)
{
	int words = MAX((int)l->link_mode_masks_nwords, 0);

	return sizeof(*l) + 3 * 4 * (size_t)words;
}

size_t ethtool_size(const struct shim_sock *s, const struct ifreq *ifr)
{
	const void *data = ifr->ifr_data;
	uint32_t cmd;

	memcpy(&cmd, data, sizeof(cmd));
	switch (cmd) {
	case ETHTOOL_GSTRINGS:
		return strings_size(s, ifr);
	case ETHTOOL_GSTATS:
		return stats_size(s, ifr, ETH_SS_STATS);
	case ETHTOOL_GPHYSTATS:
		return stats_size(s, ifr, ETH_SS_PHY_STATS);
	case ETHTOOL_GSSET_INFO: {
		const struct ethtool_sset_info *i = data;
		return sizeof(*i) + 4 * (size_t)__builtin_popcountll(i->sset_mask);
	}
	case ETHTOOL_GRSSH:
	case ETHTOOL_SRSSH:
		return rxfh_size(data);
	case ETHTOOL_GLINKSETTINGS:
	case ETHTOOL_SLINKSETTINGS:
		return link_size(data);
	}
	for (unsigned i = 0; i < ARRAY_SIZE(shapes); i++)
		if (shapes[i].cmd == cmd)
			return shape_size(&shapes[i], data);
	return sizeof(struct ethtool_value);
}
