/* SPDX-License-Identifier: Apache-2.0 */
/* test_http_server.c - the server over real sockets, by libcurl; and the reading of Accept. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <curl/curl.h>
#include <errno.h>

#include "base/buf.h"
#include "export/self.h"
#include "fake_snapshot.h"
#include "serve/accept.h"
#include "serve/http_server.h"

/* What the server is given, and may be told to refuse. */
struct given {
	struct fake *fake;
	struct http_server *server;
	int collect_err;
	bool is_ready;
};

static const struct metrics_env env = { .node = "n1" };

static int give_snapshot(void *ctx, struct snapshot **ret)
{
	struct given *given = ctx;

	if (given->collect_err)
		return given->collect_err;
	*ret = snapshot__ref(&given->fake->snapshot);
	return 0;
}

static bool give_ready(void *ctx, char *why, size_t cap)
{
	const struct given *given = ctx;

	snprintf(why, cap, "no map read yet");
	return given->is_ready;
}

static void give_self(void *ctx, struct self_stats *self)
{
	(void)ctx;
	self__read(self);
}

static const struct http_server_ops ops = { give_snapshot, give_ready, give_self };

static int setup(void **state)
{
	struct given *given = calloc(1, sizeof(*given));

	given->fake = fake__new(1700000100000);
	given->is_ready = true;
	fake__fill(given->fake, 1);
	*state = given;
	return http_server__new("127.0.0.1:0", &env, &ops, given, &given->server);
}

static int teardown(void **state)
{
	struct given *given = *state;

	http_server__free(given->server);
	assert_int_equal(given->fake->snapshot.ref_cnt, 1000);
	fake__free(given->fake);
	free(given);
	return 0;
}

static size_t on_data(char *data, size_t one, size_t cnt, void *ctx)
{
	buf__add(ctx, data, one * cnt);
	return one * cnt;
}

/* Return: the status. @accept: NULL = none. */
static long fetch(uint16_t port, const char *method, const char *path, const char *accept,
		  struct buf *headers, struct buf *body)
{
	struct curl_slist *list = NULL;
	CURL *curl = curl_easy_init();
	char line[512];
	long status = 0;

	buf__init(headers, 65536);
	buf__init(body, (size_t)64 << 20);
	snprintf(line, sizeof(line), "Accept:%s%s", accept ? " " : "", accept ? accept : "");
	list = curl_slist_append(list, line);
	snprintf(line, sizeof(line), "http://127.0.0.1:%u%s", port, path);
	curl_easy_setopt(curl, CURLOPT_URL, line);
	curl_easy_setopt(curl, CURLOPT_HTTPHEADER, list);
	if (!strcmp(method, "HEAD"))
		curl_easy_setopt(curl, CURLOPT_NOBODY, 1L);
	else if (!strcmp(method, "POST"))
		curl_easy_setopt(curl, CURLOPT_POSTFIELDS, "some=thing");
	else
		curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, method);
	curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, 10000L);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_data);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, body);
	curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_data);
	curl_easy_setopt(curl, CURLOPT_HEADERDATA, headers);
	assert_int_equal(curl_easy_perform(curl), CURLE_OK);
	curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
	curl_easy_cleanup(curl);
	curl_slist_free_all(list);
	return status;
}

/* One request; header and text must be in the answer (NULL: whatever). */
static void expect(const struct given *given, const char *method, const char *path, long status,
		   const char *accept, const char *header, const char *text)
{
	struct buf headers, body;

	assert_int_equal(
		fetch(http_server__port(given->server), method, path, accept, &headers, &body),
		status);
	if (header && !strstr(headers.data, header))
		fail_msg("%s is not in\n%s", header, headers.data);
	if (text && (!body.len || !strstr(body.data, text)))
		fail_msg("%s is not in\n%s", text, body.len ? body.data : "nothing");
	buf__free(&headers);
	buf__free(&body);
}

#define OM "application/openmetrics-text"

static void metrics_in_the_format_asked_for(void **state)
{
	const struct given *given = *state;

	expect(given, "GET", "/metrics", 200, NULL,
	       "Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n",
	       "# TYPE http_requests_total counter\nhttp_requests_total{");
	expect(given, "GET", "/metrics", 200, OM ";version=1.0.0,text/plain;q=0.5",
	       "Content-Type: " OM "; version=1.0.0; charset=utf-8\r\n",
	       "# TYPE http_requests counter\nhttp_requests_total{");
	expect(given, "GET", "/metrics?x=1", 200, NULL, NULL, "process_open_fds{");
	assert_true(http_server__scrape_seconds(given->server) > 0);
}

static void metrics_that_cannot_be_read(void **state)
{
	struct given *given = *state;

	given->collect_err = -ENOMEM;
	expect(given, "GET", "/metrics", 500, NULL, "text/plain",
	       "cannot read the metrics: ENOMEM\n");
}

