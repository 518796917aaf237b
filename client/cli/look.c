/* look: list, stop, stages, drops, trace: what instances are and do. */
#include <dirent.h>
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "cli.h"

struct look {
	const char *name;
	bool json;
	unsigned count; /* trace: packets, */
	double seconds; /* and how long to wait for them */
};

static unsigned count_of(const char *s)
{
	char *end;
	unsigned long n = strtoul(s, &end, 10);

	if (*s < '0' || *s > '9' || *end || !n || n > UINT32_MAX)
		die(EXIT_USAGE, "-c takes a number of packets, not '%s'", s);
	return (unsigned)n;
}

static double seconds_of(const char *s)
{
	char *end;
	double n = strtod(s, &end);

	if (end == s || *end || !(n > 0 && n < 1e6))
		die(EXIT_USAGE, "-t takes a number of seconds, not '%s'", s);
	return n;
}

/* Those of -n NAME, --json, and for trace -c COUNT and -t SECONDS that the command has; text is its
 * usage, which says which. */
static void parse(int argc, char **argv, const char *opts, struct look *l, const char *text)
{
	static const struct option longs[] = {{"name", required_argument, NULL, 'n'},
					      {"json", no_argument, NULL, 'j'},
					      {"count", required_argument, NULL, 'c'},
					      {"time", required_argument, NULL, 't'},
					      {NULL, 0, NULL, 0}};
	int opt;

	while ((opt = getopt_long(argc, argv, opts, longs, NULL)) != -1) {
		/* a long one that the command does not have */
		if (opt != '?' && !strchr(opts, opt))
			usage(text);
		switch (opt) {
		case 'n':
			l->name = optarg;
			break;
		case 'j':
			l->json = true;
			break;
		case 'c':
			l->count = count_of(optarg);
			break;
		case 't':
			l->seconds = seconds_of(optarg);
			break;
		default:
			usage(text);
		}
	}
	if (optind != argc)
		usage(text);
}

static int show(const char *name, const char *what)
{
	struct client c;
	char *text;

	client_find(&c, name);
	text = client_info(&c, what);
	if (!text)
		die(1, "%s: %s", what, strerror(errno));
	fputs(text, stdout);
	free(text);
	client_close(&c);
	return 0;
}

int stages_main(int argc, char **argv)
{
	struct look l = {0};

	parse(argc, argv, "n:j", &l, STAGES_USAGE);
	return show(l.name, l.json ? "stages json" : "stages");
}

int drops_main(int argc, char **argv)
{
	struct look l = {0};

	parse(argc, argv, "n:j", &l, DROPS_USAGE);
	return show(l.name, l.json ? "drops json" : "drops");
}

/* ---- list ---- */

static bool runs_in(const char *pid, const char *dir)
{
	char path[64], *line = NULL;
	size_t room = 0;
	bool is = false;

	snprintf(path, sizeof(path), "/proc/%.20s/environ", pid);
	FILE *f = fopen(path, "re");
	if (!f)
		return false;
	while (!is && getdelim(&line, &room, 0, f) > 0)
		is = !strncmp(line, WEFT_ENV_DIR "=", sizeof(WEFT_ENV_DIR)) &&
		     !strcmp(line + sizeof(WEFT_ENV_DIR), dir);
	free(line);
	fclose(f);
	return is;
}

static unsigned count_programs(const char *dir)
{
	DIR *proc = opendir("/proc");
	struct dirent *e;
	unsigned n = 0;

	while (proc && (e = readdir(proc)))
		if (strspn(e->d_name, "0123456789") == strlen(e->d_name))
			n += runs_in(e->d_name, dir);
	if (proc)
		closedir(proc);
	return n;
}

static long number(const char *json, const char *key)
{
	char quoted[32];

	snprintf(quoted, sizeof(quoted), "\"%s\":", key);
	const char *at = strstr(json, quoted);
	return at ? strtol(at + strlen(quoted), NULL, 10) : 0;
}

/* As JSON has it; a path may hold anything. */
static void put_string(const char *s)
{
	putchar('"');
	for (; *s; s++) {
		if ((unsigned char)*s < 0x20) {
			printf("\\u%04x", (unsigned char)*s);
			continue;
		}
		if (*s == '"' || *s == '\\')
			putchar('\\');
		putchar(*s);
	}
	putchar('"');
}

struct listing {
	bool json;
	unsigned n;
};

static void list_one(void *arg, const char *name, const char *dir)
{
	struct listing *l = arg;
	struct client c;
	char *text;

	/* folders of daemons that died are the next starter's to remove */
	if (client_open(&c, dir, 0))
		return;
	text = client_info(&c, "clients");
	client_close(&c);
	if (!text)
		return;
	unsigned programs = count_programs(dir);
	if (l->json) {
		printf("%s{\"name\":\"%s\",\"pid\":%ld,\"programs\":%u,\"namespaces\":%ld,"
		       "\"sockets\":%ld,\"connections\":%ld,\"keep\":%s,\"dir\":",
		       l->n ? "," : "", name, number(text, "pid"), programs,
		       number(text, "namespaces"), number(text, "sockets"),
		       number(text, "connections") - 1 /* ours */,
		       strstr(text, "\"keep\":true") ? "true" : "false");
		put_string(dir);
		putchar('}');
	} else if (!l->n) {
		printf("%-20s %10s %10s %10s\n", "NAME", "PID", "PROGRAMS", "NAMESPACES");
	}
	if (!l->json)
		printf("%-20s %10ld %10u %10ld\n", name, number(text, "pid"), programs,
		       number(text, "namespaces"));
	l->n++;
	free(text);
}

