/*
 * netlink_fuzz: requests of all kinds on netlink sockets: none may crash the instance or make it
 * keep memory.
 *
 * The input is a list of records. Each names a good request (nl_test_bed.h), says how it is bent
 * (bytes changed, cut, attributes behind it taken from the input), whether the socket is strict,
 * and whether time passes or the reader goes on; or it is a message as it stands. The instance is
 * made once; each input has a namespace of its own, and one beside it to be moved to, which go at
 * its end. Kinds from KIND_DIAG on ask NETLINK_SOCK_DIAG about the sockets of tcp_make() and what
 * became of them.
 */
#include <linux/inet_diag.h>
#include <linux/sock_diag.h>
#include <stdlib.h>

#include "ctl/fuzz_bed.h"

enum wish {
	WISH_RAW = 1,	  /* the bytes are the message behind its header */
	WISH_STRICT = 2,  /* NETLINK_GET_STRICT_CHK */
	WISH_APPEND = 4,  /* bytes behind the request, counted in its length */
	WISH_CUT = 8,	  /* the request ends early */
	WISH_TIME = 16,	  /* a second passes afterwards */
	WISH_UNREAD = 32, /* answers stay in the queue */
	WISH_FLAGS = 64,  /* nlmsg_flags are from the input */
	WISH_LIE = 128,	  /* nlmsg_len is from the input */
};

struct input {
	const uint8_t *at;
	size_t left;
};

static struct fuzz_bed f;

static unsigned take_u8(struct input *in)
{
	if (!in->left)
		return 0;
	in->left--;
	return *in->at++;
}

static unsigned take_u16(struct input *in)
{
	unsigned lo = take_u8(in);
	return lo | take_u8(in) << 8;
}

static size_t take_bytes(struct input *in, void *to, size_t want)
{
	size_t n = MIN(want, in->left);

	memcpy(to, in->at, n);
	in->at += n;
	in->left -= n;
	return n;
}

static void drain(struct sock *sk)
{
	struct answer a = {0};

	while (bed_take(sk, &a))
		;
}

/* ---- sockets to ask about ---- */

enum { PORT = 7, KIND_DIAG = 0xf0 };

