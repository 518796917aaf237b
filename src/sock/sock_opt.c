/*
 * sock_opt: setsockopt at SOL_SOCKET, with the checks, limits and error numbers of Linux.
 *
 * Whoever speaks to weft owns the network, so what the kernel keeps for CAP_NET_ADMIN is allowed.
 * Options without meaning here are kept in misc_opts and can be read back, as programs expect.
 */
#include "sock/sock_core.h"

#include <asm/socket.h>
#include <linux/if_packet.h>
#include <linux/in.h>
#include <linux/net_tstamp.h>
#include <time.h>

#ifndef SO_RESERVE_MEM
#define SO_RESERVE_MEM 73
#endif
#ifndef SO_TXREHASH
#define SO_TXREHASH 74
#endif
#ifndef SOCK_BUF_LOCK_MASK
#define SOCK_BUF_LOCK_MASK 3
#endif
#ifndef SO_RCVMARK
#define SO_RCVMARK 75
#endif
#ifndef SO_PASSPIDFD
#define SO_PASSPIDFD 76
#endif
#ifndef SO_DEVMEM_DONTNEED
#define SO_DEVMEM_DONTNEED 80
#endif
#ifndef SO_RCVPRIORITY
#define SO_RCVPRIORITY 82
#endif
#ifndef SO_PASSRIGHTS
#define SO_PASSRIGHTS 83
#endif

/* Bits of SO_TIMESTAMPING, up to Linux 6.16. */
enum {
	TS_OPT_ID = 1 << 7,
	TS_OPT_TSONLY = 1 << 11,
	TS_OPT_STATS = 1 << 12,
	TS_BIND_PHC = 1 << 15,
	TS_OPT_ID_TCP = 1 << 16,
	TS_KNOWN = (1 << 19) - 1,
};

static int set_bound_if(struct sock *sk, int ifindex)
{
	if (ifindex < 0)
		return -EINVAL;
	sk->bound_if = ifindex;
	if (sk->ops->rebind)
		sk->ops->rebind(sk);
	return 0;
}

static int set_bindtodevice(struct sock *sk, const void *val, size_t len)
{
	char name[IFNAMSIZ] = "";
	struct netdev *dev;

	memcpy(name, val, MIN(len, sizeof(name) - 1));
	if (!name[0])
		return set_bound_if(sk, 0);
	dev = net_dev_by_name(sk->net, name);
	return dev ? set_bound_if(sk, dev->ifindex) : -ENODEV;
}

static int set_timeout(uint64_t *out, const void *val, size_t len)
{
	int64_t tv[2]; /* struct timeval, the old and the new one alike */

	if (len < sizeof(tv))
		return -EINVAL;
	memcpy(tv, val, sizeof(tv));
	if (tv[1] < 0 || tv[1] >= 1000000)
		return -EDOM;
	*out = 0;
	if (tv[0] < 0)
		*out = 1; /* does not wait */
	else if ((tv[0] || tv[1]) && tv[0] < INT64_MAX / (int64_t)NSEC_PER_SEC - 1)
		*out = (uint64_t)tv[0] * NSEC_PER_SEC + (uint64_t)tv[1] * NSEC_PER_USEC;
	return 0;
}

static void set_sndbuf(struct sock *sk, int val)
{
	val = MIN(val, INT32_MAX / 2);
	sk->buf_lock |= 1;
	WRITE_ONCE(sk->sndbuf, (size_t)MAX(val * 2, SOCK_MIN_SNDBUF));
}

static void set_rcvbuf(struct sock *sk, int val)
{
	val = MIN(val, INT32_MAX / 2);
	sk->buf_lock |= 2;
	WRITE_ONCE(sk->rcvbuf, (size_t)MAX(val * 2, SOCK_MIN_RCVBUF));
}

/* The limits compare as unsigned: a negative size asks for the largest. */
static int clamp_buf(int val, int max)
{
	return (int)MIN((uint32_t)val, (uint32_t)max);
}

static int set_buffers(struct sock *sk, int name, int val)
{
	const struct sock_core *core = sk->weft->sock;

	switch (name) {
	case SO_SNDBUF:
		set_sndbuf(sk, clamp_buf(val, core->wmem_max));
		break;
	case SO_SNDBUFFORCE:
		set_sndbuf(sk, MAX(val, 0));
		break;
	case SO_RCVBUF:
		set_rcvbuf(sk, clamp_buf(val, core->rmem_max));
		break;
	default:
		set_rcvbuf(sk, MAX(val, 0));
		break;
	}
	return 0;
}

static void set_timestamps(struct sock *sk, bool on, bool is_new, bool ns)
{
	sk->ts_new = on && is_new;
	sk->timestampns = on && ns;
	sk->timestamp = on;
}

