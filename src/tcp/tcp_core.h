/*
 * tcp_core: what the files of src/tcp share: requests, what is left of connections, the tables, and
 * what each file offers the others.
 *
 *   tcp.c           struct sock_ops, life of the module and of a namespace's part
 *   tcp_table.c     connections by both ends; tcp_port.c who has which port, and which to choose;
 *                   tcp_dest.c, tcp_listener.c
 *   tcp_conn.c      bind, connect, getname, disconnect; tcp_isn.c what a connection begins with
 *   tcp_listen.c    listen, accept; tcp_syn.c SYNs; tcp_req.c what becomes of them, tcp_child.c
 *                   the connection made of one; tcp_cookie.c, tcp_fastopen.c
 *   tcp_timewait.c  the small state left of a closed connection
 *   tcp_ip4.c       struct tcp_af for IPv4
 *   tcp_opts.c      header options, read and written (wire form)
 *   tcp_input.c     a segment arrives: checks, states, fast path
 *   tcp_ack.c       what an ACK says: RTT, window, retransmit queue; tcp_sack.c the scoreboard
 *   tcp_recovery.c  loss: RACK, PRR, F-RTO, undo
 *   tcp_data.c      data in: order, urgent, D-SACK; tcp_delack.c when it is acknowledged;
 *                   tcp_window.c how much may come
 *   tcp_output.c    segments out: what may go, how large, when; retransmission; probes
 *   tcp_mtup.c      probing for the path's MTU
 *   tcp_send.c      the application's writes and reads, shutdown, close
 *   tcp_timer.c     timers
 *   tcp_cc*.c       congestion control; tcp_rate.c delivery rate
 *   tcp_option.c    setsockopt and getsockopt; tcp_info.c TCP_INFO
 *   tcp_list.c      connections in /proc and NETLINK_SOCK_DIAG
 *   tcp_errq.c      zero-copy notices and time stamps of what is sent
 *   tcp_metrics.c   what is remembered of a peer
 *   tcp_sysctl.c    net.ipv4.tcp_*
 *   tcp_sock.h      the connection itself
 */
#pragma once

#include "tcp/tcp.h"
#include "tcp/tcp_sock.h"

/* A connection asked for: after SYN, before the ACK of our SYN-ACK. Freed after a grace period. */
struct tcp_req {
	struct tcp_node node;
	struct cds_list_head link; /* among the listener's */
	struct tcp_sock *listener; /* NULL: it has gone before its Fast Open child */
	struct worker *w;
	struct timer timer; /* SYN-ACK's retransmission */
	struct rcu_head rcu;
	uint32_t rcv_isn, snt_isn, rcv_nxt;
	uint32_t ts_recent, ts_off, mark;
	uint32_t rsk_rcv_wnd, rsk_window_clamp;
	uint64_t snt_synack; /* ns */
	uint64_t last_oow_ack_time;
	uint16_t mss;	 /* the peer's */
	uint16_t advmss; /* ours, for its SYN-ACK */
	uint8_t snd_wscale, rcv_wscale, num_retrans, num_timeout;
	bool tstamp_ok, sack_ok, wscale_ok, ecn_ok, acked;
	bool syncookie; /* not kept: its SYN-ACK carries all; see tcp_cookie_tsval() */
	uint8_t tos;	/* of the SYN */
	uint32_t snt_tsval_first, snt_tsval_last;
	uint64_t expires; /* of a Fast Open child's, after an RST */
	int ifindex;
	uint8_t opt_len;
	uint8_t opt[40]; /* IP options to answer with */
	uint8_t *saved_syn;
	uint32_t saved_syn_len;
};

struct tcp_tw {
	struct tcp_node node;
	struct cds_list_head link; /* in tcp_net.tws */
	struct worker *w;
	struct timer timer;
	struct rcu_head rcu;
	struct tcp_port *port;
	struct cds_list_head port_link;
	bool substate_fin_wait2, reuse, connect_bind;
	uint8_t rcv_wscale, tos;
	bool reuseport;
	uint32_t rcv_nxt, snd_nxt, rcv_wnd;
	uint32_t ts_recent, ts_offset, mark;
	uint64_t entry_stamp; /* ns: since when it is in TIME-WAIT */
	uint64_t ts_recent_stamp, last_oow_ack_time;
	int bound_if;
	uint32_t uid;
};

