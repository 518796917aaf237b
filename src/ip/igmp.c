/*
 * igmp: which multicast groups a device listens to, and telling routers so (RFC 2236, RFC 3376).
 *
 * A group is listed with the number of its users (sockets, and the device itself for 224.0.0.1).
 * Its link address goes to the driver's filter while the device is up. Joins and leaves are told in
 * state changes, repeated for robustness; queries are answered after a random wait, all groups in
 * one report. A querier of an older version makes the device speak that version for a while. Source
 * lists are not kept: every join is "everything from everyone" (EXCLUDE of nothing).
 *
 * Control thread, save ip4_igmp_member().
 */
#include <arpa/inet.h>
#include <linux/igmp.h>

#include "base/csum.h"
#include "ip/igmp.h"

#define ROUTER_PRESENT (400 * NSEC_PER_SEC) /* an old querier not heard so long is gone */
#define ALL_HOSTS      htonl(INADDR_ALLHOSTS_GROUP)
#define ALL_ROUTERS    htonl(INADDR_ALLRTRS_GROUP)
#define HEADER	       24 /* IPv4 header with the router alert option */

struct igmp_group {
	struct cds_list_head link; /* in in_dev->mc; RCU */
	uint32_t addr;		   /* be32 */
	unsigned users;
	struct in_dev *in;
	bool loaded;	      /* the driver listens to its link address */
	bool reporter;	      /* we were the last to report it (v2: who leaves tells) */
	unsigned unsolicited; /* reports of the join still to send: v1, v2 */
	unsigned changes;     /* state changes still to send: v3 */
	struct timer timer;
	struct rcu_head rcu;
};

/* A group left whose end is still to be told (v3). */
struct igmp_left {
	struct cds_list_head link;
	uint32_t addr;
	unsigned changes;
};

struct igmp_dev {
	struct in_dev *in;
	uint64_t v1_seen, v2_seen; /* until when an old querier counts as present */
	unsigned qrv;		   /* robustness */
	unsigned change_count;	   /* state change reports still to send */
	struct timer change, general;
	struct cds_list_head left;
};

static uint64_t random_wait(struct in_dev *in, uint64_t most)
{
	return most ? rng_u64(&igmp_worker(in)->rng) % most : 0;
}

static void arm(struct in_dev *in, struct timer *t, uint64_t wait)
{
	struct worker *w = igmp_worker(in);

	timer_set(&w->wheel, t, w->now + wait);
}

static bool link_local(uint32_t addr)
{
	return (addr & htonl(0xffffff00)) == htonl(0xe0000000);
}

static bool reported(const struct in_dev *in, uint32_t addr)
{
	if (addr == ALL_HOSTS || in->dead || (in->dev->flags & IFF_LOOPBACK))
		return false;
	return !link_local(addr) || in->dev->net->ip4->igmp_link_local_mcast_reports;
}

static unsigned version(const struct in_dev *in)
{
	const struct igmp_dev *id = in->igmp;
	uint64_t now = igmp_worker(in)->now;
	int forced = ip4_conf(in->dev, IPV4_DEVCONF_FORCE_IGMP_VERSION);

	if (forced)
		return (unsigned)forced;
	if (id && now < id->v1_seen)
		return 1;
	return id && now < id->v2_seen ? 2 : 3;
}

/* ---- timers ---- */

/* State changes (RFC 3376 5.1): what came and what went, each told qrv times. */
static void change_fire(struct timer *t, uint64_t now)
{
	struct igmp_dev *id = container_of(t, struct igmp_dev, change);
	struct in_dev *in = id->in;
	struct igmp_report r = {.in = in};
	struct igmp_left *left, *next;
	struct igmp_group *g;

	cds_list_for_each_entry_safe (left, next, &id->left, link) {
		igmp_report_add(&r, IGMPV3_CHANGE_TO_INCLUDE, left->addr);
		if (--left->changes)
			continue;
		cds_list_del(&left->link);
		free(left);
	}
	cds_list_for_each_entry (g, &in->mc, link) {
		if (!g->changes || !reported(in, g->addr))
			continue;
		g->changes--;
		igmp_report_add(&r, IGMPV3_CHANGE_TO_EXCLUDE, g->addr);
	}
	igmp_report_end(&r);
	if (id->change_count && --id->change_count) {
		int ms = ip4_conf(in->dev, IPV4_DEVCONF_IGMPV3_UNSOLICITED_REPORT_INTERVAL);
		arm(in, t, random_wait(in, (uint64_t)MAX(ms, 1) * NSEC_PER_MSEC));
	}
}

