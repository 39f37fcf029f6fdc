/*
 * store.h: bring the rows of rfm_member of a model up to date.
 */
#ifndef CRM_STORE_H
#define CRM_STORE_H

#include "postgres.h"
#include "storage/itemptr.h"

#include "rfm/collector.h"

typedef struct StoredTally
{
	Tally		tally;
	ItemPointerData tid;
} StoredTally;

/* The rows of a model that the active snapshot sees, ascending by member. */
extern size_t LoadTallies(const char *model_code, StoredTally **stored);

/*
 * Make the rows of a model those of the tallies (ascending by member), touching
 * only rows that differ.  Returns the number of rows written or removed.
 */
extern uint64 StoreTallies(const char *model_code, const StoredTally *stored, size_t nstored,
						   const Tally *tallies, size_t n);

#endif
