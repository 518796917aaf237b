/*
 * daemon: the parts of a daemon, made in written order and undone in mirror order.
 *
 * The folder of the instance is renamed away before anything is closed, so whoever finds the folder
 * under its name finds a daemon that lives or one that died, never one that is about to go.
 *
 * Whoever holds the daemon steps its instance and lets its descriptors be served: main.c by the
 * clock of the machine, others (a program that embeds the daemon, under a clock of its own) as
 * they like.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ctl/nl.h"
#include "daemon.h"
#include "streams.h"

#define FIRST_CLIENT (10 * NSEC_PER_SEC) /* a daemon that nobody comes to ends */

void daemon_fd_closed(struct daemon *d)
{
	streams_retry(d);
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

int daemon_make_dirs(const char *dir)
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

int daemon_open(struct daemon *d, const struct weft_config *c)
{
	int err;

	d->recheck = UINT64_MAX;
	d->deadline = c->now + FIRST_CLIENT;
	d->buf = malloc(WEFT_MSG_MAX + 1);
	d->out = malloc(WEFT_MSG_MAX);
	d->scratch = malloc(WEFT_MSG_MAX);
	if (!d->buf || !d->out || !d->scratch)
		return -ENOMEM;
	if (getrandom(&d->id, sizeof(d->id), 0) != sizeof(d->id))
		return -errno;
	CDS_INIT_LIST_HEAD(&d->conns);
	CDS_INIT_LIST_HEAD(&d->tokens);
	CDS_INIT_LIST_HEAD(&d->spaces);
	CDS_INIT_LIST_HEAD(&d->names);
	CDS_INIT_LIST_HEAD(&d->writers);
	CDS_INIT_LIST_HEAD(&d->dirty);
	CDS_INIT_LIST_HEAD(&d->stalled);
	d->weft = weft_new(c, &err);
	if (!d->weft)
		return err;
	d->weft->daemon = d;
	d->w = d->weft->worker[0];
	nl_set_resolver(d->weft, &ns_resolver);
	if ((err = worker_open_fds(d->w)) || (err = tables_init(d)) || (err = ends_init(d)) ||
	    (err = writers_init(d)) || (err = ns_init(d)))
		return err;
	return conn_listen(d);
}

void daemon_close(struct daemon *d)
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
	unread_fini(d);
	ns_fini(d);
	tables_fini(d);
	tree_remove(d->dir);
	d->dir = NULL;
	weft_free(d->weft);
	free(d->buf);
	free(d->out);
	free(d->scratch);
}
