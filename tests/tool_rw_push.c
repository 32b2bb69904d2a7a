/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tool_rw_push.c - pushes a few fake snapshots through the real encoder and sender, for
 * e2e_remote_write.sh. It leaves in DIR: text (the last snapshot in the text format), quantiles
 * ("q value", by the definition of histogram_quantile) and time (seconds of the last snapshot).
 * With a port it then serves /metrics there until standard input ends.
 *
 * usage: tool_rw_push URL DIR [LISTEN]
 */
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/log.h"
#include "export/queue.h"
#include "export/remote_write.h"
#include "export/self.h"
#include "export/sender.h"
#include "export/text.h"
#include "fake_snapshot.h"
#include "serve/http_server.h"

#define ROUNDS 5

static const struct metrics_env env = { .node = "n1", .ttfb = true };

static int to_sender(void *ctx, struct batch *batch)
{
	return sender__push(ctx, batch);
}

static FILE *create(const char *dir, const char *name)
{
	char path[4096];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	file = fopen(path, "we");
	if (!file)
		exit(log_err(1, "cannot write %s: %m", path));
	return file;
}

/* Linear inside the classic bucket that the rank falls in, the last finite bound past it. */
static double quantile(const struct fake *fake, size_t series, double q)
{
	const struct snapshot_series *of = &fake->snapshot.series[series];
	double rank = q * (double)of->count, below = 0, lower = 0, here = 0;

	for (size_t i = 0; i < fake->layout.bound_cnt; i++) {
		const struct layout_bound *bound = &fake->layout.bounds[i];

		here += (double)of->buckets[i];
		if (!bound->is_classic)
			continue;
		if (below + here >= rank)
			return lower + (bound->seconds - lower) * (rank - below) / here;
		below += here;
		here = 0;
		lower = bound->seconds;
	}
	return lower;
}

static void leave(const char *dir, const struct fake *fake, const struct self_stats *self)
{
	static const double qs[] = { 0.1, 0.5, 0.75, 0.9, 0.99 };
	struct buf text;
	FILE *file = create(dir, "text");

	buf__init(&text, (size_t)64 << 20);
	if (text__render(&env, &fake->snapshot, self, TEXT_PROMETHEUS, &text) ||
	    fwrite(text.data, 1, text.len, file) != text.len || fclose(file))
		exit(log_err(1, "cannot render"));
	buf__free(&text);
	file = create(dir, "quantiles");
	for (size_t i = 0; i < sizeof(qs) / sizeof(qs[0]); i++)
		fprintf(file, "%g %.17g\n", qs[i], quantile(fake, 0, qs[i]));
	fclose(file);
	file = create(dir, "time");
	fprintf(file, "%llu.%03u\n", (unsigned long long)(fake->snapshot.time_ms / 1000),
	        (unsigned int)(fake->snapshot.time_ms % 1000));
	fclose(file);
}

static int give_snapshot(void *ctx, struct snapshot **ret)
{
	*ret = snapshot__ref(&((struct fake *)ctx)->snapshot);
	return 0;
}

static bool give_ready(void *ctx, char *why, size_t cap)
{
	(void)ctx, (void)why, (void)cap;
	return true;
}

static void give_self(void *ctx, struct self_stats *self)
{
	(void)ctx;
	self__read(self);
}

static int serve(const char *listen_at, struct fake *fake)
{
	static const struct http_server_ops ops = { give_snapshot, give_ready, give_self };
	struct http_server *server;
	char line[16];
	int err = http_server__new(listen_at, &env, &ops, fake, &server);

	if (err)
		return log_err(1, "cannot listen on %s: %s", listen_at, err_name(err));
	while (read(STDIN_FILENO, line, sizeof(line)) > 0)
		;
	http_server__free(server);
	return 0;
}

int main(int argc, char **argv)
{
	struct sender_opts opts = { .url = argc > 1 ? argv[1] : "", .flush_ms = 10000 };
	uint64_t now_ms = (uint64_t)time(NULL) * 1000 + 123;
	struct remote_write *rw;
	struct self_stats self;
	struct sender *sender;
	struct fake *fake = NULL;
	int ret = 0;

	if (argc < 3 || argc > 4)
		return log_err(2, "usage: tool_rw_push URL DIR [LISTEN]");
	if (sender__new(&opts, &sender) || remote_write__new(&env, 50, &rw))
		return log_err(1, "cannot push to %s", argv[1]);
	self__read(&self);
	self.sender_on = true;
	for (uint64_t round = 1; round <= ROUNDS; round++) {
		if (fake)
			fake__free(fake);
		fake = fake__new(now_ms - (ROUNDS - round) * 15000);
		fake__fill(fake, round);
		if (round == ROUNDS)
			fake->snapshot.series_cnt--; /* a series gone: its stale markers go out */
		sender__stats(sender, &self.sender);
		if (remote_write__push(rw, &fake->snapshot, &self, to_sender, sender))
			return log_err(1, "cannot push");
	}
	leave(argv[2], fake, &self);
	sender__stop(sender);
	sender__stats(sender, &self.sender);
	if (self.sender.samples_failed || self.sender.samples_dropped[SENDER_DROP_SHUTDOWN])
		ret = log_err(1, "not all samples were taken");
	sender__free(sender);
	remote_write__free(rw);
	if (!ret && argc == 4)
		ret = serve(argv[3], fake);
	fake__free(fake);
	return ret;
}
