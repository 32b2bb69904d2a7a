/* SPDX-License-Identifier: Apache-2.0 */
/*
 * layout.h - the one bucket layout: sorted upper bounds in nanoseconds, the union of base-2
 * exponential ones (native histogram schema 3, 2^(k/8) s), the classic bounds and every threshold
 * of the configuration. Both kinds of histogram and each threshold count come out of the same
 * counters with no error.
 */
#ifndef SLID_LAYOUT_H
#define SLID_LAYOUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "slid/abi.h"

#define LAYOUT_SCHEMA 3          /* eight buckets to each power of two */
#define LAYOUT_EXP_MIN (-17 * 8) /* 2^-17 s = 7.6 us: the zero bucket's upper bound */
#define LAYOUT_EXP_MAX (9 * 8)   /* 2^9 s = 512 s */

struct layout_bound {
	uint64_t ns;        /* durations at or under this many ns are counted at or under it */
	double seconds;     /* the bound as it is written, 0.005 or 2^(k/8) */
	int exp_index;      /* k of 2^(k/8) s, meaningful if is_exp */
	bool is_exp;        /* a base-2 exponential boundary */
	bool is_classic;    /* shown as le="..." in classic histograms */
};

struct layout {
	size_t bound_cnt;   /* finite bounds; buckets are one more, the last is +Inf */
	struct layout_bound bounds[SLID_BUCKETS_MAX - 1];
	/* For the kernel: first bound to try for a duration, by its power of two and the four bits
	 * below: cells[log2(d) << 4 | next four bits]. */
	uint16_t cells[SLID_BOUND_CELLS];
};

/* The classic bounds every layout has, in seconds. Source: Prometheus client libraries' defaults,
 * with 0.75 and 7.5 of OpenTelemetry's HTTP conventions. */
extern const double layout_classic_s[];
extern const size_t layout_classic_cnt;

/* layout__init - build the layout with extra_s (seconds, cnt of them) as further classic bounds.
 * Return: 0; -ERANGE for a bound not in (0, 512] s; -E2BIG for too many, or too many too close. */
int layout__init(struct layout *layout, const double *extra_s, size_t cnt);

/* layout__bucket - index of the bucket a duration falls in. The kernel's own steps, in C. */
size_t layout__bucket(const struct layout *layout, uint64_t dur_ns);

/* layout__quantile - estimate of the q-quantile in seconds over bound_cnt + 1 buckets (counts, not
 * cumulative), with linear interpolation inside a bucket. Return: NAN when there is no count. */
double layout__quantile(const struct layout *layout, const uint64_t *buckets, double q);

#endif
