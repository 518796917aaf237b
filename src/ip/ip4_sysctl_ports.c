/*
 * ip4_sysctl_ports: net/ipv4/ip_local_reserved_ports: ports that a socket gets only if it asks.
 *
 * Written as a list, "8080,9000-9010"; each write replaces all that was there.
 */
#include <stdio.h>

#include "ip/ip4_sysctl.h"

#define N_PORTS 65536
#define N_WORDS (N_PORTS / 64)

static void *where_ports(struct net *net, struct netdev *dev, const char *which)
{
	return &net->ip4->reserved_ports;
}

static void show_ports(struct net *net, struct netdev *dev, FILE *out)
{
	const char *comma = "";

	for (unsigned i = 0; i < N_PORTS; i++) {
		unsigned first = i;

		if (!ip4_port_reserved(net, (uint16_t)i))
			continue;
		while (i + 1 < N_PORTS && ip4_port_reserved(net, (uint16_t)(i + 1)))
			i++;
		fprintf(out, i > first ? "%s%u-%u" : "%s%u", comma, first, i);
		comma = ",";
	}
	fputc('\n', out);
}

/* A port that ends with one of `ends` or with the text; -1: there is none. */
static long read_port(const char **text, const char *ends)
{
	char *end;
	unsigned long v;

	if (**text < '0' || **text > '9')
		return -1;
	v = strtoul(*text, &end, 0);
	if (v >= N_PORTS || (*end && !strchr(ends, *end)))
		return -1;
	*text = end;
	return (long)v;
}

static int read_list(const char *text, uint64_t *map)
{
	text += strspn(text, "\n");
	while (*text) {
		long a = read_port(&text, "-,\n"), b = a;

		if (a >= 0 && *text == '-') {
			text++;
			b = read_port(&text, ",\n");
		}
		if (a < 0 || b < a)
			return -EINVAL;
		for (long i = a; i <= b; i++)
			map[i / 64] |= 1ULL << (i % 64);
		if (*text)
			text++;
		text += strspn(text, "\n");
	}
	return 0;
}

static int store_ports(struct net *net, struct netdev *dev, const char *text)
{
	uint64_t *map = calloc(N_WORDS, sizeof(*map));

	if (!map)
		return -ENOMEM;
	int err = read_list(text, map);
	if (err) {
		free(map);
		return err;
	}
	free(net->ip4->reserved_ports);
	net->ip4->reserved_ports = map;
	return 0;
}

const struct sysctl_row ip4_sysctl_ports[] = {
	{"net/ipv4/ip_local_reserved_ports", SYSCTL_STRING, 0644, 0, 0, where_ports, NULL,
	 show_ports, store_ports},
	{0},
};
