/*
 * info: what `weft stages`, `weft trace`, `weft list` and their like ask for, as text or JSON.
 *
 *   stages [json]   counters of stages, and drops
 *   drops [json]    drops by reason
 *   trace start N   follow the next N packets; trace: what is known of them; trace stop
 *   clients         who is here
 *   version
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "daemon.h"
#include "run/stats.h"
#include "run/trace.h"

static void describe(const struct netdev *dev, struct trace_event *e)
{
	static_assert(sizeof(e->dev) == sizeof(dev->name), "a name fits");
	e->ifindex = dev->ifindex;
	memcpy(e->dev, dev->name, sizeof(e->dev));
	e->net = dev->net ? dev->net->ino : 0;
}

static const char *net_name(void *arg, uint64_t ino)
{
	return ns_name_of(arg, ino);
}

static int show_stages(struct daemon *d, const char *arg, FILE *out)
{
	stats_show(d->weft, out, !strcmp(arg, "json"));
	return 0;
}

static int show_drops(struct daemon *d, const char *arg, FILE *out)
{
	stats_show_drops(d->weft, out, !strcmp(arg, "json"));
	return 0;
}

static int show_trace(struct daemon *d, const char *arg, FILE *out)
{
	unsigned n;

	if (sscanf(arg, "start %u", &n) == 1)
		return n ? trace_start_all(d->weft, n, describe) : -EINVAL;
	if (!strcmp(arg, "stop"))
		trace_stop_all(d->weft);
	else if (*arg)
		return -EINVAL;
	else
		trace_show_all(d->weft, net_name, d, out);
	return 0;
}

static int show_clients(struct daemon *d, const char *arg, FILE *out)
{
	struct conn *c;
	const char *sep = "";

	fprintf(out,
		"{\"name\":\"%s\",\"pid\":%d,\"keep\":%s,\"workers\":%u,\"connections\":%u,"
		"\"tokens\":%u,\"sockets\":%u,\"namespaces\":%u,\"pids\":[",
		d->name, (int)getpid(), d->keep ? "true" : "false", d->weft->n_workers, d->n_conns,
		d->n_tokens, d->n_ends, d->n_spaces);
	cds_list_for_each_entry (c, &d->conns, link) {
		fprintf(out, "%s%d", sep, (int)c->pid);
		sep = ",";
	}
	fputs("]}\n", out);
	return 0;
}

static int show_version(struct daemon *d, const char *arg, FILE *out)
{
	fprintf(out, "%s\n", WEFT_VERSION);
	return 0;
}

static const struct topic {
	const char *name;
	int (*show)(struct daemon *d, const char *arg, FILE *out);
} topics[] = {
	{"stages", show_stages},   {"drops", show_drops},     {"trace", show_trace},
	{"clients", show_clients}, {"version", show_version},
};

static int find_and_show(struct daemon *d, const char *what, FILE *out)
{
	size_t len = strcspn(what, " ");

	for (unsigned i = 0; i < ARRAY_SIZE(topics); i++)
		if (strlen(topics[i].name) == len && !strncmp(what, topics[i].name, len))
			return topics[i].show(d, what + len + (what[len] == ' '), out);
	return -EINVAL;
}

int info_open(struct daemon *d, const char *what)
{
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);

	if (!out)
		return -ENOMEM;
	int err = find_and_show(d, what, out);
	if (fclose(out) && !err)
		err = -ENOMEM;
	if (!err)
		err = file_memfd("weft-info", text, len, false);
	free(text);
	return err;
}
