/*
 * script [FILE...]: runs transcripts, all of tests/drill if none is named, each in a process and an
 * instance of its own; says of each whether what was seen is what was written, and of the first
 * line that differs, how.
 */
#include "transcript.h"

#include <arpa/inet.h>
#include <errno.h>
#include <glob.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/tcp.h>

#define PEER_ISN 4000000000u /* so that numbers wrap in what is long enough */
#define LINE	 1024
#define TICK	 (2 * NSEC_PER_MSEC) /* how much later than written a timer may be */

void fail(const struct transcript *t, const char *fmt, ...)
{
	va_list ap;

	fprintf(stderr, "%s:%u: ", t->path, t->line);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	exit(1);
}

/* ---- names ---- */

static struct named *find(struct transcript *t, const char *name)
{
	for (unsigned i = 0; i < t->n_names; i++)
		if (!strcmp(t->names[i].name, name))
			return &t->names[i];
	return NULL;
}

static int fd_of(struct transcript *t, const char *name)
{
	struct named *n = name ? find(t, name) : NULL;

	if (!n)
		fail(t, "there is no socket '%s'", name ? name : "");
	return n->fd;
}

static void name_it(struct transcript *t, const char *name, int fd)
{
	struct named *n = find(t, name);

	if (!n) {
		if (t->n_names == ARRAY_SIZE(t->names))
			fail(t, "too many names");
		n = &t->names[t->n_names++];
	}
	snprintf(n->name, sizeof(n->name), "%s", name);
	n->fd = fd;
}

/* ---- segments ---- */

static struct talk *talk_of(struct transcript *t, char ***words, unsigned *n)
{
	unsigned i = 0;

	if (*n && (*words)[0][0] == '@') {
		i = (unsigned)atoi((*words)[0] + 1);
		++*words;
		--*n;
	}
	if (i >= CONNS_MAX)
		fail(t, "connection %u is beyond the last", i);
	struct talk *k = &t->talks[i];
	if (!k->known)
		*k = (struct talk){.known = true,
				   .us = OUR_PORT,
				   .peer = (uint16_t)(PEER_PORT + i),
				   .peer_isn = PEER_ISN};
	return k;
}

static void come_in(struct transcript *t, char **words, unsigned n)
{
	struct talk *k = talk_of(t, &words, &n);
	uint8_t buf[65536];
	struct segment s;

	segment_read(t, words, n, k, &s);
	t->ifc.netdev_send(t->d, buf, segment_put(&s, k, buf, sizeof(buf)));
}

static bool has_frame(void *arg)
{
	return ((struct drill *)arg)->sent;
}

/* What was sent until now, if anything: when, and what. */
static bool next_frame(struct transcript *t, uint64_t until, uint64_t *at, struct segment *s)
{
	struct drill *d = t->d;

	drill_enter(d);
	bool any = drill_run(d, until, has_frame, d);
	drill_leave(d);
	if (!any)
		return false;
	uint8_t buf[65536];
	size_t len = sizeof(buf);
	long long us;
	*at = d->sent->at;
	t->ifc.netdev_receive(d, buf, &len, &us);
	if (!segment_take(buf, len, s))
		fail(t, "what goes out is not TCP");
	return true;
}

/* A first SYN tells the ports of a connection that we open, and our initial number. */
static void learn(struct talk *k, const struct segment *s)
{
	if (!k->has_ours && s->flags & 2) {
		k->has_ours = true;
		k->our_isn = s->seq;
		k->us = s->from;
		k->peer = s->to;
	}
	if (s->has_ts)
		k->last_tsval = s->tsval;
}

static void go_out(struct transcript *t, uint64_t when, char **words, unsigned n)
{
	struct segment want, got;
	char seen[256];
	uint64_t at;

	if (n == 1 && !strcmp(words[0], "nothing")) {
		if (next_frame(t, when, &at, &got)) {
			segment_print(&got, seen, sizeof(seen));
			fail(t, "went out, %.6f s early: %s", (double)(when - at) / 1e9, seen);
		}
		return;
	}
	struct talk *k = talk_of(t, &words, &n);

	segment_read(t, words, n, k, &want);
	if (!next_frame(t, when + TICK, &at, &got))
		fail(t, "nothing goes out");
	learn(k, &got);
	if (got.from != k->us || got.to != k->peer)
		fail(t, "goes out from port %u to %u", got.from, got.to);
	bool same = segment_same(&want, &got, k, seen, sizeof(seen));
	if (!same)
		fail(t, "goes out: %s", seen);
	if (at < when)
		fail(t, "goes out %.6f s early", (double)(when - at) / 1e9);
}

