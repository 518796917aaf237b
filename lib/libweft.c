/* libweft: the public API, over src/weft.h and src/sock/sock.h. */
#include "libweft.h"

#include <errno.h>
#include <poll.h>

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

static int get_name(struct weft_socket *s, bool peer, struct sockaddr *addr, socklen_t *len)
{
	size_t room = *len;
	int err = sock_getname(sock_of(s), peer, addr, &room);

	*len = (socklen_t)room;
	return err;
}

int weft_getsockname(struct weft_socket *s, struct sockaddr *addr, socklen_t *len)
{
	return get_name(s, false, addr, len);
}

int weft_getpeername(struct weft_socket *s, struct sockaddr *addr, socklen_t *len)
{
	return get_name(s, true, addr, len);
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

static ssize_t send_any(struct weft_socket *s, const struct sock_msg *m)
{
	return sock_sendmsg(sock_of(s), m);
}

ssize_t weft_sendto(struct weft_socket *s, const void *data, size_t len,
		    const struct sockaddr *addr, socklen_t addr_len)
{
	return send_any(s, &(struct sock_msg){.name = addr,
					      .name_len = addr ? addr_len : 0,
					      .data = data,
					      .len = len});
}

ssize_t weft_send(struct weft_socket *s, const void *data, size_t len, int flags)
{
	return send_any(s, &(struct sock_msg){.data = data, .len = len, .flags = flags});
}

static ssize_t recv_dgram(struct sock *sk, void *data, size_t len, struct sockaddr *addr,
			  socklen_t *addr_len)
{
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

ssize_t weft_recvfrom(struct weft_socket *s, void *data, size_t len, struct sockaddr *addr,
		      socklen_t *addr_len)
{
	struct sock *sk = sock_of(s);

	if (!sk->ops->stream)
		return recv_dgram(sk, data, len, addr, addr_len);
	if (addr_len)
		*addr_len = 0; /* a stream's bytes have no sender: recvfrom(2) */
	return sk->ops->stream->recv(sk, data, len, 0);
}

ssize_t weft_recv(struct weft_socket *s, void *data, size_t len, int flags)
{
	struct sock *sk = sock_of(s);

	if (sk->ops->stream)
		return sk->ops->stream->recv(sk, data, len, flags);
	return flags & ~MSG_DONTWAIT ? -EOPNOTSUPP : recv_dgram(sk, data, len, NULL, NULL);
}

/* ---- streams ---- */

int weft_listen(struct weft_socket *s, int backlog)
{
	return sock_listen(sock_of(s), backlog);
}

int weft_accept(struct weft_socket *s, struct weft_socket **out, struct sockaddr *addr,
		socklen_t *addr_len)
{
	struct sock *sk = NULL;
	int err = sock_accept(sock_of(s), &sk);

	*out = (struct weft_socket *)sk;
	if (err || !addr || !addr_len)
		return err;
	size_t room = *addr_len;
	err = sock_accepted_name(sk, addr, &room);
	*addr_len = (socklen_t)room;
	if (err) {
		weft_socket_close(*out);
		*out = NULL;
	}
	return err;
}

int weft_shutdown(struct weft_socket *s, int how)
{
	return sock_shutdown(sock_of(s), how);
}

unsigned weft_poll_socket(const struct weft_socket *s)
{
	const struct sock *sk = (const struct sock *)s;
	unsigned mask = POLLOUT;

	static_assert((int)SOCK_POLL_IN == POLLIN && (int)SOCK_POLL_RDHUP == POLLRDHUP &&
			      (int)SOCK_POLL_OUT == POLLOUT && (int)SOCK_POLL_HUP == POLLHUP,
		      "the bits are those of poll(2)");
	if (sk->ops->stream)
		return sk->ops->stream->poll(sk);
	if (sk->rx_head || sk->shut & 1)
		mask |= POLLIN;
	if (sk->error)
		mask |= POLLERR;
	if (sk->shut & 1)
		mask |= POLLRDHUP;
	if (sk->shut == 3)
		mask |= POLLHUP;
	return mask;
}
