/*
 * Sockets under abuse: seeded random options, addresses, control messages, rings and filters on
 * every kind of socket, with traffic and devices that come and go meanwhile. Nothing breaks, every
 * packet comes back, and what can be said of an answer in advance is said.
 */
#include "stack.h"

#include <errno.h>
#include <linux/udp.h>
#include <sys/mman.h>

#define N_SOCKS 24

static const struct {
	int family, type, protocol;
} kinds[] = {
	{AF_INET, SOCK_DGRAM, 0},	   {AF_INET, SOCK_DGRAM, IPPROTO_ICMP},
	{AF_INET, SOCK_RAW, IPPROTO_ICMP}, {AF_INET, SOCK_RAW, IPPROTO_UDP},
	{AF_INET, SOCK_RAW, IPPROTO_RAW},  {AF_PACKET, SOCK_RAW, 0x0300},
	{AF_PACKET, SOCK_DGRAM, 0x0008},   {AF_PACKET, SOCK_RAW, 0},
};

static void fill(struct rng *g, void *to, size_t len)
{
	uint8_t *b = to;

	for (size_t i = 0; i < len; i++)
		b[i] = (uint8_t)rng_u32(g);
}

/* Small numbers and limits more often than noise. */
static uint32_t number(struct rng *g)
{
	static const uint32_t odd[] = {0,      1,      2,	3,	   0xff,	0x100,
				       0x7fff, 0xffff, 0x10000, INT32_MAX, 0x80000000u, UINT32_MAX};

	switch (rng_below(g, 3)) {
	case 0:
		return rng_below(g, 64);
	case 1:
		return odd[rng_below(g, ARRAY_SIZE(odd))];
	}
	return rng_u32(g);
}

static struct sock *some_sock(struct stack *s, struct rng *g)
{
	unsigned k = rng_below(g, ARRAY_SIZE(kinds));

	return stack_sock(rng_below(g, 2) ? s->a : s->b, kinds[k].family, kinds[k].type,
			  kinds[k].protocol);
}

static void set_any(struct sock *sk, struct rng *g)
{
	static const int levels[] = {SOL_SOCKET, IPPROTO_IP, IPPROTO_UDP, IPPROTO_RAW, SOL_PACKET};
	int level = rng_below(g, 8) ? levels[rng_below(g, ARRAY_SIZE(levels))] : (int)rng_u32(g);
	int name = (int)(rng_below(g, 8) ? rng_below(g, 90) : rng_u32(g));
	size_t len = rng_below(g, 65);
	uint32_t val[17];

	fill(g, val, sizeof(val));
	for (unsigned i = 0; i < 16; i++)
		if (rng_below(g, 4))
			val[i] = number(g);
	/* rings of gigabytes would only cost time */
	if (level == SOL_PACKET && (name == PACKET_RX_RING || name == PACKET_TX_RING)) {
		val[0] = 4096u * rng_below(g, 3) + !rng_below(g, 4);
		val[1] = rng_below(g, 4);
		val[2] = 128u << rng_below(g, 5);
		val[3] = rng_below(g, 3) ? val[0] / val[2] * val[1] : number(g);
		len = rng_below(g, 2) ? sizeof(struct tpacket_req) : sizeof(struct tpacket_req3);
	}
	sock_setsockopt(sk, level, name, val, len);
	len = rng_below(g, 65);
	size_t room = len;
	int err = sock_getsockopt(sk, level, name, val, &len);

	/* filters say what they need; everything else keeps to its room */
	if (!err && !(level == SOL_SOCKET && name == SO_ATTACH_FILTER))
		assert_true(len <= room);
}

static size_t any_addr(struct stack *s, struct rng *g, struct sockaddr_storage *ss)
{
	static const char *const addrs[] = {"10.0.0.1",	  "10.0.0.2",	     "127.0.0.1",
					    "224.0.0.1",  "0.0.0.0",	     "10.0.0.9",
					    "10.0.0.255", "255.255.255.255", "239.9.9.9"};
	struct sockaddr_in sin = stack_in(addrs[rng_below(g, ARRAY_SIZE(addrs))],
					  (uint16_t)(rng_below(g, 4) ? 1 + rng_below(g, 8) : 0));
	struct sockaddr_ll sll = {.sll_family = AF_PACKET,
				  .sll_protocol = (uint16_t)number(g),
				  .sll_ifindex = (int)rng_below(g, 5),
				  .sll_halen = (uint8_t)(rng_below(g, 3) ? 6 : number(g))};

	fill(g, ss, sizeof(*ss));
	switch (rng_below(g, 4)) {
	case 0:
		break;
	case 1:
		memcpy(ss, &sll, sizeof(sll));
		break;
	default:
		memcpy(ss, &sin, sizeof(sin));
	}
	if (!rng_below(g, 8))
		ss->ss_family = AF_UNSPEC;
	return rng_below(g, 4) ? (rng_below(g, 2) ? sizeof(sin) : sizeof(sll)) : rng_below(g, 140);
}

