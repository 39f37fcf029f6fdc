/*
 * merge.c: merge_members().
 */
#include "crm_member.h"
#include "argument.h"
#include "member/member.h"
#include "merge/act.h"
#include "query.h"

#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/builtins.h"

typedef struct MergeCall
{
	int64		survivor;		/* 0: to be chosen */
	int64	   *named;			/* all, the survivor last */
	int			nnamed;
	bool		override;		/* of verdicts that they differ */
} MergeCall;

static void
ReadMembers(FunctionCallInfo fcinfo, MergeCall *call)
{
	Datum	   *elements;
	bool	   *nulls;
	int			n;

	RequireArgument(fcinfo, 1, "others");
	deconstruct_array(PG_GETARG_ARRAYTYPE_P(1), INT8OID, 8, FLOAT8PASSBYVAL, TYPALIGN_DOUBLE, &elements,
					  &nulls, &n);
	call->named = palloc(sizeof(int64) * (n + 1));
	for (int i = 0; i < n; i++)
	{
		if (nulls[i])
			ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
							errmsg("argument \"others\" must not hold null")));
		call->named[call->nnamed++] = DatumGetInt64(elements[i]);
	}
	call->named = SortIds(call->named, &call->nnamed);
	if (!PG_ARGISNULL(0))
		call->named[call->nnamed++] = call->survivor = PG_GETARG_INT64(0);
	if (call->nnamed == 0)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("no member is named")));
}

/* Distinct members they are now; an error where one is unknown. */
static int64 *
NamedRoots(const MergeCall *call, int *n)
{
	int64	   *roots = palloc(sizeof(int64) * call->nnamed);

	for (*n = 0; *n < call->nnamed; (*n)++)
	{
		roots[*n] = CanonicalMember(call->named[*n], false);
		if (roots[*n] == 0)
			UnknownMember(call->named[*n]);
	}
	return SortIds(roots, n);
}

static char *
NothingToDo(int64 survivor, bool dry_run)
{
	return psprintf("{\"merge_id\": null, \"survivor\": " INT64_FORMAT ", \"merged\": [], \"dry_run\": %s}",
					survivor, dry_run ? "true" : "false");
}

static void
CheckRoots(const int64 *roots, int n)
{
	static CrmQuery query = {
		"SELECT min(member_id) FILTER (WHERE status = 'cancelled'), count(DISTINCT kind) "
		"FROM crm_member.member WHERE member_id = ANY ($1)", 1, {INT8ARRAYOID}};
	Datum		value = IdArray(roots, n);
	bool		isnull;
	int64		cancelled;

	RunQuery(&query, &value, NULL, false, 1);
	cancelled = DatumGetInt64(QueryColumn(0, 1, &isnull));
	if (!isnull)
		ereport(ERROR, (errcode(ERRCODE_CRM_MEMBER_STATUS),
						errmsg("member " INT64_FORMAT " is cancelled", cancelled),
						errdetail("A cancelled member is not merged.")));
	if (DatumGetInt64(QueryColumn(0, 2, &isnull)) > 1)
		ereport(ERROR, (errcode(ERRCODE_CRM_MERGE_KINDS),
						errmsg("a consumer and a dealer are not merged")));
}

/* What is known about pairs of members that are not one yet; returns the evidence of matching. */
static char *
JudgePairs(const MergeCall *call, const int64 *roots, int n)
{
	static CrmQuery query = {
		"WITH one AS MATERIALIZED (SELECT x.member_id::text AS key, x.root FROM ("
		"SELECT r AS member_id, r AS root FROM unnest($1) AS r UNION SELECT k.member_id, k.root FROM unnest($1) AS r "
		"CROSS JOIN LATERAL (SELECT o.kin FROM crm_member.member_kin o WHERE o.member_id = r OFFSET 0) o "
		"CROSS JOIN LATERAL (SELECT * FROM crm_member.member_kin k WHERE k.kin = o.kin AND k.root = r OFFSET 0) k) x) "
		"SELECT (SELECT min(v.left_key || ' and ' || v.right_key) FROM one a "
		"CROSS JOIN LATERAL (SELECT * FROM crm_member.match_verdict v WHERE v.model_code = 'member' "
		"AND v.left_key = a.key AND v.verdict = 'different' OFFSET 0) v "
		"JOIN one b ON b.key = v.right_key WHERE a.root <> b.root), "
		"(SELECT coalesce(jsonb_agg(jsonb_build_object('model_code', p.model_code, 'left_key', p.left_key, "
		"'right_key', p.right_key, 'probability', p.probability, 'weight', p.weight, 'decision', p.decision, "
		"'evidence', p.evidence) ORDER BY p.model_code, p.left_key, p.right_key), '[]')::text FROM one a "
		"CROSS JOIN LATERAL (SELECT * FROM crm_member.duplicate_pair p WHERE p.model_code = 'member' "
		"AND p.left_key = a.key OFFSET 0) p JOIN one b ON b.key = p.right_key WHERE a.root <> b.root)",
		1, {INT8ARRAYOID}};
	Datum		value = IdArray(roots, n);
	char	   *verdict;

	RunQuery(&query, &value, NULL, false, 1);
	verdict = QueryText(0, 1);
	if (verdict != NULL && !call->override)
		ereport(ERROR, (errcode(ERRCODE_CRM_DISTINCT_MEMBERS),
						errmsg("members %s are not the same", verdict),
						errdetail("Somebody decided so: see table crm_member.match_verdict."),
						errhint("policy {\"override_distinct\": true} merges them nevertheless.")));
	return QueryText(0, 2);
}

