/*
 * nl_test_bed: an instance to send netlink requests to, for tests and the fuzzer.
 *
 * Each bed has a namespace of its own with lo up, and a pair v0 (index 2; 10.0.0.1/24, up) and v1
 * (index 3, up), a neighbour, a route. nl_case() writes one good request of every message type,
 * which tests cut short and bend.
 */
#pragma once

#include <arpa/inet.h>
#include <linux/fib_rules.h>
#include <linux/genetlink.h>
#include <linux/if_addr.h>
#include <linux/net_namespace.h>
#include <linux/netconf.h>
#include <linux/veth.h>

#include "ctl/nl_sock.h"
#include "ctl/rtnl.h"
#include "net/net.h"
#include "weft.h"

enum { BED_V0 = 2, BED_V1 = 3, BED_REQ = 128 * 1024 };

struct bed {
	struct weft *weft;
	struct net *net;
	uint64_t now;
	struct sock *sk;
};

/* ---- requests ---- */

struct req {
	uint8_t buf[BED_REQ] __attribute__((aligned(8)));
	struct nlmsghdr *nlh;
};

static inline void *req_new(struct req *q, uint16_t type, uint16_t flags, size_t header)
{
	q->nlh = mnl_nlmsg_put_header(q->buf);
	q->nlh->nlmsg_type = type;
	q->nlh->nlmsg_flags = NLM_F_REQUEST | flags;
	q->nlh->nlmsg_seq = 7;
	return mnl_nlmsg_put_extra_header(q->nlh, header);
}

static inline void req_u32(struct req *q, uint16_t attr, uint32_t v)
{
	mnl_attr_put_u32(q->nlh, attr, v);
}

static inline void req_ip(struct req *q, uint16_t attr, const char *addr)
{
	mnl_attr_put_u32(q->nlh, attr, inet_addr(addr));
}

static inline struct ifinfomsg *req_link(struct req *q, uint16_t type, uint16_t flags, int ifindex)
{
	struct ifinfomsg *m = req_new(q, type, flags, sizeof(*m));

	m->ifi_index = ifindex;
	return m;
}

static inline void req_kind(struct req *q, const char *name, const char *kind)
{
	req_link(q, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL | NLM_F_ACK, 0);
	mnl_attr_put_strz(q->nlh, IFLA_IFNAME, name);
	struct nlattr *info = mnl_attr_nest_start(q->nlh, IFLA_LINKINFO);
	mnl_attr_put_strz(q->nlh, IFLA_INFO_KIND, kind);
	mnl_attr_nest_end(q->nlh, info);
}

static inline void req_addr(struct req *q, uint16_t type, uint16_t flags, int ifindex,
			    const char *addr, unsigned len)
{
	struct ifaddrmsg *m = req_new(q, type, flags | NLM_F_ACK, sizeof(*m));

	m->ifa_family = AF_INET;
	m->ifa_prefixlen = (uint8_t)len;
	m->ifa_index = (uint32_t)ifindex;
	req_ip(q, IFA_LOCAL, addr);
	req_ip(q, IFA_ADDRESS, addr);
}

static inline struct rtmsg *req_route(struct req *q, uint16_t type, uint16_t flags, const char *dst,
				      unsigned len)
{
	struct rtmsg *m = req_new(q, type, flags | NLM_F_ACK, sizeof(*m));

	m->rtm_family = AF_INET;
	m->rtm_dst_len = (uint8_t)len;
	m->rtm_table = RT_TABLE_MAIN;
	m->rtm_protocol = RTPROT_BOOT;
	m->rtm_type = RTN_UNICAST;
	req_ip(q, RTA_DST, dst);
	return m;
}

static inline struct ndmsg *req_neigh(struct req *q, uint16_t type, uint16_t flags, int ifindex,
				      const char *dst)
{
	struct ndmsg *m = req_new(q, type, flags | NLM_F_ACK, sizeof(*m));

	m->ndm_family = AF_INET;
	m->ndm_ifindex = ifindex;
	m->ndm_state = NUD_PERMANENT;
	req_ip(q, NDA_DST, dst);
	return m;
}

static inline void req_genl(struct req *q, uint8_t cmd, uint16_t flags)
{
	struct genlmsghdr *h = req_new(q, GENL_ID_CTRL, flags, sizeof(*h));

	h->cmd = cmd;
	h->version = 1;
}

/* ---- one good request of every kind ---- */

