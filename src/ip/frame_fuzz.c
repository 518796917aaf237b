/*
 * frame_fuzz: frames into a router between two namespaces: what comes in over the wire may neither
 * crash the stack nor make it keep a packet.
 *
 * The input is a list of records: a byte of wishes, a length, that many bytes. A record becomes a
 * frame as it stands, or (by the wishes) behind a good Ethernet header, with its IPv4 header's
 * version, length, checksums and perhaps addresses put right, so that the fuzzer gets past the
 * first checks. Some records let time pass or change settings. At the end everything times out, and
 * the pool must hold what it held before.
 */
#include "ip/path_fixture.h"

enum wish {
	WISH_DEV = 1,	/* in on the second device */
	WISH_ETHER = 2, /* a good Ethernet header */
	WISH_ARP = 4,	/* for ARP instead of IPv4 */
	WISH_FIX = 8,	/* IPv4 version, length and checksum put right */
	WISH_BROADCAST = 16,
	WISH_TIME = 32,	  /* no frame: time passes */
	WISH_CONF = 64,	  /* no frame: settings change */
	WISH_SPLIT = 128, /* the packet comes in two segments */
};

struct world {
	struct fx f;
	struct net *net[2];
	struct netdev *dev[2];	/* where frames come in */
	struct netdev *link[2]; /* between the namespaces */
};

static struct world x;

/* The link between the namespaces: what one end sends the other receives. */
static void link_xmit(struct worker *w, struct netdev *dev, struct batch *b)
{
	struct netdev *to = dev == x.link[0] ? x.link[1] : x.link[0];

	for (unsigned i = 0; i < b->n; i++) {
		struct pkt *p = b->p[i];

		p->dev = to;
		p->mark = 0;
		p->flags &= PKT_CSUM_OK;
		p->type = PACKET_HOST;
	}
	netdev_rx_later(w, b);
}

static const struct netdev_ops link_ops = {.xmit = link_xmit};

static void world_new(void)
{
	static const char *const addr[2] = {"10.1.0.1", "10.3.0.1"};
	static const char *const link_addr[2] = {"10.2.0.1", "10.2.0.2"};

	fx_init(&x.f, 4096);
	for (int i = 0; i < 2; i++) {
		x.net[i] = fx_net(&x.f);
		x.dev[i] = fx_dev(x.net[i], "w1", addr[i], 24);
		x.link[i] = fx_dev(x.net[i], "w2", link_addr[i], 24);
		x.link[i]->ops = &link_ops;
		fx_forwarding(x.dev[i], true);
		fx_forwarding(x.link[i], true);
	}
	fx_route(x.net[0], RTN_UNICAST, "10.3.0.0", 16, "10.2.0.2", x.link[0], 0);
	fx_route(x.net[1], RTN_UNICAST, "10.1.0.0", 16, "10.2.0.1", x.link[1], 0);
	fx_route(x.net[0], RTN_BLACKHOLE, "10.4.0.0", 16, NULL, NULL, 0);
	fx_route(x.net[0], RTN_PROHIBIT, "10.5.0.0", 16, NULL, NULL, 0);
	fx_route(x.net[0], RTN_UNICAST, "10.6.0.0", 16, "10.2.0.2", x.link[0], 600);
	fx_neigh(x.dev[0], "10.1.0.2", 2);
	fx_neigh(x.dev[1], "10.3.0.2", 2);
	fx_advance(&x.f, 60 * NSEC_PER_SEC);
	for (int i = 0; i < 2; i++)
		fx_tx_flush(&x.f, x.dev[i]);
	x.f.baseline = pool_in_use(x.f.weft.pool);
}

static void set_conf(uint8_t a, uint8_t b)
{
	static const uint8_t rows[] = {
		IPV4_DEVCONF_FORWARDING,     IPV4_DEVCONF_PROXY_ARP,
		IPV4_DEVCONF_RP_FILTER,	     IPV4_DEVCONF_ACCEPT_SOURCE_ROUTE,
		IPV4_DEVCONF_ARP_ACCEPT,     IPV4_DEVCONF_ARP_IGNORE,
		IPV4_DEVCONF_ROUTE_LOCALNET, IPV4_DEVCONF_ACCEPT_LOCAL,
		IPV4_DEVCONF_ARPFILTER,	     IPV4_DEVCONF_PROXY_ARP_PVLAN,
	};
	struct netdev *dev = a & 1 ? x.dev[1] : x.dev[0];
	unsigned row = rows[(a >> 1) % sizeof(rows)];

	dev->in_dev->conf.v[row - 1] = b & 3;
	if (row == IPV4_DEVCONF_ACCEPT_SOURCE_ROUTE)
		dev->net->ip4->conf_all.v[row - 1] = b & 1;
}

