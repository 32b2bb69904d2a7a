/* SPDX-License-Identifier: Apache-2.0 */
/* self.h - slid's numbers about itself that no snapshot has: the process and remote-write. */
#ifndef SLID_SELF_H
#define SLID_SELF_H

#include <stdbool.h>
#include <stdint.h>
#include "export/sender.h"

struct self_stats {
	double cpu_seconds;
	uint64_t resident_bytes;
	uint64_t open_fds;
	uint64_t max_fds;
	double start_seconds;  /* Unix time the process began; 0 = not known */
	double scrape_seconds; /* the last answer to GET /metrics took this long */
	bool sender_on;        /* the rest means nothing without */
	uint64_t stale_snapshots; /* not sent: their time was not after the one before */
	struct sender_stats sender;
};

/* self__read - zero *self, then fill in what the kernel knows of this process. What cannot be read
 * stays 0. Return: 0, or -errno of the first file that could not be read. */
int self__read(struct self_stats *self);

#endif
