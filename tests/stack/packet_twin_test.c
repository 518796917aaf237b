/*
 * Packet sockets of the host's kernel and of weft's, side by side: the same frames are sent over a
 * veth pair of each, and what sockets and rings show is the same, to the byte but for time stamps
 * and device numbers.
 *
 * Skipped where the host does not let us make a network namespace.
 */
#include "stack.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/utsname.h>
#include <unistd.h>

#define MAC0 "02:00:00:00:00:10"
#define MAC1 "02:00:00:00:00:11"

struct twin {
	int fd;
	struct sock *sk;
	uint8_t *kring, *wring;
	size_t size;
};

static int k0, k1; /* the host's devices */

static int host_index(const char *name)
{
	struct ifreq ifr = {0};
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	strcpy(ifr.ifr_name, name);
	assert_int_equal(ioctl(fd, SIOCGIFINDEX, &ifr), 0);
	close(fd);
	return ifr.ifr_ifindex;
}

static void host_pair(void)
{
	static const char *const cmds[] = {
		"sysctl -qw net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1",
		"ip link add v0 address " MAC0 " type veth peer name v1 address " MAC1,
		"ip link set v0 up arp off && ip link set v1 up arp off && ip link set lo up",
	};
	struct utsname u;
	unsigned major = 0;

	if (k0)
		return;
	if (uname(&u) || sscanf(u.release, "%u", &major) != 1 || major < 6 || unshare(CLONE_NEWNET))
		skip();
	for (size_t i = 0; i < ARRAY_SIZE(cmds); i++)
		if (system(cmds[i]))
			skip();
	k0 = host_index("v0");
	k1 = host_index("v1");
	assert_true(k0 && k1);
	usleep(100000);
}

static int setup(void **state)
{
	static const uint8_t mac0[8] = {2, 0, 0, 0, 0, 0x10}, mac1[8] = {2, 0, 0, 0, 0, 0x11};
	struct stack *s;

	stack_setup(state);
	s = *state;
	/* silence but for what the test sends */
	stack_up(s->v0, false);
	stack_up(s->v1, false);
	assert_int_equal(netdev_set_flags(s->v0, IFF_NOARP, IFF_NOARP, NULL), 0);
	assert_int_equal(netdev_set_flags(s->v1, IFF_NOARP, IFF_NOARP, NULL), 0);
	assert_int_equal(netdev_set_address(s->v0, mac0, 6, NULL), 0);
	assert_int_equal(netdev_set_address(s->v1, mac1, 6, NULL), 0);
	stack_up(s->v0, true);
	stack_up(s->v1, true);
	stack_run(s, 30 * NSEC_PER_SEC);
	return 0;
}

/* ---- calls on both ---- */

static struct twin twin_new(struct net *net, int type)
{
	struct twin t = {.fd = socket(AF_PACKET, type, 0)};

	assert_true(t.fd >= 0);
	t.sk = stack_sock(net, AF_PACKET, type, 0);
	return t;
}

static void twin_free(struct twin *t)
{
	if (t->kring) {
		munmap(t->kring, t->size);
		munmap(t->wring, t->size);
	}
	close(t->fd);
	stack_close(t->sk);
}

static int twin_set(struct twin *t, int name, const void *val, size_t len)
{
	int ke = setsockopt(t->fd, SOL_PACKET, name, val, (socklen_t)len) ? -errno : 0;
	int we = sock_setsockopt(t->sk, SOL_PACKET, name, val, len);

	if (ke != we)
		print_error("option %d: kernel %d, weft %d\n", name, ke, we);
	assert_int_equal(ke, we);
	return ke;
}

static int twin_set_int(struct twin *t, int name, int val)
{
	return twin_set(t, name, &val, sizeof(val));
}

static void twin_bind(struct twin *t, const struct netdev *dev, int kdev, uint16_t proto)
{
	struct sockaddr_ll sll = {
		.sll_family = AF_PACKET, .sll_protocol = htons(proto), .sll_ifindex = kdev};

	assert_int_equal(bind(t->fd, (struct sockaddr *)&sll, sizeof(sll)), 0);
	sll.sll_ifindex = dev ? dev->ifindex : 0;
	assert_int_equal(sock_bind(t->sk, (struct sockaddr *)&sll, sizeof(sll)), 0);
}

