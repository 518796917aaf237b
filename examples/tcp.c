/*
 * tcp: a client and a server in one instance, under a clock of the program's own.
 *
 * The client sends a megabyte to 127.0.0.1 and shuts its sending side; the server answers with how
 * much it got. Sockets never wait: each turn of the loop looks at what they are ready for, and
 * moves the clock on to the next thing that is due.
 *
 * Build: cc tcp.c $(pkg-config --cflags --libs libweft)
 */
#include <arpa/inet.h>
#include <errno.h>
#include <libweft.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TO_SEND (1 << 20)

static char data[65536];

static void check(int err, const char *what)
{
	if (err < 0) {
		fprintf(stderr, "%s: %s\n", what, strerror(-err));
		exit(1);
	}
}

/* ip link set lo up: it gets 127.0.0.1 by itself */
static int loopback_up(struct weft *w)
{
	struct {
		struct nlmsghdr h;
		struct ifinfomsg ifi;
	} m = {
		.h = {.nlmsg_len = sizeof(m),
		      .nlmsg_type = RTM_NEWLINK,
		      .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK},
		.ifi = {.ifi_index = 1, .ifi_flags = IFF_UP, .ifi_change = IFF_UP},
	};
	struct {
		struct nlmsghdr h;
		struct nlmsgerr e;
	} answer = {{0}, {-EIO, {0}}};
	struct weft_socket *nl;

	check(weft_socket(w, NULL, AF_NETLINK, SOCK_RAW, NETLINK_ROUTE, &nl), "netlink");
	check((int)weft_sendto(nl, &m, sizeof(m), NULL, 0), "request");
	check((int)weft_recvfrom(nl, &answer, sizeof(answer), NULL, NULL), "answer");
	weft_socket_close(nl);
	return answer.e.error;
}

static struct weft_socket *tcp_socket(struct weft *w)
{
	struct weft_socket *s;

	check(weft_socket(w, NULL, AF_INET, SOCK_STREAM, 0, &s), "socket");
	return s;
}

struct server {
	struct weft_socket *listener, *conn;
	size_t got;
};

static void serve(struct server *v)
{
	if (!v->conn && weft_poll_socket(v->listener) & POLLIN)
		check(weft_accept(v->listener, &v->conn, NULL, NULL), "accept");
	while (v->conn && weft_poll_socket(v->conn) & POLLIN) {
		ssize_t n = weft_recv(v->conn, data, sizeof(data), 0);
		check((int)n, "recv");
		v->got += (size_t)n;
		if (n)
			continue;
		char text[64];
		int len = snprintf(text, sizeof(text), "%zu bytes arrived", v->got);
		check((int)weft_send(v->conn, text, (size_t)len, 0), "answer");
		weft_socket_close(v->conn);
		v->conn = NULL;
	}
}

struct client {
	struct weft_socket *s;
	size_t sent;
	char answer[64];
	size_t len;
	int done;
};

static void ask(struct client *c)
{
	unsigned ready = weft_poll_socket(c->s);
	ssize_t n;

	while (ready & POLLOUT && c->sent < TO_SEND) {
		size_t left = TO_SEND - c->sent;
		n = weft_send(c->s, data, left < sizeof(data) ? left : sizeof(data), 0);
		if (n == -EAGAIN)
			return;
		check((int)n, "send");
		c->sent += (size_t)n;
		if (c->sent == TO_SEND)
			check(weft_shutdown(c->s, SHUT_WR), "shutdown");
	}
	if (!(ready & POLLIN))
		return;
	n = weft_recv(c->s, c->answer + c->len, sizeof(c->answer) - 1 - c->len, 0);
	check((int)n, "recv");
	c->len += (size_t)n;
	c->done = n == 0;
}

int main(void)
{
	struct sockaddr_in at = {.sin_family = AF_INET,
				 .sin_port = htons(7),
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct server server = {0};
	struct client client = {0};
	uint64_t now = 0, end = 60000000000; /* a minute of the program's own time */
	struct weft *w;

	weft_thread_init();
	check(weft_open(&(struct weft_options){.seed = 1}, &w), "weft_open");
	check(loopback_up(w), "lo up");

	server.listener = tcp_socket(w);
	check(weft_bind(server.listener, (struct sockaddr *)&at, sizeof(at)), "bind");
	check(weft_listen(server.listener, 16), "listen");
	client.s = tcp_socket(w);
	int err = weft_connect(client.s, (struct sockaddr *)&at, sizeof(at));
	check(err == -EINPROGRESS ? 0 : err, "connect");

	while (!client.done && now < end) {
		unsigned moved = weft_poll(w, now);
		serve(&server);
		ask(&client);
		if (!moved) {
			uint64_t next = weft_next(w);
			now = next > now && next < end ? next : now + 1000000;
		}
	}
	printf("the server says: %s\n", client.answer);

	weft_socket_close(client.s);
	weft_socket_close(server.listener);
	weft_close(w);
	weft_thread_fini();
	return strcmp(client.answer, "1048576 bytes arrived") != 0;
}
