/*
 * sock: what every socket is, whatever its family.
 *
 * A socket belongs to a namespace and is configured by control (worker 0), on behalf of a program
 * behind the shim, of libweft or of a test. Protocols (netlink, packet, raw, ping, UDP) supply a
 * struct sock_ops. Datagrams for it are queued by sock_deliver(): from worker 0 at once, from
 * other workers over worker 0's inbox; `wake` then tells the application's end, which drains the
 * queue with sock_dequeue(). The queue holds at most rcvbuf bytes; more is dropped and counted.
 *
 * Errors: sock_error() sets so_error, and with IP_RECVERR an error-queue record goes in order with
 * the data. Ownership: a socket is reference counted on control; workers find it under RCU.
 */
#pragma once

#include <sys/socket.h>
#include <sys/uio.h>

#include "abi/dgram.h"
#include "bpf/cbpf.h"
#include "net/net.h"
#include "run/instance.h"

struct sock;

/* One datagram on its way to a socket: the header the application will see, and the bytes. */
struct sock_rx {
	struct sock_rx *next;
	struct weft_dgram meta;
	struct pkt *pkt; /* payload from its data offset, or NULL: */
	size_t len;	 /* bytes of payload the program is told of (MSG_TRUNC) */
	size_t caplen;	 /* bytes of them that are delivered */
	size_t truesize; /* charged to rcvbuf */
	bool embedded;	 /* this record lies in pkt's own buffer: leave pkt in place */
	/* when pkt is NULL (netlink); whoever reads it in place finds messages aligned */
	uint8_t data[] __attribute__((aligned(8)));
};

struct sock_msg {
	const void *name;
	size_t name_len;
	const void *data;
	size_t len;
	int flags; /* MSG_* */
	const struct weft_dgram
		*meta; /* what control messages said: ttl, tos, ifindex, ...; may be NULL */
};

struct sock_ops {
	size_t size; /* of the protocol's struct, whose first member is struct sock */
	int (*init)(struct sock *sk);
	/* Leaves every table; memory goes after a grace period. A protocol that has still to talk
	 * to its peer takes a reference of its own. */
	void (*release)(struct sock *sk);
	int (*bind)(struct sock *sk, const struct sockaddr *addr, size_t len);
	int (*connect)(struct sock *sk, const struct sockaddr *addr, size_t len);
	/* *len: in the room, out the size. */
	int (*getname)(struct sock *sk, bool peer, struct sockaddr *addr, size_t *len);
	/* Bytes sent, or -errno. */
	ssize_t (*sendmsg)(struct sock *sk, const struct sock_msg *m);
	int (*setsockopt)(struct sock *sk, int level, int name, const void *val, size_t len);
	int (*getsockopt)(struct sock *sk, int level, int name, void *val, size_t *len);
	/* An option of SOL_SOCKET has been set. Optional. */
	void (*option_set)(struct sock *sk, int name);
	/* SO_ATTACH_REUSEPORT_CBPF: where the program of the group is kept of which the socket is
	 * a member; NULL: of none. Optional. */
	struct cbpf **(*reuse_prog)(struct sock *sk);
	/* SO_BINDTODEVICE and SO_BINDTOIFINDEX have changed bound_if. Optional. */
	void (*rebind)(struct sock *sk);
	/* Protocol's own ioctls; -ENOIOCTLCMD (515) passes on to the devices'. */
	int (*ioctl)(struct sock *sk, unsigned long cmd, void *arg, size_t len);
	int (*shutdown)(struct sock *sk, int how);
	/* Ends what the socket is about, because an administrator says so (ss -K): so_error, then
	 * as disconnected. Optional. */
	int (*abort)(struct sock *sk, int err);
	/* A reader made room: netlink goes on with its dump. Optional. */
	void (*drained)(struct sock *sk);
	/* Streams; NULL elsewhere. */
	const struct sock_stream_ops *stream;
	/* Memory to share with the program at mmap() (packet rings): a memfd (borrowed), or -errno.
	 */
	int (*mmap_fd)(struct sock *sk, size_t *size);
};

