/*
 * tcp_sock: a connection: what the peer's segments and the application have made of it.
 *
 * Fields have Linux's names where it has the field, and mean the same. Addresses and ports are in
 * struct inet_sock (be). Times: `now` is the owner's w->now in ns; *_us in us. All of it is its
 * worker's, but for what a look-up reads (node).
 */
#pragma once

#include <linux/net.h> /* enum socket_state: SS_UNCONNECTED, ... */
#include <linux/tcp.h>

#include "sock/inet.h"
#include "tcp/tcp_cc.h"
#include "tcp/tcp_seg.h"

/* linux/tcp.h has no states for user space; the numbers are those of /proc/net/tcp. */
enum tcp_state {
	TCP_ESTABLISHED = 1,
	TCP_SYN_SENT,
	TCP_SYN_RECV, /* a passive open with Fast Open, or crossed SYNs; others are a tcp_req */
	TCP_FIN_WAIT1,
	TCP_FIN_WAIT2,
	TCP_TIME_WAIT, /* a tcp_tw */
	TCP_CLOSE,
	TCP_CLOSE_WAIT,
	TCP_LAST_ACK,
	TCP_LISTEN,
	TCP_CLOSING,
	TCP_NEW_SYN_RECV, /* a tcp_req */
};
#define TCPF(state) (1u << (state))

enum tcp_hdr_flags {
	TCPHDR_FIN = 0x01,
	TCPHDR_SYN = 0x02,
	TCPHDR_RST = 0x04,
	TCPHDR_PSH = 0x08,
	TCPHDR_ACK = 0x10,
	TCPHDR_URG = 0x20,
	TCPHDR_ECE = 0x40,
	TCPHDR_CWR = 0x80,
};

#define TCP_MIN_MSS	       88u
#define TCP_MIN_SND_MSS	       48u
#define TCP_MAX_WSCALE	       14
#define MAX_TCP_WINDOW	       32767u
#define TCP_INIT_CWND	       10u
#define TCP_FASTRETRANS_THRESH 3u
#define TCP_MAX_QUICKACKS      16u
#define TCP_RTO_MAX	       (120 * NSEC_PER_SEC)
#define TCP_RTO_MIN	       (200 * NSEC_PER_MSEC)
#define TCP_TIMEOUT_INIT       (1 * NSEC_PER_SEC)
#define TCP_TIMEOUT_FALLBACK   (3 * NSEC_PER_SEC)
#define TCP_TIMEOUT_MIN	       (2 * NSEC_PER_MSEC)
#define TCP_DELACK_MIN	       (40 * NSEC_PER_MSEC)
#define TCP_DELACK_MAX	       (200 * NSEC_PER_MSEC)
#define TCP_ATO_MIN	       (40 * NSEC_PER_MSEC)
#define TCP_TIMEWAIT_LEN       (60 * NSEC_PER_SEC)
#define TCP_PAWS_WINDOW	       1u
#define TCP_PAWS_MSL	       60u
#define TCP_PAWS_24DAYS	       (60u * 60 * 24 * 24)
#define TCP_MAX_SACKS	       4

#define TCP_DEFAULT_SCALING_RATIO 128

enum tcp_nonagle { TCP_NAGLE_OFF = 1, TCP_NAGLE_CORK = 2, TCP_NAGLE_PUSH = 4 };

enum tcp_ecn {
	TCP_ECN_OK = 1,
	TCP_ECN_QUEUE_CWR = 2,
	TCP_ECN_DEMAND_CWR = 4,
	TCP_ECN_SEEN = 8,
};

/* Options of a received header; Linux's struct tcp_options_received. */
struct tcp_rx_opts {
	uint64_t ts_recent_stamp; /* s of the clock when it was stored; 0: never */
	uint32_t ts_recent;	  /* time stamp to echo next */
	uint32_t rcv_tsval, rcv_tsecr;
	bool saw_tstamp, tstamp_ok, dsack, wscale_ok, sack_ok;
	uint8_t snd_wscale, rcv_wscale;
	uint8_t num_sacks;
	uint16_t user_mss;  /* TCP_MAXSEG */
	uint16_t mss_clamp; /* the peer's MSS option */
};
struct tcp_sack_block {
	uint32_t start_seq, end_seq;
};
struct tcp_fo_cookie {
	int8_t len; /* -1: no option, 0: a request */
	bool exp;   /* in the experimental option */
	uint8_t val[16];
};

