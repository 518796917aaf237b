/* pending: what is not there yet; each module takes its lines away from here. */
#include "ctl/devioctl.h"

int devioctl_init(struct weft *weft)
{
	return 0;
}

void devioctl_fini(struct weft *weft)
{
}
