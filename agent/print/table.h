/* SPDX-License-Identifier: Apache-2.0 */
/* table.h - the numbers as a table for people: one row per workload, port and role. */
#ifndef SLID_TABLE_H
#define SLID_TABLE_H

#include <stdbool.h>

#include "base/buf.h"
#include "sli/snapshot.h"

struct table_opts {
	bool tty; /* redraw in place; else lines are appended, a blank one between tables */
	unsigned int rows; /* of the terminal; 0 = no limit. Only with tty */
	unsigned int cols;
};

/* table__render - append the table to out. Rates, errors and percentiles are of the time from prev
 * to cur; with prev NULL, of all time since a row's counting began. Errors are codes of 500 and
 * more and requests without a whole response, but not those whose client left. Times are local.
 * Return: 0; -ENOMEM; out->err. */
int table__render(const struct snapshot *prev, const struct snapshot *cur,
		  const struct table_opts *opts, struct buf *out);

/* table__duration - seconds in at most five characters: "7.6us", "107us", "1.2ms", "3.4s"; "-" for
 * NAN. */
void table__duration(double seconds, char *out, size_t cap);

#endif
