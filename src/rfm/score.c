/*
 * score.c: from tallies to scores.
 */
#include "crm_member.h"
#include "money/money.h"
#include "rfm/score.h"
#include "money/units.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

static const char *const measure_names[] = {"recency", "frequency", "monetary"};

void
StartBanding(Banding *banding, int bins, const char *ties)
{
	memset(banding, 0, sizeof(*banding));
	if (bins < RFM_MIN_BINS || bins > RFM_MAX_BINS)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("number of bins %d is out of range", bins),
						errdetail("A score has %d to %d bins.", RFM_MIN_BINS, RFM_MAX_BINS)));
	banding->bins = bins;
	if (strcmp(ties, "together") == 0)
		banding->together = true;
	else if (strcmp(ties, "split") != 0)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("\"%s\" is not a way to treat ties", ties),
						errhint("Use 'split' or 'together'.")));
}

static void
ReadCuts(const Banding *banding, Measure measure, ArrayType *array, Oid type, int length,
		 char align, Datum **values)
{
	bool	   *nulls;
	int			n;

	if (ARR_NDIM(array) > 1)
		ereport(ERROR, (errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
						errmsg("%s cuts must be a one-dimensional array", measure_names[measure])));
	deconstruct_array(array, type, length, length > 0, align, values, &nulls, &n);
	if (n != banding->bins - 1)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("%d %s cuts do not make %d bins", n, measure_names[measure],
							   banding->bins),
						errdetail("One cut fewer than bins is needed.")));
	for (int i = 0; i < n; i++)
	{
		if (nulls[i])
			ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
							errmsg("%s cuts must not be null", measure_names[measure])));
	}
}

static void
NotAscending(Measure measure)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("%s cuts must be strictly ascending", measure_names[measure])));
}

void
FixRecency(Banding *banding, ArrayType *days, DateADT as_of)
{
	Datum	   *values;
	int			n = banding->bins - 1;

	ReadCuts(banding, MEASURE_RECENCY, days, INT4OID, sizeof(int32), TYPALIGN_INT, &values);
	for (int i = 0; i < n; i++)
	{
		Cut		   *cut = &banding->cuts[MEASURE_RECENCY][n - 1 - i];

		if (i > 0 && DatumGetInt32(values[i]) <= DatumGetInt32(values[i - 1]))
			NotAscending(MEASURE_RECENCY);
		/* up to so many days ago is the better side of the cut */
		cut->value = (int64) as_of + POSTGRES_EPOCH_JDATE - DatumGetInt32(values[i]);
		cut->order = PG_INT64_MIN;
	}
	banding->fixed[MEASURE_RECENCY] = true;
}

void
FixNumeric(Banding *banding, Measure measure, ArrayType *cuts, int scale)
{
	Datum	   *values;
	int			n = banding->bins - 1;

	ReadCuts(banding, measure, cuts, NUMERICOID, -1, TYPALIGN_INT, &values);
	for (int i = 0; i < n; i++)
	{
		Cut		   *cut = &banding->cuts[measure][i];

		if (i > 0 && !DatumGetBool(DirectFunctionCall2(numeric_gt, values[i], values[i - 1])))
			NotAscending(measure);
		switch (NumericUnits(values[i], scale, &cut->value))
		{
			case UNITS_EXACT:
				break;
			case UNITS_CUT:
				cut->value++;	/* what reaches the cut reaches the next unit */
				break;
			default:
				ereport(ERROR, (errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
								errmsg("%s cut is out of range", measure_names[measure])));
		}
		cut->order = PG_INT64_MIN;
	}
	banding->fixed[measure] = true;
}

static inline int64
TallyValue(const Tally *tally, Measure measure)
{
	switch (measure)
	{
		case MEASURE_RECENCY:
			return tally->last_day;
		case MEASURE_FREQUENCY:
			return tally->frequency;
		default:
			return tally->monetary;
	}
}

void
FindCuts(Banding *banding, const Tally *tallies, size_t n, const int64 *ranks)
{
	Ranked	   *ranked =
		palloc_extended(Max(n, 1) * sizeof(Ranked), MCXT_ALLOC_HUGE);

	for (int measure = 0; measure < MEASURE_COUNT; measure++)
	{
		if (banding->fixed[measure])
			continue;
		CHECK_FOR_INTERRUPTS();
		for (size_t i = 0; i < n; i++)
		{
			ranked[i].value = TallyValue(&tallies[i], measure);
			ranked[i].order = ranks != NULL ? ranks[tallies[i].member] : tallies[i].member;
		}
		SelectCuts(ranked, n, banding->bins, banding->together, banding->cuts[measure]);
	}
	pfree(ranked);
}

