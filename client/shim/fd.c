/*
 * fd: programs that close all descriptors they do not know must leave the tokens open: with the
 * last one the namespace goes. Connections are not kept from them; a new one is made when it is
 * needed.
 */
#include "stream.h"

#include <limits.h>

SHIM_API int close(int fd)
{
	if (unlikely(shim_is_token(fd)))
		return shim_ret(-EBADF);
	if (unlikely(stream_lingers) && shim_kind(fd) != SHIM_PLAIN) {
		int saved = errno;
		stream_linger(fd);
		errno = saved;
	}
	shim_kind_set(fd, SHIM_ASK);
	return REAL(close)(fd);
}

SHIM_API int close_range(unsigned from, unsigned to, int flags)
{
	int token;

	if (!shim_on() || from > to || from > INT_MAX)
		return REAL(close_range)(from, to, flags);
	while ((token = shim_next_token((int)from)) >= 0 && (unsigned)token <= to) {
		if ((unsigned)token > from) {
			int err = REAL(close_range)(from, (unsigned)token - 1, flags);
			if (err)
				return err;
		}
		from = (unsigned)token + 1;
	}
	return from > to ? 0 : REAL(close_range)(from, to, flags);
}

SHIM_API void closefrom(int from)
{
	if (!shim_on() || close_range(from < 0 ? 0 : (unsigned)from, ~0U, 0))
		REAL(closefrom)(from);
}
