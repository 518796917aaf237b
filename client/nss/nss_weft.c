/*
 * nss_weft: the C library's name service over weft: what `dns` is in nsswitch.conf(5).
 *
 * The C library's own resolver makes its sockets by calls that nobody can stand in front of; this
 * module asks the servers of /etc/resolv.conf by c-ares, whose sockets are made as any program's
 * and so are weft's. client/shim/names.c puts it in the place of `dns`; getaddrinfo(3) and its kin
 * go on to do all the rest.
 *
 * One channel a question: no state between calls, threads or children.
 */
#include <ares.h>
#include <errno.h>
#include <netdb.h>
#include <nss.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

/* ---- asking ---- */

/* A question, and where its answer goes: the C library's buffer. */
struct query {
	int af; /* of the answer */
	struct hostent *result;
	char *buf;
	size_t room;
	char **canon; /* optional */
	enum nss_status status;
	int err, h_err;
};

/* n bytes of the buffer, aligned for pointers; NULL: it is too small. */
static void *take(struct query *q, size_t n)
{
	size_t pad = -(uintptr_t)q->buf % sizeof(void *);
	char *at = q->buf + pad;

	if (q->room < pad || q->room - pad < n)
		return NULL;
	q->buf = at + n;
	q->room -= pad + n;
	return at;
}

static void *copy(struct query *q, const void *from, size_t n)
{
	void *to = take(q, n);

	return to ? memcpy(to, from, n) : NULL;
}

/* A list of pointers that NULL ends; each points to `len` bytes, 0: to a string. */
static char **copy_list(struct query *q, char *const *from, size_t len)
{
	size_t n = 0;
	char **to;

	while (from && from[n])
		n++;
	to = take(q, (n + 1) * sizeof(*to));
	for (size_t i = 0; to && i < n; i++)
		if (!(to[i] = copy(q, from[i], len ? len : strlen(from[i]) + 1)))
			return NULL;
	if (to)
		to[n] = NULL;
	return to;
}

static enum nss_status take_host(struct query *q, const struct hostent *h)
{
	struct hostent *r = q->result;

	r->h_addrtype = h->h_addrtype;
	r->h_length = h->h_length;
	r->h_name = copy(q, h->h_name, strlen(h->h_name) + 1);
	r->h_aliases = copy_list(q, h->h_aliases, 0);
	r->h_addr_list = copy_list(q, h->h_addr_list, (size_t)h->h_length);
	if (!r->h_name || !r->h_aliases || !r->h_addr_list) {
		q->err = ERANGE; /* the C library comes again with more */
		q->h_err = NETDB_INTERNAL;
		return NSS_STATUS_TRYAGAIN;
	}
	if (q->canon)
		*q->canon = r->h_name;
	return NSS_STATUS_SUCCESS;
}

static enum nss_status fail(struct query *q, int status)
{
	q->err = 0;
	switch (status) {
	case ARES_ENOTFOUND:
	case ARES_EBADNAME:
		q->h_err = HOST_NOT_FOUND;
		return NSS_STATUS_NOTFOUND;
	case ARES_ENODATA:
		q->h_err = NO_DATA;
		return NSS_STATUS_NOTFOUND;
	case ARES_ETIMEOUT:
	case ARES_ECONNREFUSED:
	case ARES_ESERVFAIL:
		q->err = EAGAIN;
		q->h_err = TRY_AGAIN;
		return NSS_STATUS_TRYAGAIN;
	case ARES_ENOMEM:
		q->err = ENOMEM;
		q->h_err = NETDB_INTERNAL;
		return NSS_STATUS_TRYAGAIN;
	}
	q->h_err = NO_RECOVERY;
	return NSS_STATUS_UNAVAIL;
}

static void answered(void *arg, int status, int timeouts, struct hostent *h)
{
	struct query *q = arg;

	if (status == ARES_SUCCESS && (h->h_addrtype != q->af || !h->h_addr_list[0]))
		status = ARES_ENODATA;
	q->status = status == ARES_SUCCESS ? take_host(q, h) : fail(q, status);
}

