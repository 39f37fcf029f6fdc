/*
 * expire.c: a step of expire_points(): what expired, booked for many accounts.
 *
 * Accounts are read page by page without a lock, then their open lots, each
 * account's in one descent of the index: those that expired are summed up, and
 * the first that did not says when to look again.  No lot is written.  Whatever
 * changes lots of an account numbers an entry in it, so an account that is not as
 * it was read by the time it is written has changed meanwhile: it is left alone,
 * and the next pass over the table finds it.
 */
#include "crm_member.h"
#include "points/ledger.h"
#include "query.h"
#include "rfm/writer.h"

#include "access/htup_details.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/snapmgr.h"

/* An account that may have something to expire. */
typedef struct Due
{
	HeapTuple	row;			/* as it was read */
	int64		member_id;
	const PointsType *type;
	int64		balance;
	int64		entry_no;
	TimestampTz expired_to;
	int64		points;			/* that expired */
	TimestampTz next;			/* when the first of the rest does */
	bool		booked;
} Due;

typedef struct DueList
{
	Due		   *items;
	int64		n;
	int64		max;
} DueList;

/* Columns of points_account that are read and written. */
enum
{
	PLACE_MEMBER_ID,
	PLACE_POINTS_TYPE,
	PLACE_BALANCE,
	PLACE_ENTRY_NO,
	PLACE_EXPIRES_AT,
	PLACE_EXPIRED_TO,
	PLACE_COLUMNS
};

static const char *const account_columns[PLACE_COLUMNS] = {"member_id", "points_type", "balance",
	"entry_no", "expires_at", "expired_to"};

/* Columns of points_entry that an expiry fills. */
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
	ENTRY_COLUMNS
};

static const char *const entry_columns[ENTRY_COLUMNS] = {"member_id", "points_type", "entry_no", "kind",
	"points", "balance", "at", "booked_at"};