static int set_timestamping(struct sock *sk, int name, const void *val, size_t len)
{
	int flags;

	memcpy(&flags, val, sizeof(flags));
	if (flags & ~TS_KNOWN)
		return -EINVAL;
	if ((flags & TS_OPT_ID_TCP) && !(flags & TS_OPT_ID))
		return -EINVAL;
	if ((flags & TS_OPT_STATS) && !(flags & TS_OPT_TSONLY))
		return -EINVAL;
	/* No device here has a hardware clock to bind to. */
	if (flags & TS_BIND_PHC)
		return sk->bound_if ? -EINVAL : -EOPNOTSUPP;
	if (flags & TS_OPT_ID && !(sk->timestamping & TS_OPT_ID))
		sk->tskey = 0;
	sk->ts_new = name == SO_TIMESTAMPING_NEW;
	sk->timestamping = (uint32_t)flags;
	return 0;
}

static int set_linger(struct sock *sk, const void *val, size_t len)
{
	struct linger l;

	if (len < sizeof(l))
		return -EINVAL;
	memcpy(&l, val, sizeof(l));
	sk->linger = l.l_onoff ? MAX(l.l_linger, 0) : -1;
	return 0;
}

static int attach_filter(struct sock *sk, const void *val, size_t len)
{
	struct cbpf *f, *old = sk->filter;
	int err = sock_filter_new(val, len, &f);

	if (err)
		return err;
	if (sk->lock_filter) {
		cbpf_free(f);
		return -EPERM;
	}
	rcu_assign_pointer(sk->filter, f);
	sock_filter_free(old);
	return 0;
}

/* Where the socket's reuseport program is: its group's, or until it is in one its own. */
static struct cbpf **reuse_prog(struct sock *sk)
{
	struct cbpf **at = sk->ops->reuse_prog ? sk->ops->reuse_prog(sk) : NULL;

	return at ? at : &sk->reuse_cbpf;
}

static int attach_reuseport(struct sock *sk, const void *val, size_t len)
{
	struct cbpf *f, **at, *old;
	int err;

	if (sk->lock_filter)
		return -EPERM;
	err = sock_filter_new(val, len, &f);
	if (err)
		return err;
	if (!sk->reuseport) {
		cbpf_free(f);
		return -EINVAL;
	}
	at = reuse_prog(sk);
	old = *at;
	rcu_assign_pointer(*at, f);
	sock_filter_free(old);
	return 0;
}

static int detach_reuseport(struct sock *sk)
{
	struct cbpf **at = reuse_prog(sk), *old = *at;

	if (!sk->reuseport)
		return -EINVAL;
	if (!old)
		return -ENOENT;
	rcu_assign_pointer(*at, NULL);
	sock_filter_free(old);
	return 0;
}

static int detach_filter(struct sock *sk)
{
	struct cbpf *old = sk->filter;

	if (sk->lock_filter)
		return -EPERM;
	if (!old)
		return -ENOENT;
	rcu_assign_pointer(sk->filter, NULL);
	sock_filter_free(old);
	return 0;
}

/* Options that are only remembered. -1: none of them. */
static int misc_bit(int name)
{
	switch (name) {
	case SO_DEBUG:
		return 0;
	case SO_WIFI_STATUS:
		return 1;
	case SO_NOFCS:
		return 2;
	case SO_SELECT_ERR_QUEUE:
		return 3;
	case SO_PASSSEC:
		return 4;
	case SO_PREFER_BUSY_POLL:
		return 5;
	case SO_RCVMARK:
		return 6;
	case SO_RCVPRIORITY:
		return 7;
	}
	return -1;
}

static int set_flag(struct sock *sk, int name, bool on)
{
	switch (name) {
	case SO_REUSEADDR:
		sk->reuseaddr = on;
		return 0;
	case SO_DONTROUTE:
		sk->dontroute = on;
		return 0;
	case SO_BROADCAST:
		sk->broadcast = on;
		return 0;
	case SO_KEEPALIVE:
		sk->keepalive = on;
		return 0;
	case SO_OOBINLINE:
		sk->oobinline = on;
		return 0;
	case SO_NO_CHECK:
		sk->no_check = on;
		return 0;
	case SO_PASSCRED:
		sk->passcred = on;
		return 0;
	case SO_RXQ_OVFL:
		sk->rxq_ovfl = on;
		return 0;
	case SO_BSDCOMPAT:
	case SO_CNX_ADVICE: /* routes are looked up for each datagram: none to be forgotten */
		return 0;
	case SO_TIMESTAMP_OLD:
	case SO_TIMESTAMP_NEW:
		set_timestamps(sk, on, name == SO_TIMESTAMP_NEW, false);
		return 0;
	case SO_TIMESTAMPNS_OLD:
	case SO_TIMESTAMPNS_NEW:
		set_timestamps(sk, on, name == SO_TIMESTAMPNS_NEW, true);
		return 0;
	}
	int bit = misc_bit(name);

	if (bit < 0)
		return -ENOPROTOOPT;
	sk->misc_opts = (sk->misc_opts & ~(1u << bit)) | (uint32_t)on << bit;
	return 0;
}

