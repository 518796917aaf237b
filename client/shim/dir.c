/*
 * dir: directories of the network: read, gone into, searched, and names in them changed.
 *
 * The C library's own walks (glob, nftw, scandir) do not come by our opendir, so they are given the
 * copy, or our functions, to walk.
 */
#include <dirent.h>
#include <errno.h>
#include <ftw.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <sys/stat.h>

#include "list.h"
#include "path.h"

/* ---- reading ---- */

/* The path of the kernel's for a directory whose names will be read: path itself, p's text, or
 * NULL. */
static const char *listed(int dirfd, const char *path, struct path *p, enum path_depth depth)
{
	if (!path_ours(dirfd, path, true, p))
		return path;
	if (path_real(p, depth))
		return NULL;
	path_inside = true;
	return p->text;
}

SHIM_API DIR *opendir(const char *path)
{
	struct path p;
	const char *at = listed(AT_FDCWD, path, &p, PATH_LIST);

	DIR *dir = at ? REAL(opendir)(at) : NULL;
	return dir && at != path ? list_new(dir, at) : dir;
}

SHIM_API int scandir(const char *path, struct dirent ***list, int (*filter)(const struct dirent *),
		     int (*compare)(const struct dirent **, const struct dirent **))
{
	struct path p;
	const char *at = listed(AT_FDCWD, path, &p, PATH_LIST);

	return at ? REAL(scandir)(at, list, filter, compare) : -1;
}

SHIM_API int scandir64(const char *path, struct dirent64 ***list,
		       int (*filter)(const struct dirent64 *),
		       int (*compare)(const struct dirent64 **, const struct dirent64 **))
{
	struct path p;
	const char *at = listed(AT_FDCWD, path, &p, PATH_LIST);

	return at ? REAL(scandir64)(at, list, filter, compare) : -1;
}

SHIM_API int scandirat(int dirfd, const char *path, struct dirent ***list,
		       int (*filter)(const struct dirent *),
		       int (*compare)(const struct dirent **, const struct dirent **))
{
	struct path p;
	const char *at = listed(dirfd, path, &p, PATH_LIST);

	return !at ? -1 : REAL(scandirat)(at == path ? dirfd : AT_FDCWD, at, list, filter, compare);
}

/* ---- glob ---- */

static void *glob_opendir(const char *path)
{
	return opendir(path);
}

static struct dirent *glob_readdir(void *dir)
{
	return readdir(dir);
}

static void glob_closedir(void *dir)
{
	closedir(dir);
}

static bool may_be_ours(const char *pattern)
{
	return shim_on() && (strstr(pattern, "/proc") || strstr(pattern, "/sys") ||
			     strstr(pattern, "/run") || path_inside);
}

SHIM_API int glob(const char *pattern, int flags, int (*error)(const char *, int), glob_t *g)
{
	if (!may_be_ours(pattern) || flags & GLOB_ALTDIRFUNC)
		return REAL(glob)(pattern, flags, error, g);
	g->gl_opendir = glob_opendir;
	g->gl_readdir = glob_readdir;
	g->gl_closedir = glob_closedir;
	g->gl_stat = stat;
	g->gl_lstat = lstat;
	int result = REAL(glob)(pattern, flags | GLOB_ALTDIRFUNC, error, g);
	g->gl_flags &= ~GLOB_ALTDIRFUNC;
	return result;
}

static_assert(sizeof(glob_t) == sizeof(glob64_t) &&
		      sizeof(struct dirent) == sizeof(struct dirent64),
	      "files are not of 64 bits");

SHIM_API int glob64(const char *pattern, int flags, int (*error)(const char *, int), glob64_t *g)
{
	return glob(pattern, flags, error, (glob_t *)g);
}

/* ---- nftw ---- */

/* A walk through a copy: the program is shown the paths that it asked for. */
static __thread struct walk {
	int (*fn)(const char *, const struct stat *, int, struct FTW *);
	int (*old_fn)(const char *, const struct stat *, int);
	const char *asked; /* instead of the first `skip` bytes */
	size_t skip;
} * walk __attribute__((tls_model("initial-exec")));

