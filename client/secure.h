/*
 * secure: programs that would be started without the preloaded library.
 *
 * A file that carries capabilities (Debian's ping, arping) is started in "secure execution" by a
 * user who is not root: no_new_privs keeps the capabilities from it, but the loader heeds no
 * LD_PRELOAD all the same. Started through its loader, which carries none, it is a program like any
 * other. Set-id bits need no care: under no_new_privs the kernel does not look at them.
 *
 * No state, no allocation; system calls by number, as in conn.h. Any thread, also in a child of
 * vfork.
 */
#pragma once

#include <limits.h>

#include "base/util.h"

#define SECURE_LOADER_MAX 256
#define SECURE_ARGS	  3 /* that go before the program's own, argv[0] replaced */

/* Whether the file would be started so; loader: the loader it names. */
bool secure_exec(const char *path, char loader[SECURE_LOADER_MAX]);
/* The arguments that make the loader start path with argv; to has room for SECURE_ARGS more than
 * argv and the NULL. Borrows all. Returns to. */
char **secure_argv(char *loader, const char *path, char *const argv[], char **to);
/* Looks a command up as execvp() does: false if there is no such file that can be executed. */
bool secure_find(const char *file, const char *search, char to[PATH_MAX]);
