/*
 * bytes: loads and stores of unaligned big-endian fields, and the view by which outside bytes are
 * read.
 *
 * A `struct view` is (pointer, bytes left). Parsers take fields off it with view_*(); a read past
 * the end makes the view bad (view_ok() false) and yields zeroes, so a parser may read a whole
 * header and check once. Any thread; nothing is owned.
 *
 * Values named be16/be32 in structs are in network byte order, as on the wire.
 */
#pragma once

#include "base/util.h"

static inline uint16_t get_be16(const void *p)
{
	uint16_t v;
	memcpy(&v, p, 2);
	return __builtin_bswap16(v);
}

static inline uint32_t get_be32(const void *p)
{
	uint32_t v;
	memcpy(&v, p, 4);
	return __builtin_bswap32(v);
}

static inline void put_be16(void *p, uint16_t v)
{
	v = __builtin_bswap16(v);
	memcpy(p, &v, 2);
}

static inline void put_be32(void *p, uint32_t v)
{
	v = __builtin_bswap32(v);
	memcpy(p, &v, 4);
}

struct view {
	const uint8_t *p;
	size_t left;
	bool bad;
};

static inline struct view view_of(const void *p, size_t len)
{
	return (struct view){.p = p, .left = len};
}

static inline bool view_ok(const struct view *v)
{
	return !v->bad;
}

/* Next n bytes, or NULL (and the view turns bad). */
static inline const uint8_t *view_take(struct view *v, size_t n)
{
	if (unlikely(v->bad || n > v->left)) {
		v->bad = true;
		return NULL;
	}
	const uint8_t *p = v->p;
	v->p += n;
	v->left -= n;
	return p;
}

static inline uint8_t view_u8(struct view *v)
{
	const uint8_t *p = view_take(v, 1);
	return p ? *p : 0;
}

static inline uint16_t view_be16(struct view *v)
{
	const uint8_t *p = view_take(v, 2);
	return p ? get_be16(p) : 0;
}

static inline uint32_t view_be32(struct view *v)
{
	const uint8_t *p = view_take(v, 4);
	return p ? get_be32(p) : 0;
}
