/*
 * netns: the namespace of a thread, and the tokens that keep namespaces.
 *
 * As in Linux, unshare and setns move the calling thread; threads and children begin where their
 * maker is. The process has a default, in which threads are that never moved, or whose maker we did
 * not see. Each namespace that threads are in is a struct space with its token; its references are
 * the threads that moved there, and the default's.
 *
 * A child of vfork that moves says so in a place of its own: the rest is its parent's.
 */
#include "shim.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/single_threaded.h>

struct space {
	struct space *next;
	uint64_t ino;
	uint64_t inode; /* of the token */
	int token;	/* -1: none */
	unsigned refs;
};

static struct space first = {.token = -1, .refs = 1};
static struct space *spaces = &first, *fallback = &first;
static int lowest_token = INT32_MAX; /* what is below is none */
static int lock_word;
static __thread struct space *mine __attribute__((tls_model("initial-exec")));

/* Where a child of vfork went that runs on this thread. */
static __thread struct {
	pid_t pid;
	uint64_t ino;
	int token;
} vforked __attribute__((tls_model("initial-exec")));

/* ---- the table ---- */

static void lock(uint64_t *signals)
{
	shim_memory_ours();
	shim_block(signals);
	while (__atomic_exchange_n(&lock_word, 1, __ATOMIC_ACQUIRE))
		syscall(SYS_sched_yield);
}

static void unlock(const uint64_t *signals)
{
	__atomic_store_n(&lock_word, 0, __ATOMIC_RELEASE);
	shim_unblock(signals);
}

static bool token_open(const struct space *s)
{
	return s->token >= 0 && shim_fd_inode(s->token) == s->inode;
}

static void set_token(struct space *s, int fd, bool across_exec)
{
	s->token = shim_fd_high(fd);
	s->inode = shim_fd_inode(s->token);
	syscall(SYS_fcntl, s->token, F_SETFD, across_exec ? 0 : FD_CLOEXEC);
	if (s->token < lowest_token)
		__atomic_store_n(&lowest_token, s->token, __ATOMIC_RELAXED);
}

static struct space *find(uint64_t ino)
{
	for (struct space *s = spaces; s; s = s->next)
		if (s->ino == ino)
			return s;
	return NULL;
}

static void put(struct space *s)
{
	if (--s->refs)
		return;
	if (token_open(s))
		syscall(SYS_close, s->token);
	for (struct space **p = &spaces; *p; p = &(*p)->next) {
		if (*p == s) {
			*p = s->next;
			break;
		}
	}
	if (s != &first)
		free(s);
}

/* The space of ino with one more reference. Takes over the token. */
static struct space *get(uint64_t ino, int token)
{
	struct space *s = find(ino);

	if (s && token_open(s)) {
		syscall(SYS_close, token);
	} else {
		if (!s) {
			s = calloc(1, sizeof(*s));
			if (!s)
				return NULL;
			s->ino = ino;
			s->next = spaces;
			spaces = s;
		}
		set_token(s, token, false);
	}
	s->refs++;
	return s;
}

/* ---- the calling thread ---- */

static struct space *here(void)
{
	return mine ? mine : fallback;
}

static bool is_vforked(void)
{
	if (likely(!vforked.pid))
		return false;
	if (vforked.pid == getpid())
		return true;
	/* it is gone, and we are its parent */
	if (shim_memory_ours())
		vforked.pid = 0;
	return false;
}

uint64_t shim_netns(void)
{
	return is_vforked() ? vforked.ino : here()->ino;
}

static void move_to(struct space *s)
{
	struct space *old = mine;

	mine = s;
	if (old)
		put(old);
	/* nobody else is in what we left */
	if (__libc_single_threaded) {
		old = fallback;
		fallback = s;
		s->refs++;
		put(old);
	}
}

void shim_netns_set(uint64_t ino, int token_fd)
{
	uint64_t signals;

	if (!shim_memory_ours()) {
		vforked.pid = getpid();
		vforked.ino = ino;
		vforked.token = shim_fd_high(token_fd);
		return;
	}
	lock(&signals);
	struct space *s = get(ino, token_fd);
	if (s)
		move_to(s);
	unlock(&signals);
	shim_thread_watch();
}

void shim_netns_thread_end(void)
{
	uint64_t signals;

	if (!mine)
		return;
	lock(&signals);
	put(mine);
	mine = NULL;
	unlock(&signals);
}

void shim_netns_forked(void)
{
	/* only the calling thread is left; whoever held the lock is not */
	lock_word = 0;
}

/* ---- tokens ---- */

int shim_token(void)
{
	return is_vforked() ? vforked.token : here()->token;
}

