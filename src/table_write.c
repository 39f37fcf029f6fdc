/*
 * table_write.c: rows of our own tables, changed and inserted without a statement,
 * as the statement would: defaults, generated columns, constraints, indexes.
 */
#include "crm_member.h"
#include "table_shape.h"

#include "access/heapam.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_class.h"
#include "executor/executor.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "parser/parse_relation.h"
#include "storage/lmgr.h"
#include "utils/datum.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#define FLUSH_ROWS	100

/* Say which constraint a row breaks. */
static void pg_attribute_noreturn()
RefuseRow(ResultRelInfo *target, EState *estate, TupleTableSlot *slot)
{
	RangeTblEntry *rte = makeNode(RangeTblEntry);
	List	   *rights = NIL;

	rte->rtekind = RTE_RELATION;
	rte->relid = RelationGetRelid(target->ri_RelationDesc);
	rte->relkind = RELKIND_RELATION;
	rte->rellockmode = RowExclusiveLock;
	SetRangeTable(estate, rte, &rights);
	ExecConstraints(target, slot, estate);
	elog(ERROR, "a row of \"%s\" breaks a constraint",
		 RelationGetRelationName(target->ri_RelationDesc));
}

/* Columns that are computed, and whether all is as it must be. */
static void
FinishRow(const TableShape *shape, ResultRelInfo *target, EState *estate, TupleTableSlot *slot)
{
	ExprContext *econtext = GetPerTupleExprContext(estate);
	MemoryContext old = MemoryContextSwitchTo(econtext->ecxt_per_tuple_memory);
	bool		valid = true;

	econtext->ecxt_scantuple = slot;
	for (int i = 0; i < shape->natts; i++)
	{
		if (shape->generated[i] == NULL)
			continue;
		slot->tts_values[i] = ExecEvalExpr(shape->generated[i], econtext, &slot->tts_isnull[i]);
		if (!slot->tts_isnull[i])
		{
			MemoryContextSwitchTo(slot->tts_mcxt);
			slot->tts_values[i] = datumCopy(slot->tts_values[i], shape->byval[i], shape->lengths[i]);
			MemoryContextSwitchTo(econtext->ecxt_per_tuple_memory);
		}
	}
	for (int i = 0; valid && i < shape->natts; i++)
		valid = !shape->required[i] || !slot->tts_isnull[i];
	for (int i = 0; valid && i < shape->nchecks; i++)
		valid = ExecCheck(shape->checks[i], econtext);
	MemoryContextSwitchTo(old);
	if (!valid)
		RefuseRow(target, estate, slot);
	ResetPerTupleExprContext(estate);
}

static ResultRelInfo *
OpenTarget(Relation rel, bool speculative)
{
	ResultRelInfo *target = makeNode(ResultRelInfo);

	InitResultRelInfo(target, rel, 0, NULL, 0);	/* of no range table */
	ExecOpenIndices(target, speculative);
	return target;
}

static void
InsertIndexes(ResultRelInfo *target, EState *estate, TupleTableSlot *slot, IndexWork work)
{
	if (target->ri_NumIndices > 0 && HasIndexWork(work))
		list_free(InsertIndexTuples(target, slot, estate, work));
	ResetPerTupleExprContext(estate);
}

static void
FillSlot(CrmTable *table, const TableShape *shape, EState *estate, TupleTableSlot *slot,
		 const Datum *values, const bool *nulls)
{
	ExecClearTuple(slot);
	for (int i = 0; i < shape->natts; i++)
	{
		slot->tts_isnull[i] = shape->defaults[i] == NULL;
		slot->tts_values[i] = (Datum) 0;
		if (shape->defaults[i] != NULL)
		{
			/* the value must outlive the row's context */
			MemoryContext old = MemoryContextSwitchTo(slot->tts_mcxt);

			slot->tts_values[i] = ExecEvalExpr(shape->defaults[i], GetPerTupleExprContext(estate),
											   &slot->tts_isnull[i]);
			MemoryContextSwitchTo(old);
		}
	}
	for (int i = 0; i < table->ncolumns; i++)
	{
		slot->tts_values[shape->attnums[i] - 1] = values[i];
		slot->tts_isnull[shape->attnums[i] - 1] = nulls[i];
	}
	ExecStoreVirtualTuple(slot);
}

