/*
 * tier.c: the tiers that survivors hold.
 *
 * What any of them was granted stays until its own end, what was given by hand
 * with its own end too, and what they did together may reach more: nobody is
 * lowered by a merge.  A survivor's own tier is kept in merged_tier meanwhile,
 * so that it is there again afterwards; what was given by hand since stays.
 * What a family reached by the rules is kept beside it, and holds for its period
 * whoever joins the family or leaves it again; where some of those who reached it
 * leave, each has what its own acts justified at that moment.
 */
#include "crm_member.h"
#include "merge/merge.h"
#include "query.h"
#include "tier/tier.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/json.h"

typedef struct OwnTier
{
	KinMember  *member;
	Holding		present;		/* as its row says */
	Holding		own;
	bool		kept;			/* own is in merged_tier */
	bool		given;			/* by hand, or taken, while it survived others: it is said of all of them */
	Holding		reached;		/* by the rules, while it survived others: earned and its period alone count */
	TimestampTz joined_at;
} OwnTier;

static TimestampTz
TimeOr(uint64 row, int column, TimestampTz otherwise)
{
	bool		isnull;
	Datum		value = QueryColumn(row, column, &isnull);

	return isnull ? otherwise : DatumGetTimestampTz(value);
}

/* Eight columns from there: tier_code, since, earned_tier, period_from, period_to, manual_tier, manual_until, at_least. */
static Holding
ReadHolding(uint64 row, int column, const TierSet *set)
{
	Holding		holding = {.since = DT_NOBEGIN, .period_to = DT_NOEND, .manual_until = DT_NOEND};
	bool		isnull;

	holding.held = FindTier(set, QueryText(row, column));
	if (holding.held == NULL)
		return holding;
	holding.since = TimeOr(row, column + 1, DT_NOBEGIN);
	holding.manual = FindTier(set, QueryText(row, column + 5));
	holding.earned = holding.manual ? FindTier(set, QueryText(row, column + 2)) : holding.held;
	holding.manual_until = TimeOr(row, column + 6, DT_NOEND);
	holding.at_least = DatumGetBool(QueryColumn(row, column + 7, &isnull)) && !isnull;
	holding.period_from = TimeOr(row, column + 3, holding.since);
	if (holding.earned != NULL)
		holding.period_to = TimeOr(row, column + 4, TIMESTAMP_NOT_FINITE(holding.period_from) ? DT_NOEND
								   : ExpiresAt(&holding.earned->validity, holding.period_from));
	return holding;
}

static bool
SameHolding(const Holding *a, const Holding *b)
{
	return a->held == b->held && a->earned == b->earned && a->manual == b->manual &&
		(a->held == NULL || a->since == b->since) &&
		(a->earned == NULL || (a->period_from == b->period_from && a->period_to == b->period_to)) &&
		(a->manual == NULL || (a->manual_until == b->manual_until && a->at_least == b->at_least));
}

/* Held is what manual and earned make together; since is when it came to be. */
static void
SettleHeld(Holding *holding, TimestampTz since)
{
	const Tier *earned = holding->earned;
	TimestampTz period_from = holding->period_from;

	holding->held = NULL;
	SetEarned(holding, earned, earned == NULL ? since : period_from, holding->period_to);
	holding->since = since;
}

/* What the rules did since a merge wrote the row, or what they had done before. */
static Holding
ReadReached(uint64 row, int column, const OwnTier *tier, const TierSet *set)
{
	const Tier *wrote = FindTier(set, QueryText(row, column));
	Holding		reached = {.earned = FindTier(set, QueryText(row, column + 3)),
						   .period_from = TimeOr(row, column + 4, DT_NOBEGIN),
						   .period_to = TimeOr(row, column + 5, DT_NOEND)};

	if (tier->present.earned != wrote ||
		(wrote != NULL && (tier->present.period_from != TimeOr(row, column + 1, DT_NOBEGIN) ||
						   tier->present.period_to != TimeOr(row, column + 2, DT_NOEND))))
		return tier->present;
	return reached;
}

