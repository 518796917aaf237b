/*
 * nsfiles: namespaces as programs see them: files, names, tokens, processes.
 *
 * <dir>/ns/<ino> stands for a namespace as /proc/PID/ns/net does; <dir>/netns/NAME is a link to it
 * (a name without a namespace, as `ip netns add` makes it first, is an empty file). The file is
 * made when it is first asked for; mostly that is when the namespace gets a name, and the empty
 * file of the name becomes it. A program that holds such a file open holds the namespace: when its
 * last other user has gone, we ask for a lease on the file, which is granted only if nobody has it
 * open.
 *
 * A token is what processes of a namespace inherit: one end of a pair. It reads as ended when the
 * last of them has gone.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ctl/nl.h"
#include "daemon.h"

#define RECHECK (200 * NSEC_PER_MSEC)

static void ns_path(const struct ns *ns, char *to)
{
	snprintf(to, PATH_MAX, "%s/ns/%llu", ns->d->dir, (unsigned long long)ns->net->ino);
}

/* Makes the file that fd is the file of ns. */
static int fill(struct ns *ns, int fd)
{
	char text[32];
	struct stat st;
	int n = snprintf(text, sizeof(text), "%llu\n", (unsigned long long)ns->net->ino);
	const struct timespec times[] = {{.tv_nsec = UTIME_OMIT},
					 {(time_t)ns->net->ino, WEFT_NS_NSEC}};

	if (write(fd, text, (size_t)n) != n || fchmod(fd, 0444) || futimens(fd, times) ||
	    fstat(fd, &st))
		return -errno;
	ns->has_file = true;
	ns->dev = st.st_dev;
	table_add(&ns->d->ns_files, &ns->by_inode, st.st_ino);
	return 0;
}

int ns_file(struct ns *ns)
{
	char path[PATH_MAX];

	if (ns->has_file)
		return 0;
	ns_path(ns, path);
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0444);
	if (fd < 0)
		return -errno;
	int err = fill(ns, fd);
	close(fd);
	if (err)
		unlink(path);
	return err;
}

struct ns *ns_new(struct daemon *d, struct net *net, int *err)
{
	struct ns *ns = calloc(1, sizeof(*ns));

	if (!ns) {
		*err = -ENOMEM;
		net_put(net);
		return NULL;
	}
	*err = 0;
	ns->d = d;
	ns->net = net;
	ns->users = 1;
	CDS_INIT_LIST_HEAD(&ns->names);
	cds_list_add_tail(&ns->link, &d->spaces);
	table_add(&d->by_ino, &ns->by_ino, net->ino);
	d->n_spaces++;
	return ns;
}

struct ns *ns_by_ino(struct daemon *d, uint64_t ino)
{
	struct table_item *i = table_first(&d->by_ino, ino);

	return i ? container_of(i, struct ns, by_ino) : NULL;
}

struct ns *ns_get(struct ns *ns)
{
	ns->users++;
	ns->lapsed = false;
	return ns;
}

static bool is_open(const struct ns *ns)
{
	char path[PATH_MAX];

	if (!ns->has_file)
		return false;
	ns_path(ns, path);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	bool open = fcntl(fd, F_SETLEASE, F_WRLCK) && errno == EAGAIN;
	close(fd);
	return open;
}

static void ns_free(struct ns *ns)
{
	char path[PATH_MAX];

	if (ns->has_file) {
		ns_path(ns, path);
		unlink(path);
		table_del(&ns->d->ns_files, &ns->by_inode);
	}
	shadow_remove(ns);
	cds_list_del(&ns->link);
	table_del(&ns->d->by_ino, &ns->by_ino);
	ns->d->n_spaces--;
	net_put(ns->net);
	free(ns);
}

void ns_put(struct ns *ns)
{
	if (--ns->users)
		return;
	if (is_open(ns)) {
		ns->lapsed = true;
		ns->d->recheck = MIN(ns->d->recheck, daemon_now(ns->d) + RECHECK);
	} else {
		ns_free(ns);
	}
}

void ns_recheck(struct daemon *d, uint64_t now)
{
	struct ns *ns, *next;

	d->recheck = UINT64_MAX;
	cds_list_for_each_entry_safe (ns, next, &d->spaces, link) {
		if (!ns->lapsed)
			continue;
		if (is_open(ns))
			d->recheck = now + RECHECK;
		else
			ns_free(ns);
	}
}

