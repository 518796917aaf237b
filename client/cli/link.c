/*
 * link: devices that iproute2 has no words for: tap and pcap.
 *
 * They are made like any other, by RTM_NEWLINK on a netlink socket of the instance; here it is
 * spoken over the plain connection. The daemon opens what the device needs (/dev/net/tun, files).
 */
#include <errno.h>
#include <linux/if_link.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "abi/dgram.h"
#include "abi/kinds.h"
#include "cli.h"

#define TAP_USAGE  "tap add DEVICE [host NAME] [queues N]"
#define PCAP_USAGE "pcap replay FILE DEVICE | record DEVICE FILE"

/* A datagram to be sent: the header of the pair, then the request. */
struct message {
	struct weft_dgram dgram;
	struct nlmsghdr nlh;
	struct ifinfomsg ifi;
	uint8_t attrs[2 * PATH_MAX];
};

static struct rtattr *put(struct message *m, unsigned short type, const void *data, size_t len)
{
	struct rtattr *a = (struct rtattr *)((uint8_t *)&m->nlh + NLMSG_ALIGN(m->nlh.nlmsg_len));

	a->rta_type = type;
	a->rta_len = (unsigned short)RTA_LENGTH(len);
	if (len)
		memcpy(RTA_DATA(a), data, len);
	m->nlh.nlmsg_len = NLMSG_ALIGN(m->nlh.nlmsg_len) + (uint32_t)RTA_ALIGN(a->rta_len);
	return a;
}

static void put_str(struct message *m, unsigned short type, const char *s)
{
	put(m, type, s, strlen(s) + 1);
}

static void nest_end(struct message *m, struct rtattr *a)
{
	a->rta_len = (unsigned short)((uint8_t *)&m->nlh + m->nlh.nlmsg_len - (uint8_t *)a);
}

/* The extended part of an error, if it has a text. */
static const char *error_text(const struct nlmsghdr *nlh, const struct nlmsgerr *e)
{
	size_t at = NLMSG_LENGTH(sizeof(*e));

	if (!(nlh->nlmsg_flags & NLM_F_ACK_TLVS))
		return NULL;
	if (!(nlh->nlmsg_flags & NLM_F_CAPPED))
		at += NLMSG_ALIGN(e->msg.nlmsg_len) - NLMSG_HDRLEN;
	int len = (int)nlh->nlmsg_len - (int)at;
	for (struct rtattr *a = (struct rtattr *)((uint8_t *)nlh + at); RTA_OK(a, len);
	     a = RTA_NEXT(a, len))
		if (a->rta_type == NLMSGERR_ATTR_MSG)
			return RTA_DATA(a);
	return NULL;
}

/* Reads the answer from the socket's pair. 0 or -errno, with a complaint. */
static int answer(int fd)
{
	uint8_t buf[sizeof(struct weft_dgram) + 16384] __attribute__((aligned(8)));
	const struct nlmsghdr *nlh = (struct nlmsghdr *)(buf + sizeof(struct weft_dgram));
	ssize_t n = recv(fd, buf, sizeof(buf) - 1, 0) - (ssize_t)sizeof(struct weft_dgram);

	if (n < (ssize_t)NLMSG_LENGTH(sizeof(struct nlmsgerr)) || nlh->nlmsg_len > (size_t)n ||
	    nlh->nlmsg_type != NLMSG_ERROR)
		die(1, "the daemon does not answer");
	const struct nlmsgerr *e = NLMSG_DATA(nlh);
	if (!e->error)
		return 0;
	const char *text = error_text(nlh, e);
	complain("%s%s%s", text ? text : "", text ? ": " : "", strerror(-e->error));
	return e->error;
}

static uint64_t open_netlink(struct client *c, int *fd)
{
	struct shim_req r = {.op = WEFT_OP_SOCKET,
			    .arg = {AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE}};
	int on = 1, err = client_call(c, &r);

	if (err || r.fd < 0)
		die(1, "netlink: %s", strerror(err ? -err : EPROTO));
	*fd = r.fd;
	uint64_t sock = r.rep.arg0;
	r = (struct shim_req){.op = WEFT_OP_SETSOCKOPT,
			     .sock = sock,
			     .arg = {SOL_NETLINK, NETLINK_EXT_ACK},
			     .data = &on,
			     .len = sizeof(on)};
	client_call(c, &r); /* only for better texts */
	return sock;
}

