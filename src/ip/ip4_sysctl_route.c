/*
 * ip4_sysctl_route: those of net/ipv4/route/ that Linux keeps for the whole machine: how often ICMP
 * tells of packets without a route, and of better ones.
 */
#include "ip/ip4_sysctl.h"

#define FIELDS(X)                                                                                  \
	X(error_burst)                                                                             \
	X(error_cost)                                                                              \
	X(redirect_load)                                                                           \
	X(redirect_number)                                                                         \
	X(redirect_silence)

#define X(field)                                                                                   \
	static void *where_##field(struct net *net, struct netdev *dev, const char *which)         \
	{                                                                                          \
		return &ip4_core(net)->field;                                                      \
	}
FIELDS(X)
#undef X

const struct sysctl_row ip4_sysctl_route[] = {
#define X(field)                                                                                   \
	{.path = "net/ipv4/route/" #field,                                                         \
	 .type = SYSCTL_INT,                                                                       \
	 .mode = 0644,                                                                             \
	 .min = INT32_MIN,                                                                         \
	 .max = INT32_MAX,                                                                         \
	 .where = where_##field,                                                                   \
	 .scope = SYSCTL_FIRST},
	FIELDS(X)
#undef X
		{0},
};
