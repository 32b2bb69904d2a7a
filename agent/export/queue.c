/* SPDX-License-Identifier: Apache-2.0 */
/* queue.c - owns the waiting batches, in memory; never holds more than its cap, never does I/O. */
#include "export/queue.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

struct queue {
	struct batch *head; /* owned; the oldest */
	struct batch *tail; /* borrowed; the newest */
	uint64_t seq;       /* of the newest */
	bool held;          /* head is peeked */
	struct queue_fill fill;
};

int queue__new(size_t cap_bytes, struct queue **ret)
{
	struct queue *queue = calloc(1, sizeof(*queue));

	if (!queue)
		return -ENOMEM;
	queue->fill.cap_bytes = cap_bytes;
	*ret = queue;
	return 0;
}

void queue__free(struct queue *queue)
{
	if (!queue)
		return;
	queue->held = false;
	while (queue->head)
		queue__pop(queue);
	free(queue);
}

/* Take the batch after prev (NULL: the first) out of the queue and free it. Return: its samples. */
static uint64_t queue__remove(struct queue *queue, struct batch *prev)
{
	struct batch *gone = prev ? prev->next : queue->head;
	uint64_t samples = gone->sample_cnt;

	if (prev)
		prev->next = gone->next;
	else
		queue->head = gone->next;
	if (queue->tail == gone)
		queue->tail = prev;
	queue->fill.used_bytes -= gone->body_bytes;
	queue->fill.sample_cnt -= samples;
	queue->fill.batch_cnt--;
	free(gone);
	return samples;
}

int queue__push(struct queue *queue, struct batch *batch, uint64_t *ret_dropped)
{
	struct queue_fill *fill = &queue->fill;
	size_t held_bytes = queue->held ? queue->head->body_bytes : 0;
	uint64_t dropped = 0;

	if (batch->body_bytes > fill->cap_bytes ||
	    held_bytes > fill->cap_bytes - batch->body_bytes) {
		*ret_dropped = batch->sample_cnt;
		free(batch);
		return -E2BIG;
	}
	while (fill->used_bytes > fill->cap_bytes - batch->body_bytes)
		dropped += queue__remove(queue, queue->held ? queue->head : NULL);
	batch->next = NULL;
	batch->seq = ++queue->seq;
	if (queue->tail)
		queue->tail->next = batch;
	else
		queue->head = batch;
	queue->tail = batch;
	fill->used_bytes += batch->body_bytes;
	fill->sample_cnt += batch->sample_cnt;
	fill->batch_cnt++;
	*ret_dropped = dropped;
	return 0;
}

const struct batch *queue__peek(struct queue *queue)
{
	queue->held = queue->head != NULL;
	return queue->head;
}

void queue__pop(struct queue *queue)
{
	queue->held = false;
	if (queue->head)
		queue__remove(queue, NULL);
}

void queue__release(struct queue *queue)
{
	queue->held = false;
}

void queue__fill(const struct queue *queue, struct queue_fill *ret)
{
	*ret = queue->fill;
}
