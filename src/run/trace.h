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

#define TRACE_EVENTS  4096
#define TRACE_DEV_MAX 16 /* IFNAMSIZ */

struct trace_event {
	uint64_t cycles;
	/* its address and its buffer's: a clone shares the one, what has been unshared keeps the
	 * other */
	uint64_t packet, buf;
	const char *what; /* static text: a stage, or the name of a drop reason */
	uint32_t bytes;
	/* p->dev as it was then: the device may be renamed, moved or gone when this is read */
	int ifindex; /* 0: none, or not asked for */
	char dev[TRACE_DEV_MAX];
	uint64_t net; /* its namespace's ino */
};

/* Writes what is known of a device into an event; the device core, of higher rank, knows it. */
typedef void trace_dev_fn(const struct netdev *dev, struct trace_event *e);
/* The name of a namespace, for people; NULL: it has none. Borrows. */
typedef const char *trace_net_fn(void *arg, uint64_t ino);

struct stats_trace {
	unsigned left; /* packets still to be marked */
	unsigned n;    /* events kept */
	uint64_t lost; /* events that found the store full */
	uint64_t n_packets;
	trace_dev_fn *dev; /* NULL: devices are not named */
	struct trace_event event[TRACE_EVENTS];
};

/* Starts (or restarts) following the next n packets on w. 0 or -ENOMEM. */
int trace_start(struct worker *w, unsigned n);
void trace_stop(struct worker *w);
/* The same for all workers of an instance: the next n packets of each. */
int trace_start_all(struct weft *weft, unsigned n, trace_dev_fn *dev);
void trace_stop_all(struct weft *weft);

/* Marks p if packets are still wanted; called where packets enter. */
void trace_mark_slow(struct worker *w, struct pkt *p);
static inline void trace_mark(struct worker *w, struct pkt *p)
{
	if (unlikely(READ_ONCE(w->trace)))
		trace_mark_slow(w, p);
}

/* {"workers": [{"worker", "packets", "lost", "events": [...]}, ...]} of those that trace. An event:
 *   {"packet", "cycles", "at", "bytes", "ifindex", "dev", "net", "netns", "drop"}
 * packets numbered from 1 in order of appearance, cycles since the first event; netns is the name
 * of the namespace, where `names` knows one (NULL: nobody asks); drop is the reason's text, where
 * the packet ended. */
void trace_show_all(const struct weft *weft, trace_net_fn *names, void *arg, FILE *out);
