/*
 * decimal.c: exact decimals in int64 units, conversion and rounding.
 *
 * A numeric that is not read at once is read through its text, which has no
 * exponent and no limit on digits: what does not fit is seen, never lost.  Products and quotients go
 * through int128, where the product of any two int64 fits.
 */
#include "crm_member.h"
#include "money/money.h"
#include "money/units.h"

#include "common/int.h"
#include "utils/builtins.h"

static const int64 power_of_ten[] = {
	INT64CONST(1),
	INT64CONST(10),
	INT64CONST(100),
	INT64CONST(1000),
	INT64CONST(10000),
	INT64CONST(100000),
	INT64CONST(1000000),
	INT64CONST(10000000),
	INT64CONST(100000000),
	INT64CONST(1000000000),
	INT64CONST(10000000000)
};

StaticAssertDecl(lengthof(power_of_ten) == DECIMAL_MAX_SCALE + 1,
				 "a power of ten for every scale");

static const char *const rounding_names[] = {
	[ROUNDING_HALF_UP] = "half_up",
	[ROUNDING_HALF_DOWN] = "half_down",
	[ROUNDING_HALF_EVEN] = "half_even",
	[ROUNDING_FLOOR] = "floor",
	[ROUNDING_CEIL] = "ceil",
};

Rounding
ParseRounding(const char *name)
{
	for (int i = 0; i < lengthof(rounding_names); i++)
	{
		if (strcmp(name, rounding_names[i]) == 0)
			return (Rounding) i;
	}
	ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					errmsg("rounding \"%s\" is unknown", name),
					errhint("Use half_up, half_down, half_even, floor or ceil.")));
}

static void pg_attribute_noreturn()
OutOfRange(const char *what, const char *text)
{
	/* a numeric can have 100,000 digits */
	ereport(ERROR, (errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
					errmsg("%s is out of range", what),
					errdetail("The value is %.40s%s.", text, strlen(text) > 40 ? "..." : ""),
					errhint("It must be finite and, written without its decimal point, "
							"below 2^63.")));
}

static void pg_attribute_noreturn()
Overflow(void)
{
	ereport(ERROR, (errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
					errmsg("amount is out of range"),
					errdetail("The result does not fit in 64 bits of its smallest unit.")));
}

void
CheckScale(int scale)
{
	if (scale < 0 || scale > DECIMAL_MAX_SCALE)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("scale %d is out of range", scale),
						errdetail("An amount has 0 to %d decimals.", DECIMAL_MAX_SCALE)));
}

/* magnitude + 1 where rounding to an integer says so; rest is compared with one half. */
static bool
RoundsAway(Rounding rounding, bool negative, bool odd, bool has_rest, int rest_vs_half)
{
	switch (rounding)
	{
		case ROUNDING_HALF_UP:
			return rest_vs_half >= 0;
		case ROUNDING_HALF_DOWN:
			return rest_vs_half > 0;
		case ROUNDING_HALF_EVEN:
			return rest_vs_half > 0 || (rest_vs_half == 0 && odd);
		case ROUNDING_FLOOR:
			return negative && has_rest;
		case ROUNDING_CEIL:
			return !negative && has_rest;
	}
	pg_unreachable();
}

/* Decimals of the text without trailing zeros. */
static int
CountDecimals(const char *text)
{
	const char *point = strchr(text, '.');
	int			decimals = point ? strlen(point + 1) : 0;

	while (decimals > 0 && point[decimals] == '0')
		decimals--;
	return decimals;
}

/* The text of a numeric in units of 10^-scale; what is below a unit is rounded. */
static int64
TextToUnits(const char *text, int scale, Rounding rounding, const char *what)
{
	const char *s = text;
	bool		negative = *s == '-';
	int64		units = 0;
	int			decimals = -1;	/* read so far; -1 before the point */
	bool		has_rest = false;
	int			rest_vs_half;

	if (negative)
		s++;
	if (*s < '0' || *s > '9')	/* NaN, Infinity */
		OutOfRange(what, text);

	/* Accumulate below zero, where there is one value more. */
	for (; *s != '\0' && decimals < scale; s++)
	{
		if (*s == '.')
		{
			decimals = 0;
			if (scale == 0)
			{
				s++;
				break;
			}
			continue;
		}
		if (pg_mul_s64_overflow(units, 10, &units) ||
			pg_sub_s64_overflow(units, *s - '0', &units))
			OutOfRange(what, text);
		if (decimals >= 0)
			decimals++;
	}
	for (int d = Max(decimals, 0); d < scale; d++)
	{
		if (pg_mul_s64_overflow(units, 10, &units))
			OutOfRange(what, text);
	}

	rest_vs_half = *s < '5' ? -1 : *s > '5' ? 1 : 0;
	for (const char *digit = s; *digit != '\0'; digit++)
	{
		if (*digit == '0')
			continue;
		has_rest = true;
		if (rest_vs_half == 0 && digit > s)
			rest_vs_half = 1;
	}
	if (RoundsAway(rounding, negative, units % 2 != 0, has_rest, rest_vs_half) &&
		pg_sub_s64_overflow(units, 1, &units))
		OutOfRange(what, text);

	if (!negative && pg_sub_s64_overflow(0, units, &units))
		OutOfRange(what, text);
	return units;
}

