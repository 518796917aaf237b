/*
 * mem: rings between the stack and the program, and links between devices.
 *
 * A ring has one producer and one consumer, each with an index of its own that only grows; the
 * release store of an index publishes the slots before it.
 */
#include "drivers/mem/mem.h"

#include "run/instance.h"

struct mem_ring {
	uint32_t head __attribute__((aligned(CACHE_LINE))); /* consumer's */
	uint32_t tail __attribute__((aligned(CACHE_LINE))); /* producer's */
	struct pkt *p[MEM_RING];
};

struct mem_rxq {
	struct mem_ring ring;
	struct poller poller;
	struct netdev *dev;
	struct worker *worker;
};

struct mem {
	struct mem_rxq *rxq; /* [dev->num_rxq_max] */
	unsigned n_rxq;
	struct mem_ring *sent; /* [worker] */
	mem_xmit_fn *xmit;
	void *xmit_arg;
	struct netdev *peer; /* RCU */
};

/* ---- rings ---- */

/* The producer's. */
static uint32_t ring_room(const struct mem_ring *r)
{
	return MEM_RING - (r->tail - __atomic_load_n(&r->head, __ATOMIC_ACQUIRE));
}

static unsigned ring_push(struct mem_ring *r, struct pkt *const *p, unsigned n)
{
	uint32_t tail = r->tail, room = ring_room(r);

	n = MIN(n, room);
	for (unsigned i = 0; i < n; i++)
		r->p[(tail + i) % MEM_RING] = p[i];
	__atomic_store_n(&r->tail, tail + n, __ATOMIC_RELEASE);
	return n;
}

static unsigned ring_pop(struct mem_ring *r, struct batch *b, unsigned max)
{
	uint32_t head = r->head;
	uint32_t n = __atomic_load_n(&r->tail, __ATOMIC_ACQUIRE) - head;

	n = MIN(n, max);
	n = MIN(n, BATCH_MAX - b->n);
	for (unsigned i = 0; i < n; i++)
		batch_add(b, r->p[(head + i) % MEM_RING]);
	__atomic_store_n(&r->head, head + n, __ATOMIC_RELEASE);
	return n;
}

static void ring_purge(struct mem_ring *r, struct pool_cache *c)
{
	struct batch b;

	batch_init(&b);
	while (ring_pop(r, &b, BATCH_MAX))
		pkt_free_bulk(c, &b);
}

/* ---- in ---- */

static unsigned mem_poll(struct worker *w, struct poller *poller, unsigned budget)
{
	struct mem_rxq *q = container_of(poller, struct mem_rxq, poller);
	struct batch b;
	unsigned n;

	batch_init(&b);
	n = ring_pop(&q->ring, &b, budget);
	if (!n)
		return 0;
	enum stage prev = stage_enter(w, STAGE_DRIVER_RX, n);

	netdev_rx(w, q->dev, &b);
	stage_leave(w, prev);
	return n;
}

unsigned mem_inject(struct netdev *dev, unsigned queue, struct batch *b)
{
	struct mem *m = dev->priv;
	struct mem_rxq *q = &m->rxq[queue];

	for (unsigned i = 0; i < b->n; i++)
		b->p[i]->queue = (uint16_t)queue;
	unsigned n = ring_push(&q->ring, b->p, b->n);

	b->n -= n;
	memmove(b->p, b->p + n, b->n * sizeof(*b->p));
	worker_wake(q->worker);
	return n;
}

int mem_put(struct netdev *dev, unsigned queue, const void *frame, size_t len)
{
	struct mem *m = dev->priv;
	struct worker *w = m->rxq[queue].worker;
	struct pkt *p = pkt_new(w);
	struct batch b;
	int err;

	if (!p)
		return -ENOBUFS;
	err = pkt_append(&w->cache, p, frame, len);
	batch_one(&b, p);
	if (!err && !mem_inject(dev, queue, &b))
		err = -ENOBUFS;
	if (err)
		pkt_free(&w->cache, p);
	return err;
}

/* ---- out ---- */

/* What finds no room in the ring of its worker. */
static void drop_excess(struct worker *w, struct netdev *dev, struct mem_ring *r, struct batch *b)
{
	unsigned room = ring_room(r);

	for (unsigned i = room; i < b->n; i++) {
		dev_counter(dev, w)->tx_dropped++;
		pkt_drop(w, b->p[i], DROP_FULL_RING);
	}
	b->n = MIN(b->n, room);
}

/* To a device of another instance: the bytes, in a packet of that instance. */
static void wire_copy(struct worker *w, struct netdev *peer, struct batch *b)
{
	struct mem *m = peer->priv;
	unsigned queue = w->id % m->n_rxq;
	struct worker *to = m->rxq[queue].worker;

	for (unsigned i = 0; i < b->n; i++) {
		struct pkt *p = pkt_new(to);
		struct batch one;
		bool ok = p;

		for (const struct pkt *s = b->p[i]; ok && s; s = s->seg)
			ok = !pkt_append(&to->cache, p, pkt_data(s), s->len);
		batch_one(&one, p);
		if (!ok || !mem_inject(peer, queue, &one)) {
			dev_counter(peer, to)->rx_dropped++;
			pkt_free(&to->cache, p);
		}
	}
	pkt_free_bulk(&w->cache, b);
}

