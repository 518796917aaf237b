/* tap: the device. See tap.h. */
#include "drivers/tap/tap.h"

#include "abi/kinds.h"
#include "drivers/kinds.h"
#include "run/instance.h"

struct tap_params {
	char host[IFNAMSIZ];
	uint32_t queues;
};

/* ---- memory ---- */

static void dev_wipe(struct tap_dev *t)
{
	for (unsigned i = 0; t->stat_names && i < 2 * t->n; i++)
		free(t->stat_names[i]);
	free(t->stat_names);
	free(t->q);
	if (t->news && t->news->under_way)
		t->news->dev = NULL; /* whom it reaches frees it */
	else
		free(t->news);
	memset(t, 0, sizeof(*t));
}

static int dev_fill(struct netdev *dev, const char *host)
{
	struct tap_dev *t = dev->priv;
	unsigned n = dev->n_txq, threads = dev->core->n_workers - 1;

	t->n = n;
	t->q = calloc(n, sizeof(*t->q));
	t->stat_names = calloc(2 * n + 1, sizeof(*t->stat_names));
	t->news = calloc(1, sizeof(*t->news));
	if (!t->q || !t->stat_names || !t->news)
		return -ENOMEM;
	t->news->dev = dev;
	snprintf(t->wanted, sizeof(t->wanted), "%s", host);
	for (unsigned i = 0; i < n; i++) {
		struct tap_queue *q = &t->q[i];
		q->dev = dev;
		q->index = i;
		q->worker = dev->core->workers[threads ? 1 + i % threads : 0];
		q->rx.wfd.fd = -1;
		if (asprintf(&t->stat_names[2 * i], "rx_queue_%u_packets", i) < 0 ||
		    asprintf(&t->stat_names[2 * i + 1], "tx_queue_%u_packets", i) < 0)
			return -ENOMEM;
	}
	return 0;
}

/* ---- life ---- */

/* Holds the host's end, which follows what this device is. */
static int attach(struct netdev *dev, struct extack *ext)
{
	struct tap_dev *t = dev->priv;
	int err = tap_host_open(dev, ext);

	if (err)
		return err;
	if (!tap_host_udp_seg(t)) {
		dev->features &= ~(uint32_t)DEV_F_UDP_SEG;
		dev->features_hw &= ~(uint32_t)DEV_F_UDP_SEG;
		dev->features_wanted &= ~(uint32_t)DEV_F_UDP_SEG;
	}
	err = tap_host_offload(t, dev->features);
	if (err)
		tap_host_close(t);
	else
		tap_host_carrier(t, false);
	return err;
}

static int tap_init(struct netdev *dev, struct extack *ext)
{
	return attach(dev, ext);
}

static void tap_fini(struct netdev *dev)
{
	struct tap_dev *t = dev->priv;

	tap_host_close(t);
	dev_wipe(t);
}

static int tap_open(struct netdev *dev, struct extack *ext)
{
	struct tap_dev *t = dev->priv;
	int err = 0;

	if (t->attached && !tap_host_carrier(t, false))
		tap_host_close(t); /* deleted while we were down */
	if (!t->attached)
		err = attach(dev, ext);
	if (err)
		return err;
	tap_host_drain(t); /* from before: nobody listened */
	err = tap_queues_start(t);
	if (err)
		return err;
	tap_host_carrier(t, true);
	netdev_set_carrier(dev, true);
	return 0;
}

static void tap_stop(struct netdev *dev)
{
	struct tap_dev *t = dev->priv;

	tap_queues_stop(t);
	tap_host_carrier(t, false);
}

/* ---- settings of a device ---- */

static int tap_set_features(struct netdev *dev, uint32_t features)
{
	struct tap_dev *t = dev->priv;

	return t->attached ? tap_host_offload(t, features) : 0;
}

static int tap_set_carrier(struct netdev *dev, bool on)
{
	struct tap_dev *t = dev->priv;

	if (!t->attached)
		return on ? -ENODEV : 0;
	tap_host_carrier(t, on && netdev_running(dev));
	netdev_set_carrier(dev, on);
	return 0;
}

static unsigned tap_ethtool_stats(const struct netdev *dev, const char *const **names,
				  uint64_t *vals)
{
	const struct tap_dev *t = dev->priv;

	*names = (const char *const *)t->stat_names;
	for (unsigned i = 0; vals && i < t->n; i++) {
		vals[2 * i] = READ_ONCE(t->q[i].rx_packets);
		vals[2 * i + 1] = READ_ONCE(t->q[i].tx_packets);
	}
	return 2 * t->n;
}

static const struct netdev_ops tap_ops = {
	.init = tap_init,
	.fini = tap_fini,
	.open = tap_open,
	.stop = tap_stop,
	.xmit = tap_xmit,
	.set_features = tap_set_features,
	.set_carrier = tap_set_carrier,
	.ethtool_stats = tap_ethtool_stats,
};

/* ---- the kind ---- */

static const struct dev_param tap_params[] = {
	{WEFT_TAP_HOST, PARAM_STRING, PARAM_CREATE, offsetof(struct tap_params, host), 0,
	 IFNAMSIZ - 1, "host", NULL},
	{WEFT_TAP_QUEUES, PARAM_U32, PARAM_CREATE, offsetof(struct tap_params, queues), 1,
	 TAP_QUEUES_MAX, "queues", NULL},
};

static void tap_get(const struct netdev *dev, void *params)
{
	const struct tap_dev *t = dev->priv;
	struct tap_params *p = params;

	memcpy(p->host, t->host, sizeof(p->host));
	p->queues = t->n;
}

static int tap_create(struct dev_core *core, const struct dev_new *n, struct netdev **out,
		      struct extack *ext)
{
	const struct tap_params *p = n->params;
	unsigned queues = p->queues ? p->queues : MAX(n->n_txq, 1u);
	struct netdev *dev;
	int err;

	if (queues > TAP_QUEUES_MAX)
		return extack_set(ext, -ERANGE, "the host allows no more than 256 queues");
	dev = netdev_alloc(core, &tap_kind, queues, queues);
	if (!dev)
		return -ENOMEM;
	err = dev_fill(dev, p->host);
	if (!err)
		err = netdev_first_address(dev, n->address, ext);
	if (!err)
		err = netdev_first_mtu(dev, n->mtu, ext);
	if (!err)
		err = netdev_register(dev, n->net, n->name && *n->name ? n->name : "tap%d",
				      n->ifindex, ext);
	if (err) {
		dev_wipe(dev->priv);
		netdev_free(dev);
		return err;
	}
	*out = dev;
	return 0;
}

static void tap_setup(struct netdev *dev)
{
	dev->features = DEV_F_SG | DEV_F_TX_CSUM | DEV_F_RX_CSUM | DEV_F_TSO4 | DEV_F_TSO6 |
			DEV_F_GSO | DEV_F_GRO | DEV_F_UDP_SEG | DEV_F_LLTX;
	dev->features_hw = dev->features & ~(uint32_t)DEV_F_LLTX;
	dev->max_mtu = ETH_MAX_MTU;
	dev->carrier = false;
	netdev_random_address(dev);
}

const struct dev_kind tap_kind = {
	.name = "tap",
	.priv_size = sizeof(struct tap_dev),
	.params_size = sizeof(struct tap_params),
	.params = tap_params,
	.n_params = ARRAY_SIZE(tap_params),
	.ops = &tap_ops,
	.setup = tap_setup,
	.create = tap_create,
	.get = tap_get,
};
