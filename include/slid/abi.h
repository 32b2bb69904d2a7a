/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * abi.h - what crosses the line between the kernel programs and the agent: map keys, map values
 * and the numbers in them. Owned by both sides, so it includes nothing of either. Fixed-width
 * integers only, padding named and zeroed, each size asserted; any change bumps SLID_ABI.
 */
#ifndef SLID_ABI_H
#define SLID_ABI_H

#include <linux/types.h>

#define SLID_ABI 1

/* Who, of the two ends of a connection, the watched workload is. */
enum slid_role {
	SLID_ROLE_NONE = 0,   /* not known yet */
	SLID_ROLE_SERVER = 1, /* it was connected to: requests come in */
	SLID_ROLE_CLIENT = 2, /* it connected: requests go out */
	SLID_ROLE_CNT
};

/* What a series measures; each is a histogram in the one bucket layout. */
enum slid_what {
	SLID_WHAT_REQUEST = 0, /* first request byte to last response byte */
	SLID_WHAT_TTFB = 1,    /* first request byte to first response byte */
	SLID_WHAT_CONNECT = 2, /* SYN to established, client role */
	SLID_WHAT_RTT = 3,     /* smoothed round-trip time at the connection's end */
	SLID_WHAT_CNT
};

/* Methods of RFC 9110 section 9 and PATCH (RFC 5789); all others are one. */
enum slid_method {
	SLID_METHOD_OTHER = 0,
	SLID_METHOD_GET,
	SLID_METHOD_HEAD,
	SLID_METHOD_POST,
	SLID_METHOD_PUT,
	SLID_METHOD_DELETE,
	SLID_METHOD_CONNECT,
	SLID_METHOD_OPTIONS,
	SLID_METHOD_TRACE,
	SLID_METHOD_PATCH,
	SLID_METHOD_CNT
};

/* How a request ended, when not by a whole response. */
enum slid_error {
	SLID_ERROR_NONE = 0,
	SLID_ERROR_NO_RESPONSE,   /* code 599: the server's side ended it unanswered */
	SLID_ERROR_CLIENT_CLOSED, /* code 499: the client left first */
	SLID_ERROR_TRUNCATED,     /* the code that was sent; its body never completed */
	SLID_ERROR_CNT
};

/* What a connection turned out to carry. */
enum slid_proto {
	SLID_PROTO_NONE = 0, /* no payload yet */
	SLID_PROTO_HTTP1,
	SLID_PROTO_H2,  /* HTTP/2 preface, RFC 9113 section 3.4 */
	SLID_PROTO_TLS, /* TLS record of a handshake, RFC 8446 section 5.1 */
	SLID_PROTO_OTHER,
	SLID_PROTO_CNT
};

/* Why a connection attempt of the client role came to nothing. */
enum slid_connect {
	SLID_CONNECT_OK = 0,
	SLID_CONNECT_REFUSED,   /* RST in answer to the SYN */
	SLID_CONNECT_TIMED_OUT, /* SYN sent again, never answered */
	SLID_CONNECT_RESET,     /* RST while both sides were opening (RFC 9293 section 3.5) */
	SLID_CONNECT_ABORTED,   /* given up locally, or no route to the peer */
	SLID_CONNECT_CNT
};

/* Reasons why something was not counted in its own place. */
enum slid_drop {
	SLID_DROP_SERIES_FULL = 0,  /* series map full: counted under the overflow key */
	SLID_DROP_PORTS_FULL,       /* port map full: connection counts lost */
	SLID_DROP_CONN_ALLOC,       /* no memory for a connection's state: its requests unseen */
	SLID_DROP_PIPELINE_FULL,    /* more than HTTP_RING requests outstanding: one not counted */
	SLID_DROP_PARSE_REQUEST,    /* a request's framing could not be read */
	SLID_DROP_PARSE_RESPONSE,   /* a response's framing could not be read */
	SLID_DROP_GAP,              /* bytes never seen where a message boundary may be */
	SLID_DROP_RESPONSE_LOST,    /* requests whose responses fell into such a gap */
	SLID_DROP_UNMATCHED,        /* a response that answers no request seen */
	SLID_DROP_SEGMENT_LIMIT,    /* a segment with more messages than one run can read */
	SLID_DROP_READ,             /* packet bytes could not be read */
	SLID_DROP_CNT
};

