/*
 * main: the life of the daemon: start, loop, end.
 *
 * The loop is the control thread's: a step of worker 0, what the step queued for programs, then
 * sleep until a descriptor or a timer.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon.h"

#define FDS_EVERY (100 * NSEC_PER_USEC)
#define FDS_MAX	  (1 << 20) /* fs.nr_open, mostly; root alone may go there */
#define CROWDED	  (100 * NSEC_PER_MSEC)
#define SPIN	  (50 * NSEC_PER_USEC)
#define SOON	  (3 * SPIN) /* what takes so long by sleep and waking may take a third by looking */

struct options {
	const char *dir, *name;
	unsigned threads;
	bool keep;
	int ready; /* where to say that we are ready, -1: nowhere */
};

static void usage(void)
{
	fputs("usage: weftd -dir DIRECTORY -name NAME [-threads N] [-keep] [-ready FD]\n", stderr);
	exit(2);
}

static void parse(int argc, char **argv, struct options *o)
{
	static const struct option longs[] = {
		{"dir", required_argument, NULL, 'd'},	   {"name", required_argument, NULL, 'n'},
		{"threads", required_argument, NULL, 't'}, {"ready", required_argument, NULL, 'r'},
		{"keep", no_argument, NULL, 'k'},	   {NULL, 0, NULL, 0},
	};
	int c;

	*o = (struct options){.ready = -1};
	while ((c = getopt_long_only(argc, argv, "", longs, NULL)) != -1) {
		switch (c) {
		case 'd':
			o->dir = optarg;
			break;
		case 'n':
			o->name = optarg;
			break;
		case 't':
			o->threads = (unsigned)strtoul(optarg, NULL, 10);
			break;
		case 'r':
			o->ready = atoi(optarg);
			break;
		case 'k':
			o->keep = true;
			break;
		default:
			usage();
		}
	}
	if (!o->dir || o->dir[0] != '/' || !o->name || optind != argc || o->threads >= WORKERS_MAX)
		usage();
}

static void on_signal(struct worker *w, struct worker_fd *f, uint32_t events)
{
	struct daemon *d = container_of(f, struct daemon, signals);
	struct signalfd_siginfo si;

	if (read(f->fd, &si, sizeof(si)) == sizeof(si))
		d->stop = true;
}

static int signals_open(struct daemon *d)
{
	sigset_t set;

	signal(SIGPIPE, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigprocmask(SIG_BLOCK, &set, NULL);
	d->signals.ready = on_signal;
	d->signals.fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return d->signals.fd < 0 ? -errno : 0;
}

/* From here on complaints go to the instance's log. */
static void redirect(const char *dir)
{
	char path[PATH_MAX];
	int null = open("/dev/null", O_RDWR | O_CLOEXEC), log;

	snprintf(path, sizeof(path), "%s/log", dir);
	log = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (null >= 0) {
		dup2(null, 0);
		dup2(null, 1);
	}
	if (log >= 0)
		dup2(log, 2);
	if (null > 2)
		close(null);
	if (log > 2)
		close(log);
}

/* Before any thread of the instance: they inherit the mask of signals. */
static int open_all(struct daemon *d, const struct options *o)
{
	struct weft_config c = {
		.n_threads = o->threads,
		.now = clock_mono(),
		.wall = clock_wall_offset(),
		.spin_ns = SPIN,
		.count_cycles = true,
	};
	int err = signals_open(d);

	if (err)
		return err;
	if (getrandom(&c.seed, sizeof(c.seed), 0) != sizeof(c.seed))
		return -errno;
	d->dir = o->dir;
	d->name = o->name;
	d->keep = o->keep;
	if ((err = daemon_open(d, &c)) || (err = worker_fd_add(d->w, &d->signals, EPOLLIN)))
		return err;
	return weft_start(d->weft);
}

/* Sleeps, unless programs lately asked so soon that looking for it costs less than a sleep and a
 * waking: then looks first, and lets others run between the looks. Where there are others there is
 * no more looking for a while: who sleeps is let run again sooner. Frames that come in are not
 * looked for: what gathers during a sleep makes a batch. */
static void rest(struct daemon *d, uint64_t until)
{
	static uint64_t budget, crowded;
	uint64_t begun = clock_mono(), now = begun, before, calls;

	while (now - begun < budget && now < until && now >= crowded) {
		if (worker_run_fds(d->w))
			return;
		before = clock_mono();
		sched_yield();
		now = clock_mono();
		if (now - before > SPIN / 5)
			crowded = now + CROWDED;
	}
	calls = d->w->n_calls;
	worker_sleep(d->w, until);
	if (until > now)
		budget = d->w->n_calls != calls && clock_mono() - now < SOON ? SPIN : budget / 2;
}

/* Each socket of a program is one here: as many as there may be. */
static void want_descriptors(void)
{
	struct rlimit most = {FDS_MAX, FDS_MAX}, own;

	if (!setrlimit(RLIMIT_NOFILE, &most) || getrlimit(RLIMIT_NOFILE, &own))
		return;
	own.rlim_cur = own.rlim_max;
	setrlimit(RLIMIT_NOFILE, &own);
}

static void loop(struct daemon *d)
{
	uint64_t fds = 0;

	while (!d->stop) {
		uint64_t now = clock_mono();
		unsigned n = weft_step(d->weft, now);

		ends_flush(d);
		if (now >= d->recheck)
			ns_recheck(d, now);
		if (now >= d->deadline) {
			d->deadline = UINT64_MAX;
			if (!d->had_token && !d->n_conns && !d->keep)
				break;
		}
		/* traffic that never ends must not shut out the programs */
		if (n && now - fds < FDS_EVERY)
			continue;
		fds = now;
		uint64_t until = MIN(d->deadline, d->recheck);
		rest(d, n ? 0 : MIN(worker_next(d->w), until));
	}
}

int main(int argc, char **argv)
{
	static struct daemon d;
	struct options o;
	int err;

	parse(argc, argv, &o);
	umask(022);
	if (o.ready >= 0)
		fcntl(o.ready, F_SETFD, FD_CLOEXEC);
	err = daemon_make_dirs(o.dir);
	if (err) {
		log_error("%s: %s", o.dir, strerror(-err));
		return 1;
	}
	want_descriptors();
	rcu_register_thread();
	err = open_all(&d, &o);
	if (err) {
		log_error("cannot start: %s", strerror(-err));
		tree_remove(o.dir);
		return 1;
	}
	redirect(o.dir);
	if (chdir("/"))
		log_warn("chdir: %s", strerror(errno));
	if (o.ready >= 0) {
		if (write(o.ready, "r", 1) != 1)
			d.stop = true;
		close(o.ready);
	}
	loop(&d);
	worker_fd_del(d.w, &d.signals);
	close(d.signals.fd);
	daemon_close(&d);
	rcu_unregister_thread();
	return 0;
}
