/*
 * opt: getsockopt and setsockopt.
 *
 * Values go as they are, except those that point elsewhere: a filter goes as the array of its
 * instructions. How long a call waits is known to the descriptor, too, since there the waiting is
 * done.
 */
#include "ring.h"
#include "stream.h"

#include <asm/socket.h>
#include <linux/filter.h>
#include <linux/if_packet.h>
#include <sys/socket.h>
#include <sys/time.h>

enum {
	OPT_MAX = 64 * 1024, /* as much as any option takes */
	FPROG_MAX = 4096     /* instructions (BPF_MAXINSNS) */
};

static bool is_fprog(int level, int name, socklen_t len)
{
	if (level == SOL_SOCKET)
		return name == SO_ATTACH_FILTER || name == SO_ATTACH_REUSEPORT_CBPF;
	return level == SOL_PACKET && name == PACKET_FANOUT_DATA &&
	       len == sizeof(struct sock_fprog);
}

static int set_fprog(struct shim_req *r)
{
	struct sock_fprog prog;

	if (r->len < sizeof(prog))
		return -EINVAL;
	if (!r->data)
		return -EFAULT;
	memcpy(&prog, r->data, sizeof(prog));
	if (!prog.len || prog.len > FPROG_MAX)
		return -EINVAL;
	r->data = prog.filter;
	r->len = prog.len * sizeof(struct sock_filter);
	return shim_call(r);
}

static bool is_timeout(int level, int name)
{
	return level == SOL_SOCKET && (name == SO_RCVTIMEO_OLD || name == SO_SNDTIMEO_OLD ||
				       name == SO_RCVTIMEO_NEW || name == SO_SNDTIMEO_NEW);
}

/* What the pair of a stream must know, too. */
static bool is_pair_opt(int level, int name)
{
	return level == SOL_SOCKET &&
	       (name == SO_RCVLOWAT || name == SO_SNDBUF || name == SO_SNDBUFFORCE ||
		name == SO_PEEK_OFF || name == SO_OOBINLINE);
}

static int set_opt(const struct shim_sock *s, int fd, int level, int name, const void *val,
		   socklen_t len)
{
	struct shim_req r = {.op = WEFT_OP_SETSOCKOPT,
			     .sock = s->id,
			     .arg = {(uint64_t)level, (uint64_t)name},
			     .data = val,
			     .len = len};

	if (len > INT32_MAX)
		return -EINVAL;
	r.len = MIN(len, (socklen_t)OPT_MAX);
	if (is_fprog(level, name, len))
		return set_fprog(&r);
	int err = shim_call(&r);
	if (!err &&
	    (is_timeout(level, name) || (s->type == SOCK_STREAM && is_pair_opt(level, name))))
		REAL(setsockopt)(fd, level, name, val, len);
	if (!err && s->type == SOCK_STREAM && level == SOL_SOCKET && name == SO_LINGER)
		stream_lingers = true;
	if (!err && level == SOL_PACKET && name == PACKET_RX_RING)
		ring_asked(s, val);
	return err;
}

SHIM_API int setsockopt(int fd, int level, int name, const void *val, socklen_t len)
{
	struct shim_sock s;

	if (!shim_sock(fd, &s))
		return REAL(setsockopt)(fd, level, name, val, len);
	return shim_ret(set_opt(&s, fd, level, name, val, len));
}

SHIM_API int getsockopt(int fd, int level, int name, void *val, socklen_t *len)
{
	struct shim_sock s;

	if (!shim_sock(fd, &s))
		return REAL(getsockopt)(fd, level, name, val, len);
	if (s.type == SOCK_STREAM && level == SOL_SOCKET && name == SO_OOBINLINE)
		return REAL(getsockopt)(fd, level, name, val, len);
	if (!len)
		return shim_ret(-EFAULT);
	socklen_t room = *len;
	if (room > INT32_MAX)
		return shim_ret(-EINVAL);
	room = MIN(room, (socklen_t)OPT_MAX);
	/* some options read what is there: PACKET_HDRLEN, IP_MSFILTER */
	struct shim_req r = {.op = WEFT_OP_GETSOCKOPT,
			     .sock = s.id,
			     .arg = {(uint64_t)level, (uint64_t)name, room},
			     .data = val,
			     .len = val ? room : 0,
			     .room = val,
			     .room_len = room};
	int err = shim_call(&r);
	if (err)
		return shim_ret(err);
	*len = r.rep.len;
	return 0;
}
