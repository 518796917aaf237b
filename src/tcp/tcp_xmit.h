/*
 * tcp_xmit: between tcp_xmit.c and those who decide what is sent. On the connection's worker.
 */
#pragma once

#include "tcp/tcp_core.h"

/* Bytes of options an established connection's segments have now. */
unsigned tcp_established_size(const struct tcp_sock *tp);
/* Sends a segment of the send queue, with its flags. 0 or -errno; it counts as sent either way. */
int tcp_transmit_seg(struct tcp_sock *tp, struct tcp_seg *s);
/* Sends the SYN with data behind it. */
int tcp_transmit_syn_data(struct tcp_sock *tp, struct tcp_seg *syn, struct tcp_seg *data);
/* A bare segment in front of snd_una (or, for urgent data, at it), which the peer answers. */
int tcp_xmit_probe(struct tcp_sock *tp, bool urgent_probe, int mib);

/* tcp_rate.c */
void tcp_rate_seg_sent(struct tcp_sock *tp, struct tcp_seg *s);

static inline const struct tcp_af *tp_af(const struct tcp_sock *tp)
{
	return &tcp_ip4;
}
