/* SPDX-License-Identifier: Apache-2.0 */
/* table_snapshot.h - small snapshots put together by hand, for the tests of the table. */
#ifndef SLID_TABLE_SNAPSHOT_H
#define SLID_TABLE_SNAPSHOT_H

#include <stdlib.h>
#include <string.h>

#include "sli/snapshot.h"

#define TABLE_SERIES_MAX 64

/* One series to be: n requests of one duration. */
struct table_case {
	const char *namespace_, *workload, *pod;
	uint16_t port, status;
	uint8_t role, error, what;
	uint64_t dur_ns, n;
};

static inline struct snapshot *table_snapshot__new(const struct layout *layout, uint64_t time_ms)
{
	struct snapshot *snapshot = calloc(1, sizeof(*snapshot));

	if (!snapshot)
		abort();
	snapshot->ref_cnt = 1;
	snapshot->layout = layout;
	snapshot->time_ms = time_ms;
	snapshot->started_ms = 1000;
	snapshot->workload_cnt = 3;
	snapshot->series = calloc(TABLE_SERIES_MAX, sizeof(*snapshot->series));
	snapshot->ports = calloc(TABLE_SERIES_MAX, sizeof(*snapshot->ports));
	snapshot->bucket_pool =
		calloc(TABLE_SERIES_MAX * (layout->bound_cnt + 1), sizeof(*snapshot->bucket_pool));
	if (!snapshot->series || !snapshot->ports || !snapshot->bucket_pool)
		abort();
	return snapshot;
}

static inline void table_snapshot__add(struct snapshot *snapshot, const struct table_case *one)
{
	size_t bucket_cnt = snapshot->layout->bound_cnt + 1, idx = snapshot->series_cnt++;
	struct snapshot_series *series = &snapshot->series[idx];
	uint64_t *buckets = snapshot->bucket_pool + idx * bucket_cnt;

	if (idx >= TABLE_SERIES_MAX)
		abort();
	buckets[layout__bucket(snapshot->layout, one->dur_ns)] = one->n;
	*series = (struct snapshot_series){
		.owner = owner__new(one->namespace_, one->workload, "systemd", one->pod, ""),
		.key = {.port = one->port,
			.status = one->status,
			.method = SLID_METHOD_GET,
			.error = one->error,
			.role_what = SLID_ROLE_WHAT(one->role, one->what)},
		.created_ms = 1000,
		.count = one->n,
		.sum_ns = one->n * one->dur_ns,
		.buckets = buckets,
	};
}

static inline struct snapshot_port *table_snapshot__port(struct snapshot *snapshot,
							 const char *workload, uint16_t port,
							 uint8_t role, uint64_t in_flight)
{
	struct snapshot_port *counts = &snapshot->ports[snapshot->port_cnt++];

	*counts = (struct snapshot_port){
		.owner = owner__new("", workload, "systemd", "", ""),
		.key = {.port = port, .role = role},
		.created_ms = 1000,
		.in_flight = in_flight,
	};
	return counts;
}

#endif
