/* SPDX-License-Identifier: Apache-2.0 */
/*
 * workload.c - owns the map from cgroup ids to owners, and the watches that keep it true. A pass
 * reads the directories that changed (all of them, when the kernel's queue overflowed or watches
 * ran out), learns the new ones and marks the missing ones as gone. Directories vanish while they
 * are read: that is no error. Never holds counters.
 */
#include "workload/workload.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>

#include "workload/cgroup_path.h"

/* Vanished cgroups that nobody asked about: this many are kept, for counts that come late. */
#define GONE_MAX 4096
#define EVENTS	 (IN_CREATE | IN_DELETE | IN_ONLYDIR)

struct cgroup {
	uint64_t id; /* inode of the directory */
	uint64_t parent_id;
	char *path;	     /* owned; below the root, "/a/b" */
	struct owner *owner; /* owned */
	struct cgroup *next; /* borrowed; in the queue of directories to read */
	int watch;	     /* inotify's descriptor, -1 = none */
	uint64_t read_pass;  /* when its directory was read */
	uint64_t seen_pass;  /* when its parent's directory had it */
	uint64_t gone_idx;   /* order of vanishing, 0 = is there */
	bool is_scope;
	bool is_queued;
	bool is_asked; /* a caller may hold its owner */
};

struct workloads {
	int root_fd;
	int inotify_fd; /* -1 = every refresh reads all */
	char **scopes;	/* owned; below the root, "/a/b" */
	size_t scope_cnt;
	struct cgroup **cgroups; /* owned, sorted by id */
	size_t cgroup_cnt;
	size_t cgroup_cap;
	size_t live_cnt;
	struct cgroup *queue; /* borrowed; directories to read */
	uint64_t pass;
	uint64_t gone_idx;
	struct owner *unresolved; /* owned */
	bool read_all;		  /* the next pass must */
	bool asked_unknown;	  /* since the last refresh */
};

/* The path for the *at() calls. */
static const char *below_root(const char *path)
{
	return path[1] ? path + 1 : ".";
}

