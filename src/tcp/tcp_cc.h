/*
 * tcp_cc: congestion control: the ops table each algorithm fills, and what all may call.
 *
 * The interface has the shape and the names of Linux's tcp_congestion_ops, so that who knows one
 * knows the other. An algorithm keeps at most CC_PRIV bytes a connection, zeroed before init.
 * A new algorithm is one file and one row in tcp_cc.c's table. All runs on the connection's worker.
 *
 * Windows are in segments of mss_cache bytes, times in us unless a name says otherwise.
 */
#pragma once

#include <linux/tcp.h> /* enum tcp_ca_state */

#include "base/util.h"

struct tcp_sock;
struct net;

#define CC_PRIV		 (16 * sizeof(uint64_t))
#define CC_NAME_MAX	 16
#define TCP_INF_SSTHRESH 0x7fffffff

enum tcp_ca_event {
	CA_EVENT_TX_START,     /* first transmit when no packets are in flight */
	CA_EVENT_CWND_RESTART, /* congestion window restart after idle */
	CA_EVENT_COMPLETE_CWR, /* end of congestion recovery */
	CA_EVENT_LOSS,	       /* loss timeout */
	CA_EVENT_ECN_NO_CE,    /* an ECT packet came in without CE */
	CA_EVENT_ECN_IS_CE,    /* a packet came in with CE */
};

enum tcp_ca_ack_event {
	CA_ACK_SLOWPATH = 1 << 0,
	CA_ACK_WIN_UPDATE = 1 << 1,
	CA_ACK_ECE = 1 << 2,
};

/* What one ACK told about the rate of delivery (Cheng, Cardwell: draft-cheng-iccrg-delivery-rate);
 * Linux's struct rate_sample. */
struct rate_sample {
	uint64_t prior_mstamp; /* ns; 0: no sample */
	uint32_t prior_delivered, prior_delivered_ce;
	int32_t delivered; /* packets delivered over interval */
	int32_t delivered_ce;
	int64_t interval_us; /* -1: invalid */
	uint32_t snd_interval_us, rcv_interval_us;
	int64_t rtt_us;	       /* of the last packet (s)acked, -1: none */
	int losses;	       /* packets marked lost upon this ACK */
	uint32_t acked_sacked; /* packets newly (s)acked */
	uint32_t prior_in_flight;
	uint32_t last_end_seq; /* end_seq of the most recently sent packet that was (s)acked */
	bool is_app_limited, is_retrans, is_ack_delayed;
};

struct ack_sample {
	uint32_t pkts_acked;
	int32_t rtt_us;
	uint32_t in_flight;
};

struct cc_ops {
	const char *name;
	bool needs_ecn, non_restricted;
	void (*init)(struct tcp_sock *tp);
	void (*release)(struct tcp_sock *tp);
	/* The slow start threshold after a loss. Required. */
	uint32_t (*ssthresh)(struct tcp_sock *tp);
	/* A new window for `acked` packets newly acknowledged. Required without cong_control. */
	void (*cong_avoid)(struct tcp_sock *tp, uint32_t ack, uint32_t acked);
	void (*set_state)(struct tcp_sock *tp, enum tcp_ca_state now);
	void (*cwnd_event)(struct tcp_sock *tp, enum tcp_ca_event ev);
	void (*in_ack_event)(struct tcp_sock *tp, uint32_t flags /* enum tcp_ca_ack_event */);
	/* The window to go back to when a reduction was spurious. Required. */
	uint32_t (*undo_cwnd)(struct tcp_sock *tp);
	void (*pkts_acked)(struct tcp_sock *tp, const struct ack_sample *s);
	uint32_t (*min_tso_segs)(struct tcp_sock *tp);
	/* Factor by which sndbuf exceeds the window. */
	uint32_t (*sndbuf_expand)(struct tcp_sock *tp);
	/* Sets window and pacing rate by itself, instead of cong_avoid. */
	void (*cong_control)(struct tcp_sock *tp, uint32_t ack, int flag,
			     const struct rate_sample *rs);
	/* INET_DIAG_*: what TCP_CC_INFO and ss show: bytes written to info (at most room); *attr.
	 */
	size_t (*get_info)(struct tcp_sock *tp, int *attr, void *info, size_t room);
};

extern const struct cc_ops cc_reno, cc_cubic, cc_bbr, cc_dctcp, cc_dctcp_reno;

/* By name; NULL: there is none. */
const struct cc_ops *cc_find(const char *name);
/* The algorithms one may choose, from 0; NULL at the end. */
const struct cc_ops *cc_at(unsigned i);
/* May users without CAP_NET_ADMIN choose it in this namespace (tcp_allowed_congestion_control)? */
bool cc_allowed(const struct net *net, const struct cc_ops *ops);
/* Sets and starts an algorithm of a connection (init is called); ends the one before. */
void cc_assign(struct tcp_sock *tp, const struct cc_ops *ops);
void cc_init(struct tcp_sock *tp); /* when the connection is established */
void cc_release(struct tcp_sock *tp);
void cc_set_state(struct tcp_sock *tp, enum tcp_ca_state now);
void cc_event(struct tcp_sock *tp, enum tcp_ca_event ev);

/* For algorithms (RFC 5681): what is left of acked after slow start; additive increase by w. */
uint32_t tcp_slow_start(struct tcp_sock *tp, uint32_t acked);
void tcp_cong_avoid_ai(struct tcp_sock *tp, uint32_t w, uint32_t acked);
void reno_cong_avoid(struct tcp_sock *tp, uint32_t ack, uint32_t acked);
uint32_t reno_ssthresh(struct tcp_sock *tp);
uint32_t reno_undo_cwnd(struct tcp_sock *tp);