static void send_any(struct stack *s, struct sock *sk, struct rng *g)
{
	static uint8_t data[70000];
	struct sockaddr_storage ss;
	struct weft_dgram meta;
	size_t alen = any_addr(s, g, &ss);

	fill(g, &meta, sizeof(meta));
	meta.ifindex = (int)rng_below(g, 5);
	if (rng_below(g, 2))
		meta.gso_size = (uint16_t)(rng_below(g, 2) ? 0 : rng_below(g, 2000));
	struct sock_msg m = {.name = rng_below(g, 4) ? &ss : NULL,
			     .name_len = alen,
			     .data = data,
			     .len = rng_below(g, 4) ? rng_below(g, 200)
						    : rng_below(g, sizeof(data)),
			     .flags = rng_below(g, 4) ? 0 : (int)rng_u32(g),
			     .meta = rng_below(g, 2) ? &meta : NULL};

	if (!m.name)
		m.name_len = 0;
	fill(g, data, 64);
	ssize_t n = sock_sendmsg(sk, &m);

	assert_true(n >= -4095 && n <= (ssize_t)sizeof(data));
}

static void filter_any(struct sock *sk, struct rng *g)
{
	static const uint16_t codes[] = {
		BPF_LD | BPF_W | BPF_ABS,  BPF_LD | BPF_B | BPF_IND,  BPF_LDX | BPF_B | BPF_MSH,
		BPF_ALU | BPF_ADD | BPF_X, BPF_JMP | BPF_JEQ | BPF_K, BPF_JMP | BPF_JA,
		BPF_MISC | BPF_TAX,	   BPF_RET | BPF_K,	      BPF_RET | BPF_A};
	struct sock_filter f[8];
	unsigned n = 1 + rng_below(g, 8);

	for (unsigned i = 0; i < n; i++)
		f[i] = (struct sock_filter){codes[rng_below(g, ARRAY_SIZE(codes))],
					    (uint8_t)rng_below(g, 4), (uint8_t)rng_below(g, 4),
					    number(g)};
	if (rng_below(g, 2))
		f[n - 1] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, number(g));
	sock_setsockopt(sk, SOL_SOCKET, SO_ATTACH_FILTER, f, n * sizeof(f[0]));
	if (!rng_below(g, 3))
		stack_set(sk, SOL_SOCKET, SO_DETACH_FILTER, 0);
}

/* A program writes what it likes into memory that it shares with us. */
static void scribble(struct sock *sk, struct rng *g)
{
	size_t size;
	int fd = sk->ops->mmap_fd ? sk->ops->mmap_fd(sk, &size) : -1;

	if (fd < 0)
		return;
	uint8_t *ring = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	assert_true(ring != MAP_FAILED);
	for (unsigned i = 0; i < 64; i++) {
		uint32_t v = number(g);

		memcpy(ring + (rng_below(g, (uint32_t)size) & ~3u), &v, 4);
	}
	munmap(ring, size);
}

static void calls_any(struct stack *s, struct sock *sk, struct rng *g)
{
	struct sockaddr_storage ss;
	size_t len = any_addr(s, g, &ss);
	uint8_t arg[64];

	switch (rng_below(g, 5)) {
	case 0:
		sock_bind(sk, (struct sockaddr *)&ss, len);
		break;
	case 1:
		sock_connect(sk, (struct sockaddr *)&ss, len);
		break;
	case 2:
		len = rng_below(g, sizeof(ss));
		sock_getname(sk, rng_below(g, 2), (struct sockaddr *)&ss, &len);
		break;
	case 3:
		if (!rng_below(g, 16))
			sock_shutdown(sk, (int)rng_below(g, 5));
		break;
	case 4:
		fill(g, arg, sizeof(arg));
		if (sk->ops->ioctl)
			sk->ops->ioctl(sk, rng_u32(g), arg, rng_below(g, sizeof(arg)));
		break;
	}
}

