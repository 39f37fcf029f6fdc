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

#include "port/pg_bitutils.h"

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
	RuleUse    *use;
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

/* An exact number of minor units of points. */
typedef struct Rational
{
	int128		numerator;
	int128		denominator;	/* positive */
} Rational;

static int128
GreatestDivisor(int128 a, int128 b)
{
	while (b != 0)
	{
		int128		rest = a % b;

		a = b;
		b = rest;
	}
	return a;
}

static Rational
Reduce(int128 numerator, int128 denominator)
{
	int128		divisor = GreatestDivisor(numerator, denominator);
	Rational	result = {numerator / divisor, denominator / divisor};

	return result;
}

static Rational
AddRational(Rational a, Rational b)
{
	int128		sum;

	if (__builtin_add_overflow(Multiply128(a.numerator, b.denominator),
							   Multiply128(b.numerator, a.denominator), &sum))
		ereport(ERROR, (errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
						errmsg("points out of range")));
	return Reduce(sum, Multiply128(a.denominator, b.denominator));
}

static Rational
ExactPoints(const Rule *rule, Decimal points)
{
	return Reduce(Multiply128(points.units, PowerOf10(rule->type->decimals)),
				  PowerOf10(points.scale));
}

/* points for each per of base, or of its whole multiples alone. */
static Rational
Proportional(const Rule *rule, Decimal points, Decimal per, Decimal base)
{
	Rational	times = Reduce(Multiply128(base.units, PowerOf10(per.scale)),
							   Multiply128(per.units, PowerOf10(base.scale)));
	Rational	each = ExactPoints(rule, points);

	if (rule->whole_multiples)
		times = Reduce(times.numerator / times.denominator, 1);
	return Reduce(Multiply128(times.numerator, each.numerator),
				  Multiply128(times.denominator, each.denominator));
}

static Rational
BracketPoints(const Rule *rule, Decimal base)
{
	const Brackets *brackets = &rule->brackets;
	Rational	result = {0, 1};

	for (int i = 0; i < brackets->nsteps && CompareDecimal(brackets->steps[i].from, base) <= 0; i++)
	{
		const Step *step = &brackets->steps[i];
		Decimal		part = base;
		Rational	points;

		if (brackets->marginal)
		{
			if (i + 1 < brackets->nsteps && CompareDecimal(brackets->steps[i + 1].from, base) < 0)
				part = brackets->steps[i + 1].from;
			part = SubtractDecimal(part, step->from);
		}
		points = step->per.units == 0 ? ExactPoints(rule, step->points)
			: Proportional(rule, step->points, step->per, part);
		result = brackets->marginal ? AddRational(result, points) : points;
	}
	return result;
}

/* What was paid for the matching lines, or how many units they are. */
static Decimal
MatchingBase(const Evaluation *eval, bool units)
{
	const Sale *sale = eval->sale;
	Decimal		base = {0, units ? QUANTITY_SCALE : GetSetting()->money_scale};

	for (int i = 0; i < sale->nlines; i++)
	{
		const SaleLine *line = &sale->lines[i];

		if (eval->matching[i])
			base.units = AddMinor(base.units, units ? QuantityUnits(line) : LineEarning(line));
	}
	return base;
}

/* What a base rule gives for the matching lines together, before its cap. */
static int64
BasePoints(const Evaluation *eval, const Rule *rule)
{
	Rational	points = {0, 1};

	switch (rule->award)
	{
		case AWARD_FIXED:
			points = ExactPoints(rule, rule->points);
			break;
		case AWARD_PER_AMOUNT:
		case AWARD_PER_UNIT:
			points = Proportional(rule, rule->points, rule->per,
								  MatchingBase(eval, rule->award == AWARD_PER_UNIT));
			break;
		case AWARD_BRACKETS:
			points = BracketPoints(rule, MatchingBase(eval, false));
			break;
		case AWARD_MULTIPLIER:
			break;
	}
	return DivideRounded(points.numerator, points.denominator, rule->rounding);
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
		TrimProduct(eval, state);
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
				: LineEarning(&eval->sale->lines[i]);
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
		? MultiplierPoints(eval, state, rule, displacer == NULL && *left > 0)
		: BasePoints(eval, rule);
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
	if (displacer != NULL || *left == 0)
		return;

	Occupy(&units[1 + line], rule);
	if (points == 0)
		return;
	*left -= points;
	NoteRuleUse(eval->use, rule, eval->sale, points);
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
	int64		left;
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

	left = RuleAllowance(eval->use, rule, sale);
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
EvaluateSale(const RuleSet *set, const Sale *sale, RuleUse *use, List **explain)
{
	Evaluation	eval = {0};
	int			n = sale->nlines;
	uint64	   *candidates;

	/* a guest earns nothing */
	if (sale->member == NULL)
		return NIL;

	eval.set = set;
	eval.sale = sale;
	eval.use = use;
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

	if (explain != NULL)
	{
		for (int r = 0; r < set->nrules; r++)
			EvaluateRule(&eval, &set->rules[r]);
	}
	else
	{
		candidates = CandidateRules(set, sale, eval.facts);
		for (int w = 0; w * 64 < set->nrules; w++)
		{
			for (uint64 word = candidates[w]; word != 0; word &= word - 1)
				EvaluateRule(&eval, &set->rules[w * 64 + pg_rightmost_one_pos64(word)]);
		}
		pfree(candidates);
	}
	pfree(eval.facts);
	return eval.awards;
}
