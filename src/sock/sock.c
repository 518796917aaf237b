/*
 * sock: the life of a socket, and the way of its calls to its protocol.
 */
#include "sock/sock_core.h"

#include <linux/in.h>
#include <linux/sockios.h>
#include <stdio.h>
#include <sys/ioctl.h>

#include "net/sysctl.h"
#include "sock/inet.h"

#define ENOIOCTLCMD 515 /* the kernel's own: "not mine" */

/* ---- families ---- */

int sock_register(struct weft *weft, const struct sock_family *f)
{
	struct sock_core *core = weft->sock;

	if (core->n_families == SOCK_FAMILIES_MAX)
		return -ENOBUFS;
	for (unsigned i = 0; i < core->n_families; i++)
		if (core->family[i].family == f->family)
			return -EEXIST;
	core->family[core->n_families++] = *f;
	return 0;
}

const struct sock_ops *sock_find_ops(struct net *net, int family, int type, int protocol, int *err)
{
	const struct sock_core *core = net->weft->sock;

	*err = -EAFNOSUPPORT;
	for (unsigned i = 0; i < core->n_families; i++)
		if (core->family[i].family == family)
			return core->family[i].find(net, type, protocol, err);
	return NULL;
}

void sock_set_dev_ioctl(struct weft *weft, sock_ioctl_fn *fn)
{
	weft->sock->dev_ioctl = fn;
}

/* ---- life ---- */

static void set_defaults(struct sock *sk)
{
	const struct sock_core *core = sk->weft->sock;

	sk->refs = 1;
	sk->inflight = 1;
	sk->rx_tail = &sk->rx_head;
	sk->rcvbuf = (size_t)core->rmem_default;
	sk->sndbuf = (size_t)core->wmem_default;
	sk->linger = -1;
	sk->rcvlowat = 1;
	sk->busy_poll = core->busy_read;
	sk->incoming_cpu = -1;
	sk->max_pacing = UINT64_MAX;
}

int sock_new(struct net *net, int family, int type, int protocol, struct sock **out)
{
	struct sock_core *core = net->weft->sock;
	const struct sock_ops *ops;
	struct sock *sk;
	int err;

	if (type < 0 || type >= 11 /* SOCK_MAX */)
		return -EINVAL;
	ops = sock_find_ops(net, family, type, protocol, &err);
	if (!ops)
		return err;
	sk = calloc(1, ops->size);
	if (!sk)
		return -ENOBUFS;
	sk->ops = ops;
	sk->weft = net->weft;
	sk->net = net_get(net);
	sk->id = ++core->last_id;
	sk->family = family;
	sk->type = type;
	sk->protocol = protocol;
	set_defaults(sk);
	cds_list_add_tail(&sk->link, &net->sock->socks);
	net->sock->n_socks++;
	err = ops->init ? ops->init(sk) : 0;
	if (err) {
		cds_list_del(&sk->link);
		net->sock->n_socks--;
		net_put(net);
		free(sk);
		return err;
	}
	*out = sk;
	return 0;
}

struct sock *sock_clone(const struct sock *listener)
{
	struct sock *sk = malloc(listener->ops->size);

	if (!sk)
		return NULL;
	memcpy(sk, listener, listener->ops->size);
	sk->net = net_get(listener->net);
	sk->id = ++listener->weft->sock->last_id;
	sk->refs = 1;
	sk->inflight = 1;
	sk->dead = false;
	sk->listens = false;
	sk->accept_handed = 0;
	sk->shut = 0;
	sk->rx_head = NULL;
	sk->rx_tail = &sk->rx_head;
	sk->rx_bytes = 0;
	sk->rx_drops = 0;
	sk->error = 0;
	sk->filter = NULL;
	sk->reuse_cbpf = NULL;
	sk->write_pending = 0;
	sk->wake = NULL;
	sk->unread = NULL;
	sk->end = NULL;
	cds_list_add_tail(&sk->link, &sk->net->sock->socks);
	sk->net->sock->n_socks++;
	return sk;
}

void sock_get(struct sock *sk)
{
	sk->refs++;
}

static void sock_free(struct sock *sk)
{
	cbpf_free(sk->filter);
	cbpf_free(sk->reuse_cbpf);
	free(sk);
}

