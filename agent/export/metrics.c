/* SPDX-License-Identifier: Apache-2.0 */
/*
 * metrics.c - owns the names: every metric, label and unit that slid exports is spelled here and
 * nowhere else. Never encodes anything, never keeps anything after a walk.
 */
#include "export/metrics.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "export/self.h"
#include "sli/snapshot.h"

#define HTTP_REQUESTS_HELP "HTTP requests, each counted once, at its end."
#define HTTP_DURATION_HELP "Time from a request's first byte to its response's last."
#define HTTP_TTFB_HELP     "Time from a request's first byte to its response's first."
#define HTTP_FLIGHT_HELP   "HTTP requests begun and not yet ended."

#define ROLE_BIT(role)  (1u << (role))
#define ROLES_ALL       (ROLE_BIT(SLID_ROLE_NONE) | ROLE_BIT(SLID_ROLE_SERVER) | ROLES_CLIENT)
#define ROLES_CLIENT    ROLE_BIT(SLID_ROLE_CLIENT)
#define ROLES_NOTCLIENT (ROLES_ALL & ~ROLES_CLIENT) /* with the overflow key, which has no role */

/* A family that comes from snapshot->series. */
struct series_family {
	struct metric_family family;
	unsigned int what;  /* enum slid_what */
	unsigned int roles; /* ROLE_BIT()s it is about */
	bool role_label;    /* roles share the name */
};

static const struct series_family series_families[] = {
	{ .family = { "http_requests_total", METRIC_COUNTER, "", HTTP_REQUESTS_HELP },
	  .what = SLID_WHAT_REQUEST, .roles = ROLES_NOTCLIENT },
	{ .family = { "http_request_duration_seconds", METRIC_HISTOGRAM, "seconds",
		      HTTP_DURATION_HELP },
	  .what = SLID_WHAT_REQUEST, .roles = ROLES_NOTCLIENT },
	{ .family = { "http_client_requests_total", METRIC_COUNTER, "", HTTP_REQUESTS_HELP },
	  .what = SLID_WHAT_REQUEST, .roles = ROLES_CLIENT },
	{ .family = { "http_client_request_duration_seconds", METRIC_HISTOGRAM, "seconds",
		      HTTP_DURATION_HELP },
	  .what = SLID_WHAT_REQUEST, .roles = ROLES_CLIENT },
	{ .family = { "http_request_ttfb_seconds", METRIC_HISTOGRAM, "seconds", HTTP_TTFB_HELP },
	  .what = SLID_WHAT_TTFB, .roles = ROLES_NOTCLIENT },
	{ .family = { "http_client_request_ttfb_seconds", METRIC_HISTOGRAM, "seconds",
		      HTTP_TTFB_HELP },
	  .what = SLID_WHAT_TTFB, .roles = ROLES_CLIENT },
	{ .family = { "tcp_connect_duration_seconds", METRIC_HISTOGRAM, "seconds",
		      "Time from SYN to established, of connections opened." },
	  .what = SLID_WHAT_CONNECT, .roles = ROLES_ALL },
	{ .family = { "tcp_rtt_seconds", METRIC_HISTOGRAM, "seconds",
		      "Smoothed round-trip time at a connection's end." },
	  .what = SLID_WHAT_RTT, .roles = ROLES_ALL, .role_label = true },
};

static const char *direction_name(unsigned int direction)
{
	return direction ? "sent" : "received";
}
_Static_assert(offsetof(struct slid_port, resets_out) == offsetof(struct slid_port, resets_in) + 8,
	       "tcp_resets_total reads both as one array");

/* A family that comes from snapshot->ports: cnt counters side by side in struct slid_port. */
struct port_family {
	struct metric_family family;
	size_t off;                         /* of counter 0 in struct slid_port */
	unsigned int first, cnt;            /* counters first .. cnt - 1 */
	const char *label;                  /* tells them apart; NULL: just one */
	const char *(*name)(unsigned int i); /* its value */
	unsigned int roles;
	bool role_label;
};

