/*
 * ip4_sysctl: /proc/sys/net/ipv4/: the settings of a namespace.
 */
#include <stdio.h>

#include "ip/ip4_sysctl.h"

#define FIELDS(X)                                                                                  \
	X(default_ttl)                                                                             \
	X(no_pmtu_disc)                                                                            \
	X(fwd_use_pmtu)                                                                            \
	X(fwd_update_priority)                                                                     \
	X(nonlocal_bind)                                                                           \
	X(autobind_reuse)                                                                          \
	X(ip_early_demux)                                                                          \
	X(icmp_echo_ignore_all)                                                                    \
	X(icmp_echo_ignore_broadcasts)                                                             \
	X(icmp_echo_enable_probe)                                                                  \
	X(icmp_ignore_bogus_error_responses)                                                       \
	X(icmp_errors_use_inbound_ifaddr)                                                          \
	X(icmp_ratelimit)                                                                          \
	X(icmp_ratemask)                                                                           \
	X(icmp_msgs_per_sec)                                                                       \
	X(icmp_msgs_burst)                                                                         \
	X(unprivileged_port_start)                                                                 \
	X(frag_high_thresh)                                                                        \
	X(frag_low_thresh)                                                                         \
	X(frag_max_dist)                                                                           \
	X(frag_time)                                                                               \
	X(min_pmtu)                                                                                \
	X(min_adv_mss)                                                                             \
	X(mtu_expires)                                                                             \
	X(igmp_max_memberships)                                                                    \
	X(igmp_max_msf)                                                                            \
	X(igmp_qrv)                                                                                \
	X(igmp_link_local_mcast_reports)                                                           \
	X(ping_group_range)                                                                        \
	X(local_port_range)

#define X(field)                                                                                   \
	static void *where_##field(struct net *net, struct netdev *dev, const char *which)         \
	{                                                                                          \
		return &net->ip4->field;                                                           \
	}
FIELDS(X)
#undef X

/* A setting that changes what paths may carry forgets what was learnt. */
static void changed_flush(struct net *net, struct netdev *dev, const char *which, int64_t old,
			  int64_t now)
{
	pmtu_flush(net);
}

static void show_flush(struct net *net, struct netdev *dev, FILE *out)
{
}

static int store_flush(struct net *net, struct netdev *dev, const char *text)
{
	pmtu_flush(net);
	return 0;
}

/* Two numbers and nothing else. */
static bool read_pair(const char *text, long v[2])
{
	char *end;

	for (unsigned i = 0; i < 2; i++) {
		errno = 0;
		v[i] = strtol(text, &end, 10);
		if (end == text || errno)
			return false;
		text = end;
	}
	return !text[strspn(text, " \t\n")];
}

static void show_ports(struct net *net, struct netdev *dev, FILE *out)
{
	fprintf(out, "%d\t%d\n", net->ip4->local_port_range[0], net->ip4->local_port_range[1]);
}

static int store_ports(struct net *net, struct netdev *dev, const char *text)
{
	long v[2];

	/* Ports that only the privileged may bind cannot be handed out. */
	if (!read_pair(text, v) || v[0] < 1 || v[1] > 65535 || v[1] < v[0] ||
	    v[0] < net->ip4->unprivileged_port_start)
		return -EINVAL;
	WRITE_ONCE(net->ip4->local_port_range[0], (int)v[0]);
	WRITE_ONCE(net->ip4->local_port_range[1], (int)v[1]);
	return 0;
}

static void show_groups(struct net *net, struct netdev *dev, FILE *out)
{
	fprintf(out, "%d\t%d\n", net->ip4->ping_group_range[0], net->ip4->ping_group_range[1]);
}

static int store_groups(struct net *net, struct netdev *dev, const char *text)
{
	long v[2];

	if (!read_pair(text, v) || v[0] < 0 || v[1] < 0 || v[0] > INT32_MAX || v[1] > INT32_MAX)
		return -EINVAL;
	if (v[1] < v[0]) { /* nobody */
		v[0] = 1;
		v[1] = 0;
	}
	WRITE_ONCE(net->ip4->ping_group_range[0], (int)v[0]);
	WRITE_ONCE(net->ip4->ping_group_range[1], (int)v[1]);
	return 0;
}

/* The lower end of the port range is the upper end of this one. */
static int store_unprivileged(struct net *net, struct netdev *dev, const char *text)
{
	char *end;
	long v = strtol(text, &end, 10);

	if (end == text || end[strspn(end, " \t\n")] || v < 0 || v > 65535 ||
	    v > net->ip4->local_port_range[0])
		return -EINVAL;
	WRITE_ONCE(net->ip4->unprivileged_port_start, (int)v);
	return 0;
}

static void show_unprivileged(struct net *net, struct netdev *dev, FILE *out)
{
	fprintf(out, "%d\n", net->ip4->unprivileged_port_start);
}

