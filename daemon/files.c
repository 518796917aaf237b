/*
 * files: what programs open below /proc/net, /proc/sys/net and /sys/class/net.
 *
 * Reading yields a memfd with the content of that moment. Writing yields one end of a pair, because
 * shells write through calls that no shim sees: each write(2) is a record, and what has been
 * written is taken before the next request of any program, so that whoever looks after the write
 * finds it done. A program whose calls the shim does see writes by WEFT_OP_WRITE instead and learns
 * of errors.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ctl/files.h"
#include "daemon.h"

#define DRAIN_MAX 64

bool file_normalise(const char *path, char *to)
{
	size_t n = 0;

	if (path[0] != '/')
		return false;
	while (*path) {
		size_t len;
		path += strspn(path, "/");
		len = strcspn(path, "/");
		if (!len)
			break;
		if (len == 2 && path[0] == '.' && path[1] == '.') {
			while (n && to[--n] != '/')
				;
		} else if (len != 1 || path[0] != '.') {
			if (n + len + 2 > PATH_MAX)
				return false;
			to[n++] = '/';
			memcpy(to + n, path, len);
			n += len;
		}
		path += len;
	}
	if (!n)
		to[n++] = '/';
	to[n] = 0;
	return true;
}

int file_memfd(const char *name, const char *text, size_t len, bool writable)
{
	int fd = memfd_create(name, MFD_CLOEXEC | (writable ? 0 : MFD_ALLOW_SEALING));
	size_t done = 0;

	if (fd < 0)
		return -errno;
	while (done < len) {
		ssize_t n = pwrite(fd, text + done, len - done, (off_t)done);
		if (n < 0) {
			int err = -errno;
			close(fd);
			return err;
		}
		done += (size_t)n;
	}
	if (!writable)
		fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL);
	return fd;
}

/* A memfd with the content of a file as seen from net. Its name tells what it is, if there is room;
 * the longest paths are those of devices. */
static int content(struct net *net, const char *path, bool writable)
{
	char *text = NULL, name[250];
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);

	if (!out)
		return -ENOMEM;
	snprintf(name, sizeof(name), "weft:%llu:%s", (unsigned long long)net->ino, path);
	int err = files_show(net, path, out);
	if (fclose(out) && !err)
		err = -ENOMEM;
	if (!err)
		err = file_memfd(name, text, len, writable);
	free(text);
	return err;
}

/* ---- writers ---- */

static void writer_drain(struct writer *wr)
{
	struct daemon *d = wr->d;

	for (int i = 0; i < DRAIN_MAX; i++) {
		ssize_t n = recv(wr->fd, d->scratch, WEFT_MSG_MAX - 1, MSG_DONTWAIT);
		if (n <= 0)
			break;
		d->scratch[n] = 0;
		int err = files_store(wr->ns->net, wr->path, (char *)d->scratch, (size_t)n);
		if (err < 0) {
			log_debug("write to %s: %s", wr->path, strerror(-err));
			wr->err = err;
		}
	}
}

static void writer_close(struct writer *wr)
{
	struct daemon *d = wr->d;

	close(wr->fd);
	cds_list_del(&wr->link);
	table_del(&d->handles, &wr->by_handle);
	ns_put(wr->ns);
	free(wr);
	daemon_fd_closed(d);
}

static void writer_ready(struct writer *wr, uint32_t events)
{
	struct epoll_event none = {.data.ptr = wr};

	writer_drain(wr);
	if (events & EPOLLHUP)
		writer_close(wr);
	else if (events & EPOLLRDHUP)
		epoll_ctl(wr->d->writing.fd, EPOLL_CTL_MOD, wr->fd, &none);
}

void files_drain(struct daemon *d)
{
	struct epoll_event e[DRAIN_MAX];
	int n;

	if (cds_list_empty(&d->writers))
		return;
	do {
		n = epoll_wait(d->writing.fd, e, DRAIN_MAX, 0);
		for (int i = 0; i < n; i++)
			writer_ready(e[i].data.ptr, e[i].events);
	} while (n == DRAIN_MAX);
}

static void on_writing(struct worker *w, struct worker_fd *f, uint32_t events)
{
	files_drain(container_of(f, struct daemon, writing));
}

int writers_init(struct daemon *d)
{
	d->writing.ready = on_writing;
	d->writing.fd = epoll_create1(EPOLL_CLOEXEC);
	return d->writing.fd < 0 ? -errno : worker_fd_add(d->w, &d->writing, EPOLLIN);
}

