/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_http.c - one stream of any bytes, three ways: byte by byte, cut at random among hostile
 * bytes, and through http_parser. The first two must find the same; where http_parser found
 * messages, the parser must have found the same ones, with the same beginning and end.
 *
 * Input: FUZZ_HEAD bytes of decisions, then the stream.
 *
 * http_parser and this parser differ, for good reasons, in what follows; a message with any of it
 * ends the comparison (oracle.is_odd):
 *  - http_parser (as Debian builds it, not strict) lets a CR stand without its LF, any two bytes
 *    stand behind a chunk, a LF stand in a chunk extension, and a field's name contain spaces;
 * bytes above 127 are zeros in its chunk sizes
 *  - it takes HTTP/0.9, other major versions and ICE/1.0, status codes of one, two or many digits,
 *    and any number of spaces before them
 *  - it unfolds field lines (obsolete, RFC 9112 section 5.2): Content-Length and Transfer-Encoding
 *    are read from one line here
 *  - spaces around Content-Length's and behind Transfer-Encoding's value: eight here, and tabs too;
 *    a Content-Length of 17 digits and more, a chunk size of 16 and more are errors here
 *  - it reads "chunked" behind another c, several Transfer-Encoding lines, and names that only
 * begin so, in its own ways; here the last coding of the last line decides, behind a comma or a
 * space
 *  - a CONNECT request's body is counted here, and ends the stream there
 * What http_parser rejects and this parser takes (unknown methods, field lines without a colon,
 * repeated equal lengths, Transfer-Encoding with Content-Length, ...) is not compared.
 */
#include <ctype.h>
#include <http_parser.h>
#include <stdlib.h>
#include <strings.h>

#include "http_drive.h"

#define FUZZ_HEAD 12
#define BASE	  0xfffffc00u
#define MSGS	  512
#define SEGMENT	  400 /* holds fewer requests than the ring */

#define CHECK(condition)                                                                \
	do {                                                                            \
		if (!(condition)) {                                                     \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
			abort();                                                        \
		}                                                                       \
	} while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint64_t fuzz_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

/* ---- the oracle ------------------------------------------------------------------------------ */

struct msg {
	size_t start, end;
	unsigned status;
	uint8_t method;
};

struct oracle {
	http_parser parser;
	const uint8_t *text;
	size_t len, at;		/* the byte that http_parser looks at */
	uint16_t head_requests; /* bit i: request i is a HEAD */
	unsigned request_cnt;
	int connect; /* index of the CONNECT among them, -1 = none */
	struct msg msgs[MSGS];
	size_t msg_cnt;
	struct msg msg; /* being read */
	size_t line;	/* where the chunk-size line being read began */
	unsigned te_cnt;
	int is_odd;
	int is_whole; /* http_parser took all of the stream */
};

static int odd(struct oracle *o)
{
	o->is_odd = 1;
	return -1;
}

static uint8_t method_of(unsigned method)
{
	static const uint8_t methods[] = {
		[HTTP_GET] = SLID_METHOD_GET,	      [HTTP_HEAD] = SLID_METHOD_HEAD,
		[HTTP_POST] = SLID_METHOD_POST,	      [HTTP_PUT] = SLID_METHOD_PUT,
		[HTTP_DELETE] = SLID_METHOD_DELETE,   [HTTP_CONNECT] = SLID_METHOD_CONNECT,
		[HTTP_OPTIONS] = SLID_METHOD_OPTIONS, [HTTP_TRACE] = SLID_METHOD_TRACE,
		[HTTP_PATCH] = SLID_METHOD_PATCH,
	};

	return method < sizeof(methods) ? methods[method] : SLID_METHOD_OTHER;
}

/* Whether a CR in text[from..to) has no LF behind it. */
static int has_bare_cr(const struct oracle *o, size_t from, size_t to)
{
	for (size_t i = from; i < to; i++)
		if (o->text[i] == '\r' && o->text[i + 1] != '\n')
			return 1;
	return 0;
}

static int oracle_begin(http_parser *parser)
{
	struct oracle *o = parser->data;
	size_t from = o->msg.end; /* of the one before */

	memset(&o->msg, 0, sizeof(o->msg));
	o->msg.start = o->at;
	o->te_cnt = 0;
	return has_bare_cr(o, from, o->at) ? odd(o) : 0;
}

