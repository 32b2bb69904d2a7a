/* SPDX-License-Identifier: Apache-2.0 */
/*
 * table.c - owns the look of the table. Series of one workload, port and role are added up to one
 * row; what happened in between is the difference of two snapshots, series by series, so that one
 * that went away takes nothing from the others. Writes to a buffer, never to the terminal.
 */
#include "print/table.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define QUANTILES     3
#define NAME_COLS_MIN 10
#define NAME_COLS_MAX 64
#define LINE_CAP      1024
#define ELLIPSIS      "\xe2\x80\xa6" /* one column, one "..." */

static const double table_quantiles[QUANTILES] = {0.5, 0.95, 0.99};

struct row {
	const struct owner *owner; /* borrowed */
	unsigned int port, role;
	uint64_t total; /* requests since counting began */
	uint64_t count; /* requests in the interval, as are the next ones */
	uint64_t errors;
	uint64_t in_flight;	     /* now */
	double rate;		     /* per second */
	double quantiles[QUANTILES]; /* seconds; NAN without requests */
};

/* One thing that belongs to a row: a series or a port. */
struct item {
	const struct owner *owner; /* borrowed, as all here */
	unsigned int port, role;
	const struct snapshot_series *series; /* or NULL */
	const struct snapshot_port *counts;   /* or NULL */
};

struct table {
	const struct snapshot *prev;	       /* borrowed; or NULL */
	const struct snapshot *cur;	       /* borrowed */
	const struct table_opts *opts;	       /* borrowed */
	const struct snapshot_series **before; /* owned; prev's series, sorted */
	struct item *items;		       /* owned, sorted by row */
	size_t item_cnt;
	struct row *rows; /* owned, busiest first */
	size_t row_cnt;
	struct buf *out; /* borrowed */
	unsigned int lines;
};

static int series__cmp(const struct snapshot_series *a, const struct snapshot_series *b)
{
	int order = memcmp(&a->key, &b->key, sizeof(a->key));

	return order ? order : owner__cmp(a->owner, b->owner);
}

static int before__cmp(const void *a, const void *b)
{
	const struct snapshot_series *const *left = a, *const *right = b;

	return series__cmp(*left, *right);
}

static int row_key__cmp(const struct owner *a, unsigned int a_port, unsigned int a_role,
			const struct owner *b, unsigned int b_port, unsigned int b_role)
{
	int order = a == b ? 0 : strcmp(a->namespace_, b->namespace_);

	if (!order && a != b)
		order = strcmp(a->workload, b->workload);
	if (!order && a != b)
		order = strcmp(a->workload_kind, b->workload_kind);
	if (!order)
		order = (a_port > b_port) - (a_port < b_port);
	if (!order)
		order = (a_role > b_role) - (a_role < b_role);
	return order;
}

static int item__cmp(const void *a, const void *b)
{
	const struct item *left = a, *right = b;

	return row_key__cmp(left->owner, left->port, left->role, right->owner, right->port,
			    right->role);
}

/* Busiest first; rows alike stay in one order from one table to the next. */
static int row__cmp(const void *a, const void *b)
{
	const struct row *left = a, *right = b;

	if (left->rate < right->rate || left->rate > right->rate)
		return left->rate < right->rate ? 1 : -1;
	if (left->total != right->total)
		return left->total < right->total ? 1 : -1;
	return row_key__cmp(left->owner, left->port, left->role, right->owner, right->port,
			    right->role);
}

static bool series__is_error(const struct snapshot_series *series)
{
	return series->key.status >= 500 || (series->key.error != SLID_ERROR_NONE &&
					     series->key.error != SLID_ERROR_CLIENT_CLOSED);
}

/* The same series in prev, if its counting has not begun anew since. */
static const struct snapshot_series *table__before(const struct table *table,
						   const struct snapshot_series *series)
{
	const struct snapshot_series **found = NULL;

	if (table->before)
		found = bsearch(&series, table->before, table->prev->series_cnt,
				sizeof(*table->before), before__cmp);
	if (!found || (*found)->created_ms != series->created_ms || (*found)->count > series->count)
		return NULL;
	return *found;
}

