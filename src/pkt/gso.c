/* gso: see the header. Segments are private copies: header from the original, payload copied out.
 */
#include "pkt/gso.h"

#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>
#include <linux/udp.h>

#include "base/csum.h"
#include "pkt/pool.h"

#define TCP_FIN 0x01
#define TCP_PSH 0x08
#define TCP_CWR 0x80

struct gso_layout {
	unsigned l3, l4, hdr; /* offsets from the data; hdr: where the payload begins */
	bool v6, udp;
	uint32_t seq;
	uint16_t id;
	uint8_t tcp_flags;
};

/* Where the headers lie, checked against the packet. The header part is contiguous afterwards. */
static bool gso_parse(struct pool_cache *c, struct pkt *p, struct gso_layout *g)
{
	g->udp = p->gso == PKT_GSO_UDP;
	if (!p->gso_size || p->l3 < p->off)
		return false;
	g->l3 = p->l3 - p->off;
	if (!pkt_may_pull(c, p, g->l3 + sizeof(struct iphdr)))
		return false;
	const uint8_t *ip = pkt_data(p) + g->l3;
	g->v6 = ip[0] >> 4 == 6;
	unsigned l3_len = g->v6 ? sizeof(struct ipv6hdr) : (ip[0] & 15) * 4u;
	if ((!g->v6 && ip[0] >> 4 != 4) || l3_len < sizeof(struct iphdr))
		return false;
	g->l4 = g->l3 + l3_len;
	unsigned l4_min = g->udp ? sizeof(struct udphdr) : sizeof(struct tcphdr);
	if (!pkt_may_pull(c, p, g->l4 + l4_min))
		return false;
	ip = pkt_data(p) + g->l3;
	const uint8_t *l4 = pkt_data(p) + g->l4;
	unsigned l4_len = g->udp ? l4_min : (l4[12] >> 4) * 4u;
	uint8_t proto = g->v6 ? ip[6] : ip[9];
	if (proto != (g->udp ? IPPROTO_UDP : IPPROTO_TCP) || l4_len < l4_min)
		return false;
	g->hdr = g->l4 + l4_len;
	if (!pkt_may_pull(c, p, g->hdr))
		return false;
	l4 = pkt_data(p) + g->l4;
	g->id = g->v6 ? 0 : get_be16(pkt_data(p) + g->l3 + 4);
	g->seq = g->udp ? 0 : get_be32(l4 + 4);
	g->tcp_flags = g->udp ? 0 : l4[13];
	return true;
}

/* Sets lengths, sequence, flags and checksums of the segment that starts `at` bytes into the
 * payload. */
static void gso_finish(struct pkt *s, const struct gso_layout *g, unsigned n, uint32_t at,
		       bool last)
{
	uint8_t *ip = pkt_data(s) + g->l3, *l4 = pkt_data(s) + g->l4;
	uint16_t l4_bytes = (uint16_t)(s->total - g->l4);
	uint32_t sum;

	if (g->v6) {
		put_be16(ip + 4, (uint16_t)(s->total - g->l3 - sizeof(struct ipv6hdr)));
		sum = csum_partial(ip + 8, 32, 0);
		uint8_t tail[8] = {0, 0, (uint8_t)(l4_bytes >> 8),	    (uint8_t)l4_bytes, 0,
				   0, 0, g->udp ? IPPROTO_UDP : IPPROTO_TCP};
		sum = csum_partial(tail, sizeof(tail), sum);
	} else {
		uint32_t saddr, daddr;
		memcpy(&saddr, ip + 12, 4);
		memcpy(&daddr, ip + 16, 4);
		put_be16(ip + 2, (uint16_t)(s->total - g->l3));
		put_be16(ip + 4, (uint16_t)(g->id + n));
		memset(ip + 10, 0, 2);
		uint16_t csum = csum_ip4(ip, ip[0] & 15);
		memcpy(ip + 10, &csum, 2);
		sum = csum_pseudo4(saddr, daddr, g->udp ? IPPROTO_UDP : IPPROTO_TCP, l4_bytes);
	}
	unsigned field = g->udp ? 6 : 16;
	if (g->udp) {
		put_be16(l4 + 4, l4_bytes);
	} else {
		put_be32(l4 + 4, g->seq + at);
		uint8_t flags = g->tcp_flags;
		if (!last)
			flags &= (uint8_t) ~(TCP_FIN | TCP_PSH);
		if (n)
			flags &= (uint8_t)~TCP_CWR;
		l4[13] = flags;
	}
	memset(l4 + field, 0, 2);
	uint16_t csum = csum_fold(pkt_csum(s, g->l4, l4_bytes, sum));
	if (g->udp && !csum)
		csum = 0xffff;
	memcpy(l4 + field, &csum, 2);
}

static struct pkt *gso_copy(struct pool_cache *c, struct pkt *p, const struct gso_layout *g,
			    uint32_t at, uint32_t len)
{
	uint8_t chunk[2048];
	struct pkt *s = pkt_alloc(c);

	if (!s)
		return NULL;
	s->dev = p->dev;
	s->protocol = p->protocol;
	s->hash = p->hash;
	s->type = p->type;
	s->vlan_tci = p->vlan_tci;
	s->vlan_proto = p->vlan_proto;
	s->mark = p->mark;
	s->prio = p->prio;
	s->queue = p->queue;
	s->tstamp = p->tstamp;
	s->flags = p->flags & (PKT_VLAN | PKT_LOCAL | PKT_TRACE | PKT_HASH_L4);
	s->flags |= PKT_CSUM_OK;
	if (pkt_append(c, s, pkt_data(p), g->hdr))
		goto fail;
	s->l2 = s->off;
	s->l3 = (uint16_t)(s->off + g->l3);
	s->l4 = (uint16_t)(s->off + g->l4);
	while (len) {
		size_t n = pkt_copy_out(p, g->hdr + at, chunk, MIN((uint32_t)sizeof(chunk), len));
		if (!n || pkt_append(c, s, chunk, n))
			goto fail;
		at += (uint32_t)n;
		len -= (uint32_t)n;
	}
	return s;
fail:
	pkt_free(c, s);
	return NULL;
}

int gso_segment(struct pool_cache *c, struct pkt *p, struct pkt_queue *out)
{
	struct gso_layout g;
	struct pkt_queue made;

	pktq_init(&made);
	if (!gso_parse(c, p, &g))
		return -EINVAL;
	uint32_t payload = p->total - g.hdr;
	unsigned n = 0;
	for (uint32_t at = 0; at < payload || !n; at += p->gso_size, n++) {
		uint32_t len = MIN((uint32_t)p->gso_size, payload - at);
		struct pkt *s = gso_copy(c, p, &g, at, len);
		if (!s)
			goto fail;
		gso_finish(s, &g, n, at, at + len == payload);
		pktq_push(&made, s);
	}
	struct pkt *s;
	while ((s = pktq_pop(&made)))
		pktq_push(out, s);
	pkt_free(c, p);
	return 0;
fail:
	while ((s = pktq_pop(&made)))
		pkt_free(c, s);
	return -ENOBUFS;
}
