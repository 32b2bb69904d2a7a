/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bpf_flow.c - what the kernel programs must capture, one case each, as packets: every case for the
 * server's side and the client's, over IPv4 and IPv6. All that was counted is compared.
 */
#include "bpf_run.h"

#define C(text) flow__say(f, CLIENT, text)
#define S(text) flow__say(f, SERVER, text)

#define GET	    SLID_METHOD_GET
#define GET_REQUEST "GET /a HTTP/1.1\r\nHost: a\r\n\r\n"
#define OK_HEAD	    "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"
#define OK_RESPONSE OK_HEAD "ok"

static void exchange(struct flow *f)
{
	C(GET_REQUEST);
	S(OK_RESPONSE);
}

/* ---- messages ----------------------------------------------------------------------------------
 */

static void get_200(struct flow *f)
{
	C(GET_REQUEST);
	CHECK(f, .in_flight = 1);
	S(OK_RESPONSE);
	CHECK(f, WANT({200, GET, 0, 1}));
}

static void keep_alive_500(struct flow *f)
{
	for (int i = 0; i < 500; i++)
		exchange(f);
	CHECK(f, WANT({200, GET, 0, 500}));
}

static void every_method(struct flow *f)
{
	static const char *const names[] = {
		"GET",	 "HEAD",  "POST",  "PUT", "DELETE",	     "OPTIONS",
		"TRACE", "PATCH", "PURGE", "X",	  "VERSION-CONTROL", "A-METHOD-OF-23-CHARS.XY"};
	char text[128];

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(text, sizeof(text), "%s /index.html HTTP/1.1\r\nHost: a\r\n\r\n",
			 names[i]);
		C(text);
		S(!strcmp(names[i], "HEAD") ? OK_HEAD : OK_RESPONSE);
	}
	CHECK(f, WANT({200, SLID_METHOD_GET, 0, 1}, {200, SLID_METHOD_HEAD, 0, 1},
		      {200, SLID_METHOD_POST, 0, 1}, {200, SLID_METHOD_PUT, 0, 1},
		      {200, SLID_METHOD_DELETE, 0, 1}, {200, SLID_METHOD_OPTIONS, 0, 1},
		      {200, SLID_METHOD_TRACE, 0, 1}, {200, SLID_METHOD_PATCH, 0, 1},
		      {200, SLID_METHOD_OTHER, 0, 4}));
}

static void every_form_of_target(struct flow *f)
{
	C("GET http://example.com/a?b=c HTTP/1.1\r\nHost: a\r\n\r\n");
	S(OK_RESPONSE);
	C("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n");
	S(OK_RESPONSE);
	C("GET / HTTP/1.0\r\n\r\n");
	S(OK_RESPONSE);
	C("\r\n\r\nGET / HTTP/1.1\r\n\r\n");
	S(OK_RESPONSE);
	C("CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n");
	S("HTTP/1.1 200 Connection established\r\n\r\n");
	CHECK(f, WANT({200, GET, 0, 3}, {200, SLID_METHOD_OPTIONS, 0, 1},
		      {200, SLID_METHOD_CONNECT, 0, 1}));
}

static void every_status_class(struct flow *f)
{
	static const char *const lines[] = {"200 OK",	     "201 Created", "301 Moved",
					    "404 Not Found", "500 ",	    "503",
					    "999 Odd",	     "599 Real",    "499 Real"};
	char text[128];

	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		C(GET_REQUEST);
		snprintf(text, sizeof(text), "HTTP/1.1 %s\r\ncontent-length:0\r\n\r\n", lines[i]);
		S(text);
	}
	CHECK(f, WANT({200, GET, 0, 1}, {201, GET, 0, 1}, {301, GET, 0, 1}, {404, GET, 0, 1},
		      {500, GET, 0, 1}, {503, GET, 0, 1}, {999, GET, 0, 1}, {599, GET, 0, 1},
		      {499, GET, 0, 1}));
}

static void content_length_both_ways(struct flow *f)
{
	C("POST /a HTTP/1.1\r\nCONTENT-LENGTH: 11\r\n\r\n");
	C("GET / HTTP");
	CHECK(f, .in_flight = 1);
	C("/");
	S("HTTP/1.1 200 OK\r\nContent-Length: 15  \r\n\r\nHTTP/1.1 500 No");
	exchange(f);
	CHECK(f, WANT({200, SLID_METHOD_POST, 0, 1}, {200, GET, 0, 1}));
}

static void chunked_with_trailers(struct flow *f)
{
	C("PUT /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n");
	C("5;ext=\"a\"\r\nhello\r\n0");
	C("1\r\n \r\n0\r\nTrailer: GET / HTTP/1.1\r\n\r");
	S("HTTP/1.1 100 Continue\r\n\r\n");
	C("\n");
	S("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\nContent-Length: 3\r\n\r\n");
	S("A\r\n0123456789\r\n00000a\r\n0123456789\r\n");
	CHECK(f, .in_flight = 1);
	S("000\r\nA: b\r\nC: d\r\n\r\n");
	exchange(f);
	CHECK(f, WANT({200, SLID_METHOD_PUT, 0, 1}, {200, GET, 0, 1}));
}

static void body_until_close(struct flow *f)
{
	C("GET / HTTP/1.0\r\n\r\n");
	S("HTTP/1.0 200 OK\r\nServer: a\r\n\r\nsome");
	S("thing, and HTTP/1.1 500 in a line of its own:\r\nHTTP/1.1 500 No\r\n\r\n");
	CHECK(f, .in_flight = 1);
	flow__fin(f, SERVER);
	CHECK(f, WANT({200, GET, 0, 1}));
	flow__fin(f, CLIENT);
	CHECK(f, WANT({200, GET, 0, 1}));
}

static void body_until_close_in_one_segment(struct flow *f)
{
	const char *text = "HTTP/1.0 200 OK\r\n\r\nbody";

	C("GET / HTTP/1.0\r\n\r\n");
	flow__send(f, SERVER, TH_FIN, text, strlen(text));
	CHECK(f, WANT({200, GET, 0, 1}));
}

