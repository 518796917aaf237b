/*
 * tcp: the Transmission Control Protocol (RFC 9293 and its extensions), as Linux does it.
 *
 * What a socket sees follows tcp(7); what the wire sees follows the RFCs named in each file, with
 * Linux's choices where they leave one. Addresses stand behind struct tcp_af (tcp_ip4.c), so that
 * IPv6 needs no second copy of anything.
 *
 * Threads: a connection belongs to the worker that it was made on (tcp_sock.w): its segments,
 * timers and calls run there, and no lock is taken. A segment that comes in elsewhere is posted to
 * its owner. Tables are read by every worker under RCU and changed by control.
 */
#pragma once

#include <stdio.h>

#include "net/net.h"
#include "run/instance.h"

int tcp_init(struct weft *weft);
/* Ends the connections that outlived their sockets; before the namespaces, which they hold. */
void tcp_stop(struct weft *weft);
void tcp_fini(struct weft *weft);
int tcp_net_init(struct net *net);
void tcp_net_fini(struct net *net);
/* /proc/net/tcp, and the TCP line of /proc/net/sockstat */
void tcp_show(struct net *net, FILE *out);
void tcp_show_sockstat(struct net *net, FILE *out);
