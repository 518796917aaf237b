/*
 * rcu: the flavour of liburcu that weft uses: QSBR. A thread that runs a worker registers, reports
 * a quiescent state once a step and goes offline while it sleeps; lookups then cost a plain load.
 *
 * Control publishes with rcu_assign_pointer() / rcu_set_pointer() and frees with call_rcu() or
 * rcu_free(); free functions run on liburcu's thread, so they only free memory.
 */
#pragma once

#define _LGPL_SOURCE
#include <urcu-qsbr.h>
#include <urcu/rculfhash.h>
#include <urcu/rculist.h>

/* Frees malloc'ed memory after a grace period. The pointer may be NULL. */
void rcu_free(void *p);
/* Frees an empty hash table, NULL included. cds_lfht_destroy() alone may wait for a resize that
 * waits for a grace period, that is, for ever when the caller is online. */
void rcu_hash_free(struct cds_lfht *ht);
