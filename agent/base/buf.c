/* SPDX-License-Identifier: Apache-2.0 */
/* buf.c - owns the memory of a growable buffer; never aborts, never exceeds its cap. */
#include "base/buf.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void buf__init(struct buf *buf, size_t cap)
{
	*buf = (struct buf){ .cap = cap };
}

void buf__free(struct buf *buf)
{
	free(buf->data);
	*buf = (struct buf){ .cap = buf->cap };
}

void buf__reset(struct buf *buf)
{
	buf->len = 0;
	buf->err = 0;
}

/* Make room for len more bytes and a NUL. Return: 0, or the sticky error. */
static int buf__room(struct buf *buf, size_t len)
{
	size_t want, alloc;
	char *data;

	if (buf->err)
		return buf->err;
	if (len > buf->cap || buf->len > buf->cap - len)
		return buf->err = -E2BIG;
	want = buf->len + len + 1;
	if (want <= buf->alloc)
		return 0;
	alloc = buf->alloc ? buf->alloc : 256;
	while (alloc < want)
		alloc *= 2;
	data = realloc(buf->data, alloc);
	if (!data)
		return buf->err = -ENOMEM;
	buf->data = data;
	buf->alloc = alloc;
	return 0;
}

void buf__add(struct buf *buf, const void *data, size_t len)
{
	if (buf__room(buf, len))
		return;
	if (len)
		memcpy(buf->data + buf->len, data, len);
	buf->len += len;
	buf->data[buf->len] = '\0';
}

void buf__str(struct buf *buf, const char *str)
{
	buf__add(buf, str, strlen(str));
}

void buf__printf(struct buf *buf, const char *fmt, ...)
{
	va_list args;
	int len;

	va_start(args, fmt);
	len = vsnprintf(NULL, 0, fmt, args);
	va_end(args);
	if (len < 0 || buf__room(buf, (size_t)len))
		return;
	va_start(args, fmt);
	vsnprintf(buf->data + buf->len, (size_t)len + 1, fmt, args);
	va_end(args);
	buf->len += (size_t)len;
}
