/*
 * poll: waiting is the kernel's own, but what it finds may be a mark (msg.h).
 *
 * poll and ppoll show errors that wait as POLLERR, without POLLIN if nothing is behind them; select
 * shows them as readable, as Linux does. A mark that means nothing any more is removed, and the
 * wait goes on. epoll shows a mark as EPOLLIN until it is read.
 *
 * A packet ring is readable as long as it holds a frame that is the program's, whether or not its
 * mark is still there.
 *
 * Programs that never had a socket of weft pay nothing: shim_has_socks().
 */
#include <poll.h>
#include <sys/select.h>
#include <time.h>

#include "msg.h"
#include "ring.h"
#include "stream.h"

enum { IN_ALL = POLLIN | POLLRDNORM };

/* ---- time ---- */

struct wait {
	bool forever;
	struct timespec end;
};

static void wait_init(struct wait *w, const struct timespec *t)
{
	w->forever = !t;
	if (!t)
		return;
	clock_gettime(CLOCK_MONOTONIC, &w->end);
	if (t->tv_sec > INT32_MAX) {
		w->forever = true;
		return;
	}
	w->end.tv_sec += t->tv_sec;
	w->end.tv_nsec += t->tv_nsec;
	w->end.tv_sec += w->end.tv_nsec / (long)NSEC_PER_SEC;
	w->end.tv_nsec %= (long)NSEC_PER_SEC;
}

static bool wait_bad(const struct timespec *t)
{
	return t && (t->tv_sec < 0 || t->tv_nsec < 0 || t->tv_nsec >= (long)NSEC_PER_SEC);
}

/* What is left, in *left; NULL: for ever. */
static struct timespec *wait_left(const struct wait *w, struct timespec *left)
{
	struct timespec now;

	if (w->forever)
		return NULL;
	clock_gettime(CLOCK_MONOTONIC, &now);
	left->tv_sec = w->end.tv_sec - now.tv_sec;
	left->tv_nsec = w->end.tv_nsec - now.tv_nsec;
	if (left->tv_nsec < 0) {
		left->tv_nsec += (long)NSEC_PER_SEC;
		left->tv_sec--;
	}
	if (left->tv_sec < 0)
		*left = (struct timespec){0};
	return left;
}

/* ---- marks ---- */

enum found {
	FOUND_DATA,
	FOUND_ERROR, /* an error waits; no data */
	FOUND_BOTH,
	FOUND_NOTHING,
};

/* What a descriptor holds that the kernel calls readable. */
static enum found look(int fd)
{
	if (shim_kind(fd) > SHIM_STREAM || unlikely(shim_confined))
		return FOUND_DATA;
	struct pollfd p = {.fd = fd, .events = POLLIN};
	struct shim_sock s;
	ssize_t len;
	int kind;

	if (!shim_find(fd, &s) || s.type == SOCK_STREAM)
		return FOUND_DATA;
	kind = msg_head(fd, &len);
	if (kind == WEFT_DGRAM_WAKE) {
		msg_drop_mark(fd);
		return FOUND_DATA;
	}
	if (kind != WEFT_DGRAM_ERROR && kind != WEFT_DGRAM_ERRQ)
		return FOUND_DATA; /* or the end */
	if (!msg_tidy(fd, &s))
		return syscall(SYS_poll, &p, 1, 0) > 0 ? FOUND_DATA : FOUND_NOTHING;
	return msg_head(fd, &len) == WEFT_DGRAM_DATA ? FOUND_BOTH : FOUND_ERROR;
}

/* ---- poll ---- */

/* Of a stream the pair tells less than its socket before it is connected, and when it broke. */
static bool is_stream_to_mend(const struct pollfd *p, struct shim_sock *s)
{
	enum shim_kind kind = shim_kind(p->fd);

	if (unlikely(shim_confined))
		return false;
	if (likely(!(p->revents & POLLHUP) && (kind == SHIM_UP || kind == SHIM_PLAIN)))
		return false;
	return kind != SHIM_LISTEN && shim_find(p->fd, s) && s->type == SOCK_STREAM;
}

