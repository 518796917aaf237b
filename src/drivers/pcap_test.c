/*
 * Tests of the pcap driver: what is replayed on one device and sent on another is the same file
 * again; pace, loops, damaged files, a full disk.
 *
 *	in.pcap -> p0 ---- (rx handler) ----> p1 -> out.pcap
 */
#include "drivers/bed.h"

#include <fcntl.h>
#include <pcap/pcap.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"

#define TICK (1ull << WHEEL_TICK_SHIFT)
#define WALL 1600000000ull /* s */
#define MANY 400

struct args {
	char replay[1024], record[1024];
	uint32_t speed, loop;
};

static char dir[64], in[96], out[96];
static struct netdev *p0, *p1;
static unsigned n_got;
static uint64_t at[4 * MANY];

/* ---- files ---- */

static FILE *capture(uint32_t magic, uint32_t link)
{
	FILE *f = fopen(in, "w");
	uint32_t words[] = {magic, 2 | 4 << 16, 0, 0, 262144, link};

	assert_non_null(f);
	fwrite(words, sizeof(words), 1, f);
	return f;
}

static void frame(FILE *f, uint64_t ns, uint32_t caplen, uint32_t len)
{
	uint32_t h[] = {(uint32_t)(ns / NSEC_PER_SEC), (uint32_t)(ns % NSEC_PER_SEC), caplen, len};
	uint8_t bytes[70000];

	for (uint32_t i = 0; i < caplen; i++)
		bytes[i] = (uint8_t)(i * 13 ^ ns >> 20);
	memset(bytes, 0xff, MIN(caplen, 6u));
	if (caplen >= ETH_HLEN)
		put_be16(bytes + 12, 0x88b5);
	fwrite(h, sizeof(h), 1, f);
	fwrite(bytes, caplen, 1, f);
}

/* n frames, `gap` apart. */
static void simple_capture(unsigned n, uint64_t gap)
{
	FILE *f = capture(0xa1b23c4d, DLT_EN10MB);

	for (unsigned i = 0; i < n; i++)
		frame(f, WALL * NSEC_PER_SEC + i * gap, 14 + (i * 53) % 1500, 14 + (i * 53) % 1500);
	fclose(f);
}

static uint8_t *slurp(const char *path, size_t *len)
{
	FILE *f = fopen(path, "r");
	uint8_t *bytes = malloc(1 << 20);

	assert_non_null(f);
	*len = fread(bytes, 1, 1 << 20, f);
	fclose(f);
	return bytes;
}

static bool same_files(void)
{
	size_t a_len, b_len;
	uint8_t *a = slurp(in, &a_len), *b = slurp(out, &b_len);
	bool same = a_len == b_len && !memcmp(a, b, a_len);

	free(a);
	free(b);
	return same;
}

/* ---- devices ---- */

static void forward(struct worker *w, struct netdev *dev, struct batch *b)
{
	for (unsigned i = 0; i < b->n; i++) {
		pkt_push(b->p[i], ETH_HLEN);
		if (n_got < ARRAY_SIZE(at))
			at[n_got] = w->now;
		n_got++;
	}
	netdev_xmit(w, p1, b);
}

static int make(struct bed *b, const char *replay, const char *record, uint32_t speed,
		uint32_t loop, struct netdev **dev, struct extack *ext)
{
	struct args a = {.speed = speed, .loop = loop};
	struct dev_new n = {.net = b->a, .params = &a, .given = {15}};

	snprintf(a.replay, sizeof(a.replay), "%s", replay);
	snprintf(a.record, sizeof(a.record), "%s", record);
	return dev_create(&b->core, &pcap_kind, &n, dev, ext);
}

