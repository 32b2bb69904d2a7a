/* SPDX-License-Identifier: Apache-2.0 */
/* test_remote_write.c - requests decoded again and held against the text format. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <snappy-c.h>

#include "base/buf.h"
#include "export/queue.h"
#include "export/remote_write.h"
#include "export/self.h"
#include "export/text.h"
#include "fake_snapshot.h"
#include "remote.pb-c.h"

#define STALE_BITS 0x7ff0000000000002u
#define GOT_MAX    400000

static const struct metrics_env env = { .node = "n1", .ttfb = true };

/* All series of one push, as the lines of the text format would have them. */
struct got {
	char **line; /* name{labels} */
	double *value;
	int64_t *time_ms;
	size_t cnt, batch_cnt, batch_max, metadata_cnt;
	int fail_after; /* batches; then -EIO */
};

static uint64_t bits(double value)
{
	uint64_t ret;

	memcpy(&ret, &value, sizeof(ret));
	return ret;
}

static void escape(struct buf *out, const char *value)
{
	for (; *value; value++) {
		if (strchr("\\\"\n", *value))
			buf__str(out, "\\");
		buf__add(out, *value == '\n' ? "n" : value, 1);
	}
}

/* "le" goes last, as the text has it. Also checks what the specification asks of labels. */
static char *series_line(const Prometheus__TimeSeries *series)
{
	const char *le = NULL;
	struct buf out;
	bool first = true;

	buf__init(&out, 4096);
	assert_string_equal(series->labels[0]->name, "__name__");
	buf__str(&out, series->labels[0]->value);
	for (size_t i = 1; i < series->n_labels; i++) {
		const Prometheus__Label *label = series->labels[i];

		assert_true(*label->name && *label->value);
		assert_true(strcmp(series->labels[i - 1]->name, label->name) < 0);
		if (!strcmp(label->name, "le")) {
			le = label->value;
			continue;
		}
		buf__printf(&out, "%s%s=\"", first ? "{" : ",", label->name);
		escape(&out, label->value);
		buf__str(&out, "\"");
		first = false;
	}
	if (le)
		buf__printf(&out, "%sle=\"%s\"", first ? "{" : ",", le);
	buf__str(&out, first && !le ? "" : "}");
	assert_int_equal(out.err, 0);
	return out.data;
}

static int on_batch(void *ctx, struct batch *batch)
{
	struct got *got = ctx;
	Prometheus__WriteRequest *request;
	size_t bytes;
	char *packed;

	if (got->fail_after && got->batch_cnt == (size_t)got->fail_after) {
		free(batch);
		return -EIO;
	}
	assert_int_equal(snappy_uncompressed_length((char *)batch->body, batch->body_bytes, &bytes),
			 0);
	packed = malloc(bytes);
	assert_int_equal(snappy_uncompress((char *)batch->body, batch->body_bytes, packed, &bytes),
			 0);
	request = prometheus__write_request__unpack(NULL, bytes, (unsigned char *)packed);
	assert_non_null(request);
	assert_int_equal(request->n_timeseries, batch->sample_cnt);
	for (size_t i = 0; i < request->n_timeseries; i++) {
		const Prometheus__TimeSeries *series = request->timeseries[i];

		assert_true(got->cnt < GOT_MAX);
		assert_int_equal(series->n_samples, 1);
		assert_int_equal(series->samples[0]->timestamp, batch->time_ms);
		got->line[got->cnt] = series_line(series);
		got->value[got->cnt] = series->samples[0]->value;
		got->time_ms[got->cnt++] = series->samples[0]->timestamp;
	}
	got->metadata_cnt += request->n_metadata;
	got->batch_cnt++;
	if (batch->sample_cnt > got->batch_max)
		got->batch_max = batch->sample_cnt;
	prometheus__write_request__free_unpacked(request, NULL);
	free(packed);
	free(batch);
	return 0;
}

static struct got *got__new(void)
{
	struct got *got = calloc(1, sizeof(*got));

	got->line = calloc(GOT_MAX, sizeof(char *));
	got->value = calloc(GOT_MAX, sizeof(double));
	got->time_ms = calloc(GOT_MAX, sizeof(int64_t));
	return got;
}

static void got__clear(struct got *got)
{
	while (got->cnt)
		free(got->line[--got->cnt]);
	got->batch_cnt = got->batch_max = got->metadata_cnt = 0;
}

static void got__free(struct got *got)
{
	got__clear(got);
	free(got->line);
	free(got->value);
	free(got->time_ms);
	free(got);
}

static size_t stale_cnt(const struct got *got)
{
	size_t cnt = 0;

	for (size_t i = 0; i < got->cnt; i++)
		cnt += bits(got->value[i]) == STALE_BITS;
	return cnt;
}

