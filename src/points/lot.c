/*
 * lot.c: the lots of an account, and which of them a posting draws on.
 *
 * Open lots lie in the index points_lot_open in the order they are spent in, so
 * they are read straight from it, no further than needed.
 */
#include "crm_member.h"
#include "catalog.h"
#include "points/ledger.h"
#include "points/lot_scan.h"
#include "query.h"

#include "access/genam.h"
#include "access/relation.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/snapmgr.h"

/* How many pending lots are read at first, and draws are made room for. */
#define LOTS_AT_FIRST 8

LotScan *
OpenLotScan(Snapshot snapshot, bool with_expiry)
{
	LotScan    *scan = palloc(sizeof(LotScan));

	scan->lots = table_open(CrmRelation("points_lot"), AccessShareLock);
	scan->index = index_open(CrmRelation("points_lot_open"), AccessShareLock);
	if (RelationGetDescr(scan->lots)->natts < LOT_COLUMNS)
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("table crm_member.points_lot is not as setup() made it")));
	scan->slot = table_slot_create(scan->lots, NULL);
	/* what this transaction did, and what others had committed by now */
	if (snapshot == NULL)
	{
		CommandCounterIncrement();
		snapshot = GetTransactionSnapshot();
	}
	scan->snapshot = RegisterSnapshot(snapshot);
	scan->scan = BeginIndexScan(scan->lots, scan->index, scan->snapshot, 3);
	scan->scan->xs_want_itup = with_expiry;
	return scan;
}

void
ScanLots(LotScan *scan, int64 member_id, const PointsType *type, TimestampTz after)
{
	ScanKeyData keys[3];
	text	   *name = cstring_to_text(type->name);

	scan->type = type;
	ScanKeyInit(&keys[0], KEY_MEMBER_ID, BTEqualStrategyNumber, F_INT8EQ, Int64GetDatum(member_id));
	ScanKeyEntryInitialize(&keys[1], 0, KEY_POINTS_TYPE, BTEqualStrategyNumber, InvalidOid,
						   scan->index->rd_indcollation[KEY_POINTS_TYPE - 1], F_TEXTEQ,
						   PointerGetDatum(name));
	ScanKeyInit(&keys[2], KEY_EXPIRES_AT, BTGreaterStrategyNumber, F_TIMESTAMPTZ_GT,
				TimestampTzGetDatum(after));
	index_rescan(scan->scan, keys, 3, NULL, 0);
}

bool
NextLot(LotScan *scan, TimestampTz *expires_at)
{
	bool		isnull;

	CHECK_FOR_INTERRUPTS();
	if (index_getnext_tid(scan->scan, ForwardScanDirection) == NULL)
		return false;
	if (expires_at != NULL)
		*expires_at = DatumGetTimestampTz(index_getattr(scan->scan->xs_itup, KEY_EXPIRES_AT,
														scan->scan->xs_itupdesc, &isnull));
	return true;
}

bool
FetchLot(LotScan *scan, OpenLot *lot)
{
	if (!index_fetch_heap(scan->scan, scan->slot))
		return false;
	ReadLot(scan, lot);
	return true;
}

void
ReadLot(LotScan *scan, OpenLot *lot)
{
	bool		isnull;

	lot->lot_no = DatumGetInt64(slot_getattr(scan->slot, LOT_NO, &isnull));
	lot->remaining = StoredMinor(slot_getattr(scan->slot, LOT_REMAINING, &isnull), scan->type->decimals,
								 "points");
	lot->available_at = DatumGetTimestampTz(slot_getattr(scan->slot, LOT_AVAILABLE_AT, &isnull));
	lot->place = scan->slot->tts_tid;
}

void
CloseLotScan(LotScan *scan)
{
	index_endscan(scan->scan);
	UnregisterSnapshot(scan->snapshot);
	ExecDropSingleTupleTableSlot(scan->slot);
	index_close(scan->index, AccessShareLock);
	table_close(scan->lots, AccessShareLock);
	pfree(scan);
}

void
AddUse(LotUse *use, int64 lot_no, int64 points)
{
	if (use->n % LOTS_AT_FIRST == 0)
	{
		int			max = use->n + LOTS_AT_FIRST;
		Size		size = sizeof(int64) * max;
		Size		places = sizeof(ItemPointerData) * max;

		use->lot_nos = use->n == 0 ? palloc(size) : repalloc(use->lot_nos, size);
		use->points = use->n == 0 ? palloc(size) : repalloc(use->points, size);
		use->places = use->n == 0 ? palloc(places) : repalloc(use->places, places);
	}
	ItemPointerSetInvalid(&use->places[use->n]);
	use->lot_nos[use->n] = lot_no;
	use->points[use->n++] = points;
}

int64
SpendableLots(Snapshot snapshot, int64 member_id, const PointsType *type, TimestampTz at)
{
	LotScan    *scan = OpenLotScan(snapshot, false);
	OpenLot		lot;
	int64		sum = 0;

	ScanLots(scan, member_id, type, at);
	while (NextLot(scan, NULL))
	{
		if (FetchLot(scan, &lot) && lot.available_at <= at)
			sum = AddMinor(sum, lot.remaining);
	}
	CloseLotScan(scan);
	return sum;
}

