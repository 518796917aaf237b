/* send: sending, as sendmsg(2) and its kin. */
#include "msg.h"

#include <fcntl.h>
#include <sys/sendfile.h>
#include <sys/uio.h>

#include "file.h"
#include "stream.h"

ssize_t msg_send(int fd, const struct shim_sock *s, const struct msghdr *m, int flags)
{
	struct weft_dgram d = {.msg_flags = (uint32_t)flags};

	if (s->type == SOCK_STREAM)
		return stream_send(fd, s, m, flags);
	struct shim_req r = {.op = WEFT_OP_SEND,
			     .sock = s->id,
			     .data = &d,
			     .len = sizeof(d),
			     .iov = m->msg_iov,
			     .n_iov = m->msg_iovlen};

	if (m->msg_name) {
		if (m->msg_namelen > sizeof(struct sockaddr_storage))
			return -EINVAL;
		d.name_len = (uint8_t)MIN(m->msg_namelen, sizeof(d.name));
		memcpy(d.name, m->msg_name, d.name_len);
	}
	int err = msg_get_control(m, s, &d);
	if (err)
		return err;
	err = shim_call(&r);
	if (!err)
		return (ssize_t)r.rep.arg0;
	/* it may have been the socket's error that this call took */
	if (s->family != AF_NETLINK)
		msg_tidy(fd, s);
	return err;
}

static ssize_t result(ssize_t n)
{
	if (n >= 0)
		return n;
	errno = (int)-n;
	return -1;
}

static ssize_t send_buf(int fd, const struct shim_sock *s, const void *buf, size_t len, int flags,
			const struct sockaddr *addr, socklen_t addr_len)
{
	struct iovec iov = {(void *)buf, len};
	const struct msghdr m = {.msg_iov = &iov,
				 .msg_iovlen = 1,
				 .msg_name = (void *)addr,
				 .msg_namelen = addr ? addr_len : 0};

	return msg_send(fd, s, &m, flags);
}

/* Bytes of a connected stream, or of what only looks like one; false: it is none. */
static bool send_bytes(int fd, const void *buf, size_t len, int flags, ssize_t *done)
{
	if (shim_kind(fd) != SHIM_UP || flags & ~(MSG_DONTWAIT | MSG_NOSIGNAL))
		return false;
	ssize_t n = unlikely(shim_confined) ? REAL(write)(fd, buf, len)
					    : REAL(send)(fd, buf, len, flags | MSG_NOSIGNAL);
	if (likely(n >= 0)) {
		*done = n;
		return true;
	}
	n = stream_write_end(fd, n, flags);
	if (n == -ENOTSOCK)
		return false;
	*done = result(n);
	return true;
}

SHIM_API ssize_t sendto(int fd, const void *buf, size_t len, int flags, const struct sockaddr *addr,
			socklen_t addr_len)
{
	struct shim_sock s;
	ssize_t done;

	/* a connected stream overlooks the address */
	if (send_bytes(fd, buf, len, flags, &done))
		return done;
	if (!shim_find(fd, &s))
		return REAL(sendto)(fd, buf, len, flags, addr, addr_len);
	return result(send_buf(fd, &s, buf, len, flags, addr, addr_len));
}

SHIM_API ssize_t send(int fd, const void *buf, size_t len, int flags)
{
	struct shim_sock s;
	ssize_t done;

	if (send_bytes(fd, buf, len, flags, &done))
		return done;
	if (!shim_find(fd, &s))
		return REAL(send)(fd, buf, len, flags);
	return result(send_buf(fd, &s, buf, len, flags, NULL, 0));
}

SHIM_API ssize_t sendmsg(int fd, const struct msghdr *m, int flags)
{
	struct shim_sock s;

	if (!shim_find(fd, &s))
		return REAL(sendmsg)(fd, m, flags);
	return result(msg_send(fd, &s, m, flags));
}

SHIM_API int sendmmsg(int fd, struct mmsghdr *v, unsigned n, int flags)
{
	struct shim_sock s;
	unsigned i;

	if (!shim_find(fd, &s))
		return REAL(sendmmsg)(fd, v, n, flags);
	n = MIN(n, 1024u);
	for (i = 0; i < n; i++) {
		ssize_t sent = msg_send(fd, &s, &v[i].msg_hdr, flags);
		if (sent < 0 && !i)
			return shim_ret((int)sent);
		if (sent < 0)
			break;
		v[i].msg_len = (unsigned)sent;
	}
	return (int)i;
}

SHIM_API ssize_t write(int fd, const void *buf, size_t len)
{
	const struct iovec iov = {(void *)buf, len};
	struct shim_sock s;
	ssize_t done;

	if (unlikely(file_writers) && file_write(fd, &iov, 1, &done))
		return done;
	if (send_bytes(fd, buf, len, 0, &done))
		return done;
	if (!shim_find(fd, &s))
		return REAL(write)(fd, buf, len);
	return result(send_buf(fd, &s, buf, len, 0, NULL, 0));
}

SHIM_API ssize_t writev(int fd, const struct iovec *iov, int n)
{
	struct shim_sock s;
	ssize_t done;

	if (unlikely(file_writers) && file_write(fd, iov, n, &done))
		return done;
	if (!shim_find(fd, &s))
		return REAL(writev)(fd, iov, n);
	if (n < 0)
		return shim_ret(-EINVAL);
	const struct msghdr m = {.msg_iov = (struct iovec *)iov, .msg_iovlen = (size_t)n};
	return result(msg_send(fd, &s, &m, 0));
}

/* ---- sendfile, splice ---- */

/* One datagram of what a file holds; bytes of the file, 0 at its end. */
static ssize_t send_piece(int fd, const struct shim_sock *s, int in, off_t *at, size_t len)
{
	uint8_t buf[16384];
	ssize_t n;

	len = MIN(len, sizeof(buf));
	n = at ? REAL(pread64)(in, buf, len, *at) : REAL(read)(in, buf, len);
	if (n <= 0)
		return n < 0 ? -errno : 0;
	ssize_t sent = send_buf(fd, s, buf, (size_t)n, 0, NULL, 0);
	if (sent > 0 && at)
		*at += sent;
	return sent;
}

SHIM_API ssize_t sendfile(int fd, int in, off_t *at, size_t len)
{
	struct shim_sock s;
	size_t done = 0;
	ssize_t n = 0;

	if (shim_kind(fd) == SHIM_UP || !shim_find(fd, &s))
		return REAL(sendfile)(fd, in, at, len);
	if (s.type == SOCK_STREAM) {
		int err = stream_ready(fd, &s, true, false);
		return err ? shim_ret(err) : REAL(sendfile)(fd, in, at, len);
	}
	while (done < len && (n = send_piece(fd, &s, in, at, len - done)) > 0)
		done += (size_t)n;
	return done ? (ssize_t)done : result(n);
}

SHIM_API ssize_t sendfile64(int fd, int in, off64_t *at, size_t len)
{
	return sendfile(fd, in, (off_t *)at, len);
}

/* What passes the program's memory by would lack the header of datagrams: programs then copy by
 * themselves. */
static bool is_dgram(int fd)
{
	struct shim_sock s;

	return shim_kind(fd) != SHIM_UP && shim_find(fd, &s) && s.type != SOCK_STREAM;
}

SHIM_API ssize_t splice(int in, off64_t *in_at, int out, off64_t *out_at, size_t len,
			unsigned flags)
{
	if (is_dgram(in) || is_dgram(out))
		return shim_ret(-EINVAL);
	return REAL(splice)(in, in_at, out, out_at, len, flags);
}
