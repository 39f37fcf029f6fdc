/*
 * store.c: bring the rows of rfm_member of a model up to date.
 *
 * Rows that differ are updated, in their page where there is room; new ones are
 * inserted many at a time in the order of member_id, which keeps the index from
 * splitting in its middle.
 */
#include "crm_member.h"
#include "catalog.h"
#include "rfm/store.h"

#include "access/heapam.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "executor/executor.h"
#include "executor/tuptable.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#define WRITE_BATCH 500

enum
{
	COLUMN_MEMBER_ID,
	COLUMN_FIRST_DAY,
	COLUMN_LAST_DAY,
	COLUMN_FREQUENCY,
	COLUMN_MONETARY,
	COLUMN_MODEL_CODE,
	COLUMN_COUNT
};

typedef struct Store
{
	Relation	rel;
	EState	   *estate;
	ResultRelInfo *target;
	MemoryContext row_context;
	text	   *model_code;
	TupleTableSlot *row;		/* for updates */
} Store;

static Relation
OpenTallies(LOCKMODE mode)
{
	Relation	rel = table_open(CrmRelation("rfm_member"), mode);

	if (RelationGetDescr(rel)->natts != COLUMN_COUNT)
		elog(ERROR, "crm_member.rfm_member has %d columns", RelationGetDescr(rel)->natts);
	return rel;
}

static void
OpenStore(Store *store, const char *model_code)
{
	store->rel = OpenTallies(RowExclusiveLock);
	store->estate = CreateExecutorState();
	store->target = makeNode(ResultRelInfo);
	InitResultRelInfo(store->target, store->rel, 1, NULL, 0);
	ExecOpenIndices(store->target, false);
	store->row_context =
		AllocSetContextCreate(CurrentMemoryContext, "rfm write", ALLOCSET_DEFAULT_SIZES);
	store->model_code = cstring_to_text(model_code);
	store->row = table_slot_create(store->rel, NULL);
}

static void
CloseStore(Store *store)
{
	ExecDropSingleTupleTableSlot(store->row);
	ExecCloseIndices(store->target);
	FreeExecutorState(store->estate);
	MemoryContextDelete(store->row_context);
	table_close(store->rel, NoLock);
}

static void
FillRow(Store *store, TupleTableSlot *row, const Tally *tally)
{
	ExecClearTuple(row);
	memset(row->tts_isnull, 0, COLUMN_COUNT * sizeof(bool));
	row->tts_values[COLUMN_MEMBER_ID] = Int64GetDatum(tally->member);
	row->tts_values[COLUMN_FIRST_DAY] = DateADTGetDatum(tally->first_day - POSTGRES_EPOCH_JDATE);
	row->tts_values[COLUMN_LAST_DAY] = DateADTGetDatum(tally->last_day - POSTGRES_EPOCH_JDATE);
	row->tts_values[COLUMN_FREQUENCY] = Int64GetDatum(tally->frequency);
	row->tts_values[COLUMN_MONETARY] = Int64GetDatum(tally->monetary);
	row->tts_values[COLUMN_MODEL_CODE] = PointerGetDatum(store->model_code);
	ExecStoreVirtualTuple(row);
}

static void
InsertIndexEntries(Store *store, TupleTableSlot *row, IndexWork work)
{
	if (store->target->ri_NumIndices > 0 && HasIndexWork(work))
		list_free(InsertIndexTuples(store->target, row, store->estate, work));
	ResetPerTupleExprContext(store->estate);
}

static void
UpdateRow(Store *store, ItemPointer tid, const Tally *tally)
{
	MemoryContext old = MemoryContextSwitchTo(store->row_context);
	IndexWork	work;

	FillRow(store, store->row, tally);
	simple_table_tuple_update(store->rel, tid, store->row, GetActiveSnapshot(), &work);
	InsertIndexEntries(store, store->row, work);
	MemoryContextSwitchTo(old);
	MemoryContextReset(store->row_context);
}

/* Rows that wait to be inserted together. */
typedef struct InsertBatch
{
	BulkInsertState bulk;
	CommandId	command;
	int			nrows;
	TupleTableSlot *rows[WRITE_BATCH];
} InsertBatch;

static void
FlushInserts(Store *store, InsertBatch *batch)
{
	MemoryContext old = MemoryContextSwitchTo(store->row_context);

	CHECK_FOR_INTERRUPTS();
	table_multi_insert(store->rel, batch->rows, batch->nrows, batch->command, 0, batch->bulk);
	for (int row = 0; row < batch->nrows; row++)
		InsertIndexEntries(store, batch->rows[row], INDEX_WORK_ALL);
	batch->nrows = 0;
	MemoryContextSwitchTo(old);
	MemoryContextReset(store->row_context);
}

