/* SPDX-License-Identifier: Apache-2.0 */
/* keys.c - owns what a valid value of each key is; never looks at where the value came from. */
#include "config/keys.h"

#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "sli/layout.h"

#define LIST_MAX 256 /* entries of a list; a typing mistake, not a need, has more */

const struct config_key_info config_keys[CONFIG_KEY_CNT] = {
	[CONFIG_KEY_SCOPE] = {"scope", "scope",
			      "the absolute path of a cgroup directory, like "
			      "/sys/fs/cgroup/system.slice",
			      true},
	[CONFIG_KEY_LISTEN] = {"listen", "listen",
			       "a numeric address and a port, like 127.0.0.1:9465 or [::]:9465, "
			       "or 'off'",
			       false},
	[CONFIG_KEY_REMOTE_WRITE] = {"remote_write", "remote-write",
				     "a URL, like http://prometheus:9090/api/v1/write", false},
	[CONFIG_KEY_INTERVAL] = {"interval", "interval",
				 "a duration from 1s to 1h with its unit, like 15s", false},
	[CONFIG_KEY_BOUNDS] = {"bounds", "bound",
			       "seconds over 0 and up to 512, like 0.3, or a duration like 300ms",
			       true},
	[CONFIG_KEY_TTFB] = {"ttfb", "ttfb", "true or false", false},
	[CONFIG_KEY_SERIES_MAX] = {"series_max", "series-max",
				   "a whole number from 16 to 1048576, like 8192", false},
	[CONFIG_KEY_LOG_LEVEL] = {"log_level", "log-level", "error, warning, info or debug", false},
};

/* Decimal digits up to max. Return: bytes read; 0 = none; *ret is UINT64_MAX when it is more. */
static size_t text__digits(const char *text, uint64_t max, uint64_t *ret)
{
	uint64_t value = 0;
	size_t used = 0;

	for (; text[used] >= '0' && text[used] <= '9'; used++) {
		uint64_t digit = (uint64_t)(text[used] - '0');

		value = value > (max - digit) / 10 ? UINT64_MAX : value * 10 + digit;
	}
	*ret = value;
	return used;
}

int config__duration(const char *text, uint64_t *ret_ms)
{
	static const struct {
		const char *unit;
		uint64_t ms;
	} units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}};
	uint64_t value;
	size_t used = text__digits(text, UINT32_MAX, &value);

	if (!used)
		return -EINVAL;
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		if (strcmp(text + used, units[i].unit) != 0)
			continue;
		if (value > UINT32_MAX)
			return -ERANGE;
		*ret_ms = value * units[i].ms;
		return 0;
	}
	return -EINVAL;
}

static int set_text(char **field, const char *text)
{
	char *copy = strdup(text);

	if (!copy)
		return -ENOMEM;
	free(*field);
	*field = copy;
	return 0;
}

static int set_scope(struct config *config, const char *text)
{
	char **grown, *copy;

	if (text[0] != '/' || strlen(text) >= PATH_MAX || config->scopes_count >= LIST_MAX)
		return -EINVAL;
	grown = reallocarray(config->scopes, config->scopes_count + 1u, sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	config->scopes = grown;
	copy = strdup(text);
	if (!copy)
		return -ENOMEM;
	config->scopes[config->scopes_count++] = copy;
	return 0;
}

/* "1.2.3.4:80" or "[::1]:80"; "" and "off" mean none. */
static int set_listen(struct config *config, const char *text)
{
	const char *colon = strrchr(text, ':');
	unsigned char binary[sizeof(struct in6_addr)];
	char addr[INET6_ADDRSTRLEN];
	uint64_t port;
	size_t len, used;
	int family = AF_INET;

	if (!text[0] || !strcmp(text, "off"))
		return set_text(&config->listen, "");
	if (!colon)
		return -EINVAL;
	used = text__digits(colon + 1, UINT16_MAX, &port);
	if (!used || colon[1 + used] || port > UINT16_MAX)
		return -EINVAL;
	len = (size_t)(colon - text);
	if (len > 2 && text[0] == '[' && colon[-1] == ']') {
		family = AF_INET6;
		len -= 2;
	}
	if (len >= sizeof(addr))
		return -EINVAL;
	memcpy(addr, text + (family == AF_INET6), len);
	addr[len] = '\0';
	if (inet_pton(family, addr, binary) != 1)
		return -EINVAL;
	return set_text(&config->listen, text);
}

static int set_remote_write(struct config *config, const char *text)
{
	static const char *const schemes[] = {"http://", "https://"};

	for (const char *at = text; *at; at++)
		if ((unsigned char)*at <= ' ' || *at == 0x7f)
			return -EINVAL;
	for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
		size_t len = strlen(schemes[i]);

		if (!strncasecmp(text, schemes[i], len) && text[len] && !strchr("/:?#", text[len]))
			return set_text(&config->remote_write, text);
	}
	return -EINVAL;
}

