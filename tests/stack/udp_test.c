/* UDP sockets over two namespaces: who gets a datagram, what a program is told, and the errors. */
#include "stack.h"

#include <errno.h>
#include <linux/errqueue.h>
#include <linux/icmp.h>
#include <linux/udp.h>

static void test_exchange(void **state)
{
	struct stack *s = *state;
	struct sock *a = stack_udp(s->a), *b = stack_udp(s->b);
	struct sockaddr_in from;
	struct got g;

	assert_int_equal(stack_bind(b, "10.0.0.2", 7), 0);
	assert_int_equal(stack_send(a, "10.0.0.2", 7, "hello", 5), 5);
	stack_settle(s);
	assert_true(stack_recv(b, &g));
	assert_int_equal(g.len, 5);
	assert_memory_equal(g.data, "hello", 5);
	memcpy(&from, g.meta.name, sizeof(from));
	assert_int_equal(from.sin_addr.s_addr, inet_addr("10.0.0.1"));
	assert_int_equal(ntohs(from.sin_port), stack_port(a));
	/* and back, to a socket that is connected */
	assert_int_equal(stack_connect(a, "10.0.0.2", 7), 0);
	assert_int_equal(stack_send(b, "10.0.0.1", stack_port(a), "", 0), 0);
	stack_settle(s);
	assert_true(stack_recv(a, &g));
	assert_int_equal(g.len, 0);
	stack_close(a);
	stack_close(b);
}

static void test_bind(void **state)
{
	struct stack *s = *state;
	struct sock *x = stack_udp(s->a), *y = stack_udp(s->a), *z = stack_udp(s->a);

	assert_int_equal(stack_bind(x, "10.0.0.9", 7), -EADDRNOTAVAIL);
	assert_int_equal(stack_bind(x, "10.0.0.1", 7), 0);
	assert_int_equal(stack_bind(x, "10.0.0.1", 8), -EINVAL);
	assert_int_equal(stack_bind(y, "0.0.0.0", 7), -EADDRINUSE);
	assert_int_equal(stack_bind(y, "10.0.0.1", 7), -EADDRINUSE);
	assert_int_equal(stack_bind(y, "10.0.1.1", 7), 0);
	/* both must agree to share */
	assert_int_equal(stack_set(z, SOL_SOCKET, SO_REUSEADDR, 1), 0);
	assert_int_equal(stack_bind(z, "10.0.0.1", 7), -EADDRINUSE);
	assert_int_equal(stack_set(x, SOL_SOCKET, SO_REUSEADDR, 1), 0);
	assert_int_equal(stack_bind(z, "10.0.0.1", 7), 0);
	stack_close(x);
	stack_close(y);
	stack_close(z);
	/* the port is free again */
	x = stack_udp(s->a);
	assert_int_equal(stack_bind(x, "0.0.0.0", 7), 0);
	stack_close(x);
}

static void test_autobind(void **state)
{
	struct stack *s = *state;
	int *range = s->a->ip4->local_port_range;
	struct sock *x[11];
	unsigned seen = 0;

	range[0] = 40000;
	range[1] = 40009;
	for (unsigned i = 0; i < 10; i++) {
		x[i] = stack_udp(s->a);
		assert_int_equal(stack_bind(x[i], "0.0.0.0", 0), 0);
		assert_in_range(stack_port(x[i]), 40000, 40009);
		seen |= 1u << (stack_port(x[i]) - 40000);
	}
	assert_int_equal(seen, 0x3ff);
	x[10] = stack_udp(s->a);
	assert_int_equal(stack_bind(x[10], "0.0.0.0", 0), -EADDRINUSE);
	assert_int_equal(stack_connect(x[10], "10.0.0.2", 7), -EAGAIN);
	for (unsigned i = 0; i < 11; i++)
		stack_close(x[i]);
}

