/* SPDX-License-Identifier: Apache-2.0 */
/*
 * file.c - owns the reading of the YAML file. libcyaml maps it to a struct of texts, whose values
 * keys.c checks as it does those of the command line. libcyaml names the key of an error but not
 * always its line (an unknown key gets the line before), and reads -1 and "1x" as numbers; so the
 * numbers are texts here and the lines are looked up again with libyaml's parser.
 */
#include "config/keys.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <cyaml/cyaml.h>
#include <yaml.h>

#include "base/log.h"
#include "base/own.h"

#define FILE_MAX_BYTES (256 * 1024)
#define TEXT_MAX       4096
#define LIST_MAX       256

/* The file as texts; libcyaml allocates all of it. */
struct file_texts {
	char *values[CONFIG_KEY_CNT]; /* those that are no list */
	char **scopes;
	unsigned int scopes_count;
	char **bounds;
	unsigned int bounds_count;
};

#define TEXT_FIELD(name, key)                                                                     \
	CYAML_FIELD_STRING_PTR(name, CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, struct file_texts, \
			       values[key], 0, TEXT_MAX)
#define LIST_FIELD(name, field)                                                                 \
	CYAML_FIELD_SEQUENCE(name, CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, struct file_texts, \
			     field, &file_entry, 0, LIST_MAX)

static const cyaml_schema_value_t file_entry = {
	CYAML_VALUE_STRING(CYAML_FLAG_POINTER, char, 0, TEXT_MAX),
};
static const cyaml_schema_field_t file_fields[] = {
	LIST_FIELD("scope", scopes),
	TEXT_FIELD("listen", CONFIG_KEY_LISTEN),
	TEXT_FIELD("remote_write", CONFIG_KEY_REMOTE_WRITE),
	TEXT_FIELD("interval", CONFIG_KEY_INTERVAL),
	LIST_FIELD("bounds", bounds),
	TEXT_FIELD("ttfb", CONFIG_KEY_TTFB),
	TEXT_FIELD("series_max", CONFIG_KEY_SERIES_MAX),
	TEXT_FIELD("log_level", CONFIG_KEY_LOG_LEVEL),
	CYAML_FIELD_END,
};
static const cyaml_schema_value_t file_schema = {
	CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, struct file_texts, file_fields),
};

/* One file while it is read. */
struct config_file {
	const char *path; /* borrowed */
	char *data;	  /* owned */
	size_t len;
	char said[4]
		 [256]; /* libcyaml's lines about its error: what, "Backtrace:", innermost first */
	size_t said_cnt;
};

/* Where a key stands in the file; entry counts from 0, -1 is the key itself. */
struct place {
	const char *key;
	int entry;
	size_t line; /* 0 = not found; of the last one if there are several */
};

/* State of a walk over a file's events. */
struct walk {
	int depth;     /* 1 = in the top mapping */
	bool is_value; /* in the top mapping, after a key */
	bool in_key;   /* in the value of the key sought */
	int entry;
	int documents;
	bool is_mapping; /* the top is */
	bool bad_key;	 /* a key that is no word; libcyaml gets lost there */
};

static void walk__node(struct walk *walk, const yaml_event_t *event, struct place *place)
{
	size_t line = event->start_mark.line + 1;

	if (!walk->depth)
		walk->is_mapping = event->type == YAML_MAPPING_START_EVENT;
	if (walk->depth == 1 && !walk->is_value && walk->is_mapping &&
	    event->type != YAML_SCALAR_EVENT) {
		walk->bad_key = true;
		place->line = line;
	} else if (walk->depth == 1 && !walk->is_value) {
		walk->in_key = event->type == YAML_SCALAR_EVENT && place->key &&
			       !strcmp((const char *)event->data.scalar.value, place->key);
		walk->entry = 0;
		if (walk->in_key && place->entry < 0)
			place->line = line;
	} else if (walk->depth == 2 && walk->in_key && walk->entry++ == place->entry) {
		place->line = line;
	}
	if (walk->depth == 1)
		walk->is_value = !walk->is_value;
}

static void walk__event(struct walk *walk, const yaml_event_t *event, struct place *place)
{
	switch (event->type) {
	case YAML_DOCUMENT_START_EVENT:
		if (++walk->documents == 2)
			place->line = event->start_mark.line + 1;
		break;
	case YAML_SCALAR_EVENT:
	case YAML_ALIAS_EVENT:
		walk__node(walk, event, place);
		break;
	case YAML_SEQUENCE_START_EVENT:
	case YAML_MAPPING_START_EVENT:
		walk__node(walk, event, place);
		walk->depth++;
		break;
	case YAML_SEQUENCE_END_EVENT:
	case YAML_MAPPING_END_EVENT:
		walk->depth--;
		break;
	default:
		break;
	}
}

