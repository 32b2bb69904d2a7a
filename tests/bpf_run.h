/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bpf_run.h - the real kernel programs, run on crafted packets by bpf_prog_test_run(); nothing is
 * attached. A flow is a TCP connection of which the test plays both ends; what slid counted is
 * compared whole: every series, every port counter, every drop.
 */
#ifndef SLID_BPF_RUN_H
#define SLID_BPF_RUN_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "../bpf/conn.h"
#include "packet_build.h"
#include "sli/layout.h"
#include "slid_test.skel.h"

#define RUN_CGROUP   77
#define RUN_PORT     8080
#define RUN_PAGE     2800 /* payload bytes that a test run's packet has room for */
#define RUN_JUMBO    (128 * 1024)
#define RUN_CPUS_MAX 64

struct run {
	struct slid_test_bpf *skel; /* owned */
	struct layout layout;
	size_t bucket_cnt;
	int cpu_cnt;
	uint64_t cpus[RUN_CPUS_MAX * (1 + SLID_BUCKETS_MAX)]; /* scratch: one value of each CPU */
	uint8_t packet[RUN_JUMBO + 4096 + PACKET_HEAD_MAX];
	uint16_t next_port;
	uint64_t leaves_ns; /* departure time that TCP writes on what is sent; 0 = none */
};

static struct run run;

/* Who speaks. */
enum { CLIENT = 0, SERVER = 1 };

struct flow {
	struct packet_shape shape;
	uint8_t role;	/* whose side slid watches: enum slid_role */
	bool is_joined; /* slid saw no handshake */
	uint16_t client_port;
	uint32_t seq[2]; /* next sequence number of CLIENT and SERVER */
};

/* ---- the programs ---------------------------------------------------------------------------- */

static inline void run__put_overflow(void)
{
	static uint8_t zero[RUN_CPUS_MAX * (8 + 8 * SLID_BUCKETS_MAX)];
	struct slid_series_key key = {0};

	assert_int_equal(
		bpf_map_update_elem(bpf_map__fd(run.skel->maps.slid_series), &key, zero, BPF_ANY),
		0);
}

static inline void run__delete_all(int fd, size_t key_size)
{
	uint8_t key[sizeof(struct slid_spill_key)];

	assert_true(key_size <= sizeof(key));
	while (!bpf_map_get_next_key(fd, NULL, key))
		assert_int_equal(bpf_map_delete_elem(fd, key), 0);
}

/* run__reset - nothing counted, no connection known. */
static inline void run__reset(void)
{
	static const uint64_t zero[RUN_CPUS_MAX];

	run__delete_all(bpf_map__fd(run.skel->maps.slid_conns), 4);
	run__delete_all(bpf_map__fd(run.skel->maps.slid_series), 16);
	run__delete_all(bpf_map__fd(run.skel->maps.slid_ports), 16);
	run__delete_all(bpf_map__fd(run.skel->maps.slid_spills), sizeof(struct slid_spill_key));
	for (__u32 i = 0; i < SLID_DROP_CNT + SLID_STAT_CNT; i++)
		bpf_map_update_elem(bpf_map__fd(run.skel->maps.slid_drops), &i, zero, BPF_ANY);
	run__put_overflow();
}

/* run__open - load the programs with these knobs. Return: whether this kernel let us. */
static inline bool run__open(bool ttfb, __u32 series_max)
{
	static const double extra_s[] = {0.3, 0.0421};
	struct slid_test_bpf *skel = slid_test_bpf__open();
	size_t size;

	if (!skel)
		return false;
	run.cpu_cnt = libbpf_num_possible_cpus();
	assert_in_range(run.cpu_cnt, 1, RUN_CPUS_MAX);
	assert_int_equal(layout__init(&run.layout, extra_s, 2), 0);
	run.bucket_cnt = run.layout.bound_cnt + 1;
	size = sizeof(struct slid_hist) + 8 * run.bucket_cnt;
	skel->rodata->slid_bound_cnt = (__u32)run.layout.bound_cnt;
	for (size_t i = 0; i < run.layout.bound_cnt; i++)
		skel->rodata->slid_bounds[i] = run.layout.bounds[i].ns;
	memcpy(skel->rodata->slid_cells, run.layout.cells, sizeof(run.layout.cells));
	skel->rodata->slid_ttfb = ttfb;
	bpf_map__set_value_size(skel->maps.slid_series, (__u32)size);
	bpf_map__set_value_size(skel->maps.slid_zero, (__u32)size);
	if (series_max)
		bpf_map__set_max_entries(skel->maps.slid_series, series_max);
	bpf_program__set_autoload(skel->progs.slid_sockops, false);
	if (slid_test_bpf__load(skel)) {
		slid_test_bpf__destroy(skel);
		return false;
	}
	run.skel = skel;
	run.next_port = 20000;
	run__reset();
	return true;
}