static const struct port_family port_families[] = {
	{ .family = { "tcp_accepts_total", METRIC_COUNTER, "", "Connections accepted." },
	  .off = offsetof(struct slid_port, accepted), .cnt = 1, .roles = ROLES_NOTCLIENT },
	{ .family = { "tcp_connects_total", METRIC_COUNTER, "",
		      "Attempts to connect, by what came of them." },
	  .off = offsetof(struct slid_port, connects), .cnt = SLID_CONNECT_CNT,
	  .label = "result", .name = slid_connect_name, .roles = ROLES_CLIENT },
	{ .family = { "tcp_connections_closed_total", METRIC_COUNTER, "",
		      "Connections that ended." },
	  .off = offsetof(struct slid_port, closed), .cnt = 1,
	  .roles = ROLES_ALL, .role_label = true },
	{ .family = { "tcp_resets_total", METRIC_COUNTER, "",
		      "RST segments on established connections." },
	  .off = offsetof(struct slid_port, resets_in), .cnt = 2,
	  .label = "direction", .name = direction_name, .roles = ROLES_ALL, .role_label = true },
	{ .family = { "tcp_retransmitted_segments_total", METRIC_COUNTER, "",
		      "Segments sent more than once." },
	  .off = offsetof(struct slid_port, retransmitted_segments), .cnt = 1,
	  .roles = ROLES_ALL, .role_label = true },
	{ .family = { "slid_connections_total", METRIC_COUNTER, "",
		      "Connections, by what they carry." },
	  .off = offsetof(struct slid_port, protos), .first = SLID_PROTO_NONE + 1,
	  .cnt = SLID_PROTO_CNT, .label = "protocol", .name = slid_proto_name,
	  .roles = ROLES_ALL, .role_label = true },
};

/* One walk's state. */
struct walk {
	const struct metrics_env *env;     /* borrowed, as all here */
	const struct snapshot *snapshot;
	const struct self_stats *self;
	const struct metric_sink *sink;
	const struct metric_family *family; /* the one begun last */
	struct metric_label labels[METRIC_LABELS_MAX];
	size_t label_cnt;
	char port[8], code[8], route[8];   /* behind labels[] */
	struct metric_les les;
	struct metric_bucket buckets[SLID_BUCKETS_MAX];
};

void metrics__number(double number, char text[METRIC_NUMBER_CAP])
{
	if (isnan(number) || isinf(number)) {
		strcpy(text, isnan(number) ? "NaN" : number > 0 ? "+Inf" : "-Inf");
		return;
	}
	for (int digits = 15; digits <= 17; digits++) {
		snprintf(text, METRIC_NUMBER_CAP, "%.*g", digits, number);
		if (strtod(text, NULL) == number)
			return;
	}
}

void metrics__les(const struct layout *layout, struct metric_les *ret)
{
	ret->cnt = 0;
	for (size_t i = 0; i < layout->bound_cnt; i++) {
		char *text = ret->text[ret->cnt];

		if (!layout->bounds[i].is_classic)
			continue;
		metrics__number(layout->bounds[i].seconds, text);
		if (!strpbrk(text, ".e"))
			strcat(text, ".0");
		ret->bucket[ret->cnt++] = i;
	}
	strcpy(ret->text[ret->cnt], "+Inf");
	ret->bucket[ret->cnt++] = layout->bound_cnt;
}

/* Put a label in its place by name; "" is left out. */
static void walk__label(struct walk *walk, const char *name, const char *value)
{
	size_t at = walk->label_cnt;

	if (!value || !*value || at == METRIC_LABELS_MAX)
		return;
	for (; at && strcmp(walk->labels[at - 1].name, name) > 0; at--)
		walk->labels[at] = walk->labels[at - 1];
	walk->labels[at] = (struct metric_label){ .name = name, .value = value };
	walk->label_cnt++;
}

