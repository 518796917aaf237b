/*
 * ip4_path: what the files of the packet path share: ip4_input, ip4_forward, ip4_output, ip4_frag,
 * ip4_reasm, ip4_options, icmp4.
 *
 * A packet's way: ip4_input() checks headers, looks destinations up in bulk and sorts the batch:
 * what is to be forwarded goes on as one batch (ip4_forward_batch), what is ours packet by packet
 * (ip4_deliver), and what is odd (options, TOS routes, multicast, loopback addresses) takes the
 * slow twin ip4_input_one(), which follows all rules without haste.
 *
 * All of it runs on any worker but for what says control; the instance's shared state is in struct
 * ip4_path, the per-namespace state of reassembly in struct ip4_frags.
 */
#pragma once

#include <linux/icmp.h>
#include <linux/if_packet.h>

#include "base/csum.h"
#include "ip/ip4_core.h"
#include "wire/ip4_hdr.h"

#define IP4_IDS		 2048 /* counters of the identification field */
#define ICMP4_PEERS	 4096 /* destinations whose ICMP rate is remembered */
#define ICMP4_PEER_WAYS	 4
#define IP4_FRAG_HASH	 1024
#define IP4_FRAG_SOURCES 4096
#define IP4_TX_ROOM	 (60 + 32) /* headroom an output packet needs: IP header and link header */

#define IP4_MF	   0x2000
#define IP4_DF	   0x4000
#define IP4_OFFSET 0x1fff

struct icmp4_peer {
	const struct net *net;
	uint32_t daddr;
	uint64_t token, last; /* ns */
	uint64_t redirect_last;
	uint32_t n_redirects;
};

/* Incomplete datagrams of one worker, all namespaces. */
struct ip4_frag_worker {
	struct cds_list_head hash[IP4_FRAG_HASH];
	uint32_t rid[IP4_FRAG_SOURCES]; /* fragments seen by source: for max_dist */
};

struct ip4_path {
	uint32_t id[IP4_IDS];		     /* atomic */
	uint32_t id_stamp[IP4_IDS];	     /* ms of last use */
	struct icmp4_peer peer[ICMP4_PEERS]; /* control's */
	struct ip4_frag_worker *frag[WORKERS_MAX];
};

/* Reassembly state of a namespace; outlives it until every worker has let go. */
struct ip4_frags {
	struct net *net; /* NULL: gone */
	uint64_t mem;	 /* bytes held, atomic */
	unsigned n;	 /* datagrams under way, atomic */
	unsigned refs;	 /* atomic: the namespace and the messages under way */
	struct ip4_path *path;
	struct ip4_frags_msg *msg; /* [worker] */
};

struct ip4_path *ip4_path_new(struct weft *weft);
void ip4_path_free(struct weft *weft, struct ip4_path *path);

/* ---- what ip4_input knows of the receiving device, read once a batch ---- */

struct ip4_rx {
	struct net *net;
	struct ip4_core *core;
	struct netdev *dev;
	struct in_dev *in_dev;
	uint64_t *mib;
	int rp_filter;
	bool forwarding, accept_local, route_localnet, tx_redirects, accept_source_route;
	bool drop_unicast_l2mc, bc_forwarding;
};

/* Reads the settings; false: the device takes no IPv4. */
bool ip4_rx_init(struct ip4_rx *rx, struct worker *w, struct netdev *dev);

/* ---- input: sources (ip4_input.c), and the slow twin (ip4_input_one.c) ---- */

bool ip4_own_address_slow(const struct ip4_net *n, uint32_t addr);
/* Is this exactly one of our addresses? */
static inline bool ip4_own_address(const struct ip4_rx *rx, uint32_t addr)
{
	struct ip4_net *n = rx->net->ip4;

	return unlikely(READ_ONCE(n->addr_filter[ip4_addr_slot(addr)])) &&
	       ip4_own_address_slow(n, addr);
}

/* May a packet to daddr (0: to all) have come from saddr over this device, on its way over `out`
 * (NULL: to us)? <0: no; 1: its source is a neighbour on the device's link. */
static inline int ip4_check_source(const struct ip4_rx *rx, const struct ip4_hdr *ip,
				   uint32_t daddr, const struct netdev *out)
{
	if (likely(!rx->rp_filter && (out != rx->dev || !rx->tx_redirects))) {
		if (rx->accept_local || likely(!ip4_own_address(rx, ip->saddr)))
			return 0;
		return -EINVAL;
	}
	return route4_validate_source(rx->net, ip->saddr, daddr, ip->tos, rx->dev);
}

