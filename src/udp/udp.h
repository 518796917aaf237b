/*
 * udp: the User Datagram Protocol over IPv4 (RFC 768, 1122 4.1), for 10^5 sockets.
 *
 * udp_table holds the sockets: by port, for binding and groups, and in one hash table for the
 * look-up of a datagram's receiver: a connected socket under its four addresses and ports, any
 * other under its own. udp_input finds receivers on any worker under RCU; udp.c is the socket's
 * calls, on control.
 */
#pragma once

#include <stdio.h>

#include "net/net.h"
#include "run/instance.h"

int udp_init(struct weft *weft);
void udp_fini(struct weft *weft);
/* Who would receive what raddr sends (addresses and ports as on the wire); NULL: nobody. Borrows;
 * control. */
struct sock;
struct sock *udp_find(struct net *net, uint32_t laddr, uint16_t lport, uint32_t raddr,
		      uint16_t rport, int ifindex);
/* /proc/net/udp */
void udp_show(struct net *net, FILE *out);