/* Line by line, in order: the same series, the same values. */
static void assert_same_as_text(const struct got *got, const struct fake *fake,
				const struct self_stats *self)
{
	struct buf text;
	char *save = NULL;
	size_t at = 0;

	buf__init(&text, (size_t)256 << 20);
	assert_int_equal(text__render(&env, &fake->snapshot, self, TEXT_PROMETHEUS, &text), 0);
	for (char *line = strtok_r(text.data, "\n", &save); line;
	     line = strtok_r(NULL, "\n", &save)) {
		char *blank = strrchr(line, ' ');

		if (*line == '#')
			continue;
		*blank = '\0';
		assert_true(at < got->cnt);
		assert_string_equal(got->line[at], line);
		if (got->value[at] != strtod(blank + 1, NULL))
			fail_msg("%s is %.17g, not %s", line, got->value[at], blank + 1);
		at++;
	}
	assert_int_equal(at, got->cnt);
	buf__free(&text);
}

static void decodes_to_what_the_text_says(void **state)
{
	struct self_stats self = { .cpu_seconds = 1.0 / 3, .sender_on = true,
				   .sender = { .send_ns = 123456789 } };
	struct fake *fake = fake__new(1700000100000);
	struct got *got = got__new();
	struct remote_write *rw;

	(void)state;
	fake__fill(fake, 3);
	assert_int_equal(remote_write__new(&env, 0, &rw), 0);
	assert_int_equal(remote_write__push(rw, &fake->snapshot, &self, on_batch, got), 0);
	assert_same_as_text(got, fake, &self);
	assert_true(got->metadata_cnt >= 45);
	assert_int_equal(stale_cnt(got), 0);
	remote_write__free(rw);
	got__free(got);
	fake__free(fake);
}

static void many_series_are_cut_into_batches(void **state)
{
	struct fake *fake = fake__new(1700000100000);
	struct got *got = got__new();
	struct remote_write *rw;

	(void)state;
	for (unsigned int i = 0; i < 16000; i++) {
		fake__series(fake, &fake->web, SLID_ROLE_SERVER, SLID_WHAT_REQUEST, 1, 200, 0)
			->key.port = (__u16)(i + 1);
		fake__count(fake, i, 1234567 * (i + 1), i);
	}
	assert_int_equal(remote_write__new(&env, 0, &rw), 0);
	assert_int_equal(remote_write__push(rw, &fake->snapshot, NULL, on_batch, got), 0);
	assert_true(got->batch_max <= REMOTE_WRITE_BATCH_SERIES);
	assert_true(got->batch_cnt >= 16000 * 10 / REMOTE_WRITE_BATCH_SERIES);
	assert_same_as_text(got, fake, NULL);
	got__clear(got);
	/* All of it goes away: one marker for each. */
	fake->snapshot.series_cnt = 0;
	fake->snapshot.time_ms += 15000;
	assert_int_equal(remote_write__push(rw, &fake->snapshot, NULL, on_batch, got), 0);
	assert_int_equal(stale_cnt(got), 16000 * 10);
	assert_true(got->batch_max <= REMOTE_WRITE_BATCH_SERIES);
	remote_write__free(rw);
	got__free(got);
	fake__free(fake);
}

/* A batch smaller than a histogram: it still goes whole. */
static void histograms_are_never_cut(void **state)
{
	struct fake *fake = fake__new(1700000100000);
	struct got *got = got__new();
	struct remote_write *rw;

	(void)state;
	fake__fill(fake, 1);
	assert_int_equal(remote_write__new(&env, 1, &rw), 0);
	assert_int_equal(remote_write__push(rw, &fake->snapshot, NULL, on_batch, got), 0);
	assert_same_as_text(got, fake, NULL);
	assert_int_equal(got->batch_max, 9);
	remote_write__free(rw);
	got__free(got);
	fake__free(fake);
}

static void stale_markers_once_and_bit_exact(void **state)
{
	struct fake *fake = fake__new(1700000100000);
	struct fake *less = fake__new(1700000115000);
	struct got *got = got__new();
	struct remote_write *rw;
	size_t live;

	(void)state;
	fake__fill(fake, 1);
	fake__fill(less, 2);
	less->snapshot.series_cnt = 7; /* the server's tcp_rtt_seconds is gone */
	less->snapshot.port_cnt = 1;   /* and the client's port */
	assert_int_equal(remote_write__new(&env, 0, &rw), 0);
	assert_int_equal(remote_write__push(rw, &fake->snapshot, NULL, on_batch, got), 0);
	got__clear(got);
	assert_int_equal(remote_write__push(rw, &less->snapshot, NULL, on_batch, got), 0);
	live = got->cnt - stale_cnt(got);
	/* 7 buckets, sum, count; in flight, 5 results, closed, 2 directions, retransmitted, 4
	 * protocols */
	assert_int_equal(stale_cnt(got), 9 + 14);
	for (size_t i = live; i < got->cnt; i++) {
		assert_true(bits(got->value[i]) == STALE_BITS);
		assert_int_equal(got->time_ms[i], 1700000115000);
		assert_true(strstr(got->line[i], "port=\"443\"") ||
			    strstr(got->line[i], "tcp_rtt"));
	}
	for (size_t i = live; i < got->cnt; i++)
		free(got->line[i]);
	got->cnt = live;
	assert_same_as_text(got, less, NULL);
	got__clear(got);
	/* Gone stays gone; back again is an ordinary series. */
	less->snapshot.time_ms += 15000;
	assert_int_equal(remote_write__push(rw, &less->snapshot, NULL, on_batch, got), 0);
	assert_int_equal(stale_cnt(got), 0);
	got__clear(got);
	fake->snapshot.time_ms = less->snapshot.time_ms + 1;
	assert_int_equal(remote_write__push(rw, &fake->snapshot, NULL, on_batch, got), 0);
	assert_int_equal(stale_cnt(got), 0);
	assert_same_as_text(got, fake, NULL);
	remote_write__free(rw);
	got__free(got);
	fake__free(fake);
	fake__free(less);
}

