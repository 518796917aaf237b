/*
 * tcp_errq: what a connection tells on its error queue of the data it sends: that a buffer lent
 * with MSG_ZEROCOPY is the program's again, and when the last byte of a write was handed down, was
 * sent, was acknowledged (SO_TIMESTAMPING; Linux's timestamping and msg_zerocopy documents).
 *
 * A mark stands for a write by its last byte and stays until that byte is acknowledged. Data is
 * copied from the program in any case, and the notice says so (SO_EE_CODE_ZEROCOPY_COPIED); a
 * program that sees it may stop asking. Notices that follow each other are one while unread.
 */
#include "tcp/tcp_core.h"

#include <linux/net_tstamp.h>

#define TS_OPT_ID_TCP (1u << 16) /* newer than some headers */

enum {
	MARK_ZEROCOPY = 1 << 0,
	MARK_SCHED = 1 << 1,
	MARK_SND = 1 << 2,
	MARK_ACK = 1 << 3,
};

struct mark {
	uint32_t key; /* sequence number of the last byte */
	uint32_t id;  /* MARK_ZEROCOPY: of the send */
	uint8_t what;
};

struct tcp_errq {
	uint32_t zc_id;	  /* of the next send */
	uint32_t ts_base; /* SOF_TIMESTAMPING_OPT_ID counts from here */
	bool counts;	  /* it was set */
	struct mark *v;	  /* v[first] ... v[first + n - 1], by key */
	unsigned first, n, cap;
};

static struct tcp_errq *get(struct tcp_sock *tp)
{
	if (!tp->errq)
		tp->errq = calloc(1, sizeof(*tp->errq));
	return tp->errq;
}

void tcp_errq_free(struct tcp_sock *tp)
{
	if (!tp->errq)
		return;
	free(tp->errq->v);
	free(tp->errq);
	tp->errq = NULL;
}

void tcp_errq_opt_set(struct tcp_sock *tp)
{
	uint32_t flags = tp->in.sk.timestamping;
	bool counts = flags & SOF_TIMESTAMPING_OPT_ID;
	struct tcp_errq *q = counts ? get(tp) : tp->errq;

	if (!q)
		return;
	if (counts && !q->counts)
		q->ts_base = flags & TS_OPT_ID_TCP ? tp->write_seq : tp->snd_una;
	q->counts = counts;
}

/* ---- records ---- */

/* Does the last record, unread, end where the one of `id` begins? Then it takes that in. */
static bool extend(struct tcp_sock *tp, uint32_t id)
{
	struct sock *sk = &tp->in.sk;
	struct weft_dgram *m;

	/* the queue is control's */
	if (tp->w->id || !sk->rx_head)
		return false;
	m = &container_of(sk->rx_tail, struct sock_rx, next)->meta;
	if (m->kind != WEFT_DGRAM_ERRQ || m->ee_origin != SO_EE_ORIGIN_ZEROCOPY ||
	    m->ee_data + 1 != id)
		return false;
	m->ee_data = id;
	if (sk->wake)
		sk->wake(sk);
	return true;
}

static void notify(struct tcp_sock *tp, uint32_t id)
{
	struct sock_rx *rx;

	if (tp->in.sk.dead || extend(tp, id))
		return;
	rx = sock_rx_sent(tp->w, &tp->in.sk, pkt_new(tp->w), SO_EE_ORIGIN_ZEROCOPY, 0);
	if (!rx)
		return;
	rx->meta.ee_code = SO_EE_CODE_ZEROCOPY_COPIED;
	rx->meta.ee_info = rx->meta.ee_data = id;
	sock_deliver(tp->w, &tp->in.sk, rx);
}

static void stamp(struct tcp_sock *tp, const struct mark *m, uint32_t type)
{
	struct sock *sk = &tp->in.sk;
	struct pkt *p = NULL;

	if (sk->dead)
		return;
	if (!(sk->timestamping & SOF_TIMESTAMPING_OPT_TSONLY)) {
		unsigned i = segs_find(&tp->sndq, m->key);
		if (i < tp->sndq.n && segs_at(&tp->sndq, i)->p->total)
			p = pkt_clone(&tp->w->cache, segs_at(&tp->sndq, i)->p);
	}
	sock_stamp(tp->w, sk, p ? p : pkt_new(tp->w), type, m->key - tp->errq->ts_base);
}

