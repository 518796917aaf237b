/*
 * ns: unshare, setns, clone, mount and umount, as far as network namespaces go.
 *
 * A namespace is entered by request, never in the kernel. What is asked for besides goes on to the
 * kernel. `ip netns exec` and `ip -n` make a namespace of mounts, too, to see /sys of the namespace
 * they enter: we show it without that, so where the kernel refuses, nothing is missing and success
 * is told; but only to a thread that has entered a namespace of the network just before.
 */
#include "ns.h"

#include <errno.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "path.h"

static __thread struct {
	bool entered;	    /* has come into a namespace by setns */
	bool shares_mounts; /* and believes that it has mounts of its own */
} thread __attribute__((tls_model("initial-exec")));

/* ---- entering ---- */

static int enter(uint32_t op, uint64_t ino)
{
	struct shim_req r = {.op = op, .arg = {ino}};
	int err = shim_call(&r);

	if (err)
		return err;
	if (r.fd < 0)
		return -EPROTO;
	shim_netns_set(r.rep.arg0, r.fd);
	return 0;
}

SHIM_API int unshare(int flags)
{
	int rest = flags & ~CLONE_NEWNET;

	if (!shim_on())
		return REAL(unshare)(flags);
	if (rest && REAL(unshare)(rest)) {
		if (errno != EPERM || rest != CLONE_NEWNS || !thread.entered)
			return -1;
		thread.shares_mounts = true;
	}
	return flags & CLONE_NEWNET ? shim_ret(enter(WEFT_OP_NS_NEW, 0)) : 0;
}

/* The namespace whose file this is; 0: none of ours. */
static uint64_t ns_of_file(const struct stat *st)
{
	char path[PATH_MAX];
	struct stat own;
	unsigned long long ino = (unsigned long long)st->st_mtim.tv_sec;

	if (st->st_mtim.tv_nsec != WEFT_NS_NSEC || !S_ISREG(st->st_mode))
		return 0;
	snprintf(path, sizeof(path), "%s/ns/%llu", shim_dir(), ino);
	if (syscall(SYS_newfstatat, AT_FDCWD, path, &own, 0) || own.st_ino != st->st_ino ||
	    own.st_dev != st->st_dev)
		return 0;
	return ino;
}

static uint64_t ns_of_fd(int fd)
{
	struct stat st;

	return syscall(SYS_newfstatat, fd, "", &st, AT_EMPTY_PATH) ? 0 : ns_of_file(&st);
}

static uint64_t ns_at(const char *path)
{
	struct stat st;

	return syscall(SYS_newfstatat, AT_FDCWD, path, &st, 0) ? 0 : ns_of_file(&st);
}

static uint64_t ns_of(const struct path *p)
{
	return p->kind == PATH_NS ? p->ino : ns_at(p->text);
}

static uint64_t ns_of_path(const char *path)
{
	struct path p;

	if (!path_ours(AT_FDCWD, path, true, &p))
		return ns_at(path);
	return p.kind == PATH_NET ? 0 : ns_of(&p);
}

/* The process that a pidfd is of, or 0. */
static pid_t pid_of_fd(int fd)
{
	char path[PATH_MAX], text[512], *line;

	if (!path_of_fd(fd, path) || strcmp(path, "anon_inode:[pidfd]"))
		return 0;
	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	int info = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
	ssize_t n = syscall(SYS_read, info, text, sizeof(text) - 1);
	syscall(SYS_close, info);
	text[n > 0 ? n : 0] = 0;
	line = strstr(text, "\nPid:");
	return line ? (pid_t)strtol(line + 5, NULL, 10) : 0;
}

/* setns to what else a process is in, and to its network. */
static int set_of_pid(int fd, pid_t pid, int type)
{
	struct shim_req r = {.op = WEFT_OP_NS_OF_PID, .arg = {(uint64_t)pid}};
	int rest = type & ~CLONE_NEWNET;
	int err = shim_call(&r);

	if (err)
		return shim_ret(err);
	if (rest && REAL(setns)(fd, rest))
		return -1;
	return shim_ret(enter(WEFT_OP_NS_SET, r.rep.arg0));
}

SHIM_API int setns(int fd, int type)
{
	uint64_t ino;
	pid_t pid;

	if (!shim_on() || (type && !(type & CLONE_NEWNET)))
		return REAL(setns)(fd, type);
	if ((ino = ns_of_fd(fd))) {
		if (type & ~CLONE_NEWNET)
			return shim_ret(-EINVAL);
		thread.entered = true;
		return shim_ret(enter(WEFT_OP_NS_SET, ino));
	}
	if (type && (pid = pid_of_fd(fd)))
		return set_of_pid(fd, pid, type);
	return REAL(setns)(fd, type);
}

/* ---- ioctl ---- */

bool ns_ioctl(int fd, unsigned long cmd, int *result)
{
	if (!shim_on() || !ns_of_fd(fd))
		return false;
	switch (cmd) {
	case NS_GET_NSTYPE:
		*result = CLONE_NEWNET;
		return true;
	case NS_GET_USERNS:
		*result = REAL(open)("/proc/self/ns/user", O_RDONLY | O_CLOEXEC);
		return true;
	default:
		*result = shim_ret(-EINVAL);
		return true;
	}
}

/* ---- clone ---- */

struct birth {
	int (*fn)(void *);
	void *arg;
	uint64_t ino;
	int token;
};

static int born(void *arg)
{
	struct birth b = *(struct birth *)arg;

	free(arg);
	shim_netns_set(b.ino, b.token);
	return b.fn(b.arg);
}

