/* How TCP connections begin and what is left of them: a real listener (b) against segments made by
 * hand, sent and seen through a packet socket (a) as from hosts that have no stack. */
#include "segments.h"

static void syn(uint16_t sport, uint32_t seq, const void *opts, unsigned len)
{
	send_seg(&(struct seg){
		.sport = sport, .seq = seq, .flags = SYN, .opts = opts, .opts_len = len});
}

static void flags(uint16_t sport, uint8_t f, uint32_t seq, uint32_t ack)
{
	send_seg(&(struct seg){.sport = sport, .seq = seq, .ack = ack, .flags = f});
}

/* What came back. */
struct seen {
	uint16_t dport, win;
	uint32_t seq, ack;
	uint8_t flags, opts[40];
	unsigned opts_len, len;
};

static bool next_seg(struct seen *s)
{
	struct got g;

	memset(s, 0, sizeof(*s));
	while (stack_recv(wire, &g)) {
		const uint8_t *ip = g.data + ETH_HLEN, *t = ip + (ip[0] & 15) * 4;
		unsigned hlen = (t[12] >> 4) * 4u;

		if (ip[9] != IPPROTO_TCP)
			continue;
		*s = (struct seen){.dport = get_be16(t + 2),
				   .seq = get_be32(t + 4),
				   .ack = get_be32(t + 8),
				   .flags = t[13],
				   .win = get_be16(t + 14),
				   .opts_len = hlen - 20,
				   .len = get_be16(ip + 2) - 20 - hlen};
		memcpy(s->opts, t + 20, s->opts_len);
		return true;
	}
	return false;
}

static struct seen expect(uint8_t f)
{
	struct seen s;

	assert_true(next_seg(&s));
	assert_int_equal(s.flags, f);
	return s;
}

/* Closes, and lets out what that sends. */
static void end(struct sock *sk)
{
	stack_close(sk);
	stack_settle(st);
}

static void drain(void)
{
	struct seen s;

	while (next_seg(&s))
		;
}

static void expect_none(void)
{
	struct seen s;

	assert_false(next_seg(&s));
}

/* The bytes of an option; NULL: it is not there. */
static const uint8_t *opt(const struct seen *s, uint8_t kind)
{
	for (unsigned i = 0; i < s->opts_len && s->opts[i];) {
		if (s->opts[i] == 1) {
			i++;
			continue;
		}
		if (s->opts[i] == kind)
			return s->opts + i + 2;
		i += s->opts[i + 1];
	}
	return NULL;
}

static uint64_t mib(enum ip4_mib m)
{
	return ip4_mib_sum(st->b, m);
}

static struct tcp_net *tn(void)
{
	return tcp_net(st->b);
}

static struct sock *listener(int backlog)
{
	struct sock *sk = stack_sock(st->b, AF_INET, SOCK_STREAM, 0);

	assert_int_equal(stack_set(sk, SOL_SOCKET, SO_REUSEADDR, 1), 0);
	assert_int_equal(stack_bind(sk, "0.0.0.0", PORT), 0);
	assert_int_equal(sock_listen(sk, backlog), 0);
	return sk;
}

/* From SYN to the last ACK; what the SYN-ACK said. */
static struct seen open_one(uint16_t sport, uint32_t seq)
{
	syn(sport, seq, NULL, 0);
	struct seen s = expect(SYNACK);

	flags(sport, ACK, seq + 1, s.seq + 1);
	return s;
}

static int setup(void **state)
{
	return segments_setup(state, htons(ETH_P_IP));
}

/* ---- the handshake ---- */