/* Who has a port in a namespace. Control. */
struct tcp_port {
	struct net *net;
	uint16_t num; /* host order */
	/* What may join without a look at those who are there: -1 all came by connect(2). */
	int8_t fastreuse, fastreuseport;
	uint32_t fast_uid, fast_rcv_saddr;
	struct cds_list_head socks, tws; /* tcp_sock.port_link, tcp_tw.port_link */
	unsigned n, n_bound;		 /* those there; those that came by bind(2) or listen(2) */
};
#define TCP_PORT_PAGE 256

struct tcp_core {
	struct weft *weft;
	struct cds_lfht *conns;	    /* struct tcp_node, by both ends */
	struct cds_lfht *listeners; /* by namespace, address and port: see tcp_listener.c */
	struct cds_lfht *dests;	    /* tcp_dest.c */
	unsigned n_dests;
	uint32_t *table_perturb; /* RFC 6056 3.3.4; NULL until somebody connects */
	struct ip4_proto proto;
	/* of the machine, as in Linux */
	uint64_t mem_pages[3];		   /* tcp_mem */
	uint64_t memory;		   /* bytes of truesize in use, atomic */
	unsigned n_orphans, n_tw, n_socks; /* control's worker */
	int max_orphans;
	int low_latency;	  /* kept to be read back, as in Linux */
	uint64_t ehash_entries;	  /* what Linux would give its table on a machine as large */
	uint32_t cc_unrestricted; /* tcp_allowed_congestion_control: bit n: tcp_cc.c's row n */
	uint8_t cookie_key[2][16];
	uint32_t challenge_count;
	uint64_t challenge_stamp;
	void *metrics; /* tcp_metrics.c */
};

/* net.ipv4.tcp_*: named as the file. */
struct tcp_net {
	struct net *net;
#define SYSCTL(name, value, least, most) int name;
#include "tcp/tcp_sysctl.def"
#undef SYSCTL
	uint32_t tcp_notsent_lowat;
	uint64_t tcp_comp_sack_delay_ns, tcp_comp_sack_slack_ns;
	int tcp_rmem[3], tcp_wmem[3];
	const struct cc_ops *cc; /* tcp_congestion_control */
	uint8_t fastopen_key[2][16];
	bool has_fastopen_key, has_fastopen_key2;
	unsigned n_tw;
	/* tcp_fastopen.c: how often, and when, Fast Open was found not to work */
	unsigned tfo_active_disable_times;
	uint64_t tfo_active_disable_stamp;
	struct cds_list_head tws;
	struct tcp_port **ports[65536 / TCP_PORT_PAGE]; /* pages made when needed */
};
/* Where a namespace's part hangs. */
static inline struct tcp_net *tcp_net(const struct net *net)
{
	return (struct tcp_net *)net->tcp;
}

/* ---- struct tcp_af: what depends on the address family ---- */
struct tcp_af {
	uint16_t header_len; /* of the network header without options */
	/* Sends p (data at the TCP header, checksum field zero) as a segment of the socket; fills
	 * the checksum. Takes. 0 or -errno. */
	int (*xmit)(struct tcp_sock *tp, struct pkt *p);
	/* The path of the socket: mtu and metrics; 0 or -errno. */
	int (*route)(struct tcp_sock *tp, struct route_result *res);
};
extern const struct tcp_af tcp_ip4;
/* The address that a packet goes to first: of a source route in the options, or daddr. */
uint32_t tcp_ip4_first_hop(const uint8_t *opt, unsigned len, uint32_t daddr);
/* tcp_ip4.c: A segment that belongs to no socket's stream (RST, SYN-ACK, ACK of a tcp_tw or
 * tcp_req): p's data begins at the TCP header. from: where it goes: node's ends. Takes. */
int tcp_ip4_send_node(struct worker *w, const struct tcp_node *n, struct pkt *p, uint8_t tos,
		      uint32_t mark, int oif, uint8_t ttl, const uint8_t *opt, uint8_t opt_len);
/* The bytes of MSS that a route allows us to announce. */
uint32_t tcp_ip4_advmss(const struct net *net, const struct route_result *res);
/* Verifies the checksum of a segment, p's data at the TCP header. */
bool tcp_ip4_csum_ok(const struct pkt *p);