/* The value of a framing field: spaces that are few, and for codings tokens between commas. */
static int is_plain_value(const uint8_t *at, size_t len, int is_te)
{
	size_t before = 0, after = 0;

	while (before < len && (at[before] == ' ' || at[before] == '\t'))
		before++;
	while (after < len - before && at[len - 1 - after] == ' ')
		after++;
	if (before > 8 || after > 8)
		return 0;
	if (!is_te)
		return len - before - after <= 16;
	for (size_t i = before; i + 7 < len - after; i++)
		if (at[i] == 'c' || at[i] == 'C')
			return 0; /* http_parser's search for "chunked" may trip over it */
	for (size_t i = before; i < len - after; i++)
		if (!(at[i] >= 'a' && at[i] <= 'z') && !(at[i] >= 'A' && at[i] <= 'Z') &&
		    !(at[i] == ',' && i > before && at[i - 1] != ',' && i + 1 < len - after) &&
		    !(at[i] == ' ' && at[i - 1] == ',' && at[i + 1] != ',' && at[i + 1] != ' '))
			return 0;
	return 1;
}

/* The message's head is text[start..end): is there anything in it that is read in two ways? */
static int is_odd_head(struct oracle *o, size_t start, size_t end)
{
	const uint8_t *text = o->text;
	size_t line = start, lf, len, name;
	int is_first = 1;

	for (; line < end; line = lf + 1, is_first = 0) {
		for (lf = line; lf < end && text[lf] != '\n'; lf++)
			if (text[lf] == '\r' && text[lf + 1] != '\n')
				return 1;
		len = lf - line;
		if (len && text[lf - 1] == '\r')
			len--;
		if (is_first) {
			if (o->parser.type == HTTP_REQUEST &&
			    (len < 8 || memcmp(text + line + len - 8, "HTTP/1.", 7)))
				return 1;
			if (o->parser.type == HTTP_RESPONSE &&
			    (len < 12 || memcmp(text + line, "HTTP/1.", 7) ||
			     text[line + 9] < '1' || text[line + 9] > '9' ||
			     text[line + 10] < '0' || text[line + 11] < '0' ||
			     (len > 12 && text[line + 12] >= '0' && text[line + 12] <= '9')))
				return 1;
			continue;
		}
		if (text[line] == ' ' || text[line] == '\t')
			return 1;
		for (name = 0; name < len && text[line + name] != ':'; name++)
			if (text[line + name] == ' ')
				return 1;
		if (name == 14 && !strncasecmp((const char *)text + line, "Content-Length", 14) &&
		    !is_plain_value(text + line + 15, len - 15, 0))
			return 1;
		if (name >= 17 &&
		    !strncasecmp((const char *)text + line, "Transfer-Encoding", 17) &&
		    (name > 17 || o->te_cnt++ || !is_plain_value(text + line + 18, len - 18, 1)))
			return 1;
	}
	return 0;
}

static int oracle_headers(http_parser *parser)
{
	struct oracle *o = parser->data;
	unsigned status = parser->status_code;
	size_t idx = o->msg_cnt;

	if (parser->http_major != 1 || o->text[o->at] != '\n' ||
	    is_odd_head(o, o->msg.start, o->at + 1))
		return odd(o);
	o->line = o->at + 1;
	o->msg.status = status;
	o->msg.method = parser->type == HTTP_REQUEST ? method_of(parser->method) : 0;
	if (parser->type == HTTP_REQUEST) {
		if (o->msg.method == SLID_METHOD_CONNECT) {
			/* 2: no more of it is HTTP */
			return (parser->flags & F_CONTENTLENGTH) || parser->uses_transfer_encoding
				       ? odd(o)
				       : 2;
		}
		parser->upgrade = 0; /* the response decides */
		return 0;
	}
	parser->upgrade = 0;
	if (status == 101 || ((int)idx == o->connect && status >= 200 && status < 300))
		return 2;
	if (status < 200 || status == 204 || status == 304 ||
	    (idx < o->request_cnt && (o->head_requests >> idx & 1)))
		return 1; /* no body */
	return 0;
}

static int oracle_chunk_line(http_parser *parser)
{
	struct oracle *o = parser->data;
	size_t digits = 0;

	if (o->text[o->at] != '\n' || memchr(o->text + o->line, '\n', o->at - o->line))
		return odd(o);
	while (isxdigit(o->text[o->line + digits]))
		digits++;
	if (!strchr("; \r", o->text[o->line + digits]))
		return odd(o);
	if (digits > 15 || memchr(o->text + o->line, '\r', o->at - 1 - o->line))
		return odd(o);
	o->line = o->at + 1; /* of trailers, if this was the last chunk */
	return 0;
}

static int oracle_chunk_end(http_parser *parser)
{
	struct oracle *o = parser->data;

	if (parser->flags & F_TRAILING) /* the last one, with its trailer fields */
		return o->text[o->at] != '\n' || has_bare_cr(o, o->line, o->at) ? odd(o) : 0;
	if (o->text[o->at] != '\n' || o->text[o->at - 1] != '\r')
		return odd(o);
	o->line = o->at + 1;
	return 0;
}