static inline void case_newlink_more(struct req *q, unsigned i)
{
	struct nlattr *info, *data, *peer;
	static const uint8_t mac[6] = {2, 0, 0, 0, 0, 9};

	req_link(q, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL | NLM_F_ACK, 0);
	mnl_attr_put_strz(q->nlh, IFLA_IFNAME, i ? "w0" : "v0.7");
	mnl_attr_put(q->nlh, IFLA_ADDRESS, sizeof(mac), mac);
	req_u32(q, IFLA_MTU, 1400);
	req_u32(q, IFLA_TXQLEN, 100);
	req_u32(q, IFLA_NUM_TX_QUEUES, 2);
	if (!i)
		req_u32(q, IFLA_LINK, BED_V0);
	info = mnl_attr_nest_start(q->nlh, IFLA_LINKINFO);
	mnl_attr_put_strz(q->nlh, IFLA_INFO_KIND, i ? "veth" : "vlan");
	data = mnl_attr_nest_start(q->nlh, IFLA_INFO_DATA);
	if (i) {
		peer = mnl_attr_nest_start(q->nlh, VETH_INFO_PEER);
		mnl_nlmsg_put_extra_header(q->nlh, sizeof(struct ifinfomsg));
		mnl_attr_put_strz(q->nlh, IFLA_IFNAME, "w1");
		req_u32(q, IFLA_MTU, 1300);
		mnl_attr_nest_end(q->nlh, peer);
	} else {
		struct ifla_vlan_flags f = {1, 1};
		mnl_attr_put_u16(q->nlh, IFLA_VLAN_ID, 7);
		mnl_attr_put(q->nlh, IFLA_VLAN_FLAGS, sizeof(f), &f);
	}
	mnl_attr_nest_end(q->nlh, data);
	mnl_attr_nest_end(q->nlh, info);
}

static inline void case_setlink(struct req *q)
{
	struct ifinfomsg *m = req_link(q, RTM_SETLINK, NLM_F_ACK, BED_V1);

	m->ifi_flags = m->ifi_change = IFF_UP | IFF_ALLMULTI;
	mnl_attr_put_strz(q->nlh, IFLA_IFNAME, "renamed");
	mnl_attr_put_strz(q->nlh, IFLA_IFALIAS, "alias");
	req_u32(q, IFLA_GROUP, 3);
	mnl_attr_put_u8(q->nlh, IFLA_LINKMODE, 1);
	mnl_attr_put_u8(q->nlh, IFLA_OPERSTATE, 6);
	mnl_attr_put_u8(q->nlh, IFLA_CARRIER, 1);
	req_u32(q, IFLA_GSO_MAX_SIZE, 30000);
	struct nlattr *spec = mnl_attr_nest_start(q->nlh, IFLA_AF_SPEC);
	struct nlattr *inet = mnl_attr_nest_start(q->nlh, AF_INET);
	struct nlattr *conf = mnl_attr_nest_start(q->nlh, IFLA_INET_CONF);
	req_u32(q, 1, 1);
	mnl_attr_nest_end(q->nlh, conf);
	mnl_attr_nest_end(q->nlh, inet);
	mnl_attr_nest_end(q->nlh, spec);
}

static inline void case_linkprop(struct req *q, uint16_t type)
{
	req_link(q, type, NLM_F_ACK | (type == RTM_NEWLINKPROP ? NLM_F_CREATE | NLM_F_APPEND : 0),
		 BED_V0);
	struct nlattr *list = mnl_attr_nest_start(q->nlh, IFLA_PROP_LIST);
	mnl_attr_put_strz(q->nlh, IFLA_ALT_IFNAME, "another-name");
	mnl_attr_put_strz(q->nlh, IFLA_ALT_IFNAME, "second-name");
	mnl_attr_nest_end(q->nlh, list);
}