/* What a segment's header says; host order. Made by tcp_parse(). */
struct tcp_rx {
	uint32_t seq, ack, end_seq; /* end_seq counts SYN, FIN and payload */
	uint32_t win;		    /* as on the wire, not scaled */
	uint16_t urg;
	uint8_t flags; /* TCPHDR_* */
	uint8_t hlen;  /* header's bytes with options */
	uint8_t ip_dsfield;
	uint32_t len;	     /* payload */
	const uint8_t *opts; /* hlen - 20 bytes of options, in the packet */
	const uint8_t *sack; /* first SACK block in the packet, or NULL */
	unsigned n_sack;
	uint32_t tw_isn; /* of a SYN that replaces a tcp_tw: the sequence number to use; 0: none */
};

enum {
	ICSK_ACK_SCHED = 1,
	ICSK_ACK_TIMER = 2,
	ICSK_ACK_PUSHED = 4,
	ICSK_ACK_PUSHED2 = 8,
	ICSK_ACK_NOW = 16,
	ICSK_ACK_NOMEM = 32
};
enum {
	ICSK_TIME_NONE,
	ICSK_TIME_RETRANS,
	ICSK_TIME_PROBE0,
	ICSK_TIME_LOSS_PROBE,
	ICSK_TIME_REO_TIMEOUT
};

/* What a table entry stands for. All of an established-hash bucket begin with it. */
struct tcp_node {
	struct cds_lfht_node node;
	struct net *net;
	uint32_t laddr, raddr; /* be */
	uint16_t lport, rport; /* be */
	uint8_t state;	       /* TCP_TIME_WAIT: tcp_tw; TCP_NEW_SYN_RECV: tcp_req; else tcp_sock */
	bool hashed;
	struct tcp_dest *dest; /* tcp_dest.c; most often NULL */
};

struct tcp_port;
struct tcp_listen;
struct tcp_dest;
struct tcp_errq;
struct tcp_group;
struct tcp_req;

/* A listener's own keys (TCP_FASTOPEN_KEY); tcp_sock.fastopen_ctx. */
struct tcp_fastopen_ctx {
	uint8_t key[2][16];
	unsigned n;
};

struct tcp_sock {
	struct inet_sock in;
	struct tcp_node node;  /* node.state is the socket's own state, whether hashed or not */
	struct worker *w;      /* the owner */
	struct tcp_port *port; /* while bound */
	struct cds_list_head port_link; /* among the port's sockets */
	struct tcp_listen *listen;	/* of a listener: its queues; NULL */
	struct tcp_group *group;	/* of a listener: where it is found; NULL */
	struct tcp_sock *parent;	/* of a child not yet accepted; NULL */
	struct cds_list_head accept_link;
	uint8_t ss_state;	 /* SS_UNCONNECTED, SS_CONNECTING, SS_CONNECTED, SS_DISCONNECTING */
	bool was_hashed;	 /* tcp_table.c: node was in the hash before */
	bool connect_bind;	 /* its port was chosen by connect(2) */
	bool orphan;		 /* closed by its application; lives on for the protocol's sake */
	bool fast_open_child;	 /* SYN_RECV: its SYN-ACK is not acknowledged yet */
	uint8_t timeouts_synack; /* of it */
	uint32_t snt_isn, rcv_isn;

	/* ---- receiving ---- */
	uint32_t rcv_nxt, copied_seq, rcv_wup, rcv_wnd;
	uint32_t rcv_ssthresh, window_clamp;
	uint32_t urg_seq;
	uint16_t urg_data;     /* 0, or TCP_URG_NOTYET, or TCP_URG_VALID | the byte */
	uint8_t scaling_ratio; /* of 256: what share of rcvbuf is window */
	struct pkt_queue rcvq; /* in order; cb[0] of each packet: seq | (uint64_t)end_seq << 32 */
	struct tcp_segs ofo;   /* out of order */
	size_t rmem;	       /* truesize of both */
	uint64_t rcv_tstamp;   /* last ACK received, ns */
	uint64_t lrcvtime, lsndtime; /* last data, ns */
	struct {
		uint32_t space, seq;
		uint64_t time;
	} rcvq_space; /* receive buffer autotuning */
	struct {
		uint32_t rtt_us, seq;
		uint64_t time;
	} rcv_rtt_est;
	struct tcp_rx_opts rx_opt;
	struct tcp_sack_block duplicate_sack, selective_acks[TCP_MAX_SACKS];
	struct {
		uint64_t ato;	  /* ns */
		uint64_t timeout; /* when the delayed ACK is due */
		uint64_t lrcvtime;
		uint8_t pending, quick, pingpong, retry;
		uint16_t last_seg_size, rcv_mss;
	} ack;
	uint32_t rcv_rtt_last_tsecr;
	uint32_t compressed_ack_rcv_nxt;
	uint64_t last_oow_ack_time; /* of out-of-window duplicates, for the rate limit */

