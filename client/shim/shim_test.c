/*
 * shim_test: what programs do to sockets and descriptors beyond plain use. Run inside of weft by
 * tests/net/shim.sh, with the name of a case; each starts from a fresh process.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <linux/errqueue.h>
#include <linux/if_packet.h>
#include <linux/rtnetlink.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;
static const char *self;

#define CHECK(cond)                                                                                \
	do {                                                                                       \
		if (!(cond)) {                                                                     \
			fprintf(stderr, "line %d: %s (errno %d, %s)\n", __LINE__, #cond, errno,    \
				strerror(errno));                                                  \
			exit(1);                                                                   \
		}                                                                                  \
	} while (0)
#define FAILS(call, code) CHECK((call) < 0 && errno == (code))

/* ---- helpers ---- */

static int udp(uint16_t *port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(a);
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	CHECK(fd >= 0);
	CHECK(!bind(fd, (struct sockaddr *)&a, sizeof(a)));
	CHECK(!getsockname(fd, (struct sockaddr *)&a, &len) && len == sizeof(a));
	*port = ntohs(a.sin_port);
	return fd;
}

static struct sockaddr_in loopback(uint16_t port)
{
	return (struct sockaddr_in){.sin_family = AF_INET,
				    .sin_port = htons(port),
				    .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

static ssize_t send_port(int fd, uint16_t port, const void *data, size_t len)
{
	struct sockaddr_in a = loopback(port);

	return sendto(fd, data, len, 0, (struct sockaddr *)&a, sizeof(a));
}

static uint16_t port_of(int fd)
{
	struct sockaddr_in a;
	socklen_t len = sizeof(a);

	return getsockname(fd, (struct sockaddr *)&a, &len) ? 0 : ntohs(a.sin_port);
}

static void ends_well(pid_t pid)
{
	int status;

	CHECK(waitpid(pid, &status, 0) == pid);
	CHECK(WIFEXITED(status) && !WEXITSTATUS(status));
}

static int dump_links(void)
{
	const struct {
		struct nlmsghdr h;
		struct ifinfomsg i;
	} ask = {.h = {.nlmsg_len = sizeof(ask),
		       .nlmsg_type = RTM_GETLINK,
		       .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP,
		       .nlmsg_seq = 7}};
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);

	CHECK(fd >= 0);
	CHECK(send(fd, &ask, sizeof(ask), 0) == sizeof(ask));
	return fd;
}

/* ---- cases ---- */

/* Lengths are the datagram's own, whatever room there is, and peeking takes nothing. */
static void case_peek(void)
{
	uint8_t buf[65536], small[8];
	struct iovec iov = {NULL, 0};
	struct sockaddr_nl from;
	struct msghdr m = {
		.msg_name = &from, .msg_namelen = sizeof(from), .msg_iov = &iov, .msg_iovlen = 1};
	uint16_t port;
	int fd = dump_links();
	ssize_t len = recvmsg(fd, &m, MSG_PEEK | MSG_TRUNC);

	CHECK(len > 100 && (m.msg_flags & MSG_TRUNC) && m.msg_namelen == sizeof(from));
	CHECK(from.nl_family == AF_NETLINK && !from.nl_pid);
	CHECK(recv(fd, small, sizeof(small), MSG_PEEK) == sizeof(small));
	CHECK(recv(fd, small, sizeof(small), MSG_PEEK | MSG_TRUNC) == len);
	CHECK(recv(fd, buf, sizeof(buf), 0) == len && !memcmp(buf, small, sizeof(small)));
	/* the end of the dump may be a datagram of its own; then there is nothing */
	while (((struct nlmsghdr *)buf)->nlmsg_type != NLMSG_DONE) {
		len = recv(fd, buf, sizeof(buf), MSG_DONTWAIT);
		if (len < 0)
			break;
	}
	FAILS(recv(fd, buf, sizeof(buf), MSG_DONTWAIT), EAGAIN);
	close(fd);

	fd = udp(&port);
	CHECK(send_port(fd, port, "datagram", 8) == 8 && !send_port(fd, port, "", 0));
	CHECK(read(fd, buf, 0) == 0);
	CHECK(recv(fd, NULL, 0, MSG_PEEK | MSG_TRUNC) == 8 && recv(fd, buf, 3, MSG_TRUNC) == 8);
	CHECK(recv(fd, buf, sizeof(buf), 0) == 0);
	FAILS(recv(fd, buf, sizeof(buf), MSG_DONTWAIT), EAGAIN);
}

/* The kin of recv and send. */
static void case_kin(void)
{
	char a[4], b[4], file[] = "/tmp/shim-test.XXXXXX";
	struct iovec out[2] = {{"abc", 3}, {"defg", 4}}, in[2] = {{a, 4}, {b, 4}};
	struct mmsghdr v[3] = {0};
	uint16_t port;
	int fd = udp(&port), n;
	struct sockaddr_in to = loopback(port);

	CHECK(!connect(fd, (struct sockaddr *)&to, sizeof(to)));
	CHECK(writev(fd, out, 2) == 7 && readv(fd, in, 2) == 7);
	CHECK(!memcmp(a, "abcd", 4) && !memcmp(b, "efg", 3));
	for (int i = 0; i < 3; i++)
		v[i].msg_hdr = (struct msghdr){.msg_iov = out + i % 2, .msg_iovlen = 1};
	CHECK(sendmmsg(fd, v, 3, 0) == 3 && v[1].msg_len == 4);
	for (int i = 0; i < 3; i++)
		v[i].msg_hdr = (struct msghdr){.msg_iov = in, .msg_iovlen = 2};
	CHECK(!ioctl(fd, FIONREAD, &n) && n == 3);
	CHECK(recvmmsg(fd, v, 2, 0, NULL) == 2 && v[0].msg_len == 3 && v[1].msg_len == 4);
	CHECK(recvmmsg(fd, v, 3, MSG_WAITFORONE, NULL) == 1);
	CHECK(!ioctl(fd, FIONREAD, &n) && !n);

	int tmp = mkstemp(file);
	CHECK(tmp >= 0 && !unlink(file) && write(tmp, "content", 7) == 7 &&
	      !lseek(tmp, 0, SEEK_SET));
	CHECK(sendfile(fd, tmp, NULL, 100) == 7);
	CHECK(readv(fd, in, 2) == 7 && !memcmp(a, "cont", 4));

	struct timeval t = {.tv_usec = 50000};
	CHECK(!setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof(t)));
	FAILS(recv(fd, a, 4, 0), EAGAIN);
	CHECK(!fcntl(fd, F_SETFL, O_NONBLOCK));
	FAILS(recv(fd, a, 4, 0), EAGAIN);
	FAILS(accept(fd, NULL, NULL), EOPNOTSUPP);
	FAILS(listen(fd, 1), EOPNOTSUPP);
	FAILS(bind(fd, (struct sockaddr *)&to, 3), EINVAL);
	FAILS(getsockname(fd, NULL, NULL), EFAULT);
	FAILS(recv(fd, a, 4, MSG_ERRQUEUE), EAGAIN);
	CHECK(!shutdown(fd, SHUT_RD) && !recv(fd, a, 4, 0));
}

