/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sender.h - one thread that posts batches to a remote-write receiver, in order, one at a time,
 * from a bounded queue. Source: https://prometheus.io/docs/specs/prw/remote_write_spec/
 */
#ifndef SLID_SENDER_H
#define SLID_SENDER_H

#include <stddef.h>
#include <stdint.h>
#include "base/own.h"

struct batch;
struct sender;

#define SENDER_QUEUE_BYTES    ((size_t)16 << 20)
#define SENDER_TIMEOUT_MS     30000
#define SENDER_FLUSH_MS       3000
#define SENDER_BACKOFF_MIN_MS 500
#define SENDER_BACKOFF_MAX_MS 30000

/* Each number may be 0: the default above. */
struct sender_opts {
	const char *url;             /* http or https; copied */
	size_t queue_bytes;          /* most the queue may hold */
	unsigned int timeout_ms;     /* of one request */
	unsigned int flush_ms;       /* most that sender__free waits for the queue */
	unsigned int backoff_min_ms; /* first wait after a failure; doubles, jittered */
	unsigned int backoff_max_ms;
};

/* Why samples were given up without an answer from the receiver. */
enum sender_drop {
	SENDER_DROP_QUEUE_FULL = 0, /* made room for newer ones */
	SENDER_DROP_SHUTDOWN,       /* still waiting when slid had to end */
	SENDER_DROP_CNT
};
const char *sender_drop_name(unsigned int reason);

struct sender_stats {
	uint64_t samples_sent;    /* the receiver said 2xx */
	uint64_t samples_failed;  /* it refused them for good: 3xx, or 4xx but 429 */
	uint64_t samples_dropped[SENDER_DROP_CNT];
	uint64_t samples_retried; /* in requests sent once more */
	uint64_t bytes_sent;      /* bodies of requests that were answered 2xx */
	uint64_t send_cnt;        /* requests, answered or not */
	uint64_t send_ns;         /* time they took */
	uint64_t last_success_ms; /* Unix time; 0 = never */
	uint64_t queue_batches;
	uint64_t queue_samples;
	uint64_t queue_bytes;
	uint64_t queue_cap_bytes;
};

/* sender__new - start the thread. Return: 0; -EINVAL for a URL that is not http(s); -ENOMEM; or
 * what pthread_create(3) says. */
int sender__new(const struct sender_opts *opts, struct sender **ret);

/* sender__push - queue batch (taken, also on failure). Never waits for the network; full = the
 * oldest go and are counted. Return: 0, or -E2BIG for a batch that no empty queue could hold. */
int sender__push(struct sender *sender, struct batch *batch);

/* sender__stats - from any thread. */
void sender__stats(struct sender *sender, struct sender_stats *ret);

/* sender__stop - send what waits, for flush_ms at most (a request under way is given up within a
 * second more), drop and count the rest, end the thread. No push may follow. */
void sender__stop(struct sender *sender);

/* sender__free - stop, then forget all. NULL is fine. */
void sender__free(struct sender *sender);
DEFINE_CLEAN(struct sender, sender__free)

#endif
