/*
 * Three faults made on purpose, each in a function that is named after it: what tools/valgrind_logs.py must find, or nothing it says about other
 * code is worth anything. Compiled for the server at hand by tools/valgrind.py; no part of the extension.
 */
#include "postgres.h"

#include "fmgr.h"
#include "utils/memutils.h"

PG_MODULE_MAGIC;

PG_FUNCTION_INFO_V1(control_freed);
PG_FUNCTION_INFO_V1(control_unset);
PG_FUNCTION_INFO_V1(control_beyond);

/* Reads what was in a memory context that is no more. */
Datum
control_freed(PG_FUNCTION_ARGS)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "control", ALLOCSET_SMALL_SIZES);
	volatile int *value = MemoryContextAllocZero(context, sizeof(int));

	MemoryContextDelete(context);
	PG_RETURN_INT32(*value);
}

/* Decides by what was never written. */
Datum
control_unset(PG_FUNCTION_ARGS)
{
	volatile int *value = palloc(sizeof(int));

	PG_RETURN_INT32(*value == 1 ? 1 : 2);
}

/* Reads behind what it has asked for. */
Datum
control_beyond(PG_FUNCTION_ARGS)
{
	volatile char *value = palloc0(10);

	PG_RETURN_INT32(value[10]);
}
