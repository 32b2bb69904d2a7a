/* SPDX-License-Identifier: Apache-2.0 */
/*
 * collector.c - owns the ledger and the list of vanished cgroups whose counts are still shown; must
 * never name a metric or a label.
 */
#include "run/collector.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>
#include <time.h>

#include "sli/ledger.h"

/* A cgroup whose directory is gone; its sockets may live on and count. */
struct grave {
	uint64_t cgroup_id;
	uint64_t since_ms; /* monotonic: gone, or last counted, since then */
	uint64_t events;   /* counted in this reading */
	uint64_t events_before;
	bool is_seen; /* in this reading */
};

struct collector {
	pthread_mutex_t lock; /* over all below */
	struct capture *capture; /* borrowed */
	struct workloads *workloads; /* borrowed */
	struct ledger *ledger; /* owned */
	uint64_t grace_ms;
	uint64_t started_ms;
	uint64_t now_ms; /* monotonic, of this reading */
	int err;         /* of this reading */
	struct grave *graves; /* owned */
	size_t grave_cnt;
	size_t grave_cap;
	struct slid_series_key *dead_series; /* owned: to remove after this reading */
	size_t dead_series_cnt;
	size_t dead_series_cap;
	struct slid_port_key *dead_ports; /* owned */
	size_t dead_port_cnt;
	size_t dead_port_cap;
};

