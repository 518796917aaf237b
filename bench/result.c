/* result: figures, as JSON lines or as rows for people. */
#include "bench.h"

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

double bench_median(double *v, unsigned n)
{
	qsort(v, n, sizeof(*v), by_value);
	return n % 2 ? v[n / 2] : (v[n / 2 - 1] + v[n / 2]) / 2;
}

struct summary {
	double median, min, max;
};

static struct summary summarize(const double *values, unsigned n)
{
	double v[BENCH_RUNS_MAX];

	memcpy(v, values, n * sizeof(*v));
	double median = bench_median(v, n);

	return (struct summary){median, v[0], v[n - 1]};
}

static void show_json(const struct bench_figure *f, struct summary s, double peer, double ratio)
{
	printf("{\"bench\":\"%s\",\"case\":\"%s\",\"metric\":\"%s\",\"unit\":\"%s\","
	       "\"value\":%.6g,\"spread\":[%.6g,%.6g],",
	       f->bench, f->name, f->metric, f->unit, s.median, s.min, s.max);
	if (f->peer)
		printf("\"peer\":\"%s\",\"peer_value\":%.6g,\"ratio\":%.4g,", f->peer, peer, ratio);
	else
		fputs("\"peer\":null,\"peer_value\":null,\"ratio\":null,", stdout);
	printf("\"n\":%u}\n", f->n);
}

static void show_row(const struct bench_figure *f, struct summary s, double peer, double ratio)
{
	char name[96];

	snprintf(name, sizeof(name), "%s: %s", f->bench, f->name);
	printf("%-58s %10.5g %-16s %s", name, s.median, f->unit, f->metric);
	printf("  [%.5g, %.5g]", s.min, s.max);
	if (f->peer)
		printf("  %s: %.5g, ratio %.2f", f->peer, peer, ratio);
	putchar('\n');
}

void bench_figure(const struct bench_options *o, const struct bench_figure *f)
{
	struct summary s = summarize(f->values, f->n), p = {0};
	double ratio = 0;

	if (f->peer) {
		p = summarize(f->peer_values, f->n);
		ratio = f->more_is_better ? s.median / p.median : p.median / s.median;
	}
	if (o->json)
		show_json(f, s, p.median, ratio);
	else
		show_row(f, s, p.median, ratio);
	fflush(stdout);
}

void bench_cycles(const struct bench_options *o, const char *bench, const char *name,
		  const char *metric, const double *values, unsigned n)
{
	bench_figure(o, &(struct bench_figure){.bench = bench,
					       .name = name,
					       .metric = metric,
					       .unit = "TSC cycles",
					       .values = values,
					       .n = n});
}

void bench_once(const struct bench_options *o, const char *bench, const char *name,
		const char *metric, const char *unit, double value)
{
	bench_figure(o, &(struct bench_figure){.bench = bench,
					       .name = name,
					       .metric = metric,
					       .unit = unit,
					       .values = &value,
					       .n = 1});
}

/* Pieces of a run: enough that the median is not the scheduler's, and no longer than a moment. */
#define PIECES	   200
#define RUN_CYCLES 200000000ULL

static double time_loop(const struct bench_loop *l)
{
	uint64_t end = cycles() + RUN_CYCLES;
	double v[PIECES];
	unsigned n = 0;

	while (n < PIECES && (n < 3 || cycles() < end)) {
		if (l->before)
			l->before(l->arg);
		uint64_t start = cycles();

		l->fn(l->arg);
		v[n++] = (double)(cycles() - start) / l->operations;
	}
	return bench_median(v, n);
}

void bench_loops(const struct bench_options *o, const char *bench, const char *name,
		 const struct bench_loop *l, const char *peer, const struct bench_loop *peer_loop)
{
	double v[BENCH_RUNS_MAX], p[BENCH_RUNS_MAX];

	for (unsigned i = 0; i < o->runs; i++) {
		v[i] = time_loop(l);
		if (peer)
			p[i] = time_loop(peer_loop);
	}
	bench_figure(o, &(struct bench_figure){.bench = bench,
					       .name = name,
					       .metric = "cycles/operation",
					       .unit = "TSC cycles",
					       .values = v,
					       .n = o->runs,
					       .peer = peer,
					       .peer_values = peer ? p : NULL});
}

void bench_skip(const char *bench, const char *why)
{
	fprintf(stderr, "skipped: %s: %s\n", bench, why);
}
