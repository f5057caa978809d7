/* SPDX-License-Identifier: BSD-3-Clause */
#include "support/test.h"

int main(int argc, char **argv)
{
	return test_main(argc, argv, -1);
}
