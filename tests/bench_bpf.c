/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench_bpf.c - nanoseconds of the kernel programs per packet, by kind. bpf_prog_test_run() repeats
 * a packet; the benchmark build takes its progress back behind each repeat, see bpf/testing.h.
 * Every round measures each kind once, the empty program among them, so that a slow moment hits
 * all.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "../bpf/conn.h"
#include "packet_build.h"
#include "sli/layout.h"
#include "slid_bench.skel.h"

#define REPEATS 100000
#define ROUNDS	15
#define PORT	8080

#define TARGET_PAIR   18.0 /* times the empty program: GET in and 200 out */
#define TARGET_OPAQUE 3.0

struct state { /* of the packet's stream, before it */
	uint8_t role;
	uint8_t flags; /* HTTP_C_* */
	uint8_t http;  /* enum http_state */
	uint8_t outstanding;
	uint64_t left;
};

struct kind {
	const char *name;
	bool is_egress;
	size_t len; /* payload bytes, 0 = text's */
	const char *text;
	struct state state;
	/* filled in */
	uint8_t frame[3600];
	size_t frame_len;
	uint32_t mark;
	double ns[ROUNDS];
	double median;
};

#define SERVER_AT(state_, outstanding_, left_)                                             \
	{                                                                                  \
		.role = SLID_ROLE_SERVER, .http = (state_), .outstanding = (outstanding_), \
		.left = (left_)                                                            \
	}

enum { EMPTY, ACK, OPAQUE, FOREIGN, REQUEST, UPLOAD, RESPONSE, BODY, BIG_BODY, CHUNKED, KINDS };

static struct kind kinds[KINDS] = {
	[EMPTY] = {.name = "empty program", .text = ""},
	[ACK] = {.name = "pure ACK", .text = "", .state = SERVER_AT(HTTP_START, 1, 0)},
	[OPAQUE] = {.name = "opaque (TLS) segment, 1448 B",
		    .len = 1448,
		    .text = "\x17\x03\x03",
		    .state = {.role = SLID_ROLE_SERVER, .flags = HTTP_C_OPAQUE}},
	[FOREIGN] = {.name = "joined, not HTTP, 1448 B", .len = 1448, .text = "\x01\x02\x03"},
	[REQUEST] =
		{.name = "GET request, 150 B",
		 .text = "GET /api/v1/items/12345?page=2 HTTP/1.1\r\nHost: shop.example.com\r\n"
			 "User-Agent: curl/8.5.0\r\nAccept: */*\r\nX-Request-Id: 4f2a9c81e07d\r\n"
			 "X-Padding: 0000\r\n\r\n",
		 .state = SERVER_AT(HTTP_START, 0, 0)},
	[UPLOAD] = {.name = "POST body segment, 1448 B",
		    .len = 1448,
		    .text = "x",
		    .state = SERVER_AT(HTTP_BODY, 1, 1 << 20)},
	[RESPONSE] = {.name = "200 response, head and body, 150 B",
		      .is_egress = true,
		      .text = "HTTP/1.1 200 OK\r\nServer: nginx/1.22.1\r\n"
			      "Date: Sat, 22 Nov 2025 10:00:00 GMT\r\nContent-Type: text/plain\r\n"
			      "Content-Length: 6\r\nConnection: keep-alive\r\n\r\nhello\n",
		      .state = SERVER_AT(HTTP_START, 1, 0)},
	[BODY] = {.name = "response body segment, 1448 B",
		  .is_egress = true,
		  .len = 1448,
		  .text = "x",
		  .state = SERVER_AT(HTTP_BODY, 1, 1 << 20)},
	[BIG_BODY] = {.name = "response body segment, 64 KB",
		      .is_egress = true,
		      .len = 65000,
		      .text = "x",
		      .state = SERVER_AT(HTTP_BODY, 1, 1 << 20)},
	[CHUNKED] = {.name = "whole chunked response, 3 chunks, 190 B",
		     .is_egress = true,
		     .text = "HTTP/1.1 200 OK\r\nServer: nginx/1.22.1\r\n"
			     "Date: Sat, 22 Nov 2025 10:00:00 GMT\r\nContent-Type: text/plain\r\n"
			     "Transfer-Encoding: chunked\r\n\r\n10\r\n0123456789abcdef\r\n"
			     "10\r\n0123456789abcdef\r\n10\r\n0123456789abcdef\r\n0\r\n\r\n",
		     .state = SERVER_AT(HTTP_START, 1, 0)},
};

