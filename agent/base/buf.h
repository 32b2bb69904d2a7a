/* SPDX-License-Identifier: Apache-2.0 */
/* buf.h - a growable byte buffer with a cap; an append past the cap or without memory sticks as
 * an error, so that a writer checks once, at the end. */
#ifndef SLID_BUF_H
#define SLID_BUF_H

#include <stddef.h>

struct buf {
	char *data;      /* owned; NUL-terminated whenever len > 0 */
	size_t len;      /* bytes used, without the NUL */
	size_t alloc;    /* bytes allocated */
	size_t cap;      /* most that may ever be used */
	int err;         /* 0, -ENOMEM or -E2BIG; set once, then appends do nothing */
};

/* buf__init - an empty buffer that never grows past cap bytes. Allocates nothing. */
void buf__init(struct buf *buf, size_t cap);
void buf__free(struct buf *buf);
/* buf__reset - forget the content and the error, keep the memory. */
void buf__reset(struct buf *buf);
void buf__add(struct buf *buf, const void *data, size_t len);
void buf__str(struct buf *buf, const char *str);
void buf__printf(struct buf *buf, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
