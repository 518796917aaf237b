/*
 * face: the table that packetdrill has filled by the library it loads. Names, order and types are
 * its own; each call does what the system call of its name does, errno included, with `user` before
 * the rest.
 */
#pragma once

#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/types.h>
#include <sys/uio.h>

struct packetdrill_interface {
	void *userdata;
	void (*free)(void *user);
	int (*socket)(void *user, int family, int type, int protocol);
	int (*bind)(void *user, int fd, const struct sockaddr *addr, socklen_t len);
	int (*listen)(void *user, int fd, int backlog);
	int (*accept)(void *user, int fd, struct sockaddr *addr, socklen_t *len);
	int (*connect)(void *user, int fd, const struct sockaddr *addr, socklen_t len);
	ssize_t (*read)(void *user, int fd, void *buf, size_t len);
	ssize_t (*readv)(void *user, int fd, const struct iovec *iov, int n);
	ssize_t (*recv)(void *user, int fd, void *buf, size_t len, int flags);
	ssize_t (*recvfrom)(void *user, int fd, void *buf, size_t len, int flags,
			    struct sockaddr *addr, socklen_t *addr_len);
	ssize_t (*recvmsg)(void *user, int fd, struct msghdr *m, int flags);
	ssize_t (*write)(void *user, int fd, const void *buf, size_t len);
	ssize_t (*writev)(void *user, int fd, const struct iovec *iov, int n);
	ssize_t (*send)(void *user, int fd, const void *buf, size_t len, int flags);
	ssize_t (*sendto)(void *user, int fd, const void *buf, size_t len, int flags,
			  const struct sockaddr *addr, socklen_t addr_len);
	ssize_t (*sendmsg)(void *user, int fd, const struct msghdr *m, int flags);
	int (*fcntl)(void *user, int fd, int cmd, ...);
	int (*ioctl)(void *user, int fd, unsigned long cmd, ...);
	int (*close)(void *user, int fd);
	int (*shutdown)(void *user, int fd, int how);
	int (*getsockopt)(void *user, int fd, int level, int name, void *val, socklen_t *len);
	int (*setsockopt)(void *user, int fd, int level, int name, const void *val, socklen_t len);
	int (*poll)(void *user, struct pollfd *fds, nfds_t n, int timeout);
	/* An IP packet comes in. */
	int (*netdev_send)(void *user, const void *buf, size_t count);
	/* Waits for the next packet that goes out; *count: in the room, out the size; when it went.
	 */
	int (*netdev_receive)(void *user, void *buf, size_t *count, long long *us);
	int (*usleep)(void *user, useconds_t us);
	int (*gettimeofday)(void *user, struct timeval *tv, struct timezone *tz);
	int (*epoll_create)(void *user, int size);
	int (*epoll_ctl)(void *user, int epfd, int op, int fd, struct epoll_event *ev);
	int (*epoll_wait)(void *user, int epfd, struct epoll_event *evs, int max, int timeout);
	int (*pipe)(void *user, int fd[2]);
	int (*splice)(void *user, int in, loff_t *in_at, int out, loff_t *out_at, size_t len,
		      unsigned flags);
};

/* flags: shell commands that configure the instance, in place of those for the addresses of
 * packetdrill's run_all.py. Does not return when something fails. */
void packetdrill_interface_init(const char *flags, struct packetdrill_interface *out);
