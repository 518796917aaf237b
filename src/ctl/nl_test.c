/*
 * Netlink's machinery over every kind of request: messages cut short at every byte, attributes of
 * every length and depth, dumps to readers with little room, listeners that are slow, and what the
 * options of a socket do to the answers.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "ctl/nl_test_bed.h"

static struct req q, p;

static int setup(void **state)
{
	struct bed *b = calloc(1, sizeof(*b));

	assert_non_null(b);
	b->now = NSEC_PER_SEC;
	b->weft = bed_weft(b->now);
	assert_non_null(b->weft);
	b->net = bed_net(b->weft, &q);
	assert_non_null(b->net);
	b->sk = bed_sock(b->net, NETLINK_ROUTE);
	assert_non_null(b->sk);
	*state = b;
	return 0;
}

static int teardown(void **state)
{
	struct bed *b = *state;

	bed_close(b->sk);
	net_put(b->net);
	b->now = weft_run_until(b->weft, b->now, b->now + 5 * NSEC_PER_SEC);
	rcu_barrier();
	assert_int_equal(pool_in_use(b->weft->pool), 0);
	weft_free(b->weft);
	free(b);
	return 0;
}

static struct net *fresh(struct bed *b)
{
	struct net *net = bed_net(b->weft, &p);

	assert_non_null(net);
	return net;
}

static void done_with(struct bed *b, struct net *net)
{
	net_put(net);
	weft_settle(b->weft, b->now);
}

static struct sock *sock_for(struct net *net, unsigned i, int strict)
{
	struct sock *sk = bed_sock(net, i >= NL_CASES_GENL ? NETLINK_GENERIC : NETLINK_ROUTE);

	assert_non_null(sk);
	assert_int_equal(sock_setsockopt(sk, 270, NETLINK_GET_STRICT_CHK, &strict, sizeof(strict)),
			 0);
	return sk;
}

static void set_opt(struct sock *sk, int opt, int val)
{
	assert_int_equal(sock_setsockopt(sk, 270, opt, &val, sizeof(val)), 0);
}

static struct answer ask(struct bed *b)
{
	struct answer a = bed_ask(b->sk, &q);

	weft_settle(b->weft, b->now);
	return a;
}

static void ask_ok(struct bed *b)
{
	struct answer a = ask(b);

	if (a.err)
		fail_msg("%d %s", a.err, a.text);
}

/* ---- messages that are not whole ---- */

/* Answered once, in one way. */
static void check_answered(const struct answer *a, unsigned i, size_t len)
{
	if (a->any_error + a->done != 1)
		fail_msg("request %u cut to %zu: %u errors, %u messages", i, len, a->any_error,
			 a->n_msgs);
}

/* Cut, with a length that says so. */
static void test_cut(void **state)
{
	struct bed *b = *state;

	for (unsigned i = 0; i < NL_CASES; i++) {
		nl_case(&q, i);
		size_t whole = q.nlh->nlmsg_len;
		for (int strict = 0; strict < 2; strict++) {
			struct net *net = fresh(b);
			struct sock *sk = sock_for(net, i, strict);
			for (size_t len = sizeof(*q.nlh); len <= whole; len++) {
				nl_case(&q, i);
				q.nlh->nlmsg_flags |= NLM_F_ACK;
				q.nlh->nlmsg_len = (uint32_t)len;
				struct answer a = bed_ask(sk, &q);
				check_answered(&a, i, len);
			}
			bed_close(sk);
			done_with(b, net);
		}
	}
}

