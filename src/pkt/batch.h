/*
 * batch: up to 256 packets handed from stage to stage. A stage *takes* a batch: when it returns,
 * every packet has been handed on, queued or dropped, and the batch is empty. Batches live on the
 * stack or in the worker; no one frees them.
 */
#pragma once

#include "pkt/pkt.h"

#define BATCH_MAX 256

struct batch {
	unsigned n;
	struct pkt *p[BATCH_MAX];
};

static inline void batch_init(struct batch *b)
{
	b->n = 0;
}

static inline bool batch_full(const struct batch *b)
{
	return b->n == BATCH_MAX;
}

static inline void batch_add(struct batch *b, struct pkt *p)
{
	b->p[b->n++] = p;
}

/* A batch of one, for what the control path sends. */
static inline void batch_one(struct batch *b, struct pkt *p)
{
	b->n = 1;
	b->p[0] = p;
}
