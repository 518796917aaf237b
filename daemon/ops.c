/*
 * ops: the requests of abi/shim.h, a function each.
 *
 * A handler finds the connection, the request with its payload and the answer to fill; it returns 0
 * or -errno. Sockets are named by id, whoever opened them: a program may have been given the
 * descriptor by another.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "daemon.h"
#include "sock/inet.h"

#define SETTLE_STEPS 4

struct call {
	struct conn *c;
	struct daemon *d;
	const struct weft_req *req;
	uint8_t *data; /* req->len bytes, and a NUL behind */
	struct end *end;
	struct sock *sk;
	struct reply *r;
};

/* ---- connections ---- */

static int op_hello(struct call *k)
{
	struct ns *ns;

	if (k->req->arg0 != WEFT_PROTOCOL) {
		k->r->hang_up = true;
		return -EPROTO;
	}
	ns = k->req->arg1 ? ns_by_ino(k->d, k->req->arg1) : k->d->first;
	if (!ns)
		return -EINVAL;
	ns_get(ns);
	if (k->c->ns)
		ns_put(k->c->ns);
	k->c->ns = ns;
	k->c->greeted = true;
	k->r->rep.arg0 = ns->net->ino;
	k->r->rep.arg1 = k->d->id;
	k->r->rep.len = (uint32_t)strlen(k->d->name);
	memcpy(k->r->data, k->d->name, k->r->rep.len);
	return 0;
}

static int op_info(struct call *k)
{
	int fd = info_open(k->d, (const char *)k->data);

	if (fd < 0)
		return fd;
	k->r->fd = fd;
	return 0;
}

static int op_stop(struct call *k)
{
	k->d->stop = true;
	return 0;
}

static int op_keep(struct call *k)
{
	k->d->keep = k->req->arg0;
	return 0;
}

/* ---- sockets ---- */

static int op_socket(struct call *k)
{
	int type = (int)k->req->arg1, err;
	struct sock *sk;

	err = sock_new(k->c->ns->net, (int)k->req->arg0, type & ~(SOCK_NONBLOCK | SOCK_CLOEXEC),
		       (int)k->req->arg2, &sk);
	if (err)
		return err;
	sk->pid = (uint32_t)k->c->pid;
	sk->uid = k->c->uid;
	sk->privileged = k->c->uid == geteuid();
	k->r->rep.arg0 = sk->id;
	err = end_new(k->c->ns, sk, type & SOCK_NONBLOCK, &k->r->fd);
	if (err)
		sock_put(sk);
	return err;
}

/* The port of an address a program gave, be; 0: any. */
static uint16_t port_of(const struct call *k)
{
	const struct sockaddr_in *sin = (const struct sockaddr_in *)k->data;

	return k->req->len >= sizeof(*sin) && sin->sin_family == AF_INET ? sin->sin_port : 0;
}

static int op_bind(struct call *k)
{
	const struct sockaddr *a = (struct sockaddr *)k->data;
	int err = sock_bind(k->sk, a, k->req->len);

	if (err == -EADDRINUSE && ends_reap(k->d, k->sk, port_of(k)))
		err = sock_bind(k->sk, a, k->req->len);
	return err;
}

static int op_connect(struct call *k)
{
	const struct sockaddr *a = (struct sockaddr *)k->data;

	if (k->end->stream)
		return stream_connect(k->end, a, k->req->len, k->req->arg0, &k->r->rep.arg0,
				      &k->r->fd);
	return sock_connect(k->sk, a, k->req->len);
}

static int op_getname(struct call *k)
{
	size_t len = sizeof(struct sockaddr_storage);
	int err = sock_getname(k->sk, k->req->arg0 == 1, (struct sockaddr *)k->r->data, &len);

	k->r->rep.len = (uint32_t)MIN(len, sizeof(struct sockaddr_storage));
	return err;
}

void daemon_settle(struct daemon *d)
{
	if (d->weft->n_workers > 1)
		return;
	for (int i = 0; i < SETTLE_STEPS; i++)
		if (!weft_step(d->weft, daemon_now(d)))
			break;
}