/* Hand out a point with the labels gathered, its family first if it is a new one. */
static void walk__emit(struct walk *walk, const struct metric_family *family,
		       struct metric_point *point)
{
	if (walk->family != family)
		walk->sink->family(walk->sink->ctx, family);
	walk->family = family;
	point->labels = walk->labels;
	point->label_cnt = walk->label_cnt;
	walk->sink->point(walk->sink->ctx, family, point);
}

static void walk__int(struct walk *walk, const struct metric_family *family, uint64_t number,
		      uint64_t created_ms)
{
	struct metric_point point = {
		.created_ms = created_ms,
		.is_int = true,
		.number = number,
		.real = (double)number,
	};

	walk__emit(walk, family, &point);
}

static void walk__real(struct walk *walk, const struct metric_family *family, double real,
		       uint64_t created_ms)
{
	struct metric_point point = { .created_ms = created_ms, .real = real };

	walk__emit(walk, family, &point);
}

static void walk__hist(struct walk *walk, const struct metric_family *family,
		       const struct snapshot_series *series)
{
	struct metric_point point = {
		.created_ms = series->created_ms,
		.real = (double)series->sum_ns / 1e9,
		.buckets = walk->buckets,
		.bucket_cnt = walk->les.cnt,
	};
	size_t bucket = 0;

	for (size_t i = 0; i < walk->les.cnt; i++) {
		for (; bucket <= walk->les.bucket[i]; bucket++)
			point.number += series->buckets[bucket];
		walk->buckets[i].count = point.number;
	}
	walk__emit(walk, family, &point);
}

static const char *role_name(unsigned int role)
{
	return role == SLID_ROLE_SERVER ? "server" : role == SLID_ROLE_CLIENT ? "client" : "";
}

/* Begin a label list with an owner's. */
static void walk__owner(struct walk *walk, const struct owner *owner, unsigned int port)
{
	walk->label_cnt = 0;
	walk__label(walk, "container", owner->container);
	walk__label(walk, "job", owner->workload);
	walk__label(walk, "namespace", owner->namespace_);
	walk__label(walk, "node", walk->env->node);
	walk__label(walk, "pod", owner->pod);
	snprintf(walk->port, sizeof(walk->port), "%u", port & 0xffff);
	walk__label(walk, "port", port ? walk->port : "");
	walk__label(walk, "workload", owner->workload);
	walk__label(walk, "workload_kind", owner->workload_kind);
}

static void walk__http_labels(struct walk *walk, const struct slid_series_key *key)
{
	const char *route = walk->route;

	snprintf(walk->code, sizeof(walk->code), "%u", key->status);
	walk__label(walk, "code", key->status ? walk->code : "");
	walk__label(walk, "error_type", slid_error_name(key->error));
	walk__label(walk, "method", slid_method_name(key->method));
	if (!key->route)
		return;
	snprintf(walk->route, sizeof(walk->route), "%u", key->route);
	if (key->route <= walk->env->route_cnt)
		route = walk->env->routes[key->route - 1];
	walk__label(walk, "route", route);
}

static void walk__series(struct walk *walk, const struct series_family *of)
{
	bool is_http = of->what == SLID_WHAT_REQUEST || of->what == SLID_WHAT_TTFB;

	if (of->what == SLID_WHAT_TTFB && !walk->env->ttfb)
		return;
	for (size_t i = 0; i < walk->snapshot->series_cnt; i++) {
		const struct snapshot_series *series = &walk->snapshot->series[i];
		unsigned int role = SLID_ROLE_OF(series->key.role_what);

		if (SLID_WHAT_OF(series->key.role_what) != of->what ||
		    !(of->roles & ROLE_BIT(role)))
			continue;
		walk__owner(walk, series->owner, series->key.port);
		if (is_http)
			walk__http_labels(walk, &series->key);
		if (of->role_label)
			walk__label(walk, "role", role_name(role));
		if (of->family.type == METRIC_HISTOGRAM)
			walk__hist(walk, &of->family, series);
		else
			walk__int(walk, &of->family, series->count, series->created_ms);
	}
}

