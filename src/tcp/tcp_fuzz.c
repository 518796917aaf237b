/*
 * tcp_fuzz: segments out of nowhere into connections that listen, open, carry data and close.
 *
 *	   a (10.0.0.1)                              b (10.0.0.2)
 *	  [ f0 on v0 ]------------ veth ------------[ v1 ]
 *	    ^                                          ^
 *	    +------- the fuzzer puts frames in --------+
 *
 * The input is a list of records. A record is a call of an application on one of a few sockets,
 * time that passes, a setting, a link that is cut or mended, an ICMP error, or a segment of an
 * attacker: one off the path, who knows addresses and ports and guesses the rest, or one on it,
 * whose numbers are what the connection has, give or take a little. An input makes its own
 * instance, so that it means the same whenever it is run.
 *
 * After each record tcp_audit() must find nothing. At the end all sockets are closed; either
 * everyone times out, and nothing may be left, or the instance is freed as it stands.
 */
#include <arpa/inet.h>
#include <linux/icmp.h>
#include <linux/if_ether.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/csum.h"
#include "drivers/fault/fault.h"
#include "drivers/kinds.h"
#include "ip/ip4.h"
#include "net/net.h"
#include "tcp/tcp_audit.h"
#include "weft.h"

#define N_SOCKS	  8 /* the first two listen */
#define PORT	  80
#define FRAME_MAX 4096

enum record {
	REC_WRITE,
	REC_READ,
	REC_CLOSE,
	REC_SHUTDOWN,
	REC_CONNECT,
	REC_ACCEPT,
	REC_OPTION,
	REC_TIME,
	REC_SYSCTL,
	REC_LINK,
	REC_ICMP,
	REC_RAW,
	REC_OFF_PATH,
	REC_ON_PATH, /* and what is above: they lead deepest */
};

/* as the parameters of the driver */
struct fault_args {
	uint32_t loss, dup, reorder, corrupt, delay, jitter, limit, direction;
	uint64_t seed;
};

struct world {
	struct weft *weft;
	uint64_t now;
	struct net *net[2];
	struct netdev *dev[2];
	struct sock *sk[N_SOCKS];
	bool cut;
};

static struct world x;

static void die(const char *what)
{
	fprintf(stderr, "tcp_fuzz: %s\n", what);
	abort();
}

#define MUST(cond)                                                                                 \
	do {                                                                                       \
		if (!(cond))                                                                       \
			die(#cond);                                                                \
	} while (0)

static void run(uint64_t ns)
{
	x.now = weft_run_until(x.weft, x.now, x.now + ns);
}

static void audit(void)
{
	const struct tcp_sock *bad;
	const char *wrong = tcp_audit_all(x.weft->tcp, &bad);

	for (unsigned i = 0; !wrong && i < N_SOCKS; i++)
		if (x.sk[i])
			wrong = tcp_audit(tcp_sk(x.sk[i]));
	if (wrong)
		die(wrong);
}

/* ---- the world ---- */

static void address(unsigned i, const char *addr)
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

	MUST(!ip4_addr_add(x.dev[i], &ifa, false, true, NULL));
}

static void neighbour(unsigned i, const char *addr)
{
	uint32_t key = inet_addr(addr);
	int err;
	struct neigh *n = neigh_get(arp_table(x.weft), x.dev[i], &key, &err);

	MUST(n);
	neigh_update(n, x.dev[!i]->addr, NUD_PERMANENT, NEIGH_UPDATE_ADMIN | NEIGH_UPDATE_OVERRIDE);
}

