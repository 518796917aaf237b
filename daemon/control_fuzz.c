/*
 * control_fuzz: requests of all kinds to a daemon, over a connection as a program has one: none may
 * crash it, and when the program has closed what it was given, nothing of it may be left.
 *
 * The input is a list of records. Most are a request of abi/shim.h: its arguments are small
 * numbers, or what earlier answers gave (sockets, namespaces, handles), or as they stand; its
 * payload is of a shape that some request takes (an address, a path, a datagram ...), filled from
 * the input. Others write to a descriptor that the daemon passed, close one, or lie about lengths.
 */
#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <linux/netlink.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "abi/dgram.h"
#include "base/bytes.h"
#include "daemon.h"

enum {
	N_FDS = 32,   /* descriptors that the program keeps */
	N_VALUES = 8, /* ids of each kind that it remembers */
	DATA_MAX = 4096,
	N_OPS = WEFT_OP_ERRQ + 2, /* with one that there is not */
};

/* Records that are no request: numbers of requests that there are not. */
enum other {
	OTHER_WRITE = 0xf8, /* to a descriptor */
	OTHER_CLOSE,	    /* a descriptor */
	OTHER_RAW,	    /* bytes on the connection */
	OTHER_LIE,	    /* the next request's length is wrong */
	OTHER_READ,	    /* what the descriptors have is read */
};

enum value { VALUE_SOCK, VALUE_NS, VALUE_HANDLE, N_KINDS };

struct program {
	int ctl;
	int fds[N_FDS];
	unsigned n_fds; /* ever got: the oldest goes first */
	uint64_t values[N_KINDS][N_VALUES];
	unsigned n_values[N_KINDS];
	bool lie;
};

static struct daemon d;
static struct program p;
static char folder[] = "/tmp/weft-control.XXXXXX", place[64]; /* and in it the daemon's */

/* ---- the daemon ---- */

static void turn(void)
{
	weft_step(d.weft, clock_mono());
	ends_flush(&d);
	worker_sleep(d.w, 0);
	rcu_quiescent_state();
}

static bool left(void)
{
	return d.n_conns || d.n_tokens || d.n_ends || d.n_spaces != 1 ||
	       !cds_list_empty(&d.writers) || !cds_list_empty(&d.names) || d.weft->nets->n != 1 ||
	       pool_in_use(d.weft->pool);
}

/* Names outlive the program that gave them: they are the instance's. */
static void unname_all(void)
{
	while (!cds_list_empty(&d.names)) {
		const struct ns_name *n = cds_list_first_entry(&d.names, struct ns_name, link);
		char name[PATH_MAX];

		snprintf(name, sizeof(name), "%s", n->name);
		if (name[0] == '/' ? ns_unmounted(&d, name) : ns_unname(&d, name))
			abort();
	}
}

/* ---- the program ---- */

static void remember(enum value kind, uint64_t v)
{
	p.values[kind][p.n_values[kind]++ % N_VALUES] = v;
}

static void keep_fd(int fd)
{
	int *slot = &p.fds[p.n_fds++ % N_FDS];

	if (*slot >= 0)
		close(*slot);
	*slot = fd;
}