static int load(struct slid_bench_bpf **ret)
{
	static struct layout layout;
	struct slid_bench_bpf *skel = slid_bench_bpf__open();
	uint32_t size;
	int err;

	if (!skel)
		return -errno;
	layout__init(&layout, NULL, 0);
	skel->rodata->slid_bound_cnt = (uint32_t)layout.bound_cnt;
	for (size_t i = 0; i < layout.bound_cnt; i++)
		skel->rodata->slid_bounds[i] = layout.bounds[i].ns;
	memcpy(skel->rodata->slid_cells, layout.cells, sizeof(layout.cells));
	size = (uint32_t)(sizeof(struct slid_hist) + 8 * (layout.bound_cnt + 1));
	bpf_map__set_value_size(skel->maps.slid_series, size);
	bpf_map__set_value_size(skel->maps.slid_zero, size);
	bpf_program__set_autoload(skel->progs.slid_sockops, false);
	err = slid_bench_bpf__load(skel);
	if (err) {
		slid_bench_bpf__destroy(skel);
		return err;
	}
	*ret = skel;
	return 0;
}

static void build(struct kind *kind)
{
	struct packet_shape shape = {.tcp_words = 3}; /* timestamps, as in most packets */
	struct packet_addr addr = {
		.seq = 1000,
		.src_port = kind->is_egress ? PORT : 40000,
		.dst_port = kind->is_egress ? 40000 : PORT,
		.flags = TH_ACK,
	};
	size_t text_len = strlen(kind->text), len = kind->len ? kind->len : text_len, here = len;
	size_t head = packet__head(kind->frame, &shape, &addr, len);

	if (here > sizeof(kind->frame) - head) {
		here = 2048;
		kind->mark = (uint32_t)(head + len - PACKET_ETH);
	}
	memset(kind->frame + head, 'x', here);
	memcpy(kind->frame + head, kind->text, text_len);
	kind->frame_len = head + here;
	kind->len = len;
}