/* Of sockets that share a port each flow has its own. */
static void test_reuseport(void **state)
{
	struct stack *s = *state;
	struct sock *x[4], *from[64];
	unsigned n[4] = {0}, all = 0;
	struct got g;

	for (unsigned i = 0; i < 4; i++) {
		x[i] = stack_udp(s->b);
		assert_int_equal(stack_set(x[i], SOL_SOCKET, SO_REUSEPORT, 1), 0);
		assert_int_equal(stack_bind(x[i], "0.0.0.0", 7), 0);
	}
	for (unsigned i = 0; i < 64; i++) {
		from[i] = stack_udp(s->a);
		for (unsigned j = 0; j < 2; j++)
			assert_int_equal(stack_send(from[i], "10.0.0.2", 7, &i, sizeof(i)), 4);
		stack_settle(s);
		for (unsigned k = 0; k < 4; k++) {
			unsigned got = 0;

			while (stack_recv(x[k], &g))
				got++;
			assert_true(got == 0 || got == 2);
			n[k] += got;
			all += got;
		}
		stack_close(from[i]);
	}
	assert_int_equal(all, 128);
	for (unsigned k = 0; k < 4; k++) {
		assert_in_range(n[k], 8, 64);
		stack_close(x[k]);
	}
}

static void test_connected_first(void **state)
{
	struct stack *s = *state;
	struct sock *any = stack_udp(s->b), *one = stack_udp(s->b), *a = stack_udp(s->a),
		    *c = stack_udp(s->a);
	struct got g;

	stack_set(any, SOL_SOCKET, SO_REUSEADDR, 1);
	stack_set(one, SOL_SOCKET, SO_REUSEADDR, 1);
	assert_int_equal(stack_bind(any, "0.0.0.0", 7), 0);
	assert_int_equal(stack_bind(one, "10.0.0.2", 7), 0);
	assert_int_equal(stack_bind(a, "10.0.0.1", 1000), 0);
	assert_int_equal(stack_bind(c, "10.0.0.1", 1001), 0);
	assert_int_equal(stack_connect(one, "10.0.0.1", 1000), 0);
	stack_send(a, "10.0.0.2", 7, "a", 1);
	stack_send(c, "10.0.0.2", 7, "c", 1);
	stack_settle(s);
	assert_true(stack_recv(one, &g) && g.data[0] == 'a');
	assert_false(stack_recv(one, &g));
	assert_true(stack_recv(any, &g) && g.data[0] == 'c');
	/* disconnected, it takes what comes */
	struct sockaddr un = {.sa_family = AF_UNSPEC};

	assert_int_equal(sock_connect(one, &un, sizeof(un)), 0);
	stack_send(c, "10.0.0.2", 7, "d", 1);
	stack_settle(s);
	assert_true(stack_recv(one, &g) && g.data[0] == 'd');
	stack_close(any);
	stack_close(one);
	stack_close(a);
	stack_close(c);
}

static void test_refused(void **state)
{
	struct stack *s = *state;
	struct sock *a = stack_udp(s->a), *b = stack_udp(s->a);
	struct got g;

	/* unconnected: not told */
	assert_int_equal(stack_send(b, "10.0.0.2", 9, "x", 1), 1);
	stack_settle(s);
	assert_int_equal(stack_get(b, SOL_SOCKET, SO_ERROR), 0);
	assert_int_equal(stack_connect(a, "10.0.0.2", 9), 0);
	assert_int_equal(stack_send(a, NULL, 0, "x", 1), 1);
	stack_run(s, NSEC_PER_SEC);
	assert_int_equal(stack_send(a, NULL, 0, "x", 1), -ECONNREFUSED);
	assert_int_equal(stack_send(a, NULL, 0, "y", 1), 1);
	stack_run(s, NSEC_PER_SEC);
	assert_int_equal(stack_get(a, SOL_SOCKET, SO_ERROR), ECONNREFUSED);
	assert_int_equal(stack_get(a, SOL_SOCKET, SO_ERROR), 0);
	/* IP_RECVERR: told in any case, with what was sent */
	assert_int_equal(stack_set(b, IPPROTO_IP, IP_RECVERR, 1), 0);
	assert_int_equal(stack_send(b, "10.0.0.2", 9, "abc", 3), 3);
	stack_run(s, NSEC_PER_SEC);
	assert_int_equal(stack_get(b, SOL_SOCKET, SO_ERROR), ECONNREFUSED);
	assert_true(stack_take(b, &g));
	assert_int_equal(g.meta.kind, WEFT_DGRAM_ERRQ);
	assert_int_equal(g.meta.ee_errno, ECONNREFUSED);
	assert_int_equal(g.meta.ee_origin, SO_EE_ORIGIN_ICMP);
	assert_int_equal(g.meta.ee_type, ICMP_DEST_UNREACH);
	assert_int_equal(g.meta.ee_code, ICMP_PORT_UNREACH);
	assert_int_equal(g.len, 3);
	assert_memory_equal(g.data, "abc", 3);
	struct sockaddr_in sin;

	memcpy(&sin, g.meta.name, sizeof(sin));
	assert_int_equal(sin.sin_addr.s_addr, inet_addr("10.0.0.2"));
	assert_int_equal(sin.sin_port, htons(9));
	memcpy(&sin, g.meta.offender, sizeof(sin));
	assert_int_equal(sin.sin_addr.s_addr, inet_addr("10.0.0.2"));
	stack_close(a);
	stack_close(b);
}

