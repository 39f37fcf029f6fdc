/*
 * review.c: tiers at the end of their periods, and whatever else than a sale changes them.
 *
 * A period is reviewed grace_days after its end.  What counts is the window that
 * ended with the period, with the days of grace added to it; or the window that
 * ends with the grace.  Who is justified keeps the tier for another period; who is
 * not gets the tier that is justified, at any distance.  The outcome does not
 * depend on when the review is run, but for sales that came between.
 */
#include "crm_member.h"
#include "argument.h"
#include "member/member.h"
#include "query.h"
#include "setting.h"
#include "tier/tier.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"

/* Members whose changes are written together. */
#define MAX_BATCH 100000

static TimestampTz
ReviewMoment(const Holding *holding)
{
	Interval	grace = {0};

	if (holding->earned == NULL || TIMESTAMP_NOT_FINITE(holding->period_to))
		return DT_NOEND;
	grace.day = holding->earned->grace_days;
	return AddBusinessInterval(holding->period_to, &grace);
}

/* Where those fall who are justified for nothing: the lowest tier, if nothing reaches it. */
static const Tier *
EntryTier(const TierSet *set, int below_rank)
{
	if (set->ntiers == 0 || set->tiers[0].nrules > 0 || set->tiers[0].rank >= below_rank)
		return NULL;
	return &set->tiers[0];
}

static TierChange *
Note(Standing *standing, List **changes, TierChange *change)
{
	MemoryContext old = MemoryContextSwitchTo(standing->context);

	change->after = standing->holding;
	*changes = lappend(*changes, change);
	MemoryContextSwitchTo(old);
	return change;
}

/* The period that ended is judged. */
static void
ReviewPeriod(Standing *standing, TimestampTz review_at, List **changes)
{
	Holding    *holding = &standing->holding;
	const Tier *earned = holding->earned;
	TimestampTz end = holding->period_to;
	TierChange *change = NewChange(standing, "review", review_at);
	const Tier *tier;
	const Tier *other;
	int			other_way;

	tier = JustifiedTier(standing, end - 1, review_at - 1, TierRank(NULL), &change->way);
	other = JustifiedTier(standing, review_at - 1, review_at - 1, TierRank(tier), &other_way);
	if (other != NULL)
	{
		tier = other;
		change->way = other_way;
	}
	if (TierRank(tier) == earned->rank)
		SetEarned(holding, earned, end, NextPeriodEnd(earned, end));
	else
	{
		if (tier == NULL)
			tier = EntryTier(standing->set, earned->rank);
		SetEarned(holding, tier, review_at,
				  tier ? ExpiresAt(&tier->validity, review_at) : DT_NOEND);
	}
	Note(standing, changes, change);
}

void
ReviewPeriods(Standing *standing, TimestampTz as_of, List **changes)
{
	TimestampTz review_at;

	while ((review_at = ReviewMoment(&standing->holding)) <= as_of)
	{
		CHECK_FOR_INTERRUPTS();
		ReviewPeriod(standing, review_at, changes);
	}
}

/* What time has done to a member until as_of. */
static void
ReviewStanding(Standing *standing, TimestampTz as_of, List **changes)
{
	Holding    *holding = &standing->holding;
	const TierSet *set = standing->set;
	TierChange *change;
	const Tier *tier;
	TimestampTz review_at = ReviewMoment(holding);
	bool		due = review_at <= as_of;
	int			rank = due ? TierRank(NULL) : TierRank(holding->earned);
	int			way;

	if (holding->manual != NULL && holding->manual_until <= as_of)
	{
		change = NewChange(standing, "lapse", holding->manual_until);
		EndManual(holding);
		Note(standing, changes, change);
	}
	if (rank >= set->top_rank)
		return;

	LoadActivity(standing, EarliestStart(set, due ? Min(holding->period_to - 1, as_of) : as_of, rank),
				 rank);
	ReviewPeriods(standing, as_of, changes);
	tier = JustifiedTier(standing, as_of, as_of, TierRank(holding->earned), &way);
	if (tier != NULL)
	{
		change = NewChange(standing, "review", as_of);
		SetEarned(holding, tier, as_of, ExpiresAt(&tier->validity, as_of));
		Note(standing, changes, change)->way = way;
	}
}

static List *
ReviewAsSeen(int64 member_id, TimestampTz as_of, bool lock, MemoryContext context)
{
	Standing   *standing = LoadStanding(member_id, lock, context);
	List	   *changes = NIL;

	if (standing != NULL && strcmp(standing->status, "cancelled") != 0)
		ReviewStanding(standing, as_of, &changes);
	return changes;
}

/* Nearly nobody's tier changes: only whose does is locked, and looked at again. */
static List *
ReviewMember(int64 member_id, TimestampTz as_of, MemoryContext context)
{
	MemoryContext look = AllocSetContextCreate(CurrentMemoryContext, "crm_member look",
											   ALLOCSET_SMALL_SIZES);
	bool		changes = ReviewAsSeen(member_id, as_of, false, look) != NIL;

	MemoryContextDelete(look);
	return changes ? ReviewAsSeen(member_id, as_of, true, context) : NIL;
}

