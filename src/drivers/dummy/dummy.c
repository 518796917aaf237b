/* dummy: swallows what is sent. A place for addresses. */
#include "drivers/kinds.h"

static void dummy_xmit(struct worker *w, struct netdev *dev, struct batch *b)
{
	struct dev_count *c = dev_counter(dev, w);

	c->tx_packets += b->n;
	for (unsigned i = 0; i < b->n; i++)
		c->tx_bytes += b->p[i]->total;
	pkt_free_bulk(&w->cache, b);
}

static int dummy_set_carrier(struct netdev *dev, bool on)
{
	netdev_set_carrier(dev, on);
	return 0;
}

static const struct netdev_ops dummy_ops = {
	.xmit = dummy_xmit,
	.set_carrier = dummy_set_carrier,
	.no_link_state = true,
};

static void dummy_setup(struct netdev *dev)
{
	dev->flags |= IFF_NOARP;
	dev->flags &= ~(unsigned)IFF_MULTICAST;
	dev->min_mtu = dev->max_mtu = 0;
	dev->features = DEV_F_SG | DEV_F_TX_CSUM | DEV_F_TSO4 | DEV_F_TSO6 | DEV_F_GSO | DEV_F_GRO |
			DEV_F_UDP_SEG | DEV_F_LLTX;
	dev->features_hw = dev->features & ~(uint32_t)DEV_F_LLTX;
	netdev_random_address(dev);
}

const struct dev_kind dummy_kind = {
	.name = "dummy",
	.ops = &dummy_ops,
	.setup = dummy_setup,
};
