/*
 * files: the tree below /proc/net, /proc/sys/net and /sys/class/net: paths to places.
 */
#include "ctl/files_core.h"

#include <ctype.h>

#include "net/sysctl.h"

#define LINKS_MAX 8
#define STORE_MAX (64 * 1024) /* as the kernel's sysctl: more is ENOMEM */
#define NAME_MAX_ 255
#define PROC_DIR(path, d)                                                                          \
	{                                                                                          \
		.name = path, .mode = 0555, .dir = &(d)                                            \
	}

/* Where the trees hang. /proc/net is a link to self/net on Linux, so all three names lead there. */
static const struct file_row proc_roots[] = {
	PROC_DIR("/proc/net", files_proc_net),
	PROC_DIR("/proc/self/net", files_proc_net),
	PROC_DIR("/proc/thread-self/net", files_proc_net),
	PROC_DIR("/proc/sys/net", files_proc_sys),
	{.name = NULL},
};

/* ---- for the other files ---- */

static enum file_kind kind_of(const struct file_row *r)
{
	if (r->dir)
		return FILE_DIR;
	return r->target ? FILE_LINK : FILE_REG;
}

static void fill_stat(const struct file_at *at, struct file_stat *st)
{
	memset(st, 0, sizeof(*st));
	st->kind = kind_of(at->row);
	st->mode = at->row->mode_in ? at->row->mode_in(at) : at->row->mode;
	if (st->kind == FILE_LINK)
		at->row->target(at, st->target, sizeof(st->target));
}

void file_emit(const struct file_emit *e, const char *name, const struct file_at *at)
{
	struct file_stat st;

	fill_stat(at, &st);
	e->fn(e->arg, name, &st);
}

const struct file_row *file_row_find(const struct file_row *rows, const char *name)
{
	for (const struct file_row *r = rows; r && r->name; r++)
		if (!strcmp(r->name, name))
			return r;
	return NULL;
}

struct netdev *file_dev_find(struct net *net, const char *name)
{
	struct netdev *dev = net_dev_by_name(net, name);

	return dev && !strcmp(dev->name, name) ? dev : NULL;
}

int file_read_ulong(const char *text, unsigned long *v)
{
	char *end;

	if (*text == '+')
		text++;
	if (!isxdigit((unsigned char)*text))
		return -EINVAL;
	errno = 0;
	*v = strtoul(text, &end, 0);
	if (end == text || (*end == '\n' ? end[1] : *end))
		return -EINVAL;
	return errno ? -ERANGE : 0;
}

/* ---- the way down ---- */

/* One step from a directory. */
static bool step(struct file_at *at, const char *name)
{
	const struct file_dir *dir = at->row->dir;
	const struct file_row *r = file_row_find(dir->rows, name);

	if (r && (!r->exists || r->exists(at))) {
		at->row = r;
		return true;
	}
	return dir->find && dir->find(at, name);
}

/* The root that path is at or below, and what follows of the path; NULL. */
static const struct file_row *root_of(const struct file_row *roots, const char *path,
				      const char **rest)
{
	for (const struct file_row *r = roots; r->name; r++) {
		size_t n = strlen(r->name);
		if (strncmp(path, r->name, n) || (path[n] && path[n] != '/'))
			continue;
		*rest = path + n;
		return r;
	}
	return NULL;
}

/* Follows links at a place until it is none. */
static int follow(struct file_at *at)
{
	for (unsigned i = 0; at->row->target; i++) {
		if (i == LINKS_MAX)
			return -ELOOP;
		at->row->follow(at);
	}
	return 0;
}

/* Goes to a path; a link at its end is followed if `through`. 0, -ENOENT, -ENOTDIR, ... */
static int walk(struct net *net, const char *path, bool through, struct file_at *at)
{
	const char *rest;
	const struct file_row *root = root_of(proc_roots, path, &rest);
	char name[NAME_MAX_ + 1];
	int err;

	if (!root)
		root = root_of(files_sys_roots, path, &rest);
	if (!root)
		return -ENOENT;
	*at = (struct file_at){.net = net, .row = root};
	while (*rest) {
		size_t n = strcspn(++rest, "/");
		if (!n)
			break; /* a slash at the end */
		if (n > NAME_MAX_)
			return -ENAMETOOLONG;
		memcpy(name, rest, n);
		name[n] = 0;
		rest += n;
		err = follow(at);
		if (err)
			return err;
		if (!at->row->dir)
			return -ENOTDIR;
		if (!step(at, name))
			return -ENOENT;
	}
	return through ? follow(at) : 0;
}

/* ---- files.h ---- */

int files_stat(struct net *net, const char *path, struct file_stat *st)
{
	struct file_at at;
	int err = walk(net, path, false, &at);

	if (err == -ENOENT) {
		*st = (struct file_stat){.kind = FILE_NONE};
		return 0;
	}
	if (!err)
		fill_stat(&at, st);
	return err;
}

int files_show(struct net *net, const char *path, FILE *out)
{
	struct file_stat st;
	struct file_at at;
	int err = walk(net, path, true, &at);

	if (err)
		return err;
	if (at.row->dir)
		return -EISDIR;
	fill_stat(&at, &st);
	if (!(st.mode & 0444))
		return -EACCES;
	if (at.row->show)
		return at.row->show(&at, out);
	at.row->print(net, out);
	return 0;
}

int files_store(struct net *net, const char *path, const char *text, size_t len)
{
	struct file_stat st;
	struct file_at at;
	int err = walk(net, path, true, &at);

	if (err)
		return err;
	if (at.row->dir)
		return -EISDIR;
	fill_stat(&at, &st);
	if (!at.row->store || !(st.mode & 0222))
		return -EACCES;
	if (!len)
		return 0;
	if (len > STORE_MAX)
		return -ENOMEM;
	char *copy = strndup(text, len);
	if (!copy)
		return -ENOMEM;
	err = at.row->store(&at, copy, strlen(copy));
	free(copy);
	return err;
}

int files_list(struct net *net, const char *path,
	       void (*fn)(void *arg, const char *name, const struct file_stat *st), void *arg)
{
	const struct file_emit e = {fn, arg};
	struct file_at at;
	int err = walk(net, path, true, &at);

	if (err)
		return err;
	if (!at.row->dir)
		return -ENOTDIR;
	for (const struct file_row *r = at.row->dir->rows; r && r->name; r++) {
		struct file_at in = at;
		if (r->exists && !r->exists(&at))
			continue;
		in.row = r;
		file_emit(&e, r->name, &in);
	}
	if (at.row->dir->list)
		at.row->dir->list(&at, &e);
	return 0;
}

int files_init(struct weft *weft)
{
	struct files *f = calloc(1, sizeof(*f));

	if (!f)
		return -ENOMEM;
	int err = files_sysctl_init(f, weft);
	if (err) {
		files_sysctl_fini(f);
		free(f);
		return err;
	}
	weft->files = f;
	return 0;
}

void files_fini(struct weft *weft)
{
	if (!weft->files)
		return;
	files_sysctl_fini(weft->files);
	free(weft->files);
	weft->files = NULL;
}
