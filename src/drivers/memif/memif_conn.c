/*
 * memif_conn: the sockets that control messages come over, and the life of connections.
 *
 * A listener is shared by the devices of an instance that name the same socket, and ends with the
 * last of them; what connects is nobody's until it says which device it means. Where the control
 * thread has an epoll set the sockets are in it; else each device's timer looks at them.
 */
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "drivers/kinds.h"
#include "drivers/memif/memif.h"
#include "net/net.h"
#include "run/instance.h"

#define RETRY	  (200 * NSEC_PER_MSEC) /* a client that found nobody */
#define LOOK	  (10 * NSEC_PER_MSEC)	/* at sockets that no epoll watches */
#define STRANGERS 16			/* connections without a device */
#define FDS_MAX	  4			/* that a message may bring */

struct memif_listener {
	struct worker_fd wfd;
	struct worker *worker;
	struct cds_list_head devs, strangers;
	unsigned n_strangers;
	bool epoll;
	struct sockaddr_un addr;
	socklen_t addr_len;
};

/* ---- addresses ---- */

static socklen_t address(const char *name, struct sockaddr_un *a)
{
	size_t len = strlen(name);

	*a = (struct sockaddr_un){.sun_family = AF_UNIX};
	memcpy(a->sun_path, name, MIN(len, sizeof(a->sun_path) - 1));
	if (name[0] != '@')
		return sizeof(*a);
	a->sun_path[0] = 0;
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
}

static int unix_socket(void)
{
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	return fd < 0 ? -errno : fd;
}

/* ---- connections ---- */

static void conn_ready(struct worker *w, struct worker_fd *f, uint32_t events)
{
	memif_conn_read(container_of(f, struct memif_conn, wfd));
}

static void conn_free(struct memif_conn *c)
{
	if (c->epoll)
		worker_fd_del(c->worker, &c->wfd);
	close(c->wfd.fd);
	memif_link_free(c->link);
	free(c);
}

struct memif_conn *memif_conn_new(struct worker *w, int fd, struct memif_listener *l,
				  struct memif_dev *m)
{
	struct memif_conn *c = calloc(1, sizeof(*c));

	if (!c) {
		close(fd);
		return NULL;
	}
	*c = (struct memif_conn){.worker = w, .listener = l, .dev = m};
	c->wfd.fd = fd;
	c->wfd.ready = conn_ready;
	CDS_INIT_LIST_HEAD(&c->list);
	if (w->epfd >= 0) {
		if (worker_fd_add(w, &c->wfd, EPOLLIN)) {
			conn_free(c);
			return NULL;
		}
		c->epoll = true;
	}
	if (m)
		m->conn = c;
	if (l) {
		cds_list_add_tail(&c->list, &l->strangers);
		l->n_strangers++;
	}
	return c;
}

void memif_conn_bound(struct memif_conn *c, struct memif_dev *m)
{
	cds_list_del_init(&c->list);
	c->listener->n_strangers--;
	c->dev = m;
	m->conn = c;
}

static void say_goodbye(struct memif_conn *c, const char *why)
{
	struct memif_msg m = {.type = MEMIF_DISCONNECT};

	snprintf((char *)m.reason.text, sizeof(m.reason.text), "%s", why);
	memif_conn_send(c, &m, -1); /* it may be gone already */
}

/* The device without its link: nobody reads or writes it any more. */
static void unlink_dev(struct memif_dev *m)
{
	struct memif_link *l = m->link;

	if (!l)
		return;
	netdev_set_carrier(m->dev, false);
	memif_link_stop(l);
	rcu_set_pointer(&m->link, NULL);
	synchronize_rcu();
	memif_link_free(l);
}

static void timer_again(struct memif_dev *m, uint64_t after)
{
	struct worker *w = m->dev->core->workers[0];

	timer_set(&w->wheel, &m->timer, w->now + after);
}

void memif_conn_end(struct memif_conn *c, const char *why)
{
	struct memif_dev *m = c->dev;

	if (why)
		say_goodbye(c, why);
	if (m) {
		unlink_dev(m);
		m->conn = NULL;
		if (m->open && !m->listener)
			timer_again(m, RETRY);
	} else if (c->listener) {
		cds_list_del(&c->list);
		c->listener->n_strangers--;
	}
	conn_free(c);
}

