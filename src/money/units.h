/*
 * units.h: stored numerics to integers of a decimal scale, fast.
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

#endif
