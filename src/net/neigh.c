/*
 * neigh: the table of neighbours: entries by (device, address), their making, collection and end.
 *
 * Control alone writes. Workers find entries through the hash under RCU and read hh, state and
 * dead; they write used and confirmed. An entry that leaves the table is marked dead, loses its
 * header and is freed after a grace period, once no next hop holds it and no message about it is
 * under way.
 *
 * The periodic collection walks gc_list with a cursor, a slice a tick, so that a table of 10^6
 * entries never holds up the step.
 */
#include "net/neigh.h"

#include "net/neigh_core.h"

#define GC_SLICE	4096 /* entries looked at in one tick */
#define NEIGH_GC_SETTLE (5 * NSEC_PER_SEC)

void neigh_notify(struct neigh *n, enum event_type type)
{
	struct event e = {.type = type, .net = n->dev->net, .dev = n->dev, .obj = n};

	event_emit(n->table->events, &e);
}

/* ---- link headers ---- */

static unsigned hh_build(const struct neigh *n, uint8_t *end)
{
	const struct netdev *dev = n->dev;

	if (dev->type != ARPHRD_ETHER && dev->type != ARPHRD_LOOPBACK)
		return 0;
	put_be16(end - 2, n->table->ops->family == AF_INET ? ETH_P_IP : ETH_P_IPV6);
	memcpy(end - 8, dev->addr, ETH_ALEN);
	memcpy(end - 14, n->lladdr, ETH_ALEN);
	return ETH_HLEN;
}

static void hh_free(struct rcu_head *head)
{
	free(container_of(head, struct neigh_hh, rcu));
}

int neigh_hh_refresh(struct neigh *n, bool rebuild)
{
	struct neigh_hh *old = n->hh, *hh = NULL;
	int err = 0;

	if ((n->state & NUD_VALID) && !n->dead) {
		if (old && !rebuild)
			return 0;
		hh = line_alloc(sizeof(*hh));
		if (hh)
			hh->len = (uint8_t)hh_build(n, hh->hdr + sizeof(hh->hdr));
		else
			err = -ENOMEM;
	}
	rcu_set_pointer(&n->hh, hh);
	if (old)
		call_rcu(&old->rcu, hh_free);
	return err;
}

/* ---- the end of an entry ---- */

static void neigh_free_rcu(struct rcu_head *head)
{
	struct neigh *n = container_of(head, struct neigh, rcu);

	/* A worker may have posted the entry just before it left: whoever comes last frees. */
	unsigned was = __atomic_fetch_or(&n->msg_state, NEIGH_MSG_FREE, __ATOMIC_ACQ_REL);
	if (!(was & NEIGH_MSG_POSTED))
		free(n);
}

void neigh_hold(struct neigh *n)
{
	n->refs++;
}

void neigh_put(struct neigh *n)
{
	if (n && --n->refs == 0)
		call_rcu(&n->rcu, neigh_free_rcu);
}

void neigh_queue_purge(struct neigh *n, enum drop why)
{
	struct pkt *p;

	while ((p = pktq_pop(&n->queue)))
		pkt_drop(n->table->w0, p, why);
	n->queue_bytes = 0;
}

static bool gc_exempt(const struct neigh *n)
{
	return (n->state & NUD_PERMANENT) || (n->flags & NTF_EXT_LEARNED);
}

static void gc_unlink(struct neigh *n)
{
	if (cds_list_empty(&n->gc_link))
		return;
	cds_list_del_init(&n->gc_link);
	n->table->gc_entries--;
}

void neigh_gc_list_refresh(struct neigh *n)
{
	if (n->dead)
		return;
	if (gc_exempt(n)) {
		gc_unlink(n);
	} else if (cds_list_empty(&n->gc_link)) {
		cds_list_add_tail(&n->gc_link, &n->table->gc_list);
		n->table->gc_entries++;
	}
}

void neigh_del(struct neigh *n)
{
	struct neigh_table *t = n->table;

	if (n->dead)
		return;
	htab_del(&t->hash, n->hash, n);
	__atomic_fetch_add(&t->gen, 1, __ATOMIC_RELEASE);
	timer_del(&n->timer);
	gc_unlink(n);
	cds_list_del_init(&n->dev_link);
	n->parms->n_entries--;
	cds_list_del_init(&n->managed_link);
	WRITE_ONCE(n->dead, true);
	neigh_hh_refresh(n, false);
	neigh_queue_purge(n, DROP_NEIGH_DEAD);
	t->entries--;
	t->stats.destroys++;
	neigh_notify(n, EVENT_NEIGH_DEL);
	neigh_put(n);
}

static void flush_entries(struct neigh_parms *parms, bool keep_permanent)
{
	struct cds_list_head *at, *next;
	struct neigh *n;

	list_for_each_line_safe (n, at, next, &parms->entries, dev_link)
		if (!keep_permanent || !(n->state & NUD_PERMANENT))
			neigh_del(n);
}

