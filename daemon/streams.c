/*
 * streams: the daemon's ends of the pairs that programs hold as their stream sockets.
 *
 * Bytes go both ways without being looked at. From the program: as many as the socket has room for
 * are read straight into packets and given to it. To the program: what the socket shows is written
 * to the pair, and what the pair took has been read. An end waits for EPOLLIN only while the socket
 * has room, and for EPOLLOUT only while the pair is full, so a side that is slow stops the other
 * one, through the window of TCP and the buffer of the pair.
 *
 *	program --pair--> stream_take --send_pkt--> socket --peek--> stream_give --pair--> program
 *
 * What the two directions end with:
 *
 *   the program shut down its way out    end of file, behind its last byte: sock_shutdown
 *   it has closed its descriptor         the same, then the socket is closed; without room, the end
 *                                        stays until the last byte is taken (gone)
 *   it left bytes unread                 the pair says ECONNRESET: a reset, as of a kernel's socket
 *   the peer's FIN                       our way out is shut down behind the last byte
 *   a reset, a timeout                   both ways are, and so_error stays for whoever asks
 *
 * When both ways are shut down, the pair reads as if it were closed (EPOLLHUP), and goes on to:
 *from then on it is watched by edges, and whether the program is still there is seen by its name.
 *
 * Urgent data keeps its place: the socket is told to leave it in line, and the pair, which knows of
 * it too (MSG_OOB, where the host's kernel has it), shows it as the program has asked.
 *
 * Listeners are in listener.c.
 */
#include <errno.h>
#include <linux/sockios.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "streams.h"

enum {
	TAKE_MAX = 64 * 1024, /* bytes of a packet */
	TAKE_SEGS = TAKE_MAX / PKT_MAX_SEG + 1,
	TAKE_ROUNDS = 16, /* packets from one end at a time */
	GIVE_IOV = 64
};

static const struct sock_stream_ops *ops_of(const struct end *e)
{
	return e->sk->ops->stream;
}

static uint32_t poll_of(const struct end *e)
{
	return ops_of(e)->poll(e->sk);
}

void stream_watch(struct end *e)
{
	const struct stream *st = e->stream;
	uint32_t events = 0;

	if (st->gone)
		return;
	if (st->listener)
		events = EPOLLOUT | EPOLLET; /* an edge for each record that is taken */
	else if (st->junk ? !st->undecided
			  : st->state != SS_UNCONNECTED && !st->undecided && !st->in_wait &&
				    !st->in_done)
		events = EPOLLIN;
	if (st->out_wait)
		events |= EPOLLOUT;
	if (st->shut_in && st->shut_out)
		events |= EPOLLET;
	if (events != st->watched && !worker_fd_mod(e->d->w, &e->fd, events))
		e->stream->watched = events;
}

void stream_shut(struct end *e, int how)
{
	struct stream *st = e->stream;
	bool in = how != SHUT_WR, out = how != SHUT_RD;

	if ((!in || st->shut_in) && (!out || st->shut_out))
		return;
	st->shut_in |= in;
	st->shut_out |= out;
	shutdown(e->fd.fd, how);
}

/* ---- from the program ---- */

/* A packet of n segments without data; NULL without memory. */
static struct pkt *chain_new(struct pool_cache *c, unsigned n, struct iovec *iov)
{
	struct pkt *first = NULL, **at = &first;

	for (unsigned i = 0; i < n; i++, at = &(*at)->seg) {
		struct pkt *p = pkt_alloc(c);
		if (!p) {
			if (first)
				pkt_free(c, first);
			return NULL;
		}
		*at = p;
		iov[i] = (struct iovec){pkt_data(p), PKT_MAX_SEG};
	}
	return first;
}

/* The first len bytes have been filled; segments behind are given back. */
static void chain_set(struct pool_cache *c, struct pkt *first, size_t len)
{
	first->total = (uint32_t)len;
	for (struct pkt *p = first; p; p = p->seg) {
		p->len = (uint16_t)MIN(len, (size_t)PKT_MAX_SEG);
		if (p != first)
			p->total = p->len;
		len -= p->len;
		if (!len && p->seg) {
			pkt_free(c, p->seg);
			p->seg = NULL;
		}
	}
}

/* *more: there may be. Bytes taken, 0 at the end, or -errno: -EAGAIN when there is nothing,
 * -ENOBUFS without memory. */