static void time_never_stands_or_runs_back(void **state)
{
	struct fake *fake = fake__new(1700000100000);
	struct got *got = got__new();
	struct remote_write *rw;

	(void)state;
	fake__fill(fake, 1);
	assert_int_equal(remote_write__new(&env, 0, &rw), 0);
	assert_int_equal(remote_write__push(rw, &fake->snapshot, NULL, on_batch, got), 0);
	got__clear(got);
	assert_int_equal(remote_write__push(rw, &fake->snapshot, NULL, on_batch, got), -ESTALE);
	fake->snapshot.time_ms -= 5;
	assert_int_equal(remote_write__push(rw, &fake->snapshot, NULL, on_batch, got), -ESTALE);
	assert_int_equal(got->batch_cnt, 0);
	assert_int_equal(remote_write__stale_snapshots(rw), 2);
	fake->snapshot.time_ms += 6;
	assert_int_equal(remote_write__push(rw, &fake->snapshot, NULL, on_batch, got), 0);
	assert_int_equal(stale_cnt(got), 0);
	assert_int_equal(got->metadata_cnt, 0); /* not so soon again */
	remote_write__free(rw);
	got__free(got);
	fake__free(fake);
}

static void an_error_of_emit_ends_the_push(void **state)
{
	struct fake *fake = fake__new(1700000100000);
	struct got *got = got__new();
	struct remote_write *rw;

	(void)state;
	fake__fill(fake, 1);
	got->fail_after = 2;
	assert_int_equal(remote_write__new(&env, 10, &rw), 0);
	assert_int_equal(remote_write__push(rw, &fake->snapshot, NULL, on_batch, got), -EIO);
	assert_int_equal(got->batch_cnt, 2);
	got__clear(got);
	got->fail_after = 0;
	fake->snapshot.time_ms++;
	assert_int_equal(remote_write__push(rw, &fake->snapshot, NULL, on_batch, got), 0);
	assert_same_as_text(got, fake, NULL);
	remote_write__free(rw);
	got__free(got);
	fake__free(fake);
}

static struct batch *batch_of(size_t body_bytes, uint64_t sample_cnt)
{
	struct batch *batch = calloc(1, sizeof(*batch) + body_bytes);

	batch->body_bytes = body_bytes;
	batch->sample_cnt = sample_cnt;
	return batch;
}

static void queue_drops_the_oldest_but_not_the_peeked(void **state)
{
	struct queue_fill fill;
	struct queue *queue;
	uint64_t dropped;

	(void)state;
	assert_int_equal(queue__new(100, &queue), 0);
	assert_null(queue__peek(queue));
	for (uint64_t i = 1; i <= 3; i++) {
		assert_int_equal(queue__push(queue, batch_of(30, i), &dropped), 0);
		assert_int_equal(dropped, 0);
	}
	assert_int_equal(queue__peek(queue)->sample_cnt, 1);
	assert_int_equal(queue__push(queue, batch_of(40, 4), &dropped), 0);
	assert_int_equal(dropped, 2); /* the second: the first is peeked */
	assert_int_equal(queue__peek(queue)->sample_cnt, 1);
	queue__release(queue);
	assert_int_equal(queue__push(queue, batch_of(20, 5), &dropped), 0);
	assert_int_equal(dropped, 1);
	assert_int_equal(queue__peek(queue)->sample_cnt, 3);
	assert_int_equal(queue__push(queue, batch_of(101, 6), &dropped), -E2BIG);
	assert_int_equal(dropped, 6);
	assert_int_equal(queue__push(queue, batch_of(71, 7), &dropped), -E2BIG); /* 30 are peeked */
	queue__pop(queue);
	assert_int_equal(queue__push(queue, batch_of(100, 8), &dropped), 0);
	assert_int_equal(dropped, 4 + 5);
	queue__fill(queue, &fill);
	assert_int_equal(fill.used_bytes, 100);
	assert_int_equal(fill.batch_cnt, 1);
	assert_int_equal(fill.sample_cnt, 8);
	assert_int_equal(queue__peek(queue)->seq, 6);
	queue__pop(queue);
	assert_null(queue__peek(queue));
	queue__free(queue);
	queue__free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(decodes_to_what_the_text_says),
		cmocka_unit_test(many_series_are_cut_into_batches),
		cmocka_unit_test(histograms_are_never_cut),
		cmocka_unit_test(stale_markers_once_and_bit_exact),
		cmocka_unit_test(time_never_stands_or_runs_back),
		cmocka_unit_test(an_error_of_emit_ends_the_push),
		cmocka_unit_test(queue_drops_the_oldest_but_not_the_peeked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
