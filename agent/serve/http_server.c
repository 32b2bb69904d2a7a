/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http_server.c - owns the listening socket and the thread behind it. Reads only; never changes
 * state, never makes the collector wait.
 */
#include "serve/http_server.h"

#include <errno.h>
#include <microhttpd.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "base/buf.h"
#include "base/log.h"
#include "export/self.h"
#include "export/text.h"
#include "serve/accept.h"
#include "sli/snapshot.h"

#define TEXT_PLAIN "text/plain; charset=utf-8"

struct http_server {
	struct MHD_Daemon *daemon;         /* owned */
	const struct metrics_env *env;     /* borrowed, as the next two */
	const struct http_server_ops *ops;
	void *ctx;
	uint16_t port;
	uint64_t scrape_ns; /* atomic */
};

static const char index_page[] =
	"<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>slid</title>\n"
	"<h1>slid " SLID_VERSION "</h1>\n"
	"<p>Service level indicators of the workloads on this node.</p>\n"
	"<ul><li><a href=\"/metrics\">/metrics</a> Prometheus text or OpenMetrics\n"
	"<li><a href=\"/healthz\">/healthz</a> does it run?\n"
	"<li><a href=\"/readyz\">/readyz</a> does it count?</ul></html>\n";

/* Queue an answer (taken). */
static enum MHD_Result http_server__reply(struct MHD_Connection *conn, unsigned int status,
					  const char *type, struct MHD_Response *response)
{
	enum MHD_Result ret;

	if (!response)
		return MHD_NO; /* no memory: the connection is closed */
	MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
	if (status == MHD_HTTP_METHOD_NOT_ALLOWED)
		MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
	ret = MHD_queue_response(conn, status, response);
	MHD_destroy_response(response);
	return ret;
}

/* An answer of one line. */
static enum MHD_Result http_server__line(struct MHD_Connection *conn, unsigned int status,
					 const char *line)
{
	char body[512];

	snprintf(body, sizeof(body), "%s\n", line);
	return http_server__reply(conn, status, TEXT_PLAIN,
				  MHD_create_response_from_buffer(strlen(body), body,
								  MHD_RESPMEM_MUST_COPY));
}

static uint64_t http_server__now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* Render the newest snapshot. Return: 0 or -errno. */
static int http_server__render(struct http_server *server, enum text_format format,
			       struct buf *body)
{
	CLEAN(snapshot__unref) struct snapshot *snapshot = NULL;
	struct self_stats self = { 0 };
	int err = server->ops->collect(server->ctx, &snapshot);

	if (err)
		return err;
	server->ops->self(server->ctx, &self);
	self.scrape_seconds = http_server__scrape_seconds(server);
	return text__render(server->env, snapshot, &self, format, body);
}

static enum MHD_Result http_server__metrics(struct http_server *server, struct MHD_Connection *conn)
{
	const char *accept =
		MHD_lookup_connection_value(conn, MHD_HEADER_KIND, MHD_HTTP_HEADER_ACCEPT);
	enum text_format format = accept__format(accept);
	uint64_t begin_ns = http_server__now_ns();
	struct MHD_Response *response;
	struct buf body;
	char line[128];
	int err;

	buf__init(&body, HTTP_SERVER_REPLY_CAP);
	err = http_server__render(server, format, &body);
	if (err) {
		buf__free(&body);
		snprintf(line, sizeof(line), "cannot read the metrics: %s", err_name(err));
		return http_server__line(conn, MHD_HTTP_INTERNAL_SERVER_ERROR, line);
	}
	response = MHD_create_response_from_buffer(body.len, body.data, MHD_RESPMEM_MUST_FREE);
	if (!response)
		buf__free(&body);
	__atomic_store_n(&server->scrape_ns, http_server__now_ns() - begin_ns, __ATOMIC_RELAXED);
	return http_server__reply(conn, MHD_HTTP_OK, text__content_type(format), response);
}

static enum MHD_Result http_server__ready(struct http_server *server, struct MHD_Connection *conn)
{
	char why[256] = "not ready";

	if (server->ops->ready(server->ctx, why, sizeof(why)))
		return http_server__line(conn, MHD_HTTP_OK, "ready");
	return http_server__line(conn, MHD_HTTP_SERVICE_UNAVAILABLE, why);
}

