/* SPDX-License-Identifier: BSD-3-Clause */
#include "waiting.h"

#include <mpi.h>
#include <stddef.h>

/* The value of a switch among MPI's control variables; -1 if there is no such one. */
static int read_switch(const char *name)
{
	MPI_T_cvar_handle handle;
	char value[64] = ""; /* a bool, of the size of whatever MPI says it is */
	int index, count, is = -1;

	if (MPI_T_cvar_get_index(name, &index) ||
	    MPI_T_cvar_handle_alloc(index, NULL, &handle, &count))
		return -1;
	if (count == 1 && !MPI_T_cvar_read(handle, value))
		is = value[0] != 0;
	MPI_T_cvar_handle_free(&handle);
	return is;
}

enum waiting waiting_of_mpi(void)
{
	int threads, is;

	if (MPI_T_init_thread(MPI_THREAD_SINGLE, &threads))
		return WAITING_UNKNOWN;
	is = read_switch("mpi_yield_when_idle");
	MPI_T_finalize();
	return is < 0 ? WAITING_UNKNOWN : is ? WAITING_YIELDS : WAITING_SPINS;
}
