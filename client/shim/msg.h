/*
 * msg: datagrams between a program's calls and the records of its descriptor (abi/dgram.h).
 *
 * Receiving reads a record from the descriptor itself, so that waiting, peeking and lengths are the
 * kernel's: the header goes to us, the rest straight into the program's memory. Records without
 * payload are marks. They make the descriptor readable in their turn among the data and are never
 * shown as data:
 *
 *   WEFT_DGRAM_ERROR  so_error is set; the daemon has it, and whoever asks first (a receive, a
 * send, SO_ERROR) takes it. A mark whose error has been taken means nothing. WEFT_DGRAM_ERRQ   the
 * error queue has another; the queue is the daemon's, WEFT_OP_ERRQ takes from it wherever the mark
 * is WEFT_DGRAM_WAKE   a packet ring has frames
 *
 * Sending is a request: its errors are the call's.
 */
#pragma once

#include <sys/socket.h>
#include <sys/time.h>

#include "shim.h"

/* ---- recv.c ---- */

/* As recvmsg(2) of a socket of weft, without the errno: bytes or -errno. */
ssize_t msg_recv(int fd, const struct shim_sock *s, struct msghdr *m, int flags);
/* Removes the marks of errors from the head of the descriptor. True if any was there and errors
 * wait still; they have a new mark then, behind all data. */
bool msg_tidy(int fd, const struct shim_sock *s);
/* The kind of the record at the head (enum weft_dgram_kind), or -1: none. *len: its bytes. */
int msg_head(int fd, ssize_t *len);
/* Removes a mark from the head. */
void msg_drop_mark(int fd);

/* so_error, taken: 0 or -errno; -ENETDOWN: the daemon is gone. */
int msg_take_error(const struct shim_sock *s);
/* ping and its like print the error of a daemon that is gone and try again at once: not thousands
 * of times a second. */
void msg_pause(void);

/* ---- send.c ---- */

/* As sendmsg(2): bytes or -errno. */
ssize_t msg_send(int fd, const struct shim_sock *s, const struct msghdr *m, int flags);

/* ---- cmsg.c ---- */

/* Writes the control messages that d asks for into m, as the kernel does: msg_controllen becomes
 * what is used, msg_flags may get MSG_CTRUNC. */
void msg_put_control(struct msghdr *m, const struct shim_sock *s, const struct weft_dgram *d);
/* Reads what the program says by control messages. 0 or -EINVAL. */
int msg_get_control(const struct msghdr *m, const struct shim_sock *s, struct weft_dgram *d);
