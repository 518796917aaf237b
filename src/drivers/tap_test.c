/*
 * Tests of the TAP driver against the kernel that runs them, in namespaces of their own; skipped
 * where these or /dev/net/tun are not to be had.
 *
 *	host namespace 1: h0 10.9.0.1 ==== t0 [weft: a wire between t0 and t1] t1 ==== h1 10.9.0.2,
 *	host namespace 2
 */
#include "drivers/bed.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/rtnetlink.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/csum.h"
#include "drivers/tap/tap.h"

#define BULK	 (8u << 20)
#define PATIENCE (10 * NSEC_PER_SEC)

static int host_ns[2] = {-1, -1};
static struct netdev *t[2];
static unsigned n_large[2], n_owed[2]; /* received: beyond the MTU, without a checksum */

struct args {
	char host[IFNAMSIZ];
	uint32_t queues;
};

/* ---- the host ---- */

static void enter(unsigned ns)
{
	assert_int_equal(setns(host_ns[ns], CLONE_NEWNET), 0);
}

static int host_socket(unsigned ns, int type)
{
	enter(ns);
	int fd = socket(AF_INET, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	assert_true(fd >= 0);
	return fd;
}

static struct sockaddr_in addr_of(unsigned ns, uint16_t port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};

	a.sin_addr.s_addr = htonl(0x0a090001 + ns);
	return a;
}

static void host_flags(unsigned ns, const char *dev, short flags)
{
	int fd = host_socket(ns, SOCK_DGRAM);
	struct ifreq r = {.ifr_flags = flags};

	snprintf(r.ifr_name, sizeof(r.ifr_name), "%s", dev);
	assert_int_equal(ioctl(fd, SIOCSIFFLAGS, &r), 0);
	close(fd);
}

static short host_get_flags(unsigned ns, const char *dev)
{
	int fd = host_socket(ns, SOCK_DGRAM);
	struct ifreq r = {0};

	snprintf(r.ifr_name, sizeof(r.ifr_name), "%s", dev);
	int err = ioctl(fd, SIOCGIFFLAGS, &r) ? errno : 0;
	close(fd);
	return err ? -1 : r.ifr_flags;
}

static void host_address(unsigned ns, const char *dev)
{
	int fd = host_socket(ns, SOCK_DGRAM);
	struct sockaddr_in a = addr_of(ns, 0), mask = {.sin_family = AF_INET};
	struct ifreq r = {0};

	mask.sin_addr.s_addr = htonl(0xffffff00);
	snprintf(r.ifr_name, sizeof(r.ifr_name), "%s", dev);
	memcpy(&r.ifr_addr, &a, sizeof(a));
	assert_int_equal(ioctl(fd, SIOCSIFADDR, &r), 0);
	memcpy(&r.ifr_netmask, &mask, sizeof(mask));
	assert_int_equal(ioctl(fd, SIOCSIFNETMASK, &r), 0);
	close(fd);
	host_flags(ns, dev, IFF_UP);
}

static void host_delete(unsigned ns, const char *dev)
{
	struct {
		struct nlmsghdr nlh;
		struct ifinfomsg ifi;
		struct rtattr rta;
		char name[IFNAMSIZ];
	} m = {.nlh = {.nlmsg_len = sizeof(m),
		       .nlmsg_type = RTM_DELLINK,
		       .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK},
	       .rta = {RTA_LENGTH(IFNAMSIZ), IFLA_IFNAME}};
	char answer[512] __attribute__((aligned(8)));

	snprintf(m.name, sizeof(m.name), "%s", dev);
	enter(ns);
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	assert_int_equal(send(fd, &m, sizeof(m), 0), sizeof(m));
	assert_true(recv(fd, answer, sizeof(answer), 0) > 0);
	const struct nlmsghdr *nlh = (struct nlmsghdr *)answer;
	assert_int_equal(nlh->nlmsg_type, NLMSG_ERROR);
	assert_int_equal(((const struct nlmsgerr *)NLMSG_DATA(nlh))->error, 0);
	close(fd);
}

/* ---- weft ---- */

/* What one TAP receives the other sends. */
static void cross(struct worker *w, struct netdev *dev, struct batch *b)
{
	unsigned from = dev == t[1];

	for (unsigned i = 0; i < b->n; i++) {
		struct pkt *p = b->p[i];
		n_large[from] += p->total > 1500;
		n_owed[from] += !!(p->flags & PKT_CSUM_PARTIAL);
		if (p->gso)
			assert_true(p->gso_size && p->total > p->gso_size);
		else
			assert_true(p->total <= 1500);
		pkt_push(p, ETH_HLEN);
	}
	netdev_xmit(w, t[!from], b);
}

