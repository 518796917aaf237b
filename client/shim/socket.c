/* socket: making sockets, and the calls that name addresses. */
#include "stream.h"

#include <fcntl.h>
#include <linux/netlink.h>
#include <sys/socket.h>

/* Netlink that is not about the network stays the kernel's. */
static bool netlink_is_weft(int protocol)
{
	switch (protocol) {
	case NETLINK_SELINUX:
	case NETLINK_ISCSI:
	case NETLINK_AUDIT:
	case NETLINK_CONNECTOR:
	case NETLINK_KOBJECT_UEVENT:
	case NETLINK_SCSITRANSPORT:
	case NETLINK_ECRYPTFS:
	case NETLINK_RDMA:
	case NETLINK_CRYPTO:
		return false;
	}
	return true;
}

static bool family_is_weft(int family, int protocol)
{
	switch (family) {
	case AF_INET:
	case AF_INET6:
	case AF_PACKET:
		return true;
	case AF_NETLINK:
		return netlink_is_weft(protocol);
	}
	return false;
}

SHIM_API int socket(int family, int type, int protocol)
{
	if (!family_is_weft(family, protocol) || !shim_on()) {
		int fd = REAL(socket)(family, type, protocol);
		if (fd >= 0)
			shim_kind_set(fd, SHIM_ASK);
		return fd;
	}
	struct shim_req r = {.op = WEFT_OP_SOCKET,
			     .arg = {(uint64_t)family, (uint64_t)type, (uint64_t)protocol}};
	int err = shim_call(&r);

	/* the daemon's want of descriptors is the system's, from here */
	if (err)
		return shim_ret(err == -EMFILE ? -ENFILE : err);
	if (r.fd < 0)
		return shim_ret(-EMFILE);
	shim_sock_seen();
	shim_kind_set(r.fd, SHIM_ASK);
	/* passed descriptors come close-on-exec, and without what the sender had set by fcntl */
	if (!(type & SOCK_CLOEXEC))
		syscall(SYS_fcntl, r.fd, F_SETFD, 0);
	return r.fd;
}

/* An address for the daemon; what is beyond any address is refused here, as in Linux. */
static int call_addr(uint32_t op, const struct shim_sock *s, const struct sockaddr *addr,
		     socklen_t len)
{
	struct shim_req r = {.op = op, .sock = s->id, .data = addr, .len = len};

	if (len > sizeof(struct sockaddr_storage))
		return -EINVAL;
	return shim_call(&r);
}

SHIM_API int bind(int fd, const struct sockaddr *addr, socklen_t len)
{
	struct shim_sock s;

	if (!shim_sock(fd, &s))
		return REAL(bind)(fd, addr, len);
	return shim_ret(call_addr(WEFT_OP_BIND, &s, addr, len));
}

SHIM_API int connect(int fd, const struct sockaddr *addr, socklen_t len)
{
	struct shim_sock s;

	if (!shim_sock(fd, &s))
		return REAL(connect)(fd, addr, len);
	if (s.type == SOCK_STREAM && len <= sizeof(struct sockaddr_storage))
		return shim_ret(stream_connect(fd, &s, addr, len));
	return shim_ret(call_addr(WEFT_OP_CONNECT, &s, addr, len));
}

static int get_name(const struct shim_sock *s, bool peer, struct sockaddr *addr, socklen_t *len)
{
	struct shim_req r = {.op = WEFT_OP_GETNAME, .sock = s->id, .arg = {peer}, .room = addr};

	if (!len)
		return -EFAULT;
	if (*len > INT32_MAX)
		return -EINVAL;
	r.room_len = *len;
	int err = shim_call(&r);
	if (!err)
		*len = r.rep.len;
	return err;
}

SHIM_API int getsockname(int fd, struct sockaddr *addr, socklen_t *len)
{
	struct shim_sock s;

	if (!shim_sock(fd, &s))
		return REAL(getsockname)(fd, addr, len);
	return shim_ret(get_name(&s, false, addr, len));
}

SHIM_API int getpeername(int fd, struct sockaddr *addr, socklen_t *len)
{
	struct shim_sock s;

	if (!shim_sock(fd, &s))
		return REAL(getpeername)(fd, addr, len);
	return shim_ret(get_name(&s, true, addr, len));
}

SHIM_API int listen(int fd, int backlog)
{
	struct shim_sock s;

	if (!shim_sock(fd, &s))
		return REAL(listen)(fd, backlog);
	return shim_ret(s.type == SOCK_STREAM ? stream_listen(fd, &s, backlog) : -EOPNOTSUPP);
}

static int take_connection(int fd, const struct shim_sock *s, struct sockaddr *addr, socklen_t *len,
			   int flags)
{
	if (flags & ~(SOCK_NONBLOCK | SOCK_CLOEXEC))
		return -EINVAL;
	return s->type == SOCK_STREAM ? stream_accept(fd, s, addr, len, flags) : -EOPNOTSUPP;
}

SHIM_API int accept4(int fd, struct sockaddr *addr, socklen_t *len, int flags)
{
	struct shim_sock s;

	if (!shim_sock(fd, &s))
		return REAL(accept4)(fd, addr, len, flags);
	return shim_ret(take_connection(fd, &s, addr, len, flags));
}

SHIM_API int accept(int fd, struct sockaddr *addr, socklen_t *len)
{
	struct shim_sock s;

	if (!shim_sock(fd, &s))
		return REAL(accept)(fd, addr, len);
	return shim_ret(take_connection(fd, &s, addr, len, 0));
}

SHIM_API int shutdown(int fd, int how)
{
	struct shim_sock s;

	if (!shim_sock(fd, &s))
		return REAL(shutdown)(fd, how);
	if (how < SHUT_RD || how > SHUT_RDWR)
		return shim_ret(-EINVAL);
	struct shim_req r = {.op = WEFT_OP_SHUTDOWN, .sock = s.id, .arg = {(uint64_t)how}};
	return shim_ret(shim_call(&r));
}

/* Our ends have the type and family of their pairs; sockatmark asks the descriptor, which knows of
 * streams. */
SHIM_API int sockatmark(int fd)
{
	struct shim_sock s;

	return shim_sock(fd, &s) && s.type != SOCK_STREAM ? shim_ret(-ENOTTY)
							  : REAL(sockatmark)(fd);
}
