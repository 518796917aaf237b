/* record: from frames to a capture file, through a ring and a thread. See pcap.h. */
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "drivers/pcap/pcap.h"

#define RING	 (8u << 20) /* bytes, a power of two */
#define KICK_AT	 (64u << 10)
#define SNAPLEN	 262144
#define MAGIC	 0xa1b23c4d /* nanoseconds; byte order of whoever writes */
#define STACK	 (64u << 10)
#define FLUSH_NS NSEC_PER_SEC

/* As in the file (pcap-savefile(5)). */
struct record_header {
	uint32_t sec, nsec, caplen, len;
};

int record_open(struct record *r, const char *path, int not, struct extack *ext)
{
	struct pcap_file_header h = {.magic = MAGIC,
				     .version_major = PCAP_VERSION_MAJOR,
				     .version_minor = PCAP_VERSION_MINOR,
				     .snaplen = SNAPLEN,
				     .linktype = DLT_EN10MB};
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NONBLOCK, 0666), err = 0;
	struct stat st, other;

	if (fd < 0)
		return extack_set(ext, -errno, "the file to record to cannot be opened");
	if (fstat(fd, &st) || !S_ISREG(st.st_mode))
		err = extack_set(ext, -EINVAL, "the file to record to is not a regular file");
	else if (not >= 0 && !fstat(not, &other) && st.st_ino == other.st_ino &&
		 st.st_dev == other.st_dev)
		err = extack_set(ext, -EINVAL, "the file to record to is the one to replay");
	else if (ftruncate(fd, 0) || write(fd, &h, sizeof(h)) != sizeof(h))
		err = extack_set(ext, errno ? -errno : -EIO, "the file cannot be written");
	if (!err) {
		r->ring = malloc(RING);
		err = r->ring ? 0 : -ENOMEM;
	}
	if (err)
		close(fd);
	else
		r->fd = fd;
	return err;
}

void record_close(struct record *r)
{
	if (r->fd >= 0)
		close(r->fd);
	r->fd = -1;
	free(r->ring);
	r->ring = NULL;
}

/* ---- the thread ---- */

/* After an error it takes out of the ring what there is, and no more. */
static void write_out(struct record *r, uint64_t upto)
{
	while (r->head != upto) {
		uint64_t at = r->head % RING, n = upto - r->head;
		n = MIN(n, RING - at);
		ssize_t done = (ssize_t)n;
		if (!__atomic_load_n(&r->error, __ATOMIC_RELAXED))
			done = write(r->fd, r->ring + at, n);
		if (done < 0) {
			if (errno != EINTR)
				__atomic_store_n(&r->error, errno, __ATOMIC_RELAXED);
			continue;
		}
		__atomic_store_n(&r->head, r->head + (uint64_t)done, __ATOMIC_RELEASE);
	}
}

static void *writer(void *arg)
{
	struct record *r = arg;
	int stop;

	do {
		while (sem_wait(&r->kick))
			;
		stop = __atomic_load_n(&r->stop, __ATOMIC_ACQUIRE);
		write_out(r, __atomic_load_n(&r->tail, __ATOMIC_ACQUIRE));
	} while (!stop);
	return NULL;
}

static int thread_start(struct record *r)
{
	sigset_t all, old;
	pthread_attr_t attr;

	/* signals are the program's; SIGXFSZ must not be this thread's end */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK);
	int err = pthread_create(&r->thread, &attr, writer, r);
	pthread_attr_destroy(&attr);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return -err;
}

/* ---- worker 0 ---- */

static void kick(struct record *r)
{
	r->asked = r->tail;
	sem_post(&r->kick);
}

static void complain(struct record *r)
{
	int error = __atomic_load_n(&r->error, __ATOMIC_RELAXED);

	if (!error || r->complained)
		return;
	r->complained = true;
	log_warn("recording ends: %s", strerror(error));
}

static void flush(struct timer *t, uint64_t now)
{
	struct record *r = container_of(t, struct record, timer);

	complain(r);
	if (r->asked != r->tail)
		kick(r);
}

static void put(struct record *r, uint64_t *at, const void *data, size_t len)
{
	size_t off = *at % RING, first = MIN(len, (size_t)RING - off);

	memcpy(r->ring + off, data, first);
	memcpy(r->ring, (const uint8_t *)data + first, len - first);
	*at += len;
}

bool record_frame(struct worker *w, struct record *r, const struct pkt *p, uint64_t when)
{
	struct record_header h = {(uint32_t)(when / NSEC_PER_SEC), (uint32_t)(when % NSEC_PER_SEC),
				  p->total, p->total};
	uint64_t at = r->tail, used = at - __atomic_load_n(&r->head, __ATOMIC_ACQUIRE);

	if (__atomic_load_n(&r->error, __ATOMIC_RELAXED) || RING - used < sizeof(h) + p->total) {
		r->n_lost++;
		return false;
	}
	put(r, &at, &h, sizeof(h));
	for (const struct pkt *s = p; s; s = s->seg)
		put(r, &at, pkt_data(s), s->len);
	__atomic_store_n(&r->tail, at, __ATOMIC_RELEASE);
	r->n_frames++;
	if (at - r->asked >= KICK_AT)
		kick(r);
	else if (!timer_pending(&r->timer))
		timer_set(&w->wheel, &r->timer, w->now + FLUSH_NS);
	return true;
}

int record_start(struct record *r)
{
	if (r->fd < 0)
		return 0;
	r->stop = 0;
	r->asked = r->tail;
	timer_init(&r->timer, flush);
	sem_init(&r->kick, 0, 0);
	int err = thread_start(r);
	if (err)
		sem_destroy(&r->kick);
	else
		r->running = true;
	return err;
}

void record_stop(struct record *r)
{
	if (!r->running)
		return;
	timer_del(&r->timer);
	__atomic_store_n(&r->stop, 1, __ATOMIC_RELEASE);
	sem_post(&r->kick);
	pthread_join(r->thread, NULL);
	sem_destroy(&r->kick);
	r->running = false;
	complain(r);
}
