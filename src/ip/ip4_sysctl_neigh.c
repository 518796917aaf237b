/*
 * ip4_sysctl_neigh: /proc/sys/net/ipv4/neigh/<dev>/: struct neigh_parms as files.
 *
 * A value stored for "default" reaches the devices that still had the old default. The
 * thresholds of garbage collection are the table's and stand under "default" alone.
 */
#include "ip/ip4_sysctl.h"

/* What one queued full-sized Ethernet frame is charged: turns unres_qlen into bytes and back. */
#define FRAME_TRUESIZE 2090

static struct neigh_parms *parms_of(struct net *net, struct netdev *dev, const char *which)
{
	if (dev)
		return dev->in_dev ? dev->in_dev->arp_parms : NULL;
	return !strcmp(which, "default") ? net->ip4->arp_default : NULL;
}

/* Hands a changed default of one member on to devices. */
#define SPREAD(net, dev, field)                                                                    \
	do {                                                                                       \
		struct ip4_net *n_ = (net)->ip4;                                                   \
		struct netdev *d_;                                                                 \
		if (dev)                                                                           \
			break;                                                                     \
		cds_list_for_each_entry (d_, &(net)->devs, net_link) {                             \
			if (d_->in_dev &&                                                          \
			    d_->in_dev->arp_parms->field == n_->arp_default_was.field)             \
				WRITE_ONCE(d_->in_dev->arp_parms->field, n_->arp_default->field);  \
		}                                                                                  \
		n_->arp_default_was.field = n_->arp_default->field;                                \
	} while (0)

/* Members and the files that show them; a time may be shown in two units. */
#define NEIGH_FIELDS(X)                                                                            \
	X(anycast_delay)                                                                           \
	X(app_probes)                                                                              \
	X(delay_probe_time)                                                                        \
	X(gc_staletime)                                                                            \
	X(interval_probe_time)                                                                     \
	X(locktime)                                                                                \
	X(mcast_reprobes)                                                                          \
	X(mcast_probes)                                                                            \
	X(proxy_delay)                                                                             \
	X(proxy_qlen)                                                                              \
	X(retrans_time)                                                                            \
	X(ucast_probes)                                                                            \
	X(queue_len_bytes)

#define X(field)                                                                                   \
	static void *where_##field(struct net *net, struct netdev *dev, const char *which)         \
	{                                                                                          \
		struct neigh_parms *p = parms_of(net, dev, which);                                 \
		return p ? &p->field : NULL;                                                       \
	}                                                                                          \
	static void changed_##field(struct net *net, struct netdev *dev, const char *which,        \
				    int64_t old, int64_t now)                                      \
	{                                                                                          \
		SPREAD(net, dev, field);                                                           \
	}
NEIGH_FIELDS(X)
#undef X

static void *where_base_reachable(struct net *net, struct netdev *dev, const char *which)
{
	struct neigh_parms *p = parms_of(net, dev, which);
	return p ? &p->base_reachable_time : NULL;
}

/* The time in force varies from half to one and a half of the base (RFC 4861 6.3.2). */
static void randomise(struct net *net, struct neigh_parms *p)
{
	uint64_t base = p->base_reachable_time;

	WRITE_ONCE(p->reachable_time,
		   base ? base / 2 + rng_u64(&net->weft->worker[0]->rng) % base : 0);
}

static void changed_base_reachable(struct net *net, struct netdev *dev, const char *which,
				   int64_t old, int64_t now)
{
	struct netdev *d;

	SPREAD(net, dev, base_reachable_time);
	randomise(net, parms_of(net, dev, which));
	if (dev)
		return;
	cds_list_for_each_entry (d, &net->devs, net_link)
		if (d->in_dev)
			randomise(net, d->in_dev->arp_parms);
}

/* unres_qlen: the queue's limit in frames. */
static struct neigh_parms *parms_or_default(struct net *net, struct netdev *dev)
{
	return parms_of(net, dev, "default");
}

static void show_unres_qlen(struct net *net, struct netdev *dev, FILE *out)
{
	struct neigh_parms *p = parms_or_default(net, dev);

	fprintf(out, "%d\n", p ? p->queue_len_bytes / FRAME_TRUESIZE : 0);
}

