/*
 * inet: what raw, ping and UDP sockets over IPv4 have in common.
 *
 * Their struct begins with a struct inet_sock (which begins with struct sock): addresses and ports,
 * the options of level SOL_IP, group memberships. The files: inet (the AF_INET family, binding and
 * connecting), ip_opts and ip_mc (options and memberships), ip_tx (from a program's message to a
 * route and a struct ip4_tx), ip_rx (from a packet to what a program is shown, and the error
 * queue).
 *
 * A protocol adds its rows with inet_register(); socket(2) looks them up as the kernel's inetsw.
 * Addresses are be32, ports be16; `num` is the own port (raw: the protocol) in host order.
 *
 * Threads: control changes all of it; workers that deliver read it under RCU, word by word.
 */
#pragma once

#include <time.h>

#include <linux/errqueue.h>
#include <linux/in.h>

#include "ip/ip4.h"
#include "sock/sock.h"

enum inet_show {
	INET_SHOW_PKTINFO = 1 << 0,
	INET_SHOW_TTL = 1 << 1,
	INET_SHOW_TOS = 1 << 2,
	INET_SHOW_RECVOPTS = 1 << 3,
	INET_SHOW_RETOPTS = 1 << 4,
	INET_SHOW_PASSSEC = 1 << 5,
	INET_SHOW_ORIGDST = 1 << 6,
	INET_SHOW_CHECKSUM = 1 << 7,
	INET_SHOW_FRAGSIZE = 1 << 8,
};

/* The sources a membership is about. Never changes: another replaces it. */
struct inet_filter {
	unsigned mode; /* MCAST_EXCLUDE or MCAST_INCLUDE */
	bool listed;   /* has had sources: the mode stays */
	unsigned n;
	uint32_t src[]; /* be32 */
};

/* A group the socket has joined. */
struct inet_member {
	struct cds_list_head link; /* RCU */
	uint32_t group;
	int ifindex;
	struct inet_filter *filter; /* RCU */
	struct rcu_head rcu;
};

struct inet_sock {
	struct sock sk;
	uint32_t rcv_saddr; /* receives what is sent to it; 0: to any */
	uint32_t saddr;	    /* sends from it; 0: the route's choice */
	uint32_t daddr;	    /* connected to */
	uint16_t sport, dport, num;
	bool connected;
	bool addr_bound, port_bound; /* by the program: a disconnect leaves them */

	uint16_t show; /* enum inet_show */
	uint8_t tos, mc_ttl, minttl, pmtudisc;
	int16_t ttl; /* -1: the default */
	bool mc_loop, mc_all, recverr, recverr_rfc4884, freebind, transparent, hdrincl, nodefrag;
	bool bind_no_port;
	int mc_index, uc_index;
	uint32_t mc_addr;
	uint32_t port_range; /* IP_LOCAL_PORT_RANGE: low | high << 16 */
	unsigned n_members;
	struct cds_list_head members; /* struct inet_member */
	struct route_cache *way;      /* of the last datagram; NULL: none was sent */
	uint8_t opt_len;
	uint8_t opt[40];
};

static inline struct inet_sock *inet_sk(const struct sock *sk)
{
	return container_of(sk, struct inet_sock, sk);
}

/* ---- inet.c ---- */

/* A kind of socket. any: takes every protocol number but 0 (raw); main: what protocol 0 means for
 * the type. Static memory. At most 8. */
struct inet_row {
	int type, protocol;
	bool any, main;
	const struct sock_ops *ops;
};
int inet_register(struct weft *weft, const struct inet_row *row);
/* The AF_INET family; sock_init calls it. */
int inet_family_init(struct weft *weft);

/* Defaults, and the end of memberships: from the protocol's init and release. */
void inet_sock_init(struct inet_sock *in);
void inet_sock_release(struct inet_sock *in);
/* May a socket have this address? 0 or -EADDRNOTAVAIL; *group: it is no host's. */
int inet_check_addr(const struct inet_sock *in, uint32_t addr, bool *group);
/* What bind(2) asks of its address, apart from the state of the socket: 0, -EINVAL, -EAFNOSUPPORT,
 * -EADDRNOTAVAIL. */
int inet_check_bind(const struct inet_sock *in, const struct sockaddr *a, size_t len, bool *group);
/* May the socket's user have this port (ip_unprivileged_port_start; the instance's owner may)? */
bool inet_port_allowed(const struct inet_sock *in, uint16_t num);
/* Checks the parts of connect(2): address, route. Sets daddr, dport and, if unset, the own address;
 * the caller rehashes. */