static int oracle_end(http_parser *parser)
{
	struct oracle *o = parser->data;

	o->msg.end = o->at < o->len ? o->at + 1 : o->len;
	if (parser->type == HTTP_RESPONSE && o->msg.status < 200 && o->msg.status != 101)
		return 0; /* interim */
	if (o->msg_cnt < MSGS)
		o->msgs[o->msg_cnt++] = o->msg;
	return 0;
}

static void oracle_run(struct oracle *o, int kind)
{
	static const http_parser_settings settings = {
		.on_message_begin = oracle_begin,
		.on_headers_complete = oracle_headers,
		.on_message_complete = oracle_end,
		.on_chunk_header = oracle_chunk_line,
		.on_chunk_complete = oracle_chunk_end,
	};

	http_parser_init(&o->parser, kind == HTTP_REQUESTS ? HTTP_REQUEST : HTTP_RESPONSE);
	o->parser.data = o;
	o->parser.allow_chunked_length = 1;
	for (o->at = 0; o->at < o->len && !o->parser.http_errno && !o->parser.upgrade; o->at++)
		http_parser_execute(&o->parser, &settings, (const char *)o->text + o->at, 1);
	if (!o->parser.http_errno && !o->parser.upgrade)
		http_parser_execute(&o->parser, &settings, "", 0);
	o->is_whole = !o->parser.http_errno && !o->is_odd &&
		      (o->parser.upgrade || !has_bare_cr(o, o->msg.end, o->len));
}

/* ---- the parser --------------------------------------------------------------------------------
 */

#define NOT_FOUND "HTTP/1.1 404 -\r\nContent-Length: 0\r\n\r\n"

static void send_requests(struct drive *d, const struct oracle *o)
{
	for (unsigned i = 0; i < o->request_cnt; i++) {
		const char *text = (int)i == o->connect	       ? "CONNECT a:1 HTTP/1.1\r\n\r\n"
				   : o->head_requests >> i & 1 ? "HEAD / HTTP/1.1\r\n\r\n"
							       : "GET / HTTP/1.1\r\n\r\n";

		drive_send(d, HTTP_REQUESTS, text, strlen(text), 0);
	}
}

/* Answer what was asked, so that the ring has room; not a CONNECT. */
static void answer(struct drive *d)
{
	struct http_conn *c = d->conn;

	while (http_ring_cnt(c) &&
	       (c->ring[c->ring_tail % HTTP_RING] >> 52 & 15) != SLID_METHOD_CONNECT)
		drive_send(d, HTTP_RESPONSES, NOT_FOUND, sizeof(NOT_FOUND) - 1, 0);
}

/* Play the stream, `now` being the index of its segment. starts[i] is where segment i begins. Ends
 * where the stream is lost: what is found again depends on where segments begin. */
static size_t run(struct drive *d, int kind, const struct oracle *o, size_t longest,
		  uint64_t random, size_t *starts, size_t *ends)
{
	const struct http_stream *s = &d->conn->stream[kind];
	size_t at = 0, cnt = 0, end_cnt = 0;

	while (at < o->len && !d->desync_cnt) {
		size_t len = longest > 1 ? fuzz_random(&random) % longest + 1 : 1;
		uint8_t state = s->state;

		if (len > o->len - at)
			len = o->len - at;
		starts[cnt] = at;
		drive_send(d, kind, o->text + at, len, ++cnt);
		at += len;
		if (ends && state != s->state &&
		    (s->state == HTTP_START || s->state == HTTP_WAIT) && end_cnt < MSGS)
			ends[end_cnt++] = at;
		if (kind == HTTP_REQUESTS)
			answer(d);
		/* Whatever happens, each request is somewhere. */
		CHECK(d->started_cnt == d->req_cnt + d->lost_cnt + drive_outstanding(d));
	}
	starts[cnt] = o->len;
	if (kind == HTTP_RESPONSES)
		drive_finish(d, HTTP_RESPONSES, 0, ++cnt);
	drive_close(d, cnt);
	return end_cnt;
}

/* A clock that started with the segment (1..) that has the byte at `off`, or with a line's end
 * before it. */
static void check_time(uint64_t now, const size_t *starts, const struct oracle *o, size_t off)
{
	size_t from = off;

	while (from && (o->text[from - 1] == '\n' || o->text[from - 1] == '\r'))
		from--;
	CHECK(now >= 1);
	CHECK(starts[now - 1] <= off && starts[now] > from);
}

