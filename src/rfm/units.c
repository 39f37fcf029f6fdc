/*
 * units.c: stored numerics to integers of a decimal scale, fast.
 *
 * A purchase's amount is read from the numeric as it lies in the table, since
 * arithmetic on numerics would cost several times what the rest of the scan
 * does.  The format is fixed by what is on disk:
 *
 *	short	1 0 sign dscale(6) weight(7, two's complement)	then digits
 *	long	0 sign dscale(14), weight(16)					then digits
 *	special 1 1 ...
 *
 * with digits of base 10000, the first worth 10000^weight.
 */
#include "crm_member.h"
#include "rfm/units.h"

#include "common/int.h"
#include "fmgr.h"

#define FORM_MASK	   0xC000
#define FORM_SHORT	   0x8000
#define FORM_SPECIAL   0xC000
#define LONG_NEGATIVE  0x4000
#define SHORT_NEGATIVE 0x2000

#define BASE		   10000
#define BASE_DECIMALS  4

static bool
MultiplyByTen(int64 *value, int times)
{
	while (times-- > 0)
	{
		if (pg_mul_s64_overflow(*value, 10, value))
			return false;
	}
	return true;
}

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
	int64		result = 0;

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

	for (int i = 0; i < ndigits; i++)
	{
		int16		digit;

		memcpy(&digit, data + i * sizeof(digit), sizeof(digit));
		if (pg_mul_s64_overflow(result, BASE, &result) || pg_add_s64_overflow(result, digit, &result))
			return UNITS_OVERFLOW;
	}
	if (negative)
		result = -result;

	power = (weight + 1 - ndigits) * BASE_DECIMALS + scale;
	if (result == 0)
	{
		*units = 0;
		return UNITS_EXACT;
	}
	if (power >= 0)
	{
		*units = result;
		return MultiplyByTen(units, power) ? UNITS_EXACT : UNITS_OVERFLOW;
	}
	else
	{
		int64		divisor = 1;

		if (!MultiplyByTen(&divisor, -power))
			return UNITS_OVERFLOW;
		*units = result / divisor;
		if (result % divisor == 0)
			return UNITS_EXACT;
		if (negative)
			(*units)--;
		return UNITS_CUT;
	}
}
