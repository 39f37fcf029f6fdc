/*
 * money.c: a decimal that is read is printed and read back the same; shares sum
 * to what was shared, under every policy, whatever the amount and the weights.
 */
#include "fuzz.h"
#include "money/money.h"

#define MAX_WEIGHTS 60

static void
TryDecimal(const char *text, Size length)
{
	Decimal		value;
	Decimal		again;
	char		printed[DECIMAL_TEXT_SIZE];

	if (!TextToDecimal(text, length, &value))
		return;
	DecimalToText(value, printed);
	FuzzCheck(TextToDecimal(printed, strlen(printed), &again), "printed what cannot be read");
	FuzzCheck(CompareDecimal(value, again) == 0, "read back as another number");
	again = NumericToDecimal(DecimalToNumeric(value), "value");
	FuzzCheck(CompareDecimal(value, again) == 0, "another number as numeric");
}

static int64
TakeNumber(const char **bytes, const char *end)
{
	int64		number = 0;
	Size		size = Min(sizeof(number), end - *bytes);

	memcpy(&number, *bytes, size);
	*bytes += size;
	return number;
}

/* The first eight bytes are the amount, each eight after that a weight. */
static void
TryAllocate(const char *text, Size length)
{
	const char *next = text;
	const char *end = text + length;
	int64		amount = TakeNumber(&next, end);
	int64		weights[MAX_WEIGHTS];
	int64		shares[MAX_WEIGHTS];
	int			n = 0;

	while (next < end && n < MAX_WEIGHTS)
	{
		int64		weight = TakeNumber(&next, end);

		weights[n++] = weight < 0 ? -(weight + 1) : weight;
	}
	for (Allocation how = ALLOCATION_LARGEST_REMAINDER; how <= ALLOCATION_RUNNING_DELTA; how++)
	{
		int128		sum = 0;

		Allocate(amount, weights, n, how, shares);
		for (int i = 0; i < n; i++)
		{
			sum += shares[i];
			FuzzCheck(weights[i] != 0 || shares[i] == 0, "a share for no weight");
			FuzzCheck(shares[i] == 0 || (shares[i] < 0) == (amount < 0), "a share of the wrong sign");
		}
		FuzzCheck(sum == amount, "the shares do not sum to the amount");
	}
}

const FuzzTarget decimal_target = {"decimal", NULL, TryDecimal, {0}};

const FuzzTarget allocate_target = {
	"allocate", NULL, TryAllocate,
	{ERRCODE_INVALID_PARAMETER_VALUE, ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE}
};
