/* SPDX-License-Identifier: Apache-2.0 */
/* test_export_metrics.c - the walk: every family, its labels and values; slid's own numbers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <time.h>

#include "export/metrics.h"
#include "export/self.h"
#include "fake_snapshot.h"

#define POINTS_MAX 512

/* All points as "name{a=b,...}" with their values. */
struct record {
	char id[POINTS_MAX][400];
	double value[POINTS_MAX];
	const struct metric_family *families[80];
	size_t point_cnt, family_cnt;
};

static void on_family(void *ctx, const struct metric_family *family)
{
	struct record *record = ctx;

	for (size_t i = 0; i < record->family_cnt; i++)
		assert_string_not_equal(record->families[i]->name, family->name);
	record->families[record->family_cnt++] = family;
}

static void on_point(void *ctx, const struct metric_family *family,
		     const struct metric_point *point)
{
	struct record *record = ctx;
	size_t i = record->point_cnt++;
	int len = snprintf(record->id[i], sizeof(record->id[i]), "%s{", family->name);

	assert_true(i < POINTS_MAX);
	assert_ptr_equal(record->families[record->family_cnt - 1], family);
	for (size_t l = 0; l < point->label_cnt; l++) {
		assert_true(*point->labels[l].value);
		if (l)
			assert_true(strcmp(point->labels[l - 1].name, point->labels[l].name) < 0);
		len += snprintf(record->id[i] + len, sizeof(record->id[i]) - (size_t)len, "%s%s=%s",
				l ? "," : "", point->labels[l].name, point->labels[l].value);
	}
	snprintf(record->id[i] + len, sizeof(record->id[i]) - (size_t)len, "}");
	for (size_t other = 0; other < i; other++)
		assert_string_not_equal(record->id[other], record->id[i]);
	if (point->is_int)
		assert_true(point->real == (double)point->number);
	record->value[i] = family->type == METRIC_HISTOGRAM ? (double)point->number : point->real;
}

static struct record *walk(const struct fake *fake, const struct self_stats *self)
{
	static const struct metrics_env env = { .node = "n1", .ttfb = true };
	struct record *record = calloc(1, sizeof(*record));
	struct metric_sink sink = { .ctx = record, .family = on_family, .point = on_point };

	metrics__walk(&env, &fake->snapshot, self, &sink);
	return record;
}

static void assert_point(const struct record *record, const char *id, double value)
{
	for (size_t i = 0; i < record->point_cnt; i++)
		if (!strcmp(record->id[i], id)) {
			if (record->value[i] != value)
				fail_msg("%s is %g, not %g", id, record->value[i], value);
			return;
		}
	fail_msg("no point %s", id);
}

static size_t family_points(const struct record *record, const char *name)
{
	size_t cnt = 0, len = strlen(name);

	for (size_t i = 0; i < record->point_cnt; i++)
		cnt += !strncmp(record->id[i], name, len) && record->id[i][len] == '{';
	return cnt;
}

#define WEB "container=nginx,job=web,"
#define WEB_REST "namespace=shop,node=n1,pod=web-5d9c-x2x7k,port=8080,"
#define WEB_END "workload=web,workload_kind=Deployment}"
#define ODD "job=odd\"na\\me\n,"
#define ODD_END "workload=odd\"na\\me\n,workload_kind=cgroup}"

static void every_family_of_the_workloads(void **state)
{
	struct fake *fake = fake__new(1);
	struct record *got;

	(void)state;
	fake__fill(fake, 1);
	got = walk(fake, NULL);
	assert_point(got, "http_requests_total{code=200," WEB "method=GET," WEB_REST WEB_END, 37);
	assert_point(got,
		     "http_requests_total{code=599,container=nginx,error_type=no_response,job=web,"
		     "method=POST," WEB_REST WEB_END,
		     3);
	assert_point(got,
		     "http_request_duration_seconds{code=200," WEB "method=GET," WEB_REST WEB_END,
		     37);
	assert_point(got, "http_client_requests_total{code=499,error_type=client_closed," ODD
			  "method=_OTHER,node=n1,port=8080," ODD_END, 1);
	assert_int_equal(family_points(got, "http_requests_total"), 2);
	assert_int_equal(family_points(got, "http_client_requests_total"), 1);
	assert_int_equal(family_points(got, "http_client_request_duration_seconds"), 1);
	assert_int_equal(family_points(got, "http_request_ttfb_seconds"), 1);
	assert_int_equal(family_points(got, "http_client_request_ttfb_seconds"), 1);
	assert_point(got, "tcp_connect_duration_seconds{" ODD "node=n1,port=8080," ODD_END, 4);
	assert_point(got, "tcp_rtt_seconds{" ODD "node=n1,port=8080,role=client," ODD_END, 4);
	assert_point(got, "tcp_rtt_seconds{" WEB WEB_REST "role=server," WEB_END, 6);
	free(got);
	fake__free(fake);
}

