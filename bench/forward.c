/*
 * forward: IPv4 forwarding from one mem device to another, on one worker.
 *
 * Cycles of a packet count from the call of netdev_rx(), when a driver has its packets in a batch,
 * to the moment the other driver's xmit holds them: what a card's driver would add on both sides is
 * its own, and filling and emptying batches here is not counted. Destinations are drawn anew for
 * each packet from 10,000 flows, each a random address of a random route; nothing in the stack
 * remembers flows. 16 gateways take turns as next hops of the routes; in other cases each flow has
 * a next hop of its own, a gateway or a neighbour on the link.
 *
 * "Warm" buffers come off the pool's stack, as after a receive that copied the frame; "cold" ones
 * were filled 16,384 packets ago, so that headers come from the last level of the cache, where a
 * card would have put them. The value of a run is the median over its batches.
 */
#include <sys/wait.h>
#include <unistd.h>

#include "base/csum.h"
#include "bed.h"
#include "bench.h"
#include "wire/ip4_hdr.h"

#define N_FLOWS	  10000u
#define N_COLD	  16384u
#define N_PACKETS (256u * 1024)
#define FRAME_MAX 1514u

#define IN_ADDR	 0x0a010001u /* 10.1.0.1/24 */
#define OUT_ADDR 0x0a020001u /* 10.2.0.1/16 */

struct prefix {
	uint32_t dst;
	unsigned len;
};

struct forward {
	struct bed bed;
	struct netdev *in, *out;
	struct rng rng;
	struct prefix *route;
	unsigned n_routes, n_gateways; /* without routes the flows end on the link */
	unsigned size;		       /* of a frame, its FCS included */
	unsigned batch;
	bool cold;
	uint32_t flow[N_FLOWS]; /* destinations */
	uint8_t frame[FRAME_MAX];
	/* what came out */
	struct batch sent;
	uint64_t sent_at;
};

static void die(const char *why)
{
	fprintf(stderr, "weft-bench: forward: %s\n", why);
	exit(1);
}

static void on_xmit(void *arg, struct worker *w, struct netdev *dev, struct batch *b)
{
	struct forward *f = arg;

	f->sent_at = cycles();
	if (f->sent.n + b->n > BATCH_MAX)
		die("more packets came out than went in");
	memcpy(f->sent.p + f->sent.n, b->p, b->n * sizeof(*b->p));
	f->sent.n += b->n;
}

/* ---- routes and flows ---- */

/* Lengths as in the Internet's table, roughly: of ten prefixes six are /24. */
static unsigned draw_len(struct rng *rng)
{
	static const uint8_t len[] = {24, 24, 24, 24, 24, 24, 24, 24, 24, 24,
				      24, 24, 23, 23, 22, 22, 22, 21, 20, 16};

	return len[rng_below(rng, ARRAY_SIZE(len))];
}

static void add_routes(struct forward *f)
{
	for (unsigned n = 0; n < f->n_routes;) {
		unsigned len = f->n_routes == 1 ? 0 : draw_len(&f->rng);
		uint32_t mask = len ? ~0u << (32 - len) : 0;
		/* 16.0.0.0 to 79.255.255.255: clear of our own and of odd addresses */
		uint32_t dst = ((0x10u << 24) + rng_below(&f->rng, 0x40u << 24)) & mask;
		uint32_t gw = OUT_ADDR + 1 + n % f->n_gateways;

		if (bed_route(&f->bed, dst, len, gw, f->out) == 0)
			f->route[n++] = (struct prefix){dst, len};
	}
}

static void draw_flows(struct forward *f)
{
	for (unsigned i = 0; i < N_FLOWS; i++) {
		if (!f->n_routes) {
			f->flow[i] = OUT_ADDR + 1 + i % f->n_gateways;
			continue;
		}
		const struct prefix *r = &f->route[rng_below(&f->rng, f->n_routes)];

		if (r->len)
			f->flow[i] = r->dst | rng_below(&f->rng, 1u << (32 - r->len));
		else
			f->flow[i] = (0x10u << 24) + rng_below(&f->rng, 0x40u << 24);
	}
}

static struct forward *forward_new(unsigned n_routes, unsigned n_gateways)
{
	struct forward *f = calloc(1, sizeof(*f));

	if (f)
		f->route = calloc(n_routes + 1, sizeof(*f->route));
	if (!f || !f->route)
		die("out of memory");
	f->n_routes = n_routes;
	f->n_gateways = n_gateways;
	rng_seed(&f->rng, 7);
	bed_init(&f->bed, 2 * N_COLD);
	f->in = bed_dev(&f->bed, "in", IN_ADDR, 24);
	f->out = bed_dev(&f->bed, "out", OUT_ADDR, 16);
	for (unsigned i = 0; i < n_gateways; i++)
		if (bed_neigh(&f->bed, f->out, OUT_ADDR + 1 + i))
			die("neighbours");
	add_routes(f);
	draw_flows(f);
	mem_on_xmit(f->out, on_xmit, f);
	bed_step(&f->bed, NSEC_PER_SEC);
	return f;
}

