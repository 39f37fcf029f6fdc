/*
 * units.h: stored numerics to integers of a decimal scale and back, fast.
 */
#ifndef CRM_UNITS_H
#define CRM_UNITS_H

#include "postgres.h"

typedef enum UnitsResult
{
	UNITS_EXACT,
	UNITS_CUT,					/* has more decimals: the part below scale was dropped */
	UNITS_OVERFLOW				/* also NaN and infinity */
} UnitsResult;

/* value * 10^scale, cut towards minus infinity where it is no integer. */
extern UnitsResult NumericUnits(Datum value, int scale, int64 *units);
/* units / 10^scale, a numeric; NULL where that takes more than this can do. */
extern struct varlena *UnitsNumeric(int64 units, int scale);

#endif
