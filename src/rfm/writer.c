/*
 * writer.c: many rows into a table, indexes included.
 *
 * Where the table is empty its indexes are built when all rows are there, which
 * takes a quarter of the time of entering each; until the transaction ends others
 * then wait to read the table, in which they would find nothing.
 */
#include "crm_member.h"
#include "catalog.h"
#include "rfm/writer.h"

#include "access/heapam.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/index.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "storage/bufmgr.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

static void
StrangeColumn(Relation rel, const char *problem, const char *name)
{
	ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					errmsg("table crm_member.%s is not as setup() made it",
						   RelationGetRelationName(rel)),
					errdetail(problem, name)));
}

void
FindColumns(Relation rel, const char *const *names, int n, int *places)
{
	for (int i = 0; i < n; i++)
	{
		AttrNumber	number = get_attnum(RelationGetRelid(rel), names[i]);

		if (number <= 0)
			StrangeColumn(rel, "It has no column \"%s\".", names[i]);
		places[i] = number - 1;
	}
}

/* Columns that are not ours stay empty in rows we insert. */
static void
CheckOthers(const Writer *writer)
{
	TupleDesc	desc = RelationGetDescr(writer->rel);

	for (int i = 0; i < desc->natts; i++)
	{
		const FormData_pg_attribute *column = TupleDescAttr(desc, i);
		bool		ours = false;

		for (int c = 0; c < writer->ncolumns; c++)
			ours |= writer->places[c] == i;
		if (!ours && !column->attisdropped && (column->attnotnull || column->atthasdef))
			StrangeColumn(writer->rel, "Column \"%s\" has a default or must not be null.",
						  NameStr(column->attname));
	}
}

void
OpenWriter(Writer *writer, const char *table, const char *const *names, int n)
{
	memset(writer, 0, sizeof(*writer));
	writer->rel = table_open(CrmRelation(table), RowExclusiveLock);
	writer->ncolumns = n;
	FindColumns(writer->rel, names, n, writer->places);
	writer->estate = CreateExecutorState();
	writer->target = makeNode(ResultRelInfo);
	InitResultRelInfo(writer->target, writer->rel, 1, NULL, 0);
	ExecOpenIndices(writer->target, false);
	writer->context =
		AllocSetContextCreate(CurrentMemoryContext, "crm_member rows", ALLOCSET_DEFAULT_SIZES);
	/* a table that some open cursor reads cannot have its indexes built */
	writer->index_later =
		RelationGetNumberOfBlocks(writer->rel) == 0 && writer->rel->rd_refcnt == 1;
	writer->row = MakeSingleTupleTableSlot(RelationGetDescr(writer->rel), &TTSOpsVirtual);
}

static void
InsertIndexEntries(Writer *writer, TupleTableSlot *row, IndexWork work)
{
	if (writer->target->ri_NumIndices > 0 && HasIndexWork(work) && !writer->index_later)
		list_free(InsertIndexTuples(writer->target, row, writer->estate, work));
	ResetPerTupleExprContext(writer->estate);
}

static void
FlushRows(Writer *writer)
{
	MemoryContext old = MemoryContextSwitchTo(writer->context);

	CHECK_FOR_INTERRUPTS();
	table_multi_insert(writer->rel, writer->rows, writer->nrows, writer->command, 0, writer->bulk);
	for (int row = 0; row < writer->nrows; row++)
		InsertIndexEntries(writer, writer->rows[row], INDEX_WORK_ALL);
	writer->nrows = 0;
	MemoryContextSwitchTo(old);
	MemoryContextReset(writer->context);
}

static TupleTableSlot *
ClearRow(Writer *writer, TupleTableSlot *row)
{
	ExecClearTuple(row);
	memset(row->tts_isnull, true, RelationGetDescr(writer->rel)->natts * sizeof(bool));
	for (int i = 0; i < writer->ncolumns; i++)
		row->tts_isnull[writer->places[i]] = false;
	return row;
}

TupleTableSlot *
NextRow(Writer *writer)
{
	if (writer->bulk == NULL)
	{
		CheckOthers(writer);
		writer->bulk = GetBulkInsertState();
		writer->command = GetCurrentCommandId(true);
		for (int i = 0; i < WRITE_BATCH; i++)
			writer->rows[i] = table_slot_create(writer->rel, NULL);
	}
	return ClearRow(writer, writer->rows[writer->nrows]);
}

void
InsertRow(Writer *writer)
{
	ExecStoreVirtualTuple(writer->rows[writer->nrows++]);
	if (writer->nrows == WRITE_BATCH)
		FlushRows(writer);
}

TupleTableSlot *
UpdatedRow(Writer *writer)
{
	return ClearRow(writer, writer->row);
}

void
UpdateRow(Writer *writer, ItemPointerData tid)
{
	MemoryContext old = MemoryContextSwitchTo(writer->context);
	IndexWork	work;

	CHECK_FOR_INTERRUPTS();
	ExecStoreVirtualTuple(writer->row);
	simple_table_tuple_update(writer->rel, &tid, writer->row, GetActiveSnapshot(), &work);
	InsertIndexEntries(writer, writer->row, work);
	MemoryContextSwitchTo(old);
	if (writer->nrows == 0)
		MemoryContextReset(writer->context);
}

bool
TryUpdateRow(Writer *writer, ItemPointerData tid)
{
	MemoryContext old = MemoryContextSwitchTo(writer->context);
	IndexWork	work = INDEX_WORK_NONE;
	TM_FailureData failure;
	LockTupleMode lock;
	TM_Result	result;

	CHECK_FOR_INTERRUPTS();
	ExecStoreVirtualTuple(writer->row);
	result = table_tuple_update(writer->rel, &tid, writer->row, GetCurrentCommandId(true),
								GetActiveSnapshot(), InvalidSnapshot, true, &failure, &lock, &work);
	if (result == TM_Ok)
		InsertIndexEntries(writer, writer->row, work);
	else if (result != TM_Updated && result != TM_Deleted)
		elog(ERROR, "row could not be updated: %d", result);
	MemoryContextSwitchTo(old);
	if (writer->nrows == 0)
		MemoryContextReset(writer->context);
	return result == TM_Ok;
}

void
DeleteRow(Writer *writer, ItemPointerData tid)
{
	CHECK_FOR_INTERRUPTS();
	simple_table_tuple_delete(writer->rel, &tid, GetActiveSnapshot());
}

void
CloseWriter(Writer *writer)
{
	bool		written = writer->bulk != NULL;
	Oid			relid;

	if (writer->nrows > 0)
		FlushRows(writer);
	if (writer->bulk != NULL)
	{
		for (int i = 0; i < WRITE_BATCH; i++)
			ExecDropSingleTupleTableSlot(writer->rows[i]);
		FreeBulkInsertState(writer->bulk);
	}
	ExecDropSingleTupleTableSlot(writer->row);
	ExecCloseIndices(writer->target);
	FreeExecutorState(writer->estate);
	MemoryContextDelete(writer->context);
	relid = RelationGetRelid(writer->rel);
	table_close(writer->rel, NoLock);
	CommandCounterIncrement();
	if (writer->index_later && written)
	{
		ReindexParams params = {0};

		RebuildIndexes(relid, &params);
		CommandCounterIncrement();
	}
}
