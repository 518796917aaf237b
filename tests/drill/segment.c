/* segment: the notation of segments, and their wire form, apart from the stack's own code for it.
 */
#include "transcript.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char letters[] = "FSRPAUEW";

enum { FIN = 1, SYN = 2, RST = 4, ACK = 16 };

/* ---- words ---- */

static uint32_t number(const struct transcript *t, const char *word)
{
	char *end;
	unsigned long v = strtoul(word, &end, 0);

	if (!*word || *end)
		fail(t, "'%s' is no number", word);
	return (uint32_t)v;
}

static void read_head(const struct transcript *t, char **w, struct segment *s)
{
	char *plus = strchr(w[1], '+');

	for (const char *c = w[0]; *c; c++) {
		const char *at = strchr(letters, *c);
		if (!at)
			fail(t, "'%c' is no flag", *c);
		s->flags |= (uint8_t)(1 << (at - letters));
	}
	if (plus) {
		*plus = 0;
		s->len = number(t, plus + 1);
	}
	s->seq = number(t, w[1]);
}

static void read_sack(const struct transcript *t, char *word, struct segment *s)
{
	char *dash = strchr(word, '-');

	if (!dash || s->n_sack == SACK_MAX)
		fail(t, "'%s' is no SACK block", word);
	*dash = 0;
	s->sack[s->n_sack][0] = number(t, word);
	s->sack[s->n_sack++][1] = number(t, dash + 1);
}

static void read_cookie(const struct transcript *t, const char *word, struct segment *s)
{
	unsigned byte;

	for (; sscanf(word, "%2x", &byte) == 1 && s->fo_len < sizeof(s->fo); word += 2)
		s->fo[s->fo_len++] = (uint8_t)byte;
	if (*word)
		fail(t, "'%s' is no cookie", word);
}

void segment_read(const struct transcript *t, char **w, unsigned n, const struct talk *talk,
		  struct segment *s)
{
	*s = (struct segment){.wscale = -1};
	if (n < 2)
		fail(t, "a segment has flags and a sequence number");
	read_head(t, w, s);
	for (unsigned i = 2; i < n; i++) {
		const char *key = w[i];
		char *arg = i + 1 < n ? w[i + 1] : (char[]){""};

		if (!strcmp(key, "ce")) {
			s->tos = 3;
			continue;
		}
		if (!strcmp(key, "sackok")) {
			s->sackok = true;
			continue;
		}
		i++;
		if (!strcmp(key, "ack"))
			s->ack = number(t, arg);
		else if (!strcmp(key, "win"))
			s->win = (uint16_t)number(t, arg), s->has_win = true;
		else if (!strcmp(key, "urg"))
			s->urg = (uint16_t)number(t, arg);
		else if (!strcmp(key, "mss"))
			s->mss = (uint16_t)number(t, arg);
		else if (!strcmp(key, "wscale"))
			s->wscale = (int)number(t, arg);
		else if (!strcmp(key, "sack"))
			for (; i < n && strchr(w[i], '-'); i++)
				read_sack(t, w[i], s);
		else if (!strcmp(key, "fo")) {
			s->has_fo = true;
			if (strcmp(arg, "-"))
				read_cookie(t, arg, s);
		} else if (!strcmp(key, "ts") && i + 1 < n) {
			s->has_ts = true;
			s->any_tsval = !strcmp(arg, "*");
			if (!s->any_tsval)
				s->tsval = number(t, arg);
			i++;
			s->tsecr = strcmp(w[i], "last") ? number(t, w[i]) : talk->last_tsval;
		} else {
			fail(t, "'%s' is not of a segment", key);
		}
		if (!strcmp(key, "sack"))
			i--;
	}
}

/* ---- bytes ---- */

static uint32_t get32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static uint16_t get16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static void put32(uint8_t *p, uint32_t v)
{
	v = htonl(v);
	memcpy(p, &v, 4);
}

