/* ring: packet rings in a program's memory. */
#include "ring.h"

#include <linux/if_packet.h>
#include <sys/mman.h>
#include <sys/socket.h>

enum { N_RINGS = 64 };

struct ring {
	uint64_t id; /* of the socket; 0: free. Written last. */
	int version; /* -1: not mapped */
	struct tpacket_req req;
	uint8_t *mem;
	size_t size;
};

static struct ring rings[N_RINGS];
static unsigned n_mapped;

static struct ring *find(uint64_t id)
{
	for (struct ring *r = rings; r < rings + N_RINGS; r++)
		if (__atomic_load_n(&r->id, __ATOMIC_ACQUIRE) == id)
			return r;
	return NULL;
}

static void unmapped(struct ring *r)
{
	if (!r->mem)
		return;
	r->mem = NULL;
	__atomic_fetch_sub(&n_mapped, 1, __ATOMIC_RELAXED);
}

/* The entry of the socket, or a free one, or that of a ring that is mapped no longer. */
static struct ring *entry(uint64_t id)
{
	struct ring *r = find(id);

	if (!r)
		r = find(0);
	for (struct ring *old = rings; !r && old < rings + N_RINGS; old++)
		if (!old->mem)
			r = old;
	return r;
}

void ring_asked(const struct shim_sock *s, const struct tpacket_req *req)
{
	struct ring *r = entry(s->id);

	if (!r)
		return;
	unmapped(r);
	r->req = *req;
	__atomic_store_n(&r->id, req->tp_block_nr ? s->id : 0, __ATOMIC_RELEASE);
}

bool ring_any(void)
{
	return __atomic_load_n(&n_mapped, __ATOMIC_RELAXED);
}

static bool is_users(const uint8_t *status, bool wide)
{
	uint64_t v = wide ? __atomic_load_n((const unsigned long *)status, __ATOMIC_ACQUIRE)
			  : __atomic_load_n((const uint32_t *)status, __ATOMIC_ACQUIRE);

	return v & TP_STATUS_USER;
}

bool ring_ready(int fd)
{
	struct shim_sock s;
	struct ring *r;

	if (!ring_any() || !shim_sock(fd, &s) || !(r = find(s.id)) || !r->mem)
		return false;
	for (unsigned b = 0; b < r->req.tp_block_nr; b++) {
		const uint8_t *block = r->mem + (size_t)b * r->req.tp_block_size;
		if (r->version == TPACKET_V3) {
			const struct tpacket_block_desc *d = (const void *)block;
			if (is_users((const uint8_t *)&d->hdr.bh1.block_status, false))
				return true;
			continue;
		}
		unsigned n = r->req.tp_block_size / r->req.tp_frame_size;
		for (unsigned f = 0; f < n; f++)
			if (is_users(block + (size_t)f * r->req.tp_frame_size,
				     r->version == TPACKET_V1))
				return true;
	}
	return false;
}

static int get_version(const struct shim_sock *s)
{
	int v = TPACKET_V1;
	struct shim_req r = {.op = WEFT_OP_GETSOCKOPT,
			     .sock = s->id,
			     .arg = {SOL_PACKET, PACKET_VERSION, sizeof(v)},
			     .room = &v,
			     .room_len = sizeof(v)};

	shim_call(&r);
	return v;
}

static void mapped(const struct shim_sock *s, void *mem, size_t size)
{
	struct ring *r = find(s->id);

	if (!r || (size_t)r->req.tp_block_size * r->req.tp_block_nr > size)
		return;
	unmapped(r);
	r->version = get_version(s);
	r->size = size;
	r->mem = mem;
	__atomic_fetch_add(&n_mapped, 1, __ATOMIC_RELAXED);
}

static void *map_ring(const struct shim_sock *s, void *addr, size_t len, int prot, int flags,
		      off64_t at)
{
	struct shim_req r = {.op = WEFT_OP_MMAP, .sock = s->id, .arg = {len}};
	const size_t page = 4096;
	int err = at ? -EINVAL : shim_call(&r);

	if (!err && r.rep.arg0 != align_up(len, page))
		err = -EINVAL;
	void *mem = err ? MAP_FAILED : REAL(mmap64)(addr, len, prot, flags, r.fd, 0);
	if (r.fd >= 0)
		syscall(SYS_close, r.fd);
	if (err)
		errno = -err;
	else if (mem != MAP_FAILED)
		mapped(s, mem, len);
	return mem;
}

SHIM_API void *mmap64(void *addr, size_t len, int prot, int flags, int fd, off64_t at)
{
	struct shim_sock s;

	if (fd < 0 || (flags & MAP_ANONYMOUS) || !shim_has_socks() || !shim_sock(fd, &s))
		return REAL(mmap64)(addr, len, prot, flags, fd, at);
	return map_ring(&s, addr, len, prot, flags, at);
}

SHIM_API void *mmap(void *addr, size_t len, int prot, int flags, int fd, off_t at)
{
	return mmap64(addr, len, prot, flags, fd, at);
}

SHIM_API int munmap(void *addr, size_t len)
{
	const uint8_t *from = addr;

	if (ring_any())
		for (struct ring *r = rings; r < rings + N_RINGS; r++)
			if (r->mem && r->mem < from + len && from < r->mem + r->size)
				unmapped(r);
	return REAL(munmap)(addr, len);
}