/* Children of fork use the same socket, and have connections of their own. */
static void case_fork(void)
{
	enum { CHILDREN = 6, ROUNDS = 300 };
	pid_t pid[CHILDREN];
	uint16_t port;
	char buf[16];
	int fd = udp(&port), got = 0;

	for (int i = 0; i < CHILDREN; i++) {
		pid[i] = fork();
		CHECK(pid[i] >= 0);
		if (pid[i])
			continue;
		for (int r = 0; r < ROUNDS; r++) {
			uint16_t own;
			int s = udp(&own);
			CHECK(port_of(fd) == port && port_of(s) == own);
			if (r % 100 == 0)
				CHECK(send_port(s, port, "child", 5) == 5);
			close(s);
		}
		_exit(0);
	}
	for (int r = 0; r < ROUNDS; r++)
		CHECK(port_of(fd) == port);
	for (int i = 0; i < CHILDREN; i++)
		ends_well(pid[i]);
	while (recv(fd, buf, sizeof(buf), MSG_DONTWAIT) == 5)
		got++;
	CHECK(got == CHILDREN * 3);
}

/* A child of vfork makes requests in our memory, then becomes another program. */
static void case_vfork(void)
{
	uint16_t port;
	char number[16], port_text[16], name[] = "inherited";
	int fd = udp(&port);

	CHECK(!fcntl(fd, F_SETFD, 0));
	snprintf(number, sizeof(number), "%d", fd);
	snprintf(port_text, sizeof(port_text), "%d", port);
	char *argv[] = {(char *)self, name, number, port_text, NULL};
	for (int i = 0; i < 20; i++) {
		pid_t pid = vfork();
		CHECK(pid >= 0);
		if (!pid) {
			char c;
			if (port_of(fd) != port || send_port(fd, port, "v", 1) != 1 ||
			    recv(fd, &c, 1, 0) != 1 || c != 'v')
				_exit(2);
			execv(self, argv);
			_exit(3);
		}
		CHECK(port_of(fd) == port);
		ends_well(pid);
	}
	pid_t pid;
	CHECK(!posix_spawn(&pid, self, NULL, NULL, argv, environ));
	ends_well(pid);
	CHECK(port_of(fd) == port);
}

