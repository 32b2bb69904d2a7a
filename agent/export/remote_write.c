/* SPDX-License-Identifier: Apache-2.0 */
/*
 * remote_write.c - owns the wire form and the memory of what was sent before, for stale markers.
 * Never names a metric, never does I/O. All messages of one batch live in one arena of fixed size.
 */
#include "export/remote_write.h"

#include <errno.h>
#include <limits.h>
#include <snappy-c.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "export/queue.h"
#include "remote.pb-c.h"
#include "sli/snapshot.h"

/* A series with 13 labels takes about 1 KiB: messages, pointers, values. */
#define ARENA_PER_SERIES ((size_t)1024)
#define ARENA_EXTRA      ((size_t)256 << 10) /* one histogram with long labels */
#define SEEN_CAP         ((size_t)64 << 20)  /* label sets remembered; about 250,000 */
#define METADATA_MS      (600 * 1000)        /* types and help are sent this often */
#define FAMILIES_MAX     64

/* One point that was sent: where its family and labels are in the blob beside it. */
struct seen {
	uint64_t hash; /* of those bytes */
	size_t off;
};

/* The points of one push, sorted by hash before the next one. */
struct seen_set {
	struct seen *list; /* owned */
	size_t cnt, alloc;
	struct buf blob; /* owned; per point: family pointer, label_cnt, "name\0value\0" of each */
};

struct remote_write {
	const struct metrics_env *env; /* borrowed */
	size_t batch_series;
	uint64_t time_ms;      /* of the push going on, or of the last one */
	uint64_t metadata_ms;  /* when metadata was sent; 0 = never */
	uint64_t stale_cnt;    /* atomic */
	struct seen_set now, before;
	/* The batch being filled: */
	unsigned char *arena;  /* owned */
	size_t arena_used, arena_cap;
	Prometheus__TimeSeries **series; /* owned array, into the arena */
	size_t series_cnt;
	Prometheus__MetricMetadata *metadata[FAMILIES_MAX];
	size_t metadata_cnt;
	/* Of the push going on: */
	bool with_metadata, is_stale;
	int err;               /* the first one; then nothing more is encoded */
	remote_write_fn *emit;
	void *ctx;
	const struct metric_bucket *stale_buckets;
	size_t stale_bucket_cnt;
};

int remote_write__new(const struct metrics_env *env, size_t batch_series, struct remote_write **ret)
{
	CLEAN(remote_write__free) struct remote_write *rw = calloc(1, sizeof(*rw));

	if (!rw)
		return -ENOMEM;
	rw->env = env;
	rw->batch_series = batch_series ? batch_series : REMOTE_WRITE_BATCH_SERIES;
	rw->arena_cap = rw->batch_series * ARENA_PER_SERIES + ARENA_EXTRA;
	rw->arena = malloc(rw->arena_cap);
	rw->series = calloc(rw->batch_series + SLID_BUCKETS_MAX + 2, sizeof(rw->series[0]));
	buf__init(&rw->now.blob, SEEN_CAP);
	buf__init(&rw->before.blob, SEEN_CAP);
	if (!rw->arena || !rw->series)
		return -ENOMEM;
	*ret = TAKE(rw);
	return 0;
}

void remote_write__free(struct remote_write *rw)
{
	if (!rw)
		return;
	free(rw->now.list);
	free(rw->before.list);
	buf__free(&rw->now.blob);
	buf__free(&rw->before.blob);
	free(rw->series);
	free(rw->arena);
	free(rw);
}

/* Room in the arena, aligned for any message. The caller made sure that there is some. */
static void *arena__take(struct remote_write *rw, size_t bytes)
{
	void *at = rw->arena + rw->arena_used;

	rw->arena_used += (bytes + 15) & ~(size_t)15;
	return at;
}

static char *arena__join(struct remote_write *rw, const char *text, const char *suffix)
{
	size_t len = strlen(text), suffix_len = strlen(suffix);
	char *at = arena__take(rw, len + suffix_len + 1);

	memcpy(at, text, len);
	memcpy(at + len, suffix, suffix_len + 1);
	return at;
}

/* Compress packed into a new batch. Return: 0 or -ENOMEM. */
static int batch__new(const struct remote_write *rw, const unsigned char *packed,
		      size_t packed_bytes, struct batch **ret)
{
	size_t bytes = snappy_max_compressed_length(packed_bytes);
	struct batch *batch = malloc(sizeof(*batch) + bytes);
	struct batch *fit;

	if (!batch)
		return -ENOMEM;
	if (snappy_compress((const char *)packed, packed_bytes, (char *)batch->body, &bytes)) {
		free(batch);
		return -ENOMEM; /* the one cause: room, and there is */
	}
	fit = realloc(batch, sizeof(*batch) + bytes);
	if (fit)
		batch = fit;
	*batch = (struct batch){
		.time_ms = rw->time_ms,
		.sample_cnt = rw->series_cnt,
		.body_bytes = bytes,
	};
	*ret = batch;
	return 0;
}