/* Waits until nothing is asked any more. */
static void run(ares_channel channel)
{
	ares_socket_t s[ARES_GETSOCK_MAXNUM];
	struct pollfd p[ARES_GETSOCK_MAXNUM];
	struct timeval tv;

	for (;;) {
		int bits = ares_getsock(channel, s, ARES_GETSOCK_MAXNUM);
		nfds_t n = 0;

		for (int i = 0; i < ARES_GETSOCK_MAXNUM; i++) {
			short events = (short)((ARES_GETSOCK_READABLE(bits, i) ? POLLIN : 0) |
					       (ARES_GETSOCK_WRITABLE(bits, i) ? POLLOUT : 0));
			if (events)
				p[n++] = (struct pollfd){.fd = s[i], .events = events};
		}
		const struct timeval *t = ares_timeout(channel, NULL, &tv);
		if (!n || !t)
			return;
		if (poll(p, n, (int)(t->tv_sec * 1000 + (t->tv_usec + 999) / 1000)) <= 0)
			n = 0;
		ares_process_fd(channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD); /* what timed out */
		for (nfds_t i = 0; i < n; i++)
			ares_process_fd(channel,
					p[i].revents & ~POLLOUT ? p[i].fd : ARES_SOCKET_BAD,
					p[i].revents & POLLOUT ? p[i].fd : ARES_SOCKET_BAD);
	}
}

/* name, or the len bytes of an address. */
static enum nss_status ask(struct query *q, const void *what, int len, int *errnop, int *h_errnop)
{
	/* files come before us in nsswitch.conf */
	struct ares_options o = {.lookups = (char *)"b"};
	ares_channel channel;
	int status = ares_init_options(&channel, &o, ARES_OPT_LOOKUPS);

	q->status = NSS_STATUS_UNAVAIL;
	if (status != ARES_SUCCESS) {
		q->status = fail(q, status);
	} else {
		if (len)
			ares_gethostbyaddr(channel, what, len, q->af, answered, q);
		else
			ares_gethostbyname(channel, what, q->af, answered, q);
		run(channel);
		ares_destroy(channel);
	}
	*errnop = q->err;
	*h_errnop = q->h_err;
	return q->status;
}

/* ---- what the C library calls ---- */

#define API __attribute__((visibility("default")))

enum nss_status _nss_weft_gethostbyname3_r(const char *name, int af, struct hostent *result,
					   char *buf, size_t room, int *errnop, int *h_errnop,
					   int32_t *ttlp, char **canonp);
enum nss_status _nss_weft_gethostbyname2_r(const char *name, int af, struct hostent *result,
					   char *buf, size_t room, int *errnop, int *h_errnop);
enum nss_status _nss_weft_gethostbyname_r(const char *name, struct hostent *result, char *buf,
					  size_t room, int *errnop, int *h_errnop);
enum nss_status _nss_weft_gethostbyaddr2_r(const void *addr, socklen_t len, int af,
					   struct hostent *result, char *buf, size_t room,
					   int *errnop, int *h_errnop, int32_t *ttlp);
enum nss_status _nss_weft_gethostbyaddr_r(const void *addr, socklen_t len, int af,
					  struct hostent *result, char *buf, size_t room,
					  int *errnop, int *h_errnop);

API enum nss_status _nss_weft_gethostbyname3_r(const char *name, int af, struct hostent *result,
					       char *buf, size_t room, int *errnop, int *h_errnop,
					       int32_t *ttlp, char **canonp)
{
	struct query q = {.af = af, .result = result, .buf = buf, .room = room, .canon = canonp};

	if (ttlp)
		*ttlp = 0; /* not to be kept */
	return ask(&q, name, 0, errnop, h_errnop);
}

API enum nss_status _nss_weft_gethostbyname2_r(const char *name, int af, struct hostent *result,
					       char *buf, size_t room, int *errnop, int *h_errnop)
{
	return _nss_weft_gethostbyname3_r(name, af, result, buf, room, errnop, h_errnop, NULL,
					  NULL);
}

API enum nss_status _nss_weft_gethostbyname_r(const char *name, struct hostent *result, char *buf,
					      size_t room, int *errnop, int *h_errnop)
{
	return _nss_weft_gethostbyname2_r(name, AF_INET, result, buf, room, errnop, h_errnop);
}

API enum nss_status _nss_weft_gethostbyaddr2_r(const void *addr, socklen_t len, int af,
					       struct hostent *result, char *buf, size_t room,
					       int *errnop, int *h_errnop, int32_t *ttlp)
{
	struct query q = {.af = af, .result = result, .buf = buf, .room = room};

	if (ttlp)
		*ttlp = 0;
	return ask(&q, addr, (int)len, errnop, h_errnop);
}

API enum nss_status _nss_weft_gethostbyaddr_r(const void *addr, socklen_t len, int af,
					      struct hostent *result, char *buf, size_t room,
					      int *errnop, int *h_errnop)
{
	return _nss_weft_gethostbyaddr2_r(addr, len, af, result, buf, room, errnop, h_errnop, NULL);
}
