/*
 * member.c: the member an identifier stands for, and its lock.
 *
 * A merged member is an alias: merged_into points to the member it was merged
 * into, which may have been merged itself.  Whoever writes something of a member
 * locks the member row first.
 */
#include "crm_member.h"
#include "query.h"
#include "member/member.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"

/* Longer than any chain that merging can make; a longer one is a cycle. */
#define MAX_CHAIN 10000

void
UnknownMember(int64 member_id)
{
	ereport(ERROR, (errcode(ERRCODE_CRM_UNKNOWN_MEMBER),
					errmsg("member " INT64_FORMAT " is unknown", member_id),
					errhint("member_id(kind, value) finds a member by mobile, card and so on.")));
}

int64
CanonicalMember(int64 member_id, bool read_only)
{
	static CrmQuery query = {"SELECT merged_into FROM crm_member.member "
						  "WHERE member_id OPERATOR(pg_catalog.=) $1",
						  1, {INT8OID}};

	for (int step = 0; step < MAX_CHAIN; step++)
	{
		Datum		value = Int64GetDatum(member_id);
		int64		next;
		bool		isnull;

		CHECK_FOR_INTERRUPTS();
		if (RunQuery(&query, &value, NULL, read_only, 1) == 0)
			return 0;
		next = DatumGetInt64(QueryColumn(0, 1, &isnull));
		if (isnull)
			return member_id;
		member_id = next;
	}
	elog(ERROR, "member " INT64_FORMAT " is merged in a cycle", member_id);
}

int64
LockMember(int64 member_id, char **status)
{
	static CrmQuery query = {"SELECT merged_into, status FROM crm_member.member "
						  "WHERE member_id OPERATOR(pg_catalog.=) $1 FOR NO KEY UPDATE",
						  1, {INT8OID}};
	int64		given = member_id;

	for (int step = 0; step < MAX_CHAIN; step++)
	{
		Datum		value;
		int64		next;
		bool		isnull;

		/* Follow the chain without locks first: a merged row need not be locked. */
		next = CanonicalMember(member_id, false);
		if (next == 0)
			UnknownMember(given);
		member_id = next;
		value = Int64GetDatum(member_id);
		if (RunQuery(&query, &value, NULL, false, 1) == 0)
			UnknownMember(given);
		next = DatumGetInt64(QueryColumn(0, 1, &isnull));
		if (isnull)
		{
			*status = TextDatumGetCString(QueryColumn(0, 2, &isnull));
			/* a merge may have been undone while we waited, too */
			if (member_id == given || CanonicalMember(given, false) == member_id)
				return member_id;
			next = given;
		}
		member_id = next;		/* merged while we waited */
	}
	elog(ERROR, "member " INT64_FORMAT " is merged in a cycle", member_id);
}

PG_FUNCTION_INFO_V1(crm_canonical_member);
Datum
crm_canonical_member(PG_FUNCTION_ARGS)
{
	int64		canonical;

	SPI_connect();
	canonical = CanonicalMember(PG_GETARG_INT64(0), true);
	SPI_finish();
	if (canonical == 0)
		PG_RETURN_NULL();
	PG_RETURN_INT64(canonical);
}

PG_FUNCTION_INFO_V1(crm_lock_member);
Datum
crm_lock_member(PG_FUNCTION_ARGS)
{
	int64		locked;
	char	   *status;

	SPI_connect();
	locked = LockMember(PG_GETARG_INT64(0), &status);
	if (PG_GETARG_BOOL(1) && strcmp(status, "cancelled") == 0)
		ereport(ERROR, (errcode(ERRCODE_CRM_MEMBER_STATUS),
						errmsg("member " INT64_FORMAT " is cancelled", locked)));
	SPI_finish();
	PG_RETURN_INT64(locked);
}
