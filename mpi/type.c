/* SPDX-License-Identifier: BSD-3-Clause */
#include "type.h"

/* ---- What derived types are made of ---- */

/* A copy of another type, or a row of it? Then *inner; *own: to be given back. */
static bool is_row(MPI_Datatype type, MPI_Datatype *inner, bool *own)
{
	int n, combiner, count;
	MPI_Aint address;

	MPI_Type_get_envelope(type, &n, &n, &n, &combiner);
	if (combiner != MPI_COMBINER_DUP && combiner != MPI_COMBINER_CONTIGUOUS)
		return false;
	MPI_Type_get_contents(type, combiner == MPI_COMBINER_CONTIGUOUS, 0, 1, &count, &address,
			      inner);
	MPI_Type_get_envelope(*inner, &n, &n, &n, &combiner);
	*own = combiner != MPI_COMBINER_NAMED && combiner != MPI_COMBINER_F90_INTEGER &&
	       combiner != MPI_COMBINER_F90_REAL && combiner != MPI_COMBINER_F90_COMPLEX;
	return true;
}

/* Types with a name lie in memory as in the signature, unless there is a gap: MPI_DOUBLE_INT. */
static bool is_flat_itself(MPI_Datatype type)
{
	int n, combiner, size;
	MPI_Aint lb, extent;

	MPI_Type_get_envelope(type, &n, &n, &n, &combiner);
	if (combiner != MPI_COMBINER_NAMED)
		return false;
	MPI_Type_size(type, &size);
	MPI_Type_get_extent(type, &lb, &extent);
	return lb == 0 && extent == size;
}

bool ipcshare__mpi_is_flat(MPI_Datatype type)
{
	MPI_Datatype inner;
	bool own, flat;

	if (!is_row(type, &inner, &own))
		return is_flat_itself(type);
	flat = ipcshare__mpi_is_flat(inner);
	if (own)
		MPI_Type_free(&inner);
	return flat;
}

/* ---- Reducing ---- */

enum kind {
	SIGNED,
	UNSIGNED,
	FLOAT,
	BITS, /* MPI has bitwise ops for it */
	TRUTH, /* logical ones */
	PAIR, /* minloc and maxloc */
};

/*
 * What MPI reduces and the library has too: derived types are none of them, not even copies.
 * Characters are nothing to reduce, complex numbers, long doubles and Fortran's logicals are MPI's.
 */
static const struct {
	MPI_Datatype type;
	enum kind kind;
} known[] = {
	{ MPI_DOUBLE, FLOAT },	     { MPI_FLOAT, FLOAT },
	{ MPI_INT, SIGNED },	     { MPI_LONG, SIGNED },
	{ MPI_UNSIGNED, UNSIGNED },  { MPI_UNSIGNED_LONG, UNSIGNED },
	{ MPI_LONG_LONG, SIGNED },   { MPI_UNSIGNED_LONG_LONG, UNSIGNED },
	{ MPI_SHORT, SIGNED },	     { MPI_UNSIGNED_SHORT, UNSIGNED },
	{ MPI_SIGNED_CHAR, SIGNED }, { MPI_UNSIGNED_CHAR, UNSIGNED },
	{ MPI_INT8_T, SIGNED },	     { MPI_INT16_T, SIGNED },
	{ MPI_INT32_T, SIGNED },     { MPI_INT64_T, SIGNED },
	{ MPI_UINT8_T, UNSIGNED },   { MPI_UINT16_T, UNSIGNED },
	{ MPI_UINT32_T, UNSIGNED },  { MPI_UINT64_T, UNSIGNED },
	{ MPI_AINT, SIGNED },	     { MPI_OFFSET, SIGNED },
	{ MPI_COUNT, SIGNED },	     { MPI_BYTE, BITS },
	{ MPI_C_BOOL, TRUTH },	     { MPI_CXX_BOOL, TRUTH },
	{ MPI_2INT, PAIR },	     { MPI_SHORT_INT, PAIR },
	{ MPI_LONG_INT, PAIR },	     { MPI_FLOAT_INT, PAIR },
	{ MPI_DOUBLE_INT, PAIR },    { MPI_INTEGER, SIGNED },
	{ MPI_INTEGER1, SIGNED },    { MPI_INTEGER2, SIGNED },
	{ MPI_INTEGER4, SIGNED },    { MPI_INTEGER8, SIGNED },
	{ MPI_REAL, FLOAT },	     { MPI_REAL4, FLOAT },
	{ MPI_REAL8, FLOAT },	     { MPI_DOUBLE_PRECISION, FLOAT },
};

