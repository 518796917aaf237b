/*
 * names: names of hosts are asked for over weft.
 *
 * The C library's resolver makes its sockets by internal calls. So its list of services for hosts
 * (nsswitch.conf(5)) is changed to one that has ours in the place of `dns`, the module
 * client/nss/nss_weft.c, the first time that a program asks for a name.
 */
#include <dlfcn.h>
#include <limits.h>
#include <netdb.h>
#include <nss.h>
#include <string.h>
#include <sys/socket.h>

#include "shim.h"

#define MODULE "libnss_weft.so.2"

/* Loads the module that lies beside us: by its name the C library then finds it. */
static void *load_module(void)
{
	char path[PATH_MAX];
	Dl_info self;

	if (!dladdr((void *)(uintptr_t)load_module, &self) || !self.dli_fname)
		return NULL;
	const char *slash = strrchr(self.dli_fname, '/');
	size_t dir = slash ? (size_t)(slash + 1 - self.dli_fname) : 0;

	if (dir + sizeof("../nss/" MODULE) > sizeof(path))
		return NULL;
	memcpy(path, self.dli_fname, dir);
	strcpy(path + dir, MODULE);
	void *module = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	if (module)
		return module;
	strcpy(path + dir, "../nss/" MODULE); /* where it is built */
	return dlopen(path, RTLD_NOW | RTLD_LOCAL);
}

/* Twice does no harm. */
static void over_weft(void)
{
	static bool done;

	if (__atomic_load_n(&done, __ATOMIC_ACQUIRE) || !shim_on())
		return;
	if (load_module())
		__nss_configure_lookup("hosts", "files weft");
	__atomic_store_n(&done, true, __ATOMIC_RELEASE);
}

/* AI_ADDRCONFIG is about weft's devices, which the C library cannot see: families that weft has not
 * are left out. */
static bool has_family(int family)
{
	int fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

static void configured(struct addrinfo *hints)
{
	hints->ai_flags &= ~AI_ADDRCONFIG;
	if (hints->ai_family == AF_UNSPEC && !has_family(AF_INET6))
		hints->ai_family = AF_INET;
}

SHIM_API int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
			 struct addrinfo **res)
{
	/* what none stands for */
	struct addrinfo own = {.ai_flags = AI_V4MAPPED | AI_ADDRCONFIG};

	over_weft();
	if ((!hints || hints->ai_flags & AI_ADDRCONFIG) && shim_on()) {
		own = hints ? *hints : own;
		configured(&own);
		hints = &own;
	}
	return REAL(getaddrinfo)(node, service, hints, res);
}

SHIM_API int getnameinfo(const struct sockaddr *a, socklen_t len, char *host, socklen_t host_len,
			 char *serv, socklen_t serv_len, int flags)
{
	over_weft();
	return REAL(getnameinfo)(a, len, host, host_len, serv, serv_len, flags);
}

SHIM_API struct hostent *gethostbyname(const char *name)
{
	over_weft();
	return REAL(gethostbyname)(name);
}

SHIM_API struct hostent *gethostbyname2(const char *name, int af)
{
	over_weft();
	return REAL(gethostbyname2)(name, af);
}

SHIM_API int gethostbyname_r(const char *name, struct hostent *ret, char *buf, size_t room,
			     struct hostent **result, int *h_errnop)
{
	over_weft();
	return REAL(gethostbyname_r)(name, ret, buf, room, result, h_errnop);
}

SHIM_API int gethostbyname2_r(const char *name, int af, struct hostent *ret, char *buf, size_t room,
			      struct hostent **result, int *h_errnop)
{
	over_weft();
	return REAL(gethostbyname2_r)(name, af, ret, buf, room, result, h_errnop);
}

SHIM_API struct hostent *gethostbyaddr(const void *addr, socklen_t len, int af)
{
	over_weft();
	return REAL(gethostbyaddr)(addr, len, af);
}

SHIM_API int gethostbyaddr_r(const void *addr, socklen_t len, int af, struct hostent *ret,
			     char *buf, size_t room, struct hostent **result, int *h_errnop)
{
	over_weft();
	return REAL(gethostbyaddr_r)(addr, len, af, ret, buf, room, result, h_errnop);
}