static struct sock *inet_sock_on(struct net *net, int type, uint16_t port)
{
	const struct sockaddr_in a = {.sin_family = AF_INET,
				      .sin_port = htons(port),
				      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct sock *sk;

	if (sock_new(net, AF_INET, type, 0, &sk) ||
	    sock_bind(sk, (const struct sockaddr *)&a, sizeof(a)))
		abort();
	return sk;
}

/* A listener, a connection to it that waits to be accepted, a port that is bound and no more. */
static void tcp_make(struct net *net, struct sock *to[3])
{
	const struct sockaddr_in a = {.sin_family = AF_INET,
				      .sin_port = htons(PORT),
				      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

	to[0] = inet_sock_on(net, SOCK_STREAM, PORT);
	to[1] = inet_sock_on(net, SOCK_STREAM, PORT + 1);
	to[2] = inet_sock_on(net, SOCK_DGRAM, PORT + 2);
	if (sock_listen(to[0], 4) ||
	    sock_connect(to[1], (const struct sockaddr *)&a, sizeof(a)) != -EINPROGRESS)
		abort();
	weft_settle(f.weft, f.now);
}

static void diag_case(struct req *q, unsigned kind)
{
	static const uint8_t protocol[] = {IPPROTO_TCP, IPPROTO_UDP, IPPROTO_RAW, IPPROTO_TCP};
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(q->buf);
	struct inet_diag_req_v2 *r = mnl_nlmsg_put_extra_header(nlh, sizeof(*r));

	q->nlh = nlh;
	nlh->nlmsg_type = kind & 1 ? SOCK_DESTROY : SOCK_DIAG_BY_FAMILY;
	nlh->nlmsg_flags = NLM_F_REQUEST | (kind & 2 ? 0 : NLM_F_DUMP);
	r->sdiag_family = AF_INET;
	r->sdiag_protocol = protocol[kind >> 2 & 3];
	r->idiag_ext = 0xff;
	r->idiag_states = UINT32_MAX;
	if (kind & 2) {
		r->id.idiag_sport = htons(PORT + (kind >> 3 & 1));
		r->id.idiag_dport = kind >> 3 & 1 ? htons(PORT) : 0;
		r->id.idiag_src[0] = r->id.idiag_dst[0] = htonl(INADDR_LOOPBACK);
		r->id.idiag_cookie[0] = r->id.idiag_cookie[1] = INET_DIAG_NOCOOKIE;
	}
}

/* Writes the next request into q; its length in the datagram. */
static size_t make(struct input *in, unsigned kind, unsigned wish)
{
	if (kind >= KIND_DIAG)
		diag_case(&f.q, kind);
	else
		nl_case(&f.q, kind % NL_CASES);
	uint8_t *body = f.q.buf + sizeof(struct nlmsghdr);

	if (wish & WISH_RAW && kind < KIND_DIAG) {
		f.q.nlh->nlmsg_type = (uint16_t)(kind < 0x80 ? kind : 0x0f + kind % 4);
		f.q.nlh->nlmsg_len =
			(uint32_t)(sizeof(struct nlmsghdr) + take_bytes(in, body, take_u8(in)));
	} else {
		unsigned n = take_u8(in) % 8, len = mnl_nlmsg_get_payload_len(f.q.nlh);
		for (unsigned i = 0; i < n && len; i++) {
			unsigned at = take_u8(in) % len;
			body[at] = (uint8_t)take_u8(in);
		}
	}
	if (wish & WISH_FLAGS)
		f.q.nlh->nlmsg_flags = (uint16_t)(take_u16(in) | NLM_F_REQUEST);
	if (wish & WISH_CUT)
		f.q.nlh->nlmsg_len -= take_u8(in) % (mnl_nlmsg_get_payload_len(f.q.nlh) + 1);
	if (wish & WISH_APPEND) {
		uint8_t *end = f.q.buf + f.q.nlh->nlmsg_len;
		f.q.nlh->nlmsg_len += (uint32_t)take_bytes(in, end, take_u8(in));
	}
	size_t len = f.q.nlh->nlmsg_len;
	if (wish & WISH_LIE)
		f.q.nlh->nlmsg_len = take_u16(in);
	return len;
}

static void one(struct input *in, struct sock *const sk[3])
{
	unsigned kind = take_u8(in), wish = take_u8(in);
	size_t len = make(in, kind, wish);
	bool genl = f.q.nlh->nlmsg_type >= GENL_ID_CTRL && kind % NL_CASES >= NL_CASES_GENL;
	int strict = !!(wish & WISH_STRICT);
	struct sock *to = sk[kind >= KIND_DIAG ? 2 : genl];

	sock_setsockopt(to, 270, NETLINK_GET_STRICT_CHK, &strict, sizeof(strict));
	bed_send(to, f.q.buf, len);
	if (!(wish & WISH_UNREAD))
		drain(to);
	if (wish & WISH_TIME)
		fuzz_bed_pass(&f, NSEC_PER_SEC);
	else
		weft_settle(f.weft, f.now);
}

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	fuzz_bed_init(&f);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, size};
	struct net *net = fuzz_bed_net(&f), *beside = fuzz_bed_net(&f);
	struct sock *sk[3], *tcp[3], *all;
	static const unsigned groups[] = {
		RTNLGRP_LINK,	    RTNLGRP_NEIGH,	  RTNLGRP_IPV4_IFADDR,
		RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV4_NETCONF, RTNLGRP_NSID,
	};

	net_id_alloc(net, beside, 1);
	sk[0] = bed_sock(net, NETLINK_ROUTE);
	sk[1] = bed_sock(net, NETLINK_GENERIC);
	sk[2] = bed_sock(net, NETLINK_SOCK_DIAG);
	tcp_make(net, tcp);
	all = bed_sock(net, NETLINK_ROUTE);
	for (unsigned i = 0; i < ARRAY_SIZE(groups); i++)
		sock_setsockopt(all, 270, NETLINK_ADD_MEMBERSHIP, &groups[i], sizeof(unsigned));
	while (in.left)
		one(&in, sk);
	for (unsigned i = 0; i < 3; i++) {
		bed_close(sk[i]);
		bed_close(tcp[i]);
	}
	bed_close(all);
	net_put(net);
	net_put(beside);
	fuzz_bed_end(&f);
	return 0;
}
