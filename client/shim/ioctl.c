/*
 * ioctl: requests of the sockets' own range (0x89) go to the daemon, with what they point to made
 * flat; the others (FIONBIO, FIOCLEX, those of terminals) are the descriptor's.
 */
#include <linux/filter.h>
#include <linux/if_vlan.h>
#include <linux/net_tstamp.h>
#include <linux/nsfs.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <net/route.h>
#include <stdarg.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "ioctl.h"
#include "msg.h"
#include "ns.h"

enum {
	SOCK_IOC = 0x89,
	CONF_ROOM = 128 * 1024 /* of SIOCGIFCONF's answer */
};

/* The bytes an argument has that points to nothing else. */
static size_t flat_size(unsigned long cmd)
{
	switch (cmd) {
	case SIOCGARP:
	case SIOCSARP:
	case SIOCDARP:
		return sizeof(struct arpreq);
	case SIOCGSTAMP_OLD:
	case SIOCGSTAMPNS_OLD:
	case SIOCGSTAMP_NEW:
	case SIOCGSTAMPNS_NEW:
		return 2 * sizeof(int64_t);
	case SIOCGIFVLAN:
	case SIOCSIFVLAN:
		return sizeof(struct vlan_ioctl_args);
	case SIOCBRADDBR:
	case SIOCBRDELBR:
		return IFNAMSIZ;
	case SIOCGIFBR:
	case SIOCSIFBR:
		return 4 * sizeof(long);
	case SIOCOUTQ:
	case SIOCATMARK:
	case SIOCGPGRP:
	case SIOCSPGRP:
	case FIOGETOWN:
	case FIOSETOWN:
		return sizeof(int);
	}
	return sizeof(struct ifreq);
}

static int call(const struct shim_sock *s, unsigned long cmd, struct shim_req *r)
{
	r->op = WEFT_OP_IOCTL;
	r->sock = s->id;
	r->arg[0] = cmd;
	int err = shim_call(r);
	return err ? err : (int)r->rep.arg0;
}

static int io_flat(const struct shim_sock *s, unsigned long cmd, void *arg)
{
	size_t len = flat_size(cmd);
	struct shim_req r = {.data = arg, .len = len, .room = arg, .room_len = len};

	return call(s, cmd, &r);
}

static int io_conf(const struct shim_sock *s, void *arg)
{
	struct ifconf *conf = arg;
	uint32_t room = CONF_ROOM;

	if (!conf)
		return -EFAULT;
	if (conf->ifc_len < 0)
		return -EINVAL;
	if (conf->ifc_buf)
		room = (uint32_t)MIN(conf->ifc_len, (int)CONF_ROOM);
	struct shim_req r = {
		.data = &room, .len = sizeof(room), .room = conf->ifc_buf, .room_len = room};
	int n = call(s, SIOCGIFCONF, &r);
	if (n < 0)
		return n;
	conf->ifc_len = n;
	return 0;
}

/* What ifr_data points to is n bytes, read and written. */
static int io_data(const struct shim_sock *s, unsigned long cmd, struct ifreq *ifr, size_t n)
{
	struct ifreq back;
	struct shim_req r = {.data = ifr,
			     .len = sizeof(*ifr),
			     .data2 = ifr->ifr_data,
			     .len2 = n,
			     .room = &back,
			     .room_len = sizeof(back),
			     .room2 = ifr->ifr_data,
			     .room2_len = n};

	return call(s, cmd, &r);
}

static int io_ethtool(const struct shim_sock *s, struct ifreq *ifr)
{
	if (!ifr || !ifr->ifr_data)
		return -EFAULT;
	size_t n = ethtool_size(s, ifr);
	if (n > WEFT_MSG_MAX - 1024)
		return -ENOMEM;
	return io_data(s, SIOCETHTOOL, ifr, n);
}

