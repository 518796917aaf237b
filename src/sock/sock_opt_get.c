/*
 * sock_opt_get: getsockopt at SOL_SOCKET. An answer longer than the room is cut off, and the length
 * says so, as the kernel does it.
 */
#include "sock/sock_core.h"

#include <asm/socket.h>
#include <linux/filter.h>
#include <linux/net_tstamp.h>
#include <linux/sock_diag.h>

#ifndef SO_NETNS_COOKIE
#define SO_NETNS_COOKIE 71
#endif
#ifndef SO_RESERVE_MEM
#define SO_RESERVE_MEM 73
#endif
#ifndef SO_TXREHASH
#define SO_TXREHASH 74
#endif
#ifndef SO_RCVMARK
#define SO_RCVMARK 75
#endif
#ifndef SO_PASSPIDFD
#define SO_PASSPIDFD 76
#endif
#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77
#endif
#ifndef SO_RCVPRIORITY
#define SO_RCVPRIORITY 82
#endif
#ifndef SO_PASSRIGHTS
#define SO_PASSRIGHTS 83
#endif

static int put(void *val, size_t *len, const void *from, size_t n)
{
	*len = MIN(*len, n);
	memcpy(val, from, *len);
	return 0;
}

static int put_int(void *val, size_t *len, int v)
{
	return put(val, len, &v, sizeof(v));
}

static int get_timeout(void *val, size_t *len, uint64_t ns)
{
	int64_t tv[2] = {(int64_t)(ns / NSEC_PER_SEC),
			 (int64_t)(ns % NSEC_PER_SEC / NSEC_PER_USEC)};

	return put(val, len, tv, sizeof(tv));
}

static int get_linger(const struct sock *sk, void *val, size_t *len)
{
	struct linger l = {.l_onoff = sk->linger >= 0, .l_linger = MAX(sk->linger, 0)};

	return put(val, len, &l, sizeof(l));
}

static int get_device(const struct sock *sk, void *val, size_t *len)
{
	struct netdev *dev;

	if (!sk->bound_if) {
		*len = 0;
		return 0;
	}
	if (*len < IFNAMSIZ)
		return -EINVAL;
	dev = net_dev_by_index(sk->net, sk->bound_if);
	return dev ? put(val, len, dev->name, strlen(dev->name) + 1) : -ENODEV;
}

/* The kernel counts this one in instructions; here it is bytes, and the shim divides. */
static int get_filter(const struct sock *sk, void *val, size_t *len)
{
	size_t n = sk->filter ? cbpf_len(sk->filter) * sizeof(struct sock_filter) : 0;

	if (*len && *len < n)
		return -EINVAL;
	if (*len && n)
		memcpy(val, cbpf_insns(sk->filter), n);
	*len = n;
	return 0;
}

static int get_meminfo(const struct sock *sk, void *val, size_t *len)
{
	uint32_t v[SK_MEMINFO_VARS] = {
		[SK_MEMINFO_RMEM_ALLOC] = (uint32_t)sock_rmem(sk),
		[SK_MEMINFO_RCVBUF] = (uint32_t)sk->rcvbuf,
		[SK_MEMINFO_SNDBUF] = (uint32_t)sk->sndbuf,
		[SK_MEMINFO_DROPS] = (uint32_t)sk->rx_drops,
	};

	return put(val, len, v, sizeof(v));
}

static int get_cookie(void *val, size_t *len, uint64_t v, bool exact)
{
	if (exact ? *len != sizeof(v) : *len < sizeof(v))
		return -EINVAL;
	return put(val, len, &v, sizeof(v));
}

static int get_peercred(void *val, size_t *len)
{
	struct ucred cred = {.pid = 0, .uid = (uid_t)-1, .gid = (gid_t)-1};

	return put(val, len, &cred, sizeof(cred));
}

static int get_peername(struct sock *sk, void *val, size_t *len)
{
	struct sockaddr_storage ss = {0};
	size_t n = sizeof(ss);
	int err = sock_getname(sk, true, (struct sockaddr *)&ss, &n);

	if (err)
		return -ENOTCONN;
	if (n < *len)
		return -EINVAL;
	memcpy(val, &ss, *len);
	return 0;
}

