/*
 * expire.c: a step of expire_points(): what expired, booked for many accounts.
 *
 * Accounts are read without a lock, then their open lots, each account's in one
 * descent of the index: those that expired are summed up, and the first that did
 * not says when to look again.  No lot is written.  Whatever changes lots of an
 * account numbers an entry in it, so an account whose entry_no is another by the
 * time it is written has changed meanwhile, and is left for the next step.
 */
#include "crm_member.h"
#include "catalog.h"
#include "points/ledger.h"
#include "query.h"
#include "rfm/writer.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/relation.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/snapmgr.h"

/* An account that may have something to expire. */
typedef struct Due
{
	ItemPointerData tid;
	int64		member_id;
	const PointsType *type;
	int64		balance;
	int64		entry_no;
	TimestampTz expired_to;
	int64		points;			/* that expired */
	TimestampTz next;			/* when the first of the rest does */
} Due;

/* Columns of points_entry, of which an expiry fills the first. */
enum
{
	ENTRY_MEMBER_ID,
	ENTRY_POINTS_TYPE,
	ENTRY_NO,
	ENTRY_KIND,
	ENTRY_POINTS,
	ENTRY_BALANCE,
	ENTRY_AT,
	ENTRY_BOOKED_AT,
	ENTRY_REST,
	ENTRY_COLUMNS = 22
};

/* Of holds that timed out, the oldest; how many were found, at most limit. */
static int64
ReleaseHolds(TimestampTz as_of, int limit)
{
	static CrmQuery query = {
		"SELECT d.member_id, d.points_type, count(*) "
		"FROM (SELECT h.member_id, h.points_type FROM crm_member.points_hold h "
		"WHERE h.held > 0 AND h.expires_at <= $1 ORDER BY h.expires_at LIMIT $2) d "
		"GROUP BY 1, 2 ORDER BY 1, 2",
		2, {TIMESTAMPTZOID, INT4OID}};
	Datum		values[2] = {TimestampTzGetDatum(as_of), Int32GetDatum(limit)};
	uint64		found = RunQuery(&query, values, NULL, false, 0);
	SPITupleTable *table = SPI_tuptable;
	int64		holds = 0;

	for (uint64 row = 0; row < found; row++)
	{
		bool		isnull;
		int64		member_id;
		char	   *type;

		CHECK_FOR_INTERRUPTS();
		SPI_tuptable = table;
		member_id = DatumGetInt64(QueryColumn(row, 1, &isnull));
		type = QueryText(row, 2);
		holds += DatumGetInt64(QueryColumn(row, 3, &isnull));
		ReleaseTimedOut(member_id, FindPointsType(GetRuleSet(), type), as_of);
	}
	return holds;
}

static Due *
LoadDue(TimestampTz as_of, int64 after_member, int limit, int64 *n)
{
	static CrmQuery query = {
		"SELECT ctid, member_id, points_type, balance, entry_no, expired_to "
		"FROM crm_member.points_account WHERE member_id > $1 AND expires_at <= $2 "
		"ORDER BY member_id, points_type LIMIT $3",
		3, {INT8OID, TIMESTAMPTZOID, INT4OID}};
	Datum		values[3] = {Int64GetDatum(after_member), TimestampTzGetDatum(as_of), Int32GetDatum(limit)};
	uint64		found = RunQuery(&query, values, NULL, false, 0);
	SPITupleTable *table = SPI_tuptable;
	Due		   *dues = palloc_extended(sizeof(Due) * Max(found, 1), MCXT_ALLOC_HUGE);
	const RuleSet *set = GetRuleSet();

	for (uint64 row = 0; row < found; row++)
	{
		Due		   *due = &dues[row];
		bool		isnull;

		SPI_tuptable = table;
		due->tid = *(ItemPointer) DatumGetPointer(QueryColumn(row, 1, &isnull));
		due->member_id = DatumGetInt64(QueryColumn(row, 2, &isnull));
		due->type = FindPointsType(set, QueryText(row, 3));
		due->balance = PointsColumn(row, 4, due->type);
		due->entry_no = DatumGetInt64(QueryColumn(row, 5, &isnull));
		due->expired_to = DatumGetTimestampTz(QueryColumn(row, 6, &isnull));
		due->points = 0;
		due->next = DT_NOEND;
	}
	SPI_freetuptable(table);
	*n = found;
	return dues;
}

