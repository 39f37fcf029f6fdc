/*
 * standing.c: what a member did, as far as it counts towards tiers.
 *
 * A return lessens what was bought or earned at the time it was bought or
 * earned.  Points count by what was granted, from when they can be spent;
 * spending, expiry and gifts from one member to another change nothing.  What
 * was merged into a member counts as the member's own.
 */
#include "crm_member.h"
#include "query.h"
#include "setting.h"
#include "tier/tier.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"

static TimestampTz
TimeColumn(int column, TimestampTz otherwise)
{
	bool		isnull;
	Datum		value = QueryColumn(0, column, &isnull);

	return isnull ? otherwise : DatumGetTimestampTz(value);
}

static void
ReadHolding(Holding *holding, const TierSet *set)
{
	bool		isnull;

	holding->held = FindTier(set, QueryText(0, 3));
	if (holding->held == NULL)
		return;
	holding->since = TimeColumn(4, DT_NOBEGIN);
	holding->manual = FindTier(set, QueryText(0, 8));
	holding->earned = holding->manual ? FindTier(set, QueryText(0, 5)) : holding->held;
	holding->manual_until = TimeColumn(9, DT_NOEND);
	holding->at_least = DatumGetBool(QueryColumn(0, 10, &isnull));
	holding->period_from = TimeColumn(6, holding->since);
	holding->period_to = DT_NOEND;
	if (holding->earned != NULL)
		holding->period_to = TimeColumn(7, TIMESTAMP_NOT_FINITE(holding->period_from) ? DT_NOEND
										: ExpiresAt(&holding->earned->validity,
													holding->period_from));
}

Standing *
LoadStanding(int64 member_id, bool lock, MemoryContext context)
{
	static CrmQuery lock_member = {
		"SELECT FROM crm_member.member WHERE member_id = $1 FOR NO KEY UPDATE", 1, {INT8OID}};
	static CrmQuery query = {
		"SELECT m.status, EXISTS (SELECT FROM crm_member.member a WHERE a.merged_into = m.member_id), "
		"t.tier_code, t.since, t.earned_tier, t.period_from, t.period_to, "
		"t.manual_tier, t.manual_until, t.at_least "
		"FROM crm_member.member m LEFT JOIN crm_member.member_tier t ON t.member_id = m.member_id "
		"WHERE m.member_id = $1 AND m.merged_into IS NULL",
		1, {INT8OID}};
	Datum		values[1] = {Int64GetDatum(member_id)};
	const TierSet *set = GetTierSet();
	Standing   *standing = MemoryContextAllocZero(context, sizeof(Standing));
	bool		isnull;

	standing->context = context;
	standing->set = set;
	standing->member_id = member_id;
	standing->series = MemoryContextAllocZero(context, sizeof(ActivityList) * Max(set->nseries, 1));
	standing->latest = DT_NOBEGIN;
	/* apart, since a row joined to one that is waited for is not read anew */
	if (lock)
		RunQuery(&lock_member, values, NULL, false, 1);
	if (RunQuery(&query, values, NULL, false, 1) == 0)
		return NULL;
	standing->status = MemoryContextStrdup(context, QueryText(0, 1));
	standing->has_alias = DatumGetBool(QueryColumn(0, 2, &isnull));
	ReadHolding(&standing->holding, set);
	return standing;
}

void
AddActivity(Standing *standing, int series, TimestampTz at, TimestampTz counts_from, int64 value)
{
	ActivityList *list = &standing->series[series];

	if (list->items == NULL)
	{
		list->max = 16;
		list->items = MemoryContextAlloc(standing->context, sizeof(Activity) * list->max);
	}
	else if (list->n == list->max)
	{
		list->max *= 2;
		list->items = repalloc_huge(list->items, sizeof(Activity) * list->max);
	}
	list->items[list->n++] = (Activity) {at, counts_from, value};
	standing->latest = Max(standing->latest, at);
}

