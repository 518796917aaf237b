/*
 * wheel: a hierarchical timer wheel (Varghese & Lauck, 1987) for 10^6 timers.
 *
 * Add, move and delete are O(1). Ticks are 2^20 ns (about 1 ms); levels of 64 slots each cover
 * 64 ms, 4 s, 4.5 min, 4.9 h, 13 days, ...; a timer never fires early, and late by at most one tick
 * plus the caller's step. Timers never read a clock: wheel_run(now) fires what is due, in order of
 * expiry tick, then of adding to it. A callback may add or delete any timer, its own included.
 *
 * Owner: one thread a wheel. The timer's memory is the caller's, and must be deleted from the
 * wheel before it is freed. Times are nanoseconds of the instance's monotonic clock.
 */
#pragma once

#include <urcu/list.h>

#include "base/util.h"

#define WHEEL_TICK_SHIFT 20
#define WHEEL_SLOT_BITS	 6
#define WHEEL_SLOTS	 (1u << WHEEL_SLOT_BITS)
#define WHEEL_LEVELS	 8

struct timer;
struct wheel;
typedef void timer_fn(struct timer *t, uint64_t now);

struct timer {
	struct cds_list_head link; /* empty: not pending */
	uint64_t expires;	   /* ns */
	timer_fn *fn;
	struct wheel *wheel; /* the wheel it pends on; NULL when not pending */
	uint16_t slot;
};

struct wheel {
	uint64_t tick;	   /* last tick run */
	uint64_t n_timers; /* pending */
	uint64_t bits[WHEEL_LEVELS];
	struct cds_list_head slot[WHEEL_LEVELS][WHEEL_SLOTS];
};

void wheel_init(struct wheel *w, uint64_t now);

static inline void timer_init(struct timer *t, timer_fn *fn)
{
	CDS_INIT_LIST_HEAD(&t->link);
	t->fn = fn;
	t->wheel = NULL;
	t->expires = 0;
	t->slot = 0;
}

static inline bool timer_pending(const struct timer *t)
{
	return t->wheel != NULL;
}

/* Arms t to fire at `expires`; a pending timer is moved. In the past: fires at the next run. */
void timer_set(struct wheel *w, struct timer *t, uint64_t expires);
/* Disarms t; no-op when not pending. */
void timer_del(struct timer *t);
/* Fires what is due at now; returns how many fired. At most `budget` in one call (0: no limit). */
unsigned wheel_run(struct wheel *w, uint64_t now, unsigned budget);
/* Time of the next wheel_run worth making (never later than the next expiry), UINT64_MAX if none.
 */
uint64_t wheel_next(const struct wheel *w);