/* ---- marks ---- */

static bool wants_zerocopy(const struct tcp_sock *tp, int msg_flags)
{
	return msg_flags & MSG_ZEROCOPY && tp->in.sk.zerocopy;
}

/* What is to be told of a write. */
static uint8_t wanted(const struct tcp_sock *tp, int msg_flags)
{
	uint32_t ts = tp->in.sk.timestamping;

	return (wants_zerocopy(tp, msg_flags) ? MARK_ZEROCOPY : 0) |
	       (ts & SOF_TIMESTAMPING_TX_SCHED ? MARK_SCHED : 0) |
	       (ts & SOF_TIMESTAMPING_TX_SOFTWARE ? MARK_SND : 0) |
	       (ts & SOF_TIMESTAMPING_TX_ACK ? MARK_ACK : 0);
}

static bool make_room(struct tcp_errq *q)
{
	unsigned cap = MAX(q->cap * 2, 8u);
	struct mark *v;

	if (q->first + q->n < q->cap)
		return true;
	if (q->first) {
		memmove(q->v, q->v + q->first, q->n * sizeof(*q->v));
		q->first = 0;
		return true;
	}
	v = realloc(q->v, cap * sizeof(*v));
	if (!v)
		return false;
	q->v = v;
	q->cap = cap;
	return true;
}

int tcp_errq_begin(struct tcp_sock *tp, int msg_flags, size_t len)
{
	struct tcp_errq *q;

	if (likely(!wanted(tp, msg_flags)) || !len)
		return 0;
	q = get(tp);
	if (q && make_room(q))
		return 0;
	/* a stamp may be missed, a buffer's return may not */
	return wants_zerocopy(tp, msg_flags) ? -ENOBUFS : 0;
}

void tcp_errq_sent(struct tcp_sock *tp, int msg_flags)
{
	uint8_t what = wanted(tp, msg_flags);
	struct tcp_errq *q = tp->errq;

	if (likely(!what) || !q || q->first + q->n == q->cap)
		return;
	q->v[q->first + q->n++] = (struct mark){
		.key = tp->write_seq - 1,
		.what = what,
		.id = what & MARK_ZEROCOPY ? q->zc_id++ : 0,
	};
}

void tcp_errq_xmit(struct tcp_sock *tp, const struct tcp_seg *s)
{
	const struct tcp_errq *q = tp->errq;

	for (unsigned i = 0; q && i < q->n; i++) {
		const struct mark *m = &q->v[q->first + i];

		if (before(m->key, s->seq))
			continue;
		if (!before(m->key, s->seq + s->p->total))
			break;
		if (m->what & MARK_SCHED)
			stamp(tp, m, SCM_TSTAMP_SCHED);
		if (m->what & MARK_SND)
			stamp(tp, m, SCM_TSTAMP_SND);
	}
}

/* The first mark has had its day. */
static void pop(struct tcp_sock *tp)
{
	struct tcp_errq *q = tp->errq;
	const struct mark *m = &q->v[q->first];

	if (m->what & MARK_ZEROCOPY)
		notify(tp, m->id);
	q->n--;
	q->first = q->n ? q->first + 1 : 0;
}

void tcp_errq_acked(struct tcp_sock *tp)
{
	struct tcp_errq *q = tp->errq;

	while (q && q->n && before(q->v[q->first].key, tp->snd_una)) {
		if (q->v[q->first].what & MARK_ACK)
			stamp(tp, &q->v[q->first], SCM_TSTAMP_ACK);
		pop(tp);
	}
}

void tcp_errq_purge(struct tcp_sock *tp)
{
	while (tp->errq && tp->errq->n)
		pop(tp);
}
