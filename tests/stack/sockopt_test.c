/*
 * Every option of SOL_SOCKET, IPPROTO_IP, IPPROTO_UDP and SOL_PACKET, set and read with many values
 * and lengths on sockets of the host's kernel and on weft's: the answers are the same, to the byte.
 *
 * Skipped where the host does not let us make a network namespace, or is older than what weft
 * follows.
 */
#include "stack.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/errqueue.h>
#include <linux/udp.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "sock/sock_core.h"

#define ROOM	  96
#define MAX_SHOWN 50

/* A socket of the kernel and its twin. */
struct twin {
	int fd;
	struct sock *sk;
};

struct kind {
	const char *name;
	int family, type, protocol;
};

static const struct kind kinds[] = {
	{"udp", AF_INET, SOCK_DGRAM, 0},
	{"icmp", AF_INET, SOCK_DGRAM, IPPROTO_ICMP},
	{"raw-icmp", AF_INET, SOCK_RAW, IPPROTO_ICMP},
	{"raw-raw", AF_INET, SOCK_RAW, IPPROTO_RAW},
	{"raw-89", AF_INET, SOCK_RAW, 89},
	{"packet-raw", AF_PACKET, SOCK_RAW, 0},
	{"packet-dgram", AF_PACKET, SOCK_DGRAM, 0},
};

static unsigned n_bad, n_done;

static struct twin twin_new(struct stack *s, const struct kind *k)
{
	struct twin t = {.fd = socket(k->family, k->type, k->protocol)};

	assert_true(t.fd >= 0);
	t.sk = stack_sock(s->a, k->family, k->type, k->protocol);
	return t;
}

static void twin_free(struct twin *t)
{
	close(t->fd);
	stack_close(t->sk);
}

/* What a program cannot expect to be equal, or what reaches weft in another form. */
static bool own_way(const struct kind *k, int level, int name)
{
	if (level == SOL_SOCKET) {
		switch (name) {
		case SO_ATTACH_FILTER: /* arrives as instructions */
		case SO_ATTACH_BPF:    /* eBPF */
		case SO_ATTACH_REUSEPORT_CBPF:
		case SO_ATTACH_REUSEPORT_EBPF:
		case SO_COOKIE:
		case SO_NETNS_COOKIE:
		case SO_INCOMING_CPU: /* where it runs */
		case SO_PEEK_OFF:     /* not offered */
			return true;
		}
	}
	if (level == IPPROTO_IP) {
		switch (name) {
		case IP_IPSEC_POLICY: /* no IPsec here */
		case IP_XFRM_POLICY:
		case IP_UNBLOCK_SOURCE: /* no source filters */
		case IP_BLOCK_SOURCE:
		case IP_ADD_SOURCE_MEMBERSHIP:
		case IP_DROP_SOURCE_MEMBERSHIP:
		case IP_MSFILTER:
		case MCAST_BLOCK_SOURCE:
		case MCAST_UNBLOCK_SOURCE:
		case MCAST_JOIN_SOURCE_GROUP:
		case MCAST_LEAVE_SOURCE_GROUP:
		case MCAST_MSFILTER:
		case 64: /* no netfilter */
		case 65:
		case 66:
		case 67:
			return true;
		}
	}
	return level == IPPROTO_UDP && name == UDP_ENCAP; /* no IPsec */
}

static void complain(const struct kind *k, const char *what, int level, int name, int len,
		     const char *why, long kernel, long weft)
{
	if (n_bad++ < MAX_SHOWN)
		printf("%s: %s level %d name %d len %d: %s: kernel %ld, weft %ld\n", k->name, what,
		       level, name, len, why, kernel, weft);
}

static void compare_get(struct twin *t, const struct kind *k, int level, int name, int len,
			const char *what)
{
	uint8_t kb[ROOM], wb[ROOM];
	socklen_t kl = (socklen_t)len;
	size_t wl = (size_t)len;

	memset(kb, 0xa5, sizeof(kb));
	memset(wb, 0xa5, sizeof(wb));
	/* some options read their room */
	memset(kb, 0, (size_t)len);
	memset(wb, 0, (size_t)len);
	int ke = getsockopt(t->fd, level, name, kb, &kl) ? -errno : 0;
	int we = sock_getsockopt(t->sk, level, name, wb, &wl);

	n_done++;
	if (ke != we)
		complain(k, what, level, name, len, "errno", -ke, -we);
	else if (!ke && kl != wl)
		complain(k, what, level, name, len, "length", (long)kl, (long)wl);
	else if (!ke && memcmp(kb, wb, sizeof(kb)))
		complain(k, what, level, name, len, "bytes", *(int *)kb, *(int *)wb);
}

