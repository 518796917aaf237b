#include "path.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#define NAMES "/run/netns"

bool path_inside;

/* What of path lies below dir ("" or "/..."), or NULL. */
static const char *below(const char *path, const char *dir)
{
	size_t n = strlen(dir);

	return !strncmp(path, dir, n) && (!path[n] || path[n] == '/') ? path + n : NULL;
}

/* Behind "/<number>"; NULL if that is not there. */
static const char *number(const char *path, unsigned long long *value)
{
	char *end;

	if (path[0] != '/' || path[1] < '0' || path[1] > '9')
		return NULL;
	*value = strtoull(path + 1, &end, 10);
	return !*end || *end == '/' ? end : NULL;
}

/* Replaces what is ahead of rest in text by to. */
static void rebase(char *text, const char *to, const char *rest)
{
	size_t n = strlen(to);

	memmove(text + n, rest, strlen(rest) + 1);
	memcpy(text, to, n);
}

/* Adds path, part by part, to an absolute path of n bytes ("/" is 0 bytes). */
static bool append(char *to, size_t n, const char *path)
{
	while (*path) {
		path += strspn(path, "/");
		size_t len = strcspn(path, "/");
		if (len == 2 && path[0] == '.' && path[1] == '.') {
			while (n && to[--n] != '/')
				;
		} else if (len && (len != 1 || path[0] != '.')) {
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

bool path_of_fd(int fd, char to[PATH_MAX])
{
	char link[32];
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = syscall(SYS_readlinkat, AT_FDCWD, link, to, PATH_MAX - 1);
	if (n <= 0)
		return false;
	to[n] = 0;
	return true;
}

/* Of a copy: the place that is copied, in text, and whose. False: text is no copy. */
static bool uncopy(char *text, uint64_t *ino)
{
	const char *rest = below(text, shim_dir());
	unsigned long long value;

	rest = rest ? below(rest, "/shadow") : NULL;
	rest = rest ? number(rest, &value) : NULL;
	if (!rest)
		return false;
	*ino = value;
	rebase(text, "", *rest ? rest : "/");
	return true;
}

static bool unname(char *text, size_t room)
{
	const char *rest = below(text, shim_dir());

	rest = rest ? below(rest, "/netns") : NULL;
	if (!rest || strlen(rest) + sizeof(NAMES) > room)
		return false;
	rebase(text, NAMES, rest);
	return true;
}

/* Where dirfd is. *out: inside of the network, so that whatever path leads to is ours to say. */
static bool base_of(int dirfd, struct path *p, bool *inside)
{
	if (dirfd == AT_FDCWD ? syscall(SYS_getcwd, p->text, PATH_MAX) < 0
			      : !path_of_fd(dirfd, p->text))
		return false;
	if (p->text[0] != '/')
		return false;
	*inside = uncopy(p->text, &p->ino) || unname(p->text, PATH_MAX);
	return true;
}

static bool is_net(struct path *p, const char *as, const char *rest)
{
	rebase(p->text, as, rest);
	p->kind = PATH_NET;
	return true;
}

static bool is_ns(struct path *p, uint64_t ino)
{
	p->kind = PATH_NS;
	p->ino = ino ? ino : shim_netns();
	return snprintf(p->text, PATH_MAX, "%s/ns/%llu", shim_dir(), (unsigned long long)p->ino) <
	       PATH_MAX;
}

/* The namespace of a process of weft's; 0: this thread's. False: not of weft's. */
static bool ns_of(unsigned long long pid, uint64_t *ino)
{
	struct shim_req r = {.op = WEFT_OP_NS_OF_PID, .arg = {pid}};

	if (!pid || pid == (unsigned long long)getpid())
		return true;
	if (shim_call(&r))
		return false;
	*ino = r.rep.arg0;
	return true;
}

/* s: behind "/proc". */
static bool find_proc(struct path *p, const char *s, bool follow)
{
	unsigned long long pid = 0, tid;
	const char *rest;

	if (below(s, "/sys/net"))
		return is_net(p, "/proc", s);
	/* itself it is a link, which the host's /proc has as well */
	if ((rest = below(s, "/net")))
		return (*rest || follow) && is_net(p, "/proc", s);
	if (!(rest = below(s, "/self")) && !(rest = below(s, "/thread-self")) &&
	    !(rest = number(s, &pid)))
		return false;
	s = rest;
	if ((rest = below(s, "/task")) && (rest = number(rest, &tid)))
		s = rest;
	if ((rest = below(s, "/net")))
		return ns_of(pid, &p->ino) && is_net(p, "/proc", s);
	return follow && !strcmp(s, "/ns/net") && ns_of(pid, &p->ino) && is_ns(p, p->ino);
}

static bool find_name(struct path *p, const char *rest)
{
	char tail[PATH_MAX];

	strcpy(tail, rest);
	p->kind = PATH_REAL;
	return snprintf(p->text, PATH_MAX, "%s/netns%s", shim_dir(), tail) < PATH_MAX;
}

static bool classify(struct path *p, bool follow)
{
	const char *rest;

	if ((rest = below(p->text, "/proc")))
		return find_proc(p, rest, follow);
	if (below(p->text, "/sys/class/net") || below(p->text, "/sys/devices/virtual/net"))
		return is_net(p, "", p->text);
	if ((rest = below(p->text, NAMES)) || (rest = below(p->text, "/var" NAMES)))
		return find_name(p, rest);
	return false;
}

static bool find(int dirfd, const char *path, bool follow, struct path *p)
{
	size_t len = strlen(path), base = 0;
	bool inside = false;

	if (!len || len >= PATH_MAX)
		return false;
	p->ino = 0;
	p->slash = path[len - 1] == '/';
	if (path[0] != '/') {
		if (!base_of(dirfd, p, &inside) || (!inside && !strstr(path, "net")))
			return false;
		base = strcmp(p->text, "/") ? strlen(p->text) : 0;
	} else if (strncmp(path, "/proc/", 6) && strncmp(path, "/sys/", 5) &&
		   strncmp(path, "/run/", 5) && strncmp(path, "/var/run/", 9) &&
		   !strstr(path, "//") && !strstr(path, "/.")) {
		return false;
	}
	if (!append(p->text, base, path))
		return false;
	if (classify(p, follow || p->slash))
		return true;
	/* from a copy, the kernel would go elsewhere */
	p->kind = PATH_REAL;
	return inside;
}

bool path_find(int dirfd, const char *path, bool follow, struct path *p)
{
	int saved = errno;
	bool ours = find(dirfd, path, follow, p);

	errno = saved;
	return ours;
}

int path_real(struct path *p, enum path_depth depth)
{
	char where[PATH_MAX];
	size_t len = strlen(p->text);

	if (p->kind == PATH_NET) {
		struct shim_req r = {.op = WEFT_OP_SHADOW,
				     .arg = {depth, 0, p->ino},
				     .data = p->text,
				     .len = len,
				     .room = where,
				     .room_len = sizeof(where) - 2};
		int err = shim_call(&r);
		if (!err && r.rep.len > r.room_len)
			err = -ENAMETOOLONG;
		if (err) {
			errno = -err;
			return -1;
		}
		len = r.rep.len;
		memcpy(p->text, where, len);
		p->text[len] = 0;
	}
	if (p->kind == PATH_NS && syscall(SYS_faccessat, AT_FDCWD, p->text, F_OK)) {
		/* made when it is first asked for */
		struct shim_req r = {.op = WEFT_OP_NS_FILE, .arg = {p->ino}};
		int err = shim_call(&r);
		if (err)
			return shim_ret(err);
	}
	if (p->slash && len + 1 < PATH_MAX)
		strcpy(p->text + len, "/");
	return 0;
}

bool path_shown(char *path, size_t room)
{
	uint64_t ino;

	return uncopy(path, &ino) || unname(path, room);
}

void path_look_around(void)
{
	struct path p;
	bool inside = false;

	if (!path_inside && base_of(AT_FDCWD, &p, &inside) && inside)
		path_inside = true;
}
