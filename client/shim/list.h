/*
 * list: streams of the network's directories, read as a kernel's.
 *
 * A copy in the run directory gives its names in an order that depends on the file system. Programs
 * (sysctl) count on "." and ".." being first, as they are below /proc and /sys, and people on
 * sorted names. So the names of such a stream are read when it is opened, and told from there; the
 * stream itself remains the C library's.
 *
 * Any thread; a stream belongs to its user, as ever.
 */
#pragma once

#include <dirent.h>

/* Takes a stream of the copy at path into care; without memory it is left as it is. Returns dir. */
DIR *list_new(DIR *dir, const char *path);
