/*
 * neigh_state: the state machine of a neighbour (RFC 4861 7.3, as Linux applies it to ARP).
 *
 * What moves an entry: its timer (neigh_timer), news from the link or the user (neigh_update), and
 * use (neigh_resolve, neigh_used_stale). Two times decide what the timer does: `confirmed`, the
 * last sign that the neighbour hears us, and `used`, the last packet sent to it; workers store them
 * without telling anyone, and the timer looks when it fires.
 */
#include "net/neigh_core.h"

#define NEIGH_TIMER_MIN (10 * NSEC_PER_MSEC)

static void arm(struct neigh *n, uint64_t when)
{
	timer_set(&n->table->w0->wheel, &n->timer, when);
}

static uint64_t retrans(const struct neigh *n)
{
	return MAX(n->parms->retrans_time, NEIGH_TIMER_MIN);
}

static int max_probes(const struct neigh *n)
{
	const struct neigh_parms *p = n->parms;

	return p->ucast_probes + p->app_probes +
	       (n->state & NUD_PROBE ? p->mcast_reprobes : p->mcast_probes);
}

static void set_state(struct neigh *n, uint8_t state, uint64_t now)
{
	WRITE_ONCE(n->state, state);
	n->updated = now;
}

/* Sends the next solicitation: unicast ones first, then the user's program, then broadcast. */
static void probe(struct neigh *n)
{
	const struct neigh_parms *parms = n->parms;
	int i = n->probes++;

	if (i < parms->ucast_probes) {
		n->table->ops->solicit(n->table->w0, n, n->queue.head, true);
	} else if (i < parms->ucast_probes + parms->app_probes) {
		neigh_notify(n, EVENT_NEIGH_PROBE);
	} else {
		n->table->ops->solicit(n->table->w0, n, n->queue.head, false);
	}
}

/* Nobody answered: those whose packets wait are told. */
static void invalidate(struct neigh *n)
{
	struct pkt_queue waiting;
	struct pkt *p;

	n->table->stats.res_failed++;
	n->updated = n->table->w0->now;
	/* An ICMP error may come back to this entry and queue on it again: work on what was there.
	 */
	pktq_init(&waiting);
	while ((p = pktq_pop(&n->queue)))
		pktq_push(&waiting, p);
	n->queue_bytes = 0;
	neigh_hold(n);
	while ((p = pktq_pop(&waiting)))
		n->table->ops->unreachable(n->table->w0, n, p);
	neigh_put(n);
}

/* REACHABLE ran out: what now depends on whether the entry is in use. Returns the next time. */
static uint64_t reachable_expired(struct neigh *n, uint64_t now, bool *notify)
{
	const struct neigh_parms *parms = n->parms;
	uint64_t confirmed = READ_ONCE(n->confirmed);

	if (time_before_eq(now, confirmed + parms->reachable_time))
		return confirmed + parms->reachable_time;
	if (time_before_eq(now, READ_ONCE(n->used) + parms->delay_probe_time)) {
		set_state(n, NUD_DELAY, now);
		return now + parms->delay_probe_time;
	}
	set_state(n, NUD_STALE, now);
	*notify = true;
	return now;
}

static uint64_t delay_expired(struct neigh *n, uint64_t now, bool *notify)
{
	const struct neigh_parms *parms = n->parms;
	uint64_t confirmed = READ_ONCE(n->confirmed);

	*notify = true;
	if (time_before_eq(now, confirmed + parms->delay_probe_time)) {
		set_state(n, NUD_REACHABLE, now);
		return confirmed + parms->reachable_time;
	}
	set_state(n, NUD_PROBE, now);
	n->probes = 0;
	return now + retrans(n);
}

