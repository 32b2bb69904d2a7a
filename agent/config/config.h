/* SPDX-License-Identifier: Apache-2.0 */
/* config.h - what the user asked for: the command line over the YAML file over the defaults. */
#ifndef SLID_CONFIG_H
#define SLID_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CONFIG_PATH   "/etc/slid/slid.yaml"
#define CONFIG_LISTEN "127.0.0.1:9465"
#define CONFIG_INTERVAL_MS 15000
#define CONFIG_SERIES_MAX  8192

struct config {
	char *config_path;   /* owned; NULL = the default path, if it is there */
	char **scopes;       /* owned; absolute paths of cgroup v2 directories; may be empty */
	unsigned int scopes_count;
	char *listen;        /* owned; "ADDR:PORT", "[ADDR6]:PORT"; "" = no HTTP server */
	char *remote_write;  /* owned; URL, or NULL */
	uint64_t interval_ms; /* of remote-write; 1 s to 1 h */
	double *bounds;      /* owned; further bucket bounds, seconds, exact */
	unsigned int bounds_count;
	bool ttfb;           /* export the time to first byte too */
	uint64_t series_max; /* series the kernel map may hold */
	char *log_level;     /* owned; "error", "warning", "info", "debug" */
	/* Only on the command line: */
	uint64_t print_ms;   /* 0 = no table; else redraw it this often */
	bool once;           /* read once, print, exit */
	bool check_config;   /* say whether the configuration is valid, exit */
};

enum config_verdict {
	CONFIG_RUN = 0,  /* go on */
	CONFIG_EXIT_OK,  /* --help, --version, a good --check-config: printed, exit 0 */
	CONFIG_EXIT_BAD, /* bad configuration: one line was printed, exit 1 */
	CONFIG_EXIT_USAGE, /* bad command line: one line was printed, exit 2 */
};

/* config__load - parse the command line (argp) and the file it names. Prints what is wrong, as one
 * line that names the option, or the file and the line in it. *config is filled when CONFIG_RUN. */
enum config_verdict config__load(int argc, char **argv, struct config *config);
void config__free(struct config *config);

/* config__duration - "15s", "500ms", "2m", "1h" to milliseconds. Return: 0 or -EINVAL, -ERANGE. */
int config__duration(const char *text, uint64_t *ret_ms);

#endif
