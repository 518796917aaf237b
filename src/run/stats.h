/*
 * stats: what the workers of an instance have counted, summed over all of them.
 *
 * Control thread. Counters of workers that run meanwhile are read word by word: each is right, the
 * sum of two may be a packet apart.
 */
#pragma once

#include <stdio.h>

#include "run/instance.h"

/* Stages that were entered, and drops by reason where there were any. json: one object,
 *   {"workers": N,
 *    "stages": [{"name", "calls", "packets", "cycles", "cycles_per_packet"}, ...],
 *    "drops": [{"name", "text", "count"}, ...]}
 * else two tables for people. The first stage is the time spent outside of all others. */
void stats_show(const struct weft *weft, FILE *out, bool json);
/* The drops alone: {"drops": [...]}, or the second table. */
void stats_show_drops(const struct weft *weft, FILE *out, bool json);
/* One drop reason, one stage. */
uint64_t stats_drop(const struct weft *weft, enum drop why);
struct stage_count stats_stage(const struct weft *weft, enum stage s);
