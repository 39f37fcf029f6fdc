/*
 * day.c: the day of many timestamps, fast.
 *
 * Breaking a timestamp down costs a search in the zone's transitions.  Between
 * two transitions the offset is constant and the day is a division.
 */
#include "crm_member.h"
#include "rfm/day.h"
#include "setting.h"

#include "access/xact.h"
#include "catalog/namespace.h"
#include "utils/lsyscache.h"

void
StartDays(DayCache *cache, pg_tz *zone)
{
	cache->zone = zone;
	cache->nspans = 0;
}

/* Find the stretch around a timestamp by the transition after it; put it first. */
static void
AddSpan(DayCache *cache, TimestampTz at)
{
	pg_time_t	t = timestamptz_to_time_t(at);
	pg_time_t	boundary;
	long		before_offset;
	long		after_offset;
	int			before_dst;
	int			after_dst;
	TimestampTz from;
	TimestampTz to = DT_NOEND;

	/* the conversion to seconds rounds towards 2000 */
	if (time_t_to_timestamptz(t) > at)
		t--;
	from = time_t_to_timestamptz(t);
	if (pg_next_dst_boundary(&t, &before_offset, &before_dst, &boundary, &after_offset, &after_dst,
							 cache->zone) > 0)
		to = time_t_to_timestamptz(boundary);

	for (int i = 0; i < cache->nspans; i++)
	{
		/* an earlier time of a stretch that is known */
		if (cache->spans[i].to == to && from < cache->spans[i].from)
		{
			cache->spans[i].from = from;
			return;
		}
	}
	if (cache->nspans < DAY_SPANS)
		cache->nspans++;
	memmove(&cache->spans[1], &cache->spans[0], (cache->nspans - 1) * sizeof(cache->spans[0]));
	cache->spans[0].from = from;
	cache->spans[0].to = to;
	cache->spans[0].offset = before_offset * USECS_PER_SEC;
}

DateADT
DayAndTimeOf(DayCache *cache, TimestampTz at, int64 *of_day)
{
	if (TIMESTAMP_NOT_FINITE(at))
		ereport(ERROR, (errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
						errmsg("a purchase cannot have an infinite time")));
	for (;;)
	{
		for (int i = 0; i < cache->nspans; i++)
		{
			if (at >= cache->spans[i].from && at < cache->spans[i].to)
			{
				int64		local = at + cache->spans[i].offset;
				int64		day = (local - (local < 0 ? USECS_PER_DAY - 1 : 0)) / USECS_PER_DAY;

				*of_day = local - day * USECS_PER_DAY;
				return (DateADT) day;
			}
		}
		AddSpan(cache, at);
	}
}

DateADT
DayOf(DayCache *cache, TimestampTz at)
{
	int64		of_day;

	return DayAndTimeOf(cache, at, &of_day);
}

pg_tz *
ProgramZone(void)
{
	Oid			schema = get_namespace_oid(CRM_SCHEMA, true);

	if (OidIsValid(schema) && OidIsValid(get_relname_relid("setting", schema)))
		return GetSetting()->time_zone;
	return session_timezone;
}

DateADT
Today(void)
{
	DayCache	days;

	StartDays(&days, ProgramZone());
	return DayOf(&days, GetCurrentTransactionStartTimestamp());
}
