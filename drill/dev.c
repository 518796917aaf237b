/*
 * dev: tun0: a device without addresses of its own, whose far end is the script.
 *
 * What the stack sends is kept, with the time, until the script asks for it; large packets stay
 * whole, since that is how a packet socket sees them on Linux. A qdisc is what `tc` has noted in
 * the device's alias (tools/drill-bin/tc): "pfifo limit 0" drops everything.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dev/kind.h"
#include "drill.h"

#define ALIAS_DROPS "pfifo limit 0"

static void keep(struct drill *d, struct worker *w, struct pkt *p)
{
	if ((p->flags & PKT_CSUM_PARTIAL) && !pkt_csum_finish(&w->cache, p))
		return;
	size_t len = p->total - ETH_HLEN;
	struct frame *f = malloc(sizeof(*f) + len);

	if (!f)
		return;
	f->next = NULL;
	f->at = w->now;
	f->len = pkt_copy_out(p, ETH_HLEN, f->data, len);
	*d->sent_tail = f;
	d->sent_tail = &f->next;
}

static void tun_xmit(struct worker *w, struct netdev *dev, struct batch *b)
{
	struct drill *d = *(struct drill **)dev->priv;
	struct dev_count *c = dev_counter(dev, w);

	if (dev->alias && !strcmp(dev->alias, ALIAS_DROPS)) {
		c->tx_dropped += b->n;
		pkt_free_bulk(&w->cache, b);
		return;
	}
	for (unsigned i = 0; i < b->n; i++) {
		c->tx_packets++;
		c->tx_bytes += b->p[i]->total;
		if (b->p[i]->protocol != __builtin_bswap16(ETH_P_ARP))
			keep(d, w, b->p[i]);
	}
	pkt_free_bulk(&w->cache, b);
}

static const struct netdev_ops tun_ops = {.xmit = tun_xmit};

static void tun_setup(struct netdev *dev)
{
	dev->flags |= IFF_NOARP | IFF_POINTOPOINT;
	dev->flags &= ~(unsigned)(IFF_MULTICAST | IFF_BROADCAST);
	dev->max_mtu = ETH_MAX_MTU;
	dev->features = DEV_F_SG | DEV_F_TX_CSUM | DEV_F_TSO4 | DEV_F_TSO6 | DEV_F_GSO | DEV_F_GRO |
			DEV_F_LLTX;
	dev->features_hw = dev->features & ~(uint32_t)DEV_F_LLTX;
	netdev_random_address(dev);
}

static const struct dev_kind tun_kind = {
	.name = "tun",
	.priv_size = sizeof(struct drill *),
	.ops = &tun_ops,
	.setup = tun_setup,
};

int dev_init(struct drill *d)
{
	struct netdev *dev = netdev_alloc(d->weft->dev, &tun_kind, 1, 1);
	struct extack ext = {0};

	if (!dev)
		return -ENOMEM;
	d->sent_tail = &d->sent;
	*(struct drill **)dev->priv = d;
	int err = netdev_register(dev, d->net, "tun0", 0, &ext);
	if (err) {
		netdev_free(dev);
		return err;
	}
	d->tun = dev;
	return 0;
}

void dev_fini(struct drill *d)
{
	struct frame *f;

	while ((f = d->sent)) {
		d->sent = f->next;
		free(f);
	}
	d->sent_tail = &d->sent;
}

static int inject(struct drill *d, const void *buf, size_t len)
{
	struct worker *w = d->w;
	bool v6 = len && *(const uint8_t *)buf >> 4 == 6;
	struct ethhdr eth = {.h_proto = __builtin_bswap16(v6 ? ETH_P_IPV6 : ETH_P_IP)};
	struct pkt *p = pkt_new(w);
	struct batch b;

	if (!p)
		return -ENOBUFS;
	memcpy(eth.h_dest, d->tun->addr, ETH_ALEN);
	int err = pkt_append(&w->cache, p, &eth, sizeof(eth));
	if (!err)
		err = pkt_append(&w->cache, p, buf, len);
	if (err) {
		pkt_free(&w->cache, p);
		return err;
	}
	batch_one(&b, p);
	enum stage prev = stage_enter(w, STAGE_DRIVER_RX, 1);
	netdev_rx(w, d->tun, &b);
	stage_leave(w, prev);
	return 0;
}

int face_netdev_send(void *user, const void *buf, size_t count)
{
	struct drill *d = user;

	drill_enter(d);
	int err = inject(d, buf, count);
	drill_settle(d);
	return (int)drill_return(d, err);
}

static bool has_frame(void *arg)
{
	return ((struct drill *)arg)->sent;
}

int face_netdev_receive(void *user, void *buf, size_t *count, long long *us)
{
	struct drill *d = user;

	drill_enter(d);
	if (!drill_run(d, UINT64_MAX, has_frame, d)) {
		/* packetdrill would ask for ever */
		fputs("weft: Timed out waiting for packet: nothing will be sent any more\n",
		      stderr);
		exit(1);
	}
	struct frame *f = d->sent;
	d->sent = f->next;
	if (!d->sent)
		d->sent_tail = &d->sent;
	*count = MIN(*count, f->len);
	memcpy(buf, f->data, *count);
	*us = (long long)((f->at + (uint64_t)d->w->wall) / NSEC_PER_USEC);
	free(f);
	drill_leave(d);
	return 0;
}