/* The program that case_vfork becomes: it was given a socket. */
static void case_inherited(int fd, int port)
{
	char c;

	CHECK(port_of(fd) == port);
	CHECK(send_port(fd, (uint16_t)port, "x", 1) == 1);
	CHECK(recv(fd, &c, 1, 0) == 1 && c == 'x');
}

static void case_dup(void)
{
	uint16_t port;
	char c;
	int fd = udp(&port), other = dup(fd), high = fcntl(fd, F_DUPFD_CLOEXEC, 100);

	CHECK(other >= 0 && high >= 100 && !close(fd));
	CHECK(port_of(other) == port && port_of(high) == port);
	CHECK(dup2(other, fd) == fd && port_of(fd) == port);
	CHECK(send_port(high, port, "d", 1) == 1 && read(fd, &c, 1) == 1 && c == 'd');
	/* the number is another file's now */
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	CHECK(dup2(null, fd) == fd && write(fd, "", 1) == 1 && !read(fd, &c, 1));
	FAILS(getsockname(fd, NULL, NULL), ENOTSOCK);
}

static void pass(int via, int fd)
{
	union {
		char buf[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} c = {0};
	struct iovec iov = {"f", 1};
	struct msghdr m = {.msg_iov = &iov,
			   .msg_iovlen = 1,
			   .msg_control = c.buf,
			   .msg_controllen = sizeof(c.buf)};

	c.align = (struct cmsghdr){.cmsg_level = SOL_SOCKET,
				   .cmsg_type = SCM_RIGHTS,
				   .cmsg_len = CMSG_LEN(sizeof(int))};
	memcpy(CMSG_DATA(&c.align), &fd, sizeof(fd));
	CHECK(sendmsg(via, &m, 0) == 1);
}

static int passed(int via)
{
	union {
		char buf[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} c;
	char byte;
	struct iovec iov = {&byte, 1};
	struct msghdr m = {.msg_iov = &iov,
			   .msg_iovlen = 1,
			   .msg_control = c.buf,
			   .msg_controllen = sizeof(c.buf)};
	int fd;

	CHECK(recvmsg(via, &m, MSG_CMSG_CLOEXEC) == 1 && CMSG_FIRSTHDR(&m));
	memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof(fd));
	return fd;
}

/* To a process that had none, over AF_UNIX. */
static void case_pass(void)
{
	uint16_t port;
	int pair[2];
	char c;

	CHECK(!socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair));
	pid_t pid = fork();
	CHECK(pid >= 0);
	if (!pid) {
		int fd = passed(pair[1]);
		CHECK(port_of(fd) && send_port(fd, port_of(fd), "p", 1) == 1);
		_exit(0);
	}
	int fd = udp(&port);
	pass(pair[0], fd);
	CHECK(recv(fd, &c, 1, 0) == 1 && c == 'p');
	ends_well(pid);
}

/* A port that nobody has. */
static uint16_t dead_port(void)
{
	uint16_t port;

	close(udp(&port));
	return port;
}