/* ---- tcp_opts.c ---- */
/* Parses the header at p's data; pulls nothing. False: malformed. */
bool tcp_parse(struct worker *w, struct pkt *p, struct tcp_rx *rx);
/* Reads options into opt (ts_recent and its stamp are left): estab: those of a SYN are ignored.
 * foc may be NULL. rx->sack is set. */
void tcp_parse_opts(struct tcp_rx *rx, struct tcp_rx_opts *opt, bool estab,
		    struct tcp_fo_cookie *foc, const struct tcp_net *tn);
/* What to write. */
struct tcp_tx_opts {
	uint16_t mss; /* 0: none */
	bool ts, sack_perm, wscale_ok;
	uint8_t wscale;
	uint32_t tsval, tsecr;
	unsigned n_sack;
	struct tcp_sack_block sack[TCP_MAX_SACKS];
	const struct tcp_fo_cookie *fo;
};
/* Bytes it takes, a multiple of 4; at most 40: what does not fit is left out as Linux does. */
unsigned tcp_opts_size(const struct tcp_tx_opts *o);
void tcp_opts_write(uint8_t *to, const struct tcp_tx_opts *o);

/* ---- tcp_table.c: control, but for look-ups ---- */
int tcp_table_init(struct tcp_core *core);
void tcp_table_fini(struct tcp_core *core);
/* A namespace's part: from tcp_net_init, and from tcp_net_fini behind tcp_tw_purge(). */
void tcp_table_net_init(struct tcp_net *tn);
void tcp_table_net_fini(struct tcp_net *tn);
int tcp_bound_if(const struct tcp_node *n); /* the device that it is about; 0: any */
/* The connection a segment belongs to; NULL. Any worker, RCU. */
struct tcp_node *tcp_lookup(struct tcp_core *core, const struct net *net, uint32_t laddr,
			    uint16_t lport, uint32_t raddr, uint16_t rport, int ifindex);
/* The listener for a SYN: by address, device, and among a reuseport group by hash or program. */
struct tcp_sock *tcp_lookup_listener(struct worker *w, const struct net *net, uint32_t laddr,
				     uint16_t lport, uint32_t raddr, uint16_t rport,
				     const struct netdev *dev, const struct pkt *p);
/* Binds (num host order; 0: any). 0, -EADDRINUSE, -ENOMEM. bind(2)'s rules of SO_REUSEADDR and
 * SO_REUSEPORT. */
int tcp_port_get(struct tcp_sock *tp, uint16_t num);
void tcp_port_put(struct tcp_sock *tp);
/* A child takes its listener's port. */
int tcp_port_inherit(struct tcp_sock *child, const struct tcp_sock *listener);
/* A port and a unique place for a connection whose addresses are set (connect(2)), TIME-WAIT reuse
 * by tcp_tw_reuse included. 0, -EADDRNOTAVAIL, -ENOMEM. */
int tcp_hash_connect(struct tcp_sock *tp);
/* Puts node among the connections; -EADDRINUSE: its ends are taken; tw given: it is replaced. */
int tcp_hash_add(struct tcp_core *core, struct tcp_node *n, struct tcp_node *replaced);
void tcp_hash_del(struct tcp_core *core, struct tcp_node *n);
/* A tcp_tw takes its socket's place among the port's. */
void tcp_port_tw(struct tcp_tw *tw, struct tcp_sock *tp);
void tcp_port_tw_put(struct tcp_tw *tw);
int tcp_listener_add(struct tcp_sock *tp); /* 0, -EADDRINUSE, -ENOMEM */
void tcp_listener_del(struct tcp_sock *tp);
/* Where the program of the socket's reuseport group is (SO_ATTACH_REUSEPORT_CBPF): struct
 * sock_ops.reuse_prog. */
struct cbpf **tcp_reuse_prog(struct sock *sk);
/* ns of the last SYN cookie of a listener or its group. */
uint64_t *tcp_synq_overflow(struct tcp_sock *listener);

/* ---- tcp_conn.c ---- */
int tcp_bind(struct sock *sk, const struct sockaddr *a, size_t len);
int tcp_connect(struct sock *sk, const struct sockaddr *a, size_t len);
/* The same from sendmsg(2) with MSG_FASTOPEN; data may wait in sndq. With a connect(2) that was
 * put off (defer_connect), tcp_connect_start() is all that is left to do. */