void writers_fini(struct daemon *d)
{
	struct writer *wr, *next;

	cds_list_for_each_entry_safe (wr, next, &d->writers, link) {
		writer_drain(wr);
		writer_close(wr);
	}
	worker_fd_del(d->w, &d->writing);
	close(d->writing.fd);
}

static struct writer *writer_by_handle(struct daemon *d, uint64_t handle)
{
	struct table_item *i = table_first(&d->handles, handle);

	return i ? container_of(i, struct writer, by_handle) : NULL;
}

/* The program's end, or -errno. */
static int writer_new(struct ns *ns, const char *path, uint64_t *handle)
{
	struct daemon *d = ns->d;
	struct writer *wr = calloc(1, sizeof(*wr) + strlen(path) + 1);
	struct epoll_event e = {.events = EPOLLIN | EPOLLRDHUP, .data.ptr = wr};
	int fd[2], err;

	if (!wr)
		return -ENOMEM;
	strcpy(wr->path, path);
	wr->d = d;
	*handle = ++d->last_handle;
	err = pair_named(d, SOCK_SEQPACKET, fd, "f/%llu", (unsigned long long)*handle);
	if (err) {
		free(wr);
		return err;
	}
	/* reading it is the end of file at once */
	shutdown(fd[0], SHUT_WR);
	wr->fd = fd[0];
	if (epoll_ctl(d->writing.fd, EPOLL_CTL_ADD, wr->fd, &e)) {
		err = -errno;
		close(fd[0]);
		close(fd[1]);
		free(wr);
		return err;
	}
	wr->ns = ns_get(ns);
	cds_list_add_tail(&wr->link, &d->writers);
	table_add(&d->handles, &wr->by_handle, *handle);
	return fd[1];
}

/* ---- requests ---- */

static int check_open(struct net *net, const char *path, int flags)
{
	struct file_stat st = {.kind = FILE_NONE};
	int access = flags & O_ACCMODE;
	int err = files_stat(net, path, &st);

	if (err)
		return err;
	switch (st.kind) {
	case FILE_NONE:
		/* as sysfs and procfs refuse */
		return flags & O_CREAT && !strncmp(path, "/sys/", 5) ? -EACCES : -ENOENT;
	case FILE_DIR:
		return -EISDIR;
	case FILE_LINK: /* of what it points to, the rows of the table decide */
		return 0;
	case FILE_REG:
		break;
	}
	if ((flags & (O_CREAT | O_EXCL)) == (O_CREAT | O_EXCL))
		return -EEXIST;
	if (access != O_WRONLY && !(st.mode & 0444))
		return -EACCES;
	if (access != O_RDONLY && !(st.mode & 0222))
		return -EACCES;
	return 0;
}

void file_open(struct ns *ns, const struct weft_req *req, char *text, struct reply *r)
{
	int flags = (int)req->arg0, access = flags & O_ACCMODE, fd;
	char path[PATH_MAX];

	if (!file_normalise(text, path)) {
		r->rep.err = -ENOENT;
		return;
	}
	r->rep.err = check_open(ns->net, path, flags);
	if (r->rep.err)
		return;
	r->rep.arg0 = access != O_RDONLY;
	if (access == O_WRONLY)
		fd = writer_new(ns, path, &r->rep.arg1);
	else
		fd = content(ns->net, path, access == O_RDWR);
	if (fd < 0)
		r->rep.err = fd;
	else
		r->fd = fd;
}

/* In the namespace it was opened in, wherever the program is now. */
static int handle_write(struct writer *wr, const char *data, size_t len)
{
	size_t path_len = strnlen(data, len);

	if (!len) {
		int err = wr->err;
		wr->err = 0;
		return err;
	}
	if (path_len == len)
		return -EINVAL;
	len -= path_len + 1;
	int err = files_store(wr->ns->net, wr->path, data + path_len + 1, len);
	return err < 0 ? err : (int)len;
}

int file_write(struct ns *ns, const struct weft_req *req, const char *data, size_t len)
{
	size_t path_len = strnlen(data, len);
	char path[PATH_MAX];

	if (req->sock) {
		struct writer *wr = writer_by_handle(ns->d, req->sock);
		return wr ? handle_write(wr, data, len) : -EBADF;
	}
	if (path_len == len)
		return -EINVAL;
	if (!file_normalise(data, path))
		return -ENOENT;
	len -= path_len + 1;
	int err = files_store(ns->net, path, data + path_len + 1, len);
	return err < 0 ? err : (int)len;
}
