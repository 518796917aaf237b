/* main: the commands of weft. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "cli.h"

static const struct command {
	const char *name;
	int (*main)(int argc, char **argv);
	const char *usage, *text;
} commands[] = {
	{"run", run_main, RUN_USAGE, "runs a command on weft"},
	{"list", list_main, LIST_USAGE, "instances, and what they hold"},
	{"stop", stop_main, STOP_USAGE, "ends an instance"},
	{"stages", stages_main, STAGES_USAGE, "calls, packets and cycles of each stage; drops"},
	{"drops", drops_main, DROPS_USAGE, "dropped packets, by reason"},
	{"trace", trace_main, TRACE_USAGE, "follows packets through the stages"},
	{"tap", tap_main, TAP_USAGE, "a TAP device of the host"},
	{"memif", memif_main, MEMIF_USAGE, "a link of shared memory to another process"},
	{"pcap", pcap_main, PCAP_USAGE, "devices that play and write capture files"},
	{"fault", fault_main, FAULT_USAGE, "a device that does what bad wires do"},
	{"bench", bench_main, BENCH_USAGE, "measures"},
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
	fputs("usage: weft COMMAND, or --help, or --version\n", out);
	for (unsigned i = 0; i < ARRAY_SIZE(commands); i++)
		fprintf(out, "  weft %s\n\t%s\n", commands[i].usage, commands[i].text);
}

static bool asks_for_help(const char *arg)
{
	return arg && (!strcmp(arg, "--help") || !strcmp(arg, "-h"));
}

static int run_command(const struct command *c, int argc, char **argv)
{
	if (!asks_for_help(argv[1]) || c->main == bench_main)
		return c->main(argc, argv);
	printf("usage: weft %s\n\t%s\n", c->usage, c->text);
	return 0;
}

int bench_main(int argc, char **argv)
{
	char path[PATH_MAX];

	if (!rundir_find("../../bench/weft-bench", WEFT_LIBEXEC_BESIDE "/weft-bench",
			 WEFT_LIBEXEC "/weft-bench", path))
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
	if (asks_for_help(argv[1]) || !strcmp(argv[1], "help")) {
		help(stdout);
		return 0;
	}
	for (unsigned i = 0; i < ARRAY_SIZE(commands); i++)
		if (!strcmp(argv[1], commands[i].name))
			return run_command(&commands[i], argc - 1, argv + 1);
	complain("there is no command '%s'", argv[1]);
	help(stderr);
	return EXIT_USAGE;
}
