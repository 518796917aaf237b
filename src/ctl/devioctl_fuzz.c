/*
 * devioctl_fuzz: ioctls of all kinds on sockets of all families: no argument may crash the instance
 * or make it read or write past what it was given.
 *
 * The input is a list of records: the request (by number in the list below, or as it stands), the
 * socket, a device's name, and the bytes that follow the name in the flattened argument
 * (abi/shim.h). The argument lies in memory of just its size.
 */
#include <arpa/inet.h>
#include <linux/if_arp.h>
#include <linux/if_packet.h>
#include <linux/if_vlan.h>
#include <linux/route.h>
#include <linux/sockios.h>
#include <stdlib.h>
#include <sys/ioctl.h>

#include "ctl/ethtool.h"
#include "ctl/fuzz_bed.h"

enum wish {
	WISH_RAW = 1,	  /* the request's number is 0x8900 and a byte of the input */
	WISH_UNNAMED = 2, /* all of the argument is from the input */
	WISH_CUT = 4,	  /* the argument is shorter than it should be */
	WISH_ETHTOOL = 8, /* SIOCETHTOOL, with a command of the list */
	WISH_SIN = 16,	  /* the bytes behind the name are an IPv4 address */
	WISH_TIME = 32,	  /* time passes */
};

enum { N_SOCKS = 4, ARG_MAX = 4096 };

static const unsigned cmds[] = {
	SIOCGIFNAME,	SIOCGIFCONF,	SIOCGIFFLAGS,
	SIOCSIFFLAGS,	SIOCGIFADDR,	SIOCSIFADDR,
	SIOCGIFDSTADDR, SIOCSIFDSTADDR, SIOCGIFBRDADDR,
	SIOCSIFBRDADDR, SIOCGIFNETMASK, SIOCSIFNETMASK,
	SIOCGIFMETRIC,	SIOCSIFMETRIC,	SIOCGIFMTU,
	SIOCSIFMTU,	SIOCSIFNAME,	SIOCSIFHWADDR,
	SIOCGIFHWADDR,	SIOCGIFINDEX,	SIOCSIFHWBROADCAST,
	SIOCADDMULTI,	SIOCDELMULTI,	SIOCGIFTXQLEN,
	SIOCSIFTXQLEN,	SIOCGIFMAP,	SIOCSIFMAP,
	SIOCGIFVLAN,	SIOCSIFVLAN,	SIOCADDRT,
	SIOCDELRT,	SIOCGARP,	SIOCSARP,
	SIOCDARP,	SIOCETHTOOL,	SIOCGHWTSTAMP,
	SIOCSHWTSTAMP,	SIOCGSTAMP_OLD, SIOCGSTAMP_NEW,
	SIOCOUTQ,	SIOCINQ,	SIOCGMIIPHY,
	SIOCGMIIREG,	SIOCBRADDBR,	SIOCBRADDIF,
};

static const char *const names[] = {"v0",   "v1",  "lo", "v0.5",
				    "v0:1", "x%d", "",	 "0123456789abcdef"};

static struct fuzz_bed f;

static unsigned cmd_in(struct view *v, unsigned wish)
{
	unsigned n = view_u8(v);

	if (wish & WISH_ETHTOOL)
		return SIOCETHTOOL;
	return wish & WISH_RAW ? 0x8900 | n : cmds[n % ARRAY_SIZE(cmds)];
}

/* Writes the argument; its length. */
static size_t arg_in(struct view *v, unsigned wish, unsigned cmd, uint8_t *arg)
{
	size_t at = 0, more = view_u8(v), n;

	memset(arg, 0, ARG_MAX);
	if (cmd == SIOCADDRT || cmd == SIOCDELRT) {
		at = sizeof(struct rtentry) + IFNAMSIZ;
	} else if (!(wish & WISH_UNNAMED)) {
		const char *name = names[view_u8(v) % ARRAY_SIZE(names)];
		memcpy(arg, name, MIN(strlen(name), (size_t)IFNAMSIZ));
		at = IFNAMSIZ;
		if (wish & WISH_SIN) {
			arg[at] = AF_INET;
			at += 4;
		}
	}
	if (wish & WISH_ETHTOOL) {
		uint32_t what = view_u8(v);
		at = sizeof(struct ifreq);
		memcpy(arg + at, &what, sizeof(what));
		at += sizeof(what);
	}
	n = MIN(more * 8, v->left);
	const uint8_t *from = view_take(v, n);
	if (from)
		memcpy(arg + at, from, n);
	if (cmd == SIOCADDRT || cmd == SIOCDELRT) {
		memcpy(arg, arg + at, MIN(n, sizeof(struct rtentry)));
		return at;
	}
	at += n;
	return wish & WISH_CUT ? at : MAX(at, sizeof(struct arpreq));
}

static void one(struct sock *const sk[N_SOCKS], struct view *v)
{
	static uint8_t arg[ARG_MAX];
	unsigned wish = view_u8(v), cmd = cmd_in(v, wish);
	struct sock *to = sk[view_u8(v) % N_SOCKS];
	size_t len = arg_in(v, wish, cmd, arg);

	if (cmd == SIOCGIFCONF) { /* a room in, as much out; and the room itself must fit */
		uint32_t room;
		memcpy(&room, arg, sizeof(room));
		len = MIN((size_t)room, sizeof(arg));
		len = MAX(len, sizeof(room));
	}
	uint8_t *exact = malloc(MAX(len, (size_t)1));
	if (!exact)
		abort();
	memcpy(exact, arg, len);
	int err = sock_ioctl(to, cmd, exact, len);
	if (err < -4095 || err > (int)ARG_MAX)
		abort();
	free(exact);
	if (wish & WISH_TIME)
		fuzz_bed_pass(&f, NSEC_PER_SEC);
}

static struct sock *sock_of(struct net *net, int family, int type, int protocol)
{
	struct sock *sk;

	if (sock_new(net, family, type, protocol, &sk))
		abort();
	return sk;
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
	struct view v = view_of(data, size);
	struct net *net = fuzz_bed_net(&f);
	struct sock *sk[N_SOCKS] = {
		sock_of(net, AF_INET, SOCK_DGRAM, 0),
		sock_of(net, AF_PACKET, SOCK_RAW, 0),
		sock_of(net, AF_INET, SOCK_RAW, IPPROTO_ICMP),
		sock_of(net, AF_NETLINK, SOCK_RAW, NETLINK_ROUTE),
	};

	while (v.left && view_ok(&v))
		one(sk, &v);
	for (unsigned i = 0; i < N_SOCKS; i++)
		bed_close(sk[i]);
	net_put(net);
	fuzz_bed_end(&f);
	return 0;
}