/*
 * Of these members the one others are merged into where the caller does not say.
 * A survivor is judged by its own values, not by what was chosen from others: so
 * the outcome is the same however merges are nested.
 */
static int64
ChooseSurvivor(const int64 *roots, int n)
{
	static CrmQuery query = {
		"SELECT m.member_id FROM crm_member.member m "
		"LEFT JOIN LATERAL (SELECT * FROM crm_member.golden_record g WHERE g.member_id = m.member_id OFFSET 0) g ON true "
		"WHERE m.member_id = ANY ($1) "
		"ORDER BY EXISTS (SELECT FROM crm_member.identity i WHERE i.member_id = m.member_id AND i.kind = 'mobile') DESC, "
		"coalesce((g.own->>'joined_at')::timestamp AT TIME ZONE 'UTC', m.joined_at), m.member_id",
		1, {INT8ARRAYOID}};
	Datum		value = IdArray(roots, n);
	bool		isnull;

	RunQuery(&query, &value, NULL, false, 1);
	return DatumGetInt64(QueryColumn(0, 1, &isnull));
}

/* For each of the roots the member it was named by: the survivor, itself, or the lowest number. */
static int64 *
NamedBy(const MergeCall *call, const int64 *roots, int n)
{
	int64	   *names = palloc0(sizeof(int64) * n);

	for (int i = 0; i < call->nnamed; i++)
	{
		int64		named = call->named[i];
		int64		root = CanonicalMember(named, false);

		for (int r = 0; r < n; r++)
		{
			if (roots[r] != root)
				continue;
			/* the survivor comes last */
			if (names[r] == 0 || named == call->survivor ||
				(named == root && names[r] != call->survivor) ||
				(names[r] != root && names[r] != call->survivor && named < names[r]))
				names[r] = named;
		}
	}
	return names;
}

/* Make those kin who were none, and add the edges; returns the number of the kin. */
static int64
AddEdges(int64 merge_id, const int64 *roots, int n, int64 winner, Datum merged, Jsonb *policy)
{
	static CrmQuery enter = {
		"INSERT INTO crm_member.member_kin (member_id, kin, root, status) "
		"SELECT m.member_id, m.member_id, m.member_id, m.status FROM crm_member.member m "
		"WHERE m.member_id = ANY ($1) ON CONFLICT (member_id) DO NOTHING", 1, {INT8ARRAYOID}};
	static CrmQuery look = {
		"SELECT min(r.kin), coalesce(max(e.position), 0) FROM unnest($1) AS u (member_id) "
		"CROSS JOIN LATERAL (SELECT r.kin FROM crm_member.member_kin r WHERE r.member_id = u.member_id OFFSET 0) r "
		"CROSS JOIN LATERAL (SELECT k.member_id FROM crm_member.member_kin k WHERE k.kin = r.kin OFFSET 0) k "
		"LEFT JOIN LATERAL (SELECT e.position FROM crm_member.merge_edge e WHERE e.member_id = k.member_id OFFSET 0) e ON true",
		1, {INT8ARRAYOID}};
	static CrmQuery join = {
		"UPDATE crm_member.member_kin k SET kin = $2 FROM (SELECT DISTINCT r.kin FROM unnest($1) AS u (member_id) "
		"CROSS JOIN LATERAL (SELECT r.kin FROM crm_member.member_kin r WHERE r.member_id = u.member_id OFFSET 0) r "
		"WHERE r.kin <> $2) o WHERE k.kin = o.kin",
		2, {INT8ARRAYOID, INT8OID}};
	static CrmQuery assert_edges = {
		"INSERT INTO crm_member.merge_edge (member_id, merge_id, survivor, position, fields, cards, coupons) "
		"SELECT u.member_id, $2, $3, $4 + u.n, coalesce($5->'fields', '{}'), coalesce($5->>'cards', p.cards), "
		"coalesce($5->'coupons', to_jsonb(p.coupons)) "
		"FROM crm_member.merge_policy p, unnest($1) WITH ORDINALITY AS u (member_id, n)",
		5, {INT8ARRAYOID, INT8OID, INT8OID, INT8OID, JSONBOID}};
	Datum		values[5];
	int64		kin;
	int64		position;
	bool		isnull;

	values[0] = IdArray(roots, n);
	RunQuery(&enter, values, NULL, false, 0);
	RunQuery(&look, values, NULL, false, 1);
	kin = DatumGetInt64(QueryColumn(0, 1, &isnull));
	position = DatumGetInt64(QueryColumn(0, 2, &isnull));
	values[1] = Int64GetDatum(kin);
	RunQuery(&join, values, NULL, false, 0);
	values[0] = merged;
	values[1] = Int64GetDatum(merge_id);
	values[2] = Int64GetDatum(winner);
	values[3] = Int64GetDatum(position);
	values[4] = JsonbPGetDatum(policy);
	RunQuery(&assert_edges, values, NULL, false, 0);
	return kin;
}