static void general_fire(struct timer *t, uint64_t now)
{
	struct igmp_dev *id = container_of(t, struct igmp_dev, general);
	struct igmp_report r = {.in = id->in};
	struct igmp_group *g;

	cds_list_for_each_entry (g, &id->in->mc, link)
		if (reported(id->in, g->addr))
			igmp_report_add(&r, IGMPV3_MODE_IS_EXCLUDE, g->addr);
	igmp_report_end(&r);
}

static void group_fire(struct timer *t, uint64_t now)
{
	struct igmp_group *g = container_of(t, struct igmp_group, timer);
	struct in_dev *in = g->in;
	struct igmp_report r = {.in = in};

	switch (version(in)) {
	case 1:
		igmp_send_v2(in, IGMP_HOST_MEMBERSHIP_REPORT, g->addr, g->addr);
		break;
	case 2:
		igmp_send_v2(in, IGMPV2_HOST_MEMBERSHIP_REPORT, g->addr, g->addr);
		break;
	default:
		igmp_report_add(&r, IGMPV3_MODE_IS_EXCLUDE, g->addr);
		igmp_report_end(&r);
	}
	g->reporter = true;
	if (g->unsolicited && --g->unsolicited) {
		int ms = ip4_conf(in->dev, IPV4_DEVCONF_IGMPV2_UNSOLICITED_REPORT_INTERVAL);
		arm(in, t, random_wait(in, (uint64_t)MAX(ms, 1) * NSEC_PER_MSEC));
	}
}

/* ---- groups ---- */

static bool link_address(const struct in_dev *in, uint32_t group, uint8_t *addr)
{
	if (in->dev->type != ARPHRD_ETHER)
		return false;
	put_be32(addr, 0x01005e00);
	put_be32(addr + 2, 0x5e000000 | (ntohl(group) & 0x7fffff));
	return true;
}

static void group_load(struct igmp_group *g, bool on)
{
	uint8_t addr[NETDEV_ALEN] = {0};

	if (g->loaded == on)
		return;
	g->loaded = on;
	if (!link_address(g->in, g->addr, addr))
		return;
	if (on)
		netdev_maddr_add(g->in->dev, addr);
	else
		netdev_maddr_del(g->in->dev, addr);
}

static struct igmp_left *left_find(struct igmp_dev *id, uint32_t addr)
{
	struct igmp_left *l;

	cds_list_for_each_entry (l, &id->left, link)
		if (l->addr == addr)
			return l;
	return NULL;
}

static void tell_change(struct in_dev *in)
{
	in->igmp->change_count = in->igmp->qrv;
	arm(in, &in->igmp->change, 0);
}

static void group_started(struct igmp_group *g)
{
	struct in_dev *in = g->in;
	struct igmp_left *l;

	group_load(g, true);
	if (!reported(in, g->addr) || !netdev_running(in->dev))
		return;
	if (version(in) < 3) {
		g->unsolicited = in->igmp->qrv;
		arm(in, &g->timer, 0);
		return;
	}
	l = left_find(in->igmp, g->addr);
	if (l) {
		cds_list_del(&l->link);
		free(l);
	}
	g->changes = in->igmp->qrv;
	tell_change(in);
}