static int step(const char *path, const struct stat *st, int type, struct FTW *at)
{
	char shown[PATH_MAX];
	struct FTW moved = {.level = at->level};

	if (snprintf(shown, sizeof(shown), "%s%s", walk->asked, path + walk->skip) >=
	    (int)sizeof(shown))
		return 0;
	moved.base = at->base + (int)strlen(walk->asked) - (int)walk->skip;
	return walk->fn ? walk->fn(shown, st, type, &moved) : walk->old_fn(shown, st, type);
}

static int walk_copy(struct walk *w, struct path *p, int n_fds, int flags)
{
	struct walk *outer = walk;

	if (path_real(p, PATH_TREE))
		return -1;
	w->skip = strlen(p->text);
	walk = w;
	int result = REAL(nftw)(p->text, step, n_fds, flags & ~FTW_CHDIR);
	walk = outer;
	return result;
}

SHIM_API int nftw(const char *path, int (*fn)(const char *, const struct stat *, int, struct FTW *),
		  int n_fds, int flags)
{
	struct walk w = {.fn = fn, .asked = path};
	struct path p;

	if (!path_ours(AT_FDCWD, path, true, &p))
		return REAL(nftw)(path, fn, n_fds, flags);
	return walk_copy(&w, &p, n_fds, flags);
}

SHIM_API int nftw64(const char *path,
		    int (*fn)(const char *, const struct stat64 *, int, struct FTW *), int n_fds,
		    int flags)
{
	return nftw(path, (int (*)(const char *, const struct stat *, int, struct FTW *))fn, n_fds,
		    flags);
}

SHIM_API int ftw(const char *path, int (*fn)(const char *, const struct stat *, int), int n_fds)
{
	struct walk w = {.old_fn = fn, .asked = path};
	struct path p;

	if (!path_ours(AT_FDCWD, path, true, &p))
		return REAL(ftw)(path, fn, n_fds);
	return walk_copy(&w, &p, n_fds, 0);
}

SHIM_API int ftw64(const char *path, int (*fn)(const char *, const struct stat64 *, int), int n_fds)
{
	return ftw(path, (int (*)(const char *, const struct stat *, int))fn, n_fds);
}

/* ---- the working directory ---- */

SHIM_API int chdir(const char *path)
{
	struct path p;
	const char *at = listed(AT_FDCWD, path, &p, PATH_LIST);

	return at ? REAL(chdir)(at) : -1;
}

SHIM_API char *getcwd(char *buf, size_t size)
{
	char *at = REAL(getcwd)(buf, size);

	if (at && unlikely(path_inside))
		path_shown(at, size ? size : strlen(at) + 1);
	return at;
}

char *__getcwd_chk(char *buf, size_t size, size_t room);

SHIM_API char *__getcwd_chk(char *buf, size_t size, size_t room)
{
	return size > room ? REAL(__getcwd_chk)(buf, size, room) : getcwd(buf, size);
}

SHIM_API char *get_current_dir_name(void)
{
	return likely(!path_inside) ? REAL(get_current_dir_name)() : getcwd(NULL, 0);
}

/* ---- realpath ---- */

static char *shown_realpath(struct path *p, char *to)
{
	char room[PATH_MAX];

	if (path_real(p, PATH_LOOK) || !REAL(realpath)(p->text, room))
		return NULL;
	path_shown(room, sizeof(room));
	return to ? strcpy(to, room) : strdup(room);
}

SHIM_API char *realpath(const char *path, char *to)
{
	struct path p;

	if (!path_ours(AT_FDCWD, path, true, &p) || p.kind == PATH_NS)
		return REAL(realpath)(path, to);
	return shown_realpath(&p, to);
}

SHIM_API char *canonicalize_file_name(const char *path)
{
	return realpath(path, NULL);
}

char *__realpath_chk(const char *path, char *to, size_t room);

SHIM_API char *__realpath_chk(const char *path, char *to, size_t room)
{
	return room < PATH_MAX ? REAL(__realpath_chk)(path, to, room) : realpath(path, to);
}

/* ---- changes ---- */

/* The path of the kernel's for a call that changes names or modes; NULL with errno. The network's
 * own files do not take any. */
static const char *changed(int *dirfd, const char *path, bool follow, struct path *p)
{
	if (!path_ours(*dirfd, path, follow, p))
		return path;
	if (p->kind == PATH_NET) {
		errno = path_real(p, PATH_LOOK) ? errno : EPERM;
		return NULL;
	}
	*dirfd = AT_FDCWD;
	return path_real(p, PATH_LOOK) ? NULL : p->text;
}