void shim_netns_env(char to[SHIM_NETNS_ENV])
{
	bool moved = is_vforked();
	uint64_t signals;

	lock(&signals);
	struct space *own = here();
	uint64_t ino = moved ? vforked.ino : own->ino;
	int token = moved ? vforked.token : own->token;

	for (struct space *s = spaces; s; s = s->next)
		if (token_open(s))
			syscall(SYS_fcntl, s->token, F_SETFD, FD_CLOEXEC);
	if (moved || token_open(own))
		syscall(SYS_fcntl, token, F_SETFD, 0);
	unlock(&signals);
	snprintf(to, SHIM_NETNS_ENV, "%s=%llu:%d", WEFT_ENV_NETNS, (unsigned long long)ino, token);
}

int shim_next_token(int fd)
{
	int best = -1;
	uint64_t signals;

	lock(&signals);
	for (struct space *s = spaces; s; s = s->next)
		if (s->token >= fd && (best < 0 || s->token < best) && token_open(s))
			best = s->token;
	unlock(&signals);
	if (is_vforked() && vforked.token >= fd && (best < 0 || vforked.token < best))
		best = vforked.token;
	return best;
}

bool shim_is_token(int fd)
{
	if (likely(fd < __atomic_load_n(&lowest_token, __ATOMIC_RELAXED)) && likely(!vforked.pid))
		return false;
	return shim_on() && shim_next_token(fd) == fd;
}

void shim_move_token(int fd)
{
	uint64_t signals;

	if (!shim_memory_ours()) {
		/* the table is the parent's: the program to be gets another token */
		if (is_vforked() && vforked.token == fd)
			vforked.token = (int)syscall(SYS_fcntl, fd, F_DUPFD_CLOEXEC, fd + 1);
		return;
	}
	lock(&signals);
	for (struct space *s = spaces; s; s = s->next) {
		if (s->token != fd)
			continue;
		int flags = (int)syscall(SYS_fcntl, fd, F_GETFD);
		int other = (int)syscall(SYS_fcntl, fd, F_DUPFD_CLOEXEC, fd + 1);
		if (other < 0)
			other = (int)syscall(SYS_fcntl, fd, F_DUPFD_CLOEXEC, 0);
		s->token = other;
		if (other >= 0)
			syscall(SYS_fcntl, other, F_SETFD, flags);
		if (other >= 0 && other < lowest_token)
			__atomic_store_n(&lowest_token, other, __ATOMIC_RELAXED);
	}
	unlock(&signals);
}

/* ---- start ---- */

/* A token that was closed on the way here (posix_spawn's closefrom, a raw system call). */
static void ask_token(void)
{
	struct shim_req r = {.op = WEFT_OP_NS_SET, .arg = {first.ino}};

	if (shim_call(&r))
		return;
	first.ino = r.rep.arg0;
	if (r.fd >= 0)
		set_token(&first, r.fd, true);
}

/* Is fd the token of the namespace the environment names? Then it tells the instance, too, and the
 * program needs no connection until it uses the network. */
static bool is_token_of(int fd, uint64_t ino)
{
	char room[SHIM_NAME_MAX], *end;
	uint64_t id;
	const char *name = shim_name_of(fd, room, &id);

	if (!name || strncmp(name, "ns/", 3) || strtoull(name + 3, &end, 10) != ino || *end != '/')
		return false;
	shim_instance_is(id);
	return true;
}

void shim_netns_start(const char *env)
{
	char *end = NULL;

	if (env)
		first.ino = strtoull(env, &end, 10);
	if (end && *end == ':') {
		int fd = (int)strtol(end + 1, &end, 10);
		if (is_token_of(fd, first.ino)) {
			first.token = fd;
			first.inode = shim_fd_inode(fd);
			lowest_token = fd;
			return;
		}
	}
	ask_token();
}

/* ---- threads ---- */

struct birth {
	void *(*fn)(void *);
	void *arg;
	struct space *space;
};

static void *born(void *p)
{
	struct birth b = *(struct birth *)p;

	free(p);
	mine = b.space;
	shim_thread_watch();
	return b.fn(b.arg);
}

static struct space *here_get(void)
{
	uint64_t signals;

	lock(&signals);
	struct space *s = here();
	s->refs++;
	unlock(&signals);
	return s;
}

SHIM_API int pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*fn)(void *),
			    void *arg)
{
	struct birth *b;
	uint64_t signals;

	if (!shim_on() || !shim_memory_ours() || here() == fallback)
		return REAL(pthread_create)(thread, attr, fn, arg);
	b = malloc(sizeof(*b));
	if (!b)
		return EAGAIN;
	*b = (struct birth){fn, arg, here_get()};
	struct space *space = b->space;
	int err = REAL(pthread_create)(thread, attr, born, b);
	if (err) {
		free(b);
		lock(&signals);
		put(space);
		unlock(&signals);
	}
	return err;
}