static inline void run__close(void)
{
	slid_test_bpf__destroy(run.skel);
	run.skel = NULL;
}

/* run__skip_unless_root - these tests need the bpf() call: else the whole file is skipped. */
static inline void run__skip_unless_root(const char *name)
{
	if (geteuid() == 0)
		return;
	printf("%s: skipped, it needs root to load BPF programs\n", name);
	exit(77);
}

static inline uint64_t run__now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/* Run prog on a frame; mark is its length from the network header, if that is more than is here. */
static inline void run__prog(const struct bpf_program *prog, const void *frame, size_t len,
			     __u32 mark)
{
	struct __sk_buff ctx = {.mark = mark, .tstamp = run.leaves_ns};
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = frame, .data_size_in = (__u32)len,
		    .ctx_in = &ctx, .ctx_size_in = sizeof(ctx), .repeat = 1);
	int err = bpf_prog_test_run_opts(bpf_program__fd(prog), &opts);

	if (err)
		fail_msg("bpf_prog_test_run: %s", strerror(-err));
	assert_int_equal(opts.retval, 1); /* let every packet pass */
}

/* ---- a flow ------------------------------------------------------------------------------------
 */

static inline struct flow flow__make(uint8_t role, const struct packet_shape *shape)
{
	return (struct flow){
		.shape = *shape,
		.role = role,
		.client_port = run.next_port++,
		.seq = {1000, 500000},
	};
}

static inline __u32 flow__key(const struct flow *f)
{
	if (f->role == SLID_ROLE_SERVER)
		return (__u32)RUN_PORT << 16 | f->client_port;
	return (__u32)f->client_port << 16 | RUN_PORT;
}

static inline struct slid_conn flow__conn(const struct flow *f)
{
	struct slid_conn conn = {0};
	__u32 key = flow__key(f);

	assert_int_equal(bpf_map_lookup_elem(bpf_map__fd(run.skel->maps.slid_conns), &key, &conn),
			 0);
	return conn;
}

static inline void flow__set_conn(const struct flow *f, const struct slid_conn *conn)
{
	__u32 key = flow__key(f);

	assert_int_equal(
		bpf_map_update_elem(bpf_map__fd(run.skel->maps.slid_conns), &key, conn, BPF_ANY),
		0);
}

/* flow__at - `who` sends a segment at this sequence number, whatever came before. */
static inline void flow__at(const struct flow *f, int who, uint32_t seq, uint8_t flags,
			    const void *data, size_t len)
{
	bool is_ingress = (f->role == SLID_ROLE_SERVER) == (who == CLIENT);
	struct packet_addr addr = {
		.seq = seq,
		.src_port = who == CLIENT ? f->client_port : RUN_PORT,
		.dst_port = who == CLIENT ? RUN_PORT : f->client_port,
		.flags = flags | TH_ACK,
	};
	size_t head, here = len;
	__u32 mark = 0, zero = 0;

	assert_true(len <= RUN_JUMBO - PACKET_HEAD_MAX);
	head = packet__head(run.packet, &f->shape, &addr, len);
	if (len)
		memcpy(run.packet + head, data, len);
	if (len > RUN_PAGE) {
		here = RUN_PAGE;
		mark = (__u32)(head + len - PACKET_ETH);
		assert_int_equal(bpf_map_update_elem(bpf_map__fd(run.skel->maps.slid_jumbo), &zero,
						     run.packet + PACKET_ETH, BPF_ANY),
				 0);
	}
	run__prog(is_ingress ? run.skel->progs.slid_ingress : run.skel->progs.slid_egress,
		  run.packet, head + here, mark);
}