static void link_new(void)
{
	struct fault_args a = {.delay = 1000, .limit = 1000, .direction = 3, .seed = 1};
	struct dev_new n = {.net = x.net[0], .name = "v0", .peer_net = x.net[1], .peer_name = "v1"};
	struct netdev *v0;

	MUST(!dev_create(x.weft->dev, &veth_kind, &n, &v0, NULL));
	x.dev[1] = v0->ops->companion(v0);
	netdev_set_flags(v0, IFF_UP, IFF_UP, NULL);
	netdev_set_flags(x.dev[1], IFF_UP, IFF_UP, NULL);
	n = (struct dev_new){
		.net = x.net[0], .name = "f0", .link = v0, .params = &a, .given = {0x1ff}};
	MUST(!dev_create(x.weft->dev, &fault_kind, &n, &x.dev[0], NULL));
	netdev_set_flags(x.dev[0], IFF_UP, IFF_UP, NULL);
	address(0, "10.0.0.1");
	address(1, "10.0.0.2");
	neighbour(0, "10.0.0.2");
	neighbour(1, "10.0.0.1");
}

static void world_new(void)
{
	struct weft_config c = {.seed = 1,
				.now = NSEC_PER_SEC,
				.wall = 1700000000ll * 1000000000,
				.n_packets = 2048};
	struct sockaddr_in sin = {.sin_family = AF_INET, .sin_port = htons(PORT)};
	int err;

	memset(&x, 0, sizeof(x));
	x.weft = weft_new(&c, &err);
	x.now = c.now;
	MUST(x.weft);
	for (unsigned i = 0; i < 2; i++)
		MUST((x.net[i] = net_new(x.weft->nets, &err)));
	link_new();
	for (unsigned i = 0; i < 2; i++) {
		tcp_net(x.net[i])->tcp_fastopen = 0x203; /* without a cookie, too */
		MUST(!sock_new(x.net[i], AF_INET, SOCK_STREAM, 0, &x.sk[i]));
		MUST(!sock_bind(x.sk[i], (struct sockaddr *)&sin, sizeof(sin)));
		MUST(!sock_listen(x.sk[i], 2));
		int qlen = 2;

		sock_setsockopt(x.sk[i], IPPROTO_TCP, TCP_FASTOPEN, &qlen, sizeof(qlen));
	}
	run(NSEC_PER_SEC);
}

/* ---- calls ---- */

static void do_write(struct sock *sk, uint8_t a, uint8_t b)
{
	static uint8_t data[20000];
	const struct sock_msg m = {.data = data,
				   .len = a & 0x80 ? MIN(b * 80u, 20000u) : b,
				   .flags = (a & 0x40 ? MSG_MORE : 0) | (a & 0x20 ? MSG_OOB : 0) |
					    (a & 0x10 ? MSG_EOR : 0)};

	(void)sock_sendmsg(sk, &m);
}

static void do_read(struct sock *sk, uint8_t a, uint8_t b)
{
	static uint8_t data[65536];
	struct iovec iov[4];
	unsigned count;

	if (a & 0x80) {
		(void)sk->ops->stream->recv(sk, data, a & 0x40 ? sizeof(data) : b,
					    (a & 0x20 ? MSG_OOB : 0) | (a & 0x10 ? MSG_PEEK : 0));
		return;
	}
	ssize_t n = sk->ops->stream->peek(sk, iov, ARRAY_SIZE(iov), &count);

	if (n > 0)
		sk->ops->stream->consume(sk, a & 0x40 ? (size_t)n : MIN((size_t)b, (size_t)n));
	(void)sk->ops->stream->poll(sk);
}

static void do_close(unsigned i, uint8_t a)
{
	int linger[2] = {1, 0};

	if (!x.sk[i] || (i < 2 && a < 0xf0))
		return;
	if (a & 0x80)
		sock_setsockopt(x.sk[i], SOL_SOCKET, SO_LINGER, linger, sizeof(linger));
	sock_close(x.sk[i]);
	sock_put(x.sk[i]);
	x.sk[i] = NULL;
}

