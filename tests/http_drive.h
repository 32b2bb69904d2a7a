/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http_drive.h - play a conversation through the parser as the kernel programs do (bpf/flow.h,
 * bpf/life.h): windows of HTTP_WIN, counted bodies unread, gaps, events taken after each call. What
 * stands around a window's bytes is made hostile before each call, and a guard page ends the
 * window.
 */
#ifndef HTTP_DRIVE_H
#define HTTP_DRIVE_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "slid/segment.h"

#define DRIVE_WINDOWS 160 /* FLOW_WINDOWS */
#define DRIVE_EARLY   4	  /* EARLY_WINDOWS */
#define DRIVE_TURNS   8	  /* EARLY_TURNS */
#define DRIVE_REQS    1024

struct drive_req {
	uint64_t start_ns;
	uint64_t first_ns;
	uint64_t end_ns;
	uint32_t end_seq; /* of the response stream, behind the response */
	uint16_t status;
	uint8_t method;
	uint8_t error;
};

/* A request that entered the ring. */
struct drive_push {
	uint64_t start_ns;
	uint8_t method;
};

struct drive {
	struct http_conn *conn; /* owned; on the heap, where ASan sees its ends */
	struct http_win *win;	/* owned; see drive_init() */
	void *pages;		/* owned; NULL = win is on the heap */
	size_t pages_bytes;
	uint32_t sent[2];
	int is_client; /* the watched side is the client's */
	int is_joined; /* no handshake was seen, and no message yet */
	int is_confused;
	size_t req_cnt, push_cnt;
	unsigned started_cnt, lost_cnt, proto_cnt, limit_cnt;
	unsigned bad_request_cnt, bad_response_cnt, desync_cnt, unmatched_cnt, full_cnt, gap_cnt;
	uint8_t hostile[sizeof(((struct http_win *)0)->bytes)];
	struct drive_req reqs[DRIVE_REQS];
	struct drive_push pushes[DRIVE_REQS];
};

#define DRIVE_POISONS 10

static inline const char *drive_poison_text(unsigned poison, size_t *len)
{
	static const struct {
		const char *text;
		size_t len;
	} poisons[DRIVE_POISONS] = {
		{"\0", 1},
		{"\n", 1},
		{"\xff", 1},
		{"7", 1},
		{" ", 1},
		{"\r\n\r\n", 4},
		{"\r\nContent-Length: 9\r\n", 21},
		{"HTTP/1.1 200 OK\r\n\r\n", 19},
		{"Transfer-Encoding: chunked\r\n0\r\n\r\n", 33},
		{"GET / HTTP/1.1\r\n\r\n", 18},
	};

	*len = poisons[poison % DRIVE_POISONS].len;
	return poisons[poison % DRIVE_POISONS].text;
}

/* Everything of the window but the bytes to read, as the last user may have left it. */
static inline void drive_poison(const struct drive *d)
{
	memset(d->win, 0xa5, offsetof(struct http_win, before));
	memcpy(d->win->before, d->hostile, sizeof(d->win->before));
	memcpy(d->win->bytes, d->hostile, sizeof(d->win->bytes));
}

/* drive_init - a connection that the handshake announced, both streams at seq. The window ends at a
 * guard page, or with is_heap where ASan guards both its ends. */
static inline void drive_init(struct drive *d, uint32_t seq, unsigned poison, int is_heap)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE), len;
	const char *text;

	memset(d, 0, offsetof(struct drive, hostile));
	text = drive_poison_text(poison, &len);
	for (size_t i = 0; i < sizeof(d->hostile); i++)
		d->hostile[i] = (uint8_t)text[i % len];
	d->conn = calloc(1, sizeof(*d->conn));
	if (!d->conn)
		abort();
	http_conn_init(d->conn);
	for (int kind = 0; kind < 2; kind++) {
		d->sent[kind] = seq;
		d->conn->stream[kind].next_seq = seq;
		d->conn->stream[kind].flags = HTTP_F_SYN;
	}
	if (is_heap) {
		d->win = malloc(sizeof(*d->win));
		if (!d->win)
			abort();
		return;
	}
	d->pages_bytes = (sizeof(*d->win) + page - 1) / page * page + page;
	d->pages = mmap(NULL, d->pages_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			-1, 0);
	if (d->pages == MAP_FAILED ||
	    mprotect((char *)d->pages + d->pages_bytes - page, page, PROT_NONE))
		abort();
	d->win = (struct http_win *)(void *)((char *)d->pages + d->pages_bytes - page -
					     sizeof(*d->win));
}

