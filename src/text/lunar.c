/*
 * lunar.c: days of the Chinese calendar.
 *
 * ICU is asked once a year and session where the months of that year begin;
 * everything else is looked up.
 */
#include "crm_member.h"
#include "text/text.h"

#include "datatype/timestamp.h"
#include "utils/datetime.h"

#include <unicode/ucal.h>

#define FIRST_YEAR 1850
#define LAST_YEAR 2150
#define MONTHS 15 /* moons that may touch a year */

/* The moons of a solar year: on which day (Julian) they begin, which month they are. */
typedef struct Moons
{
	int32 begins[MONTHS];
	int8  month[MONTHS]; /* 1 to 12; a leap month has the number of the one before */
	int8  year[MONTHS];  /* lunar year less the solar one */
} Moons;

static Moons moons[LAST_YEAR - FIRST_YEAR + 1];

static void
CheckIcu(UErrorCode status)
{
	if (U_FAILURE(status))
		ereport(ERROR, (errcode(ERRCODE_EXTERNAL_ROUTINE_EXCEPTION),
						errmsg("ICU failed: Chinese calendar: %s", u_errorName(status))));
}

/* Month and day of a Julian day; noon in Beijing, which no time zone moves to another day. */
static int
AskDay(UCalendar *calendar, int julian, int *month)
{
	UErrorCode status = U_ZERO_ERROR;
	int        day;

	ucal_setMillis(calendar, ((double) julian - UNIX_EPOCH_JDATE) * 86400000.0 + 4 * 3600000.0,
				   &status);
	*month = ucal_get(calendar, UCAL_MONTH, &status) + 1;
	day = ucal_get(calendar, UCAL_DATE, &status);
	CheckIcu(status);
	return day;
}

static const Moons *
MoonsOf(int year)
{
	static UCalendar *calendar = NULL;
	Moons            *of = &moons[year - FIRST_YEAR];
	int               julian, month, day;

	if (of->begins[MONTHS - 1] != 0)
		return of;
	if (calendar == NULL)
	{
		UErrorCode status = U_ZERO_ERROR;

		calendar = ucal_open(u"Asia/Shanghai", -1, "zh@calendar=chinese", UCAL_DEFAULT, &status);
		CheckIcu(status);
	}
	julian = date2j(year, 1, 1);
	day = AskDay(calendar, julian, &month);
	julian -= day - 1;
	for (int i = 0; i < MONTHS; i++)
	{
		int next;

		of->month[i] = month;
		/* January and February begin in the last months of the lunar year before */
		of->year[i] = i < 4 && month >= 10 ? -1 : i >= 11 && month <= 3 ? 1 : 0;
		of->begins[i] = julian;
		julian += AskDay(calendar, julian + 29, &next) == 1 ? 29 : 30;
		AskDay(calendar, julian, &month);
	}
	return of;
}

/* The lunar date of a solar one; false outside of the years known. */
bool
LunarDate(int year, int month, int day, int *lunar_year, int *lunar_month, int *lunar_day)
{
	const Moons *of;
	int          julian, i = MONTHS - 1;

	if (year < FIRST_YEAR || year > LAST_YEAR || month < 1 || month > 12 || day < 1 || day > 31)
		return false;
	of = MoonsOf(year);
	julian = date2j(year, month, day);
	while (of->begins[i] > julian)
		i--;
	*lunar_year = year + of->year[i];
	*lunar_month = of->month[i];
	*lunar_day = julian - of->begins[i] + 1;
	return true;
}
