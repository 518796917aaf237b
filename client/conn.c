/* conn: requests to a daemon, one at a time. */
#include "client/conn.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

/* "/proc/self/fd/N/ctl"; without stdio, which is not for signal handlers. */
static void path_at(char *to, int at)
{
	char digits[12];
	int n = 0;

	to = stpcpy(to, "/proc/self/fd/");
	do {
		digits[n++] = (char)('0' + at % 10);
		at /= 10;
	} while (at);
	while (n)
		*to++ = digits[--n];
	strcpy(to, "/ctl");
}

/* A record must fit; the kernel doubles the number. */
static void make_room(int fd)
{
	int size = WEFT_MSG_MAX;

	syscall(SYS_setsockopt, fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
}

int conn_open(const char *dir)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int at = (int)syscall(SYS_openat, AT_FDCWD, dir, O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (at < 0)
		return -errno;
	/* a path may be longer than an address */
	path_at(a.sun_path, at);
	int fd = (int)syscall(SYS_socket, AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	int err = fd < 0 || syscall(SYS_connect, fd, &a, sizeof(a)) ? -errno : 0;
	syscall(SYS_close, at);
	if (err) {
		if (fd >= 0)
			syscall(SYS_close, fd);
		/* a folder without a socket is one whose daemon died early */
		return err == -ENOENT ? -ECONNREFUSED : err;
	}
	make_room(fd);
	return fd;
}

int conn_open_by(int token)
{
	union {
		char buf[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = {0};
	struct iovec iov = {"c", 1};
	struct msghdr m = {.msg_iov = &iov,
			   .msg_iovlen = 1,
			   .msg_control = control.buf,
			   .msg_controllen = sizeof(control.buf)};
	struct cmsghdr *cm = CMSG_FIRSTHDR(&m);
	int pair[2];

	if (syscall(SYS_socketpair, AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
		return -errno;
	cm->cmsg_level = SOL_SOCKET;
	cm->cmsg_type = SCM_RIGHTS;
	cm->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(cm), &pair[1], sizeof(int));
	int err = syscall(SYS_sendmsg, token, &m, MSG_NOSIGNAL) < 0 ? -errno : 0;
	syscall(SYS_close, pair[1]);
	if (err) {
		syscall(SYS_close, pair[0]);
		return err;
	}
	make_room(pair[0]);
	return pair[0];
}

static int take_fd(struct msghdr *m)
{
	struct cmsghdr *cm = CMSG_FIRSTHDR(m);
	int fd = -1;

	if (cm && cm->cmsg_level == SOL_SOCKET && cm->cmsg_type == SCM_RIGHTS)
		memcpy(&fd, CMSG_DATA(cm), sizeof(fd));
	return fd;
}

static int send_request(int fd, const struct shim_req *r)
{
	struct iovec *out;
	struct weft_req req = {.op = r->op,
			       .sock = r->sock,
			       .arg0 = r->arg[0],
			       .arg1 = r->arg[1],
			       .arg2 = r->arg[2]};
	struct msghdr m = {.msg_iovlen = 3 + r->n_iov};
	size_t len = r->len + r->len2;
	long n;

	if (r->n_iov > CONN_IOV_MAX)
		return -EMSGSIZE;
	/* seldom more than one, and signal stacks are small */
	m.msg_iov = out = __builtin_alloca((3 + r->n_iov) * sizeof(*out));
	for (size_t i = 0; i < r->n_iov; i++) {
		out[3 + i] = r->iov[i];
		if (r->iov[i].iov_len > WEFT_MSG_MAX)
			return -EMSGSIZE;
		len += r->iov[i].iov_len;
	}
	if (len > WEFT_MSG_MAX - sizeof(req))
		return -EMSGSIZE;
	req.len = (uint32_t)len;
	out[0] = (struct iovec){&req, sizeof(req)};
	out[1] = (struct iovec){(void *)r->data, r->len};
	out[2] = (struct iovec){(void *)r->data2, r->len2};
	do {
		n = syscall(SYS_sendmsg, fd, &m, MSG_NOSIGNAL);
	} while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : 0;
}

static int gone(struct shim_req *r)
{
	r->gone = true;
	return -EPIPE;
}

int conn_call(int fd, struct shim_req *r)
{
	struct iovec in[3] = {{&r->rep, sizeof(r->rep)},
			      {r->room, r->room ? r->room_len : 0},
			      {r->room2, r->room2 ? r->room2_len : 0}};
	union {
		char buf[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control;
	struct msghdr m = {.msg_iov = in,
			   .msg_iovlen = 3,
			   .msg_control = control.buf,
			   .msg_controllen = sizeof(control.buf)};
	long n;

	r->fd = -1;
	r->gone = false;
	int err = send_request(fd, r);
	if (err == -EPIPE || err == -ECONNRESET || err == -ENOTCONN)
		return gone(r);
	if (err)
		return err;
	do {
		n = syscall(SYS_recvmsg, fd, &m, MSG_CMSG_CLOEXEC);
	} while (n < 0 && errno == EINTR);
	if (n < 0 && errno != ECONNRESET)
		return -errno;
	if (n < (long)sizeof(r->rep))
		return gone(r);
	r->fd = take_fd(&m);
	return r->rep.err;
}

int conn_hello(int fd, uint64_t ino, struct shim_req *r)
{
	*r = (struct shim_req){.op = WEFT_OP_HELLO, .arg = {WEFT_PROTOCOL, ino}};
	return conn_call(fd, r);
}
