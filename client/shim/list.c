#include "list.h"

#include <errno.h>

#include "path.h"

struct list {
	struct list *next;
	DIR *dir;
	struct dirent **names;
	int n, at;
};

static struct list *lists;
static int lock_word;

static void lock(uint64_t *signals)
{
	shim_block(signals);
	while (__atomic_exchange_n(&lock_word, 1, __ATOMIC_ACQUIRE))
		syscall(SYS_sched_yield);
}

static void unlock(const uint64_t *signals)
{
	__atomic_store_n(&lock_word, 0, __ATOMIC_RELEASE);
	shim_unblock(signals);
}

/* The list of dir. out: take it from the table. */
static struct list *find(DIR *dir, bool out)
{
	struct list *found = NULL;
	uint64_t signals;

	if (likely(!__atomic_load_n(&lists, __ATOMIC_RELAXED)))
		return NULL;
	lock(&signals);
	for (struct list **l = &lists; *l; l = &(*l)->next) {
		if ((*l)->dir != dir)
			continue;
		found = *l;
		if (out)
			*l = found->next;
		break;
	}
	unlock(&signals);
	return found;
}

/* "." and ".." first */
static int by_name(const struct dirent **a, const struct dirent **b)
{
	bool a_dot = (*a)->d_name[0] == '.', b_dot = (*b)->d_name[0] == '.';

	return a_dot != b_dot ? b_dot - a_dot : strcmp((*a)->d_name, (*b)->d_name);
}

DIR *list_new(DIR *dir, const char *path)
{
	struct list *l = malloc(sizeof(*l));
	uint64_t signals;
	int saved = errno;

	if (!l)
		return dir;
	*l = (struct list){.dir = dir};
	l->n = REAL(scandir)(path, &l->names, NULL, by_name);
	errno = saved;
	if (l->n < 0) {
		free(l);
		return dir;
	}
	lock(&signals);
	l->next = lists;
	lists = l;
	unlock(&signals);
	return dir;
}

SHIM_API DIR *fdopendir(int fd)
{
	char path[PATH_MAX], shown[PATH_MAX];
	DIR *dir = REAL(fdopendir)(fd);

	if (!dir || likely(!path_inside) || !path_of_fd(fd, path))
		return dir;
	strcpy(shown, path);
	return path_shown(shown, sizeof(shown)) ? list_new(dir, path) : dir;
}

SHIM_API struct dirent *readdir(DIR *dir)
{
	struct list *l = find(dir, false);

	if (likely(!l))
		return REAL(readdir)(dir);
	return l->at < l->n ? l->names[l->at++] : NULL;
}

static_assert(sizeof(struct dirent) == sizeof(struct dirent64), "struct dirent is not of 64 bits");

SHIM_API struct dirent64 *readdir64(DIR *dir)
{
	return (struct dirent64 *)readdir(dir);
}

/* They are deprecated, and old programs call them. */
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

SHIM_API int readdir_r(DIR *dir, struct dirent *entry, struct dirent **result)
{
	struct list *l = find(dir, false);

	if (likely(!l))
		return REAL(readdir_r)(dir, entry, result);
	*result = NULL;
	if (l->at < l->n) {
		const struct dirent *e = l->names[l->at++];
		memcpy(entry, e, e->d_reclen);
		*result = entry;
	}
	return 0;
}

SHIM_API int readdir64_r(DIR *dir, struct dirent64 *entry, struct dirent64 **result)
{
	return readdir_r(dir, (struct dirent *)entry, (struct dirent **)result);
}

SHIM_API void rewinddir(DIR *dir)
{
	struct list *l = find(dir, false);

	if (likely(!l))
		REAL(rewinddir)(dir);
	else
		l->at = 0;
}

SHIM_API long telldir(DIR *dir)
{
	struct list *l = find(dir, false);

	return likely(!l) ? REAL(telldir)(dir) : l->at;
}

SHIM_API void seekdir(DIR *dir, long at)
{
	struct list *l = find(dir, false);

	if (likely(!l))
		REAL(seekdir)(dir, at);
	else if (at >= 0 && at <= l->n)
		l->at = (int)at;
}

SHIM_API int closedir(DIR *dir)
{
	struct list *l = find(dir, true);

	for (int i = 0; l && i < l->n; i++)
		free(l->names[i]);
	if (l)
		free(l->names);
	free(l);
	return REAL(closedir)(dir);
}
