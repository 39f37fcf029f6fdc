/*
 * evaluate.c: what a sale earns.
 *
 * For each points type there are two stages: base rules, then multipliers; in a
 * stage, rules go by priority, then code.  A rule works on units: the sale (with
 * those of its lines for which the condition holds together) or, at line scope,
 * each such line by itself.
 *
 * Every base rule rounds its own result.  Multipliers multiply what their lines
 * have earned so far; the product is kept exact and rounded once: what one
 * multiplier adds is the difference between rounded totals.
 *
 * Each grant is spread over its lines when it is made, so that a return knows
 * what a line earned without computing anything again.
 */
#include "crm_member.h"
#include "condition/index.h"
#include "points/points.h"
#include "setting.h"

#include "port/pg_bitutils.h"

#define GRANTS_AT_ONCE 16

/* Decimals that a chain of multipliers keeps of a point. */
#define MAX_PRODUCT_SCALE 16

/* What a unit, the sale or one line, has been given in a stage, and by whom. */
typedef struct Unit
{
	const Rule *first;			/* the first rule that gave */
	const Rule *blocker;		/* the rule that lets no other in */
	const Rule **groups;		/* by stack group */
} Unit;

/* One points type's state during a sale. */
typedef struct TypeState
{
	int128	   *earned;			/* exact points of each line, in 10^-scale minor units; NULL: not needed */
	int			scale;
	int64		rounded;		/* their sum, rounded as the last rule says */
	Unit	   *units[2];		/* by stage: [0] the sale, [1 + i] line i; NULL: all rules stack */
} TypeState;

typedef struct Evaluation
{
	const RuleSet *set;
	const Sale *sale;
	RuleUse    *use;
	Facts		facts;			/* of member, sale and line facts_line */
	int			facts_line;
	uint64	   *matches;		/* bitmaps of rules, one a line */
	int			nwords;
	TypeState  *types;
	Award	  **lots;			/* by rule->lot: where its points go */
	bool		spread;			/* line_points are wanted */
	bool	   *matching;		/* lines the current rule works on */
	bool		all_matching;
	int64		all_paid;		/* what all lines earn by */
	int64		all_units;
	int64	   *weights;
	int64	   *shares;
	List	   *awards;
	Grant	   *grants;			/* room for the next ones */
	int			ngrants;
	List	  **explain;
	const char *cap;			/* of the current rule: what it may give is limited by */
} Evaluation;

static int128
Multiply128(int128 a, int128 b)
{
	int128		result;

	if (__builtin_mul_overflow(a, b, &result))
		ereport(ERROR, (errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
						errmsg("points out of range")));
	return result;
}

static int128
PowerOf10(int n)
{
	int128		result = 1;

	while (n-- > 0)
		result = Multiply128(result, 10);
	return result;
}

/* What was paid for the matching lines ... */
static Decimal
MatchingPaid(const Evaluation *eval)
{
	Decimal		paid = {eval->all_paid, GetSetting()->money_scale};

	if (eval->all_matching)
		return paid;
	paid.units = 0;
	for (int i = 0; i < eval->sale->nlines; i++)
	{
		if (eval->matching[i])
			paid.units = AddMinor(paid.units, LineEarning(&eval->sale->lines[i]));
	}
	return paid;
}

/* ... and how many units they are. */
static Decimal
MatchingUnits(const Evaluation *eval)
{
	Decimal		units = {eval->all_units, QUANTITY_SCALE};

	if (eval->all_matching)
		return units;
	units.units = 0;
	for (int i = 0; i < eval->sale->nlines; i++)
	{
		if (eval->matching[i])
			units.units = AddMinor(units.units, QuantityUnits(&eval->sale->lines[i]));
	}
	return units;
}

/* Drop decimals of the exact points that say nothing, and those beyond what is kept. */
static void
TrimProduct(const Evaluation *eval, TypeState *state)
{
	int			n = eval->sale->nlines;

	while (state->scale > 0)
	{
		bool		zero = true;

		for (int i = 0; zero && i < n; i++)
			zero = state->earned[i] % 10 == 0;
		if (!zero && state->scale <= MAX_PRODUCT_SCALE)
			break;
		for (int i = 0; i < n; i++)
			state->earned[i] /= 10;
		state->scale--;
	}
}

/* What a line has earned by a rule, as 10^-scale minor units. */
static int128
LineProduct(const Evaluation *eval, const TypeState *state, const Rule *rule, int line)
{
	return Multiply128(state->earned[line], eval->matching[line] ? rule->points.units
					   : PowerOf10(rule->points.scale));
}

