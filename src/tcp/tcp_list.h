/*
 * tcp_list: connections as lists show them, /proc/net/tcp and NETLINK_SOCK_DIAG, and how an
 * administrator ends one.
 *
 * Control, which is TCP's worker.
 */
#pragma once

#include "tcp/tcp_sock.h"

/* What names a connection; be. A listener has no remote end. */
struct tcp_ends {
	uint32_t laddr, raddr;
	uint16_t lport, rport;
	int bound_if;
};

enum tcp_list_timer { /* as the column "tr" and idiag_timer count them */
		      TCP_LIST_NO_TIMER,
		      TCP_LIST_RETRANS,
		      TCP_LIST_KEEPALIVE,
		      TCP_LIST_TIME_WAIT,
		      TCP_LIST_PROBE0,
};

struct tcp_listed {
	struct tcp_ends ends;
	uint8_t state; /* a request counts as SYN_RECV, a tcp_tw as FIN_WAIT2 until the FIN comes */
	uint8_t timer; /* enum tcp_list_timer */
	uint8_t retransmits, probes;
	uint64_t expires;	 /* of timer: ns from now */
	uint32_t rqueue, wqueue; /* bytes; of a listener: connections that wait, and may */
	uint32_t uid, mark;
	unsigned long ino; /* 0: no program has it */
	uint64_t id;
	const struct tcp_sock *tp; /* NULL: a request, or a tcp_tw */
};

void tcp_list_sock(const struct tcp_sock *tp, struct tcp_listed *l);
void tcp_list_node(const struct tcp_node *n, struct tcp_listed *l);
/* The ends of all connections of a namespace that are in one of these states (TCPF()) as
 * tcp_listed.state has them: *ends, of *n, is the caller's to free. 0 or -ENOMEM. */
int tcp_list_conns(struct net *net, uint32_t states, struct tcp_ends **ends, size_t *n);
/* The connection, or what listens there; NULL. */
struct tcp_node *tcp_list_find(struct net *net, const struct tcp_ends *e);
static inline bool tcp_is_sock(const struct tcp_node *n)
{
	return n->state != TCP_TIME_WAIT && n->state != TCP_NEW_SYN_RECV;
}
/* Ends whatever it is; a connection's program gets err, its peer an RST. 0, or -ENOENT: it is no
 * connection any more. */
int tcp_abort(struct tcp_node *n, int err);