static void forward_free(struct forward *f)
{
	bed_fini(&f->bed);
	free(f->route);
	free(f);
}

/* ---- packets ---- */

static struct pkt *draw_packet(struct forward *f)
{
	struct pkt *p = pkt_new(f->bed.w);
	struct ip4_hdr *ip = (struct ip4_hdr *)(f->frame + ETH_HLEN);

	ip->daddr = __builtin_bswap32(f->flow[rng_below(&f->rng, N_FLOWS)]);
	ip->saddr = __builtin_bswap32(IN_ADDR + 1 + rng_below(&f->rng, 250));
	ip->check = 0;
	ip->check = csum_ip4(ip, 5);
	if (!p || pkt_append(&f->bed.w->cache, p, f->frame, f->size - 4))
		die("no packets");
	return p;
}

static void check_packet(const struct forward *f, const struct pkt *p)
{
	const struct ip4_hdr *ip = (const void *)(pkt_data(p) + ETH_HLEN);

	if (p->total != f->size - 4 || ip->ttl != 63 || csum_ip4(ip, 5) ||
	    memcmp(pkt_data(p) + ETH_ALEN, f->out->addr, ETH_ALEN) || pkt_data(p)[1] != 0xee)
		die("a packet came out wrong");
}

static uint64_t one_batch(struct forward *f, struct batch *b)
{
	unsigned n = b->n;

	f->sent.n = 0;
	f->bed.w->now += NSEC_PER_USEC;
	uint64_t start = cycles();

	netdev_rx(f->bed.w, f->in, b);
	if (f->sent.n != n)
		die("packets were lost");
	check_packet(f, f->sent.p[rng_below(&f->rng, n)]);
	return f->sent_at - start;
}

static void run_warm(struct forward *f, struct bench_pieces *pieces, unsigned n_packets)
{
	struct batch b;

	for (unsigned done = 0; done < n_packets; done += f->batch) {
		batch_init(&b);
		while (b.n < f->batch)
			batch_add(&b, draw_packet(f));
		bench_piece(pieces, one_batch(f, &b), f->batch);
		pkt_free_bulk(&f->bed.w->cache, &f->sent);
		rcu_quiescent_state();
	}
}

static void run_cold(struct forward *f, struct bench_pieces *pieces, unsigned n_packets)
{
	static struct pkt *ring[N_COLD];
	struct batch b;

	for (unsigned done = 0; done < n_packets; done += N_COLD) {
		for (unsigned i = 0; i < N_COLD; i++)
			ring[i] = draw_packet(f);
		for (unsigned i = 0; i + f->batch <= N_COLD; i += f->batch) {
			b.n = f->batch;
			memcpy(b.p, ring + i, b.n * sizeof(*b.p));
			bench_piece(pieces, one_batch(f, &b), f->batch);
		}
		for (unsigned i = 0; i < N_COLD; i++)
			pkt_free(&f->bed.w->cache, ring[i]);
		rcu_quiescent_state();
	}
}

static double one_run(struct forward *f, unsigned n_packets)
{
	static struct bench_pieces pieces;

	bed_frame(f->frame, f->size - 4, f->in, IN_ADDR + 1, 0);
	pieces.n = 0;
	if (f->cold)
		run_cold(f, &pieces, n_packets);
	else
		run_warm(f, &pieces, n_packets);
	return bench_median(pieces.v, pieces.n);
}

/* ---- cases ---- */

static void name_case(const struct forward *f, char name[96])
{
	char way[64];

	if (!f->n_routes)
		snprintf(way, sizeof(way), "%u neighbours on the link", f->n_gateways);
	else
		snprintf(way, sizeof(way), "%u route%s", f->n_routes, f->n_routes == 1 ? "" : "s");
	if (f->n_routes && f->n_gateways > 16)
		snprintf(way + strlen(way), sizeof(way) - strlen(way), ", %u gateways",
			 f->n_gateways);
	snprintf(name, 96, "%u bytes, %s, batch %u, %s", f->size, way, f->batch,
		 f->cold ? "cold" : "warm");
}

static void measure(const struct bench_options *o, struct forward *f)
{
	double v[BENCH_RUNS_MAX];
	char name[96];

	name_case(f, name);
	one_run(f, f->batch * 64);
	for (unsigned i = 0; i < o->runs; i++)
		v[i] = one_run(f, N_PACKETS);
	bench_cycles(o, "forward", name, "cycles/packet", v, o->runs);
}