/* `quiet`: the device goes down, there is no one to tell. */
static void group_stopped(struct igmp_group *g, bool quiet)
{
	struct in_dev *in = g->in;
	struct igmp_left *l;

	timer_del(&g->timer);
	group_load(g, false);
	if (quiet || !reported(in, g->addr) || !netdev_running(in->dev))
		return;
	if (version(in) == 1)
		return;
	if (version(in) == 2) {
		if (g->reporter)
			igmp_send_v2(in, IGMP_HOST_LEAVE_MESSAGE, g->addr, ALL_ROUTERS);
		return;
	}
	l = left_find(in->igmp, g->addr);
	if (!l) {
		l = calloc(1, sizeof(*l));
		if (!l)
			return;
		l->addr = g->addr;
		cds_list_add_tail(&l->link, &in->igmp->left);
	}
	l->changes = in->igmp->qrv;
	tell_change(in);
}

static struct igmp_group *group_find(const struct in_dev *in, uint32_t addr)
{
	struct igmp_group *g;

	cds_list_for_each_entry_rcu (g, &((struct in_dev *)in)->mc, link)
		if (g->addr == addr)
			return g;
	return NULL;
}

static struct igmp_dev *igmp_dev_get(struct in_dev *in)
{
	struct igmp_dev *id = in->igmp;

	if (id)
		return id;
	id = calloc(1, sizeof(*id));
	if (!id)
		return NULL;
	id->in = in;
	id->qrv = (unsigned)in->dev->net->ip4->igmp_qrv;
	timer_init(&id->change, change_fire);
	timer_init(&id->general, general_fire);
	CDS_INIT_LIST_HEAD(&id->left);
	in->igmp = id;
	return id;
}

int ip4_igmp_join(struct netdev *dev, uint32_t group)
{
	struct in_dev *in = dev->in_dev;
	struct igmp_group *g;

	if (!ip4_is_multicast(group))
		return -EINVAL;
	if (!in)
		return -ENODEV;
	g = group_find(in, group);
	if (g) {
		g->users++;
		return 0;
	}
	g = calloc(1, sizeof(*g));
	if (!g || !igmp_dev_get(in)) {
		free(g);
		return -ENOMEM;
	}
	g->addr = group;
	g->users = 1;
	g->in = in;
	timer_init(&g->timer, group_fire);
	cds_list_add_rcu(&g->link, &in->mc);
	group_started(g);
	return 0;
}

static void group_free_rcu(struct rcu_head *h)
{
	free(container_of(h, struct igmp_group, rcu));
}

static void group_end(struct igmp_group *g, bool quiet)
{
	cds_list_del_rcu(&g->link);
	group_stopped(g, quiet);
	call_rcu(&g->rcu, group_free_rcu);
}

int ip4_igmp_leave(struct netdev *dev, uint32_t group)
{
	struct igmp_group *g = dev->in_dev ? group_find(dev->in_dev, group) : NULL;

	if (!g)
		return -EADDRNOTAVAIL;
	if (!--g->users)
		group_end(g, false);
	return 0;
}

bool ip4_igmp_member(const struct netdev *dev, uint32_t group)
{
	const struct in_dev *in = in_dev_get(dev);

	return in && group_find(in, group);
}

int ip4_igmp_walk(const struct netdev *dev,
		  int (*fn)(void *arg, uint32_t group, unsigned users, uint64_t timer,
			    bool reporter),
		  void *arg)
{
	struct igmp_group *g;

	if (!dev->in_dev)
		return 0;
	cds_list_for_each_entry (g, &dev->in_dev->mc, link) {
		uint64_t now = igmp_worker(dev->in_dev)->now;
		bool pending = timer_pending(&g->timer) && g->timer.expires > now;
		int ret = fn(arg, g->addr, g->users, pending ? g->timer.expires - now : 0,
			     g->reporter);
		if (ret)
			return ret;
	}
	return 0;
}

unsigned ip4_igmp_version(const struct netdev *dev)
{
	return dev->in_dev ? version(dev->in_dev) : 3;
}

/* ---- the device's life ---- */

