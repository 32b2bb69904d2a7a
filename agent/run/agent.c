/* SPDX-License-Identifier: Apache-2.0 */
/*
 * agent.c - owns one of each room and the main loop; data flows capture -> workload -> sli ->
 * export and serve. Decides what is logged.
 */
#include "run/agent.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/log.h"
#include "capture/capture.h"
#include "export/queue.h"
#include "export/remote_write.h"
#include "export/self.h"
#include "export/sender.h"
#include "print/table.h"
#include "run/collector.h"
#include "serve/http_server.h"
#include "sli/layout.h"
#include "workload/scope.h"
#include "workload/workload.h"

#define AGENT_GRACE_MS 60000 /* at least; a vanished cgroup's counts are shown this long */
#define AGENT_ONCE_MS  1000  /* what --once watches when --print does not say */

struct agent {
	const struct config *config; /* borrowed */
	struct layout layout;
	char node[256];
	struct metrics_env env;
	char *root;    /* owned: the cgroup v2 mount */
	char **scopes; /* owned, each too: real paths */
	size_t scope_cnt;
	struct capture *capture;     /* owned, as all below */
	struct workloads *workloads;
	struct collector *collector;
	struct remote_write *remote_write;
	struct sender *sender;
	struct http_server *server;
	struct snapshot *printed; /* what the last table showed */
};

/* ---- start ------------------------------------------------------------------------------------- */

static int agent__show_candidate(const char *path, const char *what, void *ctx)
{
	unsigned int *left = ctx;

	if (!*left)
		return 1;
	--*left;
	fprintf(stderr, "  --scope %s   (%s)\n", path, what);
	return 0;
}

/* No scope was named: the pods' cgroup, or a list to choose from. */
static int agent__default_scope(struct agent *agent)
{
	unsigned int left = 24;
	char *scope = NULL;
	int err = scope__default(agent->root, &scope);

	if (!err) {
		agent->scopes[agent->scope_cnt++] = scope;
		return 0;
	}
	log_err(err, "nothing to watch: no --scope was given and there are no Kubernetes pods here; "
		     "name the cgroup of what you want to see, for example one of these:");
	scope__candidates(agent->root, agent__show_candidate, &left);
	return err;
}

static int agent__find_scopes(struct agent *agent)
{
	const struct config *config = agent->config;
	size_t outer, inner;
	int err = scope__root(NULL, &agent->root);

	if (err)
		return log_err(err, "cannot find a cgroup v2 file system: %s; mount one "
				    "(mount -t cgroup2 none /sys/fs/cgroup/unified)",
			       err_name(err));
	agent->scopes = calloc(config->scopes_count + 1, sizeof(char *));
	if (!agent->scopes)
		return log_err(-ENOMEM, "cannot start: ENOMEM");
	if (!config->scopes_count)
		return agent__default_scope(agent);
	for (unsigned int i = 0; i < config->scopes_count; i++) {
		err = scope__check(agent->root, config->scopes[i], &agent->scopes[i]);
		if (err)
			return log_err(err, "cannot watch %s: %s; a scope is an existing directory in "
					    "the cgroup v2 tree at %s",
				       config->scopes[i], err_name(err), agent->root);
		agent->scope_cnt++;
	}
	if (!scope__nested((const char *const *)agent->scopes, agent->scope_cnt, &outer, &inner))
		return 0;
	return log_err(-EEXIST, "cannot watch both %s and %s: one is inside the other, its requests "
				"would be counted twice; name only the outer one",
		       agent->scopes[outer], agent->scopes[inner]);
}

static int agent__attach(struct agent *agent)
{
	const struct capture_opts opts = {
		.layout = &agent->layout,
		.series_max = agent->config->series_max,
		.ttfb = agent->config->ttfb,
	};
	char why[768];
	int err;

	err = capture__open(&opts, why, sizeof(why), &agent->capture);
	if (err)
		return log_err(err, "%s", why);
	err = workloads__open(agent->root, (const char *const *)agent->scopes, agent->scope_cnt,
			      &agent->workloads);
	if (err)
		return log_err(err, "cannot read the cgroups below the scopes: %s", err_name(err));
	for (size_t i = 0; i < agent->scope_cnt; i++) {
		err = capture__attach(agent->capture, agent->scopes[i], why, sizeof(why));
		if (err)
			return log_err(err, "%s", why);
		log_info("watching %s", agent->scopes[i]);
	}
	return 0;
}

