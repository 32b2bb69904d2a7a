/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_http.c - the HTTP/1 parser: every element of a message, every end of a request. Each
 * conversation is played whole, byte by byte, cut at every byte, cut three times at random, and
 * with its two streams interleaved in other legal ways, among hostile bytes: the numbers that come
 * out must be the same each time.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "http_drive.h"

#define FIELD "Host: example.com\r\n"
#define GET   "GET / HTTP/1.1\r\n" FIELD "\r\n"
#define HEAD  "HEAD / HTTP/1.1\r\n" FIELD "\r\n"
#define OK    "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
#define OK304 "HTTP/1.1 304 Not Modified\r\nContent-Length: 500\r\n\r\n"

enum conv_end {
	END_NONE = 0,
	END_SERVER_FIN,
	END_SERVER_RST,
	END_CLIENT_FIN, /* and then the server's */
	END_CLIENT_RST,
	END_SILENT, /* the socket is given up */
};

/* What one side says before the other one does. */
struct turn {
	const char *text;
	size_t len;
	int kind;
};

#define TURNS_MAX 12
#define Q(text)                                       \
	{                                             \
		text, sizeof(text) - 1, HTTP_REQUESTS \
	}
#define A(text)                                        \
	{                                              \
		text, sizeof(text) - 1, HTTP_RESPONSES \
	}

struct conv {
	const char *want; /* drive_text() */
	enum conv_end end;
	int is_lockstep; /* a request must wait for the response before it */
	struct turn turns[TURNS_MAX];
};

static uint64_t test_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

static struct drive the_drive; /* large */

static void play_end(struct drive *d, enum conv_end end, uint64_t now)
{
	switch (end) {
	case END_NONE:
		return;
	case END_SERVER_FIN:
		drive_finish(d, HTTP_RESPONSES, 0, now);
		break;
	case END_SERVER_RST:
		drive_finish(d, HTTP_RESPONSES, 1, now);
		break;
	case END_CLIENT_FIN:
		drive_finish(d, HTTP_REQUESTS, 0, now);
		drive_finish(d, HTTP_RESPONSES, 0, now);
		break;
	case END_CLIENT_RST:
		drive_finish(d, HTTP_REQUESTS, 1, now);
		break;
	case END_SILENT:
		break;
	}
	drive_close(d, now);
}

/* The source's last byte stands before a guard page too. */
static const char *guarded_copy(const char *text, size_t len, void **pages, size_t *pages_bytes)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	char *at;

	*pages_bytes = (len + page - 1) / page * page + page;
	at = mmap(NULL, *pages_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_true(at != MAP_FAILED);
	*pages = at;
	at += *pages_bytes - page;
	assert_int_equal(mprotect(at, page, PROT_NONE), 0);
	return memcpy(at - len, text, len);
}

/* One way to play a conversation. */
struct way {
	const char *name;
	size_t cuts[3]; /* offsets into the whole conversation; 0 = none */
	size_t piece;	/* longest segment; 0 = any */
	uint64_t seed;	/* interleave at random */
	unsigned poison;
	int is_heap;
};

static void play_text(struct drive *d, const struct turn *turn, size_t start, const struct way *way,
		      uint64_t *now)
{
	size_t at = 0;

	while (at < turn->len) {
		size_t len = turn->len - at;

		if (way->piece && len > way->piece)
			len = way->piece;
		for (size_t i = 0; i < 3; i++)
			if (way->cuts[i] > start + at && way->cuts[i] < start + at + len)
				len = way->cuts[i] - start - at;
		drive_send(d, turn->kind, turn->text + at, len, (*now)++);
		at += len;
	}
}

/* Send pieces of either stream in turn; a response waits for the requests that come before it. */
static void play_interleaved(struct drive *d, const struct conv *conv, uint64_t seed, uint64_t *now)
{
	size_t turn[2] = {0, 0}, at[2] = {0, 0};

	for (;;) {
		int ready[2], kind;

		for (kind = 0; kind < 2; kind++) {
			while (turn[kind] < TURNS_MAX && conv->turns[turn[kind]].text &&
			       (conv->turns[turn[kind]].kind != kind ||
				at[kind] == conv->turns[turn[kind]].len)) {
				if (conv->turns[turn[kind]].kind == kind)
					at[kind] = 0;
				turn[kind]++;
			}
			ready[kind] = turn[kind] < TURNS_MAX && conv->turns[turn[kind]].text;
		}
		if (ready[HTTP_RESPONSES] && turn[HTTP_REQUESTS] < turn[HTTP_RESPONSES])
			ready[HTTP_RESPONSES] = 0;
		if (!ready[0] && !ready[1])
			return;
		kind = test_random(&seed) & 1;
		if (!ready[kind])
			kind = !kind;
		{
			const struct turn *t = &conv->turns[turn[kind]];
			size_t len = test_random(&seed) % 97 + 1;

			if (len > t->len - at[kind])
				len = t->len - at[kind];
			drive_send(d, kind, t->text + at[kind], len, (*now)++);
			at[kind] += len;
		}
	}
}

static void play(const struct conv *conv, const struct way *way)
{
	static char text[DRIVE_TEXT_MAX];
	struct drive *d = &the_drive;
	uint64_t now = 1;
	size_t start = 0;

	drive_init(d, 0xffffff80u, way->poison, way->is_heap);
	if (way->seed) {
		play_interleaved(d, conv, way->seed, &now);
	} else {
		for (size_t i = 0; i < TURNS_MAX && conv->turns[i].text; i++) {
			play_text(d, &conv->turns[i], start, way, &now);
			start += conv->turns[i].len;
		}
	}
	play_end(d, conv->end, now);
	drive_text(d, text);
	if (strcmp(text, conv->want))
		print_error("%.*s\nplayed: %s, cuts %zu %zu %zu, seed %llu, poison %u\n",
			    (int)conv->turns[0].len, conv->turns[0].text, way->name, way->cuts[0],
			    way->cuts[1], way->cuts[2], (unsigned long long)way->seed, way->poison);
	assert_string_equal(text, conv->want);
	assert_int_equal(d->proto_cnt, d->conn->proto != 0);
	for (size_t i = 0; i < d->req_cnt; i++) {
		assert_in_range(d->reqs[i].start_ns, 1, d->reqs[i].end_ns);
		if (d->reqs[i].error == SLID_ERROR_NONE || d->reqs[i].error == SLID_ERROR_TRUNCATED)
			assert_in_range(d->reqs[i].first_ns, d->reqs[i].start_ns,
					d->reqs[i].end_ns);
		else
			assert_int_equal(d->reqs[i].first_ns, 0);
	}
	drive_free(d);
}

/* Play it in every way. */
static void check(const struct conv *conv)
{
	struct way way = {.name = "whole"};
	uint64_t state = 88172645463325252ull;
	void *pages[TURNS_MAX] = {NULL};
	size_t pages_bytes[TURNS_MAX], total = 0;
	struct conv copy = *conv;

	for (size_t i = 0; i < TURNS_MAX && conv->turns[i].text; i++) {
		copy.turns[i].text = guarded_copy(conv->turns[i].text, conv->turns[i].len,
						  &pages[i], &pages_bytes[i]);
		total += conv->turns[i].len;
	}
	for (way.is_heap = 0; way.is_heap < 2; way.is_heap++) {
		for (way.poison = 0; way.poison < DRIVE_POISONS; way.poison++) {
			way.name = "whole";
			way.piece = 0;
			play(&copy, &way);
			way.name = "in pieces";
			for (way.piece = 1; way.piece <= 2; way.piece++)
				play(&copy, &way);
		}
	}
	way.is_heap = 0;
	way.piece = 0;
	way.name = "cut in two";
	for (way.cuts[0] = 1; way.cuts[0] < total; way.cuts[0]++) {
		unsigned poison_cnt = total < 200 ? DRIVE_POISONS : 1;

		for (unsigned i = 0; i < poison_cnt; i++) {
			way.poison = (unsigned)(way.cuts[0] + i) % DRIVE_POISONS;
			play(&copy, &way);
		}
	}
	way.name = "cut three times";
	for (int i = 0; i < 100; i++) {
		for (size_t j = 0; j < 3; j++)
			way.cuts[j] = test_random(&state) % (total + 1);
		way.poison = (unsigned)i % DRIVE_POISONS;
		play(&copy, &way);
	}
	way.cuts[0] = way.cuts[1] = way.cuts[2] = 0;
	way.name = "interleaved";
	for (int i = 0; i < 100 && !conv->is_lockstep; i++) {
		way.seed = test_random(&state) | 1;
		way.poison = (unsigned)i % DRIVE_POISONS;
		play(&copy, &way);
	}
	for (size_t i = 0; i < TURNS_MAX && pages[i]; i++)
		munmap(pages[i], pages_bytes[i]);
}

