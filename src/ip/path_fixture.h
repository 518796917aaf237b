/*
 * path_fixture: a hand-built instance for tests of the packet path: one worker under a virtual
 * clock, namespaces, and "wire" devices whose far end is the test: it puts frames in and takes out
 * what was sent. Only tests and fuzzers include this.
 */
#pragma once

#include <arpa/inet.h>
#include <assert.h>
#include <stdio.h>

#include "dev/kind.h"
#include "ip/ip4_path.h"

struct fx_wire {
	struct pkt_queue sent;
};

struct fx {
	struct weft weft;
	struct worker *w;
	struct event_chain events;
	struct dev_core dev;
	struct net_set nets;
	uint64_t now;
	unsigned baseline;
};

static inline struct fx_wire *fx_wire(struct netdev *dev)
{
	return dev->priv;
}

static void fx_xmit(struct worker *w, struct netdev *dev, struct batch *b)
{
	(void)w;
	for (unsigned i = 0; i < b->n; i++)
		pktq_push(&fx_wire(dev)->sent, b->p[i]);
	b->n = 0;
}

static void fx_lo_xmit(struct worker *w, struct netdev *dev, struct batch *b)
{
	for (unsigned i = 0; i < b->n; i++)
		b->p[i]->dev = dev;
	netdev_rx_later(w, b);
}

static void fx_lo_setup(struct netdev *dev)
{
	dev->type = ARPHRD_LOOPBACK;
	dev->flags = IFF_LOOPBACK;
	dev->mtu = 65536;
}

static const struct netdev_ops fx_lo_ops = {.xmit = fx_lo_xmit};
static const struct dev_kind fx_lo_kind = {
	.name = "lo",
	.ops = &fx_lo_ops,
	.setup = fx_lo_setup,
	.permanent = true,
};
static const struct netdev_ops fx_ops = {.xmit = fx_xmit};
static const struct dev_kind fx_kind = {
	.name = "wire",
	.priv_size = sizeof(struct fx_wire),
	.ops = &fx_ops,
};
static const struct dev_kind *const fx_kinds[] = {&fx_lo_kind, &fx_kind, NULL};
static const struct net_module fx_modules[] = {
	{"ip4", ip4_net_init, ip4_net_fini},
	{NULL, NULL, NULL},
};

static inline void fx_init(struct fx *f, unsigned n_packets)
{
	memset(f, 0, sizeof(*f));
	f->now = 1000 * NSEC_PER_SEC;
	f->weft.config.n_packets = n_packets;
	f->weft.config.seed = 42;
	f->weft.pool = pool_new(n_packets);
	f->weft.n_workers = 1;
	f->w = aligned_alloc(CACHE_LINE, sizeof(*f->w));
	assert(f->weft.pool && f->w);
	if (worker_init(f->w, 0, &f->weft, f->weft.pool, 42, f->now))
		abort();
	f->w->now = f->now;
	f->weft.worker[0] = f->w;
	f->w->backlog_run = netdev_backlog_run;
	event_chain_init(&f->events);
	f->weft.events = &f->events;
	f->dev.weft = &f->weft;
	f->dev.n_workers = 1;
	f->dev.events = &f->events;
	f->dev.kinds = fx_kinds;
	f->dev.workers = f->weft.worker;
	f->weft.dev = &f->dev;
	f->weft.sysctls = sysctl_table_new();
	f->weft.nets = &f->nets;
	net_set_init(&f->nets, &f->weft, &f->dev, fx_modules);
	if (ip4_init(&f->weft))
		abort();
	f->dev.ip4_input = ip4_input;
	f->dev.arp_input = arp_input;
}

/* Steps until nothing is left to do now. */
static inline void fx_settle(struct fx *f)
{
	for (int i = 0; i < 1000 && worker_step(f->w, f->now); i++)
		;
}

/* Lets time pass, stopping at timers. */
static inline void fx_advance(struct fx *f, uint64_t ns)
{
	uint64_t until = f->now + ns;

	fx_settle(f);
	while (f->now < until) {
		uint64_t next = worker_next(f->w);

		/* The wheel's ticks are coarser than a timer's time. */
		if (next <= f->now)
			next = f->now + (1ULL << WHEEL_TICK_SHIFT);
		f->now = MIN(next, until);
		fx_settle(f);
	}
}

static inline struct net *fx_net(struct fx *f)
{
	int err = 0;
	struct net *net = net_new(&f->nets, &err);

	assert(net);
	if (netdev_set_flags(net->loopback, IFF_UP, IFF_UP, NULL))
		abort();
	return net;
}

/* A device with address 02:00:00:00:<net>:<index>, up. */
static inline struct netdev *fx_dev(struct net *net, const char *name, const char *addr,
				    unsigned prefixlen)
{
	struct netdev *dev = netdev_alloc(net->core, &fx_kind, 1, 1);
	uint8_t mac[6] = {2, 0, 0, 0, (uint8_t)net->ino, 0};

	assert(dev);
	pktq_init(&fx_wire(dev)->sent);
	mac[5] = (uint8_t)name[strlen(name) - 1];
	memcpy(dev->addr, mac, 6);
	memset(dev->broadcast, 0xff, 6);
	if (netdev_register(dev, net, name, 0, NULL) || netdev_set_flags(dev, IFF_UP, IFF_UP, NULL))
		abort();
	if (addr) {
		struct in_ifaddr ifa = {.prefixlen = (uint8_t)prefixlen,
					.valid_lft = UINT32_MAX,
					.preferred_lft = UINT32_MAX};

		inet_pton(AF_INET, addr, &ifa.local);
		ifa.address = ifa.local;
		ifa.mask = htonl(prefixlen ? ~0u << (32 - prefixlen) : 0);
		ifa.broadcast = prefixlen < 31 ? ifa.local | ~ifa.mask : 0;
		if (ip4_addr_add(dev, &ifa, false, true, NULL))
			abort();
	}
	return dev;
}

