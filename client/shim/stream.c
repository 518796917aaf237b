#include "stream.h"

#include <fcntl.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>

#include "msg.h"

enum { SNDBUF = 212992 /* of a connected descriptor: the kernel's default for its pairs */ };

/* ---- what the daemon says ---- */

static int ask(const struct shim_sock *s, uint32_t *events)
{
	struct shim_req r = {.op = WEFT_OP_STREAM, .sock = s->id};
	int err = shim_call(&r);

	if (err)
		return err;
	if (events)
		*events = (uint32_t)r.rep.arg1;
	return (int)r.rep.arg0;
}

static bool is_nonblock(int fd)
{
	return syscall(SYS_fcntl, fd, F_GETFL) & O_NONBLOCK;
}

static void set_sndbuf(int fd, int size)
{
	syscall(SYS_setsockopt, fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
}

/* So that the descriptor is not writable: see abi/shim.h. */
static void write_junk(int fd)
{
	set_sndbuf(fd, 0);
	for (int i = 0; i < WEFT_STREAM_JUNK; i++)
		syscall(SYS_sendto, fd, "", 1, MSG_DONTWAIT | MSG_NOSIGNAL, NULL, 0);
}

static void is_up(int fd)
{
	int size = 0;
	socklen_t len = sizeof(size);

	/* it may have been the least, for the sake of the junk */
	if (!syscall(SYS_getsockopt, fd, SOL_SOCKET, SO_SNDBUF, &size, &len) && size < 8192)
		set_sndbuf(fd, SNDBUF / 2);
	shim_kind_set(fd, SHIM_UP);
}

/* Until the connect under way has been decided: 0, or -errno. As the kernel, for SO_SNDTIMEO at
 * most. */
static int wait_decided(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLOUT};
	struct timeval t = {0};
	socklen_t len = sizeof(t);
	struct timespec ts;

	syscall(SYS_getsockopt, fd, SOL_SOCKET, SO_SNDTIMEO, &t, &len);
	ts = (struct timespec){t.tv_sec, t.tv_usec * 1000};
	int n = REAL(ppoll)(&p, 1, t.tv_sec || t.tv_usec ? &ts : NULL, NULL);
	return n < 0 ? -errno : n ? 0 : -EINPROGRESS;
}

/* What a read or a write of no connection is told; of a read, 1: the end. */
static int not_connected(const struct shim_sock *s, bool write, uint32_t events)
{
	int err = msg_take_error(s);

	if (err)
		return err;
	return write ? -EPIPE : events & POLLRDHUP ? 1 : -ENOTCONN;
}

int stream_ready(int fd, const struct shim_sock *s, bool write, bool dontwait)
{
	uint32_t events = 0;

	for (;;) {
		int state = ask(s, &events), err;

		switch (state) {
		case WEFT_STREAM_UP:
			is_up(fd);
			return 0;
		case WEFT_STREAM_LISTEN:
			shim_kind_set(fd, SHIM_LISTEN);
			return write ? -EPIPE : -ENOTCONN;
		case WEFT_STREAM_CONNECTING:
			if (dontwait || is_nonblock(fd))
				return -EAGAIN;
			err = wait_decided(fd);
			if (err)
				return err == -EINPROGRESS ? -EAGAIN : err;
			continue;
		case WEFT_STREAM_NONE:
			return not_connected(s, write, events);
		}
		return state;
	}
}

/* ---- bytes ---- */

ssize_t stream_read_end(int fd, ssize_t n)
{
	struct shim_sock s;

	if (n < 0 && errno != ECONNRESET)
		return -errno;
	if (shim_confined || !shim_sock(fd, &s))
		return n < 0 ? -errno : n;
	int err = msg_take_error(&s);
	if (err != -ENETDOWN)
		return err;
	msg_pause();
	return err;
}

ssize_t stream_write_end(int fd, ssize_t n, int flags)
{
	struct shim_sock s;

	if (errno == ENOTSOCK)
		shim_kind_set(fd, SHIM_ASK);
	if (errno != EPIPE && errno != ECONNRESET)
		return -errno;
	int err = -EPIPE;
	if (!shim_confined && shim_sock(fd, &s)) {
		err = msg_take_error(&s);
		if (!err)
			err = -EPIPE;
	}
	if (err == -EPIPE && !(flags & MSG_NOSIGNAL))
		syscall(SYS_tgkill, getpid(), syscall(SYS_gettid), SIGPIPE);
	return err;
}

