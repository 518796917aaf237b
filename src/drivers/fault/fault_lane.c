/* fault_lane: see fault.h. */
#include "drivers/fault/fault.h"

#include "abi/kinds.h"
#include "pkt/gso.h"

#define HOLD	 (10 * NSEC_PER_MSEC) /* how long a reordered frame waits for another at most */
#define HELD_MAX 64

/* ---- the heap of what waits ---- */

static bool before(const struct fault_wait *a, const struct fault_wait *b)
{
	return a->due != b->due ? a->due < b->due : a->seq < b->seq;
}

static void heap_push(struct fault_lane *l, struct fault_wait e)
{
	uint32_t at = l->n_wait++;

	for (; at; at = (at - 1) / 2) {
		struct fault_wait *parent = &l->wait[(at - 1) / 2];
		if (!before(&e, parent))
			break;
		l->wait[at] = *parent;
	}
	l->wait[at] = e;
}

static struct pkt *heap_pop(struct fault_lane *l)
{
	struct pkt *p = l->wait[0].p;
	struct fault_wait e = l->wait[--l->n_wait];
	uint32_t at = 0;

	for (;;) {
		uint32_t child = 2 * at + 1;
		if (child >= l->n_wait)
			break;
		if (child + 1 < l->n_wait && before(&l->wait[child + 1], &l->wait[child]))
			child++;
		if (!before(&l->wait[child], &e))
			break;
		l->wait[at] = l->wait[child];
		at = child;
	}
	l->wait[at] = e;
	return p;
}

/* ---- out of the lane ---- */

static void refuse(struct worker *w, struct fault_lane *l, struct pkt *p, enum drop why)
{
	l->stat[FAULT_REFUSED]++;
	pkt_drop(w, p, why);
}

static void emit(struct worker *w, struct fault_lane *l, struct batch *out, struct pkt *p)
{
	if (batch_full(out))
		l->out(w, l, out);
	batch_add(out, p);
	l->stat[FAULT_PASSED]++;
}

/* A frame that has met every fate but the delay. */
static void forward(struct worker *w, struct fault_lane *l, struct batch *out, struct pkt *p)
{
	const struct fault_conf *c = &l->conf;
	uint64_t delay = c->delay * NSEC_PER_USEC;

	if (!c->delay && !c->jitter) {
		emit(w, l, out, p);
		return;
	}
	if (l->n_wait >= l->n_room || l->n_wait >= c->limit) {
		refuse(w, l, p, DROP_DEV_READY);
		return;
	}
	if (c->jitter) {
		uint64_t way = (rng_u64(&l->rng) >> 32) * (2 * (uint64_t)c->jitter + 1) >> 32;
		uint64_t sum = c->delay + way;
		delay = sum > c->jitter ? (sum - c->jitter) * NSEC_PER_USEC : 0;
	}
	l->stat[FAULT_DELAYED]++;
	heap_push(l, (struct fault_wait){w->now + delay, l->seq++, p});
}

static void release(struct worker *w, struct fault_lane *l, struct batch *out)
{
	struct pkt *p;

	while ((p = pktq_pop(&l->held)))
		forward(w, l, out, p);
}

static void arm(struct worker *w, struct fault_lane *l)
{
	uint64_t next = l->n_wait ? l->wait[0].due : UINT64_MAX;

	if (l->held.n)
		next = MIN(next, l->held_until);
	if (next == UINT64_MAX)
		timer_del(&l->timer);
	else if (!timer_pending(&l->timer) || l->timer.expires != next)
		timer_set(&w->wheel, &l->timer, next);
}

void lane_due(struct worker *w, struct fault_lane *l, uint64_t now)
{
	struct batch out;

	batch_init(&out);
	if (l->held.n && now >= l->held_until)
		release(w, l, &out);
	while (l->n_wait && l->wait[0].due <= now)
		emit(w, l, &out, heap_pop(l));
	arm(w, l);
	if (out.n)
		l->out(w, l, &out);
}

/* ---- fates ---- */

static bool hit(struct fault_lane *l, uint32_t rate)
{
	return rate && rng_below(&l->rng, WEFT_FAULT_RATE_MAX) < rate;
}

/* Turns one bit over in a frame of our own; NULL: no packet left, p is still the caller's. */
static struct pkt *corrupt(struct worker *w, struct fault_lane *l, struct pkt *p)
{
	uint8_t byte;