static char *
Merge(const MergeRequest *request, void *argument)
{
	const MergeCall *call = argument;
	int64		merge_id = NewId();
	MergeAct	act = {psprintf("merge " INT64_FORMAT, merge_id), request->actor};
	StringInfoData report;
	int64	   *merged;
	int64	   *names;
	int64	   *roots;
	int64		root;
	int64		winner;
	char	   *evidence;
	char	   *done;
	int			nmerged = 0;
	int			n;

	roots = LockRoots(call->named, call->nnamed, &n);
	done = FirstReport(request);
	if (done != NULL)
		return done;
	if (n == 1)
		return NothingToDo(roots[0], request->dry_run);
	CheckRoots(roots, n);
	evidence = JudgePairs(call, roots, n);

	root = call->survivor != 0 ? CanonicalMember(call->survivor, false) : ChooseSurvivor(roots, n);
	winner = root;
	names = NamedBy(call, roots, n);
	merged = palloc(sizeof(int64) * n);
	for (int i = 0; i < n; i++)
	{
		if (roots[i] == root)
			winner = names[i];
		else
			merged[nmerged++] = names[i];
	}
	merged = SortIds(merged, &nmerged);

	initStringInfo(&report);
	appendStringInfoString(&report, "{\"merge_id\": ");
	appendStringInfo(&report, request->dry_run ? "null" : INT64_FORMAT, merge_id);
	{
		Datum		others = IdArray(merged, nmerged);
		int64		kin = AddEdges(merge_id, roots, n, winner, others, request->policy);
		StringInfoData rest;

		initStringInfo(&rest);
		ApplyMerges(kin, true, &act, &rest);
		appendStringInfo(&report, ", \"survivor\": " INT64_FORMAT ", \"merged\": %s, \"dry_run\": %s%s, \"evidence\": %s}",
						 CanonicalMember(winner, false), IdList(merged, nmerged),
						 request->dry_run ? "true" : "false", rest.data, evidence);
		RecordAct(request, merge_id, "merge", 0, winner, merged, nmerged, evidence, report.data,
				  psprintf("{\"merge_id\": " INT64_FORMAT ", \"survivor\": " INT64_FORMAT ", \"merged\": %s}",
						   merge_id, winner, IdList(merged, nmerged)));
	}
	return report.data;
}

PG_FUNCTION_INFO_V1(crm_merge_members);
Datum
crm_merge_members(PG_FUNCTION_ARGS)
{
	MemoryContext caller = CurrentMemoryContext;
	MergeCall	call = {0};
	MergeRequest request = {0};
	StringInfoData said;
	char	   *report;
	int64	   *roots;
	int			n;

	RequireSetup();
	ReadMembers(fcinfo, &call);
	ReadRequest(fcinfo, 2, 3, 5, &request);
	request.dry_run = !PG_ARGISNULL(4) && PG_GETARG_BOOL(4);
	CheckMergePolicy(request.policy);
	call.override = PolicyFlag(request.policy, "override_distinct");

	initStringInfo(&said);
	appendStringInfo(&said, "merge " INT64_FORMAT " %s ", call.survivor,
					 IdList(call.named, call.nnamed - (call.survivor != 0)));
	SetFingerprint(&request, &said);

	SPI_connect();
	report = FirstReport(&request);
	if (report == NULL)
	{
		roots = NamedRoots(&call, &n);
		report = n == 1 ? NothingToDo(roots[0], request.dry_run) : Perform(Merge, &request, &call);
	}
	return ReturnReport(report, caller);
}