static ssize_t twin_send(struct stack *s, struct twin *t, const struct sockaddr_ll *name, int kdev,
			 const void *data, size_t len)
{
	struct sockaddr_ll k = name ? *name : (struct sockaddr_ll){0};
	struct sock_msg m = {
		.name = name, .name_len = name ? sizeof(*name) : 0, .data = data, .len = len};

	k.sll_ifindex = kdev;
	ssize_t kn = sendto(t->fd, data, len, 0, name ? (void *)&k : NULL, name ? sizeof(k) : 0);

	if (kn < 0)
		kn = -errno;
	ssize_t wn = sock_sendmsg(t->sk, &m);

	stack_settle(s);
	if (kn != wn)
		print_error("send of %zu: kernel %zd, weft %zd\n", len, kn, wn);
	assert_int_equal(kn, wn);
	return kn;
}

static void compare_stats(struct twin *t)
{
	struct tpacket_stats_v3 k = {0}, w = {0};
	socklen_t kl = sizeof(k);
	size_t wl = sizeof(w);

	assert_int_equal(getsockopt(t->fd, SOL_PACKET, PACKET_STATISTICS, &k, &kl), 0);
	assert_int_equal(sock_getsockopt(t->sk, SOL_PACKET, PACKET_STATISTICS, &w, &wl), 0);
	if (memcmp(&k, &w, sizeof(k)))
		print_error("packets %u %u drops %u %u freezes %u %u\n", k.tp_packets, w.tp_packets,
			    k.tp_drops, w.tp_drops, k.tp_freeze_q_cnt, w.tp_freeze_q_cnt);
	assert_int_equal(kl, wl);
	assert_memory_equal(&k, &w, sizeof(k));
}

/* The next datagram of both queues; false: none. */
static bool compare_recv(struct twin *t, size_t room)
{
	struct tpacket_auxdata ka = {0}, wa;
	uint8_t kdata[4096], ctl[256];
	struct sockaddr_ll ks = {0}, ws = {0};
	struct iovec iov = {kdata, room};
	struct msghdr mh = {.msg_name = &ks,
			    .msg_namelen = sizeof(ks),
			    .msg_iov = &iov,
			    .msg_iovlen = 1,
			    .msg_control = ctl,
			    .msg_controllen = sizeof(ctl)};
	ssize_t kn = recvmsg(t->fd, &mh, MSG_DONTWAIT | MSG_TRUNC);
	struct got g;
	bool any = stack_recv(t->sk, &g);

	assert_int_equal(any, kn >= 0);
	if (!any)
		return false;
	if (kn != (ssize_t)g.len)
		print_error("received: kernel %zd, weft %zu\n", kn, g.len);
	assert_int_equal(kn, g.len);
	room = MIN(room, (size_t)kn);
	assert_memory_equal(kdata, g.data, MIN(room, sizeof(g.data)));
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&mh); c; c = CMSG_NXTHDR(&mh, c))
		if (c->cmsg_level == SOL_PACKET && c->cmsg_type == PACKET_AUXDATA)
			memcpy(&ka, CMSG_DATA(c), sizeof(ka));
	wa = (struct tpacket_auxdata){
		.tp_status = g.meta.aux_status,
		.tp_len = g.meta.aux_len,
		.tp_snaplen = g.meta.aux_snaplen,
		.tp_mac = g.meta.aux_mac,
		.tp_net = g.meta.aux_net,
		.tp_vlan_tci = g.meta.aux_vlan_tci,
		.tp_vlan_tpid = g.meta.aux_vlan_tpid,
	};
	if (memcmp(&ka, &wa, sizeof(ka)))
		print_error(
			"aux: status %x %x len %u %u snaplen %u %u mac %u %u net %u %u vlan %x/%x "
			"%x/%x\n",
			ka.tp_status, wa.tp_status, ka.tp_len, wa.tp_len, ka.tp_snaplen,
			wa.tp_snaplen, ka.tp_mac, wa.tp_mac, ka.tp_net, wa.tp_net, ka.tp_vlan_tci,
			ka.tp_vlan_tpid, wa.tp_vlan_tci, wa.tp_vlan_tpid);
	assert_memory_equal(&ka, &wa, sizeof(ka));
	memcpy(&ws, g.meta.name, sizeof(ws));
	ks.sll_ifindex = ws.sll_ifindex = 0;
	if (memcmp(&ks, &ws, sizeof(ks)))
		print_error("sll: proto %x %x type %u %u hatype %u %u halen %u %u\n",
			    ks.sll_protocol, ws.sll_protocol, ks.sll_pkttype, ws.sll_pkttype,
			    ks.sll_hatype, ws.sll_hatype, ks.sll_halen, ws.sll_halen);
	assert_memory_equal(&ks, &ws, sizeof(ks));
	return true;
}

