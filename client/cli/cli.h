/*
 * cli: what the files of the `weft` command share.
 *
 *   main.c    commands and their usage
 *   rundir.c  the folder of instances: where it is, who is in it, what died in it
 *   client.c  a connection to a daemon and the requests on it
 *   run.c     weft run: start or join, then become the command
 *   look.c    list, stop, stages, drops, trace
 *   link.c    tap, pcap, fault: devices that iproute2 has no words for, asked for by netlink
 *
 * Complaints go to standard error as "weft: text". Exit codes: 1 it failed, 2 it was asked wrongly;
 * weft run: the command's, 126 and 127 as a shell has them.
 */
#pragma once

#include <limits.h>
#include <stdint.h>

#include "client/conn.h"

#define EXIT_USAGE 2

/* Prints "weft: text" and exits. */
void die(int code, const char *fmt, ...) __attribute__((noreturn, format(printf, 2, 3)));
void complain(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* Says how the command is used; exits. */
void usage(const char *text) __attribute__((noreturn));

/* ---- rundir.c ---- */
/* The folder of instances, made if need be; checked to be ours alone. */
const char *rundir_base(void);
/* The folder of an instance. */
void rundir_of(const char *name, char to[PATH_MAX]);
bool rundir_name_ok(const char *name);
/* Calls fn for each folder in the base; returns how many. */
unsigned rundir_each(void (*fn)(void *arg, const char *name, const char *dir), void *arg);
/* Keeps other starters out until the descriptor is closed. */
int rundir_lock(void);
/* Takes a dead instance's folder away. */
void rundir_bury(const char *dir);
/* Takes away what all dead ones left. The lock is held. */
void rundir_sweep(void);
/* The path of a program or library of ours: in the build tree or in an installed one, both as seen
 * from our own folder (so that a tree can be moved), or where it was to be installed. */
bool rundir_find(const char *in_tree, const char *beside, const char *installed, char to[PATH_MAX]);

/* ---- client.c ---- */
struct client {
	int fd;
	uint64_t ino;	   /* of the connection's namespace */
	uint64_t instance; /* id */
};

/* Connects and says HELLO. 0 or -errno; -EPIPE: the daemon is just ending. */
int client_open(struct client *c, const char *dir, uint64_t ino);
void client_close(struct client *c);
/* 0 or -errno: the daemon's, or -EPIPE when it is gone. */
int client_call(struct client *c, struct shim_req *r);
/* What INFO answers, as text to be freed; NULL with errno. */
char *client_info(struct client *c, const char *what);
/* The instance that a command is about: name, or the one around us, or the only one. Dies. */
void client_find(struct client *c, const char *name);

/* ---- commands ---- */
#define RUN_USAGE    "run [-n NAME] [-k] [-w WORKERS] [--] COMMAND..."
#define LIST_USAGE   "list [--json]"
#define STOP_USAGE   "stop NAME"
#define STAGES_USAGE "stages [-n NAME] [--json]"
#define DROPS_USAGE  "drops [-n NAME] [--json]"
#define TRACE_USAGE  "trace [-n NAME] [-c COUNT] [-t SECONDS] [--json]"
#define TAP_USAGE    "tap add DEVICE [host NAME] [queues N]"
#define MEMIF_USAGE                                                                                \
	"memif add DEVICE SOCKET [role server|client] [id N] [secret TEXT] [queues N] [ring N] "   \
	"[buffer BYTES]"
#define PCAP_USAGE "pcap replay FILE DEVICE [speed PERCENT] [loop N] | record DEVICE FILE"
#define FAULT_USAGE                                                                                \
	"fault add DEVICE on LOWER | set DEVICE  [loss P] [dup P] [reorder P] [corrupt P] "        \
	"[delay MS] [jitter MS] [seed N] [direction in|out|both] [limit N]"
#define BENCH_USAGE "bench NAME...|all [--json] [--runs N] [--instructions]"

int run_main(int argc, char **argv);
int list_main(int argc, char **argv);
int stop_main(int argc, char **argv);
int stages_main(int argc, char **argv);
int drops_main(int argc, char **argv);
int trace_main(int argc, char **argv);
int tap_main(int argc, char **argv);
int memif_main(int argc, char **argv);
int pcap_main(int argc, char **argv);
int fault_main(int argc, char **argv);
int bench_main(int argc, char **argv);
