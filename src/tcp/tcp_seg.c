/*
 * tcp_seg: the ordered queue of segments.
 */
#include "tcp/tcp_seg.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SEGS_MIN 8 /* kept when the queue is empty, once there was one */

unsigned segs_find(const struct tcp_segs *q, uint32_t seq)
{
	unsigned lo = 0, hi = q->n;

	while (lo < hi) {
		unsigned mid = lo + (hi - lo) / 2;

		if (after(segs_at(q, mid)->end_seq, seq))
			hi = mid;
		else
			lo = mid + 1;
	}
	return lo;
}

/* Room for one more: moves all to the front when at least half is free, or doubles. */
static int make_room(struct tcp_segs *q)
{
	if (q->first + q->n < q->cap)
		return 0;
	if (q->first < q->cap / 2 || !q->cap) {
		unsigned cap = q->cap ? 2 * q->cap : SEGS_MIN;
		struct tcp_seg **v = realloc(q->v, cap * sizeof(struct tcp_seg *));

		if (!v)
			return -ENOMEM;
		q->v = v;
		q->cap = cap;
		if (q->first + q->n < q->cap)
			return 0;
	}
	memmove(q->v, q->v + q->first, q->n * sizeof(struct tcp_seg *));
	q->first = 0;
	return 0;
}

int segs_insert(struct tcp_segs *q, unsigned i, struct tcp_seg *s)
{
	if (i == 0 && q->first) {
		q->first--;
	} else {
		int err = make_room(q);

		if (err)
			return err;
		struct tcp_seg **at = q->v + q->first + i;

		memmove(at + 1, at, (q->n - i) * sizeof(struct tcp_seg *));
	}
	q->n++;
	q->v[q->first + i] = s;
	return 0;
}

struct tcp_seg *segs_remove(struct tcp_segs *q, unsigned i)
{
	struct tcp_seg *s = segs_at(q, i);

	if (i == 0) {
		segs_drop(q, 1);
		return s;
	}
	struct tcp_seg **at = q->v + q->first + i;

	memmove(at, at + 1, (q->n - i - 1) * sizeof(struct tcp_seg *));
	q->n--;
	return s;
}

void segs_drop(struct tcp_segs *q, unsigned k)
{
	q->first += k;
	q->n -= k;
	if (q->n)
		return;
	q->first = 0;
	if (q->cap > SEGS_MIN) {
		free(q->v);
		*q = (struct tcp_segs){0};
	}
}

void segs_reset(struct tcp_segs *q)
{
	free(q->v);
	*q = (struct tcp_segs){0};
}

void segs_free(struct pool_cache *c, struct tcp_segs *q)
{
	for (unsigned i = 0; i < q->n; i++)
		pkt_free(c, segs_at(q, i)->p);
	segs_reset(q);
}
