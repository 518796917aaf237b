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
	uint64_t seq;	/* of its making: who came last is preferred */
	bool connected; /* hashed under both ends */
	uint32_t laddr, raddr;
	uint16_t rport;
	struct rcu_head rcu;
};

/* Sockets that share an address and a port (SO_REUSEPORT): one of them gets each datagram, by a
 * program of theirs (SO_ATTACH_REUSEPORT_CBPF), else by the flow's hash. Kept by its port. */
struct udp_members {
	unsigned n, room;
	struct rcu_head rcu;
	struct udp_sock *us[];
};

struct udp_group {
	struct cds_list_head link; /* in udp_port.groups */
	uint32_t laddr, uid;
	int bound_if;
	struct cbpf *prog;	     /* RCU */
	struct udp_members *members; /* RCU; n changes in place */
	struct rcu_head rcu;
};

/* A port of a namespace that somebody is bound to. */
struct udp_port {
	struct cds_lfht_node node; /* in udp_core.ports */
	struct net *net;
	uint16_t num;
	struct cds_list_head entries;
	struct cds_list_head groups; /* struct udp_group */
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
	struct udp_group *group; /* RCU; NULL: alone */
	bool corked, gro, no_check6_tx, no_check6_rx;
	uint16_t gso_size;
	uint8_t encap; /* UDP_ENCAP: 0, or L2TP, whose packets go to the program as well */
	struct udp_cork *cork;
};

/* A datagram's addresses, as the receiver sees them. */
struct udp_flow {
	struct net *net;
	uint32_t raddr, laddr;
	uint16_t rport, lport; /* be16 */
	int ifindex;
};

/* Whom a worker found last, by the ports: datagrams of a flow come in a row. */
enum { UDP_FOUND = 8 };
struct udp_found {
	uint64_t gen; /* 0: nobody */
	struct udp_flow f;
	struct udp_sock *us;
};

struct udp_core {
	struct weft *weft;
	struct cds_lfht *socks, *ports;
	uint64_t last_seq; /* of udp_entry */
	uint64_t gen;	   /* of the tables, atomic: who was found before a change is found anew */
	struct udp_found (*found)[UDP_FOUND]; /* of each worker */
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

/* The receiver of a unicast datagram; NULL. p: the datagram, data at its UDP header, for groups
 * that choose by program; or NULL. Borrows. Any worker, RCU. */
struct udp_sock *udp_lookup(struct worker *w, const struct udp_flow *f, const struct pkt *p);
/* What look-ups depend on has changed: the tables, or a socket's device or group. */
void udp_changed(struct udp_core *core);
struct udp_port *udp_port_find(struct udp_core *core, const struct net *net, uint16_t num);

/* udp_group.c */

/* A socket that is bound joins the group of its like, or founds one. 0 or -ENOMEM. */
int udp_group_join(struct udp_sock *us);
void udp_group_leave(struct udp_sock *us);
/* Who of the group gets the datagram. Borrows. Any worker, RCU. */
struct udp_sock *udp_group_choose(const struct udp_group *g, const struct udp_flow *f,
				  const struct hash_key *key, const struct pkt *p);

/* udp_input.c */
void udp_input(struct worker *w, struct netdev *dev, struct pkt *p);
void udp_error(struct worker *w, struct netdev *dev, struct pkt *p, uint8_t type, uint8_t code,
	       uint32_t info);

/* udp_send.c */
ssize_t udp_sendmsg(struct sock *sk, const struct sock_msg *m);
/* Sends what a cork holds back. */
int udp_uncork(struct udp_sock *us);
