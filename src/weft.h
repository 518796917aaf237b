/*
 * weft: an instance: one "kernel".
 *
 * Nothing mutable is global: everything hangs off a struct weft, and a process can hold many.
 * weft.c binds the modules in written order and undoes them in mirror order.
 *
 * Stepping: weft_step() advances all workers of an instance without threads once, at the time
 * given; with threads, weft_start() runs workers 1..n in their own, and the caller's thread is
 * control and runs worker 0 (worker_loop or weft_step).
 *
 * The struct itself is in run/instance.h.
 */
#pragma once

#include "run/instance.h"

/* NULL with *err = -errno. */
struct weft *weft_new(const struct weft_config *c, int *err);
void weft_free(struct weft *weft);
/* Starts the threads of workers 1..n. */
int weft_start(struct weft *weft);
void weft_stop(struct weft *weft);
/* Steps worker 0 (and, without threads, that is all there is). Returns the work done. */
unsigned weft_step(struct weft *weft, uint64_t now);
/* Steps until nothing is left to do at `now`; for tests under a virtual clock. */
void weft_settle(struct weft *weft, uint64_t now);
/* Runs virtual time from now to `until`, stopping at every timer. Returns until. */
uint64_t weft_run_until(struct weft *weft, uint64_t now, uint64_t until);