/*
 * Streams: bytes instead of datagrams. sendmsg takes as much as there is room for (-EAGAIN: none,
 * -EPIPE when shut); shutdown, connect (-EINPROGRESS, then state) never wait. `wake` says that poll
 * may have changed. The data passes without a copy between an application's end and the queues:
 * send_pkt gives packets, peek shows where bytes lie.
 */
enum sock_poll { /* as EPOLLIN, ... of epoll(2) */
		 SOCK_POLL_IN = 0x001,
		 SOCK_POLL_PRI = 0x002,
		 SOCK_POLL_OUT = 0x004,
		 SOCK_POLL_ERR = 0x008,
		 SOCK_POLL_HUP = 0x010,
		 SOCK_POLL_RDHUP = 0x2000,
};

struct sock_stream_ops {
	int (*listen)(struct sock *sk, int backlog);
	/* A connection that is ready; the reference is the caller's. -EAGAIN: none, -EINVAL: does
	 * not listen. */
	int (*accept)(struct sock *sk, struct sock **out);
	/* Bytes that sendmsg or send_pkt would take now. */
	size_t (*sendspace)(const struct sock *sk);
	/* Takes p: a packet whose data (all segments) is stream data and whose headroom is whole.
	 * flags: MSG_MORE. 0 or -errno (-EPIPE, so_error). Room is not asked for again. */
	int (*send_pkt)(struct sock *sk, struct pkt *p, int flags);
	/* Where the next bytes to be read lie: fills at most n of iov, stops before urgent data;
	 * *count is set. Bytes shown; 0: none; -errno: so_error (taken), -ENOTCONN. */
	ssize_t (*peek)(struct sock *sk, struct iovec *iov, unsigned n, unsigned *count);
	/* The first len of what peek showed have been read. */
	void (*consume)(struct sock *sk, size_t len);
	/* recv(2) with MSG_PEEK, MSG_OOB, MSG_TRUNC; never waits. Bytes, 0 at the end, -errno. */
	ssize_t (*recv)(struct sock *sk, void *buf, size_t len, int flags);
	uint32_t (*poll)(const struct sock *sk); /* enum sock_poll */
	/* The peer's name, whatever has become of it: accept(2). */
	int (*accepted_name)(struct sock *sk, struct sockaddr *a, size_t *len);
};

struct sock {
	const struct sock_ops *ops;
	struct net *net; /* holds a reference */
	struct weft *weft;
	uint64_t id;
	uint64_t ino; /* of the program's descriptor, as in /proc/PID/fd; 0: it has none */
	unsigned refs;
	int family, type, protocol;
	uint32_t shut; /* 1 receive, 2 send */
	uint32_t uid;
	uint32_t pid; /* who opened it */

	/* receive queue: worker 0 */
	struct sock_rx *rx_head, **rx_tail;
	size_t rx_bytes; /* truesize queued, atomic: other workers look before they post */
	uint64_t rx_drops;
	int error; /* so_error, positive */
	/* of a listener: accepted by its end, but no program has taken them yet; they count towards
	 * the backlog */
	unsigned accept_handed;
	/* calls that wait to send: what they have follows at once, and may bring an ACK along */
	unsigned write_pending;
	bool dead;
	bool listens;	  /* SO_ACCEPTCONN; the protocol sets it */
	bool privileged;  /* its owner may do what takes CAP_NET_BIND_SERVICE: others ask uid */
	uint8_t buf_lock; /* SOCK_SNDBUF_LOCK, SOCK_RCVBUF_LOCK */

