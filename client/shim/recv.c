/* recv: receiving, as recvmsg(2) and its kin. */
#include "msg.h"

#include <netinet/in.h>
#include <sys/uio.h>
#include <time.h>

#include "stream.h"

enum {
	IOV_MAX_SHOWN = 1023, /* one of the kernel's 1024 is ours */
	ERRQ_ROOM = 2048      /* a quoted packet is shorter */
};

/* ---- the head of the descriptor ---- */

int msg_head(int fd, ssize_t *len)
{
	struct weft_dgram d;
	struct iovec iov = {&d, sizeof(d)};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};

	*len = syscall(SYS_recvmsg, fd, &m, MSG_PEEK | MSG_DONTWAIT | MSG_TRUNC);
	return *len < (ssize_t)sizeof(d) ? -1 : d.kind;
}

void msg_drop_mark(int fd)
{
	struct weft_dgram d;

	syscall(SYS_recvfrom, fd, &d, sizeof(d), MSG_DONTWAIT, NULL, NULL);
}

/* Marks again what waits. */
static bool error_waits(const struct shim_sock *s)
{
	struct shim_req r = {.op = WEFT_OP_ERRQ, .sock = s->id, .arg = {1}};

	return !shim_call(&r) && (r.rep.arg0 || r.rep.arg1);
}

bool msg_tidy(int fd, const struct shim_sock *s)
{
	ssize_t len;
	int kind;
	bool any = false;

	while ((kind = msg_head(fd, &len)) == WEFT_DGRAM_ERROR || kind == WEFT_DGRAM_ERRQ) {
		msg_drop_mark(fd);
		any = true;
	}
	return any && error_waits(s);
}

/* ---- the error queue ---- */

/* Scatters len bytes; what is copied. */
static size_t scatter(const struct msghdr *m, const uint8_t *data, size_t len)
{
	size_t done = 0;

	for (size_t i = 0; i < m->msg_iovlen && done < len; i++) {
		size_t n = MIN(len - done, m->msg_iov[i].iov_len);
		memcpy(m->msg_iov[i].iov_base, data + done, n);
		done += n;
	}
	return done;
}

static void put_name(struct msghdr *m, const struct weft_dgram *d)
{
	if (!m->msg_name)
		return;
	memcpy(m->msg_name, d->name, MIN((size_t)m->msg_namelen, (size_t)d->name_len));
	m->msg_namelen = d->name_len;
}

static ssize_t recv_errq(int fd, const struct shim_sock *s, struct msghdr *m)
{
	struct {
		struct weft_dgram d;
		uint8_t data[ERRQ_ROOM];
	} in;
	struct shim_req r = {
		.op = WEFT_OP_ERRQ, .sock = s->id, .room = &in, .room_len = sizeof(in)};
	int err = shim_call(&r);

	if (err)
		return err;
	if (r.rep.len < sizeof(in.d))
		return -EAGAIN;
	size_t len = r.rep.len - sizeof(in.d);
	size_t n = scatter(m, in.data, MIN(len, sizeof(in.data)));
	m->msg_flags = MSG_ERRQUEUE | (n < len ? MSG_TRUNC : 0);
	put_name(m, &in.d);
	msg_put_control(m, s, &in.d);
	if (!r.rep.arg0 && !r.rep.arg1)
		msg_tidy(fd, s);
	return (ssize_t)n;
}

/* ---- datagrams ---- */

void msg_pause(void)
{
	const struct timespec pause = {.tv_nsec = 50000000};

	syscall(SYS_nanosleep, &pause, NULL);
}

/* End of file: of a socket that was shut down, or because the daemon has died. */
static ssize_t at_end(const struct shim_sock *s)
{
	struct sockaddr_storage name;
	struct shim_req r = {
		.op = WEFT_OP_GETNAME, .sock = s->id, .room = &name, .room_len = sizeof(name)};

	if (shim_call(&r) != -ENETDOWN)
		return 0;
	msg_pause();
	return -ENETDOWN;
}

int msg_take_error(const struct shim_sock *s)
{
	int value = 0;
	struct shim_req r = {.op = WEFT_OP_GETSOCKOPT,
			     .sock = s->id,
			     .arg = {SOL_SOCKET, SO_ERROR, sizeof(value)},
			     .room = &value,
			     .room_len = sizeof(value)};
	int err = shim_call(&r);

	return err ? err : -value;
}

/* The next datagram: bytes of payload, 0 at the end, or -errno; *d its header. */
static ssize_t next_datagram(int fd, const struct shim_sock *s, struct msghdr *m,
			     struct weft_dgram *d, int flags)
{
	struct iovec *iov = __builtin_alloca((m->msg_iovlen + 1) * sizeof(*iov));
	struct msghdr real = {.msg_iov = iov, .msg_iovlen = m->msg_iovlen + 1};

