/*
 * stack: two namespaces of one instance, joined by a veth pair, under a virtual clock.
 *
 *	   a (10.0.0.1/24, and 10.0.1.1/24)            b (10.0.0.2/24)
 *	  [ lo  v0 ]------------------ veth ----------[ v1  lo ]
 *
 * Tests open sockets with stack_sock(), send with stack_send(), let the instance come to rest with
 * stack_settle() (or let time pass with stack_run()), and take what arrived with stack_recv().
 * stack_teardown() checks that every packet has come back to the pool.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <linux/if_packet.h>
#include <string.h>

#include "drivers/kinds.h"
#include "ip/ip4.h"
#include "net/net.h"
#include "sock/sock.h"
#include "weft.h"

struct stack {
	struct weft *weft;
	uint64_t now;
	struct net *a, *b;
	struct netdev *v0, *v1;
};

/* What came out of a socket. */
struct got {
	bool any;
	size_t len, caplen;
	struct weft_dgram meta;
	uint8_t data[4096];
};

static inline struct sockaddr_in stack_in(const char *addr, uint16_t port)
{
	return (struct sockaddr_in){
		.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = inet_addr(addr)};
}

static inline void stack_settle(struct stack *s)
{
	weft_settle(s->weft, s->now);
}

static inline void stack_run(struct stack *s, uint64_t ns)
{
	s->now = weft_run_until(s->weft, s->now, s->now + ns);
}

static inline void stack_addr(struct netdev *dev, const char *addr)
{
	struct in_ifaddr ifa = {
		.local = inet_addr(addr),
		.address = inet_addr(addr),
		.prefixlen = 24,
		.mask = htonl(0xffffff00),
		.broadcast = inet_addr(addr) | htonl(0xff),
		.valid_lft = UINT32_MAX,
		.preferred_lft = UINT32_MAX,
	};

	assert_int_equal(ip4_addr_add(dev, &ifa, false, true, NULL), 0);
}

static inline void stack_up(struct netdev *dev, bool on)
{
	assert_int_equal(netdev_set_flags(dev, on ? IFF_UP : 0, IFF_UP, NULL), 0);
}

/* f0, a bad link on v0: the parameters of the driver (drivers/fault). */
struct stack_fault {
	uint32_t loss, dup, reorder, corrupt, delay, jitter, limit, direction;
	uint64_t seed;
};

static inline struct netdev *stack_fault(struct stack *s, const struct stack_fault *a)
{
	const struct dev_new n = {
		.net = s->a, .name = "f0", .link = s->v0, .params = a, .given = {0x1ff /* all */}};
	struct netdev *f0;

	assert_int_equal(dev_create(s->weft->dev, &fault_kind, &n, &f0, NULL), 0);
	stack_up(f0, true);
	return f0;
}

static inline int stack_setup(void **state)
{
	struct weft_config c = {.seed = 1,
				.now = NSEC_PER_SEC,
				.wall = 1700000000ll * 1000000000,
				.n_packets = 8192};
	struct stack *s = calloc(1, sizeof(*s));
	int err;

	*state = s;
	s->now = c.now;
	s->weft = weft_new(&c, &err);
	assert_non_null(s->weft);
	s->a = net_new(s->weft->nets, &err);
	s->b = net_new(s->weft->nets, &err);
	assert_true(s->a && s->b);
	struct dev_new n = {.net = s->a, .name = "v0", .peer_net = s->b, .peer_name = "v1"};

	assert_int_equal(dev_create(s->weft->dev, &veth_kind, &n, &s->v0, NULL), 0);
	s->v1 = s->v0->ops->companion(s->v0);
	stack_up(s->a->loopback, true);
	stack_up(s->b->loopback, true);
	stack_up(s->v0, true);
	stack_up(s->v1, true);
	stack_addr(s->v0, "10.0.0.1");
	stack_addr(s->v0, "10.0.1.1");
	stack_addr(s->v1, "10.0.0.2");
	stack_run(s, 3 * NSEC_PER_SEC);
	return 0;
}

