/* SPDX-License-Identifier: BSD-3-Clause */
#include "mpi/spanned.h"

#include "mpi/team.h"
#include "support/test.h"

MPI_Comm spanned_comm;
const struct ipcshare__mpi_comm *spanned_kept;

void spanned_begin(void)
{
	MPI_Comm_dup(MPI_COMM_WORLD, &spanned_comm);
	MPI_Comm_set_errhandler(spanned_comm, MPI_ERRORS_RETURN);
	ipcshare_mpi_barrier(spanned_comm);
	spanned_kept = ipcshare__mpi_comm_find(spanned_comm);
	REQUIRE(spanned_kept, "the communicator has no group");
}

void spanned_end(void)
{
	MPI_Comm_free(&spanned_comm);
}

int spanned_nodes(void)
{
	return spanned_kept->nodes ? spanned_kept->nodes->count : 1;
}

int spanned_node_of(int rank)
{
	return spanned_kept->nodes ? spanned_kept->nodes->node_of[rank] : 0;
}

void spanned_works(void)
{
	int one = 1, sum = 0;

	CHECK_INT(ipcshare_mpi_allreduce(&one, &sum, 1, MPI_INT, MPI_SUM, spanned_comm), MPI_SUCCESS);
	CHECK_INT(sum, team_size());
}

void spanned_failed_at(int line, int code, int status)
{
	char text[MPI_MAX_ERROR_STRING] = "";
	int len;

	if (CHECK(code != MPI_SUCCESS, "line %d: it gave MPI_SUCCESS", line)) {
		MPI_Error_string(code, text, &len);
		CHECK_HAS(text, "libipcshare: collective: ");
		CHECK(ipcshare_last_error()->status == status, "line %d: %s", line, ipcshare_explain());
	}
	spanned_works();
}

struct ipcshare_mpi_counters spanned_counters(void)
{
	struct ipcshare_mpi_counters now = { .size = sizeof(now) };

	REQUIRE_OK(ipcshare_mpi_counters(&now));
	return now;
}

long spanned_element(int rank, size_t i)
{
	return (long)(i * 7 + (size_t)rank * 1000003 + 1);
}
