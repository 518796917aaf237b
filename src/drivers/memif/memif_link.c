/*
 * memif_link: the memory of a connection and the rings in it. A client lays out one region: the
 * rings to the server, those to the client, then a buffer for each descriptor. A server maps what
 * it is told of, and checks that rings lie within. A region must be sealed against shrinking: else
 * its owner could make us fault at any time.
 */
#include <fcntl.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "drivers/memif/memif.h"
#include "run/instance.h"

struct memif_link *memif_link_new(struct memif_dev *m)
{
	struct memif_link *l = calloc(1, sizeof(*l));
	unsigned n = m->dev->n_txq;

	if (!l)
		return NULL;
	l->rx = aligned_alloc(CACHE_LINE, n * sizeof(*l->rx));
	l->tx = aligned_alloc(CACHE_LINE, n * sizeof(*l->tx));
	if (!l->rx || !l->tx) {
		free(l->rx);
		free(l->tx);
		free(l);
		return NULL;
	}
	memset(l->rx, 0, n * sizeof(*l->rx));
	memset(l->tx, 0, n * sizeof(*l->tx));
	for (unsigned i = 0; i < n; i++) {
		l->rx[i].link = l->tx[i].link = l;
		l->rx[i].fd = l->tx[i].fd = -1;
	}
	l->cap = n;
	l->dev = m->dev;
	l->server = m->set.role == 0;
	return l;
}

void memif_link_free(struct memif_link *l)
{
	if (!l)
		return;
	for (unsigned i = 0; i < l->cap; i++) {
		if (l->rx[i].fd >= 0)
			close(l->rx[i].fd);
		if (l->tx[i].fd >= 0)
			close(l->tx[i].fd);
	}
	for (unsigned i = 0; i < l->n_regions; i++) {
		munmap(l->region[i].addr, l->region[i].size);
		if (l->region[i].fd >= 0)
			close(l->region[i].fd);
	}
	free(l->rx);
	free(l->tx);
	free(l);
}

/* ---- a client's ---- */

static size_t ring_size(unsigned n)
{
	return sizeof(struct memif_ring) + n * sizeof(struct memif_desc);
}

static int make_region(struct memif_link *l, size_t size)
{
	struct memif_region *r = &l->region[0];
	int fd = memfd_create("weft-memif", MFD_CLOEXEC | MFD_ALLOW_SEALING), err;

	if (fd < 0)
		return -errno;
	if (ftruncate(fd, (off_t)size) || fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK))
		goto failed;
	r->addr = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (r->addr == MAP_FAILED)
		goto failed;
	r->size = size;
	r->fd = fd;
	l->n_regions = 1;
	return 0;
failed:
	err = -errno;
	close(fd);
	return err;
}

static int make_queue(struct memif_queue *q, size_t at, unsigned size, size_t buffers)
{
	struct memif_region *r = &q->link->region[0];

	q->size = (uint16_t)size;
	q->mask = (uint16_t)(size - 1);
	q->offset = (uint32_t)at;
	q->ring = (struct memif_ring *)(r->addr + at);
	q->ring->cookie = MEMIF_COOKIE;
	q->buf_offset = (uint32_t)buffers;
	q->buffers = r->addr + buffers;
	q->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	return q->fd < 0 ? -errno : 0;
}

int memif_link_build(struct memif_link *l, unsigned n_rx, unsigned n_tx, unsigned log2_ring,
		     uint32_t buf_size)
{
	unsigned n = n_rx + n_tx, size = 1u << log2_ring;
	size_t ring = align_up(ring_size(size), CACHE_LINE), buffers = (size_t)size * buf_size;
	size_t at = 0, buf = align_up(n * ring, 4096);

	if (n_rx > l->cap || n_tx > l->cap || buf + n * buffers > UINT32_MAX)
		return -E2BIG; /* offsets are 32 bits wide */
	int err = make_region(l, buf + n * buffers);

	l->buf_size = buf_size;
	for (unsigned i = 0; i < n && !err; i++, at += ring, buf += buffers)
		err = make_queue(i < n_tx ? &l->tx[i] : &l->rx[i - n_tx], at, size, buf);
	if (err)
		return err;
	l->n_tx = n_tx;
	l->n_rx = n_rx;
	return 0;
}

/* ---- a server's ---- */

