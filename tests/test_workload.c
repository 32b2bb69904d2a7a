/* SPDX-License-Identifier: Apache-2.0 */
/* test_workload.c - a cgroup tree of our own, as it grows and shrinks. Skipped without one. */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "workload/scope.h"
#include "workload/workload.h"

#define SKIPPED 77
#define BURST	500

/* The tree: one cgroup below the root, named for this process; removed with all below it. */
struct tree {
	char *root;
	char path[512];
};

static struct tree tree;

static void tree__path(char *out, size_t cap, const char *name)
{
	int len = snprintf(out, cap, "%s%s%s", tree.path, *name ? "/" : "", name);

	assert_true(len > 0 && (size_t)len < cap);
}

static uint64_t tree__mkdir(const char *name)
{
	char path[1024];
	struct stat st;

	tree__path(path, sizeof(path), name);
	assert_int_equal(mkdir(path, 0755), 0);
	assert_int_equal(stat(path, &st), 0);
	return st.st_ino;
}

static void tree__rmdir(const char *name)
{
	char path[1024];

	tree__path(path, sizeof(path), name);
	assert_int_equal(rmdir(path), 0);
}

/* A cgroup's directory is removed by rmdir alone, its files go with it. */
static int tree__remove(const char *path, const struct stat *st, int type, struct FTW *at)
{
	(void)st;
	(void)at;
	if (type == FTW_DP)
		rmdir(path);
	return 0;
}

static int tree__setup(void **state)
{
	(void)state;
	return mkdir(tree.path, 0755);
}

static int tree__teardown(void **state)
{
	(void)state;
	nftw(tree.path, tree__remove, 16, FTW_DEPTH | FTW_PHYS);
	return access(tree.path, F_OK) ? 0 : -1;
}

static struct workloads *open_tree(void)
{
	const char *scope = tree.path;
	struct workloads *workloads = NULL;

	assert_int_equal(workloads__open(tree.root, &scope, 1, &workloads), 0);
	return workloads;
}

static void check_workload(struct workloads *workloads, uint64_t id, const char *suffix,
			   bool want_gone)
{
	const struct owner *owner;
	bool gone = !want_gone;

	owner = workloads__find(workloads, id, &gone);
	assert_string_equal(owner->workload_kind, "cgroup");
	assert_memory_equal(owner->workload, tree.path + strlen(tree.root),
			    strlen(tree.path + strlen(tree.root)));
	assert_string_equal(owner->workload + strlen(tree.path + strlen(tree.root)), suffix);
	assert_int_equal(gone, want_gone);
}

static void workload_knows_the_scope_and_below(void **state)
{
	struct workloads *workloads;
	uint64_t a, ab, abc;
	struct stat st;

	(void)state;
	a = tree__mkdir("a");
	ab = tree__mkdir("a/b");
	abc = tree__mkdir("a/b/nginx.service");
	workloads = open_tree();
	assert_int_equal(stat(tree.path, &st), 0);
	check_workload(workloads, st.st_ino, "", false);
	check_workload(workloads, a, "/a", false);
	check_workload(workloads, ab, "/a/b", false);
	assert_string_equal(workloads__find(workloads, abc, NULL)->workload, "nginx");
	assert_string_equal(workloads__find(workloads, abc, NULL)->workload_kind, "systemd");
	assert_int_equal(workloads__cnt(workloads), 4);
	workloads__free(workloads);
}

static void workload_follows_new_and_removed(void **state)
{
	struct workloads *workloads = open_tree();
	uint64_t a, ab, again;
	bool gone;

	(void)state;
	assert_int_equal(workloads__cnt(workloads), 1);
	a = tree__mkdir("a");
	ab = tree__mkdir("a/b");
	assert_int_equal(workloads__refresh(workloads), 0);
	assert_int_equal(workloads__cnt(workloads), 3);
	check_workload(workloads, ab, "/a/b", false);
	tree__rmdir("a/b");
	assert_int_equal(workloads__refresh(workloads), 0);
	check_workload(workloads, ab, "/a/b", true);
	check_workload(workloads, a, "/a", false);
	/* The same name is another cgroup. */
	again = tree__mkdir("a/b");
	assert_true(again != ab);
	assert_int_equal(workloads__refresh(workloads), 0);
	check_workload(workloads, ab, "/a/b", true);
	check_workload(workloads, again, "/a/b", false);
	assert_int_equal(workloads__cnt(workloads), 3);
	workloads__forget(workloads, ab);
	assert_string_equal(workloads__find(workloads, ab, &gone)->workload, "unresolved");
	assert_true(gone);
	/* One that is there is not forgotten. */
	workloads__forget(workloads, again);
	check_workload(workloads, again, "/a/b", false);
	workloads__forget(workloads, 12345);
	workloads__free(workloads);
}

