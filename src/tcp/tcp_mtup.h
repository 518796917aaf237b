/*
 * tcp_mtup: probing for the path's MTU, between the files that send and take in ACKs.
 */
#pragma once

#include "tcp/tcp_core.h"

uint32_t tcp_mss_to_mtu(const struct tcp_sock *tp, uint32_t mss);
void tcp_mtup_init(struct tcp_sock *tp);
/* Segments have vanished again and again. */
void tcp_mtup_black_hole(struct tcp_sock *tp);
/* Sends a probe if it is time: 1: sent, 0: soon, wait with other data; -1: no. */
int tcp_mtup_probe(struct tcp_sock *tp);
/* snd_una has moved: was the probe acknowledged? */
void tcp_mtup_acked(struct tcp_sock *tp);
/* Loss was found: is it the probe's? True: dealt with, and no sign of congestion. */
bool tcp_mtup_lost(struct tcp_sock *tp);
