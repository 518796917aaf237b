/*
 * tcp: sockets of two namespaces of one instance, joined by a veth pair, on one worker.
 *
 *	a 10.0.0.1 [ v0 ]----- veth -----[ v1 ] 10.0.0.2 b
 *
 * Bulk: one connection, written to in pieces of 64 KiB and read as fast as it goes; bytes are
 * copied in from the writer's memory, and copied out to the reader's or looked at where they lie
 * (struct sock_stream_ops' peek). With GSO the packets between are of up to 64 KiB; without, the
 * devices take 1500 bytes and every checksum is made. The clock is the real one, as round-trip
 * times steer what a sender does. A run is cut into pieces of some megabytes, whose median counts:
 * on a machine that others load, the whole would measure them.
 *
 * Small: datagrams of 64 bytes sent and received; a byte there and back on a connection;
 * connections opened, accepted and closed by both sides. Idle: what an established connection's
 * end holds in memory.
 */
#include <malloc.h>

#include "bed.h"
#include "bench.h"
#include "drivers/kinds.h"
#include "sock/sock.h"
#include "weft.h"

#define PORT	   5001
#define PIECE	   65536u
#define PIECES	   64u /* a timed part: 4 MiB */
#define PARTS	   40u
#define N_UDP	   64u
#define UDP_PARTS  2000u
#define N_CONNS	   64u
#define CONN_PARTS 100u
#define IDLE_PORTS 8u
#define N_IDLE	   100000u
#define ADDR_A	   0x0a000001u
#define ADDR_B	   0x0a000002u

struct ends {
	struct bed bed;
	struct net *far;
	struct netdev *v0, *v1;
};

static uint8_t from[PIECE], to[PIECE];

static void must(int err, const char *what)
{
	if (err >= 0)
		return;
	fprintf(stderr, "weft-bench: tcp: %s: %s\n", what, strerror(-err));
	exit(1);
}

/* ---- the two namespaces ---- */

static void set_up(struct netdev *dev, uint32_t addr)
{
	struct in_ifaddr ifa = {
		.local = __builtin_bswap32(addr),
		.address = __builtin_bswap32(addr),
		.mask = __builtin_bswap32(0xffffff00),
		.prefixlen = 24,
		.valid_lft = UINT32_MAX,
		.preferred_lft = UINT32_MAX,
	};

	must(netdev_set_flags(dev, IFF_UP, IFF_UP, NULL), "device up");
	must(ip4_addr_add(dev, &ifa, false, true, NULL), "address");
}

static void no_offload(struct netdev *dev)
{
	dev->features &= ~(uint32_t)(DEV_F_TSO4 | DEV_F_TSO6 | DEV_F_TX_CSUM | DEV_F_GSO);
}

static void ends_init(struct ends *e, bool gso)
{
	struct dev_new n = {.name = "v0", .peer_name = "v1"};
	int err;

	bed_init(&e->bed, 32768);
	e->far = net_new(e->bed.weft->nets, &err);
	must(e->far ? 0 : err, "namespace");
	n.net = e->bed.net;
	n.peer_net = e->far;
	must(dev_create(e->bed.net->core, &veth_kind, &n, &e->v0, NULL), "veth");
	e->v1 = e->v0->ops->companion(e->v0);
	set_up(e->v0, ADDR_A);
	set_up(e->v1, ADDR_B);
	if (!gso) {
		no_offload(e->v0);
		no_offload(e->v1);
	}
	bed_step(&e->bed, NSEC_PER_SEC);
}

static void ends_fini(struct ends *e)
{
	net_put(e->far);
	bed_fini(&e->bed);
}

static void step(struct ends *e)
{
	worker_step(e->bed.w, MAX(clock_mono(), e->bed.w->now));
}

static struct sockaddr_in name_of(uint32_t addr, unsigned port)
{
	return (struct sockaddr_in){.sin_family = AF_INET,
				    .sin_port = __builtin_bswap16((uint16_t)port),
				    .sin_addr.s_addr = __builtin_bswap32(addr)};
}

static struct sock *listener(struct ends *e, unsigned port)
{
	struct sockaddr_in at = name_of(ADDR_B, port);
	struct sock *l;

	must(sock_new(e->far, AF_INET, SOCK_STREAM, 0, &l), "socket");
	must(sock_bind(l, (struct sockaddr *)&at, sizeof(at)), "bind");
	must(sock_listen(l, 4096), "listen");
	return l;
}

static struct sock *dial(struct ends *e, unsigned port)
{
	struct sockaddr_in at = name_of(ADDR_B, port);
	struct sock *c;

	must(sock_new(e->bed.net, AF_INET, SOCK_STREAM, 0, &c), "socket");
	int err = sock_connect(c, (struct sockaddr *)&at, sizeof(at));
	must(err == -EINPROGRESS ? 0 : err, "connect");
	return c;
}

static void hang_up(struct sock *sk)
{
	sock_close(sk);
	sock_put(sk);
}

