/*
 * stat: what programs ask about paths: stat, access, readlink, statfs, and the changes of files
 * that the network's do not allow.
 *
 * Answers come from the copies in the run directory. The file of a namespace carries the
 * namespace's number in its time of change, so that it is told without looking further; programs
 * are shown it as the inode that it is in a kernel.
 */
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/xattr.h>

#include "file.h"

/* ---- stat ---- */

static void show(struct stat *st)
{
	if (likely(st->st_mtim.tv_nsec != WEFT_NS_NSEC) || !S_ISREG(st->st_mode))
		return;
	st->st_ino = (ino_t)st->st_mtim.tv_sec;
	st->st_mtim = st->st_ctim;
}

/* A memfd of ours has the properties of the file it shows. */
static void show_fd(int fd, struct stat *st)
{
	struct path p;
	int saved = errno;
	struct stat file;

	if (likely(!file_dev) || st->st_dev != file_dev || !S_ISREG(st->st_mode)) {
		show(st);
		return;
	}
	if (file_of_fd(fd, &p) && !path_real(&p, PATH_LOOK) && !REAL(stat)(p.text, &file))
		*st = file;
	errno = saved;
}

static bool is_empty(int flags, const char *path)
{
	return flags & AT_EMPTY_PATH && (!path || !*path);
}

static int stat_at(int dirfd, const char *path, struct stat *st, int flags)
{
	struct path p;
	int result;

	if (path_ours(dirfd, path, !(flags & AT_SYMLINK_NOFOLLOW), &p))
		result = path_real(&p, PATH_LOOK) ? -1 : REAL(fstatat)(AT_FDCWD, p.text, st, flags);
	else
		result = REAL(fstatat)(dirfd, path, st, flags);
	if (result)
		return result;
	if (is_empty(flags, path))
		show_fd(dirfd, st);
	else
		show(st);
	return 0;
}

static int stat_fd(int fd, struct stat *st)
{
	int result = REAL(fstat)(fd, st);

	if (!result)
		show_fd(fd, st);
	return result;
}

SHIM_API int stat(const char *path, struct stat *st)
{
	return stat_at(AT_FDCWD, path, st, 0);
}

SHIM_API int lstat(const char *path, struct stat *st)
{
	return stat_at(AT_FDCWD, path, st, AT_SYMLINK_NOFOLLOW);
}

SHIM_API int fstat(int fd, struct stat *st)
{
	return stat_fd(fd, st);
}

SHIM_API int fstatat(int dirfd, const char *path, struct stat *st, int flags)
{
	return stat_at(dirfd, path, st, flags);
}

/* The two structures are one where files are of 64 bits. */
static_assert(sizeof(struct stat) == sizeof(struct stat64), "struct stat is not of 64 bits");

SHIM_API int stat64(const char *path, struct stat64 *st)
{
	return stat_at(AT_FDCWD, path, (struct stat *)st, 0);
}

SHIM_API int lstat64(const char *path, struct stat64 *st)
{
	return stat_at(AT_FDCWD, path, (struct stat *)st, AT_SYMLINK_NOFOLLOW);
}

SHIM_API int fstat64(int fd, struct stat64 *st)
{
	return stat_fd(fd, (struct stat *)st);
}

SHIM_API int fstatat64(int dirfd, const char *path, struct stat64 *st, int flags)
{
	return stat_at(dirfd, path, (struct stat *)st, flags);
}

/* What programs built before glibc 2.33 call. */
int __xstat(int version, const char *path, struct stat *st);
int __lxstat(int version, const char *path, struct stat *st);
int __fxstat(int version, int fd, struct stat *st);
int __fxstatat(int version, int dirfd, const char *path, struct stat *st, int flags);
int __xstat64(int version, const char *path, struct stat64 *st);
int __lxstat64(int version, const char *path, struct stat64 *st);
int __fxstat64(int version, int fd, struct stat64 *st);
int __fxstatat64(int version, int dirfd, const char *path, struct stat64 *st, int flags);

SHIM_API int __xstat(int version, const char *path, struct stat *st)
{
	return stat_at(AT_FDCWD, path, st, 0);
}

