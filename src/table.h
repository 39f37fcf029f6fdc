/*
 * table.h: rows of our own tables, read and written by key without a statement.
 *
 * A statement costs more to start than the row it is about.  What is here does to
 * an ordinary table what the statement would do: privileges, defaults, generated
 * columns, constraints, indexes, conflicts.  Where something stands in the way (a
 * trigger or rule somebody made, row security, a table that is not a heap of this
 * server, a column of another type) it does nothing and says so, and the caller
 * runs the statement.
 */
#ifndef CRM_TABLE_H
#define CRM_TABLE_H

#include "query.h"

#include "executor/tuptable.h"
#include "nodes/parsenodes.h"
#include "nodes/execnodes.h"
#include "storage/itemptr.h"
#include "utils/snapshot.h"

#define TABLE_MAX_COLUMNS 20

typedef struct CrmTable
{
	const char *name;
	const char *quiet;			/* function of an insert trigger that finds nothing to do for our rows */
	const char *replaced;		/* function of triggers in whose stead, where they are, ... */
	void		(*replacement) (int64 key); /* is called with the first column of a row written */
	const char *referenced;		/* table to which they have a reference that the caller checks */
	int			ncolumns;		/* that we look at or write; type InvalidOid: coupon_code */
	BatchColumn columns[TABLE_MAX_COLUMNS];
	const char *claimed_by;		/* unique index that ClaimRow() goes by; NULL: the primary key */

	/* filled at first use, and again when the table changes */
	bool		valid;
	struct TableShape *shape;
	CrmQuery	insert;
} CrmTable;

/* Rows of one table, to be read and changed by their primary key. */
typedef struct TableRows
{
	CrmTable   *table;
	const struct TableShape *shape;
	Relation	rel;
	Relation	index;
	Snapshot	snapshot;
	MemoryContext context;
	struct IndexScanDescData *scan;
	TupleTableSlot *row;		/* found */
	TupleTableSlot *changed;
	EState	   *estate;
	ResultRelInfo *target;
	bool		impatient;		/* ChangeRow() waits for nobody; the caller's to set, as is */
	bool		hopeful;		/* ClaimRow() does not look first: what is there already costs a dead row */
} TableRows;

/* rights: ACL_SELECT, and ACL_UPDATE to change, ACL_INSERT to claim.  NULL: use statements. */
extern TableRows *OpenRows(CrmTable *table, AclMode rights);
/* The same to look at only, as the calling statement sees them. */
extern TableRows *PeekRows(CrmTable *table);
/*
 * The row with this primary key, as a statement begun now would see it: then the
 * columns of the table's list can be looked at; they live until the next call.
 */
extern bool FindRow(TableRows *rows, const Datum *key);
extern Datum RowColumn(TableRows *rows, int column, bool *isnull);
/* All columns of the list. */
extern void RowColumns(TableRows *rows, Datum *values, bool *nulls);
/* The rows whose primary key begins so, in its order: FindNext() finds them one by one. */
extern void FindRows(TableRows *rows, const Datum *key, int nkeys);
extern bool FindNext(TableRows *rows);
/* The row at a tid, likewise. */
extern bool FetchRow(TableRows *rows, ItemPointer tid);
/*
 * Change columns of the row found, none of its key.  false: somebody else changed
 * the row meanwhile, and nothing was done; a statement will wait and see.
 */
extern bool ChangeRow(TableRows *rows, const int *columns, int n, const Datum *values, const bool *nulls);
/*
 * Insert one row unless its primary key, or that of claimed_by, is there.  false:
 * it is, or perhaps is, and nothing was done; likewise.
 */
extern bool ClaimRow(TableRows *rows, const Datum *values, const bool *nulls);
/* The last one opened first; NULL is none. */
extern void CloseRows(TableRows *rows);

/*
 * Insert rows that have all columns of the list.  Values must live until
 * EndInsert, which writes what has not been written.
 */
typedef struct TableInsert TableInsert;

extern TableInsert *BeginInsert(CrmTable *table);
extern void PutRow(TableInsert *insert, const Datum *values, const bool *nulls);
extern void EndInsert(TableInsert *insert);

extern void TableInit(void);

#endif