static struct netdev *tap_new(struct bed *b, unsigned ns, const char *name, const char *host,
			      uint32_t queues, int expect, struct extack *ext)
{
	struct args a = {.queues = queues};
	struct dev_new n = {.net = b->a, .name = name, .params = &a};
	struct netdev *dev = NULL;

	snprintf(a.host, sizeof(a.host), "%s", host);
	enter(ns);
	assert_int_equal(dev_create(&b->core, &tap_kind, &n, &dev, ext), expect);
	return dev;
}

static void step(struct bed *b)
{
	worker_step(&b->worker, clock_mono());
	rcu_quiescent_state();
}

static void wire(struct bed *b, uint32_t queues)
{
	static const char *const host[] = {"h0", "h1"}, *const name[] = {"t0", "t1"};

	for (unsigned i = 0; i < 2; i++) {
		t[i] = tap_new(b, i, name[i], host[i], queues, 0, NULL);
		t[i]->rx_handler = cross;
		up(t[i]);
		host_address(i, host[i]);
	}
	memset(n_large, 0, sizeof(n_large));
	memset(n_owed, 0, sizeof(n_owed));
}

/* ---- TCP between the namespaces ---- */

static uint8_t byte_at(uint32_t i)
{
	return (uint8_t)(i * 31 ^ i >> 9);
}

static void write_some(int fd, uint32_t *sent)
{
	uint8_t buf[65536];
	uint32_t n = MIN(BULK - *sent, (uint32_t)sizeof(buf));

	for (uint32_t i = 0; i < n; i++)
		buf[i] = byte_at(*sent + i);
	ssize_t done = n ? send(fd, buf, n, MSG_NOSIGNAL) : 0;
	assert_true(done >= 0 || errno == EAGAIN);
	*sent += done > 0 ? (uint32_t)done : 0;
}

static void read_some(int fd, uint32_t *got)
{
	static uint8_t buf[1 << 18];
	ssize_t n = recv(fd, buf, sizeof(buf), 0);

	assert_true(n > 0 || errno == EAGAIN);
	for (ssize_t i = 0; i < n; i++)
		if (buf[i] != byte_at(*got + (uint32_t)i))
			fail_msg("byte %u differs", *got + (uint32_t)i);
	*got += n > 0 ? (uint32_t)n : 0;
}

/* From namespace 0 to 1, through both TAPs. */
static void bulk(struct bed *b, uint16_t port)
{
	int l = host_socket(1, SOCK_STREAM), c = host_socket(0, SOCK_STREAM), s = -1;
	struct sockaddr_in to = addr_of(1, port);
	uint64_t limit = clock_mono() + PATIENCE;
	uint32_t sent = 0, got = 0;

	assert_int_equal(bind(l, (struct sockaddr *)&to, sizeof(to)), 0);
	assert_int_equal(listen(l, 1), 0);
	assert_int_equal(connect(c, (struct sockaddr *)&to, sizeof(to)), -1);
	while (s < 0) {
		step(b);
		s = accept4(l, NULL, NULL, SOCK_NONBLOCK);
		assert_true(clock_mono() < limit);
	}
	for (limit = clock_mono() + PATIENCE; got < BULK; step(b)) {
		write_some(c, &sent);
		read_some(s, &got);
		assert_true(clock_mono() < limit);
	}
	close(s);
	close(c);
	close(l);
	for (unsigned i = 0; i < 100; i++) /* what there is to say at the end */
		step(b);
}

static void test_bulk(void **state)
{
	struct bed *b = *state;
	struct rtnl_link_stats64 st;

	wire(b, 1);
	bulk(b, 5001);
	assert_true(n_large[0] > 50); /* whole, with the checksum left to the last */
	assert_true(n_owed[0] > 50);
	netdev_stats(t[1], &st);
	assert_true(st.tx_bytes > BULK);
	assert_int_equal(st.tx_errors + st.tx_dropped, 0);
	assert_true(st.tx_packets < BULK / 1448 / 4);

	/* the receiver's TAP sends no large packets: cut up and summed here */
	assert_int_equal(netdev_set_features(t[1], 0, DEV_F_TSO4 | DEV_F_TX_CSUM), 0);
	bulk(b, 5002);
	netdev_stats(t[1], &st);
	assert_true(st.tx_packets > BULK / 1448);
	assert_int_equal(st.tx_errors, 0);

	/* the sender's TAP takes none: cut up there, summed here */
	assert_int_equal(netdev_set_features(t[1], ~0u, DEV_F_TSO4 | DEV_F_TX_CSUM), 0);
	assert_int_equal(netdev_set_features(t[0], 0, DEV_F_GRO), 0);
	memset(n_large, 0, sizeof(n_large));
	memset(n_owed, 0, sizeof(n_owed));
	bulk(b, 5003);
	assert_int_equal(n_large[0], 0);
	assert_true(n_owed[0] > BULK / 1448);

	/* nor any without a checksum */
	assert_int_equal(netdev_set_features(t[0], 0, DEV_F_RX_CSUM), 0);
	memset(n_owed, 0, sizeof(n_owed));
	bulk(b, 5004);
	assert_int_equal(n_owed[0], 0);
}