/* What a multiplier adds for the matching lines, before its cap: what was given stays given. */
static int64
MultiplierPoints(const Evaluation *eval, const TypeState *state, const Rule *rule)
{
	int128		sum = 0;
	int64		total;

	for (int i = 0; i < eval->sale->nlines; i++)
	{
		if (__builtin_add_overflow(sum, LineProduct(eval, state, rule, i), &sum))
			ereport(ERROR, (errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
							errmsg("points out of range")));
	}
	total = DivideRounded(sum, PowerOf10(state->scale + rule->points.scale), rule->rounding);
	return Max(total - state->rounded, 0);
}

/* The lines' exact points become the product. */
static void
MultiplyEarned(const Evaluation *eval, TypeState *state, const Rule *rule)
{
	for (int i = 0; i < eval->sale->nlines; i++)
		state->earned[i] = LineProduct(eval, state, rule, i);
	state->scale += rule->points.scale;
	TrimProduct(eval, state);
}

/* The award of the sale that a rule's points go to. */
static Award *
FindAward(Evaluation *eval, const Rule *rule)
{
	TimestampTz available = eval->sale->sold_at;
	TimestampTz expires;
	ListCell   *cell;
	Award	   *award = eval->lots[rule->lot];

	if (award != NULL)
		return award;
	if (rule->pending != NULL)
		available = AddBusinessInterval(available, rule->pending);
	expires = ExpiresAt(rule->expiry, available);

	foreach(cell, eval->awards)
	{
		award = lfirst(cell);
		if (award->type == rule->type && award->available_at == available &&
			award->expires_at == expires)
			return eval->lots[rule->lot] = award;
	}
	award = palloc0(sizeof(Award));
	award->type = rule->type;
	award->available_at = available;
	award->expires_at = expires;
	if (eval->spread)
		award->line_points = palloc0(sizeof(int64) * eval->sale->nlines);
	eval->awards = lappend(eval->awards, award);
	return eval->lots[rule->lot] = award;
}

/*
 * Spread points over the matching lines: by what was paid for them or, for a
 * multiplier, by what they had earned; evenly where that is nothing.
 */
static void
SpreadPoints(Evaluation *eval, const TypeState *state, const Rule *rule, int64 points)
{
	int			n = eval->sale->nlines;
	bool		nothing = true;

	if (n == 1)
	{
		eval->shares[0] = points;
		return;
	}
	for (int i = 0; i < n; i++)
	{
		int64		weight = 0;

		if (eval->matching[i])
			weight = rule->award == AWARD_MULTIPLIER
				? (int64) (state->earned[i] / PowerOf10(state->scale))
				: LineEarning(&eval->sale->lines[i]);
		eval->weights[i] = weight;
		nothing &= weight == 0;
	}
	for (int i = 0; nothing && i < n; i++)
		eval->weights[i] = eval->matching[i];
	Allocate(points, eval->weights, n, ALLOCATION_LARGEST_REMAINDER, eval->shares);
}

/* add: the lines have earned their shares besides what they had. */
static void
GivePoints(Evaluation *eval, TypeState *state, const Rule *rule, int line, int64 points, bool add)
{
	Award	   *award = FindAward(eval, rule);
	Grant	   *grant;

	if (eval->spread || state->earned != NULL)
	{
		SpreadPoints(eval, state, rule, points);
		for (int i = 0; i < eval->sale->nlines; i++)
		{
			if (eval->spread)
				award->line_points[i] += eval->shares[i];
			if (add && state->earned != NULL)
				state->earned[i] += Multiply128(eval->shares[i], PowerOf10(state->scale));
		}
	}
	award->points = AddMinor(award->points, points);
	state->rounded = AddMinor(state->rounded, points);

	if (eval->ngrants == 0)
	{
		eval->ngrants = GRANTS_AT_ONCE;
		eval->grants = palloc(sizeof(Grant) * eval->ngrants);
	}
	eval->ngrants--;
	grant = eval->grants++;
	grant->rule = rule;
	grant->line = line;
	grant->points = points;
	award->grants = lappend(award->grants, grant);
}

/* Who keeps rule out of one unit; NULL: nobody. */
static const Rule *
UnitDisplacer(const Unit *unit, const Rule *rule)
{
	if (unit->blocker != NULL)
		return unit->blocker;
	if (!rule->stackable && unit->first != NULL)
		return unit->first;
	return rule->stack_group >= 0 ? unit->groups[rule->stack_group] : NULL;
}