/* ---- calls ---- */

static const struct {
	const char *name;
	int level, opt;
} options[] = {
	{"reuseaddr", SOL_SOCKET, SO_REUSEADDR},
	{"sndbuf", SOL_SOCKET, SO_SNDBUF},
	{"rcvbuf", SOL_SOCKET, SO_RCVBUF},
	{"keepalive", SOL_SOCKET, SO_KEEPALIVE},
	{"error", SOL_SOCKET, SO_ERROR},
	{"oobinline", SOL_SOCKET, SO_OOBINLINE},
	{"nodelay", IPPROTO_TCP, TCP_NODELAY},
	{"cork", IPPROTO_TCP, TCP_CORK},
	{"quickack", IPPROTO_TCP, TCP_QUICKACK},
	{"maxseg", IPPROTO_TCP, TCP_MAXSEG},
	{"keepidle", IPPROTO_TCP, TCP_KEEPIDLE},
	{"keepintvl", IPPROTO_TCP, TCP_KEEPINTVL},
	{"keepcnt", IPPROTO_TCP, TCP_KEEPCNT},
	{"linger2", IPPROTO_TCP, TCP_LINGER2},
	{"syncnt", IPPROTO_TCP, TCP_SYNCNT},
	{"user_timeout", IPPROTO_TCP, TCP_USER_TIMEOUT},
	{"defer_accept", IPPROTO_TCP, TCP_DEFER_ACCEPT},
	{"window_clamp", IPPROTO_TCP, TCP_WINDOW_CLAMP},
	{"notsent_lowat", IPPROTO_TCP, TCP_NOTSENT_LOWAT},
	{"fastopen", IPPROTO_TCP, TCP_FASTOPEN},
	{"fastopen_connect", IPPROTO_TCP, TCP_FASTOPEN_CONNECT},
};

static const struct {
	const char *name;
	unsigned event;
} events[] = {
	{"in", POLLIN},	  {"out", POLLOUT}, {"pri", POLLPRI},
	{"err", POLLERR}, {"hup", POLLHUP}, {"rdhup", POLLRDHUP},
};

#define FIELD(name)                                                                                \
	{                                                                                          \
#name, offsetof(struct tcp_info, tcpi_##name), 4                                   \
	}
#define BYTE(name)                                                                                 \
	{                                                                                          \
#name, offsetof(struct tcp_info, tcpi_##name), 1                                   \
	}
static const struct {
	const char *name;
	size_t at, size;
} fields[] = {
	BYTE(state),	 BYTE(ca_state),      BYTE(retransmits),    BYTE(backoff),
	FIELD(rto),	 FIELD(snd_mss),      FIELD(rcv_mss),	    FIELD(unacked),
	FIELD(sacked),	 FIELD(lost),	      FIELD(retrans),	    FIELD(rtt),
	FIELD(snd_cwnd), FIELD(snd_ssthresh), FIELD(total_retrans), FIELD(reordering),
};
#undef FIELD
#undef BYTE

static struct sockaddr_in address(uint32_t ip, uint16_t port)
{
	return (struct sockaddr_in){
		.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(ip)};
}

static long option(struct transcript *t, int fd, char **w, unsigned n, bool set)
{
	int v = n > 3 && set ? atoi(w[3]) : 0;
	socklen_t len = sizeof(v);
	unsigned i;

	for (i = 0; i < ARRAY_SIZE(options); i++)
		if (n > 2 && !strcmp(options[i].name, w[2]))
			break;
	if (i == ARRAY_SIZE(options))
		fail(t, "there is no option '%s'", n > 2 ? w[2] : "");
	if (set)
		return t->ifc.setsockopt(t->d, fd, options[i].level, options[i].opt, &v, len);
	int r = t->ifc.getsockopt(t->d, fd, options[i].level, options[i].opt, &v, &len);
	return r ? r : v;
}

static long bytes(struct transcript *t, int fd, const char *call, size_t len, int flags)
{
	uint8_t *buf = calloc(1, len + 1);
	long r;

	if (!strcmp(call, "write"))
		r = t->ifc.send(t->d, fd, buf, len, flags | MSG_DONTWAIT | MSG_NOSIGNAL);
	else
		r = t->ifc.recv(t->d, fd, buf, len, flags | MSG_DONTWAIT);
	int saved = errno;
	free(buf);
	errno = saved;
	return r;
}