/* Cut, with a length that does not: ends the datagram without a word. */
static void test_lies(void **state)
{
	struct bed *b = *state;

	for (unsigned i = 0; i < NL_CASES; i++) {
		struct sock *sk = sock_for(b->net, i, 0);
		nl_case(&q, i);
		size_t whole = q.nlh->nlmsg_len;
		for (size_t len = 1; len < whole; len++) {
			struct answer a = {0};
			bed_send(sk, q.buf, len);
			while (bed_take(sk, &a))
				;
			assert_int_equal(a.n_datagrams, 0);
		}
		for (uint32_t len = 0; len < sizeof(*q.nlh); len++) {
			q.nlh->nlmsg_len = len;
			struct answer a = {0};
			bed_send(sk, q.buf, whole);
			while (bed_take(sk, &a))
				;
			assert_int_equal(a.n_datagrams, 0);
		}
		bed_close(sk);
	}
}

/* The header of case i, as it stands, without attributes. */
static size_t header_of(unsigned i)
{
	nl_case(&q, i);
	switch (q.nlh->nlmsg_type) {
	case RTM_NEWADDR:
	case RTM_DELADDR:
	case RTM_GETADDR:
		return sizeof(struct ifaddrmsg);
	case RTM_NEWROUTE:
	case RTM_DELROUTE:
	case RTM_GETROUTE:
		return sizeof(struct rtmsg);
	case RTM_NEWNEIGH:
	case RTM_DELNEIGH:
	case RTM_GETNEIGH:
		return sizeof(struct ndmsg);
	case RTM_GETNEIGHTBL:
	case RTM_SETNEIGHTBL:
	case RTM_NEWNSID:
	case RTM_GETNSID:
	case RTM_GETNETCONF:
		return 4;
	case RTM_NEWRULE:
	case RTM_DELRULE:
	case RTM_GETRULE:
		return sizeof(struct fib_rule_hdr);
	case RTM_GETSTATS:
		return sizeof(struct if_stats_msg);
	case RTM_GETQDISC:
		return sizeof(struct tcmsg);
	default:
		return i >= NL_CASES_GENL ? GENL_HDRLEN : sizeof(struct ifinfomsg);
	}
}

/* Request i with one attribute of any bytes; `says`: what its length claims. */
static void bend(unsigned i, unsigned type, size_t len, unsigned says)
{
	size_t header = header_of(i);

	q.nlh->nlmsg_flags |= NLM_F_ACK;
	q.nlh->nlmsg_len = (uint32_t)(sizeof(*q.nlh) + MNL_ALIGN(header));
	struct nlattr *a = mnl_nlmsg_get_payload_tail(q.nlh);
	memset(a, 0x5a, sizeof(*a) + len + 4);
	a->nla_type = (uint16_t)type;
	a->nla_len = (uint16_t)says;
	q.nlh->nlmsg_len += (uint32_t)MNL_ALIGN(sizeof(*a) + len);
}

static void test_attr_lengths(void **state)
{
	struct bed *b = *state;

	for (unsigned i = 0; i < NL_CASES; i++) {
		struct net *net = fresh(b);
		for (int strict = 0; strict < 2; strict++) {
			struct sock *sk = sock_for(net, i, strict);
			for (unsigned type = 0; type < 72; type++) {
				for (size_t len = 0; len < 20; len++) {
					bend(i, type, len, (unsigned)(4 + len));
					struct answer a = bed_ask(sk, &q);
					check_answered(&a, i, len);
				}
				/* shorter than itself, and reaching beyond the message */
				for (unsigned says = 0; says < 32; says++) {
					bend(i, type, 8, says);
					struct answer a = bed_ask(sk, &q);
					check_answered(&a, i, says);
				}
			}
			bed_close(sk);
		}
		done_with(b, net);
	}
}

static void nest_deep(struct nlmsghdr *nlh, unsigned type, unsigned flag, unsigned depth)
{
	struct nlattr *nest[64];

	for (unsigned i = 0; i < depth; i++)
		nest[i] = nl_nest(nlh, (uint16_t)((i ? 1 + i % 3 : type) | flag));
	while (depth-- > 0)
		mnl_attr_nest_end(nlh, nest[depth]);
}