static void every_family_of_the_ports(void **state)
{
	struct fake *fake = fake__new(1);
	struct record *got;

	(void)state;
	fake__fill(fake, 1);
	got = walk(fake, NULL);
	assert_point(got, "http_requests_in_flight{" WEB WEB_REST WEB_END, 7);
	assert_point(got, "http_client_requests_in_flight{" ODD "node=n1,port=443," ODD_END, 1);
	assert_point(got, "tcp_accepts_total{" WEB WEB_REST WEB_END, 11);
	assert_int_equal(family_points(got, "tcp_accepts_total"), 1);
	assert_int_equal(family_points(got, "tcp_connects_total"), SLID_CONNECT_CNT);
	assert_point(got, "tcp_connects_total{" ODD "node=n1,port=443,result=refused," ODD_END, 22);
	assert_point(got, "tcp_connects_total{" ODD "node=n1,port=443,result=aborted," ODD_END, 25);
	assert_point(got, "tcp_connections_closed_total{" WEB WEB_REST "role=server," WEB_END, 4);
	assert_point(got, "tcp_resets_total{container=nginx,direction=received,job=web," WEB_REST
			  "role=server," WEB_END, 1);
	assert_point(got, "tcp_resets_total{container=nginx,direction=sent,job=web," WEB_REST
			  "role=server," WEB_END, 2);
	assert_point(got, "tcp_retransmitted_segments_total{" WEB WEB_REST "role=server," WEB_END,
		     3);
	assert_int_equal(family_points(got, "slid_connections_total"), 2 * 4);
	assert_point(got, "slid_connections_total{" WEB "namespace=shop,node=n1,pod=web-5d9c-x2x7k,"
			  "port=8080,protocol=http1,role=server," WEB_END, 2);
	assert_point(got, "slid_connections_total{" WEB "namespace=shop,node=n1,pod=web-5d9c-x2x7k,"
			  "port=8080,protocol=other,role=server," WEB_END, 5);
	free(got);
	fake__free(fake);
}

/* The overflow key has neither role nor port nor code: it is counted, under the server's names. */
static void overflow_is_not_lost(void **state)
{
	struct fake *fake = fake__new(1);
	struct record *got;

	(void)state;
	fake__series(fake, &fake->web, SLID_ROLE_NONE, SLID_WHAT_REQUEST, 0, 0, 0)->key.port = 0;
	fake__count(fake, 0, 1, 9);
	got = walk(fake, NULL);
	assert_point(got, "http_requests_total{" WEB "method=_OTHER,namespace=shop,node=n1,"
			  "pod=web-5d9c-x2x7k," WEB_END, 9);
	free(got);
	fake__free(fake);
}

