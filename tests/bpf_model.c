/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bpf_model.c - random conversations through the real programs. The generator knows what was asked
 * and answered. Cut anywhere, retransmitted and overlapping, all must be counted, exactly; with
 * segments lost or out of order, every request must end up in one count or another.
 */
#include "bpf_run.h"

#define CONVERSATIONS 3000
#define SEED	      20250101u
#define TEXT_MAX      (256 * 1024)

struct exchange {
	uint8_t method;
	uint16_t status;
	size_t request_end;  /* offset in CLIENT's text, behind it */
	size_t response_end; /* likewise in SERVER's */
};

struct conversation {
	struct exchange exchanges[40];
	size_t exchange_cnt;
	char *text[2]; /* owned by main() */
	size_t len[2];
	bool is_until_close; /* the last response's body */
};

static uint64_t rng_state = 88172645463325252ull;

/* 0..below - 1. */
static uint32_t rng(uint32_t below)
{
	rng_state ^= rng_state << 13;
	rng_state ^= rng_state >> 7;
	rng_state ^= rng_state << 17;
	return (uint32_t)(rng_state >> 16) % below;
}

__attribute__((format(printf, 3, 4))) static void put(struct conversation *c, int who,
						      const char *format, ...)
{
	va_list args;

	va_start(args, format);
	c->len[who] +=
		(size_t)vsnprintf(c->text[who] + c->len[who], TEXT_MAX - c->len[who], format, args);
	va_end(args);
	assert_true(c->len[who] < TEXT_MAX / 2);
}

/* Bytes that look like anything, messages too. */
static void put_bytes(struct conversation *c, int who, size_t cnt)
{
	static const char bait[] =
		"\r\n\r\nHTTP/1.1 500 No\r\nContent-Length: 3\r\n\r\nGET / HTTP/1.1\r\n\r\n0";

	for (size_t i = 0; i < cnt; i++)
		c->text[who][c->len[who]++] = bait[(i + cnt) % (sizeof(bait) - 1)];
}

static void put_headers(struct conversation *c, int who)
{
	static const char *const names[] = {
		"Host", "Content-Type", "Content-Lengthy", "Transfer",
		"X",	"TE",		"Cookie",	   "content-length-not"};
	uint32_t cnt = rng(6);

	for (uint32_t i = 0; i < cnt; i++) {
		uint32_t size = rng(20) ? rng(60) : rng(3000);

		put(c, who, "%s: ", names[rng(8)]);
		for (uint32_t k = 0; k < size; k++)
			c->text[who][c->len[who]++] = "abc 123:;,=\t"[rng(12)];
		put(c, who, rng(10) ? "\r\n" : "\n");
	}
}

static size_t random_size(void)
{
	return rng(8) ? rng(200) : rng(9000);
}

static void put_chunked(struct conversation *c, int who)
{
	uint32_t cnt = rng(12);

	for (uint32_t i = 0; i < cnt; i++) {
		size_t size = 1 + random_size();

		put(c, who, rng(2) ? "%zx%s\r\n" : "%04zX%s\r\n", size, rng(3) ? "" : ";a=\"b\"");
		put_bytes(c, who, size);
		put(c, who, "\r\n");
	}
	put(c, who, "%s\r\n", rng(2) ? "0" : "000");
	if (!rng(3))
		put(c, who, "Trailer: Content-Length: 5\r\n");
	put(c, who, "\r\n");
}

/* The headers that say how long a body is, the empty line and the body. */
static void put_body(struct conversation *c, int who, bool has_bytes)
{
	size_t size = random_size();

	put_headers(c, who);
	if (rng(3) == 0) {
		put(c, who, "%s: %schunked\r\n", rng(2) ? "Transfer-Encoding" : "tRANSFER-eNCODING",
		    rng(3) ? "" : "gzip, ");
		put_headers(c, who);
		put(c, who, "\r\n");
		if (has_bytes)
			put_chunked(c, who);
		return;
	}
	put(c, who, "%s:%s%zu%s\r\n", rng(2) ? "Content-Length" : "CONTENT-length",
	    rng(2) ? " " : "", size, rng(5) ? "" : "  ");
	put_headers(c, who);
	put(c, who, "\r\n");
	if (has_bytes)
		put_bytes(c, who, size);
}

