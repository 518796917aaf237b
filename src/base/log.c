/* log: see the header. */
#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>

static enum log_level log_max = LOG_LEVEL_WARN; /* set once, before threads */

void log_set_level(enum log_level level)
{
	log_max = level;
}

void log_line(enum log_level level, const char *fmt, ...)
{
	char line[512];
	va_list ap;

	if (level > log_max)
		return;
	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	fprintf(stderr, "weft: %s\n", line);
}
