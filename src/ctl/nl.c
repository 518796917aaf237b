/*
 * nl: requests: headers, handlers, answers.
 *
 * A datagram from a program may hold several messages; each is served in turn and answered on its
 * own, errors included, as in netlink_rcv_skb() of Linux. What is too short to have a header ends
 * the datagram silently.
 */
#include <stdio.h>

#include "ctl/nl_policy.h"
#include "ctl/nl_sock.h"

/* A message's handler for a family, or the one that serves all. */
static const struct nl_handler *find_handler(const struct nl_proto *p, unsigned type, int family,
					     bool dump)
{
	const struct nl_handler *any = NULL;

	for (unsigned i = 0; i < NL_HANDLERS_MAX && p->by_type[type][i]; i++) {
		const struct nl_handler *h = p->by_type[type][i];
		if (dump ? !h->dump : !h->doit)
			continue;
		if (h->family == family)
			return h;
		if (h->family == AF_UNSPEC)
			any = h;
	}
	return any;
}

static int serve_handlers(struct nl_req *r, const struct nl_proto *p)
{
	const struct nlmsghdr *nlh = r->nlh;
	unsigned kind = nlh->nlmsg_type & 3; /* NEW, DEL, GET, SET */
	size_t len = mnl_nlmsg_get_payload_len(nlh);
	const struct nl_handler *h;

	if (nlh->nlmsg_type >= p->n_types)
		return -EOPNOTSUPP;
	if (len < sizeof(struct rtgenmsg))
		return 0;

	int family = *(const uint8_t *)mnl_nlmsg_get_payload(nlh);
	if (kind == 2 && (nlh->nlmsg_flags & NLM_F_DUMP)) {
		h = find_handler(p, nlh->nlmsg_type, family, true);
		return h ? nl_dump_start(r, h) : -EOPNOTSUPP;
	}
	h = find_handler(p, nlh->nlmsg_type, family, false);
	if (!h)
		return -EOPNOTSUPP;
	if (kind == 1 && (nlh->nlmsg_flags & NLM_F_BULK) && !(h->flags & NL_H_BULK_DEL))
		return extack_set(&r->ext, -EOPNOTSUPP, "Bulk delete is not supported");
	return h->doit(r);
}

static int serve_one(struct nl_req *r)
{
	const struct nl_proto *p = &r->weft->nl->proto[r->sk->protocol];
	struct event_chain *events = r->weft->events;
	struct event_cause before = events->cause;
	int err;

	events->cause = (struct event_cause){.portid = r->portid,
					     .seq = r->nlh->nlmsg_seq,
					     .echo = r->nlh->nlmsg_flags & NLM_F_ECHO};
	err = p->family->rcv ? p->family->rcv(r) : serve_handlers(r, p);
	events->cause = before;
	return err;
}

void nl_serve(struct nl_sock *s, const void *data, size_t len)
{
	const uint8_t *at = data;

	while (len >= sizeof(struct nlmsghdr)) {
		const struct nlmsghdr *nlh = (const struct nlmsghdr *)at;
		int err = 0;

		if (nlh->nlmsg_len < sizeof(*nlh) || nlh->nlmsg_len > len)
			return;
		struct nl_req r = {.nlsk = s,
				   .sk = &s->sk,
				   .net = s->sk.net,
				   .weft = s->sk.weft,
				   .nlh = nlh,
				   .portid = s->portid,
				   .strict = s->strict,
				   .pid = s->sk.pid};
		if ((nlh->nlmsg_flags & NLM_F_REQUEST) && nlh->nlmsg_type >= NLMSG_MIN_TYPE)
			err = serve_one(&r);
		/* A dump that began answers by itself. */
		if (err != -EINTR && (err || (nlh->nlmsg_flags & NLM_F_ACK)))
			nl_ack(&r, err);
		size_t step = MIN(MNL_ALIGN((size_t)nlh->nlmsg_len), len);
		at += step;
		len -= step;
	}
}

/* ---- answers ---- */

int nl_reply(struct nl_req *r, const void *msgs, size_t len)
{
	return nl_queue(r->nlsk, 0, 0, msgs, len, -1) ? 0 : -ENOBUFS;
}

size_t nl_ext_size(const struct nl_sock *s, const struct extack *ext, int err)
{
	size_t n = 0;

	if (!s->ext_ack)
		return 0;
	if (ext->msg)
		n += MNL_ALIGN(sizeof(struct nlattr) + strlen(ext->msg) + 1);
	if (err && ext->bad_off)
		n += 8;
	if (err && ext->policy)
		n += NL_POLICY_ATTR_SIZE;
	if (err && ext->has_miss)
		n += 8;
	return n;
}

void nl_ext_put(struct nlmsghdr *nlh, const struct extack *ext, int err, size_t req_len)
{
	if (ext->msg)
		mnl_attr_put_strz(nlh, NLMSGERR_ATTR_MSG, ext->msg);
	if (err && ext->bad_off && ext->bad_off < req_len)
		mnl_attr_put_u32(nlh, NLMSGERR_ATTR_OFFS, ext->bad_off);
	if (err && ext->policy)
		nl_policy_put(nlh, NLMSGERR_ATTR_POLICY, ext->policy, NULL);
	if (err && ext->has_miss)
		mnl_attr_put_u32(nlh, NLMSGERR_ATTR_MISS_TYPE, ext->miss_type);
}

