/*
 * run: weft run: starts or joins an instance, then becomes the command.
 *
 * One lock keeps starters apart, so that a name is started once. The daemon is a grandchild in a
 * session of its own: the command, which takes our process, finds no child it did not start. What
 * ties the command and all its children to the instance is the token, a descriptor they inherit.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli.h"
#include "client/secure.h"

#define READY_FD 3
#define TRIES	 200 /* with a daemon that is just ending, 10 ms apart */

struct options {
	const char *name; /* NULL: an instance of our own */
	const char *workers;
	bool keep;
};

/* In the daemon to be: nothing of the caller's may stay open in it. */
static void become_daemon(const char *path, const char *dir, const char *name,
			  const struct options *o, int ready)
{
	const char *argv[12] = {"weftd", "-dir", dir, "-name", name, "-ready", "3"};
	unsigned n = 7;
	sigset_t none;

	if (o->workers) {
		argv[n++] = "-threads";
		argv[n++] = o->workers;
	}
	if (o->keep)
		argv[n++] = "-keep";
	int null = open("/dev/null", O_RDWR);
	if (null >= 0) {
		dup2(null, 0);
		dup2(null, 1);
	}
	if (dup2(ready, READY_FD) < 0)
		_exit(1);
	fcntl(READY_FD, F_SETFD, 0);
	close_range(READY_FD + 1, ~0U, 0);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	unsetenv("LD_PRELOAD");
	unsetenv(WEFT_ENV_DIR);
	unsetenv(WEFT_ENV_NETNS);
	execv(path, (char *const *)argv);
	complain("%s: %s", path, strerror(errno));
	_exit(1);
}

static void start(const char *dir, const char *name, const struct options *o)
{
	char path[PATH_MAX], c;
	int ready[2], status;

	if (!rundir_find("../../daemon/weftd", WEFT_LIBEXEC_BESIDE "/weftd", WEFT_LIBEXEC "/weftd",
			 path))
		die(1, "weftd is not there");
	if (pipe2(ready, O_CLOEXEC))
		die(1, "pipe: %s", strerror(errno));
	pid_t pid = fork();
	if (pid < 0)
		die(1, "fork: %s", strerror(errno));
	if (!pid) {
		setsid();
		pid = fork();
		if (!pid)
			become_daemon(path, dir, name, o, ready[1]);
		_exit(pid < 0);
	}
	close(ready[1]);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	ssize_t n;
	while ((n = read(ready[0], &c, 1)) < 0 && errno == EINTR)
		;
	close(ready[0]);
	if (n != 1)
		die(1, "the daemon did not start");
}

/* Connects to the instance called name, starting it if it is not there. False: try again. */
static bool join(struct client *c, const char *name, const struct options *o, char dir[PATH_MAX])
{
	int lock = rundir_lock();
	int err;

	rundir_of(name, dir);
	err = client_open(c, dir, 0);
	if (err == -ECONNREFUSED || err == -ENOENT) {
		rundir_sweep();
		start(dir, name, o);
		err = client_open(c, dir, 0);
	} else if (!err && o->keep) {
		struct shim_req r = {.op = WEFT_OP_KEEP, .arg = {1}};
		err = client_call(c, &r);
	}
	close(lock);
	if (err && err != -EPIPE)
		die(1, "%s: %s", dir, strerror(-err));
	return !err;
}

/* A name that nobody has: our process's number, which becomes the command's. */
static void own_name(char *name, size_t room)
{
	char dir[PATH_MAX];
	struct client c;

	snprintf(name, room, "%d", (int)getpid());
	for (unsigned i = 1;; i++) {
		rundir_of(name, dir);
		if (client_open(&c, dir, 0))
			return;
		client_close(&c);
		snprintf(name, room, "%d.%u", (int)getpid(), i);
	}
}

