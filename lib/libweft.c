/* libweft: the public API, over src/weft.h and src/sock/sock.h. */
#include "libweft.h"

#include <errno.h>

#include "net/net.h"
#include "sock/sock.h"
#include "weft.h"

/* The public handles are the inner objects under another name. */
static struct net *ns_net(struct weft *w, struct weft_ns *ns)
{
	return ns ? (struct net *)ns : w->nets->first;
}

static struct sock *sock_of(struct weft_socket *s)
{
	return (struct sock *)s;
}

void weft_thread_init(void)
{
	rcu_register_thread();
}

void weft_thread_fini(void)
{
	rcu_unregister_thread();
}

int weft_open(const struct weft_options *opt, struct weft **out)
{
	static const struct weft_options none;
	struct weft_config c = {0};
	int err;

	if (!opt)
		opt = &none;
	c.seed = opt->seed;
	c.now = opt->now;
	c.wall = opt->wall;
	c.n_packets = opt->n_packets;
	*out = weft_new(&c, &err);
	return *out ? 0 : err;
}

void weft_close(struct weft *w)
{
	weft_free(w);
}

unsigned weft_poll(struct weft *w, uint64_t now)
{
	unsigned all = 0, n;

	while ((n = weft_step(w, now)))
		all += n;
	return all;
}

uint64_t weft_next(const struct weft *w)
{
	return worker_next(w->worker[0]);
}

int weft_ns_new(struct weft *w, struct weft_ns **out)
{
	int err;
	struct net *net = net_new(w->nets, &err);

	*out = (struct weft_ns *)net;
	return net ? 0 : err;
}

void weft_ns_put(struct weft_ns *ns)
{
	net_put((struct net *)ns);
}

int weft_socket(struct weft *w, struct weft_ns *ns, int family, int type, int protocol,
		struct weft_socket **out)
{
	struct sock *sk = NULL;
	int err = sock_new(ns_net(w, ns), family, type, protocol, &sk);

	*out = (struct weft_socket *)sk;
	return err;
}

void weft_socket_close(struct weft_socket *s)
{
	if (!s)
		return;
	sock_close(sock_of(s));
	sock_put(sock_of(s));
}

int weft_bind(struct weft_socket *s, const struct sockaddr *addr, socklen_t len)
{
	return sock_bind(sock_of(s), addr, len);
}

int weft_connect(struct weft_socket *s, const struct sockaddr *addr, socklen_t len)
{
	return sock_connect(sock_of(s), addr, len);
}

int weft_getsockname(struct weft_socket *s, struct sockaddr *addr, socklen_t *len)
{
	size_t room = *len;
	int err = sock_getname(sock_of(s), false, addr, &room);

	*len = (socklen_t)room;
	return err;
}

int weft_setsockopt(struct weft_socket *s, int level, int name, const void *val, socklen_t len)
{
	return sock_setsockopt(sock_of(s), level, name, val, len);
}

int weft_getsockopt(struct weft_socket *s, int level, int name, void *val, socklen_t *len)
{
	size_t room = *len;
	int err = sock_getsockopt(sock_of(s), level, name, val, &room);

	*len = (socklen_t)room;
	return err;
}

ssize_t weft_sendto(struct weft_socket *s, const void *data, size_t len,
		    const struct sockaddr *addr, socklen_t addr_len)
{
	struct sock_msg m = {
		.name = addr, .name_len = addr ? addr_len : 0, .data = data, .len = len};

	return sock_sendmsg(sock_of(s), &m);
}

ssize_t weft_recvfrom(struct weft_socket *s, void *data, size_t len, struct sockaddr *addr,
		      socklen_t *addr_len)
{
	struct sock *sk = sock_of(s);
	struct sock_rx *rx = sock_dequeue(sk);
	ssize_t got;

	if (!rx) {
		int err = sk->error;
		sk->error = 0;
		return err ? -err : -EAGAIN;
	}
	if (rx->meta.kind == WEFT_DGRAM_DATA) {
		size_t n = MIN(len, rx->caplen);
		if (rx->pkt)
			pkt_copy_out(rx->pkt, 0, data, n);
		else
			memcpy(data, rx->data, n);
		if (addr && addr_len) {
			memcpy(addr, rx->meta.name,
			       MIN((size_t)*addr_len, (size_t)rx->meta.name_len));
			*addr_len = rx->meta.name_len;
		}
		got = (ssize_t)rx->len;
	} else {
		got = rx->meta.error ? -rx->meta.error : -EAGAIN;
	}
	sock_rx_free(sk->weft->worker[0], rx);
	return got;
}