SHIM_API int __lxstat(int version, const char *path, struct stat *st)
{
	return stat_at(AT_FDCWD, path, st, AT_SYMLINK_NOFOLLOW);
}

SHIM_API int __fxstat(int version, int fd, struct stat *st)
{
	return stat_fd(fd, st);
}

SHIM_API int __fxstatat(int version, int dirfd, const char *path, struct stat *st, int flags)
{
	return stat_at(dirfd, path, st, flags);
}

SHIM_API int __xstat64(int version, const char *path, struct stat64 *st)
{
	return stat_at(AT_FDCWD, path, (struct stat *)st, 0);
}

SHIM_API int __lxstat64(int version, const char *path, struct stat64 *st)
{
	return stat_at(AT_FDCWD, path, (struct stat *)st, AT_SYMLINK_NOFOLLOW);
}

SHIM_API int __fxstat64(int version, int fd, struct stat64 *st)
{
	return stat_fd(fd, (struct stat *)st);
}

SHIM_API int __fxstatat64(int version, int dirfd, const char *path, struct stat64 *st, int flags)
{
	return stat_at(dirfd, path, (struct stat *)st, flags);
}

#define SHOWN_BY (STATX_MTIME | STATX_CTIME)

/* statx of a memfd of ours: of the file it shows. */
static int statx_fd(int fd, int flags, unsigned mask, struct statx *st)
{
	struct path p;

	if (file_of_fd(fd, &p) && !path_real(&p, PATH_LOOK))
		return REAL(statx)(AT_FDCWD, p.text, 0, mask, st);
	return REAL(statx)(fd, "", flags, mask, st);
}

SHIM_API int statx(int dirfd, const char *path, int flags, unsigned mask, struct statx *st)
{
	struct path p;
	int result;

	if (path_ours(dirfd, path, !(flags & AT_SYMLINK_NOFOLLOW), &p))
		result = path_real(&p, PATH_LOOK)
				 ? -1
				 : REAL(statx)(AT_FDCWD, p.text, flags, mask | SHOWN_BY, st);
	else if (file_dev && is_empty(flags, path))
		result = statx_fd(dirfd, flags, mask, st);
	else
		result = REAL(statx)(dirfd, path, flags, mask, st);
	if (!result && st->stx_mask & STATX_MTIME && st->stx_mtime.tv_nsec == WEFT_NS_NSEC &&
	    S_ISREG(st->stx_mode)) {
		st->stx_ino = (uint64_t)st->stx_mtime.tv_sec;
		st->stx_mtime = st->stx_ctime;
	}
	return result;
}

/* ---- access ---- */

static int access_at(int dirfd, const char *path, int mode, int flags)
{
	struct path p;

	if (!path_ours(dirfd, path, !(flags & AT_SYMLINK_NOFOLLOW), &p))
		return REAL(faccessat)(dirfd, path, mode, flags);
	return path_real(&p, PATH_LOOK) ? -1 : REAL(faccessat)(AT_FDCWD, p.text, mode, flags);
}

SHIM_API int access(const char *path, int mode)
{
	return access_at(AT_FDCWD, path, mode, 0);
}

SHIM_API int faccessat(int dirfd, const char *path, int mode, int flags)
{
	return access_at(dirfd, path, mode, flags);
}

SHIM_API int euidaccess(const char *path, int mode)
{
	return access_at(AT_FDCWD, path, mode, AT_EACCESS);
}

SHIM_API int eaccess(const char *path, int mode)
{
	return access_at(AT_FDCWD, path, mode, AT_EACCESS);
}

/* ---- readlink ---- */

static ssize_t readlink_at(int dirfd, const char *path, char *to, size_t size)
{
	struct path p;
	char text[40];

	/* the link to a namespace is the one whose target only we know */
	if (path_ours(dirfd, path, true, &p) && p.kind == PATH_NS) {
		int n = snprintf(text, sizeof(text), "net:[%llu]", (unsigned long long)p.ino);
		size_t len = (size_t)n < size ? (size_t)n : size;
		memcpy(to, text, len);
		return (ssize_t)len;
	}
	if (!path_ours(dirfd, path, false, &p))
		return REAL(readlinkat)(dirfd, path, to, size);
	return path_real(&p, PATH_LOOK) ? -1 : REAL(readlinkat)(AT_FDCWD, p.text, to, size);
}