static void check_all(const struct conv *convs, size_t cnt)
{
	for (size_t i = 0; i < cnt; i++)
		check(&convs[i]);
}

#define CHECK_ALL(convs) check_all(convs, sizeof(convs) / sizeof((convs)[0]))

/* ---- words ----------------------------------------------------------------------------------- */

static uint64_t word_of(const uint8_t *at)
{
	return http_load64(at);
}

/* Bytes that tell neighbours apart from what they stand for. */
static uint8_t odd_byte(uint64_t *state)
{
	static const uint8_t bytes[] =
		"0123456789abcdefABCDEF \t\r\n/:@[`g\x10\x16\x8a\xb0\xc1\xff";
	uint64_t r = test_random(state);

	return r & 1 ? bytes[(r >> 8) % (sizeof(bytes) - 1)] : (uint8_t)(r >> 8);
}

static void http_words_match_plain_loops(void **state)
{
	uint64_t random = 1442695040888963407ull;

	(void)state;
	for (int round = 0; round < 1000000; round++) {
		uint8_t at[32];
		uint64_t value = 0;
		__u64 bad = 0;
		uint32_t i, cnt, plain;

		for (i = 0; i < 32; i++)
			at[i] = odd_byte(&random);
		for (i = 0; i < 32 && at[i] != '\n'; i++)
			;
		assert_int_equal(http_find_lf(at), i);
		for (i = 0; i < 8 && at[i] != ' '; i++)
			;
		assert_int_equal(http_word_sp(word_of(at)), i);
		for (i = 0; i < 8 && (at[i] == ' ' || at[i] == '\t'); i++)
			;
		assert_int_equal(http_word_ows(word_of(at)), i);

		for (i = 0;
		     i < 8 && at[i] < 128 && strchr("0123456789abcdefABCDEF", at[i]) && at[i]; i++)
			value = value * 16 + (at[i] <= '9' ? at[i] - 48u : (at[i] | 32u) - 87u);
		assert_int_equal(http_hex(word_of(at), &cnt), value);
		assert_int_equal(cnt, i);

		cnt = (uint32_t)(test_random(&random) % 8 + 1);
		if (round & 1)
			for (i = 0; i < cnt; i++)
				at[i] = (uint8_t)('0' + test_random(&random) % 10);
		for (i = 0, value = 0, plain = 0; i < cnt; i++) {
			value = value * 10 + (at[i] - 48u);
			plain |= at[i] < '0' || at[i] > '9';
		}
		if (plain) {
			http_digits(word_of(at) << (64 - 8 * cnt), cnt, &bad);
			assert_true(bad);
		} else {
			assert_int_equal(http_digits(word_of(at) << (64 - 8 * cnt), cnt, &bad), value);
			assert_false(bad);
		}
	}
}

static void http_tchar_is_that_of_rfc_9110(void **state)
{
	(void)state;
	for (int c = 0; c < 256; c++) {
		int want = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
			   (c >= 'A' && c <= 'Z') || (c && strchr("!#$%&'*+-.^_`|~", c));

		assert_int_equal(!!http_is_tchar((uint8_t)c), want);
	}
}

/* ---- start lines --------------------------------------------------------------------------- */

static void http_methods(void **state)
{
	static const struct conv convs[] = {
		{"GET 200 | http1", 0, 0, {Q("GET / HTTP/1.1\r\n\r\n"), A(OK)}},
		{"POST 200 | http1", 0, 0, {Q("POST / HTTP/1.1\r\n\r\n"), A(OK)}},
		{"PUT 200 | http1", 0, 0, {Q("PUT / HTTP/1.1\r\n\r\n"), A(OK)}},
		{"DELETE 200 | http1", 0, 0, {Q("DELETE / HTTP/1.1\r\n\r\n"), A(OK)}},
		{"PATCH 200 | http1", 0, 0, {Q("PATCH / HTTP/1.1\r\n\r\n"), A(OK)}},
		{"OPTIONS 200 | http1", 0, 0, {Q("OPTIONS * HTTP/1.1\r\n\r\n"), A(OK)}},
		{"TRACE 200 | http1", 0, 0, {Q("TRACE / HTTP/1.1\r\n\r\n"), A(OK)}},
		{"HEAD 200 | http1", 0, 0, {Q(HEAD), A("HTTP/1.1 200 OK\r\n\r\n")}},
		{"_OTHER 200 | http1", 0, 0, {Q("PROPFIND / HTTP/1.1\r\n\r\n"), A(OK)}},
		{"_OTHER 200 | http1", 0, 0, {Q("M-SEARCH * HTTP/1.1\r\n\r\n"), A(OK)}},
		{"_OTHER 200 | http1", 0, 0, {Q("X / HTTP/1.1\r\n\r\n"), A(OK)}},
		{"_OTHER 200 | http1", 0, 0, {Q("get / HTTP/1.1\r\n\r\n"), A(OK)}},
		{"_OTHER 200 | http1", 0, 0, {Q("GETS / HTTP/1.1\r\n\r\n"), A(OK)}},
		{"_OTHER 200 | http1", 0, 0, {Q("OPTIONSX / HTTP/1.1\r\n\r\n"), A(OK)}},
		{"_OTHER 200 | http1",
		 0,
		 0,
		 {Q("ABCDEFGHIJKLMNOPQRSTUVW / HTTP/1.1\r\n\r\n"), A(OK)}}, /* 23 and a space */
	};

	(void)state;
	CHECK_ALL(convs);
}

static void http_targets(void **state)
{
	static const struct conv convs[] = {
		{"GET 200 | http1", 0, 0, {Q("GET /a/b?c=d&e=%20 HTTP/1.1\r\n\r\n"), A(OK)}},
		{"GET 200 | http1", 0, 0, {Q("GET http://a.b:80/c?d HTTP/1.1\r\n\r\n"), A(OK)}},
		{"GET 200 | http1", 0, 0, {Q("GET /HTTP/1.1 HTTP/1.1\r\n\r\n"), A(OK)}},
		{"OPTIONS 200 | http1", 0, 0, {Q("OPTIONS http://a.b:80 HTTP/1.1\r\n\r\n"), A(OK)}},
		{"CONNECT 200 | http1",
		 0,
		 1,
		 {Q("CONNECT a.b:443 HTTP/1.1\r\n\r\n"), A("HTTP/1.1 200 OK\r\n\r\n")}},
		/* 64 bytes with and without the line's end, and one more or less */
		{"GET 200, GET 200 | http1",
		 0,
		 0,
		 {Q("GET /3456789012345678901234567890123456789012345678901 HTTP/1.1\r\n\r\n"),
		  A(OK),
		  Q("GET /34567890123456789012345678901234567890123456789012 HTTP/1.1\r\n\r\n"),
		  A(OK)}},
		{"GET 200, GET 200 | http1",
		 0,
		 0,
		 {Q("GET /345678901234567890123456789012345678901234567890123 HTTP/1.1\r\n\r\n"),
		  A(OK),
		  Q("GET /3456789012345678901234567890123456789012345678901234 HTTP/1.1\r\n\r\n"),
		  A(OK)}},
	};

	(void)state;
	CHECK_ALL(convs);
}