static void
BeginWrites(TableRows *rows)
{
	MemoryContext old;

	if (rows->estate != NULL)
		return;
	old = MemoryContextSwitchTo(rows->context);
	rows->estate = CreateExecutorState();
	rows->target = OpenTarget(rows->rel, true);
	rows->changed = MakeSingleTupleTableSlot(RelationGetDescr(rows->rel), &TTSOpsVirtual);
	MemoryContextSwitchTo(old);
}

bool
ChangeRow(TableRows *rows, const int *columns, int n, const Datum *values, const bool *nulls)
{
	TM_FailureData failure;
	LockTupleMode lock;
	IndexWork	work;
	TM_Result	result;
	int			natts = rows->shape->natts;

	BeginWrites(rows);
	CheckCmdReplicaIdentity(rows->rel, CMD_UPDATE);
	ExecClearTuple(rows->changed);
	slot_getallattrs(rows->row);
	memcpy(rows->changed->tts_values, rows->row->tts_values, sizeof(Datum) * natts);
	memcpy(rows->changed->tts_isnull, rows->row->tts_isnull, sizeof(bool) * natts);
	for (int i = 0; i < n; i++)
	{
		int			att = rows->shape->attnums[columns[i]] - 1;

		rows->changed->tts_values[att] = values[i];
		rows->changed->tts_isnull[att] = nulls != NULL && nulls[i];
	}
	ExecStoreVirtualTuple(rows->changed);
	FinishRow(rows->shape, rows->target, rows->estate, rows->changed);
	result = table_tuple_update(rows->rel, &rows->row->tts_tid, rows->changed,
								GetCurrentCommandId(true), rows->snapshot, InvalidSnapshot,
								!rows->impatient, &failure, &lock, &work);
	if (result == TM_Updated || result == TM_Deleted || result == TM_BeingModified)
		return false;
	if (result != TM_Ok)
		elog(ERROR, "a row of \"%s\" was changed twice", RelationGetRelationName(rows->rel));
	InsertIndexes(rows->target, rows->estate, rows->changed, work);
	if (rows->shape->replaces_update)
	{
		bool		isnull;

		rows->table->replacement(DatumGetInt64(RowColumn(rows, 0, &isnull)));
	}
	return true;
}

/* As INSERT ... ON CONFLICT DO NOTHING does it, which others' inserts cannot slip by. */
bool
ClaimRow(TableRows *rows, const Datum *values, const bool *nulls)
{
	TupleTableSlot *slot;
	List	   *arbiter = list_make1_oid(rows->shape->claim);
	ItemPointerData there;
	uint32		token;
	bool		conflict = false;

	BeginWrites(rows);
	slot = rows->changed;
	FillSlot(rows->table, rows->shape, rows->estate, slot, values, nulls);
	FinishRow(rows->shape, rows->target, rows->estate, slot);
	slot->tts_tableOid = RelationGetRelid(rows->rel);
	if (!rows->hopeful && !NoConflict(rows->target, slot, rows->estate, &there, arbiter))
		return false;
	token = SpeculativeInsertionLockAcquire(GetCurrentTransactionId());
	table_tuple_insert_speculative(rows->rel, slot, GetCurrentCommandId(true), 0, NULL, token);
	list_free(InsertArbitratedIndexTuples(rows->target, slot, rows->estate, &conflict, arbiter));
	table_tuple_complete_speculative(rows->rel, slot, token, !conflict);
	SpeculativeInsertionLockRelease(GetCurrentTransactionId());
	ResetPerTupleExprContext(rows->estate);
	return !conflict;
}

