/*
 * main: the life of the daemon: start, loop, end.
 *
 * The loop is the control thread's: a step of worker 0, what the step queued for programs, then
 * sleep until a descriptor or a timer. The folder of the instance is renamed away before anything
 * is closed, so whoever finds the folder under its name finds a daemon that lives or one that died,
 * never one that is about to go.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
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

#include "ctl/nl.h"
#include "daemon.h"

#define FIRST_CLIENT (10 * NSEC_PER_SEC) /* a daemon that nobody comes to ends */
#define FDS_EVERY    (100 * NSEC_PER_USEC)
#define SPIN	     (50 * NSEC_PER_USEC)

struct options {
	const char *dir, *name;
	unsigned threads;
	bool keep;
	int ready; /* where to say that we are ready, -1: nowhere */
};

static void usage(void)
{
	fputs("usage: weftd -dir DIRECTORY -name NAME [-threads N] [-keep]\n", stderr);
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

void daemon_fd_closed(struct daemon *d)
{
	if (!d->ctl_paused)
		return;
	d->ctl_paused = false;
	worker_fd_mod(d->w, &d->ctl, EPOLLIN);
}

void daemon_check_end(struct daemon *d)
{
	if (!d->keep && d->had_token && !d->n_conns && !d->n_tokens)
		d->stop = true;
}

static void on_signal(struct worker *w, struct worker_fd *f, uint32_t events)
{
	struct daemon *d = container_of(f, struct daemon, signals);
	struct signalfd_siginfo si;

	if (read(f->fd, &si, sizeof(si)) == sizeof(si))
		d->stop = true;
}

/* Before any thread: they inherit the mask. */
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

static int make_dirs(const char *dir)
{
	static const char *const below[] = {"ns", "netns", "shadow"};
	char path[PATH_MAX];

	if (mkdir(dir, 0700))
		return -errno;
	for (unsigned i = 0; i < ARRAY_SIZE(below); i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, below[i]);
		if (mkdir(path, 0700))
			return -errno;
	}
	return 0;
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

static int tables_init(struct daemon *d)
{
	struct table *const t[] = {&d->by_ino,	     &d->ns_files, &d->by_name,
				   &d->token_inodes, &d->pids,	   &d->handles};
	int err = 0;

	for (unsigned i = 0; i < ARRAY_SIZE(t) && !err; i++)
		err = table_init(t[i]);
	return err;
}

static void tables_fini(struct daemon *d)
{
	table_fini(&d->by_ino);
	table_fini(&d->ns_files);
	table_fini(&d->by_name);
	table_fini(&d->token_inodes);
	table_fini(&d->pids);
	table_fini(&d->handles);
}

static int daemon_open(struct daemon *d, const struct options *o)
{
	struct weft_config c = {
		.n_threads = o->threads,
		.now = clock_mono(),
		.wall = clock_wall_offset(),
		.spin_ns = SPIN,
	};
	int err;

	d->dir = o->dir;
	d->name = o->name;
	d->keep = o->keep;
	d->recheck = UINT64_MAX;
	d->deadline = c.now + FIRST_CLIENT;
	d->buf = malloc(WEFT_MSG_MAX + 1);
	d->out = malloc(WEFT_MSG_MAX);
	d->scratch = malloc(WEFT_MSG_MAX);
	if (!d->buf || !d->out || !d->scratch)
		return -ENOMEM;
	if (getrandom(&c.seed, sizeof(c.seed), 0) != sizeof(c.seed) ||
	    getrandom(&d->id, sizeof(d->id), 0) != sizeof(d->id))
		return -errno;
	CDS_INIT_LIST_HEAD(&d->conns);
	CDS_INIT_LIST_HEAD(&d->tokens);
	CDS_INIT_LIST_HEAD(&d->spaces);
	CDS_INIT_LIST_HEAD(&d->names);
	CDS_INIT_LIST_HEAD(&d->writers);
	CDS_INIT_LIST_HEAD(&d->dirty);
	if ((err = signals_open(d)))
		return err;
	d->weft = weft_new(&c, &err);
	if (!d->weft)
		return err;
	d->weft->daemon = d;
	d->w = d->weft->worker[0];
	nl_set_resolver(d->weft, &ns_resolver);
	if ((err = worker_open_fds(d->w)) || (err = worker_fd_add(d->w, &d->signals, EPOLLIN)) ||
	    (err = tables_init(d)) || (err = ends_init(d)) || (err = writers_init(d)) ||
	    (err = ns_init(d)) || (err = conn_listen(d)))
		return err;
	return weft_start(d->weft);
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
		worker_sleep(d->w, n ? 0 : MIN(worker_next(d->w), until));
	}
}

static void daemon_close(struct daemon *d)
{
	char gone[PATH_MAX];
	const char *slash = strrchr(d->dir, '/');

	/* <base>/.gone-<pid> */
	snprintf(gone, sizeof(gone), "%.*s/.gone-%d", (int)(slash - d->dir), d->dir, (int)getpid());
	if (!rename(d->dir, gone))
		d->dir = gone; /* the name may be another's from here on */
	weft_stop(d->weft);
	worker_fd_del(d->w, &d->ctl);
	close(d->ctl.fd);
	conn_close_all(d);
	writers_fini(d);
	ends_fini(d);
	ns_fini(d);
	tables_fini(d);
	tree_remove(d->dir);
	worker_fd_del(d->w, &d->signals);
	close(d->signals.fd);
	weft_free(d->weft);
	free(d->buf);
	free(d->out);
	free(d->scratch);
}

int main(int argc, char **argv)
{
	static struct daemon d;
	struct options o;
	struct rlimit fds;
	int err;

	parse(argc, argv, &o);
	umask(022);
	if (o.ready >= 0)
		fcntl(o.ready, F_SETFD, FD_CLOEXEC);
	err = make_dirs(o.dir);
	if (err) {
		log_error("%s: %s", o.dir, strerror(-err));
		return 1;
	}
	if (!getrlimit(RLIMIT_NOFILE, &fds)) {
		fds.rlim_cur = fds.rlim_max;
		setrlimit(RLIMIT_NOFILE, &fds);
	}
	rcu_register_thread();
	err = daemon_open(&d, &o);
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
	daemon_close(&d);
	rcu_unregister_thread();
	return 0;
}
