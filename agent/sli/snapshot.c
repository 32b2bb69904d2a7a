/* SPDX-License-Identifier: Apache-2.0 */
/* snapshot.c - owns the lifetime of owners and snapshots, and the words for the wire's numbers;
 * does no I/O. A snapshot holds one reference for each owner pointer in series[] and ports[]. */
#include "sli/snapshot.h"

#include <stdlib.h>
#include <string.h>

static char *owner__copy(const char *text)
{
	return strdup(text ? text : "");
}

static void owner__free(struct owner *owner)
{
	free(owner->namespace_);
	free(owner->workload);
	free(owner->workload_kind);
	free(owner->pod);
	free(owner->container);
	free(owner);
}

struct owner *owner__new(const char *namespace_, const char *workload, const char *workload_kind,
			 const char *pod, const char *container)
{
	struct owner *owner = calloc(1, sizeof(*owner));

	if (!owner)
		return NULL;
	owner->ref_cnt = 1;
	owner->namespace_ = owner__copy(namespace_);
	owner->workload = owner__copy(workload);
	owner->workload_kind = owner__copy(workload_kind);
	owner->pod = owner__copy(pod);
	owner->container = owner__copy(container);
	if (!owner->namespace_ || !owner->workload || !owner->workload_kind || !owner->pod ||
	    !owner->container) {
		owner__free(owner);
		return NULL;
	}
	return owner;
}

struct owner *owner__ref(const struct owner *owner)
{
	struct owner *shared = (struct owner *)owner; /* the count is not part of its value */

	if (shared)
		__atomic_add_fetch(&shared->ref_cnt, 1, __ATOMIC_RELAXED);
	return shared;
}

void owner__unref(struct owner *owner)
{
	if (owner && !__atomic_sub_fetch(&owner->ref_cnt, 1, __ATOMIC_ACQ_REL))
		owner__free(owner);
}

int owner__cmp(const struct owner *a, const struct owner *b)
{
	int order;

	if (a == b)
		return 0;
	order = strcmp(a->namespace_, b->namespace_);
	if (!order)
		order = strcmp(a->workload, b->workload);
	if (!order)
		order = strcmp(a->workload_kind, b->workload_kind);
	if (!order)
		order = strcmp(a->pod, b->pod);
	if (!order)
		order = strcmp(a->container, b->container);
	return order;
}

struct snapshot *snapshot__ref(struct snapshot *snapshot)
{
	if (snapshot)
		__atomic_add_fetch(&snapshot->ref_cnt, 1, __ATOMIC_RELAXED);
	return snapshot;
}

void snapshot__unref(struct snapshot *snapshot)
{
	if (!snapshot || __atomic_sub_fetch(&snapshot->ref_cnt, 1, __ATOMIC_ACQ_REL))
		return;
	for (size_t i = 0; i < snapshot->series_cnt; i++)
		owner__unref((struct owner *)snapshot->series[i].owner);
	for (size_t i = 0; i < snapshot->port_cnt; i++)
		owner__unref((struct owner *)snapshot->ports[i].owner);
	free(snapshot->series);
	free(snapshot->ports);
	free(snapshot->bucket_pool);
	free(snapshot);
}

const char *slid_method_name(unsigned int method)
{
	static const char *const names[SLID_METHOD_CNT] = {
		[SLID_METHOD_OTHER] = "_OTHER",	   [SLID_METHOD_GET] = "GET",
		[SLID_METHOD_HEAD] = "HEAD",	   [SLID_METHOD_POST] = "POST",
		[SLID_METHOD_PUT] = "PUT",	   [SLID_METHOD_DELETE] = "DELETE",
		[SLID_METHOD_CONNECT] = "CONNECT", [SLID_METHOD_OPTIONS] = "OPTIONS",
		[SLID_METHOD_TRACE] = "TRACE",	   [SLID_METHOD_PATCH] = "PATCH",
	};

	return names[method < SLID_METHOD_CNT ? method : SLID_METHOD_OTHER];
}

const char *slid_error_name(unsigned int error)
{
	static const char *const names[SLID_ERROR_CNT] = {
		[SLID_ERROR_NONE] = "",
		[SLID_ERROR_NO_RESPONSE] = "no_response",
		[SLID_ERROR_CLIENT_CLOSED] = "client_closed",
		[SLID_ERROR_TRUNCATED] = "truncated",
	};

	return error < SLID_ERROR_CNT ? names[error] : "unknown";
}

const char *slid_proto_name(unsigned int proto)
{
	static const char *const names[SLID_PROTO_CNT] = {
		[SLID_PROTO_NONE] = "none", [SLID_PROTO_HTTP1] = "http1", [SLID_PROTO_H2] = "h2",
		[SLID_PROTO_TLS] = "tls",   [SLID_PROTO_OTHER] = "other",
	};

	return proto < SLID_PROTO_CNT ? names[proto] : "unknown";
}

const char *slid_connect_name(unsigned int result)
{
	static const char *const names[SLID_CONNECT_CNT] = {
		[SLID_CONNECT_OK] = "established",	[SLID_CONNECT_REFUSED] = "refused",
		[SLID_CONNECT_TIMED_OUT] = "timed_out", [SLID_CONNECT_RESET] = "reset",
		[SLID_CONNECT_ABORTED] = "aborted",
	};

	return result < SLID_CONNECT_CNT ? names[result] : "unknown";
}

const char *slid_drop_name(unsigned int reason)
{
	static const char *const names[SLID_DROP_CNT] = {
		[SLID_DROP_SERIES_FULL] = "series_full",
		[SLID_DROP_PORTS_FULL] = "ports_full",
		[SLID_DROP_CONN_ALLOC] = "conn_alloc",
		[SLID_DROP_PIPELINE_FULL] = "pipeline_full",
		[SLID_DROP_PARSE_REQUEST] = "parse_request",
		[SLID_DROP_PARSE_RESPONSE] = "parse_response",
		[SLID_DROP_GAP] = "gap",
		[SLID_DROP_RESPONSE_LOST] = "response_lost",
		[SLID_DROP_UNMATCHED] = "unmatched",
		[SLID_DROP_SEGMENT_LIMIT] = "segment_limit",
		[SLID_DROP_READ] = "read",
	};

	return reason < SLID_DROP_CNT ? names[reason] : "unknown";
}