/*
 * Who keeps rule out: what was given to the sale counts for its lines, and what
 * was given to a line for a sale rule that works on it.
 */
static const Rule *
Displacer(const Evaluation *eval, const Unit *units, const Rule *rule, int line)
{
	const Rule *displacer;

	if (units == NULL)
		return NULL;
	displacer = UnitDisplacer(&units[0], rule);
	for (int i = 0; displacer == NULL && i < eval->sale->nlines; i++)
	{
		if (line >= 0 ? i == line : eval->matching[i])
			displacer = UnitDisplacer(&units[1 + i], rule);
	}
	return displacer;
}

static void
Occupy(Unit *unit, const Rule *rule)
{
	if (unit->first == NULL)
		unit->first = rule;
	if (!rule->stackable)
		unit->blocker = rule;
	if (rule->stack_group >= 0)
		unit->groups[rule->stack_group] = rule;
}

static Explanation *
Explain(Evaluation *eval, const Rule *rule, int line, Verdict verdict)
{
	Explanation *explanation;

	if (eval->explain == NULL)
		return NULL;
	explanation = palloc0(sizeof(Explanation));
	explanation->rule = rule;
	explanation->line = line;
	explanation->verdict = verdict;
	*eval->explain = lappend(*eval->explain, explanation);
	return explanation;
}

/* For the matching lines, before any cap. */
static int64
UncappedPoints(const Evaluation *eval, const Rule *rule)
{
	return rule->award == AWARD_MULTIPLIER
		? MultiplierPoints(eval, &eval->types[rule->type - eval->set->types], rule)
		: BasePoints(rule, MatchingPaid(eval), MatchingUnits(eval));
}

/* A rule meets a unit: line, or with -1 the sale, on the lines in eval->matching. */
static void
ApplyRule(Evaluation *eval, const Rule *rule, int line, int64 *left)
{
	TypeState  *state = &eval->types[rule->type - eval->set->types];
	Unit	   *units = state->units[rule->award == AWARD_MULTIPLIER];
	const Rule *displacer = Displacer(eval, units, rule, line);
	Explanation *explanation;
	bool		multiplies;
	int64		points;
	int64		would;

	if (displacer != NULL && eval->explain == NULL)
		return;

	would = UncappedPoints(eval, rule);
	points = displacer != NULL ? 0 : Min(would, *left);

	/* a rule that has nothing left to give keeps nobody out */
	explanation = Explain(eval, rule, line,
						  displacer != NULL ? VERDICT_DISPLACED
						  : points < would ? VERDICT_CAPPED : VERDICT_MATCHED);
	if (explanation != NULL)
	{
		explanation->displaced_by = displacer;
		explanation->points = points;
		explanation->would = would;
	}
	if (explanation != NULL && explanation->verdict == VERDICT_CAPPED)
	{
		explanation->clause = pstrdup(eval->cap);
		explanation->saw = psprintf("%s left", PointsText(*left, rule->type));
	}
	if (displacer != NULL || *left == 0)
		return;

	if (units != NULL)
		Occupy(&units[1 + line], rule);
	/* one that was capped has added what it gave, and that is what the next multiplies */
	multiplies = rule->award == AWARD_MULTIPLIER && points == would;
	if (multiplies)
		MultiplyEarned(eval, state, rule);
	if (points == 0)
		return;
	*left -= points;
	NoteRuleUse(eval->use, rule, eval->sale, points);
	GivePoints(eval, state, rule, line, points, !multiplies);
}

/* The facts that a condition is judged by, those of a line (-1: any) among them. */
static const Facts *
FactsOf(Evaluation *eval, int line)
{
	if (line >= 0 && eval->facts_line != line)
	{
		FillLineFacts(&eval->facts, &eval->sale->lines[line]);
		eval->facts_line = line;
	}
	return &eval->facts;
}

/* The line that a unit's condition is explained by; -1: it has none that was bought. */
static int
LineToExplain(const Evaluation *eval, int line)
{
	int			end = line < 0 ? eval->sale->nlines : line + 1;

	for (int i = Max(line, 0); i < end; i++)
	{
		if (IsBought(&eval->sale->lines[i]))
			return i;
	}
	return -1;
}