static struct sock *accept_one(struct ends *e, struct sock *l)
{
	struct sock *a;

	for (unsigned i = 0; sock_accept(l, &a); i++) {
		must(i < 1000 ? 0 : -ETIMEDOUT, "accept");
		step(e);
	}
	return a;
}

/* ---- bulk ---- */

struct bulk {
	struct ends e;
	struct sock *l, *c, *a;
	bool copy_out;
};

static void bulk_init(struct bulk *b, bool gso, bool copy_out)
{
	b->copy_out = copy_out;
	ends_init(&b->e, gso);
	b->e.bed.w->now = MAX(clock_mono(), b->e.bed.w->now);
	b->l = listener(&b->e, PORT);
	b->c = dial(&b->e, PORT);
	b->a = accept_one(&b->e, b->l);
}

static void bulk_fini(struct bulk *b)
{
	hang_up(b->c);
	hang_up(b->a);
	hang_up(b->l);
	bed_step(&b->e.bed, 120 * NSEC_PER_SEC);
	ends_fini(&b->e);
}

static size_t bulk_read(struct bulk *b)
{
	const struct sock_stream_ops *ops = b->a->ops->stream;
	struct iovec iov[64];
	size_t got = 0;
	unsigned n;
	ssize_t k;

	if (b->copy_out) {
		while ((k = ops->recv(b->a, to, sizeof(to), 0)) > 0)
			got += (size_t)k;
		return got;
	}
	while ((k = ops->peek(b->a, iov, ARRAY_SIZE(iov), &n)) > 0) {
		ops->consume(b->a, (size_t)k);
		got += (size_t)k;
	}
	return got;
}

static void bulk_part(void *arg)
{
	struct bulk *b = arg;
	size_t left = PIECES * PIECE;

	while (left) {
		const struct sock_msg m = {.data = from, .len = sizeof(from)};

		sock_sendmsg(b->c, &m);
		step(&b->e);
		left -= MIN(left, bulk_read(b));
	}
}

/* Parts are long enough for the clock's price not to count. Returns one's cost in seconds. */
static double parts(const struct bench_options *o, void (*fn)(void *), void *arg, unsigned n)
{
	static struct bench_pieces p;

	p.n = 0;
	for (unsigned i = 0; i < n / 4; i++)
		fn(arg); /* slow start, caches */
	for (unsigned i = 0; i < n; i++) {
		uint64_t start = clock_mono();

		fn(arg);
		bench_piece(&p, clock_mono() - start, 1);
	}
	return bench_median(p.v, p.n) / NSEC_PER_SEC;
}

static void tell(const struct bench_options *o, const char *name, const char *metric,
		 const char *unit, const double *v)
{
	bench_figure(o, &(struct bench_figure){.bench = "tcp",
					       .name = name,
					       .metric = metric,
					       .unit = unit,
					       .values = v,
					       .n = o->runs,
					       .more_is_better = true});
}

static void bulk(const struct bench_options *o, const char *name, bool gso, bool copy_out)
{
	double v[BENCH_RUNS_MAX];

	for (unsigned i = 0; i < o->runs; i++) {
		static struct bulk b;

		bulk_init(&b, gso, copy_out);
		v[i] = PIECES * PIECE * 8. / 1e9 /
		       parts(o, bulk_part, &b, o->instructions ? 4 : PARTS);
		bulk_fini(&b);
	}
	tell(o, name, "goodput", "Gbit/s", v);
}

/* ---- small ---- */

struct small {
	struct ends e;
	struct sock *c, *a;
};

static void udp_part(void *arg)
{
	struct small *s = arg;
	const struct sock_msg m = {.data = from, .len = 64};
	unsigned got = 0;
	struct sock_rx *rx;

	for (unsigned i = 0; i < N_UDP; i++)
		sock_sendmsg(s->c, &m);
	while (got < N_UDP) {
		worker_step(s->e.bed.w, s->e.bed.w->now + 1000);
		while ((rx = sock_dequeue(s->a))) {
			pkt_copy_out(rx->pkt, 0, to, rx->caplen);
			sock_rx_free(s->e.bed.w, rx);
			got++;
		}
	}
}

static void udp(const struct bench_options *o)
{
	struct sockaddr_in at = name_of(ADDR_B, PORT);
	double v[BENCH_RUNS_MAX];

	for (unsigned i = 0; i < o->runs; i++) {
		struct small s;

		ends_init(&s.e, true);
		must(sock_new(s.e.bed.net, AF_INET, SOCK_DGRAM, 0, &s.c), "socket");
		must(sock_new(s.e.far, AF_INET, SOCK_DGRAM, 0, &s.a), "socket");
		must(sock_bind(s.a, (struct sockaddr *)&at, sizeof(at)), "bind");
		must(sock_connect(s.c, (struct sockaddr *)&at, sizeof(at)), "connect");
		v[i] = N_UDP / 1e6 / parts(o, udp_part, &s, o->instructions ? 16 : UDP_PARTS);
		hang_up(s.c);
		hang_up(s.a);
		ends_fini(&s.e);
	}
	tell(o, "UDP, 64 bytes, connected: send and receive", "rate", "M packets/s", v);
}

