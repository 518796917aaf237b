/*
 * igmp: which multicast groups a device listens to, and telling routers so (RFC 2236, RFC 3376).
 *
 * A group is listed with the number of its users (sockets, and the device itself for 224.0.0.1).
 * Its link address goes to the driver's filter while the device is up. Joins and leaves are told in
 * state changes, repeated for robustness; queries are answered after a random wait, all groups in
 * one report. A querier of an older version makes the device speak that version for a while.
 *
 * Control thread, save ip4_igmp_member().
 */
#include <arpa/inet.h>
#include <linux/igmp.h>

#include "ip/igmp.h"

#define ALL_HOSTS   htonl(INADDR_ALLHOSTS_GROUP)
#define ALL_ROUTERS htonl(INADDR_ALLRTRS_GROUP)

uint64_t igmp_random_wait(struct in_dev *in, uint64_t most)
{
	return most ? rng_u64(&igmp_worker(in)->rng) % most : 0;
}

static void arm(struct in_dev *in, struct timer *t, uint64_t wait)
{
	struct worker *w = igmp_worker(in);

	timer_set(&w->wheel, t, w->now + wait + IGMP_WAIT);
}

static bool link_local(uint32_t addr)
{
	return (addr & htonl(0xffffff00)) == htonl(0xe0000000);
}

bool igmp_reported(const struct in_dev *in, uint32_t addr)
{
	if (addr == ALL_HOSTS || in->dead || (in->dev->flags & IFF_LOOPBACK))
		return false;
	return !link_local(addr) || in->dev->net->ip4->igmp_link_local_mcast_reports;
}

unsigned igmp_version(const struct in_dev *in)
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

static void left_del(struct igmp_group *g)
{
	cds_list_del(&g->link);
	igmp_sources_free(&g->old);
	free(g);
}

/* A group that was left: what of it is still to be told. */
static void tell_left(struct igmp_report *r, struct igmp_group *g)
{
	if (g->mode == MCAST_INCLUDE)
		igmp_report_add(r, g, IGMPV3_BLOCK_OLD_SOURCES, true, true);
	if (g->changes) {
		if (g->mode == MCAST_EXCLUDE)
			igmp_report_add(r, g, IGMPV3_CHANGE_TO_INCLUDE, true, false);
		g->changes--;
	}
	if (!g->changes && cds_list_empty(&g->old))
		left_del(g);
}

static void tell_changes(struct igmp_report *r, struct igmp_group *g)
{
	bool exclude = g->n[MCAST_EXCLUDE];

	igmp_report_add(r, g, exclude ? IGMPV3_BLOCK_OLD_SOURCES : IGMPV3_ALLOW_NEW_SOURCES, false,
			false);
	igmp_report_add(r, g, exclude ? IGMPV3_ALLOW_NEW_SOURCES : IGMPV3_BLOCK_OLD_SOURCES, false,
			true);
	if (!g->changes)
		return;
	igmp_report_add(r, g,
			g->mode == MCAST_EXCLUDE ? IGMPV3_CHANGE_TO_EXCLUDE
						 : IGMPV3_CHANGE_TO_INCLUDE,
			false, false);
	g->changes--;
}

/* State changes (RFC 3376 5.1): what came and what went, each told qrv times. */
static void change_fire(struct timer *t, uint64_t now)
{
	struct igmp_dev *id = container_of(t, struct igmp_dev, change);
	struct in_dev *in = id->in;
	struct igmp_report r = {.in = in};
	struct igmp_group *g, *next;

	cds_list_for_each_entry_safe (g, next, &id->left, link)
		tell_left(&r, g);
	cds_list_for_each_entry (g, &in->mc, link)
		if (igmp_reported(in, g->addr))
			tell_changes(&r, g);
	igmp_report_end(&r);
	if (id->change_count && --id->change_count) {
		int ms = ip4_conf(in->dev, IPV4_DEVCONF_IGMPV3_UNSOLICITED_REPORT_INTERVAL);
		arm(in, t, igmp_random_wait(in, (uint64_t)MAX(ms, 1) * NSEC_PER_MSEC));
	}
}

static void report_state(struct igmp_report *r, struct igmp_group *g)
{
	igmp_report_add(r, g, g->n[MCAST_EXCLUDE] ? IGMPV3_MODE_IS_EXCLUDE : IGMPV3_MODE_IS_INCLUDE,
			false, false);
}

