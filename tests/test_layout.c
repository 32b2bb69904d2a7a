/* SPDX-License-Identifier: Apache-2.0 */
/* test_layout.c - every duration in its bucket, every bound exact. */
#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "sli/layout.h"
#include "sli/snapshot.h"

static uint64_t test_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

static size_t brute_bucket(const struct layout *layout, uint64_t dur_ns)
{
	size_t idx = 0;

	while (idx < layout->bound_cnt && layout->bounds[idx].ns < dur_ns)
		idx++;
	return idx;
}

static void check_against_brute(const struct layout *layout)
{
	uint64_t state = 88172645463325252ull;

	for (uint64_t dur_ns = 0; dur_ns < 20000; dur_ns++)
		assert_int_equal(layout__bucket(layout, dur_ns), brute_bucket(layout, dur_ns));
	for (int i = 0; i < 300000; i++) {
		uint64_t dur_ns = test_random(&state) >> (test_random(&state) % 64);

		assert_int_equal(layout__bucket(layout, dur_ns), brute_bucket(layout, dur_ns));
	}
	for (size_t i = 0; i < layout->bound_cnt; i++) {
		uint64_t ns = layout->bounds[i].ns;

		assert_int_equal(layout__bucket(layout, ns), i);
		assert_int_equal(layout__bucket(layout, ns + 1), i + 1);
		assert_int_equal(layout__bucket(layout, ns - 1), brute_bucket(layout, ns - 1));
	}
	assert_int_equal(layout__bucket(layout, UINT64_MAX), layout->bound_cnt);
	assert_int_equal(layout__bucket(layout, 0), 0);
}

static const struct layout_bound *find_ns(const struct layout *layout, uint64_t ns)
{
	for (size_t i = 0; i < layout->bound_cnt; i++)
		if (layout->bounds[i].ns == ns)
			return &layout->bounds[i];
	return NULL;
}

static void layout_bounds_are_the_sorted_union(void **state)
{
	struct layout layout;
	const struct layout_bound *bound;
	size_t exp_cnt = 0, classic_cnt = 0;

	(void)state;
	assert_int_equal(layout__init(&layout, NULL, 0), 0);
	for (size_t i = 0; i < layout.bound_cnt; i++) {
		exp_cnt += layout.bounds[i].is_exp;
		classic_cnt += layout.bounds[i].is_classic;
		if (i)
			assert_true(layout.bounds[i].ns > layout.bounds[i - 1].ns);
	}
	assert_int_equal(exp_cnt, LAYOUT_EXP_MAX - LAYOUT_EXP_MIN + 1);
	assert_int_equal(classic_cnt, layout_classic_cnt);
	/* 0.25, 0.5 and 1 are both. */
	assert_int_equal(layout.bound_cnt, exp_cnt + classic_cnt - 3);
	bound = find_ns(&layout, 250000000);
	assert_non_null(bound);
	assert_true(bound->is_exp && bound->is_classic);
	assert_int_equal(bound->exp_index, -16);
	assert_int_equal(layout.bounds[0].ns, 7629); /* 2^-17 s = 7629.39 ns */
	assert_true(layout.bounds[0].seconds == 1.0 / 131072);
	assert_int_equal(layout.bounds[layout.bound_cnt - 1].ns, 512000000000);
	for (size_t i = 0; i < layout_classic_cnt; i++) {
		bound = find_ns(&layout, (uint64_t)llround(layout_classic_s[i] * 1e9));
		assert_non_null(bound);
		assert_true(bound->is_classic && bound->seconds == layout_classic_s[i]);
	}
}

static void layout_exponential_bounds_match_the_power(void **state)
{
	struct layout layout;

	(void)state;
	assert_int_equal(layout__init(&layout, NULL, 0), 0);
	for (size_t i = 0; i < layout.bound_cnt; i++) {
		const struct layout_bound *bound = &layout.bounds[i];
		long double exact;

		if (!bound->is_exp)
			continue;
		exact = exp2l((long double)bound->exp_index / 8) * 1000000000.0L;
		assert_true((long double)bound->ns <= exact && exact < (long double)bound->ns + 1);
		assert_true(fabs(bound->seconds - exp2(bound->exp_index / 8.0)) <=
			    bound->seconds * 1e-15);
	}
}

