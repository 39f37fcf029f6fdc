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

/* What open lots have that expire after some moment, where no hold has timed out. */
#define OPEN_LOTS(after) \
	"SELECT (SELECT coalesce(sum(l.remaining), 0) FROM crm_member.points_lot l " \
	"WHERE l.member_id = $1 AND l.points_type = $2 AND l.open " \
	"AND l.available_at <= $3 AND l.expires_at > " after ") - a.debt, a.closed " \
	"FROM crm_member.points_account a " \
	"WHERE a.member_id = $1 AND a.points_type = $2 AND a.hold_expires_at > $3"

/* The lots as they are. */
static CrmQuery summed = {OPEN_LOTS("$3"), 3, {INT8OID, TEXTOID, TIMESTAMPTZOID}};

/* What an act of that moment, which may be past, finds in them now. */
static CrmQuery drawable = {OPEN_LOTS("greatest($3, a.expired_to)"), 3, {INT8OID, TEXTOID, TIMESTAMPTZOID}};

/*
 * The journal replayed, lot by lot: what was granted and drawn, as far as the
 * lot can be spent at that moment; the debt (lot 0); and back what holds that had
 * timed out by then had drawn and not released.  Lots and entries are grouped,
 * not joined, so that a long journal costs what it is long whatever the planner
 * thinks of its length.
 */
#define KNOWN "k.member_id = $1 AND k.points_type = $2 AND k.at <= $3 AND k.booked_at <= $4"
#define DRAWS "LATERAL unnest(k.lot_nos, k.lot_points) AS u (lot_no, points) "

static CrmQuery replayed = {
	"SELECT sum(CASE WHEN y.lot OR y.lot_no = 0 THEN y.moved ELSE 0 END "
	"+ CASE WHEN y.lot AND y.granted THEN y.points ELSE 0 END) FROM "
	"(SELECT x.lot_no, bool_or(x.lot) AS lot, bool_or(x.granted) AS granted, "
	"sum(x.points) AS points, sum(x.moved) AS moved FROM "
	"(SELECT l.lot_no, true AS lot, false AS granted, l.points, 0::numeric AS moved "
	"FROM crm_member.points_lot l WHERE l.member_id = $1 AND l.points_type = $2 "
	"AND l.available_at <= $3 AND l.expires_at > $3 "
	"UNION ALL "
	"SELECT k.entry_no, false, true, 0, 0 FROM crm_member.points_entry k WHERE " KNOWN " "
	"UNION ALL "
	"SELECT u.lot_no, false, false, 0, -u.points FROM crm_member.points_entry k, " DRAWS
	"WHERE " KNOWN " "
	"UNION ALL "
	"SELECT u.lot_no, false, false, 0, u.points FROM crm_member.points_hold h "
	"JOIN crm_member.points_entry k ON " KNOWN " AND (k.kind = 'hold' AND k.entry_no = h.hold_no "
	"OR k.kind = 'release' AND k.of_entry = h.hold_no), " DRAWS
	"WHERE h.member_id = $1 AND h.points_type = $2 AND h.expires_at <= $3 AND u.lot_no <> 0) x "
	"GROUP BY x.lot_no) y",
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

int64
DrawableBalance(int64 member_id, const PointsType *type, TimestampTz at, bool read_only)
{
	Datum		values[3];
	int64		balance;

	values[0] = Int64GetDatum(member_id);
	values[1] = CStringGetTextDatum(type->name);
	values[2] = TimestampTzGetDatum(at);
	SPI_connect();
	/* what has timed out by then comes back first */
	balance = RunQuery(&drawable, values, NULL, read_only, 1) == 1 ? PointsColumn(0, 1, type)
		: SpendableBalance(member_id, type, at, DT_NOEND, read_only);
	SPI_finish();
	return balance;
}
