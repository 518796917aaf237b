/*
 * raw: programs that make system calls by number, and those that give most of them up.
 *
 * syscall(2) is wrapped for the calls that libraries make that way (libuv sends datagrams so); the
 * others, and all of ours, go on to the kernel.
 *
 * A program that confines itself by seccomp may afterwards make no call but those it would have
 * made by itself: another one kills it. So what its descriptors are is found out just before, and
 * from then on reads and writes of streams are plain ones and nothing is asked: a reset reads as
 * the end.
 */
#include "shim.h"

#include <linux/seccomp.h>
#include <stdarg.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include "stream.h"

enum { FDS_KNOWN = 1024 };

bool shim_confined;

/* SHIM_UP or SHIM_PLAIN where it may be said. */
static void find_kind(int fd)
{
	struct shim_sock s;

	if (shim_kind(fd) == SHIM_ASK && shim_find(fd, &s) && s.type == SOCK_STREAM)
		stream_ready(fd, &s, true, true);
}

/* Both keep errno for the call that follows. */
static void confine(bool whole)
{
	int saved = errno;

	for (int fd = 0; fd < FDS_KNOWN && shim_on(); fd++)
		find_kind(fd);
	if (whole)
		shim_confined = true;
	errno = saved;
}

SHIM_API int prctl(int option, ...)
{
	unsigned long arg[4];
	va_list ap;

	va_start(ap, option);
	for (int i = 0; i < 4; i++)
		arg[i] = va_arg(ap, unsigned long);
	va_end(ap);
	if (option == PR_SET_SECCOMP || option == PR_SET_NO_NEW_PRIVS)
		confine(option == PR_SET_SECCOMP);
	return REAL(prctl)(option, arg[0], arg[1], arg[2], arg[3]);
}

SHIM_API long syscall(long number, ...)
{
	long arg[6];
	va_list ap;

	va_start(ap, number);
	for (int i = 0; i < 6; i++)
		arg[i] = va_arg(ap, long);
	va_end(ap);
	switch (number) {
	case SYS_sendmmsg:
		return sendmmsg((int)arg[0], (struct mmsghdr *)arg[1], (unsigned)arg[2],
				(int)arg[3]);
	case SYS_recvmmsg:
		return recvmmsg((int)arg[0], (struct mmsghdr *)arg[1], (unsigned)arg[2],
				(int)arg[3], (struct timespec *)arg[4]);
	case SYS_accept4:
		return accept4((int)arg[0], (struct sockaddr *)arg[1], (socklen_t *)arg[2],
			       (int)arg[3]);
	case SYS_seccomp:
		if (arg[0] == SECCOMP_SET_MODE_STRICT || arg[0] == SECCOMP_SET_MODE_FILTER)
			confine(true);
	}
	return REAL(syscall)(number, arg[0], arg[1], arg[2], arg[3], arg[4], arg[5]);
}
