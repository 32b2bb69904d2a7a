/* SPDX-License-Identifier: Apache-2.0 */
/* test_text.c - both text formats, to the byte. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <math.h>
#include <time.h>

#include "base/buf.h"
#include "export/self.h"
#include "export/text.h"
#include "fake_snapshot.h"

static const struct metrics_env env = { .node = "n1" };

#define WEB "container=\"nginx\",job=\"web\",namespace=\"shop\",node=\"n1\",pod=\"web-5d9c-x2x7k\",port=\"8080\""
#define KIND "workload=\"web\",workload_kind=\"Deployment\""
#define GET "code=\"200\",container=\"nginx\",job=\"web\",method=\"GET\",namespace=\"shop\",node=\"n1\"," \
	    "pod=\"web-5d9c-x2x7k\",port=\"8080\"," KIND

static struct buf render(const struct metrics_env *with, const struct fake *fake,
			 enum text_format format)
{
	struct buf out;

	buf__init(&out, (size_t)64 << 20);
	assert_int_equal(text__render(with, &fake->snapshot, NULL, format, &out), 0);
	return out;
}

static void assert_has(const struct buf *out, const char *text)
{
	if (!strstr(out->data, text))
		fail_msg("not there:\n%s\nin:\n%s", text, out->data);
}

static void assert_has_not(const struct buf *out, const char *text)
{
	if (strstr(out->data, text))
		fail_msg("there:\n%s", text);
}

/* The first family and the first histogram, from their start, exactly. */
static void prometheus_text_golden(void **state)
{
	struct fake *fake = fake__new(1700000100000);
	struct buf out;

	(void)state;
	fake__series(fake, &fake->web, SLID_ROLE_SERVER, SLID_WHAT_REQUEST, SLID_METHOD_GET, 200, 0);
	fake__count(fake, 0, 1000000, 10);
	fake__count(fake, 0, 1000001, 20);
	fake__count(fake, 0, 20000000000, 1);
	out = render(&env, fake, TEXT_PROMETHEUS);
	*strstr(out.data, "# HELP slid_build_info") = '\0';
	assert_string_equal(out.data,
		"# HELP http_requests_total HTTP requests, each counted once, at its end.\n"
		"# TYPE http_requests_total counter\n"
		"http_requests_total{" GET "} 31\n"
		"# HELP http_request_duration_seconds Time from a request's first byte to its response's last.\n"
		"# TYPE http_request_duration_seconds histogram\n"
		"http_request_duration_seconds_bucket{" GET ",le=\"0.001\"} 10\n"
		"http_request_duration_seconds_bucket{" GET ",le=\"0.005\"} 30\n"
		"http_request_duration_seconds_bucket{" GET ",le=\"0.01\"} 30\n"
		"http_request_duration_seconds_bucket{" GET ",le=\"0.1\"} 30\n"
		"http_request_duration_seconds_bucket{" GET ",le=\"1.0\"} 30\n"
		"http_request_duration_seconds_bucket{" GET ",le=\"10.0\"} 30\n"
		"http_request_duration_seconds_bucket{" GET ",le=\"+Inf\"} 31\n"
		"http_request_duration_seconds_sum{" GET "} 20.03000002\n"
		"http_request_duration_seconds_count{" GET "} 31\n");
	buf__free(&out);
	fake__free(fake);
}