static OwnTier *
ReadTiers(Kin *kin, const TierSet *set)
{
#define HOLDING(t) t ".tier_code, " t ".since, " t ".earned_tier, " t ".period_from, " t ".period_to, " \
		t ".manual_tier, " t ".manual_until, " t ".at_least"
	static CrmQuery query = {
		"SELECT m.joined_at, o.member_id IS NOT NULL, o.wrote_tier, o.wrote_until, coalesce(o.given, false), o.wrote_at_least, " HOLDING("t") ", " HOLDING("o")
		", o.wrote_earned, o.wrote_from, o.wrote_to, o.reached_tier, o.reached_from, o.reached_to FROM unnest($1) AS u (member_id) "
		"CROSS JOIN LATERAL (SELECT * FROM crm_member.member m WHERE m.member_id = u.member_id OFFSET 0) m "
		"LEFT JOIN LATERAL (SELECT * FROM crm_member.member_tier t WHERE t.member_id = u.member_id OFFSET 0) t ON true "
		"LEFT JOIN LATERAL (SELECT * FROM crm_member.merged_tier o WHERE o.member_id = u.member_id OFFSET 0) o ON true "
		"ORDER BY u.member_id", 1, {INT8ARRAYOID}};
	OwnTier    *tiers = palloc0(sizeof(OwnTier) * kin->n);
	int64	   *members = palloc(sizeof(int64) * kin->n);
	Datum		value;

	for (int i = 0; i < kin->n; i++)
		members[i] = kin->members[i].member_id;
	value = IdArray(members, kin->n);
	if (RunQuery(&query, &value, NULL, false, 0) != kin->n)
		elog(ERROR, "members of a merge were not found");
	for (int i = 0; i < kin->n; i++)
	{
		OwnTier    *tier = &tiers[i];
		const Tier *wrote = FindTier(set, QueryText(i, 3));
		TimestampTz wrote_until = TimeOr(i, 4, DT_NOEND);
		bool		wrote_at_least;
		bool		isnull;

		tier->member = &kin->members[i];
		tier->joined_at = TimeOr(i, 1, DT_NOBEGIN);
		tier->kept = DatumGetBool(QueryColumn(i, 2, &isnull));
		tier->given = DatumGetBool(QueryColumn(i, 5, &isnull));
		wrote_at_least = DatumGetBool(QueryColumn(i, 6, &isnull));
		tier->present = ReadHolding(i, 7, set);
		tier->own = tier->kept ? ReadHolding(i, 15, set) : tier->present;
		if (tier->kept)
			tier->reached = ReadReached(i, 23, tier, set);
		/* given or taken by hand since, and not just lapsed */
		if (tier->kept && (tier->present.manual != wrote ||
						   (wrote != NULL && (tier->present.manual_until != wrote_until ||
										  tier->present.at_least != wrote_at_least))) &&
			!(tier->present.manual == NULL && wrote_until <= GetCurrentTransactionStartTimestamp()))
		{
			const Tier *held = tier->own.held;
			TimestampTz since = tier->own.since;

			tier->given = true;
			tier->own.manual = tier->present.manual;
			tier->own.manual_until = tier->present.manual_until;
			tier->own.at_least = tier->present.at_least;
			SettleHeld(&tier->own, tier->present.since);
			if (tier->own.held == held)
				tier->own.since = since;
		}
	}
	return tiers;
}

