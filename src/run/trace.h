/*
 * trace: follows single packets through the stages.
 *
 * A worker with a trace marks the next `left` packets that enter (PKT_TRACE); each stage that
 * handles a marked packet calls trace_pkt(), which records where and when. The ring is bounded:
 * when it is full, later events are counted and not kept. Owner: the worker's thread while it runs;
 * control reads when the worker is worker 0 or stands still.
 */
#pragma once

#include <stdio.h>

#include "run/worker.h"

#define TRACE_EVENTS 4096

struct trace_event {
	uint64_t cycles;
	uint64_t packet;  /* its address: a name for as long as it lives */
	const char *what; /* static text */
	uint32_t bytes;
};

struct stats_trace {
	unsigned left; /* packets still to be marked */
	unsigned n;    /* events kept */
	uint64_t lost; /* events that found the ring full */
	uint64_t n_packets;
	struct trace_event event[TRACE_EVENTS];
};

/* Starts (or restarts) following the next n packets on w. 0 or -ENOMEM. */
int trace_start(struct worker *w, unsigned n);
void trace_stop(struct worker *w);
/* Marks p if packets are still wanted; called where packets enter. */
void trace_mark(struct worker *w, struct pkt *p);
/* The events so far as a JSON array of {"packet", "cycles", "at", "bytes"}; cycles since the first.
 */
void trace_show(const struct worker *w, FILE *out);
