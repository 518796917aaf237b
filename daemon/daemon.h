/*
 * daemon: what the files of weftd share.
 *
 * weftd offers one instance to the programs of one user. It is a single thread, the control thread
 * of the instance: it steps worker 0 and between steps serves its descriptors:
 *
 *   ctl      the listening socket <dir>/ctl; conn.c
 *   conn     one connection a thread of a program: requests and their answers; conn.c, ops.c
 *   end      our end of a socket's pair; sockets.c, and of streams streams.c
 *   token    our end of what every program of a namespace inherits; nsfiles.c
 *   writer   a file under /proc or /sys that a program has open to write; files.c
 *
 * Each ends when its peer has closed, which is how a program that dies gives back all it held.
 *
 * A namespace is held by connections, tokens, sockets, writers and names (ns_get, ns_put); when the
 * last of these goes it stays while a program has its file open, then it is emptied.
 *
 * What a client can make us keep is bounded: one request buffer for all, no answer is queued (a
 * client that does not read its answer is cut off), a socket's queue holds at most rcvbuf.
 */
#pragma once

#include <limits.h>
#include <stdio.h>
#include <sys/types.h>

#include "abi/shim.h"
#include "base/log.h"
#include "net/net.h"
#include "run/instance.h"
#include "sock/sock.h"
#include "table.h"
#include "weft.h"

struct daemon;

/* A namespace, as programs hold it. */
struct ns {
	struct daemon *d;
	struct net *net;	   /* holds a reference */
	struct cds_list_head link; /* in daemon.spaces */
	struct table_item by_ino;  /* in daemon.by_ino */
	unsigned users;
	bool lapsed; /* no users; a program may still have the file open */
	/* its file, made when somebody wants it, and known by what it is in the file system */
	bool has_file;
	dev_t dev;
	struct table_item by_inode; /* in daemon.ns_files */
	struct cds_list_head names;
};

/* A name in <dir>/netns that stands for a namespace, or any absolute path where it is mounted. */
struct ns_name {
	struct cds_list_head link; /* in daemon.names */
	struct table_item by_name; /* in daemon.by_name */
	struct ns *ns;
	struct cds_list_head of_ns; /* in ns->names */
	char name[];
};

struct token {
	struct worker_fd fd;
	struct cds_list_head link; /* in daemon.tokens */
	struct daemon *d;
	struct ns *ns;
	struct table_item
		by_inode; /* of the program's end, as in /proc/PID/fd; daemon.token_inodes */
};

struct conn {
	struct worker_fd fd;
	struct cds_list_head link; /* in daemon.conns */
	struct daemon *d;
	struct ns *ns;
	struct table_item by_pid; /* in daemon.pids */
	pid_t pid;
	uid_t uid;
	bool greeted;
};

struct stream;

/* Our end of a socket's pair. */
struct end {
	struct worker_fd fd;
	struct daemon *d;
	struct ns *ns;
	struct sock *sk;	    /* holds a reference */
	struct stream *stream;	    /* NULL: the pair carries datagrams */
	unsigned n_pairs;	    /* that it had before this one (end_renew) */
	struct cds_lfht_node node;  /* in daemon.ends by id */
	struct cds_list_head dirty; /* in daemon.dirty, or empty */
	bool blocked;		    /* the program's queue is full: EPOLLOUT is awaited */
	bool ended;		    /* end of file has been shown */
	bool error_shown;	    /* so_error has its mark in the pair */
	/* the error queue: at most rcvbuf bytes */
	struct sock_rx *errq, **errq_tail;
	size_t errq_bytes;
	unsigned errq_n;
};

struct writer {
	int fd;
	struct cds_list_head link;   /* in daemon.writers */
	struct table_item by_handle; /* in daemon.handles */
	struct daemon *d;
	struct ns *ns;
	int err; /* of the last write to the pair that failed and was not asked for yet */
	char path[];
};

