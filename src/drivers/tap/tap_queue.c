/* tap_queue: reading and writing frames. See tap.h for who reads what. */
#include <sys/epoll.h>
#include <sys/uio.h>
#include <unistd.h>

#include "drivers/tap/tap.h"
#include "pkt/flowkey.h"
#include "run/instance.h"

#define IDLE  64  /* empty reads in a row, then epoll watches */
#define N_IOV 128 /* segments in one write; a longer chain is copied together */

static bool is_gone(int err)
{
	return err == EBADFD || err == ENODEV || err == ENXIO;
}

/* ---- in ---- */

/* Has the queue room for the largest packet? Fills up what the last one used. */
static bool refill(struct worker *w, struct tap_queue *q)
{
	for (unsigned i = 0; i < TAP_SEGS && !q->spare[i]; i++) {
		q->spare[i] = pkt_new(w);
		if (unlikely(!q->spare[i]))
			return false;
		q->spare[i]->off = i ? 0 : PKT_HEADROOM;
	}
	return true;
}

static size_t room_of(unsigned i)
{
	return i ? PKT_BUF_SIZE : PKT_MAX_SEG;
}

/* Makes the first `len` bytes of the spare segments a packet. */
static struct pkt *take(struct tap_queue *q, size_t len)
{
	struct pkt *p = q->spare[0], *last = NULL;

	p->total = (uint32_t)len;
	for (unsigned i = 0; i == 0 || len; i++) {
		struct pkt *s = q->spare[i];
		size_t n = MIN(len, room_of(i));
		q->spare[i] = NULL;
		s->len = (uint16_t)n;
		if (last) {
			s->total = s->len;
			last->seg = s;
		}
		last = s;
		len -= n;
	}
	p->queue = (uint16_t)q->index;
	return p;
}

/* One frame: 1, with *p NULL if it had to be dropped; 0: none, or the host's end is gone. */
static unsigned read_frame(struct worker *w, struct tap_queue *q, struct pkt **p)
{
	struct dev_count *c = dev_counter(q->dev, w);
	struct iovec iov[1 + TAP_SEGS] = {{&q->hdr, sizeof(q->hdr)}};
	bool room = refill(w, q);
	int n_iov = 1;

	for (unsigned i = 0; room && i < TAP_SEGS; i++)
		iov[n_iov++] = (struct iovec){pkt_data(q->spare[i]), room_of(i)};
	ssize_t n = readv(q->rx.wfd.fd, iov, n_iov);
	*p = NULL;
	if (n < 0) {
		/* the last two while it is being deleted; EIO of a write means only that it is down
		 */
		if (is_gone(errno) || errno == EIO || errno == EFAULT)
			tap_lost(q->dev);
		return 0;
	}
	if (unlikely(!room)) {
		c->rx_dropped++;
		w->drops[DROP_NOMEM]++;
		return 1;
	}
	if (n <= (ssize_t)sizeof(q->hdr))
		return 1;
	*p = take(q, (size_t)n - sizeof(q->hdr));
	if (unlikely(!tap_vnet_in(&q->hdr, *p))) {
		c->rx_errors++;
		c->rx_frame_errors++;
		pkt_drop(w, *p, DROP_VNET_HDR);
		*p = NULL;
	}
	return 1;
}

static unsigned queue_poll(struct worker *w, struct poller *poller, unsigned budget)
{
	struct tap_queue *q = container_of(poller, struct tap_queue, rx.poller);
	unsigned n = 0;
	struct batch b;
	struct pkt *p;

	if (q->empty >= IDLE && q->rx.watched)
		return 0;
	enum stage prev = stage_enter(w, STAGE_DRIVER_RX, 0);
	batch_init(&b);
	for (budget = MIN(budget, (unsigned)BATCH_MAX); n < budget && read_frame(w, q, &p); n++)
		if (likely(p))
			batch_add(&b, p);
	if (!n) {
		q->empty++;
		stage_cancel(w, prev);
		return 0;
	}
	q->empty = 0;
	q->rx_packets += b.n;
	w->stages[STAGE_DRIVER_RX].packets += n;
	if (b.n)
		netdev_rx(w, q->dev, &b);
	stage_leave(w, prev);
	return n;
}

static void queue_ready(struct worker *w, struct worker_fd *f, uint32_t events)
{
	struct tap_queue *q = container_of(f, struct tap_queue, rx.wfd);

	q->empty = 0;
	if (events & EPOLLERR)
		tap_lost(q->dev);
}

/* ---- out ---- */