void igmp_dev_up(struct in_dev *in)
{
	struct igmp_group *g;

	if (!igmp_dev_get(in))
		return;
	in->igmp->qrv = (unsigned)in->dev->net->ip4->igmp_qrv;
	if (!group_find(in, ALL_HOSTS))
		ip4_igmp_join(in->dev, ALL_HOSTS);
	cds_list_for_each_entry (g, &in->mc, link)
		if (!g->loaded)
			group_started(g);
}

static void forget_changes(struct igmp_dev *id)
{
	struct igmp_left *l, *next;

	timer_del(&id->change);
	timer_del(&id->general);
	id->change_count = 0;
	cds_list_for_each_entry_safe (l, next, &id->left, link) {
		cds_list_del(&l->link);
		free(l);
	}
}

void igmp_dev_down(struct in_dev *in)
{
	struct igmp_group *g;

	if (!in->igmp)
		return;
	cds_list_for_each_entry (g, &in->mc, link)
		group_stopped(g, true);
	forget_changes(in->igmp);
	in->igmp->v1_seen = in->igmp->v2_seen = 0;
	g = group_find(in, ALL_HOSTS);
	if (g && !--g->users)
		group_end(g, true);
}

void igmp_dev_destroy(struct in_dev *in)
{
	struct igmp_group *g, *next;

	cds_list_for_each_entry_safe (g, next, &in->mc, link)
		group_end(g, true);
	if (!in->igmp)
		return;
	forget_changes(in->igmp);
	free(in->igmp);
	in->igmp = NULL;
}

/* ---- what routers say ---- */

/* The floating point code of RFC 3376 4.1.1, in tenths of a second. */
static uint64_t max_response(uint8_t code)
{
	uint64_t v = code < 128 ? code : (uint64_t)((code & 15) | 16) << (((code >> 4) & 7) + 3);

	return v * (NSEC_PER_SEC / 10);
}

static void answer_group(struct in_dev *in, struct igmp_group *g, uint64_t most)
{
	struct timer *t = &g->timer;
	uint64_t at;

	if (!reported(in, g->addr))
		return;
	at = igmp_worker(in)->now + random_wait(in, most);
	/* An answer that is due earlier anyhow will do. */
	if (!timer_pending(t) || t->expires > at)
		timer_set(&igmp_worker(in)->wheel, t, at);
}

static void answer(struct in_dev *in, uint32_t group, uint64_t most)
{
	struct igmp_group *g;

	cds_list_for_each_entry (g, &in->mc, link)
		if (!group || g->addr == group)
			answer_group(in, g, most);
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
	forget_changes(in->igmp);
	answer(in, group, code * (NSEC_PER_SEC / 10));
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
	if (version(in) == 1)
		return;
	if (version(in) == 2) {
		answer(in, group, MAX(max_response(code), NSEC_PER_SEC / 10));
		return;
	}
	in->igmp->qrv = robustness ? robustness : (unsigned)in->dev->net->ip4->igmp_qrv;
	uint64_t most = MAX(max_response(code), NSEC_PER_SEC / 10);
	if (group) {
		answer(in, group, most);
	} else if (!n_sources) {
		uint64_t at = igmp_worker(in)->now + random_wait(in, most);
		if (!timer_pending(&in->igmp->general) || in->igmp->general.expires > at)
			timer_set(&igmp_worker(in)->wheel, &in->igmp->general, at);
	}
}

/* Another host reported the group: ours need not (versions 1 and 2). */
static void heard_report(struct in_dev *in, uint32_t group)
{
	struct igmp_group *g = group_find(in, group);

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

static void igmp_input(struct worker *w, struct netdev *dev, struct pkt *p)
{
	p->dev = dev;
	if (w->id)
		worker_post(w->weft->worker[0], p, igmp_control);
	else
		igmp_control(w, p);
}

int igmp_init(struct ip4_core *core)
{
	core->igmp_proto.input = igmp_input;
	core->hooks.proto[IPPROTO_IGMP] = &core->igmp_proto;
	return 0;
}
