/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A buffer of MPI's, as bytes.
 *
 * MPI lets ranks give the same data with different datatypes: what one sends as a column of a matrix,
 * another receives as a row. Only the type signature, the basic types in their order, is the same on
 * both. So a rank must not leave a call to MPI because of its datatype: others can't know. Instead the
 * library moves the bytes of the signature, of which all ranks have as many, in the same order. Where
 * memory is something else (gaps, another order), the rank packs and unpacks for itself. MPI's packed
 * form is just these bytes between processes of one kind of machine, and each packing is checked for
 * having as many.
 */
#ifndef IPCSHARE_MPI_BUFFER_H
#define IPCSHARE_MPI_BUFFER_H

#include <mpi.h>
#include <stdbool.h>
#include <stddef.h>

/* What the user gave: blocks of elements. */
struct ipcshare__mpi_given {
	const void *buf;
	MPI_Datatype type;
	int blocks;
	int count; /* elements of each; the blocks follow each other */
	const int *counts, *displs; /* or, in elements, of each its own */
};

struct ipcshare__mpi_buffer {
	struct ipcshare__mpi_given given;
	char *at; /* the bytes; or IPCSHARE_IN_PLACE */
	size_t len; /* of all blocks */
	size_t *lens, *firsts; /* of each, if they differ */
	size_t unit; /* bytes of an element */
	MPI_Aint extent;
	bool packed; /* @at is not the user's */
};

/*
 * @filled: the bytes that are there count. @places: for lens and firsts, if blocks differ.
 * 0, or a status with its detail.
 */
int ipcshare__mpi_buffer_begin(struct ipcshare__mpi_buffer *b,
			       const struct ipcshare__mpi_given *given, bool filled, size_t *places,
			       MPI_Comm comm);
/* Bytes that came go where the user wants them. */
int ipcshare__mpi_buffer_unpack(const struct ipcshare__mpi_buffer *b, MPI_Comm comm);
void ipcshare__mpi_buffer_end(struct ipcshare__mpi_buffer *b);

#endif
