/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_segment.c - from segments to streams: what arrives twice is read once, what is missing
 * inside a counted body changes nothing, what is missing elsewhere is counted as lost and never
 * guessed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "http_drive.h"

#define GET   "GET / HTTP/1.1\r\nHost: example.com\r\n\r\n"
#define OK    "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
#define OK304 "HTTP/1.1 304 Not Modified\r\nContent-Length: 500\r\n\r\n"

static struct drive the_drive; /* large */
static char the_text[DRIVE_TEXT_MAX];

static uint64_t test_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

/* Sequence numbers that wrap in the stream's first bytes, or not at all. */
static const uint32_t bases[] = {1, 0xffffffffu, 0xfffffff0u, 0xffffffa0u, 0x7fffffe0u};
#define BASES (sizeof(bases) / sizeof(bases[0]))

static void assert_found(const char *want)
{
	struct drive *d = &the_drive;

	drive_text(d, the_text);
	assert_string_equal(the_text, want);
	assert_false(d->is_confused);
	assert_int_equal(d->started_cnt, d->req_cnt + d->lost_cnt + drive_outstanding(d));
}

static void send_text(int kind, const char *text, uint64_t now)
{
	drive_send(&the_drive, kind, text, strlen(text), now);
}

/* [from, to) of a stream that begins at base. */
static void segment(int kind, uint32_t base, const char *text, size_t from, size_t to, uint64_t now)
{
	drive_segment(&the_drive, kind, base + (uint32_t)from, text + from, (uint32_t)(to - from),
		      now);
}

/* ---- what arrives twice ------------------------------------------------------------------------
 */

#define REQUESTS                                                                    \
	GET "POST / HTTP/1.1\r\nContent-Length: 20\r\n\r\nGET / HTTP/1.1\r\n\r\n.." \
	    "PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\na\nb\r\n0\r\n\r\n"
#define RESPONSES                                                                       \
	OK "HTTP/1.1 201 -\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n0\r\nA: " \
	   "b\r\n\r\n" OK304
#define BOTH "GET 200, POST 201, PUT 304 | http1"

static void segment_overlaps_are_read_once(void **state)
{
	const size_t len[2] = {sizeof(REQUESTS) - 1, sizeof(RESPONSES) - 1};
	const char *text[2] = {REQUESTS, RESPONSES};

	(void)state;
	for (size_t b = 0; b < BASES; b++) {
		for (size_t cut = 1; cut < len[0] + len[1]; cut++) {
			for (size_t back = 0; back <= cut; back += 1 + back / 4) {
				drive_init(&the_drive, bases[b], (unsigned)back, 0);
				for (int kind = 0; kind < 2; kind++) {
					size_t at = cut < len[kind] ? cut : len[kind];
					size_t again = back < at ? at - back : 0;

					segment(kind, bases[b], text[kind], 0, at, 1);
					segment(kind, bases[b], text[kind], again, len[kind], 2);
				}
				assert_found(BOTH);
				drive_free(&the_drive);
			}
		}
	}
}

static void segment_retransmissions_at_random(void **state)
{
	const size_t len[2] = {sizeof(REQUESTS) - 1, sizeof(RESPONSES) - 1};
	const char *text[2] = {REQUESTS, RESPONSES};
	uint64_t random = 88172645463325252ull;

	(void)state;
	for (int round = 0; round < 20000; round++) {
		uint32_t base = bases[(size_t)round % BASES];
		size_t at[2] = {0, 0};

		drive_init(&the_drive, base, (unsigned)round % DRIVE_POISONS, 0);
		for (int kind = 0; kind < 2; kind++) {
			while (at[kind] < len[kind]) {
				size_t from = at[kind] - test_random(&random) % (at[kind] + 1);
				size_t to = from + test_random(&random) % 90;

				if (test_random(&random) & 1)
					from = at[kind];
				if (to < from || to > len[kind])
					to = len[kind];
				segment(kind, base, text[kind], from, to, 1);
				if (to > at[kind])
					at[kind] = to;
			}
		}
		assert_found(BOTH);
		drive_free(&the_drive);
	}
}

