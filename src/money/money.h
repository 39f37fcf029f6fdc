/*
 * money.h: exact decimals as int64 minor units, rounding, allocation.
 *
 * An amount of money is a number of minor units (cents, where the scale is 2).
 * Quantities, unit prices and rates are Decimals: units and a scale of their
 * own.  Every operation checks for overflow and raises 22003; nothing here
 * knows of members, sales or settings.
 */
#ifndef CRM_MONEY_H
#define CRM_MONEY_H

#include "postgres.h"
#include "utils/numeric.h"

#define DECIMAL_MAX_SCALE 10

typedef struct Decimal
{
	int64		units;			/* value = units / 10^scale */
	int			scale;			/* 0 .. DECIMAL_MAX_SCALE */
} Decimal;

typedef enum Rounding
{
	ROUNDING_HALF_UP,			/* ties away from zero */
	ROUNDING_HALF_DOWN,			/* ties towards zero */
	ROUNDING_HALF_EVEN,
	ROUNDING_FLOOR,				/* towards minus infinity */
	ROUNDING_CEIL				/* towards plus infinity */
} Rounding;

typedef enum Allocation
{
	ALLOCATION_LARGEST_REMAINDER,	/* ties to the earlier share */
	ALLOCATION_FIRST_LINES,		/* odd units one by one to the first shares */
	ALLOCATION_LAST_LINE,		/* all that is left over to the last share */
	ALLOCATION_RUNNING_DELTA	/* each share is the difference of rounded running totals */
} Allocation;

/* Names as SQL knows them: 'half_up' ..., 'largest_remainder' ...; error 22023 with the list. */
extern Rounding ParseRounding(const char *name);
extern Allocation ParseAllocation(const char *name);

/* Error 22023 unless it is 0 .. DECIMAL_MAX_SCALE. */
extern void CheckScale(int scale);

/*
 * Numeric to minor units.  "what" names the value in errors.  NaN, infinity and
 * out of range are 22003; a value with more decimals than scale is refused
 * by ExactMinor (22003 too) and rounded by RoundedMinor.
 */
extern int64 ExactMinor(Numeric value, int scale, const char *what);
/* The same of a numeric as it lies in a row, which need not be unpacked. */
extern int64 StoredMinor(Datum value, int scale, const char *what);
extern int64 RoundedMinor(Numeric value, int scale, Rounding rounding, const char *what);
extern Numeric MinorToNumeric(int64 units, int scale);

/* Keeps every decimal up to DECIMAL_MAX_SCALE (trailing zeros dropped); more is 22003. */
extern Decimal NumericToDecimal(Numeric value, const char *what);
/* The same for most numbers; false: for this one, ask the former. */
extern bool QuickDecimal(Datum value, Decimal *decimal);
extern Numeric DecimalToNumeric(Decimal value);
extern int	CompareDecimal(Decimal a, Decimal b);
extern Decimal SubtractDecimal(Decimal a, Decimal b);

/*
 * [+-]digits[.digits] and back.  TextToDecimal drops trailing zeros and is false
 * for any other text and for what does not fit.
 */
#define DECIMAL_TEXT_SIZE 24
extern bool TextToDecimal(const char *text, int length, Decimal *value);
extern void DecimalToText(Decimal value, char *buffer);

extern int64 AddMinor(int64 a, int64 b);
extern int64 SubtractMinor(int64 a, int64 b);

/* numerator / denominator rounded; the denominator is positive */
extern int64 DivideRounded(int128 numerator, int128 denominator, Rounding rounding);
/* units * numerator / denominator in one rounding */
extern int64 MulDivMinor(int64 units, int64 numerator, int64 denominator, Rounding rounding);
/* a * b rounded to scale */
extern int64 MultiplyDecimal(Decimal a, Decimal b, int scale, Rounding rounding);

/*
 * Share amount (of either sign) over n weights >= 0 into shares, which sum to
 * amount exactly.  A zero weight gets zero.  Where all weights are zero or n is
 * 0, only amount 0 can be shared: otherwise error 22023.
 */
extern void Allocate(int64 amount, const int64 *weights, int n, Allocation allocation,
					 int64 *shares);

#endif
