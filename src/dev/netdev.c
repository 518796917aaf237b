/*
 * netdev: a device as an object: its memory, its counters, what is stacked on it.
 *
 * How it enters, leaves and changes namespaces is in net/net_dev.c, which knows namespaces.
 */
#include "dev/netdev.h"

#include "dev/kind.h"
#include "run/instance.h"

#define REAP_AFTER NSEC_PER_SEC
#define DEPTH_MAX  8

/* ---- memory ---- */

static void ether_defaults(struct netdev *dev)
{
	dev->type = ARPHRD_ETHER;
	dev->addr_len = ETH_ALEN;
	dev->hard_header_len = ETH_HLEN;
	dev->flags = IFF_BROADCAST | IFF_MULTICAST;
	memset(dev->broadcast, 0xff, ETH_ALEN);
	dev->mtu = ETH_DATA_LEN;
	dev->min_mtu = ETH_MIN_MTU;
	dev->max_mtu = ETH_DATA_LEN;
	dev->txqlen = 1000;
	dev->gso_max_size = dev->gro_max_size = dev->tso_max_size = 65536;
	dev->gso_ipv4_max_size = dev->gro_ipv4_max_size = 65536;
	dev->gso_max_segs = dev->tso_max_segs = 65535;
	dev->operstate = IF_OPER_UNKNOWN;
	dev->carrier = true;
	dev->link_netnsid = -1;
}

struct netdev *netdev_alloc(struct dev_core *core, const struct dev_kind *kind, unsigned n_txq,
			    unsigned n_rxq)
{
	struct netdev *dev = calloc(1, sizeof(*dev));
	size_t counts = core->n_workers * sizeof(*dev->count);

	if (!dev)
		return NULL;
	dev->count = aligned_alloc(CACHE_LINE, counts);
	dev->priv = calloc(1, kind->priv_size ? kind->priv_size : 1);
	if (!dev->count || !dev->priv) {
		netdev_free(dev);
		return NULL;
	}
	memset(dev->count, 0, counts);
	dev->core = core;
	dev->weft = core->weft;
	dev->kind = kind;
	dev->ops = kind->ops;
	dev->n_txq = dev->num_txq_max = MAX(n_txq, 1u);
	dev->n_rxq = dev->num_rxq_max = MAX(n_rxq, 1u);
	CDS_INIT_LIST_HEAD(&dev->altnames);
	CDS_INIT_LIST_HEAD(&dev->maddrs);
	CDS_INIT_LIST_HEAD(&dev->uaddrs);
	CDS_INIT_LIST_HEAD(&dev->taps);
	CDS_INIT_LIST_HEAD(&dev->net_link);
	CDS_INIT_LIST_HEAD(&dev->uppers);
	CDS_INIT_LIST_HEAD(&dev->lower_link);
	ether_defaults(dev);
	if (kind->setup)
		kind->setup(dev);
	dev->features_wanted = dev->features;
	return dev;
}

static void free_addrs(struct cds_list_head *list)
{
	struct dev_maddr *m, *next;

	cds_list_for_each_entry_safe (m, next, list, link)
		free(m);
}

void netdev_free(struct netdev *dev)
{
	struct altname *a, *next;

	if (!dev)
		return;
	if (dev->core) {
		free_addrs(&dev->maddrs);
		free_addrs(&dev->uaddrs);
		cds_list_for_each_entry_safe (a, next, &dev->altnames, link)
			free(a);
	}
	free(dev->alias);
	free(dev->count);
	free(dev->priv);
	free(dev);
}

void netdev_random_address(struct netdev *dev)
{
	uint64_t r = rng_u64(&dev->core->workers[0]->rng);

	memcpy(dev->addr, &r, ETH_ALEN);
	dev->addr[0] = (uint8_t)((dev->addr[0] & ~1) | 2);
	dev->addr_assign_type = NET_ADDR_RANDOM;
}

static bool is_unicast_ether(const uint8_t *a)
{
	static const uint8_t zero[ETH_ALEN];

	return !(a[0] & 1) && memcmp(a, zero, ETH_ALEN);
}

int netdev_first_address(struct netdev *dev, const uint8_t *addr, struct extack *ext)
{
	if (!addr)
		return 0;
	if (dev->type == ARPHRD_ETHER && !is_unicast_ether(addr))
		return -EADDRNOTAVAIL;
	memcpy(dev->addr, addr, dev->addr_len);
	dev->addr_assign_type = NET_ADDR_SET;
	return 0;
}

int netdev_first_mtu(struct netdev *dev, unsigned mtu, struct extack *ext)
{
	if (!mtu)
		return 0;
	if (mtu < dev->min_mtu)
		return extack_set(ext, -EINVAL, "mtu less than device minimum");
	if (dev->max_mtu && mtu > dev->max_mtu)
		return extack_set(ext, -EINVAL, "mtu greater than device maximum");
	dev->mtu = mtu;
	return 0;
}

