/*
 * neigh_parms: settings of neighbour tables, and addresses answered for others (proxies).
 *
 * Settings are found by device, or by namespace for its default, in one hash; a device's hold the
 * list of its entries too, so that a device goes down without a walk over the whole table.
 * Requests that a proxy answers late wait in one queue by the time they are due.
 */
#include "net/neigh_core.h"

#define MSEC NSEC_PER_MSEC
#define SEC  NSEC_PER_SEC

/* What a new namespace starts with: the kernel's figures for ARP. */
static const struct neigh_parms builtin = {
	.base_reachable_time = 30 * SEC,
	.reachable_time = 30 * SEC,
	.retrans_time = SEC,
	.gc_staletime = 60 * SEC,
	.delay_probe_time = 5 * SEC,
	.anycast_delay = SEC,
	.proxy_delay = 800 * MSEC,
	.locktime = SEC,
	.interval_probe_time = 5 * SEC,
	.ucast_probes = 3,
	.mcast_probes = 3,
	.app_probes = 0,
	.mcast_reprobes = 0,
	.proxy_qlen = 64,
	.queue_len_bytes = 212992,
};

uint64_t neigh_random_reachable(struct neigh_table *t, uint64_t base)
{
	uint32_t ms = (uint32_t)MIN(base / MSEC, (uint64_t)UINT32_MAX);

	return ms ? base / 2 + rng_below(&t->w0->rng, ms) * MSEC : 0;
}

void neigh_parms_randomise(struct neigh_table *t, struct neigh_parms *p)
{
	WRITE_ONCE(p->reachable_time, neigh_random_reachable(t, p->base_reachable_time));
}

uint64_t neigh_table_base_reachable(const struct neigh_table *t)
{
	(void)t;
	return builtin.base_reachable_time;
}

/* ---- parms ---- */

static const void *parms_owner(const struct neigh_parms *p)
{
	return p->dev ? (const void *)p->dev : (const void *)p->net;
}

static int parms_matches(struct cds_lfht_node *node, const void *owner)
{
	return parms_owner(container_of(node, struct neigh_parms, node)) == owner;
}

static struct neigh_parms *parms_by_owner(struct neigh_table *t, const void *owner)
{
	struct cds_lfht_iter it;

	cds_lfht_lookup(t->parms_hash, hash_u64((uintptr_t)owner), parms_matches, owner, &it);
	struct cds_lfht_node *node = cds_lfht_iter_get_node(&it);
	return node ? container_of(node, struct neigh_parms, node) : NULL;
}

struct neigh_parms *neigh_parms_find(struct neigh_table *t, const struct netdev *dev)
{
	return parms_by_owner(t, dev);
}

struct neigh_parms *neigh_parms_default(struct neigh_table *t, struct net *net)
{
	return parms_by_owner(t, net);
}

struct neigh_parms *neigh_parms_new(struct neigh_table *t, struct net *net, struct netdev *dev)
{
	const struct neigh_parms *from = dev ? neigh_parms_default(t, net) : NULL;
	struct neigh_parms *p = malloc(sizeof(*p));

	if (!p)
		return NULL;
	*p = from ? *from : builtin;
	p->net = net;
	p->dev = dev;
	p->n_proxied = 0;
	p->n_entries = 0;
	p->reachable_time = neigh_random_reachable(t, p->base_reachable_time);
	CDS_INIT_LIST_HEAD(&p->entries);
	cds_lfht_add(t->parms_hash, hash_u64((uintptr_t)parms_owner(p)), &p->node);
	cds_list_add_tail(&p->link, &t->parms);
	return p;
}

static void parms_free_rcu(struct rcu_head *head)
{
	free(container_of(head, struct neigh_parms, rcu));
}

void neigh_parms_free(struct neigh_table *t, struct neigh_parms *p)
{
	struct cds_list_head *at, *next;
	struct neigh *n;

	if (!p)
		return;
	list_for_each_line_safe (n, at, next, &p->entries, dev_link)
		neigh_del(n);
	if (p->dev)
		neigh_proxy_flush(t, p->dev, true);
	cds_lfht_del(t->parms_hash, &p->node);
	cds_list_del(&p->link);
	/* The hash's readers may still step over the node. */
	call_rcu(&p->rcu, parms_free_rcu);
}

/* ---- proxies ---- */

static bool proxy_is(const struct neigh_proxy *x, const struct neigh_table *t,
		     const struct net *net, const struct netdev *dev, const void *key)
{
	return x->net == net && x->dev == dev && !memcmp(x->key, key, t->ops->key_len);
}

