/*
 * batch.h: a batch of registrations under way; private to claim.c and registration.c.
 */
#ifndef CRM_MEMBER_BATCH_H
#define CRM_MEMBER_BATCH_H

#include "member/registration.h"

typedef struct Batch
{
	Registration **rows;		/* by ascending new member_id */
	int64	   *ids;			/* which these are */
	int			nrows;
	bool		keep;
	int64		import_id;
	char	   *actor;
} Batch;

/* Rows chosen to be handed to SQL as arrays, one element a row. */
typedef struct Columns
{
	Batch	   *batch;
	int		   *chosen;			/* indexes of rows */
	int			n;
} Columns;

typedef Datum (*RowValue) (Batch *batch, int row, int what, bool *isnull);
typedef bool (*RowTest) (Registration *row);

/* batch.c */
extern bool ChooseRows(Columns *columns, Batch *batch, RowTest test);
extern Datum ColumnArray(Columns *columns, RowValue get, int what, Oid type);

extern Datum TextValue(Batch *batch, int row, int what, bool *isnull);
extern Datum IdValue(Batch *batch, int row, int what, bool *isnull);
extern Datum FingerprintValue(Batch *batch, int row, int what, bool *isnull);
extern Datum JoinedValue(Batch *batch, int row, int what, bool *isnull);
extern Datum BirthdayValue(Batch *batch, int row, int what, bool *isnull);
extern Datum AttrsValue(Batch *batch, int row, int what, bool *isnull);
extern Datum FoundValue(Batch *batch, int row, int what, bool *isnull);

extern bool HasCard(Registration *row);

/* claim.c: afterwards the rows that are still OPEN hold all they asked for */
extern void ClaimAll(Batch *batch);

#endif
