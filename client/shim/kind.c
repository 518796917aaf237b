/*
 * kind: what descriptors were found to be, so that reads and writes need not ask each time.
 *
 * A byte a descriptor. SHIM_ASK is always right: shim_sock tells. The others save the question, and
 * what they may cost is bounded: a descriptor that became something else behind our back (fclose, a
 * raw system call) and is no socket fails with ENOTSOCK, and is asked about then; a socket is
 * asked about before anything but its data is shown. The one mistake that would matter, a datagram
 * socket of weft taken for PLAIN, needs a number to become one unnoticed: all ways to there
 * (socket, dup, fcntl, a passed descriptor) are wrapped and set SHIM_ASK.
 *
 * A child of vfork has its own descriptors and our memory: it only ever writes SHIM_ASK.
 */
#include "shim.h"

#include <fcntl.h>
#include <stdarg.h>
#include <sys/pidfd.h>
#include <sys/socket.h>

uint8_t shim_kinds[SHIM_KINDS];

void shim_kind_set(int fd, enum shim_kind kind)
{
	if ((unsigned)fd >= SHIM_KINDS)
		return;
	if (kind != SHIM_ASK && !(shim_on() && shim_memory_ours()))
		kind = SHIM_ASK;
	if (__atomic_load_n(&shim_kinds[fd], __ATOMIC_RELAXED) != kind)
		__atomic_store_n(&shim_kinds[fd], (uint8_t)kind, __ATOMIC_RELAXED);
}

bool shim_find(int fd, struct shim_sock *s)
{
	enum shim_kind kind = shim_kind(fd);

	if (likely(kind == SHIM_PLAIN))
		return false;
	if (!shim_sock(fd, s)) {
		shim_kind_set(fd, SHIM_PLAIN);
		return false;
	}
	if (s->type == SOCK_STREAM && kind == SHIM_ASK)
		shim_kind_set(fd, SHIM_STREAM);
	return true;
}

/* ---- numbers that become something else ---- */

static int renewed(int fd)
{
	if (fd >= 0)
		shim_kind_set(fd, SHIM_ASK);
	return fd;
}

SHIM_API int dup(int fd)
{
	return renewed(REAL(dup)(fd));
}

SHIM_API int dup2(int fd, int to)
{
	if (unlikely(shim_is_token(to)) && fd != to)
		shim_move_token(to);
	return renewed(REAL(dup2)(fd, to));
}

SHIM_API int dup3(int fd, int to, int flags)
{
	if (unlikely(shim_is_token(to)) && fd != to)
		shim_move_token(to);
	return renewed(REAL(dup3)(fd, to, flags));
}

SHIM_API int socketpair(int family, int type, int protocol, int fd[2])
{
	int err = REAL(socketpair)(family, type, protocol, fd);

	if (!err) {
		renewed(fd[0]);
		renewed(fd[1]);
	}
	return err;
}

SHIM_API int pidfd_getfd(int pidfd, int fd, unsigned flags)
{
	return renewed(REAL(pidfd_getfd)(pidfd, fd, flags));
}

/* The argument is passed on as a kernel takes it: a word. */
SHIM_API int fcntl(int fd, int cmd, ...)
{
	va_list ap;

	va_start(ap, cmd);
	void *arg = va_arg(ap, void *);
	va_end(ap);
	int ret = REAL(fcntl)(fd, cmd, arg);
	return cmd == F_DUPFD || cmd == F_DUPFD_CLOEXEC ? renewed(ret) : ret;
}

SHIM_API int fcntl64(int fd, int cmd, ...)
{
	va_list ap;

	va_start(ap, cmd);
	void *arg = va_arg(ap, void *);
	va_end(ap);
	int ret = REAL(fcntl64)(fd, cmd, arg);
	return cmd == F_DUPFD || cmd == F_DUPFD_CLOEXEC ? renewed(ret) : ret;
}

void shim_kinds_passed(const struct msghdr *m)
{
	struct cmsghdr *cm;

	if (!m->msg_controllen)
		return;
	for (cm = CMSG_FIRSTHDR(m); cm; cm = CMSG_NXTHDR((struct msghdr *)m, cm)) {
		if (cm->cmsg_level != SOL_SOCKET || cm->cmsg_type != SCM_RIGHTS)
			continue;
		size_t n = (cm->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < n; i++) {
			int fd;
			memcpy(&fd, CMSG_DATA(cm) + i * sizeof(int), sizeof(fd));
			renewed(fd);
		}
	}
}