int tcp_stream_connect(struct sock *sk, const struct sockaddr *a, size_t len, bool is_sendmsg);
/* tcp_connect_init() of Linux, then tcp_send_syn(). 0 or -errno, the socket then closed. */
int tcp_connect_start(struct tcp_sock *tp);
/* Aborts a connection (RST where it is due), ends a listener; the socket is as new but for its
 * options and, if the program chose them, its address and port. */
int tcp_disconnect(struct tcp_sock *tp);
int tcp_getname(struct sock *sk, bool peer, struct sockaddr *a, size_t *len);
int tcp_accepted_name(struct sock *sk, struct sockaddr *a, size_t *len);
/* RFC 6528: of a connection; *ts_off: of its time stamps. */
uint32_t tcp_isn(struct worker *w, uint32_t saddr, uint32_t daddr, uint16_t sport, uint16_t dport,
		 uint32_t *ts_off);
/* That offset alone; 0 unless tcp_timestamps is 1. */
uint32_t tcp_ts_off(const struct net *net, uint32_t saddr, uint32_t daddr);
/* Values of a fresh socket (Linux's tcp_init_sock), behind inet_sock_init(). */
void tcp_init_sock(struct tcp_sock *tp);
/* A first guess of the size of what the peer will send. */
void tcp_initialize_rcv_mss(struct tcp_sock *tp);
/* The window that the whole receive buffer makes. */
static inline uint32_t tcp_full_space(const struct tcp_sock *tp)
{
	return tcp_win_from_space(tp, (int64_t)tp->in.sk.rcvbuf);
}
/* At most what TCP_MAXSEG says. */
static inline uint32_t tcp_mss_clamp(const struct tcp_sock *tp, uint32_t mss)
{
	return tp->rx_opt.user_mss && tp->rx_opt.user_mss < mss ? tp->rx_opt.user_mss : mss;
}
static inline uint32_t tcp_route_metric(const struct route_result *res, int metric)
{
	return res->fi ? res->fi->metrics[metric] : 0;
}
/* The window to offer at first (tcp_select_initial_window). */
void tcp_select_initial_window(const struct tcp_net *tn, int64_t space, uint32_t mss,
			       uint32_t *rcv_wnd, uint32_t *window_clamp, bool wscale_ok,
			       uint8_t *rcv_wscale, uint32_t init_rcv_wnd, int rmem_max);

/* ---- tcp_listen.c ---- */
int tcp_listen(struct sock *sk, int backlog);
/* -EAGAIN when none waits; *out is the caller's. */
int tcp_accept(struct sock *sk, struct sock **out);
void tcp_listen_stop(struct tcp_sock *tp); /* ends all requests and children not accepted */
/* A segment for a listener, a request. Takes p. */
void tcp_listen_input(struct worker *w, struct tcp_sock *tp, struct netdev *dev, struct pkt *p,
		      struct tcp_rx *rx);
void tcp_req_input(struct worker *w, struct tcp_req *r, struct netdev *dev, struct pkt *p,
		   struct tcp_rx *rx);
/* An ICMP error about a request's SYN-ACK, which had this sequence number. */
void tcp_req_error(struct tcp_req *r, uint32_t seq, uint8_t type, uint8_t code);
/* Connections that no program has taken yet; how many may be. */
unsigned tcp_accept_queue_len(const struct tcp_sock *tp);
unsigned tcp_listen_backlog(const struct tcp_sock *tp);
/* A Fast Open child is established; it, or any child, has gone. */
void tcp_fastopen_established(struct tcp_sock *child);
void tcp_child_gone(struct tcp_sock *child);

/* ---- tcp_cookie.c, tcp_fastopen.c ---- */
/* The time stamp of a SYN-ACK: of a cookie's, its lowest bits say what the SYN's options were. */
uint32_t tcp_cookie_tsval(const struct tcp_req *r, uint64_t now);
/* A segment for a Fast Open child in SYN_RECV (tcp_check_req with fastopen): true: go on with it;
 * false: it is dealt with; drop it. Borrows p (data at the payload). */
bool tcp_fastopen_check(struct tcp_sock *child, struct netdev *dev, struct pkt *p,
			struct tcp_rx *rx);
/* SYN-ACK timeouts of a Fast Open child go on from tcp_timer.c: sends it again. */
void tcp_retransmit_synack(struct tcp_sock *tp);
/* Data, and a FIN, that came with a SYN or SYN-ACK: in the receive queue. Borrows p (at the data).
 */