static void do_connect(unsigned i, uint8_t a, uint8_t b)
{
	struct sockaddr_in sin = {.sin_family = a & 0x80 ? AF_UNSPEC : AF_INET,
				  .sin_port = htons(a & 0x10 ? PORT + 1 : PORT)};
	unsigned from = a & 0x40 ? 1 : 0;

	if (i < 2)
		return;
	if (!x.sk[i]) {
		if (sock_new(x.net[from], AF_INET, SOCK_STREAM, 0, &x.sk[i]))
			return;
		if (b & 1)
			sock_setsockopt(x.sk[i], IPPROTO_TCP, TCP_FASTOPEN_CONNECT, &(int){1},
					sizeof(int));
	}
	from = x.sk[i]->net == x.net[1];
	sin.sin_addr.s_addr = inet_addr(from ? "10.0.0.1" : "10.0.0.2");
	(void)sock_connect(x.sk[i], (struct sockaddr *)&sin, sizeof(sin));
}

static void do_accept(unsigned l, unsigned i)
{
	if (i >= 2 && !x.sk[i] && x.sk[l])
		(void)sock_accept(x.sk[l], &x.sk[i]);
}

static void do_option(struct sock *sk, uint8_t a, uint8_t b)
{
	static const struct {
		int level, name, unit;
	} o[] = {
		{SOL_SOCKET, SO_RCVBUF, 1000},	       {SOL_SOCKET, SO_SNDBUF, 1000},
		{SOL_SOCKET, SO_KEEPALIVE, 1},	       {SOL_SOCKET, SO_OOBINLINE, 1},
		{IPPROTO_TCP, TCP_NODELAY, 1},	       {IPPROTO_TCP, TCP_CORK, 1},
		{IPPROTO_TCP, TCP_QUICKACK, 1},	       {IPPROTO_TCP, TCP_WINDOW_CLAMP, 500},
		{IPPROTO_TCP, TCP_USER_TIMEOUT, 500},  {IPPROTO_TCP, TCP_LINGER2, 1},
		{IPPROTO_TCP, TCP_DEFER_ACCEPT, 1},    {IPPROTO_TCP, TCP_MAXSEG, 20},
		{IPPROTO_TCP, TCP_NOTSENT_LOWAT, 200}, {IPPROTO_TCP, TCP_KEEPIDLE, 1},
		{SOL_SOCKET, SO_ZEROCOPY, 1},	       {IPPROTO_TCP, TCP_SYNCNT, 1},
	};
	static const char *const cc[] = {"reno", "cubic", "bbr", "dctcp"};
	int v = b * o[a % ARRAY_SIZE(o)].unit;

	if (a >= 0xf0) {
		const char *name = cc[b % ARRAY_SIZE(cc)];

		(void)sock_setsockopt(sk, IPPROTO_TCP, TCP_CONGESTION, name, strlen(name));
		return;
	}
	if (a >= 0xe0) {
		(void)sock_listen(sk, b & 7);
		return;
	}
	a %= ARRAY_SIZE(o);
	(void)sock_setsockopt(sk, o[a].level, o[a].name, &v, sizeof(v));
}

static void do_sysctl(uint8_t a, uint8_t b)
{
	struct tcp_net *tn = tcp_net(x.net[a >> 7]);
	int *const row[] = {
		&tn->tcp_timestamps,	&tn->tcp_sack,	     &tn->tcp_window_scaling,
		&tn->tcp_ecn,		&tn->tcp_syncookies, &tn->tcp_frto,
		&tn->tcp_recovery,	&tn->tcp_dsack,	     &tn->tcp_abort_on_overflow,
		&tn->tcp_early_retrans, &tn->tcp_stdurg,     &tn->tcp_comp_sack_nr,
		&tn->tcp_tw_reuse,	&tn->tcp_rfc1337,    &tn->tcp_max_tw_buckets,
	};

	*row[(a & 0x7f) % ARRAY_SIZE(row)] = b & 3;
}

static void do_link(uint8_t a, uint8_t b)
{
	if (a & 1) {
		unsigned mtu = 500 + b * 4u;

		netdev_set_mtu(x.dev[0], mtu, NULL);
		netdev_set_mtu(x.dev[1], mtu, NULL);
		return;
	}
	x.cut = !x.cut;
	struct fault_args f = {.loss = x.cut ? 1000000 : 0};

	MUST(!fault_kind.change(x.dev[0], &f, (uint64_t[2]){1 << 1}, NULL));
}

