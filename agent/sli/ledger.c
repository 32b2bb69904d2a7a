/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ledger.c - owns the cumulative series. An entry is one labelled series: what its retired parts
 * counted (base), and what its parts say in the present reading (live).
 */
#include "sli/ledger.h"

#include <errno.h>
#include <string.h>

struct entry {
	struct entry *next;       /* borrowed: same hash */
	struct owner *owner;      /* owned reference */
	struct slid_series_key key; /* cgroup_id is 0; a port's has only port and role */
	bool is_port;
	uint64_t created_ms;
	unsigned int reading;     /* the last one it had a part in */
	bool has_live;            /* a part that is not retired */
	uint64_t ended_cnt;       /* of a port: its requests that ended, in this reading */
	uint64_t *base;           /* owned; NULL = zeros */
	uint64_t live[];          /* a series: sum_ns, buckets; a port: struct slid_port */
};

struct ledger {
	const struct layout *layout; /* borrowed */
	size_t series_words;         /* of an entry's live[] */
	uint64_t time_ms;      /* of this reading */
	uint64_t time_before_ms;
	unsigned int reading;
	struct entry **sorted; /* owned, with the entries */
	size_t entry_cnt;
	size_t entry_cap;
	bool is_sorted;
	struct entry **slots; /* owned; by hash */
	size_t slot_cnt;      /* a power of two */
};

#define PORT_WORDS (sizeof(struct slid_port) / 8)

int ledger__new(const struct layout *layout, uint64_t started_ms, struct ledger **ret)
{
	CLEAN(ledger__free) struct ledger *ledger = calloc(1, sizeof(*ledger));

	if (!ledger)
		return -ENOMEM;
	ledger->layout = layout;
	ledger->time_ms = started_ms;
	ledger->series_words = 1 + layout->bound_cnt + 1;
	ledger->slot_cnt = 256;
	ledger->slots = calloc(ledger->slot_cnt, sizeof(struct entry *));
	if (!ledger->slots)
		return -ENOMEM;
	*ret = TAKE(ledger);
	return 0;
}

static void entry__free(struct entry *entry)
{
	owner__unref(entry->owner);
	free(entry->base);
	free(entry);
}

void ledger__free(struct ledger *ledger)
{
	if (!ledger)
		return;
	for (size_t i = 0; i < ledger->entry_cnt; i++)
		entry__free(ledger->sorted[i]);
	free(ledger->sorted);
	free(ledger->slots);
	free(ledger);
}

static uint64_t hash_bytes(uint64_t hash, const void *data, size_t len)
{
	const unsigned char *at = data;

	for (size_t i = 0; i < len; i++) /* FNV-1a */
		hash = (hash ^ at[i]) * 0x100000001b3ULL;
	return hash;
}

static uint64_t entry_hash(const struct owner *owner, const struct slid_series_key *key, bool is_port)
{
	uint64_t hash = hash_bytes(0xcbf29ce484222325ULL, key, sizeof(*key));

	hash = hash_bytes(hash, &is_port, sizeof(is_port));
	hash = hash_bytes(hash, owner->namespace_, strlen(owner->namespace_));
	hash = hash_bytes(hash, owner->workload, strlen(owner->workload));
	hash = hash_bytes(hash, owner->pod, strlen(owner->pod));
	return hash_bytes(hash, owner->container, strlen(owner->container));
}

static int ledger__grow(struct ledger *ledger)
{
	size_t cap = ledger->entry_cap ? 2 * ledger->entry_cap : 64;
	struct entry **sorted = reallocarray(ledger->sorted, cap, sizeof(struct entry *));
	struct entry **slots;

	if (!sorted)
		return -ENOMEM;
	ledger->sorted = sorted;
	ledger->entry_cap = cap;
	if (2 * cap <= ledger->slot_cnt)
		return 0;
	slots = calloc(2 * cap, sizeof(struct entry *));
	if (!slots)
		return -ENOMEM;
	free(ledger->slots);
	ledger->slots = slots;
	ledger->slot_cnt = 2 * cap;
	for (size_t i = 0; i < ledger->entry_cnt; i++) {
		struct entry *entry = sorted[i];
		struct entry **slot = &slots[entry_hash(entry->owner, &entry->key, entry->is_port) &
					     (ledger->slot_cnt - 1)];

		entry->next = *slot;
		*slot = entry;
	}
	return 0;
}

