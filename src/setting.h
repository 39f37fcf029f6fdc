/*
 * setting.h: the one row of crm_member.setting, cached.
 */
#ifndef CRM_SETTING_H
#define CRM_SETTING_H

#include "postgres.h"
#include "pgtime.h"
#include "utils/date.h"
#include "utils/timestamp.h"

typedef struct Setting
{
	pg_tz	   *time_zone;		/* in which a business day is computed */
	int			money_scale;	/* decimals of an amount of money */
} Setting;

/* Valid until the next statement that could change settings; copy what must last. */
extern const Setting *GetSetting(void);

/* An amount of money in minor units, as SQL has it and as people read it. */
extern Datum MoneyDatum(int64 units);
extern char *MoneyText(int64 units);
/* The same out of a row of the last query; NULL, as of a sum of nothing, is 0. */
extern int64 MoneyColumn(uint64 row, int column);

/* Wall clock of the business time zone. */
extern void BusinessTime(TimestampTz at, struct pg_tm *tm);
extern DateADT BusinessDate(TimestampTz at);
extern TimestampTz StartOfBusinessDay(DateADT date);
/* at + interval, its months and days counted on the calendar of the business time zone */
extern TimestampTz AddBusinessInterval(TimestampTz at, const Interval *interval);

#endif