/* drive_join - the same for a connection that began before slid. */
static inline void drive_join(struct drive *d, uint32_t seq, unsigned poison, int is_heap)
{
	drive_init(d, seq, poison, is_heap);
	d->conn->stream[HTTP_REQUESTS].flags = 0;
	d->conn->stream[HTTP_RESPONSES].flags = 0;
	d->is_joined = 1;
}

static inline void drive_free(struct drive *d)
{
	if (d->pages)
		munmap(d->pages, d->pages_bytes);
	else
		free(d->win);
	free(d->conn);
}

/* found_take() and found_count(). */
static inline void drive_take(struct drive *d, uint64_t now)
{
	struct http_conn *c = d->conn;
	unsigned events = c->events;
	struct drive_req *req;

	for (unsigned i = c->started_cnt; i && d->push_cnt < DRIVE_REQS; i--) {
		uint64_t entry = c->ring[(uint8_t)(c->ring_head - i) % HTTP_RING];

		d->pushes[d->push_cnt].start_ns = entry & HTTP_TIME_MASK;
		d->pushes[d->push_cnt++].method = entry >> 52 & 15;
	}
	d->started_cnt += c->started_cnt;
	d->lost_cnt += c->lost_cnt;
	d->proto_cnt += !!(events & HTTP_E_PROTO);
	d->bad_request_cnt += !!(events & HTTP_E_BAD_REQUEST);
	d->bad_response_cnt += !!(events & HTTP_E_BAD_RESPONSE);
	d->desync_cnt += !!(events & HTTP_E_DESYNC);
	d->unmatched_cnt += !!(events & HTTP_E_UNMATCHED);
	d->full_cnt += !!(events & HTTP_E_PIPELINE_FULL);
	d->gap_cnt += !!(events & HTTP_E_GAP);
	if ((events & HTTP_E_DONE) && d->req_cnt < DRIVE_REQS) {
		req = &d->reqs[d->req_cnt++];
		req->start_ns = c->done.start_ns;
		req->first_ns = c->done.first_ns;
		req->end_ns = now;
		req->end_seq = c->stream[HTTP_RESPONSES].next_seq;
		req->status = c->done.status;
		req->method = c->done.method;
		req->error = c->done.error;
	}
	c->events = 0;
	c->started_cnt = 0;
	c->lost_cnt = 0;
}

/* slid_read(): one window of the segment. Return: whether there is more. */
static inline int drive_read(struct drive *d, int kind, uint32_t seq, const void *bytes,
			     uint32_t len, uint64_t now)
{
	struct http_conn *c = d->conn;
	struct http_stream *s = &c->stream[kind];
	int32_t off = (int32_t)(s->next_seq - seq);
	uint32_t skip = 0, n = 0, rest, fed;

	if (off >= (int32_t)len && !s->range_cnt)
		return 0;
	if (off < 0) {
		segment_gap(c, s, seq, len, now);
	} else {
		if (off < (int32_t)len) { /* plan_make() */
			rest = len - (uint32_t)off;
			if (s->state >= HTTP_UNTIL_CLOSE)
				skip = s->state != HTTP_LOST || off ? rest : 0;
			else if (s->state >= HTTP_BODY)
				skip = s->left < rest ? (uint32_t)s->left : rest;
			rest -= skip;
			n = rest < HTTP_WIN ? rest : HTTP_WIN;
		}
		drive_poison(d);
		d->win->n = n;
		d->win->at_start = !off && !skip;
		if (n)
			memcpy(d->win->bytes + HTTP_CARRY, (const char *)bytes + off + skip, n);
		if (skip) { /* plan_apply() */
			s->next_seq += skip;
			if (s->state < HTTP_UNTIL_CLOSE)
				http_skip(c, s, skip, now);
		}
		if (n && !(c->events & HTTP_E_DONE)) {
			fed = http_feed(c, s, d->win, now);
			if (fed > n)
				abort();
			s->next_seq += fed;
		}
		if (s->range_cnt && !(c->events & HTTP_E_DONE))
			segment_fill(c, s, now);
	}
	off = (int32_t)(s->next_seq - seq); /* flow_has_more() */
	drive_take(d, now);
	if (c->flags & HTTP_C_OPAQUE)
		return 0;
	if (off >= 0 && off < (int32_t)len)
		return 1;
	return s->range_cnt && segment_may_fill(s);
}

