/*
 * ip4_test: an instance built by hand for the unit tests of src/ip: one worker, one namespace with
 * lo, and Ethernet devices that swallow what they are to send. Time stands still unless told.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "dev/kind.h"
#include "ip/ip4_core.h"

struct bed {
	struct weft weft;
	struct worker worker;
	struct event_chain events;
	struct dev_core core;
	struct net_set nets;
	struct net *net;
	unsigned n_sent;   /* frames that devices swallowed */
	uint8_t last[128]; /* the last one's first bytes */
	size_t last_len;
};

static inline void bed_swallow(struct worker *w, struct netdev *dev, struct batch *b)
{
	struct bed *bed = container_of(w, struct bed, worker);

	for (unsigned i = 0; i < b->n; i++) {
		bed->n_sent++;
		bed->last_len = pkt_copy_out(b->p[i], 0, bed->last, sizeof(bed->last));
		pkt_free(&w->cache, b->p[i]);
	}
	b->n = 0;
}

static inline void bed_ether_setup(struct netdev *dev)
{
	static const uint8_t addr[6] = {2, 0, 0, 0, 0, 1};

	memcpy(dev->addr, addr, sizeof(addr));
}

static inline void bed_lo_setup(struct netdev *dev)
{
	dev->type = ARPHRD_LOOPBACK;
	dev->flags = IFF_LOOPBACK;
	dev->mtu = 65536;
}

static const struct netdev_ops bed_ops = {.xmit = bed_swallow};
static const struct dev_kind bed_ether = {
	.name = "ether", .ops = &bed_ops, .setup = bed_ether_setup};
static const struct dev_kind bed_lo = {
	.name = "lo", .ops = &bed_ops, .setup = bed_lo_setup, .permanent = true};

static inline struct bed *bed_new(void)
{
	static const struct dev_kind *const kinds[] = {&bed_lo, &bed_ether, NULL};
	static const struct net_module modules[] = {{"ip4", ip4_net_init, ip4_net_fini}, {0}};
	struct bed *b = aligned_alloc(CACHE_LINE, align_up(sizeof(*b), CACHE_LINE));
	int err = 0;

	assert_non_null(b);
	memset(b, 0, sizeof(*b));
	b->weft.pool = pool_new(1024);
	b->weft.n_workers = 1;
	b->weft.worker[0] = &b->worker;
	b->weft.events = &b->events;
	b->weft.dev = &b->core;
	b->weft.nets = &b->nets;
	b->weft.sysctls = sysctl_table_new();
	event_chain_init(&b->events);
	assert_int_equal(worker_init(&b->worker, 0, &b->weft, b->weft.pool, 1, NSEC_PER_SEC), 0);
	b->worker.backlog_run = netdev_backlog_run;
	b->core.weft = &b->weft;
	b->core.n_workers = 1;
	b->core.events = &b->events;
	b->core.kinds = kinds;
	b->core.workers = b->weft.worker;
	b->core.ip4_input = ip4_input;
	b->core.arp_input = arp_input;
	assert_int_equal(ip4_init(&b->weft), 0);
	net_set_init(&b->nets, &b->weft, &b->core, modules);
	b->net = net_new(&b->nets, &err);
	assert_non_null(b->net);
	return b;
}

static inline void bed_step(struct bed *b, uint64_t now)
{
	while (worker_step(&b->worker, now))
		;
}

static inline void bed_free(struct bed *b)
{
	net_put(b->net);
	bed_step(b, b->worker.now);
	net_set_fini(&b->nets);
	ip4_fini(&b->weft);
	rcu_barrier();
	worker_fini(&b->worker);
	assert_int_equal(pool_in_use(b->weft.pool), 0);
	pool_free(b->weft.pool);
	sysctl_table_free(b->weft.sysctls);
	free(b);
}

static inline struct netdev *bed_dev(struct bed *b, const char *name)
{
	struct netdev *dev = netdev_alloc(&b->core, &bed_ether, 1, 1);

	assert_non_null(dev);
	assert_int_equal(netdev_register(dev, b->net, name, 0, NULL), 0);
	netdev_set_carrier(dev, true);
	return dev;
}

static inline void bed_up(struct netdev *dev)
{
	assert_int_equal(netdev_set_flags(dev, IFF_UP, IFF_UP, NULL), 0);
}

/* Stores a value as `sysctl -w` does: path with dots, "net.ipv4.conf.v0.forwarding". */
static inline int bed_sysctl(struct bed *b, const char *name, const char *value)
{
	const struct sysctl_row *r;
	char path[128], which[32] = "";

	snprintf(path, sizeof(path), "%s", name);
	for (char *c = path; *c; c++)
		if (*c == '.')
			*c = '/';
	for (unsigned i = 0; (r = sysctl_row_at(b->weft.sysctls, i)); i++) {
		const char *gap = strstr(r->path, "%s");
		size_t head = gap ? (size_t)(gap - r->path) : 0, n;
		if (!gap && strcmp(r->path, path))
			continue;
		if (gap) {
			if (strncmp(r->path, path, head))
				continue;
			n = strcspn(path + head, "/");
			if (strcmp(path + head + n, gap + 2) || n >= sizeof(which))
				continue;
			memcpy(which, path + head, n);
			which[n] = 0;
		}
		return sysctl_store(b->net, r, which[0] ? net_dev_by_name(b->net, which) : NULL,
				    which, value);
	}
	return -ENOENT;
}