/* The entry of these labels, made if it is new and begun anew in each reading. NULL: no memory. */
static struct entry *ledger__entry(struct ledger *ledger, const struct owner *owner,
				   const struct slid_series_key *key, bool is_port)
{
	size_t words = is_port ? PORT_WORDS : ledger->series_words;
	uint64_t hash = entry_hash(owner, key, is_port);
	struct entry *entry = ledger->slots[hash & (ledger->slot_cnt - 1)];

	while (entry && (entry->is_port != is_port || memcmp(&entry->key, key, sizeof(*key)) ||
			 owner__cmp(entry->owner, owner)))
		entry = entry->next;
	if (!entry) {
		struct entry **slot;

		if (ledger->entry_cnt == ledger->entry_cap && ledger__grow(ledger))
			return NULL;
		entry = calloc(1, sizeof(*entry) + 8 * words);
		if (!entry)
			return NULL;
		entry->owner = owner__ref(owner);
		entry->key = *key;
		entry->is_port = is_port;
		entry->created_ms = ledger->time_before_ms;
		slot = &ledger->slots[hash & (ledger->slot_cnt - 1)];
		entry->next = *slot;
		*slot = entry;
		ledger->sorted[ledger->entry_cnt++] = entry;
		ledger->is_sorted = false;
	}
	if (entry->reading != ledger->reading) {
		memset(entry->live, 0, 8 * words);
		entry->reading = ledger->reading;
		entry->has_live = false;
		entry->ended_cnt = 0;
	}
	return entry;
}

void ledger__begin(struct ledger *ledger, uint64_t time_ms)
{
	ledger->time_before_ms = ledger->time_ms < time_ms ? ledger->time_ms : time_ms;
	ledger->time_ms = time_ms;
	ledger->reading++;
}

/* Add words of a part to the entry; to its base if the part will not be read again. */
static int entry__add(struct entry *entry, size_t at, const uint64_t *part, size_t cnt, size_t words,
		      bool retired)
{
	uint64_t *to = entry->live;

	if (retired) {
		if (!entry->base)
			entry->base = calloc(words, 8);
		if (!entry->base)
			return -ENOMEM;
		to = entry->base;
	} else {
		entry->has_live = true;
	}
	for (size_t i = 0; i < cnt; i++)
		to[at + i] += part[i];
	return 0;
}

int ledger__series(struct ledger *ledger, const struct owner *owner,
		   const struct slid_series_key *key, uint64_t sum_ns, const uint64_t *buckets,
		   bool retired)
{
	struct slid_series_key labels = *key;
	struct entry *entry;
	int err;

	labels.cgroup_id = 0;
	entry = ledger__entry(ledger, owner, &labels, false);
	if (!entry)
		return -ENOMEM;
	err = entry__add(entry, 0, &sum_ns, 1, ledger->series_words, retired);
	if (err)
		return err;
	return entry__add(entry, 1, buckets, ledger->series_words - 1, ledger->series_words, retired);
}

int ledger__port(struct ledger *ledger, const struct owner *owner, const struct slid_port_key *key,
		 const struct slid_port *counts, bool retired)
{
	struct slid_series_key labels = { .port = key->port,
					  .role_what = SLID_ROLE_WHAT(key->role, 0) };
	struct entry *entry = ledger__entry(ledger, owner, &labels, true);

	if (!entry)
		return -ENOMEM;
	return entry__add(entry, 0, (const uint64_t *)counts, PORT_WORDS, PORT_WORDS, retired);
}

/* ---- snapshots ------------------------------------------------------------------------------- */

static int cmp_u64(uint64_t a, uint64_t b)
{
	return a < b ? -1 : a > b;
}

/* The order of struct snapshot: series by what, role, owner, port, method, code; then ports. */
static int entry_cmp(const void *pa, const void *pb)
{
	const struct entry *a = *(struct entry *const *)pa, *b = *(struct entry *const *)pb;
	int cmp = (int)a->is_port - (int)b->is_port;

	if (!cmp && !a->is_port)
		cmp = cmp_u64(SLID_WHAT_OF(a->key.role_what), SLID_WHAT_OF(b->key.role_what));
	if (!cmp && !a->is_port)
		cmp = cmp_u64(SLID_ROLE_OF(a->key.role_what), SLID_ROLE_OF(b->key.role_what));
	if (!cmp)
		cmp = owner__cmp(a->owner, b->owner);
	if (!cmp)
		cmp = cmp_u64(a->key.role_what, b->key.role_what);
	if (!cmp)
		cmp = cmp_u64(a->key.port, b->key.port);
	if (!cmp)
		cmp = cmp_u64(a->key.method, b->key.method);
	if (!cmp)
		cmp = cmp_u64(a->key.status, b->key.status);
	if (!cmp)
		cmp = cmp_u64(a->key.error, b->key.error);
	return cmp ? cmp : cmp_u64(a->key.route, b->key.route);
}

