/*
 * rule.c: what a points rule says in a language of its own, when its points
 * expire and its brackets, is taken or not, without an error.
 */
#include "fuzz.h"
#include "points/points.h"
#include "setting.h"

#include "utils/builtins.h"

static void
ReadSettings(void)
{
	GetSetting();
}

static void
TryExpiry(const char *text, Size length)
{
	Expiry		expiry;
	TimestampTz from = 0;

	if (!ParseExpiry(text, &expiry))
		return;
	FuzzCheck(ExpiresAt(&expiry, from) > from || expiry.kind == EXPIRY_DATE, "expired when earned");
}

static void
TryBrackets(const char *text, Size length)
{
	Brackets	brackets;

	if (!ParseBrackets(DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(text))),
					   &brackets))
		return;
	FuzzCheck(brackets.nsteps > 0, "brackets without a step");
	for (int i = 1; i < brackets.nsteps; i++)
		FuzzCheck(CompareDecimal(brackets.steps[i - 1].from, brackets.steps[i].from) < 0,
				  "steps out of order");
}

const FuzzTarget expiry_target = {
	"expiry", ReadSettings, TryExpiry,
	{ERRCODE_DATETIME_VALUE_OUT_OF_RANGE, ERRCODE_DATETIME_FIELD_OVERFLOW}
};

const FuzzTarget brackets_target = {
	"brackets", NULL, TryBrackets,
	{ERRCODE_INVALID_TEXT_REPRESENTATION, ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE,
	 ERRCODE_UNTRANSLATABLE_CHARACTER, ERRCODE_STATEMENT_TOO_COMPLEX}
};