/* Of holds that timed out, the oldest; how many were found, at most limit. */
static int64
ReleaseHolds(TimestampTz as_of, int limit)
{
	static CrmQuery query = {
		"SELECT d.member_id, d.points_type, count(*) "
		"FROM (SELECT h.member_id, h.points_type FROM crm_member.points_hold h "
		"WHERE h.held > 0 AND h.expires_at <= $1 ORDER BY h.expires_at LIMIT $2) d "
		"GROUP BY 1, 2 ORDER BY d.member_id, d.points_type COLLATE \"C\"",
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

/* A row that may be due, if it is. */
static void
AddDue(DueList *list, const RuleSet *set, const int *places, TupleTableSlot *slot, TimestampTz as_of)
{
	Due		   *due;

	slot_getallattrs(slot);
	if (DatumGetTimestampTz(slot->tts_values[places[PLACE_EXPIRES_AT]]) > as_of)
		return;
	if (list->n == list->max)
	{
		list->max = list->max == 0 ? 256 : list->max * 2;
		list->items = list->items == NULL ? palloc(sizeof(Due) * list->max)
			: repalloc_huge(list->items, sizeof(Due) * list->max);
	}
	due = &list->items[list->n++];
	due->row = ExecCopySlotHeapTuple(slot);
	due->member_id = DatumGetInt64(slot->tts_values[places[PLACE_MEMBER_ID]]);
	due->type = FindPointsType(set, TextDatumGetCString(slot->tts_values[places[PLACE_POINTS_TYPE]]));
	due->balance = ExactMinor(DatumGetNumeric(slot->tts_values[places[PLACE_BALANCE]]),
							  due->type->decimals, "points");
	due->entry_no = DatumGetInt64(slot->tts_values[places[PLACE_ENTRY_NO]]);
	due->expired_to = DatumGetTimestampTz(slot->tts_values[places[PLACE_EXPIRED_TO]]);
	due->points = 0;
	due->next = DT_NOEND;
	due->booked = false;
}

/* In the order accounts are locked in. */
static int
CompareDues(const void *a, const void *b)
{
	const Due  *x = a;
	const Due  *y = b;

	if (x->member_id != y->member_id)
		return x->member_id < y->member_id ? -1 : 1;
	return strcmp(x->type->name, y->type->name);
}

/*
 * Whole pages of accounts from a block on, until there are so many due; returns
 * the block to go on with, InvalidBlockNumber at the end.
 */
static BlockNumber
LoadDue(Writer *accounts, BlockNumber block, TimestampTz as_of, int limit, DueList *list)
{
	const RuleSet *set = GetRuleSet();
	TupleTableSlot *slot = table_slot_create(accounts->rel, NULL);
	BlockNumber next = InvalidBlockNumber;
	ItemPointerData from;
	ItemPointerData to;
	TableScanDesc scan;

	ItemPointerSet(&from, block, FirstOffsetNumber);
	ItemPointerSet(&to, MaxBlockNumber, MaxOffsetNumber);
	scan = table_beginscan_tidrange(accounts->rel, GetActiveSnapshot(), &from, &to);
	while (table_scan_getnextslot_tidrange(scan, ForwardScanDirection, slot))
	{
		BlockNumber at = ItemPointerGetBlockNumber(&slot->tts_tid);

		CHECK_FOR_INTERRUPTS();
		if (list->n >= limit && at != block)
		{
			next = at;
			break;
		}
		block = at;
		AddDue(list, set, accounts->places, slot, as_of);
	}
	table_endscan(scan);
	ExecDropSingleTupleTableSlot(slot);
	if (list->n > 0)
		qsort(list->items, list->n, sizeof(Due), CompareDues);
	return next;
}

/* Sum up what expired until as_of. */
static void
SumLots(DueList *list, TimestampTz as_of)
{
	LotScan    *scan = OpenLotScan(NULL, true);

	for (int64 i = 0; i < list->n; i++)
	{
		Due		   *due = &list->items[i];
		TimestampTz expires_at;
		OpenLot		lot;

		ScanLots(scan, due->member_id, due->type, due->expired_to);
		while (NextLot(scan, &expires_at))
		{
			/* what a row says that is not there comes too soon at worst: then it is looked at again */
			if (expires_at > as_of)
			{
				due->next = expires_at;
				break;
			}
			if (FetchLot(scan, &lot))
				due->points = AddMinor(due->points, lot.remaining);
		}
	}
	CloseLotScan(scan);
}

/* Write the accounts that are as they were read; returns how many. */
static int64
PostAccounts(Writer *accounts, DueList *list, TimestampTz as_of)
{
	int64		booked = 0;

	for (int64 i = 0; i < list->n; i++)
	{
		Due		   *due = &list->items[i];
		TupleTableSlot *row = UpdatedRow(accounts);
		MemoryContext old = MemoryContextSwitchTo(accounts->context);

		heap_deform_tuple(due->row, RelationGetDescr(accounts->rel), row->tts_values, row->tts_isnull);
		row->tts_values[accounts->places[PLACE_BALANCE]] = PointsDatum(due->balance - due->points, due->type);
		row->tts_values[accounts->places[PLACE_ENTRY_NO]] = Int64GetDatum(due->entry_no + (due->points > 0));
		row->tts_values[accounts->places[PLACE_EXPIRED_TO]] = TimestampTzGetDatum(Max(due->expired_to, as_of));
		row->tts_values[accounts->places[PLACE_EXPIRES_AT]] = TimestampTzGetDatum(due->next);
		MemoryContextSwitchTo(old);
		due->booked = TryUpdateRow(accounts, due->row->t_self);
		booked += due->booked;
	}
	return booked;
}

static void
PostEntries(const DueList *list, TimestampTz as_of)
{
	Writer		writer;
	MemoryContext old;

	OpenWriter(&writer, "points_entry", entry_columns, ENTRY_COLUMNS);
	for (int64 i = 0; i < list->n; i++)
	{
		const Due  *due = &list->items[i];
		TupleTableSlot *row;

		if (!due->booked || due->points == 0)
			continue;
		row = NextRow(&writer);
		old = MemoryContextSwitchTo(writer.context);
		row->tts_values[writer.places[ENTRY_MEMBER_ID]] = Int64GetDatum(due->member_id);
		row->tts_values[writer.places[ENTRY_POINTS_TYPE]] = CStringGetTextDatum(due->type->name);
		row->tts_values[writer.places[ENTRY_NO]] = Int64GetDatum(due->entry_no + 1);
		row->tts_values[writer.places[ENTRY_KIND]] = CStringGetTextDatum("expire");
		row->tts_values[writer.places[ENTRY_POINTS]] = PointsDatum(-due->points, due->type);
		row->tts_values[writer.places[ENTRY_BALANCE]] = PointsDatum(due->balance - due->points, due->type);
		row->tts_values[writer.places[ENTRY_AT]] = TimestampTzGetDatum(as_of);
		row->tts_values[writer.places[ENTRY_BOOKED_AT]] = TimestampTzGetDatum(GetCurrentTransactionStartTimestamp());
		MemoryContextSwitchTo(old);
		InsertRow(&writer);
	}
	CloseWriter(&writer);
}

/* What expired, in whatever decimals. */
static Numeric
SumPoints(const DueList *list)
{
	Datum		sum = NumericGetDatum(MinorToNumeric(0, 0));

	for (int64 i = 0; i < list->n; i++)
	{
		const Due  *due = &list->items[i];

		if (due->booked)
			sum = DirectFunctionCall2(numeric_add, sum, PointsDatum(due->points, due->type));
	}
	return DatumGetNumeric(sum);
}

/* What is due in accounts from a block on; where to go on. */
static BlockNumber
ExpireAccounts(TimestampTz as_of, BlockNumber block, int limit, DueList *list, int64 *booked)
{
	Writer		accounts;
	BlockNumber next;

	PushActiveSnapshot(GetTransactionSnapshot());
	OpenWriter(&accounts, "points_account", account_columns, PLACE_COLUMNS);
	next = LoadDue(&accounts, block, as_of, limit, list);
	SumLots(list, as_of);
	*booked = PostAccounts(&accounts, list, as_of);
	CloseWriter(&accounts);
	PopActiveSnapshot();
	PostEntries(list, as_of);
	return next;
}

/*
 * expire_step(as_of, block, accounts) -> (due, booked, points, next_block, holds)
 *
 * Where holds are released nothing else is done: those accounts stay locked until
 * the end of the transaction, and may come after others that are due in the order
 * that everybody locks them in.
 */
PG_FUNCTION_INFO_V1(crm_expire_step);
Datum
crm_expire_step(PG_FUNCTION_ARGS)
{
	TimestampTz as_of = PG_GETARG_TIMESTAMPTZ(0);
	int64		block = PG_GETARG_INT64(1);
	int			limit = PG_GETARG_INT32(2);
	MemoryContext caller = CurrentMemoryContext;
	TupleDesc	desc;
	Datum		results[5];
	bool		nulls[5] = {false};
	DueList		list = {0};
	BlockNumber next = block;
	int64		booked = 0;
	int64		holds;

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	if (block < 0 || block > MaxBlockNumber)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("no such block")));
	SPI_connect();
	holds = ReleaseHolds(as_of, limit);
	if (holds == 0)
		next = ExpireAccounts(as_of, block, limit, &list, &booked);
	results[0] = Int64GetDatum(list.n);
	results[1] = Int64GetDatum(booked);
	results[2] = NumericGetDatum(SumPoints(&list));
	nulls[3] = next == InvalidBlockNumber;
	results[3] = Int64GetDatum(next);
	results[4] = Int64GetDatum(holds);

	MemoryContextSwitchTo(caller);
	results[0] = HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), results, nulls));
	SPI_finish();
	PG_RETURN_DATUM(results[0]);
}
