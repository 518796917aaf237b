/*
 * real: the C library's functions behind ours.
 *
 * REAL() leaves an entry in the section shim_reals for each place it is written; the loader's
 * symbols for the section's bounds let them all be looked up at once, so that later calls, in
 * signal handlers or in children of vfork, need not enter the loader.
 */
#include <dlfcn.h>

#include "shim.h"

extern struct shim_real __start_shim_reals[], __stop_shim_reals[];

static long missing(void)
{
	errno = ENOSYS;
	return -1;
}

void *shim_real(struct shim_real *r)
{
	void *fn = dlsym(RTLD_NEXT, r->name);

	if (!fn)
		fn = (void *)(uintptr_t)missing;
	__atomic_store_n(&r->fn, fn, __ATOMIC_RELAXED);
	return fn;
}

static __attribute__((constructor(101))) void find_all(void)
{
	for (struct shim_real *r = __start_shim_reals; r < __stop_shim_reals; r++)
		if (!r->fn)
			shim_real(r);
}
