/*
 * shim: what the files of the preloaded library share.
 *
 * libweft-shim.so stands in front of the C library in an unmodified program. It defines the
 * functions by which programs reach the network; what is for weft becomes a request to the daemon
 * (abi/shim.h), everything else goes on to the C library through REAL().
 *
 *   real.c    the next definition of a function
 *   conn.c    the connection of a thread, and what becomes of it in children
 *   netns.c   the namespace of a thread, and the tokens that keep namespaces
 *   id.c      which descriptors are weft's sockets
 *   kind.c    what is remembered of descriptors; dup, fcntl
 *   raw.c     system calls by number; seccomp
 *   fd.c      close and the like must not take our own descriptors away
 *   socket.c  socket, bind, connect, names, shutdown; stream.c those and the rest of streams
 *   opt.c     getsockopt, setsockopt
 *   send.c    send, write and theirs
 *   recv.c    recv, read and theirs; cmsg.c the control messages
 *   poll.c    poll, select: records that are not data are not shown as such
 *   ioctl.c   ioctl and its flattening
 *   ring.c    mmap of packet rings
 *   ifname.c  if_nametoindex, getifaddrs and theirs, which the C library would do by itself
 *   names.c   getaddrinfo and theirs: over weft
 *   the rest  files, namespaces, exec
 *
 * Rules for all of it:
 * - A wrapper first decides whether the call is for weft, as cheaply as it can, and otherwise
 * passes it on untouched, errno included. shim_on() is false in a program that does not run on
 * weft.
 * - The program may be anywhere: in a signal handler, in a child of fork or vfork, before main. So
 *   no allocation, no stdio and no lock in what such callers use. Tables that say who has which
 *   descriptor may lie at any time: ask the kernel (shim_sock, shim_name).
 * - Our own system calls are made by number (syscall), since the functions of those names are ours.
 * - A child of vfork runs in its parent's memory with its own descriptors. It must leave no trace:
 *   shim_call makes and closes a connection of its own for each of its requests.
 * - Blocking is done on the sockets' own descriptors, through REAL(), with nothing held: there a
 *   thread may be cancelled or a handler may jump away.
 */
#pragma once

#include <signal.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

#include "abi/dgram.h"
#include "client/conn.h"

/* ---- real.c ---- */

struct shim_real {
	void *fn; /* once it has been looked up */
	const char *name;
};

/* Looks it up; one that the C library does not have gives a function that fails with ENOSYS. */
void *shim_real(struct shim_real *r);

/* The C library's definition of a function that we define. All that are named anywhere are looked
 * up when the library is loaded; those called before that, at their first call. */
