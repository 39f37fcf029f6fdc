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

/* What makes a text no expiry. */
static const char *const not_one_of_these = "It is of no form that is_expiry() knows.";
static const char *const too_long = "It is longer than 1000 years.";
static const char *const not_positive = "It could end before it began.";

/* "[+ n]" and nothing else. */
static const char *
ParseCount(const char *text, int *count)
{
	char	   *end;

	*count = 0;
	while (isspace((unsigned char) *text))
		text++;
	if (*text == '\0')
		return NULL;
	if (*text++ != '+')
		return not_one_of_these;
	errno = 0;
	*count = strtol(text, &end, 10);
	if (end == text || *count < 0)
		return not_one_of_these;
	while (isspace((unsigned char) *end))
		end++;
	if (*end != '\0')
		return not_one_of_these;
	return errno != 0 || *count > 1000 ? "No more than 1000 can be added." : NULL;
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

/*
 * Whatever the calendar, what is earned must not expire at once, nor so late that
 * no timestamp says when.
 */
static const char *
CheckSpan(const Interval *after)
{
	int64		years = after->month / 12;
	int64		months = after->month % 12;
	int64		days = years * 365 + months * (months < 0 ? 31 : 28) + after->day;
	int64		most = 1000 * 365 + 250;
	int64		least;

	if (years > 1000 || days > most || after->time / USECS_PER_DAY > most)
		return too_long;
	if (days < -most || after->time / USECS_PER_DAY < -most)
		return not_positive;
	least = days * USECS_PER_DAY + after->time;
	/* whole days last to the end of the day they end on */
	if (least > 0 || (least == 0 && after->time == 0 && after->month != 0))
		return NULL;
	return not_positive;
}

/* A date or a positive interval, by PostgreSQL's own parser. */
static const char *
ParseDateOrInterval(const char *text, Expiry *expiry)
{
	MemoryContext context = CurrentMemoryContext;
	const char *volatile fault = not_one_of_these;

	expiry->kind = strlen(text) == 10 && text[4] == '-' && text[7] == '-' ? EXPIRY_DATE
		: EXPIRY_AFTER;
	if (expiry->kind == EXPIRY_AFTER && EndsWithoutUnit(text))
		return "An interval needs its units, as in 12 months.";
	PG_TRY();
	{
		if (expiry->kind == EXPIRY_DATE)
		{
			expiry->date = DatumGetDateADT(DirectFunctionCall1(date_in, CStringGetDatum(text)));
			fault = NULL;
		}
		else
		{
			expiry->after = *DatumGetIntervalP(DirectFunctionCall3(interval_in, CStringGetDatum(text),
																   ObjectIdGetDatum(InvalidOid),
																   Int32GetDatum(-1)));
			fault = CheckSpan(&expiry->after);
		}
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		FlushErrorState();
	}
	PG_END_TRY();
	return fault;
}

const char *
ParseExpiry(const char *text, Expiry *expiry)
{
	static const char month[] = "end of month";
	static const char year[] = "end of year";
	static const char inactive[] = "inactive ";
	const char *fault;

	memset(expiry, 0, sizeof(*expiry));
	if (pg_strcasecmp(text, "never") == 0)
	{
		expiry->kind = EXPIRY_NEVER;
		return NULL;
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
	if (pg_strncasecmp(text, inactive, strlen(inactive)) != 0)
		return ParseDateOrInterval(text, expiry);
	fault = ParseDateOrInterval(text + strlen(inactive), expiry);
	if (fault == NULL && expiry->kind != EXPIRY_AFTER)
		fault = not_one_of_these;
	expiry->kind = EXPIRY_INACTIVE;
	return fault;
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

	PG_RETURN_BOOL(ParseExpiry(text_to_cstring(PG_GETARG_TEXT_PP(0)), &expiry) == NULL);
}

void
RefuseExpiry(int sqlstate, const char *text, const char *fault)
{
	ereport(ERROR, (errcode(sqlstate),
					errmsg("malformed expiry \"%s\"", text),
					errdetail("%s", fault),
					errhint("Possible are never, an interval such as 12 months, end of month + 1, end of "
							"year, a date such as 2027-12-31 and, of points types, inactive 12 months.")));
}

/* For constraints, which could say only that it is none. */
PG_FUNCTION_INFO_V1(crm_require_expiry);
Datum
crm_require_expiry(PG_FUNCTION_ARGS)
{
	char	   *expression = text_to_cstring(PG_GETARG_TEXT_PP(0));
	Expiry		expiry;
	const char *fault = ParseExpiry(expression, &expiry);

	if (fault != NULL)
		RefuseExpiry(ERRCODE_CHECK_VIOLATION, expression, fault);
	PG_RETURN_BOOL(true);
}
