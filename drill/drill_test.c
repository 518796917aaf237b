/* The library through its table, as packetdrill uses it: calls, packets, time, a second thread, and
 * the commands of a script. */
#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "face.h"

#define US	 1000000ll
#define HEADERS	 28
#define OUR_IP	 0xc0a80001u
#define PEER_IP	 0xc0000201u
#define OUR_PORT 8080

static struct packetdrill_interface ifc;

static int setup(void **state)
{
	packetdrill_interface_init(NULL, &ifc);
	return 0;
}

static int teardown(void **state)
{
	ifc.free(ifc.userdata);
	return 0;
}

static long long now_us(void)
{
	struct timeval tv;

	assert_int_equal(ifc.gettimeofday(ifc.userdata, &tv, NULL), 0);
	return tv.tv_sec * US + tv.tv_usec;
}

static struct sockaddr_in address(uint32_t ip, uint16_t port)
{
	return (struct sockaddr_in){
		.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(ip)};
}

static int open_socket(void)
{
	struct sockaddr_in us = address(OUR_IP, OUR_PORT), peer = address(PEER_IP, 9);
	int fd = ifc.socket(ifc.userdata, AF_INET, SOCK_DGRAM, 0);

	assert_true(fd >= 0);
	assert_int_equal(ifc.bind(ifc.userdata, fd, (struct sockaddr *)&us, sizeof(us)), 0);
	assert_int_equal(ifc.connect(ifc.userdata, fd, (struct sockaddr *)&peer, sizeof(peer)), 0);
	return fd;
}

static uint16_t sum(const uint8_t *p, size_t len)
{
	uint32_t s = 0;

	for (size_t i = 0; i + 1 < len; i += 2)
		s += (uint32_t)p[i] << 8 | p[i + 1];
	while (s >> 16)
		s = (s & 0xffff) + (s >> 16);
	return (uint16_t)~s;
}

/* A datagram of len bytes from the peer. */
static void inject(size_t len)
{
	uint8_t p[1500] = {0x45, 0};
	uint32_t src = htonl(PEER_IP), dst = htonl(OUR_IP);
	uint16_t total = htons((uint16_t)(HEADERS + len)), c;
	uint16_t udp[4] = {htons(9), htons(OUR_PORT), htons((uint16_t)(8 + len)), 0};

	memcpy(p + 2, &total, 2);
	p[8] = 64;
	p[9] = IPPROTO_UDP;
	memcpy(p + 12, &src, 4);
	memcpy(p + 16, &dst, 4);
	c = htons(sum(p, 20));
	memcpy(p + 10, &c, 2);
	memcpy(p + 20, udp, sizeof(udp));
	assert_int_equal(ifc.netdev_send(ifc.userdata, p, HEADERS + len), 0);
}

static void sends_and_receives(void **state)
{
	uint8_t buf[2000];
	int fd = open_socket();
	size_t n = sizeof(buf);
	long long at, t0 = now_us();

	assert_int_equal(ifc.write(ifc.userdata, fd, buf, 100), 100);
	assert_int_equal(ifc.usleep(ifc.userdata, 300000), 0);
	assert_int_equal(ifc.netdev_receive(ifc.userdata, buf, &n, &at), 0);
	assert_int_equal(n, HEADERS + 100);
	assert_int_equal(at, t0); /* when it was sent, not when it was asked for */
	assert_int_equal(now_us() - t0, 300000);

	assert_int_equal(ifc.recv(ifc.userdata, fd, buf, sizeof(buf), MSG_DONTWAIT), -1);
	assert_int_equal(errno, EAGAIN);
	inject(50);
	assert_int_equal(ifc.recv(ifc.userdata, fd, buf, sizeof(buf), MSG_DONTWAIT), 50);
	assert_int_equal(ifc.close(ifc.userdata, fd), 0);
	assert_int_equal(ifc.close(ifc.userdata, fd), -1);
	assert_int_equal(errno, EBADF);
}

static void time_passes_for_who_asks(void **state)
{
	long long t0 = now_us();
	unsigned n = 0;

	while (now_us() < t0 + 250)
		assert_true(++n < 1000);
}

static void bad_memory_is_an_error(void **state)
{
	int fd = open_socket();

	assert_int_equal(ifc.write(ifc.userdata, fd, (void *)1, 10), -1);
	assert_int_equal(errno, EFAULT);
	ifc.close(ifc.userdata, fd);
}