/* ---- frames ---- */

struct frame {
	uint8_t data[FRAME_MAX];
	size_t len;
};

/* Addresses and protocol of an IPv4 packet to namespace `to`; its payload follows. */
static void frame_begin(struct frame *f, unsigned to, uint8_t proto)
{
	uint32_t a = inet_addr("10.0.0.1"), b = inet_addr("10.0.0.2");
	uint8_t *ip = f->data + ETH_HLEN;

	memset(f->data, 0, ETH_HLEN + 20);
	memcpy(f->data, x.dev[to]->addr, 6);
	memcpy(f->data + 6, x.dev[!to]->addr, 6);
	put_be16(f->data + 12, ETH_P_IP);
	ip[0] = 0x45;
	ip[6] = 0x40;
	ip[8] = 64;
	ip[9] = proto;
	memcpy(ip + 12, to ? &a : &b, 4);
	memcpy(ip + 16, to ? &b : &a, 4);
	f->len = ETH_HLEN + 20;
}

/* Fills in lengths and checksums, and hands it to the device. */
static void frame_in(struct frame *f, unsigned to, uint8_t tos)
{
	uint8_t *ip = f->data + ETH_HLEN, *l4 = ip + 20;
	size_t n = f->len - ETH_HLEN - 20, at = ip[9] == IPPROTO_TCP ? 16 : 2;
	uint32_t saddr, daddr, sum = 0;
	struct batch b;
	struct pkt *p = pkt_new(x.weft->worker[0]);

	if (!p)
		return;
	ip[1] = tos;
	put_be16(ip + 2, (uint16_t)(n + 20));
	uint16_t field = csum_ip4(ip, 5);

	memcpy(ip + 10, &field, 2);
	if (n >= at + 2) {
		memset(l4 + at, 0, 2);
		memcpy(&saddr, ip + 12, 4);
		memcpy(&daddr, ip + 16, 4);
		if (ip[9] == IPPROTO_TCP)
			sum = csum_pseudo4(saddr, daddr, IPPROTO_TCP, (uint16_t)n);
		field = csum_fold(csum_partial(l4, n, sum));
		memcpy(l4 + at, &field, 2);
	}
	if (pkt_append(&x.weft->worker[0]->cache, p, f->data, f->len)) {
		pkt_free(&x.weft->worker[0]->cache, p);
		return;
	}
	batch_one(&b, p);
	netdev_rx(x.weft->worker[0], x.dev[to], &b);
}

/* ---- attackers ---- */

static const struct tcp_sock *connection(unsigned i)
{
	const struct tcp_sock *tp = i >= 2 && x.sk[i] ? tcp_sk(x.sk[i]) : NULL;

	return tp && TCPF(tp->node.state) & ~(TCPF(TCP_CLOSE) | TCPF(TCP_LISTEN)) ? tp : NULL;
}

static uint32_t near_by(struct view *v, uint32_t base, uint32_t other, uint32_t mss)
{
	uint8_t how = view_u8(v);
	int8_t times = (int8_t)view_u8(v);

	switch (how & 7) {
	case 0 ... 2:
		return base;
	case 3:
		return base + (uint32_t)times;
	case 4:
		return base + (uint32_t)times * mss;
	case 5:
		return other;
	case 6:
		return other + (uint32_t)times;
	default:
		return view_be32(v);
	}
}

static size_t put_sack(struct view *v, const struct tcp_sock *tp, uint8_t *o, unsigned n)
{
	uint32_t mss = MAX(tp->mss_cache, (uint16_t)1);

	o[0] = 1;
	o[1] = 1;
	o[2] = 5;
	o[3] = (uint8_t)(2 + 8 * n);
	for (unsigned i = 0; i < n; i++) {
		put_be32(o + 4 + 8 * i,
			 near_by(v, tp->snd_una + mss * (view_u8(v) & 15), tp->snd_nxt, mss));
		put_be32(o + 8 + 8 * i,
			 near_by(v, tp->snd_una + mss * (view_u8(v) & 31), tp->snd_nxt, mss));
	}
	return 4 + 8 * n;
}

