/*
 * udp_core: what the files of src/udp share.
 */
#pragma once

#include "sock/inet.h"
#include "udp/udp.h"

struct udp_sock;

/* A socket's place in the tables. Made anew with every move: readers may still be at the old one.
 */
struct udp_entry {
	struct cds_lfht_node node; /* in udp_core.socks */
	struct cds_list_head link; /* in udp_port.entries; RCU */
	struct udp_sock *us;
	unsigned long hash;
	bool connected; /* hashed under both ends */
	uint32_t laddr, raddr;
	uint16_t rport;
	struct rcu_head rcu;
};

/* A port of a namespace that somebody is bound to. */
struct udp_port {
	struct cds_lfht_node node; /* in udp_core.ports */
	struct net *net;
	uint16_t num;
	struct cds_list_head entries;
	unsigned n;
	struct rcu_head rcu;
};

/* A datagram being put together (UDP_CORK, MSG_MORE). */
struct udp_cork {
	uint8_t *data;
	size_t len;
	struct sockaddr_in name;
	bool has_name;
	struct weft_dgram meta;
	bool has_meta;
};

struct udp_sock {
	struct inet_sock in;
	struct udp_entry *entry; /* while bound */
	struct udp_port *port;
	bool corked, gro, no_check6_tx, no_check6_rx;
	uint16_t gso_size;
	uint8_t encap; /* UDP_ENCAP: 0, or L2TP, whose packets go to the program as well */
	struct udp_cork *cork;
};

struct udp_core {
	struct weft *weft;
	struct cds_lfht *socks, *ports;
	struct ip4_proto proto;
};

static inline struct udp_sock *udp_sk(const struct sock *sk)
{
	return container_of(inet_sk(sk), struct udp_sock, in);
}

/* udp_table.c: control, but for the look-ups. */
int udp_table_init(struct udp_core *core);
void udp_table_fini(struct udp_core *core);
/* Binds to a port; 0: any that is free. 0, -EADDRINUSE, -EAGAIN (none free), -ENOMEM. */
int udp_port_get(struct udp_sock *us, uint16_t num);
/* Addresses have changed: takes its new place. 0 or -ENOMEM (then the old place stays). */
int udp_rehash(struct udp_sock *us);
void udp_unhash(struct udp_sock *us);

/* A datagram's addresses, as the receiver sees them. */
struct udp_flow {
	struct net *net;
	uint32_t raddr, laddr;
	uint16_t rport, lport; /* be16 */
	int ifindex;
};
/* The receiver of a unicast datagram; NULL. Any worker, RCU. */
struct udp_sock *udp_lookup(struct udp_core *core, const struct udp_flow *f,
			    const struct hash_key *key);
struct udp_port *udp_port_find(struct udp_core *core, const struct net *net, uint16_t num);

/* udp_input.c */
void udp_input(struct worker *w, struct netdev *dev, struct pkt *p);
void udp_error(struct worker *w, struct netdev *dev, struct pkt *p, uint8_t type, uint8_t code,
	       uint32_t info);

/* udp_send.c */
ssize_t udp_sendmsg(struct sock *sk, const struct sock_msg *m);
/* Sends what a cork holds back. */
int udp_uncork(struct udp_sock *us);
