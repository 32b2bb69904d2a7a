/* SPDX-License-Identifier: Apache-2.0 */
/* scope.h - which cgroups to watch: where the cgroup v2 tree is mounted, the Kubernetes pods'
 * directory in it, and whether what the user named can be watched. Looks, changes nothing. */
#ifndef SLID_SCOPE_H
#define SLID_SCOPE_H

#include <stddef.h>

/* scope__root - mount point of the cgroup v2 tree, from a mountinfo file (NULL =
 * /proc/self/mountinfo). Of several the one that shows most of the tree: a host's tree bound into
 * a container before the container's own. Return: 0 and *ret owned by the caller; -ENOENT when no
 * cgroup v2 is mounted; -errno. Source: proc_pid_mountinfo(5). */
int scope__root(const char *mountinfo, char **ret);

/* scope__default - the directory of the Kubernetes pods below root: kubepods, kubepods.slice, or
 * one of these below the kubelet's own, at most three levels down; one with processes is preferred.
 * Return: 0 and *ret an absolute path owned by the caller; -ENOENT; -errno. */
int scope__default(const char *root, char **ret);

/* One directory a user may choose, and what it is in a few words. Both borrowed for the call.
 * Return: 0 to go on; anything else ends the walk. */
typedef int scope_fn(const char *path, const char *what, void *ctx);

/* scope__candidates - the directories one and two levels below root that have processes in or
 * below them, sorted by name, each before its children. Return: 0; what fn returned; -errno. */
int scope__candidates(const char *root, scope_fn *fn, void *ctx);

/* scope__check - can path be a scope? Return: 0 and *ret its real path, owned by the caller; -ENOENT;
 * -ENOTDIR; -EXDEV when it is not in the cgroup v2 tree mounted at root; -errno. */
int scope__check(const char *root, const char *path, char **ret);

/* scope__nested - is one of these real paths the same as another, or inside it? Its traffic would
 * be counted twice. Return: 0, or -EEXIST with the index of the outer and of the inner one. */
int scope__nested(const char *const *paths, size_t cnt, size_t *ret_outer, size_t *ret_inner);

#endif