static void test_depth(void **state)
{
	struct bed *b = *state;

	for (unsigned i = 0; i < NL_CASES; i++) {
		struct net *net = fresh(b);
		struct sock *sk = sock_for(net, i, 1);
		for (unsigned type = 1; type < 70; type++) {
			for (unsigned flag = 0; flag < 2; flag++) {
				size_t header = header_of(i);
				q.nlh->nlmsg_flags |= NLM_F_ACK;
				q.nlh->nlmsg_len = (uint32_t)(sizeof(*q.nlh) + MNL_ALIGN(header));
				nest_deep(q.nlh, type, flag ? NLA_F_NESTED : 0, 64);
				struct answer a = bed_ask(sk, &q);
				check_answered(&a, i, type);
			}
		}
		bed_close(sk);
		done_with(b, net);
	}
}

static void test_unknown(void **state)
{
	struct bed *b = *state;

	for (unsigned type = NLMSG_MIN_TYPE; type < 200; type++) {
		for (unsigned family = 0; family < 256; family += family < 32 ? 1 : 31) {
			for (int dump = 0; dump < 2; dump++) {
				uint8_t *body = req_new(&q, (uint16_t)type,
							NLM_F_ACK | (dump ? NLM_F_DUMP : 0), 64);
				body[0] = (uint8_t)family;
				struct answer a = ask(b);
				check_answered(&a, type, family);
			}
		}
	}
	/* Without the flag of a request, or of a type that is netlink's own: nothing is done. */
	nl_case(&q, 4);
	q.nlh->nlmsg_flags &= (uint16_t)~NLM_F_REQUEST;
	ask_ok(b);
	q.nlh->nlmsg_flags |= NLM_F_REQUEST;
	q.nlh->nlmsg_type = NLMSG_NOOP;
	ask_ok(b);
	assert_non_null(net_dev_by_index(b->net, BED_V1));
}

/* ---- dumps ---- */

static void make_dummies(struct bed *b, unsigned n)
{
	char name[IFNAMSIZ];

	for (unsigned i = 0; i < n; i++) {
		snprintf(name, sizeof(name), "d%u", i);
		req_kind(&q, name, "dummy");
		ask_ok(b);
	}
}

static void small_buffer(struct sock *sk)
{
	assert_int_equal(sock_setsockopt(sk, SOL_SOCKET, SO_RCVBUF, &(int){2048}, sizeof(int)), 0);
}

static void test_dump_many(void **state)
{
	struct bed *b = *state;

	make_dummies(b, 1200);
	small_buffer(b->sk);
	case_dump(&q, RTM_GETLINK, sizeof(struct ifinfomsg), 0);
	struct answer a = ask(b);
	assert_true(a.done && !a.err && !a.intr && !a.overrun);
	assert_int_equal(a.n_msgs, 1203);

	for (unsigned i = 0; i < 1100; i++) {
		char addr[32];
		snprintf(addr, sizeof(addr), "10.%u.%u.1", 20 + i / 250, i % 250);
		req_addr(&q, RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, 4 + (int)(i % 1200), addr, 24);
		ask_ok(b);
	}
	case_dump(&q, RTM_GETADDR, sizeof(struct ifaddrmsg), AF_INET);
	a = ask(b);
	assert_true(a.done && !a.err && !a.intr && !a.overrun);
	assert_int_equal(a.n_msgs, 1102); /* and of lo and v0 */
	case_dump(&q, RTM_GETNEIGHTBL, sizeof(struct ndtmsg), AF_INET);
	a = ask(b);
	assert_int_equal(a.n_msgs, 1204);
}

