/* SPDX-License-Identifier: Apache-2.0 */
/*
 * capture.h - the kernel programs as the agent sees them: load, attach to cgroups, read what they
 * counted. Knows nothing of workloads or Prometheus.
 */
#ifndef SLID_CAPTURE_H
#define SLID_CAPTURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "slid/abi.h"
#include "base/own.h"
#include "sli/layout.h"
#include "sli/snapshot.h"

struct capture;

struct capture_opts {
	const struct layout *layout; /* borrowed for capture__open */
	uint64_t series_max;         /* series, and ports, that the kernel may hold */
	bool ttfb;                   /* count time to first byte too */
};

/* capture__open - load the programs; nothing is attached yet. why: one line for the user when it
 * fails. Return: 0 or -errno (-EPERM: capabilities; -ENOENT: no BPF in this kernel; ...). */
int capture__open(const struct capture_opts *opts, char *why, size_t cap, struct capture **ret);

/* capture__attach - watch the sockets below a cgroup v2 directory, from now on. */
int capture__attach(struct capture *capture, const char *cgroup_dir, char *why, size_t cap);

/* capture__free - detach and unload. NULL is fine. */
void capture__free(struct capture *capture);
DEFINE_CLEAN(struct capture, capture__free)

/* What the kernel holds, all CPUs together, in no order. A key may come several times: its counts are
 * the sum of all. */
struct capture_sink {
	void *ctx;
	/* series - buckets: layout->bound_cnt + 1, not cumulative, borrowed for the call. */
	void (*series)(void *ctx, const struct slid_series_key *key, uint64_t sum_ns,
		       const uint64_t *buckets);
	void (*port)(void *ctx, const struct slid_port_key *key, const struct slid_port *counts);
};

/* capture__drain - hand out every series, then every port; counts are cumulative and stay.
 * Return: 0 or -errno of the first read that failed. */
int capture__drain(struct capture *capture, const struct capture_sink *sink);

/* capture__forget_series, capture__forget_port - remove a key; its counts are gone. */
void capture__forget_series(struct capture *capture, const struct slid_series_key *key);
void capture__forget_port(struct capture *capture, const struct slid_port_key *key);

/* capture__self - drops, statistics, programs and maps into a snapshot being made. */
int capture__self(struct capture *capture, struct snapshot *snapshot);

#endif
