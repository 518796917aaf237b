/*
 * tcp_sack: the sender's scoreboard (RFC 2018, 2883, 6675): which segments in flight the peer holds
 * already. Ranges that the last ACK named are not walked again: a long window costs its segments
 * once, not once an ACK.
 */
#include "tcp/tcp_ack.h"
#include "tcp/tcp_output.h"

/* ---- reordering ---- */

void tcp_check_sack_reordering(struct tcp_sock *tp, uint32_t low_seq, bool ts)
{
	const struct tcp_net *tn = tcp_net(tp->in.sk.net);
	uint32_t mss = tp->mss_cache, fack = tcp_highest_sack(tp);

	if (!before(low_seq, fack))
		return;
	uint32_t metric = fack - low_seq;

	if (mss && metric > tp->reordering * mss)
		tp->reordering = MIN((metric + mss - 1) / mss, (uint32_t)tn->tcp_max_reordering);
	tp->reord_seen++;
	tcp_mib(tp)[ts ? MIB_TcpExt_TCPTSReorder : MIB_TcpExt_TCPSACKReorder]++;
}

/* ---- without SACK ---- */

/* No more can be missing at the peer than is in flight, but for one that must be. */
static bool limit_reno_sacked(struct tcp_sock *tp)
{
	uint32_t holes = MIN(MAX(tp->lost_out, 1u), tp->packets_out);

	if (tp->sacked_out + holes <= tp->packets_out)
		return false;
	tp->sacked_out = tp->packets_out - holes;
	return true;
}

static void check_reno_reordering(struct tcp_sock *tp, unsigned addend)
{
	const struct tcp_net *tn = tcp_net(tp->in.sk.net);

	if (!limit_reno_sacked(tp))
		return;
	tp->reordering = MIN(tp->packets_out + addend, (uint32_t)tn->tcp_max_reordering);
	tp->reord_seen++;
	tcp_mib(tp)[MIB_TcpExt_TCPRenoReorder]++;
}

void tcp_add_reno_sack(struct tcp_sock *tp, unsigned n, bool ece)
{
	uint32_t was = tp->sacked_out;

	if (!n)
		return;
	tp->sacked_out += n;
	check_reno_reordering(tp, 0);
	if (tp->sacked_out > was)
		tcp_count_delivered(tp, tp->sacked_out - was, ece);
}

void tcp_remove_reno_sacks(struct tcp_sock *tp, unsigned acked, bool ece)
{
	if (acked) {
		/* one fills the hole, the others were told by duplicates */
		tcp_count_delivered(tp, acked > tp->sacked_out + 1 ? acked - tp->sacked_out : 1,
				    ece);
		tp->sacked_out -= MIN(acked - 1, tp->sacked_out);
	}
	check_reno_reordering(tp, acked);
}

/* ---- one segment ---- */

static void tag_one(struct tcp_sock *tp, struct ack_state *st, struct tcp_seg *s, bool dup)
{
	const uint8_t retrans = TCPCB_SACKED_RETRANS | TCPCB_EVER_RETRANS;
	uint8_t sacked = s->sacked;

	if (dup && sacked & retrans) {
		if (tp->undo_marker && tp->undo_retrans > 0 && after(s->end_seq, tp->undo_marker))
			tp->undo_retrans = MAX(0, tp->undo_retrans - s->n);
		if (sacked & TCPCB_SACKED_ACKED && before(s->seq, st->reord))
			st->reord = s->seq;
	}
	if (!after(s->end_seq, tp->snd_una))
		return;
	if (!(sacked & TCPCB_SACKED_ACKED)) {
		tcp_rack_advance(tp, s);
		if (sacked & TCPCB_SACKED_RETRANS) {
			/* the original was thought lost: one of the two has arrived */
			if (sacked & TCPCB_LOST) {
				sacked &= ~(TCPCB_LOST | TCPCB_SACKED_RETRANS);
				tp->lost_out -= s->n;
				tp->retrans_out -= s->n;
			}
		} else {
			if (!(sacked & retrans)) {
				if (before(s->seq, tcp_highest_sack(tp)) &&
				    before(s->seq, st->reord))
					st->reord = s->seq;
				if (!after(s->end_seq, tp->high_seq))
					st->flag |= FLAG_ORIG_SACK_ACKED;
				if (!st->first_sackt)
					st->first_sackt = s->sent;
				st->last_sackt = s->sent;
			}
			if (sacked & TCPCB_LOST) {
				sacked &= ~TCPCB_LOST;
				tp->lost_out -= s->n;
			}
		}
		sacked |= TCPCB_SACKED_ACKED;
		st->flag |= FLAG_DATA_SACKED;
		tp->sacked_out += s->n;
		st->sack_delivered += s->n;
	}
	if (dup && sacked & TCPCB_SACKED_RETRANS) {
		sacked &= ~TCPCB_SACKED_RETRANS;
		tp->retrans_out -= s->n;
	}
	s->sacked = sacked;
}

