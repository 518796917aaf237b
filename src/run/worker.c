/*
 * worker: the round and the sleep.
 *
 * A sender that posts while the worker is about to sleep must not be missed: the worker raises
 * `sleeping`, then looks at its inbox once more; a sender posts, then looks at `sleeping`. Both
 * sides put a full barrier between (the exchange), so at least one of them sees the other. Those
 * who fill a ring that only a poller looks into leave `woken` behind instead of a message.
 */
#include "run/worker.h"

#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#define POLL_BUDGET    BATCH_MAX
#define BACKLOG_MAX    16384
#define BACKLOG_BUDGET 4096
#define INBOX_BUDGET   4096
#define TIMER_BUDGET   4096
#define FDS_EVERY      (100 * NSEC_PER_USEC) /* how long a busy worker leaves descriptors alone */
#define FDS_BATCH      64

uint64_t clock_mono(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * NSEC_PER_SEC + (uint64_t)ts.tv_nsec;
}

int64_t clock_wall_offset(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (int64_t)ts.tv_sec * (int64_t)NSEC_PER_SEC + ts.tv_nsec - (int64_t)clock_mono();
}

int worker_init(struct worker *w, unsigned id, struct weft *weft, struct pool *pool, uint64_t seed,
		uint64_t now)
{
	memset(w, 0, sizeof(*w));
	w->id = id;
	w->weft = weft;
	w->now = now;
	w->epfd = w->wakefd = -1;
	w->stage_t0 = cycles();
	pool_cache_init(&w->cache, pool);
	rng_seed(&w->rng, seed);
	pktq_init(&w->backlog);
	w->backlog_max = BACKLOG_MAX;
	w->backlog_budget = BACKLOG_BUDGET;
	wheel_init(&w->wheel, now);
	cds_wfcq_init(&w->inbox_head, &w->inbox_tail);
	cds_wfcq_init(&w->msg_head, &w->msg_tail);
	return 0;
}

static struct pkt *inbox_pop(struct worker *w)
{
	struct cds_wfcq_node *n = __cds_wfcq_dequeue_blocking(&w->inbox_head, &w->inbox_tail);

	return n ? container_of(n, struct pkt, inbox) : NULL;
}

void worker_fini(struct worker *w)
{
	struct pkt *p;

	while ((p = inbox_pop(w)))
		pkt_free(&w->cache, p);
	while ((p = pktq_pop(&w->backlog)))
		pkt_free(&w->cache, p);
	pool_cache_fini(&w->cache);
	free(w->pollers);
	free(w->trace);
	if (w->epfd >= 0)
		close(w->epfd);
	if (w->wakefd >= 0)
		close(w->wakefd);
}

static bool run_msg(struct worker *w)
{
	struct cds_wfcq_node *n = __cds_wfcq_dequeue_blocking(&w->msg_head, &w->msg_tail);

	if (!n)
		return false;
	struct worker_msg *m = container_of(n, struct worker_msg, node);
	m->fn(w, m);
	return true;
}

void worker_deliver(struct worker *w)
{
	while (run_msg(w))
		;
}

static unsigned run_inbox(struct worker *w)
{
	unsigned n = 0;

	while (n < INBOX_BUDGET && run_msg(w))
		n++;
	for (; n < INBOX_BUDGET; n++) {
		struct pkt *p = inbox_pop(w);
		if (!p)
			break;
		p->next = NULL;
		p->post(w, p);
	}
	return n;
}

static unsigned run_pollers(struct worker *w)
{
	struct poller **list = rcu_dereference(w->pollers);
	unsigned n = 0;

	for (struct poller **at = list; at && *at; at++) {
		n += (*at)->poll(w, *at, POLL_BUDGET);
		/* on control a poller's work may have changed the list: the rest comes next round
		 */
		if (unlikely(READ_ONCE(w->pollers) != list))
			return n + 1;
	}
	return n;
}

/* What was done outside of any stage since t0 belongs to the first stage, if anything was done. */
static void account(struct worker *w, uint64_t t0, unsigned n)
{
	if (!n)
		return;
	w->stages[STAGE_IDLE].calls++;
	w->stages[STAGE_IDLE].packets += n;
	stage_mark(w);
	if (w->count_cycles)
		w->busy_cycles += w->stage_t0 - t0;
}