/* Add what a series did in the interval. */
static void row__add(struct row *row, const struct table *table, uint64_t *buckets,
		     const struct snapshot_series *series)
{
	const struct snapshot_series *before = table__before(table, series);
	uint64_t count = 0;

	for (size_t i = 0; i <= table->cur->layout->bound_cnt; i++) {
		uint64_t base = before ? before->buckets[i] : 0;
		uint64_t more = series->buckets[i] > base ? series->buckets[i] - base : 0;

		buckets[i] += more;
		count += more;
	}
	row->count += count;
	row->total += series->count;
	if (series__is_error(series))
		row->errors += count;
}

/* Make the row of the items from first to end. Return: is it worth showing? */
static bool table__row(const struct table *table, size_t first, size_t end, struct row *row)
{
	uint64_t buckets[SLID_BUCKETS_MAX] = {0}, since_ms = table->cur->time_ms;
	double seconds;

	*row = (struct row){.owner = table->items[first].owner,
			    .port = table->items[first].port,
			    .role = table->items[first].role};
	for (size_t i = first; i < end; i++) {
		const struct item *item = &table->items[i];

		if (item->counts)
			row->in_flight += item->counts->in_flight;
		if (!item->series)
			continue;
		row__add(row, table, buckets, item->series);
		if (item->series->created_ms < since_ms)
			since_ms = item->series->created_ms;
	}
	if (table->prev)
		since_ms = table->prev->time_ms;
	seconds = ((double)table->cur->time_ms - (double)since_ms) / 1000;
	row->rate = seconds > 0 ? (double)row->count / seconds : 0;
	for (size_t i = 0; i < QUANTILES; i++)
		row->quantiles[i] =
			layout__quantile(table->cur->layout, buckets, table_quantiles[i]);
	return row->total || row->in_flight;
}

static void table__free(struct table *table)
{
	free(table->before);
	free(table->items);
	free(table->rows);
}

static void table__fill_items(struct table *table)
{
	for (size_t i = 0; i < table->cur->series_cnt; i++) {
		const struct snapshot_series *series = &table->cur->series[i];

		if (SLID_WHAT_OF(series->key.role_what) == SLID_WHAT_REQUEST)
			table->items[table->item_cnt++] = (struct item){
				.owner = series->owner,
				.port = series->key.port,
				.role = SLID_ROLE_OF(series->key.role_what),
				.series = series,
			};
	}
	for (size_t i = 0; i < table->cur->port_cnt; i++) {
		const struct snapshot_port *counts = &table->cur->ports[i];

		table->items[table->item_cnt++] = (struct item){
			.owner = counts->owner,
			.port = counts->key.port,
			.role = counts->key.role,
			.counts = counts,
		};
	}
	qsort(table->items, table->item_cnt, sizeof(*table->items), item__cmp);
}

static int table__build(struct table *table)
{
	size_t cnt = table->cur->series_cnt + table->cur->port_cnt, end;

	table->items = calloc(cnt + 1, sizeof(*table->items));
	table->rows = calloc(cnt + 1, sizeof(*table->rows));
	if (!table->items || !table->rows)
		return -ENOMEM;
	if (table->prev) {
		table->before = calloc(table->prev->series_cnt + 1, sizeof(*table->before));
		if (!table->before)
			return -ENOMEM;
		for (size_t i = 0; i < table->prev->series_cnt; i++)
			table->before[i] = &table->prev->series[i];
		qsort(table->before, table->prev->series_cnt, sizeof(*table->before), before__cmp);
	}
	table__fill_items(table);
	for (size_t i = 0; i < table->item_cnt; i = end) {
		for (end = i + 1; end < table->item_cnt; end++)
			if (item__cmp(&table->items[i], &table->items[end]) != 0)
				break;
		table->row_cnt += table__row(table, i, end, &table->rows[table->row_cnt]);
	}
	qsort(table->rows, table->row_cnt, sizeof(*table->rows), row__cmp);
	return 0;
}