static int agent__collect(void *ctx, struct snapshot **ret)
{
	struct agent *agent = ctx;

	return collector__collect(agent->collector, ret);
}

static bool agent__ready(void *ctx, char *why, size_t cap)
{
	const struct agent *agent = ctx;

	snprintf(why, cap, "watching %zu scope%s", agent->scope_cnt,
		 agent->scope_cnt == 1 ? "" : "s");
	return true; /* the server starts when the programs are attached */
}

static void agent__self(void *ctx, struct self_stats *self)
{
	struct agent *agent = ctx;

	self__read(self);
	self->sender_on = agent->sender;
	if (!agent->sender)
		return;
	sender__stats(agent->sender, &self->sender);
	self->stale_snapshots = remote_write__stale_snapshots(agent->remote_write);
}

static const struct http_server_ops agent_server_ops = {
	.collect = agent__collect,
	.ready = agent__ready,
	.self = agent__self,
};

static int agent__start_export(struct agent *agent)
{
	const struct config *config = agent->config;
	int err;

	if (config->remote_write) {
		const struct sender_opts opts = { .url = config->remote_write };

		err = remote_write__new(&agent->env, 0, &agent->remote_write);
		if (!err)
			err = sender__new(&opts, &agent->sender);
		if (err)
			return log_err(err, "cannot send to %s: %s", config->remote_write,
				       err_name(err));
	}
	if (!*config->listen)
		return 0;
	err = http_server__new(config->listen, &agent->env, &agent_server_ops, agent,
			       &agent->server);
	if (err)
		return log_err(err, "cannot listen on %s: %s; choose another address with --listen, "
				    "or --listen off",
			       config->listen, err_name(err));
	if (strstr(config->listen, ":0") && http_server__port(agent->server))
		log_info("listening on port %u", (unsigned int)http_server__port(agent->server));
	return 0;
}

int agent__start(const struct config *config, struct agent **ret)
{
	CLEAN(agent__free) struct agent *agent = calloc(1, sizeof(*agent));
	uint64_t grace_ms = 2 * config->interval_ms;
	int err;

	if (!agent)
		return log_err(-ENOMEM, "cannot start: ENOMEM");
	agent->config = config;
	if (gethostname(agent->node, sizeof(agent->node) - 1))
		agent->node[0] = '\0';
	agent->env = (struct metrics_env){ .node = agent->node, .ttfb = config->ttfb };
	err = layout__init(&agent->layout, config->bounds, config->bounds_count);
	if (err)
		return log_err(err, "cannot use the bounds of the configuration: %s; there are too "
				    "many, or too many close together",
			       err_name(err));
	err = agent__find_scopes(agent);
	if (err)
		return err;
	err = agent__attach(agent);
	if (err)
		return err;
	if (grace_ms < AGENT_GRACE_MS)
		grace_ms = AGENT_GRACE_MS;
	err = collector__new(agent->capture, agent->workloads, &agent->layout, grace_ms,
			     &agent->collector);
	if (err)
		return log_err(err, "cannot start: %s", err_name(err));
	err = agent__start_export(agent);
	if (err)
		return err;
	*ret = TAKE(agent);
	return 0;
}

void agent__free(struct agent *agent)
{
	if (!agent)
		return;
	http_server__free(agent->server);
	sender__free(agent->sender);
	remote_write__free(agent->remote_write);
	snapshot__unref(agent->printed);
	collector__free(agent->collector);
	workloads__free(agent->workloads);
	capture__free(agent->capture);
	for (size_t i = 0; i < agent->scope_cnt; i++)
		free(agent->scopes[i]);
	free(agent->scopes);
	free(agent->root);
	free(agent);
}

/* ---- run --------------------------------------------------------------------------------------- */

static int agent__queue_batch(void *ctx, struct batch *batch)
{
	struct agent *agent = ctx;

	return sender__push(agent->sender, batch);
}

/* One interval of remote-write. What fails is logged once per failure; the next one goes on. */
static void agent__ship(struct agent *agent)
{
	CLEAN(snapshot__unref) struct snapshot *snapshot = NULL;
	struct self_stats self;
	int err;

	if (!agent->sender)
		return;
	err = collector__collect(agent->collector, &snapshot);
	if (!err) {
		agent__self(agent, &self);
		if (agent->server)
			self.scrape_seconds = http_server__scrape_seconds(agent->server);
		err = remote_write__push(agent->remote_write, snapshot, &self, agent__queue_batch,
					 agent);
	}
	if (err && err != -ESTALE) /* counted: the clock was set back */
		log_warn("cannot ship this interval's samples: %s", err_name(err));
}

