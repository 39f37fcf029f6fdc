/*
 * replay.c: the tiers members would have held, had rules given something else.
 *
 * A member's history of tiers is gone through beside his sales.  What points
 * brought about is left out, and comes about by what the sales are given now:
 * they count together with points given otherwise, lift at once, and are what
 * periods are judged by, as far as reviews have been.  What was reached by money
 * or number of sales, given by hand or taken over in a merge is as it was.
 *
 * Goods that came back take of the points what they were given now, when they
 * came back, and with them a tier that is undone at once.
 */
#include "crm_member.h"
#include "points/ledger.h"
#include "query.h"
#include "tier/tier.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"

typedef enum TierCause
{
	CAUSE_REGISTER,
	CAUSE_SALE,
	CAUSE_POINTS,
	CAUSE_RETURN,
	CAUSE_REVIEW,
	CAUSE_MANUAL,
	CAUSE_LAPSE,
	CAUSE_MERGE,
	/* no events: points were, by hand; points given by hand or before the time that is simulated were taken back; a line of a sale came back */
	CAUSE_GIVEN,
	CAUSE_REVERSE,
	CAUSE_REFUND
} TierCause;

static const char *const cause_names[] = {
	"register", "sale", "points", "return", "review", "manual", "lapse", "merge", "given", "reverse", "refund"};

/* A row of member_tier_event, or of the two others. */
typedef struct TierStep
{
	TimestampTz at;
	TierCause	cause;
	int64		sale_id;		/* 0: none */
	const Tier *earned_before;
	const Tier *earned;
	const Tier *held;
	TimestampTz period_to;
	TimestampTz manual_until;	/* DT_NOBEGIN: none is said */
	int			way;
	int			line_no;
	int64		quantity;		/* at QUANTITY_SCALE */
	const char *points_type;	/* of what was taken back, and when that was given, and counted */
	int64		points;
	TimestampTz granted_at;
	TimestampTz counts_from;
} TierStep;

/* Points of one sale in one series, as a draft gives them. */
typedef struct Granted
{
	int			series;
	TimestampTz at;
	TimestampTz counts_from;
	int64	   *points;			/* by line */
} Granted;

/* A sale of which something comes back. */
typedef struct ReturnedSale
{
	int64		sale_id;
	int			nlines;
	int		   *line_nos;
	int64	   *sold;			/* quantities at QUANTITY_SCALE */
	int64	   *back;
	List	   *granted;		/* of Granted */
} ReturnedSale;

/* A tier that a sale reached by the points of the draft. */
typedef struct Climb
{
	const Tier *tier;
	TimestampTz at;
	Holding		before;
} Climb;

typedef struct Replayed
{
	int64		member_id;
	Standing   *standing;
	bool		refunds;		/* there are steps of them */
	List	   *returned;		/* of ReturnedSale */
	List	   *climbs;			/* of Climb, the last one first */
	TierStep   *steps;			/* in order */
	int			nsteps;
	int			next;
	TimestampTz reviewed_to;
} Replayed;

struct TierReplay
{
	MemoryContext context;
	const RuleSet *rules;
	TimestampTz from;
	TimestampTz to;
	TimestampTz reviewed_to;
	HTAB	   *members;
};

static bool
AsksForPoints(const TierSet *set, const Tier *tier, int way)
{
	for (int r = 0; tier != NULL && r < tier->nrules; r++)
	{
		if ((way == 0 || tier->rules[r].way == way) &&
			set->series[tier->rules[r].series].measure == MEASURE_POINTS)
			return true;
	}
	return false;
}

