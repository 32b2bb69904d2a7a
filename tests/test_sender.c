/* SPDX-License-Identifier: Apache-2.0 */
/* test_sender.c - the sender against a receiver that does as it is told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "export/queue.h"
#include "export/sender.h"

#define STEPS_MAX 64

/* What to answer to one request. */
struct step {
	unsigned int status;     /* 0 = close the connection */
	unsigned int delay_ms;
	const char *retry_after; /* "date" = a date two seconds ahead */
	const char *body;
};

struct request {
	uint64_t at_ms;
	unsigned char body[64];
	size_t body_bytes;
	char headers[1024]; /* "Name: value\n" of each */
	char method[8], url[32];
};

/* Answers by the script; past its end by 204. */
struct receiver {
	struct MHD_Daemon *daemon;
	uint16_t port;
	pthread_mutex_t lock;
	const struct step *steps;
	size_t step_cnt, request_cnt;
	struct request requests[STEPS_MAX];
};

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void sleep_ms(unsigned int ms)
{
	usleep(ms * 1000);
}

static enum MHD_Result on_header(void *ctx, enum MHD_ValueKind kind, const char *name,
				 const char *value)
{
	struct request *request = ctx;
	size_t len = strlen(request->headers);

	(void)kind;
	snprintf(request->headers + len, sizeof(request->headers) - len, "%s: %s\n", name,
		 value ? value : "");
	return MHD_YES;
}

static enum MHD_Result answer(struct MHD_Connection *conn, const struct step *step)
{
	struct MHD_Response *response;
	char text[1024], date[64];
	enum MHD_Result ret;
	time_t then = time(NULL) + 2;
	struct tm tm;

	sleep_ms(step->delay_ms);
	if (!step->status)
		return MHD_NO;
	snprintf(text, sizeof(text), "%s", step->body ? step->body : "");
	response = MHD_create_response_from_buffer(strlen(text), text, MHD_RESPMEM_MUST_COPY);
	if (step->retry_after) {
		strftime(date, sizeof(date), "%a, %d %b %Y %H:%M:%S GMT", gmtime_r(&then, &tm));
		MHD_add_response_header(response, "Retry-After",
					strcmp(step->retry_after, "date") ? step->retry_after
									  : date);
	}
	ret = MHD_queue_response(conn, step->status, response);
	MHD_destroy_response(response);
	return ret;
}

static enum MHD_Result on_request(void *ctx, struct MHD_Connection *conn, const char *url,
				  const char *method, const char *version, const char *upload,
				  size_t *upload_bytes, void **conn_ctx)
{
	static const struct step ok = { .status = 204 };
	struct receiver *receiver = ctx;
	struct request *request = *conn_ctx;
	const struct step *step;
	size_t i;

	(void)version;
	if (!request) {
		pthread_mutex_lock(&receiver->lock);
		i = receiver->request_cnt;
		assert_true(i < STEPS_MAX);
		request = *conn_ctx = &receiver->requests[i];
		*request = (struct request){ .at_ms = now_ms() };
		snprintf(request->method, sizeof(request->method), "%s", method);
		snprintf(request->url, sizeof(request->url), "%s", url);
		MHD_get_connection_values(conn, MHD_HEADER_KIND, on_header, request);
		pthread_mutex_unlock(&receiver->lock);
		return MHD_YES;
	}
	if (*upload_bytes) {
		for (i = 0; i < *upload_bytes && request->body_bytes < sizeof(request->body); i++)
			request->body[request->body_bytes++] = (unsigned char)upload[i];
		*upload_bytes = 0;
		return MHD_YES;
	}
	pthread_mutex_lock(&receiver->lock);
	i = __atomic_fetch_add(&receiver->request_cnt, 1, __ATOMIC_ACQ_REL);
	step = i < receiver->step_cnt ? &receiver->steps[i] : &ok;
	pthread_mutex_unlock(&receiver->lock);
	return answer(conn, step);
}

static int listen_on_free_port(uint16_t *ret_port)
{
	struct sockaddr_in at = { .sin_family = AF_INET,
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t bytes = sizeof(at);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(listen(fd, 16), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &bytes), 0);
	*ret_port = ntohs(at.sin_port);
	return fd;
}

