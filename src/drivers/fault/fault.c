/*
 * fault: the device around the two lanes of fault.h.
 *
 * It takes every frame that the device below receives (as that one's rx handler) and sends through
 * it. Frames that come on another worker than 0 are posted there with the lane's number; one that
 * arrives after the device went down ends.
 */
#include "drivers/fault/fault.h"

#include "abi/kinds.h"
#include "drivers/kinds.h"
#include "net/net.h"
#include "run/instance.h"

#define RATE_MAX	WEFT_FAULT_RATE_MAX
#define TIME_MAX	1000000000 /* us */
#define LIMIT_MAX	(1u << 20)
#define LIMIT		10000
#define ADDR_FROM_LOWER 2 /* NET_ADDR_STOLEN */

enum { IN, OUT, N_LANES };

struct fault_params {
	struct fault_conf conf;
	uint32_t direction; /* WEFT_FAULT_IN | WEFT_FAULT_OUT */
	uint64_t seed;
};

struct fault {
	struct netdev *dev, *lower;
	struct fault_params params;
	bool attached; /* the device below hands its frames over */
	struct fault_lane lane[N_LANES];
};

/* ---- packets ---- */

static void drop_all(struct worker *w, struct batch *b, enum drop why)
{
	for (unsigned i = 0; i < b->n; i++)
		pkt_drop(w, b->p[i], why);
	b->n = 0;
}

static void feed(struct worker *w, struct netdev *dev, unsigned lane, struct batch *b)
{
	struct fault *f = dev->priv;

	if (unlikely(!netdev_running(dev)))
		drop_all(w, b, DROP_DEV_DOWN);
	else
		lane_feed(w, &f->lane[lane], b);
}

static void posted(struct worker *w, struct pkt *p)
{
	struct netdev *dev = p->dev;
	struct batch b;

	batch_one(&b, p);
	feed(w, dev, (unsigned)p->cb[0], &b);
}

/* To worker 0, where the lanes are. Takes. */
static void hand(struct worker *w, struct netdev *dev, unsigned lane, struct batch *b)
{
	if (likely(!w->id)) {
		feed(w, dev, lane, b);
		return;
	}
	for (unsigned i = 0; i < b->n; i++) {
		b->p[i]->dev = dev;
		b->p[i]->cb[0] = lane;
		worker_post(dev->core->workers[0], b->p[i], posted);
	}
	b->n = 0;
}

static void fault_xmit(struct worker *w, struct netdev *dev, struct batch *b)
{
	struct dev_count *c = dev_counter(dev, w);

	c->tx_packets += b->n;
	for (unsigned i = 0; i < b->n; i++)
		c->tx_bytes += b->p[i]->total;
	hand(w, dev, OUT, b);
}

/* What the device below has received, its header read: back to where the frame begins, since one
 * that was corrupted must be read again. */
static void fault_rx(struct worker *w, struct netdev *lower, struct batch *b)
{
	struct netdev *dev = rcu_dereference(lower->rx_handler_data);

	for (unsigned i = 0; i < b->n; i++)
		pkt_push(b->p[i], ETH_HLEN);
	hand(w, dev, IN, b);
}

static void out_up(struct worker *w, struct fault_lane *l, struct batch *b)
{
	struct fault *f = container_of(l, struct fault, lane[IN]);

	netdev_rx(w, f->dev, b);
}

static void out_down(struct worker *w, struct fault_lane *l, struct batch *b)
{
	struct fault *f = container_of(l, struct fault, lane[OUT]);

	for (unsigned i = 0; i < b->n; i++)
		b->p[i]->dev = f->lower;
	netdev_xmit(w, f->lower, b);
}

static void due(const struct fault *f, unsigned lane, uint64_t now)
{
	struct worker *w = f->dev->core->workers[0];

	lane_due(w, (struct fault_lane *)&f->lane[lane], now);
}

static void in_due(struct timer *t, uint64_t now)
{
	due(container_of(t, struct fault, lane[IN].timer), IN, now);
}

static void out_due(struct timer *t, uint64_t now)
{
	due(container_of(t, struct fault, lane[OUT].timer), OUT, now);
}

/* ---- state ---- */

static int fault_open(struct netdev *dev, struct extack *ext)
{
	struct fault *f = dev->priv;

	if (!netdev_running(f->lower))
		return -ENETDOWN;
	/* frames to whatever address this device has */
	netdev_promiscuity(f->lower, 1);
	netdev_set_carrier(dev, f->lower->carrier);
	return 0;
}

static void fault_stop(struct netdev *dev)
{
	struct fault *f = dev->priv;

	for (unsigned i = 0; i < N_LANES; i++)
		lane_purge(dev->core->workers[0], &f->lane[i]);
	netdev_promiscuity(f->lower, -1);
	netdev_set_carrier(dev, false);
}

static void fault_fini(struct netdev *dev)
{
	struct fault *f = dev->priv;

	/* a worker may be between the two: the data stays */
	if (f->attached)
		rcu_set_pointer(&f->lower->rx_handler, NULL);
	for (unsigned i = 0; i < N_LANES; i++)
		lane_fini(&f->lane[i]);
}

