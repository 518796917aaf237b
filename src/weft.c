/*
 * weft: assembly of an instance: every module bound in written order, undone in mirror order.
 *
 * A module with a part per instance has a row in `modules`; one with a part per namespace has a row
 * in `net_modules`. Order is rank: who is used stands before who uses.
 */
#include "weft.h"

#include <pthread.h>
#include <stdlib.h>

#include "ctl/devioctl.h"
#include "ctl/files.h"
#include "ctl/genl.h"
#include "ctl/nl.h"
#include "ctl/rtnl.h"
#include "ctl/sock_diag.h"
#include "dev/event.h"
#include "dev/netdev.h"
#include "drivers/kinds.h"
#include "ip/ip4.h"
#include "net/net.h"
#include "net/net_sysctl.h"
#include "net/sysctl.h"
#include "packet/packet.h"
#include "pkt/pool.h"
#include "raw/raw.h"
#include "sock/sock.h"
#include "tcp/tcp.h"
#include "udp/udp.h"

struct module {
	const char *name;
	int (*init)(struct weft *weft);
	void (*fini)(struct weft *weft);
};

static const struct module modules[] = {
	{"ip4", ip4_init, ip4_fini},
	{"sock", sock_init, sock_fini},
	{"packet", packet_init, packet_fini},
	{"raw", raw_init, raw_fini},
	{"udp", udp_init, udp_fini},
	{"tcp", tcp_init, tcp_fini},
	{"nl", nl_init, nl_fini},
	{"rtnl", rtnl_init, rtnl_fini},
	{"genl", genl_init, genl_fini},
	{"sock_diag", sock_diag_init, sock_diag_fini},
	{"files", files_init, files_fini},
	{"devioctl", devioctl_init, devioctl_fini},
};

static const struct net_module net_modules[] = {
	{"ip4", ip4_net_init, ip4_net_fini},
	{"sock", sock_net_init, sock_net_fini},
	{"tcp", tcp_net_init, tcp_net_fini},
	{"nl", nl_net_init, nl_net_fini},
	{NULL, NULL, NULL},
};

struct thread {
	pthread_t id;
	struct worker *worker;
	uint64_t spin_ns;
	bool running;
};

static int workers_init(struct weft *weft)
{
	weft->n_workers = weft->config.n_threads + 1;
	for (unsigned i = 0; i < weft->n_workers; i++) {
		struct worker *w = aligned_alloc(CACHE_LINE, align_up(sizeof(*w), CACHE_LINE));
		if (!w)
			return -ENOMEM;
		memset(w, 0, sizeof(*w));
		int err = worker_init(w, i, weft, weft->pool, weft->config.seed + i,
				      weft->config.now);
		if (err) {
			free(w);
			return err;
		}
		w->wall = weft->config.wall;
		w->count_cycles = weft->config.count_cycles;
		w->key = weft->key;
		w->backlog_run = netdev_backlog_run;
		weft->worker[i] = w;
	}
	return 0;
}

static void workers_fini(struct weft *weft)
{
	for (unsigned i = weft->n_workers; i-- > 0;) {
		if (!weft->worker[i])
			continue;
		worker_fini(weft->worker[i]);
		free(weft->worker[i]);
	}
}

/* What stands below the modules: pool, workers, events, device core, the sysctl table. */
static int core_init(struct weft *weft)
{
	struct rng rng;
	rng_seed(&rng, weft->config.seed);
	weft->key.k[0] = rng_u64(&rng);
	weft->key.k[1] = rng_u64(&rng);

	weft->pool = pool_new(weft->config.n_packets ? weft->config.n_packets : POOL_DEFAULT);
	if (!weft->pool)
		return -errno;
	int err = workers_init(weft);
	if (err)
		return err;
	weft->events = calloc(1, sizeof(*weft->events));
	weft->dev = calloc(1, sizeof(*weft->dev));
	weft->nets = calloc(1, sizeof(*weft->nets));
	weft->sysctls = sysctl_table_new();
	if (!weft->events || !weft->dev || !weft->nets || !weft->sysctls)
		return -ENOMEM;
	event_chain_init(weft->events);
	*weft->dev = (struct dev_core){
		.weft = weft,
		.n_workers = weft->n_workers,
		.events = weft->events,
		.kinds = weft_kinds,
		.workers = weft->worker,
		.ip4_input = ip4_input,
		.arp_input = arp_input,
	};
	net_set_init(weft->nets, weft, weft->dev, net_modules);
	return net_sysctl_init(weft);
}

