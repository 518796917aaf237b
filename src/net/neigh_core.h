/*
 * neigh_core: what the files of the neighbour table share (neigh.c: the table and its entries,
 * neigh_state.c: the state machine, neigh_parms.c: settings and proxies). Control thread.
 */
#pragma once

#include <linux/rtnetlink.h>

#include "net/neigh.h"
#include "run/instance.h"

/* neigh.msg_state: a message is on its way to control; the memory is due when it has come. */
enum { NEIGH_MSG_POSTED = 1, NEIGH_MSG_FREE = 2 };

/* Times wrap: an entry may be made with "confirmed long ago" while the clock stands near 0. */
static inline bool time_before_eq(uint64_t a, uint64_t b)
{
	return (int64_t)(a - b) <= 0;
}

static inline bool time_after(uint64_t a, uint64_t b)
{
	return (int64_t)(a - b) > 0;
}

/* Tells listeners that the entry changed. */
void neigh_notify(struct neigh *n, enum event_type type);
/* Makes n->hh fit state and lladdr: a header when NUD_VALID, none otherwise; -ENOMEM leaves none.
 */
int neigh_hh_refresh(struct neigh *n, bool rebuild);
/* Puts the entry on or off gc_list by its state and flags. */
void neigh_gc_list_refresh(struct neigh *n);
/* Drops what waits in n->queue. */
void neigh_queue_purge(struct neigh *n, enum drop why);
/* neigh_parms.c */
struct neigh_parms *neigh_parms_find(struct neigh_table *t, const struct netdev *dev);
uint64_t neigh_table_base_reachable(const struct neigh_table *t);
void neigh_timer(struct timer *t, uint64_t now);
void neigh_stale_msg(struct worker *w, struct worker_msg *m);
uint64_t neigh_random_reachable(struct neigh_table *t, uint64_t base);
void neigh_proxy_timer(struct timer *t, uint64_t now);
/* neigh_state.c: resolves what is NTF_EXT_MANAGED, again and again. */
void neigh_managed_timer(struct timer *t, uint64_t now);