static inline void case_route(struct req *q, unsigned i)
{
	struct rtnexthop *nh;
	struct nlattr *nest;

	switch (i) {
	case 0:
		req_route(q, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, "10.9.0.0", 16);
		req_ip(q, RTA_GATEWAY, "10.0.0.2");
		req_u32(q, RTA_OIF, BED_V0);
		req_u32(q, RTA_PRIORITY, 5);
		req_ip(q, RTA_PREFSRC, "10.0.0.1");
		req_u32(q, RTA_TABLE, 100);
		nest = mnl_attr_nest_start(q->nlh, RTA_METRICS);
		req_u32(q, RTAX_MTU, 1400);
		mnl_attr_put_strz(q->nlh, RTAX_CC_ALGO, "cubic");
		mnl_attr_nest_end(q->nlh, nest);
		return;
	case 1:
		req_route(q, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_APPEND, "10.10.0.0", 16);
		nest = mnl_attr_nest_start(q->nlh, RTA_MULTIPATH);
		nh = mnl_nlmsg_put_extra_header(q->nlh, sizeof(*nh));
		nh->rtnh_ifindex = BED_V0;
		req_ip(q, RTA_GATEWAY, "10.0.0.3");
		nh->rtnh_len = sizeof(*nh) + 8;
		mnl_attr_nest_end(q->nlh, nest);
		return;
	default:
		req_route(q, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, "10.11.0.0", 16);
		uint8_t via[6] = {AF_INET, 0, 10, 0, 0, 4};
		mnl_attr_put(q->nlh, RTA_VIA, sizeof(via), via);
		return;
	}
}

static inline void case_ntable(struct req *q)
{
	struct ndtmsg *m = req_new(q, RTM_SETNEIGHTBL, NLM_F_ACK | NLM_F_REPLACE, sizeof(*m));

	m->ndtm_family = AF_INET;
	mnl_attr_put_strz(q->nlh, NDTA_NAME, "arp_cache");
	struct nlattr *nest = mnl_attr_nest_start(q->nlh, NDTA_PARMS);
	req_u32(q, NDTPA_IFINDEX, BED_V0);
	req_u32(q, NDTPA_QUEUE_LEN, 7);
	mnl_attr_put_u64(q->nlh, NDTPA_BASE_REACHABLE_TIME, 20000);
	mnl_attr_nest_end(q->nlh, nest);
}

static inline void case_fdb(struct req *q, uint16_t type)
{
	static const uint8_t mac[6] = {2, 0, 0, 0, 0, 0x33};
	struct ndmsg *m = req_new(q, type, NLM_F_ACK, sizeof(*m));

	m->ndm_family = AF_BRIDGE;
	m->ndm_ifindex = BED_V0;
	m->ndm_flags = NTF_SELF;
	m->ndm_state = type == RTM_GETNEIGH ? 0 : NUD_PERMANENT;
	mnl_attr_put(q->nlh, NDA_LLADDR, sizeof(mac), mac);
}

static inline void case_neigh(struct req *q, uint16_t type)
{
	static const uint8_t mac[6] = {2, 0, 0, 0, 0, 0x44};
	struct ndmsg *m = req_neigh(q, type, type == RTM_NEWNEIGH ? NLM_F_CREATE : 0, BED_V0,
				    type == RTM_NEWNEIGH ? "10.0.0.7" : "10.0.0.2");

	if (type == RTM_GETNEIGH)
		m->ndm_state = 0;
	if (type != RTM_NEWNEIGH)
		return;
	mnl_attr_put(q->nlh, NDA_LLADDR, sizeof(mac), mac);
	mnl_attr_put_u8(q->nlh, NDA_PROTOCOL, 5);
	req_u32(q, NDA_FLAGS_EXT, 0);
}

/* A dump whose header is of `size` bytes. */
static inline void case_dump(struct req *q, uint16_t type, size_t size, uint8_t family)
{
	uint8_t *m = req_new(q, type, NLM_F_DUMP, size);

	m[0] = family;
}

enum { NL_CASES_GENL = 44, NL_CASES = 49 };

