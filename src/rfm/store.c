/*
 * store.c: bring the rows of rfm_member of a model up to date.
 *
 * One scan of the table finds what is stored; rows that differ are updated in
 * place where there is room, new ones inserted many at a time in the order of
 * member_id, which keeps the index from splitting in its middle.
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

static void
OpenStore(Store *store, const char *model_code)
{
	store->rel = table_open(CrmRelation("rfm_member"), RowExclusiveLock);
	if (RelationGetDescr(store->rel)->natts != COLUMN_COUNT)
		elog(ERROR, "crm_member.rfm_member has %d columns", RelationGetDescr(store->rel)->natts);
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

static void
InsertRows(Store *store, const Tally *tallies, size_t n, const bool *stored)
{
	BulkInsertState bulk = GetBulkInsertState();
	CommandId	command = GetCurrentCommandId(true);
	TupleTableSlot **rows = palloc(WRITE_BATCH * sizeof(TupleTableSlot *));
	int			nrows = 0;

	for (int i = 0; i < WRITE_BATCH; i++)
		rows[i] = table_slot_create(store->rel, NULL);
	for (size_t i = 0; i <= n; i++)
	{
		if (i < n && !stored[i])
			FillRow(store, rows[nrows++], &tallies[i]);
		if (nrows == WRITE_BATCH || (i == n && nrows > 0))
		{
			MemoryContext old = MemoryContextSwitchTo(store->row_context);

			CHECK_FOR_INTERRUPTS();
			table_multi_insert(store->rel, rows, nrows, command, 0, bulk);
			for (int row = 0; row < nrows; row++)
				InsertIndexEntries(store, rows[row], INDEX_WORK_ALL);
			nrows = 0;
			MemoryContextSwitchTo(old);
			MemoryContextReset(store->row_context);
		}
	}
	for (int i = 0; i < WRITE_BATCH; i++)
		ExecDropSingleTupleTableSlot(rows[i]);
	FreeBulkInsertState(bulk);
	pfree(rows);
}

/* Index of the member in the ascending tallies, or n.  Rows mostly come in order: *next is tried first. */
static size_t
FindTally(const Tally *tallies, size_t n, int64 member, size_t *next)
{
	size_t		lo = 0;
	size_t		hi = n;

	if (*next < n && tallies[*next].member == member)
		return (*next)++;
	while (lo < hi)
	{
		size_t		mid = lo + (hi - lo) / 2;

		if (tallies[mid].member < member)
			lo = mid + 1;
		else
			hi = mid;
	}
	*next = lo;
	if (lo < n && tallies[lo].member == member)
		return (*next)++;
	return n;
}

static bool
SameTally(const Tally *tally, TupleTableSlot *row)
{
	return tally->first_day - POSTGRES_EPOCH_JDATE ==
			   DatumGetDateADT(row->tts_values[COLUMN_FIRST_DAY]) &&
		   tally->last_day - POSTGRES_EPOCH_JDATE ==
			   DatumGetDateADT(row->tts_values[COLUMN_LAST_DAY]) &&
		   tally->frequency == DatumGetInt64(row->tts_values[COLUMN_FREQUENCY]) &&
		   tally->monetary == DatumGetInt64(row->tts_values[COLUMN_MONETARY]);
}

static bool
SameText(text *a, Datum b)
{
	text	   *other = DatumGetTextPP(b);
	int			length = VARSIZE_ANY_EXHDR(a);

	return VARSIZE_ANY_EXHDR(other) == length && memcmp(VARDATA_ANY(a), VARDATA_ANY(other), length) == 0;
}

uint64
StoreTallies(const char *model_code, const Tally *tallies, size_t n)
{
	Store		store;
	TableScanDesc scan;
	TupleTableSlot *row;
	uint64		changed = 0;
	size_t		nstored = 0;
	size_t		next = 0;
	bool	   *stored =
		MemoryContextAllocExtended(CurrentMemoryContext, Max(n, 1), MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);

	OpenStore(&store, model_code);
	row = table_slot_create(store.rel, NULL);
	scan = table_beginscan(store.rel, GetActiveSnapshot(), 0, NULL);
	while (table_scan_getnextslot(scan, ForwardScanDirection, row))
	{
		size_t		i;

		CHECK_FOR_INTERRUPTS();
		slot_getallattrs(row);
		if (!SameText(store.model_code, row->tts_values[COLUMN_MODEL_CODE]))
			continue;
		i = FindTally(tallies, n, DatumGetInt64(row->tts_values[COLUMN_MEMBER_ID]), &next);
		if (i == n)
		{
			simple_table_tuple_delete(store.rel, &row->tts_tid, GetActiveSnapshot());
			changed++;
			continue;
		}
		stored[i] = true;
		nstored++;
		if (!SameTally(&tallies[i], row))
		{
			UpdateRow(&store, &row->tts_tid, &tallies[i]);
			changed++;
		}
	}
	table_endscan(scan);
	ExecDropSingleTupleTableSlot(row);

	if (nstored < n)
		InsertRows(&store, tallies, n, stored);
	changed += n - nstored;
	CloseStore(&store);
	pfree(stored);
	CommandCounterIncrement();
	return changed;
}
