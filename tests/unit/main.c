/* SPDX-License-Identifier: BSD-3-Clause */
#include "support/test.h"
#include "unit/intruder.h"

int main(int argc, char **argv)
{
	if (argc == 5 && !strcmp(argv[1], INTRUDER_ASKS))
		return intruder_main(argv + 1);
	return test_main(argc, argv, -1);
}
