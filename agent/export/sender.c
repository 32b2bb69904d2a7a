/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sender.c - owns the queue's lock, the connection and the thread that empties the one over the
 * other. Never looks into a batch, never makes sender__push wait for the network.
 */
#include "export/sender.h"

#include <curl/curl.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "export/queue.h"

#define REPLY_CAP      1024              /* of an error's body, for one log line */
#define RETRY_AFTER_MS (3600 * 1000)     /* longer waits are not believed */

/* How things stand; a line is logged when this changes, not per request. */
enum sender_state { STATE_NEW = 0, STATE_OK, STATE_DOWN, STATE_REFUSED };

enum verdict { VERDICT_SENT, VERDICT_REFUSED, VERDICT_RETRY, VERDICT_STOPPED };

struct sender {
	struct sender_opts opts;
	char *url;          /* owned; may hold a password: never logged */
	char *where;        /* owned; scheme://host:port/path, for logs */
	pthread_t thread;
	bool thread_on;
	pthread_mutex_t lock; /* over queue, stats and stop_ms */
	pthread_cond_t wake;  /* something was pushed, or stop_ms was set */
	struct queue *queue;  /* owned */
	struct sender_stats stats;
	uint64_t stop_ms;   /* CLOCK_MONOTONIC; 0 = go on, else give up then */
	/* The thread's own: */
	CURL *curl;         /* owned */
	enum sender_state state;
	long status;        /* HTTP's, of the last answer; 0 = none */
	uint64_t seq;       /* the batch tried last */
	unsigned int attempt; /* how often it was tried before */
	uint64_t drops_seen;  /* stats.samples_dropped[SENDER_DROP_QUEUE_FULL] then */
	bool drops_told;      /* and logged */
	unsigned int seed;
	char reply[REPLY_CAP]; /* the answer's body, cut */
	size_t reply_bytes;
	char error[CURL_ERROR_SIZE];
};

static pthread_once_t sender_once = PTHREAD_ONCE_INIT;

static void sender__once(void)
{
	curl_global_init(CURL_GLOBAL_DEFAULT);
}

const char *sender_drop_name(unsigned int reason)
{
	static const char *const names[SENDER_DROP_CNT] = {
		[SENDER_DROP_QUEUE_FULL] = "queue_full",
		[SENDER_DROP_SHUTDOWN] = "shutdown",
	};

	return reason < SENDER_DROP_CNT ? names[reason] : "";
}

static uint64_t sender__now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static uint64_t sender__now_ms(void)
{
	return sender__now_ns() / 1000000;
}

/* Return: ms left until the thread must end, 0 = none; UINT64_MAX while nobody asked. */
static uint64_t sender__left_ms(struct sender *sender)
{
	uint64_t stop_ms = __atomic_load_n(&sender->stop_ms, __ATOMIC_RELAXED);
	uint64_t now_ms = sender__now_ms();

	if (!stop_ms)
		return UINT64_MAX;
	return stop_ms > now_ms ? stop_ms - now_ms : 0;
}

/* ---- one request ---- */

static size_t sender__on_body(char *data, size_t one, size_t cnt, void *ctx)
{
	struct sender *sender = ctx;
	size_t room = sizeof(sender->reply) - 1 - sender->reply_bytes;
	size_t take = one * cnt < room ? one * cnt : room;

	memcpy(sender->reply + sender->reply_bytes, data, take);
	sender->reply_bytes += take;
	sender->reply[sender->reply_bytes] = '\0';
	return one * cnt;
}

/* libcurl asks about once a second, and on every change. Return: nonzero = give the request up. */
static int sender__on_progress(void *ctx, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
	(void)a, (void)b, (void)c, (void)d;
	return !sender__left_ms(ctx);
}

/* Headers of https://prometheus.io/docs/specs/prw/remote_write_spec/#protocol and Retry-Attempt, as
 * Prometheus sends it. Return: the list, NULL without memory. */