static void test_dump_routes(void **state)
{
	struct bed *b = *state;
	enum { N = 100000 };

	case_dump(&q, RTM_GETROUTE, sizeof(struct rtmsg), AF_INET);
	unsigned before = ask(b).n_msgs;
	for (unsigned i = 0; i < N; i++) {
		struct rtmsg *m = req_new(&q, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, sizeof(*m));
		*m = (struct rtmsg){.rtm_family = AF_INET,
				    .rtm_dst_len = 32,
				    .rtm_table = RT_TABLE_MAIN,
				    .rtm_protocol = RTPROT_STATIC,
				    .rtm_scope = RT_SCOPE_LINK,
				    .rtm_type = RTN_UNICAST};
		req_u32(&q, RTA_DST, htonl(0x0b000000 + i * 3));
		req_u32(&q, RTA_OIF, BED_V0);
		bed_send(b->sk, q.buf, q.nlh->nlmsg_len);
	}
	small_buffer(b->sk);
	case_dump(&q, RTM_GETROUTE, sizeof(struct rtmsg), AF_INET);
	struct answer a = ask(b);
	assert_true(a.done && !a.err && !a.intr && !a.overrun);
	assert_int_equal(a.n_msgs, before + N);
}

static void test_dump_neighbours(void **state)
{
	struct bed *b = *state;
	enum { N = 20000 };
	struct answer a = {0};

	for (unsigned i = 0; i < N; i++) {
		req_neigh(&q, RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_EXCL, BED_V0, "0.0.0.0");
		q.nlh->nlmsg_len -= 8;
		req_u32(&q, NDA_DST, htonl(0x0a010000 + i));
		mnl_attr_put(q.nlh, NDA_LLADDR, 6, "\2\0\0\0\0\2");
		ask_ok(b);
	}
	case_dump(&q, RTM_GETNEIGH, sizeof(struct ndmsg), AF_INET);
	assert_int_equal(ask(b).n_msgs, N + 1);

	/* Entries go while the dump stands on them: each of the others is told once. */
	bed_send(b->sk, q.buf, q.nlh->nlmsg_len);
	assert_true(bed_take(b->sk, &a));
	for (unsigned i = 0; i < N / 2; i++) {
		uint32_t key = htonl(0x0a010000 + i);
		neigh_del(neigh_lookup(arp_table(b->weft), net_dev_by_index(b->net, BED_V0), &key));
	}
	while (bed_take(b->sk, &a))
		;
	assert_true(a.done);
	assert_in_range(a.n_msgs, N / 2 + 1, N / 2 + 400);
}

/* A device comes while links are told. */
static void test_dump_interrupted(void **state)
{
	struct bed *b = *state;
	struct sock *other = bed_sock(b->net, NETLINK_ROUTE);
	struct answer a = {0};

	make_dummies(b, 100);
	small_buffer(b->sk);
	case_dump(&q, RTM_GETLINK, sizeof(struct ifinfomsg), 0);
	bed_send(b->sk, q.buf, q.nlh->nlmsg_len);
	assert_true(bed_take(b->sk, &a));
	assert_false(a.intr);
	req_kind(&q, "late", "dummy");
	assert_int_equal(bed_ask(other, &q).err, 0);
	while (bed_take(b->sk, &a))
		;
	assert_true(a.done && a.intr);
	bed_close(other);
}

/* A second dump while one is under way; and a reader that leaves in the middle. */
static void test_dump_busy(void **state)
{
	struct bed *b = *state;
	struct answer a = {0};

	make_dummies(b, 300);
	case_dump(&q, RTM_GETLINK, sizeof(struct ifinfomsg), 0);
	bed_send(b->sk, q.buf, q.nlh->nlmsg_len);
	bed_send(b->sk, q.buf, q.nlh->nlmsg_len);
	while (bed_take(b->sk, &a))
		;
	assert_true(a.done && a.any_error);
	assert_int_equal(a.n_acks, 1);

	bed_send(b->sk, q.buf, q.nlh->nlmsg_len);
	bed_take(b->sk, &a);
	bed_close(b->sk);
	b->sk = bed_sock(b->net, NETLINK_ROUTE);
}

/* ---- listeners ---- */

static void join(struct sock *sk, unsigned group)
{
	assert_int_equal(sock_setsockopt(sk, 270, NETLINK_ADD_MEMBERSHIP, &group, sizeof(group)),
			 0);
}