ArrayType *
BandingToArray(const Banding *banding)
{
	Datum		values[MEASURE_COUNT * (RFM_MAX_BINS - 1) * 2];
	int			n = 0;

	for (int measure = 0; measure < MEASURE_COUNT; measure++)
	{
		for (int i = 0; i < banding->bins - 1; i++)
		{
			values[n++] = Int64GetDatum(banding->cuts[measure][i].value);
			values[n++] = Int64GetDatum(banding->cuts[measure][i].order);
		}
	}
	return construct_array(values, n, INT8OID, sizeof(int64), true, TYPALIGN_DOUBLE);
}

void
ArrayToBanding(ArrayType *array, Banding *banding)
{
	int			n = ArrayGetNItems(ARR_NDIM(array), ARR_DIMS(array));
	int			bins = n / (MEASURE_COUNT * 2) + 1;
	const int64 *values = (const int64 *) ARR_DATA_PTR(array);

	if (ARR_ELEMTYPE(array) != INT8OID || ARR_HASNULL(array) || n % (MEASURE_COUNT * 2) != 0 ||
		bins < RFM_MIN_BINS || bins > RFM_MAX_BINS)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("not the cuts of a run"),
						errhint("Use column cuts of crm_member.rfm_run.")));
	banding->bins = bins;
	for (int measure = 0; measure < MEASURE_COUNT; measure++)
	{
		for (int i = 0; i < bins - 1; i++)
		{
			banding->cuts[measure][i].value = *values++;
			banding->cuts[measure][i].order = *values++;
		}
	}
}

/* The score of a row of rfm_member by the cuts of a run. */
PG_FUNCTION_INFO_V1(crm_score_member);
Datum
crm_score_member(PG_FUNCTION_ARGS)
{
	Banding		banding;
	Tally		tally = {0};

	ArrayToBanding(PG_GETARG_ARRAYTYPE_P(0), &banding);
	tally.member = PG_GETARG_INT64(1);
	tally.last_day = PG_GETARG_DATEADT(2) + POSTGRES_EPOCH_JDATE;
	tally.frequency = PG_GETARG_INT64(3);
	tally.monetary = PG_GETARG_INT64(4);
	PG_RETURN_DATUM(RfmScoreGetDatum(ScoreTally(&banding, &tally, tally.member)));
}

/* One measure's score alone, for views of which a query reads no other. */
PG_FUNCTION_INFO_V1(crm_score_band);
Datum
crm_score_band(PG_FUNCTION_ARGS)
{
	ArrayType  *array = PG_GETARG_ARRAYTYPE_P(0);
	int			measure = PG_GETARG_INT32(1) - 1;
	int			n = ArrayGetNItems(ARR_NDIM(array), ARR_DIMS(array));
	int			bins = n / (MEASURE_COUNT * 2) + 1;
	const Cut  *cuts = (const Cut *) ARR_DATA_PTR(array);

	if (ARR_ELEMTYPE(array) != INT8OID || ARR_HASNULL(array) || n % (MEASURE_COUNT * 2) != 0 ||
		bins < RFM_MIN_BINS || bins > RFM_MAX_BINS || measure < 0 || measure >= MEASURE_COUNT)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("not the cuts of a run, or not a measure"),
						errhint("Use column cuts of crm_member.rfm_run, and 1, 2 or 3.")));
	PG_RETURN_INT32(
		BandOf(cuts + measure * (bins - 1), bins, PG_GETARG_INT64(2), PG_GETARG_INT64(3)));
}

/* Columns that the library writes in bulk hold minor units; views show money. */
PG_FUNCTION_INFO_V1(crm_minor_to_money);
Datum
crm_minor_to_money(PG_FUNCTION_ARGS)
{
	int16		scale = PG_GETARG_INT16(1);

	if (scale < 0 || scale > DECIMAL_MAX_SCALE)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("scale %d is out of range", scale)));
	PG_RETURN_NUMERIC(MinorToNumeric(PG_GETARG_INT64(0), scale));
}
