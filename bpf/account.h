/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * account.h - from something that happened to a number in a map. Updates are atomic: egress runs
 * in process context, where a softirq or another task may count on the same CPU in between.
 */
#ifndef SLID_ACCOUNT_H
#define SLID_ACCOUNT_H

#include "maps.h"

/*
 * The functions below that are not inline are global ones, verified once each, with scalars for
 * arguments: inlined at every use, they took the programs past the verifier's million instructions.
 */

static __always_inline void count(__u64 *counter, __u64 cnt)
{
	__sync_fetch_and_add(counter, cnt);
}

/* An index that every verifier sees is at most max, whatever the compiler knows of it. 64 bits wide,
 * since 5.10 loses the bounds of 32-bit arithmetic. */
static __always_inline __u64 clamp_idx(__u64 idx, __u64 max)
{
	asm volatile("" : "+r"(idx));
	if (idx > max)
		idx = max;
	asm volatile("" : "+r"(idx));
	return idx;
}

/* which: an enum slid_drop, or SLID_DROP_CNT + an enum slid_stat. */
__attribute__((noinline)) int slid_drop(__u32 which, __u32 cnt)
{
	__u64 *counter = bpf_map_lookup_elem(&slid_drops, &which);

	if (counter)
		count(counter, cnt);
	return 0;
}

/* Position of the highest bit set, 0..63; 0 for 0. */
static __always_inline __u32 log2_u64(__u64 v)
{
	__u32 r = 0;

	if (v >> 32) {
		v >>= 32;
		r += 32;
	}
	if (v >> 16) {
		v >>= 16;
		r += 16;
	}
	if (v >> 8) {
		v >>= 8;
		r += 8;
	}
	if (v >> 4) {
		v >>= 4;
		r += 4;
	}
	if (v >> 2) {
		v >>= 2;
		r += 2;
	}
	return r + (__u32)(v >> 1);
}

/* Index of the bucket for a duration: the same steps as layout__bucket() of the agent. */
static __always_inline __u64 bucket_of(__u64 dur_ns)
{
	__u64 octave = log2_u64(dur_ns);
	__u64 top = octave >= 4 ? dur_ns >> (octave - 4) : dur_ns << (4 - octave);
	__u64 idx = octave << 4 | (top & 15);

	asm volatile("" : "+r"(idx));
	idx = slid_cells[idx & (SLID_BOUND_CELLS - 1)];
	for (__u32 i = 0; i <= SLID_CELL_STEPS; i++) {
		idx = clamp_idx(idx, SLID_BUCKETS_MAX - 1);
		if (idx >= slid_bound_cnt || dur_ns <= slid_bounds[idx])
			break;
		idx++;
	}
	return idx;
}

#define ENOMEM 12

/* Count aside what found no memory in its own place. Return: 1 if that worked, else 0. */
static __always_inline int spill(__u64 cgroup_id, __u64 fields, __u32 is_port, __u32 idx, __u64 cnt,
				 __u64 sum_ns)
{
	struct slid_spill_key key = {
		.cgroup_id = cgroup_id, .fields = fields, .idx = idx, .is_port = is_port
	};
	struct slid_spill *aside = bpf_map_lookup_elem(&slid_spills, &key);
	struct slid_spill empty = {};

	if (!aside) {
		bpf_map_update_elem(&slid_spills, &key, &empty, BPF_NOEXIST);
		aside = bpf_map_lookup_elem(&slid_spills, &key);
	}
	if (!aside)
		return 0;
	count(&aside->cnt, cnt);
	if (sum_ns) /* the compiler makes + 0 an atomic OR, which 5.10 has not */
		count(&aside->sum_ns, sum_ns);
	return 1;
}

/* A new entry of a map, or the one that another CPU made meanwhile. *err: why there is none. */
static __always_inline void *entry_make(void *map, const void *key, long *err)
{
	__u32 zero = 0;
	void *empty = bpf_map_lookup_elem(&slid_zero, &zero);

	if (!empty)
		return 0;
	*err = bpf_map_update_elem(map, key, empty, BPF_NOEXIST);
	return bpf_map_lookup_elem(map, key);
}

/* One observation of the series whose key's fields behind the cgroup id are packed in `fields`. A
 * series that is new is made; when there is no room for it, the overflow one counts. */
__attribute__((noinline)) int slid_observe(__u64 cgroup_id, __u64 fields, __u64 dur_ns)
{
	struct slid_series_key key = {
		.cgroup_id = cgroup_id,
		.port = (__u16)fields,
		.status = (__u16)(fields >> 16),
		.method = (__u8)(fields >> 32),
		.error = (__u8)(fields >> 40),
		.route = (__u8)(fields >> 48),
		.role_what = (__u8)(fields >> 56),
	};
	struct slid_hist *hist = bpf_map_lookup_elem(&slid_series, &key);
	__u64 idx = clamp_idx(bucket_of(dur_ns), slid_bound_cnt);
	struct slid_series_key overflow = {};
	long err = 0;

	if (HTTP_RARE(!hist))
		hist = entry_make(&slid_series, &key, &err);
	if (HTTP_RARE(!hist) && err == -ENOMEM && spill(cgroup_id, fields, 0, (__u32)idx, 1, dur_ns))
		return 0;
	if (HTTP_RARE(!hist)) {
		slid_drop(SLID_DROP_SERIES_FULL, 1);
		hist = bpf_map_lookup_elem(&slid_series, &overflow);
	}
	if (!hist)
		return 0;
	idx = clamp_idx(idx, slid_bound_cnt);
	count(&hist->sum_ns, dur_ns);
	count(&hist->buckets[idx], 1);
	return 0;
}

