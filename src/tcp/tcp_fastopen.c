/*
 * tcp_fastopen: data in a SYN (RFC 7413).
 *
 * Server: a SYN that asks gets a cookie, a keyed hash of both addresses, in its SYN-ACK. A SYN that
 * brings it (or needs none, by setting) makes a child at once, whose application may read the SYN's
 * data and answer while the child is still in SYN_RECV. How many such children there are is
 * limited; one whose peer sends an RST keeps its place for a minute, so that made-up addresses do
 * not win. The request stays with the child (fastopen_rsk) until its SYN-ACK is acknowledged.
 *
 * Client: cookies are kept with a peer's metrics. Where middle boxes drop SYNs with data, or what
 * follows them, Fast Open rests for an hour, then two, ... (tcp_fastopen_blackhole_timeout_sec).
 */
#include "base/rand.h"
#include "tcp/tcp_listen.h"

enum {
	TFO_CLIENT_NO_COOKIE = 0x4,
	TFO_SERVER = 0x2,
	TFO_SERVER_NO_COOKIE = 0x200,
};
#define COOKIE_LEN   8
#define RST_HOLD     (60 * NSEC_PER_SEC)
#define HOLD_DOUBLES 6u

/* ---- cookies ---- */

static void cookie_gen(const struct tcp_req *r, const uint8_t *key, struct tcp_fo_cookie *c)
{
	const uint32_t v[2] = {r->node.raddr, r->node.laddr};
	struct hash_key k;
	uint64_t h;

	memcpy(&k, key, sizeof(k));
	h = siphash24(v, sizeof(v), &k);
	memcpy(c->val, &h, COOKIE_LEN);
	c->len = COOKIE_LEN;
}

/* The listener's keys, or its namespace's: how many. */
static unsigned keys(const struct tcp_sock *tp, const uint8_t (**key)[16])
{
	struct tcp_net *tn = tcp_net(tp->in.sk.net);

	if (tp->fastopen_ctx) {
		*key = (const uint8_t(*)[16])tp->fastopen_ctx->key;
		return tp->fastopen_ctx->n;
	}
	*key = (const uint8_t(*)[16])tn->fastopen_key;
	return !tn->has_fastopen_key ? 0 : tn->has_fastopen_key2 ? 2 : 1;
}

/* Makes the cookie of the first key in *valid. Which key made `given`, from 1; 0: none. */
static unsigned cookie_check(const struct tcp_sock *tp, const struct tcp_req *r,
			     const struct tcp_fo_cookie *given, struct tcp_fo_cookie *valid)
{
	struct tcp_fo_cookie c;
	const uint8_t(*key)[16];
	unsigned n = keys(tp, &key), match = 0;

	for (unsigned i = 0; i < n; i++) {
		cookie_gen(r, key[i], &c);
		if (i == 0)
			*valid = c;
		if (!match && given->len == c.len && !memcmp(given->val, c.val, COOKIE_LEN))
			match = i + 1;
	}
	return match;
}

static bool no_cookie(const struct tcp_sock *tp, const struct route_result *res, int flag)
{
	return (tcp_net(tp->in.sk.net)->tcp_fastopen & flag) || tp->fastopen_no_cookie ||
	       (res && tcp_route_metric(res, RTAX_FASTOPEN_NO_COOKIE));
}

/* ---- server ---- */

/* Is there a place for one more? */
static bool queue_check(struct tcp_sock *tp)
{
	struct tcp_listen *l = tp->listen;
	struct tcp_req *r;

	if (!tp->fo_qlen_max)
		return false;
	if (l->fo_qlen < tp->fo_qlen_max)
		return true;
	r = cds_list_empty(&l->fo_rst) ? NULL
				       : cds_list_first_entry(&l->fo_rst, struct tcp_req, link);
	if (!r || r->expires > tcp_now(tp)) {
		tcp_mib(tp)[MIB_TcpExt_TCPFastOpenListenOverflow]++;
		return false;
	}
	cds_list_del(&r->link);
	l->fo_qlen--;
	tcp_req_free(r);
	return true;
}

