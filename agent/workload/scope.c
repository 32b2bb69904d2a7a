/* SPDX-License-Identifier: Apache-2.0 */
/* scope.c - owns the knowledge of where cgroup trees are and which parts of them are worth
 * watching. Keeps no state; reads mountinfo and directories, and writes nothing. */
#include "workload/scope.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <linux/magic.h>

#include "base/own.h"

#define LINE_MAX_BYTES 16384 /* two paths of PATH_MAX, escaped at worst 4:1 in part, and options \
			      */
#define DEFAULT_LEVELS	 3
#define CANDIDATE_LEVELS 2

/* Undo mountinfo's \ooo in place. */
static void text__unescape_octal(char *text)
{
	char *out = text;

	while (*text) {
		if (text[0] == '\\' && text[1] >= '0' && text[1] <= '3' && text[2] >= '0' &&
		    text[2] <= '7' && text[3] >= '0' && text[3] <= '7') {
			*out++ = (char)((text[1] - '0') * 64 + (text[2] - '0') * 8 + text[3] - '0');
			text += 4;
		} else {
			*out++ = *text++;
		}
	}
	*out = '\0';
}

/* The mount's root and mount point, when the line is a cgroup v2 mount. Both point into line. */
static bool mountinfo__parse(char *line, const char **ret_root, char **ret_point)
{
	char *save = NULL, *field = strtok_r(line, " \n", &save), *root = NULL, *point = NULL;
	int idx = 0;

	for (; field && strcmp(field, "-") != 0; field = strtok_r(NULL, " \n", &save), idx++) {
		if (idx == 3)
			root = field;
		else if (idx == 4)
			point = field;
	}
	field = field ? strtok_r(NULL, " \n", &save) : NULL;
	if (!field || strcmp(field, "cgroup2") != 0 || !root || !point)
		return false;
	text__unescape_octal(point);
	*ret_root = root;
	*ret_point = point;
	return true;
}

/* How much of the tree a mount shows: "/../.." is above our cgroup namespace, "/x" a part of it. */
static int mountinfo__rank(const char *root)
{
	if (!strncmp(root, "/..", 3))
		return 3;
	return root[1] ? 1 : 2;
}

int scope__root(const char *mountinfo, char **ret)
{
	FILE *file = fopen(mountinfo ? mountinfo : "/proc/self/mountinfo", "re");
	CLEAN_FREE char *line = NULL, *best = NULL;
	bool cut = false;
	int best_rank = 0;

	if (!file)
		return -errno;
	line = malloc(LINE_MAX_BYTES);
	while (line && fgets(line, LINE_MAX_BYTES, file)) {
		bool skip = cut; /* the rest of a line too long to be one of ours */
		const char *root;
		char *point;

		cut = !strchr(line, '\n') && strlen(line) == LINE_MAX_BYTES - 1;
		if (skip || cut || !mountinfo__parse(line, &root, &point) ||
		    mountinfo__rank(root) <= best_rank)
			continue;
		best_rank = mountinfo__rank(root);
		free(best);
		best = strdup(point);
	}
	fclose(file);
	if (!line || (best_rank && !best))
		return -ENOMEM;
	if (!best)
		return -ENOENT;
	*ret = TAKE(best);
	return 0;
}

static bool name__ends(const char *name, const char *end)
{
	size_t len = strlen(name), end_len = strlen(end);

	return len > end_len && !strcmp(name + len - end_len, end);
}

/* Are there processes in or below this cgroup? Source: cgroup-v2.rst, cgroup.events. */
static bool cgroup__is_populated(const char *path)
{
	char events[256], *file_path = NULL;
	CLEAN_FD int fd = -1;
	ssize_t len;

	if (asprintf(&file_path, "%s/cgroup.events", path) < 0)
		return false;
	fd = open(file_path, O_RDONLY | O_CLOEXEC);
	free(file_path);
	if (fd < 0)
		return false;
	len = read(fd, events, sizeof(events) - 1);
	if (len <= 0)
		return false;
	events[len] = '\0';
	return strstr(events, "populated 1");
}

static int dir__filter(const struct dirent *entry)
{
	return (entry->d_type == DT_DIR || entry->d_type == DT_UNKNOWN) &&
	       strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
}

/* A walk over the names of one tree, level by level below path. */
typedef int walk_fn(const char *path, const char *name, int level, void *ctx);

#define WALK_SKIP 1 /* from walk_fn: do not look below this directory */