static void no_body_by_method_or_status(struct flow *f)
{
	C("HEAD / HTTP/1.1\r\n\r\n");
	S("HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n");
	C("HEAD / HTTP/1.1\r\n\r\n");
	S("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
	C("HEAD / HTTP/1.1\r\n\r\n");
	S("HTTP/1.1 404 No\r\n\r\n");
	C(GET_REQUEST);
	S("HTTP/1.1 204 No Content\r\n\r\n");
	C(GET_REQUEST);
	S("HTTP/1.1 304 Not Modified\r\nContent-Length: 70000\r\n\r\n");
	exchange(f);
	CHECK(f, WANT({200, SLID_METHOD_HEAD, 0, 2}, {404, SLID_METHOD_HEAD, 0, 1},
		      {204, GET, 0, 1}, {304, GET, 0, 1}, {200, GET, 0, 1}));
}

static void interim_responses(struct flow *f)
{
	C(GET_REQUEST);
	S("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n");
	S("HTTP/1.1 103 Early Hints\r\nLink: </b>\r\n\r\nHTTP/1.1 102 "
	  "Processing\r\n\r\n" OK_RESPONSE);
	CHECK(f, WANT({200, GET, 0, 1}));
}

static void expect_100_continue(struct flow *f)
{
	C("POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n");
	S("HTTP/1.1 100 Continue\r\n\r\n");
	CHECK(f, .in_flight = 1);
	C("body");
	S("HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n");
	C("POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n");
	S("HTTP/1.1 417 No\r\nContent-Length: 0\r\n\r\n"); /* before the body, which is sent anyway
							    */
	C("body");
	exchange(f);
	CHECK(f,
	      WANT({201, SLID_METHOD_POST, 0, 1}, {417, SLID_METHOD_POST, 0, 1}, {200, GET, 0, 1}));
}

static void connect_opens_a_tunnel(struct flow *f)
{
	C("CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\n\r\n");
	S("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"); /* the length means nothing here */
	CHECK(f, WANT({200, SLID_METHOD_CONNECT, 0, 1}));
	exchange(f);
	flow__fin(f, CLIENT);
	flow__fin(f, SERVER);
	CHECK(f, WANT({200, SLID_METHOD_CONNECT, 0, 1}));
}

static void connect_refused_goes_on(struct flow *f)
{
	C("CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\n\r\n");
	S("HTTP/1.1 407 Who\r\nContent-Length: 2\r\n\r\nno");
	exchange(f);
	CHECK(f, WANT({407, SLID_METHOD_CONNECT, 0, 1}, {200, GET, 0, 1}));
}

static void upgrade_makes_it_opaque(struct flow *f)
{
	C("GET /ws HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n");
	S("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n\x81\x05hello");
	exchange(f);
	flow__rst(f, SERVER);
	CHECK(f, WANT({101, GET, 0, 1}), .resets_out = f->role == SLID_ROLE_SERVER,
	      .resets_in = f->role == SLID_ROLE_CLIENT);
}

static void upgrade_declined_goes_on(struct flow *f)
{
	C("GET /ws HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n");
	S(OK_RESPONSE);
	exchange(f);
	CHECK(f, WANT({200, GET, 0, 2}));
}

/* ---- pipelining ---------------------------------------------------------------------------------
 */

static void pipeline(struct flow *f, int cnt, bool coalesced)
{
	char requests[64 * sizeof(GET_REQUEST)], responses[64 * sizeof(OK_RESPONSE)];
	size_t out = 0, in = 0;

	for (int i = 0; i < cnt; i++) {
		memcpy(requests + out, GET_REQUEST, sizeof(GET_REQUEST) - 1);
		out += sizeof(GET_REQUEST) - 1;
		memcpy(responses + in, OK_RESPONSE, sizeof(OK_RESPONSE) - 1);
		in += sizeof(OK_RESPONSE) - 1;
		if (!coalesced)
			C(GET_REQUEST);
	}
	if (coalesced)
		flow__send(f, CLIENT, 0, requests, out);
	for (int i = 0; i < cnt && !coalesced; i++)
		S(OK_RESPONSE);
	if (coalesced)
		flow__send(f, SERVER, 0, responses, in);
}

static void pipelined_16(struct flow *f)
{
	pipeline(f, 16, false);
	CHECK(f, WANT({200, GET, 0, 16}));
}

static void pipelined_32(struct flow *f)
{
	for (int i = 0; i < 10; i++)
		pipeline(f, 32, false);
	CHECK(f, WANT({200, GET, 0, 320}));
}

static void pipelined_32_coalesced(struct flow *f)
{
	for (int i = 0; i < 10; i++)
		pipeline(f, 32, true);
	CHECK(f, WANT({200, GET, 0, 320}));
}

static void pipelined_30_responses_in_one_segment(struct flow *f)
{
	pipeline(f, 30, true);
	CHECK(f, WANT({200, GET, 0, 30}));
}

static void pipelined_past_the_ring(struct flow *f)
{
	pipeline(f, 40, false);
	exchange(f);
	CHECK(f, WANT({200, GET, 0, 33}), .drops = {[SLID_DROP_PIPELINE_FULL] = 8});
}

static void pipelined_past_the_ring_coalesced(struct flow *f)
{
	pipeline(f, 40, true);
	exchange(f);
	CHECK(f, WANT({200, GET, 0, 33}), .drops = {[SLID_DROP_PIPELINE_FULL] = 8});
}

static void pipelined_then_client_gone(struct flow *f)
{
	for (int i = 0; i < 32; i++)
		C(GET_REQUEST);
	S(OK_RESPONSE);
	S(OK_HEAD "o");
	flow__rst(f, CLIENT);
	CHECK(f,
	      WANT({200, GET, 0, 1}, {200, GET, SLID_ERROR_TRUNCATED, 1},
		   {499, GET, SLID_ERROR_CLIENT_CLOSED, 30}),
	      .resets_in = f->role == SLID_ROLE_SERVER, .resets_out = f->role == SLID_ROLE_CLIENT);
}

/* ---- segments -----------------------------------------------------------------------------------
 */

static const char split_client[] =
	"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\nhello\r\nworl"
	"PUT /b HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nb;x=y\r\nabcdefghijk\r\n"
	"0\r\nT: 1\r\n\r\n"
	"HEAD /c HTTP/1.1\r\nX: y\r\n\r\nGET http://a/ HTTP/1.1\r\n\r\n";
static const char split_server[] =
	"HTTP/1.1 100 Continue\r\n\r\n"
	"HTTP/1.1 201 Created\r\nServer: a\r\nContent-Length: 12\r\n\r\nHTTP/1.1 50\n"
	"HTTP/1.1 500 Broken\r\nTransfer-Encoding: "
	"chunked\r\n\r\n4\r\n\r\n\r\n\r\n1\r\n0\r\n0\r\n\r\n"
	"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n"
	"HTTP/1.1 304 Same\r\nETag: \"a\"\r\n\r\n";

static void check_split(struct flow *f, uint64_t cnt)
{
	CHECK(f,
	      WANT({201, SLID_METHOD_POST, 0, cnt}, {500, SLID_METHOD_PUT, 0, cnt},
		   {200, SLID_METHOD_HEAD, 0, cnt}, {304, GET, 0, cnt}),
	      .proto_cnt = cnt);
}

static void split_at_every_byte(struct flow *f)
{
	size_t client_len = sizeof(split_client) - 1, server_len = sizeof(split_server) - 1;
	size_t max = client_len > server_len ? client_len : server_len;

	for (size_t cut = 0; cut < max; cut++) {
		size_t client_cut = cut < client_len ? cut : client_len,
		       server_cut = cut < server_len ? cut : server_len;

		if (cut) {
			*f = flow__make(f->role, &f->shape);
			flow__open(f);
		}
		flow__send(f, CLIENT, 0, split_client, client_cut);
		flow__send(f, CLIENT, 0, split_client + client_cut, client_len - client_cut);
		flow__send(f, SERVER, 0, split_server, server_cut);
		flow__send(f, SERVER, 0, split_server + server_cut, server_len - server_cut);
	}
	check_split(f, max);
}

static void byte_by_byte(struct flow *f)
{
	for (const char *p = split_client; *p; p++)
		flow__send(f, CLIENT, 0, p, 1);
	for (const char *p = split_server; *p; p++)
		flow__send(f, SERVER, 0, p, 1);
	check_split(f, 1);
}

static void all_in_one_segment(struct flow *f)
{
	C(split_client);
	S(split_server);
	check_split(f, 1);
}

/* `cnt` chunks of `size` bytes each; the last chunk is not among them. */
static size_t put_chunks(char *at, size_t cnt, unsigned int size)
{
	size_t len = 0;

	for (size_t i = 0; i < cnt; i++) {
		len += (size_t)sprintf(at + len, "%x\r\n", size);
		memset(at + len, '\n', size);
		len += size;
		len += (size_t)sprintf(at + len, "\r\n");
	}
	return len;
}

static void large_segment_full_of_chunks(struct flow *f)
{
	static char text[70000];
	size_t len = put_chunks(text, 7200, 3);

	assert_in_range(len, 57000, 65000);
	C("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n");
	flow__send(f, CLIENT, 0, text, len);
	C("0\r\n\r\n");
	S("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
	flow__send(f, SERVER, 0, text, len);
	S("0\r\n\r\n");
	exchange(f);
	CHECK(f, WANT({200, SLID_METHOD_POST, 0, 1}, {200, GET, 0, 1}));
}

/* One byte in each chunk: more lines than a run reads. Said, and found again behind it. */
static void segment_past_the_limit(struct flow *f)
{
	static char text[120000];
	size_t len = put_chunks(text, 20000, 1);

	C(GET_REQUEST);
	S("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
	flow__send(f, SERVER, 0, text, len);
	S("0\r\n\r\n");
	CHECK(f, .lost = 1,
	      .drops = {[SLID_DROP_SEGMENT_LIMIT] = 1,
			[SLID_DROP_GAP] = 1,
			[SLID_DROP_RESPONSE_LOST] = 1,
			[STAT(DESYNC)] = 1});
	exchange(f);
	CHECK(f, WANT({200, GET, 0, 1}), .lost = 1,
	      .drops = {[SLID_DROP_SEGMENT_LIMIT] = 1,
			[SLID_DROP_GAP] = 1,
			[SLID_DROP_RESPONSE_LOST] = 1,
			[STAT(DESYNC)] = 1});
}

static void large_bodies(struct flow *f)
{
	static char body[65536];
	const char *head = "HTTP/1.1 200 OK\r\nContent-Length: 1048576\r\n\r\n";
	static char text[65536 + 100];
	size_t head_len = strlen(head);

	memset(body, '\n', sizeof(body));
	C("POST / HTTP/1.1\r\nContent-Length: 1048576\r\n\r\n");
	for (int i = 0; i < 16; i++)
		flow__send(f, CLIENT, 0, body, sizeof(body));
	memcpy(text, head, head_len);
	memcpy(text + head_len, body, sizeof(body));
	flow__send(f, SERVER, 0, text, head_len + sizeof(body));
	for (int i = 1; i < 16; i++) {
		CHECK(f, .in_flight = 1);
		flow__send(f, SERVER, 0, body, sizeof(body));
	}
	exchange(f);
	CHECK(f, WANT({200, SLID_METHOD_POST, 0, 1}, {200, GET, 0, 1}));
}

static void body_and_next_message_in_one_segment(struct flow *f)
{
	static char text[70000];
	size_t len = 0;

	C("POST / HTTP/1.1\r\nContent-Length: 60000\r\n\r\n");
	memset(text, 'x', 60000);
	len = 60000 + (size_t)sprintf(text + 60000, "%s%s", GET_REQUEST, GET_REQUEST);
	flow__send(f, CLIENT, 0, text, len);
	C(GET_REQUEST);
	S("HTTP/1.1 200 OK\r\nContent-Length: 60000\r\n\r\n");
	memset(text, 'x', 60000);
	len = 60000 +
	      (size_t)sprintf(text + 60000, "%s%s%s", OK_RESPONSE, OK_RESPONSE, OK_RESPONSE);
	flow__send(f, SERVER, 0, text, len);
	CHECK(f, WANT({200, SLID_METHOD_POST, 0, 1}, {200, GET, 0, 3}));
}

static void header_lines_longer_than_the_window(struct flow *f)
{
	static char text[9000];
	static const size_t sizes[] = {60, 64, 65, 900, 1023, 1024, 1025, 2000, 4000, 7000};
	uint64_t cnt = 0;

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		int size = (int)sizes[i];

		snprintf(text, sizeof(text),
			 "POST /%0*d HTTP/1.1\r\nCookie: %0*d\r\nContent-Length: 3\r\nX: "
			 "%0*d\r\n\r\nabc",
			 size / 4, 0, size / 4, 0, size / 4, 0);
		C(text);
		snprintf(text, sizeof(text),
			 "HTTP/1.1 200 %0*d\r\nSet-Cookie: %0*d\r\nContent-Length: 3\r\nX: "
			 "%0*d\r\n\r\nabc",
			 size / 4, 0, size / 4, 0, size / 4, 0);
		S(text);
		cnt++;
		snprintf(text, sizeof(text), "POST /%0*d HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc",
			 size, 0);
		C(text);
		snprintf(text, sizeof(text),
			 "HTTP/1.1 200 OK\r\nSet-Cookie: %0*d\r\nContent-Length: 3\r\n\r\nabc",
			 size, 0);
		S(text);
		cnt++;
	}
	CHECK(f, WANT({200, SLID_METHOD_POST, 0, cnt}));
}

/* ---- TCP ------------------------------------------------------------------------------------- */

static void retransmission(struct flow *f)
{
	uint32_t client_seq = f->seq[CLIENT], server_seq = f->seq[SERVER];

	for (int i = 0; i < 3; i++) {
		f->seq[CLIENT] = client_seq;
		C(GET_REQUEST);
		C("POST /b HTTP/1.1\r\nContent-Length: 5\r\n\r\n");
		C("hello");
	}
	for (int i = 0; i < 3; i++) {
		f->seq[SERVER] = server_seq;
		S(OK_HEAD);
		S("ok");
		S(OK_RESPONSE);
	}
	CHECK(f, WANT({200, GET, 0, 1}, {200, SLID_METHOD_POST, 0, 1}));
	exchange(f);
	flow__at(f, CLIENT, client_seq, 0, GET_REQUEST,
		 strlen(GET_REQUEST)); /* late, out of the network */
	flow__at(f, SERVER, server_seq, 0, OK_RESPONSE, strlen(OK_RESPONSE));
	CHECK(f, WANT({200, GET, 0, 2}, {200, SLID_METHOD_POST, 0, 1}));
}

/* A retransmission may carry new bytes behind the old ones. */
static void overlap(struct flow *f)
{
	static const char requests[] = GET_REQUEST GET_REQUEST;
	static const char responses[] = OK_RESPONSE OK_RESPONSE;
	uint32_t client_seq = f->seq[CLIENT], server_seq = f->seq[SERVER];

	for (size_t len = 5; len < sizeof(requests) - 1; len += 7)
		flow__at(f, CLIENT, client_seq, 0, requests, len);
	flow__at(f, CLIENT, client_seq + 20, 0, requests + 20, sizeof(requests) - 21);
	for (size_t len = 3; len < sizeof(responses) - 1; len += 5)
		flow__at(f, SERVER, server_seq, 0, responses, len);
	flow__at(f, SERVER, server_seq + 30, 0, responses + 30, sizeof(responses) - 31);
	CHECK(f, WANT({200, GET, 0, 2}));
}

static void keepalive_probe(struct flow *f)
{
	exchange(f);
	flow__at(f, CLIENT, f->seq[CLIENT] - 1, 0, "x", 1);
	flow__at(f, SERVER, f->seq[SERVER] - 1, 0, NULL, 0);
	exchange(f);
	CHECK(f, WANT({200, GET, 0, 2}));
}

static void sequence_wraps(struct flow *f)
{
	struct flow again = *f;

	for (uint32_t before = 1; before < 90; before++) {
		*f = flow__make(again.role, &again.shape);
		f->seq[CLIENT] = f->seq[SERVER] = 0u - before;
		flow__open(f);
		exchange(f);
		exchange(f);
	}
	CHECK(f, WANT({200, GET, 0, 2 * 89}), .proto_cnt = 89);
}

/* The speaker's segments come in another order: it only matters at message boundaries. */
static void reordered_in_a_body(struct flow *f)
{
	uint32_t seq;

	C("POST / HTTP/1.1\r\nContent-Length: 30\r\n\r\n");
	seq = f->seq[CLIENT];
	flow__at(f, CLIENT, seq + 20, 0, "0123456789", 10);
	flow__at(f, CLIENT, seq + 10, 0, "0123456789", 10);
	flow__at(f, CLIENT, seq, 0, "0123456789", 10);
	f->seq[CLIENT] += 30;
	S("HTTP/1.1 200 OK\r\nContent-Length: 30\r\n\r\n");
	seq = f->seq[SERVER];
	flow__at(f, SERVER, seq + 10, 0, "0123456789", 10);
	flow__at(f, SERVER, seq, 0, "0123456789", 10);
	flow__at(f, SERVER, seq + 20, 0, "0123456789", 10);
	f->seq[SERVER] += 30;
	exchange(f);
	CHECK(f, WANT({200, SLID_METHOD_POST, 0, 1}, {200, GET, 0, 1}));
}

static void gap_in_a_body(struct flow *f)
{
	C("POST / HTTP/1.1\r\nContent-Length: 3000\r\n\r\n");
	f->seq[CLIENT] += 1448;
	flow__send(f, CLIENT, 0, run.packet, 1552);
	S("HTTP/1.1 200 OK\r\nContent-Length: 3000\r\n\r\n");
	f->seq[SERVER] += 2990;
	S("0123456789" OK_RESPONSE); /* and on, in the same segment */
	C(GET_REQUEST);
	CHECK(f, WANT({200, SLID_METHOD_POST, 0, 1}), .in_flight = 1,
	      .drops = {[SLID_DROP_UNMATCHED] = 1});
}

static void gap_up_to_the_end_of_a_body(struct flow *f)
{
	C("POST / HTTP/1.1\r\nContent-Length: 3000\r\n\r\n");
	f->seq[CLIENT] += 3000;
	C(GET_REQUEST);
	S("HTTP/1.1 200 OK\r\nContent-Length: 3000\r\n\r\n");
	f->seq[SERVER] += 3000;
	S(OK_RESPONSE);
	CHECK(f, WANT({200, SLID_METHOD_POST, 0, 1}, {200, GET, 0, 1}));
}

/* A whole request arrives before the one in front of it: what it says is lost, and said to be. */
static void reordered_requests(struct flow *f)
{
	uint32_t len = (uint32_t)strlen(GET_REQUEST);

	exchange(f);
	f->seq[CLIENT] += len;
	C(GET_REQUEST);
	f->seq[CLIENT] -= 2 * len;
	C(GET_REQUEST);
	f->seq[CLIENT] += len;
	S(OK_RESPONSE);
	S(OK_RESPONSE);
	exchange(f);
	CHECK(f, WANT({200, GET, 0, 3}),
	      .drops = {[SLID_DROP_GAP] = 1, [SLID_DROP_UNMATCHED] = 1, [STAT(DESYNC)] = 1});
}

static void reordered_responses(struct flow *f)
{
	uint32_t len = (uint32_t)strlen(OK_RESPONSE);

	exchange(f);
	C(GET_REQUEST GET_REQUEST);
	f->seq[SERVER] += len;
	S(OK_RESPONSE);
	f->seq[SERVER] -= 2 * len;
	S(OK_RESPONSE);
	f->seq[SERVER] += len;
	exchange(f);
	CHECK(f, WANT({200, GET, 0, 3}), .lost = 1,
	      .drops = {[SLID_DROP_GAP] = 1, [SLID_DROP_RESPONSE_LOST] = 1, [STAT(DESYNC)] = 1});
}

/* The answer may lie in the hole: that there was none is not known. */
static void end_behind_a_hole(struct flow *f)
{
	C(GET_REQUEST);
	f->seq[SERVER] += (uint32_t)strlen(OK_RESPONSE);
	S("HTTP/1.1 200 OK\r\n");
	flow__rst(f, CLIENT);
	CHECK(f, WANT({0}), .lost = 1, .resets_in = f->role == SLID_ROLE_SERVER,
	      .resets_out = f->role == SLID_ROLE_CLIENT, .drops = {[SLID_DROP_RESPONSE_LOST] = 1});
}

/* Four holes at once are one more than can be followed. */
static void too_many_holes(struct flow *f)
{
	uint32_t seq = f->seq[CLIENT];

	for (uint32_t i = 1; i <= 4; i++)
		flow__at(f, CLIENT, seq + i * 1000, 0, "x", 1);
	f->seq[CLIENT] = seq + 4001;
	C(GET_REQUEST);
	S(OK_RESPONSE);
	CHECK(f, WANT({200, GET, 0, 1}), .drops = {[SLID_DROP_GAP] = 1, [STAT(DESYNC)] = 1});
}

static void segment_from_another_age(struct flow *f)
{
	exchange(f);
	flow__at(f, CLIENT, f->seq[CLIENT] + (1u << 30), 0, GET_REQUEST, strlen(GET_REQUEST));
	flow__at(f, SERVER, f->seq[SERVER] - (1u << 30), 0, OK_RESPONSE, strlen(OK_RESPONSE));
	exchange(f);
	CHECK(f, WANT({200, GET, 0, 2}));
}

/* TCP Fast Open of a client: the request goes with the SYN, and once more behind the handshake. */
static void request_in_the_syn(struct flow *f)
{
	struct slid_conn conn;
	uint32_t seq;

	if (f->role != SLID_ROLE_CLIENT)
		skip(); /* seen on the listening socket: test runs have none */
	run__reset();
	*f = flow__make(f->role, &f->shape);
	flow__open(f);
	conn = flow__conn(f);
	memset(conn.http.stream, 0, sizeof(conn.http.stream));
	http_conn_init(&conn.http);
	flow__set_conn(f, &conn);
	seq = f->seq[CLIENT] = 7000;
	f->seq[SERVER] = 9000;
	flow__send(f, CLIENT, TH_SYN, GET_REQUEST, strlen(GET_REQUEST));
	flow__send(f, SERVER, TH_SYN, NULL, 0);
	flow__at(f, CLIENT, seq + 1, 0, GET_REQUEST, strlen(GET_REQUEST));
	S(OK_RESPONSE);
	CHECK(f, WANT({200, GET, 0, 1}));
}

/* ---- joined connections ---------------------------------------------------------------------- */

#define JOINED_ONCE [STAT(JOINED)] = 1

static void joined_at_a_request(struct flow *f)
{
	exchange(f);
	exchange(f);
	CHECK(f, WANT({200, GET, 0, 2}), .drops = {JOINED_ONCE});
}

static void joined_at_a_response(struct flow *f)
{
	S(OK_RESPONSE);
	exchange(f);
	CHECK(f, WANT({200, GET, 0, 1}), .drops = {JOINED_ONCE, [SLID_DROP_UNMATCHED] = 1});
}

static void joined_inside_a_request(struct flow *f)
{
	C("body of an upload that began before\r\n");
	C("and goes on\r\n\r\n");
	S(OK_RESPONSE);
	exchange(f);
	CHECK(f, WANT({200, GET, 0, 1}), .drops = {JOINED_ONCE, [SLID_DROP_UNMATCHED] = 1});
}

static void joined_inside_a_response(struct flow *f)
{
	S("the middle of a download: HTTP/1.1 200 OK\r\n\r\n");
	S("and more of it: GET / HTTP/1.1\r\n\r\n");
	flow__send(f, SERVER, 0, run.packet, 1448);
	exchange(f);
	exchange(f);
	CHECK(f, WANT({200, GET, 0, 2}), .drops = {JOINED_ONCE});
}

static void joined_and_ended(struct flow *f)
{
	C(GET_REQUEST);
	flow__fin(f, SERVER);
	CHECK(f, WANT({599, GET, SLID_ERROR_NO_RESPONSE, 1}), .drops = {JOINED_ONCE});
}

/* ---- what is not HTTP/1 -------------------------------------------------------------------------
 */

static void check_other(struct flow *f, int who, const char *bytes, size_t len, uint8_t proto)
{
	flow__send(f, who, 0, bytes, len);
	flow__send(f, !who, 0, "and its answer\r\n", 16);
	exchange(f);
	flow__fin(f, CLIENT);
	flow__fin(f, SERVER);
	CHECK(f, .proto = proto);
}

static void tls_client_hello(struct flow *f)
{
	check_other(f, CLIENT, "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 11, SLID_PROTO_TLS);
}

static void h2_preface(struct flow *f)
{
	check_other(f, CLIENT, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0", 33,
		    SLID_PROTO_H2);
}

static void h2_preface_byte_by_byte(struct flow *f)
{
	for (const char *p = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"; *p; p++)
		flow__send(f, CLIENT, 0, p, 1);
	exchange(f);
	CHECK(f, .proto = SLID_PROTO_H2);
}

static void binary_first_byte(struct flow *f)
{
	check_other(f, CLIENT, "\0\0\0\x08\x04\xd2\x16\x2f", 8, SLID_PROTO_OTHER);
}

static void redis_command(struct flow *f)
{
	check_other(f, CLIENT, "*1\r\n$4\r\nPING\r\n", 14, SLID_PROTO_OTHER);
}

static void ssh_banner(struct flow *f)
{
	check_other(f, CLIENT, "SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n", 32, SLID_PROTO_OTHER);
}

static void server_speaks_first(struct flow *f)
{
	check_other(f, SERVER, "220 mail.example.com ESMTP\r\n", 28, SLID_PROTO_OTHER);
}

static void line_without_end(struct flow *f)
{
	char text[1400];

	memset(text, 'a', sizeof(text));
	check_other(f, CLIENT, text, sizeof(text), SLID_PROTO_OTHER);
}

static void udp_and_acks_are_nothing(struct flow *f)
{
	struct flow udp = *f;

	udp.shape.protocol = 17;
	flow__say(&udp, CLIENT, GET_REQUEST);
	for (int i = 0; i < 10; i++)
		flow__at(f, i % 2, f->seq[i % 2], 0, NULL, 0);
	CHECK(f, .proto = EXPECT_NO_PROTO);
	exchange(f);
	CHECK(f, WANT({200, GET, 0, 1}));
}

static void joined_binary_is_left_alone(struct flow *f)
{
	static const char bytes[100] = {1, 2, 3};

	for (int i = 0; i < 20; i++)
		flow__send(f, i % 2, 0, bytes, sizeof(bytes));
	flow__fin(f, SERVER);
	CHECK(f, .proto = EXPECT_NO_PROTO);
}

/* ---- ends
 * ----------------------------------------------------------------------------------------- */

#define RESETS_BY(who)                                                   \
	.resets_in = (f->role == SLID_ROLE_SERVER) == ((who) == CLIENT), \
	.resets_out = (f->role == SLID_ROLE_SERVER) != ((who) == CLIENT)

/* A request's phases: its line begun, its head, its body begun; then the response's. */
static const char *const phase_client[] = {"POST / HTTP/1.1\r\n", "Content-Length: 10\r\n\r\n",
					   "hello", "world"};
static const char *const phase_server[] = {"HTTP/1.1 200 OK\r\n", "Content-Length: 10\r\n\r\n",
					   "hello"};

static void end_in_every_phase(struct flow *f, int who, uint8_t flags, uint16_t unanswered,
			       uint8_t error)
{
	for (size_t phase = 1; phase <= 7; phase++) {
		bool begun = phase > 4;

		run__reset();
		*f = flow__make(f->role, &f->shape);
		flow__open(f);
		for (size_t i = 0; i < phase && i < 4; i++)
			C(phase_client[i]);
		for (size_t i = 4; i < phase; i++)
			S(phase_server[i - 4]);
		flow__send(f, who, flags, NULL, 0);
		flow__fin(f, !who); /* no matter any more */
		if (flags & TH_RST)
			CHECK(f,
			      WANT({begun ? 200 : unanswered, SLID_METHOD_POST,
				    begun ? SLID_ERROR_TRUNCATED : error, 1}),
			      RESETS_BY(who));
		else
			CHECK(f, WANT({begun ? 200 : unanswered, SLID_METHOD_POST,
				       begun ? SLID_ERROR_TRUNCATED : error, 1}));
	}
}

static void server_fin_in_every_phase(struct flow *f)
{
	end_in_every_phase(f, SERVER, TH_FIN, 599, SLID_ERROR_NO_RESPONSE);
}

static void server_rst_in_every_phase(struct flow *f)
{
	end_in_every_phase(f, SERVER, TH_RST, 599, SLID_ERROR_NO_RESPONSE);
}

static void client_fin_in_every_phase(struct flow *f)
{
	end_in_every_phase(f, CLIENT, TH_FIN, 499, SLID_ERROR_CLIENT_CLOSED);
}

static void client_rst_in_every_phase(struct flow *f)
{
	end_in_every_phase(f, CLIENT, TH_RST, 499, SLID_ERROR_CLIENT_CLOSED);
}

static void end_before_any_byte(struct flow *f)
{
	flow__fin(f, CLIENT);
	flow__fin(f, SERVER);
	CHECK(f, .proto = EXPECT_NO_PROTO);
}

static void end_after_the_response(struct flow *f)
{
	exchange(f);
	flow__fin(f, CLIENT);
	flow__fin(f, SERVER);
	CHECK(f, WANT({200, GET, 0, 1}));
}

static void reset_after_the_response(struct flow *f)
{
	exchange(f);
	flow__rst(f, CLIENT);
	CHECK(f, WANT({200, GET, 0, 1}), RESETS_BY(CLIENT));
}

/* A client that closes with bytes unread: FIN, then RST behind it. */
static void reset_behind_a_fin(struct flow *f)
{
	C(GET_REQUEST);
	flow__fin(f, CLIENT);
	S(OK_HEAD "o");
	flow__rst(f, CLIENT);
	CHECK(f, WANT({200, GET, SLID_ERROR_TRUNCATED, 1}), RESETS_BY(CLIENT));
}

static void half_close_is_answered(struct flow *f)
{
	C(GET_REQUEST);
	flow__fin(f, CLIENT);
	S(OK_RESPONSE);
	flow__fin(f, SERVER);
	CHECK(f, WANT({200, GET, 0, 1}));
}

static void half_close_in_the_request_is_answered(struct flow *f)
{
	flow__send(f, CLIENT, TH_FIN, GET_REQUEST, strlen(GET_REQUEST));
	S("HTTP/1.1 200 OK\r\n\r\nuntil close");
	flow__fin(f, SERVER);
	CHECK(f, WANT({200, GET, 0, 1}));
}

static void fin_is_retransmitted(struct flow *f)
{
	C(GET_REQUEST);
	flow__fin(f, SERVER);
	f->seq[SERVER]--;
	flow__fin(f, SERVER);
	CHECK(f, WANT({599, GET, SLID_ERROR_NO_RESPONSE, 1}));
}

/* The FIN overtakes the last bytes of a body that ends with the connection. */
static void fin_before_the_last_bytes(struct flow *f)
{
	uint32_t seq;

	C("GET / HTTP/1.0\r\n\r\n");
	S("HTTP/1.0 200 OK\r\n\r\nbegin ");
	seq = f->seq[SERVER];
	flow__at(f, SERVER, seq + 3, TH_FIN, NULL, 0);
	flow__at(f, SERVER, seq, 0, "end", 3);
	CHECK(f, WANT({200, GET, 0, 1}));
}

/* The FIN overtakes the last bytes of a body of known length: they were sent, so it is whole. */
static void fin_before_the_end_of_a_body(struct flow *f)
{
	uint32_t seq;

	C(GET_REQUEST);
	S("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nbegin ");
	seq = f->seq[SERVER];
	flow__at(f, SERVER, seq + 3, TH_FIN, NULL, 0);
	flow__at(f, SERVER, seq, 0, "end", 3);
	CHECK(f, WANT({200, GET, 0, 1}));
}

static void rst_with_a_wrong_sequence_number(struct flow *f)
{
	int peer = f->role == SLID_ROLE_SERVER ? CLIENT : SERVER;

	C(GET_REQUEST);
	flow__at(f, peer, f->seq[peer] + 5, TH_RST, NULL, 0);
	flow__at(f, peer, f->seq[peer] - 1, TH_RST, NULL, 0);
	CHECK(f, .in_flight = 1);
	S(OK_RESPONSE);
	CHECK(f, WANT({200, GET, 0, 1}));
}

static void chunked_body_cut_by_fin(struct flow *f)
{
	C(GET_REQUEST);
	S("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n");
	flow__fin(f, SERVER);
	CHECK(f, WANT({200, GET, SLID_ERROR_TRUNCATED, 1}));
}

static void until_close_cut_by_rst(struct flow *f)
{
	C(GET_REQUEST);
	S("HTTP/1.1 200 OK\r\n\r\nhello");
	flow__rst(f, SERVER);
	CHECK(f, WANT({200, GET, SLID_ERROR_TRUNCATED, 1}), RESETS_BY(SERVER));
}

static void interim_and_no_more(struct flow *f)
{
	C(GET_REQUEST);
	S("HTTP/1.1 100 Continue\r\n\r\n");
	flow__fin(f, SERVER);
	CHECK(f, WANT({599, GET, SLID_ERROR_NO_RESPONSE, 1}));
}

/* ---- what cannot be read ------------------------------------------------------------------------
 */

static void unmatched_response(struct flow *f)
{
	exchange(f);
	S("HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n");
	exchange(f);
	CHECK(f, WANT({200, GET, 0, 2}), .drops = {[SLID_DROP_UNMATCHED] = 1});
}

/* The server answers it with 400: that is a request, of a method nobody knows. */
static void bad_request_line(struct flow *f)
{
	exchange(f);
	C("GET /a b HTTP/1.x\r\nHost: a\r\n\r\n");
	S("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
	exchange(f);
	CHECK(f, WANT({200, GET, 0, 2}, {400, SLID_METHOD_OTHER, 0, 1}),
	      .drops = {[SLID_DROP_PARSE_REQUEST] = 1, [STAT(DESYNC)] = 1});
}

static void request_of_two_lengths(struct flow *f)
{
	C("POST / HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello");
	S("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
	exchange(f);
	CHECK(f, WANT({400, SLID_METHOD_POST, 0, 1}, {200, GET, 0, 1}),
	      .drops = {[SLID_DROP_PARSE_REQUEST] = 1, [STAT(DESYNC)] = 1});
}

static void response_of_no_length(struct flow *f)
{
	C(GET_REQUEST);
	S("HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\nhello");
	exchange(f);
	CHECK(f, WANT({200, GET, 0, 1}), .lost = 1,
	      .drops = {[SLID_DROP_PARSE_RESPONSE] = 1,
			[SLID_DROP_RESPONSE_LOST] = 1,
			[STAT(DESYNC)] = 1});
}

static void chunk_size_that_is_none(struct flow *f)
{
	C(GET_REQUEST);
	S("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n");
	exchange(f);
	CHECK(f, WANT({200, GET, 0, 1}), .lost = 1,
	      .drops = {[SLID_DROP_PARSE_RESPONSE] = 1,
			[SLID_DROP_RESPONSE_LOST] = 1,
			[STAT(DESYNC)] = 1});
}

/* ---- packets
 * --------------------------------------------------------------------------------------- */

static void every_shape_of_header(struct flow *f)
{
	struct packet_shape shape = f->shape;
	uint64_t cnt = 0;

	for (uint8_t tcp_words = 0; tcp_words <= 10; tcp_words++) {
		f->shape.tcp_words = tcp_words;
		for (uint8_t i = 0; i <= (shape.is_v6 ? 3 : 10); i++) {
			f->shape.ext_cnt = shape.is_v6 ? i : 0;
			f->shape.ip_words = shape.is_v6 ? 0 : i;
			exchange(f);
			cnt++;
		}
	}
	CHECK(f, WANT({200, GET, 0, cnt}));
}

/* ---- running them
 * ----------------------------------------------------------------------------------- */

struct flow_case {
	const char *name;
	void (*fn)(struct flow *f);
	bool is_joined;
};

#define CASE(fn)               \
	{                      \
#fn, fn, false \
	}
#define JOINED(fn)            \
	{                     \
#fn, fn, true \
	}

static const struct flow_case cases[] = {
	CASE(get_200),
	CASE(keep_alive_500),
	CASE(every_method),
	CASE(every_form_of_target),
	CASE(every_status_class),
	CASE(content_length_both_ways),
	CASE(chunked_with_trailers),
	CASE(body_until_close),
	CASE(body_until_close_in_one_segment),
	CASE(no_body_by_method_or_status),
	CASE(interim_responses),
	CASE(expect_100_continue),
	CASE(connect_opens_a_tunnel),
	CASE(connect_refused_goes_on),
	CASE(upgrade_makes_it_opaque),
	CASE(upgrade_declined_goes_on),
	CASE(pipelined_16),
	CASE(pipelined_32),
	CASE(pipelined_32_coalesced),
	CASE(pipelined_30_responses_in_one_segment),
	CASE(pipelined_past_the_ring),
	CASE(pipelined_past_the_ring_coalesced),
	CASE(pipelined_then_client_gone),
	CASE(split_at_every_byte),
	CASE(byte_by_byte),
	CASE(all_in_one_segment),
	CASE(large_segment_full_of_chunks),
	CASE(segment_past_the_limit),
	CASE(large_bodies),
	CASE(body_and_next_message_in_one_segment),
	CASE(header_lines_longer_than_the_window),
	CASE(retransmission),
	CASE(overlap),
	CASE(keepalive_probe),
	CASE(sequence_wraps),
	CASE(reordered_in_a_body),
	CASE(gap_in_a_body),
	CASE(gap_up_to_the_end_of_a_body),
	CASE(reordered_requests),
	CASE(reordered_responses),
	CASE(end_behind_a_hole),
	CASE(too_many_holes),
	CASE(segment_from_another_age),
	CASE(request_in_the_syn),
	JOINED(joined_at_a_request),
	JOINED(joined_at_a_response),
	JOINED(joined_inside_a_request),
	JOINED(joined_inside_a_response),
	JOINED(joined_and_ended),
	CASE(tls_client_hello),
	CASE(h2_preface),
	CASE(h2_preface_byte_by_byte),
	CASE(binary_first_byte),
	CASE(redis_command),
	CASE(ssh_banner),
	CASE(server_speaks_first),
	CASE(line_without_end),
	CASE(udp_and_acks_are_nothing),
	JOINED(joined_binary_is_left_alone),
	CASE(server_fin_in_every_phase),
	CASE(server_rst_in_every_phase),
	CASE(client_fin_in_every_phase),
	CASE(client_rst_in_every_phase),
	CASE(end_before_any_byte),
	CASE(end_after_the_response),
	CASE(reset_after_the_response),
	CASE(reset_behind_a_fin),
	CASE(half_close_is_answered),
	CASE(half_close_in_the_request_is_answered),
	CASE(fin_is_retransmitted),
	CASE(fin_before_the_last_bytes),
	CASE(fin_before_the_end_of_a_body),
	CASE(rst_with_a_wrong_sequence_number),
	CASE(chunked_body_cut_by_fin),
	CASE(until_close_cut_by_rst),
	CASE(interim_and_no_more),
	CASE(unmatched_response),
	CASE(bad_request_line),
	CASE(request_of_two_lengths),
	CASE(response_of_no_length),
	CASE(chunk_size_that_is_none),
	CASE(every_shape_of_header),
};

#define CASE_CNT (sizeof(cases) / sizeof(cases[0]))
#define VARIANTS 4 /* server and client, IPv4 and IPv6 */

struct variant {
	const struct flow_case *flow_case;
	uint8_t role;
	bool is_v6;
};

static void run_variant(void **state)
{
	const struct variant *variant = *state;
	struct packet_shape shape = {.is_v6 = variant->is_v6, .tcp_words = 3};
	struct flow f;

	run__reset();
	f = flow__make(variant->role, &shape);
	f.is_joined = variant->flow_case->is_joined;
	if (!f.is_joined)
		flow__open(&f);
	variant->flow_case->fn(&f);
}

int main(void)
{
	static struct variant variants[CASE_CNT * VARIANTS];
	static struct CMUnitTest tests[CASE_CNT * VARIANTS];
	static char names[CASE_CNT * VARIANTS][96];
	int failed;

	run__skip_unless_root("bpf_flow");
	for (size_t i = 0; i < CASE_CNT * VARIANTS; i++) {
		struct variant *variant = &variants[i];

		variant->flow_case = &cases[i / VARIANTS];
		variant->role = i % 2 ? SLID_ROLE_CLIENT : SLID_ROLE_SERVER;
		variant->is_v6 = i / 2 % 2;
		snprintf(names[i], sizeof(names[i]), "%s %s v%d", variant->flow_case->name,
			 i % 2 ? "client" : "server", variant->is_v6 ? 6 : 4);
		tests[i] = (struct CMUnitTest){names[i], run_variant, NULL, NULL, variant};
	}
	if (!run__open(false, 0)) {
		fprintf(stderr, "bpf_flow: cannot load the programs\n");
		return 1;
	}
	failed = _cmocka_run_group_tests("bpf_flow", tests, CASE_CNT * VARIANTS, NULL, NULL);
	run__close();
	return failed;
}
