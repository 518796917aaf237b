/*
 * igmp_report: the messages of IGMP on their way out: IPv4 header with router alert, time to live 1
 * (RFC 3376 4).
 */
#include <arpa/inet.h>
#include <linux/igmp.h>

#include "base/csum.h"
#include "ip/igmp.h"

#define ALL_V3_ROUTERS htonl(0xe0000016)
#define HEADER	       24 /* IPv4 header with the router alert option */

/* A packet whose data starts at the IPv4 header, to which the IGMP message is appended. */
static struct pkt *message_new(struct in_dev *in, uint32_t daddr, struct route_result *res)
{
	struct worker *w = igmp_worker(in);
	struct flow4 fl = {.daddr = daddr, .oif = in->dev->ifindex, .proto = IPPROTO_IGMP};
	uint8_t header[HEADER] = {0x46, 0xc0, [8] = 1, IPPROTO_IGMP, [20] = 0x94, 4, 0, 0};
	struct pkt *p;

	if (route4_output(in->dev->net, &fl, res))
		return NULL;
	p = pkt_new(w);
	if (!p)
		return NULL;
	put_be16(header + 6, 0x4000); /* DF: it is small */
	memcpy(header + 12, &res->saddr, 4);
	memcpy(header + 16, &daddr, 4);
	if (pkt_append(&w->cache, p, header, sizeof(header))) {
		pkt_free(&w->cache, p);
		return NULL;
	}
	return p;
}

/* Takes: fills in lengths and checksums and sends. */
static void message_send(struct in_dev *in, struct pkt *p, const struct route_result *res)
{
	struct worker *w = igmp_worker(in);
	struct ip4_tx tx = {.net = in->dev->net, .route = res, .proto = IPPROTO_IGMP};
	uint8_t *h = pkt_data(p);
	uint16_t sum;

	put_be16(h + 2, (uint16_t)p->total);
	sum = csum_ip4(h, HEADER / 4);
	memcpy(h + 10, &sum, 2);
	sum = csum_fold(pkt_csum(p, HEADER, p->total - HEADER, 0));
	memcpy(h + HEADER + 2, &sum, 2);
	p->prio = 7; /* TC_PRIO_CONTROL */
	ip4_send_raw(w, &tx, p);
}

void igmp_send_v2(struct in_dev *in, uint8_t type, uint32_t group, uint32_t daddr)
{
	struct route_result res;
	struct pkt *p = message_new(in, daddr, &res);
	uint8_t msg[8] = {type};

	if (!p)
		return;
	memcpy(msg + 4, &group, 4);
	if (pkt_append(&igmp_worker(in)->cache, p, msg, sizeof(msg)))
		pkt_free(&igmp_worker(in)->cache, p);
	else
		message_send(in, p, &res);
}

void igmp_report_end(struct igmp_report *r)
{
	if (!r->p)
		return;
	put_be16(pkt_data(r->p) + HEADER + 6, (uint16_t)r->n);
	message_send(r->in, r->p, &r->res);
	r->p = NULL;
	r->n = 0;
}

void igmp_report_add(struct igmp_report *r, uint8_t type, uint32_t group)
{
	struct pool_cache *c = &igmp_worker(r->in)->cache;
	uint8_t record[8] = {type};
	uint8_t head[8] = {IGMPV3_HOST_MEMBERSHIP_REPORT};

	if (r->p && r->p->total + sizeof(record) > MIN(r->in->dev->mtu, 1500u))
		igmp_report_end(r);
	if (!r->p) {
		r->p = message_new(r->in, ALL_V3_ROUTERS, &r->res);
		if (!r->p)
			return;
		if (pkt_append(c, r->p, head, sizeof(head)))
			goto drop;
	}
	memcpy(record + 4, &group, 4);
	if (pkt_append(c, r->p, record, sizeof(record)))
		goto drop;
	r->n++;
	return;
drop:
	pkt_free(c, r->p);
	r->p = NULL;
	r->n = 0;
}
