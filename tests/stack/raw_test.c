/* Raw and ping sockets: which datagrams they see, what they may send, and the errors they hear of.
 */
#include "stack.h"

#include <errno.h>
#include <linux/errqueue.h>
#include <linux/icmp.h>

#include "base/csum.h"
#include "wire/ip4_hdr.h"

static struct sock *raw(struct net *net, int protocol)
{
	return stack_sock(net, AF_INET, SOCK_RAW, protocol);
}

static struct sock *ping(struct stack *s, struct net *net)
{
	net->ip4->ping_group_range[0] = 0;
	net->ip4->ping_group_range[1] = INT32_MAX;
	return stack_sock(net, AF_INET, SOCK_DGRAM, IPPROTO_ICMP);
}

/* ---- raw ---- */

static void test_any_protocol(void **state)
{
	struct stack *s = *state;
	struct got g;

	for (int proto = 1; proto < 256; proto++) {
		struct sock *a = raw(s->a, proto), *b = raw(s->b, proto), *other = raw(s->b, 255);
		const struct ip4_hdr *ip = (const void *)g.data;

		assert_int_equal(stack_set(a, IPPROTO_IP, IP_HDRINCL, 0), 0);
		assert_int_equal(stack_send(a, "10.0.0.2", 0, "payload", 7), 7);
		stack_settle(s);
		assert_true(stack_recv(b, &g));
		assert_int_equal(g.len, 27);
		assert_int_equal(ip->protocol, proto);
		assert_int_equal(ip->saddr, inet_addr("10.0.0.1"));
		assert_int_equal(ntohs(ip->tot_len), 27);
		assert_memory_equal(g.data + 20, "payload", 7);
		assert_int_equal(stack_drain(other), proto == 255);
		stack_close(a);
		stack_close(b);
		stack_close(other);
	}
	struct sock *sk;

	assert_int_equal(sock_new(s->a, AF_INET, SOCK_RAW, 0, &sk), -EPROTONOSUPPORT);
	assert_int_equal(sock_new(s->a, AF_INET, SOCK_RAW, 256, &sk), -EPROTONOSUPPORT);
	assert_int_equal(sock_new(s->a, AF_INET, SOCK_RAW, -1, &sk), -EINVAL);
	assert_int_equal(sock_new(s->a, AF_INET, SOCK_RDM, 0, &sk), -ESOCKTNOSUPPORT);
	assert_int_equal(sock_new(s->a, AF_INET6, SOCK_RAW, 1, &sk), -EAFNOSUPPORT);
}

/* bind, connect and SO_BINDTODEVICE each narrow what is seen. */
static void test_narrowed(void **state)
{
	struct stack *s = *state;
	struct sock *a = raw(s->a, 89), *addr = raw(s->b, 89), *peer = raw(s->b, 89),
		    *dev = raw(s->b, 89), *all = raw(s->b, 89);
	struct weft_dgram meta = {.cmsgs = WEFT_CMSG_PKTINFO, .spec_dst = inet_addr("10.0.1.1")};
	struct sockaddr_in to = stack_in("10.0.0.2", 0);
	struct sock_msg m = {
		.name = &to, .name_len = sizeof(to), .data = "x", .len = 1, .meta = &meta};

	assert_int_equal(stack_bind(addr, "127.0.0.1", 0), 0);
	assert_int_equal(stack_bind(a, "10.0.0.2", 0), -EADDRNOTAVAIL);
	assert_int_equal(stack_connect(peer, "10.0.0.1", 0), 0);
	assert_int_equal(sock_setsockopt(dev, SOL_SOCKET, SO_BINDTODEVICE, "lo", 3), 0);
	assert_int_equal(stack_send(a, "10.0.0.2", 0, "x", 1), 1);
	stack_settle(s);
	assert_int_equal(stack_drain(addr), 0);
	assert_int_equal(stack_drain(peer), 1);
	assert_int_equal(stack_drain(dev), 0);
	assert_int_equal(stack_drain(all), 1);
	assert_int_equal(sock_sendmsg(a, &m), 1);
	stack_settle(s);
	assert_int_equal(stack_drain(peer), 0);
	assert_int_equal(stack_drain(all), 1);
	stack_close(a);
	stack_close(addr);
	stack_close(peer);
	stack_close(dev);
	stack_close(all);
}

