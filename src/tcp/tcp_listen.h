/*
 * tcp_listen: what the files of a connection's passive opening share.
 *
 *   tcp_listen.c    listen(2), accept(2), the queue of connections not yet accepted
 *   tcp_syn.c       a SYN for a listener: a request, a cookie, or nothing
 *   tcp_req.c       a request's life: SYN-ACKs again, the segment that ends it
 *   tcp_child.c     from a request and its ACK to a connection
 *   tcp_cookie.c    SYN cookies
 *   tcp_fastopen.c  data in a SYN: the server's half, and the client's cookie
 *   tcp_reply.c     ACKs of who is no socket
 *
 * All runs on the listener's worker. A listener knows its requests and takes them along, so that
 * they need not hold it. While a child waits in the accept queue the queue has the one reference
 * to it.
 */
#pragma once

#include "tcp/tcp_table.h"

/* A listener's queues. */
struct tcp_listen {
	struct cds_list_head children; /* ready to be accepted: tcp_sock.accept_link */
	struct cds_list_head reqs;     /* tcp_req.link */
	unsigned n_children;
	unsigned n_reqs, n_young; /* young: their SYN-ACK was sent once */
	unsigned backlog;
	/* Fast Open: children in SYN_RECV, and places that a child's RST keeps taken */
	unsigned fo_qlen;
	struct cds_list_head fo_reqs; /* tcp_req.link: of those children */
	struct cds_list_head fo_rst;  /* tcp_req.link: what is left of them, by time */
};

static inline bool tcp_accept_full(const struct tcp_sock *tp)
{
	return tp->listen->n_children + tp->in.sk.accept_handed > tp->listen->backlog;
}

static inline uint64_t *tcp_req_mib(const struct tcp_req *r)
{
	return ip4_mib(r->node.net, r->w);
}
static inline bool tcp_ecn_is_ect(uint8_t dsfield)
{
	return dsfield & 3;
}

/* ---- tcp_listen.c ---- */
/* Puts a child into its listener's queue; the reference goes with it. */
void tcp_accept_add(struct tcp_sock *listener, struct tcp_sock *child);

/* ---- tcp_syn.c ---- */
/* The path of an answer to r. 0 or -errno. */
int tcp_req_route(const struct tcp_req *r, const struct tcp_sock *listener,
		  struct route_result *res);
/* Window and scale to offer (Linux's tcp_openreq_init_rwin); mss: of the segments that fill it. */
void tcp_req_window(struct tcp_req *r, const struct tcp_sock *listener,
		    const struct route_result *res, uint32_t mss);
/* What p's IP header has that a request keeps: addresses, options to answer with. */
void tcp_req_addresses(struct tcp_req *r, const struct tcp_sock *listener, const struct pkt *p);
struct tcp_req *tcp_req_new(struct tcp_sock *listener);

/* ---- tcp_req.c ---- */
int tcp_req_send_synack(struct tcp_req *r, struct tcp_sock *sk, const struct tcp_fo_cookie *fo);
/* The SYN-ACK once more, counted. */
int tcp_req_rtx_synack(struct tcp_req *r, struct tcp_sock *sk);
/* Among the connections and its listener's requests; its timer runs. 0 or -errno. */
int tcp_req_add(struct tcp_req *r);
/* Out of the tables, and ended. */
void tcp_req_drop(struct tcp_req *r);
/* Ends one that is in no table. */
void tcp_req_free(struct tcp_req *r);
enum tcp_verdict {
	TCP_REQ_DROP,	/* done with the segment */
	TCP_REQ_LISTEN, /* it is for the listener */
	TCP_REQ_CHILD,	/* it is the ACK that opens the connection */
};
/* RFC 9293's checks for a segment in SYN-RECEIVED (Linux's tcp_check_req up to the child). Borrows.
 * *seen: its options. child: of Fast Open, or NULL. */
enum tcp_verdict tcp_req_check(struct tcp_req *r, struct tcp_sock *child, struct netdev *dev,
			       struct pkt *p, struct tcp_rx *rx, struct tcp_rx_opts *seen);

/* ---- tcp_child.c ---- */
/* A connection of r, in SYN_RECV, in the tables instead of r; NULL: no room or no memory. Counted.
 * Borrows p. */
struct tcp_sock *tcp_child_new(struct tcp_sock *listener, struct tcp_req *r, const struct pkt *p,
			       const struct tcp_rx *rx);
/* Gives p to the child's state machine, and tells the listener. Takes p. */
void tcp_child_process(struct tcp_sock *listener, struct tcp_sock *child, struct netdev *dev,
		       struct pkt *p, struct tcp_rx *rx);

/* ---- tcp_cookie.c ---- */
/* The sequence number that stands for a SYN; r->mss becomes what it can say. */
uint32_t tcp_cookie_isn(struct tcp_sock *listener, struct tcp_req *r);
/* An ACK to a listener: of a cookie? The child; NULL: no. *dropped: it was, but there is no room.
 * Borrows p. */
struct tcp_sock *tcp_cookie_check(struct tcp_sock *listener, struct pkt *p, struct tcp_rx *rx,
				  bool *dropped);

/* ---- tcp_fastopen.c ---- */
/* A SYN with a Fast Open option or data: a child that may be accepted at once; NULL: goes on as
 * any. *foc: in the SYN's; out the cookie to give. Borrows p. */
struct tcp_sock *tcp_fastopen_try(struct tcp_sock *listener, struct tcp_req *r, struct pkt *p,
				  struct tcp_rx *rx, struct tcp_fo_cookie *foc);
/* An RST came for a child in SYN_RECV. */
void tcp_fastopen_reset(struct tcp_sock *child);
void tcp_fastopen_listen_stop(struct tcp_sock *listener);

/* ---- tcp_reply.c ---- */
struct tcp_reply {
	uint32_t seq, ack, tsval, tsecr;
	uint16_t win;
	bool ts;
	uint8_t tos;
	uint32_t mark;
	int oif;
	const uint8_t *opt;
	uint8_t opt_len;
};
void tcp_reply_ack(struct worker *w, const struct tcp_node *n, const struct tcp_reply *r);
/* PAWS (RFC 7323 5.3) for those who keep ts_recent themselves. */
bool tcp_opts_paws_reject(const struct tcp_rx_opts *o, bool rst, uint64_t now);
bool tcp_seg_in_window(const struct tcp_rx *rx, uint32_t from, uint32_t to);
/* May an out-of-window segment be answered? Data always is: only bare ACKs make loops. */
bool tcp_oow_answer(struct worker *w, const struct net *net, const struct tcp_rx *rx,
		    uint64_t *last, int mib);
