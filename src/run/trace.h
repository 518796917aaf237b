/*
 * trace: follows single packets through the stages.
 *
 * A worker with a trace marks the next `left` packets that enter (PKT_TRACE): netdev_rx() and those
 * who make packets here call trace_mark(). Each stage that handles a marked packet calls
 * trace_pkt(), which records where and when. The store is bounded: when it is full, later events
 * are counted and not kept.
 *
 * Control starts, stops and shows at any time: a worker finds its trace through RCU, and an event
 * is complete before it is counted. Marks and events are the worker's.
 */
#pragma once

#include <stdio.h>

#include "run/instance.h"

#define TRACE_EVENTS 4096

/* The index of a device; the device core, of higher rank, knows it. */
typedef int trace_ifindex_fn(const struct netdev *dev);

struct trace_event {
	uint64_t cycles;
	uint64_t packet;  /* its address: a name for as long as it lives */
	const char *what; /* static text */
	uint32_t bytes;
	int ifindex; /* of p->dev; 0: none, or not asked for */
};

struct stats_trace {
	unsigned left; /* packets still to be marked */
	unsigned n;    /* events kept */
	uint64_t lost; /* events that found the store full */
	uint64_t n_packets;
	trace_ifindex_fn *ifindex; /* NULL: devices are not named */
	struct trace_event event[TRACE_EVENTS];
};

/* Starts (or restarts) following the next n packets on w. 0 or -ENOMEM. */
int trace_start(struct worker *w, unsigned n);
void trace_stop(struct worker *w);
/* The same for all workers of an instance: the next n packets of each. */
int trace_start_all(struct weft *weft, unsigned n, trace_ifindex_fn *ifindex);
void trace_stop_all(struct weft *weft);

/* Marks p if packets are still wanted; called where packets enter. */
void trace_mark_slow(struct worker *w, struct pkt *p);
static inline void trace_mark(struct worker *w, struct pkt *p)
{
	if (unlikely(READ_ONCE(w->trace)))
		trace_mark_slow(w, p);
}

/* The events so far as a JSON array of {"packet", "cycles", "at", "bytes", "ifindex"}: packets
 * numbered from 1 in order of appearance, cycles since the first event. */
void trace_show(const struct worker *w, FILE *out);
/* {"workers": [{"worker", "packets", "lost", "events": [...]}, ...]} of those that trace. */
void trace_show_all(const struct weft *weft, FILE *out);
