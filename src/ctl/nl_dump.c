/*
 * nl_dump: answers of any length, a datagram at a time.
 *
 * A dump makes its next datagram when the reader's queue has drained to half its limit, so a reader
 * that stops reading stops the dump, and costs one datagram of memory. The datagram's size is what
 * Linux uses for readers it knows nothing of (a page less its bookkeeping: programs exist that read
 * with a page), or 32 KiB for those that asked for a large receive buffer, as the ones that size
 * their reads by peeking do.
 */
#include "ctl/nl_sock.h"

#define ROOM_SMALL   3776
#define ROOM_LARGE   (32 * 1024)
#define RCVBUF_LARGE 400000

static size_t dump_room(const struct nl_sock *s)
{
	return s->sk.rcvbuf >= RCVBUF_LARGE ? ROOM_LARGE : ROOM_SMALL;
}

struct nlmsghdr *nl_dump_msg(struct nl_dump *d, uint16_t type, size_t payload)
{
	size_t need = NLMSG_SPACE(payload);

	if (d->len + need > d->room) {
		/* A message larger than a datagram gets one made for it. */
		if (d->len || need > NL_MSG_MAX)
			return NULL;
		uint8_t *buf = realloc(d->buf, need);
		if (!buf)
			return NULL;
		d->buf = buf;
		d->room = need;
	}
	struct nlmsghdr *nlh = (struct nlmsghdr *)(d->buf + d->len);
	/* What pads attributes must tell nothing. */
	memset(nlh, 0, need);
	*nlh = (struct nlmsghdr){.nlmsg_len = NLMSG_HDRLEN,
				 .nlmsg_type = type,
				 .nlmsg_flags = NLM_F_MULTI,
				 .nlmsg_seq = d->req.nlh->nlmsg_seq,
				 .nlmsg_pid = d->req.portid};
	if (d->filtered)
		nlh->nlmsg_flags |= NLM_F_DUMP_FILTERED;
	return nlh;
}

void nl_dump_end(struct nl_dump *d, struct nlmsghdr *nlh, bool keep)
{
	if (!keep)
		return;
	if (d->started && d->seq != d->prev_seq)
		d->intr = true;
	if (d->intr)
		nlh->nlmsg_flags |= NLM_F_DUMP_INTR;
	assert((uint8_t *)nlh + nlh->nlmsg_len <= d->buf + d->room);
	size_t len = MNL_ALIGN(nlh->nlmsg_len);
	d->len = (size_t)((uint8_t *)nlh - d->buf) + len;
}

static void dump_free(struct nl_dump_run *run)
{
	if (run->d.done)
		run->d.done(&run->d);
	free(run->d.buf);
	free(run->nlh);
	free(run);
}

void nl_dump_drop(struct nl_sock *s)
{
	struct nl_dump_run *run = s->dump;

	if (!run || run->busy)
		return;
	s->dump = NULL;
	dump_free(run);
}

/* NLMSG_DONE with the status; errors with their text where the program wants it. */
static bool put_done(struct nl_sock *s, struct nl_dump_run *run)
{
	struct nl_dump *d = &run->d;
	size_t ext = run->status < 0 ? nl_ext_size(s, &d->req.ext, run->status) : 0;
	struct nlmsghdr *nlh;

	if (d->req.ext.msg && s->ext_ack && run->status >= 0) /* a warning */
		ext = nl_ext_size(s, &d->req.ext, 0);
	nlh = nl_dump_msg(d, NLMSG_DONE, sizeof(int) + ext);
	if (!nlh)
		return false;
	nlh->nlmsg_flags &= ~NLM_F_DUMP_FILTERED;
	*(int *)mnl_nlmsg_put_extra_header(nlh, sizeof(int)) = run->status;
	if (ext) {
		nlh->nlmsg_flags |= NLM_F_ACK_TLVS;
		nl_ext_put(nlh, &d->req.ext, run->status, d->req.nlh->nlmsg_len);
	}
	nl_dump_end(d, nlh, true);
	return true;
}

static bool dump_send(struct nl_sock *s, struct nl_dump *d)
{
	bool ok = nl_queue(s, 0, 0, d->buf, d->len, -1);

	d->len = 0;
	return ok;
}

/* One datagram. True: the dump is over. */
static bool dump_step(struct nl_sock *s, struct nl_dump_run *run)
{
	struct nl_dump *d = &run->d;

	if (!run->over) {
		size_t room = dump_room(s);
		if (d->room < room) {
			uint8_t *buf = realloc(d->buf, room);
			if (buf) {
				d->buf = buf;
				d->room = room;
			}
		}
		/* What was said before the last datagram went out is forgotten, as in Linux. */
		d->req.ext = (struct extack){0};
		int ret = run->h->dump(d);
		if (s->sk.dead)
			return true;
		d->prev_seq = d->seq;
		d->started = true;
		if (ret == 1 && d->len) {
			dump_send(s, d);
			return false;
		}
		run->over = true;
		/* Nothing fitted into an empty datagram: memory is out. */
		run->status = ret == 1 ? -EMSGSIZE : ret;
		if (d->len && ret == 0 && (run->h->flags & NL_H_SPLIT_DONE)) {
			d->req.ext = (struct extack){0};
			dump_send(s, d);
			return false;
		}
	}
	if (!put_done(s, run) && d->len) {
		dump_send(s, d);
		return false;
	}
	dump_send(s, d);
	return true;
}

void nl_dump_go_on(struct nl_sock *s)
{
	struct nl_dump_run *run = s->dump;

	if (!run || run->busy)
		return;
	if (s->sk.dead || s->sk.rx_bytes > s->sk.rcvbuf / 2)
		return;
	run->busy = true;
	bool over = dump_step(s, run);
	run->busy = false;
	if (over || s->sk.dead) {
		s->dump = NULL;
		dump_free(run);
	}
}

int nl_dump_start(struct nl_req *r, const struct nl_handler *h)
{
	struct nl_sock *s = r->nlsk;
	struct nl_dump_run *run;

	if (s->dump)
		return -EBUSY;
	run = calloc(1, sizeof(*run));
	if (!run)
		return -ENOBUFS;
	run->nlh = malloc(r->nlh->nlmsg_len);
	run->d.room = dump_room(s);
	run->d.buf = malloc(run->d.room);
	if (!run->nlh || !run->d.buf) {
		dump_free(run);
		return -ENOBUFS;
	}
	memcpy(run->nlh, r->nlh, r->nlh->nlmsg_len);
	run->d.req = *r;
	run->d.req.nlh = run->nlh;
	run->h = h;
	int err = h->start ? h->start(&run->d) : 0;
	if (err) {
		r->ext = run->d.req.ext;
		dump_free(run);
		return err;
	}
	s->dump = run;
	nl_dump_go_on(s);
	return -EINTR;
}

void nl_dump_end_now(struct nl_sock *s, int err)
{
	struct nl_dump_run *run = s->dump;

	if (!run || run->busy || run->over)
		return;
	if (run->d.done)
		run->d.done(&run->d);
	run->d.done = NULL;
	run->d.ptr = NULL;
	run->over = true;
	run->status = err;
	nl_dump_go_on(s);
}
