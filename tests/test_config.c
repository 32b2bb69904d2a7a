/* SPDX-License-Identifier: Apache-2.0 */
/* test_config.c - what may be asked of slid, and each way to ask wrongly. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "config/config.h"

#define WORDS_MAX 32

/* What a run of config__load gave. */
struct run {
	enum config_verdict verdict;
	struct config config;
	char out[8192]; /* standard output */
	char err[4096]; /* standard error */
};

static char file_path[64]; /* of the test's YAML file */

static void read_back(int fd, char *out, size_t cap)
{
	ssize_t len = pread(fd, out, cap - 1, 0);

	assert_true(len >= 0);
	out[len] = '\0';
	close(fd);
}

/* config__load over a command line given as one text, with both outputs caught. */
static void run_words(struct run *run, const char *command)
{
	int saved_out = dup(STDOUT_FILENO), saved_err = dup(STDERR_FILENO);
	int out = open("/tmp", O_TMPFILE | O_RDWR, 0600),
	    err = open("/tmp", O_TMPFILE | O_RDWR, 0600);
	char *words[WORDS_MAX + 1] = {(char[]){"slid"}}, *copy = strdup(command), *save = NULL;
	int cnt = 1;

	assert_true(out >= 0 && err >= 0 && copy);
	for (char *word = strtok_r(copy, " ", &save); word; word = strtok_r(NULL, " ", &save)) {
		assert_true(cnt < WORDS_MAX);
		words[cnt++] = word;
	}
	memset(&run->config, 0, sizeof(run->config));
	fflush(stdout);
	dup2(out, STDOUT_FILENO);
	dup2(err, STDERR_FILENO);
	run->verdict = config__load(cnt, words, &run->config);
	fflush(stdout);
	dup2(saved_out, STDOUT_FILENO);
	dup2(saved_err, STDERR_FILENO);
	close(saved_out);
	close(saved_err);
	read_back(out, run->out, sizeof(run->out));
	read_back(err, run->err, sizeof(run->err));
	free(copy);
}

static void write_file(const void *data, size_t len)
{
	FILE *file = fopen(file_path, "we");

	assert_non_null(file);
	assert_int_equal(fwrite(data, 1, len, file), len);
	fclose(file);
}

/* The same with a file, and more words. */
static void run_file(struct run *run, const char *yaml, const char *words)
{
	char command[512];

	write_file(yaml, strlen(yaml));
	snprintf(command, sizeof(command), "--config %s %s", file_path, words);
	run_words(run, command);
}

static void check_one_line(const struct run *run, enum config_verdict verdict, const char *want)
{
	const char *newline = strchr(run->err, '\n');

	if (run->verdict != verdict || !strstr(run->err, want))
		print_error("want %s; verdict %d, said: %s", want, (int)run->verdict, run->err);
	assert_int_equal(run->verdict, verdict);
	assert_memory_equal(run->err, "slid: ", 6);
	assert_non_null(strstr(run->err, want));
	assert_true(newline && !newline[1]);
	assert_string_equal(run->out, "");
}

static void config_defaults(void **state)
{
	struct run run;

	(void)state;
	run_file(&run, "", "");
	assert_int_equal(run.verdict, CONFIG_RUN);
	assert_string_equal(run.config.listen, CONFIG_LISTEN);
	assert_string_equal(run.config.log_level, "info");
	assert_int_equal(run.config.interval_ms, 15000);
	assert_int_equal(run.config.series_max, 8192);
	assert_int_equal(run.config.scopes_count, 0);
	assert_int_equal(run.config.bounds_count, 0);
	assert_null(run.config.remote_write);
	assert_false(run.config.ttfb || run.config.once || run.config.check_config);
	assert_int_equal(run.config.print_ms, 0);
	assert_string_equal(run.err, "");
	config__free(&run.config);
	config__free(&run.config); /* twice is fine */
}

static void config_command_line(void **state)
{
	struct run run;

	(void)state;
	run_file(&run, "# nothing\n",
		 "--scope /c/a --scope=/c/b --listen [::1]:80 --remote-write https://h/w "
		 "--interval 1m "
		 "--bound 0.3 --bound 250ms --ttfb --series-max 100 --log-level warn");
	assert_int_equal(run.verdict, CONFIG_RUN);
	assert_int_equal(run.config.scopes_count, 2);
	assert_string_equal(run.config.scopes[1], "/c/b");
	assert_string_equal(run.config.listen, "[::1]:80");
	assert_string_equal(run.config.remote_write, "https://h/w");
	assert_int_equal(run.config.interval_ms, 60000);
	assert_int_equal(run.config.bounds_count, 2);
	assert_true(run.config.bounds[0] == 0.3 && run.config.bounds[1] == 0.25);
	assert_true(run.config.ttfb);
	assert_int_equal(run.config.series_max, 100);
	assert_string_equal(run.config.log_level, "warning");
	assert_string_equal(run.config.config_path, file_path);
	config__free(&run.config);
	run_file(&run, "", "--listen off --once");
	assert_string_equal(run.config.listen, "");
	assert_true(run.config.once);
	config__free(&run.config);
}

