/*
 * unmerge.c: unmerge().
 *
 * The edges of a merge are marked as undone, and everything is made what the
 * other live edges say.  What was done since lies with the member it was done
 * with: so it goes back with it, or stays.
 */
#include "crm_member.h"
#include "argument.h"
#include "merge/act.h"
#include "query.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"

typedef struct Undone
{
	int64		merge_id;
	int64		survivor;
	TimestampTz at;
	Datum		others;			/* bigint[] */
} Undone;

static void
FindMerge(Undone *undone)
{
	static CrmQuery query = {
		"SELECT survivor, at, others FROM crm_member.member_merge WHERE merge_id = $1 AND act = 'merge'", 1, {INT8OID}};
	Datum		value = Int64GetDatum(undone->merge_id);
	bool		isnull;

	if (RunQuery(&query, &value, NULL, false, 1) == 0)
		ereport(ERROR, (errcode(ERRCODE_CRM_UNKNOWN_MERGE),
						errmsg("merge " INT64_FORMAT " is unknown", undone->merge_id),
						errhint("Table crm_member.member_merge has the merges.")));
	undone->survivor = DatumGetInt64(QueryColumn(0, 1, &isnull));
	undone->at = DatumGetTimestampTz(QueryColumn(0, 2, &isnull));
	undone->others = QueryColumn(0, 3, &isnull);
}

/* The members whose edges are undone by it, sorted. */
static int64 *
UndoEdges(const Undone *undone, int64 unmerge_id, Jsonb *policy, int *n)
{
	static CrmQuery query = {
		"UPDATE crm_member.merge_edge SET undone_by = $2 "
		"WHERE merge_id = $1 AND undone_by IS NULL AND member_id = ANY ($4) "
		"AND ($3->'only' IS NULL OR $3->'only' @> to_jsonb(member_id)) RETURNING member_id",
		4, {INT8OID, INT8OID, JSONBOID, INT8ARRAYOID}};
	Datum		values[4];
	int64	   *members;
	bool		isnull;

	values[0] = Int64GetDatum(undone->merge_id);
	values[1] = Int64GetDatum(unmerge_id);
	values[2] = JsonbPGetDatum(policy);
	values[3] = undone->others;
	*n = RunQuery(&query, values, NULL, false, 0);
	members = palloc(sizeof(int64) * Max(*n, 1));
	for (int i = 0; i < *n; i++)
		members[i] = DatumGetInt64(QueryColumn(i, 1, &isnull));
	return SortIds(members, n);
}

/* What survivors spent of the others' points is theirs to bear; debts may leave who comes back below zero. */
static char *
JudgeNegative(const Kin *kin, const MergeRequest *request, const MergeAct *act)
{
	static CrmQuery query = {
		"SELECT a.member_id, a.points_type, jsonb_build_object('member_id', a.member_id, 'points_type', a.points_type, "
		"'balance', a.balance)::text FROM unnest($1) AS m (member_id) "
		"CROSS JOIN LATERAL (SELECT * FROM crm_member.points_account a WHERE a.member_id = m.member_id "
		"AND a.balance < 0 OFFSET 0) a ORDER BY 1, 2",
		1, {INT8ARRAYOID}};
	char	   *policy = PolicyText(request->policy, "negative");
	int64	   *away = palloc(sizeof(int64) * kin->n);
	StringInfoData list;
	SPITupleTable *table;
	Datum		value;
	uint64		found;
	int			n = 0;

	for (int i = 0; i < kin->n; i++)
	{
		const KinMember *member = &kin->members[i];

		if (member->root == member->member_id && member->old_root != member->root)
			away[n++] = member->member_id;
	}
	value = IdArray(away, n);
	found = RunQuery(&query, &value, NULL, false, 0);
	table = SPI_tuptable;
	initStringInfo(&list);
	appendStringInfoChar(&list, '[');
	for (uint64 row = 0; row < found; row++)
		appendStringInfo(&list, "%s%s", row > 0 ? ", " : "", QueryText(row, 3));
	appendStringInfoChar(&list, ']');
	if (found > 0 && policy != NULL && strcmp(policy, "refuse") == 0)
		ereport(ERROR, (errcode(ERRCODE_CRM_NEGATIVE_MEMBER),
						errmsg("a member would come back with fewer than no points"),
						errdetail("%s", list.data),
						errhint("policy {\"negative\": \"allow\"} leaves the debt with it, "
								"{\"negative\": \"survivor\"} with the survivor.")));
	for (uint64 row = 0; policy != NULL && strcmp(policy, "survivor") == 0 && row < found; row++)
	{
		int64		member_id;
		bool		isnull;

		SPI_tuptable = table;
		member_id = DatumGetInt64(QueryColumn(row, 1, &isnull));
		LeaveDebt(member_id, FindKin(kin, member_id)->old_root, FindPointsType(GetRuleSet(), QueryText(row, 2)), act);
	}
	return list.data;
}