static void openmetrics_golden(void **state)
{
	struct fake *fake = fake__new(1700000100000);
	struct buf out;

	(void)state;
	fake__series(fake, &fake->web, SLID_ROLE_SERVER, SLID_WHAT_RTT, 0, 0, 0);
	fake__count(fake, 0, 1000000, 1);
	fake__port(fake, &fake->web, SLID_ROLE_SERVER, 8080)->counts.accepted = 5;
	out = render(&env, fake, TEXT_OPENMETRICS);
	assert_string_equal(out.data + out.len - 6, "# EOF\n");
	*strstr(out.data, "# HELP tcp_connections_closed") = '\0';
#define RTT WEB ",role=\"server\"," KIND
	assert_string_equal(out.data,
		"# HELP tcp_rtt_seconds Smoothed round-trip time at a connection's end.\n"
		"# TYPE tcp_rtt_seconds histogram\n"
		"# UNIT tcp_rtt_seconds seconds\n"
		"tcp_rtt_seconds_bucket{" RTT ",le=\"0.001\"} 1\n"
		"tcp_rtt_seconds_bucket{" RTT ",le=\"0.005\"} 1\n"
		"tcp_rtt_seconds_bucket{" RTT ",le=\"0.01\"} 1\n"
		"tcp_rtt_seconds_bucket{" RTT ",le=\"0.1\"} 1\n"
		"tcp_rtt_seconds_bucket{" RTT ",le=\"1.0\"} 1\n"
		"tcp_rtt_seconds_bucket{" RTT ",le=\"10.0\"} 1\n"
		"tcp_rtt_seconds_bucket{" RTT ",le=\"+Inf\"} 1\n"
		"tcp_rtt_seconds_sum{" RTT "} 0.001\n"
		"tcp_rtt_seconds_count{" RTT "} 1\n"
		"tcp_rtt_seconds_created{" RTT "} 1700000000.123\n"
		"# HELP http_requests_in_flight HTTP requests begun and not yet ended.\n"
		"# TYPE http_requests_in_flight gauge\n"
		"http_requests_in_flight{" WEB "," KIND "} 0\n"
		"# HELP tcp_accepts Connections accepted.\n"
		"# TYPE tcp_accepts counter\n"
		"tcp_accepts_total{" WEB "," KIND "} 5\n"
		"tcp_accepts_created{" WEB "," KIND "} 1700000000.000\n");
	buf__free(&out);
	fake__free(fake);
}

static void prometheus_text_has_no_created_unit_eof(void **state)
{
	struct fake *fake = fake__new(1700000100000);
	struct buf out;

	(void)state;
	fake__fill(fake, 1);
	out = render(&env, fake, TEXT_PROMETHEUS);
	assert_has_not(&out, "_created");
	assert_has_not(&out, "# UNIT");
	assert_has_not(&out, "# EOF");
	buf__free(&out);
	fake__free(fake);
}

static void label_values_are_escaped_and_empty_ones_left_out(void **state)
{
	struct fake *fake = fake__new(1700000100000);
	struct buf out;

	(void)state;
	fake__fill(fake, 1);
	out = render(&env, fake, TEXT_PROMETHEUS);
	assert_has(&out, "\nhttp_client_requests_total{code=\"499\",error_type=\"client_closed\","
			 "job=\"odd\\\"na\\\\me\\n\",method=\"_OTHER\",node=\"n1\",port=\"8080\","
			 "workload=\"odd\\\"na\\\\me\\n\",workload_kind=\"cgroup\"} 1\n");
	assert_has_not(&out, "=\"\"");
	buf__free(&out);
	fake__free(fake);
}

static void counts_past_2_53_are_exact(void **state)
{
	struct fake *fake = fake__new(1700000100000);
	struct buf out;

	(void)state;
	fake__port(fake, &fake->web, SLID_ROLE_SERVER, 0)->counts.accepted = 18446744073709551615u;
	fake__port(fake, &fake->odd, SLID_ROLE_SERVER, 0)->counts.accepted = 9007199254740993u;
	out = render(&env, fake, TEXT_PROMETHEUS);
	assert_has(&out, "} 18446744073709551615\n");
	assert_has(&out, "} 9007199254740993\n");
	assert_has_not(&out, "port=");
	buf__free(&out);
	fake__free(fake);
}

