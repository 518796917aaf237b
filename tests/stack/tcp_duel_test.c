/*
 * Two ends against each other over a bad link: connections between two namespaces, with random
 * calls on both sides, random settings, and a link that loses, doubles, reorders, corrupts and
 * delays what it carries.
 *
 *	   a (10.0.0.1)                              b (10.0.0.2)
 *	  [ f0 on v0 ]------------ veth ------------[ v1 ]
 *
 * What is demanded: every byte arrives once and in its place, or the end that misses it is told of
 * an error, which must have a cause; and tcp_audit() of every connection after every step. At the
 * end nothing is left: no socket, no port, no packet. A seed that fails says so and can be run
 * alone: TCP_DUEL_SEED=n; TCP_DUEL_RUNS=n runs that many.
 */
#include "stack.h"

#include <errno.h>

#include "tcp/tcp_audit.h"

#define RUNS	 40
#define STEPS	 400
#define N_CONNS	 6
#define PORT	 80
#define MS	 NSEC_PER_MSEC
#define N_URGENT 64
#define CHUNK	 70000

struct end {
	struct sock *sk;
	uint64_t sent, got;	   /* bytes */
	uint64_t urgent[N_URGENT]; /* where in what was sent */
	unsigned n_urgent, salt;
	uint32_t edge; /* right edge of the window that was offered */
	bool has_edge, shut, eof, closed, failed;
};

struct conn {
	bool used, accepted, inexact; /* inexact: urgent bytes are not in the stream */
	bool cut;		      /* one end was ended before all was read: errors are due */
	uint16_t port;
	unsigned from; /* which namespace it was made in */
	struct end e[2];
};

struct duel {
	struct stack s;
	struct netdev *f0;
	struct sock *l[2];
	struct conn c[N_CONNS];
	struct rng rng;
	uint64_t seed;
	bool bad_link;
	uint64_t bytes, errors;
};

static uint64_t seed_now;
static uint8_t buf[CHUNK];

