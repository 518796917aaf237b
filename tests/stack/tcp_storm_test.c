/* Storms of segments from everywhere, while a real connection works and real clients come: memory
 * stays bounded, nobody who means it is harmed, and at the end nothing is left. */
#include "segments.h"

#define BURST 32

struct storm {
	struct rng rng;
	struct sock *l, *c, *s; /* a listener; a connection's two ends */
	unsigned sent, echoed, connected;
	size_t conns; /* most that the table has held */
	unsigned pkts;
};

static size_t n_conns(void)
{
	long before, after;
	unsigned long n;

	rcu_read_lock();
	cds_lfht_count_nodes(st->weft->tcp->conns, &before, &n, &after);
	rcu_read_unlock();
	return n;
}

static void close_both(struct sock *a, struct sock *b)
{
	stack_close(a);
	stack_close(b);
	stack_settle(st);
}

/* A client that means it. */
static struct sock *come(struct storm *x, struct sock **server)
{
	struct sock *c = stack_sock(st->a, AF_INET, SOCK_STREAM, 0);

	assert_int_equal(stack_connect(c, "10.0.0.2", PORT), -EINPROGRESS);
	stack_settle(st);
	assert_int_equal(stack_connect(c, "10.0.0.2", PORT), 0);
	assert_int_equal(sock_accept(x->l, server), 0);
	x->connected++;
	return c;
}

/* A question and its answer. */
static void echo(struct storm *x, struct sock *c, struct sock *s)
{
	char q[1000], got[1000];

	for (unsigned i = 0; i < sizeof(q); i++)
		q[i] = (char)rng_u32(&x->rng);
	assert_int_equal(stack_send(c, NULL, 0, q, sizeof(q)), sizeof(q));
	stack_settle(st);
	assert_int_equal(s->ops->stream->recv(s, got, sizeof(got), 0), sizeof(got));
	assert_int_equal(stack_send(s, NULL, 0, got, sizeof(got)), sizeof(got));
	stack_settle(st);
	memset(got, 0, sizeof(got));
	assert_int_equal(c->ops->stream->recv(c, got, sizeof(got), 0), sizeof(got));
	assert_memory_equal(q, got, sizeof(q));
	x->echoed++;
}

static void storm_start(struct storm *x, int backlog)
{
	*x = (struct storm){0};
	rng_seed(&x->rng, 5);
	x->l = stack_sock(st->b, AF_INET, SOCK_STREAM, 0);
	assert_int_equal(stack_bind(x->l, "0.0.0.0", PORT), 0);
	assert_int_equal(sock_listen(x->l, backlog), 0);
	x->c = come(x, &x->s);
	echo(x, x->c, x->s);
}

/* Bursts of what `make` makes; after each hundredth, real work, and half a millisecond passes. */
static void blow(struct storm *x, unsigned n, void (*make)(struct storm *x, struct seg *s))
{
	while (x->sent < n) {
		for (unsigned i = 0; i < BURST; i++, x->sent++) {
			struct seg s = {0};

			make(x, &s);
			put_seg(&s);
		}
		stack_settle(st);
		x->conns = MAX(x->conns, n_conns());
		x->pkts = MAX(x->pkts, pool_in_use(st->weft->pool));
		if (x->sent / BURST % 100)
			continue;
		struct sock *s, *c = come(x, &s);

		echo(x, c, s);
		echo(x, x->c, x->s);
		close_both(c, s);
		stack_run(st, MS / 2);
	}
}

static void storm_end(struct storm *x)
{
	echo(x, x->c, x->s);
	close_both(x->c, x->s);
	stack_close(x->l);
	stack_run(st, 2000 * NSEC_PER_SEC); /* an orphan is patient */
	assert_int_equal(n_conns(), 0);
}

/* From anywhere but here and nowhere. */
static uint32_t anywhere(struct storm *x)
{
	return htonl(0x14000000 | rng_below(&x->rng, 1 << 24));
}

static void make_syn(struct storm *x, struct seg *s)
{
	s->src = anywhere(x);
	s->sport = (uint16_t)rng_u32(&x->rng);
	s->seq = rng_u32(&x->rng);
	s->flags = SYN;
	s->opts = SYN_ALL;
	s->opts_len = 20;
}

static void test_syns(void **state)
{
	struct storm x;

	storm_start(&x, 128);
	blow(&x, 1000000, make_syn);
	assert_true(x.conns < 128 + 2 + 2 * x.connected);
	assert_true(x.pkts < 200);
	assert_true(ip4_mib_sum(st->b, MIB_TcpExt_SyncookiesSent) > 999000);
	assert_true(x.connected > 300);
	storm_end(&x);
}