static void routes_are_named_or_numbered(void **state)
{
	static const char *const routes[] = { "/api/{id}" };
	struct metrics_env with = { .routes = routes, .route_cnt = 1 };
	struct fake *fake = fake__new(1700000100000);
	struct buf out;

	(void)state;
	for (__u8 route = 0; route < 3; route++)
		fake__series(fake, &fake->web, SLID_ROLE_SERVER, SLID_WHAT_REQUEST, 1, 200, 0)
			->key.route = route;
	out = render(&with, fake, TEXT_PROMETHEUS);
	assert_has(&out, "port=\"8080\",workload=");
	assert_has(&out, "port=\"8080\",route=\"/api/{id}\",workload=");
	assert_has(&out, "port=\"8080\",route=\"2\",workload=");
	assert_has_not(&out, "node=");
	buf__free(&out);
	fake__free(fake);
}

static void ttfb_is_left_out_unless_asked_for(void **state)
{
	struct metrics_env with = { .node = "n1", .ttfb = true };
	struct fake *fake = fake__new(1700000100000);
	struct buf out;

	(void)state;
	fake__fill(fake, 1);
	out = render(&env, fake, TEXT_PROMETHEUS);
	assert_has_not(&out, "ttfb");
	buf__free(&out);
	out = render(&with, fake, TEXT_PROMETHEUS);
	assert_has(&out, "\nhttp_request_ttfb_seconds_count{" GET "} 37\n");
	assert_has(&out, "\nhttp_client_request_ttfb_seconds_count{");
	buf__free(&out);
	fake__free(fake);
}

static void too_small_a_buffer_is_an_error(void **state)
{
	struct fake *fake = fake__new(1700000100000);
	struct buf out;

	(void)state;
	fake__fill(fake, 1);
	buf__init(&out, 4000);
	assert_int_equal(text__render(&env, &fake->snapshot, NULL, TEXT_PROMETHEUS, &out), -E2BIG);
	buf__free(&out);
	fake__free(fake);
}

static void numbers_read_back_the_same(void **state)
{
	static const double numbers[] = { 0, 0.1, 1.0 / 3, 1e-5, 12345678.9, 1e15, 1e22, 5e-324,
					  1.7976931348623157e308, 1700000000.123 };
	char text[METRIC_NUMBER_CAP];

	(void)state;
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		metrics__number(numbers[i], text);
		assert_true(strtod(text, NULL) == numbers[i]);
	}
	metrics__number(0.1, text);
	assert_string_equal(text, "0.1");
	metrics__number(INFINITY, text);
	assert_string_equal(text, "+Inf");
	metrics__number(NAN, text);
	assert_string_equal(text, "NaN");
}

/* 16,000 histograms: quadratic work would take minutes. */
static void many_series_take_linear_time(void **state)
{
	struct fake *fake = fake__new(1700000100000);
	struct buf out;
	clock_t begin;

	(void)state;
	for (unsigned int i = 0; i < 16000; i++) {
		fake__series(fake, &fake->web, SLID_ROLE_SERVER, SLID_WHAT_REQUEST, 1, 200, 0)
			->key.port = (__u16)(i + 1);
		fake__count(fake, i, 1234567 * (i + 1), i);
	}
	begin = clock();
	out = render(&env, fake, TEXT_OPENMETRICS);
	assert_true(clock() - begin < 10 * CLOCKS_PER_SEC);
	assert_has(&out, "port=\"16000\"");
	buf__free(&out);
	fake__free(fake);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(prometheus_text_golden),
		cmocka_unit_test(openmetrics_golden),
		cmocka_unit_test(prometheus_text_has_no_created_unit_eof),
		cmocka_unit_test(label_values_are_escaped_and_empty_ones_left_out),
		cmocka_unit_test(counts_past_2_53_are_exact),
		cmocka_unit_test(routes_are_named_or_numbered),
		cmocka_unit_test(ttfb_is_left_out_unless_asked_for),
		cmocka_unit_test(too_small_a_buffer_is_an_error),
		cmocka_unit_test(numbers_read_back_the_same),
		cmocka_unit_test(many_series_take_linear_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