struct neigh_proxy *neigh_proxy_find(struct neigh_table *t, struct net *net, struct netdev *dev,
				     const void *key)
{
	struct neigh_proxy *x;

	cds_list_for_each_entry (x, &t->proxies, link)
		if (x->net == net && (x->dev == dev || !x->dev) &&
		    !memcmp(x->key, key, t->ops->key_len))
			return x;
	return NULL;
}

int neigh_proxy_add(struct neigh_table *t, struct net *net, struct netdev *dev, const void *key,
		    uint8_t flags, uint8_t protocol, bool permanent)
{
	struct neigh_proxy *x;

	cds_list_for_each_entry (x, &t->proxies, link) {
		if (proxy_is(x, t, net, dev, key)) {
			x->flags = flags;
			x->permanent = permanent;
			if (protocol)
				x->protocol = protocol;
			return 0;
		}
	}
	x = calloc(1, sizeof(*x));
	if (!x)
		return -ENOBUFS;
	x->net = net;
	x->dev = dev;
	memcpy(x->key, key, t->ops->key_len);
	x->flags = flags;
	x->protocol = protocol;
	x->permanent = permanent;
	x->id = ++t->last_id;
	cds_list_add_tail(&x->link, &t->proxies);
	return 0;
}

int neigh_proxy_del(struct neigh_table *t, struct net *net, struct netdev *dev, const void *key)
{
	struct neigh_proxy *x;

	cds_list_for_each_entry (x, &t->proxies, link) {
		if (proxy_is(x, t, net, dev, key)) {
			cds_list_del(&x->link);
			free(x);
			return 0;
		}
	}
	return -ENOENT;
}

/* ---- answers that wait ---- */

void neigh_proxy_enqueue(struct neigh_table *t, struct neigh_parms *parms, struct pkt *p)
{
	struct worker *w = t->w0;
	uint32_t ms = (uint32_t)(parms->proxy_delay / MSEC);
	uint64_t due = w->now + (ms ? rng_below(&w->rng, ms) * MSEC : 0);

	if (!t->ops->proxy_redo || (int)parms->n_proxied > parms->proxy_qlen) {
		pkt_drop(w, p, DROP_NEIGH_QUEUEFULL);
		return;
	}
	p->cb[0] = due;
	p->cb[1] = (uintptr_t)parms;
	parms->n_proxied++;
	pktq_push(&t->proxy_queue, p);
	if (!timer_pending(&t->proxy_timer) || time_after(t->proxy_timer.expires, due))
		timer_set(&w->wheel, &t->proxy_timer, due);
}

void neigh_proxy_timer(struct timer *timer, uint64_t now)
{
	struct neigh_table *t = container_of(timer, struct neigh_table, proxy_timer);
	struct pkt_queue all = t->proxy_queue;
	uint64_t next = UINT64_MAX;
	struct pkt *p;

	/* The queue's tail pointer may point into the queue itself: move by taking packets over. */
	if (!all.head)
		return;
	pktq_init(&t->proxy_queue);
	while ((p = pktq_pop(&all))) {
		struct neigh_parms *parms = (struct neigh_parms *)(uintptr_t)p->cb[1];

		if (time_after(p->cb[0], now)) {
			next = MIN(next, p->cb[0]);
			pktq_push(&t->proxy_queue, p);
			continue;
		}
		parms->n_proxied--;
		t->ops->proxy_redo(t->w0, p);
	}
	if (next != UINT64_MAX)
		timer_set(&t->w0->wheel, &t->proxy_timer, next);
}

void neigh_proxy_flush(struct neigh_table *t, struct netdev *dev, bool all)
{
	struct pkt_queue waiting = t->proxy_queue;
	struct neigh_proxy *x, *tmp;
	struct pkt *p;

	if (waiting.head) {
		pktq_init(&t->proxy_queue);
		while ((p = pktq_pop(&waiting))) {
			struct neigh_parms *parms = (struct neigh_parms *)(uintptr_t)p->cb[1];

			if (dev && p->dev != dev) {
				pktq_push(&t->proxy_queue, p);
				continue;
			}
			parms->n_proxied--;
			pkt_drop(t->w0, p, DROP_NEIGH_DEAD);
		}
	}
	if (!dev)
		return;
	cds_list_for_each_entry_safe (x, tmp, &t->proxies, link) {
		if (x->dev == dev && (all || !x->permanent)) {
			cds_list_del(&x->link);
			free(x);
		}
	}
}