static void
InsertRow(Store *store, InsertBatch *batch, const Tally *tally)
{
	if (batch->bulk == NULL)
	{
		batch->bulk = GetBulkInsertState();
		batch->command = GetCurrentCommandId(true);
		for (int i = 0; i < WRITE_BATCH; i++)
			batch->rows[i] = table_slot_create(store->rel, NULL);
	}
	FillRow(store, batch->rows[batch->nrows++], tally);
	if (batch->nrows == WRITE_BATCH)
		FlushInserts(store, batch);
}

static void
EndInserts(Store *store, InsertBatch *batch)
{
	if (batch->bulk == NULL)
		return;
	if (batch->nrows > 0)
		FlushInserts(store, batch);
	for (int i = 0; i < WRITE_BATCH; i++)
		ExecDropSingleTupleTableSlot(batch->rows[i]);
	FreeBulkInsertState(batch->bulk);
}

static bool
SameText(text *a, Datum b)
{
	text	   *other = DatumGetTextPP(b);
	int			length = VARSIZE_ANY_EXHDR(a);

	return VARSIZE_ANY_EXHDR(other) == length && memcmp(VARDATA_ANY(a), VARDATA_ANY(other), length) == 0;
}

#define ST_SORT SortStored
#define ST_ELEMENT_TYPE StoredTally
#define ST_COMPARE(a, b) ((a)->tally.member < (b)->tally.member ? -1 : (a)->tally.member > (b)->tally.member)
#define ST_SCOPE static
#define ST_CHECK_FOR_INTERRUPTS
#define ST_DEFINE
#include "lib/sort_template.h"

size_t
LoadTallies(const char *model_code, StoredTally **stored)
{
	Relation	rel = OpenTallies(AccessShareLock);
	TupleTableSlot *row = table_slot_create(rel, NULL);
	TableScanDesc scan = table_beginscan(rel, GetActiveSnapshot(), 0, NULL);
	text	   *model = cstring_to_text(model_code);
	size_t		allocated = 4096;
	size_t		n = 0;
	bool		ascending = true;

	*stored = palloc(allocated * sizeof(StoredTally));
	while (table_scan_getnextslot(scan, ForwardScanDirection, row))
	{
		StoredTally *next;

		CHECK_FOR_INTERRUPTS();
		slot_getallattrs(row);
		if (!SameText(model, row->tts_values[COLUMN_MODEL_CODE]))
			continue;
		if (n == allocated)
		{
			allocated *= 2;
			*stored = repalloc_huge(*stored, allocated * sizeof(StoredTally));
		}
		next = &(*stored)[n++];
		next->tid = row->tts_tid;
		next->tally.member = DatumGetInt64(row->tts_values[COLUMN_MEMBER_ID]);
		next->tally.frequency = DatumGetInt64(row->tts_values[COLUMN_FREQUENCY]);
		next->tally.monetary = DatumGetInt64(row->tts_values[COLUMN_MONETARY]);
		next->tally.first_day =
			DatumGetDateADT(row->tts_values[COLUMN_FIRST_DAY]) + POSTGRES_EPOCH_JDATE;
		next->tally.last_day =
			DatumGetDateADT(row->tts_values[COLUMN_LAST_DAY]) + POSTGRES_EPOCH_JDATE;
		if (n > 1 && next->tally.member < next[-1].tally.member)
			ascending = false;
	}
	table_endscan(scan);
	ExecDropSingleTupleTableSlot(row);
	table_close(rel, NoLock);
	if (!ascending)
		SortStored(*stored, n);
	return n;
}

static bool
SameTally(const Tally *a, const Tally *b)
{
	return a->frequency == b->frequency && a->monetary == b->monetary &&
		   a->first_day == b->first_day && a->last_day == b->last_day;
}

uint64
StoreTallies(const char *model_code, const StoredTally *stored, size_t nstored,
			 const Tally *tallies, size_t n)
{
	Store		store;
	InsertBatch inserts = {0};
	uint64		changed = 0;
	size_t		i = 0;
	size_t		s = 0;

	OpenStore(&store, model_code);
	while (i < n || s < nstored)
	{
		if (s == nstored || (i < n && tallies[i].member < stored[s].tally.member))
		{
			InsertRow(&store, &inserts, &tallies[i++]);
			changed++;
		}
		else if (i == n || stored[s].tally.member < tallies[i].member)
		{
			ItemPointerData tid = stored[s++].tid;

			CHECK_FOR_INTERRUPTS();
			simple_table_tuple_delete(store.rel, &tid, GetActiveSnapshot());
			changed++;
		}
		else
		{
			ItemPointerData tid = stored[s].tid;

			if (!SameTally(&tallies[i], &stored[s].tally))
			{
				CHECK_FOR_INTERRUPTS();
				UpdateRow(&store, &tid, &tallies[i]);
				changed++;
			}
			i++;
			s++;
		}
	}
	EndInserts(&store, &inserts);
	CloseStore(&store);
	CommandCounterIncrement();
	return changed;
}