static int op_send(struct call *k)
{
	struct weft_dgram meta;

	if (k->req->len < sizeof(meta))
		return -EINVAL;
	memcpy(&meta, k->data, sizeof(meta));
	if (meta.name_len > sizeof(meta.name))
		return -EINVAL;
	struct sock_msg m = {
		.name = meta.name_len ? meta.name : NULL,
		.name_len = meta.name_len,
		.data = k->data + sizeof(meta),
		.len = k->req->len - sizeof(meta),
		.flags = (int)meta.msg_flags,
		.meta = &meta,
	};
	ssize_t n =
		k->end->stream ? stream_send(k->end, &m, &k->r->rep.arg1) : sock_sendmsg(k->sk, &m);
	if (n < 0)
		return (int)n;
	k->r->rep.arg0 = (uint64_t)n;
	if (k->sk->family != AF_NETLINK)
		daemon_settle(k->d);
	return 0;
}

static int op_setsockopt(struct call *k)
{
	int err =
		sock_setsockopt(k->sk, (int)k->req->arg0, (int)k->req->arg1, k->data, k->req->len);

	if (!err && k->req->arg0 == SOL_SOCKET)
		end_sized(k->end);
	if (k->end->stream)
		k->sk->oobinline = true; /* the pair does otherwise if it is to */
	return err;
}

static int op_getsockopt(struct call *k)
{
	size_t room = MIN(k->req->arg2, (uint64_t)REPLY_MAX), len = room;

	memset(k->r->data, 0, room);
	memcpy(k->r->data, k->data, MIN(room, (size_t)k->req->len));
	int err = sock_getsockopt(k->sk, (int)k->req->arg0, (int)k->req->arg1, k->r->data, &len);
	k->r->rep.len = (uint32_t)MIN(len, room);
	return err;
}

/* What the pair holds is not sent, either. */
static void add_waiting(struct call *k)
{
	int n;

	memcpy(&n, k->r->data, sizeof(n));
	n += (int)stream_waiting(k->end);
	memcpy(k->r->data, &n, sizeof(n));
}

static int op_ioctl(struct call *k)
{
	size_t len = k->req->len;

	if (k->req->arg0 == SIOCGIFCONF) {
		uint32_t room = 0;
		if (len < sizeof(room))
			return -EINVAL;
		memcpy(&room, k->data, sizeof(room));
		len = MIN((size_t)room, REPLY_MAX);
		memset(k->r->data, 0, MAX(len, sizeof(room)));
		memcpy(k->r->data, k->data, sizeof(room));
		len = MAX(len, sizeof(room));
	} else {
		memcpy(k->r->data, k->data, MIN(len, REPLY_MAX));
		len = MIN(len, REPLY_MAX);
	}
	int err = sock_ioctl(k->sk, (unsigned long)k->req->arg0, k->r->data, len);
	if (err < 0)
		return err;
	if (k->end->stream && k->req->arg0 == SIOCOUTQ)
		add_waiting(k);
	k->r->rep.arg0 = (uint64_t)err;
	k->r->rep.len = (uint32_t)len;
	return 0;
}

static int op_shutdown(struct call *k)
{
	int how = (int)k->req->arg0, err;

	if (!k->end->stream)
		return sock_shutdown(k->sk, how);
	err = stream_shutdown(k->end, how);
	daemon_settle(k->d); /* a peer over lo has seen it when the call returns */
	return err;
}

static int op_listen(struct call *k)
{
	int backlog = (int)k->req->arg0, err;
	bool first = false;

	if (!k->end->stream)
		return -EOPNOTSUPP;
	err = stream_listen(k->end, backlog, &first, &k->r->fd);
	if (err == -EADDRINUSE && ends_reap(k->d, k->sk, inet_sk(k->sk)->sport))
		err = stream_listen(k->end, backlog, &first, &k->r->fd);
	k->r->rep.arg0 = first;
	return err;
}

static int op_stream(struct call *k)
{
	if (!k->end->stream)
		return -EOPNOTSUPP;
	k->r->rep.arg0 = stream_state(k->end);
	k->r->rep.arg1 = k->sk->ops->stream->poll(k->sk);
	return 0;
}