static char *
NumericText(Numeric value)
{
	return DatumGetCString(DirectFunctionCall1(numeric_out, NumericGetDatum(value)));
}

int64
StoredMinor(Datum value, int scale, const char *what)
{
	char	   *text;
	int64		units;

	if (NumericUnits(value, scale, &units) == UNITS_EXACT)
		return units;
	text = NumericText(DatumGetNumeric(value));
	units = TextToUnits(text, scale, ROUNDING_HALF_UP, what);
	if (CountDecimals(text) > scale)
		ereport(ERROR, (errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
						errmsg("%s has too many decimals", what),
						errdetail("The value is %.40s%s; at most %d decimals are allowed.", text,
								  strlen(text) > 40 ? "..." : "", scale),
						errhint("Round it first.")));
	pfree(text);
	return units;
}

int64
ExactMinor(Numeric value, int scale, const char *what)
{
	return StoredMinor(NumericGetDatum(value), scale, what);
}

int64
RoundedMinor(Numeric value, int scale, Rounding rounding, const char *what)
{
	char	   *text = NumericText(value);
	int64		units = TextToUnits(text, scale, rounding, what);

	pfree(text);
	return units;
}

Numeric
MinorToNumeric(int64 units, int scale)
{
	Numeric		quick = (Numeric) UnitsNumeric(units, scale);

	if (likely(quick != NULL))
		return quick;
	return scale == 0 ? int64_to_numeric(units) : int64_div_fast_to_numeric(units, scale);
}

bool
QuickDecimal(Datum value, Decimal *decimal)
{
	decimal->scale = 2;
	if (NumericUnits(value, decimal->scale, &decimal->units) != UNITS_EXACT)
		return false;
	while (decimal->scale > 0 && decimal->units % 10 == 0)
	{
		decimal->units /= 10;
		decimal->scale--;
	}
	return true;
}

Decimal
NumericToDecimal(Numeric value, const char *what)
{
	char	   *text;
	Decimal		result;

	if (QuickDecimal(NumericGetDatum(value), &result))
		return result;
	text = NumericText(value);
	result.scale = CountDecimals(text);
	if (result.scale > DECIMAL_MAX_SCALE)
		ereport(ERROR, (errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
						errmsg("%s has too many decimals", what),
						errdetail("The value is %.40s%s; at most %d decimals are allowed.", text,
								  strlen(text) > 40 ? "..." : "", DECIMAL_MAX_SCALE),
						errhint("Round it first.")));
	result.units = TextToUnits(text, result.scale, ROUNDING_HALF_UP, what);
	pfree(text);
	return result;
}

Numeric
DecimalToNumeric(Decimal value)
{
	return MinorToNumeric(value.units, value.scale);
}

int
CompareDecimal(Decimal a, Decimal b)
{
	if (likely(a.scale == b.scale))
		return (a.units > b.units) - (a.units < b.units);
	else
	{
		int128		x = a.units;
		int128		y = b.units;

		if (a.scale < b.scale)
			x *= power_of_ten[b.scale - a.scale];
		else
			y *= power_of_ten[a.scale - b.scale];
		return (x > y) - (x < y);
	}
}

Decimal
SubtractDecimal(Decimal a, Decimal b)
{
	Decimal		result = {0, Max(a.scale, b.scale)};
	int64		x;
	int64		y;

	if (pg_mul_s64_overflow(a.units, power_of_ten[result.scale - a.scale], &x) ||
		pg_mul_s64_overflow(b.units, power_of_ten[result.scale - b.scale], &y) ||
		pg_sub_s64_overflow(x, y, &result.units))
		ereport(ERROR, (errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
						errmsg("amount is out of range"),
						errdetail("The result does not fit in 64 bits of its smallest unit.")));
	return result;
}

