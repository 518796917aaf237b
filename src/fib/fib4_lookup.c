/*
 * fib4_lookup: the readers' side.
 *
 * One step in a node: is the slot's bit set in `kids`, then the child is at index "ones below it";
 * otherwise the value is that of the run, at index "run starts up to it". Both are a population
 * count, for which processors since 2008 have an instruction that compilers may not use unasked:
 * the loops exist twice, with and without.
 *
 * In bulk the loads of many addresses are started before the first is waited for: root entries,
 * then the nodes they point to. Deeper nodes are left to the processor's own reordering: with a
 * root of 18 bits, few routes of the Internet go deeper than one node (/24).
 */
#include "fib/fib4_core.h"

#define GROUP 32

static inline __attribute__((always_inline)) uint32_t resolve(uintptr_t e, uint32_t addr,
							      unsigned depth)
{
	if (e & 1)
		return (uint32_t)(e >> 1);
	const struct fib4_node *n = (const struct fib4_node *)e;
	for (;;) {
		unsigned slot = fib4_slot(addr, depth);
		if (!(n->kids >> slot & 1))
			return READ_ONCE(fib4_values(n)[fib4_run(n, slot)]);
		n = rcu_dereference(n->kid[fib4_rank(n->kids, slot)]);
		depth += FIB4_STRIDE;
	}
}

static inline __attribute__((always_inline)) uint32_t lookup(const struct fib4 *f, uint32_t addr)
{
	const struct fib4_root *r = rcu_dereference(f->root);
	uintptr_t e = READ_ONCE(r->entry[(uint64_t)addr >> (32 - r->bits)]);
	uint32_t val = resolve(e, addr, r->bits);
	return val ? val : READ_ONCE(f->dflt);
}

static inline __attribute__((always_inline)) void bulk(const struct fib4 *f, const uint32_t *addr,
						       uint32_t *val, unsigned n)
{
	const struct fib4_root *r = rcu_dereference(f->root);
	unsigned bits = r->bits, shift = 32 - bits;
	uint32_t dflt = READ_ONCE(f->dflt);
	uintptr_t e[GROUP];

	for (unsigned at = 0; at < n; at += GROUP) {
		unsigned m = MIN(n - at, (unsigned)GROUP);
		const uint32_t *a = addr + at;
		for (unsigned i = 0; i < m; i++)
			__builtin_prefetch(&r->entry[(uint64_t)a[i] >> shift]);
		for (unsigned i = 0; i < m; i++) {
			e[i] = READ_ONCE(r->entry[(uint64_t)a[i] >> shift]);
			__builtin_prefetch(e[i] & 1 ? (const void *)r : (const void *)e[i]);
		}
		for (unsigned i = 0; i < m; i++) {
			uint32_t v = resolve(e[i], a[i], bits);
			val[at + i] = v ? v : dflt;
		}
	}
}

static __attribute__((target("popcnt"))) uint32_t lookup_popcnt(const struct fib4 *f, uint32_t addr)
{
	return lookup(f, addr);
}

static __attribute__((target("popcnt"))) void
bulk_popcnt(const struct fib4 *f, const uint32_t *addr, uint32_t *val, unsigned n)
{
	bulk(f, addr, val, n);
}

uint32_t fib4_lookup(const struct fib4 *f, uint32_t addr)
{
	return likely(f->popcnt) ? lookup_popcnt(f, addr) : lookup(f, addr);
}

void fib4_lookup_bulk(const struct fib4 *f, const uint32_t *addr, uint32_t *val, unsigned n)
{
	if (n == 1)
		*val = fib4_lookup(f, *addr);
	else if (likely(f->popcnt))
		bulk_popcnt(f, addr, val, n);
	else
		bulk(f, addr, val, n);
}