/* Hand over what the arena holds and empty it. Return: 0 or -errno. */
static int remote_write__flush(struct remote_write *rw)
{
	Prometheus__WriteRequest request = PROMETHEUS__WRITE_REQUEST__INIT;
	CLEAN_FREE unsigned char *packed = NULL;
	struct batch *batch;
	size_t bytes;
	int err;

	request.timeseries = rw->series;
	request.n_timeseries = rw->series_cnt;
	request.metadata = rw->metadata;
	request.n_metadata = rw->metadata_cnt;
	if (!rw->series_cnt && !rw->metadata_cnt)
		return 0;
	bytes = prometheus__write_request__get_packed_size(&request);
	packed = malloc(bytes);
	if (!packed)
		return -ENOMEM;
	prometheus__write_request__pack(&request, packed);
	err = batch__new(rw, packed, bytes, &batch);
	rw->series_cnt = 0;
	rw->metadata_cnt = 0;
	rw->arena_used = 0;
	return err ? err : rw->emit(rw->ctx, batch);
}

/* Make room for bytes in the arena and cnt series. Return: 0 or -errno. */
static int remote_write__room(struct remote_write *rw, size_t bytes, size_t cnt)
{
	if (bytes > rw->arena_cap)
		return -E2BIG;
	if (bytes <= rw->arena_cap - rw->arena_used &&
	    (!rw->series_cnt || rw->series_cnt + cnt <= rw->batch_series))
		return 0;
	return remote_write__flush(rw);
}

static Prometheus__Label *arena__label(struct remote_write *rw, const char *name, const char *value)
{
	Prometheus__Label *label = arena__take(rw, sizeof(*label));

	*label = (Prometheus__Label)PROMETHEUS__LABEL__INIT;
	/* protobuf-c has no const; it only reads what it packs. */
	memcpy(&label->name, &name, sizeof(name));
	memcpy(&label->value, &value, sizeof(value));
	return label;
}

/* One sample, of a series with these labels, already in the arena; le is NULL but for buckets. */
static void remote_write__sample(struct remote_write *rw, Prometheus__Label *const *labels,
				 size_t label_cnt, Prometheus__Label *name, const char *le,
				 double value)
{
	static const uint64_t stale_bits =
		0x7ff0000000000002; /* StaleNaN: copied, never computed with */
	Prometheus__TimeSeries *series = arena__take(rw, sizeof(*series));
	Prometheus__Sample *sample = arena__take(rw, sizeof(*sample));
	size_t at = 0;

	*sample = (Prometheus__Sample)PROMETHEUS__SAMPLE__INIT;
	sample->value = value;
	if (rw->is_stale)
		memcpy(&sample->value, &stale_bits, sizeof(stale_bits));
	sample->timestamp = (int64_t)rw->time_ms;
	*series = (Prometheus__TimeSeries)PROMETHEUS__TIME_SERIES__INIT;
	series->labels = arena__take(rw, (label_cnt + 2) * sizeof(series->labels[0]));
	series->labels[at++] = name; /* "__name__": '_' sorts before every letter */
	for (size_t i = 0; i < label_cnt; i++) {
		if (le && strcmp(labels[i]->name, "le") > 0) {
			series->labels[at++] = arena__label(rw, "le", le);
			le = NULL;
		}
		series->labels[at++] = labels[i];
	}
	if (le)
		series->labels[at++] = arena__label(rw, "le", le);
	series->n_labels = at;
	series->samples = arena__take(rw, sizeof(series->samples[0]));
	series->samples[0] = sample;
	series->n_samples = 1;
	rw->series[rw->series_cnt++] = series;
}

/* The most arena bytes that a point can take. */
static size_t remote_write__point_bytes(const struct metric_family *family,
					const struct metric_point *point)
{
	const size_t label = sizeof(Prometheus__Label) + 16;
	size_t series = sizeof(Prometheus__TimeSeries) + sizeof(Prometheus__Sample) + label + 64 +
			(point->label_cnt + 2) * sizeof(void *) + METRIC_NUMBER_CAP + 16;
	size_t bytes = 3 * (strlen(family->name) + 32 + label) +
		       point->label_cnt * (sizeof(void *) + label) + 16;

	for (size_t i = 0; i < point->label_cnt; i++)
		bytes += strlen(point->labels[i].name) + strlen(point->labels[i].value) + 2 + 32;
	return bytes + (point->bucket_cnt + 2) * series;
}