bool
TextToDecimal(const char *text, int length, Decimal *value)
{
	const char *s = text;
	const char *end = text + length;
	bool		negative = s < end && *s == '-';
	int64		units = 0;
	int			scale = 0;
	bool		in_fraction = false;

	if (s < end && (*s == '-' || *s == '+'))
		s++;
	if (s == end || end[-1] == '.' || *s == '.')
		return false;
	if (memchr(s, '.', end - s))
	{
		while (end[-1] == '0')
			end--;
	}
	for (; s < end; s++)
	{
		if (*s == '.' && !in_fraction)
		{
			in_fraction = true;
			continue;
		}
		if (*s < '0' || *s > '9' || (in_fraction && ++scale > DECIMAL_MAX_SCALE) ||
			pg_mul_s64_overflow(units, 10, &units) ||
			pg_sub_s64_overflow(units, *s - '0', &units))
			return false;
	}
	if (!negative && pg_sub_s64_overflow(0, units, &units))
		return false;
	value->units = units;
	value->scale = scale;
	return true;
}

void
DecimalToText(Decimal value, char *buffer)
{
	uint64		magnitude = value.units < 0 ? -(uint64) value.units : (uint64) value.units;
	const char *sign = value.units < 0 ? "-" : "";

	if (value.scale == 0)
		snprintf(buffer, DECIMAL_TEXT_SIZE, "%s" UINT64_FORMAT, sign, magnitude);
	else
		snprintf(buffer, DECIMAL_TEXT_SIZE, "%s" UINT64_FORMAT ".%0*llu", sign,
				 magnitude / power_of_ten[value.scale], value.scale,
				 (unsigned long long) (magnitude % power_of_ten[value.scale]));
}

int64
AddMinor(int64 a, int64 b)
{
	int64		result;

	if (pg_add_s64_overflow(a, b, &result))
		Overflow();
	return result;
}

int64
SubtractMinor(int64 a, int64 b)
{
	int64		result;

	if (pg_sub_s64_overflow(a, b, &result))
		Overflow();
	return result;
}

int64
DivideRounded(int128 numerator, int128 denominator, Rounding rounding)
{
	bool		negative = numerator < 0;
	int128		quotient;
	int128		rest;
	int128		gap;

	if (denominator <= 0)
		ereport(ERROR, (errcode(ERRCODE_DIVISION_BY_ZERO),
						errmsg("division by a number that is not positive")));

	/* most of them: 64 bits, nothing negative */
	if (numerator >= 0 && numerator <= PG_INT64_MAX && denominator <= PG_INT64_MAX)
	{
		int64		small = (int64) numerator / (int64) denominator;
		int64		small_rest = (int64) numerator % (int64) denominator;
		int64		small_gap = (int64) denominator - small_rest;

		if (small_rest != 0 &&
			RoundsAway(rounding, false, small % 2 != 0, true,
					   (small_rest > small_gap) - (small_rest < small_gap)))
			small++;
		return small;
	}

	/* C truncates towards zero */
	quotient = numerator / denominator;
	rest = numerator % denominator;
	if (negative)
		rest = -rest;
	gap = denominator - rest;
	if (RoundsAway(rounding, negative, quotient % 2 != 0, rest != 0, (rest > gap) - (rest < gap)))
		quotient += negative ? -1 : 1;

	if (quotient > PG_INT64_MAX || quotient < PG_INT64_MIN)
		Overflow();
	return (int64) quotient;
}

int64
MulDivMinor(int64 units, int64 numerator, int64 denominator, Rounding rounding)
{
	return DivideRounded((int128) units * numerator, denominator, rounding);
}

int64
MultiplyDecimal(Decimal a, Decimal b, int scale, Rounding rounding)
{
	int128		product = (int128) a.units * b.units;
	int			drop = a.scale + b.scale - scale;

	if (drop <= 0)
	{
		if (product > PG_INT64_MAX || product < PG_INT64_MIN)
			Overflow();
		return DivideRounded(product * power_of_ten[-drop], 1, rounding);
	}
	return DivideRounded(product,
						 (int128) power_of_ten[drop / 2] * power_of_ten[drop - drop / 2],
						 rounding);
}

PG_FUNCTION_INFO_V1(crm_round_decimal);
Datum
crm_round_decimal(PG_FUNCTION_ARGS)
{
	Numeric		value = PG_GETARG_NUMERIC(0);
	int			scale = PG_GETARG_INT32(1);
	Rounding	rounding = ParseRounding(text_to_cstring(PG_GETARG_TEXT_PP(2)));

	CheckScale(scale);
	PG_RETURN_NUMERIC(MinorToNumeric(RoundedMinor(value, scale, rounding, "value"), scale));
}
