/*
 * award.c: how many points a rule gives for what was bought.
 *
 * Points are exact fractions until they are rounded, once.  What depends on the
 * rule alone is reduced when the rule is loaded, so that a sale mostly costs one
 * product and one division of 64 bits.
 */
#include "crm_member.h"
#include "points/points.h"
#include "setting.h"

static void pg_attribute_noreturn()
OutOfRange(void)
{
	ereport(ERROR, (errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
					errmsg("points out of range")));
}

static int128
Multiply128(int128 a, int128 b)
{
	int128		result;

	if (__builtin_mul_overflow(a, b, &result))
		OutOfRange();
	return result;
}

static int128
PowerOf10(int n)
{
	int128		result = 1;

	while (n-- > 0)
		result *= 10;			/* of two scales at most */
	return result;
}

static Rational
Reduce(int128 numerator, int128 denominator)
{
	int128		a = numerator;
	int128		b = denominator;

	while (b != 0)
	{
		int128		rest = a % b;

		a = b;
		b = rest;
	}
	return (Rational) {numerator / a, denominator / a};
}

static Rational
AddRational(Rational a, Rational b)
{
	int128		sum;

	if (__builtin_add_overflow(Multiply128(a.numerator, b.denominator),
							   Multiply128(b.numerator, a.denominator), &sum))
		OutOfRange();
	return Reduce(sum, Multiply128(a.denominator, b.denominator));
}

/* points in minor units of their type, for each per */
static Rate
MakeRate(const PointsType *type, Decimal points, Decimal per)
{
	Rate		rate;

	rate.each = Reduce(Multiply128(points.units, PowerOf10(type->decimals)),
					   PowerOf10(points.scale));
	rate.per = per;
	rate.for_one = per.units == 0 ? rate.each
		: Reduce(Multiply128(rate.each.numerator, PowerOf10(per.scale)),
				 Multiply128(rate.each.denominator, per.units));
	return rate;
}

/* What a rule awards by, once it is read. */
void
PrepareAward(Rule *rule)
{
	rule->rate = MakeRate(rule->type, rule->points,
						  rule->award == AWARD_FIXED ? (Decimal) {0, 0} : rule->per);
	for (int i = 0; i < rule->brackets.nsteps; i++)
	{
		Step	   *step = &rule->brackets.steps[i];

		step->rate = MakeRate(rule->type, step->points, step->per);
	}
}

static Rational
Proportional(const Rule *rule, const Rate *rate, Decimal base)
{
	if (rate->per.units == 0)
		return rate->each;
	if (rule->whole_multiples)
	{
		int128		times = Multiply128(base.units, PowerOf10(rate->per.scale)) /
			Multiply128(rate->per.units, PowerOf10(base.scale));

		return (Rational) {Multiply128(times, rate->each.numerator), rate->each.denominator};
	}
	return (Rational) {Multiply128(base.units, rate->for_one.numerator),
					   Multiply128(PowerOf10(base.scale), rate->for_one.denominator)};
}

static Rational
BracketPoints(const Rule *rule, Decimal base)
{
	const Brackets *brackets = &rule->brackets;
	Rational	result = {0, 1};
	int			reached = 0;

	while (reached < brackets->nsteps && CompareDecimal(brackets->steps[reached].from, base) <= 0)
		reached++;
	if (reached == 0)
		return result;
	if (!brackets->marginal)
		return Proportional(rule, &brackets->steps[reached - 1].rate, base);

	for (int i = 0; i < reached; i++)
	{
		Decimal		upto = i + 1 < reached ? brackets->steps[i + 1].from : base;

		result = AddRational(result, Proportional(rule, &brackets->steps[i].rate,
												  SubtractDecimal(upto, brackets->steps[i].from)));
	}
	return result;
}

int64
BasePoints(const Rule *rule, Decimal paid, Decimal units)
{
	Rational	points = {0, 1};

	switch (rule->award)
	{
		case AWARD_FIXED:
			points = rule->rate.each;
			break;
		case AWARD_PER_AMOUNT:
			points = Proportional(rule, &rule->rate, paid);
			break;
		case AWARD_PER_UNIT:
			points = Proportional(rule, &rule->rate, units);
			break;
		case AWARD_BRACKETS:
			points = BracketPoints(rule, paid);
			break;
		case AWARD_MULTIPLIER:
			break;
	}
	return DivideRounded(points.numerator, points.denominator, rule->rounding);
}