/* Bytes of the first cols characters of a text. A character is one column: close enough here. */
static size_t text__bytes(const char *text, size_t cols)
{
	size_t len = 0;

	for (; text[len]; len++)
		if (((unsigned char)text[len] & 0xc0) != 0x80 && !cols--)
			break;
	return len;
}

static size_t text__cols(const char *text)
{
	size_t cols = 0;

	for (; *text; text++)
		cols += ((unsigned char)*text & 0xc0) != 0x80;
	return cols;
}

/* One line, cut to the terminal's width. Control characters in names must not reach it. */
static void table__line(struct table *table, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

static void table__line(struct table *table, const char *fmt, ...)
{
	char line[LINE_CAP];
	va_list args;
	bool cut = false;
	size_t len;

	va_start(args, fmt);
	vsnprintf(line, sizeof(line), fmt, args);
	va_end(args);
	for (char *at = line; *at; at++)
		if ((unsigned char)*at < ' ' || *at == 0x7f)
			*at = '?';
	len = strlen(line);
	if (table->opts->tty && table->opts->cols && text__cols(line) > table->opts->cols) {
		len = text__bytes(line, table->opts->cols - 1);
		cut = true;
	}
	while (len && line[len - 1] == ' ')
		len--;
	buf__add(table->out, line, len);
	buf__str(table->out, cut ? ELLIPSIS : "");
	buf__str(table->out, table->opts->tty ? "\033[K\n" : "\n");
	table->lines++;
}

void table__duration(double seconds, char *out, size_t cap)
{
	static const struct {
		double seconds;
		const char *unit;
	} units[] = {{1e-6, "us"}, {1e-3, "ms"}, {1, "s"}};

	if (isnan(seconds)) {
		snprintf(out, cap, "-");
		return;
	}
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		double value = seconds / units[i].seconds;

		if (value >= 999.5 && i + 1 < sizeof(units) / sizeof(units[0]))
			continue;
		snprintf(out, cap, value < 9.95 ? "%.1f%s" : "%.0f%s", value, units[i].unit);
		return;
	}
}

/* A quantile; at the last bound all that is known is that it is over it. */
static void table__quantile(const struct layout *layout, double seconds, char *out, size_t cap)
{
	double last = layout->bounds[layout->bound_cnt - 1].seconds;

	if (seconds >= last)
		snprintf(out, cap, ">%.0fs", last);
	else
		table__duration(seconds, out, cap);
}

static void table__rate(double rate, char *out, size_t cap)
{
	snprintf(out, cap, rate < 9.995 ? "%.2f" : rate < 999.95 ? "%.1f" : "%.0f", rate);
}

/* Share of errors. Some are never shown as none, and not all never as all. */
static void table__percent(uint64_t errors, uint64_t count, char *out, size_t cap)
{
	double percent = count ? 100 * (double)errors / (double)count : 0;

	if (!count)
		snprintf(out, cap, "-");
	else if (!errors || errors == count)
		snprintf(out, cap, "%s", errors ? "100" : "0");
	else if (percent < 0.01)
		snprintf(out, cap, "<0.01");
	else if (percent > 99.94)
		snprintf(out, cap, ">99.9");
	else
		snprintf(out, cap, percent < 9.995 ? "%.2f" : "%.1f", percent);
}

static void table__clock(uint64_t time_ms, const char *fmt, char *out, size_t cap)
{
	time_t seconds = (time_t)(time_ms / 1000);
	struct tm tm;

	if (!localtime_r(&seconds, &tm) || !strftime(out, cap, fmt, &tm))
		snprintf(out, cap, "?");
}