/* Which rule the merges ask for: a tier is the best of all but where they say otherwise. */
static char *
TierRuleOf(const Kin *kin, int64 root)
{
	static CrmQuery query = {
		"SELECT e.fields->>'tier' FROM unnest($1) AS m (member_id) "
		"CROSS JOIN LATERAL (SELECT * FROM crm_member.merge_edge e WHERE e.member_id = m.member_id "
		"AND e.undone_by IS NULL AND e.fields ? 'tier' OFFSET 0) e ORDER BY e.position DESC",
		1, {INT8ARRAYOID}};
	int64	   *members = palloc(sizeof(int64) * kin->n);
	Datum		value;
	int			n = 0;

	for (int i = 0; i < kin->n; i++)
	{
		if (kin->members[i].root == root)
			members[n++] = kin->members[i].member_id;
	}
	value = IdArray(members, n);
	return RunQuery(&query, &value, NULL, false, 1) == 0 ? "max" : QueryText(0, 1);
}

static bool
Better(const OwnTier *a, const OwnTier *b, const char *rule, int64 root)
{
	int64		member_id = *rule >= '0' && *rule <= '9'
		? DatumGetInt64(DirectFunctionCall1(int8in, CStringGetDatum(rule)))
		: strcmp(rule, "survivor") == 0 ? root : 0;
	int			x = TierRank(a->own.held);
	int			y = TierRank(b->own.held);

	if (member_id != 0 && (a->member->member_id == member_id) != (b->member->member_id == member_id))
		return a->member->member_id == member_id;
	if (strcmp(rule, "earliest") == 0 && a->joined_at != b->joined_at)
		return a->joined_at < b->joined_at;
	if (strcmp(rule, "latest") == 0 && a->joined_at != b->joined_at)
		return a->joined_at > b->joined_at;
	if (x != y)
		return strcmp(rule, "min") == 0 ? x < y : x > y;
	return a->member->member_id == root;
}

/* Its period is over, and the review of those it was one with has judged that. */
static bool
HasEnded(const OwnTier *tiers, const Kin *kin, const OwnTier *tier)
{
	const OwnTier *then = &tiers[FindKin(kin, tier->member->old_root) - kin->members];

	return tier->own.earned != NULL && tier->own.period_to <= GetCurrentTransactionStartTimestamp() &&
		TierRank(tier->own.earned) > TierRank(then->present.earned);
}

/* What members who are one hold together, and whose it is. */
static Holding
Combine(const OwnTier *all, const Kin *kin, const KinMember *root, const char *rule, int64 *source)
{
	int			n = kin->n;
	OwnTier    *tiers = palloc(sizeof(OwnTier) * n);
	TimestampTz now = GetCurrentTransactionStartTimestamp();
	const OwnTier *best = NULL;
	const OwnTier *own_root = NULL;
	Holding		holding;

	*source = 0;
	memcpy(tiers, all, sizeof(OwnTier) * n);
	for (int i = 0; i < n; i++)
	{
		if (HasEnded(all, kin, &all[i]))
		{
			tiers[i].own.earned = NULL;
			SettleHeld(&tiers[i].own, tiers[i].own.since);
		}
	}
	for (int i = 0; i < n; i++)
	{
		if (tiers[i].member == root)
			own_root = &tiers[i];
		if (tiers[i].member->root == root->member_id && tiers[i].own.held != NULL &&
			(best == NULL || Better(&tiers[i], best, rule, root->member_id)))
			best = &tiers[i];
	}
	if (best == NULL)
		return (Holding) {.since = DT_NOBEGIN, .period_to = DT_NOEND, .manual_until = DT_NOEND};
	*source = best->member->member_id;
	holding = best->own;
	if (strcmp(rule, "max") != 0)
		return holding;
	/* beneath and beside what is held, the best that is earned and the best that binds by hand */
	for (int i = 0; i < n; i++)
	{
		const Holding *own = &tiers[i].own;

		if (tiers[i].member->root != root->member_id)
			continue;
		if (TierRank(own->earned) > TierRank(holding.earned) ||
			(own->earned != NULL && own->earned == holding.earned && own->period_to > holding.period_to))
		{
			holding.earned = own->earned;
			holding.period_from = own->period_from;
			holding.period_to = own->period_to;
		}
		if (own->manual != NULL && own->manual_until > now &&
			(TierRank(own->manual) > TierRank(holding.manual) ||
			 (own->manual == holding.manual && own->manual_until > holding.manual_until)))
		{
			holding.manual = own->manual;
			holding.manual_until = own->manual_until;
			holding.at_least = own->at_least;
		}
	}
	if (own_root->given && own_root->own.manual_until > now)
	{
		holding.manual = own_root->own.manual;
		holding.manual_until = own_root->own.manual_until;
		holding.at_least = own_root->own.at_least;
	}
	/* a level by hand that keeps a member below what another earned is a floor here: nobody is lowered */
	else if (holding.manual != NULL && TierRank(holding.earned) > TierRank(holding.manual))
		holding.at_least = true;
	SettleHeld(&holding, best->own.since);
	return holding;
}

