/* SPDX-License-Identifier: BSD-3-Clause */
#include "descriptors.h"

#include <sys/resource.h>

size_t descriptors_raise(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit))
		return 0;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	return (size_t)limit.rlim_max;
}