static size_t workloads__search(const struct workloads *workloads, uint64_t id)
{
	size_t lo = 0, hi = workloads->cgroup_cnt;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (workloads->cgroups[mid]->id < id)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static struct cgroup *workloads__get(const struct workloads *workloads, uint64_t id)
{
	size_t idx = workloads__search(workloads, id);

	if (idx < workloads->cgroup_cnt && workloads->cgroups[idx]->id == id)
		return workloads->cgroups[idx];
	return NULL;
}

static void cgroup__free(struct cgroup *cgroup)
{
	if (!cgroup)
		return;
	owner__unref(cgroup->owner);
	free(cgroup->path);
	free(cgroup);
}

static void workloads__queue(struct workloads *workloads, struct cgroup *cgroup)
{
	if (cgroup->is_queued || cgroup->gone_idx)
		return;
	cgroup->is_queued = true;
	cgroup->next = workloads->queue;
	workloads->queue = cgroup;
}

static void workloads__gone(struct workloads *workloads, struct cgroup *cgroup)
{
	if (cgroup->gone_idx)
		return;
	cgroup->gone_idx = ++workloads->gone_idx;
	workloads->live_cnt--;
	if (cgroup->watch >= 0)
		inotify_rm_watch(workloads->inotify_fd, cgroup->watch);
	cgroup->watch = -1;
}

static int workloads__insert(struct workloads *workloads, struct cgroup *cgroup)
{
	size_t idx = workloads__search(workloads, cgroup->id);

	if (workloads->cgroup_cnt == workloads->cgroup_cap) {
		size_t cap = workloads->cgroup_cap ? workloads->cgroup_cap * 2 : 64;
		struct cgroup **grown = reallocarray(workloads->cgroups, cap, sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		workloads->cgroups = grown;
		workloads->cgroup_cap = cap;
	}
	memmove(workloads->cgroups + idx + 1, workloads->cgroups + idx,
		(workloads->cgroup_cnt - idx) * sizeof(struct cgroup *));
	workloads->cgroups[idx] = cgroup;
	workloads->cgroup_cnt++;
	workloads->live_cnt++;
	return 0;
}

/* Learn the cgroup at path, or see it again. A new one is queued to be read. */
static int workloads__learn(struct workloads *workloads, uint64_t id, uint64_t parent_id,
			    const char *path, struct cgroup **ret)
{
	struct cgroup *cgroup = workloads__get(workloads, id);
	int err = -ENOMEM;

	if (cgroup) {
		if (cgroup->gone_idx) { /* taken for gone while it was being read */
			cgroup->gone_idx = 0;
			workloads->live_cnt++;
			workloads__queue(workloads, cgroup);
		}
		cgroup->seen_pass = workloads->pass;
		*ret = cgroup;
		return 0;
	}
	cgroup = calloc(1, sizeof(*cgroup));
	if (!cgroup)
		return -ENOMEM;
	*cgroup = (struct cgroup){
		.id = id,
		.parent_id = parent_id,
		.path = strdup(path),
		.owner = cgroup_path__owner(path),
		.watch = -1,
		.seen_pass = workloads->pass,
	};
	if (cgroup->path && cgroup->owner)
		err = workloads__insert(workloads, cgroup);
	if (err) {
		cgroup__free(cgroup);
		return err;
	}
	workloads__queue(workloads, cgroup);
	*ret = cgroup;
	return 0;
}

/* Watch before reading, so that what comes in between is read again. */
static void workloads__watch(struct workloads *workloads, struct cgroup *cgroup, int fd)
{
	char path[64];

	if (cgroup->watch >= 0 || workloads->inotify_fd < 0)
		return;
	/* By descriptor: the name may have come to mean another directory. */
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	cgroup->watch = inotify_add_watch(workloads->inotify_fd, path, EVENTS);
	if (cgroup->watch >= 0)
		return;
	/* Out of watches (ENOSPC) or no /proc: from here on every refresh reads all. */
	close(workloads->inotify_fd);
	workloads->inotify_fd = -1;
	for (size_t i = 0; i < workloads->cgroup_cnt; i++)
		workloads->cgroups[i]->watch = -1;
}

/* Learn the children of a directory. Takes fd over. */
static int workloads__read_children(struct workloads *workloads, const struct cgroup *cgroup,
				    int fd)
{
	DIR *dir = fdopendir(fd);
	char path[PATH_MAX];
	struct dirent *entry;
	int err = 0;

	if (!dir) {
		err = -errno;
		close(fd);
		return err;
	}
	while (!err && (entry = readdir(dir))) {
		const char *parent = cgroup->path[1] ? cgroup->path : "";
		struct cgroup *child;
		struct stat st;
		int len;

		if (entry->d_type != DT_DIR && entry->d_type != DT_UNKNOWN)
			continue;
		if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
			continue;
		if (fstatat(fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) || !S_ISDIR(st.st_mode))
			continue;
		len = snprintf(path, sizeof(path), "%s/%s", parent, entry->d_name);
		if (len < 0 || (size_t)len >= sizeof(path))
			continue; /* no path reaches it: stays unresolved */
		err = workloads__learn(workloads, st.st_ino, cgroup->id, path, &child);
	}
	closedir(dir);
	return err;
}

static int workloads__read(struct workloads *workloads, struct cgroup *cgroup)
{
	struct stat st;
	int fd;

	fd = openat(workloads->root_fd, below_root(cgroup->path),
		    O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0) {
		if (errno == EACCES)
			return 0; /* its children stay unresolved */
		if (errno != ENOENT && errno != ENODEV && errno != ENOTDIR)
			return -errno;
		workloads__gone(workloads, cgroup);
		return 0;
	}
	if (fstat(fd, &st) || st.st_ino != cgroup->id) { /* made anew under its name */
		close(fd);
		workloads__gone(workloads, cgroup);
		return 0;
	}
	workloads__watch(workloads, cgroup, fd);
	cgroup->read_pass = workloads->pass;
	return workloads__read_children(workloads, cgroup, fd);
}

/* Was this cgroup missing where it should have been seen in this pass? */
static bool workloads__is_missing(const struct workloads *workloads, const struct cgroup *cgroup)
{
	const struct cgroup *parent;

	if (cgroup->gone_idx || cgroup->seen_pass == workloads->pass)
		return false;
	if (cgroup->is_scope)
		return true;
	parent = workloads__get(workloads, cgroup->parent_id);
	return !parent || parent->gone_idx || parent->read_pass == workloads->pass;
}

static void workloads__remove(struct workloads *workloads, size_t idx)
{
	cgroup__free(workloads->cgroups[idx]);
	workloads->cgroup_cnt--;
	memmove(workloads->cgroups + idx, workloads->cgroups + idx + 1,
		(workloads->cgroup_cnt - idx) * sizeof(struct cgroup *));
}

/* Mark the missing; of those gone that nobody asked about keep the newest. */
static void workloads__sweep(struct workloads *workloads)
{
	size_t silent_cnt = 0;
	bool changed = true;

	while (changed) { /* once, and once more for children with an id under their parent's */
		changed = false;
		for (size_t i = 0; i < workloads->cgroup_cnt; i++) {
			if (!workloads__is_missing(workloads, workloads->cgroups[i]))
				continue;
			workloads__gone(workloads, workloads->cgroups[i]);
			changed = true;
		}
	}
	for (size_t i = 0; i < workloads->cgroup_cnt; i++)
		silent_cnt += workloads->cgroups[i]->gone_idx && !workloads->cgroups[i]->is_asked;
	if (silent_cnt <= GONE_MAX)
		return;
	for (size_t i = workloads->cgroup_cnt; i-- > 0;) {
		const struct cgroup *cgroup = workloads->cgroups[i];

		if (cgroup->gone_idx && !cgroup->is_asked &&
		    cgroup->gone_idx + GONE_MAX / 2 <= workloads->gone_idx)
			workloads__remove(workloads, i);
	}
}

/* See whether each scope is there, and is the directory it was. Return: changes, or -errno. */
static int workloads__read_scopes(struct workloads *workloads)
{
	int changed = 0, err;

	for (size_t i = 0; i < workloads->scope_cnt; i++) {
		const char *path = workloads->scopes[i];
		struct cgroup *cgroup;
		struct stat st;

		if (fstatat(workloads->root_fd, below_root(path), &st, AT_SYMLINK_NOFOLLOW) ||
		    !S_ISDIR(st.st_mode)) {
			changed++;
			continue;
		}
		err = workloads__learn(workloads, st.st_ino, 0, path, &cgroup);
		if (err)
			return err;
		changed += !cgroup->is_scope;
		cgroup->is_scope = true;
	}
	return changed;
}

/* Bring the map up to date: the queued directories, or all. */
static int workloads__pass(struct workloads *workloads)
{
	bool read_all = workloads->read_all || workloads->inotify_fd < 0;
	int err;

	workloads->pass++;
	workloads->read_all = true; /* until this pass has come through */
	err = workloads__read_scopes(workloads);
	if (err < 0)
		return err;
	for (size_t i = 0; read_all && i < workloads->cgroup_cnt; i++)
		workloads__queue(workloads, workloads->cgroups[i]);
	if (!err && !workloads->queue) {
		workloads->read_all = false;
		return 0;
	}
	for (err = 0; workloads->queue;) {
		struct cgroup *cgroup = workloads->queue;
		int failed;

		workloads->queue = cgroup->next;
		cgroup->is_queued = false;
		failed = workloads__read(workloads, cgroup);
		err = err ? err : failed;
	}
	workloads__sweep(workloads);
	workloads->read_all = err != 0;
	return err;
}

static void workloads__event(struct workloads *workloads, const struct inotify_event *event)
{
	if (event->mask & IN_Q_OVERFLOW)
		workloads->read_all = true;
	if (!(event->mask & IN_ISDIR))
		return;
	for (size_t i = 0; i < workloads->cgroup_cnt; i++) {
		if (workloads->cgroups[i]->watch != event->wd)
			continue;
		workloads__queue(workloads, workloads->cgroups[i]);
		return;
	}
}

/* Queue the directories that had children made or removed. */
static void workloads__drain(struct workloads *workloads)
{
	_Alignas(struct inotify_event) char events[16384];
	int last_watch = -1;
	ssize_t len;

	if (workloads->inotify_fd < 0)
		return;
	while ((len = read(workloads->inotify_fd, events, sizeof(events))) > 0) {
		for (char *at = events; at < events + len;) {
			const struct inotify_event *event = (const void *)at;

			if (event->wd != last_watch || !(event->mask & IN_ISDIR))
				workloads__event(workloads, event);
			last_watch = event->mask & IN_ISDIR ? event->wd : -1;
			at += sizeof(*event) + event->len;
		}
	}
	if (len < 0 && errno != EAGAIN && errno != EINTR)
		workloads->read_all = true;
}

int workloads__fd(const struct workloads *workloads)
{
	return workloads->inotify_fd;
}

int workloads__refresh(struct workloads *workloads)
{
	workloads->asked_unknown = false;
	workloads__drain(workloads);
	return workloads__pass(workloads);
}

const struct owner *workloads__find(struct workloads *workloads, uint64_t cgroup_id, bool *gone)
{
	struct cgroup *cgroup = workloads__get(workloads, cgroup_id);

	if (!cgroup && !workloads->asked_unknown) {
		workloads->asked_unknown = true;
		workloads->read_all = true;
		workloads__pass(workloads);
		cgroup = workloads__get(workloads, cgroup_id);
	}
	if (gone)
		*gone = !cgroup || cgroup->gone_idx;
	if (!cgroup)
		return workloads->unresolved;
	cgroup->is_asked = true;
	return cgroup->owner;
}

void workloads__forget(struct workloads *workloads, uint64_t cgroup_id)
{
	size_t idx = workloads__search(workloads, cgroup_id);

	if (idx == workloads->cgroup_cnt || workloads->cgroups[idx]->id != cgroup_id)
		return;
	if (workloads->cgroups[idx]->gone_idx)
		workloads__remove(workloads, idx);
	else
		workloads->cgroups[idx]->is_asked = false;
}

size_t workloads__cnt(const struct workloads *workloads)
{
	return workloads->live_cnt;
}

/* Remember the part of each scope's path below the root. */
static int workloads__add_scopes(struct workloads *workloads, const char *root,
				 const char *const *scopes, size_t scope_cnt)
{
	CLEAN_FREE char *real_root = realpath(root, NULL);
	size_t root_len;

	if (!real_root)
		return -errno;
	root_len = real_root[1] ? strlen(real_root) : 0;
	workloads->scopes = calloc(scope_cnt ? scope_cnt : 1, sizeof(*workloads->scopes));
	if (!workloads->scopes)
		return -ENOMEM;
	for (size_t i = 0; i < scope_cnt; i++) {
		CLEAN_FREE char *real = realpath(scopes[i], NULL);
		const char *below;
		struct stat st;

		if (!real || stat(real, &st))
			return -errno;
		if (!S_ISDIR(st.st_mode))
			return -ENOTDIR;
		if (strncmp(real, real_root, root_len) != 0 ||
		    (real[root_len] && real[root_len] != '/'))
			return -EXDEV;
		below = real[root_len] ? real + root_len : "/";
		workloads->scopes[i] = strdup(below);
		if (!workloads->scopes[i])
			return -ENOMEM;
		workloads->scope_cnt = i + 1;
	}
	return 0;
}

int workloads__open(const char *root, const char *const *scopes, size_t scope_cnt,
		    struct workloads **ret)
{
	CLEAN(workloads__free) struct workloads *workloads = calloc(1, sizeof(*workloads));
	int err;

	if (!workloads)
		return -ENOMEM;
	workloads->inotify_fd = -1;
	workloads->read_all = true;
	workloads->root_fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (workloads->root_fd < 0)
		return -errno;
	workloads->unresolved = owner__new("", "unresolved", "", "", "");
	if (!workloads->unresolved)
		return -ENOMEM;
	err = workloads__add_scopes(workloads, root, scopes, scope_cnt);
	if (err)
		return err;
	/* Without inotify (a limit of the user's instances) each refresh reads all. */
	workloads->inotify_fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	err = workloads__pass(workloads);
	if (err)
		return err;
	*ret = TAKE(workloads);
	return 0;
}

void workloads__free(struct workloads *workloads)
{
	if (!workloads)
		return;
	for (size_t i = 0; i < workloads->cgroup_cnt; i++)
		cgroup__free(workloads->cgroups[i]);
	free(workloads->cgroups);
	for (size_t i = 0; i < workloads->scope_cnt; i++)
		free(workloads->scopes[i]);
	free(workloads->scopes);
	owner__unref(workloads->unresolved);
	if (workloads->inotify_fd >= 0)
		close(workloads->inotify_fd);
	if (workloads->root_fd >= 0)
		close(workloads->root_fd);
	free(workloads);
}