static void
KeepOwn(const OwnTier *tier, const Holding *wrote)
{
	static CrmQuery query = {
		"INSERT INTO crm_member.merged_tier (member_id, tier_code, since, earned_tier, period_from, period_to, "
		"manual_tier, manual_until, at_least, wrote_tier, wrote_until, wrote_at_least, given, "
		"wrote_earned, wrote_from, wrote_to, reached_tier, reached_from, reached_to) "
		"VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19) "
		"ON CONFLICT (member_id) DO UPDATE SET tier_code = excluded.tier_code, since = excluded.since, "
		"earned_tier = excluded.earned_tier, period_from = excluded.period_from, period_to = excluded.period_to, "
		"manual_tier = excluded.manual_tier, manual_until = excluded.manual_until, at_least = excluded.at_least, "
		"wrote_tier = excluded.wrote_tier, wrote_until = excluded.wrote_until, "
		"wrote_at_least = excluded.wrote_at_least, given = excluded.given, "
		"wrote_earned = excluded.wrote_earned, wrote_from = excluded.wrote_from, wrote_to = excluded.wrote_to, "
		"reached_tier = excluded.reached_tier, reached_from = excluded.reached_from, reached_to = excluded.reached_to",
		19, {INT8OID, TEXTOID, TIMESTAMPTZOID, TEXTOID, TIMESTAMPTZOID, TIMESTAMPTZOID, TEXTOID,
			TIMESTAMPTZOID, BOOLOID, TEXTOID, TIMESTAMPTZOID, BOOLOID, BOOLOID,
			TEXTOID, TIMESTAMPTZOID, TIMESTAMPTZOID, TEXTOID, TIMESTAMPTZOID, TIMESTAMPTZOID}};
	const Holding *own = &tier->own;
	const Holding *reached = &tier->reached;
	Datum		values[19];
	char		nulls[19];

	memset(nulls, ' ', sizeof(nulls));
	values[0] = Int64GetDatum(tier->member->member_id);
	values[1] = NullableText(own->held ? own->held->code : NULL, &nulls[1]);
	values[2] = TimestampTzGetDatum(own->since);
	values[3] = NullableText(own->manual && own->earned ? own->earned->code : NULL, &nulls[3]);
	values[4] = TimestampTzGetDatum(own->period_from);
	values[5] = TimestampTzGetDatum(own->period_to);
	nulls[4] = nulls[5] = own->earned == NULL ? 'n' : ' ';
	values[6] = NullableText(own->manual ? own->manual->code : NULL, &nulls[6]);
	values[7] = TimestampTzGetDatum(own->manual_until);
	nulls[7] = own->manual == NULL ? 'n' : ' ';
	values[8] = BoolGetDatum(own->at_least);
	values[9] = NullableText(wrote->manual ? wrote->manual->code : NULL, &nulls[9]);
	values[10] = TimestampTzGetDatum(wrote->manual_until);
	nulls[10] = wrote->manual == NULL ? 'n' : ' ';
	values[11] = BoolGetDatum(wrote->at_least);
	values[12] = BoolGetDatum(tier->given);
	values[13] = NullableText(wrote->earned ? wrote->earned->code : NULL, &nulls[13]);
	values[14] = TimestampTzGetDatum(wrote->period_from);
	values[15] = TimestampTzGetDatum(wrote->period_to);
	nulls[14] = nulls[15] = nulls[13];
	values[16] = NullableText(reached->earned ? reached->earned->code : NULL, &nulls[16]);
	values[17] = TimestampTzGetDatum(reached->period_from);
	values[18] = TimestampTzGetDatum(reached->period_to);
	nulls[17] = nulls[18] = nulls[16];
	RunQuery(&query, values, nulls, false, 0);
}