void neigh_timer(struct timer *timer, uint64_t now)
{
	struct neigh *n = container_of(timer, struct neigh, timer);
	uint64_t next = now;
	bool notify = false;

	if (!(n->state & NUD_IN_TIMER))
		return;
	if (n->state & NUD_REACHABLE)
		next = reachable_expired(n, now, &notify);
	else if (n->state & NUD_DELAY)
		next = delay_expired(n, now, &notify);
	else
		next = now + retrans(n);

	if ((n->state & (NUD_INCOMPLETE | NUD_PROBE)) && n->probes >= max_probes(n)) {
		set_state(n, NUD_FAILED, now);
		neigh_hh_refresh(n, false);
		neigh_hold(n);
		invalidate(n);
		if (!n->dead)
			neigh_notify(n, EVENT_NEIGH);
		neigh_put(n);
		return;
	}
	if (n->state & NUD_IN_TIMER)
		arm(n, MAX(next, now + NEIGH_TIMER_MIN));
	if (n->state & (NUD_INCOMPLETE | NUD_PROBE))
		probe(n);
	if (notify)
		neigh_notify(n, EVENT_NEIGH);
}

/* ---- use ---- */

/* Starts resolution of an entry that is neither valid nor being resolved. False: it cannot be. */
static bool start_resolving(struct neigh *n, uint64_t now, bool *solicit)
{
	if (n->parms->mcast_probes + n->parms->app_probes <= 0) {
		set_state(n, NUD_FAILED, now);
		return false;
	}
	/* Its address is not known: the unicast probes count as spent. */
	n->probes = n->parms->ucast_probes;
	set_state(n, NUD_INCOMPLETE, now);
	arm(n, now + retrans(n));
	*solicit = true;
	return true;
}

static void enqueue(struct worker *w, struct neigh *n, struct pkt *p)
{
	size_t size = 0;

	for (const struct pkt *s = p; s; s = s->seg)
		size += PKT_ELEM_SIZE;
	while (n->queue_bytes + size > (size_t)MAX(n->parms->queue_len_bytes, 0)) {
		struct pkt *old = pktq_pop(&n->queue);

		if (!old)
			break;
		for (const struct pkt *s = old; s; s = s->seg)
			n->queue_bytes -= PKT_ELEM_SIZE;
		pkt_drop(w, old, DROP_NEIGH_QUEUEFULL);
		n->table->stats.unres_discards++;
	}
	n->queue_bytes += size;
	pktq_push(&n->queue, p);
}

/* The entry is about to be used: true when it has a header now. Otherwise p (may be NULL) was
 * queued or dropped. */
static bool use(struct worker *w, struct neigh *n, struct pkt *p)
{
	uint64_t now = w->now;
	bool solicit = false;

	if (n->state & (NUD_CONNECTED | NUD_DELAY | NUD_PROBE))
		return true;
	if (n->dead) {
		if (p)
			pkt_drop(w, p, DROP_NEIGH_DEAD);
		return false;
	}
	if (n->state & NUD_STALE) {
		set_state(n, NUD_DELAY, now);
		arm(n, now + n->parms->delay_probe_time);
		return true;
	}
	if (!(n->state & NUD_INCOMPLETE) && !start_resolving(n, now, &solicit)) {
		if (p)
			pkt_drop(w, p, DROP_NEIGH_FAILED);
		return false;
	}
	if (p)
		enqueue(w, n, p);
	if (solicit)
		probe(n);
	return false;
}

void neigh_resolve(struct worker *w, struct neigh *n, struct pkt *p)
{
	struct netdev *dev = n->dev;
	struct batch b;

	WRITE_ONCE(n->used, w->now);
	if (!use(w, n, p))
		return;
	if (!neigh_header(w, n, p)) {
		pkt_drop(w, p, DROP_NOMEM);
		return;
	}
	batch_one(&b, p);
	netdev_xmit(w, dev, &b);
}

void neigh_probe_start(struct neigh *n)
{
	WRITE_ONCE(n->used, n->table->w0->now);
	use(n->table->w0, n, NULL);
}

void neigh_stale_msg(struct worker *w, struct worker_msg *m)
{
	struct neigh *n = container_of(m, struct neigh, msg);
	unsigned was = __atomic_fetch_and(&n->msg_state, ~NEIGH_MSG_POSTED, __ATOMIC_ACQ_REL);

	if (was & NEIGH_MSG_FREE)
		free(n);
	else if (!n->dead && (n->state & NUD_STALE))
		use(w, n, NULL);
}