static struct receiver *receiver__new(const struct step *steps, size_t step_cnt)
{
	struct receiver *receiver = calloc(1, sizeof(*receiver));
	int fd = listen_on_free_port(&receiver->port);

	pthread_mutex_init(&receiver->lock, NULL);
	receiver->steps = steps;
	receiver->step_cnt = step_cnt;
	receiver->daemon =
		MHD_start_daemon(MHD_USE_EPOLL_INTERNAL_THREAD, 0, NULL, NULL, on_request, receiver,
				 MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_END);
	assert_non_null(receiver->daemon);
	return receiver;
}

static void receiver__free(struct receiver *receiver)
{
	MHD_stop_daemon(receiver->daemon);
	pthread_mutex_destroy(&receiver->lock);
	free(receiver);
}

static struct sender *sender_to(uint16_t port, size_t queue_bytes, unsigned int flush_ms)
{
	struct sender_opts opts = { .queue_bytes = queue_bytes,
				    .flush_ms = flush_ms,
				    .timeout_ms = 700,
				    .backoff_min_ms = 20,
				    .backoff_max_ms = 100 };
	struct sender *sender;
	char url[64];

	snprintf(url, sizeof(url), "http://127.0.0.1:%u/api/v1/write", port);
	opts.url = url;
	assert_int_equal(sender__new(&opts, &sender), 0);
	return sender;
}

/* A batch of 10 samples with one byte, so that the receiver can tell them apart. */
static int push(struct sender *sender, char name)
{
	struct batch *batch = calloc(1, sizeof(*batch) + 1);

	batch->body_bytes = 1;
	batch->sample_cnt = 10;
	batch->body[0] = (unsigned char)name;
	return sender__push(sender, batch);
}

static struct sender_stats wait_for(struct sender *sender, uint64_t finished)
{
	uint64_t end_ms = now_ms() + 10000;
	struct sender_stats stats;

	do {
		sender__stats(sender, &stats);
		if (stats.samples_sent + stats.samples_failed >= finished)
			return stats;
		sleep_ms(5);
	} while (now_ms() < end_ms);
	fail_msg("%llu + %llu samples finished", (unsigned long long)stats.samples_sent,
		 (unsigned long long)stats.samples_failed);
	return stats;
}

/* The bodies that came in, as a word. */
static const char *order(const struct receiver *receiver, char *word)
{
	for (size_t i = 0; i < receiver->request_cnt; i++)
		word[i] = (char)receiver->requests[i].body[0];
	word[receiver->request_cnt] = '\0';
	return word;
}

static void sends_in_order_with_the_headers_of_the_specification(void **state)
{
	struct receiver *receiver = receiver__new(NULL, 0);
	struct sender *sender = sender_to(receiver->port, 0, 0);
	struct sender_stats stats;
	const char *headers = receiver->requests[0].headers;
	char word[STEPS_MAX + 1];

	(void)state;
	for (char name = 'a'; name <= 'e'; name++)
		assert_int_equal(push(sender, name), 0);
	stats = wait_for(sender, 50);
	assert_string_equal(order(receiver, word), "abcde");
	assert_string_equal(receiver->requests[0].method, "POST");
	assert_string_equal(receiver->requests[0].url, "/api/v1/write");
	assert_non_null(strstr(headers, "Content-Type: application/x-protobuf\n"));
	assert_non_null(strstr(headers, "Content-Encoding: snappy\n"));
	assert_non_null(strstr(headers, "X-Prometheus-Remote-Write-Version: 0.1.0\n"));
	assert_non_null(strstr(headers, "User-Agent: slid/"));
	assert_null(strstr(headers, "Expect"));
	assert_null(strstr(headers, "Retry-Attempt"));
	assert_int_equal(stats.samples_sent, 50);
	assert_int_equal(stats.bytes_sent, 5);
	assert_int_equal(stats.send_cnt, 5);
	assert_true(stats.send_ns > 0 && stats.last_success_ms > 1600000000000);
	assert_int_equal(stats.queue_bytes, 0);
	assert_int_equal(stats.queue_cap_bytes, SENDER_QUEUE_BYTES);
	sender__free(sender);
	receiver__free(receiver);
}