static struct answer heard(struct sock *sk)
{
	struct answer a = {0};

	while (bed_take(sk, &a))
		;
	return a;
}

static void test_groups(void **state)
{
	struct bed *b = *state;
	struct sock *links = bed_sock(b->net, NETLINK_ROUTE);
	struct sock *neighs = bed_sock(b->net, NETLINK_ROUTE);
	struct net *elsewhere = fresh(b);
	struct sock *other = bed_sock(elsewhere, NETLINK_ROUTE);

	join(links, RTNLGRP_LINK);
	join(neighs, RTNLGRP_NEIGH);
	join(other, RTNLGRP_LINK);
	req_kind(&q, "d0", "dummy");
	ask_ok(b);
	assert_int_equal(heard(links).n_msgs, 1);
	assert_int_equal(heard(neighs).n_msgs, 0);
	assert_int_equal(heard(other).n_msgs, 0);
	case_neigh(&q, RTM_NEWNEIGH);
	ask_ok(b);
	struct answer a = heard(neighs);
	const struct nlmsghdr *nlh = (const struct nlmsghdr *)a.first;
	assert_int_equal(a.n_msgs, 1);
	assert_int_equal(nlh->nlmsg_type, RTM_NEWNEIGH);
	case_neigh(&q, RTM_DELNEIGH); /* first seen failed, then gone */
	ask_ok(b);
	assert_int_equal(heard(neighs).n_msgs, 2);

	unsigned group = RTNLGRP_LINK;
	assert_int_equal(
		sock_setsockopt(links, 270, NETLINK_DROP_MEMBERSHIP, &group, sizeof(group)), 0);
	req_kind(&q, "d1", "dummy");
	ask_ok(b);
	assert_int_equal(heard(links).n_msgs, 0);
	group = 0;
	assert_int_equal(sock_setsockopt(links, 270, NETLINK_ADD_MEMBERSHIP, &group, sizeof(group)),
			 -EINVAL);
	bed_close(links);
	bed_close(neighs);
	bed_close(other);
	done_with(b, elsewhere);
}

/* The one who asked hears of it when it said so, with its own number; listeners in any case. */
static void test_echo(void **state)
{
	struct bed *b = *state;
	struct sock *routes = bed_sock(b->net, NETLINK_ROUTE);

	join(routes, RTNLGRP_IPV4_ROUTE);
	case_route(&q, 0);
	q.nlh->nlmsg_flags |= NLM_F_ECHO;
	struct answer a = ask(b);
	const struct nlmsghdr *nlh = (const struct nlmsghdr *)a.first;
	assert_int_equal(a.err, 0);
	assert_int_equal(a.n_msgs, 1);
	assert_int_equal(nlh->nlmsg_type, RTM_NEWROUTE);
	assert_int_equal(nlh->nlmsg_seq, 7);
	assert_int_equal(heard(routes).n_msgs, 1);
	case_route(&q, 1);
	a = ask(b);
	assert_int_equal(a.n_msgs, 0);
	assert_int_equal(heard(routes).n_msgs, 1);
	bed_close(routes);
}

static void test_slow_listener(void **state)
{
	struct bed *b = *state;
	struct sock *slow = bed_sock(b->net, NETLINK_ROUTE);
	struct sock *deaf = bed_sock(b->net, NETLINK_ROUTE);

	small_buffer(slow);
	small_buffer(deaf);
	set_opt(deaf, NETLINK_NO_ENOBUFS, 1);
	join(slow, RTNLGRP_LINK);
	join(deaf, RTNLGRP_LINK);
	make_dummies(b, 100);
	assert_true(slow->rx_bytes <= slow->rcvbuf + 4096);
	struct answer a = heard(slow);
	assert_true(a.overrun && a.n_msgs > 0 && a.n_msgs < 100);
	a = heard(deaf);
	assert_false(a.overrun);
	/* and once it has read, it hears again */
	req_kind(&q, "more", "dummy");
	ask_ok(b);
	assert_int_equal(heard(slow).n_msgs, 1);
	bed_close(slow);
	bed_close(deaf);
}

