/* kinds: see the header. */
#include "drivers/kinds.h"

const struct dev_kind *const weft_kinds[] = {
#define DRIVER(name) &name##_kind,
#include "drivers/kinds.def"
#undef DRIVER
	NULL,
};