/* ---- frames ---- */

struct frame {
	size_t len;
	uint8_t b[1600];
};

static struct frame frame(size_t len, uint16_t proto, uint16_t tci, uint8_t fill)
{
	static const uint8_t head[12] = {2, 0, 0, 0, 0, 0x11, 2, 0, 0, 0, 0, 0x10};
	struct frame f = {.len = len};

	memset(f.b, fill, sizeof(f.b));
	memcpy(f.b, head, sizeof(head));
	put_be16(f.b + 12, proto);
	if (proto == ETH_P_8021Q || proto == ETH_P_8021AD) {
		put_be16(f.b + 14, tci);
		put_be16(f.b + 16, 0x88b5);
	}
	return f;
}

/* All that a link can carry, more or less. */
static unsigned frames(struct frame *f)
{
	unsigned n = 0;

	f[n++] = frame(60, 0x88b5, 0, 1);
	f[n++] = frame(15, 0x88b5, 0, 2);
	f[n++] = frame(14, 0x88b5, 0, 2);
	f[n++] = frame(1514, 0x88b5, 0, 3);
	f[n++] = frame(100, ETH_P_8021Q, 0x2005, 4);
	f[n++] = frame(100, ETH_P_8021AD, 0x0fff, 5);
	f[n++] = frame(64, 46, 0, 6);	 /* a length: LLC */
	f[n++] = frame(64, 46, 0, 0xff); /* raw IPX */
	f[n++] = frame(1518, ETH_P_8021Q, 1, 7);
	f[n] = frame(70, 0x88b5, 0, 8);
	memset(f[n++].b, 0xff, 6); /* to all */
	f[n] = frame(70, 0x88b5, 0, 9);
	f[n++].b[0] = 3; /* to a group */
	f[n] = frame(70, 0x88b5, 0, 10);
	f[n++].b[5] = 0x99; /* to another host */
	return n;
}

/* ---- sockets without rings ---- */

static void run_queue(struct stack *s, int type, uint16_t proto, bool out, int vnet)
{
	struct twin tx = twin_new(s->a, SOCK_RAW), rx = twin_new(out ? s->a : s->b, type);
	struct frame f[16];
	unsigned n = frames(f), got = 0;

	twin_set_int(&rx, PACKET_AUXDATA, 1);
	if (vnet)
		assert_int_equal(twin_set_int(&rx, PACKET_VNET_HDR, 1),
				 type == SOCK_RAW ? 0 : -EINVAL);
	twin_bind(&tx, s->v0, k0, 0);
	twin_bind(&rx, out ? s->v0 : s->v1, out ? k0 : k1, proto);
	for (unsigned i = 0; i < n; i++)
		twin_send(s, &tx, NULL, 0, f[i].b, f[i].len);
	while (compare_recv(&rx, 4096))
		got++;
	assert_true(proto == ETH_P_ALL ? got >= n - 1 : got <= n);
	compare_stats(&rx);
	twin_free(&tx);
	twin_free(&rx);
}

static void test_queue(void **state)
{
	static const uint16_t protos[] = {ETH_P_ALL, 0x88b5, ETH_P_8021Q, ETH_P_802_2, ETH_P_802_3};

	host_pair();
	for (unsigned i = 0; i < ARRAY_SIZE(protos); i++)
		for (unsigned j = 0; j < 8; j++)
			run_queue(*state, j & 1 ? SOCK_DGRAM : SOCK_RAW, protos[i], j & 2, j & 4);
}

