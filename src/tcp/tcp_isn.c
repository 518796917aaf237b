/*
 * tcp_isn: what a connection begins with: sequence number, time stamp offset, window.
 *
 * Sequence numbers follow RFC 6528: a clock of 64 ns a step, and a keyed hash of both ends on top,
 * so that who knows one connection's cannot tell another's. Time stamps (RFC 7323) are offset by a
 * hash of the pair of addresses alone, so that they go on from one connection to the next.
 */
#include "base/rand.h"
#include "tcp/tcp_table.h"

uint32_t tcp_ts_off(const struct net *net, uint32_t saddr, uint32_t daddr)
{
	const uint64_t v[2] = {TCP_SECRET_TS, (uint64_t)saddr << 32 | daddr};

	if (READ_ONCE(((struct tcp_net *)tcp_net(net))->tcp_timestamps) != 1)
		return 0;
	return (uint32_t)siphash24(v, sizeof(v), &net->weft->key);
}

uint32_t tcp_isn(struct worker *w, uint32_t saddr, uint32_t daddr, uint16_t sport, uint16_t dport,
		 uint32_t *ts_off)
{
	const uint64_t v[3] = {TCP_SECRET_ISN, (uint64_t)saddr << 32 | daddr,
			       (uint64_t)sport << 16 | dport};
	const uint64_t t[2] = {TCP_SECRET_TS, (uint64_t)saddr << 32 | daddr};

	if (ts_off)
		*ts_off = (uint32_t)siphash24(t, sizeof(t), &w->key);
	return (uint32_t)siphash24(v, sizeof(v), &w->key) +
	       (uint32_t)((w->now + (uint64_t)w->wall) >> 6);
}

void tcp_select_initial_window(const struct tcp_net *tn, int64_t space_, uint32_t mss,
			       uint32_t *rcv_wnd, uint32_t *window_clamp, bool wscale_ok,
			       uint8_t *rcv_wscale, uint32_t init_rcv_wnd, int rmem_max)
{
	uint32_t clamp = *window_clamp, space = space_ < 0 ? 0 : (uint32_t)space_;

	if (!clamp)
		clamp = (uint32_t)UINT16_MAX << TCP_MAX_WSCALE;
	space = MIN(clamp, space);
	/* whole segments, where there is room for one */
	if (space > mss)
		space -= space % mss;
	/* Some stacks take the field for signed. */
	*rcv_wnd = tn->tcp_workaround_signed_windows ? MIN(space, MAX_TCP_WINDOW) : space;
	if (init_rcv_wnd)
		*rcv_wnd = MIN(*rcv_wnd, init_rcv_wnd * mss);
	*rcv_wscale = 0;
	if (wscale_ok) {
		/* by the largest window that there may ever be */
		space = MAX(space, (uint32_t)tn->tcp_rmem[2]);
		space = MAX(space, (uint32_t)rmem_max);
		space = MIN(space, clamp);
		unsigned bits = space ? 32 - (unsigned)__builtin_clz(space) : 0;

		*rcv_wscale = bits > 16 ? (uint8_t)MIN(bits - 16, TCP_MAX_WSCALE) : 0;
	}
	*window_clamp = MIN((uint32_t)UINT16_MAX << *rcv_wscale, clamp);
}

void tcp_initialize_rcv_mss(struct tcp_sock *tp)
{
	uint32_t hint = MIN(tp->advmss, tp->mss_cache);

	hint = MIN(hint, tp->rcv_wnd / 2);
	hint = MIN(hint, TCP_MSS_DEFAULT);
	tp->ack.rcv_mss = (uint16_t)MAX(hint, TCP_MIN_MSS);
}

void tcp_init_sock(struct tcp_sock *tp)
{
	struct sock *sk = &tp->in.sk;
	const struct tcp_net *tn = tcp_net(sk->net);

	tp->w = sk->weft->worker[0];
	tp->node.net = sk->net;
	tp->node.state = TCP_CLOSE;
	tp->ss_state = SS_UNCONNECTED;
	CDS_INIT_LIST_HEAD(&tp->port_link);
	CDS_INIT_LIST_HEAD(&tp->accept_link);
	CDS_INIT_LIST_HEAD(&tp->tsorted);
	pktq_init(&tp->rcvq);
	tcp_timers_init(tp);
	tp->rto = TCP_TIMEOUT_INIT;
	tp->mdev_us = (uint32_t)(TCP_TIMEOUT_INIT / NSEC_PER_USEC);
	for (unsigned i = 0; i < ARRAY_SIZE(tp->rtt_min_us); i++) {
		tp->rtt_min_us[i] = UINT32_MAX;
		tp->rtt_min_at[i] = tcp_time_stamp(tp);
	}
	tp->ack.rcv_mss = TCP_MIN_MSS;
	tp->snd_cwnd = TCP_INIT_CWND;
	tp->app_limited = UINT32_MAX;
	tp->rate_app_limited = true;
	tp->snd_ssthresh = TCP_INF_SSTHRESH;
	tp->snd_cwnd_clamp = UINT32_MAX;
	tp->mss_cache = TCP_MSS_DEFAULT;
	tp->reordering = (uint32_t)tn->tcp_reordering;
	tp->cc = tn->cc;
	tp->rack.reo_wnd_steps = 1;
	tp->undo_retrans = -1;
	tp->pacing_rate = tp->max_pacing_rate = UINT64_MAX;
	tp->scaling_ratio = TCP_DEFAULT_SCALING_RATIO;
	sk->sndbuf = (size_t)tn->tcp_wmem[1];
	sk->rcvbuf = (size_t)tn->tcp_rmem[1];
}