/* Walk the whole file, looking for a place. Return: 0; -EBADMSG with *why and place->line set when
 * it is not YAML; -E2BIG with place->line set when it has two documents; -EINVAL, for a bad key. */
static int file__walk(const struct config_file *file, struct place *place, char why[128])
{
	struct walk walk = {0};
	yaml_parser_t parser;
	bool end = false;
	int err = 0;

	if (!yaml_parser_initialize(&parser))
		return -ENOMEM;
	yaml_parser_set_input_string(&parser, (const unsigned char *)file->data, file->len);
	while (!err && !end) {
		yaml_event_t event;

		if (!yaml_parser_parse(&parser, &event)) {
			snprintf(why, 128, "%s", parser.problem ? parser.problem : "out of memory");
			place->line = parser.problem_mark.line + 1;
			err = -EBADMSG;
			break;
		}
		walk__event(&walk, &event, place);
		end = event.type == YAML_STREAM_END_EVENT;
		err = walk.documents > 1 ? -E2BIG : walk.bad_key ? -EINVAL : 0;
		yaml_event_delete(&event);
	}
	yaml_parser_delete(&parser);
	return err;
}

static size_t file__line(const struct config_file *file, const char *key, int entry)
{
	struct place place = {.key = key, .entry = entry};
	char why[128];

	file__walk(file, &place, why);
	return place.line;
}

/* Is it one YAML document at all? */
static int file__check_yaml(const struct config_file *file)
{
	struct place place = {.entry = -1};
	char why[128];
	int err = file__walk(file, &place, why);

	if (err == -EBADMSG)
		return log_err(-EINVAL,
			       "%s:%zu: not valid YAML: %s; correct this line or the one above",
			       file->path, place.line, why);
	if (err == -E2BIG)
		return log_err(-EINVAL, "%s:%zu: a second document; keep all keys in the first",
			       file->path, place.line);
	if (err == -EINVAL)
		return log_err(err, "%s:%zu: a key must be a plain word; write 'key: value'",
			       file->path, place.line);
	return err;
}

static void file__hear(cyaml_log_t level, void *ctx, const char *fmt, va_list args)
{
	struct config_file *file = ctx;

	(void)level;
	if (file->said_cnt == sizeof(file->said) / sizeof(file->said[0]))
		return;
	vsnprintf(file->said[file->said_cnt], sizeof(file->said[0]), fmt, args);
	file->said[file->said_cnt][strcspn(file->said[file->said_cnt], "\n")] = '\0';
	file->said_cnt++;
}

static int file__unknown_key(const struct config_file *file, const char *key)
{
	char quoted[CONFIG_QUOTE_CAP], known[256] = "";
	size_t used = 0;

	for (size_t i = 0; i < CONFIG_KEY_CNT && used < sizeof(known); i++)
		used += (size_t)snprintf(known + used, sizeof(known) - used, "%s%s", i ? ", " : "",
					 config_keys[i].name);
	return log_err(-EINVAL, "%s:%zu: unknown key '%s'; known keys are: %s", file->path,
		       file__line(file, key, -1), config_key__quote(key, quoted), known);
}

/* The key a line of libcyaml's backtrace speaks of; CONFIG_KEY_CNT if of none. */
static enum config_key said__key(const char *said)
{
	static const char mark[] = "in mapping field '";
	const char *name = strstr(said, mark);

	for (size_t i = 0; name && i < CONFIG_KEY_CNT; i++) {
		size_t len = strlen(config_keys[i].name);

		if (!strncmp(name + sizeof(mark) - 1, config_keys[i].name, len) &&
		    name[sizeof(mark) - 1 + len] == '\'')
			return (enum config_key)i;
	}
	return CONFIG_KEY_CNT;
}

/* The line number in a line of libcyaml's backtrace, right for an entry of a list; 0 = none. */
static size_t said__line(const char *said)
{
	static const char mark[] = "(line: ";
	const char *at = strstr(said, mark);

	return at ? strtoul(at + sizeof(mark) - 1, NULL, 10) : 0;
}

