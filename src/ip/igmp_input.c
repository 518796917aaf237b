/*
 * igmp_input: what routers ask (RFC 3376 5.2, and the versions before), and what other hosts
 * report.
 */
#include <arpa/inet.h>
#include <linux/igmp.h>

#include "base/csum.h"
#include "ip/igmp.h"

#define ROUTER_PRESENT (400 * NSEC_PER_SEC) /* an old querier not heard so long is gone */
#define ALL_HOSTS      htonl(INADDR_ALLHOSTS_GROUP)

/* The floating point code of RFC 3376 4.1.1, in tenths of a second. */
static uint64_t max_response(uint8_t code)
{
	uint64_t v = code < 128 ? code : (uint64_t)((code & 15) | 16) << (((code >> 4) & 7) + 3);

	return v * (NSEC_PER_SEC / 10);
}

static void answer_group(struct in_dev *in, struct igmp_group *g, uint64_t most, unsigned n_sources,
			 const uint8_t *sources)
{
	struct timer *t = &g->timer;
	uint64_t at;

	if (!igmp_reported(in, g->addr))
		return;
	/* An answer about all sources that is under way stays one. */
	g->asked = n_sources && (g->asked || !timer_pending(t));
	if (g->asked && !igmp_sources_ask(g, n_sources, sources))
		return;
	at = igmp_worker(in)->now + igmp_random_wait(in, most) + IGMP_WAIT;
	/* An answer that is due earlier anyhow will do. */
	if (!timer_pending(t) || t->expires > at)
		timer_set(&igmp_worker(in)->wheel, t, at);
}

static void answer(struct in_dev *in, uint32_t group, uint64_t most, unsigned n_sources,
		   const uint8_t *sources)
{
	struct igmp_group *g;

	cds_list_for_each_entry (g, &in->mc, link)
		if (!group || g->addr == group)
			answer_group(in, g, most, n_sources, sources);
}

static void query_old(struct in_dev *in, uint8_t code, uint32_t group)
{
	uint64_t now = igmp_worker(in)->now;

	if (code) {
		in->igmp->v2_seen = now + ROUTER_PRESENT;
	} else {
		in->igmp->v1_seen = now + ROUTER_PRESENT;
		code = 100; /* 10 s */
		group = 0;
	}
	/* What was to be told in version 3 is told as answers. */
	igmp_forget_changes(in->igmp);
	answer(in, group, code * (NSEC_PER_SEC / 10), 0, NULL);
}

static void query(struct in_dev *in, struct view *v, size_t len, uint8_t code)
{
	uint32_t group;
	uint8_t robustness;
	unsigned n_sources;
	const uint8_t *p = view_take(v, 4);

	if (!p)
		return;
	memcpy(&group, p, 4);
	if (len == 8) {
		query_old(in, code, group);
		return;
	}
	robustness = view_u8(v) & 7;
	view_take(v, 1);
	n_sources = view_be16(v);
	if (!view_ok(v) || v->left < n_sources * 4u)
		return;
	if (igmp_version(in) == 1)
		return;
	if (igmp_version(in) == 2) {
		answer(in, group, MAX(max_response(code), NSEC_PER_SEC / 10), 0, NULL);
		return;
	}
	in->igmp->qrv = robustness ? robustness : (unsigned)in->dev->net->ip4->igmp_qrv;
	uint64_t most = MAX(max_response(code), NSEC_PER_SEC / 10);
	if (group) {
		answer(in, group, most, n_sources, view_take(v, n_sources * 4u));
	} else if (!n_sources) {
		uint64_t at = igmp_worker(in)->now + igmp_random_wait(in, most) + IGMP_WAIT;
		if (!timer_pending(&in->igmp->general) || in->igmp->general.expires > at)
			timer_set(&igmp_worker(in)->wheel, &in->igmp->general, at);
	}
}

/* Another host reported the group: ours need not (versions 1 and 2). */
static void heard_report(struct in_dev *in, uint32_t group)
{
	struct igmp_group *g = igmp_group_find(in, group);

	if (!g || group == ALL_HOSTS)
		return;
	timer_del(&g->timer);
	g->reporter = false;
	g->unsolicited = 0;
}

static void message(struct in_dev *in, struct pkt *p)
{
	uint8_t bytes[1500];
	size_t len = pkt_copy_out(p, 0, bytes, MIN(p->total, (uint32_t)sizeof(bytes)));
	struct view v = view_of(bytes, len);
	uint8_t type = view_u8(&v), code = view_u8(&v);

	view_take(&v, 2);
	if (!view_ok(&v) || len < 8 || csum_fold(pkt_csum(p, 0, p->total, 0)))
		return;
	if (type == IGMP_HOST_MEMBERSHIP_QUERY) {
		if (len == 8 || len >= 12)
			query(in, &v, len, code);
	} else if ((type == IGMP_HOST_MEMBERSHIP_REPORT || type == IGMPV2_HOST_MEMBERSHIP_REPORT) &&
		   p->type != PACKET_LOOPBACK) {
		uint32_t group;
		memcpy(&group, bytes + 4, 4);
		heard_report(in, group);
	}
}

static void igmp_control(struct worker *w, struct pkt *p)
{
	struct netdev *dev = p->dev;

	if (dev && dev->in_dev && dev->in_dev->igmp && !dev->in_dev->dead)
		message(dev->in_dev, p);
	pkt_free(&w->cache, p);
}

void igmp_input(struct worker *w, struct netdev *dev, struct pkt *p)
{
	p->dev = dev;
	if (w->id)
		worker_post(w->weft->worker[0], p, igmp_control);
	else
		igmp_control(w, p);
}