static inline int stack_teardown(void **state)
{
	struct stack *s = *state;

	stack_run(s, 10 * NSEC_PER_SEC);
	net_put(s->a);
	net_put(s->b);
	stack_run(s, 10 * NSEC_PER_SEC);
	rcu_barrier();
	stack_settle(s);
	assert_int_equal(pool_in_use(s->weft->pool), 0);
	weft_free(s->weft);
	free(s);
	return 0;
}

/* ---- sockets ---- */

static inline struct sock *stack_sock(struct net *net, int family, int type, int protocol)
{
	struct sock *sk = NULL;

	assert_int_equal(sock_new(net, family, type, protocol, &sk), 0);
	return sk;
}

static inline struct sock *stack_udp(struct net *net)
{
	return stack_sock(net, AF_INET, SOCK_DGRAM, 0);
}

static inline int stack_bind(struct sock *sk, const char *addr, uint16_t port)
{
	struct sockaddr_in sin = stack_in(addr, port);

	return sock_bind(sk, (struct sockaddr *)&sin, sizeof(sin));
}

static inline int stack_connect(struct sock *sk, const char *addr, uint16_t port)
{
	struct sockaddr_in sin = stack_in(addr, port);

	return sock_connect(sk, (struct sockaddr *)&sin, sizeof(sin));
}

static inline uint16_t stack_port(struct sock *sk)
{
	struct sockaddr_in sin;
	size_t len = sizeof(sin);

	assert_int_equal(sock_getname(sk, false, (struct sockaddr *)&sin, &len), 0);
	return ntohs(sin.sin_port);
}

/* addr NULL: to the peer. */
static inline ssize_t stack_send(struct sock *sk, const char *addr, uint16_t port, const void *data,
				 size_t len)
{
	struct sockaddr_in sin = stack_in(addr ? addr : "0.0.0.0", port);
	struct sock_msg m = {.name = addr ? &sin : NULL,
			     .name_len = addr ? sizeof(sin) : 0,
			     .data = data,
			     .len = len};

	return sock_sendmsg(sk, &m);
}

/* The next of any kind. */
static inline bool stack_take(struct sock *sk, struct got *g)
{
	struct sock_rx *rx = sock_dequeue(sk);

	memset(g, 0, sizeof(*g));
	if (!rx)
		return false;
	g->any = true;
	g->len = rx->len;
	g->caplen = rx->caplen;
	g->meta = rx->meta;
	if (rx->pkt)
		pkt_copy_out(rx->pkt, 0, g->data, MIN(rx->caplen, sizeof(g->data)));
	else
		memcpy(g->data, rx->data, MIN(rx->caplen, sizeof(g->data)));
	sock_rx_free(sk->weft->worker[0], rx);
	return true;
}

/* The next datagram; false: none. */
static inline bool stack_recv(struct sock *sk, struct got *g)
{
	while (stack_take(sk, g))
		if (g->meta.kind == WEFT_DGRAM_DATA)
			return true;
	return false;
}

static inline unsigned stack_drain(struct sock *sk)
{
	struct got g;
	unsigned n = 0;

	while (stack_take(sk, &g))
		n += g.meta.kind == WEFT_DGRAM_DATA;
	return n;
}

static inline void stack_close(struct sock *sk)
{
	sock_close(sk);
	sock_put(sk);
}

static inline int stack_set(struct sock *sk, int level, int name, int val)
{
	return sock_setsockopt(sk, level, name, &val, sizeof(val));
}

static inline int stack_get(struct sock *sk, int level, int name)
{
	int val = -1;
	size_t len = sizeof(val);
	int err = sock_getsockopt(sk, level, name, &val, &len);

	return err ? err : val;
}

static inline uint64_t stack_drops(const struct stack *s, enum drop why)
{
	return s->weft->worker[0]->drops[why];
}