/* The clock stands so that the first frame's time is now. */
static void play(struct bed *b, uint32_t speed, uint32_t loop)
{
	b->worker.now = align_up(b->worker.now, TICK);
	b->worker.wall = (int64_t)(WALL * NSEC_PER_SEC - b->worker.now);
	assert_int_equal(make(b, "", out, 100, 1, &p1, NULL), 0);
	up(p1);
	assert_int_equal(make(b, in, "", speed, loop, &p0, NULL), 0);
	p0->rx_handler = forward;
	n_got = 0;
	up(p0);
}

static void end(void)
{
	netdev_unregister(p0);
	netdev_unregister(p1); /* writes the rest */
}

static uint64_t stat_of(struct netdev *dev, const char *name)
{
	const char *const *names;
	uint64_t vals[16];
	unsigned n = dev->ops->ethtool_stats(dev, &names, vals);

	for (unsigned i = 0; i < n; i++)
		if (!strcmp(names[i], name))
			return vals[i];
	fail_msg("no counter %s", name);
	return 0;
}

static void test_same(void **state)
{
	struct bed *b = *state;

	/* at its own pace: times and all */
	simple_capture(MANY, TICK);
	play(b, 100, 1);
	run_until(b, b->worker.now + 10 * MANY * TICK);
	assert_int_equal(n_got, MANY);
	assert_int_equal(stat_of(p0, "replay_active"), 0);
	assert_int_equal(stat_of(p1, "record_frames"), MANY);
	end();
	assert_true(same_files());
	/* a capture in which all came at once, at full speed */
	simple_capture(MANY, 0);
	play(b, 0, 1);
	settle(b);
	end();
	assert_true(same_files());
}

static void test_pace(void **state)
{
	const uint64_t gap = 1234567;
	static const uint32_t speeds[] = {100, 200, 50, 1000000};
	struct bed *b = *state;

	for (unsigned s = 0; s < ARRAY_SIZE(speeds); s++) {
		simple_capture(MANY, gap);
		play(b, speeds[s], 1);
		uint64_t t0 = b->worker.now;
		run_until(b, t0 + 3 * MANY * gap);
		assert_int_equal(n_got, MANY);
		for (unsigned i = 0; i < MANY; i++) {
			uint64_t due = t0 + i * gap * 100 / speeds[s];
			assert_true(at[i] >= due && at[i] <= due + 2 * TICK);
		}
		end();
	}
}

static void test_loops(void **state)
{
	struct bed *b = *state;
	FILE *f;

	simple_capture(10, 10 * TICK);
	play(b, 100, 3);
	uint64_t t0 = b->worker.now;
	run_until(b, t0 + 1000 * TICK);
	assert_int_equal(n_got, 30);
	assert_true(at[29] - t0 >= 3 * 90 * TICK && at[29] - t0 <= 3 * 90 * TICK + 5 * TICK);
	assert_int_equal(stat_of(p0, "replay_passes"), 3);
	/* again, by setting it up again */
	netdev_set_flags(p0, 0, IFF_UP, NULL);
	up(p0);
	run_until(b, b->worker.now + 1000 * TICK);
	assert_int_equal(n_got, 60);
	/* stopped in the middle */
	netdev_set_flags(p0, 0, IFF_UP, NULL);
	up(p0);
	run_until(b, b->worker.now + 50 * TICK);
	netdev_set_flags(p0, 0, IFF_UP, NULL);
	run_until(b, b->worker.now + 1000 * TICK);
	assert_true(n_got > 60 && n_got < 70);
	end();
	/* for ever, without an end to wait for */
	play(b, 0, 0);
	for (unsigned i = 0; i < 20; i++)
		worker_step(&b->worker, b->worker.now);
	assert_true(n_got >= 20 * 200);
	end();
	/* nothing, for ever, ends */
	f = capture(0xa1b23c4d, DLT_EN10MB);
	fclose(f);
	play(b, 0, 0);
	settle(b);
	assert_int_equal(stat_of(p0, "replay_active"), 0);
	end();
}