int64
ExpiredLots(Snapshot snapshot, int64 member_id, const PointsType *type, TimestampTz after,
			TimestampTz at)
{
	LotScan    *scan = OpenLotScan(snapshot, true);
	TimestampTz expires_at;
	OpenLot		lot;
	int64		sum = 0;

	ScanLots(scan, member_id, type, after);
	while (NextLot(scan, &expires_at) && expires_at <= at)
	{
		if (FetchLot(scan, &lot))
			sum = AddMinor(sum, lot.remaining);
	}
	CloseLotScan(scan);
	return sum;
}

/* Draw on the lots that can be spent until nothing is missing; returns what is. */
static int64
DrawOnAvailable(int64 member_id, const PointsType *type, TimestampTz at, TimestampTz after,
				int64 except, int64 missing, LotUse *use)
{
	LotScan    *scan = OpenLotScan(NULL, false);
	OpenLot		lot;

	ScanLots(scan, member_id, type, after);
	while (missing > 0 && NextLot(scan, NULL))
	{
		if (FetchLot(scan, &lot) && lot.available_at <= at && lot.lot_no != except)
		{
			int64		take = Min(lot.remaining, missing);

			AddUse(use, lot.lot_no, take);
			use->places[use->n - 1] = lot.place;
			missing -= take;
		}
	}
	CloseLotScan(scan);
	return missing;
}

/* The same with those that cannot be spent yet, the first to come first. */
static int64
DrawOnPending(int64 member_id, const PointsType *type, TimestampTz at, TimestampTz after,
			  int64 except, int64 missing, LotUse *use)
{
	static CrmQuery query = {
		"SELECT lot_no, remaining FROM crm_member.points_lot "
		"WHERE member_id = $1 AND points_type = $2 "
		"AND open AND available_at > $3 AND expires_at > $4 AND lot_no <> $5 "
		"ORDER BY available_at, expires_at, lot_no",
		5, {INT8OID, TEXTOID, TIMESTAMPTZOID, TIMESTAMPTZOID, INT8OID}};
	Datum		values[5];
	int			before = use->n;

	values[0] = Int64GetDatum(member_id);
	values[1] = CStringGetTextDatum(type->name);
	values[2] = TimestampTzGetDatum(at);
	values[3] = TimestampTzGetDatum(after);
	values[4] = Int64GetDatum(except);
	for (long limit = LOTS_AT_FIRST; missing > 0; limit *= 8)
	{
		uint64		found = RunQuery(&query, values, NULL, false, limit);

		CHECK_FOR_INTERRUPTS();
		for (uint64 i = use->n - before; i < found && missing > 0; i++)
		{
			bool		isnull;
			int64		lot_no = DatumGetInt64(QueryColumn(i, 1, &isnull));
			int64		take = Min(PointsColumn(i, 2, type), missing);

			AddUse(use, lot_no, take);
			missing -= take;
		}
		if (found < limit)
			break;
	}
	return missing;
}

int64
ChooseLots(int64 member_id, const PointsType *type, const Account *account, int64 points,
		   TimestampTz at, bool pending, LotUse *use)
{
	TimestampTz after = Max(at, account->expired_to);
	/* a reversal has drawn on the lot of its grant already */
	int64		except = use->n > 0 ? use->lot_nos[0] : DEBT_LOT;
	int64		missing = points;

	if (missing > 0)
		missing = DrawOnAvailable(member_id, type, at, after, except, missing, use);
	if (pending && missing > 0)
		missing = DrawOnPending(member_id, type, at, after, except, missing, use);
	return points - missing;
}

void
SliceUse(const LotUse *use, int64 from, int64 to, int sign, LotUse *slice)
{
	int64		before = 0;

	for (int i = 0; i < use->n; i++)
	{
		int64		start = Max(before, from);
		int64		end = Min(before + use->points[i], to);

		if (start < end)
			AddUse(slice, use->lot_nos[i], sign * (end - start));
		before += use->points[i];
	}
}

Lot
LoadLot(int64 member_id, const PointsType *type, int64 lot_no)
{
	static CrmQuery query = {
		"SELECT remaining, earned_at, expires_at, owner_member IS NOT NULL FROM crm_member.points_lot "
		"WHERE member_id = $1 AND points_type = $2 AND lot_no = $3",
		3, {INT8OID, TEXTOID, INT8OID}};
	Datum		values[3];
	Lot			lot;
	bool		isnull;

	values[0] = Int64GetDatum(member_id);
	values[1] = CStringGetTextDatum(type->name);
	values[2] = Int64GetDatum(lot_no);
	if (RunQuery(&query, values, NULL, false, 1) != 1)
		elog(ERROR, "points lot " INT64_FORMAT " vanished", lot_no);
	lot.remaining = PointsColumn(0, 1, type);
	lot.earned_at = DatumGetTimestampTz(QueryColumn(0, 2, &isnull));
	lot.expires_at = DatumGetTimestampTz(QueryColumn(0, 3, &isnull));
	lot.foreign = DatumGetBool(QueryColumn(0, 4, &isnull));
	return lot;
}

int64
SweptPart(int64 member_id, const PointsType *type, const Account *account, const LotUse *use,
		  TimestampTz *soonest)
{
	int64		swept = 0;

	*soonest = DT_NOEND;
	for (int i = 0; i < use->n; i++)
	{
		Lot			lot = LoadLot(member_id, type, use->lot_nos[i]);

		if (lot.expires_at <= account->expired_to)
			swept -= use->points[i];
		else
			*soonest = Min(*soonest, lot.expires_at);
	}
	return swept;
}