	/* options */
	size_t rcvbuf, sndbuf;
	uint32_t mark, prio;
	int bound_if;
	bool broadcast, reuseaddr, reuseport, timestamp, timestampns, keepalive, dontroute,
		no_check;
	bool rxq_ovfl, lock_filter, passcred, zerocopy, oobinline;
	bool ts_new; /* time stamps were asked for by the 64-bit option numbers */
	uint8_t txtime_flags;
	int txtime_clock; /* SO_TXTIME: for a scheduler that sends by the clock; there is none */
	uint32_t
		misc_opts; /* options that are kept only to be read back: bit by SO_* number < 32 */
	uint32_t timestamping, tskey; /* SOF_TIMESTAMPING_*; of the next datagram (OPT_ID) */
	int linger;		      /* s; -1 off */
	int rcvlowat, incoming_cpu, busy_poll;
	uint64_t rcvtimeo, sndtimeo; /* ns, 0: for ever (kept for getsockopt; the shim waits) */
	struct cbpf *filter;	     /* RCU */
	struct cbpf *reuse_cbpf;     /* chooses in the group that it will found */
	uint64_t max_pacing;
	uint64_t stamp;		   /* of the last datagram taken out: SIOCGSTAMP; 0: none */
	struct cds_list_head link; /* in the namespace's list */
	unsigned inflight; /* atomic: datagrams under way from other workers, and 1 for its life */

	/* the application's end */
	void (*wake)(struct sock *sk); /* something is queued, or error, or shut; may be NULL */
	/* Bytes that left the queue but were not read by the program yet; may be NULL. */
	size_t (*unread)(const struct sock *sk);
	void *end;
	struct rcu_head rcu;
};

struct sock_family {
	int family;
	/* The ops for (type, protocol); NULL with *err = -ESOCKTNOSUPPORT, -EPROTONOSUPPORT,
	 * -EPERM. */
	const struct sock_ops *(*find)(struct net *net, int type, int protocol, int *err);
};

/* Families of the instance: at most 8, registered by weft.c. */
int sock_register(struct weft *weft, const struct sock_family *f);
/* What socket(2) would choose; NULL with *err. */
const struct sock_ops *sock_find_ops(struct net *net, int family, int type, int protocol, int *err);

/* Makes a socket with one reference. type without SOCK_NONBLOCK/CLOEXEC. */
int sock_new(struct net *net, int family, int type, int protocol, struct sock **out);
void sock_get(struct sock *sk);
/* The last put releases. */
void sock_put(struct sock *sk);
/* The same for one that is closed, from where packets are processed: those in hand may be the
 * namespace's, which goes with its last socket. Control. */
void sock_put_later(struct sock *sk);
void sock_put_late(struct weft *weft); /* now */
/* Ends it now: leaves all tables; readers get EOF, then sock_put as usual. */
void sock_close(struct sock *sk);

int sock_bind(struct sock *sk, const struct sockaddr *a, size_t len);
int sock_connect(struct sock *sk, const struct sockaddr *a, size_t len);
int sock_getname(struct sock *sk, bool peer, struct sockaddr *a, size_t *len);
/* The peer of what sock_accept() gave: even of one that has ended since. */
int sock_accepted_name(struct sock *sk, struct sockaddr *a, size_t *len);
ssize_t sock_sendmsg(struct sock *sk, const struct sock_msg *m);
/* SOL_SOCKET here, the rest by ops. The kernel's checks and error numbers. */
int sock_setsockopt(struct sock *sk, int level, int name, const void *val, size_t len);
int sock_getsockopt(struct sock *sk, int level, int name, void *val, size_t *len);
/* SIOCGIF*, SIOCSIF*, SIOCETHTOOL, SIOCGARP, ...: arg holds len bytes in and out. */
int sock_ioctl(struct sock *sk, unsigned long cmd, void *arg, size_t len);
int sock_shutdown(struct sock *sk, int how);
int sock_listen(struct sock *sk, int backlog);
int sock_accept(struct sock *sk, struct sock **out);
/* As sock_new for a connection that was accepted: no init is called, options are the listener's. */
struct sock *sock_clone(const struct sock *listener);

/* A datagram for sk: takes rx. Runs the wake. Any worker. False: dropped, full. */
bool sock_deliver(struct worker *w, struct sock *sk, struct sock_rx *rx);
/* A receive record around a packet; takes p on success, NULL without memory. */
struct sock_rx *sock_rx_pkt(struct sock *sk, struct pkt *p, size_t len);
struct sock_rx *sock_rx_bytes(struct sock *sk, const void *data, size_t len);
/* A record of the error queue about what was sent: ee_origin, ee_errno; p is shown with it. Takes p
 * (NULL: no memory for it). NULL without memory. */