/* Puts right what the kernel said of one; false if it has nothing to say after all. */
static bool mend_poll(struct pollfd *p)
{
	struct shim_sock s;

	if (is_stream_to_mend(p, &s))
		return stream_mend_poll(p, &s);
	if (!(p->revents & IN_ALL))
		return true;
	switch (look(p->fd)) {
	case FOUND_DATA:
		return true;
	case FOUND_ERROR:
		p->revents = (short)((p->revents & ~IN_ALL) | POLLERR);
		return true;
	case FOUND_BOTH:
		p->revents |= POLLERR;
		return true;
	case FOUND_NOTHING:
		break;
	}
	p->revents = (short)(p->revents & ~IN_ALL);
	return p->revents != 0;
}

static int mend_polls(struct pollfd *p, nfds_t n, int ready)
{
	for (nfds_t i = 0; i < n; i++)
		if (p[i].revents && !mend_poll(&p[i]))
			ready--;
	return ready;
}

static bool ring_polls(const struct pollfd *p, nfds_t n)
{
	for (nfds_t i = 0; i < n; i++)
		if ((p[i].events & IN_ALL) && ring_ready(p[i].fd))
			return true;
	return false;
}

/* After a poll that found rings at work. */
static int add_rings(struct pollfd *p, nfds_t n, int ready)
{
	for (nfds_t i = 0; i < n; i++) {
		if (!(p[i].events & IN_ALL) || !ring_ready(p[i].fd))
			continue;
		ready += !p[i].revents;
		p[i].revents |= p[i].events & IN_ALL;
	}
	return ready;
}

static int do_poll(struct pollfd *p, nfds_t n, const struct timespec *timeout, const sigset_t *mask)
{
	const struct timespec now = {0};
	struct timespec left;
	struct wait w;

	wait_init(&w, timeout);
	for (;;) {
		bool rings = ring_any() && ring_polls(p, n);
		int ready = REAL(ppoll)(p, n, rings ? &now : wait_left(&w, &left), mask);
		if (ready > 0)
			ready = mend_polls(p, n, ready);
		else if (!ready && !rings)
			return 0;
		if (ready >= 0 && rings)
			ready = add_rings(p, n, ready);
		if (ready)
			return ready;
	}
}

SHIM_API int ppoll(struct pollfd *p, nfds_t n, const struct timespec *timeout, const sigset_t *mask)
{
	if (!shim_has_socks() || wait_bad(timeout))
		return REAL(ppoll)(p, n, timeout, mask);
	return do_poll(p, n, timeout, mask);
}

SHIM_API int poll(struct pollfd *p, nfds_t n, int timeout)
{
	const struct timespec t = {.tv_sec = timeout / 1000,
				   .tv_nsec = timeout % 1000 * (long)NSEC_PER_MSEC};

	if (!shim_has_socks())
		return REAL(poll)(p, n, timeout);
	return do_poll(p, n, timeout < 0 ? NULL : &t, NULL);
}

/* ---- select ---- */

/* Puts right the sets; the number that are ready. */
static int mend_select(int n, fd_set *in, int ready)
{
	for (int fd = 0; fd < n; fd++) {
		if (!FD_ISSET(fd, in) || look(fd) != FOUND_NOTHING)
			continue;
		FD_CLR(fd, in);
		ready--;
	}
	return ready;
}

static int add_select(int n, const fd_set *asked, fd_set *in, int ready)
{
	for (int fd = 0; fd < n; fd++) {
		if (!FD_ISSET(fd, asked) || FD_ISSET(fd, in) || !ring_ready(fd))
			continue;
		FD_SET(fd, in);
		ready++;
	}
	return ready;
}

static bool ring_selects(int n, const fd_set *asked)
{
	for (int fd = 0; fd < n; fd++)
		if (FD_ISSET(fd, asked) && ring_ready(fd))
			return true;
	return false;
}

struct sets {
	fd_set *at[3];
	size_t size; /* bytes; programs may have sets that are larger than fd_set */
};

static void sets_copy(uint8_t *to, const struct sets *s, bool back)
{
	for (int i = 0; i < 3; i++, to += s->size) {
		if (s->at[i] && back)
			memcpy(s->at[i], to, s->size);
		else if (s->at[i])
			memcpy(to, s->at[i], s->size);
	}
}