static size_t put_ts(struct view *v, const struct tcp_sock *tp, uint8_t *o)
{
	uint32_t stamp = (uint32_t)(x.now / NSEC_PER_MSEC) + tp->tsoffset;

	memcpy(o, "\1\1\x8\xa", 4);
	put_be32(o + 4, near_by(v, tp->rx_opt.ts_recent, 0, 1000));
	put_be32(o + 8, near_by(v, stamp, 0, 1000));
	return 12;
}

static void do_on_path(struct view *v, unsigned i)
{
	const struct tcp_sock *tp = connection(i);
	struct frame f;
	uint8_t *t = f.data + ETH_HLEN + 20, what, flags;
	size_t n = 20;

	if (!tp)
		return;
	unsigned to = x.sk[i]->net == x.net[1];

	frame_begin(&f, to, IPPROTO_TCP);
	what = view_u8(v);
	flags = view_u8(v);
	memset(t, 0, 20);
	memcpy(t, &tp->in.dport, 2);
	memcpy(t + 2, &tp->in.sport, 2);
	put_be32(t + 4, near_by(v, tp->rcv_nxt, tp->rcv_wup + tp->rcv_wnd, 1000));
	put_be32(t + 8, near_by(v, tp->snd_una, tp->snd_nxt, MAX(tp->mss_cache, (uint16_t)1)));
	t[13] = what & 1 ? flags : TCPHDR_ACK | (flags & (TCPHDR_PSH | TCPHDR_FIN));
	put_be16(t + 14, what & 2 ? view_be16(v) : 1000);
	if (t[13] & TCPHDR_URG)
		put_be16(t + 18, view_be16(v));
	if (what & 4 || tp->rx_opt.tstamp_ok)
		n += put_ts(v, tp, t + n);
	if (what & 8)
		n += put_sack(v, tp, t + n, 1 + view_u8(v) % (n > 20 ? 3u : 4u));
	t[12] = (uint8_t)(n / 4 << 4);
	size_t len = what & 16 ? view_u8(v) * (what & 32 ? 10u : 1u) : 0;

	memset(t + n, 'x', len);
	f.len += n + len;
	frame_in(&f, to, what >> 6);
}

static void do_off_path(struct view *v, unsigned i, uint8_t a)
{
	const struct tcp_sock *tp = connection(i);
	unsigned to = tp ? x.sk[i]->net == x.net[1] : a & 1;
	struct frame f;
	uint8_t *t = f.data + ETH_HLEN + 20;
	unsigned opts = (a >> 4) & 10;

	frame_begin(&f, to, IPPROTO_TCP);
	memset(t, 0, 60);
	put_be16(t, (uint16_t)(1000 + (a & 7)));
	put_be16(t + 2, PORT);
	if (tp && a & 8) {
		memcpy(t, &tp->in.dport, 2);
		memcpy(t + 2, &tp->in.sport, 2);
	}
	put_be32(t + 4, view_be32(v));
	put_be32(t + 8, view_be32(v));
	t[12] = (uint8_t)((5 + opts) << 4);
	t[13] = view_u8(v);
	put_be16(t + 14, view_be16(v));
	for (unsigned k = 0; k < opts * 4; k++)
		t[20 + k] = view_u8(v);
	f.len += 20 + opts * 4 + (a & 3);
	memset(t + 20 + opts * 4, 'y', 3);
	frame_in(&f, to, 0);
}

static void do_raw(struct view *v, uint8_t a, uint8_t b)
{
	size_t n = MIN((size_t)b, v->left);
	const uint8_t *bytes = view_take(v, n);
	struct frame f;

	if (!bytes)
		return;
	frame_begin(&f, a & 1, IPPROTO_TCP);
	memcpy(f.data + f.len, bytes, n);
	f.len += n;
	frame_in(&f, a & 1, 0);
}