static void config_print_takes_a_word_or_none(void **state)
{
	static const struct {
		const char *words;
		uint64_t print_ms;
	} cases[] = {
		{"--print", 1000},
		{"--print=2s", 2000},
		{"--print 500ms", 500},
		{"--print --once", 1000},
		{"--print 1m --once", 60000},
		{"--once --print 3s --ttfb", 3000},
	};
	struct run run;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		run_file(&run, "", cases[i].words);
		assert_int_equal(run.verdict, CONFIG_RUN);
		assert_int_equal(run.config.print_ms, cases[i].print_ms);
		config__free(&run.config);
	}
}

static void config_file_has_the_same_keys(void **state)
{
	static const char yaml[] = "# slid\n"
				   "scope:\n  - /c/a\n  - \"/c/b c\"\n"
				   "listen: \"[::]:9465\"\n"
				   "remote_write: http://h:9090/api/v1/write\n"
				   "interval: 30s\n"
				   "bounds: [0.3, \"1.5\", 20ms]\n"
				   "ttfb: yes\n"
				   "series_max: 4096\n"
				   "log_level: debug\n";
	struct run run;

	(void)state;
	run_file(&run, yaml, "");
	assert_int_equal(run.verdict, CONFIG_RUN);
	assert_int_equal(run.config.scopes_count, 2);
	assert_string_equal(run.config.scopes[1], "/c/b c");
	assert_string_equal(run.config.listen, "[::]:9465");
	assert_string_equal(run.config.remote_write, "http://h:9090/api/v1/write");
	assert_int_equal(run.config.interval_ms, 30000);
	assert_int_equal(run.config.bounds_count, 3);
	assert_true(run.config.bounds[0] == 0.3 && run.config.bounds[1] == 1.5 &&
		    run.config.bounds[2] == 0.02);
	assert_true(run.config.ttfb);
	assert_int_equal(run.config.series_max, 4096);
	assert_string_equal(run.config.log_level, "debug");
	config__free(&run.config);
}

static void config_command_line_wins(void **state)
{
	struct run run;

	(void)state;
	run_file(&run, "scope: [/f/a, /f/b]\ninterval: 30s\nbounds: [0.3]\nttfb: true\n",
		 "--scope /c --interval 5s");
	assert_int_equal(run.verdict, CONFIG_RUN);
	assert_int_equal(run.config.scopes_count, 1);
	assert_string_equal(run.config.scopes[0], "/c");
	assert_int_equal(run.config.interval_ms, 5000);
	assert_int_equal(run.config.bounds_count, 1);
	assert_true(run.config.ttfb);
	config__free(&run.config);
	/* What the command line hides is checked all the same. */
	run_file(&run, "interval: 30\n", "--interval 5s");
	check_one_line(&run, CONFIG_EXIT_BAD, ":1: interval must be");
}

