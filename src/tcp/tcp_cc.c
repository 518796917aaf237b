/*
 * tcp_cc: the table of congestion control's algorithms, what a connection does with its own, and
 * Reno (RFC 5681), of which the others use parts.
 *
 * Growth is counted in acknowledged packets, not in ACKs (RFC 3465), and only while the window is
 * what limits the connection (RFC 7661): tcp_is_cwnd_limited().
 */
#include "tcp/tcp_core.h"

/* Who may be chosen by name. A new algorithm is a row here. */
static const struct cc_ops *const table[] = {&cc_reno, &cc_cubic, &cc_bbr, &cc_dctcp};
static_assert(ARRAY_SIZE(table) <= 32, "rows are bits of tcp_core.cc_unrestricted");

const struct cc_ops *cc_at(unsigned i)
{
	return i < ARRAY_SIZE(table) ? table[i] : NULL;
}

const struct cc_ops *cc_find(const char *name)
{
	for (unsigned i = 0; i < ARRAY_SIZE(table); i++)
		if (!strcmp(table[i]->name, name))
			return table[i];
	return NULL;
}

bool cc_allowed(const struct net *net, const struct cc_ops *ops)
{
	for (unsigned i = 0; i < ARRAY_SIZE(table); i++)
		if (table[i] == ops)
			return READ_ONCE(net->weft->tcp->cc_unrestricted) >> i & 1;
	return false;
}

/* Segments of an algorithm that needs ECN carry ECT(0), from the SYN on. */
static void mark_ect(struct tcp_sock *tp)
{
	tp->in.tos = (uint8_t)(tp->in.tos & ~3u);
	if (tp->cc->needs_ecn)
		tp->in.tos |= 2;
}

void cc_assign(struct tcp_sock *tp, const struct cc_ops *ops)
{
	if (tp->cc)
		cc_release(tp);
	tp->cc = ops;
	mark_ect(tp);
	if (!(TCPF(tp->node.state) & (TCPF(TCP_CLOSE) | TCPF(TCP_LISTEN))))
		cc_init(tp);
}

void cc_init(struct tcp_sock *tp)
{
	tp->prior_ssthresh = 0;
	mark_ect(tp);
	if (tp->cc->init)
		tp->cc->init(tp);
	tp->cc_initialized = true;
}

void cc_release(struct tcp_sock *tp)
{
	if (tp->cc->release)
		tp->cc->release(tp);
	memset(tp->cc_priv, 0, sizeof(tp->cc_priv));
	tp->cc_initialized = false;
}

void cc_set_state(struct tcp_sock *tp, enum tcp_ca_state now)
{
	if (tp->cc->set_state)
		tp->cc->set_state(tp, now);
	tp->ca_state = (uint8_t)now;
}

void cc_event(struct tcp_sock *tp, enum tcp_ca_event ev)
{
	if (tp->cc->cwnd_event)
		tp->cc->cwnd_event(tp, ev);
}

/* ---- Reno ---- */

uint32_t tcp_slow_start(struct tcp_sock *tp, uint32_t acked)
{
	uint32_t cwnd = MIN(tp->snd_cwnd + acked, tp->snd_ssthresh);

	acked -= cwnd - tp->snd_cwnd;
	tp->snd_cwnd = MIN(cwnd, tp->snd_cwnd_clamp);
	return acked;
}

void tcp_cong_avoid_ai(struct tcp_sock *tp, uint32_t w, uint32_t acked)
{
	/* credit from a time when w was larger: it must not turn into a burst now */
	if (tp->snd_cwnd_cnt >= w) {
		tp->snd_cwnd_cnt = 0;
		tp->snd_cwnd++;
	}
	tp->snd_cwnd_cnt += acked;
	if (tp->snd_cwnd_cnt >= w) {
		uint32_t n = tp->snd_cwnd_cnt / w;

		tp->snd_cwnd_cnt -= n * w;
		tp->snd_cwnd += n;
	}
	tp->snd_cwnd = MIN(tp->snd_cwnd, tp->snd_cwnd_clamp);
}

void reno_cong_avoid(struct tcp_sock *tp, uint32_t ack, uint32_t acked)
{
	if (!tcp_is_cwnd_limited(tp))
		return;
	if (tcp_in_slow_start(tp)) {
		acked = tcp_slow_start(tp, acked);
		if (!acked)
			return;
	}
	tcp_cong_avoid_ai(tp, tp->snd_cwnd, acked);
}

uint32_t reno_ssthresh(struct tcp_sock *tp)
{
	return MAX(tp->snd_cwnd >> 1, 2u);
}

uint32_t reno_undo_cwnd(struct tcp_sock *tp)
{
	return MAX(tp->snd_cwnd, tp->prior_cwnd);
}

const struct cc_ops cc_reno = {
	.name = "reno",
	.non_restricted = true,
	.ssthresh = reno_ssthresh,
	.cong_avoid = reno_cong_avoid,
	.undo_cwnd = reno_undo_cwnd,
};
