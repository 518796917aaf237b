/* pkt: operations over segments. */
#include "pkt/pkt.h"

#include "base/csum.h"
#include "pkt/pool.h"

/* Metadata of p on q, but for buffer, segments and reference count. */
static void copy_meta(struct pkt *q, const struct pkt *p)
{
	q->dev = p->dev;
	q->protocol = p->protocol;
	q->hash = p->hash;
	q->flags = p->flags & (uint16_t) ~(PKT_CLONE | PKT_SHARED);
	q->type = p->type;
	q->gso = p->gso;
	q->vlan_tci = p->vlan_tci;
	q->vlan_proto = p->vlan_proto;
	q->mark = p->mark;
	q->tstamp = p->tstamp;
	q->gso_size = p->gso_size;
	q->queue = p->queue;
	q->csum_off = p->csum_off;
	q->prio = p->prio;
	q->cb[0] = p->cb[0];
	q->cb[1] = p->cb[1];
}

/* Bytes in front of the data that a move or a copy keeps: a link header with tags, and an IPv4
 * header with options. */
#define FRONT_MAX 96u

static unsigned front_of(const struct pkt *p, unsigned room)
{
	unsigned front = MIN(room, FRONT_MAX);

	return MIN((unsigned)p->off, front);
}

static uint16_t moved(uint16_t at, int d, unsigned first)
{
	return at && at >= first ? (uint16_t)(at + d) : 0;
}

/* Offsets of p, moved by d bytes; 0 stays "not known", and what lay before `first` gets so. */
static void copy_offsets(struct pkt *q, const struct pkt *p, int d, unsigned first)
{
	q->l2 = moved(p->l2, d, first);
	q->l3 = moved(p->l3, d, first);
	q->l4 = moved(p->l4, d, first);
	q->csum_start = moved(p->csum_start, d, first);
}

/* Gives p a buffer that nobody shares, or moves the data within the one it has, so that the data
 * starts at least `room` bytes in and `n` bytes fit. What lies just in front (a link header already
 * pulled) is kept. */
static bool reseat(struct pool_cache *c, struct pkt *p, unsigned room, unsigned n)
{
	unsigned front = front_of(p, room), keep = front + p->len;
	struct pkt old = *p, *owner = p->flags & PKT_CLONE ? p->owner : NULL;

	if (room + MAX(n, (unsigned)p->len) > PKT_BUF_SIZE)
		return false;
	if (pkt_private(p)) {
		memmove(p->buf + room - front, pkt_data(p) - front, keep);
	} else if (owner && __atomic_load_n(&p->ref, __ATOMIC_ACQUIRE) == 1) {
		/* a clone's own buffer lies idle */
		p->buf = (uint8_t *)(p + 1);
		p->flags &= (uint16_t)~PKT_CLONE;
		p->owner = NULL;
		memcpy(p->buf + room - front, old.buf + old.off - front, keep);
		pkt_unref(c, owner);
	} else {
		/* clones still read its own buffer: borrow another's from now on */
		struct pkt *q = pkt_alloc(c);
		if (!q)
			return false;
		memcpy(q->buf + room - front, old.buf + old.off - front, keep);
		p->buf = q->buf;
		p->flags |= PKT_CLONE;
		p->owner = q;
		if (owner)
			pkt_unref(c, owner);
	}
	p->off = (uint16_t)room;
	copy_offsets(p, &old, (int)room - (int)old.off, old.off - front);
	return true;
}

bool pkt_pull_slow(struct pool_cache *c, struct pkt *p, unsigned n)
{
	if (n > p->total || n > PKT_BUF_SIZE)
		return false;
	if (!pkt_private(p) || p->off + n > PKT_BUF_SIZE) {
		if (!reseat(c, p, MIN((unsigned)p->off, PKT_BUF_SIZE - n), n))
			return false;
	}
	while (p->len < n) {
		struct pkt *s = p->seg;
		unsigned take = MIN(n - p->len, (unsigned)s->len);
		memcpy(pkt_data(p) + p->len, pkt_data(s), take);
		p->len = (uint16_t)(p->len + take);
		s->off = (uint16_t)(s->off + take);
		s->len = (uint16_t)(s->len - take);
		if (!s->len) {
			p->seg = s->seg;
			s->seg = NULL;
			pkt_free(c, s);
		}
	}
	return true;
}

bool pkt_writable_slow(struct pool_cache *c, struct pkt *p, unsigned room)
{
	if (pkt_private(p) && pkt_headroom(p) >= room)
		return true;
	return reseat(c, p, MAX(room, (unsigned)p->off), p->len);
}

static struct pkt *last_segment(struct pkt *p)
{
	while (p->seg)
		p = p->seg;
	return p;
}

