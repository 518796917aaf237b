/*
 * clock: the lock, virtual time, and who waits for what.
 *
 * Time moves when main sleeps, waits for a packet, or makes a call that has to wait; never while
 * main works. When the other thread waits for something that only time brings (the timeout of a
 * poll) and main in turn waits for that thread (its state says so: it is in futex(2), and not in
 * here), the waiter moves time itself.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "drill.h"

#define SPINNING 12		       /* who asks for the time that often waits for it to pass */
#define PATIENCE (2 * NSEC_PER_MSEC)   /* between looks at what main does */
#define HOPE	 (3600 * NSEC_PER_SEC) /* no script waits longer for anything */

void clock_init(struct drill *d)
{
	d->main = pthread_self();
	d->main_tid = (pid_t)syscall(SYS_gettid);
	CDS_INIT_LIST_HEAD(&d->waiters);
	pthread_mutex_init(&d->lock, NULL);
	pthread_cond_init(&d->woken, NULL);
	pthread_cond_init(&d->told, NULL);
}

static __thread bool inside;
static __thread unsigned asked; /* for the time, in a row */

bool drill_inside(void)
{
	return inside;
}

static bool is_main(const struct drill *d)
{
	return pthread_equal(d->main, pthread_self());
}

/* packetdrill takes a thread that sleeps for one whose call has begun to block: nobody sleeps for
 * the lock. */
void drill_enter(struct drill *d)
{
	while (pthread_mutex_trylock(&d->lock))
		sched_yield();
	rcu_register_thread();
	inside = true;
	asked = 0;
	d->w->now = d->now;
	if (!is_main(d))
		return;
	d->main_inside = true;
	serve_drain(d);
}

void drill_leave(struct drill *d)
{
	int saved = errno;

	if (is_main(d))
		d->main_inside = false;
	inside = false;
	rcu_unregister_thread();
	pthread_mutex_unlock(&d->lock);
	errno = saved;
}

uint64_t drill_after(const struct drill *d, int64_t ns)
{
	return ns < 0 ? UINT64_MAX : d->now + (uint64_t)ns;
}

/* Waits on a condition for at most ns of the machine's time. */
static void cond_wait(struct drill *d, pthread_cond_t *cond, uint64_t ns)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	ns += (uint64_t)ts.tv_nsec;
	ts.tv_sec += (time_t)(ns / NSEC_PER_SEC);
	ts.tv_nsec = (long)(ns % NSEC_PER_SEC);
	rcu_thread_offline();
	pthread_cond_timedwait(cond, &d->lock, &ts);
	rcu_thread_online();
}

/* Lets go whoever may; main waits until they have returned. */
static void wake_waiters(struct drill *d)
{
	struct waiter *w, *next;

	cds_list_for_each_entry_safe (w, next, &d->waiters, link) {
		if (d->now < w->deadline && !w->ready(w->arg))
			continue;
		cds_list_del(&w->link);
		w->woken = true;
		d->returning = true;
		pthread_cond_broadcast(&d->woken);
		if (!is_main(d))
			continue;
		for (int i = 0; d->returning && i < 100; i++)
			cond_wait(d, &d->told, 20 * NSEC_PER_MSEC);
	}
}

void drill_settle(struct drill *d)
{
	struct file *f;
	bool again;

	do {
		weft_settle(d->weft, d->now);
		ends_flush(&d->daemon);
		cds_list_for_each_entry (f, &d->files, link)
			if (f->sk)
				io_pump(f);
		again = weft_step(d->weft, d->now);
	} while (again);
	wake_waiters(d);
}

/* When something happens next. */
static uint64_t next_event(const struct drill *d)
{
	uint64_t next = worker_next(d->w);
	struct waiter *w;

	cds_list_for_each_entry (w, &d->waiters, link)
		next = MIN(next, w->deadline);
	return next;
}

static void move(struct drill *d, uint64_t to)
{
	d->now = MAX(to, d->now);
	d->w->now = d->now;
}

bool drill_run(struct drill *d, uint64_t until, bool (*ready)(void *arg), void *arg)
{
	uint64_t from = d->now;

	for (;;) {
		drill_settle(d);
		if (ready && ready(arg))
			return true;
		uint64_t next = next_event(d);
		if (next > until || next == UINT64_MAX || next - from > HOPE)
			break;
		move(d, MAX(next, d->now + 1));
	}
	if (until != UINT64_MAX)
		move(d, until);
	drill_settle(d);
	return ready && ready(arg);
}

/* Does a thread wait for another one? */
static bool in_futex(pid_t tid)
{
	char path[64], text[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/self/task/%d/syscall", (int)tid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	ssize_t n = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (n <= 0)
		return false;
	text[n] = 0;
	return text[0] >= '0' && text[0] <= '9' && strtol(text, NULL, 10) == SYS_futex;
}

/* A call that has waited is over, and its thread does with the result what it has to. */
static void told_time(struct drill *d)
{
	d->returning = false;
	d->returned = (pid_t)syscall(SYS_gettid);
	pthread_cond_broadcast(&d->told);
}

/* While main sleeps that thread has the time to finish. */
static void let_finish(struct drill *d)
{
	const struct timespec ms = {.tv_nsec = (long)NSEC_PER_MSEC};
	pid_t tid = d->returned;

	for (int i = 0; tid && i < 200 && !in_futex(tid); i++)
		nanosleep(&ms, NULL);
	d->returned = 0;
}

bool drill_wait(struct drill *d, uint64_t deadline, bool (*ready)(void *arg), void *arg)
{
	struct waiter w = {.ready = ready, .arg = arg, .deadline = deadline};
	unsigned seen = 0;

	if (ready(arg))
		return true;
	if (deadline <= d->now)
		return false;
	if (is_main(d))
		return drill_run(d, deadline, ready, arg);
	cds_list_add_tail(&w.link, &d->waiters);
	told_time(d);
	d->returned = 0;
	while (!w.woken) {
		cond_wait(d, &d->woken, PATIENCE);
		if (w.woken)
			break;
		seen = !d->main_inside && in_futex(d->main_tid) ? seen + 1 : 0;
		uint64_t next = next_event(d);
		if (seen < 3 || next == UINT64_MAX)
			continue;
		move(d, MAX(next, d->now + 1));
		drill_settle(d);
	}
	return ready(arg);
}

int face_usleep(void *user, useconds_t us)
{
	struct drill *d = user;

	if (is_main(d))
		let_finish(d);
	drill_enter(d);
	drill_run(d, d->now + us * NSEC_PER_USEC, NULL, NULL);
	drill_leave(d);
	return 0;
}

int face_gettimeofday(void *user, struct timeval *tv, struct timezone *tz)
{
	unsigned times = asked + 1;
	struct drill *d = user;

	drill_enter(d);
	asked = times;
	if (d->returning && !is_main(d))
		told_time(d);
	else if (times > SPINNING)
		drill_run(d, d->now + NSEC_PER_USEC, NULL, NULL);
	uint64_t wall = d->now + (uint64_t)d->w->wall;
	tv->tv_sec = (time_t)(wall / NSEC_PER_SEC);
	tv->tv_usec = (suseconds_t)(wall % NSEC_PER_SEC / NSEC_PER_USEC);
	drill_leave(d);
	return 0;
}
