/*
 * ip4_reasm: putting fragments together again. The structures and their reasons are in ip4_reasm.h.
 */
#include "ip/ip4_reasm.h"

enum { ECN_NOT_ECT = 1, ECN_ECT1 = 2, ECN_ECT0 = 4, ECN_CE = 8 };

static size_t pkt_mem(const struct pkt *p)
{
	size_t n = 0;

	for (; p; p = p->seg)
		n += PKT_ELEM_SIZE;
	return n;
}

static void charge(struct fragq *q, size_t n)
{
	q->mem += n;
	__atomic_add_fetch(&q->frags->mem, n, __ATOMIC_RELAXED);
}

static void fragq_free_packets(struct fragq *q, enum drop why)
{
	struct pkt *p;

	while ((p = q->head)) {
		q->head = p->next;
		p->next = NULL;
		pkt_drop(q->w, p, why);
	}
	q->first = NULL;
}

/* Ends the queue; its fragments must be gone or taken. */
static void fragq_end(struct fragq *q)
{
	__atomic_sub_fetch(&q->frags->mem, q->mem, __ATOMIC_RELAXED);
	__atomic_sub_fetch(&q->frags->n, 1, __ATOMIC_RELAXED);
	timer_del(&q->timer);
	cds_list_del(&q->link);
	pkt_free(&q->w->cache, q->self);
}

static void fragq_kill(struct fragq *q, enum drop why)
{
	fragq_free_packets(q, why);
	fragq_end(q);
}

void ip4_reasm_purge(struct worker *w, struct ip4_frags *f)
{
	struct ip4_frag_worker *fw = f->path->frag[w->id];
	struct fragq *q, *tmp;

	if (!__atomic_load_n(&f->mem, __ATOMIC_RELAXED))
		return;
	for (unsigned i = 0; i < IP4_FRAG_HASH; i++)
		cds_list_for_each_entry_safe (q, tmp, &fw->hash[i], link)
			if (q->frags == f)
				fragq_kill(q, DROP_FRAG_REASM_TIMEOUT);
}

void ip4_reasm_purge_msg(struct worker *w, struct worker_msg *m)
{
	struct ip4_frags *f = container_of(m, struct ip4_frags_msg, msg)->frags;

	ip4_reasm_purge(w, f);
	ip4_frags_put(f);
}

/* ---- time out ---- */

/* Its sender is told, if he sent the beginning and we are where it should have gone. */
static void tell_timeout(struct fragq *q, struct net *net)
{
	struct pkt *p = q->first;

	if (!p || ip4_addr_type(net, q->daddr) != RTN_LOCAL)
		return;
	p->dev = net_dev_by_index(net, q->iif);
	if (p->dev)
		icmp4_error(q->w, p, ICMP_TIME_EXCEEDED, ICMP_EXC_FRAGTIME, 0);
}

static void fragq_timeout(struct timer *t, uint64_t now)
{
	struct fragq *q = container_of(t, struct fragq, timer);
	struct net *net = READ_ONCE(q->frags->net);

	(void)now;
	if (net) {
		uint64_t *mib = ip4_mib(net, q->w);

		mib[MIB_Ip_ReasmFails]++;
		mib[MIB_Ip_ReasmTimeout]++;
		tell_timeout(q, net);
	}
	fragq_kill(q, DROP_FRAG_REASM_TIMEOUT);
}

/* ---- finding a queue ---- */

static unsigned fragq_hash(const struct worker *w, const struct ip4_frags *f,
			   const struct ip4_hdr *ip)
{
	struct {
		uint64_t net;
		uint32_t saddr, daddr, id_proto, pad;
	} key = {(uintptr_t)f, ip->saddr, ip->daddr, (uint32_t)ip->id << 8 | ip->protocol, 0};

	return siphash(&key, sizeof(key), &w->key) % IP4_FRAG_HASH;
}

static struct fragq *fragq_find(struct worker *w, struct net *net, const struct ip4_hdr *ip)
{
	struct ip4_frags *f = net->ip4->frags;
	unsigned h = fragq_hash(w, f, ip);
	struct cds_list_head *bucket = &f->path->frag[w->id]->hash[h];
	uint64_t limit = (uint64_t)MAX(READ_ONCE(net->ip4->frag_high_thresh), 0);
	struct fragq *q;

	cds_list_for_each_entry (q, bucket, link)
		if (q->id == ip->id && q->saddr == ip->saddr && q->daddr == ip->daddr &&
		    q->proto == ip->protocol && q->frags == f)
			return q;
	if (!limit || __atomic_load_n(&f->mem, __ATOMIC_RELAXED) > limit)
		return NULL;
	struct pkt *self = pkt_new(w);