static struct curl_slist *sender__headers(unsigned int attempt)
{
	static const char *const fixed[] = {
		"Content-Type: application/x-protobuf",
		"Content-Encoding: snappy",
		"X-Prometheus-Remote-Write-Version: 0.1.0",
		"Expect:", /* no waiting for 100 Continue */
	};
	char retry[40];
	struct curl_slist *list = NULL;

	for (size_t i = 0; i <= sizeof(fixed) / sizeof(fixed[0]); i++) {
		const char *line = i < sizeof(fixed) / sizeof(fixed[0]) ? fixed[i] : retry;
		struct curl_slist *more;

		if (line == retry && !attempt)
			break;
		if (line == retry)
			snprintf(retry, sizeof(retry), "Retry-Attempt: %u", attempt);
		more = curl_slist_append(list, line);
		if (!more) {
			curl_slist_free_all(list);
			return NULL;
		}
		list = more;
	}
	return list;
}

/* What the specification says of an answer: 5xx must be sent again, 429 may, all else must not. */
static enum verdict sender__verdict(CURLcode code, long status)
{
	if (code == CURLE_ABORTED_BY_CALLBACK)
		return VERDICT_STOPPED;
	/* A status is an answer, even if its body then broke off. */
	if (code != CURLE_OK && !(status >= 200 && status < 300))
		return status >= 300 && status < 500 && status != 429 ? VERDICT_REFUSED :
									 VERDICT_RETRY;
	if (status >= 200 && status < 300)
		return VERDICT_SENT;
	return status == 429 || status >= 500 || status < 200 ? VERDICT_RETRY : VERDICT_REFUSED;
}

/* Post batch, and count it. @ret_after_ms: what Retry-After asks for, or 0. */
static enum verdict sender__post(struct sender *sender, const struct batch *batch,
				 uint64_t *ret_after_ms)
{
	struct curl_slist *headers = sender__headers(sender->attempt);
	uint64_t begin_ns = sender__now_ns();
	curl_off_t after_s = 0;
	CURLcode code = CURLE_OUT_OF_MEMORY;

	sender->status = 0;
	sender->reply_bytes = 0;
	sender->reply[0] = '\0';
	sender->error[0] = '\0';
	*ret_after_ms = 0;
	if (headers) {
		curl_easy_setopt(sender->curl, CURLOPT_HTTPHEADER, headers);
		curl_easy_setopt(sender->curl, CURLOPT_POSTFIELDS, &batch->body[0]);
		curl_easy_setopt(sender->curl, CURLOPT_POSTFIELDSIZE_LARGE,
				 (curl_off_t)batch->body_bytes);
		code = curl_easy_perform(sender->curl);
		curl_easy_getinfo(sender->curl, CURLINFO_RESPONSE_CODE, &sender->status);
		curl_easy_getinfo(sender->curl, CURLINFO_RETRY_AFTER, &after_s);
		curl_easy_setopt(sender->curl, CURLOPT_HTTPHEADER, NULL);
		curl_slist_free_all(headers);
	}
	if (code != CURLE_OK && !sender->error[0])
		snprintf(sender->error, sizeof(sender->error), "%s", curl_easy_strerror(code));
	if (after_s > 0)
		*ret_after_ms = after_s < RETRY_AFTER_MS / 1000 ? (uint64_t)after_s * 1000 :
								  RETRY_AFTER_MS;
	pthread_mutex_lock(&sender->lock);
	sender->stats.send_cnt++;
	sender->stats.send_ns += sender__now_ns() - begin_ns;
	if (sender->attempt)
		sender->stats.samples_retried += batch->sample_cnt;
	pthread_mutex_unlock(&sender->lock);
	return sender__verdict(code, sender->status);
}

/* ---- what is logged ---- */

/* The reply on one line, in printable ASCII; it comes from a peer. */
static const char *sender__reply(struct sender *sender)
{
	for (size_t i = 0; i < sender->reply_bytes; i++)
		if (sender->reply[i] < ' ' || sender->reply[i] > '~')
			sender->reply[i] = ' ';
	return sender->reply;
}