/* The answers that are one int; false: not one of them. */
static bool get_int(struct sock *sk, int name, int *v)
{
	bool stamped = sk->timestamp && !sk->timestampns, ns = sk->timestampns;

	switch (name) {
	case SO_TYPE:
		*v = sk->type;
		break;
	case SO_PROTOCOL:
		*v = sk->protocol;
		break;
	case SO_DOMAIN:
		*v = sk->family;
		break;
	case SO_ERROR:
		*v = -sock_take_error(sk);
		break;
	case SO_REUSEADDR:
		*v = sk->reuseaddr;
		break;
	case SO_REUSEPORT:
		*v = sk->reuseport;
		break;
	case SO_DONTROUTE:
		*v = sk->dontroute;
		break;
	case SO_BROADCAST:
		*v = sk->broadcast;
		break;
	case SO_KEEPALIVE:
		*v = sk->keepalive;
		break;
	case SO_OOBINLINE:
		*v = sk->oobinline;
		break;
	case SO_NO_CHECK:
		*v = sk->no_check;
		break;
	case SO_PASSCRED:
		*v = sk->passcred;
		break;
	case SO_RXQ_OVFL:
		*v = sk->rxq_ovfl;
		break;
	case SO_SNDBUF:
		*v = (int)sk->sndbuf;
		break;
	case SO_RCVBUF:
		*v = (int)sk->rcvbuf;
		break;
	case SO_PRIORITY:
		*v = (int)sk->prio;
		break;
	case SO_MARK:
		*v = (int)sk->mark;
		break;
	case SO_RCVLOWAT:
		*v = sk->rcvlowat;
		break;
	case SO_SNDLOWAT:
		*v = 1;
		break;
	case SO_TIMESTAMP_OLD:
		*v = stamped && !sk->ts_new;
		break;
	case SO_TIMESTAMP_NEW:
		*v = sk->timestamp && sk->ts_new;
		break;
	case SO_TIMESTAMPNS_OLD:
		*v = ns && !sk->ts_new;
		break;
	case SO_TIMESTAMPNS_NEW:
		*v = ns && sk->ts_new;
		break;
	case SO_LOCK_FILTER:
		*v = sk->lock_filter;
		break;
	case SO_BPF_EXTENSIONS:
		*v = SKF_AD_MAX;
		break;
	case SO_BUSY_POLL:
		*v = sk->busy_poll;
		break;
	case SO_INCOMING_CPU:
		*v = sk->incoming_cpu;
		break;
	case SO_ZEROCOPY:
		*v = sk->zerocopy;
		break;
	case SO_BINDTOIFINDEX:
		*v = sk->bound_if;
		break;
	case SO_BUF_LOCK:
		*v = sk->buf_lock;
		break;
	case SO_ACCEPTCONN:
		*v = sk->listens;
		break;
	case SO_BSDCOMPAT:
	case SO_INCOMING_NAPI_ID:
	case SO_RESERVE_MEM:
		*v = 0;
		break;
	case SO_DEBUG:
		*v = sk->misc_opts & 1;
		break;
	case SO_WIFI_STATUS:
		*v = sk->misc_opts >> 1 & 1;
		break;
	case SO_NOFCS:
		*v = sk->misc_opts >> 2 & 1;
		break;
	case SO_SELECT_ERR_QUEUE:
		*v = sk->misc_opts >> 3 & 1;
		break;
	case SO_PASSSEC:
		*v = sk->misc_opts >> 4 & 1;
		break;
	case SO_PREFER_BUSY_POLL:
		*v = sk->misc_opts >> 5 & 1;
		break;
	case SO_RCVMARK:
		*v = sk->misc_opts >> 6 & 1;
		break;
	case SO_RCVPRIORITY:
		*v = sk->misc_opts >> 7 & 1;
		break;
	default:
		return false;
	}
	return true;
}

int sock_opt_get(struct sock *sk, int name, void *val, size_t *len)
{
	uint32_t timestamping[2] = {sk->timestamping, 0};
	struct sock_txtime txtime = {.clockid = sk->txtime_clock, .flags = sk->txtime_flags};
	int v;

	if ((name == SO_PASSCRED || name == SO_PASSSEC) && sk->family != AF_NETLINK)
		return -EOPNOTSUPP;
	if (get_int(sk, name, &v))
		return put_int(val, len, v);
	switch (name) {
	case SO_LINGER:
		return get_linger(sk, val, len);
	case SO_RCVTIMEO_OLD:
	case SO_RCVTIMEO_NEW:
		return get_timeout(val, len, sk->rcvtimeo);
	case SO_SNDTIMEO_OLD:
	case SO_SNDTIMEO_NEW:
		return get_timeout(val, len, sk->sndtimeo);
	case SO_TIMESTAMPING_OLD:
	case SO_TIMESTAMPING_NEW:
		if ((name == SO_TIMESTAMPING_NEW) != sk->ts_new)
			timestamping[0] = 0;
		return put(val, len, timestamping, sizeof(timestamping));
	case SO_BINDTODEVICE:
		return get_device(sk, val, len);
	case SO_GET_FILTER:
		return get_filter(sk, val, len);
	case SO_MEMINFO:
		return get_meminfo(sk, val, len);
	case SO_COOKIE:
		return get_cookie(val, len, sk->id, false);
	case SO_NETNS_COOKIE:
		return get_cookie(val, len, sk->net->ino, true);
	case SO_PEERCRED:
		return get_peercred(val, len);
	case SO_PEERNAME:
		return get_peername(sk, val, len);
	case SO_MAX_PACING_RATE:
		if (*len >= sizeof(sk->max_pacing))
			return put(val, len, &sk->max_pacing, sizeof(sk->max_pacing));
		return put_int(val, len, (int)(uint32_t)MIN(sk->max_pacing, (uint64_t)UINT32_MAX));
	case SO_TXTIME:
		return put(val, len, &txtime, sizeof(txtime));
	case SO_PEERGROUPS:
	case SO_PEERPIDFD:
		return -ENODATA;
	case SO_PEEK_OFF:
	case SO_TXREHASH:
	case SO_PASSPIDFD:
	case SO_PASSRIGHTS:
		return -EOPNOTSUPP;
	}
	return -ENOPROTOOPT;
}
