/* SPDX-License-Identifier: Apache-2.0 */
/* main.c - slid: configuration, start, run. */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "config/config.h"
#include "run/agent.h"

static void set_log_level(const char *name)
{
	static const struct {
		const char *name;
		enum log_level level;
	} levels[] = {
		{ "error", LOG_LEVEL_ERR },
		{ "warning", LOG_LEVEL_WARN },
		{ "info", LOG_LEVEL_INFO },
		{ "debug", LOG_LEVEL_DEBUG },
	};

	for (size_t i = 0; name && i < sizeof(levels) / sizeof(levels[0]); i++) {
		if (!strcmp(levels[i].name, name))
			log__level(levels[i].level);
	}
}

/* Signals come to the main loop, in every thread. A reader that left ends a write with an error. */
static void block_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
}

int main(int argc, char **argv)
{
	CLEAN(agent__free) struct agent *agent = NULL;
	struct config config;
	int err;

	switch (config__load(argc, argv, &config)) {
	case CONFIG_RUN:
		break;
	case CONFIG_EXIT_OK:
		return 0;
	case CONFIG_EXIT_BAD:
		return 1;
	case CONFIG_EXIT_USAGE:
		return 2;
	}
	set_log_level(config.log_level);
	block_signals();
	err = agent__start(&config, &agent);
	if (!err)
		err = agent__run(agent);
	agent__free(TAKE(agent));
	config__free(&config);
	return err ? 1 : 0;
}