static void workload_made_anew_between_two_refreshes(void **state)
{
	struct workloads *workloads = open_tree();
	uint64_t first, last = 0;

	(void)state;
	first = tree__mkdir("a");
	assert_int_equal(workloads__refresh(workloads), 0);
	for (int i = 0; i < 5; i++) {
		tree__rmdir("a");
		last = tree__mkdir("a");
		tree__mkdir("a/x");
		if (i < 4)
			tree__rmdir("a/x");
	}
	assert_int_equal(workloads__refresh(workloads), 0);
	check_workload(workloads, first, "/a", true);
	check_workload(workloads, last, "/a", false);
	assert_int_equal(workloads__cnt(workloads), 3);
	/* The watch on the new one works. */
	tree__rmdir("a/x");
	assert_int_equal(workloads__refresh(workloads), 0);
	assert_int_equal(workloads__cnt(workloads), 2);
	workloads__free(workloads);
}

static void workload_burst_of_cgroups(void **state)
{
	struct workloads *workloads = open_tree();
	uint64_t ids[BURST];
	char name[64];

	(void)state;
	for (int i = 0; i < BURST; i++) {
		snprintf(name, sizeof(name), "w%d", i);
		ids[i] = tree__mkdir(name);
	}
	assert_int_equal(workloads__refresh(workloads), 0);
	assert_int_equal(workloads__cnt(workloads), BURST + 1);
	for (int i = 0; i < BURST; i++) {
		snprintf(name, sizeof(name), "/w%d", i);
		check_workload(workloads, ids[i], name, false);
	}
	for (int i = 0; i < BURST; i++) {
		snprintf(name, sizeof(name), "w%d", i);
		tree__rmdir(name);
	}
	assert_int_equal(workloads__refresh(workloads), 0);
	assert_int_equal(workloads__cnt(workloads), 1);
	check_workload(workloads, ids[7], "/w7", true);
	for (int i = 0; i < BURST; i++)
		workloads__forget(workloads, ids[i]);
	assert_string_equal(workloads__find(workloads, ids[7], NULL)->workload, "unresolved");
	workloads__free(workloads);
}

static void workload_gone_and_never_asked_is_bounded(void **state)
{
	struct workloads *workloads = open_tree();
	uint64_t first = 0, id = 0, asked = tree__mkdir("asked");
	char name[64];

	(void)state;
	check_workload(workloads, asked, "/asked", false);
	tree__rmdir("asked");
	for (int i = 0; i < 5000; i++) {
		snprintf(name, sizeof(name), "w%d", i);
		id = tree__mkdir(name);
		first = first ? first : id;
		if (i % 500 == 499) {
			assert_int_equal(workloads__refresh(workloads), 0);
			for (int k = i - 499; k <= i; k++) {
				snprintf(name, sizeof(name), "w%d", k);
				tree__rmdir(name);
			}
			assert_int_equal(workloads__refresh(workloads), 0);
		}
	}
	assert_int_equal(workloads__cnt(workloads), 1);
	check_workload(workloads, asked, "/asked", true);
	check_workload(workloads, id, "/w4999", true);
	assert_string_equal(workloads__find(workloads, first, NULL)->workload, "unresolved");
	workloads__free(workloads);
}

static void workload_unknown_id_is_looked_for_once(void **state)
{
	struct workloads *workloads = open_tree();
	uint64_t first, second;
	bool gone;

	(void)state;
	first = tree__mkdir("a");
	check_workload(workloads, first, "/a", false); /* found by reading again */
	second = tree__mkdir("b");
	assert_string_equal(workloads__find(workloads, second, &gone)->workload, "unresolved");
	assert_true(gone);
	assert_int_equal(workloads__refresh(workloads), 0);
	check_workload(workloads, second, "/b", false);
	workloads__free(workloads);
}