void sock_hold_inflight(struct sock *sk)
{
	__atomic_fetch_add(&sk->inflight, 1, __ATOMIC_RELAXED);
}

void sock_drop_inflight(struct sock *sk)
{
	if (__atomic_fetch_sub(&sk->inflight, 1, __ATOMIC_ACQ_REL) == 1)
		sock_free(sk);
}

/* No worker can find the socket any more; a datagram may still be under way to worker 0. */
static void sock_lapsed(struct rcu_head *head)
{
	sock_drop_inflight(container_of(head, struct sock, rcu));
}

/* Whoever would look at it next looks at the one behind it. */
static void walks_leave(struct sock *sk)
{
	struct sock_walk *walk;

	cds_list_for_each_entry (walk, &sk->net->sock->walks, link)
		if (walk->next == sk)
			sock_walk_on(walk);
}

void sock_close(struct sock *sk)
{
	if (sk->dead)
		return;
	sk->dead = true;
	sk->shut = 3;
	if (sk->ops->release)
		sk->ops->release(sk);
	walks_leave(sk);
	cds_list_del(&sk->link);
	sk->net->sock->n_socks--;
	if (sk->wake)
		sk->wake(sk);
}

void sock_put(struct sock *sk)
{
	struct sock_rx *rx;

	if (!sk || --sk->refs)
		return;
	sk->wake = NULL;
	sk->unread = NULL;
	if (!sk->dead) {
		/* the protocol may go on with it for a while */
		sk->refs = 1;
		sock_close(sk);
		if (--sk->refs)
			return;
	}
	while ((rx = sock_dequeue(sk)))
		sock_rx_free(sk->weft->worker[0], rx);
	net_put(sk->net);
	call_rcu(&sk->rcu, sock_lapsed);
}

void sock_put_later(struct sock *sk)
{
	struct sock_core *core = sk->weft->sock;

	if (sk->refs > 1 || !sk->dead) {
		sock_put(sk);
		return;
	}
	cds_list_add(&sk->link, &core->late);
	timer_set(&sk->weft->worker[0]->wheel, &core->put_late, sk->weft->worker[0]->now);
}

void sock_put_late(struct weft *weft)
{
	struct sock *sk, *next;

	cds_list_for_each_entry_safe (sk, next, &weft->sock->late, link) {
		cds_list_del(&sk->link);
		sock_put(sk);
	}
}

static void put_late_due(struct timer *t, uint64_t now)
{
	sock_put_late(container_of(t, struct sock_core, put_late)->weft);
}

struct sock *sock_next(struct net *net, struct sock *sk)
{
	struct cds_list_head *next = sk ? sk->link.next : net->sock->socks.next;

	return next == &net->sock->socks ? NULL : cds_list_entry(next, struct sock, link);
}

void sock_walk_start(struct sock_walk *walk, struct net *net)
{
	walk->net = net_get(net);
	walk->next = sock_next(net, NULL);
	cds_list_add(&walk->link, &net->sock->walks);
}

void sock_walk_on(struct sock_walk *walk)
{
	walk->next = sock_next(walk->net, walk->next);
}

void sock_walk_end(struct sock_walk *walk)
{
	cds_list_del(&walk->link);
	net_put(walk->net);
}

/* ---- calls ---- */

int sock_bind(struct sock *sk, const struct sockaddr *a, size_t len)
{
	if (len > sizeof(struct sockaddr_storage))
		return -EINVAL;
	return sk->ops->bind ? sk->ops->bind(sk, a, len) : -EOPNOTSUPP;
}

int sock_connect(struct sock *sk, const struct sockaddr *a, size_t len)
{
	if (len > sizeof(struct sockaddr_storage))
		return -EINVAL;
	return sk->ops->connect ? sk->ops->connect(sk, a, len) : -EOPNOTSUPP;
}

int sock_getname(struct sock *sk, bool peer, struct sockaddr *a, size_t *len)
{
	return sk->ops->getname ? sk->ops->getname(sk, peer, a, len) : -EOPNOTSUPP;
}