static void walk__ports(struct walk *walk, const struct port_family *of)
{
	for (size_t i = 0; i < walk->snapshot->port_cnt; i++) {
		const struct snapshot_port *port = &walk->snapshot->ports[i];
		const __u64 *counts = (const __u64 *)((const char *)&port->counts + of->off);

		if (!(of->roles & ROLE_BIT(port->key.role)))
			continue;
		for (unsigned int c = of->first; c < of->cnt; c++) {
			walk__owner(walk, port->owner, port->key.port);
			if (of->role_label)
				walk__label(walk, "role", role_name(port->key.role));
			if (of->label)
				walk__label(walk, of->label, of->name(c));
			walk__int(walk, &of->family, counts[c], port->created_ms);
		}
	}
}

static void walk__in_flight(struct walk *walk)
{
	static const struct metric_family server = { "http_requests_in_flight", METRIC_GAUGE, "",
						     HTTP_FLIGHT_HELP };
	static const struct metric_family client = { "http_client_requests_in_flight", METRIC_GAUGE,
						     "", HTTP_FLIGHT_HELP };

	for (int is_client = 0; is_client <= 1; is_client++)
		for (size_t i = 0; i < walk->snapshot->port_cnt; i++) {
			const struct snapshot_port *port = &walk->snapshot->ports[i];

			if ((port->key.role == SLID_ROLE_CLIENT) != is_client)
				continue;
			walk__owner(walk, port->owner, port->key.port);
			walk__int(walk, is_client ? &client : &server, port->in_flight, 0);
		}
}

/* Begin the label list of one of slid's own metrics. */
static void walk__own(struct walk *walk, const char *name, const char *value)
{
	walk->label_cnt = 0;
	walk__label(walk, "job", "slid");
	walk__label(walk, "node", walk->env->node);
	walk__label(walk, name, value);
}

static void walk__progs(struct walk *walk)
{
	static const struct metric_family seconds = {
		"slid_bpf_run_seconds_total", METRIC_COUNTER, "seconds",
		"Time spent in a kernel program; only with kernel.bpf_stats_enabled."
	};
	static const struct metric_family runs = {
		"slid_bpf_runs_total", METRIC_COUNTER, "",
		"Runs of a kernel program; only with kernel.bpf_stats_enabled."
	};

	for (int is_runs = 0; is_runs <= 1; is_runs++)
		for (size_t i = 0; i < walk->snapshot->prog_cnt; i++) {
			const struct snapshot_prog *prog = &walk->snapshot->progs[i];

			if (!prog->stats_on)
				continue;
			walk__own(walk, "program", prog->name);
			if (is_runs)
				walk__int(walk, &runs, prog->run_cnt, 0);
			else
				walk__real(walk, &seconds, prog->run_seconds, 0);
		}
}

static void walk__maps(struct walk *walk)
{
	static const struct metric_family entries = { "slid_bpf_map_entries", METRIC_GAUGE, "",
						      "Entries in a kernel map." };
	static const struct metric_family max = { "slid_bpf_map_entries_max", METRIC_GAUGE, "",
						  "Most entries a kernel map can hold." };
	static const struct metric_family memory = { "slid_bpf_map_memory_bytes", METRIC_GAUGE,
						     "bytes", "Kernel memory charged to a map." };
	const struct snapshot *snapshot = walk->snapshot;

	for (size_t i = 0; i < snapshot->map_cnt; i++) {
		walk__own(walk, "map", snapshot->maps[i].name);
		walk__int(walk, &entries, snapshot->maps[i].entries, 0);
	}
	for (size_t i = 0; i < snapshot->map_cnt; i++) {
		walk__own(walk, "map", snapshot->maps[i].name);
		walk__int(walk, &max, snapshot->maps[i].entries_max, 0);
	}
	for (size_t i = 0; i < snapshot->map_cnt; i++) {
		if (!snapshot->maps[i].memory_bytes)
			continue;
		walk__own(walk, "map", snapshot->maps[i].name);
		walk__int(walk, &memory, snapshot->maps[i].memory_bytes, 0);
	}
}

