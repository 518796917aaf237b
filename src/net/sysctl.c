/*
 * sysctl: the table, and values as text: what cat shows and echo stores.
 *
 * Numbers are read as the kernel reads them: decimal, or with 0x and 0 in front hexadecimal and
 * octal; fewer numbers than the row holds leave the rest as it is; a bad one stores nothing.
 */
#include "net/sysctl.h"

#include <ctype.h>
#include <stdlib.h>

#include "run/instance.h"

#define USER_HZ 100

struct sysctl_table {
	unsigned n, room;
	const struct sysctl_row **row;
};

struct sysctl_table *sysctl_table_new(void)
{
	return calloc(1, sizeof(struct sysctl_table));
}

void sysctl_table_free(struct sysctl_table *t)
{
	if (!t)
		return;
	free(t->row);
	free(t);
}

int sysctl_add(struct sysctl_table *t, const struct sysctl_row *rows)
{
	unsigned n = 0;

	while (rows[n].path)
		n++;
	if (t->n + n > t->room) {
		unsigned room = t->room * 2 + n;
		const struct sysctl_row **more = realloc(t->row, room * sizeof(*more));
		if (!more)
			return -ENOMEM;
		t->row = more;
		t->room = room;
	}
	for (unsigned i = 0; i < n; i++)
		t->row[t->n++] = &rows[i];
	return 0;
}

const struct sysctl_row *sysctl_row_at(const struct sysctl_table *t, unsigned index)
{
	return index < t->n ? t->row[index] : NULL;
}

/* ---- values ---- */

/* How many numbers a row holds. */
static unsigned count(const struct sysctl_row *r)
{
	switch (r->type) {
	case SYSCTL_INT2:
		return 2;
	case SYSCTL_INT3:
	case SYSCTL_ULONG3:
		return 3;
	default:
		return 1;
	}
}

/* ns in one unit of what is shown; 0: the row holds no time. */
static uint64_t unit(const struct sysctl_row *r)
{
	switch (r->type) {
	case SYSCTL_MS:
		return NSEC_PER_MSEC;
	case SYSCTL_SEC:
		return NSEC_PER_SEC;
	case SYSCTL_JIFFIES:
		return NSEC_PER_SEC / USER_HZ;
	default:
		return 0;
	}
}

static bool is_long(const struct sysctl_row *r)
{
	return r->type == SYSCTL_ULONG || r->type == SYSCTL_ULONG3;
}

static int64_t load(const struct sysctl_row *r, const void *at, unsigned i)
{
	uint64_t u = unit(r);

	if (u)
		return (int64_t)(READ_ONCE(*(const uint64_t *)at) / u);
	if (is_long(r))
		return (int64_t)READ_ONCE(((const uint64_t *)at)[i]);
	if (r->type == SYSCTL_UINT)
		return READ_ONCE(*(const uint32_t *)at);
	return READ_ONCE(((const int *)at)[i]);
}

static void put(const struct sysctl_row *r, void *at, unsigned i, int64_t v)
{
	uint64_t u = unit(r);

	if (u)
		WRITE_ONCE(*(uint64_t *)at, (uint64_t)v * u);
	else if (is_long(r))
		WRITE_ONCE(((uint64_t *)at)[i], (uint64_t)v);
	else
		WRITE_ONCE(((int *)at)[i], (int)v);
}

static bool in_first(const struct net *net)
{
	return net->weft->nets->first == net;
}

void *sysctl_where(struct net *net, const struct sysctl_row *r, struct netdev *dev,
		   const char *which)
{
	if (r->scope == SYSCTL_FIRST && !in_first(net))
		return NULL;
	return r->where(net, dev, which);
}

uint16_t sysctl_mode(const struct net *net, const struct sysctl_row *r)
{
	if (r->scope == SYSCTL_NET || in_first(net))
		return r->mode;
	return (uint16_t)(r->mode & ~0222);
}

int sysctl_show(struct net *net, const struct sysctl_row *r, struct netdev *dev, const char *which,
		FILE *out)
{
	void *at = sysctl_where(net, r, dev, which);

	if (!at)
		return -ENOENT;
	if (r->type == SYSCTL_STRING) {
		if (!r->show)
			return -EACCES;
		r->show(net, dev, out);
		return 0;
	}
	for (unsigned i = 0; i < count(r); i++)
		fprintf(out, "%s%lld", i ? "\t" : "", (long long)load(r, at, i));
	fputc('\n', out);
	return 0;
}

/* The next number of a text; 1, 0 at its end, or -EINVAL. */
static int read_number(const char **text, int64_t *v)
{
	char *end;

	while (isspace((unsigned char)**text))
		++*text;
	if (!**text)
		return 0;
	errno = 0;
	*v = strtoll(*text, &end, 0);
	if (end == *text || errno || (*end && !isspace((unsigned char)*end)))
		return -EINVAL;
	*text = end;
	return 1;
}

static bool in_range(const struct sysctl_row *r, int64_t v)
{
	if (v < r->min || (r->max && v > r->max))
		return false;
	if (is_long(r))
		return true;
	if (r->type == SYSCTL_UINT)
		return v >= 0 && v <= UINT32_MAX;
	return v >= INT32_MIN && v <= INT32_MAX;
}

int sysctl_store(struct net *net, const struct sysctl_row *r, struct netdev *dev, const char *which,
		 const char *text)
{
	void *at = sysctl_where(net, r, dev, which);
	bool changed = false;
	int64_t v, old;
	unsigned n = 0;
	int more = 0;

	if (!at)
		return -ENOENT;
	if (!(sysctl_mode(net, r) & 0222))
		return -EACCES;
	if (r->type == SYSCTL_STRING)
		return r->store ? r->store(net, dev, text) : -EACCES;
	old = load(r, at, 0);
	for (; n < count(r) && (more = read_number(&text, &v)) > 0; n++) {
		if (!in_range(r, v)) {
			more = -EINVAL;
			break;
		}
		changed |= load(r, at, n) != v;
		put(r, at, n, v);
	}
	if (changed && r->changed)
		r->changed(net, dev, which, old, load(r, at, 0));
	return n || more ? MIN(more, 0) : -EINVAL;
}
