/* SPDX-License-Identifier: BSD-3-Clause */
#include "support/tool.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/config.h"
#include "support/test.h"

char tool_output[65536];

static const char *build_dir(void)
{
	static char dir[4096];
	const char *other = getenv("TEST_BUILD_DIR");
	ssize_t n = readlink("/proc/self/exe", dir, sizeof(dir) - 1);

	if (other || n < 0)
		return other ?: "build";
	dir[n] = '\0';
	*strrchr(dir, '/') = '\0';
	return dir;
}

int tool_run(const char *variables, const char *arguments)
{
	size_t count, used = 0, n;
	const struct ipcshare__setting *settings = ipcshare__settings(&count);
	char command[8192] = "unset ASCEND_RT_VISIBLE_DEVICES OMPI_COMM_WORLD_LOCAL_SIZE "
			     "MPI_LOCALNRANKS SLURM_STEP_TASKS_PER_NODE";
	int status;
	FILE *f;

	for (size_t i = 0; i < count; i++)
		snprintf(command + strlen(command), sizeof(command) - strlen(command), " %s",
			 settings[i].name);
	snprintf(command + strlen(command), sizeof(command) - strlen(command),
		 "; exec 2>&1; %s '%s/ipcshare-info' %s", variables, build_dir(), arguments);
	f = popen(command, "re");
	REQUIRE(f != NULL, "popen: %m");
	while ((n = fread(tool_output + used, 1, sizeof(tool_output) - 1 - used, f)))
		used += n;
	tool_output[used] = '\0';
	status = pclose(f);
	REQUIRE(WIFEXITED(status) && WEXITSTATUS(status) < 126, "%s: status %#x: %s", command,
		status, tool_output);
	return WEXITSTATUS(status);
}

void tool_check_columns(void)
{
	for (const char *p = tool_output; *p; p += *p == '\n') {
		size_t len = strcspn(p, "\n");

		CHECK(len <= 80, "a line of %zu columns: %.*s", len, (int)len, p);
		CHECK(!len || p[len - 1] != ' ', "a line ends with a blank: %.*s", (int)len, p);
		p += len;
	}
}
