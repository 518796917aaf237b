/*
 * wheel: the levels in detail.
 *
 * Level l has 64 slots of 64^l ticks. A timer goes to the lowest level whose span holds its
 * distance from the wheel's tick, in the slot its expiry tick falls into. Each time a level's index
 * wraps to 0, the next level's current slot is emptied into the levels below ("cascade"). A bit per
 * slot tells which hold timers, so an idle stretch is skipped with a count of trailing zeroes
 * instead of tick by tick.
 */
#include "base/wheel.h"

#define SLOT_MASK (WHEEL_SLOTS - 1)

static inline unsigned level_shift(unsigned level)
{
	return level * WHEEL_SLOT_BITS;
}

void wheel_init(struct wheel *w, uint64_t now)
{
	memset(w, 0, sizeof(*w));
	w->tick = now >> WHEEL_TICK_SHIFT;
	for (unsigned l = 0; l < WHEEL_LEVELS; l++)
		for (unsigned s = 0; s < WHEEL_SLOTS; s++)
			CDS_INIT_LIST_HEAD(&w->slot[l][s]);
}

/* First tick at or after which `expires` has passed: a timer never fires early. */
static uint64_t tick_of(uint64_t expires)
{
	uint64_t t = expires >> WHEEL_TICK_SHIFT;

	return t + ((expires & ((1ULL << WHEEL_TICK_SHIFT) - 1)) != 0);
}

static void enqueue(struct wheel *w, struct timer *t)
{
	uint64_t tick = tick_of(t->expires);
	uint64_t max = w->tick + ((1ULL << level_shift(WHEEL_LEVELS - 1)) * (WHEEL_SLOTS - 1));

	if (tick <= w->tick)
		tick = w->tick + 1;
	if (tick > max)
		tick = max; /* looked at again when it comes round */
	uint64_t diff = tick ^ w->tick;
	unsigned level = diff ? (63u - (unsigned)__builtin_clzll(diff)) / WHEEL_SLOT_BITS : 0;

	if (level >= WHEEL_LEVELS)
		level = WHEEL_LEVELS - 1;
	unsigned slot = (unsigned)(tick >> level_shift(level)) & SLOT_MASK;
	cds_list_add_tail(&t->link, &w->slot[level][slot]);
	w->bits[level] |= 1ULL << slot;
	t->slot = (uint16_t)(level * WHEEL_SLOTS + slot);
}

void timer_set(struct wheel *w, struct timer *t, uint64_t expires)
{
	/* who moves a timer with each packet moves it within a tick most often */
	if (t->wheel == w && tick_of(expires) == tick_of(t->expires)) {
		t->expires = expires;
		return;
	}
	timer_del(t);
	t->expires = expires;
	t->wheel = w;
	enqueue(w, t);
	w->n_timers++;
}

void timer_del(struct timer *t)
{
	struct wheel *w = t->wheel;

	if (!w)
		return;
	unsigned level = t->slot / WHEEL_SLOTS, slot = t->slot % WHEEL_SLOTS;
	cds_list_del_init(&t->link);
	if (cds_list_empty(&w->slot[level][slot]))
		w->bits[level] &= ~(1ULL << slot);
	t->wheel = NULL;
	w->n_timers--;
}

static void cascade(struct wheel *w, unsigned level, unsigned slot)
{
	struct cds_list_head *head = &w->slot[level][slot], todo;
	struct timer *t, *next;

	if (cds_list_empty(head))
		return;
	CDS_INIT_LIST_HEAD(&todo);
	cds_list_splice(head, &todo);
	CDS_INIT_LIST_HEAD(head);
	w->bits[level] &= ~(1ULL << slot);
	cds_list_for_each_entry_safe (t, next, &todo, link) {
		cds_list_del(&t->link);
		CDS_INIT_LIST_HEAD(&t->link);
		/* due right now: into the slot that is about to be fired */
		if (tick_of(t->expires) <= w->tick) {
			unsigned s = (unsigned)w->tick & SLOT_MASK;
			cds_list_add_tail(&t->link, &w->slot[0][s]);
			w->bits[0] |= 1ULL << s;
			t->slot = (uint16_t)s;
		} else {
			enqueue(w, t);
		}
	}
}

/* The next tick after w->tick at which a slot is to be fired or emptied; UINT64_MAX: none. */
static uint64_t next_tick(const struct wheel *w)
{
	uint64_t best = UINT64_MAX;

	for (unsigned l = 0; l < WHEEL_LEVELS; l++) {
		unsigned shift = level_shift(l), at = (unsigned)(w->tick >> shift) & SLOT_MASK;
		uint64_t later = at == SLOT_MASK ? 0 : w->bits[l] & (~0ULL << (at + 1));
		uint64_t base = w->tick >> shift & ~(uint64_t)SLOT_MASK;

		if (later) {
			uint64_t t = (base + (unsigned)__builtin_ctzll(later)) << shift;
			best = MIN(best, t);
		} else if (w->bits[l] && l == WHEEL_LEVELS - 1) {
			uint64_t t = (base + WHEEL_SLOTS + (unsigned)__builtin_ctzll(w->bits[l]))
				     << shift;
			best = MIN(best, t);
		}
	}
	return best;
}

unsigned wheel_run(struct wheel *w, uint64_t now, unsigned budget)
{
	uint64_t until = now >> WHEEL_TICK_SHIFT;
	unsigned fired = 0;

	for (;;) {
		struct cds_list_head *due = &w->slot[0][w->tick & SLOT_MASK];

		while (!cds_list_empty(due)) {
			struct timer *t = cds_list_entry(due->next, struct timer, link);
			if (budget && fired == budget)
				return fired;
			timer_del(t);
			fired++;
			t->fn(t, now);
		}
		if (w->tick >= until)
			return fired;
		uint64_t next = w->n_timers ? next_tick(w) : UINT64_MAX;
		if (next > until) {
			w->tick = until;
			continue;
		}
		w->tick = next;
		for (unsigned l = WHEEL_LEVELS - 1; l > 0; l--)
			if (!(next & ((1ULL << level_shift(l)) - 1)))
				cascade(w, l, (unsigned)(next >> level_shift(l)) & SLOT_MASK);
	}
}

uint64_t wheel_next(const struct wheel *w)
{
	if (!w->n_timers)
		return UINT64_MAX;
	if (w->bits[0] >> (w->tick & SLOT_MASK) & 1)
		return w->tick << WHEEL_TICK_SHIFT;
	uint64_t t = next_tick(w);
	return t == UINT64_MAX ? t : t << WHEEL_TICK_SHIFT;
}
