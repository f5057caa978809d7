/* SPDX-License-Identifier: BSD-3-Clause */
#include "support/test.h"
#include "unit/program.h"

int main(int argc, char **argv)
{
	int code;

	return program_main(argv, &code) ? code : test_main(argc, argv, -1);
}