static int op_mmap(struct call *k)
{
	size_t size = 0;
	int fd = k->sk->ops->mmap_fd ? k->sk->ops->mmap_fd(k->sk, &size) : -ENODEV;

	if (fd < 0)
		return fd;
	k->r->fd = fd;
	k->r->keep_fd = true;
	k->r->rep.arg0 = size;
	return 0;
}

static int op_kick(struct call *k)
{
	struct sock_msg m = {.flags = MSG_DONTWAIT};
	ssize_t n = sock_sendmsg(k->sk, &m);

	if (n < 0)
		return (int)n;
	k->r->rep.arg0 = (uint64_t)n;
	daemon_settle(k->d);
	return 0;
}

static int op_errq(struct call *k)
{
	bool look = k->req->arg0 == 1;
	struct sock_rx *rx = look ? NULL : end_errq_take(k->end);

	k->r->rep.arg0 = k->end->errq_n;
	k->r->rep.arg1 = (uint64_t)k->sk->error;
	if (look)
		end_mark(k->end);
	if (!rx)
		return look ? 0 : -EAGAIN;
	size_t len = MIN(rx->caplen, REPLY_MAX - sizeof(rx->meta));
	memcpy(k->r->data, &rx->meta, sizeof(rx->meta));
	if (rx->pkt)
		pkt_copy_out(rx->pkt, 0, k->r->data + sizeof(rx->meta), (unsigned)len);
	else
		memcpy(k->r->data + sizeof(rx->meta), rx->data, len);
	k->r->rep.len = (uint32_t)(sizeof(rx->meta) + len);
	sock_rx_free(k->d->w, rx);
	return 0;
}

/* ---- namespaces ---- */

/* Moves the connection to ns, takes over one user of it, and hands out a token. */
static int enter(struct call *k, struct ns *ns)
{
	int fd = token_new(ns);

	if (fd < 0) {
		ns_put(ns);
		return fd;
	}
	ns_put(k->c->ns);
	k->c->ns = ns;
	k->r->fd = fd;
	k->r->rep.arg0 = ns->net->ino;
	return 0;
}

static int op_ns_new(struct call *k)
{
	int err;
	struct net *net = net_new(k->d->weft->nets, &err);
	struct ns *ns = net ? ns_new(k->d, net, &err) : NULL;

	return ns ? enter(k, ns) : err;
}

static int op_ns_set(struct call *k)
{
	struct ns *ns = k->req->arg0 ? ns_by_ino(k->d, k->req->arg0) : k->c->ns;

	return ns ? enter(k, ns_get(ns)) : -EINVAL;
}

static int op_ns_of_pid(struct call *k)
{
	int err = 0;
	pid_t pid = (pid_t)k->req->arg0;
	struct ns *ns = pid == k->c->pid ? k->c->ns : ns_of_pid(k->d, pid, &err);

	if (!ns)
		return err;
	k->r->rep.arg0 = ns->net->ino;
	return 0;
}

static int op_ns_file(struct call *k)
{
	struct ns *ns = k->req->arg0 ? ns_by_ino(k->d, k->req->arg0) : k->c->ns;

	if (!ns)
		return -ENOENT;
	int err = ns_file(ns);
	if (err)
		return err;
	k->r->rep.arg0 = ns->net->ino;
	k->r->rep.len = (uint32_t)snprintf((char *)k->r->data, PATH_MAX, "%s/ns/%llu", k->d->dir,
					   (unsigned long long)ns->net->ino);
	return 0;
}

static int op_ns_name(struct call *k)
{
	struct ns *ns = k->req->arg0 ? ns_by_ino(k->d, k->req->arg0) : k->c->ns;

	if (!ns)
		return -EINVAL;
	return k->req->arg1 ? ns_mounted(ns, (const char *)k->data)
			    : ns_name(k->d, ns, (const char *)k->data);
}

static int op_ns_unname(struct call *k)
{
	return k->req->arg1 ? ns_unmounted(k->d, (const char *)k->data)
			    : ns_unname(k->d, (const char *)k->data);
}