static void
ForgetOwn(int64 member_id)
{
	static CrmQuery query = {
		"DELETE FROM crm_member.merged_tier WHERE member_id = $1", 1, {INT8OID}};
	Datum		value = Int64GetDatum(member_id);

	RunQuery(&query, &value, NULL, false, 0);
}

static void
NoteChange(List **changes, const OwnTier *tier, const Holding *after, int way, const MergeAct *act)
{
	TierChange *change = palloc0(sizeof(TierChange));

	if (SameHolding(&tier->present, after))
		return;
	change->member_id = tier->member->member_id;
	change->cause = "merge";
	change->at = GetCurrentTransactionStartTimestamp();
	change->held_before = tier->present.held;
	change->earned_before = tier->present.earned;
	change->after = *after;
	change->way = way;
	change->actor = act->actor;
	*changes = lappend(*changes, change);
}

static void
AppendTier(StringInfo report, const char *key, const Tier *tier)
{
	appendStringInfo(report, ", \"%s\": ", key);
	if (tier == NULL)
		appendStringInfoString(report, "null");
	else
		escape_json(report, tier->code);
}

static bool
IsBetter(const Holding *a, const Holding *b)
{
	return TierRank(a->earned) > TierRank(b->earned) ||
		(a->earned != NULL && a->earned == b->earned && a->period_to > b->period_to);
}

/* Was it merged into another, or that other itself, before? */
static bool
WasOneOf(const Kin *kin, const KinMember *member, const KinMember *survivor)
{
	while (member != survivor && member->old_parent != 0)
		member = FindKin(kin, member->old_parent);
	return member == survivor;
}

/* Are some of those whom it survived, or itself, one with this root now (*ours), and others not? */
static bool
LeftEachOther(const Kin *kin, const KinMember *survivor, int64 root, bool *ours)
{
	bool		others = false;

	*ours = false;
	for (int i = 0; i < kin->n; i++)
	{
		if (!WasOneOf(kin, &kin->members[i], survivor))
			continue;
		if (kin->members[i].root == root)
			*ours = true;
		else
			others = true;
	}
	return *ours && others;
}

/* The best that those who are one with a root now had reached with one another, or alone where others of them left. */
static Holding
ReachedBy(const OwnTier *tiers, const Kin *kin, int64 root, const Holding *own, const TierSet *set)
{
	Holding		best = {.period_to = DT_NOEND};

	for (int i = 0; i < kin->n; i++)
	{
		Holding		reached = tiers[i].reached;
		const Tier *justified;
		bool		ours;
		bool		split;
		int			way;

		if (reached.earned == NULL)
			continue;
		split = LeftEachOther(kin, tiers[i].member, root, &ours);
		if (!ours)
			continue;
		if (split)
		{
			Standing   *standing = LoadStanding(root, false, CurrentMemoryContext);

			LoadActivity(standing, EarliestStart(set, reached.period_from, TierRank(NULL)), TierRank(NULL));
			justified = JustifiedTier(standing, reached.period_from, reached.period_from, TierRank(NULL), &way);
			if (TierRank(justified) < TierRank(reached.earned))
			{
				/* less than they reached: what one has already has a period of its own */
				if (TierRank(justified) <= TierRank(own->earned))
					continue;
				reached.earned = justified;
				reached.period_to = ExpiresAt(&justified->validity, reached.period_from);
			}
			if (reached.period_to <= GetCurrentTransactionStartTimestamp())
				continue;
		}
		if (IsBetter(&reached, &best))
			best = reached;
	}
	return best;
}

