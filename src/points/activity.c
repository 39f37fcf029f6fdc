/*
 * activity.c: points that last as long as the member is active.
 *
 * Where the expiry of a points type is "inactive 12 months", whoever earns or
 * spends such points makes all that are left last at least so long from then on.
 * What has expired by then stays expired; nothing is made to expire sooner.  Lots
 * with points in them are moved at once; an empty one is when points come back to
 * it, by the activity that the journal tells of.
 */
#include "crm_member.h"
#include "points/ledger.h"
#include "query.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"

/* Receiving, setting aside, correcting and undoing are not. */
#define ACTIVITIES "('earn', 'award', 'spend', 'transfer_out', 'convert_out', 'convert_in')"

static bool
IsActivity(const char *kind)
{
	static const char *const kinds[] = {
		"earn", "award", "spend", "transfer_out", "convert_out", "convert_in"};

	for (int i = 0; i < lengthof(kinds); i++)
	{
		if (strcmp(kind, kinds[i]) == 0)
			return true;
	}
	return false;
}

/* The account is to know when the first of its lots expires. */
static void
FindNextExpiry(int64 member_id, const PointsType *type)
{
	static CrmQuery query = {
		"UPDATE crm_member.points_account a SET expires_at = coalesce("
		"(SELECT min(l.expires_at) FROM crm_member.points_lot l WHERE l.member_id = $1 "
		"AND l.points_type = $2 AND l.open AND l.expires_at > a.expired_to), 'infinity') "
		"WHERE a.member_id = $1 AND a.points_type = $2",
		2, {INT8OID, TEXTOID}};
	Datum		values[2];

	values[0] = Int64GetDatum(member_id);
	values[1] = CStringGetTextDatum(type->name);
	RunQuery(&query, values, NULL, false, 0);
}

/* When a lot expires after what was done since some moment. */
static TimestampTz
LastsUntil(int64 member_id, const PointsType *type, TimestampTz since, TimestampTz expires_at)
{
	static CrmQuery query = {
		"SELECT DISTINCT at FROM crm_member.points_entry "
		"WHERE member_id = $1 AND points_type = $2 AND at > $3 AND kind IN " ACTIVITIES " ORDER BY at",
		3, {INT8OID, TEXTOID, TIMESTAMPTZOID}};
	Datum		values[3];
	uint64		found;

	values[0] = Int64GetDatum(member_id);
	values[1] = CStringGetTextDatum(type->name);
	values[2] = TimestampTzGetDatum(since);
	found = RunQuery(&query, values, NULL, false, 0);
	for (uint64 row = 0; row < found; row++)
	{
		bool		isnull;
		TimestampTz at = DatumGetTimestampTz(QueryColumn(row, 1, &isnull));

		CHECK_FOR_INTERRUPTS();
		if (at >= expires_at)
			break;
		expires_at = Max(expires_at, ExpiresAt(&type->expiry, at));
	}
	return expires_at;
}

void
KeepAlive(int64 member_id, const PointsType *type, const char *kind, TimestampTz at)
{
	static CrmQuery query = {
		"UPDATE crm_member.points_lot l SET expires_at = $4 FROM crm_member.points_account a "
		"WHERE a.member_id = $1 AND a.points_type = $2 AND l.member_id = $1 AND l.points_type = $2 "
		"AND l.open AND l.expires_at > $3 AND l.expires_at > a.expired_to AND l.expires_at < $4",
		4, {INT8OID, TEXTOID, TIMESTAMPTZOID, TIMESTAMPTZOID}};
	Datum		values[4];

	if (type->expiry.kind != EXPIRY_INACTIVE || !IsActivity(kind))
		return;
	values[0] = Int64GetDatum(member_id);
	values[1] = CStringGetTextDatum(type->name);
	values[2] = TimestampTzGetDatum(at);
	/* an act that comes late is followed by others already */
	values[3] = TimestampTzGetDatum(LastsUntil(member_id, type, at, ExpiresAt(&type->expiry, at)));
	if (RunQuery(&query, values, NULL, false, 0) > 0)
		FindNextExpiry(member_id, type);
}

void
ReviveLots(int64 member_id, const PointsType *type, const LotUse *use)
{
	static CrmQuery query = {
		"UPDATE crm_member.points_lot SET expires_at = $4 "
		"WHERE member_id = $1 AND points_type = $2 AND lot_no = $3",
		4, {INT8OID, TEXTOID, INT8OID, TIMESTAMPTZOID}};
	Datum		values[4];

	if (type->expiry.kind != EXPIRY_INACTIVE)
		return;
	values[0] = Int64GetDatum(member_id);
	values[1] = CStringGetTextDatum(type->name);
	for (int i = 0; i < use->n; i++)
	{
		Lot			lot;
		TimestampTz until;

		if (use->lot_nos[i] == DEBT_LOT)
			continue;
		lot = LoadLot(member_id, type, use->lot_nos[i]);
		if (lot.remaining > 0)
			continue;			/* it was moved when it was time */
		until = LastsUntil(member_id, type, DT_NOBEGIN, lot.expires_at);
		values[2] = Int64GetDatum(use->lot_nos[i]);
		values[3] = TimestampTzGetDatum(until);
		if (until > lot.expires_at)
			RunQuery(&query, values, NULL, false, 0);
	}
}
