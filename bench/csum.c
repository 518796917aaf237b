/* csum: the Internet checksum over blocks of common sizes, beside a sum of 16-bit words. */
#include "base/csum.h"

#include "bench.h"

#define REPEAT 64

struct block {
	unsigned len;
	uint8_t bytes[65536];
};

static void ours(void *arg)
{
	const struct block *b = arg;

	for (unsigned i = 0; i < REPEAT; i++)
		bench_use(csum_partial(b->bytes, b->len, i));
}

/* As RFC 1071 shows it. */
static uint32_t by_words(const uint8_t *p, unsigned len, uint32_t sum)
{
	for (; len > 1; len -= 2, p += 2) {
		uint16_t word;

		memcpy(&word, p, 2);
		sum += word;
	}
	return sum;
}

static void words(void *arg)
{
	const struct block *b = arg;

	for (unsigned i = 0; i < REPEAT; i++)
		bench_use(by_words(b->bytes, b->len, i));
}

static void header(void *arg)
{
	const struct block *b = arg;

	for (unsigned i = 0; i < REPEAT; i++)
		bench_use(csum_ip4(b->bytes + i, 5));
}

static void csum_run(const struct bench_options *o)
{
	static const unsigned len[] = {64, 1500, 9000, 65536};
	static struct block b;
	struct bench_loop l = {.fn = ours, .arg = &b, .operations = REPEAT}, peer = l;
	char name[64];

	peer.fn = words;
	for (unsigned i = 0; i < sizeof(b.bytes); i++)
		b.bytes[i] = (uint8_t)(i * 7);
	for (unsigned i = 0; i < ARRAY_SIZE(len); i++) {
		b.len = len[i];
		snprintf(name, sizeof(name), "%u bytes", len[i]);
		bench_loops(o, "csum", name, &l, "sum of 16-bit words", &peer);
	}
	l.fn = header;
	bench_loops(o, "csum", "IPv4 header", &l, NULL, NULL);
}

const struct bench bench_csum = {
	.name = "csum",
	.text = "the Internet checksum",
	.run = csum_run,
};