static void test_unreachable(void **state)
{
	struct stack *s = *state;
	struct sock *a = stack_udp(s->a);

	assert_int_equal(stack_send(a, "192.0.2.1", 9, "x", 1), -ENETUNREACH);
	assert_int_equal(stack_connect(a, "192.0.2.1", 9), -ENETUNREACH);
	assert_int_equal(stack_send(a, NULL, 0, "x", 1), -EDESTADDRREQ);
	assert_int_equal(stack_send(a, "10.0.0.2", 0, "x", 1), -EINVAL);
	/* nobody answers for this address */
	assert_int_equal(stack_connect(a, "10.0.0.77", 9), 0);
	assert_int_equal(stack_send(a, NULL, 0, "x", 1), 1);
	stack_run(s, 5 * NSEC_PER_SEC);
	assert_int_equal(stack_send(a, NULL, 0, "x", 1), 1); /* not hard: no error unless asked */
	stack_set(a, IPPROTO_IP, IP_RECVERR, 1);
	stack_run(s, 5 * NSEC_PER_SEC);
	assert_int_equal(stack_get(a, SOL_SOCKET, SO_ERROR), EHOSTUNREACH);
	stack_close(a);
}

static void test_broadcast(void **state)
{
	struct stack *s = *state;
	struct sock *a = stack_udp(s->a), *b = stack_udp(s->b), *c = stack_udp(s->b),
		    *bound = stack_udp(s->b);
	struct got g;

	stack_set(b, SOL_SOCKET, SO_REUSEADDR, 1);
	stack_set(c, SOL_SOCKET, SO_REUSEADDR, 1);
	stack_set(bound, SOL_SOCKET, SO_REUSEADDR, 1);
	assert_int_equal(stack_bind(b, "0.0.0.0", 7), 0);
	assert_int_equal(stack_bind(c, "10.0.0.255", 7), 0);
	assert_int_equal(stack_bind(bound, "10.0.0.2", 7), 0);
	assert_int_equal(stack_send(a, "10.0.0.255", 7, "x", 1), -EACCES);
	assert_int_equal(stack_connect(a, "10.0.0.255", 7), -EACCES);
	assert_int_equal(stack_send(a, "255.255.255.255", 7, "x", 1), -ENETUNREACH);
	assert_int_equal(stack_set(a, SOL_SOCKET, SO_BROADCAST, 1), 0);
	assert_int_equal(stack_send(a, "10.0.0.255", 7, "x", 1), 1);
	stack_settle(s);
	assert_true(stack_recv(b, &g));
	assert_true(stack_recv(c, &g));
	assert_false(stack_recv(bound, &g));
	int ifindex = s->v0->ifindex;

	assert_int_equal(sock_setsockopt(a, SOL_SOCKET, SO_BINDTODEVICE, "v0", 3), 0);
	assert_int_equal(stack_get(a, SOL_SOCKET, SO_BINDTOIFINDEX), ifindex);
	assert_int_equal(stack_send(a, "255.255.255.255", 7, "y", 1), 1);
	stack_settle(s);
	assert_true(stack_recv(b, &g));
	stack_close(a);
	stack_close(b);
	stack_close(c);
	stack_close(bound);
}