/* Sum up what expired until as_of; later statements see no less than this does. */
static void
SumLots(Due *dues, int64 n, TimestampTz as_of)
{
	Relation	lots = table_open(CrmRelation("points_lot"), AccessShareLock);
	Relation	index = index_open(CrmRelation("points_lot_open"), AccessShareLock);
	TupleTableSlot *slot = table_slot_create(lots, NULL);
	Snapshot	snapshot = RegisterSnapshot(GetTransactionSnapshot());
	IndexScanDesc scan = BeginIndexScan(lots, index, snapshot, 3);
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "crm_member lots",
												  ALLOCSET_SMALL_SIZES);
	MemoryContext old;
	int			remaining = get_attnum(RelationGetRelid(lots), "remaining");

	scan->xs_want_itup = true;
	for (int64 i = 0; i < n; i++)
	{
		Due		   *due = &dues[i];
		ScanKeyData keys[3];
		Datum		type;
		bool		isnull;

		CHECK_FOR_INTERRUPTS();
		MemoryContextReset(context);
		old = MemoryContextSwitchTo(context);
		type = CStringGetTextDatum(due->type->name);
		MemoryContextSwitchTo(old);
		ScanKeyInit(&keys[0], 1, BTEqualStrategyNumber, F_INT8EQ, Int64GetDatum(due->member_id));
		ScanKeyEntryInitialize(&keys[1], 0, 2, BTEqualStrategyNumber, InvalidOid,
							   index->rd_indcollation[1], F_TEXTEQ, type);
		ScanKeyInit(&keys[2], 3, BTGreaterStrategyNumber, F_TIMESTAMPTZ_GT,
					TimestampTzGetDatum(due->expired_to));
		index_rescan(scan, keys, 3, NULL, 0);
		while (index_getnext_tid(scan, ForwardScanDirection) != NULL)
		{
			TimestampTz expires_at =
				DatumGetTimestampTz(index_getattr(scan->xs_itup, 3, scan->xs_itupdesc, &isnull));

			/* what a dead row says comes too soon at worst: then it is looked at again */
			if (expires_at > as_of)
			{
				due->next = expires_at;
				break;
			}
			if (!index_fetch_heap(scan, slot))
				continue;
			old = MemoryContextSwitchTo(context);
			due->points = AddMinor(due->points,
								   ExactMinor(DatumGetNumeric(slot_getattr(slot, remaining, &isnull)),
											  due->type->decimals, "points"));
			MemoryContextSwitchTo(old);
		}
	}
	MemoryContextDelete(context);
	index_endscan(scan);
	UnregisterSnapshot(snapshot);
	ExecDropSingleTupleTableSlot(slot);
	index_close(index, AccessShareLock);
	table_close(lots, AccessShareLock);
}

/* Write the accounts; booked[i]: it was as it had been read. */
static int64
PostDue(const Due *dues, int64 n, TimestampTz as_of, bool *booked)
{
	static const BatchColumn columns[] = {
		{"place", INT8OID}, {"tid", TIDOID}, {"old_entry_no", INT8OID}, {"balance", NUMERICOID},
		{"entry_no", INT8OID}, {"expired_to", TIMESTAMPTZOID}, {"expires_at", TIMESTAMPTZOID}};
	static CrmQuery query = {
		"UPDATE crm_member.points_account a SET balance = b.balance, entry_no = b.entry_no, "
		"expired_to = b.expired_to, expires_at = b.expires_at "
		"FROM batch b WHERE a.ctid = b.tid AND a.entry_no = b.old_entry_no RETURNING b.place", 0};
	RowBatch   *batch = BeginBatch(columns, lengthof(columns));
	uint64		written;

	for (int64 i = 0; i < n; i++)
	{
		const Due  *due = &dues[i];
		Datum		values[lengthof(columns)];
		bool		nulls[lengthof(columns)] = {false};

		values[0] = Int64GetDatum(i);
		values[1] = PointerGetDatum(&due->tid);
		values[2] = Int64GetDatum(due->entry_no);
		values[3] = PointsDatum(due->balance - due->points, due->type);
		values[4] = Int64GetDatum(due->entry_no + (due->points > 0));
		values[5] = TimestampTzGetDatum(Max(due->expired_to, as_of));
		values[6] = TimestampTzGetDatum(due->next);
		AddRow(batch, values, nulls);
	}
	written = RunBatch(&query, batch);
	EndBatch(batch);
	for (uint64 row = 0; row < written; row++)
	{
		bool		isnull;

		booked[DatumGetInt64(QueryColumn(row, 1, &isnull))] = true;
	}
	SPI_freetuptable(SPI_tuptable);
	return written;
}

