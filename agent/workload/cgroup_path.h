/* SPDX-License-Identifier: Apache-2.0 */
/* cgroup_path.h - what a cgroup's path says about its owner; pure functions over text. */
#ifndef SLID_CGROUP_PATH_H
#define SLID_CGROUP_PATH_H

#include <stddef.h>
#include "sli/snapshot.h"

#define CGROUP_UID_CAP 40       /* 36 characters and a NUL */
#define CGROUP_CONTAINER_CAP 65 /* 64 hex digits and a NUL */

struct cgroup_id_parts {
	char pod_uid[CGROUP_UID_CAP];         /* dashes as in the API, "" = none */
	char container[CGROUP_CONTAINER_CAP]; /* "" = none */
	const char *qos;                      /* "guaranteed", "burstable", "besteffort" or "" */
};

/* cgroup_path__parts - pod UID, container id and QoS class by the structural rule of Kubernetes'
 * cgroup managers: leftmost pod wins, the first later 64-hex component that is not conmon is the
 * container. path is relative to the cgroup root, "/kubepods/...". Never fails. */
void cgroup_path__parts(const char *path, struct cgroup_id_parts *parts);

/* cgroup_path__owner - the owner's labels from the path: systemd unit, container scope, pod UID,
 * else the path itself. Return: a new reference, or NULL without memory. */
struct owner *cgroup_path__owner(const char *path);

#endif