static void test_hdrincl(void **state)
{
	struct stack *s = *state;
	struct sock *a = raw(s->a, IPPROTO_RAW), *b = raw(s->b, 99), *deaf = raw(s->b, IPPROTO_RAW);
	uint8_t d[1501] = {0};
	struct ip4_hdr *ip = (struct ip4_hdr *)d;
	const struct ip4_hdr *in;
	struct got g;

	assert_int_equal(stack_get(a, IPPROTO_IP, IP_HDRINCL), 1);
	ip->version = 4;
	ip->ihl = 5;
	ip->ttl = 9;
	ip->protocol = 99;
	ip->daddr = inet_addr("10.0.0.2");
	assert_int_equal(stack_send(a, "10.0.0.2", 0, d, 24), 24);
	stack_settle(s);
	assert_true(stack_recv(b, &g));
	in = (const void *)g.data;
	/* length, checksum, source and identification are filled in */
	assert_int_equal(ntohs(in->tot_len), 24);
	assert_int_equal(in->ttl, 9);
	assert_int_equal(in->saddr, inet_addr("10.0.0.1"));
	assert_int_equal(csum_ip4(in, 5), 0);
	/* a source of one's choice, too */
	ip->saddr = inet_addr("10.0.0.55");
	assert_int_equal(stack_send(a, "10.0.0.2", 0, d, 24), 24);
	stack_settle(s);
	assert_true(stack_recv(b, &g));
	assert_int_equal(((struct ip4_hdr *)g.data)->saddr, inet_addr("10.0.0.55"));
	assert_int_equal(stack_send(a, "10.0.0.2", 0, d, 19), -EINVAL);
	assert_int_equal(stack_send(a, "10.0.0.2", 0, d, 1501), -EMSGSIZE);
	assert_int_equal(stack_send(a, "10.0.0.2", 0, d, 1500), 1500);
	ip->ihl = 15;
	assert_int_equal(stack_send(a, "10.0.0.2", 0, d, 24), -EINVAL);
	ip->ihl = 4;
	assert_int_equal(stack_send(a, "10.0.0.2", 0, d, 24), -EINVAL);
	stack_settle(s);
	assert_int_equal(stack_drain(deaf), 0);
	stack_close(a);
	stack_close(b);
	stack_close(deaf);
}

static void test_icmp_filter(void **state)
{
	struct stack *s = *state;
	struct sock *a = raw(s->a, IPPROTO_ICMP), *b = raw(s->b, IPPROTO_ICMP);
	uint8_t echo[8] = {ICMP_ECHO, 0, 0xf7, 0xff, 0, 0, 0, 0};
	uint32_t filter = 1u << ICMP_ECHO, back;
	size_t len = sizeof(back);
	struct got g;

	assert_int_equal(sock_setsockopt(b, IPPROTO_RAW, 1, &filter, sizeof(filter)), 0);
	assert_int_equal(sock_getsockopt(b, IPPROTO_RAW, 1, &back, &len), 0);
	assert_int_equal(back, filter);
	assert_int_equal(stack_send(a, "10.0.0.2", 0, echo, 8), 8);
	stack_settle(s);
	assert_int_equal(stack_drain(b), 0);
	/* the answer came; what one sends one does not see */
	assert_true(stack_recv(a, &g));
	assert_int_equal(g.data[20], ICMP_ECHOREPLY);
	assert_false(stack_recv(a, &g));
	filter = 0;
	assert_int_equal(sock_setsockopt(b, IPPROTO_RAW, 1, &filter, sizeof(filter)), 0);
	stack_send(a, "10.0.0.2", 0, echo, 8);
	stack_settle(s);
	assert_int_equal(stack_drain(b), 1);
	struct sock *c = raw(s->b, 2);

	assert_int_equal(sock_setsockopt(c, IPPROTO_RAW, 1, &filter, sizeof(filter)), -EOPNOTSUPP);
	stack_close(a);
	stack_close(b);
	stack_close(c);
}

