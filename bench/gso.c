/* gso: a TCP packet of 64 KiB cut into segments of 1,448 bytes, checksums included; beside the copy
 * and the checksum alone. */
#include "pkt/gso.h"

#include "base/csum.h"
#include "bench.h"
#include "pkt/pool.h"

#define PAYLOAD 64000u
#define MSS	1448u
#define HEADERS 54u
#define N_SEGS	((PAYLOAD + MSS - 1) / MSS)

struct state {
	struct pool_cache cache;
	struct pkt *p;
	struct pkt_queue out;
	uint8_t bytes[HEADERS + PAYLOAD];
	uint8_t copy[MSS];
};

static void make_packet(void *arg)
{
	struct state *s = arg;
	struct pkt *p;

	while ((p = pktq_pop(&s->out)))
		pkt_free(&s->cache, p);
	s->p = pkt_alloc(&s->cache);
	if (!s->p || pkt_append(&s->cache, s->p, s->bytes, sizeof(s->bytes)))
		exit(1);
	s->p->l3 = (uint16_t)(s->p->off + 14);
	s->p->l4 = (uint16_t)(s->p->off + 34);
	s->p->gso = PKT_GSO_TCP4;
	s->p->gso_size = MSS;
}

static void segment(void *arg)
{
	struct state *s = arg;

	if (gso_segment(&s->cache, s->p, &s->out) || s->out.n != N_SEGS)
		exit(1);
}

static void copy_and_sum(void *arg)
{
	struct state *s = arg;

	for (unsigned at = 0; at < PAYLOAD; at += MSS) {
		unsigned n = MIN(MSS, PAYLOAD - at);

		memcpy(s->copy, s->bytes + HEADERS + at, n);
		bench_use(csum_partial(s->copy, n, 0));
	}
}

static void gso_run(const struct bench_options *o)
{
	static struct state s;
	static const uint8_t headers[HEADERS] = {
		[12] = 8, [14] = 0x45, [22] = 64, [23] = 6, [46] = 0x50, [47] = 0x10};
	struct bench_loop l = {
		.fn = segment, .before = make_packet, .arg = &s, .operations = N_SEGS};
	struct bench_loop floor = {.fn = copy_and_sum, .arg = &s, .operations = N_SEGS};
	struct pool *pool = pool_new(1024);

	if (!pool) {
		bench_skip("gso", strerror(errno));
		return;
	}
	pool_cache_init(&s.cache, pool);
	pktq_init(&s.out);
	memcpy(s.bytes, headers, sizeof(headers));
	bench_loops(o, "gso", "TCP segment of 1448 bytes", &l, "its copy and checksum alone",
		    &floor);
	for (struct pkt *p; (p = pktq_pop(&s.out));)
		pkt_free(&s.cache, p);
	pool_cache_fini(&s.cache);
	pool_free(pool);
}

const struct bench bench_gso = {
	.name = "gso",
	.text = "segmentation of large packets",
	.run = gso_run,
};
