/*
 * shadow: real copies of directories below /proc and /sys, for readdir, stat and access.
 *
 * <dir>/shadow/<ino>/<path> has the names, kinds and modes that files_list() tells; the files in it
 * are empty, with the sizes that the kernel tells (0, or a page below /sys). A request brings up to
 * date what it names, and if it is a directory to be read, the names in it. Links are real links,
 * relative ones, so what they lead to is brought up to date as well. Directories keep the owner's
 * write bit: we have to change them.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ctl/files.h"
#include "daemon.h"

#define LINKS_MAX 8
#define DEPTH_MAX 16

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *at)
{
	(void)remove(path);
	return 0;
}

void tree_remove(const char *path)
{
	nftw(path, remove_one, 32, FTW_DEPTH | FTW_PHYS);
}

static void root_of(const struct ns *ns, char *to)
{
	snprintf(to, PATH_MAX, "%s/shadow/%llu", ns->d->dir, (unsigned long long)ns->net->ino);
}

void shadow_remove(struct ns *ns)
{
	char root[PATH_MAX];

	root_of(ns, root);
	tree_remove(root);
}

/* ---- one level ---- */

struct level {
	int fd; /* of the real directory */
	char **names;
	size_t n, room;
	off_t size; /* of files */
	int err;
};

static off_t size_below(const char *path)
{
	return strncmp(path, "/sys/", 5) ? 0 : 4096;
}

static bool is_right(const struct stat *is, const struct file_stat *want)
{
	switch (want->kind) {
	case FILE_DIR:
		return S_ISDIR(is->st_mode);
	case FILE_LINK:
		return S_ISLNK(is->st_mode);
	default:
		return S_ISREG(is->st_mode);
	}
}

static bool link_is(int fd, const char *name, const char *target)
{
	char now[PATH_MAX];
	ssize_t n = readlinkat(fd, name, now, sizeof(now));

	return n >= 0 && (size_t)n == strlen(target) && !memcmp(now, target, (size_t)n);
}