/* What they did together may justify more than was granted. */
static const Tier *
Recompute(int64 root, Holding *holding, const TierSet *set, int *way)
{
	TimestampTz now = GetCurrentTransactionStartTimestamp();
	Standing   *standing;
	const Tier *tier;

	*way = 0;
	if (set->top_rank < 0)
		return NULL;
	standing = LoadStanding(root, false, CurrentMemoryContext);
	if (standing == NULL || strcmp(standing->status, "cancelled") == 0)
		return NULL;
	LoadActivity(standing, EarliestStart(set, now, TierRank(NULL)), TierRank(NULL));
	tier = JustifiedTier(standing, now, now, TierRank(NULL), way);
	if (TierRank(tier) > TierRank(holding->earned))
		SetEarned(holding, tier, now, ExpiresAt(&tier->validity, now));
	else
		*way = 0;
	return tier;
}

void
MergeTiers(const Kin *kin, const MergeAct *act, StringInfo report)
{
	const TierSet *set = GetTierSet();
	OwnTier    *tiers;
	OwnTier    *before;
	List	   *changes = NIL;
	const char *separator = "";

	appendStringInfoString(report, ", \"tiers\": {");
	if (set->ntiers > 0)
	{
		tiers = ReadTiers(unconstify(Kin *, kin), set);
		before = palloc(sizeof(OwnTier) * kin->n);
		memcpy(before, tiers, sizeof(OwnTier) * kin->n);
		for (int i = 0; i < kin->n; i++)
		{
			KinMember  *member = tiers[i].member;
			bool		is_root = member->root == member->member_id;
			Holding		after = tiers[i].own;
			const Tier *recomputed;
			bool		ours;
			int			way;

			/* who comes back may have reached more by what was done with it meanwhile */
			if (!member->family && !tiers[i].kept && !(is_root && member->old_root != member->root))
				continue;
			if (member->family)
				after = Combine(tiers, kin, member, TierRuleOf(kin, member->member_id), &member->tier_source);
			if (is_root)
			{
				tiers[i].reached = ReachedBy(before, kin, member->member_id, &after, set);
				if (IsBetter(&tiers[i].reached, &after))
					SetEarned(&after, tiers[i].reached.earned, tiers[i].reached.period_from, tiers[i].reached.period_to);
			}
			else if (LeftEachOther(kin, member, member->root, &ours))
				tiers[i].reached.earned = NULL;	/* what is left of it is its root's */
			recomputed = is_root ? Recompute(member->member_id, &after, set, &way) : NULL;
			if (is_root && way != 0)
				tiers[i].reached = after;
			if (member->family || (!is_root && (tiers[i].given || tiers[i].reached.earned != NULL)))
				KeepOwn(&tiers[i], &after);
			else
				ForgetOwn(member->member_id);
			NoteChange(&changes, &tiers[i], &after, is_root ? way : 0, act);
			if (!is_root || (after.held == NULL && recomputed == NULL))
				continue;
			appendStringInfo(report, "%s\"" INT64_FORMAT "\": {\"granted\": {", separator, member->member_id);
			separator = "";
			for (int j = 0; j < kin->n; j++)
			{
				if (kin->members[j].root != member->member_id || tiers[j].own.held == NULL)
					continue;
				appendStringInfo(report, "%s\"" INT64_FORMAT "\": ", separator, kin->members[j].member_id);
				escape_json(report, tiers[j].own.held->code);
				separator = ", ";
			}
			appendStringInfoChar(report, '}');
			AppendTier(report, "recomputed", recomputed);
			AppendTier(report, "held", after.held);
			appendStringInfoChar(report, '}');
			separator = ", ";
		}
		PostTierChanges(changes);
	}
	appendStringInfoChar(report, '}');
}
