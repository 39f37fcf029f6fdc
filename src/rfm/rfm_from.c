/*
 * rfm_from.c: score the members of any query.
 */
#include "crm_member.h"
#include "argument.h"
#include "rfm/day.h"
#include "rfm/score.h"
#include "rfm/source.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/numeric.h"
#include "utils/timestamp.h"

enum
{
	ARG_QUERY,
	ARG_AS_OF,
	ARG_BINS,
	ARG_TIES,
	ARG_RECENCY_CUTS,
	ARG_FREQUENCY_CUTS,
	ARG_MONETARY_CUTS
};

#define RESULT_COLUMNS 5
#define FIRST_MONEY_SCALE 2
#define MAX_MONEY_SCALE	  10

static void
PutResult(ReturnSetInfo *result, const Purchases *purchases, const Banding *banding, DateADT as_of)
{
	MemoryContext row_context =
		AllocSetContextCreate(CurrentMemoryContext, "rfm row", ALLOCSET_DEFAULT_SIZES);
	FmgrInfo	output;
	Oid			output_function;
	bool		varlena;

	getTypeOutputInfo(purchases->members != NULL ? purchases->member_type : INT8OID,
					  &output_function, &varlena);
	fmgr_info(output_function, &output);

	for (size_t i = 0; i < purchases->ntallies; i++)
	{
		const Tally *tally = &purchases->tallies[i];
		MemoryContext old = MemoryContextSwitchTo(row_context);
		int64		order = tally->member;
		Datum		member = Int64GetDatum(tally->member);
		Datum		values[RESULT_COLUMNS];
		bool		nulls[RESULT_COLUMNS] = {false};

		CHECK_FOR_INTERRUPTS();
		if (purchases->members != NULL)
		{
			order = purchases->ranks[tally->member];
			member = purchases->members[tally->member];
		}
		values[0] = CStringGetTextDatum(OutputFunctionCall(&output, member));
		values[1] = Int32GetDatum(as_of + POSTGRES_EPOCH_JDATE - tally->last_day);
		values[2] = NumericGetDatum(int64_to_numeric(tally->frequency));
		values[3] = NumericGetDatum(
			int64_div_fast_to_numeric(tally->monetary, purchases->money_scale));
		values[4] = RfmScoreGetDatum(ScoreTally(banding, tally, order));
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
		MemoryContextSwitchTo(old);
		MemoryContextReset(row_context);
	}
	MemoryContextDelete(row_context);
}

PG_FUNCTION_INFO_V1(crm_rfm_from);
Datum
crm_rfm_from(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	MemoryContext work =
		AllocSetContextCreate(CurrentMemoryContext, "rfm", ALLOCSET_DEFAULT_SIZES);
	PurchaseQuery query = {.sql = RequiredText(fcinfo, ARG_QUERY, "query")};
	Purchases	purchases;
	Banding		banding;
	DateADT		as_of;
	const int64 *ranks;

	as_of = PG_ARGISNULL(ARG_AS_OF) ? Today() : PG_GETARG_DATEADT(ARG_AS_OF);
	if (DATE_NOT_FINITE(as_of))
		ereport(ERROR, (errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
						errmsg("as_of must be a finite date")));
	StartBanding(&banding, PG_ARGISNULL(ARG_BINS) ? 5 : PG_GETARG_INT32(ARG_BINS),
				 PG_ARGISNULL(ARG_TIES) ? "split" : TextArgument(fcinfo, ARG_TIES));
	if (!PG_ARGISNULL(ARG_RECENCY_CUTS))
		FixRecency(&banding, PG_GETARG_ARRAYTYPE_P(ARG_RECENCY_CUTS), as_of);
	if (!PG_ARGISNULL(ARG_FREQUENCY_CUTS))
		FixNumeric(&banding, MEASURE_FREQUENCY, PG_GETARG_ARRAYTYPE_P(ARG_FREQUENCY_CUTS), 0);
	/* checked before the query runs, and again below at the scale of what it yields */
	if (!PG_ARGISNULL(ARG_MONETARY_CUTS))
		FixNumeric(&banding, MEASURE_MONETARY, PG_GETARG_ARRAYTYPE_P(ARG_MONETARY_CUTS),
				   FIRST_MONEY_SCALE);

	InitMaterializedSRF(fcinfo, 0);
	query.first_day = DATEVAL_NOBEGIN;
	query.as_of = as_of;
	query.money_scale = FIRST_MONEY_SCALE;
	query.max_scale = MAX_MONEY_SCALE;
	SPI_connect();
	CollectPurchases(&query, work, &purchases);
	SPI_finish();

	if (!PG_ARGISNULL(ARG_MONETARY_CUTS))
		FixNumeric(&banding, MEASURE_MONETARY, PG_GETARG_ARRAYTYPE_P(ARG_MONETARY_CUTS),
				   purchases.money_scale);
	ranks = purchases.members != NULL ? purchases.ranks : NULL;
	FindCuts(&banding, purchases.tallies, purchases.ntallies, ranks);
	PutResult(result, &purchases, &banding, as_of);
	MemoryContextDelete(work);
	return (Datum) 0;
}
