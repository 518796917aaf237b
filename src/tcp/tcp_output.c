/*
 * tcp_output: what of the send queue may go now, and in which sizes.
 *
 * The limits, in the order in which they are asked: pacing, the congestion window, the peer's
 * window, Nagle's rule as Minshall amended it (only one small segment unacknowledged), and waiting
 * a little for a larger GSO packet. The first n_rtx segments of the queue have been sent; the rest
 * waits. Splitting a segment never moves data but for what shares a buffer with the cut.
 */
#include "tcp/tcp_output.h"

#include "base/csum.h"
#include "tcp/tcp_mtup.h"

#define GSO_BYTES_MAX (65535u - 20 - 60) /* payload of the largest IPv4 packet */
#define PACING_SHIFT  10		 /* a GSO packet is at most the pacing rate's 1 ms */

/* ---- mss ---- */

uint32_t tcp_mtu_to_mss(const struct tcp_sock *tp, uint32_t pmtu)
{
	const struct tcp_net *tn = tcp_net(tp->in.sk.net);
	int64_t mss = (int64_t)pmtu - tp_af(tp)->header_len - 20;

	mss = MIN(mss, (int64_t)tp->rx_opt.mss_clamp);
	mss -= tp->ext_hdr_len;
	mss = MAX(mss, (int64_t)tn->tcp_min_snd_mss);
	return (uint32_t)(mss - (tp->tcp_header_len - 20));
}

/* Half of the largest window the peer ever offered: small windows would otherwise stall. */
static uint32_t bound_to_half_wnd(const struct tcp_sock *tp, uint32_t size)
{
	uint32_t cutoff = tp->max_window > TCP_MSS_DEFAULT ? tp->max_window >> 1 : tp->max_window;

	if (cutoff && size > cutoff)
		return MAX(cutoff, 68u - tp->tcp_header_len);
	return size;
}

uint16_t tcp_sync_mss(struct tcp_sock *tp, uint32_t pmtu)
{
	tp->mtup.search_high = MIN(tp->mtup.search_high, pmtu);
	uint32_t mss = bound_to_half_wnd(tp, tcp_mtu_to_mss(tp, pmtu));

	if (unlikely(tp->mtup.enabled))
		mss = MIN(mss, tcp_mtu_to_mss(tp, tp->mtup.search_low));

	tp->pmtu_cookie = pmtu;
	tp->mss_cache = (uint16_t)mss;
	return tp->mss_cache;
}

uint16_t tcp_current_mss(struct tcp_sock *tp)
{
	unsigned hlen = 20 + tcp_established_size(tp);
	int mss = tp->mss_cache;
	struct route_result res;

	if (!tp_af(tp)->route(tp, &res)) {
		uint32_t mtu = res.mtu ? res.mtu : res.dev->mtu;

		if (mtu != tp->pmtu_cookie)
			mss = tcp_sync_mss(tp, mtu);
	}
	if (hlen != tp->tcp_header_len)
		mss -= (int)hlen - tp->tcp_header_len;
	return (uint16_t)MAX(mss, 1);
}

/* ---- segments ---- */

struct tcp_seg *tcp_seg_new(struct tcp_sock *tp, struct pkt *p, uint8_t flags)
{
	struct tcp_seg *s = tcp_seg_of(p);

	*s = (struct tcp_seg){.p = p, .seq = tp->write_seq, .flags = flags, .n = 1};
	s->end_seq = s->seq + p->total + !!(flags & (TCPHDR_SYN | TCPHDR_FIN));
	s->truesize = tcp_seg_truesize(p->total);
	CDS_INIT_LIST_HEAD(&s->tsorted);
	return s;
}

void tcp_seg_count(struct tcp_seg *s, uint32_t mss)
{
	uint32_t len = s->p->total;

	s->n = (uint16_t)(len <= mss ? 1 : (len + mss - 1) / mss);
	s->size = (uint16_t)(len <= mss ? len : mss);
}

int tcp_queue_seg(struct tcp_sock *tp, struct tcp_seg *s)
{
	int err = segs_insert(&tp->sndq, tp->sndq.n, s);

	if (err)
		return err;
	tp->wmem += s->truesize;
	tp->write_seq = s->end_seq;
	return 0;
}

void tcp_free_seg(struct tcp_sock *tp, struct tcp_seg *s)
{
	cds_list_del(&s->tsorted);
	tp->wmem -= s->truesize;
	pkt_free(&tp->w->cache, s->p);
}

