/*
 * expiry.c: when points expire.
 *
 *	 never
 *	 12 months				so long after they were earned: through the end of that
 *							day, or, where the interval has hours, to the instant
 *	 inactive 12 months		so long, counted alike, after the member last earned or spent
 *							any: see activity.c
 *	 end of month [+ n]		through the last day of the n-th month after
 *	 end of year [+ n]		through the last day of the n-th year after
 *	 2027-12-31				through that day
 *
 * Days are those of the business time zone.  Points expire at the very instant
 * that expires_at names, so the end of a day is the first instant of the next.
 */
#include "crm_member.h"
#include "points/points.h"
#include "setting.h"

#include <ctype.h>

#include "utils/builtins.h"
#include "utils/datetime.h"

/* "[+ n]" and nothing else; false where it reads otherwise. */
static bool
ParseCount(const char *text, int *count)
{
	char	   *end;

	*count = 0;
	while (isspace((unsigned char) *text))
		text++;
	if (*text == '\0')
		return true;
	if (*text++ != '+')
		return false;
	errno = 0;
	*count = strtol(text, &end, 10);
	while (isspace((unsigned char) *end))
		end++;
	return errno == 0 && end != text && *end == '\0' && *count >= 0 && *count <= 1000;
}

/* PostgreSQL takes a number at the end that has no unit for seconds, which nobody means. */
static bool
EndsWithoutUnit(const char *text)
{
	const char *end = text + strlen(text);

	while (end > text && isspace((unsigned char) end[-1]))
		end--;
	while (end > text && !isspace((unsigned char) end[-1]))
	{
		end--;
		if (isalpha((unsigned char) *end) || *end == ':')
			return false;
	}
	return true;
}

/* A date or a positive interval, by PostgreSQL's own parser; its errors mean no. */
static bool
ParseDateOrInterval(const char *text, Expiry *expiry)
{
	MemoryContext context = CurrentMemoryContext;
	volatile bool ok = false;

	expiry->kind = strlen(text) == 10 && text[4] == '-' && text[7] == '-' ? EXPIRY_DATE
		: EXPIRY_AFTER;
	if (expiry->kind == EXPIRY_AFTER && EndsWithoutUnit(text))
		return false;
	PG_TRY();
	{
		if (expiry->kind == EXPIRY_DATE)
		{
			expiry->date = DatumGetDateADT(DirectFunctionCall1(date_in, CStringGetDatum(text)));
			ok = true;
		}
		else
		{
			Interval   *after;
			Interval	zero = {0};

			after = DatumGetIntervalP(DirectFunctionCall3(interval_in, CStringGetDatum(text),
														  ObjectIdGetDatum(InvalidOid),
														  Int32GetDatum(-1)));
			expiry->after = *after;
			ok = DatumGetBool(DirectFunctionCall2(interval_gt, IntervalPGetDatum(after),
												  IntervalPGetDatum(&zero)));
		}
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		FlushErrorState();
		ok = false;
	}
	PG_END_TRY();
	return ok;
}

bool
ParseExpiry(const char *text, Expiry *expiry)
{
	static const char month[] = "end of month";
	static const char year[] = "end of year";
	static const char inactive[] = "inactive ";

	memset(expiry, 0, sizeof(*expiry));
	if (pg_strcasecmp(text, "never") == 0)
	{
		expiry->kind = EXPIRY_NEVER;
		return true;
	}
	if (pg_strncasecmp(text, month, strlen(month)) == 0)
	{
		expiry->kind = EXPIRY_END_OF_MONTH;
		return ParseCount(text + strlen(month), &expiry->count);
	}
	if (pg_strncasecmp(text, year, strlen(year)) == 0)
	{
		expiry->kind = EXPIRY_END_OF_YEAR;
		return ParseCount(text + strlen(year), &expiry->count);
	}
	if (pg_strncasecmp(text, inactive, strlen(inactive)) == 0)
	{
		if (!ParseDateOrInterval(text + strlen(inactive), expiry) || expiry->kind != EXPIRY_AFTER)
			return false;
		expiry->kind = EXPIRY_INACTIVE;
		return true;
	}
	return ParseDateOrInterval(text, expiry);
}

TimestampTz
ExpiresAt(const Expiry *expiry, TimestampTz from)
{
	struct pg_tm tm;

	switch (expiry->kind)
	{
		case EXPIRY_NEVER:
			break;
		case EXPIRY_AFTER:
		case EXPIRY_INACTIVE:
			{
				TimestampTz at = AddBusinessInterval(from, &expiry->after);

				return expiry->after.time != 0 ? at : StartOfBusinessDay(BusinessDate(at) + 1);
			}
		case EXPIRY_END_OF_MONTH:
			{
				int			months;

				BusinessTime(from, &tm);
				months = tm.tm_year * 12 + (tm.tm_mon - 1) + expiry->count + 1;
				return StartOfBusinessDay(date2j(months / 12, months % 12 + 1, 1) -
										  POSTGRES_EPOCH_JDATE);
			}
		case EXPIRY_END_OF_YEAR:
			BusinessTime(from, &tm);
			return StartOfBusinessDay(date2j(tm.tm_year + expiry->count + 1, 1, 1) -
									  POSTGRES_EPOCH_JDATE);
		case EXPIRY_DATE:
			return StartOfBusinessDay(expiry->date + 1);
	}
	return DT_NOEND;
}

PG_FUNCTION_INFO_V1(crm_is_expiry);
Datum
crm_is_expiry(PG_FUNCTION_ARGS)
{
	Expiry		expiry;

	PG_RETURN_BOOL(ParseExpiry(text_to_cstring(PG_GETARG_TEXT_PP(0)), &expiry));
}
