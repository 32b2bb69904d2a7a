/* SPDX-License-Identifier: Apache-2.0 */
/* keys.h - inside the config room: what the command line and the file have in common, one entry
 * and one check per key. */
#ifndef SLID_CONFIG_KEYS_H
#define SLID_CONFIG_KEYS_H

#include "config/config.h"

enum config_key {
	CONFIG_KEY_SCOPE = 0,
	CONFIG_KEY_LISTEN,
	CONFIG_KEY_REMOTE_WRITE,
	CONFIG_KEY_INTERVAL,
	CONFIG_KEY_BOUNDS,
	CONFIG_KEY_TTFB,
	CONFIG_KEY_SERIES_MAX,
	CONFIG_KEY_LOG_LEVEL,
	CONFIG_KEY_CNT
};

struct config_key_info {
	const char *name;   /* in the file */
	const char *option; /* on the command line, without "--" */
	const char *want;   /* "must be ..." */
	bool is_list;
};

extern const struct config_key_info config_keys[CONFIG_KEY_CNT];

/* config_key__set - check a value and store it, or append it to a list. Return: 0; -EINVAL when it
 * is not what config_keys[key].want says; -ENOMEM. */
int config_key__set(struct config *config, enum config_key key, const char *text);

/* config_key__check_bounds - do all bounds fit into one layout? Return: 0 or -E2BIG. */
int config_key__check_bounds(const struct config *config);

/* Longest text of the user that is repeated in a message, in bytes with the NUL. */
#define CONFIG_QUOTE_CAP 100

/* config_key__quote - text, cut and without control characters: a message stays one line. */
const char *config_key__quote(const char *text, char out[CONFIG_QUOTE_CAP]);

/* config_file__load - set what the file says in *config, over what is there. Prints one line when
 * that is not possible. Return: 0; -ENOENT, -ENOMEM without a line; -errno after a line. */
int config_file__load(const char *path, struct config *config);

/* config_args__parse - set what the command line says in *config; *given gets a bit for each key
 * in it. Prints help, version, or one line about what is wrong. */
enum config_verdict config_args__parse(int argc, char **argv, struct config *config,
				       unsigned int *given);

#endif