void tcp_sndq_purge(struct tcp_sock *tp)
{
	for (unsigned i = 0; i < tp->sndq.n; i++)
		tcp_free_seg(tp, segs_at(&tp->sndq, i));
	segs_reset(&tp->sndq);
	tcp_errq_purge(tp);
	CDS_INIT_LIST_HEAD(&tp->tsorted);
	tp->n_rtx = 0;
	tp->packets_out = 0;
	tp->backoff = 0;
	tcp_clear_hints(tp);
}

/* The packet from byte `at` on, as one of its own whose headroom is free; p keeps the front. */
static struct pkt *cut_pkt(struct pool_cache *c, struct pkt *p, uint32_t at)
{
	struct pkt *s = p, *rest = pkt_alloc(c);
	uint32_t left = at;

	if (!rest)
		return NULL;
	while (left > s->len) {
		left -= s->len;
		s = s->seg;
	}
	uint32_t over = s->len - left; /* bytes behind the cut in its buffer: copied */

	memcpy(pkt_data(rest), pkt_data(s) + left, over);
	rest->len = (uint16_t)over;
	rest->seg = s->seg;
	rest->total = p->total - at;
	s->seg = NULL;
	s->len = (uint16_t)left;
	p->total = at;
	return rest;
}

static void adjust_pcount(struct tcp_sock *tp, const struct tcp_seg *s, int less)
{
	if (!less)
		return;
	tp->packets_out -= (uint32_t)less;
	if (s->sacked & TCPCB_SACKED_ACKED)
		tp->sacked_out -= (uint32_t)less;
	if (s->sacked & TCPCB_SACKED_RETRANS)
		tp->retrans_out -= (uint32_t)less;
	if (s->sacked & TCPCB_LOST)
		tp->lost_out -= (uint32_t)less;
	if (!tcp_is_sack(tp) && tp->sacked_out)
		tp->sacked_out -= MIN(tp->sacked_out, (uint32_t)MAX(less, 0));
}

void tcp_seg_recount(struct tcp_sock *tp, struct tcp_seg *s, uint32_t mss)
{
	int was = s->n;

	tcp_seg_count(s, mss);
	adjust_pcount(tp, s, was - s->n);
}

/* Takes n bytes off the front; the first packet stays, if empty, for the record in it. */
static void pull_pkt(struct pool_cache *c, struct pkt *p, uint32_t n)
{
	uint32_t left = n, k = MIN(n, (uint32_t)p->len);

	p->off = (uint16_t)(p->off + k);
	p->len = (uint16_t)(p->len - k);
	for (left -= k; left; left -= k) {
		struct pkt *s = p->seg;

		k = MIN(left, (uint32_t)s->len);
		s->off = (uint16_t)(s->off + k);
		s->len = (uint16_t)(s->len - k);
		if (s->len)
			continue;
		p->seg = s->seg;
		s->seg = NULL;
		pkt_free(c, s);
	}
	p->total -= n;
}

void tcp_trim_seg(struct tcp_sock *tp, struct tcp_seg *s, uint32_t len)
{
	pull_pkt(&tp->w->cache, s->p, len);
	s->seq += len;
	tp->wmem -= s->truesize;
	s->truesize = tcp_seg_truesize(s->p->total);
	tp->wmem += s->truesize;
}

int tcp_split_seg(struct tcp_sock *tp, unsigned i, uint32_t len, uint32_t mss)
{
	struct tcp_seg *s = segs_at(&tp->sndq, i), *t;
	struct pkt *p;
	int was = s->n;

	/* a window may end just in front of the FIN: that is a place to cut, too */
	if (len > s->p->total || (len == s->p->total && !(s->flags & TCPHDR_FIN)))
		return -EINVAL;
	p = cut_pkt(&tp->w->cache, s->p, len);
	if (!p)
		return -ENOBUFS;
	t = tcp_seg_of(p);
	*t = *s;
	t->p = p;
	t->seq = s->seq + len;
	s->end_seq = t->seq;
	s->flags &= ~(TCPHDR_FIN | TCPHDR_PSH);
	s->eor = false;
	t->truesize = tcp_seg_truesize(p->total);
	tp->wmem -= s->truesize;
	s->truesize = tcp_seg_truesize(s->p->total);
	tp->wmem += s->truesize + t->truesize;
	CDS_INIT_LIST_HEAD(&t->tsorted);
	tcp_seg_count(s, mss);
	tcp_seg_count(t, mss);
	if (segs_insert(&tp->sndq, i + 1, t)) {
		/* cannot be undone without memory either: the tail is lost to the peer */
		tp->wmem -= t->truesize;
		pkt_free(&tp->w->cache, p);
		return -ENOMEM;
	}
	if (i < tp->n_rtx) {
		tp->n_rtx++;
		if (!cds_list_empty(&s->tsorted))
			cds_list_add(&t->tsorted, &s->tsorted);
		adjust_pcount(tp, s, was - s->n - t->n);
	}
	return 0;
}

