/*
 * collector.h: purchases in, one tally per member out.
 */
#ifndef CRM_COLLECTOR_H
#define CRM_COLLECTOR_H

#include "postgres.h"

/* Days are Julian day numbers here, all positive, so that 0 marks an empty slot. */
typedef struct Tally
{
	int64		member;
	int64		frequency;
	int64		monetary;
	int32		first_day;
	int32		last_day;
} Tally;

typedef struct Collector Collector;

/*
 * Lives in the current memory context.  by_days: a purchase adds 1 to the
 * frequency if it is the first of its member and day, whatever frequency says.
 * expected: members there is room for at once, 0 where nobody knows.
 */
extern Collector *CreateCollector(bool by_days, size_t expected);
extern void CollectPurchase(Collector *collector, int64 member, int32 day, int64 frequency,
							int64 monetary);

/*
 * Add what another collector of the same kind has collected.  Its tallies come in
 * the order of their slots, so reserve room for all of them first: else they
 * would crowd into the lower slots here.
 */
extern void ReserveCollector(Collector *collector, size_t n);
extern void CollectTallies(Collector *collector, const Tally *tallies, size_t n);

/* Every sum of money so far times factor: error 22003 where it does not fit. */
extern void ScaleCollected(Collector *collector, int64 factor);

/*
 * No purchase after this: the tallies, in no order.  The memory stays with the
 * collector.
 */
extern size_t FinishCollector(Collector *collector, Tally **tallies);

#endif