/* conn_join(): whether these first bytes tell who is who. */
static inline int drive_knows_role(struct drive *d, int kind, const void *bytes, uint32_t len)
{
	int is_response;

	if (!d->is_joined)
		return 1;
	if (len < 8)
		return 0;
	is_response = !memcmp(bytes, "HTTP/", 5);
	if (!is_response && http_method(bytes) < 0)
		return 0;
	if (is_response != (kind == HTTP_RESPONSES)) {
		d->is_confused = 1; /* the roles come out exchanged: no test of the parser */
		return 0;
	}
	d->is_joined = 0;
	d->conn->flags |= HTTP_C_JOINED;
	return 1;
}

/* drive_segment - flow_packet(): one TCP segment of one stream. */
static inline void drive_segment(struct drive *d, int kind, uint32_t seq, const void *bytes,
				 uint32_t len, uint64_t now)
{
	int i;

	if (!len || (d->conn->flags & HTTP_C_OPAQUE) || !drive_knows_role(d, kind, bytes, len))
		return;
	segment_begin(d->conn, &d->conn->stream[kind], seq);
	for (i = 0; i < DRIVE_WINDOWS; i++)
		if (!drive_read(d, kind, seq, bytes, len, now))
			break;
	d->limit_cnt += i == DRIVE_WINDOWS;
}

/* drive_send - the stream's next bytes, in one segment. */
static inline void drive_send(struct drive *d, int kind, const void *bytes, size_t len,
			      uint64_t now)
{
	drive_segment(d, kind, d->sent[kind], bytes, (uint32_t)len, now);
	d->sent[kind] += (uint32_t)len;
}

/* drive_early - what the handshake's last segment carried: slid_take_early(). */
static inline void drive_early(struct drive *d, const void *bytes, uint32_t len, uint64_t now)
{
	struct http_stream *s = &d->conn->stream[HTTP_REQUESTS];

	for (uint32_t idx = 0; idx < DRIVE_EARLY && idx * HTTP_WIN < len; idx++) {
		uint32_t n = len - idx * HTTP_WIN < HTTP_WIN ? len - idx * HTTP_WIN : HTTP_WIN;
		int more = 1;

		drive_poison(d);
		d->win->n = n;
		d->win->at_start = !idx;
		memcpy(d->win->bytes + HTTP_CARRY, (const char *)bytes + idx * HTTP_WIN, n);
		for (uint32_t turn = 0; more; turn++) {
			more = 0;
			if (turn || http_begin(d->conn, s, d->win, now)) {
				http_run(d->conn, s, d->win, now);
				more = turn < DRIVE_TURNS && d->win->pos < d->win->end &&
				       s->state < HTTP_UNTIL_CLOSE &&
				       !(d->conn->flags & HTTP_C_OPAQUE);
				if (!more)
					http_pause(d->conn, s, d->win);
			}
			if (!more)
				s->next_seq += n;
			if (!more && idx == DRIVE_EARLY - 1 && len > DRIVE_EARLY * HTTP_WIN)
				segment_miss(d->conn, s, len - DRIVE_EARLY * HTTP_WIN, now);
			drive_take(d, now);
		}
	}
	d->sent[HTTP_REQUESTS] += len;
}

