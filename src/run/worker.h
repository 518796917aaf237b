/*
 * worker: one thread of packet work, as a thing that is stepped.
 *
 * A worker owns: a packet cache, a timer wheel, its pollers (receive queues), a backlog of frames
 * that virtual devices looped back, an inbox from other workers, its counters. worker_step(now)
 * does one round: inbox, pollers, backlog, timers; it never blocks and never reads a clock.
 *
 * Worker 0 belongs to the control thread: everything that configures runs there, and so do the slow
 * paths (neighbour resolution, ICMP errors to sockets, application ends). An instance with no
 * worker threads does all its work on worker 0. Workers 1..n have a thread each (worker_loop) and
 * do only fast-path work; what they cannot decide they post to worker 0 (worker_post).
 *
 * Threads: all functions are for the worker's own thread unless they say otherwise.
 */
#pragma once

#include <urcu/list.h>
#include <urcu/wfcqueue.h>

#include "base/rand.h"
#include "base/rcu.h"
#include "base/util.h"
#include "base/wheel.h"
#include "pkt/batch.h"
#include "pkt/pool.h"

struct epoll_event;
struct weft;
struct stats_trace;

enum stage {
#define STAGE(name, text) STAGE_##name,
#include "run/stage.def"
#undef STAGE
	N_STAGES
};

enum drop {
#define DROP(name, text) DROP_##name,
#include "run/drop.def"
#undef DROP
	N_DROPS
};

extern const char *const stage_name[N_STAGES]; /* "ip4-input" */
extern const char *const drop_name[N_DROPS];   /* "IP_CSUM" */
extern const char *const drop_text[N_DROPS];   /* "IPv4 header checksum wrong" */

#define WORKERS_MAX 64

struct stage_count {
	uint64_t calls, packets, cycles;
};

/* A receive queue, or anything else to be polled once a step. */
struct poller {
	/* Does up to `budget` packets of work; returns how many. */
	unsigned (*poll)(struct worker *w, struct poller *p, unsigned budget);
	struct worker *worker; /* set while attached */
};

/* A descriptor that wakes a sleeping worker. */
struct worker_fd {
	int fd;
	void (*ready)(struct worker *w, struct worker_fd *f, uint32_t epoll_events);
	bool rx; /* of a receive queue: frames come in, nobody waits for an answer */
};

/* A receive queue: polled while there is work; while its worker sleeps, its descriptor is watched.
 * The owner sets poller.poll, wfd.fd and wfd.ready. */
struct rx_queue {
	struct poller poller;
	struct worker_fd wfd;
	bool watched; /* the worker has an epoll set, and the descriptor is in it */
};

/* A message to another worker; the memory is the sender's until fn runs on the receiver. */
struct worker_msg {
	struct cds_wfcq_node node;
	void (*fn)(struct worker *w, struct worker_msg *m);
};

struct worker {
	unsigned id;
	struct weft *weft;
	uint64_t now; /* monotonic ns of this step */
	int64_t wall; /* add to now for ns since 1970 */
	struct pool_cache cache;
	struct rng rng;
	struct hash_key key; /* the instance's */

	/* stage accounting: cycles go to the innermost stage */
	bool count_cycles; /* weft_config's */
	uint64_t stage_t0;
	enum stage stage_cur;
	struct stage_count stages[N_STAGES];
	uint64_t drops[N_DROPS];
	struct stats_trace *trace; /* NULL: nobody traces */

	struct pkt_queue backlog; /* frames for netdev_backlog_run(), p->dev is the receiver */
	void (*backlog_run)(struct worker *w, unsigned budget);
	int backlog_max;    /* frames it holds: net.core.netdev_max_backlog */
	int backlog_budget; /* frames it gives in a step: net.core.netdev_budget */

	struct wheel wheel;
	struct poller **pollers; /* RCU array, NULL-terminated; NULL: none */

	struct __attribute__((aligned(CACHE_LINE))) {
		struct cds_wfcq_tail inbox_tail;
	};
	struct __attribute__((aligned(CACHE_LINE))) {
		struct cds_wfcq_head inbox_head; /* packets */
	};
	struct cds_wfcq_tail msg_tail;
	struct cds_wfcq_head msg_head;
	int sleeping;	  /* atomic */
	int woken;	  /* atomic: worker_wake() came since the last sleep */
	int stop;	  /* atomic */
	int epfd, wakefd; /* -1 until worker_open_fds() */
	/* events being delivered, so that worker_fd_del() can withdraw those that wait */
	struct epoll_event *ready;
	int n_ready;
	uint64_t n_steps, n_sleeps, busy_cycles;
	uint64_t n_calls; /* descriptors that were ready, but for receive queues' */
};