/* One large UDP packet leaves weft, and the host's receiver has datagrams. */
static void test_udp_seg(void **state)
{
	enum { N = 20, SIZE = 1000, HDR = 42 };
	struct bed *b = *state;
	uint8_t f[HDR + N * SIZE] = {0}, got[2000];
	struct sockaddr_in at = addr_of(1, 7000);
	uint32_t src = htonl(0x0a090002 + 7), dst = htonl(0x0a090002);

	wire(b, 1);
	int s = host_socket(1, SOCK_DGRAM);
	assert_int_equal(bind(s, (struct sockaddr *)&at, sizeof(at)), 0);
	memset(f, 0xff, 6);
	put_be16(f + 12, ETH_P_IP);
	f[14] = 0x45;
	put_be16(f + 16, sizeof(f) - ETH_HLEN);
	f[22] = 64;
	f[23] = IPPROTO_UDP;
	memcpy(f + 26, &src, 4);
	memcpy(f + 30, &dst, 4);
	uint16_t sum = csum_ip4(f + 14, 5);
	memcpy(f + 24, &sum, 2);
	put_be16(f + 34, 7001);
	put_be16(f + 36, 7000);
	put_be16(f + 38, sizeof(f) - 34);
	for (unsigned i = 0; i < N * SIZE; i++)
		f[HDR + i] = (uint8_t)(i / SIZE);
	sum = (uint16_t)~csum_fold(csum_pseudo4(src, dst, IPPROTO_UDP, sizeof(f) - 34));
	memcpy(f + 40, &sum, 2);
	for (unsigned round = 0; round < 2; round++) {
		struct pkt *p = pkt_new(&b->worker);
		struct batch batch;
		assert_int_equal(pkt_append(&b->worker.cache, p, f, sizeof(f)), 0);
		p->l2 = p->off;
		p->l3 = (uint16_t)(p->off + 14);
		p->l4 = (uint16_t)(p->off + 34);
		p->protocol = htons(ETH_P_IP);
		p->flags |= PKT_CSUM_PARTIAL;
		p->csum_start = p->l4;
		p->csum_off = 6;
		p->gso = PKT_GSO_UDP;
		p->gso_size = SIZE;
		batch_one(&batch, p);
		netdev_xmit(&b->worker, t[1], &batch);
		for (unsigned i = 0; i < N; i++) {
			assert_int_equal(recv(s, got, sizeof(got), 0), SIZE);
			assert_int_equal(got[0], i);
			assert_int_equal(got[SIZE - 1], i);
		}
		assert_int_equal(recv(s, got, sizeof(got), 0), -1);
		/* the second time in software */
		assert_int_equal(netdev_set_features(t[1], 0, DEV_F_UDP_SEG & t[1]->features), 0);
	}
	close(s);
}

static void test_queues(void **state)
{
	struct bed *b = *state;
	const char *const *names;
	uint64_t vals[2 * 64];
	unsigned used = 0;

	wire(b, 64);
	assert_int_equal(t[0]->n_rxq, 64);
	for (unsigned i = 0; i < 400; i++) {
		struct sockaddr_in to = addr_of(1, (uint16_t)(9000 + i));
		int s = host_socket(0, SOCK_DGRAM);
		assert_int_equal(sendto(s, "x", 1, 0, (struct sockaddr *)&to, sizeof(to)), 1);
		close(s);
		step(b);
	}
	assert_int_equal(t[0]->ops->ethtool_stats(t[0], &names, vals), 128);
	assert_string_equal(names[126], "rx_queue_63_packets");
	for (unsigned i = 0; i < 64; i++)
		used += vals[2 * i] > 0;
	assert_true(used > 8);
}