/* ---- limits ---- */

/* Does Nagle's rule hold back a segment that is not full? */
static bool nagle_holds(const struct tcp_sock *tp, bool partial, int nonagle)
{
	bool small_out = after(tp->snd_sml, tp->snd_una) && !after(tp->snd_sml, tp->snd_nxt);

	return partial &&
	       ((nonagle & TCP_NAGLE_CORK) || (!nonagle && tp->packets_out && small_out));
}

static bool nagle_test(const struct tcp_sock *tp, const struct tcp_seg *s, uint32_t mss,
		       int nonagle)
{
	if (nonagle & TCP_NAGLE_PUSH || tcp_urg_mode(tp) || s->flags & TCPHDR_FIN)
		return true;
	return !nagle_holds(tp, s->p->total < mss, nonagle);
}

/* How many segments the congestion window lets go; at most half of it at once. */
static uint32_t cwnd_test(const struct tcp_sock *tp, const struct tcp_seg *s)
{
	uint32_t in_flight = tcp_packets_in_flight(tp);

	if (s->flags & TCPHDR_FIN && s->n == 1)
		return 1;
	if (in_flight >= tp->snd_cwnd)
		return 0;
	return MIN(MAX(tp->snd_cwnd >> 1, 1u), tp->snd_cwnd - in_flight);
}

static bool wnd_test(const struct tcp_sock *tp, const struct tcp_seg *s, uint32_t mss)
{
	uint32_t end = s->p->total > mss ? s->seq + mss : s->end_seq;

	return !after(end, tcp_wnd_end(tp));
}

static bool pacing_holds(struct tcp_sock *tp)
{
	if (likely(!tp->pacing_needed) || tp->pacing_next <= tcp_now(tp))
		return false;
	timer_set(&tp->w->wheel, &tp->pace_timer, tp->pacing_next);
	return true;
}

uint32_t tcp_tso_segs(struct tcp_sock *tp, uint32_t mss)
{
	const struct tcp_net *tn = tcp_net(tp->in.sk.net);
	uint32_t least =
		tp->cc->min_tso_segs ? tp->cc->min_tso_segs(tp) : (uint32_t)tn->tcp_min_tso_segs;
	uint64_t bytes = tp->pacing_rate >> PACING_SHIFT;
	uint32_t r = tcp_min_rtt_us(tp) >> tn->tcp_tso_rtt_log;

	if (r < 32)
		bytes += GSO_BYTES_MAX >> r;
	bytes = MIN(bytes, (uint64_t)GSO_BYTES_MAX);
	uint32_t segs = MAX((uint32_t)bytes / mss, least);

	return MAX(MIN(segs, GSO_BYTES_MAX / mss), 1u);
}

bool tcp_is_cwnd_limited(const struct tcp_sock *tp)
{
	if (tp->is_cwnd_limited)
		return true;
	return tcp_in_slow_start(tp) && tp->snd_cwnd < 2 * tp->max_packets_out;
}

uint32_t tcp_current_ssthresh(const struct tcp_sock *tp)
{
	if (tp->ca_state == TCP_CA_CWR || tp->ca_state == TCP_CA_Recovery)
		return tp->snd_ssthresh;
	return MAX(tp->snd_ssthresh, (tp->snd_cwnd >> 1) + (tp->snd_cwnd >> 2));
}

/* RFC 2861: the window is what was used. */
static void cwnd_application_limited(struct tcp_sock *tp)
{
	if (tp->ca_state == TCP_CA_Open && !tp->write_space_wanted) {
		uint32_t used = MAX(tp->snd_cwnd_used, tcp_init_cwnd(tp, NULL));

		if (used < tp->snd_cwnd) {
			tp->snd_ssthresh = tcp_current_ssthresh(tp);
			tp->snd_cwnd = (tp->snd_cwnd + used) >> 1;
		}
		tp->snd_cwnd_used = 0;
	}
	tp->snd_cwnd_stamp = tcp_now(tp);
}