	/* ---- sending ---- */
	uint32_t snd_una, snd_nxt, write_seq, pushed_seq, snd_sml, snd_up;
	uint32_t snd_wl1, snd_wnd, max_window;
	unsigned n_rtx; /* the first of sndq: sent and not acknowledged; the rest waits */
	struct tcp_segs sndq;
	size_t wmem;		      /* truesize of sndq */
	struct cds_list_head tsorted; /* sent segments by time of sending */
	uint16_t mss_cache, advmss;
	uint16_t ext_hdr_len, tcp_header_len;
	uint32_t pmtu_cookie; /* the path's MTU as last taken in */
	uint32_t tsoffset, tcp_tx_delay;
	uint8_t nonagle;   /* enum tcp_nonagle */
	uint8_t ecn_flags; /* enum tcp_ecn */
	bool repair, fin_queued, fin_wanted;
	uint8_t compressed_ack, dup_ack_counter; /* see ack */
	uint8_t chrono_type; /* 0 none, 1 busy, 2 rwnd limited, 3 sndbuf limited */
	uint16_t soft_error; /* of ICMP: told when the connection times out */
	uint16_t total_rto;
	uint32_t notsent_lowat, write_space_wanted;

	/* RTT and RTO (RFC 6298, Linux's mdev) */
	uint32_t srtt_us /* << 3 */, mdev_us, mdev_max_us, rttvar_us, rtt_seq;
	uint32_t rtt_min_us[3], rtt_min_at[3]; /* windowed minimum (ms) */
	uint32_t user_timeout;		       /* ms, 0: by sysctl */
	uint64_t rto;
	uint64_t probes_tstamp;
	uint8_t backoff, retransmits, probes_out, user_syn_retries, keepalive_probes_out;
	uint8_t icsk_pending; /* ICSK_TIME_*: what the retransmit timer stands for */
	uint8_t thin_lto, recvmsg_inq;

	/* congestion */
	const struct cc_ops *cc;
	uint64_t cc_priv[CC_PRIV / 8];
	uint64_t snd_cwnd_stamp;
	uint8_t ca_state; /* enum tcp_ca_state */
	bool cc_initialized, cc_setsockopt, cc_dst_locked;
	uint32_t snd_cwnd, snd_ssthresh, prior_ssthresh, snd_cwnd_cnt, snd_cwnd_clamp,
		snd_cwnd_used;
	uint32_t prior_cwnd, prr_delivered, prr_out;
	uint32_t packets_out, retrans_out, sacked_out, lost_out; /* segments */
	uint32_t max_packets_out, cwnd_usage_seq;
	bool is_cwnd_limited, tlp_retrans, frto, is_sack_reneg;
	uint32_t high_seq, undo_marker, tlp_high_seq, retrans_stamp /* tcp ms clock */;
	int32_t undo_retrans;
	uint32_t total_retrans;
	uint32_t reordering, reord_seen;
	struct {
		uint64_t mstamp; /* ns, of the most recently sent that was (s)acked */
		uint32_t rtt_us, end_seq, last_delivered;
		uint8_t reo_wnd_steps, reo_wnd_persist;
		bool dsack_seen, advanced;
	} rack;
	struct tcp_sack_block recv_sack_cache[4];
	uint32_t highest_sack;	  /* end of the highest SACKed data; see tcp_highest_sack() */
	uint32_t retransmit_hint; /* nothing before it is lost and not sent again */
	struct {
		uint64_t stamp;
		uint32_t search_high, search_low, probe_size; /* MTUs; 0: none under way */
		uint32_t seq_start, seq_end;
		bool enabled;
	} mtup; /* tcp_mtup.c */

	/* delivery rate and pacing */
	uint32_t delivered, delivered_ce, lost, app_limited;
	uint64_t first_tx_mstamp, delivered_mstamp;
	uint32_t rate_delivered, rate_interval_us;
	uint64_t pacing_rate, max_pacing_rate; /* bytes/s; UINT64_MAX: no limit */
	uint64_t pacing_next;		       /* ns before which no more data goes */

	/* ---- timers; on w's wheel ---- */
	struct timer rto_timer;	   /* icsk_pending */
	struct timer delack_timer; /* also compressed ACKs */
	struct timer keep_timer;   /* keepalive, FIN_WAIT2, SYN-ACK of Fast Open */
	struct timer pace_timer;

