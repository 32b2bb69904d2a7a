/* SPDX-License-Identifier: Apache-2.0 */
/* bpf_capture.c - what capture reads from the kernel's maps is what is in them, all CPUs together, what
 * waits aside included; and what it forgets is gone. Loads the programs, attaches nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "capture/capture.h"
#include "config/config.h"

#define CGROUP 4242

static struct layout layout;
static struct capture *capture;
static int series_fd, ports_fd, spills_fd;

/* The newest map of that name: this process has just made it. */
static int map_by_name(const char *name)
{
	__u32 id = 0, newest = 0;

	while (!bpf_map_get_next_id(id, &id)) {
		struct bpf_map_info info = {0};
		__u32 len = sizeof(info);
		int fd = bpf_map_get_fd_by_id(id);

		if (fd < 0)
			continue;
		if (!bpf_obj_get_info_by_fd(fd, &info, &len) && !strcmp(info.name, name))
			newest = id;
		close(fd);
	}
	return bpf_map_get_fd_by_id(newest);
}

static int open_capture(void **state)
{
	const struct capture_opts opts = {.layout = &layout, .series_max = CONFIG_SERIES_MAX};
	char why[256];

	(void)state;
	assert_int_equal(layout__init(&layout, NULL, 0), 0);
	if (capture__open(&opts, why, sizeof(why), &capture)) {
		print_message("%s\n", why);
		return -1;
	}
	series_fd = map_by_name("slid_series");
	ports_fd = map_by_name("slid_ports");
	spills_fd = map_by_name("slid_spills");
	return series_fd < 0 || ports_fd < 0 || spills_fd < 0;
}

static int close_capture(void **state)
{
	(void)state;
	close(series_fd);
	close(ports_fd);
	close(spills_fd);
	capture__free(capture);
	return 0;
}

/* All that a drain hands out of CGROUP, together. */
struct sum {
	uint64_t cnt;
	uint64_t sum_ns;
	uint64_t bucket_7;
	uint64_t accepted;
	struct slid_series_key key;
};

static void on_series(void *ctx, const struct slid_series_key *key, uint64_t sum_ns,
		      const uint64_t *buckets)
{
	struct sum *sum = ctx;

	if (key->cgroup_id != CGROUP)
		return;
	sum->key = *key;
	sum->sum_ns += sum_ns;
	sum->bucket_7 += buckets[7];
	for (size_t i = 0; i <= layout.bound_cnt; i++)
		sum->cnt += buckets[i];
}

static void on_port(void *ctx, const struct slid_port_key *key, const struct slid_port *counts)
{
	struct sum *sum = ctx;

	if (key->cgroup_id == CGROUP && key->port == 8080 && key->role == SLID_ROLE_SERVER)
		sum->accepted += counts->accepted;
}

static struct sum drain(void)
{
	struct sum sum = {0};
	const struct capture_sink sink = {&sum, on_series, on_port};

	assert_int_equal(capture__drain(capture, &sink), 0);
	return sum;
}

static const struct slid_series_key series_key = {
	.cgroup_id = CGROUP,
	.port = 8080,
	.status = 503,
	.method = SLID_METHOD_PATCH,
	.error = SLID_ERROR_TRUNCATED,
	.route = 5,
	.role_what = SLID_ROLE_WHAT(SLID_ROLE_SERVER, SLID_WHAT_TTFB),
};

static void put_series(void)
{
	size_t words = 1 + layout.bound_cnt + 1;
	int cpu_cnt = libbpf_num_possible_cpus();
	uint64_t *value = calloc((size_t)cpu_cnt * words, 8);

	for (int cpu = 0; cpu < cpu_cnt; cpu++) {
		value[(size_t)cpu * words] = 100;         /* sum_ns */
		value[(size_t)cpu * words + 1 + 7] = 10;  /* bucket 7 */
		value[(size_t)cpu * words + words - 1] = 1; /* +Inf */
	}
	assert_int_equal(bpf_map_update_elem(series_fd, &series_key, value, BPF_ANY), 0);
	free(value);
}