void neigh_flush_dev(struct neigh_table *t, struct netdev *dev, bool carrier)
{
	struct neigh_parms *parms = neigh_parms_find(t, dev);

	if (parms)
		flush_entries(parms, carrier);
	neigh_proxy_flush(t, dev, !carrier);
}

void neigh_dev_addr(struct neigh_table *t, struct netdev *dev)
{
	struct neigh_parms *parms = neigh_parms_find(t, dev);

	if (parms)
		flush_entries(parms, false);
}

/* ---- collection ---- */

/* Makes room at once: entries that failed, need no resolution or have not changed for 5 s go,
 * oldest first, until the table is at gc_thresh2. Returns how many went. */
static unsigned forced_gc(struct neigh_table *t, uint64_t now)
{
	unsigned gone = 0;
	int excess = (int)t->gc_entries - t->gc_thresh2;
	struct cds_list_head *pos, *next;

	t->stats.forced_gc_runs++;
	cds_list_for_each_safe (pos, next, &t->gc_list) {
		if (excess <= 0)
			break;
		if (pos == &t->gc_cursor)
			continue;
		struct neigh *n = cds_list_entry(pos, struct neigh, gc_link);

		if (!(n->state & (NUD_FAILED | NUD_NOARP)) && n->type != RTN_MULTICAST &&
		    !time_after(now, n->updated + NEIGH_GC_SETTLE))
			continue;
		/* The event's listeners run with the list as it will be: next may not go with it,
		 * for they do not delete entries. */
		neigh_del(n);
		gone++;
		excess--;
	}
	t->last_flush = now;
	return gone;
}

static bool gc_due(struct neigh *n, uint64_t now)
{
	uint64_t used = READ_ONCE(n->used), confirmed = READ_ONCE(n->confirmed);

	if (n->state & (NUD_PERMANENT | NUD_IN_TIMER))
		return false;
	if (time_after(confirmed, used))
		used = confirmed;
	return n->state == NUD_FAILED || !time_before_eq(now, used + n->parms->gc_staletime);
}

/* One slice of the walk; true when the list's end is reached. */
static bool gc_walk(struct neigh_table *t, uint64_t now)
{
	struct cds_list_head *pos = t->gc_cursor.next;
	unsigned seen = 0;

	for (; pos != &t->gc_list && seen < GC_SLICE; seen++) {
		struct neigh *n = cds_list_entry(pos, struct neigh, gc_link);

		pos = pos->next;
		if (gc_due(n, now))
			neigh_del(n);
	}
	cds_list_del_init(&t->gc_cursor);
	if (pos == &t->gc_list)
		return true;
	cds_list_add_tail(&t->gc_cursor, pos);
	return false;
}

static void periodic_gc(struct timer *timer, uint64_t now)
{
	struct neigh_table *t = container_of(timer, struct neigh_table, gc_timer);
	uint64_t next = now + (1ULL << WHEEL_TICK_SHIFT);

	if (!t->gc_running) {
		t->stats.periodic_gc_runs++;
		if (time_after(now, t->last_rand + 300 * NSEC_PER_SEC)) {
			struct neigh_parms *p;

			t->last_rand = now;
			cds_list_for_each_entry (p, &t->parms, link)
				p->reachable_time =
					neigh_random_reachable(t, p->base_reachable_time);
		}
		if ((int)t->entries >= t->gc_thresh1) {
			cds_list_add(&t->gc_cursor, &t->gc_list);
			t->gc_running = true;
		}
	}
	if (t->gc_running)
		t->gc_running = !gc_walk(t, now);
	if (!t->gc_running)
		next = now + neigh_table_base_reachable(t) / 2;
	timer_set(&t->w0->wheel, &t->gc_timer, next);
}

/* Is there room for one more? */
static bool gc_room(struct neigh_table *t, uint64_t now)
{
	int n = (int)t->gc_entries;

	if (n < t->gc_thresh2 ||
	    (n < t->gc_thresh3 && !time_after(now, t->last_flush + NEIGH_GC_SETTLE)))
		return true;
	if (forced_gc(t, now) || n < t->gc_thresh3)
		return true;
	t->stats.table_fulls++;
	return false;
}

/* ---- making an entry ---- */

static struct neigh *neigh_alloc(struct neigh_table *t, struct netdev *dev, const void *key)
{
	struct neigh *n = line_alloc(sizeof(*n));

	if (!n)
		return NULL;
	n->table = t;
	n->dev = dev;
	memcpy(n->key, key, t->ops->key_len);
	n->state = NUD_NONE;
	n->type = RTN_UNSPEC;
	n->used = n->updated = t->w0->now;
	n->refs = 1;
	timer_init(&n->timer, neigh_timer);
	pktq_init(&n->queue);
	n->msg.fn = neigh_stale_msg;
	CDS_INIT_LIST_HEAD(&n->gc_link);
	CDS_INIT_LIST_HEAD(&n->dev_link);
	CDS_INIT_LIST_HEAD(&n->managed_link);
	return n;
}