static void set_preload(void)
{
	char shim[PATH_MAX], *value;
	const char *old = getenv("LD_PRELOAD");

	if (!rundir_find("../shim/libweft-shim.so", WEFT_LIBDIR_BESIDE "/libweft-shim.so",
			 WEFT_LIBDIR "/libweft-shim.so", shim))
		die(1, "libweft-shim.so is not there");
	if (strpbrk(shim, ": "))
		die(1, "%s: the loader takes no path with a colon or a space", shim);
	bool others = old && *old && !strstr(old, "libweft-shim.so");
	if (asprintf(&value, "%s%s%s", shim, others ? ":" : "", others ? old : "") < 0)
		die(1, "%s", strerror(ENOMEM));
	setenv("LD_PRELOAD", value, 1);
	free(value);
}

/* The environment of the namespace; the token stays open across the exec. */
static void set_environment(struct client *c, const char *dir)
{
	struct shim_req r = {.op = WEFT_OP_NS_SET};
	char text[64];
	int err = client_call(c, &r);

	if (err || r.fd < 0)
		die(1, "no token of the namespace: %s", strerror(err ? -err : EPROTO));
	/* out of the way of shells, which use the low numbers as they like */
	int token = fcntl(r.fd, F_DUPFD, 200);
	if (token < 0)
		token = fcntl(r.fd, F_DUPFD, 10);
	if (token < 0)
		die(1, "no descriptor for the token: %s", strerror(errno));
	close(r.fd);
	snprintf(text, sizeof(text), "%llu:%d", (unsigned long long)r.rep.arg0, token);
	setenv(WEFT_ENV_NETNS, text, 1);
	setenv(WEFT_ENV_DIR, dir, 1);
	set_preload();
}

static void parse(int argc, char **argv, struct options *o)
{
	static const struct option longs[] = {{"name", required_argument, NULL, 'n'},
					      {"keep", no_argument, NULL, 'k'},
					      {"workers", required_argument, NULL, 'w'},
					      {NULL, 0, NULL, 0}};
	char *end;
	int opt;

	while ((opt = getopt_long(argc, argv, "+n:kw:", longs, NULL)) != -1) {
		switch (opt) {
		case 'n':
			o->name = optarg;
			break;
		case 'k':
			o->keep = true;
			break;
		case 'w':
			o->workers = optarg;
			if (strtoul(optarg, &end, 10) > 63 || *end || end == optarg)
				die(EXIT_USAGE, "-w takes a number from 0 to 63, not '%s'", optarg);
			break;
		default:
			usage(RUN_USAGE);
		}
	}
	if (optind == argc)
		usage(RUN_USAGE);
	if (o->name && !rundir_name_ok(o->name))
		die(EXIT_USAGE, "'%s' cannot be the name of an instance", o->name);
}

/* Runs the command; returns what kept it from that. */
static int become(char **argv, int argc)
{
	char path[PATH_MAX], loader[SECURE_LOADER_MAX];
	char **list = calloc((size_t)argc + SECURE_ARGS + 1, sizeof(*list));
	bool found = secure_find(argv[0], getenv("PATH"), path);

	if (list && found && secure_exec(path, loader))
		execv(loader, secure_argv(loader, path, argv, list));
	execvp(argv[0], argv);
	free(list);
	/* as shells have it: a folder that may not be searched holds no command */
	return errno == EACCES && !found ? ENOENT : errno;
}

int run_main(int argc, char **argv)
{
	struct options o = {0};
	char dir[PATH_MAX], own[32] = "";
	struct client c;
	int tries = 0;

	parse(argc, argv, &o);
	if (!o.name)
		own_name(own, sizeof(own));
	while (!join(&c, o.name ? o.name : own, &o, dir)) {
		if (++tries == TRIES)
			die(1, "%s: its daemon does not answer", dir);
		usleep(10000);
	}
	set_environment(&c, dir);
	client_close(&c);
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	int err = become(argv + optind, argc - optind);
	complain("%s: %s", argv[optind], strerror(err));
	return err == ENOENT ? 127 : 126;
}
