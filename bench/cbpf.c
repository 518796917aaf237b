/* cbpf: classic BPF filters as tcpdump compiles them, beside libpcap's own interpreter. */
#include "bpf/cbpf.h"

#include <pcap/pcap.h>

#include "bench.h"
#include "pkt/pool.h"

#define REPEAT 256u

struct state {
	struct pool_cache cache;
	struct pkt *p;
	struct cbpf *ours;
	struct bpf_program theirs;
};

static void run_ours(void *arg)
{
	struct state *s = arg;

	for (unsigned i = 0; i < REPEAT; i++)
		bench_use(cbpf_run(s->ours, s->p, 1, 1));
}

static void run_theirs(void *arg)
{
	struct state *s = arg;

	for (unsigned i = 0; i < REPEAT; i++)
		bench_use(bpf_filter(s->theirs.bf_insns, pkt_data(s->p), s->p->len, s->p->len));
}

static void one_filter(const struct bench_options *o, struct state *s, pcap_t *pcap,
		       const char *filter)
{
	struct bench_loop l = {.fn = run_ours, .arg = s, .operations = REPEAT};
	struct bench_loop peer = {.fn = run_theirs, .arg = s, .operations = REPEAT};

	if (pcap_compile(pcap, &s->theirs, filter, 1, 0)) {
		bench_skip("cbpf", pcap_geterr(pcap));
		return;
	}
	if (!cbpf_new((const struct sock_filter *)s->theirs.bf_insns, s->theirs.bf_len, &s->ours))
		bench_loops(o, "cbpf", filter, &l, "libpcap's bpf_filter()", &peer);
	cbpf_free(s->ours);
	pcap_freecode(&s->theirs);
}

static void cbpf_run_bench(const struct bench_options *o)
{
	static const char *const filters[] = {
		"arp", "udp port 53",
		"tcp and (host 192.0.2.1 or net 198.51.100.0/24) and not port 22"};
	static struct state s;
	/* a TCP packet from port 1024 to port 80 of 198.51.100.7 */
	uint8_t frame[60] = {[12] = 8,	[14] = 0x45, [22] = 64, [23] = 6, [26] = 10, [30] = 198,
			     [31] = 51, [32] = 100,  [33] = 7,	[34] = 4, [37] = 80};
	struct pool *pool = pool_new(64);
	pcap_t *pcap = pcap_open_dead(DLT_EN10MB, 65535);

	if (!pool || !pcap) {
		bench_skip("cbpf", "out of memory");
		return;
	}
	pool_cache_init(&s.cache, pool);
	s.p = pkt_alloc(&s.cache);
	if (!s.p || pkt_append(&s.cache, s.p, frame, sizeof(frame)))
		exit(1);
	for (unsigned i = 0; i < ARRAY_SIZE(filters); i++)
		one_filter(o, &s, pcap, filters[i]);
	pkt_free(&s.cache, s.p);
	pcap_close(pcap);
	pool_cache_fini(&s.cache);
	pool_free(pool);
}

const struct bench bench_cbpf = {
	.name = "cbpf",
	.text = "the classic BPF interpreter",
	.run = cbpf_run_bench,
};