static void cwnd_validate(struct tcp_sock *tp, bool limited)
{
	const struct tcp_net *tn = tcp_net(tp->in.sk.net);

	if (!before(tp->snd_una, tp->cwnd_usage_seq) || limited ||
	    (!tp->is_cwnd_limited && tp->packets_out > tp->max_packets_out)) {
		tp->is_cwnd_limited = limited;
		tp->max_packets_out = tp->packets_out;
		tp->cwnd_usage_seq = tp->snd_nxt;
	}
	if (tcp_is_cwnd_limited(tp)) {
		tp->snd_cwnd_used = 0;
		tp->snd_cwnd_stamp = tcp_now(tp);
		return;
	}
	tp->snd_cwnd_used = MAX(tp->snd_cwnd_used, tp->packets_out);
	if (tn->tcp_slow_start_after_idle && tcp_now(tp) - tp->snd_cwnd_stamp >= tp->rto &&
	    !tp->cc->cong_control)
		cwnd_application_limited(tp);
	if (tp->n_rtx == tp->sndq.n && tp->write_space_wanted)
		tcp_chrono_start(tp, TCP_CHRONO_SNDBUF_LIMITED);
}

void tcp_cwnd_restart_if_idle(struct tcp_sock *tp)
{
	const struct tcp_net *tn = tcp_net(tp->in.sk.net);
	int64_t idle = (int64_t)(tcp_now(tp) - tp->lsndtime);

	if (!tn->tcp_slow_start_after_idle || tp->packets_out || tp->cc->cong_control ||
	    idle <= (int64_t)tp->rto)
		return;
	uint32_t cwnd = tp->snd_cwnd, restart = MIN(tcp_init_cwnd(tp, NULL), cwnd);

	cc_event(tp, CA_EVENT_CWND_RESTART);
	tp->snd_ssthresh = tcp_current_ssthresh(tp);
	while ((idle -= (int64_t)tp->rto) > 0 && cwnd > restart)
		cwnd >>= 1;
	tp->snd_cwnd = MAX(cwnd, restart);
	tp->snd_cwnd_stamp = tcp_now(tp);
	tp->snd_cwnd_used = 0;
}

/* ---- waiting for more ---- */

struct xmit {
	uint32_t mss, max_segs;
	int nonagle;
	bool cwnd_limited, rwnd_limited;
};

/* Is an ACK so near that waiting for it makes a larger packet? */
static bool tso_defers(struct tcp_sock *tp, struct tcp_seg *s, struct xmit *x)
{
	const struct tcp_net *tn = tcp_net(tp->in.sk.net);
	uint32_t send_win = tcp_wnd_end(tp) - s->seq, len = s->p->total;
	uint32_t cong_win = (tp->snd_cwnd - tcp_packets_in_flight(tp)) * tp->mss_cache;
	uint32_t limit = MIN(send_win, cong_win);

	if (tp->ca_state >= TCP_CA_Recovery || tcp_now(tp) - tp->lsndtime > NSEC_PER_MSEC ||
	    limit >= x->max_segs * tp->mss_cache || (s != segs_last(&tp->sndq) && limit >= len) ||
	    !tp->n_rtx)
		return false;
	if (tn->tcp_tso_win_divisor) {
		uint32_t chunk = MIN(tp->snd_wnd, tp->snd_cwnd * tp->mss_cache);

		if (limit >= chunk / (uint32_t)tn->tcp_tso_win_divisor)
			return false;
	} else if (limit > 3u * tp->mss_cache) {
		return false;
	}
	uint64_t since = tcp_now(tp) - segs_at(&tp->sndq, 0)->sent;

	if (since < NSEC_PER_USEC * (tp->srtt_us >> 4))
		return false;
	if (cong_win < send_win) {
		if (cong_win <= len) {
			x->cwnd_limited = true;
			return true;
		}
	} else if (send_win <= len) {
		x->rwnd_limited = true;
		return true;
	}
	return !(s->flags & TCPHDR_FIN) && !s->eor;
}

/* How many bytes of a segment of several mss go in one packet. */
static uint32_t split_point(const struct tcp_sock *tp, const struct tcp_seg *s,
			    const struct xmit *x, uint32_t quota)
{
	uint32_t window = tcp_wnd_end(tp) - s->seq;
	uint32_t max_len = x->mss * MIN(quota, x->max_segs);

	if (max_len <= window && s != segs_last(&tp->sndq))
		return max_len;
	uint32_t needed = MIN(s->p->total, window);

	if (max_len <= needed)
		return max_len;
	if (nagle_holds(tp, needed % x->mss, x->nonagle))
		return needed - needed % x->mss;
	return needed;
}

