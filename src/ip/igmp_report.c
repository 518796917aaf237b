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
#define HEAD	       8  /* of an IGMPv3 report */
#define RECORD	       8  /* of a group in it, without sources */

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
	r->open = 0;
}

/* ---- records ---- */

/* Bytes that still fit. */
static size_t room(const struct igmp_report *r)
{
	size_t most = MIN(r->in->dev->mtu, 65535u);

	return r->p ? most - MIN(r->p->total, most) : most - HEADER - HEAD;
}

static bool append(struct igmp_report *r, const void *data, size_t len)
{
	struct pool_cache *c = &igmp_worker(r->in)->cache;

	if (!pkt_append(c, r->p, data, len))
		return true;
	pkt_free(c, r->p);
	r->p = NULL;
	r->n = 0;
	r->open = 0;
	return false;
}

static bool record_begin(struct igmp_report *r, uint8_t type, uint32_t group)
{
	static const uint8_t head[HEAD] = {IGMPV3_HOST_MEMBERSHIP_REPORT};
	uint8_t record[RECORD] = {type};

	if (r->p && room(r) < sizeof(record))
		igmp_report_end(r);
	if (!r->p) {
		r->p = message_new(r->in, ALL_V3_ROUTERS, &r->res);
		if (!r->p || !append(r, head, sizeof(head)))
			return false;
	}
	r->open = r->p->total;
	r->n_src = 0;
	memcpy(record + 4, &group, 4);
	if (!append(r, record, sizeof(record)))
		return false;
	r->n++;
	return true;
}

static void record_close(struct igmp_report *r)
{
	uint8_t n[2];

	if (!r->open)
		return;
	put_be16(n, (uint16_t)r->n_src);
	pkt_copy_in(r->p, r->open + 2, n, sizeof(n));
	r->open = 0;
}

/* Does this source belong in a record of this type? */
static bool is_in(const struct igmp_group *g, const struct igmp_source *s, uint8_t type, bool gone,
		  bool old)
{
	bool excluded = g->n[MCAST_EXCLUDE] == s->n[MCAST_EXCLUDE];

	switch (type) {
	case IGMPV3_MODE_IS_INCLUDE:
	case IGMPV3_MODE_IS_EXCLUDE:
		if (gone || old || (g->asked && !s->asked))
			return false;
		if (g->mode == MCAST_INCLUDE)
			return true;
		return s->n[MCAST_INCLUDE] ? type == IGMPV3_MODE_IS_INCLUDE : excluded;
	case IGMPV3_CHANGE_TO_INCLUDE:
		return !gone && !old && s->n[MCAST_INCLUDE];
	case IGMPV3_CHANGE_TO_EXCLUDE:
		return !gone && !old && g->n[MCAST_EXCLUDE] && !s->n[MCAST_INCLUDE] && excluded;
	case IGMPV3_ALLOW_NEW_SOURCES:
		return !gone && s->changes && (g->mode == MCAST_INCLUDE) != old;
	default: /* BLOCK_OLD_SOURCES */
		if (g->mode == MCAST_INCLUDE)
			return gone || (s->changes && old);
		return s->changes && !gone && !old;
	}
}

static bool is_query(uint8_t type)
{
	return type == IGMPV3_MODE_IS_INCLUDE || type == IGMPV3_MODE_IS_EXCLUDE;
}

static bool is_change(uint8_t type)
{
	return type == IGMPV3_ALLOW_NEW_SOURCES || type == IGMPV3_BLOCK_OLD_SOURCES;
}

/* Its change was told once more; what has been told often enough is forgotten, where it is only
 * kept to be told. */
static void told(struct igmp_source *s, bool forget)
{
	if (!s->changes || --s->changes || !forget)
		return;
	cds_list_del(&s->link);
	free(s);
}

/* One source; false: the record is as full as it may become. */
static bool record_source(struct igmp_report *r, const struct igmp_group *g, uint8_t type,
			  uint32_t addr, bool exclude)
{
	if (room(r) < sizeof(addr) + (r->open ? 0 : RECORD)) {
		/* What is not excluded in one report may not be in the next. */
		if (exclude && r->open)
			return false;
		record_close(r);
		igmp_report_end(r);
	}
	if ((!r->open && !record_begin(r, type, g->addr)) || !append(r, &addr, sizeof(addr)))
		return false;
	r->n_src++;
	return true;
}

/* Bytes of the whole record. */
static size_t record_size(struct igmp_group *g, uint8_t type, bool gone, bool old)
{
	size_t size = RECORD;
	struct igmp_source *s;

	cds_list_for_each_entry (s, old ? &g->old : &g->sources, link)
		size += is_in(g, s, type, gone, old) ? 4 : 0;
	return size;
}

void igmp_report_add(struct igmp_report *r, struct igmp_group *g, uint8_t type, bool gone, bool old)
{
	bool exclude = type == IGMPV3_MODE_IS_EXCLUDE || type == IGMPV3_CHANGE_TO_EXCLUDE;
	bool mode_changes = gone ? g->mode == MCAST_EXCLUDE : g->changes;
	struct igmp_source *s, *next;
	bool any = false;

	if (exclude && r->n && room(r) < record_size(g, type, gone, old))
		igmp_report_end(r);
	cds_list_for_each_entry_safe (s, next, old ? &g->old : &g->sources, link) {
		if (!is_in(g, s, type, gone, old))
			continue;
		if (!is_change(type) || !s->changes || !mode_changes) {
			if (is_query(type))
				s->asked = false;
			if (!record_source(r, g, type, s->addr, exclude))
				break;
			any = true;
		}
		if (is_change(type))
			told(s, gone || old);
	}
	if (!any && !is_change(type) && (g->changes || is_query(type)))
		record_begin(r, type, g->addr);
	record_close(r);
	if (is_query(type))
		g->asked = false;
}
