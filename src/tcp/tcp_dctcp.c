/*
 * tcp_dctcp: Data Center TCP (RFC 8257).
 *
 * The receiver echoes each packet's CE mark exactly; the sender estimates the share alpha of marked
 * packets once a round, with gain 1/16, and cuts the window by alpha/2 instead of by half. Loss is
 * answered as Reno does. Both ends must have agreed on ECN: else the connection falls back to Reno,
 * under a name that says so.
 */
#include <linux/inet_diag.h>

#include "tcp/tcp_core.h"

#define MAX_ALPHA 1024u
#define GAIN_BITS 4

struct dctcp {
	uint32_t old_delivered, old_delivered_ce; /* at the start of the round */
	uint32_t prior_rcv_nxt;
	uint32_t alpha;	   /* of MAX_ALPHA */
	uint32_t next_seq; /* ends the round */
	uint32_t loss_cwnd;
	bool ce; /* the last packet in was marked */
};
static_assert(sizeof(struct dctcp) <= CC_PRIV, "fits");

static struct dctcp *priv(struct tcp_sock *tp)
{
	return (struct dctcp *)(void *)tp->cc_priv;
}

static void start_round(struct tcp_sock *tp)
{
	struct dctcp *ca = priv(tp);

	ca->next_seq = tp->snd_nxt;
	ca->old_delivered = tp->delivered;
	ca->old_delivered_ce = tp->delivered_ce;
}

static void dctcp_init(struct tcp_sock *tp)
{
	if (!(tp->ecn_flags & TCP_ECN_OK)) {
		tp->cc = &cc_dctcp_reno;
		tp->in.tos = (uint8_t)(tp->in.tos & ~3u);
		return;
	}
	*priv(tp) = (struct dctcp){.prior_rcv_nxt = tp->rcv_nxt, .alpha = MAX_ALPHA};
	start_round(tp);
}

static uint32_t dctcp_ssthresh(struct tcp_sock *tp)
{
	struct dctcp *ca = priv(tp);

	ca->loss_cwnd = tp->snd_cwnd;
	return MAX(tp->snd_cwnd - ((tp->snd_cwnd * ca->alpha) >> 11), 2u);
}

static void dctcp_in_ack(struct tcp_sock *tp, uint32_t flags)
{
	struct dctcp *ca = priv(tp);
	uint32_t marked = tp->delivered_ce - ca->old_delivered_ce, decay;

	if (before(tp->snd_una, ca->next_seq))
		return;
	/* below 16 the shift is nothing: it decays to 0 at once */
	decay = ca->alpha >> GAIN_BITS;
	ca->alpha -= decay ? decay : ca->alpha;
	if (marked) {
		marked <<= 10 - GAIN_BITS;
		marked /= MAX(1u, tp->delivered - ca->old_delivered);
		ca->alpha = MIN(ca->alpha + marked, MAX_ALPHA);
	}
	start_round(tp);
}

static void react_to_loss(struct tcp_sock *tp)
{
	priv(tp)->loss_cwnd = tp->snd_cwnd;
	tp->snd_ssthresh = MAX(tp->snd_cwnd >> 1, 2u);
}

static void dctcp_set_state(struct tcp_sock *tp, enum tcp_ca_state now)
{
	if (now == TCP_CA_Recovery && tp->ca_state != TCP_CA_Recovery)
		react_to_loss(tp);
}

static void echo(struct tcp_sock *tp, bool ce)
{
	if (ce)
		tp->ecn_flags |= TCP_ECN_DEMAND_CWR;
	else
		tp->ecn_flags &= (uint8_t)~TCP_ECN_DEMAND_CWR;
}

/* The mark has changed: what a delayed ACK still owes is told with the old one (RFC 8257 3.2). */
static void mark_seen(struct tcp_sock *tp, bool ce)
{
	struct dctcp *ca = priv(tp);

	if (ca->ce != ce) {
		if (tp->ack.pending & ICSK_ACK_TIMER) {
			echo(tp, ca->ce);
			tcp_send_ack_at(tp, ca->prior_rcv_nxt);
		}
		tp->ack.pending |= ICSK_ACK_NOW;
	}
	ca->prior_rcv_nxt = tp->rcv_nxt;
	ca->ce = ce;
	echo(tp, ce);
}

static void dctcp_event(struct tcp_sock *tp, enum tcp_ca_event ev)
{
	switch (ev) {
	case CA_EVENT_ECN_IS_CE:
	case CA_EVENT_ECN_NO_CE:
		mark_seen(tp, ev == CA_EVENT_ECN_IS_CE);
		break;
	case CA_EVENT_LOSS:
		react_to_loss(tp);
		break;
	default:
		break;
	}
}

static uint32_t dctcp_undo_cwnd(struct tcp_sock *tp)
{
	return MAX(tp->snd_cwnd, priv(tp)->loss_cwnd);
}

static size_t dctcp_get_info(struct tcp_sock *tp, int *attr, void *info, size_t room)
{
	const struct dctcp *ca = priv(tp);
	struct tcp_dctcp_info i = {0};

	if (tp->cc == &cc_dctcp) {
		i.dctcp_enabled = 1;
		i.dctcp_ce_state = ca->ce;
		i.dctcp_alpha = ca->alpha;
		i.dctcp_ab_ecn = tp->mss_cache * (tp->delivered_ce - ca->old_delivered_ce);
		i.dctcp_ab_tot = tp->mss_cache * (tp->delivered - ca->old_delivered);
	}
	*attr = INET_DIAG_DCTCPINFO;
	room = MIN(room, sizeof(i));
	memcpy(info, &i, room);
	return room;
}

const struct cc_ops cc_dctcp = {
	.name = "dctcp",
	.needs_ecn = true,
	.init = dctcp_init,
	.in_ack_event = dctcp_in_ack,
	.cwnd_event = dctcp_event,
	.ssthresh = dctcp_ssthresh,
	.cong_avoid = reno_cong_avoid,
	.undo_cwnd = dctcp_undo_cwnd,
	.set_state = dctcp_set_state,
	.get_info = dctcp_get_info,
};

/* What it falls back to; chosen by no name. */
const struct cc_ops cc_dctcp_reno = {
	.name = "dctcp-reno",
	.ssthresh = reno_ssthresh,
	.cong_avoid = reno_cong_avoid,
	.undo_cwnd = reno_undo_cwnd,
	.get_info = dctcp_get_info,
};
