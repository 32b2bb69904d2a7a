/* SPDX-License-Identifier: Apache-2.0 */
/* args.c - owns the command line: the options, their help, and one line for each mistake. */
#include "config/keys.h"

#include <argp.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"

enum {
	OPT_KEYS = 256, /* + enum config_key */
	OPT_CONFIG = OPT_KEYS + CONFIG_KEY_CNT,
	OPT_PRINT,
	OPT_ONCE,
	OPT_CHECK_CONFIG,
	OPT_VERSION,
	OPT_HELP,
};

#define PRINT_MS_MIN 100
#define PRINT_MS_MAX 3600000

static const struct argp_option args_options[] = {
	{.doc = "What to watch:", .group = 1},
	{"scope", OPT_KEYS + CONFIG_KEY_SCOPE, "CGROUP_DIR", 0,
	 "Watch the sockets made in this cgroup v2 directory and below; may be given several "
	 "times, not one inside another. Default: the Kubernetes pods' directory, if there is one",
	 1},
	{"bound", OPT_KEYS + CONFIG_KEY_BOUNDS, "SECONDS", 0,
	 "One more latency bucket bound, exact, like 0.3; may be given several times", 1},
	{"ttfb", OPT_KEYS + CONFIG_KEY_TTFB, NULL, 0,
	 "Export the time to first byte too. Default: off", 1},
	{"series-max", OPT_KEYS + CONFIG_KEY_SERIES_MAX, "N", 0,
	 "Series the kernel map may hold; the rest is counted under one overflow series. "
	 "Default: 8192",
	 1},
	{.doc = "Where the numbers go:", .group = 2},
	{"listen", OPT_KEYS + CONFIG_KEY_LISTEN, "ADDR:PORT", 0,
	 "Serve /metrics and health here, or 'off'. Default: " CONFIG_LISTEN, 2},
	{"remote-write", OPT_KEYS + CONFIG_KEY_REMOTE_WRITE, "URL", 0,
	 "Send to this Prometheus remote-write endpoint. Default: none", 2},
	{"interval", OPT_KEYS + CONFIG_KEY_INTERVAL, "DURATION", 0,
	 "Send this often, 1s to 1h. Default: 15s", 2},
	{"print", OPT_PRINT, "DURATION", OPTION_ARG_OPTIONAL,
	 "Show a table of the workloads, redrawn this often. Default: off, 1s if no DURATION", 2},
	{"once", OPT_ONCE, NULL, 0, "Read the counters once, print the table, exit", 2},
	{.doc = "This program:", .group = 3},
	{"config", OPT_CONFIG, "FILE", 0,
	 "Read this YAML file; the command line wins over it. Default: " CONFIG_PATH
	 ", if it is there",
	 3},
	{"check-config", OPT_CHECK_CONFIG, NULL, 0, "Say whether the configuration is valid, exit",
	 3},
	{"log-level", OPT_KEYS + CONFIG_KEY_LOG_LEVEL, "LEVEL", 0,
	 "error, warning, info or debug. Default: info", 3},
	{"version", OPT_VERSION, NULL, 0, "Print the version, exit", 3},
	{"help", OPT_HELP, NULL, 0, "Print this, exit", 3},
	{0},
};

static const char args_doc[] =
	"Count the HTTP requests, status codes and latency of each workload, in the kernel."
	"\v"
	"DURATION is a whole number with ms, s, m or h. Keys of the file are the options' names "
	"with "
	"_ for -: scope and bounds (lists), listen, remote_write, interval, ttfb, series_max, "
	"log_level.\n"
	"\n"
	"Example: watch the system's services, look at them every two seconds:\n"
	"  slid --scope /sys/fs/cgroup/system.slice --print 2s\n"
	"\n"
	"Exit status: 0 good, 1 could not run or bad file, 2 bad command line.";

struct args {
	struct config *config; /* borrowed */
	unsigned int given;    /* a bit per enum config_key */
	bool after_print;      /* the last word was --print, without a duration */
	enum config_verdict verdict;
};

static error_t args__fail(struct args *args)
{
	args->verdict = CONFIG_EXIT_USAGE;
	return ECANCELED;
}

static error_t args__set(struct args *args, enum config_key key, const char *text)
{
	char quoted[CONFIG_QUOTE_CAP];
	int err = config_key__set(args->config, key, text ? text : "true");

	args->given |= 1u << key;
	if (!err && key == CONFIG_KEY_BOUNDS && config_key__check_bounds(args->config)) {
		log_err(-E2BIG, "--bound %s: too many bounds, or too close together; give fewer",
			config_key__quote(text, quoted));
		return args__fail(args);
	}
	if (!err)
		return 0;
	if (err == -ENOMEM)
		log_err(err, "--%s: out of memory", config_keys[key].option);
	else
		log_err(err, "--%s must be %s; it is '%s'", config_keys[key].option,
			config_keys[key].want, config_key__quote(text, quoted));
	return args__fail(args);
}