static uint64_t clock_ns(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/* The connection as it stands before the packet: the first repeat's socket begins with it. */
static void prepare(struct slid_bench_bpf *skel, const struct kind *kind)
{
	const struct state *state = &kind->state;
	int which = kind->is_egress ? HTTP_RESPONSES : HTTP_REQUESTS;
	struct slid_conn conn = {.role = state->role, .port = PORT, .cgroup_id = 77};
	struct http_conn *c = &conn.http;
	uint32_t zero = 0;

	http_conn_init(c);
	c->flags = state->flags;
	c->ring_head = state->outstanding;
	c->ring[0] = (clock_ns(CLOCK_MONOTONIC) & HTTP_TIME_MASK) | (uint64_t)SLID_METHOD_GET << 52;
	if (state->role)
		c->proto = SLID_PROTO_HTTP1;
	c->stream[which].flags = HTTP_F_SYN;
	c->stream[which].next_seq = 1000;
	c->stream[which].state = state->http;
	c->stream[which].left = state->left;
	c->stream[which].status = kind->is_egress && state->http == HTTP_BODY ? 200 : 0;
	bpf_map_update_elem(bpf_map__fd(skel->maps.slid_fresh), &zero, &conn, BPF_ANY);
	skel->bss->slid_mark.next_seq = 1000;
	skel->bss->slid_mark.left = state->left;
	skel->bss->slid_mark.state = state->http;
	skel->bss->slid_mark.ring_head = state->outstanding;
	skel->bss->slid_mark.ring_tail = 0;
}

/* Nanoseconds of one run of the kind's program, by this thread's CPU time: what others do on a busy
 * machine is not in it. */
static double measure(struct slid_bench_bpf *skel, struct kind *kind)
{
	const struct bpf_program *prog = kind == &kinds[EMPTY] ? skel->progs.slid_empty
					 : kind->is_egress     ? skel->progs.slid_egress
							       : skel->progs.slid_ingress;
	struct __sk_buff ctx = {.mark = kind->mark};
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = kind->frame,
		    .data_size_in = (uint32_t)kind->frame_len, .ctx_in = &ctx,
		    .ctx_size_in = sizeof(ctx), .repeat = REPEATS);
	uint64_t begin;
	int err;

	prepare(skel, kind);
	ctx.tstamp = kind->is_egress ? clock_ns(CLOCK_MONOTONIC) : 0; /* as TCP does */
	begin = clock_ns(CLOCK_THREAD_CPUTIME_ID);
	err = bpf_prog_test_run_opts(bpf_program__fd(prog), &opts);
	if (err) {
		fprintf(stderr, "bench_bpf: %s: %s\n", kind->name, strerror(-err));
		exit(1);
	}
	return (double)(clock_ns(CLOCK_THREAD_CPUTIME_ID) - begin) / REPEATS;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* Requests counted as started, and as ended: proof that each repeat did the whole work. */
static void counted(struct slid_bench_bpf *skel, uint64_t *started, uint64_t *ended)
{
	static uint64_t values[64 * (1 + SLID_BUCKETS_MAX)];
	struct slid_port_key port = {.cgroup_id = 77, .port = PORT, .role = SLID_ROLE_SERVER};
	struct slid_series_key series = {.cgroup_id = 77,
					 .port = PORT,
					 .status = 200,
					 .method = SLID_METHOD_GET,
					 .role_what = SLID_ROLE_WHAT(SLID_ROLE_SERVER, 0)};
	size_t words = bpf_map__value_size(skel->maps.slid_series) / 8,
	       cpus = (size_t)libbpf_num_possible_cpus();

	*started = *ended = 0;
	if (!bpf_map_lookup_elem(bpf_map__fd(skel->maps.slid_ports), &port, values))
		for (size_t cpu = 0; cpu < cpus; cpu++)
			*started += values[cpu * sizeof(struct slid_port) / 8];
	if (!bpf_map_lookup_elem(bpf_map__fd(skel->maps.slid_series), &series, values))
		for (size_t i = 0; i < cpus * words; i++)
			*ended += i % words ? values[i] : 0;
}

static void check_work(struct slid_bench_bpf *skel)
{
	uint64_t started, ended, runs = (uint64_t)REPEATS * ROUNDS;

	counted(skel, &started, &ended);
	if (started == runs && ended == 2 * runs)
		return;
	fprintf(stderr,
		"bench_bpf: %llu requests started and %llu ended, not %llu and %llu: "
		"the repeats did not do the same work\n",
		(unsigned long long)started, (unsigned long long)ended, (unsigned long long)runs,
		(unsigned long long)(2 * runs));
	exit(1);
}

static void print_table(void)
{
	double empty = kinds[EMPTY].median, pair = kinds[REQUEST].median + kinds[RESPONSE].median;

	printf("%-42s %8s %8s %10s %9s\n", "packet", "ns", "x empty", "min..max", "target");
	for (int i = 0; i < KINDS; i++) {
		const struct kind *kind = &kinds[i];
		bool has_target = i == ACK || i == OPAQUE;

		printf("%-42s %8.1f %8.2f %4.0f..%-4.0f %9s\n", kind->name, kind->median,
		       kind->median / empty, kind->ns[0], kind->ns[ROUNDS - 1],
		       !has_target			       ? ""
		       : kind->median <= TARGET_OPAQUE * empty ? "3.00 met"
							       : "3.00 MISSED");
	}
	printf("%-42s %8.1f %8.2f %10s %9s\n", "one request: GET in and 200 out", pair,
	       pair / empty, "", pair <= TARGET_PAIR * empty ? "18.00 met" : "18.00 MISSED");
}

static void print_json(void)
{
	double empty = kinds[EMPTY].median, pair = kinds[REQUEST].median + kinds[RESPONSE].median;

	printf("{\"repeats\": %d, \"rounds\": %d, \"packets\": [", REPEATS, ROUNDS);
	for (int i = 0; i < KINDS; i++)
		printf("%s\n  {\"name\": \"%s\", \"ns\": %.2f, \"ns_min\": %.2f, \"ns_max\": %.2f, "
		       "\"x_empty\": %.3f}",
		       i ? "," : "", kinds[i].name, kinds[i].median, kinds[i].ns[0],
		       kinds[i].ns[ROUNDS - 1], kinds[i].median / empty);
	printf("],\n \"request\": {\"ns\": %.2f, \"x_empty\": %.3f, \"x_empty_target\": %.1f}}\n",
	       pair, pair / empty, TARGET_PAIR);
}

int main(int argc, char **argv)
{
	bool is_json = argc > 1 && !strcmp(argv[1], "--json");
	struct slid_bench_bpf *skel = NULL;
	int err;

	if (geteuid() != 0) {
		fprintf(stderr, "bench_bpf: skipped, it needs root to load BPF programs\n");
		return 77;
	}
	err = load(&skel);
	if (err) {
		fprintf(stderr, "bench_bpf: cannot load the programs: %s\n", strerror(-err));
		return 1;
	}
	for (int i = 0; i < KINDS; i++)
		build(&kinds[i]);
	for (int round = 0; round < ROUNDS; round++)
		for (int i = 0; i < KINDS; i++)
			kinds[i].ns[round] = measure(skel, &kinds[i]);
	check_work(skel);
	for (int i = 0; i < KINDS; i++) {
		qsort(kinds[i].ns, ROUNDS, sizeof(double), compare);
		kinds[i].median = kinds[i].ns[ROUNDS / 2];
	}
	if (is_json)
		print_json();
	else
		print_table();
	slid_bench_bpf__destroy(skel);
	return 0;
}
