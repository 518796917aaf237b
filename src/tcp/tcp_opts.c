/*
 * tcp_opts: header options in their wire form (RFC 9293 3.1, 7323, 2018, 7413).
 *
 * Reading is total: whatever the bytes are, the walk ends within the header, and an option of a
 * wrong length is skipped, not believed. Once the list is broken (a length below 2, or beyond the
 * header) the rest of it is not read; what came before counts.
 *
 * Writing lays options out as Linux does, since middle boxes, fingerprints and tests know that
 * order: MSS, SACK-permitted before or in place of the padding of the time stamp, window scale,
 * SACK blocks, Fast Open; each padded to 4 bytes by NOPs in front of it (Fast Open: behind).
 */
#include "tcp/tcp_core.h"

enum {
	OPT_EOL,
	OPT_NOP,
	OPT_MSS,
	OPT_WSCALE,
	OPT_SACK_PERM,
	OPT_SACK,
	OPT_TS = 8,
	OPT_FO = 34,
	OPT_EXP = 254
};
enum { LEN_MSS = 4, LEN_WSCALE = 3, LEN_SACK_PERM = 2, LEN_TS = 10, LEN_FO = 2, LEN_EXP = 4 };

#define TCP_HLEN       20u
#define OPTS_MAX       40u
#define FO_MAGIC       0xf989 /* RFC 6994, for Fast Open before it had a number */
#define FO_COOKIE_MIN  4
#define FO_COOKIE_MAX  16
#define SACK_BLOCK_LEN 8u

bool tcp_parse(struct worker *w, struct pkt *p, struct tcp_rx *rx)
{
	if (!pkt_may_pull(&w->cache, p, TCP_HLEN))
		return false;
	unsigned hlen = (pkt_data(p)[12] >> 4) * 4u;

	if (hlen < TCP_HLEN || !pkt_may_pull(&w->cache, p, hlen))
		return false;
	const uint8_t *h = pkt_data(p);

	*rx = (struct tcp_rx){
		.seq = get_be32(h + 4),
		.ack = get_be32(h + 8),
		.flags = h[13],
		.win = get_be16(h + 14),
		.urg = get_be16(h + 18),
		.hlen = (uint8_t)hlen,
		.ip_dsfield = ((const uint8_t *)pkt_l3(p))[1],
		.len = p->total - hlen,
		.opts = h + TCP_HLEN,
	};
	rx->end_seq = rx->seq + rx->len + !!(rx->flags & TCPHDR_SYN) + !!(rx->flags & TCPHDR_FIN);
	return true;
}

/* len bytes at c are the cookie of a SYN or SYN-ACK (none: a request). */
static void parse_cookie(struct tcp_fo_cookie *foc, const uint8_t *c, int len, bool exp)
{
	if (len < 0 || len % 2)
		return;
	if (len >= FO_COOKIE_MIN && len <= FO_COOKIE_MAX)
		memcpy(foc->val, c, (size_t)len);
	else if (len != 0)
		len = -1;
	foc->len = (int8_t)len;
	foc->exp = exp;
}

/* What only a SYN may say. o: the option's kind, length and bytes. */
static void parse_syn_opt(struct tcp_rx_opts *opt, const uint8_t *o, const struct tcp_net *tn)
{
	switch (o[0]) {
	case OPT_MSS:
		if (o[1] == LEN_MSS && get_be16(o + 2)) {
			uint16_t mss = get_be16(o + 2);

			opt->mss_clamp = opt->user_mss ? MIN(mss, opt->user_mss) : mss;
		}
		break;
	case OPT_WSCALE:
		if (o[1] == LEN_WSCALE && tn->tcp_window_scaling) {
			opt->wscale_ok = true;
			opt->snd_wscale = MIN(o[2], TCP_MAX_WSCALE);
		}
		break;
	case OPT_SACK_PERM:
		if (o[1] == LEN_SACK_PERM && tn->tcp_sack) {
			opt->sack_ok = true;
			opt->dsack = false;
			opt->num_sacks = 0;
		}
		break;
	}
}

static void parse_fo(struct tcp_fo_cookie *foc, const uint8_t *o)
{
	if (o[0] == OPT_FO)
		parse_cookie(foc, o + LEN_FO, o[1] - LEN_FO, false);
	else if (o[0] == OPT_EXP && o[1] >= LEN_EXP && get_be16(o + 2) == FO_MAGIC)
		parse_cookie(foc, o + LEN_EXP, o[1] - LEN_EXP, true);
}

static void parse_ts(struct tcp_rx_opts *opt, const uint8_t *val)
{
	opt->saw_tstamp = true;
	opt->rcv_tsval = get_be32(val);
	opt->rcv_tsecr = get_be32(val + 4);
}

void tcp_parse_opts(struct tcp_rx *rx, struct tcp_rx_opts *opt, bool estab,
		    struct tcp_fo_cookie *foc, const struct tcp_net *tn)
{
	static const uint8_t aligned_ts[] = {OPT_NOP, OPT_NOP, OPT_TS, LEN_TS};
	const uint8_t *o = rx->opts, *end = rx->opts + (rx->hlen - TCP_HLEN);
	bool syn = rx->flags & TCPHDR_SYN;
	bool take_ts = estab ? opt->tstamp_ok : tn->tcp_timestamps;

