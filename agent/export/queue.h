/* SPDX-License-Identifier: Apache-2.0 */
/*
 * queue.h - what waits to be sent: immutable, already encoded requests, oldest first, bounded in
 * bytes. The three verbs are all that the sender knows, so a durable queue can take this one's
 * place. No locking inside: one owner, one lock, both the caller's.
 */
#ifndef SLID_QUEUE_H
#define SLID_QUEUE_H

#include <stddef.h>
#include <stdint.h>
#include "base/own.h"

/* One request's body. Made by the encoder, never changed after. */
struct batch {
	struct batch *next;   /* owned by the queue it is in */
	uint64_t seq;         /* set by queue__push: 1, 2, ... */
	uint64_t time_ms;     /* Unix time of its samples */
	uint64_t sample_cnt;
	size_t body_bytes;
	unsigned char body[]; /* as it goes out, compressed */
};

struct queue;

/* queue__new - a queue that holds at most cap_bytes of bodies. Return: 0 or -ENOMEM. */
int queue__new(size_t cap_bytes, struct queue **ret);
void queue__free(struct queue *queue);
DEFINE_CLEAN(struct queue, queue__free)

/* queue__push - append batch (taken, also on failure); the oldest ones go, until it fits. Amortised
 * O(1).
 * @ret_dropped: samples that had to go, the batch's own when it can never fit. Return: 0 or -E2BIG.
 */
int queue__push(struct queue *queue, struct batch *batch, uint64_t *ret_dropped);

/* queue__peek - the oldest batch; it stays, and is safe from queue__push until the next queue__pop
 * or queue__release. Return: NULL when there is none. */
const struct batch *queue__peek(struct queue *queue);

/* queue__pop - the peeked batch is done: forget it. */
void queue__pop(struct queue *queue);

/* queue__release - the peeked batch is not done: it may go like any other when room is needed. */
void queue__release(struct queue *queue);

struct queue_fill {
	size_t used_bytes;
	size_t cap_bytes;
	uint64_t batch_cnt;
	uint64_t sample_cnt;
};
void queue__fill(const struct queue *queue, struct queue_fill *ret);

#endif
