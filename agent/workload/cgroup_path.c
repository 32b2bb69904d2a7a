/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cgroup_path.c - owns the rules that read an owner out of a cgroup's path. A path is text that
 * any program on the machine may have chosen: all of it is bounded, none of it is trusted, and
 * nothing is looked up elsewhere.
 *
 *   pod        leftmost component pod<UID>, or ...-pod<UID>[.slice][:prefix:<id>]
 *   container  first component after the pod that has 64 hex digits and is no monitor
 *   unit       innermost component that ends in .service or .scope
 *   else       the path
 */
#include "workload/cgroup_path.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/buf.h"

#define UID_DIGITS	 32
#define CONTAINER_DIGITS 64
#define CONTAINER_SHORT	 12		/* as the container tools print it */
#define NAME_MAX_BYTES	 512		/* of a path or a unit's name in a label */
#define REPLACEMENT	 "\xef\xbf\xbd" /* U+FFFD */

/* One component of a path; borrowed, not NUL-terminated. */
struct component {
	const char *text;
	size_t len;
};

static bool component__next(const char **path, struct component *ret)
{
	*path += strspn(*path, "/");
	ret->text = *path;
	ret->len = strcspn(*path, "/");
	*path += ret->len;
	return ret->len > 0;
}

static bool component__is(const struct component *comp, const char *text)
{
	return comp->len == strlen(text) && !memcmp(comp->text, text, comp->len);
}

static bool component__has(const struct component *comp, const char *text)
{
	return memmem(comp->text, comp->len, text, strlen(text));
}

static bool component__starts(const struct component *comp, const char *text)
{
	return comp->len >= strlen(text) && !memcmp(comp->text, text, strlen(text));
}

static bool component__ends(const struct component *comp, const char *text)
{
	size_t len = strlen(text);

	return comp->len > len && !memcmp(comp->text + comp->len - len, text, len);
}

static bool is_hex(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
}

static bool is_word(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* Offset of a word of exactly 64 hex digits; comp->len if there is none. */
static size_t component__container(const struct component *comp)
{
	size_t start = 0;

	while (start < comp->len) {
		size_t end = start;
		bool hex = true;

		for (; end < comp->len && is_word(comp->text[end]); end++)
			hex = hex && is_hex(comp->text[end]);
		if (hex && end - start == CONTAINER_DIGITS)
			return start;
		start = end + 1;
	}
	return comp->len;
}

/* 32 hex digits, plain or grouped 8-4-4-4-12 by - or _. Return: bytes read, 0 = no UID. */
static size_t uid__parse(const char *text, size_t len, char uid[CGROUP_UID_CAP])
{
	size_t digits = 0, in = 0, out = 0;
	bool grouped = len > 8 && (text[8] == '-' || text[8] == '_');

	while (digits < UID_DIGITS) {
		bool border = digits == 8 || digits == 12 || digits == 16 || digits == 20;

		if (grouped && border && uid[out - 1] != '-') {
			if (in >= len || (text[in] != '-' && text[in] != '_'))
				return 0;
			uid[out++] = '-';
			in++;
			continue;
		}
		if (in >= len || !is_hex(text[in]))
			return 0;
		uid[out++] = text[in++];
		digits++;
	}
	uid[out] = '\0';
	return in;
}

/* What may stand behind a pod's UID: nothing, ".slice", and ":prefix:<container>" after either. */
static bool uid__ends(const char *text, size_t len)
{
	static const char slice[] = ".slice";

	if (len >= sizeof(slice) - 1 && !memcmp(text, slice, sizeof(slice) - 1)) {
		text += sizeof(slice) - 1;
		len -= sizeof(slice) - 1;
	}
	return !len || text[0] == ':';
}

/* Offset of "pod<UID>" at the start of a component or behind a '-'; comp->len if there is none. */
static size_t component__pod(const struct component *comp, char uid[CGROUP_UID_CAP])
{
	static const char word[] = "pod";
	size_t skip = sizeof(word) - 1;

	for (size_t at = 0; at + skip < comp->len; at++) {
		const char *text = comp->text + at;
		size_t used;

		if ((at && text[-1] != '-') || memcmp(text, word, skip) != 0)
			continue;
		used = uid__parse(text + skip, comp->len - at - skip, uid);
		if (used && uid__ends(text + skip + used, comp->len - at - skip - used))
			return at;
	}
	uid[0] = '\0';
	return comp->len;
}

/* QoS class of the pod at comp[pod_off], its path's beginning and parent component given. */
static const char *pod__qos(const char *path, const struct component *parent,
			    const struct component *comp, size_t pod_off)
{
	struct component prefix = {.text = comp->text, .len = pod_off};
	const char *end = comp->text + pod_off;

	if (component__has(&prefix, "besteffort") || component__is(parent, "besteffort"))
		return "besteffort";
	if (component__has(&prefix, "burstable") || component__is(parent, "burstable"))
		return "burstable";
	if (memmem(path, (size_t)(end - path), "kubepods", strlen("kubepods")))
		return "guaranteed";
	return "";
}

/* The container's component and its parent, when the path has one; else comp->len is 0. */
static void path__split(const char *path, struct cgroup_id_parts *parts,
			struct component *ret_parent, struct component *ret_comp)
{
	struct component comp, parent = {.text = path, .len = 0};
	const char *rest = path;

	*parts = (struct cgroup_id_parts){.qos = ""};
	*ret_comp = *ret_parent = parent;
	for (; component__next(&rest, &comp); parent = comp) {
		struct component tail = comp;
		size_t off;

		if (!parts->pod_uid[0]) {
			off = component__pod(&comp, parts->pod_uid);
			if (off < comp.len) {
				parts->qos = pod__qos(path, &parent, &comp, off);
				ret_comp->len = 0; /* a container outside the pod is the node */
				tail.text += off;
				tail.len -= off;
			}
		}
		off = component__container(&tail);
		if (ret_comp->len || off == tail.len || component__has(&comp, "conmon"))
			continue;
		*ret_comp = comp;
		*ret_parent = parent;
		memcpy(parts->container, tail.text + off, CONTAINER_DIGITS);
	}
	if (!ret_comp->len)
		parts->container[0] = '\0';
}

void cgroup_path__parts(const char *path, struct cgroup_id_parts *parts)
{
	struct component parent, comp;

	path__split(path, parts, &parent, &comp);
}

/* The container's engine, from the words it puts around the id. Bare ids go by their parent. */
static const char *container__kind(const struct component *parent, const struct component *comp)
{
	static const struct {
		const char *word;
		const char *kind;
	} kinds[] = {
		{"docker", "docker"},	      {"libpod", "podman"},	 {"crio", "cri-o"},
		{"containerd", "containerd"}, {"nerdctl", "containerd"},
	};

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (component__has(comp, kinds[i].word) || component__starts(parent, kinds[i].word))
			return kinds[i].kind;
	return "container";
}

/* The innermost unit's name without its type; len 0 if there is none. */
static struct component path__unit(const char *path)
{
	struct component comp, unit = {.text = path, .len = 0};

	while (component__next(&path, &comp)) {
		if (component__ends(&comp, ".service"))
			unit = (struct component){comp.text, comp.len - strlen(".service")};
		else if (component__ends(&comp, ".scope"))
			unit = (struct component){comp.text, comp.len - strlen(".scope")};
	}
	return unit;
}

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return -1;
}