static void config_file_mistakes_name_line_and_key(void **state)
{
	static const char *const cases[][2] = {
		{"listen: off\n\n\nintervall: 3s\nttfb: no\n",
		 ":4: unknown key 'intervall'; known keys are: scope, listen, remote_write, "
		 "interval,"
		 " bounds, ttfb, series_max, log_level"},
		{"listen: off\nttfb: no\nlisten: off\n", ":3: key 'listen' is given twice"},
		{"ttfb: no\nscope: /a\n", ":2: scope must be a list"},
		{"scope:\n", ":1: scope must be a list"},
		{"scope: {a: b}\n", ":1: scope must be a list"},
		{"scope:\n- /a\n- [x]\n", ":3: scope must be a list of plain values"},
		{"scope:\n- /a\n- b\n", ":3: scope must be the absolute path"},
		{"\nlisten: [1]\n", ":2: listen must be one value"},
		{"interval: {}\n", ":1: interval must be one value"},
		{"listen: 9465\n", ":1: listen must be a numeric address"},
		{"listen: localhost:80\n", ":1: listen must be"},
		{"listen: 1.2.3.4:65536\n", ":1: listen must be"},
		{"listen: ::1:80\n", ":1: listen must be"},
		{"listen: \"[::1]\"\n", ":1: listen must be"},
		{"remote_write: prometheus:9090\n", ":1: remote_write must be a URL"},
		{"remote_write: http://\n", ":1: remote_write must be a URL"},
		{"remote_write: \"http://a b\"\n", ":1: remote_write must be a URL"},
		{"remote_write: \"http://a\\nb\"\n", "it is 'http://a?b'"},
		{"ttfb: no\n\ninterval: 15\n", ":3: interval must be a duration from 1s to 1h with "
					       "its unit, like 15s; it is '15'"},
		{"interval: 999ms\n", ":1: interval must be"},
		{"interval: 2h\n", ":1: interval must be"},
		{"interval: -1s\n", ":1: interval must be"},
		{"interval: 99999999999999999999999h\n", ":1: interval must be"},
		{"interval:\n", ":1: interval must be"},
		{"bounds: [0.1, 513]\n", ":1: bounds must be seconds"},
		{"bounds:\n  - 0.1\n  # no\n  - 0\n", ":4: bounds must be seconds"},
		{"bounds: [nan]\n", ":1: bounds must be"},
		{"bounds: [0x1p-3]\n", ":1: bounds must be"},
		{"bounds: [-1]\n", ":1: bounds must be"},
		{"bounds: [1e-12]\n", ":1: bounds must be"},
		{"bounds: ['']\n", ":1: bounds must be"},
		{"bounds: [.300000001, .300000002, .300000003, .300000004, .300000005, .300000006, "
		 ".300000007, .300000008, .300000009, .30000001, .300000011, .300000012, "
		 ".300000013, "
		 ".300000014, .300000015, .300000016, .300000017]\n",
		 ":1: bounds are too many or too close together"},
		{"ttfb: maybe\n", ":1: ttfb must be true or false; it is 'maybe'"},
		{"series_max: -1\n", ":1: series_max must be a whole number"},
		{"series_max: 100x\n", ":1: series_max must be"},
		{"series_max: 15\n", ":1: series_max must be"},
		{"series_max: 1048577\n", ":1: series_max must be"},
		{"log_level: loud\n", ":1: log_level must be error, warning, info or debug"},
		{"- a\n", ":1: must be a mapping"},
		{"hello\n", ":1: must be a mapping"},
		{"listen: off\n\tttfb: yes\n", ":2: not valid YAML: "},
		{"listen: [\n", " not valid YAML: "},
		{"listen: \"x\n", " not valid YAML: "},
		{"listen: *x\n", ":1: "},
		{"\xff\xfe\xfd", " not valid YAML: "},
		{"ttfb: no\n---\nttfb: yes\n", ":2: a second document"},
		{"ttfb: no\n? [a]\n: b\n", ":2: a key must be a plain word"},
	};
	char want[512];
	struct run run;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		run_file(&run, cases[i][0], "");
		snprintf(want, sizeof(want), "%s%s",
			 strchr(cases[i][1], ':') == cases[i][1] ? file_path : "", cases[i][1]);
		check_one_line(&run, CONFIG_EXIT_BAD, want);
		run_file(&run, cases[i][0], "--check-config");
		check_one_line(&run, CONFIG_EXIT_BAD, want);
	}
}

static void config_file_that_cannot_be_read(void **state)
{
	char *large = malloc(300000);
	struct run run;

	(void)state;
	run_words(&run, "--config /tmp/slid-no-such-file.yaml");
	check_one_line(&run, CONFIG_EXIT_BAD, "cannot read /tmp/slid-no-such-file.yaml: ENOENT");
	run_words(&run, "--config /tmp");
	check_one_line(&run, CONFIG_EXIT_BAD, "cannot read /tmp: EISDIR");
	assert_non_null(large);
	memset(large, '#', 300000);
	write_file(large, 300000);
	free(large);
	snprintf(run.out, sizeof(run.out), "--config %s", file_path);
	run_words(&run, strdupa(run.out));
	check_one_line(&run, CONFIG_EXIT_BAD, "larger than 256 kB");
}

static void config_usage_mistakes_name_the_option(void **state)
{
	static const char *const cases[][2] = {
		{"--scoop /a", "unknown option '--scoop'"},
		{"--once -x", "unknown option '-x'"},
		{"-once", "unknown option '-once'"},
		{"--scope", "--scope needs a value: --scope CGROUP_DIR"},
		{"--once --interval", "--interval needs a value"},
		{"--once=1", "--once takes no value"},
		{"--s /a", "ambiguous option '--s'"},
		{"stray", "unexpected argument 'stray'"},
		{"--print 1s 2s", "unexpected argument '2s'"},
		{"--print 5", "--print must be a duration from 100ms to 1h with its unit"},
		{"--print=x", "--print must be a duration"},
		{"--print=1ms", "--print must be a duration"},
		{"--interval 15",
		 "--interval must be a duration from 1s to 1h with its unit, like 15s;"
		 " it is '15'"},
		{"--bound abc", "--bound must be seconds"},
		{"--bound 600", "--bound must be seconds"},
		{"--series-max 1", "--series-max must be a whole number"},
		{"--log-level x", "--log-level must be error"},
		{"--listen x", "--listen must be"},
		{"--remote-write ftp://x", "--remote-write must be a URL"},
		{"--scope relative", "--scope must be the absolute path"},
		{"--config=", "--config must be the path"},
	};
	struct run run;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		run_words(&run, cases[i][0]);
		check_one_line(&run, CONFIG_EXIT_USAGE, cases[i][1]);
	}
}

