/* SPDX-License-Identifier: BSD-3-Clause */
/* What this program does when a test starts it as another one, without a test of its own. */
#ifndef TEST_PROGRAM_H
#define TEST_PROGRAM_H

/* Its last arguments are the broker's endpoint and the secret, in hex: asks for the memory. */
#define PROGRAM_ASKS "--ask"
/* Opens a context. */
#define PROGRAM_OPENS "--open"
/* Its last argument is the room for a name: prints the NIC nearest to memory that it has allocated. */
#define PROGRAM_NIC "--nic"

/* Instead of an exit code, which is minus a status: it has inherited something of the library's, */
#define PROGRAM_HOLDS 100
/* or the failure had no hint. */
#define PROGRAM_HELPLESS 101

/* Not 0 if @argv wants it; then @code is its exit code. */
int program_main(char **argv, int *code);

#endif
