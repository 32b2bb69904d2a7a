/* SPDX-License-Identifier: Apache-2.0 */
/* test_table.c - what a person reads is what was counted. */
#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "print/table.h"
#include "table_snapshot.h"

#define MS     1000000ull
#define SERVER SLID_ROLE_SERVER
#define CLIENT SLID_ROLE_CLIENT

static struct layout layout;
static const struct table_opts plain = {.tty = false};

static void render(const struct snapshot *prev, const struct snapshot *cur,
		   const struct table_opts *opts, struct buf *out)
{
	buf__init(out, 1 << 20);
	assert_int_equal(table__render(prev, cur, opts, out), 0);
	assert_non_null(out->data);
}

/* Line number idx of a text, in a buffer of its own. */
static const char *line_of(const char *text, int idx, char line[1024])
{
	while (idx-- > 0) {
		text = strchr(text, '\n');
		assert_non_null(text);
		text++;
	}
	snprintf(line, 1024, "%.*s", (int)strcspn(text, "\n"), text);
	return line;
}

static void check_line(const struct buf *out, int idx, const char *want)
{
	char line[1024];

	assert_string_equal(line_of(out->data, idx, line), want);
}

static void table_of_all_time(void **state)
{
	struct snapshot *cur = table_snapshot__new(&layout, 11000);
	struct buf out;

	(void)state;
	table_snapshot__add(cur, &(struct table_case){.workload = "nginx",
						      .port = 80,
						      .role = SERVER,
						      .status = 200,
						      .dur_ns = MS,
						      .n = 990});
	table_snapshot__add(cur, &(struct table_case){.workload = "nginx",
						      .port = 80,
						      .role = SERVER,
						      .status = 503,
						      .dur_ns = MS,
						      .n = 10});
	table_snapshot__add(cur, &(struct table_case){.workload = "nginx",
						      .port = 80,
						      .role = SERVER,
						      .status = 200,
						      .dur_ns = MS,
						      .n = 5,
						      .what = SLID_WHAT_TTFB});
	table_snapshot__port(cur, "nginx", 80, SERVER, 7);
	render(NULL, cur, &plain, &out);
	check_line(&out, 0,
		   "00:00:11  since 1970-01-01 00:00:01  in 100.0/s  out 0.00/s  errors 1.00%"
		   "  total 1000  workloads 3");
	check_line(&out, 1,
		   "WORKLOAD     PORT  ROLE      REQ/S   ERR%    P50    P95    P99"
		   "  IN-FLIGHT       TOTAL");
	check_line(&out, 2,
		   "nginx          80  server    100.0   1.00  1.0ms  1.1ms  1.1ms"
		   "          7        1000");
	check_line(&out, 3, "");
	buf__free(&out);
	snapshot__unref(cur);
}

static void table_of_an_interval(void **state)
{
	struct snapshot *prev = table_snapshot__new(&layout, 10000);
	struct snapshot *cur = table_snapshot__new(&layout, 12000);
	char line[1024];
	struct buf out;

	(void)state;
	/* Long ones before, short ones since: the percentiles are of the short ones alone. */
	table_snapshot__add(prev, &(struct table_case){.workload = "a",
						       .port = 80,
						       .role = SERVER,
						       .status = 200,
						       .dur_ns = 2000 * MS,
						       .n = 500});
	table_snapshot__add(cur, &(struct table_case){.workload = "a",
						      .port = 80,
						      .role = SERVER,
						      .status = 200,
						      .dur_ns = 2000 * MS,
						      .n = 500});
	/* Went away since; takes nothing from the others. */
	table_snapshot__add(prev, &(struct table_case){.workload = "a",
						       .port = 80,
						       .role = SERVER,
						       .pod = "old",
						       .status = 200,
						       .dur_ns = MS,
						       .n = 100000});
	/* New since. */
	table_snapshot__add(cur, &(struct table_case){.workload = "a",
						      .port = 80,
						      .role = SERVER,
						      .status = 404,
						      .dur_ns = MS / 10,
						      .n = 40});
	/* Busier, and client. */
	table_snapshot__add(cur, &(struct table_case){.namespace_ = "shop",
						      .workload = "b",
						      .port = 5432,
						      .role = CLIENT,
						      .status = 200,
						      .dur_ns = 30 * MS,
						      .n = 5000});
	render(prev, cur, &plain, &out);
	check_line(&out, 0, "");
	check_line(&out, 1,
		   "00:00:12  last 2.0s  in 20.0/s  out 2500/s  errors 0%  total 5540"
		   "  workloads 3");
	assert_memory_equal(line_of(out.data, 3, line), "shop/b       5432  client     2500", 34);
	check_line(&out, 4,
		   "a              80  server     20.0      0   98us  102us  103us"
		   "          0         540");
	buf__free(&out);
	snapshot__unref(prev);
	snapshot__unref(cur);
}