/* Members whose review may change something; the others are passed over without a lock. */
static CrmQuery next_members = {
	"SELECT m.member_id, m.merged_into IS NULL AND m.status <> 'cancelled' AND "
	"(t.tier_code IS NULL AND $4 >= 0 OR r.rank < $4 OR t.manual_tier IS NOT NULL "
	"OR coalesce(t.period_to, '-infinity') <= $3) "
	"FROM crm_member.member m "
	"LEFT JOIN crm_member.member_tier t ON t.member_id = m.member_id "
	"LEFT JOIN crm_member.tier r ON r.tier_code = t.tier_code "
	"WHERE m.member_id > $1 ORDER BY m.member_id LIMIT $2",
	4, {INT8OID, INT4OID, TIMESTAMPTZOID, INT4OID}};

/* review_step(as_of, after_member, batch) -> (members, raised, lowered, renewed, last_member) */
PG_FUNCTION_INFO_V1(crm_review_step);
Datum
crm_review_step(PG_FUNCTION_ARGS)
{
	TimestampTz as_of = PG_GETARG_TIMESTAMPTZ(0);
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext context;
	TupleDesc	desc;
	Datum		values[4];
	Datum		results[5];
	bool		nulls[5] = {false};
	int64	   *members;
	int64		count[3] = {0};
	List	   *changes = NIL;
	ListCell   *cell;
	uint64		found;
	int			n = 0;

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	context = AllocSetContextCreate(caller, "crm_member review", ALLOCSET_DEFAULT_SIZES);
	values[0] = PG_GETARG_DATUM(1);
	values[1] = Int32GetDatum(Min(Max(PG_GETARG_INT32(2), 1), MAX_BATCH));
	values[2] = PG_GETARG_DATUM(0);
	values[3] = Int32GetDatum(GetTierSet()->top_rank);
	SPI_connect();
	found = RunQuery(&next_members, values, NULL, false, 0);
	members = MemoryContextAlloc(context, sizeof(int64) * Max(found, 1));
	nulls[4] = found == 0;
	results[4] = (Datum) 0;
	for (uint64 row = 0; row < found; row++)
	{
		bool		isnull;

		results[4] = QueryColumn(row, 1, &isnull);
		if (DatumGetBool(QueryColumn(row, 2, &isnull)))
			members[n++] = DatumGetInt64(results[4]);
	}
	for (int i = 0; i < n; i++)
	{
		MemoryContext old;
		List	   *of_member;

		CHECK_FOR_INTERRUPTS();
		of_member = ReviewMember(members[i], as_of, context);
		old = MemoryContextSwitchTo(context);
		changes = list_concat(changes, of_member);
		MemoryContextSwitchTo(old);
	}
	foreach(cell, changes)
	{
		const TierChange *change = lfirst(cell);
		int			before = TierRank(change->held_before);
		int			after = TierRank(change->after.held);

		count[after > before ? 0 : after < before ? 1 : 2]++;
	}
	PostTierChanges(changes);
	SPI_finish();
	MemoryContextDelete(context);

	results[0] = Int64GetDatum(found);
	for (int i = 0; i < 3; i++)
		results[i + 1] = Int64GetDatum(count[i]);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(desc, results, nulls)));
}

/* Review one member, after merges, and return the tier held then. */
PG_FUNCTION_INFO_V1(crm_review_tier);
Datum
crm_review_tier(PG_FUNCTION_ARGS)
{
	MemoryContext context = CurrentMemoryContext;
	TimestampTz as_of = MomentArgument(fcinfo, 1, GetCurrentTransactionStartTimestamp());
	int64		member_id;
	Standing   *standing;
	List	   *changes = NIL;

	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	member_id = RequireMember(PG_GETARG_INT64(0), living_members);
	SPI_connect();
	standing = LoadStanding(member_id, true, context);
	if (standing != NULL)
	{
		ReviewStanding(standing, as_of, &changes);
		PostTierChanges(changes);
	}
	SPI_finish();
	if (standing == NULL || standing->holding.held == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(standing->holding.held->code));
}

/* May what is about to be done change a tier? */
static bool
Matters(const TierSet *set, const char *points_type)
{
	if (points_type == NULL)
		return set->any_undo;
	for (int i = 0; i < set->nseries; i++)
	{
		if (set->series[i].measure == MEASURE_POINTS &&
			strcmp(set->series[i].points_type, points_type) == 0)
			return true;
	}
	return false;
}

void
LockForTiers(int64 member_id, const char *points_type)
{
	char	   *status;

	if (member_id == CRM_GUEST || !Matters(GetTierSet(), points_type))
		return;
	SPI_connect();
	LockMember(member_id, &status);
	SPI_finish();
}