	if (!self)
		return NULL;
	q = (struct fragq *)self->buf;
	memset(q, 0, sizeof(*q));
	q->self = self;
	q->frags = f;
	q->w = w;
	q->saddr = ip->saddr;
	q->daddr = ip->daddr;
	q->id = ip->id;
	q->proto = ip->protocol;
	timer_init(&q->timer, fragq_timeout);
	timer_set(&w->wheel, &q->timer, w->now + net->ip4->frag_time);
	cds_list_add(&q->link, bucket);
	charge(q, PKT_ELEM_SIZE);
	__atomic_add_fetch(&f->n, 1, __ATOMIC_RELAXED);
	return q;
}

/* ---- one fragment ---- */

/* Blocks [from, to) of the map: 0 none is there, 1 all are, -1 some. */
static int blocks_state(const struct fragq *q, unsigned from, unsigned to)
{
	bool some = false, all = true;

	for (unsigned i = from; i < to;) {
		unsigned bit = i & 63, n = MIN(64 - bit, to - i);
		uint64_t mask = (n == 64 ? ~0ULL : (1ULL << n) - 1) << bit;
		uint64_t have = q->have[i / 64] & mask;

		some |= have != 0;
		all &= have == mask;
		i += n;
	}
	return all ? 1 : some ? -1 : 0;
}

static void blocks_set(struct fragq *q, unsigned from, unsigned to)
{
	for (unsigned i = from; i < to;) {
		unsigned bit = i & 63, n = MIN(64 - bit, to - i);

		q->have[i / 64] |= (n == 64 ? ~0ULL : (1ULL << n) - 1) << bit;
		i += n;
	}
}

/* Has the source sent more than max_dist others since this queue's last? Then the id may have come
 * round, and what is here belongs to an older datagram. */
static bool too_far(struct fragq *q, int max_dist)
{
	uint32_t *rid = q->frags->path->frag[q->w->id]->rid;
	uint32_t i = hash_u64((q->saddr ^ q->w->key.k[0]) + (uintptr_t)q->frags) % IP4_FRAG_SOURCES;
	uint32_t before = q->rid;

	if (max_dist <= 0)
		return false;
	q->rid = ++rid[i];
	return q->head && q->rid - before > (uint32_t)max_dist;
}

static void fragq_restart(struct fragq *q, uint64_t lifetime)
{
	size_t held = q->mem - PKT_ELEM_SIZE;

	fragq_free_packets(q, DROP_FRAG_TOO_FAR);
	__atomic_sub_fetch(&q->frags->mem, held, __ATOMIC_RELAXED);
	q->mem -= held;
	q->first_in = q->last_in = false;
	q->len = q->meat = q->max_size = q->max_df_size = 0;
	q->ecn = 0;
	memset(q->have, 0, sizeof(q->have));
	timer_set(&q->w->wheel, &q->timer, q->w->now + lifetime);
}

/* Does the end of this fragment fit what is known of the datagram's? */
static bool end_fits(struct fragq *q, uint32_t end, bool more)
{
	if (!more) {
		if (end < q->len || (q->last_in && end != q->len))
			return false;
		q->last_in = true;
		q->len = end;
	} else if (end > q->len) {
		if (q->last_in)
			return false;
		q->len = end;
	}
	return true;
}

enum verdict { FRAG_KEPT, FRAG_COMPLETE, FRAG_DUP, FRAG_BAD };

/* Takes p into the queue when the verdict is KEPT or COMPLETE. */
static enum verdict fragq_add(struct fragq *q, struct net *net, struct netdev *dev, struct pkt *p)
{
	const struct ip4_hdr *ip = pkt_l3(p);
	uint64_t *mib = ip4_mib(net, q->w);
	uint16_t frag = get_be16(&ip->frag_off);
	unsigned hlen = ip->ihl * 4;
	uint32_t offset = (frag & IP4_OFFSET) * 8u;
	uint32_t end = offset + p->total - hlen;
	bool more = frag & IP4_MF;

	if (more)
		end &= ~7u; /* only the last may have an odd length */
	if (end > 65535 || !end_fits(q, end, more) || end == offset)
		return FRAG_BAD;
	switch (blocks_state(q, offset / 8, (end + 7) / 8)) {
	case 1:
		return FRAG_DUP;
	case -1:
		mib[MIB_IpExt_ReasmOverlaps]++;
		return FRAG_BAD;
	}
	blocks_set(q, offset / 8, (end + 7) / 8);
	charge(q, pkt_mem(p));
	pkt_trim(&q->w->cache, p, hlen + end - offset);
	if (p->total > q->max_size)
		q->max_size = p->total;
	if ((frag & IP4_DF) && p->total > q->max_df_size)
		q->max_df_size = p->total;
	q->ecn |= (uint8_t)(1u << (ip->tos & 3));
	pkt_pull(p, hlen);
	p->cb[0] = offset;
	p->next = q->head;
	q->head = p;
	q->iif = dev->ifindex;
	q->meat += end - offset;
	if (!offset) {
		q->first_in = true;
		q->first = p;
	}
	return q->first_in && q->last_in && q->meat == q->len ? FRAG_COMPLETE : FRAG_KEPT;
}