static int msg_flag(const struct transcript *t, const char *word)
{
	if (!strcmp(word, "oob"))
		return MSG_OOB;
	if (!strcmp(word, "more"))
		return MSG_MORE;
	if (!strcmp(word, "peek"))
		return MSG_PEEK;
	fail(t, "'%s' is no flag of a message", word);
}

static long abort_close(struct transcript *t, int fd)
{
	const struct linger l = {.l_onoff = 1};

	t->ifc.setsockopt(t->d, fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l));
	return t->ifc.close(t->d, fd);
}

static int shut_how(const struct transcript *t, const char *word)
{
	if (!strcmp(word, "rd"))
		return SHUT_RD;
	return !strcmp(word, "wr") ? SHUT_WR : SHUT_RDWR;
}

/* A call on a socket: what it returns; errno. */
static long call(struct transcript *t, char **w, unsigned n)
{
	struct sockaddr_in us = address(OUR_IP, n > 2 ? (uint16_t)atoi(w[2]) : OUR_PORT);
	struct sockaddr_in peer = address(PEER_IP, n > 2 ? (uint16_t)atoi(w[2]) : PEER_PORT);
	int fd = fd_of(t, n > 1 ? w[1] : NULL), arg = n > 2 ? atoi(w[2]) : 0;

	if (!strcmp(w[0], "bind"))
		return t->ifc.bind(t->d, fd, (struct sockaddr *)&us, sizeof(us));
	if (!strcmp(w[0], "listen"))
		return t->ifc.listen(t->d, fd, arg);
	if (!strcmp(w[0], "connect"))
		return t->ifc.connect(t->d, fd, (struct sockaddr *)&peer, sizeof(peer));
	if (!strcmp(w[0], "write") || !strcmp(w[0], "read"))
		return bytes(t, fd, w[0], (size_t)arg, n > 3 ? msg_flag(t, w[3]) : 0);
	if (!strcmp(w[0], "shutdown"))
		return t->ifc.shutdown(t->d, fd, shut_how(t, n > 2 ? w[2] : ""));
	if (!strcmp(w[0], "close"))
		return t->ifc.close(t->d, fd);
	if (!strcmp(w[0], "abort"))
		return abort_close(t, fd);
	if (!strcmp(w[0], "set") || !strcmp(w[0], "get"))
		return option(t, fd, w, n, w[0][0] == 's');
	fail(t, "there is no call '%s'", w[0]);
}

static void check(const struct transcript *t, long r, const char *want)
{
	char *end;
	long number = strtol(want, &end, 0);

	if (r < 0 ? strcmp(strerrorname_np(errno), want) : *end || number != r)
		fail(t, "returns %ld%s%s", r, r < 0 ? " " : "",
		     r < 0 ? strerrorname_np(errno) : "");
}

/* poll S -> EVENTS... */
static void check_poll(struct transcript *t, const char *name, char **want, unsigned n)
{
	struct pollfd p = {.fd = fd_of(t, name), .events = POLLIN | POLLOUT | POLLPRI | POLLRDHUP};
	unsigned mask = 0;

	t->ifc.poll(t->d, &p, 1, 0);
	for (unsigned i = 0; i < n; i++)
		for (unsigned k = 0; k < ARRAY_SIZE(events); k++)
			if (!strcmp(want[i], events[k].name))
				mask |= events[k].event;
	if (mask == (unsigned short)p.revents)
		return;
	char text[64] = "";
	for (unsigned k = 0; k < ARRAY_SIZE(events); k++)
		if (p.revents & (short)events[k].event) {
			strcat(text, " ");
			strcat(text, events[k].name);
		}
	fail(t, "poll says:%s", text);
}

static void check_info(struct transcript *t, char **w, unsigned n)
{
	struct tcp_info info = {0};
	socklen_t len = sizeof(info);

	if (n != 4)
		fail(t, "info SOCKET FIELD VALUE");
	if (t->ifc.getsockopt(t->d, fd_of(t, w[1]), IPPROTO_TCP, TCP_INFO, &info, &len))
		fail(t, "TCP_INFO: %s", strerrorname_np(errno));
	for (unsigned i = 0; i < ARRAY_SIZE(fields); i++) {
		uint32_t v = 0;

		if (strcmp(fields[i].name, w[2]))
			continue;
		memcpy(&v, (uint8_t *)&info + fields[i].at, fields[i].size);
		if (v != strtoul(w[3], NULL, 0))
			fail(t, "%s is %u", w[2], v);
		return;
	}
	fail(t, "there is no field '%s'", w[2]);
}

