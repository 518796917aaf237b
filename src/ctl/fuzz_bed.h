/*
 * fuzz_bed: what the fuzz targets of ctl share: an instance made once, and for each input a
 * namespace (nl_test_bed.h) that goes at its end with all that the input made in it.
 */
#pragma once

#include <arpa/inet.h>

#include "base/bytes.h"
#include "ctl/nl_test_bed.h"

struct fuzz_bed {
	struct weft *weft;
	uint64_t now;
	struct req q;
	unsigned n_inputs;
};

static inline void fuzz_bed_init(struct fuzz_bed *f)
{
	rcu_register_thread();
	f->now = NSEC_PER_SEC;
	f->weft = bed_weft(f->now);
	if (!f->weft)
		abort();
}

static inline struct net *fuzz_bed_net(struct fuzz_bed *f)
{
	struct net *net = bed_net(f->weft, &f->q);

	if (!net)
		abort();
	return net;
}

static inline void fuzz_bed_pass(struct fuzz_bed *f, uint64_t ns)
{
	f->now = weft_run_until(f->weft, f->now, f->now + ns);
}

/* All namespaces of the input have been put. Everything of them goes, and the timers that pointed
 * to it; memory that waits for readers now and then, for a barrier takes longer than all the rest.
 */
static inline void fuzz_bed_end(struct fuzz_bed *f)
{
	fuzz_bed_pass(f, 3 * NSEC_PER_SEC);
	if (++f->n_inputs % 64 == 0)
		rcu_barrier();
	if (f->weft->nets->n != 1 || pool_in_use(f->weft->pool))
		abort();
}

/* At most want bytes of the input, in memory of just that size, so that reading past it is seen. */
static inline void *fuzz_bytes(struct view *v, size_t want, size_t *len)
{
	*len = view_ok(v) ? MIN(want, v->left) : 0;
	const uint8_t *from = view_take(v, *len);
	void *to = malloc(MAX(*len, (size_t)1));

	if (!to)
		abort();
	if (*len)
		memcpy(to, from, *len);
	return to;
}
