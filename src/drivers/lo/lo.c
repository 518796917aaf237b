/*
 * lo: what is sent comes back. Over the worker's backlog, so that the receiving side never runs
 * inside of the sending one. Checksums are left undone on purpose: the bytes never leave.
 */
#include "drivers/kinds.h"

static void lo_xmit(struct worker *w, struct netdev *dev, struct batch *b)
{
	struct dev_count *c = dev_counter(dev, w);

	c->tx_packets += b->n;
	for (unsigned i = 0; i < b->n; i++) {
		/* No link's header counts here, as none is on a wire. */
		c->tx_bytes += b->p[i]->total - MIN(b->p[i]->total, (uint32_t)ETH_HLEN);
		b->p[i]->dev = dev;
	}
	netdev_rx_later(w, b);
}

static const struct netdev_ops lo_ops = {.xmit = lo_xmit};

static void lo_setup(struct netdev *dev)
{
	dev->type = ARPHRD_LOOPBACK;
	dev->flags = IFF_LOOPBACK;
	dev->mtu = 64 * 1024;
	dev->min_mtu = dev->max_mtu = 0;
	memset(dev->broadcast, 0, ETH_ALEN);
	dev->features = DEV_F_SG | DEV_F_TX_CSUM | DEV_F_RX_CSUM | DEV_F_TSO4 | DEV_F_TSO6 |
			DEV_F_GSO | DEV_F_GRO | DEV_F_UDP_SEG | DEV_F_LLTX | DEV_F_LOOPBACK |
			DEV_F_NETNS_LOCAL;
	dev->features_hw =
		DEV_F_SG | DEV_F_TSO4 | DEV_F_TSO6 | DEV_F_GSO | DEV_F_GRO | DEV_F_UDP_SEG;
	dev->tso_max_size = 524280;
	dev->vlan_challenged = true;
}

const struct dev_kind lo_kind = {
	.name = "lo",
	.ops = &lo_ops,
	.setup = lo_setup,
	.permanent = true,
};
