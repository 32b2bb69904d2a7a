/* SPDX-License-Identifier: Apache-2.0 */
/* layout.c - owns the one list of bucket bounds and the index the kernel enters it by; never
 * rounds a bound in a way that moves a duration to the other side of it. */
#include "sli/layout.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#define NS_PER_S      1000000000.0
#define EXP_PER_POWER (1 << LAYOUT_SCHEMA)
#define SECONDS_MAX   512.0
#define CELL_BITS     4 /* of a duration below its top bit */

const double layout_classic_s[] = {0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25,
				   0.5,	  0.75, 1,     2.5,  5,	    7.5, 10};
const size_t layout_classic_cnt = sizeof(layout_classic_s) / sizeof(layout_classic_s[0]);

/*
 * 2^(i/8) as a double, and floor(2^(i/8) * 1e9 * 2^9): shifted right by 9 - q this is
 * floor(2^(q + i/8) * 1e9) with no rounding at all, since a floor of a floor is the floor.
 */
static const struct {
	double value;
	uint64_t ns_512;
} layout_eighths[EXP_PER_POWER] = {
	{1.0, 512000000000ull},
	{1.0905077326652577, 558339959124ull},
	{1.189207115002721, 608874042881ull},
	{1.2968395546510096, 663981851981ull},
	{1.4142135623730951, 724077343935ull},
	{1.5422108254079407, 789611942608ull},
	{1.681792830507429, 861077929219ull},
	{1.8340080864093424, 939012140241ull},
};

_Static_assert(LAYOUT_EXP_MAX == 9 * EXP_PER_POWER, "the table above is scaled by 2^9");
_Static_assert(SLID_BOUND_CELLS == 64 << CELL_BITS, "cells of a 64-bit duration");

static struct layout_bound layout__exponential(int index)
{
	int fraction = (index % EXP_PER_POWER + EXP_PER_POWER) % EXP_PER_POWER;
	int power = (index - fraction) / EXP_PER_POWER;

	return (struct layout_bound){
		.ns = layout_eighths[fraction].ns_512 >> (9 - power),
		.seconds = ldexp(layout_eighths[fraction].value, power),
		.exp_index = index,
		.is_exp = true,
	};
}

/* Seconds as written to the largest whole ns at or under them. A decimal fraction like 0.1 is not
 * exact in binary, so a product this close to a whole number is that number. */
static int layout__classic(double seconds, struct layout_bound *ret)
{
	double ns = seconds * NS_PER_S, whole = round(ns);

	if (!(seconds > 0) || seconds > SECONDS_MAX)
		return -ERANGE;
	if (fabs(ns - whole) > 1e-3)
		whole = floor(ns);
	if (whole < 1)
		return -ERANGE;
	*ret = (struct layout_bound){.ns = (uint64_t)whole, .seconds = seconds, .is_classic = true};
	return 0;
}

/* Index of the first bound at or over ns; bound_cnt if there is none. */
static size_t layout__search(const struct layout *layout, uint64_t ns)
{
	size_t lo = 0, hi = layout->bound_cnt;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (layout->bounds[mid].ns < ns)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static int layout__insert(struct layout *layout, const struct layout_bound *bound)
{
	size_t idx = layout__search(layout, bound->ns);
	struct layout_bound *at = &layout->bounds[idx];

	if (idx < layout->bound_cnt && at->ns == bound->ns) {
		if (bound->is_exp) {
			at->is_exp = true;
			at->exp_index = bound->exp_index;
		} else if (!at->is_classic) {
			at->is_classic = true;
			at->seconds = bound->seconds; /* as it is written */
		}
		return 0;
	}
	if (layout->bound_cnt == sizeof(layout->bounds) / sizeof(layout->bounds[0]))
		return -E2BIG;
	memmove(at + 1, at, (layout->bound_cnt - idx) * sizeof(*at));
	*at = *bound;
	layout->bound_cnt++;
	return 0;
}

static int layout__insert_classic(struct layout *layout, const double *seconds, size_t cnt)
{
	struct layout_bound bound;
	int err;

	for (size_t i = 0; i < cnt; i++) {
		err = layout__classic(seconds[i], &bound);
		if (!err)
			err = layout__insert(layout, &bound);
		if (err)
			return err;
	}
	return 0;
}

/* Smallest duration of a cell. Below 16 ns a cell is narrower than 1 ns: rounded up. */
static uint64_t layout__cell_min(size_t cell)
{
	unsigned int power = (unsigned int)(cell >> CELL_BITS);
	uint64_t lead = (1u << CELL_BITS) + (cell & ((1u << CELL_BITS) - 1));

	if (power >= CELL_BITS)
		return lead << (power - CELL_BITS);
	return (lead + (1u << (CELL_BITS - power)) - 1) >> (CELL_BITS - power);
}

static int layout__index(struct layout *layout)
{
	for (size_t cell = 0; cell < SLID_BOUND_CELLS; cell++) {
		size_t idx = layout__search(layout, layout__cell_min(cell)),
		       end = layout->bound_cnt;

		if (cell + 1 < SLID_BOUND_CELLS)
			end = layout__search(layout, layout__cell_min(cell + 1));
		if (end - idx > SLID_CELL_STEPS)
			return -E2BIG;
		layout->cells[cell] = (uint16_t)idx;
	}
	return 0;
}

int layout__init(struct layout *layout, const double *extra_s, size_t cnt)
{
	int err;

	*layout = (struct layout){0};
	for (int index = LAYOUT_EXP_MIN; index <= LAYOUT_EXP_MAX; index++) {
		struct layout_bound bound = layout__exponential(index);

		err = layout__insert(layout, &bound);
		if (err)
			return err;
	}
	err = layout__insert_classic(layout, layout_classic_s, layout_classic_cnt);
	if (!err)
		err = layout__insert_classic(layout, extra_s, cnt);
	return err ? err : layout__index(layout);
}

size_t layout__bucket(const struct layout *layout, uint64_t dur_ns)
{
	unsigned int power;
	size_t idx, mantissa;

	if (!dur_ns)
		return 0;
	power = 63u - (unsigned int)__builtin_clzll(dur_ns);
	mantissa =
		power >= CELL_BITS ? dur_ns >> (power - CELL_BITS) : dur_ns << (CELL_BITS - power);
	idx = layout->cells[(power << CELL_BITS) | (mantissa & ((1u << CELL_BITS) - 1))];
	for (int i = 0; i < SLID_CELL_STEPS; i++) {
		if (idx >= layout->bound_cnt || dur_ns <= layout->bounds[idx].ns)
			break;
		idx++;
	}
	return idx;
}

double layout__quantile(const struct layout *layout, const uint64_t *buckets, double q)
{
	double total = 0, below = 0, rank, from, to;
	size_t idx;

	for (idx = 0; idx <= layout->bound_cnt; idx++)
		total += (double)buckets[idx];
	if (!(total > 0) || isnan(q))
		return NAN;
	rank = fmin(fmax(q, 0), 1) * total;
	for (idx = 0; idx < layout->bound_cnt; idx++) {
		if (buckets[idx] && below + (double)buckets[idx] >= rank)
			break;
		below += (double)buckets[idx];
	}
	if (idx == layout->bound_cnt) /* over the last bound: that is all that is known */
		return layout->bounds[idx - 1].seconds;
	from = idx ? layout->bounds[idx - 1].seconds : 0;
	to = layout->bounds[idx].seconds;
	return from + (to - from) * (rank - below) / (double)buckets[idx];
}