static void test_options(void **state)
{
	struct stack *s = *state;
	struct sock *a = raw(s->a, 89), *b = raw(s->b, 89);
	/* record route, three places */
	uint8_t rr[16] = {7, 15, 4}, bad[8] = {7, 20, 4};
	struct got g;

	assert_int_equal(sock_setsockopt(a, IPPROTO_IP, IP_OPTIONS, bad, 8), -EINVAL);
	assert_int_equal(sock_setsockopt(a, IPPROTO_IP, IP_OPTIONS, rr, 15), 0);
	assert_int_equal(stack_set(b, IPPROTO_IP, IP_RECVOPTS, 1), 0);
	assert_int_equal(stack_send(a, "10.0.0.2", 0, "x", 1), 1);
	stack_settle(s);
	assert_true(stack_recv(b, &g));
	assert_int_equal(g.len, 20 + 16 + 1);
	assert_int_equal(g.data[20], 7);
	assert_int_equal(g.data[22], 12); /* two addresses are in: the sender's and ours */
	assert_true(g.meta.cmsgs & WEFT_CMSG_RETOPTS);
	assert_int_equal(g.meta.opts_len, 16);
	assert_memory_equal(g.meta.opts, g.data + 20, 16);
	stack_close(a);
	stack_close(b);
}

static void test_errors(void **state)
{
	struct stack *s = *state;
	struct sock *a = raw(s->a, 200), *told = raw(s->a, 200);
	struct got g;

	assert_int_equal(stack_connect(a, "10.0.0.2", 0), 0);
	assert_int_equal(stack_set(told, IPPROTO_IP, IP_RECVERR, 1), 0);
	assert_int_equal(stack_send(a, NULL, 0, "abcdefgh", 8), 8);
	stack_run(s, NSEC_PER_SEC);
	assert_int_equal(stack_get(a, SOL_SOCKET, SO_ERROR), ENOPROTOOPT);
	assert_true(stack_take(told, &g));
	assert_int_equal(g.meta.kind, WEFT_DGRAM_ERRQ);
	assert_int_equal(g.meta.ee_errno, ENOPROTOOPT);
	assert_int_equal(g.meta.ee_type, ICMP_DEST_UNREACH);
	assert_int_equal(g.meta.ee_code, ICMP_PROT_UNREACH);
	assert_int_equal(g.len, 8);
	assert_memory_equal(g.data, "abcdefgh", 8);
	stack_close(a);
	stack_close(told);
}

