/*
 * tcp_mtup: finds the path's MTU without ICMP (RFC 4821): now and then a segment larger than the
 * mss goes out; if it arrives, the mss grows, if it alone is lost, the search narrows. A binary
 * search between search_low, which is known to work, and search_high. tcp_mtu_probing 1 begins with
 * it when segments vanish as in a black hole, 2 at once.
 */
#include "tcp/tcp_mtup.h"

#include "tcp/tcp_output.h"

#define PROBE_CWND 11u /* so that a lost probe still makes duplicates enough */

uint32_t tcp_mss_to_mtu(const struct tcp_sock *tp, uint32_t mss)
{
	return mss + tp->tcp_header_len + tp->ext_hdr_len + tp_af(tp)->header_len;
}

static uint32_t highest(const struct tcp_sock *tp)
{
	return tp->rx_opt.mss_clamp + 20u + tp_af(tp)->header_len;
}

void tcp_mtup_init(struct tcp_sock *tp)
{
	const struct tcp_net *tn = tcp_net(tp->in.sk.net);

	tp->mtup.enabled = tn->tcp_mtu_probing > 1;
	tp->mtup.search_high = highest(tp);
	tp->mtup.search_low = tcp_mss_to_mtu(tp, (uint32_t)tn->tcp_base_mss);
	tp->mtup.probe_size = 0;
	if (tp->mtup.enabled)
		tp->mtup.stamp = tcp_now(tp);
}

void tcp_mtup_black_hole(struct tcp_sock *tp)
{
	const struct tcp_net *tn = tcp_net(tp->in.sk.net);

	if (!tn->tcp_mtu_probing)
		return;
	if (!tp->mtup.enabled) {
		tp->mtup.enabled = true;
		tp->mtup.stamp = tcp_now(tp);
	} else {
		uint32_t mss = tcp_mtu_to_mss(tp, tp->mtup.search_low) >> 1;

		mss = MIN(mss, (uint32_t)tn->tcp_base_mss);
		mss = MAX(mss, (uint32_t)tn->tcp_mtu_probe_floor);
		mss = MAX(mss, (uint32_t)tn->tcp_min_snd_mss);
		tp->mtup.search_low = tcp_mss_to_mtu(tp, mss);
	}
	tcp_sync_mss(tp, tp->pmtu_cookie);
}

/* The path may have become wider since the search ended. */
static void check_reprobe(struct tcp_sock *tp)
{
	const struct tcp_net *tn = tcp_net(tp->in.sk.net);
	uint64_t every = (uint64_t)tn->tcp_probe_interval * NSEC_PER_SEC;

	if (tcp_now(tp) - tp->mtup.stamp < every)
		return;
	tp->mtup.probe_size = 0;
	tp->mtup.search_high = highest(tp);
	tp->mtup.search_low = tcp_mss_to_mtu(tp, tcp_current_mss(tp));
	tp->mtup.stamp = tcp_now(tp);
}

/* May a probe of size bytes of payload go now? 1, 0: soon, so nothing else should; -1: no. */
static int may_probe(struct tcp_sock *tp, uint32_t size)
{
	uint32_t needed = size + (tp->reordering + 1) * tp->mss_cache;
	uint32_t in_flight = tcp_packets_in_flight(tp);

	if (tp->write_seq - tp->snd_nxt < needed || tp->snd_wnd < needed)
		return -1;
	if (after(tp->snd_nxt + needed, tcp_wnd_end(tp)))
		return 0;
	if (in_flight + 2 > tp->snd_cwnd)
		return in_flight ? 0 : -1;
	return segs_at(&tp->sndq, tp->n_rtx)->p->total >= size ? 1 : -1;
}

int tcp_mtup_probe(struct tcp_sock *tp)
{
	const struct tcp_net *tn = tcp_net(tp->in.sk.net);
	struct tcp_seg *s;

	if (likely(!tp->mtup.enabled) || tp->mtup.probe_size || tp->ca_state != TCP_CA_Open ||
	    tp->snd_cwnd < PROBE_CWND || tp->rx_opt.num_sacks || tp->rx_opt.dsack)
		return -1;
	uint32_t mss = tcp_current_mss(tp), high = tp->mtup.search_high, low = tp->mtup.search_low;
	uint32_t size = tcp_mtu_to_mss(tp, (high + low) >> 1);

	if (size > tcp_mtu_to_mss(tp, high) || high - low < (uint32_t)tn->tcp_probe_threshold) {
		check_reprobe(tp);
		return -1;
	}
	int may = may_probe(tp, size);

	if (may <= 0)
		return may;
	s = segs_at(&tp->sndq, tp->n_rtx);
	if (s->p->total > size && tcp_split_seg(tp, tp->n_rtx, size, mss))
		return -1;
	tcp_seg_count(s, size);
	if (tcp_transmit_seg(tp, s))
		return -1;
	tp->snd_cwnd--; /* it counts for two */
	tcp_new_data_sent(tp, s);
	tp->mtup.probe_size = tcp_mss_to_mtu(tp, s->p->total);
	tp->mtup.seq_start = s->seq;
	tp->mtup.seq_end = s->end_seq;
	return 1;
}

void tcp_mtup_acked(struct tcp_sock *tp)
{
	if (likely(!tp->mtup.probe_size) || after(tp->mtup.seq_end, tp->snd_una))
		return;
	/* as many bytes in flight as before */
	uint64_t cwnd =
		(uint64_t)tp->snd_cwnd * tcp_mss_to_mtu(tp, tp->mss_cache) / tp->mtup.probe_size;

	tp->snd_cwnd = (uint32_t)MAX(cwnd, 1ULL);
	tp->snd_cwnd_cnt = 0;
	tp->snd_cwnd_stamp = tcp_now(tp);
	tp->snd_ssthresh = tcp_current_ssthresh(tp);
	tp->mtup.search_low = tp->mtup.probe_size;
	tp->mtup.probe_size = 0;
	tcp_sync_mss(tp, tp->pmtu_cookie);
	tcp_mib(tp)[MIB_TcpExt_TCPMTUPSuccess]++;
}

bool tcp_mtup_lost(struct tcp_sock *tp)
{
	if (likely(!tp->mtup.probe_size) || tp->ca_state >= TCP_CA_CWR ||
	    tp->snd_una != tp->mtup.seq_start)
		return false;
	tp->mtup.search_high = tp->mtup.probe_size - 1;
	tp->mtup.probe_size = 0;
	tcp_mib(tp)[MIB_TcpExt_TCPMTUPFail]++;
	tp->snd_cwnd++;
	tcp_simple_retransmit(tp);
	return true;
}