/* Time, the interval, the sums over all rows; and what was lost, if anything. */
static void table__header(struct table *table)
{
	char now[16], span[64], rates[SLID_ROLE_CNT][16], errors[16], line[LINE_CAP] = "";
	uint64_t total = 0, error_cnt = 0, count = 0;
	double sums[SLID_ROLE_CNT] = {0};
	size_t used = 0;

	for (size_t i = 0; i < table->row_cnt; i++) {
		const struct row *row = &table->rows[i];

		sums[row->role < SLID_ROLE_CNT ? row->role : SLID_ROLE_NONE] += row->rate;
		total += row->total;
		error_cnt += row->errors;
		count += row->count;
	}
	for (size_t role = 0; role < SLID_ROLE_CNT; role++)
		table__rate(sums[role], rates[role], sizeof(rates[role]));
	table__percent(error_cnt, count, errors, sizeof(errors));
	table__clock(table->cur->time_ms, "%H:%M:%S", now, sizeof(now));
	if (table->prev)
		snprintf(span, sizeof(span), "last %.1fs",
			 ((double)table->cur->time_ms - (double)table->prev->time_ms) / 1000);
	else
		table__clock(table->cur->started_ms, "since %Y-%m-%d %H:%M:%S", span, sizeof(span));
	table__line(table, "%s  %s  in %s/s  out %s/s  errors %s%%  total %lu  workloads %zu", now,
		    span, rates[SLID_ROLE_SERVER], rates[SLID_ROLE_CLIENT], errors,
		    (unsigned long)total, table->cur->workload_cnt);
	for (size_t i = 0; i < SLID_DROP_CNT && used < sizeof(line); i++)
		if (table->cur->drops[i])
			used += (size_t)snprintf(line + used, sizeof(line) - used, "  %s %lu",
						 slid_drop_name((unsigned int)i),
						 (unsigned long)table->cur->drops[i]);
	if (used)
		table__line(table, "not counted in full:%s", line);
}

/* Nothing to show: say so, and what the connections were, which tells most of the reason. */
static void table__nothing(struct table *table)
{
	uint64_t protos[SLID_PROTO_CNT] = {0};
	char line[256] = "";
	size_t used = 0;

	for (size_t i = 0; i < table->cur->port_cnt; i++)
		for (size_t k = 0; k < SLID_PROTO_CNT; k++)
			protos[k] += table->cur->ports[i].counts.protos[k];
	for (size_t k = SLID_PROTO_HTTP1; k < SLID_PROTO_CNT && used < sizeof(line); k++)
		if (protos[k])
			used += (size_t)snprintf(line + used, sizeof(line) - used, "%s%lu %s",
						 used ? ", " : "", (unsigned long)protos[k],
						 slid_proto_name((unsigned int)k));
	table__line(table, "no HTTP requests seen yet; connections with data: %s",
		    used ? line : "none");
	table__line(table, used ? "check: is the traffic plain HTTP/1, not TLS or HTTP/2?"
				: "check: do the servers run in a watched cgroup? see --scope and "
				  "/proc/PID/cgroup");
}

/* "namespace/workload", its end when it is a path, its beginning when not; cols wide. */
static void table__name(const struct owner *owner, size_t cols, char *out, size_t cap)
{
	char name[LINE_CAP / 2];
	size_t name_cols, len;
	const char *at = name;

	snprintf(name, sizeof(name), "%s%s%s", owner->namespace_, owner->namespace_[0] ? "/" : "",
		 owner->workload);
	name_cols = text__cols(name);
	if (name_cols <= cols) {
		snprintf(out, cap, "%s%*s", name, (int)(cols - name_cols), "");
	} else if (name[0] == '/') {
		at += text__bytes(name, name_cols - cols + 1);
		snprintf(out, cap, ELLIPSIS "%s", at);
	} else {
		len = text__bytes(name, cols - 1);
		snprintf(out, cap, "%.*s" ELLIPSIS, (int)len, name);
	}
}

