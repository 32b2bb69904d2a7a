/* SPDX-License-Identifier: Apache-2.0 */
/* log.h - one line per event on standard error, with the level systemd understands. */
#ifndef SLID_LOG_H
#define SLID_LOG_H

#include <stdbool.h>

enum log_level { LOG_LEVEL_ERR = 3, LOG_LEVEL_WARN = 4, LOG_LEVEL_INFO = 6, LOG_LEVEL_DEBUG = 7 };

/* log__level - print lines of this level and more urgent ones; the default is LOG_LEVEL_INFO. */
void log__level(enum log_level level);

/* log__line - one line "slid: ..." (behind "<level>" when standard error is systemd's journal). */
void log__line(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Return: err, so that `return log_err(err, "...")` cannot forget the code. */
int log_err(int err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#define log_warn(...)  log__line(LOG_LEVEL_WARN, __VA_ARGS__)
#define log_info(...)  log__line(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) log__line(LOG_LEVEL_DEBUG, __VA_ARGS__)

/* err_name - "EPERM" for -EPERM (or EPERM); "?" where libc has no name. Source: strerrorname_np(3). */
const char *err_name(int err);

#endif