static int send_link(struct message *m)
{
	struct client c;
	int fd;

	client_find(&c, NULL);
	struct shim_req r = {.op = WEFT_OP_SEND,
			    .sock = open_netlink(&c, &fd),
			    .data = m,
			    .len = sizeof(m->dgram) + m->nlh.nlmsg_len};
	int err = client_call(&c, &r);
	if (err)
		die(1, "netlink: %s", strerror(-err));
	err = answer(fd);
	close(fd);
	client_close(&c);
	return err ? 1 : 0;
}

static struct message *message_new(const char *dev)
{
	struct message *m = calloc(1, sizeof(*m));

	if (!m)
		die(1, "%s", strerror(ENOMEM));
	if (!*dev || strlen(dev) >= IFNAMSIZ)
		die(EXIT_USAGE, "'%s' cannot be the name of a device", dev);
	static_assert(offsetof(struct message, ifi) == offsetof(struct message, nlh) + NLMSG_HDRLEN,
		      "the parts of the datagram touch");
	m->nlh.nlmsg_len = NLMSG_LENGTH(sizeof(m->ifi));
	m->nlh.nlmsg_type = RTM_NEWLINK;
	m->nlh.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL;
	m->nlh.nlmsg_seq = 1;
	put_str(m, IFLA_IFNAME, dev);
	return m;
}

int tap_main(int argc, char **argv)
{
	const char *host = NULL;
	uint32_t queues = 0;
	char *end;

	if (argc < 3 || strcmp(argv[1], "add") || argc % 2 == 0)
		usage(TAP_USAGE);
	for (int i = 3; i + 1 < argc; i += 2) {
		if (!strcmp(argv[i], "host")) {
			host = argv[i + 1];
		} else if (!strcmp(argv[i], "queues")) {
			queues = (uint32_t)strtoul(argv[i + 1], &end, 10);
			if (!queues || *end)
				usage(TAP_USAGE);
		} else {
			usage(TAP_USAGE);
		}
	}
	if (host && strlen(host) >= IFNAMSIZ)
		die(EXIT_USAGE, "'%s' cannot be the name of a device", host);
	struct message *m = message_new(argv[2]);
	struct rtattr *info = put(m, IFLA_LINKINFO, NULL, 0);
	put_str(m, IFLA_INFO_KIND, "tap");
	struct rtattr *data = put(m, IFLA_INFO_DATA, NULL, 0);
	if (host)
		put_str(m, WEFT_TAP_HOST, host);
	if (queues)
		put(m, WEFT_TAP_QUEUES, &queues, sizeof(queues));
	nest_end(m, data);
	nest_end(m, info);
	int err = send_link(m);
	free(m);
	return err;
}

/* The daemon has a working directory of its own. */
static void absolute(const char *file, char to[PATH_MAX])
{
	char cwd[PATH_MAX];

	if (file[0] == '/' || !getcwd(cwd, sizeof(cwd)))
		cwd[0] = 0;
	if (snprintf(to, PATH_MAX, "%s%s%s", cwd, cwd[0] ? "/" : "", file) >= PATH_MAX)
		die(EXIT_USAGE, "%s: %s", file, strerror(ENAMETOOLONG));
}

int pcap_main(int argc, char **argv)
{
	char path[PATH_MAX];

	if (argc != 4)
		usage(PCAP_USAGE);
	bool replay = !strcmp(argv[1], "replay");
	if (!replay && strcmp(argv[1], "record"))
		usage(PCAP_USAGE);
	absolute(argv[replay ? 2 : 3], path);
	struct message *m = message_new(argv[replay ? 3 : 2]);
	struct rtattr *info = put(m, IFLA_LINKINFO, NULL, 0);
	put_str(m, IFLA_INFO_KIND, "pcap");
	struct rtattr *data = put(m, IFLA_INFO_DATA, NULL, 0);
	put_str(m, replay ? WEFT_PCAP_REPLAY : WEFT_PCAP_RECORD, path);
	nest_end(m, data);
	nest_end(m, info);
	int err = send_link(m);
	free(m);
	return err;
}