/* Writes the i-th request, of NL_CASES; from NL_CASES_GENL on they are generic netlink's. */
static inline void nl_case(struct req *q, unsigned i)
{
	switch (i) {
	case 0:
		req_kind(q, "d0", "dummy");
		break;
	case 1:
	case 2:
		case_newlink_more(q, i - 1);
		break;
	case 3:
		case_setlink(q);
		break;
	case 4:
		req_link(q, RTM_DELLINK, NLM_F_ACK, BED_V0);
		break;
	case 5:
		req_link(q, RTM_GETLINK, 0, BED_V0);
		req_u32(q, IFLA_EXT_MASK, RTEXT_FILTER_VF);
		break;
	case 6:
		case_dump(q, RTM_GETLINK, sizeof(struct ifinfomsg), 0);
		req_u32(q, IFLA_MASTER, 9);
		break;
	case 7:
		case_linkprop(q, RTM_NEWLINKPROP);
		break;
	case 8:
		case_linkprop(q, RTM_DELLINKPROP);
		break;
	case 9: {
		struct ifa_cacheinfo ci = {.ifa_prefered = 50, .ifa_valid = 100};
		req_addr(q, RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, BED_V0, "10.0.0.9", 24);
		req_ip(q, IFA_BROADCAST, "10.0.0.255");
		mnl_attr_put_strz(q->nlh, IFA_LABEL, "v0:1");
		req_u32(q, IFA_FLAGS, IFA_F_NOPREFIXROUTE);
		mnl_attr_put(q->nlh, IFA_CACHEINFO, sizeof(ci), &ci);
		break;
	}
	case 10:
		req_addr(q, RTM_DELADDR, 0, BED_V0, "10.0.0.1", 24);
		break;
	case 11:
		case_dump(q, RTM_GETADDR, sizeof(struct ifaddrmsg), AF_INET);
		break;
	case 12:
	case 13:
	case 14:
		case_route(q, i - 12);
		break;
	case 15:
		req_route(q, RTM_DELROUTE, 0, "10.8.0.0", 16);
		break;
	case 16:
		req_route(q, RTM_GETROUTE, 0, "10.8.1.1", 32)->rtm_table = 0;
		break;
	case 17:
		case_dump(q, RTM_GETROUTE, sizeof(struct rtmsg), AF_INET);
		req_u32(q, RTA_TABLE, RT_TABLE_LOCAL);
		break;
	case 18:
		case_neigh(q, RTM_NEWNEIGH);
		break;
	case 19:
		case_neigh(q, RTM_DELNEIGH);
		break;
	case 20:
		case_neigh(q, RTM_GETNEIGH);
		break;
	case 21:
		case_dump(q, RTM_GETNEIGH, sizeof(struct ndmsg), AF_INET);
		req_u32(q, NDA_IFINDEX, BED_V0);
		break;
	case 22: /* NTF_PROXY in ndm_flags */
		case_dump(q, RTM_GETNEIGH, sizeof(struct ndmsg), 0);
		((struct ndmsg *)mnl_nlmsg_get_payload(q->nlh))->ndm_flags = NTF_PROXY;
		break;
	case 23:
		req_neigh(q, RTM_NEWNEIGH, NLM_F_CREATE, BED_V0, "10.0.0.66")->ndm_flags =
			NTF_PROXY;
		break;
	case 24:
		req_neigh(q, RTM_NEWNEIGH, NLM_F_CREATE, BED_V0, "10.0.0.67")->ndm_flags = NTF_USE;
		req_u32(q, NDA_FLAGS_EXT, NTF_EXT_MANAGED);
		break;
	case 25:
		case_dump(q, RTM_GETNEIGHTBL, sizeof(struct ndtmsg), 0);
		break;
	case 26:
		case_ntable(q);
		break;
	case 27:
		case_dump(q, RTM_GETRULE, sizeof(struct fib_rule_hdr), AF_INET);
		break;
	case 28:
	case 29: {
		struct fib_rule_hdr *h =
			req_new(q, i == 28 ? RTM_NEWRULE : RTM_DELRULE, NLM_F_ACK, sizeof(*h));
		h->family = AF_INET;
		req_u32(q, FRA_PRIORITY, 7);
		break;
	}
	case 30:
		((struct rtgenmsg *)req_new(q, RTM_NEWNSID, NLM_F_ACK, 4))->rtgen_family = 0;
		req_u32(q, NETNSA_NSID, 5);
		req_u32(q, NETNSA_PID, 1);
		break;
	case 31:
		req_new(q, RTM_GETNSID, 0, 4);
		req_u32(q, NETNSA_NSID, 1);
		break;
	case 32:
		case_dump(q, RTM_GETNSID, 4, 0);
		break;
	case 33:
		((struct netconfmsg *)req_new(q, RTM_GETNETCONF, 0, sizeof(struct netconfmsg)))
			->ncm_family = AF_INET;
		req_u32(q, NETCONFA_IFINDEX, BED_V0);
		break;
	case 34:
		case_dump(q, RTM_GETNETCONF, sizeof(struct netconfmsg), AF_INET);
		break;
	case 35:
	case 36: {
		struct if_stats_msg *m =
			req_new(q, RTM_GETSTATS, i == 36 ? NLM_F_DUMP : 0, sizeof(*m));
		m->ifindex = i == 35 ? BED_V0 : 0;
		m->filter_mask = IFLA_STATS_FILTER_BIT(IFLA_STATS_LINK_64) |
				 IFLA_STATS_FILTER_BIT(IFLA_STATS_LINK_OFFLOAD_XSTATS);
		break;
	}
	case 37:
		case_dump(q, RTM_GETQDISC, sizeof(struct tcmsg), 0);
		break;
	case 38:
	case 39:
	case 40:
		case_fdb(q, (uint16_t)(RTM_NEWNEIGH + (i - 38)));
		break;
	case 41:
		case_dump(q, RTM_GETNEIGH, sizeof(struct ndmsg), AF_BRIDGE);
		break;
	case 42:
		case_dump(q, RTM_GETLINK, sizeof(struct ifinfomsg), AF_BRIDGE);
		break;
	case 43:
		req_link(q, RTM_NEWLINK, NLM_F_ACK, 0)->ifi_flags = IFF_UP;
		mnl_attr_put_strz(q->nlh, IFLA_IFNAME, "v0");
		req_u32(q, IFLA_NET_NS_FD, 3);
		break;
	case 44:
		req_genl(q, CTRL_CMD_GETFAMILY, 0);
		mnl_attr_put_strz(q->nlh, CTRL_ATTR_FAMILY_NAME, "nlctrl");
		break;
	case 45:
		req_genl(q, CTRL_CMD_GETFAMILY, 0);
		mnl_attr_put_u16(q->nlh, CTRL_ATTR_FAMILY_ID, GENL_ID_CTRL);
		break;
	case 46:
		req_genl(q, CTRL_CMD_GETFAMILY, NLM_F_DUMP);
		break;
	case 47:
		req_genl(q, CTRL_CMD_GETPOLICY, NLM_F_DUMP);
		mnl_attr_put_strz(q->nlh, CTRL_ATTR_FAMILY_NAME, "nlctrl");
		break;
	default:
		req_genl(q, CTRL_CMD_GETPOLICY, NLM_F_DUMP);
		mnl_attr_put_u16(q->nlh, CTRL_ATTR_FAMILY_ID, GENL_ID_CTRL);
		req_u32(q, CTRL_ATTR_OP, CTRL_CMD_GETFAMILY);
		break;
	}
}