static void put16(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static uint32_t add_up(uint32_t sum, const uint8_t *p, size_t len)
{
	for (size_t i = 0; i < len; i++)
		sum += i & 1 ? p[i] : (uint32_t)p[i] << 8;
	return sum;
}

static uint16_t fold(uint32_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

static size_t put_options(const struct segment *s, const struct talk *talk, uint8_t *o)
{
	uint8_t *at = o;

	if (s->mss) {
		*at++ = 2, *at++ = 4;
		put16(at, s->mss);
		at += 2;
	}
	if (s->sackok)
		*at++ = 4, *at++ = 2;
	if (s->has_ts) {
		*at++ = 8, *at++ = 10;
		put32(at, s->tsval);
		put32(at + 4, s->tsecr);
		at += 8;
	}
	if (s->wscale >= 0)
		*at++ = 3, *at++ = 3, *at++ = (uint8_t)s->wscale;
	if (s->has_fo) {
		*at++ = 34, *at++ = (uint8_t)(2 + s->fo_len);
		memcpy(at, s->fo, s->fo_len);
		at += s->fo_len;
	}
	if (s->n_sack)
		*at++ = 5, *at++ = (uint8_t)(2 + 8 * s->n_sack);
	for (unsigned i = 0; i < s->n_sack; i++, at += 8) {
		put32(at, s->sack[i][0] + talk->our_isn);
		put32(at + 4, s->sack[i][1] + talk->our_isn);
	}
	while ((at - o) % 4)
		*at++ = 1;
	return (size_t)(at - o);
}

size_t segment_put(const struct segment *s, const struct talk *talk, uint8_t *buf, size_t room)
{
	uint8_t *tcp = buf + 20, pseudo[12] = {0};
	size_t hlen, total;

	memset(buf, 0, room);
	hlen = 20 + put_options(s, talk, tcp + 20);
	total = 20 + hlen + s->len;
	buf[0] = 0x45;
	buf[1] = s->tos;
	put16(buf + 2, (uint32_t)total);
	buf[8] = 64;
	buf[9] = IPPROTO_TCP;
	put32(buf + 12, PEER_IP);
	put32(buf + 16, OUR_IP);
	put16(buf + 10, fold(add_up(0, buf, 20)));
	put16(tcp, talk->peer);
	put16(tcp + 2, talk->us);
	put32(tcp + 4, s->seq + talk->peer_isn);
	put32(tcp + 8, s->flags & ACK ? s->ack + talk->our_isn : 0);
	tcp[12] = (uint8_t)(hlen / 4 << 4);
	tcp[13] = s->flags;
	put16(tcp + 14, s->win);
	put16(tcp + 18, s->urg);
	for (size_t i = 0; i < s->len; i++)
		tcp[hlen + i] = (uint8_t)(s->seq + i);
	memcpy(pseudo, buf + 12, 8);
	pseudo[9] = IPPROTO_TCP;
	put16(pseudo + 10, (uint32_t)(hlen + s->len));
	put16(tcp + 16, fold(add_up(add_up(0, pseudo, 12), tcp, hlen + s->len)));
	return total;
}

static bool take_options(const uint8_t *o, size_t len, struct segment *s)
{
	size_t at = 0;

	while (at < len && o[at]) {
		uint8_t size = o[at] == 1 ? 1 : at + 1 < len ? o[at + 1] : 0;
		const uint8_t *v = o + at + 2;

		if (!size || at + size > len || (o[at] != 1 && size < 2))
			return false;
		switch (o[at]) {
		case 2:
			s->mss = get16(v);
			break;
		case 3:
			s->wscale = *v;
			break;
		case 4:
			s->sackok = true;
			break;
		case 5:
			for (; s->n_sack < (size - 2u) / 8 && s->n_sack < SACK_MAX; v += 8) {
				s->sack[s->n_sack][0] = get32(v);
				s->sack[s->n_sack++][1] = get32(v + 4);
			}
			break;
		case 8:
			s->has_ts = true;
			s->tsval = get32(v);
			s->tsecr = get32(v + 4);
			break;
		case 34:
			s->has_fo = true;
			s->fo_len = MIN(size - 2u, (unsigned)sizeof(s->fo));
			memcpy(s->fo, v, s->fo_len);
			break;
		}
		at += size;
	}
	return true;
}

bool segment_take(const uint8_t *buf, size_t len, struct segment *s)
{
	const uint8_t *tcp = buf + 20;
	size_t hlen;

	*s = (struct segment){.wscale = -1};
	if (len < 40 || buf[0] != 0x45 || buf[9] != IPPROTO_TCP || get16(buf + 2) != len)
		return false;
	hlen = (size_t)(tcp[12] >> 4) * 4;
	if (hlen < 20 || 20 + hlen > len)
		return false;
	s->from = get16(tcp);
	s->to = get16(tcp + 2);
	s->seq = get32(tcp + 4);
	s->ack = get32(tcp + 8);
	s->flags = tcp[13];
	s->win = get16(tcp + 14);
	s->urg = get16(tcp + 18);
	s->len = (uint32_t)(len - 20 - hlen);
	return take_options(tcp + 20, hlen - 20, s);
}

/* ---- compared and shown ---- */

void segment_print(const struct segment *s, char *text, size_t room)
{
	FILE *out = fmemopen(text, room, "w");

	for (unsigned i = 0; letters[i]; i++)
		if (s->flags & 1 << i)
			putc(letters[i], out);
	fprintf(out, " %u+%u ack %u win %u", s->seq, s->len, s->ack, s->win);
	if (s->urg)
		fprintf(out, " urg %u", s->urg);
	if (s->mss)
		fprintf(out, " mss %u", s->mss);
	if (s->sackok)
		fputs(" sackok", out);
	if (s->wscale >= 0)
		fprintf(out, " wscale %d", s->wscale);
	if (s->has_ts)
		fprintf(out, " ts %u %u", s->tsval, s->tsecr);
	if (s->n_sack)
		fputs(" sack", out);
	for (unsigned i = 0; i < s->n_sack; i++)
		fprintf(out, " %u-%u", s->sack[i][0], s->sack[i][1]);
	if (s->has_fo)
		fputs(s->fo_len ? " fo " : " fo -", out);
	for (unsigned i = 0; i < s->fo_len; i++)
		fprintf(out, "%02x", s->fo[i]);
	fclose(out);
}

bool segment_same(const struct segment *want, struct segment *got, const struct talk *talk,
		  char *text, size_t room)
{
	got->seq -= talk->our_isn;
	got->ack = got->flags & ACK ? got->ack - talk->peer_isn : 0;
	for (unsigned i = 0; i < got->n_sack; i++) {
		got->sack[i][0] -= talk->peer_isn;
		got->sack[i][1] -= talk->peer_isn;
	}
	segment_print(got, text, room);
	return got->flags == want->flags && got->seq == want->seq && got->len == want->len &&
	       got->ack == want->ack && (!want->has_win || got->win == want->win) &&
	       got->urg == want->urg && got->mss == want->mss && got->sackok == want->sackok &&
	       got->wscale == want->wscale && got->has_ts == want->has_ts &&
	       (want->any_tsval || got->tsval == want->tsval) && got->tsecr == want->tsecr &&
	       got->n_sack == want->n_sack &&
	       !memcmp(got->sack, want->sack, got->n_sack * sizeof(got->sack[0])) &&
	       got->has_fo == want->has_fo && got->fo_len == want->fo_len &&
	       !memcmp(got->fo, want->fo, got->fo_len);
}
