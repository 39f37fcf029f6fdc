/*
 * sale.c: a sale document is refused with a code that the manual names, or its
 * lines add up.
 */
#include "fuzz.h"
#include "sale/sale.h"
#include "setting.h"

#include "utils/builtins.h"

static void
ReadSettings(void)
{
	GetSetting();
}

static void
TrySale(const char *text, Size length)
{
	Jsonb	   *jsonb = DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(text)));
	Sale	   *sale = &ReadSaleDocument(jsonb)->sale;
	int128		amount = 0;

	FuzzCheck(sale->nlines > 0, "a sale without lines");
	for (int i = 0; i < sale->nlines; i++)
	{
		const SaleLine *line = &sale->lines[i];

		FuzzCheck(line->amount >= 0 && line->discount >= 0 && line->discount <= line->amount,
				  "a line out of bounds");
		amount += line->amount;
	}
	FuzzCheck(amount == sale->amount, "the lines do not add up");
	DocumentDigest(jsonb);
}

const FuzzTarget sale_target = {
	"sale", ReadSettings, TrySale,
	{ERRCODE_INVALID_PARAMETER_VALUE, ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE,
	 ERRCODE_INVALID_TEXT_REPRESENTATION, ERRCODE_INVALID_DATETIME_FORMAT,
	 ERRCODE_DATETIME_VALUE_OUT_OF_RANGE, ERRCODE_UNTRANSLATABLE_CHARACTER,
	 ERRCODE_STATEMENT_TOO_COMPLEX, ERRCODE_INVALID_TIME_ZONE_DISPLACEMENT_VALUE}
};