static int agent__print(struct agent *agent, bool once)
{
	CLEAN(snapshot__unref) struct snapshot *snapshot = NULL;
	struct table_opts opts = { .tty = isatty(STDOUT_FILENO) && !once };
	struct winsize size;
	struct buf out;
	int err;

	err = collector__collect(agent->collector, &snapshot);
	if (err)
		return log_err(err, "cannot read the kernel's counts: %s", err_name(err));
	if (opts.tty && !ioctl(STDOUT_FILENO, TIOCGWINSZ, &size)) {
		opts.rows = size.ws_row;
		opts.cols = size.ws_col;
	}
	buf__init(&out, 1 << 20);
	err = table__render(agent->printed, snapshot, &opts, &out);
	if (!err && (fwrite(out.data, 1, out.len, stdout) != out.len || fflush(stdout)))
		err = -EPIPE; /* nobody reads on */
	buf__free(&out);
	snapshot__unref(agent->printed);
	agent->printed = TAKE(snapshot);
	return err;
}

/* The last table is of all that was counted. */
static int agent__print_totals(struct agent *agent)
{
	int err;

	snapshot__unref(agent->printed);
	agent->printed = NULL;
	err = agent__print(agent, true);
	return err == -EPIPE ? 0 : err;
}

static int timer_open(uint64_t every_ms)
{
	struct itimerspec spec = { .it_interval = { .tv_sec = (time_t)(every_ms / 1000),
						    .tv_nsec = (long)(every_ms % 1000) * 1000000 } };
	int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);

	spec.it_value = spec.it_interval;
	if (fd >= 0 && every_ms)
		timerfd_settime(fd, 0, &spec, NULL);
	return fd;
}

static bool timer_fired(const struct pollfd *pfd)
{
	uint64_t times;

	return (pfd->revents & POLLIN) && read(pfd->fd, &times, sizeof(times)) == sizeof(times);
}

static int signals_open(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

enum { FD_SIGNALS, FD_SHIP, FD_PRINT, FD_CGROUPS, FD_CNT };

static int agent__loop(struct agent *agent, struct pollfd fds[FD_CNT])
{
	const struct pollfd *signals = &fds[FD_SIGNALS], *ship = &fds[FD_SHIP];
	const struct pollfd *print = &fds[FD_PRINT], *cgroups = &fds[FD_CGROUPS];

	for (;;) {
		fds[FD_CGROUPS].fd = collector__fd(agent->collector);
		if (poll(fds, FD_CNT, -1) < 0 && errno != EINTR)
			return log_err(-errno, "cannot wait: %s", err_name(errno));
		if (cgroups->revents)
			collector__refresh(agent->collector);
		if (timer_fired(ship))
			agent__ship(agent);
		if (timer_fired(print)) {
			int err = agent__print(agent, agent->config->once);

			if (err || agent->config->once)
				return err == -EPIPE ? 0 : err;
		}
		if (signals->revents & POLLIN)
			return 0;
	}
}

int agent__run(struct agent *agent)
{
	const struct config *config = agent->config;
	uint64_t print_ms = config->print_ms;
	CLEAN_FD int signals = signals_open();
	CLEAN_FD int ship = timer_open(agent->sender ? config->interval_ms : 0);
	CLEAN_FD int print = timer_open(config->once && !print_ms ? AGENT_ONCE_MS : print_ms);
	struct pollfd fds[FD_CNT] = {
		[FD_SIGNALS] = { .fd = signals, .events = POLLIN },
		[FD_SHIP] = { .fd = ship, .events = POLLIN },
		[FD_PRINT] = { .fd = print, .events = POLLIN },
		[FD_CGROUPS] = { .events = POLLIN },
	};
	int err;

	if (signals < 0 || ship < 0 || print < 0)
		return log_err(-errno, "cannot start: %s", err_name(errno));
	err = agent__loop(agent, fds);
	agent__ship(agent); /* what was counted since the last interval */
	if (!err && print_ms && !config->once)
		err = agent__print_totals(agent);
	return err;
}