/* ---- sending, and what comes back ---- */

/* What a request was answered with. */
struct answer {
	unsigned n_msgs;      /* besides errors and DONE */
	unsigned n_datagrams; /* all of them */
	unsigned n_acks;      /* NLMSG_ERROR */
	bool any_error, done; /* an NLMSG_ERROR, an NLMSG_DONE came */
	int err;	      /* what the last of these said */
	bool intr, filtered, overrun;
	char text[256]; /* NLMSGERR_ATTR_MSG */
	size_t first_len, ack_len;
	uint8_t first[4096]; /* the first message, cut */
};

static inline void answer_text(struct answer *a, const struct nlmsghdr *nlh, size_t skip)
{
	const struct nlattr *at;

	if (!(nlh->nlmsg_flags & NLM_F_ACK_TLVS))
		return;
	mnl_attr_for_each (at, nlh, skip)
		if (mnl_attr_get_type(at) == NLMSGERR_ATTR_MSG)
			snprintf(a->text, sizeof(a->text), "%s", mnl_attr_get_str(at));
}

static inline void answer_one(struct answer *a, const struct nlmsghdr *nlh)
{
	a->intr |= nlh->nlmsg_flags & NLM_F_DUMP_INTR;
	if (nlh->nlmsg_type == NLMSG_ERROR) {
		const struct nlmsgerr *e = mnl_nlmsg_get_payload(nlh);
		size_t skip = sizeof(*e);
		a->any_error = true;
		a->n_acks++;
		a->err = e->error;
		a->ack_len = nlh->nlmsg_len;
		if (e->error && !(nlh->nlmsg_flags & NLM_F_CAPPED))
			skip += MNL_ALIGN(e->msg.nlmsg_len) - sizeof(e->msg);
		answer_text(a, nlh, skip);
	} else if (nlh->nlmsg_type == NLMSG_DONE) {
		a->done = true;
		a->err = *(const int *)mnl_nlmsg_get_payload(nlh);
		answer_text(a, nlh, sizeof(int));
	} else {
		a->filtered |= nlh->nlmsg_flags & NLM_F_DUMP_FILTERED;
		if (!a->n_msgs++) {
			a->first_len = nlh->nlmsg_len;
			memcpy(a->first, nlh, MIN(a->first_len, sizeof(a->first)));
		}
	}
}