	pkt_csum_finish(&w->cache, p);
	if (p->seg || !pkt_private(p)) {
		struct pkt *own = pkt_copy(&w->cache, p, p->off);
		if (!own)
			return NULL;
		pkt_free(&w->cache, p);
		p = own;
	}
	uint32_t bit = rng_below(&l->rng, p->total * 8);
	pkt_copy_out(p, bit / 8, &byte, 1);
	byte ^= (uint8_t)(1 << bit % 8);
	pkt_copy_in(p, bit / 8, &byte, 1);
	p->flags &= (uint16_t) ~(PKT_CSUM_OK | PKT_CSUM_PARTIAL | PKT_HASH_L4);
	p->hash = 0;
	l->stat[FAULT_CORRUPTED]++;
	return p;
}

static void feed_one(struct worker *w, struct fault_lane *l, struct batch *out, struct pkt *p)
{
	const struct fault_conf *c = &l->conf;
	struct pkt *twin = NULL;

	l->stat[FAULT_FRAMES]++;
	if (hit(l, c->loss)) {
		l->stat[FAULT_LOST]++;
		pkt_drop(w, p, DROP_FAULT);
		return;
	}
	if (hit(l, c->dup) && (twin = pkt_clone(&w->cache, p)))
		l->stat[FAULT_DUPLICATED]++;
	if (p->total && hit(l, c->corrupt)) {
		struct pkt *changed = corrupt(w, l, p);
		if (!changed)
			refuse(w, l, p, DROP_NOMEM);
		p = changed;
	}
	if (p && hit(l, c->reorder)) {
		l->stat[FAULT_REORDERED]++;
		if (!l->held.n)
			l->held_until = w->now + HOLD;
		pktq_push(&l->held, p);
		if (twin)
			forward(w, l, out, twin);
		if (l->held.n >= HELD_MAX)
			release(w, l, out);
		return;
	}
	if (p)
		forward(w, l, out, p);
	if (twin)
		forward(w, l, out, twin);
	release(w, l, out);
}

/* Segments first: each is a frame with a fate of its own. */
static void feed_large(struct worker *w, struct fault_lane *l, struct batch *out, struct pkt *p)
{
	struct pkt_queue frames;
	struct pkt *s;

	pktq_init(&frames);
	if (gso_segment(&w->cache, p, &frames)) {
		l->stat[FAULT_FRAMES]++;
		refuse(w, l, p, DROP_NOMEM);
		return;
	}
	while ((s = pktq_pop(&frames)))
		feed_one(w, l, out, s);
}

void lane_feed(struct worker *w, struct fault_lane *l, struct batch *b)
{
	struct batch out;

	batch_init(&out);
	for (unsigned i = 0; i < b->n; i++) {
		if (b->p[i]->gso)
			feed_large(w, l, &out, b->p[i]);
		else
			feed_one(w, l, &out, b->p[i]);
	}
	b->n = 0;
	arm(w, l);
	if (out.n)
		l->out(w, l, &out);
}

/* ---- life ---- */

void lane_purge(struct worker *w, struct fault_lane *l)
{
	struct pkt *p;

	timer_del(&l->timer);
	while ((p = pktq_pop(&l->held)))
		refuse(w, l, p, DROP_DEV_DOWN);
	while (l->n_wait)
		refuse(w, l, heap_pop(l), DROP_DEV_DOWN);
}

void lane_init(struct fault_lane *l,
	       void (*out)(struct worker *, struct fault_lane *, struct batch *))
{
	pktq_init(&l->held);
	l->out = out;
}

void lane_fini(struct fault_lane *l)
{
	timer_del(&l->timer);
	free(l->wait);
	l->wait = NULL;
}

void lane_seed(struct fault_lane *l, uint64_t seed)
{
	rng_seed(&l->rng, seed);
}

int lane_set(struct fault_lane *l, const struct fault_conf *conf)
{
	uint32_t room = conf->delay || conf->jitter ? conf->limit : 0;

	if (room > l->n_room) {
		struct fault_wait *more = realloc(l->wait, room * sizeof(*more));
		if (!more)
			return -ENOMEM;
		l->wait = more;
		l->n_room = room;
	}
	l->conf = *conf;
	return 0;
}
