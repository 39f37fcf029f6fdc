/*
 * explain.c: evaluate_points() and explain_points(): what a sale would earn, and why.
 */
#include "crm_member.h"
#include "points/points.h"
#include "tier/tier.h"

#include "funcapi.h"
#include "utils/builtins.h"

static Datum
PointsNumeric(int64 points, const Rule *rule)
{
	return NumericGetDatum(MinorToNumeric(points, rule->type->decimals));
}

static bool
IsBooked(const Sale *sale)
{
	return sale->settled_at != 0;
}

static RuleUse *
UseBefore(const RuleSet *set, const Sale *sale)
{
	RuleUse    *use = BeginRuleUse(set, false, true);

	if (IsBooked(sale))
		ForgetSale(use, sale);
	return use;
}

/*
 * What checkout() would give for a sale now: where it reaches a tier by which it
 * earns itself, the buyer is left with that tier.  Of one that is in the books the
 * buyer has it already.
 */
static List *
EvaluateJudged(const RuleSet *set, Sale *sale)
{
	RuleUse    *use = UseBefore(set, sale);
	EarnedSale	earned = {sale};

	earned.awards = EvaluateTotals(set, sale, use);
	if (!IsBooked(sale))
		ClimbTiers(set, use, BeginClimb(sale->member, sale->sold_at, false), &earned);
	return earned.awards;
}

/* evaluate_points(sale) -> (rule_code, line_no, points, points_type) */
PG_FUNCTION_INFO_V1(crm_evaluate_points);
Datum
crm_evaluate_points(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	Sale	   *sale = QuotedSale(PG_GETARG_JSONB_P(0));
	List	   *awards = EvaluateJudged(GetRuleSet(), sale);
	ListCell   *cell;
	ListCell   *inner;

	InitMaterializedSRF(fcinfo, MAT_SRF_USE_EXPECTED_DESC);
	foreach(cell, awards)
	{
		foreach(inner, ((Award *) lfirst(cell))->grants)
		{
			const Grant *grant = lfirst(inner);
			Datum		values[4];
			bool		nulls[4] = {false, grant->line < 0};

			values[0] = PointerGetDatum(grant->rule->code_text);
			values[1] = Int32GetDatum(grant->line < 0 ? 0 : sale->lines[grant->line].line_no);
			values[2] = PointsNumeric(grant->points, grant->rule);
			values[3] = PointerGetDatum(grant->rule->type->name_text);
			tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
		}
	}
	return (Datum) 0;
}

/* explain_points(sale) -> (rule_code, line_no, verdict, clause, saw, displaced_by, points, would, points_type) */
PG_FUNCTION_INFO_V1(crm_explain_points);
Datum
crm_explain_points(PG_FUNCTION_ARGS)
{
	static const char *const verdicts[] = {"matched", "unmatched", "not valid", "displaced", "capped"};
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	const RuleSet *set = GetRuleSet();
	Sale	   *sale = JudgedSale(PG_GETARG_JSONB_P(0), set->uses);
	List	   *explanations = NIL;
	ListCell   *cell;

	EvaluateJudged(set, sale);
	EvaluateSale(set, sale, UseBefore(set, sale), &explanations);
	InitMaterializedSRF(fcinfo, 0);
	foreach(cell, explanations)
	{
		const Explanation *why = lfirst(cell);
		Datum		values[9];
		bool		nulls[9] = {false};

		values[0] = CStringGetTextDatum(why->rule->code);
		nulls[1] = why->line < 0;
		values[1] = Int32GetDatum(why->line < 0 ? 0 : sale->lines[why->line].line_no);
		values[2] = CStringGetTextDatum(verdicts[why->verdict]);
		nulls[3] = why->clause == NULL;
		values[3] = why->clause == NULL ? (Datum) 0 : CStringGetTextDatum(why->clause);
		nulls[4] = why->saw == NULL;
		values[4] = why->saw == NULL ? (Datum) 0 : CStringGetTextDatum(why->saw);
		nulls[5] = why->displaced_by == NULL;
		values[5] = why->displaced_by == NULL ? (Datum) 0 : CStringGetTextDatum(why->displaced_by->code);
		values[6] = PointsNumeric(why->points, why->rule);
		values[7] = PointsNumeric(why->would, why->rule);
		values[8] = CStringGetTextDatum(why->rule->type->name);
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
	return (Datum) 0;
}