/* Drops a packet whose source cannot be, as ip4_check_source() said. Takes. */
void ip4_input_martian(struct worker *w, const struct ip4_rx *rx, struct pkt *p, int err);
/* ip4_deliver(), with the stage and the trace about it. Takes. */
void ip4_deliver_one(struct worker *w, const struct ip4_rx *rx, struct pkt *p);
/* A packet with a checked header. Takes. */
void ip4_input_one(struct worker *w, const struct ip4_rx *rx, struct pkt *p);

/* ---- options (ip4_options.c) ---- */

struct ip4_opt {
	uint8_t optlen; /* bytes of options; offsets below count from the IP header; 0: none */
	uint8_t srr, rr, ts, router_alert;
	bool strict, srr_hit, changed, rr_need, ts_need_time, ts_need_addr;
	uint32_t nexthop; /* be32: source route's next hop, when srr_hit */
};

/* Parses and fills in record route and time stamp (spec_dst: be32 address to record); `arrived`:
 * also counts up a time stamp without room, as who receives it does. 0, or the offset of the octet
 * at fault (for ICMP parameter problem). hdr is written and its checksum left as it was, which
 * ip4_options_forward() mends: what is quoted shows the one that came. */
int ip4_options_parse(struct worker *w, struct net *net, uint8_t *hdr, struct ip4_opt *o,
		      uint32_t spec_dst, bool arrived);
/* Forwarding: writes the address of the way out where it is owed. */
void ip4_options_forward(struct net *net, struct pkt *p, struct ip4_opt *o,
			 const struct netdev *out, uint32_t nexthop);
/* The options of an answer to hdr (RFC 1122 3.2.2.6) into out[40], up to the first that is wrong;
 * returns their length. *faddr: the first hop when there is a source route. */
unsigned ip4_options_echo(const uint8_t *hdr, uint8_t *out, uint32_t *faddr);
/* Blanks what later fragments do not carry. */
void ip4_options_fragment(uint8_t *hdr);

/* ---- forward (ip4_forward.c) ---- */

/* Takes b; fi[i] is the route (RTN_UNICAST) of b->p[i]. Uses b as scratch. */
void ip4_forward_batch(struct worker *w, const struct ip4_rx *rx, struct batch *b,
		       struct fib_info **fi);
/* One packet, every rule. o: its options, or NULL. on_link: its source is a neighbour on dev.
 * Takes. */
void ip4_forward_one(struct worker *w, const struct ip4_rx *rx, struct pkt *p, struct fib_info *fi,
		     struct ip4_opt *o, bool on_link);

/* ---- local (ip4_input.c) ---- */

/* A datagram for us: reassembles, shows it to raw sockets, hands it to its protocol. Takes. */
void ip4_deliver(struct worker *w, struct net *net, struct netdev *dev, struct pkt *p);
/* Takes; the whole datagram when p completed it (data at l3), NULL otherwise. */
struct pkt *ip4_reasm(struct worker *w, struct net *net, struct netdev *dev, struct pkt *p);

/* ---- output (ip4_output.c) ---- */

uint16_t ip4_new_id(struct worker *w, struct ip4_path *path, uint32_t saddr, uint32_t daddr,
		    uint8_t proto);
/* Header and link header are due: fragments when needed, loops back, resolves. p's data at l3.
 * Takes. */
int ip4_output(struct worker *w, struct net *net, const struct route_result *res, struct pkt *p,
	       bool mc_loop);
/* As ip4_finish_output, and remembers the neighbour in fi when it is of a gateway. Takes. */
void ip4_output_fi(struct worker *w, struct fib_info *fi, struct pkt *p, uint32_t gw);

/* ---- icmp4.c ---- */

/* As icmp4_error(ICMP_DEST_UNREACH, code), for what has no route. Borrows. */
void icmp4_route_error(struct worker *w, const struct pkt *p, uint8_t code);
void icmp4_input(struct worker *w, struct netdev *dev, struct pkt *p);
/* icmp4_probe.c: an extended echo request, p's data: head (its header) becomes the reply's, but for
 * the checksum. False: no reply is due. */
bool icmp4_probe(struct net *net, const struct pkt *p, struct icmphdr *head);
/* icmp4_limit.c: control. May another message of this kind go out at all, to daddr over `out`, or
 * as a redirect to daddr? They count what they refuse. */
bool icmp4_allow_global(struct worker *w, struct net *net, uint8_t type, uint8_t code);
bool icmp4_allow_peer(struct worker *w, struct net *net, const struct netdev *out, uint32_t daddr,
		      uint8_t type, uint8_t code);
/* A packet had no route: the kernel asks a bucket of its own before that of the ICMP it then sends,
 * and both live on the same tokens: a host that keeps on hears four times, then nothing. */
bool icmp4_allow_route_error(struct worker *w, struct net *net, uint32_t saddr);
bool icmp4_allow_redirect(struct worker *w, struct net *net, uint32_t daddr);