static void test_multicast(void **state)
{
	struct stack *s = *state;
	struct sock *a = stack_udp(s->a), *b = stack_udp(s->b), *c = stack_udp(s->b),
		    *own = stack_udp(s->a);
	struct ip_mreqn m = {.imr_multiaddr.s_addr = inet_addr("239.1.2.3"),
			     .imr_ifindex = s->v1->ifindex};
	struct got g;

	stack_set(b, SOL_SOCKET, SO_REUSEADDR, 1);
	stack_set(c, SOL_SOCKET, SO_REUSEADDR, 1);
	assert_int_equal(stack_bind(b, "0.0.0.0", 7), 0);
	assert_int_equal(stack_bind(c, "0.0.0.0", 7), 0);
	assert_int_equal(stack_set(c, IPPROTO_IP, IP_MULTICAST_ALL, 0), 0);
	assert_int_equal(stack_bind(own, "0.0.0.0", 7), 0);
	assert_int_equal(sock_setsockopt(b, IPPROTO_IP, IP_ADD_MEMBERSHIP, &m, sizeof(m)), 0);
	assert_int_equal(sock_setsockopt(b, IPPROTO_IP, IP_ADD_MEMBERSHIP, &m, sizeof(m)),
			 -EADDRINUSE);
	assert_true(ip4_igmp_member(s->v1, m.imr_multiaddr.s_addr));
	struct ip_mreqn out = {.imr_ifindex = s->v0->ifindex};

	assert_int_equal(sock_setsockopt(a, IPPROTO_IP, IP_MULTICAST_IF, &out, sizeof(out)), 0);
	assert_int_equal(stack_send(a, "239.1.2.3", 7, "m", 1), 1);
	stack_settle(s);
	assert_true(stack_recv(b, &g) && g.data[0] == 'm');
	assert_false(stack_recv(c, &g)); /* has not joined, and wants only what it has */
	/* looped back only to members here */
	assert_false(stack_recv(own, &g));
	out.imr_multiaddr = m.imr_multiaddr;
	assert_int_equal(sock_setsockopt(own, IPPROTO_IP, IP_ADD_MEMBERSHIP, &out, sizeof(out)), 0);
	stack_send(a, "239.1.2.3", 7, "n", 1);
	stack_settle(s);
	assert_true(stack_recv(own, &g) && g.data[0] == 'n');
	stack_set(a, IPPROTO_IP, IP_MULTICAST_LOOP, 0);
	stack_send(a, "239.1.2.3", 7, "o", 1);
	stack_settle(s);
	assert_false(stack_recv(own, &g));
	assert_int_equal(sock_setsockopt(b, IPPROTO_IP, IP_DROP_MEMBERSHIP, &m, sizeof(m)), 0);
	assert_int_equal(sock_setsockopt(b, IPPROTO_IP, IP_DROP_MEMBERSHIP, &m, sizeof(m)),
			 -EADDRNOTAVAIL);
	assert_false(ip4_igmp_member(s->v1, m.imr_multiaddr.s_addr));
	stack_drain(b);
	stack_send(a, "239.1.2.3", 7, "p", 1);
	stack_settle(s);
	assert_false(stack_recv(b, &g));
	/* a socket that ends leaves its groups */
	assert_int_equal(sock_setsockopt(c, IPPROTO_IP, IP_ADD_MEMBERSHIP, &m, sizeof(m)), 0);
	stack_close(c);
	assert_false(ip4_igmp_member(s->v1, m.imr_multiaddr.s_addr));
	stack_close(a);
	stack_close(b);
	stack_close(own);
}

