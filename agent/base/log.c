/* SPDX-License-Identifier: Apache-2.0 */
/* log.c - owns the level and the form of a log line; never decides what is worth one. */
#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static enum log_level log_max = LOG_LEVEL_INFO;

void log__level(enum log_level level)
{
	log_max = level;
}

static void log__vline(enum log_level level, const char *fmt, va_list args)
{
	char line[1024];

	if (level > log_max)
		return;
	vsnprintf(line, sizeof(line), fmt, args);
	if (getenv("JOURNAL_STREAM"))
		fprintf(stderr, "<%d>%s\n", (int)level, line);
	else
		fprintf(stderr, "slid: %s\n", line);
}

void log__line(enum log_level level, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	log__vline(level, fmt, args);
	va_end(args);
}

int log_err(int err, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	log__vline(LOG_LEVEL_ERR, fmt, args);
	va_end(args);
	return err;
}

const char *err_name(int err)
{
	const char *name = strerrorname_np(abs(err));

	return name ? name : "?";
}