static void retries_5xx_429_and_closed_connections(void **state)
{
	static const struct step steps[] = { { .status = 503, .body = "later" },
					     { .status = 500 },
					     { .status = 429 },
					     { .status = 0 },
					     { .status = 200 } };
	struct receiver *receiver = receiver__new(steps, 5);
	struct sender *sender = sender_to(receiver->port, 0, 0);
	struct sender_stats stats;
	char word[STEPS_MAX + 1];

	(void)state;
	push(sender, 'a');
	push(sender, 'b');
	stats = wait_for(sender, 20);
	assert_string_equal(order(receiver, word), "aaaaab");
	assert_non_null(strstr(receiver->requests[1].headers, "Retry-Attempt: 1\n"));
	assert_non_null(strstr(receiver->requests[3].headers, "Retry-Attempt: 3\n"));
	assert_null(strstr(receiver->requests[5].headers, "Retry-Attempt"));
	/* libcurl itself repeats a request when a connection used before is closed without a byte.
	 */
	assert_in_range(stats.samples_retried, 30, 40);
	assert_int_equal(stats.samples_sent, 20);
	assert_int_equal(stats.samples_failed, 0);
	assert_in_range(stats.send_cnt, 5, 6);
	sender__free(sender);
	receiver__free(receiver);
}

static void drops_and_counts_other_4xx(void **state)
{
	static const struct step steps[] = { { .status = 400, .body = "out of order\nsample" },
					     { .status = 401 },
					     { .status = 404 },
					     { .status = 413 },
					     { .status = 415 },
					     { .status = 302 } };
	struct receiver *receiver = receiver__new(steps, 6);
	struct sender *sender = sender_to(receiver->port, 0, 0);
	struct sender_stats stats;
	char word[STEPS_MAX + 1];

	(void)state;
	for (char name = 'a'; name <= 'g'; name++)
		push(sender, name);
	stats = wait_for(sender, 70);
	assert_string_equal(order(receiver, word), "abcdefg");
	assert_int_equal(stats.samples_failed, 60);
	assert_int_equal(stats.samples_sent, 10);
	assert_int_equal(stats.samples_retried, 0);
	sender__free(sender);
	receiver__free(receiver);
}

static void waits_as_long_as_retry_after_says(void **state)
{
	static const struct step steps[] = { { .status = 429, .retry_after = "1" },
					     { .status = 503, .retry_after = "date" },
					     { .status = 503 },
					     { .status = 503, .retry_after = "soon" } };
	struct receiver *receiver = receiver__new(steps, 4);
	struct sender *sender = sender_to(receiver->port, 0, 0);
	const struct request *requests = receiver->requests;

	(void)state;
	push(sender, 'a');
	wait_for(sender, 10);
	assert_int_equal(receiver->request_cnt, 5);
	assert_in_range(requests[1].at_ms - requests[0].at_ms, 990, 1900);
	assert_in_range(requests[2].at_ms - requests[1].at_ms, 900, 2900);
	assert_in_range(requests[3].at_ms - requests[2].at_ms, 0, 800); /* one wish, one wait */
	assert_in_range(requests[4].at_ms - requests[3].at_ms, 0, 800);
	sender__free(sender);
	receiver__free(receiver);
}

static void backs_off_longer_each_time(void **state)
{
	static const struct step steps[] = { { .status = 500 },
					     { .status = 500 },
					     { .status = 500 },
					     { .status = 500 },
					     { .status = 500 } };
	struct receiver *receiver = receiver__new(steps, 5);
	struct sender *sender = sender_to(receiver->port, 0, 0);
	const struct request *requests = receiver->requests;

	(void)state;
	push(sender, 'a');
	wait_for(sender, 10);
	assert_in_range(requests[1].at_ms - requests[0].at_ms, 9, 500);   /* 10 to 20 */
	assert_in_range(requests[3].at_ms - requests[2].at_ms, 38, 500);  /* 40 to 80 */
	assert_in_range(requests[5].at_ms - requests[4].at_ms, 48, 500);  /* 50 to 100: the cap */
	sender__free(sender);
	receiver__free(receiver);
}