/* The member and all who were merged into it. */
static int64 *
OwnMembers(const Standing *standing, int *n)
{
	static CrmQuery query = {
		"WITH RECURSIVE own AS (SELECT $1 AS member_id UNION "
		"SELECT m.member_id FROM own JOIN crm_member.member m ON m.merged_into = own.member_id) "
		"SELECT member_id FROM own ORDER BY member_id", 1, {INT8OID}};
	Datum		values[1] = {Int64GetDatum(standing->member_id)};
	int64	   *members;

	*n = standing->has_alias ? RunQuery(&query, values, NULL, false, 0) : 1;
	members = palloc(sizeof(int64) * *n);
	members[0] = standing->member_id;
	for (int i = 0; standing->has_alias && i < *n; i++)
	{
		bool		isnull;

		members[i] = DatumGetInt64(QueryColumn(i, 1, &isnull));
	}
	return members;
}

static void
LoadSeries(Standing *standing, int series, int64 member_id, TimestampTz since)
{
	static CrmQuery spend = {
		"SELECT s.sold_at, s.sold_at, s.amount - s.discount FROM crm_member.sale s "
		"WHERE s.member_id = $1 AND s.sold_at >= $2 AND s.settled_at IS NOT NULL "
		"UNION ALL SELECT s.sold_at, s.sold_at, r.discount + r.points_value - r.amount "
		"FROM crm_member.refund r JOIN crm_member.sale s ON s.member_id = $1 AND s.sale_id = r.sale_id "
		"WHERE r.member_id = $1 AND s.sold_at >= $2 "
		"UNION ALL SELECT s.sold_at, s.sold_at, -t.amount "
		"FROM crm_member.sale_tender t JOIN crm_member.sale s ON s.member_id = $1 AND s.sale_id = t.sale_id "
		"WHERE t.member_id = $1 AND t.tender = 'points' AND s.sold_at >= $2",
		2, {INT8OID, TIMESTAMPTZOID}};
	static CrmQuery sales = {
		"SELECT s.sold_at, s.sold_at, 1::numeric FROM crm_member.sale s "
		"WHERE s.member_id = $1 AND s.sold_at >= $2 AND s.settled_at IS NOT NULL AND " IS_PURCHASE("s") " "
		"UNION ALL SELECT s.sold_at, s.sold_at, -1 "
		"FROM crm_member.refund r JOIN crm_member.sale s ON s.member_id = $1 AND s.sale_id = r.sale_id "
		"WHERE r.member_id = $1 AND r.complete AND s.sold_at >= $2 AND " IS_PURCHASE("s"),
		2, {INT8OID, TIMESTAMPTZOID}};
	static CrmQuery points = {
		"SELECT e.at, coalesce(l.available_at, e.at), e.points "
		"FROM crm_member.points_entry e LEFT JOIN crm_member.points_lot l "
		"ON l.member_id = $1 AND l.points_type = $3 AND l.lot_no = e.entry_no "
		"WHERE e.member_id = $1 AND e.points_type = $3 AND e.at >= $2 "
		"AND e.kind IN ('earn', 'award', 'adjust') "
		"AND (e.kind <> 'earn' OR e.at < $4 OR e.at >= $5) "
		"UNION ALL SELECT e.at, coalesce(l.available_at, e.at), r.points - coalesce(r.shortfall, 0) "
		"FROM crm_member.points_entry r JOIN crm_member.points_entry e "
		"ON e.member_id = $1 AND e.points_type = $3 AND e.entry_no = r.of_entry "
		"LEFT JOIN crm_member.points_lot l "
		"ON l.member_id = $1 AND l.points_type = $3 AND l.lot_no = e.entry_no "
		"WHERE r.member_id = $1 AND r.points_type = $3 AND r.kind = 'reverse' "
		"AND r.of_entry IS NOT NULL AND e.at >= $2 AND e.kind IN ('earn', 'award', 'adjust') "
		"AND (e.kind <> 'earn' OR e.at < $4 OR e.at >= $5) AND (r.at < $4 OR $4 = $5)",
		5, {INT8OID, TIMESTAMPTZOID, TEXTOID, TIMESTAMPTZOID, TIMESTAMPTZOID}};
	static CrmQuery *const queries[] = {&spend, &sales, &points};	/* by TierMeasure */
	const TierSeries *what = &standing->set->series[series];
	Datum		values[5];
	uint64		found;

	values[0] = Int64GetDatum(member_id);
	values[1] = TimestampTzGetDatum(since);
	values[3] = TimestampTzGetDatum(standing->replayed_from);
	values[4] = TimestampTzGetDatum(standing->replayed_to);
	values[2] = what->points_type ? CStringGetTextDatum(what->points_type) : (Datum) 0;
	found = RunQuery(queries[what->measure], values, NULL, false, 0);
	for (uint64 row = 0; row < found; row++)
	{
		bool		isnull;
		TimestampTz at = DatumGetTimestampTz(QueryColumn(row, 1, &isnull));
		TimestampTz counts_from = DatumGetTimestampTz(QueryColumn(row, 2, &isnull));

		CHECK_FOR_INTERRUPTS();
		AddActivity(standing, series, at, counts_from,
					RoundedMinor(DatumGetNumeric(QueryColumn(row, 3, &isnull)), what->decimals,
								 ROUNDING_FLOOR, "activity"));
	}
	SPI_freetuptable(SPI_tuptable);
}

