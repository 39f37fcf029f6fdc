/*
 * setting.c: the one row of crm_member.setting, cached.
 */
#include "crm_member.h"
#include "configuration.h"
#include "money/money.h"
#include "query.h"
#include "setting.h"

#include "catalog/pg_type.h"
#include "datatype/timestamp.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/datetime.h"

static void
LoadSetting(void *contents, MemoryContext context)
{
	static CrmQuery query = {"SELECT time_zone, money_scale FROM crm_member.setting", 0};
	Setting    *setting = contents;
	bool		isnull;
	char	   *zone;

	if (RunQuery(&query, NULL, NULL, true, 1) != 1)
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("crm_member.setting has no row"),
						errhint("CALL crm_member.setup() writes it.")));
	zone = TextDatumGetCString(QueryColumn(0, 1, &isnull));
	setting->money_scale = DatumGetInt16(QueryColumn(0, 2, &isnull));
	setting->time_zone = pg_tzset(zone);
	if (setting->time_zone == NULL)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("time zone \"%s\" in crm_member.setting is unknown", zone)));
}

const Setting *
GetSetting(void)
{
	static Configuration setting = {"setting", {"setting"}, sizeof(Setting), LoadSetting};

	return GetConfiguration(&setting);
}

Datum
MoneyDatum(int64 units)
{
	return NumericGetDatum(MinorToNumeric(units, GetSetting()->money_scale));
}

int64
MoneyColumn(uint64 row, int column)
{
	bool		isnull;
	Datum		value = QueryColumn(row, column, &isnull);

	return isnull ? 0 : ExactMinor(DatumGetNumeric(value), GetSetting()->money_scale, "money");
}

char *
MoneyText(int64 units)
{
	return DatumGetCString(DirectFunctionCall1(numeric_out, MoneyDatum(units)));
}

void
BusinessTime(TimestampTz at, struct pg_tm *tm)
{
	fsec_t		fsec;
	int			tz;

	if (timestamp2tm(at, &tz, tm, &fsec, NULL, GetSetting()->time_zone) != 0)
		ereport(ERROR, (errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
						errmsg("timestamp out of range")));
}

DateADT
BusinessDate(TimestampTz at)
{
	struct pg_tm tm;

	BusinessTime(at, &tm);
	return date2j(tm.tm_year, tm.tm_mon, tm.tm_mday) - POSTGRES_EPOCH_JDATE;
}

static TimestampTz
LocalToInstant(Timestamp local)
{
	struct pg_tm tm;
	fsec_t		fsec;
	int			tz;
	TimestampTz at;

	if (timestamp2tm(local, NULL, &tm, &fsec, NULL, NULL) == 0)
	{
		tz = DetermineTimeZoneOffset(&tm, GetSetting()->time_zone);
		if (tm2timestamp(&tm, fsec, &tz, &at) == 0)
			return at;
	}
	ereport(ERROR, (errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
					errmsg("timestamp out of range")));
}

TimestampTz
StartOfBusinessDay(DateADT date)
{
	return LocalToInstant(date2timestamp_opt_overflow(date, NULL));
}

/* As timestamptz + interval does it: months and days by the calendar, the rest as time that passes. */
TimestampTz
AddBusinessInterval(TimestampTz at, const Interval *interval)
{
	struct pg_tm tm;
	fsec_t		fsec;
	int			tz;
	Timestamp	local;
	Interval	days = {.day = interval->day, .month = interval->month};
	Interval	rest = {.time = interval->time};

	if (TIMESTAMP_NOT_FINITE(at))
		return at;
	if (interval->day != 0 || interval->month != 0)
	{
		if (timestamp2tm(at, &tz, &tm, &fsec, NULL, GetSetting()->time_zone) != 0 ||
			tm2timestamp(&tm, fsec, NULL, &local) != 0)
			ereport(ERROR, (errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
							errmsg("timestamp out of range")));
		local = DatumGetTimestamp(DirectFunctionCall2(timestamp_pl_interval, TimestampGetDatum(local),
													  PointerGetDatum(&days)));
		at = LocalToInstant(local);
	}
	return DatumGetTimestampTz(DirectFunctionCall2(timestamptz_pl_interval, TimestampTzGetDatum(at),
												   PointerGetDatum(&rest)));
}
