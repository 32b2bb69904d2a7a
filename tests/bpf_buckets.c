/* SPDX-License-Identifier: Apache-2.0 */
/* bpf_buckets.c - what the kernel counts in: every duration in its bucket, each bound exact, sums,
 * time to first byte, the overflow series. */
#include "bpf_run.h"

#define GET_REQUEST "GET /a HTTP/1.1\r\nHost: a\r\n\r\n"
#define OK_RESPONSE "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

static const struct packet_shape plain = {0};

static uint64_t test_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

/* One observation, as slid_observe() gets it, of each of the ports from the given one on. */
static void observe_ports(uint64_t cgroup_id, uint64_t fields, uint64_t dur_ns, uint64_t more_cnt)
{
	uint8_t frame[PACKET_ETH + 64] = {[12] = 0x08};
	uint64_t args[4] = {cgroup_id, fields, dur_ns, more_cnt};

	memcpy(frame + PACKET_ETH, args, sizeof(args));
	run__prog(run.skel->progs.slid_direct, frame, sizeof(frame), 0);
}

static void observe(uint64_t cgroup_id, uint64_t fields, uint64_t dur_ns)
{
	observe_ports(cgroup_id, fields, dur_ns, 0);
}

static struct flow open_flow(void)
{
	struct flow f;

	run__reset();
	f = flow__make(SLID_ROLE_SERVER, &plain);
	flow__open(&f);
	return f;
}

static struct slid_series_key key_200(uint8_t what)
{
	return (struct slid_series_key){
		.cgroup_id = RUN_CGROUP,
		.port = RUN_PORT,
		.status = 200,
		.method = SLID_METHOD_GET,
		.role_what = SLID_ROLE_WHAT(SLID_ROLE_SERVER, what),
	};
}

/* Each duration's own bucket and sum, through a series of its own for every call. */
static void check_durations(const uint64_t *durations, size_t cnt)
{
	struct slid_series_key key = {.cgroup_id = 5, .port = 80};
	static uint64_t wanted[SLID_BUCKETS_MAX];
	uint64_t sum_ns = 0;
	const uint64_t *words;

	run__reset();
	memset(wanted, 0, sizeof(wanted));
	for (size_t i = 0; i < cnt; i++) {
		observe(5, 80, durations[i]);
		wanted[layout__bucket(&run.layout, durations[i])]++;
		sum_ns += durations[i];
	}
	words = run__sum(bpf_map__fd(run.skel->maps.slid_series), &key, 1 + run.bucket_cnt);
	assert_true(words[0] == sum_ns);
	for (size_t i = 0; i < run.bucket_cnt; i++)
		assert_int_equal(words[1 + i], wanted[i]);
}

/* One bucket below, on and above each bound, one call each: no other bucket may take it. */
static void bucket_exact_at_each_bound(void **state)
{
	uint64_t duration;

	(void)state;
	for (size_t i = 0; i < run.layout.bound_cnt; i++) {
		duration = run.layout.bounds[i].ns - 1;
		check_durations(&duration, 1);
		duration = run.layout.bounds[i].ns;
		assert_int_equal(layout__bucket(&run.layout, duration), i);
		check_durations(&duration, 1);
		duration = run.layout.bounds[i].ns + 1;
		assert_int_equal(layout__bucket(&run.layout, duration), i + 1);
		check_durations(&duration, 1);
	}
}

static void bucket_of_many_durations(void **state)
{
	static uint64_t durations[20000];
	uint64_t random = 88172645463325252ull;
	size_t cnt = sizeof(durations) / sizeof(durations[0]);

	(void)state;
	for (size_t i = 0; i < cnt; i++)
		durations[i] = test_random(&random) >> (16 + test_random(&random) % 48);
	check_durations(durations, cnt);
}

static void bucket_of_extremes(void **state)
{
	static const uint64_t durations[] = {0,
					     1,
					     2,
					     3,
					     15,
					     16,
					     17,
					     1ull << 32,
					     1ull << 52,
					     1ull << 62,
					     511999999999ull,
					     512000000000ull,
					     512000000001ull};

	(void)state;
	check_durations(durations, sizeof(durations) / sizeof(durations[0]));
}

static void key_carries_every_field(void **state)
{
	struct slid_series_key key = {
		.cgroup_id = 0x1122334455667788ull,
		.port = 0xfedc,
		.status = 999,
		.method = SLID_METHOD_PATCH,
		.error = SLID_ERROR_TRUNCATED,
		.route = 255,
		.role_what = SLID_ROLE_WHAT(SLID_ROLE_CLIENT, SLID_WHAT_RTT),
	};
	uint64_t fields, sum_ns;

	(void)state;
	run__reset();
	memcpy(&fields, (const uint8_t *)&key + 8, 8);
	observe(key.cgroup_id, fields, 12345);
	assert_int_equal(run__series(&key, &sum_ns), 1);
	assert_int_equal(sum_ns, 12345);
}