static void walk__losses(struct walk *walk)
{
	static const struct metric_family dropped = {
		"slid_dropped_total", METRIC_COUNTER, "",
		"What was not counted in its own place, by reason."
	};
	static const struct metric_family desync = {
		"slid_streams_desynchronized_total", METRIC_COUNTER, "",
		"Byte streams that lost their message boundaries."
	};
	static const struct metric_family joined = { "slid_connections_joined_total",
						     METRIC_COUNTER, "",
						     "Connections that began before slid." };
	const struct snapshot *snapshot = walk->snapshot;

	for (unsigned int i = 0; i < SLID_DROP_CNT; i++) {
		walk__own(walk, "reason", slid_drop_name(i));
		walk__int(walk, &dropped, snapshot->drops[i], snapshot->started_ms);
	}
	walk__own(walk, "", "");
	walk__int(walk, &desync, snapshot->stats[SLID_STAT_DESYNC], snapshot->started_ms);
	walk__int(walk, &joined, snapshot->stats[SLID_STAT_JOINED], snapshot->started_ms);
}

static void walk__agent(struct walk *walk)
{
	static const struct metric_family build = { "slid_build_info", METRIC_GAUGE, "",
						    "Always 1; the version is a label." };
	static const struct metric_family workloads = { "slid_workloads", METRIC_GAUGE, "",
							"Workloads with series." };
	static const struct metric_family collect = { "slid_collect_duration_seconds", METRIC_GAUGE,
						      "seconds",
						      "CPU time of the last reading of the maps." };

	walk__own(walk, "version", SLID_VERSION);
	walk__int(walk, &build, 1, 0);
	walk__own(walk, "", "");
	walk__int(walk, &workloads, walk->snapshot->workload_cnt, 0);
	walk__real(walk, &collect, walk->snapshot->collect_seconds, 0);
}

static void walk__process(struct walk *walk)
{
	static const struct metric_family scrape = { "slid_scrape_duration_seconds", METRIC_GAUGE,
						     "seconds",
						     "Time the last answer to a scrape took." };
	static const struct metric_family cpu = { "process_cpu_seconds_total", METRIC_COUNTER,
						  "seconds", "CPU time of slid's process." };
	static const struct metric_family resident = { "process_resident_memory_bytes",
						       METRIC_GAUGE, "bytes",
						       "Resident memory of slid's process." };
	static const struct metric_family open_fds = { "process_open_fds", METRIC_GAUGE, "",
						       "Open file descriptors." };
	static const struct metric_family max_fds = { "process_max_fds", METRIC_GAUGE, "",
						      "Most file descriptors it may open." };
	static const struct metric_family start = { "process_start_time_seconds", METRIC_GAUGE,
						    "seconds", "Unix time the process began." };
	const struct self_stats *self = walk->self;
	uint64_t start_ms = (uint64_t)(self->start_seconds * 1e3);

	walk__own(walk, "", "");
	walk__real(walk, &scrape, self->scrape_seconds, 0);
	walk__real(walk, &cpu, self->cpu_seconds, start_ms);
	walk__int(walk, &resident, self->resident_bytes, 0);
	walk__int(walk, &open_fds, self->open_fds, 0);
	walk__int(walk, &max_fds, self->max_fds, 0);
	walk__real(walk, &start, self->start_seconds, 0);
}

