/* SPDX-License-Identifier: Apache-2.0 */
/*
 * capture.c - owns the loaded programs, their links and the reading of their maps. It must never
 * know whose a cgroup is.
 */
#include "capture/capture.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "slid.skel.h"

struct capture {
	struct slid_bpf *bpf; /* owned */
	struct bpf_link **links; /* owned, each too */
	size_t link_cnt;
	size_t cpu_cnt;
	size_t bucket_cnt;
	size_t hist_bytes;   /* of one CPU's part of a series, as the map pads it */
	uint8_t *percpu;     /* owned; room for one value of every CPU */
	uint64_t *buckets;   /* owned; one series, summed */
	uint64_t series_cnt; /* as of the last drain */
	uint64_t port_cnt;
	uint64_t spill_cnt;
	uint64_t series_max;
};

/* libbpf's own lines, the verifier's among them, are for developers: the user gets one of ours. */
static int capture_print(enum libbpf_print_level level, const char *fmt, va_list args)
{
	CLEAN_FREE char *text = NULL;
	char *rest, *line;

	(void)level;
	if (vasprintf(&text, fmt, args) < 0) {
		text = NULL;
		return 0;
	}
	rest = text;
	while ((line = strsep(&rest, "\n"))) {
		if (*line)
			log_debug("%s", line);
	}
	return 0;
}

static int capture__why(int err, char *why, size_t cap, const char *what)
{
	const char *hint = "see the kernel's log, or run with --log-level debug";

	if (err == -EPERM)
		hint = "needs root, or CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON (see deploy/)";
	else if (err == -EACCES || err == -EFAULT)
		hint = "the kernel's verifier refused them, as it does without CAP_PERFMON (see deploy/); "
		       "else run with --log-level debug and report it";
	else if (err == -ENOMEM)
		hint = "not enough memory, or RLIMIT_MEMLOCK is too low for a kernel before 5.11";
	else if (err == -EINVAL || err == -E2BIG || err == -ENOSPC)
		hint = "the kernel refused the programs; slid needs Linux 5.10 or later";
	snprintf(why, cap, "cannot %s: %s; %s", what, err_name(err), hint);
	return err;
}

/* Give the programs the layout: their bucket search is layout__bucket()'s. */
static void capture__set_layout(struct slid_bpf *bpf, const struct layout *layout)
{
	/* Constants for the programs, plain memory for us until they are loaded. */
	uint64_t *bounds = (uint64_t *)(uintptr_t)bpf->rodata->slid_bounds;
	uint16_t *cells = (uint16_t *)(uintptr_t)bpf->rodata->slid_cells;

	*(uint32_t *)(uintptr_t)&bpf->rodata->slid_bound_cnt = (uint32_t)layout->bound_cnt;
	for (size_t i = 0; i < layout->bound_cnt; i++)
		bounds[i] = layout->bounds[i].ns;
	memcpy(cells, layout->cells, sizeof(layout->cells));
}

static int capture__size_maps(struct capture *capture, const struct capture_opts *opts)
{
	uint32_t hist_bytes = (uint32_t)(sizeof(struct slid_hist) + 8 * capture->bucket_cnt);
	int err;

	capture->hist_bytes = hist_bytes;
	err = bpf_map__set_value_size(capture->bpf->maps.slid_series, hist_bytes);
	if (!err) /* also the empty value of a new port */
		err = bpf_map__set_value_size(capture->bpf->maps.slid_zero,
					      hist_bytes > sizeof(struct slid_port) ?
						      hist_bytes :
						      (uint32_t)sizeof(struct slid_port));
	if (!err)
		err = bpf_map__set_max_entries(capture->bpf->maps.slid_series,
					       (uint32_t)opts->series_max);
	if (!err)
		err = bpf_map__set_max_entries(capture->bpf->maps.slid_ports,
					       (uint32_t)opts->series_max);
	return err;
}

/* The overflow series is there before any other, so that a full map has a place to count. */
static int capture__add_overflow(struct capture *capture)
{
	struct slid_series_key key = { 0 };

	memset(capture->percpu, 0, capture->cpu_cnt * capture->hist_bytes);
	return bpf_map_update_elem(bpf_map__fd(capture->bpf->maps.slid_series), &key,
				   capture->percpu, BPF_NOEXIST);
}

