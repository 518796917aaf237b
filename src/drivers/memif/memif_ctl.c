/*
 * memif_ctl: the control protocol's messages. What a message must not say ends the connection;
 * texts are those of DPDK's driver where it has one.
 */
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "drivers/memif/memif.h"

#define LOG2_RING_LEAST 1

static void put_name(uint8_t to[MEMIF_NAME_SIZE], const char *name)
{
	snprintf((char *)to, MEMIF_NAME_SIZE, "%s", name);
}

static void get_name(struct memif_dev *m, const uint8_t from[MEMIF_NAME_SIZE])
{
	memcpy(m->set.peer, from, MEMIF_NAME_SIZE);
	m->set.peer[MEMIF_NAME_SIZE] = 0;
}

static const char *sent(int err)
{
	return err ? "Cannot send" : NULL;
}

static const char *ack(struct memif_conn *c)
{
	return sent(memif_conn_send(c, &(struct memif_msg){.type = MEMIF_ACK}, -1));
}

/* The link is complete: packets may pass. */
static const char *connected(struct memif_conn *c, const struct memif_msg *m)
{
	struct memif_dev *d = c->dev;
	int err;

	get_name(d, m->names.name);
	err = memif_link_start(c->link);
	if (err)
		return strerror(-err);
	rcu_set_pointer(&d->link, c->link);
	c->link = NULL;
	return NULL;
}

/* ---- a server's side ---- */

int memif_ctl_hello(struct memif_conn *c)
{
	struct memif_msg m = {
		.type = MEMIF_HELLO,
		.hello = {.min_version = MEMIF_VERSION,
			  .max_version = MEMIF_VERSION,
			  .max_region = MEMIF_REGIONS_MAX - 1,
			  .max_to_client = MEMIF_QUEUES_MAX - 1,
			  .max_to_server = MEMIF_QUEUES_MAX - 1,
			  .max_log2_ring = MEMIF_LOG2_RING_MAX},
	};

	put_name(m.hello.name, "weft");
	return memif_conn_send(c, &m, -1);
}

static bool secret_ok(const struct memif_dev *m, const uint8_t given[MEMIF_SECRET_SIZE])
{
	uint8_t want[MEMIF_SECRET_SIZE] = {0}, differs = 0;

	if (!m->set.secret[0])
		return true;
	memcpy(want, m->set.secret, strnlen(m->set.secret, sizeof(want)));
	for (unsigned i = 0; i < sizeof(want); i++)
		differs |= want[i] ^ given[i];
	return !differs;
}

static const char *on_init(struct memif_conn *c, const struct memif_init *i)
{
	struct memif_dev *m;

	if (c->dev || !c->listener)
		return "Unexpected message";
	if (i->version != MEMIF_VERSION)
		return "Incompatible memif version";
	m = memif_listener_find(c->listener, i->id);
	if (!m)
		return "ID not found";
	if (m->conn)
		return "Already connected";
	if (i->mode != MEMIF_MODE_ETHERNET)
		return "Only ethernet mode supported";
	if (!secret_ok(m, i->secret))
		return i->secret[0] ? "Incorrect secret" : "Secret required";
	c->link = memif_link_new(m);
	if (!c->link)
		return "No memory";
	memif_conn_bound(c, m);
	return ack(c);
}

static const char *on_connect(struct memif_conn *c, const struct memif_msg *m)
{
	struct memif_msg answer = {.type = MEMIF_CONNECTED};
	const char *why = memif_link_check(c->link);

	if (!why)
		why = connected(c, m);
	if (why)
		return why;
	put_name(answer.names.name, c->dev->dev->name);
	why = sent(memif_conn_send(c, &answer, -1));
	if (!why)
		netdev_set_carrier(c->dev->dev, true);
	return why;
}

/* ---- a client's side ---- */