static ssize_t take_some(struct end *e, size_t room, bool *more)
{
	struct pool_cache *c = &e->d->w->cache;
	struct stream *st = e->stream;
	struct iovec iov[TAKE_SEGS];
	size_t want = MIN(room, (size_t)st->segs * PKT_MAX_SEG);
	unsigned n = (unsigned)((want + PKT_MAX_SEG - 1) / PKT_MAX_SEG);
	struct pkt *p = chain_new(c, n, iov);

	if (!p)
		return -ENOBUFS;
	iov[n - 1].iov_len = want - (size_t)(n - 1) * PKT_MAX_SEG;
	struct msghdr m = {.msg_iov = iov, .msg_iovlen = n};
	ssize_t got = recvmsg(e->fd.fd, &m, MSG_DONTWAIT);
	if (got <= 0) {
		int err = got ? -errno : 0;
		pkt_free(c, p);
		return err;
	}
	*more = (size_t)got == want;
	st->segs = *more ? MIN(st->segs * 4, (unsigned)TAKE_SEGS - 1)
			 : (unsigned)((size_t)got / PKT_MAX_SEG + 1);
	chain_set(c, p, (size_t)got);
	int err = ops_of(e)->send_pkt(e->sk, p, 0);
	return err ? err : got;
}

static void drop_junk(struct end *e)
{
	struct stream *st = e->stream;
	char junk[WEFT_STREAM_JUNK];

	while (st->junk) {
		ssize_t n = recv(e->fd.fd, junk, st->junk, MSG_DONTWAIT);
		if (n <= 0)
			break;
		st->junk = (uint8_t)(st->junk - n);
	}
}

/* The program writes no more. */
static void take_end(struct end *e)
{
	e->stream->in_done = true;
	/* closing may be more than that: a reset */
	if (!(e->sk->shut & 2) && !e->stream->gone)
		sock_shutdown(e->sk, SHUT_WR);
}

void stream_take(struct end *e)
{
	struct stream *st = e->stream;

	if (st->listener || st->state == SS_UNCONNECTED || st->undecided || st->in_done)
		return;
	if (st->junk)
		drop_junk(e);
	bool more = true;
	for (int i = 0; i < TAKE_ROUNDS && !st->junk && (more || st->gone); i++) {
		size_t room = ops_of(e)->sendspace(e->sk);
		st->in_wait = !room;
		if (!room)
			return;
		ssize_t n = take_some(e, room, &more);
		if (n > 0 || n == -EINTR)
			continue;
		if (n == -ECONNRESET && !st->unread) {
			st->unread = true;
			continue;
		}
		if (n == -EAGAIN || n == -ENOBUFS)
			return;
		/* the end; or the connection is broken, and what is written goes nowhere */
		take_end(e);
		return;
	}
}

size_t stream_waiting(const struct end *e)
{
	int n = 0;

	if (e->stream->listener || e->stream->undecided || e->stream->junk ||
	    ioctl(e->fd.fd, FIONREAD, &n) || n < 0)
		return 0;
	return (size_t)n;
}

/* ---- to the program ---- */

/* The next byte is urgent. */
static bool at_mark(struct end *e)
{
	int mark = 0;

	return unlikely(poll_of(e) & SOCK_POLL_PRI) &&
	       !sock_ioctl(e->sk, SIOCATMARK, &mark, sizeof(mark)) && mark;
}

/* Bytes shown, of which the pair took *took. */
static ssize_t give_some(struct end *e, ssize_t *took)
{
	struct iovec iov[GIVE_IOV];
	unsigned n = 0;
	bool urgent = at_mark(e);
	ssize_t shown = ops_of(e)->peek(e->sk, iov, GIVE_IOV, &n);

	if (shown <= 0) {
		/* the error is for the program to ask for */
		if (shown < 0 && shown != -ENOTCONN && !e->sk->error)
			e->sk->error = (int)-shown;
		return 0;
	}
	struct msghdr m = {.msg_iov = iov, .msg_iovlen = urgent ? 1 : n};
	if (urgent)
		iov[0].iov_len = 1;
	*took = sendmsg(e->fd.fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL | (urgent ? MSG_OOB : 0));
	if (*took < 0 && errno == EOPNOTSUPP)
		*took = sendmsg(e->fd.fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL);
	return shown;
}

