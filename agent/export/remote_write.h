/* SPDX-License-Identifier: Apache-2.0 */
/*
 * remote_write.h - snapshots to requests of Prometheus remote-write 1.0: protobuf, compressed by
 * snappy, cut into batches. Source: https://prometheus.io/docs/specs/prw/remote_write_spec/
 */
#ifndef SLID_REMOTE_WRITE_H
#define SLID_REMOTE_WRITE_H

#include <stddef.h>
#include <stdint.h>
#include "base/own.h"
#include "export/metrics.h"

struct batch;
struct remote_write;

#define REMOTE_WRITE_BATCH_SERIES 2000

/* Takes a batch. Return: 0, or -errno, which ends the push. */
typedef int(remote_write_fn)(void *ctx, struct batch *batch);

/* remote_write__new - an encoder; env is borrowed until remote_write__free.
 * @batch_series: most series in one request, 0 = REMOTE_WRITE_BATCH_SERIES; one histogram is never
 * cut, however many series it is. Return: 0 or -ENOMEM. */
int remote_write__new(const struct metrics_env *env, size_t batch_series,
		      struct remote_write **ret);

/* remote_write__push - encode all of snapshot, and of self unless it is NULL, at the snapshot's
 * time; then one stale marker for each series that the push before had and this one has not.
 * Return: 0; -ESTALE when its time is not after the last push's, with nothing sent; -ENOMEM; -E2BIG
 * for labels that no batch can hold; or emit's. After an error the series already handed over stay
 * so. */
int remote_write__push(struct remote_write *rw, const struct snapshot *snapshot,
		       const struct self_stats *self, remote_write_fn *emit, void *ctx);

/* remote_write__stale_snapshots - how often push said -ESTALE. From any thread. */
uint64_t remote_write__stale_snapshots(const struct remote_write *rw);

void remote_write__free(struct remote_write *rw);
DEFINE_CLEAN(struct remote_write, remote_write__free)

#endif
