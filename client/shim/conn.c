/*
 * conn: the connection of a thread.
 *
 * It is made at the thread's first request and kept. Whose memory we run in is told by a page that
 * the kernel wipes in children of fork (MADV_WIPEONFORK) and that holds the process's number:
 *
 *   our number       our memory
 *   0                a child of fork, at its first request: what it inherited is put in order
 *   another number   a child of vfork, in its parent's memory: its requests are made on connections
 *                    that last for one request
 *
 * A program may close our descriptor, as those do that close all they do not know, and get its
 * number again for something else. So its inode is compared before each use.
 */
#include "shim.h"

#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define FD_HIGH 512
#define N_SLOTS 256

enum state { UNKNOWN, OFF, ON };

struct conn {
	int fd;	   /* of pid alone, if the inode is still this */
	pid_t pid; /* 0: none */
	uint64_t inode, ino;
};

/* Connections of all threads, for a child to close. Those that find no slot stay open in children
 * until they exec. */
struct slot {
	uint64_t inode; /* 0: free */
	int fd;
};

static __thread struct conn conn __attribute__((tls_model("initial-exec")));
static struct slot slots[N_SLOTS];
static pid_t *owner, owner_unwiped;
static pthread_key_t key;
static bool have_key;
static int state; /* enum state */
static uint64_t instance;
static char dir[PATH_MAX];

/* ---- descriptors ---- */

uint64_t shim_fd_inode(int fd)
{
	struct stat st;

	if (syscall(SYS_newfstatat, fd, "", &st, AT_EMPTY_PATH) || !S_ISSOCK(st.st_mode))
		return 0;
	return st.st_ino;
}

int shim_fd_high(int fd)
{
	for (int min = FD_HIGH; min >= 32; min /= 2) {
		int high = (int)syscall(SYS_fcntl, fd, F_DUPFD_CLOEXEC, min);
		if (high < 0)
			continue;
		syscall(SYS_close, fd);
		return high;
	}
	return fd;
}

static void slot_take(const struct conn *c)
{
	for (struct slot *s = slots; s < slots + N_SLOTS; s++) {
		uint64_t none = 0;
		if (__atomic_compare_exchange_n(&s->inode, &none, c->inode, false, __ATOMIC_RELAXED,
						__ATOMIC_RELAXED)) {
			s->fd = c->fd;
			return;
		}
	}
}

static void slot_give(const struct conn *c)
{
	for (struct slot *s = slots; s < slots + N_SLOTS; s++)
		if (__atomic_load_n(&s->inode, __ATOMIC_RELAXED) == c->inode)
			__atomic_store_n(&s->inode, 0, __ATOMIC_RELAXED);
}

/* ---- start, fork, end ---- */

static void forked(void)
{
	for (struct slot *s = slots; s < slots + N_SLOTS; s++) {
		if (s->inode && shim_fd_inode(s->fd) == s->inode)
			syscall(SYS_close, s->fd);
		s->inode = 0;
	}
	conn.pid = 0;
	shim_netns_forked();
}

bool shim_memory_ours(void)
{
	pid_t pid = getpid(), none = 0;

	if (likely(__atomic_load_n(owner, __ATOMIC_ACQUIRE) == pid))
		return true;
	if (!__atomic_compare_exchange_n(owner, &none, pid, false, __ATOMIC_ACQ_REL,
					 __ATOMIC_ACQUIRE))
		return none == pid;
	forked();
	return true;
}

static void conn_drop(struct conn *c)
{
	slot_give(c);
	if (shim_fd_inode(c->fd) == c->inode)
		syscall(SYS_close, c->fd);
	c->pid = 0;
}

static void thread_end(void *arg)
{
	if (!shim_memory_ours())
		return;
	if (conn.pid == getpid())
		conn_drop(&conn);
	shim_netns_thread_end();
}

void shim_thread_watch(void)
{
	if (have_key)
		pthread_setspecific(key, &conn);
}

static void set_owner(void)
{
	void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	owner = &owner_unwiped;
	if (page != MAP_FAILED && !madvise(page, 4096, MADV_WIPEONFORK))
		owner = page;
	*owner = getpid();
}

/* Before any thread of the program, from a constructor: ours, or another library's that makes calls
 * earlier. */
