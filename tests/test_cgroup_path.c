/* SPDX-License-Identifier: Apache-2.0 */
/* test_cgroup_path.c - the paths of every known cgroup manager, and paths no manager would make. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "workload/cgroup_path.h"

#define ID_A "40c03570b6f4c30bc8d69923d37ee698f5cfcced92c7b7df1c47f6f7887378a9"
#define ID_B "264c1e319d1f6080a48a9fabcf9ac8fd9afd9a5930cf35e8d0eeb03b258c3152"
#define POD  "dde1244b-5bb5-4297-b544-85f3bc0d80bf"
#define POD_ "dde1244b_5bb5_4297_b544_85f3bc0d80bf"

static const char *or_empty(const char *field)
{
	return strcmp(field, "-") ? field : "";
}

static void check_owner(const char *path, const char *kind, const char *workload, const char *pod,
			const char *container)
{
	struct owner *owner = cgroup_path__owner(path);

	assert_non_null(owner);
	assert_string_equal(owner->workload_kind, kind);
	assert_string_equal(owner->workload, workload);
	assert_string_equal(owner->pod, pod);
	assert_string_equal(owner->container, container);
	assert_string_equal(owner->namespace_, "");
	owner__unref(owner);
}

static void cgroup_path_parts_of_every_known_manager(void **state)
{
	FILE *file = fopen(TESTS_DIR "/data/cgroup-paths.tsv", "re");
	char line[2048];
	int rows = 0;

	(void)state;
	assert_non_null(file);
	while (fgets(line, sizeof(line), file)) {
		struct cgroup_id_parts parts;
		char *save = NULL, *path, *uid, *container, *qos;

		if (line[0] == '#')
			continue;
		path = strtok_r(line, "\t", &save);
		uid = strtok_r(NULL, "\t", &save);
		container = strtok_r(NULL, "\t", &save);
		qos = strtok_r(NULL, "\t", &save);
		assert_non_null(qos);
		cgroup_path__parts(path, &parts);
		assert_string_equal(parts.pod_uid, or_empty(uid));
		assert_string_equal(parts.container, or_empty(container));
		assert_string_equal(parts.qos, or_empty(qos));
		if (parts.pod_uid[0]) {
			char id[13] = "";

			memcpy(id, parts.container, 12);
			check_owner(path, "pod", parts.pod_uid, parts.pod_uid, id);
		}
		rows++;
	}
	fclose(file);
	assert_int_equal(rows, 35);
}

static void cgroup_path_owner_of_units(void **state)
{
	(void)state;
	check_owner("/system.slice/nginx.service", "systemd", "nginx", "", "");
	check_owner("/system.slice/nginx.service/", "systemd", "nginx", "", "");
	check_owner("/system.slice/nginx.service/workers/1", "systemd", "nginx", "", "");
	check_owner("/system.slice/system-foo.slice/foo@bar.service", "systemd", "foo@bar", "", "");
	check_owner("/user.slice/user-1000.slice/user@1000.service/app.slice/web.service",
		    "systemd", "web", "", "");
	check_owner("/user.slice/user-1000.slice/session-3.scope", "systemd", "session-3", "", "");
	check_owner("/system.slice/a\\x2db.service", "systemd", "a-b", "", "");
	check_owner("/system.slice/a\\x2.service", "systemd", "a\\x2", "", "");
	check_owner("/system.slice/a\\xff.service", "systemd", "a\xef\xbf\xbd", "", "");
	check_owner("/system.slice/a\\x00b.service", "systemd",
		    "a\xef\xbf\xbd"
		    "b",
		    "", "");
	check_owner("/init.scope", "systemd", "init", "", "");
	check_owner("/podruntime.slice/containerd.service", "systemd", "containerd", "", "");
	/* ".service" alone is no unit. */
	check_owner("/system.slice/.service", "cgroup", "/system.slice/.service", "", "");
}

static void cgroup_path_owner_of_containers(void **state)
{
	const char *id = "40c03570b6f4";

	(void)state;
	check_owner("/system.slice/docker-" ID_A ".scope", "docker", id, "", id);
	check_owner("/system.slice/docker-" ID_A ".scope/init.scope", "docker", id, "", id);
	check_owner("/docker/" ID_A, "docker", id, "", id);
	check_owner("/docker/" ID_A "/docker/" ID_B, "docker", id, "", id);
	check_owner("/machine.slice/libpod-" ID_A ".scope/container", "podman", id, "", id);
	check_owner("/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-" ID_A
		    ".scope",
		    "podman", id, "", id);
	check_owner("/system.slice/web.service/libpod-payload-" ID_A, "podman", id, "", id);
	check_owner("/libpod_parent/" ID_A, "podman", id, "", id);
	check_owner("/system.slice/cri-containerd-" ID_A ".scope", "containerd", id, "", id);
	check_owner("/system.slice/nerdctl-" ID_A ".scope", "containerd", id, "", id);
	check_owner("/system.slice/crio-" ID_A ".scope", "cri-o", id, "", id);
	check_owner("/default/" ID_A, "container", id, "", id);
	check_owner("/machine.slice/libpod-conmon-" ID_A ".scope", "systemd", "libpod-conmon-" ID_A,
		    "", "");
}