static void http_versions_and_line_ends(void **state)
{
	static const struct conv convs[] = {
		{"GET 200 | http1",
		 END_SERVER_FIN,
		 0,
		 {Q("GET / HTTP/1.0\r\n\r\n"), A("HTTP/1.0 200 OK\r\n\r\nall of it\r\n\r\n")}},
		{"GET 200, GET 304 | http1",
		 0,
		 0,
		 {Q("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"),
		  A("HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok"), Q("GET / HTTP/1.9\r\n\r\n"),
		  A("HTTP/1.9 304 -\r\n\r\n")}},
		{"GET 200, POST 204 | http1",
		 0,
		 0,
		 {Q("GET / HTTP/1.1\nHost: a\n\n"), A("HTTP/1.1 200 OK\nContent-Length: 2\n\nok"),
		  Q("POST / HTTP/1.1\nTransfer-Encoding: chunked\n\n2\nok\n0\n\n"),
		  A("HTTP/1.1 204 -\n\n")}},
		/* empty lines before a message, RFC 9112 section 2.2 */
		{"GET 200, GET 200, GET 200 | http1",
		 0,
		 0,
		 {Q("\r\n" GET), A(OK), Q("\r\n\r\n\n" GET), A("\r\n" OK), Q("\n" GET "\r\n"),
		  A(OK)}},
		{"| none", END_SILENT, 0, {Q("\r\n\r\n"), A("\r\n")}},
		/* no reason phrase, odd ones, any code of three digits */
		{"GET 200, GET 200, GET 999, GET 503 | http1",
		 0,
		 0,
		 {Q(GET), A("HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n"), Q(GET),
		  A("HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n"), Q(GET),
		  A("HTTP/1.1 999 \xe4\xf6\r\nContent-Length: 0\r\n\r\n"), Q(GET),
		  A("HTTP/1.1 503 HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")}},
	};

	(void)state;
	CHECK_ALL(convs);
}

/* The request is the server's to answer, with 400 most likely: it counts. */
static void http_bad_request_lines_on_a_known_connection(void **state)
{
	static const char *const lines[] = {
		"GET\r\n",
		"GET /\r\n", /* HTTP/0.9 */
		"GET / HTTP/2.0\r\n",
		"GET / HTTP/1.11\r\n",
		"GET / http/1.1\r\n",
		"GET / HTTP/1.x\r\n",
		"GET /HTTP/1.1\r\n",
		"nonsense without end\r\n",
		"\x16\x03\x01\x02\x01\x01 HTTP/1.1\r\n",
		": / HTTP/1.1\r\n",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		struct conv conv = {"GET 200, _OTHER 400 | http1 bad_request=1 desync=1",
				    0,
				    1,
				    {Q(GET),
				     A(OK),
				     {lines[i], strlen(lines[i]), HTTP_REQUESTS},
				     A("HTTP/1.1 400 Bad\r\nContent-Length: 0\r\n\r\n")}};

		check(&conv);
	}
}

static void http_bad_status_lines_on_a_known_connection(void **state)
{
	static const char *const lines[] = {
		"HTTP/1.1 20 OK\r\n",	"HTTP/1.1 2x0 OK\r\n",
		"HTTP/1.1 099 OK\r\n",	"HTTP/2 200 OK..\r\n",
		"HTTP/1.1  200 OK\r\n", "ICY 200 OK....\r\n",
		"http/1.1 200 OK\r\n",	"ok\r\n",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		struct conv conv = {
			"GET 200 | http1 started=1 lost=1 bad_response=1 desync=1",
			END_SERVER_FIN,
			1,
			{Q(GET), A(OK), Q(GET), {lines[i], strlen(lines[i]), HTTP_RESPONSES}}};

		check(&conv);
	}
}

/* ---- other protocols ------------------------------------------------------------------------ */

static void http_first_bytes_of_other_protocols(void **state)
{
	static const struct conv convs[] = {
		{"| tls",
		 END_CLIENT_FIN,
		 0,
		 {Q("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\n\n")}},
		{"| h2",
		 END_CLIENT_FIN,
		 0,
		 {Q("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\x12\4\0\0\0\0\0\0\3\0\0\0\x64"),
		  A("\0\0\x06\4\0\0\0\0\0\0\3\0\0\0\x80")}},
		{"| h2", 0, 0, {Q("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")}},
		{"| other", END_SERVER_FIN, 0, {Q("*1\r\n$4\r\nPING\r\n"), A("+PONG\r\n")}},
		{"| other", END_SERVER_FIN, 0, {Q("PING\r\n"), A("+PONG\r\n")}},
		{"| other",
		 0,
		 1,
		 {A("220 mx ESMTP\r\n"), Q("EHLO example.com\r\n"), A("250 mx\r\n")}},
		{"| other", 0, 0, {Q("EHLO a-long-name.example.com\r\n"), A("250 mx\r\n")}},
		{"| other", 0, 0, {A("SSH-2.0-OpenSSH_9.2p1\r\n")}},
		{"| other", 0, 0, {Q("SSH-2.0-OpenSSH_9.2p1\r\n")}},
		{"| other", 0, 0, {Q("\0\0\0\x08\x04\xd2\x16\x2f")}}, /* PostgreSQL */
		{"| other",
		 0,
		 0,
		 {A("\x4a\0\0\0\x0a"
		    "8.0.36\0\n")}},						  /* MySQL */
		{"| other", 0, 0, {Q("\x10\x0e\0\4MQTT\4\2\0\x3c\0\2\x61\x62")}}, /* MQTT */
		{"| other", 0, 0, {Q("\xff\xff\n\xff")}},
		{"| other", 0, 0, {Q("GET /\r\n"), A("<html>\n")}}, /* HTTP/0.9 */
		{"| other", 0, 0, {Q("GET / RTSP/1.0.0\r\n\r\n")}},
		{"| other", 0, 0, {Q("OPTIONS sip:a@b SIP/2.0\r\n\r\n")}},
		{"| other",
		 0,
		 0,
		 {Q("{\"no\":\"line feed, no space "
		    "early..................................\"}....")}},
		{"| none",
		 END_CLIENT_FIN,
		 0,
		 {Q("GET / HTT")}}, /* nothing known, nothing counted */
	};

	(void)state;
	CHECK_ALL(convs);
}

/* ---- framing --------------------------------------------------------------------------------- */

enum framing_result { GOOD = 0, BAD, CLOSE /* the body ends with the connection */ };

struct framing {
	const char *fields;
	const char *body;
	enum framing_result request, response;
};

static void check_framing(const struct framing *f)
{
	static char request[8192], response[8192];
	struct conv conv = {0};

	snprintf(request, sizeof(request), "POST / HTTP/1.1\r\n%s\r\n%s%s", f->fields, f->body,
		 f->request == GOOD ? GET : "");
	snprintf(response, sizeof(response), "HTTP/1.1 201 -\r\n%s\r\n%s%s", f->fields, f->body,
		 f->response == GOOD ? OK304 : "");
	conv.turns[0] = (struct turn){request, strlen(request), HTTP_REQUESTS};
	conv.turns[1] = (struct turn)A(OK);
	if (f->request == GOOD) {
		conv.turns[2] = (struct turn)A(OK304);
		conv.want = "POST 200, GET 304 | http1";
	} else {
		conv.want = "POST 200 | http1 bad_request=1 desync=1";
	}
	check(&conv);
	memset(&conv, 0, sizeof(conv));
	conv.turns[0] = (struct turn)Q(GET);
	conv.turns[1] = (struct turn)Q("DELETE / HTTP/1.1\r\n\r\n");
	conv.turns[2] = (struct turn){response, strlen(response), HTTP_RESPONSES};
	conv.end = END_SERVER_FIN;
	if (f->response == GOOD)
		conv.want = "GET 201, DELETE 304 | http1";
	else if (f->response == CLOSE)
		conv.want = "GET 201, DELETE 599 no_response | http1";
	else
		conv.want = "| http1 started=2 lost=2 bad_response=1 desync=1";
	check(&conv);
}

#define CHUNKS "2\r\nok\r\n0\r\n\r\n"