static void core_fini(struct weft *weft)
{
	if (weft->dev)
		dev_core_fini(weft->dev);
	rcu_barrier();
	workers_fini(weft);
	sysctl_table_free(weft->sysctls);
	free(weft->nets);
	free(weft->dev);
	free(weft->events);
	pool_free(weft->pool);
}

struct weft *weft_new(const struct weft_config *c, int *err)
{
	struct weft *weft = calloc(1, sizeof(*weft));
	unsigned n = 0;

	*err = -ENOMEM;
	if (!weft)
		return NULL;
	weft->config = *c;
	if (weft->config.n_threads >= WORKERS_MAX) {
		*err = -EINVAL;
		free(weft);
		return NULL;
	}
	if ((*err = core_init(weft)))
		goto fini;
	for (; n < ARRAY_SIZE(modules); n++)
		if ((*err = modules[n].init(weft)))
			goto fini;
	if (!net_new(weft->nets, err))
		goto fini;
	return weft;
fini:
	while (n-- > 0)
		modules[n].fini(weft);
	core_fini(weft);
	free(weft);
	return NULL;
}

void weft_free(struct weft *weft)
{
	if (!weft)
		return;
	weft_stop(weft);
	tcp_stop(weft);
	net_set_fini(weft->nets);
	/* what is on its way holds memory, and ends with what it is about */
	for (unsigned i = 0; i < weft->n_workers; i++)
		worker_deliver(weft->worker[i]);
	for (unsigned n = ARRAY_SIZE(modules); n-- > 0;)
		modules[n].fini(weft);
	core_fini(weft);
	free(weft);
}

static void *thread_main(void *arg)
{
	struct thread *t = arg;
	worker_loop(t->worker, t->spin_ns);
	return NULL;
}

int weft_start(struct weft *weft)
{
	unsigned n = weft->config.n_threads;
	if (!n || weft->threads)
		return 0;
	struct thread *threads = calloc(n, sizeof(*threads));
	if (!threads)
		return -ENOMEM;
	weft->threads = threads;
	for (unsigned i = 0; i < n; i++) {
		threads[i].worker = weft->worker[i + 1];
		threads[i].spin_ns = weft->config.spin_ns;
		int err = worker_open_fds(threads[i].worker);
		if (!err)
			err = -pthread_create(&threads[i].id, NULL, thread_main, &threads[i]);
		if (err) {
			weft_stop(weft);
			return err;
		}
		threads[i].running = true;
	}
	return 0;
}

void weft_stop(struct weft *weft)
{
	struct thread *threads = weft->threads;
	if (!threads)
		return;
	for (unsigned i = 0; i < weft->config.n_threads; i++) {
		if (!threads[i].running)
			continue;
		__atomic_store_n(&threads[i].worker->stop, 1, __ATOMIC_SEQ_CST);
		worker_wake(threads[i].worker);
		/* the thread may be waiting for a grace period that needs us */
		rcu_thread_offline();
		pthread_join(threads[i].id, NULL);
		rcu_thread_online();
	}
	free(threads);
	weft->threads = NULL;
}

unsigned weft_step(struct weft *weft, uint64_t now)
{
	unsigned n = worker_step(weft->worker[0], now);
	rcu_quiescent_state();
	return n;
}

void weft_settle(struct weft *weft, uint64_t now)
{
	while (weft_step(weft, now))
		;
}

uint64_t weft_run_until(struct weft *weft, uint64_t now, uint64_t until)
{
	for (;;) {
		weft_settle(weft, now);
		uint64_t next = worker_next(weft->worker[0]);
		if (next > until)
			break;
		now = MAX(next, now + 1);
	}
	weft_settle(weft, until);
	return until;
}
