/*
 * link: devices that iproute2 has no words for: tap, memif, pcap and fault.
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
#include <sys/syscall.h>
#include <unistd.h>

#include "abi/dgram.h"
#include "abi/kinds.h"
#include "cli.h"

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

/* The connection that requests for devices go over: a netlink socket of the instance. */
struct link_conn {
	struct client client;
	uint64_t sock;
	int fd;
	/* what was received last */
	union {
		uint8_t buf[sizeof(struct weft_dgram) + 16384];
		struct weft_dgram align;
	};
};

static struct link_conn *link_open(void)
{
	struct link_conn *c = calloc(1, sizeof(*c));
	struct shim_req r = {.op = WEFT_OP_SOCKET,
			     .arg = {AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE}};
	int on = 1;

	if (!c)
		die(1, "%s", strerror(ENOMEM));
	client_find(&c->client, NULL);
	int err = client_call(&c->client, &r);
	if (err || r.fd < 0)
		die(1, "netlink: %s", strerror(err ? -err : EPROTO));
	c->fd = r.fd;
	c->sock = r.rep.arg0;
	r = (struct shim_req){.op = WEFT_OP_SETSOCKOPT,
			      .sock = c->sock,
			      .arg = {SOL_NETLINK, NETLINK_EXT_ACK},
			      .data = &on,
			      .len = sizeof(on)};
	client_call(&c->client, &r); /* only for better texts */
	return c;
}

static void link_close(struct link_conn *c)
{
	close(c->fd);
	client_close(&c->client);
	free(c);
}

/* Sends the request; the message that answers it. */
static const struct nlmsghdr *ask(struct link_conn *c, struct message *m)
{
	struct shim_req r = {.op = WEFT_OP_SEND,
			     .sock = c->sock,
			     .data = m,
			     .len = sizeof(m->dgram) + m->nlh.nlmsg_len};
	int err = client_call(&c->client, &r);

	if (err)
		die(1, "netlink: %s", strerror(-err));
	const struct nlmsghdr *nlh = (struct nlmsghdr *)(c->buf + sizeof(struct weft_dgram));
	/* below `weft run` the shim would take the header off */
	ssize_t n = syscall(SYS_recvfrom, c->fd, c->buf, sizeof(c->buf) - 1, 0, NULL, NULL) -
		    (ssize_t)sizeof(struct weft_dgram);
	size_t least = NLMSG_LENGTH(sizeof(struct ifinfomsg));
	if (n > (ssize_t)least && nlh->nlmsg_type == NLMSG_ERROR)
		least = NLMSG_LENGTH(sizeof(struct nlmsgerr));
	if (n < (ssize_t)least || nlh->nlmsg_len > (size_t)n || nlh->nlmsg_len < least)
		die(1, "the daemon does not answer");
	return nlh;
}

/* 0 or -errno, with a complaint. */
static int result(const struct nlmsghdr *nlh, const char *about)
{
	const struct nlmsgerr *e = NLMSG_DATA(nlh);

	if (nlh->nlmsg_type != NLMSG_ERROR || !e->error)
		return 0;
	const char *text = error_text(nlh, e);
	complain("%s%s%s%s%s", about ? about : "", about ? ": " : "", text ? text : "",
		 text ? ": " : "", strerror(-e->error));
	return e->error;
}

