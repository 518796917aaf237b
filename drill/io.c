/*
 * io: bytes in and out, with the waiting of those calls that block.
 *
 * Streams never wait by themselves (struct sock_stream_ops), so a call that blocks is a loop here:
 * what goes at once, a wait, the rest. Programs' memory is read with process_vm_readv(2), which
 * answers EFAULT where a plain copy would end the process.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/errqueue.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "drill.h"

#define PUMP_SIZE 65536
#ifndef TCP_INQ
#define TCP_INQ 36
#endif

/* ---- from the pair, and to the error queue ---- */

/* Records stay where they are until somebody looks: the stack may join others to them. */
static void pump_errq(struct file *f)
{
	struct sock_rx *rx;

	while (f->sk->rx_head && f->sk->rx_head->meta.kind == WEFT_DGRAM_ERRQ) {
		rx = sock_dequeue(f->sk);
		*f->errq_tail = rx;
		f->errq_tail = &rx->next;
	}
}

void io_pump(struct file *f)
{
	static __thread char buf[PUMP_SIZE];
	ssize_t n;

	while (f->sk && f->sk->ops->stream &&
	       (n = recv(f->other, buf, sizeof(buf), MSG_PEEK | MSG_DONTWAIT)) > 0) {
		const struct sock_msg m = {.data = buf, .len = (size_t)n, .flags = MSG_DONTWAIT};
		n = sock_sendmsg(f->sk, &m);
		if (n <= 0)
			return;
		n = recv(f->other, buf, (size_t)n, MSG_DONTWAIT);
	}
}

/* ---- in ---- */

static bool readable(void *arg)
{
	return file_poll(arg) & (EPOLLIN | EPOLLRDHUP | EPOLLERR | EPOLLHUP);
}

/* As tcp_recvmsg(): until there are `target` bytes, an end, an error, or it must not wait. */
static ssize_t read_stream(struct file *f, uint8_t *buf, size_t len, int flags)
{
	const struct sock *sk = f->sk;
	uint64_t deadline = drill_after(f->d, sk->rcvtimeo ? (int64_t)sk->rcvtimeo : -1);
	size_t done = 0, target = flags & MSG_WAITALL ? len : (size_t)MAX(sk->rcvlowat, 1);
	ssize_t n;

	target = MIN(target, len);
	for (;;) {
		n = sk->ops->stream->recv(f->sk, buf + done, len - done, flags);
		if (n > 0)
			done += (size_t)n;
		drill_settle(f->d);
		if ((n < 0 && n != -EAGAIN) || !n || done >= target || (flags & MSG_PEEK && done))
			break;
		if (!file_blocks(f, flags) || !drill_wait(f->d, deadline, readable, f)) {
			n = -EAGAIN;
			break;
		}
	}
	return done ? (ssize_t)done : n;
}

static ssize_t read_dgram(struct file *f, struct sock_rx **out, int flags)
{
	const struct sock *sk = f->sk;
	uint64_t deadline = drill_after(f->d, sk->rcvtimeo ? (int64_t)sk->rcvtimeo : -1);

	for (;;) {
		int err = sock_take_error(f->sk);
		if (err)
			return err;
		pump_errq(f);
		*out = sock_dequeue(f->sk);
		if (*out)
			return 0;
		if (sk->shut & 1)
			return 0;
		if (!file_blocks(f, flags) || !drill_wait(f->d, deadline, readable, f))
			return -EAGAIN;
	}
}

/* ---- control messages ---- */

static void put(struct msghdr *m, size_t *used, int level, int type, const void *data, size_t len)
{
	struct cmsghdr h = {.cmsg_level = level, .cmsg_type = type, .cmsg_len = CMSG_LEN(len)};

	if (!m->msg_control || m->msg_controllen < *used + CMSG_LEN(len)) {
		m->msg_flags |= MSG_CTRUNC;
		return;
	}
	uint8_t *at = (uint8_t *)m->msg_control + *used;
	memcpy(at, &h, sizeof(h));
	memcpy(at + sizeof(h), data, len);
	*used += MIN(CMSG_SPACE(len), m->msg_controllen - *used);
}

/* TCP_INQ: bytes that wait; 1 when the end does. */
static void put_inq(struct file *f, struct msghdr *m, size_t *used)
{
	size_t len = sizeof(int);
	int on = 0, inq = 0;

	if (sock_getsockopt(f->sk, IPPROTO_TCP, TCP_INQ, &on, &len) || !on)
		return;
	sock_ioctl(f->sk, FIONREAD, &inq, sizeof(inq));
	if (!inq && file_poll(f) & EPOLLRDHUP)
		inq = 1;
	put(m, used, IPPROTO_TCP, TCP_INQ, &inq, sizeof(inq));
}

