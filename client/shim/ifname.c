/*
 * ifname: if_nametoindex, getifaddrs and their kin.
 *
 * The C library makes them over sockets of its own, which do not pass us by. So they are made here,
 * over netlink, with the results in the memory layout that the C library's own freeifaddrs and
 * if_freenameindex free: one block, and a block for each name.
 */
#include <ifaddrs.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netpacket/packet.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "shim.h"

/* ---- names ---- */

static int ifreq_call(unsigned long cmd, struct ifreq *ifr)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -1;
	int ret = ioctl(fd, cmd, ifr), saved = errno;
	syscall(SYS_close, fd);
	errno = saved;
	return ret;
}

SHIM_API unsigned if_nametoindex(const char *name)
{
	struct ifreq ifr = {0};

	if (!shim_on())
		return REAL(if_nametoindex)(name);
	if (strlen(name) >= IFNAMSIZ) {
		errno = ENODEV;
		return 0;
	}
	strcpy(ifr.ifr_name, name);
	return ifreq_call(SIOCGIFINDEX, &ifr) ? 0 : (unsigned)ifr.ifr_ifindex;
}

SHIM_API char *if_indextoname(unsigned index, char name[IF_NAMESIZE])
{
	struct ifreq ifr = {.ifr_ifindex = (int)index};

	if (!shim_on())
		return REAL(if_indextoname)(index, name);
	if (ifreq_call(SIOCGIFNAME, &ifr)) {
		if (errno == ENODEV)
			errno = ENXIO;
		return NULL;
	}
	memcpy(name, ifr.ifr_name, IFNAMSIZ);
	return name;
}

/* ---- dumps ---- */

/* What a dump brought: its messages one behind the other. */
struct dump {
	uint8_t *data;
	size_t len, room;
};

static int dump_ask(int fd, int type)
{
	const struct {
		struct nlmsghdr h;
		struct rtgenmsg g;
	} ask = {.h = {.nlmsg_len = NLMSG_LENGTH(sizeof(struct rtgenmsg)),
		       .nlmsg_type = (uint16_t)type,
		       .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP,
		       .nlmsg_seq = 1}};

	return send(fd, &ask, ask.h.nlmsg_len, 0) < 0 ? -errno : 0;
}

/* One datagram more. 1: there are others to come. */
static int dump_more(int fd, struct dump *d)
{
	ssize_t n = recv(fd, NULL, 0, MSG_PEEK | MSG_TRUNC);

	if (n <= 0)
		return n < 0 ? -errno : -EIO;
	if (d->len + (size_t)n > d->room) {
		size_t room = MAX(2 * d->room, d->len + (size_t)n);
		uint8_t *data = realloc(d->data, room);
		if (!data)
			return -ENOMEM;
		d->data = data;
		d->room = room;
	}
	n = recv(fd, d->data + d->len, d->room - d->len, 0);
	if (n < 0)
		return -errno;
	struct nlmsghdr *h = (struct nlmsghdr *)(d->data + d->len);
	d->len += (size_t)n;
	for (unsigned left = (unsigned)n; NLMSG_OK(h, left); h = NLMSG_NEXT(h, left)) {
		if (h->nlmsg_type == NLMSG_DONE)
			return 0;
		if (h->nlmsg_type == NLMSG_ERROR)
			return ((struct nlmsgerr *)NLMSG_DATA(h))->error;
	}
	return 1;
}

static int dump_one(int type, struct dump *d)
{
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);

	if (fd < 0)
		return -errno;
	int err = dump_ask(fd, type);
	if (!err)
		while ((err = dump_more(fd, d)) == 1)
			;
	syscall(SYS_close, fd);
	return err;
}

/* Calls fn for each message of a kind. */
static void dump_each(const struct dump *d, int type, void (*fn)(void *arg, struct nlmsghdr *h),
		      void *arg)
{
	struct nlmsghdr *h = (struct nlmsghdr *)d->data;

	for (size_t left = d->len; NLMSG_OK(h, left); h = NLMSG_NEXT(h, left))
		if (h->nlmsg_type == type)
			fn(arg, h);
}

static const struct rtattr *find_attr(const struct nlmsghdr *h, size_t head, int type)
{
	const struct rtattr *a = (const void *)((const char *)NLMSG_DATA(h) + NLMSG_ALIGN(head));
	long left = (long)h->nlmsg_len - (long)NLMSG_LENGTH(NLMSG_ALIGN(head));

	for (; RTA_OK(a, left); a = RTA_NEXT(a, left))
		if (a->rta_type == type)
			return a;
	return NULL;
}