static error_t args__set_config(struct args *args, const char *path)
{
	char *copy = strdup(path);

	if (!copy || !path[0]) {
		free(copy);
		log_err(-EINVAL, "--config must be the path of a YAML file, like " CONFIG_PATH);
		return args__fail(args);
	}
	free(args->config->config_path);
	args->config->config_path = copy;
	return 0;
}

static int args__set_print(struct args *args, const char *text)
{
	uint64_t print_ms = 1000;

	if (text && (config__duration(text, &print_ms) || print_ms < PRINT_MS_MIN ||
		     print_ms > PRINT_MS_MAX))
		return -EINVAL;
	args->config->print_ms = print_ms;
	return 0;
}

static error_t args__bad_print(struct args *args, const char *text)
{
	char quoted[CONFIG_QUOTE_CAP];

	log_err(-EINVAL,
		"--print must be a duration from 100ms to 1h with its unit, like 2s; it is '%s'",
		config_key__quote(text, quoted));
	return args__fail(args);
}

/* A word that belongs to no option: only the duration of a --print just before it. */
static error_t args__word(struct args *args, const char *word, bool after_print)
{
	char quoted[CONFIG_QUOTE_CAP];

	if (after_print && !args__set_print(args, word))
		return 0;
	if (after_print && word[0] >= '0' && word[0] <= '9')
		return args__bad_print(args, word);
	log_err(-EINVAL, "unexpected argument '%s'; all arguments are options, see slid --help",
		config_key__quote(word, quoted));
	return args__fail(args);
}

static error_t args__option(int key, char *arg, struct argp_state *state)
{
	struct args *args = state->input;
	bool after_print = args->after_print;

	args->after_print = key == OPT_PRINT && !arg;
	if (key >= OPT_KEYS && key < OPT_KEYS + CONFIG_KEY_CNT)
		return args__set(args, (enum config_key)(key - OPT_KEYS), arg);
	switch (key) {
	case OPT_CONFIG:
		return args__set_config(args, arg);
	case OPT_PRINT:
		return args__set_print(args, arg) ? args__bad_print(args, arg) : 0;
	case OPT_ONCE:
		args->config->once = true;
		return 0;
	case OPT_CHECK_CONFIG:
		args->config->check_config = true;
		return 0;
	case OPT_VERSION:
		printf("slid %s\n", SLID_VERSION);
		args->verdict = CONFIG_EXIT_OK;
		return ECANCELED;
	case OPT_HELP:
		argp_help(state->root_argp, stdout,
			  ARGP_HELP_SHORT_USAGE | ARGP_HELP_LONG | ARGP_HELP_DOC, state->name);
		args->verdict = CONFIG_EXIT_OK;
		return ECANCELED;
	case ARGP_KEY_ARG:
		return args__word(args, arg, after_print);
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* Options that begin with these len bytes; an exact name is the only one. */
static size_t options__match(const char *name, size_t len, const struct argp_option **ret)
{
	size_t cnt = 0;

	for (const struct argp_option *option = args_options; option->name || option->doc;
	     option++) {
		if (!option->name || strncmp(option->name, name, len) != 0)
			continue;
		*ret = option;
		if (!option->name[len])
			return 1;
		cnt++;
	}
	return cnt;
}

/* getopt refused a word and argp keeps which to itself: find it again, and say why. */
static void args__explain(int argc, char **argv)
{
	char quoted[CONFIG_QUOTE_CAP];

	for (int i = 1; i < argc; i++) {
		const struct argp_option *option = NULL;
		size_t len = strcspn(argv[i], "=");
		bool has_arg = argv[i][len], takes_arg;
		size_t cnt;

		if (argv[i][0] != '-' || !argv[i][1])
			continue;
		config_key__quote(argv[i], quoted);
		cnt = argv[i][1] == '-' ? options__match(argv[i] + 2, len - 2, &option) : 0;
		if (cnt != 1) {
			log_err(-EINVAL, "%s option '%s'; see slid --help",
				cnt ? "ambiguous" : "unknown", quoted);
			return;
		}
		takes_arg = option->arg && !(option->flags & OPTION_ARG_OPTIONAL);
		if (has_arg && !option->arg) {
			log_err(-EINVAL, "--%s takes no value; write it alone", option->name);
			return;
		}
		if (takes_arg && !has_arg && i + 1 >= argc) {
			log_err(-EINVAL, "--%s needs a value: --%s %s", option->name, option->name,
				option->arg);
			return;
		}
		i += takes_arg && !has_arg;
	}
	log_err(-EINVAL, "cannot read the command line; see slid --help");
}

enum config_verdict config_args__parse(int argc, char **argv, struct config *config,
				       unsigned int *given)
{
	static const struct argp argp = {
		.options = args_options,
		.parser = args__option,
		.doc = args_doc,
	};
	struct args args = {.config = config};
	error_t err;

	err = argp_parse(&argp, argc, argv,
			 ARGP_NO_HELP | ARGP_NO_EXIT | ARGP_NO_ERRS | ARGP_IN_ORDER, NULL, &args);
	*given = args.given;
	if (err && args.verdict == CONFIG_RUN) {
		args__explain(argc, argv);
		return CONFIG_EXIT_USAGE;
	}
	return args.verdict;
}