void tcp_fastopen_add_data(struct tcp_sock *tp, const struct pkt *p, const struct tcp_rx *rx)
{
	uint32_t rcv_ssthresh = tp->rcv_ssthresh;
	__typeof__(tp->ack) ack = tp->ack;
	struct tcp_rx data = *rx;
	struct pkt *c;

	if (rx->end_seq == tp->rcv_nxt)
		return;
	c = pkt_copy(&tp->w->cache, p, PKT_HEADROOM);
	if (!c)
		return;
	tp->segs_in = 1;
	if (rx->len)
		tp->data_segs_in++;
	data.seq++;
	data.flags &= (uint8_t)~TCPHDR_SYN;
	tcp_data_queue(tp, c, &data);
	/* What answers the SYN acknowledges it; how the peer sends, a SYN does not tell. */
	tp->ack = ack;
	tp->rcv_ssthresh = rcv_ssthresh;
	tp->syn_data_acked = true;
}

static struct tcp_sock *create_child(struct tcp_sock *listener, struct tcp_req *r, struct pkt *p,
				     const struct tcp_rx *rx)
{
	struct tcp_sock *child = tcp_child_new(listener, r, p, rx);
	struct pkt payload = *p;

	if (!child)
		return NULL;
	listener->listen->fo_qlen++;
	cds_list_add_tail(&r->link, &listener->listen->fo_reqs);
	child->fastopen_rsk = r;
	child->fast_open_child = true;
	/* A SYN's window is never scaled. */
	child->snd_wnd = child->max_window = rx->win;
	tcp_reset_rto_timer(child, ICSK_TIME_RETRANS, TCP_TIMEOUT_INIT);
	tcp_init_transfer(child);
	child->rcv_nxt = rx->seq + 1;
	pkt_pull(&payload, rx->hlen);
	tcp_fastopen_add_data(child, &payload, rx);
	r->rcv_nxt = child->rcv_nxt;
	child->rcv_wup = child->rcv_nxt;
	return child;
}

struct tcp_sock *tcp_fastopen_try(struct tcp_sock *listener, struct tcp_req *r, struct pkt *p,
				  struct tcp_rx *rx, struct tcp_fo_cookie *foc)
{
	struct tcp_fo_cookie given = *foc, valid = {.len = -1};
	uint64_t *mib = tcp_mib(listener);
	struct route_result res;
	struct tcp_sock *child;
	unsigned match = 0;
	bool may;

	if (given.len == 0)
		mib[MIB_TcpExt_TCPFastOpenCookieReqd]++;
	foc->len = -1;
	if (!(tcp_net(r->node.net)->tcp_fastopen & TFO_SERVER) || (!rx->len && given.len < 0) ||
	    !queue_check(listener))
		return NULL;
	may = no_cookie(listener, tcp_req_route(r, listener, &res) ? NULL : &res,
			TFO_SERVER_NO_COOKIE);
	if (!may && given.len >= 0) {
		match = cookie_check(listener, r, &given, &valid);
		may = match;
	}
	valid.exp = given.exp;
	child = may ? create_child(listener, r, p, rx) : NULL;
	if (child) {
		if (match == 2) { /* an old key's: here is a new one */
			*foc = valid;
			mib[MIB_TcpExt_TCPFastOpenPassiveAltKey]++;
		}
		mib[MIB_TcpExt_TCPFastOpenPassive]++;
		return child;
	}
	if (may || given.len > 0)
		mib[MIB_TcpExt_TCPFastOpenPassiveFail]++;
	*foc = valid;
	return NULL;
}

/* The child needs its request no more. reset: by an RST before it was acknowledged. */
static void release(struct tcp_sock *child, bool reset)
{
	struct tcp_req *r = child->fastopen_rsk;
	struct tcp_listen *l;

	child->fast_open_child = false;
	child->fastopen_rsk = NULL;
	if (!r)
		return;
	l = r->listener ? r->listener->listen : NULL;
	if (l) {
		cds_list_del(&r->link);
		l->fo_qlen--;
	}
	if (l && reset && !child->parent) {
		r->expires = r->w->now + RST_HOLD;
		cds_list_add_tail(&r->link, &l->fo_rst);
		l->fo_qlen++;
		return;
	}
	tcp_req_free(r);
}

void tcp_fastopen_established(struct tcp_sock *child)
{
	release(child, false);
}

void tcp_child_gone(struct tcp_sock *child)
{
	release(child, false);
}

void tcp_fastopen_reset(struct tcp_sock *child)
{
	release(child, true);
	tcp_reset(child, ECONNRESET);
}

