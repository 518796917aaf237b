#include "file.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <stdlib.h>
#include <sys/stat.h>

bool file_writers;
dev_t file_dev;
static bool have_rdwr;

/* ---- open ---- */

static int open_real(struct path *p, int flags, mode_t mode)
{
	if (path_real(p, flags & O_PATH ? PATH_LOOK : PATH_LIST))
		return -1;
	int fd = REAL(openat)(AT_FDCWD, p->text, flags, mode);
	if (fd >= 0)
		path_inside = true;
	return fd;
}

/* Remembers what kinds of descriptors there are, so that others need not be looked at. */
static void note(int fd, int access)
{
	struct stat st;

	if (access != O_RDONLY)
		file_writers = true;
	if (access == O_RDWR)
		have_rdwr = true;
	if (access != O_WRONLY && !file_dev && !syscall(SYS_newfstatat, fd, "", &st, AT_EMPTY_PATH))
		file_dev = st.st_dev;
}

int file_open(struct path *p, int flags, mode_t mode)
{
	if (p->kind != PATH_NET || p->slash || flags & (O_DIRECTORY | O_PATH))
		return open_real(p, flags, mode);

	struct shim_req r = {.op = WEFT_OP_OPEN,
			     .arg = {(uint64_t)flags, mode, p->ino},
			     .data = p->text,
			     .len = strlen(p->text)};
	int err = shim_call(&r);
	if (err == -EISDIR)
		return open_real(p, flags, mode);
	if (err)
		return shim_ret(err);
	note(r.fd, flags & O_ACCMODE);
	if (!(flags & O_CLOEXEC))
		syscall(SYS_fcntl, r.fd, F_SETFD, 0);
	return r.fd;
}

static int open_at(int dirfd, const char *path, int flags, mode_t mode)
{
	struct path p;

	if (!path_ours(dirfd, path, !(flags & O_NOFOLLOW), &p))
		return REAL(openat)(dirfd, path, flags, mode);
	return file_open(&p, flags, mode);
}

static inline mode_t mode_of(int flags, va_list ap)
{
	return flags & O_CREAT || (flags & O_TMPFILE) == O_TMPFILE ? va_arg(ap, mode_t) : 0;
}

#define OPEN_AT(dirfd, path, flags)                                                                \
	do {                                                                                       \
		va_list ap;                                                                        \
		va_start(ap, flags);                                                               \
		mode_t mode = mode_of(flags, ap);                                                  \
		va_end(ap);                                                                        \
		return open_at(dirfd, path, flags, mode);                                          \
	} while (0)

SHIM_API int open(const char *path, int flags, ...)
{
	OPEN_AT(AT_FDCWD, path, flags);
}

SHIM_API int open64(const char *path, int flags, ...)
{
	OPEN_AT(AT_FDCWD, path, flags);
}

SHIM_API int openat(int dirfd, const char *path, int flags, ...)
{
	OPEN_AT(dirfd, path, flags);
}

SHIM_API int openat64(int dirfd, const char *path, int flags, ...)
{
	OPEN_AT(dirfd, path, flags);
}

SHIM_API int creat(const char *path, mode_t mode)
{
	return open_at(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode);
}

SHIM_API int creat64(const char *path, mode_t mode)
{
	return open_at(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode);
}

/* What fortified headers make of the calls above. */
int __open_2(const char *path, int flags);
int __open64_2(const char *path, int flags);
int __openat_2(int dirfd, const char *path, int flags);
int __openat64_2(int dirfd, const char *path, int flags);

SHIM_API int __open_2(const char *path, int flags)
{
	return open_at(AT_FDCWD, path, flags, 0);
}

SHIM_API int __open64_2(const char *path, int flags)
{
	return open_at(AT_FDCWD, path, flags, 0);
}

SHIM_API int __openat_2(int dirfd, const char *path, int flags)
{
	return open_at(dirfd, path, flags, 0);
}

SHIM_API int __openat64_2(int dirfd, const char *path, int flags)
{
	return open_at(dirfd, path, flags, 0);
}

/* ---- write ---- */

