/*
 * rundir: the folder of instances.
 *
 * It must be ours and closed to others: what is in it decides where programs connect to. Folders
 * whose name begins with a dot are leftovers being removed.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli.h"

#define NAME_LONGEST 64

static bool make_base(const char *path)
{
	return !mkdir(path, 0700) || errno == EEXIST;
}

const char *rundir_base(void)
{
	static const char *const places[] = {"/dev/shm", "/tmp"};
	static char base[PATH_MAX];
	const char *own = getenv("WEFT_RUNDIR"), *xdg = getenv("XDG_RUNTIME_DIR");
	char path[PATH_MAX];
	struct stat st;

	if (base[0])
		return base;
	if (own && *own) {
		snprintf(path, sizeof(path), "%s", own);
		if (!make_base(path))
			die(1, "%s: %s", path, strerror(errno));
	} else {
		bool made = false;
		if (xdg && *xdg == '/') {
			snprintf(path, sizeof(path), "%s/weft", xdg);
			/* a variable that was inherited from another user does not count */
			made = make_base(path) && !access(path, W_OK | X_OK);
		}
		/* in memory, if there is such a place: namespaces are files */
		for (unsigned i = 0; !made && i < ARRAY_SIZE(places); i++) {
			snprintf(path, sizeof(path), "%s/weft-%u", places[i], (unsigned)geteuid());
			made = make_base(path);
		}
		if (!made)
			die(1, "%s: %s", path, strerror(errno));
	}
	if (lstat(path, &st) || !S_ISDIR(st.st_mode) || st.st_uid != geteuid() ||
	    (st.st_mode & 077))
		die(1, "%s: must be a folder of ours that nobody else can use", path);
	if (!realpath(path, base))
		die(1, "%s: %s", path, strerror(errno));
	return base;
}

void rundir_of(const char *name, char to[PATH_MAX])
{
	if (snprintf(to, PATH_MAX, "%s/%s", rundir_base(), name) >= PATH_MAX)
		die(1, "%s: %s", name, strerror(ENAMETOOLONG));
}

bool rundir_name_ok(const char *name)
{
	size_t len = strlen(name);

	return len && len <= NAME_LONGEST && name[0] != '.' && name[0] != '-' &&
	       len == strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				   "0123456789._+@-");
}

unsigned rundir_each(void (*fn)(void *arg, const char *name, const char *dir), void *arg)
{
	char path[PATH_MAX];
	struct dirent **e;
	unsigned n = 0;
	int all = scandir(rundir_base(), &e, NULL, alphasort);

	for (int i = 0; i < all; i++) {
		if (rundir_name_ok(e[i]->d_name)) {
			rundir_of(e[i]->d_name, path);
			fn(arg, e[i]->d_name, path);
			n++;
		}
		free(e[i]);
	}
	if (all >= 0)
		free(e);
	return n;
}

int rundir_lock(void)
{
	char path[PATH_MAX];

	rundir_of(".lock", path);
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0 || flock(fd, LOCK_EX))
		die(1, "%s: %s", path, strerror(errno));
	return fd;
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *at)
{
	(void)remove(path);
	return 0;
}

void rundir_bury(const char *dir)
{
	char name[32], path[PATH_MAX];

	snprintf(name, sizeof(name), ".dead-%d", (int)getpid());
	rundir_of(name, path);
	if (!rename(dir, path))
		nftw(path, remove_one, 32, FTW_DEPTH | FTW_PHYS);
}

static void sweep_one(void *arg, const char *name, const char *dir)
{
	int fd = conn_open(dir);

	if (fd >= 0)
		close(fd);
	else if (fd == -ECONNREFUSED)
		rundir_bury(dir);
}

/* What a daemon or a starter was removing when it was killed: .gone-PID, .dead-PID. */
static int is_half_removed(const struct dirent *e)
{
	const char *pid = e->d_name + 6;

	return (!strncmp(e->d_name, ".gone-", 6) || !strncmp(e->d_name, ".dead-", 6)) && *pid &&
	       strspn(pid, "0123456789") == strlen(pid) && kill(atoi(pid), 0) && errno == ESRCH;
}

void rundir_sweep(void)
{
	char path[PATH_MAX];
	struct dirent **e;

	rundir_each(sweep_one, NULL);
	int n = scandir(rundir_base(), &e, is_half_removed, NULL);
	for (int i = 0; i < n; i++) {
		rundir_of(e[i]->d_name, path);
		nftw(path, remove_one, 32, FTW_DEPTH | FTW_PHYS);
		free(e[i]);
	}
	if (n >= 0)
		free(e);
}

bool rundir_find(const char *in_tree, const char *beside, const char *installed, char to[PATH_MAX])
{
	const char *const from_here[] = {in_tree, beside};
	char self[PATH_MAX], path[2 * PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	if (n > 0) {
		self[n] = 0;
		*strrchr(self, '/') = 0;
	}
	for (unsigned i = 0; n > 0 && i < ARRAY_SIZE(from_here); i++) {
		snprintf(path, sizeof(path), "%s/%s", self, from_here[i]);
		if (realpath(path, to) && !access(to, R_OK))
			return true;
	}
	return realpath(installed, to) && !access(to, R_OK);
}
