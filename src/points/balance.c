/*
 * balance.c: what a member can spend, now or at another moment.
 */
#include "crm_member.h"
#include "member/member.h"
#include "points/ledger.h"
#include "query.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "utils/builtins.h"

/* One probe, where every open lot can be spent and no hold has timed out. */
static CrmQuery stored = {
	"SELECT balance, closed FROM crm_member.points_account "
	"WHERE member_id = $1 AND points_type = $2 "
	"AND settles_at <= $3 AND expires_at > $3 AND hold_expires_at > $3",
	3, {INT8OID, TEXTOID, TIMESTAMPTZOID}};

/* The lots as they are, where no hold has timed out. */
static CrmQuery summed = {
	"SELECT (SELECT coalesce(sum(l.remaining), 0) FROM crm_member.points_lot l "
	"WHERE l.member_id = $1 AND l.points_type = $2 AND l.open "
	"AND l.available_at <= $3 AND l.expires_at > $3) - a.debt, a.closed "
	"FROM crm_member.points_account a "
	"WHERE a.member_id = $1 AND a.points_type = $2 AND a.hold_expires_at > $3",
	3, {INT8OID, TEXTOID, TIMESTAMPTZOID}};

/*
 * The journal replayed: lots granted and draws on them, as far as the lots can
 * be spent at that moment; the debt; and back what holds that had timed out by
 * then had drawn and not released.  Every join is by a primary key, so that a
 * long journal costs what it is long.
 */
#define KNOWN "k.member_id = $1 AND k.points_type = $2 AND k.at <= $3 AND k.booked_at <= $4"
#define LOT(number) "l.member_id = $1 AND l.points_type = $2 AND l.lot_no = " number \
	" AND l.available_at <= $3 AND l.expires_at > $3"
#define HOLD(number) "h.member_id = $1 AND h.points_type = $2 AND h.hold_no = " number \
	" AND h.expires_at <= $3"
#define DRAWS "LATERAL unnest(k.lot_nos, k.lot_points) AS u (lot_no, points) "

static CrmQuery replayed = {
	"SELECT sum(x.points) FROM "
	"(SELECT l.points FROM crm_member.points_entry k "
	"JOIN crm_member.points_lot l ON " LOT("k.entry_no") " WHERE " KNOWN " "
	"UNION ALL "
	"SELECT -u.points FROM crm_member.points_entry k CROSS JOIN " DRAWS
	"LEFT JOIN crm_member.points_lot l ON " LOT("u.lot_no") " "
	"WHERE " KNOWN " AND (l.lot_no IS NOT NULL OR u.lot_no = 0) "
	"UNION ALL "
	"SELECT u.points FROM crm_member.points_entry k "
	"JOIN crm_member.points_hold h ON "
	HOLD("CASE k.kind WHEN 'hold' THEN k.entry_no WHEN 'release' THEN k.of_entry END") " "
	"CROSS JOIN " DRAWS
	"JOIN crm_member.points_lot l ON " LOT("u.lot_no") " WHERE " KNOWN ") x",
	4, {INT8OID, TEXTOID, TIMESTAMPTZOID, TIMESTAMPTZOID}};

static bool
IsCurrent(TimestampTz as_of, TimestampTz known_at)
{
	TimestampTz now = GetCurrentTransactionStartTimestamp();

	return as_of >= now && known_at >= now;
}

bool
StoredBalance(int64 member_id, const PointsType *type, TimestampTz as_of, TimestampTz known_at,
			  int64 *balance)
{
	return IsCurrent(as_of, known_at) && ProbeBalance(member_id, type, as_of, true, balance);
}

int64
SpendableBalance(int64 member_id, const PointsType *type, TimestampTz as_of, TimestampTz known_at,
				 bool read_only)
{
	Datum		values[4];
	int64		balance = 0;

	if (IsCurrent(as_of, known_at) &&
		ProbeBalance(member_id, type, as_of, read_only, &balance))
		return balance;
	values[0] = Int64GetDatum(member_id);
	values[1] = CStringGetTextDatum(type->name);
	values[2] = TimestampTzGetDatum(as_of);
	values[3] = TimestampTzGetDatum(known_at);
	SPI_connect();
	if (IsCurrent(as_of, known_at) &&
		(RunQuery(&stored, values, NULL, read_only, 1) == 1 ||
		 RunQuery(&summed, values, NULL, read_only, 1) == 1))
	{
		bool		isnull;

		balance = PointsColumn(0, 1, type);
		if (DatumGetBool(QueryColumn(0, 2, &isnull)))
			balance = SpendableBalance(CanonicalMember(member_id, read_only), type, as_of, known_at,
									   read_only);
	}
	else if (RunQuery(&replayed, values, NULL, read_only, 1) == 1)
		balance = PointsColumn(0, 1, type);
	SPI_finish();
	return balance;
}
