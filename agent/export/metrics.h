/* SPDX-License-Identifier: Apache-2.0 */
/*
 * metrics.h - the one place that names metrics. It walks a snapshot and hands every family and
 * every point to a sink; the text formats and remote-write are sinks, so they cannot disagree.
 */
#ifndef SLID_METRICS_H
#define SLID_METRICS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "slid/abi.h"

struct layout;
struct snapshot;
struct self_stats;

/* What the names and labels depend on beside the snapshot. All borrowed, alive as long as it is. */
struct metrics_env {
	const char *node;          /* host name; NULL or "" = no label */
	const char *const *routes; /* routes[i] names route i + 1; unnamed ones show their number */
	size_t route_cnt;
	bool ttfb;                 /* hand out the time to first byte too */
};

enum metric_type { METRIC_COUNTER = 0, METRIC_GAUGE, METRIC_HISTOGRAM };

struct metric_family {
	const char *name; /* a counter's ends in _total */
	enum metric_type type;
	const char *unit; /* "" or the name's suffix: "seconds", "bytes" */
	const char *help; /* one line, nothing to escape in it */
};

struct metric_label {
	const char *name;
	const char *value; /* never "": such a label is left out */
};

struct metric_bucket {
	const char *le;
	uint64_t count; /* cumulative */
};

/* One counter, gauge or histogram. All borrowed for the call. */
struct metric_point {
	const struct metric_label *labels; /* sorted by name, without "le" */
	size_t label_cnt;
	uint64_t created_ms; /* Unix time counting began; 0 = not known, or a gauge */
	bool is_int;         /* the value is number, exactly; else it is real */
	uint64_t number;     /* or a histogram's count */
	double real;         /* or a histogram's sum; (double)number if is_int */
	const struct metric_bucket *buckets; /* a histogram's, ending with "+Inf" */
	size_t bucket_cnt;
};

/* Errors stay in the sink's ctx, for its owner to find after the walk. */
struct metric_sink {
	void *ctx;
	/* family - once per family that has points, before them; families are static. */
	void (*family)(void *ctx, const struct metric_family *family);
	void (*point)(void *ctx, const struct metric_family *family,
		      const struct metric_point *point);
};

#define METRIC_LABELS_MAX 16 /* the most any point has is 13 */
#define METRIC_NUMBER_CAP 32 /* room for any number as text */

/* The "le" of a layout: its classic bounds and +Inf. */
struct metric_les {
	size_t cnt;
	size_t bucket[SLID_BUCKETS_MAX]; /* index of the layout's bucket that ends there */
	char text[SLID_BUCKETS_MAX][METRIC_NUMBER_CAP]; /* "0.005", "1.0", "+Inf" */
};

/* metrics__walk - hand out all of snapshot, then of self (NULL: without), in an order that only the
 * content decides. */
void metrics__walk(const struct metrics_env *env, const struct snapshot *snapshot,
		   const struct self_stats *self, const struct metric_sink *sink);

/* metrics__les - the "le" of every histogram with this layout. Whole numbers are written "1.0", as
 * OpenMetrics has it and as Prometheus 3 stores it. */
void metrics__les(const struct layout *layout, struct metric_les *ret);

/* metrics__number - the shortest decimal text that reads back as exactly this double. */
void metrics__number(double number, char text[METRIC_NUMBER_CAP]);

#endif
