/*
 * tcp_cookie: SYN cookies (D. J. Bernstein, 1996; RFC 4987 3.6): a connection's beginning kept by
 * its peer.
 *
 * The sequence number of the SYN-ACK is two keyed hashes of the ends: one of them alone added to
 * the peer's number, so that nobody can tell a cookie without the key; the other also of the minute
 * and with what is left of the MSS, in the lower 24 bits; the upper 8 are the minute. An ACK within
 * two minutes gives it back. Other options of the SYN travel in the lowest 6 bits of our time
 * stamp, if the peer uses them: window scale (15: none), SACK, ECN. The layout is Linux's.
 *
 * Only a listener that has sent cookies lately looks for them in ACKs.
 */
#include "base/rand.h"
#include "tcp/tcp_listen.h"

#define COOKIE_BITS   24
#define COOKIE_MASK   ((1u << COOKIE_BITS) - 1)
#define COOKIE_PERIOD (60 * NSEC_PER_SEC)
#define COOKIE_AGE    2u
#define COOKIE_VALID  (COOKIE_AGE * COOKIE_PERIOD)

enum { TS_BITS = 6, TS_WSCALE_MASK = 0xf, TS_SACK = 0x10, TS_ECN = 0x20 };

static const uint16_t mss_table[] = {536, 1300, 1440, 1460};

static uint32_t hash(const struct tcp_node *n, uint32_t count, unsigned which)
{
	const uint32_t v[4] = {n->raddr, n->laddr, (uint32_t)n->rport << 16 | n->lport, count};
	struct hash_key key;

	memcpy(&key, n->net->weft->tcp->cookie_key[which], sizeof(key));
	return (uint32_t)siphash24(v, sizeof(v), &key);
}

static uint32_t minute(const struct worker *w)
{
	return (uint32_t)(w->now / COOKIE_PERIOD);
}

static uint32_t cookie_make(const struct tcp_req *r, uint32_t data)
{
	uint32_t count = minute(r->w);

	return hash(&r->node, 0, 0) + r->rcv_isn + (count << COOKIE_BITS) +
	       ((hash(&r->node, count, 1) + data) & COOKIE_MASK);
}

/* The data in a cookie; UINT32_MAX: too old, or none at all. */
static uint32_t cookie_data(const struct tcp_req *r, uint32_t cookie)
{
	uint32_t count = minute(r->w), diff;

	cookie -= hash(&r->node, 0, 0) + r->rcv_isn;
	diff = (count - (cookie >> COOKIE_BITS)) & (UINT32_MAX >> COOKIE_BITS);
	if (diff >= COOKIE_AGE)
		return UINT32_MAX;
	return (cookie - hash(&r->node, count - diff, 1)) & COOKIE_MASK;
}

uint32_t tcp_cookie_isn(struct tcp_sock *listener, struct tcp_req *r)
{
	uint32_t i = ARRAY_SIZE(mss_table) - 1;
	uint64_t *overflow = tcp_synq_overflow(listener);

	while (i && r->mss < mss_table[i])
		i--;
	r->mss = mss_table[i];
	if (overflow)
		*overflow = MAX(r->w->now, 1);
	tcp_req_mib(r)[MIB_TcpExt_SyncookiesSent]++;
	return cookie_make(r, i);
}

uint32_t tcp_cookie_tsval(const struct tcp_req *r, uint64_t now)
{
	uint32_t ms = (uint32_t)(now / NSEC_PER_MSEC), ts, bits;

	if (!r->syncookie)
		return ms + r->ts_off;
	bits = r->wscale_ok ? r->snd_wscale : TS_WSCALE_MASK;
	if (r->sack_ok)
		bits |= TS_SACK;
	if (r->ecn_ok)
		bits |= TS_ECN;
	ts = (ms >> TS_BITS << TS_BITS) | bits;
	/* the past, not the future */
	if (ts > ms)
		ts -= 1u << TS_BITS;
	return ts + r->ts_off;
}