int memif_conn_send(struct memif_conn *c, const struct memif_msg *m, int fd)
{
	struct iovec iov = {(void *)m, sizeof(*m)};
	union {
		char buf[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} u = {0};
	struct msghdr mh = {.msg_iov = &iov, .msg_iovlen = 1};

	if (fd >= 0) {
		mh.msg_control = u.buf;
		mh.msg_controllen = sizeof(u.buf);
		struct cmsghdr *h = CMSG_FIRSTHDR(&mh);
		h->cmsg_level = SOL_SOCKET;
		h->cmsg_type = SCM_RIGHTS;
		h->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(h), &fd, sizeof(fd));
	}
	return sendmsg(c->wfd.fd, &mh, MSG_NOSIGNAL | MSG_DONTWAIT) == sizeof(*m) ? 0 : -EIO;
}

/* The first descriptor that came along; others are closed. */
static int take_fd(struct msghdr *mh)
{
	int first = -1;

	for (struct cmsghdr *h = CMSG_FIRSTHDR(mh); h; h = CMSG_NXTHDR(mh, h)) {
		if (h->cmsg_level != SOL_SOCKET || h->cmsg_type != SCM_RIGHTS)
			continue;
		size_t n = (h->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		for (size_t i = 0; i < n; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(h) + i * sizeof(fd), sizeof(fd));
			if (first < 0)
				first = fd;
			else
				close(fd);
		}
	}
	return first;
}

