/*
 * libweft: streams through the public header alone, over the loopback device, under a virtual
 * clock: what each call returns at each state of a connection, and what weft_poll_socket() says.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <errno.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "../../lib/libweft.h"

struct bed {
	struct weft *w;
	uint64_t now;
};

/* Lets what is under way arrive: a tenth of a second. */
static void settle(struct bed *b)
{
	for (unsigned i = 0; i < 100; i++)
		weft_poll(b->w, b->now += 1000000);
}

static int setup(void **state)
{
	struct {
		struct nlmsghdr h;
		struct ifinfomsg ifi;
	} up = {{.nlmsg_len = sizeof(up), .nlmsg_type = RTM_NEWLINK, .nlmsg_flags = NLM_F_REQUEST},
		{.ifi_index = 1, .ifi_flags = IFF_UP, .ifi_change = IFF_UP}};
	struct bed *b = calloc(1, sizeof(*b));
	struct weft_socket *nl;

	*state = b;
	assert_int_equal(weft_open(&(struct weft_options){.seed = 1, .n_packets = 4096}, &b->w), 0);
	assert_int_equal(weft_socket(b->w, NULL, AF_NETLINK, SOCK_RAW, NETLINK_ROUTE, &nl), 0);
	assert_int_equal(weft_sendto(nl, &up, sizeof(up), NULL, 0), sizeof(up));
	weft_socket_close(nl);
	settle(b);
	return 0;
}

static int teardown(void **state)
{
	struct bed *b = *state;

	weft_close(b->w);
	free(b);
	return 0;
}

