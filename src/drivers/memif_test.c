/*
 * Tests of memif: a server and a client in one instance, over a socket in a directory of their
 * own, under a virtual clock; and ends that break the rules.
 */
#include "drivers/bed.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "abi/kinds.h"
#include "drivers/memif/memif.h"

static char dir[] = "/tmp/memif-test.XXXXXX";

struct pair {
	struct netdev *server, *client;
};

static struct memif_params params(uint32_t role)
{
	struct memif_params p = {.role = role, .queues = 2, .ring = 64, .buffer = 512};

	snprintf(p.socket, sizeof(p.socket), "%s/sock", dir);
	return p;
}

static int make(struct bed *b, struct net *net, const struct memif_params *p, struct netdev **dev)
{
	struct dev_new n = {.net = net, .params = p};

	return dev_create(&b->core, &memif_kind, &n, dev, NULL);
}

static void wait_for(struct bed *b, unsigned ms)
{
	run_until(b, b->worker.now + ms * NSEC_PER_MSEC);
}

static struct pair connect_pair(struct bed *b, const struct memif_params *s,
				const struct memif_params *c)
{
	struct pair p;

	assert_int_equal(make(b, b->a, s, &p.server), 0);
	assert_int_equal(make(b, b->b, c, &p.client), 0);
	up(p.server);
	up(p.client);
	wait_for(b, 500);
	return p;
}

static bool joined(const struct pair *p)
{
	return p->server->carrier && p->client->carrier;
}

/* An ARP frame whose bytes count up, from dev; it is answered by nobody but counted. */
static struct pkt *frame(struct bed *b, struct netdev *dev, unsigned len)
{
	static uint8_t data[65536];
	struct pkt *p = pkt_new(&b->worker);

	for (unsigned i = 0; i < len; i++)
		data[i] = (uint8_t)(i * 7);
	memset(data, 0xff, 6);
	memcpy(data + 6, dev->addr, 6);
	put_be16(data + 12, ETH_P_ARP);
	assert_int_equal(pkt_append(&b->worker.cache, p, data, len), 0);
	return p;
}

static void send_frames(struct bed *b, struct netdev *dev, unsigned n, unsigned len)
{
	struct batch out;

	batch_init(&out);
	for (unsigned i = 0; i < n; i++)
		batch_add(&out, frame(b, dev, len));
	netdev_xmit(&b->worker, dev, &out);
	settle(b);
}

static struct rtnl_link_stats64 stats(struct netdev *dev)
{
	struct rtnl_link_stats64 st;

	netdev_stats(dev, &st);
	return st;
}

static void passes_frames(void **state)
{
	struct bed *b = *state;
	struct memif_params s = params(WEFT_MEMIF_SERVER), c = params(WEFT_MEMIF_CLIENT);
	struct pair p = connect_pair(b, &s, &c);

	assert_true(joined(&p));
	assert_string_equal(memif_dev(p.server)->set.peer, p.client->name);
	/* more than the rings hold, so that all counters go round; one and several buffers */
	for (unsigned i = 1; i <= 3000; i++) {
		struct netdev *from = i % 2 ? p.server : p.client;

		b->n_arp = 0;
		send_frames(b, from, 1 + i % 13, i % 5 ? 60 : 1500);
		assert_int_equal(b->n_arp, 1 + i % 13);
		assert_ptr_equal(b->arp_dev, i % 2 ? p.client : p.server);
	}
	assert_int_equal(stats(p.client).rx_bytes, stats(p.server).tx_bytes);
	assert_int_equal(stats(p.client).tx_packets, stats(p.server).rx_packets);
	assert_int_equal(stats(p.client).tx_dropped + stats(p.server).tx_dropped, 0);
}

static void keeps_bytes(void **state)
{
	static const unsigned lens[] = {60, 511, 512, 513, 1500, 2304, 2305, 9000, 30000};
	struct bed *b = *state;
	struct memif_params s = params(WEFT_MEMIF_SERVER), c = params(WEFT_MEMIF_CLIENT);
	struct pair p = connect_pair(b, &s, &c);
	static uint8_t want[65536], got[65536];

	for (unsigned i = 0; i < 2 * ARRAY_SIZE(lens); i++) {
		struct netdev *from = i % 2 ? p.server : p.client;
		struct memif_link *l = memif_dev(i % 2 ? p.client : p.server)->link;
		struct batch out;
		size_t at = 0;

		batch_one(&out, frame(b, from, lens[i / 2]));
		pkt_copy_out(out.p[0], 0, want, lens[i / 2]);
		memif_xmit(&b->worker, from, &out);
		for (uint16_t k = l->rx[0].next;; k++) {
			const struct memif_desc *d = &l->rx[0].ring->desc[k & l->rx[0].mask];

			memcpy(got + at, l->region[d->region].addr + d->offset, d->length);
			at += d->length;
			if (!(d->flags & MEMIF_DESC_NEXT))
				break;
		}
		assert_int_equal(at, lens[i / 2]);
		assert_memory_equal(got, want, at);
		settle(b);
	}
}

