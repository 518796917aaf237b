/*
 * tcp_option: setsockopt and getsockopt at IPPROTO_TCP (tcp(7)), with the ranges and error numbers
 * of a kernel that has no MD5 signatures, authentication option or ULPs built in.
 *
 * TCP_REPAIR, and what needs it, is refused as to one without the privilege. TCP_ZEROCOPY_RECEIVE
 * maps pages of the receive queue into a program; there are none to map, which Linux tells by
 * EINVAL as well.
 */
#include <netinet/in.h>

#include "sock/sock_core.h"
#include "tcp/tcp_core.h"

/* Newer than the headers of some systems. */
#ifndef TCP_IS_MPTCP
#define TCP_IS_MPTCP 43
#endif

#define MAX_KEEPIDLE  32767
#define MAX_KEEPINTVL 32767
#define MAX_KEEPCNT   127
#define MAX_SYNCNT    127
#define MAX_LINGER2   120 /* s */
#define MAX_TX_DELAY  (1 << 28)
#define ULP_NAME_MAX  16

static bool in_state(const struct tcp_sock *tp, unsigned flags)
{
	return TCPF(tp->node.state) & flags;
}

static const struct tcp_net *settings(const struct tcp_sock *tp)
{
	return tcp_net(tp->in.sk.net);
}

/* ---- set ---- */

/* The retransmissions (1, 2, 4, ... up to 120 s) that take this many seconds; and the reverse. */
static uint8_t secs_to_retrans(int secs)
{
	int period = 1, timeout = 1;
	uint8_t n = 1;

	if (secs <= 0)
		return 0;
	for (; secs > period && n < 255; n++) {
		timeout = MIN(timeout << 1, 120);
		period += timeout;
	}
	return n;
}

static int retrans_to_secs(uint8_t n)
{
	int period = 0, timeout = 1;

	for (; n; n--) {
		period += timeout;
		timeout = MIN(timeout << 1, 120);
	}
	return period;
}

static bool outside(int val, int least, int most)
{
	return val < least || val > most;
}

static void set_keepidle(struct tcp_sock *tp, int val)
{
	uint64_t idle = tcp_now(tp) - MAX(tp->ack.lrcvtime, tp->rcv_tstamp);
	uint64_t due = (uint64_t)val * NSEC_PER_SEC;

	tp->keepalive_time = (uint32_t)val;
	if (tp->in.sk.keepalive && !in_state(tp, TCPF(TCP_CLOSE) | TCPF(TCP_LISTEN)))
		tcp_reset_keepalive_timer(tp, due > idle ? due - idle : 0);
}

static int set_timers(struct tcp_sock *tp, int name, int val)
{
	switch (name) {
	case TCP_KEEPIDLE:
		if (outside(val, 1, MAX_KEEPIDLE))
			return -EINVAL;
		set_keepidle(tp, val);
		return 0;
	case TCP_KEEPINTVL:
		if (outside(val, 1, MAX_KEEPINTVL))
			return -EINVAL;
		tp->keepalive_intvl = (uint32_t)val;
		return 0;
	case TCP_KEEPCNT:
		if (outside(val, 1, MAX_KEEPCNT))
			return -EINVAL;
		tp->keepalive_probes = (uint8_t)val;
		return 0;
	case TCP_SYNCNT:
		if (outside(val, 1, MAX_SYNCNT))
			return -EINVAL;
		tp->user_syn_retries = (uint8_t)val;
		return 0;
	case TCP_LINGER2:
		tp->linger2 = val < 0 ? -1 : MIN(val, MAX_LINGER2);
		return 0;
	case TCP_DEFER_ACCEPT:
		tp->defer_accept = secs_to_retrans(val);
		return 0;
	case TCP_USER_TIMEOUT:
		if (val < 0)
			return -EINVAL;
		tp->user_timeout = (uint32_t)val;
		return 0;
	default:
		return -ENOPROTOOPT;
	}
}