void
LoadActivity(Standing *standing, TimestampTz since, int above_rank)
{
	const TierSet *set = standing->set;
	bool	   *wanted = palloc0(sizeof(bool) * Max(set->nseries, 1));
	int			nmembers;
	int64	   *members = OwnMembers(standing, &nmembers);

	for (int t = 0; t < set->ntiers; t++)
	{
		for (int r = 0; set->tiers[t].rank > above_rank && r < set->tiers[t].nrules; r++)
			wanted[set->tiers[t].rules[r].series] = true;
	}
	for (int i = 0; i < set->nseries; i++)
	{
		for (int m = 0; wanted[i] && m < nmembers; m++)
			LoadSeries(standing, i, members[m], since);
	}
}

TimestampTz
EarliestStart(const TierSet *set, TimestampTz at, int above_rank)
{
	TimestampTz start = at;

	for (int t = 0; t < set->ntiers; t++)
	{
		for (int r = 0; set->tiers[t].rank > above_rank && r < set->tiers[t].nrules; r++)
			start = Min(start, WindowStart(&set->tiers[t].rules[r], at));
	}
	return start;
}

int64
Reached(const Standing *standing, const TierRule *rule, TimestampTz anchor, TimestampTz to)
{
	const ActivityList *list = &standing->series[rule->series];
	TimestampTz from = WindowStart(rule, anchor);
	int64		sum = 0;

	for (int i = 0; i < list->n; i++)
	{
		const Activity *item = &list->items[i];

		if (item->at >= from && item->at <= to && item->counts_from <= to)
			sum = AddMinor(sum, item->value);
	}
	return sum;
}

static bool
IsJustified(const Standing *standing, const Tier *tier, TimestampTz anchor, TimestampTz to, int *way)
{
	int			r = 0;

	while (r < tier->nrules)
	{
		bool		holds = true;

		*way = tier->rules[r].way;
		for (; r < tier->nrules && tier->rules[r].way == *way; r++)
			holds = holds && Reached(standing, &tier->rules[r], anchor, to) >= tier->rules[r].threshold;
		if (holds)
			return true;
	}
	*way = 0;
	return false;
}

const Tier *
JustifiedTier(const Standing *standing, TimestampTz anchor, TimestampTz to, int above_rank, int *way)
{
	const TierSet *set = standing->set;

	for (int t = set->ntiers - 1; t >= 0 && set->tiers[t].rank > above_rank; t--)
	{
		if (IsJustified(standing, &set->tiers[t], anchor, to, way))
			return &set->tiers[t];
	}
	*way = 0;
	return NULL;
}

int
TierRank(const Tier *tier)
{
	return tier == NULL ? PG_INT16_MIN - 1 : tier->rank;
}