static void test_refusals(void **state)
{
	struct bed *b = *state;
	struct extack ext = {0};
	struct netdev *d;

	tap_new(b, 0, "x", "h9", 257, -ERANGE, &ext);
	/* the name may be the device's own, or a pattern; the host's lo is no TAP */
	tap_new(b, 0, "x", "lo", 2, -EINVAL, &ext);
	assert_string_equal(ext.msg,
			    "the host has a device of that name which is no TAP with queues");
	d = tap_new(b, 0, "x", "", 1, 0, NULL);
	assert_int_equal(host_get_flags(0, "x") & IFF_UP, 0);
	netdev_unregister(d);
	assert_int_equal(host_get_flags(0, "x"), -1);
	d = tap_new(b, 0, "y", "hh%d", 1, 0, NULL);
	struct args got;
	d->kind->get(d, &got);
	assert_string_equal(got.host, "hh0");
	assert_int_equal(got.queues, 1);
	tap_new(b, 0, "z", "hh0", 300, -ERANGE, &ext);
}

static void test_carrier(void **state)
{
	struct bed *b = *state;
	struct rtnl_link_stats64 st;
	struct batch batch;

	wire(b, 1);
	assert_true(host_get_flags(0, "h0") & IFF_RUNNING);
	netdev_set_flags(t[0], 0, IFF_UP, NULL);
	for (unsigned i = 0; i < 100 && host_get_flags(0, "h0") & IFF_RUNNING; i++)
		usleep(20000); /* the kernel's link watch takes its time */
	assert_false(host_get_flags(0, "h0") & IFF_RUNNING);
	up(t[0]);
	/* the host's end is down: refused, and no more than that */
	host_flags(0, "h0", 0);
	struct pkt *p = pkt_new(&b->worker);
	assert_int_equal(pkt_append(&b->worker.cache, p, (uint8_t[60]){0}, 60), 0);
	batch_one(&batch, p);
	netdev_xmit(&b->worker, t[0], &batch);
	netdev_stats(t[0], &st);
	assert_int_equal(st.tx_errors, 1);
	assert_int_equal(st.tx_carrier_errors, 1);
	assert_int_equal(b->worker.drops[DROP_TAP_TXFILTER], 1);
	assert_true(t[0]->carrier);
}

static bool wakes(struct bed *b)
{
	struct pollfd p = {.fd = b->worker.epfd, .events = POLLIN};

	return poll(&p, 1, 0) > 0;
}

/* The worker sleeps until a frame comes; when the host's end goes, it sleeps on. */
static void test_sleep(void **state)
{
	struct bed *b = *state;

	assert_int_equal(worker_open_fds(&b->worker), 0);
	wire(b, 4);
	for (unsigned i = 0; i < 200; i++)
		step(b);
	while (wakes(b)) { /* what the kernel has to say about a new device */
		worker_sleep(&b->worker, 0);
		for (unsigned i = 0; i < 200; i++)
			step(b);
	}
	uint64_t before = t[0]->count[0].rx_packets;
	struct sockaddr_in to = addr_of(1, 4000);
	int s = host_socket(0, SOCK_DGRAM);
	sendto(s, "x", 1, 0, (struct sockaddr *)&to, sizeof(to));
	close(s);
	step(b);
	assert_int_equal(t[0]->count[0].rx_packets, before); /* not looked at */
	assert_true(wakes(b));
	worker_sleep(&b->worker, clock_mono() + NSEC_PER_SEC);
	step(b);
	assert_true(t[0]->count[0].rx_packets > before);

	host_delete(0, "h0");
	assert_true(wakes(b));
	worker_sleep(&b->worker, clock_mono() + NSEC_PER_SEC);
	step(b);
	step(b);
	assert_false(t[0]->carrier);
	assert_true(netdev_running(t[0]));
	host_flags(1, "h1", 0); /* it may have more to say */
	for (unsigned i = 0; i < 200; i++) {
		worker_sleep(&b->worker, 0);
		step(b);
	}
	assert_false(wakes(b));

	/* up again: a new one */
	netdev_set_flags(t[0], 0, IFF_UP, NULL);
	enter(0);
	up(t[0]);
	assert_true(t[0]->carrier);
	assert_true(host_get_flags(0, "h0") != -1);
	/* and while it is down */
	netdev_set_flags(t[0], 0, IFF_UP, NULL);
	host_delete(0, "h0");
	up(t[0]);
	assert_true(host_get_flags(0, "h0") != -1);
	/* sending finds out, too */
	host_delete(0, "h0");
	struct batch batch;
	struct pkt *p = pkt_new(&b->worker);
	assert_int_equal(pkt_append(&b->worker.cache, p, (uint8_t[60]){0}, 60), 0);
	batch_one(&batch, p);
	netdev_xmit(&b->worker, t[0], &batch);
	step(b);
	assert_false(t[0]->carrier);

	/* and the instance ends before it is told; that nothing is left is the sanitizer's to see
	 */
	netdev_set_flags(t[0], 0, IFF_UP, NULL);
	up(t[0]);
	host_delete(0, "h0");
	p = pkt_new(&b->worker);
	assert_int_equal(pkt_append(&b->worker.cache, p, (uint8_t[60]){0}, 60), 0);
	batch_one(&batch, p);
	netdev_xmit(&b->worker, t[0], &batch);
}

