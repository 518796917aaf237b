/*
 * rtt: a byte there and back over TCP, between two processes with a core each.
 *
 *	client: stack, memif 10.4.0.2 ==== shared memory ==== 10.4.0.1 memif, stack: server
 *
 * Each process has the whole stack embedded and polls it; on the wire are Ethernet, ARP, IPv4 and
 * TCP with checksums, ACKs, timers and congestion control, as for any other peer. The kernel does
 * the same over its loopback device, and over a veth pair between two namespaces where we may make
 * these; its processes block, or spin on sockets that do not block. A round trip is timed by the
 * time stamp counter, each by itself; a run's values are percentiles of its round trips.
 */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "abi/kinds.h"
#include "bed.h"
#include "bench.h"
#include "drivers/kinds.h"
#include "drivers/memif/memif.h"
#include "sock/sock.h"
#include "weft.h"

#define PORT	7000
#define ROUNDS	100000u
#define SERVER	0x0a040001u
#define CLIENT	0x0a040002u
#define N_RANKS 3

static const double ranks[N_RANKS] = {0.5, 0.99, 0.999};
static const char *const rank_names[N_RANKS] = {"p50", "p99", "p99.9"};

enum way { WEFT, LOOPBACK, VETH };

/* What the two processes and their parent share. */
struct shared {
	int ready;    /* atomic: the server listens */
	int made;     /* atomic: the server's namespace is there */
	int finished; /* atomic: there are results */
	pid_t server;
	double us[BENCH_RUNS_MAX][N_RANKS];
	uint32_t cycles[ROUNDS];
};

struct trial {
	enum way way;
	bool spin;
	unsigned runs, warm, rounds;
	int cpu[2];
	struct shared *shared;
};

static void must(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "weft-bench: rtt: %s: %s\n", what, strerror(errno));
	_exit(1);
}

static void await(int *flag)
{
	while (!__atomic_load_n(flag, __ATOMIC_ACQUIRE))
		sched_yield();
}

static void announce(int *flag)
{
	__atomic_store_n(flag, 1, __ATOMIC_RELEASE);
}

/* ---- a connection, ours or the kernel's ---- */

struct end {
	const struct trial *trial;
	/* ours */
	struct worker *w;
	struct sock *sk;
	/* the kernel's */
	int fd;
};

static void end_step(struct end *e)
{
	worker_step(e->w, MAX(clock_mono(), e->w->now));
	rcu_quiescent_state();
}

static void end_send(struct end *e)
{
	const struct sock_msg m = {.data = "x", .len = 1};

	if (!e->sk)
		must(send(e->fd, "x", 1, 0) == 1, "send");
	else
		must(sock_sendmsg(e->sk, &m) == 1, "send");
}

static void end_recv(struct end *e)
{
	char byte;
	ssize_t n;

	if (!e->sk) {
		while ((n = recv(e->fd, &byte, 1, e->trial->spin ? MSG_DONTWAIT : 0)) != 1)
			if (!n || (errno != EAGAIN && errno != EINTR))
				_exit(0); /* the client has all it wanted */
		return;
	}
	while ((n = e->sk->ops->stream->recv(e->sk, &byte, 1, 0)) != 1) {
		if (n != -EAGAIN)
			_exit(0);
		end_step(e);
	}
}

/* ---- with weft ---- */

static void device(struct bed *b, const struct trial *t, uint32_t role, uint32_t addr)
{
	struct memif_params p = {.role = role, .queues = 1, .ring = 256, .buffer = 2048};
	struct dev_new n = {.net = b->net, .params = &p};
	struct in_ifaddr ifa = {.local = htonl(addr),
				.address = htonl(addr),
				.mask = htonl(0xffffff00),
				.prefixlen = 24,
				.valid_lft = UINT32_MAX,
				.preferred_lft = UINT32_MAX};
	struct netdev *dev;

	snprintf(p.socket, sizeof(p.socket), "@weft-rtt-%d", (int)getppid());
	int err = dev_create(b->net->core, &memif_kind, &n, &dev, NULL);
	if (!err)
		err = netdev_set_flags(dev, IFF_UP, IFF_UP, NULL);
	if (!err)
		err = ip4_addr_add(dev, &ifa, false, true, NULL);
	errno = -err;
	must(!err, "memif");
}