static void compare_set(struct twin *t, const struct kind *k, int level, int name, const void *val,
			int len)
{
	int ke = setsockopt(t->fd, level, name, val, (socklen_t)len) ? -errno : 0;
	int we = sock_setsockopt(t->sk, level, name, val, (size_t)len);

	n_done++;
	if (ke != we) {
		if (n_bad < MAX_SHOWN)
			printf("value %d: ", *(const int *)val);
		complain(k, "set", level, name, len, "errno", -ke, -we);
	}
}

static const int lengths[] = {0, 1, 2, 3, 4, 5, 7, 8, 12, 16, 17, 20, 24, 32, 64};
static const int values[] = {0,	   1,	  -1,	 2,	     3,		4,	   7,	      8,
			     15,   16,	  64,	 127,	     128,	255,	   256,	      1500,
			     4096, 65535, 65536, 0x10000000, INT32_MAX, INT32_MIN, 0x00640032};

static void one_option(struct stack *s, const struct kind *k, int level, int name)
{
	struct twin t = twin_new(s, k);

	for (size_t i = 0; i < ARRAY_SIZE(lengths); i++)
		compare_get(&t, k, level, name, lengths[i], "get");
	for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
		int v[16] = {values[i]};

		for (size_t j = 0; j < ARRAY_SIZE(lengths); j++) {
			if (lengths[j] != 4 && i > 2)
				continue;
			compare_set(&t, k, level, name, v, lengths[j]);
			compare_get(&t, k, level, name, 4, "get after set");
			compare_get(&t, k, level, name, 1, "get after set");
			compare_get(&t, k, level, name, 16, "get after set");
		}
	}
	twin_free(&t);
}

static void level_matrix(struct stack *s, int level, int lo, int hi)
{
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		for (int name = lo; name <= hi; name++)
			if (!own_way(&kinds[i], level, name))
				one_option(s, &kinds[i], level, name);
}

/* A namespace of the host's for our sockets; skips when there is none. */
static void host_namespace(void)
{
	static bool done;
	struct utsname u;
	unsigned major = 0;

	if (done)
		return;
	if (uname(&u) || sscanf(u.release, "%u", &major) != 1 || major < 6)
		skip();
	if (unshare(CLONE_NEWNET))
		skip();
	int fd = open("/proc/sys/net/ipv4/ping_group_range", O_WRONLY);

	if (fd < 0 || write(fd, "0 0", 3) != 3)
		skip();
	close(fd);
	if (system("ip link set lo up"))
		skip();
	done = true;
}

static int host_value(const char *path)
{
	FILE *f = fopen(path, "r");
	int v = 0;

	if (!f || fscanf(f, "%d", &v) != 1)
		skip();
	fclose(f);
	return v;
}

/* The host's administrator may have changed what sockets may have. */
static void host_limits(struct stack *s)
{
	struct sock_core *core = s->weft->sock;

	core->rmem_default = host_value("/proc/sys/net/core/rmem_default");
	core->rmem_max = host_value("/proc/sys/net/core/rmem_max");
	core->wmem_default = host_value("/proc/sys/net/core/wmem_default");
	core->wmem_max = host_value("/proc/sys/net/core/wmem_max");
}

static void matrix(struct stack *s, int level, int lo, int hi)
{
	host_namespace();
	host_limits(s);
	n_bad = n_done = 0;
	s->a->ip4->ping_group_range[0] = 0;
	s->a->ip4->ping_group_range[1] = 0;
	level_matrix(s, level, lo, hi);
	assert_true(n_done > 1000);
	assert_int_equal(n_bad, 0);
}

static void test_sol_socket(void **state)
{
	matrix(*state, SOL_SOCKET, 0, 90);
}

static void test_ip(void **state)
{
	matrix(*state, IPPROTO_IP, 0, 80);
}

static void test_udp(void **state)
{
	matrix(*state, IPPROTO_UDP, 0, 110);
}

static void test_raw(void **state)
{
	matrix(*state, IPPROTO_RAW, 0, 4);
}

static void test_packet(void **state)
{
	matrix(*state, SOL_PACKET, 0, 30);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_sol_socket, stack_setup, stack_teardown),
		cmocka_unit_test_setup_teardown(test_ip, stack_setup, stack_teardown),
		cmocka_unit_test_setup_teardown(test_udp, stack_setup, stack_teardown),
		cmocka_unit_test_setup_teardown(test_raw, stack_setup, stack_teardown),
		cmocka_unit_test_setup_teardown(test_packet, stack_setup, stack_teardown),
	};

	rcu_register_thread();
	int failed = cmocka_run_group_tests(tests, NULL, NULL);

	rcu_unregister_thread();
	return failed;
}