/* ---- the header alone ---- */

static void test_vnet(void **state)
{
	struct bed *b = *state;
	struct virtio_net_hdr h, back;
	struct pkt *p = pkt_new(&b->worker);
	uint8_t f[2000] = {0};

	f[34 + 12] = 0x80; /* a TCP header of 32 bytes */
	f[34 + 13] = 0x80; /* CWR */
	assert_int_equal(pkt_append(&b->worker.cache, p, f, sizeof(f)), 0);
	const struct {
		struct virtio_net_hdr h;
		bool ok;
		uint8_t gso;
		uint16_t flags;
	} rows[] = {
		{{0}, true, PKT_GSO_NONE, 0},
		{{.flags = VIRTIO_NET_HDR_F_DATA_VALID}, true, PKT_GSO_NONE, PKT_CSUM_OK},
		{{.flags = 1, .csum_start = 34, .csum_offset = 16},
		 true,
		 PKT_GSO_NONE,
		 PKT_CSUM_PARTIAL},
		{{.flags = 1,
		  .csum_start = 34,
		  .csum_offset = 16,
		  .gso_type = 0x81,
		  .gso_size = 9,
		  .hdr_len = 66},
		 true,
		 PKT_GSO_TCP4,
		 PKT_CSUM_PARTIAL},
		{{.flags = 1,
		  .csum_start = 34,
		  .csum_offset = 6,
		  .gso_type = 5,
		  .gso_size = 9,
		  .hdr_len = 42},
		 true,
		 PKT_GSO_UDP,
		 PKT_CSUM_PARTIAL},
		{{.flags = 1, .csum_start = 1998, .csum_offset = 0}, true, 0, PKT_CSUM_PARTIAL},
		{{.flags = 1, .csum_start = 1999, .csum_offset = 0}, false, 0, 0},
		{{.flags = 1, .csum_start = 65535, .csum_offset = 65535}, false, 0, 0},
		{{.flags = 1, .csum_start = 13, .csum_offset = 0}, false, 0, 0},
		{{.gso_type = 1, .gso_size = 0}, false, 0, 0},
		{{.gso_type = 3, .gso_size = 9}, false, 0, 0}, /* UFO */
		{{.gso_type = 77, .gso_size = 9}, false, 0, 0},
	};
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		p->flags = 0;
		p->gso = 0;
		p->gso_size = 0;
		h = rows[i].h;
		assert_int_equal(tap_vnet_in(&h, p), rows[i].ok);
		if (!rows[i].ok)
			continue;
		assert_int_equal(p->flags, rows[i].flags);
		assert_int_equal(p->gso, rows[i].gso);
		tap_vnet_out(p, &back);
		h.flags &= (uint8_t)~VIRTIO_NET_HDR_F_DATA_VALID; /* a receiver's word */
		assert_memory_equal(&h, &back, sizeof(h));
	}
	pkt_free(&b->worker.cache, p);
}

/* Two namespaces of the host for a process that has perhaps no rights but those it gives itself. */
static bool host_ready(void)
{
	if (geteuid() ? unshare(CLONE_NEWUSER | CLONE_NEWNET) : unshare(CLONE_NEWNET))
		return false;
	for (unsigned i = 0; i < 2; i++) {
		if (i && unshare(CLONE_NEWNET))
			return false;
		host_ns[i] = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	}
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return false;
	struct ifreq r = {.ifr_flags = 0x0002}; /* IFF_TAP */
	bool may = !ioctl(fd, _IOW('T', 202, int), &r);
	close(fd);
	return may;
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_vnet),	  T(test_bulk),	   T(test_udp_seg), T(test_queues),
		T(test_refusals), T(test_carrier), T(test_sleep),
	};

	if (!host_ready()) {
		fputs("no network namespaces or TAP devices to be had\n", stderr);
		return 77;
	}
	rcu_register_thread();
	int failed = cmocka_run_group_tests_name("tap", tests, NULL, NULL);
	rcu_unregister_thread();
	return failed;
}