/* A queue of the worker's own, always the same for a flow. */
static struct tap_queue *queue_for(struct worker *w, struct tap_dev *t, struct pkt *p)
{
	unsigned threads = w->weft->n_workers - 1;
	unsigned first = w->id ? (w->id - 1) % t->n : 0;
	unsigned step = w->id ? threads : 1;
	unsigned own = (t->n - first + step - 1) / step;

	if (own <= 1)
		return &t->q[first];
	if (!p->hash && p->l3)
		pkt_flow_hash(p, &w->key);
	return &t->q[first + step * (unsigned)((uint64_t)p->hash * own >> 32)];
}

static int write_frame(struct worker *w, struct tap_queue *q, const struct pkt *p)
{
	struct virtio_net_hdr hdr;
	struct iovec iov[N_IOV] = {{&hdr, sizeof(hdr)}};
	int n = 1;

	tap_vnet_out(p, &hdr);
	for (const struct pkt *s = p; s; s = s->seg) {
		if (n == N_IOV)
			return -E2BIG;
		iov[n++] = (struct iovec){pkt_data(s), s->len};
	}
	return writev(q->rx.wfd.fd, iov, n) < 0 ? -errno : 0;
}

static void write_failed(struct worker *w, struct netdev *dev, int err)
{
	struct dev_count *c = dev_counter(dev, w);

	switch (-err) {
	case EAGAIN:
	case ENOBUFS:
	case ENOMEM:
		c->tx_dropped++;
		w->drops[DROP_DEV_READY]++;
		return;
	case EIO: /* the host's end is down */
		c->tx_errors++;
		c->tx_carrier_errors++;
		break;
	default:
		c->tx_errors++;
		if (is_gone(-err))
			tap_lost(dev);
	}
	w->drops[DROP_TAP_TXFILTER]++;
}

void tap_xmit(struct worker *w, struct netdev *dev, struct batch *b)
{
	struct dev_count *c = dev_counter(dev, w);
	struct tap_dev *t = dev->priv;

	for (unsigned i = 0; i < b->n; i++) {
		struct pkt *p = b->p[i];
		struct tap_queue *q = queue_for(w, t, p);
		int err = write_frame(w, q, p);

		if (unlikely(err == -E2BIG)) {
			struct pkt *flat = pkt_copy(&w->cache, p, p->off);
			err = flat ? write_frame(w, q, flat) : -ENOMEM;
			pkt_free(&w->cache, flat);
		}
		if (likely(!err)) {
			c->tx_packets++;
			c->tx_bytes += p->total;
			__atomic_fetch_add(&q->tx_packets, 1, __ATOMIC_RELAXED);
		} else {
			write_failed(w, dev, err);
		}
	}
	pkt_free_bulk(&w->cache, b);
}

/* ---- the host's end is gone ---- */

static void lost(struct worker *w, struct worker_msg *m)
{
	struct tap_news *news = container_of(m, struct tap_news, msg);
	struct netdev *dev = news->dev;

	if (!dev) {
		free(news);
		return;
	}
	__atomic_store_n(&news->under_way, 0, __ATOMIC_RELEASE);
	struct tap_dev *t = dev->priv;
	if (!t->attached)
		return;
	netdev_set_carrier(dev, false);
	tap_queues_stop(t);
	synchronize_rcu(); /* a worker may be writing */
	tap_host_close(t);
}

void tap_lost(struct netdev *dev)
{
	struct tap_dev *t = dev->priv;

	if (__atomic_exchange_n(&t->news->under_way, 1, __ATOMIC_ACQ_REL))
		return;
	t->news->msg.fn = lost;
	worker_post_msg(dev->core->workers[0], &t->news->msg);
}

/* ---- start and stop ---- */

static int queue_start(struct tap_queue *q)
{
	q->empty = 0;
	q->rx.wfd.ready = queue_ready;
	q->rx.poller.poll = queue_poll;
	return rx_queue_start(q->worker, &q->rx);
}

int tap_queues_start(struct tap_dev *t)
{
	int err = 0;

	for (unsigned i = 0; i < t->n && !err; i++)
		err = queue_start(&t->q[i]);
	if (err)
		tap_queues_stop(t);
	return err;
}

void tap_queues_stop(struct tap_dev *t)
{
	for (unsigned i = 0; i < t->n; i++)
		rx_queue_stop(&t->q[i].rx);
	/* nobody reads: the packets are control's now */
	for (unsigned i = 0; i < t->n; i++) {
		for (unsigned k = 0; k < TAP_SEGS; k++) {
			struct worker *w = t->q[i].dev->core->workers[0];
			pkt_free(&w->cache, t->q[i].spare[k]);
			t->q[i].spare[k] = NULL;
		}
	}
}