bool tcp_fastopen_check(struct tcp_sock *child, struct netdev *dev, struct pkt *p,
			struct tcp_rx *rx)
{
	struct tcp_rx_opts seen;
	struct pkt at_header = *p;

	if (!child->fastopen_rsk)
		return true;
	pkt_push(&at_header, rx->hlen);
	return tcp_req_check(child->fastopen_rsk, child, dev, &at_header, rx, &seen) ==
	       TCP_REQ_CHILD;
}

void tcp_retransmit_synack(struct tcp_sock *tp)
{
	if (tp->fastopen_rsk && !tcp_req_rtx_synack(tp->fastopen_rsk, tp))
		tp->total_retrans++;
}

void tcp_fastopen_listen_stop(struct tcp_sock *listener)
{
	struct tcp_listen *l = listener->listen;
	struct tcp_req *r, *next;

	/* Children that were accepted go on without it. */
	cds_list_for_each_entry (r, &l->fo_reqs, link)
		r->listener = NULL;
	cds_list_for_each_entry_safe (r, next, &l->fo_rst, link)
		tcp_req_free(r);
}

/* ---- client ---- */

bool tcp_fastopen_cookie_check(struct tcp_sock *tp, uint16_t *mss, struct tcp_fo_cookie *c)
{
	struct route_result res;

	*mss = 0;
	tcp_metrics_fastopen_get(tp, mss, c);
	if (tcp_fastopen_active_should_disable(tp)) {
		c->len = -1;
		return false;
	}
	if (no_cookie(tp, tcp_ip4.route(tp, &res) ? NULL : &res, TFO_CLIENT_NO_COOKIE)) {
		c->len = -1;
		return true;
	}
	if (c->len > 0)
		return true;
	tp->fastopen_client_fail = TFO_COOKIE_UNAVAILABLE;
	return false;
}

void tcp_fastopen_free(struct tcp_sock *tp)
{
	free(tp->fo_cookie);
	tp->fo_cookie = NULL;
}

static int hole_timeout(const struct tcp_net *tn)
{
	return tn->tcp_fastopen_blackhole_timeout_sec;
}

void tcp_fastopen_active_disable(struct tcp_sock *tp)
{
	struct tcp_net *tn = tcp_net(tp->in.sk.net);

	if (!hole_timeout(tn))
		return;
	tn->tfo_active_disable_stamp = tcp_now(tp);
	tn->tfo_active_disable_times++;
	tcp_mib(tp)[MIB_TcpExt_TCPFastOpenBlackhole]++;
}

bool tcp_fastopen_active_should_disable(struct tcp_sock *tp)
{
	const struct tcp_net *tn = tcp_net(tp->in.sk.net);
	unsigned times = tn->tfo_active_disable_times;

	if (!hole_timeout(tn) || !times)
		return false;
	if (tcp_now(tp) <
	    tn->tfo_active_disable_stamp +
		    ((uint64_t)hole_timeout(tn) << MIN(times - 1, HOLD_DOUBLES)) * NSEC_PER_SEC)
		return true;
	tp->syn_fastopen_ch = true;
	return false;
}

void tcp_fastopen_active_disable_ofo_check(struct tcp_sock *tp)
{
	struct tcp_net *tn = tcp_net(tp->in.sk.net);
	struct route_result res;

	if (!tp->syn_fastopen)
		return;
	if (!tp->data_segs_in) {
		/* a FIN, and nothing of what should have come before it */
		if (tp->ofo.n == 1 && (segs_at(&tp->ofo, 0)->flags & TCPHDR_FIN))
			tcp_fastopen_active_disable(tp);
	} else if (tp->syn_fastopen_ch && tn->tfo_active_disable_times) {
		if (tcp_ip4.route(tp, &res) || !(res.dev->flags & IFF_LOOPBACK))
			tn->tfo_active_disable_times = 0;
	}
}

void tcp_fastopen_active_detect_blackhole(struct tcp_sock *tp, bool expired)
{
	if (!tp->syn_fastopen && !tp->syn_data && !tp->syn_data_acked)
		return;
	if (tp->retransmits == 2 || (tp->retransmits < 2 && expired)) {
		tcp_fastopen_active_disable(tp);
		tcp_mib(tp)[MIB_TcpExt_TCPFastOpenActiveFail]++;
	}
}