static void general_fire(struct timer *t, uint64_t now)
{
	struct igmp_dev *id = container_of(t, struct igmp_dev, general);
	struct igmp_report r = {.in = id->in};
	struct igmp_group *g;

	cds_list_for_each_entry (g, &id->in->mc, link)
		if (igmp_reported(id->in, g->addr))
			report_state(&r, g);
	igmp_report_end(&r);
}

static void group_fire(struct timer *t, uint64_t now)
{
	struct igmp_group *g = container_of(t, struct igmp_group, timer);
	struct in_dev *in = g->in;
	struct igmp_report r = {.in = in};

	switch (igmp_version(in)) {
	case 1:
		igmp_send_v2(in, IGMP_HOST_MEMBERSHIP_REPORT, g->addr, g->addr);
		break;
	case 2:
		igmp_send_v2(in, IGMPV2_HOST_MEMBERSHIP_REPORT, g->addr, g->addr);
		break;
	default:
		report_state(&r, g);
		igmp_report_end(&r);
	}
	g->reporter = true;
	if (g->unsolicited && --g->unsolicited) {
		int ms = ip4_conf(in->dev, IPV4_DEVCONF_IGMPV2_UNSOLICITED_REPORT_INTERVAL);
		arm(in, t, igmp_random_wait(in, (uint64_t)MAX(ms, 1) * NSEC_PER_MSEC));
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

static struct igmp_group *left_find(struct igmp_dev *id, uint32_t addr)
{
	struct igmp_group *l;

	cds_list_for_each_entry (l, &id->left, link)
		if (l->addr == addr)
			return l;
	return NULL;
}

void igmp_tell_change(struct in_dev *in)
{
	if (igmp_version(in) < 3 || !netdev_running(in->dev))
		return;
	in->igmp->change_count = in->igmp->qrv;
	arm(in, &in->igmp->change, 0);
}

/* The group is back before its end was told often enough: sources that went stay to be told. */
static void take_back(struct igmp_group *g)
{
	struct igmp_group *l = left_find(g->in->igmp, g->addr);

	if (!l)
		return;
	if (g->mode == MCAST_INCLUDE) {
		cds_list_splice(&l->old, &g->old);
		CDS_INIT_LIST_HEAD(&l->old);
	}
	left_del(l);
}

static void group_started(struct igmp_group *g)
{
	struct in_dev *in = g->in;
	struct igmp_source *s;

	group_load(g, true);
	if (!igmp_reported(in, g->addr) || !netdev_running(in->dev))
		return;
	if (igmp_version(in) < 3) {
		g->unsolicited = in->igmp->qrv;
		arm(in, &g->timer, 0);
		return;
	}
	take_back(g);
	/* A group that includes begins as one that includes nothing. */
	if (g->mode == MCAST_EXCLUDE)
		g->changes = in->igmp->qrv;
	else
		cds_list_for_each_entry (s, &g->sources, link)
			s->changes = in->igmp->qrv;
	igmp_tell_change(in);
}

static struct igmp_group *group_new(struct in_dev *in, uint32_t addr, unsigned mode)
{
	struct igmp_group *g = calloc(1, sizeof(*g));

	if (!g)
		return NULL;
	g->addr = addr;
	g->in = in;
	g->mode = mode;
	CDS_INIT_LIST_HEAD(&g->sources);
	CDS_INIT_LIST_HEAD(&g->old);
	return g;
}

/* What is to be told of a group that ends. */
static void leave_behind(struct igmp_group *g)
{
	struct igmp_dev *id = g->in->igmp;
	struct igmp_group *l = left_find(id, g->addr);

	if (l)
		left_del(l);
	l = group_new(g->in, g->addr, g->mode);
	if (!l)
		return;
	l->changes = id->qrv;
	cds_list_splice(&g->old, &l->old);
	CDS_INIT_LIST_HEAD(&g->old);
	cds_list_add_tail(&l->link, &id->left);
	igmp_tell_change(g->in);
}

/* `quiet`: the device goes down, there is no one to tell. */
static void group_stopped(struct igmp_group *g, bool quiet)
{
	struct in_dev *in = g->in;
	bool reporter = g->reporter;

	timer_del(&g->timer);
	g->reporter = false;
	g->unsolicited = 0;
	group_load(g, false);
	if (quiet || !igmp_reported(in, g->addr) || !netdev_running(in->dev))
		return;
	if (igmp_version(in) == 3)
		leave_behind(g);
	else if (igmp_version(in) == 2 && reporter)
		igmp_send_v2(in, IGMP_HOST_LEAVE_MESSAGE, g->addr, ALL_ROUTERS);
}

struct igmp_group *igmp_group_find(const struct in_dev *in, uint32_t addr)
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

int ip4_igmp_join(struct netdev *dev, uint32_t group, unsigned mode)
{
	struct in_dev *in = dev->in_dev;
	struct igmp_group *g;

	if (!ip4_is_multicast(group))
		return -EINVAL;
	if (!in)
		return -ENODEV;
	g = igmp_group_find(in, group);
	if (g) {
		g->users++;
		return igmp_source_add(g, mode, 0, NULL, true);
	}
	g = igmp_dev_get(in) ? group_new(in, group, mode) : NULL;
	if (!g)
		return -ENOMEM;
	g->users = 1;
	g->n[mode] = 1;
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
	igmp_sources_lapse(g);
	call_rcu(&g->rcu, group_free_rcu);
}

int ip4_igmp_leave(struct netdev *dev, uint32_t group, unsigned mode, unsigned n,
		   const uint32_t *srcs)
{
	struct igmp_group *g = dev->in_dev ? igmp_group_find(dev->in_dev, group) : NULL;

	if (!g)
		return -EADDRNOTAVAIL;
	igmp_source_del(g, mode, n, srcs, true);
	if (!--g->users)
		group_end(g, false);
	return 0;
}

int ip4_igmp_filter(struct netdev *dev, uint32_t group, bool add, unsigned mode, unsigned n,
		    const uint32_t *srcs, bool whole)
{
	struct igmp_group *g = dev->in_dev ? igmp_group_find(dev->in_dev, group) : NULL;

	if (!g)
		return -ESRCH;
	return add ? igmp_source_add(g, mode, n, srcs, whole)
		   : igmp_source_del(g, mode, n, srcs, whole);
}

bool ip4_igmp_member(const struct netdev *dev, uint32_t group)
{
	const struct in_dev *in = in_dev_get(dev);

	return in && igmp_group_find(in, group);
}

bool ip4_igmp_wants(const struct netdev *dev, uint32_t group, uint32_t src, uint8_t proto)
{
	const struct in_dev *in = in_dev_get(dev);
	const struct igmp_group *g = in ? igmp_group_find(in, group) : NULL;

	return g && (proto == IPPROTO_IGMP || igmp_source_wanted(g, src));
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

void ip4_igmp_walk_sources(const struct netdev *dev,
			   void (*fn)(void *arg, uint32_t group, uint32_t src, unsigned n_include,
				      unsigned n_exclude),
			   void *arg)
{
	const struct igmp_source *s;
	struct igmp_group *g;

	if (!dev->in_dev)
		return;
	cds_list_for_each_entry (g, &dev->in_dev->mc, link)
		cds_list_for_each_entry (s, &g->sources, link)
			fn(arg, g->addr, s->addr, s->n[MCAST_INCLUDE], s->n[MCAST_EXCLUDE]);
}

unsigned ip4_igmp_version(const struct netdev *dev)
{
	return dev->in_dev ? igmp_version(dev->in_dev) : 3;
}

/* ---- the device's life ---- */

void igmp_dev_up(struct in_dev *in)
{
	struct igmp_group *g;

	if (!igmp_dev_get(in))
		return;
	in->igmp->qrv = (unsigned)in->dev->net->ip4->igmp_qrv;
	if (!igmp_group_find(in, ALL_HOSTS))
		ip4_igmp_join(in->dev, ALL_HOSTS, MCAST_EXCLUDE);
	cds_list_for_each_entry (g, &in->mc, link)
		if (!g->loaded)
			group_started(g);
}

void igmp_forget_changes(struct igmp_dev *id)
{
	struct igmp_group *l, *next;

	timer_del(&id->change);
	timer_del(&id->general);
	id->change_count = 0;
	cds_list_for_each_entry_safe (l, next, &id->left, link)
		left_del(l);
}

void igmp_dev_down(struct in_dev *in)
{
	struct igmp_group *g;

	if (!in->igmp)
		return;
	cds_list_for_each_entry (g, &in->mc, link)
		group_stopped(g, true);
	igmp_forget_changes(in->igmp);
	in->igmp->v1_seen = in->igmp->v2_seen = 0;
	g = igmp_group_find(in, ALL_HOSTS);
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
	igmp_forget_changes(in->igmp);
	free(in->igmp);
	in->igmp = NULL;
}

int igmp_init(struct ip4_core *core)
{
	core->igmp_proto.input = igmp_input;
	core->hooks.proto[IPPROTO_IGMP] = &core->igmp_proto;
	return 0;
}
