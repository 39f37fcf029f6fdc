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
#include "points/points.h"
#include "setting.h"

#include "miscadmin.h"

/* Decimals a chain of multipliers may have; beyond it the product is refused. */
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
	const PointsType *type;
	int128	   *earned;			/* exact points of each line, in 10^-scale minor units */
	int			scale;
	int64		rounded;		/* their sum, rounded as the last rule says */
	Unit	   *units[2];		/* by stage: [0] the sale, [1 + i] line i */
} TypeState;

typedef struct Evaluation
{
	const RuleSet *set;
	const Sale *sale;
	Facts	   *facts;			/* one a line, with the facts of member and sale in each */
	TypeState  *types;
	bool	   *matching;		/* lines the current rule works on */
	int64	   *weights;
	int64	   *shares;
	List	   *awards;
	List	  **explain;
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

/*
 * points * base / per, in minor units of the type; base is an amount or a
 * quantity in units of 10^-base_scale.
 */
static int64
Proportional(const Rule *rule, int64 base, int base_scale)
{
	int128		numerator = Multiply128(base, PowerOf10(rule->per.scale));
	int128		denominator = Multiply128(rule->per.units, PowerOf10(base_scale));
	int128		factor = Multiply128(rule->points.units, PowerOf10(rule->type->decimals));

	if (rule->whole_multiples)
	{
		numerator /= denominator;
		denominator = 1;
	}
	return DivideRounded(Multiply128(numerator, factor),
						 Multiply128(denominator, PowerOf10(rule->points.scale)), rule->rounding);
}

/* What a base rule gives for the matching lines together, before its cap. */
static int64
BasePoints(const Evaluation *eval, const Rule *rule)
{
	const Sale *sale = eval->sale;
	int64		base = 0;

	if (rule->award == AWARD_FIXED)
		return DivideRounded(Multiply128(rule->points.units, PowerOf10(rule->type->decimals)),
							 PowerOf10(rule->points.scale), rule->rounding);
	for (int i = 0; i < sale->nlines; i++)
	{
		const SaleLine *line = &sale->lines[i];

		if (!eval->matching[i])
			continue;
		if (rule->award == AWARD_PER_AMOUNT)
			base = AddMinor(base, LinePayable(line));
		else
			base = AddMinor(base, line->quantity.units *
							(int64) PowerOf10(QUANTITY_SCALE - line->quantity.scale));
	}
	return Proportional(rule, base,
						rule->award == AWARD_PER_AMOUNT ? GetSetting()->money_scale : QUANTITY_SCALE);
}

/*
 * What a multiplier adds for the matching lines, before its cap; with apply,
 * the lines' exact points become the product.
 */
static int64
MultiplierPoints(Evaluation *eval, TypeState *state, const Rule *rule, bool apply)
{
	int			scale = state->scale + rule->points.scale;
	int128		shift = PowerOf10(rule->points.scale);
	int128		sum = 0;
	int64		before = state->rounded;
	int64		after;

	if (scale > MAX_PRODUCT_SCALE)
		ereport(ERROR, (errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
						errmsg("too many multipliers with decimals for one sale"),
						errdetail("Together their factors have %d decimals; %d are possible.",
								  scale, MAX_PRODUCT_SCALE)));
	for (int i = 0; i < eval->sale->nlines; i++)
	{
		int128		product = Multiply128(state->earned[i],
										  eval->matching[i] ? rule->points.units : shift);

		if (__builtin_add_overflow(sum, product, &sum))
			ereport(ERROR, (errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
							errmsg("points out of range")));
		if (apply)
			state->earned[i] = product;
	}
	after = DivideRounded(sum, PowerOf10(scale), rule->rounding);
	if (apply)
	{
		state->scale = scale;
		state->rounded = after;
	}
	return after - before;
}

static Award *
FindAward(Evaluation *eval, const Rule *rule)
{
	TimestampTz available = eval->sale->sold_at;
	TimestampTz expires;
	ListCell   *cell;
	Award	   *award;

	if (rule->pending != NULL)
		available = AddBusinessInterval(available, rule->pending);
	expires = ExpiresAt(rule->expiry, available);

	foreach(cell, eval->awards)
	{
		award = lfirst(cell);
		if (award->type == rule->type && award->available_at == available &&
			award->expires_at == expires)
			return award;
	}
	award = palloc0(sizeof(Award));
	award->type = rule->type;
	award->available_at = available;
	award->expires_at = expires;
	award->line_points = palloc0(sizeof(int64) * eval->sale->nlines);
	eval->awards = lappend(eval->awards, award);
	return award;
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

	for (int i = 0; i < n; i++)
	{
		int64		weight = 0;

		if (eval->matching[i])
			weight = rule->award == AWARD_MULTIPLIER
				? (int64) (state->earned[i] / PowerOf10(state->scale))
				: LinePayable(&eval->sale->lines[i]);
		eval->weights[i] = weight;
		nothing &= weight == 0;
	}
	for (int i = 0; nothing && i < n; i++)
		eval->weights[i] = eval->matching[i];
	Allocate(points, eval->weights, n, ALLOCATION_LARGEST_REMAINDER, eval->shares);
}

static void
GivePoints(Evaluation *eval, TypeState *state, const Rule *rule, int line, int64 points)
{
	Award	   *award = FindAward(eval, rule);
	Grant	   *grant = palloc(sizeof(Grant));

	SpreadPoints(eval, state, rule, points);
	for (int i = 0; i < eval->sale->nlines; i++)
	{
		award->line_points[i] += eval->shares[i];
		if (rule->award != AWARD_MULTIPLIER)
			state->earned[i] += eval->shares[i];
	}
	award->points = AddMinor(award->points, points);
	if (rule->award != AWARD_MULTIPLIER)
		state->rounded = AddMinor(state->rounded, points);

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
	const Rule *displacer = UnitDisplacer(&units[0], rule);

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

/* A rule meets a unit: line, or with -1 the sale, on the lines in eval->matching. */
static void
ApplyRule(Evaluation *eval, const Rule *rule, int line, int64 *left)
{
	TypeState  *state = &eval->types[rule->type - eval->set->types];
	Unit	   *units = state->units[rule->award == AWARD_MULTIPLIER];
	const Rule *displacer = Displacer(eval, units, rule, line);
	Explanation *explanation;
	int64		points;
	int64		would;

	if (displacer != NULL && eval->explain == NULL)
		return;

	would = rule->award == AWARD_MULTIPLIER
		? MultiplierPoints(eval, state, rule, displacer == NULL)
		: BasePoints(eval, rule);
	points = displacer != NULL ? 0 : Min(would, *left);

	explanation = Explain(eval, rule, line,
						  displacer != NULL ? VERDICT_DISPLACED
						  : points < would ? VERDICT_CAPPED : VERDICT_MATCHED);
	if (explanation != NULL)
	{
		explanation->displaced_by = displacer;
		explanation->points = points;
		explanation->would = would;
	}
	if (displacer != NULL)
		return;

	Occupy(&units[1 + line], rule);
	*left -= points;
	if (points > 0)
		GivePoints(eval, state, rule, line, points);
}

static void
ExplainUnmatched(Evaluation *eval, const Rule *rule, int line)
{
	Explanation *explanation = Explain(eval, rule, line, VERDICT_UNMATCHED);
	StringInfoData clause;
	StringInfoData saw;

	if (explanation == NULL)
		return;
	initStringInfo(&clause);
	initStringInfo(&saw);
	ExplainCondition(rule->condition, &eval->facts[Max(line, 0)], &clause, &saw);
	explanation->clause = clause.data;
	explanation->saw = saw.data;
}

static void
EvaluateRule(Evaluation *eval, const Rule *rule)
{
	const Sale *sale = eval->sale;
	int64		left = rule->max_points;
	bool		any = false;

	if (sale->sold_at < rule->valid_from || sale->sold_at > rule->valid_to)
	{
		Explain(eval, rule, -1, VERDICT_NOT_VALID);
		return;
	}
	if (rule->condition != NULL && !rule->uses_line &&
		EvaluateCondition(rule->condition, &eval->facts[0]) != TRUTH_TRUE)
	{
		ExplainUnmatched(eval, rule, -1);
		return;
	}

	memset(eval->matching, 0, sizeof(bool) * sale->nlines);
	for (int i = 0; i < sale->nlines; i++)
	{
		bool		match = !rule->uses_line ||
			EvaluateCondition(rule->condition, &eval->facts[i]) == TRUTH_TRUE;

		any |= match;
		eval->matching[i] = match;
		if (rule->line_scope)
		{
			if (match)
				ApplyRule(eval, rule, i, &left);
			else
				ExplainUnmatched(eval, rule, i);
			eval->matching[i] = false;
		}
	}
	if (rule->line_scope)
		return;
	if (any)
		ApplyRule(eval, rule, -1, &left);
	else
		ExplainUnmatched(eval, rule, -1);
}

static Unit *
MakeUnits(const RuleSet *set, int n)
{
	Unit	   *units = palloc0(sizeof(Unit) * n);

	for (int i = 0; set->ngroups > 0 && i < n; i++)
		units[i].groups = palloc0(sizeof(Rule *) * set->ngroups);
	return units;
}

List *
EvaluateSale(const RuleSet *set, const Sale *sale, List **explain)
{
	Evaluation	eval = {0};
	int			n = sale->nlines;

	/* a guest earns nothing */
	if (sale->member == NULL)
		return NIL;

	eval.set = set;
	eval.sale = sale;
	eval.explain = explain;
	eval.matching = palloc0(sizeof(bool) * n);
	eval.weights = palloc(sizeof(int64) * n);
	eval.shares = palloc(sizeof(int64) * n);
	eval.facts = palloc0(sizeof(Facts) * n);
	FillSaleFacts(&eval.facts[0], sale, set->uses);
	for (int i = 0; i < n; i++)
	{
		if (i > 0)
			eval.facts[i] = eval.facts[0];
		FillLineFacts(&eval.facts[i], &sale->lines[i]);
	}
	eval.types = palloc0(sizeof(TypeState) * set->ntypes);
	for (int i = 0; i < set->ntypes; i++)
	{
		eval.types[i].type = &set->types[i];
		eval.types[i].earned = palloc0(sizeof(int128) * n);
		for (int stage = 0; stage < 2; stage++)
			eval.types[i].units[stage] = MakeUnits(set, n + 1);
	}

	for (int i = 0; i < set->nrules; i++)
		EvaluateRule(&eval, &set->rules[i]);
	pfree(eval.facts);
	return eval.awards;
}