/* The end of a request is not moved by copies of it that come later. */
static void segment_retransmission_keeps_times(void **state)
{
	struct drive *d = &the_drive;

	(void)state;
	drive_init(d, 0xfffffff8u, 1, 0);
	segment(HTTP_REQUESTS, 0xfffffff8u, GET, 0, 4, 10);
	segment(HTTP_REQUESTS, 0xfffffff8u, GET, 0, 4, 20);
	segment(HTTP_REQUESTS, 0xfffffff8u, GET, 0, sizeof(GET) - 1, 30);
	segment(HTTP_RESPONSES, 0xfffffff8u, OK, 0, 20, 40);
	segment(HTTP_RESPONSES, 0xfffffff8u, OK, 10, sizeof(OK) - 1, 50);
	segment(HTTP_RESPONSES, 0xfffffff8u, OK, 0, sizeof(OK) - 1, 60);
	assert_int_equal(d->req_cnt, 1);
	assert_int_equal(d->reqs[0].start_ns, 10);
	assert_int_equal(d->reqs[0].first_ns, 40);
	assert_int_equal(d->reqs[0].end_ns, 50);
	drive_free(d);
}

/* ---- what arrives in another order, or never ------------------------------------------------- */

#define PART  700
#define PARTS 5

/* A body in five segments, in all orders: the head first, what follows last. */
static void check_body_orders(const char *head, const char *tail, size_t drop, uint32_t base)
{
	static char text[8192];
	size_t head_len = strlen(head), len = head_len;
	int order[PARTS];

	strcpy(text, head);
	for (size_t i = 0; i < PART * PARTS; i++)
		text[len++] = "\r\nHTTP/1.1 500 -\r\n\r\n"[i % 20];
	strcpy(text + len, tail);
	for (int code = 0; code < 3125; code++) { /* 5^5 */
		int seen = 0, c = code;

		for (int i = 0; i < PARTS; i++, c /= 5) {
			order[i] = c % 5;
			seen |= 1 << order[i];
		}
		if (seen != 31)
			continue;
		drive_init(&the_drive, base, (unsigned)code, 0);
		send_text(HTTP_REQUESTS, GET GET, 1);
		segment(HTTP_RESPONSES, base, text, 0, head_len, 2);
		for (int i = 0; i < PARTS; i++) {
			size_t from = head_len + (size_t)order[i] * PART;

			if ((size_t)order[i] != drop)
				segment(HTTP_RESPONSES, base, text, from, from + PART, 3);
		}
		segment(HTTP_RESPONSES, base, text, len, strlen(text), 4);
		assert_found("GET 200, GET 304 | http1");
		drive_free(&the_drive);
	}
}

static void segment_order_inside_a_body_does_not_matter(void **state)
{
	(void)state;
	for (size_t b = 0; b < BASES; b++) {
		for (size_t drop = 0; drop <= PARTS; drop++) { /* the last: none */
			check_body_orders("HTTP/1.1 200 OK\r\nContent-Length: 3500\r\n\r\n", OK304,
					  drop, bases[b]);
			check_body_orders(
				"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\ndac\r\n",
				"\r\n0\r\n\r\n" OK304, drop, bases[b]);
		}
	}
}

/* A gap that reaches to the body's last byte ends the message. */
static void segment_gap_up_to_the_body_end(void **state)
{
	struct drive *d = &the_drive;

	(void)state;
	for (size_t b = 0; b < BASES; b++) {
		drive_init(d, bases[b], 1, 0);
		send_text(HTTP_REQUESTS, GET GET GET, 1);
		send_text(HTTP_RESPONSES, "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n", 2);
		d->sent[HTTP_RESPONSES] += 100000;
		send_text(HTTP_RESPONSES,
			  "HTTP/1.1 201 OK\r\nTransfer-Encoding: chunked\r\n\r\n186a0\r\n", 3);
		assert_int_equal(d->req_cnt, 1);
		assert_int_equal(d->reqs[0].end_ns, 3);
		d->sent[HTTP_RESPONSES] += 100000;
		send_text(HTTP_RESPONSES, "\r\n0\r\n\r\n" OK304, 4);
		assert_found("GET 200, GET 201, GET 304 | http1");
		drive_free(d);
	}
}