static void a_slow_receiver_is_a_timeout_and_tried_again(void **state)
{
	static const struct step steps[] = { { .status = 204, .delay_ms = 1200 } };
	struct receiver *receiver = receiver__new(steps, 1);
	struct sender *sender = sender_to(receiver->port, 0, 0);
	struct sender_stats stats;

	(void)state;
	push(sender, 'a');
	stats = wait_for(sender, 10);
	assert_true(stats.samples_retried >= 10);
	assert_int_equal(stats.samples_sent, 10);
	sender__free(sender);
	receiver__free(receiver);
}

static void push_never_waits_and_the_oldest_go(void **state)
{
	static const struct step steps[] = { { .status = 204, .delay_ms = 500 } };
	struct receiver *receiver = receiver__new(steps, 1);
	struct sender *sender = sender_to(receiver->port, 4, 0);
	struct sender_stats stats;
	uint64_t begin_ms = now_ms();
	char word[STEPS_MAX + 1];

	(void)state;
	push(sender, 'a');
	while (!__atomic_load_n(&receiver->request_cnt, __ATOMIC_ACQUIRE))
		sleep_ms(1);
	begin_ms = now_ms();
	for (char name = 'b'; name <= 'z'; name++)
		assert_int_equal(push(sender, name), 0);
	assert_true(now_ms() - begin_ms < 300);
	stats = wait_for(sender, 40);
	assert_string_equal(order(receiver, word), "axyz");
	assert_int_equal(stats.samples_dropped[SENDER_DROP_QUEUE_FULL], 220);
	assert_int_equal(stats.samples_sent, 40);
	sender__free(sender);
	receiver__free(receiver);
}

/* A request that always fails is pushed out by what follows, once the queue is full. */
static void one_bad_batch_does_not_hold_up_the_rest(void **state)
{
	static struct step steps[20];
	struct receiver *receiver;
	struct sender *sender;
	struct sender_stats stats;
	char word[STEPS_MAX + 1];

	(void)state;
	for (int i = 0; i < 4; i++)
		steps[i].status = 500;
	steps[3].retry_after = "1";
	receiver = receiver__new(steps, 4);
	sender = sender_to(receiver->port, 2, 0);
	push(sender, 'a');
	while (__atomic_load_n(&receiver->request_cnt, __ATOMIC_ACQUIRE) < 4)
		sleep_ms(1);
	sleep_ms(200); /* now it waits for a second */
	push(sender, 'b');
	push(sender, 'c');
	stats = wait_for(sender, 20);
	assert_string_equal(order(receiver, word), "aaaabc");
	assert_null(strstr(receiver->requests[4].headers, "Retry-Attempt"));
	assert_int_equal(stats.samples_dropped[SENDER_DROP_QUEUE_FULL], 10);
	sender__free(sender);
	receiver__free(receiver);
}

static void stop_flushes_what_waits(void **state)
{
	static const struct step steps[] = { { .status = 503 },
					     { .status = 204, .delay_ms = 100 } };
	struct receiver *receiver = receiver__new(steps, 2);
	struct sender *sender = sender_to(receiver->port, 0, 2000);
	struct sender_stats stats;
	char word[STEPS_MAX + 1];

	(void)state;
	for (char name = 'a'; name <= 'd'; name++)
		push(sender, name);
	sender__stop(sender);
	sender__stats(sender, &stats);
	assert_string_equal(order(receiver, word), "aabcd");
	assert_int_equal(stats.samples_sent, 40);
	assert_int_equal(stats.samples_dropped[SENDER_DROP_SHUTDOWN], 0);
	sender__free(sender);
	receiver__free(receiver);
}

static void stop_gives_up_in_time(void **state)
{
	static const struct step steps[] = { { .status = 429, .retry_after = "60" } };
	struct receiver *receiver = receiver__new(steps, 1);
	struct sender *sender = sender_to(receiver->port, 0, 300);
	struct sender_stats stats;
	uint64_t begin_ms;

	(void)state;
	push(sender, 'a');
	push(sender, 'b');
	while (!__atomic_load_n(&receiver->request_cnt, __ATOMIC_ACQUIRE))
		sleep_ms(1);
	sleep_ms(50);
	begin_ms = now_ms();
	sender__stop(sender);
	assert_true(now_ms() - begin_ms < 1500);
	sender__stats(sender, &stats);
	assert_int_equal(stats.samples_dropped[SENDER_DROP_SHUTDOWN], 20);
	assert_int_equal(stats.queue_batches, 0);
	sender__free(sender);
	receiver__free(receiver);
}

