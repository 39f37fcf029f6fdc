/*
 * table.c: rows of our own tables, found by key without a statement.
 */
#include "crm_member.h"
#include "table_shape.h"

#include "access/genam.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "executor/executor.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

static TableRows *
BeginRows(CrmTable *table, AclMode rights, bool anew)
{
	LOCKMODE	lock = rights == ACL_SELECT ? AccessShareLock : RowExclusiveLock;
	Relation	rel = OpenTable(table, rights, lock);
	TableRows  *rows;

	if (rel == NULL)
		return NULL;
	rows = palloc0(sizeof(TableRows));
	rows->table = table;
	rows->shape = table->shape;
	rows->rel = rel;
	if (anew)
	{
		CommandCounterIncrement();
		PushActiveSnapshot(GetTransactionSnapshot());
	}
	else
		PushActiveSnapshot(GetActiveSnapshot());
	rows->index = index_open(rows->shape->key, lock);
	rows->snapshot = GetActiveSnapshot();
	rows->context = CurrentMemoryContext;
	rows->row = table_slot_create(rel, NULL);
	return rows;
}

TableRows *
OpenRows(CrmTable *table, AclMode rights)
{
	return BeginRows(table, rights, true);
}

TableRows *
PeekRows(CrmTable *table)
{
	return BeginRows(table, ACL_SELECT, false);
}

void
FindRows(TableRows *rows, const Datum *key, int nkeys)
{
	ScanKeyData keys[INDEX_MAX_KEYS];
	MemoryContext old;

	memcpy(keys, rows->shape->keys, sizeof(ScanKeyData) * nkeys);
	for (int i = 0; i < nkeys; i++)
		keys[i].sk_argument = key[i];
	if (rows->scan == NULL || rows->scan->numberOfKeys != nkeys)
	{
		if (rows->scan != NULL)
			index_endscan(rows->scan);
		old = MemoryContextSwitchTo(rows->context);
		rows->scan = BeginIndexScan(rows->rel, rows->index, rows->snapshot, nkeys);
		MemoryContextSwitchTo(old);
	}
	index_rescan(rows->scan, keys, nkeys, NULL, 0);
}

bool
FindNext(TableRows *rows)
{
	/* the index may keep what it allocates */
	MemoryContext old = MemoryContextSwitchTo(rows->context);
	bool		found = index_getnext_slot(rows->scan, ForwardScanDirection, rows->row);

	MemoryContextSwitchTo(old);
	return found;
}

bool
FindRow(TableRows *rows, const Datum *key)
{
	FindRows(rows, key, rows->shape->nkeys);
	return FindNext(rows);
}

bool
FetchRow(TableRows *rows, ItemPointer tid)
{
	return table_tuple_fetch_row_version(rows->rel, tid, rows->snapshot, rows->row);
}

Datum
RowColumn(TableRows *rows, int column, bool *isnull)
{
	return slot_getattr(rows->row, rows->shape->attnums[column], isnull);
}

void
RowColumns(TableRows *rows, Datum *values, bool *nulls)
{
	slot_getallattrs(rows->row);
	for (int i = 0; i < rows->table->ncolumns; i++)
	{
		values[i] = rows->row->tts_values[rows->shape->attnums[i] - 1];
		nulls[i] = rows->row->tts_isnull[rows->shape->attnums[i] - 1];
	}
}

void
CloseRows(TableRows *rows)
{
	if (rows == NULL)
		return;
	if (rows->scan != NULL)
		index_endscan(rows->scan);
	index_close(rows->index, NoLock);
	ExecDropSingleTupleTableSlot(rows->row);
	if (rows->estate != NULL)
	{
		ExecDropSingleTupleTableSlot(rows->changed);
		ExecCloseIndices(rows->target);
		FreeExecutorState(rows->estate);
		CommandCounterIncrement();
	}
	PopActiveSnapshot();
	table_close(rows->rel, NoLock);
	pfree(rows);
}