	iov[0] = (struct iovec){d, sizeof(*d)};
	if (m->msg_iovlen)
		memcpy(iov + 1, m->msg_iov, m->msg_iovlen * sizeof(*iov));
	for (;;) {
		ssize_t n = REAL(recvmsg)(fd, &real, flags);
		if (n < 0)
			return errno == ECONNRESET ? at_end(s) : -errno;
		if (n < (ssize_t)sizeof(*d)) {
			d->kind = WEFT_DGRAM_DATA;
			d->name_len = 0;
			d->cmsgs = 0;
			m->msg_flags = 0;
			return at_end(s);
		}
		if (d->kind == WEFT_DGRAM_DATA) {
			m->msg_flags = real.msg_flags & MSG_TRUNC;
			return n - (ssize_t)sizeof(*d);
		}
		if (flags & MSG_PEEK)
			msg_drop_mark(fd);
		int err = d->kind == WEFT_DGRAM_ERROR ? msg_take_error(s) : 0;
		if (err)
			return err;
	}
}

/* What a family makes of flags it has no use for. */
static int check_flags(const struct shim_sock *s, int flags)
{
	const int packet = MSG_PEEK | MSG_DONTWAIT | MSG_TRUNC | MSG_ERRQUEUE | MSG_NOSIGNAL |
			   MSG_CMSG_CLOEXEC | MSG_WAITFORONE;

	if (s->family == AF_PACKET)
		return flags & ~packet ? -EINVAL : 0;
	/* UDP alone overlooks it */
	if (flags & MSG_OOB && (s->family != AF_INET || s->protocol != IPPROTO_UDP))
		return -EOPNOTSUPP;
	return 0;
}

ssize_t msg_recv(int fd, const struct shim_sock *s, struct msghdr *m, int flags)
{
	struct weft_dgram d;

	if (s->type == SOCK_STREAM)
		return stream_recv(fd, s, m, flags);
	int err = check_flags(s, flags);
	if (err)
		return err;
	if (m->msg_iovlen > IOV_MAX_SHOWN)
		return -EMSGSIZE;
	if (m->msg_name && (int)m->msg_namelen < 0)
		return -EINVAL;
	if ((flags & MSG_ERRQUEUE) && s->family != AF_NETLINK)
		return recv_errq(fd, s, m);
	ssize_t n = next_datagram(fd, s, m, &d, flags & (MSG_PEEK | MSG_DONTWAIT | MSG_TRUNC));
	if (n < 0)
		return n;
	put_name(m, &d);
	msg_put_control(m, s, &d);
	m->msg_flags |= flags & MSG_CMSG_CLOEXEC;
	return n;
}

static ssize_t result(ssize_t n)
{
	if (n >= 0)
		return n;
	errno = (int)-n;
	return -1;
}

/* ---- the functions ---- */

static ssize_t recv_buf(int fd, const struct shim_sock *s, void *buf, size_t len, int flags,
			struct sockaddr *addr, socklen_t *addr_len)
{
	struct iovec iov = {buf, MIN(len, (size_t)INT32_MAX)};
	struct msghdr m = {.msg_iov = &iov,
			   .msg_iovlen = 1,
			   .msg_name = addr,
			   .msg_namelen = addr && addr_len ? *addr_len : 0};
	ssize_t n = msg_recv(fd, s, &m, flags);

	if (n >= 0 && addr && addr_len)
		*addr_len = m.msg_namelen;
	return result(n);
}

/* Bytes of a connected stream, or of what only looks like one; false: it is for the long way. */
static bool recv_bytes(int fd, void *buf, size_t len, int flags, ssize_t *done)
{
	if (shim_kind(fd) != SHIM_UP || flags & ~(MSG_DONTWAIT | MSG_PEEK | MSG_WAITALL))
		return false;
	*done = flags ? REAL(recv)(fd, buf, len, flags) : REAL(read)(fd, buf, len);
	if (unlikely(*done < 0 && errno == ENOTSOCK)) {
		shim_kind_set(fd, SHIM_ASK);
		return false;
	}
	if (unlikely(*done < 0 || (!*done && len)))
		*done = result(stream_read_end(fd, *done));
	return true;
}

SHIM_API ssize_t recvfrom(int fd, void *buf, size_t len, int flags, struct sockaddr *addr,
			  socklen_t *addr_len)
{
	struct shim_sock s;
	ssize_t done;

	if (recv_bytes(fd, buf, len, flags, &done)) {
		if (done >= 0 && addr && addr_len)
			*addr_len = 0; /* streams name nobody */
		return done;
	}
	if (!shim_find(fd, &s))
		return REAL(recvfrom)(fd, buf, len, flags, addr, addr_len);
	return recv_buf(fd, &s, buf, len, flags, addr, addr_len);
}