int capture__open(const struct capture_opts *opts, char *why, size_t cap, struct capture **ret)
{
	CLEAN(capture__free) struct capture *capture = calloc(1, sizeof(*capture));
	int err, cpus = libbpf_num_possible_cpus();
	size_t value_max;

	if (!capture)
		return capture__why(-ENOMEM, why, cap, "start");
	if (cpus < 0)
		return capture__why(cpus, why, cap, "count the CPUs");
	libbpf_set_print(capture_print);
	capture->cpu_cnt = (size_t)cpus;
	capture->bucket_cnt = opts->layout->bound_cnt + 1;
	capture->series_max = opts->series_max;
	capture->bpf = slid_bpf__open();
	if (!capture->bpf)
		return capture__why(-errno, why, cap, "open the kernel programs");
	capture__set_layout(capture->bpf, opts->layout);
	*(uint8_t *)(uintptr_t)&capture->bpf->rodata->slid_ttfb = opts->ttfb;
	err = capture__size_maps(capture, opts);
	if (err)
		return capture__why(err, why, cap, "size the maps");
	value_max = capture->hist_bytes > sizeof(struct slid_port) ? capture->hist_bytes :
								     sizeof(struct slid_port);
	capture->percpu = calloc(capture->cpu_cnt, value_max);
	capture->buckets = calloc(capture->bucket_cnt, sizeof(*capture->buckets));
	if (!capture->percpu || !capture->buckets)
		return capture__why(-ENOMEM, why, cap, "start");
	err = slid_bpf__load(capture->bpf);
	if (err)
		return capture__why(err, why, cap, "load the kernel programs");
	err = capture__add_overflow(capture);
	if (err)
		return capture__why(err, why, cap, "prepare the series map");
	*ret = TAKE(capture);
	return 0;
}

