/*
 * id_number.c: identity numbers of mainland China, GB 11643.
 *
 * Six digits of the county that first issued it, the birthday, three digits of
 * which the last is odd for a man, and a check sign by ISO 7064 MOD 11-2.  The
 * form of 15 digits, issued until 1999, has no century and no check sign.
 */
#include "crm_member.h"
#include "text/text.h"

#include "access/htup_details.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/datetime.h"

static int
NumberAt(const char *s, int from, int n)
{
	int number = 0;

	for (int i = from; i < from + n; i++)
		number = number * 10 + (s[i] - '0');
	return number;
}

static char
CheckSign(const char *s)
{
	static const int  weights[] = {7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2};
	static const char signs[] = "10X98765432";
	int               sum = 0;

	for (int i = 0; i < lengthof(weights); i++)
		sum += (s[i] - '0') * weights[i];
	return signs[sum % 11];
}

static bool
IsDay(int year, int month, int day)
{
	return year >= 1800 && month >= 1 && month <= 12 && day >= 1 &&
		   day <= day_tab[isleap(year)][month - 1];
}

/* The 18 signs of a number, or false where it is none. */
bool
NormalizeIdNumber(const char *s, char number[ID_NUMBER_LENGTH + 1])
{
	Rune runes[40];
	int  n = DecodeText(s, runes, lengthof(runes));
	int  kept = 0;

	for (int i = 0; i < n; i++)
	{
		Rune rune = runes[i] >= 0xFF01 && runes[i] <= 0xFF5E ? runes[i] - 0xFEE0 : runes[i];

		if (rune == ' ' || rune == '-' || rune == 0x3000 || rune == 0xA0)
			continue;
		if (rune == 'x')
			rune = 'X';
		if (kept == ID_NUMBER_LENGTH ||
			!((rune >= '0' && rune <= '9') || (rune == 'X' && kept == ID_NUMBER_LENGTH - 1)))
			return false;
		number[kept++] = (char) rune;
	}
	if (kept == 15)
	{
		memmove(number + 8, number + 6, 9);
		memcpy(number + 6, "19", 2);
		number[17] = CheckSign(number);
	}
	else if (kept != ID_NUMBER_LENGTH || number[17] != CheckSign(number))
		return false;
	number[ID_NUMBER_LENGTH] = '\0';
	return number[0] >= '1' && number[0] <= '9' &&
		   IsDay(NumberAt(number, 6, 4), NumberAt(number, 10, 2), NumberAt(number, 12, 2));
}

/* read_id_number(text, OUT id_number, OUT birthday, OUT gender, OUT county) */
PG_FUNCTION_INFO_V1(crm_read_id_number);
Datum
crm_read_id_number(PG_FUNCTION_ARGS)
{
	char      number[ID_NUMBER_LENGTH + 1];
	TupleDesc desc;
	Datum     values[4];
	bool      nulls[4] = {false};

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	if (!NormalizeIdNumber(text_to_cstring(PG_GETARG_TEXT_PP(0)), number))
		memset(nulls, true, sizeof(nulls));
	else
	{
		values[0] = CStringGetTextDatum(number);
		values[1] = DateADTGetDatum(date2j(NumberAt(number, 6, 4), NumberAt(number, 10, 2),
										   NumberAt(number, 12, 2)) -
									POSTGRES_EPOCH_JDATE);
		values[2] = CStringGetTextDatum((number[16] - '0') % 2 == 1 ? "M" : "F");
		values[3] = PointerGetDatum(cstring_to_text_with_len(number, 6));
	}
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls)));
}
