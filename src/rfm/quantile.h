/*
 * quantile.h: where to cut an ordered measure into bands of equal size, in
 * linear time.
 */
#ifndef CRM_QUANTILE_H
#define CRM_QUANTILE_H

#include "postgres.h"

/* A member's value of one measure; order breaks ties and is unique. */
typedef struct Ranked
{
	int64		value;
	int64		order;
} Ranked;

/*
 * Where a band begins.  A member is at or past the cut when (value, order) is
 * not less than the cut's; its band is 1 plus the number of such cuts.
 */
typedef Ranked Cut;

/*
 * The bins - 1 cuts of n members into bins bands exactly as ntile(bins) gives
 * them in the order (value, order): the first n % bins bands hold one more.
 * together: members with equal values share the lowest band any of them has.
 * Permutes ranked.
 */
extern void SelectCuts(Ranked *ranked, size_t n, int bins, bool together, Cut *cuts);

static inline int
BandOf(const Cut *cuts, int bins, int64 value, int64 order)
{
	int			band = 1;

	for (int i = 0; i < bins - 1; i++)
		band += value > cuts[i].value || (value == cuts[i].value && order >= cuts[i].order);
	return band;
}

#endif
