/*
 * source.h: run a query that yields purchases and collect them.
 */
#ifndef CRM_SOURCE_H
#define CRM_SOURCE_H

#include "postgres.h"
#include "utils/array.h"
#include "utils/date.h"

#include "condition/condition.h"
#include "rfm/alias.h"
#include "rfm/collector.h"

/* Decimals of a frequency in units, as lines have them. */
#define UNIT_SCALE 6

/*
 * A query of (member, day, amount): member of any type, day a date or a
 * timestamp, amount a number.  Rows without a member or a day, and those after
 * as_of or before first_day, are left out; a NULL amount is zero.
 *
 * A query of refunds yields (member, day of the sale, amount, [units,] time of the
 * refund): it counts no purchases, and a refund after as_of is later.
 */
typedef struct PurchaseQuery
{
	const char *sql;
	ArrayType  *members;		/* argument $1, NULL: the query has none */
	bool		minus;			/* a further column is subtracted from amount */
	bool		units;			/* a further column is the frequency, else each row counts 1 */
	bool		days;			/* each day with a purchase counts 1 */
	bool		refunds;		/* of rows that are refunds, see below */
	DateADT		first_day;		/* DATEVAL_NOBEGIN: no limit */
	DateADT		as_of;
	int			money_scale;	/* of the sums, or finer where an amount has more decimals */
	int			max_scale;		/* more decimals than this are an error */
	int64		expected;		/* members, about; 0: not known */
	const char *sale_column;	/* where it yields the rows of sale, the column with the money */
	const Condition *scope;		/* that holds of them; NULL: all */
	const Aliases *aliases;
	const char *progress;		/* name to report rows under, or NULL */
} PurchaseQuery;

typedef struct Purchases
{
	Tally	   *tallies;
	size_t		ntallies;
	Tally	   *later;			/* members with purchases after as_of */
	size_t		nlater;
	int			money_scale;	/* of monetary */
	Oid			member_type;

	/* Where members are not integers: member is an index into these. */
	Datum	   *members;
	int64	   *ranks;			/* place in the order of the type */
} Purchases;

/* 22003: an amount does not fit in units of so many decimals. */
extern void AmountOutOfRange(int max_scale) pg_attribute_noreturn();

/* Run between SPI_connect and SPI_finish; the result lives in context. */
extern void CollectPurchases(const PurchaseQuery *query, MemoryContext context,
							 Purchases *purchases);

/*
 * The same for a query with a sale_column and without members: read from the
 * table sale itself, and spread over workers.
 */
extern void CollectSales(const PurchaseQuery *query, Purchases *purchases);

/* Is sale a table that can be read so, and does it tell all that the scope asks for? */
extern bool CanScanSales(const Condition *scope);

#endif