/* Filters see the frame as the socket does, and cut it off. */
static void test_filter(void **state)
{
	struct stack *s = *state;
	static const uint32_t keeps[] = {0, 1, 13, 14, 15, 30, 0xffff};

	host_pair();
	for (unsigned i = 0; i < 2 * ARRAY_SIZE(keeps); i++) {
		struct sock_filter code[] = {
			BPF_STMT(BPF_LD | BPF_W | BPF_LEN, 0),
			BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, 60, 0, 1),
			BPF_STMT(BPF_RET | BPF_K, keeps[i / 2]),
			BPF_STMT(BPF_RET | BPF_K, 0),
		};
		struct sock_fprog prog = {ARRAY_SIZE(code), code};
		struct twin tx = twin_new(s->a, SOCK_RAW),
			    rx = twin_new(s->b, i & 1 ? SOCK_DGRAM : SOCK_RAW);
		struct frame f[16];
		unsigned n = frames(f);

		assert_int_equal(
			setsockopt(rx.fd, SOL_SOCKET, SO_ATTACH_FILTER, &prog, sizeof(prog)), 0);
		assert_int_equal(
			sock_setsockopt(rx.sk, SOL_SOCKET, SO_ATTACH_FILTER, code, sizeof(code)),
			0);
		twin_set_int(&rx, PACKET_AUXDATA, 1);
		twin_bind(&tx, s->v0, k0, 0);
		twin_bind(&rx, s->v1, k1, ETH_P_ALL);
		for (unsigned j = 0; j < n; j++)
			twin_send(s, &tx, NULL, 0, f[j].b, f[j].len);
		while (compare_recv(&rx, 4096))
			;
		compare_stats(&rx);
		twin_free(&tx);
		twin_free(&rx);
	}
}

/* What may be sent, and with which words it is refused. */
static void test_send(void **state)
{
	struct stack *s = *state;
	static const size_t sizes[] = {0, 1, 13, 14, 15, 60, 1500, 1501, 1514, 1515, 1518, 1519};
	static const uint16_t protos[] = {0, 0x88b5, ETH_P_ALL, ETH_P_8021Q, ETH_P_802_3, ETH_P_IP};

	host_pair();
	for (unsigned k = 0; k < 2 * ARRAY_SIZE(protos); k++) {
		struct twin tx = twin_new(s->a, k & 1 ? SOCK_DGRAM : SOCK_RAW),
			    rx = twin_new(s->b, SOCK_RAW);
		struct sockaddr_ll to = {.sll_family = AF_PACKET,
					 .sll_ifindex = s->v0->ifindex,
					 .sll_protocol = htons(protos[k / 2]),
					 .sll_halen = 6,
					 .sll_addr = {2, 0, 0, 0, 0, 0x11}};
		struct frame f = frame(1600, 0x88b5, 0, 0x45),
			     tagged = frame(1600, ETH_P_8021Q, 5, 1);

		twin_set_int(&rx, PACKET_AUXDATA, 1);
		twin_bind(&rx, s->v1, k1, ETH_P_ALL);
		for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++) {
			twin_send(s, &tx, &to, k0, f.b, sizes[i]);
			twin_send(s, &tx, &to, k0, tagged.b, sizes[i]);
			twin_send(s, &tx, NULL, 0, f.b, sizes[i]);
		}
		while (compare_recv(&rx, 4096))
			;
		to.sll_ifindex = 999;
		assert_int_equal(twin_send(s, &tx, &to, 999, f.b, 60), -ENXIO);
		twin_bind(&tx, s->v0, k0, protos[k / 2]);
		for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++)
			twin_send(s, &tx, NULL, 0, f.b, sizes[i]);
		while (compare_recv(&rx, 4096))
			;
		compare_stats(&rx);
		twin_free(&tx);
		twin_free(&rx);
	}
}

/* ---- rings ---- */

struct shape {
	int version, type;
	uint32_t block_size, block_nr, frame_size;
	int reserve, vnet, copy_thresh;
	uint32_t priv, tov;
	unsigned rounds;
};