static void drops_when_full(void **state)
{
	struct bed *b = *state;
	struct memif_params s = params(WEFT_MEMIF_SERVER), c = params(WEFT_MEMIF_CLIENT);
	struct pair p = connect_pair(b, &s, &c);

	for (unsigned way = 0; way < 2; way++) {
		struct netdev *from = way ? p.server : p.client;
		struct batch out;

		b->n_arp = 0;
		batch_init(&out);
		for (unsigned i = 0; i < 100; i++)
			batch_add(&out, frame(b, from, 60));
		memif_xmit(&b->worker, from, &out);
		settle(b);
		assert_int_equal(b->n_arp, 64);
		assert_int_equal(stats(from).tx_dropped, 36);
	}
}

static void comes_back(void **state)
{
	struct bed *b = *state;
	struct memif_params s = params(WEFT_MEMIF_SERVER), c = params(WEFT_MEMIF_CLIENT);
	struct pair p = connect_pair(b, &s, &c);

	for (unsigned i = 0; i < 4; i++) {
		struct netdev *dev = i % 2 ? p.server : p.client;
		struct netdev *other = i % 2 ? p.client : p.server;

		assert_true(joined(&p));
		assert_int_equal(netdev_set_flags(dev, 0, IFF_UP, NULL), 0);
		wait_for(b, 100);
		assert_false(other->carrier);
		b->n_arp = 0;
		send_frames(b, other, 3, 60);
		assert_int_equal(b->n_arp, 0);
		up(dev);
		wait_for(b, 500);
	}
	netdev_unregister(p.client);
	wait_for(b, 100);
	assert_false(p.server->carrier);
}

static void many_on_a_socket(void **state)
{
	struct bed *b = *state;
	struct memif_params s = params(WEFT_MEMIF_SERVER), c = params(WEFT_MEMIF_CLIENT);
	struct pair p[5];
	struct netdev *twin;

	for (unsigned i = 0; i < ARRAY_SIZE(p); i++) {
		s.id = c.id = i;
		p[i] = connect_pair(b, &s, &c);
		assert_true(joined(&p[i]));
	}
	assert_int_equal(make(b, b->a, &s, &twin), 0);
	assert_int_equal(netdev_set_flags(twin, IFF_UP, IFF_UP, NULL), -EEXIST);
	netdev_unregister(p[0].server);
	wait_for(b, 100);
	assert_true(joined(&p[1]));
	assert_false(p[0].client->carrier);
	send_frames(b, p[3].client, 1, 60);
	assert_ptr_equal(b->arp_dev, p[3].server);
}

static void secrets(void **state)
{
	struct bed *b = *state;
	struct memif_params s = params(WEFT_MEMIF_SERVER), c = params(WEFT_MEMIF_CLIENT);

	strcpy(s.secret, "abracadabra");
	struct pair p = connect_pair(b, &s, &c);

	assert_false(joined(&p));
	strcpy(c.secret, "abracadabrA");
	assert_int_equal(make(b, b->b, &c, &p.client), 0);
	up(p.client);
	wait_for(b, 1000);
	assert_false(joined(&p));
	strcpy(c.secret, "abracadabra");
	assert_int_equal(make(b, b->b, &c, &p.client), 0);
	up(p.client);
	wait_for(b, 1000);
	assert_true(joined(&p));
}

/* ---- ends that break the rules ---- */

static void bad_descriptors(void **state)
{
	static const struct memif_desc bad[] = {
		{.region = 1, .length = 60},
		{.region = 0xffff, .length = 60},
		{.length = UINT32_MAX},
		{.offset = UINT32_MAX, .length = 60},
		{.offset = UINT32_MAX, .length = UINT32_MAX},
		{.length = 13},
		{.length = 70000},
		{.length = 60, .flags = MEMIF_DESC_NEXT},
	};
	struct bed *b = *state;
	struct memif_params s = params(WEFT_MEMIF_SERVER), c = params(WEFT_MEMIF_CLIENT);
	struct pair p = connect_pair(b, &s, &c);
	struct memif_queue *q = &memif_dev(p.client)->link->tx[0];

	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		q->ring->desc[q->next & q->mask] = bad[i];
		q->next++;
		q->ring->head = q->next;
		settle(b);
		assert_int_equal(stats(p.server).rx_frame_errors, i + 1);
	}
	/* the server is to write where the client has nothing */
	q = &memif_dev(p.client)->link->rx[0];
	q->ring->desc[q->next & q->mask].offset = UINT32_MAX - 100;
	send_frames(b, p.server, 1, 60);
	assert_int_equal(b->n_arp, 0);
	assert_int_equal(stats(p.server).tx_dropped, 1);
	wait_for(b, 50);
	assert_false(p.server->carrier);
	wait_for(b, 500);
	assert_true(joined(&p)); /* a new one is made */
}

