/* trace: see the header. */
#include "run/trace.h"

static const char entered[] = "enter";

static int start(struct worker *w, unsigned n, trace_ifindex_fn *ifindex)
{
	struct stats_trace *t = calloc(1, sizeof(*t)), *old = w->trace;

	if (!t)
		return -ENOMEM;
	t->left = n;
	t->ifindex = ifindex;
	rcu_assign_pointer(w->trace, t);
	rcu_free(old);
	return 0;
}

int trace_start(struct worker *w, unsigned n)
{
	return start(w, n, NULL);
}

void trace_stop(struct worker *w)
{
	struct stats_trace *old = w->trace;

	rcu_assign_pointer(w->trace, NULL);
	rcu_free(old);
}

int trace_start_all(struct weft *weft, unsigned n, trace_ifindex_fn *ifindex)
{
	for (unsigned i = 0; i < weft->n_workers; i++) {
		int err = start(weft->worker[i], n, ifindex);
		if (err) {
			trace_stop_all(weft);
			return err;
		}
	}
	return 0;
}

void trace_stop_all(struct weft *weft)
{
	for (unsigned i = 0; i < weft->n_workers; i++)
		trace_stop(weft->worker[i]);
}

void trace_mark_slow(struct worker *w, struct pkt *p)
{
	struct stats_trace *t = rcu_dereference(w->trace);

	if (!t || !t->left || p->flags & PKT_TRACE)
		return;
	t->left--;
	t->n_packets++;
	p->flags |= PKT_TRACE;
	trace_point(w, p, entered);
}

void trace_point(struct worker *w, const struct pkt *p, const char *what)
{
	struct stats_trace *t = rcu_dereference(w->trace);

	if (!t)
		return;
	unsigned n = t->n;
	if (n == TRACE_EVENTS) {
		WRITE_ONCE(t->lost, t->lost + 1);
		return;
	}
	t->event[n] = (struct trace_event){
		.cycles = cycles(),
		.packet = (uintptr_t)p,
		.what = what,
		.bytes = p->total,
		.ifindex = t->ifindex && p->dev ? t->ifindex(p->dev) : 0,
	};
	/* whoever sees the count sees the event */
	__atomic_store_n(&t->n, n + 1, __ATOMIC_RELEASE);
}

/* The numbers of packets: an address names another packet from each time one enters by it. */
static void number(const struct stats_trace *t, unsigned n, unsigned *id)
{
	unsigned last = 0;

	for (unsigned i = 0; i < n; i++) {
		id[i] = 0;
		for (unsigned k = i; t->event[i].what != entered && k-- > 0;) {
			if (t->event[k].packet != t->event[i].packet)
				continue;
			id[i] = id[k];
			break;
		}
		if (!id[i])
			id[i] = ++last;
	}
}

static void show(const struct stats_trace *t, FILE *out)
{
	unsigned n = t ? __atomic_load_n(&t->n, __ATOMIC_ACQUIRE) : 0;
	unsigned *id = calloc(n + 1, sizeof(*id));

	if (!id)
		n = 0;
	else
		number(t, n, id);
	fputc('[', out);
	for (unsigned i = 0; i < n; i++) {
		const struct trace_event *e = &t->event[i];
		fprintf(out,
			"%s{\"packet\":%u,\"cycles\":%llu,\"at\":\"%s\",\"bytes\":%u,"
			"\"ifindex\":%d}",
			i ? "," : "", id[i], (unsigned long long)(e->cycles - t->event[0].cycles),
			e->what, e->bytes, e->ifindex);
	}
	fputc(']', out);
	free(id);
}

void trace_show(const struct worker *w, FILE *out)
{
	show(w->trace, out);
	fputc('\n', out);
}

void trace_show_all(const struct weft *weft, FILE *out)
{
	const char *sep = "";

	fputs("{\"workers\":[", out);
	for (unsigned i = 0; i < weft->n_workers; i++) {
		const struct stats_trace *t = weft->worker[i]->trace;
		if (!t)
			continue;
		fprintf(out, "%s{\"worker\":%u,\"packets\":%llu,\"lost\":%llu,\"events\":", sep, i,
			(unsigned long long)READ_ONCE(t->n_packets),
			(unsigned long long)READ_ONCE(t->lost));
		show(t, out);
		fputc('}', out);
		sep = ",";
	}
	fputs("]}\n", out);
}
