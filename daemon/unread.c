/*
 * unread: how many bytes a program has not read yet of those that its stream's pair holds.
 *
 * The pair's own ioctl (SIOCOUTQ) tells our end what the kernel charges for them, which is more;
 * the number itself, unix_diag has for the program's end. It is asked only when something is there
 * and a list is shown. Where the host's kernel has no unix_diag the answer is 0.
 */
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <linux/sockios.h>
#include <linux/unix_diag.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon.h"

static int diag_open(struct daemon *d)
{
	if (!d->unix_diag)
		d->unix_diag = mnl_socket_open2(NETLINK_SOCK_DIAG, SOCK_CLOEXEC | SOCK_NONBLOCK);
	return d->unix_diag ? 0 : -errno;
}

static int take_attr(const struct nlattr *a, void *arg)
{
	struct unix_diag_rqlen q;

	if (mnl_attr_get_type(a) != UNIX_DIAG_RQLEN ||
	    mnl_attr_validate2(a, MNL_TYPE_UNSPEC, sizeof(q)) < 0)
		return MNL_CB_OK;
	memcpy(&q, mnl_attr_get_payload(a), sizeof(q));
	*(size_t *)arg = q.udiag_rqueue;
	return MNL_CB_STOP;
}

static int take_answer(const struct nlmsghdr *nlh, void *arg)
{
	if (nlh->nlmsg_type == SOCK_DIAG_BY_FAMILY)
		mnl_attr_parse(nlh, sizeof(struct unix_diag_msg), take_attr, arg);
	return MNL_CB_STOP;
}

/* The kernel answers within send(2). */
static size_t ask(struct daemon *d, uint32_t ino)
{
	uint8_t buf[512] __attribute__((aligned(NLMSG_ALIGNTO)));
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct unix_diag_req *req = mnl_nlmsg_put_extra_header(nlh, sizeof(*req));
	size_t unread = 0;
	ssize_t n;

	nlh->nlmsg_type = SOCK_DIAG_BY_FAMILY;
	nlh->nlmsg_flags = NLM_F_REQUEST;
	req->sdiag_family = AF_UNIX;
	req->udiag_states = UINT32_MAX;
	req->udiag_ino = ino;
	req->udiag_show = UDIAG_SHOW_RQLEN;
	memset(req->udiag_cookie, 0xff, sizeof(req->udiag_cookie)); /* whatever its cookie is */
	if (mnl_socket_sendto(d->unix_diag, nlh, nlh->nlmsg_len) < 0)
		return 0;
	n = mnl_socket_recvfrom(d->unix_diag, buf, sizeof(buf));
	if (n > 0)
		mnl_cb_run(buf, (size_t)n, 0, 0, take_answer, &unread);
	return unread;
}

size_t stream_unread(const struct sock *sk)
{
	const struct end *e = sk->end;
	int charged = 0;

	if (ioctl(e->fd.fd, SIOCOUTQ, &charged) || charged <= 0 || diag_open(e->d))
		return 0;
	return ask(e->d, (uint32_t)sk->ino);
}

void unread_fini(struct daemon *d)
{
	if (d->unix_diag)
		mnl_socket_close(d->unix_diag);
}
