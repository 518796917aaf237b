/*
 * packet: packet sockets come to life, are bound, hear of their devices, and end.
 */
#include "packet/packet_core.h"

#include <linux/if_packet.h>

/* ---- hooks ---- */

struct packet_hook *packet_hook_new(struct net *net, struct netdev *dev, uint16_t protocol)
{
	struct packet_hook *h = calloc(1, sizeof(*h));

	if (!h)
		return NULL;
	h->tap.protocol = protocol;
	h->tap.incoming_only = protocol != __builtin_bswap16(ETH_P_ALL);
	h->tap.fn = packet_tap;
	return h;
}

static void hook_lapsed(struct rcu_head *head)
{
	free(container_of(head, struct packet_hook, rcu));
}

void packet_hook_free(struct net *net, struct netdev *dev, struct packet_hook *h)
{
	tap_del(net, dev, &h->tap);
	call_rcu(&h->rcu, hook_lapsed);
}

int packet_hook_add(struct packet_sock *po)
{
	if (po->running)
		return 0;
	if (po->fanout) {
		packet_fanout_link(po);
		po->running = true;
		return 0;
	}
	po->hook = packet_hook_new(po->sk.net, po->dev, po->num);
	if (!po->hook)
		return -ENOMEM;
	po->hook->po = po;
	po->hook->ignore_outgoing = po->ignore_outgoing;
	tap_add(po->sk.net, po->dev, &po->hook->tap);
	po->running = true;
	return 0;
}

void packet_hook_del(struct packet_sock *po)
{
	if (!po->running)
		return;
	po->running = false;
	if (po->fanout) {
		packet_fanout_unlink(po);
		return;
	}
	packet_hook_free(po->sk.net, po->dev, po->hook);
	po->hook = NULL;
}

/* ---- struct sock_ops ---- */

static int packet_sock_init(struct sock *sk)
{
	struct packet_sock *po = packet_sk(sk);

	po->num = (uint16_t)sk->protocol; /* be16 in an int: odd, but documented */
	po->version = TPACKET_V1;
	po->hdrlen = TPACKET_HDRLEN;
	po->mem.fd = -1;
	CDS_INIT_LIST_HEAD(&po->members);
	return po->num ? packet_hook_add(po) : 0;
}

static void packet_sock_release(struct sock *sk)
{
	struct packet_sock *po = packet_sk(sk);

	packet_mc_flush(po, NULL);
	packet_hook_del(po);
	packet_fanout_leave(po);
	packet_ring_free(po);
}

static int packet_bind(struct sock *sk, const struct sockaddr *a, size_t len)
{
	const struct sockaddr_ll *sll = (const struct sockaddr_ll *)a;
	struct packet_sock *po = packet_sk(sk);
	struct netdev *dev = NULL;
	uint16_t num;

	if (len < sizeof(*sll) || sll->sll_family != AF_PACKET)
		return -EINVAL;
	if (po->fanout)
		return -EINVAL;
	num = sll->sll_protocol ? sll->sll_protocol : po->num;
	if (sll->sll_ifindex) {
		dev = net_dev_by_index(sk->net, sll->sll_ifindex);
		if (!dev)
			return -ENODEV;
	}
	if (num == po->num && dev == po->dev && po->ifindex >= 0 && po->running)
		return 0;
	packet_hook_del(po);
	po->num = num;
	po->dev = dev;
	po->ifindex = dev ? dev->ifindex : 0;
	if (!num)
		return 0;
	if (dev && !netdev_running(dev)) {
		sock_error(sk, ENETDOWN);
		return 0;
	}
	return packet_hook_add(po);
}

static int packet_getname(struct sock *sk, bool peer, struct sockaddr *a, size_t *len)
{
	const struct packet_sock *po = packet_sk(sk);
	struct sockaddr_ll sll = {
		.sll_family = AF_PACKET,
		.sll_protocol = po->num,
		.sll_ifindex = po->ifindex,
	};
	uint8_t full[offsetof(struct sockaddr_ll, sll_addr) + NETDEV_ALEN] = {0};
	size_t n = offsetof(struct sockaddr_ll, sll_addr);

	if (peer)
		return -EOPNOTSUPP;
	if (po->dev) {
		sll.sll_hatype = po->dev->type;
		sll.sll_halen = po->dev->addr_len;
		memcpy(full + n, po->dev->addr, sll.sll_halen);
	}
	memcpy(full, &sll, n);
	n += sll.sll_halen;
	memcpy(a, full, MIN(*len, n));
	*len = n;
	return 0;
}

