/* trace: see the header. A packet is named by its address while it lives. */
#include "run/trace.h"

int trace_start(struct worker *w, unsigned n)
{
	if (!w->trace)
		w->trace = calloc(1, sizeof(*w->trace));
	if (!w->trace)
		return -ENOMEM;
	w->trace->left = n;
	w->trace->n = 0;
	w->trace->lost = 0;
	w->trace->n_packets = 0;
	return 0;
}

void trace_stop(struct worker *w)
{
	free(w->trace);
	w->trace = NULL;
}

void trace_mark(struct worker *w, struct pkt *p)
{
	if (!w->trace || !w->trace->left || p->flags & PKT_TRACE)
		return;
	w->trace->left--;
	w->trace->n_packets++;
	p->flags |= PKT_TRACE;
	trace_point(w, p, "enter");
}

void trace_point(struct worker *w, const struct pkt *p, const char *what)
{
	struct stats_trace *t = w->trace;

	if (!t)
		return;
	if (t->n == TRACE_EVENTS) {
		t->lost++;
		return;
	}
	t->event[t->n++] = (struct trace_event){
		.cycles = cycles(), .packet = (uintptr_t)p, .what = what, .bytes = p->total};
}

void trace_show(const struct worker *w, FILE *out)
{
	const struct stats_trace *t = w->trace;

	fputc('[', out);
	for (unsigned i = 0; t && i < t->n; i++)
		fprintf(out, "%s{\"packet\":\"%llx\",\"cycles\":%llu,\"at\":\"%s\",\"bytes\":%u}",
			i ? "," : "", (unsigned long long)t->event[i].packet,
			(unsigned long long)(t->event[i].cycles - t->event[0].cycles),
			t->event[i].what, t->event[i].bytes);
	fputs("]\n", out);
}
