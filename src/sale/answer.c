/*
 * answer.c: the answer of quote() and checkout().
 */
#include "crm_member.h"
#include "coupon/coupon.h"
#include "points/points.h"
#include "sale/json.h"
#include "sale/sale.h"
#include "setting.h"

static int64
LinePoints(List *awards, int line, const PointsType *type)
{
	int64		points = 0;
	ListCell   *cell;

	foreach(cell, awards)
	{
		const Award *award = lfirst(cell);

		if (SameType(award->type, type))
			points += award->line_points[line];
	}
	return points;
}

static void
PushLines(JsonbParseState **state, const Sale *sale, List *awards, const PointsType *type)
{
	int			scale = GetSetting()->money_scale;

	PushKey(state, "lines");
	pushJsonbValue(state, WJB_BEGIN_ARRAY, NULL);
	for (int i = 0; i < sale->nlines; i++)
	{
		const SaleLine *line = &sale->lines[i];

		pushJsonbValue(state, WJB_BEGIN_OBJECT, NULL);
		PushNumber(state, "line_no", line->line_no, 0);
		PushNumber(state, "amount", line->amount, scale);
		PushNumber(state, "discount", line->discount, scale);
		PushNumber(state, "payable", LinePayable(line), scale);
		PushNumber(state, "points", LinePoints(awards, i, type), type->decimals);
		pushJsonbValue(state, WJB_END_OBJECT, NULL);
	}
	pushJsonbValue(state, WJB_END_ARRAY, NULL);
}

void
PushCoupons(JsonbParseState **state, const Sale *sale)
{
	static const char *const statuses[] = {"applied", "refused", "not_best"};
	int			scale = GetSetting()->money_scale;
	ListCell   *cell;

	PushKey(state, "coupons");
	pushJsonbValue(state, WJB_BEGIN_ARRAY, NULL);
	foreach(cell, sale->coupons)
	{
		const SaleCoupon *coupon = lfirst(cell);

		pushJsonbValue(state, WJB_BEGIN_OBJECT, NULL);
		PushText(state, "code", coupon->code);
		PushText(state, "template_code", coupon->template_code);
		PushText(state, "status", statuses[coupon->status]);
		PushText(state, "reason", coupon->reason);
		PushText(state, "sqlstate",
				 coupon->sqlstate == 0 ? NULL : pstrdup(unpack_sql_state(coupon->sqlstate)));
		PushNumber(state, "discount", coupon->discount, scale);
		pushJsonbValue(state, WJB_END_OBJECT, NULL);
	}
	pushJsonbValue(state, WJB_END_ARRAY, NULL);
}

/* As they stand in the journal, so that a retry, which reads them there, answers the same. */
static List *
ByPointsType(List *awards)
{
	List	   *ordered = NIL;
	ListCell   *cell;

	foreach(cell, awards)
	{
		Award	   *award = lfirst(cell);
		int			i = list_length(ordered);

		while (i > 0 && strcmp(((Award *) list_nth(ordered, i - 1))->type->name, award->type->name) > 0)
			i--;
		ordered = list_insert_nth(ordered, i, award);
	}
	return ordered;
}

static void
PushRules(JsonbParseState **state, const Sale *sale, List *awards)
{
	ListCell   *cell;
	ListCell   *inner;

	PushKey(state, "rules");
	pushJsonbValue(state, WJB_BEGIN_ARRAY, NULL);
	foreach(cell, ByPointsType(awards))
	{
		const Award *award = lfirst(cell);

		foreach(inner, award->grants)
		{
			const Grant *grant = lfirst(inner);

			/* there can be many: keys in the order jsonb has them in */
			pushJsonbValue(state, WJB_BEGIN_OBJECT, NULL);
			PushNumber(state, "points", grant->points, award->type->decimals);
			if (grant->line >= 0)
				PushNumber(state, "line_no", sale->lines[grant->line].line_no, 0);
			else
				PushText(state, "line_no", NULL);
			PushText(state, "rule_code", grant->rule->code);
			PushText(state, "points_type", award->type->name);
			pushJsonbValue(state, WJB_END_OBJECT, NULL);
		}
	}
	pushJsonbValue(state, WJB_END_ARRAY, NULL);
}

static void
PushPoints(JsonbParseState **state, const Sale *sale, List *awards, const PointsType *type,
		   TimestampTz settled_at)
{
	int64		earned = 0;

	for (int i = 0; i < sale->nlines; i++)
		earned += LinePoints(awards, i, type);

	PushKey(state, "points");
	pushJsonbValue(state, WJB_BEGIN_OBJECT, NULL);
	PushNumber(state, "earned", earned, type->decimals);
	PushNumber(state, "spent", sale->points_spent, type->decimals);
	PushNumber(state, "value", sale->points_value, GetSetting()->money_scale);
	if (sale->member != NULL)
		PushNumber(state, "balance",
				   SpendableBalance(sale->member->member_id, type, settled_at, settled_at, false),
				   type->decimals);
	else
		PushText(state, "balance", NULL);
	PushRules(state, sale, awards);
	pushJsonbValue(state, WJB_END_OBJECT, NULL);
}

Jsonb *
SaleAnswer(const Sale *sale, List *awards, TimestampTz settled_at)
{
	const PointsType *type = FindPointsType(GetRuleSet(), MAIN_TYPE);
	int			scale = GetSetting()->money_scale;
	JsonbParseState *state = NULL;
	JsonbValue *result;

	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	if (sale->sale_id != 0)
		PushNumber(&state, "sale_id", sale->sale_id, 0);
	else
		PushText(&state, "sale_id", NULL);
	PushText(&state, "ref", sale->ref);
	PushText(&state, "source", sale->source);
	if (sale->member != NULL)
		PushNumber(&state, "member_id", sale->member->member_id, 0);
	else
		PushText(&state, "member_id", NULL);
	PushNumber(&state, "amount", sale->amount, scale);
	PushNumber(&state, "discount", sale->discount, scale);
	PushNumber(&state, "shipping", sale->shipping, scale);
	PushNumber(&state, "payable", SalePayable(sale), scale);
	PushNumber(&state, "money", SalePayable(sale) - sale->points_value - sale->stored_value, scale);
	PushLines(&state, sale, awards, type);
	PushCoupons(&state, sale);
	PushPoints(&state, sale, awards, type, settled_at);
	PushKey(&state, "stored_value");
	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	PushNumber(&state, "spent", sale->stored_value, scale);
	pushJsonbValue(&state, WJB_END_OBJECT, NULL);
	result = pushJsonbValue(&state, WJB_END_OBJECT, NULL);
	return JsonbValueToJsonb(result);
}