/* flow__send - `who` sends these bytes next, in one segment. */
static inline void flow__send(struct flow *f, int who, uint8_t flags, const void *data, size_t len)
{
	flow__at(f, who, f->seq[who], flags, data, len);
	f->seq[who] += (uint32_t)len + !!(flags & (TH_FIN | TH_SYN));
}

static inline void flow__say(struct flow *f, int who, const char *text)
{
	flow__send(f, who, TH_PUSH, text, strlen(text));
}

static inline void flow__fin(struct flow *f, int who)
{
	flow__send(f, who, TH_FIN, NULL, 0);
}

static inline void flow__rst(struct flow *f, int who)
{
	flow__send(f, who, TH_RST, NULL, 0);
}

/* flow__open - shake hands, as slid_sockops and the packets of a handshake leave it. */
static inline void flow__open(struct flow *f)
{
	struct slid_conn conn = {
		.port = RUN_PORT,
		.role = f->role,
		.cgroup_id = RUN_CGROUP,
		.connect_ns = 1,
	};

	http_conn_init(&conn.http);
	if (f->role == SLID_ROLE_SERVER) {
		for (int who = CLIENT; who <= SERVER; who++) {
			conn.http.stream[who].next_seq = f->seq[who];
			conn.http.stream[who].flags = HTTP_F_SYN;
		}
	}
	flow__set_conn(f, &conn);
	if (f->role == SLID_ROLE_CLIENT) {
		flow__send(f, CLIENT, TH_SYN, NULL, 0);
		flow__send(f, SERVER, TH_SYN, NULL, 0);
		conn = flow__conn(f);
	}
	conn.http.flags |= HTTP_C_ACCEPTED;
	flow__set_conn(f, &conn);
}

/* ---- what was counted -------------------------------------------------------------------------
 */

struct want {
	uint16_t status;
	uint8_t method;
	uint8_t error;
	uint64_t cnt;
};

#define EXPECT_WANTS	24
#define EXPECT_NO_PROTO 255

struct expect {
	struct want want[EXPECT_WANTS]; /* all series, up to the first with cnt 0 */
	uint64_t drops[SLID_DROP_CNT + SLID_STAT_CNT];
	uint64_t lost;	    /* requests */
	uint64_t in_flight; /* requests */
	uint64_t proto_cnt; /* 0 = 1 */
	uint64_t resets_in;
	uint64_t resets_out;
	uint8_t proto; /* 0 = HTTP/1 */
};

#define STAT(name) (SLID_DROP_CNT + SLID_STAT_##name)

static const char *const expect_drops[SLID_DROP_CNT + SLID_STAT_CNT] = {
	"series_full",	  "ports_full", "conn_alloc",	 "pipeline_full", "parse_request",
	"parse_response", "gap",	"response_lost", "unmatched",	  "segment_limit",
	"read",		  "DESYNC",	"JOINED",
};

/* The sum over the CPUs of a value of `words` words, in run.cpus[0..words). */
static inline const uint64_t *run__sum(int fd, const void *key, size_t words)
{
	assert_int_equal(bpf_map_lookup_elem(fd, key, run.cpus), 0);
	for (int cpu = 1; cpu < run.cpu_cnt; cpu++)
		for (size_t i = 0; i < words; i++)
			run.cpus[i] += run.cpus[(size_t)cpu * words + i];
	return run.cpus;
}

/* A series: its count, and in *sum_ns its durations. */
static inline uint64_t run__series(const struct slid_series_key *key, uint64_t *sum_ns)
{
	const uint64_t *words =
		run__sum(bpf_map__fd(run.skel->maps.slid_series), key, 1 + run.bucket_cnt);
	uint64_t cnt = 0;

	for (size_t i = 0; i < run.bucket_cnt; i++)
		cnt += words[1 + i];
	*sum_ns = words[0];
	return cnt;
}

static inline uint64_t run__drop(__u32 which)
{
	return *run__sum(bpf_map__fd(run.skel->maps.slid_drops), &which, 1);
}

static inline int run__next_series(struct slid_series_key *key, bool is_first)
{
	return bpf_map_get_next_key(bpf_map__fd(run.skel->maps.slid_series), is_first ? NULL : key,
				    key);
}