/* The error queue is found with data before it, and takes so_error away with it. */
static void case_errqueue(void)
{
	uint16_t port, dead = dead_port();
	char buf[64], control[256];
	struct sockaddr_in name;
	struct iovec iov = {buf, sizeof(buf)};
	struct msghdr m = {.msg_name = &name,
			   .msg_namelen = sizeof(name),
			   .msg_iov = &iov,
			   .msg_iovlen = 1,
			   .msg_control = control,
			   .msg_controllen = sizeof(control)};
	int fd = udp(&port), on = 1;
	struct pollfd p = {.fd = fd, .events = POLLIN};

	CHECK(!setsockopt(fd, SOL_IP, IP_RECVERR, &on, sizeof(on)));
	CHECK(send_port(fd, port, "data", 4) == 4 && send_port(fd, dead, "lost", 4) == 4);
	CHECK(poll(&p, 1, 1000) == 1 && (p.revents & POLLIN));
	CHECK(recvmsg(fd, &m, MSG_ERRQUEUE) == 4 && !memcmp(buf, "lost", 4));
	CHECK((m.msg_flags & MSG_ERRQUEUE) && ntohs(name.sin_port) == dead);
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);
	CHECK(c && c->cmsg_level == SOL_IP && c->cmsg_type == IP_RECVERR && !CMSG_NXTHDR(&m, c));
	struct sock_extended_err *e = (void *)CMSG_DATA(c);
	struct sockaddr_in *from = (void *)SO_EE_OFFENDER(e);
	CHECK(e->ee_errno == ECONNREFUSED && e->ee_origin == SO_EE_ORIGIN_ICMP);
	CHECK(from->sin_addr.s_addr == htonl(INADDR_LOOPBACK));
	CHECK(recv(fd, buf, sizeof(buf), MSG_DONTWAIT) == 4 && !memcmp(buf, "data", 4));
	FAILS(recv(fd, buf, sizeof(buf), MSG_DONTWAIT), EAGAIN);
	FAILS(recvmsg(fd, &m, MSG_ERRQUEUE), EAGAIN);
	CHECK(!poll(&p, 1, 20));

	/* waiting shows it, whatever is asked for; a plain receive has the error once */
	CHECK(send_port(fd, dead, "lost", 4) == 4);
	CHECK(poll(&p, 1, 1000) == 1 && p.revents == POLLERR);
	FAILS(recv(fd, buf, sizeof(buf), 0), ECONNREFUSED);
	FAILS(recv(fd, buf, sizeof(buf), MSG_DONTWAIT), EAGAIN);
	m.msg_controllen = 8;
	CHECK(recvmsg(fd, &m, MSG_ERRQUEUE) == 4 && (m.msg_flags & MSG_CTRUNC));
}

/* so_error is one, whoever asks first. */
static void case_error(void)
{
	struct sockaddr_in dead = loopback(dead_port());
	struct timeval wait = {.tv_usec = 20000};
	int fd = socket(AF_INET, SOCK_DGRAM, 0), v;
	socklen_t len = sizeof(v);
	struct pollfd p = {.fd = fd, .events = POLLIN};
	fd_set in;
	char c;

	CHECK(!connect(fd, (struct sockaddr *)&dead, sizeof(dead)));
	CHECK(send(fd, "a", 1, 0) == 1);
	CHECK(poll(&p, 1, 1000) == 1 && p.revents == POLLERR);
	FAILS(send(fd, "b", 1, 0), ECONNREFUSED);
	CHECK(!poll(&p, 1, 20));
	CHECK(send(fd, "c", 1, 0) == 1);
	CHECK(!getsockopt(fd, SOL_SOCKET, SO_ERROR, &v, &len) && v == ECONNREFUSED);
	CHECK(!getsockopt(fd, SOL_SOCKET, SO_ERROR, &v, &len) && !v);
	FD_ZERO(&in);
	FD_SET(fd, &in);
	CHECK(!select(fd + 1, &in, NULL, NULL, &wait) && !FD_ISSET(fd, &in));
	CHECK(send(fd, "d", 1, 0) == 1);
	FD_SET(fd, &in);
	CHECK(select(fd + 1, &in, NULL, NULL, NULL) == 1 && FD_ISSET(fd, &in));
	FAILS(recv(fd, &c, 1, MSG_PEEK), ECONNREFUSED);
	FAILS(recv(fd, &c, 1, MSG_DONTWAIT), EAGAIN);
}

/* Programs that close all they do not know keep their network. */
static void case_close(void)
{
	uint16_t port;

	close(udp(&port));
	for (int fd = 3; fd < 1024; fd++)
		close(fd);
	close(udp(&port));
	CHECK(!close_range(3, ~0U, 0));
	close(udp(&port));
	closefrom(3);
	close(udp(&port));
	/* the number of the token, wanted for something else */
	const char *colon = strchr(getenv("WEFT_NETNS"), ':');
	CHECK(colon && dup2(1, atoi(colon + 1)) == atoi(colon + 1));
	close(udp(&port));
	CHECK(!system("ip link show dev lo >/dev/null"));
}