static void test_shown(void **state)
{
	struct stack *s = *state;
	struct sock *a = stack_udp(s->a), *b = stack_udp(s->b);
	struct got g;

	assert_int_equal(stack_bind(b, "0.0.0.0", 7), 0);
	stack_set(b, IPPROTO_IP, IP_PKTINFO, 1);
	stack_set(b, IPPROTO_IP, IP_RECVTTL, 1);
	stack_set(b, IPPROTO_IP, IP_RECVTOS, 1);
	stack_set(b, SOL_SOCKET, SO_TIMESTAMPNS, 1);
	stack_set(a, IPPROTO_IP, IP_TTL, 33);
	stack_set(a, IPPROTO_IP, IP_TOS, 0xb8);
	stack_send(a, "10.0.0.2", 7, "x", 1);
	stack_settle(s);
	assert_true(stack_recv(b, &g));
	assert_int_equal(g.meta.cmsgs,
			 WEFT_CMSG_PKTINFO | WEFT_CMSG_TTL | WEFT_CMSG_TOS | WEFT_CMSG_TIMESTAMPNS);
	assert_int_equal(g.meta.ttl_tos, 33 | 0xb8 << 8);
	assert_int_equal(g.meta.ifindex, s->v1->ifindex);
	assert_int_equal(g.meta.dst, inet_addr("10.0.0.2"));
	assert_int_equal(g.meta.spec_dst, inet_addr("10.0.0.2"));
	assert_int_equal(g.meta.tstamp, s->now + 1700000000ull * 1000000000);
	/* one's own choice of source, TTL and TOS for a datagram */
	struct weft_dgram meta = {.cmsgs = WEFT_CMSG_PKTINFO | WEFT_CMSG_TTL | WEFT_CMSG_TOS,
				  .ttl_tos = 7 | 0x10 << 8,
				  .spec_dst = inet_addr("10.0.1.1")};
	struct sockaddr_in to = stack_in("10.0.0.2", 7);
	struct sock_msg m = {
		.name = &to, .name_len = sizeof(to), .data = "y", .len = 1, .meta = &meta};

	assert_int_equal(sock_sendmsg(a, &m), 1);
	stack_settle(s);
	assert_true(stack_recv(b, &g));
	assert_int_equal(g.meta.ttl_tos, 7 | 0x10 << 8);
	memcpy(&to, g.meta.name, sizeof(to));
	assert_int_equal(to.sin_addr.s_addr, inet_addr("10.0.1.1"));
	stack_close(a);
	stack_close(b);
}

static void test_mtu(void **state)
{
	struct stack *s = *state;
	static uint8_t big[65536];
	struct sock *a = stack_udp(s->a), *b = stack_udp(s->b);
	struct got g;

	assert_int_equal(stack_bind(b, "0.0.0.0", 7), 0);
	for (unsigned i = 0; i < sizeof(big); i++)
		big[i] = (uint8_t)(i * 7);
	/* fragments when allowed */
	assert_int_equal(stack_get(a, IPPROTO_IP, IP_MTU_DISCOVER), IP_PMTUDISC_WANT);
	assert_int_equal(stack_send(a, "10.0.0.2", 7, big, 1472), 1472);
	assert_int_equal(stack_send(a, "10.0.0.2", 7, big, 3000), 3000);
	stack_settle(s);
	assert_true(stack_recv(b, &g));
	assert_int_equal(g.len, 1472);
	assert_true(stack_recv(b, &g));
	assert_int_equal(g.len, 3000);
	assert_memory_equal(g.data, big, 3000);
	stack_set(a, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DO);
	assert_int_equal(stack_send(a, "10.0.0.2", 7, big, 1472), 1472);
	assert_int_equal(stack_send(a, "10.0.0.2", 7, big, 1473), -EMSGSIZE);
	stack_set(a, IPPROTO_IP, IP_RECVERR, 1);
	assert_int_equal(stack_send(a, "10.0.0.2", 7, big, 1473), -EMSGSIZE);
	assert_true(stack_take(a, &g));
	assert_int_equal(g.meta.kind, WEFT_DGRAM_ERRQ);
	assert_int_equal(g.meta.ee_origin, SO_EE_ORIGIN_LOCAL);
	assert_int_equal(g.meta.ee_errno, EMSGSIZE);
	assert_int_equal(g.meta.ee_info, 1500);
	stack_set(a, IPPROTO_IP, IP_RECVERR, 0);
	stack_set(a, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_OMIT);
	assert_int_equal(stack_send(a, "10.0.0.2", 7, big, 1473), 1473);
	assert_int_equal(stack_send(a, "10.0.0.2", 7, big, 65508), -EMSGSIZE);
	assert_int_equal(stack_send(a, "10.0.0.2", 7, big, 65507), 65507);
	stack_settle(s);
	assert_true(stack_recv(b, &g) && stack_recv(b, &g) && stack_recv(b, &g));
	assert_int_equal(g.len, 65507);
	assert_memory_equal(g.data, big, sizeof(g.data));
	stack_close(a);
	stack_close(b);
}