static void test_options(void **state)
{
	struct sock *l = listener(5), *c;
	struct sockaddr_in sin;
	size_t len = sizeof(sin);

	syn(1000, 100, SYN_ALL, 20);
	struct seen s = expect(SYNACK);

	assert_int_equal(s.ack, 101);
	assert_int_equal(get_be16(opt(&s, 2)), 1460);
	assert_non_null(opt(&s, 4));
	assert_int_equal(get_be32(opt(&s, 8) + 4), 1000);
	assert_true(*opt(&s, 3) > 0);
	assert_int_equal(sock_accept(l, &c), -EAGAIN);
	uint8_t ts[12] = {1, 1, 8, 10, 0, 0, 3, 0xe9};

	memcpy(ts + 8, opt(&s, 8), 4);
	send_seg(&(struct seg){.sport = 1000,
			       .seq = 101,
			       .ack = s.seq + 1,
			       .flags = ACK,
			       .opts = ts,
			       .opts_len = 12});
	assert_int_equal(sock_accept(l, &c), 0);
	assert_int_equal(tcp_sk(c)->node.state, TCP_ESTABLISHED);
	assert_int_equal(tcp_sk(c)->rx_opt.ts_recent, 1001);
	assert_int_equal(tcp_sk(c)->rx_opt.snd_wscale, 7);
	assert_int_equal(tcp_sk(c)->snd_wnd, 1000 << 7);
	assert_int_equal(tcp_sk(c)->rx_opt.mss_clamp, 1460);
	assert_int_equal(sock_getname(c, true, (struct sockaddr *)&sin, &len), 0);
	assert_int_equal(sin.sin_addr.s_addr, inet_addr(PEER));
	assert_int_equal(ntohs(sin.sin_port), 1000);
	assert_int_equal(mib(MIB_Tcp_PassiveOpens), 1);
	expect_none();
	/* without options there are none */
	s = open_one(1001, 5);
	assert_int_equal(s.opts_len, 4);
	/* an accepted one that its peer has reset has a name for accept(2) alone */
	flags(1001, RST, 6, 0);
	end(c);
	assert_int_equal(sock_accept(l, &c), 0);
	assert_int_equal(sock_getname(c, true, (struct sockaddr *)&sin, &len), -ENOTCONN);
	assert_int_equal(sock_accepted_name(c, (struct sockaddr *)&sin, &len), 0);
	assert_int_equal(ntohs(sin.sin_port), 1001);
	end(c);
	end(l);
}

static void test_request_ends(void **state)
{
	struct sock *l = listener(5), *c;
	struct seen s;

	/* the SYN again is answered again, and not more often than every half second */
	syn(1000, 100, NULL, 0);
	s = expect(SYNACK);
	syn(1000, 100, NULL, 0);
	assert_int_equal(expect(SYNACK).seq, s.seq);
	syn(1000, 100, NULL, 0);
	expect_none();
	assert_int_equal(mib(MIB_TcpExt_TCPACKSkippedSynRecv), 1);
	/* an ACK of something else is reset, and the request stays */
	flags(1000, ACK, 101, s.seq + 2);
	assert_int_equal(expect(RST).seq, s.seq + 2);
	/* out of the window: told what would be in it */
	stack_run(st, 600 * MS);
	flags(1000, ACK, 101 + 70000, s.seq + 1);
	assert_int_equal(expect(ACK).ack, 101);
	/* an RST in the window ends it */
	flags(1000, RST, 101, 0);
	assert_int_equal(mib(MIB_TcpExt_EmbryonicRsts), 1);
	flags(1000, ACK, 101, s.seq + 1);
	expect(RST);
	/* and so does a SYN, which is answered */
	syn(1001, 100, NULL, 0);
	s = expect(SYNACK);
	syn(1001, 150, NULL, 0);
	expect(RST | ACK);
	assert_int_equal(sock_accept(l, &c), -EAGAIN);
	assert_int_equal(tcp_sk(l)->listen ? tcp_accept_queue_len(tcp_sk(l)) : 1, 0);
	end(l);
	/* nobody listens */
	syn(1002, 1, NULL, 0);
	assert_int_equal(expect(RST | ACK).ack, 2);
}

static void test_synack_again(void **state)
{
	struct sock *l = listener(5);
	struct seen s, first;

	tn()->tcp_synack_retries = 3;
	syn(1000, 100, NULL, 0);
	first = expect(SYNACK);
	for (unsigned i = 0; i < 3; i++) {
		stack_run(st, (NSEC_PER_SEC << i) - (i ? 20 : 10) * MS);
		expect_none();
		stack_run(st, 20 * MS);
		s = expect(SYNACK);
		assert_int_equal(s.seq, first.seq);
	}
	stack_run(st, 9 * NSEC_PER_SEC);
	expect_none();
	assert_int_equal(mib(MIB_TcpExt_TCPTimeouts), 4);
	assert_int_equal(mib(MIB_Tcp_RetransSegs), 3);
	flags(1000, ACK, 101, first.seq + 1);
	expect(RST);
	end(l);
}

