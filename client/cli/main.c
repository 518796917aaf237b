/* main: the commands of weft. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "cli.h"

static const struct command {
	const char *name;
	int (*main)(int argc, char **argv);
	const char *text;
} commands[] = {
	{"run", run_main, "run [-n NAME] [-k] [-w N] [--] COMMAND...   run a command on weft"},
	{"list", list_main, "list [--json]                               instances"},
	{"stop", stop_main, "stop NAME                                   end an instance"},
	{"stages", stages_main, "stages [-n NAME] [--json]                   packets and cycles"},
	{"drops", drops_main,
	 "drops [-n NAME] [--json]                    dropped packets, by reason"},
	{"trace", trace_main, "trace [-n NAME] [-c COUNT] [--json]         follow packets"},
	{"tap", tap_main, "tap add DEVICE [host NAME] [queues N]       a TAP device of the host"},
	{"pcap", pcap_main, "pcap replay FILE DEVICE | record DEVICE FILE"},
	{"fault", fault_main,
	 "fault add DEVICE on LOWER [loss P] [delay MS] ...   a bad wire for tests"},
	{"bench", bench_main, "bench NAME [--json]                         measure"},
};

void complain(const char *fmt, ...)
{
	va_list ap;

	fputs("weft: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
}

void die(int code, const char *fmt, ...)
{
	va_list ap;

	fputs("weft: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	exit(code);
}

void usage(const char *text)
{
	fprintf(stderr, "usage: weft %s\n", text);
	exit(EXIT_USAGE);
}

static void help(FILE *out)
{
	fputs("usage: weft COMMAND\n", out);
	for (unsigned i = 0; i < ARRAY_SIZE(commands); i++)
		fprintf(out, "  weft %s\n", commands[i].text);
}

int bench_main(int argc, char **argv)
{
	char path[PATH_MAX];

	if (!rundir_find("../../bench/weft-bench", WEFT_LIBEXEC "/weft-bench", path))
		die(1, "weft-bench is not there");
	argv[0] = path;
	execv(path, argv);
	die(126, "%s: %s", path, strerror(errno));
}

int main(int argc, char **argv)
{
	if (argc < 2) {
		help(stderr);
		return EXIT_USAGE;
	}
	if (!strcmp(argv[1], "--version")) {
		puts("weft " WEFT_VERSION);
		return 0;
	}
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h") || !strcmp(argv[1], "help")) {
		help(stdout);
		return 0;
	}
	for (unsigned i = 0; i < ARRAY_SIZE(commands); i++)
		if (!strcmp(argv[1], commands[i].name))
			return commands[i].main(argc - 1, argv + 1);
	complain("there is no command '%s'", argv[1]);
	help(stderr);
	return EXIT_USAGE;
}