static void *many_requests(void *arg)
{
	for (int i = 0; i < 200; i++) {
		uint16_t port;
		int fd = udp(&port);
		CHECK(port_of(fd) == port && !close(fd));
	}
	return NULL;
}

static void case_threads(void)
{
	pthread_t t[8];

	for (int i = 0; i < 8; i++)
		CHECK(!pthread_create(&t[i], NULL, many_requests, NULL));
	for (int i = 0; i < 8; i++)
		CHECK(!pthread_join(t[i], NULL));
}

static volatile sig_atomic_t handled;
static int handler_fd;
static uint16_t handler_port;

static void on_alarm(int sig)
{
	int saved = errno;

	if (port_of(handler_fd) != handler_port)
		_exit(9);
	handled++;
	errno = saved;
}

/* A handler's request does not mix with the one it interrupts. */
static void case_signals(void)
{
	struct sigaction sa = {.sa_handler = on_alarm, .sa_flags = SA_RESTART};
	struct itimerval every = {{0, 200}, {0, 200}}, off = {0};
	uint16_t port;
	int fd = udp(&port);

	handler_fd = udp(&handler_port);
	CHECK(!sigaction(SIGALRM, &sa, NULL) && !setitimer(ITIMER_REAL, &every, NULL));
	for (int i = 0; i < 100000 && handled < 50; i++)
		CHECK(port_of(fd) == port);
	CHECK(!setitimer(ITIMER_REAL, &off, NULL) && handled >= 50);
}

static unsigned count_devices(void)
{
	struct if_nameindex *v = if_nameindex();
	unsigned n = 0;

	CHECK(v);
	while (v[n].if_index)
		n++;
	if_freenameindex(v);
	return n;
}

static void *count_in_thread(void *arg)
{
	return (void *)(uintptr_t)count_devices();
}

static void *leave(void *arg)
{
	pthread_t t;
	void *n;

	CHECK(!unshare(CLONE_NEWNET) && count_devices() == 1);
	CHECK(!pthread_create(&t, NULL, count_in_thread, NULL) && !pthread_join(t, &n));
	CHECK((uintptr_t)n == 1);
	CHECK(!system("test $(ip -o link | wc -l) = 1"));
	return NULL;
}

/* A namespace is a thread's; threads and children begin in that of their maker. */
static void case_netns(void)
{
	pthread_t t;

	CHECK(!system("ip link add shimtest0 type dummy"));
	unsigned n = count_devices();
	CHECK(n >= 2);
	CHECK(!pthread_create(&t, NULL, leave, NULL) && !pthread_join(t, NULL));
	CHECK(count_devices() == n && !system("ip link del shimtest0"));
	pid_t pid = fork();
	if (!pid) {
		leave(NULL);
		_exit(0);
	}
	ends_well(pid);
	CHECK(count_devices() == n - 1);
}

/* What the C library would have asked the host's kernel. */
static void case_names(void)
{
	struct ifaddrs *all;
	bool link = false, addr = false;
	char name[IF_NAMESIZE];
	unsigned lo = if_nametoindex("lo");

	CHECK(lo && if_indextoname(lo, name) && !strcmp(name, "lo"));
	CHECK(!if_nametoindex("nope") && errno == ENODEV);
	CHECK(!if_indextoname(4711, name) && errno == ENXIO);
	CHECK(!getifaddrs(&all));
	for (struct ifaddrs *i = all; i; i = i->ifa_next) {
		if (strcmp(i->ifa_name, "lo"))
			continue;
		CHECK(i->ifa_flags & IFF_LOOPBACK);
		if (i->ifa_addr->sa_family == AF_PACKET)
			link = ((struct sockaddr_ll *)i->ifa_addr)->sll_ifindex == (int)lo;
		if (i->ifa_addr->sa_family == AF_INET)
			addr = ((struct sockaddr_in *)i->ifa_netmask)->sin_addr.s_addr ==
			       htonl(0xff000000);
	}
	CHECK(link && addr);
	freeifaddrs(all);
	/* any socket does for devices */
	struct ifreq ifr = {.ifr_name = "lo"};
	int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
	CHECK(!ioctl(fd, SIOCGIFINDEX, &ifr) && ifr.ifr_ifindex == (int)lo);
}