/* ---- acknowledgements ---- */

static void test_acks(void **state)
{
	struct bed *b = *state;
	size_t head = sizeof(struct nlmsghdr) + sizeof(struct nlmsgerr);

	/* a success repeats the header alone; no ACK unless asked for */
	req_kind(&q, "d0", "dummy");
	assert_int_equal(ask(b).ack_len, head);
	req_kind(&q, "d1", "dummy");
	q.nlh->nlmsg_flags &= (uint16_t)~NLM_F_ACK;
	assert_int_equal(ask(b).n_acks, 0);
	/* an error repeats the request, and carries a text where it is asked for */
	nl_case(&q, 28);
	size_t whole = head + q.nlh->nlmsg_len - sizeof(struct nlmsghdr);
	struct answer a = ask(b);
	assert_int_equal(a.err, -EOPNOTSUPP);
	assert_string_equal(a.text, "policy rules are not supported yet");
	assert_int_equal(a.ack_len, whole + 4 + MNL_ALIGN(strlen(a.text) + 1));
	set_opt(b->sk, NETLINK_CAP_ACK, 1);
	a = ask(b);
	assert_string_equal(a.text, "policy rules are not supported yet");
	assert_int_equal(a.ack_len, head + 4 + MNL_ALIGN(strlen(a.text) + 1));
	set_opt(b->sk, NETLINK_EXT_ACK, 0);
	assert_int_equal(ask(b).ack_len, head);
	set_opt(b->sk, NETLINK_CAP_ACK, 0);
	assert_int_equal(ask(b).ack_len, whole);
}

/* Several requests in one datagram are answered one by one, those behind a failure too. */
static void test_several(void **state)
{
	struct bed *b = *state;
	struct answer a = {0};
	uint8_t *buf = malloc(65536);
	size_t len = 0;

	assert_non_null(buf);
	for (unsigned i = 0; i < 6; i++) {
		req_kind(&q, i % 2 ? "same" : i == 2 ? "x" : i == 4 ? "y" : "same", "dummy");
		memcpy(buf + len, q.buf, q.nlh->nlmsg_len);
		len += MNL_ALIGN(q.nlh->nlmsg_len);
	}
	bed_send(b->sk, buf, len);
	while (bed_take(b->sk, &a))
		;
	assert_int_equal(a.n_acks, 6);
	assert_int_equal(a.err, -EEXIST);
	assert_int_equal(b->net->n_devs, 3 + 3);
	free(buf);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_cut, setup, teardown),
		cmocka_unit_test_setup_teardown(test_lies, setup, teardown),
		cmocka_unit_test_setup_teardown(test_attr_lengths, setup, teardown),
		cmocka_unit_test_setup_teardown(test_depth, setup, teardown),
		cmocka_unit_test_setup_teardown(test_unknown, setup, teardown),
		cmocka_unit_test_setup_teardown(test_dump_many, setup, teardown),
		cmocka_unit_test_setup_teardown(test_dump_routes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_dump_neighbours, setup, teardown),
		cmocka_unit_test_setup_teardown(test_dump_interrupted, setup, teardown),
		cmocka_unit_test_setup_teardown(test_dump_busy, setup, teardown),
		cmocka_unit_test_setup_teardown(test_groups, setup, teardown),
		cmocka_unit_test_setup_teardown(test_echo, setup, teardown),
		cmocka_unit_test_setup_teardown(test_slow_listener, setup, teardown),
		cmocka_unit_test_setup_teardown(test_acks, setup, teardown),
		cmocka_unit_test_setup_teardown(test_several, setup, teardown),
	};

	rcu_register_thread();
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	rcu_unregister_thread();
	return failed;
}