static struct sock *weft_tcp(struct bed *b)
{
	struct sock *sk;
	int on = 1;

	must(!sock_new(b->net, AF_INET, SOCK_STREAM, 0, &sk), "socket");
	must(!sock_setsockopt(sk, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)), "TCP_NODELAY");
	return sk;
}

static struct sockaddr_in server_name(uint32_t addr)
{
	return (struct sockaddr_in){
		.sin_family = AF_INET, .sin_port = htons(PORT), .sin_addr.s_addr = htonl(addr)};
}

static void weft_join(struct end *e, bool server)
{
	static struct bed b;
	struct sockaddr_in at = server_name(SERVER);

	bed_init(&b, 4096);
	e->w = b.w;
	e->w->now = clock_mono();
	device(&b, e->trial, server ? WEFT_MEMIF_SERVER : WEFT_MEMIF_CLIENT,
	       server ? SERVER : CLIENT);
	struct sock *sk = weft_tcp(&b);
	if (server) {
		must(!sock_bind(sk, (struct sockaddr *)&at, sizeof(at)), "bind");
		must(!sock_listen(sk, 1), "listen");
		announce(&e->trial->shared->ready);
		while (sock_accept(sk, &e->sk))
			end_step(e);
		return;
	}
	await(&e->trial->shared->ready);
	must(sock_connect(sk, (struct sockaddr *)&at, sizeof(at)) == -EINPROGRESS, "connect");
	while (!(sk->ops->stream->poll(sk) & SOCK_POLL_OUT))
		end_step(e);
	e->sk = sk;
}

/* ---- with the kernel ---- */

/* Namespaces of their own, and a wire between; false: we may not. */
static bool make_veth(const struct trial *t, bool server)
{
	char cmd[256];

	if (unshare(CLONE_NEWNET))
		return false;
	if (server) {
		announce(&t->shared->made);
		/* the other end makes it */
		while (system("ip link set rtt1 up 2>/dev/null"))
			usleep(10000);
		return !system("ip addr add 10.4.0.1/24 dev rtt1");
	}
	await(&t->shared->made);
	snprintf(cmd, sizeof(cmd),
		 "ip link add rtt0 type veth peer name rtt1 netns %d 2>/dev/null && "
		 "ip addr add 10.4.0.2/24 dev rtt0 && ip link set rtt0 up",
		 (int)t->shared->server);
	return !system(cmd);
}

static int kernel_tcp(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;

	must(fd >= 0, "socket");
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	return fd;
}