struct sock_rx *sock_rx_sent(struct worker *w, struct sock *sk, struct pkt *p, uint8_t origin,
			     uint32_t err);
/* The error queue tells when something was handed down, sent, acknowledged (SCM_TSTAMP_*,
 * SO_TIMESTAMPING): now. p shows what. Takes p. */
void sock_stamp(struct worker *w, struct sock *sk, struct pkt *p, uint32_t type, uint32_t key);
void sock_rx_free(struct worker *w, struct sock_rx *rx);
/* Takes the head of the queue out; NULL when empty. Worker 0. The caller frees it. */
struct sock_rx *sock_dequeue(struct sock *sk);
/* Puts what could not be handed on back at the head. */
void sock_requeue(struct sock *sk, struct sock_rx *rx);
/* Sets so_error and wakes. */
void sock_error(struct sock *sk, int err);
/* The same, and returned once: 0 or -errno, for the next call that may report it. */
int sock_take_error(struct sock *sk);
/* What a datagram of len bytes is charged: as the kernel's buffers would be. */
size_t sock_truesize(size_t len);
/* What has come for the program and was not read, as it is charged. Control. */
size_t sock_rmem(const struct sock *sk);
/* Is there room for more? Any worker. */
bool sock_has_room(const struct sock *sk);
/* Fills meta's time stamp and the cmsg bits of SOL_SOCKET's options. Any worker. */
void sock_rx_meta(const struct worker *w, const struct sock *sk, struct sock_rx *rx);
/* A reference to sk, held by what is under way to worker 0; workers, RCU. */
void sock_hold_inflight(struct sock *sk);
void sock_drop_inflight(struct sock *sk);
/* Filters come flattened, as an array of struct sock_filter (SO_ATTACH_FILTER and its like, in the
 * request of the shim too: it knows where the program's struct sock_fprog points). */
int sock_filter_new(const void *val, size_t len, struct cbpf **out);
void sock_filter_free(struct cbpf *f); /* after a grace period */
/* The namespace's sockets, in order of making: NULL starts and ends. Control. */
struct sock *sock_next(struct net *net, struct sock *sk);
/* A walk over them that may be left and taken up again while sockets come and go: `next` is the one
 * to look at, NULL at the end. Holds the namespace. Control. */
struct sock_walk {
	struct cds_list_head link;
	struct net *net;
	struct sock *next;
};
void sock_walk_start(struct sock_walk *walk, struct net *net);
void sock_walk_on(struct sock_walk *walk);
void sock_walk_end(struct sock_walk *walk);
/* Row's inode column: how a socket is told in /proc/net. */
static inline unsigned long sock_ino(const struct sock *sk)
{
	return (unsigned long)(sk->ino ? sk->ino : sk->id);
}
/* net.core's rmem_max and somaxconn. */
int sock_rmem_max(const struct weft *weft);
int sock_somaxconn(const struct net *net);
/* /proc/net/sockstat: the line before that of TCP, and those behind it */
void sock_show_used(struct net *net, FILE *out);
void sock_show(struct net *net, FILE *out);
/* Runs the socket's filter: bytes to keep, 0 reject, UINT32_MAX without a filter. RCU. */
uint32_t sock_filter(const struct sock *sk, const struct pkt *p, const struct netdev *dev);

/* The ioctl table for devices, set by ctl/ (rank above): NULL until then. */
typedef int sock_ioctl_fn(struct sock *sk, unsigned long cmd, void *arg, size_t len);
void sock_set_dev_ioctl(struct weft *weft, sock_ioctl_fn *fn);

/* Instance-wide counts and lists for /proc/net/{raw,udp,packet,sockstat} */
int sock_init(struct weft *weft);
void sock_fini(struct weft *weft);
int sock_net_init(struct net *net);
void sock_net_fini(struct net *net);
