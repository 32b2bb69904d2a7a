/* SPDX-License-Identifier: Apache-2.0 */
/* text.h - metrics as text for scrapers. */
#ifndef SLID_TEXT_H
#define SLID_TEXT_H

#include "export/metrics.h"

struct buf;

enum text_format {
	TEXT_PROMETHEUS = 0, /* Prometheus text 0.0.4 */
	TEXT_OPENMETRICS,    /* OpenMetrics 1.0.0 */
};

/* text__content_type - the HTTP header's value. Return: a static string. */
const char *text__content_type(enum text_format format);

/* text__render - append everything to out. @self: NULL = without slid's process and remote-write.
 * Return: 0, or out's error: -ENOMEM, -E2BIG.
 * Source: https://prometheus.io/docs/instrumenting/exposition_formats/ and the OpenMetrics 1.0.0
 * specification, section "Text format". */
int text__render(const struct metrics_env *env, const struct snapshot *snapshot,
		 const struct self_stats *self, enum text_format format, struct buf *out);

#endif