void neigh_used_stale(struct worker *w, struct neigh *n)
{
	if (w->id == 0) {
		use(w, n, NULL);
		return;
	}
	if (READ_ONCE(n->msg_state) & NEIGH_MSG_POSTED)
		return;
	if (!(__atomic_fetch_or(&n->msg_state, NEIGH_MSG_POSTED, __ATOMIC_ACQ_REL) &
	      NEIGH_MSG_POSTED))
		worker_post_msg(n->table->w0, &n->msg);
}

void neigh_confirm(struct neigh *n, uint64_t now)
{
	if (READ_ONCE(n->confirmed) != now)
		WRITE_ONCE(n->confirmed, now);
}

/* ---- news ---- */

/* Sends what waited for the answer, in order. */
static void flush_queue(struct neigh *n)
{
	struct worker *w = n->table->w0;
	struct netdev *dev = n->dev;
	struct batch b;
	struct pkt *p;

	n->queue_bytes = 0;
	neigh_hold(n);
	while (n->queue.head) {
		batch_init(&b);
		while (!batch_full(&b) && (p = pktq_pop(&n->queue))) {
			if (neigh_header(w, n, p))
				batch_add(&b, p);
			else
				pkt_drop(w, p, DROP_NOMEM);
		}
		if (b.n)
			netdev_xmit(w, dev, &b);
	}
	neigh_put(n);
}

static int become_invalid(struct neigh *n, uint8_t new, uint64_t now, bool notify)
{
	uint8_t old = n->state;

	notify |= old & NUD_VALID;

	timer_del(&n->timer);
	if (new != old)
		set_state(n, new, now);
	neigh_hh_refresh(n, false);
	neigh_hold(n);
	if ((old & (NUD_INCOMPLETE | NUD_PROBE)) && (new &NUD_FAILED)) {
		invalidate(n);
		notify = true;
	}
	neigh_gc_list_refresh(n);
	if (notify && !n->dead)
		neigh_notify(n, EVENT_NEIGH);
	neigh_put(n);
	return 0;
}

/* Decides what a link address in the news means for a valid entry: false: nothing is to change. */
static bool accept_lladdr(const struct neigh *n, bool *differs, uint8_t *new, unsigned flags)
{
	if (!(n->state & NUD_VALID))
		return true;
	if (*differs && !(flags & NEIGH_UPDATE_OVERRIDE)) {
		if (!(flags & NEIGH_UPDATE_WEAK_OVERRIDE) || !(n->state & NUD_CONNECTED))
			return false;
		*differs = false;
		*new = NUD_STALE;
	} else if (!*differs && *new == NUD_STALE && !(flags & NEIGH_UPDATE_ADMIN)) {
		*new = n->state;
	}
	return true;
}

void neigh_managed_timer(struct timer *timer, uint64_t now)
{
	struct neigh_table *t = container_of(timer, struct neigh_table, managed_timer);
	struct cds_list_head *at, *next;
	struct neigh *n;
	uint64_t interval = UINT64_MAX;

	list_for_each_line_safe (n, at, next, &t->managed, managed_link) {
		interval = MIN(interval, n->parms->interval_probe_time);
		use(t->w0, n, NULL);
	}
	if (interval != UINT64_MAX)
		timer_set(&t->w0->wheel, timer, now + MAX(interval, NEIGH_TIMER_MIN));
}