struct daemon {
	struct weft *weft;
	struct worker *w; /* worker 0 */
	const char *dir, *name;
	uint64_t id; /* of the instance, in the names of its sockets */
	struct worker_fd ctl, signals,
		writing; /* the last: all writers, in an epoll of their own */
	bool ctl_paused; /* out of descriptors: nobody is let in until one is given back */
	bool keep, stop, had_token;
	bool own_clock;	   /* time is what the instance was last stepped to, not the machine's */
	uint64_t deadline; /* of the first program, ns */
	uint64_t recheck;  /* when to look after lapsed namespaces again; UINT64_MAX: none */
	struct cds_list_head conns, tokens, spaces, names, writers, dirty;
	struct cds_list_head stalled; /* listeners that could not hand over a connection */
	struct table by_ino, ns_files, by_name, token_inodes, pids, handles;
	unsigned n_conns, n_tokens, n_ends, n_spaces;
	uint64_t last_handle;
	struct ns *first;
	struct cds_lfht *ends;
	struct mnl_socket *unix_diag; /* unread.c; NULL until it is needed */
	uint8_t *buf;		      /* a request, WEFT_MSG_MAX and one */
	uint8_t *out;		      /* its answer: struct weft_rep and payload, WEFT_MSG_MAX */
	uint8_t *scratch;	      /* a datagram, WEFT_MSG_MAX; nobody keeps anything in it */
};

/* An answer being made. */
struct reply {
	struct weft_rep rep;
	uint8_t *data; /* WEFT_MSG_MAX - sizeof(struct weft_rep) bytes of room */
	int fd;	       /* to pass, -1: none */
	bool keep_fd;  /* fd is borrowed */
	bool hang_up;  /* close the connection when it is sent */
};
#define REPLY_MAX (WEFT_MSG_MAX - sizeof(struct weft_rep))

/* ---- daemon.c ---- */
/* The run directory and what is in it: 0 or -errno (-EEXIST: it is another's). */
int daemon_make_dirs(const char *dir);
/* Makes the instance and listens in d->dir, which is the caller's and exists; d is zero but for
 * dir, name, keep and own_clock. 0 or -errno, then the process had better end. The working
 * directory becomes d->dir. Registers with RCU before. */
int daemon_open(struct daemon *d, const struct weft_config *c);
/* Ends the instance and removes its run directory. */
void daemon_close(struct daemon *d);
/* The present, in ns of the instance's clock. */
static inline uint64_t daemon_now(const struct daemon *d)
{
	return d->own_clock ? d->w->now : clock_mono();
}
/* A descriptor was given back: whoever waits for one may be let in. */
void daemon_fd_closed(struct daemon *d);
/* Ends the daemon if nobody is left. */
void daemon_check_end(struct daemon *d);

/* ---- conn.c ---- */
int conn_listen(struct daemon *d);
/* A connection over fd, which becomes the daemon's; closed without one. */
void conn_new(struct daemon *d, int fd);
void conn_close(struct conn *c);
void conn_close_all(struct daemon *d);

/* ---- ops.c ---- */
/* Serves one request; r->rep.err is the result. req's payload is data. */
void ops_serve(struct conn *c, const struct weft_req *req, uint8_t *data, struct reply *r);

/* ---- sockets.c ---- */
int ends_init(struct daemon *d);
void ends_fini(struct daemon *d);
/* Makes the pair for sk and takes over its reference, but not when it fails; *fd: the program's
 * end. flags: SOCK_NONBLOCK. */
int end_new(struct ns *ns, struct sock *sk, int flags, int *fd);
void end_close(struct end *e);
/* Another pair for the same socket, whose bytes and ends are over; *fd: the program's end, which
 * takes the place of its old one. 0 or -errno. */
int end_renew(struct end *e, int *fd);
/* Has the program closed its end? It has when the name of the pair is free. For streams, where end
 * of file both ways does not tell. */
bool end_is_closed(const struct end *e);
/* Sees to the ends that programs have closed, among those whose socket has the port that sk wants:
 * a program may have closed one and asked for its port before we were told. True: there were. */