/* How much was done with each of them since the merge, by the member it was done with, and whose it is now. */
static char *
ActivitySince(int64 kin, TimestampTz at)
{
	static CrmQuery query = {
		"SELECT coalesce(jsonb_agg(jsonb_build_object('member_id', k.member_id, 'now', k.root, "
		"'sales', (SELECT count(*) FROM crm_member.sale s WHERE s.member_id = k.member_id AND s.settled_at >= $2), "
		"'entries', (SELECT count(*) FROM crm_member.points_entry e WHERE e.member_id = k.member_id "
		"AND e.booked_at >= $2 AND e.kind NOT IN ('merge_out', 'merge_in')), "
		"'identities', (SELECT count(*) FROM crm_member.identity i WHERE i.member_id = k.member_id AND i.bound_at >= $2), "
		"'cards', (SELECT count(*) FROM crm_member.card c WHERE c.member_id = k.member_id AND c.issued_at >= $2), "
		"'named_by', (SELECT coalesce(jsonb_object_agg(n.named_by, n.sales), '{}') FROM (SELECT s.named_by, count(*) AS sales "
		"FROM crm_member.merged_sale s WHERE s.member_id = k.member_id AND s.at >= $2 GROUP BY 1) n)) "
		"ORDER BY k.member_id), '[]')::text FROM crm_member.member_kin k WHERE k.kin = $1",
		2, {INT8OID, TIMESTAMPTZOID}};
	Datum		values[2];

	values[0] = Int64GetDatum(kin);
	values[1] = TimestampTzGetDatum(at);
	RunQuery(&query, values, NULL, false, 1);
	return QueryText(0, 1);
}

/* They are never to be taken for one again. */
static void
MarkDistinct(const Undone *undone, const int64 *members, int n, const MergeRequest *request)
{
	static CrmQuery query = {
		"SELECT crm_member.mark_distinct($1, $2, $3, $4)", 4, {INT8OID, INT8OID, TEXTOID, TEXTOID}};
	char	   *reason = PolicyText(request->policy, "reason");
	Datum		values[4];
	char		nulls[4];

	memset(nulls, ' ', sizeof(nulls));
	for (int i = 0; i < n; i++)
	{
		values[0] = Int64GetDatum(undone->survivor);
		values[1] = Int64GetDatum(members[i]);
		values[2] = CStringGetTextDatum(reason == NULL ? "unmerged" : reason);
		values[3] = NullableText(request->actor, &nulls[3]);
		RunQuery(&query, values, nulls, false, 0);
	}
}

static char *
Unmerge(const MergeRequest *request, void *argument)
{
	Undone	   *undone = argument;
	int64		unmerge_id = NewId();
	MergeAct	act = {psprintf("unmerge " INT64_FORMAT, unmerge_id), request->actor};
	StringInfoData report;
	int64	   *members;
	int64		number;
	char	   *list;
	char	   *done;
	Kin		   *kin;
	int			n;

	FindMerge(undone);
	number = LockKin(undone->survivor);
	done = FirstReport(request);
	if (done != NULL)
		return done;
	members = UndoEdges(undone, unmerge_id, request->policy, &n);
	initStringInfo(&report);
	if (n == 0)
	{
		appendStringInfo(&report, "{\"unmerge_id\": null, \"merge_id\": " INT64_FORMAT ", \"undone\": [], \"dry_run\": %s}",
						 undone->merge_id, request->dry_run ? "true" : "false");
		return report.data;
	}
	list = IdList(members, n);
	appendStringInfoString(&report, "{\"unmerge_id\": ");
	appendStringInfo(&report, request->dry_run ? "null" : INT64_FORMAT, unmerge_id);
	appendStringInfo(&report, ", \"merge_id\": " INT64_FORMAT ", \"undone\": %s, \"dry_run\": %s", undone->merge_id, list,
					 request->dry_run ? "true" : "false");
	kin = ApplyMerges(number, false, &act, &report);
	appendStringInfo(&report, ", \"negative\": %s", JudgeNegative(kin, request, &act));
	appendStringInfo(&report, ", \"since_merge\": %s}", ActivitySince(number, undone->at));
	RecordAct(request, unmerge_id, "unmerge", undone->merge_id, undone->survivor, members, n, "[]", report.data,
			  psprintf("{\"merge_id\": " INT64_FORMAT ", \"unmerge_id\": " INT64_FORMAT ", \"undone\": %s}",
					   undone->merge_id, unmerge_id, list));
	MarkDistinct(undone, members, n, request);
	return report.data;
}

PG_FUNCTION_INFO_V1(crm_unmerge);
Datum
crm_unmerge(PG_FUNCTION_ARGS)
{
	MemoryContext caller = CurrentMemoryContext;
	MergeRequest request = {0};
	Undone		undone = {0};
	StringInfoData said;

	RequireSetup();
	RequireArgument(fcinfo, 0, "merge_id");
	undone.merge_id = PG_GETARG_INT64(0);
	ReadRequest(fcinfo, 1, 2, 3, &request);
	request.dry_run = !PG_ARGISNULL(4) && PG_GETARG_BOOL(4);
	CheckUnmergePolicy(request.policy);
	initStringInfo(&said);
	appendStringInfo(&said, "unmerge " INT64_FORMAT " ", undone.merge_id);
	SetFingerprint(&request, &said);
	SPI_connect();
	return ReturnReport(Perform(Unmerge, &request, &undone), caller);
}