/* Plain counters, exported under their own names. */
enum slid_stat {
	SLID_STAT_DESYNC = 0, /* streams that lost their message boundaries */
	SLID_STAT_JOINED,     /* connections that began before slid */
	SLID_STAT_CNT
};

/* Sources of the numbers in slid_series_key. cgroup_id 0 is the overflow key: all other fields 0. */
struct slid_series_key {
	__u64 cgroup_id; /* cgroup v2 id (inode of its directory) of the socket's creator */
	__u16 port;      /* host order: local port of a server, remote port of a client */
	__u16 status;    /* 100..999; 599 and 499 also stand for requests without an answer */
	__u8  method;    /* enum slid_method */
	__u8  error;     /* enum slid_error */
	__u8  route;     /* 0: no route named; 1.. as configured */
	__u8  role_what; /* enum slid_role | enum slid_what << 4 */
};

#define SLID_ROLE_WHAT(role, what) ((__u8)((role) | ((what) << 4)))
#define SLID_ROLE_OF(role_what)    ((role_what)&0x0f)
#define SLID_WHAT_OF(role_what)    ((role_what) >> 4)

/*
 * One CPU's part of a series. The count is the sum of the buckets, so it cannot disagree with
 * them. buckets[i] holds durations d with bound[i - 1] < d <= bound[i]; the last one is +Inf.
 */
struct slid_hist {
	__u64 sum_ns;
	__u64 buckets[]; /* as many as the layout has */
};

struct slid_port_key {
	__u64 cgroup_id;
	__u16 port;
	__u8  role; /* enum slid_role */
	__u8  pad[5];
};

/* One CPU's part of what happened on a port of a workload. All counts of events. */
struct slid_port {
	__u64 requests_started; /* in flight = this, less all requests ended */
	__u64 requests_lost;    /* started, but ended in a drop */
	__u64 accepted;         /* server role */
	__u64 connects[SLID_CONNECT_CNT]; /* client role; [SLID_CONNECT_OK] = established */
	__u64 closed;
	__u64 resets_in;  /* RST received on an established connection */
	__u64 resets_out; /* RST sent on one */
	__u64 retransmitted_segments;
	__u64 protos[SLID_PROTO_CNT]; /* connections, by what they carry */
};

/*
 * A count that found no memory for its series or port at once: per-CPU memory is given out in the
 * background, and many new series in one moment can be ahead of it. The agent adds it in.
 */
struct slid_spill_key {
	__u64 cgroup_id;
	__u64 fields; /* of the series' key behind the cgroup id, as slid_observe() takes them; of a
		       * port's: port | role << 16 */
	__u32 idx;    /* the bucket; the index of the counter in struct slid_port */
	__u32 is_port;
};

struct slid_spill {
	__u64 cnt;
	__u64 sum_ns;
};

#define SLID_SPILLS 512

/* Upper bounds of the bucket layout. */
#define SLID_BUCKETS_MAX 512 /* a power of two; a value of 512 * 8 + 8 bytes per CPU */
#define SLID_BOUND_CELLS 1024 /* 64 powers of two, 16 cells in each */
#define SLID_CELL_STEPS  16 /* bounds that may fall into one cell */

_Static_assert(sizeof(struct slid_series_key) == 16, "crosses the kernel line");
_Static_assert(sizeof(struct slid_port_key) == 16, "crosses the kernel line");
_Static_assert(sizeof(struct slid_spill_key) == 24, "crosses the kernel line");
_Static_assert(sizeof(struct slid_hist) == 8, "crosses the kernel line");
_Static_assert(sizeof(struct slid_port) == 8 * (7 + SLID_CONNECT_CNT + SLID_PROTO_CNT),
	       "crosses the kernel line");

#endif