/* Borrows pool and weft; seed drives the worker's rng. 0 or -errno. */
int worker_init(struct worker *w, unsigned id, struct weft *weft, struct pool *pool, uint64_t seed,
		uint64_t now);
/* Frees what it still holds (backlog, inbox); no poller, fd or timer may be left. */
void worker_fini(struct worker *w);

/* One round at time now; returns the packets and timers it handled (0: nothing to do). */
unsigned worker_step(struct worker *w, uint64_t now);
/* When to step again if nothing arrives; UINT64_MAX: not before an event. */
uint64_t worker_next(const struct worker *w);

/* Attaches and detaches a poller. Control thread; detach returns when the worker can no longer be
 * in its poll function. */
int poller_attach(struct worker *w, struct poller *p);
void poller_detach(struct poller *p);
/* The same with the descriptor; a worker that is only stepped watches nothing. 0 or -errno, and
 * then nothing is attached. Stopping one that was not started is fine. */
int rx_queue_start(struct worker *w, struct rx_queue *q);
void rx_queue_stop(struct rx_queue *q);

/* Makes the epoll set and the wake descriptor. A worker that is only stepped needs none. */
int worker_open_fds(struct worker *w);
/* Watches f->fd (EPOLLIN | ...). Control thread; f stays until worker_fd_del, after which its
 * function is not called any more, even for an event that has been fetched. */
int worker_fd_add(struct worker *w, struct worker_fd *f, uint32_t epoll_events);
int worker_fd_mod(struct worker *w, struct worker_fd *f, uint32_t epoll_events);
void worker_fd_del(struct worker *w, struct worker_fd *f);
/* Sleeps until a descriptor, a wake or `until` (monotonic ns), then runs the ready functions, with
 * w->now set afresh. Without descriptors: does not sleep. */
void worker_sleep(struct worker *w, uint64_t until);
/* Runs the functions of the descriptors that are ready, at w->now, and does not wait; returns how
 * many. For those who wait for w->epfd by themselves. */
unsigned worker_run_fds(struct worker *w);
/* Steps, spins up to spin_ns without work, then sleeps; returns when w->stop is set. Registers the
 * thread with RCU. */
void worker_loop(struct worker *w, uint64_t spin_ns);
/* Any thread: ends a sleep. */
void worker_wake(struct worker *w);

/* Hands a packet to another worker, which calls fn(worker, packet). Takes. Any thread. */
void worker_post(struct worker *to, struct pkt *p, void (*fn)(struct worker *, struct pkt *));
/* Hands over a message. Any thread. */
void worker_post_msg(struct worker *to, struct worker_msg *m);

/* Delivers the messages that have not come yet. For the end of an instance: nobody runs w. */
void worker_deliver(struct worker *w);

/* Monotonic ns for those at the edge who have to ask: the loops and the benches. */
uint64_t clock_mono(void);
int64_t clock_wall_offset(void);

/* ---- stage accounting ---- */

/* What has passed since the last mark belongs to the stage that is entered or left now. */
static inline void stage_mark(struct worker *w)
{
	if (!w->count_cycles)
		return;
	uint64_t t = cycles();

	w->stages[w->stage_cur].cycles += t - w->stage_t0;
	w->stage_t0 = t;
}

static inline enum stage stage_enter(struct worker *w, enum stage s, unsigned n)
{
	enum stage prev = w->stage_cur;

	stage_mark(w);
	w->stage_cur = s;
	w->stages[s].calls++;
	w->stages[s].packets += n;
	return prev;
}

static inline void stage_leave(struct worker *w, enum stage prev)
{
	stage_mark(w);
	w->stage_cur = prev;
}

/* Instead of stage_leave() when there was nothing to do: as if the stage had not been entered. */
static inline void stage_cancel(struct worker *w, enum stage prev)
{
	w->stages[w->stage_cur].calls--;
	w->stage_cur = prev;
	if (w->count_cycles)
		w->stage_t0 = cycles();
}

/* ---- drops and traces ---- */

/* Records that a traced packet passed here (no-op for others). */
void trace_point(struct worker *w, const struct pkt *p, const char *what);

static inline void trace_pkt(struct worker *w, const struct pkt *p, const char *what)
{
	if (unlikely(p->flags & PKT_TRACE))
		trace_point(w, p, what);
}

/* Takes: counts the reason and frees. */
static inline void pkt_drop(struct worker *w, struct pkt *p, enum drop why)
{
	w->drops[why]++;
	trace_pkt(w, p, drop_name[why]);
	pkt_free(&w->cache, p);
}

static inline struct pkt *pkt_new(struct worker *w)
{
	return pkt_alloc(&w->cache);
}