static void workload_scope_removed_and_made_anew(void **state)
{
	struct workloads *workloads;
	const char *scope;
	uint64_t old, new, child;
	char path[1024];

	(void)state;
	old = tree__mkdir("scope");
	tree__path(path, sizeof(path), "scope");
	scope = path;
	assert_int_equal(workloads__open(tree.root, &scope, 1, &workloads), 0);
	tree__rmdir("scope");
	assert_int_equal(workloads__refresh(workloads), 0);
	assert_int_equal(workloads__cnt(workloads), 0);
	check_workload(workloads, old, "/scope", true);
	new = tree__mkdir("scope");
	child = tree__mkdir("scope/x");
	assert_int_equal(workloads__refresh(workloads), 0);
	check_workload(workloads, new, "/scope", false);
	check_workload(workloads, child, "/scope/x", false);
	assert_int_equal(workloads__cnt(workloads), 2);
	workloads__free(workloads);
}

static void workload_open_refuses_bad_scopes(void **state)
{
	struct workloads *workloads = NULL;
	const char *scope = "/sys/nothing/here";

	(void)state;
	assert_int_equal(workloads__open(tree.root, &scope, 1, &workloads), -ENOENT);
	scope = "/proc";
	assert_int_equal(workloads__open(tree.root, &scope, 1, &workloads), -EXDEV);
	assert_int_equal(workloads__open("/nothing", &scope, 1, &workloads), -ENOENT);
	assert_null(workloads);
	workloads__free(NULL);
}

static int count_candidate(const char *path, const char *what, void *ctx)
{
	int *cnt = ctx;

	assert_true(path[0] == '/' && what[0]);
	(*cnt)++;
	return *cnt == 3 ? 42 : 0;
}

static void scope_check_wants_a_cgroup_directory(void **state)
{
	char path[1024], dotted[1100], *real = NULL;

	(void)state;
	tree__mkdir("web");
	tree__path(path, sizeof(path), "web");
	snprintf(dotted, sizeof(dotted), "%s/../web/.", path);
	assert_int_equal(scope__check(tree.root, dotted, &real), 0);
	assert_string_equal(real, path);
	free(real);
	real = NULL;
	snprintf(dotted, sizeof(dotted), "%s/cgroup.procs", path);
	assert_int_equal(scope__check(tree.root, dotted, &real), -ENOTDIR);
	assert_int_equal(scope__check(tree.root, "/proc/self/none", &real), -ENOENT);
	assert_int_equal(scope__check(tree.root, "/tmp", &real), -EXDEV);
	assert_int_equal(scope__check(path, tree.path, &real), -EXDEV);
	assert_null(real);
}

static void scope_default_finds_the_pods(void **state)
{
	char *found = NULL, want[1024];

	(void)state;
	assert_int_equal(scope__default(tree.path, &found), -ENOENT);
	tree__mkdir("a");
	tree__mkdir("a/b");
	tree__mkdir("a/b/c");
	tree__mkdir("a/b/c/kubepods"); /* too deep */
	assert_int_equal(scope__default(tree.path, &found), -ENOENT);
	tree__mkdir("kubelet.slice");
	tree__mkdir("kubelet.slice/kubelet-kubepods.slice");
	assert_int_equal(scope__default(tree.path, &found), 0);
	tree__path(want, sizeof(want), "kubelet.slice/kubelet-kubepods.slice");
	assert_string_equal(found, want);
	free(found);
	tree__mkdir("kubepods.slice");
	assert_int_equal(scope__default(tree.path, &found), 0);
	tree__path(want, sizeof(want), "kubepods.slice");
	assert_string_equal(found, want);
	free(found);
}

static void scope_candidates_have_processes(void **state)
{
	char path[1024];
	int cnt = 0;
	pid_t pid;
	FILE *procs;

	(void)state;
	tree__mkdir("x");
	tree__mkdir("x/nginx.service");
	tree__mkdir("empty");
	assert_int_equal(scope__candidates(tree.path, count_candidate, &cnt), 0);
	assert_int_equal(cnt, 0);
	pid = fork();
	if (!pid) {
		pause();
		_exit(0);
	}
	tree__path(path, sizeof(path), "x/nginx.service/cgroup.procs");
	procs = fopen(path, "we");
	assert_non_null(procs);
	fprintf(procs, "%d\n", (int)pid);
	fclose(procs);
	assert_int_equal(scope__candidates(tree.path, count_candidate, &cnt), 0);
	cnt += scope__candidates(tree.path, count_candidate, &cnt) == 42 ? 100 : 0;
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	assert_int_equal(cnt, 103);
}