/* Bytes never seen where a message boundary may be: the stream is lost, and counted. */
static void segment_gap_across_a_boundary(void **state)
{
	struct drive *d = &the_drive;

	(void)state;
	for (size_t b = 0; b < BASES; b++) {
		/* Ahead: remembered, not read. Filled: what came ahead is gone. */
		drive_init(d, bases[b], 1, 0);
		send_text(HTTP_REQUESTS, GET GET GET, 1);
		segment(HTTP_RESPONSES, bases[b], OK OK OK, sizeof(OK) - 1, 2 * (sizeof(OK) - 1),
			2);
		assert_found("| http1 started=3");
		segment(HTTP_RESPONSES, bases[b], OK OK OK, 0, sizeof(OK) - 1, 3);
		assert_found("GET 200 | http1 started=2 lost=2 desync=1 gap=1");
		/* The third one begins a segment, and answers nothing any more. */
		segment(HTTP_RESPONSES, bases[b], OK OK OK, 2 * (sizeof(OK) - 1),
			3 * (sizeof(OK) - 1), 4);
		assert_found("GET 200 | http1 started=2 lost=2 desync=1 unmatched=1 gap=1");
		send_text(HTTP_REQUESTS, GET, 5);
		d->sent[HTTP_RESPONSES] += 3 * (sizeof(OK) - 1);
		send_text(HTTP_RESPONSES, OK, 6);
		assert_found(
			"GET 200, GET 200 | http1 started=2 lost=2 desync=1 unmatched=1 gap=1");
		drive_free(d);
		/* In a request: its own response is still matched. */
		drive_init(d, bases[b], 1, 0);
		segment(HTTP_REQUESTS, bases[b], GET GET, 0, 20, 1);
		segment(HTTP_REQUESTS, bases[b], GET GET, 30, 50, 2);
		segment(HTTP_REQUESTS, bases[b], GET GET, 20, 30, 3);
		send_text(HTTP_RESPONSES, OK, 4);
		assert_found("GET 200 | http1 desync=1 gap=1");
		drive_free(d);
	}
}

/* A gap inside a body and a segment that goes on behind the body. */
static void segment_ahead_reaches_behind_the_body(void **state)
{
	static const char text[] =
		"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n"
		"0123456789012345678901234567890123456789\n\n\n\n\n\n\n\n\n\n" OK304;
	struct drive *d = &the_drive;

	(void)state;
	for (size_t b = 0; b < BASES; b++) {
		for (size_t from = 39; from < sizeof(text); from++) {
			int is_body = from <= 89;

			drive_init(d, bases[b], 1, 0);
			send_text(HTTP_REQUESTS, GET GET, 1);
			segment(HTTP_RESPONSES, bases[b], text, 0, 39, 2);
			segment(HTTP_RESPONSES, bases[b], text, from, sizeof(text) - 1, 3);
			segment(HTTP_RESPONSES, bases[b], text, 30, from, 4);
			if (is_body || from == sizeof(text) - 1)
				assert_found("GET 200, GET 304 | http1");
			else
				assert_found("GET 200 | http1 started=1 lost=1 desync=1 gap=1");
			drive_free(d);
		}
	}
}

/* Three holes in a message's head are followed; whatever fills them, nothing is counted twice. */
static void segment_ranges_in_all_orders(void **state)
{
	static const char text[] = OK OK OK OK OK OK OK OK;
	const size_t one = sizeof(OK) - 1;
	struct drive *d = &the_drive;

	(void)state;
	for (int code = 0; code < 6 * 6 * 6 * 6 * 6 * 6; code++) {
		uint32_t base = bases[(size_t)code % BASES];
		int c = code, seen = 0;

		drive_init(d, base, (unsigned)code, 0);
		for (int i = 0; i < 8; i++)
			send_text(HTTP_REQUESTS, GET, 1);
		for (int i = 0; i < 6; i++, c /= 6) {
			int which = c % 6;

			seen |= 1 << which;
			segment(HTTP_RESPONSES, base, text, (size_t)which * one,
				((size_t)which + 1) * one, 2);
		}
		assert_true(d->conn->stream[HTTP_RESPONSES].range_cnt <= HTTP_RANGES);
		assert_true(d->gap_cnt <= 3);
		assert_true(d->req_cnt + d->lost_cnt + drive_outstanding(d) == 8);
		if (seen == 63) /* all is here, in some order */
			assert_int_equal(d->conn->stream[HTTP_RESPONSES].next_seq, base + 6 * one);
		/* All in order: nothing lost. */
		if (!d->gap_cnt && seen == 63)
			assert_int_equal(d->req_cnt, 6);
		drive_free(d);
	}
}

