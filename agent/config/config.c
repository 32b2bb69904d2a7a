/* SPDX-License-Identifier: Apache-2.0 */
/* config.c - owns the order of precedence: command line, file, defaults. */
#include "config/config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "config/keys.h"

static int config__defaults(struct config *config)
{
	*config = (struct config){
		.listen = strdup(CONFIG_LISTEN),
		.log_level = strdup("info"),
		.interval_ms = CONFIG_INTERVAL_MS,
		.series_max = CONFIG_SERIES_MAX,
	};
	return config->listen && config->log_level ? 0 : -ENOMEM;
}

void config__free(struct config *config)
{
	for (unsigned int i = 0; i < config->scopes_count; i++)
		free(config->scopes[i]);
	free(config->scopes);
	free(config->bounds);
	free(config->config_path);
	free(config->listen);
	free(config->remote_write);
	free(config->log_level);
	*config = (struct config){0};
}

/* Swap one key's value between two configurations. */
static void config__swap(struct config *a, struct config *b, enum config_key key)
{
	struct config old = *a;

	switch (key) {
	case CONFIG_KEY_SCOPE:
		a->scopes = b->scopes;
		a->scopes_count = b->scopes_count;
		b->scopes = old.scopes;
		b->scopes_count = old.scopes_count;
		break;
	case CONFIG_KEY_BOUNDS:
		a->bounds = b->bounds;
		a->bounds_count = b->bounds_count;
		b->bounds = old.bounds;
		b->bounds_count = old.bounds_count;
		break;
	case CONFIG_KEY_LISTEN:
		a->listen = b->listen;
		b->listen = old.listen;
		break;
	case CONFIG_KEY_REMOTE_WRITE:
		a->remote_write = b->remote_write;
		b->remote_write = old.remote_write;
		break;
	case CONFIG_KEY_LOG_LEVEL:
		a->log_level = b->log_level;
		b->log_level = old.log_level;
		break;
	case CONFIG_KEY_INTERVAL:
		a->interval_ms = b->interval_ms;
		break;
	case CONFIG_KEY_SERIES_MAX:
		a->series_max = b->series_max;
		break;
	case CONFIG_KEY_TTFB:
		a->ttfb = b->ttfb;
		break;
	case CONFIG_KEY_CNT:
		break;
	}
}

/* Fill in from the file what the command line left open. */
static enum config_verdict config__add_file(struct config *config, unsigned int given)
{
	const char *path = config->config_path ? config->config_path : CONFIG_PATH;
	struct config file;
	int err = config__defaults(&file);

	if (!err)
		err = config_file__load(path, &file);
	for (int key = 0; !err && key < CONFIG_KEY_CNT; key++)
		if (!(given & (1u << key)))
			config__swap(config, &file, (enum config_key)key);
	config__free(&file);
	if (err == -ENOENT && config->config_path) {
		log_err(err, "cannot read %s: ENOENT; give a file that exists with --config", path);
		return CONFIG_EXIT_BAD;
	}
	if (err == -ENOMEM)
		log_err(err, "cannot read %s: ENOMEM", path);
	if (err && err != -ENOENT)
		return CONFIG_EXIT_BAD;
	if (!config->check_config)
		return CONFIG_RUN;
	printf("%s: %s\n", path, err ? "not there, the defaults hold" : "ok");
	return CONFIG_EXIT_OK;
}

enum config_verdict config__load(int argc, char **argv, struct config *config)
{
	enum config_verdict verdict = CONFIG_EXIT_BAD;
	unsigned int given = 0;
	struct config loaded;

	if (config__defaults(&loaded)) {
		log_err(-ENOMEM, "cannot read the command line: ENOMEM");
	} else {
		verdict = config_args__parse(argc, argv, &loaded, &given);
		if (verdict == CONFIG_RUN)
			verdict = config__add_file(&loaded, given);
	}
	if (verdict == CONFIG_RUN)
		*config = loaded;
	else
		config__free(&loaded);
	return verdict;
}
