/*
 * drill: libweft-packetdrill.so: the stack as google/packetdrill loads it (--so_filename).
 *
 * packetdrill runs a script of system calls, packets and shell commands against a TCP. Here the
 * calls and the packets are function calls into an instance in its own process, and time is
 * virtual: it stands still while somebody works and jumps to the next event when all wait, so that
 * a script of minutes takes milliseconds and every run is the same.
 *
 * The shell commands of a script are other processes. For them the library is a weft daemon: it
 * sets the environment that `weft run` sets, so that `ip`, `sysctl`, `nstat`, a shell that writes
 * below /proc/sys speak to the instance, and serves them from a thread of its own.
 *
 *   face.c    packetdrill_interface_init(): the table of calls; sockets
 *   io.c      bytes in and out
 *   poll.c    poll, epoll
 *   clock.c   the lock, time, and who waits for what
 *   dev.c     tun0, the device that packets are injected into and sniffed from
 *   serve.c   the daemon
 *
 * Threads: the main one runs the script; another makes those calls that block; the third serves.
 * All take drill.lock for as long as they are in here, and what they touch of the instance they
 * touch with it. A call that blocks in the second thread waits (drill_wait) until main has moved
 * time or packets so far that it may go on; main then waits in turn until that call has returned
 * and was told the time, so that the two never race.
 *
 * packetdrill closes what a script leaves open by close(2), so every socket has a descriptor: one
 * end of a pair. What sendfile(2) writes into it goes to the socket.
 */
#pragma once

#include <poll.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "daemon/daemon.h"

/* A packet that the stack has sent. */
struct frame {
	struct frame *next;
	uint64_t at;
	size_t len; /* of data: an IP packet */
	uint8_t data[];
};

struct waiter {
	struct cds_list_head link;
	bool (*ready)(void *arg);
	void *arg;
	uint64_t deadline;
	bool woken;
};

struct file; /* what one of our descriptors stands for */

struct drill {
	struct daemon daemon;
	struct weft *weft;
	struct worker *w;
	struct net *net;
	struct netdev *tun;
	pthread_mutex_t lock;
	pthread_t main;
	pid_t main_tid;
	bool main_inside;
	uint64_t now;
	struct cds_list_head waiters;
	pthread_cond_t woken, told;
	bool returning; /* a waiter has been woken and was not told the time yet */
	pid_t returned; /* the thread of the one that was last; 0: it has had its time */
	struct frame *sent, **sent_tail;
	struct cds_list_head files;
	pthread_t server;
	int stop[2]; /* a pipe whose end ends the server */
	char dir[64];
};

/* ---- clock.c ---- */
void clock_init(struct drill *d);
/* Every call from outside stands between these two; they keep errno. */
void drill_enter(struct drill *d);
void drill_leave(struct drill *d);
/* Is this thread between them? */
bool drill_inside(void);
/* Everything that happens at this instant happens; who waited for it is let go. */
void drill_settle(struct drill *d);
/* Time goes on to `until`, or until ready(arg); true: ready. ready may be NULL. Main. */
bool drill_run(struct drill *d, uint64_t until, bool (*ready)(void *arg), void *arg);
/* Waits for ready(arg) until deadline (UINT64_MAX: for ever): false: it is past. Any thread. */
bool drill_wait(struct drill *d, uint64_t deadline, bool (*ready)(void *arg), void *arg);
uint64_t drill_after(const struct drill *d, int64_t ns); /* UINT64_MAX when ns < 0 */
int face_usleep(void *user, useconds_t us);
int face_gettimeofday(void *user, struct timeval *tv, struct timezone *tz);

/* ---- dev.c ---- */
int dev_init(struct drill *d);
int face_netdev_send(void *user, const void *buf, size_t count);
int face_netdev_receive(void *user, void *buf, size_t *count, long long *us);
void dev_fini(struct drill *d);

/* ---- serve.c ---- */
/* Makes the instance and serves it. 0 or -errno. */
int serve_init(struct drill *d);
/* What was written into the instance's files by processes that have ended. */
void serve_drain(struct drill *d);
void serve_fini(struct drill *d);

/* ---- files: face.c ---- */
struct item;
struct file {
	struct cds_list_head link; /* in drill.files */
	struct drill *d;
	int fd, other;	 /* the pair; other -1: none */
	struct sock *sk; /* NULL: an epoll set */
	struct sock_rx *errq, **errq_tail;
	struct cds_list_head watched; /* struct item.of_file: the sets a socket is in */
	struct cds_list_head items;   /* struct item.of_set: what a set holds */
};
struct file *file_find(struct drill *d, int fd); /* NULL: not ours */
/* A descriptor for a socket, whose reference it takes, or for a set (sk NULL); -errno. */
int file_new(struct drill *d, struct sock *sk, int flags);
bool file_blocks(const struct file *f, int msg_flags);
/* Returns r as system calls do, having left. */
ssize_t drill_return(struct drill *d, ssize_t r);

/* ---- io.c ---- */
/* Moves what was written into the pair of a socket to the socket. */
void io_pump(struct file *f);
ssize_t face_read(void *user, int fd, void *buf, size_t len);
ssize_t face_readv(void *user, int fd, const struct iovec *iov, int n);
ssize_t face_recv(void *user, int fd, void *buf, size_t len, int flags);
ssize_t face_recvfrom(void *user, int fd, void *buf, size_t len, int flags, struct sockaddr *addr,
		      socklen_t *addr_len);
ssize_t face_recvmsg(void *user, int fd, struct msghdr *m, int flags);
ssize_t face_write(void *user, int fd, const void *buf, size_t len);
ssize_t face_writev(void *user, int fd, const struct iovec *iov, int n);
ssize_t face_send(void *user, int fd, const void *buf, size_t len, int flags);
ssize_t face_sendto(void *user, int fd, const void *buf, size_t len, int flags,
		    const struct sockaddr *addr, socklen_t addr_len);
ssize_t face_sendmsg(void *user, int fd, const struct msghdr *m, int flags);
int face_pipe(void *user, int fd[2]);
int face_splice(void *user, int in, loff_t *in_at, int out, loff_t *out_at, size_t len,
		unsigned flags);

/* ---- poll.c ---- */
uint32_t file_poll(struct file *f); /* EPOLLIN, ... */
void poll_wake(struct file *f);	    /* its readiness may have changed */
void poll_forget(struct file *f);   /* it is closed */
int face_poll(void *user, struct pollfd *fds, nfds_t n, int timeout_ms);
int face_epoll_create(void *user, int size);
int face_epoll_ctl(void *user, int epfd, int op, int fd, struct epoll_event *ev);
int face_epoll_wait(void *user, int epfd, struct epoll_event *evs, int max, int timeout_ms);