static void segment_ranges_merge(void **state)
{
	static char text[4096];
	struct drive *d = &the_drive;
	const struct http_stream *s;

	(void)state;
	memset(text, 'x', sizeof(text));
	memcpy(text, "GET / HTTP/1.1\r\n", 16);
	for (size_t b = 0; b < BASES; b++) {
		drive_init(d, bases[b], 1, 0);
		s = &d->conn->stream[HTTP_REQUESTS];
		segment(HTTP_REQUESTS, bases[b], text, 0, 20, 1);
		segment(HTTP_REQUESTS, bases[b], text, 100, 200, 1);
		assert_int_equal(s->range_cnt, 1);
		segment(HTTP_REQUESTS, bases[b], text, 200, 300, 1); /* behind */
		segment(HTTP_REQUESTS, bases[b], text, 90, 100, 1);  /* before */
		segment(HTTP_REQUESTS, bases[b], text, 80, 310, 1);  /* around */
		segment(HTTP_REQUESTS, bases[b], text, 150, 160, 1); /* inside */
		assert_int_equal(s->range_cnt, 1);
		assert_int_equal(s->ranges[0].start, bases[b] + 80);
		assert_int_equal(s->ranges[0].end, bases[b] + 310);
		segment(HTTP_REQUESTS, bases[b], text, 400, 500, 1);
		segment(HTTP_REQUESTS, bases[b], text, 600, 700, 1);
		assert_int_equal(s->range_cnt, 3);
		assert_int_equal(d->gap_cnt, 0);
		segment(HTTP_REQUESTS, bases[b], text, 310, 400, 1);
		segment(HTTP_REQUESTS, bases[b], text, 800, 900, 1); /* a fourth: given up */
		assert_int_equal(d->desync_cnt + d->gap_cnt, s->range_cnt == 3 ? 0 : 2);
		/* Filled up to the first: all that is known is stepped over, once. */
		segment(HTTP_REQUESTS, bases[b], text, 20, 1000, 1);
		assert_int_equal(s->next_seq, bases[b] + 1000);
		assert_int_equal(s->range_cnt, 0);
		drive_free(d);
	}
}

/* Far ahead of anything that TCP would take. */
static void segment_out_of_window_is_ignored(void **state)
{
	struct drive *d = &the_drive;

	(void)state;
	drive_init(d, 1, 1, 0);
	drive_segment(d, HTTP_REQUESTS, 1 + SEGMENT_GAP_MAX + 1, GET, sizeof(GET) - 1, 1);
	drive_segment(d, HTTP_REQUESTS, 0x80000000u, GET, sizeof(GET) - 1, 1);
	drive_segment(d, HTTP_REQUESTS, 0xffff0000u, GET, sizeof(GET) - 1, 1);
	assert_int_equal(d->conn->stream[HTTP_REQUESTS].range_cnt, 0);
	send_text(HTTP_REQUESTS, GET, 2);
	send_text(HTTP_RESPONSES, OK, 3);
	assert_found("GET 200 | http1");
	drive_free(d);
}

/* ---- ends --------------------------------------------------------------------------------------
 */

/* A FIN ahead of bytes that are missing does not end what they may still bring. */
static void segment_fin_behind_a_gap(void **state)
{
	struct drive *d = &the_drive;

	(void)state;
	drive_init(d, 0xfffffff0u, 1, 0);
	send_text(HTTP_REQUESTS, GET GET, 1);
	d->sent[HTTP_RESPONSES] += sizeof(OK) - 1;
	drive_finish(d, HTTP_RESPONSES, 0, 2);
	assert_found("| http1 started=2");
	segment(HTTP_RESPONSES, 0xfffffff0u, OK, 0, sizeof(OK) - 1, 3);
	drive_finish(d, HTTP_RESPONSES, 0, 4); /* sent again */
	assert_found("GET 200, GET 599 no_response | http1");
	drive_free(d);
}

/* RFC 5961: a reset beside the next sequence number is a guess of somebody else. */
static void segment_blind_reset(void **state)
{
	struct drive *d = &the_drive;

	(void)state;
	drive_init(d, 0xfffffff0u, 1, 0);
	send_text(HTTP_REQUESTS, GET, 1);
	d->sent[HTTP_REQUESTS] += 7;
	drive_finish(d, HTTP_REQUESTS, 1, 2);
	assert_found("| http1 started=1");
	d->sent[HTTP_REQUESTS] -= 7;
	drive_finish(d, HTTP_REQUESTS, 1, 3);
	assert_found("GET 499 client_closed | http1");
	drive_free(d);
}

/* ---- connections that began before slid -------------------------------------------------------
 */

static void segment_joined_between_messages(void **state)
{
	struct drive *d = &the_drive;

	(void)state;
	for (size_t b = 0; b < BASES; b++) {
		drive_join(d, bases[b], 1, 0);
		send_text(HTTP_REQUESTS, GET, 1);
		send_text(HTTP_RESPONSES, OK, 2);
		send_text(HTTP_REQUESTS, "POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc", 3);
		send_text(HTTP_RESPONSES, OK304, 4);
		assert_found("GET 200, POST 304 | http1");
		assert_true(d->conn->flags & HTTP_C_JOINED);
		drive_free(d);
	}
}