	opt->saw_tstamp = false;
	rx->sack = NULL;
	rx->n_sack = 0;
	if (foc)
		foc->len = -1;
	/* nearly every segment of a connection has these twelve bytes, and no other */
	if (end - o == 2 + LEN_TS && take_ts && !memcmp(o, aligned_ts, sizeof(aligned_ts))) {
		parse_ts(opt, o + sizeof(aligned_ts));
		return;
	}
	while (o < end && o[0] != OPT_EOL) {
		if (o[0] == OPT_NOP) {
			o++;
			continue;
		}
		if (end - o < 2 || o[1] < 2 || o[1] > end - o)
			return;
		if (syn && !estab)
			parse_syn_opt(opt, o, tn);
		if (syn && foc)
			parse_fo(foc, o);
		if (o[0] == OPT_TS && o[1] == LEN_TS && take_ts)
			parse_ts(opt, o + 2);
		if (o[0] == OPT_SACK && opt->sack_ok && o[1] > 2 &&
		    (o[1] - 2u) % SACK_BLOCK_LEN == 0) {
			rx->sack = o + 2;
			rx->n_sack = (o[1] - 2u) / SACK_BLOCK_LEN;
		}
		o += o[1];
	}
}

static unsigned fo_len(const struct tcp_fo_cookie *fo)
{
	return (fo->exp ? LEN_EXP : LEN_FO) + (unsigned)fo->len;
}

/* What there is room for. */
struct fit {
	unsigned size, n_sack;
	bool fo;
};

static struct fit fit(const struct tcp_tx_opts *o)
{
	struct fit f = {0};

	if (o->mss)
		f.size += LEN_MSS;
	if (o->ts)
		f.size += 2 + LEN_TS;
	else if (o->sack_perm)
		f.size += 2 + LEN_SACK_PERM;
	if (o->wscale_ok)
		f.size += 1 + LEN_WSCALE;
	if (o->n_sack && OPTS_MAX - f.size >= 4 + SACK_BLOCK_LEN) {
		f.n_sack = MIN(o->n_sack, (OPTS_MAX - f.size - 4) / SACK_BLOCK_LEN);
		f.size += 4 + f.n_sack * SACK_BLOCK_LEN;
	}
	if (o->fo && o->fo->len >= 0) {
		unsigned need = (unsigned)align_up(fo_len(o->fo), 4);

		f.fo = need <= OPTS_MAX - f.size;
		f.size += f.fo ? need : 0;
	}
	return f;
}

unsigned tcp_opts_size(const struct tcp_tx_opts *o)
{
	return fit(o).size;
}

static uint8_t *write_word(uint8_t *to, uint8_t a, uint8_t b, uint8_t c, uint8_t d)
{
	const uint8_t v[] = {a, b, c, d};

	memcpy(to, v, sizeof(v));
	return to + sizeof(v);
}

static uint8_t *write_ts(uint8_t *to, const struct tcp_tx_opts *o)
{
	if (o->sack_perm)
		to = write_word(to, OPT_SACK_PERM, LEN_SACK_PERM, OPT_TS, LEN_TS);
	else
		to = write_word(to, OPT_NOP, OPT_NOP, OPT_TS, LEN_TS);
	put_be32(to, o->tsval);
	put_be32(to + 4, o->tsecr);
	return to + 8;
}

static void write_fo(uint8_t *to, const struct tcp_fo_cookie *fo)
{
	unsigned len = fo_len(fo);
	uint8_t *end = to + align_up(len, 4);

	*to++ = fo->exp ? OPT_EXP : OPT_FO;
	*to++ = (uint8_t)len;
	if (fo->exp) {
		put_be16(to, FO_MAGIC);
		to += 2;
	}
	memcpy(to, fo->val, (size_t)fo->len);
	for (to += fo->len; to < end; to++)
		*to = OPT_NOP;
}

void tcp_opts_write(uint8_t *to, const struct tcp_tx_opts *o)
{
	struct fit f = fit(o);

	if (o->mss)
		to = write_word(to, OPT_MSS, LEN_MSS, (uint8_t)(o->mss >> 8), (uint8_t)o->mss);
	if (o->ts)
		to = write_ts(to, o);
	else if (o->sack_perm)
		to = write_word(to, OPT_NOP, OPT_NOP, OPT_SACK_PERM, LEN_SACK_PERM);
	if (o->wscale_ok)
		to = write_word(to, OPT_NOP, OPT_WSCALE, LEN_WSCALE, o->wscale);
	if (f.n_sack)
		to = write_word(to, OPT_NOP, OPT_NOP, OPT_SACK,
				(uint8_t)(2 + f.n_sack * SACK_BLOCK_LEN));
	for (unsigned i = 0; i < f.n_sack; i++, to += SACK_BLOCK_LEN) {
		put_be32(to, o->sack[i].start_seq);
		put_be32(to + 4, o->sack[i].end_seq);
	}
	if (f.fo)
		write_fo(to, o->fo);
}