void tcp_fastopen_add_data(struct tcp_sock *tp, const struct pkt *p, const struct tcp_rx *rx);
/* Client: is there a cookie (or none needed) to send data in the SYN? *mss: 0: not known. */
bool tcp_fastopen_cookie_check(struct tcp_sock *tp, uint16_t *mss, struct tcp_fo_cookie *c);
/* Client: the cookie of the SYN being made has done its part. */
void tcp_fastopen_free(struct tcp_sock *tp);
/* Client, where middle boxes eat such SYNs (Linux's tcp_fastopen_active_*): */
void tcp_fastopen_active_disable(struct tcp_sock *tp);
bool tcp_fastopen_active_should_disable(struct tcp_sock *tp);
void tcp_fastopen_active_disable_ofo_check(struct tcp_sock *tp);
void tcp_fastopen_active_detect_blackhole(struct tcp_sock *tp, bool expired);

/* ---- tcp_timewait.c ---- */
/* The socket is done but for its name: leaves a tcp_tw (state TCP_TIME_WAIT or TCP_FIN_WAIT2, for
 * timeo ns) and ends it. */
void tcp_time_wait(struct tcp_sock *tp, enum tcp_state state, uint64_t timeo);
/* Takes p. True: it is a SYN that may open a new connection: p is still the caller's, *isn to use.
 */
bool tcp_tw_input(struct worker *w, struct tcp_tw *tw, struct netdev *dev, struct pkt *p,
		  struct tcp_rx *rx, uint32_t *isn);
void tcp_tw_end(struct tcp_tw *tw);
void tcp_tw_purge(struct net *net);

/* ---- tcp_input.c ---- */
void tcp_input(struct worker *w, struct netdev *dev, struct pkt *p);
void tcp_error(struct worker *w, struct netdev *dev, struct pkt *p, uint8_t type, uint8_t code,
	       uint32_t info);
/* A segment for the socket's state machine, from listen (a new child). Takes. */
void tcp_rcv(struct tcp_sock *tp, struct netdev *dev, struct pkt *p, struct tcp_rx *rx);
/* The connection is over: err to the application (0: none), tables left. */
void tcp_done(struct tcp_sock *tp);
void tcp_done_error(struct tcp_sock *tp, int err);
void tcp_reset(struct tcp_sock *tp, int err);
void tcp_set_state(struct tcp_sock *tp, enum tcp_state s);
/* An RST in answer to a segment that has no connection. Borrows. */
void tcp_send_reset(struct worker *w, struct netdev *dev, const struct pkt *p,
		    const struct tcp_rx *rx);
/* May an ACK go to an out-of-window segment now (tcp_invalid_ratelimit)? */
bool tcp_oow_ok(struct worker *w, const struct tcp_net *tn, uint64_t *last, int mib);

/* ---- tcp_ack.c, tcp_sack.c, tcp_recovery.c, tcp_rate.c ---- */
/* enum of flags is in tcp_input.h. */
int tcp_ack(struct tcp_sock *tp, struct pkt *p, struct tcp_rx *rx, int flag);
void tcp_rtt_estimator(struct tcp_sock *tp, int64_t mrtt_us);
void tcp_set_rto(struct tcp_sock *tp);
void tcp_init_transfer(struct tcp_sock *tp);
void tcp_synack_rtt(struct tcp_sock *tp, uint64_t synack_sent);
void tcp_enter_loss(struct tcp_sock *tp);
void tcp_enter_cwr(struct tcp_sock *tp);
void tcp_rack_reo_timeout(struct tcp_sock *tp);
void tcp_simple_retransmit(struct tcp_sock *tp);
uint32_t tcp_init_cwnd(const struct tcp_sock *tp, const struct fib_info *fi);

