/*
 * debt.c: what an account owes moves like what it has.
 *
 * An account has one debt; whose it was before merges is noted in merged_debt.
 */
#include "crm_member.h"
#include "merge/move.h"
#include "query.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "utils/builtins.h"

/* Move debt, all that from owes of what owner owed, between accounts that are there and locked. */
static void
MoveDebt(int64 from, int64 to, const PointsType *type, int64 points, int64 owner, TimestampTz at,
		 const MergeAct *act)
{
	static CrmQuery owe = {
		"UPDATE crm_member.points_account SET balance = balance - $3, debt = debt + $3, "
		"entry_no = entry_no + 1 WHERE member_id = $1 AND points_type = $2 RETURNING balance, entry_no",
		3, {INT8OID, TEXTOID, NUMERICOID}};
	static CrmQuery forget = {
		"DELETE FROM crm_member.merged_debt WHERE member_id = $1 AND points_type = $2 AND owner = $3",
		3, {INT8OID, TEXTOID, INT8OID}};
	static CrmQuery note = {
		"INSERT INTO crm_member.merged_debt AS d (member_id, points_type, owner, points) "
		"VALUES ($1, $2, $3, $4) "
		"ON CONFLICT (member_id, points_type, owner) DO UPDATE SET points = d.points + excluded.points",
		4, {INT8OID, TEXTOID, INT8OID, NUMERICOID}};
	MoveRows	rows = BeginMove();
	int64		debt_lot = DEBT_LOT;

	for (int side = 0; side < 2; side++)
	{
		int64		member_id = side == 0 ? from : to;
		int64		owed = side == 0 ? -points : points;
		LotUse		use = {1, &debt_lot, &owed};
		Datum		values[4];
		bool		isnull;

		values[0] = Int64GetDatum(member_id);
		values[1] = CStringGetTextDatum(type->name);
		values[2] = PointsDatum(owed, type);
		if (RunQuery(&owe, values, NULL, false, 0) != 1)
			elog(ERROR, "points account vanished");
		AddEntry(&rows, type, member_id, DatumGetInt64(QueryColumn(0, 2, &isnull)),
				 side == 0 ? "merge_out" : "merge_in", -owed, PointsColumn(0, 1, type), at, act, &use,
				 side == 0 ? to : from, NULL);
		values[2] = Int64GetDatum(owner);
		values[3] = PointsDatum(points, type);
		if (side == 0)
			RunQuery(&forget, values, NULL, false, 0);
		else if (owner != to)
			RunQuery(&note, values, NULL, false, 0);
	}
	EndMove(&rows);
}

void
ForwardDebt(int64 member_id, int64 root, const PointsType *type, TimestampTz at, const MergeAct *act,
			StringInfo report)
{
	static CrmQuery query = {
		"SELECT d.owner, d.points, k.root FROM crm_member.merged_debt d "
		"CROSS JOIN LATERAL (SELECT root FROM crm_member.member_kin k WHERE k.member_id = d.owner OFFSET 0) k "
		"WHERE d.member_id = $1 AND d.points_type = $2 ORDER BY d.owner",
		2, {INT8OID, TEXTOID}};
	static CrmQuery correct = {
		"UPDATE crm_member.merged_debt SET points = $4 "
		"WHERE member_id = $1 AND points_type = $2 AND owner = $3",
		4, {INT8OID, TEXTOID, INT8OID, NUMERICOID}};
	static CrmQuery forget = {
		"DELETE FROM crm_member.merged_debt WHERE member_id = $1 AND points_type = $2 AND owner = $3",
		3, {INT8OID, TEXTOID, INT8OID}};
	SPITupleTable *table;
	Account		account;
	Datum		values[4];
	uint64		found;
	int64		taken_over = 0;

	if (!LockAccount(member_id, type, &account))
		return;
	values[0] = Int64GetDatum(member_id);
	values[1] = CStringGetTextDatum(type->name);
	found = RunQuery(&query, values, NULL, false, 0);
	table = SPI_tuptable;
	/* what was paid since was paid for its own first, then for the others in the order they have here */
	for (uint64 row = 0; row < found; row++)
	{
		bool		isnull;
		int64		owner;
		int64		noted;
		int64		points;
		int64		to;

		SPI_tuptable = table;
		owner = DatumGetInt64(QueryColumn(row, 1, &isnull));
		noted = PointsColumn(row, 2, type);
		to = DatumGetInt64(QueryColumn(row, 3, &isnull));
		points = Min(noted, account.debt - taken_over);
		values[2] = Int64GetDatum(owner);
		if (points <= 0)
		{
			RunQuery(&forget, values, NULL, false, 0);
			continue;
		}
		if (points < noted)
		{
			values[3] = PointsDatum(points, type);
			RunQuery(&correct, values, NULL, false, 0);
		}
		taken_over = AddMinor(taken_over, points);
		if (to == member_id)
			continue;
		EnsureAccount(to, type);
		MoveDebt(member_id, to, type, points, owner, at, act);
		AppendMove(report, type, member_id, to);
		if (report != NULL)
			appendStringInfo(report, "\"debt\": %s}", PointsText(points, type));
	}
	if (account.debt > taken_over && root != member_id)
	{
		MoveDebt(member_id, root, type, account.debt - taken_over, member_id, at, act);
		AppendMove(report, type, member_id, root);
		if (report != NULL)
			appendStringInfo(report, "\"debt\": %s}", PointsText(account.debt - taken_over, type));
	}
}

void
LeaveDebt(int64 member_id, int64 survivor, const PointsType *type, const MergeAct *act)
{
	Account		account;
	int64		owed;

	if (!LockAccount(member_id, type, &account))
		return;
	owed = Min(account.debt, -account.balance);
	if (owed > 0)
		MoveDebt(member_id, survivor, type, owed, survivor, GetCurrentTransactionStartTimestamp(), act);
}