/* What was held back goes, whatever the window's and Nagle's rules say of a short segment. */
static void set_nodelay(struct tcp_sock *tp, bool on)
{
	if (!on) {
		tp->nonagle &= (uint8_t)~TCP_NAGLE_OFF;
		return;
	}
	tp->nonagle |= TCP_NAGLE_OFF | TCP_NAGLE_PUSH;
	tcp_push_pending(tp);
}

static void set_cork(struct tcp_sock *tp, bool on)
{
	if (on) {
		tp->nonagle |= TCP_NAGLE_CORK;
		return;
	}
	tp->nonagle &= (uint8_t)~TCP_NAGLE_CORK;
	if (tp->nonagle & TCP_NAGLE_OFF)
		tp->nonagle |= TCP_NAGLE_PUSH;
	tcp_push_pending(tp);
}

/* Bit 0 alone lasts; other values send what is owed and fall back. */
static void set_quickack(struct tcp_sock *tp, int val)
{
	uint8_t interactive = (uint8_t)settings(tp)->tcp_pingpong_thresh;

	tp->ack.pingpong = val ? 0 : interactive;
	if (!val || !in_state(tp, TCPF(TCP_ESTABLISHED) | TCPF(TCP_CLOSE_WAIT)) ||
	    !(tp->ack.pending & ICSK_ACK_SCHED))
		return;
	tp->ack.pending |= ICSK_ACK_PUSHED;
	tcp_cleanup_rbuf(tp, 1);
	if (!(val & 1))
		tp->ack.pingpong = interactive;
}

static int set_window_clamp(struct tcp_sock *tp, int val)
{
	uint32_t old = tp->window_clamp, usable;

	if (!val) {
		if (!in_state(tp, TCPF(TCP_CLOSE)))
			return -EINVAL;
		tp->window_clamp = 0;
		return 0;
	}
	tp->window_clamp = (uint32_t)MAX(val, SOCK_MIN_RCVBUF / 2);
	usable = MIN(tp->rcv_wnd, tp->window_clamp);
	if (tp->window_clamp < old)
		tp->rcv_ssthresh = MIN(tp->rcv_ssthresh, tp->window_clamp);
	else if (tp->window_clamp > old)
		tp->rcv_ssthresh = MAX(tp->rcv_ssthresh, usable);
	return 0;
}

static int set_sending(struct tcp_sock *tp, int name, int val)
{
	switch (name) {
	case TCP_MAXSEG:
		if (val && outside(val, TCP_MIN_MSS, MAX_TCP_WINDOW))
			return -EINVAL;
		tp->rx_opt.user_mss = (uint16_t)val;
		return 0;
	case TCP_NODELAY:
		set_nodelay(tp, val);
		return 0;
	case TCP_CORK:
		set_cork(tp, val);
		return 0;
	case TCP_THIN_LINEAR_TIMEOUTS:
		if (outside(val, 0, 1))
			return -EINVAL;
		tp->thin_lto = (uint8_t)val;
		return 0;
	case TCP_THIN_DUPACK: /* without effect since Linux 4.10 */
		return outside(val, 0, 1) ? -EINVAL : 0;
	case TCP_NOTSENT_LOWAT:
		tp->notsent_lowat = (uint32_t)val;
		tcp_write_space(tp);
		return 0;
	case TCP_TX_DELAY:
		if (outside(val, 0, MAX_TX_DELAY - 1))
			return -EINVAL;
		tp->tcp_tx_delay = (uint32_t)val;
		return 0;
	default:
		return -ENOPROTOOPT;
	}
}

static int set_receiving(struct tcp_sock *tp, int name, int val)
{
	switch (name) {
	case TCP_QUICKACK:
		set_quickack(tp, val);
		return 0;
	case TCP_WINDOW_CLAMP:
		return set_window_clamp(tp, val);
	case TCP_SAVE_SYN:
		if (outside(val, 0, 2))
			return -EINVAL;
		tp->save_syn = (uint8_t)val;
		return 0;
	case TCP_INQ:
		if (outside(val, 0, 1))
			return -EINVAL;
		tp->recvmsg_inq = (uint8_t)val;
		return 0;
	default:
		return -ENOPROTOOPT;
	}
}

