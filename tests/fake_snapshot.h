/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fake_snapshot.h - a hand-made snapshot for tests of what comes after the collector: a layout of
 * eight bounds, two owners, every family. It needs nothing of agent/sli but its structs, and no
 * reference count of it ever reaches zero, so that its memory stays the test's.
 */
#ifndef SLID_FAKE_SNAPSHOT_H
#define SLID_FAKE_SNAPSHOT_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "sli/snapshot.h"

#define FAKE_SERIES_MAX 16384
#define FAKE_BUCKETS    9

struct fake {
	struct snapshot snapshot;
	struct layout layout;
	struct owner web, odd;
	char text[10][64]; /* behind the owners' strings */
};

static inline struct owner fake__owner(char (*text)[64], const char *ns, const char *workload,
				       const char *kind, const char *pod, const char *container)
{
	const char *const from[5] = { ns, workload, kind, pod, container };

	for (int i = 0; i < 5; i++)
		snprintf(text[i], 64, "%s", from[i]);
	return (struct owner){ 1000, text[0], text[1], text[2], text[3], text[4] };
}

static inline void fake__layout(struct layout *layout)
{
	static const struct layout_bound bounds[FAKE_BUCKETS - 1] = {
		{ 1000000, 0.001, 0, false, true },    { 3906250, 0.00390625, -64, true, false },
		{ 5000000, 0.005, 0, false, true },    { 10000000, 0.01, 0, false, true },
		{ 100000000, 0.1, 0, false, true },    { 500000000, 0.5, -8, true, false },
		{ 1000000000, 1, 0, true, true },      { 10000000000, 10, 0, false, true },
	};

	memset(layout, 0, sizeof(*layout));
	layout->bound_cnt = FAKE_BUCKETS - 1;
	memcpy(layout->bounds, bounds, sizeof(bounds));
}

static inline struct snapshot_series *fake__series(struct fake *fake, const struct owner *owner,
						   enum slid_role role, enum slid_what what,
						   unsigned int method, unsigned int status,
						   unsigned int error)
{
	struct snapshot *snapshot = &fake->snapshot;
	size_t i = snapshot->series_cnt++;

	if (i == FAKE_SERIES_MAX)
		abort();
	snapshot->series[i] = (struct snapshot_series){
		.owner = owner,
		.key = { .port = 8080,
			 .status = (__u16)status,
			 .method = (__u8)method,
			 .error = (__u8)error,
			 .role_what = SLID_ROLE_WHAT(role, what) },
		.created_ms = 1700000000123,
		.buckets = snapshot->bucket_pool + i * FAKE_BUCKETS,
	};
	return &snapshot->series[i];
}

/* Count cnt durations. */
static inline void fake__count(struct fake *fake, size_t series, uint64_t dur_ns, uint64_t cnt)
{
	struct snapshot_series *to = &fake->snapshot.series[series];
	size_t bucket = 0;

	while (bucket < FAKE_BUCKETS - 1 && dur_ns > fake->layout.bounds[bucket].ns)
		bucket++;
	fake->snapshot.bucket_pool[series * FAKE_BUCKETS + bucket] += cnt;
	to->count += cnt;
	to->sum_ns += dur_ns * cnt;
}

static inline struct snapshot_port *fake__port(struct fake *fake, const struct owner *owner,
					       enum slid_role role, unsigned int port)
{
	struct snapshot_port *to = &fake->snapshot.ports[fake->snapshot.port_cnt++];

	*to = (struct snapshot_port){ .owner = owner,
				      .key = { .port = (__u16)port, .role = (__u8)role },
				      .created_ms = 1700000000000 };
	return to;
}

/* Nothing in it but layout and owners. */
static inline struct fake *fake__new(uint64_t time_ms)
{
	struct fake *fake = calloc(1, sizeof(*fake));

	if (!fake)
		abort();
	fake__layout(&fake->layout);
	fake->web = fake__owner(fake->text, "shop", "web", "Deployment", "web-5d9c-x2x7k", "nginx");
	fake->odd = fake__owner(fake->text + 5, "", "odd\"na\\me\n", "cgroup", "", "");
	fake->snapshot.ref_cnt = 1000;
	fake->snapshot.time_ms = time_ms;
	fake->snapshot.layout = &fake->layout;
	fake->snapshot.series = calloc(FAKE_SERIES_MAX, sizeof(fake->snapshot.series[0]));
	fake->snapshot.ports = calloc(16, sizeof(fake->snapshot.ports[0]));
	fake->snapshot.bucket_pool = calloc((size_t)FAKE_SERIES_MAX * FAKE_BUCKETS, 8);
	if (!fake->snapshot.series || !fake->snapshot.ports || !fake->snapshot.bucket_pool)
		abort();
	return fake;
}

