/* SPDX-License-Identifier: Apache-2.0 */
/* self.c - owns nothing: reads /proc about this process; never allocates for long, never logs. */
#include "export/self.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

/* Read a file's start into text, NUL-terminated. Return: 0 or -errno. */
static int self__slurp(const char *path, char *text, size_t cap)
{
	CLEAN_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t got;

	if (fd < 0)
		return -errno;
	got = read(fd, text, cap - 1);
	if (got < 0)
		return -errno;
	text[got] = '\0';
	return 0;
}

/* Return: entries of /proc/self/fd without the one that reads it, or -errno. */
static long self__fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	long cnt = -1;

	if (!dir)
		return -errno;
	for (const struct dirent *entry = readdir(dir); entry; entry = readdir(dir))
		cnt += entry->d_name[0] != '.';
	closedir(dir);
	return cnt;
}

/* Unix time of the boot. Source: btime in /proc/stat, proc(5). Return: 0 or -errno. */
static int self__boot(double *ret)
{
	FILE *file = fopen("/proc/stat", "re");
	CLEAN_FREE char *line = NULL;
	size_t alloc = 0;
	int err = -EINVAL;

	if (!file)
		return -errno;
	while (err && getline(&line, &alloc, file) > 0)
		if (!strncmp(line, "btime ", 6)) {
			*ret = (double)strtoull(line + 6, NULL, 10);
			err = 0;
		}
	fclose(file);
	return err;
}

/* Field 22 of /proc/self/stat counts clock ticks from the boot. Return: 0 or -errno. */
static int self__start(double *ret)
{
	char text[1024];
	char *at;
	double boot = 0;
	int err = self__slurp("/proc/self/stat", text, sizeof(text));

	if (!err)
		err = self__boot(&boot);
	if (err)
		return err;
	at = strrchr(text, ')'); /* the name before it may hold anything */
	for (int field = 2; at && field < 22; field++)
		at = strchr(at + 1, ' ');
	if (!at)
		return -EINVAL;
	*ret = boot + (double)strtoull(at, NULL, 10) / (double)sysconf(_SC_CLK_TCK);
	return 0;
}

int self__read(struct self_stats *self)
{
	struct rlimit limit;
	struct timespec cpu;
	char text[256];
	char *resident;
	long fds = self__fds();
	int err, start_err;

	*self = (struct self_stats){ 0 };
	if (!clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu))
		self->cpu_seconds = (double)cpu.tv_sec + (double)cpu.tv_nsec / 1e9;
	err = self__slurp("/proc/self/statm", text, sizeof(text));
	resident = err ? NULL : strchr(text, ' ');
	if (resident)
		self->resident_bytes =
			strtoull(resident, NULL, 10) * (uint64_t)sysconf(_SC_PAGESIZE);
	if (fds >= 0)
		self->open_fds = (uint64_t)fds;
	else if (!err)
		err = (int)fds;
	if (!getrlimit(RLIMIT_NOFILE, &limit))
		self->max_fds = limit.rlim_cur;
	start_err = self__start(&self->start_seconds);
	return err ? err : start_err;
}
