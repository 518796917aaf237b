/*
 * What requests mean: the flags that say whether a thing is to be made, replaced or added to, the
 * filters of strict dumps, neighbours, and generic netlink's families.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <arpa/inet.h>
#include <cmocka.h>

#include "ctl/genl_core.h"
#include "ctl/nl_test_bed.h"

static struct req q;

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

static void expect_err(struct bed *b, int err, const char *text)
{
	struct answer a = ask(b);

	if (a.err != err)
		fail_msg("%d %s, not %d", a.err, a.text, err);
	assert_string_equal(a.text, text);
}

/* ---- made, replaced, added to ---- */

static void route_by(unsigned flags, const char *gateway)
{
	req_route(&q, RTM_NEWROUTE, (uint16_t)flags, "10.20.0.0", 16);
	req_ip(&q, RTA_GATEWAY, gateway);
}

static unsigned routes_of(struct bed *b, unsigned table)
{
	case_dump(&q, RTM_GETROUTE, sizeof(struct rtmsg), AF_INET);
	req_u32(&q, RTA_TABLE, table);
	return ask(b).n_msgs;
}

static void test_route_flags(void **state)
{
	struct bed *b = *state;

	set_opt(b->sk, NETLINK_GET_STRICT_CHK, 1);
	unsigned before = routes_of(b, RT_TABLE_MAIN);
	route_by(0, "10.0.0.2");
	expect_err(b, -ENOENT, "");
	route_by(NLM_F_REPLACE, "10.0.0.2");
	expect_err(b, -ENOENT, "");
	route_by(NLM_F_CREATE | NLM_F_EXCL, "10.0.0.2");
	expect_err(b, 0, "");
	route_by(NLM_F_CREATE | NLM_F_EXCL, "10.0.0.3");
	expect_err(b, -EEXIST, "");
	assert_int_equal(routes_of(b, RT_TABLE_MAIN), before + 1);
	route_by(NLM_F_CREATE | NLM_F_REPLACE, "10.0.0.3");
	expect_err(b, 0, "");
	assert_int_equal(routes_of(b, RT_TABLE_MAIN), before + 1);
	route_by(NLM_F_CREATE | NLM_F_APPEND, "10.0.0.4");
	expect_err(b, 0, "");
	route_by(NLM_F_CREATE | NLM_F_APPEND, "10.0.0.4");
	expect_err(b, -EEXIST, "");
	assert_int_equal(routes_of(b, RT_TABLE_MAIN), before + 2);
	for (int i = 0; i < 2; i++) {
		req_route(&q, RTM_DELROUTE, 0, "10.20.0.0", 16);
		expect_err(b, 0, "");
	}
	req_route(&q, RTM_DELROUTE, 0, "10.20.0.0", 16);
	expect_err(b, -ESRCH, "");
	assert_int_equal(routes_of(b, RT_TABLE_MAIN), before);
}

static void test_addr_flags(void **state)
{
	struct bed *b = *state;

	req_addr(&q, RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, BED_V0, "10.0.0.1", 24);
	expect_err(b, -EEXIST, "ipv4: Address already assigned");
	req_addr(&q, RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, BED_V0, "10.0.0.1", 24);
	expect_err(b, 0, "");
	req_addr(&q, RTM_NEWADDR, NLM_F_CREATE, BED_V0, "10.0.0.1", 33);
	expect_err(b, -EINVAL, "ipv4: Invalid prefix length");
	req_addr(&q, RTM_NEWADDR, NLM_F_CREATE, 99, "10.0.0.1", 24);
	expect_err(b, -ENODEV, "ipv4: Device not found");
	req_addr(&q, RTM_DELADDR, 0, BED_V0, "10.0.0.3", 24);
	expect_err(b, -EADDRNOTAVAIL, "ipv4: Address not found");
}

