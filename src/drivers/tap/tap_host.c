/*
 * tap_host: what is asked of the host's kernel through /dev/net/tun. It happens in the network
 * namespace that control's thread, so the daemon, runs in.
 */
#include <fcntl.h>
#include <linux/if_tun.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "drivers/tap/tap.h"

#define TUN	   "/dev/net/tun"
#define DRAIN_MAX  10000 /* frames a queue: more than its ring holds */
#define F_USO	   0x60	 /* TUN_F_USO4 | TUN_F_USO6, of Linux 6.2 */
#define BASE_FLAGS (IFF_TAP | IFF_NO_PI | IFF_VNET_HDR)

static int open_tun(struct extack *ext)
{
	int fd = open(TUN, O_RDWR | O_NONBLOCK | O_CLOEXEC);

	if (fd >= 0)
		return fd;
	switch (errno) {
	case ENOENT:
	case ENODEV:
	case ENXIO:
		return extack_set(ext, -errno, "the host has no " TUN);
	case EACCES:
	case EPERM:
		return extack_set(ext, -errno, "no permission to open " TUN);
	}
	return -errno;
}

static int refused(int err, struct extack *ext)
{
	switch (err) {
	case EPERM:
		return extack_set(ext, -err, "no permission for TAP devices of the host");
	case EBUSY:
		return extack_set(ext, -err, "the host's device is in use");
	case EINVAL:
		return extack_set(ext, -err,
				  "the host has a device of that name which is no TAP with queues");
	}
	return -err;
}

/* Makes or joins the host's device `name`, and writes down what it is really called. */
static int join(int fd, char name[IFNAMSIZ], unsigned n, struct extack *ext)
{
	struct ifreq r = {.ifr_flags = BASE_FLAGS | IFF_MULTI_QUEUE};

	memcpy(r.ifr_name, name, IFNAMSIZ);
	int err = ioctl(fd, TUNSETIFF, &r) ? errno : 0;
	if (err == EINVAL && n == 1) { /* one that was made for a single queue */
		r.ifr_flags = BASE_FLAGS;
		err = ioctl(fd, TUNSETIFF, &r) ? errno : 0;
	}
	if (err)
		return refused(err, ext);
	memcpy(name, r.ifr_name, IFNAMSIZ);
	int size = sizeof(struct virtio_net_hdr);
	return ioctl(fd, TUNSETVNETHDRSZ, &size) ? -errno : 0;
}

int tap_host_open(struct netdev *dev, struct extack *ext)
{
	struct tap_dev *t = dev->priv;
	char name[IFNAMSIZ] = {0};
	int err = 0;

	memcpy(name, t->wanted[0] ? t->wanted : dev->name, IFNAMSIZ);
	for (unsigned i = 0; i < t->n && !err; i++) {
		int fd = open_tun(ext);
		if (fd < 0)
			err = fd;
		else
			err = join(fd, name, t->n, ext);
		t->q[i].rx.wfd.fd = fd < 0 ? -1 : fd;
	}
	if (err) {
		tap_host_close(t);
		return err;
	}
	memcpy(t->host, name, IFNAMSIZ);
	t->attached = true;
	return 0;
}

void tap_host_close(struct tap_dev *t)
{
	for (unsigned i = 0; i < t->n; i++) {
		if (t->q[i].rx.wfd.fd >= 0)
			close(t->q[i].rx.wfd.fd);
		t->q[i].rx.wfd.fd = -1;
	}
	t->attached = false;
}

int tap_host_offload(const struct tap_dev *t, uint32_t features)
{
	unsigned long f = 0;

	/* not UDP: receivers here take datagrams one by one */
	if (features & DEV_F_RX_CSUM)
		f = TUN_F_CSUM;
	if (f && (features & DEV_F_GRO))
		f |= TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN;
	return ioctl(t->q[0].rx.wfd.fd, TUNSETOFFLOAD, f) ? -errno : 0;
}

bool tap_host_udp_seg(const struct tap_dev *t)
{
	return !ioctl(t->q[0].rx.wfd.fd, TUNSETOFFLOAD, (unsigned long)(TUN_F_CSUM | F_USO));
}

bool tap_host_carrier(const struct tap_dev *t, bool on)
{
	int carrier = on;

	/* before Linux 5.0 there is none to set: EINVAL */
	return !ioctl(t->q[0].rx.wfd.fd, TUNSETCARRIER, &carrier) || errno != EBADFD;
}

void tap_host_drain(const struct tap_dev *t)
{
	uint8_t none[sizeof(struct virtio_net_hdr)];

	for (unsigned i = 0; i < t->n; i++)
		for (unsigned k = 0; k < DRAIN_MAX; k++)
			if (read(t->q[i].rx.wfd.fd, none, sizeof(none)) < 0)
				break;
}
