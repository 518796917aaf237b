/*
 * sock_queue: datagrams on their way to an application.
 *
 * The queue itself is worker 0's. Another worker charges the socket's rx_bytes, which is atomic,
 * and posts the datagram to worker 0. A record that stands for a packet lies in the packet's own
 * buffer where there is room behind the data, so that a worker on the fast path allocates nothing
 * else.
 *
 * A posted datagram holds the socket by `inflight`, because a grace period may end while it waits
 * in worker 0's inbox.
 */
#include <time.h>

#include <linux/errqueue.h>
#include <linux/net_tstamp.h>

#include "sock/sock_core.h"

/* A kernel buffer is cut from power-of-two slabs and brings two headers along. Programs size
 * SO_RCVBUF by that, so what is charged follows it. */
size_t sock_truesize(size_t len)
{
	size_t want = len + 64 + 320, slab = 512;

	while (slab < want && slab < 65536)
		slab *= 2;
	return MAX(slab, want) + 256;
}

size_t sock_rmem(const struct sock *sk)
{
	return __atomic_load_n(&sk->rx_bytes, __ATOMIC_RELAXED) + (sk->unread ? sk->unread(sk) : 0);
}

bool sock_has_room(const struct sock *sk)
{
	return __atomic_load_n(&sk->rx_bytes, __ATOMIC_RELAXED) <
	       READ_ONCE(((struct sock *)sk)->rcvbuf);
}

void sock_rx_meta(const struct worker *w, const struct sock *sk, struct sock_rx *rx)
{
	struct weft_dgram *m = &rx->meta;

	if (!m->tstamp)
		m->tstamp =
			rx->pkt && rx->pkt->tstamp ? rx->pkt->tstamp : w->now + (uint64_t)w->wall;
	if (sk->timestamp)
		m->cmsgs |= sk->timestampns ? WEFT_CMSG_TIMESTAMPNS : WEFT_CMSG_TIMESTAMP;
	if (sk->timestamping & SOF_TIMESTAMPING_SOFTWARE)
		m->cmsgs |= WEFT_CMSG_TIMESTAMPING;
	m->drops = (uint32_t)__atomic_load_n(&sk->rx_drops, __ATOMIC_RELAXED);
	if (sk->rxq_ovfl && m->drops)
		m->cmsgs |= WEFT_CMSG_RXQ_OVFL;
}

static void init_rx(struct sock_rx *rx, size_t len, size_t caplen)
{
	memset(rx, 0, sizeof(*rx));
	rx->meta.kind = WEFT_DGRAM_DATA;
	rx->len = len;
	rx->caplen = caplen;
	rx->truesize = sock_truesize(caplen);
}

struct sock_rx *sock_rx_pkt(struct sock *sk, struct pkt *p, size_t len)
{
	size_t room = align_up(sizeof(struct sock_rx), 16);
	size_t caplen = MIN(len, (size_t)p->total);
	struct sock_rx *rx;

	if (!p->seg && pkt_private(p) && p->len == p->total && pkt_tailroom(p) >= room + 16) {
		uintptr_t end = (uintptr_t)p->buf + PKT_BUF_SIZE - room;

		rx = (struct sock_rx *)(end & ~(uintptr_t)15);
		init_rx(rx, len, caplen);
		rx->embedded = true;
	} else {
		rx = malloc(sizeof(*rx));
		if (!rx)
			return NULL;
		init_rx(rx, len, caplen);
	}
	rx->pkt = p;
	return rx;
}

struct sock_rx *sock_rx_bytes(struct sock *sk, const void *data, size_t len)
{
	struct sock_rx *rx = malloc(sizeof(*rx) + len);

	if (!rx)
		return NULL;
	init_rx(rx, len, len);
	if (len && data)
		memcpy(rx->data, data, len);
	return rx;
}

struct sock_rx *sock_rx_sent(struct worker *w, struct sock *sk, struct pkt *p, uint8_t origin,
			     uint32_t err)
{
	struct sock_rx *rx = p ? sock_rx_pkt(sk, p, p->total) : NULL;

	if (!rx) {
		pkt_free(&w->cache, p);
		return NULL;
	}
	rx->meta.kind = WEFT_DGRAM_ERRQ;
	rx->meta.cmsgs = WEFT_CMSG_EXTERR;
	rx->meta.ee_origin = origin;
	rx->meta.ee_errno = err;
	return rx;
}

void sock_stamp(struct worker *w, struct sock *sk, struct pkt *p, uint32_t type, uint32_t key)
{
	struct sock_rx *rx = sock_rx_sent(w, sk, p, SO_EE_ORIGIN_TIMESTAMPING, ENOMSG);

	if (!rx)
		return;
	if (sk->timestamping & SOF_TIMESTAMPING_SOFTWARE)
		rx->meta.cmsgs |= WEFT_CMSG_TIMESTAMPING;
	rx->meta.tstamp = w->now + (uint64_t)w->wall;
	rx->meta.ee_info = type;
	if (sk->timestamping & SOF_TIMESTAMPING_OPT_ID)
		rx->meta.ee_data = key;
	sock_deliver(w, sk, rx);
}

