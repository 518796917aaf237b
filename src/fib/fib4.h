/*
 * fib4: longest-prefix match for IPv4.
 *
 * Maps (prefix, length) to a 32-bit value the caller chooses (1 to 2^31-1; 0 means "no route").
 * The structure knows no devices and no next hops. Its cost does not depend on traffic: there is
 * no cache.
 *
 * Threads: one writer (control) inserts and deletes; any number of RCU readers look up meanwhile
 * and see either the old or the new value of a prefix, never a mixture and never "no route" for a
 * destination that had one before and after. Memory given up is freed after a grace period.
 *
 * Addresses are in host byte order here: the bits are compared from the top.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct fib4;

struct fib4 *fib4_new(void);
/* No reader may be left. NULL is fine. */
void fib4_free(struct fib4 *f);

/* Sets the value of a prefix, whether or not it was there; bits below len must be 0.
 * 0, -EINVAL (len > 32, stray bits, val 0 or too large) or -ENOMEM (nothing changed). */
int fib4_set(struct fib4 *f, uint32_t prefix, unsigned len, uint32_t val);
/* 0, or -ESRCH when the prefix is not there, or -ENOMEM (nothing changed). */
int fib4_del(struct fib4 *f, uint32_t prefix, unsigned len);
/* The value of exactly this prefix; 0: not there. Writer. */
uint32_t fib4_get(const struct fib4 *f, uint32_t prefix, unsigned len);

/* The value of the longest prefix that covers addr; 0: none. Readers, under RCU. */
uint32_t fib4_lookup(const struct fib4 *f, uint32_t addr);
/* The same for n addresses at once: val[i] for addr[i]. Hides memory latency by interleaving. */
void fib4_lookup_bulk(const struct fib4 *f, const uint32_t *addr, uint32_t *val, unsigned n);

/* Prefixes in order of (prefix, length), starting after (*prefix, *len) when `next`; false at the
 * end. Survives changes between calls. Writer. */
bool fib4_walk(const struct fib4 *f, bool next, uint32_t *prefix, unsigned *len, uint32_t *val);
size_t fib4_size(const struct fib4 *f);	 /* prefixes */
size_t fib4_bytes(const struct fib4 *f); /* memory held, both for lookup and for the writer */