#define CHECK(cond)                                                                                \
	do {                                                                                       \
		if (!(cond)) {                                                                     \
			print_error("seed %llu: %s:%d: %s\n", (unsigned long long)seed_now,        \
				    __func__, __LINE__, #cond);                                    \
			fail();                                                                    \
		}                                                                                  \
	} while (0)

static unsigned below(struct duel *d, unsigned n)
{
	return (unsigned)rng_below(&d->rng, n);
}

/* No byte is like the one before it, and nothing repeats for 2^24 bytes. */
static uint8_t byte_at(unsigned salt, uint64_t k)
{
	return (uint8_t)(k * 167 + (k >> 8) * 59 + (k >> 16) * 101 + salt);
}

/* ---- the world ---- */

static void sysctls(struct duel *d, struct net *net)
{
	struct tcp_net *tn = tcp_net(net);

	tn->tcp_timestamps = below(d, 4) != 0;
	tn->tcp_sack = below(d, 4) != 0;
	tn->tcp_dsack = below(d, 4) != 0;
	tn->tcp_window_scaling = below(d, 4) != 0;
	tn->tcp_ecn = (int)below(d, 3);
	tn->tcp_frto = below(d, 4) ? 2 : 0;
	tn->tcp_early_retrans = below(d, 4) ? 3 : 0;
	tn->tcp_recovery = below(d, 4) ? 1 : (int)below(d, 8);
	tn->tcp_moderate_rcvbuf = below(d, 3) != 0;
	tn->tcp_slow_start_after_idle = below(d, 2) != 0;
	tn->tcp_tso_win_divisor = (int)below(d, 4);
	tn->tcp_comp_sack_nr = below(d, 2) ? 44 : 0;
	tn->tcp_stdurg = 0;
	if (!below(d, 3))
		tn->tcp_rmem[2] = 20000 + (int)below(d, 100000);
	if (!below(d, 3))
		tn->tcp_wmem[2] = 20000 + (int)below(d, 100000);
}

static void neighbour(struct duel *d, struct netdev *dev, const char *addr, const uint8_t *mac)
{
	uint32_t key = inet_addr(addr);
	int err;
	struct neigh *n = neigh_get(arp_table(d->s.weft), dev, &key, &err);

	assert_non_null(n);
	neigh_update(n, mac, NUD_PERMANENT, NEIGH_UPDATE_ADMIN | NEIGH_UPDATE_OVERRIDE);
}

static void link_up(struct duel *d)
{
	struct stack *s = &d->s;
	struct dev_new n = {.net = s->a, .name = "v0", .peer_net = s->b, .peer_name = "v1"};

	assert_int_equal(dev_create(s->weft->dev, &veth_kind, &n, &s->v0, NULL), 0);
	s->v1 = s->v0->ops->companion(s->v0);
	stack_up(s->v0, true);
	stack_up(s->v1, true);
	d->f0 = s->v0;
	d->bad_link = below(d, 5) != 0;
	if (d->bad_link) {
		unsigned rate = below(d, 3) ? 20000 : 100000;
		const struct stack_fault a = {.loss = below(d, rate),
					      .dup = below(d, rate),
					      .reorder = below(d, rate),
					      .corrupt = below(d, rate / 4),
					      .delay = below(d, 3) ? below(d, 40000) : 0,
					      .jitter = below(d, 2) ? below(d, 10000) : 0,
					      .limit = 1000,
					      .direction = 3,
					      .seed = d->seed};

		d->f0 = stack_fault(s, &a);
	}
	stack_addr(d->f0, "10.0.0.1");
	stack_addr(s->v1, "10.0.0.2");
	neighbour(d, d->f0, "10.0.0.2", s->v1->addr);
	neighbour(d, s->v1, "10.0.0.1", d->f0->addr);
	if (!below(d, 3))
		s->v1->features &= ~(uint32_t)(DEV_F_TSO4 | DEV_F_GSO);
	if (!below(d, 3))
		d->f0->features &= ~(uint32_t)(DEV_F_TSO4 | DEV_F_GSO);
}

static void world_new(struct duel *d)
{
	struct weft_config c = {.seed = d->seed,
				.now = NSEC_PER_SEC,
				.wall = 1700000000ll * 1000000000,
				.n_packets = 16384};
	int err;

	d->s.now = c.now;
	d->s.weft = weft_new(&c, &err);
	assert_non_null(d->s.weft);
	d->s.a = net_new(d->s.weft->nets, &err);
	d->s.b = net_new(d->s.weft->nets, &err);
	assert_true(d->s.a && d->s.b);
	stack_up(d->s.a->loopback, true);
	stack_up(d->s.b->loopback, true);
	link_up(d);
	sysctls(d, d->s.a);
	sysctls(d, d->s.b);
	stack_run(&d->s, NSEC_PER_SEC);
	for (unsigned i = 0; i < 2; i++) {
		d->l[i] = stack_sock(i ? d->s.b : d->s.a, AF_INET, SOCK_STREAM, 0);
		assert_int_equal(stack_bind(d->l[i], "0.0.0.0", PORT), 0);
		assert_int_equal(sock_listen(d->l[i], 10), 0);
	}
}

/* ---- what must hold ---- */

static void check_window(struct end *e)
{
	const struct tcp_sock *tp = tcp_sk(e->sk);
	uint32_t edge = tp->rcv_wup + tp->rcv_wnd;

	if (TCPF(tp->node.state) & (TCPF(TCP_CLOSE) | TCPF(TCP_SYN_SENT)))
		return;
	/* without memory nothing may be offered, and that is said so */
	if (e->has_edge && tp->rcv_wnd)
		CHECK(!before(edge, e->edge));
	e->edge = edge;
	e->has_edge = true;
}

static void audit(struct duel *d)
{
	const struct tcp_sock *bad;
	const char *wrong = tcp_audit_all(d->s.weft->tcp, &bad);

	if (wrong) {
		print_error("seed %llu, t=%llu: state %u ca %u sack %d: %s\n",
			    (unsigned long long)seed_now, (unsigned long long)d->s.now,
			    bad->node.state, bad->ca_state, bad->rx_opt.sack_ok, wrong);
		fail();
	}
	for (unsigned i = 0; i < N_CONNS; i++) {
		for (unsigned k = 0; d->c[i].used && k < 2; k++) {
			struct end *e = &d->c[i].e[k];

			if (!e->sk)
				continue;
			wrong = tcp_audit(tcp_sk(e->sk));
			if (wrong)
				print_error("seed %llu: conn %u.%u: %s\n",
					    (unsigned long long)seed_now, i, k, wrong);
			CHECK(!wrong);
			check_window(e);
		}
	}
}

static void let(struct duel *d, uint64_t ns)
{
	if (ns)
		stack_run(&d->s, ns);
	else
		stack_settle(&d->s);
	audit(d);
}

/* What keeps the others waiting. */
static void tell(const struct duel *d)
{
	struct cds_lfht_iter it;
	struct cds_lfht_node *at;

	cds_lfht_first(d->s.weft->tcp->conns, &it);
	while ((at = cds_lfht_iter_get_node(&it))) {
		const struct tcp_node *n = container_of(at, struct tcp_node, node);
		print_error("node %u %x:%u\n", n->state, n->laddr, ntohs(n->lport));
		cds_lfht_next(d->s.weft->tcp->conns, &it);
	}
	for (unsigned i = 0; i < 2 * N_CONNS; i++) {
		const struct conn *c = &d->c[i / 2];
		const struct end *e = &c->e[i % 2];
		const struct tcp_sock *tp = e->sk ? tcp_sk(e->sk) : NULL;

		if (!c->used || !tp)
			continue;
		print_error("conn %u.%u state %u sent %llu got %llu of %llu%s%s: una %u nxt %u "
			    "write %u wnd %u in flight %u cwnd %u pending %u rto %llu ms, rcv_nxt "
			    "%u copied %u wnd %u rmem %zu of %zu, ofo %u\n",
			    i / 2, i % 2, tp->node.state, (unsigned long long)e->sent,
			    (unsigned long long)e->got, (unsigned long long)c->e[!(i % 2)].sent,
			    e->shut ? " shut" : "", e->eof ? " eof" : "", tp->snd_una, tp->snd_nxt,
			    tp->write_seq, tp->snd_wnd, tcp_packets_in_flight(tp), tp->snd_cwnd,
			    tp->icsk_pending, (unsigned long long)(tp->rto / MS), tp->rcv_nxt,
			    tp->copied_seq, tp->rcv_wnd, tp->rmem, e->sk->rcvbuf, tp->ofo.n);
	}
}

/* ---- one end's calls ---- */

static void close_end(struct duel *d, struct conn *c, unsigned k)
{
	struct end *e = &c->e[k];

	if (!e->sk)
		return;
	/* Who closes without having read all, or while the other may still send, gives cause for an
	 * RST. */
	if (!e->eof)
		c->cut = true;
	stack_close(e->sk);
	e->sk = NULL;
	e->closed = true;
	e->shut = true;
}

static void failed(struct duel *d, struct conn *c, unsigned k, int err)
{
	if (!c->cut && err != -EPIPE)
		print_error("seed %llu: error %d without a cause\n", (unsigned long long)seed_now,
			    err);
	if (!c->cut)
		tell(d);
	CHECK(c->cut);
	c->e[k].failed = true;
	c->e[k].eof = true;
	d->errors++;
}

static void write_end(struct duel *d, struct conn *c, unsigned k, bool urgent)
{
	struct end *e = &c->e[k];
	static const unsigned sizes[] = {1, 10, 100, 1460, 5000, CHUNK};
	size_t len = 1 + below(d, sizes[below(d, ARRAY_SIZE(sizes))]);
	int flags = (below(d, 4) ? 0 : MSG_MORE) | (below(d, 10) ? 0 : MSG_EOR);

	if (!e->sk || e->shut || e->failed)
		return;
	for (size_t i = 0; i < len; i++)
		buf[i] = byte_at(e->salt, e->sent + i);
	if (urgent && e->n_urgent < N_URGENT)
		flags |= MSG_OOB;
	const struct sock_msg m = {.data = buf, .len = len, .flags = flags};
	ssize_t n = sock_sendmsg(e->sk, &m);

	if (n == -EAGAIN)
		return;
	if (n < 0) {
		failed(d, c, k, (int)n);
		return;
	}
	CHECK(n > 0 && (size_t)n <= len);
	e->sent += (uint64_t)n;
	d->bytes += (uint64_t)n;
	/* of a write that was cut short the last byte is urgent, too */
	if (flags & MSG_OOB)
		e->urgent[e->n_urgent++] = e->sent - 1;
}

static bool is_urgent(const struct end *from, uint64_t at)
{
	for (unsigned i = 0; i < from->n_urgent; i++)
		if (from->urgent[i] == at)
			return true;
	return false;
}

static void verify(struct conn *c, unsigned k, const uint8_t *data, size_t len)
{
	struct end *e = &c->e[k], *from = &c->e[!k];

	for (size_t i = 0; i < len; i++) {
		while (c->inexact && data[i] != byte_at(from->salt, e->got) &&
		       is_urgent(from, e->got))
			e->got++;
		if (data[i] != byte_at(from->salt, e->got)) {
			print_error("at %llu +%zu of %zu, sent %llu, inexact %d; urgent:",
				    (unsigned long long)e->got, i, len,
				    (unsigned long long)from->sent, c->inexact);
			for (unsigned u = 0; u < from->n_urgent; u++)
				print_error(" %llu", (unsigned long long)from->urgent[u]);
			for (int u = -3; u < 4; u++)
				print_error(" %d:%d/%d", u, data[(int)i + u],
					    byte_at(from->salt, e->got + (uint64_t)u));
			print_error("\n");
		}
		CHECK(data[i] == byte_at(from->salt, e->got));
		e->got++;
	}
	CHECK(e->got <= from->sent);
}

static void at_end(struct conn *c, unsigned k)
{
	struct end *e = &c->e[k], *from = &c->e[!k];

	e->eof = true;
	while (c->inexact && e->got < from->sent && is_urgent(from, e->got))
		e->got++;
	if (!c->cut)
		CHECK(from->shut);
	if (!c->cut || (from->shut && !from->closed))
		CHECK(e->got == from->sent);
}

/* False: nothing more now. */
static bool read_end(struct duel *d, struct conn *c, unsigned k)
{
	struct end *e = &c->e[k];
	ssize_t n;

	if (!e->sk || e->eof)
		return false;
	if (below(d, 2)) {
		size_t len = 1 + below(d, below(d, 2) ? 1000 : CHUNK);
		int flags = below(d, 8) ? 0 : MSG_PEEK;

		n = e->sk->ops->stream->recv(e->sk, buf, len, flags);
		if (n > 0 && flags) {
			uint64_t got = e->got;

			verify(c, k, buf, (size_t)n);
			e->got = got;
		} else if (n > 0) {
			verify(c, k, buf, (size_t)n);
		}
	} else {
		struct iovec iov[8];
		unsigned count;
		size_t used = 0, most = below(d, 2) ? CHUNK : 1 + below(d, 3000);

		n = e->sk->ops->stream->peek(e->sk, iov, ARRAY_SIZE(iov), &count);
		for (unsigned i = 0; n > 0 && i < count && used < most; i++) {
			size_t len = MIN(iov[i].iov_len, most - used);

			verify(c, k, iov[i].iov_base, len);
			used += len;
		}
		if (used)
			e->sk->ops->stream->consume(e->sk, used);
		else if (n == 0) /* the end, or nothing there */
			n = e->sk->shut & 1 ? 0 : -EAGAIN;
	}
	if (n == -EAGAIN)
		return false;
	if (n < 0)
		failed(d, c, k, (int)n);
	else if (!n)
		at_end(c, k);
	return n > 0;
}

static void read_urgent(struct duel *d, struct conn *c, unsigned k)
{
	struct end *e = &c->e[k], *from = &c->e[!k];
	uint8_t b;

	if (!e->sk || !c->inexact || e->eof || e->sk->ops->stream->recv(e->sk, &b, 1, MSG_OOB) != 1)
		return;
	bool found = false;

	for (unsigned i = 0; i < from->n_urgent; i++)
		found |= byte_at(from->salt, from->urgent[i]) == b;
	CHECK(found);
}

static void tune(struct duel *d, struct end *e)
{
	if (!e->sk)
		return;
	switch (below(d, 8)) {
	case 0:
		stack_set(e->sk, SOL_SOCKET, SO_RCVBUF, (int)(2000 + below(d, 200000)));
		break;
	case 1:
		stack_set(e->sk, SOL_SOCKET, SO_SNDBUF, (int)(2000 + below(d, 200000)));
		break;
	case 2:
		stack_set(e->sk, IPPROTO_TCP, TCP_NODELAY, (int)below(d, 2));
		break;
	case 3:
		stack_set(e->sk, IPPROTO_TCP, TCP_CORK, (int)below(d, 2));
		break;
	case 4:
		stack_set(e->sk, IPPROTO_TCP, TCP_QUICKACK, (int)below(d, 2));
		break;
	case 5:
		stack_set(e->sk, SOL_SOCKET, SO_KEEPALIVE, (int)below(d, 2));
		break;
	case 6:
		stack_set(e->sk, IPPROTO_TCP, TCP_NOTSENT_LOWAT, (int)(1 + below(d, 100000)));
		break;
	case 7:
		stack_set(e->sk, IPPROTO_TCP, TCP_WINDOW_CLAMP, (int)(1000 + below(d, 60000)));
		break;
	}
}

static void congestion(struct duel *d, struct sock *sk)
{
	static const char *const names[] = {"reno", "cubic", "bbr", "dctcp"};
	const char *name = names[below(d, ARRAY_SIZE(names))];

	assert_int_equal(sock_setsockopt(sk, IPPROTO_TCP, TCP_CONGESTION, name, strlen(name)), 0);
}

/* ---- connections ---- */

static void connect_one(struct duel *d, struct conn *c)
{
	unsigned from = below(d, 2);
	struct end *e = &c->e[0];

	*c = (struct conn){.from = from, .inexact = below(d, 4) == 0};
	c->e[0].salt = below(d, 256);
	c->e[1].salt = below(d, 256);
	e->sk = stack_sock(from ? d->s.b : d->s.a, AF_INET, SOCK_STREAM, 0);
	if (!c->inexact)
		stack_set(e->sk, SOL_SOCKET, SO_OOBINLINE, 1);
	congestion(d, e->sk);
	for (unsigned i = below(d, 3); i-- > 0;)
		tune(d, e);
	CHECK(stack_connect(e->sk, from ? "10.0.0.1" : "10.0.0.2", PORT) == -EINPROGRESS);
	c->port = stack_port(e->sk);
	c->used = true;
}

static void accept_all(struct duel *d)
{
	struct sockaddr_in sin;
	struct sock *sk;

	for (unsigned i = 0; i < 2; i++) {
		while (!sock_accept(d->l[i], &sk)) {
			size_t len = sizeof(sin);
			struct conn *c = NULL;

			CHECK(!sock_accepted_name(sk, (struct sockaddr *)&sin, &len));
			for (unsigned k = 0; k < N_CONNS; k++)
				if (d->c[k].used && d->c[k].from != i && !d->c[k].accepted &&
				    d->c[k].port == ntohs(sin.sin_port))
					c = &d->c[k];
			if (!c) { /* whose end has gone already */
				stack_close(sk);
				continue;
			}
			c->accepted = true;
			c->e[1].sk = sk;
			if (!c->inexact)
				stack_set(sk, SOL_SOCKET, SO_OOBINLINE, 1);
			congestion(d, sk);
		}
	}
}

static void shut_end(struct duel *d, struct conn *c, unsigned k)
{
	struct end *e = &c->e[k];

	if (!e->sk || e->shut || !TCPF(tcp_sk(e->sk)->node.state) ||
	    tcp_sk(e->sk)->node.state == TCP_SYN_SENT)
		return;
	int err = sock_shutdown(e->sk, SHUT_WR);

	if (err == -ENOTCONN) /* reset behind the peer's FIN */
		failed(d, c, k, -EPIPE);
	else
		e->shut = true;
}

static void set_mtu(struct duel *d)
{
	unsigned mtu = below(d, 3) ? 1500 : 552 + below(d, 948);

	netdev_set_mtu(d->s.v0, mtu, NULL);
	netdev_set_mtu(d->s.v1, mtu, NULL);
	if (d->f0 != d->s.v0)
		netdev_set_mtu(d->f0, mtu, NULL);
}

/* Both have had what they wanted, or one never came. */
static void forget(struct conn *c)
{
	if (!c->e[0].sk && (!c->e[1].sk || !c->accepted))
		c->used = false;
}

static void one_call(struct duel *d, struct conn *c)
{
	unsigned k = below(d, 2);
	struct end *e = &c->e[k];
	int zero[2] = {1, 0};

	switch (below(d, 24)) {
	default:
		write_end(d, c, k, false);
		break;
	case 8 ... 15:
		read_end(d, c, k);
		break;
	case 16:
		while (read_end(d, c, k))
			;
		break;
	case 17 ... 18:
		tune(d, e);
		break;
	case 19:
		write_end(d, c, k, true);
		break;
	case 20:
		read_urgent(d, c, k);
		if (e->sk && below(d, 4) == 0)
			congestion(d, e->sk);
		break;
	case 21:
		if (below(d, 4) == 0)
			shut_end(d, c, k);
		break;
	case 22:
		if (e->eof && e->shut)
			close_end(d, c, k);
		break;
	case 23:
		if (below(d, 8) || !e->sk)
			break;
		if (below(d, 2)) {
			sock_setsockopt(e->sk, SOL_SOCKET, SO_LINGER, zero, sizeof(zero));
			c->cut = true;
		}
		close_end(d, c, k);
		break;
	}
	if (e->sk)
		(void)e->sk->ops->stream->poll(e->sk);
}

static void step(struct duel *d)
{
	struct conn *c = &d->c[below(d, N_CONNS)];

	accept_all(d);
	if (!c->used) {
		connect_one(d, c);
	} else {
		one_call(d, c);
		forget(c);
	}
	if (!below(d, 50))
		set_mtu(d);
	switch (below(d, 12)) {
	case 0:
		let(d, (1 + below(d, 3000)) * MS);
		break;
	case 1 ... 4:
		let(d, (1 + below(d, 60)) * MS);
		break;
	default:
		let(d, below(d, 2) ? 0 : (1 + below(d, 2000)) * NSEC_PER_USEC);
	}
}

/* ---- the end ---- */

static bool finish_one(struct duel *d, struct conn *c, bool late)
{
	for (unsigned k = 0; k < 2; k++) {
		struct end *e = &c->e[k];

		if (!e->sk)
			continue;
		stack_set(e->sk, IPPROTO_TCP, TCP_CORK, 0);
		shut_end(d, c, k);
		while (read_end(d, c, k))
			;
		/* the other's RST may be lost, and nobody would ever know */
		bool alone = c->cut && !c->e[!k].sk && late;

		if (alone || (e->eof && (e->shut || e->failed)))
			close_end(d, c, k);
	}
	/* the other end was never seen: its connection has ended before it was accepted */
	return !c->e[0].sk && !c->e[1].sk;
}

static void finish(struct duel *d)
{
	bool open = true;

	for (unsigned i = 0; open; i++) {
		if (i == 40000)
			tell(d);
		CHECK(i < 40000);
		open = false;
		accept_all(d);
		for (unsigned k = 0; k < N_CONNS; k++)
			if (d->c[k].used && !finish_one(d, &d->c[k], i > 2000))
				open = true;
		let(d, 50 * MS);
	}
	accept_all(d);
	for (unsigned i = 0; i < 2; i++)
		stack_close(d->l[i]);
	/* orphans and TIME-WAIT; nobody is there to be waited for longer */
	for (unsigned i = 0; i < 1200 && (d->s.weft->tcp->n_orphans || d->s.weft->tcp->n_tw); i++)
		let(d, NSEC_PER_SEC);
	CHECK(!d->s.weft->tcp->n_orphans);
	CHECK(!d->s.weft->tcp->n_tw);
	CHECK(!d->s.weft->tcp->n_socks);
	stack_run(&d->s, 10 * NSEC_PER_SEC);
	net_put(d->s.a);
	net_put(d->s.b);
	stack_run(&d->s, 10 * NSEC_PER_SEC);
	rcu_barrier();
	stack_settle(&d->s);
	CHECK(!pool_in_use(d->s.weft->pool));
	weft_free(d->s.weft);
}

/* All programs end at once, and the instance with them: what the protocol would still have to do is
 * given up, and freed. */
static void abandon(struct duel *d)
{
	for (unsigned i = 0; i < N_CONNS; i++)
		for (unsigned k = 0; k < 2; k++)
			close_end(d, &d->c[i], k);
	for (unsigned i = 0; i < 2; i++)
		stack_close(d->l[i]);
	for (unsigned i = below(d, 3); i-- > 0;)
		let(d, below(d, 100) * MS);
	weft_free(d->s.weft);
}

static void run(uint64_t seed, unsigned steps, uint64_t *bytes, uint64_t *errors)
{
	struct duel *d = calloc(1, sizeof(*d));

	seed_now = d->seed = seed;
	rng_seed(&d->rng, seed);
	world_new(d);
	for (unsigned i = 0; i < steps; i++)
		step(d);
	if (below(d, 4))
		finish(d);
	else
		abandon(d);
	if (getenv("TCP_DUEL_SEED"))
		print_message("seed %llu: %llu bytes, %llu errors, %llu s\n",
			      (unsigned long long)seed, (unsigned long long)d->bytes,
			      (unsigned long long)d->errors,
			      (unsigned long long)(d->s.now / NSEC_PER_SEC));
	*bytes += d->bytes;
	*errors += d->errors;
	free(d);
}

static void test_duel(void **state)
{
	const char *one = getenv("TCP_DUEL_SEED"), *many = getenv("TCP_DUEL_RUNS");
	uint64_t bytes = 0, errors = 0, n = many ? strtoull(many, NULL, 0) : RUNS, from = 1;

	if (one) {
		from = strtoull(one, NULL, 0);
		n = many ? n : 1;
	}
	for (uint64_t seed = from; seed < from + n; seed++)
		run(seed, STEPS, &bytes, &errors);
	/* the duel was one */
	if (!one) {
		assert_true(bytes > n * 100000);
		assert_true(errors > 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_duel)};

	rcu_register_thread();
	int err = cmocka_run_group_tests(tests, NULL, NULL);

	rcu_unregister_thread();
	return err;
}
