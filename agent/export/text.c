/* SPDX-License-Identifier: Apache-2.0 */
/* text.c - owns the two text formats; never names a metric. */
#include "export/text.h"

#include <stdio.h>
#include <string.h>

#include "base/buf.h"

#define LABELS_CAP ((size_t)64 << 10) /* of one point; names and pods have at most 253 bytes */

struct text {
	struct buf *out;   /* borrowed */
	struct buf labels; /* owned; the current point's, without braces */
	enum text_format format;
};

const char *text__content_type(enum text_format format)
{
	return format == TEXT_OPENMETRICS ?
		       "application/openmetrics-text; version=1.0.0; charset=utf-8" :
		       "text/plain; version=0.0.4; charset=utf-8";
}

/* Bytes of the family's name in metadata: OpenMetrics leaves a counter's _total out. */
static int text__name_bytes(const struct text *text, const struct metric_family *family)
{
	size_t len = strlen(family->name);

	if (text->format == TEXT_OPENMETRICS && family->type == METRIC_COUNTER)
		len -= strlen("_total");
	return (int)len;
}

static void text__family(void *ctx, const struct metric_family *family)
{
	static const char *const types[] = { [METRIC_COUNTER] = "counter", [METRIC_GAUGE] = "gauge",
					     [METRIC_HISTOGRAM] = "histogram" };
	struct text *text = ctx;
	int len = text__name_bytes(text, family);

	buf__printf(text->out, "# HELP %.*s %s\n", len, family->name, family->help);
	buf__printf(text->out, "# TYPE %.*s %s\n", len, family->name, types[family->type]);
	if (text->format == TEXT_OPENMETRICS && *family->unit)
		buf__printf(text->out, "# UNIT %.*s %s\n", len, family->name, family->unit);
}

/* A label's value: backslash, quote and line feed are escaped. */
static void text__escape(struct buf *buf, const char *value)
{
	while (*value) {
		size_t plain = strcspn(value, "\\\"\n");

		buf__add(buf, value, plain);
		value += plain;
		if (!*value)
			break;
		buf__str(buf, *value == '\n' ? "\\n" : *value == '"' ? "\\\"" : "\\\\");
		value++;
	}
}

static void text__labels(struct text *text, const struct metric_point *point)
{
	buf__reset(&text->labels);
	for (size_t i = 0; i < point->label_cnt; i++) {
		if (i)
			buf__add(&text->labels, ",", 1);
		buf__str(&text->labels, point->labels[i].name);
		buf__add(&text->labels, "=\"", 2);
		text__escape(&text->labels, point->labels[i].value);
		buf__add(&text->labels, "\"", 1);
	}
	if (text->labels.err && !text->out->err)
		text->out->err = text->labels.err;
}

/* name + suffix + labels, and a blank; le is NULL but for buckets. */
static void text__series(struct text *text, const char *name, size_t name_bytes, const char *suffix,
			 const char *le)
{
	struct buf *out = text->out;

	buf__add(out, name, name_bytes);
	buf__str(out, suffix);
	if (text->labels.len || le)
		buf__add(out, "{", 1);
	buf__add(out, text->labels.data, text->labels.len);
	if (le) {
		buf__str(out, text->labels.len ? ",le=\"" : "le=\"");
		buf__str(out, le);
		buf__add(out, "\"", 1);
	}
	if (text->labels.len || le)
		buf__add(out, "}", 1);
	buf__add(out, " ", 1);
}

/* Decimal digits and the line's end; by hand, for most of the text is this. */
static void text__int(struct text *text, uint64_t number)
{
	char digits[24];
	size_t at = sizeof(digits);

	digits[--at] = '\n';
	do
		digits[--at] = (char)('0' + number % 10);
	while (number /= 10);
	buf__add(text->out, digits + at, sizeof(digits) - at);
}

static void text__real(struct text *text, double number)
{
	char digits[METRIC_NUMBER_CAP];

	metrics__number(number, digits);
	buf__str(text->out, digits);
	buf__add(text->out, "\n", 1);
}

static void text__created(struct text *text, const struct metric_family *family,
			  uint64_t created_ms)
{
	if (text->format != TEXT_OPENMETRICS || family->type == METRIC_GAUGE || !created_ms)
		return;
	text__series(text, family->name, (size_t)text__name_bytes(text, family), "_created", NULL);
	buf__printf(text->out, "%llu.%03u\n", (unsigned long long)(created_ms / 1000),
		    (unsigned int)(created_ms % 1000));
}

static void text__point(void *ctx, const struct metric_family *family,
			const struct metric_point *point)
{
	struct text *text = ctx;
	size_t len = strlen(family->name);

	text__labels(text, point);
	if (family->type == METRIC_HISTOGRAM) {
		for (size_t i = 0; i < point->bucket_cnt; i++) {
			text__series(text, family->name, len, "_bucket", point->buckets[i].le);
			text__int(text, point->buckets[i].count);
		}
		text__series(text, family->name, len, "_sum", NULL);
		text__real(text, point->real);
		text__series(text, family->name, len, "_count", NULL);
		text__int(text, point->number);
	} else {
		text__series(text, family->name, len, "", NULL);
		if (point->is_int)
			text__int(text, point->number);
		else
			text__real(text, point->real);
	}
	text__created(text, family, point->created_ms);
}

int text__render(const struct metrics_env *env, const struct snapshot *snapshot,
		 const struct self_stats *self, enum text_format format, struct buf *out)
{
	struct text text = { .out = out, .format = format };
	struct metric_sink sink = { .ctx = &text, .family = text__family, .point = text__point };

	buf__init(&text.labels, LABELS_CAP);
	metrics__walk(env, snapshot, self, &sink);
	buf__free(&text.labels);
	if (format == TEXT_OPENMETRICS)
		buf__str(out, "# EOF\n");
	return out->err;
}
