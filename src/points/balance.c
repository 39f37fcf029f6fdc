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
 * then had drawn and not released.
 */
static CrmQuery replayed = {
	"WITH known AS MATERIALIZED (SELECT entry_no, kind, lot_nos, lot_points, of_entry "
	"FROM crm_member.points_entry WHERE member_id = $1 AND points_type = $2 "
	"AND at <= $3 AND booked_at <= $4), "
	"lot AS MATERIALIZED (SELECT l.lot_no, l.points FROM crm_member.points_lot l "
	"WHERE l.member_id = $1 AND l.points_type = $2 "
	"AND l.available_at <= $3 AND l.expires_at > $3) "
	"SELECT sum(x.points) FROM "
	"(SELECT l.points FROM lot l JOIN known k ON k.entry_no = l.lot_no "
	"UNION ALL "
	"SELECT -u.points FROM known k, LATERAL unnest(k.lot_nos, k.lot_points) AS u (lot_no, points) "
	"LEFT JOIN lot l ON l.lot_no = u.lot_no WHERE l.lot_no IS NOT NULL OR u.lot_no = 0 "
	"UNION ALL "
	"SELECT u.points FROM crm_member.points_hold h "
	"JOIN known k ON k.kind = 'hold' AND k.entry_no = h.hold_no "
	"OR k.kind = 'release' AND k.of_entry = h.hold_no, "
	"LATERAL unnest(k.lot_nos, k.lot_points) AS u (lot_no, points) "
	"JOIN lot l ON l.lot_no = u.lot_no "
	"WHERE h.member_id = $1 AND h.points_type = $2 AND h.expires_at <= $3) x",
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