/* Takes the answer, if there is one. */
static void take_answer(unsigned op)
{
	static uint8_t buf[WEFT_MSG_MAX];
	union {
		char buf[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control;
	struct iovec iov = {.iov_base = buf, .iov_len = sizeof(buf)};
	struct msghdr m = {.msg_iov = &iov,
			   .msg_iovlen = 1,
			   .msg_control = control.buf,
			   .msg_controllen = sizeof(control.buf)};
	ssize_t n = recvmsg(p.ctl, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	struct weft_rep rep;

	if (n <= 0)
		return;
	memcpy(&rep, buf, sizeof(rep));
	if ((size_t)n != sizeof(rep) + rep.len || rep.err < -4095 || rep.err > 0)
		abort();
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);
	if (c) {
		int fd;
		memcpy(&fd, CMSG_DATA(c), sizeof(fd));
		keep_fd(fd);
	}
	if (rep.err)
		return;
	if (op == WEFT_OP_SOCKET)
		remember(VALUE_SOCK, rep.arg0);
	else if (op == WEFT_OP_OPEN)
		remember(VALUE_HANDLE, rep.arg1);
	else if (op == WEFT_OP_NS_NEW || op == WEFT_OP_NS_FILE)
		remember(VALUE_NS, rep.arg0);
}

static void ask(struct weft_req *req, const void *data, size_t len)
{
	struct iovec iov[2] = {{req, sizeof(*req)}, {(void *)data, len}};
	struct msghdr m = {.msg_iov = iov, .msg_iovlen = 2};

	req->len = (uint32_t)len + p.lie;
	p.lie = false;
	sendmsg(p.ctl, &m, MSG_DONTWAIT | MSG_NOSIGNAL);
	turn();
	take_answer(req->op);
}

static void enter(void)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	struct weft_req hello = {.op = WEFT_OP_HELLO, .arg0 = WEFT_PROTOCOL};
	struct weft_req new = {.op = WEFT_OP_NS_NEW};

	snprintf(a.sun_path, sizeof(a.sun_path), "%s/ctl", place);
	p.ctl = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (p.ctl < 0 || connect(p.ctl, (struct sockaddr *)&a, sizeof(a)))
		abort();
	turn();
	ask(&hello, NULL, 0);
	/* what is done in the first namespace stays: go elsewhere */
	ask(&new, NULL, 0);
	/* with a loopback that is up there is somewhere to send to */
	struct weft_req udp = {.op = WEFT_OP_SOCKET, .arg0 = AF_INET, .arg1 = SOCK_DGRAM};
	ask(&udp, NULL, 0);
	struct weft_req up = {
		.op = WEFT_OP_IOCTL, .sock = p.values[VALUE_SOCK][0], .arg0 = SIOCSIFFLAGS};
	const struct ifreq lo = {.ifr_name = "lo", .ifr_flags = IFF_UP};
	ask(&up, &lo, sizeof(lo));
	if (!p.n_values[VALUE_NS] || !p.n_values[VALUE_SOCK])
		abort();
}

static void leave(void)
{
	close(p.ctl);
	for (unsigned i = 0; i < N_FDS; i++)
		if (p.fds[i] >= 0)
			close(p.fds[i]);
}

/* ---- records ---- */

static uint64_t value_in(enum value kind, unsigned i)
{
	return p.values[kind][i % N_VALUES];
}

static uint64_t arg_in(struct view *v)
{
	unsigned b = view_u8(v);

	if (b < 0xc0)
		return b;
	if (b < 0xd0)
		return value_in(VALUE_NS, b);
	if (b < 0xe0)
		return (uint64_t)(int)view_be32(v);
	return b < 0xf0 ? view_be16(v) : (uint64_t)view_be32(v) << 32 | view_be32(v);
}

static size_t put_addr(uint8_t *to, unsigned what)
{
	const struct sockaddr_in in = {.sin_family = AF_INET,
				       .sin_port = htons((uint16_t)(what & 3)),
				       .sin_addr.s_addr = htonl(what & 4 ? 0x7f000001 : 0)};
	const struct sockaddr_ll ll = {
		.sll_family = AF_PACKET, .sll_protocol = htons(3), .sll_ifindex = 1};
	const struct sockaddr_nl nl = {.nl_family = AF_NETLINK, .nl_groups = what};

	switch (what >> 4 & 3) {
	case 0:
		memcpy(to, &ll, sizeof(ll));
		return sizeof(ll);
	case 1:
		memcpy(to, &nl, sizeof(nl));
		return sizeof(nl);
	default:
		memcpy(to, &in, sizeof(in));
		return sizeof(in);
	}
}

static size_t put_text(uint8_t *to, unsigned what)
{
	static const char *const texts[] = {
		"/proc/net/dev",
		"/proc/net/",
		"/proc/sys/net/ipv4/ip_forward",
		"/proc/sys/net/ipv4/conf/all/rp_filter",
		"/proc/sys/net/ipv4/../../net/./core/rmem_max",
		"/sys/class/net/lo/mtu",
		"/sys/class/net/lo",
		"/sys/class/net",
		"name",
		"/run/netns/name",
		"other",
		"stages json",
		"drops",
		"trace start 3",
		"trace",
		"trace stop",
		"clients",
		"version",
		"lo",
	};
	const char *s = texts[what % ARRAY_SIZE(texts)];

	memcpy(to, s, strlen(s) + 1);
	return strlen(s) + !!(what & 0x80); /* with its end, so that a text may follow */
}

static size_t put_dgram(uint8_t *to, unsigned what, struct view *v)
{
	struct weft_dgram m = {.name_len = what & 0x80 ? sizeof(struct sockaddr_in) : 0};

	if (m.name_len)
		put_addr(m.name, what);
	if (what & 8)
		m.name_len = view_u8(v);
	if (what & 0x40)
		m.msg_flags = view_be16(v);
	memcpy(to, &m, sizeof(m));
	return sizeof(m);
}

/* A payload: a shape, then bytes of the input. */
static size_t payload_in(struct view *v, uint8_t *to)
{
	unsigned shape = view_u8(v), what = view_u8(v);
	size_t len = 0, n;

	switch (shape & 7) {
	case 0:
	case 1:
		len = put_addr(to, what);
		break;
	case 2:
	case 3:
		len = put_text(to, what);
		break;
	case 4:
		len = put_dgram(to, what, v);
		break;
	case 5: /* struct ifreq */
		memcpy(to, "lo", 3);
		memset(to + 3, 0, IFNAMSIZ - 3);
		len = IFNAMSIZ;
		break;
	}
	n = MIN((size_t)(shape >> 3) * (what & 1 ? 8 : 1), v->left);
	const uint8_t *more = view_take(v, n);
	if (!more)
		return len;
	memcpy(to + len, more, n);
	return len + n;
}

static void request(unsigned op, struct view *v)
{
	uint8_t data[DATA_MAX];
	struct weft_req req = {.op = op};
	unsigned id = view_u8(v);

	req.sock = id < 0xf0 ? value_in(op == WEFT_OP_WRITE ? VALUE_HANDLE : VALUE_SOCK, id) : 0;
	req.arg0 = arg_in(v);
	req.arg1 = arg_in(v);
	req.arg2 = arg_in(v);
	if (op == WEFT_OP_HELLO && !req.arg1)
		req.arg1 = value_in(VALUE_NS, 0);
	size_t len = payload_in(v, data);
	ask(&req, data, len);
}

static void read_all(void)
{
	char c;

	for (unsigned i = 0; i < N_FDS; i++)
		while (p.fds[i] >= 0 && recv(p.fds[i], &c, 1, MSG_DONTWAIT) > 0)
			;
}

static void one(struct view *v)
{
	unsigned op = view_u8(v);
	uint8_t data[DATA_MAX];
	int *fd;

	switch (op) {
	case OTHER_WRITE:
		fd = &p.fds[view_u8(v) % N_FDS];
		size_t len = payload_in(v, data);
		if (*fd >= 0)
			send(*fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL);
		break;
	case OTHER_CLOSE:
		fd = &p.fds[view_u8(v) % N_FDS];
		if (*fd >= 0)
			close(*fd);
		*fd = -1;
		break;
	case OTHER_RAW:
		send(p.ctl, data, payload_in(v, data), MSG_DONTWAIT | MSG_NOSIGNAL);
		turn();
		take_answer(0);
		break;
	case OTHER_LIE:
		p.lie = true;
		break;
	case OTHER_READ:
		read_all();
		break;
	default:
		request(op % N_OPS, v);
	}
}

/* ---- the target ---- */

static void end(void)
{
	daemon_close(&d);
	rmdir(folder);
}

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	char here[PATH_MAX];

	rcu_register_thread();
	if (!getcwd(here, sizeof(here)) || !mkdtemp(folder))
		abort();
	snprintf(place, sizeof(place), "%s/i", folder);
	d.keep = true;
	d.dir = place;
	d.name = "fuzz";
	const struct weft_config c = {.now = clock_mono(), .seed = 1};

	if (daemon_make_dirs(place) || daemon_open(&d, &c))
		abort();
	if (chdir(here)) /* the corpus is named from there */
		abort();
	atexit(end);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct view v = view_of(data, size);
	uint64_t limit;

	memset(&p, 0, sizeof(p));
	memset(p.fds, -1, sizeof(p.fds));
	enter();
	while (v.left && view_ok(&v))
		one(&v);
	leave();
	d.stop = false;
	d.keep = true;
	unname_all();
	/* what goes by a timer, as an answer to ARP that nobody gives, takes its seconds */
	for (limit = clock_mono() + 8 * NSEC_PER_SEC; left(); turn()) {
		ns_recheck(&d, clock_mono());
		if (clock_mono() < limit)
			continue;
		fprintf(stderr,
			"left: %u connections, %u tokens, %u sockets, %u+%u namespaces, %u "
			"packets\n",
			d.n_conns, d.n_tokens, d.n_ends, d.n_spaces, d.weft->nets->n,
			pool_in_use(d.weft->pool));
		abort();
	}
	return 0;
}