/* Forget entries that had no part that lives on in the reading before this one. */
static void ledger__sweep(struct ledger *ledger)
{
	size_t cnt = 0;

	for (size_t i = 0; i < ledger->entry_cnt; i++) {
		struct entry *entry = ledger->sorted[i], **slot;

		if (entry->reading == ledger->reading && entry->has_live) {
			ledger->sorted[cnt++] = entry;
			continue;
		}
		slot = &ledger->slots[entry_hash(entry->owner, &entry->key, entry->is_port) &
				      (ledger->slot_cnt - 1)];
		while (*slot != entry)
			slot = &(*slot)->next;
		*slot = entry->next;
		entry__free(entry);
	}
	ledger->entry_cnt = cnt;
}

static uint64_t entry_word(const struct entry *entry, size_t i)
{
	return entry->live[i] + (entry->base ? entry->base[i] : 0);
}

/* Requests that ended belong to a port's in-flight reckoning. */
static void ledger__count_ended(struct ledger *ledger, const struct entry *series, uint64_t cnt)
{
	struct slid_series_key labels = {
		.port = series->key.port,
		.role_what = SLID_ROLE_WHAT(SLID_ROLE_OF(series->key.role_what), 0),
	};
	struct entry *entry;

	if (SLID_WHAT_OF(series->key.role_what) != SLID_WHAT_REQUEST)
		return;
	entry = ledger->slots[entry_hash(series->owner, &labels, true) & (ledger->slot_cnt - 1)];
	while (entry && (!entry->is_port || memcmp(&entry->key, &labels, sizeof(labels)) ||
			 owner__cmp(entry->owner, series->owner)))
		entry = entry->next;
	if (entry)
		entry->ended_cnt += cnt;
}

static void snapshot__add_series(struct snapshot *snapshot, struct ledger *ledger,
				 const struct entry *entry)
{
	size_t bucket_cnt = ledger->series_words - 1;
	uint64_t *buckets = snapshot->bucket_pool + snapshot->series_cnt * bucket_cnt;
	struct snapshot_series *series = &snapshot->series[snapshot->series_cnt++];

	series->owner = owner__ref(entry->owner);
	series->key = entry->key;
	series->created_ms = entry->created_ms;
	series->sum_ns = entry_word(entry, 0);
	series->buckets = buckets;
	for (size_t i = 0; i < bucket_cnt; i++) {
		buckets[i] = entry_word(entry, 1 + i);
		series->count += buckets[i];
	}
	ledger__count_ended(ledger, entry, series->count);
}

static void snapshot__add_port(struct snapshot *snapshot, const struct entry *entry)
{
	struct snapshot_port *port = &snapshot->ports[snapshot->port_cnt++];
	uint64_t *to = (uint64_t *)&port->counts;
	uint64_t ended;

	port->owner = owner__ref(entry->owner);
	port->key.port = entry->key.port;
	port->key.role = SLID_ROLE_OF(entry->key.role_what);
	port->created_ms = entry->created_ms;
	for (size_t i = 0; i < PORT_WORDS; i++)
		to[i] = entry_word(entry, i);
	ended = entry->ended_cnt + port->counts.requests_lost;
	port->in_flight =
		port->counts.requests_started > ended ? port->counts.requests_started - ended : 0;
}

int ledger__snapshot(struct ledger *ledger, struct snapshot **ret)
{
	CLEAN(snapshot__unref) struct snapshot *snapshot = calloc(1, sizeof(*snapshot));
	size_t series_cnt = 0;

	if (!snapshot)
		return -ENOMEM;
	snapshot->ref_cnt = 1;
	if (!ledger->is_sorted && ledger->entry_cnt)
		qsort(ledger->sorted, ledger->entry_cnt, sizeof(struct entry *), entry_cmp);
	ledger->is_sorted = true;
	for (size_t i = 0; i < ledger->entry_cnt; i++)
		series_cnt += !ledger->sorted[i]->is_port;
	snapshot->layout = ledger->layout;
	snapshot->time_ms = ledger->time_ms;
	snapshot->series = calloc(series_cnt + 1, sizeof(*snapshot->series));
	snapshot->ports = calloc(ledger->entry_cnt - series_cnt + 1, sizeof(*snapshot->ports));
	snapshot->bucket_pool = calloc(series_cnt * (ledger->series_words - 1) + 1, 8);
	if (!snapshot->series || !snapshot->ports || !snapshot->bucket_pool)
		return -ENOMEM;
	for (size_t i = 0; i < ledger->entry_cnt; i++) { /* series come before ports */
		const struct entry *entry = ledger->sorted[i];

		if (entry->reading != ledger->reading)
			continue;
		if (entry->is_port)
			snapshot__add_port(snapshot, entry);
		else
			snapshot__add_series(snapshot, ledger, entry);
	}
	ledger__sweep(ledger);
	*ret = TAKE(snapshot);
	return 0;
}