/* A request that began dur_ns ago, as the connection's ring says, ends now. */
static uint64_t measured(uint64_t dur_ns, uint64_t *cnt)
{
	struct slid_series_key key = key_200(SLID_WHAT_REQUEST);
	struct flow f = open_flow();
	struct slid_conn conn;
	uint64_t sum_ns;

	flow__say(&f, CLIENT, GET_REQUEST);
	conn = flow__conn(&f);
	conn.http.ring[0] &= ~HTTP_TIME_MASK;
	conn.http.ring[0] |= (run__now_ns() - dur_ns) & HTTP_TIME_MASK;
	flow__set_conn(&f, &conn);
	flow__say(&f, SERVER, OK_RESPONSE);
	*cnt = run__series(&key, &sum_ns);
	return sum_ns;
}

static void duration_is_from_the_first_byte(void **state)
{
	static const uint64_t durations[] = {0, 1000000, 10000000000ull, 100000000000000ull};

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		uint64_t cnt, sum_ns = measured(durations[i], &cnt);

		assert_int_equal(cnt, 1);
		assert_in_range(sum_ns, durations[i], durations[i] + 1000000000);
	}
}

/* Two CPUs read their clocks in one order and get the connection in the other. */
static void duration_is_never_negative(void **state)
{
	uint64_t cnt, sum_ns = measured(0ull - 5000000000ull, &cnt);

	(void)state;
	assert_int_equal(cnt, 1);
	assert_int_equal(sum_ns, 0);
}

/* A whole exchange of exactly dur_ns, by the departure time of its response. */
static void check_exchange(uint64_t dur_ns)
{
	struct slid_series_key key = key_200(SLID_WHAT_REQUEST);
	struct flow f = open_flow();
	const uint64_t *words;
	struct slid_conn conn;

	flow__say(&f, CLIENT, GET_REQUEST);
	conn = flow__conn(&f);
	run.leaves_ns = (conn.http.ring[0] & HTTP_TIME_MASK) + dur_ns;
	flow__say(&f, SERVER, OK_RESPONSE);
	run.leaves_ns = 0;
	words = run__sum(bpf_map__fd(run.skel->maps.slid_series), &key, 1 + run.bucket_cnt);
	assert_int_equal(words[0], dur_ns);
	for (size_t i = 0; i < run.bucket_cnt; i++)
		assert_int_equal(words[1 + i], i == layout__bucket(&run.layout, dur_ns));
}

static void exchange_exact_at_each_bound(void **state)
{
	(void)state;
	for (size_t i = 0; i < run.layout.bound_cnt; i++) {
		check_exchange(run.layout.bounds[i].ns - 1);
		check_exchange(run.layout.bounds[i].ns);
		check_exchange(run.layout.bounds[i].ns + 1);
	}
}

/* Parts 5 ms apart: the clock runs from the request's first byte to the response's last. */
static void duration_spans_all_segments(void **state)
{
	static const char *const request[] = {"G", "ET / HTTP/1.1\r\n", "\r\n"};
	static const char *const response[] = {"H", "TTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n",
					       "ok"};
	bool has_ttfb = run.skel->rodata->slid_ttfb;
	struct slid_series_key key = key_200(SLID_WHAT_REQUEST);
	struct flow f = open_flow();
	uint64_t sum_ns;

	(void)state;
	for (int i = 0; i < 3; i++, usleep(5000))
		flow__say(&f, CLIENT, request[i]);
	for (int i = 0; i < 3; i++, usleep(i < 3 ? 5000 : 0))
		flow__say(&f, SERVER, response[i]);
	assert_int_equal(run__series(&key, &sum_ns), 1);
	assert_in_range(sum_ns, 25000000, 400000000);
	key = key_200(SLID_WHAT_TTFB);
	if (!has_ttfb)
		return;
	assert_int_equal(run__series(&key, &sum_ns), 1);
	assert_in_range(sum_ns, 15000000, 300000000);
}

static uint64_t overflow_cnt(void)
{
	struct slid_series_key key = {0};
	uint64_t sum_ns;

	return run__series(&key, &sum_ns);
}

/* The map holds four series, the overflow one among them: what has no room is counted there. */
static void overflow_takes_what_has_no_room(void **state)
{
	struct slid_series_key key = {.cgroup_id = 9};
	uint64_t sum_ns, others = 0;

	(void)state;
	run__reset();
	for (uint64_t round = 0; round < 10; round++)
		for (uint64_t port = 1; port <= 100; port++)
			observe(9, port, 1000);
	for (key.port = 1; key.port <= 100; key.port++) {
		uint64_t value[RUN_CPUS_MAX * (1 + SLID_BUCKETS_MAX)];

		if (!bpf_map_lookup_elem(bpf_map__fd(run.skel->maps.slid_series), &key, value))
			others += run__series(&key, &sum_ns);
	}
	assert_in_range(others, 10, 990);
	assert_int_equal(overflow_cnt() + others, 1000);
	assert_int_equal(run__drop(SLID_DROP_SERIES_FULL), overflow_cnt());
}