/* ---- the whole ---- */

/* Merge sort by offset of a list linked by next. */
static struct pkt *sort_by_offset(struct pkt *p)
{
	struct pkt *half[2] = {NULL, NULL}, *out = NULL, **tail = &out;

	if (!p || !p->next)
		return p;
	for (unsigned i = 0; p; i ^= 1) {
		struct pkt *next = p->next;

		p->next = half[i];
		half[i] = p;
		p = next;
	}
	half[0] = sort_by_offset(half[0]);
	half[1] = sort_by_offset(half[1]);
	while (half[0] || half[1]) {
		unsigned i = !half[0] || (half[1] && half[1]->cb[0] < half[0]->cb[0]);

		*tail = half[i];
		tail = &half[i]->next;
		half[i] = *tail;
	}
	return out;
}

/* RFC 3168 5.3: what the whole says of congestion; false: the fragments contradict each other. */
static bool ecn_of_whole(uint8_t seen, uint8_t *mark)
{
	if ((seen & ECN_NOT_ECT) && seen != ECN_NOT_ECT)
		return false;
	*mark = (seen & ECN_CE) && seen != ECN_CE ? 3 : 0;
	return true;
}

/* Chains the fragments behind the first's header. NULL: impossible (all dropped). */
static struct pkt *fragq_join(struct fragq *q, uint64_t *mib)
{
	struct worker *w = q->w;
	struct pkt *head = sort_by_offset(q->head), *p, *last;
	unsigned hlen = (unsigned)(head->off - head->l3);
	uint8_t ce;

	q->head = head;
	if (!ecn_of_whole(q->ecn, &ce) || hlen + q->len > 65535 ||
	    !pkt_writable(&w->cache, head, 0)) {
		mib[MIB_Ip_ReasmFails]++;
		fragq_kill(q, DROP_FRAG_MALFORMED);
		return NULL;
	}
	pkt_push(head, hlen);
	for (last = head; last->seg;)
		last = last->seg;
	for (p = head->next; p; p = p->next) {
		last->seg = p;
		head->total += p->total;
		for (last = p; last->seg;)
			last = last->seg;
	}
	for (p = head; p; p = p->seg)
		p->next = NULL;

	struct ip4_hdr *ip = pkt_l3(head);
	/* All fragments that said DF were as large as any: so was the sender's wish for the whole.
	 */
	bool df = q->max_df_size == q->max_size;

	put_be16(&ip->tot_len, (uint16_t)head->total);
	put_be16(&ip->frag_off, df ? IP4_DF : 0);
	ip->tos |= ce;
	ip->check = 0;
	ip->check = csum_ip4(ip, ip->ihl);
	head->l4 = (uint16_t)(head->l3 + hlen);
	head->flags &= (uint16_t) ~(PKT_CSUM_OK | PKT_CSUM_PARTIAL);
	head->hash = 0;
	mib[MIB_Ip_ReasmOKs]++;
	q->head = NULL;
	fragq_end(q);
	return head;
}

struct pkt *ip4_reasm(struct worker *w, struct net *net, struct netdev *dev, struct pkt *p)
{
	enum stage prev = stage_enter(w, STAGE_IP4_REASM, 1);
	uint64_t *mib = ip4_mib(net, w);
	struct pkt *whole = NULL;
	struct fragq *q;

	mib[MIB_Ip_ReasmReqds]++;
	trace_pkt(w, p, "ip4-reasm");
	q = fragq_find(w, net, pkt_l3(p));
	if (!q) {
		mib[MIB_Ip_ReasmFails]++;
		pkt_drop(w, p, DROP_FRAG_MEM);
		goto out;
	}
	if (too_far(q, READ_ONCE(net->ip4->frag_max_dist))) {
		mib[MIB_Ip_ReasmFails]++;
		fragq_restart(q, net->ip4->frag_time);
	}
	switch (fragq_add(q, net, dev, p)) {
	case FRAG_KEPT:
		break;
	case FRAG_DUP:
		pkt_drop(w, p, DROP_FRAG_DUP);
		break;
	case FRAG_BAD:
		mib[MIB_Ip_ReasmFails]++;
		fragq_kill(q, DROP_FRAG_MALFORMED);
		pkt_drop(w, p, DROP_FRAG_MALFORMED);
		break;
	case FRAG_COMPLETE:
		whole = fragq_join(q, mib);
		if (whole)
			whole->dev = dev;
		break;
	}
out:
	stage_leave(w, prev);
	return whole;
}