static int set_fastopen(struct tcp_sock *tp, int name, int val)
{
	bool unborn = in_state(tp, TCPF(TCP_CLOSE) | TCPF(TCP_LISTEN));

	switch (name) {
	case TCP_FASTOPEN:
		if (val < 0 || !unborn)
			return -EINVAL;
		tcp_fastopen_key_init(tcp_net(tp->in.sk.net));
		tp->fo_qlen_max = MIN((uint32_t)val, (uint32_t)tp->in.sk.net->sock->somaxconn);
		return 0;
	case TCP_FASTOPEN_CONNECT:
		if (outside(val, 0, 1))
			return -EINVAL;
		if (!(settings(tp)->tcp_fastopen & 1))
			return -EOPNOTSUPP;
		if (!in_state(tp, TCPF(TCP_CLOSE)))
			return -EINVAL;
		tp->fastopen_connect = val;
		return 0;
	case TCP_FASTOPEN_NO_COOKIE:
		if (outside(val, 0, 1) || !unborn)
			return -EINVAL;
		tp->fastopen_no_cookie = val;
		return 0;
	default:
		return -ENOPROTOOPT;
	}
}

static int set_repair(struct tcp_sock *tp, int name)
{
	switch (name) {
	case TCP_REPAIR:
	case TCP_REPAIR_QUEUE:
	case TCP_REPAIR_WINDOW:
	case TCP_TIMESTAMP:
		return -EPERM;
	case TCP_QUEUE_SEQ:
		return in_state(tp, TCPF(TCP_CLOSE)) ? -EINVAL : -EPERM;
	case TCP_REPAIR_OPTIONS:
		return -EINVAL;
	default:
		return -ENOPROTOOPT;
	}
}

static int set_congestion(struct tcp_sock *tp, const void *val, size_t len)
{
	char name[CC_NAME_MAX] = "";
	const struct cc_ops *ops;

	memcpy(name, val, MIN(len, sizeof(name) - 1));
	if (tp->cc_dst_locked)
		return -EPERM;
	ops = cc_find(name);
	if (!ops)
		return -ENOENT;
	if (ops != tp->cc)
		cc_assign(tp, ops);
	tp->cc_setsockopt = true;
	return 0;
}

/* One key, or the one for new cookies and one that is still taken. */
static int set_fastopen_key(struct tcp_sock *tp, const void *val, size_t len)
{
	struct tcp_fastopen_ctx *ctx = tp->fastopen_ctx;

	if (len != sizeof(ctx->key[0]) && len != sizeof(ctx->key))
		return -EINVAL;
	if (!ctx)
		ctx = malloc(sizeof(*ctx));
	if (!ctx)
		return -ENOMEM;
	memcpy(ctx->key, val, len);
	ctx->n = (unsigned)(len / sizeof(ctx->key[0]));
	tp->fastopen_ctx = ctx;
	return 0;
}

static int set_int(struct tcp_sock *tp, int name, int val)
{
	int err = set_timers(tp, name, val);

	if (err == -ENOPROTOOPT)
		err = set_sending(tp, name, val);
	if (err == -ENOPROTOOPT)
		err = set_receiving(tp, name, val);
	if (err == -ENOPROTOOPT)
		err = set_fastopen(tp, name, val);
	return err == -ENOPROTOOPT ? set_repair(tp, name) : err;
}

int tcp_setsockopt(struct sock *sk, int level, int name, const void *val, size_t len)
{
	struct tcp_sock *tp = tcp_sk(sk);
	int v;

	if (level != IPPROTO_TCP)
		return ip_opts_set(sk, level, name, val, len);
	switch (name) {
	case TCP_CONGESTION:
		return len ? set_congestion(tp, val, len) : -EINVAL;
	case TCP_ULP:
		return len ? -ENOENT : -EINVAL;
	case TCP_FASTOPEN_KEY:
		return set_fastopen_key(tp, val, len);
	}
	if (len < sizeof(v))
		return -EINVAL;
	memcpy(&v, val, sizeof(v));
	return set_int(tp, name, v);
}

/* ---- set at SOL_SOCKET ---- */