static const struct rtattr *link_attr(const struct nlmsghdr *h, int type)
{
	return find_attr(h, sizeof(struct ifinfomsg), type);
}

static const struct rtattr *addr_attr(const struct nlmsghdr *h, int type)
{
	return find_attr(h, sizeof(struct ifaddrmsg), type);
}

/* ---- if_nameindex ---- */

struct names {
	struct if_nameindex *v;
	unsigned n;
	bool failed;
};

static void count_link(void *arg, struct nlmsghdr *h)
{
	((struct names *)arg)->n++;
}

static void add_name(void *arg, struct nlmsghdr *h)
{
	const struct rtattr *name = link_attr(h, IFLA_IFNAME);
	const struct ifinfomsg *i = NLMSG_DATA(h);
	struct names *to = arg;

	if (!name || to->failed)
		return;
	to->v[to->n].if_index = (unsigned)i->ifi_index;
	to->v[to->n].if_name = strdup(RTA_DATA(name));
	if (to->v[to->n].if_name)
		to->n++;
	else
		to->failed = true;
}

SHIM_API struct if_nameindex *if_nameindex(void)
{
	struct dump d = {0};
	struct names names = {0};

	if (!shim_on())
		return REAL(if_nameindex)();
	int err = dump_one(RTM_GETLINK, &d);
	if (!err) {
		dump_each(&d, RTM_NEWLINK, count_link, &names);
		names.v = calloc(names.n + 1, sizeof(*names.v));
		names.n = 0;
	}
	if (names.v)
		dump_each(&d, RTM_NEWLINK, add_name, &names);
	free(d.data);
	if (names.failed) {
		if_freenameindex(names.v);
		names.v = NULL;
	}
	if (!names.v)
		errno = ENOBUFS;
	return names.v;
}

/* ---- getifaddrs ---- */

/* An entry and all it points to. */
struct entry {
	struct ifaddrs ifa;
	union {
		struct sockaddr sa;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
		struct sockaddr_ll ll;
	} addr, mask, other;
	char name[IFNAMSIZ];
	struct rtnl_link_stats stats;
};

struct entries {
	const struct dump *links;
	struct entry *v;
	unsigned n, room;
};

static void take_name(char to[IFNAMSIZ], const struct rtattr *name)
{
	if (name)
		strncpy(to, RTA_DATA(name), IFNAMSIZ - 1);
}

static void set_ll(struct sockaddr_ll *ll, const struct ifinfomsg *i, const struct rtattr *a)
{
	size_t len = MIN((size_t)RTA_PAYLOAD(a), sizeof(ll->sll_addr));

	*ll = (struct sockaddr_ll){.sll_family = AF_PACKET,
				   .sll_ifindex = i->ifi_index,
				   .sll_hatype = i->ifi_type,
				   .sll_halen = (uint8_t)len};
	memcpy(ll->sll_addr, RTA_DATA(a), len);
}

static void add_link(void *arg, struct nlmsghdr *h)
{
	const struct ifinfomsg *i = NLMSG_DATA(h);
	struct entries *to = arg;

	if (to->n == to->room)
		return;
	struct entry *e = &to->v[to->n++];
	const struct rtattr *addr = link_attr(h, IFLA_ADDRESS), *bc = link_attr(h, IFLA_BROADCAST),
			    *stats = link_attr(h, IFLA_STATS);
	e->ifa.ifa_name = e->name;
	e->ifa.ifa_flags = i->ifi_flags;
	take_name(e->name, link_attr(h, IFLA_IFNAME));
	if (addr) {
		set_ll(&e->addr.ll, i, addr);
		e->ifa.ifa_addr = &e->addr.sa;
	}
	if (bc) {
		set_ll(&e->other.ll, i, bc);
		e->ifa.ifa_broadaddr = &e->other.sa;
	}
	if (stats) {
		memcpy(&e->stats, RTA_DATA(stats),
		       MIN((size_t)RTA_PAYLOAD(stats), sizeof(e->stats)));
		e->ifa.ifa_data = &e->stats;
	}
}