/* To a device of this one: the packets, as fresh as if they had come from outside. */
static void wire_move(struct worker *w, struct netdev *peer, struct batch *b)
{
	const struct mem *m = peer->priv;

	for (unsigned i = 0; i < b->n; i++) {
		struct pkt *p = b->p[i];

		p->dev = peer;
		p->queue = (uint16_t)(w->id % m->n_rxq);
		p->flags &= (uint16_t)(PKT_CLONE | PKT_SHARED | PKT_TRACE);
		p->mark = p->prio = p->hash = 0;
		p->tstamp = 0;
	}
	netdev_rx_later(w, b);
}

static void mem_xmit(struct worker *w, struct netdev *dev, struct batch *b)
{
	struct mem *m = dev->priv;
	struct netdev *peer = rcu_dereference(m->peer);
	struct dev_count *c = dev_counter(dev, w);
	uint64_t bytes = 0;

	if (!peer && !m->xmit)
		drop_excess(w, dev, &m->sent[w->id], b);
	for (unsigned i = 0; i < b->n; i++)
		bytes += b->p[i]->total;
	c->tx_packets += b->n;
	c->tx_bytes += bytes;
	if (peer && peer->weft == dev->weft)
		wire_move(w, peer, b);
	else if (peer)
		wire_copy(w, peer, b);
	else if (m->xmit)
		m->xmit(m->xmit_arg, w, dev, b);
	else
		ring_push(&m->sent[w->id], b->p, b->n);
	b->n = 0;
}

void mem_on_xmit(struct netdev *dev, mem_xmit_fn *fn, void *arg)
{
	struct mem *m = dev->priv;

	m->xmit = fn;
	m->xmit_arg = arg;
}

unsigned mem_collect(struct netdev *dev, unsigned worker, struct batch *b, unsigned max)
{
	struct mem *m = dev->priv;

	return ring_pop(&m->sent[worker], b, max);
}

size_t mem_take(struct netdev *dev, void *buf, size_t room)
{
	struct worker *w = dev->core->workers[0];
	struct batch b;
	size_t len;

	batch_init(&b);
	if (!mem_collect(dev, 0, &b, 1))
		return 0;
	pkt_copy_out(b.p[0], 0, buf, room);
	len = b.p[0]->total;
	pkt_free_bulk(&w->cache, &b);
	return len;
}

/* ---- links ---- */

int mem_link(struct netdev *a, struct netdev *b)
{
	struct mem *ma = a->priv, *mb = b->priv;

	if (a == b)
		return -EINVAL;
	if (ma->peer || mb->peer)
		return -EBUSY;
	rcu_assign_pointer(ma->peer, b);
	rcu_assign_pointer(mb->peer, a);
	return 0;
}

void mem_unlink(struct netdev *dev)
{
	struct mem *m = dev->priv;

	if (!m->peer)
		return;
	rcu_set_pointer(&((struct mem *)m->peer->priv)->peer, NULL);
	rcu_set_pointer(&m->peer, NULL);
}

/* ---- life ---- */

/* Queues belong to the workers with a thread of their own, in turn; without any, to control. */
static struct worker *queue_worker(const struct dev_core *core, unsigned queue)
{
	if (core->n_workers == 1)
		return core->workers[0];
	return core->workers[1 + queue % (core->n_workers - 1)];
}

static int mem_init(struct netdev *dev, struct extack *ext)
{
	struct mem *m = dev->priv;
	size_t rx = dev->num_rxq_max * sizeof(*m->rxq);
	size_t tx = dev->core->n_workers * sizeof(*m->sent);

	m->rxq = aligned_alloc(CACHE_LINE, rx);
	m->sent = aligned_alloc(CACHE_LINE, tx);
	if (!m->rxq || !m->sent) {
		free(m->rxq);
		free(m->sent);
		return -ENOMEM;
	}
	memset(m->rxq, 0, rx);
	memset(m->sent, 0, tx);
	m->n_rxq = dev->num_rxq_max;
	for (unsigned i = 0; i < m->n_rxq; i++) {
		m->rxq[i].dev = dev;
		m->rxq[i].poller.poll = mem_poll;
		m->rxq[i].worker = queue_worker(dev->core, i);
	}
	return 0;
}

static void mem_fini(struct netdev *dev)
{
	struct pool_cache *c = &dev->core->workers[0]->cache;
	struct mem *m = dev->priv;

	mem_unlink(dev);
	for (unsigned i = 0; i < m->n_rxq; i++)
		ring_purge(&m->rxq[i].ring, c);
	for (unsigned i = 0; i < dev->core->n_workers; i++)
		ring_purge(&m->sent[i], c);
	free(m->rxq);
	free(m->sent);
}

static void mem_stop(struct netdev *dev)
{
	struct mem *m = dev->priv;

	for (unsigned i = 0; i < m->n_rxq; i++)
		poller_detach(&m->rxq[i].poller);
}

static int mem_open(struct netdev *dev, struct extack *ext)
{
	struct mem *m = dev->priv;

	for (unsigned i = 0; i < m->n_rxq; i++) {
		int err = poller_attach(m->rxq[i].worker, &m->rxq[i].poller);

		if (err) {
			mem_stop(dev);
			return err;
		}
	}
	return 0;
}

static const struct netdev_ops mem_ops = {
	.init = mem_init,
	.fini = mem_fini,
	.open = mem_open,
	.stop = mem_stop,
	.xmit = mem_xmit,
};

static void mem_setup(struct netdev *dev)
{
	dev->features = DEV_F_LLTX;
	dev->max_mtu = ETH_MAX_MTU;
	netdev_random_address(dev);
}

const struct dev_kind mem_kind = {
	.name = "mem",
	.priv_size = sizeof(struct mem),
	.ops = &mem_ops,
	.setup = mem_setup,
};
