/*
 * blast: a generator for bench/host.py: sends UDP frames of a given size on a device of the host as
 * fast as one core can, to many destinations in turn.
 *
 *	blast DEVICE DESTINATION-MAC FIRST-ADDRESS N-ADDRESSES SIZE SECONDS
 *
 * Frames are written once into a ring shared with the kernel (PACKET_TX_RING) and sent round after
 * round, past the queueing discipline, so that a frame costs the kernel's half of sending and
 * nothing else. Prints how many the kernel took, and the processor time that took in seconds.
 */
#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/csum.h"

#define FRAME_SLOT 2048u
#define N_FRAMES   1024u

struct blast {
	int fd;
	uint8_t *ring;
	uint8_t mac[ETH_ALEN];
	uint32_t first;
	unsigned n_addrs, size; /* size: FCS not included */
	uint64_t sent;
};

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static uint8_t *slot_data(struct blast *b, unsigned i)
{
	return b->ring + (size_t)i * FRAME_SLOT + TPACKET2_HDRLEN - sizeof(struct sockaddr_ll);
}

static struct tpacket2_hdr *slot_head(struct blast *b, unsigned i)
{
	return (struct tpacket2_hdr *)(void *)(b->ring + (size_t)i * FRAME_SLOT);
}

static void open_ring(struct blast *b, const char *dev)
{
	struct tpacket_req req = {
		.tp_block_size = 64 * FRAME_SLOT,
		.tp_block_nr = N_FRAMES / 64,
		.tp_frame_size = FRAME_SLOT,
		.tp_frame_nr = N_FRAMES,
	};
	struct sockaddr_ll at = {.sll_family = AF_PACKET, .sll_ifindex = (int)if_nametoindex(dev)};
	int version = TPACKET_V2, one = 1;

	b->fd = socket(AF_PACKET, SOCK_RAW, 0);
	if (b->fd < 0 || !at.sll_ifindex)
		die(dev);
	if (setsockopt(b->fd, SOL_PACKET, PACKET_VERSION, &version, sizeof(version)) ||
	    setsockopt(b->fd, SOL_PACKET, PACKET_QDISC_BYPASS, &one, sizeof(one)) ||
	    setsockopt(b->fd, SOL_PACKET, PACKET_LOSS, &one, sizeof(one)) ||
	    setsockopt(b->fd, SOL_PACKET, PACKET_TX_RING, &req, sizeof(req)) ||
	    bind(b->fd, (struct sockaddr *)&at, sizeof(at)))
		die("PACKET_TX_RING");
	b->ring = mmap(NULL, (size_t)N_FRAMES * FRAME_SLOT, PROT_READ | PROT_WRITE, MAP_SHARED,
		       b->fd, 0);
	if (b->ring == MAP_FAILED)
		die("mmap");
}

/* Frame number n of the endless row. */
static void fill(struct blast *b, unsigned i, uint64_t n)
{
	static const uint8_t source[ETH_ALEN] = {2, 0xb1, 0xa5, 0x7e, 0, 1};
	uint8_t *f = slot_data(b, i), *ip = f + ETH_HLEN;

	memset(f, 0, b->size);
	memcpy(f, b->mac, ETH_ALEN);
	memcpy(f + ETH_ALEN, source, ETH_ALEN);
	put_be16(f + 12, ETH_P_IP);
	ip[0] = 0x45;
	put_be16(ip + 2, (uint16_t)(b->size - ETH_HLEN));
	ip[8] = 64;
	ip[9] = IPPROTO_UDP;
	put_be32(ip + 12, 0x0a010002);
	put_be32(ip + 16, b->first + (uint32_t)(n * 7919 % b->n_addrs));
	uint16_t sum = csum_ip4(ip, 5);

	memcpy(ip + 10, &sum, 2);
	put_be16(ip + 20, 1024);
	put_be16(ip + 22, 9);
	put_be16(ip + 24, (uint16_t)(b->size - ETH_HLEN - 20));
	slot_head(b, i)->tp_len = b->size;
}

static void blast(struct blast *b, double seconds)
{
	double end = now() + seconds;
	uint64_t n = 0;

	while (now() < end) {
		for (unsigned i = 0; i < N_FRAMES; i++) {
			struct tpacket2_hdr *h = slot_head(b, i);

			if (__atomic_load_n(&h->tp_status, __ATOMIC_ACQUIRE) != TP_STATUS_AVAILABLE)
				continue;
			fill(b, i, n++);
			__atomic_store_n(&h->tp_status, TP_STATUS_SEND_REQUEST, __ATOMIC_RELEASE);
		}
		ssize_t bytes = send(b->fd, NULL, 0, 0);

		if (bytes < 0 && errno != ENOBUFS && errno != EAGAIN)
			die("send");
		if (bytes > 0)
			b->sent += (uint64_t)bytes / b->size;
	}
}

int main(int argc, char **argv)
{
	struct blast b = {0};
	struct in_addr first;
	struct rusage used;
	unsigned m[ETH_ALEN];

	if (argc != 7 ||
	    sscanf(argv[2], "%x:%x:%x:%x:%x:%x", m, m + 1, m + 2, m + 3, m + 4, m + 5) != 6 ||
	    inet_pton(AF_INET, argv[3], &first) != 1) {
		fputs("usage: blast DEVICE MAC FIRST-ADDRESS N SIZE SECONDS\n", stderr);
		return 2;
	}
	for (unsigned i = 0; i < ETH_ALEN; i++)
		b.mac[i] = (uint8_t)m[i];
	b.first = ntohl(first.s_addr);
	b.n_addrs = (unsigned)atoi(argv[4]);
	b.size = (unsigned)atoi(argv[5]) - 4;
	if (!b.n_addrs || b.size < 46 || b.size > 1514) {
		fputs("blast: at least one address, and 50 to 1518 bytes\n", stderr);
		return 2;
	}
	open_ring(&b, argv[1]);
	blast(&b, atof(argv[6]));
	getrusage(RUSAGE_SELF, &used);
	printf("%llu %.3f\n", (unsigned long long)b.sent,
	       (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
		       (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6);
	return 0;
}