static void layout_bucket_agrees_with_brute_force(void **state)
{
	struct layout layout;

	(void)state;
	assert_int_equal(layout__init(&layout, NULL, 0), 0);
	check_against_brute(&layout);
}

static void layout_extra_bounds_are_exact(void **state)
{
	static const double extra[] = {0.3, 0.1, 0.000000001, 0.000000003, 0.0000015,	0.1234567,
				       512, 0.3, 1,	      42.5,	   0.0000000015};
	struct layout layout, plain;

	(void)state;
	assert_int_equal(layout__init(&plain, NULL, 0), 0);
	assert_int_equal(layout__init(&layout, extra, sizeof(extra) / sizeof(extra[0])), 0);
	/* 0.1 and 1 are there, 512 is exponential, 0.3 is given twice, 1.5 ns is 1 ns. */
	assert_int_equal(layout.bound_cnt, plain.bound_cnt + 6);
	assert_true(find_ns(&layout, 300000000)->is_classic);
	assert_true(find_ns(&layout, 300000000)->seconds == 0.3);
	assert_true(find_ns(&layout, 512000000000)->is_classic);
	assert_true(find_ns(&layout, 123456700)->is_classic);
	assert_int_equal(layout.bounds[0].ns, 1);
	check_against_brute(&layout);
}

static void layout_init_refuses_bad_bounds(void **state)
{
	static const double bad[] = {0, -1, 512.1, INFINITY, NAN, 1e-10};
	double close[SLID_CELL_STEPS + 1], many[SLID_BUCKETS_MAX];
	struct layout layout;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(layout__init(&layout, &bad[i], 1), -ERANGE);
	for (size_t i = 0; i < SLID_CELL_STEPS + 1; i++)
		close[i] = 0.3 + (double)i * 1e-6;
	assert_int_equal(layout__init(&layout, close, SLID_CELL_STEPS + 1), -E2BIG);
	for (size_t i = 0; i < SLID_BUCKETS_MAX; i++)
		many[i] = 1e-5 * pow(1.04, (double)i);
	assert_int_equal(layout__init(&layout, many, 300), -E2BIG);
	assert_int_equal(layout__init(&layout, many, 200), 0);
	check_against_brute(&layout);
}

static void layout_most_bounds_one_cell_takes(void **state)
{
	/* 0.3 s lies in the cell 285.2 ms .. 302.0 ms, as does 2^(-14/8) s = 297.3 ms. */
	double close[SLID_CELL_STEPS - 1];
	struct layout layout;

	(void)state;
	for (size_t i = 0; i < SLID_CELL_STEPS - 1; i++)
		close[i] = 0.3 + (double)i * 1e-9;
	assert_int_equal(layout__init(&layout, close, SLID_CELL_STEPS - 1), 0);
	check_against_brute(&layout);
}

static void layout_quantile_of_known_counts(void **state)
{
	uint64_t buckets[SLID_BUCKETS_MAX] = {0};
	struct layout layout;
	size_t idx;
	double from, to;

	(void)state;
	assert_int_equal(layout__init(&layout, NULL, 0), 0);
	assert_true(isnan(layout__quantile(&layout, buckets, 0.5)));
	idx = layout__bucket(&layout, 100000000);
	from = layout.bounds[idx - 1].seconds;
	to = layout.bounds[idx].seconds;
	buckets[idx] = 100;
	assert_true(fabs(layout__quantile(&layout, buckets, 0.5) - (from + to) / 2) < 1e-12);
	assert_true(fabs(layout__quantile(&layout, buckets, 1) - to) < 1e-12);
	assert_true(fabs(layout__quantile(&layout, buckets, 0) - from) < 1e-12);
	buckets[layout.bound_cnt] = 100;
	assert_true(layout__quantile(&layout, buckets, 0.99) == 512);
	assert_true(fabs(layout__quantile(&layout, buckets, 0.5) - to) < 1e-12);
	memset(buckets, 0, sizeof(buckets));
	buckets[0] = 4;
	assert_true(fabs(layout__quantile(&layout, buckets, 0.5) - 1.0 / 262144) < 1e-15);
}