static bool
Holds(Evaluation *eval, const Rule *rule, int line)
{
	return rule->condition == NULL ||
		EvaluateCondition(rule->condition, FactsOf(eval, line)) == TRUTH_TRUE;
}

/*
 * What a rule that gives nothing to a line, or with -1 the sale, would have given:
 * had it been valid, or else had the member and the sale been as_wanted by it.
 */
static int64
WouldGive(Evaluation *eval, const Rule *rule, int line, bool as_wanted)
{
	int64		would = 0;
	bool		any = false;

	eval->all_matching = false;
	memset(eval->matching, 0, sizeof(bool) * eval->sale->nlines);
	for (int i = 0; i < eval->sale->nlines; i++)
	{
		if ((line >= 0 && i != line) || !IsBought(&eval->sale->lines[i]) ||
			!(as_wanted && rule->condition != NULL ? HoldsForLine(rule->condition, FactsOf(eval, i))
			  : Holds(eval, rule, i)))
			continue;
		any = eval->matching[i] = true;
		if (rule->line_scope)
		{
			would = AddMinor(would, UncappedPoints(eval, rule));
			eval->matching[i] = false;
		}
	}
	if (any && !rule->line_scope)
		would = UncappedPoints(eval, rule);
	return would;
}

static void
ExplainUnmatched(Evaluation *eval, const Rule *rule, int line, bool valid)
{
	Explanation *explanation = Explain(eval, rule, line, valid ? VERDICT_UNMATCHED : VERDICT_NOT_VALID);
	TimestampTz sold_at = eval->sale->sold_at;
	bool		guest = eval->sale->member == NULL;
	int			seen = LineToExplain(eval, line);
	StringInfoData clause;
	StringInfoData saw;

	if (explanation == NULL)
		return;
	initStringInfo(&clause);
	initStringInfo(&saw);
	if (valid && guest)
	{
		appendStringInfoString(&clause, "member.id is not null");
		appendStringInfoString(&saw, "no member");
	}
	else if (valid && seen < 0)
	{
		appendStringInfo(&clause, "%s.quantity > 0", line < 0 ? "sale" : "line");
		appendStringInfoString(&saw, "0");
	}
	else if (valid)
		ExplainCondition(rule->condition, FactsOf(eval, seen), &clause, &saw);
	else
	{
		appendStringInfo(&clause, "sale.sold_at %s '%s'", sold_at < rule->valid_from ? ">=" : "<=",
						 timestamptz_to_str(sold_at < rule->valid_from ? rule->valid_from : rule->valid_to));
		appendStringInfo(&saw, "'%s'", timestamptz_to_str(sold_at));
	}
	explanation->clause = clause.data;
	explanation->saw = saw.data;
	explanation->would = WouldGive(eval, rule, line, valid || guest);
}

/* To be explained, a rule is judged by its condition alone, whatever the index says. */
static bool
LineMatches(Evaluation *eval, const Rule *rule, int line)
{
	int			number = rule - eval->set->rules;
	const uint64 *matches = eval->matches + (Size) line * eval->nwords;

	if (eval->explain != NULL)
		return IsBought(&eval->sale->lines[line]) && (!rule->uses_line || Holds(eval, rule, line));
	if ((matches[number / 64] >> (number % 64) & 1) == 0)
		return false;
	return !rule->undecided || !rule->uses_line || Holds(eval, rule, line);
}

static void
EvaluateRule(Evaluation *eval, const Rule *rule)
{
	const Sale *sale = eval->sale;
	int64		left;
	bool		valid = sale->sold_at >= rule->valid_from && sale->sold_at <= rule->valid_to;
	int			nmatching = 0;

	if (!valid || sale->member == NULL)
	{
		ExplainUnmatched(eval, rule, -1, valid);
		return;
	}
	if (!rule->uses_line && (rule->undecided || eval->explain != NULL) && !Holds(eval, rule, -1))
	{
		ExplainUnmatched(eval, rule, -1, true);
		return;
	}

	left = RuleAllowance(eval->use, rule, sale, &eval->cap);
	if (rule->line_scope)
	{
		memset(eval->matching, 0, sizeof(bool) * sale->nlines);
		eval->all_matching = false;
		for (int i = 0; i < sale->nlines; i++)
		{
			eval->matching[i] = LineMatches(eval, rule, i);
			if (eval->matching[i])
				ApplyRule(eval, rule, i, &left);
			else
				ExplainUnmatched(eval, rule, i, true);
			eval->matching[i] = false;
		}
		return;
	}
	for (int i = 0; i < sale->nlines; i++)
		nmatching += eval->matching[i] = LineMatches(eval, rule, i);
	eval->all_matching = nmatching == sale->nlines;
	if (nmatching > 0)
		ApplyRule(eval, rule, -1, &left);
	else
		ExplainUnmatched(eval, rule, -1, true);
}