static void health_and_readiness(void **state)
{
	struct given *given = *state;

	expect(given, "GET", "/healthz", 200, NULL, "text/plain", "ok\n");
	expect(given, "GET", "/readyz", 200, NULL, "text/plain", "ready\n");
	given->is_ready = false;
	expect(given, "GET", "/readyz", 503, NULL, "text/plain", "no map read yet\n");
	expect(given, "GET", "/healthz", 200, NULL, NULL, "ok\n");
	expect(given, "GET", "/", 200, NULL, "text/html", "href=\"/metrics\"");
}

static void head_has_headers_and_no_body(void **state)
{
	const struct given *given = *state;
	struct buf headers, body;

	assert_int_equal(fetch(http_server__port(given->server), "HEAD", "/metrics", NULL, &headers,
			       &body), 200);
	assert_int_equal(body.len, 0);
	assert_non_null(strstr(headers.data, "Content-Length: "));
	assert_null(strstr(headers.data, "Content-Length: 0"));
	buf__free(&headers);
}

static void other_paths_and_methods(void **state)
{
	const struct given *given = *state;

	expect(given, "GET", "/metricsx", 404, NULL, NULL, "not found\n");
	expect(given, "GET", "/../etc/passwd", 404, NULL, NULL, NULL);
	expect(given, "DELETE", "/metrics", 405, NULL, "Allow: GET, HEAD\r\n", NULL);
	expect(given, "POST", "/metrics", 405, NULL, "Allow: GET, HEAD\r\n", NULL);
	expect(given, "POST", "/nowhere", 404, NULL, NULL, NULL);
}

static int listens(const char *at)
{
	struct given given = { 0 };
	int err = http_server__new(at, &env, &ops, &given, &given.server);

	http_server__free(given.server);
	return err;
}

static void addresses_and_their_errors(void **state)
{
	static const char *const bad[] = { "",
					   "127.0.0.1",
					   "127.0.0.1:",
					   "127.0.0.1:x",
					   "::1:80",
					   "127.0.0.1:65536",
					   "127.0.0.1:-1",
					   "[::1]",
					   "1.2.3.4:999999" };
	const struct given *given = *state;
	char taken[32];

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(listens(bad[i]), -EINVAL);
	snprintf(taken, sizeof(taken), "127.0.0.1:%u", http_server__port(given->server));
	assert_int_equal(listens(taken), -EADDRINUSE);
	assert_int_equal(listens("192.0.2.1:0"), -EADDRNOTAVAIL);
	assert_int_equal(listens("[127.0.0.1]:0"), -EADDRNOTAVAIL);
	assert_int_equal(listens("localhost:0"), 0);
	if (!access("/proc/net/if_inet6", R_OK))
		assert_int_equal(listens("[::1]:0"), 0);
	http_server__free(NULL);
}

static void accept_headers(void **state)
{
	static const struct {
		const char *accept;
		enum text_format format;
	} cases[] = {
		{ NULL, TEXT_PROMETHEUS },
		{ "", TEXT_PROMETHEUS },
		{ "*/*", TEXT_PROMETHEUS },
		{ OM, TEXT_OPENMETRICS },
		{ " Application/OpenMetrics-Text ; Version=\"1.0.0\" ; charset=utf-8",
		  TEXT_OPENMETRICS },
		{ OM ";version=0.0.1", TEXT_PROMETHEUS },
		{ OM ";version=2.0.0", TEXT_PROMETHEUS },
		{ OM ";q=0", TEXT_PROMETHEUS },
		{ OM ";q=x", TEXT_PROMETHEUS },
		{ OM ";q=0.3,text/plain;q=0.4", TEXT_PROMETHEUS },
		{ "text/plain;q=0.35," OM ";q=0.36", TEXT_OPENMETRICS },
		/* Prometheus 2.42 and 3.5 */
		{ OM ";version=1.0.0," OM ";version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,"
		     "*/*;q=0.1",
		  TEXT_OPENMETRICS },
		{ OM ";version=1.0.0;escaping=allow-utf-8;q=0.6," OM ";version=0.0.1;q=0.5,"
		     "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/"
		     "plain;version=0.0.4;q=0.3,"
		     "*/*;q=0.2",
		  TEXT_OPENMETRICS },
		/* a browser; then rubbish */
		{ "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
		  TEXT_PROMETHEUS },
		{ ",,;;==\"" OM, TEXT_PROMETHEUS },
		{ OM ";q=\"", TEXT_PROMETHEUS },
		{ OM ";version=\"", TEXT_PROMETHEUS },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		if (accept__format(cases[i].accept) != cases[i].format)
			fail_msg("wrong format for %s", cases[i].accept);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(metrics_in_the_format_asked_for, setup, teardown),
		cmocka_unit_test_setup_teardown(metrics_that_cannot_be_read, setup, teardown),
		cmocka_unit_test_setup_teardown(health_and_readiness, setup, teardown),
		cmocka_unit_test_setup_teardown(head_has_headers_and_no_body, setup, teardown),
		cmocka_unit_test_setup_teardown(other_paths_and_methods, setup, teardown),
		cmocka_unit_test_setup_teardown(addresses_and_their_errors, setup, teardown),
		cmocka_unit_test(accept_headers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
