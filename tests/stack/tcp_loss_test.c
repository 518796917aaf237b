/*
 * The loss table: goodput of one connection over a link that delays and loses, for each congestion
 * control, against the table kept in tcp_loss.txt: what changes there was meant to change.
 * TCP_LOSS_WRITE=1 writes it anew.
 *
 * The link has no rate, so without loss the buffers are the limit. Both directions lose: ACKs too.
 */
#include "stack.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "tcp/tcp_core.h"

#define PORT 80
#define MOST (32u << 20)	  /* bytes of a cell */
#define LONG (200 * NSEC_PER_SEC) /* and time */

static const char *const algorithms[] = {"cubic", "reno", "bbr", "dctcp"};
static const struct {
	const char *name;
	uint32_t ppm;
} losses[] = {{"0", 0}, {"0.1", 1000}, {"1", 10000}, {"5", 50000}};
static const uint32_t delays[] = {1, 20, 100}; /* ms, one way */

static void link_new(struct stack *s, uint32_t ppm, uint32_t ms)
{
	const struct stack_fault a = {
		.loss = ppm, .delay = ms * 1000, .limit = 1000000, .direction = 3, .seed = 7};

	stack_addr(stack_fault(s, &a), "10.0.7.1");
	stack_addr(s->v1, "10.0.7.2");
}

/* Bytes a second that b's program has read, once it has all or the time is over. */
static double goodput(const char *cc, uint32_t ppm, uint32_t ms)
{
	static uint8_t data[65536];
	void *state;
	struct sock *l, *c, *r = NULL;
	size_t got = 0, sent = 0;
	uint64_t t0;

	assert_int_equal(stack_setup(&state), 0);
	struct stack *s = state;

	link_new(s, ppm, ms);
	l = stack_sock(s->b, AF_INET, SOCK_STREAM, 0);
	assert_int_equal(stack_bind(l, "10.0.7.2", PORT), 0);
	assert_int_equal(sock_listen(l, 1), 0);
	c = stack_sock(s->a, AF_INET, SOCK_STREAM, 0);
	assert_int_equal(sock_setsockopt(c, IPPROTO_TCP, TCP_CONGESTION, cc, strlen(cc)), 0);
	assert_int_equal(stack_connect(c, "10.0.7.2", PORT), -EINPROGRESS);
	t0 = s->now;
	while (got < MOST && s->now - t0 < LONG) {
		ssize_t n;

		stack_run(s, NSEC_PER_MSEC);
		if (!r && sock_accept(l, &r))
			continue;
		while (sent < MOST &&
		       (n = stack_send(c, NULL, 0, data, MIN(sizeof(data), MOST - sent))) > 0)
			sent += (size_t)n;
		while ((n = r->ops->stream->recv(r, data, sizeof(data), 0)) > 0)
			got += (size_t)n;
	}
	double rate = (double)got * NSEC_PER_SEC / (double)(s->now - t0);

	stack_close(c);
	if (r)
		stack_close(r);
	stack_close(l);
	stack_run(s, 2000 * NSEC_PER_SEC);
	assert_int_equal(stack_teardown(&state), 0);
	return rate;
}

static void write_table(FILE *out)
{
	fprintf(out, "# goodput, Mbit/s; loss of either direction in %%, delay one way\n");
	fprintf(out, "%-8s%6s", "", "loss");
	for (unsigned d = 0; d < ARRAY_SIZE(delays); d++)
		fprintf(out, "%8u ms", delays[d]);
	fprintf(out, "\n");
	for (unsigned a = 0; a < ARRAY_SIZE(algorithms); a++) {
		for (unsigned l = 0; l < ARRAY_SIZE(losses); l++) {
			fprintf(out, "%-8s%6s", algorithms[a], losses[l].name);
			for (unsigned d = 0; d < ARRAY_SIZE(delays); d++)
				fprintf(out, "%11.3f",
					goodput(algorithms[a], losses[l].ppm, delays[d]) * 8 / 1e6);
			fprintf(out, "\n");
		}
	}
}

static void test_table(void **state)
{
	const char *path = SOURCE_DIR "/tests/stack/tcp_loss.txt";
	char *text = NULL, kept[4096] = "";
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);

	assert_non_null(f);
	write_table(f);
	fclose(f);
	f = fopen(path, getenv("TCP_LOSS_WRITE") ? "w" : "r");
	assert_non_null(f);
	if (getenv("TCP_LOSS_WRITE"))
		assert_int_equal(fwrite(text, 1, len, f), len);
	else
		kept[fread(kept, 1, sizeof(kept) - 1, f)] = 0;
	fclose(f);
	if (!getenv("TCP_LOSS_WRITE") && strcmp(text, kept)) {
		print_error("the table was\n%sand is\n%s", kept, text);
		fail();
	}
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_table)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