static void test_bad_frames(void **state)
{
	struct bed *b = *state;
	struct rtnl_link_stats64 st;
	const uint64_t t = WALL * NSEC_PER_SEC;
	FILE *f = capture(0xa1b23c4d, DLT_EN10MB);

	frame(f, t, 60, 60);
	frame(f, t - 5000, 96, 1514); /* cut, and back in time */
	frame(f, t, 1518, 1518);      /* room for a tag */
	frame(f, t, 1519, 1519);
	frame(f, t, 65000, 65000);
	frame(f, t, 10, 10); /* no header */
	frame(f, t, 0, 0);
	frame(f, t, 60, 60);
	fclose(f);
	play(b, 100, 1);
	run_until(b, b->worker.now + NSEC_PER_SEC);
	assert_int_equal(n_got, 3);
	netdev_stats(p0, &st);
	assert_int_equal(st.rx_packets, 3);
	assert_int_equal(st.rx_errors, 5);
	assert_int_equal(stat_of(p0, "replay_frames"), 8);
	assert_int_equal(stat_of(p0, "replay_cut"), 1);
	assert_int_equal(stat_of(p0, "replay_oversize"), 2);
	assert_int_equal(b->worker.drops[DROP_CAPTURE_CUT], 1);
	assert_int_equal(b->worker.drops[DROP_DEV_RX_OVERSIZE], 2);
	assert_int_equal(b->worker.drops[DROP_DEV_HDR], 2);
	/* with room for it, the large one is received, in segments */
	netdev_set_flags(p0, 0, IFF_UP, NULL);
	netdev_set_mtu(p0, 65000, NULL);
	up(p0);
	run_until(b, b->worker.now + NSEC_PER_SEC);
	assert_int_equal(n_got, 3 + 5);
	end();
}

static void test_damage(void **state)
{
	struct bed *b = *state;
	struct stat st;

	log_set_level(LOG_LEVEL_ERROR); /* what it says is expected */
	simple_capture(20, 0);
	assert_int_equal(stat(in, &st), 0);
	for (off_t cut = 1; cut <= 30; cut += 7) {
		assert_int_equal(truncate(in, st.st_size - cut), 0);
		play(b, cut & 1 ? 0 : 100, 0);
		run_until(b, b->worker.now + NSEC_PER_SEC);
		assert_int_equal(n_got, 19); /* and not for ever */
		assert_int_equal(stat_of(p0, "replay_errors"), 1);
		assert_int_equal(stat_of(p0, "replay_active"), 0);
		end();
	}
	log_set_level(LOG_LEVEL_WARN);
}

static void test_refusals(void **state)
{
	struct bed *b = *state;
	struct extack ext = {0};
	struct netdev *d;
	FILE *f;

	assert_int_equal(make(b, "", "", 100, 1, &d, &ext), -EINVAL);
	assert_string_equal(ext.msg, "no file to replay or to record to");
	assert_int_equal(make(b, "/nowhere/x", "", 100, 1, &d, &ext), -ENOENT);
	assert_int_equal(make(b, "", "/nowhere/x", 100, 1, &d, &ext), -ENOENT);
	assert_int_equal(make(b, dir, "", 100, 1, &d, &ext), -EINVAL);
	assert_string_equal(ext.msg, "the file to replay is not a regular file");
	assert_int_equal(make(b, "", dir, 100, 1, &d, &ext), -EISDIR);
	assert_int_equal(make(b, "", "/dev/null", 100, 1, &d, &ext), -EINVAL);
	f = fopen(in, "w");
	fputs("no capture at all, but long enough", f);
	fclose(f);
	assert_int_equal(make(b, in, "", 100, 1, &d, &ext), -EINVAL);
	assert_string_equal(ext.msg, "the file to replay is not a capture");
	fclose(fopen(in, "w"));
	assert_int_equal(make(b, in, "", 100, 1, &d, &ext), -EINVAL);
	fclose(capture(0xa1b23c4d, DLT_RAW));
	assert_int_equal(make(b, in, "", 100, 1, &d, &ext), -EPROTONOSUPPORT);
	assert_string_equal(ext.msg, "the capture's link type is not Ethernet");
	simple_capture(3, 0);
	assert_int_equal(make(b, in, in, 100, 1, &d, &ext), -EINVAL);
	struct stat st;
	assert_int_equal(stat(in, &st), 0);
	assert_true(st.st_size > 24); /* still what it was */
	assert_null(net_dev_by_name(b->a, "pcap0"));
}