/* The key of a want, in the cgroup that the flow's connection has. */
static inline struct slid_series_key expect__key(const struct flow *f, const struct want *want,
						 uint64_t cgroup_id)
{
	return (struct slid_series_key){
		.cgroup_id = cgroup_id,
		.port = RUN_PORT,
		.status = want->status,
		.method = want->method,
		.error = want->error,
		.role_what = SLID_ROLE_WHAT(f->role, SLID_WHAT_REQUEST),
	};
}

static inline void expect__print_series(const struct slid_series_key *key, uint64_t cnt)
{
	print_error("  counted: cgroup %llu port %u status %u method %u error %u role %u what %u: "
		    "%llu\n",
		    (unsigned long long)key->cgroup_id, key->port, key->status, key->method,
		    key->error, SLID_ROLE_OF(key->role_what), SLID_WHAT_OF(key->role_what),
		    (unsigned long long)cnt);
}

/* Every series is wanted, with its count. Return: all requests counted. */
static inline uint64_t expect__series(const struct flow *f, const struct want *want,
				      uint64_t cgroup_id, int *faults)
{
	struct slid_series_key key;
	uint64_t total = 0, sum_ns;
	size_t left = 0;

	while (left < EXPECT_WANTS && want[left].cnt)
		left++;
	for (bool first = true; !run__next_series(&key, first); first = false) {
		uint64_t cnt = run__series(&key, &sum_ns), wanted = 0;

		for (size_t i = 0; i < EXPECT_WANTS && want[i].cnt; i++) {
			struct slid_series_key good = expect__key(f, &want[i], cgroup_id);

			if (!memcmp(&good, &key, sizeof(key))) {
				wanted = want[i].cnt;
				left--;
			}
		}
		if (cnt != wanted) {
			expect__print_series(&key, cnt);
			++*faults;
		}
		if (cnt && !sum_ns)
			++*faults;
		total += cnt;
	}
	if (left)
		print_error("  %zu wanted series are not there\n", left);
	*faults += (int)left;
	return total;
}

static inline void expect__number(const char *what, uint64_t counted, uint64_t wanted, int *faults)
{
	if (counted == wanted)
		return;
	print_error("  %s: %llu, wanted %llu\n", what, (unsigned long long)counted,
		    (unsigned long long)wanted);
	++*faults;
}

/* The port's counters, all zero if there is none yet. */
static inline struct slid_port run__port(const struct flow *f, uint64_t cgroup_id)
{
	struct slid_port_key key = {.cgroup_id = cgroup_id, .port = RUN_PORT, .role = f->role};
	int fd = bpf_map__fd(run.skel->maps.slid_ports);
	struct slid_port port = {0};

	if (!bpf_map_lookup_elem(fd, &key, run.cpus))
		memcpy(&port, run__sum(fd, &key, sizeof(port) / 8), sizeof(port));
	return port;
}

/* expect__check - all that was counted since run__reset() is this, and nothing else is. */
static inline void expect__check(const struct flow *f, const struct expect *expect,
				 const char *file, int line)
{
	uint64_t cgroup_id = f->is_joined ? flow__conn(f).cgroup_id : RUN_CGROUP;
	uint8_t proto = expect->proto ? expect->proto : SLID_PROTO_HTTP1;
	struct slid_port port = run__port(f, cgroup_id);
	uint64_t total;
	int faults = 0;

	total = expect__series(f, expect->want, cgroup_id, &faults);
	for (__u32 i = 0; i < SLID_DROP_CNT + SLID_STAT_CNT; i++)
		expect__number(expect_drops[i], run__drop(i), expect->drops[i], &faults);
	for (uint8_t i = 0; i < SLID_PROTO_CNT; i++) {
		uint64_t wanted = expect->proto_cnt ? expect->proto_cnt : 1;

		expect__number("protocol", port.protos[i], i == proto ? wanted : 0, &faults);
	}
	expect__number("requests_lost", port.requests_lost, expect->lost, &faults);
	expect__number("resets_in", port.resets_in, expect->resets_in, &faults);
	expect__number("resets_out", port.resets_out, expect->resets_out, &faults);
	expect__number("requests_started", port.requests_started,
		       total + expect->lost + expect->in_flight, &faults);
	if (faults)
		_fail(file, line);
}

#define CHECK(f, ...) expect__check((f), &(struct expect){__VA_ARGS__}, __FILE__, __LINE__)
#define WANT(...)     .want = {__VA_ARGS__}

#endif
