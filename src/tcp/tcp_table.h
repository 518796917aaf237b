/*
 * tcp_table: what tcp_table.c, tcp_port.c and tcp_listener.c share with those who are near to them.
 *
 *   tcp_table.c     connections, by both ends
 *   tcp_port.c      ports: who has them, who may have them too, which to choose
 *   tcp_dest.c      ports taken towards one destination, where they are many
 *   tcp_listener.c  listeners, by namespace, address and port, and their reuseport groups
 *
 * All is control's but for look-ups.
 */
#pragma once

#include "tcp/tcp_core.h"

/* What is hashed with the instance's key is told apart by its first word. */
enum tcp_secret {
	TCP_SECRET_COOKIE = 0x636f6f6b,
	TCP_SECRET_ISN,
	TCP_SECRET_TS,
	TCP_SECRET_PORT,
};

uint64_t tcp_conn_hash(const struct tcp_core *core, const struct net *net, uint32_t laddr,
		       uint16_t lport, uint32_t raddr, uint16_t rport);
/* Who is in the place that n would take; NULL. */
struct tcp_node *tcp_hash_find(struct tcp_core *core, const struct tcp_node *n);

/* ---- tcp_dest.c ---- */
/* The map for where n goes; NULL: it has none; or made now. */
struct tcp_dest *tcp_dest_find(struct tcp_core *core, const struct tcp_node *n);
struct tcp_dest *tcp_dest_make(struct tcp_core *core, const struct tcp_node *n);
/* n is in the map; `to` instead of `from`; n no more. */
void tcp_dest_hold(struct tcp_dest *d, struct tcp_node *n);
void tcp_dest_move(struct tcp_node *from, struct tcp_node *to);
void tcp_dest_release(struct tcp_core *core, struct tcp_node *n);
/* The first port from num on, in steps of 1 or 2, that is not in the map; end: none. */
unsigned tcp_dest_next(const struct tcp_dest *d, unsigned num, unsigned end, unsigned step);

struct tcp_port *tcp_port_find(const struct tcp_net *tn, uint16_t num);
