/*
 * serve: the instance, and the daemon that offers it to the commands of a script.
 *
 * The environment is set in packetdrill itself, whose children inherit it; packetdrill was started
 * without the shim and stays as it is.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "drill.h"

#define START	  (1000000 * NSEC_PER_SEC)    /* of the clock */
#define WALL	  (1600000000 * NSEC_PER_SEC) /* time of day then */
#define N_PACKETS 16384
#define SEED	  20130624

/* What is left when the process ends, in whatever way exit(3) is reached. */
static char left[sizeof(((struct drill *)0)->dir)];

static void tidy(void)
{
	if (left[0])
		tree_remove(left);
}

static void *serve(void *arg)
{
	struct drill *d = arg;
	struct pollfd fds[] = {{.fd = d->w->epfd, .events = POLLIN},
			       {.fd = d->stop[0], .events = POLLIN}};

	while (poll(fds, ARRAY_SIZE(fds), -1) >= 0 || errno == EINTR) {
		if (fds[1].revents)
			break;
		drill_enter(d);
		worker_run_fds(d->w);
		weft_settle(d->weft, d->now);
		ends_flush(&d->daemon);
		drill_leave(d);
	}
	return NULL;
}

void serve_drain(struct drill *d)
{
	files_drain(&d->daemon);
}

/* The shim stands where the build put it, or beside this library. */
static int find_shim(char path[PATH_MAX])
{
	static const char *const places[] = {"../client/shim", "."};
	char self[PATH_MAX];
	Dl_info info;

	if (!dladdr(&left, &info) || !realpath(info.dli_fname, self))
		return -ENOENT;
	*strrchr(self, '/') = 0;
	for (unsigned i = 0; i < ARRAY_SIZE(places); i++) {
		int n = snprintf(path, PATH_MAX, "%s/%s/libweft-shim.so", self, places[i]);
		if (n < PATH_MAX && !access(path, R_OK))
			return 0;
	}
	return -ENOENT;
}

/* As `weft run` sets it. */
static int set_environment(struct drill *d)
{
	char shim[PATH_MAX], text[96];
	int err = find_shim(shim), fd, high;

	if (err)
		return err;
	fd = token_new(d->daemon.first);
	if (fd < 0)
		return fd;
	high = fcntl(fd, F_DUPFD, 200);
	if (high < 0)
		return -errno;
	close(fd);
	snprintf(text, sizeof(text), "%llu:%d", (unsigned long long)d->net->ino, high);
	setenv(WEFT_ENV_NETNS, text, 1);
	setenv(WEFT_ENV_DIR, d->daemon.dir, 1);
	setenv("LD_PRELOAD", shim, 1);
	/* nstat's memory of the last time */
	snprintf(text, sizeof(text), "%s/nstat", d->dir);
	setenv("NSTAT_HISTORY", text, 1);
	return 0;
}

/* The working directory stays what it was; listening changes it. */
static int open_daemon(struct drill *d)
{
	const struct weft_config c = {
		.n_packets = N_PACKETS, .seed = SEED, .now = START, .wall = WALL - START};
	int cwd = open(".", O_PATH | O_CLOEXEC), err;
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/0", d->dir);
	d->daemon.dir = strdup(path);
	d->daemon.name = "packetdrill";
	d->daemon.keep = d->daemon.own_clock = true;
	if (!d->daemon.dir)
		return -ENOMEM;
	if ((err = daemon_make_dirs(d->daemon.dir)) || (err = daemon_open(&d->daemon, &c)))
		return err;
	if (cwd < 0 || fchdir(cwd))
		return -errno;
	close(cwd);
	d->weft = d->daemon.weft;
	d->w = d->daemon.w;
	d->net = d->daemon.first->net;
	d->now = START;
	return 0;
}

int serve_init(struct drill *d)
{
	const char *tmp = getenv("TMPDIR");
	int err;

	snprintf(d->dir, sizeof(d->dir), "%s/weft-drill-XXXXXX", tmp ? tmp : "/tmp");
	if (!mkdtemp(d->dir))
		return -errno;
	strcpy(left, d->dir);
	atexit(tidy);
	rcu_register_thread();
	err = open_daemon(d);
	if (!err)
		err = dev_init(d);
	if (!err)
		err = set_environment(d);
	rcu_unregister_thread();
	if (!err && pipe2(d->stop, O_CLOEXEC))
		err = -errno;
	return err ? err : -pthread_create(&d->server, NULL, serve, d);
}

void serve_fini(struct drill *d)
{
	close(d->stop[1]);
	pthread_join(d->server, NULL);
	close(d->stop[0]);
	unsetenv("LD_PRELOAD");
	drill_enter(d);
	daemon_close(&d->daemon);
	rcu_unregister_thread();
	tidy();
	left[0] = 0;
}