static void test_cork(void **state)
{
	struct stack *s = *state;
	struct sock *a = stack_udp(s->a), *b = stack_udp(s->b);
	struct sockaddr_in to = stack_in("10.0.0.2", 7);
	struct sock_msg m = {.name = &to, .name_len = sizeof(to), .data = "ab", .len = 2};
	struct got g;

	assert_int_equal(stack_bind(b, "0.0.0.0", 7), 0);
	stack_set(a, IPPROTO_UDP, UDP_CORK, 1);
	assert_int_equal(sock_sendmsg(a, &m), 2);
	m.data = "cd";
	assert_int_equal(sock_sendmsg(a, &m), 2);
	stack_settle(s);
	assert_false(stack_recv(b, &g));
	assert_int_equal(stack_set(a, IPPROTO_UDP, UDP_CORK, 0), 0);
	stack_settle(s);
	assert_true(stack_recv(b, &g));
	assert_int_equal(g.len, 4);
	assert_memory_equal(g.data, "abcd", 4);
	m.flags = MSG_MORE;
	assert_int_equal(sock_sendmsg(a, &m), 2);
	m.flags = 0;
	m.data = "ef";
	assert_int_equal(sock_sendmsg(a, &m), 2);
	stack_settle(s);
	assert_true(stack_recv(b, &g));
	assert_memory_equal(g.data, "cdef", 4);
	assert_false(stack_recv(b, &g));
	/* what is corked goes with its socket */
	m.flags = MSG_MORE;
	assert_int_equal(sock_sendmsg(a, &m), 2);
	stack_close(a);
	stack_close(b);
}

static void test_segment(void **state)
{
	struct stack *s = *state;
	struct sock *a = stack_udp(s->a), *b = stack_udp(s->b);
	uint8_t data[1000];
	struct got g;

	for (unsigned i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)i;
	assert_int_equal(stack_bind(b, "0.0.0.0", 7), 0);
	assert_int_equal(stack_set(a, IPPROTO_UDP, UDP_SEGMENT, 300), 0);
	assert_int_equal(stack_send(a, "10.0.0.2", 7, data, sizeof(data)), 1000);
	stack_settle(s);
	for (unsigned i = 0; i < 4; i++) {
		assert_true(stack_recv(b, &g));
		assert_int_equal(g.len, i < 3 ? 300 : 100);
		assert_memory_equal(g.data, data + 300 * i, g.len);
	}
	assert_false(stack_recv(b, &g));
	stack_set(a, IPPROTO_UDP, UDP_SEGMENT, 1);
	assert_int_equal(stack_send(a, "10.0.0.2", 7, data, 129), -EINVAL);
	stack_set(a, IPPROTO_UDP, UDP_SEGMENT, 1473);
	assert_int_equal(stack_send(a, "10.0.0.2", 7, data, 1000), 1000);
	stack_close(a);
	stack_close(b);
}