int list_main(int argc, char **argv)
{
	struct look l = {0};

	parse(argc, argv, "j", &l, LIST_USAGE);
	struct listing all = {.json = l.json};
	if (l.json)
		putchar('[');
	rundir_each(list_one, &all);
	if (l.json)
		puts("]");
	return 0;
}

/* ---- stop ---- */

int stop_main(int argc, char **argv)
{
	struct shim_req r = {.op = WEFT_OP_STOP};
	struct client c;
	char byte;

	if (argc != 2 || argv[1][0] == '-')
		usage(STOP_USAGE);
	client_find(&c, argv[1]);
	int err = client_call(&c, &r);
	if (err && err != -EPIPE)
		die(1, "%s: %s", argv[1], strerror(-err));
	/* it closes us when it has gone from its folder */
	while (recv(c.fd, &byte, 1, 0) > 0 || errno == EINTR)
		errno = 0;
	client_close(&c);
	return 0;
}

/* ---- trace ---- */

static volatile sig_atomic_t interrupted;

static void on_int(int sig)
{
	interrupted = 1;
}

/* An event, as trace.h has it. */
struct point {
	unsigned packet, bytes;
	unsigned long long cycles;
	char at[48], dev[64], netns[300], drop[80];
};

/* Packets seen, over all workers. */
static unsigned packets_seen(const char *json)
{
	unsigned n = 0;

	for (const char *at = json; (at = strstr(at, "\"packets\":")); at++)
		n += (unsigned)strtoul(at + 10, NULL, 10);
	return n;
}

/* The value of a string in the object that begins at `at`; empty if it has none. */
static void text_of(const char *at, const char *key, char *to, size_t room)
{
	char quoted[32];
	size_t n = 0;

	snprintf(quoted, sizeof(quoted), "\"%s\":\"", key);
	const char *from = strstr(at, quoted), *next = strstr(at + 1, "{\"packet\":");
	if (from && (!next || from < next))
		for (from += strlen(quoted); *from && *from != '"' && n + 1 < room; from++) {
			from += *from == '\\' && from[1];
			to[n++] = *from;
		}
	to[n] = 0;
}

static const char *next_point(const char *at, struct point *p)
{
	at = strstr(at, "{\"packet\":");
	if (!at || sscanf(at, "{\"packet\":%u,\"cycles\":%llu,\"at\":\"%47[^\"]\",\"bytes\":%u",
			  &p->packet, &p->cycles, p->at, &p->bytes) != 4)
		return NULL;
	text_of(at, "dev", p->dev, sizeof(p->dev));
	text_of(at, "netns", p->netns, sizeof(p->netns));
	text_of(at, "drop", p->drop, sizeof(p->drop));
	return at + 1;
}

static void show_point(const struct point *p, unsigned long long since)
{
	printf("%9llu  %-14s %6u  %s", since, p->at, p->bytes, p->dev);
	if (*p->netns)
		printf("%s in %s", *p->dev ? "" : "-", p->netns);
	if (*p->drop)
		printf("  DROPPED: %s", p->drop);
	putchar('\n');
}

/* The way of one packet of one worker's events; false: there is none of that number. */
static bool show_packet(const char *events, const char *end, unsigned number)
{
	struct point p;
	unsigned long long last = 0;
	unsigned n = 0;

	for (const char *at = events; (at = next_point(at, &p)) && (!end || at < end);) {
		if (p.packet != number)
			continue;
		if (!n++) {
			printf("packet %u\n%9s  %-14s %6s  %s\n", number, "cycles", "at", "bytes",
			       "device");
			last = p.cycles;
		}
		show_point(&p, p.cycles - last);
		last = p.cycles;
	}
	return n;
}

static void show_trace(const char *json, unsigned count)
{
	const char *at = json;
	unsigned shown = 0;

	while (shown < count && (at = strstr(at, "\"events\":["))) {
		const char *end = strstr(at + 1, "\"events\":[");
		for (unsigned i = 1; shown < count && show_packet(at, end, i); i++)
			shown++;
		at++;
	}
	if (!shown)
		puts("no packet came");
}

/* Waits until `count` packets have been seen and have come to rest. */
static char *collect(struct client *c, unsigned count, double seconds)
{
	const struct timespec pause = {.tv_nsec = 100000000};
	char *before = NULL, *now = NULL;

	for (int i = 0; i < seconds * 10 && !interrupted; i++) {
		nanosleep(&pause, NULL);
		now = client_info(c, "trace");
		if (!now)
			die(1, "trace: %s", strerror(errno));
		bool rest = before && !strcmp(before, now);
		free(before);
		before = now;
		if (rest && packets_seen(now) >= count)
			break;
	}
	return before ? before : strdup("");
}

int trace_main(int argc, char **argv)
{
	struct look l = {.count = 1, .seconds = 10};
	struct sigaction sa = {.sa_handler = on_int};
	struct client c;
	char what[32], *text;

	parse(argc, argv, "n:jc:t:", &l, TRACE_USAGE);
	client_find(&c, l.name);
	snprintf(what, sizeof(what), "trace start %u", l.count);
	text = client_info(&c, what);
	if (!text)
		die(1, "trace: %s", strerror(errno));
	free(text);
	sigaction(SIGINT, &sa, NULL);
	text = collect(&c, l.count, l.seconds);
	if (l.json)
		fputs(text, stdout);
	else
		show_trace(text, l.count);
	free(text);
	free(client_info(&c, "trace stop"));
	client_close(&c);
	return 0;
}