static void shake(struct stack *s, struct rng *g)
{
	struct netdev *dev = rng_below(g, 2) ? s->v0 : s->v1;

	stack_up(dev, false);
	stack_settle(s);
	stack_up(dev, true);
	stack_run(s, NSEC_PER_SEC);
}

static void test_abuse(void **state)
{
	struct stack *s = *state;
	struct sock *x[N_SOCKS];
	struct rng g;

	s->a->ip4->ping_group_range[0] = s->b->ip4->ping_group_range[0] = 0;
	rng_seed(&g, 4711);
	for (unsigned i = 0; i < N_SOCKS; i++)
		x[i] = some_sock(s, &g);
	for (unsigned n = 0; n < 60000; n++) {
		unsigned i = rng_below(&g, N_SOCKS);

		switch (rng_below(&g, 16)) {
		case 0:
			if (rng_below(&g, 8))
				break;
			stack_close(x[i]);
			x[i] = some_sock(s, &g);
			break;
		case 1 ... 6:
			set_any(x[i], &g);
			break;
		case 7 ... 10:
			send_any(s, x[i], &g);
			break;
		case 11:
			filter_any(x[i], &g);
			break;
		case 12:
			calls_any(s, x[i], &g);
			break;
		case 13:
			scribble(x[i], &g);
			break;
		case 14:
			stack_drain(x[i]);
			break;
		case 15:
			stack_settle(s);
			if (!rng_below(&g, 64))
				shake(s, &g);
			break;
		}
	}
	for (unsigned i = 0; i < N_SOCKS; i++) {
		stack_drain(x[i]);
		stack_close(x[i]);
	}
	assert_int_equal(s->v0->promiscuity + s->v1->promiscuity, 0);
	assert_int_equal(s->v0->allmulti + s->v1->allmulti, 0);
}

/* The words for addresses that are too short, too long or of another family. */
static void test_addresses(void **state)
{
	struct stack *s = *state;
	struct sock *udp = stack_udp(s->a), *raw = stack_sock(s->a, AF_INET, SOCK_RAW, 89),
		    *pk = stack_sock(s->a, AF_PACKET, SOCK_RAW, 0);
	struct sockaddr_storage ss = {.ss_family = AF_INET6};
	const struct sockaddr *a = (const struct sockaddr *)&ss;

	assert_int_equal(sock_bind(udp, a, 28), -EAFNOSUPPORT);
	assert_int_equal(sock_bind(udp, a, 15), -EINVAL);
	assert_int_equal(sock_bind(udp, a, 129), -EINVAL);
	assert_int_equal(sock_connect(udp, a, 1), -EINVAL);
	assert_int_equal(sock_connect(udp, a, 15), -EINVAL);
	assert_int_equal(sock_connect(udp, a, 28), -EAFNOSUPPORT);
	assert_int_equal(sock_bind(pk, a, 28), -EINVAL);
	ss.ss_family = AF_PACKET;
	assert_int_equal(sock_bind(pk, a, sizeof(struct sockaddr_ll) - 1), -EINVAL);
	assert_int_equal(sock_connect(pk, a, 20), -EOPNOTSUPP);
	ss.ss_family = AF_UNSPEC;
	/* that connect has bound it, as in Linux; another one may be bound like that */
	assert_int_equal(sock_bind(udp, a, 16), -EINVAL);
	stack_close(udp);
	udp = stack_udp(s->a);
	assert_int_equal(sock_bind(udp, a, 16), 0);
	assert_int_equal(sock_bind(raw, a, 15), -EINVAL);
	struct sock_msg m = {.name = &ss, .name_len = 15, .data = "x", .len = 1};

	assert_int_equal(sock_sendmsg(udp, &m), -EINVAL);
	assert_int_equal(sock_sendmsg(raw, &m), -EINVAL);
	assert_int_equal(sock_sendmsg(pk, &m), -EINVAL);
	ss.ss_family = AF_INET6;
	m.name_len = 28;
	assert_int_equal(sock_sendmsg(udp, &m), -EAFNOSUPPORT);
	assert_int_equal(sock_sendmsg(raw, &m), -EAFNOSUPPORT);
	stack_close(udp);
	stack_close(raw);
	stack_close(pk);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, stack_setup, stack_teardown)
	const struct CMUnitTest tests[] = {T(test_abuse), T(test_addresses)};
#undef T

	rcu_register_thread();
	int failed = cmocka_run_group_tests(tests, NULL, NULL);

	rcu_unregister_thread();
	return failed;
}