static void put_request(struct conversation *c, struct exchange *exchange)
{
	static const char *const names[] = {"BREW",   "GET",	 "HEAD",    "POST",  "PUT",
					    "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"};
	uint32_t size = rng(10) ? rng(40) : rng(2500);

	do {
		exchange->method = (uint8_t)rng(SLID_METHOD_CNT);
	} while (exchange->method == SLID_METHOD_CONNECT);
	if (!rng(10))
		put(c, CLIENT, "\r\n");
	put(c, CLIENT, "%s /%0*u HTTP/1.%u\r\n", names[exchange->method], (int)size, 7u, rng(2));
	if (rng(2)) {
		put_body(c, CLIENT, true);
	} else {
		put_headers(c, CLIENT);
		put(c, CLIENT, "\r\n");
	}
	exchange->request_end = c->len[CLIENT];
}

static const uint16_t statuses[] = {200, 201, 204, 206, 301, 304, 400, 404, 500, 503};
#define STATUS_CNT (sizeof(statuses) / sizeof(statuses[0]))

static void put_response(struct conversation *c, struct exchange *exchange, bool is_last)
{
	bool has_bytes;

	exchange->status = statuses[rng(STATUS_CNT)];
	for (uint32_t i = rng(6); i > 4; i--) {
		put(c, SERVER, "HTTP/1.1 10%u Wait\r\n", rng(2) ? 0u : 3u);
		put_headers(c, SERVER);
		put(c, SERVER, "\r\n");
	}
	put(c, SERVER, "HTTP/1.%u %u%s\r\n", rng(2), exchange->status, rng(4) ? " Reason" : " ");
	has_bytes = exchange->method != SLID_METHOD_HEAD && exchange->status != 204 &&
		    exchange->status != 304;
	if (is_last && has_bytes && rng(2)) {
		c->is_until_close = true;
		put_headers(c, SERVER);
		put(c, SERVER, "\r\n");
		put_bytes(c, SERVER, random_size());
	} else {
		put_body(c, SERVER, has_bytes);
	}
	exchange->response_end = c->len[SERVER];
}

static void generate(struct conversation *c)
{
	c->len[CLIENT] = c->len[SERVER] = 0;
	c->is_until_close = false;
	c->exchange_cnt = 1 + rng(rng(4) ? 5 : 30);
	for (size_t i = 0; i < c->exchange_cnt; i++) {
		put_request(c, &c->exchanges[i]);
		put_response(c, &c->exchanges[i], i + 1 == c->exchange_cnt);
	}
}

/* How far SERVER may speak when CLIENT has said `said` bytes: a response follows its request. */
static size_t server_limit(const struct conversation *c, size_t said)
{
	size_t limit = 0;

	for (size_t i = 0; i < c->exchange_cnt && c->exchanges[i].request_end <= said; i++)
		limit = c->exchanges[i].response_end;
	return limit;
}

static size_t segment_size(void)
{
	switch (rng(5)) {
	case 0:
		return 1 + rng(3);
	case 1:
		return 1 + rng(100);
	case 2:
		return 1448;
	case 3:
		return 1 + rng(2800);
	default:
		return 1 + rng(20000);
	}
}

/* One segment of new bytes, some of the old ones in front of it now and then. */
static void speak(struct conversation *c, struct flow *f, int who, size_t said[2], size_t limit)
{
	size_t size = segment_size(), from = said[who], back = rng(8) ? 0 : rng(300);

	if (size > limit - from)
		size = limit - from;
	back = back < from ? back : from;
	flow__at(f, who, f->seq[who] + (uint32_t)(from - back), 0, c->text[who] + from - back,
		 size + back);
	said[who] += size;
	if (!rng(6)) { /* again, all or a part */
		size_t start = rng((uint32_t)said[who]), len = 1 + rng(2000);

		if (len > said[who] - start)
			len = said[who] - start;
		flow__at(f, who, f->seq[who] + (uint32_t)start, 0, c->text[who] + start, len);
	}
}