/* "/memfd:weft:<ino>:<path> (deleted)", as the kernel names the descriptor. */
bool file_of_fd(int fd, struct path *p)
{
	static const char head[] = "/memfd:weft:", tail[] = " (deleted)";
	char *end;

	if (!path_of_fd(fd, p->text) || strncmp(p->text, head, sizeof(head) - 1))
		return false;
	p->kind = PATH_NET;
	p->slash = false;
	p->ino = strtoull(p->text + sizeof(head) - 1, &end, 10);
	size_t len = strlen(end);
	if (*end != ':' || len < sizeof(tail) || strcmp(end + len - sizeof(tail) + 1, tail))
		return false;
	len -= sizeof(tail);
	memmove(p->text, end + 1, len);
	p->text[len] = 0;
	return true;
}

static bool handle_of_fd(int fd, uint64_t *handle)
{
	char room[SHIM_NAME_MAX];
	const char *name = shim_name(fd, room);

	if (!name || strncmp(name, "f/", 2))
		return false;
	*handle = strtoull(name + 2, NULL, 10);
	return true;
}

/* After a write to a file that is open for reading, too: its content, and the position. */
static void reload(int fd, struct path *p, ssize_t written)
{
	struct shim_req r = {.op = WEFT_OP_OPEN,
			     .arg = {O_RDONLY, 0, p->ino},
			     .data = p->text,
			     .len = strlen(p->text)};
	char buf[4096];
	off_t at = 0;
	ssize_t n;

	if (shim_call(&r))
		return;
	while ((n = syscall(SYS_read, r.fd, buf, sizeof(buf))) > 0) {
		syscall(SYS_pwrite64, fd, buf, n, at);
		at += n;
	}
	syscall(SYS_ftruncate, fd, at);
	syscall(SYS_lseek, fd, written, SEEK_CUR);
	syscall(SYS_close, r.fd);
}

static bool writer_write(int fd, const struct iovec *iov, int n, ssize_t *done)
{
	struct shim_req r = {.op = WEFT_OP_WRITE, .data = "", .len = 1, .iov = iov, .n_iov = n};
	struct path p = {0};

	if (n < 0 || n > CONN_IOV_MAX)
		return false;
	if (!handle_of_fd(fd, &r.sock)) {
		if (!have_rdwr || !file_of_fd(fd, &p))
			return false;
		r.arg[0] = p.ino;
		r.data = p.text;
		r.len = strlen(p.text) + 1;
	}
	int err = shim_call(&r);
	*done = err ? shim_ret(err) : (ssize_t)r.rep.arg0;
	if (!err && !r.sock)
		reload(fd, &p, *done);
	return true;
}

bool file_write(int fd, const struct iovec *iov, int n, ssize_t *done)
{
	int saved = errno;
	bool ours = writer_write(fd, iov, n, done);

	if (!ours || *done >= 0)
		errno = saved;
	return ours;
}

static ssize_t pwrite_at(int fd, const void *buf, size_t size, off_t at)
{
	const struct iovec iov = {(void *)buf, size};
	ssize_t done;

	if (unlikely(file_writers) && file_write(fd, &iov, 1, &done))
		return done;
	return REAL(pwrite)(fd, buf, size, at);
}

SHIM_API ssize_t pwrite(int fd, const void *buf, size_t size, off_t at)
{
	return pwrite_at(fd, buf, size, at);
}

SHIM_API ssize_t pwrite64(int fd, const void *buf, size_t size, off64_t at)
{
	return pwrite_at(fd, buf, size, at);
}

/* ---- streams ---- */

/* What became of what the stream has written: 0 or EOF with errno, as fflush(3). */
static int verdict(FILE *f)
{
	struct shim_req r = {.op = WEFT_OP_WRITE};
	int fd = fileno(f);

	if (fd < 0 || !handle_of_fd(fd, &r.sock))
		return 0;
	int err = shim_call(&r);
	if (err >= 0)
		return 0;
	f->_flags |= _IO_ERR_SEEN;
	errno = -err;
	return EOF;
}

static int flush(FILE *f)
{
	int saved = errno;

	if (REAL(fflush)(f))
		return EOF;
	int result = verdict(f);
	if (!result)
		errno = saved;
	return result;
}

SHIM_API int fflush(FILE *f)
{
	return unlikely(file_writers) && f ? flush(f) : REAL(fflush)(f);
}

SHIM_API int fclose(FILE *f)
{
	int err = 0;

	if (unlikely(file_writers) && __fwritable(f) && flush(f))
		err = errno;
	int result = REAL(fclose)(f);
	if (!err)
		return result;
	errno = err;
	return EOF;
}