static void set_rcvlowat(struct tcp_sock *tp)
{
	struct sock *sk = &tp->in.sk;
	bool locked = sk->buf_lock & 2;
	size_t cap = locked ? sk->rcvbuf : (size_t)settings(tp)->tcp_rmem[2];
	size_t space;

	sk->rcvlowat = MIN(sk->rcvlowat, (int)(cap >> 1));
	if (sk->wake)
		sk->wake(sk);
	/* the window must be able to bring in what is waited for */
	space = ((size_t)sk->rcvlowat << 8) / MAX(tp->scaling_ratio, 1u);
	if (locked || space <= sk->rcvbuf)
		return;
	WRITE_ONCE(sk->rcvbuf, space);
	if (tp->window_clamp && tp->window_clamp < (uint32_t)sk->rcvlowat)
		tp->window_clamp = (uint32_t)sk->rcvlowat;
}

static void set_max_pacing(struct tcp_sock *tp)
{
	tp->max_pacing_rate = tp->in.sk.max_pacing;
	tp->pacing_rate = MIN(tp->pacing_rate, tp->max_pacing_rate);
	if (tp->max_pacing_rate != UINT64_MAX)
		tp->pacing_needed = true;
}

void tcp_sock_option(struct sock *sk, int name)
{
	struct tcp_sock *tp = tcp_sk(sk);

	switch (name) {
	case SO_KEEPALIVE:
		tcp_set_keepalive(tp, sk->keepalive);
		break;
	case SO_RCVLOWAT:
		set_rcvlowat(tp);
		break;
	case SO_SNDBUF:
	case SO_SNDBUFFORCE:
		tcp_write_space(tp);
		break;
	case SO_MAX_PACING_RATE:
		set_max_pacing(tp);
		break;
	case SO_TIMESTAMPING_OLD:
	case SO_TIMESTAMPING_NEW:
		tcp_errq_opt_set(tp);
		break;
	}
}

/* ---- get ---- */

static int get_timers(const struct tcp_sock *tp, int name, int *v)
{
	const struct tcp_net *tn = settings(tp);

	switch (name) {
	case TCP_KEEPIDLE:
		*v = tp->keepalive_time ? (int)tp->keepalive_time : tn->tcp_keepalive_time;
		return 0;
	case TCP_KEEPINTVL:
		*v = tp->keepalive_intvl ? (int)tp->keepalive_intvl : tn->tcp_keepalive_intvl;
		return 0;
	case TCP_KEEPCNT:
		*v = tp->keepalive_probes ? tp->keepalive_probes : tn->tcp_keepalive_probes;
		return 0;
	case TCP_SYNCNT:
		*v = tp->user_syn_retries ? tp->user_syn_retries : tn->tcp_syn_retries;
		return 0;
	case TCP_LINGER2:
		*v = tp->linger2 ? tp->linger2 : tn->tcp_fin_timeout;
		return 0;
	case TCP_DEFER_ACCEPT:
		*v = retrans_to_secs(tp->defer_accept);
		return 0;
	case TCP_USER_TIMEOUT:
		*v = (int)tp->user_timeout;
		return 0;
	case TCP_TIMESTAMP:
		*v = (int)(tcp_time_stamp(tp) + tp->tsoffset);
		return 0;
	default:
		return -ENOPROTOOPT;
	}
}

static int get_mss(const struct tcp_sock *tp)
{
	if (tp->rx_opt.user_mss && in_state(tp, TCPF(TCP_CLOSE) | TCPF(TCP_LISTEN)))
		return tp->rx_opt.user_mss;
	return tp->mss_cache;
}

