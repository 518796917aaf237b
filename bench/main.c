/* main: the table of benches and the options. */
#include <getopt.h>
#include <sched.h>

#include "base/rcu.h"
#include "bench.h"

static const struct bench *const benches[] = {
	&bench_forward, &bench_fib4,  &bench_neigh, &bench_pool, &bench_csum, &bench_gso,
	&bench_cbpf,	&bench_wheel, &bench_scale, &bench_tcp,	 &bench_rtt,
};

static void help(FILE *out)
{
	fputs("usage: weft-bench NAME...|all [--json] [--runs N] [--instructions]\n", out);
	for (unsigned i = 0; i < ARRAY_SIZE(benches); i++)
		fprintf(out, "  %-10s %s\n", benches[i]->name, benches[i]->text);
}

static const struct bench *find(const char *name)
{
	for (unsigned i = 0; i < ARRAY_SIZE(benches); i++)
		if (!strcmp(benches[i]->name, name))
			return benches[i];
	return NULL;
}

/* Being moved to another core costs the caches; the one we are on is as good as any. */
static void stay_here(void)
{
	int cpu = sched_getcpu();
	cpu_set_t set;

	if (cpu < 0)
		return;
	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	sched_setaffinity(0, sizeof(set), &set);
}

static int parse(int argc, char **argv, struct bench_options *o)
{
	static const struct option names[] = {
		{"json", no_argument, NULL, 'j'},
		{"runs", required_argument, NULL, 'r'},
		{"instructions", no_argument, NULL, 'i'},
		{"help", no_argument, NULL, 'h'},
		{NULL, 0, NULL, 0},
	};
	int c;

	*o = (struct bench_options){.runs = 9};
	while ((c = getopt_long(argc, argv, "h", names, NULL)) != -1) {
		switch (c) {
		case 'j':
			o->json = true;
			break;
		case 'i':
			o->instructions = true;
			o->runs = 1;
			break;
		case 'r':
			o->runs = (unsigned)atoi(optarg);
			break;
		case 'h':
			help(stdout);
			exit(0);
		default:
			return -1;
		}
	}
	return o->runs >= 1 && o->runs <= BENCH_RUNS_MAX && optind < argc ? 0 : -1;
}

int main(int argc, char **argv)
{
	struct bench_options o;

	if (parse(argc, argv, &o)) {
		help(stderr);
		return 2;
	}
	bool all = !strcmp(argv[optind], "all");

	for (int i = optind; !all && i < argc; i++) {
		if (find(argv[i]))
			continue;
		fprintf(stderr, "weft-bench: there is no bench '%s'\n", argv[i]);
		help(stderr);
		return 2;
	}
	stay_here();
	rcu_register_thread();
	for (unsigned i = 0; all && i < ARRAY_SIZE(benches); i++)
		benches[i]->run(&o);
	for (int i = optind; !all && i < argc; i++)
		find(argv[i])->run(&o);
	rcu_unregister_thread();
	return 0;
}
