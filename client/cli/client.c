/* client: a connection of the weft command to a daemon. */
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli.h"

int client_open(struct client *c, const char *dir, uint64_t ino)
{
	struct shim_req r;

	c->fd = conn_open(dir);
	if (c->fd < 0)
		return c->fd;
	int err = conn_hello(c->fd, ino, &r);
	if (err) {
		close(c->fd);
		c->fd = -1;
		return err;
	}
	c->ino = r.rep.arg0;
	c->instance = r.rep.arg1;
	return 0;
}

void client_close(struct client *c)
{
	if (c->fd >= 0)
		close(c->fd);
	c->fd = -1;
}

int client_call(struct client *c, struct shim_req *r)
{
	return conn_call(c->fd, r);
}

/* What a descriptor holds, from its start, as text. */
static char *slurp(int fd)
{
	struct stat st;

	if (fstat(fd, &st))
		return NULL;
	char *text = malloc((size_t)st.st_size + 1);
	if (!text)
		return NULL;
	ssize_t n = pread(fd, text, (size_t)st.st_size, 0);
	text[n < 0 ? 0 : n] = 0;
	return text;
}

char *client_info(struct client *c, const char *what)
{
	struct shim_req r = {.op = WEFT_OP_INFO, .data = what, .len = strlen(what)};
	int err = client_call(c, &r);

	if (err || r.fd < 0) {
		errno = err ? -err : EPROTO;
		return NULL;
	}
	char *text = slurp(r.fd);
	close(r.fd);
	return text;
}

/* ---- which one ---- */

struct only {
	unsigned n;
	char dir[PATH_MAX];
};

static void count_live(void *arg, const char *name, const char *dir)
{
	struct only *o = arg;
	struct client c;

	if (client_open(&c, dir, 0))
		return;
	client_close(&c);
	o->n++;
	snprintf(o->dir, sizeof(o->dir), "%s", dir);
}

void client_find(struct client *c, const char *name)
{
	const char *around = getenv(WEFT_ENV_DIR), *netns = getenv(WEFT_ENV_NETNS);
	uint64_t ino = 0;
	struct only o = {0};
	int err;

	if (name) {
		if (!rundir_name_ok(name))
			die(EXIT_USAGE, "'%s' cannot be the name of an instance", name);
		rundir_of(name, o.dir);
	} else if (around && *around) {
		snprintf(o.dir, sizeof(o.dir), "%s", around);
		if (netns)
			ino = strtoull(netns, NULL, 10);
	} else {
		rundir_each(count_live, &o);
		if (o.n != 1)
			die(EXIT_USAGE, "%s: say which instance by -n NAME",
			    o.n ? "there are several" : "there is none");
	}
	err = client_open(c, o.dir, ino);
	if (err == -ENOENT || err == -ECONNREFUSED || err == -EPIPE)
		die(1, "there is no instance '%s'", name ? name : o.dir);
	if (err)
		die(1, "%s: %s", o.dir, strerror(-err));
}
