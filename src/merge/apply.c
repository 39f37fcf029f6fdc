/*
 * apply.c: everything of members that were ever merged, as the live edges say.
 */
#include "crm_member.h"
#include "merge/merge.h"
#include "query.h"

#include "utils/builtins.h"
#include "utils/jsonb.h"

static void
AppendFamilies(const Kin *kin, StringInfo report)
{
	const char *separator = "";

	appendStringInfoString(report, ", \"families\": [");
	for (int i = 0; i < kin->n; i++)
	{
		const KinMember *root = &kin->members[i];
		const char *comma = "";

		if (root->root != root->member_id)
			continue;
		appendStringInfo(report, "%s{\"survivor\": " INT64_FORMAT ", \"members\": [", separator, root->member_id);
		for (int j = 0; j < kin->n; j++)
		{
			if (kin->members[j].root != root->member_id)
				continue;
			appendStringInfo(report, "%s" INT64_FORMAT, comma, kin->members[j].member_id);
			comma = ", ";
		}
		appendStringInfoString(report, "]}");
		separator = ", ";
	}
	appendStringInfoChar(report, ']');
}

static bool
SameJson(const char *a, const char *b)
{
	Jsonb	   *x;
	Jsonb	   *y;

	if (strcmp(a, b) == 0)
		return true;
	x = DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(a)));
	y = DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(b)));
	return compareJsonbContainers(&x->root, &y->root) == 0;
}

Kin *
ApplyMerges(int64 number, bool merging, const MergeAct *act, StringInfo report)
{
	Kin		   *kin = LoadKin(number);
	int64	   *touched = palloc(sizeof(int64) * kin->n);
	int64	   *members = palloc(sizeof(int64) * kin->n);
	char	   *before;
	char	   *after;
	int			n = 0;

	WriteKin(kin);
	for (int i = 0; i < kin->n; i++)
	{
		members[i] = kin->members[i].member_id;
		if (kin->members[i].touched)
			touched[n++] = members[i];
	}
	AppendFamilies(kin, report);
	ResolveConflicts(kin, merging, report);

	SetAside(kin, merging, act, report);

	/* locked first, so that what they have together stays as it is from one total to the other */
	LockMergedLimits(kin);
	LockMergedAccounts(kin);
	before = PartTotals(touched, n, true);
	appendStringInfoString(report, ", \"moved\": {\"limits\": [], ");
	MoveMergedLimits(kin);
	MoveMergedPoints(kin, merging, act, report);
	after = PartTotals(touched, n, true);
	if (!SameJson(before, after))
		ereport(ERROR, (errcode(ERRCODE_CRM_MERGE_TOTALS),
						errmsg("merging would change what the members have together"),
						errdetail("Before: %s. After: %s.", before, after)));
	appendStringInfo(report, "}, \"totals\": {\"before\": %s, \"after\": %s}, \"kept\": %s", before, after,
					 PartTotals(members, kin->n, false));
	MergeTiers(kin, act, report);
	ChooseGolden(kin, report);
	return kin;
}