static void config_help_and_version(void **state)
{
	static const char *const options[] = {
		"--scope",	  "--listen",	    "--remote-write", "--interval", "--bound",
		"--ttfb",	  "--series-max",   "--log-level",    "--print",    "--once",
		"--check-config", "--config",	    "--version",      "--help",	    "Usage:",
		"Example:",	  "What to watch:", "127.0.0.1:9465", "15s",
	};
	struct run run;

	(void)state;
	run_words(&run, "--help");
	assert_int_equal(run.verdict, CONFIG_EXIT_OK);
	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++)
		assert_non_null(strstr(run.out, options[i]));
	assert_string_equal(run.err, "");
	run_words(&run, "--version");
	assert_int_equal(run.verdict, CONFIG_EXIT_OK);
	assert_memory_equal(run.out, "slid ", 5);
}

static void config_check_config_says_ok(void **state)
{
	char want[128];
	struct run run;

	(void)state;
	run_file(&run, "ttfb: true\n", "--check-config");
	snprintf(want, sizeof(want), "%s: ok\n", file_path);
	assert_int_equal(run.verdict, CONFIG_EXIT_OK);
	assert_string_equal(run.out, want);
	assert_string_equal(run.err, "");
}

static void config_durations(void **state)
{
	static const char *const bad[] = {"", "s", "1", "1 s", "1sec", "-1s", "1.5s", "0x1s", "1S"};
	uint64_t ms = 7;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(config__duration(bad[i], &ms), -EINVAL);
	assert_int_equal(config__duration("99999999999999999999999s", &ms), -ERANGE);
	assert_int_equal(ms, 7);
	assert_int_equal(config__duration("0ms", &ms), 0);
	assert_int_equal(ms, 0);
	assert_int_equal(config__duration("2h", &ms), 0);
	assert_int_equal(ms, 7200000);
}

/* Files put together from pieces of good ones: an answer each time, never a fault or a leak. */
static void config_survives_garbage(void **state)
{
	static const char *const words[] = {
		"scope", "listen", "interval", "bounds", ":",	  ": ", "- ",  "\n", "\n  ",
		"[",	 "]",	   "{",	       "}",	 "0.3",	  "/a", "15s", "\"", "'",
		"&a ",	 "*a",	   "!x ",      "|",	 "---\n", "#",	",",   "\t", "\xff",
		"? ",	 "true",   "%",	       "ttfb: ", "<<: ",  "~",
	};
	char yaml[512];
	struct run run;

	(void)state;
	srandom(3);
	for (int round = 0; round < 1500; round++) {
		size_t len = 0;

		for (long cnt = random() % 16; cnt > 0; cnt--) {
			const char *word =
				words[(size_t)random() % (sizeof(words) / sizeof(words[0]))];

			len += (size_t)snprintf(yaml + len, sizeof(yaml) - len, "%s", word);
		}
		yaml[len] = '\0';
		run_file(&run, yaml, "");
		if (run.verdict == CONFIG_RUN)
			config__free(&run.config);
		else
			check_one_line(&run, CONFIG_EXIT_BAD, file_path);
	}
}

static int make_file(void **state)
{
	int fd;

	(void)state;
	unsetenv("JOURNAL_STREAM");
	strcpy(file_path, "/tmp/slid-test-config-XXXXXX");
	fd = mkstemp(file_path);
	return fd < 0 ? -1 : close(fd);
}

static int remove_file(void **state)
{
	(void)state;
	return unlink(file_path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(config_defaults),
		cmocka_unit_test(config_command_line),
		cmocka_unit_test(config_print_takes_a_word_or_none),
		cmocka_unit_test(config_file_has_the_same_keys),
		cmocka_unit_test(config_command_line_wins),
		cmocka_unit_test(config_file_mistakes_name_line_and_key),
		cmocka_unit_test(config_file_that_cannot_be_read),
		cmocka_unit_test(config_usage_mistakes_name_the_option),
		cmocka_unit_test(config_help_and_version),
		cmocka_unit_test(config_check_config_says_ok),
		cmocka_unit_test(config_durations),
		cmocka_unit_test(config_survives_garbage),
	};

	return cmocka_run_group_tests_name("config", tests, make_file, remove_file);
}