static void put_stamp(struct msghdr *m, size_t *used, const struct weft_dgram *g)
{
	const struct scm_timestamping st = {.ts = {{.tv_sec = (time_t)(g->tstamp / NSEC_PER_SEC),
						    .tv_nsec = (long)(g->tstamp % NSEC_PER_SEC)}}};

	if (g->cmsgs & WEFT_CMSG_TIMESTAMPING)
		put(m, used, SOL_SOCKET, SO_TIMESTAMPING, &st, sizeof(st));
}

static void put_exterr(struct msghdr *m, size_t *used, const struct weft_dgram *g)
{
	struct {
		struct sock_extended_err ee;
		struct sockaddr_in offender;
	} e = {.ee = {.ee_errno = g->ee_errno,
		      .ee_origin = g->ee_origin,
		      .ee_type = g->ee_type,
		      .ee_code = g->ee_code,
		      .ee_info = g->ee_info,
		      .ee_data = g->ee_data}};

	memcpy(&e.offender, g->offender, sizeof(e.offender));
	if (g->cmsgs & WEFT_CMSG_EXTERR)
		put(m, used, SOL_IP, IP_RECVERR, &e, sizeof(e));
}

/* ---- recvmsg and what is made of it ---- */

static size_t iov_size(const struct iovec *iov, size_t n)
{
	size_t len = 0;

	for (size_t i = 0; i < n; i++)
		len += iov[i].iov_len;
	return len;
}

/* Into the program's memory. False: there is none. */
static bool scatter(const struct msghdr *m, const uint8_t *from, size_t len)
{
	const struct iovec iov = {(void *)from, len};

	return !len ||
	       process_vm_writev(getpid(), &iov, 1, m->msg_iov, m->msg_iovlen, 0) == (ssize_t)len;
}

/* A record's bytes and address into m; its whole length, cut to the room unless MSG_TRUNC. */
static ssize_t give_record(struct sock_rx *rx, struct msghdr *m, int flags, uint8_t *buf,
			   size_t room)
{
	size_t n = MIN(rx->caplen, room);

	if (rx->pkt)
		pkt_copy_out(rx->pkt, 0, buf, n);
	else
		memcpy(buf, rx->data, n);
	scatter(m, buf, n);
	if (m->msg_name) {
		memcpy(m->msg_name, rx->meta.name, MIN(m->msg_namelen, rx->meta.name_len));
		m->msg_namelen = rx->meta.name_len;
	}
	if (rx->len > room)
		m->msg_flags |= MSG_TRUNC;
	return (ssize_t)(flags & MSG_TRUNC ? rx->len : n);
}

static ssize_t recv_errq(struct file *f, struct msghdr *m, int flags, uint8_t *buf, size_t room)
{
	struct sock_rx *rx;
	size_t used = 0;

	pump_errq(f);
	rx = f->errq;
	if (!rx)
		return -EAGAIN;
	f->errq = rx->next;
	if (!f->errq)
		f->errq_tail = &f->errq;
	ssize_t n = give_record(rx, m, flags, buf, room);
	put_stamp(m, &used, &rx->meta);
	put_exterr(m, &used, &rx->meta);
	m->msg_controllen = used;
	m->msg_flags |= MSG_ERRQUEUE;
	sock_rx_free(f->d->w, rx);
	return n;
}

static ssize_t recv_dgram(struct file *f, struct msghdr *m, int flags, uint8_t *buf, size_t room)
{
	struct sock_rx *rx = NULL;
	size_t used = 0;
	ssize_t n = read_dgram(f, &rx, flags);

	if (n || !rx)
		return n;
	n = give_record(rx, m, flags, buf, room);
	put_stamp(m, &used, &rx->meta);
	put_exterr(m, &used, &rx->meta);
	m->msg_controllen = used;
	if (flags & MSG_PEEK)
		sock_requeue(f->sk, rx);
	else
		sock_rx_free(f->d->w, rx);
	return n;
}

/* Is all the memory there that a call may fill? What is lost with a bad address is not read. */
static bool memory_ok(const struct msghdr *m, uint8_t *buf, size_t room)
{
	const struct iovec iov = {buf, room};

	return process_vm_readv(getpid(), &iov, 1, m->msg_iov, m->msg_iovlen, 0) == (ssize_t)room &&
	       scatter(m, buf, room);
}

