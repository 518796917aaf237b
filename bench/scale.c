/*
 * scale: an instance with much in it: 10^6 routes, 1,000 devices, 1,000 namespaces. Time and
 * resident memory by the piece, and what a step costs that has nothing to do.
 */
#include <malloc.h>

#include "bed.h"
#include "bench.h"

#define N_ROUTES  1000000u
#define N_DEVICES 1000u

/* What malloc() has given out; resident memory would not show what it had lying idle. */
static double memory(void)
{
	struct mallinfo2 m = mallinfo2();

	return (double)(m.uordblks + m.hblkhd);
}

struct stand {
	uint64_t start;
	double memory;
};

static struct stand stand_now(void)
{
	return (struct stand){cycles(), memory()};
}

/* What n of them have cost since then. */
static void tell(const struct bench_options *o, const char *what, unsigned n, struct stand from)
{
	char name[64];

	snprintf(name, sizeof(name), "%u %s: add one", n, what);
	bench_once(o, "scale", name, "cycles/operation", "TSC cycles",
		   (double)(cycles() - from.start) / n);
	snprintf(name, sizeof(name), "%u %s: memory of one", n, what);
	bench_once(o, "scale", name, "memory", "bytes", (memory() - from.memory) / n);
}

static void idle_step(void *arg)
{
	struct bed *b = arg;

	for (unsigned i = 0; i < 64; i++)
		worker_step(b->w, b->w->now);
}

/* How often a worker with nothing to do would wake, by its own timers. */
static double wakes_a_minute(struct bed *b)
{
	uint64_t until = b->w->now + 60 * NSEC_PER_SEC, next;
	unsigned n = 0;

	for (; (next = worker_next(b->w)) <= until; n++)
		worker_step(b->w, MAX(next, b->w->now + 1));
	return n;
}

static void tell_idle(const struct bench_options *o, const char *what, struct bed *b)
{
	struct bench_loop l = {.fn = idle_step, .arg = b, .operations = 64};
	char name[64];

	bed_step(b, 10 * NSEC_PER_SEC);
	snprintf(name, sizeof(name), "%s: step with nothing to do", what);
	bench_loops(o, "scale", name, &l, NULL, NULL);
	snprintf(name, sizeof(name), "%s: wakes while idle", what);
	bench_once(o, "scale", name, "wakes", "1/min", wakes_a_minute(b));
}

static void routes(const struct bench_options *o)
{
	struct bed b;

	bed_init(&b, 4096);
	struct netdev *dev = bed_dev(&b, "out", 0x0a020001, 16);
	struct stand from = stand_now();

	for (unsigned i = 0; i < N_ROUTES; i++) {
		/* all different, in no order: an odd factor permutes 2^20 numbers */
		uint32_t dst = (16u << 24) + ((i * 777767u & 0xfffff) << 7);

		if (bed_route(&b, dst, 25, 0x0a020002 + i % 16, dev)) {
			bench_skip("scale", "a route could not be added");
			break;
		}
		if (i % 1024 == 0)
			rcu_quiescent_state();
	}
	tell(o, "routes", N_ROUTES, from);
	from = stand_now();
	netdev_set_flags(dev, 0, IFF_UP, NULL);
	bench_once(o, "scale", "1000000 routes: their device goes down", "cycles/route",
		   "TSC cycles", (double)(cycles() - from.start) / N_ROUTES);
	bed_fini(&b);
}

static void devices(const struct bench_options *o)
{
	struct bed b;
	char name[IFNAMSIZ];

	bed_init(&b, 4096);
	tell_idle(o, "one device", &b);
	struct stand from = stand_now();

	for (unsigned i = 0; i < N_DEVICES; i++) {
		snprintf(name, sizeof(name), "m%u", i);
		bed_dev(&b, name, 0x0b000001 + (i << 8), 24);
	}
	tell(o, "mem devices with an address", N_DEVICES, from);
	tell_idle(o, "1000 mem devices, polled", &b);
	bed_fini(&b);
}

static void namespaces(const struct bench_options *o)
{
	static struct net *net[N_DEVICES];
	struct bed b;

	bed_init(&b, 4096);
	struct stand from = stand_now();

	for (unsigned i = 0; i < N_DEVICES; i++) {
		struct dev_new n = {.net = b.net, .name = "v%d", .peer_name = "eth0"};
		struct netdev *dev;
		int err = 0;

		net[i] = net_new(b.weft->nets, &err);
		n.peer_net = net[i];
		if (net[i])
			err = dev_create(b.net->core, &veth_kind, &n, &dev, NULL);
		if (err) {
			bench_skip("scale", strerror(-err));
			break;
		}
	}
	tell(o, "namespaces with a veth", N_DEVICES, from);
	tell_idle(o, "1000 namespaces", &b);
	for (unsigned i = 0; i < N_DEVICES; i++)
		net_put(net[i]);
	bed_fini(&b);
}

static void scale_run(const struct bench_options *o)
{
	routes(o);
	devices(o);
	namespaces(o);
}

const struct bench bench_scale = {
	.name = "scale",
	.text = "an instance with much in it",
	.run = scale_run,
};
