/*
 * time.c: dates and timestamps as conditions write them.
 *
 * ISO 8601 only, so that a stored condition reads the same under any DateStyle:
 * 2026-01-31, 2026-01-31 10:00, 2026-01-31T10:00:30.25+08:00.  A timestamp
 * without an offset is in the session's time zone; it is printed in UTC.
 */
#include "crm_member.h"
#include "condition/condition_datum.h"

#include "datatype/timestamp.h"
#include "pgtime.h"
#include "utils/datetime.h"

#define MIN_YEAR 1
#define MAX_YEAR 9999

/* A number of exactly so many digits within limits; moves *s behind it. */
static bool
ReadDigits(const char **s, const char *end, int digits, int low, int high, int *value)
{
	*value = 0;
	if (end - *s < digits)
		return false;
	for (int i = 0; i < digits; i++, (*s)++)
	{
		if (**s < '0' || **s > '9')
			return false;
		*value = *value * 10 + (**s - '0');
	}
	return *value >= low && *value <= high;
}

static bool
ReadChar(const char **s, const char *end, char c)
{
	if (*s == end || **s != c)
		return false;
	(*s)++;
	return true;
}

static bool
ReadDate(const char **s, const char *end, struct pg_tm *tm)
{
	return ReadDigits(s, end, 4, MIN_YEAR, MAX_YEAR, &tm->tm_year) && ReadChar(s, end, '-') &&
		ReadDigits(s, end, 2, 1, MONTHS_PER_YEAR, &tm->tm_mon) && ReadChar(s, end, '-') &&
		ReadDigits(s, end, 2, 1, day_tab[isleap(tm->tm_year)][tm->tm_mon - 1], &tm->tm_mday);
}

/* hh:mm, hh:mm:ss or hh:mm:ss.ffffff */
static bool
ReadTime(const char **s, const char *end, struct pg_tm *tm, fsec_t *fsec)
{
	if (!ReadDigits(s, end, 2, 0, 23, &tm->tm_hour) || !ReadChar(s, end, ':') ||
		!ReadDigits(s, end, 2, 0, 59, &tm->tm_min))
		return false;
	if (!ReadChar(s, end, ':'))
		return true;
	if (!ReadDigits(s, end, 2, 0, 59, &tm->tm_sec))
		return false;
	if (ReadChar(s, end, '.'))
	{
		int			unit = USECS_PER_SEC;
		int			digit;

		do
		{
			unit /= 10;
			if (unit == 0 || !ReadDigits(s, end, 1, 0, 9, &digit))
				return false;
			*fsec += digit * unit;
		} while (*s < end && **s >= '0' && **s <= '9');
	}
	return true;
}

/* Z, +08, +0800 or +08:00, as seconds west of Greenwich */
static bool
ReadOffset(const char **s, const char *end, int *tz)
{
	bool		east;
	int			hours;
	int			minutes = 0;

	*tz = 0;
	if (ReadChar(s, end, 'Z'))
		return true;
	east = ReadChar(s, end, '+');
	if ((!east && !ReadChar(s, end, '-')) || !ReadDigits(s, end, 2, 0, 15, &hours))
		return false;
	if (*s < end)
	{
		ReadChar(s, end, ':');
		if (!ReadDigits(s, end, 2, 0, 59, &minutes))
			return false;
	}
	*tz = (hours * SECS_PER_HOUR + minutes * SECS_PER_MINUTE) * (east ? -1 : 1);
	return true;
}

bool
ParseDate(const char *text, int length, DateADT *date)
{
	const char *s = text;
	struct pg_tm tm = {0};

	if (!ReadDate(&s, text + length, &tm) || s < text + length)
		return false;
	*date = date2j(tm.tm_year, tm.tm_mon, tm.tm_mday) - POSTGRES_EPOCH_JDATE;
	return true;
}

bool
ParseTimestamp(const char *text, int length, TimestampTz *timestamp)
{
	const char *s = text;
	const char *end = text + length;
	struct pg_tm tm = {0};
	struct pg_tm utc;
	fsec_t		fsec = 0;
	int			tz;

	if (!ReadDate(&s, end, &tm))
		return false;
	if (s < end)
	{
		if ((!ReadChar(&s, end, ' ') && !ReadChar(&s, end, 'T')) || !ReadTime(&s, end, &tm, &fsec))
			return false;
	}
	if (s == end)
		tz = DetermineTimeZoneOffset(&tm, session_timezone);
	else if (!ReadOffset(&s, end, &tz) || s < end)
		return false;

	/* what an offset moves out of the years that can be written is no timestamp */
	return tm2timestamp(&tm, fsec, &tz, timestamp) == 0 &&
		timestamp2tm(*timestamp, NULL, &utc, &fsec, NULL, NULL) == 0 &&
		utc.tm_year >= MIN_YEAR && utc.tm_year <= MAX_YEAR;
}

void
FormatDate(DateADT date, char *buffer)
{
	int			year;
	int			month;
	int			day;

	if (DATE_NOT_FINITE(date))
	{
		strlcpy(buffer, DATE_IS_NOBEGIN(date) ? "-infinity" : "infinity", TIME_TEXT_SIZE);
		return;
	}
	j2date(date + POSTGRES_EPOCH_JDATE, &year, &month, &day);
	snprintf(buffer, TIME_TEXT_SIZE, "%04d-%02d-%02d", year, month, day);
}

void
FormatTimestamp(TimestampTz timestamp, char *buffer)
{
	struct pg_tm tm;
	fsec_t		fsec;
	int			length;

	if (TIMESTAMP_NOT_FINITE(timestamp) ||
		timestamp2tm(timestamp, NULL, &tm, &fsec, NULL, NULL) != 0)
	{
		strlcpy(buffer, timestamp < 0 ? "-infinity" : "infinity", TIME_TEXT_SIZE);
		return;
	}
	length = snprintf(buffer, TIME_TEXT_SIZE, "%04d-%02d-%02d %02d:%02d:%02d", tm.tm_year,
					  tm.tm_mon, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec);
	if (fsec != 0)
	{
		length += snprintf(buffer + length, TIME_TEXT_SIZE - length, ".%06d", (int) fsec);
		while (buffer[length - 1] == '0')
			length--;
	}
	strlcpy(buffer + length, "+00", TIME_TEXT_SIZE - length);
}
