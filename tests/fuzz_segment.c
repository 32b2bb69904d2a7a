/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_segment.c - a conversation that the fuzzer composes, in segments that come in order, again,
 * early or never. The oracle is plain: it knows which messages it composed and which bytes were
 * delivered. What must hold:
 *  - each request that was started is ended, given up or outstanding, and none is two of these
 *  - a stream whose bytes were all delivered has been stepped over to its end
 *  - where no loss is reported, and both streams are at their end, all that was composed was
 *    counted, with its method and status: no loss is silent
 *  - where the requests were seen whole, what was counted is the beginning of what was composed:
 *    nothing is made up, and what comes behind a loss answers no request before it
 */
#include <stdlib.h>

#include "http_drive.h"

#define STREAM 65536
#define MSGS   16

#define CHECK(condition)                                                                \
	do {                                                                            \
		if (!(condition)) {                                                     \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
			abort();                                                        \
		}                                                                       \
	} while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The input, as decisions; zeros behind its end. */
struct input {
	const uint8_t *at;
	size_t left;
};

static unsigned take(struct input *in)
{
	if (!in->left)
		return 0;
	in->left--;
	return *in->at++;
}

struct stream {
	char text[STREAM];
	size_t len;
	uint8_t have[STREAM]; /* delivered */
	size_t whole;	      /* all before it is delivered */
	uint32_t base;
};

struct msg {
	uint8_t method;
	uint16_t status;
};

static void put(struct stream *s, const char *text)
{
	size_t len = strlen(text);

	memcpy(s->text + s->len, text, len);
	s->len += len;
}

static void put_bytes(struct stream *s, struct input *in, size_t cnt)
{
	static const char *const bodies[] = {
		"x",
		"\r\n",
		"HTTP/1.1 500 -\r\nContent-Length: 3\r\n\r\n",
		"GET / HTTP/1.1\r\n\r\n",
		"0\r\n\r\n",
		"\n",
	};
	const char *body = bodies[take(in) % 6];

	for (size_t i = 0, len = strlen(body); i < cnt; i++)
		s->text[s->len++] = body[i % len];
}

/* Fields, the empty line and a body. has_body: 0 = its framing alone, as for a HEAD. */
static void put_rest(struct stream *s, struct input *in, int needs_length, int has_body)
{
	unsigned kind = take(in);
	char line[64];
	size_t cnt;

	if (kind & 0x40)
		put(s, "A: 0123456789012345678901234567890123456789012345678901234567890123\r\n");
	switch (kind & 3) {
	case 0:
		put(s, needs_length ? "Content-Length: 0\r\n\r\n" : "\r\n");
		return;
	case 1:
	case 2:
		cnt = (size_t)take(in) * ((kind & 3) == 1 ? 1 : 11);
		snprintf(line, sizeof(line), "Content-Length: %zu\r\n\r\n", cnt);
		put(s, line);
		if (has_body)
			put_bytes(s, in, cnt);
		return;
	}
	put(s, "Transfer-Encoding: chunked\r\n\r\n");
	if (!has_body)
		return;
	for (unsigned i = 0; i < (kind >> 2 & 3); i++) {
		cnt = take(in) * 9u + 1;
		snprintf(line, sizeof(line), kind & 0x10 ? "%zx;a=b\r\n" : "%zX\r\n", cnt);
		put(s, line);
		put_bytes(s, in, cnt);
		put(s, "\r\n");
	}
	put(s, kind & 0x20 ? "0\r\nA: b\r\n\r\n" : "0\r\n\r\n");
}

static struct msg put_exchange(struct stream *requests, struct stream *responses, struct input *in)
{
	static const char *const methods[] = {"GET",	"HEAD",	 "POST", "PUT",
					      "DELETE", "PATCH", "XYZ"};
	static const uint8_t ids[] = {SLID_METHOD_GET,	SLID_METHOD_HEAD,   SLID_METHOD_POST,
				      SLID_METHOD_PUT,	SLID_METHOD_DELETE, SLID_METHOD_PATCH,
				      SLID_METHOD_OTHER};
	static const uint16_t statuses[] = {200, 201, 204, 304, 404, 500, 503, 599};
	unsigned choice = take(in), method = choice % 7, status = statuses[choice >> 5];
	char line[64];

	put(requests, methods[method]);
	put(requests, take(in) & 1 ? " http://example.com/a?b=c HTTP/1.1\r\n" : " / HTTP/1.0\r\n");
	put_rest(requests, in, 0, 1);
	if (take(in) % 8 == 1)
		put(responses, "HTTP/1.1 100 Continue\r\n\r\n");
	snprintf(line, sizeof(line), "HTTP/1.1 %u Reason\r\n", status);
	put(responses, line);
	put_rest(responses, in, 1, method != 1 && status != 204 && status != 304);
	return (struct msg){ids[method], (uint16_t)status};
}

