/*
 * bench: measurements of single parts of the stack, and of the whole in one process.
 *
 *	weft-bench NAME|all [--json] [--runs N] [--instructions]
 *
 * A bench is a file with one function and a row in the table of main.c. It measures each of its
 * cases several times and hands all values to bench_result(), which prints the median with its
 * spread: a line of JSON, or a row of a table for people. Where a peer does the same work it is
 * measured in the same run, and the ratio is how much better weft is: more than 1 is faster.
 *
 * Cycles are those of the time stamp counter, which runs at a fixed rate whatever the core does.
 * On a machine that others load, single values jump by what the scheduler took away; the loops here
 * are therefore cut into short pieces (a batch, some hundred operations), and the value of one run
 * is the median over its pieces (bench_pieces). Nothing in a bench asserts a speed.
 */
#pragma once

#include <stdio.h>

#include "base/rand.h"
#include "base/util.h"

#define BENCH_RUNS_MAX	 101
#define BENCH_PIECES_MAX 65536

struct bench_options {
	bool json;
	bool instructions; /* a short run whose every pass is counted, for callgrind */
	unsigned runs;
};

struct bench {
	const char *name;
	const char *text;
	void (*run)(const struct bench_options *o);
};

/* One figure: n values, and as many of a peer where peer is not NULL. */
struct bench_figure {
	const char *bench, *name, *metric, *unit;
	const double *values;
	unsigned n;
	bool more_is_better;
	const char *peer;
	const double *peer_values;
};

void bench_figure(const struct bench_options *o, const struct bench_figure *f);

/* The usual one: cycles, less is better, no peer. */
void bench_cycles(const struct bench_options *o, const char *bench, const char *name,
		  const char *metric, const double *values, unsigned n);
/* What a peer is missing for; on standard error. */
void bench_skip(const char *bench, const char *why);

/* Sorts v. */
double bench_median(double *v, unsigned n);

/* Durations of the pieces of one run. */
struct bench_pieces {
	unsigned n;
	double v[BENCH_PIECES_MAX];
};

static inline void bench_piece(struct bench_pieces *p, uint64_t cycles, unsigned operations)
{
	if (p->n < BENCH_PIECES_MAX)
		p->v[p->n++] = (double)cycles / operations;
}

/* A loop to be timed: fn(arg) does `operations` of them. Set-up that is not to be timed goes to
 * `before`, run ahead of each call (or NULL). */
struct bench_loop {
	void (*fn)(void *arg);
	void (*before)(void *arg);
	void *arg;
	unsigned operations;
};

/* Times the loop o->runs times, many pieces each, and with it the peer's (NULL: none), turn and
 * turn about; the figure is cycles an operation. */
void bench_loops(const struct bench_options *o, const char *bench, const char *name,
		 const struct bench_loop *l, const char *peer, const struct bench_loop *peer_loop);

/* A single time: what is too long to be done many times. */
void bench_once(const struct bench_options *o, const char *bench, const char *name,
		const char *metric, const char *unit, double value);

/* The optimiser must believe that v is used. */
static inline void bench_use(uint64_t v)
{
	__asm__ volatile("" : : "r"(v) : "memory");
}

/* The benches, one a file. */
extern const struct bench bench_cbpf, bench_csum, bench_fib4, bench_forward, bench_gso;
extern const struct bench bench_neigh, bench_pool, bench_rtt, bench_scale, bench_tcp, bench_wheel;
