/* SPDX-License-Identifier: Apache-2.0 */
/*
 * workload.h - whose cgroup is this: from a cgroup id to the owner's labels, by the cgroup's path.
 * Keeps the tree below the scopes in mind and follows it as directories come and go. Holds no
 * counters and knows nothing of Prometheus.
 */
#ifndef SLID_WORKLOAD_H
#define SLID_WORKLOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/own.h"
#include "sli/snapshot.h"

struct workloads;

/* workloads__open - remember the cgroups below each scope (absolute paths of directories on a
 * cgroup v2 file system mounted at root). Return: 0, -ENOMEM, or -errno of the first scope. */
int workloads__open(const char *root, const char *const *scopes, size_t scope_cnt,
		    struct workloads **ret);
void workloads__free(struct workloads *workloads);
DEFINE_CLEAN(struct workloads, workloads__free)

/* workloads__refresh - look at the tree again: learn new cgroups, mark those that are gone.
 * Cheap when nothing changed. Return: 0 or -errno. */
int workloads__refresh(struct workloads *workloads);

/* workloads__fd - readable when there may be something to refresh: a cgroup that lives shorter than
 * the time between two readings is known only then. Borrowed; -1 = the kernel does not tell. */
int workloads__fd(const struct workloads *workloads);

/* workloads__find - the owner of a cgroup id. Never NULL: an unknown id gives the owner
 * "unresolved". *gone (may be NULL) is set when its directory was removed; an id never seen in the
 * tree counts as gone. The owner stays known after the directory is gone, until
 * workloads__forget. Return: borrowed, valid until workloads__forget or workloads__free. */
const struct owner *workloads__find(struct workloads *workloads, uint64_t cgroup_id, bool *gone);

/* workloads__forget - the last counts of a vanished cgroup have been exported; drop its entry. */
void workloads__forget(struct workloads *workloads, uint64_t cgroup_id);

size_t workloads__cnt(const struct workloads *workloads);

#endif