static void segment_joined_inside_a_body(void **state)
{
	struct drive *d = &the_drive;

	(void)state;
	drive_join(d, 0xfffffff0u, 1, 0);
	send_text(HTTP_REQUESTS, "the rest of a body that a client uploads\r\n", 1);
	send_text(HTTP_REQUESTS, "GET", 1); /* too short to tell */
	send_text(HTTP_REQUESTS, "\r\nmore of it\r\n", 1);
	assert_found("| none");
	send_text(HTTP_RESPONSES, OK, 2); /* its request was not seen */
	assert_found("| http1 unmatched=1");
	send_text(HTTP_REQUESTS, GET, 3);
	send_text(HTTP_RESPONSES, OK304, 4);
	assert_found("GET 304 | http1 unmatched=1");
	drive_free(d);
	/* The response's body is under way when the next request comes. */
	drive_join(d, 0xfffffff0u, 1, 0);
	send_text(HTTP_REQUESTS, GET, 1);
	send_text(HTTP_RESPONSES, "<html>\r\nHTTP/1.1 200 OK\r\n\r\n", 2);
	send_text(HTTP_RESPONSES, "HTTP/1.1 is a protocol\r\n", 3); /* no status line */
	send_text(HTTP_RESPONSES, "HTTP/1.1 20", 3);		    /* too short to tell */
	assert_found("| http1 started=1");
	send_text(HTTP_RESPONSES, OK, 4);
	assert_found("GET 200 | http1");
	drive_free(d);
}

/* What looks like a request in a lost stream and is none, whole and cut, leaves no trace. */
static void segment_found_again_only_by_a_whole_start_line(void **state)
{
	static const char fake[] = "GET in touch with us, we would love to hear from you\r\n";
	struct drive *d = &the_drive;

	(void)state;
	for (size_t cut = 12; cut < sizeof(fake); cut++) {
		drive_join(d, 0xfffffff0u, 1, 0);
		send_text(HTTP_RESPONSES, OK, 1); /* http1, and who is who */
		drive_send(d, HTTP_REQUESTS, fake, cut, 1);
		drive_send(d, HTTP_REQUESTS, fake + cut, sizeof(fake) - 1 - cut, 1);
		assert_found("| http1 unmatched=1");
		send_text(HTTP_REQUESTS, "GET / HT", 1); /* too short to tell */
		send_text(HTTP_REQUESTS, "TP/1.1\r\n\r\n", 1);
		send_text(HTTP_REQUESTS, "GET / HTTP/1", 1);
		send_text(HTTP_REQUESTS, ".1\r\n\r\n", 1);
		send_text(HTTP_RESPONSES, OK, 2);
		assert_found("GET 200 | http1 unmatched=1");
		drive_free(d);
	}
}

static void segment_lost_and_found_many_times(void **state)
{
	struct drive *d = &the_drive;

	(void)state;
	drive_init(d, 0xfffffff0u, 1, 0);
	for (unsigned i = 0; i < 50; i++) {
		send_text(HTTP_REQUESTS, GET, 1);
		send_text(HTTP_RESPONSES, "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\nok", 1);
		send_text(HTTP_RESPONSES, "and more\r\n", 1);
		assert_int_equal(d->lost_cnt, i + 1);
		send_text(HTTP_REQUESTS, GET, 2);
		send_text(HTTP_RESPONSES, OK, 2);
		assert_int_equal(d->req_cnt, i + 1);
	}
	assert_int_equal(d->desync_cnt, 50);
	assert_int_equal(d->bad_response_cnt, 50);
	assert_int_equal(d->unmatched_cnt, 0);
	drive_free(d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(segment_overlaps_are_read_once),
		cmocka_unit_test(segment_retransmissions_at_random),
		cmocka_unit_test(segment_retransmission_keeps_times),
		cmocka_unit_test(segment_order_inside_a_body_does_not_matter),
		cmocka_unit_test(segment_gap_up_to_the_body_end),
		cmocka_unit_test(segment_gap_across_a_boundary),
		cmocka_unit_test(segment_ahead_reaches_behind_the_body),
		cmocka_unit_test(segment_ranges_in_all_orders),
		cmocka_unit_test(segment_ranges_merge),
		cmocka_unit_test(segment_out_of_window_is_ignored),
		cmocka_unit_test(segment_fin_behind_a_gap),
		cmocka_unit_test(segment_blind_reset),
		cmocka_unit_test(segment_joined_between_messages),
		cmocka_unit_test(segment_joined_inside_a_body),
		cmocka_unit_test(segment_found_again_only_by_a_whole_start_line),
		cmocka_unit_test(segment_lost_and_found_many_times),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