static bool set_addr(struct sockaddr *sa, const struct ifaddrmsg *m, const struct rtattr *a)
{
	if (m->ifa_family == AF_INET && RTA_PAYLOAD(a) == 4) {
		struct sockaddr_in *in = (struct sockaddr_in *)sa;
		in->sin_family = AF_INET;
		memcpy(&in->sin_addr, RTA_DATA(a), 4);
		return true;
	}
	if (m->ifa_family == AF_INET6 && RTA_PAYLOAD(a) == 16) {
		struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)sa;
		in6->sin6_family = AF_INET6;
		memcpy(&in6->sin6_addr, RTA_DATA(a), 16);
		if (IN6_IS_ADDR_LINKLOCAL(&in6->sin6_addr) ||
		    IN6_IS_ADDR_MC_LINKLOCAL(&in6->sin6_addr))
			in6->sin6_scope_id = m->ifa_index;
		return true;
	}
	return false;
}

static void set_mask(struct entry *e, const struct ifaddrmsg *m)
{
	bool is4 = m->ifa_family == AF_INET;
	uint8_t *p = is4 ? (uint8_t *)&e->mask.in.sin_addr : e->mask.in6.sin6_addr.s6_addr;

	e->mask.sa.sa_family = m->ifa_family;
	for (unsigned i = 0; i < MIN((unsigned)m->ifa_prefixlen, is4 ? 32u : 128u); i++)
		p[i / 8] |= (uint8_t)(0x80 >> i % 8);
	e->ifa.ifa_netmask = &e->mask.sa;
}

/* The device of an address. */
static struct nlmsghdr *find_link(const struct dump *d, unsigned index)
{
	struct nlmsghdr *h = (struct nlmsghdr *)d->data;

	for (size_t left = d->len; NLMSG_OK(h, left); h = NLMSG_NEXT(h, left))
		if (h->nlmsg_type == RTM_NEWLINK &&
		    ((struct ifinfomsg *)NLMSG_DATA(h))->ifi_index == (int)index)
			return h;
	return NULL;
}

static void add_addr(void *arg, struct nlmsghdr *h)
{
	const struct ifaddrmsg *m = NLMSG_DATA(h);
	struct entries *to = arg;
	const struct nlmsghdr *link = find_link(to->links, m->ifa_index);
	const struct rtattr *local = addr_attr(h, IFA_LOCAL), *addr = addr_attr(h, IFA_ADDRESS),
			    *bc = addr_attr(h, IFA_BROADCAST);

	if (to->n == to->room || !link || (!local && !addr))
		return;
	struct entry *e = &to->v[to->n];
	if (!set_addr(&e->addr.sa, m, local ? local : addr))
		return;
	to->n++;
	e->ifa.ifa_addr = &e->addr.sa;
	e->ifa.ifa_name = e->name;
	e->ifa.ifa_flags = ((struct ifinfomsg *)NLMSG_DATA(link))->ifi_flags;
	take_name(e->name, link_attr(link, IFLA_IFNAME));
	take_name(e->name, addr_attr(h, IFA_LABEL));
	/* of both, ADDRESS is the far end */
	const struct rtattr *other = (e->ifa.ifa_flags & IFF_POINTOPOINT) && local ? addr : bc;
	if (!bc && local && addr)
		other = addr;
	if (other && set_addr(&e->other.sa, m, other))
		e->ifa.ifa_broadaddr = &e->other.sa;
	set_mask(e, m);
}

static int fill(struct entries *to, const struct dump *links, const struct dump *addrs)
{
	struct names count = {0};

	dump_each(links, RTM_NEWLINK, count_link, &count);
	dump_each(addrs, RTM_NEWADDR, count_link, &count);
	to->links = links;
	to->room = count.n;
	to->v = count.n ? calloc(count.n, sizeof(*to->v)) : NULL;
	if (count.n && !to->v)
		return -ENOMEM;
	dump_each(links, RTM_NEWLINK, add_link, to);
	dump_each(addrs, RTM_NEWADDR, add_addr, to);
	for (unsigned i = 0; i + 1 < to->n; i++)
		to->v[i].ifa.ifa_next = &to->v[i + 1].ifa;
	return 0;
}

SHIM_API int getifaddrs(struct ifaddrs **out)
{
	struct dump links = {0}, addrs = {0};
	struct entries all = {0};

	if (!shim_on())
		return REAL(getifaddrs)(out);
	int err = dump_one(RTM_GETLINK, &links);
	if (!err)
		err = dump_one(RTM_GETADDR, &addrs);
	if (!err)
		err = fill(&all, &links, &addrs);
	free(links.data);
	free(addrs.data);
	if (!err)
		*out = all.n ? &all.v->ifa : NULL;
	return shim_ret(err);
}