static void test_router_alert(void **state)
{
	struct stack *s = *state;
	struct sock *a = raw(s->a, 46), *rsvp = raw(s->b, 46), *other = raw(s->b, 46);
	static const uint8_t alert[4] = {0x94, 4, 0, 0};
	struct route_config via = {.dst = inet_addr("10.9.0.0"),
				   .dst_len = 16,
				   .gateway = inet_addr("10.0.0.2"),
				   .has_gateway = true,
				   .table = RT_TABLE_MAIN,
				   .type = RTN_UNICAST,
				   .scope = RT_SCOPE_UNIVERSE,
				   .protocol = RTPROT_STATIC,
				   .nl_flags = 0x400};

	assert_int_equal(route4_add(s->a, &via, NULL), 0);
	via.gateway = inet_addr("10.0.0.1");
	assert_int_equal(route4_add(s->b, &via, NULL), 0);
	s->b->ip4->ip_forward = 1;
	s->b->ip4->conf_all.v[IPV4_DEVCONF_FORWARDING - 1] = 1;
	s->v1->in_dev->conf.v[IPV4_DEVCONF_FORWARDING - 1] = 1;
	assert_int_equal(sock_setsockopt(a, IPPROTO_IP, IP_OPTIONS, alert, 4), 0);
	assert_int_equal(stack_set(rsvp, IPPROTO_IP, IP_ROUTER_ALERT, 1), 0);
	assert_int_equal(stack_set(rsvp, IPPROTO_IP, IP_ROUTER_ALERT, 1), -EADDRINUSE);
	assert_int_equal(stack_send(a, "10.9.9.9", 0, "path", 4), 4);
	stack_settle(s);
	assert_int_equal(stack_drain(rsvp), 1);
	assert_int_equal(stack_drain(other), 0);
	assert_int_equal(ip4_mib_sum(s->b, MIB_Ip_ForwDatagrams), 0);
	/* in fragments as well */
	static uint8_t big[3000];

	assert_int_equal(stack_send(a, "10.9.9.9", 0, big, sizeof(big)), sizeof(big));
	stack_settle(s);
	assert_int_equal(stack_drain(rsvp), 1);
	assert_int_equal(stack_set(rsvp, IPPROTO_IP, IP_ROUTER_ALERT, 0), 0);
	assert_int_equal(stack_send(a, "10.9.9.9", 0, "path", 4), 4);
	stack_settle(s);
	assert_int_equal(stack_drain(rsvp), 0);
	assert_int_equal(ip4_mib_sum(s->b, MIB_Ip_ForwDatagrams), 1);
	stack_close(a);
	stack_close(rsvp);
	stack_close(other);
}

/* ---- ping ---- */

static void test_ping(void **state)
{
	struct stack *s = *state;
	struct sock *a, *c;
	uint8_t echo[12] = {ICMP_ECHO, 0, 9, 9, 9, 9, 0, 1, 'd', 'a', 't', 'a'};
	struct got g;

	assert_int_equal(sock_new(s->a, AF_INET, SOCK_DGRAM, IPPROTO_ICMP, &a), -EACCES);
	a = ping(s, s->a);
	c = ping(s, s->a);
	assert_int_equal(stack_bind(c, "10.0.0.1", 4242), 0);
	assert_int_equal(stack_port(c), 4242);
	assert_int_equal(stack_bind(c, "10.0.0.1", 4243), -EINVAL);
	assert_int_equal(stack_send(a, "10.0.0.2", 0, echo, 12), 12);
	stack_settle(s);
	assert_true(stack_port(a) != 0 && stack_port(a) != 4242);
	assert_true(stack_recv(a, &g));
	assert_int_equal(g.len, 12);
	assert_int_equal(g.data[0], ICMP_ECHOREPLY);
	assert_int_equal(g.data[4] << 8 | g.data[5],
			 stack_port(a)); /* the identifier is the port */
	assert_memory_equal(g.data + 6, echo + 6, 6);
	assert_int_equal(csum_fold(csum_partial(g.data, 12, 0)), 0);
	assert_false(stack_recv(c, &g));
	assert_int_equal(stack_connect(c, "10.0.0.2", 0), 0);
	assert_int_equal(stack_send(c, NULL, 0, echo, 12), 12);
	stack_settle(s);
	assert_true(stack_recv(c, &g));
	assert_int_equal(g.data[4] << 8 | g.data[5], 4242);
	/* nothing but echo requests, and those whole */
	assert_int_equal(stack_send(a, "10.0.0.2", 0, echo, 7), -EINVAL);
	echo[1] = 1;
	assert_int_equal(stack_send(a, "10.0.0.2", 0, echo, 12), -EINVAL);
	echo[0] = ICMP_ECHOREPLY;
	echo[1] = 0;
	assert_int_equal(stack_send(a, "10.0.0.2", 0, echo, 12), -EINVAL);
	stack_close(a);
	stack_close(c);
}