/* flow_end() */
static inline void drive_end(struct drive *d, int orderly, int client_first, uint64_t now)
{
	for (int i = 0; i <= HTTP_RING; i++) {
		int again = http_end(d->conn, orderly, client_first, now);

		drive_take(d, now);
		if (!again)
			break;
	}
}

/* drive_finish - slid_finish(): the sender's FIN or RST, its sequence number behind all it sent. */
static inline void drive_finish(struct drive *d, int kind, int is_rst, uint64_t now)
{
	struct http_conn *c = d->conn;
	struct http_stream *s = &c->stream[kind];
	int from_server = kind == HTTP_RESPONSES, client_first;
	int is_ingress = from_server == d->is_client;

	if ((c->flags & HTTP_C_OPAQUE) && !is_rst)
		return;
	if (is_rst ? is_ingress && (s->flags & HTTP_F_SYN) && d->sent[kind] != s->next_seq &&
			     !(c->flags & HTTP_C_OPAQUE)
		   : d->sent[kind] != s->next_seq)
		return;
	client_first = !!(c->flags & HTTP_C_CLIENT_END);
	if (from_server)
		c->flags |= HTTP_C_SERVER_END;
	else if (!(c->flags & HTTP_C_SERVER_END))
		c->flags |= HTTP_C_CLIENT_END;
	if (from_server || is_rst)
		drive_end(d, !is_rst, !from_server || client_first, now);
}

/* drive_close - life_closed(): the socket is gone. */
static inline void drive_close(struct drive *d, uint64_t now)
{
	int client_first = d->conn->flags & HTTP_C_CLIENT_END;

	if (d->conn->ring_head == d->conn->ring_tail)
		return;
	if (!(d->conn->flags & (HTTP_C_CLIENT_END | HTTP_C_SERVER_END)))
		client_first = !d->is_client;
	drive_end(d, 0, !!client_first, now);
}

/* Requests that are started and neither ended nor given up. */
static inline unsigned drive_outstanding(const struct drive *d)
{
	return http_ring_cnt(d->conn);
}

static inline const char *drive_method_text(uint8_t method)
{
	static const char *const names[16] = {"_OTHER", "GET",	   "HEAD",    "POST",  "PUT",
					      "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"};

	return names[method & 15] ? names[method & 15] : "?";
}

#define DRIVE_TEXT_MAX 16384

/* drive_text - all that was found but the times: "GET 200, HEAD 599 no_response | http1 desync=1".
 */
static inline void drive_text(const struct drive *d, char *text)
{
	static const char *const errors[] = {"", " no_response", " client_closed", " truncated"};
	static const char *const protos[] = {"none", "http1", "h2", "tls", "other"};
	const struct {
		const char *name;
		unsigned cnt;
	} counts[] = {
		{"started", d->started_cnt - (unsigned)d->req_cnt}, /* more than ended */
		{"lost", d->lost_cnt},
		{"bad_request", d->bad_request_cnt},
		{"bad_response", d->bad_response_cnt},
		{"desync", d->desync_cnt},
		{"unmatched", d->unmatched_cnt},
		{"full", d->full_cnt},
		{"gap", d->gap_cnt},
		{"limit", d->limit_cnt},
	};
	size_t at = 0;

	for (size_t i = 0; i < d->req_cnt; i++)
		at += (size_t)snprintf(text + at, DRIVE_TEXT_MAX - at, "%s%s %u%s", i ? ", " : "",
				       drive_method_text(d->reqs[i].method), d->reqs[i].status,
				       errors[d->reqs[i].error & 3]);
	at += (size_t)snprintf(text + at, DRIVE_TEXT_MAX - at, "%s| %s", at ? " " : "",
			       protos[d->conn->proto]);
	for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++)
		if (counts[i].cnt)
			at += (size_t)snprintf(text + at, DRIVE_TEXT_MAX - at, " %s=%u",
					       counts[i].name, counts[i].cnt);
}

#endif
