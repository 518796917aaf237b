/*
 * mem: a device whose far end is the program that embeds the instance: tests and benches.
 *
 * What the program puts in is received, what the stack sends the program takes out; no system call
 * and no clock is involved, so a run is as deterministic as the instance. Frames begin at their
 * link header, without tag or checksum left to do. The device has as many receive queues as it was
 * made with (numrxqueues); each is polled by one worker, and has a ring of MEM_RING packets.
 *
 * In:  mem_inject() hands over a batch of the program's packets; mem_put() copies bytes into one.
 * Out: mem_on_xmit() names a function that gets each batch as the driver gets it; without one
 *      the batch waits in a ring of the sending worker for mem_collect() or mem_take(), and what
 *      finds that ring full is a tx_dropped, as at a card whose host never empties it.
 * Link: mem_link() joins two devices: what one sends the other receives. Within an instance the
 *      buffers change hands over the worker's backlog, as with veth; between two instances the
 *      bytes are copied, as by a wire, and both must be stepped by one thread.
 *
 * Threads: a receive queue may have one thread that injects, which need not be that of its worker;
 * packets then come from a pool_cache of its own. Only mem_put() takes from the cache of the worker
 * and belongs to its thread. A transmit ring may have one thread that collects.
 */
#pragma once

#include "drivers/kinds.h"

#define MEM_RING 1024 /* packets a ring holds: a power of two */

/* Takes the batch. Runs on the worker that sends. */
typedef void mem_xmit_fn(void *arg, struct worker *w, struct netdev *dev, struct batch *b);

/* Control, while the device is down. fn NULL: what is sent waits to be collected. Borrows arg. */
void mem_on_xmit(struct netdev *dev, mem_xmit_fn *fn, void *arg);

/* Takes as many packets of b from the front as fit and returns how many; the rest stays, moved up.
 * The worker of the queue is woken. */
unsigned mem_inject(struct netdev *dev, unsigned queue, struct batch *b);
/* One frame by its bytes. 0, -ENOBUFS (ring or pool) or -EMSGSIZE. */
int mem_put(struct netdev *dev, unsigned queue, const void *frame, size_t len);

/* Adds up to max packets that `worker` sent to b, oldest first; they are the caller's. */
unsigned mem_collect(struct netdev *dev, unsigned worker, struct batch *b, unsigned max);
/* The oldest frame worker 0 sent, cut to room bytes: its length, 0 when there is none. Thread of
 * worker 0. */
size_t mem_take(struct netdev *dev, void *buf, size_t room);

/* Control. -EBUSY: one of them is linked already; -EINVAL: they are one. Ends with either. */
int mem_link(struct netdev *a, struct netdev *b);
void mem_unlink(struct netdev *dev);