static void
PostEntries(const Due *dues, int64 n, TimestampTz as_of, const bool *booked)
{
	Writer		writer;
	MemoryContext old;

	OpenWriter(&writer, "points_entry", ENTRY_COLUMNS);
	for (int64 i = 0; i < n; i++)
	{
		const Due  *due = &dues[i];
		TupleTableSlot *row;

		if (!booked[i] || due->points == 0)
			continue;
		row = NextRow(&writer);
		old = MemoryContextSwitchTo(writer.context);
		row->tts_values[ENTRY_MEMBER_ID] = Int64GetDatum(due->member_id);
		row->tts_values[ENTRY_POINTS_TYPE] = CStringGetTextDatum(due->type->name);
		row->tts_values[ENTRY_NO] = Int64GetDatum(due->entry_no + 1);
		row->tts_values[ENTRY_KIND] = CStringGetTextDatum("expire");
		row->tts_values[ENTRY_POINTS] = PointsDatum(-due->points, due->type);
		row->tts_values[ENTRY_BALANCE] = PointsDatum(due->balance - due->points, due->type);
		row->tts_values[ENTRY_AT] = TimestampTzGetDatum(as_of);
		row->tts_values[ENTRY_BOOKED_AT] = TimestampTzGetDatum(GetCurrentTransactionStartTimestamp());
		for (int column = ENTRY_REST; column < ENTRY_COLUMNS; column++)
			row->tts_isnull[column] = true;
		MemoryContextSwitchTo(old);
		InsertRow(&writer);
	}
	CloseWriter(&writer);
}

/* What expired, in whatever decimals. */
static Numeric
SumPoints(const Due *dues, int64 n, const bool *booked)
{
	Datum		sum = NumericGetDatum(MinorToNumeric(0, 0));

	for (int64 i = 0; i < n; i++)
	{
		if (booked[i])
			sum = DirectFunctionCall2(numeric_add, sum, PointsDatum(dues[i].points, dues[i].type));
	}
	return DatumGetNumeric(sum);
}

/* expire_step(as_of, after_member, accounts) -> (due, booked, points, last_member, holds) */
PG_FUNCTION_INFO_V1(crm_expire_step);
Datum
crm_expire_step(PG_FUNCTION_ARGS)
{
	TimestampTz as_of = PG_GETARG_TIMESTAMPTZ(0);
	int			limit = PG_GETARG_INT32(2);
	MemoryContext caller = CurrentMemoryContext;
	TupleDesc	desc;
	Datum		results[5];
	bool		nulls[5] = {false};
	Due		   *dues;
	bool	   *booked;
	int64		n;
	int64		holds;

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	SPI_connect();
	holds = ReleaseHolds(as_of, limit);
	dues = LoadDue(as_of, PG_GETARG_INT64(1), limit, &n);
	SumLots(dues, n, as_of);
	booked = palloc0(sizeof(bool) * Max(n, 1));
	results[0] = Int64GetDatum(n);
	results[1] = Int64GetDatum(PostDue(dues, n, as_of, booked));
	PostEntries(dues, n, as_of, booked);
	results[2] = NumericGetDatum(SumPoints(dues, n, booked));
	nulls[3] = n == 0;
	results[3] = Int64GetDatum(n == 0 ? 0 : dues[n - 1].member_id);
	results[4] = Int64GetDatum(holds);

	MemoryContextSwitchTo(caller);
	results[0] = HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), results, nulls));
	SPI_finish();
	PG_RETURN_DATUM(results[0]);
}
