/*
 * lot.c: which lots a posting draws on.
 */
#include "crm_member.h"
#include "points/ledger.h"
#include "query.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"

/* How many lots a spend reads at first; most need one or two. */
#define LOTS_AT_FIRST 8

void
AddUse(LotUse *use, int64 lot_no, int64 points)
{
	if (use->n % LOTS_AT_FIRST == 0)
	{
		Size		size = sizeof(int64) * (use->n + LOTS_AT_FIRST);

		use->lot_nos = use->n == 0 ? palloc(size) : repalloc(use->lot_nos, size);
		use->points = use->n == 0 ? palloc(size) : repalloc(use->points, size);
	}
	use->lot_nos[use->n] = lot_no;
	use->points[use->n++] = points;
}

/* Draw on the lots that a query lists until nothing is missing; returns what is. */
static int64
DrawFrom(CrmQuery *query, Datum *values, const PointsType *type, int64 missing, LotUse *use)
{
	int			before = use->n;

	for (long limit = LOTS_AT_FIRST; missing > 0; limit *= 8)
	{
		uint64		found = RunQuery(query, values, NULL, false, limit);

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
	static CrmQuery available = {
		"SELECT lot_no, remaining FROM crm_member.points_lot "
		"WHERE member_id = $1 AND points_type = $2 "
		"AND open AND available_at <= $3 AND expires_at > $4 AND lot_no <> $5 "
		"ORDER BY expires_at, earned_at, lot_no",
		5, {INT8OID, TEXTOID, TIMESTAMPTZOID, TIMESTAMPTZOID, INT8OID}};
	static CrmQuery to_come = {
		"SELECT lot_no, remaining FROM crm_member.points_lot "
		"WHERE member_id = $1 AND points_type = $2 "
		"AND open AND available_at > $3 AND expires_at > $4 AND lot_no <> $5 "
		"ORDER BY available_at, expires_at, lot_no",
		5, {INT8OID, TEXTOID, TIMESTAMPTZOID, TIMESTAMPTZOID, INT8OID}};
	Datum		values[5];
	int64		missing;

	values[0] = Int64GetDatum(member_id);
	values[1] = CStringGetTextDatum(type->name);
	values[2] = TimestampTzGetDatum(at);
	values[3] = TimestampTzGetDatum(Max(at, account->expired_to));
	/* a reversal has drawn on the lot of its grant already */
	values[4] = Int64GetDatum(use->n > 0 ? use->lot_nos[0] : DEBT_LOT);
	missing = DrawFrom(&available, values, type, points, use);
	if (pending && missing > 0)
		missing = DrawFrom(&to_come, values, type, missing, use);
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