enum {
	RECV_REAL = MSG_DONTWAIT | MSG_PEEK | MSG_WAITALL | MSG_CMSG_CLOEXEC | MSG_OOB,
	DISCARD = 16384
};

/* MSG_TRUNC: the bytes are thrown away. */
static ssize_t discard(int fd, size_t len, int flags)
{
	uint8_t buf[DISCARD];
	size_t done = 0;

	while (done < len) {
		ssize_t n = REAL(recv)(fd, buf, MIN(len - done, sizeof(buf)), flags);
		if (n <= 0)
			return done ? (ssize_t)done : n;
		done += (size_t)n;
		flags |= flags & MSG_WAITALL ? 0 : MSG_DONTWAIT;
	}
	return (ssize_t)done;
}

static size_t iov_len(const struct msghdr *m)
{
	size_t len = 0;

	for (size_t i = 0; i < m->msg_iovlen; i++)
		len += m->msg_iov[i].iov_len;
	return len;
}

ssize_t stream_recv(int fd, const struct shim_sock *s, struct msghdr *m, int flags)
{
	struct msghdr real = {.msg_iov = m->msg_iov, .msg_iovlen = m->msg_iovlen};
	ssize_t n;

	if (flags & MSG_ERRQUEUE)
		return -EAGAIN;
	if (shim_kind(fd) != SHIM_UP) {
		int err = stream_ready(fd, s, false, flags & MSG_DONTWAIT);
		if (err)
			return err < 0 ? err : 0;
	}
	if ((flags & (MSG_TRUNC | MSG_PEEK)) == MSG_TRUNC)
		n = discard(fd, iov_len(m), flags & RECV_REAL);
	else
		n = REAL(recvmsg)(fd, &real, flags & RECV_REAL);
	if (n < 0 && (flags & MSG_OOB))
		return -errno;
	if (n < 0 || (!n && iov_len(m)))
		n = stream_read_end(fd, n);
	if (n < 0)
		return n;
	m->msg_namelen = 0;
	m->msg_controllen = 0;
	m->msg_flags = (real.msg_flags & MSG_OOB) | (flags & MSG_CMSG_CLOEXEC);
	return n;
}

/* Flags that mean something to the stack go by a request. */
static ssize_t send_flags(int fd, const struct shim_sock *s, const struct msghdr *m, int flags)
{
	struct weft_dgram d = {.msg_flags = (uint32_t)flags};
	struct shim_req r = {.op = WEFT_OP_SEND,
			     .sock = s->id,
			     .data = &d,
			     .len = sizeof(d),
			     .iov = m->msg_iov,
			     .n_iov = m->msg_iovlen};

	if (m->msg_name && (flags & MSG_FASTOPEN)) {
		if (m->msg_namelen > sizeof(struct sockaddr_storage))
			return -EINVAL;
		d.name_len = (uint8_t)MIN(m->msg_namelen, sizeof(d.name));
		memcpy(d.name, m->msg_name, d.name_len);
	}
	int err = shim_call(&r);
	if (err)
		return err;
	if (r.rep.arg1 == WEFT_CONNECT_WAIT)
		write_junk(fd);
	return (ssize_t)r.rep.arg0;
}

/* As much as goes by requests; the rest of what blocks goes as bytes. */
static ssize_t send_special(int fd, const struct shim_sock *s, const struct msghdr *m, int flags)
{
	bool block = !(flags & MSG_DONTWAIT) && !is_nonblock(fd);

	for (;;) {
		ssize_t n = iov_len(m) > WEFT_MSG_MAX / 2 && !(flags & MSG_FASTOPEN)
				    ? -EAGAIN
				    : send_flags(fd, s, m, flags);
		if (n != -EAGAIN)
			return n;
		if (!(flags & MSG_OOB)) {
			struct msghdr real = {.msg_iov = m->msg_iov, .msg_iovlen = m->msg_iovlen};
			n = REAL(sendmsg)(fd, &real, (flags & MSG_DONTWAIT) | MSG_NOSIGNAL);
			return n < 0 ? stream_write_end(fd, n, flags) : n;
		}
		if (!block)
			return n;
		const struct timespec pause = {.tv_nsec = 1000000};
		REAL(nanosleep)(&pause, NULL);
	}
}