SHIM_API ssize_t recv(int fd, void *buf, size_t len, int flags)
{
	struct shim_sock s;
	ssize_t done;

	if (recv_bytes(fd, buf, len, flags, &done))
		return done;
	if (!shim_find(fd, &s))
		return REAL(recv)(fd, buf, len, flags);
	return recv_buf(fd, &s, buf, len, flags, NULL, NULL);
}

SHIM_API ssize_t recvmsg(int fd, struct msghdr *m, int flags)
{
	struct shim_sock s;

	if (!shim_find(fd, &s)) {
		ssize_t n = REAL(recvmsg)(fd, m, flags);
		if (n >= 0)
			shim_kinds_passed(m);
		return n;
	}
	return result(msg_recv(fd, &s, m, flags));
}

SHIM_API ssize_t read(int fd, void *buf, size_t len)
{
	struct shim_sock s;
	ssize_t done;

	if (recv_bytes(fd, buf, len, 0, &done))
		return done;
	if (!shim_find(fd, &s))
		return REAL(read)(fd, buf, len);
	/* nothing is taken, not even an empty datagram */
	return len ? recv_buf(fd, &s, buf, len, 0, NULL, NULL) : 0;
}

SHIM_API ssize_t readv(int fd, const struct iovec *iov, int n)
{
	struct shim_sock s;

	if (!shim_find(fd, &s))
		return REAL(readv)(fd, iov, n);
	if (n < 0)
		return shim_ret(-EINVAL);
	struct msghdr m = {.msg_iov = (struct iovec *)iov, .msg_iovlen = (size_t)n};
	return result(msg_recv(fd, &s, &m, 0));
}

static bool is_past(const struct timespec *end)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec > end->tv_sec ||
	       (now.tv_sec == end->tv_sec && now.tv_nsec >= end->tv_nsec);
}

/* As in Linux, the time is looked at between datagrams only. */
static int recv_many(int fd, const struct shim_sock *s, struct mmsghdr *v, unsigned n, int flags,
		     const struct timespec *timeout)
{
	struct timespec end;
	unsigned i;
	ssize_t got = 0;

	if (timeout) {
		clock_gettime(CLOCK_MONOTONIC, &end);
		end.tv_sec += timeout->tv_sec;
		end.tv_nsec += timeout->tv_nsec;
		end.tv_sec += end.tv_nsec / (long)NSEC_PER_SEC;
		end.tv_nsec %= (long)NSEC_PER_SEC;
	}
	for (i = 0; i < n; i++) {
		got = msg_recv(fd, s, &v[i].msg_hdr, flags & ~MSG_WAITFORONE);
		if (got < 0)
			break;
		v[i].msg_len = (unsigned)got;
		if (flags & MSG_WAITFORONE)
			flags |= MSG_DONTWAIT;
		if (timeout && is_past(&end)) {
			i++;
			break;
		}
	}
	return i ? (int)i : shim_ret((int)got);
}

SHIM_API int recvmmsg(int fd, struct mmsghdr *v, unsigned n, int flags, struct timespec *timeout)
{
	struct shim_sock s;

	if (!shim_find(fd, &s)) {
		int got = REAL(recvmmsg)(fd, v, n, flags, timeout);
		for (int i = 0; i < got; i++)
			shim_kinds_passed(&v[i].msg_hdr);
		return got;
	}
	if (timeout &&
	    (timeout->tv_sec < 0 || timeout->tv_nsec < 0 || timeout->tv_nsec >= (long)NSEC_PER_SEC))
		return shim_ret(-EINVAL);
	return recv_many(fd, &s, v, MIN(n, 1024u), flags, timeout);
}

/* ---- what fortified programs call ---- */

ssize_t __recv_chk(int fd, void *buf, size_t len, size_t size, int flags);
ssize_t __recvfrom_chk(int fd, void *buf, size_t len, size_t size, int flags, struct sockaddr *addr,
		       socklen_t *addr_len);
ssize_t __read_chk(int fd, void *buf, size_t len, size_t size);

/* The C library's ends the program when len > size. */
SHIM_API ssize_t __recv_chk(int fd, void *buf, size_t len, size_t size, int flags)
{
	struct shim_sock s;

	if (len > size || !shim_find(fd, &s))
		return REAL(__recv_chk)(fd, buf, len, size, flags);
	return recv_buf(fd, &s, buf, len, flags, NULL, NULL);
}

SHIM_API ssize_t __recvfrom_chk(int fd, void *buf, size_t len, size_t size, int flags,
				struct sockaddr *addr, socklen_t *addr_len)
{
	struct shim_sock s;

	if (len > size || !shim_find(fd, &s))
		return REAL(__recvfrom_chk)(fd, buf, len, size, flags, addr, addr_len);
	return recv_buf(fd, &s, buf, len, flags, addr, addr_len);
}

SHIM_API ssize_t __read_chk(int fd, void *buf, size_t len, size_t size)
{
	if (len > size)
		return REAL(__read_chk)(fd, buf, len, size);
	return read(fd, buf, len);
}