static int fault_iflink(const struct netdev *dev, struct net **net)
{
	const struct fault *f = dev->priv;

	*net = f->lower->net;
	return f->lower->ifindex;
}

static int fault_set_mtu(struct netdev *dev, unsigned mtu, struct extack *ext)
{
	const struct fault *f = dev->priv;

	return mtu > f->lower->mtu ? extack_set(ext, -ERANGE, "mtu greater than the device below")
				   : 0;
}

static void fault_lower_event(struct netdev *dev, struct netdev *lower, enum event_type what)
{
	switch (what) {
	case EVENT_DEV_UP:
		netdev_set_flags(dev, IFF_UP, IFF_UP, NULL);
		break;
	case EVENT_DEV_DOWN:
		netdev_set_flags(dev, 0, IFF_UP, NULL);
		break;
	case EVENT_DEV_CARRIER:
		if (netdev_running(dev))
			netdev_set_carrier(dev, lower->carrier);
		break;
	case EVENT_DEV_MTU:
		if (dev->mtu > lower->mtu)
			netdev_set_mtu(dev, lower->mtu, NULL);
		break;
	case EVENT_DEV_ADDR:
		if (dev->addr_assign_type != ADDR_FROM_LOWER)
			break;
		memcpy(dev->addr, lower->addr, ETH_ALEN);
		netdev_event(dev, EVENT_DEV_ADDR, 0);
		break;
	default:
		break;
	}
}

/* ---- counters ---- */

#define NAMES(way)                                                                                 \
	way "_frames", way "_passed", way "_lost", way "_duplicated", way "_reordered",            \
		way "_corrupted", way "_delayed", way "_refused", way "_waiting"

static const char *const stat_names[] = {NAMES("in"), NAMES("out"), NULL};
static_assert(ARRAY_SIZE(stat_names) == N_LANES * N_FAULT_STATS + 1, "a name for each");

static unsigned fault_ethtool_stats(const struct netdev *dev, const char *const **names,
				    uint64_t *vals)
{
	const struct fault *f = dev->priv;

	*names = stat_names;
	for (unsigned i = 0; vals && i < N_LANES; i++) {
		memcpy(vals, f->lane[i].stat, sizeof(f->lane[i].stat));
		vals[FAULT_WAITING] = f->lane[i].n_wait + f->lane[i].held.n;
		vals += N_FAULT_STATS;
	}
	return N_LANES * N_FAULT_STATS;
}

static const struct netdev_ops fault_ops = {
	.xmit = fault_xmit,
	.open = fault_open,
	.stop = fault_stop,
	.fini = fault_fini,
	.iflink = fault_iflink,
	.set_mtu = fault_set_mtu,
	.lower_event = fault_lower_event,
	.ethtool_stats = fault_ethtool_stats,
};

/* ---- settings ---- */

#define ROW(attr, type, member, min, max, name, unit)                                              \
	{                                                                                          \
		WEFT_FAULT_##attr, PARAM_##type, 0, offsetof(struct fault_params, member), min,    \
			max, name, unit                                                            \
	}
static const struct dev_param fault_params[] = {
	ROW(SEED, U64, seed, 0, 0, "seed", NULL),
	ROW(LOSS, U32, conf.loss, 0, RATE_MAX, "loss", "ppm"),
	ROW(DUP, U32, conf.dup, 0, RATE_MAX, "dup", "ppm"),
	ROW(REORDER, U32, conf.reorder, 0, RATE_MAX, "reorder", "ppm"),
	ROW(CORRUPT, U32, conf.corrupt, 0, RATE_MAX, "corrupt", "ppm"),
	ROW(DELAY, U32, conf.delay, 0, TIME_MAX, "delay", "us"),
	ROW(JITTER, U32, conf.jitter, 0, TIME_MAX, "jitter", "us"),
	ROW(DIRECTION, U32, direction, 1, WEFT_FAULT_IN | WEFT_FAULT_OUT, "direction", NULL),
	ROW(LIMIT, U32, conf.limit, 1, LIMIT_MAX, "limit", "frames"),
};
#undef ROW
#define GIVEN_SEED 1u /* the first row */

static void fault_defaults(void *params)
{
	struct fault_params *p = params;

	p->direction = WEFT_FAULT_IN | WEFT_FAULT_OUT;
	p->conf.limit = LIMIT;
}

static void fault_get(const struct netdev *dev, void *params)
{
	const struct fault *f = dev->priv;

	*(struct fault_params *)params = f->params;
}

static int apply(struct fault *f, const struct fault_params *p)
{
	static const struct fault_conf none = {0};
	struct fault_conf old = f->lane[IN].conf;
	int err = lane_set(&f->lane[IN], p->direction & WEFT_FAULT_IN ? &p->conf : &none);

	if (err)
		return err;
	err = lane_set(&f->lane[OUT], p->direction & WEFT_FAULT_OUT ? &p->conf : &none);
	if (err)
		f->lane[IN].conf = old;
	else
		f->params = *p;
	return err;
}