static const char *send_rings(struct memif_conn *c, const struct memif_queue *q, unsigned n,
			      unsigned log2_ring, uint16_t flags)
{
	int err = 0;

	for (unsigned i = 0; i < n && !err; i++) {
		struct memif_msg m = {.type = MEMIF_ADD_RING,
				      .ring = {.flags = flags,
					       .index = (uint16_t)i,
					       .offset = q[i].offset,
					       .log2_ring = (uint8_t)log2_ring}};

		err = memif_conn_send(c, &m, q[i].fd);
	}
	return sent(err);
}

static const char *introduce(struct memif_conn *c)
{
	struct memif_msg m = {.type = MEMIF_INIT,
			      .init = {.version = MEMIF_VERSION,
				       .id = c->dev->set.id,
				       .mode = MEMIF_MODE_ETHERNET}};
	int err;

	memcpy(m.init.secret, c->dev->set.secret, strnlen(c->dev->set.secret, MEMIF_SECRET_SIZE));
	put_name(m.init.name, "weft");
	err = memif_conn_send(c, &m, -1);
	if (!err) {
		m = (struct memif_msg){.type = MEMIF_ADD_REGION,
				       .region = {.size = c->link->region[0].size}};
		err = memif_conn_send(c, &m, c->link->region[0].fd);
	}
	return sent(err);
}

static const char *on_hello(struct memif_conn *c, const struct memif_hello *h)
{
	const struct memif_params *set = &c->dev->set;
	struct memif_msg m = {.type = MEMIF_CONNECT};
	unsigned log2_ring = (unsigned)__builtin_ctz(set->ring);
	const char *why;

	if (c->hello)
		return "Unexpected message";
	if (h->min_version > MEMIF_VERSION || h->max_version < MEMIF_VERSION)
		return "Incompatible memif version";
	if (h->max_log2_ring < LOG2_RING_LEAST)
		return "Rings too small";
	c->hello = true;
	log2_ring = MIN(log2_ring, (unsigned)h->max_log2_ring);
	unsigned n_rx = MIN(set->queues, h->max_to_client + 1u);
	unsigned n_tx = MIN(set->queues, h->max_to_server + 1u);

	c->link = memif_link_new(c->dev);
	if (!c->link)
		return "No memory";
	int err = memif_link_build(c->link, n_rx, n_tx, log2_ring, set->buffer);

	if (err)
		return strerror(-err);
	why = introduce(c);
	if (!why)
		why = send_rings(c, c->link->tx, n_tx, log2_ring, MEMIF_RING_TO_SERVER);
	if (!why)
		why = send_rings(c, c->link->rx, n_rx, log2_ring, 0);
	put_name(m.names.name, c->dev->dev->name);
	return why ? why : sent(memif_conn_send(c, &m, -1));
}

static const char *client_input(struct memif_conn *c, const struct memif_msg *m)
{
	const char *why;

	switch (m->type) {
	case MEMIF_ACK:
		return NULL;
	case MEMIF_HELLO:
		return on_hello(c, &m->hello);
	case MEMIF_CONNECTED:
		if (!c->link)
			return "Unexpected message";
		why = connected(c, m);
		if (!why)
			netdev_set_carrier(c->dev->dev, true);
		return why;
	}
	return "Unexpected message";
}

/* ---- both ---- */

static const char *server_input(struct memif_conn *c, const struct memif_msg *m, int fd)
{
	const char *why;

	switch (m->type) {
	case MEMIF_ADD_REGION:
		why = memif_link_region(c->link, &m->region, fd);
		return why ? why : ack(c);
	case MEMIF_ADD_RING:
		why = memif_link_ring(c->link, &m->ring, fd);
		return why ? why : ack(c);
	}
	if (fd >= 0)
		close(fd);
	return m->type == MEMIF_CONNECT ? on_connect(c, m) : "Unexpected message";
}

const char *memif_ctl_input(struct memif_conn *c, const struct memif_msg *m, int fd)
{
	if (m->type == MEMIF_DISCONNECT || !c->listener || !c->link) {
		if (fd >= 0)
			close(fd);
		if (m->type == MEMIF_DISCONNECT)
			return "";
		if (!c->listener)
			return client_input(c, m);
		return m->type == MEMIF_INIT ? on_init(c, &m->init) : "Unexpected message";
	}
	return server_input(c, m, fd);
}