static uint64_t clock_ms(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

int collector__new(struct capture *capture, struct workloads *workloads,
		   const struct layout *layout, uint64_t grace_ms, struct collector **ret)
{
	CLEAN(collector__free) struct collector *collector = calloc(1, sizeof(*collector));
	int err;

	if (!collector)
		return -ENOMEM;
	pthread_mutex_init(&collector->lock, NULL);
	collector->capture = capture;
	collector->workloads = workloads;
	collector->grace_ms = grace_ms;
	collector->started_ms = clock_ms(CLOCK_REALTIME);
	err = ledger__new(layout, collector->started_ms, &collector->ledger);
	if (err)
		return err;
	*ret = TAKE(collector);
	return 0;
}

void collector__free(struct collector *collector)
{
	if (!collector)
		return;
	ledger__free(collector->ledger);
	free(collector->graves);
	free(collector->dead_series);
	free(collector->dead_ports);
	pthread_mutex_destroy(&collector->lock);
	free(collector);
}

/* Room for one more in an array. Return: the array, or NULL without memory (the old one stays). */
static void *array_room(void *array, size_t cnt, size_t *cap, size_t item_bytes)
{
	size_t more = *cap ? 2 * *cap : 64;

	if (cnt < *cap)
		return array;
	array = reallocarray(array, more, item_bytes);
	if (array)
		*cap = more;
	return array;
}

static struct grave *collector__grave(struct collector *collector, uint64_t cgroup_id)
{
	struct grave *graves;

	for (size_t i = 0; i < collector->grave_cnt; i++) {
		if (collector->graves[i].cgroup_id == cgroup_id)
			return &collector->graves[i];
	}
	graves = array_room(collector->graves, collector->grave_cnt, &collector->grave_cap,
			    sizeof(*graves));
	if (!graves)
		return NULL;
	collector->graves = graves;
	graves[collector->grave_cnt] = (struct grave){ .cgroup_id = cgroup_id,
						       .since_ms = collector->now_ms };
	return &graves[collector->grave_cnt++];
}

/* Whose a cgroup is, and whether this is the last reading of its counts. */
static const struct owner *collector__owner(struct collector *collector, uint64_t cgroup_id,
					    uint64_t events, bool *retired)
{
	const struct owner *owner;
	struct grave *grave;
	bool gone = false;

	*retired = false;
	owner = workloads__find(collector->workloads, cgroup_id, &gone);
	if (!gone || !cgroup_id)
		return owner;
	grave = collector__grave(collector, cgroup_id);
	if (!grave)
		return owner;
	grave->is_seen = true;
	grave->events += events;
	*retired = collector->now_ms - grave->since_ms >= collector->grace_ms;
	return owner;
}

static void collector__series(void *ctx, const struct slid_series_key *key, uint64_t sum_ns,
			      const uint64_t *buckets)
{
	struct collector *collector = ctx;
	const struct owner *owner;
	bool retired;
	int err;

	if (!key->cgroup_id && !key->role_what && !sum_ns)
		return; /* the overflow series, unused */
	owner = collector__owner(collector, key->cgroup_id, sum_ns, &retired);
	if (retired) {
		struct slid_series_key *dead =
			array_room(collector->dead_series, collector->dead_series_cnt,
				   &collector->dead_series_cap, sizeof(*dead));

		if (dead) {
			collector->dead_series = dead;
			dead[collector->dead_series_cnt++] = *key;
		} else {
			retired = false;
		}
	}
	err = ledger__series(collector->ledger, owner, key, sum_ns, buckets, retired);
	if (err)
		collector->err = err;
}

static void collector__port(void *ctx, const struct slid_port_key *key,
			    const struct slid_port *counts)
{
	struct collector *collector = ctx;
	uint64_t events = counts->requests_started + counts->accepted + counts->closed;
	const struct owner *owner;
	bool retired;
	int err;

	owner = collector__owner(collector, key->cgroup_id, events, &retired);
	if (retired) {
		struct slid_port_key *dead =
			array_room(collector->dead_ports, collector->dead_port_cnt,
				   &collector->dead_port_cap, sizeof(*dead));

		if (dead) {
			collector->dead_ports = dead;
			dead[collector->dead_port_cnt++] = *key;
		} else {
			retired = false;
		}
	}
	err = ledger__port(collector->ledger, owner, key, counts, retired);
	if (err)
		collector->err = err;
}

/* Behind a reading: remove what was read for the last time, watch what still changes. */
static void collector__bury(struct collector *collector)
{
	size_t cnt = 0;

	for (size_t i = 0; i < collector->dead_series_cnt; i++)
		capture__forget_series(collector->capture, &collector->dead_series[i]);
	for (size_t i = 0; i < collector->dead_port_cnt; i++)
		capture__forget_port(collector->capture, &collector->dead_ports[i]);
	collector->dead_series_cnt = 0;
	collector->dead_port_cnt = 0;
	for (size_t i = 0; i < collector->grave_cnt; i++) {
		struct grave *grave = &collector->graves[i];

		if (!grave->is_seen || collector->now_ms - grave->since_ms >= collector->grace_ms) {
			workloads__forget(collector->workloads, grave->cgroup_id);
			continue;
		}
		if (grave->events != grave->events_before)
			grave->since_ms = collector->now_ms;
		grave->events_before = grave->events;
		grave->events = 0;
		grave->is_seen = false;
		collector->graves[cnt++] = *grave;
	}
	collector->grave_cnt = cnt;
}

static double thread_seconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static int collector__read(struct collector *collector, struct snapshot **ret)
{
	const struct capture_sink sink = {
		.ctx = collector,
		.series = collector__series,
		.port = collector__port,
	};
	CLEAN(snapshot__unref) struct snapshot *snapshot = NULL;
	double begin = thread_seconds();
	int err;

	workloads__refresh(collector->workloads); /* what it cannot see stays as it was */
	collector->now_ms = clock_ms(CLOCK_MONOTONIC);
	collector->err = 0;
	ledger__begin(collector->ledger, clock_ms(CLOCK_REALTIME));
	err = capture__drain(collector->capture, &sink);
	if (!err)
		err = collector->err;
	if (!err)
		err = ledger__snapshot(collector->ledger, &snapshot);
	if (!err)
		err = capture__self(collector->capture, snapshot);
	if (err)
		return err;
	collector__bury(collector);
	snapshot->started_ms = collector->started_ms;
	snapshot->workload_cnt = workloads__cnt(collector->workloads);
	snapshot->collect_seconds = thread_seconds() - begin;
	*ret = TAKE(snapshot);
	return 0;
}

int collector__collect(struct collector *collector, struct snapshot **ret)
{
	int err;

	pthread_mutex_lock(&collector->lock);
	err = collector__read(collector, ret);
	pthread_mutex_unlock(&collector->lock);
	return err;
}

int collector__fd(struct collector *collector)
{
	int fd;

	pthread_mutex_lock(&collector->lock);
	fd = workloads__fd(collector->workloads);
	pthread_mutex_unlock(&collector->lock);
	return fd;
}

void collector__refresh(struct collector *collector)
{
	pthread_mutex_lock(&collector->lock);
	workloads__refresh(collector->workloads); /* what it cannot see stays as it was */
	pthread_mutex_unlock(&collector->lock);
}