ssize_t stream_send(int fd, const struct shim_sock *s, const struct msghdr *m, int flags)
{
	struct msghdr real = {.msg_iov = m->msg_iov, .msg_iovlen = m->msg_iovlen};

	if (shim_kind(fd) != SHIM_UP && !(flags & MSG_FASTOPEN)) {
		int err = stream_ready(fd, s, true, flags & MSG_DONTWAIT);
		if (err == -EPIPE && !(flags & MSG_NOSIGNAL))
			syscall(SYS_tgkill, getpid(), syscall(SYS_gettid), SIGPIPE);
		if (err)
			return err;
	}
	if (flags & (MSG_OOB | MSG_MORE | MSG_FASTOPEN))
		return send_special(fd, s, m, flags);
	ssize_t n = REAL(sendmsg)(fd, &real, (flags & MSG_DONTWAIT) | MSG_NOSIGNAL);
	return n < 0 ? stream_write_end(fd, n, flags) : n;
}

/* ---- connections ---- */

/* A connect under way, until it is decided. */
static int finish(int fd, struct shim_req *r)
{
	do {
		int err = wait_decided(fd);
		if (err)
			return err;
		err = shim_call(r);
		if (err)
			return err;
	} while (r->rep.arg0 == WEFT_CONNECT_BUSY);
	return 0;
}

/* A socket begins anew: the descriptor stands for another pair. */
static void take_place(int fd, int new)
{
	long flags = syscall(SYS_fcntl, fd, F_GETFL), cloexec = syscall(SYS_fcntl, fd, F_GETFD);

	syscall(SYS_dup3, new, fd, cloexec & FD_CLOEXEC ? O_CLOEXEC : 0);
	syscall(SYS_fcntl, fd, F_SETFL, flags);
	syscall(SYS_close, new);
	shim_kind_set(fd, SHIM_STREAM);
}

int stream_connect(int fd, const struct shim_sock *s, const struct sockaddr *addr, socklen_t len)
{
	bool nonblock = is_nonblock(fd);
	struct shim_req r = {
		.op = WEFT_OP_CONNECT, .sock = s->id, .arg = {nonblock}, .data = addr, .len = len};
	int err = shim_call(&r);

	if (err)
		return err;
	if (r.fd >= 0)
		take_place(fd, r.fd);
	switch (r.rep.arg0) {
	case WEFT_CONNECT_WAIT:
		write_junk(fd);
		if (nonblock)
			return -EINPROGRESS;
		err = finish(fd, &r);
		break;
	case WEFT_CONNECT_SOON:
		return -EINPROGRESS;
	case WEFT_CONNECT_BUSY:
		if (nonblock)
			return -EALREADY;
		err = finish(fd, &r);
		break;
	}
	if (!err && len >= sizeof(addr->sa_family) && addr->sa_family != AF_UNSPEC)
		is_up(fd);
	else if (!err)
		shim_kind_set(fd, SHIM_STREAM);
	return err;
}

int stream_listen(int fd, const struct shim_sock *s, int backlog)
{
	struct shim_req r = {.op = WEFT_OP_LISTEN, .sock = s->id, .arg = {(uint64_t)backlog}};
	int err = shim_call(&r);

	if (!err && r.fd >= 0)
		take_place(fd, r.fd);
	if (!err && r.rep.arg0)
		write_junk(fd);
	if (!err)
		shim_kind_set(fd, SHIM_LISTEN);
	return err;
}

