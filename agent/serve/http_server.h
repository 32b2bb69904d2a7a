/* SPDX-License-Identifier: Apache-2.0 */
/* http_server.h - GET /metrics, /healthz, /readyz and a page that names them. */
#ifndef SLID_HTTP_SERVER_H
#define SLID_HTTP_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/own.h"

struct http_server;
struct metrics_env;
struct self_stats;
struct snapshot;

/* What the server asks for; called on its thread, one call at a time. */
struct http_server_ops {
	/* collect - the newest snapshot, with a reference for the server. Return: 0 or -errno. */
	int (*collect)(void *ctx, struct snapshot **ret);
	/* ready - is there something to serve? If not, why: one line. */
	bool (*ready)(void *ctx, char *why, size_t cap);
	/* self - fill in all of *self but scrape_seconds. */
	void (*self)(void *ctx, struct self_stats *self);
};

#define HTTP_SERVER_CONNECTIONS 64
#define HTTP_SERVER_TIMEOUT_S   10
#define HTTP_SERVER_REPLY_CAP   ((size_t)256 << 20) /* of one answer; then 500 */

/* http_server__new - listen and serve, on a thread of its own. env, ops and ctx are borrowed.
 * @listen: "ADDR:PORT", "[ADDR6]:PORT" or ":PORT"; port 0 = any free one.
 * Return: 0; -EINVAL for such an address that is none; -EADDRINUSE, -EADDRNOTAVAIL, -EACCES, ... */
int http_server__new(const char *listen, const struct metrics_env *env,
		     const struct http_server_ops *ops, void *ctx, struct http_server **ret);

/* http_server__port - the port it listens on. */
uint16_t http_server__port(const struct http_server *server);

/* http_server__scrape_seconds - how long the last answer to GET /metrics took; 0 = none yet. From
 * any thread. */
double http_server__scrape_seconds(const struct http_server *server);

/* http_server__free - close all connections, end the thread. NULL is fine. */
void http_server__free(struct http_server *server);
DEFINE_CLEAN(struct http_server, http_server__free)

#endif