static void sender__report(struct sender *sender, enum verdict verdict, long status_before)
{
	enum sender_state state = verdict == VERDICT_SENT    ? STATE_OK :
				  verdict == VERDICT_REFUSED ? STATE_REFUSED :
							       STATE_DOWN;

	if (verdict == VERDICT_STOPPED)
		return;
	if (state == sender->state && (state != STATE_REFUSED || status_before == sender->status))
		return;
	if (state == STATE_OK)
		log_info("remote-write: %s %s", sender->where,
			 sender->state == STATE_NEW ? "takes what is sent" : "works again");
	else if (!sender->status)
		log_warn("remote-write: no answer from %s: %s; trying again until it comes",
			 sender->where, sender->error);
	else
		log_warn("remote-write: %s answers %ld, so %s: %s", sender->where, sender->status,
			 state == STATE_DOWN ? "trying again until it works" :
					       "what it refuses is dropped and counted",
			 sender__reply(sender));
	sender->state = state;
}

/* Say once that the queue overflows, until it has been empty again. */
static void sender__report_drops(struct sender *sender, uint64_t dropped, bool is_empty)
{
	if (dropped != sender->drops_seen && !sender->drops_told) {
		log_warn("remote-write: the queue of %zu bytes is full: the oldest samples are "
			 "dropped",
			 sender->opts.queue_bytes);
		sender->drops_told = true;
	}
	sender->drops_seen = dropped;
	if (is_empty)
		sender->drops_told = false;
}

/* ---- the thread ---- */

/* Wait for ms before the batch is tried again. When slid ends meanwhile, the receiver's own wish
 * (must_ms) still holds, the rest is cut short. Return: false when there is no time left for it. */
static bool sender__wait(struct sender *sender, uint64_t ms, uint64_t must_ms)
{
	uint64_t end_ns = sender__now_ns() + ms * 1000000;
	struct timespec end = { .tv_sec = (time_t)(end_ns / 1000000000),
				.tv_nsec = (long)(end_ns % 1000000000) };
	uint64_t least_ms = must_ms > sender->opts.backoff_min_ms ? must_ms :
								    sender->opts.backoff_min_ms;
	uint64_t least_ns = sender__now_ns() + (ms < least_ms ? ms : least_ms) * 1000000;
	struct timespec nap = { .tv_nsec = 20 * 1000000 };

	pthread_mutex_lock(&sender->lock);
	while (sender__now_ns() < end_ns && sender__left_ms(sender) == UINT64_MAX)
		pthread_cond_timedwait(&sender->wake, &sender->lock, &end);
	pthread_mutex_unlock(&sender->lock);
	while (sender__now_ns() < least_ns) {
		if (least_ns / 1000000 - sender__now_ns() / 1000000 >= sender__left_ms(sender))
			return false;
		nanosleep(&nap, NULL);
	}
	return true;
}

/* Exponential, then somewhere between half and all of it, so that many agents do not come at once.
 */
static uint64_t sender__backoff_ms(struct sender *sender)
{
	uint64_t ms = sender->opts.backoff_min_ms;

	for (unsigned int i = 1; i < sender->attempt && ms < sender->opts.backoff_max_ms; i++)
		ms *= 2;
	if (ms > sender->opts.backoff_max_ms)
		ms = sender->opts.backoff_max_ms;
	return ms / 2 + (uint64_t)rand_r(&sender->seed) % (ms / 2 + 1);
}