int pkt_append(struct pool_cache *c, struct pkt *p, const void *data, size_t len)
{
	const uint8_t *from = data;
	uint32_t before = p->total;

	if (len > PKT_MAX_TOTAL || p->total + len > PKT_MAX_TOTAL)
		return -EMSGSIZE;
	if (likely(!p->seg && pkt_private(p) && len <= pkt_tailroom(p))) {
		memcpy(pkt_data(p) + p->len, from, len);
		p->len = (uint16_t)(p->len + len);
		p->total += (uint32_t)len;
		return 0;
	}
	struct pkt *s = last_segment(p);
	while (len) {
		unsigned room = pkt_private(s) ? pkt_tailroom(s) : 0;
		if (!room) {
			struct pkt *n = pkt_alloc(c);
			if (!n) {
				pkt_trim(c, p, before);
				return -ENOBUFS;
			}
			s->seg = n;
			s = n;
			continue;
		}
		unsigned take = (unsigned)MIN(len, (size_t)room);
		memcpy(pkt_data(s) + s->len, from, take);
		s->len = (uint16_t)(s->len + take);
		if (s != p)
			s->total = s->len;
		p->total += take;
		from += take;
		len -= take;
	}
	return 0;
}

size_t pkt_copy_out(const struct pkt *p, size_t at, void *to, size_t len)
{
	uint8_t *out = to;
	size_t done = 0;

	for (; p && done < len; p = p->seg) {
		if (at >= p->len) {
			at -= p->len;
			continue;
		}
		size_t n = MIN(len - done, p->len - at);
		memcpy(out + done, pkt_data(p) + at, n);
		done += n;
		at = 0;
	}
	return done;
}

void pkt_copy_in(struct pkt *p, size_t at, const void *from, size_t len)
{
	const uint8_t *in = from;

	for (; p && len; p = p->seg) {
		if (at >= p->len) {
			at -= p->len;
			continue;
		}
		size_t n = MIN(len, p->len - at);
		memcpy(pkt_data(p) + at, in, n);
		in += n;
		len -= n;
		at = 0;
	}
}

void pkt_trim(struct pool_cache *c, struct pkt *p, uint32_t len)
{
	if (len >= p->total)
		return;
	p->total = len;
	struct pkt *s = p;
	while (len > s->len) {
		len -= s->len;
		s = s->seg;
	}
	s->len = (uint16_t)len;
	struct pkt *rest = s->seg;
	s->seg = NULL;
	if (rest)
		pkt_free_slow(c, rest);
}

uint32_t pkt_csum(const struct pkt *p, size_t at, size_t len, uint32_t sum)
{
	size_t done = 0;

	for (; p && done < len; p = p->seg) {
		if (at >= p->len) {
			at -= p->len;
			continue;
		}
		size_t n = MIN(len - done, p->len - at);
		uint32_t part = csum_partial(pkt_data(p) + at, n, 0);
		if (done & 1) {
			/* a block at an odd place: fold, then swap the bytes */
			part = (uint16_t)~csum_fold(part);
			part = (uint16_t)(part << 8 | part >> 8);
		}
		sum = csum_add(sum, part);
		done += n;
		at = 0;
	}
	return sum;
}

bool pkt_csum_finish(struct pool_cache *c, struct pkt *p)
{
	if (!(p->flags & PKT_CSUM_PARTIAL))
		return true;
	if (p->csum_start < p->off)
		return false;
	unsigned start = p->csum_start - p->off, field = start + p->csum_off;
	if (start >= p->total || field + 2 > p->total || !pkt_may_pull(c, p, field + 2) ||
	    !pkt_writable(c, p, 0))
		return false;
	uint16_t csum = csum_fold(pkt_csum(p, start, p->total - start, 0));
	if (!csum)
		csum = 0xffff;
	memcpy(pkt_data(p) + field, &csum, 2);
	p->flags &= (uint16_t)~PKT_CSUM_PARTIAL;
	p->flags |= PKT_CSUM_OK;
	return true;
}

static struct pkt *clone_segment(struct pool_cache *c, struct pkt *p)
{
	struct pkt *q = pkt_alloc(c), *owner = p->flags & PKT_CLONE ? p->owner : p;

	if (!q)
		return NULL;
	copy_meta(q, p);
	if (owner == p)
		p->flags |= PKT_SHARED;
	__atomic_add_fetch(&owner->ref, 1, __ATOMIC_ACQ_REL);
	q->flags |= PKT_CLONE;
	q->owner = owner;
	q->buf = p->buf;
	q->off = p->off;
	q->len = p->len;
	q->total = p->total;
	copy_offsets(q, p, 0, 0);
	return q;
}

struct pkt *pkt_clone(struct pool_cache *c, struct pkt *p)
{
	struct pkt *first = clone_segment(c, p), *last = first;

	for (struct pkt *s = p->seg; first && s; s = s->seg) {
		last->seg = clone_segment(c, s);
		last = last->seg;
		if (!last) {
			pkt_free_slow(c, first);
			return NULL;
		}
	}
	return first;
}

struct pkt *pkt_copy(struct pool_cache *c, const struct pkt *p, unsigned headroom)
{
	struct pkt *q = pkt_alloc(c);

	if (!q)
		return NULL;
	copy_meta(q, p);
	/* headers pulled already come along as far as there is room, so that offsets stay true */
	q->off = (uint16_t)MIN(headroom, (unsigned)PKT_BUF_SIZE);
	unsigned front = front_of(p, q->off);
	memcpy(pkt_data(q) - front, pkt_data(p) - front, front);
	copy_offsets(q, p, (int)q->off - (int)p->off, p->off - front);
	for (const struct pkt *s = p; s; s = s->seg) {
		if (pkt_append(c, q, pkt_data(s), s->len)) {
			pkt_free_slow(c, q);
			return NULL;
		}
	}
	return q;
}