/* Columns for the names: what the longest needs, and what the others leave. */
static size_t table__name_cols(const struct table *table, size_t other_cols)
{
	size_t max = NAME_COLS_MAX, cols = NAME_COLS_MIN;

	if (table->opts->tty && table->opts->cols && table->opts->cols < other_cols + max)
		max = table->opts->cols > other_cols + NAME_COLS_MIN
			      ? table->opts->cols - other_cols
			      : NAME_COLS_MIN;
	for (size_t i = 0; i < table->row_cnt; i++) {
		const struct owner *owner = table->rows[i].owner;
		size_t want = text__cols(owner->namespace_) + text__cols(owner->workload) +
			      (owner->namespace_[0] != '\0');

		cols = want > cols ? want : cols;
	}
	return cols < max ? cols : max;
}

static void table__print_row(struct table *table, const struct row *row, size_t name_cols,
			     const char *gap)
{
	static const char *const roles[SLID_ROLE_CNT] = {"-", "server", "client"};
	char name[LINE_CAP / 2 + 8], port[8] = "-", rate[16], percent[16], quantiles[QUANTILES][16];

	table__name(row->owner, name_cols, name, sizeof(name));
	if (row->port)
		snprintf(port, sizeof(port), "%u", row->port & UINT16_MAX);
	table__rate(row->rate, rate, sizeof(rate));
	table__percent(row->errors, row->count, percent, sizeof(percent));
	for (size_t i = 0; i < QUANTILES; i++)
		table__quantile(table->cur->layout, row->quantiles[i], quantiles[i],
				sizeof(quantiles[i]));
	table__line(table, "%s%s%5s%s%-6s%s%7s%s%5s%s%5s%s%5s%s%5s%s%9lu%s%10lu", name, gap, port,
		    gap, roles[row->role < SLID_ROLE_CNT ? row->role : SLID_ROLE_NONE], gap, rate,
		    gap, percent, gap, quantiles[0], gap, quantiles[1], gap, quantiles[2], gap,
		    (unsigned long)row->in_flight, gap, (unsigned long)row->total);
}

static void table__print(struct table *table)
{
	const struct table_opts *opts = table->opts;
	const char *gap = opts->tty && opts->cols && opts->cols < 100 ? " " : "  ";
	size_t other_cols = 5 + 6 + 7 + 5 + 5 * QUANTILES + 9 + 10 + 9 * strlen(gap);
	size_t name_cols = table__name_cols(table, other_cols), show = table->row_cnt;
	char name[NAME_COLS_MAX + 1];

	table__header(table);
	if (!table->row_cnt) {
		table__nothing(table);
		return;
	}
	snprintf(name, sizeof(name), "%-*s", (int)name_cols, "WORKLOAD");
	table__line(table, "%s%s%5s%s%-6s%s%7s%s%5s%s%5s%s%5s%s%5s%s%9s%s%10s", name, gap, "PORT",
		    gap, "ROLE", gap, "REQ/S", gap, "ERR%", gap, "P50", gap, "P95", gap, "P99", gap,
		    "IN-FLIGHT", gap, "TOTAL");
	/* A line is left for the cursor, and one for the count of those that do not fit. */
	if (opts->tty && opts->rows && table->lines + show + 1 > opts->rows)
		show = opts->rows > table->lines + 2 ? opts->rows - table->lines - 2 : 0;
	for (size_t i = 0; i < show; i++)
		table__print_row(table, &table->rows[i], name_cols, gap);
	if (show < table->row_cnt)
		table__line(table, "and %zu more", table->row_cnt - show);
}

int table__render(const struct snapshot *prev, const struct snapshot *cur,
		  const struct table_opts *opts, struct buf *out)
{
	struct table table = {.prev = prev, .cur = cur, .opts = opts, .out = out};
	int err = table__build(&table);

	if (!err) {
		if (opts->tty)
			buf__str(out, "\033[H"); /* home; each line then clears its own rest */
		else if (prev)
			buf__str(out, "\n");
		table__print(&table);
		if (opts->tty)
			buf__str(out, "\033[J");
		err = out->err;
	}
	table__free(&table);
	return err;
}