/* Undo systemd's \xHH. Source: systemd.unit(5), "String escaping for inclusion in unit names". */
static size_t text__unescape(const char *in, size_t len, char *out)
{
	size_t used = 0;

	for (size_t i = 0; i < len; i++) {
		if (in[i] == '\\' && len - i >= 4 && in[i + 1] == 'x' &&
		    hex_value(in[i + 2]) >= 0 && hex_value(in[i + 3]) >= 0) {
			out[used++] = (char)(hex_value(in[i + 2]) * 16 + hex_value(in[i + 3]));
			i += 3;
		} else {
			out[used++] = in[i];
		}
	}
	return used;
}

/* Bytes of the well-formed UTF-8 character at text, no control character; 0 = not one. Source:
 * Unicode 15, table 3-7. */
static size_t utf8__len(const unsigned char *text, size_t len)
{
	unsigned int min = 0x80, max = 0xbf;
	size_t cnt;

	if (text[0] < 0x80)
		return text[0] >= 0x20 && text[0] != 0x7f;
	if (text[0] >= 0xc2 && text[0] <= 0xdf)
		cnt = 2;
	else if (text[0] >= 0xe0 && text[0] <= 0xef)
		cnt = 3;
	else if (text[0] >= 0xf0 && text[0] <= 0xf4)
		cnt = 4;
	else
		return 0;
	if (text[0] == 0xe0)
		min = 0xa0;
	else if (text[0] == 0xed)
		max = 0x9f;
	else if (text[0] == 0xf0)
		min = 0x90;
	else if (text[0] == 0xf4)
		max = 0x8f;
	if (len < cnt || text[1] < min || text[1] > max)
		return 0;
	for (size_t i = 2; i < cnt; i++)
		if (text[i] < 0x80 || text[i] > 0xbf)
			return 0;
	return cnt;
}

/* Append text as a label value: what is not UTF-8, or is a control character, is replaced; of a
 * text too long its end is kept, which tells siblings apart. */
static void text__clean(struct buf *buf, const char *text, size_t len)
{
	if (len > NAME_MAX_BYTES) {
		text += len - NAME_MAX_BYTES;
		len = NAME_MAX_BYTES;
		while (len && ((unsigned char)text[0] & 0xc0) == 0x80) {
			text++;
			len--;
		}
		buf__str(buf, "...");
	}
	while (len) {
		size_t used = utf8__len((const unsigned char *)text, len);

		if (used)
			buf__add(buf, text, used);
		else
			buf__str(buf, REPLACEMENT);
		used = used ? used : 1;
		text += used;
		len -= used;
	}
}

static struct owner *owner__from_text(const char *text, size_t len, const char *kind)
{
	char plain[NAME_MAX_BYTES];
	struct owner *owner = NULL;
	struct buf name;

	buf__init(&name, NAME_MAX_BYTES * strlen(REPLACEMENT) + strlen("..."));
	if (!strcmp(kind, "systemd") && len <= sizeof(plain)) {
		len = text__unescape(text, len, plain);
		text = plain;
	}
	text__clean(&name, text, len);
	if (!name.err)
		owner = owner__new("", name.len ? name.data : "/", kind, "", "");
	buf__free(&name);
	return owner;
}

struct owner *cgroup_path__owner(const char *path)
{
	char container[CONTAINER_SHORT + 1] = "";
	struct component parent, comp, unit;
	struct cgroup_id_parts parts;
	size_t len = strlen(path);

	path__split(path, &parts, &parent, &comp);
	memcpy(container, parts.container, CONTAINER_SHORT);
	if (parts.pod_uid[0])
		return owner__new("", parts.pod_uid, "pod", parts.pod_uid, container);
	if (container[0])
		return owner__new("", container, container__kind(&parent, &comp), "", container);
	unit = path__unit(path);
	if (unit.len)
		return owner__from_text(unit.text, unit.len, "systemd");
	while (len && path[len - 1] == '/')
		len--;
	return owner__from_text(path, len, "cgroup");
}