static inline uint32_t fx_ip(const char *text)
{
	uint32_t a;

	if (inet_pton(AF_INET, text, &a) != 1)
		abort();
	return a;
}

static inline int fx_route(struct net *net, uint8_t type, const char *dst, unsigned len,
			   const char *gw, struct netdev *dev, uint32_t mtu)
{
	struct route_config c = {
		.table = RT_TABLE_MAIN,
		.dst = fx_ip(dst),
		.dst_len = (uint8_t)len,
		.type = type,
		.protocol = RTPROT_BOOT,
		.scope = type != RTN_UNICAST || gw ? RT_SCOPE_UNIVERSE : RT_SCOPE_LINK,
		.nl_flags = 0x400 /* NLM_F_CREATE */,
	};

	if (gw) {
		c.gateway = fx_ip(gw);
		c.has_gateway = true;
	}
	if (dev) {
		c.oif = dev->ifindex;
		c.has_oif = true;
	}
	c.metrics[RTAX_MTU] = mtu;
	return route4_add(net, &c, NULL);
}

static inline void fx_forwarding(struct netdev *dev, bool on)
{
	dev->in_dev->conf.v[IPV4_DEVCONF_FORWARDING - 1] = on;
}

/* A frame comes in on dev. */
static inline void fx_rx(struct fx *f, struct netdev *dev, const void *frame, size_t len)
{
	struct pkt *p = pkt_new(f->w);
	struct batch b;

	assert(p);
	if (pkt_append(&f->w->cache, p, frame, len))
		abort();
	batch_one(&b, p);
	netdev_rx(f->w, dev, &b);
	fx_settle(f);
}

/* Takes the next frame sent on dev: its length, 0 when there is none. */
static inline size_t fx_tx(struct fx *f, struct netdev *dev, uint8_t *buf, size_t room)
{
	struct pkt *p = pktq_pop(&fx_wire(dev)->sent);
	size_t n;

	if (!p)
		return 0;
	n = pkt_copy_out(p, 0, buf, room);
	pkt_free(&f->w->cache, p);
	return n;
}

static inline unsigned fx_tx_count(struct netdev *dev)
{
	return fx_wire(dev)->sent.n;
}

static inline void fx_tx_flush(struct fx *f, struct netdev *dev)
{
	uint8_t b[1];

	while (fx_tx(f, dev, b, 1))
		;
}

/* The neighbour `addr` has this link address for ever. */
static inline void fx_neigh(struct netdev *dev, const char *addr, uint8_t last)
{
	uint32_t key = fx_ip(addr);
	uint8_t mac[6] = {2, 0xee, 0, 0, 0, last};
	int err = 0;
	struct neigh *n = neigh_get(&ip4_core(dev->net)->arp, dev, &key, &err);

	assert(n);
	if (neigh_update(n, mac, NUD_PERMANENT, NEIGH_UPDATE_ADMIN | NEIGH_UPDATE_OVERRIDE))
		abort();
}

/* Ethernet and IPv4 headers before len bytes of payload; returns the frame's length. */
struct fx_ip4 {
	const struct netdev *to; /* its link address is the destination */
	const char *saddr, *daddr;
	uint8_t proto, ttl, tos;
	uint16_t id, frag; /* host order, flags included */
	const uint8_t *opts;
	unsigned opt_len;
};

static inline size_t fx_frame(uint8_t *to, const struct fx_ip4 *h, const void *payload, size_t len)
{
	static const uint8_t src[6] = {2, 0xee, 0, 0, 0, 1};
	struct ip4_hdr ip = {
		.version = 4,
		.ihl = (20 + h->opt_len) / 4,
		.tos = h->tos,
		.tot_len = htons((uint16_t)(20 + h->opt_len + len)),
		.id = htons(h->id),
		.frag_off = htons(h->frag),
		.ttl = h->ttl ? h->ttl : 64,
		.protocol = h->proto,
		.saddr = fx_ip(h->saddr),
		.daddr = fx_ip(h->daddr),
	};

	memcpy(to, h->to->addr, 6);
	memcpy(to + 6, src, 6);
	put_be16(to + 12, ETH_P_IP);
	memcpy(to + 14, &ip, 20);
	if (h->opt_len)
		memcpy(to + 34, h->opts, h->opt_len);
	uint16_t sum = csum_ip4(to + 14, ip.ihl);

	memcpy(to + 24, &sum, 2);
	memcpy(to + 34 + h->opt_len, payload, len);
	return 34 + h->opt_len + len;
}

static inline void fx_fini(struct fx *f)
{
	struct net *net, *tmp;

	fx_settle(f);
	cds_list_for_each_entry_safe (net, tmp, &f->nets.nets, link) {
		struct netdev *dev;

		cds_list_for_each_entry (dev, &net->devs, net_link)
			if (dev->kind == &fx_kind)
				fx_tx_flush(f, dev);
		net_put(net);
	}
	fx_settle(f);
	net_set_fini(&f->nets);
	ip4_fini(&f->weft);
	sysctl_table_free(f->weft.sysctls);
	rcu_thread_offline();
	rcu_barrier();
	rcu_thread_online();
	if (pool_in_use(f->weft.pool)) {
		fprintf(stderr, "%u packets leaked\n", pool_in_use(f->weft.pool));
		abort();
	}
	worker_fini(f->w);
	pool_free(f->weft.pool);
	free(f->w);
}
