/*
 * day.h: the day of many timestamps, fast.
 */
#ifndef CRM_DAY_H
#define CRM_DAY_H

#include "postgres.h"
#include "pgtime.h"
#include "utils/date.h"
#include "utils/timestamp.h"

#define DAY_SPANS 8

/* Stretches of time over which the zone keeps one offset, latest used first. */
typedef struct DayCache
{
	pg_tz	   *zone;
	int			nspans;
	struct
	{
		TimestampTz from;
		TimestampTz to;
		int64		offset;		/* microseconds east of Greenwich */
	}			spans[DAY_SPANS];
} DayCache;

extern void StartDays(DayCache *cache, pg_tz *zone);

/* Error 22008 for an infinite timestamp. */
extern DateADT DayOf(DayCache *cache, TimestampTz at);
/* of_day: microseconds since its midnight on the wall clock */
extern DateADT DayAndTimeOf(DayCache *cache, TimestampTz at, int64 *of_day);

/* The program's time zone; before setup(), the session's. */
extern pg_tz *ProgramZone(void);
extern DateADT Today(void);

#endif