static void table_counts_errors(void **state)
{
	static const struct {
		uint16_t status;
		uint8_t error;
		bool is_error;
	} cases[] = {
		{200, 0, false},
		{404, 0, false},
		{499, SLID_ERROR_CLIENT_CLOSED, false},
		{500, 0, true},
		{599, SLID_ERROR_NO_RESPONSE, true},
		{200, SLID_ERROR_TRUNCATED, true},
	};
	char line[1024];
	struct buf out;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct snapshot *cur = table_snapshot__new(&layout, 2000);

		table_snapshot__add(cur, &(struct table_case){.workload = "w",
							      .port = 1,
							      .role = SERVER,
							      .dur_ns = MS,
							      .n = 1,
							      .status = cases[i].status,
							      .error = cases[i].error});
		render(NULL, cur, &plain, &out);
		assert_non_null(strstr(line_of(out.data, 0, line),
				       cases[i].is_error ? "errors 100%" : "errors 0%"));
		buf__free(&out);
		snapshot__unref(cur);
	}
}

static void table_adds_up_pods_of_a_workload(void **state)
{
	struct snapshot *cur = table_snapshot__new(&layout, 2000);
	char line[1024];
	struct buf out;

	(void)state;
	for (int i = 0; i < 5; i++) {
		char pod[16];

		snprintf(pod, sizeof(pod), "api-%d", i);
		table_snapshot__add(cur, &(struct table_case){.namespace_ = "shop",
							      .workload = "api",
							      .pod = pod,
							      .port = 80,
							      .role = SERVER,
							      .status = 200,
							      .dur_ns = MS,
							      .n = 10});
	}
	render(NULL, cur, &plain, &out);
	assert_memory_equal(line_of(out.data, 2, line), "shop/api       80  server     50.0", 34);
	check_line(&out, 3, "");
	buf__free(&out);
	snapshot__unref(cur);
}

static void table_without_traffic_says_what_to_check(void **state)
{
	struct snapshot *cur = table_snapshot__new(&layout, 2000);
	struct snapshot_port *counts;
	struct buf out;

	(void)state;
	render(NULL, cur, &plain, &out);
	check_line(&out, 1, "no HTTP requests seen yet; connections with data: none");
	assert_non_null(strstr(out.data, "--scope"));
	buf__free(&out);
	counts = table_snapshot__port(cur, "web", 443, SERVER, 0);
	counts->counts.protos[SLID_PROTO_TLS] = 12;
	counts->counts.protos[SLID_PROTO_H2] = 2;
	render(NULL, cur, &plain, &out);
	check_line(&out, 1, "no HTTP requests seen yet; connections with data: 2 h2, 12 tls");
	assert_non_null(strstr(out.data, "plain HTTP/1"));
	buf__free(&out);
	snapshot__unref(cur);
}

static void table_shows_loss(void **state)
{
	struct snapshot *cur = table_snapshot__new(&layout, 2000);
	struct buf out;

	(void)state;
	cur->drops[SLID_DROP_GAP] = 3;
	cur->drops[SLID_DROP_SERIES_FULL] = 1;
	render(NULL, cur, &plain, &out);
	check_line(&out, 1, "not counted in full:  series_full 1  gap 3");
	buf__free(&out);
	snapshot__unref(cur);
}

/* Every line fits, and there are no more lines than the terminal has. */
static void check_fits(const struct buf *out, unsigned int rows, unsigned int cols)
{
	unsigned int lines = 0, width = 0;

	assert_memory_equal(out->data, "\033[H", 3);
	assert_string_equal(out->data + out->len - 3, "\033[J");
	for (const char *at = out->data; *at; at++) {
		if (*at == '\033') { /* "\033[x" */
			at += 2;
		} else if (*at == '\n') {
			lines++;
			width = 0;
		} else if (((unsigned char)*at & 0xc0) != 0x80) {
			assert_true((unsigned char)*at >= ' ');
			assert_true(++width <= cols);
		}
	}
	assert_true(lines < rows);
}