/* A name on which a namespace is mounted. */
static bool is_mounted(const char *path)
{
	struct stat st;

	return !syscall(SYS_newfstatat, AT_FDCWD, path, &st, AT_SYMLINK_NOFOLLOW) &&
	       st.st_mtim.tv_nsec == WEFT_NS_NSEC;
}

SHIM_API int unlinkat(int dirfd, const char *path, int flags)
{
	struct path p;
	const char *at = changed(&dirfd, path, false, &p);

	if (at && at != path && is_mounted(at))
		return shim_ret(-EBUSY);
	return at ? REAL(unlinkat)(dirfd, at, flags) : -1;
}

SHIM_API int unlink(const char *path)
{
	return unlinkat(AT_FDCWD, path, 0);
}

SHIM_API int rmdir(const char *path)
{
	return unlinkat(AT_FDCWD, path, AT_REMOVEDIR);
}

SHIM_API int remove(const char *path)
{
	struct path p;

	if (!path_ours(AT_FDCWD, path, false, &p))
		return REAL(remove)(path);
	return unlinkat(AT_FDCWD, path, 0);
}

static int no_mkdir(struct path *p)
{
	bool sys = !strncmp(p->text, "/sys/", 5);

	if (!path_real(p, PATH_LOOK))
		errno = EEXIST;
	else if (sys && errno == ENOENT)
		errno = EPERM;
	return -1;
}

SHIM_API int mkdirat(int dirfd, const char *path, mode_t mode)
{
	struct path p;

	if (path_ours(dirfd, path, false, &p) && p.kind == PATH_NET)
		return no_mkdir(&p);
	const char *at = changed(&dirfd, path, false, &p);
	return at ? REAL(mkdirat)(dirfd, at, mode) : -1;
}

SHIM_API int mkdir(const char *path, mode_t mode)
{
	return mkdirat(AT_FDCWD, path, mode);
}

SHIM_API int renameat2(int from_fd, const char *from, int to_fd, const char *to, unsigned flags)
{
	struct path p, q;
	const char *a = changed(&from_fd, from, false, &p);
	const char *b = a ? changed(&to_fd, to, false, &q) : NULL;

	if (!b)
		return -1;
	if ((a != from && is_mounted(a)) || (b != to && is_mounted(b)))
		return shim_ret(-EBUSY);
	return REAL(renameat2)(from_fd, a, to_fd, b, flags);
}

SHIM_API int renameat(int from_fd, const char *from, int to_fd, const char *to)
{
	return renameat2(from_fd, from, to_fd, to, 0);
}

SHIM_API int rename(const char *from, const char *to)
{
	return renameat2(AT_FDCWD, from, AT_FDCWD, to, 0);
}

SHIM_API int fchmodat(int dirfd, const char *path, mode_t mode, int flags)
{
	struct path p;
	const char *at = changed(&dirfd, path, !(flags & AT_SYMLINK_NOFOLLOW), &p);

	return at ? REAL(fchmodat)(dirfd, at, mode, flags) : -1;
}

SHIM_API int chmod(const char *path, mode_t mode)
{
	return fchmodat(AT_FDCWD, path, mode, 0);
}

SHIM_API int fchownat(int dirfd, const char *path, uid_t uid, gid_t gid, int flags)
{
	struct path p;
	const char *at = changed(&dirfd, path, !(flags & AT_SYMLINK_NOFOLLOW), &p);

	return at ? REAL(fchownat)(dirfd, at, uid, gid, flags) : -1;
}

SHIM_API int chown(const char *path, uid_t uid, gid_t gid)
{
	return fchownat(AT_FDCWD, path, uid, gid, 0);
}

SHIM_API int lchown(const char *path, uid_t uid, gid_t gid)
{
	return fchownat(AT_FDCWD, path, uid, gid, AT_SYMLINK_NOFOLLOW);
}

SHIM_API int inotify_add_watch(int fd, const char *path, uint32_t mask)
{
	struct path p;
	const char *at = listed(AT_FDCWD, path, &p, PATH_LIST);

	return at ? REAL(inotify_add_watch)(fd, at, mask) : -1;
}