static ssize_t recv_stream(struct file *f, struct msghdr *m, int flags, uint8_t *buf, size_t room)
{
	size_t used = 0;

	if (!(flags & MSG_TRUNC) && !memory_ok(m, buf, room))
		return -EFAULT;
	ssize_t n = read_stream(f, buf, room, flags);
	if (n < 0)
		return n;
	if (!(flags & MSG_TRUNC))
		scatter(m, buf, (size_t)n);
	m->msg_namelen = 0;
	if (m->msg_control)
		put_inq(f, m, &used);
	m->msg_controllen = used;
	return n;
}

ssize_t face_recvmsg(void *user, int fd, struct msghdr *m, int flags)
{
	struct drill *d = user;
	size_t room = iov_size(m->msg_iov, m->msg_iovlen);
	uint8_t *buf = malloc(room + 1);
	ssize_t n;

	drill_enter(d);
	struct file *f = file_find(d, fd);
	int before = m->msg_flags;
	m->msg_flags = 0;
	if (!f)
		n = -EBADF;
	else if (!f->sk)
		n = -ENOTSOCK;
	else if (!buf)
		n = -ENOMEM;
	else if (flags & MSG_ERRQUEUE)
		n = recv_errq(f, m, flags, buf, room);
	else if (f->sk->ops->stream)
		n = recv_stream(f, m, flags, buf, room);
	else
		n = recv_dgram(f, m, flags, buf, room);
	if (n < 0)
		m->msg_flags = before;
	free(buf);
	return drill_return(d, n);
}

ssize_t face_recvfrom(void *user, int fd, void *buf, size_t len, int flags, struct sockaddr *addr,
		      socklen_t *addr_len)
{
	struct iovec iov = {buf, len};
	struct msghdr m = {.msg_iov = &iov,
			   .msg_iovlen = 1,
			   .msg_name = addr,
			   .msg_namelen = addr_len ? *addr_len : 0};
	ssize_t n = face_recvmsg(user, fd, &m, flags);

	if (n >= 0 && addr_len)
		*addr_len = m.msg_namelen;
	return n;
}

ssize_t face_recv(void *user, int fd, void *buf, size_t len, int flags)
{
	return face_recvfrom(user, fd, buf, len, flags, NULL, NULL);
}

static bool is_ours(struct drill *d, int fd)
{
	drill_enter(d);
	bool ours = file_find(d, fd);
	drill_leave(d);
	return ours;
}

ssize_t face_readv(void *user, int fd, const struct iovec *iov, int n)
{
	struct msghdr m = {.msg_iov = (struct iovec *)iov, .msg_iovlen = (size_t)n};

	return is_ours(user, fd) ? face_recvmsg(user, fd, &m, 0) : readv(fd, iov, n);
}

ssize_t face_read(void *user, int fd, void *buf, size_t len)
{
	const struct iovec iov = {buf, len};

	return face_readv(user, fd, &iov, 1);
}

/* ---- out ---- */

static bool writable(void *arg)
{
	struct file *f = arg;

	return f->sk->ops->stream->sendspace(f->sk) ||
	       file_poll(f) & (EPOLLOUT | EPOLLERR | EPOLLHUP);
}

static bool is_connecting(const struct file *f)
{
	struct tcp_info info;
	size_t len = sizeof(info);

	return !sock_getsockopt(f->sk, IPPROTO_TCP, TCP_INFO, &info, &len) &&
	       (info.tcpi_state == TCP_SYN_SENT || info.tcpi_state == TCP_SYN_RECV);
}

/* A call waits, with data to send still or not. False: in vain. */
static bool await_writable(struct file *f, uint64_t deadline, bool data)
{
	bool ok;

	f->sk->write_pending += data;
	ok = drill_wait(f->d, deadline, writable, f);
	f->sk->write_pending -= data;
	return ok;
}

/* Data went with the SYN (Fast Open): the call goes on when there is a connection. */
static int await_opened(struct file *f, uint64_t deadline, bool data)
{
	if (!is_connecting(f))
		return 0;
	return await_writable(f, deadline, data) ? sock_take_error(f->sk) : -EINPROGRESS;
}

