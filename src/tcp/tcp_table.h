/*
 * tcp_table: what tcp_table.c, tcp_port.c and tcp_listener.c share with those who are near to them.
 *
 *   tcp_table.c     connections, by both ends
 *   tcp_port.c      ports: who has them, who may have them too, which to choose
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
struct tcp_port *tcp_port_find(const struct tcp_net *tn, uint16_t num);