static int io_route(const struct shim_sock *s, unsigned long cmd, const struct rtentry *rt)
{
	char name[IFNAMSIZ] = "";

	if (!rt)
		return -EFAULT;
	if (rt->rt_dev)
		strncpy(name, rt->rt_dev, sizeof(name) - 1);
	struct shim_req r = {.data = rt, .len = sizeof(*rt), .data2 = name, .len2 = sizeof(name)};
	return call(s, cmd, &r);
}

/* The size of the next datagram, 0: none. */
static int io_inq(int fd, const struct shim_sock *s, int *arg)
{
	ssize_t len;
	int kind = msg_head(fd, &len);

	if (kind == WEFT_DGRAM_ERROR || kind == WEFT_DGRAM_ERRQ) {
		msg_tidy(fd, s);
		kind = msg_head(fd, &len);
	}
	*arg = kind == WEFT_DGRAM_DATA ? (int)(len - (ssize_t)sizeof(struct weft_dgram)) : 0;
	return 0;
}

static int io_sock(int fd, const struct shim_sock *s, unsigned long cmd, void *arg)
{
	switch (cmd) {
	case SIOCGIFCONF:
		return io_conf(s, arg);
	case SIOCETHTOOL:
		return io_ethtool(s, arg);
	case SIOCGHWTSTAMP:
	case SIOCSHWTSTAMP:
		return arg ? io_data(s, cmd, arg, sizeof(struct hwtstamp_config)) : -EFAULT;
	case SIOCADDRT:
	case SIOCDELRT:
		return io_route(s, cmd, arg);
	}
	return io_flat(s, cmd, arg);
}

/* Requests about devices, routes and neighbours, which any socket takes, whatever its family. */
static bool is_for_devices(unsigned long cmd)
{
	return (cmd >= SIOCADDRT && cmd < SIOCPROTOPRIVATE) && cmd != SIOCGSKNS &&
	       cmd != SIOCOUTQNSD;
}

/* By a socket of the kernel's, an AF_UNIX one mostly. */
static int io_foreign(int fd, unsigned long cmd, void *arg)
{
	struct shim_sock s;
	int type;
	socklen_t len = sizeof(type);

	if (syscall(SYS_getsockopt, fd, SOL_SOCKET, SO_TYPE, &type, &len))
		return REAL(ioctl)(fd, cmd, arg);
	int own = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (own < 0)
		return -1;
	int ret = shim_sock(own, &s) ? io_sock(own, &s, cmd, arg) : -ENETDOWN;
	syscall(SYS_close, own);
	return shim_ret(ret);
}

SHIM_API int ioctl(int fd, unsigned long cmd, ...)
{
	struct shim_sock s;
	va_list ap;

	va_start(ap, cmd);
	void *arg = va_arg(ap, void *);
	va_end(ap);
	/* the kernel looks at 32 bits, and programs have ints that were negative */
	cmd = (uint32_t)cmd;
	bool inq = cmd == FIONREAD;
	bool sock = _IOC_TYPE(cmd) == SOCK_IOC || cmd == TIOCOUTQ;

	if (!sock && !inq) {
		int result;
		bool done = _IOC_TYPE(cmd) == NSIO && ns_ioctl(fd, cmd, &result);
		return done ? result : REAL(ioctl)(fd, cmd, arg);
	}
	if (!shim_sock(fd, &s))
		return is_for_devices(cmd) && shim_on() ? io_foreign(fd, cmd, arg)
							: REAL(ioctl)(fd, cmd, arg);
	switch (cmd) {
	case SIOCGPGRP:
	case SIOCSPGRP:
	case FIOGETOWN:
	case FIOSETOWN:
		return REAL(ioctl)(fd, cmd, arg);
	}
	if (s.type == SOCK_STREAM && (inq || cmd == SIOCATMARK))
		return REAL(ioctl)(fd, cmd, arg);
	if (inq && s.family != AF_NETLINK)
		return shim_ret(arg ? io_inq(fd, &s, arg) : -EFAULT);
	if (inq || (cmd == TIOCOUTQ && s.family == AF_NETLINK))
		return shim_ret(-ENOTTY);
	return shim_ret(io_sock(fd, &s, cmd, arg));
}