static uint64_t spilled_cnt(uint64_t *sum_ns)
{
	int fd = bpf_map__fd(run.skel->maps.slid_spills);
	struct slid_spill_key key, *prev = NULL;
	struct slid_spill spill;
	uint64_t cnt = 0;

	for (; !bpf_map_get_next_key(fd, prev, &key); prev = &key) {
		assert_int_equal(bpf_map_lookup_elem(fd, &key, &spill), 0);
		cnt += spill.cnt;
		*sum_ns += spill.sum_ns;
	}
	return cnt;
}

/* More new series at once than the kernel has per-CPU memory at hand for: what has none waits aside,
 * nothing goes to the overflow series. Programs just loaded have the least. */
static void burst_of_new_series_is_whole(void **state)
{
	uint64_t cnt = 0, total_ns = 0, series_ns, spilled;
	struct slid_series_key key;

	(void)state;
	for (uint64_t round = 0; round < 3; round++)
		observe_ports(9, 1, 1000, 399);
	spilled = spilled_cnt(&total_ns);
	cnt = spilled;
	for (bool first = true; !run__next_series(&key, first); first = false) {
		if (!key.cgroup_id)
			continue;
		cnt += run__series(&key, &series_ns);
		total_ns += series_ns;
	}
	print_message("%llu of %llu waited aside\n", (unsigned long long)spilled,
		      (unsigned long long)cnt);
	assert_int_equal(cnt, 1200);
	assert_int_equal(total_ns, 1200 * 1000);
	assert_int_equal(overflow_cnt(), 0);
	assert_int_equal(run__drop(SLID_DROP_SERIES_FULL), 0);
}

static void series_stay_apart(void **state)
{
	struct slid_series_key ttfb = key_200(SLID_WHAT_TTFB);
	struct flow f = open_flow();
	uint64_t value[RUN_CPUS_MAX * (1 + SLID_BUCKETS_MAX)];

	(void)state;
	flow__say(&f, CLIENT, GET_REQUEST);
	flow__say(&f, SERVER, OK_RESPONSE);
	CHECK(&f, WANT({200, SLID_METHOD_GET, 0, 1}));
	assert_int_equal(bpf_map_lookup_elem(bpf_map__fd(run.skel->maps.slid_series), &ttfb, value),
			 -ENOENT); /* off unless asked for */
}

/* The ports' map is full: connections go on being read, what could not be counted is. */
static void ports_full_is_counted(void **state)
{
	struct slid_port_key key = {.cgroup_id = 1};
	static uint8_t zero[RUN_CPUS_MAX * sizeof(struct slid_port)];
	int fd = bpf_map__fd(run.skel->maps.slid_ports);
	struct slid_series_key series = key_200(SLID_WHAT_REQUEST);
	struct flow f = open_flow();
	uint64_t sum_ns;
	int err = 0;

	(void)state;
	for (uint32_t i = 0; i < 100000 && err != -E2BIG; i++) {
		if (err == -ENOMEM) /* the kernel makes room behind our back */
			usleep(1000);
		else
			key.cgroup_id++;
		err = bpf_map_update_elem(fd, &key, zero, BPF_ANY);
	}
	assert_int_equal(err, -E2BIG);
	flow__say(&f, CLIENT, GET_REQUEST);
	flow__say(&f, SERVER, OK_RESPONSE);
	assert_int_equal(run__series(&series, &sum_ns), 1);
	assert_int_equal(run__drop(SLID_DROP_PORTS_FULL), 2); /* a request, a protocol */
	run__reset();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bucket_exact_at_each_bound),
		cmocka_unit_test(bucket_of_many_durations),
		cmocka_unit_test(bucket_of_extremes),
		cmocka_unit_test(key_carries_every_field),
		cmocka_unit_test(duration_is_from_the_first_byte),
		cmocka_unit_test(duration_is_never_negative),
		cmocka_unit_test(exchange_exact_at_each_bound),
		cmocka_unit_test(duration_spans_all_segments),
		cmocka_unit_test(series_stay_apart),
		cmocka_unit_test(ports_full_is_counted),
	};
	const struct CMUnitTest with_ttfb[] = {
		cmocka_unit_test(duration_spans_all_segments),
	};
	const struct CMUnitTest four_series[] = {
		cmocka_unit_test(overflow_takes_what_has_no_room),
	};
	const struct CMUnitTest just_loaded[] = {
		cmocka_unit_test(burst_of_new_series_is_whole),
	};
	int failed = 0;

	run__skip_unless_root("bpf_buckets");
	for (int i = 0; i < 5; i++) {
		if (!run__open(false, 0))
			return 1;
		failed += cmocka_run_group_tests_name("bpf_buckets just loaded", just_loaded, NULL,
						      NULL);
		run__close();
	}
	if (!run__open(false, 0))
		return 1;
	failed += cmocka_run_group_tests_name("bpf_buckets", tests, NULL, NULL);
	run__close();
	if (!run__open(true, 0))
		return 1;
	failed += cmocka_run_group_tests_name("bpf_buckets with ttfb", with_ttfb, NULL, NULL);
	run__close();
	if (!run__open(false, 4))
		return 1;
	failed += cmocka_run_group_tests_name("bpf_buckets with four series", four_series, NULL,
					      NULL);
	run__close();
	return failed;
}