static bool is_inet(const struct sock *sk)
{
	return sk->family == AF_INET || sk->family == AF_INET6;
}

/* Who sent it can be told of local families alone. */
static bool passes_credentials(const struct sock *sk)
{
	return sk->family == AF_NETLINK;
}

static int set_txtime(struct sock *sk, const void *val, size_t len)
{
	struct sock_txtime t;

	if (len != sizeof(t))
		return -EINVAL;
	memcpy(&t, val, sizeof(t));
	if (t.flags & ~SOF_TXTIME_FLAGS_MASK)
		return -EINVAL;
	if (t.clockid != CLOCK_REALTIME && t.clockid != CLOCK_MONOTONIC && t.clockid != CLOCK_TAI)
		return -EINVAL;
	sk->txtime_clock = t.clockid;
	sk->txtime_flags = (uint8_t)t.flags;
	return 0;
}

static int set_number(struct sock *sk, int name, int val)
{
	switch (name) {
	case SO_PASSCRED:
	case SO_PASSSEC:
		if (!passes_credentials(sk))
			return -EOPNOTSUPP;
		break;
	case SO_REUSEPORT:
		if (val && !is_inet(sk))
			return -EOPNOTSUPP;
		sk->reuseport = val;
		return 0;
	case SO_PRIORITY:
		WRITE_ONCE(sk->prio, (uint32_t)val);
		return 0;
	case SO_MARK:
		WRITE_ONCE(sk->mark, (uint32_t)val);
		return 0;
	case SO_RCVLOWAT:
		sk->rcvlowat = val < 0 ? INT32_MAX : val ? val : 1;
		return 0;
	case SO_LOCK_FILTER:
		if (sk->lock_filter && !val)
			return -EPERM;
		sk->lock_filter = val;
		return 0;
	case SO_BUSY_POLL:
		if (val < 0)
			return -EINVAL;
		sk->busy_poll = val;
		return 0;
	case SO_BUSY_POLL_BUDGET:
		return val < 0 || val > UINT16_MAX ? -EINVAL : 0;
	case SO_INCOMING_CPU:
		sk->incoming_cpu = val;
		return 0;
	case SO_ZEROCOPY:
		if (!is_inet(sk) || (sk->protocol != IPPROTO_UDP && sk->protocol != IPPROTO_TCP))
			return -EOPNOTSUPP;
		if (val < 0 || val > 1)
			return -EINVAL;
		sk->zerocopy = val;
		return 0;
	case SO_BINDTOIFINDEX:
		return set_bound_if(sk, val);
	case SO_BUF_LOCK:
		if (val & ~SOCK_BUF_LOCK_MASK)
			return -EINVAL;
		sk->buf_lock = (uint8_t)val;
		return 0;
	case SO_RESERVE_MEM:
		return val < 0 ? -EINVAL : -EOPNOTSUPP;
	case SO_PEEK_OFF:
	case SO_TXREHASH:
	case SO_PASSPIDFD:
	case SO_PASSRIGHTS:
		return -EOPNOTSUPP;
	case SO_DEVMEM_DONTNEED:
		return -EBADF;
	case SO_DETACH_REUSEPORT_BPF:
		return detach_reuseport(sk);
	case SO_DETACH_FILTER:
		return detach_filter(sk);
	}
	return set_flag(sk, name, val);
}

int sock_opt_set(struct sock *sk, int name, const void *val, size_t len)
{
	int v;

	if (name == SO_BINDTODEVICE)
		return set_bindtodevice(sk, val, len);
	if (name == SO_ATTACH_FILTER)
		return attach_filter(sk, val, len);
	if (name == SO_ATTACH_REUSEPORT_CBPF)
		return attach_reuseport(sk, val, len);
	if (len < sizeof(v))
		return -EINVAL;
	memcpy(&v, val, sizeof(v));
	switch (name) {
	case SO_SNDBUF:
	case SO_SNDBUFFORCE:
	case SO_RCVBUF:
	case SO_RCVBUFFORCE:
		return set_buffers(sk, name, v);
	case SO_LINGER:
		return set_linger(sk, val, len);
	case SO_RCVTIMEO_OLD:
	case SO_RCVTIMEO_NEW:
		return set_timeout(&sk->rcvtimeo, val, len);
	case SO_SNDTIMEO_OLD:
	case SO_SNDTIMEO_NEW:
		return set_timeout(&sk->sndtimeo, val, len);
	case SO_TIMESTAMPING_OLD:
	case SO_TIMESTAMPING_NEW:
		return set_timestamping(sk, name, val, len);
	case SO_TXTIME:
		return set_txtime(sk, val, len);
	case SO_MAX_PACING_RATE:
		sk->max_pacing = v == -1 ? UINT64_MAX : (uint32_t)v;
		if (len >= sizeof(sk->max_pacing))
			memcpy(&sk->max_pacing, val, sizeof(sk->max_pacing));
		return 0;
	}
	return set_number(sk, name, v);
}
