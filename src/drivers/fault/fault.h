/*
 * fault: a device on top of another that loses, duplicates, reorders, corrupts and delays frames.
 *
 * Each direction is a lane: frames go in at one end and come out at the other, late, twice or not
 * at all. Every frame on the wire is one decision: a large segmentation packet is cut up first, as
 * a real wire would have it. The order of fates: loss, duplication (of the sound frame), corruption
 * (one bit, after a checksum that was still owed is filled in, so that it can be seen), reordering,
 * delay. A frame that is reordered waits until the next one that is not has passed, or a short time
 * if none comes.
 *
 * Always: passed + waiting = frames + duplicated - lost - refused, where refused counts what the
 * limit, a lack of packets or the device going down has ended.
 *
 * Random numbers come from the device's own seed, one sequence a lane: with a virtual clock the
 * same seed and the same frames meet the same fates. Everything here runs on worker 0; other
 * workers post their frames to it (fault.c).
 */
#pragma once

#include "base/rand.h"
#include "dev/netdev.h"

struct fault_conf {
	uint32_t loss, dup, reorder, corrupt; /* parts per million */
	uint32_t delay, jitter;		      /* us */
	uint32_t limit;			      /* frames that may wait for their delay */
};

enum fault_stat {
	FAULT_FRAMES,
	FAULT_PASSED,
	FAULT_LOST,
	FAULT_DUPLICATED,
	FAULT_REORDERED,
	FAULT_CORRUPTED,
	FAULT_DELAYED,
	FAULT_REFUSED,
	FAULT_WAITING,
	N_FAULT_STATS
};

struct fault_wait {
	uint64_t due, seq;
	struct pkt *p;
};

struct fault_lane {
	struct fault_conf conf;
	struct rng rng;
	struct fault_wait *wait; /* a heap by (due, seq), room for n_room */
	uint32_t n_wait, n_room;
	uint64_t seq;
	struct pkt_queue held; /* reordered, until another frame has passed */
	uint64_t held_until;
	struct timer timer;
	uint64_t stat[N_FAULT_STATS];
	/* Where frames come out: takes the batch. */
	void (*out)(struct worker *w, struct fault_lane *l, struct batch *b);
};

void lane_init(struct fault_lane *l,
	       void (*out)(struct worker *, struct fault_lane *, struct batch *));
/* The lane is empty (lane_purge). */
void lane_fini(struct fault_lane *l);
void lane_seed(struct fault_lane *l, uint64_t seed);
/* Settings for the frames to come. 0 or -ENOMEM, and nothing has changed. */
int lane_set(struct fault_lane *l, const struct fault_conf *conf);
/* Takes frames that begin at their link header; worker 0. */
void lane_feed(struct worker *w, struct fault_lane *l, struct batch *b);
/* Frees what waits. */
void lane_purge(struct worker *w, struct fault_lane *l);
/* The timer's: lets out what is due. */
void lane_due(struct worker *w, struct fault_lane *l, uint64_t now);
