/*
 * rfm.h: the type rfm_score, three scores 1 .. 10 in four bytes.
 *
 *	 23       16 15        8 7         0
 *	+-----------+-----------+-----------+
 *	|  recency  | frequency | monetary  |
 *	+-----------+-----------+-----------+
 *
 * The order of the type is that of the integer, so int4's operators serve it.
 */
#ifndef CRM_RFM_H
#define CRM_RFM_H

#include "postgres.h"

#define RFM_MIN_BINS 2
#define RFM_MAX_BINS 10

typedef uint32 RfmScore;

#define MakeRfmScore(r, f, m) ((RfmScore) (r) << 16 | (RfmScore) (f) << 8 | (RfmScore) (m))
#define RfmR(score)			  ((int) ((score) >> 16 & 0xFF))
#define RfmF(score)			  ((int) ((score) >> 8 & 0xFF))
#define RfmM(score)			  ((int) ((score) & 0xFF))

#define DatumGetRfmScore(d)	  ((RfmScore) DatumGetUInt32(d))
#define RfmScoreGetDatum(s)	  UInt32GetDatum(s)

/* What is measured of a member. */
typedef enum Measure
{
	MEASURE_RECENCY,			/* day of the last purchase */
	MEASURE_FREQUENCY,
	MEASURE_MONETARY
} Measure;

#define MEASURE_COUNT 3

#endif
