/*
 * transcript: what a file of tests/drill says is done to the stack, and is seen of it.
 *
 * One event a line, after the time it happens: `+SECONDS` since the line before, or `=SECONDS`
 * since the start. `#` begins a comment.
 *
 *   +0   L = socket                   a stream socket, known as L from here on
 *   +0   listen L 5                   a call and its arguments; `-> RESULT` says what it returns:
 *   +0   write C 3000 -> 3000         a number, the name of an error, or, of poll, of events
 *   +.1  < SA 0 ack 1 win 1000 mss 1460          a segment comes in
 *   +0   > A 1 ack 1                              a segment goes out, then or a tick later
 *   +.2  > nothing                               nothing has gone out since
 *   +0   info C snd_cwnd 10                      a field of TCP_INFO
 *   +0   sh sysctl -q net.ipv4.tcp_sack=0        a command
 *
 * A segment: flags (S F R P A U E W), sequence number `SEQ` or `SEQ+LEN`, then in any order
 * `ack N`, `win N`, `urg N`, `ce` (it met congestion; only of what comes in) and options: `mss N`,
 * `wscale N`, `sackok`, `ts VAL ECR`, `sack A-B...`, `fo [HEX]`, `nop`-padding is not shown.
 * Numbers of both directions count from the initial ones (the SYN has 0). Of what goes out, options
 * must be those that are named, win is compared if it is named; `ts * 5` takes any value; `ts 5
 * last` in what comes in echoes the last value seen. `@N` before the flags names the connection; 0
 * else.
 *
 * Files: script.c reads lines and makes calls, segment.c segments.
 */
#pragma once

#include "drill/drill.h"
#include "drill/face.h"

#define WORDS_MAX 64
#define CONNS_MAX 16
#define SACK_MAX  4

#define OUR_IP	  0xc0a80001u
#define PEER_IP	  0xc0000201u
#define OUR_PORT  8080
#define PEER_PORT 40000 /* and N of the connection */

struct segment {
	uint16_t from, to; /* ports */
	uint8_t flags, tos;
	uint32_t seq, ack, len;
	bool has_win, has_ts, sackok, any_tsval, has_fo;
	uint16_t win, urg, mss;
	int wscale; /* -1: none */
	uint32_t tsval, tsecr;
	unsigned n_sack;
	uint32_t sack[SACK_MAX][2];
	uint8_t fo[16];
	unsigned fo_len;
};

/* What is known of a connection. */
struct talk {
	bool known, has_ours;
	uint16_t us, peer;
	uint32_t our_isn, peer_isn, last_tsval;
};

struct transcript {
	const char *path;
	unsigned line;
	struct packetdrill_interface ifc;
	struct drill *d;
	struct talk talks[CONNS_MAX];
	struct named {
		char name[16];
		int fd;
	} names[32];
	unsigned n_names;
};

/* Ends the process with a sentence about the line. */
void fail(const struct transcript *t, const char *fmt, ...)
	__attribute__((format(printf, 2, 3), noreturn));

/* The words of a segment, flags first. */
void segment_read(const struct transcript *t, char **words, unsigned n, const struct talk *talk,
		  struct segment *s);
/* Wire form: an IP packet of at most room bytes; its size. Relative numbers become real ones. */
size_t segment_put(const struct segment *s, const struct talk *talk, uint8_t *buf, size_t room);
/* And back, with the numbers as they are; false: not TCP. */
bool segment_take(const uint8_t *buf, size_t len, struct segment *s);
/* Compares, ours being made relative; *text says what differs. */
bool segment_same(const struct segment *want, struct segment *got, const struct talk *talk,
		  char *text, size_t room);
void segment_print(const struct segment *s, char *text, size_t room);