/* ---- files ---- */

static struct ns *ns_from(struct call *k, uint64_t ino)
{
	return ino ? ns_by_ino(k->d, ino) : k->c->ns;
}

static int op_open(struct call *k)
{
	struct ns *ns = ns_from(k, k->req->arg2);

	if (!ns)
		return -ENOENT;
	file_open(ns, k->req, (char *)k->data, k->r);
	return k->r->rep.err;
}

static int op_write(struct call *k)
{
	struct ns *ns = ns_from(k, k->req->arg0);

	if (!ns)
		return -ENOENT;
	int n = file_write(ns, k->req, (const char *)k->data, k->req->len);
	if (n < 0)
		return n;
	k->r->rep.arg0 = (uint64_t)n;
	return 0;
}

static int op_shadow(struct call *k)
{
	struct ns *ns = ns_from(k, k->req->arg2);

	if (!ns)
		return -ENOENT;
	int err = shadow_refresh(ns, (const char *)k->data, (enum weft_depth)k->req->arg0,
				 (char *)k->r->data, PATH_MAX);
	k->r->rep.len = err ? 0 : (uint32_t)strlen((const char *)k->r->data);
	return err;
}

/* ---- the table ---- */

static const struct op {
	int (*fn)(struct call *k);
	bool sock; /* is about a socket */
} ops[] = {
	[WEFT_OP_HELLO] = {op_hello},
	[WEFT_OP_SOCKET] = {op_socket},
	[WEFT_OP_BIND] = {op_bind, true},
	[WEFT_OP_CONNECT] = {op_connect, true},
	[WEFT_OP_GETNAME] = {op_getname, true},
	[WEFT_OP_SEND] = {op_send, true},
	[WEFT_OP_SETSOCKOPT] = {op_setsockopt, true},
	[WEFT_OP_GETSOCKOPT] = {op_getsockopt, true},
	[WEFT_OP_IOCTL] = {op_ioctl, true},
	[WEFT_OP_SHUTDOWN] = {op_shutdown, true},
	[WEFT_OP_LISTEN] = {op_listen, true},
	[WEFT_OP_MMAP] = {op_mmap, true},
	[WEFT_OP_SEND_KICK] = {op_kick, true},
	[WEFT_OP_NS_NEW] = {op_ns_new},
	[WEFT_OP_NS_SET] = {op_ns_set},
	[WEFT_OP_NS_OF_PID] = {op_ns_of_pid},
	[WEFT_OP_NS_FILE] = {op_ns_file},
	[WEFT_OP_NS_NAME] = {op_ns_name},
	[WEFT_OP_NS_UNNAME] = {op_ns_unname},
	[WEFT_OP_OPEN] = {op_open},
	[WEFT_OP_WRITE] = {op_write},
	[WEFT_OP_SHADOW] = {op_shadow},
	[WEFT_OP_INFO] = {op_info},
	[WEFT_OP_STOP] = {op_stop},
	[WEFT_OP_KEEP] = {op_keep},
	[WEFT_OP_STREAM] = {op_stream, true},
	[WEFT_OP_ERRQ] = {op_errq, true},
};

void ops_serve(struct conn *c, const struct weft_req *req, uint8_t *data, struct reply *r)
{
	struct call k = {.c = c, .d = c->d, .req = req, .data = data, .r = r};

	if (req->op >= ARRAY_SIZE(ops) || !ops[req->op].fn) {
		r->rep.err = -ENOSYS;
		return;
	}
	if (ops[req->op].sock) {
		k.end = end_by_id(c->d, req->sock);
		if (!k.end) {
			r->rep.err = -EBADF;
			return;
		}
		k.sk = k.end->sk;
		/* what a request names by descriptor or pid is the caller's */
		k.sk->pid = (uint32_t)c->pid;
		if (k.end->stream)
			stream_take(k.end);
	}
	r->rep.err = ops[req->op].fn(&k);
	/* once it has been taken, the next error is due a mark of its own */
	if (k.end && !k.sk->error)
		k.end->error_shown = false;
}