static void test_overflow(void **state)
{
	struct sock *l = listener(1), *c;
	struct seen s;

	open_one(1000, 1);
	syn(1002, 1, NULL, 0);
	s = expect(SYNACK);
	open_one(1001, 1); /* one more than the backlog */
	syn(1003, 1, NULL, 0);
	expect_none();
	assert_int_equal(mib(MIB_TcpExt_ListenOverflows), 1);
	assert_int_equal(mib(MIB_TcpExt_ListenDrops), 1);
	/* the last ACK finds no room either: it is as if it had been lost */
	flags(1002, ACK, 2, s.seq + 1);
	expect_none();
	assert_int_equal(mib(MIB_TcpExt_ListenOverflows), 2);
	assert_int_equal(sock_accept(l, &c), 0);
	end(c);
	expect(FIN | ACK);
	flags(1002, ACK, 2, s.seq + 1);
	assert_int_equal(tcp_accept_queue_len(tcp_sk(l)), 2);
	/* or the peer is told */
	tn()->tcp_abort_on_overflow = 1;
	assert_int_equal(sock_accept(l, &c), 0);
	end(c);
	expect(FIN | ACK);
	syn(1004, 1, NULL, 0);
	s = expect(SYNACK);
	open_one(1005, 1);
	flags(1004, ACK, 2, s.seq + 1);
	expect(RST);
	/* a listener that goes takes along what nobody has accepted */
	end(l);
	expect(RST | ACK);
	expect(RST | ACK);
	expect_none();
}

static void test_defer_accept(void **state)
{
	struct sock *l = listener(5), *c;
	struct seen s;

	assert_int_equal(stack_set(l, IPPROTO_TCP, TCP_DEFER_ACCEPT, 3), 0);
	s = open_one(1000, 1);
	assert_int_equal(sock_accept(l, &c), -EAGAIN);
	assert_int_equal(mib(MIB_TcpExt_TCPDeferAcceptDrop), 1);
	/* its SYN-ACK is not sent again while it waits */
	stack_run(st, 500 * MS);
	expect_none();
	send_seg(&(struct seg){
		.sport = 1000, .seq = 2, .ack = s.seq + 1, .flags = ACK, .data = "data", .len = 4});
	assert_int_equal(sock_accept(l, &c), 0);
	expect(ACK);
	end(c);
	end(l);
}

static void test_saved_syn(void **state)
{
	struct sock *l = listener(5), *c;
	uint8_t buf[128];
	size_t len = sizeof(buf);

	assert_int_equal(stack_set(l, IPPROTO_TCP, TCP_SAVE_SYN, 1), 0);
	open_one(1000, 77);
	assert_int_equal(sock_accept(l, &c), 0);
	assert_int_equal(sock_getsockopt(c, IPPROTO_TCP, TCP_SAVED_SYN, buf, &len), 0);
	assert_int_equal(len, 40);
	assert_int_equal(buf[0], 0x45);
	assert_int_equal(get_be16(buf + 20), 1000);
	assert_int_equal(get_be32(buf + 24), 77);
	end(c);
	end(l);
}

/* ---- cookies ---- */

static void test_cookie(void **state)
{
	struct sock *l = listener(5), *c;
	unsigned used = pool_in_use(st->weft->pool);
	struct seen s;

	tn()->tcp_syncookies = 2;
	syn(1000, 100, SYN_ALL, 20);
	s = expect(SYNACK);
	assert_int_equal(mib(MIB_TcpExt_SyncookiesSent), 1);
	assert_int_equal(pool_in_use(st->weft->pool), used);
	uint8_t ts[12] = {1, 1, 8, 10, 0, 0, 3, 0xe9};

	memcpy(ts + 8, opt(&s, 8), 4);
	struct seg a = {.sport = 1000,
			.seq = 101,
			.ack = s.seq + 1,
			.flags = ACK,
			.opts = ts,
			.opts_len = 12};

	send_seg(&a);
	assert_int_equal(sock_accept(l, &c), 0);
	/* all that the SYN said has come back */
	assert_int_equal(tcp_sk(c)->rx_opt.mss_clamp, 1460);
	assert_true(tcp_sk(c)->rx_opt.sack_ok);
	assert_true(tcp_sk(c)->rx_opt.wscale_ok);
	assert_int_equal(tcp_sk(c)->rx_opt.snd_wscale, 7);
	assert_int_equal(tcp_sk(c)->rx_opt.rcv_wscale, *opt(&s, 3));
	assert_int_equal(tcp_sk(c)->rx_opt.ts_recent, 1001);
	assert_int_equal(mib(MIB_TcpExt_SyncookiesRecv), 1);
	end(c);
	/* a number made up is none */
	a.sport = 1001;
	drain();
	send_seg(&a);
	expect(RST);
	assert_int_equal(mib(MIB_TcpExt_SyncookiesFailed), 1);
	/* nor is an old one */
	syn(1002, 100, NULL, 0);
	s = expect(SYNACK);
	assert_int_equal(s.opts_len, 4);
	stack_run(st, 121 * NSEC_PER_SEC);
	drain();
	flags(1002, ACK, 101, s.seq + 1);
	expect(RST);
	/* a minute is not too long */
	syn(1003, 100, NULL, 0);
	s = expect(SYNACK);
	stack_run(st, 59 * NSEC_PER_SEC);
	flags(1003, ACK, 101, s.seq + 1);
	assert_int_equal(sock_accept(l, &c), 0);
	assert_int_equal(tcp_sk(c)->rx_opt.mss_clamp, 536);
	end(c);
	end(l);
}

