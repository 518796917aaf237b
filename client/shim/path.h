/*
 * path: which paths are the network's, and what stands for them in the kernel's eyes.
 *
 * Every call that takes a path asks path_ours() first. It costs a search for "net" in the path,
 * which all paths of the network hold, unless the process has come into one of their directories
 * (then relative paths are looked at too). What passes is made absolute and free of ".", ".." and
 * double slashes, as far as text alone can do that: a link of the host that leads to /proc/net is
 * not seen.
 *
 * Directories of the network are shown from copies in the run directory (WEFT_OP_SHADOW). A program
 * whose working directory or descriptor is such a copy is at the place that is copied: paths
 * relative to it, and ".." out of it, go by the place.
 *
 * Any thread. A struct path is large and belongs on the stack. errno is kept by path_ours().
 */
#pragma once

#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "shim.h"

enum path_kind {
	PATH_NET,  /* below /proc/net, /proc/sys/net, /sys/class/net: text is the daemon's name */
	PATH_NS,   /* the file of a namespace: text is where that is, ino whose */
	PATH_REAL, /* anything else: text is where it is; names of namespaces, ways out of copies */
};

struct path {
	enum path_kind kind;
	bool slash;   /* it ended in one: must be a directory */
	uint64_t ino; /* PATH_NET: of the namespace it is seen from, 0: the thread's */
	char text[PATH_MAX];
};

enum path_depth {
	PATH_LOOK, /* what is there */
	PATH_LIST, /* and, of a directory, the names in it */
	PATH_TREE, /* and below */
};

/* This process has had a directory of the network as its own or open. */
extern bool path_inside;

/* The whole question; use path_ours(). */
bool path_find(int dirfd, const char *path, bool follow, struct path *p);

/* Whether path, relative to dirfd, is the network's. follow: the call follows a link at its end. */
static inline bool path_ours(int dirfd, const char *path, bool follow, struct path *p)
{
	if (!path || !shim_on() || (!strstr(path, "net") && (!path_inside || path[0] == '/')))
		return false;
	return path_find(dirfd, path, follow, p);
}

/* Makes p->text a path of the kernel's. 0, or -1 with errno. */
int path_real(struct path *p, enum path_depth depth);
/* Turns a path of the kernel's, if it is in the run directory, into that of the program, in place.
 * room: of path. False: it is not, or there is no room. */
bool path_shown(char *path, size_t room);
/* The path of what fd is, as the kernel names it; false: none. */
bool path_of_fd(int fd, char to[PATH_MAX]);
/* To be called at start and when the working directory has changed. */
void path_look_around(void);
