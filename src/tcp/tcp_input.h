/*
 * tcp_input: between the files that take in segments. On the connection's worker.
 */
#pragma once

#include "tcp/tcp_core.h"

/* RFC 5961 7: says to a doubtful segment what we expect, at a bounded rate. */
void tcp_send_challenge_ack(struct tcp_sock *tp);
/* RFC 7323 4.3: the time stamp to echo, if the segment at seq is the next we acknowledge. */
void tcp_replace_ts_recent(struct tcp_sock *tp, uint32_t seq);
void tcp_store_ts_recent(struct tcp_sock *tp);
/* RFC 7323 5.3: is the segment's time stamp not too old? */
bool tcp_paws_ok(const struct tcp_sock *tp, uint32_t window);
/* Checks a segment of a synchronised state (RFC 9293 3.10.7.4, first to fourth). False: it was
 * dealt with, and is the caller's to free. */
bool tcp_validate_incoming(struct tcp_sock *tp, struct tcp_rx *rx, bool syn_is_error);
/* What may be sent since the segment came. */
void tcp_data_snd_check(struct tcp_sock *tp);
/* tcp_state.c: a segment in any state but ESTABLISHED. Takes p. True: it is to be answered with
 * RST; then p is still the caller's. */
bool tcp_rcv_state(struct tcp_sock *tp, struct netdev *dev, struct pkt *p, struct tcp_rx *rx);