/* ---- tokens ---- */

static void token_close(struct token *t)
{
	struct daemon *d = t->d;

	worker_fd_del(d->w, &t->fd);
	close(t->fd.fd);
	cds_list_del(&t->link);
	table_del(&d->token_inodes, &t->by_inode);
	d->n_tokens--;
	ns_put(t->ns);
	free(t);
	daemon_fd_closed(d);
	daemon_check_end(d);
}

/* The end of a pair that a program asks to be connected by: -1, none came; otherwise *fd. */
static ssize_t take_door(int token, int *fd)
{
	union {
		char buf[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control;
	char c;
	struct iovec iov = {&c, 1};
	struct msghdr m = {.msg_iov = &iov,
			   .msg_iovlen = 1,
			   .msg_control = control.buf,
			   .msg_controllen = sizeof(control.buf)};
	ssize_t n = recvmsg(token, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	const struct cmsghdr *cm = n > 0 ? CMSG_FIRSTHDR(&m) : NULL;

	*fd = -1;
	if (cm && cm->cmsg_level == SOL_SOCKET && cm->cmsg_type == SCM_RIGHTS)
		memcpy(fd, CMSG_DATA(cm), sizeof(*fd));
	return n;
}

static bool is_seqpacket(int fd)
{
	int type = 0;
	socklen_t len = sizeof(type);

	return !getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) && type == SOCK_SEQPACKET;
}

static void on_token(struct worker *w, struct worker_fd *f, uint32_t events)
{
	struct token *t = container_of(f, struct token, fd);
	int fd;

	while (take_door(f->fd, &fd) > 0) {
		if (fd >= 0 && is_seqpacket(fd))
			conn_new(t->d, fd);
		else if (fd >= 0)
			close(fd);
	}
	if (events & EPOLLHUP)
		token_close(t);
	else if (events & EPOLLRDHUP)
		worker_fd_mod(w, f, 0);
}

int token_new(struct ns *ns)
{
	struct daemon *d = ns->d;
	struct token *t = calloc(1, sizeof(*t));
	struct stat st;
	int fd[2];

	if (!t)
		return -ENOMEM;
	int err =
		pair_named(d, SOCK_SEQPACKET, fd, "ns/%llu/%llu", (unsigned long long)ns->net->ino,
			   (unsigned long long)++d->last_handle);
	if (err) {
		free(t);
		return err;
	}
	t->fd.fd = fd[0];
	t->fd.ready = on_token;
	err = fstat(fd[1], &st) ? -errno : worker_fd_add(d->w, &t->fd, EPOLLIN | EPOLLRDHUP);
	if (err) {
		close(fd[0]);
		close(fd[1]);
		free(t);
		return err;
	}
	t->d = d;
	t->ns = ns_get(ns);
	cds_list_add(&t->link, &d->tokens);
	table_add(&d->token_inodes, &t->by_inode, st.st_ino);
	d->n_tokens++;
	d->had_token = true;
	return fd[1];
}

/* ---- names ---- */

static uint64_t name_hash(const struct daemon *d, const char *name)
{
	const struct hash_key key = {{d->id, 0}};

	return siphash(name, strlen(name), &key);
}

static struct ns_name *find_name(struct daemon *d, const char *name)
{
	struct table_item *i = table_first(&d->by_name, name_hash(d, name));

	for (; i; i = table_next(&d->by_name, i)) {
		struct ns_name *n = container_of(i, struct ns_name, by_name);
		if (!strcmp(n->name, name))
			return n;
	}
	return NULL;
}

/* The last part of a path; NULL when it names nothing. */
static const char *plain_name(const char *name)
{
	const char *slash = strrchr(name, '/');

	if (slash)
		name = slash + 1;
	if (!*name || !strcmp(name, ".") || !strcmp(name, "..") || strlen(name) > NAME_MAX)
		return NULL;
	return name;
}

/* Puts what is at `from` in the place of the name. */
static int place(struct daemon *d, const char *from, const char *name)
{
	char to[PATH_MAX];

	snprintf(to, sizeof(to), "%s/netns/%s", d->dir, name);
	int err = rename(from, to) ? -errno : 0;
	/* still there after an error, or when both were the same file */
	unlink(from);
	return err;
}

static void name_free(struct ns_name *n)
{
	cds_list_del(&n->link);
	cds_list_del(&n->of_ns);
	table_del(&n->ns->d->by_name, &n->by_name);
	ns_put(n->ns);
	free(n);
}

/* Makes the empty file of the name the file of ns. False: it is none, or not ours. */
static bool adopt(struct ns *ns, const char *name)
{
	char path[PATH_MAX], named[PATH_MAX];
	struct stat st;

	snprintf(named, sizeof(named), "%s/netns/%s", ns->d->dir, name);
	if (lstat(named, &st) || !S_ISREG(st.st_mode) || st.st_size || st.st_nlink != 1 ||
	    chmod(named, 0600))
		return false;
	int fd = open(named, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return false;
	ns_path(ns, path);
	bool done = !link(named, path) && !fill(ns, fd);
	close(fd);
	if (!done)
		unlink(path);
	return done;
}

/* Puts a link to the file of ns in the place of the name. */
static int replace(struct ns *ns, const char *name)
{
	char path[PATH_MAX], tmp[PATH_MAX];
	int err = ns_file(ns);

	if (err)
		return err;
	ns_path(ns, path);
	snprintf(tmp, sizeof(tmp), "%s/ns/.link", ns->d->dir);
	unlink(tmp);
	return link(path, tmp) ? -errno : place(ns->d, tmp, name);
}

/* Notes that name, a whole path or not, stands for ns. */
static void name_add(struct ns *ns, struct ns_name *n, const char *name)
{
	struct daemon *d = ns->d;
	struct ns_name *old = find_name(d, name);

	strcpy(n->name, name);
	n->ns = ns_get(ns);
	if (old)
		name_free(old);
	cds_list_add(&n->link, &d->names);
	cds_list_add_tail(&n->of_ns, &ns->names);
	table_add(&d->by_name, &n->by_name, name_hash(d, name));
}

int ns_name(struct daemon *d, struct ns *ns, const char *name)
{
	struct ns_name *n;

	name = plain_name(name);
	if (!name)
		return -EINVAL;
	n = calloc(1, sizeof(*n) + strlen(name) + 1);
	if (!n)
		return -ENOMEM;
	int err = !ns->has_file && adopt(ns, name) ? 0 : replace(ns, name);
	if (err) {
		free(n);
		return err;
	}
	name_add(ns, n, name);
	return 0;
}

const char *ns_name_of(struct daemon *d, uint64_t ino)
{
	struct ns *ns = ns_by_ino(d, ino);

	if (!ns || cds_list_empty(&ns->names))
		return NULL;
	return cds_list_first_entry(&ns->names, struct ns_name, of_ns)->name;
}

int ns_mounted(struct ns *ns, const char *path)
{
	struct ns_name *n = *path == '/' ? calloc(1, sizeof(*n) + strlen(path) + 1) : NULL;

	if (!n)
		return *path == '/' ? -ENOMEM : -EINVAL;
	name_add(ns, n, path);
	return 0;
}

int ns_unmounted(struct daemon *d, const char *path)
{
	struct ns_name *n = *path == '/' ? find_name(d, path) : NULL;

	if (!n)
		return -EINVAL;
	name_free(n);
	return 0;
}

/* A new name for the empty file that all names without a namespace share. */
static int empty_link(struct daemon *d, const char *to)
{
	char empty[PATH_MAX];

	snprintf(empty, sizeof(empty), "%s/ns/.empty", d->dir);
	unlink(to);
	if (!link(empty, to))
		return 0;
	/* not there yet, or too many links for the file system: another one */
	unlink(empty);
	int fd = open(empty, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0444);
	if (fd < 0)
		return -errno;
	close(fd);
	return link(empty, to) ? -errno : 0;
}

int ns_unname(struct daemon *d, const char *name)
{
	char tmp[PATH_MAX];
	struct ns_name *n;

	name = plain_name(name);
	n = name ? find_name(d, name) : NULL;
	if (!n)
		return -EINVAL;
	snprintf(tmp, sizeof(tmp), "%s/ns/.link", d->dir);
	int err = empty_link(d, tmp);
	if (!err)
		err = place(d, tmp, name);
	if (!err)
		name_free(n);
	return err;
}

/* ---- processes ---- */

static struct ns *by_token(struct daemon *d, uint64_t inode)
{
	struct table_item *i = table_first(&d->token_inodes, inode);

	return i ? container_of(i, struct token, by_inode)->ns : NULL;
}

static struct ns *by_proc_fd(struct daemon *d, pid_t pid, const char *fd)
{
	char path[64];
	struct stat st;

	snprintf(path, sizeof(path), "/proc/%d/fd/%s", (int)pid, fd);
	if (stat(path, &st) || !S_ISSOCK(st.st_mode))
		return NULL;
	return by_token(d, st.st_ino);
}

/* The token that the process was started with, if it still has it. */
static struct ns *by_environ(struct daemon *d, pid_t pid)
{
	char path[64], *line = NULL;
	size_t room = 0;
	struct ns *ns = NULL;

	snprintf(path, sizeof(path), "/proc/%d/environ", (int)pid);
	FILE *f = fopen(path, "re");
	if (!f)
		return NULL;
	while (!ns && getdelim(&line, &room, 0, f) > 0) {
		const char *colon;
		if (strncmp(line, WEFT_ENV_NETNS "=", sizeof(WEFT_ENV_NETNS)))
			continue;
		colon = strchr(line, ':');
		if (colon && strlen(colon + 1) < 12 &&
		    colon[1 + strspn(colon + 1, "0123456789")] == 0)
			ns = by_proc_fd(d, pid, colon + 1);
	}
	free(line);
	fclose(f);
	return ns;
}

/* Any token it holds: of a process that changed its namespace and forked without exec. */
static struct ns *by_descriptors(struct daemon *d, pid_t pid)
{
	char path[64];
	struct dirent *e;
	struct ns *ns = NULL;

	snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
	DIR *dir = opendir(path);
	while (dir && !ns && (e = readdir(dir)))
		ns = by_proc_fd(d, pid, e->d_name);
	if (dir)
		closedir(dir);
	return ns;
}

struct ns *ns_of_pid(struct daemon *d, pid_t pid, int *err)
{
	struct table_item *i;
	struct ns *ns;

	*err = 0;

	if (pid <= 0) {
		*err = -ESRCH;
		return NULL;
	}
	for (i = table_first(&d->pids, (uint64_t)pid); i; i = table_next(&d->pids, i)) {
		struct conn *c = container_of(i, struct conn, by_pid);
		if (c->ns)
			return c->ns;
	}
	ns = by_environ(d, pid);
	if (!ns)
		ns = by_descriptors(d, pid);
	/* whoever says 1 means where it all began */
	if (!ns && pid == 1)
		ns = d->first;
	*err = ns ? 0 : -ESRCH;
	return ns;
}

static struct net *resolve_pid(struct weft *weft, uint32_t pid, int *err)
{
	struct ns *ns = ns_of_pid(weft->daemon, (pid_t)pid, err);

	return ns ? net_get(ns->net) : NULL;
}

static struct net *resolve_fd(struct weft *weft, uint32_t pid, int fd, int *err)
{
	struct daemon *d = weft->daemon;
	struct table_item *i;
	char path[64];
	struct stat st;

	snprintf(path, sizeof(path), "/proc/%u/fd/%d", pid, fd);
	if (stat(path, &st)) {
		*err = -EBADF;
		return NULL;
	}
	for (i = table_first(&d->ns_files, st.st_ino); i; i = table_next(&d->ns_files, i)) {
		struct ns *ns = container_of(i, struct ns, by_inode);
		if (ns->dev != st.st_dev)
			continue;
		*err = 0;
		return net_get(ns->net);
	}
	*err = -EINVAL;
	return NULL;
}

const struct nl_resolver ns_resolver = {.by_fd = resolve_fd, .by_pid = resolve_pid};

int ns_init(struct daemon *d)
{
	int err;

	d->first = ns_new(d, net_get(d->weft->nets->first), &err);
	return err;
}

void ns_fini(struct daemon *d)
{
	struct token *t, *next_token;
	struct ns_name *n, *next_name;
	struct ns *ns, *next;

	cds_list_for_each_entry_safe (t, next_token, &d->tokens, link)
		token_close(t);
	cds_list_for_each_entry_safe (n, next_name, &d->names, link)
		name_free(n);
	cds_list_for_each_entry_safe (ns, next, &d->spaces, link)
		ns_free(ns);
}
