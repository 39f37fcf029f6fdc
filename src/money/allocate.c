/*
 * allocate.c: share an amount over weights, to the last unit.
 *
 * Every policy works on the magnitude, so a refund mirrors its sale.  The exact
 * share is magnitude * weight / total; three policies cut it down to whole
 * units and differ in who gets the units left over, which are fewer than there
 * are weights above zero.
 */
#include "crm_member.h"
#include "money/money.h"

#include "catalog/pg_type.h"
#include "common/int.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"

static const char *const allocation_names[] = {
	[ALLOCATION_LARGEST_REMAINDER] = "largest_remainder",
	[ALLOCATION_FIRST_LINES] = "first_lines",
	[ALLOCATION_LAST_LINE] = "last_line",
	[ALLOCATION_RUNNING_DELTA] = "running_delta",
};

typedef struct Remainder
{
	int64		value;
	int			share;
} Remainder;

#define FEW_SHARES 64			/* need no memory from the heap */
#define FEW_STEPS  256			/* to find the largest without sorting */

Allocation
ParseAllocation(const char *name)
{
	for (int i = 0; i < lengthof(allocation_names); i++)
	{
		if (strcmp(name, allocation_names[i]) == 0)
			return (Allocation) i;
	}
	ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					errmsg("allocation \"%s\" is unknown", name),
					errhint("Use largest_remainder, first_lines, last_line or running_delta.")));
}

/* Largest first; of equals the earlier share. */
static int
CompareRemainder(const void *a, const void *b)
{
	const Remainder *x = a;
	const Remainder *y = b;

	return (x->value != y->value ? x->value > y->value : x->share < y->share) ? -1 : 1;
}

/* Shares cut down to whole units, and what that cut off; returns how many units are left over. */
static int64
CutDown(int64 magnitude, const int64 *weights, int n, int64 total, int64 *rests, int64 *shares)
{
	int64		left = magnitude;

	for (int i = 0; i < n; i++)
	{
		int64		product;
		int64		rest;

		if (likely(!pg_mul_s64_overflow(magnitude, weights[i], &product)))
		{
			shares[i] = product / total;
			rest = product % total;
		}
		else
		{
			int128		wide = (int128) magnitude * weights[i];

			shares[i] = (int64) (wide / total);
			rest = (int64) (wide % total);
		}
		left -= shares[i];
		if (rests)
			rests[i] = rest;
	}
	return left;
}

static void
ShareByRemainder(int64 magnitude, const int64 *weights, int n, int64 total, int64 *shares)
{
	int64		few[FEW_SHARES];
	int64	   *rests = n <= FEW_SHARES ? few : palloc(n * sizeof(int64));
	int64		left = CutDown(magnitude, weights, n, total, rests, shares);

	if (left * n <= FEW_STEPS)
	{
		/* the left largest are looked for one by one */
		for (; left > 0; left--)
		{
			int			largest = 0;
			int64		most = rests[0];

			/* without a branch, which nobody could foretell */
			for (int i = 1; i < n; i++)
			{
				bool		more = rests[i] > most;

				most = more ? rests[i] : most;
				largest = more ? i : largest;
			}
			shares[largest]++;
			rests[largest] = -1;
		}
	}
	else
	{
		Remainder  *remainders = palloc(n * sizeof(Remainder));

		for (int i = 0; i < n; i++)
			remainders[i] = (Remainder) {rests[i], i};
		qsort(remainders, n, sizeof(Remainder), CompareRemainder);
		for (int i = 0; i < left; i++)
			shares[remainders[i].share]++;
		pfree(remainders);
	}
	if (rests != few)
		pfree(rests);
}

static void
ShareToFirst(int64 magnitude, const int64 *weights, int n, int64 total, int64 *shares)
{
	int64		left = CutDown(magnitude, weights, n, total, NULL, shares);

	for (int i = 0; left > 0; i++)
	{
		if (weights[i] == 0)
			continue;
		shares[i]++;
		left--;
	}
}

static void
ShareToLast(int64 magnitude, const int64 *weights, int n, int64 total, int64 *shares)
{
	int64		left = CutDown(magnitude, weights, n, total, NULL, shares);
	int			last = n - 1;

	while (weights[last] == 0)
		last--;
	shares[last] += left;
}