static Prometheus__Label *remote_write__name(struct remote_write *rw,
					     const struct metric_family *family, const char *suffix)
{
	return arena__label(rw, "__name__", arena__join(rw, family->name, suffix));
}

/* All series of one point, in one batch. Return: 0 or -errno. */
static int remote_write__encode(struct remote_write *rw, const struct metric_family *family,
				const struct metric_point *point)
{
	Prometheus__Label **labels;
	Prometheus__Label *name;
	size_t cnt = point->label_cnt;
	int err = remote_write__room(rw, remote_write__point_bytes(family, point),
				     family->type == METRIC_HISTOGRAM ? point->bucket_cnt + 2 : 1);

	if (err)
		return err;
	labels = arena__take(rw, cnt * sizeof(labels[0]));
	for (size_t i = 0; i < cnt; i++)
		labels[i] = arena__label(rw, arena__join(rw, point->labels[i].name, ""),
					 arena__join(rw, point->labels[i].value, ""));
	if (family->type != METRIC_HISTOGRAM) {
		name = remote_write__name(rw, family, "");
		remote_write__sample(rw, labels, cnt, name, NULL, point->real);
		return 0;
	}
	name = remote_write__name(rw, family, "_bucket");
	for (size_t i = 0; i < point->bucket_cnt; i++)
		remote_write__sample(rw, labels, cnt, name,
				     arena__join(rw, point->buckets[i].le, ""),
				     (double)point->buckets[i].count);
	name = remote_write__name(rw, family, "_sum");
	remote_write__sample(rw, labels, cnt, name, NULL, point->real);
	name = remote_write__name(rw, family, "_count");
	remote_write__sample(rw, labels, cnt, name, NULL, (double)point->number);
	return 0;
}

/* FNV-1a; two of a million label sets share a hash with a chance of 1 in 10^7. */
static uint64_t seen__hash(const char *bytes, size_t cnt)
{
	uint64_t hash = 0xcbf29ce484222325;

	for (size_t i = 0; i < cnt; i++)
		hash = (hash ^ (unsigned char)bytes[i]) * 0x100000001b3;
	return hash;
}

/* Remember a point. Past SEEN_CAP it is sent all the same, and gets no stale marker. */
static int seen__add(struct seen_set *set, const struct metric_family *family,
		     const struct metric_point *point)
{
	size_t off = set->blob.len;

	if (set->cnt == set->alloc) {
		size_t alloc = set->alloc ? set->alloc * 2 : 1024;
		struct seen *list = reallocarray(set->list, alloc, sizeof(list[0]));

		if (!list)
			return -ENOMEM;
		set->list = list;
		set->alloc = alloc;
	}
	buf__add(&set->blob, &family, sizeof(family));
	buf__add(&set->blob, &point->label_cnt, sizeof(point->label_cnt));
	for (size_t i = 0; i < point->label_cnt; i++) {
		buf__add(&set->blob, point->labels[i].name, strlen(point->labels[i].name) + 1);
		buf__add(&set->blob, point->labels[i].value, strlen(point->labels[i].value) + 1);
	}
	if (set->blob.err) {
		int err = set->blob.err;

		set->blob.len = off;
		set->blob.err = 0;
		return err == -E2BIG ? 0 : err;
	}
	set->list[set->cnt++] = (struct seen){
		.hash = seen__hash(set->blob.data + off, set->blob.len - off),
		.off = off,
	};
	return 0;
}

static int seen__cmp(const void *a, const void *b)
{
	uint64_t x = ((const struct seen *)a)->hash, y = ((const struct seen *)b)->hash;

	return x < y ? -1 : x > y;
}

/* Stale markers for a remembered point. Return: 0 or -errno. */
static int remote_write__retire(struct remote_write *rw, const struct seen *seen)
{
	const char *at = rw->before.blob.data + seen->off;
	struct metric_label labels[METRIC_LABELS_MAX];
	struct metric_point point = { .labels = labels };
	const struct metric_family *family;

	memcpy(&family, at, sizeof(family));
	memcpy(&point.label_cnt, at + sizeof(family), sizeof(point.label_cnt));
	at += sizeof(family) + sizeof(point.label_cnt);
	for (size_t i = 0; i < point.label_cnt; i++) {
		labels[i].name = at;
		at += strlen(at) + 1;
		labels[i].value = at;
		at += strlen(at) + 1;
	}
	if (family->type == METRIC_HISTOGRAM) {
		point.buckets = rw->stale_buckets;
		point.bucket_cnt = rw->stale_bucket_cnt;
	}
	return remote_write__encode(rw, family, &point);
}

