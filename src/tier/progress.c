/*
 * progress.c: what a member has towards the next tier, and what is lacking.
 */
#include "crm_member.h"
#include "argument.h"
#include "query.h"
#include "tier/tier.h"

#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"

static Datum
SeriesDatum(const TierSeries *series, int64 value)
{
	return NumericGetDatum(MinorToNumeric(value, series->decimals));
}

static void
PutRule(ReturnSetInfo *result, const Standing *standing, const Tier *tier, const TierRule *rule,
		TimestampTz as_of)
{
	static const char *const measures[] = {"spend", "sales", "points"};
	const TierSeries *series = &standing->set->series[rule->series];
	int64		reached = Reached(standing, rule, as_of, as_of);
	Datum		values[10];
	bool		nulls[10] = {false};

	values[0] = CStringGetTextDatum(tier->code);
	values[1] = Int16GetDatum(tier->rank);
	values[2] = Int16GetDatum(rule->way);
	values[3] = Int16GetDatum(rule->part);
	values[4] = CStringGetTextDatum(measures[series->measure]);
	values[5] = TextOrNull(series->points_type, &nulls[5]);
	values[6] = TimestampTzGetDatum(WindowStart(rule, as_of));
	values[7] = SeriesDatum(series, rule->threshold);
	values[8] = SeriesDatum(series, reached);
	values[9] = SeriesDatum(series, Max(SubtractMinor(rule->threshold, reached), 0));
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

/* tier_progress(member_id, as_of, every_tier) */
PG_FUNCTION_INFO_V1(crm_tier_progress);
Datum
crm_tier_progress(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	int64		member_id;
	TimestampTz as_of = MomentArgument(fcinfo, 1, GetCurrentTransactionStartTimestamp());
	bool		every_tier = !PG_ARGISNULL(2) && PG_GETARG_BOOL(2);
	MemoryContext context = CurrentMemoryContext;
	Standing   *standing;
	int			rank;

	InitMaterializedSRF(fcinfo, 0);
	if (PG_ARGISNULL(0))
		return (Datum) 0;
	member_id = RequireMember(PG_GETARG_INT64(0), all_members);
	SPI_connect();
	standing = LoadStanding(member_id, false, context);
	if (standing == NULL)
		elog(ERROR, "member " INT64_FORMAT " vanished", member_id);
	rank = TierRank(standing->holding.earned);
	LoadActivity(standing, EarliestStart(standing->set, as_of, rank), rank);
	SPI_finish();

	for (int t = 0; t < standing->set->ntiers; t++)
	{
		const Tier *tier = &standing->set->tiers[t];

		if (tier->rank <= rank || tier->nrules == 0)
			continue;
		for (int r = 0; r < tier->nrules; r++)
			PutRule(result, standing, tier, &tier->rules[r], as_of);
		if (!every_tier)
			break;
	}
	return (Datum) 0;
}