void memif_conn_read(struct memif_conn *c)
{
	union {
		char buf[CMSG_SPACE(FDS_MAX * sizeof(int))];
		struct cmsghdr align;
	} u;
	struct memif_msg m;

	for (;;) {
		struct iovec iov = {&m, sizeof(m)};
		struct msghdr mh = {.msg_iov = &iov,
				    .msg_iovlen = 1,
				    .msg_control = u.buf,
				    .msg_controllen = sizeof(u.buf)};
		ssize_t n = recvmsg(c->wfd.fd, &mh, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		int fd = n < 0 ? -1 : take_fd(&mh);
		const char *why = n <= 0 ? "" : "Invalid message size";

		if (n == sizeof(m) && !(mh.msg_flags & MSG_TRUNC))
			why = memif_ctl_input(c, &m, fd);
		else if (fd >= 0)
			close(fd);
		if (!why)
			continue;
		memif_conn_end(c, *why ? why : NULL);
		return;
	}
}

/* ---- a server's socket ---- */

struct memif_dev *memif_listener_find(struct memif_listener *l, uint32_t id)
{
	struct memif_dev *m;

	cds_list_for_each_entry (m, &l->devs, listener_link)
		if (m->set.id == id)
			return m;
	return NULL;
}

static void listener_accept(struct memif_listener *l)
{
	struct memif_conn *c;
	int fd;

	while ((fd = accept4(l->wfd.fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
		if (l->n_strangers == STRANGERS) /* who has not said a word for longest */
			memif_conn_end(cds_list_first_entry(&l->strangers, struct memif_conn, list),
				       "Too many");
		c = memif_conn_new(l->worker, fd, l, NULL);
		if (c && memif_ctl_hello(c))
			memif_conn_end(c, NULL);
	}
}

static void listener_ready(struct worker *w, struct worker_fd *f, uint32_t events)
{
	listener_accept(container_of(f, struct memif_listener, wfd));
}

/* Binds; a socket that nobody listens to any more is replaced. */
static int bind_to(int fd, const struct sockaddr_un *a, socklen_t len)
{
	if (!bind(fd, (const struct sockaddr *)a, len))
		return 0;
	if (errno != EADDRINUSE || !a->sun_path[0])
		return -errno;
	int probe = unix_socket();
	if (probe < 0)
		return probe;
	int err = connect(probe, (const struct sockaddr *)a, len) ? errno : 0;
	close(probe);
	if (err != ECONNREFUSED)
		return -EADDRINUSE;
	unlink(a->sun_path);
	return bind(fd, (const struct sockaddr *)a, len) ? -errno : 0;
}

static struct memif_listener *listener_of(struct memif_dev *m)
{
	struct net *net;
	struct netdev *dev;

	cds_list_for_each_entry (net, &m->dev->weft->nets->nets, link) {
		cds_list_for_each_entry (dev, &net->devs, net_link) {
			const struct memif_dev *other = dev->priv;

			if (dev->kind == &memif_kind && other->listener &&
			    !strcmp(other->set.socket, m->set.socket))
				return other->listener;
		}
	}
	return NULL;
}

static void listener_free(struct memif_listener *l)
{
	while (!cds_list_empty(&l->strangers))
		memif_conn_end(cds_list_first_entry(&l->strangers, struct memif_conn, list), NULL);
	if (l->epoll)
		worker_fd_del(l->worker, &l->wfd);
	if (l->wfd.fd >= 0) {
		close(l->wfd.fd);
		if (l->addr.sun_path[0])
			unlink(l->addr.sun_path);
	}
	free(l);
}

static int listener_new(struct memif_dev *m, struct memif_listener **out)
{
	struct memif_listener *l = calloc(1, sizeof(*l));
	int err;

	if (!l)
		return -ENOMEM;
	CDS_INIT_LIST_HEAD(&l->devs);
	CDS_INIT_LIST_HEAD(&l->strangers);
	l->worker = m->dev->core->workers[0];
	l->addr_len = address(m->set.socket, &l->addr);
	l->wfd.fd = unix_socket();
	l->wfd.ready = listener_ready;
	err = l->wfd.fd < 0 ? l->wfd.fd : bind_to(l->wfd.fd, &l->addr, l->addr_len);
	if (err) {
		l->addr.sun_path[0] = 0; /* another's */
		goto failed;
	}
	err = listen(l->wfd.fd, STRANGERS) ? -errno : 0;
	if (!err && l->worker->epfd >= 0) {
		err = worker_fd_add(l->worker, &l->wfd, EPOLLIN);
		l->epoll = !err;
	}
	if (err)
		goto failed;
	*out = l;
	return 0;
failed:
	listener_free(l);
	return err;
}

static int join_listener(struct memif_dev *m, struct extack *ext)
{
	struct memif_listener *l = listener_of(m);
	int err;

	if (l && memif_listener_find(l, m->set.id))
		return extack_set(ext, -EEXIST, "another device has this id on the socket");
	if (!l) {
		err = listener_new(m, &l);
		if (err)
			return extack_set(ext, err, "cannot listen on the socket");
	}
	cds_list_add_tail(&m->listener_link, &l->devs);
	m->listener = l;
	return 0;
}

static void leave_listener(struct memif_dev *m)
{
	struct memif_listener *l = m->listener;

	m->listener = NULL;
	cds_list_del_init(&m->listener_link);
	if (cds_list_empty(&l->devs))
		listener_free(l);
}

/* ---- a client's ---- */

static void try_connect(struct memif_dev *m)
{
	struct sockaddr_un a;
	socklen_t len = address(m->set.socket, &a);
	int fd = unix_socket();

	if (fd >= 0 && !connect(fd, (struct sockaddr *)&a, len)) {
		memif_conn_new(m->dev->core->workers[0], fd, NULL, m);
		return;
	}
	if (fd >= 0)
		close(fd);
}

/* ---- the device's part ---- */

static void look_around(struct memif_dev *m)
{
	struct memif_conn *c, *next;

	if (m->listener) {
		listener_accept(m->listener);
		cds_list_for_each_entry_safe (c, next, &m->listener->strangers, list)
			memif_conn_read(c);
	}
	if (m->conn)
		memif_conn_read(m->conn);
}

static void on_timer(struct timer *t, uint64_t now)
{
	struct memif_dev *m = container_of(t, struct memif_dev, timer);
	bool watched = m->dev->core->workers[0]->epfd >= 0;

	if (!m->listener && !m->conn)
		try_connect(m);
	if (!watched)
		look_around(m);
	if (!m->conn && !m->listener)
		timer_again(m, RETRY);
	else if (!watched)
		timer_again(m, LOOK);
}

int memif_dev_start(struct memif_dev *m, struct extack *ext)
{
	int err = m->set.role ? 0 : join_listener(m, ext);

	if (err)
		return err;
	m->open = true;
	timer_init(&m->timer, on_timer);
	timer_again(m, 0);
	return 0;
}

void memif_dev_stop(struct memif_dev *m)
{
	m->open = false;
	timer_del(&m->timer);
	if (m->conn)
		memif_conn_end(m->conn, "Interface is down");
	if (m->listener)
		leave_listener(m);
}

/* ---- the other end breaks the rules ---- */

static void broken(struct worker *w, struct worker_msg *msg)
{
	struct memif_news *news = container_of(msg, struct memif_news, msg);
	struct memif_dev *m = news->dev;

	if (!m) {
		free(news);
		return;
	}
	__atomic_store_n(&news->under_way, 0, __ATOMIC_RELEASE);
	if (m->conn)
		memif_conn_end(m->conn, "Ring counters make no sense");
}

void memif_broken(struct netdev *dev)
{
	struct memif_dev *m = memif_dev(dev);

	if (__atomic_exchange_n(&m->news->under_way, 1, __ATOMIC_ACQ_REL))
		return;
	m->news->msg.fn = broken;
	worker_post_msg(dev->core->workers[0], &m->news->msg);
}