static void echo_part(void *arg)
{
	struct small *s = arg;
	const struct sock_msg m = {.data = from, .len = 1};

	for (unsigned i = 0; i < N_UDP; i++) {
		sock_sendmsg(s->c, &m);
		while (s->a->ops->stream->recv(s->a, to, 1, 0) != 1)
			worker_step(s->e.bed.w, s->e.bed.w->now + 1000);
		sock_sendmsg(s->a, &m);
		while (s->c->ops->stream->recv(s->c, to, 1, 0) != 1)
			worker_step(s->e.bed.w, s->e.bed.w->now + 1000);
	}
}

static void echo(const struct bench_options *o)
{
	double v[BENCH_RUNS_MAX];

	for (unsigned i = 0; i < o->runs; i++) {
		struct small s;

		ends_init(&s.e, true);
		struct sock *l = listener(&s.e, PORT);
		s.c = dial(&s.e, PORT);
		s.a = accept_one(&s.e, l);
		v[i] = N_UDP / 1e6 / parts(o, echo_part, &s, o->instructions ? 16 : UDP_PARTS);
		hang_up(s.c);
		hang_up(s.a);
		hang_up(l);
		bed_step(&s.e.bed, 120 * NSEC_PER_SEC);
		ends_fini(&s.e);
	}
	tell(o, "a byte there and back", "rate", "M round trips/s", v);
}

/* ---- connections ---- */

struct churn {
	struct ends e;
	struct sock *l;
};

static void churn_part(void *arg)
{
	struct churn *u = arg;
	struct sock *c[N_CONNS], *a[N_CONNS];

	for (unsigned i = 0; i < N_CONNS; i++)
		c[i] = dial(&u->e, PORT);
	for (unsigned i = 0; i < N_CONNS; i++)
		a[i] = accept_one(&u->e, u->l);
	for (unsigned i = 0; i < N_CONNS; i++)
		hang_up(c[i]);
	step(&u->e);
	for (unsigned i = 0; i < N_CONNS; i++)
		hang_up(a[i]);
	weft_settle(u->e.bed.weft, u->e.bed.w->now);
}

static void churn(const struct bench_options *o)
{
	double v[BENCH_RUNS_MAX];

	for (unsigned i = 0; i < o->runs; i++) {
		struct churn u;

		ends_init(&u.e, true);
		u.l = listener(&u.e, PORT);
		v[i] = N_CONNS / 1e3 / parts(o, churn_part, &u, o->instructions ? 4 : CONN_PARTS);
		hang_up(u.l);
		bed_step(&u.e.bed, 120 * NSEC_PER_SEC);
		ends_fini(&u.e);
	}
	tell(o, "connections opened, accepted, closed", "rate", "k/s", v);
}

/* ---- idle ---- */

static double memory(void)
{
	struct mallinfo2 m = mallinfo2();

	return (double)(m.uordblks + m.hblkhd);
}

static double idle_once(unsigned n)
{
	struct sock **all = calloc(2 * n, sizeof(*all)), *l[IDLE_PORTS];
	struct ends e;

	must(all ? 0 : -ENOMEM, "memory");
	ends_init(&e, true);
	for (unsigned i = 0; i < IDLE_PORTS; i++)
		l[i] = listener(&e, PORT + i);
	double before = memory();

	for (unsigned i = 0; i < n; i++) {
		all[2 * i] = dial(&e, PORT + i % IDLE_PORTS);
		all[2 * i + 1] = accept_one(&e, l[i % IDLE_PORTS]);
	}
	bed_step(&e.bed, 10 * NSEC_PER_SEC);
	rcu_barrier();
	double bytes = (memory() - before) / (2 * n);

	for (unsigned i = 0; i < 2 * n; i++)
		hang_up(all[i]);
	for (unsigned i = 0; i < IDLE_PORTS; i++)
		hang_up(l[i]);
	bed_step(&e.bed, 120 * NSEC_PER_SEC);
	ends_fini(&e);
	free(all);
	return bytes;
}

static void idle(const struct bench_options *o)
{
	unsigned n = o->instructions ? 100 : N_IDLE;
	char name[64];

	snprintf(name, sizeof(name), "%u idle connections: memory of an end", n);
	bench_once(o, "tcp", name, "memory", "bytes", idle_once(n));
}

static void tcp_run(const struct bench_options *o)
{
	bulk(o, "bulk with GSO, read in place", true, false);
	bulk(o, "bulk with GSO, copied out", true, true);
	bulk(o, "bulk without GSO, checksums made", false, true);
	udp(o);
	echo(o);
	churn(o);
	idle(o);
}

const struct bench bench_tcp = {
	.name = "tcp",
	.text = "TCP and UDP between two namespaces of one process",
	.run = tcp_run,
};
