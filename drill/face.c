/*
 * face: the table of calls that packetdrill takes from us, and those that make and set sockets.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "drill.h"
#include "face.h"

/* What the tun device of packetdrill is given, with the addresses of its run_all.py. */
#define CONFIGURE                                                                                  \
	"ip link set lo up; ip link set tun0 up; ip addr add 192.168.0.1/16 dev tun0; "            \
	"ip route add 192.0.2.1 via 192.168.0.1 dev tun0"

ssize_t drill_return(struct drill *d, ssize_t r)
{
	drill_leave(d);
	if (r >= 0)
		return r;
	errno = (int)-r;
	return -1;
}

/* ---- files ---- */

struct file *file_find(struct drill *d, int fd)
{
	struct file *f;

	cds_list_for_each_entry (f, &d->files, link)
		if (f->fd == fd)
			return f;
	return NULL;
}

static void on_wake(struct sock *sk)
{
	if (sk->end)
		poll_wake(sk->end);
}

static int open_pair(struct file *f, int flags)
{
	int fd[2];

	if (!f->sk) {
		f->fd = eventfd(0, EFD_CLOEXEC);
		f->other = -1;
		return f->fd < 0 ? -errno : 0;
	}
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd))
		return -errno;
	f->fd = fd[0];
	f->other = fd[1];
	if (flags & SOCK_NONBLOCK)
		fcntl(f->fd, F_SETFL, O_RDWR | O_NONBLOCK);
	return 0;
}

int file_new(struct drill *d, struct sock *sk, int flags)
{
	struct file *f = calloc(1, sizeof(*f));
	int err;

	if (!f) {
		sock_put(sk);
		return -ENOMEM;
	}
	f->d = d;
	f->sk = sk;
	f->errq_tail = &f->errq;
	CDS_INIT_LIST_HEAD(&f->watched);
	CDS_INIT_LIST_HEAD(&f->items);
	err = open_pair(f, flags);
	if (err) {
		sock_put(sk);
		free(f);
		return err;
	}
	if (sk) {
		sk->wake = on_wake;
		sk->end = f;
	}
	cds_list_add_tail(&f->link, &d->files);
	return f->fd;
}

static void file_free(struct file *f)
{
	struct sock_rx *rx;

	poll_forget(f);
	while ((rx = f->errq)) {
		f->errq = rx->next;
		sock_rx_free(f->d->w, rx);
	}
	if (f->sk) {
		f->sk->wake = NULL;
		f->sk->end = NULL;
		sock_put(f->sk);
	}
	if (f->other >= 0)
		close(f->other);
	cds_list_del(&f->link);
	free(f);
}

bool file_blocks(const struct file *f, int msg_flags)
{
	return !(msg_flags & MSG_DONTWAIT) && !(fcntl(f->fd, F_GETFL) & O_NONBLOCK);
}

/* ---- calls ---- */

static struct file *enter_sock(struct drill *d, int fd, ssize_t *err)
{
	struct file *f;

	drill_enter(d);
	f = file_find(d, fd);
	*err = !f ? -EBADF : !f->sk ? -ENOTSOCK : 0;
	return *err ? NULL : f;
}

static int face_socket(void *user, int family, int type, int protocol)
{
	struct drill *d = user;
	struct sock *sk;

	drill_enter(d);
	int err = sock_new(d->net, family, type & ~(SOCK_NONBLOCK | SOCK_CLOEXEC), protocol, &sk);
	if (err)
		return (int)drill_return(d, err);
	sk->pid = (uint32_t)getpid();
	sk->uid = geteuid();
	return (int)drill_return(d, file_new(d, sk, type));
}

static int face_bind(void *user, int fd, const struct sockaddr *addr, socklen_t len)
{
	ssize_t err;
	struct file *f = enter_sock(user, fd, &err);

	return (int)drill_return(user, f ? sock_bind(f->sk, addr, len) : err);
}

static int face_listen(void *user, int fd, int backlog)
{
	ssize_t err;
	struct file *f = enter_sock(user, fd, &err);

	return (int)drill_return(user, f ? sock_listen(f->sk, backlog) : err);
}

static bool is_readable(void *arg)
{
	return file_poll(arg) & (EPOLLIN | EPOLLERR | EPOLLHUP);
}

static bool is_writable(void *arg)
{
	return file_poll(arg) & (EPOLLOUT | EPOLLERR | EPOLLHUP);
}

static int face_accept(void *user, int fd, struct sockaddr *addr, socklen_t *addr_len)
{
	struct drill *d = user;
	ssize_t err;
	struct file *f = enter_sock(d, fd, &err);
	struct sock *child;

	if (!f)
		return (int)drill_return(d, err);
	uint64_t deadline = drill_after(d, f->sk->rcvtimeo ? (int64_t)f->sk->rcvtimeo : -1);
	while ((err = sock_accept(f->sk, &child)) == -EAGAIN && file_blocks(f, 0))
		if (!drill_wait(d, deadline, is_readable, f))
			break;
	if (err)
		return (int)drill_return(d, err);
	if (addr) {
		size_t len = *addr_len;
		if (!sock_accepted_name(child, addr, &len))
			*addr_len = (socklen_t)len;
	}
	return (int)drill_return(d, file_new(d, child, 0));
}

/* A blocking connect: what became of it. */
static int await_connected(struct drill *d, struct file *f)
{
	uint64_t deadline = drill_after(d, f->sk->sndtimeo ? (int64_t)f->sk->sndtimeo : -1);

	drill_settle(d);
	if (!drill_wait(d, deadline, is_writable, f))
		return -EINPROGRESS;
	return sock_take_error(f->sk);
}

