/*
 * writer.h: many rows into a table, indexes included.
 *
 * For tables of ours that only the library writes: constraints are the caller's
 * business, and triggers are not fired.
 */
#ifndef CRM_WRITER_H
#define CRM_WRITER_H

#include "postgres.h"
#include "access/heapam.h"
#include "executor/tuptable.h"
#include "nodes/execnodes.h"
#include "storage/itemptr.h"
#include "utils/rel.h"

#define WRITE_BATCH 500
#define WRITER_COLUMNS 10

typedef struct Writer
{
	Relation	rel;
	int			ncolumns;
	int			places[WRITER_COLUMNS]; /* of the columns in a row: see FindColumns */
	EState	   *estate;
	ResultRelInfo *target;
	MemoryContext context;		/* of a batch */
	TupleTableSlot *row;		/* for updates */
	bool		index_later;	/* the table was empty: indexes are built at the end */

	/* Inserts wait until there is a batch of them. */
	BulkInsertState bulk;
	CommandId	command;
	int			nrows;
	TupleTableSlot *rows[WRITE_BATCH];
} Writer;

/*
 * Where in a row the columns of these names are, whatever was added or dropped
 * beside them; error where one is not there.
 */
extern void FindColumns(Relation rel, const char *const *names, int n, int *places);
extern void OpenWriter(Writer *writer, const char *table, const char *const *names, int n);
extern void CloseWriter(Writer *writer);

/*
 * An empty row to fill by places (tts_values; of the writer's columns none is
 * null, all others are), which InsertRow takes.  What it points to must live until
 * the batch is written: allocate it in context.
 */
extern TupleTableSlot *NextRow(Writer *writer);
extern void InsertRow(Writer *writer);

/* The same with writer->row and the row it replaces. */
extern TupleTableSlot *UpdatedRow(Writer *writer);
extern void UpdateRow(Writer *writer, ItemPointerData tid);
/* false: somebody else has changed or deleted it, and nothing is done */
extern bool TryUpdateRow(Writer *writer, ItemPointerData tid);
extern void DeleteRow(Writer *writer, ItemPointerData tid);

#endif
