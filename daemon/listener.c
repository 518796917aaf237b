/*
 * listener: our ends of listening sockets.
 *
 * A connection is handed over as a record with its descriptor, on the listener's own pair: waiting
 * for it, by many processes too, is the kernel's work. Those that no program has taken are counted
 * from what the pair holds, and the socket counts them towards its backlog. At most HANDED_MAX are
 * there, the others wait in the socket.
 *
 * Nothing is lost for want of descriptors: the connection stays with its listener, and those in
 * that state (stalled) try again when a descriptor has been closed or any connection was taken.
 */
#include <errno.h>
#include <linux/sockios.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "streams.h"

enum { ROOM = 256 * 1024 /* of the pair: it is never the limit */ };

/* How many no program has taken. */
static unsigned count_handed(struct end *e)
{
	const struct listener *l = e->stream->listener;
	int held = 0;

	if (!l->unit || ioctl(e->fd.fd, SIOCOUTQ, &held))
		return 0;
	return (unsigned)(held / l->unit);
}

/* 0 or -errno. The descriptor is the caller's still. */
static int send_record(struct end *e, const struct sock *child, int fd)
{
	struct listener *l = e->stream->listener;
	struct weft_accept a = {.id = child->id};
	union {
		char buf[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = {0};
	struct iovec iov = {&a, sizeof(a)};
	struct msghdr m = {.msg_iov = &iov,
			   .msg_iovlen = 1,
			   .msg_control = control.buf,
			   .msg_controllen = sizeof(control.buf)};
	struct cmsghdr *cm = CMSG_FIRSTHDR(&m);
	size_t len = sizeof(a.name);

	if (!sock_accepted_name((struct sock *)child, (struct sockaddr *)a.name, &len))
		a.name_len = (uint32_t)len;
	cm->cmsg_level = SOL_SOCKET;
	cm->cmsg_type = SCM_RIGHTS;
	cm->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(cm), &fd, sizeof(int));
	if (sendmsg(e->fd.fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		return -errno;
	if (!l->unit && ioctl(e->fd.fd, SIOCOUTQ, &l->unit))
		l->unit = 0;
	return 0;
}

/* A connection gets its end. 0 or -errno: it waits in l->child. */
static int end_of_child(struct end *e)
{
	struct listener *l = e->stream->listener;
	int fd, err = end_new(e->ns, l->child, 0, &fd);

	if (err)
		return err;
	struct end *c = l->child->end;
	c->stream->state = SS_CONNECTED;
	c->stream->used = true;
	l->child_fd = fd;
	stream_watch(c);
	c->sk->wake(c->sk);
	return 0;
}

/* One connection to the program; false: there is none, or it must wait. */
static bool hand_over(struct end *e)
{
	struct listener *l = e->stream->listener;

	if (!l->child && sock_accept(e->sk, &l->child)) {
		l->child = NULL;
		return false;
	}
	if ((l->child_fd < 0 && end_of_child(e)) || send_record(e, l->child, l->child_fd)) {
		if (cds_list_empty(&l->stalled))
			cds_list_add_tail(&l->stalled, &e->d->stalled);
		return false;
	}
	l->handed[l->n_handed++ % HANDED_MAX] = l->child->id;
	close(l->child_fd);
	l->child_fd = -1;
	l->child = NULL;
	return true;
}

void listener_flush(struct end *e)
{
	e->sk->accept_handed = count_handed(e);
	while (e->sk->accept_handed < HANDED_MAX && !e->stream->shut_out && hand_over(e))
		e->sk->accept_handed++;
	/* it listens no more: those that wait in accept(2) are told */
	if (e->sk->ops->stream->poll(e->sk) & SOCK_POLL_HUP)
		stream_shut(e, SHUT_WR);
}

void streams_retry(struct daemon *d)
{
	struct listener *l, *next;

	cds_list_for_each_entry_safe (l, next, &d->stalled, stalled) {
		cds_list_del_init(&l->stalled);
		l->end->sk->wake(l->end->sk);
	}
}

static int listener_new(struct end *e)
{
	struct listener *l = calloc(1, sizeof(*l));
	int room = ROOM;

	if (!l)
		return -ENOMEM;
	l->end = e;
	l->child_fd = -1;
	CDS_INIT_LIST_HEAD(&l->stalled);
	e->stream->listener = l;
	setsockopt(e->fd.fd, SOL_SOCKET, SO_SNDBUF, &room, sizeof(room));
	stream_watch(e);
	return 0;
}

int stream_listen(struct end *e, int backlog, bool *first, int *fd)
{
	struct stream *st = e->stream;

	if (st->state != SS_UNCONNECTED)
		return -EINVAL;
	int err = sock_listen(e->sk, backlog);
	if (!err && st->shut_out)
		err = stream_renew(e, fd);
	if (err)
		return err;
	*first = !st->listener;
	return *first ? listener_new(e) : 0;
}

/* The connections that no program has taken are reset, as a kernel does with those in its queue.
 * Whether a program has taken one shows in its descriptor: it is closed with the listener's. */
static void reset_handed(const struct end *e)
{
	const struct listener *l = e->stream->listener;
	unsigned n = MIN(e->sk->accept_handed, l->n_handed); /* at most HANDED_MAX */

	for (unsigned i = 1; i <= n; i++) {
		struct end *c = end_by_id(e->d, l->handed[(l->n_handed - i) % HANDED_MAX]);
		struct pollfd p = {.fd = c ? c->fd.fd : -1};
		if (c && poll(&p, 1, 0) == 1 && (p.revents & POLLHUP))
			c->sk->linger = 0;
	}
}

void listener_free(struct end *e)
{
	struct listener *l = e->stream->listener;

	if (!l)
		return;
	reset_handed(e);
	cds_list_del(&l->stalled);
	/* a connection with an end is the end's */
	if (l->child_fd >= 0)
		close(l->child_fd);
	else if (l->child)
		sock_put(l->child);
	e->sk->accept_handed = 0;
	free(l);
	e->stream->listener = NULL;
}