/* An error about a segment that the connection has sent. */
static void do_icmp(struct view *v, unsigned i, uint8_t a, uint8_t b)
{
	const struct tcp_sock *tp = connection(i);
	struct frame f;
	uint8_t *icmp = f.data + ETH_HLEN + 20, *ip = icmp + 8;
	uint32_t saddr, daddr;

	if (!tp)
		return;
	unsigned to = x.sk[i]->net == x.net[1];

	frame_begin(&f, to, IPPROTO_ICMP);
	saddr = tp->in.saddr;
	daddr = tp->in.daddr;
	memset(icmp, 0, 36);
	icmp[0] = a & 0x80 ? ICMP_TIME_EXCEEDED : ICMP_DEST_UNREACH;
	icmp[1] = a & 15;
	put_be16(icmp + 6, (uint16_t)(b * 8u));
	ip[0] = 0x45;
	put_be16(ip + 2, 40);
	ip[8] = 1;
	ip[9] = IPPROTO_TCP;
	memcpy(ip + 12, &saddr, 4);
	memcpy(ip + 16, &daddr, 4);
	memcpy(ip + 20, &tp->in.sport, 2);
	memcpy(ip + 22, &tp->in.dport, 2);
	put_be32(ip + 24, near_by(v, tp->snd_una, tp->snd_nxt, 1000));
	f.len += 36;
	frame_in(&f, to, 0);
}

/* ---- the target ---- */

static void record(struct view *v)
{
	uint8_t what = view_u8(v) & 31, a = view_u8(v), b = view_u8(v);
	unsigned i = (a & 7) % N_SOCKS;

	if (what <= REC_OPTION && what != REC_CONNECT && what != REC_ACCEPT && !x.sk[i])
		return;
	switch (what) {
	case REC_WRITE:
		do_write(x.sk[i], a, b);
		break;
	case REC_READ:
		do_read(x.sk[i], a, b);
		break;
	case REC_CLOSE:
		do_close(i, b);
		break;
	case REC_SHUTDOWN:
		(void)sock_shutdown(x.sk[i], b % 4);
		break;
	case REC_CONNECT:
		do_connect(i, a, b);
		break;
	case REC_ACCEPT:
		do_accept(b & 1, i);
		break;
	case REC_OPTION:
		do_option(x.sk[i], b, view_u8(v));
		break;
	case REC_TIME:
		run(a & 0x80 ? b * NSEC_PER_SEC : b * 2 * NSEC_PER_MSEC);
		break;
	case REC_SYSCTL:
		do_sysctl(a, b);
		break;
	case REC_LINK:
		do_link(a, b);
		break;
	case REC_ICMP:
		do_icmp(v, i, b, view_u8(v));
		break;
	case REC_RAW:
		do_raw(v, a, b);
		break;
	case REC_OFF_PATH:
		do_off_path(v, i, b);
		break;
	default:
		do_on_path(v, i);
	}
}

/* Everyone goes home. */
static void finish(bool wait)
{
	struct tcp_core *core = x.weft->tcp;

	for (unsigned i = N_SOCKS; i-- > 0;)
		do_close(i, 0x70 | (i < 2 ? 0xf0 : 0));
	audit();
	/* the longest that anybody waits is for a window that does not open */
	for (unsigned i = 0; wait && i < 100 && (core->n_orphans || core->n_tw); i++) {
		run(60 * NSEC_PER_SEC);
		audit();
	}
	MUST(!wait || (!core->n_orphans && !core->n_tw && !core->n_socks));
	weft_free(x.weft);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct view v = view_of(data, size);
	static bool registered;

	if (!registered)
		rcu_register_thread();
	registered = true;
	world_new();
	bool wait = view_u8(&v) & 1;

	for (unsigned n = 0; v.left > 2 && n < 300; n++) {
		record(&v);
		weft_settle(x.weft, x.now);
		audit();
	}
	finish(wait);
	return 0;
}
