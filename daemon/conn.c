/*
 * conn: programs' connections: letting them in, taking requests, sending answers.
 *
 * Only the owner of the daemon, root, and who holds a token are let in. A record that is no request
 * ends its connection, and so does an answer that the program has no room for: it broke the rule of
 * one request at a time.
 */
#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "daemon.h"

#define BACKLOG 1024

void conn_close(struct conn *c)
{
	struct daemon *d = c->d;

	worker_fd_del(d->w, &c->fd);
	close(c->fd.fd);
	cds_list_del(&c->link);
	table_del(&d->pids, &c->by_pid);
	d->n_conns--;
	if (c->ns)
		ns_put(c->ns);
	free(c);
	daemon_fd_closed(d);
	daemon_check_end(d);
}

void conn_close_all(struct daemon *d)
{
	struct conn *c, *next;

	cds_list_for_each_entry_safe (c, next, &d->conns, link)
		conn_close(c);
}

static bool send_reply(struct conn *c, struct reply *r)
{
	union {
		char buf[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = {0};
	struct iovec iov = {.iov_base = c->d->out};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};

	if (r->rep.err)
		r->rep.len = 0;
	memcpy(c->d->out, &r->rep, sizeof(r->rep));
	iov.iov_len = sizeof(r->rep) + r->rep.len;
	if (r->fd >= 0 && !r->rep.err) {
		m.msg_control = control.buf;
		m.msg_controllen = sizeof(control.buf);
		struct cmsghdr *cm = CMSG_FIRSTHDR(&m);
		cm->cmsg_level = SOL_SOCKET;
		cm->cmsg_type = SCM_RIGHTS;
		cm->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(cm), &r->fd, sizeof(int));
	}
	ssize_t n = sendmsg(c->fd.fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (r->fd >= 0 && !r->keep_fd)
		close(r->fd);
	return n == (ssize_t)iov.iov_len;
}

static void on_request(struct worker *w, struct worker_fd *f, uint32_t events)
{
	struct conn *c = container_of(f, struct conn, fd);
	struct daemon *d = c->d;
	struct weft_req req;
	struct reply r = {.fd = -1, .data = d->out + sizeof(struct weft_rep)};

	ssize_t n = recv(f->fd, d->buf, WEFT_MSG_MAX, MSG_DONTWAIT | MSG_TRUNC);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n < (ssize_t)sizeof(req) || n > WEFT_MSG_MAX) {
		conn_close(c);
		return;
	}
	memcpy(&req, d->buf, sizeof(req));
	if (req.len != (size_t)n - sizeof(req) || (!c->greeted && req.op != WEFT_OP_HELLO)) {
		conn_close(c);
		return;
	}
	/* for those who take the payload as text */
	d->buf[n] = 0;
	files_drain(d);
	ops_serve(c, &req, d->buf + sizeof(req), &r);
	ends_flush(d);
	if (!send_reply(c, &r) || r.hang_up)
		conn_close(c);
}

void conn_new(struct daemon *d, int fd)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);
	struct conn *c;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) || !(c = calloc(1, sizeof(*c)))) {
		close(fd);
		return;
	}
	c->d = d;
	c->pid = peer.pid;
	c->uid = peer.uid;
	c->fd.fd = fd;
	c->fd.ready = on_request;
	if (worker_fd_add(d->w, &c->fd, EPOLLIN)) {
		close(fd);
		free(c);
		return;
	}
	cds_list_add(&c->link, &d->conns);
	table_add(&d->pids, &c->by_pid, (uint64_t)c->pid);
	d->n_conns++;
}

static bool may_enter(int fd)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);

	return !getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) &&
	       (peer.uid == geteuid() || peer.uid == 0);
}

static void on_connect(struct worker *w, struct worker_fd *f, uint32_t events)
{
	struct daemon *d = container_of(f, struct daemon, ctl);
	int fd = accept4(f->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (fd >= 0) {
		if (may_enter(fd))
			conn_new(d, fd);
		else
			close(fd);
		return;
	}
	if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
		d->ctl_paused = true;
		worker_fd_mod(w, &d->ctl, 0);
		log_warn("no descriptor for another client: %s", strerror(errno));
	}
}

int conn_listen(struct daemon *d)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	char path[PATH_MAX];

	/* the folder's path may be longer than an address: bound from inside of it */
	snprintf(path, sizeof(path), "%s", d->dir);
	if (chdir(path))
		return -errno;
	strcpy(a.sun_path, "ctl");
	d->ctl.ready = on_connect;
	d->ctl.fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (d->ctl.fd < 0 || bind(d->ctl.fd, (struct sockaddr *)&a, sizeof(a)) ||
	    chmod("ctl", 0600) || listen(d->ctl.fd, BACKLOG))
		return -errno;
	return worker_fd_add(d->w, &d->ctl, EPOLLIN);
}