unsigned worker_step(struct worker *w, uint64_t now)
{
	uint64_t t0 = w->count_cycles ? cycles() : 0;
	unsigned n = 0;

	w->now = now;
	w->stage_t0 = t0;
	n += run_inbox(w);
	n += run_pollers(w);
	if (w->backlog.n) {
		n += w->backlog.n;
		w->backlog_run(w, (unsigned)READ_ONCE(w->backlog_budget));
	}
	n += wheel_run(&w->wheel, now, TIMER_BUDGET);
	w->n_steps++;
	account(w, t0, n);
	return n;
}

static bool has_work(struct worker *w)
{
	return w->backlog.n || !cds_wfcq_empty(&w->inbox_head, &w->inbox_tail) ||
	       !cds_wfcq_empty(&w->msg_head, &w->msg_tail);
}

uint64_t worker_next(const struct worker *w)
{
	return w->backlog.n ? w->now : wheel_next(&w->wheel);
}

/* ---- pollers ---- */

static unsigned n_pollers(const struct worker *w)
{
	unsigned n = 0;

	while (w->pollers && w->pollers[n])
		n++;
	return n;
}

int poller_attach(struct worker *w, struct poller *p)
{
	unsigned n = n_pollers(w);
	struct poller **old = w->pollers, **new = calloc(n + 2, sizeof(*new));

	if (!new)
		return -ENOMEM;
	if (n)
		memcpy(new, old, n * sizeof(*new));
	new[n] = p;
	p->worker = w;
	rcu_assign_pointer(w->pollers, new);
	rcu_free(old);
	worker_wake(w);
	return 0;
}

/* Without memory for a shorter list: in place. A worker in it may poll one of them twice. */
static void close_gap(struct poller **list, const struct poller *p)
{
	while (*list && *list != p)
		list++;
	for (; *list; list++)
		WRITE_ONCE(*list, list[1]);
}

void poller_detach(struct poller *p)
{
	struct worker *w = p->worker;

	if (!w)
		return;
	/* a shorter list; the old one is free once no worker can be in it */
	struct poller **new = NULL, **old = w->pollers;
	unsigned n = n_pollers(w), k = 0;
	if (n > 1)
		new = calloc(n, sizeof(*new));
	if (n > 1 && !new) {
		close_gap(old, p);
		new = old;
		goto wait;
	}
	for (unsigned i = 0; new &&i < n; i++)
		if (old[i] != p)
			new[k++] = old[i];
	rcu_assign_pointer(w->pollers, new);
wait:
	synchronize_rcu();
	if (new != old)
		rcu_free(old);
	p->worker = NULL;
}

/* ---- descriptors ---- */

int worker_open_fds(struct worker *w)
{
	if (w->epfd >= 0)
		return 0;
	w->epfd = epoll_create1(EPOLL_CLOEXEC);
	w->wakefd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	struct epoll_event e = {.events = EPOLLIN, .data.ptr = NULL};
	if (w->epfd < 0 || w->wakefd < 0 || epoll_ctl(w->epfd, EPOLL_CTL_ADD, w->wakefd, &e))
		return -errno;
	return 0;
}

int worker_fd_add(struct worker *w, struct worker_fd *f, uint32_t epoll_events)
{
	struct epoll_event e = {.events = epoll_events, .data.ptr = f};

	return epoll_ctl(w->epfd, EPOLL_CTL_ADD, f->fd, &e) ? -errno : 0;
}

int worker_fd_mod(struct worker *w, struct worker_fd *f, uint32_t epoll_events)
{
	struct epoll_event e = {.events = epoll_events, .data.ptr = f};

	return epoll_ctl(w->epfd, EPOLL_CTL_MOD, f->fd, &e) ? -errno : 0;
}

void worker_fd_del(struct worker *w, struct worker_fd *f)
{
	epoll_ctl(w->epfd, EPOLL_CTL_DEL, f->fd, NULL);
	if (w->id) {
		/* another thread's set: it fetches and runs events between two quiescent states */
		synchronize_rcu();
		return;
	}
	/* an event of f may wait behind the one whose function calls here */
	for (int i = 0; i < w->n_ready; i++)
		if (w->ready[i].data.ptr == f)
			w->ready[i].events = 0;
}

