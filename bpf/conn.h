/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * conn.h - what the kernel programs keep of one TCP connection. Apart from maps.h so that tests,
 * which make connections as a handshake would, include it too.
 */
#ifndef SLID_CONN_H
#define SLID_CONN_H

#include <linux/bpf.h>
#include "slid/segment.h"

/*
 * One TCP connection of the scope. Its requests are read on one CPU and its responses, most likely, on
 * another: what both write is in one cache line, what each writes alone in lines of its own, and what
 * all only read once it is set in the first. The kernel puts 8 bytes of its own before this, in the
 * first line.
 */
struct slid_conn {
	/* Set once. */
	__u64 cgroup_id;  /* 0 = not known yet */
	__u64 connect_ns; /* client role: when connect() began */
	__u16 port;       /* see slid_series_key */
	__u8 role;        /* enum slid_role */
	__u8 ready;       /* 1 << direction: all is known that reading it needs */
	__u8 pad[36];
	/* Written from both sides. */
	struct bpf_spin_lock lock; /* over .http: both directions, and ingress on two CPUs */
	__u32 pad2;
	struct http_conn http;
};

#define CONN_LINE(field) ((__builtin_offsetof(struct slid_conn, field) + 8) / 64)
_Static_assert(__builtin_offsetof(struct slid_conn, lock) == 56, "begins the second line");
_Static_assert(CONN_LINE(lock) == CONN_LINE(http.ring[0]), "one line for what both write");
_Static_assert((__builtin_offsetof(struct slid_conn, http.stream) + 8) % 64 == 0, "a line of its own");
_Static_assert(sizeof(struct http_stream) % 64 == 0, "lines of its own");

#endif
