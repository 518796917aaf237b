/*
 * memif_fuzz: the other end of a memif link says and writes what it likes: control messages, and
 * the memory that rings and packets lie in.
 *
 * The first byte of the input chooses the role of the device; the rest is a list of steps: a
 * message as it stands, a message of a proper handshake (so that the rings are reached), bytes to
 * be written to the shared memory, time that passes, a frame that the device sends.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "abi/kinds.h"
#include "drivers/kinds.h"
#include "drivers/memif/memif.h"
#include "net/net.h"
#include "weft.h"

#define REGION 65536u

enum step { RAW, INIT, ADD_REGION, ADD_RING, CONNECT, POKE, TIME, SEND, N_STEPS };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
	const uint8_t *at, *end;
};

static struct weft *weft;
static struct netdev *dev[2]; /* by role */
static int sealed, unsealed, event, peer;
static uint8_t *shared;

static uint8_t byte(struct input *in)
{
	return in->at < in->end ? *in->at++ : 0;
}

static void bytes(struct input *in, void *to, size_t n)
{
	size_t there = MIN(n, (size_t)(in->end - in->at));

	memcpy(to, in->at, there);
	memset((uint8_t *)to + there, 0, n - there);
	in->at += there;
}

static void must(bool ok)
{
	if (!ok)
		abort();
}

static struct netdev *make(uint32_t role)
{
	struct memif_params p = {.role = role, .queues = 2, .ring = 16, .buffer = 256};
	struct dev_new n = {.net = weft->nets->first, .params = &p};
	struct netdev *d;

	snprintf(p.socket, sizeof(p.socket), "@memif-fuzz-%d-%u", (int)getpid(), role);
	must(!dev_create(weft->dev, &memif_kind, &n, &d, NULL));
	must(!netdev_set_flags(d, IFF_UP, IFF_UP, NULL));
	return d;
}

static void prepare(void)
{
	struct weft_config c = {.seed = 1, .now = NSEC_PER_SEC, .n_packets = 4096};
	int err;

	rcu_register_thread();
	weft = weft_new(&c, &err);
	must(weft);
	dev[0] = make(WEFT_MEMIF_SERVER);
	dev[1] = make(WEFT_MEMIF_CLIENT);
	sealed = memfd_create("x", MFD_ALLOW_SEALING);
	unsealed = memfd_create("x", MFD_ALLOW_SEALING);
	event = eventfd(0, EFD_NONBLOCK);
	must(!ftruncate(sealed, REGION) && !ftruncate(unsealed, REGION));
	must(!fcntl(sealed, F_ADD_SEALS, F_SEAL_SHRINK));
	shared = mmap(NULL, REGION, PROT_READ | PROT_WRITE, MAP_SHARED, sealed, 0);
	must(shared != MAP_FAILED && event >= 0);
}

/* What the device's timer does by itself every now and then. */
static void pass(uint64_t ns)
{
	weft_run_until(weft, weft->worker[0]->now, weft->worker[0]->now + ns);
}

static void say(const struct memif_msg *m, size_t len, int fd)
{
	struct memif_conn c = {.wfd = {.fd = peer}};

	if (len == sizeof(*m))
		memif_conn_send(&c, m, fd);
	else
		send(peer, m, len, MSG_NOSIGNAL | MSG_DONTWAIT);
	pass(10 * NSEC_PER_MSEC);
}

static void put_cookie(uint32_t offset)
{
	const uint32_t cookie = MEMIF_COOKIE;

	memcpy(shared + offset, &cookie, sizeof(cookie));
}

static void shake_hands(struct input *in, enum step what)
{
	struct memif_msg m = {.type = MEMIF_INIT, .init = {.version = MEMIF_VERSION}};
	uint8_t v = byte(in);
	int fd = -1;

	if (what == ADD_REGION) {
		m = (struct memif_msg){.type = MEMIF_ADD_REGION, .region = {.size = REGION}};
		fd = sealed;
	} else if (what == ADD_RING) {
		m = (struct memif_msg){.type = MEMIF_ADD_RING,
				       .ring = {.flags = v & 1,
						.index = v >> 1 & 1,
						.offset = (v >> 2 & 3) * 1024u,
						.log2_ring = 4}};
		put_cookie(m.ring.offset);
		fd = event;
	} else if (what == CONNECT) {
		m = (struct memif_msg){.type = v & 1 ? MEMIF_CONNECTED : MEMIF_CONNECT};
		if (v & 2)
			m = (struct memif_msg){.type = MEMIF_HELLO,
					       .hello = {.min_version = MEMIF_VERSION,
							 .max_version = MEMIF_VERSION,
							 .max_to_client = v >> 2 & 3,
							 .max_to_server = v >> 4 & 3,
							 .max_log2_ring = (uint8_t)(v >> 4)}};
	}
	say(&m, sizeof(m), fd);
}

static void raw(struct input *in)
{
	const int fds[] = {-1, sealed, unsealed, event};
	struct memif_msg m;
	uint8_t v = byte(in);

	bytes(in, &m, v & 4 ? 16 : sizeof(m));
	if (v & 4)
		memset((uint8_t *)&m + 16, 0, sizeof(m) - 16);
	say(&m, v & 8 ? 64 : sizeof(m), fds[v & 3]);
}

/* The rings lie at the start of the memory, in either role. */
static void poke(struct input *in, struct memif_dev *m)
{
	unsigned at = (byte(in) | (unsigned)byte(in) << 8) % 8192, n = byte(in) % 32;
	uint8_t *mem = shared;
	uint64_t size = REGION;

	if (m->set.role == WEFT_MEMIF_CLIENT) {
		if (!m->link)
			return;
		mem = m->link->region[0].addr;
		size = m->link->region[0].size;
	}
	for (; n; n--, at++) {
		uint8_t v = byte(in);

		if (at < size)
			mem[at] = v;
	}
}

static void transmit(struct input *in, struct netdev *d)
{
	static const uint8_t text[4096];
	struct worker *w = weft->worker[0];
	struct pkt *p = pkt_new(w);
	struct batch b;

	must(p);
	must(!pkt_append(&w->cache, p, text, 14u + 16u * byte(in)));
	batch_one(&b, p);
	netdev_xmit(w, d, &b);
}

static void begin(struct memif_dev *m)
{
	struct worker *w = weft->worker[0];
	int fd[2];

	must(!socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, fd));
	peer = fd[0];
	must(memif_conn_new(w, fd[1], m->listener, m->listener ? NULL : m));
	memset(shared, 0, 8192);
	pass(NSEC_PER_SEC); /* a client's timer was waiting to connect by itself */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, data + size};

	if (!weft)
		prepare();
	struct netdev *d = dev[byte(&in) & 1];
	struct memif_dev *m = memif_dev(d);

	begin(m);
	while (in.at < in.end) {
		enum step what = byte(&in) % N_STEPS;

		if (what == RAW)
			raw(&in);
		else if (what == POKE)
			poke(&in, m);
		else if (what == TIME)
			pass(NSEC_PER_MSEC * byte(&in));
		else if (what == SEND)
			transmit(&in, d);
		else
			shake_hands(&in, what);
		if (what >= POKE)
			weft_settle(weft, weft->worker[0]->now);
	}
	close(peer);
	pass(20 * NSEC_PER_MSEC);
	must(!m->conn && !m->link);
	return 0;
}