/* A queue holds what SO_RCVBUF says; what does not fit is counted in all the places. */
static void test_rcvbuf(void **state)
{
	struct stack *s = *state;
	struct sock *a = stack_udp(s->a), *b = stack_udp(s->b);
	unsigned sent = 500, got;
	struct got g;

	assert_int_equal(stack_bind(b, "0.0.0.0", 7), 0);
	stack_set(b, SOL_SOCKET, SO_RCVBUF, 20000);
	assert_int_equal(stack_get(b, SOL_SOCKET, SO_RCVBUF), 40000);
	stack_set(b, SOL_SOCKET, SO_RXQ_OVFL, 1);
	for (unsigned i = 0; i < sent; i++) {
		assert_int_equal(stack_send(a, "10.0.0.2", 7, "x", 1), 1);
		stack_settle(s);
	}
	uint64_t full = stack_drops(s, DROP_SOCKET_RCVBUFF);

	got = stack_drain(b);
	assert_in_range(got, 20, 80);
	assert_int_equal(got + full, sent);
	assert_int_equal(b->rx_drops, full);
	assert_int_equal(b->rx_bytes, 0);
	assert_int_equal(ip4_mib_sum(s->b, MIB_Udp_RcvbufErrors), full);
	assert_int_equal(ip4_mib_sum(s->b, MIB_Udp_InDatagrams), got);
	assert_int_equal(ip4_mib_sum(s->a, MIB_Udp_OutDatagrams), sent);
	stack_send(a, "10.0.0.2", 7, "x", 1);
	stack_settle(s);
	assert_true(stack_recv(b, &g));
	assert_true(g.meta.cmsgs & WEFT_CMSG_RXQ_OVFL);
	assert_int_equal(g.meta.drops, full);
	stack_close(a);
	stack_close(b);
}

static void test_filter(void **state)
{
	struct stack *s = *state;
	struct sock *a = stack_udp(s->a), *b = stack_udp(s->b);
	/* the byte behind the UDP header is 'k': keep 10 bytes of the datagram, header included */
	struct sock_filter f[] = {
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 8),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 'k', 0, 1),
		BPF_STMT(BPF_RET | BPF_K, 10),
		BPF_STMT(BPF_RET | BPF_K, 0),
	};
	struct got g;

	assert_int_equal(stack_bind(b, "0.0.0.0", 7), 0);
	assert_int_equal(sock_setsockopt(b, SOL_SOCKET, SO_ATTACH_FILTER, f, sizeof(f)), 0);
	stack_send(a, "10.0.0.2", 7, "no", 2);
	stack_send(a, "10.0.0.2", 7, "keep", 4);
	stack_settle(s);
	assert_true(stack_recv(b, &g));
	assert_int_equal(g.len, 2);
	assert_memory_equal(g.data, "ke", 2);
	assert_false(stack_recv(b, &g));
	assert_int_equal(stack_drops(s, DROP_SOCKET_FILTER), 1);
	assert_int_equal(stack_set(b, SOL_SOCKET, SO_LOCK_FILTER, 1), 0);
	assert_int_equal(stack_set(b, SOL_SOCKET, SO_LOCK_FILTER, 0), -EPERM);
	assert_int_equal(stack_set(b, SOL_SOCKET, SO_DETACH_FILTER, 0), -EPERM);
	assert_int_equal(sock_setsockopt(b, SOL_SOCKET, SO_ATTACH_FILTER, f, sizeof(f)), -EPERM);
	assert_int_equal(stack_set(a, SOL_SOCKET, SO_DETACH_FILTER, 0), -ENOENT);
	/* falls off its end */
	assert_int_equal(sock_setsockopt(a, SOL_SOCKET, SO_ATTACH_FILTER, f, 8), -EINVAL);
	stack_close(a);
	stack_close(b);
}

