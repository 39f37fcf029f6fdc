/*
 * units.c: stored numerics to integers of a decimal scale and back, fast.
 *
 * A purchase's amount is read from the numeric as it lies in the table, since
 * arithmetic on numerics would cost several times what the rest of the scan
 * does; likewise the many small numbers of a ledger entry are written as they will
 * lie there.  The format is fixed by what is on disk:
 *
 *	short	1 0 sign dscale(6) weight(7, two's complement)	then digits
 *	long	0 sign dscale(14), weight(16)					then digits
 *	special 1 1 ...
 *
 * with digits of base 10000, the first worth 10000^weight, neither first nor last 0.
 */
#include "crm_member.h"
#include "money/units.h"

#include "fmgr.h"

#define FORM_MASK	   0xC000
#define FORM_SHORT	   0x8000
#define FORM_SPECIAL   0xC000
#define LONG_NEGATIVE  0x4000
#define SHORT_NEGATIVE 0x2000

#define BASE		   10000
#define BASE_DECIMALS  4
#define FEW_DIGITS	   4
#define SHORT_SCALES   63
#define UNITS_DIGITS   6			/* an int64 has no more, wherever the point is */
#define MAX_DIGITS	   9			/* so that 128 bits hold them */
#define MAX_POWER	   36

static const int64 powers[] = {1, 10, 100, 1000, 10000};

UnitsResult
NumericUnits(Datum value, int scale, int64 *units)
{
	struct varlena *stored = (struct varlena *) DatumGetPointer(value);
	const char *data;
	int			ndigits;
	int			weight;
	int			power;
	uint16		header;
	bool		negative;
	int128		result = 0;
	int128		factor = 1;

	if (VARATT_IS_EXTENDED(stored) && !VARATT_IS_SHORT(stored))
		stored = PG_DETOAST_DATUM(value);
	data = VARDATA_ANY(stored);
	memcpy(&header, data, sizeof(header));
	data += sizeof(header);
	ndigits = (VARSIZE_ANY_EXHDR(stored) - sizeof(header)) / sizeof(int16);

	if ((header & FORM_MASK) == FORM_SPECIAL)
		return UNITS_OVERFLOW;
	if ((header & FORM_MASK) == FORM_SHORT)
	{
		weight = header & 0x3F;
		if (header & 0x40)
			weight -= 0x40;
		negative = (header & SHORT_NEGATIVE) != 0;
	}
	else
	{
		int16		stored_weight;

		memcpy(&stored_weight, data, sizeof(stored_weight));
		data += sizeof(stored_weight);
		ndigits--;
		weight = stored_weight;
		negative = (header & LONG_NEGATIVE) != 0;
	}

	power = (weight + 1 - ndigits) * BASE_DECIMALS + scale;
	if (ndigits == 0)
	{
		*units = 0;
		return UNITS_EXACT;
	}

	/* amounts of everyday life need no more than 64 bits */
	if (ndigits <= FEW_DIGITS && power <= 0 && power >= -BASE_DECIMALS)
	{
		int64		digits = 0;

		for (int i = 0; i < ndigits; i++)
		{
			int16		digit;

			memcpy(&digit, data + i * sizeof(digit), sizeof(digit));
			digits = digits * BASE + digit;
		}
		if (digits % powers[-power] == 0)
		{
			*units = digits / powers[-power];
			if (negative)
				*units = -*units;
			return UNITS_EXACT;
		}
	}

	if (ndigits > MAX_DIGITS)
		return UNITS_OVERFLOW;
	for (int i = 0; i < ndigits; i++)
	{
		int16		digit;

		memcpy(&digit, data + i * sizeof(digit), sizeof(digit));
		result = result * BASE + digit;
	}
	if (negative)
		result = -result;

	/* result * 10^power; nothing is left of nine digits below the least power */
	power = Max(power, -MAX_POWER);
	for (int i = 0; i < abs(power) && i < MAX_POWER; i++)
		factor *= 10;
	if (power >= 0)
	{
		if (power > MAX_POWER || result > PG_INT64_MAX / factor || result < PG_INT64_MIN / factor)
			return UNITS_OVERFLOW;
		*units = (int64) (result * factor);
		return UNITS_EXACT;
	}
	else
	{
		int128		quotient = result / factor;
		bool		cut = result % factor != 0;

		if (cut && negative)
			quotient--;
		if (quotient > PG_INT64_MAX || quotient < PG_INT64_MIN)
			return UNITS_OVERFLOW;
		*units = (int64) quotient;
		return cut ? UNITS_CUT : UNITS_EXACT;
	}
}

struct varlena *
UnitsNumeric(int64 units, int scale)
{
	int			pad = (BASE_DECIMALS - scale % BASE_DECIMALS) % BASE_DECIMALS;
	int			weight = -(scale + pad) / BASE_DECIMALS - 1;
	int16		digits[UNITS_DIGITS];
	int			ndigits = 0;
	uint16		header = FORM_SHORT;
	uint64		rest = units;
	struct varlena *result;
	char	   *data;
	Size		size;

	if (scale < 0 || scale > SHORT_SCALES)
		return NULL;
	if (units < 0)
	{
		header |= SHORT_NEGATIVE;
		rest = -rest;
	}
	if (rest > PG_UINT64_MAX / 1000)
		return NULL;
	rest *= powers[pad];
	/* from the last digit to the first */
	for (; rest != 0; rest /= BASE)
	{
		int16		digit = rest % BASE;

		weight++;
		if (ndigits > 0 || digit != 0)
			digits[ndigits++] = digit;
	}
	if (ndigits == 0)
		weight = 0;
	header |= scale << 7 | (weight & 0x7F);

	size = VARHDRSZ + sizeof(header) + ndigits * sizeof(int16);
	result = palloc(size);
	SET_VARSIZE(result, size);
	data = VARDATA(result);
	memcpy(data, &header, sizeof(header));
	for (data += sizeof(header); ndigits > 0; data += sizeof(int16))
		memcpy(data, &digits[--ndigits], sizeof(int16));
	return result;
}
