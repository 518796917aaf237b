/*
 * id: which descriptors are weft's.
 *
 * The daemon binds its descriptors to abstract names, and getsockname(2) tells them in any process.
 * It costs no more than the fstat(2) that would be needed to trust a table; for what is no socket,
 * less.
 */
#include "shim.h"

#include <sys/un.h>

static bool take_prefix(const char **p, const char *prefix)
{
	size_t n = strlen(prefix);

	if (strncmp(*p, prefix, n))
		return false;
	*p += n;
	return true;
}

static bool take_number(const char **p, unsigned base, uint64_t *v)
{
	const char *from = *p;

	*v = 0;
	for (;; (*p)++) {
		unsigned c = (unsigned char)**p;
		unsigned digit = c - '0' < 10 ? c - '0' : c - 'a' < 6 ? c - 'a' + 10 : 99;
		if (digit >= base)
			return *p > from;
		*v = *v * base + digit;
	}
}

const char *shim_name_of(int fd, char room[SHIM_NAME_MAX], uint64_t *id)
{
	struct sockaddr_un a;
	socklen_t len = sizeof(a);
	const char *p;

	if (syscall(SYS_getsockname, fd, &a, &len))
		return NULL;
	size_t n = len > offsetof(struct sockaddr_un, sun_path)
			   ? len - offsetof(struct sockaddr_un, sun_path)
			   : 0;
	if (a.sun_family != AF_UNIX || n < 2 || n > sizeof(a.sun_path) || a.sun_path[0])
		return NULL;
	memcpy(room, a.sun_path + 1, n - 1);
	room[n - 1] = 0;
	p = room;
	return take_prefix(&p, "weft/") && take_number(&p, 16, id) && *p++ == '/' ? p : NULL;
}

const char *shim_name(int fd, char room[SHIM_NAME_MAX])
{
	int saved = errno;
	uint64_t id;

	if (!shim_on())
		return NULL;
	const char *name = shim_name_of(fd, room, &id);
	if (name && id != shim_instance())
		name = NULL;
	errno = saved;
	return name;
}

static bool has_socks;

bool shim_has_socks(void)
{
	return __atomic_load_n(&has_socks, __ATOMIC_RELAXED);
}

void shim_sock_seen(void)
{
	__atomic_store_n(&has_socks, true, __ATOMIC_RELAXED);
}

bool shim_sock(int fd, struct shim_sock *s)
{
	char room[SHIM_NAME_MAX];
	const char *p = shim_name(fd, room);
	uint64_t family, type, protocol;

	if (!p || !take_number(&p, 10, &s->id) || *p++ != '/' || !take_number(&p, 10, &family) ||
	    *p++ != '/' || !take_number(&p, 10, &type) || *p++ != '/' ||
	    !take_number(&p, 10, &protocol))
		return false;
	s->family = (int)family;
	s->type = (int)type;
	s->protocol = (int)protocol;
	shim_sock_seen();
	return true;
}
