/*
 * poll: poll(2) and epoll(7).
 *
 * A set has a list of items that may be ready: an item joins it when its socket wakes, or is added
 * or changed while ready; epoll_wait() looks at what is there, and keeps level-triggered items that
 * are still ready. So an edge is a wake of the socket, as in Linux, and not a change of its state.
 */
#include <errno.h>
#include <stdlib.h>

#include "drill.h"

struct item {
	struct cds_list_head of_file; /* in file.watched */
	struct cds_list_head of_set;  /* in file.items of the set */
	struct file *file, *set;
	struct epoll_event ev;
	bool ready, disabled;
};

#define ALWAYS (EPOLLERR | EPOLLHUP)

uint32_t file_poll(struct file *f)
{
	struct sock *sk = f->sk;
	uint32_t mask = 0;

	if (!sk)
		return 0;
	io_pump(f);
	bool errors = f->errq || (sk->rx_head && sk->rx_head->meta.kind == WEFT_DGRAM_ERRQ);
	if (errors)
		mask |= EPOLLERR;
	if (sk->ops->stream)
		return mask | sk->ops->stream->poll(sk);
	if (sk->rx_head && !errors)
		mask |= EPOLLIN;
	if (sk->error)
		mask |= EPOLLERR;
	if (sk->shut & 1)
		mask |= EPOLLIN | EPOLLRDHUP;
	return mask | EPOLLOUT | (sk->shut == 3 ? EPOLLHUP : 0);
}

static uint32_t item_events(const struct item *i)
{
	if (i->disabled)
		return 0;
	return file_poll(i->file) & (i->ev.events | ALWAYS);
}

void poll_wake(struct file *f)
{
	struct item *i;

	cds_list_for_each_entry (i, &f->watched, of_file)
		i->ready = true;
}

static void item_free(struct item *i)
{
	cds_list_del(&i->of_file);
	cds_list_del(&i->of_set);
	free(i);
}

void poll_forget(struct file *f)
{
	struct item *i, *next;

	cds_list_for_each_entry_safe (i, next, &f->watched, of_file)
		item_free(i);
	cds_list_for_each_entry_safe (i, next, &f->items, of_set)
		item_free(i);
}

/* ---- poll ---- */

struct polled {
	struct drill *d;
	struct pollfd *fds;
	nfds_t n;
	int result;
};

static bool look(void *arg)
{
	struct polled *p = arg;

	p->result = 0;
	for (nfds_t i = 0; i < p->n; i++) {
		struct pollfd *fd = &p->fds[i];
		struct file *f = fd->fd < 0 ? NULL : file_find(p->d, fd->fd);
		uint32_t mask = f ? file_poll(f) : 0;

		if (fd->fd >= 0 && !f)
			fd->revents = POLLNVAL;
		else
			fd->revents = (short)(mask & ((unsigned short)fd->events | ALWAYS));
		p->result += fd->revents != 0;
	}
	return p->result;
}

int face_poll(void *user, struct pollfd *fds, nfds_t n, int timeout_ms)
{
	struct drill *d = user;
	struct polled p = {d, fds, n, 0};

	drill_enter(d);
	drill_settle(d);
	drill_wait(d, drill_after(d, timeout_ms * (int64_t)NSEC_PER_MSEC), look, &p);
	return (int)drill_return(d, p.result);
}

/* ---- epoll ---- */

int face_epoll_create(void *user, int size)
{
	struct drill *d = user;

	drill_enter(d);
	return (int)drill_return(d, size <= 0 ? -EINVAL : file_new(d, NULL, 0));
}

static struct item *find_item(struct file *set, const struct file *f)
{
	struct item *i;

	cds_list_for_each_entry (i, &set->items, of_set)
		if (i->file == f)
			return i;
	return NULL;
}

static int item_add(struct file *set, struct file *f)
{
	struct item *i = calloc(1, sizeof(*i));

	if (!i)
		return -ENOMEM;
	i->file = f;
	i->set = set;
	cds_list_add_tail(&i->of_file, &f->watched);
	cds_list_add_tail(&i->of_set, &set->items);
	return 0;
}

static int ctl(struct file *set, int op, struct file *f, const struct epoll_event *ev)
{
	struct item *i = find_item(set, f);
	int err;

	if (op == EPOLL_CTL_ADD ? i != NULL : !i)
		return i ? -EEXIST : -ENOENT;
	switch (op) {
	case EPOLL_CTL_DEL:
		item_free(i);
		return 0;
	case EPOLL_CTL_ADD:
		if ((err = item_add(set, f)))
			return err;
		i = find_item(set, f);
		break;
	case EPOLL_CTL_MOD:
		break;
	default:
		return -EINVAL;
	}
	i->ev = *ev;
	i->disabled = false;
	i->ready = item_events(i);
	return 0;
}

int face_epoll_ctl(void *user, int epfd, int op, int fd, struct epoll_event *ev)
{
	struct drill *d = user;

	drill_enter(d);
	struct file *set = file_find(d, epfd), *f = file_find(d, fd);
	int err;
	if (!set || !f)
		err = -EBADF;
	else if (set->sk || !f->sk)
		err = -EINVAL;
	else
		err = ctl(set, op, f, ev);
	return (int)drill_return(d, err);
}

struct harvest {
	struct file *set;
	struct epoll_event *evs;
	int max, n;
};

static bool reap(void *arg)
{
	struct harvest *h = arg;
	struct item *i;

	cds_list_for_each_entry (i, &h->set->items, of_set) {
		if (!i->ready || h->n == h->max)
			continue;
		uint32_t events = item_events(i);

		i->ready = events && !(i->ev.events & (EPOLLET | EPOLLONESHOT));
		if (!events)
			continue;
		i->disabled = i->ev.events & EPOLLONESHOT;
		h->evs[h->n].events = events;
		h->evs[h->n++].data = i->ev.data;
	}
	return h->n;
}

int face_epoll_wait(void *user, int epfd, struct epoll_event *evs, int max, int timeout_ms)
{
	struct drill *d = user;
	struct harvest h = {.evs = evs, .max = max};
	int err = 0;

	drill_enter(d);
	drill_settle(d);
	h.set = file_find(d, epfd);
	if (!h.set)
		err = -EBADF;
	else if (h.set->sk || max <= 0)
		err = -EINVAL;
	else
		drill_wait(d, drill_after(d, timeout_ms * (int64_t)NSEC_PER_MSEC), reap, &h);
	return (int)drill_return(d, err ? err : h.n);
}
