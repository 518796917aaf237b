/*
 * segments: TCP segments made by hand, as from hosts that have no stack, against a real one (b).
 *
 * They go out by a packet socket in a, from PEER or from anywhere else: PEER's link address is a's,
 * and b's way to everywhere leads by it.
 */
#pragma once

#include "stack.h"

#include <errno.h>
#include <linux/if_ether.h>

#include "base/csum.h"
#include "ip/ip4_core.h"
#include "tcp/tcp_core.h"
#include "wire/ip4_hdr.h"

#define PORT	80
#define PEER	"10.0.0.77"
#define MS	NSEC_PER_MSEC
#define SYN	TCPHDR_SYN
#define ACK	TCPHDR_ACK
#define RST	TCPHDR_RST
#define FIN	TCPHDR_FIN
#define SYNACK	(TCPHDR_SYN | TCPHDR_ACK)
#define SYN_ALL "\2\4\5\xb4\4\2\x8\xa\0\0\3\xe8\0\0\0\0\1\3\3\7" /* mss sackOK TS 1000 wscale 7 */

static struct sock *wire;
static struct stack *st;

struct seg {
	uint32_t src;	/* be; 0: PEER */
	uint16_t sport; /* the peer's */
	uint32_t seq, ack;
	uint8_t flags;
	uint16_t win;
	const void *opts;
	unsigned opts_len;
	const void *data;
	unsigned len;
};

/* It is seen when the instance next comes to rest. */
static inline void put_seg(const struct seg *s)
{
	uint8_t f[1600] = {0}, *ip = f + ETH_HLEN, *t = ip + 20;
	unsigned hlen = 20 + s->opts_len, tlen = hlen + s->len;
	uint32_t src = s->src ? s->src : inet_addr(PEER), dst = inet_addr("10.0.0.2");
	struct sockaddr_ll to = {.sll_family = AF_PACKET, .sll_ifindex = st->v0->ifindex};
	uint16_t sum;

	memcpy(f, st->v1->addr, 6);
	memcpy(f + 6, st->v0->addr, 6);
	put_be16(f + 12, ETH_P_IP);
	ip[0] = 0x45;
	put_be16(ip + 2, (uint16_t)(20 + tlen));
	put_be16(ip + 6, 0x4000);
	ip[8] = 64;
	ip[9] = IPPROTO_TCP;
	memcpy(ip + 12, &src, 4);
	memcpy(ip + 16, &dst, 4);
	sum = csum_ip4(ip, 5);
	memcpy(ip + 10, &sum, 2);
	put_be16(t, s->sport);
	put_be16(t + 2, PORT);
	put_be32(t + 4, s->seq);
	put_be32(t + 8, s->ack);
	t[12] = (uint8_t)(hlen / 4 << 4);
	t[13] = s->flags;
	put_be16(t + 14, s->win ? s->win : 1000);
	if (s->opts_len)
		memcpy(t + 20, s->opts, s->opts_len);
	if (s->len)
		memcpy(t + hlen, s->data, s->len);
	sum = csum_fold(csum_partial(t, tlen, csum_pseudo4(src, dst, IPPROTO_TCP, (uint16_t)tlen)));
	memcpy(t + 16, &sum, 2);
	const struct sock_msg m = {
		.name = &to, .name_len = sizeof(to), .data = f, .len = ETH_HLEN + 20 + tlen};

	assert_int_equal(sock_sendmsg(wire, &m), m.len);
}

static inline void send_seg(const struct seg *s)
{
	put_seg(s);
	stack_settle(st);
}

/* protocol: what the packet socket is to see. */
static inline int segments_setup(void **state, int protocol)
{
	int err = stack_setup(state);
	uint32_t peer = inet_addr(PEER);
	struct neigh *n;

	st = *state;
	n = neigh_get(arp_table(st->weft), st->v1, &peer, &err);
	assert_non_null(n);
	neigh_update(n, st->v0->addr, NUD_PERMANENT, NEIGH_UPDATE_ADMIN | NEIGH_UPDATE_OVERRIDE);
	const struct route_config all = {.gateway = peer,
					 .has_gateway = true,
					 .type = RTN_UNICAST,
					 .protocol = RTPROT_STATIC,
					 .nl_flags = NLM_F_CREATE};

	assert_int_equal(route4_add(st->b, &all, NULL), 0);
	wire = stack_sock(st->a, AF_PACKET, SOCK_RAW, protocol);
	wire->rcvbuf = 64 << 20;
	return 0;
}

static inline int segments_teardown(void **state)
{
	stack_close(wire);
	stack_run(st, 2000 * NSEC_PER_SEC); /* until nobody waits for anybody any more */
	return stack_teardown(state);
}