/* Were cookies sent so lately that this can be one? */
static bool recent_overflow(struct tcp_sock *listener)
{
	const uint64_t *at = tcp_synq_overflow(listener);

	return at && *at && tcp_now(listener) - *at <= COOKIE_VALID;
}

/* Options from the time stamp that came back. False: ones that are switched off since. */
static bool decode_options(struct tcp_req *r, struct tcp_rx_opts *o)
{
	const struct tcp_net *tn = tcp_net(r->node.net);
	uint32_t bits = o->rcv_tsecr;

	r->tstamp_ok = o->saw_tstamp;
	if (!o->saw_tstamp)
		return true;
	if (!tn->tcp_timestamps)
		return false;
	r->ts_recent = o->rcv_tsval;
	r->sack_ok = bits & TS_SACK;
	r->ecn_ok = bits & TS_ECN;
	if (r->sack_ok && !tn->tcp_sack)
		return false;
	if ((bits & TS_WSCALE_MASK) == TS_WSCALE_MASK)
		return true;
	r->wscale_ok = true;
	r->snd_wscale = bits & TS_WSCALE_MASK;
	return tn->tcp_window_scaling;
}

/* The request that the ACK stands for. False: it stands for none. */
static bool read_cookie(struct tcp_req *r, struct tcp_sock *listener, const struct pkt *p,
			struct tcp_rx *rx)
{
	struct tcp_rx_opts o = {0};
	uint32_t i;

	tcp_req_addresses(r, listener, p);
	r->snt_isn = rx->ack - 1;
	r->rcv_isn = rx->seq - 1;
	r->rcv_nxt = rx->seq;
	r->tos = rx->ip_dsfield;
	i = cookie_data(r, r->snt_isn);
	if (i >= ARRAY_SIZE(mss_table)) {
		tcp_req_mib(r)[MIB_TcpExt_SyncookiesFailed]++;
		return false;
	}
	tcp_req_mib(r)[MIB_TcpExt_SyncookiesRecv]++;
	r->mss = mss_table[i];
	tcp_parse_opts(rx, &o, false, NULL, tcp_net(r->node.net));
	if (o.saw_tstamp && o.rcv_tsecr) {
		r->ts_off = tcp_ts_off(r->node.net, r->node.laddr, r->node.raddr);
		o.rcv_tsecr -= r->ts_off;
	}
	return decode_options(r, &o);
}

static struct tcp_sock *child_of(struct tcp_sock *listener, struct tcp_req *r, struct pkt *p,
				 struct tcp_rx *rx)
{
	struct route_result res;
	struct tcp_sock *child;

	if (tcp_req_route(r, listener, &res))
		return NULL;
	/* as when the SYN-ACK was sent */
	tcp_req_window(r, listener, &res, r->mss);
	r->ecn_ok = r->ecn_ok && (tcp_net(r->node.net)->tcp_ecn ||
				  tcp_route_metric(&res, RTAX_FEATURES) & RTAX_FEATURE_ECN);
	child = tcp_child_new(listener, r, p, rx);
	if (child)
		tcp_accept_add(listener, child);
	return child;
}

struct tcp_sock *tcp_cookie_check(struct tcp_sock *listener, struct pkt *p, struct tcp_rx *rx,
				  bool *dropped)
{
	struct tcp_sock *child = NULL;
	struct tcp_req *r;

	*dropped = false;
	if (!tcp_net(listener->in.sk.net)->tcp_syncookies ||
	    (rx->flags & (TCPHDR_ACK | TCPHDR_RST)) != TCPHDR_ACK || !recent_overflow(listener))
		return NULL;
	r = tcp_req_new(listener);
	*dropped = !r;
	if (r && read_cookie(r, listener, p, rx)) {
		child = child_of(listener, r, p, rx);
		*dropped = !child;
	}
	if (r)
		tcp_req_free(r);
	return child;
}