int capture__attach(struct capture *capture, const char *cgroup_dir, char *why, size_t cap)
{
	/* The connections' births first: a packet must not find a connection that nobody announced. */
	const struct bpf_program *progs[] = {
		capture->bpf->progs.slid_sockops,
		capture->bpf->progs.slid_ingress,
		capture->bpf->progs.slid_egress,
	};
	const size_t prog_cnt = sizeof(progs) / sizeof(progs[0]);
	CLEAN_FD int fd = open(cgroup_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct bpf_link **links;
	char what[512];

	if (fd < 0) {
		snprintf(what, sizeof(what), "open the scope %s", cgroup_dir);
		return capture__why(-errno, why, cap, what);
	}
	links = reallocarray(capture->links, capture->link_cnt + prog_cnt, sizeof(struct bpf_link *));
	if (!links)
		return capture__why(-ENOMEM, why, cap, "attach");
	capture->links = links;
	for (size_t i = 0; i < prog_cnt; i++) {
		struct bpf_link *link = bpf_program__attach_cgroup(progs[i], fd);

		if (!link) {
			int err = -errno;

			snprintf(what, sizeof(what), "attach %s to %s",
				 bpf_program__name(progs[i]), cgroup_dir);
			if (err != -EPERM)
				return capture__why(err, why, cap, what);
			snprintf(why, cap,
				 "cannot %s: EPERM; needs CAP_NET_ADMIN beside CAP_BPF (see deploy/), or "
				 "another program holds this cgroup exclusively (bpftool cgroup show)",
				 what);
			return err;
		}
		capture->links[capture->link_cnt++] = link;
	}
	return 0;
}

void capture__free(struct capture *capture)
{
	if (!capture)
		return;
	for (size_t i = 0; i < capture->link_cnt; i++)
		bpf_link__destroy(capture->links[i]);
	free(capture->links);
	slid_bpf__destroy(capture->bpf);
	free(capture->percpu);
	free(capture->buckets);
	free(capture);
}

/* Sum a series' value over the CPUs into capture->buckets. Return: the sum of durations. */
static uint64_t capture__sum_series(struct capture *capture)
{
	uint64_t sum_ns = 0;

	memset(capture->buckets, 0, capture->bucket_cnt * sizeof(*capture->buckets));
	for (size_t cpu = 0; cpu < capture->cpu_cnt; cpu++) {
		const struct slid_hist *hist =
			(const void *)(capture->percpu + cpu * capture->hist_bytes);

		sum_ns += hist->sum_ns;
		for (size_t i = 0; i < capture->bucket_cnt; i++)
			capture->buckets[i] += hist->buckets[i];
	}
	return sum_ns;
}

static int capture__drain_series(struct capture *capture, const struct capture_sink *sink)
{
	int fd = bpf_map__fd(capture->bpf->maps.slid_series);
	struct slid_series_key key, *prev = NULL;

	capture->series_cnt = 0;
	while (!bpf_map_get_next_key(fd, prev, &key)) {
		prev = &key;
		if (bpf_map_lookup_elem(fd, &key, capture->percpu)) {
			if (errno == ENOENT)
				continue;
			return -errno;
		}
		capture->series_cnt++;
		sink->series(sink->ctx, &key, capture__sum_series(capture), capture->buckets);
	}
	return errno == ENOENT ? 0 : -errno;
}

static int capture__drain_ports(struct capture *capture, const struct capture_sink *sink)
{
	int fd = bpf_map__fd(capture->bpf->maps.slid_ports);
	struct slid_port_key key, *prev = NULL;

	capture->port_cnt = 0;
	while (!bpf_map_get_next_key(fd, prev, &key)) {
		struct slid_port counts = { 0 };
		uint64_t *to = (uint64_t *)&counts;

		prev = &key;
		if (bpf_map_lookup_elem(fd, &key, capture->percpu)) {
			if (errno == ENOENT)
				continue;
			return -errno;
		}
		for (size_t cpu = 0; cpu < capture->cpu_cnt; cpu++) {
			const uint64_t *from =
				(const void *)(capture->percpu + cpu * sizeof(struct slid_port));

			for (size_t i = 0; i < sizeof(counts) / 8; i++)
				to[i] += from[i];
		}
		capture->port_cnt++;
		sink->port(sink->ctx, &key, &counts);
	}
	return errno == ENOENT ? 0 : -errno;
}

/* The fields of a key behind its cgroup id, as slid_observe() and slid_port_add() take them. */
static uint64_t series_fields(const struct slid_series_key *key)
{
	return key->port | (uint64_t)key->status << 16 | (uint64_t)key->method << 32 |
	       (uint64_t)key->error << 40 | (uint64_t)key->route << 48 |
	       (uint64_t)key->role_what << 56;
}

static uint64_t port_fields(const struct slid_port_key *key)
{
	return key->port | (uint64_t)key->role << 16;
}

/* A count that waits aside is a part of its series or port like any other. */
static void capture__hand_spill(struct capture *capture, const struct capture_sink *sink,
				const struct slid_spill_key *key, const struct slid_spill *spill)
{
	const struct slid_series_key series = {
		.cgroup_id = key->cgroup_id,
		.port = (uint16_t)key->fields,
		.status = (uint16_t)(key->fields >> 16),
		.method = (uint8_t)(key->fields >> 32),
		.error = (uint8_t)(key->fields >> 40),
		.route = (uint8_t)(key->fields >> 48),
		.role_what = (uint8_t)(key->fields >> 56),
	};
	const struct slid_port_key port = {
		.cgroup_id = key->cgroup_id,
		.port = (uint16_t)key->fields,
		.role = (uint8_t)(key->fields >> 16),
	};
	struct slid_port counts = { 0 };

	if (key->is_port && key->idx < sizeof(counts) / 8) {
		((uint64_t *)&counts)[key->idx] = spill->cnt;
		sink->port(sink->ctx, &port, &counts);
	} else if (!key->is_port && key->idx < capture->bucket_cnt) {
		memset(capture->buckets, 0, capture->bucket_cnt * sizeof(*capture->buckets));
		capture->buckets[key->idx] = spill->cnt;
		sink->series(sink->ctx, &series, spill->sum_ns, capture->buckets);
	}
}

static int capture__drain_spills(struct capture *capture, const struct capture_sink *sink)
{
	int fd = bpf_map__fd(capture->bpf->maps.slid_spills);
	struct slid_spill_key key, *prev = NULL;

	capture->spill_cnt = 0;
	while (!bpf_map_get_next_key(fd, prev, &key)) {
		struct slid_spill spill;

		prev = &key;
		if (bpf_map_lookup_elem(fd, &key, &spill)) {
			if (errno == ENOENT)
				continue;
			return -errno;
		}
		capture->spill_cnt++;
		capture__hand_spill(capture, sink, &key, &spill);
	}
	return errno == ENOENT ? 0 : -errno;
}

int capture__drain(struct capture *capture, const struct capture_sink *sink)
{
	int err = capture__drain_series(capture, sink);

	if (!err)
		err = capture__drain_ports(capture, sink);
	return err ? err : capture__drain_spills(capture, sink);
}

/* What waits aside of a series or port goes with it. */
static void capture__forget_spills(struct capture *capture, uint64_t cgroup_id, uint64_t fields,
				   bool is_port)
{
	struct slid_spill_key key = { .cgroup_id = cgroup_id, .fields = fields, .is_port = is_port };
	size_t cnt = is_port ? sizeof(struct slid_port) / 8 : capture->bucket_cnt;

	if (!capture->spill_cnt)
		return;
	for (; key.idx < cnt; key.idx++)
		bpf_map_delete_elem(bpf_map__fd(capture->bpf->maps.slid_spills), &key);
}

void capture__forget_series(struct capture *capture, const struct slid_series_key *key)
{
	bpf_map_delete_elem(bpf_map__fd(capture->bpf->maps.slid_series), key);
	capture__forget_spills(capture, key->cgroup_id, series_fields(key), false);
}

void capture__forget_port(struct capture *capture, const struct slid_port_key *key)
{
	bpf_map_delete_elem(bpf_map__fd(capture->bpf->maps.slid_ports), key);
	capture__forget_spills(capture, key->cgroup_id, port_fields(key), true);
}

/* What the kernel accounts for a map: "memlock" in fdinfo, in bytes. 0 = not known. */
static uint64_t capture__map_memory(int fd)
{
	char path[64], line[128];
	uint64_t bytes = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	file = fopen(path, "re");
	if (!file)
		return 0;
	while (fgets(line, sizeof(line), file)) {
		if (!strncmp(line, "memlock:", 8)) {
			bytes = strtoull(line + 8, NULL, 10);
			break;
		}
	}
	fclose(file);
	return bytes;
}

static void capture__self_maps(struct capture *capture, struct snapshot *snapshot)
{
	const struct {
		const char *name;
		const struct bpf_map *map;
		uint64_t entries, entries_max;
	} maps[] = {
		{ "slid_series", capture->bpf->maps.slid_series, capture->series_cnt,
		  capture->series_max },
		{ "slid_ports", capture->bpf->maps.slid_ports, capture->port_cnt,
		  capture->series_max },
		{ "slid_spills", capture->bpf->maps.slid_spills, capture->spill_cnt, SLID_SPILLS },
	};

	for (size_t i = 0; i < sizeof(maps) / sizeof(maps[0]); i++) {
		snapshot->maps[i] = (struct snapshot_map){
			.name = maps[i].name,
			.entries = maps[i].entries,
			.entries_max = maps[i].entries_max,
			.memory_bytes = capture__map_memory(bpf_map__fd(maps[i].map)),
		};
	}
	snapshot->map_cnt = sizeof(maps) / sizeof(maps[0]);
}

static bool capture__stats_on(void)
{
	FILE *file = fopen("/proc/sys/kernel/bpf_stats_enabled", "re");
	int on = file ? fgetc(file) : '0';

	if (file)
		fclose(file);
	return on == '1';
}

static void capture__self_progs(struct capture *capture, struct snapshot *snapshot)
{
	bool stats_on = capture__stats_on();
	struct bpf_program *prog;
	size_t cnt = 0;

	bpf_object__for_each_program(prog, capture->bpf->obj)
	{
		struct bpf_prog_info info = { 0 };
		__u32 len = sizeof(info);

		if (cnt == SNAPSHOT_PROGS_MAX ||
		    bpf_obj_get_info_by_fd(bpf_program__fd(prog), &info, &len))
			continue;
		snapshot->progs[cnt++] = (struct snapshot_prog){
			.name = bpf_program__name(prog),
			.stats_on = stats_on,
			.run_seconds = (double)info.run_time_ns / 1e9,
			.run_cnt = info.run_cnt,
			.verified_insns = info.verified_insns,
		};
	}
	snapshot->prog_cnt = cnt;
}

int capture__self(struct capture *capture, struct snapshot *snapshot)
{
	int fd = bpf_map__fd(capture->bpf->maps.slid_drops);
	const uint64_t *values = (const void *)capture->percpu;

	for (uint32_t i = 0; i < SLID_DROP_CNT + SLID_STAT_CNT; i++) {
		uint64_t sum = 0;

		if (bpf_map_lookup_elem(fd, &i, capture->percpu))
			return -errno;
		for (size_t cpu = 0; cpu < capture->cpu_cnt; cpu++)
			sum += values[cpu];
		if (i < SLID_DROP_CNT)
			snapshot->drops[i] = sum;
		else
			snapshot->stats[i - SLID_DROP_CNT] = sum;
	}
	capture__self_maps(capture, snapshot);
	capture__self_progs(capture, snapshot);
	return 0;
}