static void bad_counters(void **state)
{
	struct bed *b = *state;
	struct memif_params s = params(WEFT_MEMIF_SERVER), c = params(WEFT_MEMIF_CLIENT);
	struct pair p = connect_pair(b, &s, &c);

	for (unsigned i = 0; i < 4; i++) {
		struct memif_link *l = memif_dev(p.client)->link;

		assert_true(joined(&p));
		if (i == 0)
			l->tx[0].ring->head += 65;
		else if (i == 1)
			l->rx[0].ring->tail += 65;
		else if (i == 2)
			l->rx[1].ring->tail -= 1;
		else
			l->tx[0].ring->tail += 1;
		if (i == 3) { /* seen by who sends, once its room is used up; the others by who
				 receives */
			l->tx[0].seen = (uint16_t)(l->tx[0].next - l->tx[0].size);
			send_frames(b, p.client, 1, 60);
		}
		wait_for(b, 50);
		assert_false(joined(&p));
		wait_for(b, 500);
	}
	assert_true(joined(&p));
}

/* A client that is no driver of ours: the socket, and the server's HELLO. */
static int stranger(struct bed *b)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	struct memif_msg m;
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0);

	snprintf(a.sun_path, sizeof(a.sun_path), "%s/sock", dir);
	assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	wait_for(b, 50);
	assert_int_equal(recv(fd, &m, sizeof(m), 0), sizeof(m));
	assert_int_equal(m.type, MEMIF_HELLO);
	assert_int_equal(m.hello.max_version, 0x200);
	return fd;
}

/* Sends m with fd and returns the type of what is answered. */
static unsigned say(struct bed *b, int sock, const struct memif_msg *m, int fd)
{
	struct memif_conn c = {.wfd = {.fd = sock}};
	struct memif_msg answer = {0};

	assert_int_equal(memif_conn_send(&c, m, fd), 0);
	wait_for(b, 50);
	return recv(sock, &answer, sizeof(answer), 0) == sizeof(answer) ? answer.type : 0;
}

static void bad_messages(void **state)
{
	struct bed *b = *state;
	struct memif_params s = params(WEFT_MEMIF_SERVER);
	struct memif_msg init = {.type = MEMIF_INIT, .init = {.version = 0x200}};
	struct memif_msg region = {.type = MEMIF_ADD_REGION, .region = {.size = 4096}};
	struct memif_msg ring = {.type = MEMIF_ADD_RING, .ring = {.log2_ring = 4}};
	struct memif_msg m;
	int unsealed = memfd_create("x", 0), sealed = memfd_create("x", MFD_ALLOW_SEALING);
	struct netdev *dev;

	assert_int_equal(make(b, b->a, &s, &dev), 0);
	up(dev);
	assert_int_equal(ftruncate(unsealed, 4096), 0);
	assert_int_equal(ftruncate(sealed, 4096), 0);
	assert_int_equal(fcntl(sealed, F_ADD_SEALS, F_SEAL_SHRINK), 0);
	for (unsigned i = 0;; i++) {
		int fd = stranger(b), with = -1;

		m = i < 3 ? init : i < 7 ? region : ring;
		if (i == 0)
			m.init.version = 1;
		else if (i == 1)
			m.init.id = 7;
		else if (i == 2)
			m.init.mode = 1;
		if (i >= 3)
			assert_int_equal(say(b, fd, &init, -1), MEMIF_ACK);
		if (i == 4)
			with = unsealed;
		if (i == 5 || i == 6)
			with = sealed;
		m.region.index = i == 5 ? 1 : m.region.index;
		m.region.size = i == 6 ? 4097 : m.region.size;
		if (i >= 7)
			assert_int_equal(say(b, fd, &region, sealed), MEMIF_ACK);
		if (i == 8)
			with = sealed; /* no eventfd */
		if (i == 9)
			m.type = MEMIF_CONNECT;
		if (i == 10)
			m.type = MEMIF_INIT;
		if (i == 11)
			m.type = 77;
		if (i == 12) {
			close(fd);
			break;
		}
		assert_int_equal(say(b, fd, &m, with), MEMIF_DISCONNECT);
		assert_int_equal(recv(fd, &m, sizeof(m), 0), 0); /* closed */
		close(fd);
	}
	/* half of a message */
	int fd = stranger(b);
	assert_int_equal(send(fd, &init, 64, 0), 64);
	wait_for(b, 50);
	assert_int_equal(recv(fd, &m, sizeof(m), 0), sizeof(m));
	assert_int_equal(m.type, MEMIF_DISCONNECT);
	close(fd);
	close(sealed);
	close(unsealed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(passes_frames, setup, teardown),
		cmocka_unit_test_setup_teardown(keeps_bytes, setup, teardown),
		cmocka_unit_test_setup_teardown(drops_when_full, setup, teardown),
		cmocka_unit_test_setup_teardown(comes_back, setup, teardown),
		cmocka_unit_test_setup_teardown(many_on_a_socket, setup, teardown),
		cmocka_unit_test_setup_teardown(secrets, setup, teardown),
		cmocka_unit_test_setup_teardown(bad_descriptors, setup, teardown),
		cmocka_unit_test_setup_teardown(bad_counters, setup, teardown),
		cmocka_unit_test_setup_teardown(bad_messages, setup, teardown),
	};

	if (!mkdtemp(dir))
		return 77;
	rcu_register_thread();
	int err = cmocka_run_group_tests(tests, NULL, NULL);
	rcu_unregister_thread();
	rmdir(dir);
	return err;
}