static struct flow begin(uint32_t i)
{
	struct packet_shape shape = {.is_v6 = i / 2 % 2, .tcp_words = (uint8_t)rng(11)};
	struct flow f = flow__make(i % 2 ? SLID_ROLE_SERVER : SLID_ROLE_CLIENT, &shape);

	f.seq[CLIENT] = rng(4) ? rng(0xffffffff) : 0u - rng(20000);
	f.seq[SERVER] = rng(4) ? rng(0xffffffff) : 0u - rng(20000);
	flow__open(&f);
	return f;
}

static void play(struct conversation *c, struct flow *f)
{
	size_t said[2] = {0};

	while (said[CLIENT] < c->len[CLIENT] || said[SERVER] < c->len[SERVER]) {
		size_t limit = server_limit(c, said[CLIENT]);
		int who = said[CLIENT] == c->len[CLIENT] || (rng(2) && said[SERVER] < limit)
				  ? SERVER
				  : CLIENT;

		speak(c, f, who, said, who == SERVER ? limit : c->len[CLIENT]);
	}
	f->seq[CLIENT] += (uint32_t)c->len[CLIENT];
	f->seq[SERVER] += (uint32_t)c->len[SERVER];
	flow__fin(f, rng(2) ? CLIENT : SERVER);
	if (c->is_until_close)
		flow__fin(f, SERVER);
}

/* Wanted counts by role, method and status. */
static uint64_t wanted[SLID_ROLE_CNT][SLID_METHOD_CNT][1000];

/* What waits aside for memory counts like the rest: capture adds it in. */
static uint64_t add_spills(uint64_t got[SLID_ROLE_CNT][SLID_METHOD_CNT][1000])
{
	int fd = bpf_map__fd(run.skel->maps.slid_spills);
	struct slid_spill_key key, *prev = NULL;
	struct slid_spill spill;
	uint64_t total = 0;

	for (; !bpf_map_get_next_key(fd, prev, &key); prev = &key) {
		assert_int_equal(bpf_map_lookup_elem(fd, &key, &spill), 0);
		if (key.is_port)
			continue;
		got[SLID_ROLE_OF(key.fields >> 56) % SLID_ROLE_CNT]
		   [(key.fields >> 32 & 0xff) % SLID_METHOD_CNT]
		   [(key.fields >> 16 & 0xffff) % 1000] += spill.cnt;
		total += spill.cnt;
	}
	if (total)
		print_message("%llu waited aside\n", (unsigned long long)total);
	return total;
}

static uint64_t check_series(void)
{
	static uint64_t got[SLID_ROLE_CNT][SLID_METHOD_CNT][1000];
	struct slid_series_key key;
	uint64_t total, sum_ns;

	memset(got, 0, sizeof(got));
	total = add_spills(got);
	for (bool first = true; !run__next_series(&key, first); first = false) {
		uint64_t cnt = run__series(&key, &sum_ns);

		if (!key.cgroup_id || key.error)
			assert_int_equal(cnt, 0);
		got[SLID_ROLE_OF(key.role_what) % SLID_ROLE_CNT][key.method % SLID_METHOD_CNT]
		   [key.status % 1000] += cnt;
		total += cnt;
	}
	if (memcmp(got, wanted, sizeof(got)))
		fail_msg("seed %u: the counts are not those of the conversations", SEED);
	memset(wanted, 0, sizeof(wanted));
	return total;
}

static void every_conversation_is_counted(void **state)
{
	struct conversation *c = *state;
	uint64_t total = 0;

	run__reset();
	memset(wanted, 0, sizeof(wanted));
	for (uint32_t i = 0; i < CONVERSATIONS; i++) {
		struct flow f = begin(i);
		__u32 key = flow__key(&f);

		generate(c);
		for (size_t k = 0; k < c->exchange_cnt; k++)
			wanted[f.role][c->exchanges[k].method][c->exchanges[k].status]++;
		total += c->exchange_cnt;
		play(c, &f);
		bpf_map_delete_elem(bpf_map__fd(run.skel->maps.slid_conns), &key);
		for (__u32 drop = 0; drop < SLID_DROP_CNT + SLID_STAT_CNT; drop++)
			if (run__drop(drop))
				fail_msg("seed %u, conversation %u: %s", SEED, i,
					 expect_drops[drop]);
	}
	assert_int_equal(check_series(), total);
	print_message("%d conversations, %llu requests\n", CONVERSATIONS,
		      (unsigned long long)total);
}