static void http_content_length(void **state)
{
	static const struct framing framings[] = {
		{"Content-Length: 2\r\n", "ok", GOOD, GOOD},
		{"Content-Length: 2\r\nA: b\r\n", "\r\n", GOOD, GOOD},
		{"A: b\r\nContent-Length: 0\r\nC: d\r\n", "", GOOD, GOOD},
		{"content-length:2\r\n", "\n\n", GOOD, GOOD},
		{"CONTENT-LENGTH: \t 2 \t\r\n", "ok", GOOD, GOOD},
		{"Content-Length:        2        \r\n", "ok", GOOD, GOOD},
		{"Content-Length: 18\r\n", "GET / HTTP/1.1\r\n\r\n", GOOD, GOOD},
		{"Content-Length: 19\r\n", "HTTP/1.1 500 -\r\n\r\n.", GOOD, GOOD},
		{"Content-Length: 0000000000000002\r\n", "ok", GOOD, GOOD},
		{"Content-Length: 00000002\r\n", "ok", GOOD, GOOD},
		{"Content-Length: 000000002\r\n", "ok", GOOD, GOOD},
		{"Content-Length: 00000000000000002\r\n", "ok", BAD, BAD}, /* 17 digits */
		{"Content-Length: 99999999999999999999\r\n", "ok", BAD, BAD},
		{"Content-Length: 2\r\nContent-Length: 2\r\n", "ok", GOOD, GOOD},
		{"Content-Length: 2\r\nContent-Length: 02\r\n", "ok", GOOD, GOOD},
		{"Content-Length: 2\r\nContent-Length: 3\r\n", "ok", BAD, BAD},
		{"Content-Length: 2\r\nContent-Length: \r\n", "ok", BAD, BAD},
		{"Content-Length: 0\r\nContent-Length: 2\r\n", "ok", BAD, BAD},
		{"Content-Length: 2, 2\r\n", "ok", BAD, BAD},
		{"Content-Length: -2\r\n", "ok", BAD, BAD},
		{"Content-Length: +2\r\n", "ok", BAD, BAD},
		{"Content-Length: 0x2\r\n", "ok", BAD, BAD},
		{"Content-Length: 2a\r\n", "ok", BAD, BAD},
		{"Content-Length: 2 2\r\n", "ok", BAD, BAD},
		{"Content-Length: 2.0\r\n", "ok", BAD, BAD},
		{"Content-Length:\r\n", "ok", BAD, BAD},
		{"Content-Length: \r\n", "ok", BAD, BAD},
		{"Content-Length:    \t\t\t    \r\n", "ok", BAD, BAD},
		{"Content-Length: \xb2\r\n", "ok", BAD, BAD},
		/* names that are others */
		{"X-Content-Length: 2\r\n", "", GOOD, CLOSE},
		{"Content-Lengths: 2\r\n", "", GOOD, CLOSE},
		{"Content-Length : 2\r\n", "", GOOD, CLOSE},
		{"Content\rLength: 2\r\n", "", GOOD, CLOSE},
		{"Content\x0dlength: 2\r\n", "", GOOD, CLOSE},
		{"Content-Type: Content-Length: 2\r\n", "", GOOD, CLOSE},
		{"A: b\r\nX: y\nContent-Length: 2\n", "ok", GOOD, GOOD},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(framings) / sizeof(framings[0]); i++)
		check_framing(&framings[i]);
}

static void http_content_length_values(void **state)
{
	uint64_t random = 6364136223846793005ull;
	struct drive *d = &the_drive;

	(void)state;
	for (int i = 0; i < 20000; i++) {
		unsigned digits = (unsigned)(test_random(&random) % 16 + 1);
		uint64_t value = test_random(&random), max = 1;
		char text[128];
		int len;

		for (unsigned j = 0; j < digits; j++)
			max *= 10;
		value = value % max;
		if (!value)
			continue;
		len = snprintf(text, sizeof(text),
			       "PUT / HTTP/1.1\r\nContent-Length:%*s%0*llu%*s\r\n\r\n",
			       (int)(test_random(&random) % 9), "", (int)digits,
			       (unsigned long long)value, (int)(test_random(&random) % 9), "");
		drive_init(d, 1, (unsigned)i, i & 1);
		drive_send(d, HTTP_REQUESTS, text, (size_t)len, 1);
		assert_int_equal(d->conn->stream[HTTP_REQUESTS].state, HTTP_BODY);
		assert_int_equal(d->conn->stream[HTTP_REQUESTS].left, value);
		drive_free(d);
	}
}

static void http_transfer_encoding(void **state)
{
	static const struct framing framings[] = {
		{"Transfer-Encoding: chunked\r\n", CHUNKS, GOOD, GOOD},
		{"transfer-encoding:chunked\r\n", CHUNKS, GOOD, GOOD},
		{"TRANSFER-ENCODING: \tCHUNKED \t\r\n", CHUNKS, GOOD, GOOD},
		{"Transfer-Encoding: gzip, chunked\r\n", CHUNKS, GOOD, GOOD},
		{"Transfer-Encoding: gzip,chunked\r\n", CHUNKS, GOOD, GOOD},
		{"Transfer-Encoding: gzip\t,\tchunked\r\n", CHUNKS, GOOD, GOOD},
		{"Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n", CHUNKS, GOOD, GOOD},
		{"Transfer-Encoding: gzip;a=\"longer than the carry, in one line or more\", "
		 "chunked\r\n",
		 CHUNKS, GOOD, GOOD},
		{"Transfer-Encoding: gzip;a=\"longer than the carry, in one line or more\"\r\n",
		 "ok", BAD, CLOSE},
		{"Transfer-Encoding: gzip;a=\"longer than the carry, in one line or more\"\r\n"
		 "A: longer than the carry, which it is not at all about: chunked, chunked, "
		 "chunked\r\n"
		 "Transfer-Encoding: chunked\r\n",
		 CHUNKS, GOOD, GOOD},
		{"Transfer-Encoding: gzip;a=\"longer than the carry, in one line or more\"\r\n"
		 "A: longer than the carry, which it is not at all about: chunked, chunked, "
		 "chunked\r\n",
		 "ok", BAD, CLOSE},
		{"Transfer-Encoding: chunked, gzip\r\n", CHUNKS, BAD, CLOSE},
		{"Transfer-Encoding: chunked\r\nTransfer-Encoding: gzip\r\n", CHUNKS, BAD, CLOSE},
		{"Transfer-Encoding: xchunked\r\n", CHUNKS, BAD, CLOSE},
		{"Transfer-Encoding: chunkedx\r\n", CHUNKS, BAD, CLOSE},
		{"Transfer-Encoding: chunked;a=b\r\n", CHUNKS, BAD, CLOSE},
		{"Transfer-Encoding: identity\r\n", "ok", BAD, CLOSE},
		{"Transfer-Encoding:\r\n", "ok", BAD, CLOSE},
		/* with a length, RFC 9112 section 6.3: the coding wins */
		{"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n", CHUNKS, GOOD, GOOD},
		{"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n", CHUNKS, GOOD, GOOD},
		{"Content-Length: 2\r\nTransfer-Encoding: gzip\r\n", "ok", BAD, CLOSE},
		{"Transfer-Encoding: chunked\r\nContent-Length: x\r\n", CHUNKS, BAD, GOOD},
		/* names that are others */
		{"X-Transfer-Encoding: chunked\r\nContent-Length: 2\r\n", "ok", GOOD, GOOD},
		{"Transfer-Encodings: chunked\r\nContent-Length: 2\r\n", "ok", GOOD, GOOD},
		{"Transfer Encoding: chunked\r\nContent-Length: 2\r\n", "ok", GOOD, GOOD},
		{"Transfer\rEncoding: chunked\r\nContent-Length: 2\r\n", "ok", GOOD, GOOD},
		{"TE: chunked\r\nContent-Length: 2\r\n", "ok", GOOD, GOOD},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(framings) / sizeof(framings[0]); i++)
		check_framing(&framings[i]);
}