/* NTF_EXT_LEARNED and NTF_EXT_MANAGED are what the user said last. True: they changed. */
static bool update_user_flags(struct neigh *n, unsigned flags)
{
	struct neigh_table *t = n->table;
	bool learned = flags & NEIGH_UPDATE_EXT_LEARNED, managed = flags & NEIGH_UPDATE_MANAGED;
	bool changed = false;

	if (!(flags & NEIGH_UPDATE_ADMIN))
		return false;
	if (learned != !!(n->flags & NTF_EXT_LEARNED)) {
		n->flags ^= NTF_EXT_LEARNED;
		neigh_gc_list_refresh(n);
		changed = true;
	}
	if (managed != !!(n->flags_ext & NTF_EXT_MANAGED)) {
		n->flags_ext ^= NTF_EXT_MANAGED;
		if (managed)
			cds_list_add_tail(&n->managed_link, &t->managed);
		else
			cds_list_del_init(&n->managed_link);
		if (managed && !timer_pending(&t->managed_timer))
			timer_set(&t->w0->wheel, &t->managed_timer,
				  t->w0->now + n->parms->interval_probe_time);
		changed = true;
	}
	return changed;
}

static bool update_router(struct neigh *n, unsigned flags)
{
	bool router = flags & NEIGH_UPDATE_ISROUTER;

	if (!(flags & NEIGH_UPDATE_OVERRIDE_ISROUTER) || router == !!(n->flags & NTF_ROUTER))
		return false;
	n->flags ^= NTF_ROUTER;
	return true;
}

/* The user wants it resolved: whatever it is, it must not stay so for ever. */
static int become_used(struct neigh *n, bool notify)
{
	if (n->state & NUD_PERMANENT) {
		WRITE_ONCE(n->state, n->state & ~NUD_PERMANENT);
		neigh_hh_refresh(n, false);
		neigh_gc_list_refresh(n);
	}
	if (notify)
		neigh_notify(n, EVENT_NEIGH);
	return 0;
}

int neigh_update(struct neigh *n, const uint8_t *lladdr, uint8_t new, unsigned flags)
{
	uint64_t now = n->table->w0->now;
	uint8_t old = n->state;
	unsigned alen = n->dev->addr_len;

	if (n->dead)
		return -EPERM;
	if (!(flags & NEIGH_UPDATE_ADMIN) && (old & (NUD_NOARP | NUD_PERMANENT)))
		return -EPERM;
	bool notify = update_user_flags(n, flags);
	if (flags & (NEIGH_UPDATE_USE | NEIGH_UPDATE_MANAGED))
		return become_used(n, notify);
	if (!(new &NUD_VALID))
		return become_invalid(n, new, now, notify);
	if (alen && !lladdr && !(old & NUD_VALID)) {
		if (notify)
			neigh_notify(n, EVENT_NEIGH);
		return -EINVAL;
	}

	bool differs = alen && lladdr && (!(old & NUD_VALID) || memcmp(lladdr, n->lladdr, alen));
	if (new &NUD_CONNECTED)
		WRITE_ONCE(n->confirmed, now);
	if (!accept_lladdr(n, &differs, &new, flags)) {
		if (notify)
			neigh_notify(n, EVENT_NEIGH);
		return 0;
	}

	if (new != old || differs)
		n->updated = now;
	if (new != old) {
		timer_del(&n->timer);
		if (new &NUD_PROBE)
			n->probes = 0;
		if (new &NUD_IN_TIMER)
			arm(n, now + (new &NUD_REACHABLE ? n->parms->reachable_time : 0));
		WRITE_ONCE(n->state, new);
	}
	if (differs) {
		memcpy(n->lladdr, lladdr, alen);
		if (!(new &NUD_CONNECTED))
			WRITE_ONCE(n->confirmed, now - 2 * n->parms->base_reachable_time);
	}
	int err = neigh_hh_refresh(n, differs);
	neigh_gc_list_refresh(n);
	neigh_hold(n);
	notify |= update_router(n, flags);
	if (new != old || differs || notify)
		neigh_notify(n, EVENT_NEIGH);
	if (!err && !(old & NUD_VALID) && !n->dead)
		flush_queue(n);
	neigh_put(n);
	return err;
}

struct neigh *neigh_heard(struct neigh_table *t, struct netdev *dev, const void *key,
			  const uint8_t *lladdr)
{
	int err;
	struct neigh *n = neigh_get(t, dev, key, &err);

	if (n)
		neigh_update(n, lladdr, NUD_STALE, NEIGH_UPDATE_OVERRIDE);
	return n;
}
