/*
 * files_sysctl: /proc/sys/net: the tree that the paths of sysctl rows span.
 *
 * Built once, when all modules have added their rows. A "%s" in a path is a node of its own, which
 * stands for "all", "default" and every device for which the first row below it has a value.
 */
#include "ctl/files_core.h"
#include "net/sysctl.h"

#define EACH "%s"

struct sysctl_node {
	const char *name; /* in the row's path: ends at '/' or NUL */
	size_t len;
	const struct sysctl_row *row; /* a setting, or NULL: a directory */
	struct sysctl_node **child;   /* by name */
	unsigned n, room;
	struct sysctl_node *each; /* the child "%s" */
	struct file_row file;	  /* how files.c sees it */
};

/* ---- building ---- */

static struct sysctl_node *child_of(const struct sysctl_node *dir, const char *name, size_t len)
{
	unsigned lo = 0, hi = dir->n;

	while (lo < hi) {
		unsigned mid = (lo + hi) / 2;
		const struct sysctl_node *c = dir->child[mid];
		int d = strncmp(c->name, name, MIN(c->len, len));
		if (!d)
			d = (c->len > len) - (c->len < len);
		if (!d)
			return dir->child[mid];
		if (d < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return NULL;
}

static int show(const struct file_at *at, FILE *out)
{
	return sysctl_show(at->net, at->node->row, at->dev, at->which, out);
}

static int store(const struct file_at *at, const char *text, size_t len)
{
	return sysctl_store(at->net, at->node->row, at->dev, at->which, text);
}

static uint16_t mode_in(const struct file_at *at)
{
	return sysctl_mode(at->net, at->node->row);
}

static struct sysctl_node *node_new(const char *name, size_t len)
{
	struct sysctl_node *n = calloc(1, sizeof(*n));

	if (!n)
		return NULL;
	n->name = name;
	n->len = len;
	n->file.mode = 0555;
	n->file.dir = &files_proc_sys;
	return n;
}

/* The entry of a directory, made if need be. NULL: out of memory. */
static struct sysctl_node *child_get(struct sysctl_node *dir, const char *name, size_t len)
{
	bool each = len == strlen(EACH) && !memcmp(name, EACH, len);
	struct sysctl_node *c = each ? dir->each : child_of(dir, name, len);
	unsigned i;

	if (c)
		return c;
	if (!each && dir->n == dir->room) {
		unsigned room = dir->room ? 2 * dir->room : 8;
		struct sysctl_node **more =
			realloc(dir->child, room * sizeof(struct sysctl_node *));
		if (!more)
			return NULL;
		dir->child = more;
		dir->room = room;
	}
	c = node_new(name, len);
	if (!c)
		return NULL;
	if (each) {
		dir->each = c;
		return c;
	}
	for (i = dir->n++; i; i--) {
		const struct sysctl_node *p = dir->child[i - 1];
		int d = strncmp(p->name, name, MIN(p->len, len));
		if (d < 0 || (!d && p->len < len))
			break;
		dir->child[i] = dir->child[i - 1];
	}
	dir->child[i] = c;
	return c;
}

static int add_row(struct sysctl_node *root, const struct sysctl_row *r)
{
	struct sysctl_node *n = root;
	const char *p = strchr(r->path, '/'); /* behind "net" */

	while (p) {
		size_t len = strcspn(++p, "/");
		n = child_get(n, p, len);
		if (!n)
			return -ENOMEM;
		p = p[len] ? p + len : NULL;
	}
	n->row = r;
	n->file.dir = NULL;
	n->file.mode_in = mode_in;
	n->file.show = show;
	n->file.store = store;
	return 0;
}

int files_sysctl_init(struct files *f, struct weft *weft)
{
	const struct sysctl_row *r;
	int err = 0;

	f->sysctls = node_new("net", 3);
	if (!f->sysctls)
		return -ENOMEM;
	for (unsigned i = 0; !err && (r = sysctl_row_at(weft->sysctls, i)); i++)
		err = add_row(f->sysctls, r);
	return err;
}

static void node_free(struct sysctl_node *n)
{
	if (!n)
		return;
	for (unsigned i = 0; i < n->n; i++)
		node_free(n->child[i]);
	node_free(n->each);
	free(n->child);
	free(n);
}

void files_sysctl_fini(struct files *f)
{
	node_free(f->sysctls);
	f->sysctls = NULL;
}

/* ---- walking ---- */

static const struct sysctl_node *node_of(const struct file_at *at)
{
	return at->node ? at->node : at->net->weft->files->sysctls;
}

/* Has the setting a value at this place; or, below "%s", any in the directory? */
static bool has_value(const struct file_at *at, const struct sysctl_node *n)
{
	if (n->row)
		return sysctl_where(at->net, n->row, at->dev, at->which) != NULL;
	if (!at->which)
		return true;
	for (unsigned i = 0; i < n->n; i++)
		if (has_value(at, n->child[i]))
			return true;
	return false;
}

static bool go(struct file_at *at, const struct sysctl_node *n)
{
	if (!has_value(at, n))
		return false;
	at->node = n;
	at->row = &n->file;
	return true;
}

static bool find(struct file_at *at, const char *name)
{
	const struct sysctl_node *n = node_of(at), *c = child_of(n, name, strlen(name));

	if (c)
		return go(at, c);
	if (!n->each)
		return false;
	/* the row keeps the name only as long as the call: these live on */
	at->which = !strcmp(name, "all") ? "all" : !strcmp(name, "default") ? "default" : NULL;
	at->dev = at->which ? NULL : file_dev_find(at->net, name);
	if (!at->which && !at->dev)
		return false;
	if (at->dev)
		at->which = at->dev->name;
	return go(at, n->each);
}

static void list_each(const struct file_at *dir, const struct sysctl_node *each,
		      const struct file_emit *e)
{
	static const char *const fixed[] = {"all", "default"};
	struct netdev *dev;

	for (unsigned i = 0; i < ARRAY_SIZE(fixed); i++) {
		struct file_at at = *dir;
		at.which = fixed[i];
		if (go(&at, each))
			file_emit(e, fixed[i], &at);
	}
	cds_list_for_each_entry (dev, &dir->net->devs, net_link) {
		struct file_at at = *dir;
		at.dev = dev;
		at.which = dev->name;
		if (go(&at, each))
			file_emit(e, dev->name, &at);
	}
}

static void list(const struct file_at *dir, const struct file_emit *e)
{
	const struct sysctl_node *n = node_of(dir);

	for (unsigned i = 0; i < n->n; i++) {
		const struct sysctl_node *c = n->child[i];
		struct file_at at = *dir;
		char name[64];

		if (!go(&at, c))
			continue;
		snprintf(name, sizeof(name), "%.*s", (int)c->len, c->name);
		file_emit(e, name, &at);
	}
	if (n->each)
		list_each(dir, n->each, e);
}

const struct file_dir files_proc_sys = {.find = find, .list = list};