static int face_connect(void *user, int fd, const struct sockaddr *addr, socklen_t len)
{
	struct drill *d = user;
	ssize_t err;
	struct file *f = enter_sock(d, fd, &err);

	if (f)
		err = sock_connect(f->sk, addr, len);
	if (f && err == -EINPROGRESS && file_blocks(f, 0))
		err = await_connected(d, f);
	drill_settle(d);
	return (int)drill_return(d, err);
}

static int face_close(void *user, int fd)
{
	struct drill *d = user;

	drill_enter(d);
	struct file *f = file_find(d, fd);
	if (f) {
		io_pump(f);
		file_free(f);
	}
	drill_settle(d);
	return (int)drill_return(d, close(fd) ? -errno : 0);
}

static int face_shutdown(void *user, int fd, int how)
{
	struct drill *d = user;
	ssize_t err;
	struct file *f = enter_sock(d, fd, &err);

	if (f)
		err = sock_shutdown(f->sk, how);
	drill_settle(d);
	return (int)drill_return(d, err);
}

static int face_getsockopt(void *user, int fd, int level, int name, void *val, socklen_t *len)
{
	ssize_t err;
	struct file *f = enter_sock(user, fd, &err);
	size_t n = *len;

	if (f)
		err = sock_getsockopt(f->sk, level, name, val, &n);
	if (!err)
		*len = (socklen_t)n;
	return (int)drill_return(user, err);
}

/* packetdrill's `%{ }%` blocks ask for TCP_INFO and its like by the C library's function and not by
 * the table. When the library is preloaded as well, that is this one. */
static struct drill *preloaded;

int getsockopt(int fd, int level, int name, void *val, socklen_t *len)
{
	bool ours = false;

	/* the daemon asks too, of its own descriptors */
	if (preloaded && !drill_inside()) {
		drill_enter(preloaded);
		ours = file_find(preloaded, fd);
		drill_leave(preloaded);
	}
	if (ours)
		return face_getsockopt(preloaded, fd, level, name, val, len);
	return (int)syscall(SYS_getsockopt, fd, level, name, val, len);
}

static int face_setsockopt(void *user, int fd, int level, int name, const void *val, socklen_t len)
{
	struct drill *d = user;
	ssize_t err;
	struct file *f = enter_sock(d, fd, &err);

	if (f)
		err = sock_setsockopt(f->sk, level, name, val, len);
	drill_settle(d);
	return (int)drill_return(d, err);
}

static int face_fcntl(void *user, int fd, int cmd, ...)
{
	va_list ap;

	va_start(ap, cmd);
	long arg = va_arg(ap, long);
	va_end(ap);
	/* the pair has the flags of its socket */
	return fcntl(fd, cmd, arg);
}

static int face_ioctl(void *user, int fd, unsigned long cmd, ...)
{
	struct drill *d = user;
	ssize_t err;
	struct file *f = enter_sock(d, fd, &err);
	va_list ap;

	va_start(ap, cmd);
	void *arg = va_arg(ap, void *);
	va_end(ap);
	if (f && cmd == FIONBIO)
		err = ioctl(fd, cmd, arg) ? -errno : 0;
	else if (f)
		err = sock_ioctl(f->sk, cmd, arg, sizeof(int));
	return (int)drill_return(d, err);
}

/* ---- life ---- */

static void face_free(void *user)
{
	struct drill *d = user;
	struct file *f, *next;

	drill_enter(d);
	cds_list_for_each_entry_safe (f, next, &d->files, link)
		file_free(f);
	drill_settle(d);
	dev_fini(d);
	drill_leave(d);
	preloaded = NULL;
	serve_fini(d);
	free(d);
}

static const struct packetdrill_interface face = {
	.free = face_free,
	.socket = face_socket,
	.bind = face_bind,
	.listen = face_listen,
	.accept = face_accept,
	.connect = face_connect,
	.read = face_read,
	.readv = face_readv,
	.recv = face_recv,
	.recvfrom = face_recvfrom,
	.recvmsg = face_recvmsg,
	.write = face_write,
	.writev = face_writev,
	.send = face_send,
	.sendto = face_sendto,
	.sendmsg = face_sendmsg,
	.fcntl = face_fcntl,
	.ioctl = face_ioctl,
	.close = face_close,
	.shutdown = face_shutdown,
	.getsockopt = face_getsockopt,
	.setsockopt = face_setsockopt,
	.poll = face_poll,
	.netdev_send = face_netdev_send,
	.netdev_receive = face_netdev_receive,
	.usleep = face_usleep,
	.gettimeofday = face_gettimeofday,
	.epoll_create = face_epoll_create,
	.epoll_ctl = face_epoll_ctl,
	.epoll_wait = face_epoll_wait,
	.pipe = face_pipe,
	.splice = face_splice,
};

void packetdrill_interface_init(const char *flags, struct packetdrill_interface *out)
{
	struct drill *d = calloc(1, sizeof(*d));
	int err = d ? 0 : -ENOMEM;

	if (!err) {
		clock_init(d);
		CDS_INIT_LIST_HEAD(&d->files);
		err = serve_init(d);
	}
	if (err) {
		fprintf(stderr, "weft: cannot start: %s\n", strerror(-err));
		exit(1);
	}
	*out = face;
	out->userdata = preloaded = d;
	if (system(flags && *flags ? flags : CONFIGURE)) {
		fputs("weft: the commands of --so_flags failed\n", stderr);
		exit(1);
	}
}