/* Count a batch that is over, one way or the other, and forget it. */
static void sender__done(struct sender *sender, const struct batch *batch, enum verdict verdict)
{
	struct sender_stats *stats = &sender->stats;
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	pthread_mutex_lock(&sender->lock);
	if (verdict == VERDICT_SENT) {
		stats->samples_sent += batch->sample_cnt;
		stats->bytes_sent += batch->body_bytes;
		stats->last_success_ms =
			(uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
	} else {
		stats->samples_failed += batch->sample_cnt;
	}
	queue__pop(sender->queue);
	pthread_mutex_unlock(&sender->lock);
}

/* Wait for the oldest batch. Return: NULL = nothing more to do, stop. */
static const struct batch *sender__next(struct sender *sender)
{
	const struct batch *batch;
	uint64_t dropped;

	pthread_mutex_lock(&sender->lock);
	for (;;) {
		batch = queue__peek(sender->queue);
		if (batch || sender__left_ms(sender) != UINT64_MAX)
			break;
		pthread_cond_wait(&sender->wake, &sender->lock);
	}
	dropped = sender->stats.samples_dropped[SENDER_DROP_QUEUE_FULL];
	pthread_mutex_unlock(&sender->lock);
	sender__report_drops(sender, dropped, !batch);
	return batch;
}

static void *sender__thread(void *ctx)
{
	struct sender *sender = ctx;
	const struct batch *batch;

	while ((batch = sender__next(sender)) && sender__left_ms(sender)) {
		long status_before = sender->status;
		uint64_t after_ms, wait_ms;
		enum verdict verdict;

		if (batch->seq != sender->seq)
			sender->attempt = 0;
		sender->seq = batch->seq;
		verdict = sender__post(sender, batch, &after_ms);
		sender__report(sender, verdict, status_before);
		if (verdict == VERDICT_SENT || verdict == VERDICT_REFUSED) {
			sender__done(sender, batch, verdict);
			continue;
		}
		/* While it waits it is the oldest like any other, so that one request that always
		 * fails cannot hold up all that follow for ever. */
		pthread_mutex_lock(&sender->lock);
		queue__release(sender->queue);
		pthread_mutex_unlock(&sender->lock);
		if (verdict == VERDICT_STOPPED)
			break;
		sender->attempt++;
		wait_ms = sender__backoff_ms(sender);
		if (!sender__wait(sender, after_ms > wait_ms ? after_ms : wait_ms, after_ms))
			break;
	}
	return NULL;
}

/* ---- making and ending it ---- */

/* Where, as far as a log may show it: without user, password and query. Return: 0, -EINVAL,
 * -ENOMEM. */
static int sender__parse_url(const char *url, char **ret)
{
	CURLU *parts = curl_url();
	char *where = NULL, *scheme = NULL;
	int err = -EINVAL;

	if (!parts)
		return -ENOMEM;
	if (!curl_url_set(parts, CURLUPART_URL, url, 0) &&
	    !curl_url_get(parts, CURLUPART_SCHEME, &scheme, 0) &&
	    (!strcmp(scheme, "http") || !strcmp(scheme, "https"))) {
		curl_url_set(parts, CURLUPART_USER, NULL, 0);
		curl_url_set(parts, CURLUPART_PASSWORD, NULL, 0);
		curl_url_set(parts, CURLUPART_QUERY, NULL, 0);
		curl_url_set(parts, CURLUPART_FRAGMENT, NULL, 0);
		if (!curl_url_get(parts, CURLUPART_URL, &where, 0)) {
			*ret = strdup(where);
			err = *ret ? 0 : -ENOMEM;
		}
	}
	curl_free(where);
	curl_free(scheme);
	curl_url_cleanup(parts);
	return err;
}

static int sender__init_curl(struct sender *sender)
{
	CURL *curl = curl_easy_init();

	sender->curl = curl;
	if (!curl)
		return -ENOMEM;
	curl_easy_setopt(curl, CURLOPT_URL, sender->url);
	curl_easy_setopt(curl, CURLOPT_POST, 1L);
	curl_easy_setopt(curl, CURLOPT_USERAGENT, "slid/" SLID_VERSION);
	curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)sender->opts.timeout_ms);
	curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, (long)sender->opts.timeout_ms / 2 + 1);
	curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, sender->error);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, sender__on_body);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, sender);
	curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, sender__on_progress);
	curl_easy_setopt(curl, CURLOPT_XFERINFODATA, sender);
	curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
	return 0;
}

static unsigned int or_default(unsigned int value, unsigned int otherwise)
{
	return value ? value : otherwise;
}