bool ends_reap(struct daemon *d, const struct sock *sk, uint16_t port);
struct end *end_by_id(struct daemon *d, uint64_t id);
/* Hands programs what has been queued for them since the last time. */
void ends_flush(struct daemon *d);
/* The program has removed marks: a new one for the errors that wait. */
void end_mark(struct end *e);
/* Takes the first of the error queue, which becomes the caller's (sock_rx_free); NULL: empty. */
struct sock_rx *end_errq_take(struct end *e);
/* SO_RCVBUF has changed: what the kernel queues for the program follows it. */
void end_sized(struct end *e);
/* A descriptor bound to the abstract name that fmt makes of "weft/<instance>/...". */
int pair_named(struct daemon *d, int type, int fd[2], const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

/* ---- streams.c ---- */
/* For end_new: what a stream has besides. 0 or -ENOMEM. */
int stream_init(struct end *e);
void stream_fini(struct end *e);
/* The socket may have something for the program, or room for what it wrote. */
void stream_flush(struct end *e);
/* Takes what the program has written, as much as there is room for. Before requests, so that they
 * come behind it. */
void stream_take(struct end *e);
/* connect(2), and again while it is under way. *how: enum weft_connect. 0 or -errno. */
int stream_connect(struct end *e, const struct sockaddr *a, size_t len, bool nonblock,
		   uint64_t *how, int *fd);
/* *first: it did not listen before. Of both, *fd: see end_renew. */
int stream_listen(struct end *e, int backlog, bool *first, int *fd);
int stream_shutdown(struct end *e, int how);
/* MSG_OOB, MSG_MORE, MSG_FASTOPEN; *how as for connect. Bytes or -errno. */
ssize_t stream_send(struct end *e, const struct sock_msg *m, uint64_t *how);
enum weft_stream stream_state(const struct end *e);
/* Bytes the program wrote that have not been taken. */
size_t stream_waiting(const struct end *e);
/* Listeners that lacked a descriptor try again. */
void streams_retry(struct daemon *d);
/* What a request sets off nearby (loopback, a veth away) has happened when it is answered, as it
 * mostly has in a kernel. ops.c. */
void daemon_settle(struct daemon *d);

/* ---- unread.c ---- */
/* Bytes that the program behind a stream's end has not read: struct sock.unread. */
size_t stream_unread(const struct sock *sk);
void unread_fini(struct daemon *d);

/* ---- nsfiles.c ---- */
int ns_init(struct daemon *d);
void ns_fini(struct daemon *d);
/* Takes over the reference to net; one user. NULL with *err. */
struct ns *ns_new(struct daemon *d, struct net *net, int *err);
struct ns *ns_by_ino(struct daemon *d, uint64_t ino); /* borrows */
struct ns *ns_get(struct ns *ns);
void ns_put(struct ns *ns);
/* Looks after namespaces whose files programs had open. */
void ns_recheck(struct daemon *d, uint64_t now);
/* Sees to it that there is the file of ns: 0 or -errno. */
int ns_file(struct ns *ns);
/* A new token of ns: the program's end, or -errno. */
int token_new(struct ns *ns);
int ns_name(struct daemon *d, struct ns *ns, const char *name);
int ns_unname(struct daemon *d, const char *name);
/* A name that stands for the namespace, NULL: it has none. Borrows. */
const char *ns_name_of(struct daemon *d, uint64_t ino);
/* The file of ns was mounted at path by the kernel; and is no longer. */
int ns_mounted(struct ns *ns, const char *path);
int ns_unmounted(struct daemon *d, const char *path);
/* The namespace of a process; NULL with *err. Borrows. */
struct ns *ns_of_pid(struct daemon *d, pid_t pid, int *err);
extern const struct nl_resolver ns_resolver;

/* ---- files.c ---- */
void file_open(struct ns *ns, const struct weft_req *req, char *path, struct reply *r);
int file_write(struct ns *ns, const struct weft_req *req, const char *data, size_t len);
int writers_init(struct daemon *d);
/* Takes what programs wrote into files since the last time. */
void files_drain(struct daemon *d);
void writers_fini(struct daemon *d);
/* A memfd with that text, read from its start; or -errno. */
int file_memfd(const char *name, const char *text, size_t len, bool writable);
/* Makes path absolute and free of "." and ".."; false: not a path. to holds PATH_MAX. */
bool file_normalise(const char *path, char *to);

/* ---- shadow.c ---- */
/* Brings the copy at path up to date and writes where it is. 0 or -errno. */
int shadow_refresh(struct ns *ns, const char *path, enum weft_depth depth, char *where,
		   size_t room);
void shadow_remove(struct ns *ns);
/* Removes a tree of files, whatever it holds. */
void tree_remove(const char *path);

/* ---- info.c ---- */
/* A memfd with the answer, or -errno. */
int info_open(struct daemon *d, const char *what);
