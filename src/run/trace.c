/* trace: see the header. */
#include "run/trace.h"

static const char entered[] = "enter";

static int start(struct worker *w, unsigned n, trace_dev_fn *dev)
{
	struct stats_trace *t = calloc(1, sizeof(*t)), *old = w->trace;

	if (!t)
		return -ENOMEM;
	t->left = n;
	t->dev = dev;
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

int trace_start_all(struct weft *weft, unsigned n, trace_dev_fn *dev)
{
	for (unsigned i = 0; i < weft->n_workers; i++) {
		int err = start(weft->worker[i], n, dev);
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
		.buf = (uintptr_t)p->buf,
		.what = what,
		.bytes = p->total,
	};
	if (t->dev && p->dev)
		t->dev(p->dev, &t->event[n]);
	/* whoever sees the count sees the event */
	__atomic_store_n(&t->n, n + 1, __ATOMIC_RELEASE);
}

static const char *drop_of(const char *what)
{
	for (unsigned d = 0; d < N_DROPS; d++)
		if (drop_name[d] == what)
			return drop_text[d];
	return NULL;
}

/* The event before i that is of the same packet, or whose packet i was made from; i: none. An
 * address that was dropped is free for others. Copies, fragments and segments are made while their
 * original is being handled, so what nobody knows is of the packet that was seen last. */
static unsigned before(const struct stats_trace *t, unsigned i)
{
	const struct trace_event *e = &t->event[i];

	if (e->what == entered || !i)
		return i;
	for (unsigned k = i; k-- > 0;)
		if (t->event[k].packet == e->packet || t->event[k].buf == e->buf)
			return drop_of(t->event[k].what) ? i - 1 : k;
	return i - 1;
}

static void number(const struct stats_trace *t, unsigned n, unsigned *id)
{
	unsigned last = 0;

	for (unsigned i = 0; i < n; i++) {
		unsigned k = before(t, i);
		id[i] = k == i ? ++last : id[k];
	}
}

/* Names of devices and namespaces hold no slash and no blank, but may hold what JSON escapes. */
static void put_string(const char *key, const char *s, FILE *out)
{
	fprintf(out, ",\"%s\":\"", key);
	for (; *s; s++) {
		if (*s == '"' || *s == '\\')
			fputc('\\', out);
		if ((unsigned char)*s < 0x20)
			fprintf(out, "\\u%04x", (unsigned char)*s);
		else
			fputc(*s, out);
	}
	fputc('"', out);
}

static void show(const struct stats_trace *t, trace_net_fn *names, void *arg, FILE *out)
{
	unsigned n = __atomic_load_n(&t->n, __ATOMIC_ACQUIRE);
	unsigned *id = calloc(n + 1, sizeof(*id));

	if (!id)
		n = 0;
	else
		number(t, n, id);
	for (unsigned i = 0; i < n; i++) {
		const struct trace_event *e = &t->event[i];
		const char *drop = drop_of(e->what);
		const char *net = names && e->net ? names(arg, e->net) : NULL;

		fprintf(out, "%s{\"packet\":%u,\"cycles\":%llu,\"at\":\"%s\",\"bytes\":%u",
			i ? "," : "", id[i], (unsigned long long)(e->cycles - t->event[0].cycles),
			e->what, e->bytes);
		fprintf(out, ",\"ifindex\":%d", e->ifindex);
		put_string("dev", e->dev, out);
		fprintf(out, ",\"net\":%llu", (unsigned long long)e->net);
		if (net)
			put_string("netns", net, out);
		if (drop)
			put_string("drop", drop, out);
		fputc('}', out);
	}
	free(id);
}

void trace_show_all(const struct weft *weft, trace_net_fn *names, void *arg, FILE *out)
{
	const char *sep = "";

	fputs("{\"workers\":[", out);
	for (unsigned i = 0; i < weft->n_workers; i++) {
		const struct stats_trace *t = weft->worker[i]->trace;
		if (!t)
			continue;
		fprintf(out, "%s{\"worker\":%u,\"packets\":%llu,\"lost\":%llu,\"events\":[", sep, i,
			(unsigned long long)READ_ONCE(t->n_packets),
			(unsigned long long)READ_ONCE(t->lost));
		show(t, names, arg, out);
		fputs("]}", out);
		sep = ",";
	}
	fputs("]}\n", out);
}
