/* client: requests to a daemon, one at a time. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "cli.h"

static int connect_to(const char *dir)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int at = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (at < 0)
		return -errno;
	/* a path may be longer than an address */
	snprintf(a.sun_path, sizeof(a.sun_path), "/proc/self/fd/%d/ctl", at);
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	int err = fd < 0 || connect(fd, (struct sockaddr *)&a, sizeof(a)) ? -errno : 0;
	close(at);
	if (err && fd >= 0)
		close(fd);
	/* a folder without a socket is one whose daemon died early */
	return err == -ENOENT ? -ECONNREFUSED : err ? err : fd;
}

int client_open(struct client *c, const char *dir, uint64_t ino)
{
	struct request r = {.op = WEFT_OP_HELLO, .arg = {WEFT_PROTOCOL, ino}};

	c->fd = connect_to(dir);
	if (c->fd < 0)
		return c->fd;
	int err = client_call(c, &r);
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

static int take_fd(struct msghdr *m)
{
	struct cmsghdr *cm = CMSG_FIRSTHDR(m);
	int fd = -1;

	if (cm && cm->cmsg_level == SOL_SOCKET && cm->cmsg_type == SCM_RIGHTS)
		memcpy(&fd, CMSG_DATA(cm), sizeof(fd));
	return fd;
}

int client_call(struct client *c, struct request *r)
{
	struct weft_req req = {.op = r->op,
			       .len = (uint32_t)r->len,
			       .sock = r->sock,
			       .arg0 = r->arg[0],
			       .arg1 = r->arg[1],
			       .arg2 = r->arg[2]};
	struct iovec out[2] = {{&req, sizeof(req)}, {(void *)r->data, r->len}};
	struct iovec in[2] = {{&r->rep, sizeof(r->rep)}, {r->room, r->room ? r->room_len : 0}};
	struct msghdr m = {.msg_iov = out, .msg_iovlen = 2};
	union {
		char buf[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control;
	ssize_t n;

	r->fd = -1;
	do {
		n = sendmsg(c->fd, &m, MSG_NOSIGNAL);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == ECONNRESET || errno == ENOTCONN ? -EPIPE : -errno;
	m = (struct msghdr){.msg_iov = in,
			    .msg_iovlen = 2,
			    .msg_control = control.buf,
			    .msg_controllen = sizeof(control.buf)};
	do {
		n = recvmsg(c->fd, &m, MSG_CMSG_CLOEXEC);
	} while (n < 0 && errno == EINTR);
	if (n < (ssize_t)sizeof(r->rep))
		return n < 0 && errno != ECONNRESET ? -errno : -EPIPE;
	r->fd = take_fd(&m);
	return r->rep.err;
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
	struct request r = {.op = WEFT_OP_INFO, .data = what, .len = strlen(what)};
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
