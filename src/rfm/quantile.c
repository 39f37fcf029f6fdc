/*
 * quantile.c: where to cut an ordered measure into bands of equal size, in
 * linear time.
 *
 * Cuts are selected, not found in a sorted array: a quickselect that follows
 * every part in which a cut lies, middle cut first.  A part that does not
 * shrink as it should is sorted, which bounds the worst case.
 */
#include "postgres.h"

#include "rfm/quantile.h"

#include "miscadmin.h"
#include "port/pg_bitutils.h"

#define SMALL_PART 24

static inline bool
Before(const Ranked *a, const Ranked *b)
{
	return a->value < b->value || (a->value == b->value && a->order < b->order);
}

static inline void
Swap(Ranked *a, Ranked *b)
{
	Ranked		t = *a;

	*a = *b;
	*b = t;
}

#define ST_SORT SortRanked
#define ST_ELEMENT_TYPE Ranked
#define ST_COMPARE(a, b) (Before(a, b) ? -1 : Before(b, a) ? 1 : 0)
#define ST_SCOPE static
#define ST_DEFINE
#include "lib/sort_template.h"

/*
 * Put the elements with the ranks wanted[0 .. nwanted), ascending and within
 * [lo, hi), in their places, everything before them below, after them above.
 */
static void
SelectRanks(Ranked *a, size_t lo, size_t hi, const size_t *wanted, int nwanted, int depth)
{
	while (nwanted > 0)
	{
		Ranked		pivot;
		size_t		i = lo;
		size_t		j = hi - 1;
		size_t		mid = lo + (hi - lo) / 2;
		int			left = 0;
		int			right;

		CHECK_FOR_INTERRUPTS();
		if (hi - lo <= SMALL_PART || depth-- == 0)
		{
			SortRanked(a + lo, hi - lo);
			return;
		}

		if (Before(&a[mid], &a[lo]))
			Swap(&a[mid], &a[lo]);
		if (Before(&a[hi - 1], &a[lo]))
			Swap(&a[hi - 1], &a[lo]);
		if (Before(&a[hi - 1], &a[mid]))
			Swap(&a[hi - 1], &a[mid]);
		pivot = a[mid];

		for (;;)
		{
			while (Before(&a[i], &pivot))
				i++;
			while (Before(&pivot, &a[j]))
				j--;
			if (i >= j)
				break;
			Swap(&a[i++], &a[j--]);
		}
		if (i == j)				/* both stopped at the pivot itself */
			i++;
		/* now [lo, i) is at or below the pivot and [i, hi) at or above it */

		while (left < nwanted && wanted[left] < i)
			left++;
		right = nwanted - left;
		if (right > 0)
			SelectRanks(a, i, hi, wanted + left, right, depth);
		nwanted = left;
		hi = i;
	}
}

void
SelectCuts(Ranked *ranked, size_t n, int bins, bool together, Cut *cuts)
{
	size_t		starts[64];
	int			nstarts = 0;
	size_t		previous = 0;

	Assert(bins - 1 <= (int) lengthof(starts));
	for (int band = 1; band < bins; band++)
	{
		size_t		start = band * (n / bins) + Min((size_t) band, n % bins);

		if (start < n)
			starts[nstarts++] = start;
	}
	if (nstarts > 0)
		SelectRanks(ranked, 0, n, starts, nstarts, 2 * pg_leftmost_one_pos64(n) + 8);

	for (int i = 0; i < bins - 1; i++)
	{
		if (i >= nstarts)
		{
			/* a band nobody is left for */
			cuts[i].value = PG_INT64_MAX;
			cuts[i].order = PG_INT64_MAX;
			continue;
		}
		cuts[i] = ranked[starts[i]];
		if (together)
		{
			/* equal values on both sides of the cut belong to the band below */
			bool		divides = false;

			for (size_t p = previous; p < starts[i] && !divides; p++)
				divides = ranked[p].value == cuts[i].value;
			cuts[i].value += divides;
			cuts[i].order = PG_INT64_MIN;
			previous = starts[i];
		}
	}
}