/* Add to a counter of struct slid_port, by its index. */
__attribute__((noinline)) int slid_port_add(__u64 cgroup_id, __u32 port_role, __u32 field, __u32 cnt)
{
	struct slid_port_key key = {
		.cgroup_id = cgroup_id,
		.port = (__u16)port_role,
		.role = (__u8)(port_role >> 16),
	};
	__u64 *counters = bpf_map_lookup_elem(&slid_ports, &key);
	long err = 0;

	if (HTTP_RARE(!counters))
		counters = entry_make(&slid_ports, &key, &err);
	if (HTTP_COMMON(counters))
		count(&counters[clamp_idx(field, sizeof(struct slid_port) / 8 - 1)], cnt);
	else if (err != -ENOMEM || !spill(cgroup_id, port_role, 1, field, cnt, 0))
		slid_drop(SLID_DROP_PORTS_FULL, 1);
	return 0;
}

#define PORT_FIELD(field) ((__u32)(__builtin_offsetof(struct slid_port, field) / 8))

static __always_inline void port_add(const struct slid_conn *conn, __u32 field, __u32 cnt)
{
	slid_port_add(conn->cgroup_id, conn->port | (__u32)conn->role << 16, field, cnt);
}

static __always_inline void observe(const struct slid_conn *conn, __u64 what, __u64 status,
				    __u64 method, __u64 error, __u64 route, __u64 dur_ns)
{
	slid_observe(conn->cgroup_id,
		     conn->port | status << 16 | method << 32 | error << 40 | route << 48 |
			     (__u64)SLID_ROLE_WHAT(conn->role, what) << 56,
		     dur_ns);
}

/* What a connection's parser found, taken from it under its lock. */
struct found {
	struct http_done done;
	__u16 events;
	__u8 started_cnt;
	__u8 lost_cnt;
	__u8 proto;
};

static __always_inline void found_take(struct found *found, struct http_conn *c)
{
	found->events = c->events;
	found->started_cnt = c->started_cnt;
	found->lost_cnt = c->lost_cnt;
	found->proto = c->proto;
	if (found->events & HTTP_E_DONE) /* else it is the other direction's, and on another CPU */
		found->done = c->done;
	c->events = 0;
	c->started_cnt = 0;
	c->lost_cnt = 0;
}

/* Count the losses among events (HTTP_E_*). */
__attribute__((noinline)) int slid_losses(__u32 events, __u32 lost_cnt)
{
	if (events & HTTP_E_BAD_REQUEST)
		slid_drop(SLID_DROP_PARSE_REQUEST, 1);
	if (events & HTTP_E_BAD_RESPONSE)
		slid_drop(SLID_DROP_PARSE_RESPONSE, 1);
	if (events & HTTP_E_GAP)
		slid_drop(SLID_DROP_GAP, 1);
	if (events & HTTP_E_DESYNC)
		slid_drop(SLID_DROP_CNT + SLID_STAT_DESYNC, 1);
	if (events & HTTP_E_UNMATCHED)
		slid_drop(SLID_DROP_UNMATCHED, 1);
	if (events & HTTP_E_PIPELINE_FULL)
		slid_drop(SLID_DROP_PIPELINE_FULL, 1);
	if (events & HTTP_E_RESPONSE_LOST)
		slid_drop(SLID_DROP_RESPONSE_LOST, lost_cnt);
	return 0;
}

/* found_count - count what was found, outside the connection's lock. */
static __always_inline void found_count(const struct slid_conn *conn, const struct found *found,
					__u64 now)
{
	const struct http_done *done = &found->done;

	if (found->started_cnt)
		port_add(conn, PORT_FIELD(requests_started), found->started_cnt);
	if (HTTP_RARE(found->lost_cnt))
		port_add(conn, PORT_FIELD(requests_lost), found->lost_cnt);
	if (HTTP_RARE(found->events & HTTP_E_PROTO))
		port_add(conn, PORT_FIELD(protos) + found->proto, 1);
	if (HTTP_RARE(found->events & ~(HTTP_E_DONE | HTTP_E_PROTO)))
		slid_losses(found->events, found->lost_cnt);
	if (found->events & HTTP_E_DONE) {
		observe(conn, SLID_WHAT_REQUEST, done->status, done->method, done->error, done->route,
			now - done->start_ns);
		if (slid_ttfb && done->first_ns)
			observe(conn, SLID_WHAT_TTFB, done->status, done->method, done->error,
				done->route, done->first_ns - done->start_ns);
	}
}

#endif
