/*
 * ip4_frag: cutting a datagram into fragments (RFC 791 3.2), and the state of reassembly of a
 * namespace (ip4_reasm.c has its workings).
 */
#include "ip/ip4_path.h"
#include "ip/ip4_reasm.h"

/* What a fragment inherits besides its bytes. */
static void copy_meta(struct pkt *f, const struct pkt *p)
{
	f->dev = p->dev;
	f->protocol = p->protocol;
	f->hash = p->hash;
	f->flags = p->flags & (PKT_LOCAL | PKT_TRACE | PKT_REINJECT);
	f->type = p->type;
	f->mark = p->mark;
	f->prio = p->prio;
	f->tstamp = p->tstamp;
	f->queue = p->queue;
}

/* Appends len bytes from offset `at` of p to f. */
static bool append_from(struct worker *w, struct pkt *f, const struct pkt *p, size_t at, size_t len)
{
	uint8_t piece[1024];

	while (len) {
		size_t n = MIN(len, sizeof(piece));

		if (pkt_copy_out(p, at, piece, n) != n || pkt_append(&w->cache, f, piece, n))
			return false;
		at += n;
		len -= n;
	}
	return true;
}

static struct pkt *make_fragment(struct worker *w, const struct pkt *p, const uint8_t *hdr,
				 unsigned hlen, size_t at, size_t len)
{
	struct pkt *f = pkt_new(w);

	if (!f)
		return NULL;
	if (pkt_append(&w->cache, f, hdr, hlen) || !append_from(w, f, p, hlen + at, len)) {
		pkt_free(&w->cache, f);
		return NULL;
	}
	copy_meta(f, p);
	f->l3 = f->off;
	f->l4 = (uint16_t)(f->off + hlen);
	return f;
}

int ip4_fragment(struct worker *w, struct pkt *p, uint32_t mtu, struct pkt_queue *out)
{
	uint8_t hdr[60];
	struct ip4_hdr *ip = (struct ip4_hdr *)hdr;
	struct pkt_queue made;
	struct pkt *f;
	int err = -EINVAL;

	pktq_init(&made);
	if ((p->flags & PKT_CSUM_PARTIAL) && !pkt_csum_finish(&w->cache, p))
		goto fail;
	if (!pkt_may_pull(&w->cache, p, sizeof(*ip)))
		goto fail;
	unsigned hlen = (pkt_data(p)[0] & 15) * 4;

	if (hlen < sizeof(*ip) || mtu < hlen + 8 || pkt_copy_out(p, 0, hdr, hlen) != hlen)
		goto fail;
	uint16_t frag = get_be16(&ip->frag_off);
	unsigned first = (frag & IP4_OFFSET) * 8;
	size_t left = p->total - hlen, at = 0, room = (mtu - hlen) & ~7u;

	/* Only a whole datagram may have DF here: who asked for it said so. */
	while (left) {
		/* A piece that is last may be as long as the MTU allows. */
		size_t len = left <= mtu - hlen ? left : room;
		bool more = left > len || (frag & IP4_MF);

		put_be16(&ip->frag_off,
			 (uint16_t)((frag & IP4_DF) | (more ? IP4_MF : 0) | (first + at) / 8));
		put_be16(&ip->tot_len, (uint16_t)(hlen + len));
		ip->check = 0;
		ip->check = csum_ip4(ip, ip->ihl);
		f = make_fragment(w, p, hdr, hlen, at, len);
		if (!f) {
			err = -ENOBUFS;
			goto fail;
		}
		pktq_push(&made, f);
		if (!at)
			ip4_options_fragment(hdr);
		at += len;
		left -= len;
	}
	pkt_free(&w->cache, p);
	while ((f = pktq_pop(&made)))
		pktq_push(out, f);
	return 0;
fail:
	while ((f = pktq_pop(&made)))
		pkt_free(&w->cache, f);
	pkt_drop(w, p, err == -ENOBUFS ? DROP_NOMEM : DROP_PKT_TOO_BIG);
	return err;
}

/* ---- the namespace's part ---- */

int ip4_frag_net_init(struct net *net)
{
	struct weft *weft = net->weft;
	struct ip4_frags *f = calloc(1, sizeof(*f));

	if (!f)
		return -ENOMEM;
	f->msg = calloc(weft->n_workers, sizeof(*f->msg));
	if (!f->msg) {
		free(f);
		return -ENOMEM;
	}
	f->net = net;
	f->path = ip4_core(net)->path;
	f->refs = 1;
	net->ip4->frags = f;
	return 0;
}

void ip4_frag_net_fini(struct net *net)
{
	struct ip4_frags *f = net->ip4->frags;
	struct weft *weft = net->weft;

	if (!f)
		return;
	/* From here on no worker touches the namespace over a queue; each throws its own away. */
	WRITE_ONCE(f->net, NULL);
	for (unsigned i = 1; i < weft->n_workers; i++) {
		f->msg[i].frags = f;
		f->msg[i].msg.fn = ip4_reasm_purge_msg;
		__atomic_add_fetch(&f->refs, 1, __ATOMIC_RELAXED);
		worker_post_msg(weft->worker[i], &f->msg[i].msg);
	}
	ip4_reasm_purge(weft->worker[0], f);
	net->ip4->frags = NULL;
	ip4_frags_put(f);
}

void ip4_frags_put(struct ip4_frags *f)
{
	if (__atomic_sub_fetch(&f->refs, 1, __ATOMIC_ACQ_REL))
		return;
	free(f->msg);
	free(f);
}

void ip4_frag_use(const struct net *net, unsigned *n, uint64_t *mem)
{
	const struct ip4_frags *f = net->ip4->frags;

	*n = __atomic_load_n(&f->n, __ATOMIC_RELAXED);
	*mem = __atomic_load_n(&f->mem, __ATOMIC_RELAXED);
}
