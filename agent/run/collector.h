/* SPDX-License-Identifier: Apache-2.0 */
/*
 * collector.h - one reading of everything: kernel maps -> owners -> series -> snapshot. Decides
 * when the series of a vanished cgroup have been shown long enough.
 */
#ifndef SLID_COLLECTOR_H
#define SLID_COLLECTOR_H

#include <stdint.h>
#include "base/own.h"
#include "capture/capture.h"
#include "sli/snapshot.h"
#include "workload/workload.h"

struct collector;

/* collector__new - capture and workloads are borrowed; so is layout, for longer than any snapshot.
 * @grace_ms: how long a vanished cgroup's counts are shown after they last changed, so that every
 * reader sees them at least once. Return: 0 or -ENOMEM. */
int collector__new(struct capture *capture, struct workloads *workloads,
		   const struct layout *layout, uint64_t grace_ms, struct collector **ret);
void collector__free(struct collector *collector);
DEFINE_CLEAN(struct collector, collector__free)

/* collector__collect - read all now. From any thread, one at a time. Return: 0 and a reference for
 * the caller, or -errno. */
int collector__collect(struct collector *collector, struct snapshot **ret);

/* collector__fd - readable when cgroups came or went: call collector__refresh, so that one that
 * lives shorter than the time between two readings has a name. -1 = the kernel does not tell (any
 * more): ask again before each wait. From any thread. */
int collector__fd(struct collector *collector);
void collector__refresh(struct collector *collector);

#endif