static enum ipcshare_type pair_of(MPI_Datatype type)
{
	enum ipcshare_type pair = type == MPI_SHORT_INT	   ? IPCSHARE_INT16_INDEX
				  : type == MPI_2INT	   ? IPCSHARE_INT32_INDEX
				  : type == MPI_FLOAT_INT  ? IPCSHARE_FP32_INDEX
				  : type == MPI_DOUBLE_INT ? IPCSHARE_FP64_INDEX
				  : sizeof(long) == 4	   ? IPCSHARE_INT32_INDEX
							   : IPCSHARE_INT64_INDEX;
	MPI_Aint lb, extent;

	MPI_Type_get_extent(type, &lb, &extent);
	return (size_t)extent == ipcshare_type_size(pair) ? pair : IPCSHARE_TYPES;
}

/* Fortran's types are as long as its compiler has them; a type that it lacks has no bytes. */
static enum ipcshare_type number_of(MPI_Datatype type, enum kind kind)
{
	int size;

	MPI_Type_size(type, &size);
	switch (size) {
	case 1:
		return kind == FLOAT	? IPCSHARE_TYPES
		       : kind == SIGNED ? IPCSHARE_INT8
					: IPCSHARE_UINT8;
	case 2:
		return kind == FLOAT	? IPCSHARE_FP16
		       : kind == SIGNED ? IPCSHARE_INT16
					: IPCSHARE_UINT16;
	case 4:
		return kind == FLOAT	? IPCSHARE_FP32
		       : kind == SIGNED ? IPCSHARE_INT32
					: IPCSHARE_UINT32;
	case 8:
		return kind == FLOAT	? IPCSHARE_FP64
		       : kind == SIGNED ? IPCSHARE_INT64
					: IPCSHARE_UINT64;
	default:
		return IPCSHARE_TYPES;
	}
}

static bool has_op(enum kind kind, const struct ipcshare_op *op)
{
	bool bits = op == IPCSHARE_BAND || op == IPCSHARE_BOR || op == IPCSHARE_BXOR;
	bool truth = op == IPCSHARE_LAND || op == IPCSHARE_LOR || op == IPCSHARE_LXOR;

	return kind == BITS ? bits : kind == TRUTH ? truth : true;
}

enum ipcshare_type ipcshare__mpi_reducible(MPI_Datatype type, const struct ipcshare_op *op)
{
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		enum kind kind = known[i].kind;
		enum ipcshare_type ours;

		if (known[i].type != type)
			continue;
		ours = kind == PAIR ? pair_of(type) : number_of(type, kind);
		return has_op(kind, op) && ipcshare_op_allows(op, ours) ? ours : IPCSHARE_TYPES;
	}
	return IPCSHARE_TYPES;
}

const struct ipcshare_op *ipcshare__mpi_op(MPI_Op op)
{
	static const struct {
		MPI_Op op;
		const struct ipcshare_op *ours;
	} ops[] = {
		{ MPI_SUM, IPCSHARE_SUM },	 { MPI_MAX, IPCSHARE_MAX },
		{ MPI_MIN, IPCSHARE_MIN },	 { MPI_PROD, IPCSHARE_PROD },
		{ MPI_LAND, IPCSHARE_LAND },	 { MPI_LOR, IPCSHARE_LOR },
		{ MPI_LXOR, IPCSHARE_LXOR },	 { MPI_BAND, IPCSHARE_BAND },
		{ MPI_BOR, IPCSHARE_BOR },	 { MPI_BXOR, IPCSHARE_BXOR },
		{ MPI_MINLOC, IPCSHARE_MINLOC }, { MPI_MAXLOC, IPCSHARE_MAXLOC },
	};

	for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++)
		if (ops[i].op == op)
			return ops[i].ours;
	return NULL;
}