/* ---- memory that packets may point to ---- */

static void reap_due(struct timer *t, uint64_t now)
{
	struct dev_reap *r = container_of(t, struct dev_reap, timer);

	cds_list_del(&r->link);
	call_rcu(&r->rcu, r->free);
}

void dev_reap(struct dev_core *core, struct dev_reap *r, void (*free_fn)(struct rcu_head *))
{
	struct worker *w = core->workers[0];

	if (core->n_workers == 1) {
		call_rcu(&r->rcu, free_fn);
		return;
	}
	if (!core->reaping.next)
		CDS_INIT_LIST_HEAD(&core->reaping);
	r->free = free_fn;
	cds_list_add_tail(&r->link, &core->reaping);
	timer_init(&r->timer, reap_due);
	timer_set(&w->wheel, &r->timer, w->now + REAP_AFTER);
}

void dev_core_fini(struct dev_core *core)
{
	struct dev_reap *r, *next;

	if (!core->reaping.next)
		return;
	cds_list_for_each_entry_safe (r, next, &core->reaping, link) {
		timer_del(&r->timer);
		reap_due(&r->timer, 0);
	}
}

/* ---- counters and flags ---- */

void netdev_stats(const struct netdev *dev, struct rtnl_link_stats64 *st)
{
	memset(st, 0, sizeof(*st));
	for (unsigned i = 0; i < dev->core->n_workers; i++) {
		const struct dev_count *c = &dev->count[i];

		st->rx_packets += READ_ONCE(c->rx_packets);
		st->rx_bytes += READ_ONCE(c->rx_bytes);
		st->rx_errors += READ_ONCE(c->rx_errors);
		st->rx_dropped += READ_ONCE(c->rx_dropped);
		st->multicast += READ_ONCE(c->multicast);
		st->rx_nohandler += READ_ONCE(c->rx_nohandler);
		st->tx_packets += READ_ONCE(c->tx_packets);
		st->tx_bytes += READ_ONCE(c->tx_bytes);
		st->tx_errors += READ_ONCE(c->tx_errors);
		st->tx_dropped += READ_ONCE(c->tx_dropped);
		st->rx_length_errors += READ_ONCE(c->rx_length_errors);
		st->rx_crc_errors += READ_ONCE(c->rx_crc_errors);
		st->rx_over_errors += READ_ONCE(c->rx_over_errors);
		st->rx_frame_errors += READ_ONCE(c->rx_frame_errors);
		st->collisions += READ_ONCE(c->collisions);
		st->tx_carrier_errors += READ_ONCE(c->tx_carrier_errors);
	}
	if (dev->ops->stats)
		dev->ops->stats(dev, st);
}

unsigned netdev_user_flags(const struct netdev *dev)
{
	unsigned derived = IFF_PROMISC | IFF_ALLMULTI | IFF_RUNNING | IFF_LOWER_UP | IFF_DORMANT;
	unsigned flags = (dev->flags & ~derived) | dev->gflags;

	if (!(dev->flags & IFF_UP))
		return flags;
	if (dev->operstate == IF_OPER_UP || dev->operstate == IF_OPER_UNKNOWN)
		flags |= IFF_RUNNING;
	if (dev->carrier)
		flags |= IFF_LOWER_UP;
	if (dev->dormant)
		flags |= IFF_DORMANT;
	return flags;
}

/* ---- stacks ---- */

int netdev_link_lower(struct netdev *upper, struct netdev *lower, struct extack *ext)
{
	unsigned depth = 1;

	for (const struct netdev *d = lower; d; d = d->lower, depth++)
		if (d == upper || depth > DEPTH_MAX)
			return extack_set(ext, d == upper ? -EBUSY : -EMLINK,
					  "too many devices stacked");
	upper->lower = lower;
	cds_list_add_tail(&upper->lower_link, &lower->uppers);
	return 0;
}

void netdev_unlink_lower(struct netdev *upper)
{
	if (!upper->lower)
		return;
	cds_list_del(&upper->lower_link);
	CDS_INIT_LIST_HEAD(&upper->lower_link);
	upper->lower = NULL;
}

void netdev_event(struct netdev *dev, enum event_type what, uint64_t arg)
{
	struct event e = {.type = what, .net = dev->net, .dev = dev, .arg = arg};
	struct netdev *upper, *next;

	if (dev->net_seq)
		++*dev->net_seq;
	event_emit(dev->core->events, &e);
	cds_list_for_each_entry_safe (upper, next, &dev->uppers, lower_link)
		if (upper->ops->lower_event)
			upper->ops->lower_event(upper, dev, what);
}