static void sender__init_opts(struct sender *sender, const struct sender_opts *opts)
{
	sender->opts = (struct sender_opts){
		.queue_bytes = opts->queue_bytes ? opts->queue_bytes : SENDER_QUEUE_BYTES,
		.timeout_ms = or_default(opts->timeout_ms, SENDER_TIMEOUT_MS),
		.flush_ms = or_default(opts->flush_ms, SENDER_FLUSH_MS),
		.backoff_min_ms = or_default(opts->backoff_min_ms, SENDER_BACKOFF_MIN_MS),
		.backoff_max_ms = or_default(opts->backoff_max_ms, SENDER_BACKOFF_MAX_MS),
	};
	sender->seed = (unsigned int)sender__now_ns();
}

/* Start the thread with all signals blocked: they are the main thread's. Return: 0 or -errno. */
static int sender__start(struct sender *sender)
{
	sigset_t all, before;
	int err;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	err = pthread_create(&sender->thread, NULL, sender__thread, sender);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (err)
		return -err;
	sender->thread_on = true;
	pthread_setname_np(sender->thread, "slid-sender");
	return 0;
}

int sender__new(const struct sender_opts *opts, struct sender **ret)
{
	CLEAN(sender__free) struct sender *sender = NULL;
	pthread_condattr_t attr;
	int err;

	pthread_once(&sender_once, sender__once);
	sender = calloc(1, sizeof(*sender));
	if (!sender)
		return -ENOMEM;
	pthread_mutex_init(&sender->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&sender->wake, &attr);
	pthread_condattr_destroy(&attr);
	sender__init_opts(sender, opts);
	err = sender__parse_url(opts->url, &sender->where);
	if (err)
		return err;
	sender->url = strdup(opts->url);
	if (!sender->url)
		return -ENOMEM;
	err = queue__new(sender->opts.queue_bytes, &sender->queue);
	if (!err)
		err = sender__init_curl(sender);
	if (!err)
		err = sender__start(sender);
	if (err)
		return err;
	*ret = TAKE(sender);
	return 0;
}

int sender__push(struct sender *sender, struct batch *batch)
{
	uint64_t dropped;
	int err;

	pthread_mutex_lock(&sender->lock);
	err = queue__push(sender->queue, batch, &dropped);
	sender->stats.samples_dropped[SENDER_DROP_QUEUE_FULL] += dropped;
	pthread_cond_signal(&sender->wake);
	pthread_mutex_unlock(&sender->lock);
	return err;
}

void sender__stats(struct sender *sender, struct sender_stats *ret)
{
	struct queue_fill fill;

	pthread_mutex_lock(&sender->lock);
	*ret = sender->stats;
	queue__fill(sender->queue, &fill);
	pthread_mutex_unlock(&sender->lock);
	ret->queue_batches = fill.batch_cnt;
	ret->queue_samples = fill.sample_cnt;
	ret->queue_bytes = fill.used_bytes;
	ret->queue_cap_bytes = fill.cap_bytes;
}

void sender__stop(struct sender *sender)
{
	struct queue_fill fill;

	if (!sender->thread_on)
		return;
	pthread_mutex_lock(&sender->lock);
	__atomic_store_n(&sender->stop_ms, sender__now_ms() + sender->opts.flush_ms,
			 __ATOMIC_RELAXED);
	pthread_cond_broadcast(&sender->wake);
	pthread_mutex_unlock(&sender->lock);
	pthread_join(sender->thread, NULL);
	sender->thread_on = false;
	pthread_mutex_lock(&sender->lock);
	queue__fill(sender->queue, &fill);
	while (queue__peek(sender->queue))
		queue__pop(sender->queue);
	sender->stats.samples_dropped[SENDER_DROP_SHUTDOWN] += fill.sample_cnt;
	pthread_mutex_unlock(&sender->lock);
	if (fill.sample_cnt)
		log_warn("remote-write: %llu samples not sent to %s: no time left",
			 (unsigned long long)fill.sample_cnt, sender->where);
}

void sender__free(struct sender *sender)
{
	if (!sender)
		return;
	sender__stop(sender);
	curl_easy_cleanup(sender->curl);
	queue__free(sender->queue);
	pthread_cond_destroy(&sender->wake);
	pthread_mutex_destroy(&sender->lock);
	free(sender->where);
	free(sender->url);
	free(sender);
}
