/*
 * file: opening the network's files, and writing to them.
 *
 * A file that is read is a memfd with its content, named "weft:<namespace>:<path>"; one that is
 * only written, an end of a pair that the daemon reads, named "weft/<instance>/f/<handle>"; one
 * that is opened for both, a memfd. So every process that comes by such a descriptor can tell what
 * it is.
 *
 * write(2) and its kind become WEFT_OP_WRITE and have the file's own errors. What the C library
 * writes from its streams passes us by; what became of it is asked for when the stream is flushed
 * or closed.
 *
 * file_writers is false until this process has, or may have inherited, a file that takes writes;
 * whoever defines write(2) asks it first.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "path.h"

extern bool file_writers;

/* Takes a write to fd. False: it is no file of the network; else *done is what write(2) returns. */
bool file_write(int fd, const struct iovec *iov, int n, ssize_t *done);
/* Opens what p is. A descriptor, or -1 with errno. */
int file_open(struct path *p, int flags, mode_t mode);
/* What a memfd of ours stands for; false: it is none. */
bool file_of_fd(int fd, struct path *p);
/* Of all memfds; 0 until this process has opened a file of the network. */
extern dev_t file_dev;