static void test_link_flags(void **state)
{
	struct bed *b = *state;

	req_kind(&q, "v0", "dummy");
	expect_err(b, -EEXIST, "");
	req_kind(&q, "d0", "nosuchkind");
	expect_err(b, -EOPNOTSUPP, "Unknown device type");
	req_link(&q, RTM_NEWLINK, NLM_F_ACK, 99)->ifi_change = IFF_UP;
	expect_err(b, -ENODEV, "");
	req_link(&q, RTM_DELLINK, NLM_F_ACK, 1);
	expect_err(b, -EOPNOTSUPP, "");
	case_linkprop(&q, RTM_NEWLINKPROP);
	expect_err(b, 0, "");
	case_linkprop(&q, RTM_NEWLINKPROP);
	expect_err(b, -EEXIST, "");
	assert_ptr_equal(net_dev_by_name(b->net, "second-name"), net_dev_by_index(b->net, BED_V0));
	case_linkprop(&q, RTM_DELLINKPROP);
	expect_err(b, 0, "");
	assert_null(net_dev_by_name(b->net, "second-name"));
}

/* ---- neighbours ---- */

static struct neigh *neigh_of(struct bed *b, const char *addr)
{
	uint32_t key = inet_addr(addr);

	return neigh_lookup(arp_table(b->weft), net_dev_by_index(b->net, BED_V0), &key);
}

static struct ndmsg *neigh_req(unsigned flags, const char *dst, const char *lladdr)
{
	struct ndmsg *m = req_neigh(&q, RTM_NEWNEIGH, (uint16_t)flags, BED_V0, dst);

	if (lladdr)
		mnl_attr_put(q.nlh, NDA_LLADDR, 6, lladdr);
	return m;
}

static void test_neigh_flags(void **state)
{
	struct bed *b = *state;

	neigh_req(0, "10.0.0.5", "\2\0\0\0\0\5");
	expect_err(b, -ENOENT, "");
	neigh_req(NLM_F_CREATE, "10.0.0.5", NULL);
	expect_err(b, -EINVAL, "No link layer address given");
	neigh_req(NLM_F_CREATE | NLM_F_REPLACE, "10.0.0.5", "\2\0\0\0\0\5");
	expect_err(b, 0, "");
	neigh_req(NLM_F_CREATE | NLM_F_EXCL, "10.0.0.5", "\2\0\0\0\0\6");
	expect_err(b, -EEXIST, "");
	/* another address is not taken without REPLACE */
	neigh_req(NLM_F_CREATE, "10.0.0.5", "\2\0\0\0\0\6");
	expect_err(b, 0, "");
	assert_memory_equal(neigh_of(b, "10.0.0.5")->lladdr, "\2\0\0\0\0\5", 6);
	neigh_req(NLM_F_REPLACE, "10.0.0.5", "\2\0\0\0\0\6")->ndm_flags = NTF_ROUTER;
	expect_err(b, 0, "");
	assert_memory_equal(neigh_of(b, "10.0.0.5")->lladdr, "\2\0\0\0\0\6", 6);
	assert_true(neigh_of(b, "10.0.0.5")->flags & NTF_ROUTER);
	/* what is said no more is so no more */
	neigh_req(NLM_F_REPLACE, "10.0.0.5", "\2\0\0\0\0\6")->ndm_flags = NTF_EXT_LEARNED;
	expect_err(b, 0, "");
	assert_int_equal(neigh_of(b, "10.0.0.5")->flags, NTF_EXT_LEARNED);
	neigh_req(NLM_F_REPLACE, "10.0.0.5", "\2\0\0\0\0\6");
	expect_err(b, 0, "");
	assert_int_equal(neigh_of(b, "10.0.0.5")->flags, 0);
	req_neigh(&q, RTM_DELNEIGH, 0, BED_V0, "10.0.0.5");
	expect_err(b, 0, "");
	assert_null(neigh_of(b, "10.0.0.5"));
}