struct blocked {
	int fd;
	ssize_t n;
	long long ended;
};

static void *reader(void *arg)
{
	struct blocked *b = arg;
	char buf[100];

	b->n = ifc.read(ifc.userdata, b->fd, buf, sizeof(buf));
	b->ended = now_us();
	return NULL;
}

/* The time is that of the packet, however late the threads run. */
static void a_call_blocks(void **state)
{
	struct blocked b = {.fd = open_socket()};
	long long t0 = now_us();
	pthread_t t;

	assert_int_equal(pthread_create(&t, NULL, reader, &b), 0);
	usleep(50000);
	ifc.usleep(ifc.userdata, 100000);
	inject(20);
	ifc.usleep(ifc.userdata, 100000);
	assert_int_equal(pthread_join(t, NULL), 0);
	assert_int_equal(b.n, 20);
	assert_int_equal(b.ended - t0, 100000);
	ifc.close(ifc.userdata, b.fd);
}

static void *poller(void *arg)
{
	struct blocked *b = arg;
	struct pollfd fd = {.fd = b->fd, .events = POLLIN};

	b->n = ifc.poll(ifc.userdata, &fd, 1, 200);
	b->ended = now_us();
	return NULL;
}

/* Nobody but the one who waits could move time. */
static void a_wait_ends_by_itself(void **state)
{
	struct blocked b = {.fd = open_socket()};
	long long t0 = now_us();
	pthread_t t;

	assert_int_equal(pthread_create(&t, NULL, poller, &b), 0);
	assert_int_equal(pthread_join(t, NULL), 0);
	assert_int_equal(b.n, 0);
	assert_int_equal(b.ended - t0, 200000);
	ifc.close(ifc.userdata, b.fd);
}

static void edges_are_wakes(void **state)
{
	int fd = open_socket(), set = ifc.epoll_create(ifc.userdata, 1);
	struct epoll_event ev = {.events = EPOLLIN | EPOLLET, .data.u32 = 7}, got;
	char buf[100];

	assert_true(set >= 0);
	assert_int_equal(ifc.epoll_ctl(ifc.userdata, set, EPOLL_CTL_ADD, fd, &ev), 0);
	assert_int_equal(ifc.epoll_wait(ifc.userdata, set, &got, 1, 0), 0);
	for (int i = 0; i < 2; i++) {
		inject(10);
		assert_int_equal(ifc.epoll_wait(ifc.userdata, set, &got, 1, 0), 1);
		assert_int_equal(got.data.u32, 7);
		assert_int_equal(got.events, EPOLLIN);
		assert_int_equal(ifc.epoll_wait(ifc.userdata, set, &got, 1, 0), 0);
	}
	ev.events = EPOLLIN;
	assert_int_equal(ifc.epoll_ctl(ifc.userdata, set, EPOLL_CTL_MOD, fd, &ev), 0);
	for (int i = 0; i < 2; i++)
		assert_int_equal(ifc.epoll_wait(ifc.userdata, set, &got, 1, 0), 1);
	while (ifc.recv(ifc.userdata, fd, buf, sizeof(buf), MSG_DONTWAIT) >= 0)
		;
	assert_int_equal(ifc.epoll_wait(ifc.userdata, set, &got, 1, 0), 0);
	ifc.close(ifc.userdata, set);
	ifc.close(ifc.userdata, fd);
}

static void commands_speak_to_the_instance(void **state)
{
	assert_int_equal(system("test \"$(sysctl -n net.ipv4.ip_default_ttl)\" = 64"), 0);
	assert_int_equal(system("echo 63 >/proc/sys/net/ipv4/ip_default_ttl"), 0);
	assert_int_equal(system("test \"$(sysctl -n net.ipv4.ip_default_ttl)\" = 63"), 0);
	assert_int_equal(system("ip -o addr show dev tun0 | grep -q 192.168.0.1/16"), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sends_and_receives),
		cmocka_unit_test(time_passes_for_who_asks),
		cmocka_unit_test(bad_memory_is_an_error),
		cmocka_unit_test(a_call_blocks),
		cmocka_unit_test(a_wait_ends_by_itself),
		cmocka_unit_test(edges_are_wakes),
		cmocka_unit_test(commands_speak_to_the_instance),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
