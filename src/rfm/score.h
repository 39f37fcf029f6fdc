/*
 * score.h: from tallies to scores.
 */
#ifndef CRM_SCORE_H
#define CRM_SCORE_H

#include "postgres.h"
#include "utils/array.h"
#include "utils/date.h"

#include "rfm/collector.h"
#include "rfm/quantile.h"
#include "rfm/rfm.h"

/* The cuts that turn tallies into scores; recency is cut by the day of the last purchase. */
typedef struct Banding
{
	int			bins;
	bool		together;
	bool		fixed[MEASURE_COUNT];	/* cuts are given, not selected */
	Cut			cuts[MEASURE_COUNT][RFM_MAX_BINS - 1];
} Banding;

/* 22023 where bins or the name of ties is not allowed. */
extern void StartBanding(Banding *banding, int bins, const char *ties);

/* Given cuts, strictly ascending, bins - 1 of them; errors 22023 and 2202E. */
extern void FixRecency(Banding *banding, ArrayType *days, DateADT as_of);
extern void FixNumeric(Banding *banding, Measure measure, ArrayType *cuts, int scale);

/* Select what is not fixed.  ranks: place of tally.member in the order, NULL where it is itself. */
extern void FindCuts(Banding *banding, const Tally *tallies, size_t n, const int64 *ranks);

static inline RfmScore
ScoreTally(const Banding *banding, const Tally *tally, int64 order)
{
	int			bins = banding->bins;

	return MakeRfmScore(BandOf(banding->cuts[MEASURE_RECENCY], bins, tally->last_day, order),
						BandOf(banding->cuts[MEASURE_FREQUENCY], bins, tally->frequency, order),
						BandOf(banding->cuts[MEASURE_MONETARY], bins, tally->monetary, order));
}

/* As stored with a run: for each measure and cut, value and order. */
extern ArrayType *BandingToArray(const Banding *banding);
extern void ArrayToBanding(ArrayType *array, Banding *banding);

#endif
