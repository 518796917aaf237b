/*
 * exec: a new program stays on weft, whatever environment it is given.
 *
 * A file with capabilities is started through its loader (client/secure.h).
 *
 * The variables it needs are put into the environment at the last moment: the library itself, the
 * run directory, the namespace of the calling thread with its token. An environment that names a
 * run directory of its own is meant for another instance and is left alone.
 *
 * Runs in children of vfork: memory comes from the stack, or, for very long lists, from the kernel.
 */
#include <alloca.h>
#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "client/secure.h"
#include "shim.h"

#define PRELOAD	  "LD_PRELOAD="
#define DIR_VAR	  WEFT_ENV_DIR "="
#define NETNS_VAR WEFT_ENV_NETNS "="
#define LIBRARY	  "libweft-shim.so"

enum { ON_STACK_MAX = 4096, PRELOAD_MAX = 2 * PATH_MAX };

struct env {
	char netns[SHIM_NETNS_ENV];
	char dir[sizeof(DIR_VAR) + PATH_MAX];
	char preload[sizeof(PRELOAD) + PRELOAD_MAX];
};

static char library[PATH_MAX]; /* our own path */

static __attribute__((constructor(103))) void exec_start(void)
{
	Dl_info info;

	if (dladdr(library, &info) && info.dli_fname && info.dli_fname[0] == '/' &&
	    strlen(info.dli_fname) < sizeof(library))
		strcpy(library, info.dli_fname);
}

static bool is_var(const char *text, const char *var)
{
	return !strncmp(text, var, strlen(var));
}

static bool has_library(const char *preload)
{
	return strstr(preload, LIBRARY);
}

/* For another instance, or for none. */
static bool is_foreign(char *const envp[])
{
	for (; *envp; envp++)
		if (is_var(*envp, DIR_VAR))
			return strcmp(*envp + strlen(DIR_VAR), shim_dir()) != 0;
	return false;
}

static void preload_with(struct env *e, const char *others)
{
	int n = snprintf(e->preload, sizeof(e->preload), PRELOAD "%s%s%s", library,
			 *others ? ":" : "", others);

	if (n >= (int)sizeof(e->preload))
		snprintf(e->preload, sizeof(e->preload), PRELOAD "%s", library);
}

/* Writes envp with our variables to `to`, which has room for three more and the NULL. */
static char **fill(struct env *e, char *const envp[], char **to)
{
	char **at = to, *preload = NULL;

	for (; envp && *envp; envp++) {
		if (is_var(*envp, PRELOAD))
			preload = *envp;
		else if (!is_var(*envp, DIR_VAR) && !is_var(*envp, NETNS_VAR))
			*at++ = *envp;
	}
	if (!preload || !has_library(preload)) {
		preload_with(e, preload ? preload + strlen(PRELOAD) : "");
		preload = e->preload;
	}
	snprintf(e->dir, sizeof(e->dir), DIR_VAR "%s", shim_dir());
	shim_netns_env(e->netns);
	*at++ = preload;
	*at++ = e->dir;
	*at++ = e->netns;
	*at = NULL;
	return to;
}

static size_t count(char *const list[])
{
	size_t n = 0;

	while (list && list[n])
		n++;
	return n;
}

