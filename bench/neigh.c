/* neigh: neighbours by device and address: look-ups among many, and making and deleting one. */
#include "net/neigh.h"

#include "bed.h"
#include "bench.h"

#define N_KEYS 4096u
#define BASE   0x0a020002u /* 10.2.0.2, in 10.0.0.0/8 */

struct state {
	struct bed bed;
	struct netdev *dev;
	struct rng rng;
	unsigned n;
	uint32_t key[N_KEYS];
};

static void draw_keys(void *arg)
{
	struct state *s = arg;

	for (unsigned i = 0; i < N_KEYS; i++)
		s->key[i] = __builtin_bswap32(BASE + rng_below(&s->rng, s->n));
}

static void look_up(void *arg)
{
	struct state *s = arg;
	struct neigh_table *t = arp_table(s->bed.weft);

	for (unsigned i = 0; i < N_KEYS; i++)
		bench_use((uintptr_t)neigh_lookup(t, s->dev, &s->key[i]));
}

static void one_size(const struct bench_options *o, unsigned n)
{
	static struct state s;
	struct bench_loop l = {.fn = look_up, .before = draw_keys, .arg = &s, .operations = N_KEYS};
	char name[64];
	uint64_t start;

	rng_seed(&s.rng, 13);
	s.n = n;
	bed_init(&s.bed, 4096);
	s.dev = bed_dev(&s.bed, "out", BASE - 1, 8);
	start = cycles();
	for (unsigned i = 0; i < n; i++) {
		if (bed_neigh(&s.bed, s.dev, BASE + i)) {
			bench_skip("neigh", "no neighbour could be made");
			return;
		}
		if (i % 1024 == 0)
			rcu_quiescent_state();
	}
	snprintf(name, sizeof(name), "%u neighbours: make one", n);
	bench_once(o, "neigh", name, "cycles/operation", "TSC cycles",
		   (double)(cycles() - start) / n);
	snprintf(name, sizeof(name), "%u neighbours: look one up", n);
	bench_loops(o, "neigh", name, &l, NULL, NULL);
	bed_fini(&s.bed);
}

static void neigh_run(const struct bench_options *o)
{
	one_size(o, 1000);
	one_size(o, 100000);
}

const struct bench bench_neigh = {
	.name = "neigh",
	.text = "neighbour tables",
	.run = neigh_run,
};
