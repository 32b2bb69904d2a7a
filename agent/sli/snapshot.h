/* SPDX-License-Identifier: Apache-2.0 */
/*
 * snapshot.h - all series at one moment, immutable and counted by reference: the collector makes
 * one, exporters and the server read it, from any thread. All counts are cumulative since
 * created_ms; none goes backwards from one snapshot to the next while the series lives.
 */
#ifndef SLID_SNAPSHOT_H
#define SLID_SNAPSHOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "slid/abi.h"
#include "base/own.h"
#include "sli/layout.h"

/* Whose numbers these are; the labels. Strings are never NULL, "" means not known and is then
 * left out of the labels. Shared between series and snapshots, counted by reference. */
struct owner {
	int ref_cnt; /* atomic */
	char *namespace_; /* owned, as all below */
	char *workload;   /* "nginx"; "unresolved" when nothing is known; never "" */
	char *workload_kind; /* "systemd", "docker", "pod", "cgroup", ... */
	char *pod;
	char *container;
};

/* One labelled histogram. Labels: owner's, port, method, code, error_type, by role and what. */
struct snapshot_series {
	const struct owner *owner; /* borrowed from the snapshot */
	struct slid_series_key key; /* .cgroup_id is 0: several cgroups may be one owner */
	uint64_t created_ms;  /* Unix time, ms: when counting began, from zero */
	uint64_t count;       /* = sum of buckets */
	uint64_t sum_ns;
	const uint64_t *buckets; /* borrowed; layout->bound_cnt + 1, not cumulative */
};

/* One port of an owner in one role. */
struct snapshot_port {
	const struct owner *owner; /* borrowed from the snapshot */
	struct slid_port_key key;  /* .cgroup_id is 0 */
	uint64_t created_ms;
	struct slid_port counts;
	uint64_t in_flight; /* requests without an end yet; a gauge */
};

/* slid's own numbers of one kernel program. */
struct snapshot_prog {
	const char *name; /* borrowed, static: "slid_ingress", ... */
	bool stats_on;    /* kernel.bpf_stats_enabled; the two below mean nothing without */
	double run_seconds;
	uint64_t run_cnt;
	uint64_t verified_insns;
};

/* Fill of one kernel map. */
struct snapshot_map {
	const char *name; /* borrowed, static: "slid_series", ... */
	uint64_t entries;
	uint64_t entries_max;
	uint64_t memory_bytes; /* as the kernel accounts it in fdinfo memlock; 0 = not known */
};

#define SNAPSHOT_PROGS_MAX 4
#define SNAPSHOT_MAPS_MAX  8

struct snapshot {
	int ref_cnt; /* atomic */
	uint64_t time_ms; /* Unix time of the reading */
	const struct layout *layout; /* borrowed; lives as long as the process */
	struct snapshot_series *series; /* owned, sorted: what, role, owner's labels, port, method, code */
	size_t series_cnt;
	struct snapshot_port *ports; /* owned, sorted by owner's labels, role, port */
	size_t port_cnt;
	uint64_t *bucket_pool;       /* owned, behind series[].buckets */
	uint64_t drops[SLID_DROP_CNT];
	uint64_t stats[SLID_STAT_CNT];
	struct snapshot_prog progs[SNAPSHOT_PROGS_MAX];
	size_t prog_cnt;
	struct snapshot_map maps[SNAPSHOT_MAPS_MAX];
	size_t map_cnt;
	uint64_t started_ms;    /* Unix time counting began (drops, stats) */
	double collect_seconds; /* CPU time of this reading of the maps */
	size_t workload_cnt;
};

/* owner__new - all strings copied; NULL counts as "". Return: NULL without memory. */
struct owner *owner__new(const char *namespace_, const char *workload, const char *workload_kind,
			 const char *pod, const char *container);
struct owner *owner__ref(const struct owner *owner);
void owner__unref(struct owner *owner);
/* owner__cmp - order of the label values; 0 = the same labels. */
int owner__cmp(const struct owner *a, const struct owner *b);

/* snapshot__ref, snapshot__unref - atomic; the last one frees, and drops one reference for each
 * owner pointer in series[] and ports[]. NULL is fine. */
struct snapshot *snapshot__ref(struct snapshot *snapshot);
void snapshot__unref(struct snapshot *snapshot);
DEFINE_CLEAN(struct snapshot, snapshot__unref)

/* Label values of the wire. Return: static strings; "_OTHER" for an unknown method. Source: RFC 9110
 * section 9; OpenTelemetry's http.request.method. */
const char *slid_method_name(unsigned int method);
const char *slid_error_name(unsigned int error);     /* "" for none */
const char *slid_proto_name(unsigned int proto);     /* "http1", "h2", "tls", "other" */
const char *slid_connect_name(unsigned int result);  /* "established", "refused", ... */
const char *slid_drop_name(unsigned int reason);     /* "series_full", ... */

#endif
