/*
 * tcp_metrics: one peer's record in the cache of tcp_metrics.c, for those who list and clear it.
 */
#pragma once

#include <linux/tcp_metrics.h>

#include "tcp/tcp_core.h"

#define TCP_METRICS_KEPT (TCP_METRIC_REORDERING + 1)

struct tcp_metrics_entry {
	uint64_t net_ino; /* 0: free */
	uint64_t stamp;	  /* ns: when it was last written */
	uint32_t raddr, laddr;
	uint32_t lock;			/* bit by TCP_METRIC_*: the route's word is final */
	uint32_t val[TCP_METRICS_KEPT]; /* RTT in us << 3, RTTVAR in us << 2; 0: not known */
	/* Fast Open: the peer's MSS and cookie; SYNs with data that got lost; whether to try the
	 * option's experimental number next (2: not any more) */
	uint16_t fo_mss, fo_syn_loss;
	uint8_t fo_try_exp;
	struct tcp_fo_cookie fo_cookie;
	uint64_t fo_last_syn_loss; /* ns */
};

/* Copies the first record of the namespace at or behind *pos out and moves *pos behind it; false:
 * there are no more. Any worker. */
bool tcp_metrics_next(struct net *net, size_t *pos, struct tcp_metrics_entry *out);
/* Frees the records of a peer, of it and one of our addresses (laddr_given), or all (raddr 0). How
 * many there were. */
unsigned tcp_metrics_flush(struct net *net, uint32_t raddr, bool laddr_given, uint32_t laddr);
