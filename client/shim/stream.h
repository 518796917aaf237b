/*
 * stream: what programs do to stream sockets, beyond reading and writing bytes.
 *
 * The descriptor carries the bytes, so the real call is made first, and the daemon is asked only
 * when it finds an end: why is so_error. A descriptor that is not known to be connected is asked
 * about before its first byte; SHIM_UP keeps the answer.
 *
 * SIGPIPE is raised here and not by the kernel: a write that finds a reset fails with ECONNRESET,
 * and only the next one with EPIPE and the signal.
 */
#pragma once

#include <poll.h>

#include "shim.h"

/* Errors are -errno throughout. */

/* Before the first byte: 0 when it is, or was, connected, 1 at the end, or -errno as of a read or a
 * write. Waits
 * for a connect that is under way unless dontwait or O_NONBLOCK. */
int stream_ready(int fd, const struct shim_sock *s, bool write, bool dontwait);
/* As recvmsg and sendmsg. */
ssize_t stream_recv(int fd, const struct shim_sock *s, struct msghdr *m, int flags);
ssize_t stream_send(int fd, const struct shim_sock *s, const struct msghdr *m, int flags);
/* A read or a write of a SHIM_UP descriptor had this result (errno is set): what the program is to
 * see instead. -ENOTSOCK: it is none; nothing was done. */
ssize_t stream_read_end(int fd, ssize_t n);
ssize_t stream_write_end(int fd, ssize_t n, int flags);

int stream_connect(int fd, const struct shim_sock *s, const struct sockaddr *addr, socklen_t len);
int stream_listen(int fd, const struct shim_sock *s, int backlog);
/* The new descriptor. */
int stream_accept(int fd, const struct shim_sock *s, struct sockaddr *addr, socklen_t *len,
		  int flags);
/* Some socket of the program was told to linger: then close asks, and waits as long as it was told
 * until all is acknowledged. Of a descriptor that is not the last of its socket, too. */
extern bool stream_lingers __attribute__((visibility("hidden")));
void stream_linger(int fd);
/* Has its connect failed? Then it is readable, too. */
bool stream_failed(const struct shim_sock *s);
/* Puts right what the kernel said of a descriptor; false if it has nothing to say after all. */
bool stream_mend_poll(struct pollfd *p, const struct shim_sock *s);
