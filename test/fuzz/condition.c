/*
 * condition.c: whatever parses as a condition must print and read back as
 * itself, byte for byte, and can be evaluated, explained and turned into SQL.
 */
#include "fuzz.h"
#include "condition/condition.h"

#include "utils/builtins.h"

static Facts unknown;			/* nothing is known */
static Facts some;

static void
FillFacts(void)
{
	Datum		text = CStringGetDatum("{\"a\": 1.5, \"b\": \"red\", \"c\": true, \"d\": [1], "
									   "\"e\": \"-0.25\"}");
	Datum		attrs = DirectFunctionCall1(jsonb_in, text);

	some.facts[MEMBER_TIER].known = true;
	some.facts[MEMBER_TIER].value.text.data = "gold";
	some.facts[MEMBER_TIER].value.text.length = 4;
	some.facts[SALE_AMOUNT].known = true;
	some.facts[SALE_AMOUNT].value.number.units = 8750;
	some.facts[SALE_AMOUNT].value.number.scale = 2;
	some.facts[MEMBER_IS_BIRTHDAY].known = true;
	some.facts[SALE_DATE].known = true;
	some.facts[SALE_SOLD_AT].known = true;
	for (int subject = 0; subject < SUBJECT_COUNT; subject++)
		some.attrs[subject] = DatumGetJsonbP(attrs);
}

static void
TryCondition(const char *text, Size length)
{
	Condition  *condition = ParseCondition(text);
	char	   *printed = PrintCondition(condition);
	Condition  *again = ParseCondition(printed);
	StringInfoData clause;
	StringInfoData saw;
	Truth		truth;

	FuzzCheck(VARSIZE(condition) == VARSIZE(again) &&
			  memcmp(condition, again, VARSIZE(condition)) == 0, "read back as something else");
	FuzzCheck(strcmp(printed, PrintCondition(again)) == 0, "printed in two ways");
	ConditionToSql(condition);
	EvaluateCondition(condition, &unknown);
	truth = EvaluateCondition(condition, &some);
	initStringInfo(&clause);
	initStringInfo(&saw);
	ExplainCondition(condition, &some, &clause, &saw);
	FuzzCheck((clause.len == 0) == (truth == TRUTH_TRUE), "explained what needs none, or not");
}

const FuzzTarget condition_target = {
	"condition", FillFacts, TryCondition,
	{ERRCODE_INVALID_TEXT_REPRESENTATION, ERRCODE_PROGRAM_LIMIT_EXCEEDED}
};