int sock_accepted_name(struct sock *sk, struct sockaddr *a, size_t *len)
{
	return sk->ops->stream ? sk->ops->stream->accepted_name(sk, a, len) : -EOPNOTSUPP;
}

ssize_t sock_sendmsg(struct sock *sk, const struct sock_msg *m)
{
	if (m->name_len > sizeof(struct sockaddr_storage))
		return -EINVAL;
	return sk->ops->sendmsg ? sk->ops->sendmsg(sk, m) : -EOPNOTSUPP;
}

int sock_setsockopt(struct sock *sk, int level, int name, const void *val, size_t len)
{
	int err;

	if (len > INT32_MAX)
		return -EINVAL;
	if (level == SOL_SOCKET) {
		err = sock_opt_set(sk, name, val, len);
		if (!err && sk->ops->option_set)
			sk->ops->option_set(sk, name);
		return err;
	}
	return sk->ops->setsockopt ? sk->ops->setsockopt(sk, level, name, val, len) : -EOPNOTSUPP;
}

int sock_getsockopt(struct sock *sk, int level, int name, void *val, size_t *len)
{
	if (*len > INT32_MAX)
		return -EINVAL;
	if (level == SOL_SOCKET)
		return sock_opt_get(sk, name, val, len);
	return sk->ops->getsockopt ? sk->ops->getsockopt(sk, level, name, val, len) : -EOPNOTSUPP;
}

int sock_shutdown(struct sock *sk, int how)
{
	return sk->ops->shutdown ? sk->ops->shutdown(sk, how) : -EOPNOTSUPP;
}

int sock_listen(struct sock *sk, int backlog)
{
	return sk->ops->stream ? sk->ops->stream->listen(sk, backlog) : -EOPNOTSUPP;
}

int sock_accept(struct sock *sk, struct sock **out)
{
	return sk->ops->stream ? sk->ops->stream->accept(sk, out) : -EOPNOTSUPP;
}

/* ---- ioctl ---- */

/* SIOCGSTAMP and SIOCGSTAMPNS: when the last datagram that was read came in. */
static int ioctl_stamp(struct sock *sk, void *arg, size_t len, bool ns)
{
	int64_t tv[2];

	if (len < sizeof(tv))
		return -EINVAL;
	/* Asking turns the time stamps on, and the first answer is that there is none yet. */
	if (!sk->stamp)
		return -ENOENT;
	tv[0] = (int64_t)(sk->stamp / NSEC_PER_SEC);
	tv[1] = (int64_t)(sk->stamp % NSEC_PER_SEC) / (ns ? 1 : 1000);
	memcpy(arg, tv, sizeof(tv));
	return 0;
}

static int ioctl_int(void *arg, size_t len, int v)
{
	if (len < sizeof(v))
		return -EINVAL;
	memcpy(arg, &v, sizeof(v));
	return 0;
}

int sock_ioctl(struct sock *sk, unsigned long cmd, void *arg, size_t len)
{
	const struct sock_core *core = sk->weft->sock;

	if (sk->ops->ioctl) {
		int err = sk->ops->ioctl(sk, cmd, arg, len);

		if (err != -ENOIOCTLCMD)
			return err;
	}
	switch (cmd) {
	case SIOCGSTAMP_OLD:
	case SIOCGSTAMP_NEW:
		return ioctl_stamp(sk, arg, len, false);
	case SIOCGSTAMPNS_OLD:
	case SIOCGSTAMPNS_NEW:
		return ioctl_stamp(sk, arg, len, true);
	case FIONREAD: {
		const struct sock_rx *rx = sk->rx_head;

		return ioctl_int(arg, len, rx ? (int)rx->len : 0);
	}
	case TIOCOUTQ:
		return ioctl_int(arg, len, 0); /* what is sent is gone */
	}
	return core->dev_ioctl ? core->dev_ioctl(sk, cmd, arg, len) : -ENOTTY;
}

/* ---- instance and namespace ---- */

#define WHERE(field)                                                                               \
	static void *where_##field(struct net *net, struct netdev *dev, const char *which)         \
	{                                                                                          \
		return &net->weft->sock->field;                                                    \
	}
WHERE(busy_read)
WHERE(rmem_default)
WHERE(rmem_max)
WHERE(wmem_default)
WHERE(wmem_max)
WHERE(optmem_max)
#undef WHERE

