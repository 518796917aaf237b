/*
 * extack: why a control request was refused, in the kernel's words.
 *
 * Control functions return 0 or -errno and, where the kernel gives a sentence, set it here. The
 * text is static (never freed). ext may be NULL everywhere. Control thread.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct extack {
	const char *msg;
	uint32_t bad_off;   /* offset of the offending attribute in the request, 0: none */
	uint32_t miss_type; /* attribute type that is missing, with has_miss */
	uint8_t has_miss;
	const void *
		policy; /* what was asked of the offending attribute (struct nla_policy), or NULL */
};

static inline int extack_set(struct extack *ext, int err, const char *msg)
{
	if (ext)
		ext->msg = msg;
	return err;
}
