/*
 * bracket.c: awards that depend on how much was bought.
 *
 *	 {"mode": "tiered",   "steps": [{"from": 100, "points": 20}, {"from": 500, "points": 150}]}
 *	 {"mode": "marginal", "steps": [{"from": 0, "points": 1, "per": 1}, {"from": 1000, "points": 2, "per": 1}]}
 *
 * A step gives its points once or, with "per", for each so much money.  Tiered:
 * the highest step reached judges the whole amount.  Marginal: every step
 * reached judges the part of the amount that lies between it and the next.  An
 * array of steps alone is tiered.
 */
#include "crm_member.h"
#include "points/points.h"

#include "utils/fmgrprotos.h"

#define MAX_STEPS 100

static JsonbValue *
FindKey(JsonbContainer *object, const char *key)
{
	return getKeyJsonValueFromContainer(object, key, strlen(key), NULL);
}

/* A number from 0 to below 10^12 with at most 4 decimals; false: it is none. */
static bool
ReadNumber(JsonbContainer *object, const char *key, Decimal *number)
{
	JsonbValue *value = FindKey(object, key);
	Numeric		bound = int64_to_numeric(INT64CONST(1000000000000));
	Numeric		zero = int64_to_numeric(0);

	if (value == NULL || value->type != jbvNumeric)
		return false;
	if (!DatumGetBool(DirectFunctionCall2(numeric_ge, NumericGetDatum(value->val.numeric),
										  NumericGetDatum(zero))) ||
		!DatumGetBool(DirectFunctionCall2(numeric_lt, NumericGetDatum(value->val.numeric),
										  NumericGetDatum(bound))) ||
		!DatumGetBool(DirectFunctionCall2(numeric_eq, NumericGetDatum(value->val.numeric),
										  DirectFunctionCall2(numeric_round,
															  NumericGetDatum(value->val.numeric),
															  Int32GetDatum(4)))))
		return false;
	*number = NumericToDecimal(value->val.numeric, key);
	return true;
}

static bool
ReadStep(JsonbContainer *object, Step *step)
{
	int			keys = 2;

	if (!JsonContainerIsObject(object) || !ReadNumber(object, "from", &step->from) ||
		!ReadNumber(object, "points", &step->points))
		return false;
	step->per.units = 0;
	if (FindKey(object, "per") != NULL)
	{
		keys++;
		if (!ReadNumber(object, "per", &step->per) || step->per.units == 0)
			return false;
	}
	return JsonContainerSize(object) == keys;
}

bool
ParseBrackets(Jsonb *jsonb, Brackets *brackets)
{
	JsonbContainer *steps = &jsonb->root;

	memset(brackets, 0, sizeof(*brackets));
	if (JB_ROOT_IS_OBJECT(jsonb))
	{
		JsonbValue *mode = FindKey(&jsonb->root, "mode");
		JsonbValue *list = FindKey(&jsonb->root, "steps");

		if (JB_ROOT_COUNT(jsonb) != 2 || mode == NULL || mode->type != jbvString || list == NULL ||
			list->type != jbvBinary)
			return false;
		brackets->marginal = mode->val.string.len == 8 &&
			memcmp(mode->val.string.val, "marginal", 8) == 0;
		if (!brackets->marginal &&
			(mode->val.string.len != 6 || memcmp(mode->val.string.val, "tiered", 6) != 0))
			return false;
		steps = list->val.binary.data;
	}
	if (!JsonContainerIsArray(steps) || JsonContainerIsScalar(steps) ||
		JsonContainerSize(steps) < 1 || JsonContainerSize(steps) > MAX_STEPS)
		return false;

	brackets->nsteps = JsonContainerSize(steps);
	brackets->steps = palloc(sizeof(Step) * brackets->nsteps);
	for (int i = 0; i < brackets->nsteps; i++)
	{
		JsonbValue *element = getIthJsonbValueFromContainer(steps, i);

		if (element->type != jbvBinary || !ReadStep(element->val.binary.data, &brackets->steps[i]))
			return false;
		if (i > 0 && CompareDecimal(brackets->steps[i - 1].from, brackets->steps[i].from) >= 0)
			return false;
	}
	return true;
}

PG_FUNCTION_INFO_V1(crm_is_brackets);
Datum
crm_is_brackets(PG_FUNCTION_ARGS)
{
	Brackets	brackets;

	PG_RETURN_BOOL(ParseBrackets(PG_GETARG_JSONB_P(0), &brackets));
}
