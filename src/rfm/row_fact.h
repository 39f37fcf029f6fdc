/*
 * row_fact.h: what conditions see of a row of member or sale, read from the row.
 */
#ifndef CRM_ROW_FACT_H
#define CRM_ROW_FACT_H

#include "postgres.h"
#include "executor/tuptable.h"
#include "utils/rel.h"

#include "condition/condition.h"
#include "rfm/day.h"

#define ROW_FACTS_MAX 16

typedef struct RowFacts
{
	Facts		facts;
	TupleTableSlot *row;		/* of all columns up to the last that is used */
	int			last_column;
	int			nplain;			/* attributes that are columns */
	struct
	{
		Attribute	attribute;
		Oid			type;
		int			column;
	}			plain[ROW_FACTS_MAX];
	Subject		subject;
	int			attrs_column;	/* these four 0: not used */
	int			tags_column;
	int			shipping_column;
	int			time_column;	/* what days and hours are taken from */
	int			money_scale;
	DateADT		today;
	DayCache	days;
	MemoryContext context;		/* of what had to be unpacked, until the next row */
} RowFacts;

/*
 * Is all a condition asks for in the row?  Of a member also scores and segment
 * are, which the caller fills.
 */
extern bool InRow(const Condition *condition, Subject subject);

/* Facts for some conditions over rows of a table; at least columns of it are unpacked. */
extern void StartRowFacts(RowFacts *facts, Relation rel, Subject subject,
						  const Condition *const *conditions, int nconditions, int columns,
						  int money_scale, pg_tz *zone);

/* What is cheap to read, and what is not: attrs and tags. */
extern void ReadRowFacts(RowFacts *facts, HeapTuple row);
extern void ReadAttrs(RowFacts *facts);

/* Number of a column of a type; error 55000 where there is none. */
extern int	ColumnOf(Relation rel, const char *name, Oid type);

#endif