/* One line for an error of libcyaml, from its own lines. */
static int file__explain(const struct config_file *file, cyaml_err_t cyaml_err)
{
	static const char unknown[] = "Load: Unexpected key: ",
			  twice[] = "Load: Mapping field already seen: ";
	enum config_key key = CONFIG_KEY_CNT;
	const char *what = file->said[0];
	size_t entry_line = 0;

	if (cyaml_err == CYAML_ERR_OOM)
		return -ENOMEM;
	if (!strncmp(what, unknown, sizeof(unknown) - 1))
		return file__unknown_key(file, what + sizeof(unknown) - 1);
	if (!strncmp(what, twice, sizeof(twice) - 1))
		return log_err(-EINVAL, "%s:%zu: key '%s' is given twice; keep one", file->path,
			       file__line(file, what + sizeof(twice) - 1, -1),
			       what + sizeof(twice) - 1);
	for (size_t i = 1; i < file->said_cnt && key == CONFIG_KEY_CNT; i++) {
		if (strstr(file->said[i], "in sequence entry"))
			entry_line = said__line(file->said[i]);
		key = said__key(file->said[i]);
	}
	if (key == CONFIG_KEY_CNT)
		return log_err(-EINVAL, "%s:1: must be a mapping of 'key: value' lines (%s)",
			       file->path, cyaml_strerror(cyaml_err));
	if (cyaml_err == CYAML_ERR_SEQUENCE_ENTRIES_MAX)
		return log_err(-EINVAL, "%s:%zu: %s has too many entries; at most %d", file->path,
			       file__line(file, config_keys[key].name, -1), config_keys[key].name,
			       LIST_MAX);
	if (entry_line)
		return log_err(-EINVAL, "%s:%zu: %s must be a list of plain values, each %s",
			       file->path, entry_line, config_keys[key].name,
			       config_keys[key].want);
	return log_err(-EINVAL, "%s:%zu: %s must be %s%s", file->path,
		       file__line(file, config_keys[key].name, -1), config_keys[key].name,
		       config_keys[key].is_list ? "a list in [ ] or of '- ' lines, each entry "
						: "one value: ",
		       config_keys[key].want);
}

static int file__set(const struct config_file *file, struct config *config, enum config_key key,
		     int entry, const char *text)
{
	int err = config_key__set(config, key, text);
	char quoted[CONFIG_QUOTE_CAP];

	if (err != -EINVAL)
		return err;
	return log_err(err, "%s:%zu: %s must be %s; it is '%s'", file->path,
		       file__line(file, config_keys[key].name, entry), config_keys[key].name,
		       config_keys[key].want, config_key__quote(text, quoted));
}

static int file__apply(const struct config_file *file, const struct file_texts *texts,
		       struct config *config)
{
	int err = 0;

	for (int key = 0; !err && key < CONFIG_KEY_CNT; key++)
		if (texts->values[key])
			err = file__set(file, config, (enum config_key)key, -1, texts->values[key]);
	for (unsigned int i = 0; !err && i < texts->scopes_count; i++)
		err = file__set(file, config, CONFIG_KEY_SCOPE, (int)i, texts->scopes[i]);
	for (unsigned int i = 0; !err && i < texts->bounds_count; i++)
		err = file__set(file, config, CONFIG_KEY_BOUNDS, (int)i, texts->bounds[i]);
	if (!err && config_key__check_bounds(config))
		err = log_err(-EINVAL,
			      "%s:%zu: bounds are too many or too close together; remove some",
			      file->path, file__line(file, "bounds", -1));
	return err;
}

static int file__read(struct config_file *file)
{
	CLEAN_FD int fd = open(file->path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	ssize_t len;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &st))
		return -errno;
	if (!S_ISREG(st.st_mode) && !S_ISFIFO(st.st_mode))
		return -EISDIR;
	file->data = malloc(FILE_MAX_BYTES + 1);
	if (!file->data)
		return -ENOMEM;
	while ((len = read(fd, file->data + file->len, FILE_MAX_BYTES + 1 - file->len)) > 0)
		file->len += (size_t)len;
	if (len < 0)
		return -errno;
	return file->len > FILE_MAX_BYTES ? -EFBIG : 0;
}

static int file__load(struct config_file *file, struct config *config)
{
	cyaml_config_t cyaml = {
		.log_fn = file__hear,
		.log_ctx = file,
		.mem_fn = cyaml_mem,
		.log_level = CYAML_LOG_ERROR,
	};
	struct file_texts *texts = NULL;
	cyaml_data_t *loaded = NULL;
	cyaml_err_t cyaml_err;
	int err = file__check_yaml(file);

	if (err)
		return err;
	cyaml_err = cyaml_load_data((const uint8_t *)file->data, file->len, &cyaml, &file_schema,
				    &loaded, NULL);
	if (cyaml_err != CYAML_OK)
		return file__explain(file, cyaml_err);
	texts = loaded;
	if (texts) /* else the file is empty */
		err = file__apply(file, texts, config);
	cyaml_free(&cyaml, &file_schema, loaded, 0);
	return err;
}

int config_file__load(const char *path, struct config *config)
{
	struct config_file file = {.path = path};
	int err = file__read(&file);

	if (err == -EFBIG)
		log_err(err, "%s: larger than %d kB; is it the right file?", path,
			FILE_MAX_BYTES / 1024);
	else if (err && err != -ENOENT && err != -ENOMEM)
		log_err(err, "cannot read %s: %s; give a readable file with --config", path,
			err_name(err));
	else if (!err)
		err = file__load(&file, config);
	free(file.data);
	return err;
}