TierReplay *
BeginTierReplay(const RuleSet *set, TimestampTz from, TimestampTz to)
{
	static CrmQuery query = {"SELECT coalesce(max(as_of), '-infinity') FROM crm_member.tier_review", 0};
	HASHCTL		control = {.keysize = sizeof(int64), .entrysize = sizeof(Replayed)};
	const TierSet *tiers = GetTierSet();
	TierReplay *replay;
	bool		asked = false;
	bool		isnull;

	for (int t = 0; t < tiers->ntiers; t++)
		asked |= AsksForPoints(tiers, &tiers->tiers[t], 0);
	if (!asked || (!set->uses[MEMBER_TIER] && !set->uses[MEMBER_TIER_RANK]))
		return NULL;
	replay = palloc(sizeof(TierReplay));
	replay->context = AllocSetContextCreate(CurrentMemoryContext, "crm_member tier replay",
											ALLOCSET_DEFAULT_SIZES);
	replay->rules = set;
	replay->from = from;
	replay->to = to;
	RunQuery(&query, NULL, NULL, true, 1);
	replay->reviewed_to = DatumGetTimestampTz(QueryColumn(0, 1, &isnull));
	control.hcxt = replay->context;
	replay->members = hash_create("crm_member tiers replayed", 1024, &control,
								  HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	return replay;
}

static TimestampTz
TimeOr(uint64 row, int column, TimestampTz otherwise)
{
	bool		isnull;
	Datum		value = QueryColumn(row, column, &isnull);

	return isnull ? otherwise : DatumGetTimestampTz(value);
}

static void
LoadSteps(TierReplay *replay, Replayed *replayed)
{
	static CrmQuery query = {
		"WITH own AS (SELECT $1 AS member_id UNION ALL "
		"SELECT a.member_id FROM crm_member.member_root a WHERE a.root = $1) "
		"SELECT * FROM (SELECT at, cause, sale_id, earned_from, earned_to, to_tier, period_to, "
		"manual_until, way, NULL::int, NULL::numeric, NULL::text, NULL::timestamptz, NULL::timestamptz, event_id "
		"FROM crm_member.member_tier_event WHERE member_id = $1 "
		/* given by hand, whether or not anything was reached then */
		"UNION ALL SELECT at, 'given', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 0 "
		"FROM crm_member.points_entry WHERE member_id = $1 AND kind IN ('award', 'adjust') "
		"AND points > 0 AND at >= $2 "
		"UNION ALL SELECT r.at, 'reverse', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, "
		"coalesce(r.shortfall, 0) - r.points, r.points_type, e.at, coalesce(l.available_at, e.at), 0 "
		"FROM own JOIN crm_member.points_entry r ON r.member_id = own.member_id AND r.kind = 'reverse' AND r.at >= $2 "
		"JOIN crm_member.points_entry e ON e.member_id = r.member_id AND e.points_type = r.points_type "
		"AND e.entry_no = r.of_entry AND (e.kind <> 'earn' OR e.at < $2 OR e.at >= $3) "
		"LEFT JOIN crm_member.points_lot l ON l.member_id = e.member_id AND l.points_type = e.points_type "
		"AND l.lot_no = e.entry_no "
		"UNION ALL SELECT greatest(r.refunded_at, s.sold_at), 'refund', r.sale_id, NULL, NULL, NULL, NULL, "
		"NULL, NULL, l.line_no, l.quantity, NULL, NULL, NULL, 1 FROM own "
		"JOIN crm_member.refund r ON r.member_id = own.member_id "
		"JOIN crm_member.sale s ON s.member_id = r.member_id AND s.sale_id = r.sale_id AND s.sold_at < $3 "
		"JOIN crm_member.refund_line l ON l.member_id = r.member_id AND l.refund_id = r.refund_id "
		"WHERE greatest(r.refunded_at, s.sold_at) >= $2) e "
		/* who came with a tier had it from the beginning, whenever that was entered */
		"ORDER BY cause <> 'register', at, event_id, sale_id",
		3, {INT8OID, TIMESTAMPTZOID, TIMESTAMPTZOID}};
	const TierSet *set = replayed->standing->set;
	Datum		values[3] = {Int64GetDatum(replayed->member_id), TimestampTzGetDatum(replay->from),
		TimestampTzGetDatum(replay->to)};

	replayed->nsteps = RunQuery(&query, values, NULL, true, 0);
	replayed->steps = MemoryContextAllocZero(replay->context,
											 sizeof(TierStep) * Max(replayed->nsteps, 1));
	for (int i = 0; i < replayed->nsteps; i++)
	{
		TierStep   *step = &replayed->steps[i];
		const char *cause = QueryText(i, 2);
		bool		isnull;
		Datum		value;

		step->at = TimeOr(i, 1, DT_NOBEGIN);
		while (strcmp(cause_names[step->cause], cause) != 0)
			step->cause++;
		value = QueryColumn(i, 3, &isnull);
		step->sale_id = isnull ? 0 : DatumGetInt64(value);
		step->earned_before = FindTier(set, QueryText(i, 4));
		step->earned = FindTier(set, QueryText(i, 5));
		step->held = FindTier(set, QueryText(i, 6));
		step->period_to = TimeOr(i, 7, DT_NOEND);
		step->manual_until = TimeOr(i, 8, DT_NOBEGIN);
		value = QueryColumn(i, 9, &isnull);
		step->way = isnull ? 0 : DatumGetInt16(value);
		if (step->cause == CAUSE_REVERSE)
		{
			const PointsType *type;

			step->points_type = MemoryContextStrdup(replay->context, QueryText(i, 12));
			type = FindPointsType(replay->rules, step->points_type);
			step->points = PointsColumn(i, 11, type);
			step->granted_at = TimeOr(i, 13, DT_NOBEGIN);
			step->counts_from = TimeOr(i, 14, DT_NOBEGIN);
		}
		if (step->cause != CAUSE_REFUND)
			continue;
		step->line_no = DatumGetInt32(QueryColumn(i, 10, &isnull));
		step->quantity = RoundedMinor(DatumGetNumeric(QueryColumn(i, 11, &isnull)), QUANTITY_SCALE,
									  ROUNDING_FLOOR, "quantity");
		replayed->refunds = true;
	}
}

/* ---- returns ---- */

static ReturnedSale *
FindReturned(const Replayed *replayed, int64 sale_id)
{
	ListCell   *cell;

	foreach(cell, replayed->returned)
	{
		if (((ReturnedSale *) lfirst(cell))->sale_id == sale_id)
			return lfirst(cell);
	}
	return NULL;
}

/* What was earned for units that came back does not count, from when it was earned. */
static void
TakeBackGranted(Replayed *replayed, const TierStep *step)
{
	ReturnedSale *returned = FindReturned(replayed, step->sale_id);
	ListCell   *cell;
	int			i = 0;

	if (returned == NULL)
		return;
	while (i < returned->nlines && returned->line_nos[i] != step->line_no)
		i++;
	if (i == returned->nlines || returned->sold[i] == 0)
		return;
	foreach(cell, returned->granted)
	{
		const Granted *granted = lfirst(cell);
		int64		left = MulDivMinor(granted->points[i], returned->back[i] + step->quantity, returned->sold[i], ROUNDING_FLOOR) -
			MulDivMinor(granted->points[i], returned->back[i], returned->sold[i], ROUNDING_FLOOR);

		AddActivity(replayed->standing, granted->series, granted->at, granted->counts_from, -left);
	}
	returned->back[i] += step->quantity;
}

static void
TakeBackGiven(Standing *standing, const TierStep *step)
{
	const TierSet *set = standing->set;

	for (int s = 0; s < set->nseries; s++)
	{
		if (set->series[s].measure == MEASURE_POINTS &&
			strcmp(set->series[s].points_type, step->points_type) == 0)
			AddActivity(standing, s, step->granted_at, step->counts_from, -step->points);
	}
}

/* The climb that gave the tier that is earned; NULL: none did. */
static const Climb *
LastClimb(const Replayed *replayed)
{
	const Holding *holding = &replayed->standing->holding;
	const Climb *climb = replayed->climbs == NIL ? NULL : linitial(replayed->climbs);

	return climb != NULL && climb->tier == holding->earned && climb->at == holding->period_from
		? climb : NULL;
}

/* A tier is about to be reached by the points of a sale. */
static void
NoteClimb(TierReplay *replay, Replayed *replayed, const Tier *tier, TimestampTz at)
{
	MemoryContext old = MemoryContextSwitchTo(replay->context);
	Climb	   *climb = palloc(sizeof(Climb));

	*climb = (Climb) {tier, at, replayed->standing->holding};
	replayed->climbs = lcons(climb, replayed->climbs);
	MemoryContextSwitchTo(old);
}

/* Was the tier that a return undid reached by points? */
static bool
UndoesPoints(const Replayed *replayed, const TierStep *step)
{
	const TierStep *raise = step - 1;

	while (raise >= replayed->steps && !(raise->cause == CAUSE_SALE && raise->earned == step->earned_before))
		raise--;
	return raise >= replayed->steps && AsksForPoints(replayed->standing->set, raise->earned, raise->way);
}

/* As a return does: see review.c. */
static void
UndoReplayedClimb(Replayed *replayed, TimestampTz at)
{
	Standing   *standing = replayed->standing;
	const Climb *climb = LastClimb(replayed);
	const Tier *tier;
	const Tier *other;
	int			way;

	if (climb == NULL || !climb->tier->undo_at_once)
		return;
	tier = JustifiedTier(standing, climb->at, climb->at, TierRank(climb->before.earned), &way);
	if (tier == NULL)
		tier = climb->before.earned;
	other = JustifiedTier(standing, at, at, TierRank(tier), &way);
	if (other != NULL)
		tier = other;
	if (TierRank(tier) >= climb->tier->rank)
		return;
	SetEarned(&standing->holding, tier, at, DT_NOEND);
	if (tier != NULL)
	{
		standing->holding.period_from = tier == climb->before.earned ? climb->before.period_from : climb->at;
		standing->holding.period_to = tier == climb->before.earned ? climb->before.period_to
			: ExpiresAt(&tier->validity, climb->at);
	}
	replayed->climbs = list_delete_first(replayed->climbs);
}

bool
ReplayReturns(TierReplay *replay, const Sale *sale)
{
	const Replayed *replayed = hash_search(replay->members, &sale->member->member_id, HASH_FIND, NULL);

	for (int i = 0; replayed->refunds && i < replayed->nsteps; i++)
	{
		if (replayed->steps[i].cause == CAUSE_REFUND && replayed->steps[i].sale_id == sale->sale_id)
			return true;
	}
	return false;
}

/* What a sale earned that is returned later. */
static void
KeepGranted(TierReplay *replay, Replayed *replayed, const EarnedSale *earned)
{
	const Sale *sale = earned->sale;
	const TierSet *set = replayed->standing->set;
	MemoryContext old = MemoryContextSwitchTo(replay->context);
	ReturnedSale *returned = palloc0(sizeof(ReturnedSale));
	ListCell   *cell;

	returned->sale_id = sale->sale_id;
	returned->nlines = sale->nlines;
	returned->line_nos = palloc(sizeof(int) * sale->nlines);
	returned->sold = palloc(sizeof(int64) * sale->nlines);
	returned->back = palloc0(sizeof(int64) * sale->nlines);
	for (int i = 0; i < sale->nlines; i++)
	{
		returned->line_nos[i] = sale->lines[i].line_no;
		returned->sold[i] = QuantityUnits(&sale->lines[i]);
	}
	for (int s = 0; s < set->nseries; s++)
	{
		foreach(cell, earned->awards)
		{
			const Award *award = lfirst(cell);
			Granted    *granted;

			if (set->series[s].measure != MEASURE_POINTS ||
				strcmp(award->type->name, set->series[s].points_type) != 0)
				continue;
			granted = palloc(sizeof(Granted));
			*granted = (Granted) {s, sale->sold_at, award->available_at, palloc(sizeof(int64) * sale->nlines)};
			memcpy(granted->points, award->line_points, sizeof(int64) * sale->nlines);
			returned->granted = lappend(returned->granted, granted);
		}
	}
	replayed->returned = lappend(replayed->returned, returned);
	MemoryContextSwitchTo(old);
}

/* ---- steps ---- */

static void
StepManual(Holding *holding, const TierStep *step)
{
	if (step->cause == CAUSE_LAPSE ||
		(step->held == step->earned && step->manual_until == DT_NOBEGIN))
		holding->manual = NULL;
	else
	{
		holding->manual = step->held;
		holding->manual_until = step->manual_until == DT_NOBEGIN ? DT_NOEND : step->manual_until;
	}
}

/* As it was. */
static void
TakeStep(Holding *holding, const TierStep *step)
{
	if (step->cause == CAUSE_MANUAL || step->cause == CAUSE_LAPSE)
		StepManual(holding, step);
	SetEarned(holding, step->earned, step->at, step->period_to);
}

static void
Judge(Standing *standing, TimestampTz at)
{
	int			way;
	const Tier *tier = JustifiedTier(standing, at, at, TierRank(standing->holding.earned), &way);

	if (tier != NULL)
		SetEarned(&standing->holding, tier, at, ExpiresAt(&tier->validity, at));
}

/* As it would have been. */
static void
ReplayStep(Replayed *replayed, const TierStep *step)
{
	Standing   *standing = replayed->standing;
	Holding    *holding = &standing->holding;
	const TierStep *next = step + 1;
	bool		rises = TierRank(step->earned) > TierRank(holding->earned);

	switch (step->cause)
	{
		case CAUSE_MANUAL:
		case CAUSE_LAPSE:
			StepManual(holding, step);
			SetEarned(holding, holding->earned, holding->period_from, holding->period_to);
			break;
		case CAUSE_SALE:
			if (rises && !AsksForPoints(standing->set, step->earned, step->way))
				TakeStep(holding, step);
			break;
		case CAUSE_MERGE:
			if (rises)
				TakeStep(holding, step);
			break;
		case CAUSE_POINTS:
		case CAUSE_GIVEN:
			Judge(standing, step->at);
			break;
		case CAUSE_REVIEW:		/* periods are judged by themselves */
			if (TierRank(step->earned) > TierRank(step->earned_before))
				Judge(standing, step->at);
			break;
		case CAUSE_RETURN:
			if (holding->earned == step->earned_before && LastClimb(replayed) == NULL &&
				!UndoesPoints(replayed, step))
				TakeStep(holding, step);
			break;
		case CAUSE_REVERSE:
			TakeBackGiven(standing, step);
			break;
		case CAUSE_REFUND:
			TakeBackGranted(replayed, step);
			/* judged when all lines are back */
			if (next == replayed->steps + replayed->nsteps || next->cause != CAUSE_REFUND ||
				next->sale_id != step->sale_id || next->at != step->at)
				UndoReplayedClimb(replayed, step->at);
			break;
		case CAUSE_REGISTER:
			TakeStep(holding, step);
			break;
	}
}

/* ---- members ---- */

/* Before anything that is known.  A floor is told from an override only by what is held now. */
static void
BeginHolding(Holding *holding, const Tier *earned)
{
	bool		at_least = holding->manual != NULL && holding->at_least;

	memset(holding, 0, sizeof(Holding));
	holding->manual_until = DT_NOEND;
	holding->at_least = at_least;
	SetEarned(holding, earned, DT_NOBEGIN, DT_NOEND);
}

static Replayed *
LoadReplayed(TierReplay *replay, const Sale *sale)
{
	bool		found;
	Replayed   *replayed = hash_search(replay->members, &sale->member->member_id, HASH_ENTER, &found);
	Standing   *standing;
	TimestampTz first;
	bool		begun = false;

	if (found)
		return replayed;
	SPI_connect();
	standing = LoadStanding(sale->member->member_id, false, replay->context);
	replayed->standing = standing;
	replayed->next = replayed->nsteps = 0;
	replayed->refunds = false;
	replayed->returned = replayed->climbs = NIL;
	replayed->reviewed_to = replay->reviewed_to;
	if (standing != NULL)
		LoadSteps(replay, replayed);
	for (int i = 0; i < replayed->nsteps; i++)
	{
		const TierStep *step = &replayed->steps[i];

		if (step->cause >= CAUSE_GIVEN)
			continue;
		if (!begun)
			BeginHolding(&standing->holding, step->earned_before);
		begun = true;
		if (step->cause == CAUSE_REVIEW)
			replayed->reviewed_to = Max(replayed->reviewed_to, step->at);
		if (step->at < replay->from || step->cause == CAUSE_REGISTER)
		{
			if (step->cause == CAUSE_SALE && AsksForPoints(standing->set, step->earned, step->way))
				NoteClimb(replay, replayed, step->earned, step->at);
			TakeStep(&standing->holding, step);
			replayed->next = i + 1;
		}
	}
	if (standing != NULL)
	{
		standing->replayed_from = replay->from;
		standing->replayed_to = replay->to;
		/* from the first moment that will be judged: a period is by its last one */
		first = Min(sale->sold_at, standing->holding.period_to - 1);
		if (replayed->next < replayed->nsteps)
			first = Min(first, replayed->steps[replayed->next].at);
		LoadActivity(standing, EarliestStart(standing->set, first, TierRank(NULL)), TierRank(NULL));
	}
	SPI_finish();
	return replayed;
}

static void
PassTime(Replayed *replayed, TimestampTz at)
{
	Holding    *holding = &replayed->standing->holding;
	List	   *changes = NIL;

	ReviewPeriods(replayed->standing, Min(at, replayed->reviewed_to), &changes);
	if (holding->manual != NULL && holding->manual_until <= at)
		EndManual(holding);
}

void
ReplayBuyer(TierReplay *replay, Sale *sale)
{
	Replayed   *replayed = LoadReplayed(replay, sale);
	const Tier *held;
	Member	   *then;

	if (replayed->standing == NULL)
		return;
	for (; replayed->next < replayed->nsteps; replayed->next++)
	{
		const TierStep *step = &replayed->steps[replayed->next];

		CHECK_FOR_INTERRUPTS();
		/* what the sale itself brought about is there before it where it earns by that */
		if (step->at > sale->sold_at ||
			(step->sale_id == sale->sale_id && !(step->earned && step->earned->at_once)))
			break;
		PassTime(replayed, step->at);
		ReplayStep(replayed, step);
	}
	PassTime(replayed, sale->sold_at);

	held = replayed->standing->holding.held;
	then = palloc(sizeof(Member));
	*then = *sale->member;
	then->tier = held ? held->code : NULL;
	then->tier_rank = held ? held->rank : 0;
	then->lapses_at = DT_NOEND;
	sale->member = then;
}

void
ReplayClimb(TierReplay *replay, const RuleSet *set, RuleUse *use, EarnedSale *earned)
{
	const Sale *sale = earned->sale;
	Replayed   *replayed = hash_search(replay->members, &sale->member->member_id, HASH_FIND, NULL);
	Standing   *standing = replayed->standing;
	const Tier *tier;
	int			way;

	if (standing == NULL)
		return;
	CountPoints(standing, earned);
	tier = JustifiedTier(standing, sale->sold_at, sale->sold_at,
						 TierRank(standing->holding.earned), &way);
	if (tier != NULL)
	{
		NoteClimb(replay, replayed, tier, sale->sold_at);
		RaiseBuyer(set, use, standing, earned, tier, way, sale->sold_at);
	}
	if (ReplayReturns(replay, sale))
		KeepGranted(replay, replayed, earned);
}