static int twin_ring(struct twin *t, const struct shape *h, bool tx)
{
	struct tpacket_req3 req = {
		.tp_block_size = h->block_size,
		.tp_block_nr = h->block_nr,
		.tp_frame_size = h->frame_size,
		.tp_frame_nr = h->frame_size ? h->block_size / h->frame_size * h->block_nr : 0,
		.tp_retire_blk_tov = tx ? 0 : h->tov,
		.tp_sizeof_priv = tx ? 0 : h->priv,
	};

	return twin_set(t, tx ? PACKET_TX_RING : PACKET_RX_RING, &req,
			h->version == TPACKET_V3 ? sizeof(req) : sizeof(struct tpacket_req));
}

static void twin_map(struct twin *t, const struct shape *h)
{
	size_t wsize = 0;
	int fd = t->sk->ops->mmap_fd(t->sk, &wsize);

	t->size = (size_t)h->block_size * h->block_nr;
	assert_true(fd >= 0);
	assert_int_equal(wsize, t->size);
	t->kring = mmap(NULL, t->size, PROT_READ | PROT_WRITE, MAP_SHARED, t->fd, 0);
	t->wring = mmap(NULL, t->size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_true(t->kring != MAP_FAILED && t->wring != MAP_FAILED);
}

/* Takes out of frames what differs by nature: when, over which device, and whether anyone on the
 * host has time stamps taken. */
static void blank_sll(uint8_t *frame, size_t hdr)
{
	((struct sockaddr_ll *)(frame + TPACKET_ALIGN(hdr)))->sll_ifindex = 0;
}

static void blank(uint8_t *ring, const struct shape *h)
{
	for (uint32_t i = 0; i < h->block_nr; i++) {
		uint8_t *block = ring + (size_t)i * h->block_size;

		for (uint32_t off = 0;
		     h->version != TPACKET_V3 && off + h->frame_size <= h->block_size;
		     off += h->frame_size) {
			struct tpacket_hdr *v1 = (void *)(block + off);
			struct tpacket2_hdr *v2 = (void *)(block + off);

			if (h->version == TPACKET_V1) {
				v1->tp_sec = v1->tp_usec = 0;
				v1->tp_status &= ~(unsigned long)TP_STATUS_TS_SOFTWARE;
				blank_sll(block + off, sizeof(*v1));
			} else {
				v2->tp_sec = v2->tp_nsec = 0;
				v2->tp_status &= ~TP_STATUS_TS_SOFTWARE;
				blank_sll(block + off, sizeof(*v2));
			}
		}
		if (h->version != TPACKET_V3)
			continue;
		struct tpacket_block_desc *b = (void *)block;
		uint32_t off = b->hdr.bh1.offset_to_first_pkt;

		if (!b->hdr.bh1.num_pkts)
			memset(block + off, 0, h->block_size - off);
		memset(&b->hdr.bh1.ts_first_pkt, 0, sizeof(struct tpacket_bd_ts));
		memset(&b->hdr.bh1.ts_last_pkt, 0, sizeof(struct tpacket_bd_ts));
		for (uint32_t n = b->hdr.bh1.num_pkts; n--;) {
			struct tpacket3_hdr *p = (void *)(block + off);
			uint32_t sll_end = TPACKET_ALIGN(sizeof(*p)) + sizeof(struct sockaddr_ll),
				 data = p->tp_mac - (h->vnet ? 10u : 0),
				 end = p->tp_mac + p->tp_snaplen,
				 next = n ? p->tp_next_offset : h->block_size - off;

			/* between the parts lies what was there before */
			memset(block + off + sll_end, 0, data - sll_end);
			memset(block + off + end, 0, next - end);
			p->tp_sec = p->tp_nsec = 0;
			p->tp_status &= ~TP_STATUS_TS_SOFTWARE;
			blank_sll((uint8_t *)p, sizeof(*p));
			off += next;
		}
	}
}

static void compare_rings(struct twin *t, const struct shape *h, const char *when)
{
	uint8_t *k = malloc(t->size), *w = malloc(t->size);

	memcpy(k, t->kring, t->size);
	memcpy(w, t->wring, t->size);
	blank(k, h);
	blank(w, h);
	for (size_t i = 0; i < t->size; i++) {
		if (k[i] == w[i])
			continue;
		print_error("%s: V%d type %d frame size %u reserve %d vnet %d: ring differs at "
			    "block %zu "
			    "+%zu (frame +%zu): %02x %02x\n",
			    when, h->version + 1, h->type, h->frame_size, h->reserve, h->vnet,
			    i / h->block_size, i % h->block_size, i % h->frame_size, k[i], w[i]);
		break;
	}
	assert_memory_equal(k, w, t->size);
	free(k);
	free(w);
}

/* The program has read everything. */
static void give_back(uint8_t *ring, const struct shape *h)
{
	for (uint32_t i = 0; i < h->block_nr; i++) {
		uint8_t *block = ring + (size_t)i * h->block_size;

		if (h->version == TPACKET_V3) {
			((struct tpacket_block_desc *)block)->hdr.bh1.block_status = 0;
			continue;
		}
		for (uint32_t off = 0; off + h->frame_size <= h->block_size; off += h->frame_size) {
			if (h->version == TPACKET_V1)
				((struct tpacket_hdr *)(block + off))->tp_status = 0;
			else
				((struct tpacket2_hdr *)(block + off))->tp_status = 0;
		}
	}
}

static uint64_t clock_ms(void)
{
	return clock_mono() / NSEC_PER_MSEC;
}

/* False: the host was so slow that a block timed out under our hands. */
static bool run_ring(struct stack *s, const struct shape *h)
{
	bool in_time = true;
	struct twin tx = twin_new(s->a, SOCK_RAW), rx = twin_new(s->b, h->type);
	struct frame f[16];
	unsigned n = frames(f);

	twin_bind(&tx, s->v0, k0, 0);
	twin_set_int(&rx, PACKET_VERSION, h->version);
	twin_set_int(&rx, PACKET_RESERVE, h->reserve);
	twin_set_int(&rx, PACKET_VNET_HDR, h->vnet);
	twin_set_int(&rx, PACKET_COPY_THRESH, h->copy_thresh);
	if (twin_ring(&rx, h, false))
		goto out;
	twin_map(&rx, h);
	twin_bind(&rx, s->v1, k1, ETH_P_ALL);
	for (unsigned round = 0; round < h->rounds; round++) {
		uint64_t t0 = clock_ms();

		for (unsigned i = 0; i < n; i++)
			twin_send(s, &tx, NULL, 0, f[(i + round) % n].b, f[(i + round) % n].len);
		if (h->version == TPACKET_V3) {
			in_time = clock_ms() - t0 < h->tov / 2;
			usleep(h->tov * 2000);
			stack_run(s, h->tov * 2 * NSEC_PER_MSEC);
		}
		if (!in_time)
			break;
		compare_rings(&rx, h, "full");
		while (compare_recv(&rx, 4096))
			;
		compare_stats(&rx);
		give_back(rx.kring, h);
		give_back(rx.wring, h);
	}
out:
	twin_free(&tx);
	twin_free(&rx);
	return in_time;
}

static void test_rings(void **state)
{
	static const struct shape shapes[] = {
		{TPACKET_V1, SOCK_RAW, 4096, 8, 2048, .rounds = 3},
		{TPACKET_V1, SOCK_DGRAM, 4096, 8, 2048, .rounds = 3},
		{TPACKET_V1, SOCK_RAW, 4096, 2, 2048, .rounds = 3}, /* too few: drops */
		{TPACKET_V2, SOCK_RAW, 4096, 8, 2048, .rounds = 3},
		{TPACKET_V2, SOCK_DGRAM, 4096, 8, 2048, .rounds = 3},
		{TPACKET_V2, SOCK_RAW, 4096, 1, 128, .rounds = 2}, /* cut off */
		{TPACKET_V2, SOCK_RAW, 4096, 1, 128, .copy_thresh = 1, .rounds = 2},
		{TPACKET_V2, SOCK_DGRAM, 4096, 1, 256, .copy_thresh = 1, .rounds = 2},
		{TPACKET_V2, SOCK_RAW, 4096, 8, 2048, .reserve = 20, .rounds = 2},
		{TPACKET_V2, SOCK_DGRAM, 4096, 8, 2048, .reserve = 7, .rounds = 2},
		{TPACKET_V2, SOCK_RAW, 4096, 8, 2048, .vnet = 1, .rounds = 2},
		{TPACKET_V1, SOCK_RAW, 4096, 8, 2048, .vnet = 1, .rounds = 2},
		{TPACKET_V3, SOCK_RAW, 8192, 4, 2048, .tov = 100, .rounds = 3},
		{TPACKET_V3, SOCK_DGRAM, 8192, 4, 2048, .tov = 100, .rounds = 3},
		{TPACKET_V3, SOCK_RAW, 4096, 4, 2048, .tov = 100, .priv = 13, .rounds = 3},
		{TPACKET_V3, SOCK_RAW, 4096, 2, 2048, .tov = 100, .rounds = 3}, /* freezes */
		{TPACKET_V3, SOCK_RAW, 8192, 4, 2048, .tov = 100, .vnet = 1, .rounds = 2},
		{TPACKET_V3, SOCK_RAW, 4096, 4, 512, .reserve = 30, .tov = 100, .rounds = 2},
	};

	host_pair();
	for (unsigned i = 0; i < ARRAY_SIZE(shapes); i++)
		while (!run_ring(*state, &shapes[i]))
			;
}

/* Geometries that make sense, and many that do not. */
static void test_geometry(void **state)
{
	struct stack *s = *state;
	static const uint32_t blocks[] = {0, 1, 4095, 4096, 8192, 0x10000, 0x80000000u, UINT32_MAX},
			      frame_sizes[] = {0,  1,	16,   48,   64,	  72,
					       80, 128, 2047, 2048, 4096, 8192},
			      numbers[] = {0, 1, 2, 0x10001, UINT32_MAX};

	host_pair();
	for (int version = TPACKET_V1; version <= TPACKET_V3; version++) {
		static const struct tpacket_req3 none;
		struct twin t = twin_new(s->a, SOCK_RAW);

		twin_set_int(&t, PACKET_VERSION, version);
		for (unsigned i = 0;
		     i < ARRAY_SIZE(blocks) * ARRAY_SIZE(frame_sizes) * ARRAY_SIZE(numbers) * 4;
		     i++) {
			uint32_t rest = i / 4;
			struct tpacket_req3 r = {.tp_block_size =
							 blocks[rest % ARRAY_SIZE(blocks)]};

			rest /= ARRAY_SIZE(blocks);
			r.tp_frame_size = frame_sizes[rest % ARRAY_SIZE(frame_sizes)];
			r.tp_block_nr = numbers[rest / ARRAY_SIZE(frame_sizes)];
			r.tp_frame_nr = r.tp_frame_size
						? r.tp_block_size / r.tp_frame_size * r.tp_block_nr
						: 0;
			if (i & 1)
				r.tp_frame_nr++;
			if (i & 2)
				r.tp_sizeof_priv = 3000;
			/* the kernel might have the memory */
			if ((uint64_t)r.tp_block_size * r.tp_block_nr > 1 << 20 && !(i & 1))
				continue;
			int name = i & 4 ? PACKET_TX_RING : PACKET_RX_RING;
			size_t len = version == TPACKET_V3 ? sizeof(r) : sizeof(struct tpacket_req);

			if (twin_set(&t, name, &r, len) || !r.tp_block_nr)
				continue;
			assert_int_equal(twin_set(&t, name, &r, len), -EBUSY);
			assert_int_equal(twin_set(&t, name, &none, len), 0);
		}
		twin_free(&t);
	}
}

/* A transmit ring sends what is asked for, and says what it thinks of the rest. */
static void run_tx_ring(struct stack *s, int version, int type, int loss, bool vnet)
{
	const struct shape h = {version, type, 4096, 4, 2048};
	struct twin tx = twin_new(s->a, type), rx = twin_new(s->b, SOCK_RAW);
	size_t off = (version == TPACKET_V1   ? TPACKET_HDRLEN
		      : version == TPACKET_V2 ? TPACKET2_HDRLEN
					      : TPACKET3_HDRLEN) -
		     sizeof(struct sockaddr_ll);
	static const uint32_t lens[8] = {60, 20, 1514, 3000, 0, 100, 14, 64};
	struct sockaddr_ll to = {.sll_family = AF_PACKET,
				 .sll_ifindex = s->v0->ifindex,
				 .sll_protocol = htons(0x88b5),
				 .sll_halen = 6,
				 .sll_addr = {2, 0, 0, 0, 0, 0x11}};

	twin_set_int(&tx, PACKET_VERSION, version);
	twin_set_int(&tx, PACKET_LOSS, loss);
	twin_set_int(&tx, PACKET_VNET_HDR, vnet);
	assert_int_equal(twin_ring(&tx, &h, true), 0);
	twin_map(&tx, &h);
	twin_bind(&tx, s->v0, k0, 0);
	twin_bind(&rx, s->v1, k1, ETH_P_ALL);
	for (unsigned i = 0; i < 8; i++) {
		struct frame f = frame(1514, 0x88b5, 0, (uint8_t)i);

		for (unsigned side = 0; side < 2; side++) {
			uint8_t *slot = (side ? tx.wring : tx.kring) + i * 2048;

			memset(slot + off, 0, vnet ? 10 : 0);
			memcpy(slot + off + (vnet ? 10 : 0), f.b, f.len);
			if (version == TPACKET_V1) {
				((struct tpacket_hdr *)slot)->tp_len = lens[i];
				((struct tpacket_hdr *)slot)->tp_status = TP_STATUS_SEND_REQUEST;
			} else if (version == TPACKET_V2) {
				((struct tpacket2_hdr *)slot)->tp_len = lens[i];
				((struct tpacket2_hdr *)slot)->tp_status = TP_STATUS_SEND_REQUEST;
			} else {
				((struct tpacket3_hdr *)slot)->tp_len = lens[i];
				((struct tpacket3_hdr *)slot)->tp_status = TP_STATUS_SEND_REQUEST;
			}
		}
	}
	for (unsigned i = 0; i < 6; i++) {
		twin_send(s, &tx, &to, k0, NULL, 0);
		usleep(20000); /* the kernel gives slots back when the frame is gone */
		stack_settle(s);
		for (unsigned j = 0; j < 8; j++) {
			uint8_t *k = tx.kring + j * 2048, *w = tx.wring + j * 2048;
			uint32_t ks, ws;

			/* time stamps of transmission are not asked for */
			ks = version == TPACKET_V1 ? (uint32_t)((struct tpacket_hdr *)k)->tp_status
			     : version == TPACKET_V2 ? ((struct tpacket2_hdr *)k)->tp_status
						     : ((struct tpacket3_hdr *)k)->tp_status;
			ws = version == TPACKET_V1 ? (uint32_t)((struct tpacket_hdr *)w)->tp_status
			     : version == TPACKET_V2 ? ((struct tpacket2_hdr *)w)->tp_status
						     : ((struct tpacket3_hdr *)w)->tp_status;
			if (ks != ws)
				print_error("V%d type %d loss %d vnet %d round %u slot %u: %x %x\n",
					    version + 1, type, loss, vnet, i, j, ks, ws);
			assert_int_equal(ks, ws);
		}
	}
	while (compare_recv(&rx, 4096))
		;
	twin_free(&tx);
	twin_free(&rx);
}

static void test_tx_ring(void **state)
{
	host_pair();
	for (int version = TPACKET_V1; version <= TPACKET_V3; version++)
		for (unsigned i = 0; i < 8; i++)
			run_tx_ring(*state, version, i & 1 ? SOCK_DGRAM : SOCK_RAW, !!(i & 2),
				    (i & 4) && !(i & 1));
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, stack_teardown)
	const struct CMUnitTest tests[] = {
		T(test_queue), T(test_filter),	 T(test_send),
		T(test_rings), T(test_geometry), T(test_tx_ring),
	};
#undef T

	rcu_register_thread();
	int failed = cmocka_run_group_tests(tests, NULL, NULL);

	rcu_unregister_thread();
	return failed;
}