static void http_chunks(void **state)
{
	static const struct {
		const char *body;
		int is_bad;
	} cases[] = {
		{"0\r\n\r\n", 0},
		{"000\r\n\r\n", 0},
		{"0;last\r\n\r\n", 0},
		{"2\r\nok\r\n2\r\nok\r\n0\r\n\r\n", 0},
		{"2\nok\n0\n\n", 0},
		{"2\r\nok\n0\r\n\r\n", 0},
		{"02\r\nok\r\n0\r\n\r\n", 0},
		{"000000000000002\r\nok\r\n000000000000000\r\n\r\n", 0}, /* 15 digits */
		{"00000002\r\nok\r\n00000000\r\n\r\n", 0},
		{"000000002\r\nok\r\n000000000\r\n\r\n", 0},
		{"a\r\n0123456789\r\n0\r\n\r\n", 0},
		{"A\r\n0123456789\r\n0\r\n\r\n", 0},
		{"1f\r\n0123456789012345678901234567890\r\n0\r\n\r\n", 0},
		{"1F\r\n0123456789012345678901234567890\r\n0\r\n\r\n", 0},
		{"7\r\n\r\n0\r\n\r\n\r\n0\r\n\r\n", 0},
		{"2\r\n\r\n\r\n0\r\n\r\n", 0},
		{"2;a=b\r\nok\r\n0\r\n\r\n", 0},
		{"2;\r\nok\r\n0\r\n\r\n", 0},
		{"2 ; a=\"b c\"\r\nok\r\n0\r\n\r\n", 0},
		{"2 \r\nok\r\n0\t\r\n\r\n", 0},
		{"2;signature=0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\r\n"
		 "ok\r\n"
		 "0;signature=0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\r\n"
		 "\r\n",
		 0},
		{"000000000000002;signature="
		 "0123456789abcdef0123456789abcdef0123456789abcdef0123\r\n"
		 "ok\r\n0\r\n\r\n",
		 0},
		{"0\r\nExpires: never\r\n\r\n", 0},
		{"0\r\nContent-Length: 7\r\nTransfer-Encoding: gzip\r\n\r\n", 0},
		{"0\r\nTrailer-that-is-longer-than-the-carry: "
		 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\r\n\r\n",
		 0},
		{"g\r\nok\r\n", 1},
		{"\r\nok\r\n", 1},
		{"-2\r\nok\r\n", 1},
		{" 2\r\nok\r\n", 1},
		{";2\r\nok\r\n", 1},
		{"2x\r\nok\r\n", 1},
		{"0x2\r\nok\r\n", 1},
		{"2,2\r\nok\r\n", 1},
		{"0000000000000002\r\nok\r\n", 1}, /* 16 digits */
		{"fffffffffffffffff\r\nok\r\n", 1},
		{"\x12\r\nok\r\n", 1},
		{"\xb2\r\nok\r\n", 1},
		{"2\r\nokX\r\n0\r\n\r\n", 1},
		{"2\r\nok \r\n0\r\n\r\n", 1},
		{"2\r\nok\r\r\n0\r\n\r\n", 1},
		{"2\r\nok\rX\n0\r\n\r\n", 1},
		{"2\r\nok, and on, past what the carry holds of a line, and further than that, "
		 "on\r\n",
		 1},
		{"x, and on, past what the carry holds of a line, and further than that, on\r\n",
		 1},
		{"2, and on, past what the carry holds of a line, and further than that, on\r\n",
		 1},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct framing f = {"Transfer-Encoding: chunked\r\n", cases[i].body,
				    cases[i].is_bad ? BAD : GOOD, cases[i].is_bad ? BAD : GOOD};

		check_framing(&f);
	}
}

/* Sizes around what a window, a step and a line hold. */
static void http_chunk_and_body_sizes(void **state)
{
	static const size_t sizes[] = {1,    2,	   7,	 8,    9,    15,   16,	 31,   32,   33,
				       63,   64,   65,	 127,  128,  960,  961,	 1000, 1020, 1021,
				       1022, 1023, 1024, 1025, 1026, 1088, 2047, 2048, 2049};
	static char body[4096], chunks[16384], head[128];
	struct framing f = {head, body, GOOD, GOOD};

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		for (size_t j = 0; j < sizes[i]; j++)
			body[j] = "\r\n0\r\n\r\nHTTP/1.1 200"[j % 19];
		body[sizes[i]] = 0;
		snprintf(head, sizeof(head), "Content-Length: %zu\r\n", sizes[i]);
		f.body = body;
		check_framing(&f);
		snprintf(head, sizeof(head), "Transfer-Encoding: chunked\r\n");
		snprintf(chunks, sizeof(chunks), "%zx\r\n%s\r\n%zX;x\r\n%s\r\n0\r\n\r\n", sizes[i],
			 body, sizes[i], body);
		f.body = chunks;
		check_framing(&f);
	}
}

static void http_chunk_size_values(void **state)
{
	uint64_t random = 6364136223846793005ull;
	struct drive *d = &the_drive;

	(void)state;
	for (int i = 0; i < 20000; i++) {
		unsigned digits = (unsigned)(test_random(&random) % 15 + 1);
		uint64_t value = test_random(&random) >> (64 - 4 * digits);
		char text[128];
		int len;

		if (value < HTTP_WIN)
			continue;
		len = snprintf(text, sizeof(text), i & 1 ? "%0*llx%s\r\n" : "%0*llX%s\r\n",
			       (int)digits, (unsigned long long)value, i & 2 ? ";a=b" : "");
		drive_init(d, 1, (unsigned)i, i & 1);
		drive_send(d, HTTP_REQUESTS, "PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
			   46, 1);
		drive_send(d, HTTP_REQUESTS, text, (size_t)len, 1);
		assert_int_equal(d->conn->stream[HTTP_REQUESTS].state, HTTP_CHUNK_DATA);
		assert_int_equal(d->conn->stream[HTTP_REQUESTS].left, value);
		drive_free(d);
	}
}

static void http_responses_without_body(void **state)
{
	static const struct conv convs[] = {
		{"HEAD 200, GET 200 | http1",
		 0,
		 0,
		 {Q(HEAD GET), A("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" OK)}},
		{"HEAD 200, GET 200 | http1",
		 0,
		 0,
		 {Q(HEAD GET), A("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" OK)}},
		{"HEAD 200, GET 200 | http1", 0, 0, {Q(HEAD GET), A("HTTP/1.1 200 OK\r\n\r\n" OK)}},
		{"HEAD 200, GET 200 | http1",
		 0,
		 0,
		 {Q(HEAD GET), A("HTTP/1.1 200 OK\r\nContent-Length: 1, 2\r\n\r\n" OK)}},
		{"GET 204, GET 200 | http1",
		 0,
		 0,
		 {Q(GET GET), A("HTTP/1.1 204 -\r\nContent-Length: 7\r\n\r\n" OK)}},
		{"GET 204, GET 200 | http1",
		 0,
		 0,
		 {Q(GET GET), A("HTTP/1.1 204 -\r\nTransfer-Encoding: chunked\r\n\r\n" OK)}},
		{"GET 304, GET 200 | http1", 0, 0, {Q(GET GET), A(OK304 OK)}},
		{"POST 205, GET 200 | http1",
		 0,
		 0,
		 {Q("POST / HTTP/1.1\r\n\r\n" GET),
		  A("HTTP/1.1 205 -\r\nContent-Length: 0\r\n\r\n" OK)}},
	};

	(void)state;
	CHECK_ALL(convs);
}

static void http_interim_responses(void **state)
{
	static const struct conv convs[] = {
		{"POST 200 | http1",
		 0,
		 1,
		 {Q("POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n"),
		  A("HTTP/1.1 100 Continue\r\n\r\n"), Q("body"), A(OK)}},
		{"POST 417, GET 200 | http1",
		 0,
		 0,
		 {Q("POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n"),
		  A("HTTP/1.1 417 -\r\nContent-Length: 0\r\n\r\n"), Q("body" GET), A(OK)}},
		{"GET 200 | http1",
		 0,
		 0,
		 {Q(GET), A("HTTP/1.1 102 Processing\r\n\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: "
			    "</a>\r\n\r\n"
			    "HTTP/1.1 103 -\r\nContent-Length: 9\r\n\r\n" OK)}},
	};

	(void)state;
	CHECK_ALL(convs);
}