/* What waits in the ring is in the file a second later; what libpcap makes of the file. */
static void test_flush(void **state)
{
	struct bed *b = *state;
	char err[PCAP_ERRBUF_SIZE];
	struct pcap_pkthdr *h;
	const uint8_t *data;
	struct stat st = {0};

	simple_capture(3, 0);
	play(b, 0, 1);
	settle(b);
	run_until(b, b->worker.now + 2 * NSEC_PER_SEC);
	for (unsigned i = 0; i < 5000 && st.st_size <= 24; i++) {
		usleep(1000); /* the writer is a thread */
		assert_int_equal(stat(out, &st), 0);
	}
	assert_true(same_files());
	pcap_t *cap = pcap_open_offline_with_tstamp_precision(out, PCAP_TSTAMP_PRECISION_NANO, err);
	assert_non_null(cap);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(pcap_next_ex(cap, &h, &data), 1);
		assert_int_equal(h->len, 14 + i * 53);
		assert_int_equal(h->ts.tv_sec, WALL);
	}
	assert_int_equal(pcap_next_ex(cap, &h, &data), PCAP_ERROR_BREAK);
	pcap_close(cap);
	end();
}

/* The disk is full: frames are lost and counted, and nothing waits. */
static void test_full(void **state)
{
	struct bed *b = *state;
	struct rlimit old, small;
	struct rtnl_link_stats64 st;
	size_t len;

	log_set_level(LOG_LEVEL_ERROR);
	simple_capture(MANY, 0);
	getrlimit(RLIMIT_FSIZE, &old);
	small = (struct rlimit){100000, old.rlim_max};
	play(b, 0, 1);
	setrlimit(RLIMIT_FSIZE, &small);
	settle(b);
	netdev_set_flags(p1, 0, IFF_UP, NULL); /* all is written, or not */
	up(p1);
	netdev_set_flags(p0, 0, IFF_UP, NULL);
	up(p0);
	settle(b);
	setrlimit(RLIMIT_FSIZE, &old);
	assert_int_equal(n_got, 2 * MANY);
	assert_true(stat_of(p1, "record_lost") >= MANY);
	netdev_stats(p1, &st);
	assert_int_equal(st.tx_dropped, stat_of(p1, "record_lost"));
	assert_int_equal(st.tx_packets + st.tx_dropped, 2 * MANY);
	end();
	free(slurp(out, &len));
	assert_int_equal(len, 100000);
	log_set_level(LOG_LEVEL_WARN);
}

static int fresh(void **state)
{
	snprintf(dir, sizeof(dir), "/tmp/weft-pcap.XXXXXX");
	assert_non_null(mkdtemp(dir));
	snprintf(in, sizeof(in), "%s/in.pcap", dir);
	snprintf(out, sizeof(out), "%s/out.pcap", dir);
	return setup(state);
}

static int done(void **state)
{
	unlink(in);
	unlink(out);
	rmdir(dir);
	return teardown(state);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, fresh, done)
	const struct CMUnitTest tests[] = {
		T(test_same),	T(test_pace),	  T(test_loops), T(test_bad_frames),
		T(test_damage), T(test_refusals), T(test_flush), T(test_full),
	};

	rcu_register_thread();
	int failed = cmocka_run_group_tests_name("pcap", tests, NULL, NULL);
	rcu_unregister_thread();
	return failed;
}