const char *memif_link_region(struct memif_link *l, const struct memif_add_region *r, int fd)
{
	const char *why = NULL;
	struct stat st;
	int seals;

	if (fd < 0)
		return "Missing region fd";
	seals = fcntl(fd, F_GET_SEALS);
	if (r->index != l->n_regions || r->index >= MEMIF_REGIONS_MAX)
		why = "Invalid region index";
	else if (seals < 0 || !(seals & F_SEAL_SHRINK))
		why = "Region is not sealed against shrinking";
	else if (fstat(fd, &st) || !r->size || (uint64_t)st.st_size < r->size)
		why = "Region is shorter than it should be";
	if (why) {
		close(fd);
		return why;
	}
	void *at = mmap(NULL, r->size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	close(fd);
	if (at == MAP_FAILED)
		return "Cannot map region";
	l->region[l->n_regions++] = (struct memif_region){at, r->size, -1};
	return NULL;
}

/* Writing to it must not block, whatever the other end has passed. */
static bool is_eventfd(int fd)
{
	char path[32], text[32];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	ssize_t n = readlink(path, text, sizeof(text));
	return n > 0 && (size_t)n < sizeof(text) && !strncmp(text, "anon_inode:[eventfd]", 20) &&
	       !fcntl(fd, F_SETFL, O_NONBLOCK);
}

static const char *check_ring(const struct memif_link *l, const struct memif_add_ring *r, int fd)
{
	bool in = r->flags & MEMIF_RING_TO_SERVER;

	if (fd < 0)
		return "Missing interrupt fd";
	if (r->index != (in ? l->n_rx : l->n_tx) || r->index >= l->cap)
		return "Invalid ring index";
	if (!is_eventfd(fd))
		return "Interrupt fd is none";
	if (r->private_size)
		return "Private headers are not supported";
	if (r->log2_ring > MEMIF_LOG2_RING_MAX)
		return "Ring too large";
	if (r->region >= l->n_regions || r->offset % 8 ||
	    r->offset + (uint64_t)ring_size(1u << r->log2_ring) > l->region[r->region].size)
		return "Ring outside of its region";
	return NULL;
}

const char *memif_link_ring(struct memif_link *l, const struct memif_add_ring *r, int fd)
{
	const char *why = check_ring(l, r, fd);

	if (why) {
		if (fd >= 0)
			close(fd);
		return why;
	}
	bool in = r->flags & MEMIF_RING_TO_SERVER;
	struct memif_queue *q = in ? &l->rx[l->n_rx++] : &l->tx[l->n_tx++];

	q->size = (uint16_t)(1u << r->log2_ring);
	q->mask = (uint16_t)(q->size - 1);
	q->region = r->region;
	q->offset = r->offset;
	q->ring = (struct memif_ring *)(l->region[r->region].addr + r->offset);
	q->fd = fd;
	return NULL;
}

const char *memif_link_check(const struct memif_link *l)
{
	if (!l->n_rx || !l->n_tx)
		return "No rings";
	for (unsigned i = 0; i < l->n_rx; i++)
		if (l->rx[i].ring->cookie != MEMIF_COOKIE)
			return "Wrong cookie";
	for (unsigned i = 0; i < l->n_tx; i++)
		if (l->tx[i].ring->cookie != MEMIF_COOKIE)
			return "Wrong cookie";
	return NULL;
}

/* ---- receiving ---- */

static int queue_start(struct memif_queue *q, unsigned i)
{
	struct dev_core *core = q->link->dev->core;
	unsigned threads = core->n_workers - 1;

	q->ring->flags = MEMIF_RING_MASK_INT;
	q->rx.poller.poll = memif_poll;
	q->rx.wfd.fd = q->fd;
	q->rx.wfd.ready = memif_ready;
	return rx_queue_start(core->workers[threads ? 1 + i % threads : 0], &q->rx);
}

int memif_link_start(struct memif_link *l)
{
	int err = 0;

	for (unsigned i = 0; i < l->n_rx && !err; i++) {
		if (!l->server)
			memif_ring_offer(&l->rx[i]);
		err = queue_start(&l->rx[i], i);
	}
	if (err)
		memif_link_stop(l);
	return err;
}

void memif_link_stop(struct memif_link *l)
{
	for (unsigned i = 0; i < l->n_rx; i++)
		rx_queue_stop(&l->rx[i].rx);
}