/* Destinations that lead somewhere; 0: as in the input. */
static const char *const dests[16] = {
	NULL,	    "10.1.0.1", "10.3.0.1", "10.3.0.2",	  "10.4.0.1",  "10.5.0.1",
	"10.6.0.1", "10.2.0.1", "10.2.0.2", "10.1.0.255", "224.0.0.1", "255.255.255.255",
	"10.3.0.9", "10.1.0.2", "10.2.0.9", "127.0.0.1",
};

/* Puts right what the first checks would stumble over. */
static void fix_ip4(uint8_t *ip, size_t len, unsigned dest)
{
	if (len < 20)
		return;
	if (dest) {
		uint32_t addr = fx_ip(dests[dest]);

		memcpy(ip + 16, &addr, 4);
		addr = fx_ip(ip[12] & 1 ? "10.1.0.2" : "10.3.0.2");
		memcpy(ip + 12, &addr, 4);
	}
	unsigned ihl = (ip[0] & 15) < 5 ? 5 : ip[0] & 15;

	if (ihl * 4 > len)
		ihl = 5;
	ip[0] = (uint8_t)(0x40 | ihl);
	put_be16(ip + 2, (uint16_t)len);
	memset(ip + 10, 0, 2);
	uint16_t sum = csum_ip4(ip, ihl);

	memcpy(ip + 10, &sum, 2);
	if (ip[9] == IPPROTO_ICMP && len >= ihl * 4 + 4) {
		memset(ip + ihl * 4 + 2, 0, 2);
		sum = csum_fold(csum_partial(ip + ihl * 4, len - ihl * 4, 0));
		memcpy(ip + ihl * 4 + 2, &sum, 2);
	}
}

static void frame_in(unsigned wish, unsigned dest, const uint8_t *data, size_t len)
{
	struct netdev *dev = x.dev[wish & WISH_DEV];
	uint8_t frame[4096];
	size_t n = 0;
	struct batch b;
	struct pkt *p;

	if (wish & WISH_ETHER) {
		memcpy(frame, wish & WISH_BROADCAST ? dev->broadcast : dev->addr, 6);
		memset(frame + 6, 0x12, 6);
		put_be16(frame + 12, wish & WISH_ARP ? ETH_P_ARP : ETH_P_IP);
		n = 14;
	}
	memcpy(frame + n, data, len);
	if ((wish & WISH_FIX) && (wish & WISH_ETHER) && !(wish & WISH_ARP))
		fix_ip4(frame + n, len, dest);
	n += len;
	p = pkt_new(x.f.w);
	if (!p)
		return;
	size_t first = wish & WISH_SPLIT ? MIN(n, (size_t)14 + (data[0] & 31)) : n;

	if (pkt_append(&x.f.w->cache, p, frame, first))
		abort();
	if (first < n) {
		struct pkt *seg = pkt_new(x.f.w);

		if (!seg || pkt_append(&x.f.w->cache, seg, frame + first, n - first))
			abort();
		p->seg = seg;
		p->total += seg->total;
	}
	batch_one(&b, p);
	netdev_rx(x.f.w, dev, &b);
	fx_settle(&x.f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct view v = view_of(data, size);

	if (!x.f.w) {
		rcu_register_thread();
		world_new();
	}
	while (v.left > 3) {
		uint8_t wish = view_u8(&v), a = view_u8(&v), b = view_u8(&v);
		size_t len = MIN((size_t)(a & 15) << 8 | b, v.left);

		len = MIN(len, (size_t)4000);
		if ((wish & (WISH_TIME | WISH_CONF)) == WISH_TIME) {
			fx_advance(&x.f, (uint64_t)b * 40 * NSEC_PER_MSEC);
			if (a == 0xff) /* the link has a hiccup */
				netdev_set_carrier(x.link[b & 1], b & 2);
		} else if ((wish & (WISH_TIME | WISH_CONF)) == WISH_CONF) {
			set_conf(a, b);
		} else if (len) {
			const uint8_t *frame = view_take(&v, len);

			if (frame)
				frame_in(wish, a >> 4, frame, len);
		}
		for (int i = 0; i < 2; i++)
			fx_tx_flush(&x.f, x.dev[i]);
	}
	/* Nothing waits longer than a fragment. */
	fx_advance(&x.f, 40 * NSEC_PER_SEC);
	for (int i = 0; i < 2; i++)
		fx_tx_flush(&x.f, x.dev[i]);
	if (pool_in_use(x.f.weft.pool) != x.f.baseline) {
		fprintf(stderr, "%u packets kept\n", pool_in_use(x.f.weft.pool) - x.f.baseline);
		abort();
	}
	return 0;
}