void sock_rx_free(struct worker *w, struct sock_rx *rx)
{
	if (!rx)
		return;
	struct pkt *p = rx->pkt;

	if (!rx->embedded)
		free(rx);
	pkt_free(&w->cache, p);
}

static void enqueue(struct sock *sk, struct sock_rx *rx)
{
	rx->next = NULL;
	*sk->rx_tail = rx;
	sk->rx_tail = &rx->next;
	if (sk->wake)
		sk->wake(sk);
}

static void uncharge(struct sock *sk, const struct sock_rx *rx)
{
	__atomic_fetch_sub(&sk->rx_bytes, rx->truesize, __ATOMIC_RELAXED);
}

/* Worker 0: what another worker posted. cb: socket, record. */
static void posted(struct worker *w, struct pkt *p)
{
	struct sock *sk = (struct sock *)(uintptr_t)p->cb[0];
	struct sock_rx *rx = (struct sock_rx *)(uintptr_t)p->cb[1];

	if (sk->dead || (sk->shut & 1)) {
		uncharge(sk, rx);
		sock_rx_free(w, rx);
	} else {
		enqueue(sk, rx);
	}
	sock_drop_inflight(sk);
}

bool sock_deliver(struct worker *w, struct sock *sk, struct sock_rx *rx)
{
	if (!sock_has_room(sk)) {
		__atomic_fetch_add(&sk->rx_drops, 1, __ATOMIC_RELAXED);
		w->drops[DROP_SOCKET_RCVBUFF]++;
		if (rx->pkt)
			trace_pkt(w, rx->pkt, drop_name[DROP_SOCKET_RCVBUFF]);
		sock_rx_free(w, rx);
		return false;
	}
	__atomic_fetch_add(&sk->rx_bytes, rx->truesize, __ATOMIC_RELAXED);
	if (rx->pkt)
		trace_pkt(w, rx->pkt, "socket");
	if (likely(!w->id)) {
		if (sk->dead) {
			uncharge(sk, rx);
			sock_rx_free(w, rx);
			return false;
		}
		enqueue(sk, rx);
		return true;
	}
	/* Records without a packet are control's (netlink, error queues). */
	assert(rx->pkt);
	sock_hold_inflight(sk);
	rx->pkt->cb[0] = (uintptr_t)sk;
	rx->pkt->cb[1] = (uintptr_t)rx;
	worker_post(w->weft->worker[0], rx->pkt, posted);
	return true;
}

struct sock_rx *sock_dequeue(struct sock *sk)
{
	struct sock_rx *rx = sk->rx_head;

	if (!rx)
		return NULL;
	sk->rx_head = rx->next;
	if (!sk->rx_head)
		sk->rx_tail = &sk->rx_head;
	rx->next = NULL;
	uncharge(sk, rx);
	if (rx->meta.kind == WEFT_DGRAM_DATA)
		sk->stamp = rx->meta.tstamp;
	if (sk->ops->drained && !sk->dead)
		sk->ops->drained(sk);
	return rx;
}

void sock_requeue(struct sock *sk, struct sock_rx *rx)
{
	rx->next = sk->rx_head;
	sk->rx_head = rx;
	if (!rx->next)
		sk->rx_tail = &rx->next;
	__atomic_fetch_add(&sk->rx_bytes, rx->truesize, __ATOMIC_RELAXED);
}

/* ---- errors ---- */

void sock_error(struct sock *sk, int err)
{
	sk->error = err < 0 ? -err : err;
	if (sk->wake)
		sk->wake(sk);
}

int sock_take_error(struct sock *sk)
{
	int err = sk->error;

	sk->error = 0;
	return -err;
}

/* ---- filters ---- */

int sock_filter_new(const void *val, size_t len, struct cbpf **out)
{
	if (!len || len % sizeof(struct sock_filter) ||
	    len / sizeof(struct sock_filter) > BPF_MAXINSNS)
		return -EINVAL;
	return cbpf_new(val, (unsigned)(len / sizeof(struct sock_filter)), out);
}

struct lapsed_filter {
	struct rcu_head rcu;
	struct cbpf *filter;
};

static void filter_lapsed(struct rcu_head *head)
{
	struct lapsed_filter *l = container_of(head, struct lapsed_filter, rcu);

	cbpf_free(l->filter);
	free(l);
}

void sock_filter_free(struct cbpf *f)
{
	struct lapsed_filter *l = f ? malloc(sizeof(*l)) : NULL;

	if (l) {
		l->filter = f;
		call_rcu(&l->rcu, filter_lapsed);
	} else if (f) {
		synchronize_rcu();
		cbpf_free(f);
	}
}

uint32_t sock_filter(const struct sock *sk, const struct pkt *p, const struct netdev *dev)
{
	const struct cbpf *f = rcu_dereference(((struct sock *)sk)->filter);

	if (!f)
		return UINT32_MAX;
	return cbpf_run(f, p, dev ? dev->ifindex : 0, dev ? dev->type : 0);
}
