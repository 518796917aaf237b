/* stats: sums over workers, and how they are shown. */
#include "run/stats.h"

#include <inttypes.h>

uint64_t stats_drop(const struct weft *weft, enum drop why)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < weft->n_workers; i++)
		sum += READ_ONCE(weft->worker[i]->drops[why]);
	return sum;
}

struct stage_count stats_stage(const struct weft *weft, enum stage s)
{
	struct stage_count sum = {0};

	for (unsigned i = 0; i < weft->n_workers; i++) {
		const struct stage_count *c = &weft->worker[i]->stages[s];
		sum.calls += READ_ONCE(c->calls);
		sum.packets += READ_ONCE(c->packets);
		sum.cycles += READ_ONCE(c->cycles);
	}
	return sum;
}

static double per_packet(const struct stage_count *c)
{
	return c->packets ? (double)c->cycles / (double)c->packets : 0;
}

static void drops_json(const struct weft *weft, FILE *out)
{
	const char *sep = "";

	fputs("\"drops\":[", out);
	for (unsigned d = 0; d < N_DROPS; d++) {
		uint64_t n = stats_drop(weft, d);
		if (!n)
			continue;
		fprintf(out, "%s{\"name\":\"%s\",\"text\":\"%s\",\"count\":%" PRIu64 "}", sep,
			drop_name[d], drop_text[d], n);
		sep = ",";
	}
	fputc(']', out);
}

/* Returns how many reasons there were. */
static unsigned drops_table(const struct weft *weft, const char *before, FILE *out)
{
	unsigned rows = 0;

	for (unsigned d = 0; d < N_DROPS; d++) {
		uint64_t n = stats_drop(weft, d);
		if (!n)
			continue;
		if (!rows++)
			fprintf(out, "%s%-24s %12s  %s\n", before, "drop", "packets", "reason");
		fprintf(out, "%-24s %12" PRIu64 "  %s\n", drop_name[d], n, drop_text[d]);
	}
	return rows;
}

static void stages_json(const struct weft *weft, FILE *out)
{
	const char *sep = "";

	fprintf(out, "\"workers\":%u,\"stages\":[", weft->n_workers);
	for (unsigned s = 0; s < N_STAGES; s++) {
		struct stage_count c = stats_stage(weft, s);
		if (!c.calls)
			continue;
		fprintf(out,
			"%s{\"name\":\"%s\",\"calls\":%" PRIu64 ",\"packets\":%" PRIu64
			",\"cycles\":%" PRIu64 ",\"cycles_per_packet\":%.1f}",
			sep, stage_name[s], c.calls, c.packets, c.cycles, per_packet(&c));
		sep = ",";
	}
	fputc(']', out);
}

static void stages_table(const struct weft *weft, FILE *out)
{
	fprintf(out, "%-16s %12s %12s %16s %14s\n", "stage", "calls", "packets", "cycles",
		"cycles/packet");
	for (unsigned s = 0; s < N_STAGES; s++) {
		struct stage_count c = stats_stage(weft, s);
		if (c.calls)
			fprintf(out, "%-16s %12" PRIu64 " %12" PRIu64 " %16" PRIu64 " %14.1f\n",
				stage_name[s], c.calls, c.packets, c.cycles, per_packet(&c));
	}
}

void stats_show(const struct weft *weft, FILE *out, bool json)
{
	if (!json) {
		stages_table(weft, out);
		drops_table(weft, "\n", out);
		return;
	}
	fputc('{', out);
	stages_json(weft, out);
	fputc(',', out);
	drops_json(weft, out);
	fputs("}\n", out);
}

void stats_show_drops(const struct weft *weft, FILE *out, bool json)
{
	if (json) {
		fputc('{', out);
		drops_json(weft, out);
		fputs("}\n", out);
	} else if (!drops_table(weft, "", out)) {
		fputs("no packet has been dropped\n", out);
	}
}
