/*
 * sockets: the daemon's ends of the pairs that programs hold as their sockets.
 *
 * A socket that has something for its program is put on the list of dirty ends (end_wake), which is
 * flushed after each step of the stack and before each answer, so that what a request set off can
 * be read when the request returns. What the pair does not take stays in the socket's own queue
 * and goes on when the program has read; a program that never reads keeps the pair's buffer (sized
 * by its SO_RCVBUF) and rcvbuf bytes busy, and the rest is dropped as the protocol has it.
 */
#include "daemon.h"

#include <errno.h>
#include <linux/errqueue.h>
#include <linux/sockios.h>
#include <poll.h>
#include <stdarg.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "sock/inet.h"

#define DRAIN_MAX 64 /* datagrams taken from one end at a time */

static socklen_t name_va(struct sockaddr_un *a, const struct daemon *d, const char *fmt, va_list ap)
{
	char *name = a->sun_path + 1; /* an abstract name */
	size_t room = sizeof(a->sun_path) - 1, n;

	*a = (struct sockaddr_un){.sun_family = AF_UNIX};
	n = (size_t)snprintf(name, room, "weft/%llx/", (unsigned long long)d->id);
	n += (size_t)vsnprintf(name + n, room - n, fmt, ap);
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + n);
}

static __attribute__((format(printf, 3, 4))) socklen_t
name_of(struct sockaddr_un *a, const struct daemon *d, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	socklen_t len = name_va(a, d, fmt, ap);
	va_end(ap);
	return len;
}

/* The name of the program's end of the nth pair of sk. */
static socklen_t name_of_sock(struct sockaddr_un *a, const struct daemon *d, const struct sock *sk,
			      unsigned nth)
{
	if (!nth)
		return name_of(a, d, "%llu/%d/%d/%d", (unsigned long long)sk->id, sk->family,
			       sk->type, sk->protocol);
	return name_of(a, d, "%llu/%d/%d/%d/%u", (unsigned long long)sk->id, sk->family, sk->type,
		       sk->protocol, nth);
}

static int pair_bound(int type, int fd[2], const struct sockaddr_un *a, socklen_t len)
{
	if (socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, fd))
		return -errno;
	if (!bind(fd[1], (const struct sockaddr *)a, len))
		return 0;
	int err = -errno;
	close(fd[0]);
	close(fd[1]);
	fd[0] = fd[1] = -1;
	return err;
}

int pair_named(struct daemon *d, int type, int fd[2], const char *fmt, ...)
{
	struct sockaddr_un a;
	va_list ap;

	va_start(ap, fmt);
	socklen_t len = name_va(&a, d, fmt, ap);
	va_end(ap);
	return pair_bound(type, fd, &a, len);
}

/* ---- by id ---- */

static unsigned long id_hash(uint64_t id)
{
	return (unsigned long)(id * 0x9e3779b97f4a7c15ULL >> 16);
}

static int id_match(struct cds_lfht_node *node, const void *key)
{
	return container_of(node, struct end, node)->sk->id == *(const uint64_t *)key;
}

struct end *end_by_id(struct daemon *d, uint64_t id)
{
	struct cds_lfht_iter iter;

	cds_lfht_lookup(d->ends, id_hash(id), id_match, &id, &iter);
	struct cds_lfht_node *node = cds_lfht_iter_get_node(&iter);
	return node ? container_of(node, struct end, node) : NULL;
}

int ends_init(struct daemon *d)
{
	d->ends = cds_lfht_new(64, 64, 0, CDS_LFHT_AUTO_RESIZE, NULL);
	return d->ends ? 0 : -ENOMEM;
}

/* ---- to the program ---- */

/* Called by the stack when the socket has something; worker 0. */
static void end_wake(struct sock *sk)
{
	struct end *e = sk->end;

	if (e && e->stream) {
		if (cds_list_empty(&e->dirty))
			cds_list_add_tail(&e->dirty, &e->d->dirty);
		return;
	}
	/* An error is shown even when there is no room for data. */
	if (e && (!e->blocked || (sk->error && !e->error_shown)) && cds_list_empty(&e->dirty))
		cds_list_add_tail(&e->dirty, &e->d->dirty);
}

static void watch(struct end *e)
{
	worker_fd_mod(e->d->w, &e->fd, EPOLLIN | (e->blocked ? EPOLLOUT : 0));
}

