/*
 * merged.c: accounts of members that were merged into others.
 *
 * A merge moves what lies in an account by a pair of entries, and closes it.
 * Whoever was waiting for it goes on with the survivor's where points are taken;
 * what is granted, or comes back to a lot, is booked where it belongs and
 * forwarded: see merge/forward.c.  Whose a lot is, the directory member_kin says.
 */
#include "crm_member.h"
#include "member/member.h"
#include "points/ledger.h"
#include "query.h"
#include "table.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"

int64
Forwarded(int64 member_id, const PointsType *type, const Account *account, const LotUse *use,
		  TimestampTz at)
{
	bool		foreign = account->closed;

	for (int i = 0; !foreign && use != NULL && i < use->n; i++)
		foreign = use->lot_nos[i] != DEBT_LOT && LoadLot(member_id, type, use->lot_nos[i]).foreign;
	return foreign ? ForwardPoints(member_id, type, at) : account->balance;
}

bool
FollowMerge(int64 *member_id, const PointsType *type)
{
	Account		account;

	if (!LockAccount(*member_id, type, &account) || !account.closed)
		return false;
	*member_id = CanonicalMember(*member_id, false);
	return true;
}

bool
HasKin(int64 member_id)
{
	static CrmTable table = {"member_kin", .ncolumns = 1, .columns = {{"member_id", INT8OID}}};
	static CrmQuery query = {
		"SELECT FROM crm_member.member_kin WHERE member_id = $1", 1, {INT8OID}};
	TableRows  *rows = OpenRows(&table, ACL_SELECT);
	Datum		key = Int64GetDatum(member_id);
	bool		found;

	if (rows == NULL)
		return RunQuery(&query, &key, NULL, false, 1) > 0;
	found = FindRow(rows, &key);
	CloseRows(rows);
	return found;
}

int64 *
MergedMembers(int64 member_id, int *n)
{
	static CrmQuery query = {
		"SELECT o.member_id FROM crm_member.member_kin k "
		"JOIN crm_member.member_kin o ON o.kin = k.kin AND o.root = k.member_id "
		"WHERE k.member_id = $1 AND o.member_id <> k.member_id ORDER BY 1",
		1, {INT8OID}};
	Datum		value = Int64GetDatum(member_id);
	int64	   *members;
	bool		isnull;

	*n = RunQuery(&query, &value, NULL, false, 0);
	members = palloc(sizeof(int64) * Max(*n, 1));
	for (int i = 0; i < *n; i++)
		members[i] = DatumGetInt64(QueryColumn(i, 1, &isnull));
	return members;
}