/* Makes a namespace, without staying in it. */
static int ns_for_child(struct birth *b)
{
	struct shim_req r = {.op = WEFT_OP_NS_NEW},
			back = {.op = WEFT_OP_NS_SET, .arg = {shim_netns()}};
	int err = shim_call(&r);

	if (err)
		return err;
	b->ino = r.rep.arg0;
	b->token = shim_fd_high(r.fd);
	err = shim_call(&back);
	if (!err)
		syscall(SYS_close, back.fd);
	return err;
}

static int clone_in_new(int (*fn)(void *), void *stack, int flags, void *arg, pid_t *parent_tid,
			void *tls, pid_t *child_tid)
{
	struct birth *b = malloc(sizeof(*b));

	if (!b)
		return shim_ret(-ENOMEM);
	*b = (struct birth){fn, arg, 0, -1};
	int token = -1, err = ns_for_child(b);
	if (!err) {
		token = b->token;
		err = REAL(clone)(born, stack, flags & ~CLONE_NEWNET, b, parent_tid, tls,
				  child_tid);
		if (err < 0)
			err = -errno;
	}
	if (token >= 0 && (err < 0 || !(flags & CLONE_FILES)))
		syscall(SYS_close, token);
	if (err < 0 || !(flags & CLONE_VM))
		free(b);
	return shim_ret(err);
}

SHIM_API int clone(int (*fn)(void *), void *stack, int flags, void *arg, ...)
{
	va_list ap;

	va_start(ap, arg);
	pid_t *parent_tid = va_arg(ap, pid_t *);
	void *tls = va_arg(ap, void *);
	pid_t *child_tid = va_arg(ap, pid_t *);
	va_end(ap);
	if (flags & CLONE_NEWNET && shim_on())
		return clone_in_new(fn, stack, flags, arg, parent_tid, tls, child_tid);
	return REAL(clone)(fn, stack, flags, arg, parent_tid, tls, child_tid);
}

/* ---- mount ---- */

#define MS_PROPAGATION (MS_SHARED | MS_SLAVE | MS_PRIVATE | MS_UNBINDABLE)

/* Is it the directory of names itself? */
static bool is_names(const struct path *p)
{
	const char *name = strrchr(p->text, '/');

	return p->kind == PATH_REAL && name && !strcmp(name, "/netns");
}

static int mount_name(const char *source, struct path *target, unsigned long flags)
{
	struct shim_req r = {
		.op = WEFT_OP_NS_NAME, .data = target->text, .len = strlen(target->text)};

	if (is_names(target) || flags & (MS_PROPAGATION | MS_REMOUNT))
		return 0;
	if (target->kind != PATH_REAL || !(flags & MS_BIND))
		return shim_ret(-EPERM);
	r.arg[0] = source ? ns_of_path(source) : 0;
	if (!r.arg[0])
		return shim_ret(-EINVAL);
	return shim_ret(shim_call(&r));
}

/* Part of what ip does to see /sys of the namespace it has entered? */
static bool is_for_sys(const char *target, const char *type, unsigned long flags)
{
	if (!thread.entered)
		return false;
	if (thread.shares_mounts && !strcmp(target, "/") && flags & MS_PROPAGATION)
		return true;
	return !strcmp(target, "/sys") && type && !strcmp(type, "sysfs");
}

/* A namespace lives as long as its file is mounted somewhere. */
static void note_mount(uint32_t op, uint64_t ino, const char *target)
{
	char path[PATH_MAX];
	struct shim_req r = {.op = op, .arg = {ino, 1}, .data = path};

	if (!REAL(realpath)(target, path))
		return;
	r.len = strlen(path);
	shim_call(&r);
}

static int mount_ours(struct path *p, const char *target, const char *type, unsigned long flags,
		      const void *data)
{
	uint64_t ino = flags & MS_BIND && p->kind != PATH_NET ? ns_of(p) : 0;

	if (path_real(p, PATH_TREE) || REAL(mount)(p->text, target, type, flags, data))
		return -1;
	if (ino)
		note_mount(WEFT_OP_NS_NAME, ino, target);
	return 0;
}

SHIM_API int mount(const char *source, const char *target, const char *type, unsigned long flags,
		   const void *data)
{
	struct path p;

	if (!shim_on() || !target)
		return REAL(mount)(source, target, type, flags, data);
	if (path_ours(AT_FDCWD, target, true, &p))
		return mount_name(source, &p, flags);
	if (is_for_sys(target, type, flags))
		return 0;
	if (path_ours(AT_FDCWD, source, true, &p))
		return mount_ours(&p, target, type, flags, data);
	return REAL(mount)(source, target, type, flags, data);
}

static int umount_elsewhere(const char *target, int flags)
{
	bool held = shim_on() && ns_at(target);
	int result = REAL(umount2)(target, flags);

	if (!result && held)
		note_mount(WEFT_OP_NS_UNNAME, 0, target);
	return result;
}

SHIM_API int umount2(const char *target, int flags)
{
	struct path p;

	if (thread.entered && target && !strcmp(target, "/sys") && flags & MNT_DETACH)
		return 0;
	if (!path_ours(AT_FDCWD, target, !(flags & UMOUNT_NOFOLLOW), &p))
		return umount_elsewhere(target, flags);
	if (p.kind != PATH_REAL || is_names(&p))
		return shim_ret(-EINVAL);
	struct shim_req r = {.op = WEFT_OP_NS_UNNAME, .data = p.text, .len = strlen(p.text)};
	return shim_ret(shim_call(&r));
}

SHIM_API int umount(const char *target)
{
	return umount2(target, 0);
}
