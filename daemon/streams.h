/*
 * streams: what the files about stream sockets share; the essay is in streams.c.
 */
#pragma once

#include "daemon.h"

enum { HANDED_MAX = 64 /* connections that no program has taken from a listener's pair */ };

/* As struct socket has it in Linux: what connect(2) is told. */
enum connect_state { SS_UNCONNECTED, SS_CONNECTING, SS_CONNECTED };

struct stream {
	uint8_t state;	/* enum connect_state */
	uint8_t junk;	/* bytes to be removed that made the program's end not writable */
	bool undecided; /* a connect is under way */
	bool failed;	/* it came to nothing */
	bool used;	/* the pair has carried a connection */
	bool in_wait;	/* for room in the socket */
	bool out_wait;	/* for room in the pair */
	bool in_done;	/* the program writes no more, and all is taken */
	bool shut_in, shut_out;
	bool unread; /* the program closed without having read all */
	bool gone;   /* it closed; what it wrote is being sent. Our end is no longer watched */
	uint32_t watched;
	unsigned segs;		   /* that the next read will need, by the last */
	struct listener *listener; /* NULL: it does not listen */
};

struct listener {
	struct end *end;
	int unit;	    /* what a record costs in the pair; 0: none was sent yet */
	struct sock *child; /* accepted, not handed over yet: its end is */
	int child_fd;	    /* or -1: it could not be made */
	struct cds_list_head stalled;
	uint64_t handed[HANDED_MAX]; /* ids, the last at [n_handed - 1] */
	unsigned n_handed;	     /* ever */
};

/* ---- streams.c ---- */

/* What the pair is to be watched for has changed. */
void stream_watch(struct end *e);
/* Shuts our end of the pair down: SHUT_RD, the program writes no more; SHUT_WR, it reads the end.
 */
void stream_shut(struct end *e, int how);

/* Makes way for another connection, or listening anew, behind one that is over. */
int stream_renew(struct end *e, int *fd);

/* ---- listener.c ---- */

/* Hands over what waits. */
void listener_flush(struct end *e);
void listener_free(struct end *e);
