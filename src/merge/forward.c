/*
 * forward.c: what lies in an account comes to whose it is.
 *
 * So it does when members are merged or come back, and when something is booked
 * into the account of a member that is merged.
 */
#include "crm_member.h"
#include "member/member.h"
#include "merge/move.h"
#include "query.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/json.h"

Account
EnsureAccount(int64 member_id, const PointsType *type)
{
	Account		account;

	if (!LockAccount(member_id, type, &account))
		account = AddToAccount(member_id, type, 0, 0, DT_NOBEGIN, DT_NOEND);
	return account;
}

/* Whoever has waited for a merge here reads whose things are anew.  0: nothing can be another's. */
static int64
LockRootAccount(int64 member_id, const PointsType *type)
{
	int64		root;
	int64		again = MergedRoot(member_id);

	do
	{
		root = again;
		if (root == 0)
			return 0;
		if (root != member_id)
			EnsureAccount(root, type);
		again = MergedRoot(member_id);
	} while (again != root);
	return root;
}

static int
CompareTargets(const void *a, const void *b)
{
	const MovedLot *x = a;
	const MovedLot *y = b;

	if (x->to != y->to)
		return x->to < y->to ? -1 : 1;
	return x->lot_no < y->lot_no ? -1 : x->lot_no > y->lot_no;
}

void
AppendMove(StringInfo report, const PointsType *type, int64 from, int64 to)
{
	if (report == NULL)
		return;
	appendStringInfo(report, "%s{\"points_type\": ", report->data[report->len - 1] == '[' ? "" : ", ");
	escape_json(report, type->name);
	appendStringInfo(report, ", \"from\": " INT64_FORMAT ", \"to\": " INT64_FORMAT ", ", from, to);
}

static void
ForwardLots(int64 member_id, int64 root, const PointsType *type, TimestampTz at, const MergeAct *act,
			StringInfo report)
{
	/* what is its own stays, where it is merged into nobody */
	static CrmQuery query = {
		"SELECT " LOT_COLUMNS " FROM crm_member.points_lot WHERE member_id = $1 AND points_type = $2 "
		"AND open AND (owner_member IS NOT NULL OR $3)",
		3, {INT8OID, TEXTOID, BOOLOID}};
	Datum		values[3];
	MovedLot   *lots;
	Account		own;
	int64		owner = 0;
	int64		to = 0;
	uint64		found;
	int			n;

	values[0] = Int64GetDatum(member_id);
	values[1] = CStringGetTextDatum(type->name);
	values[2] = BoolGetDatum(root != member_id);
	found = RunQuery(&query, values, NULL, false, 0);
	lots = ReadLots(found, type);
	for (uint64 i = 0; i < found; i++)
	{
		/* lots of one owner mostly lie together */
		if (lots[i].owner != owner)
		{
			owner = lots[i].owner;
			to = owner == member_id ? root : MergedRoot(owner);
			if (to == 0)
				to = owner;
		}
		lots[i].to = to;
	}
	qsort(lots, found, sizeof(MovedLot), CompareTargets);
	for (uint64 start = 0; start < found; start += n)
	{
		TimestampTz horizon;
		Account		target;
		int			moved = 0;
		int64		total;

		CHECK_FOR_INTERRUPTS();
		for (n = 0; start + n < found && lots[start + n].to == lots[start].to; n++)
			;
		to = lots[start].to;
		if (to == member_id)
			continue;
		target = EnsureAccount(to, type);
		if (!LockAccount(member_id, type, &own))
			elog(ERROR, "points account vanished");
		/* what has expired, or is booked so at either end, stays where its expiry is booked */
		horizon = Max(GetCurrentTransactionStartTimestamp(), Max(own.expired_to, target.expired_to));
		for (int i = 0; i < n; i++)
		{
			if (lots[start + i].expires_at > horizon)
				lots[start + moved++] = lots[start + i];
		}
		if (moved == 0)
			continue;
		total = MoveLots(member_id, to, type, &lots[start], moved, at, act);
		AppendMove(report, type, member_id, to);
		if (report != NULL)
			appendStringInfo(report, "\"lots\": %d, \"points\": %s}", moved, PointsText(total, type));
	}
}

void
ForwardAccount(int64 member_id, const PointsType *type, TimestampTz at, const MergeAct *act,
			   StringInfo report)
{
	int64		root = LockRootAccount(member_id, type);

	if (root == 0)
		return;
	ForwardLots(member_id, root, type, at, act, report);
	ForwardDebt(member_id, root, type, at, act, report);
}

int64
ForwardPoints(int64 member_id, const PointsType *type, TimestampTz at)
{
	MergeAct	act = {NULL, NULL};
	Account		account;

	ForwardAccount(member_id, type, at, &act, NULL);
	if (!LockAccount(CanonicalMember(member_id, false), type, &account))
		elog(ERROR, "points account vanished");
	return account.balance;
}

/* First what was granted as that lot, then in the order points are spent. */
void
FetchPoints(int64 member_id, const PointsType *type, int64 lot_no, int64 points, TimestampTz at)
{
	static CrmQuery query = {
		"SELECT " LOT_COLUMNS " FROM crm_member.points_lot "
		"WHERE member_id = $1 AND points_type = $2 AND open AND expires_at > $3 "
		"ORDER BY (birth_member, birth_lot) IS NOT DISTINCT FROM ($4, $5) DESC, "
		"available_at > now(), expires_at, earned_at, lot_no",
		5, {INT8OID, TEXTOID, TIMESTAMPTZOID, INT8OID, INT8OID}};
	MergeAct	act = {NULL, NULL};
	int64		root = LockRootAccount(member_id, type);
	Account		source;
	Account		own;
	MovedLot   *lots;
	Datum		values[5];
	int			n;

	if (root == 0 || root == member_id || !LockAccount(root, type, &source) ||
		!LockAccount(member_id, type, &own))
		return;
	values[0] = Int64GetDatum(root);
	values[1] = CStringGetTextDatum(type->name);
	values[2] = TimestampTzGetDatum(Max(GetCurrentTransactionStartTimestamp(),
										Max(source.expired_to, own.expired_to)));
	values[3] = Int64GetDatum(member_id);
	values[4] = Int64GetDatum(lot_no);
	n = RunQuery(&query, values, NULL, false, 0);
	lots = ReadLots(n, type);
	for (int i = 0; i < n; i++)
	{
		if (points == 0)
			n = i;
		else
		{
			lots[i].points = Min(lots[i].points, points);
			points -= lots[i].points;
		}
	}
	if (n > 0)
		MoveLots(root, member_id, type, lots, n, at, &act);
}
