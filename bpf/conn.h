/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * conn.h - what the kernel programs keep of one TCP connection. Apart from maps.h so that tests,
 * which make connections as a handshake would, include it too.
 */
#ifndef SLID_CONN_H
#define SLID_CONN_H

#include <linux/bpf.h>
#include "slid/segment.h"

/* One TCP connection of the scope. */
struct slid_conn {
	struct bpf_spin_lock lock; /* over .http: both directions, and ingress on two CPUs */
	__u16 port;		   /* see slid_series_key */
	__u8 role;		   /* enum slid_role */
	__u8 pad;
	__u64 cgroup_id;  /* 0 = not known yet */
	__u64 connect_ns; /* client role: when connect() began */
	struct http_conn http;
};

#endif