static enum MHD_Result http_server__on_request(void *ctx, struct MHD_Connection *conn,
					       const char *url, const char *method,
					       const char *version, const char *upload,
					       size_t *upload_bytes, void **conn_ctx)
{
	static const struct MHD_IoVec index = { index_page, sizeof(index_page) - 1 };
	static int seen; /* an address only: the first call per request comes before its body */
	struct http_server *server = ctx;

	(void)version, (void)upload;
	if (!*conn_ctx) {
		*conn_ctx = &seen;
		return MHD_YES;
	}
	if (*upload_bytes) {
		*upload_bytes = 0; /* read past it */
		return MHD_YES;
	}
	if (strcmp(url, "/") && strcmp(url, "/metrics") && strcmp(url, "/healthz") &&
	    strcmp(url, "/readyz"))
		return http_server__line(conn, MHD_HTTP_NOT_FOUND, "not found");
	if (strcmp(method, MHD_HTTP_METHOD_GET) && strcmp(method, MHD_HTTP_METHOD_HEAD))
		return http_server__line(conn, MHD_HTTP_METHOD_NOT_ALLOWED, "only GET and HEAD");
	if (!strcmp(url, "/metrics"))
		return http_server__metrics(server, conn);
	if (!strcmp(url, "/healthz"))
		return http_server__line(conn, MHD_HTTP_OK, "ok");
	if (!strcmp(url, "/readyz"))
		return http_server__ready(server, conn);
	return http_server__reply(conn, MHD_HTTP_OK, "text/html; charset=utf-8",
				  MHD_create_response_from_iovec(&index, 1, NULL, NULL));
}

/* "ADDR:PORT" to a socket address. Return: 0; -EINVAL; -EADDRNOTAVAIL for a name that is not known.
 */
static int http_server__resolve(const char *listen_at, struct addrinfo **ret)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM,
				  .ai_flags = AI_PASSIVE | AI_NUMERICSERV };
	const char *colon = strrchr(listen_at, ':');
	CLEAN_FREE char *host = NULL;
	size_t len;
	int gai;

	if (!colon || !colon[1] || strlen(colon + 1) > 5 || strspn(colon + 1, "0123456789") !=
	    strlen(colon + 1) || strtoul(colon + 1, NULL, 10) > 65535)
		return -EINVAL;
	len = (size_t)(colon - listen_at);
	if (len >= 2 && *listen_at == '[' && colon[-1] == ']') {
		host = strndup(listen_at + 1, len - 2);
		hints.ai_family = AF_INET6;
	} else if (memchr(listen_at, ':', len)) {
		return -EINVAL; /* IPv6 without brackets */
	} else {
		host = strndup(listen_at, len);
	}
	if (!host)
		return -ENOMEM;
	gai = getaddrinfo(*host ? host : NULL, colon + 1, &hints, ret);
	if (gai == EAI_MEMORY)
		return -ENOMEM;
	return gai == EAI_SYSTEM ? -errno : gai ? -EADDRNOTAVAIL : 0;
}

/* A listening socket, opened here and not by libmicrohttpd, which does not say why it cannot.
 * Return: a descriptor, or -errno. */
static int http_server__listen(const char *listen_at, uint16_t *ret_port)
{
	struct sockaddr_storage bound;
	socklen_t bound_bytes = sizeof(bound);
	struct addrinfo *at = NULL;
	CLEAN_FD int fd = -1;
	int on = 1, err = http_server__resolve(listen_at, &at);

	if (err)
		return err;
	fd = socket(at->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) ||
	    bind(fd, at->ai_addr, at->ai_addrlen) || listen(fd, HTTP_SERVER_CONNECTIONS) ||
	    getsockname(fd, (struct sockaddr *)&bound, &bound_bytes))
		err = -errno;
	freeaddrinfo(at);
	if (err)
		return err;
	*ret_port = ntohs(bound.ss_family == AF_INET6 ?
				  ((struct sockaddr_in6 *)&bound)->sin6_port :
				  ((struct sockaddr_in *)&bound)->sin_port);
	err = fd;
	fd = -1;
	return err;
}

int http_server__new(const char *listen_at, const struct metrics_env *env,
		     const struct http_server_ops *ops, void *ctx, struct http_server **ret)
{
	CLEAN(http_server__free) struct http_server *server = calloc(1, sizeof(*server));
	sigset_t all, before;
	int fd;

	if (!server)
		return -ENOMEM;
	server->env = env;
	server->ops = ops;
	server->ctx = ctx;
	fd = http_server__listen(listen_at, &server->port);
	if (fd < 0)
		return fd;
	sigfillset(&all); /* signals are the main thread's */
	pthread_sigmask(SIG_SETMASK, &all, &before);
	server->daemon = MHD_start_daemon(MHD_USE_EPOLL_INTERNAL_THREAD, 0, NULL, NULL,
					  http_server__on_request, server,
					  MHD_OPTION_LISTEN_SOCKET, fd,
					  MHD_OPTION_CONNECTION_LIMIT, HTTP_SERVER_CONNECTIONS,
					  MHD_OPTION_CONNECTION_TIMEOUT, HTTP_SERVER_TIMEOUT_S,
					  MHD_OPTION_END);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (!server->daemon) {
		close(fd);
		return -ENOMEM; /* it does not say; memory, epoll or a thread */
	}
	*ret = TAKE(server);
	return 0;
}

uint16_t http_server__port(const struct http_server *server)
{
	return server->port;
}

double http_server__scrape_seconds(const struct http_server *server)
{
	return (double)__atomic_load_n(&server->scrape_ns, __ATOMIC_RELAXED) / 1e9;
}

void http_server__free(struct http_server *server)
{
	if (!server)
		return;
	if (server->daemon)
		MHD_stop_daemon(server->daemon);
	free(server);
}
