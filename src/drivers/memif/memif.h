/*
 * memif: a packet link to another process over shared memory (memif_proto.h): another instance, or
 * whatever else speaks the protocol (DPDK's net_memif, VPP, libmemif).
 *
 * A device is one end: a server listens on a UNIX socket, which several devices may share (each
 * has an id), or a client connects to one, again and again until it succeeds. There is carrier
 * while the ends are connected. Frames are copied into and out of the link's memory; a frame that
 * is larger than a buffer takes several. Checksums and segmentation are finished before: the
 * protocol has no word for what is left to do.
 *
 * Queue i is a ring in either direction and belongs to worker 1 + i mod n of n threads, or to
 * worker 0 where there are none. A worker that can sleep asks for interrupts (an eventfd a ring)
 * once it finds its ring empty; one that is stepped by its program polls, and the control
 * connection is then looked at by a timer. Any worker may send: it takes a queue of its own as
 * long as there are enough, and else shares one under its lock.
 *
 * What the other end writes is not trusted: a descriptor is read once, and its place and length
 * are checked against the memory that was agreed on, which must be sealed against shrinking; a
 * counter that makes no sense ends the connection.
 *
 * Files: memif.c the device, memif_conn.c sockets and life of connections, memif_ctl.c control
 * messages, memif_link.c memory, memif_ring.c packets. Memory: a connection (memif_conn) owns the
 * link that it builds; the device takes it over when connected, and frees it after a grace period.
 */
#pragma once

#include "dev/netdev.h"
#include "drivers/memif/memif_proto.h"

#define MEMIF_QUEUES_MAX 64
#define MEMIF_PATH_MAX	 107

struct memif_conn;
struct memif_dev;
struct memif_link;
struct memif_listener;

struct memif_params {
	char socket[MEMIF_PATH_MAX + 1]; /* a leading @: an abstract name */
	char secret[MEMIF_SECRET_SIZE + 1];
	uint32_t role; /* WEFT_MEMIF_SERVER, WEFT_MEMIF_CLIENT */
	uint32_t id, queues;
	uint32_t ring;	 /* descriptors a ring, of a client: a power of two */
	uint32_t buffer; /* bytes of one, of a client */
	char peer[MEMIF_NAME_SIZE + 1];
};

/* One ring, as one of its two sides. */
struct memif_queue {
	struct memif_link *link;
	struct memif_ring *ring; /* shared: never to be trusted */
	uint8_t *buffers;	 /* of a client: slot i's is at i * buf_size */
	uint32_t buf_offset;	 /* the same, from the region's start */
	uint16_t size, mask;
	uint16_t next;	  /* our own counter: next descriptor to be read, or to be filled */
	uint16_t offered; /* of a client that receives: buffers are in the ring up to here */
	uint16_t idle;	  /* polls in vain since the last packet */
	uint16_t seen;	  /* of who sends: the other's counter when it was last looked at */
	uint32_t region, offset;
	int fd; /* eventfd */
	/* receiving */
	struct rx_queue rx;
	/* sending */
	int busy; /* atomic: its lock */
	uint64_t packets;
} __attribute__((aligned(CACHE_LINE)));

struct memif_region {
	uint8_t *addr;
	uint64_t size;
	int fd; /* -1: not kept */
};

struct memif_link {
	struct netdev *dev;
	bool server;
	unsigned n_regions, n_rx, n_tx, cap;
	uint32_t buf_size;
	struct memif_region region[MEMIF_REGIONS_MAX];
	struct memif_queue *rx, *tx; /* [cap] */
};

/* Tells control that the other end breaks the rules. Outlives the device while under way. */
struct memif_news {
	struct worker_msg msg;
	struct memif_dev *dev; /* NULL: went meanwhile */
	int under_way;	       /* atomic */
};

struct memif_dev {
	struct netdev *dev;
	struct memif_params set;
	struct memif_link *link; /* RCU; NULL: not connected */
	struct memif_conn *conn; /* NULL: none */
	struct memif_listener *listener;
	struct cds_list_head listener_link;
	struct timer timer;
	struct memif_news *news;
	uint64_t rx_bad; /* descriptors that made no sense */
	bool open;
};

static inline struct memif_dev *memif_dev(const struct netdev *dev)
{
	return dev->priv;
}

/* ---- memif_conn.c: control ---- */
/* A control connection. */
struct memif_conn {
	struct worker_fd wfd;
	struct worker *worker;
	struct memif_listener *listener; /* it came in by; NULL: we connected */
	struct memif_dev *dev;		 /* NULL until INIT */
	struct memif_link *link;	 /* being built; NULL once the device has it */
	struct cds_list_head list;	 /* among the listener's that have no device yet */
	bool hello, epoll;
};

/* Starts listening or connecting. 0 or -errno. */
int memif_dev_start(struct memif_dev *m, struct extack *ext);
/* Ends all of it, and says goodbye. */
void memif_dev_stop(struct memif_dev *m);
/* A connection over fd (taken): listener or dev is set. NULL without memory. For tests, too. */
struct memif_conn *memif_conn_new(struct worker *w, int fd, struct memif_listener *l,
				  struct memif_dev *m);
/* Ends c, and its device's link; why: told to the other end, NULL: nothing is. */
void memif_conn_end(struct memif_conn *c, const char *why);
/* Handles what has come; c may be gone then. */
void memif_conn_read(struct memif_conn *c);
/* Sends; fd -1: none. 0 or -errno. */
int memif_conn_send(struct memif_conn *c, const struct memif_msg *m, int fd);
/* The listener's device with this id; NULL. */
struct memif_dev *memif_listener_find(struct memif_listener *l, uint32_t id);
/* The listener forgets a connection that has got its device. */
void memif_conn_bound(struct memif_conn *c, struct memif_dev *m);
/* Any worker: the other end broke the rules. */
void memif_broken(struct netdev *dev);

/* ---- memif_ctl.c: control ---- */
/* One message, with the descriptor that came along (taken; -1: none). NULL, or why the connection
 * must end: "" when the other end said so itself. */
const char *memif_ctl_input(struct memif_conn *c, const struct memif_msg *m, int fd);
/* The first word of a server. */
int memif_ctl_hello(struct memif_conn *c);

/* ---- memif_link.c: control ---- */
struct memif_link *memif_link_new(struct memif_dev *m);
void memif_link_free(struct memif_link *l);
/* A client's memory and rings. 0 or -errno. */
int memif_link_build(struct memif_link *l, unsigned n_rx, unsigned n_tx, unsigned log2_ring,
		     uint32_t buf_size);
/* The server's side: takes fd. NULL, or what is wrong with it. */
const char *memif_link_region(struct memif_link *l, const struct memif_add_region *r, int fd);
const char *memif_link_ring(struct memif_link *l, const struct memif_add_ring *r, int fd);
const char *memif_link_check(const struct memif_link *l);
/* Receives from now on. 0 or -errno. */
int memif_link_start(struct memif_link *l);
void memif_link_stop(struct memif_link *l);

/* ---- memif_ring.c ---- */
unsigned memif_poll(struct worker *w, struct poller *p, unsigned budget);
void memif_ready(struct worker *w, struct worker_fd *f, uint32_t events);
void memif_xmit(struct worker *w, struct netdev *dev, struct batch *b);
/* Offers all buffers of a client's ring. */
void memif_ring_offer(struct memif_queue *q);