/* Anything, at the port of the listener: also as if from the connection's peer. */
static void make_any(struct storm *x, struct seg *s)
{
	static const uint8_t kinds[] = {RST,	   RST | ACK, FIN, FIN | ACK, SYN | FIN,
					SYN | RST, ACK,	      0,   0xff};
	struct tcp_sock *tp = tcp_sk(x->c);

	s->src = anywhere(x);
	s->sport = (uint16_t)rng_u32(&x->rng);
	s->seq = rng_u32(&x->rng);
	s->ack = rng_u32(&x->rng);
	s->flags = kinds[rng_below(&x->rng, sizeof(kinds))];
	s->win = (uint16_t)rng_u32(&x->rng);
	if (rng_below(&x->rng, 4))
		return;
	/* blind: who guesses all but the number (RFC 5961) */
	s->src = tp->in.saddr;
	s->sport = ntohs(tp->in.sport);
	/* far from the window, for a guess in it is no longer blind */
	s->seq = tp->write_seq + (1u << 30) + rng_below(&x->rng, 1u << 31);
}

static void test_anything(void **state)
{
	struct storm x;

	storm_start(&x, 16);
	blow(&x, 300000, make_any);
	assert_true(x.conns < 16 + 2 + 2 * x.connected);
	assert_true(x.pkts < 200);
	assert_int_equal(tcp_sk(x.c)->node.state, TCP_ESTABLISHED);
	assert_int_equal(tcp_sk(x.s)->node.state, TCP_ESTABLISHED);
	storm_end(&x);
}

/* RSTs in the window but not at its left edge, and SYNs: each is challenged, few are answered. */
static void make_close(struct storm *x, struct seg *s)
{
	struct tcp_sock *tp = tcp_sk(x->s);

	s->src = tp->in.daddr;
	s->sport = ntohs(tp->in.dport);
	s->seq = tp->rcv_nxt + 1 + rng_below(&x->rng, 20000);
	s->flags = rng_below(&x->rng, 2) ? RST : SYN;
}

static void test_blind(void **state)
{
	struct storm x;

	storm_start(&x, 16);
	uint64_t before = ip4_mib_sum(st->b, MIB_TcpExt_TCPChallengeACK);

	blow(&x, 100000, make_close);
	assert_int_equal(tcp_sk(x.s)->node.state, TCP_ESTABLISHED);
	/* at most tcp_challenge_ack_limit a second, and every one of them is limited by itself */
	assert_true(ip4_mib_sum(st->b, MIB_TcpExt_TCPChallengeACK) - before < 2000);
	storm_end(&x);
}

/* A peer opens, says FIN and is never heard of again, as often as there are ports. */
static void test_half_closed(void **state)
{
	struct storm x;
	unsigned n = 0;

	storm_start(&x, 1024);
	for (unsigned i = 0; i < 20000; i++) {
		struct seg s = {.sport = (uint16_t)(10000 + i), .seq = 100, .flags = SYN};
		struct tcp_node *node;
		struct sock *c;

		send_seg(&s);
		rcu_read_lock();
		node = tcp_lookup(st->weft->tcp, st->b, inet_addr("10.0.0.2"), htons(PORT),
				  inet_addr(PEER), htons(s.sport), 0);
		rcu_read_unlock();
		assert_non_null(node);
		s.seq = 101;
		s.ack = container_of(node, struct tcp_req, node)->snt_isn + 1;
		s.flags = ACK;
		send_seg(&s);
		s.flags = FIN | ACK;
		send_seg(&s);
		assert_int_equal(sock_accept(x.l, &c), 0);
		assert_int_equal(tcp_sk(c)->node.state, TCP_CLOSE_WAIT);
		assert_int_equal(stack_send(c, NULL, 0, "bye", 3), 3);
		stack_close(c);
		n++;
	}
	stack_settle(st);
	echo(&x, x.c, x.s);
	/* orphans are few: the others were reset at once */
	assert_true(st->weft->tcp->n_orphans <= (unsigned)st->weft->tcp->max_orphans);
	assert_int_equal(n, 20000);
	storm_end(&x);
	assert_int_equal(st->weft->tcp->n_orphans, 0);
}

static int setup(void **state)
{
	return segments_setup(state, 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, setup, segments_teardown)
	const struct CMUnitTest tests[] = {TEST(syns), TEST(anything), TEST(blind),
					   TEST(half_closed)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