static void own_metrics(void **state)
{
	struct self_stats self = { .cpu_seconds = 1.5, .resident_bytes = 4096, .open_fds = 9,
				   .max_fds = 1024, .start_seconds = 1.7e9, .scrape_seconds = 0.25,
				   .sender_on = true, .stale_snapshots = 2,
				   .sender = { .samples_sent = 100, .samples_failed = 3,
					       .samples_dropped = { 4, 5 }, .samples_retried = 6,
					       .bytes_sent = 7, .send_cnt = 8, .send_ns = 500000000,
					       .last_success_ms = 1700000000500, .queue_bytes = 10,
					       .queue_cap_bytes = 11 } };
	struct fake *fake = fake__new(1);
	struct record *got;
	char id[128];

	(void)state;
	fake__fill(fake, 1);
	got = walk(fake, &self);
	assert_int_equal(family_points(got, "slid_build_info"), 1);
	assert_int_equal(family_points(got, "slid_bpf_runs_total"), 1);
	assert_point(got, "slid_bpf_runs_total{job=slid,node=n1,program=slid_ingress}", 4000);
	assert_point(got, "slid_bpf_run_seconds_total{job=slid,node=n1,program=slid_ingress}",
		     1.25);
	assert_point(got, "slid_bpf_map_entries{job=slid,map=slid_series,node=n1}", 8);
	assert_point(got, "slid_bpf_map_entries_max{job=slid,map=slid_series,node=n1}", 16384);
	assert_point(got, "slid_bpf_map_memory_bytes{job=slid,map=slid_series,node=n1}", 81920);
	assert_int_equal(family_points(got, "slid_dropped_total"), SLID_DROP_CNT);
	for (unsigned int i = 0; i < SLID_DROP_CNT; i++) {
		snprintf(id, sizeof(id), "slid_dropped_total{job=slid,node=n1,reason=%s}",
			 slid_drop_name(i));
		assert_point(got, id, i);
	}
	assert_point(got, "slid_streams_desynchronized_total{job=slid,node=n1}", 6);
	assert_point(got, "slid_connections_joined_total{job=slid,node=n1}", 2);
	assert_point(got, "slid_workloads{job=slid,node=n1}", 2);
	assert_point(got, "slid_collect_duration_seconds{job=slid,node=n1}", 0.000125);
	assert_point(got, "slid_scrape_duration_seconds{job=slid,node=n1}", 0.25);
	assert_point(got, "process_cpu_seconds_total{job=slid,node=n1}", 1.5);
	assert_point(got, "process_start_time_seconds{job=slid,node=n1}", 1.7e9);
	assert_point(got, "slid_remote_write_samples_sent_total{job=slid,node=n1}", 100);
	assert_point(got,
		     "slid_remote_write_samples_dropped_total{job=slid,node=n1,reason=queue_full}",
		     4);
	assert_point(got,
		     "slid_remote_write_samples_dropped_total{job=slid,node=n1,reason=shutdown}",
		     5);
	assert_point(got, "slid_remote_write_send_seconds_total{job=slid,node=n1}", 0.5);
	assert_point(got, "slid_remote_write_last_success_timestamp_seconds{job=slid,node=n1}",
		     1700000000.5);
	assert_point(got, "slid_remote_write_queue_capacity_bytes{job=slid,node=n1}", 11);
	free(got);
	self.sender_on = false;
	got = walk(fake, &self);
	assert_int_equal(family_points(got, "slid_remote_write_sends_total"), 0);
	free(got);
	fake__free(fake);
}

/* What OpenMetrics and promtool ask of names. */
static void names_follow_the_rules(void **state)
{
	struct self_stats self = { .sender_on = true };
	struct fake *fake = fake__new(1);
	struct record *got;

	(void)state;
	fake__fill(fake, 1);
	got = walk(fake, &self);
	assert_true(got->family_cnt >= 45);
	for (size_t i = 0; i < got->family_cnt; i++) {
		const struct metric_family *family = got->families[i];
		size_t len = strlen(family->name), unit = strlen(family->unit);
		bool is_total = len > 6 && !strcmp(family->name + len - 6, "_total");

		assert_int_equal(is_total, family->type == METRIC_COUNTER);
		len -= is_total ? 6 : 0;
		assert_true(!unit || !strncmp(family->name + len - unit, family->unit, unit));
		assert_true(*family->help && !strpbrk(family->help, "\\\n\""));
	}
	free(got);
	fake__free(fake);
}

static void self_reads_this_process(void **state)
{
	struct self_stats self, again;

	(void)state;
	assert_int_equal(self__read(&self), 0);
	assert_true(self.cpu_seconds > 0 && self.cpu_seconds < 600);
	assert_true(self.resident_bytes > 500 * 1000);
	assert_true(self.open_fds >= 3 && self.open_fds <= self.max_fds);
	assert_true(self.start_seconds <= (double)time(NULL) + 2);
	assert_true(self.start_seconds > (double)time(NULL) - 600);
	assert_int_equal(self__read(&again), 0);
	assert_true(self.start_seconds == again.start_seconds);
	assert_int_equal(self.open_fds, again.open_fds);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_family_of_the_workloads),
		cmocka_unit_test(every_family_of_the_ports),
		cmocka_unit_test(overflow_is_not_lost),
		cmocka_unit_test(own_metrics),
		cmocka_unit_test(names_follow_the_rules),
		cmocka_unit_test(self_reads_this_process),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