static int store_unres_qlen(struct net *net, struct netdev *dev, const char *text)
{
	struct neigh_parms *p = parms_or_default(net, dev);
	char *end;
	long v = strtol(text, &end, 10);

	if (!p || end == text || end[strspn(end, " \t\n")] || v < 0 ||
	    v > INT32_MAX / FRAME_TRUESIZE)
		return -EINVAL;
	WRITE_ONCE(p->queue_len_bytes, (int)v * FRAME_TRUESIZE);
	SPREAD(net, dev, queue_len_bytes);
	return 0;
}

#define TABLE_FIELDS(X)                                                                            \
	X(gc_interval)                                                                             \
	X(gc_thresh1)                                                                              \
	X(gc_thresh2)                                                                              \
	X(gc_thresh3)

#define X(field)                                                                                   \
	static void *where_##field(struct net *net, struct netdev *dev, const char *which)         \
	{                                                                                          \
		return parms_of(net, dev, which) && !dev ? &ip4_core(net)->arp.field : NULL;       \
	}
TABLE_FIELDS(X)
#undef X

#define MAX_MS	(INT32_MAX)
#define MAX_SEC (INT32_MAX / 100)
#define ROW(file, type, max, field)                                                                \
	{                                                                                          \
		"net/ipv4/neigh/%s/" file, type, 0644, 0, max, where_##field, changed_##field      \
	}
#define TABLE_ROW(file, type, max, field)                                                          \
	{                                                                                          \
		"net/ipv4/neigh/%s/" file, type, 0644, 0, max, where_##field                       \
	}

const struct sysctl_row ip4_sysctl_neigh[] = {
	ROW("anycast_delay", SYSCTL_JIFFIES, MAX_MS, anycast_delay),
	ROW("app_solicit", SYSCTL_INT, INT32_MAX, app_probes),
	ROW("base_reachable_time", SYSCTL_SEC, MAX_SEC, base_reachable),
	ROW("base_reachable_time_ms", SYSCTL_MS, MAX_MS, base_reachable),
	ROW("delay_first_probe_time", SYSCTL_SEC, MAX_SEC, delay_probe_time),
	ROW("gc_stale_time", SYSCTL_SEC, MAX_SEC, gc_staletime),
	{"net/ipv4/neigh/%s/interval_probe_time_ms", SYSCTL_MS, 0644, 1, MAX_MS,
	 where_interval_probe_time, changed_interval_probe_time},
	ROW("locktime", SYSCTL_JIFFIES, MAX_MS, locktime),
	ROW("mcast_resolicit", SYSCTL_INT, INT32_MAX, mcast_reprobes),
	ROW("mcast_solicit", SYSCTL_INT, INT32_MAX, mcast_probes),
	ROW("proxy_delay", SYSCTL_JIFFIES, MAX_MS, proxy_delay),
	ROW("proxy_qlen", SYSCTL_INT, INT32_MAX, proxy_qlen),
	ROW("retrans_time", SYSCTL_JIFFIES, MAX_MS, retrans_time),
	ROW("retrans_time_ms", SYSCTL_MS, MAX_MS, retrans_time),
	ROW("ucast_solicit", SYSCTL_INT, INT32_MAX, ucast_probes),
	{"net/ipv4/neigh/%s/unres_qlen", SYSCTL_STRING, 0644, 0, 0, where_queue_len_bytes, NULL,
	 show_unres_qlen, store_unres_qlen},
	ROW("unres_qlen_bytes", SYSCTL_INT, INT32_MAX, queue_len_bytes),
	TABLE_ROW("gc_interval", SYSCTL_SEC, MAX_SEC, gc_interval),
	TABLE_ROW("gc_thresh1", SYSCTL_INT, INT32_MAX, gc_thresh1),
	TABLE_ROW("gc_thresh2", SYSCTL_INT, INT32_MAX, gc_thresh2),
	TABLE_ROW("gc_thresh3", SYSCTL_INT, INT32_MAX, gc_thresh3),
	{0},
};