SHIM_API ssize_t readlink(const char *path, char *to, size_t size)
{
	return readlink_at(AT_FDCWD, path, to, size);
}

SHIM_API ssize_t readlinkat(int dirfd, const char *path, char *to, size_t size)
{
	return readlink_at(dirfd, path, to, size);
}

ssize_t __readlink_chk(const char *path, char *to, size_t size, size_t room);
ssize_t __readlinkat_chk(int dirfd, const char *path, char *to, size_t size, size_t room);

SHIM_API ssize_t __readlink_chk(const char *path, char *to, size_t size, size_t room)
{
	if (size > room)
		return REAL(__readlink_chk)(path, to, size, room);
	return readlink_at(AT_FDCWD, path, to, size);
}

SHIM_API ssize_t __readlinkat_chk(int dirfd, const char *path, char *to, size_t size, size_t room)
{
	if (size > room)
		return REAL(__readlinkat_chk)(dirfd, path, to, size, room);
	return readlink_at(dirfd, path, to, size);
}

/* ---- attributes ---- */

/* The network's files have none. */
static ssize_t no_attributes(struct path *p)
{
	if (!path_real(p, PATH_LOOK))
		errno = EOPNOTSUPP;
	return -1;
}

SHIM_API ssize_t getxattr(const char *path, const char *name, void *value, size_t size)
{
	struct path p;

	return path_ours(AT_FDCWD, path, true, &p) ? no_attributes(&p)
						   : REAL(getxattr)(path, name, value, size);
}

SHIM_API ssize_t lgetxattr(const char *path, const char *name, void *value, size_t size)
{
	struct path p;

	return path_ours(AT_FDCWD, path, false, &p) ? no_attributes(&p)
						    : REAL(lgetxattr)(path, name, value, size);
}

SHIM_API ssize_t listxattr(const char *path, char *list, size_t size)
{
	struct path p;

	return path_ours(AT_FDCWD, path, true, &p) ? no_attributes(&p)
						   : REAL(listxattr)(path, list, size);
}

SHIM_API ssize_t llistxattr(const char *path, char *list, size_t size)
{
	struct path p;

	return path_ours(AT_FDCWD, path, false, &p) ? no_attributes(&p)
						    : REAL(llistxattr)(path, list, size);
}

/* ---- statfs ---- */

/* Where the kernel keeps such files itself. */
static const char *kernels(const struct path *p)
{
	if (p->kind == PATH_NS)
		return "/proc/self/ns/net";
	if (p->kind == PATH_REAL)
		return p->text;
	return strncmp(p->text, "/sys/", 5) ? "/proc" : "/sys";
}

static int statfs_path(const char *path, struct statfs *st)
{
	struct path p;

	return REAL(statfs)(path_ours(AT_FDCWD, path, true, &p) ? kernels(&p) : path, st);
}

static int statfs_fd(int fd, struct statfs *st)
{
	struct path p;
	struct stat file;

	if (shim_on()) {
		if (file_of_fd(fd, &p) || (path_of_fd(fd, p.text) && path_shown(p.text, PATH_MAX) &&
					   strncmp(p.text, "/run/", 5)))
			return REAL(statfs)(strncmp(p.text, "/sys/", 5) ? "/proc" : "/sys", st);
		if (!REAL(fstat)(fd, &file) && file.st_mtim.tv_nsec == WEFT_NS_NSEC)
			return REAL(statfs)("/proc/self/ns/net", st);
	}
	return REAL(fstatfs)(fd, st);
}

static_assert(sizeof(struct statfs) == sizeof(struct statfs64), "struct statfs is not of 64 bits");

SHIM_API int statfs(const char *path, struct statfs *st)
{
	return statfs_path(path, st);
}

SHIM_API int statfs64(const char *path, struct statfs64 *st)
{
	return statfs_path(path, (struct statfs *)st);
}

SHIM_API int fstatfs(int fd, struct statfs *st)
{
	return statfs_fd(fd, st);
}

SHIM_API int fstatfs64(int fd, struct statfs64 *st)
{
	return statfs_fd(fd, (struct statfs *)st);
}
