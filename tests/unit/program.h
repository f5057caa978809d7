/* SPDX-License-Identifier: BSD-3-Clause */
/* What the program does if it is started as another one, that only knows a key. */
#ifndef TEST_INTRUDER_H
#define TEST_INTRUDER_H

#define INTRUDER_ASKS "--ask"
#define INTRUDER_HOLDS 100 /* exit code: it has inherited something of the library's */

/* @argv: INTRUDER_ASKS, the broker's endpoint and the secret, in hex. Its exit code: minus a status. */
int intruder_main(char **argv);

#endif