static struct neigh *neigh_make(struct neigh_table *t, struct netdev *dev, const void *key,
				int *err)
{
	struct neigh *n = neigh_alloc(t, dev, key);

	*err = -ENOBUFS;
	if (!n)
		return NULL;
	*err = t->ops->construct(n);
	if (!*err && !n->parms)
		*err = -EINVAL;
	if (*err)
		goto free_entry;
	/* Never heard of yet, so that the first DELAY is not taken for a confirmed one. */
	n->confirmed = t->w0->now - 2 * n->parms->base_reachable_time;
	*err = neigh_hh_refresh(n, true);
	if (*err)
		goto free_entry;

	n->hash = neigh_hash(t, dev, n->key);
	struct neigh *was = neigh_find(t, n->hash, dev, n->key);

	if (was) { /* construct() chose a key that is there */
		free(n->hh);
		free(n);
		return was;
	}
	*err = htab_add(&t->hash, n->hash, n) ? -ENOBUFS : 0;
	if (*err)
		goto free_entry;
	t->stats.hash_grows = t->hash.grows;
	n->id = ++t->last_id;
	cds_list_add_tail(&n->dev_link, &n->parms->entries);
	n->parms->n_entries++;
	t->entries++;
	t->stats.allocs++;
	neigh_gc_list_refresh(n);
	return n;
free_entry:
	free(n->hh);
	free(n);
	return NULL;
}

static struct neigh *find_or_make(struct neigh_table *t, struct netdev *dev, const void *key,
				  bool exempt, int *err)
{
	struct neigh *n = neigh_lookup(t, dev, key);

	t->stats.lookups++;
	if (n) {
		t->stats.hits++;
		return n;
	}
	*err = -ENOBUFS;
	if (!exempt && !gc_room(t, t->w0->now))
		return NULL;
	return neigh_make(t, dev, key, err);
}

struct neigh *neigh_get(struct neigh_table *t, struct netdev *dev, const void *key, int *err)
{
	return find_or_make(t, dev, key, false, err);
}

struct neigh *neigh_get_exempt(struct neigh_table *t, struct netdev *dev, const void *key, int *err)
{
	return find_or_make(t, dev, key, true, err);
}

/* ---- life of the table ---- */

int neigh_table_init(struct neigh_table *t, const struct neigh_ops *ops, struct weft *weft,
		     struct worker *w0, struct event_chain *events)
{
	memset(t, 0, sizeof(*t));
	t->ops = ops;
	t->gen = 1;
	t->weft = weft;
	t->w0 = w0;
	t->events = events;
	CDS_INIT_LIST_HEAD(&t->parms);
	CDS_INIT_LIST_HEAD(&t->proxies);
	CDS_INIT_LIST_HEAD(&t->gc_list);
	CDS_INIT_LIST_HEAD(&t->gc_cursor);
	pktq_init(&t->proxy_queue);
	timer_init(&t->proxy_timer, neigh_proxy_timer);
	timer_init(&t->gc_timer, periodic_gc);
	CDS_INIT_LIST_HEAD(&t->managed);
	timer_init(&t->managed_timer, neigh_managed_timer);
	t->gc_thresh1 = 128;
	t->gc_thresh2 = 512;
	t->gc_thresh3 = 1024;
	t->gc_interval = 30 * NSEC_PER_SEC;
	t->last_flush = t->last_rand = w0->now;
	if (htab_init(&t->hash))
		return -ENOMEM;
	t->found = calloc(MAX(weft->n_workers, 1u), sizeof(*t->found));
	t->parms_hash = cds_lfht_new(64, 64, 0, CDS_LFHT_AUTO_RESIZE | CDS_LFHT_ACCOUNTING, NULL);
	if (!t->found || !t->parms_hash) {
		if (t->parms_hash)
			cds_lfht_destroy(t->parms_hash, NULL);
		free(t->found);
		htab_fini(&t->hash);
		return -ENOMEM;
	}
	timer_set(&w0->wheel, &t->gc_timer, w0->now + neigh_table_base_reachable(t) / 2);
	return 0;
}

void neigh_table_fini(struct neigh_table *t)
{
	struct neigh_parms *p, *tmp;
	struct neigh_proxy *x, *xtmp;

	if (!t->hash.now)
		return;
	neigh_proxy_flush(t, NULL, true);
	cds_list_for_each_entry_safe (p, tmp, &t->parms, link)
		neigh_parms_free(t, p);
	cds_list_for_each_entry_safe (x, xtmp, &t->proxies, link) {
		cds_list_del(&x->link);
		free(x);
	}
	timer_del(&t->gc_timer);
	timer_del(&t->proxy_timer);
	timer_del(&t->managed_timer);
	htab_fini(&t->hash);
	free(t->found);
	rcu_hash_free(t->parms_hash);
	t->parms_hash = NULL;
}