/* NAME = socket | accept L [-> ERROR] */
static void make(struct transcript *t, char **w, unsigned n)
{
	int fd;

	if (!strcmp(w[2], "socket"))
		fd = t->ifc.socket(t->d, AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	else if (!strcmp(w[2], "accept") && n > 3)
		fd = t->ifc.accept(t->d, fd_of(t, w[3]), NULL, NULL);
	else
		fail(t, "NAME = socket, or NAME = accept LISTENER");
	if (n > 5)
		check(t, fd, w[5]);
	else if (fd < 0)
		fail(t, "fails: %s", strerrorname_np(errno));
	else
		name_it(t, w[0], fd);
}

static void run_words(struct transcript *t, uint64_t when, char **w, unsigned n)
{
	unsigned arrow = 0;

	while (arrow < n && strcmp(w[arrow], "->"))
		arrow++;
	if (!strcmp(w[0], "<"))
		come_in(t, w + 1, n - 1);
	else if (!strcmp(w[0], ">"))
		go_out(t, when, w + 1, n - 1);
	else if (n > 2 && !strcmp(w[1], "="))
		make(t, w, n);
	else if (!strcmp(w[0], "info"))
		check_info(t, w, n);
	else if (!strcmp(w[0], "poll") && n > 1)
		check_poll(t, w[1], w + arrow + 1, n > arrow ? n - arrow - 1 : 0);
	else
		check(t, call(t, w, MIN(arrow, n)), arrow + 1 < n ? w[arrow + 1] : "0");
}

/* ---- lines ---- */

static uint64_t time_of(const struct transcript *t, const char *word, uint64_t last, uint64_t start)
{
	char *end;
	double s = strtod(word + 1, &end);

	if ((*word != '+' && *word != '=') || *end || s < 0)
		fail(t, "'%s' is no time", word);
	return (*word == '+' ? last : start) + (uint64_t)(s * 1e9 + .5);
}

static void wait_until(struct transcript *t, uint64_t when)
{
	drill_enter(t->d);
	drill_run(t->d, when, NULL, NULL);
	drill_leave(t->d);
}

static uint64_t run_line(struct transcript *t, char *line, uint64_t last, uint64_t start)
{
	char *words[WORDS_MAX], *save = NULL, *sh;
	unsigned n = 0;

	line[strcspn(line, "#\n")] = 0;
	sh = strstr(line, " sh ");
	char *first = strtok_r(line, " \t", &save);
	if (!first)
		return last;
	uint64_t when = time_of(t, first, last, start);
	bool command = sh && save && !strncmp(save + strspn(save, " \t"), "sh ", 3);
	while (!command && n < WORDS_MAX && (words[n] = strtok_r(NULL, " \t", &save)))
		n++;
	if (command || (n && strcmp(words[0], ">")))
		wait_until(t, when);
	if (command && system(sh + 4))
		fail(t, "the command fails");
	else if (n)
		run_words(t, when, words, n);
	return when;
}

static void run(const char *path)
{
	struct transcript t = {.path = path};
	FILE *in = fopen(path, "r");
	char line[LINE];

	if (!in)
		fail(&t, "%s", strerror(errno));
	packetdrill_interface_init(NULL, &t.ifc);
	t.d = t.ifc.userdata;
	uint64_t start = t.d->now, when = start, at;
	while (fgets(line, sizeof(line), in)) {
		t.line++;
		when = run_line(&t, line, when, start);
	}
	fclose(in);
	struct segment left;
	if (next_frame(&t, when, &at, &left)) {
		char text[256];
		segment_print(&left, text, sizeof(text));
		fail(&t, "went out at last: %s", text);
	}
	t.ifc.free(t.d);
}

/* Each in a process of its own. */
static bool passes(const char *path)
{
	int status;

	fflush(stdout);
	pid_t pid = fork();

	if (!pid) {
		run(path);
		exit(0);
	}
	return waitpid(pid, &status, 0) == pid && !status;
}

int main(int argc, char **argv)
{
	glob_t all = {.gl_pathc = (size_t)argc - 1, .gl_pathv = argv + 1};
	unsigned failed = 0;

	if (argc == 1 && glob(SOURCE_DIR "/tests/drill/*.txt", 0, NULL, &all))
		return 1;
	for (size_t i = 0; i < all.gl_pathc; i++) {
		bool ok = passes(all.gl_pathv[i]);

		printf("%s %s\n", ok ? "ok  " : "FAIL", all.gl_pathv[i]);
		failed += !ok;
	}
	return failed != 0;
}
