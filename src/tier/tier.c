/*
 * tier.c: the tiers and what reaches them.
 */
#include "crm_member.h"
#include "configuration.h"
#include "query.h"
#include "setting.h"
#include "tier/tier.h"

#include "catalog/pg_type.h"
#include "datatype/timestamp.h"
#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/fmgrprotos.h"
#include "utils/memutils.h"

static void
LoadTiers(TierSet *set)
{
	static CrmQuery query = {
		"SELECT tier_code, name, rank, validity, grace_days, at_once, on_return = 'at_once' "
		"FROM crm_member.tier ORDER BY rank", 0};
	int			n = RunQuery(&query, NULL, NULL, true, 0);
	MemoryContext old = MemoryContextSwitchTo(set->context);

	set->tiers = palloc0(sizeof(Tier) * Max(n, 1));
	set->ntiers = n;
	for (int i = 0; i < n; i++)
	{
		Tier	   *tier = &set->tiers[i];
		bool		isnull;

		tier->code = QueryText(i, 1);
		tier->name = QueryText(i, 2);
		tier->rank = DatumGetInt16(QueryColumn(i, 3, &isnull));
		if (ParseExpiry(QueryText(i, 4), &tier->validity) != NULL)
			elog(ERROR, "validity of tier \"%s\" is not understood", tier->code);
		tier->grace_days = DatumGetInt32(QueryColumn(i, 5, &isnull));
		tier->at_once = DatumGetBool(QueryColumn(i, 6, &isnull));
		tier->undo_at_once = DatumGetBool(QueryColumn(i, 7, &isnull));
		set->any_undo |= tier->undo_at_once;
	}
	MemoryContextSwitchTo(old);
}

static TierMeasure
ParseMeasure(const char *name)
{
	static const char *const names[] = {"spend", "sales", "points"};

	for (int i = 0; i < lengthof(names); i++)
	{
		if (strcmp(name, names[i]) == 0)
			return (TierMeasure) i;
	}
	elog(ERROR, "unknown measure \"%s\"", name);
}

static TierCalendar
ParseCalendar(const char *name)
{
	static const char *const names[] = {"month", "quarter", "year"};

	for (int i = 0; name != NULL && i < lengthof(names); i++)
	{
		if (strcmp(name, names[i]) == 0)
			return (TierCalendar) (CALENDAR_MONTH + i);
	}
	return CALENDAR_NONE;
}

static int
SeriesNumber(TierSet *set, TierMeasure measure, const char *points_type, int decimals)
{
	TierSeries *series;

	if (measure != MEASURE_POINTS)
		points_type = NULL;
	for (int i = 0; i < set->nseries; i++)
	{
		series = &set->series[i];
		if (series->measure == measure &&
			(points_type == NULL || strcmp(series->points_type, points_type) == 0))
			return i;
	}
	series = &set->series[set->nseries];
	series->measure = measure;
	series->points_type = points_type ? pstrdup(points_type) : NULL;
	series->decimals = measure == MEASURE_SPEND ? GetSetting()->money_scale
		: measure == MEASURE_SALES ? 0 : decimals;
	return set->nseries++;
}

static void
LoadRules(TierSet *set)
{
	static CrmQuery query = {
		"SELECT t.rank, r.way, r.part, r.measure, r.points_type, p.decimals, r.threshold, r.within, "
		"r.calendar FROM crm_member.tier_rule r "
		"JOIN crm_member.tier t ON t.tier_code = r.tier_code "
		"JOIN crm_member.points_type p ON p.points_type = r.points_type "
		"ORDER BY t.rank, r.way, r.part", 0};
	int			n = RunQuery(&query, NULL, NULL, true, 0);
	MemoryContext old = MemoryContextSwitchTo(set->context);
	TierRule   *rules = palloc0(sizeof(TierRule) * Max(n, 1));
	Tier	   *tier = set->tiers;

	set->series = palloc0(sizeof(TierSeries) * Max(n, 1));
	for (int i = 0; i < n; i++)
	{
		TierRule   *rule = &rules[i];
		bool		isnull;
		int			rank = DatumGetInt16(QueryColumn(i, 1, &isnull));
		Datum		value;

		while (tier->rank != rank)
			tier++;
		if (tier->nrules++ == 0)
			tier->rules = rule;
		set->top_rank = rank;
		rule->way = DatumGetInt16(QueryColumn(i, 2, &isnull));
		rule->part = DatumGetInt16(QueryColumn(i, 3, &isnull));
		rule->series = SeriesNumber(set, ParseMeasure(QueryText(i, 4)), QueryText(i, 5),
									DatumGetInt16(QueryColumn(i, 6, &isnull)));
		rule->threshold = RoundedMinor(DatumGetNumeric(QueryColumn(i, 7, &isnull)),
									   set->series[rule->series].decimals, ROUNDING_CEIL,
									   "threshold");
		value = QueryColumn(i, 8, &isnull);
		if (!isnull)
		{
			rule->within = palloc(sizeof(Interval));
			*rule->within = *DatumGetIntervalP(value);
		}
		rule->calendar = ParseCalendar(QueryText(i, 9));
	}
	MemoryContextSwitchTo(old);
}

static void
LoadTierSet(void *contents, MemoryContext context)
{
	TierSet    *set = contents;

	set->context = context;
	set->top_rank = -1;
	LoadTiers(set);
	LoadRules(set);
}

const TierSet *
GetTierSet(void)
{
	static Configuration tiers = {
		"tiers", {"tier", "tier_rule", "points_type", "setting"}, sizeof(TierSet), LoadTierSet};

	return GetConfigurationNow(&tiers);
}

const Tier *
FindTier(const TierSet *set, const char *code)
{
	for (int i = 0; code != NULL && i < set->ntiers; i++)
	{
		if (strcmp(set->tiers[i].code, code) == 0)
			return &set->tiers[i];
	}
	return NULL;
}

TimestampTz
WindowStart(const TierRule *rule, TimestampTz at)
{
	struct pg_tm tm;
	int			month;

	if (TIMESTAMP_NOT_FINITE(at))
		return DT_NOBEGIN;
	if (rule->within != NULL)
	{
		Interval	back = {-rule->within->time, -rule->within->day, -rule->within->month};
		TimestampTz from = AddBusinessInterval(at, &back);

		/* whole days, today the last of them, unless the window has hours */
		return rule->within->time != 0 ? from + 1 : StartOfBusinessDay(BusinessDate(from) + 1);
	}
	if (rule->calendar == CALENDAR_NONE)
		return DT_NOBEGIN;
	BusinessTime(at, &tm);
	month = rule->calendar == CALENDAR_YEAR ? 1
		: rule->calendar == CALENDAR_QUARTER ? (tm.tm_mon - 1) / 3 * 3 + 1 : tm.tm_mon;
	return StartOfBusinessDay(date2j(tm.tm_year, month, 1) - POSTGRES_EPOCH_JDATE);
}