static char **room_for(size_t n)
{
	void *room = mmap(NULL, n * sizeof(char *), PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return room == MAP_FAILED ? NULL : room;
}

/* The environment to give to a program instead of envp; lives as long as the caller's frame. */
#define ENV(e, envp)                                                                               \
	({                                                                                         \
		char *const *in_ = (envp);                                                         \
		char **out_ = (char **)in_;                                                        \
		if (shim_on() && !(in_ && is_foreign(in_))) {                                      \
			size_t n_ = count(in_) + 4;                                                \
			out_ = n_ > ON_STACK_MAX ? room_for(n_) : alloca(n_ * sizeof(char *));     \
			out_ = out_ ? fill(e, in_, out_) : (char **)in_;                           \
		}                                                                                  \
		out_;                                                                              \
	})

/* ---- exec ---- */

/* Takes the loader's path and arguments for *path's and *argv's where the program would start
 * without us; in the caller's frame. */
#define THROUGH_LOADER(loader, path, argv)                                                         \
	({                                                                                         \
		if (shim_on() && secure_exec(*(path), loader)) {                                   \
			size_t n_ = count(*(argv)) + SECURE_ARGS + 2;                              \
			char **list_ =                                                             \
				n_ > ON_STACK_MAX ? room_for(n_) : alloca(n_ * sizeof(char *));    \
			if (list_) {                                                               \
				*(argv) = secure_argv(loader, *(path), *(argv), list_);            \
				*(path) = loader;                                                  \
			}                                                                          \
		}                                                                                  \
	})

SHIM_API int execve(const char *path, char *const argv[], char *const envp[])
{
	char loader[SECURE_LOADER_MAX];
	struct env e;

	THROUGH_LOADER(loader, &path, &argv);
	return REAL(execve)(path, argv, ENV(&e, envp));
}

SHIM_API int execv(const char *path, char *const argv[])
{
	return execve(path, argv, environ);
}

SHIM_API int execvpe(const char *file, char *const argv[], char *const envp[])
{
	char path[PATH_MAX], loader[SECURE_LOADER_MAX];
	struct env e;

	if (shim_on() && secure_find(file, getenv("PATH"), path) && secure_exec(path, loader))
		return execve(path, argv, envp);
	return REAL(execvpe)(file, argv, ENV(&e, envp));
}

SHIM_API int execvp(const char *file, char *const argv[])
{
	return execvpe(file, argv, environ);
}

SHIM_API int fexecve(int fd, char *const argv[], char *const envp[])
{
	struct env e;

	return REAL(fexecve)(fd, argv, ENV(&e, envp));
}

SHIM_API int execveat(int dirfd, const char *path, char *const argv[], char *const envp[],
		      int flags)
{
	struct env e;

	return REAL(execveat)(dirfd, path, argv, ENV(&e, envp), flags);
}

/* The arguments from arg on, as a list in the caller's frame; ap is left behind the NULL. */
#define ARGV(arg, ap)                                                                              \
	({                                                                                         \
		va_list counted_;                                                                  \
		size_t n_ = 1;                                                                     \
		va_copy(counted_, ap);                                                             \
		while (va_arg(counted_, const char *))                                             \
			n_++;                                                                      \
		va_end(counted_);                                                                  \
		char **argv_ = alloca((n_ + 1) * sizeof(char *));                                  \
		argv_[0] = (char *)(arg);                                                          \
		for (size_t i_ = 1; i_ <= n_; i_++)                                                \
			argv_[i_] = va_arg(ap, char *);                                            \
		argv_;                                                                             \
	})

SHIM_API int execl(const char *path, const char *arg, ...)
{
	va_list ap;

	va_start(ap, arg);
	char **argv = ARGV(arg, ap);
	va_end(ap);
	return execv(path, argv);
}

SHIM_API int execlp(const char *file, const char *arg, ...)
{
	va_list ap;

	va_start(ap, arg);
	char **argv = ARGV(arg, ap);
	va_end(ap);
	return execvp(file, argv);
}

SHIM_API int execle(const char *path, const char *arg, ...)
{
	va_list ap;

	va_start(ap, arg);
	char **argv = ARGV(arg, ap);
	char **envp = va_arg(ap, char **);
	va_end(ap);
	return execve(path, argv, envp);
}

/* ---- children ---- */

SHIM_API int posix_spawn(pid_t *pid, const char *path, const posix_spawn_file_actions_t *actions,
			 const posix_spawnattr_t *attr, char *const argv[], char *const envp[])
{
	char loader[SECURE_LOADER_MAX];
	struct env e;

	THROUGH_LOADER(loader, &path, &argv);
	return REAL(posix_spawn)(pid, path, actions, attr, argv, ENV(&e, envp));
}

SHIM_API int posix_spawnp(pid_t *pid, const char *file, const posix_spawn_file_actions_t *actions,
			  const posix_spawnattr_t *attr, char *const argv[], char *const envp[])
{
	char path[PATH_MAX], loader[SECURE_LOADER_MAX];
	struct env e;

	if (shim_on() && secure_find(file, getenv("PATH"), path) && secure_exec(path, loader))
		return posix_spawn(pid, path, actions, attr, argv, envp);
	return REAL(posix_spawnp)(pid, file, actions, attr, argv, ENV(&e, envp));
}

static void set(char *assignment)
{
	char *value = strchr(assignment, '=');
	const char *old;

	*value++ = 0;
	old = getenv(assignment);
	if (!old || strcmp(old, value))
		setenv(assignment, value, 1);
}

/* system and popen give the program's own environment to the shell. */
static void set_own(void)
{
	struct env e;
	const char *preload;

	if (!shim_on() || (environ && is_foreign(environ)))
		return;
	preload = getenv("LD_PRELOAD");
	if (!preload || !has_library(preload)) {
		preload_with(&e, preload ? preload : "");
		set(e.preload);
	}
	snprintf(e.dir, sizeof(e.dir), DIR_VAR "%s", shim_dir());
	set(e.dir);
	shim_netns_env(e.netns);
	set(e.netns);
}

SHIM_API int system(const char *command)
{
	if (command)
		set_own();
	return REAL(system)(command);
}

SHIM_API FILE *popen(const char *command, const char *mode)
{
	set_own();
	return REAL(popen)(command, mode);
}