/* ---- tcp_data.c ---- */
/* Data and FIN of an acceptable segment. Takes p (data at the payload). */
void tcp_data_queue(struct tcp_sock *tp, struct pkt *p, const struct tcp_rx *rx);
void tcp_urg(struct tcp_sock *tp, struct pkt *p, const struct tcp_rx *rx);
uint32_t tcp_select_window(struct tcp_sock *tp); /* the window field, scaled; moves rcv_wnd */
/* Advertise more after the application has read `copied` bytes? */
void tcp_cleanup_rbuf(struct tcp_sock *tp, size_t copied);
void tcp_rcv_space_adjust(struct tcp_sock *tp);
/* Bytes of window the free buffer makes; what of the offered window is left. */
uint32_t tcp_free_window(const struct tcp_sock *tp);
static inline uint32_t tcp_receive_window(const struct tcp_sock *tp)
{
	int32_t win = (int32_t)(tp->rcv_wup + tp->rcv_wnd - tp->rcv_nxt);

	return (uint32_t)MAX(win, 0);
}
void tcp_data_purge(struct tcp_sock *tp); /* frees all that was received */
void tcp_init_buffer_space(struct tcp_sock *tp);

/* ---- tcp_output.c ---- */
void tcp_send_ack(struct tcp_sock *tp);
/* An ACK that tells rcv_nxt instead of the socket's: what is pending stays pending (DCTCP). */
void tcp_send_ack_at(struct tcp_sock *tp, uint32_t rcv_nxt);
void tcp_push_pending(struct tcp_sock *tp); /* sends what may go */
void tcp_xmit_retransmit_queue(struct tcp_sock *tp);
int tcp_retransmit_seg(struct tcp_sock *tp, unsigned i, unsigned segs);
void tcp_send_loss_probe(struct tcp_sock *tp);
bool tcp_schedule_loss_probe(struct tcp_sock *tp, bool advancing_rto);
void tcp_send_probe0(struct tcp_sock *tp);
int tcp_write_wakeup(struct tcp_sock *tp, int mib);
void tcp_send_fin(struct tcp_sock *tp);
void tcp_send_active_reset(struct tcp_sock *tp);
int tcp_send_syn(struct tcp_sock *tp);
/* A Fast Open child's SYN-ACK once more. */
void tcp_retransmit_synack(struct tcp_sock *tp);
int tcp_send_synack(struct tcp_sock *tp); /* crossed SYNs, Fast Open */
/* A SYN-ACK for a request (also a cookie's): NULL without memory. fo: cookie to give, or NULL. */
struct pkt *tcp_make_synack(struct worker *w, struct tcp_sock *listener, struct tcp_req *r,
			    const struct tcp_fo_cookie *fo);
/* The path's MTU has changed: a new mss. */
uint16_t tcp_sync_mss(struct tcp_sock *tp, uint32_t pmtu);
uint16_t tcp_current_mss(struct tcp_sock *tp);
uint32_t tcp_mtu_to_mss(const struct tcp_sock *tp, uint32_t pmtu);
void tcp_sndq_purge(struct tcp_sock *tp);

/* ---- tcp_send.c ---- */
ssize_t tcp_sendmsg(struct sock *sk, const struct sock_msg *m);
int tcp_shutdown(struct sock *sk, int how);
void tcp_release(struct sock *sk); /* close(2): graceful, or not (SO_LINGER 0, unread data) */
void tcp_write_space(struct tcp_sock *tp);
size_t tcp_sendspace(const struct sock *sk);
int tcp_send_pkt(struct sock *sk, struct pkt *p, int flags);
ssize_t tcp_send_stream(struct tcp_sock *tp, const uint8_t *data, size_t len, int flags);
/* An orphan's end. */
void tcp_destroy(struct tcp_sock *tp);

/* ---- tcp_recv.c: struct sock_stream_ops ---- */
ssize_t tcp_peek(struct sock *sk, struct iovec *iov, unsigned n, unsigned *count);
void tcp_consume(struct sock *sk, size_t len);
ssize_t tcp_recv(struct sock *sk, void *buf, size_t len, int flags);
uint32_t tcp_poll(const struct sock *sk);

/* ---- tcp_syndata.c: Fast Open, the client's half (RFC 7413 4.2) ---- */
ssize_t tcp_sendmsg_fastopen(struct tcp_sock *tp, const struct sock_msg *m);
/* Sends the SYN of the queue's head with as much of fo_msg as fits. 0 or -errno. */
int tcp_send_syn_data(struct tcp_sock *tp);
/* The SYN-ACK has come. True: data goes again, and with it the ACK. */
bool tcp_fastopen_synack(struct tcp_sock *tp, const struct tcp_rx *rx, struct tcp_fo_cookie *foc);

