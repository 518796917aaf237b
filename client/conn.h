/*
 * conn: requests to a daemon over its control socket, one at a time; what the weft command and the
 * preloaded library share.
 *
 * A connection is a descriptor. Nothing here allocates or keeps state, and every system call is
 * made by number: inside the preloaded library the functions of these names are the library's own,
 * and a request may be made in a child of vfork or while a signal is handled. None of the calls is
 * a cancellation point.
 *
 * Memory is the caller's. Pointers of the program that do not exist give -EFAULT, as from a kernel.
 */
#pragma once

#include <sys/uio.h>

#include "abi/shim.h"
#include "base/util.h"

/* A request of abi/shim.h and its answer. */
struct shim_req {
	uint32_t op;
	uint64_t sock, arg[3];
	const void *data, *data2; /* payload: data, then data2, then iov */
	size_t len, len2;
	const struct iovec *iov; /* conn_call: at most CONN_IOV_MAX */
	size_t n_iov;
	/* the answer */
	struct weft_rep rep;
	void *room, *room2; /* payload: room, then room2; the rest is lost, rep.len tells of it */
	size_t room_len, room2_len;
	int fd; /* passed, close-on-exec; or -1 */
	bool gone;
};

enum { CONN_IOV_MAX = 1020 };

/* Connects to the daemon whose run directory is dir: a descriptor, close-on-exec, or -errno.
 * -ECONNREFUSED: the folder is there, but no daemon. */
int conn_open(const char *dir);
/* The same by a token, for those who may not enter the folder any more (setuid): whoever holds one
 * belongs to the instance. */
int conn_open_by(int token);
/* Says HELLO: r->rep holds the answer. */
int conn_hello(int fd, uint64_t ino, struct shim_req *r);
/* Makes a request and takes its answer: 0 or the daemon's -errno. -EPIPE with r->gone: the daemon
 * is no longer there. */
int conn_call(int fd, struct shim_req *r);