/* Requests started, of both roles, are all accounted for. Return: how many were counted. */
static uint64_t conserved(void)
{
	struct flow server = {.role = SLID_ROLE_SERVER}, client = {.role = SLID_ROLE_CLIENT};
	struct slid_port in = run__port(&server, RUN_CGROUP), out = run__port(&client, RUN_CGROUP);
	struct slid_series_key key;
	uint64_t total = 0, sum_ns;

	for (bool first = true; !run__next_series(&key, first); first = false)
		total += run__series(&key, &sum_ns); /* the overflow one too */
	assert_int_equal(in.requests_started + out.requests_started,
			 total + in.requests_lost + out.requests_lost);
	return total;
}

/* Lost and swapped segments: nothing is exact, but nothing is counted twice or left open. */
static void nothing_is_left_open_when_segments_are_lost(void **state)
{
	struct conversation *c = *state;
	uint64_t total = 0, counted;

	run__reset();
	for (uint32_t i = 0; i < CONVERSATIONS / 4; i++) {
		struct flow f = begin(i);

		generate(c);
		total += c->exchange_cnt;
		for (int who = CLIENT; who <= SERVER; who++) {
			for (size_t from = 0; from < c->len[who];) {
				size_t size = segment_size();

				if (size > c->len[who] - from)
					size = c->len[who] - from;
				if (rng(20))
					flow__at(&f, who, f.seq[who] + (uint32_t)from, 0,
						 c->text[who] + from, size);
				from += rng(20) ? size : size / 2;
				if (!size)
					break;
				if (!rng(20) && from > 3000)
					from -= rng(3000);
			}
			f.seq[who] += (uint32_t)c->len[who];
		}
		f.seq[CLIENT] = flow__conn(&f).http.stream[HTTP_REQUESTS].next_seq;
		flow__rst(&f, CLIENT);
	}
	counted = conserved();
	assert_in_range(counted, total / 20, total);
	print_message("%llu of %llu requests counted, %llu gaps, %llu streams lost\n",
		      (unsigned long long)counted, (unsigned long long)total,
		      (unsigned long long)run__drop(SLID_DROP_GAP),
		      (unsigned long long)run__drop(STAT(DESYNC)));
}

/* Any bytes at all: the programs must take them, and no request may stay open behind the end. */
static void any_bytes_are_taken(void **state)
{
	struct conversation *c = *state;

	run__reset();
	for (uint32_t i = 0; i < CONVERSATIONS / 2; i++) {
		struct flow f = begin(i);

		generate(c);
		for (int k = 0; k < 20; k++)
			c->text[k % 2][rng((uint32_t)c->len[k % 2])] = (char)rng(256);
		for (int who = CLIENT; who <= SERVER; who++)
			for (size_t from = 0, size; from < c->len[who]; from += size) {
				size = segment_size();
				if (size > c->len[who] - from)
					size = c->len[who] - from;
				flow__send(&f, who, 0, c->text[who] + from, size);
			}
		f.seq[CLIENT] = flow__conn(&f).http.stream[HTTP_REQUESTS].next_seq;
		flow__rst(&f, CLIENT);
	}
	conserved();
}

int main(void)
{
	static struct conversation conversation;
	static char text[2][TEXT_MAX];
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_prestate(every_conversation_is_counted, &conversation),
		cmocka_unit_test_prestate(nothing_is_left_open_when_segments_are_lost,
					  &conversation),
		cmocka_unit_test_prestate(any_bytes_are_taken, &conversation),
	};
	int failed;

	conversation.text[CLIENT] = text[CLIENT];
	conversation.text[SERVER] = text[SERVER];
	rng_state ^= SEED;
	run__skip_unless_root("bpf_model");
	if (!run__open(false, 0))
		return 1;
	failed = cmocka_run_group_tests_name("bpf_model", tests, NULL, NULL);
	run__close();
	return failed;
}
