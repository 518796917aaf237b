/*
 * libweft: the Linux network stack inside your program.
 *
 * An instance is one "kernel": namespaces, devices, addresses, routes, sockets. It has no threads
 * and reads no clock: weft_poll(instance, now) does what is due at `now` (nanoseconds, any
 * monotonic origin) and returns; weft_next() says when to call again if nothing arrives. Under a
 * clock of your own a run is deterministic: the same seed and calls give the same packets in the
 * same order.
 *
 * It is configured as Linux is: with netlink messages over a socket of AF_NETLINK
 * (weft_socket(w, ns, AF_NETLINK, SOCK_RAW, NETLINK_ROUTE)), built with any netlink library.
 * Sockets are non-blocking. Functions return 0 or a count, or a negative errno, the kernel's.
 *
 * Threads: an instance and all that belongs to it is used by one thread at a time, which must have
 * called weft_thread_init() once. Several instances may live in a process.
 *
 * Memory: what weft_*_new or weft_socket returned is the caller's until the matching close; closing
 * the instance ends what is left. Buffers passed in are only borrowed.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

struct weft;
struct weft_ns;
struct weft_socket;

struct weft_options {
	uint64_t seed;	    /* of every random choice */
	uint64_t now;	    /* ns, the clock's value at the start */
	int64_t wall;	    /* ns since 1970 minus now: for time stamps */
	unsigned n_packets; /* packet buffers of 2.6 kB; 0: 32768 (memory is touched on use) */
};

/* Registers the calling thread (RCU); weft_thread_fini before it ends. */
void weft_thread_init(void);
void weft_thread_fini(void);

/* Makes an instance with one namespace that holds a loopback device. opt NULL: zeroes.
 * 0, -ENOMEM, -EMFILE. */
int weft_open(const struct weft_options *opt, struct weft **out);
/* Ends it and everything in it. NULL is fine. */
void weft_close(struct weft *w);

/* Does what is due at now, until nothing is left; returns packets and timers handled. */
unsigned weft_poll(struct weft *w, uint64_t now);
/* When to call weft_poll again, in ns; UINT64_MAX: not before something is sent. */
uint64_t weft_next(const struct weft *w);

/* Namespaces: NULL stands for the first one everywhere. */
int weft_ns_new(struct weft *w, struct weft_ns **out);
void weft_ns_put(struct weft_ns *ns);

/* A socket (AF_NETLINK, AF_PACKET, AF_INET with SOCK_RAW, SOCK_DGRAM or SOCK_STREAM). 0,
 * -EAFNOSUPPORT, -ESOCKTNOSUPPORT, -EPROTONOSUPPORT, -ENOMEM. Closing one is close(2): a connection
 * goes on until what was sent has arrived. */
int weft_socket(struct weft *w, struct weft_ns *ns, int family, int type, int protocol,
		struct weft_socket **out);
void weft_socket_close(struct weft_socket *s);
int weft_bind(struct weft_socket *s, const struct sockaddr *addr, socklen_t len);
/* Of a stream: -EINPROGRESS; connected when weft_poll_socket() shows POLLOUT, refused when it shows
 * POLLERR (SO_ERROR says why). */
int weft_connect(struct weft_socket *s, const struct sockaddr *addr, socklen_t len);
int weft_getsockname(struct weft_socket *s, struct sockaddr *addr, socklen_t *len);
int weft_getpeername(struct weft_socket *s, struct sockaddr *addr, socklen_t *len);
int weft_setsockopt(struct weft_socket *s, int level, int name, const void *val, socklen_t len);
int weft_getsockopt(struct weft_socket *s, int level, int name, void *val, socklen_t *len);
/* addr may be NULL on a connected socket. Returns bytes sent. */
ssize_t weft_sendto(struct weft_socket *s, const void *data, size_t len,
		    const struct sockaddr *addr, socklen_t addr_len);
/* The next datagram, cut to len bytes: its whole length is returned; -EAGAIN when there is none.
 * addr and addr_len may be NULL. */
ssize_t weft_recvfrom(struct weft_socket *s, void *data, size_t len, struct sockaddr *addr,
		      socklen_t *addr_len);

/* ---- streams ---- */

int weft_listen(struct weft_socket *s, int backlog);
/* A connection that has come: a socket of the caller's. -EAGAIN: none. addr and addr_len (in the
 * room, out the size) may be NULL. */
int weft_accept(struct weft_socket *s, struct weft_socket **out, struct sockaddr *addr,
		socklen_t *addr_len);
/* send(2) and recv(2), for datagrams as well. flags: MSG_MORE, MSG_OOB; MSG_PEEK, MSG_OOB,
 * MSG_TRUNC (the last three of streams alone). Sent is what there was room for, -EAGAIN: none.
 * weft_recv returns 0 at a stream's end. No signal is raised: -EPIPE. */
ssize_t weft_send(struct weft_socket *s, const void *data, size_t len, int flags);
ssize_t weft_recv(struct weft_socket *s, void *data, size_t len, int flags);
/* how: SHUT_RD, SHUT_WR, SHUT_RDWR. */
int weft_shutdown(struct weft_socket *s, int how);

/* What poll(2) would say of it now: POLLIN, POLLOUT, POLLPRI, POLLERR, POLLHUP, POLLRDHUP. */
unsigned weft_poll_socket(const struct weft_socket *s);

#ifdef __cplusplus
}
#endif