static void nobody_listens_and_then_somebody_does(void **state)
{
	struct sender_stats stats;
	struct sender *sender;
	uint16_t port;
	int fd = listen_on_free_port(&port);

	(void)state;
	close(fd);
	sender = sender_to(port, 0, 200);
	push(sender, 'a');
	sleep_ms(300);
	sender__stats(sender, &stats);
	assert_true(stats.send_cnt >= 2);
	assert_true(stats.samples_retried >= 10);
	assert_int_equal(stats.queue_samples, 10);
	assert_int_equal(stats.samples_sent + stats.samples_failed, 0);
	sender__free(sender);
	sender__free(NULL);
}

static void bad_urls_are_refused(void **state)
{
	static const char *const urls[] = { "", "nonsense", "ftp://h/x", "file:///etc/passwd",
					    "http://", "http://h:99999/" };
	struct sender *sender = NULL;

	(void)state;
	for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++) {
		struct sender_opts opts = { .url = urls[i] };

		assert_int_equal(sender__new(&opts, &sender), -EINVAL);
		assert_null(sender);
	}
}

/* One line per change of state, not per attempt; and no password in it. */
static void logs_changes_only(void **state)
{
	static const struct step steps[] = { { .status = 204 },
					     { .status = 503, .body = "full\r\nx" },
					     { .status = 503 },
					     { .status = 500 },
					     { .status = 204 } };
	struct receiver *receiver = receiver__new(steps, 5);
	struct sender_opts opts = { .backoff_min_ms = 5, .backoff_max_ms = 10 };
	char url[96], log[4096] = "", expected[512];
	FILE *file = tmpfile();
	int saved = dup(STDERR_FILENO);
	struct sender *sender;

	(void)state;
	unsetenv("JOURNAL_STREAM");
	snprintf(url, sizeof(url), "http://joe:secret@127.0.0.1:%u/w?token=secret", receiver->port);
	opts.url = url;
	dup2(fileno(file), STDERR_FILENO);
	log__level(LOG_LEVEL_INFO);
	assert_int_equal(sender__new(&opts, &sender), 0);
	push(sender, 'a');
	push(sender, 'b');
	wait_for(sender, 20);
	sender__free(sender);
	log__level(LOG_LEVEL_ERR);
	dup2(saved, STDERR_FILENO);
	close(saved);
	rewind(file);
	log[fread(log, 1, sizeof(log) - 1, file)] = '\0';
	fclose(file);
	snprintf(expected, sizeof(expected),
		 "slid: remote-write: http://127.0.0.1:%1$u/w takes what is sent\n"
		 "slid: remote-write: http://127.0.0.1:%1$u/w answers 503, so trying again until "
		 "it works: full  x\n"
		 "slid: remote-write: http://127.0.0.1:%1$u/w works again\n",
		 receiver->port);
	assert_string_equal(log, expected);
	assert_non_null(strstr(receiver->requests[0].headers, "Authorization: Basic "));
	receiver__free(receiver);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sends_in_order_with_the_headers_of_the_specification),
		cmocka_unit_test(retries_5xx_429_and_closed_connections),
		cmocka_unit_test(drops_and_counts_other_4xx),
		cmocka_unit_test(waits_as_long_as_retry_after_says),
		cmocka_unit_test(backs_off_longer_each_time),
		cmocka_unit_test(a_slow_receiver_is_a_timeout_and_tried_again),
		cmocka_unit_test(push_never_waits_and_the_oldest_go),
		cmocka_unit_test(one_bad_batch_does_not_hold_up_the_rest),
		cmocka_unit_test(stop_flushes_what_waits),
		cmocka_unit_test(stop_gives_up_in_time),
		cmocka_unit_test(nobody_listens_and_then_somebody_does),
		cmocka_unit_test(bad_urls_are_refused),
		cmocka_unit_test(logs_changes_only),
	};

	log__level(LOG_LEVEL_ERR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