/* Stale markers for all that is in before and not in now; both are sorted. Return: 0 or -errno. */
static int remote_write__retire_gone(struct remote_write *rw, const struct layout *layout)
{
	CLEAN_FREE struct metric_les *les = malloc(sizeof(*les));
	struct metric_bucket buckets[SLID_BUCKETS_MAX];
	int err = les ? 0 : -ENOMEM;
	size_t n = 0;

	if (err)
		return err;
	metrics__les(layout, les);
	for (size_t i = 0; i < les->cnt; i++)
		buckets[i] = (struct metric_bucket){ .le = les->text[i] };
	rw->stale_buckets = buckets;
	rw->stale_bucket_cnt = les->cnt;
	rw->is_stale = true;
	for (size_t i = 0; i < rw->before.cnt && !err; i++) {
		while (n < rw->now.cnt && rw->now.list[n].hash < rw->before.list[i].hash)
			n++;
		if (n == rw->now.cnt || rw->now.list[n].hash != rw->before.list[i].hash)
			err = remote_write__retire(rw, &rw->before.list[i]);
	}
	rw->is_stale = false;
	rw->stale_buckets = NULL;
	return err;
}

static void remote_write__family(void *ctx, const struct metric_family *family)
{
	static const Prometheus__MetricMetadata__MetricType types[] = {
		[METRIC_COUNTER] = PROMETHEUS__METRIC_METADATA__METRIC_TYPE__COUNTER,
		[METRIC_GAUGE] = PROMETHEUS__METRIC_METADATA__METRIC_TYPE__GAUGE,
		[METRIC_HISTOGRAM] = PROMETHEUS__METRIC_METADATA__METRIC_TYPE__HISTOGRAM,
	};
	struct remote_write *rw = ctx;
	Prometheus__MetricMetadata *metadata;

	if (rw->err || !rw->with_metadata)
		return;
	rw->err = remote_write__room(rw, sizeof(*metadata) + 16, 0);
	if (rw->err || rw->metadata_cnt == FAMILIES_MAX)
		return;
	metadata = arena__take(rw, sizeof(*metadata));
	*metadata = (Prometheus__MetricMetadata)PROMETHEUS__METRIC_METADATA__INIT;
	metadata->type = types[family->type];
	memcpy(&metadata->metric_family_name, &family->name, sizeof(family->name));
	memcpy(&metadata->help, &family->help, sizeof(family->help));
	memcpy(&metadata->unit, &family->unit, sizeof(family->unit));
	rw->metadata[rw->metadata_cnt++] = metadata;
}

static void remote_write__point(void *ctx, const struct metric_family *family,
				const struct metric_point *point)
{
	struct remote_write *rw = ctx;

	if (!rw->err)
		rw->err = remote_write__encode(rw, family, point);
	if (!rw->err)
		rw->err = seen__add(&rw->now, family, point);
}

/* Forget the push before, remember this one. */
static void remote_write__turn(struct remote_write *rw)
{
	struct seen_set old = rw->before;

	rw->before = rw->now;
	old.cnt = 0;
	buf__reset(&old.blob);
	rw->now = old;
}

int remote_write__push(struct remote_write *rw, const struct snapshot *snapshot,
		       const struct self_stats *self, remote_write_fn *emit, void *ctx)
{
	struct metric_sink sink = { .ctx = rw,
				    .family = remote_write__family,
				    .point = remote_write__point };

	if (snapshot->time_ms <= rw->time_ms || snapshot->time_ms > INT64_MAX) {
		__atomic_add_fetch(&rw->stale_cnt, 1, __ATOMIC_RELAXED);
		return -ESTALE;
	}
	rw->time_ms = snapshot->time_ms;
	rw->with_metadata = !rw->metadata_ms || rw->time_ms - rw->metadata_ms >= METADATA_MS;
	rw->emit = emit;
	rw->ctx = ctx;
	rw->err = 0;
	rw->series_cnt = 0;
	rw->metadata_cnt = 0;
	rw->arena_used = 0;
	rw->now.cnt = 0;
	buf__reset(&rw->now.blob);
	metrics__walk(rw->env, snapshot, self, &sink);
	if (rw->err)
		return rw->err;
	if (rw->now.cnt)
		qsort(rw->now.list, rw->now.cnt, sizeof(rw->now.list[0]), seen__cmp);
	rw->err = remote_write__retire_gone(rw, snapshot->layout);
	if (!rw->err)
		rw->err = remote_write__flush(rw);
	if (rw->err)
		return rw->err;
	if (rw->with_metadata)
		rw->metadata_ms = rw->time_ms;
	remote_write__turn(rw);
	return 0;
}

uint64_t remote_write__stale_snapshots(const struct remote_write *rw)
{
	return __atomic_load_n(&rw->stale_cnt, __ATOMIC_RELAXED);
}