/* However many SYNs, memory is bounded, and who means it gets in. */
static void test_flood(void **state)
{
	struct sock *l = listener(16), *c;
	unsigned n = 0, used = pool_in_use(st->weft->pool);
	struct seen s;

	for (unsigned i = 0; i < 20000; i++) {
		syn((uint16_t)(2000 + i), i * 7919, SYN_ALL, 20);
		while (next_seg(&s))
			n += s.flags == SYNACK;
	}
	assert_int_equal(n, 20000);
	assert_int_equal(mib(MIB_TcpExt_SyncookiesSent), 20000 - 17);
	assert_true(pool_in_use(st->weft->pool) <= used);
	open_one(1000, 1);
	assert_int_equal(sock_accept(l, &c), 0);
	end(c);
	/* without cookies they are dropped instead */
	tn()->tcp_syncookies = 0;
	drain();
	syn(1001, 1, NULL, 0);
	expect_none();
	assert_int_equal(mib(MIB_TcpExt_TCPReqQFullDrop), 1);
	end(l);
}

/* ---- Fast Open ---- */

static const uint8_t fo_ask[] = {34, 2, 1, 1};

static void fo_syn(uint16_t sport, const uint8_t *cookie, const char *data)
{
	uint8_t o[12] = {34, 10};

	memcpy(o + 2, cookie, 8);
	o[10] = o[11] = 1;
	send_seg(&(struct seg){.sport = sport,
			       .seq = 100,
			       .flags = SYN,
			       .opts = o,
			       .opts_len = 12,
			       .data = data,
			       .len = (unsigned)strlen(data)});
}

static void test_fastopen(void **state)
{
	struct sock *l = listener(5), *c, *c2;
	uint8_t cookie[8];
	char buf[16];
	struct seen s;

	tn()->tcp_fastopen = 3;
	assert_int_equal(stack_set(l, IPPROTO_TCP, TCP_FASTOPEN, 2), 0);
	syn(1000, 100, fo_ask, 4);
	s = expect(SYNACK);
	assert_non_null(opt(&s, 34));
	memcpy(cookie, opt(&s, 34), 8);
	assert_int_equal(mib(MIB_TcpExt_TCPFastOpenCookieReqd), 1);
	flags(1000, RST, 101, 0);
	fo_syn(1001, cookie, "early");
	s = expect(SYNACK);
	assert_int_equal(s.ack, 106);
	assert_null(opt(&s, 34));
	assert_int_equal(sock_accept(l, &c), 0);
	assert_int_equal(c->ops->stream->recv(c, buf, sizeof(buf), 0), 5);
	assert_memory_equal(buf, "early", 5);
	/* its SYN-ACK goes again, by its own timer */
	stack_run(st, 1100 * MS);
	assert_int_equal(expect(SYNACK).seq, s.seq);
	/* a second has place, a third has not */
	fo_syn(1002, cookie, "x");
	assert_int_equal(expect(SYNACK).ack, 102);
	fo_syn(1003, cookie, "x");
	assert_int_equal(expect(SYNACK).ack, 101);
	assert_int_equal(mib(MIB_TcpExt_TCPFastOpenListenOverflow), 1);
	/* the first is acknowledged: its place is free */
	flags(1001, ACK, 106, s.seq + 1);
	assert_int_equal(tcp_sk(c)->node.state, TCP_ESTABLISHED);
	fo_syn(1004, cookie, "y");
	assert_int_equal(expect(SYNACK).ack, 102);
	/* one that was accepted and reset keeps its place for a minute */
	assert_int_equal(sock_accept(l, &c2), 0);
	flags(1002, RST, 102, 0);
	assert_int_equal(tcp_sk(c2)->node.state, TCP_CLOSE);
	fo_syn(1005, cookie, "z");
	assert_int_equal(expect(SYNACK).ack, 101);
	/* a wrong cookie: no data, but the right cookie */
	cookie[0] ^= 1;
	tn()->tcp_fastopen = 3;
	assert_int_equal(stack_set(l, IPPROTO_TCP, TCP_FASTOPEN, 9), 0);
	fo_syn(1006, cookie, "z");
	s = expect(SYNACK);
	assert_int_equal(s.ack, 101);
	cookie[0] ^= 1;
	assert_memory_equal(opt(&s, 34), cookie, 8);
	assert_int_equal(mib(MIB_TcpExt_TCPFastOpenPassiveFail), 1);
	assert_int_equal(mib(MIB_TcpExt_TCPFastOpenPassive), 3);
	end(c);
	end(c2);
	end(l);
}