/* Takes one datagram; false: there is none. */
static inline bool bed_take(struct sock *sk, struct answer *a)
{
	struct sock_rx *rx = sock_dequeue(sk);

	a->overrun |= sock_take_error(sk) == -ENOBUFS;
	if (!rx)
		return false;
	a->n_datagrams++;
	const struct nlmsghdr *nlh = (const struct nlmsghdr *)rx->data;
	int len = (int)rx->len;
	for (; mnl_nlmsg_ok(nlh, len); nlh = mnl_nlmsg_next(nlh, &len))
		answer_one(a, nlh);
	sock_rx_free(sk->weft->worker[0], rx);
	return true;
}

static inline ssize_t bed_send(struct sock *sk, const void *data, size_t len)
{
	struct sock_msg m = {.data = data, .len = len};

	return sock_sendmsg(sk, &m);
}

static inline struct answer bed_ask(struct sock *sk, const struct req *q)
{
	struct answer a = {0};

	bed_send(sk, q->buf, q->nlh->nlmsg_len);
	while (bed_take(sk, &a))
		;
	return a;
}

/* ---- the bed ---- */

static inline struct sock *bed_sock(struct net *net, int protocol)
{
	struct sock *sk = NULL;
	const int on = 1;

	if (sock_new(net, AF_NETLINK, SOCK_RAW, protocol, &sk))
		return NULL;
	sock_setsockopt(sk, 270, NETLINK_EXT_ACK, &on, sizeof(on));
	return sk;
}

static inline void bed_close(struct sock *sk)
{
	sock_close(sk);
	sock_put(sk);
}

/* A namespace with what nl_case() expects. NULL: out of memory. */
static inline struct net *bed_net(struct weft *weft, struct req *q)
{
	int err;
	struct net *net = net_new(weft->nets, &err);
	struct sock *sk = net ? bed_sock(net, NETLINK_ROUTE) : NULL;

	if (!sk)
		return NULL;
	req_link(q, RTM_NEWLINK, NLM_F_ACK, 1);
	((struct ifinfomsg *)mnl_nlmsg_get_payload(q->nlh))->ifi_flags = IFF_UP;
	((struct ifinfomsg *)mnl_nlmsg_get_payload(q->nlh))->ifi_change = IFF_UP;
	bed_ask(sk, q);
	req_link(q, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL | NLM_F_ACK, BED_V0);
	mnl_attr_put_strz(q->nlh, IFLA_IFNAME, "v0");
	struct nlattr *info = mnl_attr_nest_start(q->nlh, IFLA_LINKINFO);
	mnl_attr_put_strz(q->nlh, IFLA_INFO_KIND, "veth");
	struct nlattr *data = mnl_attr_nest_start(q->nlh, IFLA_INFO_DATA);
	struct nlattr *peer = mnl_attr_nest_start(q->nlh, VETH_INFO_PEER);
	struct ifinfomsg *m = mnl_nlmsg_put_extra_header(q->nlh, sizeof(*m));
	m->ifi_index = BED_V1;
	mnl_attr_put_strz(q->nlh, IFLA_IFNAME, "v1");
	mnl_attr_nest_end(q->nlh, peer);
	mnl_attr_nest_end(q->nlh, data);
	mnl_attr_nest_end(q->nlh, info);
	bed_ask(sk, q);
	for (int i = BED_V0; i <= BED_V1; i++) {
		m = req_link(q, RTM_NEWLINK, NLM_F_ACK, i);
		m->ifi_flags = m->ifi_change = IFF_UP;
		bed_ask(sk, q);
	}
	req_addr(q, RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, BED_V0, "10.0.0.1", 24);
	bed_ask(sk, q);
	req_route(q, RTM_NEWROUTE, NLM_F_CREATE, "10.8.0.0", 16);
	req_ip(q, RTA_GATEWAY, "10.0.0.2");
	bed_ask(sk, q);
	req_neigh(q, RTM_NEWNEIGH, NLM_F_CREATE, BED_V0, "10.0.0.2");
	mnl_attr_put(q->nlh, NDA_LLADDR, 6, "\2\0\0\0\0\2");
	bed_ask(sk, q);
	bed_close(sk);
	return net;
}

static inline struct weft *bed_weft(uint64_t now)
{
	struct weft_config c = {.seed = 1, .now = now, .n_packets = 4096};
	int err;

	return weft_new(&c, &err);
}