/* One that is managed is resolved again by itself, as often as it fails. */
static void test_neigh_managed(void **state)
{
	struct bed *b = *state;
	struct neigh_table *t = arp_table(b->weft);

	neigh_req(NLM_F_CREATE, "10.0.0.6", NULL);
	req_u32(&q, NDA_FLAGS_EXT, NTF_EXT_MANAGED);
	expect_err(b, -EINVAL, "Invalid NTF_* flag for permanent entry");
	neigh_req(NLM_F_CREATE, "10.0.0.6", NULL)->ndm_state = 0;
	req_u32(&q, NDA_FLAGS_EXT, NTF_EXT_MANAGED);
	expect_err(b, 0, "");
	assert_int_equal(neigh_of(b, "10.0.0.6")->state, NUD_INCOMPLETE);
	uint64_t failed = t->stats.res_failed;
	b->now = weft_run_until(b->weft, b->now, b->now + 30 * NSEC_PER_SEC);
	assert_in_range(t->stats.res_failed - failed, 3, 7);
	assert_non_null(neigh_of(b, "10.0.0.6"));
	/* told that it is not managed, it is left alone */
	neigh_req(NLM_F_REPLACE, "10.0.0.6", NULL)->ndm_state = NUD_FAILED;
	expect_err(b, 0, "");
	failed = t->stats.res_failed;
	b->now = weft_run_until(b->weft, b->now, b->now + 30 * NSEC_PER_SEC);
	assert_int_equal(t->stats.res_failed, failed);
}

/* Permanent entries are not counted against the table's thresholds, and fill it without end. */
static void test_neigh_exempt(void **state)
{
	struct bed *b = *state;

	for (unsigned i = 0; i < 3000; i++) {
		char addr[32];
		snprintf(addr, sizeof(addr), "10.1.%u.%u", i / 250, i % 250 + 1);
		neigh_req(NLM_F_CREATE, addr, "\2\0\0\0\0\5");
		expect_err(b, 0, "");
	}
	assert_int_equal(arp_table(b->weft)->entries, 3001);
	assert_int_equal(arp_table(b->weft)->gc_entries, 0);
}

/* ---- filters of strict dumps ---- */

static unsigned filtered(struct bed *b, unsigned want)
{
	struct answer a = ask(b);

	if (a.err || !a.done)
		fail_msg("%d %s", a.err, a.text);
	assert_int_equal(a.n_msgs, want);
	return a.filtered;
}

static void test_filters(void **state)
{
	struct bed *b = *state;

	set_opt(b->sk, NETLINK_GET_STRICT_CHK, 1);
	case_dump(&q, RTM_GETLINK, sizeof(struct ifinfomsg), 0);
	assert_false(filtered(b, 3));
	struct nlattr *info = mnl_attr_nest_start(q.nlh, IFLA_LINKINFO);
	mnl_attr_put_strz(q.nlh, IFLA_INFO_KIND, "veth");
	mnl_attr_nest_end(q.nlh, info);
	assert_true(filtered(b, 2));
	case_dump(&q, RTM_GETADDR, sizeof(struct ifaddrmsg), AF_INET);
	assert_false(filtered(b, 2));
	((struct ifaddrmsg *)mnl_nlmsg_get_payload(q.nlh))->ifa_index = BED_V0;
	assert_true(filtered(b, 1));
	((struct ifaddrmsg *)mnl_nlmsg_get_payload(q.nlh))->ifa_index = 99;
	assert_int_equal(ask(b).err, -ENODEV);
	case_dump(&q, RTM_GETROUTE, sizeof(struct rtmsg), AF_INET);
	((struct rtmsg *)mnl_nlmsg_get_payload(q.nlh))->rtm_protocol = RTPROT_BOOT;
	assert_true(filtered(b, 1));
	case_dump(&q, RTM_GETROUTE, sizeof(struct rtmsg), AF_INET);
	req_u32(&q, RTA_TABLE, 77);
	expect_err(b, -ENOENT, "ipv4: FIB table does not exist");
	neigh_req(NLM_F_CREATE, "10.0.0.66", NULL)->ndm_flags = NTF_PROXY;
	expect_err(b, 0, "");
	case_dump(&q, RTM_GETNEIGH, sizeof(struct ndmsg), AF_INET);
	assert_false(filtered(b, 1));
	req_u32(&q, NDA_IFINDEX, BED_V1);
	filtered(b, 0);
	case_dump(&q, RTM_GETNEIGH, sizeof(struct ndmsg), AF_INET);
	req_u32(&q, NDA_MASTER, UINT32_MAX);
	assert_true(filtered(b, 1));
	case_dump(&q, RTM_GETNEIGH, sizeof(struct ndmsg), AF_INET);
	((struct ndmsg *)mnl_nlmsg_get_payload(q.nlh))->ndm_flags = NTF_PROXY;
	struct answer a = ask(b);
	const struct ndmsg *m = mnl_nlmsg_get_payload((const struct nlmsghdr *)a.first);
	assert_int_equal(a.n_msgs, 1);
	assert_int_equal(m->ndm_flags, NTF_PROXY);
	assert_int_equal(m->ndm_ifindex, BED_V0);
}