/* ---- TIME-WAIT ---- */

/* A connection that b has closed first; the numbers that are next: of b, *snd; of the peer, 3. */
static void time_wait(struct sock *l, uint16_t sport, uint32_t *snd)
{
	struct sock *c;
	struct seen s = open_one(sport, 1);

	assert_int_equal(sock_accept(l, &c), 0);
	end(c);
	expect(FIN | ACK);
	flags(sport, FIN | ACK, 2, s.seq + 2);
	expect(ACK);
	*snd = s.seq + 2;
}

static void test_time_wait(void **state)
{
	struct sock *l = listener(5);
	uint32_t snd;
	struct seen s;

	time_wait(l, 1000, &snd);
	assert_int_equal(tn()->n_tw, 1);
	/* the FIN again is acknowledged again */
	flags(1000, FIN | ACK, 2, snd);
	s = expect(ACK);
	assert_int_equal(s.seq, snd);
	assert_int_equal(s.ack, 3);
	/* an old SYN is not a new one */
	stack_run(st, NSEC_PER_SEC);
	syn(1000, 1, NULL, 0);
	expect(ACK);
	/* a new one begins behind all that was */
	syn(1000, 1000, NULL, 0);
	s = expect(SYNACK);
	assert_int_equal(s.seq, snd + 65535 + 2);
	assert_int_equal(tn()->n_tw, 0);
	flags(1000, RST, 1001, 0);
	/* an RST ends it, unless that is forbidden */
	time_wait(l, 1001, &snd);
	flags(1001, RST, 3, 0);
	assert_int_equal(tn()->n_tw, 0);
	tn()->tcp_rfc1337 = 1;
	time_wait(l, 1002, &snd);
	flags(1002, RST, 3, 0);
	assert_int_equal(tn()->n_tw, 1);
	/* and time does */
	stack_run(st, 61 * NSEC_PER_SEC);
	assert_int_equal(tn()->n_tw, 0);
	/* no more than so many */
	tn()->tcp_max_tw_buckets = 0;
	time_wait(l, 1003, &snd);
	assert_int_equal(tn()->n_tw, 0);
	assert_int_equal(mib(MIB_TcpExt_TCPTimeWaitOverflow), 1);
	end(l);
}

/* ---- the calls ---- */

static void test_bind_errors(void **state)
{
	struct sock *x = stack_sock(st->b, AF_INET, SOCK_STREAM, 0);
	struct sock *y = stack_sock(st->b, AF_INET, SOCK_STREAM, 0);
	struct sock *out;

	x->uid = 1000;
	assert_int_equal(stack_bind(x, "10.0.0.2", PORT), -EACCES);
	st->b->ip4->unprivileged_port_start = PORT;
	assert_int_equal(stack_bind(x, "10.0.0.9", PORT), -EADDRNOTAVAIL);
	assert_int_equal(stack_bind(x, "10.0.0.2", PORT), 0);
	assert_int_equal(stack_bind(x, "10.0.0.2", 81), -EINVAL);
	assert_int_equal(stack_bind(y, "0.0.0.0", PORT), -EADDRINUSE);
	assert_int_equal(sock_accept(x, &out), -EINVAL);
	assert_int_equal(sock_listen(x, 5), 0);
	assert_int_equal(sock_listen(x, 7), 0);
	assert_int_equal(tcp_listen_backlog(tcp_sk(x)), 7);
	/* two that may share an address still cannot both listen */
	end(x);
	x = stack_sock(st->b, AF_INET, SOCK_STREAM, 0);
	assert_int_equal(stack_set(x, SOL_SOCKET, SO_REUSEADDR, 1), 0);
	assert_int_equal(stack_set(y, SOL_SOCKET, SO_REUSEADDR, 1), 0);
	assert_int_equal(stack_bind(x, "0.0.0.0", PORT), 0);
	assert_int_equal(stack_bind(y, "0.0.0.0", PORT), 0);
	assert_int_equal(sock_listen(x, 5), 0);
	assert_int_equal(sock_listen(y, 5), -EADDRINUSE);
	end(x);
	assert_int_equal(sock_listen(y, 5), 0);
	end(y);
	/* listen(2) alone takes a port */
	x = stack_sock(st->b, AF_INET, SOCK_STREAM, 0);
	assert_int_equal(sock_listen(x, 5), 0);
	assert_true(stack_port(x) >= 1024);
	end(x);
}

