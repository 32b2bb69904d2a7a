/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ledger.h - series by their labels: what the kernel counts by cgroup becomes one cumulative series
 * per owner, port, method and code, which never goes backwards while it lives. Does no I/O.
 */
#ifndef SLID_LEDGER_H
#define SLID_LEDGER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/own.h"
#include "sli/layout.h"
#include "sli/snapshot.h"

struct ledger;

/* ledger__new - layout is borrowed and outlives all snapshots. Counting began at started_ms (Unix
 * time): a new series began at zero then, or at the reading before its first. Return: 0 or -ENOMEM. */
int ledger__new(const struct layout *layout, uint64_t started_ms, struct ledger **ret);
void ledger__free(struct ledger *ledger);
DEFINE_CLEAN(struct ledger, ledger__free)

/*
 * One reading: begin, then every series and port that the kernel holds, then snapshot. A part is
 * what one kernel key counts; parts of the same labels add up. retired: this is the part's last
 * reading, the caller removes its key; its counts stay in the series as long as another part does.
 * Return: 0 or -ENOMEM.
 */
void ledger__begin(struct ledger *ledger, uint64_t time_ms);
int ledger__series(struct ledger *ledger, const struct owner *owner,
		   const struct slid_series_key *key, uint64_t sum_ns, const uint64_t *buckets,
		   bool retired);
int ledger__port(struct ledger *ledger, const struct owner *owner, const struct slid_port_key *key,
		 const struct slid_port *counts, bool retired);

/* ledger__snapshot - all series, sorted as struct snapshot says; those with no part in this reading
 * are gone. drops, stats, progs and maps are zero. Return: 0 or -ENOMEM. */
int ledger__snapshot(struct ledger *ledger, struct snapshot **ret);

#endif