/* ---- generic netlink ---- */

static int said;

static int say(struct genl_info *info)
{
	if (!info->tb[1])
		return nl_bad_attr(info->r, NULL, -EINVAL, "nothing to say");
	said = (int)nl_get_u32(info->tb[1]);
	struct nlmsghdr *nlh = genl_reply_new(info, 1, 16);
	if (!nlh)
		return -ENOBUFS;
	mnl_attr_put_u32(nlh, 1, (uint32_t)said + 1);
	return genl_reply(info, nlh);
}

static int count(struct nl_dump *d);

static const struct nla_policy inner_policy[] = {
	{1, NLA_K_U8, .max = 9, .name = "INNER_DIGIT"},
};

static const struct nla_policy say_policy[] = {
	{1, NLA_K_U32, .min = 3, .max = 1000, .name = "SAY_NUMBER"},
	{2, NLA_K_NESTED, .nested = inner_policy, .n_nested = 1, .name = "SAY_INNER"},
};

static const struct genl_op talk_ops[] = {
	{.cmd = 1,
	 .flags = GENL_ADMIN_PERM,
	 .doit_mode = NL_STRICT,
	 .policy = say_policy,
	 .n_policy = 2,
	 .maxattr = 2,
	 .doit = say},
	{.cmd = 2, .dump = count},
};

static const char *const talk_groups[] = {"loud", "quiet"};

static const struct genl_family talk = {
	.name = "talk",
	.version = 3,
	.hdrsize = 8,
	.maxattr = 2,
	.ops = talk_ops,
	.n_ops = 2,
	.groups = talk_groups,
	.n_groups = 2,
};

/* 100000 messages, and then some. */
static int count(struct nl_dump *d)
{
	for (; d->state[0] < 100000; d->state[0]++) {
		struct nlmsghdr *nlh = genl_dump_msg(d, &talk, 2, 8);
		if (!nlh)
			return 1;
		nl_dump_end(d, nlh, true);
	}
	return 0;
}

static unsigned talk_id(struct bed *b, struct sock *sk)
{
	req_genl(&q, CTRL_CMD_GETFAMILY, NLM_F_ACK);
	mnl_attr_put_strz(q.nlh, CTRL_ATTR_FAMILY_NAME, "talk");
	struct answer a = bed_ask(sk, &q);
	const struct nlmsghdr *nlh = (const struct nlmsghdr *)a.first;
	const struct nlattr *at;

	if (a.err) {
		assert_int_equal(a.err, -ENOENT);
		return 0;
	}
	mnl_attr_for_each (at, nlh, GENL_HDRLEN)
		if (mnl_attr_get_type(at) == CTRL_ATTR_FAMILY_ID)
			return mnl_attr_get_u16(at);
	fail();
	return 0;
}

static void talk_req(unsigned id, uint8_t cmd, uint16_t flags)
{
	struct genlmsghdr *h = req_new(&q, (uint16_t)id, NLM_F_ACK | flags, GENL_HDRLEN + 8);

	h->cmd = cmd;
}

static unsigned heard(struct sock *sk)
{
	struct answer a = {0};

	while (bed_take(sk, &a))
		;
	return a.n_msgs;
}