int inet_connect(struct inet_sock *in, const struct sockaddr *a, size_t len);
/* connect(2) with AF_UNSPEC: forgets the peer, and the device. */
void inet_disconnect(struct inet_sock *in);
int inet_getname(struct sock *sk, bool peer, struct sockaddr *a, size_t *len);
int inet_shutdown(struct sock *sk, int how);
int inet_ioctl(struct sock *sk, unsigned long cmd, void *arg, size_t len);
/* The head and a line of /proc/net/{udp,raw,icmp}: the slot's column takes `width` places; all but
 * raw pad their lines to one length. */
void inet_show_head(FILE *out, int width, bool pad);
void inet_show_line(FILE *out, const struct inet_sock *in, int width, unsigned slot, bool pad);

/* ---- ip_opts.c, ip_mc.c ---- */

int ip_opts_set(struct sock *sk, int level, int name, const void *val, size_t len);
int ip_opts_get(struct sock *sk, int level, int name, void *val, size_t *len);
/* The answer of an option that is one int: a short room gets a byte. */
int ip_opts_put(void *val, size_t *len, int v);
/* -ENOPROTOOPT: not about groups. */
int ip_mc_set(struct inet_sock *in, int name, const void *val, size_t len);
void ip_mc_release(struct inet_sock *in);
/* IP_MSFILTER and MCAST_MSFILTER: val holds the question, and then the answer. -ENOPROTOOPT:
 * neither of them. */
int ip_mc_get(struct inet_sock *in, int name, void *val, size_t *len);
/* Does the socket want what src sent to this group on this device? Workers, RCU. */
bool ip_mc_wants(const struct inet_sock *in, uint32_t group, uint32_t src, int ifindex);

/* ---- ip_tx.c ---- */

/* A message on its way out: where to, and how. */
struct inet_tx {
	uint32_t daddr, saddr;
	uint16_t dport;
	bool connected; /* to the socket's peer */
	int oif;
	uint8_t opts[40];
	struct route_result res;
	struct ip4_tx tx;
};

/* Reads name and control messages, routes. 0 or -errno. t->dport is 0 when the name has none.
 * any_family: raw sockets take AF_UNSPEC for AF_INET. */
int inet_tx_init(struct inet_tx *t, struct inet_sock *in, const struct sock_msg *m, uint8_t proto);
/* May len bytes of payload (IP header excluded) go? Sets DF. 0 or -EMSGSIZE (with its error
 * record). */
int inet_tx_size(struct inet_tx *t, struct inet_sock *in, size_t len);
/* ip4_send(), and what SO_TIMESTAMPING asks for. */
int inet_tx_send(struct inet_tx *t, struct inet_sock *in, struct pkt *p);
/* A packet with `head` bytes of zeroes and the message's data; NULL without memory. */
struct pkt *inet_tx_pkt(struct inet_sock *in, size_t head, const void *data, size_t len);

/* ---- ip_rx.c ---- */

/* The device that a packet for daddr counts as come in by. What we send ourselves comes by lo, but
 * sockets bound to a device, and those who ask, see the device that has the address. */
int inet_iif(const struct netdev *dev, uint32_t daddr);

/* Name and control messages of a datagram. ip: its IP header. Any worker. */
void inet_rx_meta(struct worker *w, const struct inet_sock *in, struct sock_rx *rx, const void *ip,
		  const struct netdev *dev, uint16_t port);
/* A view of p that starts at its IP header, wherever its data starts now; for reading and copying.
 */
struct pkt inet_at_l3(const struct pkt *p);
/* A copy of p (or of a view) for this socket, delivered unless its queue is full. Borrows p. False:
 * not delivered. Any worker, RCU. */
bool inet_deliver_copy(struct worker *w, struct inet_sock *in, struct netdev *dev, struct pkt *p,
		       const void *ip, uint16_t port);
/* What an ICMP error means: errno; *hard: a connected socket is told. 0: nothing. */
int inet_icmp_errno(const struct inet_sock *in, uint8_t type, uint8_t code, bool *hard);
/* An ICMP error for the error queue: p's data is at the quoted IP header, `skip` bytes of it
 * precede what the program sent. */
void inet_icmp_error(struct worker *w, struct inet_sock *in, struct netdev *dev, struct pkt *p,
		     const struct sock_extended_err *ee, uint16_t port, size_t skip);
/* An error that arose here (EMSGSIZE). */
void inet_local_error(struct inet_sock *in, int err, uint32_t daddr, uint16_t port, uint32_t info);
