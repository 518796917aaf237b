/*
 * flowkey: reading addresses and ports out of a packet.
 *
 * The first bytes of the packet are copied out (they may lie in several segments), then read
 * through bounds checks: a header that is cut short gives the hash of what could be read. All
 * fragments of a datagram hash alike, the first too: by addresses and protocol.
 */
#include "pkt/flowkey.h"

#include <netinet/in.h>

#define LOOK 128 /* bytes that are looked at: an IPv6 header, some extensions, ports */

struct flow_key {
	uint8_t saddr[16], daddr[16];
	uint32_t ports; /* as on the wire: source, destination; 0: none */
	uint8_t proto, version;
	uint8_t pad[2];
};

static bool has_ports(uint8_t proto)
{
	return proto == IPPROTO_TCP || proto == IPPROTO_UDP || proto == IPPROTO_SCTP ||
	       proto == IPPROTO_UDPLITE || proto == IPPROTO_DCCP;
}

static size_t look(const struct pkt *p, uint8_t *to)
{
	if (p->l3 >= p->off)
		return pkt_copy_out(p, p->l3 - p->off, to, LOOK);
	/* pulled already: what is left of the first segment */
	size_t n = MIN((size_t)(p->off + p->len - p->l3), (size_t)LOOK);
	memcpy(to, pkt_l3(p), n);
	return n;
}

static void take_ports(struct flow_key *k, struct view *v)
{
	const uint8_t *ports = has_ports(k->proto) ? view_take(v, 4) : NULL;

	if (ports)
		memcpy(&k->ports, ports, 4);
}

static void read_ip4(struct flow_key *k, struct view *v)
{
	const uint8_t *h = view_take(v, 20);

	if (!h)
		return;
	unsigned ihl = (h[0] & 15) * 4u;
	k->proto = h[9];
	memcpy(k->saddr, h + 12, 4);
	memcpy(k->daddr, h + 16, 4);
	/* a fragment: offset not 0, or more to come */
	if (ihl < 20 || get_be16(h + 6) & 0x3fff || !view_take(v, ihl - 20))
		return;
	take_ports(k, v);
}

static void read_ip6(struct flow_key *k, struct view *v)
{
	const uint8_t *h = view_take(v, 40);

	if (!h)
		return;
	k->proto = h[6];
	memcpy(k->saddr, h + 8, 16);
	memcpy(k->daddr, h + 24, 16);
	for (;;) {
		const uint8_t *ext;

		switch (k->proto) {
		case IPPROTO_HOPOPTS:
		case IPPROTO_ROUTING:
		case IPPROTO_DSTOPTS:
			ext = view_take(v, 8);
			if (!ext || !view_take(v, ext[1] * 8u))
				return;
			k->proto = ext[0];
			continue;
		case IPPROTO_FRAGMENT:
			ext = view_take(v, 8);
			if (ext)
				k->proto = ext[0];
			return;
		default:
			take_ports(k, v);
			return;
		}
	}
}

uint32_t pkt_flow_hash(struct pkt *p, const struct hash_key *key)
{
	uint8_t bytes[LOOK];
	struct view v = view_of(bytes, look(p, bytes));
	struct flow_key k = {.version = v.left ? bytes[0] >> 4 : 0};

	if (k.version == 4)
		read_ip4(&k, &v);
	else if (k.version == 6)
		read_ip6(&k, &v);
	p->flags &= (uint16_t)~PKT_HASH_L4;
	if (k.ports)
		p->flags |= PKT_HASH_L4;
	uint64_t h = siphash(&k, sizeof(k), key);
	p->hash = (uint32_t)(h ^ h >> 32);
	if (!p->hash)
		p->hash = 1;
	return p->hash;
}
