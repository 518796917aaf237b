/*
 * util: the few macros and inline helpers that every file may use.
 *
 * Lists are liburcu's (<urcu/list.h>, <urcu/rculist.h>), hash tables that workers read are
 * liburcu's cds_lfht, text is built with open_memstream(3); none of these is written again here,
 * but for the table that every packet may meet (htab.h).
 */
#pragma once

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define CACHE_LINE 64

#define likely(x)   __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

#ifndef container_of
#define container_of(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))
#endif

/* cds_list_for_each_entry for objects that lie on cache lines: liburcu's takes the list's head for
 * one of them, which it is not, nor aligned like one. _safe: pos may be removed. node and next are
 * struct cds_list_head *. */
#define list_for_each_line(pos, node, head, member)                                                \
	for ((node) = (head)->next;                                                                \
	     (node) != (head) && ((pos) = container_of(node, __typeof__(*(pos)), member), true);   \
	     (node) = (node)->next)
#define list_for_each_line_safe(pos, node, following, head, member)                                \
	for ((node) = (head)->next, (following) = (node)->next;                                    \
	     (node) != (head) && ((pos) = container_of(node, __typeof__(*(pos)), member), true);   \
	     (node) = (following), (following) = (node)->next)

/* Each argument is looked at once; the names are new in each use, so that uses may nest. */
#define PASTE_(a, b) a##b
#define PASTE(a, b)  PASTE_(a, b)
#define PICK(a, b, op, n)                                                                          \
	({                                                                                         \
		__typeof__(a) PASTE(a_, n) = (a);                                                  \
		__typeof__(b) PASTE(b_, n) = (b);                                                  \
		PASTE(a_, n) op PASTE(b_, n) ? PASTE(a_, n) : PASTE(b_, n);                        \
	})
#define MIN(a, b) PICK(a, b, <, __COUNTER__)
#define MAX(a, b) PICK(a, b, >, __COUNTER__)

#define NSEC_PER_USEC 1000ULL
#define NSEC_PER_MSEC 1000000ULL
#define NSEC_PER_SEC  1000000000ULL

/* Plain loads and stores of a word another thread writes or reads: no tearing, no ordering. */
#define READ_ONCE(x)	 (*(const volatile __typeof__(x) *)&(x))
#define WRITE_ONCE(x, v) (*(volatile __typeof__(x) *)&(x) = (v))

/* The time stamp counter: what all cycle counts are in. */
static inline uint64_t cycles(void)
{
	return __builtin_ia32_rdtsc();
}

/* Zeroed memory on cache lines of its own; NULL. free() takes it. */
static inline void *line_alloc(size_t size)
{
	size = (size + CACHE_LINE - 1) & ~(size_t)(CACHE_LINE - 1);
	void *p = aligned_alloc(CACHE_LINE, size);

	return p ? memset(p, 0, size) : NULL;
}

static inline size_t align_up(size_t n, size_t to)
{
	return (n + to - 1) & ~(to - 1);
}
