/*
 * climb.c: sales raise tiers, at once.
 *
 * A sale counts towards the tier together with all that was booked before it.
 * It earns by the tier the member had before, unless the tier it reaches says
 * at_once.  Any number of levels is climbed in one step; nothing here goes down.
 *
 * Whatever brings a sale, one by one or in bulk, goes through here in the same
 * way: sale after sale of a member, each with the member as the one before left
 * him, so that both give the same.
 */
#include "crm_member.h"
#include "query.h"
#include "tier/tier.h"

Standing *
BeginClimb(const Member *member, TimestampTz from, bool lock)
{
	const TierSet *set = GetTierSet();
	MemoryContext context = CurrentMemoryContext;
	Standing   *standing;
	int			rank;

	if (set->top_rank < 0 || member == NULL)
		return NULL;
	SPI_connect();
	standing = LoadStanding(member->member_id, lock, context);
	if (standing != NULL)
	{
		rank = TierRank(standing->holding.earned);
		if (rank < set->top_rank)
			LoadActivity(standing, EarliestStart(set, from, rank), rank);
		else
			standing = NULL;
	}
	SPI_finish();
	return standing;
}

void
CountPoints(Standing *standing, const EarnedSale *earned)
{
	ListCell   *cell;

	for (int i = 0; i < standing->set->nseries; i++)
	{
		const TierSeries *series = &standing->set->series[i];

		foreach(cell, earned->awards)
		{
			const Award *award = lfirst(cell);

			if (series->measure == MEASURE_POINTS &&
				strcmp(award->type->name, series->points_type) == 0)
				AddActivity(standing, i, earned->sale->sold_at, award->available_at, award->points);
		}
	}
}

static void
CountSale(Standing *standing, const EarnedSale *earned)
{
	const Sale *sale = earned->sale;

	for (int i = 0; i < standing->set->nseries; i++)
	{
		TierMeasure measure = standing->set->series[i].measure;

		if (measure == MEASURE_SPEND)
			AddActivity(standing, i, sale->sold_at, sale->sold_at,
						sale->amount - sale->discount - sale->points_value);
		else if (measure == MEASURE_SALES && IsPurchase(sale))
			AddActivity(standing, i, sale->sold_at, sale->sold_at, 1);
	}
	CountPoints(standing, earned);
}

/* The sale earns something else after all. */
static void
UncountPoints(Standing *standing, RuleUse *use, const EarnedSale *earned)
{
	ListCell   *cell;
	ListCell   *inner;

	foreach(cell, earned->awards)
	{
		foreach(inner, ((Award *) lfirst(cell))->grants)
		{
			const Grant *grant = lfirst(inner);

			NoteRuleUse(use, grant->rule, earned->sale, -grant->points);
		}
	}

	for (int i = 0; i < standing->set->nseries; i++)
	{
		const TierSeries *series = &standing->set->series[i];

		foreach(cell, earned->awards)
		{
			if (series->measure == MEASURE_POINTS &&
				strcmp(((Award *) lfirst(cell))->type->name, series->points_type) == 0)
				standing->series[i].n--;
		}
	}
}

const Member *
RaiseBuyer(const RuleSet *set, RuleUse *use, Standing *standing, EarnedSale *earned,
		   const Tier *tier, int way, TimestampTz at)
{
	const Member *member = earned->sale->member;
	Holding    *holding = &standing->holding;
	Member	   *raised;
	const char *before;
	const char *after;
	int			rank;

	earned->climb = NewChange(standing, "sale", at);
	SetEarned(holding, tier, at, ExpiresAt(&tier->validity, at));
	earned->climb->after = *holding;
	earned->climb->way = way;
	earned->climb->actor = earned->sale->actor;
	raised = MemoryContextAlloc(standing->context, sizeof(Member));
	*raised = *member;
	raised->tier = holding->held->code;
	raised->tier_rank = holding->held->rank;
	raised->tier_beneath = tier->code;
	raised->rank_beneath = tier->rank;
	before = BuyerTier(member, earned->sale->sold_at, &rank);
	after = BuyerTier(raised, earned->sale->sold_at, &rank);
	if (tier->at_once && (before == NULL || strcmp(before, after) != 0))
	{
		UncountPoints(standing, use, earned);
		earned->sale->member = raised;
		earned->awards = EvaluateSale(set, earned->sale, use, NULL);
		CountPoints(standing, earned);
	}
	return raised;
}

const Member *
ClimbTiers(const RuleSet *set, RuleUse *use, Standing *standing, EarnedSale *earned)
{
	const Member *member = earned->sale->member;
	TimestampTz sold_at = earned->sale->sold_at;
	TimestampTz at = sold_at;
	TimestampTz latest;
	const Tier *tier;
	const Tier *later;
	int			rank;
	int			way;
	int			later_way;

	if (standing == NULL)
		return member;
	rank = TierRank(standing->holding.earned);
	if (rank >= standing->set->top_rank)
		return member;

	latest = standing->latest;
	CountSale(standing, earned);
	tier = JustifiedTier(standing, sold_at, sold_at, rank, &way);
	/* a sale that arrives late may complete what was bought after it */
	if (latest > sold_at)
	{
		later = JustifiedTier(standing, latest, latest, tier ? tier->rank : rank, &later_way);
		if (later != NULL)
		{
			tier = later;
			way = later_way;
			at = latest;
		}
	}
	return tier == NULL ? member : RaiseBuyer(set, use, standing, earned, tier, way, at);
}

void
PostClimbs(const EarnedSale *sales, int n)
{
	List	   *changes = NIL;

	for (int i = 0; i < n; i++)
	{
		if (sales[i].climb == NULL)
			continue;
		sales[i].climb->sale_id = sales[i].sale->sale_id;
		changes = lappend(changes, sales[i].climb);
	}
	if (changes == NIL)
		return;
	SPI_connect();
	PostTierChanges(changes);
	SPI_finish();
}