static Unit *
MakeUnits(const RuleSet *set, int n)
{
	Unit	   *units = palloc0(sizeof(Unit) * n);
	const Rule **groups = palloc0(sizeof(Rule *) * n * set->ngroups);

	for (int i = 0; i < n; i++)
		units[i].groups = groups + i * set->ngroups;
	return units;
}

/* The rules that some line may match, in order. */
static void
EvaluateMatching(Evaluation *eval)
{
	int			nwords = eval->nwords;
	int			nlines = eval->sale->nlines;
	uint64	   *sale_matches = palloc(sizeof(uint64) * nwords);

	eval->matches = palloc_extended(sizeof(uint64) * nwords * nlines, MCXT_ALLOC_HUGE);
	MatchSaleFacts(eval->set->index, &eval->facts, sale_matches);
	for (int i = 0; i < nlines; i++)
	{
		uint64	   *matches = eval->matches + (Size) i * nwords;

		/* what earns nothing, as nothing of it can come back */
		if (!IsBought(&eval->sale->lines[i]))
		{
			memset(matches, 0, sizeof(uint64) * nwords);
			continue;
		}
		memcpy(matches, sale_matches, sizeof(uint64) * nwords);
		MatchLineFacts(eval->set->index, FactsOf(eval, i), matches);
	}
	for (int w = 0; w < nwords; w++)
	{
		uint64		word = 0;

		for (int i = 0; i < nlines; i++)
			word |= eval->matches[(Size) i * nwords + w];
		for (; word != 0; word &= word - 1)
			EvaluateRule(eval, &eval->set->rules[w * 64 + pg_rightmost_one_pos64(word)]);
	}
	pfree(sale_matches);
	pfree(eval->matches);
}

static TypeState *
MakeTypeStates(const RuleSet *set, int n)
{
	TypeState  *states = palloc0(sizeof(TypeState) * set->ntypes);

	for (int i = 0; i < set->ntypes; i++)
	{
		if (set->uses_type[i].multiplied)
			states[i].earned = palloc0(sizeof(int128) * n);
		for (int stage = 0; stage < 2; stage++)
		{
			if (set->uses_type[i].displaces[stage])
				states[i].units[stage] = MakeUnits(set, n + 1);
		}
	}
	return states;
}

static List *
Evaluate(const RuleSet *set, const Sale *sale, RuleUse *use, bool spread, List **explain)
{
	Evaluation	eval;
	int			n = sale->nlines;

	/* a guest earns nothing */
	if (sale->member == NULL && explain == NULL)
		return NIL;

	eval.set = set;
	eval.sale = sale;
	eval.use = use;
	eval.spread = spread;
	eval.explain = explain;
	eval.awards = NIL;
	eval.ngrants = 0;
	eval.nwords = ConditionIndexWords(set->index);
	eval.matching = palloc(sizeof(bool) * n);
	eval.weights = palloc(sizeof(int64) * n);
	eval.shares = palloc(sizeof(int64) * n);
	eval.lots = palloc0(sizeof(Award *) * set->nlots);
	eval.types = MakeTypeStates(set, n);
	eval.all_paid = eval.all_units = 0;
	for (int i = 0; i < n; i++)
	{
		eval.all_paid = AddMinor(eval.all_paid, LineEarning(&sale->lines[i]));
		eval.all_units = AddMinor(eval.all_units, QuantityUnits(&sale->lines[i]));
	}
	memset(&eval.facts, 0, sizeof(eval.facts));
	eval.facts_line = -1;
	FillSaleFacts(&eval.facts, sale, set->uses);

	if (explain == NULL)
		EvaluateMatching(&eval);
	else
	{
		for (int r = 0; r < set->nrules; r++)
			EvaluateRule(&eval, &set->rules[r]);
	}
	return eval.awards;
}

List *
EvaluateSale(const RuleSet *set, const Sale *sale, RuleUse *use, List **explain)
{
	return Evaluate(set, sale, use, true, explain);
}

List *
EvaluateTotals(const RuleSet *set, const Sale *sale, RuleUse *use)
{
	return Evaluate(set, sale, use, false, NULL);
}
