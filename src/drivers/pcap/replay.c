/* replay: from a capture file to received frames. See pcap.h. */
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "drivers/pcap/pcap.h"

/* A reader of the whole file, from its start. */
static pcap_t *reader(int fd, char err[PCAP_ERRBUF_SIZE])
{
	int own = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	FILE *f = own < 0 ? NULL : fdopen(own, "r");
	pcap_t *cap;

	if (!f || fseek(f, 0, SEEK_SET)) {
		snprintf(err, PCAP_ERRBUF_SIZE, "%s", strerror(errno));
		if (f)
			fclose(f);
		else if (own >= 0)
			close(own);
		return NULL;
	}
	cap = pcap_fopen_offline_with_tstamp_precision(f, PCAP_TSTAMP_PRECISION_NANO, err);
	if (!cap)
		fclose(f);
	return cap;
}

int replay_open(struct replay *r, const char *path, struct extack *ext)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK), err = 0;
	char text[PCAP_ERRBUF_SIZE];
	struct stat st;

	if (fd < 0)
		return extack_set(ext, -errno, "the file to replay cannot be opened");
	if (fstat(fd, &st) || !S_ISREG(st.st_mode)) {
		close(fd);
		return extack_set(ext, -EINVAL, "the file to replay is not a regular file");
	}
	posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
	pcap_t *cap = reader(fd, text);
	if (!cap)
		err = extack_set(ext, -EINVAL, "the file to replay is not a capture");
	else if (pcap_datalink(cap) != DLT_EN10MB)
		err = extack_set(ext, -EPROTONOSUPPORT, "the capture's link type is not Ethernet");
	if (cap)
		pcap_close(cap);
	if (err)
		close(fd);
	else
		r->fd = fd;
	return err;
}

void replay_close(struct replay *r)
{
	if (r->fd >= 0)
		close(r->fd);
	r->fd = -1;
}

/* ---- reading ---- */

static void finish(struct replay *r)
{
	if (r->cap)
		pcap_close(r->cap);
	r->cap = NULL;
	timer_del(&r->timer);
}

static void damaged(struct replay *r, const char *why)
{
	r->n_errors++;
	log_warn("%s: replay ends: %s", r->dev->name, why);
	finish(r);
}

/* When the frame at hand is to come. Captures may go back in time; we do not. */
static void schedule(struct replay *r)
{
	uint64_t ts = (uint64_t)r->hdr->ts.tv_sec * NSEC_PER_SEC + (uint64_t)r->hdr->ts.tv_usec;

	if (!r->n_pass++)
		r->first = ts;
	if (!r->speed || ts <= r->first)
		return;
	uint64_t after = ts - r->first, due;
	due = r->start + (after / r->speed) * 100 + (after % r->speed) * 100 / r->speed;
	r->due = MAX(r->due, due);
}

/* Starts the next pass if there is one to come. */
static bool rewound(struct replay *r)
{
	char err[PCAP_ERRBUF_SIZE];
	bool empty = !r->n_pass;

	r->n_passes++;
	if (empty || (r->loops && r->n_passes >= r->loops)) {
		finish(r);
		return false;
	}
	pcap_close(r->cap);
	r->cap = reader(r->fd, err);
	if (!r->cap) {
		damaged(r, err);
		return false;
	}
	r->n_pass = 0;
	r->start = r->due;
	return true;
}

/* Reads the frame to come; there is none when r->cap is NULL afterwards. */
static void advance(struct replay *r)
{
	int got;

	do
		got = pcap_next_ex(r->cap, &r->hdr, &r->data);
	while (got == PCAP_ERROR_BREAK && rewound(r));
	if (got == 1)
		schedule(r);
	else if (r->cap)
		damaged(r, pcap_geterr(r->cap));
}

/* ---- receiving ---- */

static void drop(struct worker *w, struct replay *r, enum drop why)
{
	struct dev_count *c = dev_counter(r->dev, w);

	c->rx_errors++;
	c->rx_length_errors++;
	w->drops[why]++;
}

/* The frame at hand, or NULL when it cannot be received. */
static struct pkt *frame(struct worker *w, struct replay *r)
{
	const struct pcap_pkthdr *h = r->hdr;
	struct pkt *p;

	r->n_frames++;
	if (h->caplen < h->len) {
		r->n_cut++;
		drop(w, r, DROP_CAPTURE_CUT);
		return NULL;
	}
	if (h->caplen > r->dev->mtu + ETH_HLEN + 4) {
		r->n_oversize++;
		drop(w, r, DROP_DEV_RX_OVERSIZE);
		return NULL;
	}
	p = pkt_new(w);
	if (!p || pkt_append(&w->cache, p, r->data, h->caplen)) {
		pkt_free(&w->cache, p);
		dev_counter(r->dev, w)->rx_dropped++;
		w->drops[DROP_NOMEM]++;
		return NULL;
	}
	return p;
}

/* Receives up to `budget` frames that are due; returns how many were read. */
static unsigned play(struct worker *w, struct replay *r, uint64_t now, unsigned budget)
{
	enum stage prev = stage_enter(w, STAGE_DRIVER_RX, 0);
	struct batch b;
	unsigned n = 0;

	batch_init(&b);
	for (; r->cap && n < budget && r->due <= now; n++) {
		struct pkt *p = frame(w, r);
		if (p)
			batch_add(&b, p);
		advance(r);
	}
	w->stages[STAGE_DRIVER_RX].packets += n;
	if (b.n)
		netdev_rx(w, r->dev, &b);
	stage_leave(w, prev);
	return n;
}

static void on_time(struct timer *t, uint64_t now)
{
	struct replay *r = container_of(t, struct replay, timer);
	struct worker *w = r->dev->core->workers[0];

	play(w, r, now, BATCH_MAX);
	if (r->cap)
		timer_set(&w->wheel, &r->timer, r->due);
}

static unsigned at_full_speed(struct worker *w, struct poller *poller, unsigned budget)
{
	struct replay *r = container_of(poller, struct replay, poller);

	return r->cap ? play(w, r, w->now, MIN(budget, (unsigned)BATCH_MAX)) : 0;
}

int replay_start(struct replay *r)
{
	struct worker *w = r->dev->core->workers[0];
	char err[PCAP_ERRBUF_SIZE];

	if (r->fd < 0)
		return 0;
	r->cap = reader(r->fd, err);
	if (!r->cap) {
		damaged(r, err);
		return -EIO;
	}
	r->n_pass = 0;
	r->n_passes = 0;
	r->start = r->due = w->now;
	r->poller.poll = at_full_speed;
	timer_init(&r->timer, on_time);
	advance(r);
	if (!r->speed) {
		int e = poller_attach(w, &r->poller);
		if (e) {
			finish(r);
			return e;
		}
		r->polled = true;
	} else if (r->cap) {
		timer_set(&w->wheel, &r->timer, r->due);
	}
	return 0;
}

void replay_stop(struct replay *r)
{
	if (r->polled)
		poller_detach(&r->poller);
	r->polled = false;
	if (r->cap)
		finish(r);
}