/* Does the block cover the segment? One of several mss is cut at the block's edge, at a multiple of
 * the mss. 1, 0, or -1 when that could not be done. */
static int match(struct tcp_sock *tp, unsigned i, uint32_t start, uint32_t end)
{
	struct tcp_seg *s = segs_at(&tp->sndq, i);
	bool in = !after(start, s->seq) && !before(end, s->end_seq);

	if (in || s->n == 1 || !after(s->end_seq, start))
		return in;
	uint32_t mss = MAX(s->size, (uint16_t)1), len;

	in = !after(start, s->seq);
	len = in ? end - s->seq : start - s->seq;
	if (len < mss) {
		if (in)
			return -1;
		len = mss;
	}
	if (len > mss) {
		uint32_t whole = len / mss * mss;

		if (!in && whole < len)
			whole += mss;
		len = whole;
	}
	if (len >= s->p->total && !in)
		return 0;
	return tcp_split_seg(tp, i, len, mss) ? -1 : in;
}

static void walk(struct tcp_sock *tp, struct ack_state *st, uint32_t start, uint32_t end, bool dup)
{
	for (unsigned i = segs_find(&tp->sndq, start); i < tp->n_rtx; i++) {
		if (!before(segs_at(&tp->sndq, i)->seq, end))
			break;
		int in = match(tp, i, start, end);

		if (in < 0)
			break;
		if (!in)
			continue;
		struct tcp_seg *s = segs_at(&tp->sndq, i);

		tag_one(tp, st, s, dup);
		tcp_rate_seg_delivered(tp, s, &st->rate);
		if (s->sacked & TCPCB_SACKED_ACKED) {
			cds_list_del(&s->tsorted);
			CDS_INIT_LIST_HEAD(&s->tsorted);
		}
		if (!before(s->end_seq, tcp_highest_sack(tp)))
			tp->highest_sack = s->end_seq;
	}
}

/* ---- blocks ---- */

static unsigned dsack_seen(struct tcp_sock *tp, const struct tcp_sack_block *b,
			   struct ack_state *st)
{
	uint32_t len = b->end_seq - b->start_seq, n = 1;

	if (!before(b->start_seq, b->end_seq) || len > tp->max_window)
		return 0;
	if (len > tp->mss_cache)
		n = (len + tp->mss_cache - 1) / tp->mss_cache;
	else if (tp->tlp_high_seq && tp->tlp_high_seq == b->end_seq)
		st->flag |= FLAG_DSACK_TLP;
	tp->dsack_dups += n;
	/* more duplicates than we ever sent: the network makes them */
	if (tp->dsack_dups > tp->total_retrans)
		return 0;
	if (!(st->flag & FLAG_DSACK_TLP))
		tp->rack.dsack_seen = true;
	st->flag |= FLAG_DSACKING_ACK;
	st->sack_delivered += n;
	return n;
}

static bool check_dsack(struct tcp_sock *tp, const struct tcp_rx *rx,
			const struct tcp_sack_block *b, unsigned n, uint32_t prior_snd_una,
			struct ack_state *st)
{
	if (before(b[0].start_seq, rx->ack)) {
		tcp_mib(tp)[MIB_TcpExt_TCPDSACKRecv]++;
	} else if (n > 1) {
		if (after(b[0].end_seq, b[1].end_seq) || before(b[0].start_seq, b[1].start_seq))
			return false;
		tcp_mib(tp)[MIB_TcpExt_TCPDSACKOfoRecv]++;
	} else {
		return false;
	}
	unsigned dups = dsack_seen(tp, &b[0], st);

	if (!dups) {
		tcp_mib(tp)[MIB_TcpExt_TCPDSACKIgnoredDubious]++;
		return false;
	}
	tcp_mib(tp)[MIB_TcpExt_TCPDSACKRecvSegs] += dups;
	/* data that is forgotten already */
	if (tp->undo_marker && tp->undo_retrans > 0 && !after(b[0].end_seq, prior_snd_una) &&
	    after(b[0].end_seq, tp->undo_marker))
		tp->undo_retrans = MAX(0, tp->undo_retrans - (int)dups);
	return true;
}