static void check_requests(const struct drive *d, const struct oracle *o, const size_t *starts)
{
	CHECK(d->push_cnt >= o->msg_cnt);
	for (size_t i = 0; i < o->msg_cnt; i++) {
		CHECK(d->pushes[i].method == o->msgs[i].method);
		check_time(d->pushes[i].start_ns, starts, o, o->msgs[i].start);
	}
	if (o->is_whole) {
		CHECK(d->push_cnt == o->msg_cnt);
		CHECK(!d->bad_request_cnt && !d->desync_cnt);
	}
}

static void check_responses(const struct drive *d, const struct oracle *o, const size_t *starts)
{
	size_t cnt = o->msg_cnt < o->request_cnt ? o->msg_cnt : o->request_cnt;

	CHECK(d->req_cnt >= cnt);
	for (size_t i = 0; i < cnt; i++) {
		CHECK(d->reqs[i].status == o->msgs[i].status);
		CHECK(d->reqs[i].error == SLID_ERROR_NONE);
		/* A window in which the stream becomes another protocol's is not looked at further.
		 */
		CHECK(d->reqs[i].end_seq == (uint32_t)(BASE + o->msgs[i].end) ||
		      (d->conn->flags & HTTP_C_OPAQUE && i == cnt - 1));
		check_time(d->reqs[i].first_ns, starts, o, o->msgs[i].start);
	}
	if (!o->is_whole)
		return;
	CHECK(!d->bad_response_cnt && !d->desync_cnt);
	/* What ends with the connection and answers nothing goes by without a word. */
	CHECK(d->unmatched_cnt <= o->msg_cnt - cnt && d->unmatched_cnt + 1 >= o->msg_cnt - cnt);
	for (size_t i = cnt; i < d->req_cnt; i++)
		CHECK(d->reqs[i].error == SLID_ERROR_NO_RESPONSE ||
		      d->reqs[i].error == SLID_ERROR_CLIENT_CLOSED); /* behind an upgrade */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct drive whole, cut;
	static struct oracle o;
	static char texts[2][DRIVE_TEXT_MAX];
	static size_t starts[2][65536], ends[MSGS];
	uint64_t random;
	size_t end_cnt;
	int kind;

	if (size < FUZZ_HEAD || size - FUZZ_HEAD >= 65536)
		return 0;
	memset(&o, 0, sizeof(o));
	memcpy(&random, data + 4, sizeof(random));
	random |= 1;
	kind = data[0] & 1;
	o.len = size - FUZZ_HEAD;
	o.text = malloc(o.len + 1); /* a byte may be looked up behind a line */
	CHECK(o.text);
	memcpy((uint8_t *)(uintptr_t)o.text, data + FUZZ_HEAD, o.len);
	((uint8_t *)(uintptr_t)o.text)[o.len] = 0;
	memcpy(&o.head_requests, data + 1, 2);
	o.connect = -1;
	if (kind == HTTP_RESPONSES) {
		o.request_cnt = (data[3] >> 4) + 1u;
		if (data[3] & 1)
			o.connect = (int)o.request_cnt - 1;
		if (o.connect >= 0)
			o.head_requests &= (uint16_t) ~(1u << o.connect);
	}
	oracle_run(&o, kind);

	drive_init(&whole, BASE, data[0] >> 1, 1);
	drive_init(&cut, BASE, data[0] >> 4, !(data[3] & 2));
	send_requests(&whole, &o);
	send_requests(&cut, &o);
	end_cnt = run(&whole, kind, &o, 1, 1, starts[0], ends);
	run(&cut, kind, &o, SEGMENT >> (data[3] >> 2 & 3) * 2, random, starts[1], NULL);

	drive_text(&whole, texts[0]);
	drive_text(&cut, texts[1]);
	if (whole.conn->proto == SLID_PROTO_HTTP1 || cut.conn->proto == SLID_PROTO_HTTP1) {
		if (strcmp(texts[0], texts[1])) {
			fprintf(stderr, "byte by byte: %s\ncut: %s\n", texts[0], texts[1]);
			abort();
		}
	}
	if (kind == HTTP_REQUESTS) {
		check_requests(&whole, &o, starts[0]);
		check_requests(&cut, &o, starts[1]);
		CHECK(end_cnt >= o.msg_cnt);
		for (size_t i = 0; i < o.msg_cnt; i++)
			CHECK(ends[i] == o.msgs[i].end);
	} else {
		check_responses(&whole, &o, starts[0]);
		check_responses(&cut, &o, starts[1]);
	}
	drive_free(&whole);
	drive_free(&cut);
	free((void *)(uintptr_t)o.text);
	return 0;
}