/* The thresholds of reassembly bound each other. */
static int store_thresh(struct net *net, const char *text, bool high)
{
	struct ip4_net *n = net->ip4;
	char *end;
	long v = strtol(text, &end, 10);

	if (end == text || end[strspn(end, " \t\n")] || v < 0 || v > INT32_MAX ||
	    (high ? v < n->frag_low_thresh : v > n->frag_high_thresh))
		return -EINVAL;
	if (high)
		WRITE_ONCE(n->frag_high_thresh, (int)v);
	else
		WRITE_ONCE(n->frag_low_thresh, (int)v);
	return 0;
}

static int store_high(struct net *net, struct netdev *dev, const char *text)
{
	return store_thresh(net, text, true);
}

static int store_low(struct net *net, struct netdev *dev, const char *text)
{
	return store_thresh(net, text, false);
}

static void show_high(struct net *net, struct netdev *dev, FILE *out)
{
	fprintf(out, "%d\n", net->ip4->frag_high_thresh);
}

static void show_low(struct net *net, struct netdev *dev, FILE *out)
{
	fprintf(out, "%d\n", net->ip4->frag_low_thresh);
}

#define INT(file, field, ...)                                                                      \
	{                                                                                          \
		"net/ipv4/" file, SYSCTL_INT, 0644, __VA_ARGS__, where_##field                     \
	}
#define ANY INT32_MIN, INT32_MAX
#define TEXT(file, field, mode, name)                                                              \
	{                                                                                          \
		"net/ipv4/" file, SYSCTL_STRING, mode, 0, 0, where_##field, NULL, show_##name,     \
			store_##name                                                               \
	}

static const struct sysctl_row rows[] = {
	INT("icmp_echo_enable_probe", icmp_echo_enable_probe, 0, 1),
	INT("icmp_echo_ignore_all", icmp_echo_ignore_all, 0, 1),
	INT("icmp_echo_ignore_broadcasts", icmp_echo_ignore_broadcasts, 0, 1),
	INT("icmp_errors_use_inbound_ifaddr", icmp_errors_use_inbound_ifaddr, 0, 1),
	INT("icmp_ignore_bogus_error_responses", icmp_ignore_bogus_error_responses, 0, 1),
	INT("icmp_msgs_burst", icmp_msgs_burst, 0, INT32_MAX),
	INT("icmp_msgs_per_sec", icmp_msgs_per_sec, 0, INT32_MAX),
	INT("icmp_ratelimit", icmp_ratelimit, 0, INT32_MAX),
	INT("icmp_ratemask", icmp_ratemask, ANY),
	INT("igmp_link_local_mcast_reports", igmp_link_local_mcast_reports, 0, 1),
	INT("igmp_max_memberships", igmp_max_memberships, ANY),
	INT("igmp_max_msf", igmp_max_msf, ANY),
	INT("igmp_qrv", igmp_qrv, 1, INT32_MAX),
	INT("ip_autobind_reuse", autobind_reuse, 0, 1),
	INT("ip_default_ttl", default_ttl, 1, 255),
	INT("ip_early_demux", ip_early_demux, 0, 1),
	INT("ip_forward_update_priority", fwd_update_priority, 0, 1),
	INT("ip_forward_use_pmtu", fwd_use_pmtu, 0, 255),
	TEXT("ip_local_port_range", local_port_range, 0644, ports),
	INT("ip_no_pmtu_disc", no_pmtu_disc, 0, 255),
	INT("ip_nonlocal_bind", nonlocal_bind, 0, 1),
	TEXT("ip_unprivileged_port_start", unprivileged_port_start, 0644, unprivileged),
	TEXT("ipfrag_high_thresh", frag_high_thresh, 0644, high),
	TEXT("ipfrag_low_thresh", frag_low_thresh, 0644, low),
	INT("ipfrag_max_dist", frag_max_dist, 0, INT32_MAX),
	{"net/ipv4/ipfrag_time", SYSCTL_SEC, 0644, 0, INT32_MAX, where_frag_time},
	TEXT("ping_group_range", ping_group_range, 0644, groups),
	TEXT("route/flush", min_pmtu, 0200, flush),
	INT("route/min_adv_mss", min_adv_mss, ANY),
	{"net/ipv4/route/min_pmtu", SYSCTL_INT, 0644, 68, INT32_MAX, where_min_pmtu, changed_flush},
	{"net/ipv4/route/mtu_expires", SYSCTL_SEC, 0644, 0, INT32_MAX, where_mtu_expires},
	{0},
};

int ip4_sysctl_init(struct weft *weft)
{
	int err = sysctl_add(weft->sysctls, ip4_sysctl_conf);

	if (!err)
		err = sysctl_add(weft->sysctls, rows);
	if (!err)
		err = sysctl_add(weft->sysctls, ip4_sysctl_neigh);
	if (!err)
		err = sysctl_add(weft->sysctls, ip4_sysctl_ports);
	if (!err)
		err = sysctl_add(weft->sysctls, ip4_sysctl_route);
	return err;
}