static bool start(void)
{
	const char *env = getenv(WEFT_ENV_DIR);
	bool on = env && *env == '/' && strlen(env) < sizeof(dir);

	if (!on) {
		__atomic_store_n(&state, OFF, __ATOMIC_RELEASE);
		return false;
	}
	strcpy(dir, env);
	set_owner();
	have_key = !pthread_key_create(&key, thread_end);
	__atomic_store_n(&state, ON, __ATOMIC_RELEASE);
	shim_netns_start(getenv(WEFT_ENV_NETNS));
	return true;
}

bool shim_on(void)
{
	int s = __atomic_load_n(&state, __ATOMIC_ACQUIRE);

	if (likely(s != UNKNOWN))
		return s == ON;
	int saved = errno;
	bool on = start();
	errno = saved;
	return on;
}

static __attribute__((constructor(102))) void start_early(void)
{
	shim_on();
}

const char *shim_dir(void)
{
	return dir;
}

/* ---- requests ---- */

void shim_instance_is(uint64_t id)
{
	__atomic_store_n(&instance, id, __ATOMIC_RELAXED);
}

static int say_hello(int fd, uint64_t ino)
{
	struct shim_req r;
	int err = conn_hello(fd, ino, &r);

	if (!err)
		shim_instance_is(r.rep.arg1);
	return r.gone ? -ENETDOWN : err;
}

/* A connection that has said HELLO, or -errno. */
static int open_in(uint64_t ino)
{
	int fd = conn_open(dir), token;

	if (fd == -EACCES && (token = shim_token()) >= 0)
		fd = conn_open_by(token);
	if (fd == -EMFILE || fd == -ENFILE || fd == -ENOMEM)
		return fd;
	if (fd < 0)
		return -ENETDOWN;
	int err = say_hello(fd, ino);
	if (err) {
		syscall(SYS_close, fd);
		return err;
	}
	return fd;
}

static int conn_make(struct conn *c)
{
	uint64_t ino = shim_netns();
	int fd = open_in(ino);

	if (fd < 0)
		return fd;
	c->fd = shim_fd_high(fd);
	c->inode = shim_fd_inode(c->fd);
	c->ino = ino;
	c->pid = getpid();
	slot_take(c);
	shim_thread_watch();
	return 0;
}

/* Sees to it that the thread has a connection, in the namespace the thread is in. */
static int conn_ready(struct conn *c)
{
	uint64_t ino = shim_netns();

	if (c->pid && (c->pid != getpid() || shim_fd_inode(c->fd) != c->inode)) {
		slot_give(c);
		c->pid = 0;
	}
	if (!c->pid)
		return conn_make(c);
	if (c->ino == ino)
		return 0;
	int err = say_hello(c->fd, ino);
	if (err == -ENETDOWN)
		conn_drop(c);
	if (!err)
		c->ino = ino;
	return err;
}

static int call_once(struct shim_req *r)
{
	int fd = open_in(shim_netns());

	if (fd < 0)
		return fd;
	int err = conn_call(fd, r);
	syscall(SYS_close, fd);
	return r->gone ? -ENETDOWN : err;
}

static int call_kept(struct shim_req *r)
{
	int err = conn_ready(&conn);

	if (err)
		return err;
	err = conn_call(conn.fd, r);
	if (r->gone) {
		conn_drop(&conn);
		return -ENETDOWN;
	}
	/* these move the connection, and the thread is about to say that it has moved, too */
	if (!err && (r->op == WEFT_OP_NS_NEW || r->op == WEFT_OP_NS_SET))
		conn.ino = r->rep.arg0;
	return err;
}

int shim_call(struct shim_req *r)
{
	uint64_t old;

	r->fd = -1;
	r->gone = false;
	shim_block(&old);
	int err = shim_memory_ours() ? call_kept(r) : call_once(r);
	shim_unblock(&old);
	return err;
}

uint64_t shim_instance(void)
{
	uint64_t id = __atomic_load_n(&instance, __ATOMIC_RELAXED);

	if (likely(id))
		return id;
	/* any request learns it */
	struct shim_req r = {.op = WEFT_OP_NS_FILE};
	shim_call(&r);
	return __atomic_load_n(&instance, __ATOMIC_RELAXED);
}