static int set_interval(struct config *config, const char *text)
{
	uint64_t interval_ms;

	if (config__duration(text, &interval_ms) || interval_ms < 1000 || interval_ms > 3600000)
		return -EINVAL;
	config->interval_ms = interval_ms;
	return 0;
}

static int set_bound(struct config *config, const char *text)
{
	struct layout layout; /* bounds are checked where they are made */
	uint64_t bound_ms;
	double *grown, seconds;
	char *end;

	if (!config__duration(text, &bound_ms)) {
		seconds = (double)bound_ms / 1000;
	} else {
		if (!text[0] || strspn(text, "0123456789.eE+-") != strlen(text))
			return -EINVAL;
		seconds = strtod(text, &end);
		if (*end || end == text)
			return -EINVAL;
	}
	if (config->bounds_count >= LIST_MAX || layout__init(&layout, &seconds, 1) == -ERANGE)
		return -EINVAL;
	grown = reallocarray(config->bounds, config->bounds_count + 1u, sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	config->bounds = grown;
	config->bounds[config->bounds_count++] = seconds;
	return 0;
}

static int set_ttfb(struct config *config, const char *text)
{
	static const char *const words[] = {"false", "true", "no", "yes", "off", "on"};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (strcasecmp(text, words[i]) != 0)
			continue;
		config->ttfb = i % 2;
		return 0;
	}
	return -EINVAL;
}

static int set_series_max(struct config *config, const char *text)
{
	uint64_t value;
	size_t used = text__digits(text, UINT32_MAX, &value);

	if (!used || text[used] || value < 16 || value > 1048576)
		return -EINVAL;
	config->series_max = value;
	return 0;
}

static int set_log_level(struct config *config, const char *text)
{
	static const char *const levels[] = {"error", "warning", "info", "debug"};

	if (!strcmp(text, "warn"))
		text = "warning";
	for (size_t i = 0; i < sizeof(levels) / sizeof(levels[0]); i++)
		if (!strcmp(text, levels[i]))
			return set_text(&config->log_level, text);
	return -EINVAL;
}

int config_key__set(struct config *config, enum config_key key, const char *text)
{
	static int (*const setters[CONFIG_KEY_CNT])(struct config *, const char *) = {
		[CONFIG_KEY_SCOPE] = set_scope,
		[CONFIG_KEY_LISTEN] = set_listen,
		[CONFIG_KEY_REMOTE_WRITE] = set_remote_write,
		[CONFIG_KEY_INTERVAL] = set_interval,
		[CONFIG_KEY_BOUNDS] = set_bound,
		[CONFIG_KEY_TTFB] = set_ttfb,
		[CONFIG_KEY_SERIES_MAX] = set_series_max,
		[CONFIG_KEY_LOG_LEVEL] = set_log_level,
	};

	return setters[key](config, text);
}

int config_key__check_bounds(const struct config *config)
{
	struct layout layout;

	return layout__init(&layout, config->bounds, config->bounds_count);
}

const char *config_key__quote(const char *text, char out[CONFIG_QUOTE_CAP])
{
	size_t len = strnlen(text, CONFIG_QUOTE_CAP);
	bool cut = len == CONFIG_QUOTE_CAP;

	if (cut)
		len -= sizeof("...");
	for (size_t i = 0; i < len; i++)
		out[i] = (unsigned char)text[i] < ' ' || text[i] == 0x7f ? '?' : text[i];
	memcpy(out + len, cut ? "..." : "", cut ? sizeof("...") : 1);
	return out;
}
