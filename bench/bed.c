/* bed: see the header. */
#include "bed.h"

#include <stdio.h>

#include "base/csum.h"
#include "ip/ip4_core.h"
#include "weft.h"
#include "wire/ip4_hdr.h"

static void must(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "weft-bench: %s: %s\n", what, strerror(errno));
	exit(1);
}

void bed_init(struct bed *b, unsigned n_packets)
{
	struct weft_config c = {.n_packets = n_packets, .seed = 1, .now = 1000 * NSEC_PER_SEC};
	int err;

	b->weft = weft_new(&c, &err);
	errno = -err;
	must(b->weft, "instance");
	b->w = b->weft->worker[0];
	b->w->now = c.now;
	b->net = b->weft->nets->first;
}

void bed_fini(struct bed *b)
{
	weft_free(b->weft);
}

void bed_step(struct bed *b, uint64_t ns)
{
	weft_settle(b->weft, b->w->now + ns);
}

struct netdev *bed_dev(struct bed *b, const char *name, uint32_t addr, unsigned prefixlen)
{
	struct dev_new n = {.net = b->net, .name = name};
	struct netdev *dev = NULL;
	uint32_t mask = __builtin_bswap32(prefixlen ? ~0u << (32 - prefixlen) : 0);
	struct in_ifaddr ifa = {
		.local = __builtin_bswap32(addr),
		.address = __builtin_bswap32(addr),
		.mask = mask,
		.prefixlen = (uint8_t)prefixlen,
		.valid_lft = UINT32_MAX,
		.preferred_lft = UINT32_MAX,
	};
	int err = dev_create(b->net->core, &mem_kind, &n, &dev, NULL);

	if (!err)
		err = netdev_set_flags(dev, IFF_UP, IFF_UP, NULL);
	if (!err && addr)
		err = ip4_addr_add(dev, &ifa, false, true, NULL);
	errno = -err;
	must(!err, name);
	dev->in_dev->conf.v[IPV4_DEVCONF_FORWARDING - 1] = 1;
	return dev;
}

int bed_route(struct bed *b, uint32_t dst, unsigned len, uint32_t gw, struct netdev *dev)
{
	struct route_config c = {
		.table = RT_TABLE_MAIN,
		.dst = __builtin_bswap32(dst),
		.dst_len = (uint8_t)len,
		.gateway = __builtin_bswap32(gw),
		.has_gateway = gw,
		.type = RTN_UNICAST,
		.protocol = RTPROT_STATIC,
		.scope = gw ? RT_SCOPE_UNIVERSE : RT_SCOPE_LINK,
		.nl_flags = NLM_F_CREATE,
		.oif = dev->ifindex,
		.has_oif = true,
	};

	return route4_add(b->net, &c, NULL);
}

int bed_neigh(struct bed *b, struct netdev *dev, uint32_t addr)
{
	uint32_t key = __builtin_bswap32(addr);
	uint8_t mac[ETH_ALEN] = {2, 0xee};
	int err = 0;
	struct neigh *n = neigh_get(arp_table(b->weft), dev, &key, &err);

	if (!n)
		return err;
	put_be32(mac + 2, addr);
	return neigh_update(n, mac, NUD_PERMANENT, NEIGH_UPDATE_ADMIN | NEIGH_UPDATE_OVERRIDE);
}

void bed_frame(uint8_t *to, unsigned size, const struct netdev *dev, uint32_t saddr, uint32_t daddr)
{
	struct ip4_hdr ip = {
		.version = 4,
		.ihl = 5,
		.tot_len = __builtin_bswap16((uint16_t)(size - ETH_HLEN)),
		.ttl = 64,
		.protocol = IPPROTO_UDP,
		.saddr = __builtin_bswap32(saddr),
		.daddr = __builtin_bswap32(daddr),
	};

	memset(to, 0, size);
	memcpy(to, dev->addr, ETH_ALEN);
	put_be32(to + 8, saddr);
	put_be16(to + 12, ETH_P_IP);
	ip.check = csum_ip4(&ip, 5);
	memcpy(to + ETH_HLEN, &ip, sizeof(ip));
}