static bool block_valid(const struct tcp_sock *tp, bool dsack, const struct tcp_sack_block *b)
{
	if (after(b->end_seq, tp->snd_nxt) || !before(b->start_seq, b->end_seq) ||
	    !before(b->start_seq, tp->snd_nxt))
		return false;
	if (after(b->start_seq, tp->snd_una))
		return true;
	if (!dsack || !tp->undo_marker || after(b->end_seq, tp->snd_una))
		return false;
	if (!before(b->start_seq, tp->undo_marker))
		return true;
	if (!after(b->end_seq, tp->undo_marker))
		return false;
	return !before(b->start_seq, b->end_seq - tp->max_window);
}

static void count_invalid(struct tcp_sock *tp, bool dup, const struct tcp_rx *rx)
{
	if (dup)
		tcp_mib(tp)[tp->undo_marker ? MIB_TcpExt_TCPDSACKIgnoredOld
					    : MIB_TcpExt_TCPDSACKIgnoredNoUndo]++;
	else if (rx->ack == tp->snd_una || after(rx->ack, tp->snd_una))
		tcp_mib(tp)[MIB_TcpExt_TCPSACKDiscard]++;
}

/* Walks what of the block was not named by the ACK before. */
static void take_block(struct tcp_sock *tp, struct ack_state *st, uint32_t start, uint32_t end)
{
	for (unsigned i = 0; i < ARRAY_SIZE(tp->recv_sack_cache) && before(start, end); i++) {
		const struct tcp_sack_block *c = &tp->recv_sack_cache[i];

		if (c->start_seq == c->end_seq || !after(c->end_seq, start))
			continue;
		if (!before(c->start_seq, end))
			break;
		if (before(start, c->start_seq))
			walk(tp, st, start, c->start_seq, false);
		start = c->end_seq;
	}
	if (before(start, end))
		walk(tp, st, start, end, false);
}

static void sort_blocks(struct tcp_sack_block *b, unsigned n, int *first)
{
	for (unsigned i = 1; i < n; i++) {
		for (unsigned j = i; j && after(b[j - 1].start_seq, b[j].start_seq); j--) {
			struct tcp_sack_block t = b[j];

			b[j] = b[j - 1];
			b[j - 1] = t;
			if (*first == (int)j)
				*first = (int)j - 1;
			else if (*first == (int)j - 1)
				*first = (int)j;
		}
	}
}

int tcp_sack_input(struct tcp_sock *tp, const struct tcp_rx *rx, uint32_t prior_snd_una,
		   struct ack_state *st)
{
	struct tcp_sack_block wire[TCP_MAX_SACKS], use[TCP_MAX_SACKS];
	unsigned n = MIN(rx->n_sack, (unsigned)TCP_MAX_SACKS), n_use = 0;
	int first = 0; /* where the duplicate, if it is one, is in use[] */

	st->flag = 0;
	st->reord = tp->snd_nxt;
	if (!tp->sacked_out)
		tp->highest_sack = tp->snd_una;
	for (unsigned i = 0; i < n; i++) {
		wire[i].start_seq = get_be32(rx->sack + 8 * i);
		wire[i].end_seq = get_be32(rx->sack + 8 * i + 4);
	}
	if (!n)
		return 0;
	bool dup = check_dsack(tp, rx, wire, n, prior_snd_una, st);

	if (before(rx->ack, prior_snd_una - tp->max_window) || !tp->packets_out)
		return st->flag;
	for (unsigned i = 0; i < n; i++) {
		if (!block_valid(tp, dup && !i, &wire[i])) {
			count_invalid(tp, dup && !i, rx);
			if (!i)
				first = -1;
			continue;
		}
		if (!after(wire[i].end_seq, prior_snd_una)) {
			if (!i)
				first = -1;
			continue;
		}
		use[n_use++] = wire[i];
	}
	sort_blocks(use, n_use, &first);
	for (unsigned i = 0; i < n_use; i++) {
		if (dup && (int)i == first)
			walk(tp, st, use[i].start_seq, use[i].end_seq, true);
		else
			take_block(tp, st, use[i].start_seq, use[i].end_seq);
	}
	memset(tp->recv_sack_cache, 0, sizeof(tp->recv_sack_cache));
	memcpy(tp->recv_sack_cache, use, n_use * sizeof(use[0]));
	if (tp->ca_state != TCP_CA_Loss || tp->undo_marker)
		tcp_check_sack_reordering(tp, st->reord, false);
	return st->flag;
}