static void table_on_a_terminal_fits(void **state)
{
	static const unsigned int sizes[][2] = {{24, 80}, {10, 120}, {50, 200},
						{5, 40},  {3, 20},   {24, 100}};
	struct snapshot *cur = table_snapshot__new(&layout, 2000);
	struct buf out;

	(void)state;
	for (int i = 0; i < 30; i++) {
		char name[256];

		snprintf(name, sizeof(name),
			 i % 2 ? "/a/long/path\xc3\xbc/of/a/cgroup/number/%d" : "shrt\x1b[31m-%d",
			 i);
		table_snapshot__add(cur, &(struct table_case){.workload = name,
							      .port = 80,
							      .role = SERVER,
							      .status = 200,
							      .dur_ns = MS,
							      .n = (uint64_t)i + 1});
	}
	cur->drops[SLID_DROP_READ] = 1;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct table_opts opts = {.tty = true, .rows = sizes[i][0], .cols = sizes[i][1]};

		render(NULL, cur, &opts, &out);
		if (sizes[i][0] > 4)
			check_fits(&out, sizes[i][0], sizes[i][1]);
		assert_true(!strstr(out.data, "and 0 more"));
		assert_int_equal(!strstr(out.data, " more"), sizes[i][0] >= 50);
		buf__free(&out);
	}
	render(NULL, cur, &(struct table_opts){.tty = true, .rows = 24, .cols = 80}, &out);
	/* A number cut short would be another number: the cut is marked. */
	assert_non_null(strstr(out.data, "total 4\xe2\x80\xa6\033[K\n"));
	assert_non_null(strstr(out.data, "\xe2\x80\xa6oup/number/29    80 server"));
	buf__free(&out);
	snapshot__unref(cur);
}

static void table_durations_have_stable_widths(void **state)
{
	static const struct {
		double seconds;
		const char *want;
	} cases[] = {
		{107e-6, "107us"}, {0.0012, "1.2ms"},	{3.4, "3.4s"},	     {7.63e-6, "7.6us"},
		{9.96e-6, "10us"}, {999.4e-6, "999us"}, {999.6e-6, "1.0ms"}, {0.01, "10ms"},
		{0.9996, "1.0s"},  {512, "512s"},	{NAN, "-"},	     {0, "0.0us"},
	};
	char text[32];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		table__duration(cases[i].seconds, text, sizeof(text));
		assert_string_equal(text, cases[i].want);
	}
	for (double seconds = 1e-9; seconds < 600; seconds *= 1.01) {
		table__duration(seconds, text, sizeof(text));
		assert_true(strlen(text) <= 5);
	}
}

static void table_of_a_series_begun_anew(void **state)
{
	struct snapshot *prev = table_snapshot__new(&layout, 10000);
	struct snapshot *cur = table_snapshot__new(&layout, 11000);
	struct table_case one = {.workload = "a",
				 .port = 80,
				 .role = SERVER,
				 .status = 200,
				 .dur_ns = 600000 * MS,
				 .n = 100};
	char line[1024];
	struct buf out;

	(void)state;
	table_snapshot__add(prev, &one);
	one.n = 300;
	table_snapshot__add(cur, &one);
	cur->series[0].created_ms = 10500;
	render(prev, cur, &plain, &out);
	assert_non_null(strstr(line_of(out.data, 3, line), "300.0      0  >512s  >512s  >512s"));
	buf__free(&out);
	snapshot__unref(prev);
	snapshot__unref(cur);
}

static void table_into_a_full_buffer_is_an_error(void **state)
{
	struct snapshot *cur = table_snapshot__new(&layout, 2000);
	struct buf out;

	(void)state;
	buf__init(&out, 8);
	assert_int_equal(table__render(NULL, cur, &plain, &out), -E2BIG);
	buf__free(&out);
	snapshot__unref(cur);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(table_of_all_time),
		cmocka_unit_test(table_of_an_interval),
		cmocka_unit_test(table_counts_errors),
		cmocka_unit_test(table_adds_up_pods_of_a_workload),
		cmocka_unit_test(table_without_traffic_says_what_to_check),
		cmocka_unit_test(table_shows_loss),
		cmocka_unit_test(table_on_a_terminal_fits),
		cmocka_unit_test(table_durations_have_stable_widths),
		cmocka_unit_test(table_of_a_series_begun_anew),
		cmocka_unit_test(table_into_a_full_buffer_is_an_error),
	};

	setenv("TZ", "UTC", 1);
	if (layout__init(&layout, NULL, 0))
		return 1;
	return cmocka_run_group_tests_name("table", tests, NULL, NULL);
}
