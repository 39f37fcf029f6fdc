/*
 * source.h: run a query that yields purchases and collect them.
 */
#ifndef CRM_SOURCE_H
#define CRM_SOURCE_H

#include "postgres.h"
#include "utils/array.h"
#include "utils/date.h"

#include "rfm/collector.h"

/* What a query of (member, day, amount) came to. */
typedef struct Purchases
{
	Tally	   *tallies;
	size_t		ntallies;
	int			money_scale;	/* of monetary */
	Oid			member_type;

	/* Where members are not integers: member is an index into these. */
	Datum	   *members;
	int64	   *ranks;			/* place in the order of the type */
} Purchases;

/*
 * Run between SPI_connect and SPI_finish; the result lives in the context that
 * was current before.  Rows without a member or a day, and those after as_of
 * or before from, are left out; a NULL amount is zero.  Amounts are
 * summed at money_scale, or a finer one where an amount has more decimals.
 */
extern void CollectQuery(const char *query, DateADT from, DateADT as_of, int money_scale,
						 MemoryContext context, Purchases *purchases);

#endif