#define REAL(f)                                                                                    \
	({                                                                                         \
		static struct shim_real __attribute__((section("shim_reals"), used))               \
		real_##f = {NULL, #f};                                                             \
		void *fn_ = __atomic_load_n(&real_##f.fn, __ATOMIC_RELAXED);                       \
		(__typeof__(&f))(likely(fn_ != NULL) ? fn_ : shim_real(&real_##f));                \
	})

/* Marks the functions that stand in front of the C library's. */
#define SHIM_API __attribute__((visibility("default")))

/* ---- conn.c ---- */

/* Does the program run on weft? */
bool shim_on(void);
/* The instance's run directory. */
const char *shim_dir(void);
/* The instance's number in the names of its sockets; 0 when the daemon cannot be reached. */
uint64_t shim_instance(void);
void shim_instance_is(uint64_t id);
/* Makes a request for the calling thread, in its namespace: 0 or -errno; -ENETDOWN when the daemon
 * is gone. r->fd is the caller's, close-on-exec. Signals are blocked meanwhile. errno may change.
 */
int shim_call(struct shim_req *r);
/* False in a child of vfork, which runs in its parent's memory. In a child of fork, the first call
 * puts our own state in order. */
bool shim_memory_ours(void);
/* Moves a descriptor out of the way of programs that count on low numbers; close-on-exec. */
int shim_fd_high(int fd);
/* The inode of a descriptor that is a socket, or 0. */
uint64_t shim_fd_inode(int fd);

/* Blocks all signals / puts them back as they were. */
static inline void shim_block(uint64_t *old)
{
	const uint64_t all = ~0ULL;

	syscall(SYS_rt_sigprocmask, SIG_BLOCK, &all, old, sizeof(all));
}

static inline void shim_unblock(const uint64_t *old)
{
	syscall(SYS_rt_sigprocmask, SIG_SETMASK, old, (void *)0, sizeof(*old));
}

/* The result of a system call from 0 or -errno. */
static inline int shim_ret(int err)
{
	if (err >= 0)
		return err;
	errno = -err;
	return -1;
}

/* ---- netns.c ---- */

enum {
	SHIM_NETNS_ENV = 64 /* holds "WEFT_NETNS=<ino>:<token fd>" */
};

/* The calling thread's namespace; 0: the instance's first. New threads and children begin in that
 * of their maker. */
uint64_t shim_netns(void);
/* The calling thread has moved to ino (setns, unshare). Takes over the token, a descriptor. */
void shim_netns_set(uint64_t ino, int token_fd);
/* For exec: writes the environment variable that the new program is to have, and sees to it that
 * its token, and no other, stays open. */
void shim_netns_env(char to[SHIM_NETNS_ENV]);
/* The token of the calling thread's namespace, or -1. */
int shim_token(void);
/* Is it a token of this process? */
bool shim_is_token(int fd);
/* The next token at or above fd, or -1. */
int shim_next_token(int fd);
/* A token must leave its number, because the program wants it for another descriptor. */
void shim_move_token(int fd);
/* conn.c: at the start; in a child of fork; at a thread's end. */
void shim_netns_start(const char *env);
void shim_netns_forked(void);
void shim_netns_thread_end(void);
/* conn.c: calls shim_thread_end when the calling thread ends. */
void shim_thread_watch(void);

/* ---- id.c ---- */

enum { SHIM_NAME_MAX = 108 };

/* A socket of weft, as its name tells. */
struct shim_sock {
	uint64_t id;
	int family, type, protocol;
};

/* Is this descriptor one, of our instance? errno is kept. */
bool shim_sock(int fd, struct shim_sock *s);
/* Has shim_sock ever said yes, or socket made one? */
bool shim_has_socks(void);
void shim_sock_seen(void);
/* What the daemon named any descriptor of our instance: the text behind "weft/<instance>/", in
 * room; or NULL. errno is kept. */
const char *shim_name(int fd, char room[SHIM_NAME_MAX]);
/* The same of any instance, whose number is *id. errno may change. */
const char *shim_name_of(int fd, char room[SHIM_NAME_MAX], uint64_t *id);

/* ---- kind.c ---- */

enum { SHIM_KINDS = 65536 };

/* What a descriptor was found to be. */
enum shim_kind {
	SHIM_ASK,    /* not known */
	SHIM_PLAIN,  /* no socket of weft */
	SHIM_STREAM, /* a stream of weft */
	SHIM_UP,     /* one that is, or was, connected */
	SHIM_LISTEN, /* one that listens */
};

extern uint8_t shim_kinds[SHIM_KINDS] __attribute__((visibility("hidden")));

static inline enum shim_kind shim_kind(int fd)
{
	return (unsigned)fd < SHIM_KINDS
		       ? (enum shim_kind)__atomic_load_n(&shim_kinds[fd], __ATOMIC_RELAXED)
		       : SHIM_ASK;
}

void shim_kind_set(int fd, enum shim_kind kind);
/* As shim_sock, and remembers. Never for decisions that a mistake would spoil. */
bool shim_find(int fd, struct shim_sock *s);
/* Descriptors may have come with m. */
struct msghdr;
void shim_kinds_passed(const struct msghdr *m);

/* ---- raw.c ---- */

/* The program has confined itself: no call but its own. */
extern bool shim_confined __attribute__((visibility("hidden")));