static void http_upgrade_and_tunnel(void **state)
{
	static const struct conv convs[] = {
		{"GET 101 | http1",
		 END_SERVER_FIN,
		 1,
		 {Q("GET / HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"),
		  A("HTTP/1.1 101 Switching Protocols\r\nUpgrade: "
		    "websocket\r\n\r\n\x81\x05Hello\r\n" OK),
		  Q(GET GET), A(OK)}},
		{"GET 200, GET 200 | http1", /* the server would not */
		 0,
		 1,
		 {Q("GET / HTTP/1.1\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n"), A(OK), Q(GET),
		  A(OK)}},
		{"CONNECT 200 | http1",
		 END_CLIENT_FIN,
		 1,
		 {Q("CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n"),
		  A("HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n" OK), Q(GET), A(OK)}},
		{"CONNECT 299 | http1",
		 0,
		 1,
		 {Q("CONNECT a:1 HTTP/1.1\r\n\r\n"),
		  A("HTTP/1.1 299 -\r\nTransfer-Encoding: chunked\r\n\r\n"), Q("\x16\x03\x01"),
		  A("\x16\x03\x03")}},
		{"CONNECT 407, CONNECT 407, GET 200 | http1",
		 0,
		 1,
		 {Q("CONNECT a:1 HTTP/1.1\r\n\r\n"),
		  A("HTTP/1.1 407 -\r\nContent-Length: 3\r\n\r\nno\n"),
		  Q("CONNECT a:1 HTTP/1.1\r\n\r\n"),
		  A("HTTP/1.1 407 -\r\nTransfer-Encoding: chunked\r\n\r\n" CHUNKS), Q(GET), A(OK)}},
		{"GET 200, CONNECT 200 | http1",
		 0,
		 1,
		 {Q(GET "CONNECT a:1 HTTP/1.1\r\n\r\n"), A(OK "HTTP/1.1 200 OK\r\n\r\n" OK)}},
		{"CONNECT 599 no_response | http1",
		 END_SERVER_FIN,
		 1,
		 {Q("CONNECT a:1 HTTP/1.1\r\n\r\n" GET)}},
	};

	(void)state;
	CHECK_ALL(convs);
}

/* ---- many requests, long lines --------------------------------------------------------------- */

static void repeat(char *to, const char *text, size_t cnt)
{
	size_t len = strlen(text);

	for (size_t i = 0; i < cnt; i++)
		memcpy(to + i * len, text, len);
	to[cnt * len] = 0;
}

static void check_pipeline(size_t cnt, const char *want)
{
	static char requests[8192], responses[8192];
	struct conv conv = {want, 0, 1, {{0}}};

	repeat(requests, "GET /a HTTP/1.1\r\nA: b\r\n\r\n", cnt);
	repeat(responses, OK, cnt);
	conv.turns[0] = (struct turn){requests, strlen(requests), HTTP_REQUESTS};
	conv.turns[1] = (struct turn){responses, strlen(responses), HTTP_RESPONSES};
	conv.turns[2] = (struct turn)Q(HEAD);
	conv.turns[3] = (struct turn)A("HTTP/1.1 203 -\r\n\r\n");
	check(&conv);
}

static void http_pipelines(void **state)
{
	static char want[2048];

	(void)state;
	for (size_t cnt = 1; cnt <= 40; cnt += cnt < 31 ? 5 : cnt < 33 ? 1 : 7) {
		repeat(want, "GET 200, ", cnt < HTTP_RING ? cnt : HTTP_RING);
		strcat(want, "HEAD 203 | http1");
		if (cnt > HTTP_RING)
			sprintf(want + strlen(want), " full=%zu", cnt - HTTP_RING);
		check_pipeline(cnt, want);
	}
}

/* Two rounds behind a full ring: a slot that frees belongs to none of those behind it. */
static void http_pipeline_over_the_ring_keeps_its_order(void **state)
{
	struct drive *d = &the_drive;
	static char text[DRIVE_TEXT_MAX];

	(void)state;
	drive_init(d, 5, 1, 0);
	for (int i = 0; i < 35; i++)
		drive_send(d, HTTP_REQUESTS, GET, sizeof(GET) - 1, (uint64_t)i + 1);
	for (int i = 0; i < 34; i++) {
		drive_send(d, HTTP_RESPONSES, OK, sizeof(OK) - 1, (uint64_t)i + 100);
		if (i == 10) /* room in the ring, but others are before it */
			drive_send(d, HTTP_REQUESTS, HEAD, sizeof(HEAD) - 1, 90);
	}
	assert_int_equal(d->req_cnt, HTTP_RING);
	assert_int_equal(d->full_cnt, 4);
	assert_int_equal(d->conn->over_cnt, 2);
	for (size_t i = 0; i < d->req_cnt; i++) {
		assert_int_equal(d->reqs[i].start_ns, i + 1);
		assert_int_equal(d->reqs[i].end_ns, i + 100);
	}
	drive_send(d, HTTP_RESPONSES, OK, sizeof(OK) - 1, 200);
	drive_send(d, HTTP_RESPONSES, OK304, sizeof(OK304) - 1, 201);
	assert_int_equal(d->conn->over_cnt, 0);
	drive_send(d, HTTP_REQUESTS, HEAD, sizeof(HEAD) - 1, 300);
	drive_send(d, HTTP_RESPONSES, OK304, sizeof(OK304) - 1, 301);
	assert_int_equal(d->req_cnt, HTTP_RING + 1);
	assert_int_equal(d->unmatched_cnt, 0);
	drive_send(d, HTTP_RESPONSES, OK304, sizeof(OK304) - 1, 302);
	drive_text(d, text);
	assert_non_null(strstr(text, "HEAD 304 | http1 unmatched=1 full=4"));
	drive_free(d);
}

static void check_long(size_t len)
{
	static char request[32768], response[32768];
	struct conv conv = {"GET 200, POST 200 | http1", 0, 0, {{0}}};
	size_t at;

	at = (size_t)sprintf(request, "GET /");
	memset(request + at, 'x', len);
	at += len;
	at += (size_t)sprintf(request + at, " HTTP/1.1\r\nCookie: ");
	memset(request + at, 'y', len);
	at += len;
	at += (size_t)sprintf(request + at,
			      "\r\nA: b\r\n\r\nPOST / HTTP/1.1\r\nContent-Length: 2\r\nCookie: ");
	memset(request + at, 'z', len);
	at += len;
	at += (size_t)sprintf(request + at, "\r\n\r\n\r\n");
	conv.turns[0] = (struct turn){request, at, HTTP_REQUESTS};
	at = (size_t)sprintf(response, "HTTP/1.1 200 ");
	memset(response + at, 'O', len);
	at += len;
	at += (size_t)sprintf(response + at, "\r\nSet-Cookie: ");
	memset(response + at, ' ', len);
	at += len;
	at += (size_t)sprintf(response + at, "\r\nContent-Length: 2\r\n\r\nok"
					     "HTTP/1.1 200 -\r\nTransfer-Encoding: chunked\r\nX: ");
	memset(response + at, '\r', len);
	at += len;
	at += (size_t)sprintf(response + at, "\r\n\r\n" CHUNKS);
	conv.turns[1] = (struct turn){response, at, HTTP_RESPONSES};
	check(&conv);
}

static void http_long_lines(void **state)
{
	(void)state;
	for (size_t len = 28; len < 72; len++)
		check_long(len);
	for (size_t len = 1020; len < 1030; len++)
		check_long(len);
	check_long(8192);
}

/* A length of which not all is in the carry cannot be read: it is an error, never a guess. */
static void http_long_length_lines_are_bad(void **state)
{
	static char fields[2048];
	struct framing f = {fields, "ok", BAD, BAD};

	(void)state;
	for (size_t pad = 64; pad <= 1024; pad += 64) {
		sprintf(fields, "Content-Length: %*s2\r\n", (int)pad, "");
		check_framing(&f);
		sprintf(fields, "Content-Length: 2%*s\r\n", (int)pad, "");
		check_framing(&f);
	}
}

static void http_long_bad_start_lines(void **state)
{
	static char line[4096];
	struct conv conv = {"GET 200, _OTHER 400 | http1 bad_request=1 desync=1", 0, 1, {{0}}};

	(void)state;
	for (size_t len = 40; len < 2048; len += len < 80 ? 1 : 211) {
		memset(line, 'x', len); /* no method */
		line[len] = 0;
		strcat(line, " HTTP/1.1\r\n");
		conv.turns[0] = (struct turn)Q(GET);
		conv.turns[1] = (struct turn)A(OK);
		conv.turns[2] = (struct turn){line, strlen(line), HTTP_REQUESTS};
		conv.turns[3] = (struct turn)A("HTTP/1.1 400 Bad\r\nContent-Length: 0\r\n\r\n");
		check(&conv);
		line[3] = ' '; /* a method, no version */
		line[len] = 0;
		strcat(line, " HTTP/1.1x\r\n");
		conv.turns[2].len = strlen(line);
		check(&conv);
	}
}

