/*
 * points.c: points follow whose they are.
 *
 * A lot keeps its owner, its times and where it was born, whatever account it
 * lies in (lots.c), and so does a debt (debt.c).  Nothing is summed into a new
 * grant, so undoing a merge finds every point again.
 */
#include "crm_member.h"
#include "merge/move.h"
#include "query.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "utils/builtins.h"

static int
CompareTypes(const void *a, const void *b)
{
	return strcmp((*(const PointsType *const *) a)->name, (*(const PointsType *const *) b)->name);
}

void
LockMergedAccounts(const Kin *kin)
{
	static const BatchColumn columns[] = {
		{"member_id", INT8OID}, {"points_type", TEXTOID}, {"closed", BOOLOID}};
	static CrmQuery query = {
		"INSERT INTO crm_member.points_account AS a (member_id, points_type, closed) "
		"SELECT member_id, points_type, closed FROM batch "
		"ON CONFLICT (member_id, points_type) DO UPDATE SET closed = excluded.closed "
		"WHERE a.closed <> excluded.closed", 0};
	RowBatch   *batch = BeginBatch(columns, lengthof(columns));
	const RuleSet *set = GetRuleSet();
	const PointsType **types = palloc(sizeof(PointsType *) * Max(set->ntypes, 1));

	for (int t = 0; t < set->ntypes; t++)
		types[t] = &set->types[t];
	qsort(types, set->ntypes, sizeof(PointsType *), CompareTypes);
	/* aliases before roots: who forwards from an alias waits for its root too */
	for (int roots = 0; roots < 2; roots++)
	{
		for (int i = 0; i < kin->n; i++)
		{
			const KinMember *member = &kin->members[i];

			if (!member->touched || (member->root == member->member_id) != roots)
				continue;
			for (int t = 0; t < set->ntypes; t++)
			{
				Datum		values[3];
				bool		nulls[3] = {false};

				values[0] = Int64GetDatum(member->member_id);
				values[1] = CStringGetTextDatum(types[t]->name);
				values[2] = BoolGetDatum(!roots);
				AddRow(batch, values, nulls);
			}
		}
	}
	RunBatch(&query, batch);
	EndBatch(batch);
}

/* A survivor's next spending looks at holds of the others that have timed out. */
static void
WatchHolds(const int64 *members, int n)
{
	static CrmQuery query = {
		"UPDATE crm_member.points_account a SET hold_expires_at = h.expires_at "
		"FROM (SELECT k.root, h.points_type, min(h.expires_at) AS expires_at FROM unnest($1) AS m (member_id) "
		"CROSS JOIN LATERAL (SELECT * FROM crm_member.points_hold h WHERE h.member_id = m.member_id "
		"AND h.held > 0 OFFSET 0) h "
		"CROSS JOIN LATERAL (SELECT * FROM crm_member.member_kin k WHERE k.member_id = m.member_id OFFSET 0) k "
		"GROUP BY 1, 2 OFFSET 0) h "
		"WHERE a.member_id = h.root AND a.points_type = h.points_type AND a.hold_expires_at > h.expires_at",
		1, {INT8ARRAYOID}};
	Datum		value = IdArray(members, n);

	RunQuery(&query, &value, NULL, false, 0);
}

void
MoveMergedPoints(const Kin *kin, bool merging, const MergeAct *act, StringInfo report)
{
	static CrmQuery query = {
		"SELECT a.member_id, a.points_type FROM unnest($1) AS m (member_id) "
		"CROSS JOIN LATERAL (SELECT * FROM crm_member.points_account a WHERE a.member_id = m.member_id OFFSET 0) a "
		"WHERE a.entry_no > 0 ORDER BY 1, 2",
		1, {INT8ARRAYOID}};
	TimestampTz now = GetCurrentTransactionStartTimestamp();
	int64	   *members = palloc(sizeof(int64) * kin->n);
	SPITupleTable *table;
	Datum		value;
	uint64		found;
	int			n = 0;

	/* a merge takes nothing from who survives it */
	for (int i = 0; i < kin->n; i++)
	{
		const KinMember *member = &kin->members[i];

		if (member->touched && !(merging && member->root == member->member_id))
			members[n++] = member->member_id;
	}
	value = IdArray(members, n);
	found = RunQuery(&query, &value, NULL, false, 0);
	table = SPI_tuptable;
	appendStringInfoString(report, "\"points\": [");
	for (uint64 row = 0; row < found; row++)
	{
		bool		isnull;

		SPI_tuptable = table;
		ForwardAccount(DatumGetInt64(QueryColumn(row, 1, &isnull)),
					   FindPointsType(GetRuleSet(), QueryText(row, 2)), now, act, report);
	}
	appendStringInfoChar(report, ']');
	WatchHolds(members, n);
}