/* A ring stays readable while a frame in it is the program's. */
static void case_ring(void)
{
	struct tpacket_req req = {
		.tp_block_size = 4096, .tp_block_nr = 4, .tp_frame_size = 2048, .tp_frame_nr = 8};
	int fd = socket(AF_PACKET, SOCK_RAW, htons(ETH_P_ALL)), v = TPACKET_V2;
	struct pollfd p = {.fd = fd, .events = POLLIN};
	uint16_t port;
	int sender = udp(&port);

	CHECK(fd >= 0 && !setsockopt(fd, SOL_PACKET, PACKET_VERSION, &v, sizeof(v)));
	CHECK(!setsockopt(fd, SOL_PACKET, PACKET_RX_RING, &req, sizeof(req)));
	CHECK(mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0) == MAP_FAILED && errno == EINVAL);
	uint8_t *ring = mmap(NULL, 16384, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	CHECK(ring != MAP_FAILED);
	CHECK(!poll(&p, 1, 20));
	CHECK(send_port(sender, port, "frame", 5) == 5);
	CHECK(poll(&p, 1, 1000) == 1 && (p.revents & POLLIN));
	CHECK(poll(&p, 1, 0) == 1 && (p.revents & POLLIN));
	for (int i = 0; i < 8; i++) {
		struct tpacket2_hdr *h = (void *)(ring + 2048 * i);
		if (!(h->tp_status & TP_STATUS_USER))
			continue;
		CHECK(h->tp_len == 14 + 20 + 8 + 5 &&
		      !memcmp((uint8_t *)h + h->tp_mac + 42, "frame", 5));
		h->tp_status = TP_STATUS_KERNEL;
	}
	CHECK(!poll(&p, 1, 20));
	CHECK(!munmap(ring, 16384));
}

/* ---- streams ---- */

static int listening(uint16_t *port)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	CHECK(fd >= 0 && !listen(fd, 64));
	*port = port_of(fd);
	return fd;
}

static int connected(uint16_t port)
{
	struct sockaddr_in a = loopback(port);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	CHECK(fd >= 0 && !connect(fd, (struct sockaddr *)&a, sizeof(a)));
	return fd;
}

/* Numbers are used again: what is remembered of one must not be taken for another. */
static void case_numbers(void)
{
	uint16_t port, udp_port;
	int l = listening(&port), s = connected(port), c = accept(l, NULL, NULL), pipes[2];
	char buf[16];

	CHECK(c >= 0 && write(s, "stream", 6) == 6 && read(c, buf, 16) == 6);
	/* a pipe in the place of a stream, unseen by us */
	CHECK(!pipe(pipes));
	CHECK(syscall(SYS_dup2, pipes[1], s) == s && syscall(SYS_dup2, pipes[0], c) == c);
	CHECK(write(s, "pipe", 4) == 4 && read(c, buf, 16) == 4 && !memcmp(buf, "pipe", 4));
	FAILS(send(s, "x", 1, 0), ENOTSOCK);
	/* a datagram socket in the place of both, and of a file */
	int d = udp(&udp_port), file = open("/dev/null", O_RDWR | O_CLOEXEC);
	struct sockaddr_in to = loopback(udp_port);
	CHECK(write(file, "x", 1) == 1);
	CHECK(dup2(d, s) == s && dup3(d, c, 0) == c && dup2(d, file) == file);
	CHECK(!connect(d, (struct sockaddr *)&to, sizeof(to)));
	CHECK(write(s, "one", 3) == 3 && read(c, buf, 16) == 3 && !memcmp(buf, "one", 3));
	CHECK(write(file, "four", 4) == 4 && read(d, buf, 16) == 4 && !memcmp(buf, "four", 4));
	int other = fcntl(d, F_DUPFD_CLOEXEC, 100);
	CHECK(other >= 100 && write(other, "five5", 5) == 5 && read(s, buf, 16) == 5);
	/* and a listener in the place of that */
	CHECK(dup2(l, s) == s);
	int t = connected(port), n = accept4(s, NULL, NULL, SOCK_NONBLOCK);
	CHECK(n >= 0 && (fcntl(n, F_GETFL) & O_NONBLOCK) && write(t, "six", 3) == 3);
	CHECK(!fcntl(n, F_SETFL, 0) && read(n, buf, 16) == 3);
	FAILS(read(s, buf, 1), ENOTCONN);
}