static int packet_ioctl(struct sock *sk, unsigned long cmd, void *arg, size_t len)
{
	return -515; /* ENOIOCTLCMD: sock's and the devices' */
}

static void packet_drained(struct sock *sk)
{
	packet_sk(sk)->wake_queued = false;
}

static const struct sock_ops packet_ops = {
	.size = sizeof(struct packet_sock),
	.init = packet_sock_init,
	.release = packet_sock_release,
	.bind = packet_bind,
	.getname = packet_getname,
	.sendmsg = packet_sendmsg,
	.setsockopt = packet_setsockopt,
	.getsockopt = packet_getsockopt,
	.ioctl = packet_ioctl,
	.drained = packet_drained,
	.mmap_fd = packet_ring_fd,
};

static const struct sock_ops *packet_find(struct net *net, int type, int protocol, int *err)
{
	if (type == SOCK_RAW || type == SOCK_DGRAM)
		return &packet_ops;
	*err = -ESOCKTNOSUPPORT;
	return NULL;
}

/* ---- devices come and go ---- */

static void dev_down(struct packet_sock *po, struct netdev *dev, bool gone)
{
	if (gone)
		packet_mc_flush(po, dev);
	if (po->dev != dev)
		return;
	if (po->running) {
		packet_hook_del(po);
		sock_error(&po->sk, ENETDOWN);
	}
	if (gone) {
		po->dev = NULL;
		po->ifindex = -1;
	}
}

static void packet_event(void *arg, const struct event *e)
{
	struct sock *sk;

	switch (e->type) {
	case EVENT_DEV_DOWN:
	case EVENT_DEV_DEL:
	case EVENT_DEV_GONE:
	case EVENT_DEV_UP:
		break;
	default:
		return;
	}
	if (!e->net->sock)
		return;
	for (sk = sock_next(e->net, NULL); sk; sk = sock_next(e->net, sk)) {
		struct packet_sock *po = packet_sk(sk);

		if (sk->ops != &packet_ops)
			continue;
		if (e->type != EVENT_DEV_UP)
			dev_down(po, e->dev, e->type != EVENT_DEV_DOWN);
		else if (po->dev == e->dev && po->num)
			packet_hook_add(po);
	}
}

/* ---- /proc/net/packet ---- */

void packet_show(struct net *net, FILE *out)
{
	struct sock *sk;

	fprintf(out, "sk               RefCnt Type Proto  Iface R Rmem   User   Inode\n");
	for (sk = sock_next(net, NULL); sk; sk = sock_next(net, sk)) {
		const struct packet_sock *po = packet_sk(sk);

		if (sk->ops != &packet_ops)
			continue;
		fprintf(out, "%016lx %-6u %-4d %04x   %-5d %1d %-6u %-6u %-6lu\n",
			(unsigned long)sk->id, sk->refs + 1 + po->running, sk->type,
			__builtin_bswap16(po->num), po->ifindex, po->running,
			(unsigned)sock_rmem(sk), sk->uid, sock_ino(sk));
	}
}

/* ---- the instance ---- */

int packet_init(struct weft *weft)
{
	const struct sock_family f = {.family = AF_PACKET, .find = packet_find};
	struct packet_core *core = calloc(1, sizeof(*core));
	int err;

	if (!core)
		return -ENOMEM;
	core->weft = weft;
	CDS_INIT_LIST_HEAD(&core->fanouts);
	err = sock_register(weft, &f);
	if (err) {
		free(core);
		return err;
	}
	event_subscribe(weft->events, &core->sub, packet_event, core);
	weft->packet = core;
	return 0;
}

void packet_fini(struct weft *weft)
{
	if (!weft->packet)
		return;
	event_unsubscribe(&weft->packet->sub);
	free(weft->packet);
	weft->packet = NULL;
}