/* Streams whose connect failed are writable, by their pair, and readable. */
static int add_failed(int n, const fd_set *asked, fd_set *in, const fd_set *out, int ready)
{
	struct shim_sock s;

	for (int fd = 0; fd < n; fd++) {
		if (!FD_ISSET(fd, out) || !FD_ISSET(fd, asked) || FD_ISSET(fd, in))
			continue;
		if (shim_kind(fd) > SHIM_STREAM || !shim_find(fd, &s) || s.type != SOCK_STREAM ||
		    !stream_failed(&s))
			continue;
		FD_SET(fd, in);
		ready++;
	}
	return ready;
}

static int do_select(int n, struct sets *s, const struct wait *w, const sigset_t *mask)
{
	uint8_t *asked = __builtin_alloca(3 * s->size);
	const struct timespec now = {0};
	struct timespec left;
	fd_set *in = s->at[0];

	sets_copy(asked, s, false);
	for (;;) {
		bool rings = in && ring_any() && ring_selects(n, in);
		int ready = REAL(pselect)(n, in, s->at[1], s->at[2],
					  rings ? &now : wait_left(w, &left), mask);
		if (ready > 0 && in)
			ready = mend_select(n, in, ready);
		else if (!ready && !rings)
			return 0;
		if (ready > 0 && in && s->at[1])
			ready = add_failed(n, (fd_set *)asked, in, s->at[1], ready);
		if (ready >= 0 && rings)
			ready = add_select(n, (fd_set *)asked, in, ready);
		if (ready)
			return ready;
		sets_copy(asked, s, true);
	}
}

/* Sets that are no larger than 1024 descriptors for each of the kernel's words. */
static size_t set_size(int n)
{
	return align_up((size_t)n, 8 * sizeof(long)) / 8;
}

SHIM_API int pselect(int n, fd_set *in, fd_set *out, fd_set *except, const struct timespec *timeout,
		     const sigset_t *mask)
{
	struct sets s = {{in, out, except}, 0};
	struct wait w;

	if (n < 0 || n > 65536 || !shim_has_socks() || wait_bad(timeout))
		return REAL(pselect)(n, in, out, except, timeout, mask);
	s.size = set_size(n);
	wait_init(&w, timeout);
	return do_select(n, &s, &w, mask);
}

/* As in Linux, *timeout becomes what is left of it. */
SHIM_API int select(int n, fd_set *in, fd_set *out, fd_set *except, struct timeval *timeout)
{
	struct sets s = {{in, out, except}, 0};
	struct timespec t, left;
	struct wait w;

	if (n < 0 || n > 65536 || !shim_has_socks() ||
	    (timeout && (timeout->tv_sec < 0 || timeout->tv_usec < 0)))
		return REAL(select)(n, in, out, except, timeout);
	s.size = set_size(n);
	if (timeout)
		t = (struct timespec){timeout->tv_sec + timeout->tv_usec / 1000000,
				      timeout->tv_usec % 1000000 * (long)NSEC_PER_USEC};
	wait_init(&w, timeout ? &t : NULL);
	int ready = do_select(n, &s, &w, NULL);
	if (timeout && wait_left(&w, &left))
		*timeout = (struct timeval){left.tv_sec, left.tv_nsec / (long)NSEC_PER_USEC};
	return ready;
}

/* ---- what fortified programs call ---- */

int __poll_chk(struct pollfd *p, nfds_t n, int timeout, size_t size);
int __ppoll_chk(struct pollfd *p, nfds_t n, const struct timespec *timeout, const sigset_t *mask,
		size_t size);

SHIM_API int __poll_chk(struct pollfd *p, nfds_t n, int timeout, size_t size)
{
	if (size / sizeof(*p) < n || !shim_has_socks())
		return REAL(__poll_chk)(p, n, timeout, size);
	return poll(p, n, timeout);
}

SHIM_API int __ppoll_chk(struct pollfd *p, nfds_t n, const struct timespec *timeout,
			 const sigset_t *mask, size_t size)
{
	if (size / sizeof(*p) < n || !shim_has_socks() || wait_bad(timeout))
		return REAL(__ppoll_chk)(p, n, timeout, mask, size);
	return do_poll(p, n, timeout, mask);
}