/* Where the cycles go, stage by stage, as `weft stages` shows it. */
static void measure_stages(const struct bench_options *o, struct forward *f)
{
	struct bench_pieces *pieces = calloc(N_STAGES, sizeof(*pieces));
	struct stage_count before[N_STAGES], *now = f->bed.w->stages;
	struct batch b;

	if (!pieces)
		die("out of memory");
	f->bed.w->count_cycles = true;
	for (unsigned i = 0; i < N_PACKETS / BATCH_MAX; i++) {
		batch_init(&b);
		while (b.n < BATCH_MAX)
			batch_add(&b, draw_packet(f));
		memcpy(before, now, sizeof(before));
		one_batch(f, &b);
		for (unsigned s = 1; s < N_STAGES; s++)
			if (now[s].packets > before[s].packets)
				bench_piece(&pieces[s], now[s].cycles - before[s].cycles,
					    BATCH_MAX);
		pkt_free_bulk(&f->bed.w->cache, &f->sent);
		rcu_quiescent_state();
	}
	f->bed.w->count_cycles = false;
	for (unsigned s = 1; s < N_STAGES; s++) {
		double v;
		char name[96];

		if (!pieces[s].n)
			continue;
		v = bench_median(pieces[s].v, pieces[s].n);
		snprintf(name, sizeof(name), "stage %s", stage_name[s]);
		bench_cycles(o, "forward", name, "cycles/packet", &v, 1);
	}
	free(pieces);
}

static void set_case(struct forward *f, unsigned size, unsigned batch, bool cold)
{
	f->size = size;
	f->batch = batch;
	f->cold = cold;
}

/* ---- instructions ---- */

#define COUNTED 65536u

/* This program again, under callgrind, which counts what runs inside of netdev_rx(). */
static void count_instructions(const struct bench_options *o)
{
	char command[512], self[256], line[256];
	ssize_t len = readlink("/proc/self/exe", self, sizeof(self) - 1);
	double total = 0;

	if (len < 0)
		return;
	self[len] = 0;
	snprintf(command, sizeof(command),
		 "WEFT_BENCH_COUNTED=1 valgrind --tool=callgrind --toggle-collect=netdev_rx "
		 "--callgrind-out-file=/dev/null '%s' forward --instructions 2>&1",
		 self);
	FILE *in = popen(command, "r");

	while (in && fgets(line, sizeof(line), in)) {
		const char *at = strstr(line, "Collected :");

		if (at)
			total = strtod(at + strlen("Collected :"), NULL);
	}
	if (!in || pclose(in) || total <= 0) {
		bench_skip("forward", "instructions: valgrind is needed to count them");
		return;
	}
	total /= COUNTED;
	bench_figure(o, &(struct bench_figure){.bench = "forward",
					       .name = "64 bytes, 10000 routes, batch 256",
					       .metric = "instructions/packet",
					       .unit = "instructions",
					       .values = &total,
					       .n = 1});
}

static void forward_instructions(const struct bench_options *o)
{
	if (!getenv("WEFT_BENCH_COUNTED")) {
		count_instructions(o);
		return;
	}
	struct forward *f = forward_new(10000, 16);

	set_case(f, 64, BATCH_MAX, false);
	one_run(f, COUNTED);
	forward_free(f);
}

/* The case that the others vary: with batches of other sizes and with full frames. */
static void measure_headline(const struct bench_options *o, struct forward *f)
{
	measure_stages(o, f);
	for (unsigned batch = 1; batch < BATCH_MAX; batch *= batch < 16 ? 4 : 2) {
		set_case(f, 64, batch, false);
		measure(o, f);
	}
	set_case(f, 1518, BATCH_MAX, false);
	measure(o, f);
}

static void forward_run(const struct bench_options *o)
{
	static const struct {
		unsigned n_routes, n_gateways;
	} ways[] = {{10000, 16}, {1, 16}, {1000000, 16}, {10000, 10000}, {0, 10000}};

	if (o->instructions) {
		forward_instructions(o);
		return;
	}
	for (unsigned i = 0; i < ARRAY_SIZE(ways); i++) {
		struct forward *f = forward_new(ways[i].n_routes, ways[i].n_gateways);

		set_case(f, 64, BATCH_MAX, false);
		measure(o, f);
		set_case(f, 64, BATCH_MAX, true);
		measure(o, f);
		set_case(f, 64, BATCH_MAX, false);
		if (!i)
			measure_headline(o, f);
		forward_free(f);
	}
}

const struct bench bench_forward = {
	.name = "forward",
	.text = "IPv4 forwarding between two mem devices: cycles a packet",
	.run = forward_run,
};