static int make(int fd, const char *name, const struct file_stat *st, off_t size)
{
	mode_t mode = st->mode & 0777;
	int f;

	switch (st->kind) {
	case FILE_DIR:
		if (mkdirat(fd, name, 0700))
			return -errno;
		return fchmodat(fd, name, mode | 0700, 0) ? -errno : 0;
	case FILE_LINK:
		return symlinkat(st->target, fd, name) ? -errno : 0;
	default:
		f = openat(fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
		if (f < 0)
			return -errno;
		int err = ftruncate(f, size) || fchmod(f, mode) ? -errno : 0;
		close(f);
		return err;
	}
}

/* Makes name what st says. */
static int update(int fd, const char *name, const struct file_stat *st, off_t size)
{
	struct stat is;

	if (!fstatat(fd, name, &is, AT_SYMLINK_NOFOLLOW)) {
		if (is_right(&is, st) &&
		    (st->kind == FILE_LINK
			     ? link_is(fd, name, st->target)
			     : (is.st_mode & 0777) == (st->mode & 0777u) || st->kind == FILE_DIR))
			return 0;
		if (S_ISDIR(is.st_mode)) {
			char path[PATH_MAX];
			snprintf(path, sizeof(path), "/proc/self/fd/%d/%s", fd, name);
			tree_remove(path);
		} else {
			unlinkat(fd, name, 0);
		}
	}
	return make(fd, name, st, size);
}

static void one_name(void *arg, const char *name, const struct file_stat *st)
{
	struct level *l = arg;

	if (l->err || st->kind == FILE_NONE || strchr(name, '/') || !strcmp(name, ".") ||
	    !strcmp(name, ".."))
		return;
	if (l->n == l->room) {
		size_t room = l->room ? 2 * l->room : 64;
		char **names = realloc(l->names, room * sizeof(*names));
		if (!names) {
			l->err = -ENOMEM;
			return;
		}
		l->names = names;
		l->room = room;
	}
	l->names[l->n] = strdup(name);
	if (!l->names[l->n]) {
		l->err = -ENOMEM;
		return;
	}
	l->n++;
	int err = update(l->fd, name, st, l->size);
	if (err && err != -EEXIST)
		l->err = err;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Removes what is not listed (any more). */
static void sweep(struct level *l)
{
	DIR *dir = fdopendir(dup(l->fd));
	struct dirent *e;

	if (!dir)
		return;
	rewinddir(dir);
	qsort(l->names, l->n, sizeof(*l->names), by_name);
	while ((e = readdir(dir))) {
		const char *name = e->d_name;
		if (!strcmp(name, ".") || !strcmp(name, "..") ||
		    (l->n && bsearch(&name, l->names, l->n, sizeof(*l->names), by_name)))
			continue;
		if (unlinkat(l->fd, name, 0) && errno == EISDIR) {
			char path[PATH_MAX];
			snprintf(path, sizeof(path), "/proc/self/fd/%d/%s", l->fd, name);
			tree_remove(path);
		}
	}
	closedir(dir);
}

static int refresh_below(struct net *net, const char *path, const char *real, int depth);

static int refresh_dir(struct net *net, const char *path, const char *real, int depth)
{
	struct level l = {.fd = open(real, O_RDONLY | O_DIRECTORY | O_CLOEXEC),
			  .size = size_below(path)};

	if (l.fd < 0)
		return -errno;
	int err = files_list(net, path, one_name, &l);
	if (!err)
		err = l.err;
	if (!err)
		sweep(&l);
	for (size_t i = 0; i < l.n; i++)
		free(l.names[i]);
	free(l.names);
	close(l.fd);
	return err || !depth ? err : refresh_below(net, path, real, depth - 1);
}

/* The directories in a directory that is up to date. */
static int refresh_below(struct net *net, const char *path, const char *real, int depth)
{
	char path_of[PATH_MAX], real_of[PATH_MAX];
	DIR *dir = opendir(real);
	struct dirent *e;
	int err = 0;

	if (!dir)
		return -errno;
	while (!err && (e = readdir(dir))) {
		if (e->d_type != DT_DIR || !strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
			continue;
		if (snprintf(path_of, PATH_MAX, "%s/%s", path, e->d_name) < PATH_MAX &&
		    snprintf(real_of, PATH_MAX, "%s/%s", real, e->d_name) < PATH_MAX)
			err = refresh_dir(net, path_of, real_of, depth);
	}
	closedir(dir);
	return err == -ENOENT ? 0 : err;
}

/* ---- the way down ---- */

/* Replaces the first `at` bytes of path, a link with that target, by what it points to. */
static int follow(char *path, size_t at, const char *target)
{
	char joined[2 * PATH_MAX];
	size_t parent = at;

	while (parent && path[parent - 1] != '/')
		parent--;
	int n = target[0] == '/' ? snprintf(joined, sizeof(joined), "%s%s", target, path + at)
				 : snprintf(joined, sizeof(joined), "%.*s%s%s", (int)parent, path,
					    target, path + at);
	if (n < 0 || n >= PATH_MAX)
		return -ENAMETOOLONG;
	return file_normalise(joined, path) ? 0 : -ENOENT;
}

/* Sees to it that root + the first `at` bytes of path is a real directory. */
static int real_dir(const char *root, const char *path, size_t at, char *real)
{
	if (snprintf(real, PATH_MAX, "%s%.*s", root, (int)at, path) >= PATH_MAX)
		return -ENAMETOOLONG;
	return mkdir(real, 0755) && errno != EEXIST ? -errno : 0;
}

/* Sees to it that the file or link at the end of path is as it should be. root + the first `dir`
 * bytes of path is there. */
static int refresh_one(const char *root, const char *path, size_t dir, const struct file_stat *st)
{
	char real[PATH_MAX];

	if (snprintf(real, PATH_MAX, "%s%.*s", root, (int)dir, path) >= PATH_MAX)
		return -ENAMETOOLONG;
	int fd = open(real, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	int err = update(fd, path + dir + 1, st, size_below(path));
	close(fd);
	return err;
}

/* Walks one path down. 0: done; 1: path was rewritten by a link, walk again. */
static int walk(struct net *net, const char *root, char *path, enum weft_depth depth)
{
	char real[PATH_MAX], part[PATH_MAX];
	size_t len = strlen(path), dir = 0;
	struct file_stat st;
	int err;

	for (size_t at = 1; at <= len; at++) {
		bool last = at == len;
		if (!last && path[at] != '/')
			continue;
		snprintf(part, sizeof(part), "%.*s", (int)at, path);
		memset(&st, 0, sizeof(st));
		err = files_stat(net, part, &st);
		if (err)
			return err;
		if (st.kind == FILE_NONE && last)
			return -ENOENT;
		if (st.kind == FILE_LINK || (st.kind == FILE_REG && last)) {
			err = refresh_one(root, part, dir, &st);
			if (err || st.kind == FILE_REG)
				return err;
			err = follow(path, at, st.target);
			return err ? err : 1;
		}
		if (st.kind == FILE_REG)
			return -ENOTDIR;
		/* what lies above our tables (/proc, /sys) is made as it is needed */
		err = real_dir(root, path, at, real);
		if (err)
			return err;
		dir = at;
	}
	if (depth == WEFT_DEPTH_LOOK)
		return 0;
	return refresh_dir(net, path, real, depth == WEFT_DEPTH_TREE ? DEPTH_MAX : 0);
}

/* A path that is no longer there must not be in the copy, either. */
static int gone(const char *where)
{
	tree_remove(where);
	return -ENOENT;
}

int shadow_refresh(struct ns *ns, const char *path, enum weft_depth depth, char *where, size_t room)
{
	char at[PATH_MAX], root[PATH_MAX];
	int err = 1;

	if (!file_normalise(path, at))
		return -ENOENT;
	root_of(ns, root);
	if (mkdir(root, 0755) && errno != EEXIST)
		return -errno;
	if (snprintf(where, room, "%s%s", root, at) >= (int)room)
		return -ENAMETOOLONG;
	for (int i = 0; err == 1 && i < LINKS_MAX; i++)
		err = walk(ns->net, root, at, depth);
	if (err == -ENOENT)
		return gone(where);
	return err == 1 ? -ELOOP : err;
}