/* ---- ends -------------------------------------------------------------------------------------
 */

static void check_ends(const char *request, const char *response, const char *const wants[6])
{
	for (int end = END_SERVER_FIN; end <= END_SILENT; end++) {
		struct conv conv = {wants[end], (enum conv_end)end, 0, {{0}}};

		conv.turns[0] = (struct turn){request, strlen(request), HTTP_REQUESTS};
		if (*response)
			conv.turns[1] = (struct turn){response, strlen(response), HTTP_RESPONSES};
		check(&conv);
	}
}

#define ENDS(server_fin, server_rst, client_fin, client_rst, silent)       \
	(const char *const[])                                              \
	{                                                                  \
		"", server_fin, server_rst, client_fin, client_rst, silent \
	}

static void http_ends(void **state)
{
	static const char *const begun[] = {
		"HTTP/1.1 200 OK\r\n",
		"HTTP/1.1 200 OK\r\nContent-Le",
		"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab",
		"HTTP/1.1 200 OK\r\nContent-Length: 3000\r\n\r\nab",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\na",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\nA: b\r\n",
		"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n",
	};
	static const char *const not_begun[] = {
		"",
		"\r\n",
		"H",
		"HTTP/1.1 20",
		"HTTP/1.1 200 OK",
		"HTTP/1.1 100 Continue\r\nA: b",
		"HTTP/1.1 100 Continue\r\n\r\n",
		"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(begun) / sizeof(begun[0]); i++)
		check_ends(GET, begun[i],
			   ENDS("GET 200 truncated | http1", "GET 200 truncated | http1",
				"GET 200 truncated | http1", "GET 200 truncated | http1",
				"GET 200 truncated | http1"));
	for (size_t i = 0; i < sizeof(not_begun) / sizeof(not_begun[0]); i++)
		check_ends(GET, not_begun[i],
			   ENDS("GET 599 no_response | http1", "GET 599 no_response | http1",
				"GET 499 client_closed | http1", "GET 499 client_closed | http1",
				"GET 499 client_closed | http1"));
	/* Requests that are not whole themselves, but begun. */
	check_ends("POST / HTTP/1.1\r\n", "",
		   ENDS("POST 599 no_response | http1", "POST 599 no_response | http1",
			"POST 499 client_closed | http1", "POST 499 client_closed | http1",
			"POST 499 client_closed | http1"));
	check_ends("POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\nbody",
		   "HTTP/1.1 413 -\r\nContent-Length: 0\r\n\r\n",
		   ENDS("POST 413 | http1", "POST 413 | http1", "POST 413 | http1",
			"POST 413 | http1", "POST 413 | http1"));
	check_ends("POST / HTTP/1.1", "", ENDS("| none", "| none", "| none", "| none", "| none"));
	/* A body that ends with the connection is whole by the server's FIN alone. */
	check_ends(GET, "HTTP/1.1 200 OK\r\n\r\nbody",
		   ENDS("GET 200 | http1", "GET 200 truncated | http1", "GET 200 | http1",
			"GET 200 truncated | http1", "GET 200 truncated | http1"));
	check_ends(GET, "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
		   ENDS("GET 200 | http1", "GET 200 truncated | http1", "GET 200 | http1",
			"GET 200 truncated | http1", "GET 200 truncated | http1"));
	/* Three outstanding: one answered, one begun, one not. */
	check_ends(GET HEAD GET GET, OK "HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 500 -\r\nA",
		   ENDS("GET 200, HEAD 200, GET 500 truncated, GET 599 no_response | http1",
			"GET 200, HEAD 200, GET 500 truncated, GET 599 no_response | http1",
			"GET 200, HEAD 200, GET 500 truncated, GET 499 client_closed | http1",
			"GET 200, HEAD 200, GET 500 truncated, GET 499 client_closed | http1",
			"GET 200, HEAD 200, GET 500 truncated, GET 499 client_closed | http1"));
	check_ends(GET, OK,
		   ENDS("GET 200 | http1", "GET 200 | http1", "GET 200 | http1", "GET 200 | http1",
			"GET 200 | http1"));
}

/* 32 outstanding, and one that no ring holds: all end, and none twice. */
static void http_end_of_a_full_ring(void **state)
{
	struct drive *d = &the_drive;

	(void)state;
	drive_init(d, 5, 1, 0);
	for (int i = 0; i < 33; i++)
		drive_send(d, HTTP_REQUESTS, GET, sizeof(GET) - 1, 1);
	drive_finish(d, HTTP_RESPONSES, 0, 2);
	drive_close(d, 3);
	assert_int_equal(d->req_cnt, 32);
	assert_int_equal(d->full_cnt, 1);
	for (size_t i = 0; i < 32; i++) {
		assert_int_equal(d->reqs[i].status, 599);
		assert_int_equal(d->reqs[i].end_ns, 2);
	}
	assert_int_equal(d->conn->over_cnt, 0);
	drive_free(d);
}

/* The side that is a client sees the same, and calls a silent peer no_response. */
static void http_ends_of_the_client_role(void **state)
{
	struct drive *d = &the_drive;
	static char text[DRIVE_TEXT_MAX];
	static const char *const wants[] = {"",
					    "GET 599 no_response | http1",
					    "GET 599 no_response | http1",
					    "GET 499 client_closed | http1",
					    "GET 499 client_closed | http1",
					    "GET 599 no_response | http1"};

	(void)state;
	for (int end = END_SERVER_FIN; end <= END_SILENT; end++) {
		drive_init(d, 5, 1, 0);
		d->is_client = 1;
		drive_send(d, HTTP_REQUESTS, GET, sizeof(GET) - 1, 1);
		play_end(d, (enum conv_end)end, 2);
		drive_text(d, text);
		assert_string_equal(text, wants[end]);
		drive_free(d);
	}
}

static void http_responses_that_answer_nothing(void **state)
{
	static const struct conv convs[] = {
		{"GET 200 | http1 unmatched=1", 0, 1, {Q(GET), A(OK), A(OK)}},
		{"GET 200, GET 304 | http1 unmatched=2",
		 0,
		 1,
		 {Q(GET), A(OK), A(OK OK304), Q(GET), A(OK304)}},
		/* nginx answers a connection that said nothing */
		{"| http1 unmatched=1",
		 END_SERVER_FIN,
		 0,
		 {A("HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n")}},
		{"| http1 unmatched=1",
		 0,
		 0,
		 {A("HTTP/1.1 400 -\r\nTransfer-Encoding: chunked\r\n\r\n" CHUNKS)}},
	};

	(void)state;
	CHECK_ALL(convs);
}

/* ---- times ------------------------------------------------------------------------------------
 */

static void send_at(struct drive *d, int kind, const char *text, uint64_t now)
{
	drive_send(d, kind, text, strlen(text), now);
}

static void http_times(void **state)
{
	struct drive *d = &the_drive;

	(void)state;
	drive_init(d, 5, 1, 0);
	send_at(d, HTTP_REQUESTS, "G", 10);
	send_at(d, HTTP_REQUESTS, "ET / HTTP/1.1\r\n", 20);
	send_at(d, HTTP_REQUESTS, "Content-Length: 2\r\n\r\n", 30);
	send_at(d, HTTP_REQUESTS, "o", 40);
	send_at(d, HTTP_REQUESTS, "kPOST / HTT", 50); /* the next one begins here */
	send_at(d, HTTP_RESPONSES, "HTTP/1.1 100 -\r\n\r\n", 60);
	send_at(d, HTTP_RESPONSES, "H", 70);
	send_at(d, HTTP_RESPONSES, "TTP/1.1 200 OK\r\n", 80);
	send_at(d, HTTP_REQUESTS, "P/1.1\r\n\r\n", 90);
	send_at(d, HTTP_RESPONSES, "Content-Length: 2\r\n\r\no", 100);
	send_at(d, HTTP_RESPONSES, "kHTTP/1.1 200 OK\r\n\r\n", 110);
	drive_finish(d, HTTP_RESPONSES, 0, 120);
	assert_int_equal(d->req_cnt, 2);
	assert_int_equal(d->reqs[0].start_ns, 10);
	assert_int_equal(d->reqs[0].first_ns, 70); /* not the interim one */
	assert_int_equal(d->reqs[0].end_ns, 110);
	assert_int_equal(d->reqs[1].start_ns, 50);
	assert_int_equal(d->reqs[1].first_ns, 110);
	assert_int_equal(d->reqs[1].end_ns, 120);
	drive_free(d);
}

/* The ring keeps 52 bits of a start time: 52 days. */
static void http_times_past_52_bits(void **state)
{
	struct drive *d = &the_drive;
	const uint64_t up[] = {1ull << 52, (1ull << 52) - 1, 3ull << 52, (5ull << 52) - 1000000};

	(void)state;
	for (size_t i = 0; i < sizeof(up) / sizeof(up[0]); i++) {
		drive_init(d, 5, 1, 0);
		send_at(d, HTTP_REQUESTS, "PATCH / HTTP/1.1\r\n\r\n", up[i]);
		send_at(d, HTTP_RESPONSES, OK, up[i] + 3600000000000ull);
		assert_int_equal(d->req_cnt, 1);
		assert_int_equal(d->reqs[0].start_ns, up[i]);
		assert_int_equal(d->reqs[0].method, SLID_METHOD_PATCH);
		assert_int_equal(d->reqs[0].end_ns, up[i] + 3600000000000ull);
		drive_free(d);
	}
}

/* An empty line before a message starts no clock: it may come much earlier. */
static void http_empty_line_starts_no_clock(void **state)
{
	struct drive *d = &the_drive;

	(void)state;
	drive_init(d, 5, 1, 0);
	send_at(d, HTTP_REQUESTS, "\r\n", 10);
	send_at(d, HTTP_REQUESTS, GET, 20);
	send_at(d, HTTP_RESPONSES, OK, 30);
	send_at(d, HTTP_REQUESTS, GET, 40);
	send_at(d, HTTP_RESPONSES, OK, 50);
	assert_int_equal(d->reqs[0].start_ns, 20);
	assert_int_equal(d->reqs[1].start_ns, 40);
	assert_int_equal(d->reqs[1].first_ns, 50);
	drive_free(d);
}

/* ---- segments that one run cannot read, data in the handshake -------------------------------- */

static void http_large_segments(void **state)
{
	static char segment[65536], text[DRIVE_TEXT_MAX];
	struct drive *d = &the_drive;
	size_t at, line = sizeof("A: 0123456789\r\n") - 1;

	(void)state;
	at = (size_t)sprintf(segment, "GET / HTTP/1.1\r\n");
	for (; at + line < 60000; at += line)
		memcpy(segment + at, "A: 0123456789\r\n", line);
	at += (size_t)sprintf(segment + at, "\r\n");
	drive_init(d, 5, 1, 0);
	drive_send(d, HTTP_REQUESTS, segment, at, 1);
	drive_send(d, HTTP_RESPONSES, OK, sizeof(OK) - 1, 2);
	drive_text(d, text);
	assert_string_equal(text, "GET 200 | http1");
	assert_int_equal(d->conn->stream[HTTP_REQUESTS].state, HTTP_START);
	drive_free(d);
	/* 1200 responses in one segment, an event each: more than a run has turns. */
	drive_init(d, 5, 1, 0);
	for (int i = 0; i < 32; i++)
		drive_send(d, HTTP_REQUESTS, GET, sizeof(GET) - 1, 1);
	for (at = 0; at + sizeof(OK) < 60000; at += sizeof(OK) - 1)
		memcpy(segment + at, OK, sizeof(OK) - 1);
	drive_send(d, HTTP_RESPONSES, segment, at, 2);
	assert_int_equal(d->req_cnt, 32);
	assert_int_equal(d->limit_cnt, 1);
	assert_int_equal(d->unmatched_cnt, DRIVE_WINDOWS - 32);
	drive_send(d, HTTP_REQUESTS, GET, sizeof(GET) - 1, 3);
	drive_send(d, HTTP_RESPONSES, OK, sizeof(OK) - 1, 4); /* ahead of what was left unread */
	assert_int_equal(d->conn->stream[HTTP_RESPONSES].range_cnt, 1);
	drive_free(d);
}

static void http_early_data(void **state)
{
	static char segment[16384], text[DRIVE_TEXT_MAX];
	struct drive *d = &the_drive;
	size_t len;

	(void)state;
	for (size_t pad = 0; pad<5000; pad += pad> 900 && pad < 1100 ? 1 : 61) {
		len = (size_t)sprintf(segment, "POST / HTTP/1.1\r\nContent-Length: %zu\r\n\r\n",
				      pad);
		memset(segment + len, '\n', pad);
		len += pad;
		len += (size_t)sprintf(segment + len, "DELETE /%0*d HTTP/1.1\r\n",
				       (int)(pad % 99) + 1, 0);
		drive_init(d, 5, (unsigned)pad % DRIVE_POISONS, pad & 1);
		/* What is past the windows is missed: only a body can be. */
		if (len > DRIVE_EARLY * HTTP_WIN)
			len = DRIVE_EARLY * HTTP_WIN;
		drive_early(d, segment, (uint32_t)len, 1);
		drive_send(d, HTTP_REQUESTS, segment + len, strlen(segment) - len, 2);
		send_at(d, HTTP_REQUESTS, "\r\n", 2);
		send_at(d, HTTP_RESPONSES, OK OK, 3);
		drive_text(d, text);
		assert_string_equal(text, "POST 200, DELETE 200 | http1");
		drive_free(d);
	}
	/* Many small messages: several turns over each window. */
	repeat(segment, "GET / HTTP/1.1\r\nA: b\r\nC: d\r\n\r\n", 32);
	drive_init(d, 5, 3, 0);
	drive_early(d, segment, (uint32_t)strlen(segment), 1);
	assert_int_equal(d->started_cnt, 32);
	drive_free(d);
	/* A body larger than the windows. */
	len = (size_t)sprintf(segment, "POST / HTTP/1.1\r\nContent-Length: 6000\r\n\r\n");
	memset(segment + len, 'x', 6000);
	drive_init(d, 5, 3, 0);
	drive_early(d, segment, (uint32_t)len + 6000, 1);
	send_at(d, HTTP_REQUESTS, GET, 2);
	assert_int_equal(d->started_cnt, 2);
	assert_int_equal(d->desync_cnt, 0);
	drive_free(d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(http_words_match_plain_loops),
		cmocka_unit_test(http_tchar_is_that_of_rfc_9110),
		cmocka_unit_test(http_methods),
		cmocka_unit_test(http_targets),
		cmocka_unit_test(http_versions_and_line_ends),
		cmocka_unit_test(http_bad_request_lines_on_a_known_connection),
		cmocka_unit_test(http_bad_status_lines_on_a_known_connection),
		cmocka_unit_test(http_first_bytes_of_other_protocols),
		cmocka_unit_test(http_content_length),
		cmocka_unit_test(http_content_length_values),
		cmocka_unit_test(http_transfer_encoding),
		cmocka_unit_test(http_chunks),
		cmocka_unit_test(http_chunk_and_body_sizes),
		cmocka_unit_test(http_chunk_size_values),
		cmocka_unit_test(http_responses_without_body),
		cmocka_unit_test(http_interim_responses),
		cmocka_unit_test(http_upgrade_and_tunnel),
		cmocka_unit_test(http_pipelines),
		cmocka_unit_test(http_pipeline_over_the_ring_keeps_its_order),
		cmocka_unit_test(http_long_lines),
		cmocka_unit_test(http_long_length_lines_are_bad),
		cmocka_unit_test(http_long_bad_start_lines),
		cmocka_unit_test(http_ends),
		cmocka_unit_test(http_end_of_a_full_ring),
		cmocka_unit_test(http_ends_of_the_client_role),
		cmocka_unit_test(http_responses_that_answer_nothing),
		cmocka_unit_test(http_times),
		cmocka_unit_test(http_times_past_52_bits),
		cmocka_unit_test(http_empty_line_starts_no_clock),
		cmocka_unit_test(http_large_segments),
		cmocka_unit_test(http_early_data),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