static void stream_give(struct end *e)
{
	struct stream *st = e->stream;
	ssize_t shown, took = 0;

	while (!st->out_wait && !st->shut_out) {
		if (e->sk->error && !(poll_of(e) & SOCK_POLL_IN))
			return;
		shown = give_some(e, &took);
		if (!shown)
			return;
		if (took < 0) {
			/* EPIPE: nobody reads, and EPOLLHUP will say so */
			st->out_wait = errno == EAGAIN || errno == ENOBUFS || errno == ENOMEM;
			if (!st->out_wait && errno != EINTR)
				return;
			continue;
		}
		ops_of(e)->consume(e->sk, (size_t)took);
	}
}

/* Shows the end of the connection's directions. */
static void show_ends(struct end *e)
{
	struct stream *st = e->stream;
	uint32_t events = poll_of(e);

	if (st->state == SS_UNCONNECTED || st->undecided)
		return;
	/* a connect that failed leaves the pair for another */
	if (st->failed)
		return;
	if ((events & SOCK_POLL_HUP) && !st->in_done)
		stream_shut(e, SHUT_RD);
	if (st->out_wait || !(events & (SOCK_POLL_RDHUP | SOCK_POLL_HUP)))
		return;
	struct iovec iov;
	unsigned n;
	if (!e->sk->error && ops_of(e)->peek(e->sk, &iov, 1, &n) > 0)
		return;
	stream_shut(e, SHUT_WR);
}

/* ---- connecting ---- */

static bool is_decided(const struct end *e)
{
	return poll_of(e) & (SOCK_POLL_OUT | SOCK_POLL_HUP | SOCK_POLL_ERR | SOCK_POLL_RDHUP);
}

static bool has_failed(const struct end *e)
{
	return poll_of(e) & SOCK_POLL_HUP;
}

static void decided(struct end *e)
{
	if (!e->stream->undecided || !is_decided(e))
		return;
	e->stream->undecided = false;
	e->stream->failed = has_failed(e);
	e->stream->used |= !e->stream->failed;
	drop_junk(e);
}

/* What the stack said of a connect that is not under way: the socket has changed, or not. */
static void connect_told(struct end *e, int err)
{
	struct stream *st = e->stream;

	if (!err) {
		st->state = SS_CONNECTED;
		st->used = true;
		st->failed = false;
	} else if (st->state == SS_CONNECTING) {
		st->state = SS_UNCONNECTED;
	}
	stream_watch(e);
}

/* connect(2) with AF_UNSPEC: the connection is over, and there may be another. */
static int disconnect(struct end *e, const struct sockaddr *a, size_t len, int *fd)
{
	struct stream *st = e->stream;
	int err = sock_connect(e->sk, a, len);

	if (err)
		return err;
	st->undecided = st->failed = false;
	drop_junk(e);
	st->state = SS_UNCONNECTED;
	return st->used ? stream_renew(e, fd) : 0;
}

/* The pair has carried a connection, or what shut it down: the next begins with another. */
int stream_renew(struct end *e, int *fd)
{
	struct stream *st = e->stream;
	int err = end_renew(e, fd);

	if (err)
		return err;
	listener_free(e);
	*st = (struct stream){.segs = 1};
	return 0;
}

int stream_connect(struct end *e, const struct sockaddr *a, size_t len, bool nonblock,
		   uint64_t *how, int *fd)
{
	struct stream *st = e->stream;
	bool first = st->state == SS_UNCONNECTED;

	*how = WEFT_CONNECT_DONE;
	if (len < sizeof(a->sa_family))
		return -EINVAL;
	if (a->sa_family == AF_UNSPEC)
		return disconnect(e, a, len, fd);
	if (!st->undecided) {
		int err = sock_connect(e->sk, a, len);
		if (err == -EINPROGRESS && st->shut_out)
			stream_renew(e, fd);
		if (err != -EINPROGRESS) {
			connect_told(e, err);
			return err;
		}
		st->state = SS_CONNECTING;
		st->undecided = true;
		st->failed = false;
		daemon_settle(e->d);
	}
	decided(e);
	stream_watch(e);
	if (st->undecided) {
		*how = first ? WEFT_CONNECT_WAIT : WEFT_CONNECT_BUSY;
		if (first)
			st->junk = WEFT_STREAM_JUNK;
		return 0;
	}
	if (first && nonblock) {
		*how = WEFT_CONNECT_SOON;
		return 0;
	}
	int err = sock_connect(e->sk, a, len);
	connect_told(e, err);
	return err;
}