unsigned worker_run_fds(struct worker *w)
{
	struct epoll_event ev[FDS_BATCH];
	uint64_t t0 = w->count_cycles ? cycles() : 0;
	unsigned done = 0;
	int n = epoll_wait(w->epfd, ev, FDS_BATCH, 0);

	if (n <= 0)
		return 0;
	w->stage_t0 = t0; /* the time asleep is nobody's */
	w->ready = ev;
	w->n_ready = n;
	for (int i = 0; i < n; i++) {
		struct worker_fd *f = ev[i].data.ptr;
		if (!ev[i].events)
			continue;
		if (f) {
			w->n_calls += !f->rx;
			f->ready(w, f, ev[i].events);
			done++;
		} else {
			uint64_t count;
			ssize_t got = read(w->wakefd, &count, sizeof(count));
			(void)got; /* another round may have emptied it */
		}
	}
	w->ready = NULL;
	w->n_ready = 0;
	account(w, t0, done);
	return done;
}

int rx_queue_start(struct worker *w, struct rx_queue *q)
{
	int err = w->id ? worker_open_fds(w) : 0;

	if (err)
		return err;
	q->wfd.rx = true;
	q->watched = false;
	err = poller_attach(w, &q->poller);
	if (err || w->epfd < 0)
		return err;
	err = worker_fd_add(w, &q->wfd, EPOLLIN);
	q->watched = !err;
	if (err)
		poller_detach(&q->poller);
	return err;
}

void rx_queue_stop(struct rx_queue *q)
{
	if (q->watched)
		worker_fd_del(q->poller.worker, &q->wfd);
	q->watched = false;
	poller_detach(&q->poller);
}

void worker_wake(struct worker *w)
{
	__atomic_store_n(&w->woken, 1, __ATOMIC_SEQ_CST);
	if (__atomic_exchange_n(&w->sleeping, 0, __ATOMIC_SEQ_CST) && w->wakefd >= 0) {
		uint64_t one = 1;
		ssize_t n = write(w->wakefd, &one, sizeof(one));
		(void)n; /* a full counter wakes as well */
	}
}

/* Waits, with RCU offline, until the epoll set has something; what it has is fetched by the caller
 * when online again, so that worker_fd_del() can wait for it. */
static void wait_ready(struct worker *w, uint64_t until)
{
	struct pollfd set = {.fd = w->epfd, .events = POLLIN};
	struct timespec ts, *limit = NULL;

	if (until != UINT64_MAX) {
		uint64_t now = clock_mono();
		if (until <= now)
			return;
		ts.tv_sec = (time_t)((until - now) / NSEC_PER_SEC);
		ts.tv_nsec = (long)((until - now) % NSEC_PER_SEC);
		limit = &ts;
	}
	w->n_sleeps++;
	rcu_thread_offline();
	ppoll(&set, 1, limit, NULL);
	rcu_thread_online();
}

void worker_sleep(struct worker *w, uint64_t until)
{
	if (w->epfd >= 0) {
		__atomic_exchange_n(&w->sleeping, 1, __ATOMIC_SEQ_CST);
		if (!__atomic_exchange_n(&w->woken, 0, __ATOMIC_SEQ_CST) && !has_work(w) &&
		    !__atomic_load_n(&w->stop, __ATOMIC_SEQ_CST))
			wait_ready(w, until);
		__atomic_store_n(&w->sleeping, 0, __ATOMIC_SEQ_CST);
	}
	w->now = clock_mono();
	if (w->epfd >= 0)
		worker_run_fds(w);
}

void worker_loop(struct worker *w, uint64_t spin_ns)
{
	uint64_t last = clock_mono(), fds = last;

	rcu_register_thread();
	while (!__atomic_load_n(&w->stop, __ATOMIC_ACQUIRE)) {
		uint64_t now = clock_mono();
		unsigned n = worker_step(w, now);
		rcu_quiescent_state();
		if (n)
			last = now;
		else if (now - last >= spin_ns) {
			worker_sleep(w, worker_next(w));
			fds = w->now;
			continue;
		}
		/* traffic that never ends, or a long spin, must not shut out the descriptors */
		if (w->epfd >= 0 && now - fds >= FDS_EVERY) {
			fds = now;
			worker_run_fds(w);
		}
	}
	rcu_unregister_thread();
}

/* ---- between workers ---- */

void worker_post(struct worker *to, struct pkt *p, void (*fn)(struct worker *, struct pkt *))
{
	p->post = fn;
	cds_wfcq_node_init(&p->inbox);
	cds_wfcq_enqueue(&to->inbox_head, &to->inbox_tail, &p->inbox);
	worker_wake(to);
}

void worker_post_msg(struct worker *to, struct worker_msg *m)
{
	cds_wfcq_node_init(&m->node);
	cds_wfcq_enqueue(&to->msg_head, &to->msg_tail, &m->node);
	worker_wake(to);
}