/* NLMSG_ERROR: the error, the request's header, the request itself when it failed and the program
 * did not ask for caps, then the extended part. */
int nl_ack(struct nl_req *r, int err)
{
	size_t ext = nl_ext_size(r->nlsk, &r->ext, err);
	bool whole = err && !r->nlsk->cap_ack;
	size_t body = whole ? mnl_nlmsg_get_payload_len(r->nlh) : 0;
	size_t size = sizeof(struct nlmsghdr) + sizeof(struct nlmsgerr) + MNL_ALIGN(body) + ext;
	void *buf = calloc(1, size);
	int ret;

	if (!buf) {
		nl_overrun(r->nlsk);
		return -ENOBUFS;
	}
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	nlh->nlmsg_type = NLMSG_ERROR;
	/* A success is short in any case, but Linux says "capped" only of what it cut. */
	nlh->nlmsg_flags = (whole ? 0 : NLM_F_CAPPED) | (ext ? NLM_F_ACK_TLVS : 0);
	nlh->nlmsg_seq = r->nlh->nlmsg_seq;
	nlh->nlmsg_pid = r->portid;
	struct nlmsgerr *e = mnl_nlmsg_put_extra_header(nlh, sizeof(*e));
	e->error = err;
	e->msg = *r->nlh;
	if (body)
		memcpy(mnl_nlmsg_put_extra_header(nlh, body), mnl_nlmsg_get_payload(r->nlh), body);
	if (ext)
		nl_ext_put(nlh, &r->ext, err, r->nlh->nlmsg_len);
	ret = nl_reply(r, nlh, nlh->nlmsg_len);
	free(buf);
	return ret;
}

/* ---- groups ---- */

static bool joined(const struct nl_sock *s, unsigned group)
{
	return group && group <= NL_GROUPS_MAX &&
	       (s->groups[(group - 1) / 64] >> ((group - 1) % 64) & 1);
}

/* Does s, which listens everywhere, know `net` by an id? */
static bool hears_net(const struct nl_sock *s, struct net *net)
{
	return s->sk.net != net && net_id_of(s->sk.net, net) >= 0;
}

bool nl_has_listeners(struct net *net, int protocol, unsigned group)
{
	struct nl_sock *s;

	if (!net->nl)
		return false;
	cds_list_for_each_entry (s, nl_members(net, protocol), member)
		if (s->sk.protocol == protocol && joined(s, group))
			return true;
	cds_list_for_each_entry (s, &net->weft->nl->all_nsid, all_nsid_link)
		if (s->sk.protocol == protocol && joined(s, group) && hears_net(s, net))
			return true;
	return false;
}

static void multicast_one(struct nl_sock *s, uint32_t group, const void *msgs, size_t len, int nsid)
{
	if (s->congested || s->sk.dead)
		return;
	nl_queue(s, 0, group, msgs, len, nsid);
}

void nl_multicast(struct net *net, int protocol, unsigned group, const void *msgs, size_t len,
		  uint32_t except)
{
	struct nl_sock *s, *next;

	if (!net->nl)
		return;
	cds_list_for_each_entry_safe (s, next, nl_members(net, protocol), member) {
		if (s->sk.protocol != protocol || !joined(s, group))
			continue;
		if (except && s->portid == except)
			continue;
		multicast_one(s, group, msgs, len, -1);
	}
	cds_list_for_each_entry_safe (s, next, &net->weft->nl->all_nsid, all_nsid_link) {
		if (s->sk.protocol == protocol && joined(s, group) && hears_net(s, net))
			multicast_one(s, group, msgs, len, net_id_of(s->sk.net, net));
	}
}

int nl_unicast(struct net *net, int protocol, uint32_t portid, const void *msgs, size_t len)
{
	struct nl_sock *s = nl_find(net->weft->nl, net, protocol, portid);

	if (!s)
		return -ECONNREFUSED;
	return nl_queue(s, 0, 0, msgs, len, -1) ? 0 : -EAGAIN;
}

/* ---- families ---- */

int nl_register(struct weft *weft, const struct nl_family *f)
{
	struct nl_proto *p = &weft->nl->proto[f->protocol];
	unsigned n = 0;

	if (p->family)
		return -EEXIST;
	for (unsigned t = 0; f->handlers && f->handlers[t]; t++)
		for (const struct nl_handler *h = f->handlers[t]; h->type; h++)
			n = MAX(n, h->type + 1u);
	if (n) {
		p->by_type = calloc(n, sizeof(*p->by_type));
		if (!p->by_type)
			return -ENOMEM;
	}
	p->n_types = n;
	for (unsigned t = 0; f->handlers && f->handlers[t]; t++) {
		for (const struct nl_handler *h = f->handlers[t]; h->type; h++) {
			unsigned i = 0;
			while (i < NL_HANDLERS_MAX && p->by_type[h->type][i])
				i++;
			assert(i < NL_HANDLERS_MAX);
			p->by_type[h->type][i] = h;
		}
	}
	p->family = f;
	return 0;
}

void nl_set_resolver(struct weft *weft, const struct nl_resolver *r)
{
	weft->nl->resolver = r;
}

const struct nl_resolver *nl_resolver(struct weft *weft)
{
	return weft->nl->resolver;
}
