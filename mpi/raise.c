/* SPDX-License-Identifier: BSD-3-Clause */
#include "raise.h"

#include <pthread.h>
#include <stdio.h>

/* In a class of our own: codes of ours in MPI's classes would say more, but MPICH 4.0 takes them for others. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int own = MPI_SUCCESS;

static int code_add(void)
{
	int class, code;

	return MPI_Add_error_class(&class) || MPI_Add_error_code(class, &code) ? MPI_ERR_OTHER
									       : code;
}

/* Whoever ends the job for an error prints the text of its code, so that has to say what happened. */
static int code_get(void)
{
	char text[MPI_MAX_ERROR_STRING];
	int code;

	snprintf(text, sizeof(text), "libipcshare: %s", ipcshare_explain());
	pthread_mutex_lock(&lock);
	if (own == MPI_SUCCESS)
		own = code_add();
	if (own != MPI_ERR_OTHER)
		MPI_Add_error_string(own, text);
	code = own;
	pthread_mutex_unlock(&lock);
	return code;
}

int ipcshare__mpi_raise(MPI_Comm comm)
{
	int code = code_get();

	MPI_Comm_call_errhandler(comm, code);
	return code;
}