void
ReviewAfterPoints(int64 member_id, const char *points_type, TimestampTz at, const char *actor)
{
	const TierSet *set = GetTierSet();
	MemoryContext context = CurrentMemoryContext;
	Standing   *standing;
	const Tier *tier;
	int			rank;
	int			way;

	if (!Matters(set, points_type))
		return;
	SPI_connect();
	standing = LoadStanding(member_id, false, context);
	rank = standing ? TierRank(standing->holding.earned) : set->top_rank;
	if (rank < set->top_rank)
	{
		LoadActivity(standing, EarliestStart(set, at, rank), rank);
		at = Max(at, standing->latest);
		tier = JustifiedTier(standing, at, at, rank, &way);
		if (tier != NULL)
		{
			TierChange *change = NewChange(standing, "points", at);

			SetEarned(&standing->holding, tier, at, ExpiresAt(&tier->validity, at));
			change->after = standing->holding;
			change->way = way;
			change->actor = actor;
			PostTierChanges(list_make1(change));
		}
	}
	SPI_finish();
}

/*
 * Did a sale raise the member to the tier in this period?  Then *before is what
 * he had earned before; NULL: nothing.
 */
static bool
RaisedBySale(const Standing *standing, const Tier **before)
{
	static CrmQuery query = {
		"SELECT earned_from FROM crm_member.member_tier_event WHERE member_id = $1 "
		"AND earned_to = $2 AND at = $3 AND cause = 'sale' "
		"AND earned_from IS DISTINCT FROM earned_to ORDER BY booked_at DESC",
		3, {INT8OID, TEXTOID, TIMESTAMPTZOID}};
	Datum		values[3];

	values[0] = Int64GetDatum(standing->member_id);
	values[1] = CStringGetTextDatum(standing->holding.earned->code);
	values[2] = TimestampTzGetDatum(standing->holding.period_from);
	if (RunQuery(&query, values, NULL, false, 1) == 0)
		return false;
	*before = FindTier(standing->set, QueryText(0, 1));
	return true;
}

/* The period a tier had that is earned again; it begins then where nothing is known of it. */
static void
RestorePeriod(Standing *standing, TimestampTz then)
{
	static CrmQuery query = {
		"SELECT at, period_to FROM crm_member.member_tier_event WHERE member_id = $1 "
		"AND earned_to = $2 AND at <= $3 AND cause <> 'manual' "
		"ORDER BY at DESC, booked_at DESC",
		3, {INT8OID, TEXTOID, TIMESTAMPTZOID}};
	Holding    *holding = &standing->holding;
	Datum		values[3];
	bool		no_period;
	bool		isnull;
	Datum		period_to;

	if (holding->earned == NULL)
		return;
	holding->period_from = then;
	values[0] = Int64GetDatum(standing->member_id);
	values[1] = CStringGetTextDatum(holding->earned->code);
	values[2] = TimestampTzGetDatum(then);
	if (RunQuery(&query, values, NULL, false, 1) == 1)
	{
		holding->period_from = DatumGetTimestampTz(QueryColumn(0, 1, &isnull));
		period_to = QueryColumn(0, 2, &no_period);
		if (!no_period)
		{
			holding->period_to = DatumGetTimestampTz(period_to);
			return;
		}
	}
	holding->period_to = ExpiresAt(&holding->earned->validity, holding->period_from);
}

static void
UndoClimb(Standing *standing, int64 sale_id, TimestampTz at, const char *actor)
{
	Holding    *holding = &standing->holding;
	TimestampTz from = holding->period_from;
	TierChange *change;
	const Tier *before;
	const Tier *tier;
	const Tier *other;
	int			way;

	if (!RaisedBySale(standing, &before))
		return;
	LoadActivity(standing, EarliestStart(standing->set, Min(from, at), TierRank(before)),
				 TierRank(before));
	tier = JustifiedTier(standing, from, from, TierRank(before), &way);
	if (tier == NULL)
		tier = before;
	other = JustifiedTier(standing, at, at, TierRank(tier), &way);
	if (other != NULL)
		tier = other;
	if (TierRank(tier) >= holding->earned->rank)
		return;

	change = NewChange(standing, "return", at);
	SetEarned(holding, tier, at, DT_NOEND);
	RestorePeriod(standing, from);
	change->after = *holding;
	change->sale_id = sale_id;
	change->actor = actor;
	PostTierChanges(list_make1(change));
}

void
ReviewAfterReturn(int64 member_id, int64 sale_id, TimestampTz at, const char *actor)
{
	MemoryContext context = CurrentMemoryContext;
	Standing   *standing;

	if (member_id == CRM_GUEST || !Matters(GetTierSet(), NULL))
		return;
	SPI_connect();
	standing = LoadStanding(CanonicalMember(member_id, false), false, context);
	if (standing != NULL && standing->holding.earned != NULL &&
		standing->holding.earned->undo_at_once)
		UndoClimb(standing, sale_id, at, actor);
	SPI_finish();
}