/* Call fn for each directory, sorted, before its children. Return: 0, or what fn returned < 0. */
static int dir__walk(const char *path, int level, int levels, walk_fn *fn, void *ctx)
{
	struct dirent **names = NULL;
	int cnt, err = 0;

	cnt = scandir(path, &names, dir__filter, alphasort);
	if (cnt < 0)
		return errno == ENOMEM || level == 1 ? -errno : 0; /* gone meanwhile */
	for (int i = 0; i < cnt; i++) {
		CLEAN_FREE char *child = NULL;
		struct stat st;

		if (!err && asprintf(&child, "%s/%s", path[1] ? path : "", names[i]->d_name) < 0) {
			child = NULL;
			err = -ENOMEM;
		}
		if (!err && !lstat(child, &st) && S_ISDIR(st.st_mode)) {
			err = fn(child, names[i]->d_name, level, ctx);
			if (!err && level < levels)
				err = dir__walk(child, level + 1, levels, fn, ctx);
			if (err == WALK_SKIP)
				err = 0;
		}
		free(names[i]);
	}
	free(names);
	return err;
}

static bool name__is_pods(const char *name)
{
	return !strcmp(name, "kubepods") || !strcmp(name, "kubepods.slice") ||
	       name__ends(name, "-kubepods.slice");
}

struct default_scope {
	char *path; /* owned */
	int level;
	bool populated;
};

/* Keep the best so far: with processes before empty, then the one highest up. */
static int default__visit(const char *path, const char *name, int level, void *ctx)
{
	struct default_scope *best = ctx;
	bool populated;
	char *copy;

	if (!name__is_pods(name))
		return 0;
	populated = cgroup__is_populated(path);
	if (best->path &&
	    (populated < best->populated || (populated == best->populated && level >= best->level)))
		return WALK_SKIP;
	copy = strdup(path);
	if (!copy)
		return -ENOMEM;
	free(best->path);
	*best = (struct default_scope){.path = copy, .level = level, .populated = populated};
	return WALK_SKIP;
}

int scope__default(const char *root, char **ret)
{
	struct default_scope best = {0};
	int err = dir__walk(root, 1, DEFAULT_LEVELS, default__visit, &best);

	if (!err && !best.path)
		err = -ENOENT;
	if (err) {
		free(best.path);
		return err;
	}
	*ret = best.path;
	return 0;
}

struct candidates {
	scope_fn *fn;
	void *ctx;
	int stopped; /* what fn returned */
};

static const char *name__what(const char *name)
{
	static const struct {
		const char *name;
		const char *what;
	} known[] = {
		{"system.slice", "all system services"},
		{"user.slice", "all user sessions"},
		{"machine.slice", "virtual machines and containers"},
		{"init.scope", "the init process"},
		{"docker", "all Docker containers"},
		{"libpod_parent", "all Podman containers"},
	};

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (!strcmp(name, known[i].name))
			return known[i].what;
	if (name__is_pods(name))
		return "all Kubernetes pods";
	if (!strncmp(name, "docker-", 7) && name__ends(name, ".scope"))
		return "a Docker container";
	if (!strncmp(name, "libpod-", 7))
		return "a Podman container";
	if (name__ends(name, ".service"))
		return "a systemd service";
	if (name__ends(name, ".slice"))
		return "a systemd slice";
	if (name__ends(name, ".scope"))
		return "a systemd scope";
	return "a cgroup with processes";
}

static int candidates__visit(const char *path, const char *name, int level, void *ctx)
{
	struct candidates *candidates = ctx;

	(void)level;
	if (!cgroup__is_populated(path))
		return WALK_SKIP;
	candidates->stopped = candidates->fn(path, name__what(name), candidates->ctx);
	return candidates->stopped ? -ECANCELED : 0;
}

int scope__candidates(const char *root, scope_fn *fn, void *ctx)
{
	struct candidates candidates = {.fn = fn, .ctx = ctx};
	int err = dir__walk(root, 1, CANDIDATE_LEVELS, candidates__visit, &candidates);

	return candidates.stopped ? candidates.stopped : err;
}

/* Is inner the same directory as outer, or below it? Both real paths. */
static bool path__is_below(const char *inner, const char *outer)
{
	size_t len = outer[1] ? strlen(outer) : 0;

	return !strncmp(inner, outer, len) && (!inner[len] || inner[len] == '/');
}

int scope__check(const char *root, const char *path, char **ret)
{
	CLEAN_FREE char *real_root = realpath(root, NULL);
	CLEAN_FREE char *real = NULL;
	struct statfs fs;
	struct stat st;

	if (!real_root)
		return -errno;
	real = realpath(path, NULL);
	if (!real || stat(real, &st) || statfs(real, &fs))
		return -errno;
	if (!S_ISDIR(st.st_mode))
		return -ENOTDIR;
	if (fs.f_type != CGROUP2_SUPER_MAGIC || !path__is_below(real, real_root))
		return -EXDEV;
	*ret = TAKE(real);
	return 0;
}

int scope__nested(const char *const *paths, size_t cnt, size_t *ret_outer, size_t *ret_inner)
{
	for (size_t outer = 0; outer < cnt; outer++) {
		for (size_t inner = 0; inner < cnt; inner++) {
			if (inner == outer || !path__is_below(paths[inner], paths[outer]))
				continue;
			*ret_outer = outer;
			*ret_inner = inner;
			return -EEXIST;
		}
	}
	return 0;
}