static void put_spills(void)
{
	/* As slid_observe() packs it: the bytes of the key behind the cgroup id, in order. */
	struct slid_spill_key key = {.cgroup_id = CGROUP, .idx = 7};
	struct slid_spill spill = {.cnt = 5, .sum_ns = 1000};

	memcpy(&key.fields, (const uint8_t *)&series_key + 8, 8);
	assert_int_equal(bpf_map_update_elem(spills_fd, &key, &spill, BPF_ANY), 0);
	key.fields = 8080 | (uint64_t)SLID_ROLE_SERVER << 16;
	key.is_port = 1;
	key.idx = offsetof(struct slid_port, accepted) / 8;
	spill = (struct slid_spill){.cnt = 3};
	assert_int_equal(bpf_map_update_elem(spills_fd, &key, &spill, BPF_ANY), 0);
}

static void drain_adds_cpus_and_spills(void **state)
{
	uint64_t cpu_cnt = (uint64_t)libbpf_num_possible_cpus();
	struct sum sum;

	(void)state;
	put_series();
	sum = drain();
	assert_int_equal(sum.cnt, 11 * cpu_cnt);
	assert_int_equal(sum.sum_ns, 100 * cpu_cnt);
	put_spills();
	sum = drain();
	assert_int_equal(sum.cnt, 11 * cpu_cnt + 5);
	assert_int_equal(sum.bucket_7, 10 * cpu_cnt + 5);
	assert_int_equal(sum.sum_ns, 100 * cpu_cnt + 1000);
	assert_int_equal(sum.accepted, 3);
	assert_memory_equal(&sum.key, &series_key, sizeof(series_key));
}

static void forget_takes_spills_along(void **state)
{
	const struct slid_port_key port = {
		.cgroup_id = CGROUP, .port = 8080, .role = SLID_ROLE_SERVER};
	struct slid_spill_key key;
	struct sum sum;

	(void)state;
	put_series();
	put_spills();
	drain();
	capture__forget_series(capture, &series_key);
	capture__forget_port(capture, &port);
	sum = drain();
	assert_int_equal(sum.cnt, 0);
	assert_int_equal(sum.accepted, 0);
	assert_int_not_equal(bpf_map_get_next_key(spills_fd, NULL, &key), 0);
}

/* README's formula, and the promise: 500 series on 2 CPUs take at most 2 MiB. */
static void memory_grows_with_live_series(void **state)
{
	size_t cpu_cnt = (size_t)libbpf_num_possible_cpus();
	size_t cpu_bytes = 8 * (1 + layout.bound_cnt + 1);
	uint64_t *value = calloc(cpu_cnt, cpu_bytes);
	struct slid_series_key key = series_key;
	struct snapshot before = {0}, after = {0};
	uint64_t grown;

	(void)state;
	assert_int_equal(capture__self(capture, &before), 0);
	for (key.port = 1; key.port <= 500; key.port++)
		while (bpf_map_update_elem(series_fd, &key, value, BPF_ANY))
			usleep(1000); /* memory is given out in the background */
	free(value);
	assert_int_equal(capture__self(capture, &after), 0);
	assert_string_equal(after.maps[0].name, "slid_series");
	grown = after.maps[0].memory_bytes - before.maps[0].memory_bytes;
	print_message("500 series: %llu bytes, the map at start %llu\n", (unsigned long long)grown,
		      (unsigned long long)before.maps[0].memory_bytes);
	if (!grown) /* before 6.4 the kernel says the most that it may take */
		return;
	assert_in_range(grown, 500 * cpu_cnt * cpu_bytes, 500 * (cpu_cnt * cpu_bytes + 128));
	if (cpu_cnt == 2)
		assert_in_range(after.maps[0].memory_bytes, 1, 2 << 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(drain_adds_cpus_and_spills, open_capture,
						close_capture),
		cmocka_unit_test_setup_teardown(forget_takes_spills_along, open_capture,
						close_capture),
		cmocka_unit_test_setup_teardown(memory_grows_with_live_series, open_capture,
						close_capture),
	};

	if (geteuid()) {
		puts("needs root to load the programs");
		return 77;
	}
	return cmocka_run_group_tests_name("bpf_capture", tests, NULL, NULL);
}