static struct sockaddr_in local(uint16_t port)
{
	return (struct sockaddr_in){.sin_family = AF_INET,
				    .sin_port = htons(port),
				    .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

static struct weft_socket *stream(struct bed *b)
{
	struct weft_socket *s;

	assert_int_equal(weft_socket(b->w, NULL, AF_INET, SOCK_STREAM, 0, &s), 0);
	return s;
}

static struct weft_socket *listener(struct bed *b, uint16_t port)
{
	struct weft_socket *s = stream(b);
	struct sockaddr_in at = local(port);

	assert_int_equal(weft_bind(s, (struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(weft_listen(s, 8), 0);
	return s;
}

static struct weft_socket *dial(struct bed *b, uint16_t port)
{
	struct weft_socket *s = stream(b);
	struct sockaddr_in at = local(port);

	assert_int_equal(weft_connect(s, (struct sockaddr *)&at, sizeof(at)), -EINPROGRESS);
	return s;
}

static void pair(struct bed *b, struct weft_socket *l, struct weft_socket **c,
		 struct weft_socket **a)
{
	*c = dial(b, 7);
	settle(b);
	assert_int_equal(weft_accept(l, a, NULL, NULL), 0);
}

static void connects(void **state)
{
	struct bed *b = *state;
	struct weft_socket *l = listener(b, 7), *c, *a = NULL;
	struct sockaddr_in name, peer;
	socklen_t len = sizeof(name), peer_len = sizeof(peer);

	assert_int_equal(weft_poll_socket(l), 0);
	assert_int_equal(weft_accept(l, &a, NULL, NULL), -EAGAIN);
	assert_null(a);
	c = stream(b);
	assert_int_equal(weft_getpeername(c, (struct sockaddr *)&peer, &peer_len), -ENOTCONN);
	weft_socket_close(c);

	c = dial(b, 7);
	assert_int_equal(weft_poll_socket(c) & POLLOUT, 0);
	settle(b);
	assert_int_equal(weft_poll_socket(c), POLLOUT);
	assert_int_equal(weft_poll_socket(l), POLLIN);
	peer_len = sizeof(peer);
	assert_int_equal(weft_accept(l, &a, (struct sockaddr *)&peer, &peer_len), 0);
	assert_int_equal(weft_getsockname(c, (struct sockaddr *)&name, &len), 0);
	assert_int_equal(len, sizeof(name));
	assert_memory_equal(&name, &peer, sizeof(name));
	len = sizeof(name);
	assert_int_equal(weft_getpeername(c, (struct sockaddr *)&name, &len), 0);
	assert_int_equal(ntohs(name.sin_port), 7);
	weft_socket_close(a);
	weft_socket_close(c);
	weft_socket_close(l);
}

static void refused(void **state)
{
	struct bed *b = *state;
	struct weft_socket *c = dial(b, 9);
	int err = 0;
	socklen_t len = sizeof(err);

	settle(b);
	assert_int_equal(weft_poll_socket(c) & (POLLERR | POLLHUP), POLLERR | POLLHUP);
	assert_int_equal(weft_getsockopt(c, SOL_SOCKET, SO_ERROR, &err, &len), 0);
	assert_int_equal(err, ECONNREFUSED);
	weft_socket_close(c);
}

static void carries(void **state)
{
	struct bed *b = *state;
	struct weft_socket *l = listener(b, 7), *c, *a;
	char buf[16] = "";

	pair(b, l, &c, &a);
	assert_int_equal(weft_recv(a, buf, sizeof(buf), 0), -EAGAIN);
	assert_int_equal(weft_send(c, "hel", 3, 0), 3);
	assert_int_equal(weft_sendto(c, "lo", 2, NULL, 0), 2);
	settle(b);
	assert_int_equal(weft_poll_socket(a), POLLIN | POLLOUT);
	assert_int_equal(weft_recv(a, buf, 4, MSG_PEEK), 4);
	assert_int_equal(weft_recvfrom(a, buf, sizeof(buf), NULL, NULL), 5);
	assert_memory_equal(buf, "hello", 5);

	/* half-close: the other half goes on */
	assert_int_equal(weft_shutdown(c, SHUT_WR), 0);
	assert_int_equal(weft_send(c, "x", 1, MSG_NOSIGNAL), -EPIPE);
	settle(b);
	assert_int_equal(weft_poll_socket(a), POLLIN | POLLRDHUP | POLLOUT);
	assert_int_equal(weft_recv(a, buf, sizeof(buf), 0), 0);
	assert_int_equal(weft_send(a, "bye", 3, 0), 3);
	weft_socket_close(a);
	settle(b);
	assert_int_equal(weft_recv(c, buf, sizeof(buf), 0), 3);
	assert_int_equal(weft_recv(c, buf, sizeof(buf), 0), 0);
	assert_true(weft_poll_socket(c) & POLLHUP);
	weft_socket_close(c);
	weft_socket_close(l);
}

static void stops_when_full(void **state)
{
	struct bed *b = *state;
	struct weft_socket *l = listener(b, 7), *c, *a;
	static char block[65536];
	size_t sent = 0, got = 0;
	ssize_t n;

	pair(b, l, &c, &a);
	for (unsigned i = 0; i < 1000; i++) {
		while ((n = weft_send(c, block, sizeof(block), 0)) > 0)
			sent += (size_t)n;
		assert_int_equal(n, -EAGAIN);
		weft_poll(b->w, b->now += 1000000);
	}
	assert_int_equal(weft_poll_socket(c) & POLLOUT, 0);
	for (unsigned i = 0; i < 1000 && got < sent; i++) {
		while ((n = weft_recv(a, block, sizeof(block), 0)) > 0)
			got += (size_t)n;
		settle(b);
	}
	assert_int_equal(got, sent);
	assert_int_equal(weft_poll_socket(c), POLLOUT);

	/* what is not read when its socket is closed makes a reset of it */
	assert_int_equal(weft_send(c, block, 10, 0), 10);
	settle(b);
	weft_socket_close(a);
	settle(b);
	assert_int_equal(weft_recv(c, block, sizeof(block), 0), -ECONNRESET);
	weft_socket_close(c);
	weft_socket_close(l);
}

static void datagrams(void **state)
{
	struct bed *b = *state;
	struct weft_socket *s, *other;
	struct sockaddr_in at = local(53);
	char buf[8];

	assert_int_equal(weft_socket(b->w, NULL, AF_INET, SOCK_DGRAM, 0, &s), 0);
	assert_int_equal(weft_listen(s, 1), -EOPNOTSUPP);
	assert_int_equal(weft_accept(s, &other, NULL, NULL), -EOPNOTSUPP);
	assert_int_equal(weft_bind(s, (struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(weft_connect(s, (struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(weft_poll_socket(s), POLLOUT);
	assert_int_equal(weft_send(s, "ping", 4, 0), 4);
	settle(b);
	assert_int_equal(weft_poll_socket(s), POLLIN | POLLOUT);
	assert_int_equal(weft_recv(s, buf, sizeof(buf), MSG_DONTWAIT), 4);
	assert_int_equal(weft_recv(s, buf, sizeof(buf), 0), -EAGAIN);
	weft_socket_close(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(connects, setup, teardown),
		cmocka_unit_test_setup_teardown(refused, setup, teardown),
		cmocka_unit_test_setup_teardown(carries, setup, teardown),
		cmocka_unit_test_setup_teardown(stops_when_full, setup, teardown),
		cmocka_unit_test_setup_teardown(datagrams, setup, teardown),
	};

	weft_thread_init();
	int err = cmocka_run_group_tests(tests, NULL, NULL);
	weft_thread_fini();
	return err;
}