static inline void fake__free(struct fake *fake)
{
	free(fake->snapshot.series);
	free(fake->snapshot.ports);
	free(fake->snapshot.bucket_pool);
	free(fake);
}

/* Something of every family; round makes counts grow. */
static inline void fake__fill(struct fake *fake, uint64_t round)
{
	struct snapshot *snapshot = &fake->snapshot;
	struct snapshot_port *port;

	fake__series(fake, &fake->web, SLID_ROLE_SERVER, SLID_WHAT_REQUEST, SLID_METHOD_GET, 200,
		     0);
	fake__count(fake, 0, 1000000, 10 * round);   /* exactly on a bound */
	fake__count(fake, 0, 1000001, 20 * round);   /* 1 ns over it */
	fake__count(fake, 0, 700000000, 5 * round);
	fake__count(fake, 0, 20000000000, 2 * round); /* past all bounds */
	fake__series(fake, &fake->web, SLID_ROLE_SERVER, SLID_WHAT_REQUEST, SLID_METHOD_POST, 599,
		     SLID_ERROR_NO_RESPONSE);
	fake__count(fake, 1, 123456789, 3 * round);
	fake__series(fake, &fake->odd, SLID_ROLE_CLIENT, SLID_WHAT_REQUEST, SLID_METHOD_OTHER, 499,
		     SLID_ERROR_CLIENT_CLOSED);
	fake__count(fake, 2, 5000000, round);
	fake__series(fake, &fake->web, SLID_ROLE_SERVER, SLID_WHAT_TTFB, SLID_METHOD_GET, 200, 0);
	fake__count(fake, 3, 2000000, 37 * round);
	fake__series(fake, &fake->odd, SLID_ROLE_CLIENT, SLID_WHAT_TTFB, SLID_METHOD_PATCH, 200, 0);
	fake__count(fake, 4, 2000000, round);
	fake__series(fake, &fake->odd, SLID_ROLE_CLIENT, SLID_WHAT_CONNECT, 0, 0, 0);
	fake__count(fake, 5, 300000, 4 * round);
	fake__series(fake, &fake->odd, SLID_ROLE_CLIENT, SLID_WHAT_RTT, 0, 0, 0);
	fake__count(fake, 6, 90000, 4 * round);
	fake__series(fake, &fake->web, SLID_ROLE_SERVER, SLID_WHAT_RTT, 0, 0, 0);
	fake__count(fake, 7, 80000, 6 * round);
	port = fake__port(fake, &fake->web, SLID_ROLE_SERVER, 8080);
	port->in_flight = 7;
	port->counts = (struct slid_port){ .accepted = 11 * round, .closed = 4 * round,
					   .resets_in = round, .resets_out = 2 * round,
					   .retransmitted_segments = 3,
					   .protos = { 1, 2, 3, 4, 5 } };
	port = fake__port(fake, &fake->odd, SLID_ROLE_CLIENT, 443);
	port->in_flight = 1;
	port->counts = (struct slid_port){ .connects = { 21, 22, 23, 24, 25 }, .closed = 9 };
	snapshot->progs[0] =
		(struct snapshot_prog){ "slid_ingress", true, 1.25, 4000 * round, 9000 };
	snapshot->progs[1] = (struct snapshot_prog){ "slid_egress", false, 0, 0, 9000 };
	snapshot->prog_cnt = 2;
	snapshot->maps[0] = (struct snapshot_map){ "slid_series", 8, 16384, 81920 };
	snapshot->map_cnt = 1;
	for (unsigned int i = 0; i < SLID_DROP_CNT; i++)
		snapshot->drops[i] = i * round;
	snapshot->stats[SLID_STAT_DESYNC] = 6;
	snapshot->stats[SLID_STAT_JOINED] = 2;
	snapshot->started_ms = 1699999999000;
	snapshot->collect_seconds = 0.000125;
	snapshot->workload_cnt = 2;
}

#endif