static int get_flags(const struct tcp_sock *tp, int name, int *v)
{
	switch (name) {
	case TCP_MAXSEG:
		*v = get_mss(tp);
		return 0;
	case TCP_NODELAY:
		*v = !!(tp->nonagle & TCP_NAGLE_OFF);
		return 0;
	case TCP_CORK:
		*v = !!(tp->nonagle & TCP_NAGLE_CORK);
		return 0;
	case TCP_WINDOW_CLAMP:
		*v = (int)tp->window_clamp;
		return 0;
	case TCP_QUICKACK:
		*v = tp->ack.pingpong < settings(tp)->tcp_pingpong_thresh;
		return 0;
	case TCP_THIN_LINEAR_TIMEOUTS:
		*v = tp->thin_lto;
		return 0;
	case TCP_FASTOPEN:
		*v = (int)tp->fo_qlen_max;
		return 0;
	case TCP_FASTOPEN_CONNECT:
		*v = tp->fastopen_connect;
		return 0;
	case TCP_FASTOPEN_NO_COOKIE:
		*v = tp->fastopen_no_cookie;
		return 0;
	case TCP_TX_DELAY:
		*v = (int)tp->tcp_tx_delay;
		return 0;
	case TCP_NOTSENT_LOWAT:
		*v = (int)tp->notsent_lowat;
		return 0;
	case TCP_INQ:
		*v = tp->recvmsg_inq;
		return 0;
	case TCP_SAVE_SYN:
		*v = tp->save_syn;
		return 0;
	case TCP_THIN_DUPACK:
	case TCP_REPAIR:
	case TCP_IS_MPTCP:
		*v = 0;
		return 0;
	case TCP_REPAIR_QUEUE:
	case TCP_REPAIR_WINDOW:
	case TCP_QUEUE_SEQ:
	case TCP_ZEROCOPY_RECEIVE:
		return -EINVAL;
	default:
		return -ENOPROTOOPT;
	}
}

/* Gives as much as there is room for. */
static int put(void *val, size_t *len, const void *from, size_t n)
{
	*len = MIN(*len, n);
	memcpy(val, from, *len);
	return 0;
}

static int get_congestion(const struct tcp_sock *tp, void *val, size_t *len)
{
	char name[CC_NAME_MAX] = "";

	memcpy(name, tp->cc->name, strlen(tp->cc->name));
	return put(val, len, name, sizeof(name));
}

static int get_cc_info(struct tcp_sock *tp, void *val, size_t *len)
{
	uint64_t info[8];
	int attr;
	size_t n = tp->cc->get_info ? tp->cc->get_info(tp, &attr, info, sizeof(info)) : 0;

	return put(val, len, info, n);
}

/* The namespace's are not told here. */
static int get_fastopen_key(const struct tcp_sock *tp, void *val, size_t *len)
{
	const struct tcp_fastopen_ctx *ctx = tp->fastopen_ctx;

	*len = ctx ? MIN(*len, ctx->n * sizeof(ctx->key[0])) : 0;
	if (*len)
		memcpy(val, ctx->key, *len);
	return 0;
}

/* Given once. */
static int get_saved_syn(struct tcp_sock *tp, void *val, size_t *len)
{
	if (!tp->saved_syn) {
		*len = 0;
		return 0;
	}
	if (*len < tp->saved_syn_len) {
		*len = tp->saved_syn_len;
		return -EINVAL;
	}
	put(val, len, tp->saved_syn, tp->saved_syn_len);
	free(tp->saved_syn);
	tp->saved_syn = NULL;
	tp->saved_syn_len = 0;
	return 0;
}

int tcp_getsockopt(struct sock *sk, int level, int name, void *val, size_t *len)
{
	struct tcp_sock *tp = tcp_sk(sk);
	union tcp_info_full info;
	int v, err;

	if (level != IPPROTO_TCP)
		return ip_opts_get(sk, level, name, val, len);
	switch (name) {
	case TCP_INFO:
		tcp_get_info(tp, &info);
		return put(val, len, &info, sizeof(info));
	case TCP_CC_INFO:
		return get_cc_info(tp, val, len);
	case TCP_CONGESTION:
		return get_congestion(tp, val, len);
	case TCP_ULP:
		*len = 0;
		return 0;
	case TCP_FASTOPEN_KEY:
		return get_fastopen_key(tp, val, len);
	case TCP_SAVED_SYN:
		return get_saved_syn(tp, val, len);
	}
	err = get_timers(tp, name, &v);
	if (err == -ENOPROTOOPT)
		err = get_flags(tp, name, &v);
	return err ? err : put(val, len, &v, sizeof(v));
}