enum weft_stream stream_state(const struct end *e)
{
	const struct stream *st = e->stream;

	if (st->listener)
		return WEFT_STREAM_LISTEN;
	if (st->state == SS_CONNECTED)
		return WEFT_STREAM_UP;
	if (st->state == SS_UNCONNECTED)
		return WEFT_STREAM_NONE;
	if (st->undecided)
		return WEFT_STREAM_CONNECTING;
	return st->failed ? WEFT_STREAM_NONE : WEFT_STREAM_UP;
}

ssize_t stream_send(struct end *e, const struct sock_msg *m, uint64_t *how)
{
	struct stream *st = e->stream;

	*how = WEFT_CONNECT_DONE;
	if (stream_waiting(e))
		return -EAGAIN; /* it would overtake */
	ssize_t n = sock_sendmsg(e->sk, m);
	if (!(m->flags & MSG_FASTOPEN) || st->state != SS_UNCONNECTED ||
	    (n < 0 && n != -EINPROGRESS))
		return n;
	st->state = SS_CONNECTING;
	st->undecided = true;
	daemon_settle(e->d);
	decided(e);
	if (st->undecided) {
		st->junk = WEFT_STREAM_JUNK;
		*how = WEFT_CONNECT_WAIT;
	}
	stream_watch(e);
	return n < 0 ? 0 : n;
}

/* ---- an end ---- */

int stream_shutdown(struct end *e, int how)
{
	struct stream *st = e->stream;

	if (st->listener) {
		int err = sock_shutdown(e->sk, how);
		if (!err)
			listener_flush(e);
		return err;
	}
	bool over = st->in_done || has_failed(e);
	if (how == SHUT_RD || st->state == SS_UNCONNECTED || st->undecided || over)
		return sock_shutdown(e->sk, how);
	int err = how == SHUT_RDWR ? sock_shutdown(e->sk, SHUT_RD) : 0;
	/* what was written goes first: behind it take_end ends the socket's way out */
	stream_shut(e, SHUT_RD);
	stream_take(e);
	return err;
}

void stream_flush(struct end *e)
{
	struct stream *st = e->stream;

	if (st->listener) {
		listener_flush(e);
		stream_watch(e);
		return;
	}
	decided(e);
	if (!st->gone)
		stream_give(e);
	if (st->in_wait)
		stream_take(e);
	if (st->gone && (st->in_done || has_failed(e))) {
		end_close(e);
		return;
	}
	show_ends(e);
	stream_watch(e);
}

/* The program has closed its descriptor. What it wrote is taken; the rest follows as there is room.
 */
static void on_hang_up(struct end *e)
{
	struct stream *st = e->stream;

	if (st->listener || st->state == SS_UNCONNECTED || st->undecided) {
		end_close(e);
		return;
	}
	st->gone = true;
	worker_fd_del(e->d->w, &e->fd);
	for (size_t before = SIZE_MAX, n; !st->in_done && !st->in_wait; before = n) {
		stream_take(e);
		n = stream_waiting(e);
		if (!st->in_done && n >= before)
			break; /* no memory: by the next wake */
	}
	if (st->unread)
		e->sk->linger = 0;
	if (st->in_done || has_failed(e))
		end_close(e);
	else
		st->in_wait = true;
}

static void on_stream(struct worker *w, struct worker_fd *f, uint32_t events)
{
	struct end *e = container_of(f, struct end, fd);
	struct stream *st = e->stream;

	if (events & EPOLLOUT)
		st->out_wait = false;
	if (st->listener && !cds_list_empty(&e->d->stalled))
		streams_retry(e->d);
	if (events & EPOLLHUP && (!(st->shut_in && st->shut_out) || end_is_closed(e))) {
		on_hang_up(e);
		return;
	}
	if (events & (EPOLLIN | EPOLLERR | EPOLLHUP))
		stream_take(e);
	stream_flush(e);
}

int stream_init(struct end *e)
{
	struct stream *st = calloc(1, sizeof(*st));

	if (!st)
		return -ENOMEM;
	st->segs = 1;
	e->sk->oobinline = true;
	e->stream = st;
	e->fd.ready = on_stream;
	return 0;
}

void stream_fini(struct end *e)
{
	struct stream *st = e->stream;

	listener_free(e);
	free(st);
	e->stream = NULL;
}