static int flags_of(const char *mode)
{
	int flags = mode[0] == 'r' ? 0 : mode[0] == 'w' ? O_CREAT | O_TRUNC : O_CREAT | O_APPEND;
	bool both = false;

	for (const char *m = mode + 1; *m && *m != ','; m++) {
		both |= *m == '+';
		flags |= *m == 'e' ? O_CLOEXEC : *m == 'x' ? O_EXCL : 0;
	}
	return flags | (both ? O_RDWR : mode[0] == 'r' ? O_RDONLY : O_WRONLY);
}

static ssize_t cookie_read(void *cookie, char *buf, size_t size)
{
	return syscall(SYS_read, (int)(intptr_t)cookie, buf, size);
}

static ssize_t cookie_write(void *cookie, const char *buf, size_t size)
{
	struct iovec iov = {(void *)buf, size};
	ssize_t n;

	return file_write((int)(intptr_t)cookie, &iov, 1, &n) && n > 0 ? n : 0;
}

static int cookie_seek(void *cookie, off64_t *at, int whence)
{
	off_t now = syscall(SYS_lseek, (int)(intptr_t)cookie, *at, whence);

	if (now < 0)
		return -1;
	*at = now;
	return 0;
}

static int cookie_close(void *cookie)
{
	return (int)syscall(SYS_close, (int)(intptr_t)cookie);
}

/* A stream of a file of the network. */
static FILE *stream(struct path *p, const char *mode)
{
	static const cookie_io_functions_t both = {cookie_read, cookie_write, cookie_seek,
						   cookie_close};
	int flags = flags_of(mode);
	int fd = file_open(p, flags, 0666);
	FILE *f;

	if (fd < 0)
		return NULL;
	/* what it writes must come through our hands; a pair takes it as it comes */
	if ((flags & O_ACCMODE) == O_RDWR)
		f = fopencookie((void *)(intptr_t)fd, mode, both);
	else
		f = fdopen(fd, flags & O_WRONLY ? "w" : "r");
	if (!f) {
		int err = errno;
		syscall(SYS_close, fd);
		errno = err;
	}
	return f;
}

static bool is_mode(const char *mode)
{
	return mode && (*mode == 'r' || *mode == 'w' || *mode == 'a');
}

static FILE *open_stream(const char *path, const char *mode,
			 FILE *(*real)(const char *, const char *))
{
	struct path p;

	if (!path_ours(AT_FDCWD, path, true, &p) || !is_mode(mode))
		return real(path, mode);
	if (p.kind != PATH_NET)
		return real(p.text, mode);
	return stream(&p, mode);
}

SHIM_API FILE *fopen(const char *path, const char *mode)
{
	return open_stream(path, mode, REAL(fopen));
}

SHIM_API FILE *fopen64(const char *path, const char *mode)
{
	return open_stream(path, mode, REAL(fopen64));
}

/* The stream's descriptor is replaced behind its back. */
static FILE *reopen(struct path *p, const char *mode, FILE *f)
{
	int fd = file_open(p, flags_of(mode), 0666), err;

	if (fd < 0) {
		err = errno;
		REAL(fclose)(f);
		errno = err;
		return NULL;
	}
	f = REAL(freopen)("/dev/null", mode, f);
	if (f)
		syscall(SYS_dup3, fd, fileno(f), flags_of(mode) & O_CLOEXEC);
	syscall(SYS_close, fd);
	return f;
}

static FILE *reopen_stream(const char *path, const char *mode, FILE *f,
			   FILE *(*real)(const char *, const char *, FILE *))
{
	struct path p;

	if (!path_ours(AT_FDCWD, path, true, &p) || !is_mode(mode))
		return real(path, mode, f);
	if (p.kind != PATH_NET)
		return real(p.text, mode, f);
	return reopen(&p, mode, f);
}

SHIM_API FILE *freopen(const char *path, const char *mode, FILE *f)
{
	return reopen_stream(path, mode, f, REAL(freopen));
}

SHIM_API FILE *freopen64(const char *path, const char *mode, FILE *f)
{
	return reopen_stream(path, mode, f, REAL(freopen64));
}

/* ---- start ---- */

/* A shell may have opened our output. */
static __attribute__((constructor(103))) void file_start(void)
{
	uint64_t handle;

	if (!shim_on())
		return;
	file_writers = handle_of_fd(STDOUT_FILENO, &handle);
	path_look_around();
}