static ssize_t write_stream(struct file *f, struct sock_msg m)
{
	struct sock *sk = f->sk;
	uint64_t deadline = drill_after(f->d, sk->sndtimeo ? (int64_t)sk->sndtimeo : -1);
	size_t done = 0, len = m.len;
	const uint8_t *data = m.data;
	ssize_t n;

	do {
		m.data = data + done;
		m.len = len - done;
		n = sock_sendmsg(sk, &m);
		drill_settle(f->d);
		if (n >= 0) {
			done += (size_t)n;
			n = file_blocks(f, m.flags) ? await_opened(f, deadline, done < len) : 0;
			if (n)
				return n;
			m.flags &= ~MSG_FASTOPEN;
			continue;
		}
		if ((n != -EAGAIN && n != -EINPROGRESS) || !file_blocks(f, m.flags))
			break;
		if (!await_writable(f, deadline, len))
			break;
		if (n == -EINPROGRESS && (n = sock_take_error(sk)))
			break;
		m.flags &= ~MSG_FASTOPEN;
	} while (done < len);
	return done ? (ssize_t)done : n;
}

/* All of m's bytes, as one block that is the caller's; NULL with *err. */
static uint8_t *gather(const struct msghdr *m, size_t *len, ssize_t *err)
{
	uint8_t *buf;

	*len = iov_size(m->msg_iov, m->msg_iovlen);
	buf = malloc(*len + 1);
	if (!buf) {
		*err = -ENOMEM;
		return NULL;
	}
	const struct iovec to = {buf, *len};
	ssize_t n = *len ? process_vm_readv(getpid(), &to, 1, m->msg_iov, m->msg_iovlen, 0) : 0;
	if (n == (ssize_t)*len)
		return buf;
	/* what could be read is sent, as the kernel does */
	*err = n < 0 ? -errno : 0;
	*len = n < 0 ? 0 : (size_t)n;
	if (n > 0)
		return buf;
	free(buf);
	return NULL;
}

ssize_t face_sendmsg(void *user, int fd, const struct msghdr *m, int flags)
{
	struct drill *d = user;
	ssize_t n = 0;
	size_t len;
	uint8_t *buf = gather(m, &len, &n);

	drill_enter(d);
	struct file *f = file_find(d, fd);
	struct sock_msg msg = {.name = m->msg_name,
			       .name_len = m->msg_namelen,
			       .data = buf,
			       .len = len,
			       .flags = flags};
	if (!f)
		n = -EBADF;
	else if (!f->sk)
		n = -ENOTSOCK;
	else if (buf && f->sk->ops->stream)
		n = write_stream(f, msg);
	else if (buf)
		n = sock_sendmsg(f->sk, &msg);
	drill_settle(d);
	free(buf);
	return drill_return(d, n);
}

ssize_t face_sendto(void *user, int fd, const void *buf, size_t len, int flags,
		    const struct sockaddr *addr, socklen_t addr_len)
{
	struct iovec iov = {(void *)buf, len};
	const struct msghdr m = {.msg_iov = &iov,
				 .msg_iovlen = 1,
				 .msg_name = (void *)addr,
				 .msg_namelen = addr ? addr_len : 0};

	return face_sendmsg(user, fd, &m, flags);
}

ssize_t face_send(void *user, int fd, const void *buf, size_t len, int flags)
{
	return face_sendto(user, fd, buf, len, flags, NULL, 0);
}

ssize_t face_writev(void *user, int fd, const struct iovec *iov, int n)
{
	const struct msghdr m = {.msg_iov = (struct iovec *)iov, .msg_iovlen = (size_t)n};

	return is_ours(user, fd) ? face_sendmsg(user, fd, &m, 0) : writev(fd, iov, n);
}

ssize_t face_write(void *user, int fd, const void *buf, size_t len)
{
	const struct iovec iov = {(void *)buf, len};

	return face_writev(user, fd, &iov, 1);
}

/* ---- pipes ---- */

int face_pipe(void *user, int fd[2])
{
	return pipe2(fd, O_CLOEXEC);
}

/* Nothing is spliced past urgent data. */
static bool at_mark(struct drill *d, int fd)
{
	int at = 0;

	drill_enter(d);
	struct file *f = file_find(d, fd);
	bool is = f && f->sk && !sock_ioctl(f->sk, SIOCATMARK, &at, sizeof(at)) && at;
	drill_leave(d);
	return is;
}

int face_splice(void *user, int in, loff_t *in_at, int out, loff_t *out_at, size_t len,
		unsigned flags)
{
	uint8_t *buf = malloc(len + 1);
	ssize_t n = -1;

	if (!buf) {
		errno = ENOMEM;
		return -1;
	}
	n = at_mark(user, in) ? 0 : face_read(user, in, buf, len);
	if (n > 0)
		n = face_write(user, out, buf, (size_t)n);
	free(buf);
	return (int)n;
}