static void deliver(struct drive *d, struct stream *s, int kind, size_t from, size_t len,
		    uint64_t now)
{
	char *copy;

	if (from >= s->len || !len)
		return;
	if (len > s->len - from)
		len = s->len - from;
	copy = malloc(len); /* of exact size */
	CHECK(copy);
	memcpy(copy, s->text + from, len);
	drive_segment(d, kind, s->base + (uint32_t)from, copy, (uint32_t)len, now);
	free(copy);
	memset(s->have + from, 1, len);
	while (s->whole < s->len && s->have[s->whole])
		s->whole++;
	CHECK(d->started_cnt == d->req_cnt + d->lost_cnt + drive_outstanding(d));
	CHECK(d->conn->stream[kind].range_cnt <= HTTP_RANGES);
}

/* Deliver the stream; fill: to its last byte. */
static void play(struct drive *d, struct stream *s, int kind, struct input *in, unsigned op_cnt,
		 int fill)
{
	uint64_t now = 1;

	for (unsigned i = 0; i < op_cnt && s->whole < s->len && in->left; i++) {
		unsigned op = take(in);
		size_t len = (take(in) + 1u) << (op >> 4 & 3) * 2, gap = take(in);

		switch (op & 3) {
		case 0:
		case 1: /* the next bytes */
			deliver(d, s, kind, s->whole, len, now++);
			break;
		case 2: /* again, and maybe more */
			gap <<= op >> 6;
			deliver(d, s, kind, gap < s->whole ? s->whole - gap : 0, len, now++);
			break;
		case 3: /* ahead */
			deliver(d, s, kind, s->whole + (gap << (op >> 6) * 2), len, now++);
			break;
		}
	}
	while (fill && s->whole < s->len)
		deliver(d, s, kind, s->whole, 1460, now++);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct drive d;
	static struct stream streams[2];
	static char text[DRIVE_TEXT_MAX];
	struct input in = {data, size};
	struct msg msgs[MSGS];
	unsigned flags = take(&in), msg_cnt = take(&in) % MSGS + 1;
	uint32_t base = (take(&in) << 8 | take(&in)) - 0x8000u;
	int is_seen = 1, is_done = 1;
	const struct http_stream *s;

	for (int kind = 0; kind < 2; kind++) {
		streams[kind].len = streams[kind].whole = 0;
		memset(streams[kind].have, 0, STREAM);
		streams[kind].base = base;
	}
	for (unsigned i = 0; i < msg_cnt; i++) {
		msgs[i] = put_exchange(&streams[0], &streams[1], &in);
		if (streams[0].len > STREAM / 2 || streams[1].len > STREAM / 2)
			msg_cnt = i + 1; /* the largest one still fits */
	}
	if (flags & 1)
		drive_join(&d, base, flags >> 4, !(flags & 2));
	else
		drive_init(&d, base, flags >> 4, !(flags & 2));
	for (int kind = 0; kind < 2; kind++) {
		play(&d, &streams[kind], kind, &in, kind ? 1000 : 40, flags & (kind ? 8 : 4));
		s = &d.conn->stream[kind];
		if (!(flags & 1) && streams[kind].whole == streams[kind].len)
			CHECK(s->next_seq == base + (uint32_t)streams[kind].len);
		is_done &= s->next_seq == base + (uint32_t)streams[kind].len;
		is_seen &= kind == HTTP_RESPONSES || (is_done && !d.gap_cnt && !d.desync_cnt);
	}
	if (!(flags & 1) && is_seen) {
		CHECK(d.started_cnt == msg_cnt);
		CHECK(d.req_cnt <= msg_cnt);
		for (size_t i = 0; i < d.req_cnt; i++) {
			CHECK(d.reqs[i].method == msgs[i].method);
			CHECK(d.reqs[i].status == msgs[i].status);
			CHECK(d.reqs[i].error == SLID_ERROR_NONE);
		}
		CHECK(!d.bad_request_cnt && !d.full_cnt && !d.limit_cnt);
		CHECK(!d.gap_cnt == !d.desync_cnt || d.bad_response_cnt);
		if (is_done && !d.gap_cnt && !d.desync_cnt) {
			CHECK(d.req_cnt == msg_cnt);
			drive_text(&d, text);
			CHECK(!strcmp(strchr(text, '|'), "| http1"));
		}
	}
	drive_close(&d, 1u << 30);
	CHECK(d.started_cnt == d.req_cnt + d.lost_cnt);
	drive_free(&d);
	return 0;
}