static void reseed(struct fault *f, uint64_t seed)
{
	struct rng r;

	f->params.seed = seed;
	rng_seed(&r, seed);
	for (unsigned i = 0; i < N_LANES; i++)
		lane_seed(&f->lane[i], rng_u64(&r));
}

/* A row of the table is a member: those given, over what there is. */
static void merge(struct fault_params *to, const struct fault_params *from, uint64_t given)
{
	for (unsigned i = 0; i < ARRAY_SIZE(fault_params); i++) {
		size_t off = fault_params[i].off;
		if (given >> i & 1)
			memcpy((char *)to + off, (const char *)from + off,
			       fault_params[i].type == PARAM_U64 ? 8 : 4);
	}
}

static int fault_change(struct netdev *dev, const void *params, const uint64_t given[2],
			struct extack *ext)
{
	struct fault *f = dev->priv;
	struct fault_params p = f->params;

	merge(&p, params, given[0]);
	int err = apply(f, &p);
	if (!err && (given[0] & GIVEN_SEED))
		reseed(f, p.seed);
	return err;
}

static void inherit(struct netdev *dev, const struct netdev *lower)
{
	dev->flags = lower->flags & (IFF_BROADCAST | IFF_MULTICAST | IFF_NOARP | IFF_POINTOPOINT);
	dev->mtu = lower->mtu;
	memcpy(dev->addr, lower->addr, sizeof(dev->addr));
	dev->addr_assign_type = ADDR_FROM_LOWER;
	memcpy(dev->broadcast, lower->broadcast, sizeof(dev->broadcast));
}

static int check_lower(const struct netdev *lower, struct extack *ext)
{
	if (!lower)
		return extack_set(ext, -EINVAL, "link not specified");
	if (lower->type != ARPHRD_ETHER)
		return extack_set(ext, -EINVAL, "the device below is not an Ethernet device");
	if (lower->rx_handler)
		return extack_set(ext, -EBUSY, "another device takes the frames of the one below");
	return 0;
}

/* The device's own part, before it is registered. */
static int prepare(struct netdev *dev, const struct dev_new *n, struct extack *ext)
{
	const struct fault_params *p = n->params;
	struct fault *f = dev->priv;

	f->dev = dev;
	f->lower = n->link;
	lane_init(&f->lane[IN], out_up);
	lane_init(&f->lane[OUT], out_down);
	timer_init(&f->lane[IN].timer, in_due);
	timer_init(&f->lane[OUT].timer, out_due);
	inherit(dev, n->link);
	int err = apply(f, p);
	if (err)
		return err;
	reseed(f, n->given[0] & GIVEN_SEED ? p->seed : rng_u64(&dev->core->workers[0]->rng));
	err = netdev_first_address(dev, n->address, ext);
	if (!err && n->mtu)
		err = fault_set_mtu(dev, n->mtu, ext);
	return err ? err : netdev_first_mtu(dev, n->mtu, ext);
}

static int fault_create(struct dev_core *core, const struct dev_new *n, struct netdev **out,
			struct extack *ext)
{
	int err = check_lower(n->link, ext);
	struct netdev *dev;

	if (err)
		return err;
	dev = netdev_alloc(core, &fault_kind, n->n_txq, n->n_rxq);
	if (!dev)
		return -ENOMEM;
	err = prepare(dev, n, ext);
	if (!err)
		err = netdev_link_lower(dev, n->link, ext);
	if (err)
		goto free;
	err = netdev_register(dev, n->net, n->name && *n->name ? n->name : "fault%d", n->ifindex,
			      ext);
	if (err)
		goto unlink;
	rcu_assign_pointer(n->link->rx_handler_data, dev);
	rcu_assign_pointer(n->link->rx_handler, fault_rx);
	((struct fault *)dev->priv)->attached = true;
	*out = dev;
	return 0;

unlink:
	netdev_unlink_lower(dev);
free:
	fault_fini(dev);
	netdev_free(dev);
	return err;
}

static void fault_setup(struct netdev *dev)
{
	/* no segmentation: each frame has its own fate */
	dev->features = DEV_F_SG | DEV_F_TX_CSUM | DEV_F_RX_CSUM | DEV_F_VLAN_TX | DEV_F_LLTX;
	dev->features_hw = dev->features & ~(uint32_t)DEV_F_LLTX;
	dev->min_mtu = 0;
	dev->max_mtu = ETH_MAX_MTU;
	dev->carrier = false;
}

const struct dev_kind fault_kind = {
	.name = "fault",
	.priv_size = sizeof(struct fault),
	.params_size = sizeof(struct fault_params),
	.params = fault_params,
	.n_params = ARRAY_SIZE(fault_params),
	.ops = &fault_ops,
	.setup = fault_setup,
	.defaults = fault_defaults,
	.create = fault_create,
	.change = fault_change,
	.get = fault_get,
};
