/* memif: the device. See memif.h. */
#include "drivers/memif/memif.h"

#include "abi/kinds.h"
#include "drivers/kinds.h"
#include "net/net.h"

#define FRAME_HEAD 18 /* link header and a VLAN tag */

static int memif_open(struct netdev *dev, struct extack *ext)
{
	return memif_dev_start(memif_dev(dev), ext);
}

static void memif_stop(struct netdev *dev)
{
	memif_dev_stop(memif_dev(dev));
}

static void wipe(struct memif_dev *m)
{
	if (m->news && m->news->under_way)
		m->news->dev = NULL; /* whom it reaches frees it */
	else
		free(m->news);
	m->news = NULL;
}

static void memif_fini(struct netdev *dev)
{
	wipe(memif_dev(dev));
}

static const char *const stat_names[] = {"rx_bad_descriptors", "connected", NULL};

static unsigned memif_ethtool_stats(const struct netdev *dev, const char *const **names,
				    uint64_t *vals)
{
	const struct memif_dev *m = dev->priv;

	*names = stat_names;
	if (vals) {
		vals[0] = READ_ONCE(((struct memif_dev *)dev->priv)->rx_bad);
		vals[1] = m->link != NULL;
	}
	return 2;
}

static const struct netdev_ops memif_ops = {
	.open = memif_open,
	.stop = memif_stop,
	.fini = memif_fini,
	.xmit = memif_xmit,
	.ethtool_stats = memif_ethtool_stats,
};

/* ---- the kind ---- */

#define ROW(attr, type, flags, field, min, max, name)                                              \
	{                                                                                          \
		attr, type, flags, offsetof(struct memif_params, field), min, max, name, NULL      \
	}

static const struct dev_param memif_rows[] = {
	ROW(WEFT_MEMIF_SOCKET, PARAM_STRING, PARAM_CREATE | PARAM_REQUIRED, socket, 0,
	    MEMIF_PATH_MAX, "socket"),
	ROW(WEFT_MEMIF_ROLE, PARAM_U32, PARAM_CREATE, role, 0, WEFT_MEMIF_CLIENT, "role"),
	ROW(WEFT_MEMIF_ID, PARAM_U32, PARAM_CREATE, id, 0, UINT32_MAX, "id"),
	ROW(WEFT_MEMIF_SECRET, PARAM_STRING, PARAM_CREATE, secret, 0, MEMIF_SECRET_SIZE, "secret"),
	ROW(WEFT_MEMIF_QUEUES, PARAM_U32, PARAM_CREATE, queues, 1, MEMIF_QUEUES_MAX, "queues"),
	ROW(WEFT_MEMIF_RING, PARAM_U32, PARAM_CREATE, ring, 2, 1u << MEMIF_LOG2_RING_MAX, "ring"),
	ROW(WEFT_MEMIF_BUFFER, PARAM_U32, PARAM_CREATE, buffer, 64, 65536, "buffer"),
};

static void memif_defaults(void *params)
{
	struct memif_params *p = params;

	p->queues = 1;
	p->ring = 1024;
	p->buffer = 2048;
}

static void memif_get(const struct netdev *dev, void *params)
{
	const struct memif_dev *m = dev->priv;

	memcpy(params, &m->set, sizeof(m->set));
	memset(((struct memif_params *)params)->secret, 0, sizeof(m->set.secret));
}

static int check(const struct memif_params *p, struct extack *ext)
{
	if (!p->socket[0] || !strcmp(p->socket, "@"))
		return extack_set(ext, -EINVAL, "a socket's name is needed");
	if (p->ring & (p->ring - 1))
		return extack_set(ext, -EINVAL, "the size of a ring is a power of two");
	if (p->buffer % 64)
		return extack_set(ext, -EINVAL, "the size of a buffer is a multiple of 64");
	return 0;
}

static int memif_create(struct dev_core *core, const struct dev_new *n, struct netdev **out,
			struct extack *ext)
{
	const struct memif_params *p = n->params;
	int err = check(p, ext);
	struct netdev *dev;

	if (err)
		return err;
	dev = netdev_alloc(core, &memif_kind, p->queues, p->queues);
	if (!dev)
		return -ENOMEM;
	struct memif_dev *m = memif_dev(dev);

	m->dev = dev;
	m->set = *p;
	CDS_INIT_LIST_HEAD(&m->listener_link);
	m->news = calloc(1, sizeof(*m->news));
	if (!m->news)
		err = -ENOMEM;
	else
		m->news->dev = m;
	if (!err)
		err = netdev_first_address(dev, n->address, ext);
	if (!err)
		err = netdev_first_mtu(dev, n->mtu, ext);
	if (!err)
		err = netdev_register(dev, n->net, n->name && *n->name ? n->name : "memif%d",
				      n->ifindex, ext);
	if (err) {
		wipe(m);
		netdev_free(dev);
		return err;
	}
	*out = dev;
	return 0;
}

static void memif_setup(struct netdev *dev)
{
	dev->features = DEV_F_SG | DEV_F_GSO | DEV_F_GRO | DEV_F_LLTX;
	dev->features_hw = DEV_F_GSO | DEV_F_GRO;
	dev->max_mtu = ETH_MAX_MTU - FRAME_HEAD;
	dev->carrier = false;
	netdev_random_address(dev);
}

const struct dev_kind memif_kind = {
	.name = "memif",
	.priv_size = sizeof(struct memif_dev),
	.params_size = sizeof(struct memif_params),
	.params = memif_rows,
	.n_params = ARRAY_SIZE(memif_rows),
	.ops = &memif_ops,
	.setup = memif_setup,
	.defaults = memif_defaults,
	.create = memif_create,
	.get = memif_get,
};