static void scope_root_reads_mountinfo(void **state)
{
	static const char *const cases[][2] = {
		{"22 1 0:1 / /proc rw - proc proc rw\n", NULL},
		{"31 23 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n",
		 "/sys/fs/cgroup/unified"},
		{"31 23 0:38 / /a\\040b\\134 rw shared:1 master:2 - cgroup2 none rw\n", "/a b\\"},
		{"1 2 0:3 / /own rw - cgroup2 c rw\n1 2 0:3 /../../.. /host rw - cgroup2 c rw\n",
		 "/host"},
		{"1 2 0:3 /kubepods/x /own rw - cgroup2 c rw\n1 2 0:3 / /host rw - cgroup2 c rw\n",
		 "/host"},
		{"1 2 0:3 / /first rw - cgroup2 c rw\n1 2 0:3 / /second rw - cgroup2 c rw\n",
		 "/first"},
		{"cgroup2\n - cgroup2\n1 2 3 - cgroup2\n\n-\n", NULL},
		{"1 2 0:3 / /cgroup2 rw - ext4 cgroup2 rw", NULL},
	};
	char path[] = "/tmp/slid-test-mountinfo-XXXXXX";
	int fd = mkstemp(path);

	(void)state;
	assert_true(fd >= 0);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char *root = NULL;

		assert_int_equal(ftruncate(fd, 0), 0);
		assert_true(pwrite(fd, cases[i][0], strlen(cases[i][0]), 0) > 0);
		assert_int_equal(scope__root(path, &root), cases[i][1] ? 0 : -ENOENT);
		if (cases[i][1])
			assert_string_equal(root, cases[i][1]);
		free(root);
	}
	close(fd);
	unlink(path);
}

static void scope_nested_is_counted_twice(void **state)
{
	static const char *const apart[] = {"/c/a", "/c/ab", "/c/b/a"};
	static const char *const inside[] = {"/c/a/x", "/c/b", "/c/a"};
	static const char *const twice[] = {"/c/a", "/c/a"};
	static const char *const all[] = {"/c/a", "/"};
	size_t outer, inner;

	(void)state;
	assert_int_equal(scope__nested(apart, 3, &outer, &inner), 0);
	assert_int_equal(scope__nested(inside, 3, &outer, &inner), -EEXIST);
	assert_int_equal(outer, 2);
	assert_int_equal(inner, 0);
	assert_int_equal(scope__nested(twice, 2, &outer, &inner), -EEXIST);
	assert_int_equal(scope__nested(all, 2, &outer, &inner), -EEXIST);
	assert_int_equal(scope__nested(NULL, 0, &outer, &inner), 0);
}

#define ON_TREE(test) cmocka_unit_test_setup_teardown(test, tree__setup, tree__teardown)

int main(void)
{
	const struct CMUnitTest pure[] = {
		cmocka_unit_test(scope_root_reads_mountinfo),
		cmocka_unit_test(scope_nested_is_counted_twice),
	};
	const struct CMUnitTest tests[] = {
		ON_TREE(workload_knows_the_scope_and_below),
		ON_TREE(workload_follows_new_and_removed),
		ON_TREE(workload_made_anew_between_two_refreshes),
		ON_TREE(workload_burst_of_cgroups),
		ON_TREE(workload_gone_and_never_asked_is_bounded),
		ON_TREE(workload_unknown_id_is_looked_for_once),
		ON_TREE(workload_scope_removed_and_made_anew),
		ON_TREE(workload_open_refuses_bad_scopes),
		ON_TREE(scope_check_wants_a_cgroup_directory),
		ON_TREE(scope_default_finds_the_pods),
		ON_TREE(scope_candidates_have_processes),
	};
	int failed = cmocka_run_group_tests_name("scope", pure, NULL, NULL);

	if (failed)
		return failed;
	if (scope__root(NULL, &tree.root)) {
		printf("SKIP: no cgroup v2 is mounted\n");
		return SKIPPED;
	}
	snprintf(tree.path, sizeof(tree.path), "%s/slid-test-%d", tree.root, (int)getpid());
	if (mkdir(tree.path, 0755)) {
		printf("SKIP: cannot make %s: %s\n", tree.path, strerror(errno));
		free(tree.root);
		return SKIPPED;
	}
	rmdir(tree.path);
	failed = cmocka_run_group_tests_name("workload", tests, NULL, NULL);
	free(tree.root);
	return failed;
}
