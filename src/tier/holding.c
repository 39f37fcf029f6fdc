/*
 * holding.c: the tier a member holds, and the history of it.
 */
#include "crm_member.h"
#include "query.h"
#include "setting.h"
#include "tier/tier.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"

static const Tier *
HeldTier(const Holding *holding)
{
	if (holding->manual == NULL)
		return holding->earned;
	if (holding->at_least && TierRank(holding->earned) > TierRank(holding->manual))
		return holding->earned;
	return holding->manual;
}

/* After earned or manual changed at a moment. */
static void
SetHeld(Holding *holding, TimestampTz at)
{
	const Tier *held = HeldTier(holding);

	if (held != holding->held)
		holding->since = at;
	holding->held = held;
}

void
SetEarned(Holding *holding, const Tier *tier, TimestampTz at, TimestampTz period_to)
{
	holding->earned = tier;
	holding->period_from = at;
	holding->period_to = tier == NULL ? DT_NOEND : period_to;
	SetHeld(holding, at);
}

void
EndManual(Holding *holding)
{
	TimestampTz at = holding->manual_until;

	holding->manual = NULL;
	holding->manual_until = DT_NOEND;
	holding->at_least = false;
	SetHeld(holding, at);
}

TimestampTz
NextPeriodEnd(const Tier *tier, TimestampTz end)
{
	TimestampTz next;

	if (TIMESTAMP_NOT_FINITE(end))
		return DT_NOEND;
	/* from the last moment, so that periods of whole days do not drift; a year must not be itself */
	next = ExpiresAt(&tier->validity, end - 1);
	if (next <= end)
		next = ExpiresAt(&tier->validity, end);
	return next > end ? next : DT_NOEND;
}

TierChange *
NewChange(const Standing *standing, const char *cause, TimestampTz at)
{
	TierChange *change = MemoryContextAllocZero(standing->context, sizeof(TierChange));

	change->member_id = standing->member_id;
	change->cause = cause;
	change->at = at;
	change->held_before = standing->holding.held;
	change->earned_before = standing->holding.earned;
	return change;
}

static Datum
TierCode(const Tier *tier, bool *isnull)
{
	return TextOrNull(tier ? tier->code : NULL, isnull);
}

void
PostTierChanges(List *changes)
{
	static const BatchColumn columns[] = {
		{"member_id", INT8OID}, {"last", BOOLOID}, {"cause", TEXTOID}, {"at", TIMESTAMPTZOID},
		{"held_before", TEXTOID}, {"earned_before", TEXTOID}, {"held", TEXTOID},
		{"earned", TEXTOID}, {"since", TIMESTAMPTZOID}, {"period_from", TIMESTAMPTZOID},
		{"period_to", TIMESTAMPTZOID}, {"manual", TEXTOID}, {"manual_until", TIMESTAMPTZOID},
		{"at_least", BOOLOID}, {"way", INT2OID}, {"sale_id", INT8OID}, {"actor", TEXTOID}};
	static CrmQuery leave = {
		"DELETE FROM crm_member.member_tier t USING batch b "
		"WHERE t.member_id = b.member_id AND b.last AND b.held IS NULL", 0};
	static CrmQuery hold = {
		"INSERT INTO crm_member.member_tier AS t (member_id, tier_code, since, earned_tier, "
		"period_from, period_to, manual_tier, manual_until, at_least) "
		"SELECT member_id, held, since, CASE WHEN manual IS NOT NULL THEN earned END, "
		"period_from, period_to, manual, manual_until, at_least "
		"FROM batch WHERE last AND held IS NOT NULL "
		"ON CONFLICT (member_id) DO UPDATE SET tier_code = excluded.tier_code, "
		"since = excluded.since, earned_tier = excluded.earned_tier, "
		"period_from = excluded.period_from, period_to = excluded.period_to, "
		"manual_tier = excluded.manual_tier, manual_until = excluded.manual_until, "
		"at_least = excluded.at_least", 0};
	static CrmQuery events = {
		"INSERT INTO crm_member.member_tier_event (member_id, event_id, cause, at, from_tier, "
		"to_tier, earned_from, earned_to, period_to, way, sale_id, actor) "
		"SELECT member_id, crm_member.new_id(), cause, at, held_before, held, earned_before, "
		"earned, period_to, way, sale_id, actor FROM batch", 0};
	RowBatch   *batch;
	ListCell   *cell;

	if (changes == NIL)
		return;
	batch = BeginBatch(columns, lengthof(columns));
	foreach(cell, changes)
	{
		const TierChange *change = lfirst(cell);
		const Holding *after = &change->after;
		ListCell   *next = lnext(changes, cell);
		Datum		values[lengthof(columns)];
		bool		nulls[lengthof(columns)] = {false};

		values[0] = Int64GetDatum(change->member_id);
		values[1] = BoolGetDatum(next == NULL ||
								 ((TierChange *) lfirst(next))->member_id != change->member_id);
		values[2] = CStringGetTextDatum(change->cause);
		values[3] = TimestampTzGetDatum(change->at);
		values[4] = TierCode(change->held_before, &nulls[4]);
		values[5] = TierCode(change->earned_before, &nulls[5]);
		values[6] = TierCode(after->held, &nulls[6]);
		values[7] = TierCode(after->earned, &nulls[7]);
		values[8] = TimestampTzGetDatum(after->since);
		values[9] = TimestampTzGetDatum(after->period_from);
		values[10] = TimestampTzGetDatum(after->period_to);
		nulls[9] = nulls[10] = after->earned == NULL;
		values[11] = TierCode(after->manual, &nulls[11]);
		values[12] = TimestampTzGetDatum(after->manual_until);
		nulls[12] = after->manual == NULL;
		values[13] = BoolGetDatum(after->at_least);
		values[14] = Int16GetDatum(change->way);
		nulls[14] = change->way == 0;
		values[15] = Int64GetDatum(change->sale_id);
		nulls[15] = change->sale_id == 0;
		values[16] = TextOrNull(change->actor, &nulls[16]);
		AddRow(batch, values, nulls);
	}
	RunBatch(&leave, batch);
	RunBatch(&hold, batch);
	RunBatch(&events, batch);
	EndBatch(batch);
}