struct TableInsert
{
	CrmTable   *table;
	RowBatch   *batch;			/* for a statement; NULL: without, and then: */
	const TableShape *shape;
	Relation	rel;
	EState	   *estate;
	ResultRelInfo *target;
	int			nrows;
	int			nslots;
	TupleTableSlot *slots[FLUSH_ROWS];
};

/* INSERT INTO the table (its columns) SELECT them FROM batch */
static CrmQuery *
InsertStatement(CrmTable *table)
{
	StringInfoData sql;
	StringInfoData columns;
	MemoryContext old;

	if (table->insert.sql != NULL)
		return &table->insert;
	initStringInfo(&columns);
	for (int i = 0; i < table->ncolumns; i++)
		appendStringInfo(&columns, "%s%s", i > 0 ? ", " : "", table->columns[i].name);
	old = MemoryContextSwitchTo(TopMemoryContext);
	initStringInfo(&sql);
	MemoryContextSwitchTo(old);
	appendStringInfo(&sql, "INSERT INTO " CRM_SCHEMA ".%s (%s) SELECT %s FROM batch", table->name,
					 columns.data, columns.data);
	table->insert.sql = sql.data;
	return &table->insert;
}

TableInsert *
BeginInsert(CrmTable *table)
{
	TableInsert *insert = palloc0(sizeof(TableInsert));

	insert->table = table;
	insert->rel = OpenTable(table, ACL_INSERT, RowExclusiveLock);
	if (insert->rel == NULL)
	{
		insert->batch = BeginBatch(table->columns, table->ncolumns);
		return insert;
	}
	insert->shape = table->shape;
	insert->estate = CreateExecutorState();
	insert->target = OpenTarget(insert->rel, false);
	return insert;
}

static void
FlushRows(TableInsert *insert)
{
	CHECK_FOR_INTERRUPTS();
	table_multi_insert(insert->rel, insert->slots, insert->nrows, GetCurrentCommandId(true), 0, NULL);
	for (int i = 0; i < insert->nrows; i++)
		InsertIndexes(insert->target, insert->estate, insert->slots[i], INDEX_WORK_ALL);
	insert->nrows = 0;
}

void
PutRow(TableInsert *insert, const Datum *values, const bool *nulls)
{
	TupleTableSlot *slot;

	if (insert->batch != NULL)
	{
		AddRow(insert->batch, unconstify(Datum *, values), unconstify(bool *, nulls));
		return;
	}
	if (insert->nrows == insert->nslots)
		insert->slots[insert->nslots++] = MakeSingleTupleTableSlot(RelationGetDescr(insert->rel),
																   &TTSOpsVirtual);
	slot = insert->slots[insert->nrows];
	FillSlot(insert->table, insert->shape, insert->estate, slot, values, nulls);
	FinishRow(insert->shape, insert->target, insert->estate, slot);
	if (insert->shape->replaces_insert)
		insert->table->replacement(DatumGetInt64(values[0]));
	if (++insert->nrows == FLUSH_ROWS)
		FlushRows(insert);
}

void
EndInsert(TableInsert *insert)
{
	if (insert->batch != NULL)
	{
		if (RunBatch(InsertStatement(insert->table), insert->batch) != insert->batch->count)
			elog(ERROR, "rows of \"%s\" were not written", insert->table->name);
		EndBatch(insert->batch);
		pfree(insert);
		return;
	}
	if (insert->nrows > 0)
		FlushRows(insert);
	for (int i = 0; i < insert->nslots; i++)
		ExecDropSingleTupleTableSlot(insert->slots[i]);
	ExecCloseIndices(insert->target);
	FreeExecutorState(insert->estate);
	table_close(insert->rel, NoLock);
	CommandCounterIncrement();
	pfree(insert);
}
