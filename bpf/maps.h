/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * maps.h - every map and knob of the kernel programs. Nothing here is shared by name with the
 * agent but through the skeleton; keys and values are slid/abi.h's.
 */
#ifndef SLID_MAPS_H
#define SLID_MAPS_H

#include <linux/bpf.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include "conn.h"

/* Knobs, set by the agent before loading. */
const volatile __u32 slid_bound_cnt = 1;             /* finite bounds of the layout */
const volatile __u64 slid_bounds[SLID_BUCKETS_MAX];  /* ns, sorted */
const volatile __u16 slid_cells[SLID_BOUND_CELLS];   /* see struct layout */
const volatile __u8 slid_ttfb;                       /* count time to first byte too */

#ifndef SLID_TEST
struct { /* connections; in: sockops at their start, or their first payload; out: with the socket */
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct slid_conn);
} slid_conns SEC(".maps");
#else
struct { /* see testing.h; in: the test, or their first payload */
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, __u32);
	__type(value, struct slid_conn);
} slid_conns SEC(".maps");
#endif

/* Payload being read. The token tells whether another packet took the window meanwhile: egress
 * runs in process context and can be interrupted or preempted until the connection's lock is held. */
struct slid_window {
	__u64 token;
	__u32 skip; /* counted bytes before the window's */
	__u32 gap;  /* 1 = the segment is ahead of the stream */
	struct http_win win;
};

/*
 * The handshake's last segment is seen on the listening socket. What it carries waits here for the
 * socket that it makes, which takes it over at once, on the same CPU and in the same softirq
 * (passive established callback).
 */
#define EARLY_WINDOWS 4

struct slid_early {
	__u64 cgroup_id; /* of the listening socket, and so of the new one */
	__u32 seq;       /* of the payload's first byte */
	__u32 len;       /* payload bytes; more than the windows hold are not read */
	__u32 peer_addr; /* last four bytes of the peer's address */
	__u16 peer_port; /* host order; 0 = taken over */
	__u16 port;
	struct http_win win[EARLY_WINDOWS];
};

struct { /* in: slid_ingress on a listening socket; out: slid_sockops; overwritten by the next */
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct slid_early);
} slid_early SEC(".maps");

struct { /* one a direction and CPU */
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, struct slid_window);
} slid_windows SEC(".maps");

struct { /* histograms by series; in: the kernel at a series' first count; out: the agent, when its
	  * cgroup is gone. Value: struct slid_hist of the layout's size, set by the agent. Allocated
	  * per live series; a full map counts under the overflow key, which the agent puts in first. */
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 4096);
	__uint(key_size, sizeof(struct slid_series_key));
	__uint(value_size, sizeof(struct slid_hist) + 8 * SLID_BUCKETS_MAX);
} slid_series SEC(".maps");

struct { /* connection counters by port; in and out as slid_series */
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 4096);
	__type(key, struct slid_port_key);
	__type(value, struct slid_port);
} slid_ports SEC(".maps");

struct { /* counts whose series or port had no memory yet; in: the kernel; out: the agent, with their
	  * cgroup. Allocated in advance: 512 * (24 + 16 + 48) B = 44 KiB */
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, SLID_SPILLS);
	__type(key, struct slid_spill_key);
	__type(value, struct slid_spill);
} slid_spills SEC(".maps");

struct { /* an empty series, to insert; never written */
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(key_size, 4);
	__uint(value_size, sizeof(struct slid_hist) + 8 * SLID_BUCKETS_MAX);
} slid_zero SEC(".maps");

struct { /* by enum slid_drop, then enum slid_stat */
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, SLID_DROP_CNT + SLID_STAT_CNT);
	__type(key, __u32);
	__type(value, __u64);
} slid_drops SEC(".maps");

enum { DIR_INGRESS = 0, DIR_EGRESS = 1 };

#endif