static void test_genl_family(void **state)
{
	struct bed *b = *state;
	struct sock *sk = bed_sock(b->net, NETLINK_GENERIC), *ears;
	struct answer a;

	assert_int_equal(talk_id(b, sk), 0);
	ears = bed_sock(b->net, NETLINK_GENERIC);
	set_opt(ears, NETLINK_ADD_MEMBERSHIP, GENL_ID_CTRL);
	assert_int_equal(genl_register(b->weft, &talk), 0);
	assert_int_equal(genl_register(b->weft, &talk), -EEXIST);
	assert_int_equal(heard(ears), 3); /* the family, two groups */
	unsigned id = talk_id(b, sk);
	assert_true(id >= GENL_START_ALLOC);

	talk_req(id, 1, 0);
	req_u32(&q, 1, 41);
	a = bed_ask(sk, &q);
	assert_true(!a.err && a.n_msgs == 1 && said == 41);
	talk_req(id, 1, 0);
	a = bed_ask(sk, &q);
	assert_int_equal(a.err, -EINVAL);
	assert_string_equal(a.text, "nothing to say");
	talk_req(id, 1, 0);
	req_u32(&q, 1, 2);
	a = bed_ask(sk, &q);
	assert_int_equal(a.err, -ERANGE);
	assert_string_equal(a.text, "integer out of range");
	talk_req(id, 1, 0);
	q.nlh->nlmsg_len -= 4; /* its own header is cut */
	assert_int_equal(bed_ask(sk, &q).err, -EINVAL);
	talk_req(id, 2, 0);
	assert_int_equal(bed_ask(sk, &q).err, -EOPNOTSUPP);
	talk_req(id, 1, NLM_F_DUMP);
	assert_int_equal(bed_ask(sk, &q).err, -EOPNOTSUPP);

	/* two tables: of the command, and the nested one; three attributes and one command */
	req_genl(&q, CTRL_CMD_GETPOLICY, NLM_F_DUMP);
	mnl_attr_put_strz(q.nlh, CTRL_ATTR_FAMILY_NAME, "talk");
	a = bed_ask(sk, &q);
	assert_true(a.done && !a.err);
	assert_int_equal(a.n_msgs, 4);
	genl_unregister(b->weft, &talk);
	assert_int_equal(heard(ears), 3);
	assert_int_equal(talk_id(b, sk), 0);
	bed_close(sk);
	bed_close(ears);
}

/* A family leaves in the middle of a dump, and while its groups have members. */
static void test_genl_leaves(void **state)
{
	struct bed *b = *state;
	struct sock *sk = bed_sock(b->net, NETLINK_GENERIC);
	struct answer a = {0};

	assert_int_equal(genl_register(b->weft, &talk), 0);
	unsigned id = talk_id(b, sk);
	const struct genl_reg *reg = genl_by_id(b->weft, id);
	set_opt(sk, NETLINK_ADD_MEMBERSHIP, (int)reg->group0 + 1);
	assert_true(genl_has_listeners(b->net, &talk, 1));
	assert_false(genl_has_listeners(b->net, &talk, 0));
	genl_multicast(b->net, &talk, 1, genl_msg_new(b->weft, &talk, 5, 0, 0, 0), 0);
	assert_int_equal(heard(sk), 1);
	talk_req(id, 2, NLM_F_DUMP);
	bed_send(sk, q.buf, q.nlh->nlmsg_len);
	bed_take(sk, &a);
	genl_unregister(b->weft, &talk);
	while (bed_take(sk, &a))
		;
	assert_true(a.done && a.n_msgs < 100000);
	assert_int_equal(a.err, -ENOENT);
	/* whoever gets its groups next has no members */
	assert_int_equal(genl_register(b->weft, &talk), 0);
	assert_false(genl_has_listeners(b->net, &talk, 1));
	talk_req(talk_id(b, sk), 2, NLM_F_DUMP);
	a = bed_ask(sk, &q);
	assert_true(a.done && !a.err);
	assert_int_equal(a.n_msgs, 100000);
	genl_unregister(b->weft, &talk);
	bed_close(sk);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_route_flags, setup, teardown),
		cmocka_unit_test_setup_teardown(test_addr_flags, setup, teardown),
		cmocka_unit_test_setup_teardown(test_link_flags, setup, teardown),
		cmocka_unit_test_setup_teardown(test_neigh_flags, setup, teardown),
		cmocka_unit_test_setup_teardown(test_neigh_managed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_neigh_exempt, setup, teardown),
		cmocka_unit_test_setup_teardown(test_filters, setup, teardown),
		cmocka_unit_test_setup_teardown(test_genl_family, setup, teardown),
		cmocka_unit_test_setup_teardown(test_genl_leaves, setup, teardown),
	};

	rcu_register_thread();
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	rcu_unregister_thread();
	return failed;
}