static void test_bindtodevice(void **state)
{
	struct stack *s = *state;
	struct sock *a = stack_udp(s->a), *b = stack_udp(s->b), *lo = stack_udp(s->b);
	struct got g;

	assert_int_equal(sock_setsockopt(b, SOL_SOCKET, SO_BINDTODEVICE, "v1", 2), 0);
	assert_int_equal(sock_setsockopt(lo, SOL_SOCKET, SO_BINDTODEVICE, "lo", 3), 0);
	assert_int_equal(sock_setsockopt(lo, SOL_SOCKET, SO_BINDTODEVICE, "nix", 4), -ENODEV);
	assert_int_equal(stack_bind(b, "0.0.0.0", 7), 0);
	assert_int_equal(stack_bind(lo, "0.0.0.0", 7), 0);
	stack_send(a, "10.0.0.2", 7, "w", 1);
	stack_settle(s);
	assert_true(stack_recv(b, &g) && g.data[0] == 'w');
	assert_false(stack_recv(lo, &g));
	struct sock *c = stack_udp(s->b);

	/* By lo, yet it counts as from the device of the address. */
	stack_send(c, "10.0.0.2", 7, "o", 1);
	stack_settle(s);
	assert_true(stack_recv(b, &g) && g.data[0] == 'o');
	assert_false(stack_recv(lo, &g));
	stack_send(c, "127.0.0.1", 7, "l", 1);
	stack_settle(s);
	assert_true(stack_recv(lo, &g) && g.data[0] == 'l');
	assert_false(stack_recv(b, &g));
	stack_close(a);
	stack_close(b);
	stack_close(c);
	stack_close(lo);
}

static void test_shutdown(void **state)
{
	struct stack *s = *state;
	struct sock *a = stack_udp(s->a);

	assert_int_equal(sock_shutdown(a, SHUT_WR), -ENOTCONN);
	assert_int_equal(stack_connect(a, "10.0.0.2", 7), 0);
	assert_int_equal(sock_shutdown(a, 5), -EINVAL);
	assert_int_equal(sock_shutdown(a, SHUT_WR), 0);
	assert_int_equal(stack_send(a, NULL, 0, "x", 1), -EPIPE);
	stack_close(a);
}

/* A bad checksum, a bad length, nobody there: each has its count. */
static void test_accounts(void **state)
{
	struct stack *s = *state;
	struct sock *raw = stack_sock(s->a, AF_INET, SOCK_RAW, IPPROTO_UDP), *b = stack_udp(s->b);
	uint8_t d[12] = {0, 1, 0, 7, 0, 12, 1, 2, 'a', 'b', 'c', 'd'};

	assert_int_equal(stack_bind(b, "0.0.0.0", 7), 0);
	assert_int_equal(stack_send(raw, "10.0.0.2", 0, d, 12), 12);
	d[4] = 1;
	assert_int_equal(stack_send(raw, "10.0.0.2", 0, d, 12), 12);
	assert_int_equal(stack_send(raw, "10.0.0.2", 0, d, 7), 7);
	stack_settle(s);
	assert_int_equal(stack_drops(s, DROP_UDP_CSUM), 1);
	assert_int_equal(stack_drops(s, DROP_PKT_TOO_SMALL), 2);
	assert_int_equal(ip4_mib_sum(s->b, MIB_Udp_InCsumErrors), 1);
	assert_int_equal(ip4_mib_sum(s->b, MIB_Udp_InErrors), 3);
	/* no checksum at all is fine */
	d[4] = d[6] = d[7] = 0;
	assert_int_equal(stack_send(raw, "10.0.0.2", 0, d, 12), 12);
	stack_settle(s);
	assert_int_equal(stack_drain(b), 1);
	d[3] = 8;
	assert_int_equal(stack_send(raw, "10.0.0.2", 0, d, 12), 12);
	stack_settle(s);
	assert_int_equal(ip4_mib_sum(s->b, MIB_Udp_NoPorts), 1);
	assert_int_equal(stack_drops(s, DROP_NO_SOCKET), 1);
	stack_close(raw);
	stack_close(b);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, stack_setup, stack_teardown)
	const struct CMUnitTest tests[] = {
		T(test_exchange),
		T(test_bind),
		T(test_autobind),
		T(test_reuseport),
		T(test_connected_first),
		T(test_refused),
		T(test_unreachable),
		T(test_broadcast),
		T(test_multicast),
		T(test_shown),
		T(test_mtu),
		T(test_cork),
		T(test_segment),
		T(test_rcvbuf),
		T(test_filter),
		T(test_bindtodevice),
		T(test_shutdown),
		T(test_accounts),
	};
#undef T

	rcu_register_thread();
	int failed = cmocka_run_group_tests(tests, NULL, NULL);

	rcu_unregister_thread();
	return failed;
}