/* A pair takes no record larger than its buffer. */
static bool grow(struct end *e, size_t len)
{
	int now = 0, want = (int)(len / 2 + 64);
	socklen_t n = sizeof(now);

	if (getsockopt(e->fd.fd, SOL_SOCKET, SO_SNDBUF, &now, &n) || (size_t)now >= len + 64)
		return false;
	return !setsockopt(e->fd.fd, SOL_SOCKET, SO_SNDBUF, &want, sizeof(want));
}

/* One record. 0, -EAGAIN, or another error: the record is lost. */
static int push(struct end *e, const struct weft_dgram *meta, const void *data, size_t len)
{
	struct iovec iov[2] = {{.iov_base = (void *)meta, .iov_len = sizeof(*meta)},
			       {.iov_base = (void *)data, .iov_len = len}};
	struct msghdr m = {.msg_iov = iov, .msg_iovlen = 2};

	for (;;) {
		if (sendmsg(e->fd.fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0)
			return 0;
		if (errno == EINTR)
			continue;
		if (errno != EMSGSIZE || !grow(e, sizeof(*meta) + len))
			return -errno;
	}
}

/* A record without data that must not wait until the program reads: a full pair is given more room
 * for it alone, so that who reads everything there is reads it too. */
static int push_mark(struct end *e, const struct weft_dgram *meta)
{
	int err = push(e, meta, NULL, 0), now = 0;
	socklen_t n = sizeof(now);

	if (err != -EAGAIN || getsockopt(e->fd.fd, SOL_SOCKET, SO_SNDBUF, &now, &n) ||
	    setsockopt(e->fd.fd, SOL_SOCKET, SO_SNDBUF, &now, sizeof(now)))
		return err;
	err = push(e, meta, NULL, 0);
	end_sized(e);
	return err;
}

static int push_rx(struct end *e, const struct sock_rx *rx)
{
	const void *data = rx->data;

	if (rx->pkt && rx->pkt->len >= rx->caplen) {
		data = pkt_data(rx->pkt);
	} else if (rx->pkt) {
		if (rx->caplen > WEFT_MSG_MAX)
			return -EMSGSIZE;
		pkt_copy_out(rx->pkt, 0, e->d->scratch, (unsigned)rx->caplen);
		data = e->d->scratch;
	}
	return push(e, &rx->meta, data, rx->caplen);
}

/* The mark of an error goes ahead of data that is still queued here: a kernel shows it first, too.
 */
static bool flush_error(struct end *e)
{
	struct weft_dgram meta = {.kind = WEFT_DGRAM_ERROR};

	if (!e->sk->error || e->error_shown)
		return true;
	meta.error = e->sk->error;
	if (push_mark(e, &meta) == -EAGAIN)
		return false;
	e->error_shown = true;
	return true;
}

/* Moves a record to the error queue and leaves a mark in its place. False: no room for the mark. */
static bool flush_errq(struct end *e, struct sock_rx *rx)
{
	const struct weft_dgram meta = {.kind = WEFT_DGRAM_ERRQ};

	if (e->errq_bytes + rx->truesize >= e->sk->rcvbuf) {
		sock_rx_free(e->d->w, rx);
		return true;
	}
	if (push(e, &meta, NULL, 0) == -EAGAIN)
		return false;
	rx->next = NULL;
	*e->errq_tail = rx;
	e->errq_tail = &rx->next;
	e->errq_bytes += rx->truesize;
	e->errq_n++;
	return true;
}

void end_mark(struct end *e)
{
	const struct weft_dgram meta = {.kind = e->sk->error ? WEFT_DGRAM_ERROR : WEFT_DGRAM_ERRQ};

	/* without room, data wakes the program */
	if (e->sk->error || e->errq_n)
		push(e, &meta, NULL, 0);
}

static bool is_icmp(const struct sock_rx *rx)
{
	return rx && (rx->meta.ee_origin == SO_EE_ORIGIN_ICMP ||
		      rx->meta.ee_origin == SO_EE_ORIGIN_ICMP6);
}

struct sock_rx *end_errq_take(struct end *e)
{
	struct sock_rx *rx = e->errq;

	if (!rx)
		return NULL;
	e->errq = rx->next;
	if (!e->errq)
		e->errq_tail = &e->errq;
	e->errq_bytes -= rx->truesize;
	e->errq_n--;
	/* so_error is that of the next in the queue; with the last one it goes */
	if (is_icmp(e->errq))
		sock_error(e->sk, (int)e->errq->meta.ee_errno);
	else if (is_icmp(rx))
		sock_take_error(e->sk);
	return rx;
}

static bool flush_queue(struct end *e)
{
	struct sock_rx *rx;

	while ((rx = sock_dequeue(e->sk))) {
		bool errq = rx->meta.kind == WEFT_DGRAM_ERRQ;
		bool done = errq ? flush_errq(e, rx) : push_rx(e, rx) != -EAGAIN;
		if (!done) {
			sock_requeue(e->sk, rx);
			return false;
		}
		if (!errq)
			sock_rx_free(e->d->w, rx);
	}
	return true;
}

static void end_flush(struct end *e)
{
	bool shown = flush_error(e);

	if (e->blocked)
		return;
	if (!shown || !flush_queue(e)) {
		e->blocked = true;
		watch(e);
	} else if ((e->sk->shut & 1) && !e->ended) {
		e->ended = true;
		shutdown(e->fd.fd, SHUT_WR);
	}
}

void ends_flush(struct daemon *d)
{
	while (!cds_list_empty(&d->dirty)) {
		struct end *e = cds_list_first_entry(&d->dirty, struct end, dirty);

		cds_list_del_init(&e->dirty);
		if (e->stream)
			stream_flush(e);
		else
			end_flush(e);
	}
}

void end_sized(struct end *e)
{
	int half = (int)MIN(e->sk->rcvbuf / 2, (size_t)INT32_MAX / 2), now = 0;
	socklen_t n = sizeof(now);

	if (!getsockopt(e->fd.fd, SOL_SOCKET, SO_SNDBUF, &now, &n) && now != 2 * half)
		setsockopt(e->fd.fd, SOL_SOCKET, SO_SNDBUF, &half, sizeof(half));
}

/* ---- from the program ---- */

void end_close(struct end *e)
{
	struct daemon *d = e->d;
	struct sock_rx *rx;

	cds_list_del(&e->dirty);
	cds_lfht_del(d->ends, &e->node);
	worker_fd_del(d->w, &e->fd);
	close(e->fd.fd);
	e->sk->wake = NULL;
	e->sk->unread = NULL;
	e->sk->end = NULL;
	while ((rx = end_errq_take(e)))
		sock_rx_free(d->w, rx);
	if (e->stream)
		stream_fini(e);
	sock_close(e->sk);
	sock_put(e->sk);
	ns_put(e->ns);
	d->n_ends--;
	rcu_free(e);
	daemon_fd_closed(d);
}

/* What a program wrote to its descriptor without asking: sent, and an error is for later. */
static void take_datagram(struct end *e, const uint8_t *data, size_t len)
{
	struct weft_dgram meta;

	if (len < sizeof(meta))
		return;
	memcpy(&meta, data, sizeof(meta));
	if (meta.name_len > sizeof(meta.name))
		return;
	struct sock_msg m = {.name = meta.name_len ? meta.name : NULL,
			     .name_len = meta.name_len,
			     .data = data + sizeof(meta),
			     .len = len - sizeof(meta),
			     .flags = (int)meta.msg_flags,
			     .meta = &meta};
	ssize_t n = sock_sendmsg(e->sk, &m);
	if (n < 0)
		sock_error(e->sk, (int)-n);
}

static void on_end(struct worker *w, struct worker_fd *f, uint32_t events)
{
	struct end *e = container_of(f, struct end, fd);
	struct daemon *d = e->d;
	ssize_t n = -1;

	if (e->blocked && (events & EPOLLOUT)) {
		e->blocked = false;
		watch(e);
		end_wake(e->sk);
	}
	if (!(events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
		return;
	for (int i = 0; i < DRAIN_MAX; i++) {
		n = recv(f->fd, d->scratch, WEFT_MSG_MAX, MSG_DONTWAIT);
		if (n <= 0)
			break;
		take_datagram(e, d->scratch, (size_t)n);
	}
	if (events & EPOLLHUP)
		end_close(e);
	else if (!n && (events & EPOLLIN))
		/* it has shut down its way out: nothing more comes but the end */
		worker_fd_mod(d->w, f, e->blocked ? EPOLLOUT : 0);
}

/* What the pair holds; the kernel charges it much as it charges datagrams. */
static size_t end_unread(const struct sock *sk)
{
	const struct end *e = sk->end;
	int n = 0;

	return ioctl(e->fd.fd, SIOCOUTQ, &n) || n < 0 ? 0 : (size_t)n;
}

/* As programs see it in /proc/PID/fd. */
static uint64_t inode_of(int fd)
{
	struct stat st;

	return fstat(fd, &st) ? 0 : st.st_ino;
}

bool end_is_closed(const struct end *e)
{
	struct sockaddr_un a;
	int fd = socket(AF_UNIX, (e->stream ? SOCK_STREAM : SOCK_SEQPACKET) | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return false;
	socklen_t len = name_of_sock(&a, e->d, e->sk, e->n_pairs);
	bool closed = !bind(fd, (struct sockaddr *)&a, len);
	close(fd);
	return closed;
}

int end_renew(struct end *e, int *fd)
{
	struct worker_fd old = e->fd;
	struct sockaddr_un a;
	socklen_t len = name_of_sock(&a, e->d, e->sk, e->n_pairs + 1);
	int pair[2], err = pair_bound(SOCK_STREAM, pair, &a, len);

	if (err)
		return err;
	worker_fd_del(e->d->w, &e->fd);
	e->fd.fd = pair[0];
	err = worker_fd_add(e->d->w, &e->fd, 0);
	if (err) {
		e->fd = old;
		worker_fd_add(e->d->w, &e->fd, 0);
		close(pair[0]);
		close(pair[1]);
		return err;
	}
	close(old.fd);
	e->n_pairs++;
	end_sized(e);
	*fd = pair[1];
	return 0;
}

bool ends_reap(struct daemon *d, const struct sock *sk, uint16_t port)
{
	struct cds_lfht_iter iter;
	struct cds_lfht_node *node;
	bool any = false;

	cds_lfht_for_each (d->ends, &iter, node) {
		struct end *e = container_of(node, struct end, node);
		struct pollfd p = {.fd = e->fd.fd};

		if (e->sk == sk || e->sk->net != sk->net || e->sk->family != sk->family ||
		    e->sk->type != sk->type || inet_sk(e->sk)->sport != port)
			continue;
		if (poll(&p, 1, 0) != 1)
			continue;
		e->fd.ready(d->w, &e->fd, (uint32_t)p.revents);
		any = true;
	}
	return any;
}

int end_new(struct ns *ns, struct sock *sk, int flags, int *fd)
{
	struct daemon *d = ns->d;
	struct end *e = calloc(1, sizeof(*e));
	struct sockaddr_un a;
	socklen_t len = name_of_sock(&a, d, sk, 0);
	bool stream = sk->ops->stream;
	int pair[2], err;

	if (!e)
		return -ENOMEM;
	err = pair_bound((stream ? SOCK_STREAM : SOCK_SEQPACKET) | flags, pair, &a, len);
	if (err)
		goto free;
	e->d = d;
	e->sk = sk;
	e->fd.fd = pair[0];
	e->fd.ready = on_end;
	CDS_INIT_LIST_HEAD(&e->dirty);
	e->errq_tail = &e->errq;
	if (stream && (err = stream_init(e)))
		goto close;
	err = worker_fd_add(d->w, &e->fd, stream ? 0 : EPOLLIN);
	if (err)
		goto fini;
	e->ns = ns_get(ns);
	cds_lfht_add(d->ends, id_hash(sk->id), &e->node);
	sk->ino = inode_of(pair[1]);
	sk->end = e;
	sk->wake = end_wake;
	sk->unread = stream ? stream_unread : end_unread;
	d->n_ends++;
	end_sized(e);
	*fd = pair[1];
	return 0;
fini:
	if (stream)
		stream_fini(e);
close:
	close(pair[0]);
	close(pair[1]);
free:
	free(e);
	return err;
}

void ends_fini(struct daemon *d)
{
	struct cds_lfht_iter iter;
	struct cds_lfht_node *node;

	if (!d->ends)
		return;
	cds_lfht_for_each (d->ends, &iter, node)
		end_close(container_of(node, struct end, node));
	rcu_hash_free(d->ends);
}