static void test_ping_errors(void **state)
{
	struct stack *s = *state;
	struct sock *a = ping(s, s->a);
	uint8_t echo[12] = {ICMP_ECHO, 0, 0, 0, 0, 0, 0, 7, 'd', 'a', 't', 'a'};
	struct sockaddr_in sin;
	struct got g;

	assert_int_equal(stack_set(a, IPPROTO_IP, IP_RECVERR, 1), 0);
	/* nobody there: our own host says so */
	assert_int_equal(stack_send(a, "10.0.0.99", 0, echo, 12), 12);
	stack_run(s, 5 * NSEC_PER_SEC);
	assert_true(stack_take(a, &g));
	assert_int_equal(g.meta.kind, WEFT_DGRAM_ERRQ);
	assert_int_equal(g.meta.ee_errno, EHOSTUNREACH);
	assert_int_equal(g.meta.ee_type, ICMP_DEST_UNREACH);
	assert_int_equal(g.meta.ee_code, ICMP_HOST_UNREACH);
	memcpy(&sin, g.meta.offender, sizeof(sin));
	assert_int_equal(sin.sin_addr.s_addr, inet_addr("10.0.0.1"));
	assert_int_equal(g.len, 12);
	assert_int_equal(g.data[7], 7);
	assert_int_equal(stack_get(a, SOL_SOCKET, SO_ERROR), EHOSTUNREACH);
	/* too many hops */
	struct route_config via = {.dst = inet_addr("10.9.0.0"),
				   .dst_len = 16,
				   .gateway = inet_addr("10.0.0.2"),
				   .has_gateway = true,
				   .table = RT_TABLE_MAIN,
				   .type = RTN_UNICAST,
				   .protocol = RTPROT_STATIC,
				   .nl_flags = 0x400};

	assert_int_equal(route4_add(s->a, &via, NULL), 0);
	via.gateway = inet_addr("10.0.0.1");
	assert_int_equal(route4_add(s->b, &via, NULL), 0);
	s->b->ip4->conf_all.v[IPV4_DEVCONF_FORWARDING - 1] = 1;
	s->v1->in_dev->conf.v[IPV4_DEVCONF_FORWARDING - 1] = 1;
	stack_set(a, IPPROTO_IP, IP_TTL, 1);
	assert_int_equal(stack_send(a, "10.9.9.9", 0, echo, 12), 12);
	stack_settle(s);
	assert_true(stack_take(a, &g));
	assert_int_equal(g.meta.ee_type, ICMP_TIME_EXCEEDED);
	memcpy(&sin, g.meta.offender, sizeof(sin));
	assert_int_equal(sin.sin_addr.s_addr, inet_addr("10.0.0.2"));
	stack_close(a);
}

/* Identifiers are shared only by those who say so, and every one is found. */
static void test_ping_idents(void **state)
{
	struct stack *s = *state;
	enum { N = 3000 };
	struct sock **a = calloc(N, sizeof(*a)), *x = ping(s, s->a), *y = ping(s, s->a);
	uint8_t echo[8] = {ICMP_ECHO};

	assert_int_equal(stack_bind(x, "0.0.0.0", 77), 0);
	stack_set(x, SOL_SOCKET, SO_REUSEADDR, 0);
	assert_int_equal(stack_bind(y, "0.0.0.0", 77), -EADDRINUSE);
	for (unsigned i = 0; i < N; i++) {
		a[i] = ping(s, s->a);
		assert_int_equal(stack_send(a[i], "10.0.0.2", 0, echo, 8), 8);
		stack_settle(s);
	}
	for (unsigned i = 0; i < N; i++) {
		assert_int_equal(stack_drain(a[i]), 1);
		stack_close(a[i]);
	}
	stack_close(x);
	stack_close(y);
	free(a);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, stack_setup, stack_teardown)
	const struct CMUnitTest tests[] = {
		T(test_any_protocol), T(test_narrowed), T(test_hdrincl),
		T(test_icmp_filter),  T(test_options),	T(test_errors),
		T(test_router_alert), T(test_ping),	T(test_ping_errors),
		T(test_ping_idents),
	};
#undef T

	rcu_register_thread();
	int failed = cmocka_run_group_tests(tests, NULL, NULL);

	rcu_unregister_thread();
	return failed;
}