/* ---- sending ---- */

void tcp_new_data_sent(struct tcp_sock *tp, struct tcp_seg *s)
{
	uint32_t prior = tp->packets_out;

	tp->snd_nxt = s->end_seq;
	tp->n_rtx++;
	tp->packets_out += s->n;
	if (!prior || tp->icsk_pending == ICSK_TIME_LOSS_PROBE)
		tcp_rearm_rto(tp);
	tcp_mib(tp)[MIB_TcpExt_TCPOrigDataSent] += s->n;
}

/* Sends the head of what waits if all limits allow. False: no more now. */
static bool xmit_one(struct tcp_sock *tp, struct xmit *x, int push_one)
{
	struct tcp_seg *s = segs_at(&tp->sndq, tp->n_rtx);
	uint32_t limit = x->mss, quota;

	if (pacing_holds(tp))
		return false;
	tcp_seg_count(s, x->mss);
	quota = cwnd_test(tp, s);
	if (!quota) {
		if (push_one != 2)
			return false;
		quota = 1; /* a loss probe goes in any case */
	}
	if (!wnd_test(tp, s, x->mss)) {
		x->rwnd_limited = true;
		return false;
	}
	if (s->n == 1) {
		int nonagle = s == segs_last(&tp->sndq) ? x->nonagle : TCP_NAGLE_PUSH;

		if (!nagle_test(tp, s, x->mss, nonagle))
			return false;
	} else {
		if (!push_one && tso_defers(tp, s, x))
			return false;
		if (!tcp_urg_mode(tp))
			limit = split_point(tp, s, x, quota);
	}
	if (s->p->total > limit && tcp_split_seg(tp, tp->n_rtx, limit, x->mss))
		return false;
	if (tcp_transmit_seg(tp, s) == -ENOBUFS && !tp->packets_out) {
		/* nothing is in flight that would bring us back here */
		timer_set(&tp->w->wheel, &tp->pace_timer, tcp_now(tp) + 2 * NSEC_PER_MSEC);
		return false;
	}
	tcp_new_data_sent(tp, s);
	if (s->p->total < (uint32_t)s->n * x->mss)
		tp->snd_sml = s->end_seq;
	return true;
}

bool tcp_write_xmit(struct tcp_sock *tp, uint32_t mss, int nonagle, int push_one)
{
	struct xmit x = {.mss = mss, .nonagle = nonagle};
	uint32_t sent = 0;

	if (tp->n_rtx == tp->sndq.n)
		return false;
	x.max_segs = tcp_tso_segs(tp, mss);
	if (!push_one) {
		int probed = tcp_mtup_probe(tp);

		if (!probed)
			return false;
		sent += probed > 0;
	}
	while (tp->n_rtx < tp->sndq.n) {
		const struct tcp_seg *s = segs_at(&tp->sndq, tp->n_rtx);

		if (!xmit_one(tp, &x, push_one))
			break;
		sent += s->n;
		if (push_one)
			break;
	}
	if (x.rwnd_limited)
		tcp_chrono_start(tp, TCP_CHRONO_RWND_LIMITED);
	else
		tcp_chrono_stop(tp, TCP_CHRONO_RWND_LIMITED);
	x.cwnd_limited |= tcp_packets_in_flight(tp) >= tp->snd_cwnd;
	if (sent || x.cwnd_limited)
		cwnd_validate(tp, x.cwnd_limited);
	if (sent) {
		if (tp->ca_state == TCP_CA_CWR || tp->ca_state == TCP_CA_Recovery)
			tp->prr_out += sent;
		if (push_one != 2)
			tcp_schedule_loss_probe(tp, false);
		return false;
	}
	return !tp->packets_out && tp->n_rtx < tp->sndq.n;
}

void tcp_push(struct tcp_sock *tp, uint32_t mss, int nonagle)
{
	if (unlikely(tp->node.state == TCP_CLOSE))
		return;
	if (tcp_write_xmit(tp, mss, nonagle, 0) && !tp->icsk_pending)
		tcp_reset_rto_timer(tp, ICSK_TIME_PROBE0, tcp_probe0_base(tp));
}

void tcp_push_pending(struct tcp_sock *tp)
{
	if (tp->n_rtx < tp->sndq.n)
		tcp_push(tp, tcp_current_mss(tp), tp->nonagle);
}
