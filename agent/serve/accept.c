/* SPDX-License-Identifier: Apache-2.0 */
/* accept.c - owns the reading of Accept headers; pure functions over hostile text. */
#include "serve/accept.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* A stretch of the header, not NUL-terminated. */
struct piece {
	const char *at;
	size_t len;
};

static bool piece__is(struct piece piece, const char *text)
{
	return piece.len == strlen(text) && !strncasecmp(piece.at, text, piece.len);
}

/* Cut off what comes before sep, without the blanks around it. */
static struct piece piece__cut(struct piece *rest, char sep)
{
	const char *end = rest->len ? memchr(rest->at, sep, rest->len) : NULL;
	struct piece piece = { rest->at, end ? (size_t)(end - rest->at) : rest->len };

	rest->at += piece.len + (end ? 1 : 0);
	rest->len -= piece.len + (end ? 1 : 0);
	while (piece.len && (*piece.at == ' ' || *piece.at == '\t')) {
		piece.at++;
		piece.len--;
	}
	while (piece.len && (piece.at[piece.len - 1] == ' ' || piece.at[piece.len - 1] == '\t'))
		piece.len--;
	return piece;
}

/* "0.75" in thousandths; nonsense is 0, as for a range that is not wanted. */
static int piece__quality(struct piece piece)
{
	int value = 0, scale = 1000;

	if (!piece.len || (*piece.at != '0' && *piece.at != '1'))
		return 0;
	value = (*piece.at - '0') * 1000;
	for (size_t i = 2; i < piece.len && piece.at[i] >= '0' && piece.at[i] <= '9' && scale > 1;
	     i++) {
		scale /= 10;
		value += (piece.at[i] - '0') * scale;
	}
	return value > 1000 ? 1000 : value;
}

/* One media range's parameters. @version: one that is fine, beside none. Return: its quality, 0 =
 * no. */
static int accept__params(struct piece params, const char *version)
{
	int quality = 1000;

	while (params.len) {
		struct piece value = piece__cut(&params, ';');
		struct piece name = piece__cut(&value, '=');

		if (value.len > 1 && *value.at == '"') { /* a quoted string */
			value.at++;
			value.len -= 2;
		}
		if (piece__is(name, "q"))
			quality = piece__quality(value);
		else if (piece__is(name, "version") && version && !piece__is(value, version))
			return 0;
	}
	return quality;
}

enum text_format accept__format(const char *accept)
{
	struct piece rest = { accept, accept ? strlen(accept) : 0 };
	int openmetrics = 0, plain = 0;

	while (rest.len) {
		struct piece params = piece__cut(&rest, ',');
		struct piece type = piece__cut(&params, ';');
		int quality;

		if (piece__is(type, "application/openmetrics-text")) {
			quality = accept__params(params, "1.0.0");
			openmetrics = quality > openmetrics ? quality : openmetrics;
		} else if (piece__is(type, "text/plain")) {
			quality = accept__params(params, "0.0.4");
			plain = quality > plain ? quality : plain;
		}
	}
	return openmetrics && openmetrics >= plain ? TEXT_OPENMETRICS : TEXT_PROMETHEUS;
}