/* ---- tcp_errq.c: MSG_ZEROCOPY and SO_TIMESTAMPING ---- */
/* SO_TIMESTAMPING was set. */
void tcp_errq_opt_set(struct tcp_sock *tp);
/* sendmsg(2) of len bytes begins: 0 or -ENOBUFS; and has queued some: write_seq is behind them. */
int tcp_errq_begin(struct tcp_sock *tp, int msg_flags, size_t len);
void tcp_errq_sent(struct tcp_sock *tp, int msg_flags);
/* A segment is sent, for the first time or again. */
void tcp_errq_xmit(struct tcp_sock *tp, const struct tcp_seg *s);
/* snd_una has moved; what it passed is still in sndq. */
void tcp_errq_acked(struct tcp_sock *tp);
/* What was to be sent is dropped. */
void tcp_errq_purge(struct tcp_sock *tp);
void tcp_errq_free(struct tcp_sock *tp);

/* ---- tcp_timer.c ---- */
void tcp_timers_init(struct tcp_sock *tp);
void tcp_timers_stop(struct tcp_sock *tp);
void tcp_reset_rto_timer(struct tcp_sock *tp, int what /* ICSK_TIME_* */, uint64_t after);
void tcp_clear_rto_timer(struct tcp_sock *tp);
void tcp_reset_delack_timer(struct tcp_sock *tp, uint64_t at);
void tcp_reset_keepalive_timer(struct tcp_sock *tp, uint64_t after);
void tcp_set_keepalive(struct tcp_sock *tp, bool on); /* SO_KEEPALIVE has changed */
void tcp_write_err(struct tcp_sock *tp);
uint64_t tcp_keepalive_time_when(const struct tcp_sock *tp);
uint64_t tcp_fin_time(const struct tcp_sock *tp);

/* ---- tcp_option.c, tcp_info.c, tcp_metrics.c, tcp_sysctl.c ---- */
int tcp_setsockopt(struct sock *sk, int level, int name, const void *val, size_t len);
int tcp_getsockopt(struct sock *sk, int level, int name, void *val, size_t *len);
/* struct sock_ops.option_set: what an option of SOL_SOCKET entails. */
void tcp_sock_option(struct sock *sk, int name);
/* struct tcp_info of Linux 6.18, which has more than some headers know. */
union tcp_info_full {
	struct tcp_info base;
	struct {
		uint8_t known[offsetof(struct tcp_info, tcpi_snd_wnd) + 4];
		uint32_t rcv_wnd, rehash;
		uint16_t total_rto, total_rto_recoveries;
		uint32_t total_rto_time; /* ms */
		uint32_t received_ce;
		uint32_t delivered_e1_bytes, delivered_e0_bytes, delivered_ce_bytes;
		uint32_t received_e1_bytes, received_e0_bytes, received_ce_bytes;
		uint32_t accecn; /* ecn_mode, accecn_opt_seen, accecn_fail_mode, options2 */
	};
};
void tcp_get_info(struct tcp_sock *tp, union tcp_info_full *info);
void tcp_metrics_load(struct tcp_sock *tp); /* at connection's start: tcp_init_metrics */
void tcp_metrics_save(struct tcp_sock *tp); /* at its end: tcp_update_metrics */
bool tcp_metrics_peer_ok(struct net *net, uint32_t raddr, uint32_t laddr);
void tcp_metrics_fastopen_get(struct tcp_sock *tp, uint16_t *mss, struct tcp_fo_cookie *c);
void tcp_metrics_fastopen_set(struct tcp_sock *tp, uint16_t mss, const struct tcp_fo_cookie *c);
/* The SYN with data got lost; or the peer gave no cookie: which kind of option to try next (1: the
 * experimental one, 2: the standard one for good). */
void tcp_metrics_fastopen_failed(struct tcp_sock *tp, uint16_t mss, bool syn_lost, uint8_t try_exp);
int tcp_metrics_init(struct tcp_core *core);
void tcp_metrics_fini(struct tcp_core *core);
extern const struct sysctl_row tcp_sysctl[];
/* Defaults; a namespace behind the first takes some of its values, as in Linux. */
void tcp_sysctl_defaults(struct tcp_net *tn);
/* Of the instance: how much memory and how many of things there may be, by the size of its pool. */
void tcp_core_defaults(struct tcp_core *core);
/* A server's key for Fast Open cookies, made at its first use. */
void tcp_fastopen_key_init(struct tcp_net *tn);