/* The record of a connection, and its descriptor. */
static int take_record(int fd, struct weft_accept *a, bool cloexec)
{
	union {
		char buf[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = {0};
	struct iovec iov = {a, sizeof(*a)};
	struct msghdr m = {.msg_iov = &iov,
			   .msg_iovlen = 1,
			   .msg_control = control.buf,
			   .msg_controllen = sizeof(control.buf)};
	int new;

	/* a record that is taken without room for its descriptor is lost */
	int probe = (int)syscall(SYS_fcntl, fd, F_DUPFD_CLOEXEC, 0);
	if (probe < 0)
		return -errno;
	syscall(SYS_close, probe);
	ssize_t n = REAL(recvmsg)(fd, &m, cloexec ? MSG_CMSG_CLOEXEC : 0);
	if (n < 0)
		return errno == ECONNRESET ? 0 : -errno;
	const struct cmsghdr *cm = CMSG_FIRSTHDR(&m);
	if (n != sizeof(*a) || !cm || cm->cmsg_type != SCM_RIGHTS)
		return n ? -ECONNABORTED : 0;
	memcpy(&new, CMSG_DATA(cm), sizeof(new));
	return new;
}

int stream_accept(int fd, const struct shim_sock *s, struct sockaddr *addr, socklen_t *len,
		  int flags)
{
	struct weft_accept a;

	if (flags & ~(SOCK_NONBLOCK | SOCK_CLOEXEC))
		return -EINVAL;
	if (shim_kind(fd) != SHIM_LISTEN) {
		int state = ask(s, NULL);
		if (state < 0)
			return state;
		if (state != WEFT_STREAM_LISTEN)
			return -EINVAL;
		shim_kind_set(fd, SHIM_LISTEN);
	}
	int new = take_record(fd, &a, flags & SOCK_CLOEXEC);
	if (!new) {
		/* it listens no more; or the daemon is gone */
		int state = ask(s, NULL);
		if (state == -ENETDOWN)
			msg_pause();
		return state < 0 ? state : -EINVAL;
	}
	if (new < 0)
		return new;
	if (flags & SOCK_NONBLOCK)
		syscall(SYS_fcntl, new, F_SETFL, O_RDWR | O_NONBLOCK);
	shim_kind_set(new, SHIM_UP);
	if (addr && len) {
		memcpy(addr, a.name, MIN(*len, a.name_len));
		*len = a.name_len;
	}
	return new;
}

/* ---- SO_LINGER ---- */

bool stream_lingers;

static int ask_linger(const struct shim_sock *s)
{
	struct linger l = {0};
	struct shim_req r = {.op = WEFT_OP_GETSOCKOPT,
			     .sock = s->id,
			     .arg = {SOL_SOCKET, SO_LINGER, sizeof(l)},
			     .room = &l,
			     .room_len = sizeof(l)};

	return shim_call(&r) || !l.l_onoff ? 0 : l.l_linger;
}

/* Bytes the peer has not acknowledged. */
static int ask_unsent(const struct shim_sock *s)
{
	int n = 0;
	struct shim_req r = {.op = WEFT_OP_IOCTL,
			     .sock = s->id,
			     .arg = {SIOCOUTQ},
			     .data = &n,
			     .len = sizeof(n),
			     .room = &n,
			     .room_len = sizeof(n)};

	return shim_call(&r) ? 0 : n;
}

void stream_linger(int fd)
{
	const struct timespec pause = {.tv_nsec = 2000000};
	struct timespec now, end;
	struct shim_sock s;
	int seconds;

	if (!shim_sock(fd, &s) || s.type != SOCK_STREAM || (seconds = ask_linger(&s)) <= 0)
		return;
	clock_gettime(CLOCK_MONOTONIC, &end);
	end.tv_sec += seconds;
	while (ask_unsent(&s) > 0) {
		clock_gettime(CLOCK_MONOTONIC, &now);
		if (now.tv_sec > end.tv_sec ||
		    (now.tv_sec == end.tv_sec && now.tv_nsec >= end.tv_nsec) ||
		    syscall(SYS_nanosleep, &pause, NULL))
			return;
	}
}

/* ---- poll ---- */

bool stream_failed(const struct shim_sock *s)
{
	uint32_t events = 0;

	return ask(s, &events) == WEFT_STREAM_NONE && (events & POLLIN);
}

bool stream_mend_poll(struct pollfd *p, const struct shim_sock *s)
{
	const short always = POLLERR | POLLHUP;
	uint32_t events = 0;
	int state = ask(s, &events);

	if (state == WEFT_STREAM_UP) {
		is_up(p->fd);
		p->revents |= (short)(events & POLLERR);
	} else if (state >= 0 && state != WEFT_STREAM_LISTEN) {
		if (events & POLLIN)
			events |= POLLRDNORM;
		if (events & POLLOUT)
			events |= POLLWRNORM;
		p->revents = (short)((int)events & (p->events | always));
	}
	return p->revents != 0;
}