static void
ShareByRunningTotal(int64 magnitude, const int64 *weights, int n, int64 total, int64 *shares)
{
	int64		running = 0;
	int64		before = 0;

	for (int i = 0; i < n; i++)
	{
		int64		after;

		running += weights[i];
		after = MulDivMinor(magnitude, running, total, ROUNDING_HALF_UP);
		shares[i] = after - before;
		before = after;
	}
}

void
Allocate(int64 amount, const int64 *weights, int n, Allocation allocation, int64 *shares)
{
	int64		magnitude = amount < 0 ? SubtractMinor(0, amount) : amount;
	int64		total = 0;

	for (int i = 0; i < n; i++)
	{
		if (weights[i] < 0)
			ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
							errmsg("weight of an allocation is negative"),
							errdetail("Weight %d is below zero.", i + 1)));
		total = AddMinor(total, weights[i]);
	}
	if (total == 0)
	{
		if (amount != 0)
			ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
							errmsg("amount cannot be allocated"),
							errdetail("No weight is above zero."),
							errhint("Only an amount of 0 can be shared over nothing.")));
		memset(shares, 0, n * sizeof(int64));
		return;
	}

	switch (allocation)
	{
		case ALLOCATION_LARGEST_REMAINDER:
			ShareByRemainder(magnitude, weights, n, total, shares);
			break;
		case ALLOCATION_FIRST_LINES:
			ShareToFirst(magnitude, weights, n, total, shares);
			break;
		case ALLOCATION_LAST_LINE:
			ShareToLast(magnitude, weights, n, total, shares);
			break;
		case ALLOCATION_RUNNING_DELTA:
			ShareByRunningTotal(magnitude, weights, n, total, shares);
			break;
	}
	if (amount < 0)
	{
		for (int i = 0; i < n; i++)
			shares[i] = -shares[i];
	}
}

/* Weights of an array, all at the scale of the one with most decimals. */
static int64 *
ReadWeights(ArrayType *array, int *n)
{
	Datum	   *elements;
	bool	   *nulls;
	Decimal    *decimals;
	int64	   *weights;
	int			scale = 0;

	if (ARR_NDIM(array) > 1)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("weights must be a one-dimensional array")));
	deconstruct_array(array, NUMERICOID, -1, false, TYPALIGN_INT, &elements, &nulls, n);
	decimals = palloc(*n * sizeof(Decimal));
	weights = palloc(*n * sizeof(int64));
	for (int i = 0; i < *n; i++)
	{
		CHECK_FOR_INTERRUPTS();
		if (nulls[i])
			ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
							errmsg("weight of an allocation is null"),
							errdetail("Weight %d is null.", i + 1),
							errhint("Give 0 to a line that shall have no share.")));
		decimals[i] = NumericToDecimal(DatumGetNumeric(elements[i]), "weight");
		scale = Max(scale, decimals[i].scale);
	}
	for (int i = 0; i < *n; i++)
		weights[i] = MultiplyDecimal(decimals[i], (Decimal) {1, 0}, scale, ROUNDING_HALF_UP);
	return weights;
}

PG_FUNCTION_INFO_V1(crm_allocate);
Datum
crm_allocate(PG_FUNCTION_ARGS)
{
	Allocation	allocation = ParseAllocation(text_to_cstring(PG_GETARG_TEXT_PP(2)));
	int			scale = PG_GETARG_INT32(3);
	int			n;
	int64	   *weights = ReadWeights(PG_GETARG_ARRAYTYPE_P(1), &n);
	int64	   *shares = palloc(n * sizeof(int64));
	Datum	   *result = palloc(n * sizeof(Datum));

	CheckScale(scale);
	Allocate(ExactMinor(PG_GETARG_NUMERIC(0), scale, "amount"), weights, n, allocation, shares);
	for (int i = 0; i < n; i++)
		result[i] = NumericGetDatum(MinorToNumeric(shares[i], scale));
	PG_RETURN_ARRAYTYPE_P(construct_array(result, n, NUMERICOID, -1, false, TYPALIGN_INT));
}