static void *where_somaxconn(struct net *net, struct netdev *dev, const char *which)
{
	return &net->sock->somaxconn;
}

#define ROW(field, least, where_writable)                                                          \
	{                                                                                          \
		.path = "net/core/" #field, .type = SYSCTL_INT, .mode = 0644, .min = (least),      \
		.max = INT32_MAX, .where = where_##field, .scope = (where_writable)                \
	}
static const struct sysctl_row sysctl_rows[] = {
	ROW(busy_read, 0, SYSCTL_FIRST),
	ROW(wmem_max, SOCK_MIN_SNDBUF, SYSCTL_FIRST_WRITES),
	ROW(rmem_max, SOCK_MIN_RCVBUF, SYSCTL_FIRST_WRITES),
	ROW(wmem_default, SOCK_MIN_SNDBUF, SYSCTL_FIRST_WRITES),
	ROW(rmem_default, SOCK_MIN_RCVBUF, SYSCTL_FIRST_WRITES),
	ROW(optmem_max, 0, SYSCTL_NET),
	ROW(somaxconn, 0, SYSCTL_NET),
	{.path = NULL},
};
#undef ROW

int sock_init(struct weft *weft)
{
	struct sock_core *core = calloc(1, sizeof(*core));
	int err = 0;

	if (!core)
		return -ENOMEM;
	core->weft = weft;
	CDS_INIT_LIST_HEAD(&core->late);
	timer_init(&core->put_late, put_late_due);
	core->rmem_default = core->wmem_default = 212992;
	core->rmem_max = core->wmem_max = 4 << 20;
	core->optmem_max = 131072;
	weft->sock = core;
	if (weft->sysctls)
		err = sysctl_add(weft->sysctls, sysctl_rows);
	if (!err)
		err = inet_family_init(weft);
	if (err)
		sock_fini(weft);
	return err;
}

void sock_fini(struct weft *weft)
{
	if (weft->sock)
		timer_del(&weft->sock->put_late);
	free(weft->sock);
	weft->sock = NULL;
}

int sock_net_init(struct net *net)
{
	net->sock = calloc(1, sizeof(*net->sock));
	if (!net->sock)
		return -ENOMEM;
	CDS_INIT_LIST_HEAD(&net->sock->socks);
	CDS_INIT_LIST_HEAD(&net->sock->walks);
	net->sock->somaxconn = 4096;
	return 0;
}

void sock_net_fini(struct net *net)
{
	/* A socket holds its namespace, so none is left. */
	free(net->sock);
	net->sock = NULL;
}

/* Sockets that are in their protocol's table; *pages of 4096 bytes wait for their programs. */
static unsigned count(struct net *net, int type, int protocol, size_t *pages)
{
	unsigned n = 0;

	*pages = 0;
	for (struct sock *sk = sock_next(net, NULL); sk; sk = sock_next(net, sk)) {
		if (sk->family != AF_INET || sk->type != type ||
		    (protocol && sk->protocol != protocol) || !inet_sk(sk)->num)
			continue;
		n++;
		*pages += (sock_rmem(sk) + 4095) / 4096;
	}
	return n;
}

int sock_rmem_max(const struct weft *weft)
{
	return weft->sock->rmem_max;
}

int sock_somaxconn(const struct net *net)
{
	return net->sock->somaxconn;
}

void sock_show_used(struct net *net, FILE *out)
{
	fprintf(out, "sockets: used %u\n", net->sock->n_socks);
}

void sock_show(struct net *net, FILE *out)
{
	unsigned n_frags, n;
	size_t pages;
	uint64_t mem;

	n = count(net, SOCK_DGRAM, IPPROTO_UDP, &pages);
	fprintf(out, "UDP: inuse %u mem %zu\n", n, pages);
	fprintf(out, "UDPLITE: inuse 0\n");
	fprintf(out, "RAW: inuse %u\n", count(net, SOCK_RAW, 0, &pages));
	ip4_frag_use(net, &n_frags, &mem);
	fprintf(out, "FRAG: inuse %u memory %llu\n", n_frags, (unsigned long long)mem);
}
