/* SPDX-License-Identifier: BSD-3-Clause */
/* The program ipcshare-info, run as a user runs it. */
#ifndef TEST_TOOL_H
#define TEST_TOOL_H

extern char tool_output[65536]; /* of the last run, standard error too */

/*
 * Run the program: "NAME=value ... | arguments", in a shell, where no setting is set but those and
 * no launcher is seen. Gives its exit status. It lies beside this program, as both are built
 * together; TEST_BUILD_DIR names another folder.
 */
int tool_run(const char *variables, const char *arguments);

/* The output has lines of 80 columns at most, and none ends with a blank. */
void tool_check_columns(void);

#endif