	/* ---- options ---- */
	uint32_t keepalive_time, keepalive_intvl; /* s; 0: by sysctl */
	int32_t linger2;			  /* ns/NSEC_PER_SEC; 0: by sysctl, -1: none */
	uint8_t keepalive_probes;
	uint8_t defer_accept; /* retransmissions */
	uint8_t save_syn;
	uint8_t fastopen_client_fail; /* enum tcp_fastopen_client_fail of linux/tcp.h */
	bool fastopen_connect, fastopen_no_cookie, syn_fastopen, syn_fastopen_ch, syn_data,
		syn_data_acked, defer_connect;
	bool rate_app_limited,
		pacing_needed; /* the latter by the algorithm or SO_MAX_PACING_RATE */
	bool quickack_route;   /* the route asks for ACKs at once */
	uint32_t fo_qlen_max;  /* TCP_FASTOPEN of a listener */
	uint32_t saved_syn_len;
	struct tcp_fo_cookie *fo_cookie; /* of the SYN being made; NULL */
	struct tcp_req *fastopen_rsk;	 /* what a fast_open_child was made of; else NULL */
	struct tcp_fastopen_ctx *fastopen_ctx;
	const struct sock_msg *fo_msg; /* of MSG_FASTOPEN, while it is being sent */
	size_t fo_copied;
	uint8_t *saved_syn; /* saved_syn_len bytes of headers (TCP_SAVED_SYN); NULL */

	/* ---- the path as last looked up: tcp_ip4.c ---- */
	struct route_result rt;
	uint64_t rt_until; /* ns; 0: none */
	uint32_t rt_gen;
	uint32_t rt_rto_min; /* ms, 0: the setting's */

	struct tcp_errq *errq; /* NULL until MSG_ZEROCOPY or SO_TIMESTAMPING ask for something */

	/* ---- counters of TCP_INFO ---- */
	uint32_t segs_in, segs_out, data_segs_in, data_segs_out, dsack_dups, rcv_ooopack;
	uint64_t bytes_acked, bytes_received, bytes_sent, bytes_retrans;
	uint64_t chrono_start, chrono_stat[3];
};

static inline struct tcp_sock *tcp_sk(const struct sock *sk)
{
	return container_of(inet_sk(sk), struct tcp_sock, in);
}

static inline uint64_t *tcp_mib(const struct tcp_sock *tp)
{
	return ip4_mib(tp->in.sk.net, tp->w);
}
static inline uint64_t tcp_now(const struct tcp_sock *tp)
{
	return tp->w->now;
}
/* The clock of ts_recent_stamp, in which 0 is never: s. */
static inline uint64_t tcp_seconds(uint64_t now)
{
	return now / NSEC_PER_SEC + 1;
}
/* The clock of the time stamp option: ms. */
static inline uint32_t tcp_time_stamp(const struct tcp_sock *tp)
{
	return (uint32_t)(tp->w->now / NSEC_PER_MSEC);
}
static inline uint32_t tcp_packets_in_flight(const struct tcp_sock *tp)
{
	return tp->packets_out - (tp->sacked_out + tp->lost_out) + tp->retrans_out;
}
static inline bool tcp_in_slow_start(const struct tcp_sock *tp)
{
	return tp->snd_cwnd < tp->snd_ssthresh;
}
static inline bool tcp_in_initial_slowstart(const struct tcp_sock *tp)
{
	return tp->snd_ssthresh >= TCP_INF_SSTHRESH;
}
static inline uint32_t tcp_wnd_end(const struct tcp_sock *tp)
{
	return tp->snd_una + tp->snd_wnd;
}
/* Is urgent data not acknowledged yet? */
static inline bool tcp_urg_mode(const struct tcp_sock *tp)
{
	return tp->snd_una != tp->snd_up;
}
static inline bool tcp_is_sack(const struct tcp_sock *tp)
{
	return tp->rx_opt.sack_ok;
}
/* May more segments be in flight than were (Linux's tcp_is_cwnd_limited)? For cong_avoid. */
bool tcp_is_cwnd_limited(const struct tcp_sock *tp);
uint32_t tcp_min_rtt_us(const struct tcp_sock *tp); /* UINT32_MAX: none yet */
/* bytes of receive buffer <-> window */
static inline uint32_t tcp_win_from_space(const struct tcp_sock *tp, int64_t space)
{
	return space <= 0 ? 0
			  : (uint32_t)MIN((uint64_t)space * tp->scaling_ratio >> 8,
					  (uint64_t)INT32_MAX);
}
