/*
 * veth: two devices back to back: what one sends the other receives, on the same worker, over its
 * backlog. Each lives in a namespace of its own and takes the other along when it goes. There is
 * carrier while both are up.
 */
#include <linux/ethtool.h>

#include "drivers/kinds.h"
#include "net/net.h"

struct veth {
	struct netdev *peer; /* RCU; NULL while one end is being made or has gone */
};

static struct netdev *veth_peer(const struct netdev *dev)
{
	const struct veth *v = dev->priv;

	return rcu_dereference(v->peer);
}

/* A frame enters another namespace: what it was marked with stays behind. */
static inline void scrub(struct pkt *p)
{
	p->mark = 0;
	p->prio = 0;
	p->tstamp = 0;
	p->flags &= (uint16_t) ~(PKT_LOCAL | PKT_REINJECT);
}

static void veth_xmit(struct worker *w, struct netdev *dev, struct batch *b)
{
	struct dev_count *c = dev_counter(dev, w);
	struct netdev *peer = veth_peer(dev);
	unsigned n = 0;

	if (unlikely(!peer || !netdev_running(peer))) {
		c->tx_dropped += b->n;
		for (unsigned i = 0; i < b->n; i++)
			pkt_drop(w, b->p[i], DROP_DEV_DOWN);
		b->n = 0;
		return;
	}
	uint32_t room = READ_ONCE(peer->mtu) + ETH_HLEN + 4;

	for (unsigned i = 0; i < b->n; i++) {
		struct pkt *p = b->p[i];

		if (unlikely(p->total > room && !p->gso)) {
			c->tx_dropped++;
			dev_counter(peer, w)->rx_dropped++;
			pkt_drop(w, p, DROP_DEV_RX_OVERSIZE);
			continue;
		}
		c->tx_bytes += p->total;
		p->dev = peer;
		scrub(p);
		b->p[n++] = p;
	}
	c->tx_packets += n;
	b->n = n;
	netdev_rx_later(w, b);
}

static int veth_open(struct netdev *dev, struct extack *ext)
{
	struct netdev *peer = veth_peer(dev);

	if (!peer)
		return -ENOTCONN;
	if (netdev_running(peer)) {
		netdev_set_carrier(dev, true);
		netdev_set_carrier(peer, true);
	}
	return 0;
}

static void veth_stop(struct netdev *dev)
{
	struct netdev *peer = veth_peer(dev);

	netdev_set_carrier(dev, false);
	if (peer)
		netdev_set_carrier(peer, false);
}

static void veth_fini(struct netdev *dev)
{
	struct veth *v = dev->priv;

	rcu_set_pointer(&v->peer, NULL);
}

static int veth_iflink(const struct netdev *dev, struct net **net)
{
	const struct netdev *peer = veth_peer(dev);

	if (!peer)
		return 0;
	*net = peer->net;
	return peer->ifindex;
}

static const char *const stat_names[] = {"peer_ifindex", NULL};

static unsigned veth_ethtool_stats(const struct netdev *dev, const char *const **names,
				   uint64_t *vals)
{
	const struct netdev *peer = veth_peer(dev);

	*names = stat_names;
	if (vals)
		vals[0] = peer ? (uint64_t)peer->ifindex : 0;
	return 1;
}

static void veth_drvinfo(const struct netdev *dev, char *driver, char *version, char *bus,
			 size_t len)
{
	snprintf(version, len, "1.0");
}

static const struct netdev_ops veth_ops = {
	.xmit = veth_xmit,
	.open = veth_open,
	.stop = veth_stop,
	.fini = veth_fini,
	.iflink = veth_iflink,
	.companion = veth_peer,
	.ethtool_stats = veth_ethtool_stats,
	.drvinfo = veth_drvinfo,
	.has_channels = true,
};

static void veth_setup(struct netdev *dev)
{
	dev->features = DEV_F_SG | DEV_F_TX_CSUM | DEV_F_RX_CSUM | DEV_F_TSO4 | DEV_F_TSO6 |
			DEV_F_GSO | DEV_F_UDP_SEG | DEV_F_VLAN_TX | DEV_F_VLAN_RX | DEV_F_LLTX;
	dev->features_hw = dev->features & ~(uint32_t)DEV_F_LLTX;
	dev->max_mtu = ETH_MAX_MTU;
	dev->speed = SPEED_10000;
	dev->duplex = DUPLEX_FULL;
	dev->port = PORT_TP;
	dev->carrier = false;
	dev->carrier_down_count = 1; /* it was lost when the pair was made */
	netdev_random_address(dev);
}

static int veth_end(struct dev_core *core, struct net *net, const char *name, int ifindex,
		    const uint8_t *addr, unsigned mtu, unsigned n_txq, unsigned n_rxq,
		    struct netdev *peer, struct netdev **out, struct extack *ext)
{
	struct netdev *dev = netdev_alloc(core, &veth_kind, n_txq, n_rxq);
	int err;

	if (!dev)
		return -ENOMEM;
	((struct veth *)dev->priv)->peer = peer;
	err = netdev_first_address(dev, addr, ext);
	if (!err)
		err = netdev_first_mtu(dev, mtu, ext);
	if (!err)
		err = netdev_register(dev, net, name && *name ? name : "veth%d", ifindex, ext);
	if (err) {
		netdev_free(dev);
		return err;
	}
	*out = dev;
	return 0;
}

static int veth_create(struct dev_core *core, const struct dev_new *n, struct netdev **out,
		       struct extack *ext)
{
	struct netdev *dev, *peer;
	int err;

	err = veth_end(core, n->peer_net ? n->peer_net : n->net, n->peer_name, n->peer_ifindex,
		       n->peer_address, n->peer_mtu, n->peer_n_txq, n->peer_n_rxq, NULL, &peer,
		       ext);
	if (err)
		return err;
	err = veth_end(core, n->net, n->name, n->ifindex, n->address, n->mtu, n->n_txq, n->n_rxq,
		       peer, &dev, ext);
	if (err) {
		netdev_unregister(peer);
		return err;
	}
	rcu_assign_pointer(((struct veth *)peer->priv)->peer, dev);
	*out = dev;
	return 0;
}

const struct dev_kind veth_kind = {
	.name = "veth",
	.priv_size = sizeof(struct veth),
	.has_peer = true,
	.ops = &veth_ops,
	.setup = veth_setup,
	.create = veth_create,
};