/* Plain integers of remote-write. */
static const struct sender_family {
	struct metric_family family;
	size_t off; /* in struct sender_stats */
} sender_families[] = {
	{ { "slid_remote_write_samples_sent_total", METRIC_COUNTER, "",
	    "Samples the receiver took." },
	  offsetof(struct sender_stats, samples_sent) },
	{ { "slid_remote_write_samples_failed_total", METRIC_COUNTER, "",
	    "Samples the receiver refused for good." },
	  offsetof(struct sender_stats, samples_failed) },
	{ { "slid_remote_write_samples_retried_total", METRIC_COUNTER, "",
	    "Samples in requests that were sent once more." },
	  offsetof(struct sender_stats, samples_retried) },
	{ { "slid_remote_write_bytes_total", METRIC_COUNTER, "bytes",
	    "Compressed bytes the receiver took." },
	  offsetof(struct sender_stats, bytes_sent) },
	{ { "slid_remote_write_sends_total", METRIC_COUNTER, "", "Requests, answered or not." },
	  offsetof(struct sender_stats, send_cnt) },
	{ { "slid_remote_write_queue_batches", METRIC_GAUGE, "", "Requests that wait." },
	  offsetof(struct sender_stats, queue_batches) },
	{ { "slid_remote_write_queue_samples", METRIC_GAUGE, "", "Samples that wait." },
	  offsetof(struct sender_stats, queue_samples) },
	{ { "slid_remote_write_queue_bytes", METRIC_GAUGE, "bytes", "Bytes that wait." },
	  offsetof(struct sender_stats, queue_bytes) },
	{ { "slid_remote_write_queue_capacity_bytes", METRIC_GAUGE, "bytes",
	    "Most bytes that may wait." },
	  offsetof(struct sender_stats, queue_cap_bytes) },
};

static void walk__sender(struct walk *walk)
{
	static const struct metric_family dropped = {
		"slid_remote_write_samples_dropped_total", METRIC_COUNTER, "",
		"Samples given up before the receiver answered, by reason."
	};
	static const struct metric_family stale = {
		"slid_remote_write_stale_snapshots_total", METRIC_COUNTER, "",
		"Snapshots not sent: the clock had not moved on."
	};
	static const struct metric_family seconds = { "slid_remote_write_send_seconds_total",
						      METRIC_COUNTER, "seconds",
						      "Time requests took." };
	static const struct metric_family success = {
		"slid_remote_write_last_success_timestamp_seconds", METRIC_GAUGE, "seconds",
		"Unix time of the last request that was taken; 0 = none yet."
	};
	const struct sender_stats *sender = &walk->self->sender;
	uint64_t start_ms = (uint64_t)(walk->self->start_seconds * 1e3);

	walk__own(walk, "", "");
	for (size_t i = 0; i < sizeof(sender_families) / sizeof(sender_families[0]); i++) {
		const struct metric_family *family = &sender_families[i].family;
		uint64_t number;

		memcpy(&number, (const char *)sender + sender_families[i].off, sizeof(number));
		walk__int(walk, family, number, family->type == METRIC_COUNTER ? start_ms : 0);
	}
	walk__int(walk, &stale, walk->self->stale_snapshots, start_ms);
	walk__real(walk, &seconds, (double)sender->send_ns / 1e9, start_ms);
	walk__real(walk, &success, (double)sender->last_success_ms / 1e3, 0);
	for (unsigned int i = 0; i < SENDER_DROP_CNT; i++) {
		walk__own(walk, "reason", sender_drop_name(i));
		walk__int(walk, &dropped, sender->samples_dropped[i], start_ms);
	}
}

void metrics__walk(const struct metrics_env *env, const struct snapshot *snapshot,
		   const struct self_stats *self, const struct metric_sink *sink)
{
	struct walk walk; /* 25 KiB: not zeroed as a whole */

	walk.env = env;
	walk.snapshot = snapshot;
	walk.self = self;
	walk.sink = sink;
	walk.family = NULL;
	walk.label_cnt = 0;
	metrics__les(snapshot->layout, &walk.les);
	for (size_t i = 0; i < walk.les.cnt; i++)
		walk.buckets[i].le = walk.les.text[i];
	for (size_t i = 0; i < sizeof(series_families) / sizeof(series_families[0]); i++)
		walk__series(&walk, &series_families[i]);
	walk__in_flight(&walk);
	for (size_t i = 0; i < sizeof(port_families) / sizeof(port_families[0]); i++)
		walk__ports(&walk, &port_families[i]);
	walk__agent(&walk);
	walk__progs(&walk);
	walk__maps(&walk);
	walk__losses(&walk);
	if (!self)
		return;
	walk__process(&walk);
	if (self->sender_on)
		walk__sender(&walk);
}