static void layout_quantile_is_near_the_sample(void **state)
{
	uint64_t buckets[SLID_BUCKETS_MAX] = {0};
	struct layout layout;

	(void)state;
	assert_int_equal(layout__init(&layout, NULL, 0), 0);
	for (uint64_t i = 1; i <= 100000; i++)
		buckets[layout__bucket(&layout, i * 10000)]++; /* even over 0 .. 1 s */
	for (int percent = 1; percent < 100; percent++) {
		double want = percent / 100.0;

		assert_true(fabs(layout__quantile(&layout, buckets, want) - want) < want * 0.002);
	}
}

static void owner_counts_references(void **state)
{
	struct owner *a = owner__new("shop", "api", "Deployment", NULL, "web");
	struct owner *b = owner__new("shop", "api", "Deployment", "", "web");
	struct owner *c = owner__new("shop", "api", "Deployment", "api-1", "web");

	(void)state;
	assert_non_null(a);
	assert_string_equal(a->pod, "");
	assert_int_equal(owner__cmp(a, b), 0);
	assert_true(owner__cmp(a, c) < 0 && owner__cmp(c, a) > 0);
	assert_ptr_equal(owner__ref(a), a);
	owner__unref(a);
	assert_string_equal(a->workload, "api");
	owner__unref(a);
	owner__unref(b);
	owner__unref(c);
	owner__unref(NULL);
}

static void snapshot_frees_with_the_last_reference(void **state)
{
	struct snapshot *snapshot = calloc(1, sizeof(*snapshot));
	struct owner *owner = owner__new("", "api", "systemd", "", "");

	(void)state;
	assert_non_null(snapshot);
	snapshot->ref_cnt = 1;
	snapshot->series = calloc(2, sizeof(*snapshot->series));
	snapshot->ports = calloc(1, sizeof(*snapshot->ports));
	snapshot->bucket_pool = calloc(10, sizeof(uint64_t));
	snapshot->series_cnt = 2;
	snapshot->port_cnt = 1;
	snapshot->series[0].owner = owner__ref(owner);
	snapshot->series[1].owner = owner__ref(owner);
	snapshot->ports[0].owner = owner;
	assert_ptr_equal(snapshot__ref(snapshot), snapshot);
	snapshot__unref(snapshot);
	assert_string_equal(snapshot->ports[0].owner->workload, "api");
	snapshot__unref(snapshot);
	snapshot__unref(NULL);
}

static void names_are_complete(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < SLID_METHOD_CNT; i++)
		assert_non_null(slid_method_name(i));
	for (unsigned int i = 0; i < SLID_ERROR_CNT; i++)
		assert_non_null(slid_error_name(i));
	for (unsigned int i = 0; i < SLID_PROTO_CNT; i++)
		assert_non_null(slid_proto_name(i));
	for (unsigned int i = 0; i < SLID_CONNECT_CNT; i++)
		assert_non_null(slid_connect_name(i));
	for (unsigned int i = 0; i < SLID_DROP_CNT; i++)
		assert_non_null(slid_drop_name(i));
	assert_string_equal(slid_method_name(SLID_METHOD_PATCH), "PATCH");
	assert_string_equal(slid_method_name(200), "_OTHER");
	assert_string_equal(slid_error_name(SLID_ERROR_NONE), "");
	assert_string_equal(slid_connect_name(SLID_CONNECT_OK), "established");
	assert_string_equal(slid_drop_name(SLID_DROP_CNT), "unknown");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(layout_bounds_are_the_sorted_union),
		cmocka_unit_test(layout_exponential_bounds_match_the_power),
		cmocka_unit_test(layout_bucket_agrees_with_brute_force),
		cmocka_unit_test(layout_extra_bounds_are_exact),
		cmocka_unit_test(layout_init_refuses_bad_bounds),
		cmocka_unit_test(layout_most_bounds_one_cell_takes),
		cmocka_unit_test(layout_quantile_of_known_counts),
		cmocka_unit_test(layout_quantile_is_near_the_sample),
		cmocka_unit_test(owner_counts_references),
		cmocka_unit_test(snapshot_frees_with_the_last_reference),
		cmocka_unit_test(names_are_complete),
	};

	return cmocka_run_group_tests_name("layout", tests, NULL, NULL);
}
