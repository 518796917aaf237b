/*
 * packet_core: what the files of src/packet share.
 *
 * Nothing in memory shared with a program is trusted: of a receive ring only the status words are
 * read back, and whatever else the kernel reads from its blocks is kept in struct packet_ring3; of
 * a transmit ring each word is read once and checked.
 */
#pragma once

#include <linux/if_packet.h>

#include "packet/packet.h"
#include "sock/sock.h"

struct packet_fanout;
struct packet_sock;

struct packet_core {
	struct weft *weft;
	struct event_sub sub;
	struct cds_list_head fanouts;
	struct packet_sock *sending; /* control: its own frames pass by the taps now */
};

/* A tap of a socket or a fanout group. Made anew with every binding: a reader may still be at the
 * old one's place in the list. */
struct packet_hook {
	struct tap tap;
	struct packet_sock *po; /* or NULL: */
	struct packet_fanout *fanout;
	bool ignore_outgoing;
	struct rcu_head rcu;
};

struct packet_member {
	struct cds_list_head link;
	struct packet_mreq_max {
		int ifindex;
		uint16_t type, alen;
		uint8_t addr[NETDEV_ALEN];
	} req;
	unsigned count;
};

struct packet_ring {
	uint8_t *mem; /* NULL: none */
	size_t size;
	uint32_t block_size, block_nr, frame_size, frame_nr, frames_per_block;
	uint32_t head;
};

/* TPACKET_V3: the block being filled. */
struct packet_ring3 {
	uint32_t sizeof_priv, feature_req_word;
	uint32_t max_frame_len;
	uint64_t retire_tov; /* ns */
	uint32_t active;
	uint64_t next_seq;
	uint32_t next_off, prev_off, blk_len, num_pkts;
	uint32_t last_sec, last_nsec; /* of the last frame in the block */
	bool frozen;
	uint64_t freezes; /* since statistics were read */
	struct timer timer;
};

struct packet_mem {
	int fd; /* -1: none */
	uint8_t *base;
	size_t size;
	bool shown; /* handed to a program */
};

struct packet_sock {
	struct sock sk;
	uint16_t num;		  /* be16 */
	int ifindex;		  /* 0: any; -1: its device has left */
	struct netdev *dev;	  /* of ifindex, while registered */
	struct packet_hook *hook; /* while running */
	bool running;
	bool auxdata, origdev, loss, has_off, ignore_outgoing, qdisc_bypass, wake_queued;
	uint8_t vnet_hdr_sz;
	int version;
	uint32_t hdrlen, reserve, copy_thresh;
	int tstamp;
	uint64_t n_packets, n_drops; /* since statistics were read; atomic */
	struct packet_ring rx, tx;
	struct packet_ring3 r3;
	struct packet_mem mem;
	struct packet_fanout *fanout; /* RCU */
	struct cds_list_head members;
};

static inline struct packet_sock *packet_sk(const struct sock *sk)
{
	return container_of(sk, struct packet_sock, sk);
}

/* A frame as a socket sees it: `v` is a view of the packet from its link header, tag taken off. */
struct packet_frame {
	struct pkt v;
	struct pkt *own; /* a private copy the view is of, or NULL */
	struct netdev *dev;
	uint32_t maclen;
	uint32_t orig_len; /* of the frame when it was seen, from the link header */
	bool out;
	bool stamped; /* by the driver that received it */
};

/* ---- packet.c ---- */

/* Puts the hook in and takes it out. */
int packet_hook_add(struct packet_sock *po);
void packet_hook_del(struct packet_sock *po);
struct packet_hook *packet_hook_new(struct net *net, struct netdev *dev, uint16_t protocol);
void packet_hook_free(struct net *net, struct netdev *dev, struct packet_hook *h);

/* ---- packet_rx.c ---- */

void packet_tap(struct worker *w, struct tap *t, struct netdev *dev, struct pkt *p, bool out);
/* A frame for this socket. Any worker. */
void packet_rcv(struct worker *w, struct packet_sock *po, struct packet_frame *f);
struct sockaddr_ll packet_sll(const struct packet_sock *po, const struct packet_frame *f);
/* The frame's tag as this socket is told of it; false: none. */
bool packet_vlan(const struct packet_sock *po, const struct packet_frame *f, uint16_t *tci,
		 uint16_t *tpid);
/* TP_STATUS_* about checksum and offload. */
uint32_t packet_status(const struct packet_frame *f);
/* Where the socket's data begins in the view: behind the link header for SOCK_DGRAM. */
static inline uint32_t packet_skip(const struct packet_sock *po, const struct packet_frame *f)
{
	return po->sk.type == SOCK_DGRAM ? MIN(f->maclen, f->v.total) : 0;
}
void packet_count_drop(struct packet_sock *po);

/* ---- rings: worker 0 ---- */

int packet_ring_set(struct packet_sock *po, const void *val, size_t len, bool tx);
void packet_ring_free(struct packet_sock *po);
int packet_ring_fd(struct sock *sk, size_t *size);
/* Writes a frame of which `snaplen` bytes from packet_skip() on are wanted. */
void packet_ring_rcv(struct worker *w, struct packet_sock *po, struct packet_frame *f,
		     uint32_t snaplen);
/* Tells the program's end that the ring has news. */
void packet_ring_wake(struct packet_sock *po);
/* How full: 0 no room, 1 little, 2 plenty. */
int packet_has_room(const struct packet_sock *po);

/* A place for `len` bytes of frame, headers included; NULL: none. */
uint8_t *packet_ring3_place(struct packet_sock *po, const struct packet_frame *f, uint32_t len);
/* The frame in the last place was written. */
void packet_ring3_done(struct packet_sock *po, uint32_t sec, uint32_t nsec);
void packet_ring3_open(struct packet_sock *po, const struct tpacket_req3 *req);
void packet_ring3_close(struct packet_sock *po);

/* ---- packet_tx.c ---- */

ssize_t packet_sendmsg(struct sock *sk, const struct sock_msg *m);

/* ---- packet_opt.c ---- */

int packet_setsockopt(struct sock *sk, int level, int name, const void *val, size_t len);
int packet_getsockopt(struct sock *sk, int level, int name, void *val, size_t *len);

/* ---- packet_fanout.c ---- */

int packet_fanout_add(struct packet_sock *po, const struct fanout_args *args);
int packet_fanout_data(struct packet_sock *po, const void *val, size_t len);
uint32_t packet_fanout_opt(const struct packet_sock *po);
int packet_fanout_stats(const struct packet_sock *po, struct tpacket_rollover_stats *st);
/* Leaves the group; the last one ends it. */
void packet_fanout_leave(struct packet_sock *po);
/* The member's device came or went. */
void packet_fanout_link(struct packet_sock *po);
void packet_fanout_unlink(struct packet_sock *po);
/* Who of the group gets this frame; NULL: nobody. Any worker, RCU. */
struct packet_sock *packet_fanout_choose(struct worker *w, struct packet_fanout *g,
					 const struct packet_frame *f);
uint16_t packet_fanout_id(const struct packet_fanout *g);

/* ---- packet_mc.c ---- */

int packet_mc_set(struct packet_sock *po, const void *val, size_t len, bool add);
/* Drops all, or those on dev. */
void packet_mc_flush(struct packet_sock *po, const struct netdev *dev);
