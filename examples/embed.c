/*
 * embed: a network inside one program, under a clock of its own.
 *
 *	v0 10.0.0.1 ---- v1 10.0.0.2, and a UDP datagram to the second address
 *
 * Build: cc embed.c $(pkg-config --cflags --libs libweft) -lmnl
 */
#include <arpa/inet.h>
#include <libmnl/libmnl.h>
#include <libweft.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char buf[8192];
static unsigned seq;

static void check(int err, const char *what)
{
	if (err < 0) {
		fprintf(stderr, "%s: %s\n", what, strerror(-err));
		exit(1);
	}
}

static struct nlmsghdr *request(unsigned type, unsigned flags)
{
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	nlh->nlmsg_type = (unsigned short)type;
	nlh->nlmsg_flags = (unsigned short)(NLM_F_REQUEST | NLM_F_ACK | flags);
	nlh->nlmsg_seq = ++seq;
	return nlh;
}

/* Sends a request and returns the kernel's answer: 0 or -errno. */
static int talk(struct weft_socket *nl, struct nlmsghdr *nlh)
{
	char answer[8192];
	ssize_t n = weft_sendto(nl, nlh, nlh->nlmsg_len, NULL, 0);
	if (n < 0)
		return (int)n;
	n = weft_recvfrom(nl, answer, sizeof(answer), NULL, NULL);
	if (n < (ssize_t)sizeof(struct nlmsghdr))
		return n < 0 ? (int)n : -1;
	const struct nlmsgerr *e = mnl_nlmsg_get_payload((struct nlmsghdr *)answer);
	return e->error;
}

/* v0 and its peer v1; the peer's own message names it. */
static int add_veth(struct weft_socket *nl)
{
	struct nlmsghdr *nlh = request(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL);
	mnl_nlmsg_put_extra_header(nlh, sizeof(struct ifinfomsg));
	mnl_attr_put_strz(nlh, IFLA_IFNAME, "v0");
	struct nlattr *info = mnl_attr_nest_start(nlh, IFLA_LINKINFO);
	mnl_attr_put_strz(nlh, IFLA_INFO_KIND, "veth");
	struct nlattr *data = mnl_attr_nest_start(nlh, IFLA_INFO_DATA);
	struct nlattr *peer = mnl_attr_nest_start(nlh, VETH_INFO_PEER);
	mnl_nlmsg_put_extra_header(nlh, sizeof(struct ifinfomsg));
	mnl_attr_put_strz(nlh, IFLA_IFNAME, "v1");
	mnl_attr_nest_end(nlh, peer);
	mnl_attr_nest_end(nlh, data);
	mnl_attr_nest_end(nlh, info);
	return talk(nl, nlh);
}

static int link_up(struct weft_socket *nl, const char *name)
{
	struct nlmsghdr *nlh = request(RTM_NEWLINK, 0);
	struct ifinfomsg *ifi = mnl_nlmsg_put_extra_header(nlh, sizeof(*ifi));
	ifi->ifi_flags = ifi->ifi_change = IFF_UP;
	mnl_attr_put_strz(nlh, IFLA_IFNAME, name);
	return talk(nl, nlh);
}

static int add_addr(struct weft_socket *nl, int index, const char *addr)
{
	struct nlmsghdr *nlh = request(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL);
	struct ifaddrmsg *ifa = mnl_nlmsg_put_extra_header(nlh, sizeof(*ifa));
	*ifa = (struct ifaddrmsg){
		.ifa_family = AF_INET, .ifa_prefixlen = 24, .ifa_index = (unsigned)index};
	mnl_attr_put_u32(nlh, IFA_LOCAL, inet_addr(addr));
	mnl_attr_put_u32(nlh, IFA_ADDRESS, inet_addr(addr));
	return talk(nl, nlh);
}

int main(void)
{
	struct weft *w;
	struct weft_socket *nl, *a, *b;
	uint64_t now = 0;

	weft_thread_init();
	check(weft_open(&(struct weft_options){.seed = 1}, &w), "weft_open");
	check(weft_socket(w, NULL, AF_NETLINK, SOCK_RAW, NETLINK_ROUTE, &nl), "netlink");
	check(add_veth(nl), "add v0");
	check(add_addr(nl, 3, "10.0.0.1"), "address of v0");
	check(add_addr(nl, 2, "10.0.0.2"), "address of v1");
	check(link_up(nl, "lo"), "lo up");
	check(link_up(nl, "v0"), "v0 up");
	check(link_up(nl, "v1"), "v1 up");

	check(weft_socket(w, NULL, AF_INET, SOCK_DGRAM, 0, &a), "socket");
	check(weft_socket(w, NULL, AF_INET, SOCK_DGRAM, 0, &b), "socket");
	struct sockaddr_in to = {.sin_family = AF_INET,
				 .sin_port = htons(7),
				 .sin_addr.s_addr = inet_addr("10.0.0.2")};
	check(weft_bind(b, (struct sockaddr *)&to, sizeof(to)), "bind");
	check((int)weft_sendto(a, "hello", 5, (struct sockaddr *)&to, sizeof(to)), "sendto");

	char text[16] = "";
	while (weft_recvfrom(b, text, sizeof(text), NULL, NULL) < 0 && now < 1000000000) {
		weft_poll(w, now);
		now += 1000000; /* a millisecond of the program's own time */
	}
	printf("received '%s' after %llu ms\n", text, (unsigned long long)(now / 1000000));

	weft_socket_close(a);
	weft_socket_close(b);
	weft_socket_close(nl);
	weft_close(w);
	weft_thread_fini();
	return strcmp(text, "hello") != 0;
}