/* A child of vfork has numbers of its own, and our memory. */
static void case_vfork_stream(void)
{
	uint16_t port;
	int l = listening(&port), s = connected(port), c = accept(l, NULL, NULL);
	char buf[16];
	struct sockaddr_in to = loopback(port);

	CHECK(c >= 0 && write(s, "a", 1) == 1 && read(c, buf, 1) == 1);
	for (int i = 0; i < 20; i++) {
		pid_t pid = vfork();
		CHECK(pid >= 0);
		if (!pid) {
			int null = open("/dev/null", O_RDWR), d = socket(AF_INET, SOCK_DGRAM, 0);
			if (null < 0 || d < 0 || write(s, "child", 5) != 5 || dup2(null, s) != s ||
			    write(s, "nowhere", 7) != 7 || dup2(d, c) != c ||
			    connect(c, (struct sockaddr *)&to, sizeof(to)))
				_exit(2);
			int own = socket(AF_INET, SOCK_STREAM, 0);
			if (connect(own, (struct sockaddr *)&to, sizeof(to)))
				_exit(3);
			_exit(0);
		}
		ends_well(pid);
		int n = accept(l, NULL, NULL);
		CHECK(n >= 0 && !close(n));
		CHECK(read(c, buf, 16) == 5 && !memcmp(buf, "child", 5));
		CHECK(write(c, "back", 4) == 4 && read(s, buf, 16) == 4);
	}
}

static void *blocked_accept(void *arg)
{
	FAILS(accept(*(int *)arg, NULL, NULL), ENETDOWN);
	return NULL;
}

static void *blocked_recv(void *arg)
{
	char c;

	FAILS(recv(*(int *)arg, &c, 1, 0), ENETDOWN);
	return NULL;
}

/* The daemon dies: nothing hangs. (In an instance of its own.) */
static void case_death(void)
{
	uint16_t port;
	int fd = udp(&port), nl = dump_links();
	struct ucred daemon;
	socklen_t len = sizeof(daemon);
	pthread_t t, t_accept, t_stream;
	uint16_t stream_port;
	int l = listening(&stream_port), s = connected(stream_port), a = accept(l, NULL, NULL);
	char c;

	CHECK(a >= 0);
	/* the descriptor's own peer, past the shim */
	CHECK(!syscall(SYS_getsockopt, fd, SOL_SOCKET, SO_PEERCRED, &daemon, &len));
	CHECK(!pthread_create(&t, NULL, blocked_recv, &fd));
	CHECK(!pthread_create(&t_accept, NULL, blocked_accept, &l));
	CHECK(!pthread_create(&t_stream, NULL, blocked_recv, &a));
	usleep(50000);
	CHECK(!kill(daemon.pid, SIGKILL) && !pthread_join(t, NULL));
	CHECK(!pthread_join(t_accept, NULL) && !pthread_join(t_stream, NULL));
	FAILS(send(s, &c, 1, MSG_NOSIGNAL), ENETDOWN);
	FAILS(recv(s, &c, 1, 0), ENETDOWN);
	FAILS(recv(fd, &c, 1, 0), ENETDOWN);
	FAILS(send_port(fd, port, "x", 1), ENETDOWN);
	FAILS(socket(AF_INET, SOCK_DGRAM, 0), ENETDOWN);
	FAILS(port_of(fd) ? 0 : -1, ENETDOWN);
	close(nl);
}

static const struct {
	const char *name;
	void (*fn)(void);
} cases[] = {
	{"peek", case_peek},	     {"kin", case_kin},
	{"fork", case_fork},	     {"vfork", case_vfork},
	{"dup", case_dup},	     {"pass", case_pass},
	{"errqueue", case_errqueue}, {"error", case_error},
	{"close", case_close},	     {"threads", case_threads},
	{"signals", case_signals},   {"netns", case_netns},
	{"numbers", case_numbers},   {"vfork-stream", case_vfork_stream},
	{"names", case_names},	     {"ring", case_ring},
	{"death", case_death},
};

int main(int argc, char **argv)
{
	self = argv[0];
	alarm(60);
	if (argc == 4 && !strcmp(argv[1], "inherited")) {
		case_inherited(atoi(argv[2]), atoi(argv[3]));
		return 0;
	}
	for (size_t i = 0; argc == 2 && i < sizeof(cases) / sizeof(cases[0]); i++) {
		if (strcmp(cases[i].name, argv[1]))
			continue;
		cases[i].fn();
		return 0;
	}
	fprintf(stderr, "shim-test: no such case\n");
	return 2;
}