static void test_connect_errors(void **state)
{
	struct sock *x = stack_sock(st->a, AF_INET, SOCK_STREAM, 0), *l, *c;
	struct sockaddr un = {.sa_family = AF_UNSPEC};
	uint16_t port;

	assert_int_equal(stack_connect(x, "224.0.0.1", PORT), -ENETUNREACH);
	assert_int_equal(stack_connect(x, "10.0.0.255", PORT), -ENETUNREACH);
	assert_int_equal(stack_connect(x, "99.0.0.1", PORT), -ENETUNREACH);
	assert_int_equal(stack_connect(x, "10.0.0.2", PORT), -EINPROGRESS);
	assert_int_equal(stack_connect(x, "10.0.0.2", PORT), -EALREADY);
	stack_settle(st);
	assert_int_equal(stack_connect(x, "10.0.0.2", PORT), -ECONNREFUSED);
	/* the socket is good for another try */
	l = listener(5);
	assert_int_equal(stack_connect(x, "10.0.0.2", PORT), -EINPROGRESS);
	stack_settle(st);
	assert_int_equal(stack_connect(x, "10.0.0.2", PORT), 0);
	assert_int_equal(stack_connect(x, "10.0.0.2", PORT), -EISCONN);
	assert_int_equal(sock_accept(l, &c), 0);
	port = stack_port(x);
	assert_int_equal(stack_port(l), PORT);
	/* undone by AF_UNSPEC: the peer is reset, the port free */
	assert_int_equal(sock_connect(x, &un, sizeof(un)), 0);
	stack_settle(st);
	assert_int_equal(sock_take_error(c), -ECONNRESET);
	assert_int_equal(sock_take_error(x), -ECONNRESET);
	assert_int_equal(stack_bind(x, "10.0.0.1", port), 0);
	assert_int_equal(stack_connect(l, "10.0.0.1", 1), -EISCONN);
	end(x);
	end(c);
	end(l);
}

/* By SO_REUSEPORT connections spread over listeners, and one that closes leaves the others. */
static void test_reuseport(void **state)
{
	struct sock *l[4], *c;
	unsigned n[4] = {0};

	for (unsigned i = 0; i < 4; i++) {
		l[i] = stack_sock(st->b, AF_INET, SOCK_STREAM, 0);
		assert_int_equal(stack_set(l[i], SOL_SOCKET, SO_REUSEPORT, 1), 0);
		assert_int_equal(stack_bind(l[i], "0.0.0.0", PORT), 0);
		assert_int_equal(sock_listen(l[i], 200), 0);
	}
	for (unsigned i = 0; i < 100; i++)
		open_one((uint16_t)(1000 + i), i);
	for (unsigned i = 0; i < 4; i++) {
		while (!sock_accept(l[i], &c)) {
			n[i]++;
			end(c);
		}
		assert_in_range(n[i], 10, 50);
	}
	assert_int_equal(n[0] + n[1] + n[2] + n[3], 100);
	drain();
	for (unsigned i = 0; i < 4; i++) {
		syn((uint16_t)(2000 + i), i, NULL, 0);
		expect(SYNACK);
		end(l[i]);
	}
	syn(3000, 1, NULL, 0);
	expect(RST | ACK);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, setup, segments_teardown)
	const struct CMUnitTest tests[] = {
		TEST(options),	    TEST(request_ends), TEST(synack_again), TEST(overflow),
		TEST(defer_accept), TEST(saved_syn),	TEST(cookie),	    TEST(flood),
		TEST(fastopen),	    TEST(time_wait),	TEST(bind_errors),  TEST(connect_errors),
		TEST(reuseport),
	};
	rcu_register_thread();
	int err = cmocka_run_group_tests(tests, NULL, NULL);

	rcu_unregister_thread();
	return err;
}