static void cgroup_path_owner_of_pods(void **state)
{
	const char *id = "40c03570b6f4";

	(void)state;
	check_owner("/kubepods/burstable/pod" POD "/" ID_A, "pod", POD, POD, id);
	check_owner("/kubepods/burstable/pod" POD, "pod", POD, POD, "");
	check_owner("/docker/" ID_B "/kubelet.slice/kubelet-kubepods-pod" POD_ ".slice", "pod", POD,
		    POD, "");
	check_owner("/x-pod" POD_ ".slice:cri-containerd:" ID_A, "pod", POD, POD, id);
}

static void cgroup_path_owner_of_anything_else(void **state)
{
	(void)state;
	check_owner("/slid-demo/web", "cgroup", "/slid-demo/web", "", "");
	check_owner("/", "cgroup", "/", "", "");
	check_owner("", "cgroup", "/", "", "");
	check_owner("/podruntime/kubelet", "cgroup", "/podruntime/kubelet", "", "");
	check_owner("/kubepods.slice", "cgroup", "/kubepods.slice", "", "");
	/* One digit less, one more, other separators, other ends: no pod. */
	check_owner("/poddde1244b-5bb5-4297-b544-85f3bc0d80b", "cgroup",
		    "/poddde1244b-5bb5-4297-b544-85f3bc0d80b", "", "");
	check_owner("/pod" POD "0", "cgroup", "/pod" POD "0", "", "");
	check_owner("/xpod" POD, "cgroup", "/xpod" POD, "", "");
	check_owner("/pod" POD ".scopes", "cgroup", "/pod" POD ".scopes", "", "");
	check_owner("/" ID_A "0", "cgroup", "/" ID_A "0", "", "");
}

static void cgroup_path_cleans_hostile_text(void **state)
{
	char path[4096];
	struct owner *owner;

	(void)state;
	check_owner("/a\xff/b\n\x7f", "cgroup", "/a\xef\xbf\xbd/b\xef\xbf\xbd\xef\xbf\xbd", "", "");
	check_owner("/gr\xc3\xbc\xc3\x9f/\xf0\x9f\x98\x80", "cgroup",
		    "/gr\xc3\xbc\xc3\x9f/\xf0\x9f\x98\x80", "", "");
	/* A surrogate, and a '/' in two bytes. */
	check_owner("/\xed\xa0\x80", "cgroup", "/\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd", "", "");
	check_owner("/\xc0\xaf", "cgroup", "/\xef\xbf\xbd\xef\xbf\xbd", "", "");
	memset(path, '\xff', sizeof(path));
	path[0] = '/';
	path[sizeof(path) - 1] = '\0';
	owner = cgroup_path__owner(path);
	assert_non_null(owner);
	assert_in_range(strlen(owner->workload), 1, 2000);
	owner__unref(owner);
	memset(path + 1, 'a', sizeof(path) - 2);
	memcpy(path + sizeof(path) - 6, "/leaf", 5);
	owner = cgroup_path__owner(path);
	assert_non_null(owner);
	assert_memory_equal(owner->workload, "...a", 4);
	assert_string_equal(owner->workload + strlen(owner->workload) - 5, "/leaf");
	owner__unref(owner);
}

/* Text in a heap block of its exact size, so that ASan sees each byte read past it. */
static void check_garbage(const char *text, size_t len)
{
	struct cgroup_id_parts parts;
	struct owner *owner;
	char *copy = malloc(len + 1);

	assert_non_null(copy);
	memcpy(copy, text, len);
	copy[len] = '\0';
	cgroup_path__parts(copy, &parts);
	assert_in_range(strlen(parts.pod_uid), 0, 36);
	assert_true(!parts.container[0] || strlen(parts.container) == 64);
	owner = cgroup_path__owner(copy);
	assert_non_null(owner);
	assert_true(owner->workload[0] != '\0');
	owner__unref(owner);
	free(copy);
}

static void cgroup_path_survives_garbage(void **state)
{
	static const char *const words[] = {
		"/",	    "pod",	"-pod",	     POD,
		POD_,	    ID_A,	".slice",    ".scope",
		".service", ":",	"-",	     "_",
		"docker",   "conmon",	"\\x",	     "\\x2d",
		"\xff",	    "\xe2\x82", "a",	     "0",
		"kubepods", "/../",	"burstable", "ed1381d180cbc02ae8e51526d2b6d2d9",
		"crio-",    "\xf4\x8f",
	};
	char path[8192];

	(void)state;
	srandom(7);
	for (int round = 0; round < 40000; round++) {
		int parts = (int)(random() % 12);
		size_t len = 0;

		while (parts--) {
			const char *word =
				words[(size_t)random() % (sizeof(words) / sizeof(words[0]))];
			size_t use = strlen(word);

			if (random() % 4 == 0)
				use = (size_t)random() % (use + 1);
			memcpy(path + len, word, use);
			len += use;
		}
		if (len && random() % 4 == 0)
			path[(size_t)random() % len] = (char)(random() % 255 + 1);
		check_garbage(path, len);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cgroup_path_parts_of_every_known_manager),
		cmocka_unit_test(cgroup_path_owner_of_units),
		cmocka_unit_test(cgroup_path_owner_of_containers),
		cmocka_unit_test(cgroup_path_owner_of_pods),
		cmocka_unit_test(cgroup_path_owner_of_anything_else),
		cmocka_unit_test(cgroup_path_cleans_hostile_text),
		cmocka_unit_test(cgroup_path_survives_garbage),
	};

	return cmocka_run_group_tests_name("cgroup_path", tests, NULL, NULL);
}