static int send_link(struct message *m)
{
	struct link_conn *c = link_open();
	int err = result(ask(c, m), NULL);

	link_close(c);
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

/* Opens what says of which kind the device is; the nest of its settings in `data`. */
static struct rtattr *kind_begin(struct message *m, const char *kind, struct rtattr **data)
{
	struct rtattr *info = put(m, IFLA_LINKINFO, NULL, 0);

	put_str(m, IFLA_INFO_KIND, kind);
	*data = put(m, IFLA_INFO_DATA, NULL, 0);
	return info;
}

static void kind_end(struct message *m, struct rtattr *info, struct rtattr *data)
{
	nest_end(m, data);
	nest_end(m, info);
}

/* A whole number of 32 bits that is all of the text. */
static uint32_t number(const char *text, const char *use)
{
	char *end;

	errno = 0;
	unsigned long v = strtoul(text, &end, 10);
	if (errno || end == text || *end || *text == '-' || v > UINT32_MAX)
		usage(use);
	return (uint32_t)v;
}

int tap_main(int argc, char **argv)
{
	const char *host = NULL;
	uint32_t queues = 0;

	if (argc < 3 || strcmp(argv[1], "add") || argc % 2 == 0)
		usage(TAP_USAGE);
	for (int i = 3; i + 1 < argc; i += 2) {
		if (!strcmp(argv[i], "host"))
			host = argv[i + 1];
		else if (!strcmp(argv[i], "queues"))
			queues = number(argv[i + 1], TAP_USAGE);
		else
			usage(TAP_USAGE);
	}
	if (host && strlen(host) >= IFNAMSIZ)
		die(EXIT_USAGE, "'%s' cannot be the name of a device", host);
	struct message *m = message_new(argv[2]);
	struct rtattr *data, *info = kind_begin(m, "tap", &data);
	if (host)
		put_str(m, WEFT_TAP_HOST, host);
	if (queues)
		put(m, WEFT_TAP_QUEUES, &queues, sizeof(queues));
	kind_end(m, info, data);
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

static void put_memif(struct message *m, const char *name, const char *text)
{
	static const struct {
		const char *name;
		uint16_t attr;
	} numbers[] = {{"id", WEFT_MEMIF_ID},
		       {"queues", WEFT_MEMIF_QUEUES},
		       {"ring", WEFT_MEMIF_RING},
		       {"buffer", WEFT_MEMIF_BUFFER}};
	uint32_t v = WEFT_MEMIF_SERVER;

	for (unsigned i = 0; i < ARRAY_SIZE(numbers); i++) {
		if (strcmp(numbers[i].name, name))
			continue;
		v = number(text, MEMIF_USAGE);
		put(m, numbers[i].attr, &v, sizeof(v));
		return;
	}
	if (!strcmp(name, "secret") && strlen(text) <= 24) {
		put_str(m, WEFT_MEMIF_SECRET, text);
		return;
	}
	if (strcmp(name, "role") || (strcmp(text, "server") && strcmp(text, "client")))
		usage(MEMIF_USAGE);
	if (!strcmp(text, "client"))
		v = WEFT_MEMIF_CLIENT;
	put(m, WEFT_MEMIF_ROLE, &v, sizeof(v));
}

int memif_main(int argc, char **argv)
{
	char path[PATH_MAX];

	if (argc < 4 || argc % 2 || strcmp(argv[1], "add"))
		usage(MEMIF_USAGE);
	if (argv[3][0] == '@') /* no file */
		snprintf(path, sizeof(path), "%s", argv[3]);
	else
		absolute(argv[3], path);
	if (strlen(path) > 107)
		die(EXIT_USAGE, "%s: %s", path, strerror(ENAMETOOLONG));
	struct message *m = message_new(argv[2]);
	struct rtattr *data, *info = kind_begin(m, "memif", &data);
	put_str(m, WEFT_MEMIF_SOCKET, path);
	for (int i = 4; i + 1 < argc; i += 2)
		put_memif(m, argv[i], argv[i + 1]);
	kind_end(m, info, data);
	int err = send_link(m);
	free(m);
	return err;
}

int pcap_main(int argc, char **argv)
{
	char path[PATH_MAX];

	if (argc < 4 || argc % 2)
		usage(PCAP_USAGE);
	bool replay = !strcmp(argv[1], "replay");
	if (!replay && (strcmp(argv[1], "record") || argc != 4))
		usage(PCAP_USAGE);
	absolute(argv[replay ? 2 : 3], path);
	struct message *m = message_new(argv[replay ? 3 : 2]);
	struct rtattr *data, *info = kind_begin(m, "pcap", &data);
	put_str(m, replay ? WEFT_PCAP_REPLAY : WEFT_PCAP_RECORD, path);
	for (int i = 4; i + 1 < argc; i += 2) {
		uint32_t v = number(argv[i + 1], PCAP_USAGE);
		if (!strcmp(argv[i], "speed"))
			put(m, WEFT_PCAP_SPEED, &v, sizeof(v));
		else if (!strcmp(argv[i], "loop"))
			put(m, WEFT_PCAP_LOOP, &v, sizeof(v));
		else
			usage(PCAP_USAGE);
	}
	kind_end(m, info, data);
	int err = send_link(m);
	free(m);
	return err;
}

/* ---- fault ---- */

/* Options whose values are numbers with a fraction, and one unit of the attribute in them. */
static const struct fault_option {
	const char *name;
	uint16_t attr;
	double scale, max; /* max in the user's unit */
} fault_options[] = {
	{"loss", WEFT_FAULT_LOSS, WEFT_FAULT_RATE_MAX / 100, 100},
	{"dup", WEFT_FAULT_DUP, WEFT_FAULT_RATE_MAX / 100, 100},
	{"reorder", WEFT_FAULT_REORDER, WEFT_FAULT_RATE_MAX / 100, 100},
	{"corrupt", WEFT_FAULT_CORRUPT, WEFT_FAULT_RATE_MAX / 100, 100},
	{"delay", WEFT_FAULT_DELAY, 1000, 1000000},
	{"jitter", WEFT_FAULT_JITTER, 1000, 1000000},
	{"limit", WEFT_FAULT_LIMIT, 1, 1 << 20},
};

static bool put_scaled(struct message *m, const char *name, const char *text)
{
	for (unsigned i = 0; i < ARRAY_SIZE(fault_options); i++) {
		const struct fault_option *o = &fault_options[i];
		char *end;
		if (strcmp(o->name, name))
			continue;
		double v = strtod(text, &end);
		if (*end == '%' && o->max == 100)
			end++;
		if (end == text || *end || !(v >= 0 && v <= o->max))
			usage(FAULT_USAGE);
		uint32_t scaled = (uint32_t)(v * o->scale + 0.5);
		put(m, o->attr, &scaled, sizeof(scaled));
		return true;
	}
	return false;
}

static void put_fault(struct message *m, const char *name, const char *text)
{
	static const char *const ways[] = {"", "in", "out",
					   "both"}; /* by the bits they stand for */
	char *end;

	if (put_scaled(m, name, text))
		return;
	if (!strcmp(name, "seed")) {
		uint64_t seed = strtoull(text, &end, 0);
		if (end != text && !*end) {
			put(m, WEFT_FAULT_SEED, &seed, sizeof(seed));
			return;
		}
	} else if (!strcmp(name, "direction")) {
		for (uint32_t i = 1; i < ARRAY_SIZE(ways); i++) {
			if (strcmp(ways[i], text))
				continue;
			put(m, WEFT_FAULT_DIRECTION, &i, sizeof(i));
			return;
		}
	}
	usage(FAULT_USAGE);
}

/* The index of a device of the instance; 0 with a complaint. */
static uint32_t index_of(struct link_conn *c, const char *name)
{
	struct message *m = message_new(name);

	m->nlh.nlmsg_type = RTM_GETLINK;
	m->nlh.nlmsg_flags = NLM_F_REQUEST;
	const struct nlmsghdr *nlh = ask(c, m);
	free(m);
	if (result(nlh, name))
		return 0;
	return (uint32_t)((const struct ifinfomsg *)NLMSG_DATA(nlh))->ifi_index;
}

int fault_main(int argc, char **argv)
{
	bool add = argc > 1 && !strcmp(argv[1], "add");
	int at = add ? 5 : 3;

	if (argc < at || (argc - at) % 2 || (add && strcmp(argv[3], "on")) ||
	    (!add && strcmp(argv[1], "set")))
		usage(FAULT_USAGE);
	struct message *m = message_new(argv[2]);
	if (!add)
		m->nlh.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
	struct rtattr *data, *info = kind_begin(m, "fault", &data);
	for (int i = at; i < argc; i += 2)
		put_fault(m, argv[i], argv[i + 1]);
	kind_end(m, info, data);
	struct link_conn *c = link_open();
	uint32_t lower = add ? index_of(c, argv[4]) : 0;
	int err = add && !lower ? -ENODEV : 0;
	if (lower)
		put(m, IFLA_LINK, &lower, sizeof(lower));
	if (!err)
		err = result(ask(c, m), NULL);
	link_close(c);
	free(m);
	return err ? 1 : 0;
}