static void kernel_join(struct end *e, bool server)
{
	const struct trial *t = e->trial;
	struct sockaddr_in at = server_name(t->way == VETH ? SERVER : INADDR_LOOPBACK);
	int fd;

	if (t->way == VETH && !make_veth(t, server))
		_exit(1);
	fd = kernel_tcp();
	if (server) {
		must(!bind(fd, (struct sockaddr *)&at, sizeof(at)), "bind");
		must(!listen(fd, 1), "listen");
		announce(&t->shared->ready);
		e->fd = accept(fd, NULL, NULL);
		must(e->fd >= 0, "accept");
		int on = 1;
		setsockopt(e->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
		return;
	}
	await(&t->shared->ready);
	must(!connect(fd, (struct sockaddr *)&at, sizeof(at)), "connect");
	e->fd = fd;
}

/* ---- the two processes ---- */

static int by_value(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

static void client_run(struct end *e, unsigned run)
{
	struct shared *s = e->trial->shared;
	uint64_t began = clock_mono(), from = cycles();
	unsigned n = e->trial->rounds;

	for (unsigned i = 0; i < n; i++) {
		uint64_t start = cycles();

		end_send(e);
		end_recv(e);
		s->cycles[i] = (uint32_t)MIN(cycles() - start, (uint64_t)UINT32_MAX);
	}
	double per_us = (double)(cycles() - from) * 1000 / (double)(clock_mono() - began);

	qsort(s->cycles, n, sizeof(*s->cycles), by_value);
	for (unsigned k = 0; k < N_RANKS; k++)
		s->us[run][k] = s->cycles[(unsigned)(ranks[k] * (n - 1))] / per_us;
}

static void pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	must(!sched_setaffinity(0, sizeof(set), &set), "a core of its own");
}

static void one_end(const struct trial *t, bool server)
{
	struct end e = {.trial = t};

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	pin(t->cpu[server]);
	if (t->way == WEFT)
		weft_join(&e, server);
	else
		kernel_join(&e, server);
	while (server) {
		end_recv(&e);
		end_send(&e);
	}
	for (unsigned i = 0; i < t->warm; i++) {
		end_send(&e);
		end_recv(&e);
	}
	for (unsigned i = 0; i < t->runs; i++)
		client_run(&e, i);
	announce(&t->shared->finished);
	_exit(0);
}

static pid_t launch(const struct trial *t, bool server)
{
	call_rcu_before_fork();
	pid_t pid = fork();

	if (!pid) {
		call_rcu_after_fork_child();
		one_end(t, server);
	}
	call_rcu_after_fork_parent();
	return pid;
}

/* False: it cannot be done here. */
static bool measure(struct trial *t)
{
	struct shared *s = t->shared;
	int status;

	s->ready = s->made = s->finished = 0;
	pid_t server = launch(t, true);
	s->server = server;
	pid_t client = launch(t, false);

	if (client > 0)
		waitpid(client, &status, 0);
	if (server > 0) {
		kill(server, SIGKILL);
		waitpid(server, &status, 0);
	}
	return s->finished;
}

/* ---- figures ---- */

/* Two cores that we may use. */
static bool find_cores(int cpu[2])
{
	cpu_set_t old, one;
	int n = 0;

	sched_getaffinity(0, sizeof(old), &old);
	for (int i = 0; i < CPU_SETSIZE && n < 2; i++) {
		CPU_ZERO(&one);
		CPU_SET(i, &one);
		if (!sched_setaffinity(0, sizeof(one), &one))
			cpu[n++] = i;
	}
	sched_setaffinity(0, sizeof(old), &old);
	return n == 2;
}

static void tell(const struct bench_options *o, double us[][N_RANKS], const char *peer,
		 double peer_us[][N_RANKS])
{
	double v[BENCH_RUNS_MAX], p[BENCH_RUNS_MAX];

	for (unsigned k = 0; k < N_RANKS; k++) {
		for (unsigned i = 0; i < o->runs; i++) {
			v[i] = us[i][k];
			p[i] = peer_us[i][k];
		}
		bench_figure(o, &(struct bench_figure){.bench = "rtt",
						       .name = "1 byte over TCP, memif, polled",
						       .metric = rank_names[k],
						       .unit = "us",
						       .values = v,
						       .n = o->runs,
						       .peer = peer,
						       .peer_values = p});
	}
}

static void rtt_run(const struct bench_options *o)
{
	static const struct {
		enum way way;
		bool spin;
		const char *name;
	} peers[] = {
		{LOOPBACK, true, "kernel, loopback, spinning"},
		{LOOPBACK, false, "kernel, loopback, blocking"},
		{VETH, true, "kernel, veth, spinning"},
		{VETH, false, "kernel, veth, blocking"},
	};
	static double us[BENCH_RUNS_MAX][N_RANKS];
	unsigned rounds = o->instructions ? 1000 : ROUNDS;
	struct trial t = {.way = WEFT, .runs = o->runs, .warm = rounds / 10, .rounds = rounds};

	if (!find_cores(t.cpu)) {
		bench_skip("rtt", "there are no two cores");
		return;
	}
	t.shared = mmap(NULL, sizeof(*t.shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
			-1, 0);
	if (t.shared == MAP_FAILED)
		return;
	fflush(stdout);
	if (!measure(&t)) {
		bench_skip("rtt", "the link did not come up");
		munmap(t.shared, sizeof(*t.shared));
		return;
	}
	memcpy(us, t.shared->us, sizeof(us));
	for (unsigned i = 0; i < ARRAY_SIZE(peers); i++) {
		t.way = peers[i].way;
		t.spin = peers[i].spin;
		/* those that are woken each time take longer */
		t.rounds = t.spin ? rounds : rounds / 10;
		if (measure(&t))
			tell(o, us, peers[i].name, t.shared->us);
		else
			bench_skip("rtt", peers[i].name);
		fflush(stdout);
	}
	munmap(t.shared, sizeof(*t.shared));
}

const struct bench bench_rtt = {
	.name = "rtt",
	.text = "a byte there and back between two processes, over memif",
	.run = rtt_run,
};
