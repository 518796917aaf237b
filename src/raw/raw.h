/*
 * raw: raw sockets (SOCK_RAW over IPv4) and ping sockets (SOCK_DGRAM with IPPROTO_ICMP).
 *
 * A raw socket gets a copy of every datagram for this host that has its protocol, IP header
 * included, and sends payloads or, with IP_HDRINCL, whole datagrams. A ping socket sends ICMP echo
 * requests, whose identifier is its port, and gets the replies to them, from the ICMP header on.
 *
 * raw.c and ping.c each keep a table by protocol and identifier, which workers read under RCU, and
 * hook into src/ip (struct ip4_hooks). The specification is Linux's raw(7) and icmp(7).
 */
#pragma once

#include <stdio.h>

#include "net/net.h"
#include "run/instance.h"

int raw_init(struct weft *weft);
void raw_fini(struct weft *weft);
/* /proc/net/raw and /proc/net/icmp */
void raw_show(struct net *net, FILE *out);
void ping_show(struct net *net, FILE *out);
